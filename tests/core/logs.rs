//! What is found by an index, over the recorded chain: logs by address and topic, transactions by their L2 hash; and the
//! batch data that its blocks give.

use alloy_primitives::Bytes;
use serde_json::{Value, json};
use std::{cell::Cell, collections::BTreeSet};
use zk_replica_core::{
    rpc::{Config, Reply, Rpc, Status},
    store::{Commit, Key, Store, StoreError},
};
use zk_replica_tests::{Archive, Recording, say, vectors};

const TIP: u64 = 11_317;

/// Counts what is read, and can hide the index.
struct Counting {
    store: Archive,
    reads: Cell<usize>,
    indexed: Cell<bool>,
}

impl Store for Counting {
    fn get(&self, key: &Key) -> Result<Option<Bytes>, StoreError> {
        self.reads.set(self.reads.get() + 1);
        match key {
            Key::LogSection { .. } if !self.indexed.get() => Ok(None),
            _ => self.store.get(key),
        }
    }

    fn apply(&self, commit: &Commit) -> Result<(), StoreError> {
        self.store.apply(commit)
    }
}

struct Chain {
    rpc: Rpc,
    store: Counting,
}

impl Chain {
    fn result(&self, method: &str, params: Value) -> Value {
        let request = json!({ "id": 1, "method": method, "params": params }).to_string();
        let Reply::Answer(answer) = self.rpc.handle(request.as_bytes(), &Status::default(), &self.store)
        else {
            unreachable!("{method} is answered from the store");
        };
        let mut answer: Value = serde_json::from_str(&answer).expect("JSON");
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].take()
    }

    /// The logs, and how many records were read for them.
    fn logs(&self, filter: &Value, indexed: bool) -> (Value, usize) {
        self.store.indexed.set(indexed);
        self.store.reads.set(0);
        let logs = self.result("eth_getLogs", json!([filter]));
        (logs, self.store.reads.get())
    }
}

fn array(value: &Value) -> &[Value] {
    value.as_array().expect("an array")
}

#[test]
fn the_recorded_chain_is_indexed() {
    let Some(folder) = vectors("the_recorded_chain_is_indexed") else {
        return;
    };
    let recording = Recording::load(&folder);
    let store = Archive::replay(&recording, TIP).expect("true");
    let mut config = Config::default();
    config.limits.log_blocks = TIP + 1;
    let rpc = Rpc::new(recording.spec, config);
    let chain = Chain { rpc, store: Counting { store, reads: Cell::new(0), indexed: Cell::new(true) } };
    logs_are_found_without_reading_every_block(&chain);
    transactions_are_found_by_their_l2_hash(&chain);
    batch_data_is_what_the_blocks_give(&chain);
}

fn logs_are_found_without_reading_every_block(chain: &Chain) {
    let whole = json!({ "fromBlock": "earliest" });
    let (all, reads) = chain.logs(&whole, true);
    let (looked_at, reads_without) = chain.logs(&whole, false);
    assert_eq!(all, looked_at);
    say(&format!("all {} logs: {reads} records read, {reads_without} without the index", array(&all).len()));

    let values = |name: &str| -> BTreeSet<String> {
        let of = |log: &Value| match name {
            "address" => Some(log["address"].clone()),
            _ => log["topics"].get(0).cloned(),
        };
        array(&all).iter().filter_map(of).map(|value| value.as_str().expect("hex").into()).collect()
    };
    let (mut queries, mut with, mut without) = (0, 0, 0);
    for name in ["address", "topics"] {
        for value in values(name) {
            let filter = match name {
                "address" => json!({ "fromBlock": 0, "address": value }),
                _ => json!({ "fromBlock": 0, "topics": [value] }),
            };
            let (found, reads) = chain.logs(&filter, true);
            let (expected, reads_without) = chain.logs(&filter, false);
            assert_eq!(found, expected, "{filter}");
            assert!(!array(&found).is_empty());
            (queries, with, without) = (queries + 1, with + reads, without + reads_without);
        }
    }
    say(&format!(
        "{queries} addresses and topics: {} records read on average, {} without the index",
        with / queries,
        without / queries
    ));
    assert!(with * 10 < without);

    let nothing = json!({ "fromBlock": 0, "address": "0x00000000000000000000000000000000000000ff" });
    let (found, reads) = chain.logs(&nothing, true);
    assert_eq!(found, json!([]));
    say(&format!("an address without logs: {reads} records read"));
    assert!(reads < 100, "{reads}");
}

fn transactions_are_found_by_their_l2_hash(chain: &Chain) {
    let mut transactions = 0;
    for number in 1..=TIP {
        let block = chain.result("eth_getBlockByNumber", json!([number, true, true]));
        for transaction in array(&block["transactions"]) {
            let hash = &transaction["l2Hash"];
            assert_eq!(&chain.result("zkevm_getTransactionByL2Hash", json!([hash])), transaction);
            let receipt = chain.result("zkevm_getTransactionReceiptByL2Hash", json!([hash]));
            assert_eq!(&receipt["transactionL2Hash"], hash);
            assert_eq!(receipt["transactionHash"], transaction["hash"]);
            transactions += 1;
        }
    }
    assert_eq!(transactions, 465);
    let unknown = json!([format!("0x{:064x}", 1)]);
    for method in ["zkevm_getTransactionByL2Hash", "zkevm_getTransactionReceiptByL2Hash"] {
        assert_eq!(chain.result(method, unknown.clone()), Value::Null);
    }
}

/// `spec/sync.md` §2: the largest is known.
fn batch_data_is_what_the_blocks_give(chain: &Chain) {
    let mut largest = (0, 0);
    for first in [0, 51] {
        let numbers: Vec<u64> = (first..=(first + 50).min(101)).collect();
        let answer = chain.result("zkevm_getBatchDataByNumbers", json!([{ "numbers": numbers }]));
        for (number, batch) in numbers.iter().zip(array(&answer["data"])) {
            assert_eq!(batch["number"], format!("{number:#x}"));
            assert_eq!(batch["empty"], *number == 0);
            let data = batch["batchL2Data"].as_str().unwrap_or("0x");
            assert_eq!(chain.result("zkevm_getBatchByNumber", json!([number]))["batchL2Data"], data);
            largest = largest.max((data.len() / 2 - 1, *number));
        }
    }
    assert_eq!(largest, (116_921, 76));
}
