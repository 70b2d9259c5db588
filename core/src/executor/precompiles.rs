//! The contracts that the protocol itself runs (`spec/execution.md` §3).

use super::rules::{Precompile, Rules};
use crate::types::signer;
use alloc::{string::String, vec::Vec};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use k256::{
    AffinePoint, ProjectivePoint, Scalar, U256 as Integer, ecdsa,
    elliptic_curve::{ops::Reduce, point::DecompressPoint, subtle::Choice},
};
use revm::{
    context::{Cfg, ContextTr},
    handler::{PrecompileProvider, precompile_output_to_interpreter_result},
    interpreter::{CallInputs, Gas, InstructionResult, InterpreterResult},
    // Each operation is called by its name: through the table that revm keeps, all of Ethereum's would be linked.
    precompile::{
        Crypto as _, DefaultCrypto, EthPrecompileOutput, EthPrecompileResult, PrecompileHalt,
        PrecompileOutput, calc_linear_cost, identity,
        modexp::berlin_gas_calc,
        u64_to_address,
        utilities::{bool_to_bytes32, left_pad_vec_be, right_pad, right_pad_vec},
    },
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

    /// `None`: it refuses the input.
    fn run(self, input: &[u8], gas_limit: u64, reservoir: u64) -> Option<InterpreterResult> {
        let result = match self {
            Self::EcRecover => priced(3000, gas_limit, || Ok(signer_of(input).unwrap_or_default())),
            Self::EcRecoverWithInfinity => priced(3000, gas_limit, || {
                let infinity = || recovers_infinity(input).then(infinity_signer);
                Ok(signer_of(input).or_else(infinity).unwrap_or_default())
            }),
            Self::Sha256 => priced(calc_linear_cost(input.len(), 60, 12), gas_limit, || {
                Ok(Bytes::copy_from_slice(&DefaultCrypto.sha256(input)))
            }),
            Self::Identity => identity::identity_run(input, gas_limit),
            Self::ModExp => modexp(input, gas_limit)?,
            Self::EcAdd => priced(150, gas_limit, || {
                let input = right_pad::<128>(input);
                DefaultCrypto.bn254_g1_add(&input[..64], &input[64..]).map(Bytes::from)
            }),
            Self::EcMul => priced(6000, gas_limit, || {
                let input = right_pad::<96>(input);
                DefaultCrypto.bn254_g1_mul(&input[..64], &input[64..]).map(Bytes::from)
            }),
            Self::EcPairing => pairing(input, gas_limit),
            // The ROM reads 160 bytes, whatever there is; cdk-erigon gives nothing for any other length.
            Self::P256Verify => priced(3450, gas_limit, || {
                let input = right_pad::<160>(input);
                let (hash, rest) = input.split_first_chunk().unwrap_or((&[0; 32], &[]));
                let (signature, rest) = rest.split_first_chunk().unwrap_or((&[0; 64], &[]));
                let key = rest.first_chunk().unwrap_or(&[0; 64]);
                let holds = DefaultCrypto.secp256r1_verify_signature(hash, signature, key);
                Ok(if holds { B256::with_last_byte(1).into() } else { Bytes::new() })
            }),
        };
        let output = PrecompileOutput::from_eth_result(result, reservoir);
        Some(precompile_output_to_interpreter_result(output, gas_limit))
    }
}

/// Runs if the gas is there.
fn priced(
    gas: u64,
    gas_limit: u64,
    run: impl FnOnce() -> Result<Bytes, PrecompileHalt>,
) -> EthPrecompileResult {
    if gas > gas_limit {
        return Err(PrecompileHalt::OutOfGas);
    }
    Ok(EthPrecompileOutput::new(gas, run()?))
}

/// The signer's address as a word; `None` when there is none.
fn signer_of(input: &[u8]) -> Option<Bytes> {
    let (hash, odd, [r, s]) = signed(&right_pad::<128>(input))?;
    let signature = ecdsa::Signature::from_scalars(r.0, s.0).ok()?;
    // Of the two forms of a signature the other one has the other point.
    let low = signature.normalize_s();
    let address = signer(&low, odd ^ (low != signature), hash)?;
    Some(address.into_word().into())
}

