//! The API as callers meet it, on a small chain that was never executed: its records are as if it had been.

use super::*;
use crate::{
    chain::{ChainSpec, ForkId, ForkSchedule},
    executor::{Rules, StateDiff},
    source::main_node::{self, Client, Event},
    store::{Commit, Key, Memory, Recording, StoreError},
    tree::{Paths, Smt, StateKey, global_exit_root},
    types::{BatchKind, BlockRecord, Head, L1Info, Receipt, Totals, TransactionPlace, TransactionRecord},
};
use alloc::{
    collections::BTreeMap,
    format,
    string::{String, ToString},
    vec,
    vec::Vec,
};
use alloy_consensus::{Header, SignableTransaction, TxLegacy, transaction::RlpEcdsaEncodableTx};
use alloy_primitives::{Address, B256, Bytes, Log, Signature, TxKind, U256, hex, keccak256, logs_bloom};
use alloy_rlp::Decodable;
use k256::ecdsa::SigningKey;
use proptest::prelude::*;
use serde_json::{Value, json};

pub(super) const CHAIN: u64 = 779;
const CONTRACT: Address = Address::repeat_byte(0xc0);
const TOPIC: B256 = B256::repeat_byte(0x70);
const SEQUENCER: Address = Address::repeat_byte(0x5e);
const WEALTH: u64 = 1 << 60;

/// A chain of three blocks: genesis, one without transactions, one with three.
struct Chain {
    store: Memory,
    rpc: Rpc,
    status: Status,
    hashes: Vec<B256>,
    transactions: Vec<B256>,
}

fn key() -> SigningKey {
    SigningKey::from_slice(&[7; 32]).unwrap()
}

pub(super) fn sender() -> Address {
    let point = key().verifying_key().to_sec1_point(false);
    Address::from_slice(&keccak256(&point.as_bytes()[1..])[12..])
}

pub(super) fn unsigned(nonce: u64) -> TxLegacy {
    TxLegacy {
        chain_id: Some(CHAIN),
        nonce,
        gas_price: 1000,
        gas_limit: 100_000,
        to: TxKind::Call(CONTRACT),
        value: U256::ZERO,
        input: Bytes::new(),
    }
}

pub(super) fn sign(transaction: TxLegacy) -> Bytes {
    let (signature, recovery) = key().sign_prehash_recoverable(transaction.signature_hash().as_slice());
    let bytes = signature.to_bytes();
    let signature = Signature::from_bytes_and_parity(&bytes, recovery.is_y_odd());
    let mut encoded = Vec::new();
    transaction.rlp_encode_signed(&signature, &mut encoded);
    encoded.into()
}

impl Chain {
    fn new() -> Self {
        Self::with_code(&[])
    }

    /// With a contract.
    fn with_code(code: &[u8]) -> Self {
        let spec = ChainSpec::from_json(br#"{ "chainId": 779 }"#).unwrap();
        let mut chain = Self {
            store: Memory::new(),
            rpc: Rpc::new(spec, Config::default()),
            status: Status::default(),
            hashes: Vec::new(),
            transactions: Vec::new(),
        };
        let mut diff = StateDiff::default();
        diff.leaves.insert(StateKey::Balance(sender()), U256::from(WEALTH));
        diff.leaves.insert(StateKey::Storage(CONTRACT, U256::from(5)), U256::from(0x1234));
        if !code.is_empty() {
            diff.set_code(CONTRACT, Bytes::copy_from_slice(code));
        }
        let genesis = chain.add(B256::ZERO, &diff, Vec::new());
        let mut diff = StateDiff::default();
        diff.leaves.insert(StateKey::Balance(sender()), U256::from(WEALTH - 1));
        let first = chain.add(genesis, &diff, Vec::new());
        let mut diff = StateDiff::default();
        diff.leaves.insert(StateKey::Nonce(sender()), U256::from(3));
        let create = TxLegacy { to: TxKind::Create, input: Bytes::from_static(&[0]), ..unsigned(2) };
        let transactions = vec![(unsigned(0), 2, 255), (unsigned(1), 0, 127), (create, 1, 255)];
        chain.add(first, &diff, transactions);
        chain
    }

    /// A block on the state with this root; each transaction comes with the number of its logs and its percentage.
    fn add(&mut self, root: B256, diff: &StateDiff, transactions: Vec<(TxLegacy, u8, u8)>) -> B256 {
        let update = Smt::new(&self.store).update(root, diff.tree_changes(&mut Paths::new())).unwrap();
        let (mut commit, mut written) = (Commit::default(), Commit::default());
        update.write(&mut written);
        // Without what the update releases: history is kept.
        for (key, record) in written.records() {
            commit.put(*key, record.clone());
        }
        diff.write_codes(&mut commit);
        let (mut records, mut receipts) = (Vec::new(), Vec::new());
        for (index, (transaction, logs, effective_percentage)) in (0_u64..).zip(transactions) {
            let logs = (0..logs).map(|n| Log::new_unchecked(CONTRACT, vec![TOPIC], vec![n + 1; 32].into()));
            let logs: Vec<_> = logs.collect();
            let encoded = sign(transaction);
            self.transactions.push(keccak256(&encoded));
            receipts.push(Receipt {
                success: true,
                gas_used: 30_000,
                cumulative_gas_used: 30_000 * (index + 1),
                logs,
            });
            records.push(TransactionRecord { encoded, sender: sender(), effective_percentage });
        }
        let number = self.hashes.len() as u64;
        let header = Header {
            number,
            parent_hash: self.hashes.last().copied().unwrap_or_default(),
            beneficiary: SEQUENCER,
            state_root: update.root,
            timestamp: 1000 + number,
            gas_limit: 1 << 50,
            gas_used: receipts.last().map_or(0, |receipt| receipt.cumulative_gas_used),
            logs_bloom: logs_bloom(receipts.iter().flat_map(|receipt| &receipt.logs)),
            ..Header::default()
        };
        let hash = header.hash_slow();
        let fork_id = if number == 0 { 0 } else { 9 };
        let head = Head {
            number,
            hash,
            state_root: update.root,
            timestamp: header.timestamp,
            batch: number,
            fork_id,
            batch_closed: true,
            totals: Totals::default(),
        };
        for (index, record) in (0..).zip(&records) {
            let place = alloy_rlp::encode(TransactionPlace { block: number, index });
            commit.put(Key::TransactionPlace(keccak256(&record.encoded)), place.into());
        }
        let l1_info = L1Info::default();
        let record = BlockRecord {
            header,
            batch: number,
            fork_id,
            l1_info,
            block_info_root: B256::repeat_byte(0xb1),
            transactions: records,
            receipts,
        };
        commit.put(Key::Block(number), alloy_rlp::encode(record).into());
        commit.put(Key::BlockNumber(hash), number.to_be_bytes().into());
        commit.put(Key::Head, alloy_rlp::encode(head).into());
        self.store.apply(&commit).unwrap();
        self.hashes.push(hash);
        update.root
    }

    /// Changes what is stored of a block.
    fn alter(&self, number: u64, alter: impl FnOnce(&mut BlockRecord)) {
        let record = self.store.get(&Key::Block(number)).unwrap().unwrap();
        let mut record = BlockRecord::decode(&mut record.as_ref()).unwrap();
        alter(&mut record);
        let mut commit = Commit::default();
        commit.put(Key::Block(number), alloy_rlp::encode(record).into());
        self.store.apply(&commit).unwrap();
    }

    fn alter_head(&self, alter: impl FnOnce(&mut Head)) {
        let mut head = Head::decode(&mut self.store.get(&Key::Head).unwrap().unwrap().as_ref()).unwrap();
        alter(&mut head);
        let mut commit = Commit::default();
        commit.put(Key::Head, alloy_rlp::encode(head).into());
        self.store.apply(&commit).unwrap();
    }

    fn handle(&self, body: &str) -> Reply {
        self.rpc.handle(body.as_bytes(), &self.status, &self.store)
    }

    fn answer(&self, body: &str) -> String {
        match self.handle(body) {
            Reply::Answer(answer) => answer,
            Reply::Forward(forward) => panic!("{forward:?}"),
        }
    }

    fn ask(&self, method: &str, params: Value) -> Value {
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let answer: Value = serde_json::from_str(&self.answer(&request.to_string())).unwrap();
        assert_eq!((&answer["jsonrpc"], &answer["id"]), (&json!("2.0"), &json!(1)));
        answer
    }

    #[track_caller]
    fn result(&self, method: &str, params: Value) -> Value {
        let mut answer = self.ask(method, params);
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer.as_object_mut().unwrap().remove("result").expect("a result")
    }

    #[track_caller]
    fn error(&self, method: &str, params: Value) -> (i64, String) {
        let answer = self.ask(method, params);
        assert!(answer.get("result").is_none(), "{method}: {answer}");
        let error = &answer["error"];
        (error["code"].as_i64().unwrap(), error["message"].as_str().unwrap().into())
    }

    fn forwarded(&self, method: &str, params: Value) -> Forward {
        let request = json!({ "jsonrpc": "2.0", "id": "mine", "method": method, "params": params });
        match self.handle(&request.to_string()) {
            Reply::Forward(forward) => forward,
            Reply::Answer(answer) => panic!("{answer}"),
        }
    }
}

/// Code that ends with `end` and these bytes.
fn ending(end: u8, output: &[u8]) -> Vec<u8> {
    let length = u8::try_from(output.len()).unwrap();
    [&[0x60, length, 0x60, 12, 0x60, 0, 0x39, 0x60, length, 0x60, 0, end][..], output].concat()
}

#[test]
fn the_envelope_is_that_of_json_rpc() {
    let chain = Chain::new();
    let parse = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"parse error"}}"#;
    let invalid = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"invalid request"}}"#;
    let deep = format!(r#"{{"id":1,"method":"eth_chainId","params":{}{}}}"#, "[".repeat(64), "]".repeat(64));
    let table = [
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":"0x30b"}"#,
        ),
        (
            r#"{"id":"a\u0062\"","method":"eth_chainId","params":null}"#,
            r#"{"jsonrpc":"2.0","id":"a\u0062\"","result":"0x30b"}"#,
        ),
        (
            r#"{"id":1.50e2,"method":"eth_chainId","params":[],"x":{}}"#,
            r#"{"jsonrpc":"2.0","id":1.50e2,"result":"0x30b"}"#,
        ),
        (r#"{"id":null,"method":"eth_chainId"}"#, r#"{"jsonrpc":"2.0","id":null,"result":"0x30b"}"#),
        (r#"{"method":"eth_chainId"}"#, ""),
        (r#"[{"method":"eth_chainId"},{"method":"no"}]"#, ""),
        (
            r#"[{"id":2,"method":"eth_chainId"},{"method":"eth_chainId"},1,{"id":1,"method":"net_version"}]"#,
            r#"[{"jsonrpc":"2.0","id":2,"result":"0x30b"},{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"invalid request"}},{"jsonrpc":"2.0","id":1,"result":"779"}]"#,
        ),
        ("[]", r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"empty batch"}}"#),
        ("", parse),
        ("{", parse),
        (r#"{"id":1,"id":2,"method":"eth_chainId"}"#, parse),
        (&deep, parse),
        ("1", invalid),
        (r#"{"id":[],"method":"eth_chainId"}"#, invalid),
        (
            r#"{"id":7,"method":1}"#,
            r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32600,"message":"invalid request"}}"#,
        ),
        (
            r#"{"id":7,"method":"eth_chainId","params":{}}"#,
            r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32602,"message":"non-array args"}}"#,
        ),
        (
            r#"{"id":7,"method":"eth_chainId","params":[1]}"#,
            r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32602,"message":"too many arguments, want at most 0"}}"#,
        ),
        (
            r#"{"id":7,"method":"eth_nope\n"}"#,
            r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32601,"message":"the method eth_nope\u000a does not exist/is not available"}}"#,
        ),
    ];
    for (request, answer) in table {
        assert_eq!(chain.answer(request), answer, "{request}");
    }
}

