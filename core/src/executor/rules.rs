//! Every difference between forks, as data.
//!
//! One constant a fork, written as what it changed in the fork before. Nothing else in the crate asks for a fork's number.
//! Where the prover's ROM, cdk-erigon and zkevm-commonjs disagree, the ROM decides what goes into the state, cdk-erigon
//! what goes into header and receipts (`spec/execution.md`, authority).

use crate::{
    chain::{ForkId, UnsupportedFork},
    types::BatchEncoding,
};
use alloc::{borrow::Cow, vec::Vec};
use alloy_primitives::{Log, LogData};

/// What one fork prescribes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// What a block is, and what the protocol writes around it.
    pub block_model: BlockModel,
    /// How batch data is written, and what a batch commits to.
    pub encoding: BatchEncoding,
    /// GASLIMIT, and the gas limit in the block info tree.
    pub block_gas_limit: u64,
    /// Gas limit in the header.
    pub header_gas_limit: u64,
    /// Largest gas limit of a transaction.
    pub transaction_gas_limit: u64,
    /// PUSH0 is an instruction.
    pub push0: bool,
    /// BLOCKHASH of a block that is yet to come reads the system contract like any other; otherwise it is 0.
    pub future_block_hash: bool,
    /// What CALLDATALOAD and CALLDATACOPY read while init code runs.
    pub init_code_input: InitCodeInput,
    /// Precompiles that run. The others among 1 to 9 behave like a contract that reverts and returns its gas.
    pub precompiles: &'static [Precompile],
    /// A call to a precompile that does not run leaves the return data of the call before it.
    pub unsupported_precompile_keeps_return_data: bool,
    /// The block info tree calls a transaction sent to a precompile that does not run a success. The receipt never does.
    pub unsupported_precompile_succeeds: bool,
    /// The address of a contract whose creation failed is cold again.
    pub failed_creation_cools: bool,
    /// A block that imports an L1 info leaf whose fields are all zero makes its batch invalid.
    pub refuses_zero_l1_info: bool,
    /// What a receipt says of the outcome.
    pub receipt_outcome: ReceiptOutcome,
    /// How a log stands in a receipt.
    pub receipt_logs: ReceiptLogs,
}

/// What a block is (`spec/execution.md` §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockModel {
    /// Every transaction is a block of its own, with the timestamp and the exit root of its batch.
    Transaction,
    /// A block is what follows an entry of the batch data that opens one. It has a block info tree.
    L2Block,
}

/// What CALLDATALOAD and CALLDATACOPY read while init code runs. CALLDATASIZE is 0 in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InitCodeInput {
    /// The init code itself.
    Code,
    /// Zeros.
    Empty,
}

/// A contract that the protocol itself runs (`spec/execution.md` §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precompile {
    /// At 1: the signer of a hash.
    EcRecover,
    /// At 1, and a signature whose point is at infinity has a signer too.
    EcRecoverWithInfinity,
    /// At 2.
    Sha256,
    /// At 4: returns its input.
    Identity,
    /// At 5: modular exponentiation, refused for numbers longer than 1,024 bytes.
    ModExp,
    /// At 6: addition on BN254.
    EcAdd,
    /// At 7: multiplication on BN254.
    EcMul,
    /// At 8: pairing check on BN254.
    EcPairing,
    /// At 0x100: a signature on secp256r1.
    P256Verify,
}

/// What a receipt says of the outcome (`spec/execution.md` §7.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceiptOutcome {
    /// The state root after the block, and the gas of the transaction alone.
    BlockStateRoot,
    /// The state root after the transaction, and the gas of the transaction alone.
    TransactionStateRoot,
    /// Whether it succeeded, and the gas of the block so far.
    Status,
}

/// How a log stands in a receipt; the block info tree always takes it raw (`spec/execution.md` §7.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceiptLogs {
    /// Data is filled up with zeros to whole words. A log without topics and data is left out.
    Padded,
    /// The bytes behind the last whole word pass through a hexadecimal number and lose leading zero digits.
    TailAsNumber,
    /// As the EVM wrote it.
    Raw,
}

