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

/// Records that nobody has written yet, as a commit and by key.
#[derive(Debug, Default)]
struct Gathered {
    commit: Commit,
    positions: HashMap<Key, usize>,
}

impl<S: Store> Journal<S> {
    /// Gathers in front of `base`.
    pub fn new(base: S) -> Self {
        Self { base, open: RefCell::default(), sealed: RefCell::default() }
    }

    /// How many records have been gathered since the last [`Journal::seal`].
    pub fn pending(&self) -> usize {
        self.open.borrow().positions.len()
    }

    /// Everything gathered since the last call, as one commit.
    pub fn seal(&self) -> Commit {
        let Gathered { commit, positions } = mem::take(&mut *self.open.borrow_mut());
        let records = commit.records();
        let sealed =
            positions.into_iter().map(|(key, position)| (key, records[position].1.clone())).collect();
        self.sealed.borrow_mut().push_back(sealed);
        commit
    }

    /// The oldest sealed commit is in the base store now.
    pub fn settle(&self) {
        self.sealed.borrow_mut().pop_front();
    }
}

impl<S: Store> Store for Journal<S> {
    fn get(&self, key: &Key) -> Result<Option<Bytes>, StoreError> {
        let open = self.open.borrow();
        if let Some(position) = open.positions.get(key) {
            return Ok(Some(open.commit.records()[*position].1.clone()));
        }
        let sealed = self.sealed.borrow();
        match sealed.iter().rev().find_map(|records| records.get(key)) {
            Some(record) => Ok(Some(record.clone())),
            None => self.base.get(key),
        }
    }

    fn apply(&self, commit: &Commit) -> Result<(), StoreError> {
        let Gathered { commit: gathered, positions } = &mut *self.open.borrow_mut();
        let first = gathered.records().len();
        positions.extend((first..).zip(commit.records()).map(|(position, (key, _))| (*key, position)));
        gathered.append(commit.clone());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Memory;

    fn commit(key: Key, record: &'static [u8]) -> Commit {
        let mut commit = Commit::default();
        commit.put(key, Bytes::from_static(record));
        commit
    }

    #[test]
    fn what_was_gathered_is_read_until_it_is_settled_and_from_the_base_after() {
        let journal = Journal::new(Memory::new());
        journal.apply(&commit(Key::Block(1), b"one")).unwrap();
        journal.apply(&commit(Key::Head, b"at one")).unwrap();
        journal.apply(&commit(Key::Head, b"later")).unwrap();
        assert_eq!(journal.pending(), 2);
        let read = |key| journal.get(&key).unwrap();
        assert_eq!(read(Key::Head).unwrap().as_ref(), b"later");
        assert_eq!(read(Key::Block(2)), None);

        let sealed = journal.seal();
        assert_eq!((journal.pending(), journal.base.len()), (0, 0));
        assert_eq!(read(Key::Block(1)).unwrap().as_ref(), b"one");
        journal.apply(&commit(Key::Head, b"newest")).unwrap();
        assert_eq!(read(Key::Head).unwrap().as_ref(), b"newest");

        journal.base.apply(&sealed).unwrap();
        journal.settle();
        assert_eq!(read(Key::Block(1)).unwrap().as_ref(), b"one");
        assert_eq!(journal.base.get(&Key::Head).unwrap().unwrap().as_ref(), b"later");
    }
}
