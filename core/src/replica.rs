//! Takes what the main node sends, in order, and extends the verified chain by it.

use crate::{
    chain::{ChainSpec, Genesis},
    checker::{Checker, Claim, Mismatch, Value, Verdict, VerifiedBlock},
    executor::PreparedBlock,
    source::datastream::Item,
    store::{Commit, Key, Store, StoreError, log_index, need_block, read},
    types::{BatchEnd, BatchStart, BlockRecord, ConsolidatedBatch, Frontier, Head, Totals, UpdateGer},
};
use alloc::boxed::Box;
use alloy_primitives::B256;

/// What the main node sends next.
#[derive(Debug)]
pub enum Input {
    /// A batch begins.
    BatchStart(BatchStart),
    /// The next block of the open batch.
    Block(Box<PreparedBlock>),
    /// A global exit root that the open batch brings without a block.
    UpdateGer(UpdateGer),
    /// The open batch ends.
    BatchEnd(BatchEnd),
}

impl From<Item> for Input {
    /// Prepares the block, which is where the time goes.
    fn from(item: Item) -> Self {
        match item {
            Item::BatchStart(start) => Self::BatchStart(start),
            Item::Block(block) => Self::Block(Box::new(block.into())),
            Item::UpdateGer(update) => Self::UpdateGer(update),
            Item::BatchEnd(end) => Self::BatchEnd(end),
        }
    }
}

/// What came of an [`Input`].
#[derive(Debug)]
pub enum Step {
    /// A batch was opened.
    Opened,
    /// It was verified in an earlier run; what the main node says of it now is still the same.
    Known,
    /// A block was verified and stored.
    Verified(Box<VerifiedBlock>),
    /// A global exit root that came without a block was brought in and stored.
    Updated,
    /// The end of a batch was verified and stored.
    Closed,
}

/// Why the chain was not extended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Halt {
    /// The main node is wrong.
    #[error("{0}")]
    Mismatch(Mismatch),
    /// The store failed; nothing is known about the claim.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The input is not one that can come now: the source broke its own order.
    #[error("{0}")]
    OutOfOrder(&'static str),
}

/// Why the chain was not rolled back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RollBackError {
    /// The block is not part of the chain, or nothing is.
    #[error("block {to} is above the last verified block")]
    Above {
        /// What was asked for.
        to: u64,
    },
    /// The block is below those that are final.
    #[error("cannot roll back to block {to}: block {frontier} is final")]
    Final {
        /// What was asked for.
        to: u64,
        /// The last final block.
        frontier: u64,
    },
    /// The store failed, or does not keep states as old as that.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The verified chain and its next step.
#[derive(Clone, Debug)]
pub struct Replica {
    checker: Checker,
    genesis: Genesis,
    head: Option<Head>,
    batch: Option<BatchStart>,
    /// The source began again at genesis, and has not come to the head yet.
    resuming: bool,
    /// While resuming: the state after the last block that came again, if nothing has come behind it.
    position: Option<B256>,
    /// No block up to there is ever rolled back.
    frontier: Option<Frontier>,
    /// The head was moved to an earlier block, and no block was verified there yet.
    branch: Option<Branch>,
}

/// All that the outcome of the next input depends on, beside the input and the store.
#[derive(Clone, Debug)]
pub(crate) struct Situation {
    pub(crate) spec: ChainSpec,
    /// What the chain begins with; only of interest as long as it has not begun.
    pub(crate) genesis: Option<Genesis>,
    pub(crate) head: Option<Head>,
    pub(crate) batch: Option<BatchStart>,
    pub(crate) resuming: bool,
    pub(crate) position: Option<B256>,
}

impl From<Situation> for Replica {
    fn from(Situation { spec, genesis, head, batch, resuming, position }: Situation) -> Self {
        let (checker, genesis) = (Checker::new(spec), genesis.unwrap_or_default());
        Self { checker, genesis, head, batch, resuming, position, frontier: None, branch: None }
    }
}

/// A chain that may leave the stored one. Until it does, the head's totals are those of the stored head.
#[derive(Clone, Debug)]
struct Branch {
    /// The stored head.
    left: Head,
    /// The last common block: those above it go when the branch is taken.
    common: u64,
}

impl Branch {
    /// The totals without the blocks that go. It reads each of them, so it is for when they do go.
    fn totals(&self, totals: Totals, store: &dyn Store) -> Result<Totals, StoreError> {
        let (mut transactions, mut gas) = (0u64, 0u64);
        for number in self.common + 1..=self.left.number {
            let record = need_block(store, number)?;
            transactions = transactions.saturating_add(record.transactions.len() as u64);
            gas = gas.saturating_add(record.header.gas_used);
        }
        Ok(totals.without(self.left.number - self.common, transactions, gas))
    }
}

