//! Following a main node over JSON-RPC: the core's [`Client`], and which block to go on from.
//!
//! Each connection goes as the native program's: the main node is asked for the last verified block. If it has another one
//! there, the last common block is looked for, and the chain goes back to it once the block behind is verified. Then blocks
//! flow. However a connection ends, the next begins where the chain is then.

use alloc::{
    boxed::Box,
    format,
    string::{String, ToString},
};
use zk_replica_core::{
    chain::{ChainSpec, ForkId},
    checker::Mismatch,
    evidence::{Evidence, EvidenceError},
    executor::Rules,
    replica::{Halt, Replica, RollBackError},
    source::{
        datastream::{Anchor, ForkPoint, ForkSearch, Item, Probe},
        main_node::{AnswerError, Client, ClientError, Config, Event, Request},
    },
    store::{Store, StoreError},
    types::BatchEncoding,
};

/// Requests under way at once, and batches asked for ahead, as in the native program.
const IN_FLIGHT: usize = 4;
const AHEAD: u64 = 8;

/// Why a connection came to its end.
#[derive(Debug)]
pub(crate) enum End {
    /// The main node is away, behind, or does not make sense.
    Lost {
        reason: String,
        contradiction: bool,
    },
    Mismatch(Box<Wrong>),
    /// What was verified is not what L1 has.
    L1(Box<Mismatch>),
    Store(StoreError),
}

/// What the main node is wrong about, and the evidence, if it could be had.
#[derive(Debug)]
pub(crate) struct Wrong {
    pub(crate) mismatch: Mismatch,
    pub(crate) evidence: Option<Evidence>,
}

/// What a step brought.
#[expect(clippy::large_enum_variant, reason = "each is taken at once")]
pub(crate) enum Flow {
    /// Nothing, before something is told.
    Nothing,
    /// The main node was asked something else.
    Moved,
    Item(Item),
    Tip,
}

enum Stage {
    Greeting,
    /// The head first; then the last common block.
    Comparing(Option<ForkSearch>),
    Entering(Anchor),
    Flowing,
}

/// One connection.
pub(crate) struct Follower {
    client: Client,
    stage: Stage,
    /// The chain's first block here.
    first: u64,
    /// What L1 has otherwise.
    disagreement: Option<Box<Mismatch>>,
    /// Number of the main node's last batch, when it greeted.
    pub(crate) latest_batch: Option<u64>,
}

impl Follower {
    /// `first`: the lowest block that is here. `disagreement`: L1 has another chain than the one that was verified.
    pub(crate) fn new(spec: &ChainSpec, first: u64, disagreement: Option<Box<Mismatch>>) -> Self {
        let client = Client::new(Config {
            chain_id: spec.chain_id,
            forks: spec.forks.clone(),
            encoding,
            in_flight: IN_FLIGHT,
            ahead: AHEAD,
        });
        Self { client, stage: Stage::Greeting, first, disagreement, latest_batch: None }
    }

    pub(crate) fn next_request(&mut self) -> Option<(u64, Request)> {
        self.client.next_request()
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.client.is_idle()
    }

    pub(crate) fn poll(&mut self) {
        self.client.poll();
    }

    pub(crate) fn tell(
        &mut self,
        id: u64,
        answer: Result<zk_replica_core::source::main_node::Answer, AnswerError>,
    ) -> Result<(), End> {
        Ok(self.client.tell(id, answer)?)
    }

