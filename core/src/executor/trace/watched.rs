//! The EVM, watched.

use crate::{
    executor::{
        evm::{RollupEvm, RollupHandler, Transacted},
        opcodes::{Instructions, Surroundings},
        precompiles::Precompiles,
    },
    store::StoreError,
};
use core::marker::PhantomData;
use revm::{
    context::{FrameStack, JournalTr, TxEnv, result::EVMError},
    context_interface::ContextTr,
    handler::{
        EthFrame, EvmTr, EvmTrError, FrameInitOrResult, FrameResult,
        evm::{ContextDbError, FrameInitResult},
    },
    inspector::{Inspector, InspectorEvmTr, InspectorHandler},
    interpreter::{interpreter::EthInterpreter, interpreter_action::FrameInit},
    state::EvmState,
};

impl<E> InspectorHandler for RollupHandler<E>
where
    E: InspectorEvmTr<
            Context: ContextTr<Journal: JournalTr<State = EvmState>>,
            Frame = EthFrame<EthInterpreter>,
            Inspector: Inspector<E::Context, EthInterpreter>,
        >,
    EVMError<StoreError>: EvmTrError<E>,
{
    type IT = EthInterpreter;
}

impl<'a, 's> RollupEvm<'_, 'a, 's> {
    /// [`RollupEvm::transact`], watched by `inspector`.
    pub(in crate::executor) fn inspect<I>(
        &mut self,
        transaction: TxEnv,
        inspector: &mut I,
    ) -> Result<Transacted, EVMError<StoreError>>
    where
        I: Inspector<Surroundings<'a, 's>, EthInterpreter>,
    {
        self.inner.ctx.tx = transaction;
        let mut watched = Watched { evm: self, inspector };
        let result = RollupHandler(PhantomData).inspect_run(&mut watched);
        let accounts = self.inner.ctx.journaled_state.finalize();
        Ok((result?, accounts))
    }
}

/// An EVM that is watched. It runs by the same rules: every hook of [`RollupEvm`] is its own.
struct Watched<'e, 'r, 'a, 's, I> {
    evm: &'e mut RollupEvm<'r, 'a, 's>,
    inspector: &'e mut I,
}

impl<'a, 's, I> EvmTr for Watched<'_, '_, 'a, 's, I> {
    type Context = Surroundings<'a, 's>;
    type Instructions = Instructions<'a, 's>;
    type Precompiles = Precompiles;
    type Frame = EthFrame<EthInterpreter>;

    fn all(&self) -> (&Self::Context, &Self::Instructions, &Self::Precompiles, &FrameStack<Self::Frame>) {
        self.evm.all()
    }

    fn all_mut(
        &mut self,
    ) -> (&mut Self::Context, &mut Self::Instructions, &mut Self::Precompiles, &mut FrameStack<Self::Frame>)
    {
        self.evm.all_mut()
    }

    fn frame_init(
        &mut self,
        input: FrameInit,
    ) -> Result<FrameInitResult<'_, Self::Frame>, ContextDbError<Self::Context>> {
        self.evm.frame_init(input)
    }

    fn frame_run(&mut self) -> Result<FrameInitOrResult<Self::Frame>, ContextDbError<Self::Context>> {
        self.evm.frame_run()
    }

    fn frame_return_result(
        &mut self,
        result: FrameResult,
    ) -> Result<Option<FrameResult>, ContextDbError<Self::Context>> {
        self.evm.frame_return_result(result)
    }
}

impl<'a, 's, I> InspectorEvmTr for Watched<'_, '_, 'a, 's, I>
where
    I: Inspector<Surroundings<'a, 's>, EthInterpreter>,
{
    type Inspector = I;

    fn all_inspector(
        &self,
    ) -> (&Self::Context, &Self::Instructions, &Self::Precompiles, &FrameStack<Self::Frame>, &I) {
        let (context, instructions, precompiles, frames) = self.evm.all();
        (context, instructions, precompiles, frames, self.inspector)
    }

    fn all_mut_inspector(
        &mut self,
    ) -> (
        &mut Self::Context,
        &mut Self::Instructions,
        &mut Self::Precompiles,
        &mut FrameStack<Self::Frame>,
        &mut I,
    ) {
        let (context, instructions, precompiles, frames) = self.evm.all_mut();
        (context, instructions, precompiles, frames, self.inspector)
    }
}
