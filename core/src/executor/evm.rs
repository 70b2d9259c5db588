//! revm's EVM with the rollup's differences that concern calls and creations rather than one opcode.

use super::{
    Interrupt, Rules,
    access::{self, Named},
    opcodes::{BASE, Instructions, Surroundings, instructions},
    precompiles::Precompiles,
    state::State,
};
use crate::store::StoreError;
use core::marker::PhantomData;
use revm::{
    Context,
    context::{
        BlockEnv, CfgEnv, Evm, FrameStack, JournalEntry, JournalTr, TxEnv,
        result::{EVMError, ExecutionResult, HaltReason},
    },
    context_interface::{
        ContextTr,
        cfg::{GasParams, gas::GasTracker},
        context::ContextError,
    },
    handler::{
        CreateFrame, EthFrame, EvmTr, EvmTrError, FrameData, FrameInitOrResult, FrameResult, Handler,
        ItemOrResult,
        evm::{ContextDbError, FrameInitResult},
    },
    interpreter::{
        InstructionResult, interpreter::EthInterpreter, interpreter_action::FrameInit,
        interpreter_types::ReturnData,
    },
    primitives::hardfork::SpecId,
    state::EvmState,
};

type Inner<'a, 's> =
    Evm<Surroundings<'a, 's>, (), Instructions<'a, 's>, Precompiles, EthFrame<EthInterpreter>>;

/// revm's way through a transaction, but for lists of authorisations (EIP-7702), which no transaction of a rollup has.
pub(super) struct RollupHandler<E>(pub(super) PhantomData<E>);

impl<E> Handler for RollupHandler<E>
where
    E: EvmTr<Context: ContextTr<Journal: JournalTr<State = EvmState>>, Frame = EthFrame<EthInterpreter>>,
    EVMError<StoreError>: EvmTrError<E>,
{
    type Evm = E;
    type Error = EVMError<StoreError>;
    type HaltReason = HaltReason;

    fn apply_eip7702_auth_list(
        &self,
        _evm: &mut E,
        _gas: &mut GasTracker,
    ) -> Result<Option<u64>, Self::Error> {
        Ok(Some(0))
    }
}

/// The EVM of one block.
pub(super) struct RollupEvm<'r, 'a, 's> {
    pub(super) inner: Inner<'a, 's>,
    rules: &'r Rules,
}

/// What came of a transaction, and every account that it loaded.
pub(super) type Transacted = (ExecutionResult, EvmState);

impl<'r, 'a, 's> RollupEvm<'r, 'a, 's> {
    /// An EVM on `state`.
    pub(super) fn new(rules: &'r Rules, chain_id: u64, block: BlockEnv, state: &'a mut State<'s>) -> Self {
        let mut cfg = CfgEnv::new_with_spec(BASE);
        cfg.chain_id = chain_id;
        // The limit of a transaction is not that of a block.
        cfg.tx_gas_limit_cap = Some(rules.transaction_gas_limit);
        cfg.disable_block_gas_limit = true;
        // Berlin's refunds: London's EIP-3529 is not active.
        cfg.gas_params = GasParams::new_spec(SpecId::BERLIN);
        let mut context: Surroundings<'a, 's> = Context::new(state, BASE);
        context.cfg = cfg;
        context.block = block;
        Self { inner: Evm::new(context, instructions(rules), Precompiles::of(rules)), rules }
    }

    /// An EVM for calls that nobody has signed: contracts may send, no nonce is looked at, and the gas limit is the host's.
    pub(super) fn for_calls(
        rules: &'r Rules,
        chain_id: u64,
        block: BlockEnv,
        state: &'a mut State<'s>,
    ) -> Self {
        let mut evm = Self::new(rules, chain_id, block, state);
        let cfg = &mut evm.inner.ctx.cfg;
        cfg.disable_eip3607 = true;
        cfg.disable_nonce_check = true;
        cfg.tx_gas_limit_cap = Some(u64::MAX);
        evm
    }

