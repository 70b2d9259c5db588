use super::{
    BatchContext, BlockModel, ExecuteError, Execution, Executor, Invalid, Parent, PreparedInput,
    PreparedTransaction, Rules, state::State,
};
use crate::{
    source::batch_data::{self, BatchDataError, BatchEntry, ChangeL2Block},
    store::{Commit, Journal, Store, StoreError},
    tree::Smt,
    types::{BatchInput, BatchKind, BatchPart, L1Info, Transaction, TransactionError},
};
use alloc::vec::Vec;
use alloy_primitives::{B256, keccak256};

/// What came out of a batch as L1 has it.
#[derive(Debug)]
pub struct BatchExecution {
    /// Number of the last block, in the batch or before it.
    pub last_block: u64,
    /// State root after the batch.
    pub state_root: B256,
    /// Root of the bridge's exit tree, as the bridge last wrote it.
    pub local_exit_root: B256,
    /// The accumulated input hash: what the batch, and all before it, commit to.
    pub acc_input_hash: B256,
    /// What came out of each block; nothing when the batch was discarded.
    pub blocks: Vec<Execution>,
    /// Why none of the batch's blocks count, if they do not.
    pub discarded: Option<Discarded>,
    /// Nodes, values and code that are new.
    pub(crate) written: Commit,
}

/// Why a batch is discarded as a whole (`spec/execution.md` §6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Discarded {
    /// Its data is no batch data.
    #[error("batch data {0}")]
    Data(#[from] BatchDataError),
    /// A regular batch does not begin with a block.
    #[error("the batch does not begin with a block")]
    NoFirstBlock,
    /// A forced batch opens a block itself.
    #[error("a forced batch opens a block")]
    BlockInForced,
    /// A transaction of a kind that the prover does not know.
    #[error("a typed transaction")]
    Typed,
    /// A block is later than the batch may be.
    #[error("block timestamp {timestamp} is after {limit}, the latest for the batch")]
    AfterLimit {
        /// Of the block.
        timestamp: u64,
        /// Of the batch.
        limit: u64,
    },
    /// A block breaks a rule.
    #[error(transparent)]
    Block(#[from] Invalid),
    /// The prover ran out of counters, as L1 or the main node says.
    #[error("it is said to be invalid")]
    Claimed,
}

/// Why there is no [`BatchExecution`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// A block refers to a leaf of the L1 info tree that was not given.
    #[error("L1 info leaf {0} is not at hand")]
    L1Info(u32),
    /// The state could not be read: this says nothing about the batch.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a batch ended early.
enum Stop {
    Discarded(Discarded),
    Error(BatchError),
}

impl From<Discarded> for Stop {
    fn from(reason: Discarded) -> Self {
        Self::Discarded(reason)
    }
}

impl From<BatchError> for Stop {
    fn from(error: BatchError) -> Self {
        Self::Error(error)
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Error(error.into())
    }
}

impl From<ExecuteError> for Stop {
    fn from(error: ExecuteError) -> Self {
        match error {
            ExecuteError::Invalid(invalid) => Self::Discarded(invalid.into()),
            ExecuteError::Store(error) => error.into(),
        }
    }
}

impl Executor {
    /// Runs a batch from its data on L1, on the state before it.
    ///
    /// A batch that breaks a rule is no error: the protocol discards it, and goes on with the next.
    ///
    /// # Errors
    ///
    /// [`BatchError`] when something that the batch needs is not at hand.
    pub fn execute_batch(
        &mut self,
        batch: &BatchInput,
        rules: &Rules,
        chain_id: u64,
        state_root: B256,
        store: &dyn Store,
    ) -> Result<BatchExecution, BatchError> {
        let part = BatchPart { continues_block: false, ..batch.part };
        let context = BatchContext { rules, kind: batch.kind, chain_id, part };
        let mut run = Run {
            executor: self,
            batch,
            context,
            store: Journal::new(store),
            state_root,
            blocks: Vec::new(),
        };
        if rules.block_model == BlockModel::Transaction {
            run.import_exit_root()?;
        }
        // From here on the batch counts as a whole or not at all.
        let (opened, mut written) = (run.state_root, run.store.seal());
        let discarded = match run.entries() {
            Ok(()) => None,
            Err(Stop::Discarded(reason)) => Some(reason),
            Err(Stop::Error(error)) => return Err(error),
        };
        if discarded.is_none() {
            written.append(run.store.seal());
        } else {
            run.state_root = opened;
            run.blocks.clear();
        }
        let Run { executor, store, state_root, blocks, .. } = run;
        let mut state = State::at(&store, state_root, executor.paths());
        Ok(BatchExecution {
            last_block: state.block_number()?.saturating_to(),
            state_root,
            local_exit_root: state.local_exit_root()?,
            acc_input_hash: acc_input_hash(batch, rules),
            blocks,
            discarded,
            written,
        })
    }
}

/// A batch that is being run.
struct Run<'r> {
    executor: &'r mut Executor,
    batch: &'r BatchInput,
    context: BatchContext<'r>,
    /// The state before the batch, and in front of it what its blocks wrote.
    store: Journal<&'r dyn Store>,
    state_root: B256,
    blocks: Vec<Execution>,
}

