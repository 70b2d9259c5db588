//! The matrix of the full rounds, on lanes split in halves.
//!
//! A lane is `low + 2^32 * high`. The matrix has entries of at most six bits, so it is applied to the low halves and to
//! the high halves as to plain integers, and carries are dealt with once at the end. Everything wraps modulo `2^64`;
//! negative halves are fine.

use super::constants::{CORNER, ROUND_CONSTANTS, ROUNDS, WIDTH};
use crate::goldilocks::{EPSILON, ORDER};

/// A lane as `low + 2^32 * high`, both in two's complement.
///
/// The matrix takes lanes of [`Halves::from_words`], whose low half may be as little as `-2^33`, and gives halves from
/// 0 to `2^43`. Applied to its own results, it makes them at most 265 times as large.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Halves {
    pub(crate) low: u64,
    pub(crate) high: u64,
}

impl Halves {
    pub(crate) const ZERO: Self = Self { low: 0, high: 0 };

    /// Of a loose element.
    #[cfg(any(test, not(target_pointer_width = "64")))]
    #[inline(always)]
    pub(crate) const fn from_u64(x: u64) -> Self {
        Self { low: x & EPSILON, high: x >> 32 }
    }

    /// Of `low + 2^64 * high`, which is not reduced before: `2^64 = 2^32 - 1` and `2^96 = -1`.
    #[inline(always)]
    pub(crate) const fn from_words(low: u64, high: u64) -> Self {
        Self {
            low: (low & EPSILON).wrapping_sub(high & EPSILON).wrapping_sub(high >> 32),
            high: (low >> 32) + (high & EPSILON),
        }
    }

    /// The loose element. Halves must be between 0 and `2^62`.
    #[inline(always)]
    pub(crate) const fn join(self) -> u64 {
        let small = self.low + (self.high >> 32) * EPSILON;
        let (sum, carry) = (self.high << 32).overflowing_add(small);
        // After a carry the sum is below `small`, far from a second carry.
        if carry { sum + EPSILON } else { sum }
    }
}

/// What is added to a lane after the matrix: the next round's constant, and zero in a form that keeps halves positive.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bias {
    low: u64,
    high: u64,
}

impl Bias {
    /// More than the matrix can subtract: 264, the largest sum of a row, times `2^33`.
    const OFFSET: u64 = 1 << 42;

    const fn new(constant: u64) -> Self {
        let rest =
            if constant < Self::OFFSET { constant + (ORDER - Self::OFFSET) } else { constant - Self::OFFSET };
        Self { low: (rest & EPSILON) + Self::OFFSET, high: rest >> 32 }
    }
}

/// Entry `r` goes with the matrix of round `r`: it has the constants of round `r + 1`, and zeros after the last round.
pub(crate) static BIASES: [[Bias; WIDTH]; ROUNDS] = {
    let mut biases = [[Bias::new(0); WIDTH]; ROUNDS];
    let mut round = 1;
    while round < ROUNDS {
        let mut i = 0;
        while i < WIDTH {
            biases[round - 1][i] = Bias::new(ROUND_CONSTANTS[round][i]);
            i += 1;
        }
        round += 1;
    }
    biases
};

/// The matrix times the state, plus the constants of the next round.
#[inline(always)]
pub(crate) fn apply(state: &[Halves; WIDTH], biases: &[Bias; WIDTH]) -> [Halves; WIDTH] {
    let mut low = [0; WIDTH];
    let mut high = [0; WIDTH];
    for (i, lane) in state.iter().enumerate() {
        low[i] = lane.low;
        high[i] = lane.high;
    }
    let low = multiply(low);
    let high = multiply(high);
    let mut out = [Halves::ZERO; WIDTH];
    for (i, bias) in biases.iter().enumerate() {
        out[i] = Halves { low: low[i].wrapping_add(bias.low), high: high[i].wrapping_add(bias.high) };
    }
    out
}

