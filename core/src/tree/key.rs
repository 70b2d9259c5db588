use super::digest::{Digest, Path, limbs32};
use alloc::collections::BTreeMap;
use alloy_primitives::{Address, U256};
use core::{fmt, mem};

/// The name of a leaf of the state tree. A leaf that is not there has the value zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
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
#[derive(Debug, Default)]
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
const CAP: [u64; 4] = [
    0x3c18_a978_6cb0_b359,
    0xc405_5e33_64a2_46c3,
    0x7953_db0a_b488_08f4,
    0xc716_03f3_3a11_44ca,
];

impl Preimage {
    fn new(words: U256, constant: u64, hashed: Option<U256>) -> Self {
        let [w0, w1, w2, w3, w4, w5, ..] = limbs32(words);
        Self {
            words: [w0, w1, w2, w3, w4, w5],
            constant,
            hashed,
        }
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
#[derive(Debug)]
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
        Self {
            young: BTreeMap::new(),
            old: BTreeMap::new(),
        }
    }
}
