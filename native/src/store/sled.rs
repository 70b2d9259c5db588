use super::record::{self, Kind, LONG, PIECE, Value, name};
use super::run::{self, Merge, PAGE, Run, RunInfo, RunWriter};
use super::{Failure, OpenError, Pages, REMEDY};
use alloy_primitives::{B256, Bytes};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::mem;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread;
use std::time::{Duration, Instant};
use zk_replica_core::store::{Commit, Key, Store, StoreError};

/// Version of everything that is written.
pub(crate) const VERSION: u32 = 5;

/// The logs become a run when they have this many records, bytes, or commits.
const LOG_RECORDS: usize = 16_384;
const LOG_BYTES: usize = 8 << 20;
const LOG_COMMITS: usize = 256;

/// So many runs of a level become one of the next.
const FANOUT: usize = 16;

/// With each commit, every merge goes on by this many records and twice those of the commit. So it has ended when half as
/// many records have come as it has to merge, and no commit waits for a whole merge.
const STRIDE: usize = 64;

/// And it goes on by at least this share of its records, up to a bound that takes some hundredths of a second: a merge that
/// has not ended when the process does begins anew, so it must not take days.
const SHARES: u64 = 512;
const MOST_AT_ONCE: u64 = 16_384;

/// When a level has so many runs nevertheless, they are merged at once. That bounds what each read and the commit record
/// have to look at, however often the process is ended.
const MOST_RUNS: usize = 4 * FANOUT;

/// A log of at most so many bytes is part of the batch that makes it count; a longer one is written and synced before.
const LOG_IN_BATCH: usize = 128 << 10;

/// Which chain a database holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Chain id.
    pub(crate) chain_id: u64,
    /// What the chain began with: tells two chains of the same id apart.
    pub(crate) genesis: B256,
}

/// How many runs and records there are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    /// Sorted runs.
    pub(crate) runs: usize,
    /// Records in them and in the logs, replaced ones among them.
    pub(crate) records: u64,
}

/// A run that was read in full, or until it could not.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    /// Its number.
    pub(crate) run: u64,
    /// How many records it should have.
    pub(crate) records: u64,
    /// What is wrong with it.
    pub(crate) damage: Option<String>,
}

/// Records on disk: an archive, nothing is ever released.
///
/// [`Store::apply`] returns when the commit is on the disk. Clones are handles to the same files; readers wait for a
/// write only in the moment in which it is published.
#[derive(Clone, Debug)]
pub(crate) struct SledStore(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    pages: Pages,
    counter: Counter,
    view: RwLock<View>,
    writer: Mutex<Writer>,
    /// [`LOG_RECORDS`]; tests see more runs and merges with fewer.
    log_records: usize,
    /// After the files, which must be closed before another process may open them.
    _lock: File,
}

/// What readers see.
#[derive(Debug, Default)]
struct View {
    head: Option<Bytes>,
    log: Log,
    /// Oldest first.
    runs: Vec<Run>,
}

/// The records of all logs, by encoded key.
#[derive(Debug, Default)]
struct Log {
    records: BTreeMap<Box<[u8]>, Bytes>,
    bytes: usize,
}

#[derive(Debug)]
struct Writer {
    manifest: Manifest,
    /// At most one of a level. They are not kept: after an opening they begin anew.
    merges: Vec<Merge>,
    /// A write failed. What the files hold is known again when they have been opened anew.
    failed: bool,
}

/// Which logs and runs count, and the head: the commit record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    /// How often it was replaced.
    commits: u64,
    /// The head record; none in a database without a block.
    head: Option<Bytes>,
    /// The number for the next run, log or long record. What has this number or a higher one does not count.
    next_id: u64,
    /// Oldest first.
    logs: Vec<LogInfo>,
    /// Oldest first.
    runs: Vec<RunInfo>,
    /// Numbers of runs of which something may be there and does not count: those that were merged into others, and those
    /// that others are being merged into.
    dead: Vec<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct LogInfo {
    id: u64,
    len: u64,
    sum: u32,
}