/// The matrix times integers, modulo `2^64`.
///
/// The lanes are the coefficients of a polynomial; the circulant multiplies it by `sum_k CIRCULANT[k] X^-k` modulo
/// `X^12 - 1`. That modulus splits into `X^3 - 1`, `X^3 + 1` and `X^6 + 1`, and modulo these the multiplier has
/// coefficients (up to the 2 or 4 that joining the three results would divide by) that are powers of two.
#[inline(always)]
fn multiply(s: [u64; WIDTH]) -> [u64; WIDTH] {
    // Modulo X^6 - 1 and X^6 + 1.
    let plus: [u64; 6] = core::array::from_fn(|j| s[j].wrapping_add(s[j + 6]));
    let minus: [u64; 6] = core::array::from_fn(|j| s[j].wrapping_sub(s[j + 6]));
    // The former modulo X^3 - 1 and X^3 + 1.
    let plus = [
        times_plus(core::array::from_fn(|j| plus[j].wrapping_add(plus[j + 3]))),
        times_minus(core::array::from_fn(|j| plus[j].wrapping_sub(plus[j + 3]))),
    ];
    let minus = times_six(minus);

    let mut out = [0; WIDTH];
    for j in 0..3 {
        let [sum, difference] = [plus[0][j].wrapping_add(plus[1][j]), plus[0][j].wrapping_sub(plus[1][j])];
        out[j] = sum.wrapping_add(minus[j]);
        out[j + 3] = difference.wrapping_add(minus[j + 3]);
        out[j + 6] = sum.wrapping_sub(minus[j]);
        out[j + 9] = difference.wrapping_sub(minus[j + 3]);
    }
    out[0] = out[0].wrapping_add(s[0].wrapping_mul(CORNER));
    out
}

/// Times `16 + 32 X + 16 X^2` modulo `X^3 - 1`.
#[inline(always)]
fn times_plus([a, b, c]: [u64; 3]) -> [u64; 3] {
    let sum = a.wrapping_add(b).wrapping_add(c);
    [c, a, b].map(|x| sum.wrapping_add(x) << 4)
}

/// Times `-1 - 8 X + 2 X^2` modulo `X^3 + 1`.
#[inline(always)]
fn times_minus([a, b, c]: [u64; 3]) -> [u64; 3] {
    [
        (c << 3).wrapping_sub(b << 1).wrapping_sub(a),
        (a << 3).wrapping_add(c << 1).wrapping_add(b).wrapping_neg(),
        (a << 1).wrapping_sub(b << 3).wrapping_sub(c),
    ]
}

/// Times `2 - 4 X + 16 X^2 + X^3 - X^4 - X^5` modulo `X^6 + 1`.
#[inline(always)]
fn times_six(a: [u64; 6]) -> [u64; 6] {
    core::array::from_fn(|i| {
        // `X^k` moves coefficient `i - k` to `i`, and negates it when it passes the top.
        let moved = |k: usize| {
            if k <= i { a[i - k] } else { a[i + 6 - k].wrapping_neg() }
        };
        (moved(0) << 1)
            .wrapping_sub(moved(1) << 2)
            .wrapping_add(moved(2) << 4)
            .wrapping_add(moved(3))
            .wrapping_sub(moved(4))
            .wrapping_sub(moved(5))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::goldilocks::canonical;
    use crate::tests::entry;
    use proptest::prelude::*;

    const P: u128 = ORDER as u128;

    /// `low + 2^64 * high` of each lane, times the matrix, plus `constants`.
    fn dense(words: &[(u64, u64); WIDTH], constants: &[u64; WIDTH]) -> [u64; WIDTH] {
        core::array::from_fn(|i| {
            let sum = (0..WIDTH).fold(u128::from(constants[i]), |sum, j| {
                let lane = (u128::from(words[j].0) + (u128::from(words[j].1) << 64)) % P;
                sum + u128::from(entry(i, j)) * lane
            });
            u64::try_from(sum % P).expect("below the order")
        })
    }

    fn check(words: &[(u64, u64); WIDTH], constants: &[u64; WIDTH]) {
        let halves = words.map(|(low, high)| Halves::from_words(low, high));
        let out = apply(&halves, &constants.map(Bias::new));
        assert_eq!(out.map(|lane| canonical(lane.join())), dense(words, constants));
    }

    #[test]
    fn extreme_halves_neither_overflow_nor_turn_negative() {
        for low in [0, EPSILON, EPSILON << 32, u64::MAX] {
            for high in [0, EPSILON, EPSILON << 32, u64::MAX] {
                for constant in [0, EPSILON, Bias::OFFSET - 1, Bias::OFFSET, ORDER - 1] {
                    check(&[(low, high); WIDTH], &[constant; WIDTH]);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn equals_the_dense_matrix(
            words in proptest::array::uniform12(any::<(u64, u64)>()),
            constants in proptest::array::uniform12(0..ORDER),
        ) {
            check(&words, &constants);
        }
    }
}
