//! Chains that are known by their id.

use super::{ForkId, ForkSchedule};

/// The first batch of each fork, by chain id.
const FORKS: &[(u64, &[(u64, ForkId)])] = &[
    // The public recording of a test network (`zk/tests/unwinds` in cdk-erigon).
    (779, &[(1, ForkId::Elderberry2)]),
];

/// The schedule of a known chain.
pub(super) fn forks(chain_id: u64) -> ForkSchedule {
    let known = FORKS.iter().find(|(known, _)| *known == chain_id);
    known
        .and_then(|(_, intervals)| ForkSchedule::new(intervals.iter().copied()).ok())
        .unwrap_or(ForkSchedule::UNKNOWN)
}
