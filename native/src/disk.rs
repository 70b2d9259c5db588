//! The database behind a journal: what is verified gathers in memory, and goes to the disk in groups.

use crate::board::Board;
use crate::store::SledStore;
use crate::writer::Writer;
use alloy_rlp::Decodable as _;
use std::time::{Duration, Instant};
use zk_replica_core::store::{Journal, Key, Store as _, StoreError};
use zk_replica_core::types::Head;

/// A commit is handed to the disk when it has so many records, or is so old: large ones are cheaper, and what has not
/// been handed over is in memory (some 20 MB).
const GROUP_RECORDS: usize = 50_000;
const GROUP_AGE: Duration = Duration::from_secs(2);

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
}

impl<'a> Disk<'a> {
    /// `base` is the store behind the journal.
    pub(crate) fn new(journal: &'a Journal<SledStore>, base: SledStore) -> Self {
        let writer = Writer::start(base.clone(), COMMITS_AHEAD);
        Self { journal, base, board: None, writer, sealed: Instant::now() }
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
        if pending < GROUP_RECORDS && (pending == 0 || self.sealed.elapsed() < GROUP_AGE) {
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
