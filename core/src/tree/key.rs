use super::digest::{Digest, Path, limbs32};
use alloc::{collections::BTreeMap, vec::Vec};
use alloy_primitives::{Address, U256};
use core::{fmt, mem};
use serde::{Deserialize, Serialize};

/// The name of a leaf of the state tree. A leaf that is not there has the value zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StateKey {
    /// Balance in wei.
    Balance(Address),
    /// Transactions sent, or contracts created.
    Nonce(Address),
    /// Linear Poseidon hash of the code ([`super::hash_bytes`]); zero without code.
    CodeHash(Address),
    /// The word in a storage slot.
    Storage(Address, U256),
    /// Bytes of code.
    CodeLength(Address),
}

impl StateKey {
    /// Where the leaf stands. Costs one permutation, two for storage; [`Paths`] remembers.
    pub fn path(&self) -> Path {
        Preimage::from(*self).path()
    }

    /// The account that the leaf is part of.
    pub fn address(&self) -> Address {
        match self {
            Self::Balance(address)
            | Self::Nonce(address)
            | Self::CodeHash(address)
            | Self::Storage(address, _)
            | Self::CodeLength(address) => *address,
        }
    }

    /// The name as bytes: the constant that its path is derived with, the address, and for storage the slot without
    /// leading zeros. Distinct names have distinct bytes.
    pub fn encode(&self) -> Vec<u8> {
        let (kind, address, slot) = match self {
            Self::Balance(address) => (0, address, None),
            Self::Nonce(address) => (1, address, None),
            Self::CodeHash(address) => (2, address, None),
            Self::Storage(address, slot) => (3, address, Some(slot)),
            Self::CodeLength(address) => (4, address, None),
        };
        let slot = slot.map(U256::to_be_bytes_trimmed_vec).unwrap_or_default();
        [&[kind], address.as_slice(), &slot].concat()
    }

    /// The name that [`StateKey::encode`] makes these bytes of, if there is one.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        let (address, slot) = rest.split_first_chunk::<20>()?;
        let address = Address::from(*address);
        match (kind, slot) {
            (0, []) => Some(Self::Balance(address)),
            (1, []) => Some(Self::Nonce(address)),
            (2, []) => Some(Self::CodeHash(address)),
            (3, [0, ..]) => None,
            (3, slot) if slot.len() <= 32 => Some(Self::Storage(address, U256::from_be_slice(slot))),
            (4, []) => Some(Self::CodeLength(address)),
            _ => None,
        }
    }
}

impl fmt::Display for StateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Balance(address) => write!(f, "balance of {address}"),
            Self::Nonce(address) => write!(f, "nonce of {address}"),
            Self::CodeHash(address) => write!(f, "code hash of {address}"),
            Self::Storage(address, slot) => write!(f, "slot {slot:#x} of {address}"),
            Self::CodeLength(address) => write!(f, "code length of {address}"),
        }
    }
}

/// The name of a leaf of a block info tree, which is made anew for every block from fork 7 (Etrog) on.
///
/// Transactions are counted from 0 within the block, and so are logs: a log's number does not start again with each
/// transaction (cdk-erigon, `smt/pkg/blockinfo`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BlockInfoKey {
    /// State root after the previous block, where one would expect that block's hash.
    PreviousStateRoot,
    /// Receiver of the fees.
    Coinbase,
    /// Block number.
    Number,
    /// Gas limit: `2^64 - 1` in fork 7, `2^50` later.
    GasLimit,
    /// Seconds since the Unix epoch.
    Timestamp,
    /// Global exit root that the block brings in, or zero.
    GlobalExitRoot,
    /// L1 block hash that belongs to it, or zero.
    L1BlockHash,
    /// Gas used by the block.
    GasUsed,
    /// L2 hash of a transaction (linear Poseidon, not the Ethereum hash).
    TransactionHash(u64),
    /// 1 if the transaction succeeded, else no leaf.
    Status(u64),
    /// Gas used by the block up to and with this transaction.
    CumulativeGas(u64),
    /// Linear Poseidon hash of a log's data and topics.
    Log {
        /// The transaction that wrote it.
        transaction: u64,
        /// The log, counted over the whole block.
        log: u64,
    },
    /// Effective percentage of a transaction, 0 to 255.
    EffectivePercentage(u64),
}

