//! `zk-replica devnet`: a main node in memory.
//!
//! [`chain`] makes blocks by the real rules and has its own replica check them. [`teller`] says what they are to the
//! outside, which may be a lie: [`stream`] and [`rpc`] serve what is told, and never look behind it.

mod account;
mod archive;
mod chain;
mod contract;
mod l1;
mod l1_node;
mod lies;
mod options;
mod pool;
mod rpc;
mod stream;
mod teller;
mod told;
mod traffic;

pub(crate) use l1_node::{MANAGER, ROLLUP};
pub(crate) use options::Devnet;

use crate::error::HostError;
use crate::http::{Limits, Server, StartError, Traffic as HttpTraffic};
use crate::stream_file::{StreamFile, StreamFileError};
use chain::{Chain, ChainError, Settings, SubmitError};
use lies::{LIES, Lie, OverRpc};
use options::Clock;
use serde_json::{Value, json};
use std::fs;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use teller::{TellError, Teller};
use tokio::net::TcpListener;
use tokio::sync::watch;
use traffic::Traffic;
use zk_replica_core::source::datastream::{DecodeError, EntryTooLong, FileDecoder, Stream};
use zk_replica_core::store::StoreError;
use zk_replica_core::types::EncodedTransaction;

/// The longest wait between two looks at the stop flag.
const TICK: Duration = Duration::from_millis(50);

