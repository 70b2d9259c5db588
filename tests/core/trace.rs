//! Traces over the recorded chain: what a transaction did when it runs once more is what its receipt says.

use alloy_primitives::{Address, B256, Bytes, U256, hex};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use zk_replica_core::{
    chain::ChainSpec,
    replica::{Halt, Input, Step},
    rpc::{Config, Limits, Reply, Rpc, Status},
    store::{Commit, Key, Memory, Recording, Store, StoreError},
    tree::{Proof, StateKey},
};
use zk_replica_tests::{Archive, items, say, vectors};

const TIP: u64 = 11_317;

struct Chain {
    spec: ChainSpec,
    store: Archive,
    rpc: Rpc,
    /// Blocks with transactions.
    blocks: Vec<u64>,
}

impl Chain {
    fn ask(&self, method: &str, params: &Value) -> Value {
        ask(&self.rpc, &self.store, method, params)
    }

    #[track_caller]
    fn result(&self, method: &str, params: Value) -> Value {
        let mut answer = self.ask(method, &params);
        assert!(answer.get("error").is_none(), "{method} {params}: {answer}");
        answer.as_object_mut().and_then(|answer| answer.remove("result")).expect("a result")
    }

    #[track_caller]
    fn refusal(&self, method: &str, params: Value) -> String {
        self.ask(method, &params)["error"]["message"].as_str().expect("an error").into()
    }

    fn transactions(&self, block: u64) -> Vec<Value> {
        array(&self.result("eth_getBlockByNumber", json!([block, true]))["transactions"]).to_vec()
    }

    fn receipts(&self, block: u64) -> Vec<Value> {
        array(&self.result("eth_getBlockReceipts", json!([block]))).to_vec()
    }
}

fn ask(rpc: &Rpc, store: &Archive, method: &str, params: &Value) -> Value {
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
    let Reply::Answer(answer) = rpc.handle(request.as_bytes(), &Status::default(), store) else {
        unreachable!("{method} is answered from the store");
    };
    serde_json::from_str(&answer).expect("JSON")
}

fn array(value: &Value) -> &[Value] {
    value.as_array().expect("an array")
}

fn number(value: &Value) -> U256 {
    value.as_str().expect("a quantity").parse().expect("a quantity")
}

/// One replay serves every fact: it is most of the time that they take.
#[test]
fn the_recorded_chain_is_traced() {
    let Some(vectors) = vectors("the_recorded_chain_is_traced") else {
        return;
    };
    let recording = zk_replica_tests::Recording::load(&vectors);
    let store = Archive::replay(&recording, TIP).expect("true");
    let rpc = Rpc::new(recording.spec.clone(), Config::default());
    let has_transactions = |block: &u64| {
        ask(&rpc, &store, "eth_getBlockTransactionCountByNumber", &json!([block]))["result"] != "0x0"
    };
    let blocks = (1..=TIP).filter(has_transactions).collect();
    let chain = Chain { spec: recording.spec, store, rpc, blocks };
    for (fact, check) in FACTS {
        check(&chain);
        say(&format!("ok: {fact}"));
    }
}

