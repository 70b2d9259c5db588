//! The partial rounds as the 64-bit backend evaluates them, derived from the plain constants at compile time.
//!
//! In the 22 partial rounds only lane 0 passes an S-box; everything else is affine. So the whole middle of the
//! permutation is described by what lane 0 holds before each S-box. Let `u` be the twelve lanes before the matrix of
//! the last full round, `x[r]` lane 0 before S-box `r`, `z[r] = x[r]^7`. Then
//!
//! - `x[0]` is affine in `u`, and `x[r]` in `u` and `z[0..r]` ([`Early`]);
//! - the other eleven lanes evolve by a fixed 11x11 matrix, so eleven successive `x` determine them, and from round 12
//!   on `x[r]` is affine in `x[r-11..r]` and `z[r-12..r]`: fewer products, and no `u` ([`Late`]);
//! - in the same way all twelve lanes after the partial rounds are affine in `x[11..22]` and `z[10..22]` ([`Exit`]).
//!
//! Finally `x[r]` is scaled by a constant, chosen so that the coefficient of `z[r-1]` in `x[r]` is one: between two
//! S-boxes lane 0 then sees one addition and no multiplication. Round constants end up in the affine parts.

use super::constants::{CIRCULANT, CORNER, HALF_FULL_ROUNDS, PARTIAL_ROUNDS, ROUND_CONSTANTS, WIDTH};
use crate::goldilocks::{ORDER, split};

/// How many successive `x` stand for the lanes that pass no S-box.
pub(crate) const WINDOW: usize = WIDTH - 1;

/// Rounds 1 to `EARLY` are computed from `u`, later ones from the window.
pub(crate) const EARLY: usize = WINDOW;

/// Rounds computed from the window.
pub(crate) const LATE: usize = PARTIAL_ROUNDS - 1 - EARLY;

/// `x[r]` for `1 <= r <= EARLY` is `constant + u . from_u + z[..r-1] . from_z + z[r-1]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Early {
    pub(crate) constant: u64,
    pub(crate) from_u: [u64; WIDTH],
    /// The first `r - 1` are in use.
    pub(crate) from_z: [u64; EARLY - 1],
}

/// `x[r]` for `r > EARLY` is `constant + x[r-11..r] . from_x + z[r-12..r-1] . from_z + z[r-1]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Late {
    pub(crate) constant: u64,
    pub(crate) from_x: [u64; WINDOW],
    pub(crate) from_z: [u64; WINDOW],
}

/// A lane after the partial rounds is `constant + x[11..22] . from_x + z[10..22] . from_z`; the round constant of the
/// full round that follows is already in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exit {
    pub(crate) constant: u64,
    pub(crate) from_x: [u64; WINDOW],
    pub(crate) from_z: [u64; WINDOW + 1],
}

/// All coefficients of the partial rounds, canonical.
#[derive(Debug)]
pub(crate) struct Schedule {
    /// `x[0]` is `entry_constant + u . entry`; these are the matrix's own small entries.
    pub(crate) entry_constant: u64,
    pub(crate) entry: [u64; WIDTH],
    pub(crate) early: [Early; EARLY],
    pub(crate) late: [Late; LATE],
    pub(crate) exit: [Exit; WIDTH],
}

/// The schedule of this Poseidon instance.
pub(crate) static SCHEDULE: Schedule = derive();

/// Coefficients of an affine form: of 1, of `u[0..12]`, of `z[0..22]`.
type Form = [u64; TERMS];
const U: usize = 1;
const Z: usize = U + WIDTH;
const TERMS: usize = Z + PARTIAL_ROUNDS;

const fn derive() -> Schedule {
    let (x, lanes) = forms();

    let mut early = [Early { constant: 0, from_u: [0; WIDTH], from_z: [0; EARLY - 1] }; EARLY];
    let mut r = 1;
    while r <= EARLY {
        early[r - 1] = Early { constant: x[r][0], from_u: take(&x[r], U), from_z: take(&x[r], Z) };
        r += 1;
    }

    let mut late = [Late { constant: 0, from_x: [0; WINDOW], from_z: [0; WINDOW] }; LATE];
    let mut r = EARLY + 1;
    while r < PARTIAL_ROUNDS {
        let (from_x, rest) = express(&x[r], &x, r - WINDOW, &inverse(&x, r - WINDOW));
        late[r - EARLY - 1] = Late { constant: rest[0], from_x, from_z: take(&rest, Z + r - WIDTH) };
        r += 1;
    }

    let mut exit = [Exit { constant: 0, from_x: [0; WINDOW], from_z: [0; WINDOW + 1] }; WIDTH];
    let first = PARTIAL_ROUNDS - WINDOW;
    let inverse = inverse(&x, first);
    let mut i = 0;
    while i < WIDTH {
        let (from_x, rest) = express(&lanes[i], &x, first, &inverse);
        exit[i] = Exit { constant: rest[0], from_x, from_z: take(&rest, Z + first - 1) };
        i += 1;
    }

    Schedule { entry_constant: x[0][0], entry: take(&x[0], U), early, late, exit }
}

