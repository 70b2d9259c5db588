//! `zk-replica replay`: the one place where decoder, checker and store meet.
//!
//! Three stages on threads of their own: reading (decompress, decode, assemble) and preparing (senders, hashes) ahead of
//! everything, verifying on the caller's thread, and with a database writing behind it.

use crate::chain_files;
use crate::cli::Replay;
use crate::disk::{Disk, Group};
use crate::error::HostError;
use crate::evidence::Folder;
use crate::output::{Disagreement, Outcome, Summary};
use crate::pipeline::{self, Layout};
use crate::progress::Progress;
use crate::store::{Identity, SledStore};
use crate::stream_file::{StreamFile, StreamFileError};
use std::io::{self, Write as _};
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use zk_replica_core::checker::Mismatch;
use zk_replica_core::evidence::{Evidence, EvidenceError};
use zk_replica_core::replica::{Halt, Input, Replica};
use zk_replica_core::source::datastream::{Assembler, DecodeError, FileDecoder, Item};
use zk_replica_core::store::{Journal, Memory, Store, StoreError};
use zk_replica_core::types::Head;

/// Why a run could not find out. A disagreement is not among these: it is an [`Outcome`].
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReplayError {
    /// The stream's file.
    #[error(transparent)]
    Stream(#[from] StreamFileError),
    /// The stream's content.
    #[error("{path} is not a sound data stream: {error}", path = path.display())]
    Decode {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        error: DecodeError,
    },
    /// The stream holds no block.
    #[error("{path} ends before genesis", path = .0.display())]
    Empty(PathBuf),
    /// The database goes further than the stream: nothing was found out about the rest.
    #[error(
        "{path} ends at block {end}, before verified block {head} of the database: name the whole stream",
        path = path.display()
    )]
    Behind {
        /// The stream's file.
        path: PathBuf,
        /// Its last block.
        end: u64,
        /// The database's.
        head: u64,
    },
    /// The database goes further than `--to`.
    #[error(
        "the database {path} is already at block {head}, after block {to} of --to: leave --to out, or name another directory",
        path = path.display()
    )]
    Beyond {
        /// The database.
        path: PathBuf,
        /// Its last block.
        head: u64,
        /// What was asked for.
        to: u64,
    },
    /// The stream's parts are in an order that cannot be.
    #[error("{path} is not a sound data stream: {reason}", path = path.display())]
    Order {
        /// The file.
        path: PathBuf,
        /// What came when it could not.
        reason: &'static str,
    },
    /// Files, database, machine.
    #[error(transparent)]
    Host(#[from] HostError),
}

impl ReplayError {
    /// 1: the machine failed. 2: something the caller named cannot be used.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Host(error) => error.exit_code(),
            _ => 2,
        }
    }
}

impl From<StoreError> for ReplayError {
    fn from(error: StoreError) -> Self {
        Self::Host(error.into())
    }
}

/// Verifies the stream that `options` name, until its end, a disagreement, or `stop`.
pub(crate) fn run(options: &Replay, stop: &AtomicBool) -> Result<Outcome, ReplayError> {
    let (spec, genesis) = chain_files::read(&options.files).map_err(HostError::from)?;
    let chain_id = spec.chain_id;
    let stream = StreamFile::open(&options.stream)?;
    let run = Run { options, stop };
    let (end, head) = match &options.db {
        None => {
            let store = Memory::new();
            let mut replica = Replica::open(spec, genesis, &store)?;
            let end = run.verify(stream, &mut replica, &store, || Ok(()))?;
            (end, replica.head().cloned())
        }
        Some(path) => {
            let identity = Identity { chain_id, genesis: chain_files::identify(&genesis) };
            let base = SledStore::open(path, &identity).map_err(HostError::from)?;
            let journal = Journal::new(base.clone());
            let mut replica = Replica::open(spec, genesis, &journal)?;
            run.check_target(path, replica.head())?;
            let mut disk = Disk::new(&journal, base, Group::default());
            let end = run.verify(stream, &mut replica, &journal, || disk.keep_up());
            // What was verified before an error is kept, too.
            disk.finish()?;
            (end?, replica.head().cloned())
        }
    };
    let summary = |head: Option<Head>| match head {
        Some(head) => Ok(Summary::new(chain_id, &head, options.db.is_some())),
        None => Err(ReplayError::Empty(options.stream.clone())),
    };
    Ok(match end {
        End::Reached => Outcome::Verified(summary(head)?),
        End::Interrupted => Outcome::Interrupted(summary(head)?),
        End::Mismatch(mismatch) => Outcome::Mismatch(mismatch.into()),
    })
}

/// Why verifying ended.
enum End {
    /// The stream, or the block asked for, was reached.
    Reached,
    Interrupted,
    Mismatch(Mismatch),
}

