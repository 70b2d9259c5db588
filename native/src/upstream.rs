//! The main nodes that may be followed, how well each does, and what one of them gives.

use crate::config::Timing;
use crate::datastream::{Line, LineError};
use crate::follow::{Part, Reader};
use crate::http::Endpoint;
use crate::main_node::{Asker, MainNode};
use alloy_primitives::B256;
use std::cmp::Reverse;
use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use zk_replica_core::chain::ChainSpec;
use zk_replica_core::replica::Step;
use zk_replica_core::source::datastream::{Anchor, Assembler, Bookmark, Item, Probe};
use zk_replica_core::source::main_node::{Answer, Request};
use zk_replica_core::types::{BatchStart, Head};

/// A failure weighs half as much after so long.
const FORGETTING: Duration = Duration::from_secs(10);

/// What failures weigh at most: a main node that comes back is tried again within a minute.
const HEAVIEST: f64 = 32.0;

/// What being wrong weighs, in failures.
pub(crate) const WRONG: f64 = 8.0;

/// Verified blocks that are remembered to compare others with.
const RECENT: usize = 4096;

/// Where a main node is asked.
#[derive(Clone, Debug)]
pub(crate) enum Upstream {
    /// Its data stream: host and port.
    Stream(String),
    /// Its JSON-RPC.
    Rpc(Endpoint),
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream(address) => address.fmt(f),
            Self::Rpc(endpoint) => endpoint.fmt(f),
        }
    }
}

/// How well a main node does.
#[derive(Clone, Debug, Default)]
struct Health {
    /// Failures, each less the longer ago.
    weight: f64,
    since: Option<Instant>,
    /// How long it took to say that it is there, in milliseconds.
    latency: Option<u128>,
    /// Its last block, as it last said.
    height: Option<u64>,
}

impl Health {
    fn weight(&self, now: Instant) -> f64 {
        let age = self.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        self.weight * 0.5_f64.powf(age.as_secs_f64() / FORGETTING.as_secs_f64())
    }

    fn fail(&mut self, weight: f64, now: Instant) {
        self.weight = (self.weight(now) + weight).min(HEAVIEST);
        self.since = Some(now);
    }
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Upstreams {
    list: Vec<Upstream>,
    state: Mutex<State>,
    /// The serving one is to be left.
    leave: AtomicBool,
}

#[derive(Debug)]
struct State {
    health: Vec<Health>,
    serving: usize,
    verified: VecDeque<(u64, B256)>,
    /// When a block was last verified, or a connection begun.
    advanced: Instant,
}

impl Upstreams {
    /// The first in the list is the one that serves until it fails. `head` is verified already.
    pub(crate) fn new(list: Vec<Upstream>, head: Option<&Head>) -> Self {
        let state = State {
            health: vec![Health::default(); list.len()],
            serving: 0,
            verified: head.map(|head| (head.number, head.hash)).into_iter().collect(),
            advanced: Instant::now(),
        };
        Self { list, state: Mutex::new(state), leave: AtomicBool::new(false) }
    }

    /// The healthiest, which serves from now on: the one with the fewest failures, then the one with the most blocks,
    /// then the first. (Latency decides between those that are the same in both.)
    pub(crate) fn choose(&self) -> &Upstream {
        let mut state = self.lock();
        let now = Instant::now();
        let rank = |index: &usize| {
            let health = &state.health[*index];
            // Failures long ago do not count, nor does a block more or less.
            let failures = (health.weight(now) * 2.0).floor();
            let behind = Reverse(health.height.map_or(u64::MAX, |height| height / 8));
            (failures.to_bits(), behind, health.latency.map_or(0, |latency| latency / 100), *index)
        };
        let best = (0..self.list.len()).min_by_key(rank).unwrap_or_default();
        state.serving = best;
        state.advanced = now;
        self.leave.store(false, Ordering::Relaxed);
        &self.list[best]
    }

    /// The serving one failed.
    pub(crate) fn failed(&self, weight: f64) {
        let mut state = self.lock();
        let serving = state.serving;
        state.health[serving].fail(weight, Instant::now());
    }

