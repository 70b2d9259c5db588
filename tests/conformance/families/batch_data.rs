//! Batch data: read, written again byte for byte, and every transaction in it signed. `batch-encoding` of the `units` has
//! data in the encoding before fork 5.

use alloy_consensus::TxLegacy;
use alloy_primitives::{Address, B256, Bytes, FixedBytes, TxKind, U256};
use serde::{Deserialize, de::IgnoredAny};
use zk_replica_core::{
    chain::ForkId,
    executor::Rules,
    source::{
        batch_data::{self, BatchEntry, BatchTransaction, Irregularity},
        sequence::{SequenceCall, SequenceError},
    },
    types::{EncodedTransaction, Transaction},
};

/// The entries of data that somebody has posted under the rules of `fork`. They are written as they were read, and so is
/// what their transactions turn out to be.
pub(super) fn entries(data: &[u8], fork: ForkId) -> Vec<BatchEntry> {
    let encoding = &Rules::of(fork).encoding;
    let entries = batch_data::decode(data, encoding).unwrap_or_else(|error| panic!("fork {fork:?}: {error}"));
    assert!(batch_data::encode(&entries, encoding) == data, "the entries are written in another way");
    for entry in &entries {
        if let BatchEntry::Transaction(transaction) = entry {
            let recovered = transaction.recover().expect("signed");
            assert_eq!(BatchTransaction::from(&recovered), *transaction, "taken from what it is");
        }
    }
    entries
}

/// A batch of `units/batch-encoding.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct EncodingCase {
    #[serde(rename = "index")]
    _index: IgnoredAny,
    #[serde(rename = "id")]
    _id: IgnoredAny,
    txs: Vec<Sent>,
    #[serde(rename = "batchL2Data")]
    data: Bytes,
    #[serde(rename = "polAmount")]
    fee: U256,
    full_call_data: Bytes,
}

/// A transaction of one: what it says, and how Ethereum and batch data write it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Sent {
    #[serde(rename = "id")]
    _id: IgnoredAny,
    from: Address,
    to: Address,
    nonce: u64,
    value: U256,
    gas_limit: u64,
    gas_price: U256,
    chain_id: u64,
    raw_tx: Bytes,
    custom_raw_tx: Bytes,
    /// Why it does not run, which is not the question here.
    #[serde(rename = "reason")]
    _reason: IgnoredAny,
    /// The last three bytes are cut off.
    #[serde(default)]
    encode_invalid_data: bool,
}

/// Forks whose data has no percentages.
const WITHOUT_PERCENTAGE: [ForkId; 4] = [ForkId::Fork1, ForkId::Fork2, ForkId::Fork3, ForkId::Fork4];

/// Forks that must not take such data for theirs.
const WITH_PERCENTAGE: [ForkId; 2] = [ForkId::Dragonfruit, ForkId::Elderberry2];

pub(super) fn check_encoding(case: EncodingCase) {
    check_call(&case);
    let invalid = case.txs.iter().any(|sent| sent.encode_invalid_data);
    let written = case.txs.iter().map(|sent| sent.custom_raw_tx.as_ref()).collect::<Vec<_>>().concat();
    let cut = if invalid { 3 } else { 0 };
    assert!(written[..written.len() - cut] == *case.data, "not the transactions one after the other");
    for fork in WITHOUT_PERCENTAGE {
        if invalid {
            let error = batch_data::decode(&case.data, &Rules::of(fork).encoding);
            assert_eq!(error.map_err(|error| error.reason), Err(Irregularity::CutShort));
            continue;
        }
        let entries = entries(&case.data, fork);
        assert_eq!(entries.len(), case.txs.len());
        entries.iter().zip(&case.txs).for_each(|(entry, sent)| sent.check(entry, fork));
    }
    for fork in WITH_PERCENTAGE {
        assert!(batch_data::decode(&case.data, &Rules::of(fork).encoding).is_err(), "read by fork {fork:?}");
    }
}

/// `sendBatch(bytes,uint256)` of the first contract, which no public chain has had: [`SequenceCall`] knows it not, and
/// its arguments are the data and the fee.
fn check_call(case: &EncodingCase) {
    let selector = FixedBytes([0x06, 0xd6, 0x49, 0x0f]);
    assert_eq!(SequenceCall::decode(&case.full_call_data), Err(SequenceError::Selector(selector)));
    let words = [U256::from(64), case.fee, U256::from(case.data.len())].map(B256::from);
    let padding = case.data.len().next_multiple_of(32) - case.data.len();
    let call = [selector.as_slice(), &words.concat(), &case.data, &vec![0; padding]].concat();
    assert!(call == *case.full_call_data, "not the call data of this batch");
}

impl Sent {
    fn check(&self, entry: &BatchEntry, fork: ForkId) {
        let BatchEntry::Transaction(transaction) = entry else {
            panic!("{entry:?} is no transaction");
        };
        let recovered = transaction.recover().expect("signed");
        let fields = TxLegacy {
            chain_id: Some(self.chain_id),
            nonce: self.nonce,
            gas_price: self.gas_price.to(),
            gas_limit: self.gas_limit,
            to: TxKind::Call(self.to),
            value: self.value,
            input: Bytes::new(),
        };
        assert_eq!((recovered.fields(), recovered.sender()), (&fields, self.from));
        assert_eq!(recovered.effective_percentage(), 255);
        let encoding = &Rules::of(fork).encoding;
        assert!(batch_data::encode([entry], encoding) == *self.custom_raw_tx, "written by itself");
        let sent = self.sent();
        // Ethereum's RLP has no chain id 0: signed without one, the transaction is another.
        if self.chain_id == 0 {
            assert_eq!(sent.fields(), &TxLegacy { chain_id: None, ..fields });
        } else {
            assert_eq!((&recovered, transaction), (&sent, &BatchTransaction::from(&sent)));
        }
    }

    /// The transaction as it was sent to the node.
    fn sent(&self) -> Transaction {
        let encoded = EncodedTransaction { encoded: self.raw_tx.clone(), effective_percentage: 255 };
        encoded.recover().expect("signed")
    }
}
