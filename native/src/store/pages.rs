//! sled, reduced to what the store needs: small values by name, batches, and a write that is really on the disk.

use super::record::{Kind, PIECE, checksum, name};
use super::sled::RELEASE;
use super::{Damage, Failure};
use sled::IVec;
use std::any::Any;
use std::cell::Cell;
use std::fs::{self, File};
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::Once;
#[cfg(test)]
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

/// What sled may keep in memory. It goes several times beyond.
const CACHE: u64 = 8 << 20;

/// sled's segment size. It is written into the database: opening with another one is refused.
const SEGMENT: usize = 512 << 10;

#[cfg(test)]
thread_local! {
    /// How many writes and syncs will succeed in files that this thread opens.
    pub(super) static PERMITS: Cell<u64> = const { Cell::new(u64::MAX) };
}

/// The files of sled, and the values in them.
#[derive(Debug)]
pub(super) struct Pages {
    db: sled::Db,
    /// sled's `flush` ends in `sync_file_range`, which writes no metadata and does not empty the disk's own cache.
    file: File,
    /// How many more writes and syncs succeed, in tests that let one fail.
    #[cfg(test)]
    permits: AtomicU64,
}

impl Pages {
    /// Opens or makes the files in `path`, which no other process may have open.
    ///
    /// When a database is closed, the lock on sled's file may be held for another moment, as ours may.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        remove_unfinished(path).map_err(|error| Failure::Io(error.to_string()))?;
        let deadline = Instant::now() + RELEASE;
        let db = loop {
            match open_sled(path) {
                Err(Failure::Io(reason)) if reason.contains(LOCKED) && Instant::now() < deadline => {
                    thread::sleep(RELEASE / 100);
                }
                opened => break opened?,
            }
        };
        let file = File::open(path.join("db")).map_err(|error| Failure::Io(error.to_string()))?;
        Ok(Self {
            db,
            file,
            #[cfg(test)]
            permits: AtomicU64::new(PERMITS.get()),
        })
    }

    /// There are no values at all.
    pub(super) fn is_empty(&self) -> Result<bool, Failure> {
        guarded(|| Ok(self.db.iter().next().transpose()?.is_none()))
    }

    /// The value, if there is one.
    pub(super) fn get(&self, name: [u8; 13]) -> Result<Option<IVec>, Failure> {
        guarded(|| self.db.get(name))
    }

    /// Every write and every sync passes here.
    #[cfg(not(test))]
    #[allow(clippy::unused_self, clippy::unnecessary_wraps, reason = "in tests it is used, and may fail")]
    fn permit(&self) -> Result<(), Failure> {
        Ok(())
    }

    /// Fails for ever when the permits are used up: a disk that fails once is not to be trusted with the next write.
    #[cfg(test)]
    fn permit(&self) -> Result<(), Failure> {
        let take = |left: u64| left.checked_sub(1);
        match self.permits.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) {
            Ok(_) => Ok(()),
            Err(_) => Err(Failure::Io("no space left on device (in a test)".to_owned())),
        }
    }

    /// How many writes and syncs there were.
    #[cfg(test)]
    pub(super) fn writes(&self) -> u64 {
        u64::MAX - self.permits.load(Ordering::Relaxed)
    }

    /// A value that must be there.
    pub(super) fn part(&self, kind: Kind, id: u64, part: u32) -> Result<IVec, Failure> {
        match self.get(name(kind, id, part))? {
            Some(bytes) => Ok(bytes),
            None => Err(Damage("a page is missing").into()),
        }
    }

    /// What [`Pages::write_joined`] wrote: exactly `len` bytes with this checksum.
    pub(super) fn joined(&self, kind: Kind, id: u64, len: usize, sum: u32) -> Result<Vec<u8>, Failure> {
        let mut bytes = Vec::with_capacity(len.min(1 << 20));
        for part in 0.. {
            if bytes.len() >= len {
                break;
            }
            let piece = self.part(kind, id, part)?;
            if piece.is_empty() {
                break;
            }
            bytes.extend_from_slice(&piece);
        }
        if bytes.len() != len {
            return Err(Damage("a long value has another length").into());
        }
        if checksum(kind, id, 0, &bytes) != sum {
            return Err(Damage("a long value's checksum is wrong").into());
        }
        Ok(bytes)
    }

    /// Writes a batch. All of it or nothing will be found after a crash, and nothing unless what was written before it.
    pub(super) fn write(&self, batch: sled::Batch) -> Result<(), Failure> {
        self.permit()?;
        guarded(|| self.db.apply_batch(batch))
    }

    /// Writes a value.
    pub(super) fn put(&self, kind: Kind, id: u64, part: u32, value: &[u8]) -> Result<(), Failure> {
        self.permit()?;
        guarded(|| self.db.insert(name(kind, id, part), value).map(drop))
    }

    /// Writes a long value in pieces, not atomically. Gives its checksum.
    pub(super) fn write_joined(&self, kind: Kind, id: u64, bytes: &[u8]) -> Result<u32, Failure> {
        (0..).zip(bytes.chunks(PIECE)).try_for_each(|(part, piece)| self.put(kind, id, part, piece))?;
        Ok(checksum(kind, id, 0, bytes))
    }

    /// Removes values, not atomically.
    pub(super) fn remove(&self, mut names: impl Iterator<Item = [u8; 13]>) -> Result<(), Failure> {
        names.try_for_each(|name| {
            self.permit()?;
            guarded(|| self.db.remove(name).map(drop))
        })
    }

    /// At most `limit` names of a kind with `from <= id < to`.
    pub(super) fn names(
        &self,
        kind: Kind,
        from: u64,
        to: u64,
        limit: usize,
    ) -> Result<Vec<[u8; 13]>, Failure> {
        guarded(|| {
            let keys = self.db.range(name(kind, from, 0)..name(kind, to, 0)).keys();
            let names = keys.map(|key| Ok(key?.as_ref().try_into().unwrap_or([0; 13])));
            names.take(limit).collect()
        })
    }

    /// Removes a run, or at most `limit` parts of it: `true` if that was all.
    pub(super) fn remove_run(&self, id: u64, limit: usize) -> Result<bool, Failure> {
        let mut names = self.names(Kind::Page, id, id + 1, limit)?;
        names.extend(self.names(Kind::Index, id, id + 1, limit - names.len())?);
        let all = names.len() < limit;
        self.remove(names.into_iter())?;
        Ok(all)
    }

    /// Returns when everything written so far is on the disk.
    pub(super) fn sync(&self) -> Result<(), Failure> {
        self.permit()?;
        guarded(|| self.db.flush())?;
        self.file.sync_data().map_err(|error| Failure::Io(error.to_string()))
    }
}

