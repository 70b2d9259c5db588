use super::decode::{BRANCH, CODE, HASH, LEAF, STRING, VERSION};
use crate::{
    sort::sorted,
    store::{Key, Store, StoreError, need},
    tree::{Digest, Node, Path, Paths, Position, Smt, StateKey},
};
use alloc::{collections::BTreeMap, vec, vec::Vec};
use alloy_primitives::{Address, B256, U256};

/// How much of a tree a witness shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent<'k> {
    /// All of it, and the code of every contract.
    Full,
    /// What reading and writing these keys can need: every node whose parent is on the path of one of them, so that a
    /// leaf that is left alone by a removal is there too; and the codes of contracts whose code hash is shown
    /// (cdk-erigon, `smt/pkg/smt/witness.go`).
    Trimmed(&'k [StateKey]),
    /// What is at hand. A node that the store has not is shown by its digest, and a code that it has not is left out.
    AtHand,
}

/// Why a witness could not be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The tree has something that the store has not, or that is damaged.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A leaf that has to be shown, and that none of the names belongs to.
    #[error("the leaf at path {0} has no name")]
    Unnamed(Path),
    /// The witness is longer than allowed.
    #[error("the witness has more than {limit} bytes")]
    TooLarge {
        /// What is allowed.
        limit: usize,
    },
    /// No witness shows nodes so deep.
    #[error("node {0} is below more than 255 branches")]
    TooDeep(B256),
    /// No witness shows codes so long.
    #[error("a code has {0} bytes, too many for 32 bits")]
    TooLong(usize),
}

/// The witness of the tree with this root, in the form that [`super::Witness::decode`] reads (`spec/state-tree.md`
/// §6.1).
///
/// A witness names its leaves, and a tree does not know their names: a leaf has a path, and one cannot see of what it
/// is the hash. So every leaf that is shown must have its name in `names`, in [`Extent::Trimmed`], or in the store, where
/// a verified chain has them ([`Key::LeafName`]). Names of leaves that are not there, or not shown, do no harm but cost a
/// permutation or two.
///
/// # Errors
///
/// [`EncodeError::Store`] for what is missing, [`EncodeError::Unnamed`] for a leaf without a name.
pub fn encode(
    store: &dyn Store,
    root: B256,
    names: &[StateKey],
    extent: Extent<'_>,
) -> Result<Vec<u8>, EncodeError> {
    encode_within(usize::MAX, store, root, names, extent)
}

/// [`encode`], unless the witness has more than `limit` bytes; then it is not made to its end.
///
/// # Errors
///
/// Those of [`encode`], and [`EncodeError::TooLarge`].
pub fn encode_within(
    limit: usize,
    store: &dyn Store,
    root: B256,
    names: &[StateKey],
    extent: Extent<'_>,
) -> Result<Vec<u8>, EncodeError> {
    let mut paths = Paths::new();
    let touched = match extent {
        Extent::Trimmed(keys) => keys,
        Extent::Full | Extent::AtHand => &[],
    };
    let touched_paths: Vec<Path> = sorted(touched.iter().map(|key| paths.path(*key)).collect());
    let names = names.iter().chain(touched).map(|key| (paths.path(*key), *key)).collect();
    let mut encoder = Encoder { store, tree: Smt::new(store), names, extent, limit, bytes: vec![VERSION] };
    let root = Digest::try_from(root).map_err(|_| {
        let reason = "the digest has a limb that is not below the field's prime";
        StoreError::Corrupt { key: Key::Node(root), reason }
    })?;
    if !root.is_zero() {
        let shown = encoder.shows(&touched_paths);
        encoder.subtree(root, Position::ROOT, shown, &touched_paths)?;
    }
    if encoder.bytes.len() > limit {
        return Err(EncodeError::TooLarge { limit });
    }
    Ok(encoder.bytes)
}

struct Encoder<'s> {
    store: &'s dyn Store,
    tree: Smt<'s>,
    names: BTreeMap<Path, StateKey>,
    extent: Extent<'s>,
    limit: usize,
    bytes: Vec<u8>,
}

