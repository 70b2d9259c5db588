use alloy_primitives::{Address, B256, Bytes, U256, b256, keccak256};

/// How many levels an [`AppendTree`] has above its leaves.
pub const APPEND_TREE_DEPTH: usize = 32;

/// A binary tree over keccak that only grows: the bridge's exit tree, and L1's tree of global exit roots (the L1 info
/// tree).
///
/// Leaves stand side by side from the left, all at depth 32; where none is yet, there is zero. So a leaf's index is its
/// path, lowest bit at the lowest level. Of each level only the last left node that waits for its right one is kept
/// (zkevm-contracts, `DepositContractBase.sol`; `spec/state-tree.md` §5).
///
/// ```
/// # use alloy_primitives::B256;
/// use zk_replica_core::tree::AppendTree;
///
/// let mut tree = AppendTree::new();
/// let index = tree.append(B256::repeat_byte(1))?;
/// assert_eq!((index, tree.len()), (0, 1));
/// # Ok::<(), zk_replica_core::tree::TreeFull>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct AppendTree {
    /// At level `h`, if bit `h` of `leaves` is set: the node that waits there. Else something older, or zero.
    waiting: [B256; APPEND_TREE_DEPTH],
    leaves: u32,
}

impl AppendTree {
    /// The root without leaves.
    pub const EMPTY_ROOT: B256 = b256!("27ae5ba08d7291c96c8cbddcc148bf48a6d68c7974b94356f53754ef6171d757");

    /// No leaves.
    pub fn new() -> Self {
        Self::default()
    }

    /// The tree that a contract keeps: its 32 nodes, level by level, and its number of leaves.
    ///
    /// What a contract has at a level where nothing waits does not matter.
    pub fn from_contract(branch: [B256; APPEND_TREE_DEPTH], leaves: u32) -> Self {
        Self { waiting: branch, leaves }
    }

    /// How many leaves there are.
    pub fn len(&self) -> u32 {
        self.leaves
    }

    /// There are no leaves.
    pub fn is_empty(&self) -> bool {
        self.leaves == 0
    }

    /// Adds a leaf on the right and gives its index.
    ///
    /// # Errors
    ///
    /// [`TreeFull`] after `2^32 - 1` leaves, which is where the contracts stop too.
    pub fn append(&mut self, leaf: B256) -> Result<u32, TreeFull> {
        let index = self.leaves;
        self.leaves = index.checked_add(1).ok_or(TreeFull)?;
        let mut node = leaf;
        for (level, waiting) in (0..).zip(&mut self.waiting) {
            if self.leaves >> level & 1 == 1 {
                *waiting = node;
                break;
            }
            node = parent(*waiting, node);
        }
        Ok(index)
    }

    /// The root; [`AppendTree::EMPTY_ROOT`] without leaves.
    pub fn root(&self) -> B256 {
        let (mut node, mut zero) = (B256::ZERO, B256::ZERO);
        for (level, waiting) in (0..).zip(&self.waiting) {
            node = match self.leaves >> level & 1 {
                1 => parent(*waiting, node),
                _ => parent(node, zero),
            };
            zero = parent(zero, zero);
        }
        node
    }

    /// The root of the tree that has `leaf` at `index` and beside the way there, from the leaf up, these nodes.
    ///
    /// Every proof leads to some root: it is for the caller to compare.
    pub fn root_of_proof(leaf: B256, index: u32, siblings: &[B256; APPEND_TREE_DEPTH]) -> B256 {
        (0..).zip(siblings).fold(leaf, |node, (level, sibling)| match index >> level & 1 {
            1 => parent(*sibling, node),
            _ => parent(node, *sibling),
        })
    }
}

/// A tree has no room for another leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the tree has 2^32 - 1 leaves, and room for no more")]
pub struct TreeFull;

fn parent(left: B256, right: B256) -> B256 {
    keccak256([left.0, right.0].as_flattened())
}

/// The global exit root: everything that may be claimed on any chain of the bridge.
pub fn global_exit_root(mainnet_exit_root: B256, rollup_exit_root: B256) -> B256 {
    parent(mainnet_exit_root, rollup_exit_root)
}

