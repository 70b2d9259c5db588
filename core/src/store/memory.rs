use super::{Commit, Key, Store, StoreError};
use alloy_primitives::{Bytes, map::HashMap};
use core::cell::RefCell;

/// Records in memory.
///
/// It keeps what the present head needs and no history: tree nodes and values carry a count of the references that
/// commits made and released, and go when the last one does.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    records: RefCell<HashMap<Key, Entry>>,
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

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.records.borrow().len()
    }

    /// There are no records.
    pub fn is_empty(&self) -> bool {
        self.records.borrow().is_empty()
    }
}

impl Store for Memory {
    fn get(&self, key: &Key) -> Result<Option<Bytes>, StoreError> {
        Ok(self.records.borrow().get(key).map(|entry| entry.record.clone()))
    }

    fn apply(&self, commit: &Commit) -> Result<(), StoreError> {
        let mut records = self.records.borrow_mut();
        for (key, record) in commit.records() {
            let entry = records.entry(*key).or_insert(Entry { record: Bytes::new(), references: 0 });
            entry.record = record.clone();
            entry.references += 1;
        }
        for key in commit.released() {
            if let Some(entry) = records.get_mut(key) {
                entry.references -= 1;
                if entry.references == 0 {
                    records.remove(key);
                }
            }
        }
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
}
