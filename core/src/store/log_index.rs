//! Which sections of the chain may hold a log: what `eth_getLogs` need not read.
//!
//! A section of level k is 16^k blocks. When its last block is verified, one record is written in the same commit: a
//! fingerprint of each address, and of each topic at its position, that the section's logs have. Level 1 is made from 16
//! blocks, each further level from 16 records below it, so the work for a block does not grow with the chain, and one
//! block in 16 has any.
//!
//! A section counts only when its last block is part of the chain. A roll-back therefore undoes nothing: a chain that
//! comes to that block again has written the record again.
//!
//! A record that is not there (a store that began in the midst of the chain) costs time: its blocks are read. One that is
//! damaged is an error.

use super::{Commit, Key, Store, StoreError, block};
use crate::{sort::sorted, types::BlockRecord};
use alloc::vec::Vec;
use alloy_primitives::{Address, B256, Bytes, Log, keccak256};

/// 16 blocks, 256, 4096.
pub(crate) const LEVELS: u8 = 3;

/// Sections of one level in one of the next, as a power of two.
const FANOUT_BITS: u8 = 4;

/// A section with more fingerprints has no list of them: whoever asks has to look at its parts.
const MAX_FINGERPRINTS: usize = 4096;

/// Bytes of the checksum before a record.
const CHECK: usize = 4;

/// Part of a hash of an address, or of a topic and its position. Two that are equal may be of different things.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fingerprint([u8; 4]);

impl Fingerprint {
    pub(crate) fn of_address(address: &Address) -> Self {
        Self::of(0, address.as_slice())
    }

    /// Positions count from 0.
    pub(crate) fn of_topic(position: usize, topic: &B256) -> Self {
        // A log has four topics at most.
        Self::of(position.to_le_bytes()[0] + 1, topic.as_slice())
    }

    fn of(kind: u8, bytes: &[u8]) -> Self {
        let hash = keccak256([&[kind], bytes].concat());
        Self([hash[0], hash[1], hash[2], hash[3]])
    }

    fn of_log(log: &Log) -> impl Iterator<Item = Self> {
        let topics = log.topics().iter().enumerate().map(|(position, topic)| Self::of_topic(position, topic));
        [Self::of_address(&log.address)].into_iter().chain(topics)
    }
}

/// What the logs of a section have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    /// Ascending; none if there is no log.
    Fingerprints(Vec<Fingerprint>),
    /// Too many to list.
    Many,
}

impl Section {
    /// Some log of the section may have one of each of these groups.
    pub(crate) fn may_match(&self, groups: &[Vec<Fingerprint>]) -> bool {
        match self {
            Self::Many => true,
            Self::Fingerprints(found) => {
                let holds = |one: &Fingerprint| found.binary_search(one).is_ok();
                !found.is_empty() && groups.iter().all(|group| group.iter().any(holds))
            }
        }
    }

    fn of(fingerprints: Vec<Fingerprint>) -> Self {
        let mut fingerprints = sorted(fingerprints);
        fingerprints.dedup();
        if fingerprints.len() > MAX_FINGERPRINTS { Self::Many } else { Self::Fingerprints(fingerprints) }
    }

    /// The checksum, then what kind, then the list.
    fn encode(&self, key: &Key) -> Bytes {
        let mut content = Vec::new();
        match self {
            Self::Many => content.push(1),
            Self::Fingerprints(fingerprints) => {
                content.push(0);
                content.extend(fingerprints.iter().flat_map(|one| one.0));
            }
        }
        [&check(key, &content)[..], &content].concat().into()
    }

    fn decode(key: &Key, record: &[u8]) -> Option<Self> {
        let (found, content) = record.split_at_checked(CHECK)?;
        if found != check(key, content) {
            return None;
        }
        match content {
            [1] => Some(Self::Many),
            [0, list @ ..] => {
                let (fingerprints, []) = list.as_chunks::<4>() else { return None };
                Some(Self::Fingerprints(fingerprints.iter().map(|bytes| Fingerprint(*bytes)).collect()))
            }
            _ => None,
        }
    }
}

