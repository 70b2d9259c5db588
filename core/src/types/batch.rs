use super::L1Info;
use alloc::collections::BTreeMap;
use alloy_primitives::{Address, B256, Bytes};
use serde::{Deserialize, Serialize};

/// How a batch came to be (`BatchType` in cdk-erigon's `datastream.proto`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum BatchKind {
    /// Made by the sequencer: its data names every L2 block.
    Regular,
    /// Sent to L1 by a user and included by force: one block, no block header in its data.
    Forced,
    /// The first batch of a chain: one transaction that sets up the bridge, forced in form.
    Injected,
    /// Discarded as a whole by the protocol: no blocks, no effect on the state.
    Invalid,
}

/// The main node opens a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BatchStart {
    /// Batch number; 0 is genesis.
    pub number: u64,
    /// How the batch came to be.
    pub kind: BatchKind,
    /// Protocol version of every block in the batch; 0 in the genesis batch.
    pub fork_id: u64,
    /// Chain id the main node says it serves.
    pub chain_id: u64,
}

/// The main node closes a batch. Both roots are claims.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BatchEnd {
    /// Batch number.
    pub number: u64,
    /// Root of the bridge's exit tree after the batch; zero until the bridge first writes it.
    pub local_exit_root: B256,
    /// State root after the batch's last block.
    pub state_root: B256,
}

/// A global exit root that came without a block: only in batches of forks below 7.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdateGer {
    /// Batch that brings it.
    pub batch_number: u64,
    /// Seconds since the Unix epoch.
    pub timestamp: u64,
    /// The root.
    pub global_exit_root: B256,
    /// The sequencer. Nothing is compared with it and nothing made of it: without a block there is no header and no fee
    /// that it could show in, and the state root would be the same with any other.
    pub coinbase: Address,
    /// Protocol version of the batch.
    pub fork_id: u64,
    /// Chain id.
    pub chain_id: u64,
    /// State root after the update.
    pub state_root: B256,
}

/// How a fork writes batch data (batchL2Data: what the sequencer posts to L1 and what batches commit to), and which
/// irregularities it overlooks (`spec/sync.md` §3.5, `spec/execution.md` §4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchEncoding {
    /// Entries that open an L2 block stand between the transactions.
    pub l2_blocks: bool,
    /// A byte behind each signature says which share of the gas price is charged; otherwise it is all of it.
    pub effective_percentage: bool,
    /// Most bytes in which RLP may write a length.
    pub length_bytes: usize,
    /// RLP integers and lengths may begin with zero bytes.
    pub leading_zeros: bool,
    /// cdk-erigon may have written typed transactions. The prover knows none.
    pub typed_transactions: bool,
}

impl BatchEncoding {
    /// Of fork 1.
    pub const FIRST: Self = Self {
        l2_blocks: false,
        effective_percentage: false,
        length_bytes: 8,
        leading_zeros: true,
        typed_transactions: false,
    };
}

/// A batch as L1 has it: all that its execution needs beside the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchInput {
    /// How the batch came to be. [`BatchKind::Invalid`] when it is known to be discarded for a reason that only the
    /// prover sees: it ran out of counters.
    pub kind: BatchKind,
    /// batchL2Data.
    pub data: Bytes,
    /// Receiver of the fees.
    pub coinbase: Address,
    /// Timestamp of every block before fork 7 and of a forced batch; else the latest that a block may have.
    pub timestamp: u64,
    /// Global exit root before fork 7 and of a forced batch; else the root of the L1 info tree.
    pub l1_root: B256,
    /// L1 block hash that a forced batch brings in; else zero.
    pub forced_block_hash: B256,
    /// Leaves of the L1 info tree that the blocks refer to, by index.
    pub l1_info: BTreeMap<u32, L1Info>,
    /// For each of these leaves that is to be shown to stand under the root of the L1 info tree: its siblings, from the
    /// leaf up. A leaf without a proof is taken as it is.
    pub l1_info_proofs: BTreeMap<u32, [B256; 32]>,
    /// The accumulated input hash before the batch.
    pub previous_acc_input_hash: B256,
    /// Whether all of the batch is run.
    pub part: BatchPart,
}

/// How much of a batch is run. A sequencer that is still filling a block simulates a part; what is proved is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchPart {
    /// Transactions before the first block of the batch belong to a block that is open already.
    pub continues_block: bool,
    /// The root of the block info tree is not written.
    pub leaves_block_open: bool,
}

impl BatchPart {
    /// All of it.
    pub const WHOLE: Self = Self { continues_block: false, leaves_block_open: false };
}

/// What is said to come out of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchClaims {
    /// State root after the batch.
    pub state_root: B256,
    /// Root of the bridge's exit tree after the batch.
    pub local_exit_root: B256,
    /// The accumulated input hash after the batch; `None` when the source does not say.
    pub acc_input_hash: Option<B256>,
}
