//! One Poseidon permutation of twelve Goldilocks elements, beside Plonky2 and Plonky3.
//!
//! Plonky2 computes the same function, which is asserted first. Plonky3's has as many rounds of the same shape but
//! other constants: it is a peer in speed only.

use criterion::{Criterion, criterion_group};
use p3_goldilocks::Goldilocks;
use p3_goldilocks::poseidon1::default_goldilocks_poseidon1_12;
use p3_symmetric::Permutation;
use plonky2::field::goldilocks_field::GoldilocksField;
use plonky2::field::types::{Field, PrimeField64};
use plonky2::hash::poseidon::Poseidon;
use zk_replica_bench::Race;
use zk_replica_core::tree::poseidon;

const INPUT: [u64; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];

fn plonky2(state: [GoldilocksField; 12]) -> [GoldilocksField; 12] {
    GoldilocksField::poseidon(state)
}

fn results_equal_plonky2() {
    let mut state = INPUT;
    for _ in 0..1000 {
        let theirs = plonky2(state.map(GoldilocksField::from_noncanonical_u64));
        state = poseidon::permute(&state);
        assert_eq!(state, theirs.map(|lane| lane.to_canonical_u64()));
    }
}

fn ratios() {
    let plonky3 = default_goldilocks_poseidon1_12();
    Race::new("Poseidon permutation", 1000)
        .contender("zk-replica", INPUT, |state| poseidon::permute(&state))
        .contender("plonky2", INPUT.map(GoldilocksField::from_canonical_u64), plonky2)
        .contender("p3-goldilocks (other constants)", INPUT.map(Goldilocks::new), |state| {
            plonky3.permute(state)
        })
        .run();
}

fn distributions(criterion: &mut Criterion) {
    let plonky3 = default_goldilocks_poseidon1_12();
    let mut group = criterion.benchmark_group("poseidon");
    group.bench_function("zk-replica", |bencher| {
        let mut state = INPUT;
        bencher.iter(|| state = poseidon::permute(&state));
    });
    group.bench_function("plonky2", |bencher| {
        let mut state = INPUT.map(GoldilocksField::from_canonical_u64);
        bencher.iter(|| state = plonky2(state));
    });
    group.bench_function("p3-goldilocks (other constants)", |bencher| {
        let mut state = INPUT.map(Goldilocks::new);
        bencher.iter(|| plonky3.permute_mut(&mut state));
    });
    group.finish();
}

criterion_group!(benches, distributions);

fn main() {
    results_equal_plonky2();
    ratios();
    benches();
    Criterion::default().configure_from_args().final_summary();
}
