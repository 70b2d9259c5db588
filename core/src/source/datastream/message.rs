use super::protobuf::{Reader, Writer};
use super::{DecodeError, Entry, EntryKind};
use crate::types::{BatchEnd, BatchKind, BatchStart};
use alloc::vec::Vec;
use alloy_primitives::{Address, B256, Bytes};
use core::fmt;

/// What an entry says (`zk/datastream/proto/datastream.proto` in cdk-erigon, package `datastream.v1`).
///
/// A field that is absent reads as zero. Fields unknown to this version are skipped, and so is `debug`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Names the batch or block that follows.
    Bookmark(Bookmark),
    /// A batch begins.
    BatchStart(BatchStart),
    /// A block begins.
    L2Block(L2Block),
    /// A transaction of the open block.
    Transaction(Transaction),
    /// The open batch ends.
    BatchEnd(BatchEnd),
    /// A global exit root that came without a block.
    UpdateGer(UpdateGer),
    /// The open block ends.
    BlockEnd(BlockEnd),
}

impl Message {
    /// Reads the message in an entry.
    pub fn decode(entry: &Entry) -> Result<Self, DecodeError> {
        Ok(match entry.kind {
            EntryKind::BOOKMARK => Self::Bookmark(Bookmark::decode(entry)?),
            EntryKind::BATCH_START => Self::BatchStart(decode_batch_start(entry)?),
            EntryKind::L2_BLOCK => Self::L2Block(L2Block::decode(entry)?),
            EntryKind::TRANSACTION => Self::Transaction(Transaction::decode(entry)?),
            EntryKind::BATCH_END => Self::BatchEnd(decode_batch_end(entry)?),
            EntryKind::UPDATE_GER => Self::UpdateGer(UpdateGer::decode(entry)?),
            EntryKind::L2_BLOCK_END => Self::BlockEnd(BlockEnd::decode(entry)?),
            kind => {
                return Err(DecodeError::UnknownKind {
                    entry: entry.number,
                    kind,
                });
            }
        })
    }

    /// The type of the entry that carries the message.
    pub fn kind(&self) -> EntryKind {
        match self {
            Self::Bookmark(_) => EntryKind::BOOKMARK,
            Self::BatchStart(_) => EntryKind::BATCH_START,
            Self::L2Block(_) => EntryKind::L2_BLOCK,
            Self::Transaction(_) => EntryKind::TRANSACTION,
            Self::BatchEnd(_) => EntryKind::BATCH_END,
            Self::UpdateGer(_) => EntryKind::UPDATE_GER,
            Self::BlockEnd(_) => EntryKind::L2_BLOCK_END,
        }
    }

    /// The data of the entry that carries the message, byte for byte as cdk-erigon writes it: fields in order of their
    /// numbers, numbers that are zero absent, hashes and addresses that are zero present.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Bookmark(bookmark) => bookmark.encode(),
            Self::BatchStart(start) => encode_batch_start(start),
            Self::L2Block(block) => block.encode(),
            Self::Transaction(transaction) => transaction.encode(),
            Self::BatchEnd(end) => encode_batch_end(end),
            Self::UpdateGer(update) => update.encode(),
            Self::BlockEnd(end) => Writer::default().number(1, end.number).finish(),
        }
    }

    /// The entry that carries the message at the given position.
    pub fn to_entry(&self, number: u64) -> Entry {
        Entry {
            number,
            kind: self.kind(),
            data: self.encode().into(),
        }
    }
}

/// The name of a batch or a block in the stream. A server looks it up by its bytes, so there is one encoding only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Bookmark {
    /// The batch with this number.
    Batch(u64),
    /// The L2 block with this number.
    Block(u64),
}

impl Bookmark {
    /// The bytes that name it: 2 to 13 of them.
    pub fn encode(&self) -> Vec<u8> {
        let (kind, value) = match *self {
            Self::Batch(number) => (1, number),
            Self::Block(number) => (2, number),
        };
        Writer::default().number(1, kind).number(2, value).finish()
    }

    fn decode(entry: &Entry) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(entry.number, &entry.data);
        let (mut kind, mut value) = (0, 0);
        while let Some(field) = reader.field(2)? {
            match field.number {
                1 => kind = reader.u64(&field)?,
                _ => value = reader.u64(&field)?,
            }
        }
        let bookmark = match kind {
            1 => Self::Batch(value),
            2 => Self::Block(value),
            found => {
                return Err(DecodeError::EnumValue {
                    entry: entry.number,
                    field: 1,
                    found,
                });
            }
        };
        if entry.data != bookmark.encode() {
            return Err(DecodeError::BookmarkEncoding { entry: entry.number });
        }
        Ok(bookmark)
    }
}

