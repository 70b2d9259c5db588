use super::protobuf::{Reader, Writer};
use super::{DecodeError, Entry, EntryKind};
use crate::types::{BatchEnd, BatchKind, BatchStart, UpdateGer};
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
            EntryKind::BOOKMARK => Self::Bookmark(Bookmark::decode(entry.number, &entry.data)?),
            EntryKind::BATCH_START => Self::BatchStart(decode_batch_start(entry)?),
            EntryKind::L2_BLOCK => Self::L2Block(L2Block::decode(entry)?),
            EntryKind::TRANSACTION => Self::Transaction(Transaction::decode(entry)?),
            EntryKind::BATCH_END => Self::BatchEnd(decode_batch_end(entry)?),
            EntryKind::UPDATE_GER => Self::UpdateGer(UpdateGer::decode(entry)?),
            EntryKind::L2_BLOCK_END => Self::BlockEnd(BlockEnd::decode(entry)?),
            kind => {
                return Err(DecodeError::UnknownKind { entry: entry.number, kind });
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
        Entry { number, kind: self.kind(), data: self.encode().into() }
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

    /// The bookmark that these bytes name, if they are what [`encode`](Self::encode) gives.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Self::decode(0, bytes).ok()
    }

    fn decode(entry: u64, data: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(entry, data);
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
                return Err(DecodeError::EnumValue { entry, field: 1, found });
            }
        };
        if data != bookmark.encode() {
            return Err(DecodeError::BookmarkEncoding { entry });
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
            return Err(DecodeError::EnumValue { entry: entry.number, field: 2, found });
        }
    };
    Ok(BatchStart { number, kind, fork_id, chain_id })
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
    let mut end = BatchEnd { number: 0, local_exit_root: B256::ZERO, state_root: B256::ZERO };
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

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use alloy_primitives::{address, b256, hex};
    use proptest::prelude::*;

    fn entry(kind: EntryKind, data: &[u8]) -> Entry {
        Entry { number: 5, kind, data: Bytes::copy_from_slice(data) }
    }

    /// The bytes say this and nothing else: they are read as the message, and it is written as they are.
    fn same(data: &[u8], message: Message) {
        let entry = entry(message.kind(), data);
        assert_eq!(message.to_entry(5), entry);
        assert_eq!(Message::decode(&entry), Ok(message));
    }

    #[test]
    fn bookmarks_of_the_specification_are_read_and_written() {
        for (bytes, bookmark) in [
            (&hex!("0801")[..], Bookmark::Batch(0)),
            (&hex!("08011001"), Bookmark::Batch(1)),
            (&hex!("0802"), Bookmark::Block(0)),
            (&hex!("080210e807"), Bookmark::Block(1000)),
            (&hex!("080210ffffffffffffffffff01"), Bookmark::Block(u64::MAX)),
        ] {
            same(bytes, Message::Bookmark(bookmark));
        }
    }

    #[test]
    fn bookmark_has_one_encoding() {
        let error = DecodeError::BookmarkEncoding { entry: 5 };
        for bytes in [
            // Zero that is written; fields in reverse; an unknown field.
            &hex!("08011000")[..],
            &hex!("10010801"),
            &hex!("080110011801"),
        ] {
            assert_eq!(Message::decode(&entry(EntryKind::BOOKMARK, bytes)), Err(error.clone()));
        }
        let overlong = entry(EntryKind::BOOKMARK, &hex!("0801108100"));
        assert_eq!(Message::decode(&overlong), Err(DecodeError::Varint { entry: 5, at: 3 }));
    }

    #[test]
    fn bookmark_names_a_batch_or_a_block() {
        for (bytes, found) in [(&hex!("")[..], 0), (&hex!("1001"), 0), (&hex!("0800"), 0), (&hex!("0803"), 3)]
        {
            let error = DecodeError::EnumValue { entry: 5, field: 1, found };
            assert_eq!(Message::decode(&entry(EntryKind::BOOKMARK, bytes)), Err(error));
        }
    }

    /// Entries 1, 3, 4, 6, 8 to 11 of the public recording.
    #[test]
    fn messages_of_the_recording_are_read_and_written() {
        same(
            &hex!("1001208b06"),
            Message::BatchStart(BatchStart {
                number: 0,
                kind: BatchKind::Regular,
                fork_id: 0,
                chain_id: 779,
            }),
        );
        same(
            &hex!(
                "18e4a0aab506 3220 0000000000000000000000000000000000000000000000000000000000000000"
                "4220 84bcf9e2cfdfe1d34ead39a0f5872a71984a3e8bdeead778bbd5a5c0b80061d8"
                "4a20 ea8d1e415c7615b49413cb381afef93a0f1cd45c9b179af5fba9b90134d04966"
                "5220 0000000000000000000000000000000000000000000000000000000000000000"
                "5a14 0000000000000000000000000000000000000000"
                "6a20 0000000000000000000000000000000000000000000000000000000000000000"
            ),
            Message::L2Block(L2Block {
                timestamp: 1_722_454_116,
                hash: b256!("84bcf9e2cfdfe1d34ead39a0f5872a71984a3e8bdeead778bbd5a5c0b80061d8"),
                state_root: b256!("ea8d1e415c7615b49413cb381afef93a0f1cd45c9b179af5fba9b90134d04966"),
                ..L2Block::default()
            }),
        );
        let root = b256!("94ef74ecb9c4698f7d65ff00d13e773019163ed4951aa1fb09219892b494a38e");
        same(
            &hex!("080110031809208b06"),
            Message::BatchStart(BatchStart {
                number: 1,
                kind: BatchKind::Injected,
                fork_id: 9,
                chain_id: 779,
            }),
        );
        same(
            &hex!(
                "0801 1001 18e4a0aab506 20e4a0aab506"
                "3220 cad9b8a2ba337e59a8e34c6995938eacd3b3752f2daea01985fe1d31bceaba7a"
                "4220 8cf10385e0e5c23b40a46ebe17e584748d6df9ba2d3d9f939b3fafe39d0484a2"
                "4a20 94ef74ecb9c4698f7d65ff00d13e773019163ed4951aa1fb09219892b494a38e"
                "5220 ad3228b676f7d3cd4284a5443f17f1962b36e491b30a40b2405849e597ba5fb5"
                "5a14 153724f17b1eb206e31caba82f6b45e865879d94"
                "6a20 8605f8d1c3c9d141a189eaa43623c1e9763410937aecbdea0c3f1efbb2f36143"
            ),
            Message::L2Block(L2Block {
                number: 1,
                batch_number: 1,
                timestamp: 1_722_454_116,
                delta_timestamp: 1_722_454_116,
                l1_block_hash: b256!("cad9b8a2ba337e59a8e34c6995938eacd3b3752f2daea01985fe1d31bceaba7a"),
                hash: b256!("8cf10385e0e5c23b40a46ebe17e584748d6df9ba2d3d9f939b3fafe39d0484a2"),
                state_root: root,
                global_exit_root: b256!("ad3228b676f7d3cd4284a5443f17f1962b36e491b30a40b2405849e597ba5fb5"),
                coinbase: address!("153724f17b1eb206e31caba82f6b45e865879d94"),
                block_info_root: b256!("8605f8d1c3c9d141a189eaa43623c1e9763410937aecbdea0c3f1efbb2f36143"),
                ..L2Block::default()
            }),
        );
        same(&hex!("0801"), Message::BlockEnd(BlockEnd { number: 1 }));
        same(
            &hex!(
                "0801 1220 0000000000000000000000000000000000000000000000000000000000000000"
                "1a20 94ef74ecb9c4698f7d65ff00d13e773019163ed4951aa1fb09219892b494a38e"
            ),
            Message::BatchEnd(BatchEnd { number: 1, local_exit_root: B256::ZERO, state_root: root }),
        );
    }

    #[test]
    fn transaction_of_the_recording_is_read_and_written() {
        // Entry 32662, the first of its block.
        let encoded = hex!(
            "f86d08844190ab00831e84b29462fe9a9925a79bb1d2468d59de1a903b2343d10a893635c9adc5dea00000801ba0"
            "c79100a434fa16691912a4d984e1c9d22b623ca0ae36810add02fc35ffd09415a00a8de757a4e7a9c91b51be8a13"
            "d62ebb2af48b7b42953c27147e1236e176b0d0"
        );
        let data = [
            &hex!("08c854 1801 226f")[..],
            &encoded,
            &hex!("28ff01 3220 0000000000000000000000000000000000000000000000000000000000000000"),
        ]
        .concat();
        same(
            &data,
            Message::Transaction(Transaction {
                block_number: 10824,
                index: 0,
                is_valid: true,
                encoded: Bytes::copy_from_slice(&encoded),
                effective_percentage: 255,
                intermediate_state_root: B256::ZERO,
            }),
        );
    }

    #[test]
    fn absent_fields_are_zero() {
        for (kind, message) in [
            (EntryKind::L2_BLOCK, Message::L2Block(L2Block::default())),
            (EntryKind::TRANSACTION, Message::Transaction(Transaction::default())),
            (EntryKind::UPDATE_GER, Message::UpdateGer(UpdateGer::default())),
            (EntryKind::L2_BLOCK_END, Message::BlockEnd(BlockEnd { number: 0 })),
        ] {
            assert_eq!(Message::decode(&entry(kind, &[])), Ok(message));
        }
    }

    #[test]
    fn debug_and_unknown_fields_are_skipped() {
        // debug { message: "x" } is the field after the last; field 100 is not in the format.
        for (kind, debug) in [
            (EntryKind::BATCH_START, 5),
            (EntryKind::L2_BLOCK, 14),
            (EntryKind::TRANSACTION, 7),
            (EntryKind::BATCH_END, 4),
            (EntryKind::UPDATE_GER, 8),
            (EntryKind::L2_BLOCK_END, 2),
        ] {
            let plain = match kind {
                EntryKind::BATCH_START => &hex!("1001")[..],
                _ => &[],
            };
            let more =
                [plain, &Writer::default().bytes(debug, &hex!("0a0178")).number(100, 1).finish()].concat();
            let message = Message::decode(&entry(kind, &more));
            assert!(message.is_ok());
            assert_eq!(message, Message::decode(&entry(kind, plain)));
        }
    }

    #[test]
    fn batch_type_is_one_of_four() {
        for found in [0, 5, u64::MAX] {
            let data = Writer::default().number(2, found).finish();
            let error = DecodeError::EnumValue { entry: 5, field: 2, found };
            assert_eq!(Message::decode(&entry(EntryKind::BATCH_START, &data)), Err(error));
        }
    }

    #[test]
    fn every_field_has_its_type() {
        // For each field: a number one too large where the type has a limit, or the other wire type.
        let too_large = |kind, field, max: u64| {
            let data = Writer::default().number(field, max + 1).finish();
            let error = DecodeError::FieldValue { entry: 5, field, max, found: max + 1 };
            assert_eq!(Message::decode(&entry(kind, &data)), Err(error));
        };
        too_large(EntryKind::L2_BLOCK, 4, u32::MAX.into());
        too_large(EntryKind::L2_BLOCK, 7, u32::MAX.into());
        too_large(EntryKind::TRANSACTION, 3, 1);
        too_large(EntryKind::TRANSACTION, 5, 255);
        let bytes: [(EntryKind, &[u32], u32); 7] = [
            (EntryKind::BOOKMARK, &[], 2),
            (EntryKind::BATCH_START, &[], 4),
            (EntryKind::L2_BLOCK, &[6, 8, 9, 10, 11, 13], 13),
            (EntryKind::TRANSACTION, &[4, 6], 6),
            (EntryKind::BATCH_END, &[2, 3], 3),
            (EntryKind::UPDATE_GER, &[3, 4, 7], 7),
            (EntryKind::L2_BLOCK_END, &[], 1),
        ];
        for (kind, bytes, last) in bytes {
            for field in 1..=last {
                let (data, found) = if bytes.contains(&field) {
                    (Writer::default().number(field, 1).finish(), 0)
                } else {
                    (Writer::default().bytes(field, &[1]).finish(), 2)
                };
                let error = DecodeError::WireType { entry: 5, field, found };
                assert_eq!(Message::decode(&entry(kind, &data)), Err(error));
            }
        }
    }

    #[test]
    fn entries_of_unknown_type_are_refused() {
        for kind in [EntryKind(0), EntryKind(7), EntryKind(175), EntryKind::NOT_FOUND] {
            let error = DecodeError::UnknownKind { entry: 5, kind };
            assert_eq!(Message::decode(&entry(kind, &[])), Err(error));
        }
    }

    #[test]
    fn message_that_is_cut_never_reads_as_another_error() {
        let block = Message::L2Block(L2Block { number: 300, gas_limit: 1 << 50, ..L2Block::default() });
        let data = block.encode();
        for length in 0..data.len() {
            // A cut between two fields is a message with fewer fields: framing, not protobuf, tells the length.
            let result = Message::decode(&entry(EntryKind::L2_BLOCK, &data[..length]));
            assert!(
                matches!(result, Ok(_) | Err(DecodeError::FieldTruncated { entry: 5, .. })),
                "{length} bytes: {result:?}"
            );
        }
    }

    fn b256s() -> impl Strategy<Value = B256> {
        prop_oneof![Just(B256::ZERO), any::<[u8; 32]>().prop_map(B256::new)]
    }

    fn addresses() -> impl Strategy<Value = Address> {
        prop_oneof![Just(Address::ZERO), any::<[u8; 20]>().prop_map(Address::new)]
    }

    prop_compose! {
        fn blocks()(
            (number, batch_number, timestamp, delta_timestamp) in any::<(u64, u64, u64, u32)>(),
            (min_timestamp, l1_info_tree_index, gas_limit) in any::<(u64, u32, u64)>(),
            (l1_block_hash, hash, state_root) in (b256s(), b256s(), b256s()),
            (global_exit_root, block_info_root, coinbase) in (b256s(), b256s(), addresses()),
        ) -> L2Block {
            L2Block {
                number, batch_number, timestamp, delta_timestamp, min_timestamp, l1_block_hash, l1_info_tree_index,
                hash, state_root, global_exit_root, coinbase, gas_limit, block_info_root,
            }
        }
    }

    prop_compose! {
        fn transactions()(
            (block_number, index, is_valid) in any::<(u64, u64, bool)>(),
            encoded in any::<Vec<u8>>(),
            effective_percentage in any::<u8>(),
            intermediate_state_root in b256s(),
        ) -> Transaction {
            Transaction {
                block_number, index, is_valid, encoded: encoded.into(), effective_percentage, intermediate_state_root,
            }
        }
    }

    prop_compose! {
        fn updates()(
            (batch_number, timestamp, fork_id, chain_id) in any::<(u64, u64, u64, u64)>(),
            (global_exit_root, state_root, coinbase) in (b256s(), b256s(), addresses()),
        ) -> UpdateGer {
            UpdateGer { batch_number, timestamp, global_exit_root, coinbase, fork_id, chain_id, state_root }
        }
    }

    prop_compose! {
        fn batch_starts()(
            (number, fork_id, chain_id) in any::<(u64, u64, u64)>(),
            kind in proptest::sample::select(alloc::vec![
                BatchKind::Regular, BatchKind::Forced, BatchKind::Injected, BatchKind::Invalid,
            ]),
        ) -> BatchStart {
            BatchStart { number, kind, fork_id, chain_id }
        }
    }

    /// Any message.
    pub(in super::super) fn messages() -> impl Strategy<Value = Message> {
        prop_oneof![
            any::<u64>().prop_map(|number| Message::Bookmark(Bookmark::Batch(number))),
            any::<u64>().prop_map(|number| Message::Bookmark(Bookmark::Block(number))),
            batch_starts().prop_map(Message::BatchStart),
            blocks().prop_map(Message::L2Block),
            transactions().prop_map(Message::Transaction),
            (any::<u64>(), b256s(), b256s()).prop_map(|(number, local_exit_root, state_root)| {
                Message::BatchEnd(BatchEnd { number, local_exit_root, state_root })
            }),
            updates().prop_map(Message::UpdateGer),
            any::<u64>().prop_map(|number| Message::BlockEnd(BlockEnd { number })),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(message in messages(), number: u64) {
            prop_assert_eq!(Message::decode(&message.to_entry(number)), Ok(message));
        }

        #[test]
        fn any_bytes_are_survived(
            kind in proptest::sample::select(alloc::vec![1u32, 2, 3, 4, 5, 6, 176]),
            data: Vec<u8>,
        ) {
            let _ = Message::decode(&entry(EntryKind(kind), &data));
        }

        #[test]
        fn altered_messages_are_survived(
            message in messages(),
            at: proptest::sample::Index,
            byte: u8,
            length: proptest::sample::Index,
        ) {
            let mut data = message.encode();
            if !data.is_empty() {
                let at = at.index(data.len());
                data[at] = byte;
                data.truncate(length.index(data.len()) + 1);
            }
            // What is still a message reads the same after being written.
            if let Ok(altered) = Message::decode(&entry(message.kind(), &data)) {
                prop_assert_eq!(Message::decode(&altered.to_entry(5)), Ok(altered));
            }
        }
    }
}
