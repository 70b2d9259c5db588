use super::{File, FileError, Identity, LogStore, pages::PAGE};
use alloc::{boxed::Box, rc::Rc, vec, vec::Vec};
use alloy_primitives::{B256, Bytes};
use core::cell::{Cell, RefCell};
use zk_replica_core::{
    store::{Commit, Key, Store, StoreError},
    tree::hash_bytes,
    types::{BlockRecord, Head},
};

/// A disk in memory, with a bound.
#[derive(Clone, Default)]
struct Fake {
    bytes: Rc<RefCell<Vec<u8>>>,
    room: Rc<Cell<usize>>,
}

impl Fake {
    fn new() -> Self {
        let fake = Self::default();
        fake.room.set(usize::MAX);
        fake
    }
}

fn place(at: u64) -> usize {
    usize::try_from(at).unwrap()
}

impl File for Fake {
    fn size(&self) -> Result<u64, FileError> {
        Ok(self.bytes.borrow().len() as u64)
    }

    fn read(&self, at: u64, into: &mut [u8]) -> Result<(), FileError> {
        let bytes = self.bytes.borrow();
        let found = bytes.get(place(at)..place(at) + into.len());
        into.copy_from_slice(found.ok_or(FileError::Other("short".into()))?);
        Ok(())
    }

    fn write(&self, at: u64, new: &[u8]) -> Result<(), FileError> {
        let (mut bytes, end) = (self.bytes.borrow_mut(), place(at) + new.len());
        if end > self.room.get() {
            return Err(FileError::Quota("full".into()));
        }
        let size = bytes.len().max(end);
        bytes.resize(size, 0);
        bytes[place(at)..end].copy_from_slice(new);
        Ok(())
    }

    fn flush(&self) -> Result<(), FileError> {
        Ok(())
    }

    fn truncate(&self, size: u64) -> Result<(), FileError> {
        self.bytes.borrow_mut().truncate(place(size));
        Ok(())
    }
}

const IDENTITY: Identity = Identity { chain_id: 7, origin: B256::repeat_byte(1) };

fn open(disk: &Fake) -> LogStore {
    LogStore::open(Box::new(disk.clone()), IDENTITY, 9).unwrap()
}

/// A block with some codes, as a commit.
fn commit(number: u64, codes: usize) -> Commit {
    let mut record = BlockRecord {
        header: Default::default(),
        batch: number,
        fork_id: 12,
        l1_info: Default::default(),
        block_info_root: B256::ZERO,
        transactions: vec![],
        receipts: vec![],
    };
    record.header.number = number;
    let head = Head {
        number,
        hash: record.header.hash_slow(),
        state_root: B256::ZERO,
        timestamp: 0,
        batch: number,
        fork_id: 12,
        batch_closed: false,
        totals: Default::default(),
    };
    let mut records: Vec<(Key, Bytes)> = (0..codes)
        .map(|code| code_of(number, code))
        .map(|code| (Key::Code(hash_bytes(&code)), code))
        .collect();
    records.push((Key::Block(number), alloy_rlp::encode(&record).into()));
    records.push((Key::Head, alloy_rlp::encode(&head).into()));
    Commit::for_test(records, vec![])
}

/// Some reach over pages.
fn code_of(number: u64, code: usize) -> Bytes {
    let mut bytes = vec![0xfe; 100 + code * 7919 % (2 * PAGE)];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    bytes[8..12].copy_from_slice(&u32::try_from(code).unwrap().to_be_bytes());
    bytes.into()
}

fn has(store: &LogStore, commit: &Commit) -> bool {
    let records = commit.records().iter();
    records
        .filter(|(key, _)| *key != Key::Head)
        .all(|(key, record)| store.get(key) == Ok(Some(record.clone())))
}

fn head(store: &LogStore) -> Option<Bytes> {
    store.get(&Key::Head).unwrap()
}

#[test]
fn what_is_put_is_read_before_and_after_it_is_written_and_opened_again() {
    let disk = Fake::new();
    for memory in [true, false] {
        let store = if memory { LogStore::in_memory(IDENTITY, 3) } else { open(&disk) };
        let commits: Vec<_> = (0..5).map(|number| commit(number, 30)).collect();
        for commit in &commits {
            store.apply(commit).unwrap();
            assert!(has(&store, commit));
            store.flush().unwrap();
            assert!(has(&store, commit) && has(&store, &commits[0]));
        }
        assert_eq!(head(&store), Some(commits[4].records().last().unwrap().1.clone()));
        assert_eq!(store.get(&Key::Block(5)), Ok(None));
        assert_eq!(store.is_kept(), !memory);
        if !memory {
            let again = open(&disk);
            assert_eq!((again.len(), again.records()), (store.len(), store.records()));
            assert!(commits.iter().all(|commit| has(&again, commit)));
            assert_eq!(head(&again), head(&store));
            // It goes on where it was.
            again.apply(&commit(5, 3)).unwrap();
            again.flush().unwrap();
            assert!(has(&open(&disk), &commit(5, 3)));
        }
    }
}

