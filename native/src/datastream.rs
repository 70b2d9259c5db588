//! One connection to the main node's data stream: the socket and the clock around the core's [`Client`].
//!
//! It blocks, on a thread of its own: there is one socket, and what takes time is verifying. Each wait is short, so that
//! a signal ends it soon.

use crate::config::Timing;
use crate::http;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};
use zk_replica_core::source::datastream::{
    Anchor, Bookmark, Client, ClientError, DecodeError, Entry, Event, Header, Message, Probe,
};
use zk_replica_core::source::main_node;
use zk_replica_core::types::BatchStart;

/// The longest wait for bytes between two looks at the stop flag.
const TICK: Duration = Duration::from_millis(50);

/// Bytes taken at once.
const CHUNK: usize = 64 << 10;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LineError {
    /// The host's name has no address.
    #[error("cannot resolve the name: {0}")]
    Resolve(io::Error),
    /// No connection.
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    /// Bytes came, and no whole answer.
    #[error("no answer within {0:?}")]
    Late(Duration),
    /// The stream client gave up on it.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Entries do not form batches and blocks.
    #[error("unsound data stream: {0}")]
    Unsound(DecodeError),
    /// Parts are in an order that cannot be.
    #[error("unsound data stream: {0}")]
    Order(&'static str),
    /// The main node has fewer entries than it has sent.
    #[error("the stream was cut: it has {total} entries, entry {next} is due")]
    Cut {
        /// Entries in the stream.
        total: u64,
        /// Number of the next entry.
        next: u64,
    },
    /// The main node has entries that it did not send.
    #[error("entries are held back: the stream has {total}, entry {next} is due")]
    HeldBack {
        /// Entries in the stream.
        total: u64,
        /// Number of the next entry.
        next: u64,
    },
    /// A main node cannot be asked.
    #[error(transparent)]
    Http(http::ClientError),
    /// A main node's answers are of no use.
    #[error(transparent)]
    MainNode(main_node::ClientError),
    /// Asked to stop.
    #[error("stopped")]
    Stopped,
}

impl LineError {
    /// What the main node says cannot be true, whatever its chain is. Else it is away, behind, or on another branch.
    pub(crate) fn is_contradiction(&self) -> bool {
        match self {
            Self::Unsound(_) | Self::Order(_) => true,
            Self::MainNode(error) => error.is_contradiction(),
            _ => false,
        }
    }
}

/// A connection on which the server has said what it has.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    socket: TcpStream,
    client: Client,
    chunk: Vec<u8>,
    /// When the last byte came, or the last sign of life was asked for.
    heard: Instant,
    /// The last read took all there was.
    drained: bool,
    timing: &'a Timing,
    stop: &'a AtomicBool,
}

impl<'a> Line<'a> {
    /// Connects, and waits for the header.
    pub(crate) fn open(address: &str, timing: &'a Timing, stop: &'a AtomicBool) -> Result<Self, LineError> {
        let socket = connect(address, timing, stop)?;
        socket.set_read_timeout(Some(TICK))?;
        socket.set_write_timeout(Some(timing.write_timeout))?;
        socket.set_nodelay(true)?;
        let mut line = Self {
            socket,
            client: Client::new(),
            chunk: vec![0; CHUNK],
            heard: Instant::now(),
            drained: true,
            timing,
            stop,
        };
        match line.event()? {
            Event::Ready(_) => Ok(line),
            other => Err(unasked(&other)),
        }
    }

    /// Another connection to the same server, to hear what it has now.
    pub(crate) fn aside(&self, address: &str) -> Result<Self, LineError> {
        Self::open(address, self.timing, self.stop)
    }

    /// What the server said it has.
    pub(crate) fn header(&self) -> &Header {
        self.client.header()
    }

    /// Whether the main node has this block.
    pub(crate) fn compare(&mut self, anchor: &Anchor) -> Result<Probe, LineError> {
        let found = self.look_up(Bookmark::Block(anchor.number))?;
        Ok(match found.map(|entry| (anchor.is(&entry), Message::decode(&entry))) {
            Some((true, _)) => Probe::Same,
            Some((_, Ok(Message::L2Block(block)))) if block.number == anchor.number => Probe::Different,
            // The index may be stale and point to anything.
            _ => Probe::Missing,
        })
    }

    /// How a batch begins; `None` when the main node does not have it.
    pub(crate) fn batch_start(&mut self, number: u64) -> Result<Option<BatchStart>, LineError> {
        let found = self.look_up(Bookmark::Batch(number))?;
        Ok(match found.as_ref().map(Message::decode) {
            Some(Ok(Message::BatchStart(start))) if start.number == number => Some(start),
            _ => None,
        })
    }

    /// Lets entries flow. The first one is an answer: the host waits no longer for it than for others.
    pub(crate) fn start(&mut self, bookmark: Bookmark, anchor: Option<Anchor>) -> Result<(), LineError> {
        self.client.start(bookmark, anchor)?;
        self.send()
    }