    /// What the serving one gave was taken. Only a block that was verified speaks for it: the rest costs it nothing.
    pub(crate) fn took(&self, step: &Step) {
        if let Step::Verified(block) = step {
            self.verified(block.head());
        }
    }

    fn verified(&self, head: &Head) {
        let mut state = self.lock();
        let serving = state.serving;
        while state.verified.back().is_some_and(|(last, _)| *last >= head.number) {
            state.verified.pop_back();
        }
        if state.verified.len() == RECENT {
            state.verified.pop_front();
        }
        state.verified.push_back((head.number, head.hash));
        state.health[serving].weight = 0.0;
        state.advanced = Instant::now();
    }

    /// Set when the connection to the serving one is to end. The next choice takes it back.
    pub(crate) fn leave(&self) -> &AtomicBool {
        &self.leave
    }

    /// Compares those that do not serve with what is verified, until `stop`. What each says against it goes to `report`,
    /// and `None` when it says that no longer.
    pub(crate) fn watch(
        &self,
        asker: &Asker,
        timing: &Timing,
        stop: &AtomicBool,
        report: &dyn Fn(&str, Option<&str>),
    ) {
        let mut looked: Option<Instant> = None;
        while !stop.load(Ordering::Relaxed) {
            if looked.is_some_and(|looked| looked.elapsed() < timing.compare_interval) {
                thread::sleep(Duration::from_millis(20));
                continue;
            }
            looked = Some(Instant::now());
            for (index, upstream) in self.list.iter().enumerate() {
                let Upstream::Rpc(endpoint) = upstream else {
                    continue;
                };
                let address = upstream.to_string();
                if self.lock().serving == index {
                    report(&address, None);
                    continue;
                }
                match self.look(asker, index, endpoint, timing, stop) {
                    Look::Same => report(&address, None),
                    Look::Other { block, theirs, ours } => report(
                        &address,
                        Some(&format!(
                            "contradiction: block {block} is {ours} here, verified, and {theirs} at {address}"
                        )),
                    ),
                    Look::Unknown => {}
                }
            }
        }
    }

