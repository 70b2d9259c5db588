//! The full replica: it verifies from genesis or a snapshot on, and holds the state.

use crate::{
    follow::{End, Flow, Follower, ended},
    l1::L1,
    machine::{Machine, NoL1},
    message::{self, Ask, Event, Next, Report},
    store::{File, FileError, Identity, LogStore, OpenError},
    stream::{Piece, Stream},
    web3::Web3,
};
use alloc::{
    boxed::Box,
    format,
    string::{String, ToString},
    vec::Vec,
};
use alloy_primitives::{Address, B256, Keccak256, keccak256, map::HashMap};
use zk_replica_core::{
    chain::{ChainSpec, ChainSpecError, Genesis, GenesisError},
    checker::{Mismatch, Verdict},
    checkpoint::{Checkpoint, NoCheckpoint},
    evidence::{Evidence, EvidenceError},
    replica::{Halt, Input, Replica, Step},
    rpc, snapshot,
    source::{
        datastream::Item,
        l1::RollupStorage,
        main_node::{AnswerError, Request},
    },
    store::{Store as _, StoreError},
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
    #[error("checkpoint: {0}")]
    Checkpoint(#[from] NoCheckpoint),
    #[error("storage: {0}")]
    Log(#[from] OpenError),
    #[error("storage: {0}")]
    Store(#[from] StoreError),
}

/// How far the chain is, in an order that batch ends count in.
type Position = (u64, u64, bool);

pub(crate) struct Core {
    spec: ChainSpec,
    /// What the chain begins with, if that is not genesis. Before the snapshot of it has come there is nothing to go on from.
    checkpoint: Option<Checkpoint>,
    replica: Replica,
    /// The last verified block, as it is stored and served: while a branch is tried, the replica stands before it.
    verified: Option<Head>,
    store: LogStore,
    web3: Web3,
    source: Source,
    /// What the main node was asked, and has not answered yet.
    asked: HashMap<u64, Request>,
    events: Vec<Event>,
    highest: Option<u64>,
    halted: Option<message::Mismatch>,
    /// How far the chain was when the main node was found to be wrong, until it is right.
    disputed: Option<Position>,
    evidence: Option<Evidence>,
    l1: Option<L1>,
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
        let genesis = Genesis::from_json(genesis)?;
        let origin = identify(&genesis, chain);
        Self::begin(ChainSpec::from_json(chain)?, genesis, None, origin, secret, file)
    }

    /// Continues the chain that is in `file`, or begins one with a snapshot, by [`Machine::restore`].
    pub(crate) fn open_behind(
        chain: &[u8],
        checkpoint: &str,
        secret: B256,
        file: Option<Box<dyn File>>,
    ) -> Result<Self, OpenEngineError> {
        let checkpoint: Checkpoint = checkpoint.parse()?;
        let mut hasher = Keccak256::new();
        hasher.update(checkpoint.to_string());
        hasher.update(chain);
        let (spec, origin) = (ChainSpec::from_json(chain)?, hasher.finalize());
        Self::begin(spec, Genesis::default(), Some(checkpoint), origin, secret, file)
    }

    fn begin(
        spec: ChainSpec,
        genesis: Genesis,
        checkpoint: Option<Checkpoint>,
        origin: B256,
        secret: B256,
        file: Option<Box<dyn File>>,
    ) -> Result<Self, OpenEngineError> {
        let identity = Identity { chain_id: spec.chain_id, origin };
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
            checkpoint,
            verified: replica.head().cloned(),
            replica,
            store,
            source: Source::None,
            asked: HashMap::default(),
            events: Vec::new(),
            highest: None,
            halted: None,
            disputed: None,
            evidence: None,
            l1: None,
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
            Source::None => {
                self.heed_l1()?;
                Ok(Some(Next::Connect))
            }
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
                    Flow::Nothing if follower.is_idle() => {
                        self.heed_l1()?;
                        return Ok(Some(Next::Poll));
                    }
                    Flow::Nothing => return Ok(Some(Next::Answers)),
                    Flow::Moved => {}
                    Flow::Item(item) => self.advance(item, now)?,
                    Flow::Tip => {
                        self.agree_with_l1()?;
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
        self.heed_l1()?;
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
        self.settle();
        if matches!(step, Step::Closed) {
            self.agree_with_l1()?;
        }
        if self.store.pending() > GATHERED && self.store.is_kept() {
            self.flush(now());
        }
        Ok(())
    }

    /// Nothing is in dispute any more, unless something still is.
    fn settle(&mut self) {
        let disagrees = self.l1.as_ref().is_some_and(L1::disagrees);
        if self.disputed.is_none() && !disagrees && self.halted.take().is_some() {
            self.events.push(Event::Corrected);
        }
    }

    /// Compares what L1 has said since the last look.
    fn heed_l1(&mut self) -> Result<(), End> {
        if self.l1.as_ref().is_some_and(L1::has_news) { self.agree_with_l1() } else { Ok(()) }
    }

    /// While L1 has another state nothing is added.
    fn agree_with_l1(&mut self) -> Result<(), End> {
        self.compare_with_l1()?.map_or(Ok(()), |mismatch| Err(End::L1(mismatch)))
    }

    /// Holds the verified chain against what L1 says is proved, once it is there. Gives what differs.
    fn compare_with_l1(&mut self) -> Result<Option<Box<Mismatch>>, StoreError> {
        let Some(l1) = &mut self.l1 else { return Ok(None) };
        let Some(posted) = l1.posted() else { return Ok(None) };
        match self.replica.consolidate(&posted, &self.store)? {
            None => Ok(None),
            Some(Verdict::Mismatch(mismatch)) => Ok(Some(Box::new(mismatch))),
            Some(Verdict::Verified(_)) => {
                l1.agrees();
                // What is told is on the disk.
                self.flushed = f64::NEG_INFINITY;
                self.settle();
                Ok(None)
            }
        }
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
            End::L1(mismatch) => {
                if let Some(l1) = &mut self.l1 {
                    l1.disagree();
                }
                let mismatch = message::Mismatch::from(&*mismatch);
                self.halted = Some(mismatch.clone());
                self.evidence = None;
                self.events.push(Event::Mismatch { mismatch, evidence: false });
            }
        }
    }

    /// The snapshot has not come yet.
    fn is_bare(&self) -> bool {
        self.checkpoint.is_some() && self.replica.head().is_none()
    }

    fn rpc_status(&self) -> rpc::Status {
        let frontier = self.replica.frontier();
        rpc::Status {
            highest_block: self.highest,
            halted: self.halted.is_some(),
            first_block: self.checkpoint.map_or(0, |checkpoint| checkpoint.number.saturating_add(1)),
            safe: frontier,
            finalized: frontier,
        }
    }

    fn position(&self) -> Position {
        self.replica.head().map_or((0, 0, false), |head| (head.number, head.batch, head.batch_closed))
    }
}

impl Machine for Core {
    fn restore(&mut self, file: &[u8]) {
        let Some(checkpoint) = self.checkpoint.filter(|_| self.is_bare()) else { return };
        let restored = match snapshot::restore(file, &self.spec, &checkpoint) {
            Ok(commit) => self.store.apply(&commit),
            Err(error) => {
                return self.end(End::Lost { reason: error.to_string(), contradiction: true });
            }
        };
        let opened =
            restored.and_then(|()| Replica::open(self.spec.clone(), Genesis::default(), &self.store));
        match opened {
            Ok(replica) => {
                self.verified = replica.head().cloned();
                self.replica = replica;
                // It is a long way back.
                self.flushed = f64::NEG_INFINITY;
                self.events.push(Event::Opened);
            }
            Err(error) => self.end(error.into()),
        }
    }

    fn begin_stream(&mut self) {
        self.asked.clear();
        self.replica.abandon();
        if self.is_bare() {
            return;
        }
        // A file has no other chain behind what is verified.
        match self.agree_with_l1() {
            Ok(()) => self.source = Source::Stream(Box::new(Stream::new(self.replica.head().is_some()))),
            Err(end) => self.end(end),
        }
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
        if self.is_bare() {
            return;
        }
        match self.compare_with_l1() {
            Ok(disagreement) => {
                let first = self.checkpoint.map_or(0, |checkpoint| checkpoint.number);
                self.source = Source::Follow(Box::new(Follower::new(&self.spec, first, disagreement)));
            }
            Err(error) => self.end(error.into()),
        }
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
            l1: self.l1.as_ref().map(|l1| message::L1::new(l1.heard(), self.replica.frontier())),
        }
    }

    fn set_highest(&mut self, highest: Option<u64>) {
        self.highest = highest;
    }

    fn evidence(&self) -> Result<Option<Vec<u8>>, EvidenceError> {
        self.evidence.as_ref().map(Evidence::encode).transpose()
    }

    fn watch_l1(&mut self, manager: Address, rollup_id: u32, tag: String) -> Result<(), NoL1> {
        self.l1 = Some(L1::new(RollupStorage::new(manager, rollup_id), self.spec.chain_id, tag));
        Ok(())
    }

    fn ask_l1(&mut self) -> Option<String> {
        self.l1.as_mut()?.ask()
    }

    fn tell_l1(&mut self, status: u16, body: &[u8]) -> Result<Option<String>, String> {
        self.l1.as_mut().map_or(Ok(None), |l1| l1.tell(status, body))
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

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{boxed::Box, string::String};
    use alloy_primitives::U256;
    use serde_json::{Value, json};
    use zk_replica_core::{
        checker::Checker,
        executor::PreparedBlock,
        types::{BatchEnd, BatchKind, BatchStart, Frontier},
    };

    const CHAIN: &str = r#"{"chainId":779,"forks":[{"forkId":"0xc","fromBatchNumber":"0x1"}]}"#;
    const GENESIS: &str = r#"{"0x00000000000000000000000000000000000000aa":{"balance":"1","nonce":"0"}}"#;
    const ONES: B256 = B256::repeat_byte(1);

    /// Batch 0 is verified, and L1 is watched. Its state root.
    fn core() -> (Core, B256) {
        let mut core = Core::open(CHAIN.as_bytes(), GENESIS.as_bytes(), ONES, None).unwrap();
        core.watch_l1(Address::repeat_byte(0x11), 1, "latest".into()).unwrap();
        let genesis = Genesis::from_json(GENESIS.as_bytes()).unwrap();
        let block = Checker::new(core.spec.clone()).make_genesis(&genesis, 1_000).unwrap();
        let state_root = block.claims.state_root;
        let start = BatchStart { number: 0, kind: BatchKind::Regular, fork_id: 0, chain_id: 779 };
        let end = BatchEnd { number: 0, local_exit_root: B256::ZERO, state_root };
        let block = Input::Block(Box::new(PreparedBlock::from(block)));
        for input in [Input::BatchStart(start), block, Input::BatchEnd(end)] {
            core.replica.advance(&input, &core.store).unwrap();
        }
        (core, state_root)
    }

    /// L1 says that batch 0 ended like this, in its block 16.
    fn hear(core: &mut Core, state_root: B256, local_exit_root: B256) {
        assert!(core.ask_l1().unwrap().contains(r#""params":["latest",false]"#));
        let identity = B256::from(U256::from(779) << 160);
        let words = [identity, B256::with_last_byte(7), local_exit_root, state_root].map(|word| json!(word));
        let block = json!({ "number": "0x10", "hash": ONES });
        let mut more = None;
        for result in [block].into_iter().chain(words) {
            let answer = json!({ "id": 1, "result": result }).to_string();
            more = core.tell_l1(200, answer.as_bytes()).unwrap();
        }
        assert_eq!(more, None);
    }

    fn work(core: &mut Core) -> Value {
        serde_json::to_value(core.work(1.0, &|| 0.0)).unwrap()["events"].take()
    }

    fn status(core: &Core) -> Value {
        serde_json::to_value(core.status()).unwrap()
    }

    #[test]
    fn what_l1_has_too_is_final() {
        let (mut core, state_root) = core();
        assert_eq!(status(&core)["l1"], json!({ "proved": null, "finalized": null }));
        assert_eq!(core.rpc_status().finalized, None);
        hear(&mut core, state_root, B256::ZERO);
        assert_eq!(work(&mut core), json!([]));
        let known =
            json!({ "proved": { "l1Block": 16, "batch": 0 }, "finalized": { "block": 0, "batch": 0 } });
        assert_eq!(status(&core)["l1"], known);
        let status = core.rpc_status();
        assert_eq!((status.safe, status.finalized), (Some(Frontier::default()), Some(Frontier::default())));
    }

    #[test]
    fn what_l1_has_otherwise_is_told_until_it_has_the_same() {
        let (mut core, state_root) = core();
        for (root, exits, claim) in [
            (ONES, B256::ZERO, "state root proved on L1"),
            (state_root, ONES, "local exit root proved on L1"),
        ] {
            hear(&mut core, root, exits);
            let events = work(&mut core);
            let told = &events[0]["mismatch"];
            assert_eq!((&told["claim"], &told["expected"]), (&json!(claim), &json!(ONES)), "{events}");
            assert_eq!((&events[0]["evidence"], &events[1]), (&json!(false), &Value::Null));
            assert_eq!((core.rpc_status().halted, core.rpc_status().finalized), (true, None));
            // It is no news any more, and wrong all the same for whoever is asked next.
            assert_eq!(work(&mut core), json!([]));
            core.begin_stream();
            assert_eq!(work(&mut core)[0]["type"], "mismatch");
            assert!(matches!(core.source, Source::None));
            core.connect();
            assert_eq!(work(&mut core), json!([]));
            assert!(core.halted.is_some() && matches!(core.source, Source::Follow(_)));
            core.disconnect("the test is over");
            work(&mut core);
        }
        hear(&mut core, state_root, B256::ZERO);
        assert_eq!(work(&mut core), json!([{ "type": "corrected" }]));
        assert_eq!(
            (core.rpc_status().halted, core.rpc_status().finalized),
            (false, Some(Frontier::default()))
        );
    }

    #[test]
    fn an_l1_node_that_fails_is_told_in_words() {
        let (mut core, _) = core();
        let mut told = |status, body: &str| -> String {
            core.ask_l1().unwrap();
            core.tell_l1(status, body.as_bytes()).unwrap_err()
        };
        assert_eq!(told(502, "<html>"), "the L1 node answers with status 502");
        // A status that says no makes an answer none.
        let block = json!({ "id": 1, "result": { "number": "0x10", "hash": ONES } }).to_string();
        assert_eq!(told(500, &block), "the L1 node answers with status 500");
        let refusal = r#"{"error":{"code":-32000,"message":"no"}}"#;
        for status in [200, 403] {
            assert_eq!(told(status, refusal), "the L1 node refuses its last block: no (-32000)");
        }
        assert!(told(200, "<html>").contains("about its last block cannot be read: the answer is not JSON"));
        assert_eq!(status(&core)["l1"], json!({ "proved": null, "finalized": null }));
    }
}