    /// The next entry that has arrived already.
    pub(crate) fn entry(&mut self) -> Result<Option<Entry>, LineError> {
        match self.client.next()? {
            None => Ok(None),
            Some(Event::Entry(entry)) => Ok(Some(entry)),
            Some(other) => Err(unasked(&other)),
        }
    }

    /// Number of the next entry in the flow.
    pub(crate) fn next_entry(&self) -> Option<u64> {
        self.client.next_entry()
    }

    /// All that had come when bytes were last taken has been taken.
    pub(crate) fn drained(&self) -> bool {
        self.drained
    }

    /// Waits a moment for more bytes.
    pub(crate) fn wait(&mut self) -> Result<(), LineError> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(LineError::Stopped);
        }
        match self.socket.read(&mut self.chunk) {
            Ok(0) => return Err(std::mem::take(&mut self.client).closed().into()),
            Ok(len) => {
                self.client.push(&self.chunk[..len]);
                self.drained = len < self.chunk.len();
                self.heard = Instant::now();
            }
            Err(error) if is_time_out(&error) => {
                self.drained = true;
                if self.heard.elapsed() >= self.timing.silence {
                    self.heard = Instant::now();
                    self.client.silence()?;
                }
            }
            Err(error) => return Err(error.into()),
        }
        self.send()
    }

    fn look_up(&mut self, bookmark: Bookmark) -> Result<Option<Entry>, LineError> {
        self.client.look_up(bookmark)?;
        match self.event()? {
            Event::Found(entry) => Ok(entry),
            other => Err(unasked(&other)),
        }
    }

    fn event(&mut self) -> Result<Event, LineError> {
        self.send()?;
        let asked = Instant::now();
        self.heard = asked;
        loop {
            if let Some(event) = self.client.next()? {
                self.send()?;
                return Ok(event);
            }
            // Silence has an end of its own: this is for a byte now and then.
            if asked.elapsed() >= self.timing.request_timeout {
                return Err(LineError::Late(self.timing.request_timeout));
            }
            self.wait()?;
        }
    }

    fn send(&mut self) -> Result<(), LineError> {
        let output = self.client.output();
        Ok(self.socket.write_all(&output)?)
    }
}

fn connect(address: &str, timing: &Timing, stop: &AtomicBool) -> Result<TcpStream, LineError> {
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in resolve(address, timing.resolve_timeout, stop)? {
        if stop.load(Ordering::Relaxed) {
            return Err(LineError::Stopped);
        }
        match TcpStream::connect_timeout(&address, timing.connect_timeout) {
            Ok(socket) => return Ok(socket),
            Err(error) => failure = error,
        }
    }
    Err(LineError::Connect(failure))
}

/// The addresses of a host. The operating system may take a minute to say that it cannot find them out, and cannot be
/// interrupted: a thread waits for it, and is left behind.
fn resolve(address: &str, patience: Duration, stop: &AtomicBool) -> Result<Vec<SocketAddr>, LineError> {
    if let Ok(address) = address.parse() {
        return Ok(vec![address]);
    }
    let (sender, receiver) = mpsc::channel();
    let name = address.to_owned();
    thread::Builder::new().name("resolve".to_owned()).spawn(move || {
        let found = name.to_socket_addrs().map(Iterator::collect);
        // Nobody may be waiting any more.
        drop(sender.send(found));
    })?;
    let started = Instant::now();
    loop {
        match receiver.recv_timeout(TICK) {
            Ok(found) => return found.map_err(LineError::Resolve),
            Err(_) if stop.load(Ordering::Relaxed) => return Err(LineError::Stopped),
            Err(_) if started.elapsed() >= patience => {
                return Err(LineError::Resolve(io::ErrorKind::TimedOut.into()));
            }
            Err(_) => {}
        }
    }
}

fn is_time_out(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

fn unasked(event: &Event) -> LineError {
    LineError::Order(match event {
        Event::Ready(_) => "a header that nobody asked for",
        Event::Found(_) => "an answer that nobody asked for",
        Event::Entry(_) => "an entry that nobody asked for",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser as _;
    use std::net::TcpListener;
    use zk_replica_core::source::datastream::{CommandResult, Packet, ResultCode};

    #[test]
    fn an_answer_that_trickles_is_not_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let header = Header { sender: None, total_length: 4096, total_entries: 0 };
            let result = Packet::Result(CommandResult::new(ResultCode::OK)).encode().unwrap();
            let answer = [result, Packet::Header(header).encode().unwrap()].concat();
            // A sound answer, and never silence.
            answer.iter().all(|byte| {
                thread::sleep(Duration::from_millis(50));
                socket.write_all(&[*byte]).is_ok()
            })
        });
        let options = ["zk-replica", "run", "--stream", &address, "--request-timeout", "100ms"];
        let Command::Run(run) = Cli::try_parse_from(options).unwrap().command else {
            unreachable!("another command")
        };
        let stop = AtomicBool::new(false);
        let found = Line::open(&address, &run.timing, &stop).map(drop);
        assert!(matches!(found, Err(LineError::Late(_))), "{found:?}");
    }
}
