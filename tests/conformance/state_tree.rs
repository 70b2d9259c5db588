//! `state-tree.json` and `genesis`: keys, hashes, roots and proofs of the state tree, and the first blocks of real chains.
#![allow(clippy::panic, reason = "a test that cannot go on says so by a panic")]

use alloy_consensus::TxLegacy;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::Value as Json;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path as FilePath,
};
use zk_replica_core::{
    chain::{ChainSpec, Genesis},
    checker::{Checker, Claim, Verdict},
    executor::PreparedBlock,
    source::datastream::Item,
    tree::{
        BlockInfoKey, Node, NodeError, NonCanonical, Path, Paths, Proof, ProofError, StateKey, hash_bytes,
        hash_value, poseidon,
    },
    types::{BatchKind, BatchStart, Block, BlockClaims, BlockInput, L1Info},
};
use zk_replica_tests::{
    Recording,
    answers::{
        Account, BlockInfo, Fields, TransactionInfo, Tree, not_run, path, read, scalar, small, state_root,
    },
    items, vectors,
};

/// All of the file; what begins with `_` is prose, or judged by another test.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Published {
    #[serde(rename = "about")]
    _about: IgnoredAny,
    #[serde(rename = "sources")]
    _sources: IgnoredAny,
    state_keys: Vec<KeyCase>,
    key_capacity_constant: CapacityCase,
    value_hashes: Vec<ValueCase>,
    bytecode_hashes: Vec<CodeCase>,
    path_and_remaining_key: PathCase,
    tree_operations: Vec<Operations>,
    tree_roots: Vec<RootCase>,
    small_genesis: SmallGenesis,
    published_genesis_roots: Vec<GenesisCase>,
    recorded_chain: RecordedChain,
    block_info_keys: BlockInfoKeys,
    l2_tx_hashes: Vec<HashCase>,
    small_state_proofs_and_witness: SmallState,
    must_reject_proof: RejectCase,
    prover_db_form: ProverForm,
    etrog_transitions: Vec<Transition>,
    /// Judged by `exit_trees.rs`.
    #[serde(rename = "keccak_trees")]
    _keccak_trees: IgnoredAny,
}

