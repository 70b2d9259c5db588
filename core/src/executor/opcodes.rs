//! The opcodes that differ from Ethereum's (`spec/execution.md` §2).

use super::{Interrupt, Rules, access::Named, rules::InitCodeInput, state::State};
use alloc::vec::Vec;
use alloy_primitives::{Address, B256, U256};
use revm::{
    Context, Journal,
    bytecode::{Bytecode, JumpTable, opcode},
    context::{BlockEnv, CfgEnv, JournalTr, TxEnv},
    context_interface::{Host, context::ContextError, host::LoadError, journaled_state::AccountInfoLoad},
    handler::instructions::EthInstructions,
    interpreter::{
        Instruction, InstructionContext, InstructionExecResult, InstructionResult, instruction_table,
        instructions::{gas_table_spec, system},
        interpreter::{EthInterpreter, ExtBytecode},
        interpreter_types::{InputsTr, Jumps, LegacyBytecode, RuntimeFlag},
    },
    precompile::utilities::right_pad_vec,
    primitives::hardfork::SpecId,
};

/// The EVM's surroundings while a block runs.
pub(super) type Surroundings<'a, 's> =
    Context<BlockEnv, TxEnv, CfgEnv, &'a mut State<'s>, Journal<&'a mut State<'s>>, Named>;
pub(super) type Instructions<'a, 's> = EthInstructions<EthInterpreter, Surroundings<'a, 's>>;
pub(super) type Frame<'f, 'a, 's> = InstructionContext<'f, Surroundings<'a, 's>, EthInterpreter>;

/// London is the last specification before the merge, and brings EIP-3541, which the rollup has. Its gas schedule is
/// replaced by Berlin's where the EVM is set up.
pub(super) const BASE: SpecId = SpecId::LONDON;

/// London's instructions with the rollup's differences.
pub(super) fn instructions<'a, 's>(rules: &Rules) -> Instructions<'a, 's> {
    let mut table = EthInstructions::new(instruction_table(), gas_table_spec(BASE), BASE);
    if rules.push0 {
        table.insert_instruction(opcode::PUSH0, Instruction::new(push0), 2);
    }
    let block_hash = if rules.future_block_hash { block_hash } else { past_block_hash };
    if rules.init_code_input == InitCodeInput::Code {
        table.insert_instruction(opcode::CALLDATALOAD, Instruction::new(call_data_load), 3);
        table.insert_instruction(opcode::CALLDATACOPY, Instruction::new(call_data_copy), 3);
    }
    table.insert_instruction(opcode::BASEFEE, Instruction::unknown(), 0);
    table.insert_instruction(opcode::EXTCODEHASH, Instruction::new(ext_code_hash), 100);
    table.insert_instruction(opcode::BLOCKHASH, Instruction::new(block_hash), 20);
    table.insert_instruction(opcode::SELFDESTRUCT, Instruction::new(send_all), 5_000);
    table.insert_instruction(opcode::JUMP, Instruction::new(jump), 8);
    table.insert_instruction(opcode::JUMPI, Instruction::new(jump_if), 10);
    table
}

/// PUSH0 without the question for Shanghai that revm's own asks.
fn push0(frame: Frame<'_, '_, '_>) -> InstructionExecResult {
    push(frame, U256::ZERO)
}

/// EXTCODEHASH gives the Poseidon hash that the state tree holds, and 0 for every account without code.
pub(super) fn ext_code_hash(mut frame: Frame<'_, '_, '_>) -> InstructionExecResult {
    let address = Address::from_word(pop(&mut frame)?.into());
    let account = load_account(&mut frame, address)?;
    let (hash, code) = (account.code_hash, account.code.clone().unwrap_or_default());
    let hash = frame.host.journaled_state.db_mut().poseidon_code_hash(hash, &code);
    push(frame, hash.into())
}

/// CALLDATALOAD where init code reads itself.
fn call_data_load(mut frame: Frame<'_, '_, '_>) -> InstructionExecResult {
    if frame.interpreter.input.bytecode_address().is_some() {
        return system::calldataload(frame);
    }
    let offset = usize::try_from(pop(&mut frame)?).unwrap_or(usize::MAX);
    let code = frame.interpreter.bytecode.bytecode_slice();
    let word = U256::from_be_slice(&right_pad_vec(code.get(offset..).unwrap_or_default(), 32));
    push(frame, word)
}

/// CALLDATACOPY where init code reads itself.
fn call_data_copy(frame: Frame<'_, '_, '_>) -> InstructionExecResult {
    if frame.interpreter.input.bytecode_address().is_some() {
        return system::calldatacopy(frame);
    }
    system::codecopy(frame)
}

/// BLOCKHASH reads the system contract's map of state roots: any past block, however old.
fn block_hash(frame: Frame<'_, '_, '_>) -> InstructionExecResult {
    block_hash_until(frame, U256::MAX)
}

/// BLOCKHASH where blocks that are yet to come have none.
fn past_block_hash(frame: Frame<'_, '_, '_>) -> InstructionExecResult {
    let present = frame.host.block.number;
    block_hash_until(frame, present)
}

fn block_hash_until(mut frame: Frame<'_, '_, '_>, last: U256) -> InstructionExecResult {
    let number = pop(&mut frame)?;
    let root = match u64::try_from(number) {
        Ok(known) if number <= last => {
            frame.host.block_hash(known).ok_or(InstructionResult::FatalExternalError)?
        }
        _ => B256::ZERO,
    };
    push(frame, root.into())
}

