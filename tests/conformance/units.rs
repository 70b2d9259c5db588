//! `units`: official vectors for single functions.

use alloy_consensus::{TxLegacy, transaction::RlpEcdsaEncodableTx};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, hex};
use serde::{
    Deserialize,
    de::{DeserializeOwned, IgnoredAny},
};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path as FilePath, PathBuf},
};
use zk_replica_core::{
    chain::ForkId,
    executor::{BatchContext, Executor, Rules},
    tree::{StateKey, hash_bytes},
    types::{BatchKind, EncodedTransaction, Head, Totals},
};
use zk_replica_tests::{
    answers::{
        Account, BlockInfo, Fields, TransactionInfo, Tree, block, not_run, path, read, scalar, sign,
        state_root,
    },
    vectors,
};

/// The files that tests here judge.
const RUN: &[&str] = &[
    "block-info-tree.json",
    "effective-gas-price.json",
    "ethereum-tx-hash.json",
    "l2-tx-hash.json",
    "merkle-tree/smt-full-genesis.json",
    "merkle-tree/smt-genesis.json",
    "merkle-tree/smt-hash-bytecode.json",
    "merkle-tree/smt-key-contract-code.json",
    "merkle-tree/smt-key-contract-length.json",
    "merkle-tree/smt-key-contract-storage.json",
    "merkle-tree/smt-key-eth-balance.json",
    "merkle-tree/smt-key-eth-nonce.json",
    "merkle-tree/smt-raw.json",
];

/// The files that `exit_trees.rs` judges.
const ELSEWHERE: &[&str] = &[
    "global-index.json",
    "l1-info-tree.json",
    "l1-info-tree-proofs.json",
    "l1-info-tree-roots.json",
    "mt-bridge/claim-vectors.json",
    "mt-bridge/leaf-vectors.json",
    "mt-bridge/root-vectors.json",
];

/// The files that nothing judges yet, and why.
const NOT_RUN: &[(&str, &str)] = &[("batch-encoding.json", "there is no decoder of batch data")];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases<T> {
    #[serde(rename = "source")]
    _source: IgnoredAny,
    cases: Vec<T>,
}

fn cases<T: DeserializeOwned>(test: &str, file: &str) -> Option<Vec<T>> {
    assert!(RUN.contains(&file), "{file} is not in the list");
    let cases: Cases<T> = read(&vectors(test)?.join("units").join(file));
    Some(cases.cases)
}

#[test]
fn every_file_is_run_or_has_a_name() {
    let Some(vectors) = vectors("every_file_is_run_or_has_a_name") else {
        return;
    };
    let listed = RUN.iter().chain(ELSEWHERE).copied().chain(NOT_RUN.iter().map(|(file, _)| *file));
    let listed: BTreeSet<_> = listed.map(PathBuf::from).collect();
    assert_eq!(listed, files(&vectors.join("units"), FilePath::new("")));
    for (file, why) in NOT_RUN {
        not_run(&[(&format!("units/{file}"), why)]);
    }
}

fn files(folder: &FilePath, at: &FilePath) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder.join(at)).expect("a folder") {
        let entry = entry.expect("readable");
        let path = at.join(entry.file_name());
        if entry.file_type().expect("known").is_dir() {
            found.extend(files(folder, &path));
        } else if path.extension().is_some_and(|end| end == "json") {
            found.insert(path);
        }
    }
    found
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct KeyCase {
    index: usize,
    leaf_type: u64,
    eth_addr: Address,
    storage_position: Option<U256>,
    expected_key: U256,
}

