//! A main node for tests: serves a stream over TCP as `zkevm-data-streamer` does, and misbehaves when told to.

use std::{
    collections::{HashMap, VecDeque},
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};
use zk_replica_core::source::datastream::{
    Command, CommandResult, DecodeError, Entry, EntryKind, Header, Message, Packet, ResultCode, Sender,
};

/// What is done to one connection, or to all to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is closed at once.
    Close,
    /// It is accepted, and nothing is ever answered.
    Silent,
    /// It is closed after so many bytes have been sent.
    DropAfter(usize),
    /// After so many bytes nothing more is sent, and the connection stays.
    SilentAfter(usize),
    /// Each entry of the flow is sent twice.
    Duplicates,
    /// This entry is left out of the flow.
    Omit(u64),
}

/// A stream server on a port of this machine. Dropping it ends it.
///
/// Its quirks are those of the original (`spec/sync.md` §2.3): nobody is told when the stream is cut, the index of
/// bookmarks outlives what it points to, a failed start leaves a connection of no use, and a command that may not come
/// leaves its parameters unread.
#[derive(Debug)]
pub struct MainNode {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    entries: Vec<Entry>,
    /// Bytes of a bookmark, and the number of its entry. Never cleaned.
    bookmarks: HashMap<Vec<u8>, u64>,
    /// All that was ever appended, in order: what connections that have caught up are sent.
    broadcast: Vec<Entry>,
    /// One for each connection to come.
    faults: VecDeque<Fault>,
    /// For all connections.
    standing: Option<Fault>,
    old_header: bool,
    connections: Vec<TcpStream>,
    accepted: usize,
    stopped: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MainNode {
    /// Serves these messages, and what is appended.
    ///
    /// # Panics
    ///
    /// When no port can be had.
    pub fn serve(messages: &[Message]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared::default());
        let node = Self { address, shared: Arc::clone(&shared) };
        node.append(messages);
        thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                if shared.lock().stopped {
                    break;
                }
                let shared = Arc::clone(&shared);
                thread::spawn(move || drop(accept(socket, &shared)));
            }
        });
        node
    }

    /// Host and port.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Adds to the stream, as one atomic operation.
    pub fn append(&self, messages: &[Message]) {
        self.shared.lock().append(messages);
    }

    /// Cuts the stream to so many entries, and tells nobody.
    pub fn truncate(&self, entries: usize) {
        self.shared.lock().entries.truncate(entries);
    }

    /// Cuts the stream and goes on with other messages.
    pub fn rewrite(&self, entries: usize, messages: &[Message]) {
        let mut state = self.shared.lock();
        state.entries.truncate(entries);
        state.append(messages);
    }

    /// Restarts with another stream: nothing is broadcast, and connections end.
    pub fn replace(&self, messages: &[Message]) {
        let mut state = self.shared.lock();
        state.entries.clear();
        state.bookmarks.clear();
        state.append(messages);
        state.broadcast.clear();
        state.hang_up();
    }

    /// How many entries the stream has.
    pub fn len(&self) -> usize {
        self.shared.lock().entries.len()
    }

    /// The stream has no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What is done to the connections to come, one after the other.
    pub fn fail_next(&self, faults: &[Fault]) {
        self.shared.lock().faults.extend(faults);
    }

    /// What is done to all connections to come, until this is called again.
    pub fn fail(&self, fault: Option<Fault>) {
        self.shared.lock().standing = fault;
    }

    /// Answers with headers of 29 bytes from now on.
    pub fn use_old_header(&self) {
        self.shared.lock().old_header = true;
    }

    /// Ends all connections.
    pub fn hang_up(&self) {
        self.shared.lock().hang_up();
    }

    /// How many connections there have been.
    pub fn accepted(&self) -> usize {
        self.shared.lock().accepted
    }

    /// Connections that have a fault still before them.
    pub fn faults_left(&self) -> usize {
        self.shared.lock().faults.len()
    }
}

