//! Traces: a transaction or a call is run once more, and what it does is recorded (`spec/rpc.md` §3.4).
//!
//! The forms are geth's (`eth/tracers`), the EVM is the rollup's: contracts that send all (SELFDESTRUCT) appear as they
//! do there, though nothing is destroyed. What is recorded is bounded while it is recorded.

mod calls;
mod prestate;
mod recorder;
mod steps;
mod watched;

pub use calls::{CallFrame, CallLog, CallsConfig};
pub use prestate::{AccountTrace, PrestateConfig, PrestateTrace};
pub use steps::{Step, StepTrace, StepsConfig};

use super::{
    BatchContext, Call, CallContext, CallError, CallOutcome, Invalid, Parent, PreparedInput, call,
    evm::RollupEvm,
    state::State,
    system::Opening,
    transact::{environment, transaction_environment},
};
use crate::store::StoreError;
use alloc::{
    collections::BTreeMap,
    string::{String, ToString},
    vec::Vec,
};
use recorder::Recorder;
use revm::{
    context::{
        TxEnv,
        result::{EVMError, ExecutionResult, HaltReason},
    },
    interpreter::{InstructionResult, SuccessOrHalt},
};
use serde::Serialize;

/// What is to be recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tracer {
    /// Every instruction (geth's struct logger).
    Steps(StepsConfig),
    /// The tree of calls (`callTracer`).
    Calls(CallsConfig),
    /// The accounts that were looked at (`prestateTracer`).
    Prestate(PrestateConfig),
    /// How often which function was called (`4byteTracer`).
    FourByte,
    /// Nothing (`noopTracer`).
    Noop,
    /// Several at once, by name (`muxTracer`). One among them that is such a list records nothing.
    Mux(Vec<(String, Self)>),
}

/// What was recorded, as it is served.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Trace {
    /// Of [`Tracer::Steps`].
    Steps(StepTrace),
    /// Of [`Tracer::Calls`].
    Calls(CallFrame),
    /// Of [`Tracer::Prestate`].
    Prestate(PrestateTrace),
    /// Of [`Tracer::FourByte`]: `selector-length` and how often; of [`Tracer::Noop`] nothing.
    Counts(BTreeMap<String, u64>),
    /// Of [`Tracer::Mux`].
    Mux(BTreeMap<String, Self>),
}

/// A transaction that was run once more.
#[derive(Clone, Debug)]
pub struct Traced {
    /// Position in its block.
    pub index: usize,
    /// It did not fail.
    pub success: bool,
    /// Gas used, refunds taken off.
    pub gas_used: u64,
    /// What was recorded.
    pub trace: Trace,
    /// How much of the budget is left after it.
    pub budget_left: usize,
}

/// Why there is no trace.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// What was recorded became larger than allowed.
    #[error("trace too large")]
    TooLarge,
    /// The block breaks a rule.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// A transaction of the block does not run on this state.
    #[error("transaction {index} cannot run: {reason}")]
    Unrunnable {
        /// Position in its block.
        index: usize,
        /// Why.
        reason: String,
    },
    /// The call cannot be made.
    #[error(transparent)]
    Call(#[from] CallError),
}

impl From<StoreError> for TraceError {
    fn from(error: StoreError) -> Self {
        Self::Call(error.into())
    }
}

/// Which transactions of a block are recorded, and how.
#[derive(Clone, Copy, Debug)]
pub struct TraceRequest<'t> {
    /// What is recorded.
    pub tracer: &'t Tracer,
    /// Only this one, and nothing is run after it; otherwise all.
    pub only: Option<usize>,
    /// About how many bytes the records of all of them may take.
    pub budget: usize,
}

/// Runs the transactions of a block on `state`, which is that after `parent`, and records what they do. Whether they do
/// what the chain says is for the caller to compare.
///
/// # Errors
///
/// [`TraceError::TooLarge`] beyond the budget; others when the block does not run on this state, or the state is not at
/// hand.
pub fn trace_block(
    block: &PreparedInput,
    batch: &BatchContext<'_>,
    parent: Parent,
    state: &mut State<'_>,
    request: &TraceRequest<'_>,
) -> Result<Vec<Traced>, TraceError> {
    let opening = Opening::of(block, batch)?;
    opening.write(state, &parent)?;
    let mut evm = RollupEvm::new(batch.rules, batch.chain_id, environment(batch, &opening), state);
    let (mut traces, mut budget, mut logs) = (Vec::new(), request.budget, 0);
    for (index, prepared) in block.transactions.iter().enumerate() {
        let unrunnable = |reason| TraceError::Unrunnable { index, reason };
        let prepared = prepared.as_ref().map_err(|error| unrunnable(error.to_string()))?;
        let environment = transaction_environment(prepared);
        let wanted = request.only.is_none_or(|only| only == index);
        let (result, accounts) = if wanted {
            let mut recorder = Recorder::new(request.tracer, budget, logs);
            let result = evm.inspect(environment.clone(), &mut recorder);
            if recorder.is_full() {
                return Err(TraceError::TooLarge);
            }
            let (result, accounts) = result.map_err(|error| failed(error, unrunnable))?;
            let trace = recorder.finish(&environment, &result, &accounts, evm.state())?;
            budget = recorder.left();
            let (success, gas_used) = (result.is_success(), result.tx_gas_used());
            traces.push(Traced { index, success, gas_used, trace, budget_left: budget });
            (result, accounts)
        } else {
            evm.transact(environment).map_err(|error| failed(error, unrunnable))?
        };
        if request.only == Some(index) {
            break;
        }
        logs += result.logs().len() as u64;
        evm.state().apply(accounts)?;
    }
    Ok(traces)
}

fn failed(error: EVMError<StoreError>, refused: impl FnOnce(String) -> TraceError) -> TraceError {
    match error {
        EVMError::Database(error) => error.into(),
        error => refused(error.to_string()),
    }
}

impl CallContext<'_> {
    /// Runs `call` on `state`, changes nothing there, and records what it does.
    ///
    /// # Errors
    ///
    /// [`TraceError::TooLarge`] beyond `budget` bytes, else those of [`CallContext::call`].
    pub fn trace(
        &self,
        call: &Call,
        state: &mut State<'_>,
        tracer: &Tracer,
        budget: usize,
    ) -> Result<Trace, TraceError> {
        let mut evm = RollupEvm::for_calls(self.rules, self.chain_id, self.environment(), state);
        let mut recorder = Recorder::new(tracer, budget, 0);
        let environment = call::transaction(call, self.chain_id);
        let result = evm.inspect(environment.clone(), &mut recorder);
        if recorder.is_full() {
            return Err(TraceError::TooLarge);
        }
        let (result, accounts) = result.map_err(|error| call::error(call, error))?;
        recorder.finish(&environment, &result, &accounts, evm.state())
    }
}

/// What stopped an instruction or a call, in the words of geth; `None` if nothing did, or it undid itself.
fn fault(result: InstructionResult) -> Option<&'static str> {
    match SuccessOrHalt::<HaltReason>::from(result) {
        SuccessOrHalt::Success(_) | SuccessOrHalt::Revert => None,
        SuccessOrHalt::Halt(reason) => match call::halt(&reason) {
            CallOutcome::Halt(reason) => Some(reason),
            _ => Some("out of gas"),
        },
        SuccessOrHalt::FatalExternalError | SuccessOrHalt::Internal(_) => Some("internal failure"),
    }
}

/// What a tracer may be told at the end.
struct Ended<'e> {
    transaction: &'e TxEnv,
    result: &'e ExecutionResult,
}
