use super::{
    Command, CommandResult, DecodeError, Entry, EntryKind, EntryTooLong, HEADER_PAGE_LEN, Header, Message,
    Packet, ResultCode, Sender,
};
use alloc::{collections::BTreeMap, vec::Vec};
use alloy_primitives::Bytes;

/// A data stream as the main node holds it.
///
/// Its quirks are those of `zkevm-data-streamer` (`spec/sync.md` §2.3): nobody is told when the stream is cut, and the
/// index of bookmarks outlives what it points to.
#[derive(Clone, Debug)]
pub struct Stream {
    sender: Option<Sender>,
    entries: Vec<Entry>,
    /// Bytes of a bookmark, and the number of its entry. Never cleaned.
    bookmarks: BTreeMap<Bytes, usize>,
    /// All that was ever appended, in order: what connections that have caught up are sent.
    broadcast: Vec<Entry>,
}

impl Default for Stream {
    fn default() -> Self {
        Self::new(Some(Sender::CDK_ERIGON))
    }
}

impl Stream {
    /// A stream without entries. Without `sender` its header is the old one, of 29 bytes.
    pub fn new(sender: Option<Sender>) -> Self {
        Self { sender, entries: Vec::new(), bookmarks: BTreeMap::new(), broadcast: Vec::new() }
    }

    /// Adds an entry at the end, and gives its number.
    ///
    /// # Errors
    ///
    /// [`EntryTooLong`] when it does not fit a page of a stream file.
    pub fn push(&mut self, kind: EntryKind, data: Bytes) -> Result<u64, EntryTooLong> {
        let position = self.entries.len();
        let entry = Entry { number: position as u64, kind, data };
        // Whatever cannot be written cannot be served.
        entry.encode(&mut Vec::new())?;
        if kind == EntryKind::BOOKMARK {
            self.bookmarks.insert(entry.data.clone(), position);
        }
        self.entries.push(entry.clone());
        self.broadcast.push(entry);
        Ok(position as u64)
    }

    /// Adds messages at the end.
    ///
    /// # Errors
    ///
    /// [`EntryTooLong`] at the first that does not fit a page of a stream file.
    pub fn append<'m>(
        &mut self,
        messages: impl IntoIterator<Item = &'m Message>,
    ) -> Result<(), EntryTooLong> {
        messages
            .into_iter()
            .try_for_each(|message| self.push(message.kind(), message.encode().into()).map(drop))
    }

    /// Cuts the stream to so many entries, and tells nobody.
    pub fn truncate(&mut self, entries: usize) {
        self.entries.truncate(entries);
    }

    /// Answers with another header from now on: `None` is the old one, of 29 bytes.
    pub fn set_sender(&mut self, sender: Option<Sender>) {
        self.sender = sender;
    }

    /// The sender that the header names.
    pub fn sender(&self) -> Option<Sender> {
        self.sender
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// There are no entries.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What the stream says of itself. The padding at the ends of a file's pages is not counted.
    pub fn header(&self) -> Header {
        let entries = self.entries.iter().map(|entry| (Entry::FRAME_LEN + entry.data.len()) as u64);
        Header {
            sender: self.sender,
            total_length: HEADER_PAGE_LEN + entries.sum::<u64>(),
            total_entries: self.entries.len() as u64,
        }
    }

    fn entry(&self, number: u64) -> Option<&Entry> {
        self.entries.get(usize::try_from(number).ok()?)
    }

    fn bookmark(&self, bytes: &[u8]) -> Option<usize> {
        self.bookmarks.get(bytes).copied()
    }
}

/// The main node's end of one connection: bytes of commands in, packets out. The host has the socket.
///
/// As in `zkevm-data-streamer`, a failed start leaves a connection of no use, and a command that may not come leaves its
/// parameters unread.
#[derive(Clone, Debug, Default)]
pub struct Server {
    input: Vec<u8>,
    flow: Flow,
}

#[derive(Clone, Copy, Debug, Default)]
enum Flow {
    #[default]
    Stopped,
    /// A start has failed: every command is refused.
    Stuck,
    /// So much of the broadcast has been sent.
    Synced(usize),
}

impl Server {
    /// A connection that nothing was asked on.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes that have arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    /// Everything that is to be sent now: new entries if they flow, and the answers to the commands that have arrived.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] for what the protocol answers by closing the connection.
    pub fn serve(&mut self, stream: &Stream) -> Result<Vec<Packet>, DecodeError> {
        let mut out = Vec::new();
        if let Flow::Synced(position) = &mut self.flow {
            let new = stream.broadcast.get(*position..).unwrap_or_default();
            out.extend(new.iter().cloned().map(Packet::Entry));
            *position = stream.broadcast.len();
        }
        while self.serve_command(stream, &mut out)? {}
        Ok(out)
    }

    /// Answers the first command of the input; `false` when there is none.
    fn serve_command(&mut self, stream: &Stream, out: &mut Vec<Packet>) -> Result<bool, DecodeError> {
        let Some(code) = self.input.first_chunk::<16>().map(|head| head[7]) else {
            return Ok(false);
        };
        let refusal = match (code, self.flow) {
            (2, Flow::Stopped | Flow::Stuck) => Some(ResultCode::ALREADY_STOPPED),
            (1 | 3..=6, Flow::Stuck | Flow::Synced(_)) => Some(ResultCode::ALREADY_STARTED),
            _ => None,
        };
        let decoded = Command::decode(&self.input, 0);
        let refusal = match (refusal, decoded) {
            (None, Ok(None)) => return Ok(false),
            (None, Ok(Some((command, length)))) => {
                self.input.drain(..length);
                self.answer(command, stream, out);
                return Ok(true);
            }
            (None, Err(DecodeError::UnknownCommand { .. })) => ResultCode::INVALID_COMMAND,
            (_, Err(error @ DecodeError::StreamType { .. })) | (None, Err(error)) => return Err(error),
            (Some(refusal), _) => refusal,
        };
        // The parameters of a command that is refused are not read.
        self.input.drain(..16);
        out.push(Packet::Result(CommandResult::new(refusal)));
        Ok(true)
    }

