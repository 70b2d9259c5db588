//! Every difference between forks, as data.
//!
//! One column a fork: what a fork changed is read off against its neighbour. Nothing else in the crate asks for a fork's
//! number.

use crate::chain::ForkId;
use alloc::{borrow::Cow, vec::Vec};
use alloy_primitives::{Log, LogData};

/// What one fork prescribes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// GASLIMIT, and the gas limit in the block info tree.
    pub block_gas_limit: u64,
    /// Gas limit in the header.
    pub header_gas_limit: u64,
    /// Largest gas limit of a transaction.
    pub transaction_gas_limit: u64,
    /// Precompiles that run. The others among 1 to 9 behave like a contract that reverts and returns its gas.
    pub precompiles: &'static [Precompile],
    /// How a log's data stands in a receipt.
    pub receipt_log_data: ReceiptLogData,
    /// The main node gives the state root after each transaction.
    pub intermediate_state_roots: bool,
    /// A block that imports an L1 info leaf whose fields are all zero makes its batch invalid.
    pub refuses_zero_l1_info: bool,
}

/// A contract that the protocol itself runs (`spec/execution.md` §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precompile {
    /// At 1: the signer of a hash.
    EcRecover,
    /// At 2.
    Sha256,
    /// At 4: returns its input.
    Identity,
    /// At 6: addition on BN254.
    EcAdd,
    /// At 7: multiplication on BN254.
    EcMul,
    /// At 8: pairing check on BN254.
    EcPairing,
}

/// How a log's data stands in a receipt; the block info tree always takes it raw (`spec/execution.md` §7.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceiptLogData {
    /// The bytes behind the last whole word pass through a hexadecimal number and lose leading zero digits.
    TailAsNumber,
}

const ELDERBERRY_2: Rules = Rules {
    block_gas_limit: 1 << 50,
    header_gas_limit: 1 << 50,
    transaction_gas_limit: 30_000_000,
    precompiles: &[
        Precompile::EcRecover,
        Precompile::Sha256,
        Precompile::Identity,
        Precompile::EcAdd,
        Precompile::EcMul,
        Precompile::EcPairing,
    ],
    receipt_log_data: ReceiptLogData::TailAsNumber,
    intermediate_state_roots: false,
    refuses_zero_l1_info: true,
};

impl Rules {
    /// The rules of `fork`.
    pub const fn of(fork: ForkId) -> &'static Self {
        match fork {
            ForkId::Elderberry2 => &ELDERBERRY_2,
        }
    }

    /// The logs as a receipt holds them.
    pub(super) fn receipt_logs<'a>(&self, logs: &'a [Log]) -> Vec<Cow<'a, Log>> {
        logs.iter()
            .map(|log| match self.receipt_log_data {
                ReceiptLogData::TailAsNumber => tail_as_number(log),
            })
            .collect()
    }
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
    let topics = log.data.topics().to_vec();
    Cow::Owned(Log { address: log.address, data: LogData::new_unchecked(topics, altered.into()) })
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
