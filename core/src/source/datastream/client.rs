use super::{
    Bookmark, Command, CommandResult, DecodeError, Entry, EntryKind, Header, Message, Packet, PacketDecoder,
    ResultCode,
};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use alloy_primitives::B256;

/// The client's side of one connection to a stream server.
///
/// It does no I/O and knows no time. The host sends what [`output`](Self::output) gives, hands in what arrives with
/// [`push`](Self::push) and takes [`Event`]s with [`next`](Self::next) until there are no more. When nothing has arrived
/// for as long as the host cares to wait, it calls [`silence`](Self::silence); when the other side has closed,
/// [`closed`](Self::closed). A [`ClientError`] ends the connection, never more: connect again and begin with a new
/// client.
///
/// A connection begins with the header and the stream's first entry, which tells the encoding. Then the host may look
/// entries up, and at last let them flow: from the bookmark of its last verified block, never from an entry number, since
/// those are given anew when the main node cuts its stream.
///
/// In the flow entries are numbered without a gap. One that comes again with the same content is dropped; one that comes
/// again with other content, or one that is missing, ends the connection. What is held is bounded: one packet, and the
/// last entries up to [`RECENT_ENTRIES`] and [`RECENT_BYTES`].
///
/// (`spec/sync.md` §2.3 and §2.9; the server is `zkevm-data-streamer/datastreamer/streamserver.go`.)
///
/// ```
/// use zk_replica_core::source::datastream::{Client, Command, CommandResult, Event, Header, Packet, ResultCode};
///
/// let mut client = Client::new();
/// assert_eq!(client.output(), Command::Header.encode());
///
/// let header = Header { sender: None, total_length: 4096, total_entries: 0 };
/// client.push(&Packet::Result(CommandResult::new(ResultCode::OK)).encode()?);
/// client.push(&Packet::Header(header).encode()?);
/// assert_eq!(client.next()?, Some(Event::Ready(header)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Client {
    decoder: PacketDecoder,
    output: Vec<u8>,
    state: State,
    header: Header,
}

/// Most entries that are remembered to recognise those that come twice.
pub const RECENT_ENTRIES: usize = 4096;

/// Most bytes of data in the entries that are remembered. (The last one is, whatever its size.)
pub const RECENT_BYTES: usize = 4 << 20;

/// What came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The server has said what it has, in an encoding that can be read. Entries can be looked up, and the flow begun.
    Ready(Header),
    /// The answer to [`Client::look_up`]; `None` when the stream has no such bookmark.
    Found(Option<Entry>),
    /// The next entry of the flow.
    Entry(Entry),
}

/// A block that is known: the one whose bookmark the flow begins with has to be this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// Block number.
    pub number: u64,
    /// Header hash.
    pub hash: B256,
    /// State root after the block.
    pub state_root: B256,
    /// The batch it is in.
    pub batch: u64,
}

impl Anchor {
    /// Whether an entry is this block.
    pub fn is(&self, entry: &Entry) -> bool {
        let Ok(Message::L2Block(block)) = Message::decode(entry) else {
            return false;
        };
        let found = Self {
            number: block.number,
            hash: block.hash,
            state_root: block.state_root,
            batch: block.batch_number,
        };
        found == *self
    }
}

/// Why a connection is of no further use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// What came is not of the protocol's form.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The stream is in the encoding from before protobuf.
    #[error("the stream's first entry is not a protobuf bookmark of batch 0: its encoding is not supported")]
    Encoding,
    /// The server did not do what it was asked for.
    #[error("{what} was refused: {code}")]
    Refused {
        /// What it was asked for.
        what: &'static str,
        /// Its answer.
        code: ResultCode,
    },
    /// A packet came that nobody has asked for.
    #[error("{found} came while waiting for {expected}")]
    Unexpected {
        /// What came.
        found: &'static str,
        /// What could have come.
        expected: &'static str,
    },
    /// The flow begins with another entry than the bookmark that was asked for.
    #[error("the stream does not begin at {bookmark}: its index is stale")]
    Elsewhere {
        /// The bookmark.
        bookmark: Bookmark,
    },
    /// The block behind the bookmark is not the one that is known.
    #[error("block {block} is another one than before")]
    Diverged {
        /// Its number.
        block: u64,
    },
    /// Entries are missing.
    #[error("entry {found} came where entry {expected} is due")]
    Gap {
        /// The number that is due.
        expected: u64,
        /// The number that came.
        found: u64,
    },
    /// An entry came again with other content: the main node has cut its stream and writes on from there.
    #[error("entry {number} came again with other content: the stream was cut")]
    Rewritten {
        /// Its number.
        number: u64,
    },
    /// Nothing came for too long.
    #[error("silence while waiting for {expected}")]
    Silent {
        /// What is awaited.
        expected: &'static str,
    },
    /// The other side closed the connection.
    #[error("closed by the other side while waiting for {expected}")]
    Closed {
        /// What was awaited.
        expected: &'static str,
    },
}

