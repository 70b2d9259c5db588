//! Executes a block: the EVM with the rollup's rules. The only module that names revm.
//!
//! [`Executor::execute`] is given the input of a block and the state before it, never a claim. It returns what came
//! out: which state keys changed to what, receipts, and the root of the block info tree.

mod block_info;
mod fee;
mod opcodes;
mod precompiles;
mod prepare;
mod receipts_root;
mod rules;
mod state;
mod system;
#[cfg(test)]
mod tests;
mod transact;

pub use prepare::{PreparedBlock, PreparedTransaction};
pub use rules::Rules;
pub use state::{State, StateDiff};
pub use transact::Invalid;

use crate::{
    store::{Store, StoreError},
    tree::Paths,
    types::{BatchKind, Head, Receipt},
};
use alloc::{borrow::Cow, vec::Vec};
use alloy_primitives::{B256, Bloom, logs_bloom};
use receipts_root::receipts_root;
use system::Opening;

/// Runs blocks. It keeps nothing of a chain, only caches of derived values, so one serves any number of chains.
#[derive(Clone, Debug, Default)]
pub struct Executor {
    paths: Paths,
}

/// What a block needs from the batch around it.
#[derive(Clone, Copy, Debug)]
pub struct BatchContext {
    /// What the batch's fork prescribes.
    pub rules: &'static Rules,
    /// How the batch came to be.
    pub kind: BatchKind,
    /// Chain id, as CHAINID returns it and EIP-155 transactions sign it.
    pub chain_id: u64,
}

/// What came out of a block.
#[derive(Debug)]
pub struct Execution {
    /// State keys and code that changed.
    pub diff: StateDiff,
    /// One for each transaction, in order.
    pub receipts: Vec<Receipt>,
    /// Root of the block info tree.
    pub block_info_root: B256,
    /// Root of the receipts as the header commits to them.
    pub receipts_root: B256,
    /// Union of the receipts' blooms.
    pub logs_bloom: Bloom,
    /// Sum over the transactions.
    pub gas_used: u64,
    /// Poseidon permutations spent on the block info tree.
    pub permutations: u64,
}

/// Why there is no [`Execution`].
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError {
    /// The block breaks a rule: no honest sequencer made it.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The state could not be read: this says nothing about the block.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Executor {
    /// An executor with empty caches.
    pub fn new() -> Self {
        Self::default()
    }

    /// The cache of tree paths, shared with whoever updates the tree.
    pub fn paths(&mut self) -> &mut Paths {
        &mut self.paths
    }

    /// Runs `block` on the state after `parent`.
    ///
    /// The order of writes is that of `spec/execution.md` §5.2.
    ///
    /// # Errors
    ///
    /// [`ExecuteError::Invalid`] when the block breaks a rule, [`ExecuteError::Store`] when the state is not at hand.
    pub fn execute<S: Store>(
        &mut self,
        block: &PreparedBlock,
        batch: &BatchContext,
        parent: &Head,
        store: &S,
    ) -> Result<Execution, ExecuteError> {
        let mut state = State::at(store, parent.state_root, &mut self.paths);
        let opening = Opening::of(block.input(), batch)?;
        opening.write(&mut state, parent)?;

        let receipts = transact::run_all(block, batch, &opening, &mut state)?;
        let gas_used = receipts.last().map_or(0, |receipt| receipt.cumulative_gas_used);

        let info = block_info::build(block, batch.rules, &opening, parent, &receipts, state.paths())?;
        state.write_block_info_root(info.root)?;
        let diff = state.into_diff();

        let logs: Vec<_> = receipts.iter().map(|receipt| batch.rules.receipt_logs(&receipt.logs)).collect();
        Ok(Execution {
            diff,
            block_info_root: info.root,
            permutations: info.permutations,
            receipts_root: receipts_root(&receipts, &logs),
            logs_bloom: logs_bloom(logs.iter().flatten().map(Cow::as_ref)),
            receipts,
            gas_used,
        })
    }
}
