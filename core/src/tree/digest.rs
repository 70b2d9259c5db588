use super::poseidon;
use alloy_primitives::{B256, U256};
use core::{cmp::Ordering, fmt};

/// The prime of the Goldilocks field, `2^64 - 2^32 + 1`.
const PRIME: u64 = 0xffff_ffff_0000_0001;

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
    pub(super) fn from_limbs(limbs: [u64; 4]) -> Option<Self> {
        limbs.iter().all(|limb| *limb < PRIME).then_some(Self(limbs))
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

    /// The turn to take at `depth`, which is below 256: `true` is right.
    pub(super) fn bit(&self, depth: u32) -> bool {
        (self.0[lane(depth)] >> (depth / 4)) & 1 == 1
    }

    /// What is left of the path below `depth`: every element without the bits that led there.
    pub(super) fn remaining(&self, depth: u32) -> [u64; 4] {
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
pub(super) struct Position {
    /// The turns, laid out like a [`Path`]; bits from `depth` on are zero.
    turns: [u64; 4],
    depth: u32,
}

impl Position {
    pub(super) const ROOT: Self = Self {
        turns: [0; 4],
        depth: 0,
    };

    /// How many turns lead here, at most 256.
    pub(super) fn depth(&self) -> u32 {
        self.depth
    }

    /// No branch can be here: a path has no turn left to take.
    pub(super) fn is_bottom(&self) -> bool {
        self.depth == PATH_BITS
    }

    /// The place one turn further. Not to be asked at the bottom.
    pub(super) fn child(mut self, right: bool) -> Self {
        self.turns[lane(self.depth)] |= u64::from(right) << (self.depth / 4);
        self.depth += 1;
        self
    }

    /// The path of a leaf here; `None` if there is no path of which this would be the rest.
    pub(super) fn join(&self, remaining: &[u64; 4]) -> Option<Path> {
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
