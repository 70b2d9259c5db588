use core::fmt;

/// A protocol version that this replica executes.
///
/// The fork is a property of the batch; its blocks inherit it (`spec/execution.md` §1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u64)]
pub enum ForkId {
    /// Elderberry 2.
    Elderberry2 = 9,
}

impl ForkId {
    /// Every fork that can be executed, oldest first.
    pub const ALL: [Self; 1] = [Self::Elderberry2];

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
