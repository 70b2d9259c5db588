//! The permutation for machines that multiply 64 by 64 bits in one instruction.
//!
//! Full rounds cut lanes into halves for the matrix; partial rounds follow [`SCHEDULE`].

use super::constants::{HALF_FULL_ROUNDS, PARTIAL_ROUNDS, ROUNDS, WIDTH};
use super::matrix::{self, BIASES, Bias, Halves};
use super::schedule::{EARLY, Early, SCHEDULE, WINDOW};
use super::{add_first_constants, pow7};
use crate::goldilocks::{EPSILON, fold, product, reduce, split};

/// The permutation of loose lanes; the result is loose.
pub(crate) fn permute(state: &[u64; WIDTH]) -> [u64; WIDTH] {
    let mut s = add_first_constants(state);
    for biases in &BIASES[..HALF_FULL_ROUNDS - 1] {
        s = full_round(&s, biases);
    }
    for lane in &mut s {
        let (low, high) = pow7(*lane);
        *lane = reduce(low, high);
    }
    s = partial_rounds(&s);
    for biases in &BIASES[ROUNDS - HALF_FULL_ROUNDS..] {
        s = full_round(&s, biases);
    }
    s
}

#[inline(always)]
fn full_round(s: &[u64; WIDTH], biases: &[Bias; WIDTH]) -> [u64; WIDTH] {
    let mut powers = [Halves::ZERO; WIDTH];
    for (power, &x) in powers.iter_mut().zip(s) {
        let (low, high) = pow7(x);
        *power = Halves::from_words(low, high);
    }
    let mut out = [0; WIDTH];
    for (lane, sum) in out.iter_mut().zip(matrix::apply(&powers, biases)) {
        *lane = sum.join();
    }
    out
}

/// From the lanes after the S-boxes of the last full round to the lanes before the S-boxes of the next one.
#[inline(always)]
fn partial_rounds(u: &[u64; WIDTH]) -> [u64; WIDTH] {
    let mut lane = LaneZero { x: [0; PARTIAL_ROUNDS], z: [0; PARTIAL_ROUNDS], power: (0, 0) };

    lane.enter(0, Sum::of(SCHEDULE.entry_constant, &SCHEDULE.entry, u));
    // Spelt out, because the number of terms grows and must be known to be unrolled.
    early_round::<1>(&mut lane, u, &SCHEDULE.early[0]);
    early_round::<2>(&mut lane, u, &SCHEDULE.early[1]);
    early_round::<3>(&mut lane, u, &SCHEDULE.early[2]);
    early_round::<4>(&mut lane, u, &SCHEDULE.early[3]);
    early_round::<5>(&mut lane, u, &SCHEDULE.early[4]);
    early_round::<6>(&mut lane, u, &SCHEDULE.early[5]);
    early_round::<7>(&mut lane, u, &SCHEDULE.early[6]);
    early_round::<8>(&mut lane, u, &SCHEDULE.early[7]);
    early_round::<9>(&mut lane, u, &SCHEDULE.early[8]);
    early_round::<10>(&mut lane, u, &SCHEDULE.early[9]);
    early_round::<11>(&mut lane, u, &SCHEDULE.early[10]);
    for (k, row) in SCHEDULE.late.iter().enumerate() {
        let mut sum = Sum::of(row.constant, &row.from_x, part(&lane.x, k + 1));
        sum.add_dot(&row.from_z, part::<WINDOW>(&lane.z, k));
        lane.step(EARLY + 1 + k, sum);
    }

    let x: &[u64; WINDOW] = part(&lane.x, PARTIAL_ROUNDS - WINDOW);
    let z: &[u64; WINDOW + 1] = part(&lane.z, PARTIAL_ROUNDS - WINDOW - 1);
    let mut lanes = [0; WIDTH];
    for (lane, row) in lanes.iter_mut().zip(&SCHEDULE.exit) {
        let mut sum = Sum::of(row.constant, &row.from_x, x);
        sum.add_dot(&row.from_z, z);
        *lane = sum.reduce();
    }
    lanes
}

#[inline(always)]
fn early_round<const R: usize>(lane: &mut LaneZero, u: &[u64; WIDTH], row: &Early) {
    let mut sum = Sum::of(row.constant, &row.from_u, u);
    for (&coefficient, &z) in row.from_z[..R - 1].iter().zip(&lane.z[..R - 1]) {
        sum.add(product(coefficient, z));
    }
    lane.step(R, sum);
}

/// What lane 0 held so far, in the terms of [`schedule`](super::schedule). Loose.
struct LaneZero {
    x: [u64; PARTIAL_ROUNDS],
    z: [u64; PARTIAL_ROUNDS],
    /// The newest `z` before its reduction: the next `x` waits for this, and for nothing else that is slow.
    power: (u64, u64),
}

impl LaneZero {
    /// Round `r`: `x[r]` is `sum + z[r-1]`.
    #[inline(always)]
    fn step(&mut self, r: usize, mut sum: Sum) {
        sum.add(self.power);
        self.enter(r, sum);
    }

    /// Round `r`: `x[r]` is `sum`.
    #[inline(always)]
    fn enter(&mut self, r: usize, sum: Sum) {
        let x = sum.reduce();
        self.power = pow7(x);
        self.x[r] = x;
        self.z[r] = reduce(self.power.0, self.power.1);
    }
}

/// A sum of products that is reduced once, at the end.
///
/// Low and high words are summed apart: no carry passes between them, and there is no third word to keep.
#[derive(Clone, Copy)]
struct Sum {
    low: u128,
    /// Weight `2^64`.
    high: u128,
}

impl Sum {
    /// `start + x . y`
    #[inline(always)]
    fn of<const N: usize>(start: u64, x: &[u64; N], y: &[u64; N]) -> Self {
        let mut sum = Self { low: u128::from(start), high: 0 };
        sum.add_dot(x, y);
        sum
    }

    #[inline(always)]
    fn add_dot<const N: usize>(&mut self, x: &[u64; N], y: &[u64; N]) {
        for (&x, &y) in x.iter().zip(y) {
            self.add(product(x, y));
        }
    }

    /// Adds `low + 2^64 * high`; [`Sum::reduce`] has room for `2^30` of them.
    #[inline(always)]
    fn add(&mut self, (low, high): (u64, u64)) {
        self.low += u128::from(low);
        self.high += u128::from(high);
    }

    /// The sum modulo `p`, loose.
    #[inline(always)]
    fn reduce(self) -> u64 {
        let (low, carry) = split(self.low);
        let high = self.high + u128::from(carry);
        let (middle, _) = split(high);
        let (top, _) = split(high >> 32);
        fold(low, middle & EPSILON, top)
    }
}

/// `N` values from `start` on.
#[inline(always)]
fn part<const N: usize>(values: &[u64; PARTIAL_ROUNDS], start: usize) -> &[u64; N] {
    values[start..start + N].try_into().expect("the slice has N values")
}
