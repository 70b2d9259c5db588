use super::{BlockEnd, Bookmark, DecodeError, Entry, EntryKind, L2Block, Message, Transaction, UpdateGer};
use crate::types::{BatchEnd, BatchStart, Block, BlockClaims, BlockInput, EncodedTransaction, L1Info};
use alloc::boxed::Box;
use alloc::vec::Vec;
use alloy_primitives::B256;
use core::mem;

/// Puts entries together to batches and blocks.
///
/// It enforces the order that cdk-erigon writes (`zk/datastream/server`):
///
/// ```text
/// stream   := batch*
/// batch    := bookmark BatchStart block* UpdateGER* BatchEnd      the last one may be open: no BatchEnd yet
/// block    := bookmark L2Block Transaction* L2BlockEnd            block 0: no transactions, L2BlockEnd optional
/// ```
///
/// and that a bookmark, what it names and the parts of that carry one number. How blocks and batches follow each other
/// (numbers, times, fork and chain ids, the batch number that a block or a batch end carries) is not looked at: those
/// are claims, and the checker compares them.
///
/// An entry that is refused changes nothing, but a stream that has one is not worth going on with.
#[derive(Clone, Debug)]
pub struct Assembler {
    limits: Limits,
    state: State,
}

/// A complete part of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A batch begins.
    BatchStart(BatchStart),
    /// A whole block of the open batch.
    Block(Block),
    /// The open batch ends.
    BatchEnd(BatchEnd),
    /// A global exit root that the open batch brings without a block.
    UpdateGer(UpdateGer),
}

/// How large a block may be. A sender that never ends a block must not fill the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of entry data in one block.
    pub block_bytes: usize,
    /// Most transactions in one block.
    pub block_transactions: usize,
}

impl Default for Limits {
    /// 16 MiB and 65,536 transactions: a hundred times what the provers of today take in a whole batch.
    fn default() -> Self {
        Self {
            block_bytes: 16 << 20,
            block_transactions: 1 << 16,
        }
    }
}

#[derive(Clone, Debug)]
enum State {
    /// No batch is open, or the stream is entered here: `resumed` if it may be entered within a batch.
    Outside { resumed: bool },
    /// A bookmark has been read, what it names has not.
    Named(Bookmark),
    /// Within a batch, between blocks.
    Batch,
    /// Within a batch, behind its blocks.
    Updates,
    /// Within a block.
    Block(Box<OpenBlock>),
    /// Block 0 has been read; the entry that ends it may follow or not.
    Genesis,
}

#[derive(Clone, Debug, Default)]
struct OpenBlock {
    head: L2Block,
    transactions: Vec<EncodedTransaction>,
    intermediate_state_roots: Vec<B256>,
    /// Bytes of entry data so far.
    bytes: usize,
}

impl Assembler {
    /// For a stream that is read from its beginning, or from the bookmark of a batch.
    pub fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    /// As [`new`](Self::new), with other limits.
    pub fn with_limits(limits: Limits) -> Self {
        Self {
            limits,
            state: State::Outside { resumed: false },
        }
    }

    /// The same for a stream that is entered at the bookmark of a block: the batch it is part of is taken as open.
    pub fn resumed(self) -> Self {
        Self {
            state: State::Outside { resumed: true },
            ..self
        }
    }

    /// Takes the next entry; gives what it completes.
    pub fn push(&mut self, entry: Entry) -> Result<Option<Item>, DecodeError> {
        let position = Position {
            entry: entry.number,
            kind: entry.kind,
        };
        let bytes = entry.data.len();
        match (&mut self.state, Message::decode(&entry)?) {
            (State::Outside { resumed }, Message::Bookmark(bookmark)) => {
                if matches!(bookmark, Bookmark::Block(_)) && !*resumed {
                    return Err(position.order("the bookmark of a batch"));
                }
                self.state = State::Named(bookmark);
                Ok(None)
            }
            (State::Batch | State::Genesis, Message::Bookmark(bookmark @ Bookmark::Block(_))) => {
                self.state = State::Named(bookmark);
                Ok(None)
            }
            (State::Named(bookmark), Message::BatchStart(start)) => {
                position.names(*bookmark, Bookmark::Batch(start.number))?;
                self.state = State::Batch;
                Ok(Some(Item::BatchStart(start)))
            }
            (State::Named(bookmark), Message::L2Block(head)) => {
                position.names(*bookmark, Bookmark::Block(head.number))?;
                self.open_block(position, head, bytes)
            }
            (State::Block(block), Message::Transaction(transaction)) => {
                block.push(position, transaction, bytes, &self.limits)?;
                Ok(None)
            }
            (State::Block(block), Message::BlockEnd(end)) => {
                position.part_of(block.head.number, end.number)?;
                let block = mem::take(&mut **block).close();
                self.state = State::Batch;
                Ok(Some(Item::Block(block)))
            }
            (State::Genesis, Message::BlockEnd(BlockEnd { number })) => {
                position.part_of(0, number)?;
                self.state = State::Batch;
                Ok(None)
            }
            (State::Batch | State::Genesis | State::Updates, Message::UpdateGer(update)) => {
                self.state = State::Updates;
                Ok(Some(Item::UpdateGer(update)))
            }
            (State::Batch | State::Genesis | State::Updates, Message::BatchEnd(end)) => {
                self.state = State::Outside { resumed: false };
                Ok(Some(Item::BatchEnd(end)))
            }
            (state, _) => Err(position.order(state.expected())),
        }
    }

