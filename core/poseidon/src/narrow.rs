//! The permutation for machines where multiplying 64 by 64 bits is many instructions: WebAssembly.
//!
//! The plain rounds. The matrix in halves needs no such product at all, so the shortcuts through the partial rounds,
//! which trade it for products, do not pay here.

use super::constants::{HALF_FULL_ROUNDS, PARTIAL_ROUNDS, WIDTH};
use super::matrix::{self, BIASES, Halves};
use super::{add_first_constants, pow7};

/// Partial rounds between two joinings of lanes 1 to 11: three matrices make halves of at most `2^43 * 265^2`, which
/// is below `2^62`.
const ROOM: usize = 3;

/// The permutation of loose lanes; the result is loose.
pub(crate) fn permute(state: &[u64; WIDTH]) -> [u64; WIDTH] {
    let (first, rest) = BIASES.split_at(HALF_FULL_ROUNDS);
    let (partial, last) = rest.split_at(PARTIAL_ROUNDS);

    let mut s = add_first_constants(state);
    for biases in first {
        s = matrix::apply(&s.map(sbox), biases).map(Halves::join);
    }
    for group in partial.chunks(ROOM) {
        let mut lanes = s.map(Halves::from_u64);
        for biases in group {
            lanes[0] = sbox(lanes[0].join());
            lanes = matrix::apply(&lanes, biases);
        }
        s = lanes.map(Halves::join);
    }
    for biases in last {
        s = matrix::apply(&s.map(sbox), biases).map(Halves::join);
    }
    s
}

#[inline(always)]
fn sbox(x: u64) -> Halves {
    let (low, high) = pow7(x);
    Halves::from_words(low, high)
}
