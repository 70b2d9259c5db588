//! Calls that nothing keeps: the EVM of a block on the state after it (`spec/rpc.md` §5).

use super::{Rules, evm::RollupEvm, state::State};
use crate::store::StoreError;
use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use alloy_primitives::{Address, B256, Bytes, Log, TxKind, U256};
use revm::{
    context::{
        BlockEnv, TxEnv,
        result::{EVMError, ExecutionResult, HaltReason, InvalidTransaction},
    },
    context_interface::transaction::{AccessList, AccessListItem},
};

/// Gas of a transaction that only moves value.
const TRANSFER_GAS: u64 = 21_000;
/// Gas that a call with value hands on for nothing: a search for a limit has to leave room for it.
const STIPEND: u64 = 2_300;

/// A message that somebody would send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Sender. It signs nothing, so it may be a contract.
    pub from: Address,
    /// Receiver, or creation of a contract.
    pub to: TxKind,
    /// Most gas it may use.
    pub gas_limit: u64,
    /// Price of gas, charged in full. With 0 the sender pays nothing.
    pub gas_price: u128,
    /// Wei sent along.
    pub value: U256,
    /// Input, or init code.
    pub input: Bytes,
    /// Addresses and their slots that are warm from the start (EIP-2930).
    pub access_list: Vec<(Address, Vec<B256>)>,
}

/// The block around a call.
#[derive(Clone, Copy, Debug)]
pub struct CallContext<'r> {
    /// What the fork prescribes.
    pub rules: &'r Rules,
    /// Chain id, as CHAINID returns it.
    pub chain_id: u64,
    /// Block number.
    pub number: u64,
    /// Seconds since the Unix epoch.
    pub timestamp: u64,
    /// Receiver of the fees.
    pub coinbase: Address,
    /// As GASLIMIT returns it.
    pub gas_limit: u64,
}

