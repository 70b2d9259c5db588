//! Keccak trees and what stands in them: `keccak_trees` of `state-tree.json`, and the `units` about L1 info tree,
//! exit trees and global indices.

use alloy_primitives::{Address, B256, Bytes, U256};
use serde::{
    Deserialize,
    de::{DeserializeOwned, IgnoredAny},
};
use zk_replica_core::tree::{APPEND_TREE_DEPTH, AppendTree, ExitLeaf, GlobalIndex, L1InfoLeaf};
use zk_replica_tests::{answers::read, vectors};

/// Siblings from the leaf up.
type Siblings = [B256; APPEND_TREE_DEPTH];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases<T> {
    #[serde(rename = "source")]
    _source: IgnoredAny,
    cases: Vec<T>,
}

fn cases<T: DeserializeOwned>(test: &str, file: &str, count: usize) -> Option<Vec<T>> {
    let Cases { cases, .. } = read(&vectors(test)?.join("units").join(file));
    assert_eq!(cases.len(), count, "{file}");
    Some(cases)
}

/// The tree of these leaves, which append in order.
fn tree(leaves: impl IntoIterator<Item = B256>) -> AppendTree {
    let mut tree = AppendTree::new();
    for (index, leaf) in (0..).zip(leaves) {
        assert_eq!(tree.append(leaf), Ok(index));
    }
    tree
}

#[derive(Deserialize)]
struct Published {
    keccak_trees: KeccakTrees,
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
    #[serde(rename = "source")]
    _source: IgnoredAny,
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
    #[serde(rename = "source")]
    _source: IgnoredAny,
    leaf_type: u8,
    origin_network: u32,
    origin_address: Address,
    destination_network: u32,
    destination_address: Address,
    amount: U256,
    metadata: Bytes,
    leaf: B256,
}