#[test]
fn requests_are_bounded() {
    let mut chain = Chain::new();
    let one = r#"{"id":1,"method":"eth_chainId"}"#;
    let batch = |count| format!("[{}]", vec![one; count].join(","));
    assert!(chain.answer(&batch(100)).contains("0x30b"));
    assert!(chain.answer(&batch(101)).contains("batch too large"));
    assert!(chain.answer(&" ".repeat((5 << 20) + 1)).contains("request too large"));
    chain.rpc.config.limits.response = 86;
    let answer = chain.answer(&batch(3));
    assert_eq!((answer.matches("0x30b").count(), answer.matches("response too large").count()), (2, 1));
}

#[test]
fn constants_are_as_clients_expect() {
    let chain = Chain::new();
    for (method, result) in [
        ("eth_chainId", json!("0x30b")),
        ("eth_blockNumber", json!("0x2")),
        ("eth_syncing", json!(false)),
        ("eth_protocolVersion", json!("0x0")),
        ("eth_hashrate", json!("0x0")),
        ("eth_mining", json!(false)),
        ("eth_accounts", json!([])),
        ("eth_getCompilers", json!([])),
        ("eth_coinbase", json!(SEQUENCER)),
        ("net_version", json!("779")),
        ("net_listening", json!(true)),
        ("net_peerCount", json!("0x0")),
        (
            "rpc_modules",
            // Nothing is remembered here, so there is no pool.
            json!({"debug":"1.0","eth":"1.0","net":"1.0","rpc":"1.0","web3":"1.0","zkevm":"1.0","zkreplica":"1.0"}),
        ),
    ] {
        assert_eq!(chain.result(method, json!([])), result, "{method}");
    }
    assert_eq!(
        chain.result("web3_sha3", json!(["0x68656c6c6f20776f726c64"])),
        json!("0x47173285a8d7341e5e972fc677286384f802f8ef42a5ec5f03bbfa254cb01fad")
    );
    let version = chain.result("web3_clientVersion", json!([]));
    assert!(version.as_str().unwrap().starts_with("zk-replica/v"));
}

#[test]
fn an_empty_store_is_not_ready() {
    let chain = Chain { store: Memory::new(), ..Chain::new() };
    assert_eq!(chain.result("eth_chainId", json!([])), "0x30b");
    for (method, params) in [
        ("eth_blockNumber", json!([])),
        ("eth_getBlockByNumber", json!(["latest"])),
        ("eth_getBalance", json!([CONTRACT])),
        ("eth_getLogs", json!([{}])),
        ("zkevm_getBatchByNumber", json!([0])),
        ("eth_feeHistory", json!([1, "latest"])),
    ] {
        assert_eq!(chain.error(method, params), (-32000, "not ready".into()), "{method}");
    }
}

#[test]
fn syncing_tells_how_far_the_main_node_is() {
    let mut chain = Chain::new();
    chain.status.highest_block = Some(12);
    assert_eq!(chain.result("eth_syncing", json!([])), false);
    chain.status.highest_block = Some(13);
    let behind = json!({ "currentBlock": "0x2", "highestBlock": "0xd" });
    assert_eq!(chain.result("eth_syncing", json!([])), behind);
    chain.status = Status { halted: true, ..Status::default() };
    assert_eq!(chain.result("eth_syncing", json!([]))["currentBlock"], "0x2");
}

#[test]
fn tags_name_blocks() {
    let mut chain = Chain::new();
    let number =
        |chain: &Chain, tag: &str| chain.result("eth_getBlockByNumber", json!([tag]))["number"].clone();
    assert_eq!(number(&chain, "earliest"), "0x0");
    assert_eq!(number(&chain, "latest"), "0x2");
    assert_eq!(number(&chain, "pending"), "0x2");
    for tag in ["safe", "finalized"] {
        assert_eq!(chain.error("eth_getBlockByNumber", json!([tag])), (-39001, "unknown block".into()));
    }
    chain.status.finalized = Some(Frontier { block: 1, batch: 1 });
    assert_eq!(number(&chain, "finalized"), "0x1");
    assert_eq!(number(&chain, "safe"), "0x1");
    // What L1 has and we have not verified is not served.
    chain.status.safe = Some(Frontier { block: 9, batch: 9 });
    assert_eq!(number(&chain, "safe"), "0x2");
}

#[test]
fn accounts_are_read_after_any_block() {
    let chain = Chain::with_code(&[0x60, 0x01]);
    let balance = |block: Value| chain.result("eth_getBalance", json!([sender(), block]));
    assert_eq!(balance(json!("0x0")), format!("{WEALTH:#x}"));
    assert_eq!(balance(json!(1)), format!("{:#x}", WEALTH - 1));
    assert_eq!(balance(json!(chain.hashes[0])), format!("{WEALTH:#x}"));
    assert_eq!(balance(json!({ "blockHash": chain.hashes[0], "requireCanonical": true })), balance(json!(0)));
    assert_eq!(balance(Value::Null), balance(json!("latest")));
    let nonce = |block: &str| chain.result("eth_getTransactionCount", json!([sender(), block]));
    assert_eq!((nonce("earliest"), nonce("latest")), (json!("0x0"), json!("0x3")));
    assert_eq!(chain.result("eth_getCode", json!([CONTRACT])), "0x6001");
    assert_eq!(chain.result("eth_getCode", json!([sender()])), "0x");
    let slot = |slot: &str| chain.result("eth_getStorageAt", json!([CONTRACT, slot, "latest"]));
    assert_eq!(slot("0x5"), json!(B256::from(U256::from(0x1234))));
    assert_eq!(slot(&B256::with_last_byte(5).to_string()), slot("0x5"));
    assert_eq!(slot("0x6"), json!(B256::ZERO));
}

#[test]
fn wrong_parameters_are_named() {
    let chain = Chain::new();
    let unknown = B256::repeat_byte(9);
    let long = format!("0x{}", "0".repeat(66));
    for (method, params, code, message) in [
        ("eth_getBalance", json!([]), -32602, "missing value for required argument 0".into()),
        ("eth_getBalance", json!(["12"]), -32602, "invalid argument 0: hex string without 0x prefix".into()),
        (
            "eth_getBalance",
            json!(["0x12"]),
            -32602,
            "invalid argument 0: hex string has length 2, want 40 for common.Address".into(),
        ),
        (
            "eth_getBalance",
            json!([CONTRACT, "0x01"]),
            -32602,
            "invalid argument 1: hex number with leading zero digits".into(),
        ),
        ("eth_getBalance", json!([CONTRACT, "0x3"]), -32000, "block with number 3 not found".into()),
        ("eth_getBalance", json!([CONTRACT, unknown]), -32000, format!("block {unknown} not found")),
        ("eth_getBalance", json!([CONTRACT, "safe"]), -39001, "unknown block".into()),
        (
            "eth_getBalance",
            json!([CONTRACT, "latest", 1]),
            -32602,
            "too many arguments, want at most 2".into(),
        ),
        (
            "eth_getStorageAt",
            json!([CONTRACT, long]),
            -32602,
            format!("storage key too long (want at most 32 bytes): {long:?}"),
        ),
        (
            "eth_getStorageAt",
            json!([CONTRACT, "0xasdf"]),
            -32602,
            "invalid hex in storage key: \"0xasdf\"".into(),
        ),
        ("eth_getBlockByNumber", json!([]), -32602, "missing value for required argument 0".into()),
        (
            "eth_getBlockByNumber",
            json!(["latest", "yes"]),
            -32602,
            "invalid argument 1: a boolean was expected".into(),
        ),
        (
            "debug_getRawHeader",
            json!(["2x"]),
            -32602,
            "invalid argument 0: hex string without 0x prefix".into(),
        ),
        ("eth_subscribe", json!(["newHeads"]), -32000, "notifications not supported".into()),
        ("eth_sign", json!([]), -32601, "the method eth_sign does not exist/is not available".into()),
        ("eth_getProof", json!([]), -32601, "the method eth_getProof does not exist/is not available".into()),
        ("", json!([]), -32601, "the method  does not exist/is not available".into()),
    ] {
        assert_eq!(chain.error(method, params.clone()), (code, message), "{method} {params}");
    }
}

