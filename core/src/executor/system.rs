//! What the protocol itself writes to the state, before the transactions and after them (`spec/execution.md` §5.2).

use super::{BatchContext, Invalid, state::State};
use crate::{
    chain::ChainSpec,
    store::{Store, StoreError},
    tree::StateKey,
    types::{BatchKind, BlockInput, Head, L1Info},
};
use alloy_primitives::{B256, U256, keccak256};

/// Slot of the system contract: number of the block.
const NUMBER_SLOT: U256 = U256::ZERO;
/// Slot of the system contract: timestamp of the block.
const TIMESTAMP_SLOT: U256 = U256::from_limbs([2, 0, 0, 0]);
/// Slot of the system contract: root of the block info tree.
const BLOCK_INFO_ROOT_SLOT: U256 = U256::from_limbs([3, 0, 0, 0]);
/// Slot of the exit root manager: local exit root.
const LOCAL_EXIT_ROOT_SLOT: U256 = U256::ONE;

/// How a block opens.
#[derive(Debug)]
pub(super) struct Opening {
    pub(super) number: u64,
    pub(super) timestamp: u64,
    /// Zero when the block brings in no L1 information.
    pub(super) global_exit_root: B256,
    /// Zero when the block brings in no L1 information.
    pub(super) l1_block_hash: B256,
}

impl Opening {
    /// Decides which L1 information the block brings in (`spec/execution.md` §5.3).
    pub(super) fn of(input: &BlockInput, batch: &BatchContext) -> Result<Self, Invalid> {
        let L1Info { index, global_exit_root, block_hash, min_timestamp } = input.l1_info;
        let imports = match batch.kind {
            BatchKind::Forced | BatchKind::Injected => true,
            BatchKind::Regular => index != 0,
            BatchKind::Invalid => return Err(Invalid::BlockInInvalidBatch),
        };
        if batch.kind == BatchKind::Regular && imports {
            let zero_leaf = global_exit_root.is_zero() && block_hash.is_zero() && min_timestamp == 0;
            if zero_leaf && batch.rules.refuses_zero_l1_info {
                return Err(Invalid::ZeroL1Info { index });
            }
            if input.timestamp < min_timestamp {
                return Err(Invalid::BeforeL1Info { timestamp: input.timestamp, min_timestamp });
            }
        }
        let imported = |word| if imports { word } else { B256::ZERO };
        Ok(Self {
            number: input.number,
            timestamp: input.timestamp,
            global_exit_root: imported(global_exit_root),
            l1_block_hash: imported(block_hash),
        })
    }

    pub(super) fn write<S: Store>(&self, state: &mut State<'_, S>, parent: &Head) -> Result<(), StoreError> {
        state.write(State::<S>::state_root_slot(parent.number), parent.state_root.into())?;
        state.write(system_slot(NUMBER_SLOT), U256::from(self.number))?;
        let timestamp = U256::from(self.timestamp);
        if timestamp > state.read(system_slot(TIMESTAMP_SLOT))? {
            state.write(system_slot(TIMESTAMP_SLOT), timestamp)?;
        }
        if !self.global_exit_root.is_zero() {
            let entry = exit_root_slot(self.global_exit_root);
            if state.read(entry)?.is_zero() {
                state.write(entry, self.l1_block_hash.into())?;
            }
        }
        Ok(())
    }
}

impl<S: Store> State<'_, S> {
    pub(super) fn write_block_info_root(&mut self, root: B256) -> Result<(), StoreError> {
        self.write(system_slot(BLOCK_INFO_ROOT_SLOT), root.into())
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

fn system_slot(slot: U256) -> StateKey {
    StateKey::Storage(ChainSpec::SYSTEM_CONTRACT, slot)
}

/// The entry of the exit root manager's map for a global exit root.
fn exit_root_slot(global_exit_root: B256) -> StateKey {
    let preimage = [global_exit_root, B256::ZERO].concat();
    StateKey::Storage(ChainSpec::EXIT_ROOT_MANAGER, keccak256(preimage).into())
}