fn check(key: &Key, content: &[u8]) -> [u8; CHECK] {
    let hash = keccak256([key.encode().as_ref(), content].concat());
    [hash[0], hash[1], hash[2], hash[3]]
}

/// Blocks in a section.
pub(crate) const fn blocks(level: u8) -> u64 {
    1 << (FANOUT_BITS * level)
}

/// The section with this block; `None` if none was written. It counts only when its last block is part of the chain.
pub(crate) fn section(level: u8, block: u64, store: &dyn Store) -> Result<Option<Section>, StoreError> {
    let key = Key::LogSection { level, section: block / blocks(level) };
    let Some(record) = store.get(&key)? else {
        return Ok(None);
    };
    let section = Section::decode(&key, &record);
    section.map(Some).ok_or(StoreError::Corrupt { key, reason: "not a section of the log index" })
}

/// Adds the records of all sections that end with `block`, which `commit` is about to write.
pub(crate) fn extend(commit: &mut Commit, block: &BlockRecord, store: &dyn Store) -> Result<(), StoreError> {
    let number = block.header.number;
    let mut last = None;
    for level in ending(number) {
        let made = match last.take() {
            None => from_blocks(block, store),
            Some(last) => from_sections(level, number, last, store),
        };
        let section = match made {
            Ok(Some(section)) => section,
            // The store begins in the midst of this section.
            Ok(None) | Err(StoreError::Missing(_)) => return Ok(()),
            Err(error) => return Err(error),
        };
        let key = Key::LogSection { level, section: number / blocks(level) };
        commit.put(key, section.encode(&key));
        last = Some(section);
    }
    Ok(())
}

/// What the log index has of the sections that end with this block of the chain: what its commit has written, made again
/// from the blocks, and for higher levels from the sections below.
///
/// # Errors
///
/// [`StoreError`] for a record that cannot be read.
pub fn log_sections(block: &BlockRecord, store: &dyn Store) -> Result<Commit, StoreError> {
    let mut commit = Commit::default();
    extend(&mut commit, block, store)?;
    Ok(commit)
}

/// Releases the records of all sections that end with this block, which is rolled back.
pub(crate) fn release(commit: &mut Commit, number: u64) {
    for level in ending(number) {
        commit.release(Key::LogSection { level, section: number / blocks(level) });
    }
}

/// The levels with a section that ends with this block, ascending.
fn ending(number: u64) -> impl Iterator<Item = u8> {
    (1..=LEVELS).take_while(move |level| (number + 1).is_multiple_of(blocks(*level)))
}

fn from_blocks(last: &BlockRecord, store: &dyn Store) -> Result<Option<Section>, StoreError> {
    let mut fingerprints = fingerprints(last);
    let number = last.header.number;
    for number in number + 1 - blocks(1)..number {
        let Some(record) = block(store, number)? else {
            return Ok(None);
        };
        fingerprints.extend(self::fingerprints(&record));
    }
    Ok(Some(Section::of(fingerprints)))
}

/// What the block's logs have. Receipts of some forks leave logs out or change their data: never more than these.
fn fingerprints(block: &BlockRecord) -> Vec<Fingerprint> {
    block.receipts.iter().flat_map(|receipt| &receipt.logs).flat_map(Fingerprint::of_log).collect()
}