impl Replica {
    /// Continues the chain whose head is in `store`, or begins one.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the head, or how far it is final, cannot be read.
    pub fn open(spec: ChainSpec, genesis: Genesis, store: &dyn Store) -> Result<Self, StoreError> {
        let head = read(store, Key::Head, "not a head record")?;
        let frontier = read(store, Key::Frontier, "not a block and a batch")?;
        let resuming = head.is_some();
        Ok(Self {
            checker: Checker::new(spec),
            genesis,
            head,
            batch: None,
            resuming,
            position: None,
            frontier,
            branch: None,
        })
    }

    /// All that the outcome of the next input depends on.
    pub(crate) fn situation(&self) -> Situation {
        Situation {
            spec: self.checker.spec().clone(),
            genesis: self.head.is_none().then(|| self.genesis.clone()),
            head: self.head.clone(),
            batch: self.batch.clone(),
            resuming: self.resuming,
            position: self.position.filter(|_| self.resuming),
        }
    }

    /// The last verified block; `None` before genesis.
    pub fn head(&self) -> Option<&Head> {
        self.head.as_ref()
    }

    /// The source has not come to the stored head yet.
    pub fn resuming(&self) -> bool {
        self.resuming
    }

    /// A verified block, as it is stored; `None` above the last one. (A store may hold records above it that a roll-back
    /// has left.)
    ///
    /// # Errors
    ///
    /// [`StoreError`] when it cannot be read.
    pub fn block(&self, number: u64, store: &dyn Store) -> Result<Option<BlockRecord>, StoreError> {
        match &self.head {
            Some(head) if number <= head.number => need_block(store, number).map(Some),
            _ => Ok(None),
        }
    }

    /// How far the chain is final; `None` when nothing was ever compared with L1.
    pub fn frontier(&self) -> Option<Frontier> {
        self.frontier
    }

    /// From now on no block up to there is rolled back, because L1 has it. Whoever opens `store` again knows that, too.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when it cannot be stored.
    pub fn finalize(&mut self, frontier: Frontier, store: &dyn Store) -> Result<(), StoreError> {
        if self.frontier < Some(frontier) {
            let mut commit = Commit::default();
            commit.put(Key::Frontier, alloy_rlp::encode(frontier).into());
            store.apply(&commit)?;
            self.frontier = Some(frontier);
        }
        Ok(())
    }

    /// Compares what was proved on L1 with the verified chain. When they agree, no block up to the one in the verdict is
    /// rolled back any more, as by [`Replica::finalize`].
    ///
    /// `None` when it cannot be compared (yet): see [`Checker::check_consolidated`].
    ///
    /// # Errors
    ///
    /// [`StoreError`] when a record cannot be read, or the result not be stored.
    pub fn consolidate(
        &mut self,
        posted: &ConsolidatedBatch,
        store: &dyn Store,
    ) -> Result<Option<Verdict<u64>>, StoreError> {
        let Some(head) = self.head.as_ref().filter(|_| self.branch.is_none()) else {
            return Ok(None);
        };
        let verdict = self.checker.check_consolidated(posted, head, store)?;
        if let Some(Verdict::Verified(block)) = verdict {
            self.finalize(Frontier { block, batch: posted.number }, store)?;
        }
        Ok(verdict)
    }

    /// Makes ready for a source that begins with the last verified block, in the midst of the batch that `start` began.
    ///
    /// What came after that block (exit roots without a block, the end of the batch, batches without blocks) comes again
    /// and is verified again. Without a verified block there is nothing to do: the source begins with genesis.
    ///
    /// # Errors
    ///
    /// [`Halt::Mismatch`] when `start` is not the beginning of that batch.
    pub fn enter(&mut self, start: &BatchStart, store: &dyn Store) -> Result<(), Halt> {
        let Some(head) = &self.head else {
            return Ok(());
        };
        let record = need_block(store, head.number)?;
        let compared: [(Claim, Value, Value); 2] = [
            (Claim::BatchNumber, start.number.into(), record.batch.into()),
            (Claim::ForkId, start.fork_id.into(), record.fork_id.into()),
        ];
        if let Some((claim, expected, computed)) = compared.into_iter().find(|(_, left, right)| left != right)
        {
            let (batch, block) = (record.batch, head.number);
            let details = Box::default();
            return Err(Halt::Mismatch(Mismatch { batch, block, claim, expected, computed, details }));
        }
        self.checker.check_batch_identity(start, head.number).map_err(Halt::Mismatch)?;
        let totals = head.totals;
        self.place(head_after(&record, totals));
        self.batch = Some(start.clone());
        Ok(())
    }

