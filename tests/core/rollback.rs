//! Rolling back: however often and deep, what comes out in the end is what a straight run gives.

use proptest::prelude::*;
use std::cell::RefCell;
use std::collections::HashMap;
use zk_replica_core::{
    chain::{ChainSpec, Genesis},
    replica::{Input, Replica, RollBackError},
    source::datastream::Item,
    store::{Commit, Key, Memory, Store, StoreError},
    types::{BatchStart, Frontier},
};
use zk_replica_tests::{Made, Plan, items};

const BLOCKS: u64 = 40;
const TWIST: u64 = 15;

/// Keeps everything, as a database does.
#[derive(Default)]
struct Archive(RefCell<HashMap<Key, Vec<u8>>>);

impl Store for Archive {
    fn get(&self, key: &Key) -> Result<Option<alloy_primitives::Bytes>, StoreError> {
        Ok(self.0.borrow().get(key).map(|record| record.clone().into()))
    }

    fn apply(&self, commit: &Commit) -> Result<(), StoreError> {
        self.0.borrow_mut().extend(commit.records().iter().map(|(key, record)| (*key, record.to_vec())));
        Ok(())
    }
}

/// A chain's items, and where they begin.
struct Chain {
    items: Vec<Item>,
}

impl Chain {
    fn new(twist: Option<u64>) -> Self {
        let made = Made::by(Plan { blocks: BLOCKS, batch: 7, twist });
        Self { items: items(&made.stream).collect::<Result<_, _>>().expect("sound") }
    }

    /// Where a block stands, and how its batch began.
    fn enter(&self, number: u64) -> (usize, BatchStart) {
        let position = self
            .items
            .iter()
            .position(|item| matches!(item, Item::Block(block) if block.input.number == number));
        let position = position.expect("such a block");
        let start = self.items[..position].iter().rev().find_map(|item| match item {
            Item::BatchStart(start) => Some(start.clone()),
            _ => None,
        });
        (position, start.expect("a batch"))
    }
}

fn open(store: &impl Store) -> Replica {
    let spec = ChainSpec::from_json(Made::spec().as_bytes()).expect("a specification");
    Replica::open(spec, Genesis::from_json(b"{}").expect("a genesis"), store).expect("readable")
}

/// Verifies `count` items from `position` on, or up to the end.
fn advance(replica: &mut Replica, store: &impl Store, chain: &Chain, position: usize, count: usize) -> usize {
    let end = position.saturating_add(count).min(chain.items.len());
    for item in &chain.items[position..end] {
        replica.advance(&Input::from(item.clone()), store).expect("true");
    }
    end
}

/// Makes the replica stand at block `to`, and gives where the chain's items go on.
fn enter(replica: &mut Replica, store: &impl Store, chain: &Chain, to: u64) -> usize {
    let (position, start) = chain.enter(to);
    replica.enter(&start, store).expect("true");
    position
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn random_roll_backs_end_as_a_straight_run(
        steps in proptest::collection::vec((0usize..60, any::<proptest::sample::Index>(), any::<(bool, bool, bool)>()), 1..12),
    ) {
        let chains = [Chain::new(None), Chain::new(Some(TWIST))];
        let straight = Archive::default();
        let mut expected = open(&straight);
        advance(&mut expected, &straight, &chains[0], 0, usize::MAX);

        let store = Archive::default();
        let mut replica = open(&store);
        let (mut on, mut position) = (0, advance(&mut replica, &store, &chains[0], 0, 2));
        for (count, depth, (twisted, reopened, branches)) in steps {
            advance(&mut replica, &store, &chains[on], position, count);
            let head = replica.head().expect("genesis").number;
            let to = depth.index(usize::try_from(head).unwrap_or_default() + 1) as u64;
            if branches {
                // It comes to nothing, and leaves no trace.
                let before = replica.head().cloned();
                replica.branch(to, &store).expect("an archive");
                enter(&mut replica, &store, &chains[on], to);
                prop_assert_eq!(replica.branching(), Some((head, to)));
                prop_assert_eq!(open(&store).head().cloned(), before.clone());
                replica.abandon();
                prop_assert_eq!(replica.head(), before.as_ref());
            }
            replica.roll_back(to, &store).expect("an archive");
            if reopened {
                // What a process finds that begins after the roll-back.
                let before = replica.head().cloned();
                replica = open(&store);
                prop_assert_eq!(replica.head(), before.as_ref());
            }
            if to < TWIST {
                on = usize::from(twisted);
            }
            position = enter(&mut replica, &store, &chains[on], to);
        }
        let to = replica.head().expect("genesis").number.min(TWIST - 1);
        replica.roll_back(to, &store).expect("an archive");
        position = enter(&mut replica, &store, &chains[0], to);
        advance(&mut replica, &store, &chains[0], position, usize::MAX);
        prop_assert_eq!(replica.head(), expected.head());
        for number in 0..=BLOCKS {
            prop_assert_eq!(replica.block(number, &store), expected.block(number, &straight));
        }
    }
}

