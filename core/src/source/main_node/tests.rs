//! Shapes of `spec/sync.md` §3.3 and lies in each of their fields; a client beside a main node of a few lines.

use super::*;
use crate::{
    chain::{ForkId, ForkSchedule},
    executor::Rules,
    source::{
        batch_data::{self, BatchEntry, ChangeL2Block},
        datastream::{Anchor, Item, Probe},
    },
    types::{BatchKind, L1Info},
};
use alloc::{
    format,
    string::{String, ToString},
    vec,
    vec::Vec,
};
use alloy_primitives::{B256, Bytes, hex};
use proptest::prelude::*;
use serde_json::{Value, json};

fn config() -> Config {
    Config {
        chain_id: 7,
        forks: ForkSchedule::new([(1, ForkId::Elderberry2)]).unwrap(),
        encoding: |fork| &Rules::of(fork).encoding,
        in_flight: 3,
        ahead: 2,
    }
}

fn hash(of: &str) -> B256 {
    alloy_primitives::keccak256(of)
}

/// A block of a chain; chains with other names have other blocks.
fn block(chain: &str, number: u64) -> Value {
    json!({
        "number": format!("{number:#x}"),
        "hash": hash(&format!("{chain}{number}")),
        "parentHash": hash(&format!("{chain}{}", number.wrapping_sub(1))),
        "stateRoot": hash("root"),
        "miner": "0x00000000000000000000000000000000000000c0",
        "timestamp": number * 3,
        "gasLimit": "1125899906842624",
        "transactions": null,
        "blockInfoRoot": hash("info"),
        "globalExitRoot": null,
    })
}

/// A batch of empty blocks, three seconds apart.
fn batch(chain: &str, number: u64, blocks: core::ops::Range<u64>, closed: bool) -> Value {
    let entries: Vec<_> = blocks
        .clone()
        .map(|_| BatchEntry::ChangeL2Block(ChangeL2Block { delta_timestamp: 3, l1_info_index: 0 }))
        .collect();
    let data = batch_data::encode(&entries, &Rules::of(ForkId::Elderberry2).encoding);
    json!({
        "number": number,
        "coinbase": "0x00000000000000000000000000000000000000c0",
        "stateRoot": hash("root"),
        "timestamp": "0x1",
        "blocks": blocks.map(|number| block(chain, number)).collect::<Vec<_>>(),
        "transactions": [],
        "globalExitRoot": B256::ZERO,
        "localExitRoot": B256::ZERO,
        "sendSequencesTxHash": null,
        "accInputHash": B256::ZERO,
        "closed": closed,
        "batchL2Data": Bytes::from(data),
    })
}

fn read(request: Request, result: &Value) -> Result<Answer, AnswerError> {
    request.decode(5, json!({"jsonrpc": "2.0", "id": 5, "result": result}).to_string().as_bytes())
}

