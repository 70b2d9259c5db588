use alloc::{collections::BTreeMap, string::String, vec::Vec};
use alloy_primitives::{Address, B256, Bytes, U256};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

/// The state that a chain begins with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Genesis {
    /// Accounts, each once, in order of address.
    pub accounts: BTreeMap<Address, GenesisAccount>,
    /// What the chain's operator publishes about block 0, when it is at hand.
    pub conf: Option<GenesisConf>,
}

/// One account of the genesis state. Zero and empty are the same as absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GenesisAccount {
    /// In wei.
    pub balance: U256,
    /// Transactions sent, or contracts created.
    pub nonce: u64,
    /// Code; empty for an account without.
    pub code: Bytes,
    /// Storage words by slot.
    pub storage: BTreeMap<U256, U256>,
}

/// The fields of block 0, as in cdk-erigon's `*-conf.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GenesisConf {
    /// State root.
    pub root: B256,
    /// Seconds since the Unix epoch.
    pub timestamp: u64,
    /// Header's gas limit.
    #[serde(default)]
    pub gas_limit: u64,
    /// Header's difficulty.
    #[serde(default)]
    pub difficulty: u64,
}

/// Why a genesis file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum GenesisError {
    /// Not an object of accounts.
    #[error("not genesis allocations: {0}")]
    Allocations(serde_json::Error),
    /// Not the fields of block 0.
    #[error("not a genesis configuration: {0}")]
    Conf(serde_json::Error),
    /// The same address stands twice, written differently.
    #[error("account {0} stands twice")]
    DuplicateAccount(Address),
    /// The same slot stands twice, written differently.
    #[error("slot {slot:#x} of account {address} stands twice")]
    DuplicateSlot {
        /// Whose storage.
        address: Address,
        /// Which slot.
        slot: U256,
    },
    /// Code longer than any that can be deployed is no proof of an error, but code beyond this bound is.
    #[error("code of account {address} has {length} bytes, more than {limit}")]
    CodeTooLong {
        /// Whose code.
        address: Address,
        /// Its length.
        length: usize,
        /// Longest accepted.
        limit: usize,
    },
}

/// An account as cdk-erigon's `*-allocs.json` writes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountFile {
    #[serde(rename = "contractName", default)]
    _contract_name: Option<String>,
    #[serde(rename = "accountName", default)]
    _account_name: Option<String>,
    #[serde(default, deserialize_with = "decimal_or_hex")]
    balance: U256,
    #[serde(default, deserialize_with = "decimal_or_hex")]
    nonce: U256,
    #[serde(default)]
    code: Option<Hex>,
    #[serde(default)]
    storage: Option<PairList<Hex, Hex>>,
}

const CODE_LIMIT: usize = 1 << 20;

impl Genesis {
    /// Reads allocations: an object `address -> { contractName, balance, nonce, code, storage }`, with or without
    /// `0x`, in any case (`spec/state-tree.md` §3.3).
    ///
    /// # Errors
    ///
    /// [`GenesisError`] for anything that is not of that form, or not unique.
    pub fn from_json(allocations: &[u8]) -> Result<Self, GenesisError> {
        let file: PairList<Hex, AccountFile> =
            serde_json::from_slice(allocations).map_err(GenesisError::Allocations)?;
        let mut accounts = BTreeMap::new();
        for (address, account) in file.0 {
            let address = Address::from(address.fixed::<20>().map_err(GenesisError::Allocations)?);
            let account = account.parse(address)?;
            if accounts.insert(address, account).is_some() {
                return Err(GenesisError::DuplicateAccount(address));
            }
        }
        Ok(Self { accounts, conf: None })
    }

    /// Adds the published fields of block 0.
    ///
    /// # Errors
    ///
    /// [`GenesisError::Conf`] when it is not of cdk-erigon's form.
    pub fn with_conf(self, json: &[u8]) -> Result<Self, GenesisError> {
        let conf = serde_json::from_slice(json).map_err(GenesisError::Conf)?;
        Ok(Self { conf: Some(conf), ..self })
    }
}

impl AccountFile {
    fn parse(self, address: Address) -> Result<GenesisAccount, GenesisError> {
        let code = self.code.map(|code| code.0).unwrap_or_default();
        if code.len() > CODE_LIMIT {
            return Err(GenesisError::CodeTooLong { address, length: code.len(), limit: CODE_LIMIT });
        }
        let mut storage = BTreeMap::new();
        for (slot, value) in self.storage.map(|pairs| pairs.0).unwrap_or_default() {
            let slot = slot.word().map_err(GenesisError::Allocations)?;
            let value = value.word().map_err(GenesisError::Allocations)?;
            if storage.insert(slot, value).is_some() {
                return Err(GenesisError::DuplicateSlot { address, slot });
            }
        }
        let nonce = u64::try_from(self.nonce)
            .map_err(|_| GenesisError::Allocations(serde_json::Error::custom("nonce above 64 bits")))?;
        Ok(GenesisAccount { balance: self.balance, nonce, code, storage })
    }
}

