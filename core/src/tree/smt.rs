use super::{
    Node, Proof,
    digest::{Digest, Path, Position, hash_value},
};
use crate::store::{Commit, Key, Store, StoreError};
use alloc::{collections::BTreeMap, vec::Vec};
use alloy_primitives::{B256, Bytes, U256};

/// The sparse Merkle tree, on nodes that are in a store.
///
/// A leaf stands at the least depth at which it is alone in its subtree, and a leaf of value zero does not stand at
/// all; so the root depends only on which values there are, not on their history (zkevm-commonjs, `src/smt.js`).
///
/// What the store says is under a digest is believed: whoever puts foreign nodes into it checks their digests first. A
/// store that lies leads to wrong results or to errors, never to a panic or to endless work.
#[derive(Debug)]
pub struct Smt<'s, S> {
    store: &'s S,
}

impl<'s, S: Store> Smt<'s, S> {
    /// Trees whose nodes are in `store`.
    pub fn new(store: &'s S) -> Self {
        Self { store }
    }

    /// The value at `path` in the tree with this root; zero if there is no leaf.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`] for a node or value that the tree has and the store has not,
    /// [`StoreError::Corrupt`] for a record (or a root) that cannot be part of a tree.
    pub fn get(&self, root: B256, path: &Path) -> Result<U256, StoreError> {
        match self.descend(root, path, |_| ())? {
            Some(leaf) if leaf.path == *path => self.value(leaf.value_hash),
            _ => Ok(U256::ZERO),
        }
    }

    /// The tree with this root after `changes`, in which zero removes a leaf and the last word on a path counts.
    ///
    /// Every touched branch is hashed once, and every new or moved leaf once, at its final depth. Nothing is written:
    /// that is for [`TreeUpdate::write`].
    ///
    /// # Errors
    ///
    /// Those of [`Smt::get`]. Nodes are needed on the changed paths, and where a removal leaves one child alone, that
    /// child. Values are not needed.
    pub fn update(
        &self,
        root: B256,
        changes: impl IntoIterator<Item = (Path, U256)>,
    ) -> Result<TreeUpdate, StoreError> {
        let old = parse_root(root)?;
        let mut builder = Builder {
            tree: self,
            update: TreeUpdate::default(),
        };
        let changes = builder.hash_values(changes);
        let new = builder.apply(old, Position::ROOT, &changes)?;
        let root = builder.settle(new, Position::ROOT).into();
        Ok(TreeUpdate {
            root,
            ..builder.update
        })
    }

    /// Shows to whoever knows the root what is at `path`, or that nothing is.
    ///
    /// # Errors
    ///
    /// Those of [`Smt::get`].
    pub fn prove(&self, root: B256, path: &Path) -> Result<Proof, StoreError> {
        let mut nodes = Vec::new();
        let end = self.descend(root, path, |node| nodes.push(node))?;
        let value = end.map(|leaf| self.value(leaf.value_hash)).transpose()?;
        Ok(Proof::new(nodes, value))
    }

    /// Follows `path` from the root, showing each node to `visit`, to the leaf at its end if there is one.
    fn descend(
        &self,
        root: B256,
        path: &Path,
        mut visit: impl FnMut(Node),
    ) -> Result<Option<Leaf>, StoreError> {
        let (mut digest, mut at) = (parse_root(root)?, Position::ROOT);
        while !digest.is_zero() {
            let node = self.node(digest)?;
            visit(node);
            match place(node, digest, at)? {
                Placed::Leaf(leaf) => return Ok(Some(leaf)),
                Placed::Branch { left, right } => {
                    let turn = path.bit(at.depth());
                    digest = if turn { right } else { left };
                    at = at.child(turn);
                }
            }
        }
        Ok(None)
    }

    fn node(&self, digest: Digest) -> Result<Node, StoreError> {
        let key = Key::Node(digest.into());
        let record = self.store.get(&key)?.ok_or(StoreError::Missing(key))?;
        Node::decode(&record).map_err(|_| corrupt(key, "the record is not a tree node"))
    }

    fn value(&self, hash: Digest) -> Result<U256, StoreError> {
        let key = Key::Value(hash.into());
        let record = self.store.get(&key)?.ok_or(StoreError::Missing(key))?;
        match <[u8; 32]>::try_from(record.as_ref()).map(U256::from_be_bytes) {
            Ok(value) if !value.is_zero() => Ok(value),
            Ok(_) => Err(corrupt(key, "a leaf's value is never zero")),
            Err(_) => Err(corrupt(key, "a leaf's value has 32 bytes")),
        }
    }
}