type Fact = (&'static str, fn(&Chain));

const FACTS: &[Fact] = &[
    ("calls are those of the transactions", calls_are_those_of_the_transactions),
    ("steps end as the receipts say", steps_end_as_the_receipts_say),
    ("differences lead from one state to the next", differences_lead_from_state_to_state),
    ("what is looked at is what was there", prestates_are_what_was_there),
    ("several tracers are each of them", several_tracers_are_each_of_them),
    ("a call is traced like its transaction", a_call_is_traced_like_its_transaction),
    ("access lists do not grow", access_lists_do_not_grow),
    ("raw receipts have the header's root", raw_receipts_have_the_root),
    ("proofs show accounts under the state root", proofs_show_accounts),
    ("odd requests are refused", odd_requests_are_refused),
    ("large traces are refused", large_traces_are_refused),
    ("long work is ended", long_work_is_ended),
];

fn calls_are_those_of_the_transactions(chain: &Chain) {
    let (mut transactions, mut inner, mut logged) = (0, 0, 0);
    for block in &chain.blocks {
        let options = json!({ "tracer": "callTracer", "tracerConfig": { "withLog": true } });
        let traces = chain.result("debug_traceBlockByNumber", json!([block, options]));
        let (sent, receipts) = (chain.transactions(*block), chain.receipts(*block));
        assert_eq!(array(&traces).len(), sent.len());
        let hash = &sent[0]["blockHash"];
        assert_eq!(chain.result("debug_traceBlockByHash", json!([hash, options])), traces);
        for ((trace, transaction), receipt) in array(&traces).iter().zip(&sent).zip(&receipts) {
            let hash = &transaction["hash"];
            assert_eq!(trace["txHash"], *hash);
            let trace = &trace["result"];
            if transactions % 7 == 0 {
                assert_eq!(chain.result("debug_traceTransaction", json!([hash, options])), *trace);
            }
            assert_eq!(trace["gasUsed"], receipt["gasUsed"], "{hash}");
            assert_eq!(trace.get("error").is_none(), receipt["status"] == "0x1", "{hash}");
            for member in ["from", "value", "gas", "input"] {
                assert_eq!(trace[member], transaction[member], "{member} of {hash}");
            }
            match receipt["contractAddress"].is_null() {
                true => assert_eq!((&trace["type"], &trace["to"]), (&json!("CALL"), &transaction["to"])),
                false => {
                    assert_eq!(trace["type"], "CREATE");
                    if receipt["status"] == "0x1" {
                        assert_eq!(trace["to"], receipt["contractAddress"]);
                    }
                }
            }
            let mut logs = BTreeMap::new();
            inner += gather(trace, &mut logs);
            logged += logs.len();
            let expected = array(&receipt["logs"]);
            assert_eq!(logs.len(), expected.len(), "{hash}");
            for (log, expected) in logs.values().zip(expected) {
                for member in ["address", "topics", "data"] {
                    assert_eq!(log[member], expected[member]);
                }
                assert_eq!(log["index"], expected["logIndex"]);
            }
            transactions += 1;
        }
    }
    assert_eq!(transactions, 465);
    assert!(inner > 0 && logged > 50, "{inner} calls, {logged} logs");
    let of_batch = chain.result("debug_traceBatchByNumber", json!([76, { "tracer": "noopTracer" }]));
    let batch = chain.result("zkevm_getBatchByNumber", json!([76, false]));
    let hashes: Vec<_> = array(&of_batch).iter().map(|trace| trace["txHash"].clone()).collect();
    assert_eq!(json!(hashes), batch["transactions"]);
}

/// Puts the logs of a call and those in it under their index; counts the calls in it.
fn gather(call: &Value, logs: &mut BTreeMap<U256, Value>) -> usize {
    for log in call["logs"].as_array().into_iter().flatten() {
        assert!(logs.insert(number(&log["index"]), log.clone()).is_none(), "{log}");
    }
    let calls = call["calls"].as_array().map_or(&[][..], Vec::as_slice);
    calls.iter().map(|call| 1 + gather(call, logs)).sum()
}

fn steps_end_as_the_receipts_say(chain: &Chain) {
    let mut steps = 0;
    for block in &chain.blocks {
        for receipt in chain.receipts(*block) {
            let hash = &receipt["transactionHash"];
            let options = json!({ "disableStack": true, "disableStorage": true, "limit": 20_000 });
            let trace = chain.result("debug_traceTransaction", json!([hash, options]));
            assert_eq!(U256::from(trace["gas"].as_u64().expect("gas")), number(&receipt["gasUsed"]));
            assert_eq!(trace["failed"], receipt["status"] == "0x0");
            let logs = array(&trace["structLogs"]);
            for pair in logs.windows(2).filter(|pair| pair[0]["depth"] == 1 && pair[1]["depth"] == 1) {
                let [gas, cost, next] = [&pair[0]["gas"], &pair[0]["gasCost"], &pair[1]["gas"]]
                    .map(|value| value.as_u64().expect("gas"));
                // A call to what has no code of its own gives gas back before the next step.
                let calls =
                    pair[0]["op"].as_str().is_some_and(|op| op.contains("CALL") || op.contains("CREATE"));
                assert!(calls || gas - cost == next, "{}", pair[0]);
            }
            steps += logs.len();
        }
    }
    assert!(steps > 1_000, "{steps}");
    let everything = json!({ "enableMemory": true, "enableReturnData": true, "limit": 300 });
    let hash = chain.blocks.iter().flat_map(|block| chain.receipts(*block)).find_map(|receipt| {
        let logs = array(&receipt["logs"]).len();
        (logs > 0 && receipt["contractAddress"].is_null()).then(|| receipt["transactionHash"].clone())
    });
    let trace = chain.result("debug_traceTransaction", json!([hash, everything]));
    let logs = array(&trace["structLogs"]);
    let first = &logs[0];
    assert_eq!((&first["pc"], &first["depth"], &first["stack"]), (&json!(0), &json!(1), &json!([])));
    assert!(logs.iter().any(|step| step["memory"].as_array().is_some_and(|words| !words.is_empty())));
    for step in logs.iter().filter(|step| step["op"] == "SLOAD") {
        let slot = number(array(&step["stack"]).last().expect("a slot"));
        let storage = step["storage"].as_object().expect("slots");
        assert!(storage.contains_key(&hex::encode(slot.to_be_bytes::<32>())));
    }
}

/// An account as traces know it.
type Account = Map<String, Value>;

fn accounts(value: &Value) -> &Map<String, Value> {
    value.as_object().expect("accounts")
}

/// The account at the end of a block.
fn account_at(chain: &Chain, address: &str, block: u64, slots: impl Iterator<Item = String>) -> Account {
    let mut account = Account::new();
    account.insert("balance".into(), chain.result("eth_getBalance", json!([address, block])));
    let nonce = chain.result("eth_getTransactionCount", json!([address, block]));
    account.insert("nonce".into(), json!(number(&nonce).to::<u64>()));
    account.insert("code".into(), chain.result("eth_getCode", json!([address, block])));
    let word = |slot: String| {
        let word = chain.result("eth_getStorageAt", json!([address, slot, block]));
        (slot, word)
    };
    account.insert("storage".into(), Value::Object(slots.map(word).collect()));
    account
}

/// What is said of an account replaces what was known of it.
fn overlay(account: &mut Account, difference: &Value) {
    for (name, value) in accounts(difference) {
        if name == "storage" {
            let words = account["storage"].as_object_mut().expect("slots");
            words.extend(accounts(value).clone());
        } else {
            account.insert(name.clone(), value.clone());
        }
    }
}

fn differences_lead_from_state_to_state(chain: &Chain) {
    let mut compared = 0;
    for block in &chain.blocks {
        let options = json!({ "tracer": "prestateTracer", "tracerConfig": { "diffMode": true } });
        let traces = chain.result("debug_traceBlockByNumber", json!([block, options]));
        let mut known: BTreeMap<String, Account> = BTreeMap::new();
        for trace in array(&traces) {
            let (pre, post) = (accounts(&trace["result"]["pre"]), accounts(&trace["result"]["post"]));
            for (address, difference) in post {
                let slots_of = |side: Option<&Value>| -> Vec<String> {
                    let words = side.and_then(|side| side["storage"].as_object());
                    words.map(|words| words.keys().cloned().collect()).unwrap_or_default()
                };
                let slots = [slots_of(pre.get(address)), slots_of(Some(difference))].concat();
                let account = known
                    .entry(address.clone())
                    .or_insert_with(|| account_at(chain, address, block - 1, std::iter::empty()));
                for slot in &slots {
                    let words = account["storage"].as_object_mut().expect("slots");
                    words.entry(slot).or_insert_with(|| {
                        chain.result("eth_getStorageAt", json!([address, slot, block - 1]))
                    });
                }
                // What it was before is what is known of it, the system contract's slots aside, which the block itself
                // writes first.
                for (name, value) in pre.get(address).map(accounts).into_iter().flatten() {
                    match name.as_str() {
                        "storage" => {
                            for (slot, word) in accounts(value) {
                                assert_eq!(account["storage"][slot], *word, "{slot} of {address} in {block}");
                            }
                        }
                        name => assert_eq!(account[name], *value, "{name} of {address} in {block}"),
                    }
                }
                // A word that is zero after stands only in what was before.
                for slot in slots {
                    account["storage"][slot] = json!(B256::ZERO);
                }
                overlay(account, difference);
            }
        }
        for (address, account) in known {
            let slots = accounts(&account["storage"]).keys().cloned();
            assert_eq!(account_at(chain, &address, *block, slots), account, "{address} after {block}");
            compared += 1;
        }
    }
    assert!(compared > 50, "{compared}");
}

/// Of the first transaction of each block: nothing of the block came before.
fn prestates_are_what_was_there(chain: &Chain) {
    for block in &chain.blocks {
        let transaction = &chain.transactions(*block)[0];
        let options = json!({ "tracer": "prestateTracer" });
        let trace = chain.result("debug_traceTransaction", json!([transaction["hash"], options]));
        let found = accounts(&trace);
        assert!(found.contains_key(transaction["from"].as_str().expect("an address")));
        for (address, account) in found {
            let said = |name: &str, default: Value| account.get(name).cloned().unwrap_or(default);
            let storage = said("storage", json!({}));
            let expected = account_at(chain, address, block - 1, accounts(&storage).keys().cloned());
            assert_eq!(account["balance"], expected["balance"]);
            assert_eq!(said("nonce", json!(0)), expected["nonce"]);
            assert_eq!(said("code", json!("0x")), expected["code"]);
            assert_eq!(storage, expected["storage"], "{address} before {block}");
        }
    }
}

fn several_tracers_are_each_of_them(chain: &Chain) {
    for block in chain.blocks.iter().take(5) {
        for transaction in chain.transactions(*block) {
            let hash = &transaction["hash"];
            let config = json!({
                "callTracer": { "onlyTopCall": true },
                "prestateTracer": { "diffMode": true },
                "4byteTracer": null,
                "noopTracer": null,
            });
            let together = chain.result(
                "debug_traceTransaction",
                json!([hash, { "tracer": "muxTracer", "tracerConfig": config }]),
            );
            assert_eq!(accounts(&together).len(), 4);
            for (name, trace) in accounts(&together) {
                let options = json!({ "tracer": name, "tracerConfig": config[name] });
                assert_eq!(chain.result("debug_traceTransaction", json!([hash, options])), *trace);
            }
            assert_eq!(together["noopTracer"], json!({}));
            assert!(together["callTracer"].get("calls").is_none());
            let input = transaction["input"].as_str().expect("hex");
            if !transaction["to"].is_null() && input.len() >= 10 {
                let counted = format!("{}-{}", &input[..10], (input.len() - 10) / 2);
                assert!(together["4byteTracer"][counted].as_u64() >= Some(1));
            }
        }
    }
}

fn a_call_is_traced_like_its_transaction(chain: &Chain) {
    let mut compared = 0;
    for block in &chain.blocks {
        let transaction = &chain.transactions(*block)[0];
        let hash = &transaction["hash"];
        // The context of a call is that of the block whose state it sees: the transaction had the next one's.
        let header = chain.result("eth_getBlockByNumber", json!([block, false]));
        let options = json!({
            "tracer": "callTracer",
            "blockOverrides": { "number": header["number"], "time": header["timestamp"] },
        });
        let call = json!({
            "from": transaction["from"], "to": transaction["to"], "gas": transaction["gas"],
            "value": transaction["value"], "input": transaction["input"],
        });
        let traced = chain.result("debug_traceTransaction", json!([hash, options]));
        let called = chain.result("debug_traceCall", json!([call, block - 1, options]));
        assert_eq!(called, traced, "block {block}");
        compared += 1;
    }
    assert!(compared > 40, "{compared}");
    let reverts = json!({ "code": "0x60006000fd" });
    let address = "0x00000000000000000000000000000000000000aa";
    let options = json!({ "tracer": "callTracer", "stateOverrides": { address: reverts } });
    let trace = chain.result("debug_traceCall", json!([{ "to": address }, "latest", options]));
    assert_eq!(trace["error"], "execution reverted");
}

fn access_lists_do_not_grow(chain: &Chain) {
    let mut named = 0;
    for block in &chain.blocks {
        let transaction = &chain.transactions(*block)[0];
        let mut call = json!({
            "from": transaction["from"], "to": transaction["to"], "value": transaction["value"],
            "input": transaction["input"],
        });
        let first = chain.result("eth_createAccessList", json!([call, block - 1]));
        named += array(&first["accessList"]).len();
        call["accessList"] = first["accessList"].clone();
        assert_eq!(chain.result("eth_createAccessList", json!([call, block - 1])), first, "block {block}");
        if first.get("error").is_none() {
            let options = json!({ "tracer": "callTracer" });
            let trace = chain.result("debug_traceCall", json!([call, block - 1, options]));
            assert_eq!(trace["gasUsed"], first["gasUsed"], "block {block}");
        }
    }
    assert!(named > 0, "{named}");
    // BALANCE of an address, SLOAD of slot 1.
    let address = "0x00000000000000000000000000000000000000aa";
    let code = format!("0x73{}315060015400", "bb".repeat(20));
    let params = json!([{ "to": address }, "latest", { address: { "code": code } }]);
    let found = chain.result("eth_createAccessList", params);
    let slot = B256::with_last_byte(1);
    let expected = json!([
        { "address": address, "storageKeys": [slot] },
        { "address": format!("0x{}", "bb".repeat(20)), "storageKeys": [] },
    ]);
    assert_eq!(found["accessList"], expected);
}

fn raw_receipts_have_the_root(chain: &Chain) {
    for block in &chain.blocks {
        let raw = chain.result("debug_getRawReceipts", json!([block]));
        let raw: Vec<_> =
            array(&raw).iter().map(|one| hex::decode(one.as_str().expect("hex")).expect("hex")).collect();
        let root = alloy_consensus::proofs::ordered_trie_root_with_encoder(&raw, |one, out| {
            out.extend_from_slice(one)
        });
        let header = chain.result("eth_getBlockByNumber", json!([block, false]));
        assert_eq!(header["receiptsRoot"], json!(root), "block {block}");
    }
    assert_eq!(chain.refusal("debug_getRawReceipts", json!(["0xffffff"])), "block #16777215 not found");
}

fn proofs_show_accounts(chain: &Chain) {
    let mut slots_shown = 0;
    for block in chain.blocks.iter().step_by(5) {
        let options = json!({ "tracer": "prestateTracer" });
        let traces = chain.result("debug_traceBlockByNumber", json!([block, options]));
        let root = chain.result("eth_getBlockByNumber", json!([block, false]))["stateRoot"].clone();
        let root: B256 = serde_json::from_value(root).expect("a root");
        for (address, account) in array(&traces).iter().flat_map(|trace| accounts(&trace["result"])) {
            let slots: Vec<_> =
                account.get("storage").map(accounts).into_iter().flat_map(Map::keys).collect();
            let shown = chain.result("zkevm_getProof", json!([address, slots, block]));
            let verified = |key: StateKey, proof: &Value| {
                let elements: Vec<Bytes> = serde_json::from_value(proof.clone()).expect("a list of bytes");
                Proof::decode(&elements).expect("a proof").verify(root, &key.path()).expect("of this root")
            };
            let named: Address = address.parse().expect("an address");
            let balance = verified(StateKey::Balance(named), &shown["balanceProof"]);
            assert_eq!(json!(balance), chain.result("eth_getBalance", json!([address, block])));
            assert_eq!(json!(balance), shown["balance"]);
            let nonce = verified(StateKey::Nonce(named), &shown["nonceProof"]);
            assert_eq!(json!(nonce), shown["nonce"]);
            let hash = verified(StateKey::CodeHash(named), &shown["codeHashProof"]);
            assert_eq!(json!(B256::from(hash)), shown["codeHash"]);
            let length = verified(StateKey::CodeLength(named), &shown["codeLengthProof"]);
            assert_eq!(json!(length), shown["codeLength"]);
            for (slot, of_slot) in slots.into_iter().zip(array(&shown["storageProof"])) {
                assert_eq!(of_slot["key"], *slot);
                let key = StateKey::Storage(named, slot.parse().expect("a slot"));
                let value = verified(key, &of_slot["proof"]);
                assert_eq!(json!(value), of_slot["value"]);
                let stored = chain.result("eth_getStorageAt", json!([address, slot, block]));
                assert_eq!(json!(B256::from(value)), stored);
                slots_shown += 1;
            }
        }
    }
    assert!(slots_shown > 0, "{slots_shown}");
    let many = vec!["0x0"; 1001];
    let refused = chain.refusal("zkevm_getProof", json!([Address::ZERO, many, "latest"]));
    assert_eq!(refused, "invalid argument 1: more than 1000 slots");
}

fn odd_requests_are_refused(chain: &Chain) {
    let transaction = &chain.transactions(chain.blocks[0])[0];
    let hash = &transaction["hash"];
    let with = |options: Value| chain.refusal("debug_traceTransaction", json!([hash, options]));
    assert_eq!(
        with(json!({ "tracer": "fooTracer" })),
        "invalid argument 1: tracer \"fooTracer\" is not known"
    );
    let script = json!({ "tracer": "{data: [], step: function(log) {}}" });
    assert_eq!(with(script), "invalid argument 1: JavaScript tracers are not supported");
    let config = json!({ "tracer": "callTracer", "tracerConfig": { "foo": true } });
    assert_eq!(with(config), "invalid argument 1: tracerConfig: \"foo\" is not known");
    let config = json!({ "tracer": "callTracer", "tracerConfig": { "withLog": 1 } });
    assert_eq!(with(config), "invalid argument 1: tracerConfig: withLog: a boolean was expected");
    let config = json!({ "tracer": "muxTracer", "tracerConfig": { "muxTracer": {} } });
    assert_eq!(with(config), "invalid argument 1: muxTracer cannot be part of itself");
    let unknown = B256::repeat_byte(1);
    assert_eq!(chain.refusal("debug_traceTransaction", json!([unknown])), "transaction not found");
    assert_eq!(chain.refusal("debug_traceBlockByNumber", json!([0])), "genesis is not traceable");
    assert_eq!(
        chain.refusal("debug_traceBlockByNumber", json!([TIP + 1])),
        format!("block with number {} not found", TIP + 1)
    );
    assert_eq!(chain.result("debug_traceBlockByNumber", json!([TIP])), json!([]));
}

fn large_traces_are_refused(chain: &Chain) {
    let limits = Limits { response: 100_000, ..Limits::default() };
    let rpc = Rpc::new(chain.spec.clone(), Config { limits, ..Config::default() });
    let address = "0x00000000000000000000000000000000000000aa";
    // A loop; a contract that calls another without end.
    for (code, tracer) in [("0x5b600056", ""), ("0x5b60008080808060bb5af150600056", "callTracer")] {
        let options = json!({ "tracer": tracer, "stateOverrides": { address: { "code": code } } });
        let answer =
            ask(&rpc, &chain.store, "debug_traceCall", &json!([{ "to": address }, "latest", options]));
        assert_eq!(answer["error"]["message"], "trace too large");
    }
}

fn long_work_is_ended(chain: &Chain) {
    let address = "0x00000000000000000000000000000000000000aa";
    let code = json!({ address: { "code": "0x5b600056" } });
    let call = json!([{ "to": address }, "latest", code]);
    let traced = json!([{ "to": address }, "latest", { "tracer": "noopTracer", "stateOverrides": code }]);
    let range = json!({ "fromBlock": 0, "toBlock": 9_999, "topics": [[]] });
    let hashes = json!({ "fromBlock": 0, "toBlock": 10_000 });
    for (method, params) in [
        ("eth_call", call.clone()),
        ("eth_estimateGas", call),
        ("debug_traceCall", traced),
        ("eth_getLogs", json!([range])),
        ("zkevm_getNativeBlockHashesInRange", json!([hashes])),
    ] {
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
        let reply = chain.rpc.handle_until(request.as_bytes(), &Status::default(), &chain.store, &|| true);
        let Reply::Answer(answer) = reply else { unreachable!("answered from the store") };
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        let error = json!({ "code": -32000, "message": "execution aborted (timeout)" });
        assert_eq!(answer["error"], error, "{method}");
    }
}

/// What a check reads is all that it needs, and it needs all of that.
#[test]
fn what_a_check_reads_repeats_it() {
    let Some(vectors) = vectors("what_a_check_reads_repeats_it") else {
        return;
    };
    let recording = zk_replica_tests::Recording::load(&vectors);
    let mut replay = recording.begin();
    let (mut repeated, mut records_read) = (0, 0);
    for (position, item) in items(&recording.stream).enumerate() {
        let input = Input::from(item.expect("well-formed"));
        let is_wanted = match &input {
            Input::Block(block) => {
                block.input().number > 0 && (!block.input().transactions.is_empty() || position % 1000 == 0)
            }
            _ => false,
        };
        if !is_wanted {
            replay.replica.advance(&input, &replay.store).expect("true");
            continue;
        }
        let before = replay.replica.clone();
        let read = Recording::new(&replay.store);
        replay.replica.advance(&input, &read).expect("true");
        let records = read.into_records();
        let on = |keys: &dyn Fn(&Key) -> bool| {
            let kept = records.iter().filter(|(key, _)| keys(key));
            let kept = kept.map(|(key, record)| (*key, record.clone())).collect();
            let partial = Memory::partial();
            partial.apply(&Commit::for_test(kept, Vec::new())).expect("in memory");
            before.clone().advance(&input, &partial)
        };
        assert!(matches!(on(&|_| true), Ok(Step::Verified(_))), "item {position}");
        // Every one for the smallest blocks, else a few.
        // The log index reads blocks and sections, but goes without where it has to.
        let needed = records.keys().filter(|key| !matches!(key, Key::Block(_) | Key::LogSection { .. }));
        for key in needed.step_by(1 + records.len() / 8) {
            let without = on(&|other| other != key);
            let missing = matches!(&without, Err(Halt::Store(StoreError::Missing(named))) if named == key);
            assert!(missing, "item {position} without {key}: {without:?}");
        }
        repeated += 1;
        records_read += records.len();
    }
    assert!(repeated > 50 && records_read > 1000, "{repeated} blocks, {records_read} records");
}
