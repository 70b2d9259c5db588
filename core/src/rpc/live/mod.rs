//! What outlives a request: filters, subscriptions, and the transactions that were sent from here (`spec/rpc.md` §6, §7).
//!
//! [`Live`] is one for a process, [`Subscriptions`] one for a connection that can push. Both are plain values without
//! locks, clock or randomness: the host gives a [`Caller`] with each request, which says what time it is, brings bytes
//! that nobody can guess, and leads to both values through [`Shared`].
//!
//! The host tells [`Rpc::update`] at the start and whenever the store's head has changed. From then on [`Subscriptions::poll`] gives the
//! connection's notifications, until it gives none. A slow connection costs no memory: it only reads later, and when it
//! has fallen behind all that is kept it is [`Lagged`], and should be closed.
//!
//! # Bounds
//!
//! Events (blocks that came and went, transactions that the main node took) are kept in a ring: at most
//! [`LiveLimits::events`], and [`LiveLimits::event_bytes`] of them. Of the chain the last [`LiveLimits::blocks`] are known, so that a
//! roll-back can say which logs went with it. After a deeper one every filter and subscription of before is lost.
//!
//! # Example
//!
//! ```
//! use core::cell::RefCell;
//! use zk_replica_core::{
//!     chain::ChainSpec,
//!     rpc::{Caller, Config, Live, LiveLimits, Reply, Rpc, Status, Subscriptions},
//!     store::Memory,
//! };
//!
//! let rpc = Rpc::new(ChainSpec::from_json(br#"{ "chainId": 779 }"#)?, Config::default());
//! let (status, store) = (Status::default(), Memory::new());
//! // A host with threads keeps these behind locks.
//! let live = RefCell::new(Live::new(LiveLimits::default()));
//! let subscriptions = RefCell::new(Subscriptions::default());
//!
//! let seed = [7; 32].into(); // Random, and another one for each body.
//! let caller = Caller { now: 0, seed, live: &live, subscriptions: Some(&subscriptions) };
//! let request = br#"{"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["newHeads"]}"#;
//! let Reply::Answer(answer) = rpc.serve(request, &status, &store, &caller, &|| false) else { unreachable!() };
//! assert!(answer.contains("\"result\":\"0x"));
//! // The answer is sent here. Before that the subscription gives nothing.
//! subscriptions.borrow_mut().replied(seed);
//!
//! // A block was verified.
//! while rpc.update(&mut live.borrow_mut(), &status, &store)? {}
//! let notifications = subscriptions.borrow_mut().poll(&live.borrow())?;
//! assert!(notifications.is_empty(), "there was none");
//!
//! // Now and then:
//! for resend in live.borrow_mut().resend(60_000) {
//!     let answer = None; // The main node's answer to `resend.request`, if one arrived.
//!     live.borrow_mut().answered(resend.hash, answer, 60_000);
//! }
//! live.borrow_mut().expire(60_000);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod feed;
mod filters;
mod pool;
mod subscriptions;
#[cfg(test)]
mod tests;

pub(super) use filters::Kind;
pub use pool::Resend;
pub use subscriptions::{Lagged, Subscriptions};

use super::{Error, Rpc, Status, reply::Sent, view::View};
use crate::store::{Store, StoreError};
use alloc::vec::Vec;
use alloy_primitives::{B128, B256, keccak256};
use core::{cell::RefCell, fmt};
use feed::{Event, Feed};
use filters::Filters;
use pool::Pool;

/// A value that several requests may want at once.
pub trait Shared<T> {
    /// Calls `look` once, with nobody else at the value. It neither waits nor calls this again.
    fn with(&self, look: &mut dyn FnMut(&mut T));
}

impl<T> Shared<T> for RefCell<T> {
    fn with(&self, look: &mut dyn FnMut(&mut T)) {
        look(&mut self.borrow_mut());
    }
}

/// Who asks, and when.
#[derive(Clone, Copy)]
pub struct Caller<'a> {
    /// Milliseconds of a clock that never goes back.
    pub now: u64,
    /// Bytes that nobody can guess, other ones for each body: what ids of filters and subscriptions are made of.
    pub seed: B256,
    /// What the process remembers.
    pub live: &'a dyn Shared<Live>,
    /// What the connection is told of; `None` when nothing can be pushed there (HTTP).
    pub subscriptions: Option<&'a dyn Shared<Subscriptions>>,
}

impl fmt::Debug for Caller<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller").field("now", &self.now).finish_non_exhaustive()
    }
}

