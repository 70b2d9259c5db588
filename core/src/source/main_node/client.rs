use super::{
    batch::{Batch, BlockHead, Contents, Context, Lack},
    error::AnswerError,
    request::{Answer, Request},
};
use crate::{
    chain::{ChainSpec, ForkId, ForkSchedule},
    source::{
        batch_data::BatchDataError,
        datastream::{Anchor, Item, Probe},
    },
    types::{BatchEncoding, BatchKind, BatchStart, L1Info},
};
use alloc::{
    boxed::Box,
    collections::{BTreeMap, VecDeque},
    vec::Vec,
};
use alloy_primitives::{B256, keccak256, map::HashMap};

/// Blocks whose hashes are remembered, to see whether a main node that has fewer is behind or has another chain.
const RECENT: usize = 1024;

/// Leaves of the L1 info tree that are asked for at once.
const LEAVES: u32 = 1000;

/// Bytes of batches that may wait for an earlier one, beside one.
const AHEAD_BYTES: usize = 32 << 20;

/// What a client has to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// The chain that is followed.
    pub chain_id: u64,
    /// Which batches run which fork; when it is unknown, the main node is asked.
    pub forks: ForkSchedule,
    /// How a fork writes batch data.
    pub encoding: fn(ForkId) -> &'static BatchEncoding,
    /// Requests that may be under way at once. Main nodes limit their clients (`spec/sync.md` §3.8).
    pub in_flight: usize,
    /// Batches that are asked for ahead of the one that is due.
    pub ahead: u64,
}

/// The client's side of following a main node over JSON-RPC alone (`spec/sync.md` §3).
///
/// It does no I/O and knows no time. The host asks the main node what [`next_request`](Self::next_request) gives, in any
/// order and as many at once as it gives, [`tells`](Self::tell) the answers, and takes [`Event`]s with
/// [`next_event`](Self::next_event). When there is nothing to ask and nothing under way, it waits a moment and calls
/// [`poll`](Self::poll). A [`ClientError`] ends it, never more: begin again with a new client.
///
/// It begins with who the main node is. Then the host may compare verified blocks and at last let the batches flow. What
/// flows is what the data stream's assembler gives, so the same checks follow.
///
/// A batch that is not closed is asked for at each poll; only blocks behind those that were given out are looked at. When
/// the last of them is another one now, that is an error, and the host looks for the last common block. A main node that
/// has less than before is no reason for anything: it may be one of several, and behind.
#[derive(Clone, Debug)]
pub struct Client {
    config: Config,
    stage: Stage,
    asked: HashMap<u64, Request>,
    next_id: u64,
    wanted: VecDeque<Request>,
    events: VecDeque<Event>,
    /// The main node's last batch, as it last said.
    latest: Option<u64>,
    /// The main node is the right chain.
    greeted: bool,
    /// The main node's word on forks; `None` until it was asked.
    forks: Option<ForkSchedule>,
    fork_of: HashMap<u64, ForkId>,
    /// The leaf of the L1 info tree that is needed next.
    leaf: u32,
    /// That leaf and some behind it, as far as the main node has told them.
    l1_info: HashMap<u32, L1Info>,
    /// The main node takes ranges of L1 info leaves, as far as is known.
    paged: bool,
    l1_block_hashes: BTreeMap<B256, B256>,
    genesis: Option<Box<BlockHead>>,
    fetched: HashMap<u64, Batch>,
    /// Batches that are not asked for again before the next poll.
    paused: Vec<u64>,
    place: Place,
    recent: VecDeque<(u64, B256)>,
    /// The last block that was given out, once it was asked for again because the next one names another parent.
    confirmed: Option<(u64, B256)>,
    /// Of this batch, the block that is due cannot be put together: what came before it is not all that there is.
    unsound: Option<u64>,
    /// Of this batch the main node said that it does not have it, though it has later ones.
    missed: Option<u64>,
    /// Something was given out since the last [`Event::Tip`].
    untold: bool,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    Greeting,
    Ready,
    Comparing(Anchor),
    Entering(u64),
    Flowing,
}

/// Which block is due.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    batch: u64,
    /// The batch's start was given out.
    opened: bool,
    /// How many of its blocks were.
    delivered: usize,
    /// The block to begin with, until it was given out.
    from: Option<Anchor>,
}

