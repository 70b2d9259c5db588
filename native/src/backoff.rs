//! How long to wait before the next attempt.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::Duration;

/// Waits that double, each shortened by up to a half at random, so that many replicas do not come back in step.
#[derive(Debug)]
pub(crate) struct Backoff {
    first: Duration,
    /// A main node that is back is found again within this time.
    longest: Duration,
    next: Duration,
}

impl Backoff {
    /// Nothing has failed yet.
    pub(crate) fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, next: first }
    }

    /// Something has been achieved since the last failure.
    pub(crate) fn reset(&mut self) {
        self.next = self.first;
    }

    /// How long to wait this time.
    pub(crate) fn wait(&mut self) -> Duration {
        let most = self.next;
        self.next = (most * 2).min(self.longest);
        most.mul_f64(0.5 + random() / 2.0)
    }
}

/// From 0 to 1. The standard library's hash maps have keys that differ each time; that is random enough for a wait.
fn random() -> f64 {
    f64::from(u16::try_from(RandomState::new().build_hasher().finish() >> 48).unwrap_or_default())
        / f64::from(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_millis(1500);

    #[test]
    fn waits_grow_to_a_limit_and_begin_again_after_success() {
        let mut backoff = Backoff::new(FIRST, LONGEST);
        for round in 0..20 {
            let most = (FIRST * 2_u32.pow(round.min(10))).min(LONGEST);
            let wait = backoff.wait();
            assert!(wait >= most / 2 && wait <= most, "{round}: {wait:?}");
        }
        backoff.reset();
        assert!(backoff.wait() <= FIRST);
    }

    #[test]
    fn waits_differ() {
        let waits: Vec<_> = (0..20).map(|_| Backoff::new(FIRST, LONGEST).wait()).collect();
        assert!(waits.iter().any(|wait| *wait != waits[0]));
    }
}