impl Caller<'_> {
    /// Another id for each `count` of a body.
    pub(super) fn id(&self, count: u64) -> B128 {
        let hash = keccak256([self.seed.as_slice(), &count.to_be_bytes()].concat());
        B128::from_slice(&hash[..16])
    }

    pub(super) fn live<R>(&self, look: impl FnOnce(&mut Live) -> R) -> Result<R, Error> {
        with(self.live, look)
    }
}

/// What `look` returns; an internal error when the host did not let it look.
fn with<T, R>(shared: &dyn Shared<T>, look: impl FnOnce(&mut T) -> R) -> Result<R, Error> {
    let (mut look, mut found) = (Some(look), None);
    shared.with(&mut |value| {
        if let Some(look) = look.take() {
            found = Some(look(value));
        }
    });
    found.ok_or_else(Error::internal)
}

/// How much may be remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveLimits {
    /// Filters of all callers together.
    pub filters: usize,
    /// Bytes of what those look for.
    pub filter_bytes: usize,
    /// Milliseconds after which a filter that nobody asks goes.
    pub filter_idle: u64,
    /// Events for filters and subscriptions.
    pub events: usize,
    /// Bytes, estimated, of the blocks among the events, and of the chain's last blocks.
    pub event_bytes: usize,
    /// The chain's last blocks that a roll-back can still name.
    pub blocks: usize,
    /// Transactions that were sent from here and are not verified yet.
    pub transactions: usize,
    /// Bytes of those.
    pub transaction_bytes: usize,
    /// Milliseconds after which such a transaction is forgotten.
    pub transaction_life: u64,
}

impl Default for LiveLimits {
    fn default() -> Self {
        Self {
            filters: 10_000,
            filter_bytes: 32 << 20,
            filter_idle: 5 * 60 * 1000,
            events: 8192,
            event_bytes: 32 << 20,
            blocks: 1024,
            transactions: 4096,
            transaction_bytes: 32 << 20,
            transaction_life: 60 * 60 * 1000,
        }
    }
}

/// What a process remembers between requests.
#[derive(Debug)]
pub struct Live {
    limits: LiveLimits,
    feed: Feed,
    filters: Filters,
    pool: Pool,
}

impl Live {
    /// Remembers nothing yet.
    pub fn new(limits: LiveLimits) -> Self {
        Self { limits, feed: Feed::default(), filters: Filters::default(), pool: Pool::default() }
    }

    /// Lets go what has been idle for too long. Call it every few seconds; between calls an expired filter is as good as
    /// gone already.
    pub fn expire(&mut self, now: u64) {
        self.filters.expire(now, self.limits.filter_idle);
        self.pool.expire(now, self.limits.transaction_life);
    }

    /// Transactions of which nobody knows whether they have reached the main node, as requests to send to it now. Each is
    /// given again after a while that doubles, unless [`Live::answered`] says otherwise.
    pub fn resend(&mut self, now: u64) -> Vec<Resend> {
        self.pool.resend(now)
    }

    /// What the main node answered to [`Resend::request`]; `None` when nothing arrived.
    pub fn answered(&mut self, transaction: B256, answer: Option<&[u8]>, now: u64) {
        match Sent::read(transaction, answer) {
            Sent::Accepted => {
                if let Some(sending) = self.pool.accepted(transaction) {
                    self.feed.push(Event::Sending(sending), &self.limits);
                }
            }
            Sent::Refused => self.pool.remove(transaction),
            Sent::Unknown => self.pool.unknown(transaction, now),
        }
    }

    /// Transactions that wait to be verified.
    pub fn waiting(&self) -> usize {
        self.pool.len()
    }

    /// The first event that is news to a caller of this view: blocks that it can see already are none.
    fn next_event(&mut self, view: &View<'_>) -> u64 {
        let Self { limits, feed, pool, .. } = self;
        feed.reach(view, limits, pool);
        feed.end()
    }

    /// Filters that exist.
    pub fn filters(&self) -> usize {
        self.filters.len()
    }
}

impl Rpc {
    /// Tells `live` that the head or the status may have changed. It looks at a bounded number of blocks; true says that
    /// there are more, so call it again.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when a block cannot be read, as while another thread rolls back: call it again when the head has
    /// changed.
    pub fn update(&self, live: &mut Live, status: &Status, store: &dyn Store) -> Result<bool, StoreError> {
        let view = View::new(self, status, store, None, &|| false)?;
        let Live { limits, feed, pool, .. } = live;
        feed.update(&view, limits, pool)
    }
}