/// A leaf of the L1 info tree: a global exit root, and the L1 block that brought it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct L1InfoLeaf {
    /// Global exit root.
    pub global_exit_root: B256,
    /// Hash of the parent of that block.
    pub parent_hash: B256,
    /// Timestamp of that block.
    pub timestamp: u64,
}

impl L1InfoLeaf {
    /// What stands in the tree (zkevm-contracts, `PolygonZkEVMGlobalExitRootV2.sol`, `getLeafValue`).
    pub fn hash(&self) -> B256 {
        let parts =
            [self.global_exit_root.as_slice(), self.parent_hash.as_slice(), &self.timestamp.to_be_bytes()];
        keccak256(parts.concat())
    }
}

/// A leaf of an exit tree: what somebody sent to another chain of the bridge. The fields of a `BridgeEvent`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExitLeaf {
    /// 0 for an asset, 1 for a message.
    pub leaf_type: u8,
    /// The chain that the token is from, or the sender of the message.
    pub origin_network: u32,
    /// The token, or the sender.
    pub origin_address: Address,
    /// The chain it goes to.
    pub destination_network: u32,
    /// Who may have it there.
    pub destination_address: Address,
    /// How much of the token, or of ether.
    pub amount: U256,
    /// What to create the token with, or the message.
    pub metadata: Bytes,
}

impl ExitLeaf {
    /// What stands in the tree (zkevm-contracts, `DepositContractV2.sol`, `getLeafValue`).
    pub fn hash(&self) -> B256 {
        let metadata = keccak256(&self.metadata);
        let parts: [&[u8]; 7] = [
            &[self.leaf_type],
            &self.origin_network.to_be_bytes(),
            self.origin_address.as_slice(),
            &self.destination_network.to_be_bytes(),
            self.destination_address.as_slice(),
            &self.amount.to_be_bytes::<32>(),
            metadata.as_slice(),
        ];
        keccak256(parts.concat())
    }
}

/// Which leaf of which exit tree is claimed (zkevm-contracts, `PolygonZkEVMBridgeV2.sol`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GlobalIndex {
    /// Of L1's: `2^64 + leaf`.
    Mainnet {
        /// Index of the leaf. Contracts read its low 32 bits only, as there are no larger trees.
        leaf: u64,
    },
    /// Of a rollup's: `rollup * 2^32 + leaf`.
    Rollup {
        /// The rollup's number minus one.
        rollup: u32,
        /// Index of the leaf.
        leaf: u32,
    },
}

impl GlobalIndex {
    /// The index as one number.
    pub fn encode(&self) -> U256 {
        match *self {
            Self::Mainnet { leaf } => U256::from_limbs([leaf, 1, 0, 0]),
            Self::Rollup { rollup, leaf } => U256::from(u64::from(rollup) << 32 | u64::from(leaf)),
        }
    }

