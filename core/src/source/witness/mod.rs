//! Parts of the state tree that somebody hands over, to execute blocks on without the rest of it.
//!
//! A [`Witness`] is a root and whatever of its tree is at hand, in a store that knows it is incomplete: what is not
//! there is [`crate::store::StoreError::Missing`], never zero. There are two forms of it: the bytes of
//! `zkevm_getWitness` ([`Witness::decode`], `spec/state-tree.md` §6.1), and the records in a prover's input
//! ([`Witness::from_entries`], §6.4). In both every digest is computed anew, so what a witness has under its root is
//! true of the state with that root; whether it is the right root is for the caller to compare. [`encode`] makes the
//! bytes.
//!
//! ```
//! # use alloy_primitives::{Address, B256, U256};
//! use zk_replica_core::{source::witness::Witness, tree::{Smt, StateKey}};
//!
//! let mut bytes = vec![0x01, 0x07, 0x00, 0x54];
//! bytes.extend([0xaa; 20]);
//! bytes.extend([0x41, 0x05]);
//! let witness = Witness::decode(&bytes)?;
//! let balance = StateKey::Balance(Address::repeat_byte(0xaa));
//! assert_eq!(Smt::new(witness.store()).get(witness.root(), &balance.path())?, U256::from(5));
//! assert_eq!(witness.encode()?, bytes);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod decode;
mod encode;
mod entries;

pub use decode::WitnessError;
pub use encode::{EncodeError, Extent, encode, encode_within};
pub use entries::EntryError;

use crate::{
    store::{Commit, Key, Memory},
    tree::{Digest, Node, StateKey},
};
use alloc::vec::Vec;
use alloy_primitives::{B256, Bytes, U256};

/// A part of a state tree, and the root that it belongs to.
#[derive(Clone, Debug)]
pub struct Witness {
    root: B256,
    store: Memory,
    keys: Vec<StateKey>,
    whole: bool,
}

impl Witness {
    /// Reads the bytes of `zkevm_getWitness`, all of them: a strict subset of what cdk-erigon's `turbo/trie/witness.go`
    /// can express, and exactly what [`encode`] makes.
    ///
    /// A witness of the version byte alone answers an empty request. It has the root of the empty tree.
    ///
    /// # Errors
    ///
    /// [`WitnessError`] at the first byte that cannot stand where it does.
    pub fn decode(bytes: &[u8]) -> Result<Self, WitnessError> {
        decode::decode(bytes)
    }

    /// Gathers the records of a prover's input: `db` as `nodes`, `contractsBytecode` as `codes`, each with the digest
    /// it claims to have.
    ///
    /// A tree node has twelve limbs: its two halves and `0, 0, 0, 0` (branch) or `1, 0, 0, 0` (leaf). A value has eight
    /// limbs of 32 bits, or these and a capacity of zeros. Whether the records make up one tree, or all of it, shows
    /// when it is read: where they do not, something is missing.
    ///
    /// # Errors
    ///
    /// [`EntryError`] for a root that cannot be one, and for a record that is malformed or has another digest.
    pub fn from_entries<L: AsRef<[u64]>>(
        root: B256,
        nodes: impl IntoIterator<Item = (B256, L)>,
        codes: impl IntoIterator<Item = (B256, Bytes)>,
    ) -> Result<Self, EntryError> {
        entries::gather(root, nodes, codes)
    }

    /// Writes everything that is at hand: what [`Witness::decode`] has read comes out as it was.
    ///
    /// # Errors
    ///
    /// Those of [`encode`]. A witness made of entries cannot name its leaves; [`encode`] can be given their names.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        encode(&self.store, self.root, &self.keys, Extent::AtHand)
    }

    /// The root of the tree.
    pub fn root(&self) -> B256 {
        self.root
    }

    /// The nodes, values and codes that are at hand. Updates may be written to it.
    pub fn store(&self) -> &Memory {
        &self.store
    }

    /// It is all of the state under its root, with every code. Of one that was made of entries that is not known.
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// All that is at hand, each by its own hash.
    pub(crate) fn into_records(self) -> impl Iterator<Item = (Key, Bytes)> {
        self.store.into_records()
    }

    /// The names of all leaves that were read, from left to right; none if the witness was made of entries.
    pub fn keys(&self) -> &[StateKey] {
        &self.keys
    }
}

/// The records of a witness, on their way into a store.
#[derive(Debug, Default)]
struct Records(Commit);

impl Records {
    fn node(&mut self, digest: Digest, node: &Node) {
        self.0.put(Key::Node(digest.into()), node.encode().into());
    }

    fn value(&mut self, hash: Digest, value: U256) {
        self.0.put(Key::Value(hash.into()), Bytes::from(value.to_be_bytes::<32>()));
    }

    fn code(&mut self, hash: B256, code: Bytes) {
        self.0.put(Key::Code(hash), code);
    }

    fn into_store(self) -> Memory {
        let store = Memory::partial();
        store.write(&self.0);
        store
    }
}

#[cfg(test)]
mod tests;