/// What came.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "most events are items, and each is taken at once")]
pub enum Event {
    /// The main node serves the right chain. Blocks can be compared, and the flow begun.
    Ready {
        /// Number of its last batch.
        latest: u64,
    },
    /// The answer to [`Client::compare`].
    Compared(Probe),
    /// The answer to [`Client::enter`]; `None` when the main node does not have the batch.
    Entered(Option<BatchStart>),
    /// The next part of the flow.
    Item(Item),
    /// All that the main node has was given out.
    Tip,
}

/// Why a main node cannot be followed on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// It is another chain.
    #[error("the main node serves chain {found}, not chain {expected}")]
    OtherChain {
        /// What is followed.
        expected: u64,
        /// What it says.
        found: u64,
    },
    /// An answer cannot be used.
    #[error("{method}: {error}")]
    Answer {
        /// The method that was called.
        method: &'static str,
        /// What is wrong with the answer.
        error: AnswerError,
    },
    /// The main node does not say which fork a batch runs.
    #[error("the main node does not say which fork batch {batch} runs: name the forks in the chain file")]
    Forks {
        /// Number of the batch.
        batch: u64,
    },
    /// The main node does not say under which L1 block hash it knows an exit root.
    #[error("the main node does not know global exit root {root} of a forced batch")]
    L1BlockHash {
        /// The exit root.
        root: B256,
    },
    /// The data of a batch cannot be read.
    #[error("batch {batch}: batchL2Data {error}")]
    Data {
        /// Number of the batch.
        batch: u64,
        /// What is wrong with it.
        error: BatchDataError,
    },
    /// Parts of a batch do not fit each other.
    #[error("batch {batch}: {error}")]
    Contradiction {
        /// Number of the batch.
        batch: u64,
        /// What does not fit.
        error: AnswerError,
    },
    /// It has later batches, and keeps saying that it does not have this one.
    #[error("the main node has no batch {batch}, though its last one is {latest}")]
    NoBatch {
        /// Number of the batch.
        batch: u64,
        /// Number of its last batch.
        latest: u64,
    },
    /// A block is another one than it was, or does not stand on the block that was there before.
    #[error("block {block} was {before} and is {now}: the main node has another chain now")]
    Branched {
        /// Number of the block.
        block: u64,
        /// Its hash before.
        before: B256,
        /// Its hash now.
        now: B256,
    },
    /// The main node has far fewer blocks than it had.
    #[error("the main node has gone back to block {to}")]
    Shorter {
        /// Its last block.
        to: u64,
    },
}

impl ClientError {
    /// What the main node says cannot be true, whatever its chain is. Else it is away, behind, or on another branch.
    pub fn is_contradiction(&self) -> bool {
        match self {
            Self::Data { .. } | Self::Contradiction { .. } | Self::NoBatch { .. } => true,
            Self::Answer { error, .. } => {
                matches!(error, AnswerError::Missing { .. } | AnswerError::Field { .. })
            }
            _ => false,
        }
    }
}

impl Client {
    /// A client that knows nothing yet.
    pub fn new(config: Config) -> Self {
        let mut wanted = VecDeque::from([Request::ChainId, Request::BatchNumber]);
        let forks = config.forks.is_known().then(|| config.forks.clone());
        if forks.is_none() {
            wanted.push_back(Request::Forks);
        }
        Self {
            config,
            stage: Stage::Greeting,
            asked: HashMap::default(),
            next_id: 1,
            wanted,
            events: VecDeque::new(),
            latest: None,
            greeted: false,
            forks,
            fork_of: HashMap::default(),
            leaf: 0,
            l1_info: HashMap::default(),
            paged: true,
            l1_block_hashes: BTreeMap::new(),
            genesis: None,
            fetched: HashMap::default(),
            paused: Vec::new(),
            place: Place::default(),
            recent: VecDeque::new(),
            confirmed: None,
            unsound: None,
            missed: None,
            untold: true,
        }
    }

    /// Asks whether the main node has a verified block: [`Event::Compared`] answers.
    pub fn compare(&mut self, anchor: Anchor) {
        self.stage = Stage::Comparing(anchor);
        self.want(Request::Block(anchor.number));
    }

    /// Asks how a batch begins: [`Event::Entered`] answers.
    pub fn enter(&mut self, batch: u64) {
        self.stage = Stage::Entering(batch);
        self.want(Request::Batch(batch));
    }

    /// Lets the batches flow: from genesis, or from a verified block, which comes first. The start of the batch that this
    /// block is in does not come.
    pub fn start(&mut self, from: Option<Anchor>) {
        self.stage = Stage::Flowing;
        self.place = match from {
            Some(anchor) => Place { batch: anchor.batch, opened: true, delivered: 0, from },
            None => Place::default(),
        };
    }

