use crate::sort::sorted;
use alloc::vec::Vec;
use core::fmt;

/// A protocol version that this replica executes.
///
/// The fork is a property of the batch; its blocks inherit it (`spec/execution.md` §1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u64)]
pub enum ForkId {
    /// The first, on test networks only.
    Fork1 = 1,
    /// On test networks only.
    Fork2 = 2,
    /// On test networks only.
    Fork3 = 3,
    /// The mainnet beta of Polygon zkEVM began with it.
    Fork4 = 4,
    /// Dragonfruit.
    Dragonfruit = 5,
    /// Inca Berry.
    IncaBerry = 6,
    /// Etrog: L2 blocks.
    Etrog = 7,
    /// Elderberry.
    Elderberry = 8,
    /// Elderberry 2.
    Elderberry2 = 9,
    /// Larger proofs.
    Fork10 = 10,
    /// Larger proofs.
    Fork11 = 11,
    /// Banana.
    Banana = 12,
    /// Durian.
    Durian = 13,
}

impl ForkId {
    /// Every fork that can be executed, oldest first.
    pub const ALL: [Self; 13] = [
        Self::Fork1,
        Self::Fork2,
        Self::Fork3,
        Self::Fork4,
        Self::Dragonfruit,
        Self::IncaBerry,
        Self::Etrog,
        Self::Elderberry,
        Self::Elderberry2,
        Self::Fork10,
        Self::Fork11,
        Self::Banana,
        Self::Durian,
    ];

    /// The number that the protocol uses.
    pub const fn number(self) -> u64 {
        self as u64
    }
}

impl TryFrom<u64> for ForkId {
    type Error = UnsupportedFork;

    fn try_from(number: u64) -> Result<Self, UnsupportedFork> {
        Self::ALL.into_iter().find(|fork| fork.number() == number).ok_or(UnsupportedFork(number))
    }
}

impl fmt::Display for ForkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number().fmt(f)
    }
}

/// A fork id that cannot be executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("fork {0} is not supported")]
pub struct UnsupportedFork(pub u64);

/// Which fork every batch of a chain runs. It is fixed on L1; the main node only repeats it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ForkSchedule {
    /// First batch of each fork, ascending.
    intervals: Vec<(u64, ForkId)>,
}

impl ForkSchedule {
    /// Nobody said which batch runs which fork: the main node's word is taken, as long as forks never go back.
    pub const UNKNOWN: Self = Self { intervals: Vec::new() };

    /// A schedule from the first batch of each fork.
    ///
    /// # Errors
    ///
    /// [`DisorderedForks`] when a later fork does not begin at a later batch.
    pub fn new(intervals: impl IntoIterator<Item = (u64, ForkId)>) -> Result<Self, DisorderedForks> {
        let intervals = sorted(intervals.into_iter().collect());
        match intervals.windows(2).find(|pair| pair[0].0 == pair[1].0 || pair[0].1 >= pair[1].1) {
            Some(pair) => Err(DisorderedForks { earlier: pair[0].1, later: pair[1].1 }),
            None => Ok(Self { intervals }),
        }
    }

    /// The fork of a batch; `None` when nobody said.
    pub fn fork_of(&self, batch: u64) -> Option<ForkId> {
        let after = self.intervals.partition_point(|(first, _)| *first <= batch);
        self.intervals.get(after.checked_sub(1)?).map(|(_, fork)| *fork)
    }

    /// First batch of each fork, ascending.
    pub fn intervals(&self) -> &[(u64, ForkId)] {
        &self.intervals
    }

    /// Somebody said which batch runs which fork.
    pub fn is_known(&self) -> bool {
        !self.intervals.is_empty()
    }
}

/// Two forks of a schedule begin in the wrong order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("fork {later} does not begin after fork {earlier}")]
pub struct DisorderedForks {
    /// The one that begins first.
    pub earlier: ForkId,
    /// The one that begins next.
    pub later: ForkId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_name_forks_and_no_others_exist() {
        for fork in ForkId::ALL {
            assert_eq!(ForkId::try_from(fork.number()), Ok(fork));
        }
        assert_eq!(ForkId::try_from(0), Err(UnsupportedFork(0)));
        assert_eq!(ForkId::try_from(14), Err(UnsupportedFork(14)));
    }

    #[test]
    fn a_batch_runs_the_last_fork_that_began() {
        let schedule = ForkSchedule::new([(100, ForkId::Etrog), (1, ForkId::Fork4)]).unwrap();
        let fork_of = |batch| schedule.fork_of(batch);
        assert_eq!(fork_of(0), None);
        assert_eq!(fork_of(1), Some(ForkId::Fork4));
        assert_eq!(fork_of(99), Some(ForkId::Fork4));
        assert_eq!(fork_of(100), Some(ForkId::Etrog));
        assert_eq!(fork_of(u64::MAX), Some(ForkId::Etrog));
        assert_eq!(ForkSchedule::UNKNOWN.fork_of(7), None);
    }

    #[test]
    fn forks_never_go_back() {
        let disordered = ForkSchedule::new([(1, ForkId::Etrog), (2, ForkId::Fork4)]);
        assert_eq!(disordered, Err(DisorderedForks { earlier: ForkId::Etrog, later: ForkId::Fork4 }));
        assert!(ForkSchedule::new([(1, ForkId::Fork4), (1, ForkId::Etrog)]).is_err());
    }
}