#[test]
fn what_was_not_written_is_lost_and_nothing_else() {
    let disk = Fake::new();
    let store = open(&disk);
    store.apply(&commit(0, 3)).unwrap();
    store.flush().unwrap();
    store.apply(&commit(1, 3)).unwrap();
    let again = open(&disk);
    assert!(has(&again, &commit(0, 3)));
    assert_eq!(again.get(&Key::Block(1)), Ok(None));
}

#[test]
fn a_log_that_is_cut_or_altered_anywhere_is_what_it_was_at_an_earlier_flush() {
    let disk = Fake::new();
    let store = open(&disk);
    let mut heads = vec![None];
    for number in 0..3 {
        store.apply(&commit(number, 2)).unwrap();
        store.flush().unwrap();
        heads.push(head(&store));
    }
    let whole = disk.bytes.borrow().clone();
    for at in (0..whole.len()).step_by(97).chain(0..100) {
        for cut in [true, false] {
            let damaged = Fake::new();
            *damaged.bytes.borrow_mut() = whole.clone();
            match cut {
                true => damaged.bytes.borrow_mut().truncate(at),
                false => damaged.bytes.borrow_mut()[at] ^= 0x40,
            }
            let store = open(&damaged);
            let found = heads.iter().position(|one| *one == head(&store));
            let found = found.unwrap_or_else(|| panic!("another head after {at}"));
            assert!(found < 3, "{at} is of no importance");
            for number in 0..u64::try_from(found).unwrap() {
                assert!(has(&store, &commit(number, 2)));
            }
            // What is damaged is gone from the disk, too.
            store.apply(&commit(9, 1)).unwrap();
            store.flush().unwrap();
            assert!(has(&open(&damaged), &commit(9, 1)));
        }
    }
}

#[test]
fn a_log_of_another_chain_is_not_taken() {
    let disk = Fake::new();
    let store = open(&disk);
    store.apply(&commit(0, 1)).unwrap();
    store.flush().unwrap();
    for identity in [Identity { chain_id: 8, ..IDENTITY }, Identity { origin: B256::ZERO, ..IDENTITY }] {
        let other = Fake::new();
        *other.bytes.borrow_mut() = disk.bytes.borrow().clone();
        let store = LogStore::open(Box::new(other), identity, 9).unwrap();
        assert_eq!((head(&store), store.records()), (None, 0));
    }
}

#[test]
fn a_record_that_was_put_under_another_hash_is_not_believed() {
    let disk = Fake::new();
    let store = open(&disk);
    let (key, forged) = (Key::Code(B256::repeat_byte(5)), Bytes::from_static(b"other"));
    store.apply(&commit(0, 1)).unwrap();
    store.apply(&Commit::for_test(vec![(key, forged.clone())], vec![])).unwrap();
    // What was put here is what it is; what is found on the disk is hashed.
    assert_eq!(store.get(&key), Ok(Some(forged)));
    store.flush().unwrap();
    let again = open(&disk);
    assert!(matches!(again.get(&key), Err(StoreError::Corrupt { .. })));
    assert!(has(&again, &commit(0, 1)));
}

#[test]
fn without_room_everything_stays_in_memory() {
    let disk = Fake::new();
    let store = open(&disk);
    store.apply(&commit(0, 20)).unwrap();
    store.flush().unwrap();
    disk.room.set(disk.bytes.borrow().len() + 1000);
    store.apply(&commit(1, 20)).unwrap();
    assert_eq!(store.flush(), Err(FileError::Quota("full".into())));
    assert!(!store.is_kept());
    assert_eq!(store.flush(), Ok(()));
    store.apply(&commit(2, 20)).unwrap();
    assert!((0..3).all(|number| has(&store, &commit(number, 20))));
    // The disk has what was written in full.
    disk.room.set(usize::MAX);
    let again = open(&disk);
    assert!(has(&again, &commit(0, 20)));
    assert_eq!(again.get(&Key::Block(1)), Ok(None));
}
