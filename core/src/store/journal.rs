use super::{Commit, Key, Store, StoreError};
use alloc::collections::VecDeque;
use alloy_primitives::{Bytes, map::HashMap};
use core::{cell::RefCell, mem};

/// Gathers commits in front of a store, so that many blocks become one durable write.
///
/// What was gathered is read back at once. [`Journal::seal`] hands it over for writing; it stays readable until
/// [`Journal::settle`] says that the write is done.
#[derive(Debug)]
pub struct Journal<S> {
    base: S,
    open: RefCell<Gathered>,
    sealed: RefCell<VecDeque<HashMap<Key, Bytes>>>,
}

#[derive(Debug, Default)]
struct Gathered {
    commit: Commit,
    records: HashMap<Key, Bytes>,
}

impl<S: Store> Journal<S> {
    /// Gathers in front of `base`.
    pub fn new(base: S) -> Self {
        Self {
            base,
            open: RefCell::default(),
            sealed: RefCell::default(),
        }
    }

    /// How many records have been gathered since the last [`Journal::seal`].
    pub fn pending(&self) -> usize {
        self.open.borrow().records.len()
    }

    /// Everything gathered since the last call, as one commit.
    pub fn seal(&self) -> Commit {
        let Gathered { commit, records } = mem::take(&mut *self.open.borrow_mut());
        self.sealed.borrow_mut().push_back(records);
        commit
    }

    /// The oldest sealed commit is in the base store now.
    pub fn settle(&self) {
        self.sealed.borrow_mut().pop_front();
    }
}

impl<S: Store> Store for Journal<S> {
    fn get(&self, key: &Key) -> Result<Option<Bytes>, StoreError> {
        if let Some(record) = self.open.borrow().records.get(key) {
            return Ok(Some(record.clone()));
        }
        let sealed = self.sealed.borrow();
        match sealed.iter().rev().find_map(|records| records.get(key)) {
            Some(record) => Ok(Some(record.clone())),
            None => self.base.get(key),
        }
    }

    fn apply(&self, commit: &Commit) -> Result<(), StoreError> {
        let mut open = self.open.borrow_mut();
        open.records.extend(commit.records().iter().cloned());
        open.commit.append(commit.clone());
        Ok(())
    }
}