impl fmt::Display for Bookmark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Batch(number) => write!(f, "batch {number}"),
            Self::Block(number) => write!(f, "block {number}"),
        }
    }
}

/// An L2 block without its transactions, which follow in entries of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct L2Block {
    /// Block number.
    pub number: u64,
    /// Batch the block is part of.
    pub batch_number: u64,
    /// Seconds since the Unix epoch.
    pub timestamp: u64,
    /// Seconds since the previous block; in block 1 the low 32 bits of `timestamp`.
    pub delta_timestamp: u32,
    /// Earliest timestamp at which the L1 info tree leaf may be used.
    pub min_timestamp: u64,
    /// Hash of the parent of the L1 block that made the leaf.
    pub l1_block_hash: B256,
    /// Index of the leaf; 0 refers to none.
    pub l1_info_tree_index: u32,
    /// Header hash.
    pub hash: B256,
    /// State root after the block.
    pub state_root: B256,
    /// Global exit root of the leaf.
    pub global_exit_root: B256,
    /// Receiver of the fees.
    pub coinbase: Address,
    /// Gas limit of the block; cdk-erigon leaves it 0.
    pub gas_limit: u64,
    /// Root of the block info tree.
    pub block_info_root: B256,
}

impl L2Block {
    fn decode(entry: &Entry) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(entry.number, &entry.data);
        let mut block = Self::default();
        while let Some(field) = reader.field(13)? {
            match field.number {
                1 => block.number = reader.u64(&field)?,
                2 => block.batch_number = reader.u64(&field)?,
                3 => block.timestamp = reader.u64(&field)?,
                4 => block.delta_timestamp = reader.u32(&field)?,
                5 => block.min_timestamp = reader.u64(&field)?,
                6 => block.l1_block_hash = reader.b256(&field)?,
                7 => block.l1_info_tree_index = reader.u32(&field)?,
                8 => block.hash = reader.b256(&field)?,
                9 => block.state_root = reader.b256(&field)?,
                10 => block.global_exit_root = reader.b256(&field)?,
                11 => block.coinbase = reader.address(&field)?,
                12 => block.gas_limit = reader.u64(&field)?,
                _ => block.block_info_root = reader.b256(&field)?,
            }
        }
        Ok(block)
    }

    fn encode(&self) -> Vec<u8> {
        Writer::default()
            .number(1, self.number)
            .number(2, self.batch_number)
            .number(3, self.timestamp)
            .number(4, self.delta_timestamp.into())
            .number(5, self.min_timestamp)
            .bytes(6, self.l1_block_hash.as_slice())
            .number(7, self.l1_info_tree_index.into())
            .bytes(8, self.hash.as_slice())
            .bytes(9, self.state_root.as_slice())
            .bytes(10, self.global_exit_root.as_slice())
            .bytes(11, self.coinbase.as_slice())
            .number(12, self.gas_limit)
            .bytes(13, self.block_info_root.as_slice())
            .finish()
    }
}

/// A transaction of the block that is open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transaction {
    /// Number of the block.
    pub block_number: u64,
    /// Position in the block; cdk-erigon leaves it 0.
    pub index: u64,
    /// Always true in a stream that is well formed.
    pub is_valid: bool,
    /// Signed transaction in Ethereum's RLP; not looked at.
    pub encoded: Bytes,
    /// Share of the signed gas price that is charged: `(n + 1) / 256` of it. (32 bits in the message, of which more
    /// than 8 have no meaning.)
    pub effective_percentage: u8,
    /// State root after the transaction; zero from fork 8 on.
    pub intermediate_state_root: B256,
}

impl Transaction {
    fn decode(entry: &Entry) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(entry.number, &entry.data);
        let mut transaction = Self::default();
        while let Some(field) = reader.field(6)? {
            match field.number {
                1 => transaction.block_number = reader.u64(&field)?,
                2 => transaction.index = reader.u64(&field)?,
                3 => transaction.is_valid = reader.bool(&field)?,
                4 => transaction.encoded = entry.data.slice(reader.range(&field)?),
                5 => transaction.effective_percentage = reader.u8(&field)?,
                _ => transaction.intermediate_state_root = reader.b256(&field)?,
            }
        }
        Ok(transaction)
    }

    fn encode(&self) -> Vec<u8> {
        Writer::default()
            .number(1, self.block_number)
            .number(2, self.index)
            .number(3, self.is_valid.into())
            .bytes(4, &self.encoded)
            .number(5, self.effective_percentage.into())
            .bytes(6, self.intermediate_state_root.as_slice())
            .finish()
    }
}

