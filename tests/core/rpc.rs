//! The Web3 API over the recorded chain.

use alloy_primitives::{Address, B256, U256, hex, keccak256};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use zk_replica_core::{
    chain::ChainSpec,
    rpc::{Config, Reply, Rpc, Status},
};
use zk_replica_tests::{Archive, Recording, say, vectors};

const TIP: u64 = 11_317;

struct Chain {
    recording: Recording,
    store: Archive,
    rpc: Rpc,
}

/// The recorded chain with all its history.
fn chain(test: &str) -> Option<Chain> {
    let recording = Recording::load(&vectors(test)?);
    let store = Archive::replay(&recording, TIP).expect("true");
    Some(Chain::over(recording, store))
}

impl Chain {
    fn over(recording: Recording, store: Archive) -> Self {
        let rpc = Rpc::new(recording.spec.clone(), Config::default());
        Self { recording, store, rpc }
    }

    fn ask(&self, method: &str, params: &Value) -> Value {
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
        let Reply::Answer(answer) = self.rpc.handle(request.as_bytes(), &Status::default(), &self.store)
        else {
            unreachable!("{method} is answered from the store");
        };
        serde_json::from_str(&answer).expect("JSON")
    }

    #[track_caller]
    fn result(&self, method: &str, params: Value) -> Value {
        let mut answer = self.ask(method, &params);
        assert!(answer.get("error").is_none(), "{method} {params}: {answer}");
        answer.as_object_mut().and_then(|answer| answer.remove("result")).expect("a result")
    }

    fn block(&self, number: u64, full: bool) -> Value {
        self.result("eth_getBlockByNumber", json!([format!("{number:#x}"), full]))
    }
}

fn array(value: &Value) -> &[Value] {
    value.as_array().expect("an array")
}

fn number(value: &Value) -> U256 {
    value.as_str().expect("a quantity").parse().expect("a quantity")
}

/// One replay serves every fact: it is most of the time that they take.
#[test]
fn the_recorded_chain_answers() {
    let Some(chain) = chain("the_recorded_chain_answers") else {
        return;
    };
    for (fact, check) in FACTS {
        check(&chain);
        say(&format!("ok: {fact}"));
    }
}

