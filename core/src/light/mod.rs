//! Verifying without the state.
//!
//! A [`Light`] replica is told one block of the chain, a [`Checkpoint`], and holds a few megabytes. Each block behind it
//! is re-executed like in a full replica, by the same checker: what the block reads of the state comes from a witness
//! (`zkevm_getWitness`, `zkevm_getBlockRangeWitness`), or record by record (`zkreplica_getRecords`), from a replica that
//! need not be trusted. Every part of the state has its own hash for a name, so what is handed over is either true under
//! the verified root or found to be nothing.
//!
//! Requests are answered in the same way ([`Light::question`]): what they read is asked for with its proof
//! (`zkevm_getProof`) and kept. Blocks, receipts and logs are complete by re-execution. The state after an earlier block,
//! also one before the checkpoint, is found by its root, which the chain's own system contract remembers (from fork 7
//! on); it can be had as long as somebody serves it. A call there is refused: it needs the block's header, and the rules of
//! its fork, which the state does not prove.
//!
//! There is no I/O here: the host posts what [`Light::step`] gives and [`tells`](Light::tell) what came back.
//!
//! What the checkpoint does not say, the number of its batch and that batch's fork, is the main node's word; as in a full
//! replica, a fork named in the chain specification is held against it.

mod follow;

use crate::{
    chain::ChainSpec,
    checker::{Mismatch, VerifiedBlock},
    checkpoint::Checkpoint,
    evidence::Evidence,
    executor::PreparedBlock,
    replica::{Input, Replica},
    rpc::{self, Asking, Caller, Question, Rpc, Status},
    source::{
        datastream::ForkSearch,
        main_node::{AnswerError, Client, ClientError, Request, StateRequest},
    },
    store::{Cache, CacheLimits, StoreError},
    types::Head,
};
use alloc::{
    boxed::Box,
    collections::{BTreeMap, VecDeque},
    string::String,
    vec::Vec,
};
use alloy_primitives::B256;
use follow::{Opening, Stage};

/// What the host decides.
#[derive(Clone, Debug)]
pub struct Config {
    /// Of the API.
    pub rpc: rpc::Config,
    /// How much is held.
    pub cache: CacheLimits,
    /// Requests that may be under way at once.
    pub in_flight: usize,
    /// Blocks that one witness is asked for at once.
    pub witness_blocks: u64,
    /// Bytes of an answer. A longer one is not looked at.
    pub answer: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            rpc: rpc::Config::default(),
            cache: CacheLimits::default(),
            in_flight: 4,
            witness_blocks: 64,
            answer: 4 << 20,
        }
    }
}

/// What the host is to do.
#[derive(Debug)]
pub enum Next {
    /// Post this body to the main node, and [`tell`](Light::tell) the answer.
    Ask {
        /// Goes with the answer.
        id: u64,
        /// JSON.
        body: String,
    },
    /// This has happened.
    Event(Event),
    /// Nothing until an answer comes. When none is under way: wait a moment, then [`poll`](Light::poll).
    Wait,
}

/// What has happened.
#[derive(Debug)]
pub enum Event {
    /// The checkpoint's block is known, and requests can be answered.
    Opened(Head),
    /// A block was verified.
    Verified {
        /// What came out.
        block: Box<VerifiedBlock>,
        /// What the main node said, its claims with it.
        told: Box<PreparedBlock>,
    },
    /// The main node has another chain from this block on; what came after it is no part of the chain any more.
    RolledBack {
        /// The last verified block before.
        from: u64,
        /// The last common block.
        to: u64,
    },
    /// Everything that the main node has is verified.
    Tip,
    /// The main node is wrong.
    Mismatch {
        /// In what.
        mismatch: Box<Mismatch>,
        /// A file with which anyone can see it; `None` when there is too much of it.
        evidence: Option<Box<Evidence>>,
    },
    /// The conversation came to an end: wait a moment, then [`poll`](Light::poll).
    Lost(Trouble),
}