/// A record and its encoded key.
type Keyed<'a> = (&'a [u8], &'a Bytes);

impl SledStore {
    /// Opens a database that is there, whichever chain it holds.
    pub(crate) fn open_existing(path: &Path) -> Result<(Self, Identity), OpenError> {
        let identity = Identity::read(path)?;
        Ok((Self::open(path, &identity)?, identity))
    }

    /// Opens the database in the directory `path`, or makes one if there is nothing yet.
    pub(crate) fn open(path: &Path, identity: &Identity) -> Result<Self, OpenError> {
        Self::open_sized(path, identity, LOG_RECORDS)
    }

    pub(super) fn open_sized(
        path: &Path,
        identity: &Identity,
        log_records: usize,
    ) -> Result<Self, OpenError> {
        let lock = lock(path)?;
        let known = check_format(path, identity)?;
        let failed = |failure: Failure| match failure {
            Failure::Io(reason) => cannot("open", &path.join("sled"))(io::Error::other(reason)),
            other => OpenError::Damaged { path: path.to_owned(), reason: other.to_string() },
        };
        let pages = Pages::open(&path.join("sled")).map_err(failed)?;
        let manifest = read_manifest(&pages, known).map_err(failed)?;
        if !known {
            Counter::create(path)?;
            create_format(path, identity)?;
        }
        let (counter, commits) = Counter::open(path)?;
        if manifest.commits < commits {
            // sled forgets what stands behind a damaged part of its file, without a word.
            let missing = commits - manifest.commits;
            return Err(failed(Failure::Sled(format!("the last {missing} of {commits} commits are gone"))));
        }
        remove_debris(&pages, &manifest).map_err(failed)?;
        let view = View::load(&pages, &manifest).map_err(failed)?;
        Ok(Self(Arc::new(Inner {
            pages,
            counter,
            view: RwLock::new(view),
            writer: Mutex::new(Writer { manifest, merges: Vec::new(), failed: false }),
            log_records,
            _lock: lock,
        })))
    }

    /// Reads all that counts, and calls `found` with each record: its key as bytes, and its value. Whatever a run
    /// or a log has not as it was written is told to `damaged`, and the next one is read.
    ///
    /// A record that was replaced may come, too, before the one that replaced it.
    pub(crate) fn scan(&self, mut part: impl FnMut(Part), mut found: impl FnMut(&[u8], &[u8])) {
        let view = self.0.view();
        for run in &view.runs {
            let result = run.check(&self.0.pages, |key, value| match value {
                Value::Short(record) => {
                    found(key, record);
                    Ok(())
                }
                Value::Long { id, len, sum } => {
                    let record = self.0.pages.joined(Kind::Long, id, len as usize, sum)?;
                    found(key, &record);
                    Ok(())
                }
            });
            part(Part {
                run: run.info.id,
                records: run.info.records,
                damage: result.err().map(|f| f.to_string()),
            });
        }
        view.log.records.iter().for_each(|(key, record)| found(key, record));
    }

    /// What it consists of.
    pub(crate) fn extent(&self) -> Extent {
        let view = self.0.view();
        Extent {
            runs: view.runs.len(),
            records: view.runs.iter().map(|run| run.info.records).sum::<u64>()
                + view.log.records.len() as u64,
        }
    }

    #[cfg(test)]
    pub(super) fn runs(&self) -> Vec<RunInfo> {
        self.0.view().runs.iter().map(|run| run.info.clone()).collect()
    }

    #[cfg(test)]
    pub(super) fn writes(&self) -> u64 {
        self.0.pages.writes()
    }
}

impl Store for SledStore {
    fn get(&self, key: &Key) -> Result<Option<Bytes>, StoreError> {
        let pages = &self.0.pages;
        self.0.view().get(key, pages).map_err(|failure| match failure {
            Failure::Damage(reason) => StoreError::Corrupt { key: *key, reason },
            other => host(&other),
        })
    }

