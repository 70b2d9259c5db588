use super::Key;
use alloc::vec::Vec;
use alloy_primitives::Bytes;

/// One atomic write. Only verified things become a commit: outside the core nobody can make one.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    put: Vec<(Key, Bytes)>,
    release: Vec<Key>,
}

impl Commit {
    pub(crate) fn put(&mut self, key: Key, record: Bytes) {
        self.put.push((key, record));
    }

    pub(crate) fn release(&mut self, key: Key) {
        self.release.push(key);
    }

    /// Leaves the head record as it is.
    pub(crate) fn keep_head(&mut self) {
        self.put.retain(|(key, _)| *key != Key::Head);
    }

    /// Any commit at all, for the tests of hosts' stores. No program is built with this feature.
    #[cfg(feature = "test-support")]
    pub fn for_test(put: Vec<(Key, Bytes)>, release: Vec<Key>) -> Self {
        Self { put, release }
    }

    /// Appends a later commit: applying the result is the same as applying both in order.
    pub fn append(&mut self, later: Self) {
        self.put.extend(later.put);
        self.release.extend(later.release);
    }

    /// Records to write, in order; a later record replaces an earlier one of the same key.
    pub fn records(&self) -> &[(Key, Bytes)] {
        &self.put
    }

    /// One entry for each reference to a node or value that the new head no longer has. An archive ignores them.
    pub fn released(&self) -> &[Key] {
        &self.release
    }
}