/// What an update makes of a tree: the new root, and what to write so that it can be read from.
///
/// Equal nodes and equal values are one record each, so records are counted by reference: a node by the places in the
/// tree where it stands, a value by the leaves that have it. The lists have one entry for each reference won or lost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TreeUpdate {
    /// Root after the update.
    pub root: B256,
    /// Nodes by digest, children before parents.
    pub created: Vec<(B256, Node)>,
    /// Values by value hash.
    pub values: Vec<(B256, U256)>,
    /// Digests of the nodes that stood in the old tree where now another one, or none, stands.
    pub released_nodes: Vec<B256>,
    /// Hashes of the values that a leaf had and has no more.
    pub released_values: Vec<B256>,
    /// Poseidon permutations that the update took; deriving paths is not among them.
    pub permutations: u64,
}

impl TreeUpdate {
    /// Adds the update to what `commit` will write and release.
    pub fn write(&self, commit: &mut Commit) {
        for (digest, node) in &self.created {
            commit.put(Key::Node(*digest), node.encode().into());
        }
        for (hash, value) in &self.values {
            commit.put(Key::Value(*hash), Bytes::from(value.to_be_bytes::<32>()));
        }
        for digest in &self.released_nodes {
            commit.release(Key::Node(*digest));
        }
        for hash in &self.released_values {
            commit.release(Key::Value(*hash));
        }
    }
}

/// A leaf, wherever it will stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Leaf {
    path: Path,
    value_hash: Digest,
}

/// A node with the knowledge of where it stands.
enum Placed {
    Branch { left: Digest, right: Digest },
    Leaf(Leaf),
}

fn place(node: Node, digest: Digest, at: Position) -> Result<Placed, StoreError> {
    match node {
        Node::Branch { .. } if at.is_bottom() => Err(corrupt(
            Key::Node(digest.into()),
            "a branch stands where paths end",
        )),
        Node::Branch { left, right } => Ok(Placed::Branch { left, right }),
        Node::Leaf {
            remaining,
            value_hash,
        } => match at.join(&remaining) {
            Some(path) => Ok(Placed::Leaf(Leaf { path, value_hash })),
            None => Err(corrupt(
                Key::Node(digest.into()),
                "a leaf's path is too long for its place",
            )),
        },
    }
}

fn parse_root(root: B256) -> Result<Digest, StoreError> {
    root.try_into().map_err(|_| {
        corrupt(
            Key::Node(root),
            "the digest has a limb that is not below the field's prime",
        )
    })
}

fn corrupt(key: Key, reason: &'static str) -> StoreError {
    StoreError::Corrupt { key, reason }
}

/// A path and what it leads to from now on; `None` is nothing.
struct Change {
    path: Path,
    value: Option<(Digest, U256)>,
}

impl Change {
    fn value_hash(&self) -> Option<Digest> {
        self.value.map(|(hash, _)| hash)
    }

    fn leaf(&self) -> Option<Leaf> {
        self.value_hash().map(|value_hash| Leaf {
            path: self.path,
            value_hash,
        })
    }
}

/// A subtree after its changes. Leaves are not hashed before it is known how deep they stand.
enum Subtree {
    /// As it was before, not looked at.
    Kept(Digest),
    Empty,
    Leaf(Leaf),
    Branch(Digest),
}

impl Subtree {
    fn is_empty(&self) -> bool {
        matches!(self, Self::Empty | Self::Kept(Digest::ZERO))
    }
}

/// One update under way: goes down to what changes, and hashes on the way back.
struct Builder<'t, 's, S> {
    tree: &'t Smt<'s, S>,
    update: TreeUpdate,
}

impl<S: Store> Builder<'_, '_, S> {
    /// The changes from left to right, one for each path.
    fn hash_values(&mut self, changes: impl IntoIterator<Item = (Path, U256)>) -> Vec<Change> {
        let last: BTreeMap<Path, U256> = changes.into_iter().collect();
        last.into_iter()
            .map(|(path, value)| Change {
                path,
                value: (!value.is_zero()).then(|| {
                    self.update.permutations += 1;
                    (hash_value(value), value)
                }),
            })
            .collect()
    }

    /// The subtree that was `old`, after changes that all lie in it. At most 256 deep.
    fn apply(&mut self, old: Digest, at: Position, changes: &[Change]) -> Result<Subtree, StoreError> {
        if changes.is_empty() {
            return Ok(Subtree::Kept(old));
        }
        if old.is_zero() {
            return self.replant(old, None, at, changes);
        }
        match place(self.tree.node(old)?, old, at)? {
            Placed::Leaf(leaf) => self.replant(old, Some(leaf), at, changes),
            Placed::Branch { left, right } => {
                let (left_changes, right_changes) = part(changes, at, |change| &change.path);
                let left = self.apply(left, at.child(false), left_changes)?;
                let right = self.apply(right, at.child(true), right_changes)?;
                if let (Subtree::Kept(_), Subtree::Kept(_)) = (&left, &right) {
                    return Ok(Subtree::Kept(old));
                }
                self.update.released_nodes.push(old.into());
                self.join(left, right, at)
            }
        }
    }