#[test]
fn what_does_not_exist_is_null() {
    let chain = Chain::new();
    let unknown = B256::repeat_byte(9);
    for (method, params) in [
        ("eth_getBlockByNumber", json!(["0x3"])),
        ("eth_getBlockByHash", json!([unknown])),
        ("eth_getBlockTransactionCountByNumber", json!(["0x3"])),
        ("eth_getBlockTransactionCountByHash", json!([unknown])),
        ("eth_getUncleCountByBlockNumber", json!(["0x3"])),
        ("eth_getUncleByBlockNumberAndIndex", json!(["0x1", "0x0"])),
        ("eth_getBlockReceipts", json!(["0x3"])),
        ("eth_getTransactionReceipt", json!([unknown])),
        ("eth_getTransactionByBlockNumberAndIndex", json!(["0x2", "0x3"])),
        ("eth_getTransactionByBlockHashAndIndex", json!([unknown, "0x0"])),
        ("eth_getRawTransactionByHash", json!([unknown])),
        ("zkevm_batchNumberByBlockNumber", json!(["0x3"])),
        ("zkevm_getFullBlockByNumber", json!(["0x3", true])),
        ("zkevm_getBatchByNumber", json!(["0x3"])),
        ("zkevm_getForkById", json!(["0x8"])),
    ] {
        assert_eq!(chain.result(method, params), Value::Null, "{method}");
    }
}

#[test]
fn blocks_and_transactions_agree_with_each_other() {
    let chain = Chain::new();
    let by_number = chain.result("eth_getBlockByNumber", json!(["0x2", true]));
    assert_eq!(by_number, chain.result("eth_getBlockByHash", json!([chain.hashes[2], true])));
    assert_eq!(chain.result("eth_getBlockTransactionCountByNumber", json!([2])), "0x3");
    assert_eq!(chain.result("eth_getUncleCountByBlockHash", json!([chain.hashes[2]])), "0x0");
    assert!(by_number.get("baseFeePerGas").is_none());
    let hashes = chain.result("eth_getBlockByNumber", json!(["0x2", false]));
    assert_eq!(hashes["transactions"], json!(chain.transactions));
    for (index, hash) in chain.transactions.iter().enumerate() {
        let transaction = chain.result("eth_getTransactionByHash", json!([hash]));
        assert_eq!(transaction, by_number["transactions"][index]);
        let position = format!("{index:#x}");
        let by_index = chain.result("eth_getTransactionByBlockNumberAndIndex", json!(["latest", position]));
        assert_eq!(transaction, by_index);
        let raw =
            chain.result("eth_getRawTransactionByBlockHashAndIndex", json!([chain.hashes[2], position]));
        let raw = hex::decode(raw.as_str().unwrap()).unwrap();
        assert_eq!(keccak256(raw), *hash);
        assert_eq!(transaction["from"], json!(sender()));
        assert_eq!(transaction["chainId"], "0x30b");
        assert!(["0x639", "0x63a"].contains(&transaction["v"].as_str().unwrap()), "{transaction}");
        assert!(transaction.get("l2Hash").is_none());
        let extra = chain.result("eth_getTransactionByHash", json!([hash, true]));
        assert_eq!(extra["l2Hash"].as_str().unwrap().len(), 66);
    }
}

#[test]
fn raw_blocks_are_what_was_hashed() {
    let chain = Chain::new();
    let raw = |method: &str| {
        let raw = chain.result(method, json!([chain.hashes[2]]));
        hex::decode(raw.as_str().unwrap()).unwrap()
    };
    let (header, block) = (raw("debug_getRawHeader"), raw("debug_getRawBlock"));
    assert_eq!(keccak256(&header), chain.hashes[2]);
    let size = chain.result("eth_getBlockByNumber", json!(["0x2"]))["size"].clone();
    assert_eq!(size, format!("{:#x}", block.len()));
    assert_eq!(block[3..3 + header.len()], header);
    assert_eq!(block.last(), Some(&0xc0));
    let unknown = B256::with_last_byte(1);
    for method in ["debug_getRawHeader", "debug_getRawBlock"] {
        assert_eq!(chain.error(method, json!([unknown])), (-32000, format!("block {unknown} not found")));
    }
    assert_eq!(chain.result("debug_getRawTransaction", json!([unknown])), "0x");
}

#[test]
fn receipts_say_what_was_paid_and_number_logs_through_the_block() {
    let chain = Chain::new();
    let receipts = chain.result("eth_getBlockReceipts", json!([chain.hashes[2]]));
    for (index, hash) in chain.transactions.iter().enumerate() {
        assert_eq!(receipts[index], chain.result("eth_getTransactionReceipt", json!([hash])));
    }
    let column = |name: &str| -> Vec<Value> {
        receipts.as_array().unwrap().iter().map(|receipt| receipt[name].clone()).collect()
    };
    assert_eq!(column("effectiveGasPrice"), ["0x3e8", "0x1f4", "0x3e8"]);
    assert_eq!(column("cumulativeGasUsed"), ["0x7530", "0xea60", "0x15f90"]);
    assert_eq!(column("to"), [json!(CONTRACT), json!(CONTRACT), Value::Null]);
    assert_eq!(column("contractAddress"), [Value::Null, Value::Null, json!(sender().create(2))]);
    let logs = column("logs").iter().flat_map(|logs| logs.as_array().unwrap().clone()).collect::<Vec<_>>();
    let numbers: Vec<_> = logs.iter().map(|log| log["logIndex"].clone()).collect();
    assert_eq!(numbers, ["0x0", "0x1", "0x2"]);
    assert_eq!(chain.result("eth_getLogs", json!([{ "fromBlock": "earliest" }])), json!(logs));
    assert!(receipts[0].get("transactionL2Hash").is_none());
    let full = chain.result("zkevm_getFullBlockByNumber", json!(["0x2", true]));
    assert_eq!(full["transactions"][1]["receipt"]["effectiveGasPrice"], "0x1f4");
    assert_eq!(full["blockInfoRoot"], json!(B256::repeat_byte(0xb1)));
}

#[test]
fn logs_are_filtered() {
    let chain = Chain::new();
    let count = |filter: Value| chain.result("eth_getLogs", json!([filter])).as_array().unwrap().len();
    let other = B256::repeat_byte(1);
    assert_eq!(count(json!({})), 3);
    assert_eq!(count(json!({ "toBlock": "0x2", "fromBlock": 0 })), 3);
    assert_eq!(count(json!({ "fromBlock": "0x1", "toBlock": "0x1" })), 0);
    assert_eq!(count(json!({ "fromBlock": "0x1", "toBlock": "0xffff" })), 3);
    assert_eq!(count(json!({ "blockHash": chain.hashes[2] })), 3);
    assert_eq!(count(json!({ "address": CONTRACT, "topics": [TOPIC] })), 3);
    assert_eq!(count(json!({ "address": [sender(), CONTRACT], "topics": [[other, TOPIC]] })), 3);
    assert_eq!(count(json!({ "address": [sender()] })), 0);
    assert_eq!(count(json!({ "topics": [null, null] })), 0);
    assert_eq!(count(json!({ "topics": [other] })), 0);
    assert_eq!(count(json!({ "address": null, "topics": [null] })), 3);
}

#[test]
fn log_filters_are_refused_in_known_words() {
    let mut chain = Chain::new();
    let hash = chain.hashes[2];
    let refused = |chain: &Chain, filter: Value| chain.error("eth_getLogs", json!([filter]));
    for (filter, code, message) in [
        (json!({ "fromBlock": "0x2", "toBlock": "0x1" }), -32602, "invalid block range params"),
        (json!({ "fromBlock": "0x3" }), -32602, "block range extends beyond current head block"),
        (json!({ "fromBlock": "0x4", "toBlock": "0x3" }), -32602, "invalid block range params"),
        (json!({ "fromBlock": "0x3", "toBlock": "latest" }), -32602, "invalid block range params"),
        (
            json!({ "fromBlock": "0x3", "toBlock": "0x4" }),
            -32602,
            "block range extends beyond current head block",
        ),
        (
            json!({ "blockHash": hash, "fromBlock": "0x1" }),
            -32602,
            "invalid argument 0: cannot specify both BlockHash and FromBlock/ToBlock, choose one or the other",
        ),
        (json!({ "blockHash": B256::ZERO }), -32000, "unknown block"),
        (json!({ "fromBlock": "safe" }), -39001, "unknown block"),
        (json!({ "topics": [null, null, null, null, null] }), -32602, "more than four topics in filter"),
        (
            json!({ "address": vec![CONTRACT; 1001] }),
            -32602,
            "exceed max addresses or topics per search position",
        ),
    ] {
        assert_eq!(refused(&chain, filter.clone()), (code, message.into()), "{filter}");
    }
    chain.rpc.config.limits.log_blocks = 2;
    let all = json!({ "fromBlock": "0x0" });
    assert_eq!(refused(&chain, all.clone()), (-32602, "logs are limited to a 2 block range".into()));
    chain.rpc.config.limits.log_blocks = 3;
    chain.rpc.config.limits.log_results = 2;
    let hint = "query returned more than 2 results. Try with this block range [0x0, 0x1].";
    assert_eq!(refused(&chain, all.clone()), (-32602, hint.into()));
    chain.rpc.config.limits.log_results = 3;
    assert_eq!(chain.result("eth_getLogs", json!([all])).as_array().unwrap().len(), 3);
}

