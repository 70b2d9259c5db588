use super::{super::opcodes::Surroundings, Ended, fault, recorder::Budget};
use alloc::{string::String, vec::Vec};
use alloy_primitives::{Address, B256, Bytes, Log, U64, U256};
use revm::{
    bytecode::opcode,
    context_interface::CreateScheme,
    interpreter::{
        CallInputs, CallScheme, CreateInputs, Interpreter, InterpreterAction, InterpreterResult,
        interpreter_types::{InputsTr, Jumps, LoopControl},
    },
};
use serde::Serialize;

/// What of calls is recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallsConfig {
    /// Only the transaction's own call.
    pub only_top_call: bool,
    /// With the logs that stayed.
    pub with_log: bool,
}

/// A call, and the calls in it.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CallFrame {
    /// Name of the instruction.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Who calls.
    pub from: Address,
    /// Whose code runs; a new contract's address; none when none came to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Address>,
    /// Wei, where the instruction has any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<U256>,
    /// Gas given.
    pub gas: U64,
    /// Gas used; of the transaction, refunds taken off.
    pub gas_used: U64,
    /// Input, or init code.
    pub input: Bytes,
    /// Output, or the code deployed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Bytes>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'static str>,
    /// What the output of a revert means; for whoever serves the trace to fill in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revert_reason: Option<String>,
    /// In order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<CallFrame>,
    /// In order, without those of calls in it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub logs: Vec<CallLog>,
}

/// A log of a call.
#[derive(Clone, Debug, Serialize)]
pub struct CallLog {
    /// Who logged.
    pub address: Address,
    /// Its topics.
    pub topics: Vec<B256>,
    /// Its data.
    pub data: Bytes,
    /// Position among the logs of the block, as far as it was then.
    pub index: U64,
    /// How many calls came before it in its call.
    pub position: U64,
}

/// Watches calls.
pub(super) struct Calls {
    config: CallsConfig,
    logs_before: u64,
    /// The calls that are under way; under them one that takes up the root.
    open: Vec<CallFrame>,
    /// How many calls deeper than those are under way.
    unrecorded: usize,
    sending: Option<CallFrame>,
}

/// About what a call takes beside its input and output.
const FRAME: usize = 400;

impl Calls {
    pub(super) fn new(config: CallsConfig, logs_before: u64) -> Self {
        Self { config, logs_before, open: Vec::from([CallFrame::default()]), unrecorded: 0, sending: None }
    }

    fn records(&self) -> bool {
        !self.config.only_top_call || self.open.len() == 1
    }

    fn begin(&mut self, frame: CallFrame, budget: &mut Budget) {
        if self.records() && budget.take(FRAME + 2 * frame.input.len()) {
            self.open.push(frame);
        } else {
            self.unrecorded += 1;
        }
    }

    pub(super) fn call(&mut self, inputs: &CallInputs, context: &Surroundings<'_, '_>, budget: &mut Budget) {
        if !self.records() {
            self.unrecorded += 1;
            return;
        }
        let (kind, from) = match inputs.scheme {
            CallScheme::Call => ("CALL", inputs.caller),
            CallScheme::CallCode => ("CALLCODE", inputs.caller),
            CallScheme::DelegateCall => ("DELEGATECALL", inputs.target_address),
            CallScheme::StaticCall => ("STATICCALL", inputs.caller),
        };
        let frame = CallFrame {
            kind,
            from,
            to: Some(inputs.bytecode_address),
            value: (inputs.scheme != CallScheme::StaticCall).then(|| inputs.call_value()),
            gas: U64::from(inputs.gas_limit),
            input: inputs.input.bytes(context),
            ..CallFrame::default()
        };
        self.begin(frame, budget);
    }

    pub(super) fn create(&mut self, inputs: &CreateInputs, budget: &mut Budget) {
        let frame = CallFrame {
            kind: match inputs.scheme() {
                CreateScheme::Create2 { .. } => "CREATE2",
                CreateScheme::Create | CreateScheme::Custom { .. } => "CREATE",
            },
            from: inputs.caller(),
            value: Some(inputs.value()),
            gas: U64::from(inputs.gas_limit()),
            input: inputs.init_code().clone(),
            ..CallFrame::default()
        };
        self.begin(frame, budget);
    }