/// Removes what a process leaves that ends while sled makes a file, and over which sled would stumble when it opens the rest.
///
/// A snapshot, which tells sled where to begin to read, is made under the name `snap.<position>.generating`; but those that sled
/// passes over when it looks for the last one are called `.in___motion` (`Config::get_snapshot_files` of sled 0.34.7). Its
/// settings, `conf`, are written in two steps, before there is any data.
fn remove_unfinished(path: &Path) -> io::Result<()> {
    if !path.try_exists()? {
        return Ok(());
    }
    let has_data = path.join("db").try_exists()?;
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name();
        let text = name.to_string_lossy();
        let snapshot = text.starts_with("snap.") && text.ends_with(".generating");
        if snapshot || (text == "conf" && !has_data) {
            fs::remove_file(path.join(&name))?;
        }
    }
    Ok(())
}

/// What sled says of a file that is locked.
const LOCKED: &str = "could not acquire lock";

fn open_sled(path: &Path) -> Result<sled::Db, Failure> {
    guarded(|| {
        sled::Config::default()
            .path(path)
            .mode(sled::Mode::HighThroughput)
            .cache_capacity(CACHE)
            .segment_size(SEGMENT)
            .flush_every_ms(None)
            .open()
    })
}

/// Calls sled. Where its files are damaged it may panic: that, too, becomes a [`Failure`].
fn guarded<T>(call: impl FnOnce() -> sled::Result<T>) -> Result<T, Failure> {
    thread_local!(static QUIET: Cell<bool> = const { Cell::new(false) });
    static HOOK: Once = Once::new();
    // The message of a panic that becomes an error would only repeat it, in the words of sled's source.
    HOOK.call_once(|| {
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                report(info);
            }
        }));
    });
    let before = QUIET.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(call));
    QUIET.set(before);
    match result {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(sled::Error::Io(error))) => Err(Failure::Io(error.to_string())),
        Ok(Err(error)) => Err(Failure::Sled(error.to_string())),
        Err(panic) => Err(Failure::Sled(message_of(panic.as_ref()))),
    }
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    let line = text.and_then(|text| text.lines().next()).unwrap_or("no reason given");
    format!("sled stopped: {line}")
}
