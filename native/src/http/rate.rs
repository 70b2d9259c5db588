//! How many requests an address may send.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Addresses that are remembered. When there are more, those that have been silent are forgotten.
const ADDRESSES: usize = 10_000;

/// A bucket of tokens for each address: it holds those of one second, and fills all the time.
#[derive(Debug)]
pub(super) struct Rate {
    per_second: f64,
    buckets: Mutex<HashMap<IpAddr, Bucket>>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    filled: Instant,
}

impl Rate {
    pub(super) fn new(per_second: NonZeroU32) -> Self {
        Self { per_second: f64::from(per_second.get()), buckets: Mutex::default() }
    }

    /// One more request at this time; `false` when it is too many.
    pub(super) fn admits(&self, address: IpAddr, now: Instant) -> bool {
        let most = self.per_second;
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= ADDRESSES && !buckets.contains_key(&address) {
            // A bucket is full after a second, and then as good as none.
            buckets.retain(|_, bucket| now.duration_since(bucket.filled).as_secs() < 1);
            if buckets.len() >= ADDRESSES {
                return false;
            }
        }
        let bucket = buckets.entry(address).or_insert(Bucket { tokens: most, filled: now });
        let since = now.saturating_duration_since(bucket.filled).as_secs_f64();
        bucket.tokens = (bucket.tokens + since * most).min(most);
        bucket.filled = now;
        let admitted = bucket.tokens >= 1.0;
        if admitted {
            bucket.tokens -= 1.0;
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use std::time::Duration;

    fn address(number: u32) -> IpAddr {
        Ipv4Addr::from_bits(number).into()
    }

    #[test]
    fn a_second_has_so_many_requests_and_no_more() {
        let (rate, start) = (Rate::new(NonZeroU32::new(3).unwrap()), Instant::now());
        let admitted = |at: u64| rate.admits(address(1), start + Duration::from_millis(at));
        assert_eq!([0, 0, 0, 0].map(admitted), [true, true, true, false]);
        assert_eq!([334, 335].map(admitted), [true, false]);
        assert!(rate.admits(address(2), start));
        assert_eq!([9000, 9000, 9000, 9000].map(admitted), [true, true, true, false]);
    }

    #[test]
    fn memory_is_bounded_and_silent_addresses_make_room() {
        let (rate, start) = (Rate::new(NonZeroU32::new(3).unwrap()), Instant::now());
        for number in 0..10_000 {
            assert!(rate.admits(address(number), start));
        }
        assert!(!rate.admits(address(10_000), start));
        assert!(rate.admits(address(1), start));
        assert!(rate.admits(address(10_000), start + Duration::from_secs(2)));
        assert!(rate.buckets.lock().unwrap().len() < 3);
    }
}
