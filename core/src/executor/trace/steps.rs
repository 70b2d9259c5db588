use super::{super::opcodes::Surroundings, Ended, fault, recorder::Budget};
use alloc::{collections::BTreeMap, string::String, vec::Vec};
use alloy_primitives::{Address, Bytes, U256, hex};
use revm::{
    bytecode::opcode::{self, OpCode},
    interpreter::{
        Interpreter, InterpreterAction,
        interpreter_types::{InputsTr, Jumps, LoopControl, ReturnData},
    },
};
use serde::{Serialize, Serializer, ser::SerializeSeq};

/// What of each instruction is recorded. Stack and storage are, unless it is said otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StepsConfig {
    /// Without the stack.
    pub disable_stack: bool,
    /// Without the storage.
    pub disable_storage: bool,
    /// With the memory.
    pub enable_memory: bool,
    /// With what the last call returned.
    pub enable_return_data: bool,
    /// At most so many instructions; 0 is no limit. What comes after them runs unrecorded.
    pub limit: usize,
}

/// All instructions of a transaction.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StepTrace {
    /// Gas used.
    pub gas: u64,
    /// It failed.
    pub failed: bool,
    /// Its output.
    pub return_value: Bytes,
    /// The instructions.
    pub struct_logs: Vec<Step>,
}

/// An instruction, and the machine before it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// Its position in the code.
    pub pc: usize,
    /// Its name.
    pub op: &'static str,
    /// Gas that was left.
    pub gas: u64,
    /// Gas that it took, with what it handed on to a call.
    pub gas_cost: u64,
    /// Depth of the call, from 1.
    pub depth: usize,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'static str>,
    /// From the bottom.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stack: Option<Vec<U256>>,
    /// Its bytes, of which there are whole words; written as such.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "words")]
    pub memory: Option<Vec<u8>>,
    /// What the last call returned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub return_data: Option<Bytes>,
    /// After an instruction that reads or writes storage: all slots of the account that were read or written so far.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "slots")]
    pub storage: Option<BTreeMap<U256, U256>>,
}

fn words<S: Serializer>(memory: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
    let words = memory.iter().flat_map(|bytes| bytes.chunks(32));
    let mut sequence = serializer.serialize_seq(None)?;
    words.map(hex::encode).try_for_each(|word| sequence.serialize_element(&word))?;
    sequence.end()
}

/// geth writes slots without a prefix.
fn slots<S: Serializer>(storage: &Option<BTreeMap<U256, U256>>, serializer: S) -> Result<S::Ok, S::Error> {
    let word = |word: &U256| -> String { hex::encode(word.to_be_bytes::<32>()) };
    serializer.collect_map(storage.iter().flatten().map(|(slot, value)| (word(slot), word(value))))
}

/// Watches instructions.
pub(super) struct Steps {
    config: StepsConfig,
    steps: Vec<Step>,
    /// The instruction that is running.
    open: Option<Open>,
    storage: BTreeMap<Address, BTreeMap<U256, U256>>,
}

struct Open {
    step: Step,
    access: Option<Access>,
}

/// A slot that is being read, or written with a value.
struct Access {
    account: Address,
    slot: U256,
    written: Option<U256>,
}

/// About what a step takes beside its lists.
const STEP: usize = 160;
/// About what a word takes.
const WORD: usize = 40;

impl Steps {
    pub(super) fn new(config: StepsConfig) -> Self {
        Self { config, steps: Vec::new(), open: None, storage: BTreeMap::new() }
    }

    pub(super) fn step(&mut self, interpreter: &mut Interpreter, context: &Surroundings<'_, '_>) {
        let config = &self.config;
        self.open = None;
        if config.limit != 0 && self.steps.len() >= config.limit {
            return;
        }
        let op = interpreter.bytecode.opcode();
        let stack = interpreter.stack.data();
        let access = match (op, stack.as_slice()) {
            (opcode::SLOAD, [.., slot]) if !config.disable_storage => {
                Some(Access { account: interpreter.input.target_address(), slot: *slot, written: None })
            }
            (opcode::SSTORE, [.., value, slot]) if !config.disable_storage => Some(Access {
                account: interpreter.input.target_address(),
                slot: *slot,
                written: Some(*value),
            }),
            _ => None,
        };
        let step = Step {
            pc: interpreter.bytecode.pc(),
            op: OpCode::name_by_op(op),
            gas: interpreter.gas.remaining(),
            gas_cost: 0,
            depth: context.journaled_state.inner.depth,
            error: None,
            stack: (!config.disable_stack).then(|| stack.clone()),
            memory: config.enable_memory.then(|| interpreter.memory.context_memory().to_vec()),
            return_data: config.enable_return_data.then(|| interpreter.return_data.buffer().clone()),
            storage: None,
        };
        self.open = Some(Open { step, access });
    }

    pub(super) fn step_end(&mut self, interpreter: &mut Interpreter, budget: &mut Budget) {
        let Some(Open { mut step, access }) = self.open.take() else {
            return;
        };
        step.gas_cost = step.gas.saturating_sub(interpreter.gas.remaining());
        if let Some(InterpreterAction::Return(result)) = interpreter.bytecode.action() {
            step.error = fault(result.result);
        }
        if let Some(Access { account, slot, written }) = access
            && step.error.is_none()
        {
            let read = interpreter.stack.data().last().copied();
            let storage = self.storage.entry(account).or_default();
            storage.insert(slot, written.or(read).unwrap_or_default());
            if !budget.take(2 * WORD * storage.len()) {
                return;
            }
            step.storage = Some(storage.clone());
        }
        let memory = step.memory.as_ref().map_or(0, |memory| 3 * memory.len());
        let returned = step.return_data.as_ref().map_or(0, |data| 2 * data.len());
        let stack = step.stack.as_ref().map_or(0, |stack| WORD * stack.len());
        if budget.take(STEP + stack + memory + returned) {
            self.steps.push(step);
        }
    }

    pub(super) fn finish(self, Ended { result, .. }: &Ended<'_>, budget: &mut Budget) -> StepTrace {
        let output = result.output().filter(|output| budget.take(2 * output.len()));
        StepTrace {
            gas: result.tx_gas_used(),
            failed: !result.is_success(),
            return_value: output.cloned().unwrap_or_default(),
            struct_logs: self.steps,
        }
    }
}
