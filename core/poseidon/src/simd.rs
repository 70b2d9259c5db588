//! The permutation for WebAssembly with vectors of 128 bits: as in [`narrow`](super::narrow), but both halves of a lane
//! are in one vector, so that the matrix takes half as many instructions.
//!
//! The S-boxes stay as they are: of products of 32 by 32 bits a vector holds two, and most machines need more
//! instructions to bring the factors there than it saves.

use super::constants::{HALF_FULL_ROUNDS, PARTIAL_ROUNDS, ROUNDS, WIDTH};
use super::matrix::{BIASES, Halves, Summand, multiply};
use super::{add_first_constants, pow7};
use core::arch::wasm32::{i64x2_add, i64x2_neg, i64x2_shl, i64x2_sub, u64x2, u64x2_extract_lane, v128};

/// As in `narrow`.
const ROOM: usize = 3;

/// The permutation of loose lanes; the result is loose.
pub(crate) fn permute(state: &[u64; WIDTH]) -> [u64; WIDTH] {
    let (first, rest) = VECTORS.split_at(HALF_FULL_ROUNDS);
    let (partial, last) = rest.split_at(PARTIAL_ROUNDS);

    let mut s = add_first_constants(state);
    for biases in first {
        full_round(&mut s, biases);
    }
    for group in partial.chunks(ROOM) {
        let mut lanes = [VECTORS[0][0]; WIDTH];
        for (lane, x) in lanes.iter_mut().zip(s) {
            *lane = vector(Halves::from_u64(x));
        }
        for biases in group {
            lanes[0] = sbox(join(lanes[0]));
            lanes = apply(lanes, biases);
        }
        for (x, lane) in s.iter_mut().zip(lanes) {
            *x = join(lane);
        }
    }
    for biases in last {
        full_round(&mut s, biases);
    }
    s
}

#[inline(always)]
fn full_round(s: &mut [u64; WIDTH], biases: &[v128; WIDTH]) {
    let mut lanes = *biases;
    for (lane, x) in lanes.iter_mut().zip(*s) {
        *lane = sbox(x);
    }
    for (x, lane) in s.iter_mut().zip(apply(lanes, biases)) {
        *x = join(lane);
    }
}

#[inline(always)]
fn sbox(x: u64) -> v128 {
    let (low, high) = pow7(x);
    vector(Halves::from_words(low, high))
}

#[inline(always)]
fn apply(lanes: [v128; WIDTH], biases: &[v128; WIDTH]) -> [v128; WIDTH] {
    let mut out = multiply(lanes);
    for (lane, bias) in out.iter_mut().zip(biases) {
        *lane = lane.plus(*bias);
    }
    out
}

#[inline(always)]
const fn vector(halves: Halves) -> v128 {
    u64x2(halves.low, halves.high)
}

#[inline(always)]
fn join(lane: v128) -> u64 {
    Halves { low: u64x2_extract_lane::<0>(lane), high: u64x2_extract_lane::<1>(lane) }.join()
}

impl Summand for v128 {
    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        i64x2_add(self, other)
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        i64x2_sub(self, other)
    }

    #[inline(always)]
    fn negative(self) -> Self {
        i64x2_neg(self)
    }

    #[inline(always)]
    fn doubled<const TIMES: u32>(self) -> Self {
        i64x2_shl(self, TIMES)
    }
}

static VECTORS: [[v128; WIDTH]; ROUNDS] = {
    let mut vectors = [[u64x2(0, 0); WIDTH]; ROUNDS];
    let mut round = 0;
    while round < ROUNDS {
        let mut i = 0;
        while i < WIDTH {
            vectors[round][i] = vector(BIASES[round][i].halves());
            i += 1;
        }
        round += 1;
    }
    vectors
};
