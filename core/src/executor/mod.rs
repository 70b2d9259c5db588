//! Executes a block: the EVM with the rollup's rules. The only module that names revm.
//!
//! [`Executor::execute`] is given the input of a block and the state before it, never a claim. It returns what came
//! out: which state keys changed to what, receipts, and the root of the block info tree.

mod access;
mod batch;
mod block_info;
mod call;
mod evm;
mod fee;
mod interrupt;
mod opcodes;
mod precompiles;
mod prepare;
mod receipts_root;
mod rules;
mod state;
mod system;
#[cfg(test)]
mod tests;
#[cfg(feature = "trace")]
mod trace;
mod transact;

pub use access::AccessListResult;
pub use batch::{BatchError, BatchExecution, Discarded};
pub use call::{Call, CallContext, CallError, CallOutcome, CallResult};
pub use fee::effective_gas_price;
pub use interrupt::Interrupt;
pub use prepare::{PreparedBlock, PreparedInput, PreparedTransaction};
pub use rules::{BlockModel, InitCodeInput, Precompile, ReceiptLogs, ReceiptOutcome, Rules};
pub(crate) use state::Lack;
pub use state::{AccountOverride, State, StateDiff};
#[cfg(feature = "trace")]
pub use trace::{
    AccountTrace, CallFrame, CallLog, CallsConfig, PrestateConfig, PrestateTrace, Step, StepTrace,
    StepsConfig, Trace, TraceError, TraceRequest, Traced, Tracer, trace_block,
};
pub use transact::{Skipped, Unrunnable};

use crate::{
    store::{Store, StoreError},
    tree::{Paths, StateKey},
    types::{BatchKind, BatchPart, Head, Receipt},
};
use alloc::{borrow::Cow, collections::BTreeSet, vec::Vec};
use alloy_primitives::{B256, Bloom, U256, logs_bloom};
use receipts_root::receipts_root;
use system::Opening;
pub(crate) use system::{BLOCK_INFO_ROOT_SLOT, closing_leaf, exit_root_leaf, local_exit_root_leaf};

/// Runs blocks. It keeps nothing of a chain, only caches of derived values, so one serves any number of chains.
#[derive(Clone, Debug, Default)]
pub struct Executor {
    paths: Paths,
}

/// What a block needs from the batch around it.
#[derive(Clone, Copy, Debug)]
pub struct BatchContext<'r> {
    /// What the batch's fork prescribes.
    pub rules: &'r Rules,
    /// How the batch came to be.
    pub kind: BatchKind,
    /// Chain id, as CHAINID returns it and EIP-155 transactions sign it.
    pub chain_id: u64,
    /// How much of the block is run.
    pub part: BatchPart,
}

/// The block before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parent {
    /// Block number.
    pub number: u64,
    /// State root after it.
    pub state_root: B256,
}

impl From<&Head> for Parent {
    fn from(&Head { number, state_root, .. }: &Head) -> Self {
        Self { number, state_root }
    }
}

/// What came out of a block.
#[derive(Debug)]
pub struct Execution {
    /// State keys and code that changed.
    pub diff: StateDiff,
    /// One for each transaction that ran, in order.
    pub receipts: Vec<Receipt>,
    /// Transactions that did not run, in order.
    pub skipped: Vec<Skipped>,
    /// State root after each transaction, in forks whose sequencer tells it; before fork 7 without the entry in the
    /// system contract's map that names it.
    pub intermediate_state_roots: Vec<B256>,
    /// Root of the block info tree; zero before fork 7, which has none.
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

/// Why no honest sequencer made a block; it discards the whole batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// A regular block refers to an L1 info leaf of zeros.
    #[error("L1 info leaf {index} is all zero")]
    ZeroL1Info {
        /// Index of the leaf.
        index: u32,
    },
    /// A block is older than the L1 information it uses.
    #[error("timestamp {timestamp} is before {min_timestamp}, the earliest for its L1 info leaf")]
    BeforeL1Info {
        /// Of the block.
        timestamp: u64,
        /// Of the leaf.
        min_timestamp: u64,
    },
    /// An invalid batch has no blocks.
    #[error("a block in an invalid batch")]
    BlockInInvalidBatch,
}

