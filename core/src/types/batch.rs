use alloy_primitives::B256;

/// How a batch came to be (`BatchType` in cdk-erigon's `datastream.proto`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
#[derive(Clone, Debug, PartialEq, Eq)]
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchEnd {
    /// Batch number.
    pub number: u64,
    /// Root of the bridge's exit tree after the batch; zero until the bridge first writes it.
    pub local_exit_root: B256,
    /// State root after the batch's last block.
    pub state_root: B256,
}
