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

    /// Reads a command from the front of `bytes`, as a server does; gives the command and its length, or `None` when
    /// `bytes` end within it. `offset` is where `bytes` begin, for errors only.
    pub fn decode(bytes: &[u8], offset: u64) -> Result<Option<(Self, usize)>, DecodeError> {
        let Some((code, rest)) = bytes.split_first_chunk() else {
            return Ok(None);
        };
        let Some((stream_type, parameters)) = rest.split_first_chunk() else {
            return Ok(None);
        };
        let (code, found) = (u64::from_be_bytes(*code), u64::from_be_bytes(*stream_type));
        if found != STREAM_TYPE {
            return Err(DecodeError::StreamType { found });
        }
        let number = || parameters.first_chunk().copied().map(u64::from_be_bytes);
        let command = match code {
            1 => number().map(|from| Self::Start { from }),
            2 => Some(Self::Stop),
            3 => Some(Self::Header),
            4 => decode_bookmark(parameters, offset)?.map(Self::StartBookmark),
            5 => number().map(|number| Self::Entry { number }),
            6 => decode_bookmark(parameters, offset)?.map(Self::Bookmark),
            found => return Err(DecodeError::UnknownCommand { offset, found }),
        };
        // A command has one encoding, so its length is that of what would be written.
        Ok(command.map(|command| (command, command.encode().len())))
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
        Self { code, text: String::from(code.text()) }
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
            return Err(DecodeError::PacketLength { offset, found, min: Self::MIN_LEN, max: Self::MAX_LEN });
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
        Err(DecodeError::Truncated { offset, expected: offset.saturating_add(length.into()) })
    }
}

const STREAM_TYPE: u64 = 1;

/// What the streamer sends as the answer when there is no such entry.
const NOT_FOUND: Entry = Entry { number: 0, kind: EntryKind::NOT_FOUND, data: Bytes::new() };

/// Reads a bookmark in a command: length u32, bytes.
fn decode_bookmark(parameters: &[u8], offset: u64) -> Result<Option<Bookmark>, DecodeError> {
    let Some((length, rest)) = parameters.split_first_chunk() else {
        return Ok(None);
    };
    let length = u32::from_be_bytes(*length);
    let no_bookmark = DecodeError::CommandBookmark { offset, length };
    // The streamer's limit. The longest bookmark has 13 bytes.
    if length > 16 {
        return Err(no_bookmark);
    }
    let Some(bytes) = rest.get(..length as usize) else {
        return Ok(None);
    };
    Bookmark::from_bytes(bytes).map(Some).ok_or(no_bookmark)
}

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
        return Err(DecodeError::NotFoundAnswer { offset, number: entry.number, length: entry.data.len() });
    }
    Ok(Some((Packet::Answer(None), length)))
}