/// The last block of a batch, of which the end comes before the block that decides.
#[test]
fn a_branch_is_taken_with_its_first_block() {
    const FORK: u64 = 14;
    let (store, chains) = (Archive::default(), [Chain::new(None), Chain::new(Some(TWIST))]);
    let mut replica = open(&store);
    advance(&mut replica, &store, &chains[0], 0, usize::MAX);
    let left = replica.head().cloned();
    replica.branch(FORK, &store).expect("an archive");
    let position = enter(&mut replica, &store, &chains[1], FORK);
    // The block itself, the end of its batch, the beginning of the next.
    let position = advance(&mut replica, &store, &chains[1], position, 3);
    assert_eq!(replica.branching(), Some((BLOCKS, FORK)));
    assert_eq!(open(&store).head().cloned(), left);
    let position = advance(&mut replica, &store, &chains[1], position, 1);
    assert_eq!(replica.branching(), None);
    assert_eq!(open(&store).head().map(|head| head.number), Some(FORK + 1));
    advance(&mut replica, &store, &chains[1], position, usize::MAX);

    let straight = Archive::default();
    let mut expected = open(&straight);
    advance(&mut expected, &straight, &chains[1], 0, usize::MAX);
    assert_eq!(replica.head(), expected.head());
    assert_eq!(open(&store).head(), expected.head());
}

/// Counts which blocks are read.
struct Counted<'a>(&'a Archive, RefCell<Vec<u64>>);

impl Store for Counted<'_> {
    fn get(&self, key: &Key) -> Result<Option<alloy_primitives::Bytes>, StoreError> {
        if let Key::Block(number) = key {
            self.1.borrow_mut().push(*number);
        }
        self.0.get(key)
    }

    fn apply(&self, commit: &Commit) -> Result<(), StoreError> {
        self.0.apply(commit)
    }
}

/// Whoever only says that all is different gets no work done by that.
#[test]
fn going_back_far_costs_nothing_before_a_block_decides() {
    let (store, chains) = (Archive::default(), [Chain::new(None), Chain::new(Some(TWIST))]);
    let mut replica = open(&store);
    advance(&mut replica, &store, &chains[0], 0, usize::MAX);
    let counted = Counted(&store, RefCell::default());
    replica.branch(0, &counted).expect("an archive");
    assert_eq!(*counted.1.borrow(), [0]);
    replica.abandon();
    replica.branch(TWIST - 1, &counted).expect("an archive");
    let position = enter(&mut replica, &store, &chains[1], TWIST - 1);
    advance(&mut replica, &store, &chains[1], position, usize::MAX);
    let straight = Archive::default();
    let mut expected = open(&straight);
    advance(&mut expected, &straight, &chains[1], 0, usize::MAX);
    assert_eq!(replica.head(), expected.head());
}

#[test]
fn what_is_final_or_not_verified_is_refused_and_changes_nothing() {
    let (store, chain) = (Archive::default(), Chain::new(None));
    let mut replica = open(&store);
    assert_eq!(replica.roll_back(0, &store), Err(RollBackError::Above { to: 0 }));
    advance(&mut replica, &store, &chain, 0, usize::MAX);
    let head = replica.head().cloned();
    let frontier = |block| Frontier { block, batch: block / 7 };
    replica.finalize(frontier(20), &store).expect("stored");
    replica.finalize(frontier(10), &store).expect("stored");
    // Whoever begins again knows it, too.
    assert_eq!(open(&store).frontier(), Some(frontier(20)));
    assert_eq!(open(&store).branch(19, &store), Err(RollBackError::Final { to: 19, frontier: 20 }));
    assert_eq!(replica.roll_back(19, &store), Err(RollBackError::Final { to: 19, frontier: 20 }));
    assert_eq!(replica.roll_back(BLOCKS + 1, &store), Err(RollBackError::Above { to: BLOCKS + 1 }));
    assert_eq!(replica.head().cloned(), head);
    assert_eq!(open(&store).head().cloned(), head);
    assert_eq!(replica.roll_back(20, &store), Ok(()));
    assert_eq!(replica.head().map(|head| (head.number, head.batch_closed)), Some((20, false)));
    assert_eq!(replica.block(21, &store), Ok(None), "its record is a leftover");
}

#[test]
fn a_store_without_history_says_that_the_state_is_not_at_hand() {
    let (store, chain) = (Memory::new(), Chain::new(None));
    let mut replica = open(&store);
    advance(&mut replica, &store, &chain, 0, usize::MAX);
    let head = replica.head().cloned();
    assert!(matches!(replica.roll_back(20, &store), Err(RollBackError::Store(StoreError::Missing(_)))));
    assert_eq!(replica.head().cloned(), head);
}

#[test]
fn entering_the_wrong_batch_is_a_mismatch() {
    let (store, chain) = (Archive::default(), Chain::new(None));
    let mut replica = open(&store);
    advance(&mut replica, &store, &chain, 0, usize::MAX);
    let (_, start) = chain.enter(BLOCKS);
    assert_eq!(replica.enter(&start, &store), Ok(()));
    for wrong in [
        BatchStart { number: start.number - 1, ..start.clone() },
        BatchStart { fork_id: 8, ..start.clone() },
        BatchStart { chain_id: 1, ..start.clone() },
    ] {
        assert!(replica.enter(&wrong, &store).is_err(), "{wrong:?}");
    }
}