#[test]
fn logs_are_bounded_by_bytes_and_a_smaller_range_is_named() {
    let mut chain = Chain::new();
    let all = json!([{ "fromBlock": "0x0" }]);
    let length = chain.result("eth_getLogs", all.clone()).to_string().len();
    chain.rpc.config.limits.response = length;
    chain.result("eth_getLogs", all.clone());
    chain.rpc.config.limits.response = length - 1;
    let hint = "query returned more than 2 results. Try with this block range [0x0, 0x1].";
    assert_eq!(chain.error("eth_getLogs", all), (-32602, hint.into()));
    // No range is smaller than a block.
    for block in [json!({ "fromBlock": "0x2" }), json!({ "blockHash": chain.hashes[2] })] {
        assert_eq!(chain.error("eth_getLogs", json!([block])), (-32000, "response too large".into()));
    }
}

/// The chain is another one from some read on.
struct Turning<'a> {
    before: &'a Memory,
    after: &'a Memory,
    left: core::cell::Cell<u32>,
}

impl Store for Turning<'_> {
    fn get(&self, key: &Key) -> Result<Option<Bytes>, StoreError> {
        let Some(left) = self.left.get().checked_sub(1) else { return self.after.get(key) };
        self.left.set(left);
        self.before.get(key)
    }

    fn apply(&self, _: &Commit) -> Result<(), StoreError> {
        unreachable!("nothing is written")
    }
}

#[test]
fn no_answer_is_of_two_chains() {
    let (before, after) = (Chain::new(), Chain::with_code(&[1]));
    for (method, params) in [
        ("zkevm_getNativeBlockHashesInRange", json!([{ "fromBlock": 0, "toBlock": 2 }])),
        ("zkevm_getBatchByNumber", json!([2, true])),
        ("eth_getLogs", json!([{ "fromBlock": 0 }])),
        ("eth_feeHistory", json!([3, "latest", []])),
    ] {
        let sound = [&before, &after].map(|chain| chain.ask(method, params.clone()));
        let mut refused = 0;
        for turn in 0..40 {
            let store = Turning { before: &before.store, after: &after.store, left: turn.into() };
            let request =
                json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
            let Reply::Answer(answer) = before.rpc.handle(request.as_bytes(), &before.status, &store) else {
                panic!("{method} is answered here")
            };
            let answer: Value = serde_json::from_str(&answer).unwrap();
            // State that is not there in the one chain is an error of its own.
            if answer["error"]["message"] == "the chain was rolled back meanwhile: ask again" {
                refused += 1;
            } else if answer.get("error").is_none() {
                assert!(sound.contains(&answer), "{method}, another chain from read {turn} on: {answer}");
            }
        }
        assert!(refused > 0, "{method}");
    }
}

#[test]
fn a_batch_is_not_gathered_beyond_the_limit() {
    let mut chain = Chain::new();
    let root = chain.add(B256::ZERO, &StateDiff::default(), Vec::new());
    for _ in 0..30 {
        chain.add(root, &StateDiff::default(), Vec::new());
    }
    let last = chain.hashes.len() as u64 - 1;
    for number in 1..=last {
        chain.alter(number, |record| record.batch = 1);
    }
    chain.alter_head(|head| head.batch = 1);
    let blocks = |chain: &Chain| {
        let store = Recording::new(&chain.store);
        let request = r#"{"id":1,"method":"zkevm_getBatchByNumber","params":["0x1",true]}"#;
        let Reply::Answer(answer) = chain.rpc.handle(request.as_bytes(), &chain.status, &store) else {
            panic!("answered here")
        };
        let records = store.into_records();
        let read = records.keys().filter(|key| matches!(key, Key::Block(_))).count() as u64;
        (read, answer.contains("response too large"))
    };
    assert_eq!(blocks(&chain), (last + 1, false));
    chain.rpc.config.limits.response = 5_000;
    let (read, refused) = blocks(&chain);
    assert!(refused && read < 15, "{read} blocks were read");
}

/// A replica that follows this one.
fn follow(chain: &Chain) -> Vec<Event> {
    let mut client = Client::new(main_node::Config {
        chain_id: CHAIN,
        forks: ForkSchedule::new([(1, ForkId::Elderberry2)]).unwrap(),
        encoding: |fork| &Rules::of(fork).encoding,
        in_flight: 1,
        ahead: 1,
    });
    let mut events = Vec::new();
    loop {
        while let Some(event) = client.next_event() {
            if matches!(event, Event::Ready { .. }) {
                client.start(None);
            }
            events.push(event);
        }
        let Some((id, request)) = client.next_request() else { return events };
        let answer = chain.answer(&request.encode(id));
        client.tell(id, request.decode(id, answer.as_bytes())).unwrap();
    }
}

#[test]
fn forced_batches_are_served_as_a_replica_understands_them() {
    use crate::source::datastream::Item;
    let mut chain = Chain::new();
    let [root, l1_block] = [0x9e, 0x1b].map(B256::repeat_byte);
    let slot = U256::from_be_bytes(keccak256([root, B256::ZERO].concat()).0);
    let mut diff = StateDiff::default();
    diff.leaves.insert(StateKey::Storage(ChainSpec::EXIT_ROOT_MANAGER, slot), l1_block.into());
    let state = chain.add(B256::ZERO, &diff, vec![(unsigned(3), 0, 255), (unsigned(4), 0, 255)]);
    chain.add(state, &StateDiff::default(), Vec::new());
    for number in [3, 4] {
        let info = L1Info { global_exit_root: root, block_hash: l1_block, ..L1Info::default() };
        chain.alter(number, |record| record.l1_info = info);
    }
    let batch = chain.result("zkevm_getBatchByNumber", json!([3, true]));
    assert_eq!(batch["forcedBatchNumber"], "0x0");
    assert!(!batch["batchL2Data"].as_str().unwrap().starts_with("0x0b"), "{batch}");
    let empty = chain.result("zkevm_getBatchByNumber", json!([4, true]));
    assert_eq!((&empty["forcedBatchNumber"], &empty["batchL2Data"]), (&json!("0x0"), &json!("0x")));
    assert!(chain.result("zkevm_getBatchByNumber", json!([2, true])).get("forcedBatchNumber").is_none());

    let events = follow(&chain);
    let kinds = events.iter().filter_map(|event| match event {
        Event::Item(Item::BatchStart(start)) => Some(start.kind),
        _ => None,
    });
    let regular = BatchKind::Regular;
    let expected = [regular, regular, regular, BatchKind::Forced, BatchKind::Forced];
    assert_eq!(kinds.collect::<Vec<_>>(), expected);
    let blocks = events.iter().filter_map(|event| match event {
        Event::Item(Item::Block(block)) => {
            Some((block.input.l1_info.block_hash, block.input.transactions.len()))
        }
        _ => None,
    });
    let none = B256::ZERO;
    assert_eq!(blocks.collect::<Vec<_>>(), [(none, 0), (none, 0), (none, 3), (l1_block, 2), (l1_block, 0)]);
    assert_eq!(events.last(), Some(&Event::Tip));
}

#[test]
fn the_lists_of_a_batch_without_blocks_are_empty() {
    let chain = Chain::new();
    chain.alter_head(|head| head.batch = 4);
    let batch = chain.result("zkevm_getBatchByNumber", json!([3, true]));
    assert_eq!((&batch["blocks"], &batch["transactions"]), (&json!([]), &json!([])));
}

#[test]
fn logs_are_counted_through_a_block() {
    let chain = Chain::new();
    let receipts = chain.result("eth_getBlockReceipts", json!(["0x2"]));
    let full = chain.result("zkevm_getFullBlockByNumber", json!(["0x2", true]));
    assert_eq!(full["transactions"][2]["receipt"]["logs"][0]["logIndex"], "0x2");
    for (receipt, transaction) in
        receipts.as_array().unwrap().iter().zip(full["transactions"].as_array().unwrap())
    {
        assert_eq!(receipt["logs"], transaction["receipt"]["logs"]);
        let single = chain.result("eth_getTransactionReceipt", json!([transaction["hash"]]));
        assert_eq!(*receipt, single);
        assert_eq!(transaction["receipt"]["transactionL2Hash"], transaction["l2Hash"]);
    }
}

#[test]
fn the_output_of_a_trace_is_part_of_what_it_may_have() {
    // Returns 64 KiB.
    let mut chain = Chain::with_code(&hex!("62010000 6000 f3"));
    let call = json!([{ "to": CONTRACT }, "latest", { "limit": 1 }]);
    chain.result("debug_traceCall", call.clone());
    chain.rpc.config.limits.response = 100_000;
    assert_eq!(chain.error("debug_traceCall", call), (-32000, "trace too large".into()));
}

#[test]
fn fees_of_the_past_are_signed_prices() {
    let chain = Chain::new();
    let history = chain.result("eth_feeHistory", json!(["0x2", "latest", [0, 50.5, 100]]));
    assert_eq!(history["oldestBlock"], "0x1");
    assert_eq!(history["baseFeePerGas"], json!(["0x0", "0x0", "0x0"]));
    assert_eq!(history["reward"], json!([["0x0", "0x0", "0x0"], ["0x3e8", "0x3e8", "0x3e8"]]));
    assert_eq!(history["gasUsedRatio"][0], 0.0);
    let all = chain.result("eth_feeHistory", json!([1024, "latest"]));
    assert_eq!((&all["oldestBlock"], all.get("reward")), (&json!("0x0"), None));
    for percentiles in [json!([2, 1]), json!([101]), json!([-1]), json!(["1"])] {
        assert_eq!(chain.error("eth_feeHistory", json!([1, "latest", percentiles])).0, -32602);
    }
}