    /// The index that this number stands for; `None` if there is none.
    pub fn decode(number: U256) -> Option<Self> {
        match number.into_limbs() {
            [leaf, 1, 0, 0] => Some(Self::Mainnet { leaf }),
            [both, 0, 0, 0] => {
                let [a, b, c, d, e, f, g, h] = both.to_be_bytes();
                let [rollup, leaf] = [[a, b, c, d], [e, f, g, h]].map(u32::from_be_bytes);
                Some(Self::Rollup { rollup, leaf })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    /// Every level of the tree as far as it is not zero, the leaves first.
    fn levels(leaves: &[B256]) -> Vec<Vec<B256>> {
        let (mut levels, mut zero) = (Vec::from([leaves.to_vec()]), B256::ZERO);
        for level in 0..APPEND_TREE_DEPTH {
            let pairs = levels[level].chunks(2);
            let above = pairs.map(|pair| parent(pair[0], pair.get(1).copied().unwrap_or(zero))).collect();
            levels.push(above);
            zero = parent(zero, zero);
        }
        levels
    }

    fn naive_root(leaves: &[B256]) -> B256 {
        let top = levels(leaves).pop().unwrap_or_default();
        top.first().copied().unwrap_or(AppendTree::EMPTY_ROOT)
    }

    fn naive_proof(leaves: &[B256], index: usize) -> [B256; APPEND_TREE_DEPTH] {
        let (levels, mut zero) = (levels(leaves), B256::ZERO);
        core::array::from_fn(|level| {
            let sibling = levels[level].get(index >> level ^ 1).copied().unwrap_or(zero);
            zero = parent(zero, zero);
            sibling
        })
    }

    fn tree(leaves: &[B256]) -> AppendTree {
        let mut tree = AppendTree::new();
        for (index, leaf) in (0..).zip(leaves) {
            assert_eq!(tree.append(*leaf), Ok(index));
        }
        tree
    }

    #[test]
    fn empty_tree_has_the_published_root() {
        assert_eq!(AppendTree::new().root(), AppendTree::EMPTY_ROOT);
        assert!(AppendTree::new().is_empty());
    }

    #[test]
    fn leaf_of_zeros_has_the_published_hash() {
        let published = b256!("3cac317908c699fe873a7f6ee4e8cd63fbe9918b2315c97be91585590168e301");
        assert_eq!(L1InfoLeaf::default().hash(), published);
    }

    #[test]
    fn full_tree_takes_no_leaf() {
        let mut tree = AppendTree::from_contract([B256::repeat_byte(1); APPEND_TREE_DEPTH], u32::MAX - 1);
        assert_eq!(tree.append(B256::ZERO), Ok(u32::MAX - 1));
        let root = tree.root();
        assert_eq!(tree.append(B256::ZERO), Err(TreeFull));
        assert_eq!((tree.len(), tree.root()), (u32::MAX, root));
    }

    #[test]
    fn nothing_is_taken_for_an_index_that_is_none() {
        for limbs in [[0, 2, 0, 0], [0, 3, 0, 0], [0, 0, 1, 0], [0, 1, 1, 0], [0, 1, 0, 1], [0, 0, 0, 1]] {
            assert_eq!(GlobalIndex::decode(U256::from_limbs(limbs)), None);
        }
    }

    proptest! {
        #[test]
        fn trees_agree_with_the_naive_tree(
            leaves in prop::collection::vec(any::<[u8; 32]>().prop_map(B256::from), 0..40),
            index in any::<prop::sample::Index>(),
            bit in 0..32u32,
        ) {
            let tree = tree(&leaves);
            let root = naive_root(&leaves);
            prop_assert_eq!(tree.root(), root);
            let mut kept = tree.waiting;
            for (level, node) in (0..).zip(&mut kept).filter(|(level, _)| tree.len() >> level & 1 == 0) {
                *node = B256::with_last_byte(level);
            }
            let mut kept = AppendTree::from_contract(kept, tree.len());
            prop_assert_eq!(kept.root(), root);
            prop_assert_eq!(kept.append(root), Ok(tree.len()));
            prop_assert_eq!(kept.root(), naive_root(&[leaves.as_slice(), &[root]].concat()));
            if leaves.is_empty() {
                return Ok(());
            }
            let index = index.index(leaves.len());
            let (leaf, proof) = (leaves[index], naive_proof(&leaves, index));
            let index = u32::try_from(index).unwrap();
            prop_assert_eq!(AppendTree::root_of_proof(leaf, index, &proof), root);
            prop_assert_ne!(AppendTree::root_of_proof(leaf ^ B256::with_last_byte(1), index, &proof), root);
            let elsewhere = index ^ 1 << bit;
            prop_assert_ne!(AppendTree::root_of_proof(leaf, elsewhere, &proof), root);
        }

        #[test]
        fn global_indices_decode(leaf in any::<u64>(), rollup in any::<u32>(), short in any::<u32>()) {
            for index in [GlobalIndex::Mainnet { leaf }, GlobalIndex::Rollup { rollup, leaf: short }] {
                prop_assert_eq!(GlobalIndex::decode(index.encode()), Some(index));
            }
        }
    }
}
