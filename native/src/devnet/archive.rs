//! Records in memory: all that were ever written, so that every past state can be read.

use alloy_primitives::Bytes;
use std::cell::RefCell;
use std::collections::HashMap;
use zk_replica_core::store::{Commit, Key, Store, StoreError};

/// Every record that was written, in front of those of another store if there is one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Archive {
    records: RefCell<HashMap<Key, Bytes>>,
}

impl Archive {
    /// Writes one record.
    pub(crate) fn put(&self, key: Key, record: Bytes) {
        self.records.borrow_mut().insert(key, record);
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        self.records.borrow_mut().clear();
    }
}

impl Store for Archive {
    fn get(&self, key: &Key) -> Result<Option<Bytes>, StoreError> {
        Ok(self.records.borrow().get(key).cloned())
    }

    fn apply(&self, commit: &Commit) -> Result<(), StoreError> {
        self.records.borrow_mut().extend(commit.records().iter().cloned());
        Ok(())
    }
}

/// Two stores as one: what the first does not have is in the second. It is written to the first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Over<'a> {
    pub(crate) first: &'a Archive,
    pub(crate) second: &'a Archive,
}

impl Store for Over<'_> {
    fn get(&self, key: &Key) -> Result<Option<Bytes>, StoreError> {
        match self.first.get(key)? {
            Some(record) => Ok(Some(record)),
            None => self.second.get(key),
        }
    }

    fn apply(&self, commit: &Commit) -> Result<(), StoreError> {
        self.first.apply(commit)
    }
}
