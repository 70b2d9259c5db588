//! `l1`: what is recorded of L1. Call data of sequencers, the data of their batches, and final proofs.

use super::{batch_data::entries, name_of, one, parse, state_transition, state_transition::Form};
use crate::case::Case;
use alloy_primitives::{Address, B256, Bytes, FixedBytes, U256, keccak256, uint};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use zk_replica_core::{
    chain::ForkId,
    executor::Rules,
    source::{
        batch_data::{self, BatchEntry},
        sequence::{Batch, BatchData, Bounds, PreEtrogBatch, SequenceCall, SequenceError},
    },
};

const FAMILY: &str = "l1";

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Call {
    #[serde(rename = "name")]
    _name: IgnoredAny,
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

type CheckCall = fn(Call);

/// What is checked of every call.
const CALL_CHECKS: &[(&str, CheckCall)] = &[
    ("arguments", check_arguments),
    ("nothing cut off is read", check_parts),
    ("data of the batches", check_data),
];

/// The cases of a list of calls.
pub(super) fn calls(list: &[&RawValue]) -> Vec<Case> {
    let cases = list.iter().flat_map(|json| match name_of(json) {
        Ok(name) => {
            let case =
                |(what, check): &(&str, CheckCall)| one(FAMILY, format!("{name}, {what}"), json, *check);
            CALL_CHECKS.iter().map(case).collect()
        }
        Err(failed) => vec![failed],
    });
    cases.collect()
}

impl Call {
    /// A fork of the era, in whose encoding the data is. The README says no more; before Etrog only some forks had
    /// percentages, and the recorded batch has none.
    fn fork(&self) -> ForkId {
        match self.era.as_str() {
            "pre-Etrog (fork 1-6)" => ForkId::Fork4,
            "Elderberry (fork 8-11)" => ForkId::Elderberry2,
            "Banana (fork 12+)" => ForkId::Banana,
            other => panic!("unknown era {other:?}"),
        }
    }
}

fn check_arguments(call: Call) {
    let count = call.decoded.batches.len();
    let validium = call.decoded.data_availability_message.is_some();
    assert_eq!(call.calldata[..4], call.selector);
    assert_eq!(call.function, if validium { "sequenceBatchesValidium" } else { "sequenceBatches" });
    let decoded = SequenceCall::decode(&call.calldata).expect("well-formed");
    assert_eq!(decoded.batch_count(), count);
    let era = match &decoded {
        SequenceCall::PreEtrog { .. } => "pre-Etrog (fork 1-6)",
        SequenceCall::Etrog { bounds: Bounds::Elderberry { .. }, .. } => "Elderberry (fork 8-11)",
        SequenceCall::Etrog { bounds: Bounds::Banana { .. }, .. } => "Banana (fork 12+)",
        other => panic!("another function: {other:?}"),
    };
    assert_eq!(call.era, era);
    assert_eq!(decoded, call.decoded.call());
}

fn check_parts(call: Call) {
    let length = call.calldata.len();
    // The last word is padding, at least in part.
    for end in (0..length - 32).step_by(1 + length / 500) {
        let part = SequenceCall::decode(&call.calldata.slice(..end));
        let refused = matches!(part, Err(SequenceError::Truncated { .. } | SequenceError::Beyond { .. }));
        assert!(refused, "{end} bytes: {part:?}");
    }
}

/// The data of every batch reads and writes back, what a validium keeps elsewhere by its hash. Where that is not given,
/// there is nothing but the hash.
fn check_data(mut call: Call) {
    let fork = call.fork();
    match SequenceCall::decode(&call.calldata).expect("well-formed") {
        SequenceCall::PreEtrog { batches, .. } => {
            batches.iter().for_each(|batch| _ = entries(&batch.transactions, fork));
        }
        SequenceCall::Etrog { batches, .. } => {
            batches.iter().for_each(|batch| check_batch(batch, call.off_chain_data.as_mut(), fork));
        }
        other => panic!("another function: {other:?}"),
    }
    let left = call.off_chain_data.unwrap_or_default();
    assert!(left.is_empty(), "no batch has the hashes {:?}", left.keys());
}

fn check_batch(batch: &Batch, off_chain: Option<&mut BTreeMap<B256, Bytes>>, fork: ForkId) {
    let hash = batch.data.hash();
    match (&batch.data, off_chain) {
        (BatchData::Encoded(data), None) => {
            assert_eq!(keccak256(data), hash);
            check_blocks(data, fork);
        }
        (BatchData::Hash(_), Some(off_chain)) => {
            let data = off_chain.remove(&hash).expect("the data of the hash");
            assert_eq!(BatchData::Encoded(data.clone()).hash(), hash);
            check_blocks(&data, fork);
        }
        (BatchData::Hash(_), None) => {}
        (BatchData::Encoded(_), Some(_)) => panic!("data on L1 and elsewhere"),
    }
}

/// Data since Etrog begins with a block.
fn check_blocks(data: &[u8], fork: ForkId) -> Vec<BatchEntry> {
    let entries = entries(data, fork);
    assert!(matches!(entries.first(), Some(BatchEntry::ChangeL2Block(_))), "no block");
    entries
}

/// Recovered data of a batch. Its name says what is in it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Recovered {
    name: String,
    #[serde(rename = "forkID")]
    fork: u64,
    #[serde(rename = "batchL2Data")]
    data: Bytes,
}

