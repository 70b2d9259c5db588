//! How long an answer may still become.

use super::Error;
use alloc::boxed::Box;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

/// Bytes that are left for an answer while its parts are gathered. What would become too long is noticed before it is
/// there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room(usize);

impl Room {
    /// Not more than so many bytes.
    pub(super) fn new(bytes: usize) -> Self {
        Self(bytes)
    }

    /// A list begins.
    pub(super) fn brackets(&mut self) {
        // The other one stands in the place of the comma behind the last item.
        let _ = self.take(1);
    }

    /// So many bytes are part of the answer. False: there is no room for them.
    #[must_use]
    pub(super) fn take(&mut self, bytes: usize) -> bool {
        let left = self.0.checked_sub(bytes);
        self.0 = left.unwrap_or(0);
        left.is_some()
    }

    /// The item as JSON; `None` when there is no room for it and what stands between it and the next.
    pub(super) fn try_write(&mut self, item: &impl Serialize) -> Result<Option<Box<RawValue>>, Error> {
        let text = to_raw_value(item).map_err(|_| Error::internal())?;
        Ok(self.take(text.get().len() + 1).then_some(text))
    }

    /// [`Room::try_write`] where nothing smaller can be answered.
    pub(super) fn write(&mut self, item: &impl Serialize) -> Result<Box<RawValue>, Error> {
        self.try_write(item)?.ok_or_else(Error::too_large)
    }
}