/// What was signed, the parity of the point, and the signature's two numbers; `None` for a `v` other than 27 and 28.
fn signed(input: &[u8; 128]) -> Option<(B256, bool, [B256; 2])> {
    let [hash, v, r, s] = [0, 32, 64, 96].map(|at| B256::from_slice(&input[at..at + 32]));
    let odd = match u64::try_from(U256::from_be_bytes(v.0)) {
        Ok(27) => false,
        Ok(28) => true,
        _ => return None,
    };
    Some((hash, odd, [r, s]))
}

/// Whether a product of pairings is one.
fn pairing(input: &[u8], gas_limit: u64) -> EthPrecompileResult {
    let (pairs, rest) = input.as_chunks::<192>();
    priced(45_000 + 34_000 * pairs.len() as u64, gas_limit, || {
        if !rest.is_empty() {
            return Err(PrecompileHalt::Bn254PairLength);
        }
        let pairs: Vec<_> = pairs.iter().map(|pair| pair.split_at(64)).collect();
        DefaultCrypto.bn254_pairing_check(&pairs).map(bool_to_bytes32)
    })
}

/// Longest number that modexp takes, in bytes.
const MODEXP_LIMIT: u64 = 1024;

/// Modular exponentiation as the prover has it; `None` when a number is too long for it.
fn modexp(input: &[u8], gas_limit: u64) -> Option<EthPrecompileResult> {
    let word =
        |at: usize| -> U256 { U256::from_be_slice(&right_pad_vec(input.get(at..).unwrap_or_default(), 32)) };
    let [base, exponent, modulus]: [u64; 3] = [0, 32, 64].map(|at| word(at).saturating_to());
    let head = match usize::try_from(base) {
        Ok(base) => word(base.saturating_add(96)),
        Err(_) => U256::ZERO,
    };
    let head = if exponent < 32 { head >> (256 - 8 * exponent) } else { head };
    let gas = berlin_gas_calc(base, exponent, modulus, &head);
    if gas > gas_limit {
        return Some(Err(PrecompileHalt::OutOfGas));
    }
    let long = |length: u64| usize::try_from(length).ok().filter(|_| length <= MODEXP_LIMIT);
    let output = match (base, modulus) {
        (_, 0) => Vec::new(),
        // Without a base the result is 0, also for an exponent of 0.
        (0, _) => alloc::vec![0; long(modulus)?],
        _ => {
            let (base, exponent, modulus) = (long(base)?, long(exponent)?, long(modulus)?);
            let numbers = right_pad_vec(input.get(96..).unwrap_or_default(), base + exponent + modulus);
            let (base, rest) = numbers.split_at(base);
            let (exponent, modulus) = rest.split_at(exponent);
            match DefaultCrypto.modexp(base, exponent, modulus) {
                Ok(result) => left_pad_vec_be(&result, modulus.len()).into_owned(),
                Err(halt) => return Some(Err(halt)),
            }
        }
    };
    Some(Ok(EthPrecompileOutput::new(gas, output.into())))
}