/// The cases of a list of them.
pub(super) fn batches(list: &[&RawValue]) -> Vec<Case> {
    let case = |json: &&RawValue| match name_of(json) {
        Ok(name) => one(FAMILY, format!("{name}, batch data"), json, check_recovered),
        Err(failed) => failed,
    };
    list.iter().map(case).collect()
}

fn check_recovered(batch: Recovered) {
    let fork = ForkId::try_from(batch.fork).expect("a fork");
    let (mut legacy, mut typed) = (0_usize, 0);
    for entry in check_blocks(&batch.data, fork) {
        match entry {
            BatchEntry::ChangeL2Block(_) => {}
            BatchEntry::Transaction(_) => legacy += 1,
            BatchEntry::Typed { envelope, .. } => {
                assert_eq!(envelope.first(), Some(&2), "the type of a transaction");
                typed += 1;
            }
        }
    }
    match batch.name.as_str() {
        "fork12_Only_Type2_Txs" => assert!(legacy == 0 && typed > 0, "{legacy} and {typed}"),
        "fork12_965Transactions" => assert_eq!(legacy + typed, 965),
        // Others only have to read and write back.
        _ => {}
    }
    // Only from fork 12 on are there typed transactions.
    let before = batch_data::decode(&batch.data, &Rules::of(ForkId::Fork11).encoding);
    assert_eq!(before.is_ok(), typed == 0, "by the rules of fork 11");
}

/// A final proof as the contracts' tests have it, and what it is a proof of, if that is known.
///
/// Whether it holds is not verified here. That takes the verification key of the verifier contract that it was made for
/// (`spec/sync.md` §4.10: C0 differs between deployments) and a pairing, and would add nothing: the replica has no use for
/// a proof, as L1 has verified it before its state root is there to be compared.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Final {
    #[serde(rename = "source")]
    _source: IgnoredAny,
    proof: Proof,
    /// The public input.
    public: [U256; 1],
    input: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Proof {
    protocol: String,
    curve: String,
    polynomials: BTreeMap<String, [U256; 3]>,
    evaluations: BTreeMap<String, U256>,
}

/// What the public input commits to, and the batches that were proved.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Input {
    single_batch_data: Vec<ProvedBatch>,
    old_state_root: B256,
    old_acc_input_hash: B256,
    old_num_batch: u64,
    new_state_root: B256,
    new_acc_input_hash: B256,
    new_local_exit_root: B256,
    new_num_batch: u64,
    #[serde(rename = "chainID")]
    chain_id: u64,
    #[serde(rename = "forkID")]
    fork_id: u64,
    aggregator_address: Address,
    input_snark: U256,
}

/// Where a batch begins and ends; the rest of it is for [`state_transition`].
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProvedBatch {
    old_state_root: B256,
    old_acc_input_hash: B256,
    old_num_batch: u64,
    new_state_root: B256,
    new_acc_input_hash: B256,
    new_local_exit_root: B256,
    new_num_batch: u64,
    #[serde(rename = "chainID")]
    chain_id: u64,
    #[serde(rename = "forkID")]
    fork_id: u64,
    #[serde(rename = "batchL2Data")]
    data: Bytes,
    batch_hash_data: B256,
}

/// The cases of a file with a final proof.
pub(super) fn proof(json: &str) -> Vec<Case> {
    let text = json.to_owned();
    let mut cases = vec![Case::new(FAMILY, "final proof, form", move || check_form(&parse(&text)))];
    // What cannot be read is said by the case above.
    if let Ok(Final { input: Some(input), public: [public], .. }) = serde_json::from_str(json) {
        let check = move |input: Input| check_public(&input, public);
        cases.push(one(FAMILY, "final proof, public input", &input, check));
        cases.push(one(FAMILY, "final proof, batches in a row", &input, |input: Input| check_row(&input)));
        cases.extend(proved_batches(&input));
    }
    cases
}

