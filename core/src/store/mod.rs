//! Records by key: the one border between the core and a host's memory, disk or browser storage.

#[cfg(feature = "light")]
mod cache;
mod commit;
mod journal;
pub(crate) mod log_index;
mod memory;
mod record;
mod recording;

#[cfg(feature = "light")]
pub use cache::{Cache, CacheLimits};
pub use commit::Commit;
pub use journal::Journal;
pub use log_index::log_sections;
pub use memory::Memory;
pub use record::Key;
pub use recording::Recording;

use crate::types::BlockRecord;
use alloc::string::String;
use alloy_primitives::Bytes;
use alloy_rlp::Decodable;
use core::fmt;

/// Records by [`Key`].
pub trait Store {
    /// The record, or `None` when its absence is known; [`StoreError::Missing`] when it is not at hand.
    fn get(&self, key: &Key) -> Result<Option<Bytes>, StoreError>;
    /// Writes all of it or nothing. A reader sees the old head or the new one.
    fn apply(&self, commit: &Commit) -> Result<(), StoreError>;
}

/// The record, which has to be there.
pub(crate) fn need(store: &dyn Store, key: Key) -> Result<Bytes, StoreError> {
    store.get(&key)?.ok_or(StoreError::Missing(key))
}

/// What the record stands for, if there is one; `reason` says what it is else.
pub(crate) fn read<T: Decodable>(
    store: &dyn Store,
    key: Key,
    reason: &'static str,
) -> Result<Option<T>, StoreError> {
    let Some(record) = store.get(&key)? else {
        return Ok(None);
    };
    T::decode(&mut record.as_ref()).map(Some).map_err(|_| StoreError::Corrupt { key, reason })
}

/// A verified block; `None` when there is no such number.
pub(crate) fn block(store: &dyn Store, number: u64) -> Result<Option<BlockRecord>, StoreError> {
    read(store, Key::Block(number), "not a block record")
}

/// A verified block, which has to be there.
pub(crate) fn need_block(store: &dyn Store, number: u64) -> Result<BlockRecord, StoreError> {
    block(store, number)?.ok_or(StoreError::Missing(Key::Block(number)))
}

impl fmt::Debug for dyn Store + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Store")
    }
}

impl<S: Store + ?Sized> Store for &S {
    fn get(&self, key: &Key) -> Result<Option<Bytes>, StoreError> {
        (**self).get(key)
    }

    fn apply(&self, commit: &Commit) -> Result<(), StoreError> {
        (**self).apply(commit)
    }
}

/// Why a record could not be had. It never says that the record's content is zero or absent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The record exists somewhere, but not here: fetch it and ask again.
    #[error("{0} is not at hand")]
    Missing(Key),
    /// The record is here and cannot be what was once written.
    #[error("{key} is damaged: {reason}")]
    Corrupt {
        /// Which record.
        key: Key,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The host wants no more work on this: it takes too long.
    #[error("interrupted")]
    Interrupted,
    /// The host's storage failed.
    #[error("the store failed: {0}")]
    Host(String),
}
