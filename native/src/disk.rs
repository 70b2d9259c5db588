//! The database behind a journal: what is verified gathers in memory, and goes to the disk in groups.

use crate::board::Board;
use crate::store::SledStore;
use crate::writer::Writer;
use alloy_rlp::Decodable as _;
use std::time::{Duration, Instant};
use zk_replica_core::store::{Journal, Key, Store as _, StoreError};
use zk_replica_core::types::Head;

/// Commits that may wait for the disk, beside the one that is being written: a third would only be memory.
const COMMITS_AHEAD: usize = 0;

/// Writes what gathers in a journal.
#[derive(Debug)]
pub(crate) struct Disk<'a> {
    journal: &'a Journal<SledStore>,
    base: SledStore,
    board: Option<&'a Board>,
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
        let writer = Writer::start(base.clone(), COMMITS_AHEAD);
        Self { journal, base, board: None, writer, sealed: Instant::now(), group }
    }

    /// Tells, now and from now on, where the chain on the disk ends.
    pub(crate) fn telling(mut self, board: &'a Board) -> Result<Self, StoreError> {
        self.board = Some(board);
        self.tell()?;
        Ok(self)
    }

    /// Hands over what has gathered, when it is time.
    pub(crate) fn keep_up(&mut self) -> Result<(), StoreError> {
        let pending = self.journal.pending();
        if pending < self.group.records && (pending == 0 || self.sealed.elapsed() < self.group.age) {
            return Ok(());
        }
        self.hand_over()?;
        let written = self.writer.acknowledged()?;
        self.settle(written)
    }

    /// Returns when everything gathered so far is on the disk.
    pub(crate) fn flush(&mut self) -> Result<(), StoreError> {
        if self.journal.pending() > 0 {
            self.hand_over()?;
        }
        let written = self.writer.wait()?;
        self.settle(written)
    }

    /// Returns when everything is on the disk.
    pub(crate) fn finish(mut self) -> Result<(), StoreError> {
        if self.journal.pending() > 0 {
            self.hand_over()?;
        }
        self.writer.finish().map(drop)
    }

    fn settle(&self, written: usize) -> Result<(), StoreError> {
        (0..written).for_each(|_| self.journal.settle());
        if written > 0 { self.tell() } else { Ok(()) }
    }

    fn tell(&self) -> Result<(), StoreError> {
        let (Some(board), Some(record)) = (self.board, self.base.get(&Key::Head)?) else {
            return Ok(());
        };
        let damaged = |_| StoreError::Corrupt { key: Key::Head, reason: "not a head record" };
        board.stored(Head::decode(&mut record.as_ref()).map_err(damaged)?);
        Ok(())
    }

    fn hand_over(&mut self) -> Result<(), StoreError> {
        self.sealed = Instant::now();
        self.writer.write(self.journal.seal())
    }
}
