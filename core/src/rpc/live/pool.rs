//! Transactions that were sent from here and are not verified yet (`spec/rpc.md` §7).

use super::{
    super::{
        Error,
        objects::{self, Members, TransactionObject},
        params::{Params, Selector, Tag},
        reply::Outcome,
        view::View,
    },
    Caller, LiveLimits,
    feed::{Recent, Sending},
};
use crate::{
    sort::sorted,
    types::{Transaction, TransactionRecord},
};
use alloc::{boxed::Box, collections::BTreeMap, format, string::String, sync::Arc, vec::Vec};
use alloy_primitives::{Address, B256, U64, U256};
use serde::Serialize;
use serde_json::value::RawValue;

/// Milliseconds after which a transaction without an answer is sent again; each time twice as many, up to the last.
const FIRST_DELAY: u64 = 5_000;
const LAST_DELAY: u64 = 5 * 60 * 1000;

/// Transactions that are sent again at once.
const AT_ONCE: usize = 64;

/// A transaction to send to the main node once more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resend {
    /// Its hash.
    pub hash: B256,
    /// The body of the request.
    pub request: String,
}

#[derive(Debug)]
struct Waiting {
    sending: Arc<Sending>,
    nonce: u64,
    received: u64,
    /// The main node has said once that it has it.
    accepted: bool,
    /// When it is sent again; `None` once the main node has it.
    due: Option<u64>,
    attempts: u32,
    /// The block whose verification made its nonce pass. It is kept nevertheless: that block may be rolled back.
    passed: Option<u64>,
}

/// Some thousands at most: whatever is looked for but by hash, all are looked at.
///
/// Anybody can make transactions that the main node will not take. So those that it has taken go last, and nobody is told
/// of others.
#[derive(Debug, Default)]
pub(super) struct Pool {
    by_hash: BTreeMap<B256, Waiting>,
    bytes: usize,
}

impl Waiting {
    fn sender(&self) -> Address {
        self.sending.record.sender
    }

    /// The order in which they go: those that were not accepted before those that were.
    fn age(&self) -> (bool, u64) {
        (self.accepted, self.received)
    }
}