    /// What to ask now, and under which id.
    pub fn next_request(&mut self) -> Option<(u64, Request)> {
        if self.asked.len() >= self.config.in_flight.max(1) {
            return None;
        }
        let request = self.wanted.pop_front().or_else(|| self.next_batch().map(Request::Batch))?;
        let id = self.next_id;
        self.next_id += 1;
        self.asked.insert(id, request);
        Some((id, request))
    }

    /// The host has to wait, then [`poll`](Self::poll): nothing is under way, and there is nothing to ask.
    pub fn is_idle(&self) -> bool {
        self.asked.is_empty()
            && self.wanted.is_empty()
            && self.events.is_empty()
            && self.next_batch().is_none()
    }

    /// Time has passed: what may have changed is asked again.
    pub fn poll(&mut self) {
        self.paused.clear();
        self.want(Request::BatchNumber);
        if !self.place.opened {
            self.check_last();
        }
    }

    /// The next event, if there is one.
    pub fn next_event(&mut self) -> Option<Event> {
        if let Some(event) = self.events.pop_front() {
            return Some(event);
        }
        let flowing = matches!(self.stage, Stage::Flowing) && self.unsound != Some(self.place.batch);
        let reached = self.latest.is_some_and(|latest| {
            latest < self.place.batch || (latest == self.place.batch && self.paused.contains(&latest))
        });
        (flowing && reached && self.is_idle() && core::mem::take(&mut self.untold)).then_some(Event::Tip)
    }

    /// What came of a request.
    ///
    /// # Errors
    ///
    /// [`ClientError`]; nothing more is to be had from this client.
    pub fn tell(&mut self, id: u64, answer: Result<Answer, AnswerError>) -> Result<(), ClientError> {
        let Some(request) = self.asked.remove(&id) else {
            return Ok(());
        };
        match (request, answer) {
            (request, Err(error)) => self.refused(request, error)?,
            (Request::ChainId, Ok(Answer::Number(found))) => {
                let expected = self.config.chain_id;
                if found != expected {
                    return Err(ClientError::OtherChain { expected, found });
                }
                self.greeted = true;
            }
            (Request::BatchNumber, Ok(Answer::Number(latest))) => {
                self.latest = Some(latest);
                // The open batch is gone, or the answer comes from a node that is behind.
                if latest < self.place.batch {
                    self.check_last();
                }
            }
            (Request::BlockNumber, Ok(Answer::Number(last))) => self.has_fewer(last)?,
            (Request::Forks, Ok(Answer::Forks(forks))) => self.forks = Some(forks),
            (Request::ForkOfBatch(batch), Ok(Answer::Number(fork))) => {
                let fork = ForkId::try_from(fork).map_err(|_| ClientError::Forks { batch })?;
                self.fork_of.insert(batch, fork);
            }
            (Request::BatchOfBlock(_), Ok(Answer::Number(batch))) => {
                if let Stage::Comparing(anchor) = self.stage {
                    let same = anchor.batch == batch;
                    self.compared(if same { Probe::Same } else { Probe::Different });
                }
            }
            (Request::Batch(number), Ok(Answer::Batch(batch))) => self.receive(number, batch)?,
            (Request::Block(number), Ok(Answer::Block(block))) => self.see_block(number, block)?,
            (Request::ExitRootTable(_), Ok(Answer::ExitRoots(leaves))) => {
                // Those before are not needed again; if they are, they are asked for again.
                let wanted = self.leaf..=last_leaf(self.leaf);
                self.l1_info.retain(|index, _| wanted.contains(index));
                for leaf in leaves.into_iter().filter(|leaf| wanted.contains(&leaf.index)) {
                    self.l1_info.entry(leaf.index).or_insert(leaf);
                }
                if !self.l1_info.contains_key(&self.leaf) {
                    // It does not know the leaf yet: a moment later it will.
                    self.pause(self.place.batch);
                }
            }
            (Request::Storage { slot, .. }, Ok(Answer::Word(word))) => {
                let roots = self.fetched.values().flat_map(exit_roots);
                let root = roots.into_iter().find(|root| exit_root_slot(*root) == slot).unwrap_or_default();
                if word.is_zero() {
                    return Err(ClientError::L1BlockHash { root });
                }
                self.l1_block_hashes.insert(root, word);
            }
            // The answer's kind follows from the request.
            (_, Ok(_)) => {}
        }
        self.advance()
    }