    /// Makes an earlier verified block the last one; blocks above it are no part of the chain any more.
    ///
    /// Tree nodes never change, so nothing has to be undone: the head moves to an older root, in one commit. The end of
    /// the block's batch has to be verified again. The source goes on behind the block after [`Replica::enter`].
    ///
    /// # Errors
    ///
    /// [`RollBackError`]; the chain is what it was before.
    pub fn roll_back(&mut self, to: u64, store: &dyn Store) -> Result<(), RollBackError> {
        self.branch(to, store)?;
        let written = self.take_branch(store);
        // Nothing to do unless that failed.
        self.abandon();
        Ok(written?)
    }

    fn take_branch(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        let (Some(branch), Some(head)) = (&self.branch, &self.head) else {
            return Ok(());
        };
        let head = Head { totals: branch.totals(head.totals, store)?, ..head.clone() };
        let mut commit = Commit::default();
        commit.put(Key::Head, alloy_rlp::encode(&head).into());
        self.write(commit, true, store)?;
        self.head = Some(head);
        Ok(())
    }

    /// Goes back to an earlier verified block to see whether another chain goes on from there.
    ///
    /// The first block that is verified behind it makes this a roll-back, in one commit with that block. Until then the
    /// stored chain is what it was, and [`Replica::abandon`] returns to it: a main node that is wrong about a block costs
    /// nothing that was verified, and little time: the blocks in between are not read before.
    ///
    /// # Errors
    ///
    /// [`RollBackError`]; the chain is what it was before.
    pub fn branch(&mut self, to: u64, store: &dyn Store) -> Result<(), RollBackError> {
        self.abandon();
        let head = match &self.head {
            Some(head) if to <= head.number => head.clone(),
            _ => return Err(RollBackError::Above { to }),
        };
        if let Some(Frontier { block: frontier, .. }) = self.frontier
            && to < frontier
        {
            return Err(RollBackError::Final { to, frontier });
        }
        let earlier = head_after(&need_block(store, to)?, head.totals);
        let root = Key::Node(earlier.state_root);
        if !earlier.state_root.is_zero() && store.get(&root)?.is_none() {
            return Err(StoreError::Missing(root).into());
        }
        self.place(earlier);
        self.branch = Some(Branch { left: head, common: to });
        Ok(())
    }

    /// Where the stored chain and one that [`Replica::branch`] went back for may part: the numbers of the stored head and
    /// of the last common block. `None` when the chain is the stored one.
    pub fn branching(&self) -> Option<(u64, u64)> {
        let branch = self.branch.as_ref()?;
        Some((branch.left.number, self.head.as_ref()?.number))
    }

    /// Returns to the stored chain when no block of another one was verified.
    pub fn abandon(&mut self) {
        if let Some(branch) = self.branch.take() {
            self.place(branch.left);
        }
    }

    /// Stores what was verified. On a branch only a block decides: before it the head stays.
    fn write(&mut self, mut commit: Commit, decides: bool, store: &dyn Store) -> Result<(), StoreError> {
        match &self.branch {
            Some(branch) if decides => {
                for number in branch.common + 1..=branch.left.number {
                    commit.release(Key::Block(number));
                    log_index::release(&mut commit, number);
                }
            }
            Some(_) => commit.keep_head(),
            None => {}
        }
        store.apply(&commit)?;
        if decides {
            self.branch = None;
        }
        Ok(())
    }

    /// Stands behind the head's block, which is the first that comes.
    fn place(&mut self, head: Head) {
        self.head = Some(head);
        self.batch = None;
        self.resuming = true;
        self.position = None;
    }

    /// Checks one input and, when it is true, adds it to `store`.
    ///
    /// After a [`Halt`] the chain is what it was before.
    ///
    /// # Errors
    ///
    /// [`Halt::Mismatch`] when the input is not true.
    pub fn advance(&mut self, input: &Input, store: &dyn Store) -> Result<Step, Halt> {
        match input {
            Input::BatchStart(start) => self.open_batch(start),
            Input::Block(block) => self.add_block(block, store),
            Input::UpdateGer(update) => self.update(update, store),
            Input::BatchEnd(end) => self.close_batch(end, store),
        }
    }

    fn open_batch(&mut self, start: &BatchStart) -> Result<Step, Halt> {
        let checked = match &self.head {
            Some(head) if !self.resuming => self.checker.check_batch_start(start, head),
            head => {
                let block = head.as_ref().map_or(0, |head| head.number);
                self.checker.check_batch_identity(start, block)
            }
        };
        checked.map_err(Halt::Mismatch)?;
        self.batch = Some(start.clone());
        Ok(Step::Opened)
    }