#[derive(Clone, Debug)]
enum State {
    /// The command `Header` has been sent.
    Header(Awaited),
    /// The command `Entry` for entry 0 has been sent.
    First(Awaited),
    /// Commands may be sent.
    Ready,
    /// The command `Bookmark` has been sent.
    LookUp(Awaited),
    /// The command `StartBookmark` has been sent.
    Start(Origin),
    /// Entries flow.
    Flow(Flow),
    Lost(ClientError),
}

/// A command has two answers: how it went, and what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    Result,
    Answer,
}

/// Where the flow begins.
#[derive(Clone, Copy, Debug)]
struct Origin {
    bookmark: Bookmark,
    anchor: Option<Anchor>,
}

#[derive(Clone, Debug)]
struct Flow {
    origin: Origin,
    recent: VecDeque<Entry>,
    recent_bytes: usize,
    /// Number of the next entry; `None` before the first.
    next: Option<u64>,
    /// The entry behind the bookmark has to be compared with the anchor.
    unanchored: Option<Anchor>,
    /// A command was sent to see whether anybody is there, and its refusal has not come yet.
    keeping_alive: bool,
}

impl Client {
    /// The client of a connection that has just been made.
    pub fn new() -> Self {
        Self {
            decoder: PacketDecoder::new(),
            output: Command::Header.encode(),
            state: State::Header(Awaited::Result),
            header: Header { sender: None, total_length: 0, total_entries: 0 },
        }
    }

