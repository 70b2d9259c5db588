//! `state-tree.json`: keys, hashes, roots and proofs of the state tree. Each section of the file is judged by itself.

use super::{Fields as Sections, each, genesis, keccak, one, parse, witness};
use crate::case::Case;
use alloy_consensus::TxLegacy;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;
use std::{collections::BTreeMap, path::Path as FilePath};
use zk_replica_core::{
    chain::{ChainSpec, ForkId},
    executor::{BatchContext, Execution, Executor, Parent, PreparedBlock, PreparedInput, Rules},
    source::{
        datastream::Item,
        witness::{EntryError, Witness},
    },
    store::{Key, Store as _, StoreError},
    tree::{
        BlockInfoKey, Node, NodeError, NonCanonical, Path, Paths, Proof, ProofError, Smt, StateKey,
        hash_bytes, hash_value, poseidon,
    },
    types::{BatchKind, BatchPart, L1Info},
};
use zk_replica_tests::{
    Recording,
    answers::{Account, BlockInfo, Fields, TransactionInfo, Tree, path, scalar, small, state_root},
    items,
};

const FAMILY: &str = "state-tree";

/// The names of sections, by which the file is recognised.
const SECTIONS: [&str; 17] = [
    "block_info_keys",
    "bytecode_hashes",
    "etrog_transitions",
    "keccak_trees",
    "key_capacity_constant",
    "l2_tx_hashes",
    "must_reject_proof",
    "path_and_remaining_key",
    "prover_db_form",
    "published_genesis_roots",
    "recorded_chain",
    "small_genesis",
    "small_state_proofs_and_witness",
    "state_keys",
    "tree_operations",
    "tree_roots",
    "value_hashes",
];

/// Whether a file with a field of this name is for this family.
pub(super) fn is_section(name: &str) -> bool {
    SECTIONS.contains(&name)
}

/// The cases of all sections.
pub(super) fn cases(file: &FilePath, sections: &Sections<'_>) -> Vec<Case> {
    sections.iter().flat_map(|(name, json)| section(file, name, json, sections)).collect()
}

