use super::{Commit, Key, Store, StoreError};
use alloy_primitives::{Bytes, map::HashMap};
use core::cell::RefCell;

/// Records in memory.
///
/// It keeps what the present head needs and no history: tree nodes and values carry a count of the references that
/// commits made and released, and go when the last one does.
///
/// A [partial](Memory::partial) one begins with a part of some state, as a witness has it. What it does not have is
/// never absent, only not at hand; and as nobody has counted its references, nothing goes.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    records: RefCell<HashMap<Key, Entry>>,
    partial: bool,
}

#[derive(Clone, Debug)]
struct Entry {
    record: Bytes,
    references: u64,
}

impl Memory {
    /// A store without records, in which every absence is known.
    pub fn new() -> Self {
        Self::default()
    }

    /// A store without records that is known to be incomplete: no record's absence is known, not even a block's or the
    /// head's.
    pub fn partial() -> Self {
        Self { partial: true, ..Self::default() }
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.records.borrow().len()
    }

    /// There are no records.
    pub fn is_empty(&self) -> bool {
        self.records.borrow().is_empty()
    }

    /// All records.
    pub(crate) fn into_records(self) -> impl Iterator<Item = (Key, Bytes)> {
        self.records.into_inner().into_iter().map(|(key, entry)| (key, entry.record))
    }

    /// [`Store::apply`], which cannot fail here.
    pub(crate) fn write(&self, commit: &Commit) {
        let mut records = self.records.borrow_mut();
        for (key, record) in commit.records() {
            let entry = records.entry(*key).or_insert(Entry { record: Bytes::new(), references: 0 });
            entry.record = record.clone();
            entry.references += 1;
        }
        if self.partial {
            return;
        }
        for key in commit.released() {
            if let Some(entry) = records.get_mut(key) {
                entry.references -= 1;
                if entry.references == 0 {
                    records.remove(key);
                }
            }
        }
    }
}

impl Store for Memory {
    fn get(&self, key: &Key) -> Result<Option<Bytes>, StoreError> {
        match self.records.borrow().get(key) {
            Some(entry) => Ok(Some(entry.record.clone())),
            None if self.partial => Err(StoreError::Missing(*key)),
            None => Ok(None),
        }
    }

    fn apply(&self, commit: &Commit) -> Result<(), StoreError> {
        self.write(commit);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::B256;

    fn node(byte: u8) -> Key {
        Key::Node(B256::repeat_byte(byte))
    }

    #[test]
    fn a_record_goes_with_its_last_reference() {
        let store = Memory::new();
        let mut twice = Commit::default();
        twice.put(node(1), Bytes::from_static(b"node"));
        twice.put(node(1), Bytes::from_static(b"node"));
        store.apply(&twice).unwrap();
        let mut release = Commit::default();
        release.release(node(1));
        store.apply(&release).unwrap();
        assert!(store.get(&node(1)).unwrap().is_some());
        store.apply(&release).unwrap();
        assert!(store.is_empty());
        // A release of what is not there changes nothing.
        store.apply(&release).unwrap();
        assert!(store.is_empty());
    }

    #[test]
    fn a_commit_may_release_what_it_puts() {
        let store = Memory::new();
        let mut commit = Commit::default();
        commit.release(node(1));
        commit.put(node(1), Bytes::from_static(b"node"));
        store.apply(&commit).unwrap();
        assert!(store.is_empty());
    }

    #[test]
    fn a_partial_store_knows_no_absence() {
        let store = Memory::partial();
        let keys = [node(1), Key::Value(B256::ZERO), Key::Code(B256::ZERO), Key::Block(0), Key::Head];
        for key in keys {
            assert_eq!(store.get(&key), Err(StoreError::Missing(key)));
            assert_eq!(Memory::new().get(&key), Ok(None));
        }
    }

    #[test]
    fn a_partial_store_lets_nothing_go() {
        let store = Memory::partial();
        let mut commit = Commit::default();
        commit.put(node(1), Bytes::from_static(b"node"));
        commit.release(node(1));
        store.apply(&commit).unwrap();
        assert_eq!(store.get(&node(1)), Ok(Some(Bytes::from_static(b"node"))));
    }
}
