//! The state tree: Poseidon sparse Merkle tree.
mod goldilocks;
pub mod poseidon;