impl Pool {
    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.by_hash.values().filter(|waiting| waiting.passed.is_none()).count()
    }

    /// Adds one that is about to be sent.
    fn insert(&mut self, sending: Arc<Sending>, nonce: u64, now: u64, limits: &LiveLimits) {
        let hash = sending.hash;
        if let Some(known) = self.by_hash.get_mut(&hash) {
            known.due = Some(now + FIRST_DELAY);
            known.attempts = 0;
            return;
        }
        self.bytes += sending.record.encoded.len();
        // Should the caller go away before the answer comes, it is sent again nevertheless.
        let due = Some(now + FIRST_DELAY);
        let waiting =
            Waiting { sending, nonce, received: now, accepted: false, due, attempts: 0, passed: None };
        self.by_hash.insert(hash, waiting);
        while self.by_hash.len() > limits.transactions || self.bytes > limits.transaction_bytes {
            let others = self.by_hash.iter().filter(|(other, _)| **other != hash);
            let oldest = others.min_by_key(|(_, waiting)| waiting.age()).map_or(hash, |(oldest, _)| *oldest);
            self.remove(oldest);
        }
    }

    /// One that waits.
    fn get(&self, hash: B256) -> Option<&Waiting> {
        self.by_hash.get(&hash).filter(|waiting| waiting.passed.is_none())
    }

    pub(super) fn remove(&mut self, hash: B256) {
        if let Some(waiting) = self.by_hash.remove(&hash) {
            self.bytes -= waiting.sending.record.encoded.len();
        }
    }

    /// The main node has it. The first time this gives what is to be told.
    pub(super) fn accepted(&mut self, hash: B256) -> Option<Arc<Sending>> {
        let waiting = self.by_hash.get_mut(&hash)?;
        waiting.due = None;
        if core::mem::replace(&mut waiting.accepted, true) {
            return None;
        }
        Some(Arc::clone(&waiting.sending))
    }

    /// Nobody knows whether it has arrived.
    pub(super) fn unknown(&mut self, hash: B256, now: u64) {
        if let Some(waiting) = self.by_hash.get_mut(&hash) {
            waiting.due = Some(now + delay(waiting.attempts));
        }
    }

    pub(super) fn expire(&mut self, now: u64, life: u64) {
        let Self { by_hash, bytes } = self;
        by_hash.retain(|_, waiting| {
            let stays = now.saturating_sub(waiting.received) < life;
            *bytes -= if stays { 0 } else { waiting.sending.record.encoded.len() };
            stays
        });
    }

    pub(super) fn resend(&mut self, now: u64) -> Vec<Resend> {
        let due = self
            .by_hash
            .iter_mut()
            .filter(|(_, waiting)| waiting.passed.is_none() && waiting.due.is_some_and(|due| due <= now));
        let again = |(hash, waiting): (&B256, &mut Waiting)| {
            waiting.attempts = waiting.attempts.saturating_add(1);
            waiting.due = Some(now + delay(waiting.attempts));
            let raw = &waiting.sending.record.encoded;
            let request =
                format!(r#"{{"jsonrpc":"2.0","id":1,"method":"eth_sendRawTransaction","params":["{raw}"]}}"#);
            Resend { hash: *hash, request }
        };
        due.take(AT_ONCE).map(again).collect()
    }

    /// A block was verified: the nonces of its transactions have passed, and all below them.
    pub(super) fn added(&mut self, block: &Recent) {
        if self.by_hash.is_empty() {
            return;
        }
        let mut last = BTreeMap::<Address, u64>::new();
        for (_, sender, nonce) in &block.transactions {
            let last = last.entry(*sender).or_default();
            *last = (*last).max(*nonce);
        }
        for waiting in self.by_hash.values_mut() {
            if last.get(&waiting.sender()).is_some_and(|last| waiting.nonce <= *last) {
                waiting.passed.get_or_insert(block.header.number);
            }
        }
    }

    /// A block was rolled back: what had passed with it waits again, and is sent again.
    pub(super) fn removed(&mut self, number: u64) {
        for waiting in self.by_hash.values_mut() {
            if waiting.passed.is_some_and(|passed| passed >= number) {
                waiting.passed = None;
                waiting.due = Some(0);
                waiting.attempts = 0;
            }
        }
    }

    /// The first nonce from `verified` on that no transaction of the account has.
    fn next_nonce(&self, sender: Address, verified: u64) -> u64 {
        let mut next = verified;
        for (_, nonce, _) in self.waiting(Some(sender)) {
            if nonce == next {
                next = nonce.saturating_add(1);
            }
        }
        next
    }

    /// Those that wait, of all senders or of one, by sender and nonce.
    fn waiting(&self, from: Option<Address>) -> Vec<(Address, u64, B256)> {
        let waiting = self.by_hash.iter().filter(|(_, waiting)| waiting.passed.is_none());
        let found = waiting.filter(|(_, waiting)| from.is_none_or(|from| from == waiting.sender()));
        sorted(found.map(|(hash, waiting)| (waiting.sender(), waiting.nonce, *hash)).collect())
    }
}

fn delay(attempts: u32) -> u64 {
    FIRST_DELAY.saturating_mul(1_u64.checked_shl(attempts).unwrap_or(u64::MAX)).min(LAST_DELAY)
}

/// Transactions that wait, by sender and nonce.
#[derive(Serialize)]
pub(in crate::rpc) struct Content<T> {
    /// The main node could take them into a block now.
    pending: T,
    /// Some nonce before them is missing.
    queued: T,
}

type BySender = Members<Address, ByNonce>;
type ByNonce = Members<u64, Box<RawValue>>;

