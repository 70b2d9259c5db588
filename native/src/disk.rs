//! The database behind a journal: what is verified gathers in memory, and goes to the disk in groups.

use crate::store::SledStore;
use crate::writer::Writer;
use std::time::{Duration, Instant};
use zk_replica_core::store::{Journal, StoreError};

/// Commits that may wait for the disk, beside the one that is being written: a third would only be memory.
const COMMITS_AHEAD: usize = 0;

/// Writes what gathers in a journal.
#[derive(Debug)]
pub(crate) struct Disk<'a> {
    journal: &'a Journal<SledStore>,
    writer: Writer,
    sealed: Instant,
    group: Group,
}

/// When a commit is handed to the disk: when it has so many records, or is so old. Large ones are cheaper, and what has
/// not been handed over is in memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Group {
    /// Records.
    pub(crate) records: usize,
    /// Time since the commit before.
    pub(crate) age: Duration,
}

impl Default for Group {
    /// 50,000 records are some 20 MB.
    fn default() -> Self {
        Self { records: 50_000, age: Duration::from_secs(2) }
    }
}

impl<'a> Disk<'a> {
    /// `base` is the store behind the journal.
    pub(crate) fn new(journal: &'a Journal<SledStore>, base: SledStore, group: Group) -> Self {
        Self { journal, writer: Writer::start(base, COMMITS_AHEAD), sealed: Instant::now(), group }
    }

    /// Hands over what has gathered, when it is time.
    pub(crate) fn keep_up(&mut self) -> Result<(), StoreError> {
        let pending = self.journal.pending();
        if pending < self.group.records && (pending == 0 || self.sealed.elapsed() < self.group.age) {
            return Ok(());
        }
        self.hand_over()?;
        (0..self.writer.acknowledged()?).for_each(|_| self.journal.settle());
        Ok(())
    }

    /// Returns when everything gathered so far is on the disk.
    pub(crate) fn flush(&mut self) -> Result<(), StoreError> {
        if self.journal.pending() > 0 {
            self.hand_over()?;
        }
        (0..self.writer.wait()?).for_each(|_| self.journal.settle());
        Ok(())
    }

    /// Returns when everything is on the disk.
    pub(crate) fn finish(mut self) -> Result<(), StoreError> {
        if self.journal.pending() > 0 {
            self.hand_over()?;
        }
        self.writer.finish().map(drop)
    }

    fn hand_over(&mut self) -> Result<(), StoreError> {
        self.sealed = Instant::now();
        self.writer.write(self.journal.seal())
    }
}