impl BlockInfoKey {
    /// Where the leaf stands. Costs one permutation, two for a log; [`Paths`] remembers.
    pub fn path(&self) -> Path {
        Preimage::from(*self).path()
    }
}

impl fmt::Display for BlockInfoKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PreviousStateRoot => f.write_str("previous state root"),
            Self::Coinbase => f.write_str("coinbase"),
            Self::Number => f.write_str("block number"),
            Self::GasLimit => f.write_str("gas limit"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::GlobalExitRoot => f.write_str("global exit root"),
            Self::L1BlockHash => f.write_str("L1 block hash"),
            Self::GasUsed => f.write_str("gas used"),
            Self::TransactionHash(index) => write!(f, "hash of transaction {index}"),
            Self::Status(index) => write!(f, "status of transaction {index}"),
            Self::CumulativeGas(index) => write!(f, "cumulative gas after transaction {index}"),
            Self::Log { transaction, log } => write!(f, "log {log} by transaction {transaction}"),
            Self::EffectivePercentage(index) => write!(f, "effective percentage of transaction {index}"),
        }
    }
}

/// Derived paths, remembered: most keys of a block were in the blocks before it, and a path costs one or two
/// permutations.
///
/// The memory is bounded: at most twice [`Paths::LIMIT`] paths and as many slot hashes, those not used for longest go
/// first. What it has forgotten it derives again, so it never changes a result.
#[derive(Clone, Debug, Default)]
pub struct Paths {
    paths: Recent<Preimage, Path>,
    capacities: Recent<U256, [u64; 4]>,
}

impl Paths {
    /// How many paths fit into one of the two generations.
    pub const LIMIT: usize = 1 << 14;

    /// Nothing remembered yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same as [`StateKey::path`] or [`BlockInfoKey::path`].
    pub fn path(&mut self, key: impl Into<Preimage>) -> Path {
        let Self { paths, capacities } = self;
        paths.get_or_derive(key.into(), |preimage| {
            let capacity = match preimage.hashed {
                None => CAP,
                Some(word) => capacities.get_or_derive(word, |word| hash_word(*word)),
            };
            preimage.path_under(&capacity)
        })
    }
}

/// What a leaf's key is the hash of: `H([w0, .., w5, constant, 0], capacity)`, where `w` is an address or a
/// transaction's number in 32-bit limbs, and the capacity is the hash of a slot or log number, or of zeros
/// (zkevm-commonjs, `src/smt-utils.js`; cdk-erigon, `smt/pkg/utils/utils.go`).
///
/// Made from a [`StateKey`] or a [`BlockInfoKey`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Preimage {
    words: [u64; 6],
    constant: u64,
    hashed: Option<U256>,
}

/// The capacity of keys that name nothing beside address or transaction: the hash of zeros under zeros.
const CAP: [u64; 4] =
    [0x3c18_a978_6cb0_b359, 0xc405_5e33_64a2_46c3, 0x7953_db0a_b488_08f4, 0xc716_03f3_3a11_44ca];

impl Preimage {
    fn new(words: U256, constant: u64, hashed: Option<U256>) -> Self {
        let [w0, w1, w2, w3, w4, w5, ..] = limbs32(words);
        Self { words: [w0, w1, w2, w3, w4, w5], constant, hashed }
    }

    fn path(&self) -> Path {
        self.path_under(&self.hashed.map_or(CAP, hash_word))
    }

    fn path_under(&self, capacity: &[u64; 4]) -> Path {
        let [w0, w1, w2, w3, w4, w5] = self.words;
        Digest::hash(&[w0, w1, w2, w3, w4, w5, self.constant, 0], capacity).into()
    }
}