const FORK_1: Rules = Rules {
    block_model: BlockModel::Transaction,
    encoding: BatchEncoding::FIRST,
    block_gas_limit: 30_000_000,
    header_gas_limit: 30_000_000,
    transaction_gas_limit: 30_000_000,
    push0: false,
    future_block_hash: false,
    init_code_input: InitCodeInput::Code,
    precompiles: &[Precompile::EcRecoverWithInfinity, Precompile::Identity],
    unsupported_precompile_keeps_return_data: true,
    unsupported_precompile_succeeds: false,
    failed_creation_cools: true,
    refuses_zero_l1_info: false,
    receipt_outcome: ReceiptOutcome::BlockStateRoot,
    receipt_logs: ReceiptLogs::Padded,
};

const FORK_2: Rules = Rules {
    future_block_hash: true,
    encoding: BatchEncoding { length_bytes: 3, ..FORK_1.encoding },
    ..FORK_1
};

const FORK_3: Rules = Rules { encoding: BatchEncoding { leading_zeros: false, ..FORK_2.encoding }, ..FORK_2 };

const FORK_4: Rules = FORK_3;

const DRAGONFRUIT: Rules = Rules {
    encoding: BatchEncoding { effective_percentage: true, ..FORK_4.encoding },
    push0: true,
    init_code_input: InitCodeInput::Empty,
    unsupported_precompile_keeps_return_data: false,
    ..FORK_4
};

const INCA_BERRY: Rules =
    Rules { precompiles: &[Precompile::EcRecover, Precompile::Identity], ..DRAGONFRUIT };

const ETROG: Rules = Rules {
    block_model: BlockModel::L2Block,
    encoding: BatchEncoding { l2_blocks: true, ..INCA_BERRY.encoding },
    block_gas_limit: u64::MAX,
    header_gas_limit: 1 << 50,
    precompiles: &[
        Precompile::EcRecover,
        Precompile::Sha256,
        Precompile::Identity,
        Precompile::ModExp,
        Precompile::EcAdd,
        Precompile::EcMul,
        Precompile::EcPairing,
    ],
    unsupported_precompile_succeeds: true,
    receipt_outcome: ReceiptOutcome::TransactionStateRoot,
    ..INCA_BERRY
};

const ELDERBERRY: Rules = Rules {
    block_gas_limit: 1 << 50,
    precompiles: &[
        Precompile::EcRecover,
        Precompile::Sha256,
        Precompile::Identity,
        Precompile::EcAdd,
        Precompile::EcMul,
        Precompile::EcPairing,
    ],
    unsupported_precompile_succeeds: false,
    receipt_outcome: ReceiptOutcome::Status,
    receipt_logs: ReceiptLogs::TailAsNumber,
    ..ETROG
};

const ELDERBERRY_2: Rules = Rules { refuses_zero_l1_info: true, ..ELDERBERRY };

const FORK_10: Rules = Rules { failed_creation_cools: false, ..ELDERBERRY_2 };

const FORK_11: Rules = FORK_10;

const BANANA: Rules = Rules {
    encoding: BatchEncoding { typed_transactions: true, ..FORK_11.encoding },
    receipt_logs: ReceiptLogs::Raw,
    ..FORK_11
};

const DURIAN: Rules = Rules {
    precompiles: &[
        Precompile::EcRecover,
        Precompile::Sha256,
        Precompile::Identity,
        Precompile::ModExp,
        Precompile::EcAdd,
        Precompile::EcMul,
        Precompile::EcPairing,
        Precompile::P256Verify,
    ],
    ..BANANA
};

impl Rules {
    /// The rules of the fork with this number.
    ///
    /// # Errors
    ///
    /// [`UnsupportedFork`] when there is no such fork.
    pub fn of_number(number: u64) -> Result<&'static Self, UnsupportedFork> {
        ForkId::try_from(number).map(Self::of)
    }

    /// The rules of `fork`.
    pub const fn of(fork: ForkId) -> &'static Self {
        match fork {
            ForkId::Fork1 => &FORK_1,
            ForkId::Fork2 => &FORK_2,
            ForkId::Fork3 => &FORK_3,
            ForkId::Fork4 => &FORK_4,
            ForkId::Dragonfruit => &DRAGONFRUIT,
            ForkId::IncaBerry => &INCA_BERRY,
            ForkId::Etrog => &ETROG,
            ForkId::Elderberry => &ELDERBERRY,
            ForkId::Elderberry2 => &ELDERBERRY_2,
            ForkId::Fork10 => &FORK_10,
            ForkId::Fork11 => &FORK_11,
            ForkId::Banana => &BANANA,
            ForkId::Durian => &DURIAN,
        }
    }

    /// The logs as a receipt holds them.
    pub fn receipt_logs<'a>(&self, logs: &'a [Log]) -> Vec<Cow<'a, Log>> {
        let kept = logs.iter().filter(|log| match self.receipt_logs {
            ReceiptLogs::Padded => !(log.topics().is_empty() && log.data.data.is_empty()),
            ReceiptLogs::TailAsNumber | ReceiptLogs::Raw => true,
        });
        kept.map(|log| match self.receipt_logs {
            ReceiptLogs::Padded => padded(log),
            ReceiptLogs::TailAsNumber => tail_as_number(log),
            ReceiptLogs::Raw => Cow::Borrowed(log),
        })
        .collect()
    }
}