    fn refused(&mut self, request: Request, error: AnswerError) -> Result<(), ClientError> {
        let refused = matches!(error, AnswerError::Refused { .. });
        match request {
            Request::Forks if error.is_unsupported() => self.forks = Some(ForkSchedule::UNKNOWN),
            Request::ForkOfBatch(batch) if error.is_unsupported() => {
                return Err(ClientError::Forks { batch });
            }
            Request::ExitRootTable(Some(_)) if refused => {
                self.paged = false;
                self.want(Request::ExitRootTable(None));
            }
            // Nodes without the method cannot tell; for others the block is unknown.
            Request::BatchOfBlock(_) if refused => {
                let known = error.is_unsupported();
                self.compared(if known { Probe::Same } else { Probe::Missing });
            }
            request => return Err(ClientError::Answer { method: request.method(), error }),
        }
        Ok(())
    }

    fn compared(&mut self, probe: Probe) {
        self.stage = Stage::Ready;
        self.events.push_back(Event::Compared(probe));
    }

    fn receive(&mut self, number: u64, batch: Option<Box<Batch>>) -> Result<(), ClientError> {
        match batch {
            Some(batch) => {
                self.missed.take_if(|missed| *missed == number);
                self.confirmed = None;
                self.fetched.insert(number, *batch);
            }
            None => {
                self.paused.push(number);
                let latest = self.latest.filter(|latest| *latest > number && number == self.place.batch);
                // The first time it may be one of several nodes, and behind.
                match latest {
                    Some(latest) if self.missed == Some(number) => {
                        return Err(ClientError::NoBatch { batch: number, latest });
                    }
                    Some(_) => self.missed = Some(number),
                    None => {}
                }
                if matches!(self.stage, Stage::Entering(entered) if entered == number) {
                    self.stage = Stage::Ready;
                    self.events.push_back(Event::Entered(None));
                }
            }
        }
        Ok(())
    }

    fn see_block(&mut self, number: u64, block: Option<Box<BlockHead>>) -> Result<(), ClientError> {
        match (self.stage, block) {
            (Stage::Comparing(_), None) => self.compared(Probe::Missing),
            (Stage::Comparing(anchor), Some(block)) => {
                if (block.hash, block.state_root) == (anchor.hash, anchor.state_root) {
                    self.want(Request::BatchOfBlock(number));
                } else {
                    self.compared(Probe::Different);
                }
            }
            (_, Some(block)) if self.place.batch == 0 && number == 0 => self.genesis = Some(block),
            (_, Some(block)) => {
                if let Some((_, before)) = self.recent.iter().find(|(known, _)| *known == number)
                    && *before != block.hash
                {
                    return Err(ClientError::Branched { block: number, before: *before, now: block.hash });
                }
                self.confirmed = Some((number, block.hash));
            }
            (_, None) => self.want(Request::BlockNumber),
        }
        Ok(())
    }

    /// A main node that has not all blocks that it had: is what it has still the same?
    fn has_fewer(&mut self, last: u64) -> Result<(), ClientError> {
        let known = self.recent.iter().any(|(number, _)| *number == last);
        match self.recent.back() {
            Some((newest, _)) if last < *newest && known => self.want(Request::Block(last)),
            Some((newest, _)) if last < *newest => return Err(ClientError::Shorter { to: last }),
            _ => {}
        }
        Ok(())
    }

    fn want(&mut self, request: Request) {
        if !self.wanted.contains(&request) && !self.asked.values().any(|asked| *asked == request) {
            self.wanted.push_back(request);
        }
    }

    /// Asks whether the last block that was given out is still the same.
    fn check_last(&mut self) {
        if let Some((last, _)) = self.recent.back() {
            self.want(Request::Block(*last));
        }
    }

    fn pause(&mut self, batch: u64) {
        self.fetched.remove(&batch);
        self.paused.push(batch);
    }

    /// The next batch to ask for, as far as there is room.
    fn next_batch(&self) -> Option<u64> {
        if !matches!(self.stage, Stage::Flowing) {
            return None;
        }
        let due = self.place.batch;
        let last = self.latest?.min(due.saturating_add(self.config.ahead));
        let full = self.fetched.values().map(Batch::weight).sum::<usize>() > AHEAD_BYTES;
        let is_wanted = |batch: &u64| {
            !self.fetched.contains_key(batch)
                && !self.paused.contains(batch)
                && !self.asked.values().any(|asked| *asked == Request::Batch(*batch))
                && (*batch == due || !full)
        };
        (due..=last).find(is_wanted)
    }

