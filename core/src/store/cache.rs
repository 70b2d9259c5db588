use super::{Commit, Key, Store, StoreError};
use alloc::{collections::VecDeque, vec::Vec};
use alloy_primitives::{Bytes, map::HashMap};
use core::{cell::RefCell, mem};

/// What a record costs beside its bytes: its name, its place in a table that is never full, and its allocation.
const OVERHEAD: usize = 192;

/// A bounded part of a chain's records, for a replica that does not hold the state.
///
/// Parts of the state are found by their own hashes: whoever hands them in cannot lie about them, and what is forgotten
/// can be had again, so what is not here is [`StoreError::Missing`], never absent. What has not been used for longest
/// goes first.
///
/// Blocks come by commits alone. The latest are kept, as many as fit; an earlier one is [`StoreError::Missing`].
/// Indexes know the blocks that are here and no others: a hash that they do not know may be one of an earlier block.
#[derive(Debug)]
pub struct Cache {
    limits: CacheLimits,
    inner: RefCell<Inner>,
}

/// Bytes that a [`Cache`] may hold, with the cost of keeping them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheLimits {
    /// For parts of the state. A single block or request may need more while it is worked on.
    pub state: usize,
    /// For verified blocks and their indexes.
    pub blocks: usize,
}

impl Default for CacheLimits {
    /// 10 MiB together.
    fn default() -> Self {
        Self { state: 6 << 20, blocks: 4 << 20 }
    }
}

#[derive(Debug, Default)]
struct Inner {
    /// Parts of the state that were used since the generations last changed, and those that were used before that.
    young: Generation,
    old: Generation,
    /// Everything else, each with the number of the commit that wrote it.
    chain: HashMap<Key, (u64, Bytes)>,
    /// What each commit wrote to `chain`, the oldest first.
    commits: VecDeque<Vec<Key>>,
    /// Number of the oldest of `commits`.
    first: u64,
    chain_bytes: usize,
    head: Option<Bytes>,
    frontier: Option<Bytes>,
}

#[derive(Debug, Default)]
struct Generation {
    records: HashMap<Key, Bytes>,
    bytes: usize,
}

impl Generation {
    fn insert(&mut self, key: Key, record: Bytes) {
        self.bytes += cost(&record);
        if let Some(replaced) = self.records.insert(key, record) {
            self.bytes -= cost(&replaced);
        }
    }

    fn remove(&mut self, key: &Key) -> Option<Bytes> {
        let record = self.records.remove(key)?;
        self.bytes -= cost(&record);
        Some(record)
    }
}

fn cost(record: &Bytes) -> usize {
    record.len() + OVERHEAD
}

/// A part of the state, which has its own hash for a name.
fn is_state(key: &Key) -> bool {
    matches!(key, Key::Node(_) | Key::Value(_) | Key::Code(_))
}

impl Cache {
    /// Holds nothing yet.
    pub fn new(limits: CacheLimits) -> Self {
        Self { limits, inner: RefCell::default() }
    }

    /// Bytes that are held now, with the cost of keeping them.
    pub fn size(&self) -> usize {
        let inner = self.inner.borrow();
        inner.young.bytes + inner.old.bytes + inner.chain_bytes
    }

    /// Number of the lowest block that is held.
    pub(crate) fn first_block(&self) -> Option<u64> {
        let inner = self.inner.borrow();
        let numbers = inner.chain.keys().filter_map(|key| match key {
            Key::Block(number) => Some(*number),
            _ => None,
        });
        numbers.min()
    }

    /// Takes a part of the state. Its name must be its hash.
    pub(crate) fn insert(&self, key: Key, record: Bytes) {
        debug_assert!(is_state(&key), "{key} is found by more than its hash");
        let mut inner = self.inner.borrow_mut();
        // It may be in both generations for a while.
        inner.young.insert(key, record);
    }

    /// Forgets what was used longest ago, if there is too much. Between two pieces of work: what one of them needs has
    /// to be here all at once.
    pub(crate) fn settle(&self) {
        let mut inner = self.inner.borrow_mut();
        if inner.young.bytes > self.limits.state / 2 {
            inner.old = mem::take(&mut inner.young);
        }
        while inner.chain_bytes > self.limits.blocks && inner.commits.len() > 1 {
            inner.forget_commit();
        }
    }
}

impl Inner {
    fn write(&mut self, key: Key, record: Bytes) {
        let commit = self.first + self.commits.len() as u64 - 1;
        self.chain_bytes += cost(&record) + mem::size_of::<Key>();
        if let Some((_, replaced)) = self.chain.insert(key, (commit, record)) {
            self.chain_bytes -= cost(&replaced);
        }
        if let Some(keys) = self.commits.back_mut() {
            keys.push(key);
        }
    }

    fn erase(&mut self, key: &Key) {
        if let Some((_, record)) = self.chain.remove(key) {
            self.chain_bytes -= cost(&record);
        }
    }

    fn forget_commit(&mut self) {
        for key in self.commits.pop_front().unwrap_or_default() {
            self.chain_bytes -= mem::size_of::<Key>();
            // It may have been written again since.
            if self.chain.get(&key).is_some_and(|(commit, _)| *commit == self.first) {
                self.erase(&key);
            }
        }
        self.first += 1;
    }
}