#[test]
fn every_tree_of_the_index_has_its_roots() {
    let Some(vectors) = vectors("every_tree_of_the_index_has_its_roots") else {
        return;
    };
    let Published { keccak_trees: published } = read(&vectors.join("state-tree.json"));
    assert_eq!((published.depth, published.empty_root), (APPEND_TREE_DEPTH, AppendTree::EMPTY_ROOT));
    let zeros: &Siblings = published.zero_hashes[..APPEND_TREE_DEPTH].try_into().expect("as many");
    assert_eq!(AppendTree::root_of_proof(B256::ZERO, 0, zeros), AppendTree::EMPTY_ROOT);
    assert_eq!(published.l1_info.len(), 4);
    for case in &published.l1_info {
        let leaves = case.leaves.iter().map(|leaf| {
            let timestamp = leaf.timestamp.to();
            let info = L1InfoLeaf {
                global_exit_root: leaf.global_exit_root,
                parent_hash: leaf.block_hash,
                timestamp,
            };
            assert_eq!(info.hash(), leaf.leaf);
            leaf.leaf
        });
        assert_eq!(tree(leaves).root(), case.root);
    }

    assert_eq!(published.exit_leaves.len(), 4);
    assert_eq!(published.exit_roots_after_each.len(), 4);
    let mut exits = AppendTree::new();
    for (case, root) in published.exit_leaves.iter().zip(&published.exit_roots_after_each) {
        let exit = ExitLeaf {
            leaf_type: case.leaf_type,
            origin_network: case.origin_network,
            origin_address: case.origin_address,
            destination_network: case.destination_network,
            destination_address: case.destination_address,
            amount: case.amount,
            metadata: case.metadata.clone(),
        };
        assert_eq!(exit.hash(), case.leaf);
        exits.append(exit.hash()).expect("room");
        assert_eq!(exits.root(), *root);
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct L1InfoCase {
    index: usize,
    #[serde(rename = "description")]
    _description: IgnoredAny,
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

#[test]
fn every_l1_info_tree_has_the_published_leaves_and_root() {
    let test = "every_l1_info_tree_has_the_published_leaves_and_root";
    let Some(cases) = cases::<L1InfoCase>(test, "l1-info-tree.json", 3) else {
        return;
    };
    for case in &cases {
        let leaves = case.leafs.iter().map(|leaf| {
            let LeafData { ger, block_hash, timestamp } = &leaf.leaf_data;
            let timestamp = timestamp.to();
            let info = L1InfoLeaf { global_exit_root: *ger, parent_hash: *block_hash, timestamp };
            assert_eq!(info.hash(), leaf.expected_leaf_value, "{}", case.index);
            info.hash()
        });
        assert_eq!(tree(leaves).root(), case.expected_root, "{}", case.index);
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RootCase {
    index: usize,
    previous_leaf_values: Vec<B256>,
    current_root: B256,
    new_leaf_value: B256,
    new_root: B256,
}

#[test]
fn every_leaf_leads_to_the_published_root() {
    let test = "every_leaf_leads_to_the_published_root";
    let Some(cases) = cases::<RootCase>(test, "l1-info-tree-roots.json", 3) else {
        return;
    };
    for case in cases {
        let mut tree = tree(case.previous_leaf_values);
        assert_eq!(tree.root(), case.current_root, "{}", case.index);
        tree.append(case.new_leaf_value).expect("room");
        assert_eq!(tree.root(), case.new_root, "{}", case.index);
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ProofCase {
    /// Of the case, and of the leaf.
    index: u32,
    leaves: Vec<B256>,
    proof: Siblings,
    root: B256,
}

/// The proof of a leaf leads to the root from its place, and from no other leaf or place to it.
fn check_proof(leaves: &[B256], index: u32, proof: &Siblings, root: B256) {
    assert_eq!(tree(leaves.iter().copied()).root(), root, "{index}");
    for (at, leaf) in (0..).zip(leaves) {
        for claimed in 0..8 {
            let led = AppendTree::root_of_proof(*leaf, claimed, proof);
            assert_eq!(led == root, (at, claimed) == (index, index), "leaf {at} at {claimed}, not {index}");
        }
    }
}

#[test]
fn every_l1_info_proof_leads_to_the_published_root() {
    let test = "every_l1_info_proof_leads_to_the_published_root";
    let Some(cases) = cases::<ProofCase>(test, "l1-info-tree-proofs.json", 3) else {
        return;
    };
    for case in &cases {
        check_proof(&case.leaves, case.index, &case.proof, case.root);
    }
}

/// What one file of bridge leaves writes; the hash has several names, and the type is sometimes left out.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct BridgeLeaf {
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

#[test]
fn every_bridge_leaf_has_the_published_hash() {
    let test = "every_bridge_leaf_has_the_published_hash";
    if let Some(cases) = cases::<BridgeLeaf>(test, "mt-bridge/leaf-vectors.json", 3) {
        cases.iter().for_each(|case| {
            case.check();
        });
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct BridgeRootCase {
    index: usize,
    previous_leafs_values: Vec<B256>,
    current_root: B256,
    new_leaf: BridgeLeaf,
    new_root: B256,
}

#[test]
fn every_bridge_leaf_leads_to_the_published_root() {
    let test = "every_bridge_leaf_leads_to_the_published_root";
    let Some(cases) = cases::<BridgeRootCase>(test, "mt-bridge/root-vectors.json", 3) else {
        return;
    };
    for case in cases {
        let mut tree = tree(case.previous_leafs_values);
        assert_eq!(tree.root(), case.current_root, "{}", case.index);
        tree.append(case.new_leaf.check()).expect("room");
        assert_eq!(tree.root(), case.new_root, "{}", case.index);
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ClaimCase {
    /// Of the case, and of the leaf.
    index: u32,
    leafs: Vec<BridgeLeaf>,
    proof: Siblings,
    root: B256,
}

#[test]
fn every_claim_leads_to_the_published_root() {
    let test = "every_claim_leads_to_the_published_root";
    let Some(cases) = cases::<ClaimCase>(test, "mt-bridge/claim-vectors.json", 3) else {
        return;
    };
    for case in &cases {
        let leaves: Vec<_> = case.leafs.iter().map(BridgeLeaf::check).collect();
        check_proof(&leaves, case.index, &case.proof, case.root);
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct IndexCase {
    index: usize,
    index_local: U256,
    index_rollup: U256,
    is_mainnet: bool,
    expected_global_index: U256,
}

#[test]
fn every_global_index_is_the_published_one() {
    let test = "every_global_index_is_the_published_one";
    let Some(cases) = cases::<IndexCase>(test, "global-index.json", 6) else {
        return;
    };
    for case in &cases {
        let global = match case.is_mainnet {
            true => GlobalIndex::Mainnet { leaf: case.index_local.to() },
            false => GlobalIndex::Rollup { rollup: case.index_rollup.to(), leaf: case.index_local.to() },
        };
        assert_eq!(global.encode(), case.expected_global_index, "{}", case.index);
        assert_eq!(GlobalIndex::decode(case.expected_global_index), Some(global), "{}", case.index);
    }
}
