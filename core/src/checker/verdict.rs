use super::Mismatch;
use crate::{
    executor::{BatchExecution, StateDiff},
    store::{Commit, Key},
    tree::{Path, StateKey, TreeUpdate},
    types::{BlockRecord, Head, Totals, TransactionPlace},
};
use alloc::vec::Vec;
use alloy_primitives::{B256, Bytes, keccak256};

/// What came of a check. That it could not be made is an error, never a verdict.
#[derive(Debug)]
pub enum Verdict<T> {
    /// Every claim is true.
    Verified(T),
    /// This claim is not.
    Mismatch(Mismatch),
}

/// A block of which every claim was checked. Only the checker makes one, and only one of these extends the chain.
#[derive(Debug)]
pub struct VerifiedBlock {
    pub(super) head: Head,
    pub(super) record: BlockRecord,
    pub(super) diff: StateDiff,
    pub(super) update: TreeUpdate,
    /// Of the leaves that the update has planted.
    pub(super) names: Vec<(Path, StateKey)>,
    pub(super) permutations: u64,
    /// One for each transaction.
    pub(super) l2_hashes: Vec<B256>,
}

impl VerifiedBlock {
    /// The chain's new head.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// How much was verified up to the block, where that has to be counted anew.
    pub(crate) fn count(&mut self, totals: Totals) {
        self.head.totals = totals;
    }

    /// The block, as it will be stored.
    pub fn record(&self) -> &BlockRecord {
        &self.record
    }

    /// State keys and code that changed.
    pub fn diff(&self) -> &StateDiff {
        &self.diff
    }

    /// Poseidon permutations spent on the nodes of both trees, keys and code hashes not counted.
    pub fn permutations(&self) -> u64 {
        self.permutations
    }
}

impl From<&VerifiedBlock> for Commit {
    fn from(block: &VerifiedBlock) -> Self {
        let mut commit = Self::default();
        block.update.write(&mut commit);
        write_names(&block.names, &block.update, &mut commit);
        block.diff.write_codes(&mut commit);
        let number = block.head.number;
        commit.put(Key::Block(number), alloy_rlp::encode(&block.record).into());
        commit.put(Key::BlockNumber(block.head.hash), number.to_be_bytes().into());
        for ((index, transaction), l2_hash) in (0..).zip(&block.record.transactions).zip(&block.l2_hashes) {
            let place = TransactionPlace { block: number, index };
            let hash = keccak256(&transaction.encoded);
            let place = Bytes::from(alloy_rlp::encode(place));
            commit.put(Key::TransactionPlace(hash), place.clone());
            commit.put(Key::L2TransactionPlace(*l2_hash), place);
        }
        commit.put(Key::Head, alloy_rlp::encode(&block.head).into());
        commit
    }
}

/// Adds the names of new leaves to a commit, and lets those go whose leaves have gone.
fn write_names(names: &[(Path, StateKey)], update: &TreeUpdate, commit: &mut Commit) {
    for (path, name) in names {
        commit.put(Key::LeafName((*path).into()), name.encode().into());
    }
    for path in &update.felled {
        commit.release(Key::LeafName((*path).into()));
    }
}

/// A batch whose end was checked.
#[derive(Debug)]
pub struct VerifiedBatch {
    pub(super) head: Head,
}

impl VerifiedBatch {
    /// The chain's head, which now says that its batch is closed.
    pub fn head(&self) -> &Head {
        &self.head
    }
}

impl From<&VerifiedBatch> for Commit {
    fn from(batch: &VerifiedBatch) -> Self {
        let mut commit = Self::default();
        commit.put(Key::Head, alloy_rlp::encode(&batch.head).into());
        commit
    }
}

/// A state root that a global exit root without a block gave.
#[derive(Debug)]
pub struct VerifiedUpdate {
    pub(super) head: Head,
    pub(super) update: TreeUpdate,
    /// Of the leaves that the update has planted.
    pub(super) names: Vec<(Path, StateKey)>,
}

impl VerifiedUpdate {
    /// The chain's head, with the new state root.
    pub fn head(&self) -> &Head {
        &self.head
    }
}

impl From<&VerifiedUpdate> for Commit {
    fn from(verified: &VerifiedUpdate) -> Self {
        let mut commit = Self::default();
        verified.update.write(&mut commit);
        write_names(&verified.names, &verified.update, &mut commit);
        commit.put(Key::Head, alloy_rlp::encode(&verified.head).into());
        commit
    }
}

/// A batch that was executed from its data on L1, and gave what was said.
#[derive(Debug)]
pub struct VerifiedVirtualBatch {
    pub(super) execution: BatchExecution,
}

impl VerifiedVirtualBatch {
    /// What came out.
    pub fn execution(&self) -> &BatchExecution {
        &self.execution
    }
}

impl From<&VerifiedVirtualBatch> for Commit {
    /// The state after the batch, without a head: it does not extend a chain of blocks.
    fn from(batch: &VerifiedVirtualBatch) -> Self {
        batch.execution.written.clone()
    }
}
