use alloy_primitives::B256;
use alloy_rlp::{RlpDecodable, RlpEncodable};

/// The last batch that a rollup's contract on L1 has accepted a validity proof for, and what was proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsolidatedBatch {
    /// Batch number; 0 while nothing but genesis is fixed.
    pub number: u64,
    /// State root after the batch.
    pub state_root: B256,
    /// Root of the bridge's exit tree after the batch.
    pub local_exit_root: B256,
}

/// How far L1 is known to agree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, RlpEncodable, RlpDecodable)]
pub struct Frontier {
    /// The last block of that batch.
    pub block: u64,
    /// The last batch.
    pub batch: u64,
}