    /// Asks one main node for the last block that it has in common with what was verified.
    fn look(
        &self,
        asker: &Asker,
        index: usize,
        endpoint: &Endpoint,
        timing: &Timing,
        stop: &AtomicBool,
    ) -> Look {
        let started = Instant::now();
        let answer = asker.ask(endpoint, Request::BlockNumber, stop);
        let mut state = self.lock();
        let Ok(Answer::Number(height)) = answer else {
            state.health[index].fail(1.0, Instant::now());
            return Look::Unknown;
        };
        let health = &mut state.health[index];
        (health.height, health.latency) = (Some(height), Some(started.elapsed().as_millis()));
        let has_more = state.verified.back().is_none_or(|(last, _)| *last < height);
        let healthy = state.health[index].weight(started) < 1.0;
        if has_more && healthy && state.advanced.elapsed() >= timing.stall_timeout {
            self.leave.store(true, Ordering::Relaxed);
        }
        let common = state.verified.iter().rev().find(|(number, _)| *number <= height).copied();
        drop(state);
        let Some((number, ours)) = common else {
            return Look::Unknown;
        };
        let Ok(Answer::Block(Some(block))) = asker.ask(endpoint, Request::Block(number), stop) else {
            return Look::Unknown;
        };
        if block.hash == ours {
            return Look::Same;
        }
        // It may be ours that is no longer verified.
        let mut state = self.lock();
        if !state.verified.contains(&(number, ours)) {
            return Look::Unknown;
        }
        state.health[index].fail(WRONG, Instant::now());
        Look::Other { block: number, theirs: block.hash, ours }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a look at a main node that does not serve showed.
#[derive(Clone, Copy, Debug)]
enum Look {
    /// It has the block that was verified.
    Same,
    /// It has another one.
    Other { block: u64, theirs: B256, ours: B256 },
    /// Nothing that could be compared.
    Unknown,
}

/// A connection to a main node, whichever way.
#[derive(Debug)]
pub(crate) enum Source<'a> {
    /// Its data stream.
    Stream {
        /// The connection.
        line: Box<Line<'a>>,
        /// Where it goes.
        address: &'a str,
        /// What puts the entries together.
        assembler: Assembler,
    },
    /// Its JSON-RPC.
    Rpc(Box<MainNode<'a>>),
}

impl<'a> Source<'a> {
    /// Returns when the main node has said what it has.
    pub(crate) fn open(
        upstream: &'a Upstream,
        asker: &'a Asker,
        spec: &ChainSpec,
        timing: &'a Timing,
        stop: &'a AtomicBool,
    ) -> Result<Self, LineError> {
        Ok(match upstream {
            Upstream::Stream(address) => {
                let line = Box::new(Line::open(address, timing, stop)?);
                Self::Stream { line, address, assembler: Assembler::new() }
            }
            Upstream::Rpc(endpoint) => {
                Self::Rpc(Box::new(MainNode::open(asker, endpoint, spec, timing, stop)?))
            }
        })
    }

    /// What the main node has, in words.
    pub(crate) fn extent(&self) -> String {
        match self {
            Self::Stream { line, .. } => format!("{} entries", line.header().total_entries),
            Self::Rpc(node) => format!("batches up to {}", node.latest()),
        }
    }

    /// It has not even genesis.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::Stream { line, .. } if line.header().total_entries == 0)
    }

    /// Whether the main node has this block.
    pub(crate) fn compare(&mut self, anchor: &Anchor) -> Result<Probe, LineError> {
        match self {
            Self::Stream { line, .. } => line.compare(anchor),
            Self::Rpc(node) => node.compare(*anchor),
        }
    }

    /// How a batch begins; `None` when the main node does not have it.
    pub(crate) fn batch_start(&mut self, number: u64) -> Result<Option<BatchStart>, LineError> {
        match self {
            Self::Stream { line, .. } => line.batch_start(number),
            Self::Rpc(node) => node.batch_start(number),
        }
    }

    /// Lets blocks flow: from genesis, or from a verified one, which comes first.
    pub(crate) fn start(&mut self, from: Option<Anchor>) -> Result<(), LineError> {
        match self {
            Self::Stream { line, assembler, .. } => match from {
                Some(anchor) => {
                    *assembler = Assembler::new().resumed();
                    line.start(Bookmark::Block(anchor.number), from)
                }
                None => line.start(Bookmark::Batch(0), None),
            },
            Self::Rpc(node) => {
                node.start(from);
                Ok(())
            }
        }
    }

    /// Hands over what flows, until no more is wanted.
    pub(crate) fn run(
        self,
        timing: &Timing,
        ended: &AtomicBool,
        send: &mut dyn FnMut(Part<Item>, usize) -> bool,
    ) -> Result<(), LineError> {
        match self {
            Self::Stream { line, address, assembler } => {
                Reader::new(*line, assembler, address, timing, ended).run(send)
            }
            Self::Rpc(node) => node.run(send, ended),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zk_replica_core::types::Totals;

    #[test]
    fn nothing_but_a_verified_block_speaks_for_a_main_node() {
        let head = Head {
            number: 7,
            hash: B256::repeat_byte(7),
            state_root: B256::ZERO,
            timestamp: 0,
            batch: 1,
            fork_id: 9,
            batch_closed: false,
            totals: Totals::default(),
        };
        let upstreams = Upstreams::new(vec![Upstream::Stream("127.0.0.1:1".to_owned())], Some(&head));
        let now = || {
            let state = upstreams.lock();
            (state.health[0].weight > 0.0, state.verified.back().copied())
        };
        upstreams.failed(WRONG);
        for step in [Step::Opened, Step::Known, Step::Updated, Step::Closed] {
            upstreams.took(&step);
            assert_eq!(now(), (true, Some((7, head.hash))), "{step:?}");
        }
        upstreams.verified(&Head { number: 8, ..head });
        assert_eq!(now(), (false, Some((8, head.hash))));
    }
}