    /// Does what can be done with what is known.
    fn advance(&mut self) -> Result<(), ClientError> {
        match self.stage {
            Stage::Greeting => {
                if let (true, Some(latest), Some(_)) = (self.greeted, self.latest, &self.forks) {
                    self.stage = Stage::Ready;
                    self.events.push_back(Event::Ready { latest });
                }
                Ok(())
            }
            Stage::Entering(number) => self.entered(number),
            Stage::Flowing => {
                while self.deliver()? {}
                Ok(())
            }
            Stage::Ready | Stage::Comparing(_) => Ok(()),
        }
    }

    fn entered(&mut self, number: u64) -> Result<(), ClientError> {
        let Some(batch) = self.fetched.remove(&number) else {
            return Ok(());
        };
        let start = if number == 0 {
            Some(self.genesis_start())
        } else {
            match self.fork(number) {
                Some(fork) => {
                    let cx = self.context(fork);
                    Some(batch.start(batch.contents(&cx)?.kind, &cx))
                }
                None => None,
            }
        };
        self.fetched.insert(number, batch);
        if start.is_some() {
            self.stage = Stage::Ready;
            self.events.push_back(Event::Entered(start));
        }
        Ok(())
    }

    fn genesis_start(&self) -> BatchStart {
        BatchStart { number: 0, kind: BatchKind::Regular, fork_id: 0, chain_id: self.config.chain_id }
    }

    /// The fork of a batch; when it is not known, it is asked for.
    fn fork(&mut self, batch: u64) -> Option<ForkId> {
        let told = self.forks.as_ref().and_then(|forks| forks.fork_of(batch));
        let fork = told.or_else(|| self.fork_of.get(&batch).copied());
        if fork.is_none() {
            self.want(Request::ForkOfBatch(batch));
        }
        fork
    }

