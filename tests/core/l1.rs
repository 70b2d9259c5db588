//! What was proved on L1 beside the recorded chain: every batch end is what a rollup's contract would have.

use alloy_primitives::B256;
use zk_replica_core::{
    checker::{Claim, Mismatch, Verdict},
    replica::{Input, Replica, RollBackError},
    types::{BatchEnd, ConsolidatedBatch},
};
use zk_replica_tests::{Archive, Recording, items, say, vectors};

#[test]
fn every_batch_end_can_be_held_against_l1() {
    let Some(vectors) = vectors("every_batch_end_can_be_held_against_l1") else {
        return;
    };
    let recording = Recording::load(&vectors);
    let store = Archive::default();
    let mut replica =
        Replica::open(recording.spec.clone(), recording.genesis.clone(), &store).expect("an empty store");
    let mut ends: Vec<(BatchEnd, u64)> = Vec::new();
    for item in items(&recording.stream) {
        let input = Input::from(item.expect("sound"));
        replica.advance(&input, &store).expect("true");
        if let Input::BatchEnd(end) = input {
            ends.push((end, replica.head().expect("verified").number));
        }
    }
    assert_eq!(ends.len(), 101);

    let mut check = |posted: &ConsolidatedBatch| replica.consolidate(posted, &store).expect("at hand");
    for (end, block) in &ends {
        let posted = posted(end);
        let root = ConsolidatedBatch { state_root: B256::repeat_byte(1), ..posted };
        assert_mismatch(check(&root), Claim::ConsolidatedStateRoot, *block);
        let exits = ConsolidatedBatch { local_exit_root: B256::repeat_byte(1), ..posted };
        assert_mismatch(check(&exits), Claim::ConsolidatedExitRoot, *block);
        let Some(Verdict::Verified(last)) = check(&posted) else {
            unreachable!("batch {} is what it is", end.number)
        };
        assert_eq!(last, *block, "batch {}", end.number);
    }
    let (last, block) = ends.last().expect("batches");
    let open = ConsolidatedBatch { number: last.number + 1, ..posted(last) };
    assert!(check(&open).is_none(), "the open batch has no end to compare");

    // What L1 has fixed is not rolled back, whenever it was compared.
    let mut replica = Replica::open(recording.spec.clone(), recording.genesis, &store).expect("sound");
    let refused = replica.branch(block - 1, &store);
    assert!(
        matches!(refused, Err(RollBackError::Final { frontier, .. }) if frontier == *block),
        "{refused:?}"
    );
    replica.branch(*block, &store).expect("above the frontier");
    say(&format!("{} batch ends agree, {block} blocks are final", ends.len()));
}

fn posted(end: &BatchEnd) -> ConsolidatedBatch {
    let &BatchEnd { number, state_root, local_exit_root } = end;
    ConsolidatedBatch { number, state_root, local_exit_root }
}

#[track_caller]
fn assert_mismatch(verdict: Option<Verdict<u64>>, claim: Claim, at: u64) {
    let Some(Verdict::Mismatch(Mismatch { claim: found, block, .. })) = verdict else {
        panic!("{claim} passed at block {at}");
    };
    assert_eq!((found, block), (claim, at));
}