impl Caller<'_> {
    /// Remembers a transaction that is about to be sent.
    pub(in crate::rpc) fn sending(&self, transaction: &Transaction) -> Result<(), Error> {
        let record = TransactionRecord {
            encoded: transaction.encoded().clone(),
            sender: transaction.sender(),
            effective_percentage: transaction.effective_percentage(),
        };
        let sending = Arc::new(Sending { hash: transaction.hash(), record });
        let nonce = transaction.fields().nonce;
        self.live(|live| {
            live.pool.insert(sending, nonce, self.now, &live.limits);
        })
    }

    /// A transaction that waits.
    pub(in crate::rpc) fn waiting(&self, hash: B256) -> Result<Option<TransactionObject>, Error> {
        let found = self.live(|live| live.pool.get(hash).map(|waiting| Arc::clone(&waiting.sending)))?;
        found.map(|sending| objects::pending_object(&sending.record)).transpose()
    }

    /// The nonce that the account's next transaction must have, given that of its verified state.
    pub(in crate::rpc) fn next_nonce(&self, sender: Address, verified: u64) -> Result<u64, Error> {
        self.live(|live| live.pool.next_nonce(sender, verified))
    }
}

impl View<'_> {
    pub(in crate::rpc) fn txpool_content(&self) -> Result<Outcome, Error> {
        Outcome::of(&self.pool_content(None, objects::pending_object)?)
    }

    pub(in crate::rpc) fn txpool_inspect(&self) -> Result<Outcome, Error> {
        Outcome::of(&self.pool_content(None, objects::pending_summary)?)
    }

    pub(in crate::rpc) fn txpool_content_from(&self, params: Params<'_>) -> Result<Outcome, Error> {
        let address = params.address(0)?;
        let Content { pending, queued } = self.pool_content(Some(address), objects::pending_object)?;
        let of_sender = |mut side: BySender| side.0.pop().map(|(_, of)| of).unwrap_or_default();
        Outcome::of(&Content { pending: of_sender(pending), queued: of_sender(queued) })
    }

    pub(in crate::rpc) fn txpool_status(&self) -> Result<Outcome, Error> {
        let Content { pending, queued } = self.pool_content(None, |_| Ok(()))?;
        let count = |of: BySender| U64::from(of.0.iter().map(|(_, of)| of.0.len()).sum::<usize>());
        Outcome::of(&Content { pending: count(pending), queued: count(queued) })
    }

    /// What waits, of all senders or of one: pending as far as nonces follow on the verified state without a gap.
    fn pool_content<T: Serialize>(
        &self,
        from: Option<Address>,
        show: impl Fn(&TransactionRecord) -> Result<T, Error>,
    ) -> Result<Content<BySender>, Error> {
        let waiting = self.caller()?.live(|live| {
            let found = live.pool.waiting(from).into_iter().filter_map(|(sender, nonce, hash)| {
                live.pool.get(hash).map(|waiting| (sender, nonce, Arc::clone(&waiting.sending)))
            });
            found.collect::<Vec<_>>()
        })?;
        let latest = self.state_block(Selector::Tag(Tag::Latest))?;
        let mut content = Content { pending: BySender::default(), queued: BySender::default() };
        let (mut of, mut next, mut room) = (None, U256::ZERO, self.room());
        for (sender, nonce, sending) in waiting {
            if of != Some(sender) {
                of = Some(sender);
                next = self.with_state(&latest, |state| state.nonce(sender))?;
            }
            let nonce_word = U256::from(nonce);
            let follows = nonce_word <= next;
            if nonce_word == next {
                next += U256::from(1);
            }
            let side = if follows { &mut content.pending } else { &mut content.queued };
            let shown = room.write(&show(&sending.record)?)?;
            if side.0.last().is_none_or(|(last, _)| *last != sender) {
                side.0.push((sender, ByNonce::default()));
            }
            // Of two with one nonce the sequencer takes one.
            if let Some((_, of_sender)) = side.0.last_mut() {
                of_sender.0.pop_if(|(last, _)| *last == nonce);
                of_sender.0.push((nonce, shown));
            }
        }
        Ok(content)
    }
}