    fn context(&self, fork: ForkId) -> Context<'_> {
        Context {
            chain_id: self.config.chain_id,
            fork,
            encoding: (self.config.encoding)(fork),
            l1_info: &self.l1_info,
            l1_block_hashes: &self.l1_block_hashes,
        }
    }

    /// Gives out what is new in the batch that is due. `true`: the next one is due.
    fn deliver(&mut self) -> Result<bool, ClientError> {
        let number = self.place.batch;
        let Some(batch) = self.fetched.remove(&number) else {
            return Ok(false);
        };
        let given = if number == 0 { Ok(self.deliver_genesis(&batch)) } else { self.deliver_batch(&batch) };
        match given {
            Ok(Some(true)) => {
                self.place = Place { batch: number + 1, ..Place::default() };
                self.fork_of.remove(&number);
                return Ok(true);
            }
            Ok(Some(false)) => self.pause(number),
            // Something else has to be asked for first.
            Ok(None) => drop(self.fetched.insert(number, batch)),
            Err(Lack::L1Info(leaf)) => {
                self.fetched.insert(number, batch);
                self.leaf = leaf;
                let range = (leaf, last_leaf(leaf));
                self.want(Request::ExitRootTable(self.paged.then_some(range)));
            }
            Err(Lack::Parent) => {
                self.fetched.insert(number, batch);
                self.check_last();
            }
            Err(Lack::L1BlockHash(root)) => {
                self.fetched.insert(number, batch);
                let (address, slot) = (ChainSpec::EXIT_ROOT_MANAGER, exit_root_slot(root));
                self.want(Request::Storage { address, slot });
            }
            Err(Lack::Error(error)) => return Err(error),
        }
        Ok(false)
    }

    /// `Some(true)` when all of the batch was given out.
    fn deliver_genesis(&mut self, batch: &Batch) -> Option<bool> {
        let Some(block) = batch.blocks.first().or(self.genesis.as_deref()).cloned() else {
            // Some nodes serve batch 0 without its block.
            self.want(Request::Block(0));
            return None;
        };
        if !self.place.opened {
            self.give(Item::BatchStart(self.genesis_start()));
        }
        self.give(Item::Block(block.genesis()));
        self.remember(&block);
        self.give(Item::BatchEnd(batch.end()));
        Some(true)
    }

    /// `Some(true)` when all of the batch was given out, `None` when its fork is not known yet.
    fn deliver_batch(&mut self, batch: &Batch) -> Result<Option<bool>, Lack> {
        let Some(fork) = self.fork(batch.number) else {
            return Ok(None);
        };
        let cx = self.context(fork);
        let contents = batch.contents(&cx)?;
        let closed = batch.closed.unwrap_or_else(|| self.latest.is_some_and(|latest| latest > batch.number));
        let whole = batch.whole(&contents, closed)?;
        let Some(first) = self.first_new(batch)? else {
            // Less than before: it is read again. Whether that is so for a reason, the last block tells.
            self.check_last();
            return Ok(Some(false));
        };
        let (items, lack) = self.items(batch, &contents, first..whole.max(first), fork);
        let ends = closed && whole == batch.blocks.len() && lack.is_none();
        if !self.place.opened && (!items.is_empty() || ends) {
            let start = batch.start(contents.kind, &self.context(fork));
            self.give(Item::BatchStart(start));
            self.place.opened = true;
        }
        let given = items.len();
        self.unsound = matches!(lack, Some(Lack::Error(_))).then_some(batch.number);
        for (item, index) in items.into_iter().zip(first..) {
            self.give(item);
            self.remember(&batch.blocks[index]);
            self.place.delivered = index + 1;
            self.place.from = None;
        }
        match lack {
            // What stands before it is looked at first: it may show better what is wrong.
            Some(Lack::Error(_)) if given > 0 => return Ok(Some(false)),
            Some(lack) => return Err(lack),
            None => {}
        }
        if ends {
            if let Some(update) = batch.update(&self.context(fork)) {
                self.give(Item::UpdateGer(update));
            }
            self.give(Item::BatchEnd(batch.end()));
        }
        Ok(Some(ends))
    }

    /// Position of the block that is due; `None` when the batch does not reach so far.
    fn first_new(&self, batch: &Batch) -> Result<Option<usize>, ClientError> {
        let known = match (self.place.from, self.place.delivered.checked_sub(1)) {
            (Some(anchor), _) => {
                let index = batch.blocks.iter().position(|block| block.number == anchor.number);
                index.map(|index| (index, anchor.number, anchor.hash))
            }
            (None, Some(index)) => self.recent.back().map(|(number, hash)| (index, *number, *hash)),
            (None, None) => return Ok(Some(0)),
        };
        let Some((index, number, before)) = known else {
            return Ok(None);
        };
        match batch.blocks.get(index) {
            None => Ok(None),
            Some(block) if (block.number, block.hash) == (number, before) => {
                Ok(Some(if self.place.from.is_some() { index } else { index + 1 }))
            }
            Some(block) => Err(ClientError::Branched { block: number, before, now: block.hash }),
        }
    }

    /// Blocks of a batch, up to the first that cannot be put together, and why it cannot. What stands before it may show
    /// what is wrong.
    fn items(
        &self,
        batch: &Batch,
        contents: &Contents,
        range: core::ops::Range<usize>,
        fork: ForkId,
    ) -> (Vec<Item>, Option<Lack>) {
        let cx = self.context(fork);
        let mut before = self.recent.back().copied();
        let mut items = Vec::with_capacity(range.len());
        for index in range {
            let head = &batch.blocks[index];
            // When the block before is still the same, another parent is no other branch: the checker finds it wrong.
            if before.is_some_and(|(_, hash)| head.parent_hash != hash) && before != self.confirmed {
                return (items, Some(Lack::Parent));
            }
            before = Some((head.number, head.hash));
            match batch.block(index, contents, &cx) {
                Ok(block) => items.push(Item::Block(block)),
                Err(lack) => return (items, Some(lack)),
            }
        }
        (items, None)
    }

    fn give(&mut self, item: Item) {
        self.untold = true;
        self.events.push_back(Event::Item(item));
    }

    fn remember(&mut self, block: &BlockHead) {
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back((block.number, block.hash));
    }
}

/// The last leaf that is asked for together with this one.
fn last_leaf(first: u32) -> u32 {
    first.saturating_add(LEAVES - 1)
}

/// The exit roots that a batch may bring in by force.
fn exit_roots(batch: &Batch) -> impl Iterator<Item = B256> {
    batch.blocks.first().map(|block| block.global_exit_root).into_iter().chain([batch.global_exit_root])
}

/// The entry of the exit root manager's map for a global exit root: the first slot is the map's.
fn exit_root_slot(global_exit_root: B256) -> B256 {
    keccak256([global_exit_root, B256::ZERO].concat())
}