    /// Makes the changes where there was one leaf or none.
    fn replant(
        &mut self,
        old: Digest,
        old_leaf: Option<Leaf>,
        at: Position,
        changes: &[Change],
    ) -> Result<Subtree, StoreError> {
        let bystander = old_leaf.filter(|leaf| changes.iter().all(|change| change.path != leaf.path));
        let mut leaves: Vec<Leaf> = changes.iter().filter_map(Change::leaf).chain(bystander).collect();
        leaves.sort_unstable_by_key(|leaf| leaf.path);
        if leaves == old_leaf.as_slice() {
            return Ok(Subtree::Kept(old));
        }
        for change in changes {
            let before = old_leaf.filter(|leaf| leaf.path == change.path);
            self.exchange(before.map(|leaf| leaf.value_hash), change.value);
        }
        if old_leaf.is_some() {
            self.update.released_nodes.push(old.into());
        }
        self.plant(&leaves, at)
    }

    /// Notes which reference to a value a leaf loses and which it wins.
    fn exchange(&mut self, before: Option<Digest>, after: Option<(Digest, U256)>) {
        if before == after.map(|(hash, _)| hash) {
            return;
        }
        self.update.released_values.extend(before.map(B256::from));
        self.update
            .values
            .extend(after.map(|(hash, value)| (B256::from(hash), value)));
    }

    /// A new subtree of these leaves, which all belong into it and are in order. At most 256 deep, as no two are alike.
    fn plant(&mut self, leaves: &[Leaf], at: Position) -> Result<Subtree, StoreError> {
        match leaves {
            [] => Ok(Subtree::Empty),
            [leaf] => Ok(Subtree::Leaf(*leaf)),
            _ => {
                let (left, right) = part(leaves, at, |leaf| &leaf.path);
                let left = self.plant(left, at.child(false))?;
                let right = self.plant(right, at.child(true))?;
                self.join(left, right, at)
            }
        }
    }

    /// The subtree at `at` with these children. A leaf that is alone does not stay below: it rises.
    fn join(&mut self, left: Subtree, right: Subtree, at: Position) -> Result<Subtree, StoreError> {
        let alone = match (left.is_empty(), right.is_empty()) {
            (true, true) => return Ok(Subtree::Empty),
            (true, false) => self.uproot(&right, at.child(true))?,
            (false, true) => self.uproot(&left, at.child(false))?,
            (false, false) => None,
        };
        if let Some(leaf) = alone {
            return Ok(Subtree::Leaf(leaf));
        }
        let left = self.settle(left, at.child(false));
        let right = self.settle(right, at.child(true));
        Ok(Subtree::Branch(self.create(Node::Branch { left, right })))
    }

    /// The leaf that this subtree consists of, taken from its place; `None` if it is a branch.
    fn uproot(&mut self, subtree: &Subtree, at: Position) -> Result<Option<Leaf>, StoreError> {
        match *subtree {
            Subtree::Leaf(leaf) => Ok(Some(leaf)),
            Subtree::Empty | Subtree::Branch(_) => Ok(None),
            Subtree::Kept(digest) => match place(self.tree.node(digest)?, digest, at)? {
                Placed::Branch { .. } => Ok(None),
                Placed::Leaf(leaf) => {
                    self.update.released_nodes.push(digest.into());
                    Ok(Some(leaf))
                }
            },
        }
    }

    /// The digest of a subtree that stays at this place.
    fn settle(&mut self, subtree: Subtree, at: Position) -> Digest {
        match subtree {
            Subtree::Empty => Digest::ZERO,
            Subtree::Kept(digest) | Subtree::Branch(digest) => digest,
            Subtree::Leaf(leaf) => self.create(Node::Leaf {
                remaining: leaf.path.remaining(at.depth()),
                value_hash: leaf.value_hash,
            }),
        }
    }

    fn create(&mut self, node: Node) -> Digest {
        let digest = node.digest();
        self.update.permutations += 1;
        self.update.created.push((digest.into(), node));
        digest
    }
}

/// What of this goes left at `at`, and what right. It is in order, and all of it lies below `at`.
fn part<T>(items: &[T], at: Position, path: impl Fn(&T) -> &Path) -> (&[T], &[T]) {
    items.split_at(items.partition_point(|item| !path(item).bit(at.depth())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Memory;
    use alloy_primitives::b256;

    fn path(key: B256) -> Path {
        Digest::try_from(key).expect("a key").into()
    }

    #[test]
    fn four_leaves_have_the_published_root() {
        let leaves = (0..4u8).map(|i| (path(B256::with_last_byte(i)), U256::from(i + 1)));
        let update = Smt::new(&Memory::new())
            .update(B256::ZERO, leaves)
            .expect("an empty tree");
        assert_eq!(
            update.root,
            b256!("085130c4e67235dc830e48acdc6cee540cf204dd4fbfd43d579a838f58031b1f")
        );
    }
}