/// Why there is no [`Execution`].
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError {
    /// The block breaks a rule.
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
    /// The order of writes is that of `spec/execution.md` §5.
    ///
    /// # Errors
    ///
    /// [`ExecuteError::Invalid`] when the block breaks a rule, [`ExecuteError::Store`] when the state is not at hand.
    pub fn execute(
        &mut self,
        block: &PreparedInput,
        batch: &BatchContext<'_>,
        parent: Parent,
        store: &dyn Store,
    ) -> Result<Execution, ExecuteError> {
        let mut state = State::at(store, parent.state_root, &mut self.paths);
        let execution = run(block, batch, &parent, &mut state)?;
        Ok(Execution { diff: state.into_diff(), ..execution })
    }

    /// What a batch writes that brings a global exit root in before its blocks (forks before 7).
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the state is not at hand.
    pub fn import_exit_root(
        &mut self,
        global_exit_root: B256,
        timestamp: u64,
        state_root: B256,
        store: &dyn Store,
    ) -> Result<StateDiff, StoreError> {
        let mut state = State::at(store, state_root, &mut self.paths);
        state.import_exit_root(global_exit_root, U256::from(timestamp))?;
        Ok(state.into_diff())
    }
}

/// Runs a verified block once more on `state`, which is that after `parent`, and says which leaves anyone can need to
/// execute it, and the state root after it. Whether that is the block's is for the caller to compare.
///
/// These are all that were read or written, all fields of their accounts, and what the protocol itself keeps
/// (cdk-erigon, `turbo/trie` and `smt/pkg/smt/witness.go`).
///
/// # Errors
///
/// Those of [`Executor::execute`].
pub fn touch_block(
    block: &PreparedInput,
    batch: &BatchContext<'_>,
    parent: Parent,
    state: &mut State<'_>,
) -> Result<(BTreeSet<StateKey>, B256), ExecuteError> {
    // A block that repeats an exit root is compared with what the chain knows of it.
    if !block.l1_info.global_exit_root.is_zero() {
        state.known_exit_root(block.l1_info.global_exit_root)?;
    }
    run(block, batch, &parent, state)?;
    let root = state.intermediate_root()?;
    let mut keys: BTreeSet<_> = state.touched().collect();
    let accounts: BTreeSet<_> = keys.iter().map(StateKey::address).collect();
    for address in accounts {
        keys.extend([
            StateKey::Balance(address),
            StateKey::Nonce(address),
            StateKey::CodeHash(address),
            StateKey::CodeLength(address),
        ]);
    }
    keys.extend(system::own_leaves());
    Ok((keys, root))
}

/// Runs `block` on `state`, where the changes stay.
fn run(
    block: &PreparedInput,
    batch: &BatchContext<'_>,
    parent: &Parent,
    state: &mut State<'_>,
) -> Result<Execution, ExecuteError> {
    let rules = batch.rules;
    let opening = Opening::of(block, batch)?;
    opening.write(state, parent)?;
    let (executed, skipped) = transact::run_all(block, batch, &opening, state)?;

    let mut intermediate_state_roots: Vec<_> = executed.iter().filter_map(|ran| ran.state_root).collect();
    let (mut block_info_root, mut permutations) = (B256::ZERO, 0);
    match rules.block_model {
        BlockModel::Transaction => {
            intermediate_state_roots.push(state.write_transaction_block(opening.number)?);
        }
        BlockModel::L2Block => {
            let info = block_info::build(rules, &opening, parent, &executed, state.paths())?;
            if !batch.part.leaves_block_open {
                state.write_block_info_root(info.root)?;
            }
            (block_info_root, permutations) = (info.root, info.permutations);
        }
    }
    let receipts: Vec<_> = executed.into_iter().map(|ran| ran.receipt).collect();
    let logs: Vec<_> = receipts.iter().map(|receipt| rules.receipt_logs(&receipt.logs)).collect();
    let receipt_roots = match rules.receipt_outcome {
        ReceiptOutcome::BlockStateRoot => alloc::vec![state.intermediate_root()?],
        ReceiptOutcome::TransactionStateRoot => intermediate_state_roots.clone(),
        ReceiptOutcome::Status => Vec::new(),
    };
    Ok(Execution {
        diff: StateDiff::default(),
        block_info_root,
        permutations,
        receipts_root: receipts_root(rules, &receipts, &logs, &receipt_roots),
        logs_bloom: logs_bloom(logs.iter().flatten().map(Cow::as_ref)),
        gas_used: receipts.last().map_or(0, |receipt| receipt.cumulative_gas_used),
        receipts,
        skipped,
        intermediate_state_roots,
    })
}