#[test]
fn a_call_sees_its_block_and_changes_nothing() {
    // NUMBER, TIMESTAMP, COINBASE, CALLER, CHAINID in five words.
    let code = hex!("436000524260205241604052336060524660805260a06000f3");
    let chain = Chain::with_code(&code);
    let output = chain.result("eth_call", json!([{ "to": CONTRACT }, "0x1"]));
    let words = hex::decode(output.as_str().unwrap()).unwrap();
    let word = |index: usize| U256::from_be_slice(&words[32 * index..32 * index + 32]);
    let coinbase = U256::from_be_slice(SEQUENCER.as_slice());
    assert_eq!(
        [0, 1, 2, 3, 4].map(word),
        [U256::ONE, U256::from(1001), coinbase, U256::ZERO, U256::from(CHAIN)]
    );
    // Overridden: all of these, and the code.
    let block = json!({ "number": "0x7", "time": "0x8", "feeRecipient": CONTRACT });
    let output = chain.result("eth_call", json!([{ "to": CONTRACT, "from": CONTRACT }, "latest", {}, block]));
    let words = hex::decode(output.as_str().unwrap()).unwrap();
    assert_eq!((words[31], words[63], &words[76..96]), (7, 8, CONTRACT.as_slice()));
    let returns = ending(0xf3, &[0xaa, 0xbb]);
    let accounts = json!({ sender().to_string(): { "code": hex::encode_prefixed(returns) } });
    assert_eq!(chain.result("eth_call", json!([{ "to": sender() }, "latest", accounts])), "0xaabb");
    assert_eq!(chain.result("eth_call", json!([{ "to": sender() }])), "0x");
}

#[test]
fn storage_can_be_overridden_in_part_or_in_full() {
    // SLOAD(5) and SLOAD(6).
    let chain = Chain::with_code(&hex!("60055460005260065460205260406000f3"));
    let (five, six) = (B256::with_last_byte(5), B256::with_last_byte(6));
    let read = |storage: Value| -> (U256, U256) {
        let accounts = json!({ CONTRACT.to_string(): storage });
        let output = chain.result("eth_call", json!([{ "to": CONTRACT }, "latest", accounts]));
        let words = hex::decode(output.as_str().unwrap()).unwrap();
        (U256::from_be_slice(&words[..32]), U256::from_be_slice(&words[32..]))
    };
    let one = json!({ six.to_string(): B256::with_last_byte(1) });
    assert_eq!(read(json!({})), (U256::from(0x1234), U256::ZERO));
    assert_eq!(read(json!({ "stateDiff": one })), (U256::from(0x1234), U256::ONE));
    assert_eq!(read(json!({ "state": one })), (U256::ZERO, U256::ONE));
    let accounts = json!({ CONTRACT.to_string(): { "state": {}, "stateDiff": {} } });
    assert_eq!(chain.error("eth_call", json!([{ "to": CONTRACT }, "latest", accounts])).0, -32602);
    assert_eq!(five, B256::with_last_byte(5));
}

#[test]
fn a_revert_has_code_three_and_its_reason() {
    let text = hex!(
        "08c379a00000000000000000000000000000000000000000000000000000000000000020"
        "000000000000000000000000000000000000000000000000000000000000000a75736572206572726f72"
    );
    let panic = hex!("4e487b710000000000000000000000000000000000000000000000000000000000000001");
    let plain = hex!("77726f6e672d63616c6c6461746173697a65");
    for (output, message) in [
        (&text[..], "execution reverted: user error"),
        (&panic, "execution reverted: assert(false)"),
        (&plain, "execution reverted"),
        (&[], "execution reverted"),
    ] {
        let chain = Chain::with_code(&ending(0xfd, output));
        for method in ["eth_call", "eth_estimateGas"] {
            let answer = chain.ask(method, json!([{ "to": CONTRACT }]));
            let data = hex::encode_prefixed(output);
            assert_eq!(answer["error"], json!({ "code": 3, "message": message, "data": data }), "{method}");
        }
    }
}

#[test]
fn other_failures_are_told_in_known_words() {
    for (code, message) in [
        (&[0xfe][..], "invalid opcode: INVALID"),
        (&[0x0c], "invalid opcode: not defined"),
        (&[0x01], "stack underflow"),
        (&[0x5f, 0x56], "invalid jump destination"),
        (&[0x5b, 0x5f, 0x56], "out of gas"),
    ] {
        let mut chain = Chain::with_code(code);
        chain.rpc.config.limits.call_gas = 100_000;
        assert_eq!(chain.error("eth_call", json!([{ "to": CONTRACT }])), (-32000, message.into()));
        let message =
            if message == "out of gas" { "gas required exceeds allowance (100000)" } else { message };
        assert_eq!(chain.error("eth_estimateGas", json!([{ "to": CONTRACT }])), (-32000, message.into()));
    }
    let chain = Chain::new();
    let refused = |call: Value| chain.error("eth_call", json!([call])).1;
    assert!(
        refused(json!({ "to": CONTRACT, "value": "0x1" }))
            .starts_with("insufficient funds for gas * price + value")
    );
    assert!(refused(json!({ "to": CONTRACT, "gas": "0x1" })).starts_with("intrinsic gas too low"));
    assert_eq!(
        refused(json!({ "data": "0x01", "input": "0x02" })),
        "both \"data\" and \"input\" are set and not equal"
    );
    assert_eq!(
        refused(json!({ "gasPrice": "0x1", "maxFeePerGas": "0x2" })),
        "both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified"
    );
    assert!(refused(json!({ "chainId": "0x1" })).starts_with("chainId does not match"));
}

#[test]
fn an_estimate_is_the_lowest_limit_that_suffices() {
    let chain = Chain::new();
    let transfer = json!({ "from": sender(), "to": CONTRACT, "value": "0x1" });
    assert_eq!(chain.result("eth_estimateGas", json!([transfer])), "0x5208");
    assert_eq!(
        chain.result("eth_estimateGas", json!([{ "from": sender(), "to": sender() }, "0x1"])),
        "0x5208"
    );

    // Stores a word, clears another for a refund, then calls an account with half its gas.
    for code in [&hex!("6001600055")[..], &hex!("5f600555"), &hex!("5f5f5f5f5f335af15f5f5f5f5f335af1")] {
        let chain = Chain::with_code(code);
        let estimate = chain.result("eth_estimateGas", json!([{ "to": CONTRACT }]));
        let gas = u64::from_str_radix(&estimate.as_str().unwrap()[2..], 16).unwrap();
        let with = |gas: u64| chain.ask("eth_call", json!([{ "to": CONTRACT, "gas": format!("{gas:#x}") }]));
        assert!(with(gas).get("error").is_none(), "{gas}");
        assert!(with(gas - 1).get("error").is_some(), "{gas}");
    }
}

#[test]
fn an_estimate_asks_for_no_more_than_can_be_paid() {
    let chain = Chain::new();
    let call = json!({ "from": sender(), "to": CONTRACT, "gasPrice": format!("{:#x}", WEALTH / 20_000) });
    let message = "gas required exceeds allowance (20000)".into();
    assert_eq!(chain.error("eth_estimateGas", json!([call])), (-32000, message));
}

#[test]
fn batches_and_forks_are_told_from_blocks() {
    let mut chain = Chain::new();
    assert_eq!(chain.result("zkevm_batchNumber", json!([])), "0x2");
    assert_eq!(chain.result("zkevm_batchNumberByBlockNumber", json!(["0x1"])), "0x1");
    assert_eq!(chain.result("zkevm_virtualBatchNumber", json!([])), "0x0");
    assert_eq!(chain.result("zkevm_isBlockConsolidated", json!(["0x1"])), false);
    assert_eq!(chain.error("zkevm_getBatchByNumber", json!(["safe"])), (-39001, "unknown block".into()));
    chain.status.finalized = Some(Frontier { block: 1, batch: 1 });
    assert_eq!(chain.result("zkevm_verifiedBatchNumber", json!([])), "0x1");
    assert_eq!(chain.result("zkevm_consolidatedBlockNumber", json!([])), "0x1");
    assert_eq!(chain.result("zkevm_isBlockConsolidated", json!(["0x1"])), true);
    assert_eq!(chain.result("zkevm_isBlockVirtualized", json!(["0x2"])), false);
    assert_eq!(chain.result("zkevm_getForkId", json!([])), "0x9");
    assert_eq!(chain.result("zkevm_getForkIdByBatchNumber", json!(["0x1"])), "0x9");
    let fork = json!({
        "forkId": "0x9", "fromBatchNumber": "0x1", "toBatchNumber": "0xffffffffffffffff", "version": "", "blockNumber": "0x1"
    });
    assert_eq!(chain.result("zkevm_getForks", json!([])), json!([fork]));
    assert_eq!(chain.result("zkevm_getForkById", json!(["0x9"])), fork);
    let batch = chain.result("zkevm_getBatchByNumber", json!(["0x2", false]));
    assert_eq!(
        (&batch["blocks"], &batch["transactions"]),
        (&json!([chain.hashes[2]]), &json!(chain.transactions))
    );
    assert_eq!(batch["closed"], true);
    let full = chain.result("zkevm_getBatchByNumber", json!(["latest", true]));
    assert_eq!(full["transactions"][0]["receipt"]["logs"][1]["logIndex"], "0x1");
    let roots =
        chain.result("zkevm_getNativeBlockHashesInRange", json!([{ "fromBlock": "0x0", "toBlock": "0x2" }]));
    assert_eq!(roots[2], chain.result("eth_getBlockByNumber", json!(["0x2"]))["stateRoot"]);
}

#[test]
fn headers_are_those_of_their_blocks() {
    let chain = Chain::new();
    let block = chain.result("eth_getBlockByNumber", json!(["0x2"]));
    let header = chain.result("eth_getHeaderByNumber", json!(["0x2"]));
    assert_eq!(header, chain.result("eth_getHeaderByHash", json!([chain.hashes[2]])));
    for (name, value) in header.as_object().unwrap() {
        assert_eq!(*value, block[name], "{name}");
    }
    assert!(header.get("transactions").is_none() && header["hash"] == json!(chain.hashes[2]));
    assert_eq!(chain.result("eth_getHeaderByNumber", json!(["0x3"])), Value::Null);
    assert_eq!(chain.result("eth_getHeaderByHash", json!([TOPIC])), Value::Null);
}