/// Why there is no devnet, or none any more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DevnetError {
    #[error(transparent)]
    Host(#[from] HostError),
    #[error(transparent)]
    Sequencer(#[from] SequencerError),
    #[error(transparent)]
    Http(#[from] StartError),
    #[error("cannot listen on {address}: {error}")]
    Listen { address: SocketAddr, error: io::Error },
    #[error("cannot write {path}: {error}", path = path.display())]
    Write { path: PathBuf, error: io::Error },
    #[error(transparent)]
    File(#[from] StreamFileError),
    #[error("unusable data stream: {0}")]
    Recording(#[from] DecodeError),
    #[error(transparent)]
    TooLong(#[from] EntryTooLong),
}

impl DevnetError {
    /// 2 for what the caller can mend, else 1.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Host(_) | Self::Sequencer(_) | Self::TooLong(_) => 1,
            Self::Http(_) | Self::Listen { .. } | Self::Write { .. } | Self::File(_) | Self::Recording(_) => {
                2
            }
        }
    }
}

/// Why the sequencer cannot do what is asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SequencerError {
    #[error(transparent)]
    Chain(#[from] ChainError),
    #[error(transparent)]
    Tell(#[from] TellError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What is served.
#[derive(Debug)]
pub(crate) enum Node {
    /// A chain that is being made.
    Made(Box<Sequencer>),
    /// A recording.
    Recorded(Stream),
}

impl Node {
    fn stream(&self) -> &Stream {
        match self {
            Self::Made(sequencer) => &sequencer.teller.stream,
            Self::Recorded(stream) => stream,
        }
    }
}

/// The chain, what is told of it, and who uses it.
#[derive(Debug)]
pub(crate) struct Sequencer {
    chain: Chain,
    teller: Teller,
    /// A block for each transaction.
    on_demand: bool,
    quiet: bool,
}

impl Sequencer {
    fn new(options: &Devnet) -> Result<Self, SequencerError> {
        let chain = Chain::new(Settings::from(options))?;
        let teller = Teller::new(&chain)?;
        let on_demand = options.block_time <= 0.0;
        let mut sequencer = Self { chain, teller, on_demand, quiet: options.quiet };
        for planned in &options.lie {
            sequencer.lie(planned.lie, planned.from)?;
        }
        Ok(sequencer)
    }

    /// Makes a block and tells it.
    fn mine(&mut self) -> Result<(), SequencerError> {
        self.chain.mine()?;
        let block = self.chain.last();
        let lie = self.teller.tell(block, &self.chain)?;
        if !self.quiet {
            let (number, batch) = (block.number(), block.record.batch);
            let (transactions, hash) = (block.record.transactions.len(), block.hash());
            say(&format!("made block {number} batch {batch} transactions {transactions} hash {hash}"));
        }
        if let Some(standing) = lie {
            say(&standing.to_string());
        }
        Ok(())
    }

    fn submit(&mut self, encoded: EncodedTransaction) -> Result<Value, SequencerSubmitError> {
        let hash = self.chain.submit(encoded)?;
        if self.on_demand {
            self.mine()?;
        }
        Ok(json!(hash))
    }

    fn roll_back(&mut self, to: u64) -> Result<(), SequencerError> {
        let from = self.chain.last().number();
        self.chain.roll_back(to)?;
        self.teller.retell(&self.chain, to + 1)?;
        say(&format!("rolled back from block {from} to block {to}"));
        Ok(())
    }

    fn lie(&mut self, lie: &'static Lie, from: u64) -> Result<(), SequencerError> {
        self.teller.lie(lie, from, &self.chain)?;
        self.teller.lies().iter().rev().take(1).for_each(|standing| say(&standing.to_string()));
        Ok(())
    }

    fn be_honest(&mut self) -> Result<(), SequencerError> {
        self.teller.be_honest(&self.chain)?;
        say("tells the truth from now on");
        Ok(())
    }
}

impl From<&Devnet> for Settings {
    fn from(options: &Devnet) -> Self {
        Self {
            chain_id: options.chain_id,
            fork: options.fork,
            seed: options.seed,
            accounts: options.accounts,
            genesis_time: options.genesis_time,
            batch_blocks: options.batch_blocks,
            step: match options.clock {
                Clock::Real => None,
                Clock::Virtual => Some(Duration::from_secs_f64(options.block_time.ceil()).as_secs().max(1)),
            },
        }
    }
}

/// Why a transaction is not taken, or no block made of it.
#[derive(Debug, thiserror::Error)]
enum SequencerSubmitError {
    #[error(transparent)]
    Submit(#[from] SubmitError),
    #[error(transparent)]
    Sequencer(#[from] SequencerError),
}

/// The node, for all who serve it.
#[derive(Debug)]
pub(crate) struct Shared {
    node: Mutex<Node>,
    changed: watch::Sender<()>,
}

impl Shared {
    fn new(node: Node) -> Self {
        Self { node: Mutex::new(node), changed: watch::Sender::new(()) }
    }

    fn lock(&self) -> MutexGuard<'_, Node> {
        self.node.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The stream may have more entries.
    fn announce(&self) {
        self.changed.send_replace(());
    }

    fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }
}

/// Serves until `stop` is set.
///
/// # Errors
///
/// [`DevnetError`].
pub(crate) fn run(options: &Devnet, stop: &AtomicBool) -> Result<(), DevnetError> {
    if options.list_lies {
        for lie in LIES {
            let over_rpc = match lie.rpc {
                OverRpc::Same => String::new(),
                OverRpc::Untold(why) => format!(" [not over JSON-RPC: {why}]"),
                OverRpc::Unsound(words) => format!(" [over JSON-RPC the main node is lost: \"{words}\"]"),
            };
            say(&format!("{:24} {:24} {}{over_rpc}", lie.name, lie.claim.name(), lie.about));
        }
        return Ok(());
    }
    let running = Running::start(options)?;
    running.introduce(options);
    running.work(options, stop)
}

/// A devnet that is being served.
#[derive(Debug)]
pub(crate) struct Running {
    shared: Arc<Shared>,
    server: Server,
    l1: Option<Server>,
    stream: SocketAddr,
}

impl Running {
    /// Makes genesis and begins to serve it.
    pub(crate) fn start(options: &Devnet) -> Result<Self, DevnetError> {
        let node = match &options.serve {
            Some(file) => Node::Recorded(recording(file)?),
            None => {
                let sequencer = Sequencer::new(options)?;
                if let Some(folder) = &options.genesis_out {
                    write_files(folder, &sequencer.chain)?;
                }
                Node::Made(Box::new(sequencer))
            }
        };
        let shared = Arc::new(Shared::new(node));
        let api = Arc::new(rpc::Api::new(Arc::clone(&shared), Settings::from(options).spec()));
        let server = Server::start(options.http, Limits::default(), HttpTraffic::default(), api)?;
        let l1 = options.l1.map(|address| {
            let api = Arc::new(l1_node::L1Api::new(Arc::clone(&shared)));
            Server::start(address, Limits::default(), HttpTraffic::default(), api)
        });
        let l1 = l1.transpose()?;
        let address = options.stream;
        let cannot = |error| DevnetError::Listen { address, error };
        let listener = server.handle().block_on(TcpListener::bind(address)).map_err(cannot)?;
        let stream = listener.local_addr().map_err(cannot)?;
        server.handle().spawn(stream::serve(listener, Arc::clone(&shared)));
        Ok(Self { shared, server, l1, stream })
    }

    /// Where the data stream is.
    pub(crate) fn stream(&self) -> SocketAddr {
        self.stream
    }

    /// Where JSON-RPC is.
    pub(crate) fn http(&self) -> SocketAddr {
        self.server.address()
    }

    /// Where the JSON-RPC of its L1 is, if it is served.
    pub(crate) fn l1(&self) -> Option<SocketAddr> {
        self.l1.as_ref().map(Server::address)
    }

    /// Tells who has keys, where what is served, and how to follow it.
    pub(crate) fn introduce(&self, options: &Devnet) {
        let node = self.shared.lock();
        if let Node::Made(sequencer) = &*node {
            say("accounts, each with 10000 ether (anybody knows these keys: they are for tests)");
            for account in &sequencer.chain.accounts {
                say(&format!("  {} key {}", account.address, account.secret()));
            }
            say(&format!("chain id {} fork {}", options.chain_id, options.fork));
        }
        say(&format!("data stream {}", self.stream));
        if matches!(&*node, Node::Made(_)) {
            say(&format!("JSON-RPC http://{}", self.server.address()));
        }
        if let Some(address) = self.l1() {
            say(&format!("L1 http://{address} rollup manager {MANAGER} rollup id {ROLLUP}"));
        }
        if let Some(folder) = &options.genesis_out {
            let file = |name: &str| folder.join(name).display().to_string();
            say("to follow it:");
            say(&format!(
                "  zk-replica run --stream {} --genesis {} --chain {} --conf {} --db ./db",
                self.stream,
                file(ALLOCATIONS),
                file(SPECIFICATION),
                file(CONFIGURATION)
            ));
        }
    }

    /// Makes blocks at their time, until `stop` is set.
    pub(crate) fn work(self, options: &Devnet, stop: &AtomicBool) -> Result<(), DevnetError> {
        let period = Duration::from_secs_f64(options.block_time);
        let makes_blocks = !period.is_zero() && options.serve.is_none();
        let mut traffic = match &*self.shared.lock() {
            Node::Made(sequencer) => Traffic::new(&sequencer.chain.accounts),
            Node::Recorded(_) => Traffic::new(&[account::Account::of(options.seed, 0)]),
        };
        let (mut due, mut next) = (0.0, Instant::now() + period);
        while !stop.load(Ordering::Relaxed) {
            let now = Instant::now();
            if !makes_blocks || now < next {
                let rest = if makes_blocks { next - now } else { TICK };
                thread::sleep(rest.min(TICK));
                continue;
            }
            next = (next + period).max(now);
            if let Node::Made(sequencer) = &mut *self.shared.lock()
                && sequencer.chain.last().number() < options.blocks
            {
                due += options.traffic.unwrap_or(0.0) * options.block_time;
                while due >= 1.0 {
                    traffic.send(&mut sequencer.chain).map_err(SequencerError::from)?;
                    due -= 1.0;
                }
                sequencer.mine()?;
            }
            self.shared.announce();
        }
        self.server.stop();
        if let Some(l1) = self.l1 {
            l1.stop();
        }
        Ok(())
    }
}

/// Accounts at genesis.
pub(crate) const ALLOCATIONS: &str = "genesis-allocs.json";
/// Chain specification.
pub(crate) const SPECIFICATION: &str = "chainspec.json";
/// Fields of block 0.
pub(crate) const CONFIGURATION: &str = "genesis-conf.json";

/// The files that say which chain it is.
fn write_files(folder: &Path, chain: &Chain) -> Result<(), DevnetError> {
    let cannot = |path: &Path| {
        let path = path.to_owned();
        move |error| DevnetError::Write { path, error }
    };
    fs::create_dir_all(folder).map_err(cannot(folder))?;
    let files = [
        (ALLOCATIONS, chain.settings.allocations(&chain.accounts)),
        (SPECIFICATION, chain.settings.specification()),
        (CONFIGURATION, chain.configuration()),
    ];
    for (name, text) in files {
        let path = folder.join(name);
        fs::write(&path, text).map_err(cannot(&path))?;
    }
    Ok(())
}

/// A recorded stream.
fn recording(file: &Path) -> Result<Stream, DevnetError> {
    let (mut decoder, mut stream) = (FileDecoder::new(), Stream::default());
    let mut file = StreamFile::open(file)?;
    while let Some(chunk) = file.next_chunk()? {
        decoder.push(chunk);
        while let Some(entry) = decoder.next()? {
            stream.push(entry.kind, entry.data)?;
        }
    }
    decoder.finish()?;
    Ok(stream)
}

/// Nobody may be reading: that is no reason to stop.
pub(crate) fn say(line: &str) {
    drop(writeln!(io::stdout(), "{line}"));
}
