//! Filters that callers poll (`spec/rpc.md` §6).

use super::{
    super::{Error, logs::Query, objects::LogObject, params::Params, reply::Outcome, room::Room, view::View},
    LiveLimits,
    feed::{Event, Feed},
};
use alloc::{borrow::Cow, boxed::Box, sync::Arc, vec::Vec};
use alloy_primitives::{B128, B256, map::HashMap};
use serde::Serialize;
use serde_json::value::RawValue;

/// What a filter looks for.
#[derive(Clone, Debug)]
pub(in crate::rpc) enum Kind {
    Logs(Arc<Query>),
    Blocks,
    Sent,
}

#[derive(Debug)]
struct Filter {
    kind: Kind,
    /// The first event that was not told.
    cursor: u64,
    /// How much of it was told.
    told: usize,
    /// When somebody asked last.
    used: u64,
}

#[derive(Debug, Default)]
pub(super) struct Filters {
    by_id: HashMap<B128, Filter>,
    bytes: usize,
}

impl Kind {
    /// About how many bytes it takes.
    fn bytes(&self) -> usize {
        match self {
            Self::Logs(query) => query.bytes(),
            Self::Blocks | Self::Sent => 0,
        }
    }
}

impl Filters {
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    fn insert(&mut self, id: B128, filter: Filter) {
        self.bytes += filter.kind.bytes();
        self.by_id.insert(id, filter);
    }

    fn remove(&mut self, id: B128) -> bool {
        let removed = self.by_id.remove(&id);
        self.bytes -= removed.as_ref().map_or(0, |filter| filter.kind.bytes());
        removed.is_some()
    }

    /// There is no room for another one of this kind.
    fn is_full(&self, kind: &Kind, limits: &LiveLimits) -> bool {
        self.len() >= limits.filters || self.bytes + kind.bytes() > limits.filter_bytes
    }

    pub(super) fn expire(&mut self, now: u64, idle: u64) {
        let Self { by_id, bytes } = self;
        by_id.retain(|_, filter| {
            let stays = now.saturating_sub(filter.used) < idle;
            *bytes -= if stays { 0 } else { filter.kind.bytes() };
            stays
        });
    }

    /// The filter, which is in use now.
    fn used(&mut self, id: B128, now: u64, idle: u64) -> Result<&mut Filter, Error> {
        let filter = self.by_id.get_mut(&id).filter(|filter| now.saturating_sub(filter.used) < idle);
        let filter = filter.ok_or_else(not_found)?;
        filter.used = now;
        Ok(filter)
    }
}

impl Filter {
    /// What came since the last poll: `most` items and as many as there is room for, and the rest the next time.
    ///
    /// # Errors
    ///
    /// "response too large" when there is no room for one item. It is told when there is.
    fn poll(&mut self, feed: &Feed, most: usize, mut room: Room) -> Result<Vec<Box<RawValue>>, Error> {
        let Self { kind, cursor, told, .. } = self;
        let mut items = Vec::new();
        room.brackets();
        for event in feed.since(*cursor).ok_or_else(not_found)? {
            for item in told_of(kind, event).skip(*told) {
                match if items.len() < most { room.try_write(&item)? } else { None } {
                    Some(item) => items.push(item),
                    None if items.is_empty() => return Err(Error::too_large()),
                    None => return Ok(items),
                }
                *told += 1;
            }
            *cursor += 1;
            *told = 0;
        }
        Ok(items)
    }
}

/// What a filter of this kind tells of an event.
fn told_of<'a>(kind: &'a Kind, event: &'a Event) -> Box<dyn Iterator<Item = Told<'a>> + 'a> {
    match (kind, event) {
        (Kind::Logs(query), Event::Added(block)) => {
            Box::new(query.select(&block.logs).map(|log| Told::Log(Cow::Borrowed(log))))
        }
        (Kind::Logs(query), Event::Removed(block)) => {
            Box::new(query.select(&block.logs).rev().map(|log| Told::Log(Cow::Owned(log.removed()))))
        }
        (Kind::Blocks, Event::Added(block)) => Box::new([Told::Hash(block.hash)].into_iter()),
        (Kind::Sent, Event::Sending(sending)) => Box::new([Told::Hash(sending.hash)].into_iter()),
        _ => Box::new(core::iter::empty()),
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum Told<'a> {
    Log(Cow<'a, LogObject>),
    Hash(B256),
}

fn not_found() -> Error {
    Error::server("filter not found")
}

impl View<'_> {
    pub(in crate::rpc) fn new_log_filter(&self, params: Params<'_>) -> Result<Outcome, Error> {
        self.new_filter(Kind::Logs(Arc::new(Query::of_filter(params)?)))
    }

    pub(in crate::rpc) fn new_filter(&self, kind: Kind) -> Result<Outcome, Error> {
        let (caller, id) = (self.caller()?, self.fresh_id()?);
        caller.live(|live| {
            if live.filters.is_full(&kind, &live.limits) {
                live.filters.expire(caller.now, live.limits.filter_idle);
            }
            if live.filters.is_full(&kind, &live.limits) {
                return Err(Error::new(Error::LIMIT, "too many filters"));
            }
            let filter = Filter { kind, cursor: live.next_event(self), told: 0, used: caller.now };
            live.filters.insert(id, filter);
            Outcome::of(&id)
        })?
    }

    pub(in crate::rpc) fn filter_changes(&self, params: Params<'_>) -> Result<Outcome, Error> {
        let (caller, id) = (self.caller()?, filter_id(params)?);
        let most = self.rpc.config.limits.log_results;
        let changes = caller.live(|live| {
            let filter = live.filters.used(id, caller.now, live.limits.filter_idle)?;
            filter.poll(&live.feed, most, self.room())
        })??;
        Outcome::of(&changes)
    }

    /// The filter, if there is one, tells of transactions that wait.
    pub(in crate::rpc) fn is_pool_filter(&self, params: Params<'_>) -> Result<bool, Error> {
        let (caller, id) = (self.caller()?, filter_id(params)?);
        caller.live(|live| {
            let filter = live.filters.used(id, caller.now, live.limits.filter_idle)?;
            Ok(matches!(filter.kind, Kind::Sent))
        })?
    }

    pub(in crate::rpc) fn filter_logs(&self, params: Params<'_>) -> Result<Outcome, Error> {
        let (caller, id) = (self.caller()?, filter_id(params)?);
        let kind = caller.live(|live| {
            let filter = live.filters.used(id, caller.now, live.limits.filter_idle)?;
            Ok::<_, Error>(filter.kind.clone())
        })??;
        match kind {
            Kind::Logs(query) => Outcome::of(&self.find_logs(&query)?),
            Kind::Blocks | Kind::Sent => Err(not_found()),
        }
    }

    pub(in crate::rpc) fn uninstall_filter(&self, params: Params<'_>) -> Result<Outcome, Error> {
        let (caller, id) = (self.caller()?, filter_id(params)?);
        let found = caller.live(|live| live.filters.remove(id))?;
        Outcome::of(&found)
    }
}

/// What is no id at all is the id of no filter.
fn filter_id(params: Params<'_>) -> Result<B128, Error> {
    params.text(0)?.parse().map_err(|_| not_found())
}
