//! The contracts that the protocol itself runs (`spec/execution.md` §3).

use super::rules::{Precompile, Rules};
use alloc::string::{String, ToString};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use k256::{
    AffinePoint, ProjectivePoint, Scalar, U256 as Integer,
    elliptic_curve::{ops::Reduce, point::DecompressPoint, subtle::Choice},
};
use revm::{
    context::{Cfg, ContextTr},
    handler::{PrecompileProvider, precompile_output_to_interpreter_result},
    interpreter::{CallInputs, Gas, InstructionResult, InterpreterResult},
    precompile::{self, modexp, u64_to_address, utilities::right_pad_vec},
    primitives::AddressSet,
};

/// The precompiles of one fork.
#[derive(Debug)]
pub(super) struct Precompiles {
    active: &'static [Precompile],
    warm: AddressSet,
}

impl Precompiles {
    pub(super) fn of(rules: &Rules) -> Self {
        Self { active: rules.precompiles, warm: rules.precompile_addresses().collect() }
    }
}

impl Rules {
    /// Addresses that are warm from the start: 1 to 9 whether they run or not, and what else runs.
    pub(super) fn precompile_addresses(&self) -> impl Iterator<Item = Address> {
        (1..=9).map(u64_to_address).chain(self.precompiles.iter().map(|precompile| precompile.address()))
    }

    /// One of the addresses 1 to 9 with nothing that runs there.
    pub(super) fn is_unsupported_precompile(&self, address: Address) -> bool {
        (1..=9).any(|number| u64_to_address(number) == address)
            && !self.precompiles.iter().any(|precompile| precompile.address() == address)
    }
}

impl Precompile {
    fn address(self) -> Address {
        u64_to_address(match self {
            Self::EcRecover | Self::EcRecoverWithInfinity => 1,
            Self::Sha256 => 2,
            Self::Identity => 4,
            Self::ModExp => 5,
            Self::EcAdd => 6,
            Self::EcMul => 7,
            Self::EcPairing => 8,
            Self::P256Verify => 0x100,
        })
    }

    fn implementation(self) -> precompile::Precompile {
        match self {
            Self::EcRecover | Self::EcRecoverWithInfinity => precompile::secp256k1::ECRECOVER,
            Self::Sha256 => precompile::hash::SHA256,
            Self::Identity => precompile::identity::FUN,
            Self::ModExp => modexp::BERLIN,
            Self::EcAdd => precompile::bn254::add::ISTANBUL,
            Self::EcMul => precompile::bn254::mul::ISTANBUL,
            Self::EcPairing => precompile::bn254::pair::ISTANBUL,
            Self::P256Verify => precompile::secp256r1::P256VERIFY,
        }
    }

    /// `None`: it refuses the input.
    fn run(self, input: &[u8], gas_limit: u64, reservoir: u64) -> Result<Option<InterpreterResult>, String> {
        let execute = |input: &[u8]| -> Result<_, String> {
            let output = self.implementation().execute(input, gas_limit, reservoir);
            let output = output.map_err(|error| error.to_string())?;
            Ok(precompile_output_to_interpreter_result(output, gas_limit))
        };
        match self {
            Self::ModExp => match modexp_shape(input, gas_limit) {
                ModExp::Refused => Ok(None),
                ModExp::Zeros { gas, length } => {
                    let mut spent = Gas::new(gas_limit);
                    let _ = spent.record_regular_cost(gas);
                    let output = alloc::vec![0; length].into();
                    Ok(Some(InterpreterResult::new(InstructionResult::Return, output, spent)))
                }
                ModExp::Ordinary => execute(input).map(Some),
            },
            // The ROM reads 160 bytes, whatever there is; cdk-erigon gives nothing for any other length.
            Self::P256Verify => execute(&right_pad_vec(input, 160)).map(Some),
            Self::EcRecoverWithInfinity => {
                let mut result = execute(input)?;
                if result.is_ok() && result.output.is_empty() && recovers_infinity(input) {
                    result.output = infinity_signer();
                }
                Ok(Some(result))
            }
            _ => execute(input).map(Some),
        }
    }
}