    /// The bytes that are to be sent now; nothing when there are none.
    pub fn output(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.output)
    }

    /// Takes bytes that have arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        self.decoder.push(bytes);
    }

    /// What has come; `None` asks for more bytes.
    ///
    /// # Errors
    ///
    /// The connection is of no further use. Asked again, it gives the same error.
    #[expect(
        clippy::should_implement_trait,
        reason = "`None` means \"not yet\", which is not what an iterator means by it"
    )]
    pub fn next(&mut self) -> Result<Option<Event>, ClientError> {
        if let State::Lost(error) = &self.state {
            return Err(error.clone());
        }
        self.take().inspect_err(|error| self.state = State::Lost(error.clone()))
    }

    /// Asks for the first entry behind a bookmark that is not a bookmark; [`Event::Found`] is the answer.
    ///
    /// # Errors
    ///
    /// [`ClientError::Unexpected`] unless the last event was [`Event::Ready`] or [`Event::Found`].
    pub fn look_up(&mut self, bookmark: Bookmark) -> Result<(), ClientError> {
        self.send(Command::Bookmark(bookmark), State::LookUp(Awaited::Result))
    }

    /// Lets entries flow from a bookmark on, itself included. With an anchor, what is behind it has to be that block.
    ///
    /// # Errors
    ///
    /// As [`Client::look_up`].
    pub fn start(&mut self, bookmark: Bookmark, anchor: Option<Anchor>) -> Result<(), ClientError> {
        self.send(Command::StartBookmark(bookmark), State::Start(Origin { bookmark, anchor }))
    }

    /// Nothing has arrived for a while.
    ///
    /// When entries flow and there may just be none, it asks for something that is refused then: that shows both sides
    /// that the other is there. (Servers from before August 2024 close the connection upon that, which does no harm.)
    ///
    /// # Errors
    ///
    /// An answer is overdue.
    pub fn silence(&mut self) -> Result<(), ClientError> {
        if let State::Flow(flow) = &mut self.state
            && flow.next.is_some()
            && !flow.keeping_alive
        {
            flow.keeping_alive = true;
            self.output.extend(Command::Header.encode());
            return Ok(());
        }
        let error = match &self.state {
            State::Lost(error) => error.clone(),
            State::Ready => return Ok(()),
            _ => ClientError::Silent { expected: self.expected() },
        };
        self.state = State::Lost(error.clone());
        Err(error)
    }

    /// The other side has closed the connection: why it is lost.
    pub fn closed(self) -> ClientError {
        let expected = self.expected();
        match (self.state, self.decoder.finish()) {
            (State::Lost(error), _) => error,
            (_, Err(error)) => error.into(),
            (_, Ok(())) => ClientError::Closed { expected },
        }
    }

    /// What the server said of its stream when the connection was made.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Number of the entry that comes next in the flow; `None` before the first.
    pub fn next_entry(&self) -> Option<u64> {
        match &self.state {
            State::Flow(flow) => flow.next,
            _ => None,
        }
    }

    fn send(&mut self, command: Command, then: State) -> Result<(), ClientError> {
        match &self.state {
            State::Ready => {
                self.output.extend(command.encode());
                self.state = then;
                Ok(())
            }
            State::Lost(error) => Err(error.clone()),
            _ => Err(ClientError::Unexpected { found: "a command", expected: self.expected() }),
        }
    }

    fn take(&mut self) -> Result<Option<Event>, ClientError> {
        while let Some(packet) = self.decoder.next()? {
            if let Some(event) = self.handle(packet)? {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    fn handle(&mut self, packet: Packet) -> Result<Option<Event>, ClientError> {
        let expected = self.expected();
        match (&mut self.state, packet) {
            (State::Header(awaited @ Awaited::Result), Packet::Result(result)) => {
                accept(&result, "the header")?;
                *awaited = Awaited::Answer;
                Ok(None)
            }
            (State::Header(Awaited::Answer), Packet::Header(header)) => {
                self.header = header;
                Ok(self.after_header())
            }
            (State::First(awaited @ Awaited::Result), Packet::Result(result)) => {
                accept(&result, "the first entry")?;
                *awaited = Awaited::Answer;
                Ok(None)
            }
            (State::First(Awaited::Answer), Packet::Answer(entry)) => {
                // Not found: cut to nothing in this very moment.
                if entry.is_some_and(|entry| !is_supported(&entry)) {
                    return Err(ClientError::Encoding);
                }
                self.state = State::Ready;
                Ok(Some(Event::Ready(self.header)))
            }
            (State::LookUp(awaited @ Awaited::Result), Packet::Result(result)) => {
                accept(&result, "an entry")?;
                *awaited = Awaited::Answer;
                Ok(None)
            }
            (State::LookUp(Awaited::Answer), Packet::Answer(entry)) => {
                self.state = State::Ready;
                Ok(Some(Event::Found(entry)))
            }
            (State::Start(origin), Packet::Result(result)) => {
                accept(&result, "to start")?;
                self.state = State::Flow(Flow::new(*origin));
                Ok(None)
            }
            (State::Flow(flow), Packet::Entry(entry)) => flow.take(entry),
            (State::Flow(flow), Packet::Result(result))
                if flow.keeping_alive && result.code == ResultCode::ALREADY_STARTED =>
            {
                flow.keeping_alive = false;
                Ok(None)
            }
            (_, packet) => Err(ClientError::Unexpected { found: name(&packet), expected }),
        }
    }

    fn after_header(&mut self) -> Option<Event> {
        if self.header.total_entries == 0 {
            self.state = State::Ready;
            return Some(Event::Ready(self.header));
        }
        self.output.extend(Command::Entry { number: 0 }.encode());
        self.state = State::First(Awaited::Result);
        None
    }

    fn expected(&self) -> &'static str {
        match &self.state {
            State::Header(_) => "the header",
            State::First(_) => "the first entry",
            State::Ready | State::Lost(_) => "nothing",
            State::LookUp(_) => "an entry that was looked up",
            State::Start(_) => "the start of the stream",
            State::Flow(Flow { next: None, .. }) => "the first entry of the flow",
            State::Flow(Flow { keeping_alive: true, .. }) => "a sign of life",
            State::Flow(_) => "entries",
        }
    }
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

impl Flow {
    fn new(origin: Origin) -> Self {
        Self {
            origin,
            recent: VecDeque::new(),
            recent_bytes: 0,
            next: None,
            unanchored: None,
            keeping_alive: false,
        }
    }

    fn take(&mut self, entry: Entry) -> Result<Option<Event>, ClientError> {
        match self.next {
            None => self.begin(&entry)?,
            Some(next) if entry.number < next => return self.again(&entry),
            Some(expected) if entry.number > expected => {
                return Err(ClientError::Gap { expected, found: entry.number });
            }
            Some(_) => {}
        }
        if self.next.is_some()
            && let Some(anchor) = self.unanchored.take()
            && !anchor.is(&entry)
        {
            return Err(ClientError::Diverged { block: anchor.number });
        }
        if self.next.is_none() {
            self.unanchored = self.origin.anchor;
        }
        self.next = Some(entry.number.saturating_add(1));
        self.remember(entry.clone());
        Ok(Some(Event::Entry(entry)))
    }

    /// The first entry is the bookmark that was asked for: the index of bookmarks outlives what it points to.
    fn begin(&self, entry: &Entry) -> Result<(), ClientError> {
        let bookmark = self.origin.bookmark;
        if entry.kind != EntryKind::BOOKMARK || entry.data.as_ref() != bookmark.encode() {
            return Err(ClientError::Elsewhere { bookmark });
        }
        Ok(())
    }

    /// An entry whose number was given before. What is not remembered any more cannot be told from something new.
    fn again(&self, entry: &Entry) -> Result<Option<Event>, ClientError> {
        let first = self.recent.front().map_or(0, |first| first.number);
        let position = entry.number.checked_sub(first).and_then(|position| usize::try_from(position).ok());
        let before = position.and_then(|position| self.recent.get(position));
        if before == Some(entry) {
            return Ok(None);
        }
        Err(ClientError::Rewritten { number: entry.number })
    }

    fn remember(&mut self, entry: Entry) {
        self.recent_bytes += entry.data.len();
        self.recent.push_back(entry);
        while self.recent.len() > 1
            && (self.recent.len() > RECENT_ENTRIES || self.recent_bytes > RECENT_BYTES)
            && let Some(forgotten) = self.recent.pop_front()
        {
            self.recent_bytes -= forgotten.data.len();
        }
    }
}

fn accept(result: &CommandResult, what: &'static str) -> Result<(), ClientError> {
    match result.code {
        ResultCode::OK => Ok(()),
        code => Err(ClientError::Refused { what, code }),
    }
}

/// Entry 0 is the bookmark of batch 0. In the encodings from before protobuf it has nine bytes.
fn is_supported(first: &Entry) -> bool {
    first.kind == EntryKind::BOOKMARK && Bookmark::from_bytes(&first.data).is_some()
}

fn name(packet: &Packet) -> &'static str {
    match packet {
        Packet::Header(_) => "a header",
        Packet::Entry(_) => "an entry of the flow",
        Packet::Answer(_) => "an answer",
        Packet::Result(_) => "a result",
    }
}

#[cfg(test)]
mod tests {
    use super::super::L2Block;
    use super::*;
    use alloc::vec;
    use alloy_primitives::hex;
    use proptest::prelude::*;

    const HEADER: Header = Header { sender: None, total_length: 5000, total_entries: 9 };

    fn ok() -> Packet {
        result(ResultCode::OK)
    }

    fn result(code: ResultCode) -> Packet {
        Packet::Result(CommandResult::new(code))
    }

    fn block(number: u64, hash: u8) -> L2Block {
        L2Block { number, hash: B256::repeat_byte(hash), batch_number: 1, ..L2Block::default() }
    }

    fn anchor(number: u64, hash: u8) -> Anchor {
        let L2Block { number, hash, state_root, batch_number: batch, .. } = block(number, hash);
        Anchor { number, hash, state_root, batch }
    }

    fn mark(number: u64, block: u64) -> Entry {
        Message::Bookmark(Bookmark::Block(block)).to_entry(number)
    }

    fn head(number: u64, block: L2Block) -> Entry {
        Message::L2Block(block).to_entry(number)
    }

    fn first_entry() -> Packet {
        Packet::Answer(Some(Message::Bookmark(Bookmark::Batch(0)).to_entry(0)))
    }

    fn feed(client: &mut Client, packets: &[Packet]) -> Result<Vec<Event>, ClientError> {
        let mut events = vec![];
        for packet in packets {
            client.push(&packet.encode().unwrap_or_default());
            while let Some(event) = client.next()? {
                events.push(event);
            }
        }
        Ok(events)
    }

    fn ready() -> Client {
        let mut client = Client::new();
        let events = feed(&mut client, &[ok(), Packet::Header(HEADER), ok(), first_entry()]);
        assert_eq!(events, Ok(vec![Event::Ready(HEADER)]));
        let sent = [Command::Header.encode(), Command::Entry { number: 0 }.encode()].concat();
        assert_eq!(client.output(), sent);
        client
    }

    /// Entries 10 (the bookmark of block 5) and 11 (block 5) have come.
    fn flowing() -> Client {
        let mut client = ready();
        assert_eq!(client.start(Bookmark::Block(5), Some(anchor(5, 1))), Ok(()));
        assert_eq!(client.output(), Command::StartBookmark(Bookmark::Block(5)).encode());
        let entries = [mark(10, 5), head(11, block(5, 1))];
        let packets = [ok(), Packet::Entry(entries[0].clone()), Packet::Entry(entries[1].clone())];
        assert_eq!(feed(&mut client, &packets), Ok(entries.map(Event::Entry).into()));
        client
    }

    #[test]
    fn an_empty_stream_is_ready_at_once() {
        let header = Header { total_entries: 0, ..HEADER };
        let mut client = Client::new();
        let events = feed(&mut client, &[ok(), Packet::Header(header)]);
        assert_eq!(events, Ok(vec![Event::Ready(header)]));
        assert_eq!(client.output(), Command::Header.encode());
    }

    #[test]
    fn both_lengths_of_the_header_are_read() {
        for sender in [None, Some(super::super::Sender::CDK_ERIGON)] {
            let header = Header { sender, ..HEADER };
            let mut client = Client::new();
            let events = feed(&mut client, &[ok(), Packet::Header(header), ok(), first_entry()]);
            assert_eq!(events, Ok(vec![Event::Ready(header)]));
            assert_eq!(client.header(), &header);
        }
    }

    #[test]
    fn encodings_from_before_protobuf_are_refused() {
        for (kind, data) in [
            (EntryKind::BOOKMARK, &hex!("00 0000000000000000")[..]),
            (EntryKind::BOOKMARK, &hex!("01 0000000000000000")),
            (EntryKind::BOOKMARK, &[]),
            (EntryKind::L2_BLOCK, &[0x08, 0x01]),
        ] {
            let first = Entry { number: 0, kind, data: data.to_vec().into() };
            let mut client = Client::new();
            let packets = [ok(), Packet::Header(HEADER), ok(), Packet::Answer(Some(first))];
            assert_eq!(feed(&mut client, &packets), Err(ClientError::Encoding));
            assert_eq!(client.next(), Err(ClientError::Encoding), "the error is repeated");
        }
    }

    #[test]
    fn a_look_up_is_answered_by_an_entry_or_by_none() {
        let mut client = ready();
        for answer in [Some(head(11, block(5, 1))), None] {
            assert_eq!(client.look_up(Bookmark::Block(5)), Ok(()));
            assert_eq!(client.output(), Command::Bookmark(Bookmark::Block(5)).encode());
            let events = feed(&mut client, &[ok(), Packet::Answer(answer.clone())]);
            assert_eq!(events, Ok(vec![Event::Found(answer)]));
        }
    }

    #[test]
    fn one_command_at_a_time() {
        let mut client = Client::new();
        assert!(client.look_up(Bookmark::Block(5)).is_err());
        let mut client = ready();
        assert_eq!(client.look_up(Bookmark::Block(5)), Ok(()));
        assert!(client.look_up(Bookmark::Block(6)).is_err());
        assert!(client.start(Bookmark::Block(6), None).is_err());
        assert!(flowing().look_up(Bookmark::Block(5)).is_err());
    }

    #[test]
    fn refusals_end_the_connection() {
        for code in [1, 2, 3, 4, 9, 77].map(ResultCode) {
            let mut client = ready();
            assert_eq!(client.start(Bookmark::Block(5), None), Ok(()));
            let error = ClientError::Refused { what: "to start", code };
            assert_eq!(feed(&mut client, &[result(code)]), Err(error.clone()));
            assert_eq!(client.start(Bookmark::Block(5), None), Err(error));
            let mut client = Client::new();
            assert!(matches!(feed(&mut client, &[result(code)]), Err(ClientError::Refused { .. })));
        }
    }

    #[test]
    fn what_nobody_asked_for_ends_the_connection() {
        let stray = [
            Packet::Header(HEADER),
            Packet::Entry(mark(12, 6)),
            Packet::Answer(None),
            result(ResultCode::ALREADY_STARTED),
        ];
        for packet in stray {
            let mut client = ready();
            let error = feed(&mut client, core::slice::from_ref(&packet));
            assert!(matches!(error, Err(ClientError::Unexpected { expected: "nothing", .. })), "{packet:?}");
            if !matches!(packet, Packet::Entry(_)) {
                let error = feed(&mut flowing(), core::slice::from_ref(&packet));
                assert!(matches!(error, Err(ClientError::Unexpected { .. })), "{packet:?}");
            }
        }
    }

    #[test]
    fn the_flow_begins_with_the_bookmark_and_the_block_that_were_asked_for() {
        let start = |first: Entry, second: Entry| {
            let mut client = ready();
            client.start(Bookmark::Block(5), Some(anchor(5, 1)))?;
            feed(&mut client, &[ok(), Packet::Entry(first), Packet::Entry(second)])
        };
        let elsewhere = Err(ClientError::Elsewhere { bookmark: Bookmark::Block(5) });
        // A stale index points to whatever was written there later.
        assert_eq!(start(mark(10, 6), head(11, block(6, 1))), elsewhere);
        assert_eq!(start(head(10, block(5, 1)), mark(11, 6)), elsewhere);
        let diverged = Err(ClientError::Diverged { block: 5 });
        assert_eq!(start(mark(10, 5), head(11, block(5, 2))), diverged);
        assert_eq!(start(mark(10, 5), mark(11, 5)), diverged);
        let other_root = L2Block { state_root: B256::repeat_byte(9), ..block(5, 1) };
        assert_eq!(start(mark(10, 5), head(11, other_root)), diverged);
        let other_batch = L2Block { batch_number: 2, ..block(5, 1) };
        assert_eq!(start(mark(10, 5), head(11, other_batch)), diverged);
    }

    #[test]
    fn entries_that_come_twice_are_dropped() {
        let mut client = flowing();
        let again = [mark(10, 5), head(11, block(5, 1)), mark(12, 6), mark(12, 6), mark(13, 7)];
        let events = feed(&mut client, &again.map(Packet::Entry));
        assert_eq!(events, Ok(vec![Event::Entry(mark(12, 6)), Event::Entry(mark(13, 7))]));
        assert_eq!(client.next_entry(), Some(14));
    }

    #[test]
    fn entries_that_come_again_with_other_content_say_that_the_stream_was_cut() {
        for entry in [mark(10, 6), head(11, block(5, 2)), mark(3, 1), mark(0, 0)] {
            let error = ClientError::Rewritten { number: entry.number };
            assert_eq!(feed(&mut flowing(), &[Packet::Entry(entry)]), Err(error));
        }
    }

    #[test]
    fn entries_that_are_missing_are_noticed() {
        for found in [13, 14, u64::MAX] {
            let error = ClientError::Gap { expected: 12, found };
            assert_eq!(feed(&mut flowing(), &[Packet::Entry(mark(found, 6))]), Err(error));
        }
    }

    #[test]
    fn silence_in_the_flow_is_answered_by_a_sign_of_life() {
        let mut client = flowing();
        for _ in 0..3 {
            assert_eq!(client.silence(), Ok(()));
            assert_eq!(client.output(), Command::Header.encode());
            let entry = mark(client.next_entry().unwrap_or_default(), 6);
            let events =
                feed(&mut client, &[Packet::Entry(entry.clone()), result(ResultCode::ALREADY_STARTED)]);
            assert_eq!(events, Ok(vec![Event::Entry(entry)]));
        }
        assert_eq!(client.silence(), Ok(()));
        let error = ClientError::Silent { expected: "a sign of life" };
        assert_eq!(client.silence(), Err(error.clone()));
        assert_eq!(client.next(), Err(error));
    }

    #[test]
    fn silence_where_an_answer_is_due_ends_the_connection() {
        assert!(matches!(Client::new().silence(), Err(ClientError::Silent { expected: "the header" })));
        assert_eq!(ready().silence(), Ok(()));
        let mut client = ready();
        assert_eq!(client.look_up(Bookmark::Block(5)), Ok(()));
        assert!(client.silence().is_err());
        // The bookmark of a block that was cut away: OK, and then nothing.
        let mut client = ready();
        assert_eq!(client.start(Bookmark::Block(5), None), Ok(()));
        assert_eq!(feed(&mut client, &[ok()]), Ok(vec![]));
        assert_eq!(client.silence(), Err(ClientError::Silent { expected: "the first entry of the flow" }));
    }

    #[test]
    fn the_end_of_the_connection_says_what_is_missing() {
        assert_eq!(flowing().closed(), ClientError::Closed { expected: "entries" });
        let mut client = flowing();
        client.push(&[0x02, 0, 0]);
        assert_eq!(client.next(), Ok(None));
        assert!(matches!(client.closed(), ClientError::Decode(DecodeError::Truncated { .. })));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut flow = Flow::new(Origin { bookmark: Bookmark::Block(0), anchor: None });
        let entry = |number, len: usize| Entry { number, kind: EntryKind(3), data: vec![7; len].into() };
        assert!(flow.take(mark(0, 0)).is_ok());
        for number in 1..10_000 {
            assert!(flow.take(entry(number, 10)).is_ok());
        }
        assert_eq!(flow.recent.len(), RECENT_ENTRIES);
        for number in 10_000..10_010 {
            assert!(flow.take(entry(number, Entry::MAX_DATA_LEN)).is_ok());
        }
        assert!(flow.recent_bytes <= RECENT_BYTES && flow.recent.len() == 4);
        assert_eq!(flow.take(entry(10_009, Entry::MAX_DATA_LEN)), Ok(None));
        assert!(flow.take(entry(10_000, Entry::MAX_DATA_LEN)).is_err(), "forgotten");
    }

    /// All that a server sends for a whole connection.
    fn conversation() -> Vec<u8> {
        let mut packets = vec![ok(), Packet::Header(HEADER), ok(), first_entry(), ok()];
        packets.extend((10..40).map(|number| Packet::Entry(mark(number, if number == 10 { 5 } else { 6 }))));
        packets.iter().flat_map(|packet| packet.encode().unwrap_or_default()).collect()
    }

    fn converse(pieces: &[&[u8]]) -> Result<Vec<Event>, ClientError> {
        let mut client = Client::new();
        let mut events = vec![];
        for piece in pieces {
            client.push(piece);
            while let Some(event) = client.next()? {
                if matches!(event, Event::Ready(_)) {
                    client.start(Bookmark::Block(5), None)?;
                }
                events.push(event);
            }
        }
        Ok(events)
    }

    proptest! {
        #[test]
        fn pieces_of_any_size_give_the_same_events(size in 1usize..300) {
            let bytes = conversation();
            let pieces: Vec<_> = bytes.chunks(size).collect();
            let events = converse(&pieces);
            prop_assert_eq!(events.as_ref().map(Vec::len), Ok(31));
            prop_assert_eq!(events, converse(&[&bytes]));
        }

        #[test]
        fn garbage_is_survived(
            alterations in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
            size in 1usize..300,
        ) {
            let mut bytes = conversation();
            for (index, byte) in alterations {
                let at = index.index(bytes.len());
                bytes[at] = byte;
            }
            let pieces: Vec<_> = bytes.chunks(size).collect();
            prop_assert_eq!(converse(&pieces).is_ok(), converse(&[&bytes]).is_ok());
        }

        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            let _ = converse(&[&bytes]);
        }
    }
}
