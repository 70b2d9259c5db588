//! The state tree: Poseidon sparse Merkle tree.
pub mod poseidon;
