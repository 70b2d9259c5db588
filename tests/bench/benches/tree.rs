//! Updates of twenty random leaves on trees of a thousand to a million: what they cost beside the permutations they
//! need, and that the cost grows with the logarithm of the tree alone.
#![allow(clippy::print_stdout, reason = "a benchmark's result is what it prints")]

use alloy_primitives::{B256, U256};
use zk_replica_bench::{Best, Permutation};
use zk_replica_core::store::{Memory, Store as _};
use zk_replica_core::tree::{Digest, Path, Smt};

const SIZES: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];
/// Leaves that one update changes.
const CHANGED: usize = 20;
/// Different updates on each tree.
const UPDATES: usize = 40;
/// How often each is timed, in turns with those on the other trees.
const TURNS: usize = 60;

fn main() {
    let mut random = Random(1);
    let mut permutation = Permutation::default();
    println!("Bulk build from nothing (once):");
    println!("    leaves  permutations    3.44 n  ratio   seconds");
    let mut trees = SIZES.map(|size| Tree::build(size, &mut random));
    for _ in 0..TURNS {
        permutation.turn();
        for tree in &mut trees {
            tree.update_all();
        }
    }

    let nanoseconds = permutation.seconds() * 1e9;
    println!();
    println!("Updates of {CHANGED} random leaves (mean of {UPDATES}, best of {TURNS} turns each)");
    println!("floor: the permutations alone, {nanoseconds:.0} ns each");
    println!("    leaves  permutations  growth  estimate  ratio   time us  floor us  ratio");
    let mut smaller = None;
    for tree in &trees {
        let (permutations, estimate) = (tree.permutations(), estimate(tree.leaves));
        let (time, floor) = (tree.seconds() * 1e6, permutations * permutation.seconds() * 1e6);
        let growth = smaller.map_or_else(String::new, |smaller| format!("{:+.1}", permutations - smaller));
        println!(
            "{:>10}  {permutations:>12.1}  {growth:>6}  {estimate:>8.1}  {:>5.2}  {time:>8.1}  {floor:>8.1}  {:>5.2}",
            tree.leaves,
            permutations / estimate,
            time / floor,
        );
        smaller = Some(permutations);
    }
    let tenfold = CHANGED as f64 * 10_f64.log2();
    println!(
        "A tree ten times as large adds {CHANGED} log2(10) = {tenfold:.1} permutations if nothing but its depth counts."
    );
}

/// `spec/state-tree.md` §7: the distinct branches on k paths, and for each a leaf and a value.
fn estimate(leaves: usize) -> f64 {
    let (n, k) = (leaves as f64, CHANGED as f64);
    k * (n / k).log2() + 1.44 * k + 2.0 * k
}

/// A tree, and updates of it that are made again and again, each from the same root.
struct Tree {
    store: Memory,
    root: B256,
    leaves: usize,
    updates: Vec<Update>,
}

struct Update {
    changes: [(Path, U256); CHANGED],
    permutations: u64,
    best: Best,
}

impl Tree {
    fn build(leaves: usize, random: &mut Random) -> Self {
        let paths: Vec<Path> = (0..leaves).map(|_| random.path()).collect();
        let store = Memory::new();
        let mut best = Best::default();
        let built = best.time(|| {
            let words = paths.iter().map(|path| (*path, U256::from(1)));
            let update = Smt::new(&store).update(B256::ZERO, words).expect("empty");
            store.apply(&update.to_commit()).expect("memory does not fail");
            update
        });
        let estimate = 3.44 * leaves as f64;
        println!(
            "{leaves:>10}  {:>12}  {estimate:>8.0}  {:>5.2}  {:>8.3}",
            built.permutations,
            built.permutations as f64 / estimate,
            best.0,
        );
        let updates = (0..UPDATES).map(|_| Update {
            changes: core::array::from_fn(|_| (paths[random.below(leaves)], U256::from(random.next()))),
            permutations: 0,
            best: Best::default(),
        });
        Self { root: built.root, leaves, updates: updates.collect(), store }
    }

    fn update_all(&mut self) {
        let tree = Smt::new(&self.store);
        for update in &mut self.updates {
            let changes = update.changes;
            let result = update.best.time(|| tree.update(self.root, changes));
            update.permutations = result.expect("every node is there").permutations;
        }
    }

    /// Mean over the updates.
    fn permutations(&self) -> f64 {
        let sum: u64 = self.updates.iter().map(|update| update.permutations).sum();
        sum as f64 / self.updates.len() as f64
    }

    /// Mean over the updates.
    fn seconds(&self) -> f64 {
        let sum: f64 = self.updates.iter().map(|update| update.best.0).sum();
        sum / self.updates.len() as f64
    }
}

/// SplitMix64: the same numbers in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).expect("below a usize")
    }

    fn path(&mut self) -> Path {
        let limbs = core::array::from_fn(|_| self.next());
        let word = B256::from(U256::from_limbs(limbs));
        // One word in a billion is no digest.
        Digest::try_from(word).map_or_else(|_| self.path(), Path::from)
    }
}