impl Store for Cache {
    fn get(&self, key: &Key) -> Result<Option<Bytes>, StoreError> {
        let mut inner = self.inner.borrow_mut();
        match key {
            Key::Head => Ok(inner.head.clone()),
            Key::Frontier => Ok(inner.frontier.clone()),
            Key::Node(_) | Key::Value(_) | Key::Code(_) => {
                if let Some(record) = inner.young.records.get(key) {
                    return Ok(Some(record.clone()));
                }
                let record = inner.old.remove(key).ok_or(StoreError::Missing(*key))?;
                inner.young.insert(*key, record.clone());
                Ok(Some(record))
            }
            Key::Block(_) | Key::LeafName(_) => {
                inner.chain.get(key).map(|(_, record)| Some(record.clone())).ok_or(StoreError::Missing(*key))
            }
            Key::BlockNumber(_)
            | Key::TransactionPlace(_)
            | Key::L2TransactionPlace(_)
            | Key::LogSection { .. } => Ok(inner.chain.get(key).map(|(_, record)| record.clone())),
        }
    }

    fn apply(&self, commit: &Commit) -> Result<(), StoreError> {
        let mut inner = self.inner.borrow_mut();
        inner.commits.push_back(Vec::new());
        for (key, record) in commit.records() {
            match key {
                Key::Head => inner.head = Some(record.clone()),
                Key::Frontier => inner.frontier = Some(record.clone()),
                // Nobody asks for a witness here; and of the blocks before the first nothing is known, so that no section
                // could say that there is no log.
                Key::LeafName(_) | Key::LogSection { .. } => {}
                key if is_state(key) => inner.young.insert(*key, record.clone()),
                key => inner.write(*key, record.clone()),
            }
        }
        for key in commit.released().iter().filter(|key| !is_state(key)) {
            inner.erase(key);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloy_primitives::B256;

    fn node(number: u64) -> Key {
        Key::Node(B256::left_padding_from(&number.to_be_bytes()))
    }

    fn commit(records: Vec<(Key, Bytes)>, released: Vec<Key>) -> Commit {
        let mut commit = Commit::default();
        records.into_iter().for_each(|(key, record)| commit.put(key, record));
        released.into_iter().for_each(|key| commit.release(key));
        commit
    }

    #[test]
    fn what_is_not_here_is_not_absent() {
        let cache = Cache::new(CacheLimits::default());
        for key in [node(1), Key::Value(B256::ZERO), Key::Code(B256::ZERO), Key::Block(0)] {
            assert_eq!(cache.get(&key), Err(StoreError::Missing(key)));
        }
        assert_eq!(cache.get(&Key::Head), Ok(None));
    }

    #[test]
    fn state_is_bounded_and_what_is_used_stays() {
        let cache = Cache::new(CacheLimits { state: 100 * (OVERHEAD + 64), blocks: 0 });
        let record = Bytes::from(vec![1; 64]);
        for number in 0..10_000 {
            cache.insert(node(number), record.clone());
            assert_eq!(cache.get(&node(0)), Ok(Some(record.clone())), "used all the time");
            cache.settle();
            assert!(cache.size() <= 102 * (OVERHEAD + 64), "{}", cache.size());
        }
        assert_eq!(cache.get(&node(1)), Err(StoreError::Missing(node(1))));
    }

    #[test]
    fn the_latest_blocks_are_kept() {
        let cache = Cache::new(CacheLimits { state: 0, blocks: 10_000 });
        for number in 0..1000_u64 {
            let hash = B256::left_padding_from(&number.to_be_bytes());
            let records =
                vec![(Key::Block(number), Bytes::from(vec![7; 800])), (Key::BlockNumber(hash), Bytes::new())];
            cache.apply(&commit(records, vec![])).unwrap();
            cache.settle();
            assert!(cache.size() <= 10_000);
        }
        assert!(cache.get(&Key::Block(999)).is_ok());
        assert_eq!(cache.get(&Key::Block(900)), Err(StoreError::Missing(Key::Block(900))));
        assert_eq!(cache.get(&Key::BlockNumber(B256::ZERO)), Ok(None));
    }

    #[test]
    fn what_was_written_again_outlives_its_first_commit() {
        let cache = Cache::new(CacheLimits { state: 0, blocks: 2170 });
        let block = |byte| vec![(Key::Block(1), Bytes::from(vec![byte; 500]))];
        cache.apply(&commit(block(1), vec![])).unwrap();
        cache.apply(&commit(block(2), vec![])).unwrap();
        cache.apply(&commit(vec![(Key::Block(2), Bytes::from(vec![3; 1200]))], vec![])).unwrap();
        cache.settle();
        assert_eq!(cache.get(&Key::Block(1)), Ok(Some(Bytes::from(vec![2; 500]))));
        cache.apply(&commit(vec![], vec![Key::Block(1)])).unwrap();
        assert_eq!(cache.get(&Key::Block(1)), Err(StoreError::Missing(Key::Block(1))));
        for _ in 0..10 {
            cache.apply(&commit(vec![], vec![])).unwrap();
        }
        cache.settle();
    }
}
