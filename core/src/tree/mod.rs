//! The state tree: a sparse Merkle tree over Poseidon that commits to every balance, nonce, code and storage word.
//!
//! [`Smt`] reads and updates a tree of which only the root is known and whose nodes are in a [`crate::store::Store`],
//! each under its own digest. A leaf is found by its [`Path`], which is derived from its name: a [`StateKey`] in the
//! state tree, a [`BlockInfoKey`] in the tree that every block makes of its own results. A [`Proof`] shows one leaf,
//! or its absence, to somebody who knows the root only.
//!
//! ```
//! # use alloy_primitives::{Address, B256, U256};
//! use zk_replica_core::{store::Memory, tree::{Smt, StateKey}};
//!
//! let balance = StateKey::Balance(Address::ZERO).path();
//! let store = Memory::new();
//! let update = Smt::new(&store).update(B256::ZERO, [(balance, U256::from(5))])?;
//! let (root, leaf) = update.created[0];
//! assert_eq!(update.root, root, "a leaf that is alone is the root");
//! assert_eq!(B256::from(leaf.digest()), root);
//! # Ok::<(), zk_replica_core::store::StoreError>(())
//! ```
//!
//! The trees of L1 and of its bridge are of another kind: an [`AppendTree`] has its leaves side by side, under keccak.
//!
//! Which leaves there are and what is written to them is the executor's business.

mod digest;
mod keccak;
mod key;
mod node;
mod proof;
mod smt;

pub(crate) use digest::Position;
pub use digest::{Digest, NonCanonical, Path, hash_bytes, hash_value};
pub use keccak::{
    APPEND_TREE_DEPTH, AppendTree, ExitLeaf, GlobalIndex, L1InfoLeaf, TreeFull, global_exit_root,
};
pub use key::{BlockInfoKey, Paths, Preimage, StateKey};
pub use node::{Node, NodeError};
pub use proof::{Proof, ProofError};
pub use smt::{Smt, TreeUpdate};
pub use zk_replica_poseidon as poseidon;