    fn answer(&mut self, command: Command, stream: &Stream, out: &mut Vec<Packet>) {
        match command {
            Command::Start { from } => {
                let from = usize::try_from(from).ok().filter(|from| *from <= stream.len());
                return self.start(from, ResultCode::BAD_FROM_ENTRY, stream, out);
            }
            Command::StartBookmark(bookmark) => {
                let from = stream.bookmark(&bookmark.encode());
                return self.start(from, ResultCode::BAD_FROM_BOOKMARK, stream, out);
            }
            Command::Stop => self.flow = Flow::Stopped,
            Command::Header | Command::Entry { .. } | Command::Bookmark(_) => {}
        }
        out.push(ok());
        match command {
            Command::Header => out.push(Packet::Header(stream.header())),
            Command::Entry { number } => out.push(Packet::Answer(stream.entry(number).cloned())),
            Command::Bookmark(bookmark) => {
                let behind = stream.bookmark(&bookmark.encode()).and_then(|from| stream.entries.get(from..));
                let mut behind = behind.unwrap_or_default().iter();
                out.push(Packet::Answer(behind.find(|entry| entry.kind != EntryKind::BOOKMARK).cloned()));
            }
            Command::Start { .. } | Command::StartBookmark(_) | Command::Stop => {}
        }
    }

    fn start(&mut self, from: Option<usize>, refusal: ResultCode, stream: &Stream, out: &mut Vec<Packet>) {
        let Some(from) = from else {
            self.flow = Flow::Stuck;
            return out.push(Packet::Result(CommandResult::new(refusal)));
        };
        out.push(ok());
        // A bookmark may point behind the end of a stream that was cut.
        let history = stream.entries.get(from..).unwrap_or_default();
        out.extend(history.iter().cloned().map(Packet::Entry));
        self.flow = Flow::Synced(stream.broadcast.len());
    }
}

fn ok() -> Packet {
    Packet::Result(CommandResult::new(ResultCode::OK))
}

#[cfg(test)]
mod tests {
    use super::super::Bookmark;
    use super::*;

    fn stream() -> Stream {
        let mut stream = Stream::default();
        stream
            .append(&[
                Message::Bookmark(Bookmark::Block(7)),
                Message::BlockEnd(super::super::BlockEnd { number: 7 }),
            ])
            .unwrap();
        stream
    }

    fn ask(server: &mut Server, stream: &Stream, commands: &[Command]) -> Vec<Packet> {
        commands.iter().for_each(|command| server.push(&command.encode()));
        server.serve(stream).unwrap()
    }

    fn result(code: ResultCode) -> Packet {
        Packet::Result(CommandResult::new(code))
    }

    #[test]
    fn commands_are_answered_in_order() {
        let (mut server, stream) = (Server::new(), stream());
        let bookmark = Command::Bookmark(Bookmark::Block(7));
        let asked = [Command::Header, Command::Entry { number: 0 }, Command::Entry { number: 2 }, bookmark];
        let entry = |number: usize| Packet::Answer(stream.entries.get(number).cloned());
        let header = Packet::Header(stream.header());
        let expected = [ok(), header, ok(), entry(0), ok(), Packet::Answer(None), ok(), entry(1)];
        assert_eq!(ask(&mut server, &stream, &asked), expected);
    }

    #[test]
    fn entries_flow_until_they_are_stopped() {
        let (mut server, mut stream) = (Server::new(), stream());
        let flowed = ask(&mut server, &stream, &[Command::Start { from: 1 }]);
        assert_eq!(flowed, [ok(), Packet::Entry(stream.entries[1].clone())]);
        stream.truncate(1);
        stream.push(EntryKind::BOOKMARK, Bytes::from_static(&[8, 2])).unwrap();
        assert_eq!(server.serve(&stream).unwrap(), [Packet::Entry(stream.entries[1].clone())]);
        assert_eq!(ask(&mut server, &stream, &[Command::Header]), [result(ResultCode::ALREADY_STARTED)]);
        assert_eq!(
            ask(&mut server, &stream, &[Command::Stop, Command::Stop]),
            [ok(), result(ResultCode::ALREADY_STOPPED)]
        );
    }

    #[test]
    fn a_failed_start_leaves_the_connection_of_no_use() {
        let (mut server, stream) = (Server::new(), stream());
        let refused = ask(&mut server, &stream, &[Command::Start { from: 3 }, Command::Header]);
        assert_eq!(refused, [result(ResultCode::BAD_FROM_ENTRY), result(ResultCode::ALREADY_STARTED)]);
    }

    #[test]
    fn another_stream_type_ends_the_connection() {
        let mut server = Server::new();
        server.push(&[0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 2]);
        assert!(server.serve(&stream()).is_err());
        let mut server = Server::new();
        server.push(&[0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(server.serve(&stream()).unwrap(), [result(ResultCode::INVALID_COMMAND)]);
    }
}
