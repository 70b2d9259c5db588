//! Benchmarks beside peers: how the replica's parts compare with other implementations in the same process.
//!
//! A time alone says as much about the machine as about the code. A [`Race`] runs all contenders in turns, so that
//! whatever disturbs the machine disturbs all of them, and reports ratios.
#![allow(clippy::print_stdout, reason = "a benchmark's result is what it prints")]

use core::fmt;
use core::hint::black_box;
use std::time::Instant;
use zk_replica_core::tree::poseidon;

/// The shortest of several times taken, in seconds: the one that was disturbed least.
#[derive(Clone, Copy, Debug)]
pub struct Best(pub f64);

impl Default for Best {
    fn default() -> Self {
        Self(f64::INFINITY)
    }
}

impl Best {
    /// Takes the time of `work`.
    pub fn time<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = black_box(work());
        self.0 = self.0.min(start.elapsed().as_secs_f64());
        result
    }
}

/// How long one Poseidon permutation takes, as the tree uses it: the unit of all floors.
#[derive(Clone, Copy, Debug, Default)]
pub struct Permutation(Best);

impl Permutation {
    const TURN: u32 = 1000;

    /// Takes a turn of about a millisecond.
    pub fn turn(&mut self) {
        let Self(best) = self;
        best.time(|| (0..Self::TURN).fold([0; 4], |last, _| poseidon::hash(&[0; 8], &last)));
    }

    /// The best turn so far, in seconds for one permutation.
    pub fn seconds(&self) -> f64 {
        self.0.0 / f64::from(Self::TURN)
    }
}

/// How often all contenders take their turn. The best turn of each counts.
const TURNS: u32 = 400;

/// Contenders that do the same work; the first is ours.
pub struct Race<'a> {
    name: &'static str,
    /// Operations of one turn; a turn should last about a millisecond.
    operations: u32,
    contenders: Vec<Contender<'a>>,
}

struct Contender<'a> {
    name: &'static str,
    turn: Box<dyn FnMut(u32) + 'a>,
    /// Nanoseconds per operation.
    best: f64,
}

impl<'a> Race<'a> {
    /// A race whose turns have `operations` operations each.
    pub fn new(name: &'static str, operations: u32) -> Self {
        Self { name, operations, contenders: Vec::new() }
    }

    /// Adds a contender: `step` is one operation, which makes the next input from the last.
    pub fn contender<T: Copy + 'a>(
        mut self,
        name: &'static str,
        input: T,
        mut step: impl FnMut(T) -> T + 'a,
    ) -> Self {
        let turn = move |operations| {
            let mut value = black_box(input);
            for _ in 0..operations {
                value = step(value);
            }
            black_box(value);
        };
        self.contenders.push(Contender { name, turn: Box::new(turn), best: f64::INFINITY });
        self
    }

    /// Runs all turns and prints the best of each contender, and ours relative to it.
    pub fn run(mut self) {
        for _ in 0..TURNS {
            for contender in &mut self.contenders {
                let start = Instant::now();
                (contender.turn)(self.operations);
                let turn = start.elapsed().as_secs_f64() * 1e9;
                contender.best = contender.best.min(turn / f64::from(self.operations));
            }
        }

        println!("{}, best of {TURNS} turns:", self.name);
        let ours = self.contenders.first().map_or(f64::NAN, |contender| contender.best);
        for contender in &self.contenders {
            let Contender { name, best, .. } = contender;
            println!("  {name:<45} {best:>7.0} ns   ours / this = {:.2}", ours / best);
        }
    }
}

impl fmt::Debug for Race<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Race").field("name", &self.name).finish_non_exhaustive()
    }
}
