//! Filters that callers poll (`spec/rpc.md` §6).

use super::{
    super::{Error, logs::Query, objects::LogObject, params::Params, reply::Outcome, view::View},
    feed::{Event, Feed},
};
use alloc::{collections::BTreeMap, sync::Arc, vec::Vec};
use alloy_primitives::{B128, B256};
use serde::Serialize;

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
    /// When somebody asked last.
    used: u64,
}

#[derive(Debug, Default)]
pub(super) struct Filters(BTreeMap<B128, Filter>);

/// What a poll gives.
#[derive(Serialize)]
#[serde(untagged)]
enum Changes {
    Logs(Vec<LogObject>),
    Hashes(Vec<B256>),
}

impl Filters {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn expire(&mut self, now: u64, idle: u64) {
        self.0.retain(|_, filter| now.saturating_sub(filter.used) < idle);
    }

    /// The filter, which is in use now.
    fn used(&mut self, id: B128, now: u64, idle: u64) -> Result<&mut Filter, Error> {
        let filter = self.0.get_mut(&id).filter(|filter| now.saturating_sub(filter.used) < idle);
        let filter = filter.ok_or_else(not_found)?;
        filter.used = now;
        Ok(filter)
    }
}

impl Filter {
    /// What came since the last poll: a little more than `most` at the most, and the rest the next time.
    fn poll(&mut self, feed: &Feed, most: usize) -> Result<Changes, Error> {
        let events = feed.since(self.cursor).ok_or_else(not_found)?;
        Ok(match &self.kind {
            Kind::Logs(query) => {
                let mut logs = Vec::new();
                for event in events {
                    if logs.len() >= most {
                        break;
                    }
                    match event {
                        Event::Added(block) => logs.extend(query.select(&block.logs).cloned()),
                        Event::Removed(block) => {
                            logs.extend(query.select(&block.logs).rev().map(LogObject::removed));
                        }
                        _ => {}
                    }
                    self.cursor += 1;
                }
                Changes::Logs(logs)
            }
            kind => {
                let mut hashes = Vec::new();
                for event in events.take(most) {
                    match (event, kind) {
                        (Event::Added(block), Kind::Blocks) => hashes.push(block.hash),
                        (Event::Sending(sending), Kind::Sent) => hashes.push(sending.hash),
                        _ => {}
                    }
                    self.cursor += 1;
                }
                Changes::Hashes(hashes)
            }
        })
    }
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
            if live.filters.len() >= live.limits.filters {
                live.filters.expire(caller.now, live.limits.filter_idle);
            }
            if live.filters.len() >= live.limits.filters {
                return Err(Error::new(Error::LIMIT, "too many filters"));
            }
            let filter = Filter { kind, cursor: live.feed.end(), used: caller.now };
            live.filters.0.insert(id, filter);
            Outcome::of(&id)
        })?
    }

    pub(in crate::rpc) fn filter_changes(&self, params: Params<'_>) -> Result<Outcome, Error> {
        let (caller, id) = (self.caller()?, filter_id(params)?);
        let most = self.rpc.config.limits.log_results;
        let changes = caller.live(|live| {
            let filter = live.filters.used(id, caller.now, live.limits.filter_idle)?;
            filter.poll(&live.feed, most)
        })??;
        Outcome::of(&changes)
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
        let found = caller.live(|live| live.filters.0.remove(&id).is_some())?;
        Outcome::of(&found)
    }
}

/// What is no id at all is the id of no filter.
fn filter_id(params: Params<'_>) -> Result<B128, Error> {
    params.text(0)?.parse().map_err(|_| not_found())
}
