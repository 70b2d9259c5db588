//! `l1`: call data that sequencers have sent to L1.

use alloy_primitives::{Address, B256, Bytes, FixedBytes, keccak256};
use serde::{Deserialize, de::IgnoredAny};
use std::collections::BTreeMap;
use zk_replica_core::source::sequence::{
    Batch, BatchData, Bounds, PreEtrogBatch, SequenceCall, SequenceError,
};
use zk_replica_tests::{answers::read, vectors};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Case {
    name: String,
    #[serde(rename = "source")]
    _source: IgnoredAny,
    selector: FixedBytes<4>,
    function: String,
    era: String,
    calldata: Bytes,
    decoded: Decoded,
    #[serde(rename = "l1Transaction")]
    _l1_transaction: Option<IgnoredAny>,
    off_chain_data: Option<BTreeMap<B256, Bytes>>,
}

/// The arguments by the names that the contracts give them.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Decoded {
    batches: Vec<DecodedBatch>,
    l1_info_tree_leaf_count: Option<u32>,
    max_sequence_timestamp: Option<u64>,
    init_sequenced_batch: Option<u64>,
    expected_final_acc_input_hash: Option<B256>,
    #[serde(rename = "l2Coinbase")]
    coinbase: Address,
    data_availability_message: Option<Bytes>,
}

#[derive(Clone, Deserialize)]
#[serde(untagged, deny_unknown_fields, rename_all_fields = "camelCase")]
enum DecodedBatch {
    Rollup {
        transactions: Bytes,
        forced_global_exit_root: B256,
        forced_timestamp: u64,
        #[serde(rename = "forcedBlockHashL1")]
        forced_block_hash: B256,
    },
    Validium {
        transactions_hash: B256,
        forced_global_exit_root: B256,
        forced_timestamp: u64,
        #[serde(rename = "forcedBlockHashL1")]
        forced_block_hash: B256,
    },
    PreEtrog {
        transactions: Bytes,
        global_exit_root: B256,
        timestamp: u64,
        min_forced_timestamp: u64,
    },
}

impl DecodedBatch {
    fn batch(self) -> Option<Batch> {
        match self {
            Self::Rollup { transactions, forced_global_exit_root, forced_timestamp, forced_block_hash } => {
                let data = BatchData::Encoded(transactions);
                Some(Batch { data, forced_global_exit_root, forced_timestamp, forced_block_hash })
            }
            Self::Validium {
                transactions_hash,
                forced_global_exit_root,
                forced_timestamp,
                forced_block_hash,
            } => {
                let data = BatchData::Hash(transactions_hash);
                Some(Batch { data, forced_global_exit_root, forced_timestamp, forced_block_hash })
            }
            Self::PreEtrog { .. } => None,
        }
    }

    fn pre_etrog(self) -> Option<PreEtrogBatch> {
        match self {
            Self::PreEtrog { transactions, global_exit_root, timestamp, min_forced_timestamp } => {
                Some(PreEtrogBatch { transactions, global_exit_root, timestamp, min_forced_timestamp })
            }
            _ => None,
        }
    }
}

impl Decoded {
    fn call(self) -> SequenceCall {
        let Self { batches, coinbase, .. } = self;
        let batches = batches.into_iter();
        let bounds = (
            self.l1_info_tree_leaf_count,
            self.max_sequence_timestamp,
            self.init_sequenced_batch,
            self.expected_final_acc_input_hash,
        );
        let bounds = match bounds {
            (None, None, None, None) => {
                let batches = batches.map(|batch| batch.pre_etrog().expect("before Etrog"));
                return SequenceCall::PreEtrog { batches: batches.collect(), coinbase };
            }
            (None, Some(max_timestamp), Some(previous_batch), None) => {
                Bounds::Elderberry { max_timestamp, previous_batch }
            }
            (Some(l1_info_leaves), Some(max_timestamp), None, Some(final_acc_input_hash)) => {
                Bounds::Banana { l1_info_leaves, max_timestamp, final_acc_input_hash }
            }
            other => unreachable!("{other:?}"),
        };
        SequenceCall::Etrog {
            batches: batches.map(|batch| batch.batch().expect("since Etrog")).collect(),
            bounds,
            coinbase,
            data_availability: self.data_availability_message,
        }
    }
}

fn cases(test: &str) -> Option<Vec<Case>> {
    let cases: Vec<Case> = read(&vectors(test)?.join("l1/sequence-batches-calldata.json"));
    assert_eq!(cases.len(), 7);
    Some(cases)
}

#[test]
fn every_call_decodes_as_published() {
    let Some(cases) = cases("every_call_decodes_as_published") else {
        return;
    };
    for case in cases {
        let name = format!("{}, {}, {}", case.name, case.function, case.era);
        assert_eq!(case.calldata[..4], case.selector, "{name}");
        assert_eq!(SequenceCall::decode(&case.calldata), Ok(case.decoded.call()), "{name}");
    }
}

#[test]
fn no_part_of_a_call_decodes() {
    let Some(cases) = cases("no_part_of_a_call_decodes") else {
        return;
    };
    for case in cases {
        let length = case.calldata.len();
        // The last word is padding, at least in part.
        for end in (0..length - 32).step_by(1 + length / 500) {
            let part = SequenceCall::decode(&case.calldata.slice(..end));
            let expected =
                matches!(part, Err(SequenceError::Truncated { .. } | SequenceError::Beyond { .. }));
            assert!(expected, "{}, {end} bytes: {part:?}", case.name);
        }
    }
}

#[test]
fn data_of_a_validium_has_the_hashes_of_its_batches() {
    let Some(cases) = cases("data_of_a_validium_has_the_hashes_of_its_batches") else {
        return;
    };
    let (mut found, mut unknown) = (0, 0);
    for case in cases {
        let Ok(SequenceCall::Etrog { batches, data_availability: Some(_), .. }) =
            SequenceCall::decode(&case.calldata)
        else {
            assert!(case.off_chain_data.is_none(), "{}", case.name);
            continue;
        };
        for batch in batches {
            assert!(matches!(batch.data, BatchData::Hash(_)), "{}", case.name);
            match &case.off_chain_data {
                None => unknown += 1,
                Some(data) => {
                    let data = &data[&batch.data.hash()];
                    assert_eq!(keccak256(data), batch.data.hash(), "{}", case.name);
                    assert_eq!(BatchData::Encoded(data.clone()).hash(), batch.data.hash(), "{}", case.name);
                    found += 1;
                }
            }
        }
    }
    assert_eq!((found, unknown), (3, 3));
}