/// The log with its data filled up to whole words.
fn padded(log: &Log) -> Cow<'_, Log> {
    let data = &log.data.data;
    if data.len().is_multiple_of(32) {
        return Cow::Borrowed(log);
    }
    let mut filled = data.to_vec();
    filled.resize(data.len().next_multiple_of(32), 0);
    with_data(log, filled)
}

fn with_data(log: &Log, data: Vec<u8>) -> Cow<'_, Log> {
    let topics = log.data.topics().to_vec();
    Cow::Owned(Log { address: log.address, data: LogData::new_unchecked(topics, data.into()) })
}

/// Let `r` be the length of the data mod 32 and `z` the number of leading zero digits (nibbles) in the last `r` bytes,
/// padded with zeros to a word. Those bytes are shifted left by `z` digits while digits remain; when too few remain, what
/// is left is aligned to the right (`spec/execution.md` §7.3, cdk-erigon `core/types/log.go`).
fn tail_as_number(log: &Log) -> Cow<'_, Log> {
    let data = &log.data.data;
    let tail_start = data.len() / 32 * 32;
    let tail = &data[tail_start..];
    if tail.first().is_none_or(|byte| *byte >= 0x10) {
        return Cow::Borrowed(log);
    }
    let mut digits: Vec<u8> = tail.iter().flat_map(|byte| [byte >> 4, byte & 0xf]).collect();
    let wanted = digits.len();
    digits.resize(64, 0);
    let zeros = digits.iter().take_while(|digit| **digit == 0).count();
    let mut kept = digits.split_off(zeros);
    kept.truncate(wanted);
    let mut aligned = alloc::vec![0; wanted - kept.len()];
    aligned.append(&mut kept);

    let mut altered = data[..tail_start].to_vec();
    altered.extend(aligned.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]));
    with_data(log, altered)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{Address, Bytes, hex};

    fn receipt_data(data: &[u8]) -> Vec<u8> {
        let log = Log::new_unchecked(Address::ZERO, Vec::new(), Bytes::copy_from_slice(data));
        let logs = [log];
        Rules::of(ForkId::Elderberry2).receipt_logs(&logs)[0].data.data.to_vec()
    }

    #[test]
    fn log_data_of_whole_words_is_untouched() {
        let data = [0; 64];
        assert_eq!(receipt_data(&data), data);
        assert_eq!(receipt_data(&[]), [0; 0]);
    }

    #[test]
    fn a_tail_loses_its_leading_zero_digits() {
        assert_eq!(receipt_data(&hex!("1234")), hex!("1234"));
        assert_eq!(receipt_data(&hex!("0123")), hex!("1230"));
        assert_eq!(receipt_data(&hex!("000012")), hex!("120000"));
        let word = [0x11; 32];
        assert_eq!(receipt_data(&[&word[..], &hex!("0a0b")].concat()), [&word[..], &hex!("a0b0")].concat());
    }

    #[test]
    fn a_tail_with_few_digits_left_is_aligned_to_the_right() {
        // 31 bytes: 62 digits wanted, but only 64 - 61 remain behind the zeros.
        let mut data = [0; 31];
        data[30] = 0x0f;
        let mut expected = [0; 31];
        expected[29..].copy_from_slice(&hex!("0f00"));
        assert_eq!(receipt_data(&data), expected);
        assert_eq!(receipt_data(&[0; 5]), [0; 5]);
    }
}