    fn add_block(&mut self, block: &PreparedBlock, store: &dyn Store) -> Result<Step, Halt> {
        let start = self.batch.as_ref().ok_or(Halt::OutOfOrder("a block before any batch"))?;
        if let (true, Some(head)) = (self.resuming, &self.head) {
            let number = block.input().number;
            if number <= head.number {
                let record = compare_known(block, start, store)?;
                self.position = Some(record.header.state_root);
                self.resuming = number < head.number;
                if !self.resuming {
                    // What came after it (the end of the batch, batches without blocks) comes again, and is verified again.
                    self.head = Some(head_after(&record, head.totals));
                }
                return Ok(Step::Known);
            }
            self.resuming = false;
        }
        let verdict = match &self.head {
            None => self.checker.check_genesis(&self.genesis, block, start)?,
            Some(head) => self.checker.check_block(block, start, head, store)?,
        };
        let mut verified = accept(verdict)?;
        if let Some(branch) = &self.branch {
            let totals = branch.totals(verified.head().totals, store)?;
            verified.count(totals);
        }
        let mut commit = Commit::from(&verified);
        log_index::extend(&mut commit, verified.record(), store)?;
        self.write(commit, true, store)?;
        self.head = Some(verified.head().clone());
        Ok(Step::Verified(Box::new(verified)))
    }

    fn update(&mut self, update: &UpdateGer, store: &dyn Store) -> Result<Step, Halt> {
        let start = self.batch.as_ref().ok_or(Halt::OutOfOrder("an exit root before any batch"))?;
        let head = self.head.as_ref().ok_or(Halt::OutOfOrder("an exit root before any block"))?;
        if self.resuming {
            // The state root it gave is part of the next block's, which has been verified.
            self.position = None;
            return Ok(Step::Known);
        }
        let verified = accept(self.checker.check_update(update, start, head, store)?)?;
        self.write(Commit::from(&verified), false, store)?;
        self.head = Some(verified.head().clone());
        Ok(Step::Updated)
    }

    fn close_batch(&mut self, end: &BatchEnd, store: &dyn Store) -> Result<Step, Halt> {
        let start = self.batch.as_ref().ok_or(Halt::OutOfOrder("the end of a batch before any batch"))?;
        let head = self.head.as_ref().ok_or(Halt::OutOfOrder("the end of a batch before any block"))?;
        if self.resuming {
            if let Some(state_root) = self.position {
                let then = Head { state_root, ..head.clone() };
                accept(self.checker.check_batch_end(end, start, &then, store)?)?;
            }
            return Ok(Step::Known);
        }
        let verified = accept(self.checker.check_batch_end(end, start, head, store)?)?;
        if head.batch == start.number && head.batch_closed {
            return Ok(Step::Known);
        }
        self.write(Commit::from(&verified), false, store)?;
        self.head = Some(verified.head().clone());
        Ok(Step::Closed)
    }
}

fn accept<T>(verdict: Verdict<T>) -> Result<T, Halt> {
    match verdict {
        Verdict::Verified(verified) => Ok(verified),
        Verdict::Mismatch(mismatch) => Err(Halt::Mismatch(mismatch)),
    }
}

/// A block that is in the store must be the one that the main node sends now, with all that it says of it. Gives what is
/// stored.
fn compare_known(block: &PreparedBlock, start: &BatchStart, store: &dyn Store) -> Result<BlockRecord, Halt> {
    let number = block.input().number;
    let record = need_block(store, number)?;
    let claims = block.claims();
    let compared: [(Claim, Value, Value); 6] = [
        (Claim::BatchNumber, start.number.into(), record.batch.into()),
        (Claim::BatchNumber, claims.batch.into(), record.batch.into()),
        (Claim::ForkId, start.fork_id.into(), record.fork_id.into()),
        (Claim::StateRoot, claims.state_root.into(), record.header.state_root.into()),
        (Claim::BlockInfoRoot, claims.block_info_root.into(), record.block_info_root.into()),
        (Claim::BlockHash, claims.hash.into(), record.header.hash_slow().into()),
    ];
    match compared.into_iter().find(|(_, expected, computed)| expected != computed) {
        None => Ok(record),
        Some((claim, expected, computed)) => {
            let (batch, block, details) = (start.number, number, Box::default());
            Err(Halt::Mismatch(Mismatch { batch, block, claim, expected, computed, details }))
        }
    }
}

/// The head as it was when this block had just been verified. Batches are numbered from 0 without a gap, and all before
/// the block's have ended.
fn head_after(record: &BlockRecord, totals: Totals) -> Head {
    Head {
        number: record.header.number,
        hash: record.header.hash_slow(),
        state_root: record.header.state_root,
        timestamp: record.header.timestamp,
        batch: record.batch,
        fork_id: record.fork_id,
        batch_closed: false,
        totals: Totals { batches: record.batch, ..totals },
    }
}
