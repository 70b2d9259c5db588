use super::poseidon::{self, ORDER};
use alloy_primitives::{B256, U256};
use core::{cmp::Ordering, fmt};

/// How many bits a path has, and so how deep a leaf can be.
pub(super) const PATH_BITS: u32 = 256;

/// A Poseidon digest: four field elements, each below the field's prime.
///
/// As 32 bytes it is the big-endian form of the scalar `h[0] + h[1] * 2^64 + h[2] * 2^128 + h[3] * 2^192`: the first
/// eight bytes are `h[3]`. This is the form of state roots everywhere outside the tree (zkevm-commonjs,
/// `src/smt-utils.js`).
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Digest([u64; 4]);

impl Digest {
    /// The empty subtree, and the root of the empty tree.
    pub const ZERO: Self = Self([0; 4]);

    /// The elements `h[0]` to `h[3]`, each below the prime.
    pub const fn limbs(&self) -> [u64; 4] {
        self.0
    }

    /// Stands for an empty subtree.
    pub fn is_zero(&self) -> bool {
        *self == Self::ZERO
    }

    /// The first four lanes of the permutation of `rate` and `capacity`.
    pub(super) fn hash(rate: &[u64; 8], capacity: &[u64; 4]) -> Self {
        Self(poseidon::hash(rate, capacity))
    }

    /// These elements, unless one is not below the prime.
    pub(crate) fn from_limbs(limbs: [u64; 4]) -> Option<Self> {
        limbs.iter().all(|limb| *limb < ORDER).then_some(Self(limbs))
    }
}

impl TryFrom<B256> for Digest {
    type Error = NonCanonical;

    fn try_from(bytes: B256) -> Result<Self, NonCanonical> {
        Self::from_limbs(U256::from_be_bytes(bytes.0).into_limbs()).ok_or(NonCanonical(bytes))
    }
}

impl From<Digest> for B256 {
    fn from(digest: Digest) -> Self {
        U256::from_limbs(digest.0).into()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        B256::from(*self).fmt(f)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// These 32 bytes are no digest: one of the four 64-bit limbs is not below the field's prime.
///
/// The permutation reduces its inputs, so such a limb would hash like its reduced twin while meaning another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} has a limb that is not below the field's prime")]
pub struct NonCanonical(pub B256);

/// The linear Poseidon hash of bytes, as used for contract code, logs and transactions in the tree.
///
/// The bytes are padded with `0x01`, zeros up to a multiple of 56, and `0x80` set in the last byte; every 56 bytes are
/// eight little-endian elements of 7 bytes, hashed with the previous digest as capacity (zkevm-commonjs,
/// `src/smt-utils.js`, `hashContractBytecode`). Costs `length / 56 + 1` permutations.
pub fn hash_bytes(bytes: &[u8]) -> B256 {
    Digest(poseidon::hash_bytes(bytes)).into()
}

/// The hash under which a leaf keeps its value: the value's eight 32-bit limbs, least significant first, under a zero
/// capacity. One permutation.
pub fn hash_value(value: U256) -> Digest {
    Digest::hash(&limbs32(value), &[0; 4])
}

/// A 256-bit integer as eight 32-bit limbs, least significant first: the form in which integers enter a hash.
pub(super) fn limbs32(value: U256) -> [u64; 8] {
    let [a, b, c, d] = value.into_limbs();
    let (low, high) = (|limb: u64| limb & 0xffff_ffff, |limb: u64| limb >> 32);
    [low(a), high(a), low(b), high(b), low(c), high(c), low(d), high(d)]
}

/// A leaf's full key: the way from the root to the leaf.
///
/// Bit `i` is bit `i / 4` of element `i % 4`: the elements are interleaved, least significant bits first. A zero bit
/// goes left, a one goes right. Paths are ordered as their leaves stand in the tree, from left to right.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Path([u64; 4]);

impl Path {
    /// The elements `k[0]` to `k[3]`, each below the prime.
    pub const fn limbs(&self) -> [u64; 4] {
        self.0
    }

    /// The path of the leaf that stands behind these turns (`true` is right) and has this rest of a key; `None` if there is
    /// no such path.
    pub fn behind(turns: impl IntoIterator<Item = bool>, remaining: &[u64; 4]) -> Option<Self> {
        let mut place = Position::ROOT;
        for turn in turns {
            if place.is_bottom() {
                return None;
            }
            place = place.child(turn);
        }
        place.join(remaining)
    }

    /// The turn to take at `depth`, which is below 256: `true` is right.
    pub(crate) fn bit(&self, depth: u32) -> bool {
        (self.0[lane(depth)] >> (depth / 4)) & 1 == 1
    }

    /// What is left of the path below `depth`: every element without the bits that led there.
    pub(crate) fn remaining(&self, depth: u32) -> [u64; 4] {
        let mut remaining = self.0;
        for (i, limb) in (0..).zip(&mut remaining) {
            *limb = limb.checked_shr(consumed(depth, i)).unwrap_or(0);
        }
        remaining
    }
}

impl From<Digest> for Path {
    fn from(key: Digest) -> Self {
        Self(key.0)
    }
}

impl From<Path> for B256 {
    fn from(path: Path) -> Self {
        Digest(path.0).into()
    }
}

impl Ord for Path {
    fn cmp(&self, other: &Self) -> Ordering {
        let parting = (0..)
            .zip(self.0.iter().zip(&other.0))
            .filter(|(_, (a, b))| a != b)
            .map(|(i, (a, b))| 4 * (a ^ b).trailing_zeros() + i)
            .min();
        parting.map_or(Ordering::Equal, |depth| self.bit(depth).cmp(&other.bit(depth)))
    }
}

impl PartialOrd for Path {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Digest(self.0).fmt(f)
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Path({self})")
    }
}

/// A place in the tree: the turns that lead to it from the root.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Position {
    /// The turns, laid out like a [`Path`]; bits from `depth` on are zero.
    turns: [u64; 4],
    depth: u32,
}

