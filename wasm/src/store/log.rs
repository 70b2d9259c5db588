//! A log of groups. A group is what was gathered between two writes: a header with its length and checksums, then records.
//! It is there in full or not at all, and then nothing behind it is.
//!
//! ```text
//! log     header (64 bytes), then groups
//! group   "zkgr", sequence (8), bytes of records (4), their CRC-32 (4), CRC-32 of what stands before it (4), records
//! record  length of key (1), key, length (4), content, zeros up to a multiple of 8
//! ```
//!
//! All numbers are little-endian. Without a disk the same log is in memory.

use super::{
    File, FileError,
    check::foreign,
    index::{Index, REACH},
    pages::{Cache, PAGE, Pages},
};
use alloc::{
    boxed::Box,
    string::{String, ToString},
    vec,
    vec::Vec,
};
use alloy_primitives::{B256, Bytes};
use alloy_rlp::Decodable as _;
use core::cell::RefCell;
use crc::{CRC_32_ISO_HDLC, Crc};
use zk_replica_core::{
    store::{Commit, Key, Store, StoreError},
    types::{BlockRecord, Head},
};

/// CRC-32 as in zip files.
static CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

const MAGIC: &[u8; 16] = b"zk-replica log 1";
const HEADER: usize = 64;
const GROUP: &[u8; 4] = b"zkgr";
const GROUP_HEADER: usize = 24;

/// Records begin at multiples of it, as the index has it.
const ALIGN: usize = 8;

/// Bytes that are read at once when a log is opened.
const CHUNK: usize = 1 << 20;

/// Bytes of records in a group: more is written before it is asked for.
const FULL: usize = 64 << 20;

/// Whose log it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) chain_id: u64,
    /// Tells genesis states apart, and the rules by which blocks were verified.
    pub(crate) origin: B256,
}

impl Identity {
    fn header(&self) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        header[..16].copy_from_slice(MAGIC);
        header[16..24].copy_from_slice(&self.chain_id.to_le_bytes());
        header[24..56].copy_from_slice(self.origin.as_slice());
        let crc = CRC.checksum(&header[..60]);
        header[60..].copy_from_slice(&crc.to_le_bytes());
        header
    }
}

/// Why a log cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OpenError {
    /// The disk.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Records that were verified, all of them: nothing is ever released.
pub(crate) struct LogStore(RefCell<Log>);

struct Log {
    disk: Option<Disk>,
    index: Index,
    /// What the disk has not; without one, everything.
    tail: Pages,
    /// Where the group that is being gathered begins: its header is in the tail already, without content.
    open: Option<u64>,
    /// Where the tail begins.
    written: u64,
    sequence: u64,
    /// Up to here it was found on the disk: another than this program may have put it there.
    found: u64,
}

struct Disk {
    file: Box<dyn File>,
    cache: Cache,
    /// Nothing has failed to be written.
    writes: bool,
}

impl LogStore {
    /// A log in memory.
    pub(crate) fn in_memory(identity: Identity, seed: u64) -> Self {
        let mut tail = Pages::default();
        tail.push(&identity.header());
        Self(RefCell::new(Log {
            disk: None,
            index: Index::new(seed),
            tail,
            open: None,
            written: 0,
            sequence: 0,
            found: 0,
        }))
    }

    /// The log that is in `file`, up to the first group that is not whole; what stands behind is cut off. What is no log
    /// of this chain makes place for an empty one.
    pub(crate) fn open(file: Box<dyn File>, identity: Identity, seed: u64) -> Result<Self, OpenError> {
        let size = file.size()?;
        let mut header = [0; HEADER];
        if size >= HEADER as u64 {
            file.read(0, &mut header)?;
        }
        let index = Index::new(seed);
        let mut log = Log {
            disk: Some(Disk { file, cache: Cache::default(), writes: true }),
            index,
            tail: Pages::default(),
            open: None,
            written: HEADER as u64,
            sequence: 0,
            found: 0,
        };
        if header == identity.header() {
            log.load(size)?;
        }
        if log.is_damaged() {
            // The head is not that of the blocks: it is begun anew.
            log.index = Index::new(seed);
            (log.written, log.sequence) = (HEADER as u64, 0);
        }
        log.found = log.written;
        if let Some(disk) = &log.disk
            && (size != log.written || header != identity.header())
        {
            disk.file.truncate(log.written.min(size))?;
            disk.file.write(0, &identity.header())?;
            disk.file.flush()?;
        }
        Ok(Self(RefCell::new(log)))
    }

    /// Bytes, on disk and in memory.
    pub(crate) fn len(&self) -> u64 {
        self.0.borrow().end()
    }

    /// How many records there are.
    #[cfg(test)]
    pub(crate) fn records(&self) -> usize {
        self.0.borrow().index.len()
    }

    /// There is a disk, and it works.
    pub(crate) fn is_kept(&self) -> bool {
        self.0.borrow().is_kept()
    }

    /// Bytes that a crash would lose.
    pub(crate) fn pending(&self) -> usize {
        self.0.borrow().tail.len()
    }