#[test]
fn numbers_are_read_in_all_forms() {
    for (text, number) in [
        ("\"0x0\"", 0),
        ("\"0xfF\"", 255),
        ("\"0x00ff\"", 255),
        ("255", 255),
        ("\"255\"", 255),
        ("\"0xffffffffffffffff\"", u64::MAX),
    ] {
        let body = format!(r#"{{"id":"0x1","result":{text}}}"#);
        assert_eq!(Request::ChainId.decode(1, body.as_bytes()), Ok(Answer::Number(number)), "{text}");
    }
    for text in ["null", "\"\"", "\"0x\"", "-1", "1.5", "\"+1\"", "\"0x10000000000000000\"", "[]", "true"] {
        let body = format!(r#"{{"id":1,"result":{text}}}"#);
        let error = Request::ChainId.decode(1, body.as_bytes()).unwrap_err();
        assert!(error.to_string().starts_with("result: expected a number"), "{text}: {error}");
    }
}

#[test]
fn what_is_no_answer_is_told_apart() {
    let read = |body: &str| Request::BatchNumber.decode(1, body.as_bytes()).unwrap_err();
    for body in ["", "<html><body>Bad gateway</body></html>", r#"{"id":1,"resu"#, "{} {}"] {
        assert!(matches!(read(body), AnswerError::NotJson { .. }), "{body}");
    }
    assert_eq!(read(r#"{"id":2,"result":"0x1"}"#), AnswerError::Id);
    assert_eq!(read(r#"{"id":1}"#), AnswerError::Missing { field: "result".to_string() });
    let missing = read(r#"{"id":1,"error":{"code":-32601,"message":"the method does not exist"}}"#);
    assert!(missing.is_unsupported());
    let busy = read(r#"{"id":null,"error":{"code":-32000,"message":"busy"}}"#);
    assert_eq!(busy, AnswerError::Refused { code: -32000, message: "busy".to_string() });
    assert!(!busy.is_unsupported());
    let long = format!(r#"{{"id":1,"error":{{"code":1,"message":"{}"}}}}"#, "x".repeat(100_000));
    assert!(read(&long).to_string().len() < 300);
}

#[test]
fn a_lie_in_a_field_names_the_field() {
    let sound = batch("a", 3, 10..13, true);
    assert!(read(Request::Batch(3), &sound).is_ok());
    let fields =
        ["number", "coinbase", "stateRoot", "timestamp", "localExitRoot", "closed", "batchL2Data", "blocks"];
    for field in fields {
        let mut lie = sound.clone();
        lie[field] = json!({"no": "such thing"});
        let error = read(Request::Batch(3), &lie).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{field}: expected ")), "{error}");
    }
    let fields =
        ["number", "hash", "parentHash", "stateRoot", "miner", "timestamp", "gasLimit", "blockInfoRoot"];
    for field in fields {
        let mut lie = sound.clone();
        lie["blocks"][1][field] = json!("0xzz");
        let error = read(Request::Batch(3), &lie).unwrap_err().to_string();
        assert!(error.starts_with(&format!("blocks[1].{field}: expected ")), "{error}");
        if field != "blockInfoRoot" {
            lie["blocks"][1][field] = Value::Null;
            let error = read(Request::Batch(3), &lie).unwrap_err().to_string();
            assert_eq!(error, format!("blocks[1].{field} is missing"));
        }
    }
    assert!(read(Request::Batch(4), &sound).unwrap_err().to_string().starts_with("number: "));
    let mut lie = sound;
    lie["blocks"][0]["transactions"] = json!([hash("a"), 7]);
    let error = read(Request::Batch(3), &lie).unwrap_err().to_string();
    assert!(error.starts_with("blocks[0].transactions[1]: "), "{error}");
}

#[test]
fn forks_leaves_and_words_are_read() {
    let forks = json!([{"forkId": "0x9", "fromBatchNumber": "0x1", "toBatchNumber": "0xffffffffffffffff"}]);
    let schedule = ForkSchedule::new([(1, ForkId::Elderberry2)]).unwrap();
    assert_eq!(read(Request::Forks, &forks), Ok(Answer::Forks(schedule)));
    let error = read(Request::Forks, &json!([{"forkId": "0x63", "fromBatchNumber": 1}])).unwrap_err();
    assert!(error.to_string().starts_with("result[0].forkId: "), "{error}");

    let leaf = json!([{"index": 4, "ger": hash("g"), "parent_hash": hash("p"), "min_timestamp": 9, "block_number": 1}]);
    let expected = L1Info { index: 4, global_exit_root: hash("g"), block_hash: hash("p"), min_timestamp: 9 };
    assert_eq!(read(Request::ExitRootTable(None), &leaf), Ok(Answer::ExitRoots(vec![expected])));
    let storage = Request::Storage { address: Default::default(), slot: B256::ZERO };
    assert_eq!(read(storage, &json!("0x01")), Ok(Answer::Word(B256::with_last_byte(1))));
}

#[test]
fn requests_are_written_as_nodes_read_them() {
    let body = |request: Request| serde_json::from_str::<Value>(&request.encode(9)).unwrap();
    assert_eq!(body(Request::Batch(16))["params"], json!(["0x10", true]));
    assert_eq!(body(Request::Block(0))["params"], json!(["0x0", false]));
    assert_eq!(body(Request::ExitRootTable(Some((1, 5))))["params"], json!([{"from": 1, "to": 5}]));
    assert_eq!(body(Request::ExitRootTable(None))["params"], json!([]));
    assert_eq!(body(Request::Forks)["id"], 9);
}

/// Answers what a client asks, until it has nothing more to ask; gives what came.
fn converse(client: &mut Client, node: &dyn Fn(Request) -> Value) -> Result<Vec<Event>, ClientError> {
    let mut events = Vec::new();
    for _ in 0..1000 {
        while let Some(event) = client.next_event() {
            events.push(event);
        }
        let Some((id, request)) = client.next_request() else {
            return Ok(events);
        };
        let mut answer = node(request);
        answer["id"] = id.into();
        client.tell(id, request.decode(id, answer.to_string().as_bytes()))?;
    }
    panic!("it never ends")
}

/// Batches 1 (blocks 1 to 3), 2 (4 to 6), and 3 with some blocks from 7 on.
fn node(chain: &'static str, last: u64, closed: bool) -> impl Fn(Request) -> Value {
    move |request| {
        let result = match request {
            Request::ChainId => json!("0x7"),
            Request::BatchNumber => json!("0x3"),
            Request::BlockNumber => json!(last),
            Request::Batch(0) => json!(batch(chain, 0, 0..1, true)),
            Request::Batch(1) => batch(chain, 1, 1..4, true),
            Request::Batch(2) => batch(chain, 2, 4..7, true),
            Request::Batch(3) => batch(chain, 3, 7..last + 1, closed),
            Request::Block(number) if number <= last => block(chain, number),
            Request::BatchOfBlock(number) => json!(number.div_ceil(3)),
            Request::Batch(_) | Request::Block(_) => Value::Null,
            other => panic!("{other:?}"),
        };
        json!({ "result": result })
    }
}

fn summary(events: &[Event]) -> String {
    let word = |event: &Event| match event {
        Event::Ready { .. } => "ready".to_string(),
        Event::Item(Item::BatchStart(start)) => format!("({}", start.number),
        Event::Item(Item::Block(block)) => format!("{}", block.input.number),
        Event::Item(Item::BatchEnd(_)) => ")".to_string(),
        Event::Item(Item::UpdateGer(_)) => "ger".to_string(),
        Event::Tip => "tip".to_string(),
        other => format!("{other:?}"),
    };
    events.iter().map(word).collect::<Vec<_>>().join(" ")
}

fn ready() -> Client {
    let mut client = Client::new(config());
    assert_eq!(summary(&converse(&mut client, &node("a", 8, false)).unwrap()), "ready");
    client
}

#[test]
fn batches_flow_and_the_open_one_grows() {
    let mut client = ready();
    client.start(None);
    let events = converse(&mut client, &node("a", 8, false)).unwrap();
    assert_eq!(summary(&events), "(0 0 ) (1 1 2 3 ) (2 4 5 6 ) (3 7 8 tip");
    assert!(client.is_idle());
    client.poll();
    assert_eq!(summary(&converse(&mut client, &node("a", 8, false)).unwrap()), "");
    client.poll();
    assert_eq!(summary(&converse(&mut client, &node("a", 9, true)).unwrap()), "9 ) tip");
    client.poll();
    assert_eq!(summary(&converse(&mut client, &node("a", 9, true)).unwrap()), "");
}

#[test]
fn a_flow_is_entered_at_a_verified_block() {
    let mut client = ready();
    let anchor = Anchor { number: 5, hash: hash("a5"), state_root: hash("root"), batch: 2 };
    client.compare(anchor);
    let events = converse(&mut client, &node("a", 8, false)).unwrap();
    assert_eq!(events, [Event::Compared(Probe::Same)]);
    client.compare(Anchor { hash: hash("b5"), ..anchor });
    let events = converse(&mut client, &node("a", 8, false)).unwrap();
    assert_eq!(events, [Event::Compared(Probe::Different)]);
    client.compare(Anchor { number: 50, ..anchor });
    let events = converse(&mut client, &node("a", 8, false)).unwrap();
    assert_eq!(events, [Event::Compared(Probe::Missing)]);
    client.compare(Anchor { batch: 1, ..anchor });
    let events = converse(&mut client, &node("a", 8, false)).unwrap();
    assert_eq!(events, [Event::Compared(Probe::Different)]);

    client.enter(2);
    let events = converse(&mut client, &node("a", 8, false)).unwrap();
    let [Event::Entered(Some(start))] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((start.number, start.kind, start.fork_id, start.chain_id), (2, BatchKind::Regular, 9, 7));
    client.start(Some(anchor));
    let events = converse(&mut client, &node("a", 8, false)).unwrap();
    assert_eq!(summary(&events), "5 6 ) (3 7 8 tip");
}

#[test]
fn a_main_node_with_less_is_behind_and_one_with_other_blocks_has_branched() {
    for (last, closed) in [(8, false), (9, true)] {
        let mut client = ready();
        client.start(None);
        converse(&mut client, &node("a", last, closed)).unwrap();
        // Behind within the batch.
        client.poll();
        assert_eq!(summary(&converse(&mut client, &node("a", 7, false)).unwrap()), "");
        // Behind by a batch.
        let behind = |request: Request| match request {
            Request::BatchNumber => json!({"result": "0x2"}),
            Request::Batch(3) => json!({"result": null}),
            request => node("a", 6, false)(request),
        };
        client.poll();
        assert_eq!(summary(&converse(&mut client, &behind).unwrap()), "");
        // The same height, less, more: but another chain.
        for other in [8, 7, 12] {
            let mut client = client.clone();
            client.poll();
            let error = converse(&mut client, &node("b", other, false)).unwrap_err();
            assert!(matches!(error, ClientError::Branched { .. }), "{error}");
        }
    }
}

#[test]
fn a_block_on_another_one_than_there_is_is_for_the_checker() {
    for (field, value) in [("parentHash", json!(hash("x"))), ("number", json!("0x8"))] {
        let mut client = ready();
        client.start(None);
        let lying = |request: Request| {
            let mut answer = node("a", 8, false)(request);
            if request == Request::Batch(3) {
                answer["result"]["blocks"][0][field] = value.clone();
            }
            answer
        };
        let given = summary(&converse(&mut client, &lying).unwrap());
        assert!(given.contains(if field == "number" { ") (3 8 " } else { ") (3 7 " }), "{field}: {given}");
    }
}

#[test]
fn a_batch_that_is_held_back_is_named() {
    let mut client = ready();
    client.start(None);
    let lying = |request: Request| match request {
        Request::Batch(2) => json!({"result": null}),
        request => node("a", 8, false)(request),
    };
    // Once it may be a node that is behind.
    let given = summary(&converse(&mut client, &lying).unwrap());
    assert!(!given.ends_with("tip"), "{given}");
    client.poll();
    let error = converse(&mut client, &lying).unwrap_err();
    assert_eq!(error, ClientError::NoBatch { batch: 2, latest: 3 });
    assert!(error.is_contradiction());
}

#[test]
fn parts_that_do_not_fit_each_other_are_named() {
    let lie = |change: fn(&mut Value)| {
        let mut client = ready();
        client.start(None);
        let lying = |request: Request| {
            let mut answer = node("a", 8, false)(request);
            if request == Request::Batch(2) {
                change(&mut answer["result"]);
            }
            answer
        };
        // Blocks before the wrong one are given out first.
        let mut outcome = converse(&mut client, &lying);
        if outcome.is_ok() {
            client.poll();
            outcome = converse(&mut client, &lying);
        }
        outcome.unwrap_err().to_string()
    };
    assert_eq!(
        lie(|batch| batch["blocks"] = json!(batch["blocks"].as_array().unwrap()[..2])),
        "batch 2: blocks: expected as many as its data has, found 3 blocks in its data"
    );
    assert_eq!(
        lie(|batch| batch["batchL2Data"] = json!("0x0b00")),
        "batch 2: batchL2Data at byte 1: cut short"
    );
    assert!(
        lie(|batch| batch["blocks"][1]["transactions"] = json!([hash("t")]))
            .starts_with("batch 2: blocks[1].transactions: expected the hashes of those in its data")
    );
    assert!(
        lie(|batch| batch["blocks"][0]["miner"] = json!("0x00000000000000000000000000000000000000c1"))
            .starts_with("batch 2: blocks[0].miner: expected the batch's coinbase")
    );
    assert_eq!(
        lie(|batch| batch["blocks"][2]["blockInfoRoot"] = Value::Null),
        "batch 2: blocks[2].blockInfoRoot: expected a hash, found nothing"
    );
}

#[test]
fn l1_info_comes_from_the_exit_root_table() {
    let data = hex!("0b00000003 00000002");
    let leaf = json!({"index": 2, "ger": hash("g"), "parent_hash": hash("p"), "min_timestamp": "0x1"});
    for (paged, root, is_sound) in [(true, "g", true), (false, "g", true), (true, "other", false)] {
        let mut client = ready();
        client.start(None);
        let lying = |request: Request| match request {
            Request::ExitRootTable(Some(_)) if !paged => json!({"error": {"code": -32602, "message": "no"}}),
            Request::ExitRootTable(range) => {
                assert!(range.is_none_or(|(from, _)| from == 2));
                json!({"result": [leaf.clone()]})
            }
            Request::Batch(3) => {
                let mut batch = batch("a", 3, 7..8, false);
                // With what a node that recovered from L1 puts in front.
                batch["batchL2Data"] = json!(Bytes::from([&[9; 60][..], &data].concat()));
                batch["blocks"][0]["globalExitRoot"] = json!(hash(root));
                json!({ "result": batch })
            }
            request => node("a", 8, false)(request),
        };
        let events = converse(&mut client, &lying);
        if !is_sound {
            assert!(
                events.unwrap_err().to_string().starts_with("batch 3: blocks[0].globalExitRoot: expected")
            );
            continue;
        }
        let events = events.unwrap();
        let Some(Event::Item(Item::Block(block))) = events.iter().rev().nth(1) else { panic!("{events:?}") };
        let expected =
            L1Info { index: 2, global_exit_root: hash("g"), block_hash: hash("p"), min_timestamp: 1 };
        assert_eq!(block.input.l1_info, expected);
    }
}

/// A batch with two blocks that bring these leaves in.
fn with_leaves([first, second]: [u32; 2]) -> Value {
    let mut batch = batch("a", 3, 7..9, false);
    let data = [first, second].map(|leaf| [&hex!("0b00000003")[..], &leaf.to_be_bytes()].concat());
    batch["batchL2Data"] = json!(Bytes::from(data.concat()));
    json!({ "result": batch })
}

fn leaf(index: u32, root: &str) -> Value {
    json!({"index": index, "ger": hash(root), "parent_hash": hash("p"), "min_timestamp": 1})
}

#[test]
fn of_the_exit_root_table_only_what_was_asked_for_is_kept() {
    let mut client = ready();
    client.start(None);
    let lying = |request: Request| match request {
        Request::ExitRootTable(Some((2, _))) => {
            json!({"result": [leaf(1, "x"), leaf(2, "g"), leaf(2, "x"), leaf(5000, "x")]})
        }
        Request::ExitRootTable(Some((5000, _))) => json!({"result": [leaf(2, "x"), leaf(5000, "h")]}),
        Request::Batch(3) => with_leaves([2, 5000]),
        request => node("a", 8, false)(request),
    };
    let events = converse(&mut client, &lying).unwrap();
    let roots = events.iter().filter_map(|event| match event {
        Event::Item(Item::Block(block)) if block.input.number > 6 => {
            Some(block.input.l1_info.global_exit_root)
        }
        _ => None,
    });
    assert_eq!(roots.collect::<Vec<_>>(), [hash("g"), hash("h")]);
}

#[test]
fn a_leaf_that_never_comes_is_not_asked_for_without_a_pause() {
    let (asked, mut client) = (core::cell::Cell::new(0), ready());
    client.start(None);
    let lying = |request: Request| match request {
        // Each time something else that is new.
        Request::ExitRootTable(_) => {
            asked.set(asked.get() + 1);
            json!({"result": [leaf(2 + asked.get(), "x")]})
        }
        Request::Batch(3) => with_leaves([2, 2]),
        request => node("a", 8, false)(request),
    };
    let given = summary(&converse(&mut client, &lying).unwrap());
    assert!(!given.contains('7'), "{given}");
    assert_eq!(asked.get(), 1);
    client.poll();
    converse(&mut client, &lying).unwrap();
    assert_eq!(asked.get(), 2);
}

#[test]
fn another_chain_id_ends_it() {
    let mut client = Client::new(Config { chain_id: 8, ..config() });
    let error = converse(&mut client, &node("a", 8, false)).unwrap_err();
    assert_eq!(error, ClientError::OtherChain { expected: 8, found: 7 });
}

#[test]
fn before_fork_7_each_transaction_is_a_block_and_an_empty_batch_may_bring_an_exit_root() {
    let mut client =
        Client::new(Config { forks: ForkSchedule::new([(1, ForkId::IncaBerry)]).unwrap(), ..config() });
    let old = |request: Request| match request {
        Request::BatchNumber => json!({"result": "0x1"}),
        Request::Batch(1) => {
            let mut batch = batch("a", 1, 0..0, true);
            batch["globalExitRoot"] = json!(hash("g"));
            json!({ "result": batch })
        }
        request => node("a", 0, false)(request),
    };
    converse(&mut client, &old).unwrap();
    client.start(None);
    let events = converse(&mut client, &old).unwrap();
    assert_eq!(summary(&events), "(0 0 ) (1 ger ) tip");
}

proptest! {
    #[test]
    fn bytes_never_panic(bytes: Vec<u8>, cut in 0..4000_usize, at in 0..4000_usize, byte: u8) {
        let sound = json!({"id": 1, "result": batch("a", 3, 1..4, true)}).to_string().into_bytes();
        let mut altered = sound[..sound.len() - cut.min(sound.len())].to_vec();
        if let Some(place) = altered.get_mut(at) {
            *place = byte;
        }
        for body in [bytes, altered] {
            for request in [Request::Batch(3), Request::Block(1), Request::Forks, Request::ExitRootTable(None)] {
                let _ = request.decode(1, &body);
            }
        }
    }
}