/// A block whose transactions are being gathered.
struct OpenBlock {
    timestamp: u64,
    l1_info: L1Info,
    transactions: Vec<Result<PreparedTransaction, TransactionError>>,
    /// It was opened before the batch.
    continued: bool,
}

impl Run<'_> {
    fn import_exit_root(&mut self) -> Result<(), StoreError> {
        let BatchInput { l1_root, timestamp, .. } = *self.batch;
        let diff = self.executor.import_exit_root(l1_root, timestamp, self.state_root, &self.store)?;
        self.write(&diff)
    }

    fn entries(&mut self) -> Result<(), Stop> {
        if self.batch.kind == BatchKind::Invalid {
            return Err(Discarded::Claimed.into());
        }
        let entries =
            batch_data::decode(&self.batch.data, &self.context.rules.encoding).map_err(Discarded::from)?;
        match self.context.rules.block_model {
            BlockModel::Transaction => self.transaction_blocks(&entries),
            BlockModel::L2Block => self.l2_blocks(&entries),
        }
    }

    /// Every transaction that runs is a block; one that is skipped leaves nothing.
    fn transaction_blocks(&mut self, entries: &[BatchEntry]) -> Result<(), Stop> {
        for entry in entries {
            let l1_info = L1Info { global_exit_root: self.batch.l1_root, ..L1Info::default() };
            let transactions = alloc::vec![recover(entry)?];
            let block =
                OpenBlock { timestamp: self.batch.timestamp, l1_info, transactions, continued: false };
            let execution = self.execute(block)?;
            if execution.skipped.is_empty() {
                self.write(&execution.diff)?;
                self.blocks.push(execution);
            }
        }
        Ok(())
    }

    fn l2_blocks(&mut self, entries: &[BatchEntry]) -> Result<(), Stop> {
        let mut open: Option<OpenBlock> = None;
        if self.context.kind != BatchKind::Regular && !entries.is_empty() {
            open = Some(self.open_forced()?);
        } else if self.batch.part.continues_block
            && !matches!(entries.first(), Some(BatchEntry::ChangeL2Block(_)))
        {
            let (timestamp, l1_info) = (self.timestamp()?, L1Info::default());
            open = Some(OpenBlock { timestamp, l1_info, transactions: Vec::new(), continued: true });
        }
        for entry in entries {
            match (entry, &mut open) {
                (BatchEntry::ChangeL2Block(_), _) if self.context.kind != BatchKind::Regular => {
                    return Err(Discarded::BlockInForced.into());
                }
                (BatchEntry::ChangeL2Block(change), open) => {
                    if let Some(block) = open.take() {
                        self.close(block)?;
                    }
                    *open = Some(self.open(*change)?);
                }
                (_, None) => return Err(Discarded::NoFirstBlock.into()),
                (entry, Some(block)) => block.transactions.push(recover(entry)?),
            }
        }
        open.map_or(Ok(()), |block| self.close(block))
    }

    fn open(&mut self, change: ChangeL2Block) -> Result<OpenBlock, Stop> {
        let limit = self.batch.timestamp;
        let timestamp = self.timestamp()?.saturating_add(change.delta_timestamp.into());
        if timestamp > limit {
            return Err(Discarded::AfterLimit { timestamp, limit }.into());
        }
        let l1_info = match change.l1_info_index {
            0 => L1Info::default(),
            index => *self.batch.l1_info.get(&index).ok_or(BatchError::L1Info(index))?,
        };
        Ok(OpenBlock { timestamp, l1_info, transactions: Vec::new(), continued: false })
    }

    /// The one block of a forced batch, which no entry opens.
    fn open_forced(&mut self) -> Result<OpenBlock, Stop> {
        let BatchInput { l1_root, forced_block_hash, .. } = *self.batch;
        let timestamp = self.timestamp()?.max(self.batch.timestamp);
        let l1_info =
            L1Info { global_exit_root: l1_root, block_hash: forced_block_hash, ..L1Info::default() };
        Ok(OpenBlock { timestamp, l1_info, transactions: Vec::new(), continued: false })
    }

    fn close(&mut self, block: OpenBlock) -> Result<(), Stop> {
        let execution = self.execute(block)?;
        self.write(&execution.diff)?;
        self.blocks.push(execution);
        Ok(())
    }

    fn execute(&mut self, block: OpenBlock) -> Result<Execution, Stop> {
        let number =
            State::at(&self.store, self.state_root, self.executor.paths()).block_number()?.saturating_to();
        let parent = Parent { number, state_root: self.state_root };
        let OpenBlock { timestamp, l1_info, transactions, continued } = block;
        let context = BatchContext {
            part: BatchPart { continues_block: continued, ..self.context.part },
            ..self.context
        };
        let block = PreparedInput {
            number: if continued { number } else { number.saturating_add(1) },
            timestamp,
            coinbase: self.batch.coinbase,
            l1_info,
            transactions,
        };
        Ok(self.executor.execute(&block, &context, parent, &self.store)?)
    }

    fn timestamp(&mut self) -> Result<u64, StoreError> {
        let timestamp = State::at(&self.store, self.state_root, self.executor.paths()).block_timestamp()?;
        Ok(timestamp.saturating_to())
    }

    fn write(&mut self, diff: &super::StateDiff) -> Result<(), StoreError> {
        let changes = diff.tree_changes(self.executor.paths());
        let update = Smt::new(&self.store).update(self.state_root, changes)?;
        let mut commit = Commit::default();
        update.write(&mut commit);
        diff.write_codes(&mut commit);
        self.store.apply(&commit)?;
        self.state_root = update.root;
        Ok(())
    }
}

fn recover(entry: &BatchEntry) -> Result<Result<PreparedTransaction, TransactionError>, Discarded> {
    match entry {
        BatchEntry::Transaction(transaction) => {
            Ok(transaction.recover().map(|transaction: Transaction| transaction.into()))
        }
        BatchEntry::Typed { .. } | BatchEntry::ChangeL2Block(_) => Err(Discarded::Typed),
    }
}

/// What L1 keeps of a batch and all before it (`spec/sync.md` §4.5).
fn acc_input_hash(batch: &BatchInput, rules: &Rules) -> B256 {
    let mut preimage = Vec::with_capacity(156);
    preimage.extend_from_slice(batch.previous_acc_input_hash.as_slice());
    preimage.extend_from_slice(keccak256(&batch.data).as_slice());
    preimage.extend_from_slice(batch.l1_root.as_slice());
    preimage.extend_from_slice(&batch.timestamp.to_be_bytes());
    preimage.extend_from_slice(batch.coinbase.as_slice());
    if rules.block_model == BlockModel::L2Block {
        preimage.extend_from_slice(batch.forced_block_hash.as_slice());
    }
    keccak256(preimage)
}
