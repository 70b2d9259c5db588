use super::{BlockEnd, Bookmark, DecodeError, Entry, EntryKind, L2Block, Message, Transaction};
use crate::types::{
    BatchEnd, BatchStart, Block, BlockClaims, BlockInput, EncodedTransaction, L1Info, UpdateGer,
};
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
/// Block 0 is given out as soon as it is read, since nothing that follows can add to it; any other block when its end
/// has been read, so that a block that is cut short is never taken for a whole one.
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
    /// 16 MiB and 65,536 transactions. A whole batch of a rollup that posts its data to L1 has 120,000 bytes at most.
    fn default() -> Self {
        Self { block_bytes: 16 << 20, block_transactions: 1 << 16 }
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
        Self { limits, state: State::Outside { resumed: false } }
    }

    /// The same for a stream that is entered at the bookmark of a block: the batch it is part of is taken as open.
    pub fn resumed(self) -> Self {
        Self { state: State::Outside { resumed: true }, ..self }
    }

    /// Takes the next entry; gives what it completes.
    pub fn push(&mut self, entry: Entry) -> Result<Option<Item>, DecodeError> {
        let position = Position { entry: entry.number, kind: entry.kind };
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
                let block = mem::take(block.as_mut()).close();
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
            State::Block(block) => {
                Err(DecodeError::Incomplete { bookmark: Bookmark::Block(block.head.number) })
            }
            State::Outside { .. } | State::Batch | State::Updates | State::Genesis => Ok(()),
        }
    }

    fn open_block(
        &mut self,
        position: Position,
        head: L2Block,
        bytes: usize,
    ) -> Result<Option<Item>, DecodeError> {
        let mut block = OpenBlock { head, ..OpenBlock::default() };
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
            return Err(DecodeError::BlockTransactions { entry, block, limit: limits.block_transactions });
        }
        self.grow(position, bytes, limits)?;
        self.transactions.push(EncodedTransaction {
            encoded: transaction.encoded,
            effective_percentage: transaction.effective_percentage,
        });
        self.intermediate_state_roots.push(transaction.intermediate_state_root);
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
        DecodeError::Order { entry: self.entry, found: self.kind, expected }
    }

    /// The entry is what the bookmark in front of it names: the same kind of thing, with the same number.
    fn names(self, bookmark: Bookmark, actual: Bookmark) -> Result<(), DecodeError> {
        match (bookmark, actual) {
            _ if bookmark == actual => Ok(()),
            (Bookmark::Batch(_), Bookmark::Batch(found)) | (Bookmark::Block(_), Bookmark::Block(found)) => {
                Err(DecodeError::BookmarkNames { entry: self.entry, bookmark, found })
            }
            _ => Err(self.order(State::Named(bookmark).expected())),
        }
    }

    /// The entry carries the number of the block that is open.
    fn part_of(self, block: u64, found: u64) -> Result<(), DecodeError> {
        if found != block {
            return Err(DecodeError::BlockNumber { entry: self.entry, block, found });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::tests::messages;
    use super::super::{FileDecoder, FileEncoder};
    use super::*;
    use crate::types::BatchKind;
    use alloc::vec;
    use alloy_primitives::{Address, Bytes};
    use proptest::prelude::*;

    fn assemble(assembler: Assembler, messages: &[Message]) -> Result<Vec<Item>, DecodeError> {
        let mut assembler = assembler;
        let mut items = vec![];
        for (number, message) in messages.iter().enumerate() {
            items.extend(assembler.push(message.to_entry(number as u64))?);
        }
        assembler.finish()?;
        Ok(items)
    }

    fn read(messages: &[Message]) -> Result<Vec<Item>, DecodeError> {
        assemble(Assembler::new(), messages)
    }

    fn batch_mark(number: u64) -> Message {
        Message::Bookmark(Bookmark::Batch(number))
    }

    fn block_mark(number: u64) -> Message {
        Message::Bookmark(Bookmark::Block(number))
    }

    fn batch_start(number: u64) -> BatchStart {
        BatchStart { number, kind: BatchKind::Regular, fork_id: 9, chain_id: 779 }
    }

    fn start(number: u64) -> Message {
        Message::BatchStart(batch_start(number))
    }

    fn l2_block(number: u64) -> Message {
        Message::L2Block(L2Block { number, ..L2Block::default() })
    }

    fn transaction(block_number: u64) -> Transaction {
        Transaction {
            block_number,
            is_valid: true,
            encoded: Bytes::from_static(&[0xc0]),
            ..Transaction::default()
        }
    }

    fn block_end(number: u64) -> Message {
        Message::BlockEnd(BlockEnd { number })
    }

    fn batch_end(number: u64) -> Message {
        Message::BatchEnd(BatchEnd { number, local_exit_root: B256::ZERO, state_root: B256::ZERO })
    }

    fn update() -> Message {
        Message::UpdateGer(UpdateGer::default())
    }

    /// Batch 7, open, with block 20, open.
    fn in_block() -> Vec<Message> {
        vec![batch_mark(7), start(7), block_mark(20), l2_block(20)]
    }

    fn numbers(items: &[Item]) -> Vec<(char, u64)> {
        let number = |item: &Item| match item {
            Item::BatchStart(start) => ('s', start.number),
            Item::Block(block) => ('b', block.input.number),
            Item::BatchEnd(end) => ('e', end.number),
            Item::UpdateGer(update) => ('u', update.batch_number),
        };
        items.iter().map(number).collect()
    }

    #[test]
    fn stream_gives_batches_and_blocks_in_order() -> Result<(), DecodeError> {
        let genesis_end = [vec![], vec![block_end(0)]];
        for genesis_end in genesis_end {
            let messages = [
                vec![batch_mark(0), start(0), block_mark(0), l2_block(0)],
                genesis_end,
                vec![batch_end(0), batch_mark(1), start(1)],
                vec![block_mark(1), l2_block(1), block_end(1)],
                vec![block_mark(2), l2_block(2), Message::Transaction(transaction(2)), block_end(2)],
                vec![batch_end(1), batch_mark(2), start(2), batch_end(2)],
                vec![batch_mark(3), start(3), update(), update(), batch_end(3)],
                vec![batch_mark(4), start(4)],
            ]
            .concat();
            assert_eq!(
                numbers(&read(&messages)?),
                [
                    ('s', 0),
                    ('b', 0),
                    ('e', 0),
                    ('s', 1),
                    ('b', 1),
                    ('b', 2),
                    ('e', 1),
                    ('s', 2),
                    ('e', 2),
                    ('s', 3),
                    ('u', 0),
                    ('u', 0),
                    ('e', 3),
                    ('s', 4),
                ]
            );
        }
        Ok(())
    }

    #[test]
    fn every_field_finds_its_place() {
        let b256 = B256::repeat_byte;
        let head = L2Block {
            number: 20,
            batch_number: 6,
            timestamp: 1000,
            delta_timestamp: 12,
            min_timestamp: 900,
            l1_block_hash: b256(1),
            l1_info_tree_index: 3,
            hash: b256(2),
            state_root: b256(3),
            global_exit_root: b256(4),
            coinbase: Address::repeat_byte(5),
            gas_limit: 30_000_000,
            block_info_root: b256(6),
        };
        let first = Transaction {
            encoded: Bytes::from_static(&[1, 2]),
            effective_percentage: 255,
            intermediate_state_root: b256(7),
            ..transaction(20)
        };
        let second = Transaction {
            index: 1,
            encoded: Bytes::from_static(&[3]),
            effective_percentage: 128,
            intermediate_state_root: b256(8),
            ..transaction(20)
        };
        let block = Block {
            input: BlockInput {
                number: 20,
                timestamp: 1000,
                coinbase: Address::repeat_byte(5),
                l1_info: L1Info {
                    index: 3,
                    global_exit_root: b256(4),
                    block_hash: b256(1),
                    min_timestamp: 900,
                },
                transactions: vec![
                    EncodedTransaction { encoded: Bytes::from_static(&[1, 2]), effective_percentage: 255 },
                    EncodedTransaction { encoded: Bytes::from_static(&[3]), effective_percentage: 128 },
                ],
            },
            claims: BlockClaims {
                batch: 6,
                delta_timestamp: Some(12),
                gas_limit: Some(30_000_000),
                hash: b256(2),
                state_root: b256(3),
                block_info_root: b256(6),
                intermediate_state_roots: vec![b256(7), b256(8)],
            },
        };
        let messages = [
            batch_mark(7),
            start(7),
            block_mark(20),
            Message::L2Block(head),
            Message::Transaction(first),
            Message::Transaction(second),
            block_end(20),
        ];
        // The block's batch number differs from the open batch: that is for the checker.
        let items = vec![Item::BatchStart(batch_start(7)), Item::Block(block)];
        assert_eq!(read(&messages), Ok(items));
    }

    #[test]
    fn gas_limit_of_zero_is_not_given() -> Result<(), DecodeError> {
        let items = read(&[in_block(), vec![block_end(20)]].concat())?;
        let claims = |item: &Item| match item {
            Item::Block(block) => Some((block.claims.gas_limit, block.claims.delta_timestamp)),
            _ => None,
        };
        assert_eq!(items.last().and_then(claims), Some((None, Some(0))));
        Ok(())
    }

    #[test]
    fn nothing_stands_where_it_may_not() {
        // Messages of each kind, and the streams after which they may follow.
        let all = [
            ("batch mark", batch_mark(8)),
            ("block mark", block_mark(21)),
            ("batch start", start(7)),
            ("block", l2_block(20)),
            ("transaction", Message::Transaction(transaction(20))),
            ("block end", block_end(20)),
            ("update", update()),
            ("batch end", batch_end(7)),
        ];
        let open = vec![batch_mark(7), start(7)];
        let genesis = [open.clone(), vec![block_mark(0), l2_block(0)]].concat();
        let cases: [(Vec<Message>, &[&str]); 10] = [
            (vec![], &["batch mark"]),
            (vec![batch_mark(7)], &["batch start"]),
            (open.clone(), &["block mark", "update", "batch end"]),
            ([open.clone(), vec![block_mark(20)]].concat(), &["block"]),
            (in_block(), &["transaction", "block end"]),
            (
                [in_block(), vec![Message::Transaction(transaction(20))]].concat(),
                &["transaction", "block end"],
            ),
            ([in_block(), vec![block_end(20)]].concat(), &["block mark", "update", "batch end"]),
            ([open.clone(), vec![update()]].concat(), &["update", "batch end"]),
            ([open, vec![batch_end(7)]].concat(), &["batch mark"]),
            ([genesis, vec![block_end(0)]].concat(), &["block mark", "update", "batch end"]),
        ];
        for (before, allowed) in cases {
            for (name, message) in &all {
                let mut assembler = Assembler::new();
                for (number, message) in before.iter().enumerate() {
                    assert!(assembler.push(message.to_entry(number as u64)).is_ok());
                }
                let result = assembler.push(message.to_entry(99));
                if allowed.contains(name) {
                    assert!(result.is_ok(), "{name} after {before:?}: {result:?}");
                } else {
                    let found = message.kind();
                    assert!(
                        matches!(&result, Err(DecodeError::Order { entry: 99, found: kind, .. }) if *kind == found),
                        "{name} after {before:?}: {result:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn bookmark_names_what_follows() {
        let error = |bookmark, entry, found| Err(DecodeError::BookmarkNames { entry, bookmark, found });
        assert_eq!(read(&[batch_mark(7), start(8)]), error(Bookmark::Batch(7), 1, 8));
        assert_eq!(
            read(&[batch_mark(7), start(7), block_mark(20), l2_block(19)]),
            error(Bookmark::Block(20), 3, 19)
        );
    }

    #[test]
    fn parts_of_a_block_carry_its_number() {
        let error = DecodeError::BlockNumber { entry: 4, block: 20, found: 21 };
        for part in [Message::Transaction(transaction(21)), block_end(21)] {
            assert_eq!(read(&[in_block(), vec![part]].concat()), Err(error.clone()));
        }
        let genesis = [batch_mark(0), start(0), block_mark(0), l2_block(0), block_end(1)];
        let error = DecodeError::BlockNumber { entry: 4, block: 0, found: 1 };
        assert_eq!(read(&genesis), Err(error));
    }

    #[test]
    fn genesis_has_one_end_and_no_transactions() {
        let genesis = vec![batch_mark(0), start(0), block_mark(0), l2_block(0)];
        for more in [vec![Message::Transaction(transaction(0))], vec![block_end(0), block_end(0)]] {
            let result = read(&[genesis.clone(), more].concat());
            assert!(matches!(result, Err(DecodeError::Order { .. })), "{result:?}");
        }
    }

    #[test]
    fn transaction_index_is_zero_or_the_position() {
        let at = |index| Message::Transaction(Transaction { index, ..transaction(20) });
        let end = vec![block_end(20)];
        for good in [[0, 0, 0], [0, 1, 2], [0, 0, 2]] {
            let messages = [in_block(), good.map(at).to_vec(), end.clone()].concat();
            assert!(read(&messages).is_ok());
        }
        for (bad, position, found) in [([1, 0, 0], 0, 1), ([0, 2, 0], 1, 2), ([0, 1, 1], 2, 1)] {
            let messages = [in_block(), bad.map(at).to_vec(), end.clone()].concat();
            let error = DecodeError::TransactionIndex { entry: 4 + position, block: 20, position, found };
            assert_eq!(read(&messages), Err(error));
        }
    }

    #[test]
    fn invalid_transaction_is_refused() {
        let invalid = Transaction { is_valid: false, ..transaction(20) };
        let error = DecodeError::InvalidTransaction { entry: 4, block: 20 };
        let messages = [in_block(), vec![Message::Transaction(invalid)]].concat();
        assert_eq!(read(&messages), Err(error));
    }

    #[test]
    fn blocks_are_bounded() {
        let block_bytes = |count: usize| {
            l2_block(20).encode().len() + count * Message::Transaction(transaction(20)).encode().len()
        };
        let messages = |count: usize| {
            [in_block(), vec![Message::Transaction(transaction(20)); count], vec![block_end(20)]].concat()
        };
        let exact = Limits { block_bytes: block_bytes(3), block_transactions: 3 };
        let with = |limits, count| assemble(Assembler::with_limits(limits), &messages(count)).map(drop);
        assert_eq!(with(exact, 3), Ok(()));
        let error = DecodeError::BlockTransactions { entry: 7, block: 20, limit: 3 };
        assert_eq!(with(exact, 4), Err(error));
        for (count, entry) in [(3, 6), (0, 3)] {
            let limit = block_bytes(count) - 1;
            let limits = Limits { block_bytes: limit, ..exact };
            let error = DecodeError::BlockBytes { entry, block: 20, limit };
            assert_eq!(with(limits, count), Err(error));
        }
    }

    #[test]
    fn stream_ends_between_blocks() {
        let good = [in_block(), vec![block_end(20), batch_end(7)]].concat();
        for length in 0..=good.len() {
            let expected = match length {
                1 => Err(Bookmark::Batch(7)),
                3..=4 => Err(Bookmark::Block(20)),
                _ => Ok(()),
            };
            let expected = expected.map_err(|bookmark| DecodeError::Incomplete { bookmark });
            assert_eq!(read(&good[..length]).map(drop), expected);
        }
    }

    #[test]
    fn stream_may_be_entered_at_a_block() -> Result<(), DecodeError> {
        let messages = [block_mark(20), l2_block(20), block_end(20), batch_end(7), batch_mark(8), start(8)];
        let items = assemble(Assembler::new().resumed(), &messages)?;
        assert_eq!(numbers(&items), [('b', 20), ('e', 7), ('s', 8)]);
        let items = assemble(Assembler::new().resumed(), &messages[4..])?;
        assert_eq!(numbers(&items), [('s', 8)]);
        let at_end = assemble(Assembler::new().resumed(), &messages[2..]);
        assert!(matches!(at_end, Err(DecodeError::Order { entry: 0, .. })));
        Ok(())
    }

    #[test]
    fn refused_entry_changes_nothing() -> Result<(), DecodeError> {
        let mut assembler = Assembler::new();
        for message in in_block() {
            assembler.push(message.to_entry(0))?;
        }
        assert!(assembler.push(block_end(21).to_entry(0)).is_err());
        assert!(assembler.push(start(8).to_entry(0)).is_err());
        assert!(assembler.push(block_end(20).to_entry(0))?.is_some());
        Ok(())
    }

    /// A file that holds a batch with a block of two transactions, and the beginning of another batch.
    fn file() -> Vec<u8> {
        let mut file = FileEncoder::new();
        let messages = [
            in_block(),
            vec![Message::Transaction(transaction(20)); 2],
            vec![block_end(20), batch_end(7), batch_mark(8), start(8)],
        ];
        for message in messages.concat() {
            assert!(file.push_message(&message).is_ok());
        }
        file.finish()
    }

    fn read_file(pieces: &[&[u8]]) -> Result<Vec<Item>, DecodeError> {
        let (mut decoder, mut assembler) = (FileDecoder::new(), Assembler::new());
        let mut items = vec![];
        for piece in pieces {
            decoder.push(piece);
            while let Some(entry) = decoder.next()? {
                items.extend(assembler.push(entry)?);
            }
        }
        decoder.finish()?;
        assembler.finish()?;
        Ok(items)
    }

    proptest! {
        #[test]
        fn any_messages_are_survived(messages in proptest::collection::vec(messages(), 0..20)) {
            let _ = read(&messages);
        }

        #[test]
        fn altered_files_are_survived(
            alterations in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..4),
            size in 1usize..2000,
        ) {
            let mut file = file();
            for (index, byte) in alterations {
                let at = 4096 + index.index(file.len() - 4096);
                file[at] = byte;
            }
            let pieces: Vec<_> = file.chunks(size).collect();
            prop_assert_eq!(read_file(&pieces), read_file(&[&file]));
        }
    }
}
