//! What happened lately, in order, each event with a number.

use super::{super::objects::LogObject, super::view::Found, LiveLimits, pool::Pool};
use crate::{
    rpc::{Error, view::View},
    store::StoreError,
    types::TransactionRecord,
};
use alloc::{collections::VecDeque, string::String, sync::Arc, vec::Vec};
use alloy_consensus::Header;
use alloy_primitives::{Address, B256};

/// Blocks that one update looks at.
const STEP: u64 = 64;

/// A block of the chain's end.
#[derive(Debug)]
pub(super) struct Recent {
    pub(super) hash: B256,
    pub(super) header: Header,
    pub(super) logs: Vec<LogObject>,
    /// Hash, sender and nonce of each transaction.
    pub(super) transactions: Vec<(B256, Address, u64)>,
}

impl Recent {
    fn of(found: &Found) -> Result<Self, Error> {
        let mut logs = Vec::new();
        found.all_logs(&mut logs)?;
        let transactions = found.senders()?;
        Ok(Self { hash: found.hash, header: found.record.header.clone(), logs, transactions })
    }

    /// Roughly, and rather too much.
    fn bytes(&self) -> usize {
        1024 + 96 * self.transactions.len() + self.logs.iter().map(LogObject::bytes).sum::<usize>()
    }
}

/// A transaction that was sent from here.
#[derive(Debug)]
pub(super) struct Sending {
    pub(super) hash: B256,
    pub(super) record: TransactionRecord,
}

#[derive(Clone, Debug)]
pub(super) enum Event {
    /// A block extends the chain.
    Added(Arc<Recent>),
    /// The chain's last block was rolled back.
    Removed(Arc<Recent>),
    /// A transaction that was sent from here was accepted by the main node.
    Sending(Arc<Sending>),
    /// Whether the chain is being caught up with has changed; how far it is, as JSON.
    Syncing(bool, Arc<str>),
}

/// A ring of events, and the end of the chain that they led to.
#[derive(Debug, Default)]
pub(super) struct Feed {
    events: VecDeque<Event>,
    /// Number of the first event that is kept.
    first: u64,
    event_bytes: usize,
    /// Without a gap; the last one is the head that was seen last.
    chain: VecDeque<Arc<Recent>>,
    chain_bytes: usize,
    /// The chain was looked at before it had a block: the first is news, too.
    from_nothing: bool,
    syncing: Option<bool>,
}

impl Feed {
    /// The number of the next event.
    pub(super) fn end(&self) -> u64 {
        self.first + self.events.len() as u64
    }

    /// The events from this number on; `None` when some of them are not kept any more.
    pub(super) fn since(&self, cursor: u64) -> Option<impl Iterator<Item = &Event>> {
        let skipped = usize::try_from(cursor.checked_sub(self.first)?).ok()?;
        Some(self.events.iter().skip(skipped))
    }

    pub(super) fn push(&mut self, event: Event, limits: &LiveLimits) {
        self.event_bytes += event.bytes();
        self.events.push_back(event);
        while self.events.len() > limits.events || self.event_bytes > limits.event_bytes {
            let Some(oldest) = self.events.pop_front() else { break };
            self.event_bytes -= oldest.bytes();
            self.first += 1;
        }
    }

