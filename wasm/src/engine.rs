//! The full replica: it verifies from genesis on, and holds the state.

use crate::{
    follow::{End, Flow, Follower, ended},
    machine::Machine,
    message::{self, Ask, Event, Next, Report},
    store::{File, FileError, Identity, LogStore, OpenError},
    stream::{Piece, Stream},
    web3::Web3,
};
use alloc::{
    boxed::Box,
    collections::BTreeMap,
    format,
    string::{String, ToString},
    vec::Vec,
};
use alloy_primitives::{B256, Keccak256, keccak256};
use zk_replica_core::{
    chain::{ChainSpec, ChainSpecError, Genesis, GenesisError},
    evidence::{Evidence, EvidenceError},
    replica::{Halt, Input, Replica, Step},
    rpc,
    source::{
        datastream::Item,
        main_node::{AnswerError, Request},
    },
    store::StoreError,
    types::Head,
};

/// Bytes that are gathered before they are written.
const GATHERED: usize = 4 << 20;

/// Milliseconds for which they are gathered at most.
const GATHERING: f64 = 1000.0;

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenEngineError {
    #[error("chain: {0}")]
    Chain(#[from] ChainSpecError),
    #[error("genesis: {0}")]
    Genesis(#[from] GenesisError),
    #[error("storage: {0}")]
    Log(#[from] OpenError),
    #[error("storage: {0}")]
    Store(#[from] StoreError),
}

/// How far the chain is, in an order that batch ends count in.
type Position = (u64, u64, bool);

pub(crate) struct Core {
    spec: ChainSpec,
    replica: Replica,
    /// The last verified block, as it is stored and served: while a branch is tried, the replica stands before it.
    verified: Option<Head>,
    store: LogStore,
    web3: Web3,
    source: Source,
    /// What the main node was asked, and has not answered yet.
    asked: BTreeMap<u64, Request>,
    events: Vec<Event>,
    highest: Option<u64>,
    halted: Option<message::Mismatch>,
    /// How far the chain was when the main node was found to be wrong, until it is right.
    disputed: Option<Position>,
    evidence: Option<Evidence>,
    flushed: f64,
}

enum Source {
    None,
    Stream(Box<Stream>),
    Follow(Box<Follower>),
}

impl Core {
    /// Continues the chain that is in `file`, or begins one.
    pub(crate) fn open(
        chain: &[u8],
        genesis: &[u8],
        secret: B256,
        file: Option<Box<dyn File>>,
    ) -> Result<Self, OpenEngineError> {
        let spec = ChainSpec::from_json(chain)?;
        let genesis = Genesis::from_json(genesis)?;
        let identity = Identity { chain_id: spec.chain_id, origin: identify(&genesis, chain) };
        let seed =
            keccak256(secret).as_slice().iter().take(8).fold(0, |seed, byte| seed << 8 | u64::from(*byte));
        let store = match file {
            Some(file) => LogStore::open(file, identity, seed)?,
            None => LogStore::in_memory(identity, seed),
        };
        let replica = Replica::open(spec.clone(), genesis, &store)?;
        Ok(Self {
            web3: Web3::new(spec.clone(), secret),
            spec,
            verified: replica.head().cloned(),
            replica,
            store,
            source: Source::None,
            asked: BTreeMap::new(),
            events: Vec::new(),
            highest: None,
            halted: None,
            disputed: None,
            evidence: None,
            flushed: 0.0,
        })
    }

    /// The main node does not answer, or the stream does not come.
    fn disconnect(&mut self, reason: &str) {
        self.end(End::Lost { reason: reason.to_string(), contradiction: false });
    }

    /// One part of what came; what is needed when there is none.
    fn step(&mut self, now: &dyn Fn() -> f64) -> Result<Option<Next>, End> {
        match &mut self.source {
            Source::None => Ok(Some(Next::Connect)),
            Source::Stream(stream) => {
                let head = self.replica.head().map(|head| head.number);
                let unsound = |reason: String| End::Lost {
                    reason: format!("the stream: {reason}"),
                    contradiction: true,
                };
                match stream.next(head).map_err(unsound)? {
                    Piece::Hungry => return Ok(Some(Next::Stream)),
                    Piece::Skipped => {}
                    Piece::Item(item) => self.advance(item, now)?,
                    Piece::Enter(start, item) => {
                        if let Err(halt) = self.replica.enter(&start, &self.store) {
                            let evidence = matches!(halt, Halt::Mismatch(_))
                                .then(|| Evidence::of_entering(&self.replica, &start, &self.store));
                            return Err(ended(halt, evidence));
                        }
                        self.advance(item, now)?;
                    }
                    Piece::End => {
                        self.source = Source::None;
                        self.events.push(Event::StreamEnd);
                    }
                }
                Ok(None)
            }
            Source::Follow(follower) => {
                match follower.step(&mut self.replica, &self.store)? {
                    Flow::Nothing if follower.is_idle() => return Ok(Some(Next::Poll)),
                    Flow::Nothing => return Ok(Some(Next::Answers)),
                    Flow::Moved => {}
                    Flow::Item(item) => self.advance(item, now)?,
                    Flow::Tip => {
                        let undecided = self.replica.resuming() || self.replica.branching().is_some();
                        if !undecided && self.replica.head().is_some() {
                            self.events.push(Event::Tip);
                        }
                    }
                }
                Ok(None)
            }
        }
    }

    fn advance(&mut self, item: Item, now: &dyn Fn() -> f64) -> Result<(), End> {
        let input = Input::from(item);
        let branching = self.replica.branching();
        let step = match self.replica.advance(&input, &self.store) {
            Ok(step) => step,
            Err(halt) => {
                let evidence = matches!(halt, Halt::Mismatch(_))
                    .then(|| Evidence::of_input(&self.replica, &input, &self.store));
                return Err(ended(halt, evidence));
            }
        };
        if let (Some((from, to)), None) = (branching, self.replica.branching()) {
            self.disputed = None;
            self.events.push(Event::RolledBack { from, to });
        }
        if let (Step::Verified(block), Input::Block(input)) = (&step, &input) {
            self.highest = self.highest.max(Some(block.head().number));
            let timestamp = input.input().timestamp;
            self.events.push(Event::Block(message::Block::new(block, input.claims(), timestamp)));
        }
        if !matches!(step, Step::Opened | Step::Known)
            && self.disputed.is_some_and(|disputed| self.position() > disputed)
        {
            self.disputed = None;
        }
        if self.disputed.is_none() && self.halted.take().is_some() {
            self.events.push(Event::Corrected);
        }
        if self.store.pending() > GATHERED && self.store.is_kept() {
            self.flush(now());
        }
        Ok(())
    }

    /// Ends the connection or the stream.
    fn end(&mut self, end: End) {
        self.source = Source::None;
        // What else was asked belongs to what has ended: that it fails, too, is no further trouble.
        self.asked.clear();
        self.replica.abandon();
        match end {
            End::Lost { reason, contradiction } => self.events.push(Event::Lost { reason, contradiction }),
            End::Store(error) => {
                let message = format!("the store: {error}");
                self.events.push(Event::Lost { reason: message, contradiction: false });
            }
            End::Mismatch(wrong) => {
                self.disputed = Some(self.position());
                let mismatch = message::Mismatch::from(&wrong.mismatch);
                self.halted = Some(mismatch.clone());
                self.evidence = wrong.evidence;
                self.events.push(Event::Mismatch { mismatch, evidence: self.evidence.is_some() });
            }
        }
    }

    fn rpc_status(&self) -> rpc::Status {
        rpc::Status {
            highest_block: self.highest,
            halted: self.halted.is_some(),
            first_block: 0,
            safe: None,
            finalized: None,
        }
    }

    fn position(&self) -> Position {
        self.replica.head().map_or((0, 0, false), |head| (head.number, head.batch, head.batch_closed))
    }
}

impl Machine for Core {
    fn begin_stream(&mut self) {
        self.asked.clear();
        self.replica.abandon();
        self.source = Source::Stream(Box::new(Stream::new(self.replica.head().is_some())));
    }

    fn push_stream(&mut self, bytes: &[u8]) {
        if let Source::Stream(stream) = &mut self.source {
            stream.push(bytes);
        }
    }

    fn end_stream(&mut self) {
        if let Source::Stream(stream) = &mut self.source {
            stream.end();
        }
    }

    fn stop_stream(&mut self, reason: &str) {
        self.disconnect(reason);
    }

    fn stream_length(&self) -> Option<u64> {
        match &self.source {
            Source::Stream(stream) => stream.length(),
            _ => None,
        }
    }

    fn connect(&mut self) {
        self.asked.clear();
        self.replica.abandon();
        self.source = Source::Follow(Box::new(Follower::new(&self.spec)));
    }

    fn tell(&mut self, id: u64, status: u16, body: &[u8]) {
        let Some(request) = self.asked.remove(&id) else { return };
        let answer = request.decode(id, body);
        // A server said no with a status: only what a JSON-RPC error in the body says can be used.
        if !(200..300).contains(&status) && !matches!(answer, Err(AnswerError::Refused { .. })) {
            return self.disconnect(&format!("the main node answers with status {status}"));
        }
        if let Source::Follow(follower) = &mut self.source
            && let Err(end) = follower.tell(id, answer)
        {
            self.end(end);
        }
    }

    fn fail(&mut self, id: u64, reason: &str) {
        if self.asked.remove(&id).is_some() {
            self.disconnect(reason);
        }
    }

    fn poll(&mut self) {
        if let Source::Follow(follower) = &mut self.source {
            follower.poll();
        }
    }

    fn work(&mut self, until: f64, now: &dyn Fn() -> f64) -> Report {
        let next = loop {
            match self.step(now) {
                Ok(Some(next)) => break next,
                Ok(None) => {}
                Err(end) => {
                    self.end(end);
                    break Next::Connect;
                }
            }
            if now() >= until {
                break Next::Work;
            }
        };
        if matches!(next, Next::Poll | Next::Connect) || now() - self.flushed > GATHERING {
            self.flush(now());
        }
        if self.replica.branching().is_none() {
            self.verified = self.replica.head().cloned();
        }
        let status = self.rpc_status();
        self.web3.update(&status, &self.store);
        let mut asks = Vec::new();
        if let Source::Follow(follower) = &mut self.source {
            while let Some((id, request)) = follower.next_request() {
                self.asked.insert(id, request);
                asks.push(Ask { id, body: request.encode(id) });
            }
        }
        let next = match next {
            Next::Poll if !asks.is_empty() => Next::Answers,
            next => next,
        };
        Report { next, asks, events: core::mem::take(&mut self.events) }
    }

    fn flush(&mut self, now: f64) {
        self.flushed = now;
        if let Err(error) = self.store.flush() {
            let quota = matches!(error, FileError::Quota(_));
            self.events.push(Event::Storage { quota, message: error.to_string() });
        }
    }

    fn status(&self) -> message::Status<'_> {
        message::Status {
            chain_id: self.spec.chain_id,
            chain_name: &self.spec.name,
            verified: self.verified.as_ref(),
            halted: self.halted.as_ref(),
            evidence: self.evidence.is_some(),
            kept: self.store.is_kept(),
            stored: self.store.len(),
        }
    }

    fn set_highest(&mut self, highest: Option<u64>) {
        self.highest = highest;
    }

    fn evidence(&self) -> Result<Option<Vec<u8>>, EvidenceError> {
        self.evidence.as_ref().map(Evidence::encode).transpose()
    }

    fn web3(&mut self) -> &mut Web3 {
        &mut self.web3
    }

    fn request(&mut self, session: u32, body: &str, now: &dyn Fn() -> f64) -> message::Reply {
        let status = self.rpc_status();
        self.web3.request(session, body, &status, &self.store, now)
    }
}

/// Tells two genesis states apart, however their files are written, and two files of rules.
fn identify(genesis: &Genesis, chain: &[u8]) -> B256 {
    let mut hasher = Keccak256::new();
    hasher.update((chain.len() as u64).to_be_bytes());
    hasher.update(chain);
    for (address, account) in &genesis.accounts {
        hasher.update(address);
        hasher.update(account.balance.to_be_bytes::<32>());
        hasher.update(account.nonce.to_be_bytes());
        hasher.update((account.code.len() as u64).to_be_bytes());
        hasher.update(&account.code);
        hasher.update((account.storage.len() as u64).to_be_bytes());
        for (slot, word) in &account.storage {
            hasher.update(slot.to_be_bytes::<32>());
            hasher.update(word.to_be_bytes::<32>());
        }
    }
    hasher.finalize()
}
