//! The Web3 API of the engine: the core's, with what it has to be told of time, randomness and connections.

#[cfg(feature = "light")]
mod question;

use crate::message;
use alloc::{
    string::{String, ToString},
    vec::Vec,
};
use alloy_primitives::{B256, keccak256, map::HashMap};
use core::cell::RefCell;
use zk_replica_core::{
    chain::ChainSpec,
    rpc::{Caller, Config, Forward, Live, LiveLimits, Reply, Resend, Rpc, Status, Subscriptions},
    store::Store,
};

/// Milliseconds that a request may take.
const PATIENCE: f64 = 10_000.0;

/// Requests that wait for the main node, of each kind.
const FORWARDED: usize = 256;

pub(crate) struct Web3 {
    rpc: Rpc,
    live: RefCell<Live>,
    sessions: HashMap<u32, Session>,
    forwarded: HashMap<u32, (Forward, u32, B256)>,
    /// Wait for what proves their answers.
    #[cfg(feature = "light")]
    asking: HashMap<u32, question::Asked>,
    next: u32,
    /// Unknown to everybody else: what is made of it cannot be guessed.
    secret: B256,
    count: u64,
}

/// One connection.
#[derive(Default)]
struct Session {
    subscriptions: RefCell<Subscriptions>,
    /// Requests that were answered since it was last told something.
    answered: Vec<B256>,
}

impl Web3 {
    pub(crate) fn new(spec: ChainSpec, secret: B256) -> Self {
        let client_version = concat!("zk-replica/v", env!("CARGO_PKG_VERSION"), "/wasm");
        let config = Config { client_version: client_version.into(), ..Config::default() };
        Self {
            rpc: Rpc::new(spec, config),
            live: RefCell::new(Live::new(LiveLimits::default())),
            sessions: HashMap::default(),
            forwarded: HashMap::default(),
            #[cfg(feature = "light")]
            asking: HashMap::default(),
            next: 1,
            secret,
            count: 0,
        }
    }

    pub(crate) fn open(&mut self) -> u32 {
        let id = self.id();
        self.sessions.insert(id, Session::default());
        id
    }

    pub(crate) fn close(&mut self, session: u32) {
        self.sessions.remove(&session);
    }

    /// Works on a body.
    #[cfg(feature = "full")]
    pub(crate) fn request(
        &mut self,
        session: u32,
        body: &str,
        status: &Status,
        store: &dyn Store,
        now: &dyn Fn() -> f64,
    ) -> message::Reply {
        let (seed, begun) = (self.seed(), now());
        let subscriptions = self.sessions.get(&session).map(|session| &session.subscriptions);
        let caller = Caller {
            now: milliseconds(begun),
            seed,
            live: &self.live,
            subscriptions: subscriptions.map(|one| one as _),
        };
        let stop = || now() - begun > PATIENCE;
        let reply = self.rpc.serve(body.as_bytes(), status, store, &caller, &stop);
        self.reply(reply, session, seed, now)
    }

    fn reply(&mut self, reply: Reply, session: u32, seed: B256, now: &dyn Fn() -> f64) -> message::Reply {
        match reply {
            Reply::Answer(answer) => {
                self.replied(session, seed);
                message::Reply::Answer(answer)
            }
            Reply::Forward(forward) if self.forwarded.len() < FORWARDED => {
                let requests = forward.requests().map(ToString::to_string).collect();
                let id = self.id();
                self.forwarded.insert(id, (forward, session, seed));
                message::Reply::Forward { id, requests }
            }
            Reply::Forward(forward) => {
                let caller = Caller { now: milliseconds(now()), seed, live: &self.live, subscriptions: None };
                let answer = forward.finish_for([], &caller);
                self.replied(session, seed);
                message::Reply::Answer(answer)
            }
        }
    }

    /// The answer, now that the main node has said what it says.
    pub(crate) fn finish(&mut self, id: u32, answers: Vec<Option<Vec<u8>>>, now: f64) -> Option<String> {
        let (forward, session, seed) = self.forwarded.remove(&id)?;
        let caller = Caller { now: milliseconds(now), seed, live: &self.live, subscriptions: None };
        let answer = forward.finish_for(answers, &caller);
        self.replied(session, seed);
        Some(answer)
    }

    fn replied(&mut self, session: u32, seed: B256) {
        if let Some(session) = self.sessions.get_mut(&session)
            && !session.subscriptions.get_mut().is_empty()
        {
            session.answered.push(seed);
        }
    }

    /// The chain's end may be another one now.
    pub(crate) fn update(&mut self, status: &Status, store: &dyn Store) {
        // What cannot be read now may be there the next time.
        while matches!(self.rpc.update(self.live.get_mut(), status, store), Ok(true)) {}
    }

    /// What a connection is told next, all of it; `None` when it has missed something. What it was answered before has
    /// been sent.
    pub(crate) fn notifications(&mut self, session: u32) -> Option<Vec<String>> {
        let Some(session) = self.sessions.get_mut(&session) else { return Some(Vec::new()) };
        let subscriptions = session.subscriptions.get_mut();
        for seed in session.answered.drain(..) {
            subscriptions.replied(seed);
        }
        let mut told = Vec::new();
        loop {
            let texts = subscriptions.poll(self.live.get_mut()).ok()?;
            if texts.is_empty() {
                return Some(told);
            }
            told.extend(texts);
        }
    }

    /// Forgets what has expired, and gives what is to be sent again.
    pub(crate) fn tidy(&mut self, now: f64) -> Vec<Resend> {
        let live = self.live.get_mut();
        live.expire(milliseconds(now));
        live.resend(milliseconds(now))
    }

    pub(crate) fn answered(&mut self, transaction: B256, answer: Option<&[u8]>, now: f64) {
        self.live.get_mut().answered(transaction, answer, milliseconds(now));
    }

    fn id(&mut self) -> u32 {
        let id = self.next;
        self.next = self.next.wrapping_add(1).max(1);
        id
    }

    fn seed(&mut self) -> B256 {
        self.count += 1;
        keccak256([self.secret.as_slice(), &self.count.to_be_bytes()].concat())
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a clock's milliseconds")]
fn milliseconds(now: f64) -> u64 {
    now.max(0.0) as u64
}