#[test]
fn every_key_is_the_published_one() {
    let files = [
        ("merkle-tree/smt-key-eth-balance.json", 6),
        ("merkle-tree/smt-key-eth-nonce.json", 6),
        ("merkle-tree/smt-key-contract-code.json", 3),
        ("merkle-tree/smt-key-contract-storage.json", 5),
        ("merkle-tree/smt-key-contract-length.json", 3),
    ];
    for (file, count) in files {
        let Some(cases) = cases::<KeyCase>("every_key_is_the_published_one", file) else {
            return;
        };
        assert_eq!(cases.len(), count, "{file}");
        for case in &cases {
            let address = case.eth_addr;
            let key = match (case.leaf_type, case.storage_position) {
                (0, None) => StateKey::Balance(address),
                (1, None) => StateKey::Nonce(address),
                (2, None) => StateKey::CodeHash(address),
                (3, Some(slot)) => StateKey::Storage(address, slot),
                (4, None) => StateKey::CodeLength(address),
                other => panic!("{file} {}: {other:?}", case.index),
            };
            assert_eq!(scalar(&key.path()), B256::from(case.expected_key), "{file} {}", case.index);
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct CodeCase {
    index: usize,
    bytecode: Bytes,
    expected_hash: B256,
}

#[test]
fn every_bytecode_hashes_as_published() {
    let file = "merkle-tree/smt-hash-bytecode.json";
    let Some(cases) = cases::<CodeCase>("every_bytecode_hashes_as_published", file) else {
        return;
    };
    assert_eq!(cases.len(), 9);
    for case in &cases {
        assert_eq!(hash_bytes(&case.bytecode), case.expected_hash, "{}", case.index);
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RawCase {
    index: usize,
    keys: Vec<U256>,
    values: Vec<U256>,
    expected_root: B256,
}

#[test]
fn every_set_of_leaves_has_the_published_root() {
    let file = "merkle-tree/smt-raw.json";
    let Some(cases) = cases::<RawCase>("every_set_of_leaves_has_the_published_root", file) else {
        return;
    };
    assert_eq!(cases.len(), 18);
    for case in &cases {
        assert_eq!(case.keys.len(), case.values.len());
        let keys = case.keys.iter().map(|key| path((*key).into()));
        let leaves: Vec<_> = keys.zip(case.values.iter().copied()).collect();
        assert_eq!(Tree::of(leaves.clone()).root(), case.expected_root, "{}", case.index);
        let mut one_by_one = Tree::default();
        for leaf in leaves {
            one_by_one.set([leaf]);
        }
        assert_eq!(one_by_one.root(), case.expected_root, "{}", case.index);
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct StateCase {
    index: usize,
    addresses: Vec<Account>,
    expected_root: U256,
}

#[test]
fn every_state_has_the_published_root() {
    for (file, count) in [("merkle-tree/smt-genesis.json", 4), ("merkle-tree/smt-full-genesis.json", 3)] {
        let Some(cases) = cases::<StateCase>("every_state_has_the_published_root", file) else {
            return;
        };
        assert_eq!(cases.len(), count, "{file}");
        for case in &cases {
            let root = state_root(&case.addresses);
            assert_eq!(root, B256::from(case.expected_root), "{file} {}", case.index);
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct HashCase {
    index: usize,
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

impl HashCase {
    fn fields(&self) -> Option<Fields> {
        let to = bytes(&self.to)?;
        let to =
            if to.is_empty() { TxKind::Create } else { TxKind::Call(Address::try_from(to.as_slice()).ok()?) };
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

#[test]
fn every_l2_transaction_hash_is_the_published_one() {
    let test = "every_l2_transaction_hash_is_the_published_one";
    let Some(cases) = cases::<HashCase>(test, "l2-tx-hash.json") else {
        return;
    };
    let (mut judged, mut not_judged) = (0, 0);
    for case in &cases {
        if let Some(reason) = &case.reason {
            assert!(case.fields().is_none(), "{}: {reason}", case.index);
            let name = format!("units/l2-tx-hash.json, case {} ({reason})", case.index);
            not_run(&[(&name, "about an input in text, which a replica does not have")]);
            not_judged += 1;
            continue;
        }
        let fields = case.fields().expect("a transaction");
        assert_eq!(Some(fields.preimage()), bytes(&case.encoded), "{}", case.index);
        assert_eq!(fields.check_l2_hash().to_string(), case.l2_tx_hash, "{}", case.index);
        judged += 1;
    }
    assert_eq!((judged, not_judged), (6, 2));
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct SignedCase {
    index: usize,
    nonce: U256,
    gas_price: U256,
    gas_limit: U256,
    to: String,
    value: U256,
    data: String,
    chain_id: U256,
    v: U256,
    r: U256,
    s: U256,
    hash: B256,
    #[serde(rename = "link")]
    _link: IgnoredAny,
}

impl SignedCase {
    /// The chain id and the parity in `v` (EIP-155). What is hashed has the chain id nowhere else.
    fn protection(&self) -> (u64, bool) {
        let v = self.v.to::<u64>() - 35;
        (v / 2, v % 2 == 1)
    }

    fn encoded(&self) -> EncodedTransaction {
        let to = bytes(&self.to).expect("an address");
        let (chain_id, odd) = self.protection();
        let transaction = TxLegacy {
            chain_id: Some(chain_id),
            nonce: self.nonce.to(),
            gas_price: self.gas_price.to(),
            gas_limit: self.gas_limit.to(),
            to: if to.is_empty() { TxKind::Create } else { TxKind::Call(Address::from_slice(&to)) },
            value: self.value,
            input: bytes(&self.data).expect("hex").into(),
        };
        let signature = Signature::new(self.r, self.s, odd);
        let mut encoded = Vec::new();
        transaction.rlp_encode_signed(&signature, &mut encoded);
        EncodedTransaction { encoded: encoded.into(), effective_percentage: 255 }
    }
}

#[test]
fn every_ethereum_transaction_hash_is_the_published_one() {
    let test = "every_ethereum_transaction_hash_is_the_published_one";
    let Some(cases) = cases::<SignedCase>(test, "ethereum-tx-hash.json") else {
        return;
    };
    assert_eq!(cases.len(), 8);
    for case in &cases {
        let transaction = case.encoded().recover().expect("signed");
        assert_eq!(transaction.hash(), case.hash, "{}", case.index);
        // In one case the chain id beside the signature is another one.
        assert_eq!(U256::from(case.protection().0) == case.chain_id, case.index != 10, "{}", case.index);
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct InfoCase {
    index: usize,
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

#[test]
fn every_block_info_tree_has_the_published_root() {
    let test = "every_block_info_tree_has_the_published_root";
    let Some(cases) = cases::<InfoCase>(test, "block-info-tree.json") else {
        return;
    };
    assert_eq!(cases.len(), 3);
    for case in cases {
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
        assert_eq!(info.root(), case.final_block_info_root, "{}", case.index);
    }
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
    index: usize,
    gas_price: U256,
    effective_percentage: U256,
    expected_output: U256,
}

/// What the sequencer is paid for a transfer of nothing shows the price.
#[test]
fn every_effective_gas_price_is_what_the_sequencer_is_paid() {
    let test = "every_effective_gas_price_is_what_the_sequencer_is_paid";
    let Some(cases) = cases::<PriceCase>(test, "effective-gas-price.json") else {
        return;
    };
    assert_eq!(cases.len(), 189);
    for case in &cases {
        let paid = paid_for_transfer(case.gas_price.to(), case.effective_percentage.to());
        assert_eq!(paid, case.expected_output * U256::from(21_000), "{}", case.index);
    }
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
    let parent = Head {
        number: 0,
        hash: B256::ZERO,
        state_root: state.root(),
        timestamp: 0,
        batch: 0,
        fork_id: 0,
        batch_closed: true,
        totals: Totals::default(),
    };
    let batch = BatchContext { rules: Rules::of(ForkId::Elderberry2), kind: BatchKind::Regular, chain_id: 1 };
    let execution = Executor::new()
        .execute(&block(1, sequencer, vec![signed]), &batch, &parent, state.store())
        .expect("executable");
    assert!(execution.receipts[0].success);
    let balance = execution.diff.leaves.get(&StateKey::Balance(sequencer));
    balance.copied().unwrap_or_default()
}
