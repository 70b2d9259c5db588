use crate::json::{members, unique_members};
use alloc::{collections::BTreeMap, string::String, vec::Vec};
use alloy_primitives::{Address, B256, Bytes, U256};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

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
    /// Not an address.
    #[error("not genesis allocations: {0:?} is no address")]
    Address(String),
    /// Something else than an object of fields, each once.
    #[error("not genesis allocations: account {account}: {reason}")]
    Account {
        /// Whose account.
        account: Address,
        /// What it is.
        reason: serde_json::Error,
    },
    /// A field that cannot be read, or that no account has.
    #[error("not genesis allocations: account {account}: {field:?}: expected {expected}")]
    Field {
        /// Whose field.
        account: Address,
        /// Its name.
        field: String,
        /// What it should be.
        expected: &'static str,
    },
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

const CODE_LIMIT: usize = 1 << 20;

impl Genesis {
    /// Reads allocations: an object `address -> { contractName, balance, nonce, code, storage }`, with or without
    /// `0x`, in any case (`spec/state-tree.md` §3.3).
    ///
    /// # Errors
    ///
    /// [`GenesisError`] for anything that is not of that form, or not unique.
    pub fn from_json(allocations: &[u8]) -> Result<Self, GenesisError> {
        let text: &RawValue = serde_json::from_slice(allocations).map_err(GenesisError::Allocations)?;
        let mut accounts = BTreeMap::new();
        for (name, text) in members(text.get(), usize::MAX).map_err(GenesisError::Allocations)? {
            let address = bytes(&name).and_then(|bytes| Address::try_from(bytes.as_slice()).ok());
            let address = address.ok_or(GenesisError::Address(name))?;
            if accounts.insert(address, account(address, text.get())?).is_some() {
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

/// An account as cdk-erigon's `*-allocs.json` writes it.
fn account(address: Address, text: &str) -> Result<GenesisAccount, GenesisError> {
    let mut account = GenesisAccount::default();
    let fields = unique_members(text).map_err(|reason| GenesisError::Account { account: address, reason })?;
    for (field, value) in fields {
        let wrong = |expected| GenesisError::Field { account: address, field: field.clone(), expected };
        let value = value.get();
        match field.as_str() {
            // For people.
            "contractName" | "accountName" => {}
            "balance" => {
                let balance = string(value).and_then(|text| number(&text));
                account.balance =
                    balance.ok_or_else(|| wrong("a string with a number of at most 256 bits"))?;
            }
            "nonce" => {
                let nonce = string(value).and_then(|text| number(&text)?.try_into().ok());
                account.nonce = nonce.ok_or_else(|| wrong("a string with a number of at most 64 bits"))?;
            }
            "code" if value != "null" => {
                let code = string(value).and_then(|text| bytes(&text));
                account.code = code.ok_or_else(|| wrong("a string with hexadecimal digits"))?.into();
                let (length, limit) = (account.code.len(), CODE_LIMIT);
                if length > limit {
                    return Err(GenesisError::CodeTooLong { address, length, limit });
                }
            }
            "storage" if value != "null" => {
                for (slot, value) in members(value, usize::MAX).map_err(|_| wrong("an object of slots"))? {
                    let word = |text: &str| U256::try_from_be_slice(&bytes(text)?);
                    let pair = word(&slot).zip(string(value.get()).and_then(|text| word(&text)));
                    let (slot, value) =
                        pair.ok_or_else(|| wrong("slots and words of at most 64 hexadecimal digits"))?;
                    if account.storage.insert(slot, value).is_some() {
                        return Err(GenesisError::DuplicateSlot { address, slot });
                    }
                }
            }
            "code" | "storage" => {}
            _ => return Err(wrong("contractName, accountName, balance, nonce, code or storage")),
        }
    }
    Ok(account)
}

fn string(value: &str) -> Option<String> {
    serde_json::from_str(value).ok()
}

/// `0x` and hexadecimal digits, or decimal ones.
fn number(text: &str) -> Option<U256> {
    match text.strip_prefix("0x") {
        Some(digits) => U256::from_str_radix(digits, 16).ok(),
        None => U256::from_str_radix(text, 10).ok(),
    }
}

/// Hexadecimal digits with `0x` or without. Slots and words are often written as numbers, `0x1`: an odd digit stands for a
/// leading zero.
fn bytes(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let even = if digits.len() % 2 == 1 { alloc::format!("0{digits}") } else { digits.into() };
    alloy_primitives::hex::decode(&even).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{format, string::ToString};

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
        let of = |rest: &str| format!("account {}: {rest}", Address::with_last_byte(0xaa));
        let words = r#""storage": expected slots and words of at most 64 hexadecimal digits"#;
        for (from, to, words) in [
            ("\"5\"", "\"five\"", of(r#""balance": expected a string with a number of at most 256 bits"#)),
            ("\"5\"", "5", of(r#""balance": expected a string with a number of at most 256 bits"#)),
            ("0x6001", "0x6z", of(r#""code": expected a string with hexadecimal digits"#)),
            ("0x0a", "0x10000000000000000000000000000000000000000000000000000000000000000", of(words)),
            (
                "nonce",
                "nonces",
                of(r#""nonces": expected contractName, accountName, balance, nonce, code or storage"#),
            ),
            ("\"nonce\"", "\"balance\"", of("\"balance\" stands twice")),
            ("0000AA", "00AA", r#""0x000000000000000000000000000000000000AA" is no address"#.into()),
            (
                "\"1\"",
                "\"18446744073709551616\"",
                of(r#""nonce": expected a string with a number of at most 64 bits"#),
            ),
        ] {
            let altered = ONE.replacen(from, to, 1);
            assert_ne!(altered, ONE);
            let refused = Genesis::from_json(altered.as_bytes()).expect_err("malformed").to_string();
            assert_eq!(refused, format!("not genesis allocations: {words}"));
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