/// How the prover takes an input of modexp.
enum ModExp {
    /// A number is too long.
    Refused,
    /// Without a base the result is 0, also for an exponent of 0.
    Zeros { gas: u64, length: usize },
    /// As in Ethereum.
    Ordinary,
}

/// Longest number that modexp takes, in bytes.
const MODEXP_LIMIT: u64 = 1024;

fn modexp_shape(input: &[u8], gas_limit: u64) -> ModExp {
    let word =
        |at: usize| -> U256 { U256::from_be_slice(&right_pad_vec(input.get(at..).unwrap_or_default(), 32)) };
    let [base, exponent, modulus]: [u64; 3] = [0, 32, 64].map(|at| word(at).saturating_to());
    let head = match usize::try_from(base) {
        Ok(base) => word(base.saturating_add(96)),
        Err(_) => U256::ZERO,
    };
    let head = if exponent < 32 { head >> (256 - 8 * exponent) } else { head };
    let gas = modexp::berlin_gas_calc(base, exponent, modulus, &head);
    if gas > gas_limit {
        // Out of gas, which the ordinary way says; it does so before it looks at the numbers.
        return ModExp::Ordinary;
    }
    match (base, exponent, modulus) {
        (_, _, 0) => ModExp::Zeros { gas, length: 0 },
        (_, _, modulus) if modulus > MODEXP_LIMIT => ModExp::Refused,
        (0, _, modulus) => ModExp::Zeros { gas, length: usize::try_from(modulus).unwrap_or(0) },
        (base, exponent, _) if base.max(exponent) > MODEXP_LIMIT => ModExp::Refused,
        _ => ModExp::Ordinary,
    }
}

/// The signature is one for which the key comes out as the point at infinity: `s * R = hash * G`.
fn recovers_infinity(input: &[u8]) -> bool {
    let input = right_pad_vec(input, 128);
    let [hash, v, r, s] = [0, 32, 64, 96].map(|at| B256::from_slice(&input[at..at + 32]));
    let parity = match u64::try_from(U256::from_be_bytes(v.0)) {
        Ok(27) => Choice::from(0),
        Ok(28) => Choice::from(1),
        _ => return false,
    };
    let [hash, s] = [hash, s].map(|word| Scalar::reduce(&Integer::from_be_slice(word.as_slice())));
    let point = AffinePoint::decompress(&r.0.into(), parity);
    let point: Option<AffinePoint> = point.into();
    point.is_some_and(|point| {
        !bool::from(s.is_zero()) && ProjectivePoint::from(point) * s == ProjectivePoint::GENERATOR * hash
    })
}

/// The last 20 bytes of the keccak hash of that point's coordinates, which are zeros.
fn infinity_signer() -> Bytes {
    let mut word = keccak256([0; 64]);
    word[..12].fill(0);
    word.into()
}

impl<C: ContextTr> PrecompileProvider<C> for Precompiles {
    type Output = InterpreterResult;

    fn set_spec(&mut self, _spec: <C::Cfg as Cfg>::Spec) -> bool {
        true
    }

    /// One that does not run in this fork, or refuses its input, behaves like a contract that reverts at once: the value
    /// stays where it was and all gas goes back.
    fn run(&mut self, context: &mut C, inputs: &CallInputs) -> Result<Option<InterpreterResult>, String> {
        if !self.warm.contains(&inputs.bytecode_address) {
            return Ok(None);
        }
        let precompile = self.active.iter().find(|active| active.address() == inputs.bytecode_address);
        let result = match precompile {
            Some(precompile) => {
                precompile.run(&inputs.input.as_bytes(context), inputs.gas_limit, inputs.reservoir)?
            }
            None => None,
        };
        Ok(Some(result.unwrap_or_else(|| {
            InterpreterResult::new(InstructionResult::Revert, Bytes::new(), Gas::new(inputs.gas_limit))
        })))
    }

    fn warm_addresses(&self) -> &AddressSet {
        &self.warm
    }
}