    fn apply(&self, commit: &Commit) -> Result<(), StoreError> {
        let mut writer = self.0.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if writer.failed {
            let reason = "an earlier write failed; start again to continue from the last commit";
            return Err(StoreError::Host(reason.to_owned()));
        }
        // Stays set when the lines below return early, or panic.
        writer.failed = true;
        self.0.write(&mut writer, commit).map_err(|failure| host(&failure))?;
        writer.failed = false;
        Ok(())
    }
}

fn host(failure: &Failure) -> StoreError {
    StoreError::Host(match failure {
        Failure::Io(reason) => reason.clone(),
        Failure::Sled(reason) => damaged(reason),
        Failure::Damage(reason) => damaged(reason),
    })
}

fn damaged(reason: &str) -> String {
    format!("the database is damaged ({reason}): `zk-replica db check --db DIR` says where, {REMEDY}")
}

impl Inner {
    fn view(&self) -> RwLockReadGuard<'_, View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn view_mut(&self) -> RwLockWriteGuard<'_, View> {
        self.view.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, writer: &mut Writer, commit: &Commit) -> Result<(), Failure> {
        let manifest = &mut writer.manifest;
        let (heads, records): (Vec<_>, Vec<_>) = commit
            .records()
            .iter()
            .map(|(key, record)| (key.encode(), record))
            .partition(|(key, _)| key.as_ref() == Key::Head.encode().as_ref());
        let head = heads.last().map(|(_, head)| *head);
        let records = sorted(records.iter().map(|(key, record)| (key.as_ref(), *record)));
        let bytes: usize = records.iter().map(|(key, record)| key.len() + record.len()).sum();
        let (log_records, log_bytes) = {
            let log = &self.view().log;
            (log.records.len(), log.bytes)
        };
        let fits = log_records + records.len() <= self.log_records
            && log_bytes + bytes <= LOG_BYTES
            && manifest.logs.len() < LOG_COMMITS;
        if fits {
            self.write_log(manifest, &records, head)?;
        } else {
            self.write_run(manifest, &records, head)?;
        }
        self.tidy(writer, STRIDE + 2 * records.len())
    }