impl Drop for MainNode {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.stopped = true;
        state.hang_up();
        drop(state);
        // Wakes the thread that accepts.
        drop(TcpStream::connect(self.address));
    }
}

impl State {
    fn append(&mut self, messages: &[Message]) {
        for message in messages {
            let entry = message.to_entry(self.entries.len() as u64);
            if entry.kind == EntryKind::BOOKMARK {
                self.bookmarks.insert(entry.data.to_vec(), entry.number);
            }
            self.entries.push(entry.clone());
            self.broadcast.push(entry);
        }
    }

    fn hang_up(&mut self) {
        for socket in self.connections.drain(..) {
            drop(socket.shutdown(Shutdown::Both));
        }
    }

    fn header(&self) -> Header {
        Header {
            sender: (!self.old_header).then_some(Sender::CDK_ERIGON),
            total_length: 4096 + self.entries.iter().map(|entry| 17 + entry.data.len() as u64).sum::<u64>(),
            total_entries: self.entries.len() as u64,
        }
    }

    fn entry(&self, number: u64) -> Option<Entry> {
        self.entries.get(usize::try_from(number).ok()?).cloned()
    }
}

fn accept(socket: TcpStream, shared: &Shared) -> io::Result<()> {
    let fault = {
        let mut state = shared.lock();
        state.accepted += 1;
        state.connections.push(socket.try_clone()?);
        state.faults.pop_front().or(state.standing)
    };
    if fault == Some(Fault::Close) {
        return socket.shutdown(Shutdown::Both);
    }
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(Duration::from_millis(2)))?;
    Connection { socket, shared, fault, input: Vec::new(), sent: 0, flow: Flow::Stopped }.run()
}

enum Flow {
    Stopped,
    /// A start has failed: every command is refused.
    Stuck,
    /// So much of the broadcast has been sent.
    Synced(usize),
}

struct Connection<'a> {
    socket: TcpStream,
    shared: &'a Shared,
    fault: Option<Fault>,
    input: Vec<u8>,
    sent: usize,
    flow: Flow,
}