/// The signature is one for which the key comes out as the point at infinity: `s * R = hash * G`.
fn recovers_infinity(input: &[u8]) -> bool {
    let Some((hash, odd, [r, s])) = signed(&right_pad::<128>(input)) else { return false };
    let parity = Choice::from(u8::from(odd));
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
                precompile.run(&inputs.input.as_bytes(context), inputs.gas_limit, inputs.reservoir)
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

#[cfg(test)]
mod tests {
    use super::*;
    use k256::ecdsa::SigningKey;
    use proptest::prelude::*;
    use revm::precompile;

    /// The same in revm's own table, which every program that links it has in full.
    fn reference(precompile: Precompile) -> precompile::Precompile {
        match precompile {
            Precompile::EcRecover | Precompile::EcRecoverWithInfinity => precompile::secp256k1::ECRECOVER,
            Precompile::Sha256 => precompile::hash::SHA256,
            Precompile::Identity => precompile::identity::FUN,
            Precompile::ModExp => precompile::modexp::BERLIN,
            Precompile::EcAdd => precompile::bn254::add::ISTANBUL,
            Precompile::EcMul => precompile::bn254::mul::ISTANBUL,
            Precompile::EcPairing => precompile::bn254::pair::ISTANBUL,
            Precompile::P256Verify => precompile::secp256r1::P256VERIFY,
        }
    }

    fn check(precompile: Precompile, input: &[u8], gas_limit: u64) {
        let output = reference(precompile).execute(input, gas_limit, 0).unwrap();
        let expected = precompile_output_to_interpreter_result(output, gas_limit);
        assert_eq!(precompile.run(input, gas_limit, 0), Some(expected), "{precompile:?}");
    }

    fn word(number: u64) -> [u8; 32] {
        U256::from(number).to_be_bytes()
    }

    /// `(1, 2)`, which generates the first group.
    fn generator() -> Vec<u8> {
        [word(1), word(2)].concat()
    }

    #[test]
    fn each_is_revms_at_the_borders_of_its_gas() {
        let pair = [word(0); 6].concat();
        for (precompile, input, gas) in [
            (Precompile::EcRecover, Vec::new(), 3000),
            (Precompile::Sha256, alloc::vec![7; 33], 84),
            (Precompile::Identity, alloc::vec![7; 33], 21),
            (Precompile::ModExp, [word(1), word(1), word(1)].concat(), 200),
            (Precompile::EcAdd, [generator(), generator()].concat(), 150),
            (Precompile::EcAdd, [word(1), word(1)].concat(), 150),
            (Precompile::EcMul, [generator(), word(9).to_vec()].concat(), 6000),
            (Precompile::EcMul, [generator(), alloc::vec![255; 32]].concat(), 6000),
            (Precompile::EcPairing, Vec::new(), 45_000),
            (Precompile::EcPairing, pair.clone(), 79_000),
            (Precompile::EcPairing, pair[1..].to_vec(), 79_000),
            (Precompile::P256Verify, alloc::vec![0; 160], 3450),
        ] {
            for limit in [0, gas - 1, gas, gas + 1, 1_000_000] {
                check(precompile, &input, limit);
            }
        }
    }

    proptest! {
        #[test]
        fn signers_are_revms(key in 1..u64::MAX, hash: [u8; 32], high: bool, odd: bool, at in 0..128_usize, flip: u8) {
            let key = SigningKey::from_slice(&word(key)).unwrap();
            let (signature, parity) = key.sign_prehash_recoverable(&hash);
            let (r, s) = signature.split_bytes();
            let s = if high { (-*signature.s()).to_bytes() } else { s };
            let v = 27 + u64::from(parity.is_y_odd() ^ odd);
            let mut input = [&hash[..], &word(v), &r[..], &s[..]].concat();
            check(Precompile::EcRecover, &input, 5000);
            check(Precompile::EcRecoverWithInfinity, &input, 5000);
            input[at] ^= flip;
            check(Precompile::EcRecover, &input, 5000);
        }

        #[test]
        fn any_bytes_give_what_they_give_in_revm(
            input in prop::collection::vec(any::<u8>(), 0..400),
            gas_limit in prop::sample::select(alloc::vec![100, 5000, 200_000]),
        ) {
            for precompile in [
                Precompile::EcRecover,
                Precompile::Sha256,
                Precompile::Identity,
                Precompile::EcAdd,
                Precompile::EcMul,
                Precompile::EcPairing,
            ] {
                check(precompile, &input, gas_limit);
            }
            let mut padded = input;
            padded.resize(160, 0);
            check(Precompile::P256Verify, &padded, gas_limit);
        }

        #[test]
        fn points_are_added_and_multiplied_as_in_revm(x: u64, y: u64) {
            let point = |factor| {
                let input = [generator(), word(factor).to_vec()].concat();
                Precompile::EcMul.run(&input, 6000, 0).unwrap().output
            };
            check(Precompile::EcMul, &[generator(), word(x).to_vec()].concat(), 6000);
            check(Precompile::EcAdd, &[point(x), point(y)].concat(), 150);
        }

        #[test]
        fn powers_are_revms(
            base in prop::collection::vec(any::<u8>(), 1..70),
            exponent in prop::collection::vec(any::<u8>(), 0..40),
            modulus in prop::collection::vec(any::<u8>(), 1..70),
            cut in 0..40_usize,
        ) {
            let [b, e, m] = [&base, &exponent, &modulus].map(|number| word(number.len() as u64));
            let mut input = [&b[..], &e, &m, &base, &exponent, &modulus].concat();
            check(Precompile::ModExp, &input, 1_000_000);
            input.truncate(input.len() - cut.min(modulus.len()));
            check(Precompile::ModExp, &input, 1_000_000);
        }
    }
}
