//! `units`: official vectors for single functions. A file is a list of cases; which function they are about, their fields tell.

use super::{Fields as Object, UNKNOWN, batch_data, keccak, one, unknown};
use crate::case::Case;
use alloy_consensus::{TxLegacy, transaction::RlpEcdsaEncodableTx};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, hex};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;
use zk_replica_core::{
    chain::ForkId,
    executor::{BatchContext, Executor, Parent, Rules},
    tree::{StateKey, hash_bytes},
    types::{BatchKind, BatchPart, EncodedTransaction},
};
use zk_replica_tests::answers::{
    Account, BlockInfo, Fields, TransactionInfo, Tree, block, path, scalar, sign, state_root,
};

const FAMILY: &str = "units";

/// Fields that only cases of one kind have, the name of the kind, and what makes a case of one.
const KINDS: &[(&[&str], &str, MakeCase)] = &[
    (&["leafType", "expectedKey"], "key", |name, json| one(FAMILY, name, json, check_key)),
    (&["bytecode", "expectedHash"], "bytecode hash", |name, json| one(FAMILY, name, json, check_code)),
    (&["keys", "values", "expectedRoot"], "leaves", |name, json| one(FAMILY, name, json, check_leaves)),
    (&["addresses", "expectedRoot"], "accounts", |name, json| one(FAMILY, name, json, check_state)),
    (&["l2TxHash", "from"], "L2 hash", |name, json| one(FAMILY, name, json, check_l2_hash)),
    (&["finalBlockInfoRoot"], "block info tree", |name, json| one(FAMILY, name, json, check_block_info)),
    (&["effectivePercentage", "expectedOutput"], "gas price", |name, json| {
        one(FAMILY, name, json, check_gas_price)
    }),
    (&["hash", "v", "r", "s"], "transaction hash", |name, json| one(FAMILY, name, json, check_hash)),
    (&["leafs", "expectedRoot"], "L1 info tree", |name, json| {
        one(FAMILY, name, json, keccak::check_info_tree)
    }),
    (&["previousLeafValues"], "L1 info root", |name, json| one(FAMILY, name, json, keccak::check_root)),
    (&["leaves", "proof"], "L1 info proof", |name, json| one(FAMILY, name, json, keccak::check_info_proof)),
    (&["originNetwork", "metadata"], "exit leaf", |name, json| {
        one(FAMILY, name, json, keccak::check_exit_leaf)
    }),
    (&["previousLeafsValues"], "exit root", |name, json| one(FAMILY, name, json, keccak::check_exit_root)),
    (&["leafs", "proof"], "exit proof", |name, json| one(FAMILY, name, json, keccak::check_claim)),
    (&["expectedGlobalIndex"], "global index", |name, json| {
        one(FAMILY, name, json, keccak::check_global_index)
    }),
    (&["batchL2Data", "fullCallData"], "batch data", |name, json| {
        one(FAMILY, name, json, batch_data::check_encoding)
    }),
];

type MakeCase = fn(String, &RawValue) -> Case;

/// The cases of a file.
pub(super) fn cases(file: &Object<'_>) -> Vec<Case> {
    let list: Result<Vec<&RawValue>, _> = serde_json::from_str(file["cases"].get());
    match list {
        Ok(list) if list.is_empty() => vec![Case::failed(UNKNOWN, "unknown file", "the list is empty")],
        Ok(list) => list.into_iter().map(case).collect(),
        Err(error) => vec![super::malformed(&error)],
    }
}