impl From<StateKey> for Preimage {
    fn from(key: StateKey) -> Self {
        let (address, constant, hashed) = match key {
            StateKey::Balance(address) => (address, 0, None),
            StateKey::Nonce(address) => (address, 1, None),
            StateKey::CodeHash(address) => (address, 2, None),
            StateKey::Storage(address, slot) => (address, 3, Some(slot)),
            StateKey::CodeLength(address) => (address, 4, None),
        };
        Self::new(U256::from_be_slice(address.as_slice()), constant, hashed)
    }
}

impl From<BlockInfoKey> for Preimage {
    fn from(key: BlockInfoKey) -> Self {
        let header = |index| (index, 7, None);
        let (number, constant, hashed) = match key {
            BlockInfoKey::PreviousStateRoot => header(0),
            BlockInfoKey::Coinbase => header(1),
            BlockInfoKey::Number => header(2),
            BlockInfoKey::GasLimit => header(3),
            BlockInfoKey::Timestamp => header(4),
            BlockInfoKey::GlobalExitRoot => header(5),
            BlockInfoKey::L1BlockHash => header(6),
            BlockInfoKey::GasUsed => header(7),
            BlockInfoKey::TransactionHash(index) => (index, 8, None),
            BlockInfoKey::Status(index) => (index, 9, None),
            BlockInfoKey::CumulativeGas(index) => (index, 10, None),
            BlockInfoKey::Log { transaction, log } => (transaction, 11, Some(U256::from(log))),
            BlockInfoKey::EffectivePercentage(index) => (index, 12, None),
        };
        Self::new(U256::from(number), constant, hashed)
    }
}

/// The capacity for a slot or log number.
fn hash_word(word: U256) -> [u64; 4] {
    Digest::hash(&limbs32(word), &[0; 4]).limbs()
}

/// The last values derived, in two generations: when the younger one is full it becomes the older one, and the older
/// one goes. The maps are ordered because contracts choose the keys, and could make a hash table slow.
#[derive(Clone, Debug)]
struct Recent<K, V> {
    young: BTreeMap<K, V>,
    old: BTreeMap<K, V>,
}