/// A part of the stream, and how far into the stream it is.
struct Placed<T> {
    part: T,
    entry: u64,
    entries: u64,
}

struct Run<'a> {
    options: &'a Replay,
    stop: &'a AtomicBool,
}

impl Run<'_> {
    /// A database cannot say what was verified up to an earlier block: it counts up to its head.
    fn check_target(&self, path: &Path, head: Option<&Head>) -> Result<(), ReplayError> {
        match (head, self.options.to) {
            (Some(head), Some(to)) if to < head.number => {
                Err(ReplayError::Beyond { path: path.to_owned(), head: head.number, to })
            }
            _ => Ok(()),
        }
    }

    /// `after` is called after each part of the stream.
    fn verify<S: Store>(
        &self,
        stream: StreamFile,
        replica: &mut Replica,
        store: &S,
        mut after: impl FnMut() -> Result<(), StoreError>,
    ) -> Result<End, ReplayError> {
        let mut end = End::Reached;
        let mut last = None;
        let mut progress = None;
        let out_of_order = |reason| ReplayError::Order { path: self.options.stream.clone(), reason };
        let consume = |Placed { part, entry, entries }: Placed<Input>| {
            if let Input::Block(block) = &part {
                let number = block.input().number;
                if self.options.to.is_some_and(|to| number > to) {
                    return Ok(false);
                }
                last = Some(number);
            }
            match replica.advance(&part, store) {
                Ok(_) => {}
                Err(Halt::Mismatch(mismatch)) => {
                    self.keep_evidence(Evidence::of_input(replica, &part, store));
                    end = End::Mismatch(mismatch);
                    return Ok(false);
                }
                Err(Halt::Store(error)) => return Err(error.into()),
                Err(Halt::OutOfOrder(reason)) => return Err(out_of_order(reason)),
            }
            after()?;
            if let (Some(head), Some(last)) = (replica.head(), last) {
                let progress = progress.get_or_insert_with(|| match self.options.to {
                    Some(to) => Progress::start(to),
                    None => Progress::start(entries),
                });
                let position = if self.options.to.is_some() { last } else { entry };
                progress.update(position, head.totals.blocks, head.totals.transactions);
                if self.stop.load(Ordering::Relaxed) {
                    end = End::Interrupted;
                    return Ok(false);
                }
            }
            Ok(true)
        };
        pipeline::run(Layout::of_this_machine(), |send| self.read(stream, send), prepare, consume)?;
        match (&end, last, replica.head()) {
            (End::Reached, None, _) => Err(ReplayError::Empty(self.options.stream.clone())),
            (End::Reached, Some(end), Some(head)) if replica.resuming() => {
                Err(ReplayError::Behind { path: self.options.stream.clone(), end, head: head.number })
            }
            _ => Ok(end),
        }
    }

    fn keep_evidence(&self, found: Result<Option<Evidence>, EvidenceError>) {
        let Replay { evidence_dir, db, .. } = self.options;
        let folder = Folder::choose(evidence_dir.as_deref(), db.as_deref());
        if let Some(line) = folder.keep_and_tell(found) {
            // The result says what is wrong; whether anybody reads this line is no part of it.
            drop(writeln!(io::stderr(), "{line}"));
        }
    }

    /// Hands over the parts of the stream, until no more are wanted.
    fn read(
        &self,
        mut stream: StreamFile,
        send: &mut dyn FnMut(Placed<Item>, usize) -> bool,
    ) -> Result<(), ReplayError> {
        let unsound = |error| ReplayError::Decode { path: self.options.stream.clone(), error };
        let mut decoder = FileDecoder::new();
        let mut assembler = Assembler::new();
        let mut weight = 0;
        while let Some(chunk) = stream.next_chunk()? {
            decoder.push(chunk);
            while let Some(entry) = decoder.next().map_err(unsound)? {
                let number = entry.number;
                weight += pipeline::weight(&entry);
                let Some(part) = assembler.push(entry).map_err(unsound)? else {
                    continue;
                };
                let entries = decoder.header().map_or(0, |header| header.total_entries);
                let placed = Placed { part, entry: number, entries };
                if !send(placed, mem::take(&mut weight)) {
                    return Ok(());
                }
            }
        }
        decoder.finish().map_err(unsound)?;
        assembler.finish().map_err(unsound)
    }
}

/// Works out what needs no state.
fn prepare(Placed { part, entry, entries }: Placed<Item>) -> Placed<Input> {
    Placed { part: part.into(), entry, entries }
}

impl From<Mismatch> for Disagreement {
    fn from(mismatch: Mismatch) -> Self {
        Self {
            block: mismatch.block,
            batch: mismatch.batch,
            claim: mismatch.claim.to_string(),
            expected: mismatch.expected.to_string(),
            computed: mismatch.computed.to_string(),
        }
    }
}
