//! What callers are told while a chain grows and is rolled back. Its records are as if its blocks had been executed.

use super::{
    super::{
        Config, Forward, Reply,
        tests::{sender, sign, unsigned},
    },
    *,
};
use crate::{
    chain::ChainSpec,
    store::{Commit, Key, Memory, log_index},
    types::{BlockRecord, Head, L1Info, Receipt, Totals, TransactionRecord},
};
use alloc::{
    string::{String, ToString},
    vec,
    vec::Vec,
};
use alloy_consensus::Header;
use alloy_primitives::{Address, Bytes, Log, keccak256, logs_bloom};
use core::cell::Cell;
use proptest::prelude::*;
use serde_json::{Value, json};

struct World {
    rpc: Rpc,
    store: Memory,
    status: Status,
    live: RefCell<Live>,
    connection: RefCell<Subscriptions>,
    bodies: Cell<u64>,
    now: u64,
    heads: Vec<Head>,
}

/// A log, by the last byte of its address and those of its topics.
type Small = (u8, Vec<u8>);

impl World {
    fn new() -> Self {
        Self::with(LiveLimits::default())
    }

    fn with(limits: LiveLimits) -> Self {
        let mut world = Self::without_a_block(limits);
        world.add(0, &[], &[]);
        world.update();
        world
    }

    fn without_a_block(limits: LiveLimits) -> Self {
        let spec = ChainSpec::from_json(br#"{ "chainId": 779 }"#).unwrap();
        Self {
            rpc: Rpc::new(spec, Config::default()),
            store: Memory::new(),
            status: Status::default(),
            live: RefCell::new(Live::new(limits)),
            connection: RefCell::default(),
            bodies: Cell::new(0),
            now: 1_000_000,
            heads: Vec::new(),
        }
    }

    /// Another block, whose hash depends on `salt`.
    fn add(&mut self, salt: u64, logs: &[Small], transactions: &[Bytes]) {
        let number = self.heads.len() as u64;
        let logs = logs.iter().map(|(address, topics)| {
            let topics = topics.iter().map(|topic| B256::with_last_byte(*topic)).collect();
            Log::new_unchecked(Address::with_last_byte(*address), topics, Bytes::new())
        });
        let receipt = |logs| Receipt { success: true, gas_used: 1, cumulative_gas_used: 1, logs };
        // Logs need a transaction to stand in.
        let mut transactions = transactions.to_vec();
        transactions.push(sign(unsigned(1_000 + number)));
        let mut receipts: Vec<_> = transactions.iter().map(|_| receipt(Vec::new())).collect();
        receipts[0].logs = logs.collect();
        let header = Header {
            number,
            parent_hash: self.heads.last().map_or(B256::ZERO, |head| head.hash),
            timestamp: 1000 + salt,
            logs_bloom: logs_bloom(&receipts[0].logs),
            ..Header::default()
        };
        let head = Head {
            number,
            hash: header.hash_slow(),
            state_root: B256::ZERO,
            timestamp: header.timestamp,
            batch: number,
            fork_id: 9,
            batch_closed: true,
            totals: Totals::default(),
        };
        let record = |encoded: Bytes| {
            // The one that carries the logs is somebody else's.
            let mine = encoded != *sign(unsigned(1_000 + number));
            let sender = if mine { sender() } else { Address::ZERO };
            TransactionRecord { encoded, sender, effective_percentage: 255 }
        };
        let record = BlockRecord {
            header,
            batch: number,
            fork_id: 9,
            l1_info: L1Info::default(),
            block_info_root: B256::ZERO,
            transactions: transactions.into_iter().map(record).collect(),
            receipts,
        };
        let mut commit = Commit::default();
        log_index::extend(&mut commit, &record, &self.store).unwrap();
        commit.put(Key::Block(number), alloy_rlp::encode(record).into());
        commit.put(Key::BlockNumber(head.hash), number.to_be_bytes().into());
        commit.put(Key::Head, alloy_rlp::encode(&head).into());
        self.store.apply(&commit).unwrap();
        self.heads.push(head);
    }

    /// As an archive does it: the records above stay.
    fn roll_back(&mut self, to: usize) {
        self.heads.truncate(to + 1);
        let mut commit = Commit::default();
        commit.put(Key::Head, alloy_rlp::encode(&self.heads[to]).into());
        self.store.apply(&commit).unwrap();
    }

    fn update(&self) {
        while self.rpc.update(&mut self.live.borrow_mut(), &self.status, &self.store).unwrap() {}
    }

    fn seed(&self) -> B256 {
        self.bodies.set(self.bodies.get() + 1);
        keccak256(self.bodies.get().to_be_bytes())
    }

    fn serve(&self, method: &str, params: Value, seed: B256) -> Reply {
        self.serve_body(&json!({ "id": 1, "method": method, "params": params }), seed)
    }

    fn serve_body(&self, request: &Value, seed: B256) -> Reply {
        let request = request.to_string();
        let caller = Caller { now: self.now, seed, live: &self.live, subscriptions: Some(&self.connection) };
        self.rpc.serve(request.as_bytes(), &self.status, &self.store, &caller, &|| false)
    }

    fn ask(&self, method: &str, params: Value) -> Value {
        let seed = self.seed();
        match self.serve(method, params, seed) {
            Reply::Answer(answer) => {
                self.connection.borrow_mut().replied(seed);
                serde_json::from_str(&answer).unwrap()
            }
            Reply::Forward(forward) => panic!("{forward:?}"),
        }
    }

    #[track_caller]
    fn result(&self, method: &str, params: Value) -> Value {
        let mut answer = self.ask(method, params);
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].take()
    }

