//! A run: many records, sorted by key, in pages. It is written once and never changes.

use super::record::{self, Kind, PIECE, Value, name};
use super::{Damage, Failure, Pages};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::mem;

/// A page is closed when it has this many bytes. Smaller pages cost more to write, larger ones more to read.
pub(super) const PAGE: usize = 4096;

/// What the manifest says about a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RunInfo {
    /// Number in the names of its pages.
    pub(super) id: u64,
    /// How often its records have been merged.
    pub(super) level: u32,
    /// How many pages it has.
    pub(super) pages: u32,
    /// Size of its filter.
    pub(super) filter_blocks: u32,
    /// How many records it has.
    pub(super) records: u64,
    /// Checksum of what is held in memory.
    pub(super) sum: u32,
}

impl RunInfo {
    fn index_len(&self) -> usize {
        self.pages as usize * size_of::<u128>() + self.filter_blocks as usize * size_of::<FilterBlock>()
    }

    /// Names of all that is stored for the run.
    pub(super) fn names(&self) -> impl Iterator<Item = [u8; 13]> {
        let parts = u32::try_from(self.index_len().div_ceil(PIECE)).expect("an index has less than 16 TB");
        let pages = (0..self.pages).map(|part| name(Kind::Page, self.id, part));
        pages.chain((0..parts).map(|part| name(Kind::Index, self.id, part)))
    }
}

/// A run as it is held in memory: about two bytes for each record.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) info: RunInfo,
    /// The beginning of each page's first key.
    fences: Vec<u128>,
    filter: Filter,
}

impl Run {
    /// Reads back what is held in memory.
    pub(super) fn load(info: RunInfo, pages: &Pages) -> Result<Self, Failure> {
        let bytes = pages.joined(Kind::Index, info.id, info.index_len(), info.sum)?;
        let (fences, blocks) = bytes.split_at(info.pages as usize * size_of::<u128>());
        let fences = fences.as_chunks().0.iter().map(|fence| u128::from_be_bytes(*fence)).collect();
        let filter = Filter::decode(blocks);
        if filter.blocks.is_empty() {
            return Err(Damage("a run has no filter").into());
        }
        Ok(Self { info, fences, filter })
    }

    /// Calls `found` with the record of `key`, if the run has one.
    pub(super) fn get<T>(
        &self,
        key: &[u8],
        hash: u64,
        pages: &Pages,
        found: impl FnOnce(Value<'_>) -> Result<T, Failure>,
    ) -> Result<Option<T>, Failure> {
        if !self.filter.may_hold(hash) {
            return Ok(None);
        }
        let fence = fence(key);
        let first = self.fences.partition_point(|other| *other < fence).saturating_sub(1);
        let end = self.fences.partition_point(|other| *other <= fence);
        for part in first..end {
            let part = u32::try_from(part).expect("pages are counted in 32 bits");
            let bytes = page(pages, self.info.id, part)?;
            let mut rest = bytes.as_ref();
            while let Some((other, value)) = record::decode(&mut rest)? {
                match other.cmp(key) {
                    Ordering::Less => {}
                    Ordering::Equal => return found(value).map(Some),
                    Ordering::Greater => return Ok(None),
                }
            }
        }
        Ok(None)
    }
}

/// Writes a run. Nothing of it counts until the manifest names it.
#[derive(Debug)]
pub(super) struct RunWriter<'a> {
    pages: &'a Pages,
    info: RunInfo,
    fences: Vec<u128>,
    filter: Filter,
    page: Vec<u8>,
    /// How many names have been written.
    room: u32,
}

impl<'a> RunWriter<'a> {
    /// At least as many records must be announced as will come, and about as many pages.
    ///
    /// The pages' names are written first, with empty values. When sled splits a node it writes all of it again, which
    /// costs next to nothing while the values are empty: without this each page would be written three times.
    pub(super) fn new(
        pages: &'a Pages,
        id: u64,
        level: u32,
        records: u64,
        room: u32,
    ) -> Result<Self, Failure> {
        (0..room).try_for_each(|part| pages.put(Kind::Page, id, part, &[]))?;
        let filter = Filter::with_capacity(records);
        let info = RunInfo {
            id,
            level,
            pages: 0,
            filter_blocks: u32::try_from(filter.blocks.len()).expect("a run has less than 2^37 records"),
            records: 0,
            sum: 0,
        };
        Ok(Self {
            pages,
            info,
            fences: Vec::new(),
            filter,
            page: Vec::with_capacity(PAGE + record::LONG + 64),
            room,
        })
    }