/// Why a conversation with the main node came to an end. Nothing that was verified is lost.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// An answer did not come.
    #[error("the main node does not answer")]
    NoAnswer,
    /// An answer is longer than anything that is asked for.
    #[error("the main node's answer has {0} bytes, more than is taken")]
    TooLong(usize),
    /// An answer is none to what was asked.
    #[error(transparent)]
    Answer(#[from] AnswerError),
    /// What it says cannot be followed.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// It has another block at the checkpoint.
    #[error("the main node's block {number} is not the checkpoint's")]
    OtherCheckpoint {
        /// Number of the checkpoint's block.
        number: u64,
    },
    /// It says nothing about the checkpoint's block, or something false about its state.
    #[error("the main node's word on the checkpoint, block {number}, cannot be used: {reason}")]
    Checkpoint {
        /// Number of the checkpoint's block.
        number: u64,
        /// Why.
        reason: String,
    },
    /// It does not have what is needed to go on (yet).
    #[error("{0}")]
    Behind(String),
    /// Its chain left ours below everything that is kept: only another checkpoint helps.
    #[error("the main node's chain left ours before block {0}, the first that is kept")]
    Parted(u64),
    /// A part of the state is needed that nobody gives.
    #[error("{0}, and the main node does not give it")]
    Unavailable(StoreError),
    /// What came cannot stand where it did.
    #[error("{0}")]
    OutOfOrder(&'static str),
}

/// A replica that does not hold the state.
#[derive(Debug)]
pub struct Light {
    spec: ChainSpec,
    checkpoint: Checkpoint,
    config: Config,
    rpc: Rpc,
    store: Cache,
    /// Once the checkpoint's block is known.
    replica: Option<Replica>,
    stage: Stage,
    opening: Opening,
    client: Option<Client>,
    search: Option<ForkSearch>,
    /// To this block the chain has to go back before it can go on.
    branch: Option<u64>,
    inputs: VecDeque<Input>,
    /// Behind them there is no more, for now.
    at_tip: bool,
    /// Behind them the conversation has come to an end.
    ending: Option<Trouble>,
    /// How often parts of the state were asked for, for what comes next.
    attempts: u32,
    /// The record that was asked for last, for the same.
    missing: Option<B256>,
    next_id: u64,
    asked: BTreeMap<u64, Asked>,
    outbox: VecDeque<(u64, String)>,
    events: VecDeque<Event>,
    mismatch: Option<Box<Mismatch>>,
}

/// What an id stands for.
#[derive(Debug)]
enum Asked {
    /// The client's, by its own id.
    Client(u64, Request),
    /// Which batch the checkpoint is in.
    Batch(Request),
    State(Vec<StateRequest>),
}

impl Light {
    /// A replica that trusts this block and nothing else. It begins with [`poll`](Self::poll).
    pub fn new(spec: ChainSpec, checkpoint: Checkpoint, config: Config) -> Self {
        Self {
            rpc: Rpc::new(spec.clone(), config.rpc.clone()),
            store: Cache::new(config.cache),
            spec,
            checkpoint,
            config,
            replica: None,
            stage: Stage::Down,
            opening: Opening::default(),
            client: None,
            search: None,
            branch: None,
            inputs: VecDeque::new(),
            at_tip: false,
            ending: None,
            attempts: 0,
            missing: None,
            next_id: 1,
            asked: BTreeMap::new(),
            outbox: VecDeque::new(),
            events: VecDeque::new(),
            mismatch: None,
        }
    }

    /// The last verified block; the checkpoint's before there is another.
    pub fn head(&self) -> Option<&Head> {
        self.replica.as_ref()?.head()
    }

    /// Why the chain is not extended, as long as the main node is wrong.
    pub fn mismatch(&self) -> Option<&Mismatch> {
        self.mismatch.as_deref()
    }

    /// What is held.
    pub fn store(&self) -> &Cache {
        &self.store
    }

    /// What the API has to know of it.
    pub fn status(&self) -> Status {
        let frontier = self.replica.as_ref().and_then(Replica::frontier);
        Status {
            halted: self.mismatch.is_some(),
            first_block: self.checkpoint.number.saturating_add(1),
            safe: frontier,
            finalized: frontier,
            highest_block: None,
        }
    }

    /// Begins to answer the body of a request.
    pub fn question(&self, request: &[u8]) -> Question {
        self.rpc.question(request)
    }

    /// Answers a question, or says what to fetch for it: post the body, give the answer to [`Question::tell`] with
    /// [`Light::store`], and ask again.
    pub fn ask(
        &self,
        question: &mut Question,
        caller: Option<&Caller<'_>>,
        stop: &dyn Fn() -> bool,
    ) -> Asking {
        self.rpc.ask(question, &self.status(), &self.store, caller, stop)
    }
}