#[test]
fn many_slots_are_read_at_once() {
    let chain = Chain::new();
    let (other, word) = (Address::repeat_byte(0xee), |number: u64| json!(B256::from(U256::from(number))));
    let wanted = json!({ CONTRACT.to_string(): ["0x5", "0x6"], other.to_string(): ["0x5"] });
    let values = chain.result("eth_getStorageValues", json!([wanted, "0x1"]));
    let values: BTreeMap<Address, Value> = serde_json::from_value(values).unwrap();
    assert_eq!(values[&CONTRACT], json!([word(0x1234), word(0)]));
    assert_eq!(values[&other], json!([word(0)]));
    for wrong in [json!([]), json!({ "0x12": [] }), json!({ CONTRACT.to_string(): "0x5" })] {
        assert_eq!(chain.error("eth_getStorageValues", json!([wrong])).0, -32602, "{wrong}");
    }
    let many = json!({ CONTRACT.to_string(): vec!["0x0"; 1025] });
    assert_eq!(chain.error("eth_getStorageValues", json!([many])).0, -32602);
}

#[test]
fn the_last_exit_root_is_that_of_the_last_block_with_one() {
    let chain = Chain::new();
    assert_eq!(chain.result("zkevm_getLatestGlobalExitRoot", json!([])), json!(B256::ZERO));
    for number in [0, 1] {
        let key = Key::Block(number);
        let record = chain.store.get(&key).unwrap().unwrap();
        let mut record = BlockRecord::decode(&mut record.as_ref()).unwrap();
        record.l1_info.global_exit_root = B256::with_last_byte(7 + u8::try_from(number).unwrap());
        let mut commit = Commit::default();
        commit.put(key, alloy_rlp::encode(record).into());
        chain.store.apply(&commit).unwrap();
    }
    assert_eq!(chain.result("zkevm_getLatestGlobalExitRoot", json!([])), json!(B256::with_last_byte(8)));
}

#[test]
fn what_the_operator_set_is_told() {
    let mut chain = Chain::new();
    let versions = chain.result("zkevm_getVersionHistory", json!([]));
    assert_eq!(versions, json!({ env!("CARGO_PKG_VERSION"): 1000 }));
    let methods = ["zkevm_getRollupAddress", "zkevm_getRollupManagerAddress"];
    for method in methods {
        let unknown = format!("the method {method} does not exist/is not available");
        assert_eq!(chain.error(method, json!([])), (-32601, unknown));
    }
    let addresses = [1, 2].map(Address::repeat_byte);
    [chain.rpc.config.rollup, chain.rpc.config.rollup_manager] = addresses.map(Some);
    for (method, address) in methods.into_iter().zip(addresses) {
        assert_eq!(chain.result(method, json!([])), json!(address), "{method}");
    }
}

/// What becomes of this result of the main node: a result or the text of an error.
fn relayed(chain: &Chain, method: &str, params: Value, result: &Value) -> Value {
    let answer = json!({ "jsonrpc": "2.0", "id": 1, "result": result }).to_string();
    let finished = chain.forwarded(method, params).finish([Some(answer.into_bytes())]);
    let mut finished: Value = serde_json::from_str(&finished).unwrap();
    match finished.get("error") {
        Some(error) => error["message"].clone(),
        None => finished["result"].take(),
    }
}

#[test]
fn exit_roots_must_hash_to_what_was_asked_for() {
    let (mainnet, rollups) = (B256::repeat_byte(1), B256::repeat_byte(2));
    let root = global_exit_root(mainnet, rollups);
    let mut chain = Chain::new();
    let told = |mainnet, rollups| json!({ "blockNumber": "0x1", "timestamp": "0x2", "mainnetExitRoot": mainnet, "rollupExitRoot": rollups });
    let ask =
        |chain: &Chain, result: &Value| relayed(chain, "zkevm_getExitRootsByGER", json!([root]), result);
    assert_eq!(ask(&chain, &told(mainnet, rollups)), told(mainnet, rollups));
    assert_eq!(ask(&chain, &Value::Null), Value::Null, "nobody knows it");
    let lies = [
        told(rollups, mainnet),
        told(mainnet, B256::ZERO),
        json!({ "mainnetExitRoot": mainnet }),
        json!(true),
        json!([]),
    ];
    for lie in lies {
        assert_eq!(ask(&chain, &lie), "the main node's answer is false", "{lie}");
    }
    let silent = chain.forwarded("zkevm_getExitRootsByGER", json!([root])).finish([None]);
    assert!(silent.contains("the main node did not answer"), "{silent}");

    // Our own state has it: that it is unknown is not true.
    let slot = keccak256([root, B256::ZERO].concat()).into();
    let mut diff = StateDiff::default();
    diff.leaves.insert(StateKey::Storage(ChainSpec::EXIT_ROOT_MANAGER, slot), U256::ONE);
    let head = chain.result("eth_getBlockByNumber", json!(["latest"]))["stateRoot"].clone();
    chain.add(serde_json::from_value(head).unwrap(), &diff, Vec::new());
    assert_eq!(ask(&chain, &Value::Null), "the main node's answer is false");
    assert_eq!(ask(&chain, &told(mainnet, rollups)), told(mainnet, rollups));

    chain.rpc.config.strict = true;
    for (method, params) in
        [("zkevm_getExitRootsByGER", json!([root])), ("zkevm_getExitRootTable", json!([]))]
    {
        assert_eq!(chain.error(method, params), (-32000, "the main node did not answer".into()));
    }
}

#[test]
fn every_row_of_the_exit_root_table_must_hash() {
    let chain = Chain::new();
    let row = |index: u8| {
        let (mainnet, rollups) = (B256::repeat_byte(index), B256::repeat_byte(0x80 | index));
        json!({
            "index": index, "ger": global_exit_root(mainnet, rollups), "mainnet_exit_root": mainnet,
            "rollup_exit_root": rollups, "min_timestamp": 1.5e3,
        })
    };
    let ask = |result: &Value| relayed(&chain, "zkevm_getExitRootTable", json!([null]), result);
    for told in [json!([row(1), row(2)]), json!([]), Value::Null] {
        assert_eq!(ask(&told), told);
    }
    let mut wrong = row(2);
    wrong["ger"] = row(1)["ger"].clone();
    let mut nameless = row(2);
    nameless.as_object_mut().unwrap().remove("ger");
    for lie in [json!([row(1), wrong]), json!([nameless]), json!([1]), json!([{}]), json!({}), json!("0x")] {
        assert_eq!(ask(&lie), "the main node's answer is false", "{lie}");
    }
}