/// Runs the partial rounds on affine forms: the scaled `x[0..22]`, and the lanes afterwards.
const fn forms() -> ([Form; PARTIAL_ROUNDS], [Form; WIDTH]) {
    let mut lanes = [[0; TERMS]; WIDTH];
    let mut i = 0;
    while i < WIDTH {
        lanes[i][U + i] = 1;
        i += 1;
    }
    lanes = next(&lanes, HALF_FULL_ROUNDS);

    let mut x = [[0; TERMS]; PARTIAL_ROUNDS];
    // Lane 0 is `scale * x[r]`.
    let mut scale = 1;
    let mut r = 0;
    while r < PARTIAL_ROUNDS {
        let unscale = invert(scale);
        let mut t = 0;
        while t < TERMS {
            x[r][t] = mul(lanes[0][t], unscale);
            t += 1;
        }
        let power = power(scale, 7);
        lanes[0] = [0; TERMS];
        lanes[0][Z + r] = power;
        lanes = next(&lanes, HALF_FULL_ROUNDS + 1 + r);
        scale = mul(CIRCULANT[0] + CORNER, power);
        r += 1;
    }
    (x, lanes)
}

/// The matrix, then the constants of `round`.
const fn next(lanes: &[Form; WIDTH], round: usize) -> [Form; WIDTH] {
    let mut out = [[0; TERMS]; WIDTH];
    let mut i = 0;
    while i < WIDTH {
        let mut t = 0;
        while t < TERMS {
            let mut sum = if i == 0 { mul(CORNER, lanes[0][t]) } else { 0 };
            let mut j = 0;
            while j < WIDTH {
                sum = add(sum, mul(CIRCULANT[(j + WIDTH - i) % WIDTH], lanes[j][t]));
                j += 1;
            }
            out[i][t] = sum;
            t += 1;
        }
        out[i][0] = add(out[i][0], ROUND_CONSTANTS[round][i]);
        i += 1;
    }
    out
}

/// Writes `form` as `coefficients . x[first..first + 11]` plus a form without `u`.
const fn express(
    form: &Form,
    x: &[Form; PARTIAL_ROUNDS],
    first: usize,
    inverse: &[[u64; WINDOW]; WINDOW],
) -> ([u64; WINDOW], Form) {
    let mut coefficients = [0; WINDOW];
    let mut rest = *form;
    let mut k = 0;
    while k < WINDOW {
        let mut i = 0;
        while i < WINDOW {
            coefficients[k] = add(coefficients[k], mul(form[U + i], inverse[i][k]));
            i += 1;
        }
        let minus = ORDER - coefficients[k];
        let mut t = 0;
        while t < TERMS {
            rest[t] = add(rest[t], mul(minus, x[first + k][t]));
            t += 1;
        }
        k += 1;
    }
    let mut i = 0;
    while i < WIDTH {
        assert!(rest[U + i] == 0, "eleven successive x determine the lanes without S-box");
        i += 1;
    }
    (coefficients, rest)
}

/// The inverse of the matrix of the coefficients of `u[0..11]` in `x[first..first + 11]`, by Gauss and Jordan.
///
/// From `x[1]` on, the coefficients of `u[11]` depend on the other eleven: they need no row of their own.
const fn inverse(x: &[Form; PARTIAL_ROUNDS], first: usize) -> [[u64; WINDOW]; WINDOW] {
    let mut left = [[0; WINDOW]; WINDOW];
    let mut right = [[0; WINDOW]; WINDOW];
    let mut i = 0;
    while i < WINDOW {
        left[i] = take(&x[first + i], U);
        right[i][i] = 1;
        i += 1;
    }
    let mut pivot = 0;
    while pivot < WINDOW {
        assert!(left[pivot][pivot] != 0, "no row exchange is needed for these constants");
        let factor = invert(left[pivot][pivot]);
        let mut j = 0;
        while j < WINDOW {
            left[pivot][j] = mul(left[pivot][j], factor);
            right[pivot][j] = mul(right[pivot][j], factor);
            j += 1;
        }
        let mut i = 0;
        while i < WINDOW {
            if i != pivot {
                let factor = ORDER - left[i][pivot];
                let mut j = 0;
                while j < WINDOW {
                    left[i][j] = add(left[i][j], mul(factor, left[pivot][j]));
                    right[i][j] = add(right[i][j], mul(factor, right[pivot][j]));
                    j += 1;
                }
            }
            i += 1;
        }
        pivot += 1;
    }
    right
}

/// `N` coefficients of a form from the `start`-th on.
const fn take<const N: usize>(form: &Form, start: usize) -> [u64; N] {
    let mut out = [0; N];
    let mut i = 0;
    while i < N {
        out[i] = form[start + i];
        i += 1;
    }
    out
}

const fn add(x: u64, y: u64) -> u64 {
    split((x as u128 + y as u128) % ORDER as u128).0
}

const fn mul(x: u64, y: u64) -> u64 {
    split(x as u128 * y as u128 % ORDER as u128).0
}

/// `1 / x`, by Fermat.
const fn invert(x: u64) -> u64 {
    power(x, ORDER - 2)
}

const fn power(x: u64, exponent: u64) -> u64 {
    let mut result = 1;
    let mut square = x;
    let mut left = exponent;
    while left != 0 {
        if left & 1 == 1 {
            result = mul(result, square);
        }
        square = mul(square, square);
        left >>= 1;
    }
    result
}
