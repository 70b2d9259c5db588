//! Compares what the main node claims with what we compute.
//!
//! Each claim is compared by name; the first that is not true becomes a [`Mismatch`]. What stands every comparison
//! becomes a [`VerifiedBlock`] or [`VerifiedBatch`], and nothing else can be stored.

mod block;
mod genesis;
mod mismatch;
mod verdict;

pub use mismatch::{Claim, Mismatch, Value};
pub use verdict::{Verdict, VerifiedBatch, VerifiedBlock};

use crate::{
    chain::ChainSpec,
    executor::{BatchContext, Executor, Rules, State},
    store::{Store, StoreError},
    types::{BatchEnd, BatchStart, Head},
};

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
        self.check_batch_identity(start, parent.number)
    }

    /// The part of [`Checker::check_batch_start`] that does not look at the batch before.
    pub(crate) fn check_batch_identity(&self, start: &BatchStart, block: u64) -> Result<(), Mismatch> {
        let at = At { batch: start.number, block };
        at.compare(Claim::ChainId, start.chain_id, self.spec.chain_id)?;
        // The genesis batch executes nothing and names no fork.
        let fork = if start.number == 0 { 0 } else { self.spec.fork.number() };
        at.compare(Claim::ForkId, start.fork_id, fork)
    }

    /// Checks the roots at the end of a batch against the state after its last block.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the state is not at hand.
    pub fn check_batch_end<S: Store>(
        &mut self,
        end: &BatchEnd,
        start: &BatchStart,
        parent: &Head,
        store: &S,
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

    fn batch_context(&self, start: &BatchStart) -> BatchContext {
        BatchContext { rules: Rules::of(self.spec.fork), kind: start.kind, chain_id: self.spec.chain_id }
    }
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
