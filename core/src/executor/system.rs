//! What the protocol itself writes to the state, before the transactions and after them (`spec/execution.md` §5.2).

use super::{BatchContext, BlockModel, Invalid, Parent, PreparedInput, state::State};
use crate::{
    chain::ChainSpec,
    store::StoreError,
    tree::StateKey,
    types::{BatchKind, L1Info},
};
use alloy_primitives::{Address, B256, U256, keccak256};

/// Slot of the system contract: number of the block.
const NUMBER_SLOT: U256 = U256::ZERO;
/// Slot of the system contract: timestamp of the block.
const TIMESTAMP_SLOT: U256 = U256::from_limbs([2, 0, 0, 0]);
/// Slot of the system contract: root of the block info tree.
pub(crate) const BLOCK_INFO_ROOT_SLOT: U256 = U256::from_limbs([3, 0, 0, 0]);
/// Slot of the exit root manager: local exit root.
const LOCAL_EXIT_ROOT_SLOT: U256 = U256::ONE;

/// How a block opens.
#[derive(Debug)]
pub(super) struct Opening {
    pub(super) number: u64,
    pub(super) timestamp: u64,
    pub(super) coinbase: Address,
    /// Zero when the block brings in no L1 information.
    pub(super) global_exit_root: B256,
    /// What the exit root manager's map will say of it.
    pub(super) known_as: U256,
    model: BlockModel,
    /// The block was opened before: nothing is written, and the block info tree has no header.
    pub(super) open_already: bool,
}

impl Opening {
    /// Decides which L1 information the block brings in (`spec/execution.md` §5.3).
    pub(super) fn of(block: &PreparedInput, batch: &BatchContext<'_>) -> Result<Self, Invalid> {
        let model = batch.rules.block_model;
        let (global_exit_root, known_as) = match model {
            BlockModel::Transaction => (block.l1_info.global_exit_root, U256::from(block.timestamp)),
            BlockModel::L2Block if imports_l1_info(block, batch)? => {
                (block.l1_info.global_exit_root, block.l1_info.block_hash.into())
            }
            BlockModel::L2Block => (B256::ZERO, U256::ZERO),
        };
        let &PreparedInput { number, timestamp, coinbase, .. } = block;
        let open_already = batch.part.continues_block;
        Ok(Self { number, timestamp, coinbase, global_exit_root, known_as, model, open_already })
    }

    /// What is written before the transactions.
    pub(super) fn write(&self, state: &mut State<'_>, parent: &Parent) -> Result<(), StoreError> {
        if self.open_already {
            return Ok(());
        }
        if self.model == BlockModel::L2Block {
            state.write(State::state_root_slot(parent.number), parent.state_root.into())?;
            state.write(system_slot(NUMBER_SLOT), U256::from(self.number))?;
            let timestamp = U256::from(self.timestamp);
            if timestamp > state.read(system_slot(TIMESTAMP_SLOT))? {
                state.write(system_slot(TIMESTAMP_SLOT), timestamp)?;
            }
        }
        state.import_exit_root(self.global_exit_root, self.known_as)
    }
}

/// A block of a forced batch always brings L1 information in, another one when it refers to a leaf.
fn imports_l1_info(block: &PreparedInput, batch: &BatchContext<'_>) -> Result<bool, Invalid> {
    let L1Info { index, global_exit_root, block_hash, min_timestamp } = block.l1_info;
    match batch.kind {
        BatchKind::Forced | BatchKind::Injected => return Ok(true),
        BatchKind::Regular => {}
        BatchKind::Invalid => return Err(Invalid::BlockInInvalidBatch),
    }
    if index == 0 {
        return Ok(false);
    }
    let zero_leaf = global_exit_root.is_zero() && block_hash.is_zero() && min_timestamp == 0;
    if zero_leaf && batch.rules.refuses_zero_l1_info {
        return Err(Invalid::ZeroL1Info { index });
    }
    if block.timestamp < min_timestamp {
        return Err(Invalid::BeforeL1Info { timestamp: block.timestamp, min_timestamp });
    }
    Ok(true)
}

impl State<'_> {
    pub(super) fn write_block_info_root(&mut self, root: B256) -> Result<(), StoreError> {
        self.write(system_slot(BLOCK_INFO_ROOT_SLOT), root.into())
    }

    /// Closes a block of the first model: its number, and the state root that this gives. Returns that root.
    pub(super) fn write_transaction_block(&mut self, number: u64) -> Result<B256, StoreError> {
        self.write(system_slot(NUMBER_SLOT), U256::from(number))?;
        let root = self.intermediate_root()?;
        self.write(Self::state_root_slot(number), root.into())?;
        Ok(root)
    }

    /// Makes a global exit root known under a word that is not zero, unless the chain knows it already.
    pub(super) fn import_exit_root(
        &mut self,
        global_exit_root: B256,
        known_as: U256,
    ) -> Result<(), StoreError> {
        if global_exit_root.is_zero() {
            return Ok(());
        }
        let entry = exit_root_slot(global_exit_root);
        if self.read(entry)?.is_zero() {
            self.write(entry, known_as)?;
        }
        Ok(())
    }

    /// Number of the last block, as the system contract holds it.
    pub(super) fn block_number(&mut self) -> Result<U256, StoreError> {
        self.read(system_slot(NUMBER_SLOT))
    }

    /// Timestamp of the last block, as the system contract holds it.
    pub(super) fn block_timestamp(&mut self) -> Result<U256, StoreError> {
        self.read(system_slot(TIMESTAMP_SLOT))
    }

    /// The root of the bridge's exit tree, as the bridge last wrote it.
    pub fn local_exit_root(&mut self) -> Result<B256, StoreError> {
        Ok(self.read(StateKey::Storage(ChainSpec::EXIT_ROOT_MANAGER, LOCAL_EXIT_ROOT_SLOT))?.into())
    }

    /// The L1 block hash under which the chain knows a global exit root; zero when it does not know it.
    pub fn known_exit_root(&mut self, global_exit_root: B256) -> Result<B256, StoreError> {
        Ok(self.read(exit_root_slot(global_exit_root))?.into())
    }
}

/// The leaves that are there for the protocol alone, the same for each block.
pub(super) fn own_leaves() -> impl Iterator<Item = StateKey> {
    let exit_roots = [U256::ZERO, LOCAL_EXIT_ROOT_SLOT];
    let exit_roots = exit_roots.map(|slot| StateKey::Storage(ChainSpec::EXIT_ROOT_MANAGER, slot));
    (0..4).map(|slot| system_slot(U256::from(slot))).chain(exit_roots)
}

fn system_slot(slot: U256) -> StateKey {
    StateKey::Storage(ChainSpec::SYSTEM_CONTRACT, slot)
}

/// The entry of the exit root manager's map for a global exit root.
fn exit_root_slot(global_exit_root: B256) -> StateKey {
    let preimage = [global_exit_root, B256::ZERO].concat();
    StateKey::Storage(ChainSpec::EXIT_ROOT_MANAGER, keccak256(preimage).into())
}