    #[track_caller]
    fn error(&self, method: &str, params: Value) -> String {
        self.ask(method, params)["error"]["message"].as_str().expect("an error").into()
    }

    /// The answer, with what backs it, if it is backed that far.
    fn wish(&self, method: &str, params: Value, minimum: &str) -> Value {
        let wish = json!({ "minimum": minimum, "provenance": true });
        let request = json!({ "id": 1, "method": method, "params": params, "zkReplica": wish });
        match self.serve_body(&request, self.seed()) {
            Reply::Answer(answer) => serde_json::from_str(&answer).unwrap(),
            Reply::Forward(forward) => panic!("{forward:?}"),
        }
    }

    fn send(&self, transaction: &Bytes) -> Forward {
        match self.serve("eth_sendRawTransaction", json!([transaction]), self.seed()) {
            Reply::Forward(forward) => forward,
            Reply::Answer(answer) => panic!("{answer}"),
        }
    }

    /// Sends, and gets this answer from the main node.
    fn send_with(&self, transaction: &Bytes, answer: Option<Value>) -> Value {
        let caller = Caller { now: self.now, seed: B256::ZERO, live: &self.live, subscriptions: None };
        let answer = answer.map(|answer| answer.to_string().into_bytes());
        serde_json::from_str(&self.send(transaction).finish_for([answer], &caller)).unwrap()
    }

    fn accept(&self, transaction: &Bytes) -> B256 {
        let hash = keccak256(transaction);
        assert_eq!(self.send_with(transaction, Some(json!({ "result": hash })))["result"], json!(hash));
        hash
    }

    /// The pending nonce when the main node does not answer.
    fn next_nonce(&self) -> Value {
        let params = json!([sender(), "pending"]);
        let Reply::Forward(forward) = self.serve("eth_getTransactionCount", params, self.seed()) else {
            panic!("the main node is asked")
        };
        serde_json::from_str::<Value>(&forward.finish([None])).unwrap()["result"].take()
    }

    fn notifications(&self) -> Vec<Value> {
        let mut all = Vec::new();
        loop {
            let texts = self.connection.borrow_mut().poll(&self.live.borrow()).unwrap();
            if texts.is_empty() {
                return all;
            }
            all.extend(texts.iter().map(|text| {
                let mut text: Value = serde_json::from_str(text).unwrap();
                assert_eq!(text["method"], "eth_subscription");
                text["params"]["result"].take()
            }));
        }
    }
}

/// What is refused for want of backing has done nothing.
#[test]
fn what_is_not_backed_far_enough_is_not_begun() {
    let world = World::new();
    let wish = |method: &str, params: Value, minimum: &str| world.wish(method, params, minimum);
    let transaction = sign(unsigned(0));
    for (method, params, minimum) in [
        ("eth_sendRawTransaction", json!([transaction]), "verified"),
        ("eth_subscribe", json!(["newPendingTransactions"]), "verified"),
        ("eth_subscribe", json!(["newHeads"]), "virtual"),
        ("eth_subscribe", json!(["syncing"]), "verified"),
        ("eth_newPendingTransactionFilter", json!([]), "verified"),
        ("eth_newBlockFilter", json!([]), "consolidated"),
        ("eth_newFilter", json!([{}]), "virtual"),
    ] {
        let answer = wish(method, params, minimum);
        assert_eq!(answer["error"]["code"], -39002, "{method}: {answer}");
    }
    let live = world.live.borrow();
    assert_eq!((live.waiting(), live.filters()), (0, 0));
    drop(live);
    assert_eq!(wish("eth_subscribe", json!(["newHeads"]), "verified")["zkReplica"]["trust"], "verified");
    // A transaction that waits, and a filter that tells of it: neither is verified, and nothing is lost by asking.
    let filter = world.result("eth_newPendingTransactionFilter", json!([]));
    let hash = world.accept(&transaction);
    for (method, params) in [
        ("eth_getTransactionByHash", json!([hash])),
        ("eth_getFilterChanges", json!([filter])),
        ("txpool_content", json!([])),
    ] {
        assert_eq!(wish(method, params.clone(), "verified")["error"]["code"], -39002, "{method}");
        let answer = wish(method, params, "sequenced");
        assert_eq!(answer["zkReplica"]["source"], "pool", "{method}: {answer}");
        assert!(answer.to_string().contains(&hash.to_string()), "{answer}");
    }
}