    /// Gathers in `named` what instructions name.
    pub(super) fn naming(mut self, named: Named) -> Self {
        access::naming(&mut self.inner.instruction);
        self.inner.ctx.chain = named;
        self
    }

    pub(super) fn into_named(self) -> Named {
        self.inner.ctx.chain
    }

    /// Runs a transaction, and forgets everything about it but its result.
    pub(super) fn transact(&mut self, transaction: TxEnv) -> Result<Transacted, EVMError<StoreError>> {
        self.inner.ctx.tx = transaction;
        let result = RollupHandler(PhantomData).run(self);
        let accounts = self.inner.ctx.journaled_state.finalize();
        Ok((result?, accounts))
    }

    pub(super) fn state(&mut self) -> &mut State<'s> {
        self.inner.ctx.journaled_state.db_mut()
    }

    /// The creation that has just failed was undone; so is the warming of its address, when it is the last thing that
    /// the journal holds. (What comes before it is the creator's nonce, which stays.)
    fn cool_created(&mut self) {
        let journal = &mut self.inner.ctx.journaled_state.inner;
        if let Some(JournalEntry::AccountWarmed { address }) = journal.journal.last() {
            let address = *address;
            journal.journal.pop();
            if let Some(account) = journal.state.get_mut(&address) {
                account.mark_cold();
            }
        }
    }
}

impl<'a, 's> EvmTr for RollupEvm<'_, 'a, 's> {
    type Context = Surroundings<'a, 's>;
    type Instructions = Instructions<'a, 's>;
    type Precompiles = Precompiles;
    type Frame = EthFrame<EthInterpreter>;

    fn all(&self) -> (&Self::Context, &Self::Instructions, &Self::Precompiles, &FrameStack<Self::Frame>) {
        self.inner.all()
    }

    fn all_mut(
        &mut self,
    ) -> (&mut Self::Context, &mut Self::Instructions, &mut Self::Precompiles, &mut FrameStack<Self::Frame>)
    {
        self.inner.all_mut()
    }

    fn frame_init(
        &mut self,
        input: FrameInit,
    ) -> Result<FrameInitResult<'_, Self::Frame>, ContextDbError<Self::Context>> {
        self.state().interrupt().spend(Interrupt::READ).map_err(ContextError::Db)?;
        if let ItemOrResult::Result(result) = self.inner.frame_init(input)? {
            return Ok(ItemOrResult::Result(result));
        }
        let frame = self.inner.frame_stack.get();
        if let FrameData::Create(CreateFrame { created_address }) = frame.data {
            // The rollup does not clear storage that a new account happens to have. revm would take it for empty.
            if let Some(account) = self.inner.ctx.journaled_state.inner.state.get_mut(&created_address) {
                account.unmark_created();
            }
        }
        Ok(ItemOrResult::Item(frame))
    }

    fn frame_run(&mut self) -> Result<FrameInitOrResult<Self::Frame>, ContextDbError<Self::Context>> {
        self.inner.frame_run()
    }

    fn frame_return_result(
        &mut self,
        result: FrameResult,
    ) -> Result<Option<FrameResult>, ContextDbError<Self::Context>> {
        let mut kept = None;
        match &result {
            FrameResult::Create(outcome) => {
                if self.rules.failed_creation_cools && !outcome.instruction_result().is_ok() {
                    self.cool_created();
                }
            }
            // Of all precompiles only those that do not run revert.
            FrameResult::Call(outcome) => {
                if self.rules.unsupported_precompile_keeps_return_data
                    && outcome.was_precompile_called
                    && *outcome.instruction_result() == InstructionResult::Revert
                {
                    kept = Some(self.inner.frame_stack.get().interpreter.return_data.buffer().clone());
                }
            }
        }
        let returned = self.inner.frame_return_result(result)?;
        if let Some(buffer) = kept {
            self.inner.frame_stack.get().interpreter.return_data.set_buffer(buffer);
        }
        Ok(returned)
    }
}