fn open(test: &str) -> Option<Published> {
    vectors(test).map(|vectors| read(&vectors.join("state-tree.json")))
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

#[test]
fn every_state_key_has_the_published_path() {
    let Some(published) = open("every_state_key_has_the_published_path") else {
        return;
    };
    let mut paths = Paths::new();
    assert_eq!(published.state_keys.len(), 19);
    for case in &published.state_keys {
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
        assert_eq!(paths.path(key), key.path(), "{key}, remembered");
        assert_eq!(path(case.key), key.path(), "{key}, read");
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CapacityCase {
    value: U256,
    limbs: [U256; 4],
    is_hash_of: String,
}

#[test]
fn account_keys_have_the_hash_of_zeros_as_capacity() {
    let Some(published) = open("account_keys_have_the_hash_of_zeros_as_capacity") else {
        return;
    };
    let case = published.key_capacity_constant;
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

#[test]
fn every_value_hashes_as_published() {
    let Some(published) = open("every_value_hashes_as_published") else {
        return;
    };
    assert_eq!(published.value_hashes.len(), 4);
    for case in &published.value_hashes {
        let hash = hash_value(case.value);
        assert_eq!(B256::from(hash), case.value_hash, "{}", case.value);
        let limbs = case.limbs.map(|limb| small(&limb));
        assert_eq!(hash.limbs(), poseidon::hash(&limbs, &[0; 4]), "{}", case.value);
    }
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

#[test]
fn every_bytecode_hashes_as_published() {
    let Some(published) = open("every_bytecode_hashes_as_published") else {
        return;
    };
    assert_eq!(published.bytecode_hashes.len(), 9);
    for case in &published.bytecode_hashes {
        assert_eq!(case.bytecode.len(), case.length, "{}", case.source);
        assert_eq!(hash_bytes(&case.bytecode), case.hash, "{} bytes", case.length);
        assert_eq!(case.length / 56 + 1, case.permutations, "{} bytes", case.length);
    }
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
#[test]
fn leaf_at_each_depth_keeps_the_published_rest_of_its_path() {
    let Some(published) = open("leaf_at_each_depth_keeps_the_published_rest_of_its_path") else {
        return;
    };
    let case = published.path_and_remaining_key;
    let leaf = path(case.key);
    assert_eq!(leaf.limbs().map(U256::from), case.limbs);
    assert_eq!(case.remaining.len(), 9);
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

#[test]
fn every_operation_leads_to_the_published_root() {
    let Some(published) = open("every_operation_leads_to_the_published_root") else {
        return;
    };
    assert_eq!(published.tree_operations.len(), 4);
    for case in &published.tree_operations {
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

#[test]
fn every_set_of_leaves_has_the_published_root() {
    let Some(published) = open("every_set_of_leaves_has_the_published_root") else {
        return;
    };
    assert_eq!(published.tree_roots.len(), 8);
    for case in &published.tree_roots {
        let mut one_by_one = Tree::default();
        for entry in &case.entries {
            one_by_one.set([entry.change()]);
        }
        assert_eq!(one_by_one.root(), case.root, "{}", case.source);
        let at_once = Tree::of(case.entries.iter().rev().map(Leaf::change));
        assert_eq!(at_once.root(), case.root, "{}", case.source);
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SmallGenesis {
    source: String,
    accounts: Vec<Account>,
    root: B256,
}

#[test]
fn small_genesis_has_the_published_root() {
    let Some(published) = open("small_genesis_has_the_published_root") else {
        return;
    };
    let case = published.small_genesis;
    assert_eq!(state_root(&case.accounts), case.root, "{}", case.source);
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GenesisCase {
    network: String,
    allocs: String,
    root: B256,
    timestamp: Option<u64>,
    block_hash: Option<B256>,
    base_fee_in_header: Option<U256>,
    #[serde(rename = "note")]
    _note: Option<IgnoredAny>,
}

impl GenesisCase {
    /// The allocations, if they are part of the vectors.
    fn allocations(&self, vectors: &FilePath) -> Option<Vec<u8>> {
        let name = self.allocs.rsplit('/').next()?.strip_suffix(".json")?;
        let file = match name {
            "dynamic-integration-allocs" => "recorded-chain/genesis-allocs.json".into(),
            name => format!("genesis/{name}.alloc.json"),
        };
        fs::read(vectors.join(file)).ok()
    }
}

/// Block 0 as a main node would send it.
fn genesis_block(root: B256, hash: B256, timestamp: u64) -> PreparedBlock {
    let input = BlockInput {
        number: 0,
        timestamp,
        coinbase: Address::ZERO,
        l1_info: L1Info::default(),
        transactions: Vec::new(),
    };
    let claims = BlockClaims {
        batch: 0,
        delta_timestamp: None,
        gas_limit: None,
        hash,
        state_root: root,
        block_info_root: B256::ZERO,
        intermediate_state_roots: Vec::new(),
    };
    Block { input, claims }.into()
}

/// What the checker finds wrong with block 0, if anything.
fn genesis_mismatch(genesis: &Genesis, spec: &ChainSpec, block: &PreparedBlock) -> Option<Claim> {
    let start = BatchStart { number: 0, kind: BatchKind::Regular, fork_id: 0, chain_id: spec.chain_id };
    let verdict = Checker::new(spec.clone()).check_genesis(genesis, block, &start);
    match verdict.expect("in memory") {
        Verdict::Verified(verified) => {
            assert_eq!(verified.head().hash, block.claims().hash);
            assert_eq!(verified.head().state_root, block.claims().state_root);
            None
        }
        Verdict::Mismatch(mismatch) => Some(mismatch.claim),
    }
}

/// Whoever publishes a hash also publishes the timestamp in it; a root can be judged without either.
fn check_genesis(name: &str, genesis: &Genesis, spec: &ChainSpec, root: B256, block: Option<(B256, u64)>) {
    let (hash, timestamp) = block.unwrap_or_default();
    let wrong = block.is_none().then_some(Claim::BlockHash);
    let verdict =
        |root, hash, timestamp| genesis_mismatch(genesis, spec, &genesis_block(root, hash, timestamp));
    assert_eq!(verdict(root, hash, timestamp), wrong, "{name}");
    assert_eq!(verdict(!root, hash, timestamp), Some(Claim::StateRoot), "{name}");
    assert_eq!(verdict(root, !hash, timestamp), Some(Claim::BlockHash), "{name}");
    assert_eq!(verdict(root, hash, timestamp + 1), Some(Claim::BlockHash), "{name}");
}

#[test]
fn every_public_genesis_has_the_published_root_and_hash() {
    let test = "every_public_genesis_has_the_published_root_and_hash";
    let Some(vectors) = vectors(test) else {
        return;
    };
    let published: Published = read(&vectors.join("state-tree.json"));
    let (mut judged, mut absent) = (0, BTreeSet::new());
    for case in &published.published_genesis_roots {
        let Some(allocations) = case.allocations(&vectors) else {
            absent.insert(case.network.as_str());
            continue;
        };
        let genesis = Genesis::from_json(&allocations).expect("allocations");
        let mut spec = ChainSpec::from_json(b"{\"chainId\": 1}").expect("a chain");
        spec.london_genesis = case.base_fee_in_header.is_some();
        let block = case.block_hash.zip(case.timestamp);
        assert_eq!(block.is_some(), case.block_hash.is_some(), "{}", case.network);
        check_genesis(&case.network, &genesis, &spec, case.root, block);
        judged += 1;
    }
    assert_eq!(judged, 6);
    assert_eq!(absent, ["Bali (2440)", "X Layer testnet (195)", "zkEVM testnet (1442)"].into());
    for network in absent {
        let why = "its allocations are not among the vectors";
        not_run(&[(&format!("published_genesis_roots, {network}"), why)]);
    }
}

/// `genesis/index.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct IndexCase {
    name: String,
    alloc: String,
    accounts: usize,
    leaves: usize,
    state_root: B256,
    chain_id: Option<u64>,
    chainspec: Option<Json>,
    genesis_block_hash: Option<B256>,
}

#[test]
fn every_allocation_of_the_index_has_its_root_and_hash() {
    let test = "every_allocation_of_the_index_has_its_root_and_hash";
    let Some(vectors) = vectors(test) else {
        return;
    };
    let published: Published = read(&vectors.join("state-tree.json"));
    let index: Vec<IndexCase> = read(&vectors.join("genesis/index.json"));
    assert_eq!(index.len(), 6);
    for case in &index {
        let allocations = fs::read(vectors.join("genesis").join(&case.alloc)).expect("readable");
        let genesis = Genesis::from_json(&allocations).expect("allocations");
        assert_eq!(genesis.accounts.len(), case.accounts, "{}", case.name);
        assert_eq!(leaves(&genesis), case.leaves, "{}", case.name);
        let json = case.chainspec.clone().unwrap_or(serde_json::json!({ "chainId": 1 }));
        let spec = ChainSpec::from_json(json.to_string().as_bytes()).expect("a chain");
        assert_eq!(spec.chain_id, case.chain_id.unwrap_or(1), "{}", case.name);
        // The index has hashes, the other file the timestamps that go into them.
        let published = &published.published_genesis_roots;
        let same = published.iter().find(|other| other.root == case.state_root);
        let timestamp = same.and_then(|other| other.timestamp);
        let block = case.genesis_block_hash.zip(timestamp);
        if block.is_none() && case.genesis_block_hash.is_some() {
            let name = format!("genesis/index.json, block hash of {}", case.name);
            not_run(&[(&name, "its timestamp is not published")]);
        }
        check_genesis(&case.name, &genesis, &spec, case.state_root, block);
    }
}

/// How many leaves the state has.
fn leaves(genesis: &Genesis) -> usize {
    let accounts = genesis.accounts.values();
    let count = accounts.map(|account| {
        let fields = [!account.balance.is_zero(), account.nonce != 0];
        let slots = account.storage.values().filter(|value| !value.is_zero());
        let fields = fields.into_iter().filter(|there| *there).count();
        fields + slots.count() + if account.code.is_empty() { 0 } else { 2 }
    });
    count.sum()
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

#[test]
fn recorded_leaves_lead_from_root_to_root() {
    let Some(published) = open("recorded_leaves_lead_from_root_to_root") else {
        return;
    };
    let chain = published.recorded_chain;
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
    assert_eq!(updated, 3);
}

#[test]
fn recorded_block_info_trees_have_the_published_roots() {
    let Some(published) = open("recorded_block_info_trees_have_the_published_roots") else {
        return;
    };
    let blocks = published.recorded_chain.blocks;
    assert_eq!(blocks.len(), 5);
    for block in &blocks {
        let transactions = block.transactions.iter();
        let info = block.block_info_header.with(transactions.map(RecordedTransaction::info).collect());
        assert_eq!(info.root(), block.block_info_root, "block {}", block.number);
        for log in block.transactions.iter().flat_map(|transaction| &transaction.logs) {
            assert_eq!(hash_bytes(&log.bytes()), log.log_leaf_value, "block {}", block.number);
        }
    }
}

/// Replayed up to each of these blocks, the stream's transactions have these hashes and leave these results.
#[test]
fn recorded_blocks_execute_to_the_published_results() {
    let Some(vectors) = vectors("recorded_blocks_execute_to_the_published_results") else {
        return;
    };
    let published: Published = read(&vectors.join("state-tree.json"));
    let mut due = published.recorded_chain.blocks.iter().peekable();
    let recording = Recording::load(&vectors);
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
    assert_eq!(block.transactions().len(), expected.len());
    let mut gas = U256::ZERO;
    for (prepared, expected) in block.transactions().iter().zip(expected) {
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

#[test]
fn every_block_info_key_has_the_published_path() {
    let Some(published) = open("every_block_info_key_has_the_published_path") else {
        return;
    };
    let BlockInfoKeys { header_keys, tx_keys, log_keys, fork7_header_root } = published.block_info_keys;
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
    assert_eq!([header_keys.len(), tx_keys.len(), log_keys.len()], [8, 8, 4]);
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

#[test]
fn every_l2_transaction_hash_is_the_published_one() {
    let Some(published) = open("every_l2_transaction_hash_is_the_published_one") else {
        return;
    };
    assert_eq!(published.l2_tx_hashes.len(), 7);
    for case in &published.l2_tx_hashes {
        let hash = case.fields().check_l2_hash();
        assert_eq!(Some(hash), case.l2_tx_hash, "{:?}", case.source);
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SmallState {
    source: String,
    accounts: Vec<Account>,
    root: B256,
    proofs: Vec<ProofCase>,
    /// The witnesses are judged by `witness.rs`.
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

#[test]
fn small_state_has_the_published_root_and_proofs() {
    let Some(published) = open("small_state_has_the_published_root_and_proofs") else {
        return;
    };
    let state = published.small_state_proofs_and_witness;
    let tree = Tree::of(state.accounts.iter().flat_map(Account::leaves));
    assert_eq!(tree.root(), state.root, "{}", state.source);
    assert_eq!(state.proofs.len(), 7);
    for case in &state.proofs {
        let (what, path) = (&case.what, path(case.key));
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

#[test]
fn forged_absence_is_refused_for_the_limb_that_is_the_prime() {
    let Some(published) = open("forged_absence_is_refused_for_the_limb_that_is_the_prime") else {
        return;
    };
    let case = published.must_reject_proof;
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

/// The prover keeps a node as what its digest is made of: two children (or remaining path and value hash) and capacity.
#[test]
fn nodes_and_values_are_made_of_what_the_prover_keeps() {
    let Some(published) = open("nodes_and_values_are_made_of_what_the_prover_keeps") else {
        return;
    };
    let (form, state) = (published.prover_db_form, published.small_state_proofs_and_witness);
    assert_eq!(form.root, state.root, "{}", form.source);
    assert_eq!([form.entries_for_root_only.len(), form.value_entry.len()], [1; 2]);
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
    for (hash, record) in &form.value_entry {
        let low_first = limbs::<8>(record).into_iter().rev();
        let value = low_first.fold(U256::ZERO, |value, limb| (value << 32) | U256::from(limb));
        assert_eq!(B256::from(hash_value(value)), *hash);
    }
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
    timestamp_limit: U256,
    forced_block_hash_l1: B256,
    items: Vec<TransitionItem>,
    block_info_roots: Vec<B256>,
    l1_info_root: B256,
    #[serde(rename = "chain_id")]
    _chain_id: IgnoredAny,
    #[serde(rename = "new_root")]
    _new_root: IgnoredAny,
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
    delta_timestamp: U256,
    global_exit_root: B256,
    l1_block_hash: B256,
    #[serde(rename = "l1_info_index")]
    _l1_info_index: IgnoredAny,
    #[serde(rename = "l1_timestamp")]
    _l1_timestamp: IgnoredAny,
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

impl Transition {
    /// What the first block says of itself. A forced batch brings in the L1 info root in place of an exit root.
    fn first_block(&self) -> BlockInfo {
        let (timestamp, global_exit_root, l1_block_hash, transfer) = match self.items.as_slice() {
            [TransitionItem::ChangeL2Block(change), TransitionItem::Transfer(transfer), ..] => {
                (change.delta_timestamp, change.global_exit_root, change.l1_block_hash, transfer)
            }
            [TransitionItem::Transfer(transfer)] => {
                (self.timestamp_limit, self.l1_info_root, self.forced_block_hash_l1, transfer)
            }
            _ => panic!("{}: of another form", self.name),
        };
        BlockInfo {
            previous_state_root: self.old_root,
            coinbase: self.coinbase,
            number: U256::ONE,
            gas_limit: U256::from(1_u64 << 50),
            timestamp,
            global_exit_root,
            l1_block_hash,
            gas_used: transfer.gas_used,
            transactions: vec![transfer.info()],
        }
    }
}

#[test]
fn etrog_transitions_begin_with_the_published_roots() {
    let Some(published) = open("etrog_transitions_begin_with_the_published_roots") else {
        return;
    };
    assert_eq!(published.etrog_transitions.len(), 2);
    for case in &published.etrog_transitions {
        let name = format!("{}, {}, fork {}", case.source, case.name, case.fork_id);
        assert_eq!(state_root(&case.genesis), case.old_root, "{name}");
        assert_eq!(case.first_block().root(), case.block_info_roots[0], "{name}");
    }
}

#[test]
fn what_is_not_run_has_a_name() {
    if open("what_is_not_run_has_a_name").is_none() {
        return;
    }
    not_run(&[(
        "etrog_transitions, new roots and the second block",
        "fork 12 is not supported, and the transactions have no signatures",
    )]);
}