    fn write_log(
        &self,
        manifest: &mut Manifest,
        new: &[Keyed<'_>],
        head: Option<&Bytes>,
    ) -> Result<(), Failure> {
        let mut bytes = Vec::new();
        for (key, record) in new {
            record::encode(&mut bytes, key, Value::Short(record));
        }
        let mut batch = sled::Batch::default();
        if !bytes.is_empty() {
            let id = manifest.take_id();
            let sum = if bytes.len() <= LOG_IN_BATCH {
                for (part, piece) in (0..).zip(bytes.chunks(PIECE)) {
                    batch.insert(&name(Kind::Log, id, part), piece);
                }
                record::checksum(Kind::Log, id, 0, &bytes)
            } else {
                let sum = self.pages.write_joined(Kind::Log, id, &bytes)?;
                self.pages.sync()?;
                sum
            };
            let len = bytes.len() as u64;
            manifest.logs.push(LogInfo { id, len, sum });
        }
        self.make_count(manifest, head, batch)?;

        let mut view = self.view_mut();
        for (key, record) in new {
            view.log.insert(key, (*record).clone());
        }
        view.replace_head(head);
        Ok(())
    }

    /// Writes the new records, and with them those of the logs, as a run.
    fn write_run(
        &self,
        manifest: &mut Manifest,
        new: &[Keyed<'_>],
        head: Option<&Bytes>,
    ) -> Result<(), Failure> {
        let id = manifest.take_id();
        let run = {
            let view = self.view();
            let log = view.log.records.iter().map(|(key, record)| (&**key, record));
            let records = sorted(log.chain(new.iter().copied()));
            let lens = records.iter().map(|(key, record)| record::most(key, record));
            let room =
                u32::try_from(lens.sum::<usize>().div_ceil(PAGE)).expect("a commit has less than 16 TB");
            let mut writer = RunWriter::new(id, 0, records.len() as u64, room);
            for (key, record) in records {
                if record.len() <= LONG {
                    writer.push(key, Value::Short(record), &self.pages)?;
                } else {
                    let id = manifest.take_id();
                    let sum = self.pages.write_joined(Kind::Long, id, record)?;
                    let len = u32::try_from(record.len()).expect("records are shorter than 4 GB");
                    writer.push(key, Value::Long { id, len, sum }, &self.pages)?;
                }
            }
            writer.finish(&self.pages)?
        };
        self.pages.sync()?;
        manifest.runs.push(run.info.clone());
        let logs = mem::take(&mut manifest.logs);
        self.make_count(manifest, head, sled::Batch::default())?;

        let mut view = self.view_mut();
        view.runs.push(run);
        view.log = Log::default();
        view.replace_head(head);
        drop(view);
        self.pages.remove(logs.iter().flat_map(LogInfo::names))
    }

    /// Goes on with what keeps runs few: merges, and the removal of runs that were merged.
    fn tidy(&self, writer: &mut Writer, work: usize) -> Result<(), Failure> {
        let Writer { manifest, merges, .. } = writer;
        while let Some(runs) = manifest.mergeable(merges) {
            let id = manifest.take_id();
            merges.push(Merge::new(&manifest.runs[runs], id));
            manifest.dead.push(id);
        }
        for mut merge in mem::take(merges) {
            let share = (merge.records / SHARES).min(MOST_AT_ONCE).max(work as u64);
            let records = if merge.width() < MOST_RUNS { share } else { u64::MAX };
            if merge.step(records, &self.pages)? {
                merges.push(merge);
            } else {
                self.end_merge(manifest, merge)?;
            }
        }
        // Nobody reads them any more: a reader keeps the view locked while it reads.
        if let Some(at) = manifest.dead.iter().position(|id| merges.iter().all(|merge| merge.id() != *id))
            && self.pages.remove_run(manifest.dead[at], work)?
        {
            manifest.dead.remove(at);
        }
        Ok(())
    }

    /// The run that was written takes the place of those that it was made of.
    fn end_merge(&self, manifest: &mut Manifest, merge: Merge) -> Result<(), Failure> {
        let count = manifest.runs.iter().filter(|run| merge.reads(run)).count();
        let first = manifest.runs.iter().take_while(|run| !merge.reads(run)).count();
        let run = merge.finish(&self.pages)?;
        self.pages.sync()?;
        manifest.dead.retain(|id| *id != run.info.id);
        let merged = manifest.runs.splice(first..first + count, [run.info.clone()]);
        manifest.dead.extend(merged.map(|run| run.id));
        self.make_count(manifest, None, sled::Batch::default())?;
        self.view_mut().runs.splice(first..first + count, [run]);
        Ok(())
    }

    /// The one moment in which a commit happens: an atomic batch, after all that it refers to, and then the disk.
    fn make_count(
        &self,
        manifest: &mut Manifest,
        head: Option<&Bytes>,
        mut batch: sled::Batch,
    ) -> Result<(), Failure> {
        if let Some(head) = head {
            manifest.head = Some(head.clone());
        }
        manifest.commits += 1;
        batch.insert(&name(Kind::Manifest, 0, 0), manifest.encode());
        self.pages.write(batch)?;
        self.pages.sync()?;
        self.counter.write(manifest.commits)
    }
}

/// By key, each key once: of several records the last one stays.
fn sorted<'a>(records: impl Iterator<Item = Keyed<'a>>) -> Vec<Keyed<'a>> {
    let mut records: Vec<_> = records.collect();
    records.sort_by_key(|(key, _)| *key);
    records.dedup_by(|later, earlier| {
        let same = later.0 == earlier.0;
        if same {
            *earlier = *later;
        }
        same
    });
    records
}

