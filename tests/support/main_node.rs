//! A main node for tests: serves a stream over TCP as `zkevm-data-streamer` does, and misbehaves when told to.

use std::{
    collections::VecDeque,
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};
use zk_replica_core::source::datastream::{Message, Packet, Server, Stream};

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
/// The protocol, with the quirks of the original, is the core's [`Server`]; the faults are made here.
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
    stream: Stream,
    /// One for each connection to come.
    faults: VecDeque<Fault>,
    /// For all connections.
    standing: Option<Fault>,
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
        self.shared.lock().stream.append(messages).expect("short");
    }

    /// Cuts the stream to so many entries, and tells nobody.
    pub fn truncate(&self, entries: usize) {
        self.shared.lock().stream.truncate(entries);
    }

    /// Cuts the stream and goes on with other messages.
    pub fn rewrite(&self, entries: usize, messages: &[Message]) {
        let mut state = self.shared.lock();
        state.stream.truncate(entries);
        state.stream.append(messages).expect("short");
    }

    /// Restarts with another stream: nothing is broadcast, and connections end.
    pub fn replace(&self, messages: &[Message]) {
        let mut state = self.shared.lock();
        state.stream = Stream::new(state.stream.sender());
        state.stream.append(messages).expect("short");
        state.hang_up();
    }

    /// How many entries the stream has.
    pub fn len(&self) -> usize {
        self.shared.lock().stream.len()
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
        self.shared.lock().stream.set_sender(None);
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
    fn hang_up(&mut self) {
        for socket in self.connections.drain(..) {
            drop(socket.shutdown(Shutdown::Both));
        }
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
    Connection { socket, shared, fault, server: Server::new(), sent: 0 }.run()
}

struct Connection<'a> {
    socket: TcpStream,
    shared: &'a Shared,
    fault: Option<Fault>,
    server: Server,
    sent: usize,
}

impl Connection<'_> {
    fn run(mut self) -> io::Result<()> {
        loop {
            // Another stream type, or no bookmark: no answer.
            let packets = self.server.serve(&self.shared.lock().stream).map_err(io::Error::other)?;
            self.send(packets)?;
            let mut bytes = [0; 1024];
            match self.socket.read(&mut bytes) {
                Ok(0) => return Ok(()),
                Ok(_) if self.fault == Some(Fault::Silent) => {}
                Ok(len) => self.server.push(&bytes[..len]),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn send(&mut self, packets: Vec<Packet>) -> io::Result<()> {
        let mut bytes = Vec::new();
        for packet in packets {
            let times = match (self.fault, &packet) {
                (Some(Fault::Omit(number)), Packet::Entry(entry)) if number == entry.number => 0,
                (Some(Fault::Duplicates), Packet::Entry(_)) => 2,
                _ => 1,
            };
            let packet = packet.encode().map_err(io::Error::other)?;
            (0..times).for_each(|_| bytes.extend_from_slice(&packet));
            if bytes.len() > 64 << 10 {
                self.send_bytes(&std::mem::take(&mut bytes))?;
            }
        }
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
