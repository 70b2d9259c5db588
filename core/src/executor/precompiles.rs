//! The contracts that the protocol itself runs (`spec/execution.md` §3).

use super::rules::{Precompile, Rules};
use alloc::{
    string::{String, ToString},
    vec::Vec,
};
use alloy_primitives::Bytes;
use revm::{
    context::{Cfg, ContextTr},
    handler::{PrecompileProvider, precompile_output_to_interpreter_result},
    interpreter::{CallInputs, Gas, InstructionResult, InterpreterResult},
    precompile::{self, u64_to_address},
    primitives::AddressSet,
};

/// The precompiles of one fork.
#[derive(Debug)]
pub(super) struct Precompiles {
    active: Vec<precompile::Precompile>,
    warm: AddressSet,
}

impl Precompiles {
    pub(super) fn of(rules: &'static Rules) -> Self {
        Self {
            active: rules.precompiles.iter().map(|kind| kind.implementation()).collect(),
            // Warm from the start whether they run or not.
            warm: (1..=9).map(u64_to_address).collect(),
        }
    }
}

impl Precompile {
    fn implementation(self) -> precompile::Precompile {
        match self {
            Self::EcRecover => precompile::secp256k1::ECRECOVER,
            Self::Sha256 => precompile::hash::SHA256,
            Self::Identity => precompile::identity::FUN,
            Self::EcAdd => precompile::bn254::add::ISTANBUL,
            Self::EcMul => precompile::bn254::mul::ISTANBUL,
            Self::EcPairing => precompile::bn254::pair::ISTANBUL,
        }
    }
}

impl<C: ContextTr> PrecompileProvider<C> for Precompiles {
    type Output = InterpreterResult;

    fn set_spec(&mut self, _spec: <C::Cfg as Cfg>::Spec) -> bool {
        true
    }

    /// One that does not run in this fork behaves like a contract that reverts at once: the value stays where it was and
    /// all gas goes back.
    fn run(&mut self, context: &mut C, inputs: &CallInputs) -> Result<Option<InterpreterResult>, String> {
        if !self.warm.contains(&inputs.bytecode_address) {
            return Ok(None);
        }
        let Some(precompile) = self.active.iter().find(|active| *active.address() == inputs.bytecode_address)
        else {
            let gas = Gas::new(inputs.gas_limit);
            return Ok(Some(InterpreterResult::new(InstructionResult::Revert, Bytes::new(), gas)));
        };
        let output = precompile
            .execute(&inputs.input.as_bytes(context), inputs.gas_limit, inputs.reservoir)
            .map_err(|error| error.to_string())?;
        Ok(Some(precompile_output_to_interpreter_result(output, inputs.gas_limit)))
    }

    fn warm_addresses(&self) -> &AddressSet {
        &self.warm
    }
}