/// A global exit root that came without a block: only in batches of forks below 7.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpdateGer {
    /// Batch that brings it.
    pub batch_number: u64,
    /// Seconds since the Unix epoch.
    pub timestamp: u64,
    /// The root.
    pub global_exit_root: B256,
    /// The sequencer.
    pub coinbase: Address,
    /// Protocol version of the batch.
    pub fork_id: u64,
    /// Chain id.
    pub chain_id: u64,
    /// State root after the update.
    pub state_root: B256,
}

impl UpdateGer {
    fn decode(entry: &Entry) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(entry.number, &entry.data);
        let mut update = Self::default();
        while let Some(field) = reader.field(7)? {
            match field.number {
                1 => update.batch_number = reader.u64(&field)?,
                2 => update.timestamp = reader.u64(&field)?,
                3 => update.global_exit_root = reader.b256(&field)?,
                4 => update.coinbase = reader.address(&field)?,
                5 => update.fork_id = reader.u64(&field)?,
                6 => update.chain_id = reader.u64(&field)?,
                _ => update.state_root = reader.b256(&field)?,
            }
        }
        Ok(update)
    }

    fn encode(&self) -> Vec<u8> {
        Writer::default()
            .number(1, self.batch_number)
            .number(2, self.timestamp)
            .bytes(3, self.global_exit_root.as_slice())
            .bytes(4, self.coinbase.as_slice())
            .number(5, self.fork_id)
            .number(6, self.chain_id)
            .bytes(7, self.state_root.as_slice())
            .finish()
    }
}

/// The end of the block that is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlockEnd {
    /// Number of the block.
    pub number: u64,
}

impl BlockEnd {
    fn decode(entry: &Entry) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(entry.number, &entry.data);
        let mut end = Self::default();
        while let Some(field) = reader.field(1)? {
            end.number = reader.u64(&field)?;
        }
        Ok(end)
    }
}

fn decode_batch_start(entry: &Entry) -> Result<BatchStart, DecodeError> {
    let mut reader = Reader::new(entry.number, &entry.data);
    let (mut number, mut kind, mut fork_id, mut chain_id) = (0, 0, 0, 0);
    while let Some(field) = reader.field(4)? {
        match field.number {
            1 => number = reader.u64(&field)?,
            2 => kind = reader.u64(&field)?,
            3 => fork_id = reader.u64(&field)?,
            _ => chain_id = reader.u64(&field)?,
        }
    }
    let kind = match kind {
        1 => BatchKind::Regular,
        2 => BatchKind::Forced,
        3 => BatchKind::Injected,
        4 => BatchKind::Invalid,
        found => {
            return Err(DecodeError::EnumValue {
                entry: entry.number,
                field: 2,
                found,
            });
        }
    };
    Ok(BatchStart {
        number,
        kind,
        fork_id,
        chain_id,
    })
}

fn encode_batch_start(start: &BatchStart) -> Vec<u8> {
    let kind = match start.kind {
        BatchKind::Regular => 1,
        BatchKind::Forced => 2,
        BatchKind::Injected => 3,
        BatchKind::Invalid => 4,
    };
    Writer::default()
        .number(1, start.number)
        .number(2, kind)
        .number(3, start.fork_id)
        .number(4, start.chain_id)
        .finish()
}

fn decode_batch_end(entry: &Entry) -> Result<BatchEnd, DecodeError> {
    let mut reader = Reader::new(entry.number, &entry.data);
    let mut end = BatchEnd {
        number: 0,
        local_exit_root: B256::ZERO,
        state_root: B256::ZERO,
    };
    while let Some(field) = reader.field(3)? {
        match field.number {
            1 => end.number = reader.u64(&field)?,
            2 => end.local_exit_root = reader.b256(&field)?,
            _ => end.state_root = reader.b256(&field)?,
        }
    }
    Ok(end)
}

fn encode_batch_end(end: &BatchEnd) -> Vec<u8> {
    Writer::default()
        .number(1, end.number)
        .bytes(2, end.local_exit_root.as_slice())
        .bytes(3, end.state_root.as_slice())
        .finish()
}
