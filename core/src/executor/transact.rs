use super::{
    BatchContext, PreparedInput, PreparedTransaction, ReceiptOutcome, evm::RollupEvm,
    fee::effective_gas_price, state::State, system::Opening,
};
use crate::{
    store::StoreError,
    types::{Receipt, TransactionError},
};
use alloc::{
    string::{String, ToString},
    vec::Vec,
};
use alloy_primitives::{B256, TxKind, U256};
use revm::context::{
    BlockEnv, TxEnv,
    result::{EVMError, ExecutionResult},
};

/// A transaction that did not run. The protocol passes over it: it leaves no trace in the state, and cannot stand in a
/// block (`spec/execution.md` §4.3).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("transaction {index} cannot run: {reason}")]
pub struct Skipped {
    /// Position among the transactions, from 0.
    pub index: usize,
    /// Why it did not run.
    pub reason: Unrunnable,
}

/// Why a transaction does not run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unrunnable {
    /// Nobody signed it.
    #[error(transparent)]
    Unsigned(#[from] TransactionError),
    /// It fails a check that needs the state.
    #[error("{0}")]
    Refused(String),
}

/// A transaction that ran.
pub(super) struct Executed<'b> {
    pub(super) transaction: &'b PreparedTransaction,
    pub(super) receipt: Receipt,
    /// The status in the block info tree.
    pub(super) status: bool,
    /// The state root after it, in forks whose receipts hold one.
    pub(super) state_root: Option<B256>,
}

/// Runs the transactions of a block, one on the state that the other left.
pub(super) fn run_all<'b>(
    block: &'b PreparedInput,
    batch: &BatchContext<'_>,
    opening: &Opening,
    state: &mut State<'_>,
) -> Result<(Vec<Executed<'b>>, Vec<Skipped>), StoreError> {
    let (mut executed, mut skipped) = (Vec::with_capacity(block.transactions.len()), Vec::new());
    if block.transactions.is_empty() {
        return Ok((executed, skipped));
    }
    let rules = batch.rules;
    let mut evm = RollupEvm::new(rules, batch.chain_id, environment(batch, opening), state);
    let mut cumulative_gas_used = 0;
    for (index, transaction) in block.transactions.iter().enumerate() {
        let transaction = match transaction {
            Ok(transaction) => transaction,
            Err(error) => {
                skipped.push(Skipped { index, reason: error.clone().into() });
                continue;
            }
        };
        let (result, accounts) = match evm.transact(transaction_environment(transaction)) {
            Ok(transacted) => transacted,
            Err(EVMError::Database(error)) => return Err(error),
            Err(error) => {
                skipped.push(Skipped { index, reason: Unrunnable::Refused(error.to_string()) });
                continue;
            }
        };
        evm.state().apply(accounts)?;
        let state_root = match rules.receipt_outcome {
            ReceiptOutcome::TransactionStateRoot => Some(evm.state().intermediate_root()?),
            ReceiptOutcome::BlockStateRoot | ReceiptOutcome::Status => None,
        };
        let gas_used = result.tx_gas_used();
        cumulative_gas_used += gas_used;
        let (success, logs) = match result {
            ExecutionResult::Success { logs, .. } => (true, logs),
            // What a failed transaction logged is undone with the rest.
            ExecutionResult::Revert { .. } | ExecutionResult::Halt { .. } => (false, Vec::new()),
        };
        let receipt = Receipt { success, gas_used, cumulative_gas_used, logs };
        let status = success || (rules.unsupported_precompile_succeeds && to_unsupported(transaction, batch));
        executed.push(Executed { transaction, receipt, status, state_root });
    }
    Ok((executed, skipped))
}

/// The transaction calls a precompile that does not run.
fn to_unsupported(transaction: &PreparedTransaction, batch: &BatchContext<'_>) -> bool {
    match transaction.transaction().fields().to {
        TxKind::Call(to) => batch.rules.is_unsupported_precompile(to),
        TxKind::Create => false,
    }
}

pub(super) fn environment(batch: &BatchContext<'_>, opening: &Opening) -> BlockEnv {
    BlockEnv {
        number: U256::from(opening.number),
        beneficiary: opening.coinbase,
        timestamp: U256::from(opening.timestamp),
        gas_limit: batch.rules.block_gas_limit,
        // No base fee: the whole price goes to the sequencer. DIFFICULTY gives 0.
        basefee: 0,
        difficulty: U256::ZERO,
        prevrandao: None,
        blob_excess_gas_and_price: None,
        slot_num: 0,
    }
}

pub(super) fn transaction_environment(prepared: &PreparedTransaction) -> TxEnv {
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
