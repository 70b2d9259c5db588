//! The Poseidon permutation over Goldilocks: width 12, 8 full and 22 partial rounds, S-box `x^7`.
//!
//! It is the hash of the state tree, its keys and its values, and equals Plonky2's Goldilocks Poseidon and the one of
//! `zkevm-commonjs` (`src/poseidon`). Round by round: add the constants; raise all lanes (full rounds) or lane 0
//! (partial rounds) to the seventh power; multiply by the matrix. `constants.rs` has the numbers; three backends compute
//! the same function, one for machines with a 64-bit multiplier that gives 128 bits, one for those without, and one for
//! WebAssembly with vectors.
//!
//! Nothing here is secret: times depend on the data.
//!
//! It is a crate of its own so that it can be compiled for speed where everything else is compiled for size.
#![no_std]

mod constants;
mod goldilocks;
mod matrix;
#[cfg(any(test, not(any(target_pointer_width = "64", target_feature = "simd128"))))]
mod narrow;
#[cfg(any(test, target_pointer_width = "64"))]
mod schedule;
#[cfg(target_feature = "simd128")]
mod simd;
#[cfg(test)]
mod tests;
#[cfg(any(test, target_pointer_width = "64"))]
mod wide;

#[cfg(not(any(target_pointer_width = "64", target_feature = "simd128")))]
use narrow as backend;
#[cfg(target_feature = "simd128")]
use simd as backend;
#[cfg(target_pointer_width = "64")]
use wide as backend;

pub use goldilocks::ORDER;

use constants::{ROUND_CONSTANTS, WIDTH};
use goldilocks::{add_canonical, canonical, mul, product};

/// Bytes that [`hash_bytes`] absorbs per permutation: eight elements of seven bytes, which are below the field's order.
const CHUNK: usize = 56;

/// Hashes eight rate elements under four capacity elements: the first four lanes of the permutation, canonical.
///
/// Inputs are reduced modulo the field's order: `x` and `x + p` hash alike. Whoever decodes limbs from outside must
/// refuse those that are not canonical.
///
/// ```
/// // The capacity of all account keys.
/// assert_eq!(
///     zk_replica_poseidon::hash(&[0; 8], &[0; 4]),
///     [0x3c18a9786cb0b359, 0xc4055e3364a246c3, 0x7953db0ab48808f4, 0xc71603f33a1144ca],
/// );
/// ```
pub fn hash(rate: &[u64; 8], capacity: &[u64; 4]) -> [u64; 4] {
    let [a, b, c, d, e, f, g, h] = *rate;
    let [i, j, k, l] = *capacity;
    let [a, b, c, d, ..] = backend::permute(&[a, b, c, d, e, f, g, h, i, j, k, l]);
    [a, b, c, d].map(canonical)
}

/// The linear Poseidon of bytes: of contract code, logs and transactions (`hashContractBytecode` in zkevm-commonjs).
///
/// The bytes get a `0x01`, zeros up to a multiple of 56, and `0x80` into the last byte. Each 56 bytes are eight
/// little-endian elements of seven bytes, hashed with the digest so far, at first zero, as the capacity.
pub fn hash_bytes(bytes: &[u8]) -> [u64; 4] {
    let (chunks, rest) = bytes.as_chunks();
    let mut last = [0; CHUNK];
    last[..rest.len()].copy_from_slice(rest);
    last[rest.len()] = 0x01;
    last[CHUNK - 1] |= 0x80;

    let mut digest = [0; 4];
    for chunk in chunks.iter().chain([&last]) {
        digest = hash(&elements(chunk), &digest);
    }
    digest
}

/// The permutation of all twelve lanes: eight of rate, then four of capacity. Takes any lanes, gives canonical ones.
pub fn permute(state: &[u64; WIDTH]) -> [u64; WIDTH] {
    backend::permute(state).map(canonical)
}

fn elements(chunk: &[u8; CHUNK]) -> [u64; 8] {
    core::array::from_fn(|i| {
        let mut word = [0; 8];
        word[..7].copy_from_slice(&chunk[7 * i..7 * i + 7]);
        u64::from_le_bytes(word)
    })
}

#[inline(always)]
fn add_first_constants(state: &[u64; WIDTH]) -> [u64; WIDTH] {
    core::array::from_fn(|i| add_canonical(state[i], ROUND_CONSTANTS[0][i]))
}

/// The low and high word of a product that is `x^7`.
#[inline(always)]
fn pow7(x: u64) -> (u64, u64) {
    let square = mul(x, x);
    product(mul(square, x), mul(square, square))
}