fn case(json: &RawValue) -> Case {
    let fields: Object<'_> = match serde_json::from_str(json.get()) {
        Ok(fields) => fields,
        Err(error) => return super::malformed(&error),
    };
    let index = fields.get("index").map_or("without index", |index| index.get());
    let has = |names: &[&str]| names.iter().all(|name| fields.contains_key(*name));
    match KINDS.iter().find(|(names, ..)| has(names)) {
        Some((_, kind, make)) => make(format!("{kind} {index}"), json),
        None => unknown(format!("unknown case {index}"), fields.keys()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct KeyCase {
    #[serde(rename = "index")]
    _index: usize,
    leaf_type: u64,
    eth_addr: Address,
    storage_position: Option<U256>,
    expected_key: U256,
}

fn check_key(case: KeyCase) {
    let address = case.eth_addr;
    let key = match (case.leaf_type, case.storage_position) {
        (0, None) => StateKey::Balance(address),
        (1, None) => StateKey::Nonce(address),
        (2, None) => StateKey::CodeHash(address),
        (3, Some(slot)) => StateKey::Storage(address, slot),
        (4, None) => StateKey::CodeLength(address),
        other => panic!("unknown key {other:?}"),
    };
    assert_eq!(scalar(&key.path()), B256::from(case.expected_key), "{key}");
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct CodeCase {
    #[serde(rename = "index")]
    _index: usize,
    bytecode: Bytes,
    expected_hash: B256,
}

fn check_code(case: CodeCase) {
    assert_eq!(hash_bytes(&case.bytecode), case.expected_hash);
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RawCase {
    #[serde(rename = "index")]
    _index: usize,
    keys: Vec<U256>,
    values: Vec<U256>,
    expected_root: B256,
}

fn check_leaves(case: RawCase) {
    assert_eq!(case.keys.len(), case.values.len());
    let keys = case.keys.iter().map(|key| path((*key).into()));
    let leaves: Vec<_> = keys.zip(case.values.iter().copied()).collect();
    assert_eq!(Tree::of(leaves.clone()).root(), case.expected_root, "at once");
    let mut one_by_one = Tree::default();
    for leaf in leaves {
        one_by_one.set([leaf]);
    }
    assert_eq!(one_by_one.root(), case.expected_root, "one by one");
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct StateCase {
    #[serde(rename = "index")]
    _index: usize,
    addresses: Vec<Account>,
    expected_root: U256,
}

fn check_state(case: StateCase) {
    assert_eq!(state_root(&case.addresses), B256::from(case.expected_root));
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct HashCase {
    #[serde(rename = "index")]
    _index: usize,
    nonce: String,
    gas_price: String,
    gas_limit: String,
    to: String,
    value: String,
    #[serde(rename = "chainID")]
    chain_id: Option<String>,
    data: String,
    from: Address,
    l2_tx_hash: String,
    encoded: String,
    reason: Option<String>,
}

/// A number written in hex, if it is one: some cases are about those that are not.
fn number(hex: &str) -> Option<U256> {
    let digits = hex.strip_prefix("0x").unwrap_or(hex);
    U256::from_str_radix(digits, 16).ok().filter(|_| !digits.is_empty())
}

/// An odd digit stands for a leading zero.
fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits = hex.strip_prefix("0x").unwrap_or(hex);
    let zero = if digits.len() % 2 == 1 { "0" } else { "" };
    hex::decode(format!("{zero}{digits}")).ok()
}

/// No address at all stands for a deployment.
fn kind(to: &str) -> Option<TxKind> {
    let to = bytes(to)?;
    if to.is_empty() {
        return Some(TxKind::Create);
    }
    Address::try_from(to.as_slice()).ok().map(TxKind::Call)
}

impl HashCase {
    fn fields(&self) -> Option<Fields> {
        let to = kind(&self.to)?;
        let chain_id = self.chain_id.as_ref().map(|id| number(id).ok_or(id)).transpose();
        let transaction = TxLegacy {
            chain_id: chain_id.ok()?.map(|id| id.to()),
            nonce: number(&self.nonce)?.to(),
            gas_price: number(&self.gas_price)?.to(),
            gas_limit: number(&self.gas_limit)?.to(),
            to,
            value: number(&self.value)?,
            input: bytes(&self.data)?.into(),
        };
        Some(Fields { transaction, sender: self.from })
    }
}

/// A case with a reason is about a text that is no transaction: here it cannot be read as one.
fn check_l2_hash(case: HashCase) {
    if let Some(reason) = &case.reason {
        assert!(case.fields().is_none(), "read as a transaction, in spite of: {reason}");
        return;
    }
    let fields = case.fields().expect("a transaction");
    assert_eq!(Some(fields.preimage()), bytes(&case.encoded), "preimage");
    assert_eq!(fields.check_l2_hash().to_string(), case.l2_tx_hash);
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct SignedCase {
    #[serde(rename = "index")]
    _index: usize,
    #[serde(rename = "link")]
    _link: IgnoredAny,
    /// What `v` says counts: in one case they differ.
    #[serde(rename = "chainId")]
    _chain_id: IgnoredAny,
    nonce: String,
    gas_price: String,
    gas_limit: String,
    to: String,
    value: String,
    data: String,
    v: String,
    r: String,
    s: String,
    hash: B256,
}

/// The hash over all fields and the signature, as Ethereum has it.
fn check_hash(case: SignedCase) {
    let number = |hex: &str| number(hex).expect("a number");
    // EIP-155, or 27 and 28 before it.
    let v: u64 = number(&case.v).to();
    let (chain_id, odd) = match v.checked_sub(35) {
        Some(v) => (Some(v / 2), v % 2 == 1),
        None => (None, v == 28),
    };
    let transaction = TxLegacy {
        chain_id,
        nonce: number(&case.nonce).to(),
        gas_price: number(&case.gas_price).to(),
        gas_limit: number(&case.gas_limit).to(),
        to: kind(&case.to).expect("an address"),
        value: number(&case.value),
        input: bytes(&case.data).expect("bytes").into(),
    };
    let signature = Signature::new(number(&case.r), number(&case.s), odd);
    let mut encoded = Vec::new();
    transaction.rlp_encode_signed(&signature, &mut encoded);
    let encoded = EncodedTransaction { encoded: encoded.into(), effective_percentage: 255 };
    assert_eq!(encoded.recover().expect("signed").hash(), case.hash);
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct InfoCase {
    #[serde(rename = "index")]
    _index: usize,
    old_state_root: B256,
    sequencer_address: Address,
    new_block_number: U256,
    block_gas_limit: U256,
    final_timestamp: U256,
    #[serde(rename = "finalGER")]
    final_ger: B256,
    final_block_hash: B256,
    txs: Vec<InfoTransaction>,
    final_block_info_root: B256,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct InfoTransaction {
    /// Address, topics, data.
    logs: Vec<(IgnoredAny, Vec<Topic>, Bytes)>,
    status: U256,
    l2_tx_hash: B256,
    gas_used: U256,
    effective_percentage: U256,
}

/// Topics stand alone or in lists of one.
#[derive(Deserialize)]
#[serde(untagged)]
enum Topic {
    Alone(Bytes),
    Listed([Bytes; 1]),
}

fn check_block_info(case: InfoCase) {
    let gas_used = case.txs.iter().map(|transaction| transaction.gas_used).sum();
    let mut cumulative_gas = U256::ZERO;
    let transactions = case.txs.iter().map(|transaction| {
        cumulative_gas += transaction.gas_used;
        TransactionInfo {
            l2_hash: transaction.l2_tx_hash,
            status: transaction.status,
            cumulative_gas,
            effective_percentage: transaction.effective_percentage,
            logs: transaction.logs.iter().map(log_bytes).collect(),
        }
    });
    let info = BlockInfo {
        previous_state_root: case.old_state_root,
        coinbase: case.sequencer_address,
        number: case.new_block_number,
        gas_limit: case.block_gas_limit,
        timestamp: case.final_timestamp,
        global_exit_root: case.final_ger,
        l1_block_hash: case.final_block_hash,
        gas_used,
        transactions: transactions.collect(),
    };
    assert_eq!(info.root(), case.final_block_info_root);
}

fn log_bytes((_, topics, data): &(IgnoredAny, Vec<Topic>, Bytes)) -> Vec<u8> {
    let topics = topics.iter().map(|topic| match topic {
        Topic::Alone(topic) | Topic::Listed([topic]) => topic.as_ref(),
    });
    [data.as_ref()].into_iter().chain(topics).collect::<Vec<_>>().concat()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct PriceCase {
    #[serde(rename = "index")]
    _index: usize,
    gas_price: U256,
    effective_percentage: U256,
    expected_output: U256,
}

/// What the sequencer is paid for a transfer of nothing shows the price.
fn check_gas_price(case: PriceCase) {
    let paid = paid_for_transfer(case.gas_price.to(), case.effective_percentage.to());
    assert_eq!(paid, case.expected_output * U256::from(21_000));
}

fn paid_for_transfer(gas_price: u128, effective_percentage: u8) -> U256 {
    let sequencer = Address::repeat_byte(0x5e);
    let transaction = TxLegacy {
        gas_price,
        gas_limit: 21_000,
        to: TxKind::Call(Address::repeat_byte(0x70)),
        ..TxLegacy::default()
    };
    let signed = sign(&transaction, effective_percentage);
    let sender = signed.recover().expect("signed").sender();
    let state = Tree::of([(StateKey::Balance(sender).path(), U256::from(1_u128 << 100))]);
    let parent = Parent { number: 0, state_root: state.root() };
    let (rules, kind, part) = (Rules::of(ForkId::Elderberry2), BatchKind::Regular, BatchPart::WHOLE);
    let batch = BatchContext { rules, kind, chain_id: 1, part };
    let execution = Executor::new()
        .execute(block(1, sequencer, vec![signed]).input(), &batch, parent, state.store())
        .expect("executable");
    assert!(execution.receipts[0].success);
    let balance = execution.diff.leaves.get(&StateKey::Balance(sequencer));
    balance.copied().unwrap_or_default()
}
