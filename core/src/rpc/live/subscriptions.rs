//! What a connection is told without asking again (`spec/rpc.md` §6).

use super::{
    super::{
        Error,
        logs::Query,
        objects::{self, HeaderObject, LogObject},
        params::Params,
        reply::Outcome,
        view::View,
    },
    Live,
    feed::Event,
    with,
};
use alloc::{format, string::String, vec::Vec};
use alloy_primitives::{B128, B256};
use serde::Serialize;

/// Subscriptions of a connection.
const MOST: usize = 100;

/// Bytes of what the subscriptions of a connection look for.
const MOST_BYTES: usize = 1 << 20;

/// Notifications that one poll gives.
const AT_ONCE: usize = 256;

/// Bytes of notifications after which a poll stops.
const BYTES_AT_ONCE: usize = 1 << 20;

/// The subscriptions of one connection. They end with it.
#[derive(Debug, Default)]
pub struct Subscriptions(Vec<(B128, Subscription)>);

/// A subscription missed events that are not kept any more: close the connection (code 1013), so that the client notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection has fallen too far behind")]
pub struct Lagged;

#[derive(Debug)]
struct Subscription {
    kind: Kind,
    /// The next event.
    cursor: u64,
    /// How much of it was told.
    told: usize,
    /// The seed of the request whose reply has not been sent yet.
    replying: Option<B256>,
}

#[derive(Debug)]
enum Kind {
    Heads,
    Logs(Query),
    /// With all fields, or the hash alone.
    Sent {
        full: bool,
    },
    Syncing,
}

impl Kind {
    /// About how many bytes it takes.
    fn bytes(&self) -> usize {
        match self {
            Self::Logs(query) => query.bytes(),
            Self::Heads | Self::Sent { .. } | Self::Syncing => 0,
        }
    }
}

impl Subscriptions {
    /// There is no room for another one of this kind.
    fn is_full(&self, kind: &Kind) -> bool {
        let bytes: usize = self.0.iter().map(|(_, subscription)| subscription.kind.bytes()).sum();
        self.0.len() >= MOST || bytes + kind.bytes() > MOST_BYTES
    }

    /// The reply to the request with this [`seed`](super::Caller::seed) was sent, and its subscriptions begin.
    pub fn replied(&mut self, seed: B256) {
        for (_, subscription) in self.0.iter_mut().filter(|(_, one)| one.replying == Some(seed)) {
            subscription.replying = None;
        }
    }

    /// The next notifications, each a message of its own; none when all was told. There is a bound on what one call gives:
    /// send it, and ask again.
    ///
    /// # Errors
    ///
    /// [`Lagged`] when something was missed.
    pub fn poll(&mut self, live: &Live) -> Result<Vec<String>, Lagged> {
        let mut out = Notifications::default();
        for (id, subscription) in &mut self.0 {
            if subscription.replying.is_some() {
                continue;
            }
            for event in live.feed.since(subscription.cursor).ok_or(Lagged)? {
                if out.is_full() {
                    return Ok(out.texts);
                }
                if !subscription.tell(id, event, &mut out) {
                    break;
                }
                subscription.cursor += 1;
                subscription.told = 0;
            }
        }
        Ok(out.texts)
    }

    /// There is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[derive(Default)]
struct Notifications {
    texts: Vec<String>,
    bytes: usize,
}

impl Notifications {
    fn is_full(&self) -> bool {
        self.texts.len() >= AT_ONCE || self.bytes >= BYTES_AT_ONCE
    }

    fn push(&mut self, id: &B128, result: &impl Serialize) {
        // Nothing that is told can fail to be written.
        let Ok(result) = serde_json::to_string(result) else { return };
        let text = format!(
            r#"{{"jsonrpc":"2.0","method":"eth_subscription","params":{{"subscription":"{id}","result":{result}}}}}"#
        );
        self.bytes += text.len();
        self.texts.push(text);
    }
}

impl Subscription {
    /// True when all of the event was told.
    fn tell(&mut self, id: &B128, event: &Event, out: &mut Notifications) -> bool {
        match (&self.kind, event) {
            (Kind::Heads, Event::Added(block)) => {
                out.push(id, &HeaderObject::of(&block.header, block.hash));
                true
            }
            (Kind::Logs(query), Event::Added(block)) => {
                self.told += tell_logs(query.select(&block.logs).skip(self.told).cloned(), id, out);
                !out.is_full() || query.select(&block.logs).count() == self.told
            }
            (Kind::Logs(query), Event::Removed(block)) => {
                let logs = query.select(&block.logs).rev().skip(self.told).map(LogObject::removed);
                self.told += tell_logs(logs, id, out);
                !out.is_full() || query.select(&block.logs).count() == self.told
            }
            (Kind::Sent { full: false }, Event::Sending(sending)) => {
                out.push(id, &sending.hash);
                true
            }
            (Kind::Sent { full: true }, Event::Sending(sending)) => {
                if let Ok(object) = objects::pending_object(&sending.record) {
                    out.push(id, &object);
                }
                true
            }
            (Kind::Syncing, Event::Syncing(syncing, status)) => {
                let status = serde_json::value::RawValue::from_string(String::from(&**status)).ok();
                out.push(id, &SyncingObject { syncing: *syncing, status: status.filter(|_| *syncing) });
                true
            }
            _ => true,
        }
    }
}

/// How many were told before there was no more room.
fn tell_logs(logs: impl Iterator<Item = LogObject>, id: &B128, out: &mut Notifications) -> usize {
    let mut told = 0;
    for log in logs {
        if out.is_full() {
            break;
        }
        out.push(id, &log);
        told += 1;
    }
    told
}

#[derive(Serialize)]
struct SyncingObject {
    syncing: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<alloc::boxed::Box<serde_json::value::RawValue>>,
}

impl View<'_> {
    pub(in crate::rpc) fn subscribe(&self, params: Params<'_>) -> Result<Outcome, Error> {
        let (caller, subscriptions) = self.pushes()?;
        let kind = match params.text(0)? {
            "newHeads" => Kind::Heads,
            "logs" => Kind::Logs(Query::of_subscription(params)?),
            "newPendingTransactions" => Kind::Sent { full: params.flag(1)? },
            "syncing" => Kind::Syncing,
            other => {
                let reason = format!("no {other:?} subscription in eth namespace");
                return Err(Error::new(Error::METHOD_NOT_FOUND, reason));
            }
        };
        let id = self.fresh_id()?;
        let cursor = caller.live(|live| live.next_event(self))?;
        let subscription = Subscription { kind, cursor, told: 0, replying: Some(caller.seed) };
        with(subscriptions, |subscriptions| {
            if subscriptions.is_full(&subscription.kind) {
                return Err(Error::new(Error::LIMIT, "too many subscriptions"));
            }
            subscriptions.0.push((id, subscription));
            Outcome::of(&id)
        })?
    }

    pub(in crate::rpc) fn unsubscribe(&self, params: Params<'_>) -> Result<Outcome, Error> {
        let (_, subscriptions) = self.pushes()?;
        let id: Option<B128> = params.text(0)?.parse().ok();
        let found = with(subscriptions, |subscriptions| {
            let before = subscriptions.0.len();
            subscriptions.0.retain(|(other, _)| Some(*other) != id);
            subscriptions.0.len() < before
        })?;
        match found {
            true => Outcome::of(&true),
            false => Err(Error::server("subscription not found")),
        }
    }
}
