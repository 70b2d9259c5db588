//! Which addresses and slots a call looks at (EIP-2930).

use super::{
    Call, CallContext, CallError, CallResult,
    evm::RollupEvm,
    opcodes::{Frame, Instructions, ext_code_hash, send_all},
    state::State,
};
use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use alloy_primitives::{Address, B256, TxKind, U256};
use revm::{
    bytecode::opcode,
    handler::instructions::InstructionProvider,
    interpreter::{
        Instruction, InstructionExecResult, InstructionResult,
        instructions::{contract, host},
        interpreter_types::{InputsTr, Jumps, LegacyBytecode},
    },
};

/// What a call looks at, and how it ends when all of that is warm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessListResult {
    /// Addresses with their slots. Sender, receiver and precompiles are warm anyway: they stand here only with slots.
    pub access_list: Vec<(Address, Vec<B256>)>,
    /// The call with this list.
    pub result: CallResult,
}

/// Runs after which a list that still grows is taken as it is. Only a contract that looks at its gas needs more than two.
const MOST_RUNS: usize = 16;

impl CallContext<'_> {
    /// Runs `call` with the list of what it looks at, until that is all that it looks at.
    ///
    /// # Errors
    ///
    /// Those of [`CallContext::call`].
    pub fn access_list(&self, call: &Call, state: &mut State<'_>) -> Result<AccessListResult, CallError> {
        let receiver = match call.to {
            TxKind::Call(to) => to,
            TxKind::Create => call.from.create(state.nonce(call.from)?.saturating_to()),
        };
        let mut named = Named { warm: BTreeSet::from([call.from, receiver]), found: BTreeMap::new() };
        named.warm.extend(self.rules.precompile_addresses());
        for (address, slots) in &call.access_list {
            named.found.entry(*address).or_default().extend(slots);
        }
        let mut call = call.clone();
        let mut runs = 0;
        loop {
            runs += 1;
            call.access_list = named.list();
            let mut evm =
                RollupEvm::for_calls(self.rules, self.chain_id, self.environment(), state).naming(named);
            let transacted = evm.transact(super::call::transaction(&call, self.chain_id));
            named = evm.into_named();
            let (result, _) = transacted.map_err(|error| super::call::error(&call, error))?;
            let access_list = named.list();
            if access_list == call.access_list || runs == MOST_RUNS {
                return Ok(AccessListResult { access_list, result: result.into() });
            }
        }
    }
}

/// What instructions name: part of the EVM's surroundings, filled by [`naming`].
#[derive(Debug, Default)]
pub(super) struct Named {
    warm: BTreeSet<Address>,
    found: BTreeMap<Address, BTreeSet<B256>>,
}

impl Named {
    fn list(&self) -> Vec<(Address, Vec<B256>)> {
        self.found.iter().map(|(address, slots)| (*address, slots.iter().copied().collect())).collect()
    }

    /// What `opcode` is about to do in the contract at `target`.
    fn add(&mut self, opcode: u8, stack: &[U256], target: Address) {
        let named = match (opcode, stack) {
            (opcode::SLOAD | opcode::SSTORE, [.., slot]) => {
                self.found.entry(target).or_default().insert(B256::from(*slot));
                return;
            }
            (
                opcode::BALANCE
                | opcode::EXTCODECOPY
                | opcode::EXTCODEHASH
                | opcode::EXTCODESIZE
                | opcode::SELFDESTRUCT,
                [.., address],
            ) => address,
            (_, [.., address, _gas]) => address,
            _ => return,
        };
        let named = Address::from_word((*named).into());
        if !self.warm.contains(&named) {
            self.found.entry(named).or_default();
        }
    }
}

/// The instructions that name an address or a slot.
const NAMING: [u8; 11] = [
    opcode::BALANCE,
    opcode::CALL,
    opcode::CALLCODE,
    opcode::DELEGATECALL,
    opcode::EXTCODECOPY,
    opcode::EXTCODEHASH,
    opcode::EXTCODESIZE,
    opcode::SELFDESTRUCT,
    opcode::SLOAD,
    opcode::SSTORE,
    opcode::STATICCALL,
];

/// Instructions that do what they did, and tell [`Named`] before.
pub(super) fn naming(table: &mut Instructions<'_, '_>) {
    for opcode in NAMING {
        let gas = table.gas_table()[usize::from(opcode)];
        table.insert_instruction(opcode, Instruction::new(name_and_run), gas);
    }
}

fn name_and_run(frame: Frame<'_, '_, '_>) -> InstructionExecResult {
    // The interpreter stands behind the instruction already.
    let code = &frame.interpreter.bytecode;
    let this = code.pc().checked_sub(1).and_then(|at| code.bytecode_slice().get(at)).copied();
    let opcode = this.ok_or(InstructionResult::OpcodeNotFound)?;
    let target = frame.interpreter.input.target_address();
    frame.host.chain.add(opcode, frame.interpreter.stack.data(), target);
    match opcode {
        opcode::BALANCE => host::balance(frame),
        opcode::CALL => contract::call::<{ opcode::CALL }, _, _>(frame),
        opcode::CALLCODE => contract::call::<{ opcode::CALLCODE }, _, _>(frame),
        opcode::DELEGATECALL => contract::call::<{ opcode::DELEGATECALL }, _, _>(frame),
        opcode::EXTCODECOPY => host::extcodecopy(frame),
        opcode::EXTCODEHASH => ext_code_hash(frame),
        opcode::EXTCODESIZE => host::extcodesize(frame),
        opcode::SELFDESTRUCT => send_all(frame),
        opcode::SLOAD => host::sload(frame),
        opcode::SSTORE => host::sstore(frame),
        opcode::STATICCALL => contract::call::<{ opcode::STATICCALL }, _, _>(frame),
        _ => Err(InstructionResult::OpcodeNotFound),
    }
}
