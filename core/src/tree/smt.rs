use super::{
    Node, Proof,
    digest::{Digest, Path, Position, hash_value},
};
use crate::store::{Commit, Key, Store, StoreError, need};
use alloc::vec::Vec;
use alloy_primitives::{B256, Bytes, U256};

/// The sparse Merkle tree, on nodes that are in a store.
///
/// A leaf stands at the least depth at which it is alone in its subtree, and a leaf of value zero does not stand at
/// all; so the root depends only on which values there are, not on their history (zkevm-commonjs, `src/smt.js`).
///
/// What the store says is under a digest is believed: whoever puts foreign nodes into it checks their digests first. A
/// store that lies leads to wrong results or to errors, never to a panic or to endless work.
#[derive(Debug)]
pub struct Smt<'s> {
    store: &'s dyn Store,
}

impl<'s> Smt<'s> {
    /// Trees whose nodes are in `store`.
    pub fn new(store: &'s dyn Store) -> Self {
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
    /// a commit of what was verified does that.
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
        let mut builder = Builder { tree: self, update: TreeUpdate::default() };
        let changes = builder.hash_values(changes);
        let new = builder.apply(old, Position::ROOT, &changes)?;
        let root = builder.settle(new, Position::ROOT).into();
        Ok(TreeUpdate { root, ..builder.update })
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

    /// The node with this digest.
    pub(crate) fn node(&self, digest: Digest) -> Result<Node, StoreError> {
        let key = Key::Node(digest.into());
        let record = need(self.store, key)?;
        Node::decode(&record).map_err(|_| corrupt(key, "the record is not a tree node"))
    }

    /// The value with this hash.
    pub(crate) fn value(&self, hash: Digest) -> Result<U256, StoreError> {
        let key = Key::Value(hash.into());
        let record = need(self.store, key)?;
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
    /// Paths of the leaves that did not stand in the old tree, from left to right.
    pub planted: Vec<Path>,
    /// Paths of the leaves that do not stand in the new tree any more, from left to right.
    pub felled: Vec<Path>,
    /// Poseidon permutations that the update took; deriving paths is not among them.
    pub permutations: u64,
}

impl TreeUpdate {
    /// The update as a commit, for tests of trees without a chain. No program is built with this feature.
    #[cfg(feature = "test-support")]
    pub fn to_commit(&self) -> Commit {
        let mut commit = Commit::default();
        self.write(&mut commit);
        commit
    }

    /// Adds the update to what `commit` will write and release.
    pub(crate) fn write(&self, commit: &mut Commit) {
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
        Node::Branch { .. } if at.is_bottom() => {
            Err(corrupt(Key::Node(digest.into()), "a branch stands where paths end"))
        }
        Node::Branch { left, right } => Ok(Placed::Branch { left, right }),
        Node::Leaf { remaining, value_hash } => match at.join(&remaining) {
            Some(path) => Ok(Placed::Leaf(Leaf { path, value_hash })),
            None => Err(corrupt(Key::Node(digest.into()), "a leaf's path is too long for its place")),
        },
    }
}

fn parse_root(root: B256) -> Result<Digest, StoreError> {
    root.try_into()
        .map_err(|_| corrupt(Key::Node(root), "the digest has a limb that is not below the field's prime"))
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
        self.value_hash().map(|value_hash| Leaf { path: self.path, value_hash })
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
struct Builder<'t, 's> {
    tree: &'t Smt<'s>,
    update: TreeUpdate,
}

impl Builder<'_, '_> {
    /// The changes from left to right, one for each path.
    fn hash_values(&mut self, changes: impl IntoIterator<Item = (Path, U256)>) -> Vec<Change> {
        let mut last: Vec<(Path, U256)> = changes.into_iter().collect();
        // Of several for a path the last one counts: it comes first, and the others go.
        last.reverse();
        last.sort_by_key(|(path, _)| *path);
        last.dedup_by_key(|(path, _)| *path);
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
            match (before, &change.value) {
                (None, Some(_)) => self.update.planted.push(change.path),
                (Some(_), None) => self.update.felled.push(change.path),
                _ => {}
            }
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
        self.update.values.extend(after.map(|(hash, value)| (B256::from(hash), value)));
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
    use crate::{
        store::Memory,
        tree::{BlockInfoKey, StateKey, hash_bytes, poseidon},
    };
    use alloc::{
        collections::{BTreeMap, BTreeSet},
        vec,
    };
    use alloy_primitives::{Address, address, b256};
    use core::cell::RefCell;

    fn path(key: B256) -> Path {
        Digest::try_from(key).expect("a key").into()
    }

    /// Updates the tree, and writes what comes out.
    fn write(store: &Memory, root: B256, changes: impl IntoIterator<Item = (Path, U256)>) -> TreeUpdate {
        let update = Smt::new(store).update(root, changes).expect("all nodes are there");
        let mut commit = Commit::default();
        update.write(&mut commit);
        store.apply(&commit).expect("memory does not fail");
        update
    }

    #[test]
    fn published_sequences_have_their_roots() {
        for sequence in SEQUENCES.split("\n\n") {
            let (store, mut root, mut leaves) = (Memory::new(), B256::ZERO, BTreeMap::new());
            for line in lines(sequence) {
                let (key, value) = (path(line[0].into()), line[1]);
                root = write(&store, root, [(key, value)]).root;
                leaves.insert(key, value);
                assert_eq!(root, B256::from(line[2]), "after {line:x?}");
                assert_eq!(Smt::new(&store).get(root, &key), Ok(value));
                assert_eq!(write(&Memory::new(), B256::ZERO, leaves.clone()).root, root, "all at once");
            }
        }
    }

    #[test]
    fn published_trees_have_their_roots() {
        for tree in TREES.split("\n\n") {
            let leaves = lines(tree).map(|line| (path(line[0].into()), line[1]));
            let root = lines(tree).find_map(|line| line.get(2).copied()).expect("a root");
            assert_eq!(write(&Memory::new(), B256::ZERO, leaves).root, B256::from(root));
        }
    }

    #[test]
    fn small_genesis_has_the_published_root() {
        use StateKey::*;
        let a = address!("617b3a3528F9cDd6630fd3301B9c8911F7Bf063D");
        let b = address!("4d5Cf5032B2a844602278b01199ED191A86c93ff");
        let (hundred_ether, slot) = (10u128.pow(20), |address, slot: u64| Storage(address, U256::from(slot)));
        let numbers = [
            (Balance(a), hundred_ether),
            (Balance(b), 2 * hundred_ether),
            (Nonce(a), 0),
            (CodeLength(a), 2),
            (CodeLength(b), 2),
            (slot(a, 0), 1),
            (slot(a, 1), 2),
            (slot(b, 1), 1),
            (slot(b, 23487), 2926),
        ];
        let code = hash_bytes(&[0x12, 0x34]).into();
        let leaves = numbers.map(|(key, value)| (key.path(), U256::from(value)));
        let leaves = leaves.into_iter().chain([CodeHash(a), CodeHash(b)].map(|key| (key.path(), code)));
        let update = write(&Memory::new(), B256::ZERO, leaves);
        assert_eq!(update.root, b256!("cdeb7fb84fde2b7041d43c560cac6e5fb3838b89fb2b62bc098922e57abd4cbf"));
        // Ten values, ten leaves, and the branches above them.
        let branches = update.created.len() - 10;
        assert_eq!(update.permutations, 20 + u64::try_from(branches).expect("few"));
    }

    #[test]
    fn block_info_header_has_the_published_root() {
        let leaves = [
            (
                BlockInfoKey::PreviousStateRoot,
                b256!("268a22af2bae40acd1cc4228896de4420c5f3bc3bbdd8515d6d01b1b99731f82").into(),
            ),
            (BlockInfoKey::Coinbase, address!("9aecf44e36f20dc407d1a580630c9a2419912dcb").into_word().into()),
            (BlockInfoKey::Number, U256::from(592_223)),
            (BlockInfoKey::GasLimit, U256::from(u64::MAX)),
            (BlockInfoKey::Timestamp, U256::from(1_708_198_051)),
            (BlockInfoKey::GasUsed, U256::ZERO),
        ];
        let update = write(&Memory::new(), B256::ZERO, leaves.map(|(key, value)| (key.path(), value)));
        assert_eq!(update.root, b256!("adb3544de6a274492901e4c8b030342d26f586f5ad3788b0fb006c0f69395d56"));
        assert_eq!(update.permutations, 19, "two for each of five leaves, and nine branches");
    }

    #[test]
    fn same_value_again_costs_its_hash_and_nothing_else() {
        let store = Memory::new();
        let root = write(&store, B256::ZERO, some_leaves()).root;
        let update = write(&store, root, some_leaves());
        let leaves = u64::try_from(some_leaves().len()).expect("few");
        assert_eq!(update, TreeUpdate { root, permutations: leaves, ..TreeUpdate::default() });
    }

    #[test]
    fn leaf_that_moves_keeps_its_value() {
        let store = Memory::new();
        let [a, b] = [0, 1].map(|key| (path(B256::with_last_byte(key)), U256::from(key + 5)));
        let root = write(&store, B256::ZERO, [a]).root;
        let update = write(&store, root, [a, b]);
        assert_eq!(update.values, [(hash_value(b.1).into(), b.1)]);
        assert_eq!((update.created.len(), update.released_nodes), (3, vec![root]));
        assert!(update.released_values.is_empty());
    }

    #[test]
    fn removal_of_what_is_not_there_is_free() {
        let store = Memory::new();
        let root = write(&store, B256::ZERO, some_leaves()).root;
        let absent = (0..50).map(|i| (StateKey::Nonce(Address::with_last_byte(i)).path(), U256::ZERO));
        assert_eq!(write(&store, root, absent), TreeUpdate { root, ..TreeUpdate::default() });
    }

    #[test]
    fn last_word_on_a_path_counts() {
        let store = Memory::new();
        let (a, b) = (path(B256::with_last_byte(1)), path(B256::with_last_byte(2)));
        let words = [(a, 1), (b, 1), (a, 0), (b, 2), (a, 3)].map(|(path, value)| (path, U256::from(value)));
        let root = write(&store, B256::ZERO, words).root;
        assert_eq!(Smt::new(&store).get(root, &a), Ok(U256::from(3)));
        assert_eq!(Smt::new(&store).get(root, &b), Ok(U256::from(2)));
    }

    #[test]
    fn random_updates_agree_with_the_naive_tree() {
        // Deep trees are slow: every change hashes 256 levels.
        for (pool, rounds) in [(shallow_pool(), 60), (deep_pool(), 6), (random_pool(), 60)] {
            let mut random = Random(1);
            let (whole, single) = (Memory::new(), Memory::new());
            let (mut root, mut leaves) = (B256::ZERO, BTreeMap::new());
            for _ in 0..rounds {
                let changes: Vec<(Path, U256)> = (0..=random.below(5))
                    .map(|_| (pool[random.below(pool.len())], U256::from(random.below(4))))
                    .collect();
                let one_by_one =
                    changes.iter().fold(root, |root, change| write(&single, root, [*change]).root);
                root = write(&whole, root, changes.iter().copied()).root;
                leaves.extend(changes);
                leaves.retain(|_, value: &mut U256| !value.is_zero());
                assert_eq!(root, naive_root(&leaves));
                assert_eq!(one_by_one, root);
                let reachable = reachable(&whole, root);
                for store in [&whole, &single] {
                    assert_eq!(store.len(), reachable.len());
                    assert!(reachable.iter().all(|key| matches!(store.get(key), Ok(Some(_)))));
                }
                for path in &pool {
                    let value = leaves.get(path).copied().unwrap_or_default();
                    assert_eq!(Smt::new(&whole).get(root, path), Ok(value));
                }
                let path = &pool[random.below(pool.len())];
                check_proof(&whole, root, path, &mut random);
            }
            for store in [&whole, &single] {
                let end = write(store, root, pool.iter().map(|path| (*path, U256::ZERO)));
                assert_eq!((end.root, store.len()), (B256::ZERO, 0));
            }
        }
    }

    /// The proof shows what the tree has, and with one bit changed it shows nothing.
    fn check_proof(store: &Memory, root: B256, path: &Path, random: &mut Random) {
        let tree = Smt::new(store);
        let proof = tree.prove(root, path).expect("all nodes are there");
        assert_eq!(Ok(proof.verify(root, path)), tree.get(root, path).map(Ok));
        let mut elements = proof.encode();
        assert_eq!(Proof::decode(&elements), Ok(proof));
        if elements.is_empty() {
            return;
        }
        let position = random.below(elements.len());
        let mut element = elements[position].to_vec();
        let bit = random.below(8 * element.len());
        element[bit / 8] ^= 1 << (bit % 8);
        elements[position] = element.into();
        let flipped = Proof::decode(&elements).and_then(|proof| proof.verify(root, path));
        assert!(flipped.is_err(), "bit {bit} of element {position}: {flipped:?}");
    }

    #[test]
    fn equal_subtrees_are_one_record_until_both_are_gone() {
        // Both halves of the tree look alike: they differ in the first turn only.
        let halves = [0, 1].map(|first| {
            [first, first | 2 << 4, first | 2 << 5]
                .map(|limb| Path::from(Digest::from_limbs([limb, 0, 0, 0]).expect("a key")))
        });
        let leaves = |half: [Path; 3], value: u64| half.map(|path| (path, U256::from(value)));
        let store = Memory::new();
        let one = write(&store, B256::ZERO, leaves(halves[0], 7));
        let both = write(&store, one.root, leaves(halves[1], 7));
        assert_eq!(store.len(), reachable(&store, both.root).len());
        let right = write(&store, both.root, leaves(halves[0], 0));
        assert_eq!(store.len(), reachable(&store, right.root).len());
        let changed = write(&store, right.root, leaves(halves[1], 8));
        assert_eq!(store.len(), reachable(&store, changed.root).len());
        write(&store, changed.root, leaves(halves[1], 0));
        assert!(store.is_empty());
    }

    #[test]
    fn every_needed_record_that_is_absent_is_reported() {
        let store = Memory::new();
        let root = write(&store, B256::ZERO, some_leaves()).root;
        for (path, _) in some_leaves() {
            for operation in OPERATIONS {
                let honest = Altered::new(&store, None);
                operation(&Smt::new(&honest), root, path).expect("all records are there");
                for key in honest.read.into_inner() {
                    let altered = Altered::new(&store, Some((key, None)));
                    let result = operation(&Smt::new(&altered), root, path);
                    assert_eq!(result, Err(StoreError::Missing(key)));
                }
            }
        }
    }

    #[test]
    fn removal_reads_the_path_and_one_sibling() {
        let store = Memory::new();
        let [a, b, c] = [0, 1, 3].map(|key| path(B256::with_last_byte(key)));
        let root = write(&store, B256::ZERO, [(a, U256::from(5)), (b, U256::from(6))]).root;
        let altered = Altered::new(&store, None);
        Smt::new(&altered).update(root, [(a, U256::ZERO)]).expect("all nodes are there");
        assert_eq!(altered.read.into_inner().len(), 3, "the root, the leaf, and the leaf that rises");

        let altered = Altered::new(&store, None);
        Smt::new(&altered).update(root, [(c, U256::from(7))]).expect("all nodes are there");
        assert_eq!(altered.read.into_inner().len(), 2, "the root and the leaf in the way");
    }

    #[test]
    fn lying_store_leads_to_no_panic() {
        let store = Memory::new();
        let leaves: Vec<(Path, U256)> = some_leaves().into_iter().take(5).collect();
        let root = write(&store, B256::ZERO, leaves.iter().copied()).root;
        let records: Vec<Key> = reachable(&store, root).into_iter().collect();
        for lie in &records {
            for truth in &records {
                let record = store.get(truth).expect("memory does not fail");
                let altered = Altered::new(&store, Some((*lie, record)));
                for operation in OPERATIONS {
                    for (path, _) in &leaves {
                        let _ = operation(&Smt::new(&altered), root, *path);
                    }
                }
            }
        }
    }

    #[test]
    fn tree_without_end_is_corrupt() {
        let child = hash_value(U256::from(1));
        let key = Key::Node(child.into());
        let node = Node::Branch { left: child, right: child };
        let store = Memory::new();
        let altered = Altered::new(&store, Some((key, Some(node.encode().into()))));
        for operation in OPERATIONS {
            let result = operation(&Smt::new(&altered), child.into(), path(B256::ZERO));
            assert!(matches!(result, Err(StoreError::Corrupt { key: at, .. }) if at == key), "{result:?}");
        }
    }

    #[test]
    fn record_that_is_no_node_or_value_is_corrupt() {
        let store = Memory::new();
        let leaf = path(B256::ZERO);
        let root = write(&store, B256::ZERO, [(leaf, U256::from(1))]).root;
        let value = Key::Value(hash_value(U256::from(1)).into());
        let lies = [
            (Key::Node(root), Bytes::new()),
            (Key::Node(root), Bytes::from([0; 64])),
            (value, Bytes::from([1; 31])),
            (value, Bytes::from([0; 32])),
        ];
        for (key, record) in lies {
            let altered = Altered::new(&store, Some((key, Some(record))));
            let result = Smt::new(&altered).get(root, &leaf);
            assert!(matches!(result, Err(StoreError::Corrupt { key: at, .. }) if at == key), "{result:?}");
        }
        let no_root = B256::repeat_byte(0xff);
        let result = Smt::new(&store).get(no_root, &leaf);
        assert!(matches!(result, Err(StoreError::Corrupt { key, .. }) if key == Key::Node(no_root)));
    }

    /// The hexadecimal numbers on each line.
    fn lines(text: &str) -> impl Iterator<Item = Vec<U256>> {
        let number = |word| U256::from_str_radix(word, 16).expect("hexadecimal");
        text.trim().lines().map(move |line| line.split_whitespace().map(number).collect())
    }

    /// Changes what is under one key, and remembers which keys were asked for.
    struct Altered<'a> {
        store: &'a Memory,
        lie: Option<(Key, Option<Bytes>)>,
        read: RefCell<BTreeSet<Key>>,
    }

    impl<'a> Altered<'a> {
        fn new(store: &'a Memory, lie: Option<(Key, Option<Bytes>)>) -> Self {
            Self { store, lie, read: RefCell::default() }
        }
    }

    impl Store for Altered<'_> {
        fn get(&self, key: &Key) -> Result<Option<Bytes>, StoreError> {
            self.read.borrow_mut().insert(*key);
            match &self.lie {
                Some((lie, record)) if lie == key => Ok(record.clone()),
                _ => self.store.get(key),
            }
        }

        fn apply(&self, _: &Commit) -> Result<(), StoreError> {
            Ok(())
        }
    }

    type Operation = fn(&Smt<'_>, B256, Path) -> Result<(), StoreError>;

    /// All that can be asked of a tree.
    const OPERATIONS: [Operation; 4] = [
        |tree, root, path| tree.get(root, &path).map(|_| ()),
        |tree, root, path| tree.prove(root, &path).map(|_| ()),
        |tree, root, path| tree.update(root, [(path, U256::ZERO)]).map(|_| ()),
        |tree, root, path| tree.update(root, [(path, U256::from(99))]).map(|_| ()),
    ];

    fn some_leaves() -> Vec<(Path, U256)> {
        let key = |i| StateKey::Balance(Address::with_last_byte(i)).path();
        (0..20).map(|i| (key(i), U256::from(1 + i / 2))).collect()
    }

    /// Node and value records of the tree with this root.
    fn reachable(store: &Memory, root: B256) -> BTreeSet<Key> {
        let (mut keys, mut ahead) = (BTreeSet::new(), vec![root]);
        while let Some(digest) = ahead.pop() {
            if digest == B256::ZERO || !keys.insert(Key::Node(digest)) {
                continue;
            }
            let record = store.get(&Key::Node(digest)).expect("memory does not fail").expect("a node");
            match Node::decode(&record).expect("a node") {
                Node::Branch { left, right } => ahead.extend([left, right].map(B256::from)),
                Node::Leaf { value_hash, .. } => {
                    keys.insert(Key::Value(value_hash.into()));
                }
            }
        }
        keys
    }

    /// The root by definition: each subtree from its leaves, with keys that lose a bit at each level.
    fn naive_root(leaves: &BTreeMap<Path, U256>) -> B256 {
        let leaves: Vec<_> = leaves.iter().map(|(path, value)| (path.limbs(), *value)).collect();
        U256::from_limbs(naive_digest(&leaves, 0)).into()
    }

    fn naive_digest(leaves: &[([u64; 4], U256)], depth: usize) -> [u64; 4] {
        match leaves {
            [] => [0; 4],
            [(key, value)] => {
                let bytes = value.to_le_bytes::<32>();
                let limbs: Vec<u64> =
                    bytes.as_chunks::<4>().0.iter().map(|limb| u32::from_le_bytes(*limb).into()).collect();
                let value = poseidon::hash(&limbs.try_into().expect("eight limbs"), &[0; 4]);
                naive_hash(*key, value, [1, 0, 0, 0])
            }
            _ => {
                let children = [0, 1].map(|turn| {
                    let below: Vec<_> = leaves
                        .iter()
                        .filter(|(key, _)| key[depth % 4] & 1 == turn)
                        .map(|(key, value)| {
                            let mut key = *key;
                            key[depth % 4] >>= 1;
                            (key, *value)
                        })
                        .collect();
                    naive_digest(&below, depth + 1)
                });
                naive_hash(children[0], children[1], [0; 4])
            }
        }
    }

    fn naive_hash(first: [u64; 4], second: [u64; 4], capacity: [u64; 4]) -> [u64; 4] {
        let rate: Vec<u64> = first.into_iter().chain(second).collect();
        poseidon::hash(&rate.try_into().expect("eight elements"), &capacity)
    }

    /// Keys that part within the first eight turns, so that equal subtrees are common.
    fn shallow_pool() -> Vec<Path> {
        let bit = |i: u64, from: u32, to: u32| (i >> from & 1) << to;
        (0..16).map(|i| limbs_path([bit(i, 0, 0) | bit(i, 1, 1), bit(i, 2, 0), 0, bit(i, 3, 1)])).collect()
    }

    /// Keys that share 248 turns or more.
    fn deep_pool() -> Vec<Path> {
        (0..4)
            .flat_map(|i| [[i, 0, 0, i], [0, i, 3, 1], [i, i, 0, 0]])
            .map(|high| limbs_path(high.map(|bits: u64| bits << 62)))
            .collect()
    }

    fn random_pool() -> Vec<Path> {
        let mut random = Random(0);
        (0..24).map(|_| limbs_path([(); 4].map(|()| random.next() >> 1))).collect()
    }

    fn limbs_path(limbs: [u64; 4]) -> Path {
        path(U256::from_limbs(limbs).into())
    }

    /// Numbers that look random and are the same in every run (splitmix64).
    struct Random(u64);

    impl Random {
        fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        }

        fn below(&mut self, end: usize) -> usize {
            usize::try_from(self.next() >> 32).expect("32 bits") % end
        }
    }

    /// Key, value and the root after it is set; each sequence begins with the empty tree (zkevm-commonjs `src/smt.js`, run).
    const SEQUENCES: &str = "
        1 1 b26e0de762d186d2efc35d9ff4388def6c96ec15f942d83d779141386fe1d2e1
        0 2 a1b5388197bdb68b0b2872f8a9994e8bed0e9c13d303f4248a628f971fe04937
        3 3 8e446cba0bbd398528d4eebf62bbf204951f905d916c460c593bfd088ecae047
        20000000000000001 ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff d45dd7babb706cdab597b64551c1d06b5a8a7712f5dc39af6c57357afca77019
        1 5 a98fc8b7f872d926811d559cb22748ef8b8981ec594ae86afcb970f86c4203f2
        7 0 a98fc8b7f872d926811d559cb22748ef8b8981ec594ae86afcb970f86c4203f2
        3 0 8f599a3a84b1b30c84500cfea7c9c86d659eee077194e62ee1a39d3a2a01bd6c
        20000000000000001 0 26df883ce21ceac5c5e26d00a7e159b43f727449727b00a1b7d13fde69a0602f
        0 0 91042de9603ffbde022a4384d396f13e2c84d5d2a2bee0186cefa42e4d64d51c
        1 0 0

        1 1 b26e0de762d186d2efc35d9ff4388def6c96ec15f942d83d779141386fe1d2e1
        1000000000000000000000000000000000000000000000000000000000000001 2 fb2c80af90dcf5642642e047fc3839b9aa616897c6f413a3884795a260c5ba80
        3000000000000000000000000000000000000000000000000000000000000001 4 b7b442f8e34f0426008ce99333ed14a70c4a1c9c858735d07c33c9af36d1704f
        0 8 583ecc288c32d87bdc6b08e34d9676601e82925267f397dd3eeeb0e979d3bea4
        3000000000000000000000000000000000000000000000000000000000000001 0 72a4486ec05972a3aa427189d1f4cc5884c5956f987df3503d014c0f1a90fb9b
        1000000000000000000000000000000000000000000000000000000000000001 0 bb9a5a115050fb8f758a4ddce95ff837d9aa02022d5e13e0505fa31a5e9fd50f
        0 0 b26e0de762d186d2efc35d9ff4388def6c96ec15f942d83d779141386fe1d2e1

        f3f49249dc28ff90a5aec7978306d03bf38b2ffc80a4df5a51c9bc701e7ea419 bef7e268ffe976ab60581ccace1d62e05b4c8012ede7bd0cffb88309fadb8908 18d6b0736848697a2e834ab663753239a6f333cebebf508cf8bbe2b4fdab61a9
        6bad6be28e7aa6e99f19950499dd251de512148239292d22e255accb1a466884 89be9c1c8eb5140f16f4488157241955b91dddd91389b372a341738c837a7935 a02c447364ede33a6f269dfc84ddb3aff425c81d48bb1701001f9c4192e2f85
        7dabe929c4a334bfc6cd75e9bb049a79d7a7a3cc8c3d5f169293de8fc88b2875 b766ff10b437bdb5a51149bbe060a72424114258751b4c8349a047dc4ac87fc0 19b63b108b8de571c44aa43dcd6b736ad75e4a96bfcd99b6866037e46ec19c19
        14aa4e719d3c7dec00a61f933d6c51e370eb9a0a96263ae6c5e818fac0433cbd 7608d9425d111a9d5e6c9992b5fb12e0d9090b89065550964f1a8a1d93d20470 868f5cae5cbbce3e37b571eed7ec1abac9afcc05c668e2f98eaaf63b8a36f358
        e4163207d094499602f0ee99731c94521919e93ad11745ad498893101c593af5 de0279e17f9ac0988df05f2595f19a51e41686cd66160227173714726c167229 a8264d7d7b5e91680539cc35a2d620d156819fd14d226ba2fa69ae28a6e16da1
        59001ac9406329bc65b00a2d35d148805071950eadec6f117d836e77af67d461 e01c683e99a46df0dde3a361c0099ebacd73de0081a0ba056ce9da661dcf884c 371172c1f6b70f9ebe2bba2b188851b34d7a0e0f7d829036fc791681d695cb0c
        7dabe929c4a334bfc6cd75e9bb049a79d7a7a3cc8c3d5f169293de8fc88b2875 0 c23e0c5db7415f6f78bb02e0b286f4e7f68855f86d9866f959d6dd57c3cb7c2e
        f3f49249dc28ff90a5aec7978306d03bf38b2ffc80a4df5a51c9bc701e7ea419 1234 9e7adfcb25380fab153c6274fcc972d581d60ec99b8dfc4bdb61ae254d9f5eb9
        59001ac9406329bc65b00a2d35d148805071950eadec6f117d836e77af67d461 0 2514a1678d14fc2e7f402a3c8f0e7122f2791c1f354569e5692d264e2d476b73
        6bad6be28e7aa6e99f19950499dd251de512148239292d22e255accb1a466884 0 9377aab59a13bf07c4f307818faa6d923d6e44809a9fb768e56f51d62a1ac786

        0 1 42bb2f66296df03552203ae337815976ca9c1bf52cc1bdd59399ede8fea8a822
        8000000000000000000000000000000000000000000000000000000000000000 2 e51df2f33e56d55594199ded35bb0170103321bf9b1672f0dce6fb8d8d75255e
        0 3 72b069bfc5d8a6f72d4e8ce6bc00ddfc6bc9191b0969aa58f87ee3530c1813bb
        8000000000000000000000000000000000000000000000000000000000000000 0 12df682a6448c60d4bc0984d957e6dbb9672df947332b4c2df58467103d4c03e
    ";

    /// Keys and values, and the root of all (zkevm-commonjs `test/helpers/test-vectors/merkle-tree/smt-raw.json`).
    const TREES: &str = "
        0 1
        1111 2
        11111 3 a7db6a59f3df30492054fe2419cf1584e4100f915c75e957938477562c2f2cea

        100000000 fc
        0 fd
        11111100000000 fe
        2222222 ff
        112222222 100
        511111100000000 101 43567b6b04f5d8d83d109002767462808e225a5c90f2a9afc9ed4672bd54676a

        0 1
        1000000000000000000000000000000000000000 1000000000000000000000000000000000000000
        1 1 46a27b5cce9b87692dd7b97920b51bca15cad6f07e001225e8ecfa4d43602dbc
    ";
}