/// SENDALL stands where Ethereum has SELFDESTRUCT: it moves the balance, ends the frame, and destroys nothing.
///
/// With nothing to move, or to itself, it neither charges for a cold target nor warms it (`spec/execution.md` §2.3: the
/// ROM's reading; no official vector tells it from the others).
pub(super) fn send_all(mut frame: Frame<'_, '_, '_>) -> InstructionExecResult {
    if frame.interpreter.runtime_flag.is_static() {
        return Err(InstructionResult::StateChangeDuringStaticCall);
    }
    let target = Address::from_word(pop(&mut frame)?.into());
    let sender = frame.interpreter.input.target_address();
    let balance = frame.host.balance(sender).ok_or(InstructionResult::FatalExternalError)?.data;
    if balance.is_zero() || target == sender {
        return Err(InstructionResult::Stop);
    }

    let gas_params = frame.host.gas_params();
    let (cold_cost, new_account_cost) =
        (gas_params.selfdestruct_cold_cost(), gas_params.new_account_cost_for_selfdestruct());
    let skip_cold = frame.interpreter.gas.remaining() < cold_cost;
    let account = frame.host.load_account_info_skip_cold_load(target, true, skip_cold)?;
    let cost =
        if account.is_cold { cold_cost } else { 0 } + if account.is_empty { new_account_cost } else { 0 };
    if !frame.interpreter.gas.record_regular_cost(cost) {
        return Err(InstructionResult::OutOfGas);
    }
    match frame.host.journaled_state.transfer(sender, target, balance) {
        Ok(None) => Err(InstructionResult::Stop),
        Ok(Some(failure)) => Err(failure.into()),
        Err(error) => {
            frame.host.error = Err(ContextError::Db(error));
            Err(InstructionResult::FatalExternalError)
        }
    }
}

fn jump(mut frame: Frame<'_, '_, '_>) -> InstructionExecResult {
    let target = pop(&mut frame)?;
    jump_to(frame, target)
}

fn jump_if(mut frame: Frame<'_, '_, '_>) -> InstructionExecResult {
    let (target, condition) = (pop(&mut frame)?, pop(&mut frame)?);
    if condition.is_zero() { Ok(()) } else { jump_to(frame, target) }
}

/// Every byte 0x5b is a destination, also inside the data of a PUSH: the prover does not analyse code
/// (`spec/execution.md` §2.5).
fn jump_to(frame: Frame<'_, '_, '_>, target: U256) -> InstructionExecResult {
    // No code runs long without jumps or calls.
    if let Err(error) = frame.host.journaled_state.db_mut().interrupt().spend(Interrupt::JUMP) {
        frame.host.error = Err(ContextError::Db(error));
        return Err(InstructionResult::FatalExternalError);
    }
    let bytecode = &mut frame.interpreter.bytecode;
    let target = usize::try_from(target).map_err(|_| InstructionResult::InvalidJump)?;
    if !bytecode.is_valid_legacy_jump(target) {
        if bytecode.bytecode_slice().get(target) != Some(&opcode::JUMPDEST) {
            return Err(InstructionResult::InvalidJump);
        }
        let (hash, unanalysed) = (bytecode.hash(), without_analysis(bytecode.bytecode_slice()));
        *bytecode = ExtBytecode::new_with_optional_hash(unanalysed, hash);
    }
    bytecode.absolute_jump(target);
    Ok(())
}

/// The same code, safe to be entered at any byte, with every 0x5b a destination.
///
/// revm reads opcodes and the data of PUSH without looking for the end: its analysis pads the code for the one decoding
/// that starts at byte 0. After a jump into push data the decoding is another one, so the padding is made for the worst.
fn without_analysis(code: &[u8]) -> Bytecode {
    let mut padded = Vec::with_capacity(code.len() + PADDING);
    padded.extend_from_slice(code);
    padded.resize(code.len() + PADDING, opcode::STOP);
    let mut destinations = alloc::vec![0u8; code.len().div_ceil(8)];
    for (position, _) in code.iter().enumerate().filter(|(_, byte)| **byte == opcode::JUMPDEST) {
        destinations[position / 8] |= 1 << (position % 8);
    }
    let table = JumpTable::from_slice(&destinations, code.len());
    #[expect(unsafe_code, reason = "the only way to give revm a jump table of one's own")]
    // SAFETY: `new_analyzed` asks for code that cannot be read beyond its end and a table that fits it. Every
    // destination is a byte of `code`. The longest read from a byte of `code` is PUSH32 with its 32 bytes of data; 33
    // zero bytes follow, so that data ends inside the padding and the next opcode is a STOP inside it too.
    unsafe {
        Bytecode::new_analyzed(padded.into(), code.len(), table)
    }
}

/// The data of a PUSH32 as the code's last byte, and a STOP behind it.
const PADDING: usize = 33;

/// Loads an account with its code, and charges for a cold one what revm's own opcodes charge.
fn load_account<'f>(
    frame: &'f mut Frame<'_, '_, '_>,
    address: Address,
) -> Result<AccountInfoLoad<'f>, LoadError> {
    let cold_cost = frame.host.gas_params().cold_account_additional_cost();
    let gas = &mut frame.interpreter.gas;
    let account = frame.host.load_account_info_skip_cold_load(address, true, gas.remaining() < cold_cost)?;
    if account.is_cold && !gas.record_regular_cost(cold_cost) {
        return Err(LoadError::ColdLoadSkipped);
    }
    Ok(account)
}

fn pop(frame: &mut Frame<'_, '_, '_>) -> Result<U256, InstructionResult> {
    frame.interpreter.stack.pop().map_err(|_| InstructionResult::StackUnderflow)
}

fn push(frame: Frame<'_, '_, '_>, word: U256) -> InstructionExecResult {
    if frame.interpreter.stack.push(word) { Ok(()) } else { Err(InstructionResult::StackOverflow) }
}