/// What came of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallResult {
    /// How it ended.
    pub outcome: CallOutcome,
    /// Gas used, refunds taken off.
    pub gas_used: u64,
    /// Gas returned at the end.
    pub gas_refunded: u64,
    /// What it logged, if it succeeded.
    pub logs: Vec<Log>,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallOutcome {
    /// It returned; for a creation, the code.
    Success(Bytes),
    /// It undid itself, and says why.
    Revert(Bytes),
    /// There was not enough gas.
    OutOfGas,
    /// It broke a rule of the EVM; in the words of geth, which clients look for.
    Halt(&'static str),
}

/// Why there is no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Nobody could send this; in the words of geth, which clients look for.
    #[error("{0}")]
    Refused(String),
    /// It failed at the most gas that it may use.
    #[error("the call fails")]
    Fails(CallOutcome),
    /// It needs more gas than it may use.
    #[error("gas required exceeds allowance ({0})")]
    Allowance(u64),
    /// The state could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl CallContext<'_> {
    /// Runs `call` on `state`, and changes nothing there.
    ///
    /// # Errors
    ///
    /// [`CallError::Refused`] when it cannot be sent, [`CallError::Store`] when the state is not at hand.
    pub fn call(&self, call: &Call, state: &mut State<'_>) -> Result<CallResult, CallError> {
        let mut evm = RollupEvm::for_calls(self.rules, self.chain_id, self.environment(), state);
        match evm.transact(transaction(call, self.chain_id)) {
            Ok((result, _)) => Ok(result.into()),
            Err(failed) => Err(error(call, failed)),
        }
    }

    /// The lowest gas limit, up to that of `call`, with which it succeeds: a first run with all of it, then a binary
    /// search.
    ///
    /// # Errors
    ///
    /// [`CallError::Fails`] or [`CallError::Allowance`] when it does not succeed with all of it; else those of
    /// [`CallContext::call`].
    pub fn estimate_gas(&self, call: &Call, state: &mut State<'_>) -> Result<u64, CallError> {
        let limit = self.affordable(call, state)?;
        if limit >= TRANSFER_GAS && is_transfer(call, state)? {
            let transfer = Call { gas_limit: TRANSFER_GAS, ..call.clone() };
            if self.succeeds(&transfer, state)? {
                return Ok(TRANSFER_GAS);
            }
        }
        let whole = match self.call(&Call { gas_limit: limit, ..call.clone() }, state) {
            Err(CallError::Refused(reason)) if reason.starts_with(INTRINSIC) => {
                return Err(CallError::Allowance(limit));
            }
            result => result?,
        };
        match whole.outcome {
            CallOutcome::Success(_) => {}
            CallOutcome::OutOfGas => return Err(CallError::Allowance(limit)),
            outcome => return Err(CallError::Fails(outcome)),
        }
        let (mut low, mut high) = (whole.gas_used.saturating_sub(1), limit);
        // All but a 64th is handed on to an inner call: a little more than what was used suffices as a rule.
        let spent = whole.gas_used.saturating_add(whole.gas_refunded).saturating_add(STIPEND);
        let mut guess = spent.saturating_add(spent / 63);
        while low.saturating_add(1) < high {
            let middle = if guess > low && guess < high { guess } else { low + (high - low) / 2 };
            guess = 0;
            if self.succeeds(&Call { gas_limit: middle, ..call.clone() }, state)? {
                high = middle;
            } else {
                low = middle;
            }
        }
        Ok(high)
    }

    /// The gas limit of `call`, or what its sender can pay for if that is less.
    fn affordable(&self, call: &Call, state: &mut State<'_>) -> Result<u64, CallError> {
        if call.gas_price == 0 {
            return Ok(call.gas_limit);
        }
        let balance = state.balance(call.from)?;
        let Some(left) = balance.checked_sub(call.value) else {
            return Err(CallError::Refused("insufficient funds for transfer".into()));
        };
        let paid_for: u64 = (left / U256::from(call.gas_price)).saturating_to();
        Ok(call.gas_limit.min(paid_for))
    }

    fn succeeds(&self, call: &Call, state: &mut State<'_>) -> Result<bool, CallError> {
        match self.call(call, state) {
            Ok(result) => Ok(matches!(result.outcome, CallOutcome::Success(_))),
            Err(CallError::Refused(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(super) fn environment(&self) -> BlockEnv {
        BlockEnv {
            number: U256::from(self.number),
            beneficiary: self.coinbase,
            timestamp: U256::from(self.timestamp),
            gas_limit: self.gas_limit,
            basefee: 0,
            difficulty: U256::ZERO,
            prevrandao: None,
            blob_excess_gas_and_price: None,
            slot_num: 0,
        }
    }
}

fn is_transfer(call: &Call, state: &mut State<'_>) -> Result<bool, StoreError> {
    match call.to {
        TxKind::Call(to) => {
            Ok(call.input.is_empty() && call.access_list.is_empty() && !state.has_code(to)?)
        }
        TxKind::Create => Ok(false),
    }
}

pub(super) fn transaction(call: &Call, chain_id: u64) -> TxEnv {
    let items = call.access_list.iter();
    let items =
        items.map(|(address, slots)| AccessListItem { address: *address, storage_keys: slots.clone() });
    TxEnv {
        tx_type: u8::from(!call.access_list.is_empty()),
        caller: call.from,
        gas_limit: call.gas_limit,
        gas_price: call.gas_price,
        kind: call.to,
        value: call.value,
        data: call.input.clone(),
        nonce: 0,
        chain_id: Some(chain_id),
        access_list: AccessList(items.collect()),
        gas_priority_fee: None,
        blob_hashes: Vec::new(),
        max_fee_per_blob_gas: 0,
        authorization_list: Vec::new(),
    }
}

impl From<ExecutionResult> for CallResult {
    fn from(result: ExecutionResult) -> Self {
        let (gas_used, gas_refunded) = (result.tx_gas_used(), result.gas().final_refunded());
        let (outcome, logs) = match result {
            ExecutionResult::Success { output, logs, .. } => (CallOutcome::Success(output.into_data()), logs),
            ExecutionResult::Revert { output, .. } => (CallOutcome::Revert(output), Vec::new()),
            ExecutionResult::Halt { reason, .. } => (halt(&reason), Vec::new()),
        };
        Self { outcome, gas_used, gas_refunded, logs }
    }
}

pub(super) fn halt(reason: &HaltReason) -> CallOutcome {
    CallOutcome::Halt(match reason {
        HaltReason::OutOfGas(_) => return CallOutcome::OutOfGas,
        HaltReason::OpcodeNotFound | HaltReason::NotActivated => "invalid opcode: not defined",
        HaltReason::InvalidFEOpcode => "invalid opcode: INVALID",
        HaltReason::InvalidJump => "invalid jump destination",
        HaltReason::StackUnderflow => "stack underflow",
        HaltReason::StackOverflow => "stack limit reached 1024 (1023)",
        HaltReason::OutOfOffset => "return data out of bounds",
        HaltReason::CreateCollision => "contract address collision",
        HaltReason::NonceOverflow => "nonce uint64 overflow",
        HaltReason::CreateContractSizeLimit => "max code size exceeded",
        HaltReason::CreateInitCodeSizeLimit => "max initcode size exceeded",
        HaltReason::CreateContractStartingWithEF => "invalid code: must not begin with 0xef",
        HaltReason::StateChangeDuringStaticCall | HaltReason::CallNotAllowedInsideStatic => {
            "write protection"
        }
        HaltReason::OutOfFunds | HaltReason::OverflowPayment => "insufficient balance for transfer",
        HaltReason::CallTooDeep => "max call depth exceeded",
        HaltReason::PrecompileError | HaltReason::PrecompileErrorWithContext(_) => "precompile failed",
    })
}

/// Why there is no result of `call`.
pub(super) fn error(call: &Call, error: EVMError<StoreError>) -> CallError {
    match error {
        EVMError::Database(error) => error.into(),
        EVMError::Transaction(error) => CallError::Refused(refusal(call, &error)),
        error => CallError::Refused(error.to_string()),
    }
}

/// How geth begins to say that a limit is below what any such transaction costs.
const INTRINSIC: &str = "intrinsic gas too low";

fn refusal(call: &Call, error: &InvalidTransaction) -> String {
    match error {
        InvalidTransaction::LackOfFundForMaxFee { fee, balance } => {
            let from = call.from;
            format!("insufficient funds for gas * price + value: address {from} have {balance} want {fee}")
        }
        InvalidTransaction::CallGasCostMoreThanGasLimit { initial_gas, gas_limit } => {
            format!("{INTRINSIC}: have {gas_limit}, want {initial_gas}")
        }
        InvalidTransaction::OverflowPaymentInTransaction => {
            "insufficient funds for gas * price + value".into()
        }
        InvalidTransaction::CreateInitCodeSizeLimit => "max initcode size exceeded".into(),
        other => other.to_string(),
    }
}