    /// Writes what was gathered. When that fails, nothing is written from then on, and everything stays readable: what
    /// comes is kept in memory.
    pub(crate) fn flush(&self) -> Result<(), FileError> {
        self.0.borrow_mut().flush()
    }
}

impl Store for LogStore {
    fn get(&self, key: &Key) -> Result<Option<Bytes>, StoreError> {
        self.0.borrow_mut().get(key)
    }

    fn apply(&self, commit: &Commit) -> Result<(), StoreError> {
        let mut log = self.0.borrow_mut();
        for (key, record) in commit.records() {
            log.put(key, record)?;
        }
        Ok(())
    }
}

impl Log {
    fn is_kept(&self) -> bool {
        self.disk.as_ref().is_some_and(|disk| disk.writes)
    }

    fn end(&self) -> u64 {
        self.written + self.tail.len() as u64
    }

    fn get(&mut self, key: &Key) -> Result<Option<Bytes>, StoreError> {
        let bytes = key.encode();
        let Some(at) = self.find(bytes.as_ref())? else { return Ok(None) };
        let start = at + 1 + bytes.as_ref().len() as u64;
        let mut length = [0; 4];
        self.read(start, &mut length)?;
        let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or_default();
        if start + length as u64 > self.end() {
            return Err(StoreError::Corrupt { key: *key, reason: "it reaches behind the log" });
        }
        let mut record = vec![0; length];
        self.read(start + 4, &mut record)?;
        if at < self.found
            && let Some(reason) = foreign(key, &record)
        {
            return Err(StoreError::Corrupt { key: *key, reason });
        }
        Ok(Some(record.into()))
    }

    fn find(&mut self, key: &[u8]) -> Result<Option<u64>, StoreError> {
        let Self { index, disk, tail, written, .. } = self;
        let mut found = [0; Key::MAX_LEN + 1];
        index.find(key, |at| {
            let found = &mut found[..=key.len()];
            read(disk.as_mut(), tail, *written, at, found)?;
            Ok::<_, StoreError>(usize::from(found[0]) == key.len() && found[1..] == *key)
        })
    }

    fn put(&mut self, key: &Key, record: &[u8]) -> Result<(), StoreError> {
        let bytes = key.encode();
        let bytes = bytes.as_ref();
        let before = self.find(bytes)?;
        // What is called by its hash is there already, and the same.
        if before.is_some() && matches!(key, Key::Node(_) | Key::Value(_) | Key::Code(_)) {
            return Ok(());
        }
        if self.open.is_some_and(|open| self.end() - open > FULL as u64) {
            self.close();
        }
        if self.open.is_none() {
            self.open = Some(self.end());
            self.tail.push(&[0; GROUP_HEADER]);
        }
        let at = self.end();
        let length = u32::try_from(record.len())
            .map_err(|_| StoreError::Host("a record of more than 4 GiB".to_string()))?;
        if at + record.len() as u64 + 64 > REACH {
            return Err(StoreError::Host("the log is full: it has 32 GiB".to_string()));
        }
        self.tail.push(&[u8::try_from(bytes.len()).unwrap_or_default()]);
        self.tail.push(bytes);
        self.tail.push(&length.to_le_bytes());
        self.tail.push(record);
        let used = 1 + bytes.len() + 4 + record.len();
        self.tail.push(&[0; ALIGN][..used.next_multiple_of(ALIGN) - used]);
        self.index.put(bytes, before, at);
        Ok(())
    }

    /// Ends the group that is being gathered: gives it its header.
    fn close(&mut self) {
        let Some(open) = self.open.take() else { return };
        let start = usize::try_from(open - self.written).unwrap_or_default();
        let (mut crc, mut at) = (CRC.digest(), 0);
        for slice in self.tail.slices() {
            let skipped = (start + GROUP_HEADER).saturating_sub(at).min(slice.len());
            crc.update(&slice[skipped..]);
            at += slice.len();
        }
        let length = u32::try_from(at - start - GROUP_HEADER).unwrap_or_default();
        let header = group_header(self.sequence, length, crc.finalize());
        self.tail.patch(start, &header);
        self.sequence += 1;
    }

    fn flush(&mut self) -> Result<(), FileError> {
        if !self.is_kept() || self.tail.len() == 0 {
            return Ok(());
        }
        self.close();
        let Some(disk) = &mut self.disk else { return Ok(()) };
        let mut at = self.written;
        let mut write = || {
            for slice in self.tail.slices() {
                disk.file.write(at, slice)?;
                at += slice.len() as u64;
            }
            disk.file.flush()
        };
        match write() {
            Ok(()) => {
                disk.cache.forget(self.written / PAGE as u64);
                self.written = at;
                self.tail = Pages::default();
                Ok(())
            }
            Err(error) => {
                // What is written already is read from there on.
                disk.writes = false;
                Err(error)
            }
        }
    }

    fn read(&mut self, at: u64, into: &mut [u8]) -> Result<(), StoreError> {
        read(self.disk.as_mut(), &self.tail, self.written, at, into)
    }