    /// Ends the stream. A batch may be left open; a block may not, and neither may a bookmark without what it names.
    pub fn finish(self) -> Result<(), DecodeError> {
        match self.state {
            State::Named(bookmark) => Err(DecodeError::Incomplete { bookmark }),
            State::Block(block) => Err(DecodeError::Incomplete {
                bookmark: Bookmark::Block(block.head.number),
            }),
            State::Outside { .. } | State::Batch | State::Updates | State::Genesis => Ok(()),
        }
    }
    fn open_block(
        &mut self,
        position: Position,
        head: L2Block,
        bytes: usize,
    ) -> Result<Option<Item>, DecodeError> {
        let mut block = OpenBlock {
            head,
            ..OpenBlock::default()
        };
        block.grow(position, bytes, &self.limits)?;
        if block.head.number == 0 {
            // Nothing can be missing: genesis has no transactions. (Its end is absent in older streams.)
            self.state = State::Genesis;
            return Ok(Some(Item::Block(block.close())));
        }
        self.state = State::Block(Box::new(block));
        Ok(None)
    }
}

impl Default for Assembler {
    fn default() -> Self {
        Self::new()
    }
}

impl State {
    /// What may follow, for an error.
    fn expected(&self) -> &'static str {
        match self {
            Self::Outside { resumed: false } => "the bookmark of a batch",
            Self::Outside { resumed: true } => "a bookmark",
            Self::Named(Bookmark::Batch(_)) => "a batch start",
            Self::Named(Bookmark::Block(_)) => "a block",
            Self::Batch => "the bookmark of a block, a global exit root update or a batch end",
            Self::Updates => "a global exit root update or a batch end",
            Self::Block(_) => "a transaction or a block end",
            Self::Genesis => "a block end, the bookmark of a block, a global exit root update or a batch end",
        }
    }
}

impl OpenBlock {
    fn push(
        &mut self,
        position: Position,
        transaction: Transaction,
        bytes: usize,
        limits: &Limits,
    ) -> Result<(), DecodeError> {
        let Position { entry, .. } = position;
        let block = self.head.number;
        position.part_of(block, transaction.block_number)?;
        let index = self.transactions.len() as u64;
        if transaction.index != 0 && transaction.index != index {
            return Err(DecodeError::TransactionIndex {
                entry,
                block,
                position: index,
                found: transaction.index,
            });
        }
        if !transaction.is_valid {
            return Err(DecodeError::InvalidTransaction { entry, block });
        }
        if self.transactions.len() >= limits.block_transactions {
            return Err(DecodeError::BlockTransactions {
                entry,
                block,
                limit: limits.block_transactions,
            });
        }
        self.grow(position, bytes, limits)?;
        self.transactions.push(EncodedTransaction {
            encoded: transaction.encoded,
            effective_percentage: transaction.effective_percentage,
        });
        self.intermediate_state_roots
            .push(transaction.intermediate_state_root);
        Ok(())
    }

    fn grow(&mut self, position: Position, bytes: usize, limits: &Limits) -> Result<(), DecodeError> {
        let bytes = self.bytes.saturating_add(bytes);
        if bytes > limits.block_bytes {
            return Err(DecodeError::BlockBytes {
                entry: position.entry,
                block: self.head.number,
                limit: limits.block_bytes,
            });
        }
        self.bytes = bytes;
        Ok(())
    }

    fn close(self) -> Block {
        let head = self.head;
        Block {
            input: BlockInput {
                number: head.number,
                timestamp: head.timestamp,
                coinbase: head.coinbase,
                l1_info: L1Info {
                    index: head.l1_info_tree_index,
                    global_exit_root: head.global_exit_root,
                    block_hash: head.l1_block_hash,
                    min_timestamp: head.min_timestamp,
                },
                transactions: self.transactions,
            },
            claims: BlockClaims {
                batch: head.batch_number,
                delta_timestamp: Some(head.delta_timestamp),
                gas_limit: (head.gas_limit != 0).then_some(head.gas_limit),
                hash: head.hash,
                state_root: head.state_root,
                block_info_root: head.block_info_root,
                intermediate_state_roots: self.intermediate_state_roots,
            },
        }
    }
}

/// The entry that is looked at, for errors.
#[derive(Clone, Copy)]
struct Position {
    entry: u64,
    kind: EntryKind,
}

impl Position {
    fn order(self, expected: &'static str) -> DecodeError {
        DecodeError::Order {
            entry: self.entry,
            found: self.kind,
            expected,
        }
    }

    /// The entry is what the bookmark in front of it names: the same kind of thing, with the same number.
    fn names(self, bookmark: Bookmark, actual: Bookmark) -> Result<(), DecodeError> {
        match (bookmark, actual) {
            _ if bookmark == actual => Ok(()),
            (Bookmark::Batch(_), Bookmark::Batch(found)) | (Bookmark::Block(_), Bookmark::Block(found)) => {
                Err(DecodeError::BookmarkNames {
                    entry: self.entry,
                    bookmark,
                    found,
                })
            }
            _ => Err(self.order(State::Named(bookmark).expected())),
        }
    }

    /// The entry carries the number of the block that is open.
    fn part_of(self, block: u64, found: u64) -> Result<(), DecodeError> {
        if found != block {
            return Err(DecodeError::BlockNumber {
                entry: self.entry,
                block,
                found,
            });
        }
        Ok(())
    }
}
