use super::buffer::Buffer;
use super::entry::Frame;
use super::{Bookmark, DecodeError, Entry, EntryKind, EntryTooLong, Header};
use alloc::string::String;
use alloc::vec::Vec;
use alloy_primitives::Bytes;
use core::fmt;

/// What a client may ask of a stream server.
///
/// Each command is answered by a [`Packet::Result`]; what follows that is said here. While entries flow, the server
/// takes [`Stop`](Self::Stop) only. (`zkevm-data-streamer/datastreamer/streamserver.go`; its README has two of the
/// numbers wrong.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Send entries from this number on, then new ones as they come.
    Start {
        /// Number of the first entry; may be the one that comes next.
        from: u64,
    },
    /// Send no more entries.
    Stop,
    /// Send the header: a [`Packet::Header`] follows.
    Header,
    /// Send entries from this bookmark on (itself included), then new ones as they come.
    StartBookmark(Bookmark),
    /// Send one entry: a [`Packet::Answer`] follows.
    Entry {
        /// Its number.
        number: u64,
    },
    /// Send the first entry behind the bookmark that is not a bookmark: a [`Packet::Answer`] follows.
    Bookmark(Bookmark),
}

impl Command {
    /// The bytes to send: command u64, stream type u64 (always 1), parameters; a bookmark is preceded by its length as
    /// u32.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(33);
        out.extend_from_slice(&self.code().to_be_bytes());
        out.extend_from_slice(&STREAM_TYPE.to_be_bytes());
        match self {
            Self::Start { from: number } | Self::Entry { number } => {
                out.extend_from_slice(&number.to_be_bytes());
            }
            Self::StartBookmark(bookmark) | Self::Bookmark(bookmark) => {
                let bytes = bookmark.encode();
                let length = u32::try_from(bytes.len()).expect("a bookmark has at most 13 bytes");
                out.extend_from_slice(&length.to_be_bytes());
                out.extend_from_slice(&bytes);
            }
            Self::Stop | Self::Header => {}
        }
        out
    }

    fn code(&self) -> u64 {
        match self {
            Self::Start { .. } => 1,
            Self::Stop => 2,
            Self::Header => 3,
            Self::StartBookmark(_) => 4,
            Self::Entry { .. } => 5,
            Self::Bookmark(_) => 6,
        }
    }
}

/// What a stream server sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet {
    /// 0x01: what the stream says of itself.
    Header(Header),
    /// 0x02: the next entry of the flow.
    Entry(Entry),
    /// 0xfe: the one entry that was asked for, or `None` when the stream has no such entry.
    Answer(Option<Entry>),
    /// 0xff: how a command went.
    Result(CommandResult),
}

impl Packet {
    /// Packet type of [`Packet::Answer`].
    pub const ANSWER_TYPE: u8 = 0xfe;
    /// Packet type of [`Packet::Result`].
    pub const RESULT_TYPE: u8 = 0xff;

    /// The packet's bytes. An entry that is too long cannot be written.
    pub fn encode(&self) -> Result<Vec<u8>, EntryTooLong> {
        let mut out = Vec::new();
        match self {
            Self::Header(header) => out = header.encode(),
            Self::Entry(entry) => entry.encode(&mut out)?,
            Self::Answer(Some(entry)) => entry.encode_as(Self::ANSWER_TYPE, &mut out)?,
            Self::Answer(None) => NOT_FOUND.encode_as(Self::ANSWER_TYPE, &mut out)?,
            Self::Result(result) => result.encode(&mut out),
        }
        Ok(out)
    }

    /// Reads a packet from the front of `bytes`; gives the packet and its length, or `None` when `bytes` end within it.
    /// `offset` is where `bytes` begin, for errors only.
    pub fn decode(bytes: &[u8], offset: u64) -> Result<Option<(Self, usize)>, DecodeError> {
        let Some(packet_type) = bytes.first() else {
            return Ok(None);
        };
        match *packet_type {
            Header::PACKET_TYPE => {
                let header = Header::decode(bytes, offset)?;
                Ok(header.map(|(header, length)| (Self::Header(header), length)))
            }
            Entry::PACKET_TYPE => {
                let entry = Entry::decode(bytes, offset)?;
                Ok(entry.map(|(entry, length)| (Self::Entry(entry), length)))
            }
            Self::ANSWER_TYPE => decode_answer(bytes, offset),
            Self::RESULT_TYPE => {
                let result = CommandResult::decode(bytes, offset)?;
                Ok(result.map(|(result, length)| (Self::Result(result), length)))
            }
            found => Err(DecodeError::PacketType { offset, found }),
        }
    }
}

/// How a command went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandResult {
    /// The outcome, by number.
    pub code: ResultCode,
    /// The outcome in words, at most [`CommandResult::MAX_TEXT_LEN`] bytes of ASCII.
    pub text: String,
}

impl CommandResult {
    /// Longest text that is accepted. The streamer's own are 17 bytes at most; the protocol sets no limit.
    pub const MAX_TEXT_LEN: usize = 255;
    const FRAME_LEN: usize = 9;
    const MIN_LEN: u32 = 9;
    const MAX_LEN: u32 = 9 + 255;

    /// The streamer's result with this code, in its words.
    pub fn new(code: ResultCode) -> Self {
        Self {
            code,
            text: String::from(code.text()),
        }
    }

