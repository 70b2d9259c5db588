use super::{
    BatchContext, ExecuteError, PreparedBlock, PreparedTransaction,
    fee::effective_gas_price,
    opcodes::{BASE, Surroundings, instructions},
    precompiles::Precompiles,
    state::State,
    system::Opening,
};
use crate::{
    store::{Store, StoreError},
    types::{Receipt, TransactionError},
};
use alloc::{
    string::{String, ToString},
    vec::Vec,
};
use alloy_primitives::U256;
use revm::{
    Context, ExecuteEvm,
    context::result::{EVMError, ExecutionResult},
    context::{BlockEnv, CfgEnv, Evm, TxEnv},
    context_interface::cfg::GasParams,
    handler::{EthFrame, instructions::EthInstructions},
    interpreter::interpreter::EthInterpreter,
    primitives::hardfork::SpecId,
};

/// Why no honest sequencer made a block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Bytes in the place of a transaction.
    #[error("transaction {index}: {reason}")]
    Undecodable {
        /// Position in the block, from 0.
        index: usize,
        /// What is wrong with the bytes.
        reason: TransactionError,
    },
    /// A transaction that the protocol skips: it leaves no trace, and so cannot stand in a block
    /// (`spec/execution.md` §4.3).
    #[error("transaction {index} cannot run: {reason}")]
    Unrunnable {
        /// Position in the block, from 0.
        index: usize,
        /// Which check it fails.
        reason: String,
    },
    /// A regular block refers to an L1 info leaf of zeros, which makes its batch invalid.
    #[error("L1 info leaf {index} is all zero")]
    ZeroL1Info {
        /// Index of the leaf.
        index: u32,
    },
    /// A block is older than the L1 information it uses.
    #[error("timestamp {timestamp} is before {min_timestamp}, the earliest for its L1 info leaf")]
    BeforeL1Info {
        /// Of the block.
        timestamp: u64,
        /// Of the leaf.
        min_timestamp: u64,
    },
    /// An invalid batch has no blocks.
    #[error("a block in an invalid batch")]
    BlockInInvalidBatch,
}

type RollupEvm<'a, 's, S> = Evm<
    Surroundings<'a, 's, S>,
    (),
    EthInstructions<EthInterpreter, Surroundings<'a, 's, S>>,
    Precompiles,
    EthFrame<EthInterpreter>,
>;

/// Runs the transactions of a block, one on the state that the other left.
pub(super) fn run_all<S: Store>(
    block: &PreparedBlock,
    batch: &BatchContext,
    opening: &Opening,
    state: &mut State<'_, S>,
) -> Result<Vec<Receipt>, ExecuteError> {
    let mut receipts = Vec::with_capacity(block.transactions().len());
    let mut cumulative_gas_used = 0;
    for (index, transaction) in block.transactions().iter().enumerate() {
        let transaction =
            transaction.as_ref().map_err(|reason| Invalid::Undecodable { index, reason: reason.clone() })?;
        let outcome = evm(block, batch, opening, state).transact(environment(transaction));
        let outcome = outcome.map_err(|error| failure(index, error))?;
        state.apply(outcome.state)?;

        let gas_used = outcome.result.tx_gas_used();
        cumulative_gas_used += gas_used;
        let (success, logs) = match outcome.result {
            ExecutionResult::Success { logs, .. } => (true, logs),
            // What a failed transaction logged is undone with the rest.
            ExecutionResult::Revert { .. } | ExecutionResult::Halt { .. } => (false, Vec::new()),
        };
        receipts.push(Receipt { success, gas_used, cumulative_gas_used, logs });
    }
    Ok(receipts)
}

/// An EVM of this block on `state`.
fn evm<'a, 's, S: Store>(
    block: &PreparedBlock,
    batch: &BatchContext,
    opening: &Opening,
    state: &'a mut State<'s, S>,
) -> RollupEvm<'a, 's, S> {
    let mut cfg = CfgEnv::new_with_spec(BASE);
    cfg.chain_id = batch.chain_id;
    cfg.tx_gas_limit_cap = Some(batch.rules.transaction_gas_limit);
    // Berlin's refunds: London's EIP-3529 is not active.
    cfg.gas_params = GasParams::new_spec(SpecId::BERLIN);
    let mut context: Surroundings<'a, 's, S> = Context::new(state, BASE);
    context.cfg = cfg;
    context.block = BlockEnv {
        number: U256::from(opening.number),
        beneficiary: block.input().coinbase,
        timestamp: U256::from(opening.timestamp),
        gas_limit: batch.rules.block_gas_limit,
        // No base fee: the whole price goes to the sequencer. DIFFICULTY gives 0.
        basefee: 0,
        difficulty: U256::ZERO,
        prevrandao: None,
        blob_excess_gas_and_price: None,
        slot_num: 0,
    };
    Evm::new(context, instructions(), Precompiles::of(batch.rules))
}

fn environment(prepared: &PreparedTransaction) -> TxEnv {
    let (transaction, fields) = (prepared.transaction(), prepared.transaction().fields());
    TxEnv {
        tx_type: 0,
        caller: transaction.sender(),
        gas_limit: fields.gas_limit,
        gas_price: effective_gas_price(fields.gas_price, transaction.effective_percentage()),
        kind: fields.to,
        value: fields.value,
        data: fields.input.clone(),
        nonce: fields.nonce,
        chain_id: fields.chain_id,
        access_list: Default::default(),
        gas_priority_fee: None,
        blob_hashes: Vec::new(),
        max_fee_per_blob_gas: 0,
        authorization_list: Vec::new(),
    }
}

fn failure(index: usize, error: EVMError<StoreError>) -> ExecuteError {
    match error {
        EVMError::Database(error) => error.into(),
        error => Invalid::Unrunnable { index, reason: error.to_string() }.into(),
    }
}