impl Connection<'_> {
    fn run(mut self) -> io::Result<()> {
        loop {
            self.send_new()?;
            let mut bytes = [0; 1024];
            match self.socket.read(&mut bytes) {
                Ok(0) => return Ok(()),
                Ok(len) => self.input.extend_from_slice(&bytes[..len]),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                }
                Err(error) => return Err(error),
            }
            if self.fault == Some(Fault::Silent) {
                self.input.clear();
            }
            while self.serve_command()? {}
        }
    }

    /// Answers the first command of the input; `false` when there is none.
    fn serve_command(&mut self) -> io::Result<bool> {
        if self.input.len() < 16 {
            return Ok(false);
        }
        let allowed = match (self.input[7], &self.flow) {
            (2, Flow::Synced(_)) | (1 | 3..=6, Flow::Stopped) => true,
            (2, _) => return self.refuse(ResultCode::ALREADY_STOPPED),
            (1 | 3..=6, _) => return self.refuse(ResultCode::ALREADY_STARTED),
            _ => false,
        };
        match Command::decode(&self.input, 0) {
            Ok(None) => Ok(false),
            Ok(Some((command, length))) if allowed => {
                self.input.drain(..length);
                self.serve(command).map(|()| true)
            }
            Err(DecodeError::UnknownCommand { .. }) => self.refuse(ResultCode::INVALID_COMMAND),
            // Another stream type, or no bookmark: no answer.
            _ => Err(io::Error::from(io::ErrorKind::InvalidData)),
        }
    }

    /// The parameters of a command that is refused are not read.
    fn refuse(&mut self, code: ResultCode) -> io::Result<bool> {
        self.input.drain(..16);
        self.send(&Packet::Result(CommandResult::new(code))).map(|()| true)
    }

    fn serve(&mut self, command: Command) -> io::Result<()> {
        let shared = self.shared;
        match command {
            Command::Stop => {
                self.flow = Flow::Stopped;
                self.send(&ok())
            }
            Command::Header => {
                self.send(&ok())?;
                let header = shared.lock().header();
                self.send(&Packet::Header(header))
            }
            Command::Entry { number } => {
                self.send(&ok())?;
                let entry = shared.lock().entry(number);
                self.send(&Packet::Answer(entry))
            }
            Command::Bookmark(bookmark) => {
                self.send(&ok())?;
                let found = {
                    let state = shared.lock();
                    state.bookmarks.get(&bookmark.encode()).and_then(|number| {
                        let behind = state.entries.get(usize::try_from(*number).ok()?..)?;
                        behind.iter().find(|entry| entry.kind != EntryKind::BOOKMARK).cloned()
                    })
                };
                self.send(&Packet::Answer(found))
            }
            Command::Start { from } => {
                let reached = from <= shared.lock().entries.len() as u64;
                self.start(reached.then_some(from), ResultCode::BAD_FROM_ENTRY)
            }
            Command::StartBookmark(bookmark) => {
                let from = shared.lock().bookmarks.get(&bookmark.encode()).copied();
                self.start(from, ResultCode::BAD_FROM_BOOKMARK)
            }
        }
    }

    fn start(&mut self, from: Option<u64>, refusal: ResultCode) -> io::Result<()> {
        let Some(from) = from else {
            self.flow = Flow::Stuck;
            return self.send(&Packet::Result(CommandResult::new(refusal)));
        };
        self.send(&ok())?;
        let (history, position) = {
            let state = self.shared.lock();
            let from = usize::try_from(from).unwrap_or(usize::MAX).min(state.entries.len());
            (state.entries[from..].to_vec(), state.broadcast.len())
        };
        self.flow = Flow::Synced(position);
        self.send_entries(&history)
    }

    fn send_new(&mut self) -> io::Result<()> {
        let Flow::Synced(position) = &mut self.flow else {
            return Ok(());
        };
        let new = {
            let state = self.shared.lock();
            let new = state.broadcast.get(*position..).unwrap_or_default().to_vec();
            *position = state.broadcast.len();
            new
        };
        self.send_entries(&new)
    }

    fn send_entries(&mut self, entries: &[Entry]) -> io::Result<()> {
        let mut bytes = Vec::new();
        for entry in entries {
            let packet = Packet::Entry(entry.clone()).encode().map_err(io::Error::other)?;
            let times = match self.fault {
                Some(Fault::Omit(number)) if number == entry.number => 0,
                Some(Fault::Duplicates) => 2,
                _ => 1,
            };
            (0..times).for_each(|_| bytes.extend_from_slice(&packet));
            if bytes.len() > 64 << 10 {
                self.send_bytes(&std::mem::take(&mut bytes))?;
            }
        }
        self.send_bytes(&bytes)
    }

    fn send(&mut self, packet: &Packet) -> io::Result<()> {
        let bytes = packet.encode().map_err(io::Error::other)?;
        self.send_bytes(&bytes)
    }

    fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (room, ends) = match self.fault {
            Some(Fault::DropAfter(limit)) => (limit.saturating_sub(self.sent), true),
            Some(Fault::SilentAfter(limit)) => (limit.saturating_sub(self.sent), false),
            _ => (bytes.len(), false),
        };
        let allowed = &bytes[..room.min(bytes.len())];
        self.socket.write_all(allowed)?;
        self.sent += allowed.len();
        if ends && allowed.len() < bytes.len() {
            self.socket.shutdown(Shutdown::Both)?;
            return Err(io::Error::from(io::ErrorKind::ConnectionAborted));
        }
        Ok(())
    }
}

fn ok() -> Packet {
    Packet::Result(CommandResult::new(ResultCode::OK))
}
