//! The Goldilocks field: integers modulo `p = 2^64 - 2^32 + 1`.
//!
//! An element is a `u64`. Between operations it may be any number below `2^64` ("loose"); [`canonical`] gives the
//! representative below `p`, and only that may be compared, stored or shown. Reduction rests on `2^64 = 2^32 - 1` and
//! `2^96 = -1` modulo `p`: a number of several words needs no division.

/// The field's order `p`: `2^64 - 2^32 + 1`.
pub const ORDER: u64 = 0xffff_ffff_0000_0001;

/// `2^64` modulo `p`. As a bit mask: the low half of a word.
pub(crate) const EPSILON: u64 = 0xffff_ffff;

/// The representative below `p`.
#[inline]
pub(crate) const fn canonical(x: u64) -> u64 {
    if x >= ORDER { x - ORDER } else { x }
}

/// `x + y`, loose, of a loose `x` and a canonical `y`.
///
/// With both loose the sum could wrap twice.
#[inline]
pub(crate) const fn add_canonical(x: u64, y: u64) -> u64 {
    debug_assert!(y < ORDER);
    let (sum, carry) = x.overflowing_add(y);
    if carry { sum + EPSILON } else { sum }
}

/// `x * y`, loose, of loose factors.
#[inline(always)]
pub(crate) fn mul(x: u64, y: u64) -> u64 {
    let (low, high) = product(x, y);
    reduce(low, high)
}

/// `low + 2^64 * high` modulo `p`, loose.
#[inline(always)]
pub(crate) fn reduce(low: u64, high: u64) -> u64 {
    fold(low, high & EPSILON, high >> 32)
}

/// `low + 2^64 * middle - top` modulo `p`, loose: a number cut at weights `2^64` and `2^96`.
///
/// `middle` must be below `2^32`, `top` below `2^63`.
#[inline(always)]
pub(crate) fn fold(low: u64, middle: u64, top: u64) -> u64 {
    let (mut difference, borrow) = low.overflowing_sub(top);
    if borrow {
        difference = repay(difference);
    }
    let (sum, carry) = difference.overflowing_add(middle * EPSILON);
    // After a carry at most `2^64 - 2^33` is left: no second one.
    if carry { sum + EPSILON } else { sum }
}

/// Corrects a difference that wrapped.
///
/// Of 2^32 products one needs it. As a call it stays a branch, out of the chain of operations that each result waits
/// for; and the compiler does not gather neighbouring lanes into vector registers here, which costs more than it saves.
#[cold]
#[inline(never)]
fn repay(difference: u64) -> u64 {
    difference - EPSILON
}

/// The low and the high word of `x * y`.
#[cfg(target_pointer_width = "64")]
pub(crate) use wide_product as product;

/// The low and the high word of `x * y`.
#[cfg(not(target_pointer_width = "64"))]
pub(crate) use narrow_product as product;

/// [`product`] in the machine's own 128-bit multiplication.
#[cfg(any(test, target_pointer_width = "64"))]
#[inline(always)]
pub(crate) const fn wide_product(x: u64, y: u64) -> (u64, u64) {
    split(x as u128 * y as u128)
}

/// [`product`] in 64-bit operations, where a `u128` product would be a call: WebAssembly.
#[cfg(any(test, not(target_pointer_width = "64")))]
#[inline(always)]
pub(crate) const fn narrow_product(x: u64, y: u64) -> (u64, u64) {
    let (x_low, x_high) = (x & EPSILON, x >> 32);
    let (y_low, y_high) = (y & EPSILON, y >> 32);
    // A product of halves is at most `(2^32 - 1)^2`: two halves can still be added to it.
    let low = x_low * y_low;
    let middle = x_high * y_low + (low >> 32);
    let other = x_low * y_high + (middle & EPSILON);
    ((other << 32) | (low & EPSILON), x_high * y_high + (middle >> 32) + (other >> 32))
}

/// The low and the high word.
#[cfg(any(test, target_pointer_width = "64"))]
#[inline(always)]
#[allow(clippy::cast_possible_truncation, reason = "both halves are kept")]
pub(crate) const fn split(x: u128) -> (u64, u64) {
    (x as u64, (x >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const P: u128 = ORDER as u128;

    /// Numbers next to every border the operations have.
    const EDGES: [u64; 16] = [
        0,
        1,
        2,
        EPSILON - 1,
        EPSILON,
        EPSILON + 1,
        EPSILON + 2,
        0x7fff_ffff_ffff_ffff,
        0x8000_0000_0000_0000,
        0xffff_fffe_ffff_ffff,
        ORDER - 2,
        ORDER - 1,
        ORDER,
        ORDER + 1,
        u64::MAX - 1,
        u64::MAX,
    ];

    fn edge_or_any() -> impl Strategy<Value = u64> {
        prop_oneof![proptest::sample::select(EDGES.as_slice()), any::<u64>()]
    }

    fn check_pair(x: u64, y: u64) {
        let (wide_x, wide_y) = (u128::from(x), u128::from(y));
        assert_eq!(u128::from(canonical(x)), wide_x % P);
        assert_eq!(u128::from(canonical(mul(x, y))), wide_x * wide_y % P, "{x:#x} * {y:#x}");
        assert_eq!(
            u128::from(canonical(reduce(x, y))),
            (wide_x + (wide_y << 64)) % P,
            "{x:#x} + 2^64 * {y:#x}"
        );
        assert_eq!(u128::from(canonical(add_canonical(x, canonical(y)))), (wide_x + wide_y) % P);
        assert_eq!(wide_product(x, y), split(wide_x * wide_y));
        assert_eq!(narrow_product(x, y), split(wide_x * wide_y), "{x:#x} * {y:#x}");
    }

    fn check_fold(low: u64, middle: u64, top: u64) {
        let expected = (u128::from(low) + (u128::from(middle) << 64) % P + P - u128::from(top) % P) % P;
        assert_eq!(
            u128::from(canonical(fold(low, middle, top))),
            expected,
            "{low:#x}, {middle:#x}, {top:#x}"
        );
    }

    #[test]
    fn operations_hold_at_all_pairs_of_edges() {
        for x in EDGES {
            for y in EDGES {
                check_pair(x, y);
            }
        }
    }

    #[test]
    fn fold_holds_at_all_edges() {
        for low in EDGES {
            for middle in EDGES {
                for top in EDGES {
                    check_fold(low, middle & EPSILON, top >> 1);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn operations_equal_division(x in edge_or_any(), y in edge_or_any()) {
            check_pair(x, y);
        }

        #[test]
        fn fold_equals_division(low in edge_or_any(), middle in edge_or_any(), top in edge_or_any()) {
            check_fold(low, middle & EPSILON, top >> 1);
        }
    }
}
