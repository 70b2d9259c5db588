//! The permutation for machines where multiplying 64 by 64 bits is many instructions: WebAssembly.
//!
//! The plain rounds. The matrix in halves needs no such product at all, so the shortcuts through the partial rounds,
//! which trade it for products, do not pay here.

use super::constants::{HALF_FULL_ROUNDS, PARTIAL_ROUNDS, WIDTH};
use super::matrix::{self, BIASES, Halves};
use super::{add_first_constants, pow7};

/// The permutation of loose lanes; the result is loose.
pub(super) fn permute(state: &[u64; WIDTH]) -> [u64; WIDTH] {
    let mut s = add_first_constants(state);
    for (round, biases) in BIASES.iter().enumerate() {
        let partial = (HALF_FULL_ROUNDS..HALF_FULL_ROUNDS + PARTIAL_ROUNDS).contains(&round);
        let boxes = if partial { 1 } else { WIDTH };
        let mut halves = s.map(Halves::from_u64);
        for (half, &x) in halves[..boxes].iter_mut().zip(&s) {
            let (low, high) = pow7(x);
            *half = Halves::from_words(low, high);
        }
        s = matrix::apply(&halves, biases);
    }
    s
}