#[test]
fn a_nonce_that_counts_what_waits_is_not_verified() {
    let mut world = World::new();
    world.rpc.config.strict = true;
    let pending = json!([sender(), "pending"]);
    let answer = world.wish("eth_getTransactionCount", pending.clone(), "verified");
    assert_eq!((&answer["result"], &answer["zkReplica"]["source"]), (&json!("0x0"), &json!("execution")));
    world.accept(&sign(unsigned(0)));
    let refused = world.wish("eth_getTransactionCount", pending.clone(), "verified");
    assert_eq!(refused["error"]["code"], -39002, "{refused}");
    let answer = world.wish("eth_getTransactionCount", pending, "sequenced");
    assert_eq!((&answer["result"], &answer["zkReplica"]["source"]), (&json!("0x1"), &json!("pool")));
}

#[test]
fn what_is_begun_before_the_first_block_has_its_id() {
    let world = World::without_a_block(LiveLimits::default());
    for (method, params) in [("eth_newBlockFilter", json!([])), ("eth_subscribe", json!(["newHeads"]))] {
        let answer = world.wish(method, params, "verified");
        assert!(answer["result"].is_string(), "{method}: {answer}");
        assert_eq!(answer["zkReplica"]["trust"], "verified", "{method}: {answer}");
    }
    assert_eq!(world.live.borrow().filters(), 1);
}

/// Block and whether it was removed, of each log.
fn places(logs: &Value) -> Vec<(u64, bool)> {
    logs.as_array().unwrap().iter().map(place).collect()
}

fn place(log: &Value) -> (u64, bool) {
    let number = log["blockNumber"].as_str().unwrap().trim_start_matches("0x");
    (u64::from_str_radix(number, 16).unwrap(), log["removed"].as_bool().unwrap())
}

#[test]
fn a_log_filter_tells_what_came_and_what_went() {
    let mut world = World::new();
    let filter = world.result("eth_newFilter", json!([{ "address": Address::with_last_byte(1) }]));
    world.add(1, &[(1, vec![]), (2, vec![])], &[]);
    world.add(1, &[(1, vec![])], &[]);
    world.update();
    assert_eq!(places(&world.result("eth_getFilterChanges", json!([filter]))), [(1, false), (2, false)]);
    assert_eq!(places(&world.result("eth_getFilterChanges", json!([filter]))), []);
    world.roll_back(0);
    world.add(2, &[(2, vec![])], &[]);
    world.add(2, &[(1, vec![])], &[]);
    world.update();
    let changes = world.result("eth_getFilterChanges", json!([filter]));
    assert_eq!(places(&changes), [(2, true), (1, true), (2, false)]);
    assert_ne!(changes[0]["blockHash"], changes[2]["blockHash"]);
}

#[test]
fn a_roll_back_alone_is_told() {
    let mut world = World::new();
    world.add(1, &[(1, vec![])], &[]);
    world.update();
    let filter = world.result("eth_newFilter", json!([{}]));
    world.roll_back(0);
    world.update();
    assert_eq!(places(&world.result("eth_getFilterChanges", json!([filter]))), [(1, true)]);
}

#[test]
fn a_filter_keeps_to_its_blocks() {
    let mut world = World::new();
    let filter = world.result("eth_newFilter", json!([{ "fromBlock": "0x2", "toBlock": "0x2" }]));
    for _ in 0..3 {
        world.add(1, &[(1, vec![])], &[]);
    }
    world.update();
    assert_eq!(places(&world.result("eth_getFilterChanges", json!([filter]))), [(2, false)]);
    assert_eq!(places(&world.result("eth_getFilterLogs", json!([filter]))), [(2, false)]);
}

