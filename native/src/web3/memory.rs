//! What outlives a request, behind locks: the core's [`Live`] and [`Subscriptions`] with a clock and random numbers.

use alloy_primitives::{B256, keccak256};
use std::fs::File;
use std::io::{self, Read as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tokio::sync::watch;
use zk_replica_core::rpc::{Caller, Lagged, Live, LiveLimits, Resend, Shared, Subscriptions};

/// What the process remembers.
#[derive(Debug)]
pub(super) struct Memory {
    live: Locked<Live>,
    changed: watch::Sender<()>,
    started: Instant,
    /// Unknown to everybody else: what is made of it cannot be guessed.
    secret: B256,
    count: AtomicU64,
}

/// The subscriptions of one connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Session(Arc<Locked<Subscriptions>>);

#[derive(Debug, Default)]
struct Locked<T>(Mutex<T>);

impl<T> Shared<T> for Locked<T> {
    fn with(&self, look: &mut dyn FnMut(&mut T)) {
        // A panic leaves values that are whole: none of their methods calls what is not theirs.
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Session {
    /// The reply to this request is on its way.
    pub(super) fn replied(&self, seed: B256) {
        self.0.with(&mut |subscriptions| subscriptions.replied(seed));
    }
}

impl Memory {
    /// Remembers nothing yet.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            live: Locked(Mutex::new(Live::new(LiveLimits::default()))),
            changed: watch::Sender::new(()),
            started: Instant::now(),
            secret: secret()?,
            count: AtomicU64::new(0),
        })
    }

    /// For a request of its own.
    pub(super) fn seed(&self) -> B256 {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        keccak256([self.secret.as_slice(), &count.to_be_bytes()].concat())
    }

    /// Who asks, as the core wants to know it.
    pub(super) fn caller<'a>(&'a self, seed: B256, session: Option<&'a Session>) -> Caller<'a> {
        let subscriptions = session.map(|session| &*session.0 as &dyn Shared<Subscriptions>);
        Caller { now: self.now(), seed, live: &self.live, subscriptions }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Something may have to be told.
    pub(super) fn announce(&self) {
        self.changed.send_replace(());
    }

    /// To hear of it.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// What a connection is to be told next; nothing when it knows all.
    pub(super) fn tell(&self, session: &Session) -> Result<Vec<String>, Lagged> {
        let mut told = Ok(Vec::new());
        session.0.with(&mut |subscriptions| {
            if !subscriptions.is_empty() {
                self.live.with(&mut |live| told = subscriptions.poll(live));
            }
        });
        told
    }

    /// Looks at what is remembered, with nobody else there.
    pub(super) fn with_live<R>(&self, look: impl FnOnce(&mut Live) -> R) -> R {
        look(&mut self.live.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Forgets what has expired. Gives what is to be sent again, if it can be sent, and how many filters there are and
    /// transactions wait.
    pub(super) fn tidy(&self, can_send: bool) -> (Vec<Resend>, usize, usize) {
        let now = self.now();
        self.with_live(|live| {
            live.expire(now);
            let resends = if can_send { live.resend(now) } else { Vec::new() };
            (resends, live.filters(), live.waiting())
        })
    }

    /// What the main node said to a transaction that was sent again.
    pub(super) fn answered(&self, resend: &Resend, answer: Option<&[u8]>) {
        let now = self.now();
        self.with_live(|live| live.answered(resend.hash, answer, now));
    }
}

/// Random bytes of the operating system.
fn secret() -> io::Result<B256> {
    let mut secret = B256::ZERO;
    File::open("/dev/urandom")?.read_exact(secret.as_mut_slice())?;
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_differ_within_a_process_and_between_processes() {
        let (one, other) = (Memory::new().unwrap(), Memory::new().unwrap());
        let seeds = [one.seed(), one.seed(), other.seed(), other.seed()];
        for (position, seed) in seeds.iter().enumerate() {
            assert!(!seeds[..position].contains(seed));
        }
    }
}