    /// Adds a record; keys must come in ascending order.
    pub(super) fn push(&mut self, key: &[u8], value: Value<'_>) -> Result<(), Failure> {
        if self.page.is_empty() {
            self.fences.push(fence(key));
        }
        record::encode(&mut self.page, key, value);
        self.filter.insert(hash(key));
        self.info.records += 1;
        if self.page.len() >= PAGE {
            self.close_page()?;
        }
        Ok(())
    }

    /// Writes what is left. The run is not durable yet.
    pub(super) fn finish(mut self) -> Result<Run, Failure> {
        self.close_page()?;
        let Self { pages, info, .. } = &self;
        pages.remove((info.pages..self.room).map(|part| name(Kind::Page, info.id, part)))?;
        let mut index = Vec::with_capacity(self.info.index_len());
        index.extend(self.fences.iter().flat_map(|fence| fence.to_be_bytes()));
        self.filter.encode(&mut index);
        self.info.sum = self.pages.write_joined(Kind::Index, self.info.id, &index)?;
        Ok(Run { info: self.info, fences: self.fences, filter: self.filter })
    }

    fn close_page(&mut self) -> Result<(), Failure> {
        if self.page.is_empty() {
            return Ok(());
        }
        let Self { pages, info, page, .. } = self;
        record::seal(Kind::Page, info.id, info.pages, page);
        pages.put(Kind::Page, info.id, info.pages, page)?;
        info.pages += 1;
        self.page.clear();
        Ok(())
    }
}

/// A page's records.
fn page(pages: &Pages, id: u64, part: u32) -> Result<sled::IVec, Failure> {
    let bytes = pages.part(Kind::Page, id, part)?;
    let len = record::unseal(Kind::Page, id, part, &bytes)?;
    Ok(bytes.subslice(0, len))
}

/// Merges runs, oldest first, into one: of records with the same key the youngest stays.
pub(super) fn merge(runs: &[Run], pages: &Pages, id: u64, level: u32) -> Result<Run, Failure> {
    let records = runs.iter().map(|run| run.info.records).sum();
    let room = runs.iter().map(|run| run.info.pages).sum();
    let mut writer = RunWriter::new(pages, id, level, records, room)?;
    let mut cursors = Vec::with_capacity(runs.len());
    for run in runs {
        cursors.push(Cursor::new(&run.info, pages)?);
    }
    loop {
        let mut least: Option<usize> = None;
        for (index, cursor) in cursors.iter().enumerate() {
            let Some(key) = cursor.key() else { continue };
            // `<=`: the later run is the younger one.
            if least.and_then(|other| cursors[other].key()).is_none_or(|other| key <= other) {
                least = Some(index);
            }
        }
        let Some(least) = least else { break };
        let key = cursors[least].key.clone();
        writer.push(&key, cursors[least].value())?;
        for cursor in &mut cursors {
            if cursor.key() == Some(key.as_slice()) {
                cursor.advance()?;
            }
        }
    }
    writer.finish()
}

/// The records of a run in order, one page in memory at a time.
struct Cursor<'a> {
    pages: &'a Pages,
    id: u64,
    left: std::ops::Range<u32>,
    page: sled::IVec,
    /// Where the present record and the one after it begin.
    at: usize,
    next: usize,
    key: Vec<u8>,
    ended: bool,
}

impl<'a> Cursor<'a> {
    fn new(info: &RunInfo, pages: &'a Pages) -> Result<Self, Failure> {
        let mut cursor = Self {
            pages,
            id: info.id,
            left: 0..info.pages,
            page: sled::IVec::default(),
            at: 0,
            next: 0,
            key: Vec::new(),
            ended: false,
        };
        cursor.advance()?;
        Ok(cursor)
    }

    fn key(&self) -> Option<&[u8]> {
        (!self.ended).then_some(self.key.as_slice())
    }