impl View {
    fn load(pages: &Pages, manifest: &Manifest) -> Result<Self, Failure> {
        let mut view = Self { head: manifest.head.clone(), ..Self::default() };
        for info in &manifest.runs {
            view.runs.push(Run::load(info.clone(), pages)?);
        }
        for log in &manifest.logs {
            let len =
                usize::try_from(log.len).map_err(|_| Failure::Damage("a log has an impossible length"))?;
            let bytes = pages.joined(Kind::Log, log.id, len, log.sum)?;
            let mut rest = bytes.as_slice();
            while let Some((key, value)) = record::decode(&mut rest)? {
                let Value::Short(record) = value else {
                    return Err(Failure::Damage("a log refers to a long record"));
                };
                view.log.insert(key, Bytes::copy_from_slice(record));
            }
        }
        Ok(view)
    }

    fn get(&self, key: &Key, pages: &Pages) -> Result<Option<Bytes>, Failure> {
        if *key == Key::Head {
            return Ok(self.head.clone());
        }
        let key = key.encode();
        let key = key.as_ref();
        if let Some(record) = self.log.records.get(key) {
            return Ok(Some(record.clone()));
        }
        let hash = run::hash(key);
        for run in self.runs.iter().rev() {
            let found = run.get(key, hash, pages, |value| match value {
                Value::Short(record) => Ok(Bytes::copy_from_slice(record)),
                Value::Long { id, len, sum } => {
                    pages.joined(Kind::Long, id, len as usize, sum).map(Bytes::from)
                }
            })?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    fn replace_head(&mut self, head: Option<&Bytes>) {
        if let Some(head) = head {
            self.head = Some(head.clone());
        }
    }
}

impl Log {
    fn insert(&mut self, key: &[u8], record: Bytes) {
        self.bytes += key.len() + record.len();
        if let Some(replaced) = self.records.insert(key.into(), record) {
            self.bytes -= key.len() + replaced.len();
        }
    }
}

impl LogInfo {
    fn names(&self) -> impl Iterator<Item = [u8; 13]> {
        let id = self.id;
        (0..).zip((0..self.len).step_by(PIECE)).map(move |(part, _)| name(Kind::Log, id, part))
    }
}

impl Manifest {
    /// JSON, and behind it the checksum.
    fn encode(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec(self).expect("a manifest has only numbers, bytes and lists");
        record::seal(Kind::Manifest, 0, 0, &mut bytes);
        bytes
    }

    fn decode(bytes: &[u8]) -> Result<Self, Failure> {
        let len = record::unseal(Kind::Manifest, 0, 0, bytes)
            .map_err(|_| Failure::Damage("the commit record's checksum is wrong"))?;
        serde_json::from_slice(&bytes[..len]).map_err(|_| Failure::Damage("the commit record cannot be read"))
    }

    fn take_id(&mut self) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    /// Runs that are to be merged. Only neighbours in age may be, or an older record would replace a younger one: those of
    /// a level are neighbours, for the older they are the higher is their level.
    fn mergeable(&self, merges: &[Merge]) -> Option<Range<usize>> {
        let mut first = 0;
        for level in self.runs.chunk_by(|older, younger| older.level == younger.level) {
            let busy = level.iter().any(|run| merges.iter().any(|merge| merge.reads(run)));
            if level.len() >= FANOUT && !busy {
                return Some(first..first + level.len());
            }
            first += level.len();
        }
        None
    }
}

/// The manifest; for a new database, an empty one is written. `known`: the format file says that there is a database.
fn read_manifest(pages: &Pages, known: bool) -> Result<Manifest, Failure> {
    if let Some(bytes) = pages.get(name(Kind::Manifest, 0, 0))? {
        let manifest = Manifest::decode(&bytes)?;
        // Without the format file, creation was interrupted before anything could be stored.
        if known || manifest == Manifest::default() {
            return Ok(manifest);
        }
        return Err(Failure::Damage("the format file is missing"));
    }
    // sled makes a new file where it finds none, and forgets the end of one that was cut.
    if known || !pages.is_empty()? {
        return Err(Failure::Damage("the commit record is missing"));
    }
    let manifest = Manifest::default();
    let mut batch = sled::Batch::default();
    batch.insert(&name(Kind::Manifest, 0, 0), manifest.encode());
    pages.write(batch)?;
    pages.sync()?;
    Ok(manifest)
}

/// Removes what a crash left behind, but for runs that the manifest knows to be dead: they go with the next commits.
fn remove_debris(pages: &Pages, manifest: &Manifest) -> Result<(), Failure> {
    for kind in [Kind::Page, Kind::Index, Kind::Long] {
        pages.remove(pages.names(kind, manifest.next_id, u64::MAX, usize::MAX)?.into_iter())?;
    }
    let live: Vec<_> = manifest.logs.iter().flat_map(LogInfo::names).collect();
    let mut logs = pages.names(Kind::Log, 0, u64::MAX, usize::MAX)?;
    logs.retain(|name| live.binary_search(name).is_err());
    pages.remove(logs.into_iter())
}

/// How long a lock is waited for. One that was just given up may be held for another moment: by a process that is ending,
/// or by a child that was started meanwhile and has inherited it until it runs its own program.
pub(super) const RELEASE: Duration = Duration::from_secs(1);

fn cannot(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    let path = PathBuf::from(path);
    move |error| OpenError::Io { action, path, error }
}

/// Makes the directory and locks it.
pub(crate) fn lock(path: &Path) -> Result<File, OpenError> {
    match fs::metadata(path) {
        Ok(metadata) if !metadata.is_dir() => return Err(OpenError::NotADirectory(path.to_owned())),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(path).map_err(cannot("make", path))?;
        }
        Err(error) => return Err(cannot("read", path)(error)),
    }
    // Before the lock: no file of ours goes into the directory of somebody else.
    refuse_foreign(path)?;
    let name = path.join("lock");
    let mut options = File::options();
    let file = options.create(true).truncate(false).write(true).open(&name).map_err(cannot("open", &name))?;
    let deadline = Instant::now() + RELEASE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => thread::sleep(RELEASE / 100),
            Err(TryLockError::WouldBlock) => return Err(OpenError::Locked(path.to_owned())),
            Err(TryLockError::Error(error)) => return Err(cannot("lock", &name)(error)),
        }
    }
}