impl Position {
    pub(crate) const ROOT: Self = Self { turns: [0; 4], depth: 0 };

    /// How many turns lead here, at most 256.
    pub(crate) fn depth(&self) -> u32 {
        self.depth
    }

    /// No branch can be here: a path has no turn left to take.
    pub(crate) fn is_bottom(&self) -> bool {
        self.depth == PATH_BITS
    }

    /// The place one turn further. Not to be asked at the bottom.
    pub(crate) fn child(mut self, right: bool) -> Self {
        self.turns[lane(self.depth)] |= u64::from(right) << (self.depth / 4);
        self.depth += 1;
        self
    }

    /// The path of a leaf here; `None` if there is no path of which this would be the rest.
    pub(crate) fn join(&self, remaining: &[u64; 4]) -> Option<Path> {
        let mut limbs = self.turns;
        for (i, (limb, rest)) in (0..).zip(limbs.iter_mut().zip(remaining)) {
            let taken = consumed(self.depth, i);
            let high = rest.checked_shl(taken).unwrap_or(0);
            if high.checked_shr(taken).unwrap_or(0) != *rest {
                return None;
            }
            *limb |= high;
        }
        Digest::from_limbs(limbs).map(Path::from)
    }
}

/// The element that holds the turn at `depth`.
fn lane(depth: u32) -> usize {
    (depth % 4) as usize
}

