//! The matrix of the full rounds, on lanes split in halves.
//!
//! A lane is `low + 2^32 * high`. The matrix has entries of at most six bits, so it is applied to the low halves and to
//! the high halves as to plain integers, and carries are dealt with once at the end. Everything wraps modulo `2^64`;
//! negative halves are fine.

use super::constants::{CORNER, ROUND_CONSTANTS, ROUNDS, WIDTH};
use crate::goldilocks::{EPSILON, ORDER};

/// The corner is a power of two as well.
const LOG_CORNER: u32 = {
    assert!(CORNER.is_power_of_two());
    CORNER.trailing_zeros()
};

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
    #[cfg(any(test, not(target_feature = "simd128")))]
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

    #[cfg(target_feature = "simd128")]
    pub(crate) const fn halves(self) -> Halves {
        Halves { low: self.low, high: self.high }
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
#[cfg(any(test, not(target_feature = "simd128")))]
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

/// What the matrix is applied to: integers modulo `2^64`, one or several.
pub(crate) trait Summand: Copy {
    fn plus(self, other: Self) -> Self;
    fn minus(self, other: Self) -> Self;
    fn negative(self) -> Self;
    /// Times `2^TIMES`.
    fn doubled<const TIMES: u32>(self) -> Self;
}

impl Summand for u64 {
    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        self.wrapping_add(other)
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        self.wrapping_sub(other)
    }

    #[inline(always)]
    fn negative(self) -> Self {
        self.wrapping_neg()
    }

    #[inline(always)]
    fn doubled<const TIMES: u32>(self) -> Self {
        self << TIMES
    }
}

/// The matrix times integers.
///
/// The lanes are the coefficients of a polynomial; the circulant multiplies it by `sum_k CIRCULANT[k] X^-k` modulo
/// `X^12 - 1`. That modulus splits into `X^3 - 1`, `X^3 + 1` and `X^6 + 1`, and modulo these the multiplier has
/// coefficients (up to the 2 or 4 that joining the three results would divide by) that are powers of two.
#[inline(always)]
pub(crate) fn multiply<S: Summand>(s: [S; WIDTH]) -> [S; WIDTH] {
    // Modulo X^6 - 1 and X^6 + 1.
    let (mut plus, mut minus) = ([s[0]; 6], [s[0]; 6]);
    for j in 0..6 {
        (plus[j], minus[j]) = (s[j].plus(s[j + 6]), s[j].minus(s[j + 6]));
    }
    // The former modulo X^3 - 1 and X^3 + 1.
    let [a, b, c, d, e, f] = plus;
    let plus = times_plus([a.plus(d), b.plus(e), c.plus(f)]);
    let both = times_minus([a.minus(d), b.minus(e), c.minus(f)]);
    let minus = times_six(minus);

    let mut out = s;
    for j in 0..3 {
        let (sum, difference) = (plus[j].plus(both[j]), plus[j].minus(both[j]));
        out[j] = sum.plus(minus[j]);
        out[j + 3] = difference.plus(minus[j + 3]);
        out[j + 6] = sum.minus(minus[j]);
        out[j + 9] = difference.minus(minus[j + 3]);
    }
    out[0] = out[0].plus(s[0].doubled::<LOG_CORNER>());
    out
}

/// Times `16 + 32 X + 16 X^2` modulo `X^3 - 1`.
#[inline(always)]
fn times_plus<S: Summand>([a, b, c]: [S; 3]) -> [S; 3] {
    let sum = a.plus(b).plus(c);
    [sum.plus(c).doubled::<4>(), sum.plus(a).doubled::<4>(), sum.plus(b).doubled::<4>()]
}

/// Times `-1 - 8 X + 2 X^2` modulo `X^3 + 1`.
#[inline(always)]
fn times_minus<S: Summand>([a, b, c]: [S; 3]) -> [S; 3] {
    [
        c.doubled::<3>().minus(b.doubled::<1>()).minus(a),
        a.doubled::<3>().plus(c.doubled::<1>()).plus(b).negative(),
        a.doubled::<1>().minus(b.doubled::<3>()).minus(c),
    ]
}

/// Times `2 - 4 X + 16 X^2 + X^3 - X^4 - X^5` modulo `X^6 + 1`.
#[inline(always)]
fn times_six<S: Summand>(a: [S; 6]) -> [S; 6] {
    let mut out = a;
    for (i, out) in out.iter_mut().enumerate() {
        // `X^k` moves coefficient `i - k` to `i`, and negates it when it passes the top.
        let moved = |k: usize| a[(i + 6 - k) % 6];
        let passes = |k: usize| k > i;
        let mut sum = moved(0).doubled::<1>();
        sum = signed(sum, !passes(1), moved(1).doubled::<2>());
        sum = signed(sum, passes(2), moved(2).doubled::<4>());
        sum = signed(sum, passes(3), moved(3));
        sum = signed(sum, !passes(4), moved(4));
        *out = signed(sum, !passes(5), moved(5));
    }
    out
}

/// `sum - term` or `sum + term`.
#[inline(always)]
fn signed<S: Summand>(sum: S, negative: bool, term: S) -> S {
    if negative { sum.minus(term) } else { sum.plus(term) }
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