#[test]
fn block_and_pending_filters_give_hashes() {
    let mut world = World::new();
    let blocks = world.result("eth_newBlockFilter", json!([]));
    let pending = world.result("eth_newPendingTransactionFilter", json!([]));
    world.add(1, &[], &[]);
    let sent = world.accept(&sign(unsigned(0)));
    world.update();
    assert_eq!(world.result("eth_getFilterChanges", json!([blocks])), json!([world.heads[1].hash]));
    assert_eq!(world.result("eth_getFilterChanges", json!([pending])), json!([sent]));
    for filter in [&blocks, &pending] {
        assert_eq!(world.result("eth_getFilterChanges", json!([filter])), json!([]));
        assert_eq!(world.error("eth_getFilterLogs", json!([filter])), "filter not found");
    }
}

#[test]
fn filters_end() {
    let mut world = World::with(LiveLimits { filters: 2, ..LiveLimits::default() });
    let ids = [(), ()].map(|()| world.result("eth_newBlockFilter", json!([])));
    assert_ne!(ids[0], ids[1]);
    assert_eq!(ids[0].as_str().unwrap().len(), 34);
    assert_eq!(world.error("eth_newBlockFilter", json!([])), "too many filters");
    assert_eq!(world.result("eth_uninstallFilter", json!([ids[0]])), json!(true));
    assert_eq!(world.result("eth_uninstallFilter", json!([ids[0]])), json!(false));
    assert_eq!(world.error("eth_getFilterChanges", json!([ids[0]])), "filter not found");
    assert_eq!(world.error("eth_getFilterChanges", json!(["0x1"])), "filter not found");

    world.now += 5 * 60 * 1000 - 1;
    assert_eq!(world.result("eth_getFilterChanges", json!([ids[1]])), json!([]));
    world.now += 5 * 60 * 1000;
    assert_eq!(world.error("eth_getFilterChanges", json!([ids[1]])), "filter not found");
    // Room is made when it is needed.
    world.result("eth_newBlockFilter", json!([]));
    world.result("eth_newBlockFilter", json!([]));
    world.live.borrow_mut().expire(world.now + 5 * 60 * 1000);
    assert_eq!(world.live.borrow().filters(), 0);
}

#[test]
fn a_filter_that_missed_events_is_lost_and_says_so() {
    let mut world = World::with(LiveLimits { events: 3, ..LiveLimits::default() });
    let filter = world.result("eth_newBlockFilter", json!([]));
    world.result("eth_subscribe", json!(["newHeads"]));
    for _ in 0..4 {
        world.add(1, &[], &[]);
    }
    world.update();
    assert_eq!(world.error("eth_getFilterChanges", json!([filter])), "filter not found");
    assert_eq!(world.connection.borrow_mut().poll(&world.live.borrow()), Err(Lagged));
}

#[test]
fn a_roll_back_below_what_is_known_loses_everybody() {
    let mut world = World::with(LiveLimits { blocks: 2, ..LiveLimits::default() });
    for _ in 0..4 {
        world.add(1, &[], &[]);
    }
    world.update();
    let filter = world.result("eth_newBlockFilter", json!([]));
    world.roll_back(1);
    world.add(2, &[], &[]);
    world.update();
    assert_eq!(world.error("eth_getFilterChanges", json!([filter])), "filter not found");
    let filter = world.result("eth_newBlockFilter", json!([]));
    world.add(2, &[], &[]);
    world.update();
    assert_eq!(world.result("eth_getFilterChanges", json!([filter])), json!([world.heads[3].hash]));
}

#[test]
fn who_listens_before_the_first_block_hears_of_it() {
    let mut world = World::without_a_block(LiveLimits::default());
    world.update();
    world.result("eth_subscribe", json!(["newHeads"]));
    for _ in 0..200 {
        world.add(1, &[], &[]);
    }
    world.update();
    let told: Vec<_> = world.notifications().into_iter().map(|told| told["hash"].clone()).collect();
    let heads: Vec<_> = world.heads.iter().map(|head| json!(head.hash)).collect();
    assert_eq!(told, heads);

    // Who begins with a chain that is there already has seen none of it come.
    let mut world = World::without_a_block(LiveLimits::default());
    world.add(1, &[], &[]);
    world.result("eth_subscribe", json!(["newHeads"]));
    world.update();
    assert!(world.notifications().is_empty());
}

#[test]
fn what_can_be_seen_when_listening_begins_is_no_news() {
    let mut world = World::without_a_block(LiveLimits::default());
    world.update();
    for _ in 0..200 {
        world.add(1, &[], &[]);
    }
    world.result("eth_subscribe", json!(["newHeads"]));
    let filter = world.result("eth_newBlockFilter", json!([]));
    world.add(1, &[], &[]);
    world.update();
    let head = json!(world.heads[200].hash);
    assert_eq!(world.notifications().iter().map(|told| &told["hash"]).collect::<Vec<_>>(), [&head]);
    assert_eq!(world.result("eth_getFilterChanges", json!([filter])), json!([head]));
}

