//! Compares what the main node claims with what we compute.
//!
//! Each claim is compared by name; the first that is not true becomes a [`Mismatch`]. What stands every comparison
//! becomes a [`VerifiedBlock`] or [`VerifiedBatch`], and nothing else can be stored.

mod batch;
mod block;
mod genesis;
mod l1;
mod mismatch;
mod verdict;

pub use block::MakeError;
pub use mismatch::{Claim, Mismatch, Value};
pub use verdict::{Verdict, VerifiedBatch, VerifiedBlock, VerifiedUpdate, VerifiedVirtualBatch};

use crate::{
    chain::ChainSpec,
    executor::{BatchContext, BlockModel, Executor, Rules, State},
    store::{Store, StoreError},
    tree::Smt,
    types::{BatchEnd, BatchPart, BatchStart, Head, UpdateGer},
};
use alloc::string::ToString;

/// Checks one chain.
#[derive(Clone, Debug)]
pub struct Checker {
    spec: ChainSpec,
    executor: Executor,
}

impl Checker {
    /// A checker of the chain that `spec` describes.
    pub fn new(spec: ChainSpec) -> Self {
        Self { spec, executor: Executor::new() }
    }

    /// The chain that is checked.
    pub fn spec(&self) -> &ChainSpec {
        &self.spec
    }

    /// Checks what a batch says of itself before any block.
    ///
    /// # Errors
    ///
    /// The claim that is not true.
    pub fn check_batch_start(&self, start: &BatchStart, parent: &Head) -> Result<(), Mismatch> {
        let at = At { batch: start.number, block: parent.number };
        at.compare(Claim::BatchNumber, start.number, parent.batch + 1)?;
        if !parent.batch_closed {
            return Err(at.mismatch(Claim::BatchNumber, start.number, "the batch before it has no end"));
        }
        if start.fork_id < parent.fork_id {
            return Err(at.mismatch(Claim::ForkId, start.fork_id, "the batch before it runs a later fork"));
        }
        self.check_batch_identity(start, parent.number)
    }

    /// The part of [`Checker::check_batch_start`] that does not look at the batch before.
    pub(crate) fn check_batch_identity(&self, start: &BatchStart, block: u64) -> Result<(), Mismatch> {
        let at = At { batch: start.number, block };
        at.compare(Claim::ChainId, start.chain_id, self.spec.chain_id)?;
        if start.number == 0 {
            // The genesis batch executes nothing and names no fork.
            return at.compare(Claim::ForkId, start.fork_id, 0);
        }
        match self.spec.forks.fork_of(start.number) {
            Some(fork) => at.compare(Claim::ForkId, start.fork_id, fork.number()),
            None if self.spec.forks.is_known() => {
                Err(at.mismatch(Claim::ForkId, start.fork_id, "the chain's schedule begins later"))
            }
            None => rules(start, at).map(|_| ()),
        }
    }

    /// Brings in a global exit root that comes without a block, and compares the state root it gives.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the state is not at hand.
    pub fn check_update(
        &mut self,
        update: &UpdateGer,
        start: &BatchStart,
        parent: &Head,
        store: &dyn Store,
    ) -> Result<Verdict<VerifiedUpdate>, StoreError> {
        let at = At { batch: start.number, block: parent.number };
        let identity = at
            .compare(Claim::BatchNumber, update.batch_number, start.number)
            .and_then(|()| at.compare(Claim::ForkId, update.fork_id, start.fork_id))
            .and_then(|()| at.compare(Claim::ChainId, update.chain_id, start.chain_id))
            .and_then(|()| self.batch_context(start, at));
        let context = match identity {
            Ok(context) => context,
            Err(mismatch) => return Ok(Verdict::Mismatch(mismatch)),
        };
        let root = update.global_exit_root;
        if context.rules.block_model != BlockModel::Transaction {
            let rule = "this fork brings exit roots in with blocks only";
            return Ok(Verdict::Mismatch(at.mismatch(Claim::GlobalExitRoot, root, rule)));
        }
        let diff = self.executor.import_exit_root(root, update.timestamp, parent.state_root, store)?;
        let changes = diff.tree_changes(self.executor.paths());
        let tree = Smt::new(store).update(parent.state_root, changes)?;
        Ok(match at.compare(Claim::StateRoot, update.state_root, tree.root) {
            Err(mismatch) => Verdict::Mismatch(mismatch),
            Ok(()) => {
                let head = Head { state_root: tree.root, ..parent.clone() };
                let names = diff.names(&tree, self.executor.paths());
                Verdict::Verified(VerifiedUpdate { head, update: tree, names })
            }
        })
    }

    /// Checks the roots at the end of a batch against the state after its last block.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the state is not at hand.
    pub fn check_batch_end(
        &mut self,
        end: &BatchEnd,
        start: &BatchStart,
        parent: &Head,
        store: &dyn Store,
    ) -> Result<Verdict<VerifiedBatch>, StoreError> {
        let mut state = State::at(store, parent.state_root, self.executor.paths());
        let local_exit_root = state.local_exit_root()?;
        let at = At { batch: start.number, block: parent.number };
        let compared = at
            .compare(Claim::BatchNumber, end.number, start.number)
            .and_then(|()| at.compare(Claim::BatchStateRoot, end.state_root, parent.state_root))
            .and_then(|()| at.compare(Claim::LocalExitRoot, end.local_exit_root, local_exit_root));
        Ok(match compared {
            Err(mismatch) => Verdict::Mismatch(mismatch),
            Ok(()) => {
                let mut head = parent.clone();
                head.batch = start.number;
                head.fork_id = start.fork_id;
                head.batch_closed = true;
                head.totals.batches += 1;
                Verdict::Verified(VerifiedBatch { head })
            }
        })
    }

    fn batch_context(&self, start: &BatchStart, at: At) -> Result<BatchContext<'static>, Mismatch> {
        let rules = rules(start, at)?;
        Ok(BatchContext { rules, kind: start.kind, chain_id: self.spec.chain_id, part: BatchPart::WHOLE })
    }
}

/// The rules of the fork that a batch names.
fn rules(start: &BatchStart, at: At) -> Result<&'static Rules, Mismatch> {
    Rules::of_number(start.fork_id)
        .map_err(|error| at.mismatch(Claim::ForkId, start.fork_id, error.to_string()))
}

/// Where claims are being compared.
#[derive(Clone, Copy, Debug)]
struct At {
    batch: u64,
    block: u64,
}

impl At {
    fn compare<T: Into<Value> + PartialEq>(
        self,
        claim: Claim,
        expected: T,
        computed: T,
    ) -> Result<(), Mismatch> {
        if expected == computed { Ok(()) } else { Err(self.mismatch(claim, expected, computed)) }
    }

    fn mismatch(self, claim: Claim, expected: impl Into<Value>, computed: impl Into<Value>) -> Mismatch {
        let Self { batch, block } = self;
        Mismatch { batch, block, claim, expected: expected.into(), computed: computed.into() }
    }
}