    /// The innermost call has ended; `created` is the contract that it made.
    pub(super) fn end(&mut self, result: &InterpreterResult, created: Option<Address>, budget: &mut Budget) {
        if self.unrecorded > 0 {
            self.unrecorded -= 1;
            return;
        }
        if self.open.len() < 2 {
            return;
        }
        let Some(mut frame) = self.open.pop() else {
            return;
        };
        let returned = result.result.is_ok_or_revert();
        frame.gas_used = if returned { U64::from(result.gas.total_gas_spent()) } else { frame.gas };
        frame.error = failure(result);
        if frame.error.is_none() {
            frame.to = frame.to.or(created);
        }
        if returned
            && !(result.output.is_empty() && frame.error.is_some())
            && budget.take(2 * result.output.len())
        {
            frame.output = Some(result.output.clone());
        }
        if let Some(outer) = self.open.last_mut() {
            outer.calls.push(frame);
        }
    }

    pub(super) fn log(&mut self, log: &Log, count: usize, budget: &mut Budget) {
        let is_recorded = self.config.with_log && self.unrecorded == 0;
        if !is_recorded || !budget.take(FRAME + 2 * log.data.data.len()) {
            return;
        }
        let index = U64::from(self.logs_before + (count as u64).saturating_sub(1));
        if let Some(frame) = self.open.last_mut() {
            frame.logs.push(CallLog {
                address: log.address,
                topics: log.topics().to_vec(),
                data: log.data.data.clone(),
                index,
                position: U64::from(frame.calls.len()),
            });
        }
    }

    /// What SELFDESTRUCT moves, it is about to move.
    pub(super) fn step(&mut self, interpreter: &mut Interpreter, context: &Surroundings<'_, '_>) {
        self.sending = None;
        if interpreter.bytecode.opcode() != opcode::SELFDESTRUCT || self.config.only_top_call {
            return;
        }
        let from = interpreter.input.target_address();
        let balance = context.journaled_state.inner.state.get(&from).map(|account| account.info.balance);
        if let Some(target) = interpreter.stack.data().last() {
            self.sending = Some(CallFrame {
                kind: "SELFDESTRUCT",
                from,
                to: Some(Address::from_word((*target).into())),
                value: Some(balance.unwrap_or_default()),
                ..CallFrame::default()
            });
        }
    }

    pub(super) fn step_end(&mut self, interpreter: &mut Interpreter, budget: &mut Budget) {
        let Some(frame) = self.sending.take() else {
            return;
        };
        let sent = match interpreter.bytecode.action() {
            Some(InterpreterAction::Return(result)) => result.result.is_ok(),
            _ => false,
        };
        if sent
            && budget.take(FRAME)
            && let Some(outer) = self.open.last_mut()
        {
            outer.calls.push(frame);
        }
    }

    pub(super) fn finish(mut self, Ended { transaction, result }: &Ended<'_>) -> CallFrame {
        // A call that an error left open does not come here.
        let mut root = self.open.first_mut().and_then(|outermost| outermost.calls.pop()).unwrap_or_default();
        root.gas = U64::from(transaction.gas_limit);
        root.gas_used = U64::from(result.tx_gas_used());
        forget_undone_logs(&mut root);
        root
    }
}

fn failure(result: &InterpreterResult) -> Option<&'static str> {
    if result.result.is_revert() { Some("execution reverted") } else { fault(result.result) }
}

/// What a failed call logged is undone, with all in it.
fn forget_undone_logs(frame: &mut CallFrame) {
    if frame.error.is_some() {
        forget_logs(frame);
    } else {
        frame.calls.iter_mut().for_each(forget_undone_logs);
    }
}

fn forget_logs(frame: &mut CallFrame) {
    frame.logs.clear();
    frame.calls.iter_mut().for_each(forget_logs);
}