fn from_sections(
    level: u8,
    number: u64,
    last: Section,
    store: &dyn Store,
) -> Result<Option<Section>, StoreError> {
    let below = level - 1;
    let Section::Fingerprints(mut fingerprints) = last else {
        return Ok(Some(Section::Many));
    };
    let first = number + 1 - blocks(level);
    for part in 0..(1 << FANOUT_BITS) - 1 {
        match section(below, first + part * blocks(below), store)? {
            Some(Section::Fingerprints(more)) => fingerprints.extend(more),
            Some(Section::Many) => return Ok(Some(Section::Many)),
            None => return Ok(None),
        }
    }
    Ok(Some(Section::of(fingerprints)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{store::Memory, types::Receipt};
    use alloc::vec;
    use alloy_consensus::Header;

    fn block(number: u64, addresses: impl IntoIterator<Item = Address>) -> BlockRecord {
        let logs = addresses.into_iter().map(|address| {
            Log::new_unchecked(address, vec![B256::left_padding_from(address.as_slice())], Bytes::new())
        });
        let receipt = Receipt { success: true, gas_used: 1, cumulative_gas_used: 1, logs: logs.collect() };
        BlockRecord {
            header: Header { number, ..Header::default() },
            batch: 1,
            fork_id: 9,
            l1_info: Default::default(),
            block_info_root: B256::ZERO,
            transactions: Vec::new(),
            receipts: vec![receipt],
        }
    }

    fn address(number: u64) -> Address {
        Address::left_padding_from(&(number + 1).to_be_bytes())
    }

    fn add(block: &BlockRecord, store: &Memory) {
        let mut commit = Commit::default();
        extend(&mut commit, block, store).unwrap();
        commit.put(Key::Block(block.header.number), alloy_rlp::encode(block).into());
        store.apply(&commit).unwrap();
    }

    fn group(number: u64) -> Vec<Vec<Fingerprint>> {
        vec![vec![Fingerprint::of_address(&address(number))]]
    }

    #[test]
    fn a_section_holds_what_its_blocks_have() {
        let store = Memory::new();
        for number in 0..256 {
            let has = number % 3 == 0;
            add(&block(number, has.then(|| address(number))), &store);
        }
        for number in 0..256 {
            for level in [1, 2] {
                let section = section(level, number, &store).unwrap().unwrap();
                assert_eq!(section.may_match(&group(number)), number % 3 == 0, "{number} {level}");
                assert!(section.may_match(&[]));
                assert!(!section.may_match(&group(1000)));
            }
        }
        assert_eq!(section(3, 0, &store), Ok(None));
        assert_eq!(section(1, 256, &store), Ok(None));
    }

    #[test]
    fn a_crowded_section_says_so_and_its_parts_do_not() {
        let store = Memory::new();
        for number in 0..256 {
            add(&block(number, (0..12).map(|n| address(1000 * number + n))), &store);
        }
        assert_eq!(section(2, 0, &store), Ok(Some(Section::Many)));
        assert!(!section(1, 0, &store).unwrap().unwrap().may_match(&group(1_000_000)));
    }

    #[test]
    fn without_the_blocks_before_there_is_no_section_and_no_error() {
        for store in [Memory::new(), Memory::partial()] {
            let mut commit = Commit::default();
            extend(&mut commit, &block(31, []), &store).unwrap();
            assert!(commit.records().is_empty());
        }
    }

    #[test]
    fn any_change_of_a_record_is_noticed() {
        let key = Key::LogSection { level: 1, section: 7 };
        let whole = Section::of(fingerprints(&block(0, [address(1), address(2)]))).encode(&key);
        for at in 0..whole.len() {
            let mut damaged = whole.to_vec();
            damaged[at] ^= 1;
            assert_eq!(Section::decode(&key, &damaged), None, "byte {at}");
            assert_eq!(Section::decode(&key, &whole[..at]), None, "{at} bytes");
        }
        let other = Key::LogSection { level: 1, section: 8 };
        assert_eq!(Section::decode(&other, &whole), None);
        assert!(Section::decode(&key, &whole).is_some());
    }

    #[test]
    fn a_damaged_record_is_an_error() {
        let store = Memory::new();
        let key = Key::LogSection { level: 1, section: 0 };
        let mut commit = Commit::default();
        commit.put(key, Bytes::from_static(b"damaged"));
        store.apply(&commit).unwrap();
        assert!(matches!(section(1, 3, &store), Err(StoreError::Corrupt { .. })));
    }
}
