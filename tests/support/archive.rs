//! A store in memory that keeps history.

use std::{cell::RefCell, collections::HashMap};
use zk_replica_core::{
    replica::{Input, Replica},
    store::{Commit, Key, Store, StoreError},
};

use alloy_primitives::Bytes;

use crate::{Failure, Recording, items};

/// Every record that was ever written: the state after each block, where [`zk_replica_core::store::Memory`] has the
/// present one.
#[derive(Clone, Debug, Default)]
pub struct Archive(RefCell<HashMap<Key, Bytes>>);

impl Archive {
    /// The recorded chain up to and with this block.
    ///
    /// # Errors
    ///
    /// [`Failure`] at the first thing that is not right.
    pub fn replay(recording: &Recording, to: u64) -> Result<Self, Failure> {
        let store = Self::default();
        let mut replica = Replica::open(recording.spec.clone(), recording.genesis.clone(), &store)?;
        for item in items(&recording.stream) {
            if replica.head().is_some_and(|head| head.number >= to) {
                break;
            }
            replica.advance(&Input::from(item?), &store)?;
        }
        Ok(store)
    }
}

impl Store for Archive {
    fn get(&self, key: &Key) -> Result<Option<Bytes>, StoreError> {
        Ok(self.0.borrow().get(key).cloned())
    }

    fn apply(&self, commit: &Commit) -> Result<(), StoreError> {
        self.0.borrow_mut().extend(commit.records().iter().cloned());
        Ok(())
    }
}