    /// Goes to the store's head. True: there is more of the way.
    pub(super) fn update(
        &mut self,
        view: &View<'_>,
        limits: &LiveLimits,
        pool: &mut Pool,
    ) -> Result<bool, StoreError> {
        let Some(head) = view.head.as_ref() else {
            self.from_nothing = true;
            return Ok(false);
        };
        self.note_syncing(view, limits);
        if self.chain.back().is_some_and(|tip| tip.hash == head.hash) {
            return Ok(false);
        }
        let known = !self.chain.is_empty();
        let mut steps = 0;
        while let Some(tip) = self.chain.back() {
            let number = tip.header.number;
            if number <= head.number && view.stored(number)?.hash == tip.hash {
                break;
            }
            if steps == STEP {
                return Ok(true);
            }
            steps += 1;
            pool.removed(number);
            let Some(tip) = self.chain.pop_back() else { break };
            self.chain_bytes -= tip.bytes();
            self.push(Event::Removed(tip), limits);
        }
        let next = match self.chain.back() {
            Some(tip) => Some(tip.header.number + 1),
            None => self.from_nothing.then_some(view.status.first_block),
        };
        match next {
            Some(next) => {
                let to = head.number.min(next + STEP - 1);
                for number in next..=to {
                    let recent = Arc::new(recent(view, number)?);
                    if self.chain.back().is_some_and(|tip| tip.hash != recent.header.parent_hash) {
                        // The store is being rolled back meanwhile, and we shall be told when it was.
                        return Ok(false);
                    }
                    pool.added(&recent);
                    self.extend(Arc::clone(&recent), limits);
                    self.push(Event::Added(recent), limits);
                }
                Ok(to < head.number)
            }
            None => {
                if known {
                    // Nobody can be told what went and what came: who has read up to here must begin anew.
                    self.first = self.end() + 1;
                    self.events.clear();
                    self.event_bytes = 0;
                    // Nobody knows from where on: what is verified after all is refused when it is sent again.
                    pool.removed(0);
                }
                let begin = head.number.saturating_sub(STEP.min(limits.blocks as u64));
                let begin = begin.max(view.status.first_block);
                for number in begin..=head.number {
                    let recent = Arc::new(recent(view, number)?);
                    if self.chain.back().is_some_and(|tip| tip.hash != recent.header.parent_hash) {
                        return Ok(false);
                    }
                    pool.added(&recent);
                    self.extend(recent, limits);
                }
                // Behind a checkpoint that is the head there is nothing to look at yet.
                self.from_nothing = self.chain.is_empty();
                Ok(false)
            }
        }
    }

    /// Goes to where the view's head is, unless it is there already. What cannot be read at this moment is told later.
    pub(super) fn reach(&mut self, view: &View<'_>, limits: &LiveLimits, pool: &mut Pool) {
        let is_behind = |feed: &Self| match (&view.head, feed.chain.back()) {
            (Some(head), Some(tip)) => tip.header.number < head.number,
            (head, _) => head.is_some(),
        };
        while is_behind(self) && self.update(view, limits, pool).unwrap_or(false) {}
    }

    fn extend(&mut self, block: Arc<Recent>, limits: &LiveLimits) {
        self.from_nothing = false;
        self.chain_bytes += block.bytes();
        self.chain.push_back(block);
        // The tip stays, however large.
        while self.chain.len() > 1
            && (self.chain.len() > limits.blocks || self.chain_bytes > limits.event_bytes)
        {
            let Some(oldest) = self.chain.pop_front() else { break };
            self.chain_bytes -= oldest.bytes();
        }
    }

    fn note_syncing(&mut self, view: &View<'_>, limits: &LiveLimits) {
        let Ok(state) = view.syncing() else { return };
        let syncing = !state.is_done();
        if self.syncing.replace(syncing).is_some_and(|before| before != syncing) {
            let status: String = serde_json::to_string(&state).unwrap_or_default();
            self.push(Event::Syncing(syncing, status.into()), limits);
        }
    }
}

impl Event {
    fn bytes(&self) -> usize {
        match self {
            Self::Added(block) | Self::Removed(block) => block.bytes(),
            Self::Sending(sending) => 256 + sending.record.encoded.len(),
            Self::Syncing(_, status) => 64 + status.len(),
        }
    }
}

fn recent(view: &View<'_>, number: u64) -> Result<Recent, StoreError> {
    let key = crate::store::Key::Block(number);
    Recent::of(&view.stored(number)?)
        .map_err(|_| StoreError::Corrupt { key, reason: "a transaction of it is none" })
}