/// A directory is ours if it has a format file, or nothing but what an interrupted creation leaves.
fn refuse_foreign(path: &Path) -> Result<(), OpenError> {
    if path.join("format").exists() {
        return Ok(());
    }
    for entry in fs::read_dir(path).map_err(cannot("read", path))? {
        let found = entry.map_err(cannot("read", path))?.file_name();
        if !["lock", "sled", "committed", "format.new"].iter().any(|ours| found == *ours) {
            return Err(OpenError::Foreign {
                path: path.to_owned(),
                found: found.to_string_lossy().into_owned(),
            });
        }
    }
    Ok(())
}

/// How many commits are on the disk at least, in a file beside sled's. It is written after each commit and not synced: a
/// count that is too low does no harm.
#[derive(Debug)]
struct Counter(File);

impl Counter {
    const NAME: &str = "committed";

    fn create(path: &Path) -> Result<(), OpenError> {
        let name = path.join(Self::NAME);
        let write = || {
            let mut file = File::create(&name)?;
            file.write_all(&Self::encode(0))?;
            file.sync_all()
        };
        write().map_err(cannot("write", &name))
    }

    fn open(path: &Path) -> Result<(Self, u64), OpenError> {
        let name = path.join(Self::NAME);
        let damaged = || OpenError::Damaged {
            path: path.to_owned(),
            reason: "the count of commits is lost".to_owned(),
        };
        let bytes = match fs::read(&name) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(damaged()),
            Err(error) => return Err(cannot("read", &name)(error)),
        };
        let commits = bytes.first_chunk().map(|number| u64::from_be_bytes(*number)).unwrap_or_default();
        if bytes != Self::encode(commits) {
            return Err(damaged());
        }
        let file = File::options().write(true).open(&name).map_err(cannot("open", &name))?;
        Ok((Self(file), commits))
    }

    fn encode(commits: u64) -> Vec<u8> {
        let mut bytes = commits.to_be_bytes().to_vec();
        record::seal(Kind::Manifest, 0, 0, &mut bytes);
        bytes
    }

    fn write(&self, commits: u64) -> Result<(), Failure> {
        let mut file = &self.0;
        let write = file.seek(SeekFrom::Start(0)).and_then(|_| file.write_all(&Self::encode(commits)));
        write.map_err(|error| Failure::Io(error.to_string()))
    }
}