#[test]
fn nothing_is_told_before_the_reply() {
    let mut world = World::new();
    let seed = world.seed();
    let Reply::Answer(answer) = world.serve("eth_subscribe", json!(["newHeads"]), seed) else {
        panic!("answered here")
    };
    world.add(1, &[], &[]);
    world.update();
    assert_eq!(world.notifications(), Vec::<Value>::new());
    world.connection.borrow_mut().replied(seed);
    let texts = world.connection.borrow_mut().poll(&world.live.borrow()).unwrap();
    let id = serde_json::from_str::<Value>(&answer).unwrap()["result"].take();
    let told: Value = serde_json::from_str(&texts[0]).unwrap();
    assert_eq!((texts.len(), &told["params"]["subscription"]), (1, &id));
    assert_eq!(told["params"]["result"]["hash"], json!(world.heads[1].hash));
    assert!(told["params"]["result"].get("transactions").is_none());
    assert_eq!(world.result("eth_unsubscribe", json!([id])), json!(true));
    assert_eq!(world.error("eth_unsubscribe", json!([id])), "subscription not found");
    assert!(world.connection.borrow().is_empty());
}

#[test]
fn subscribed_logs_are_removed_before_new_ones_come() {
    let mut world = World::new();
    world.result("eth_subscribe", json!(["logs", { "topics": [B256::with_last_byte(7)] }]));
    world.add(1, &[(1, vec![7]), (1, vec![8])], &[]);
    world.update();
    world.roll_back(0);
    world.add(2, &[(1, vec![7])], &[]);
    world.update();
    let told: Vec<_> = world.notifications().iter().map(place).collect();
    assert_eq!(told, [(1, false), (1, true), (1, false)]);
}

#[test]
fn many_logs_come_in_many_polls_and_none_is_lost() {
    let mut world = World::new();
    world.result("eth_subscribe", json!(["logs"]));
    let logs: Vec<Small> = (0..1000).map(|_| (1, vec![])).collect();
    world.add(1, &logs, &[]);
    world.update();
    let first = world.connection.borrow_mut().poll(&world.live.borrow()).unwrap();
    assert_eq!(first.len(), 256);
    world.roll_back(0);
    world.update();
    let told = world.notifications();
    assert_eq!(told.len() + first.len(), 2000);
    assert_eq!(told.last().unwrap()["logIndex"], "0x0");
}

#[test]
fn subscriptions_are_of_four_kinds() {
    let mut world = World::new();
    world.result("eth_subscribe", json!(["newPendingTransactions", true]));
    world.result("eth_subscribe", json!(["syncing"]));
    let refused = world.ask("eth_subscribe", json!(["heads"]));
    assert_eq!(refused["error"]["code"], -32601);
    assert_eq!(refused["error"]["message"], "no \"heads\" subscription in eth namespace");
    let hash = world.accept(&sign(unsigned(4)));
    world.status.highest_block = Some(100);
    world.update();
    world.status.highest_block = Some(0);
    world.update();
    let told = world.notifications();
    assert!(told.iter().any(|told| told["hash"] == json!(hash) && told["nonce"] == "0x4"), "{told:?}");
    let syncing: Vec<_> = told.iter().filter(|told| told.get("syncing").is_some()).collect();
    assert_eq!(
        syncing,
        [
            &json!({ "syncing": true, "status": { "currentBlock": "0x0", "highestBlock": "0x64" } }),
            &json!({ "syncing": false })
        ]
    );
    for _ in 0..98 {
        world.result("eth_subscribe", json!(["newHeads"]));
    }
    assert_eq!(world.error("eth_subscribe", json!(["newHeads"])), "too many subscriptions");
}

#[test]
fn a_host_that_remembers_nothing_says_so() {
    let world = World::new();
    for (method, message) in [
        ("eth_newBlockFilter", "this host remembers nothing"),
        ("txpool_status", "this host remembers nothing"),
        ("eth_subscribe", "notifications not supported"),
    ] {
        let request = json!({ "id": 1, "method": method }).to_string();
        let Reply::Answer(answer) = world.rpc.handle(request.as_bytes(), &world.status, &world.store) else {
            panic!("{method}")
        };
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["error"], json!({ "code": -32000, "message": message }));
    }
}