fn section(file: &FilePath, name: &str, json: &RawValue, all: &Sections<'_>) -> Vec<Case> {
    match name {
        // Prose.
        "about" | "sources" => Vec::new(),
        "state_keys" => {
            let all = one(FAMILY, format!("{name}, remembered"), json, check_keys);
            each(FAMILY, name, json, |case| _ = check_key(&case)).into_iter().chain([all]).collect()
        }
        "key_capacity_constant" => vec![one(FAMILY, name, json, check_capacity)],
        "value_hashes" => each(FAMILY, name, json, check_value),
        "bytecode_hashes" => each(FAMILY, name, json, check_code),
        "path_and_remaining_key" => vec![one(FAMILY, name, json, check_remaining)],
        "tree_operations" => each(FAMILY, name, json, check_operations),
        "tree_roots" => each(FAMILY, name, json, check_root),
        "small_genesis" => vec![one(FAMILY, name, json, check_small_genesis)],
        "published_genesis_roots" => genesis::published_roots(file, name, json),
        "recorded_chain" => recorded_chain(file, name, json),
        "block_info_keys" => vec![one(FAMILY, name, json, check_block_info_keys)],
        "l2_tx_hashes" => each(FAMILY, name, json, check_l2_hash),
        "small_state_proofs_and_witness" => small_state(name, json),
        "must_reject_proof" => vec![one(FAMILY, name, json, check_refused)],
        "prover_db_form" => vec![prover_form(name, json, all)],
        "keccak_trees" => keccak::trees(FAMILY, name, json),
        "etrog_transitions" => each(FAMILY, name, json, check_transition),
        _ => vec![Case::failed(FAMILY, name, "unknown section")],
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyCase {
    kind: String,
    constant: u64,
    address: Address,
    slot: Option<U256>,
    key: B256,
    key_limbs: [U256; 4],
}

fn check_keys(cases: Vec<KeyCase>) {
    let mut paths = Paths::new();
    for case in cases {
        let key = check_key(&case);
        assert_eq!(paths.path(key), key.path(), "{key}, remembered");
    }
}

fn check_key(case: &KeyCase) -> StateKey {
    let address = case.address;
    let key = match (case.kind.as_str(), case.constant, case.slot) {
        ("balance", 0, None) => StateKey::Balance(address),
        ("nonce", 1, None) => StateKey::Nonce(address),
        ("code", 2, None) => StateKey::CodeHash(address),
        ("storage", 3, Some(slot)) => StateKey::Storage(address, slot),
        ("length", 4, None) => StateKey::CodeLength(address),
        other => panic!("unknown kind {other:?}"),
    };
    assert_eq!(scalar(&key.path()), case.key, "{key}");
    assert_eq!(key.path().limbs().map(U256::from), case.key_limbs, "{key}");
    assert_eq!(path(case.key), key.path(), "{key}, read");
    key
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CapacityCase {
    value: U256,
    limbs: [U256; 4],
    is_hash_of: String,
}

/// The keys of accounts have the hash of zeros as capacity.
fn check_capacity(case: CapacityCase) {
    assert_eq!(case.is_hash_of, "8 zero inputs, zero capacity");
    let capacity = poseidon::hash(&[0; 8], &[0; 4]);
    assert_eq!(U256::from_limbs(capacity), case.value);
    assert_eq!(capacity.map(U256::from), case.limbs);
    let key = poseidon::hash(&[0; 8], &capacity);
    assert_eq!(StateKey::Balance(Address::ZERO).path().limbs(), key);
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ValueCase {
    value: U256,
    limbs: [U256; 8],
    value_hash: B256,
}

fn check_value(case: ValueCase) {
    let hash = hash_value(case.value);
    assert_eq!(B256::from(hash), case.value_hash, "{}", case.value);
    let limbs = case.limbs.map(|limb| small(&limb));
    assert_eq!(hash.limbs(), poseidon::hash(&limbs, &[0; 4]), "{}", case.value);
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CodeCase {
    source: String,
    bytecode: Bytes,
    length: usize,
    permutations: usize,
    hash: B256,
}

fn check_code(case: CodeCase) {
    assert_eq!(case.bytecode.len(), case.length, "{}", case.source);
    assert_eq!(hash_bytes(&case.bytecode), case.hash, "{} bytes", case.length);
    assert_eq!(case.length / 56 + 1, case.permutations, "{} bytes", case.length);
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PathCase {
    key: B256,
    limbs: [U256; 4],
    path_first_32_bits: String,
    remaining: BTreeMap<u32, [U256; 4]>,
}

/// A leaf beside which, at `depth - 1`, another one turns off stands at `depth`. On the way there is nothing else.
fn check_remaining(case: PathCase) {
    let leaf = path(case.key);
    assert_eq!(leaf.limbs().map(U256::from), case.limbs);
    assert!(!case.remaining.is_empty());
    for (depth, remaining) in case.remaining {
        let mut tree = Tree::of([(leaf, U256::ONE)]);
        if let Some(turn) = depth.checked_sub(1) {
            let mut limbs = leaf.limbs();
            limbs[(turn % 4) as usize] ^= 1 << (turn / 4);
            tree.set([(path(U256::from_limbs(limbs).into()), U256::ONE)]);
        }
        let proof = tree.prove(&leaf).encode();
        let nodes: Vec<Node> =
            proof[..proof.len() - 1].iter().map(|element| Node::decode(element).expect("a node")).collect();
        let expected =
            Node::Leaf { remaining: remaining.map(|limb| small(&limb)), value_hash: hash_value(U256::ONE) };
        assert_eq!(nodes.last(), Some(&expected), "at {depth}");
        assert_eq!(nodes.len(), depth as usize + 1, "at {depth}");
        for (bit, node) in case.path_first_32_bits.chars().zip(&nodes[..depth.saturating_sub(1) as usize]) {
            assert!(matches!(node, Node::Branch { left, .. } if left.is_zero() == (bit == '1')));
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Operations {
    name: String,
    source: String,
    operations: Vec<Operation>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Operation {
    key: B256,
    value: U256,
    mode: String,
    root_after: B256,
}

fn check_operations(case: Operations) {
    let (mut tree, name) = (Tree::default(), format!("{}, {}", case.source, case.name));
    let mut values = BTreeMap::new();
    for operation in &case.operations {
        let path = path(operation.key);
        let mode = match (tree.get(&path).is_zero(), operation.value.is_zero()) {
            (true, true) => "zeroToZero",
            (true, false) => "insert",
            (false, true) => "delete",
            (false, false) => "update",
        };
        assert!(operation.mode.starts_with(mode), "{name}: {mode}");
        assert_eq!(tree.set([(path, operation.value)]), operation.root_after, "{name}: {mode}");
        values.insert(path, operation.value);
        for (path, value) in &values {
            assert_eq!(tree.get(path), *value, "{name}");
            assert_eq!(tree.prove(path).verify(tree.root(), path), Ok(*value), "{name}");
        }
    }
    assert_eq!(Tree::of(values).root(), tree.root(), "{name}, at once");
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RootCase {
    source: String,
    entries: Vec<Leaf>,
    root: B256,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Leaf {
    key: B256,
    value: U256,
}

impl Leaf {
    fn change(&self) -> (Path, U256) {
        (path(self.key), self.value)
    }
}

fn check_root(case: RootCase) {
    let mut one_by_one = Tree::default();
    for entry in &case.entries {
        one_by_one.set([entry.change()]);
    }
    assert_eq!(one_by_one.root(), case.root, "{}", case.source);
    let at_once = Tree::of(case.entries.iter().rev().map(Leaf::change));
    assert_eq!(at_once.root(), case.root, "{}, at once", case.source);
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SmallGenesis {
    source: String,
    accounts: Vec<Account>,
    root: B256,
}

fn check_small_genesis(case: SmallGenesis) {
    assert_eq!(state_root(&case.accounts), case.root, "{}", case.source);
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordedChain {
    source: String,
    #[serde(rename = "about")]
    _about: IgnoredAny,
    genesis: RecordedGenesis,
    blocks: Vec<RecordedBlock>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordedGenesis {
    leaves: Vec<Leaf>,
    root: B256,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordedBlock {
    number: u64,
    block_info_header: BlockInfoHeader,
    transactions: Vec<RecordedTransaction>,
    block_info_root: B256,
    state_updates: Option<Vec<Leaf>>,
    state_root: B256,
    l2_block_hash: B256,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BlockInfoHeader {
    previous_block_state_root: B256,
    coinbase: Address,
    number: U256,
    gas_limit: U256,
    timestamp: U256,
    global_exit_root: B256,
    l1_block_hash: B256,
    gas_used: U256,
    #[serde(rename = "source")]
    _source: Option<IgnoredAny>,
    #[serde(rename = "note")]
    _note: Option<IgnoredAny>,
    root: Option<B256>,
}

impl BlockInfoHeader {
    fn with(&self, transactions: Vec<TransactionInfo>) -> BlockInfo {
        BlockInfo {
            previous_state_root: self.previous_block_state_root,
            coinbase: self.coinbase,
            number: self.number,
            gas_limit: self.gas_limit,
            timestamp: self.timestamp,
            global_exit_root: self.global_exit_root,
            l1_block_hash: self.l1_block_hash,
            gas_used: self.gas_used,
            transactions,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordedTransaction {
    l2_tx_hash: B256,
    status: U256,
    gas_used: U256,
    cumulative_gas_used: U256,
    effective_percentage: u8,
    logs: Vec<RecordedLog>,
    l2_tx_hash_input: HashCase,
    ethereum_tx_hash: B256,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordedLog {
    #[serde(rename = "address")]
    _address: IgnoredAny,
    topics: Vec<B256>,
    data: Bytes,
    log_leaf_value: B256,
}

impl RecordedLog {
    fn bytes(&self) -> Vec<u8> {
        [self.data.as_ref(), &self.topics.concat()].concat()
    }
}

impl RecordedTransaction {
    fn info(&self) -> TransactionInfo {
        TransactionInfo {
            l2_hash: self.l2_tx_hash,
            status: self.status,
            cumulative_gas: self.cumulative_gas_used,
            effective_percentage: U256::from(self.effective_percentage),
            logs: self.logs.iter().map(RecordedLog::bytes).collect(),
        }
    }
}

/// The leaves from block to block, each block's info tree, and, where the recording is beside the file, what comes out
/// when it is replayed.
fn recorded_chain(file: &FilePath, name: &str, json: &RawValue) -> Vec<Case> {
    let mut cases = vec![one(FAMILY, format!("{name}, leaves"), json, check_leaves)];
    if let Ok(chain) = serde_json::from_str::<RecordedChain>(json.get()) {
        cases.extend(chain.blocks.into_iter().map(|block| {
            let name = format!("{name}, block info tree of block {}", block.number);
            Case::new(FAMILY, name, move || check_block_info(&block))
        }));
    }
    let folder = file.with_file_name("");
    if folder.join("recorded-chain").is_dir() {
        let replay = move |chain: RecordedChain| check_execution(&Recording::load(&folder), &chain);
        cases.push(one(FAMILY, format!("{name}, executed"), json, replay));
    }
    cases
}

fn check_leaves(chain: RecordedChain) {
    let mut tree = Tree::of(chain.genesis.leaves.iter().map(Leaf::change));
    assert_eq!(tree.root(), chain.genesis.root, "{}", chain.source);
    let mut updated = 0;
    for block in &chain.blocks {
        let Some(updates) = &block.state_updates else {
            continue;
        };
        assert_eq!(tree.root(), block.block_info_header.previous_block_state_root);
        let root = tree.set(updates.iter().map(Leaf::change));
        assert_eq!(root, block.state_root, "block {}", block.number);
        updated += 1;
    }
    assert_ne!(updated, 0, "no block has updates");
}

fn check_block_info(block: &RecordedBlock) {
    let transactions = block.transactions.iter();
    let info = block.block_info_header.with(transactions.map(RecordedTransaction::info).collect());
    assert_eq!(info.root(), block.block_info_root);
    for log in block.transactions.iter().flat_map(|transaction| &transaction.logs) {
        assert_eq!(hash_bytes(&log.bytes()), log.log_leaf_value);
    }
}

/// Replayed up to each of these blocks, the stream's transactions have these hashes and leave these results.
fn check_execution(recording: &Recording, published: &RecordedChain) {
    let mut due = published.blocks.iter().peekable();
    let mut replay = recording.begin();
    for item in items(&recording.stream) {
        let item = item.expect("well-formed");
        let block = match &item {
            Item::Block(block) => Some(block.clone()),
            _ => None,
        };
        replay.advance(item).expect("true");
        let Some((block, expected)) = block
            .and_then(|block| due.next_if(|due| due.number == block.input.number).map(|due| (block, due)))
        else {
            continue;
        };
        let head = replay.replica.head().expect("a head");
        assert_eq!(head.state_root, expected.state_root);
        assert_eq!(head.hash, expected.l2_block_hash);
        assert_eq!(block.claims.block_info_root, expected.block_info_root);
        check_transactions(&PreparedBlock::from(block), &expected.transactions);
        if due.peek().is_none() {
            return;
        }
    }
    panic!("the stream ends before block {}", due.peek().map_or(0, |due| due.number));
}

fn check_transactions(block: &PreparedBlock, expected: &[RecordedTransaction]) {
    let transactions = &block.input().transactions;
    assert_eq!(transactions.len(), expected.len());
    let mut gas = U256::ZERO;
    for (prepared, expected) in transactions.iter().zip(expected) {
        let prepared = prepared.as_ref().expect("signed");
        let transaction = prepared.transaction();
        assert_eq!(prepared.l2_hash(), expected.l2_tx_hash);
        assert_eq!(transaction.hash(), expected.ethereum_tx_hash);
        assert_eq!(transaction.effective_percentage(), expected.effective_percentage);
        let fields = expected.l2_tx_hash_input.fields();
        assert_eq!(*transaction.fields(), fields.transaction);
        assert_eq!(transaction.sender(), fields.sender);
        gas += expected.gas_used;
        assert_eq!(gas, expected.cumulative_gas_used);
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BlockInfoKeys {
    header_keys: Vec<HeaderKey>,
    tx_keys: Vec<TransactionKey>,
    log_keys: Vec<LogKey>,
    fork7_header_root: BlockInfoHeader,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderKey {
    index: usize,
    name: String,
    key: B256,
    limbs: [U256; 4],
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TransactionKey {
    constant: u64,
    name: String,
    tx_index: u64,
    key: B256,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LogKey {
    tx_index: u64,
    log_index: u64,
    key: B256,
}

fn check_block_info_keys(keys: BlockInfoKeys) {
    let BlockInfoKeys { header_keys, tx_keys, log_keys, fork7_header_root } = keys;
    let header = [
        ("previous block hash (state root)", BlockInfoKey::PreviousStateRoot),
        ("coinbase", BlockInfoKey::Coinbase),
        ("number", BlockInfoKey::Number),
        ("gas limit", BlockInfoKey::GasLimit),
        ("timestamp", BlockInfoKey::Timestamp),
        ("global exit root", BlockInfoKey::GlobalExitRoot),
        ("L1 block hash", BlockInfoKey::L1BlockHash),
        ("gas used", BlockInfoKey::GasUsed),
    ];
    assert_eq!(header_keys.len(), header.len());
    assert!(!tx_keys.is_empty() && !log_keys.is_empty());
    for (index, (case, (name, key))) in header_keys.iter().zip(header).enumerate() {
        assert_eq!((case.index, case.name.as_str()), (index, name));
        assert_eq!(scalar(&key.path()), case.key, "{key}");
        assert_eq!(key.path().limbs().map(U256::from), case.limbs, "{key}");
    }
    for case in &tx_keys {
        let key = match (case.constant, case.name.as_str()) {
            (8, "l2 tx hash") => BlockInfoKey::TransactionHash(case.tx_index),
            (9, "status") => BlockInfoKey::Status(case.tx_index),
            (10, "cumulative gas used") => BlockInfoKey::CumulativeGas(case.tx_index),
            (12, "effective percentage") => BlockInfoKey::EffectivePercentage(case.tx_index),
            other => panic!("unknown key {other:?}"),
        };
        assert_eq!(scalar(&key.path()), case.key, "{key}");
    }
    for case in &log_keys {
        let key = BlockInfoKey::Log { transaction: case.tx_index, log: case.log_index };
        assert_eq!(scalar(&key.path()), case.key, "{key}");
    }
    assert_eq!(Some(fork7_header_root.with(Vec::new()).root()), fork7_header_root.root);
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HashCase {
    source: Option<String>,
    chain_id: u64,
    nonce: u64,
    gas_price: U256,
    gas_limit: u64,
    to: Option<Address>,
    value: U256,
    data: Bytes,
    sender: Address,
    l2_tx_hash: Option<B256>,
}

impl HashCase {
    fn fields(&self) -> Fields {
        let transaction = TxLegacy {
            chain_id: (self.chain_id != 0).then_some(self.chain_id),
            nonce: self.nonce,
            gas_price: self.gas_price.to(),
            gas_limit: self.gas_limit,
            to: self.to.map_or(TxKind::Create, TxKind::Call),
            value: self.value,
            input: self.data.clone(),
        };
        Fields { transaction, sender: self.sender }
    }
}

fn check_l2_hash(case: HashCase) {
    let hash = case.fields().check_l2_hash();
    assert_eq!(Some(hash), case.l2_tx_hash, "{:?}", case.source);
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SmallState {
    source: String,
    accounts: Vec<Account>,
    root: B256,
    proofs: Vec<ProofCase>,
    #[serde(rename = "witness_full")]
    _witness_full: IgnoredAny,
    #[serde(rename = "witness_trimmed")]
    _witness_trimmed: IgnoredAny,
    #[serde(rename = "witness_trimmed_retained")]
    _witness_trimmed_retained: IgnoredAny,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProofCase {
    what: String,
    key: B256,
    value: Option<U256>,
    ends_with: String,
    proof: Vec<Bytes>,
}

/// The root, each proof, and the witnesses.
fn small_state(name: &str, json: &RawValue) -> Vec<Case> {
    let mut cases = vec![one(FAMILY, format!("{name}, root"), json, |state: SmallState| {
        assert_eq!(state.tree().root(), state.root, "{}", state.source);
    })];
    if let Ok(state) = serde_json::from_str::<SmallState>(json.get()) {
        cases.extend((0..state.proofs.len()).map(|index| {
            let check = move |state: SmallState| check_proof(&state, &state.proofs[index]);
            one(FAMILY, format!("{name}, proof {index}"), json, check)
        }));
    }
    cases.extend(witness::small_state(FAMILY, name, json));
    cases
}

impl SmallState {
    fn tree(&self) -> Tree {
        Tree::of(self.accounts.iter().flat_map(Account::leaves))
    }
}

fn check_proof(state: &SmallState, case: &ProofCase) {
    let (tree, what, path) = (state.tree(), &case.what, path(case.key));
    let value = case.value.unwrap_or_default();
    let proof = Proof::decode(&case.proof).expect("well-formed");
    assert_eq!(proof.verify(state.root, &path), Ok(value), "{what}");
    assert_eq!(tree.prove(&path).encode(), case.proof, "{what}");
    assert_eq!(tree.get(&path), value, "{what}");
    let leaf = case.proof.len().checked_sub(2).map(|at| Node::decode(&case.proof[at]));
    let ends_with = match (leaf, case.value) {
        (Some(Ok(Node::Leaf { .. })), Some(_)) => "leaf holds the key",
        (Some(Ok(Node::Leaf { .. })), None) => "other leaf on the path",
        _ => "empty child",
    };
    assert_eq!(ends_with, case.ends_with, "{what}");
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RejectCase {
    source: String,
    why: String,
    root: B256,
    key: B256,
    proof: Vec<Bytes>,
}

/// A forged absence is refused for the limb that is the prime.
fn check_refused(case: RejectCase) {
    let remaining = B256::from_slice(&case.proof[0][..32]);
    let refused = ProofError::Node { position: 0, reason: NodeError::NonCanonical(NonCanonical(remaining)) };
    assert_eq!(Proof::decode(&case.proof), Err(refused), "{}: {}", case.source, case.why);
    let honest = Tree::of([(path(case.key), U256::ONE)]);
    assert_eq!(honest.root(), case.root);
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProverForm {
    source: String,
    root: B256,
    entries_for_root_only: BTreeMap<B256, [String; 12]>,
    value_entry: BTreeMap<B256, [String; 8]>,
}

fn limbs<const N: usize>(digits: &[String]) -> [u64; N] {
    let limbs: Vec<_> = digits.iter().map(|hex| u64::from_str_radix(hex, 16).expect("hex")).collect();
    limbs.try_into().expect("as many")
}

/// The proofs of the section with the small state tell the nodes.
fn prover_form(name: &str, json: &RawValue, all: &Sections<'_>) -> Case {
    let state = all.get("small_state_proofs_and_witness").map(|state| (*state).to_owned());
    one(FAMILY, name, json, move |form: ProverForm| {
        check_prover_form(&form, &parse(state.expect("the section with the small state").get()));
    })
}

/// The prover keeps a node as what its digest is made of: two children (or remaining path and value hash) and capacity.
fn check_prover_form(form: &ProverForm, state: &SmallState) {
    assert_eq!(form.root, state.root, "{}", form.source);
    assert!(!form.entries_for_root_only.is_empty() && !form.value_entry.is_empty());
    for (digest, record) in &form.entries_for_root_only {
        let capacity = limbs(&record[8..]);
        assert_eq!(
            U256::from_limbs(poseidon::hash(&limbs(&record[..8]), &capacity)),
            U256::from_be_bytes(digest.0)
        );
        let root = Node::decode(&state.proofs[0].proof[0]).expect("a node");
        let Node::Branch { left, right } = root else {
            panic!("{root:?} is no branch");
        };
        assert_eq!([left.limbs(), right.limbs(), capacity].concat(), limbs::<12>(record));
        assert_eq!(B256::from(root.digest()), *digest);
    }
    check_witness(form, state);
    for (hash, record) in &form.value_entry {
        let low_first = limbs::<8>(record).into_iter().rev();
        let value = low_first.fold(U256::ZERO, |value, limb| (value << 32) | U256::from(limb));
        assert_eq!(B256::from(hash_value(value)), *hash);
    }
}

/// Gathered as a prover's input, the records are the root of the small state, and nothing else of it.
fn check_witness(form: &ProverForm, state: &SmallState) {
    let gather = |change: u64| {
        let nodes = form.entries_for_root_only.iter().map(|(digest, record)| (*digest, &record[..]));
        let values = form.value_entry.iter().map(|(hash, record)| (*hash, &record[..]));
        let records = nodes.chain(values).map(|(digest, record)| {
            let mut limbs: Vec<_> =
                record.iter().map(|hex| u64::from_str_radix(hex, 16).expect("hex")).collect();
            limbs[0] ^= change;
            (digest, limbs)
        });
        Witness::from_entries(form.root, records, [])
    };
    let witness = gather(0).expect("honest");
    assert_eq!(witness.root(), form.root);
    assert_eq!(witness.store().len(), form.entries_for_root_only.len() + form.value_entry.len());
    let (tree, root) = (state.tree(), Key::Node(form.root));
    assert_eq!(witness.store().get(&root), tree.store().get(&root));
    for (path, _) in state.accounts.iter().flat_map(Account::leaves) {
        let value = Smt::new(witness.store()).get(form.root, &path);
        assert!(matches!(value, Err(StoreError::Missing(Key::Node(_)))), "{path}: {value:?}");
    }
    assert!(matches!(gather(1), Err(EntryError::Digest { .. })), "altered");
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Transition {
    source: String,
    name: String,
    fork_id: u64,
    genesis: Vec<Account>,
    old_root: B256,
    coinbase: Address,
    timestamp_limit: u64,
    forced_block_hash_l1: B256,
    items: Vec<TransitionItem>,
    block_info_roots: Vec<B256>,
    l1_info_root: B256,
    chain_id: u64,
    new_root: B256,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum TransitionItem {
    ChangeL2Block(ChangeBlock),
    Transfer(Transfer),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeBlock {
    delta_timestamp: u64,
    l1_info_index: u32,
    global_exit_root: B256,
    l1_block_hash: B256,
    l1_timestamp: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Transfer {
    sender: Address,
    to: Address,
    value: U256,
    nonce: u64,
    gas_limit: u64,
    gas_price: U256,
    chain_id: u64,
    effective_percentage: U256,
    gas_used: U256,
    status: U256,
}

impl Transfer {
    fn info(&self) -> TransactionInfo {
        let case = HashCase {
            source: None,
            chain_id: self.chain_id,
            nonce: self.nonce,
            gas_price: self.gas_price,
            gas_limit: self.gas_limit,
            to: Some(self.to),
            value: self.value,
            data: Bytes::new(),
            sender: self.sender,
            l2_tx_hash: None,
        };
        TransactionInfo {
            l2_hash: case.fields().check_l2_hash(),
            status: self.status,
            cumulative_gas: self.gas_used,
            effective_percentage: self.effective_percentage,
            logs: Vec::new(),
        }
    }
}

/// What opens a block, and the transfers in it.
struct TransitionBlock<'t> {
    timestamp: u64,
    l1_info: L1Info,
    transfers: Vec<&'t Transfer>,
}

impl Transition {
    fn kind(&self) -> BatchKind {
        if self.forced_block_hash_l1.is_zero() { BatchKind::Regular } else { BatchKind::Forced }
    }

    /// The blocks in order. That of a forced batch brings in the L1 info root in place of an exit root.
    fn blocks(&self) -> Vec<TransitionBlock<'_>> {
        let (mut blocks, mut timestamp) = (Vec::new(), 0);
        if self.kind() == BatchKind::Forced {
            let (global_exit_root, block_hash) = (self.l1_info_root, self.forced_block_hash_l1);
            let l1_info = L1Info { global_exit_root, block_hash, ..L1Info::default() };
            blocks.push(TransitionBlock { timestamp: self.timestamp_limit, l1_info, transfers: Vec::new() });
        }
        for item in &self.items {
            match item {
                TransitionItem::ChangeL2Block(change) => {
                    timestamp += change.delta_timestamp;
                    let l1_info = L1Info {
                        index: change.l1_info_index,
                        global_exit_root: change.global_exit_root,
                        block_hash: change.l1_block_hash,
                        min_timestamp: change.l1_timestamp,
                    };
                    blocks.push(TransitionBlock { timestamp, l1_info, transfers: Vec::new() });
                }
                TransitionItem::Transfer(transfer) => {
                    blocks.last_mut().expect("an open block").transfers.push(transfer);
                }
            }
        }
        blocks
    }
}

impl TransitionBlock<'_> {
    fn info(&self, number: u64, previous_state_root: B256, coinbase: Address) -> BlockInfo {
        BlockInfo {
            previous_state_root,
            coinbase,
            number: U256::from(number),
            gas_limit: U256::from(1_u64 << 50),
            timestamp: U256::from(self.timestamp),
            global_exit_root: self.l1_info.global_exit_root,
            l1_block_hash: self.l1_info.block_hash,
            gas_used: self.transfers.iter().map(|transfer| transfer.gas_used).sum(),
            transactions: self.transfers.iter().map(|transfer| transfer.info()).collect(),
        }
    }

    /// What the core makes of the block without its transfers, which have no signatures here.
    fn execute(&self, number: u64, case: &Transition, tree: &Tree) -> Execution {
        let fork = ForkId::try_from(case.fork_id).expect("a fork");
        let (rules, chain_id) = (Rules::of(fork), case.chain_id);
        let batch = BatchContext { rules, kind: case.kind(), chain_id, part: BatchPart::WHOLE };
        let block = PreparedInput {
            number,
            timestamp: self.timestamp,
            coinbase: case.coinbase,
            l1_info: self.l1_info,
            transactions: Vec::new(),
        };
        let parent = Parent { number: number - 1, state_root: tree.root() };
        Executor::new().execute(&block, &batch, parent, tree.store()).expect("executable")
    }

    /// What the transfers change in the state: balances and a nonce each.
    fn write_transfers(&self, coinbase: Address, tree: &Tree, leaves: &mut BTreeMap<StateKey, U256>) {
        let mut add = |key: StateKey, amount: U256| {
            let value = leaves.entry(key).or_insert_with(|| tree.get(&key.path()));
            *value = value.wrapping_add(amount);
        };
        for Transfer { sender, to, value, gas_used, gas_price, .. } in &self.transfers {
            let fee = *gas_used * *gas_price;
            add(StateKey::Nonce(*sender), U256::ONE);
            add(StateKey::Balance(*sender), (*value + fee).wrapping_neg());
            add(StateKey::Balance(*to), *value);
            add(StateKey::Balance(coinbase), fee);
        }
    }
}

/// Every root from the old one to the new one. Transfers have no signatures here, and the core runs none without: it runs
/// their block as if it were empty, and what they change is written down here.
fn check_transition(case: Transition) {
    let name = format!("{}, {}, fork {}", case.source, case.name, case.fork_id);
    let mut tree = Tree::of(case.genesis.iter().flat_map(Account::leaves));
    assert_eq!(tree.root(), case.old_root, "{name}");
    let blocks = case.blocks();
    assert_eq!(blocks.len(), case.block_info_roots.len(), "{name}");
    for (number, (block, info_root)) in (1..).zip(blocks.iter().zip(&case.block_info_roots)) {
        let info = block.info(number, tree.root(), case.coinbase);
        assert_eq!(info.root(), *info_root, "{name}, block {number}");
        let execution = block.execute(number, &case, &tree);
        if block.transfers.is_empty() {
            assert_eq!(execution.block_info_root, *info_root, "{name}, block {number}, executed");
        }
        let mut leaves = execution.diff.leaves;
        leaves.insert(StateKey::Storage(ChainSpec::SYSTEM_CONTRACT, U256::from(3)), (*info_root).into());
        block.write_transfers(case.coinbase, &tree, &mut leaves);
        tree.set(leaves.iter().map(|(key, value)| (key.path(), *value)));
    }
    assert_eq!(tree.root(), case.new_root, "{name}");
}
