use super::{Records, Witness};
use crate::tree::{Digest, Node, NonCanonical, hash_bytes, hash_value};
use alloc::vec::Vec;
use alloy_primitives::{B256, Bytes, U256};

/// Why records are not part of a state tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// No tree has such a root.
    #[error("the root cannot be one")]
    Root(#[source] NonCanonical),
    /// Neither a node nor a value has so many limbs.
    #[error("the entry of {entry} has {found} limbs, not 8 or 12")]
    Count {
        /// The digest it claims.
        entry: B256,
        /// How many it has.
        found: usize,
    },
    /// A limb of a node is not below the field's prime, or one of a value not below `2^32`.
    #[error("limb {position} of the entry of {entry} is too large: {found:#x}")]
    Limb {
        /// The digest it claims.
        entry: B256,
        /// Which limb, from 0.
        position: usize,
        /// What it is.
        found: u64,
    },
    /// The last four limbs of a node are `0, 0, 0, 0` or `1, 0, 0, 0`.
    #[error("the entry of {entry} has the capacity {found:x?}, not 0, 0, 0, 0 or 1, 0, 0, 0")]
    Capacity {
        /// The digest it claims.
        entry: B256,
        /// What it is.
        found: [u64; 4],
    },
    /// There is neither a leaf of value zero nor a branch without children.
    #[error("the entry of {entry} has no limb that is not zero")]
    Zero {
        /// The digest it claims.
        entry: B256,
    },
    /// The entry is not what it claims to be.
    #[error("the entry of {claimed} has the digest {found}")]
    Digest {
        /// The digest it claims.
        claimed: B256,
        /// The digest it has.
        found: B256,
    },
    /// The code is not what it claims to be.
    #[error("the code of {claimed} has the hash {found}")]
    Code {
        /// The hash it claims.
        claimed: B256,
        /// The hash it has.
        found: B256,
    },
}

pub(super) fn gather<L: AsRef<[u64]>>(
    root: B256,
    nodes: impl IntoIterator<Item = (B256, L)>,
    codes: impl IntoIterator<Item = (B256, Bytes)>,
) -> Result<Witness, EntryError> {
    Digest::try_from(root).map_err(EntryError::Root)?;
    let mut records = Records::default();
    for (claimed, limbs) in nodes {
        keep(&mut records, claimed, limbs.as_ref())?;
    }
    for (claimed, code) in codes {
        let found = hash_bytes(&code);
        if found != claimed {
            return Err(EntryError::Code { claimed, found });
        }
        records.code(found, code);
    }
    Ok(Witness { root, store: records.into_store(), keys: Vec::new(), whole: false })
}

/// Adds an entry to the records, if it is what it claims to be.
fn keep(records: &mut Records, claimed: B256, limbs: &[u64]) -> Result<(), EntryError> {
    match parse(claimed, limbs)? {
        Entry::Node(node) => records.node(check(claimed, node.digest())?, &node),
        Entry::Value(value) => records.value(check(claimed, hash_value(value))?, value),
    }
    Ok(())
}

fn check(claimed: B256, found: Digest) -> Result<Digest, EntryError> {
    match B256::from(found) {
        digest if digest == claimed => Ok(found),
        found => Err(EntryError::Digest { claimed, found }),
    }
}

enum Entry {
    Node(Node),
    Value(U256),
}

/// A value and a branch hash alike. With twelve limbs it is a value if every limb is small, as those of two digests
/// never are.
fn parse(entry: B256, limbs: &[u64]) -> Result<Entry, EntryError> {
    let (rate, capacity) = match limbs.as_chunks::<4>() {
        ([first, second], []) => return value(entry, [*first, *second]).map(Entry::Value),
        ([first, second, capacity], []) => ([*first, *second], *capacity),
        _ => return Err(EntryError::Count { entry, found: limbs.len() }),
    };
    let halves = || Ok([digest(entry, 0, rate[0])?, digest(entry, 4, rate[1])?]);
    match capacity {
        [0, 0, 0, 0] if rate.as_flattened().iter().all(|limb| *limb <= LARGEST) => {
            value(entry, rate).map(Entry::Value)
        }
        [0, 0, 0, 0] => halves().map(|[left, right]| Entry::Node(Node::Branch { left, right })),
        [1, 0, 0, 0] => halves().map(|[remaining, value_hash]| {
            Entry::Node(Node::Leaf { remaining: remaining.limbs(), value_hash })
        }),
        found => Err(EntryError::Capacity { entry, found }),
    }
}

/// The largest limb of a value.
const LARGEST: u64 = 0xffff_ffff;

/// The value with these limbs of 32 bits, least significant first.
fn value(entry: B256, limbs: [[u64; 4]; 2]) -> Result<U256, EntryError> {
    let too_large = limbs.as_flattened().iter().enumerate().find(|(_, limb)| **limb > LARGEST);
    if let Some((position, found)) = too_large {
        return Err(EntryError::Limb { entry, position, found: *found });
    }
    let [[a, b, c, d], [e, f, g, h]] = limbs;
    match U256::from_limbs([a | b << 32, c | d << 32, e | f << 32, g | h << 32]) {
        U256::ZERO => Err(EntryError::Zero { entry }),
        value => Ok(value),
    }
}

/// These limbs, which begin at `position`, as a digest (or as a remaining path, which is laid out alike).
fn digest(entry: B256, position: usize, limbs: [u64; 4]) -> Result<Digest, EntryError> {
    Digest::from_limbs(limbs).ok_or_else(|| {
        let (within, found) = limbs.into_iter().enumerate().max_by_key(|(_, limb)| *limb).unwrap_or_default();
        EntryError::Limb { entry, position: position + within, found }
    })
}