#[test]
fn what_was_sent_counts_and_is_found_until_its_nonce_has_passed() {
    let mut world = World::new();
    assert_eq!(world.next_nonce(), "0x0");
    let [first, second, fourth] = [0, 1, 3].map(|nonce| sign(unsigned(nonce)));
    let hash = world.accept(&first);
    assert_eq!(world.next_nonce(), "0x1");
    world.accept(&fourth);
    assert_eq!(world.next_nonce(), "0x1");
    world.accept(&second);
    assert_eq!(world.next_nonce(), "0x2");
    let object = world.result("eth_getTransactionByHash", json!([hash]));
    assert_eq!((&object["hash"], &object["blockHash"]), (&json!(hash), &Value::Null));

    assert_eq!(world.result("txpool_status", json!([])), json!({ "pending": "0x2", "queued": "0x1" }));
    let content = world.result("txpool_content", json!([]));
    let address = sender().to_string().to_lowercase();
    assert_eq!(content["pending"][&address]["0"], object);
    assert_eq!(content["queued"][&address]["3"]["nonce"], "0x3");
    let from = world.result("txpool_contentFrom", json!([sender()]));
    assert_eq!(
        (&from["pending"], &from["queued"]),
        (&content["pending"][&address], &content["queued"][&address])
    );
    let summary = world.result("txpool_inspect", json!([]))["pending"][&address]["1"].take();
    assert!(summary.as_str().unwrap().ends_with(": 0 wei + 100000 gas × 1000 wei"), "{summary}");

    world.add(1, &[], core::slice::from_ref(&second));
    world.update();
    assert_eq!(world.live.borrow().waiting(), 1);
    assert!(matches!(world.serve("eth_getTransactionByHash", json!([hash]), B256::ZERO), Reply::Forward(_)));
    // Its block goes: it waits again, and is sent again at once.
    world.roll_back(0);
    world.update();
    assert_eq!(world.live.borrow().waiting(), 3);
    let again: Vec<_> = world.live.borrow_mut().resend(world.now).into_iter().map(|one| one.hash).collect();
    assert_eq!(again.len(), 2);
    assert!(again.contains(&keccak256(&first)) && again.contains(&keccak256(&second)));
}

#[test]
fn what_the_main_node_refuses_is_forgotten_unless_it_has_it() {
    let world = World::new();
    let transaction = sign(unsigned(0));
    let error = |message: &str| Some(json!({ "error": { "code": -32000, "message": message } }));
    let answer = world.send_with(&transaction, error("fee too low"));
    assert_eq!(answer["error"]["message"], "fee too low");
    assert_eq!(world.live.borrow().waiting(), 0);
    for known in ["already known", "RPC error response: ALREADY_EXISTS: already known"] {
        world.send_with(&transaction, error(known));
        assert_eq!(world.live.borrow().waiting(), 1);
    }
    assert_eq!(world.live.borrow_mut().resend(u64::MAX), []);
}

#[test]
fn what_may_not_have_arrived_is_sent_again_and_less_and_less_often() {
    let mut world = World::new();
    let transaction = sign(unsigned(0));
    let hash = keccak256(&transaction);
    let answer = world.send_with(&transaction, None);
    assert_eq!(answer["error"]["message"], "failed to relay tx to the sequencer node");
    // An answer that cannot be right is none.
    world.send_with(&transaction, Some(json!({ "result": B256::ZERO })));
    let begin = world.now;
    let mut times = Vec::new();
    while times.len() < 8 {
        world.now += 1000;
        for resend in world.live.borrow_mut().resend(world.now) {
            let request: Value = serde_json::from_str(&resend.request).unwrap();
            assert_eq!((resend.hash, &request["params"]), (hash, &json!([transaction])));
            times.push((world.now - begin) / 1000);
        }
    }
    assert_eq!(times, [5, 15, 35, 75, 155, 315, 615, 915]);
    let answer = json!({ "result": hash }).to_string();
    world.live.borrow_mut().answered(hash, Some(answer.as_bytes()), world.now);
    assert_eq!(world.live.borrow_mut().resend(u64::MAX), []);
    assert_eq!(world.live.borrow().waiting(), 1);
    world.live.borrow_mut().expire(begin + 60 * 60 * 1000);
    assert_eq!(world.live.borrow().waiting(), 0);
}

#[test]
fn the_pool_is_bounded_and_the_oldest_goes_first() {
    let mut world = World::with(LiveLimits { transactions: 2, ..LiveLimits::default() });
    for nonce in 0..3 {
        world.now += 1;
        world.accept(&sign(unsigned(nonce)));
    }
    assert_eq!(world.live.borrow().waiting(), 2);
    assert_eq!(world.result("txpool_status", json!([])), json!({ "pending": "0x0", "queued": "0x2" }));
}