/// Bytes written in hex, `0x` or not.
struct Hex(Bytes);

impl Hex {
    fn fixed<const N: usize>(&self) -> Result<[u8; N], serde_json::Error> {
        <[u8; N]>::try_from(self.0.as_ref()).map_err(|_| {
            serde_json::Error::custom(alloc::format!("expected {N} bytes, found {}", self.0.len()))
        })
    }

    fn word(&self) -> Result<U256, serde_json::Error> {
        U256::try_from_be_slice(&self.0).ok_or_else(|| serde_json::Error::custom("word above 256 bits"))
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits = text.strip_prefix("0x").unwrap_or(&text);
        // Slots and words are often written as numbers, `0x1`: an odd digit stands for a leading zero.
        let even = if digits.len() % 2 == 1 { alloc::format!("0{digits}") } else { digits.into() };
        let bytes = alloy_primitives::hex::decode(&even).map_err(D::Error::custom)?;
        Ok(Self(bytes.into()))
    }
}

fn decimal_or_hex<'de, D: Deserializer<'de>>(deserializer: D) -> Result<U256, D::Error> {
    let text = String::deserialize(deserializer)?;
    match text.strip_prefix("0x") {
        Some(digits) => U256::from_str_radix(digits, 16),
        None => U256::from_str_radix(&text, 10),
    }
    .map_err(|_| D::Error::custom(alloc::format!("{text:?} is not a number of at most 256 bits")))
}

/// An object whose keys may repeat: a map type would keep the last one in silence.
struct PairList<K, V>(Vec<(K, V)>);

impl<'de, K: Deserialize<'de>, V: Deserialize<'de>> Deserialize<'de> for PairList<K, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<K, V>(core::marker::PhantomData<(K, V)>);
        impl<'de, K: Deserialize<'de>, V: Deserialize<'de>> serde::de::Visitor<'de> for Visitor<K, V> {
            type Value = PairList<K, V>;

            fn expecting(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(PairList(pairs))
            }
        }
        deserializer.deserialize_map(Visitor(core::marker::PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = r#"{"0x00000000000000000000000000000000000000AA": {"contractName": null, "balance": "5",
        "nonce": "1", "code": "0x6001", "storage": {"0x0": "0x0a", "01": "ff"}}}"#;

    #[test]
    fn an_account_is_read_in_full() {
        let genesis = Genesis::from_json(ONE.as_bytes()).expect("valid");
        let account = &genesis.accounts[&Address::with_last_byte(0xaa)];
        assert_eq!(account.balance, U256::from(5));
        assert_eq!(account.nonce, 1);
        assert_eq!(account.code.as_ref(), [0x60, 0x01]);
        let storage = [(U256::ZERO, U256::from(10)), (U256::ONE, U256::from(255))];
        assert_eq!(account.storage, storage.into_iter().collect());
    }

    #[test]
    fn what_stands_twice_is_refused() {
        let twice = r#"{"0x00000000000000000000000000000000000000aa": {"balance": "1"},
                        "00000000000000000000000000000000000000AA": {"balance": "2"}}"#;
        assert!(matches!(Genesis::from_json(twice.as_bytes()), Err(GenesisError::DuplicateAccount(_))));
        let slots = ONE.replace("\"01\"", "\"0x00\"");
        assert!(matches!(Genesis::from_json(slots.as_bytes()), Err(GenesisError::DuplicateSlot { .. })));
    }

    #[test]
    fn malformed_accounts_are_refused() {
        for (from, to) in [
            ("\"5\"", "\"five\""),
            ("0x6001", "0x6z"),
            ("0x0a", "0x10000000000000000000000000000000000000000000000000000000000000000"),
            ("nonce", "nonces"),
            ("0000AA", "00AA"),
            ("\"1\"", "\"18446744073709551616\""),
        ] {
            let altered = ONE.replacen(from, to, 1);
            assert_ne!(altered, ONE);
            assert!(matches!(Genesis::from_json(altered.as_bytes()), Err(GenesisError::Allocations(_))));
        }
    }

    proptest::proptest! {
        #[test]
        fn bytes_never_panic(at in 0..ONE.len(), replacement: alloc::vec::Vec<u8>, cut: bool) {
            let mut bytes = ONE.as_bytes().to_vec();
            bytes.splice(at..if cut { bytes.len() } else { at }, replacement);
            let _ = Genesis::from_json(&bytes);
            let _ = Genesis::default().with_conf(&bytes);
            let _ = crate::chain::ChainSpec::from_json(&bytes);
        }
    }
}
