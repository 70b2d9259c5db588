use super::{Commit, Key, Memory, Store, StoreError};
use alloc::collections::BTreeMap;
use alloy_primitives::Bytes;
use core::cell::RefCell;

/// Remembers what was read from a store.
///
/// What checking a block needs is what checking it on a recording reads, whatever comes of the check: the nodes, values
/// and codes of the state before it that the block depends on. [`Recording::into_partial`] makes a store of them on which
/// anyone can repeat the check.
///
/// What is known to be absent is not remembered: absent accounts and slots are shown by the nodes around them.
#[derive(Debug)]
pub struct Recording<S> {
    base: S,
    read: RefCell<BTreeMap<Key, Bytes>>,
}

impl<S: Store> Recording<S> {
    /// Remembers what is read from `base` from now on.
    pub fn new(base: S) -> Self {
        Self { base, read: RefCell::default() }
    }

    /// Everything that was read, each record once.
    pub fn into_records(self) -> BTreeMap<Key, Bytes> {
        self.read.into_inner()
    }

    /// Everything that was read, as a store that has it and knows of nothing else.
    pub fn into_partial(self) -> Memory {
        let mut commit = Commit::default();
        for (key, record) in self.into_records() {
            commit.put(key, record);
        }
        let store = Memory::partial();
        store.write(&commit);
        store
    }
}

impl<S: Store> Store for Recording<S> {
    fn get(&self, key: &Key) -> Result<Option<Bytes>, StoreError> {
        let record = self.base.get(key)?;
        if let Some(record) = &record {
            self.read.borrow_mut().insert(*key, record.clone());
        }
        Ok(record)
    }

    /// Writes go to the store that is recorded.
    fn apply(&self, commit: &Commit) -> Result<(), StoreError> {
        self.base.apply(commit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_remembered_and_nothing_else() {
        let base = Memory::new();
        let mut commit = Commit::default();
        commit.put(Key::Block(1), Bytes::from_static(b"one"));
        commit.put(Key::Block(2), Bytes::from_static(b"two"));
        let recording = Recording::new(&base);
        recording.apply(&commit).unwrap();
        assert_eq!(base.len(), 2);
        for _ in 0..2 {
            assert_eq!(recording.get(&Key::Block(1)), Ok(Some(Bytes::from_static(b"one"))));
        }
        assert_eq!(recording.get(&Key::Block(3)), Ok(None));
        let partial = recording.into_partial();
        assert_eq!(partial.len(), 1);
        assert_eq!(partial.get(&Key::Block(1)), Ok(Some(Bytes::from_static(b"one"))));
        assert_eq!(partial.get(&Key::Block(2)), Err(StoreError::Missing(Key::Block(2))));
    }
}
