use crate::store::StoreError;
use core::fmt;

/// How the host stops work that takes too long: it is asked now and then, and says so.
///
/// The core has no clock. What makes a contract run long passes here: jumps, frames, and reads from the store.
#[derive(Clone, Copy, Default)]
pub struct Interrupt<'a> {
    stop: Option<&'a dyn Fn() -> bool>,
    /// Effort since the host was last asked.
    effort: u32,
}

/// The host is asked after so much effort. A jump is the unit: less than a tenth of a millisecond between two questions,
/// as a rule.
const PATIENCE: u32 = 1024;

impl<'a> Interrupt<'a> {
    /// Effort of a jump.
    pub const JUMP: u32 = 1;
    /// Effort of a read from the store, or of a call: a precompile may be behind it.
    pub const READ: u32 = 32;

    /// Asks `stop`, which is true when work is to end.
    pub fn new(stop: &'a dyn Fn() -> bool) -> Self {
        Self { stop: Some(stop), effort: 0 }
    }

    /// Accounts for work.
    ///
    /// # Errors
    ///
    /// [`StoreError::Interrupted`] when the host wants no more of it.
    #[inline]
    pub fn spend(&mut self, effort: u32) -> Result<(), StoreError> {
        self.effort += effort;
        if self.effort < PATIENCE { Ok(()) } else { self.ask() }
    }

    #[cold]
    fn ask(&mut self) -> Result<(), StoreError> {
        self.effort = 0;
        match self.stop {
            Some(stop) if stop() => Err(StoreError::Interrupted),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Interrupt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interrupt").field("effort", &self.effort).finish_non_exhaustive()
    }
}