#[test]
fn a_transaction_is_sent_as_it_is_and_its_hash_must_come_back() {
    let chain = Chain::new();
    let encoded = sign(unsigned(3));
    let hash = keccak256(&encoded);
    let forward = || chain.forwarded("eth_sendRawTransaction", json!([encoded]));
    let request =
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"eth_sendRawTransaction","params":["{encoded}"]}}"#);
    assert_eq!(forward().requests().collect::<Vec<_>>(), [request]);
    let finish = |answer: &str| forward().finish([Some(answer.as_bytes().to_vec())]);
    let right = format!(r#"{{"jsonrpc":"2.0","id":1,"result":"{hash}"}}"#);
    assert_eq!(finish(&right), format!(r#"{{"jsonrpc":"2.0","id":"mine","result":"{hash}"}}"#));
    let failed = r#"{"jsonrpc":"2.0","id":"mine","error":{"code":-32000,"message":"failed to relay tx to the sequencer node"}}"#;
    assert_eq!(forward().finish([None]), failed);
    assert_eq!(forward().finish([]), failed);
    for lie in
        [r#"{"result":"0x00"}"#, r#"{"result":null}"#, "{}", "", "[]", r#"{"error":1}"#, r#"{"error":{}}"#]
    {
        assert_eq!(finish(lie), failed, "{lie}");
    }
    let error = r#"{"code":-32010,"message":"ALREADY_EXISTS: already known","data":{"a":1}}"#;
    let passed = format!(r#"{{"jsonrpc":"2.0","id":"mine","error":{error}}}"#);
    assert_eq!(finish(&format!(r#"{{"id":1,"error":{error}}}"#)), passed);
}

#[test]
fn what_can_never_be_valid_is_not_sent() {
    let chain = Chain::new();
    let refused = |transaction: TxLegacy| chain.error("eth_sendRawTransaction", json!([sign(transaction)])).1;
    assert_eq!(
        refused(TxLegacy { chain_id: Some(1), ..unsigned(3) }),
        "invalid chain id, expected: 779 got: 1"
    );
    assert_eq!(
        refused(TxLegacy { chain_id: None, ..unsigned(3) }),
        "only replay-protected (EIP-155) transactions allowed over RPC"
    );
    assert_eq!(refused(unsigned(2)), "nonce too low");
    assert_eq!(refused(TxLegacy { gas_limit: 20_999, ..unsigned(3) }), "intrinsic gas too low");
    assert!(
        refused(TxLegacy { gas_limit: 30_000_001, ..unsigned(3) }).starts_with("exceeds block gas limit")
    );
    let send = |bytes: Vec<u8>| chain.error("eth_sendRawTransaction", json!([Bytes::from(bytes)]));
    assert_eq!(send(vec![2, 0xc0]), (-32000, "only legacy transactions are supported".into()));
    assert_eq!(send(vec![0xc0; 120_001]), (-32000, "oversized data".into()));
    let mut longer = sign(unsigned(3)).to_vec();
    longer.push(0);
    assert_eq!(send(longer).0, -32602);
    assert_eq!(send(Vec::new()).0, -32602);
}

#[test]
fn a_pending_count_is_never_below_the_verified_one() {
    let chain = Chain::new();
    let finish = |answer: Option<&str>| {
        let forward = chain.forwarded("eth_getTransactionCount", json!([sender(), "pending"]));
        let answer: Value =
            serde_json::from_str(&forward.finish([answer.map(|answer| answer.into())])).unwrap();
        answer["result"].clone()
    };
    assert_eq!(finish(Some(r#"{"result":"0x5"}"#)), "0x5");
    assert_eq!(finish(Some(r#"{"result":"0x2"}"#)), "0x3");
    assert_eq!(finish(Some(r#"{"result":"many"}"#)), "0x3");
    assert_eq!(finish(Some(r#"{"error":{"code":1,"message":"no"}}"#)), "0x3");
    assert_eq!(finish(None), "0x3");
}

#[test]
fn a_pending_transaction_must_be_the_one_that_was_asked_for() {
    let chain = Chain::new();
    let (encoded, known) = (sign(unsigned(3)), chain.transactions[0]);
    let hash = keccak256(&encoded);
    let finish = |wanted: B256, object: &Value| -> Value {
        let forward = chain.forwarded("eth_getTransactionByHash", json!([wanted]));
        let answer = json!({ "jsonrpc": "2.0", "id": 1, "result": object }).to_string();
        serde_json::from_str::<Value>(&forward.finish([Some(answer.into_bytes())])).unwrap()["result"].clone()
    };
    let record = TransactionRecord { encoded, sender: sender(), effective_percentage: 255 };
    let mut object = serde_json::to_value(objects::pending_object(&record).unwrap()).unwrap();
    object["blockNumber"] = json!("0x99");
    object["from"] = json!(CONTRACT);
    let finished = finish(hash, &object);
    assert_eq!((&finished["hash"], &finished["from"]), (&json!(hash), &json!(sender())));
    // What the main node calls mined is pending until we verified it.
    assert_eq!(finished["blockNumber"], Value::Null);
    assert_eq!(finish(B256::repeat_byte(3), &object), Value::Null);
    object["value"] = json!("0x1");
    assert_eq!(finish(hash, &object), Value::Null);
    assert_eq!(finish(hash, &json!("0x")), Value::Null);
    // Ours are never asked for.
    assert_eq!(chain.result("eth_getTransactionByHash", json!([known]))["hash"], json!(known));
}

#[test]
fn a_batch_with_forwarded_parts_is_put_together_in_order() {
    let chain = Chain::new();
    let body = r#"[{"id":1,"method":"eth_gasPrice"},{"id":2,"method":"eth_chainId"},{"method":"eth_gasPrice"},
        {"id":3,"method":"eth_gasPrice"}]"#;
    let Reply::Forward(forward) = chain.handle(body) else { panic!("something to forward") };
    assert_eq!(forward.requests().count(), 2);
    let answers = [Some(br#"{"result":"0x1"}"#.to_vec()), None];
    assert_eq!(
        forward.finish(answers),
        concat!(
            r#"[{"jsonrpc":"2.0","id":1,"result":"0x1"},{"jsonrpc":"2.0","id":2,"result":"0x30b"},"#,
            r#"{"jsonrpc":"2.0","id":3,"error":{"code":-32000,"message":"the main node did not answer"}}]"#
        )
    );
}

#[test]
fn a_strict_replica_only_forwards_transactions() {
    let mut chain = Chain::new();
    chain.rpc.config.strict = true;
    assert_eq!(chain.result("eth_getTransactionCount", json!([sender(), "pending"])), "0x3");
    assert_eq!(chain.result("eth_getTransactionByHash", json!([B256::ZERO])), Value::Null);
    assert_eq!(chain.error("eth_gasPrice", json!([])).0, -32000);
    assert_eq!(chain.forwarded("eth_sendRawTransaction", json!([sign(unsigned(3))])).requests().count(), 1);
}

#[test]
fn a_state_that_is_not_kept_is_not_zero() {
    let chain = Chain::new();
    // All but the tree.
    let store = Memory::new();
    let mut commit = Commit::default();
    for key in [Key::Head, Key::Block(0), Key::Block(1), Key::Block(2)] {
        commit.put(key, chain.store.get(&key).unwrap().unwrap());
    }
    store.apply(&commit).unwrap();
    let chain = Chain { store, ..chain };
    let message = String::from("state of block 1 is not available");
    assert_eq!(chain.error("eth_getBalance", json!([sender(), "0x1"])), (4444, message.clone()));
    assert_eq!(chain.error("eth_call", json!([{ "to": sender() }, "0x1"])), (4444, message));
    assert_eq!(chain.result("eth_getBlockByNumber", json!(["0x1"]))["number"], "0x1");
}

#[test]
fn a_damaged_store_tells_nothing_of_itself() {
    let chain = Chain::new();
    let mut commit = Commit::default();
    commit.put(Key::Block(1), Bytes::from_static(b"damage"));
    chain.store.apply(&commit).unwrap();
    assert_eq!(chain.error("eth_getBlockByNumber", json!(["0x1"])), (-32603, "internal error".into()));
}

/// Every method, and parameters that it takes.
fn samples() -> Vec<(&'static str, Value)> {
    let call = json!({ "to": CONTRACT, "value": "0x0", "gas": "0x9999", "input": "0x01", "accessList": [] });
    let over = json!({ CONTRACT.to_string(): { "balance": "0x1", "stateDiff": {} } });
    vec![
        ("eth_getBalance", json!([CONTRACT, "latest"])),
        ("eth_getStorageAt", json!([CONTRACT, "0x0", { "blockNumber": "0x1" }])),
        ("eth_getTransactionCount", json!([CONTRACT, "pending"])),
        ("eth_getBlockByNumber", json!(["0x2", true, true])),
        ("eth_getTransactionByBlockNumberAndIndex", json!(["0x2", "0x0", true])),
        ("eth_getTransactionByHash", json!([TOPIC, true])),
        (
            "eth_getLogs",
            json!([{ "fromBlock": "0x0", "toBlock": "0x2", "address": [CONTRACT], "topics": [[TOPIC]] }]),
        ),
        ("eth_feeHistory", json!([2, "latest", [10, 20]])),
        ("eth_call", json!([call, "0x1", over, { "number": "0x1" }])),
        ("eth_estimateGas", json!([call, "0x1"])),
        ("eth_sendRawTransaction", json!([sign(unsigned(3))])),
        ("zkevm_getBatchByNumber", json!(["0x2", true])),
        ("zkevm_getWitness", json!(["0x0", "full", true])),
        ("zkevm_getBlockRangeWitness", json!(["0x0", "0x1", "trimmed"])),
        ("zkevm_getBatchWitness", json!([2, "full"])),
        ("zkevm_getExitRootsByGER", json!([TOPIC])),
        ("zkevm_getExitRootTable", json!([{ "from": 1, "to": 2 }])),
        ("eth_getStorageValues", json!([{ CONTRACT.to_string(): ["0x0"] }, "0x1"])),
        ("eth_getHeaderByNumber", json!(["latest"])),
        ("zkevm_getNativeBlockHashesInRange", json!([{ "fromBlock": 0, "toBlock": 2 }])),
    ]
}

#[track_caller]
fn assert_well_formed(reply: Reply) {
    let answer = match reply {
        Reply::Answer(answer) => answer,
        Reply::Forward(forward) => forward.finish([]),
    };
    if answer.is_empty() {
        return;
    }
    let answer: Value = serde_json::from_str(&answer).unwrap();
    for answer in answer.as_array().unwrap_or(&vec![answer.clone()]) {
        assert_eq!(answer["jsonrpc"], "2.0");
        assert!(answer.get("id").is_some());
        assert_ne!(answer.get("result").is_some(), answer.get("error").is_some(), "{answer}");
    }
}

proptest! {
    #[test]
    fn bytes_never_panic(bytes: Vec<u8>) {
        let chain = Chain { store: Memory::new(), ..Chain::new() };
        assert_well_formed(chain.rpc.handle(&bytes, &chain.status, &chain.store));
    }

    #[test]
    fn altered_requests_never_panic(
        sample in 0..samples().len(), at: prop::sample::Index, cut in 0_usize..6, with in r#"[\[\]{}:,"0-9a-fx.\-]{0,4}"#
    ) {
        let chain = Chain::with_code(&hex!("6001600055"));
        let (method, params) = &samples()[sample];
        let mut body = json!({ "id": 1, "method": method, "params": params }).to_string();
        assert_well_formed(chain.handle(&body));
        let at = at.index(body.len());
        body.replace_range(at..(at + cut).min(body.len()), &with);
        assert_well_formed(chain.handle(&body));
    }

    #[test]
    fn answers_of_the_main_node_never_panic(sample in 0..samples().len(), answer: Vec<u8>, text in r#"\{"(result|error)":[\[\]{}:,"0-9a-fx]{0,12}\}"#) {
        let chain = Chain::new();
        let (method, params) = &samples()[sample];
        let body = json!({ "id": 1, "method": method, "params": params }).to_string();
        for answer in [answer, text.into_bytes()] {
            if let Reply::Forward(forward) = chain.handle(&body) {
                let finished = forward.finish([Some(answer)]);
                prop_assert!(serde_json::from_str::<Value>(&finished).is_ok());
            }
        }
    }
}

impl Chain {
    /// What comes of a request with this wish.
    fn wish(&self, method: &str, params: &Value, wish: &Value) -> Value {
        let body = json!({ "id": 1, "method": method, "params": params, "zkReplica": wish }).to_string();
        let answer = match self.handle(&body) {
            Reply::Answer(answer) => answer,
            Reply::Forward(forward) => {
                assert!(forward.requests().all(|request| !request.contains("zkReplica")));
                let answers: Vec<_> =
                    forward.requests().map(|_| Some(br#"{"result":"0x7"}"#.to_vec())).collect();
                forward.finish(answers)
            }
        };
        serde_json::from_str(&answer).unwrap()
    }
}

/// Block 0 is proved on L1, block 1 sequenced there, block 2 is not.
fn in_three_stages(code: &[u8]) -> Chain {
    let mut chain = Chain::with_code(code);
    chain.status.finalized = Some(Frontier { block: 0, batch: 0 });
    chain.status.safe = Some(Frontier { block: 1, batch: 1 });
    chain
}

#[test]
fn answers_say_what_backs_them_if_that_is_asked_for() {
    let chain = in_three_stages(&[]);
    let filter = |to: Value| json!([{ "fromBlock": "0x0", "toBlock": to }]);
    let (sender, nobody) = (sender(), B256::repeat_byte(0xee));
    let table = [
        ("eth_getBalance", json!([sender, "0x0"]), "consolidated", 0),
        ("eth_getBalance", json!([sender, "finalized"]), "consolidated", 0),
        ("eth_getBalance", json!([sender, "0x1"]), "virtual", 1),
        ("eth_getBalance", json!([sender, "safe"]), "virtual", 1),
        ("eth_getBalance", json!([sender, { "blockHash": chain.hashes[1] }]), "virtual", 1),
        ("eth_getBalance", json!([sender, "latest"]), "verified", 2),
        ("eth_getBalance", json!([sender]), "verified", 2),
        ("eth_getStorageAt", json!([CONTRACT, "0x5", "0x1"]), "virtual", 1),
        ("eth_call", json!([{ "to": CONTRACT }, "0x1"]), "virtual", 1),
        ("zkevm_getProof", json!([sender, [], "0x0"]), "consolidated", 0),
        ("eth_getBlockByNumber", json!(["0x1", true]), "virtual", 1),
        ("eth_getBlockByHash", json!([chain.hashes[0], true]), "consolidated", 0),
        ("eth_getTransactionReceipt", json!([chain.transactions[0]]), "verified", 2),
        // Of what is not there all blocks say so.
        ("eth_getBlockByNumber", json!(["0x63", true]), "verified", 2),
        ("eth_getBlockByHash", json!([nobody, true]), "verified", 2),
        ("eth_getTransactionReceipt", json!([nobody]), "verified", 2),
        // So do blocks in which nothing was found.
        ("eth_getLogs", filter(json!("0x0")), "consolidated", 0),
        ("eth_getLogs", filter(json!("0x1")), "virtual", 1),
        ("eth_getLogs", filter(json!("latest")), "verified", 2),
        ("eth_getLogs", json!([{ "blockHash": chain.hashes[1] }]), "virtual", 1),
        ("eth_blockNumber", json!([]), "verified", 2),
        ("zkevm_batchNumber", json!([]), "verified", 2),
        ("zkevm_getBatchByNumber", json!(["0x0"]), "verified", 2),
    ];
    let roots: Vec<Value> = (0..3)
        .map(|number| chain.result("eth_getBlockByNumber", json!([format!("{number:#x}"), false])))
        .map(|block| block["stateRoot"].clone())
        .collect();
    for (method, params, trust, block) in &table {
        let plain = chain.ask(method, params.clone());
        assert!(plain.get("zkReplica").is_none(), "{plain}");
        let mut answer = chain.wish(method, params, &json!({ "provenance": true }));
        let backing = answer.as_object_mut().unwrap().remove("zkReplica").expect("asked for");
        let expected = json!({
            "trust": trust,
            "block": format!("{block:#x}"),
            "stateRoot": roots[*block],
            "source": "execution",
        });
        assert_eq!(backing, expected, "{method} {params}");
        assert_eq!(answer, plain, "{method} {params}: only the member is new");
        for wish in [json!({}), json!(null), json!({ "provenance": false }), json!({ "provenance": null })] {
            assert_eq!(chain.wish(method, params, &wish), plain, "{method} {wish}");
        }
    }
    let backing = |method: &str, params: Value| {
        chain.wish(method, &params, &json!({ "provenance": true }))["zkReplica"].take()
    };
    let nothing = |trust: Value, source: &str| json!({ "trust": trust, "block": null, "stateRoot": null, "source": source });
    for method in ["eth_gasPrice", "eth_syncing"] {
        assert_eq!(backing(method, json!([])), nothing(json!("sequenced"), "mainNode"), "{method}");
    }
    let pending = backing("eth_getTransactionCount", json!([sender, "pending"]));
    assert_eq!(pending, nothing(json!("sequenced"), "mainNode"));
    for (method, params, trust, block) in [
        ("zkevm_verifiedBatchNumber", json!([]), "consolidated", 0),
        ("zkevm_consolidatedBlockNumber", json!([]), "consolidated", 0),
        ("zkevm_isBlockConsolidated", json!(["0x2"]), "consolidated", 0),
        ("zkevm_virtualBatchNumber", json!([]), "virtual", 1),
        ("zkevm_isBlockVirtualized", json!(["0x2"]), "virtual", 1),
    ] {
        let block = format!("{block:#x}");
        let expected = json!({ "trust": trust, "block": block, "stateRoot": null, "source": "l1" });
        assert_eq!(backing(method, params.clone()), expected, "{method}");
        // Without an L1 node nobody knows.
        let answer = Chain::new().wish(method, &params, &json!({ "minimum": "verified" }));
        assert_eq!(answer["error"]["code"], -39002, "{method}: {answer}");
    }
    assert_eq!(backing("zkevm_getForks", json!([]))["source"], "configuration");
    for method in ["eth_chainId", "web3_clientVersion", "net_version", "zkevm_getVersionHistory"] {
        assert_eq!(backing(method, json!([])), nothing(Value::Null, "configuration"), "{method}");
    }
    // Errors are backed by nothing, unless they are what a call comes to.
    assert_eq!(backing("eth_getBalance", json!(["0x1"])), Value::Null);
    let reverting = in_three_stages(&ending(0xfd, &[1]));
    let answer =
        reverting.wish("eth_call", &json!([{ "to": CONTRACT }, "0x1"]), &json!({ "provenance": true }));
    assert_eq!((&answer["error"]["code"], &answer["zkReplica"]["trust"]), (&json!(3), &json!("virtual")));
    // Nobody is asked: what is said is known here.
    let mut strict = in_three_stages(&[]);
    strict.rpc.config.strict = true;
    let answer = strict.wish(
        "eth_getTransactionCount",
        &json!([sender, "pending"]),
        &json!({ "provenance": true, "minimum": "verified" }),
    );
    assert_eq!((&answer["result"], &answer["zkReplica"]["trust"]), (&json!("0x3"), &json!("verified")));
}

#[test]
fn an_answer_that_is_not_backed_far_enough_is_not_given() {
    let chain = in_three_stages(&[]);
    let levels = ["sequenced", "verified", "virtual", "consolidated"];
    let table = [
        ("eth_getBalance", json!([sender(), "0x0"]), 3),
        ("eth_getBalance", json!([sender(), "0x1"]), 2),
        ("eth_getBalance", json!([sender(), "latest"]), 1),
        ("eth_getLogs", json!([{ "fromBlock": "0x0", "toBlock": "0x1" }]), 2),
        ("eth_getTransactionReceipt", json!([B256::ZERO]), 1),
        ("eth_gasPrice", json!([]), 0),
        ("eth_getTransactionByHash", json!([B256::ZERO]), 0),
        ("eth_sendRawTransaction", json!([sign(unsigned(3))]), 0),
        ("eth_chainId", json!([]), 3),
    ];
    for (method, params, level) in &table {
        for (index, minimum) in levels.iter().enumerate() {
            let wish = json!({ "minimum": minimum });
            let answer = chain.wish(method, params, &wish);
            assert!(answer.get("zkReplica").is_none(), "{answer}");
            let error = &answer["error"];
            if index <= *level {
                assert!(error["code"] != -39002, "{method} {minimum}: {answer}");
                continue;
            }
            assert_eq!(error["code"], -39002, "{method} {minimum}: {answer}");
            assert_eq!(error["data"]["trust"], levels[*level], "{method} {minimum}: {answer}");
            let words = format!("the answer is {}", levels[*level]);
            assert!(error["message"].as_str().unwrap().starts_with(&words), "{answer}");
            assert!(answer.get("result").is_none());
            // Nobody else was asked.
            let body = json!({ "id": 1, "method": method, "params": params, "zkReplica": wish }).to_string();
            assert!(matches!(chain.handle(&body), Reply::Answer(_)), "{method} {minimum}");
        }
    }
    // Each of a batch has its own wish.
    let call = |number: u64, wish: Value| {
        let params = json!([sender(), format!("{number:#x}")]);
        json!({ "id": number, "method": "eth_getBalance", "params": params, "zkReplica": wish })
    };
    let both = json!({ "minimum": "virtual", "provenance": true });
    let batch = json!([call(0, both.clone()), call(1, Value::Null), call(2, both)]).to_string();
    let answers: Value = serde_json::from_str(&chain.answer(&batch)).unwrap();
    assert_eq!(answers[0]["zkReplica"]["trust"], "consolidated");
    assert!(answers[1].get("zkReplica").is_none() && answers[1]["result"].is_string());
    assert_eq!(
        (&answers[2]["error"]["code"], &answers[2]["error"]["data"]["block"]),
        (&json!(-39002), &json!("0x2"))
    );
    // A wish that is not understood is not passed over.
    for wish in [
        json!(7),
        json!([]),
        json!({ "minimum": "certain" }),
        json!({ "minimum": 3 }),
        json!({ "min": "virtual" }),
        json!({ "provenance": "yes" }),
    ] {
        let answer = chain.wish("eth_chainId", &json!([]), &wish);
        assert_eq!(answer["error"]["code"], -32602, "{wish}: {answer}");
    }
}