/// Prime of the field over which BN254 is.
const FIELD: U256 = uint!(21888242871839275222246405745257275088696311157297823662689037894645226208583_U256);

/// Order of BN254, below which scalars are.
const ORDER: U256 = uint!(21888242871839275222246405745257275088548364400416034343698204186575808495617_U256);

/// The scalars of a proof behind its four points: 24 words as a contract takes it.
const SCALARS: [&str; 16] =
    ["a", "b", "c", "inv", "qc", "ql", "qm", "qo", "qr", "s1", "s2", "s3", "t1w", "t2w", "z", "zw"];

/// Points are on the curve, and numbers in their fields.
fn check_form(case: &Final) {
    let Proof { protocol, curve, polynomials, evaluations } = &case.proof;
    assert_eq!((protocol.as_str(), curve.as_str()), ("fflonk", "bn128"));
    assert!(polynomials.keys().eq(["C1", "C2", "W1", "W2"]), "{:?}", polynomials.keys());
    assert!(evaluations.keys().eq(SCALARS), "{:?}", evaluations.keys());
    for (name, [x, y, z]) in polynomials {
        assert!(*x < FIELD && *y < FIELD && *z == U256::ONE, "{name} is not in the field");
        let cube = x.mul_mod(*x, FIELD).mul_mod(*x, FIELD);
        assert_eq!(y.mul_mod(*y, FIELD), cube.add_mod(U256::from(3), FIELD), "{name} is not on the curve");
    }
    for (name, scalar) in evaluations {
        assert!(*scalar < ORDER && !scalar.is_zero(), "{name} is no scalar");
    }
    assert!(case.public[0] < ORDER, "the public input is no scalar");
}

/// The public input is the hash of what was proved.
fn check_public(input: &Input, public: U256) {
    let preimage = [
        input.aggregator_address.as_slice(),
        input.old_state_root.as_slice(),
        input.old_acc_input_hash.as_slice(),
        &input.old_num_batch.to_be_bytes(),
        &input.chain_id.to_be_bytes(),
        &input.fork_id.to_be_bytes(),
        input.new_state_root.as_slice(),
        input.new_acc_input_hash.as_slice(),
        input.new_local_exit_root.as_slice(),
        &input.new_num_batch.to_be_bytes(),
    ];
    let hash = U256::from_be_slice(&Sha256::digest(preimage.concat()));
    assert_eq!(hash.reduce_mod(ORDER), public);
    assert_eq!(input.input_snark, public);
}

/// The batches lead from the old to the new of everything.
fn check_row(input: &Input) {
    let mut at = (input.old_num_batch, input.old_state_root, input.old_acc_input_hash);
    for batch in &input.single_batch_data {
        assert_eq!((batch.old_num_batch, batch.old_state_root, batch.old_acc_input_hash), at);
        assert_eq!(batch.new_num_batch, batch.old_num_batch + 1);
        assert_eq!((batch.chain_id, batch.fork_id), (input.chain_id, input.fork_id));
        assert_eq!(batch.batch_hash_data, keccak256(&batch.data));
        at = (batch.new_num_batch, batch.new_state_root, batch.new_acc_input_hash);
    }
    assert_eq!(at, (input.new_num_batch, input.new_state_root, input.new_acc_input_hash));
    let last = input.single_batch_data.last().expect("a batch");
    assert_eq!(last.new_local_exit_root, input.new_local_exit_root);
}

/// Each batch is run by the rules of its fork.
fn proved_batches(input: &RawValue) -> Vec<Case> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Batches {
        single_batch_data: Vec<Box<RawValue>>,
        #[serde(rename = "forkID")]
        fork_id: u64,
    }
    let Ok(Batches { single_batch_data, fork_id }) = serde_json::from_str(input.get()) else {
        return vec![Case::failed(FAMILY, "final proof, batches", "not a list")];
    };
    let case = |(number, json): (usize, Box<RawValue>)| {
        let judge = move || state_transition::judge(json.get(), Form::ExecutorInput, &[fork_id]);
        Case::by_fork(FAMILY, format!("final proof, batch {number}"), vec![fork_id], judge)
    };
    (1..).zip(single_batch_data).map(case).collect()
}