fn format_text(version: u32, identity: &Identity) -> String {
    let Identity { chain_id, genesis } = identity;
    format!("zk-replica database\nversion {version}\nchain {chain_id}\ngenesis {genesis}\n")
}

impl Identity {
    /// Which chain the database in `path` holds.
    pub(crate) fn read(path: &Path) -> Result<Self, OpenError> {
        read_format(path)?.ok_or_else(|| OpenError::None(path.to_owned()))
    }
}

/// Holds the format file against what is expected; `false` if there is none.
fn check_format(path: &Path, identity: &Identity) -> Result<bool, OpenError> {
    let Some(found) = read_format(path)? else {
        return Ok(false);
    };
    let path = path.to_owned();
    if found.chain_id != identity.chain_id {
        let (found, expected) = (found.chain_id, identity.chain_id);
        return Err(OpenError::Chain { path, found, expected });
    }
    if found.genesis != identity.genesis {
        let Identity { chain_id: chain, genesis: expected } = *identity;
        return Err(OpenError::Genesis { path, chain, found: found.genesis, expected });
    }
    Ok(true)
}

/// Reads the format file, if there is one.
fn read_format(path: &Path) -> Result<Option<Identity>, OpenError> {
    let name = path.join("format");
    let bytes = match fs::read(&name) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(cannot("read", &name)(error)),
    };
    let text = String::from_utf8_lossy(&bytes);
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let path = path.to_owned();
    let damaged =
        || OpenError::Damaged { path: path.clone(), reason: "the format file cannot be read".to_owned() };
    let version = field("version").ok_or_else(damaged)?;
    if version != VERSION.to_string() {
        let (found, expected) = (version.to_owned(), VERSION);
        return Err(OpenError::Version { path, found, expected });
    }
    let chain_id = field("chain").and_then(|text| text.parse().ok()).ok_or_else(damaged)?;
    let genesis = field("genesis").and_then(|text| text.parse().ok()).ok_or_else(damaged)?;
    Ok(Some(Identity { chain_id, genesis }))
}

/// Writes the format file: it is there in full, or not at all.
fn create_format(path: &Path, identity: &Identity) -> Result<(), OpenError> {
    let name = path.join("format.new");
    let write = || {
        let mut file = File::create(&name)?;
        file.write_all(format_text(VERSION, identity).as_bytes())?;
        file.sync_all()?;
        fs::rename(&name, path.join("format"))?;
        // The names of the new files are content of the directories, which need a sync of their own.
        for directory in [path.join("sled"), path.to_owned()] {
            File::open(directory)?.sync_all()?;
        }
        match path.canonicalize()?.parent() {
            Some(parent) => File::open(parent)?.sync_all(),
            None => Ok(()),
        }
    };
    write().map_err(cannot("write", &name))
}
