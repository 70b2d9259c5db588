use super::Details;
use alloc::{boxed::Box, string::String};
use alloy_primitives::B256;
use core::fmt;

/// A claim of the main node that is not true: what exactly differs, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The batch that the claim is about, or that its block is in.
    pub batch: u64,
    /// The block that the claim is about; for a batch, the last block before the claim.
    pub block: u64,
    /// What was claimed.
    pub claim: Claim,
    /// The value that the main node gave.
    pub expected: Value,
    /// The value that we computed, or the rule that the claim breaks.
    pub computed: Value,
    /// What else is known of it.
    pub details: Box<Details>,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { batch, block, claim, expected, computed, .. } = self;
        write!(f, "block {block} (batch {batch}): {claim}: expected {expected}, computed {computed}")
    }
}

/// What the main node can be wrong about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Claim {
    /// Chain id of a batch.
    ChainId,
    /// Fork id of a batch.
    ForkId,
    /// How a batch came to be.
    BatchKind,
    /// Number of a batch, or the batch that a block says it is in.
    BatchNumber,
    /// Number of a block.
    BlockNumber,
    /// Timestamp of a block, or its distance from the block before.
    Timestamp,
    /// Gas limit of a block.
    GasLimit,
    /// Receiver of the fees, where the protocol fixes it (genesis).
    Coinbase,
    /// Index of an L1 info leaf.
    L1InfoIndex,
    /// Global exit root of a block.
    GlobalExitRoot,
    /// L1 block hash of a block.
    L1BlockHash,
    /// Earliest timestamp of an L1 info leaf.
    MinTimestamp,
    /// A transaction: its signature, or that it runs.
    Transaction,
    /// State root after a transaction.
    IntermediateStateRoot,
    /// State root after a block.
    StateRoot,
    /// Root of the block info tree.
    BlockInfoRoot,
    /// Header hash of a block.
    BlockHash,
    /// State root at the end of a batch.
    BatchStateRoot,
    /// Local exit root at the end of a batch.
    LocalExitRoot,
    /// What a batch and all before it commit to.
    AccInputHash,
    /// Leaf of the L1 info tree, under the root that a batch commits to.
    L1InfoLeaf,
    /// State root in the operator's genesis configuration.
    GenesisRoot,
    /// State root after a batch, as it was proved on L1.
    ConsolidatedStateRoot,
    /// Local exit root after a batch, as it was proved on L1.
    ConsolidatedExitRoot,
}

impl Claim {
    /// L1 makes it, and not the main node.
    pub const fn is_made_by_l1(self) -> bool {
        matches!(self, Self::ConsolidatedStateRoot | Self::ConsolidatedExitRoot)
    }

    /// The claim's name, as it stands in messages and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ChainId => "chain id",
            Self::ForkId => "fork id",
            Self::BatchKind => "batch type",
            Self::BatchNumber => "batch number",
            Self::BlockNumber => "block number",
            Self::Timestamp => "timestamp",
            Self::GasLimit => "gas limit",
            Self::Coinbase => "coinbase",
            Self::L1InfoIndex => "L1 info tree index",
            Self::GlobalExitRoot => "global exit root",
            Self::L1BlockHash => "L1 block hash",
            Self::MinTimestamp => "minimum timestamp",
            Self::Transaction => "transaction",
            Self::IntermediateStateRoot => "intermediate state root",
            Self::StateRoot => "state root",
            Self::BlockInfoRoot => "block info root",
            Self::BlockHash => "block hash",
            Self::BatchStateRoot => "batch state root",
            Self::LocalExitRoot => "local exit root",
            Self::AccInputHash => "accumulated input hash",
            Self::L1InfoLeaf => "L1 info leaf",
            Self::GenesisRoot => "genesis root",
            Self::ConsolidatedStateRoot => "state root proved on L1",
            Self::ConsolidatedExitRoot => "local exit root proved on L1",
        }
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One side of a disagreement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A hash or root.
    Hash(B256),
    /// A number.
    Number(u64),
    /// What no number or hash can say.
    Text(String),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hash(hash) => hash.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

impl From<B256> for Value {
    fn from(hash: B256) -> Self {
        Self::Hash(hash)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}
