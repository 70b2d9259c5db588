//! The state after one block as a file, from which a replica goes on without the blocks before.
//!
//! Whoever takes a snapshot need not be trusted: who begins from it knows the block by its [`Checkpoint`], and
//! everything in the file either hashes to what the checkpoint says or the file is refused. Two numbers are the file's word,
//! as no hash covers them: the batch that the block is in, and the fork of that batch. A fork named in the chain
//! specification is held against it; the rest shows with the first block behind.
//!
//! ```text
//! file    "zkr-snap" (8 bytes), then RLP: [version = 1, chain id, header, batch, fork id, witness]
//! ```
//!
//! The witness is the whole state with every code, in the form of `zkevm_getWitness` (`spec/state-tree.md` §6.1).

use crate::{
    chain::ChainSpec,
    checkpoint::Checkpoint,
    executor::BLOCK_INFO_ROOT_SLOT,
    source::witness::{EncodeError, Extent, Witness, WitnessError, encode_within},
    store::{Commit, Key, Store, StoreError, need_block},
    tree::{Paths, Smt, StateKey},
    types::BlockRecord,
};
use alloc::{
    boxed::Box,
    format,
    string::{String, ToString},
    vec::Vec,
};
use alloy_consensus::Header;
use alloy_primitives::{B256, Bytes};
use alloy_rlp::{Decodable, RlpDecodable, RlpEncodable};

const MAGIC: &[u8; 8] = b"zkr-snap";
const VERSION: u8 = 1;

/// Behind the magic.
#[derive(RlpDecodable, RlpEncodable)]
struct Content {
    version: u8,
    chain_id: u64,
    header: Header,
    batch: u64,
    fork_id: u64,
    witness: Bytes,
}

/// Why no snapshot was taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TakeError {
    /// The block is not at hand.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The state after the block cannot be written as a witness.
    #[error("the state after the block: {0}")]
    State(#[from] EncodeError),
}

/// Why a file is not the snapshot that was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// It does not begin as one.
    #[error("not a snapshot: it does not begin with \"zkr-snap\"")]
    Magic,
    /// It is cut off, or was altered.
    #[error("the snapshot is damaged: {0}")]
    Damaged(String),
    /// Another version.
    #[error("the snapshot has version {0}, this program reads version 1")]
    Version(u8),
    /// Another chain.
    #[error("the snapshot is of chain {found}, not {expected}")]
    Chain {
        /// That of the file.
        found: u64,
        /// That of the chain specification.
        expected: u64,
    },
    /// Another block than the checkpoint's.
    #[error("the snapshot is of block {found}, not {expected}")]
    Block {
        /// That of the file.
        found: Box<Checkpoint>,
        /// The one that was expected.
        expected: Box<Checkpoint>,
    },
    /// Another fork than the chain specification has for the batch.
    #[error("the snapshot says fork {found} for batch {batch}, the chain has fork {expected}")]
    Fork {
        /// The batch's number.
        batch: u64,
        /// That of the file.
        found: u64,
        /// That of the chain specification.
        expected: u64,
    },
    /// The state is not one.
    #[error("the snapshot's state: {0}")]
    Witness(#[from] WitnessError),
    /// The state hashes to something else.
    #[error("the snapshot's state has root {found}, not {expected}")]
    StateRoot {
        /// That of the file's state.
        found: B256,
        /// The checkpoint's.
        expected: B256,
    },
    /// Not all of the state is there.
    #[error("the snapshot has not all of the state")]
    Incomplete,
}

/// The state after the block with this number, as a file of at most `limit` bytes.
///
/// The store must have names for the leaves, as that of a verified chain has.
///
/// # Errors
///
/// [`TakeError`] when the block or its state is not at hand, or there is more of it than that.
pub fn take(
    store: &dyn Store,
    chain_id: u64,
    block: u64,
    limit: usize,
) -> Result<(Checkpoint, Vec<u8>), TakeError> {
    let BlockRecord { header, batch, fork_id, .. } = need_block(store, block)?;
    let checkpoint = Checkpoint { number: block, hash: header.hash_slow(), state_root: header.state_root };
    let witness = encode_within(limit, store, header.state_root, &[], Extent::Full)?.into();
    let mut file = MAGIC.to_vec();
    let content = Content { version: VERSION, chain_id, header, batch, fork_id, witness };
    alloy_rlp::Encodable::encode(&content, &mut file);
    Ok((checkpoint, file))
}

/// What is to be stored so that a replica goes on behind the checkpoint's block, with the whole state.
///
/// # Errors
///
/// [`SnapshotError`] unless the file is the state after just that block.
pub fn restore(file: &[u8], spec: &ChainSpec, checkpoint: &Checkpoint) -> Result<Commit, SnapshotError> {
    let mut rest = file.strip_prefix(MAGIC).ok_or(SnapshotError::Magic)?;
    let content = Content::decode(&mut rest).map_err(|error| SnapshotError::Damaged(error.to_string()))?;
    if !rest.is_empty() {
        return Err(SnapshotError::Damaged(format!("{} bytes behind its end", rest.len())));
    }
    let Content { version, chain_id, header, batch, fork_id, witness } = content;
    if version != VERSION {
        return Err(SnapshotError::Version(version));
    }
    if chain_id != spec.chain_id {
        return Err(SnapshotError::Chain { found: chain_id, expected: spec.chain_id });
    }
    if !checkpoint.names(&header) {
        let (number, hash, state_root) = (header.number, header.hash_slow(), header.state_root);
        let found = Box::new(Checkpoint { number, hash, state_root });
        return Err(SnapshotError::Block { found, expected: Box::new(*checkpoint) });
    }
    if let Some(fork) = spec.forks.fork_of(batch)
        && fork.number() != fork_id
    {
        return Err(SnapshotError::Fork { batch, found: fork_id, expected: fork.number() });
    }

    let state = Witness::decode(&witness)?;
    let (found, expected) = (state.root(), checkpoint.state_root);
    if found != expected {
        return Err(SnapshotError::StateRoot { found, expected });
    }
    if !state.is_whole() {
        return Err(SnapshotError::Incomplete);
    }
    let slot = StateKey::Storage(ChainSpec::SYSTEM_CONTRACT, BLOCK_INFO_ROOT_SLOT);
    let mut paths = Paths::new();
    let tree = Smt::new(state.store());
    let block_info_root = tree.get(expected, &paths.path(slot)).map_err(|_| SnapshotError::Incomplete)?;

    let mut commit = Commit::default();
    for key in state.keys() {
        commit.put(Key::LeafName(paths.path(*key).into()), key.encode().into());
    }
    state.into_records().for_each(|(key, record)| commit.put(key, record));
    commit.append(Checkpoint::commit(header, batch, fork_id, block_info_root.into()));
    Ok(commit)
}
