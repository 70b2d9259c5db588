use super::{Bookmark, EntryKind};

/// Why bytes of a data stream could not be read.
///
/// All of it is the sender's doing: asking the same sender for the same bytes again will not help. `offset` counts
/// bytes from the start of the file or of the connection; `entry` is the number of the entry at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The file does not begin with the sixteen bytes that mark a stream file.
    #[error("file begins with {found:02x?}, not with the magic bytes of a stream file")]
    Magic {
        /// The first sixteen bytes.
        found: [u8; 16],
    },
    /// The header page holds something besides the header.
    #[error("header page has a non-zero byte at offset {offset}, behind the header")]
    HeaderPage {
        /// Where.
        offset: u64,
    },
    /// The header describes a stream that is not a sequencer's.
    #[error("header names stream type {found}, expected 1")]
    StreamType {
        /// The type it names.
        found: u64,
    },
    /// The header announces fewer bytes than the header page has.
    #[error("header announces {found} bytes in all, fewer than the header page has")]
    TotalLength {
        /// The announced length.
        found: u64,
    },
    /// The bytes end before what was announced has been read.
    #[error("stream ends at offset {offset}, expected {expected} bytes")]
    Truncated {
        /// Where the last complete piece ended.
        offset: u64,
        /// Where the stream should have ended.
        expected: u64,
    },
    /// The header's number of entries is not the number found.
    #[error("header announces {expected} entries, found {found}")]
    EntryCount {
        /// The announced number.
        expected: u64,
        /// The number found so far.
        found: u64,
    },
    /// A packet begins with a byte that may not stand there.
    #[error("packet at offset {offset} has type {found:#04x}")]
    PacketType {
        /// Where the packet begins.
        offset: u64,
        /// Its first byte.
        found: u8,
    },
    /// A packet's length field is out of the bounds of its type.
    #[error("packet at offset {offset} has length {found}, expected {min} to {max}")]
    PacketLength {
        /// Where the packet begins.
        offset: u64,
        /// The length field: bytes in the whole packet.
        found: u32,
        /// The smallest length it may have.
        min: u32,
        /// The largest length it may have there.
        max: u32,
    },
    /// An entry does not fit in the rest of its page.
    #[error("entry at offset {offset} has length {length}, but its page ends after {left} bytes")]
    CrossesPage {
        /// Where the entry begins.
        offset: u64,
        /// Bytes in the entry.
        length: u32,
        /// Bytes left in the page.
        left: u64,
    },
    /// An entry, or the padding of a page, goes on behind the announced end of the file.
    #[error("{length} bytes at offset {offset} pass the announced end at {end}")]
    PassesEnd {
        /// Where the entry or the padding begins.
        offset: u64,
        /// Its length.
        length: u64,
        /// The announced length of the file.
        end: u64,
    },
    /// A page begins with padding, so there is nothing in it.
    #[error("page at offset {offset} is empty")]
    EmptyPage {
        /// Where the page begins.
        offset: u64,
    },
    /// Entry numbers are not contiguous.
    #[error("entry at offset {offset} has number {found}, expected {expected}")]
    EntryNumber {
        /// Where the entry begins.
        offset: u64,
        /// The number it should have.
        expected: u64,
        /// The number it has.
        found: u64,
    },
    /// A command's result is put in words that are not ASCII.
    #[error("result at offset {offset} has a text that is not ascii")]
    ResultText {
        /// Where the packet begins.
        offset: u64,
    },
    /// An answer says that there is no such entry, and yet has one.
    #[error("answer at offset {offset} is not-found, but has number {number} and {length} bytes of data")]
    NotFoundAnswer {
        /// Where the packet begins.
        offset: u64,
        /// The entry number in it.
        number: u64,
        /// Bytes of data in it.
        length: usize,
    },

    /// The entry's type is none that carries a message.
    #[error("entry {entry} has unknown type {}", kind.0)]
    UnknownKind {
        /// Entry number.
        entry: u64,
        /// The type.
        kind: EntryKind,
    },
    /// The message ends within a field.
    #[error("entry {entry} ends within a field, at byte {at} of its data")]
    FieldTruncated {
        /// Entry number.
        entry: u64,
        /// Where the missing bytes should begin.
        at: usize,
    },
    /// A varint has more than 64 bits, or more bytes than its value needs.
    #[error("entry {entry} has a varint that is too long, at byte {at} of its data")]
    Varint {
        /// Entry number.
        entry: u64,
        /// Where the varint begins.
        at: usize,
    },
    /// A field number is zero or above 2²⁹ - 1.
    #[error("entry {entry} has field number {found}")]
    FieldNumber {
        /// Entry number.
        entry: u64,
        /// The number.
        found: u64,
    },
    /// A field is encoded with a wire type that is not its own, or that proto3 does not have.
    #[error("entry {entry}, field {field} has wire type {found}")]
    WireType {
        /// Entry number.
        entry: u64,
        /// Field number.
        field: u32,
        /// The wire type, 0 to 7.
        found: u8,
    },
    /// A field that may occur once occurs twice.
    #[error("entry {entry}, field {field} is repeated")]
    RepeatedField {
        /// Entry number.
        entry: u64,
        /// Field number.
        field: u32,
    },
    /// A field of fixed length has another length.
    #[error("entry {entry}, field {field} has {found} bytes, expected {expected}")]
    FieldLength {
        /// Entry number.
        entry: u64,
        /// Field number.
        field: u32,
        /// The length it should have.
        expected: usize,
        /// The length it has.
        found: usize,
    },
    /// A number is larger than its field allows.
    #[error("entry {entry}, field {field} has value {found}, expected at most {max}")]
    FieldValue {
        /// Entry number.
        entry: u64,
        /// Field number.
        field: u32,
        /// The largest value it may have.
        max: u64,
        /// The value it has.
        found: u64,
    },
    /// An enumeration has no such value.
    #[error("entry {entry}, field {field} has unknown enumeration value {found}")]
    EnumValue {
        /// Entry number.
        entry: u64,
        /// Field number.
        field: u32,
        /// The value.
        found: u64,
    },
    /// A bookmark is not encoded in the one way that can be looked up.
    #[error("entry {entry} is a bookmark that is not encoded canonically")]
    BookmarkEncoding {
        /// Entry number.
        entry: u64,
    },

    /// An entry stands where its kind may not.
    #[error("entry {entry} is {found}, expected {expected}")]
    Order {
        /// Entry number.
        entry: u64,
        /// What it is.
        found: EntryKind,
        /// What may stand there.
        expected: &'static str,
    },
    /// A bookmark is followed by something other than what it names.
    #[error("entry {entry} is number {found}, but its bookmark names {bookmark}")]
    BookmarkNames {
        /// Entry number of what follows the bookmark.
        entry: u64,
        /// The bookmark.
        bookmark: Bookmark,
        /// The number of the batch or block that follows.
        found: u64,
    },
    /// A transaction or a block end carries the number of another block.
    #[error("entry {entry} is part of block {found}, but block {block} is open")]
    BlockNumber {
        /// Entry number.
        entry: u64,
        /// The open block.
        block: u64,
        /// The number it carries.
        found: u64,
    },
    /// A transaction's index is neither zero nor its position in the block.
    #[error("entry {entry} has transaction index {found}, but its position in block {block} is {position}")]
    TransactionIndex {
        /// Entry number.
        entry: u64,
        /// The open block.
        block: u64,
        /// Position of the transaction, from 0.
        position: u64,
        /// The index it carries.
        found: u64,
    },
    /// A transaction is marked as not valid; those are never part of a block.
    #[error("entry {entry} is a transaction of block {block} marked invalid")]
    InvalidTransaction {
        /// Entry number.
        entry: u64,
        /// The open block.
        block: u64,
    },
    /// A block has more bytes than this replica accepts ([`super::Limits::block_bytes`]).
    #[error("entry {entry} makes block {block} larger than {limit} bytes")]
    BlockBytes {
        /// Entry number.
        entry: u64,
        /// The open block.
        block: u64,
        /// The limit.
        limit: usize,
    },
    /// A block has more transactions than this replica accepts ([`super::Limits::block_transactions`]).
    #[error("entry {entry} gives block {block} more than {limit} transactions")]
    BlockTransactions {
        /// Entry number.
        entry: u64,
        /// The open block.
        block: u64,
        /// The limit.
        limit: usize,
    },
    /// The stream ends within a block, or behind a bookmark.
    #[error("stream ends behind {bookmark}, before what it names is complete")]
    Incomplete {
        /// The bookmark of what is missing or incomplete.
        bookmark: Bookmark,
    },
}