    /// Looks at what came next.
    pub(crate) fn step(&mut self, replica: &mut Replica, store: &dyn Store) -> Result<Flow, End> {
        let Some(event) = self.client.next_event() else {
            return Ok(Flow::Nothing);
        };
        match (&mut self.stage, event) {
            (Stage::Greeting, Event::Ready { latest }) => {
                self.latest_batch = Some(latest);
                match replica.head().map(|head| head.number) {
                    None => self.flow(None),
                    Some(number) => {
                        self.stage = Stage::Comparing(None);
                        self.client.compare(anchor(number, replica, store)?);
                    }
                }
            }
            (Stage::Comparing(None), Event::Compared(Probe::Same)) => self.enter(replica, store)?,
            (Stage::Comparing(None), Event::Compared(found)) => {
                let head = replica.head().map_or(0, |head| head.number);
                self.search(ForkSearch::above(self.first, head, found), replica, store)?;
            }
            (Stage::Comparing(Some(search)), Event::Compared(found)) => {
                let mut search = search.clone();
                search.tell(found);
                self.search(search, replica, store)?;
            }
            (Stage::Entering(anchor), Event::Entered(Some(start))) => {
                let anchor = *anchor;
                if let Err(halt) = replica.enter(&start, store) {
                    let evidence = matches!(halt, Halt::Mismatch(_))
                        .then(|| Evidence::of_entering(replica, &start, store));
                    return Err(ended(halt, evidence));
                }
                self.flow(Some(anchor));
            }
            (Stage::Entering(anchor), Event::Entered(None)) => {
                return Err(waiting(format!("the main node does not have batch {}", anchor.batch)));
            }
            (Stage::Flowing, Event::Item(item)) => return Ok(Flow::Item(item)),
            (Stage::Flowing, Event::Tip) => return Ok(Flow::Tip),
            _ => return Err(waiting("an answer that nobody asked for".to_string())),
        }
        Ok(Flow::Moved)
    }

    fn search(&mut self, search: ForkSearch, replica: &mut Replica, store: &dyn Store) -> Result<(), End> {
        if let Some(number) = search.probe() {
            self.client.compare(anchor(number, replica, store)?);
            self.stage = Stage::Comparing(Some(search));
            return Ok(());
        }
        let head = replica.head().map_or(0, |head| head.number);
        match search.outcome() {
            Some(ForkPoint::At(to)) => {
                replica.branch(to, store)?;
                self.enter(replica, store)
            }
            Some(ForkPoint::EndsAt(end)) => {
                Err(waiting(format!("the main node ends at block {end}, before verified block {head}")))
            }
            Some(ForkPoint::OtherChain) => Err(waiting(format!(
                "the main node serves another chain: its block {} is not ours",
                self.first
            ))),
            Some(ForkPoint::Empty) | None => Err(waiting("the main node has no block yet".to_string())),
        }
    }

    fn enter(&mut self, replica: &Replica, store: &dyn Store) -> Result<(), End> {
        let number = replica.head().map_or(0, |head| head.number);
        // Nothing is added to a chain that L1 contradicts. One that leaves it before may be L1's.
        if let Some(mismatch) = self.disagreement.take().filter(|mismatch| number >= mismatch.block) {
            return Err(End::L1(mismatch));
        }
        let anchor = anchor(number, replica, store)?;
        self.client.enter(anchor.batch);
        self.stage = Stage::Entering(anchor);
        Ok(())
    }

    fn flow(&mut self, from: Option<Anchor>) {
        self.client.start(from);
        self.stage = Stage::Flowing;
    }
}

/// A verified block, as the main node has to have it.
fn anchor(number: u64, replica: &Replica, store: &dyn Store) -> Result<Anchor, End> {
    let record = replica.block(number, store)?;
    let record = record.ok_or_else(|| waiting("a block above the last verified one".to_string()))?;
    let (hash, state_root) = (record.header.hash_slow(), record.header.state_root);
    Ok(Anchor { number, hash, state_root, batch: record.batch })
}

/// How a fork writes batch data.
fn encoding(fork: ForkId) -> &'static BatchEncoding {
    &Rules::of(fork).encoding
}

pub(crate) fn waiting(reason: String) -> End {
    End::Lost { reason, contradiction: false }
}

pub(crate) fn ended(halt: Halt, evidence: Option<Result<Option<Evidence>, EvidenceError>>) -> End {
    match halt {
        Halt::Mismatch(mismatch) => {
            let evidence = evidence.and_then(Result::ok).flatten();
            End::Mismatch(Box::new(Wrong { mismatch, evidence }))
        }
        Halt::Store(error) => End::Store(error),
        Halt::OutOfOrder(reason) => End::Lost { reason: reason.to_string(), contradiction: true },
    }
}

impl From<ClientError> for End {
    fn from(error: ClientError) -> Self {
        Self::Lost { reason: error.to_string(), contradiction: error.is_contradiction() }
    }
}

impl From<StoreError> for End {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<RollBackError> for End {
    fn from(error: RollBackError) -> Self {
        match error {
            RollBackError::Store(error) => Self::Store(error),
            refused => waiting(refused.to_string()),
        }
    }
}