impl Encoder<'_> {
    /// Children are shown where `touched`, the touched paths through their parent, says so.
    fn shows(&self, touched: &[Path]) -> bool {
        !matches!(self.extent, Extent::Trimmed(_)) || !touched.is_empty()
    }

    /// The subtree at `place`, which the paths `touched` lead through. At most 256 deep.
    fn subtree(
        &mut self,
        digest: Digest,
        place: Position,
        shown: bool,
        touched: &[Path],
    ) -> Result<(), EncodeError> {
        if place.is_bottom() {
            return Err(EncodeError::TooDeep(digest.into()));
        }
        if self.bytes.len() > self.limit {
            return Err(EncodeError::TooLarge { limit: self.limit });
        }
        let node = if shown { self.at_hand(self.tree.node(digest))? } else { None };
        match node {
            None => self.pruned(digest),
            Some(Node::Branch { left, right }) => return self.branch([left, right], place, touched),
            Some(Node::Leaf { remaining, value_hash }) => match self.at_hand(self.tree.value(value_hash))? {
                None => self.pruned(digest),
                Some(value) => return self.leaf(digest, place, &remaining, value),
            },
        }
        Ok(())
    }

    /// What is missing, as `None` if it may be missing.
    fn at_hand<T>(&self, found: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
        match found {
            Err(StoreError::Missing(_)) if self.extent == Extent::AtHand => Ok(None),
            found => found.map(Some),
        }
    }

    fn pruned(&mut self, digest: Digest) {
        self.bytes.push(HASH);
        self.bytes.extend(B256::from(digest));
    }

    fn branch(
        &mut self,
        [left, right]: [Digest; 2],
        place: Position,
        touched: &[Path],
    ) -> Result<(), EncodeError> {
        self.bytes.extend([BRANCH, u8::from(!left.is_zero()) | u8::from(!right.is_zero()) << 1]);
        let shown = self.shows(touched);
        let parting = touched.partition_point(|path| !path.bit(place.depth()));
        let (touched_left, touched_right) = touched.split_at(parting);
        for (child, turn, touched) in [(left, false, touched_left), (right, true, touched_right)] {
            if !child.is_zero() {
                self.subtree(child, place.child(turn), shown, touched)?;
            }
        }
        Ok(())
    }

    fn leaf(
        &mut self,
        digest: Digest,
        place: Position,
        remaining: &[u64; 4],
        value: U256,
    ) -> Result<(), EncodeError> {
        let path = place.join(remaining).ok_or(StoreError::Corrupt {
            key: Key::Node(digest.into()),
            reason: "a leaf's path is too long for its place",
        })?;
        let key = match self.names.get(&path) {
            Some(key) => *key,
            None => self.stored_name(path)?,
        };
        if let StateKey::CodeHash(_) = key {
            self.code(value.into())?;
        }
        let (kind, address): (u8, Address) = match key {
            StateKey::Balance(address) => (0, address),
            StateKey::Nonce(address) => (1, address),
            StateKey::CodeHash(address) => (2, address),
            StateKey::Storage(address, _) => (3, address),
            StateKey::CodeLength(address) => (4, address),
        };
        self.bytes.extend([LEAF, kind]);
        self.string(address.as_slice())?;
        if let StateKey::Storage(_, slot) = key {
            self.string(&slot.to_be_bytes::<32>())?;
        }
        self.string(&value.to_be_bytes_trimmed_vec())
    }

    fn stored_name(&self, path: Path) -> Result<StateKey, EncodeError> {
        let key = Key::LeafName(path.into());
        let record = match self.store.get(&key) {
            Ok(Some(record)) => record,
            Ok(None) | Err(StoreError::Missing(_)) => return Err(EncodeError::Unnamed(path)),
            Err(error) => return Err(error.into()),
        };
        let name = StateKey::decode(&record).filter(|name| name.path() == path);
        name.ok_or(EncodeError::Store(StoreError::Corrupt { key, reason: "not the name of this leaf" }))
    }

    fn code(&mut self, hash: B256) -> Result<(), EncodeError> {
        match self.at_hand(need(self.store, Key::Code(hash)))? {
            None => Ok(()),
            Some(code) => {
                self.bytes.push(CODE);
                self.string(&code)
            }
        }
    }

    /// A CBOR byte string in the shortest form.
    fn string(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        let length = u32::try_from(bytes.len()).map_err(|_| EncodeError::TooLong(bytes.len()))?;
        let [a, b, c, d] = length.to_be_bytes();
        match [a, b, c, d] {
            [0, 0, 0, 0..24] => self.bytes.push(STRING | d),
            [0, 0, 0, _] => self.bytes.extend([STRING | 24, d]),
            [0, 0, ..] => self.bytes.extend([STRING | 25, c, d]),
            _ => self.bytes.extend([STRING | 26, a, b, c, d]),
        }
        self.bytes.extend(bytes);
        Ok(())
    }
}
