//! A run: many records, sorted by key, in pages. It is written once and never changes.

use super::record::{self, Kind, Value, name};
use super::{Damage, Failure, Pages};
use serde::{Deserialize, Serialize};
use sled::IVec;
use std::cmp::Ordering;
use std::mem;
use std::ops::Range;

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

/// So many pages' names are written before the first of these pages.
const ROOM: u32 = 64;

/// Writes a run. Nothing of it counts until the manifest names it.
#[derive(Debug)]
pub(super) struct RunWriter {
    info: RunInfo,
    fences: Vec<u128>,
    filter: Filter,
    page: Vec<u8>,
    /// About how many pages will come.
    room: u32,
    /// How many names have been written.
    named: u32,
}

impl RunWriter {
    /// At least as many records must be announced as will come, and about as many pages.
    pub(super) fn new(id: u64, level: u32, records: u64, room: u32) -> Self {
        let filter = Filter::with_capacity(records);
        let info = RunInfo {
            id,
            level,
            pages: 0,
            filter_blocks: u32::try_from(filter.blocks.len()).expect("a run has less than 2^37 records"),
            records: 0,
            sum: 0,
        };
        let page = Vec::with_capacity(PAGE + record::LONG + 64);
        Self { info, fences: Vec::new(), filter, page, room, named: 0 }
    }

    /// Number of the run.
    pub(super) fn id(&self) -> u64 {
        self.info.id
    }

    /// Adds a record; keys must come in ascending order.
    pub(super) fn push(&mut self, key: &[u8], value: Value<'_>, pages: &Pages) -> Result<(), Failure> {
        if self.page.is_empty() {
            self.fences.push(fence(key));
        }
        record::encode(&mut self.page, key, value);
        self.filter.insert(hash(key));
        self.info.records += 1;
        if self.page.len() >= PAGE {
            self.close_page(pages)?;
        }
        Ok(())
    }

    /// Writes what is left. The run is not durable yet.
    pub(super) fn finish(mut self, pages: &Pages) -> Result<Run, Failure> {
        self.close_page(pages)?;
        let Self { mut info, fences, filter, named, .. } = self;
        pages.remove((info.pages..named).map(|part| name(Kind::Page, info.id, part)))?;
        let mut index = Vec::with_capacity(info.index_len());
        index.extend(fences.iter().flat_map(|fence| fence.to_be_bytes()));
        filter.encode(&mut index);
        info.sum = pages.write_joined(Kind::Index, info.id, &index)?;
        Ok(Run { info, fences, filter })
    }

    fn close_page(&mut self, pages: &Pages) -> Result<(), Failure> {
        if self.page.is_empty() {
            return Ok(());
        }
        let Self { info, page, room, named, .. } = self;
        if info.pages == *named {
            // With empty values. When sled splits a node it writes all of it again, which costs next to nothing while
            // the values are empty: without this each page would be written three times.
            let end = (*named + ROOM).min(*room).max(*named + 1);
            (*named..end).try_for_each(|part| pages.put(Kind::Page, info.id, part, &[]))?;
            *named = end;
        }
        record::seal(Kind::Page, info.id, info.pages, page);
        pages.put(Kind::Page, info.id, info.pages, page)?;
        info.pages += 1;
        page.clear();
        Ok(())
    }
}

/// A page's records.
fn page(pages: &Pages, id: u64, part: u32) -> Result<IVec, Failure> {
    let bytes = pages.part(Kind::Page, id, part)?;
    let len = record::unseal(Kind::Page, id, part, &bytes)?;
    Ok(bytes.subslice(0, len))
}

/// Runs that become one, a piece at a time.
#[derive(Debug)]
pub(super) struct Merge {
    cursors: Vec<Cursor>,
    writer: RunWriter,
    /// Records that all cursors read.
    pub(super) records: u64,
}

impl Merge {
    /// Begins to merge runs of a level, oldest first, into one of the next.
    pub(super) fn new(runs: &[RunInfo], id: u64) -> Self {
        let records = runs.iter().map(|run| run.records).sum();
        let room = runs.iter().map(|run| run.pages).sum();
        let level = runs.iter().map(|run| run.level).max().unwrap_or_default() + 1;
        let writer = RunWriter::new(id, level, records, room);
        Self { cursors: runs.iter().map(Cursor::new).collect(), writer, records }
    }

    /// Number of the run that is being written.
    pub(super) fn id(&self) -> u64 {
        self.writer.id()
    }

    /// How many runs are read.
    pub(super) fn width(&self) -> usize {
        self.cursors.len()
    }

    /// The run is one of those that are read.
    pub(super) fn reads(&self, run: &RunInfo) -> bool {
        self.cursors.iter().any(|cursor| cursor.id == run.id)
    }

    /// Merges about so many records more; `false` when all have been.
    pub(super) fn step(&mut self, records: u64, pages: &Pages) -> Result<bool, Failure> {
        let Self { cursors, writer, .. } = self;
        for cursor in cursors.iter_mut().filter(|cursor| cursor.at.is_none()) {
            cursor.advance(pages)?;
        }
        for _ in 0..records {
            let mut least: Option<&Cursor> = None;
            for cursor in cursors.iter().filter(|cursor| !cursor.ended) {
                // `<=`: of records with the same key the youngest stays, and the later run is the younger one.
                if least.is_none_or(|least| cursor.key <= least.key) {
                    least = Some(cursor);
                }
            }
            let Some(least) = least else { return Ok(false) };
            let key = least.key.clone();
            writer.push(&key, least.value(), pages)?;
            for cursor in cursors.iter_mut().filter(|cursor| !cursor.ended && cursor.key == key) {
                cursor.advance(pages)?;
            }
        }
        Ok(true)
    }

    /// The run, which is not durable yet.
    pub(super) fn finish(self, pages: &Pages) -> Result<Run, Failure> {
        self.writer.finish(pages)
    }
}

/// The records of a run in order, one page in memory at a time.
#[derive(Debug)]
struct Cursor {
    id: u64,
    left: Range<u32>,
    page: IVec,
    /// Where the present record begins: none before the first.
    at: Option<usize>,
    /// Where the one after it does.
    next: usize,
    key: Vec<u8>,
    ended: bool,
}

impl Cursor {
    fn new(run: &RunInfo) -> Self {
        let (page, key) = (IVec::default(), Vec::new());
        Self { id: run.id, left: 0..run.pages, page, at: None, next: 0, key, ended: false }
    }

    fn value(&self) -> Value<'_> {
        let present = self.at.and_then(|at| record::decode(&mut &self.page[at..]).ok().flatten());
        present.expect("`advance` has decoded this record").1
    }

    fn advance(&mut self, pages: &Pages) -> Result<(), Failure> {
        loop {
            self.at = Some(self.next);
            let mut rest = &self.page[self.next..];
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
            self.page = page(pages, self.id, part)?;
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