    /// Reads groups from the disk, up to the first that is not whole.
    fn load(&mut self, size: u64) -> Result<(), FileError> {
        let mut payload = Vec::new();
        while self.written + GROUP_HEADER as u64 <= size {
            let Some(disk) = &self.disk else { return Ok(()) };
            let mut header = [0; GROUP_HEADER];
            disk.file.read(self.written, &mut header)?;
            let Some((length, crc)) = read_group_header(&header, self.sequence) else { return Ok(()) };
            let start = self.written + GROUP_HEADER as u64;
            if start + length as u64 > size {
                return Ok(());
            }
            payload.resize(length, 0);
            for (chunk, position) in payload.chunks_mut(CHUNK).zip((start..).step_by(CHUNK)) {
                disk.file.read(position, chunk)?;
            }
            if CRC.checksum(&payload) != crc || !is_sound(&payload) {
                return Ok(());
            }
            if let Some(disk) = &mut self.disk {
                disk.cache.forget(self.written / PAGE as u64);
            }
            self.written = start + length as u64;
            self.sequence += 1;
            self.enter(start, &payload)?;
        }
        Ok(())
    }

    fn enter(&mut self, start: u64, payload: &[u8]) -> Result<(), FileError> {
        for (at, key, _) in Records(payload, 0) {
            let before = match self.find(key) {
                Ok(before) => before,
                Err(error) => return Err(FileError::Other(error.to_string())),
            };
            self.index.put(key, before, start + at as u64);
        }
        Ok(())
    }

    /// The head is not the block that it says it is, or its state is not there.
    fn is_damaged(&mut self) -> bool {
        let mut look = || -> Option<bool> {
            let head = self.get(&Key::Head).ok()?;
            let Some(head) = head else { return Some(self.index.len() == 0) };
            let head = Head::decode(&mut head.as_ref()).ok()?;
            let record = self.get(&Key::Block(head.number)).ok()??;
            let record = BlockRecord::decode(&mut record.as_ref()).ok()?;
            let root = Key::Node(head.state_root);
            let state = head.state_root.is_zero() || self.get(&root).ok()?.is_some();
            Some(state && record.header.number == head.number && record.header.hash_slow() == head.hash)
        };
        look() != Some(true)
    }
}

fn read(
    disk: Option<&mut Disk>,
    tail: &Pages,
    written: u64,
    at: u64,
    mut into: &mut [u8],
) -> Result<(), StoreError> {
    let mut at = at;
    if let Some(disk) = disk {
        while at < written && !into.is_empty() {
            let number = at / PAGE as u64;
            let start = number * PAGE as u64;
            let whole = (written - start).min(PAGE as u64);
            let page = disk.cache.page(number, |page| {
                let count = usize::try_from(whole).unwrap_or(PAGE);
                disk.file.read(start, &mut page[..count])
            });
            let page = page.map_err(|error| StoreError::Host(error.to_string()))?;
            let from = usize::try_from(at - start).unwrap_or_default();
            let until = usize::try_from(whole).unwrap_or(PAGE);
            let found = &page[from..until];
            let count = found.len().min(into.len());
            let (now, rest) = into.split_at_mut(count);
            now.copy_from_slice(&found[..count]);
            (into, at) = (rest, at + count as u64);
        }
    }
    let at = usize::try_from(at.saturating_sub(written)).unwrap_or(usize::MAX);
    match tail.read(at, into) {
        true => Ok(()),
        false => Err(StoreError::Host(String::from("the log ends within a record"))),
    }
}

fn group_header(sequence: u64, length: u32, crc: u32) -> [u8; GROUP_HEADER] {
    let mut header = [0; GROUP_HEADER];
    header[..4].copy_from_slice(GROUP);
    header[4..12].copy_from_slice(&sequence.to_le_bytes());
    header[12..16].copy_from_slice(&length.to_le_bytes());
    header[16..20].copy_from_slice(&crc.to_le_bytes());
    let own = CRC.checksum(&header[..20]);
    header[20..].copy_from_slice(&own.to_le_bytes());
    header
}

/// Bytes of records, and their checksum, if this is the header of that group.
fn read_group_header(header: &[u8; GROUP_HEADER], sequence: u64) -> Option<(usize, u32)> {
    let number = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let (length, crc) = (number(12), number(16));
    (*header == group_header(sequence, length, crc)).then_some((usize::try_from(length).ok()?, crc))
}

/// Records of a group: offset, key, content. It ends where there is no whole record.
struct Records<'a>(&'a [u8], usize);

impl<'a> Iterator for Records<'a> {
    type Item = (usize, &'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let Self(payload, at) = *self;
        let (length, rest) = payload.get(at..)?.split_first()?;
        let (key, rest) = rest.split_at_checked(usize::from(*length))?;
        let (length, rest) = rest.split_first_chunk()?;
        let record = rest.get(..usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
        let used = 1 + key.len() + 4 + record.len();
        self.1 = at + used.next_multiple_of(ALIGN);
        (key.len() <= Key::MAX_LEN).then_some((at, key, record))
    }
}

/// Nothing but whole records.
fn is_sound(payload: &[u8]) -> bool {
    let mut records = Records(payload, 0);
    while records.1 < payload.len() {
        if records.next().is_none() {
            return false;
        }
    }
    records.1 == payload.len()
}
