//! Keccak trees and what stands in them: `keccak_trees` of `state-tree.json`, and the `units` about L1 info tree,
//! exit trees and global indices.

use super::one;
use crate::case::Case;
use alloy_primitives::{Address, B256, Bytes, U256};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;
use zk_replica_core::tree::{APPEND_TREE_DEPTH, AppendTree, ExitLeaf, GlobalIndex, L1InfoLeaf};

/// Siblings from the leaf up.
type Siblings = [B256; APPEND_TREE_DEPTH];

/// The tree of these leaves, which append in order.
fn tree(leaves: impl IntoIterator<Item = B256>) -> AppendTree {
    let mut tree = AppendTree::new();
    for (index, leaf) in (0..).zip(leaves) {
        assert_eq!(tree.append(leaf), Ok(index));
    }
    tree
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeccakTrees {
    depth: usize,
    zero_hashes: Vec<B256>,
    empty_root: B256,
    l1_info: Vec<InfoTree>,
    exit_leaves: Vec<ExitCase>,
    exit_roots_after_each: Vec<B256>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InfoTree {
    source: String,
    leaves: Vec<InfoLeaf>,
    root: B256,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InfoLeaf {
    global_exit_root: B256,
    block_hash: B256,
    timestamp: U256,
    leaf: B256,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExitCase {
    source: String,
    leaf_type: u8,
    origin_network: u32,
    origin_address: Address,
    destination_network: u32,
    destination_address: Address,
    amount: U256,
    metadata: Bytes,
    leaf: B256,
}

/// The section of `state-tree.json` with these trees.
pub(super) fn trees(family: &'static str, name: &str, json: &RawValue) -> Vec<Case> {
    vec![
        one(family, format!("{name}, empty trees"), json, check_empty),
        one(family, format!("{name}, L1 info trees"), json, check_info_trees),
        one(family, format!("{name}, exit tree"), json, check_exits),
    ]
}

/// A tree of zeros is the empty tree, at every depth.
fn check_empty(trees: KeccakTrees) {
    assert_eq!((trees.depth, trees.empty_root), (APPEND_TREE_DEPTH, AppendTree::EMPTY_ROOT));
    assert_eq!(AppendTree::new().root(), trees.empty_root);
    let (root, siblings) = trees.zero_hashes.split_last().expect("hashes");
    assert_eq!(*root, trees.empty_root);
    let siblings: &Siblings = siblings.try_into().expect("one for each level");
    for index in [0, 1, 0x5555_5555, u32::MAX] {
        assert_eq!(AppendTree::root_of_proof(B256::ZERO, index, siblings), *root);
    }
    for (level, zero) in siblings.iter().enumerate() {
        let mut other = *siblings;
        other[level] = *zero ^ B256::with_last_byte(1);
        assert_ne!(AppendTree::root_of_proof(B256::ZERO, 0, &other), *root, "at level {level}");
    }
}

fn check_info_trees(trees: KeccakTrees) {
    assert!(!trees.l1_info.is_empty());
    for case in &trees.l1_info {
        let leaves = case.leaves.iter().map(|leaf| {
            let (global_exit_root, parent_hash) = (leaf.global_exit_root, leaf.block_hash);
            let info = L1InfoLeaf { global_exit_root, parent_hash, timestamp: leaf.timestamp.to() };
            assert_eq!(info.hash(), leaf.leaf, "{}", case.source);
            leaf.leaf
        });
        assert_eq!(tree(leaves).root(), case.root, "{}", case.source);
    }
}

fn check_exits(trees: KeccakTrees) {
    assert!(!trees.exit_leaves.is_empty());
    assert_eq!(trees.exit_leaves.len(), trees.exit_roots_after_each.len());
    let mut exits = AppendTree::new();
    for (case, root) in trees.exit_leaves.iter().zip(&trees.exit_roots_after_each) {
        let exit = ExitLeaf {
            leaf_type: case.leaf_type,
            origin_network: case.origin_network,
            origin_address: case.origin_address,
            destination_network: case.destination_network,
            destination_address: case.destination_address,
            amount: case.amount,
            metadata: case.metadata.clone(),
        };
        assert_eq!(exit.hash(), case.leaf, "{}", case.source);
        exits.append(exit.hash()).expect("room");
        assert_eq!(exits.root(), *root, "{}", case.source);
    }
}

/// A tree of `units/l1-info-tree.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct L1InfoCase {
    #[serde(rename = "index")]
    _index: IgnoredAny,
    description: String,
    leafs: Vec<L1InfoCaseLeaf>,
    expected_root: B256,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct L1InfoCaseLeaf {
    leaf_data: LeafData,
    expected_leaf_value: B256,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct LeafData {
    ger: B256,
    block_hash: B256,
    timestamp: U256,
}

pub(super) fn check_info_tree(case: L1InfoCase) {
    let leaves = case.leafs.iter().map(|leaf| {
        let LeafData { ger, block_hash, timestamp } = &leaf.leaf_data;
        let timestamp = timestamp.to();
        let info = L1InfoLeaf { global_exit_root: *ger, parent_hash: *block_hash, timestamp };
        assert_eq!(info.hash(), leaf.expected_leaf_value, "{}", case.description);
        info.hash()
    });
    assert_eq!(tree(leaves).root(), case.expected_root, "{}", case.description);
}

/// A leaf of `units/l1-info-tree-roots.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct RootCase {
    #[serde(rename = "index")]
    _index: IgnoredAny,
    previous_leaf_values: Vec<B256>,
    current_root: B256,
    new_leaf_value: B256,
    new_root: B256,
}

pub(super) fn check_root(case: RootCase) {
    check_append(case.previous_leaf_values, case.current_root, case.new_leaf_value, case.new_root);
}

fn check_append(leaves: Vec<B256>, root: B256, leaf: B256, new_root: B256) {
    let mut tree = tree(leaves);
    assert_eq!(tree.root(), root, "before");
    tree.append(leaf).expect("room");
    assert_eq!(tree.root(), new_root, "after");
}

/// A proof of `units/l1-info-tree-proofs.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct ProofCase {
    /// Of the case, and of the leaf.
    index: u32,
    leaves: Vec<B256>,
    proof: Siblings,
    root: B256,
}

pub(super) fn check_info_proof(case: ProofCase) {
    check_proof(&case.leaves, case.index, &case.proof, case.root);
}

/// The proof of a leaf leads to the root from its place, and from no other leaf or place to it.
fn check_proof(leaves: &[B256], index: u32, proof: &Siblings, root: B256) {
    assert_eq!(tree(leaves.iter().copied()).root(), root);
    for (at, leaf) in (0..).zip(leaves) {
        for claimed in 0..8 {
            let led = AppendTree::root_of_proof(*leaf, claimed, proof);
            assert_eq!(led == root, (at, claimed) == (index, index), "leaf {at} at {claimed}, not {index}");
        }
    }
}

/// A leaf of the files in `units/mt-bridge`. The hash has several names, and the type is sometimes left out.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct BridgeLeaf {
    #[serde(rename = "index")]
    _index: Option<IgnoredAny>,
    #[serde(default)]
    leaf_type: u8,
    origin_network: u32,
    token_address: Address,
    amount: U256,
    destination_network: u32,
    destination_address: Address,
    metadata: Bytes,
    #[serde(alias = "currentLeafValue")]
    leaf_value: B256,
}

impl BridgeLeaf {
    /// The hash of the leaf, which is the published one.
    fn check(&self) -> B256 {
        let leaf = ExitLeaf {
            leaf_type: self.leaf_type,
            origin_network: self.origin_network,
            origin_address: self.token_address,
            destination_network: self.destination_network,
            destination_address: self.destination_address,
            amount: self.amount,
            metadata: self.metadata.clone(),
        };
        assert_eq!(leaf.hash(), self.leaf_value);
        leaf.hash()
    }
}

pub(super) fn check_exit_leaf(leaf: BridgeLeaf) {
    leaf.check();
}

/// A leaf of `units/mt-bridge/root-vectors.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct BridgeRootCase {
    #[serde(rename = "index")]
    _index: IgnoredAny,
    previous_leafs_values: Vec<B256>,
    current_root: B256,
    new_leaf: BridgeLeaf,
    new_root: B256,
}

pub(super) fn check_exit_root(case: BridgeRootCase) {
    check_append(case.previous_leafs_values, case.current_root, case.new_leaf.check(), case.new_root);
}

/// A proof of `units/mt-bridge/claim-vectors.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct ClaimCase {
    /// Of the case, and of the leaf.
    index: u32,
    leafs: Vec<BridgeLeaf>,
    proof: Siblings,
    root: B256,
}

pub(super) fn check_claim(case: ClaimCase) {
    let leaves: Vec<_> = case.leafs.iter().map(BridgeLeaf::check).collect();
    check_proof(&leaves, case.index, &case.proof, case.root);
}

/// An index of `units/global-index.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct IndexCase {
    #[serde(rename = "index")]
    _index: IgnoredAny,
    index_local: U256,
    index_rollup: U256,
    is_mainnet: bool,
    expected_global_index: U256,
}

pub(super) fn check_global_index(case: IndexCase) {
    let global = match case.is_mainnet {
        true => GlobalIndex::Mainnet { leaf: case.index_local.to() },
        false => GlobalIndex::Rollup { rollup: case.index_rollup.to(), leaf: case.index_local.to() },
    };
    assert_eq!(global.encode(), case.expected_global_index);
    assert_eq!(GlobalIndex::decode(case.expected_global_index), Some(global));
}