#[test]
fn what_the_main_node_does_not_take_pushes_nothing_out() {
    let limits = LiveLimits { events: 3, transactions: 3, ..LiveLimits::default() };
    let mut world = World::with(limits);
    let blocks = world.result("eth_newBlockFilter", json!([]));
    let pending = world.result("eth_newPendingTransactionFilter", json!([]));
    let taken = [0, 1].map(|nonce| world.accept(&sign(unsigned(nonce))));
    world.add(1, &[], &[]);
    world.update();
    for nonce in 5..15 {
        world.now += 1;
        world.send(&sign(unsigned(nonce)));
    }
    world.send_with(&sign(unsigned(15)), Some(json!({ "error": { "code": -32000, "message": "no funds" } })));
    assert_eq!(world.result("eth_getFilterChanges", json!([blocks])), json!([world.heads[1].hash]));
    assert_eq!(world.result("eth_getFilterChanges", json!([pending])), json!(taken));
    for hash in taken {
        assert_eq!(world.result("eth_getTransactionByHash", json!([hash]))["hash"], json!(hash));
    }
    // Accepted again, it is not told again.
    world.accept(&sign(unsigned(0)));
    assert_eq!(world.result("eth_getFilterChanges", json!([pending])), json!([]));
    assert_eq!(world.live.borrow().waiting(), 2);
    world.live.borrow_mut().expire(world.now + 60 * 60 * 1000);
    assert_eq!(world.live.borrow().waiting(), 0);
}

#[test]
fn filters_are_bounded_by_what_they_look_for() {
    let world = World::with(LiveLimits { filter_bytes: 200_000, ..LiveLimits::default() });
    let many: Vec<_> = (0_u64..1000).map(|n| B256::from(alloy_primitives::U256::from(n))).collect();
    let large = json!({ "topics": [many, many, many, many] });
    let id = world.result("eth_newFilter", json!([large]));
    assert_eq!(world.error("eth_newFilter", json!([large])), "too many filters");
    world.result("eth_newBlockFilter", json!([]));
    world.result("eth_uninstallFilter", json!([id]));
    world.result("eth_newFilter", json!([large]));
    world.live.borrow_mut().expire(u64::MAX);
    world.result("eth_newFilter", json!([large]));
    for _ in 0..8 {
        world.result("eth_subscribe", json!(["logs", large]));
    }
    assert_eq!(world.error("eth_subscribe", json!(["logs", large])), "too many subscriptions");
    world.result("eth_subscribe", json!(["logs"]));
}

#[test]
fn what_there_is_no_room_for_is_told_the_next_time() {
    let mut world = World::new();
    let filters = [world.result("eth_newFilter", json!([{}])), world.result("eth_newBlockFilter", json!([]))];
    for number in 0..4 {
        world.add(1, &vec![(1, vec![]); number % 3], &[]);
    }
    world.update();
    world.roll_back(1);
    world.update();
    // Three logs came and went again; four blocks came.
    for (filter, room, expected) in [(&filters[0], 1000, 6), (&filters[1], 150, 4)] {
        world.rpc.config.limits.response = 60;
        assert_eq!(world.error("eth_getFilterChanges", json!([filter])), "response too large");
        world.rpc.config.limits.response = room;
        let mut told = Vec::new();
        loop {
            let changes = world.result("eth_getFilterChanges", json!([filter]));
            let changes = changes.as_array().unwrap();
            if changes.is_empty() {
                break;
            }
            assert!(changes.len() < expected);
            told.extend_from_slice(changes);
        }
        assert_eq!(told.len(), expected);
    }
}

#[test]
fn a_roll_back_of_unknown_depth_leaves_nothing_behind_as_passed() {
    let mut world = World::with(LiveLimits { blocks: 2, ..LiveLimits::default() });
    let transaction = sign(unsigned(0));
    world.accept(&transaction);
    world.add(1, &[], core::slice::from_ref(&transaction));
    for _ in 0..3 {
        world.add(1, &[], &[]);
    }
    world.update();
    assert_eq!(world.live.borrow().waiting(), 0);
    world.roll_back(0);
    for _ in 0..4 {
        world.add(2, &[], &[]);
    }
    world.update();
    assert_eq!(world.live.borrow().waiting(), 1);
    assert_eq!(world.live.borrow_mut().resend(world.now).len(), 1);
}

/// Every log of the chain that the filter asks for, by looking at each.
fn naive(world: &World, from: usize, to: usize, address: Option<u8>, topics: &[Option<u8>]) -> Vec<String> {
    let mut found = Vec::new();
    for number in from..=to.min(world.heads.len() - 1) {
        let receipts = world.result("eth_getBlockReceipts", json!([number]));
        let logs =
            receipts.as_array().unwrap().iter().flat_map(|receipt| receipt["logs"].as_array().unwrap());
        for log in logs {
            let of = log["topics"].as_array().unwrap();
            let matches = address
                .is_none_or(|address| log["address"] == json!(Address::with_last_byte(address)))
                && of.len() >= topics.len()
                && topics.iter().zip(of).all(|(wanted, topic)| {
                    wanted.is_none_or(|wanted| *topic == json!(B256::with_last_byte(wanted)))
                });
            if matches {
                found.push(log.to_string());
            }
        }
    }
    found
}