type Fact = (&'static str, fn(&Chain));

const FACTS: &[Fact] = &[
    ("block 1000 is the published one", block_1000_is_the_published_one),
    ("the tip is the recorded one", the_tip_is_the_recorded_one),
    ("blocks by number and by hash are the same", blocks_by_number_and_by_hash_are_the_same),
    ("every transaction has its receipt", every_transaction_has_its_receipt),
    ("all logs are those of the receipts", all_logs_are_those_of_the_receipts),
    ("balances begin as genesis says", balances_begin_as_genesis_says),
    ("what moved was paid", what_moved_was_paid),
    ("a success can be estimated on its parent", every_success_can_be_estimated),
    ("batches have their blocks", batches_have_their_blocks),
];

fn block_1000_is_the_published_one(chain: &Chain) {
    let zero = B256::ZERO;
    let empty = "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421";
    let published = json!({
        "number": "0x3e8",
        "hash": "0x665b0524c9f185680ff4669a93adda8a962eb04c6bae55f5c4c54fd8820b5c75",
        "parentHash": "0xfbff7464c2169a37d617b814cf9095d3bb7aa9aca99cda0427f255aa9b067ca1",
        "nonce": "0x0000000000000000",
        "mixHash": zero,
        "sha3Uncles": "0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347",
        "logsBloom": format!("0x{}", "0".repeat(512)),
        "transactionsRoot": empty,
        "stateRoot": "0xd158633c09a2f2333efbd63f10c2a437a5bcb090d33a46ef3c867fc8f7ba1e06",
        "receiptsRoot": empty,
        "miner": "0x153724f17b1eb206e31caba82f6b45e865879d94",
        "difficulty": "0x0",
        "totalDifficulty": "0x0",
        "extraData": "0x",
        "size": "0x202",
        "gasLimit": "0x4000000000000",
        "gasUsed": "0x0",
        "timestamp": "0x66aaa96b",
        "transactions": [],
        "uncles": [],
    });
    assert_eq!(chain.block(1000, false), published);
    assert_eq!(chain.result("eth_getBlockByHash", json!([published["hash"], true])), published);
}

fn the_tip_is_the_recorded_one(chain: &Chain) {
    assert_eq!(chain.result("eth_chainId", json!([])), "0x30b");
    assert_eq!(chain.result("eth_blockNumber", json!([])), "0x2c35");
    assert_eq!(chain.result("zkevm_batchNumber", json!([])), "0x65");
    assert_eq!(chain.result("zkevm_getForkId", json!([])), "0x9");
    let tip = chain.result("eth_getBlockByNumber", json!(["latest", false]));
    assert_eq!(tip["hash"], "0xefb07096d6e7c79ff2c0f78617d1ac97e96b6199fc63eb57deda71a6063136c5");
    assert_eq!(tip["timestamp"], format!("{:#x}", 1_722_511_821));
    let genesis = chain.result("eth_getBlockByNumber", json!(["earliest", false]));
    assert_eq!(genesis["hash"], "0x84bcf9e2cfdfe1d34ead39a0f5872a71984a3e8bdeead778bbd5a5c0b80061d8");
}

fn blocks_by_number_and_by_hash_are_the_same(chain: &Chain) {
    let mut parent = json!(B256::ZERO);
    for at in 0..=TIP {
        let block = chain.block(at, false);
        assert_eq!(block["number"], format!("{at:#x}"));
        assert_eq!(block["parentHash"], parent);
        parent = block["hash"].clone();
        assert_eq!(chain.result("eth_getBlockByHash", json!([parent, false])), block);
    }
}

fn every_transaction_has_its_receipt(chain: &Chain) {
    let (mut transactions, mut blocks, mut gas) = (0, 0, U256::ZERO);
    for at in 1..=TIP {
        let block = chain.block(at, true);
        let of_block = array(&block["transactions"]);
        let receipts = chain.result("eth_getBlockReceipts", json!([at]));
        assert_eq!(of_block.len(), array(&receipts).len());
        blocks += usize::from(!of_block.is_empty());
        transactions += of_block.len();
        let mut used = U256::ZERO;
        for (index, transaction) in of_block.iter().enumerate() {
            let hash = &transaction["hash"];
            let receipt = chain.result("eth_getTransactionReceipt", json!([hash]));
            assert_eq!(receipt, receipts[index]);
            assert_eq!(&chain.result("eth_getTransactionByHash", json!([hash])), transaction);
            let raw = chain.result("eth_getRawTransactionByHash", json!([hash]));
            let raw = hex::decode(raw.as_str().expect("bytes")).expect("hex");
            assert_eq!(json!(keccak256(raw)), *hash);
            used += number(&receipt["gasUsed"]);
            assert_eq!(number(&receipt["cumulativeGasUsed"]), used);
            // Every recorded transaction pays the whole price.
            assert_eq!(receipt["effectiveGasPrice"], transaction["gasPrice"]);
        }
        assert_eq!(number(&block["gasUsed"]), used);
        gas += used;
    }
    assert_eq!((transactions, blocks, gas), (465, 47, U256::from(499_261_024)));
}

fn all_logs_are_those_of_the_receipts(chain: &Chain) {
    let mut expected = Vec::new();
    for at in 1..=TIP {
        for receipt in array(&chain.result("eth_getBlockReceipts", json!([at]))) {
            expected.extend_from_slice(array(&receipt["logs"]));
        }
    }
    let range = |from: u64, to: u64| json!({ "fromBlock": from, "toBlock": to });
    let logs = |filter: &Value| array(&chain.result("eth_getLogs", json!([filter]))).to_vec();
    let halves = [logs(&range(0, 5_999)), logs(&range(6_000, TIP))].concat();
    assert_eq!(halves, expected);
    assert!(!expected.is_empty());

    let addresses: BTreeSet<_> = expected.iter().map(|log| log["address"].as_str().expect("hex")).collect();
    let topics: BTreeSet<_> = expected.iter().filter_map(|log| log["topics"][0].as_str()).collect();
    for (name, values) in [("address", &addresses), ("topics", &topics)] {
        for value in values {
            let wanted = |log: &&Value| match name {
                "address" => log["address"] == *value,
                _ => log["topics"][0] == *value,
            };
            let expected: Vec<_> = expected.iter().filter(wanted).cloned().collect();
            let found = [(0, 5_999), (6_000, TIP)].map(|(from, to)| {
                let mut filter = range(from, to);
                filter[name] = if name == "address" { json!(value) } else { json!([value]) };
                logs(&filter)
            });
            assert_eq!(found.concat(), expected, "{name} {value}");
        }
    }
    let whole = chain.ask("eth_getLogs", &json!([range(0, TIP)]));
    assert_eq!(whole["error"]["message"], "logs are limited to a 10000 block range");
}

fn balances_begin_as_genesis_says(chain: &Chain) {
    for (address, account) in &chain.recording.genesis.accounts {
        let balance = chain.result("eth_getBalance", json!([address, "earliest"]));
        assert_eq!(number(&balance), account.balance);
        let nonce = chain.result("eth_getTransactionCount", json!([address, "0x0"]));
        assert_eq!(number(&nonce), U256::from(account.nonce));
        assert_eq!(chain.result("eth_getCode", json!([address, 0])), json!(account.code));
        for (slot, value) in &account.storage {
            let stored = chain.result("eth_getStorageAt", json!([address, format!("{slot:#x}"), "0x0"]));
            assert_eq!(stored, json!(B256::from(*value)));
        }
    }
    // The system contract knows the number of each block.
    for at in [1, 5_000, TIP] {
        let stored = chain.result("eth_getStorageAt", json!([ChainSpec::SYSTEM_CONTRACT, "0x0", at]));
        assert_eq!(stored, json!(B256::from(U256::from(at))));
    }
}

/// For each sender of a block, nonces grow by its transactions; for the sequencer, what they paid arrives.
fn what_moved_was_paid(chain: &Chain) {
    for at in 1..=TIP {
        let block = chain.block(at, true);
        let transactions = array(&block["transactions"]);
        if transactions.is_empty() {
            continue;
        }
        let senders: BTreeSet<_> =
            transactions.iter().map(|one| one["from"].as_str().expect("hex")).collect();
        for sender in senders {
            let nonce = |at: u64| number(&chain.result("eth_getTransactionCount", json!([sender, at])));
            let sent = transactions.iter().filter(|one| one["from"] == sender).count();
            assert_eq!(nonce(at) - nonce(at - 1), U256::from(sent), "{sender} in block {at}");
        }
        let touched =
            transactions.iter().any(|one| one["from"] == block["miner"] || one["to"] == block["miner"]);
        if !touched {
            let receipts = chain.result("eth_getBlockReceipts", json!([at]));
            let paid: U256 = array(&receipts)
                .iter()
                .map(|receipt| number(&receipt["gasUsed"]) * number(&receipt["effectiveGasPrice"]))
                .sum();
            let balance = |at: u64| number(&chain.result("eth_getBalance", json!([block["miner"], at])));
            assert!(balance(at) - balance(at - 1) >= paid, "block {at}");
        }
    }
}

/// A transaction that is the first of its block and succeeded must succeed on the state before it, with no more gas than
/// it had.
fn every_success_can_be_estimated(chain: &Chain) {
    let mut estimated = 0;
    for at in 2..=TIP {
        let block = chain.block(at, true);
        let Some(first) = array(&block["transactions"]).first() else {
            continue;
        };
        let receipt = chain.result("eth_getTransactionReceipt", json!([first["hash"]]));
        if receipt["status"] != "0x1" {
            continue;
        }
        let call = json!({ "from": first["from"], "to": first["to"], "value": first["value"], "input": first["input"] });
        let estimate = chain.result("eth_estimateGas", json!([call, at - 1]));
        assert!(number(&estimate) >= number(&receipt["gasUsed"]), "block {at}: {estimate}");
        assert!(number(&estimate) <= number(&first["gas"]), "block {at}: {estimate}");
        let output = chain.result("eth_call", json!([call, at - 1]));
        if first["to"].is_null() {
            let created = receipt["contractAddress"].as_str().expect("an address");
            let created: Address = created.parse().expect("an address");
            assert_eq!(output, chain.result("eth_getCode", json!([created, at])), "block {at}");
        }
        estimated += 1;
    }
    assert!(estimated > 20, "{estimated}");
}

fn batches_have_their_blocks(chain: &Chain) {
    let mut blocks = Vec::new();
    for number in 0..=101 {
        let batch = chain.result("zkevm_getBatchByNumber", json!([number, false]));
        assert_eq!(batch["number"], format!("{number:#x}"));
        assert_eq!(batch["closed"], number != 101);
        assert_eq!(batch["localExitRoot"], json!(B256::ZERO));
        blocks.extend_from_slice(array(&batch["blocks"]));
    }
    assert_eq!(blocks.len(), 11_318);
    assert_eq!(blocks[1000], chain.block(1000, false)["hash"]);
    let latest = chain.result("zkevm_getBatchByNumber", json!(["latest", true]));
    assert_eq!(latest["number"], "0x64");
    let last = array(&latest["blocks"]).last().expect("blocks").clone();
    assert_eq!(latest["stateRoot"], last["stateRoot"]);
    assert_eq!(chain.result("zkevm_batchNumberByBlockNumber", json!([last["number"]])), "0x64");
}