/// The length field, which stands behind the type in every packet; `None` when `bytes` end within it.
fn packet_length(bytes: &[u8]) -> Option<u32> {
    bytes.get(1..)?.first_chunk().copied().map(u32::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloy_primitives::hex;
    use proptest::prelude::*;

    fn read(pieces: &[&[u8]]) -> Result<Vec<Packet>, DecodeError> {
        let mut decoder = PacketDecoder::new();
        let mut packets = vec![];
        for piece in pieces {
            decoder.push(piece);
            while let Some(packet) = decoder.next()? {
                packets.push(packet);
            }
        }
        decoder.finish()?;
        Ok(packets)
    }

    fn ok() -> Packet {
        Packet::Result(CommandResult::new(ResultCode::OK))
    }

    fn first_entry() -> Entry {
        Entry { number: 0, kind: EntryKind::BOOKMARK, data: Bytes::from_static(&[0x08, 0x01]) }
    }

    #[test]
    fn commands_are_written_as_the_streamer_reads_them() {
        for (command, bytes) in [
            (
                Command::Start { from: 0x1234 },
                &hex!("0000000000000001 0000000000000001 0000000000001234")[..],
            ),
            (Command::Stop, &hex!("0000000000000002 0000000000000001")),
            (Command::Header, &hex!("0000000000000003 0000000000000001")),
            (
                Command::StartBookmark(Bookmark::Batch(0)),
                &hex!("0000000000000004 0000000000000001 00000002 0801"),
            ),
            (
                Command::StartBookmark(Bookmark::Block(1000)),
                &hex!("0000000000000004 0000000000000001 00000005 080210e807"),
            ),
            (Command::Entry { number: 0 }, &hex!("0000000000000005 0000000000000001 0000000000000000")),
            (
                Command::Bookmark(Bookmark::Batch(1)),
                &hex!("0000000000000006 0000000000000001 00000004 08011001"),
            ),
        ] {
            assert_eq!(command.encode(), bytes, "{command:?}");
        }
    }

    #[test]
    fn commands_are_read_as_they_were_written() {
        for command in [
            Command::Start { from: u64::MAX },
            Command::Stop,
            Command::Header,
            Command::StartBookmark(Bookmark::Batch(0)),
            Command::Entry { number: 7 },
            Command::Bookmark(Bookmark::Block(u64::MAX)),
        ] {
            let bytes = command.encode();
            for length in 0..bytes.len() {
                assert_eq!(Command::decode(&bytes[..length], 0), Ok(None), "{command:?}");
            }
            let more = [&bytes[..], &[0xff; 9]].concat();
            assert_eq!(Command::decode(&more, 0), Ok(Some((command, bytes.len()))));
        }
    }

    #[test]
    fn bad_commands_are_refused() {
        for (bytes, error) in [
            (&hex!("0000000000000003 0000000000000002")[..], DecodeError::StreamType { found: 2 }),
            (&hex!("0000000000000007 0000000000000001"), DecodeError::UnknownCommand { offset: 3, found: 7 }),
            (
                &hex!("0000000000000004 0000000000000001 00000011"),
                DecodeError::CommandBookmark { offset: 3, length: 17 },
            ),
            (
                &hex!("0000000000000006 0000000000000001 00000000"),
                DecodeError::CommandBookmark { offset: 3, length: 0 },
            ),
            (
                &hex!("0000000000000004 0000000000000001 00000004 08011000"),
                DecodeError::CommandBookmark { offset: 3, length: 4 },
            ),
        ] {
            assert_eq!(Command::decode(bytes, 3), Err(error));
        }
    }

    #[test]
    fn longest_bookmark_fits_the_servers_limit() {
        let command = Command::StartBookmark(Bookmark::Block(u64::MAX)).encode();
        assert_eq!(command[16..20], hex!("0000000d"));
        assert_eq!(command.len(), 33);
    }

    #[test]
    fn answers_of_the_recording_are_read_and_written() {
        let header = Header {
            sender: Some(super::super::Sender::CDK_ERIGON),
            total_length: 5_421_190,
            total_entries: 34_723,
        };
        for (bytes, packet) in [
            (&hex!("ff 0000000b 00000000 4f4b")[..], ok()),
            (
                &hex!("01 00000026 02 0000000000000001 0000000000000001 000000000052b886 00000000000087a3"),
                Packet::Header(header),
            ),
            (&hex!("fe 00000013 000000b0 0000000000000000 0801"), Packet::Answer(Some(first_entry()))),
            (&hex!("02 00000013 000000b0 0000000000000000 0801"), Packet::Entry(first_entry())),
            (&hex!("fe 00000011 ffffffff 0000000000000000"), Packet::Answer(None)),
        ] {
            assert_eq!(packet.encode().as_deref(), Ok(bytes));
            assert_eq!(read(&[bytes]), Ok(vec![packet]));
        }
    }

    #[test]
    fn pieces_of_any_size_give_the_same_packets() {
        let stream = [
            &hex!("ff 0000000b 00000000 4f4b")[..],
            &hex!("02 00000013 000000b0 0000000000000000 0801"),
            &hex!("ff 00000018 00000001"),
            b"Already started",
            &hex!("01 0000001d 0000000000000001 0000000000001000 0000000000000000"),
        ]
        .concat();
        let whole = read(&[&stream]);
        assert_eq!(whole.as_ref().map(Vec::len), Ok(4));
        for size in 1..stream.len() {
            let pieces: Vec<_> = stream.chunks(size).collect();
            assert_eq!(read(&pieces), whole, "pieces of {size}");
        }
    }

    #[test]
    fn end_within_a_packet_is_found_out() {
        let packet = hex!("fe 00000013 000000b0 0000000000000000 0801");
        for length in 1..packet.len() {
            let error = DecodeError::Truncated { offset: 0, expected: if length < 5 { 9 } else { 19 } };
            assert_eq!(read(&[&packet[..length]]), Err(error));
        }
    }

    #[test]
    fn lengths_out_of_bounds_are_refused_once_they_are_known() {
        let bounds = [
            (0x01, 29, 38, &[0, 28, 30, 37, 39, u32::MAX][..]),
            (0x02, 17, 1_048_593, &[0, 16, 1_048_594, u32::MAX]),
            (0xfe, 17, 1_048_593, &[0, 16, 1_048_594, u32::MAX]),
            (0xff, 9, 264, &[0, 8, 265, u32::MAX]),
        ];
        for (packet_type, min, max, lengths) in bounds {
            for found in lengths {
                let bytes = [&[packet_type], &found.to_be_bytes()[..]].concat();
                let error = DecodeError::PacketLength { offset: 11, found: *found, min, max };
                // Behind a packet that is well, to see the offset.
                assert_eq!(read(&[&hex!("ff 0000000b 00000000 4f4b"), &bytes]), Err(error));
            }
        }
    }

    #[test]
    fn unknown_packet_types_are_refused() {
        for found in [0x00, 0x03, 0x7f, 0xfd] {
            let error = DecodeError::PacketType { offset: 0, found };
            assert_eq!(read(&[&[found]]), Err(error));
        }
    }

    #[test]
    fn not_found_has_neither_number_nor_data() {
        for (bytes, number, length) in [
            (&hex!("fe 00000011 ffffffff 0000000000000001")[..], 1, 0),
            (&hex!("fe 00000012 ffffffff 0000000000000000 00"), 0, 1),
        ] {
            let error = DecodeError::NotFoundAnswer { offset: 0, number, length };
            assert_eq!(read(&[bytes]), Err(error));
        }
    }

    #[test]
    fn result_is_put_in_ascii() {
        let error = DecodeError::ResultText { offset: 0 };
        for text in [hex!("4f80"), hex!("c3a4")] {
            let bytes = [&hex!("ff 0000000b 00000000")[..], &text].concat();
            assert_eq!(read(&[&bytes]), Err(error.clone()));
        }
    }

    #[test]
    fn unknown_result_codes_pass() {
        let result = CommandResult { code: ResultCode(77), text: String::new() };
        let bytes = hex!("ff 00000009 0000004d");
        assert_eq!(read(&[&bytes]), Ok(vec![Packet::Result(result)]));
    }

    #[test]
    fn error_is_repeated() {
        let mut decoder = PacketDecoder::new();
        decoder.push(&[0x55]);
        let error = decoder.next();
        assert!(error.is_err());
        decoder.push(&hex!("ff 0000000b 00000000 4f4b"));
        assert_eq!(decoder.next(), error);
    }

    fn packets() -> impl Strategy<Value = Packet> {
        let entry = (any::<u64>(), 0..u32::MAX, any::<Vec<u8>>()).prop_map(|(number, kind, data)| Entry {
            number,
            kind: EntryKind(kind),
            data: data.into(),
        });
        prop_oneof![
            (any::<u64>(), any::<u64>()).prop_map(|(total_length, total_entries)| Packet::Header(Header {
                sender: None,
                total_length,
                total_entries,
            })),
            entry.clone().prop_map(Packet::Entry),
            proptest::option::of(entry).prop_map(Packet::Answer),
            (any::<u32>(), "[ -~]{0,255}")
                .prop_map(|(code, text)| { Packet::Result(CommandResult { code: ResultCode(code), text }) }),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(packets in proptest::collection::vec(packets(), 0..6), size in 1usize..80) {
            let mut bytes = vec![];
            for packet in &packets {
                bytes.extend(packet.encode().unwrap_or_default());
            }
            let pieces: Vec<_> = bytes.chunks(size).collect();
            prop_assert_eq!(read(&pieces), Ok(packets));
        }

        #[test]
        fn any_bytes_are_survived(packet_type in proptest::sample::select(vec![1u8, 2, 0xfe, 0xff]), bytes: Vec<u8>) {
            let _ = read(&[&[packet_type, 0, 0, 0], &bytes]);
        }

        #[test]
        fn any_command_is_survived(code in 0u8..8, bytes: Vec<u8>) {
            let command = [&[0, 0, 0, 0, 0, 0, 0, code, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0], &bytes[..]].concat();
            let _ = Command::decode(&command, 0);
        }
    }
}