type Step = (usize, u64, Vec<Vec<Small>>);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let log = (0u8..6, prop::collection::vec(0u8..4, 0..3));
    // Most blocks have no logs.
    let block = prop_oneof![8 => Just(Vec::new()), 1 => prop::collection::vec(log, 1..4)];
    prop::collection::vec((0usize..40, any::<u64>(), prop::collection::vec(block, 0..300)), 1..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_index_finds_what_looking_at_each_block_finds(
        steps in steps(),
        asked in prop::collection::vec((0usize..700, 0usize..700, prop::option::of(0u8..6), prop::collection::vec(prop::option::of(0u8..4), 0..3)), 1..12),
    ) {
        let mut world = World::new();
        for (back, salt, blocks) in steps {
            world.roll_back((world.heads.len() - 1).saturating_sub(back));
            for logs in blocks {
                world.add(salt % 1_000_000, &logs, &[]);
            }
        }
        for (from, length, address, topics) in asked {
            let from = from % world.heads.len();
            let topic_filter: Vec<_> = topics.iter().map(|topic| topic.map(B256::with_last_byte)).collect();
            let filter = json!({
                "fromBlock": from, "toBlock": from + length,
                "address": address.map(Address::with_last_byte), "topics": topic_filter,
            });
            let found = world.result("eth_getLogs", json!([filter]));
            let found: Vec<_> = found.as_array().unwrap().iter().map(ToString::to_string).collect();
            prop_assert_eq!(found, naive(&world, from, from + length, address, &topics), "{}", filter);
        }
    }

    /// What a filter and a subscription tell, applied to what was there before, gives what is there now.
    #[test]
    fn changes_add_up(steps in prop::collection::vec((0usize..6, 0usize..6, any::<bool>()), 1..20)) {
        let mut world = World::new();
        let filter = world.result("eth_newFilter", json!([{}]));
        world.result("eth_subscribe", json!(["logs"]));
        let (mut polled, mut pushed) = (Vec::new(), Vec::new());
        for (salt, (back, more, read)) in (1..).zip(steps) {
            world.roll_back((world.heads.len() - 1).saturating_sub(back));
            for n in 0..more {
                world.add(salt, &vec![(1, vec![]); n % 3], &[]);
            }
            world.update();
            if read {
                apply(&mut polled, world.result("eth_getFilterChanges", json!([filter])).as_array().unwrap());
                apply(&mut pushed, &world.notifications());
            }
        }
        apply(&mut polled, world.result("eth_getFilterChanges", json!([filter])).as_array().unwrap());
        apply(&mut pushed, &world.notifications());
        let all = world.result("eth_getLogs", json!([{ "fromBlock": 0 }]));
        prop_assert_eq!(&json!(polled), &all);
        prop_assert_eq!(&json!(pushed), &all);
    }
}

/// The last log is the first to go.
#[track_caller]
fn apply(logs: &mut Vec<Value>, changes: &[Value]) {
    for change in changes {
        if change["removed"] == json!(true) {
            let mut gone = logs.pop().expect("a log");
            gone["removed"] = json!(true);
            assert_eq!(&gone, change);
        } else {
            logs.push(change.clone());
        }
    }
}

#[test]
fn a_damaged_index_is_an_error_and_a_missing_one_is_not() {
    let mut world = World::new();
    for number in 1..40 {
        let logs: &[Small] = if number == 3 { &[(1, Vec::new())] } else { &[] };
        world.add(1, logs, &[]);
    }
    let filter = json!([{ "fromBlock": "0x1", "address": Address::with_last_byte(1) }]);
    assert_eq!(places(&world.result("eth_getLogs", filter.clone())), [(3, false)]);
    let key = Key::LogSection { level: 1, section: 1 };
    let whole = world.store.get(&key).unwrap().unwrap();
    let put = |record: Bytes| {
        let mut commit = Commit::default();
        commit.put(key, record);
        world.store.apply(&commit).unwrap();
    };
    put(whole.slice(1..));
    assert_eq!(world.error("eth_getLogs", filter.clone()), "internal error");
    put(whole);
    assert_eq!(places(&world.result("eth_getLogs", filter.clone())), [(3, false)]);
    let mut commit = Commit::default();
    for _ in 0..3 {
        commit.release(key);
    }
    world.store.apply(&commit).unwrap();
    assert_eq!(world.store.get(&key), Ok(None));
    assert_eq!(places(&world.result("eth_getLogs", filter)), [(3, false)]);
}