    /// Packet type u8, packet length u32, code u32, text. A text that is too long is cut.
    fn encode(&self, out: &mut Vec<u8>) {
        let text = self.text.as_bytes();
        let text = &text[..text.len().min(Self::MAX_TEXT_LEN)];
        let length = u32::try_from(Self::FRAME_LEN + text.len()).expect("the text has just been cut");
        out.push(Packet::RESULT_TYPE);
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&self.code.0.to_be_bytes());
        out.extend_from_slice(text);
    }

    fn decode(bytes: &[u8], offset: u64) -> Result<Option<(Self, usize)>, DecodeError> {
        let Some(found) = packet_length(bytes) else {
            return Ok(None);
        };
        if !(Self::MIN_LEN..=Self::MAX_LEN).contains(&found) {
            return Err(DecodeError::PacketLength {
                offset,
                found,
                min: Self::MIN_LEN,
                max: Self::MAX_LEN,
            });
        }
        let packet = usize::try_from(found).ok().and_then(|length| bytes.get(..length));
        let Some((code, text)) = packet.and_then(|packet| packet[5..].split_first_chunk()) else {
            return Ok(None);
        };
        let length = Self::FRAME_LEN + text.len();
        let text = core::str::from_utf8(text).ok().filter(|text| text.is_ascii());
        let result = Self {
            code: ResultCode(u32::from_be_bytes(*code)),
            text: text.ok_or(DecodeError::ResultText { offset })?.into(),
        };
        Ok(Some((result, length)))
    }
}

/// Outcome of a command. Any number may arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResultCode(pub u32);

impl ResultCode {
    /// Done.
    pub const OK: Self = Self(0);
    /// Not allowed while entries flow. The server has not read the command's parameters and will take them for another
    /// command: unless there were none, the connection is lost.
    pub const ALREADY_STARTED: Self = Self(1);
    /// Not allowed while no entries flow.
    pub const ALREADY_STOPPED: Self = Self(2);
    /// The stream does not reach that entry. The connection is of no further use.
    pub const BAD_FROM_ENTRY: Self = Self(3);
    /// The stream has no such bookmark. The connection is of no further use.
    pub const BAD_FROM_BOOKMARK: Self = Self(4);
    /// There is no such command.
    pub const INVALID_COMMAND: Self = Self(9);

    /// The streamer's words for the code; nothing when it has none.
    pub fn text(self) -> &'static str {
        match self {
            Self::OK => "OK",
            Self::ALREADY_STARTED => "Already started",
            Self::ALREADY_STOPPED => "Already stopped",
            Self::BAD_FROM_ENTRY => "Bad from entry",
            Self::BAD_FROM_BOOKMARK => "Bad from bookmark",
            Self::INVALID_COMMAND => "Invalid command",
            _ => "",
        }
    }
}

impl fmt::Display for ResultCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.text() {
            "" => write!(f, "result code {}", self.0),
            text => write!(f, "result code {} ({text})", self.0),
        }
    }
}

/// Cuts what a stream server sends into packets.
///
/// [`push`](Self::push) bytes as they arrive, in pieces of any size, and after each piece take packets with
/// [`next`](Self::next) until there are no more. Between pieces the decoder then holds less than one packet, which is
/// little more than 1 MiB at most.
///
/// After an error the decoder stays where it is: asked again, it gives the same error.
#[derive(Clone, Debug, Default)]
pub struct PacketDecoder {
    buffer: Buffer,
}

impl PacketDecoder {
    /// A decoder at the start of a connection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes that have arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.push(bytes);
    }

    /// The next packet; `None` asks for more bytes.
    #[expect(
        clippy::should_implement_trait,
        reason = "`None` means \"not yet\", which is not what an iterator means by it"
    )]
    pub fn next(&mut self) -> Result<Option<Packet>, DecodeError> {
        let decoded = Packet::decode(self.buffer.unread(), self.buffer.offset())?;
        Ok(decoded.map(|(packet, length)| {
            self.buffer.advance(length);
            packet
        }))
    }

    /// Ends the connection. Says whether that was between two packets.
    pub fn finish(self) -> Result<(), DecodeError> {
        let unread = self.buffer.unread();
        if unread.is_empty() {
            return Ok(());
        }
        let offset = self.buffer.offset();
        let length = packet_length(unread).unwrap_or(CommandResult::MIN_LEN);
        Err(DecodeError::Truncated {
            offset,
            expected: offset.saturating_add(length.into()),
        })
    }
}

const STREAM_TYPE: u64 = 1;

/// What the streamer sends as the answer when there is no such entry.
const NOT_FOUND: Entry = Entry {
    number: 0,
    kind: EntryKind::NOT_FOUND,
    data: Bytes::new(),
};

fn decode_answer(bytes: &[u8], offset: u64) -> Result<Option<(Packet, usize)>, DecodeError> {
    let Some(frame) = Frame::decode(bytes, offset)? else {
        return Ok(None);
    };
    let Some((entry, length)) = frame.entry(bytes) else {
        return Ok(None);
    };
    if entry.kind != EntryKind::NOT_FOUND {
        return Ok(Some((Packet::Answer(Some(entry)), length)));
    }
    if entry != NOT_FOUND {
        return Err(DecodeError::NotFoundAnswer {
            offset,
            number: entry.number,
            length: entry.data.len(),
        });
    }
    Ok(Some((Packet::Answer(None), length)))
}

/// The length field, which stands behind the type in every packet; `None` when `bytes` end within it.
fn packet_length(bytes: &[u8]) -> Option<u32> {
    bytes.get(1..)?.first_chunk().copied().map(u32::from_be_bytes)
}