/// How many bits of element `lane` the first `depth` turns take.
fn consumed(depth: u32, lane: u32) -> u32 {
    (depth + 3 - lane) / 4
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use alloy_primitives::b256;
    use proptest::prelude::*;

    const KEY: B256 = b256!("0f1e2d3c4b5a697899aabbccddeeff0011223344556677880123456789abcdef");

    fn key_path() -> Path {
        Digest::try_from(KEY).expect("limbs are small").into()
    }

    fn paths() -> impl Strategy<Value = Path> {
        any::<[u64; 4]>().prop_map(|limbs| Path(limbs.map(|limb| limb % ORDER)))
    }

    #[test]
    fn first_eight_bytes_are_the_last_limb() {
        let digest = Digest::try_from(KEY).expect("limbs are small");
        let limbs = [0x0123456789abcdef, 0x1122334455667788, 0x99aabbccddeeff00, 0x0f1e2d3c4b5a6978];
        assert_eq!(digest.limbs(), limbs);
        assert_eq!(B256::from(digest), KEY);
    }

    #[test]
    fn limbs_end_below_the_prime() {
        for lane in 0..4 {
            let mut limbs = [ORDER - 1; 4];
            let largest: B256 = U256::from_limbs(limbs).into();
            assert_eq!(Digest::try_from(largest).map(B256::from), Ok(largest));
            limbs[lane] = ORDER;
            let beyond: B256 = U256::from_limbs(limbs).into();
            assert_eq!(Digest::try_from(beyond), Err(NonCanonical(beyond)));
        }
    }

    #[test]
    fn values_hash_as_published() {
        #[rustfmt::skip]
        let cases = [
            (U256::from(0x1), b256!("da62fdf84a21108e47969c1f5a6a25b12346a1b4c0f390e8d074b8cee5dcf415")),
            (U256::from(0x1234), b256!("dc848a2ce34c69653b18afcf418a9aa2853468109f18576d52a0dde791de6224")),
            (U256::from(1u128 << 64), b256!("4f13aa67f75f26b227d0582ee96fac28feae3a60278de59e1ea3d13e163065f0")),
            (U256::MAX, b256!("c7e34b64676ed7a893b242cc77fa885468487b5e7ab53f0746d39de2a878b842")),
        ];
        for (value, hash) in cases {
            assert_eq!(B256::from(hash_value(value)), hash, "{value}");
        }
    }

    #[test]
    fn bytes_hash_as_published() {
        #[rustfmt::skip]
        let cases = [
            (0, b256!("3baed9289a384f6c1c05d92b56c801c2d2e2a7050d6c16538b814fa186835c79")),
            (1, b256!("ce9ee230357c9f1c7389a7faa92f2777ff84ae9b5186da6dd21f142dfe1851bb")),
            (54, b256!("7223f2abaf18a2fcc49fae82a05ade5a441f0156d88332431c516b221bc38f66")),
            (55, b256!("c7446f9c6551d0f209a2a153793109ed5030ca8152c599f16dd6ca5db6dc2e86")),
            (56, b256!("a739f46c55052def0baed452995e66c1ef398ef525cbaff96b4194e5a501d4a2")),
            (57, b256!("07d63f0d71abcb97c6a3e2747f12133a8e28339e906e1c4aae9946e1bf3e0692")),
            (111, b256!("fe46f516cbbe615b3d516c0596bd2425ff9b65b6fe7e2edac3005fc81b32c526")),
            (112, b256!("168225eb9da4f3d655b6cf97c832345708bc459abe9197a6b0a07fae1bc56bcf")),
        ];
        for (length, hash) in cases {
            let bytes: Vec<u8> = (0..length).collect();
            assert_eq!(hash_bytes(&bytes), hash, "{length} bytes");
        }
    }

    #[test]
    fn path_interleaves_the_limbs() {
        let turns = "10001000100011010001100110011100";
        for (depth, turn) in (0..).zip(turns.chars()) {
            assert_eq!(key_path().bit(depth), turn == '1', "at {depth}");
        }
    }

    #[test]
    fn remaining_path_loses_the_turns_taken() {
        #[rustfmt::skip]
        let cases = [
            (0, b256!("0f1e2d3c4b5a697899aabbccddeeff0011223344556677880123456789abcdef")),
            (1, b256!("0f1e2d3c4b5a697899aabbccddeeff0011223344556677880091a2b3c4d5e6f7")),
            (2, b256!("0f1e2d3c4b5a697899aabbccddeeff00089119a22ab33bc40091a2b3c4d5e6f7")),
            (3, b256!("0f1e2d3c4b5a69784cd55de66ef77f80089119a22ab33bc40091a2b3c4d5e6f7")),
            (4, b256!("078f169e25ad34bc4cd55de66ef77f80089119a22ab33bc40091a2b3c4d5e6f7")),
            (5, b256!("078f169e25ad34bc4cd55de66ef77f80089119a22ab33bc40048d159e26af37b")),
            (7, b256!("078f169e25ad34bc266aaef3377bbfc004488cd115599de20048d159e26af37b")),
            (255, b256!("0000000000000000000000000000000000000000000000000000000000000000")),
            (256, b256!("0000000000000000000000000000000000000000000000000000000000000000")),
        ];
        for (depth, remaining) in cases {
            let remaining = U256::from_be_bytes(remaining.0).into_limbs();
            assert_eq!(key_path().remaining(depth), remaining, "at {depth}");
        }
    }

    #[test]
    fn nothing_that_is_too_long_joins() {
        let bottom = (0..PATH_BITS).fold(Position::ROOT, |at, _| at.child(false));
        assert!(bottom.is_bottom());
        assert_eq!(bottom.join(&[0; 4]), Some(Path([0; 4])));
        assert_eq!(bottom.join(&[0, 0, 1, 0]), None);
        let at = Position::ROOT.child(true);
        assert_eq!(at.join(&[1 << 62, 1 << 63, 0, 0]), Some(Path([1 << 63 | 1, 1 << 63, 0, 0])));
        assert_eq!(at.join(&[1 << 63, 0, 0, 0]), None);
        assert_eq!(at.join(&[ORDER >> 1, 0, 0, 0]), None, "the limb would be the prime");
    }

    proptest! {
        #[test]
        fn position_and_remaining_path_join_to_the_path(path in paths(), depth in 0..=PATH_BITS) {
            let at = (0..depth).fold(Position::ROOT, |at, depth| at.child(path.bit(depth)));
            prop_assert_eq!(at.join(&path.remaining(depth)), Some(path));
        }

        #[test]
        fn paths_are_ordered_by_their_turns(a in paths(), b in paths(), shared in 0..=64u32) {
            let mask = 1u64.checked_shl(shared).unwrap_or(0).wrapping_sub(1);
            let b = Path([0, 1, 2, 3].map(|i| (a.0[i] & mask | b.0[i] & !mask) % ORDER));
            let turns = |path: &Path| (0..PATH_BITS).map(|depth| path.bit(depth)).collect::<Vec<_>>();
            prop_assert_eq!(a.cmp(&b), turns(&a).cmp(&turns(&b)));
        }
    }
}
