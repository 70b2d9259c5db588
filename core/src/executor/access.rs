//! Which addresses and slots a call looks at (EIP-2930).

use super::{Call, CallContext, CallError, CallResult, evm::RollupEvm, opcodes::Surroundings, state::State};
use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use alloy_primitives::{Address, B256, TxKind, U256};
use revm::{
    bytecode::opcode,
    inspector::Inspector,
    interpreter::{
        Interpreter,
        interpreter::EthInterpreter,
        interpreter_types::{InputsTr, Jumps},
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
        let mut watcher = Watcher { warm: BTreeSet::from([call.from, receiver]), found: BTreeMap::new() };
        watcher.warm.extend(self.rules.precompile_addresses());
        for (address, slots) in &call.access_list {
            watcher.found.entry(*address).or_default().extend(slots);
        }
        let mut call = call.clone();
        let mut runs = 0;
        loop {
            runs += 1;
            call.access_list = watcher.list();
            let mut evm = RollupEvm::for_calls(self.rules, self.chain_id, self.environment(), state);
            let transacted = evm.inspect(super::call::transaction(&call, self.chain_id), &mut watcher);
            let (result, _) = transacted.map_err(|error| super::call::error(&call, error))?;
            let access_list = watcher.list();
            if access_list == call.access_list || runs == MOST_RUNS {
                return Ok(AccessListResult { access_list, result: result.into() });
            }
        }
    }
}

/// Gathers what instructions name.
struct Watcher {
    warm: BTreeSet<Address>,
    found: BTreeMap<Address, BTreeSet<B256>>,
}

impl Watcher {
    fn list(&self) -> Vec<(Address, Vec<B256>)> {
        self.found.iter().map(|(address, slots)| (*address, slots.iter().copied().collect())).collect()
    }
}

impl Inspector<Surroundings<'_, '_>, EthInterpreter> for Watcher {
    fn step(&mut self, interpreter: &mut Interpreter, _context: &mut Surroundings<'_, '_>) {
        let address = |word: &U256| Address::from_word((*word).into());
        let named = match (interpreter.bytecode.opcode(), interpreter.stack.data().as_slice()) {
            (opcode::SLOAD | opcode::SSTORE, [.., slot]) => {
                let account = self.found.entry(interpreter.input.target_address()).or_default();
                account.insert(B256::from(*slot));
                return;
            }
            (
                opcode::BALANCE
                | opcode::EXTCODECOPY
                | opcode::EXTCODEHASH
                | opcode::EXTCODESIZE
                | opcode::SELFDESTRUCT,
                [.., target],
            ) => address(target),
            (
                opcode::CALL | opcode::CALLCODE | opcode::DELEGATECALL | opcode::STATICCALL,
                [.., target, _gas],
            ) => address(target),
            _ => return,
        };
        if !self.warm.contains(&named) {
            self.found.entry(named).or_default();
        }
    }
}