impl<K: Copy + Ord, V: Copy> Recent<K, V> {
    fn get_or_derive(&mut self, key: K, derive: impl FnOnce(&K) -> V) -> V {
        if let Some(value) = self.young.get(&key) {
            return *value;
        }
        let value = self.old.get(&key).copied().unwrap_or_else(|| derive(&key));
        if self.young.len() == Paths::LIMIT {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(key, value);
        value
    }
}

impl<K, V> Default for Recent<K, V> {
    fn default() -> Self {
        Self { young: BTreeMap::new(), old: BTreeMap::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloy_primitives::{B256, address, b256};

    fn path(key: B256) -> Path {
        Digest::try_from(key).expect("a key").into()
    }

    #[test]
    fn capacity_is_the_hash_of_zeros() {
        assert_eq!(Digest::hash(&[0; 8], &[0; 4]).limbs(), CAP);
    }

    #[test]
    fn state_keys_are_the_published_ones() {
        use StateKey::*;
        const ONES: Address = Address::repeat_byte(0xff);
        const USER: Address = address!("617b3a3528f9cdd6630fd3301b9c8911f7bf063d");
        const SYSTEM: Address = address!("000000000000000000000000000000005ca1ab1e");
        const EXIT_ROOTS: Address = address!("a40d5f56745a118d0906a34e69aec8c0db1cb8fa");
        #[rustfmt::skip]
        let cases = [
            (Balance(Address::ZERO), b256!("3b5346a24bd1277bafe6652dcadddf5412db8589cfbbea69425642a70003dbd1")),
            (Balance(ONES), b256!("58b74b258a4d86b3e433352bc6ffab5d34ff066df14296459a1683b8a14ff001")),
            (Balance(USER), b256!("649e63bfe1247ba44c2f3e938869b82dd24df1950f2d8f15cddc57c0d0fdd4ed")),
            (Nonce(Address::ZERO), b256!("3eb21a5de81b5ba736b3935c8609cca755e260c3f586eaeb2bce9db8e9f4b79e")),
            (Nonce(ONES), b256!("67079e9cc930714c30002e99bfaa8a6302c48fd75836371a4c1066f64fa91658")),
            (Nonce(USER), b256!("da69a3c4a8007a5a2879c9cc37ea44a26a4178e8c2545d53885eeae74812f9e5")),
            (CodeHash(Address::ZERO), b256!("a08cbf91bd98ed9d26b7157b9d25463f89f446e0ceaef00e8c7331113e9367a6")),
            (CodeHash(ONES), b256!("ddd63612d41f6277eb6d47baaad9a5f322a860a8fc3936fbe01bf94ec27a6b51")),
            (CodeHash(USER), b256!("5a6e842cb68d83c4ffb70ccd72f577d6ed527cf3dd93fd73b5caf18055c4c4d7")),
            (CodeLength(Address::ZERO), b256!("5aa94c2946278fb526c314fbee796a2891489465dd174333a5b3be5229486700")),
            (CodeLength(ONES), b256!("4c9901902e9fe732b30b1ed4b798820c16a5f69d25b0a26eeb1ff5f05f8f0e81")),
            (CodeLength(USER), b256!("94dd7ee5f8d79f7b4cd7e8ce986ada1daeb3ca9407d4f6edd9a115757ed1da9e")),
            (Storage(Address::ZERO, U256::from(0)), b256!("1bb61d3f0fa6c77b1ae5de7d05de6c0044a4bdc767729629a8f674ff2e5311ff")),
            (Storage(ONES, U256::MAX), b256!("494304e5417629155546805e24d58cf730741efd84c755deaaee0f5305823915")),
            (Storage(USER, U256::from(1)), b256!("b35535e70995538cc95341b82d65393a540570331f604ca89d9b6fad2288926a")),
            (Storage(SYSTEM, U256::from(0)), b256!("387cec268ce3c921f8308615ee783219fff7ea1740f685f02390e4b93bfb7317")),
            (Storage(SYSTEM, U256::from(2)), b256!("a8c7de3145f8bc4ba8dae79f0c2eacb83d75d1c384a37297becb86cc9cec3de1")),
            (Storage(SYSTEM, U256::from(3)), b256!("62dc6ae3ffcc2dbcd16fececc9dbf194d774a656f0cccc1081d8e5fafb6d43ca")),
            (Storage(EXIT_ROOTS, U256::from(1)), b256!("3dbcd178cbe3b0c66f22c92ea5923ea92411ee82c58136a0d4b99d5e267cec20")),
        ];
        for (name, key) in cases {
            assert_eq!(name.path(), path(key), "{name}");
            assert_eq!(Paths::new().path(name), path(key), "{name}");
        }
    }

    #[test]
    fn block_info_keys_are_the_published_ones() {
        use BlockInfoKey::*;
        let log = |transaction, log| Log { transaction, log };
        #[rustfmt::skip]
        let cases = [
            (PreviousStateRoot, b256!("e610db456c9b15f16aabde5ad92c1221d7008e39ec2ccd75f36aeedc454c978d")),
            (Coinbase, b256!("821136adba3e417972d645263b2ade0a9fbf1f083dd5af0ac070ca9e2a14dd90")),
            (Number, b256!("748bd808811b111ea84f4150c7957da0b51893835bfc02c55399c7020ded2ac6")),
            (GasLimit, b256!("eec3d4383c374ab14e40165511cfaae1c31608f19fdc3daf49d34e1bceeb9dd1")),
            (Timestamp, b256!("1c9fbeeedf3f5f2f85f931ac17105650991b441239b430536d7f79a76cbe716a")),
            (GlobalExitRoot, b256!("963e7536a3652dc058a94545081aebe3395b5d580b040f9ade7a8aca38e5be2d")),
            (L1BlockHash, b256!("7239787ca9a276081d994315b2b76c2e2b6e6a74793119604a5087f6ea284c6a")),
            (GasUsed, b256!("e8006cca4b7986af459ebeb990678712787cd7cc6e47c2bd770a5ba418eb76c7")),
            (TransactionHash(0), b256!("eb174d48616205ef6b5bb07bb775fa431a4e4ba3610a17fcb495c96722432b17")),
            (TransactionHash(1), b256!("f1bd9414bbcffe8d0ee2f0c75a8612b594495f3870188825654411d82110794c")),
            (Status(0), b256!("919082d7c4896c1d49d2e12e0551dcdfa215d9cd047d8629b30075e8dd452d75")),
            (Status(1), b256!("c11b9951865986c0e6f9b30cc7db18e8ccfd69707a7a0d0681b6e492f12f96de")),
            (CumulativeGas(0), b256!("2bcc78cf52cc3802f1e68183092284c94c1e48366e6419f478d5857968b9b55c")),
            (CumulativeGas(1), b256!("33df7f1785cc93057d5391f2026adf3d28be4a32bc24e550bc8ab6f1b02f4c7d")),
            (EffectivePercentage(0), b256!("b33bb204697b78fac75c9dde922be2ea266fddb64133626c8bea6eab6500d703")),
            (EffectivePercentage(1), b256!("ec7e72c319264038028cf3a2a4ad0c2e536c23713d3b7d99187bd0ff65a5681a")),
            (log(0, 0), b256!("db96dd65d01ca9ffbcbb19490f3b8338090176db325e55699e7878c55d6acbd7")),
            (log(0, 1), b256!("3f87fe7842cc034951f21f5ba4eb0e2a1b25706539df81c10051cc31bf68baff")),
            (log(1, 1), b256!("700a07383cdbdb52a2c8d2fe886136a41bcc150c911a7df91492fd35918dcd32")),
            (log(1, 2), b256!("d332b08bd22609cf551ab42407f95cd1bb5377be5f2068a0ce0c0e47eab6e95f")),
        ];
        for (name, key) in cases {
            assert_eq!(name.path(), path(key), "{name}");
            assert_eq!(Paths::new().path(name), path(key), "{name}");
        }
    }

    #[test]
    fn large_numbers_use_two_limbs() {
        let (low, high) = (BlockInfoKey::Status(u64::from(u32::MAX)), BlockInfoKey::Status(u64::MAX));
        assert_ne!(low.path(), high.path());
        assert_eq!(Preimage::from(high).words, [0xffff_ffff, 0xffff_ffff, 0, 0, 0, 0]);
        let log = BlockInfoKey::Log { transaction: u64::MAX, log: u64::MAX };
        assert_eq!(log.path(), Paths::new().path(log));
    }

    #[test]
    fn slot_hash_is_derived_once_for_all_contracts() {
        let mut paths = Paths::new();
        for byte in 0..3 {
            paths.path(StateKey::Storage(Address::repeat_byte(byte), U256::from(7)));
        }
        assert_eq!((paths.paths.young.len(), paths.capacities.young.len()), (3, 1));
    }

    #[test]
    fn what_is_used_stays_and_the_rest_goes() {
        let mut recent = Recent::default();
        for key in 0..10 * Paths::LIMIT {
            recent.get_or_derive(key, |key| key + 1);
            assert_eq!(recent.get_or_derive(0, |_| usize::MAX), 1);
            assert!(recent.young.len() <= Paths::LIMIT && recent.old.len() <= Paths::LIMIT);
        }
        assert_eq!(recent.get_or_derive(1, |_| usize::MAX), usize::MAX, "forgotten and derived again");
    }

    #[test]
    fn names_read_as_sentences() {
        let address = address!("000000000000000000000000000000005ca1ab1e");
        let slot = StateKey::Storage(address, U256::from(3));
        assert_eq!(slot.to_string(), "slot 0x3 of 0x000000000000000000000000000000005Ca1aB1E");
        assert_eq!(BlockInfoKey::Status(4).to_string(), "status of transaction 4");
    }
}