    fn value(&self) -> Value<'_> {
        let present = record::decode(&mut &self.page[self.at..]);
        present.ok().flatten().expect("`advance` has decoded this record").1
    }

    fn advance(&mut self) -> Result<(), Failure> {
        loop {
            self.at = self.next;
            let mut rest = &self.page[self.at..];
            if let Some((key, _)) = record::decode(&mut rest)? {
                self.key.clear();
                self.key.extend_from_slice(key);
                self.next = self.page.len() - rest.len();
                return Ok(());
            }
            let Some(part) = self.left.next() else {
                self.ended = true;
                return Ok(());
            };
            self.page = page(self.pages, self.id, part)?;
            self.next = 0;
        }
    }
}

impl Run {
    /// Reads every record, in order, and holds it against what is in memory: nothing may be out of its place.
    pub(super) fn check(
        &self,
        pages: &Pages,
        mut found: impl FnMut(&[u8], Value<'_>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut last: Option<Vec<u8>> = None;
        let mut records = 0;
        for (part, expected) in (0..self.info.pages).zip(&self.fences) {
            let bytes = page(pages, self.info.id, part)?;
            let (mut rest, mut first) = (bytes.as_ref(), true);
            while let Some((key, value)) = record::decode(&mut rest)? {
                if last.as_ref().is_some_and(|last| last.as_slice() >= key) {
                    return Err(Damage("records are out of order").into());
                }
                if mem::take(&mut first) && fence(key) != *expected {
                    return Err(Damage("a page begins with another record").into());
                }
                if !self.filter.may_hold(hash(key)) {
                    return Err(Damage("a record is not in its filter").into());
                }
                found(key, value)?;
                records += 1;
                last = Some(key.to_vec());
            }
        }
        if records == self.info.records { Ok(()) } else { Err(Damage("records are missing").into()) }
    }
}

/// The first sixteen bytes of a key, in the order of keys.
fn fence(key: &[u8]) -> u128 {
    let mut bytes = [0; 16];
    let len = key.len().min(16);
    bytes[..len].copy_from_slice(&key[..len]);
    u128::from_be_bytes(bytes)
}

/// Spreads a key over 64 bits. Stored filters depend on it: another function is another format version.
pub(super) fn hash(key: &[u8]) -> u64 {
    let mut hash = key.len() as u64;
    for chunk in key.chunks(8) {
        let mut bytes = [0; 8];
        bytes[..chunk.len()].copy_from_slice(chunk);
        hash = (hash ^ u64::from_le_bytes(bytes)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        hash ^= hash >> 32;
    }
    hash
}

/// 512 bits: one cache line.
type FilterBlock = [u64; 8];

/// A Bloom filter in blocks, so that asking costs one access to memory: ten bits for each record, and about one absent
/// key in sixty is not recognized as absent.
#[derive(Debug)]
struct Filter {
    blocks: Vec<FilterBlock>,
}

impl Filter {
    const RECORDS_PER_BLOCK: u64 = 51;

    fn with_capacity(records: u64) -> Self {
        let blocks = usize::try_from(records.div_ceil(Self::RECORDS_PER_BLOCK).max(1))
            .expect("a run's filter fits into memory");
        Self { blocks: vec![[0; 8]; blocks] }
    }

    fn insert(&mut self, hash: u64) {
        let block = self.block_of(hash);
        for (word, bit) in bits(hash) {
            self.blocks[block][word] |= bit;
        }
    }

    fn may_hold(&self, hash: u64) -> bool {
        let block = &self.blocks[self.block_of(hash)];
        bits(hash).all(|(word, bit)| block[word] & bit != 0)
    }

    /// The upper half of the hash selects the block, the lower half the bits in it.
    fn block_of(&self, hash: u64) -> usize {
        (((hash >> 32) * self.blocks.len() as u64) >> 32) as usize
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend(self.blocks.iter().flatten().flat_map(|word| word.to_le_bytes()));
    }

    fn decode(bytes: &[u8]) -> Self {
        let words = bytes.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word)).collect::<Vec<_>>();
        Self { blocks: words.as_chunks().0.to_vec() }
    }
}

fn bits(hash: u64) -> impl Iterator<Item = (usize, u64)> {
    let spread = (hash & 0xffff_ffff).wrapping_mul(0xd6e8_feb8_6659_fd93);
    (0..6).map(move |index| {
        let bits = spread >> (index * 9 + 10);
        ((bits & 7) as usize, 1 << ((bits >> 3) & 63))
    })
}
