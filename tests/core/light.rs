//! A light replica over the recorded chain: fed by a full one that it does not trust, it verifies every block and answers
//! as the full one does; and whatever it is told that is not so, it takes none of it.

use alloy_primitives::{Address, B256};
use serde_json::{Value, json};
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};
use zk_replica_core::{
    checker::Claim,
    checkpoint::Checkpoint,
    evidence::Judgement,
    light::{Config, Event, Light, Next, Trouble},
    rpc::{self, Asking, Reply, Rpc, Status},
};
use zk_replica_tests::{Archive, Recording, say, vectors};

const TIP: u64 = 11_317;

/// A full replica, asked as over HTTP, with whatever is done to its answers.
struct Full {
    world: Rc<World>,
    tamper: Tamper,
    /// Proofs are of the block before the one that is asked for.
    stale: bool,
    /// How many answers there were to each method, and their bytes.
    sent: RefCell<BTreeMap<String, (u64, u64)>>,
}

struct World {
    recording: Recording,
    store: Archive,
    rpc: Rpc,
}

/// Changes the result of a method.
type Tamper = Box<dyn Fn(&str, &Value, &mut Value)>;

impl Full {
    fn load(test: &str) -> Option<Self> {
        let recording = Recording::load(&vectors(test)?);
        let store = Archive::replay(&recording, TIP).expect("true");
        let rpc = Rpc::new(recording.spec.clone(), rpc::Config::default());
        Some(Self::honest(Rc::new(World { recording, store, rpc })))
    }

    fn honest(world: Rc<World>) -> Self {
        Self { world, tamper: Box::new(|_, _, _| ()), stale: false, sent: RefCell::default() }
    }

    fn post(&self, body: &str) -> Vec<u8> {
        let mut asked: Value = serde_json::from_str(body).expect("JSON");
        if self.stale {
            for request in asked.as_array_mut().into_iter().flatten() {
                if request["method"] == "zkevm_getProof" {
                    request["params"][2] = json!(format!("{:#x}", TIP - 7));
                }
            }
        }
        let body = &asked.to_string();
        let Reply::Answer(answer) =
            self.world.rpc.handle(body.as_bytes(), &Status::default(), &self.world.store)
        else {
            unreachable!("answered from the store: {body}");
        };
        let (requests, mut answers): (Value, Value) =
            (serde_json::from_str(body).expect("JSON"), serde_json::from_str(&answer).expect("JSON"));
        let tamper = |request: &Value, answer: &mut Value| {
            if let Some(result) = answer.get_mut("result") {
                (self.tamper)(request["method"].as_str().expect("a method"), &request["params"], result);
            }
        };
        match (requests.as_array(), answers.as_array_mut()) {
            (Some(requests), Some(answers)) => {
                requests.iter().zip(answers).for_each(|(request, answer)| tamper(request, answer));
            }
            _ => tamper(&requests, &mut answers),
        }
        let answer = answers.to_string().into_bytes();
        let first = requests.get(0).unwrap_or(&requests);
        let method = first["method"].as_str().expect("a method").to_owned();
        let mut sent = self.sent.borrow_mut();
        let entry = sent.entry(method).or_insert((0, 0));
        *entry = (entry.0 + 1, entry.1 + answer.len() as u64);
        answer
    }

    /// The whole answer, without a lie.
    fn answer(&self, request: &Value) -> Value {
        let body = request.to_string();
        match self.world.rpc.handle(body.as_bytes(), &Status::default(), &self.world.store) {
            Reply::Answer(answer) => serde_json::from_str(&answer).expect("JSON"),
            Reply::Forward(_) => unreachable!("answered from the store: {body}"),
        }
    }

    /// A replica that knows the tip, and nothing of its state.
    fn light_at_tip(&self) -> Light {
        let honest = Self::honest(Rc::clone(&self.world));
        let mut light = self.light(TIP);
        follow(&mut light, &honest, |_| ());
        light
    }

    fn checkpoint(&self, number: u64) -> Checkpoint {
        let request = request("eth_getBlockByNumber", &json!([format!("{number:#x}"), false]));
        let block = self.answer(&request)["result"].clone();
        let hash = |name: &str| block[name].as_str().expect("a hash").parse().expect("a hash");
        Checkpoint { number, hash: hash("hash"), state_root: hash("stateRoot") }
    }

    fn light(&self, number: u64) -> Light {
        Light::new(self.world.recording.spec.clone(), self.checkpoint(number), Config::default())
    }
}

/// Lets it follow until it has all, or has lost its main node twice in a row.
fn follow(light: &mut Light, full: &Full, mut each: impl FnMut(&Light)) -> Vec<Event> {
    let mut events = Vec::new();
    let mut lost = 0;
    light.poll();
    loop {
        match light.step() {
            Next::Ask { id, body } => light.tell(id, Some(&full.post(&body))),
            Next::Event(Event::Tip) => return events,
            Next::Event(Event::Verified { .. }) => each(light),
            Next::Event(event) => {
                lost += u32::from(matches!(event, Event::Lost(_) | Event::Mismatch { .. }));
                events.push(event);
                if lost == 2 {
                    return events;
                }
            }
            Next::Wait => light.poll(),
        }
    }
}

/// Asks it, and counts the bodies that it had to fetch.
fn ask(light: &Light, full: &Full, request: &Value) -> (Value, u32) {
    let mut question = light.question(request.to_string().as_bytes());
    loop {
        match light.ask(&mut question, None, &|| false) {
            Asking::Fetch(body) => question.tell(Some(&full.post(&body)), light.store()),
            Asking::Reply(Reply::Answer(answer)) => {
                return (serde_json::from_str(&answer).expect("JSON"), question.rounds());
            }
            Asking::Reply(Reply::Forward(_)) => unreachable!("nothing is forwarded: {request}"),
        }
    }
}

fn request(method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params })
}

#[test]
fn the_whole_chain_is_verified_from_its_genesis_root() {
    let Some(full) = Full::load("the_whole_chain_is_verified_from_its_genesis_root") else {
        return;
    };
    let mut light = full.light(0);
    let (mut verified, mut largest) = (0, 0);
    let events = follow(&mut light, &full, |light| {
        verified += 1;
        largest = largest.max(light.store().size());
    });
    assert!(matches!(events.as_slice(), [Event::Opened(_)]), "{events:?}");
    let head = light.head().expect("a head");
    assert_eq!((head.number, verified), (TIP, TIP));
    assert_eq!((head.hash, head.state_root), (full.checkpoint(TIP).hash, full.checkpoint(TIP).state_root));
    assert_eq!((head.totals.transactions, head.totals.batches), (465, 101));
    assert!(largest <= 16 << 20, "it held {largest} bytes");
    say(&format!("ok: at most {largest} bytes held; answers and their bytes: {:?}", full.sent.borrow()));
}

/// One replay serves every fact.
#[test]
fn a_light_replica_answers_as_a_full_one_and_takes_no_lie() {
    let Some(mut full) = Full::load("a_light_replica_answers_as_a_full_one_and_takes_no_lie") else {
        return;
    };
    for (fact, check) in FACTS {
        check(&mut full);
        full.tamper = Box::new(|_, _, _| ());
        say(&format!("ok: {fact}"));
    }
}

type Fact = (&'static str, fn(&mut Full));

const FACTS: &[Fact] = &[
    ("reads after the checkpoint are the full replica's", reads_are_the_full_replicas),
    ("any past balance is two proofs", any_past_balance_is_two_proofs),
    (
        "logs, blocks and receipts are complete from the checkpoint on",
        blocks_are_complete_from_the_checkpoint_on,
    ),
    (
        "what is not known by its hash is not said to be absent",
        what_is_not_known_by_its_hash_is_not_said_to_be_absent,
    ),
    ("a call takes few round trips", a_call_takes_few_round_trips),
    ("answers say what proves them", answers_say_what_proves_them),
    ("what nothing proves is refused", what_nothing_proves_is_refused),
    ("an altered answer is not taken for the state", an_altered_answer_is_not_taken),
    ("what is withheld is unavailable, never zero", what_is_withheld_is_unavailable),
    ("silence ends the conversation, and nothing more", silence_ends_the_conversation),
    ("without witnesses single records do", single_records_do),
    ("a false witness stops nothing", a_false_witness_stops_nothing),
    ("false records are found to be nothing", false_records_are_nothing),
    ("another checkpoint is refused", another_checkpoint_is_refused),
    ("a lie in a block is found, and anyone can repeat it", a_lie_in_a_block_is_found),
];

/// Blocks with transactions, near the tip.
const CHECKPOINT: u64 = 11_200;

/// Somebody, and somebody who is nobody.
fn addresses(full: &Full) -> Vec<String> {
    let mut found = BTreeSet::from([format!("{:#x}", Address::repeat_byte(0x77)), SYSTEM.to_owned()]);
    for number in CHECKPOINT..=TIP {
        let block = full.answer(&request("eth_getBlockByNumber", &json!([format!("{number:#x}"), true])));
        for transaction in block["result"]["transactions"].as_array().expect("transactions") {
            let named = [&transaction["from"], &transaction["to"], &transaction["creates"]];
            found.extend(named.into_iter().filter_map(Value::as_str).map(str::to_owned));
        }
    }
    found.into_iter().take(12).collect()
}

const SYSTEM: &str = "0x000000000000000000000000000000005ca1ab1e";

/// A light replica that has followed from the checkpoint to the tip.
fn followed(full: &Full) -> Light {
    let mut light = full.light(CHECKPOINT);
    follow(&mut light, full, |_| ());
    assert_eq!(light.head().map(|head| head.number), Some(TIP));
    light
}

/// The methods that read the state, for one address and block.
fn reads(address: &str, block: &Value) -> Vec<Value> {
    let balance_of = json!({ "to": address, "data": format!("0x70a08231{}", "00".repeat(32)) });
    vec![
        request("eth_getBalance", &json!([address, block])),
        request("eth_getTransactionCount", &json!([address, block])),
        request("eth_getCode", &json!([address, block])),
        request("eth_getStorageAt", &json!([address, "0x0", block])),
        request("eth_getStorageValues", &json!([{ address: ["0x0", "0x2", "0x3"] }, block])),
        request("eth_call", &json!([balance_of, block])),
        request("eth_estimateGas", &json!([balance_of, block])),
        request("eth_createAccessList", &json!([balance_of, block])),
    ]
}

fn reads_are_the_full_replicas(full: &mut Full) {
    let light = followed(full);
    for address in addresses(full) {
        for block in [json!("latest"), json!(format!("{:#x}", TIP - 50)), json!(format!("{CHECKPOINT:#x}"))] {
            for request in reads(&address, &block) {
                let (answer, _) = ask(&light, full, &request);
                assert_eq!(answer, full.answer(&request), "{request}");
            }
        }
    }
    let batch = json!(reads(SYSTEM, &json!("latest")));
    assert_eq!(ask(&full.light_at_tip(), full, &batch).0, full.answer(&batch));
}

fn any_past_balance_is_two_proofs(full: &mut Full) {
    let light = full.light_at_tip();
    let addresses = addresses(full);
    for (index, address) in addresses.iter().enumerate() {
        // The chain remembers its roots from block 1 on.
        for number in [1, 1000 + 77 * index as u64, 11_000, TIP - 1] {
            for method in ["eth_getBalance", "eth_getTransactionCount", "eth_getCode"] {
                let request = request(method, &json!([address, format!("{number:#x}")]));
                let (answer, rounds) = ask(&light, full, &request);
                assert_eq!(answer, full.answer(&request), "{request}");
                assert!(rounds <= 2 || method == "eth_getCode", "{request}: {rounds} round trips");
            }
        }
    }
}

fn blocks_are_complete_from_the_checkpoint_on(full: &mut Full) {
    let light = followed(full);
    let hash_of = |number: u64| json!(full.checkpoint(number).hash);
    for number in CHECKPOINT + 1..=TIP {
        let by_hash = |method: &str| {
            let hash = hash_of(number);
            let params =
                if method == "eth_getLogs" { json!([{ "blockHash": hash }]) } else { json!([hash, false]) };
            request(method, &params)
        };
        for request in [by_hash("eth_getBlockByHash"), by_hash("eth_getLogs")] {
            assert_eq!(ask(&light, full, &request).0, full.answer(&request), "{request}");
        }
        let number = format!("{number:#x}");
        let filter = json!({ "fromBlock": number, "toBlock": number });
        for request in [
            request("eth_getBlockByNumber", &json!([number, true])),
            request("eth_getBlockReceipts", &json!([number])),
            request("eth_getLogs", &json!([filter])),
        ] {
            assert_eq!(ask(&light, full, &request).0, full.answer(&request), "{request}");
        }
    }
    let range = json!({ "fromBlock": format!("{:#x}", CHECKPOINT + 1), "toBlock": "latest" });
    let logs = request("eth_getLogs", &json!([range]));
    let (answer, rounds) = ask(&light, full, &logs);
    assert!(answer["result"].as_array().is_some_and(|logs| logs.len() > 10), "{answer}");
    assert_eq!((answer, rounds), (full.answer(&logs), 0));
    for (method, params) in [
        ("eth_getBlockByNumber", json!([format!("{:#x}", CHECKPOINT - 1), false])),
        ("eth_getBlockByNumber", json!([format!("{CHECKPOINT:#x}"), false])),
        ("eth_getBlockReceipts", json!([format!("{CHECKPOINT:#x}")])),
        ("eth_getLogs", json!([{ "fromBlock": format!("{CHECKPOINT:#x}"), "toBlock": "latest" }])),
    ] {
        let (answer, _) = ask(&light, full, &request(method, &params));
        assert_eq!(answer["error"]["code"], 4444, "{method} {params}");
    }
}

/// A hash that is not known may be that of a block which is not held: nothing is said to be absent.
fn what_is_not_known_by_its_hash_is_not_said_to_be_absent(full: &mut Full) {
    let light = followed(full);
    let hashes = |number: u64| {
        let asked = request("zkevm_getFullBlockByNumber", &json!([format!("{number:#x}"), true]));
        let block = full.answer(&asked)["result"].clone();
        let transaction = block["transactions"].get(0)?;
        Some((block["hash"].clone(), transaction["hash"].clone(), transaction["l2Hash"].clone()))
    };
    let known = (CHECKPOINT + 1..=TIP).find_map(hashes).expect("a transaction");
    let before = (1..CHECKPOINT).rev().find_map(hashes).expect("a transaction");
    let nowhere = json!(B256::repeat_byte(7));
    for (hash, are_known) in
        [(known, true), (before, false), ((nowhere.clone(), nowhere.clone(), nowhere), false)]
    {
        let (block, transaction, l2) = hash;
        for (method, params) in [
            ("eth_getBlockByHash", json!([block, false])),
            ("eth_getHeaderByHash", json!([block])),
            ("eth_getBlockTransactionCountByHash", json!([block])),
            ("eth_getBlockReceipts", json!([block])),
            ("eth_getLogs", json!([{ "blockHash": block }])),
            ("eth_getBalance", json!([SYSTEM, block])),
            ("eth_getTransactionByBlockHashAndIndex", json!([block, "0x0"])),
            ("eth_getTransactionReceipt", json!([transaction])),
            ("eth_getRawTransactionByHash", json!([transaction])),
            ("debug_getRawTransaction", json!([transaction])),
            ("zkevm_getTransactionByL2Hash", json!([l2])),
            ("zkevm_getTransactionReceiptByL2Hash", json!([l2])),
        ] {
            let mut wish = request(method, &params);
            wish["zkReplica"] = json!({ "minimum": "verified" });
            for request in [request(method, &params), wish] {
                let (answer, _) = ask(&light, full, &request);
                if are_known {
                    assert_eq!(answer, full.answer(&request), "{request}");
                } else {
                    assert_eq!(answer["error"]["code"], 4444, "{request}: {answer}");
                }
            }
        }
    }
}

fn a_call_takes_few_round_trips(full: &mut Full) {
    let light = full.light_at_tip();
    let balance = request("eth_getBalance", &json!([Address::repeat_byte(1), "latest"]));
    assert_eq!(ask(&light, full, &balance).1, 1);
    // What has been proved is kept.
    assert_eq!(ask(&light, full, &balance).1, 0);
    for address in addresses(full) {
        let call = request("eth_call", &json!([{ "to": address, "data": "0x70a08231" }, "latest"]));
        let (answer, rounds) = ask(&full.light_at_tip(), full, &call);
        assert_eq!(answer, full.answer(&call));
        assert!(rounds <= 3, "{call}: {rounds} round trips");
    }
}

fn answers_say_what_proves_them(full: &mut Full) {
    let light = full.light(TIP - 4);
    let mut light = light;
    follow(&mut light, full, |_| ());
    let wish = |method: &str, params: Value, minimum: &str| {
        let mut request = request(method, &params);
        request["zkReplica"] = json!({ "provenance": true, "minimum": minimum });
        ask(&light, full, &request).0
    };
    let root = |number: u64| json!(full.checkpoint(number).state_root);
    for (method, params, block, source) in [
        ("eth_getBalance", json!([SYSTEM, "latest"]), TIP, "proof"),
        ("eth_getBalance", json!([SYSTEM, format!("{:#x}", TIP - 2)]), TIP - 2, "proof"),
        // Its header is not known, only its root.
        ("eth_getBalance", json!([SYSTEM, "0x2710"]), 10_000, "proof"),
        ("eth_call", json!([{ "to": SYSTEM }, format!("{:#x}", TIP - 4)]), TIP - 4, "proof"),
        ("eth_getBlockByNumber", json!([format!("{:#x}", TIP - 1), false]), TIP - 1, "execution"),
        ("eth_getLogs", json!([{ "fromBlock": format!("{:#x}", TIP - 2) }]), TIP, "execution"),
    ] {
        let answer = wish(method, params.clone(), "verified");
        let expected = json!({
            "trust": "verified",
            "block": format!("{block:#x}"),
            "stateRoot": root(block),
            "source": source,
        });
        assert_eq!(answer["zkReplica"], expected, "{method} {params}: {answer}");
        assert!(answer.get("result").is_some(), "{answer}");
        assert_eq!(wish(method, params, "virtual")["error"]["code"], -39002, "{method}");
    }
}

/// A call needs the header of its block, a read the root of its state.
fn what_nothing_proves_is_refused(full: &mut Full) {
    let light = full.light_at_tip();
    let past = json!("0x2710");
    for (method, params) in [
        ("eth_call", json!([{ "to": SYSTEM }, past])),
        ("eth_estimateGas", json!([{ "to": SYSTEM }, past])),
        ("eth_createAccessList", json!([{ "to": SYSTEM }, past])),
        ("zkevm_getProof", json!([SYSTEM, [], past])),
        ("eth_getBlockByNumber", json!([past, false])),
    ] {
        let (answer, rounds) = ask(&light, full, &request(method, &params));
        let words = format!("block 10000 is not available: it is before the checkpoint, block {TIP}");
        assert_eq!(answer["error"], json!({ "code": 4444, "message": words }), "{method}");
        assert_eq!(rounds, 0, "{method}: nobody is asked");
    }
    // Genesis is remembered, too: its root is written when block 1 opens.
    let (answer, _) = ask(&light, full, &request("eth_getBalance", &json!([SYSTEM, "0x0"])));
    assert_eq!(answer, full.answer(&request("eth_getBalance", &json!([SYSTEM, "0x0"]))));
}

/// One change of an answer.
type Lie = (&'static str, fn(&str, &Value, &mut Value));

/// What whoever has the state may say that is not so.
const LIES: &[Lie] = &[
    ("a bit of a node", |_, _, result| each_proof(result, |proof| flip(&mut proof[0], 9))),
    ("a bit of the last element", |_, _, result| {
        each_proof(result, |proof| proof.last_mut().into_iter().for_each(|last| flip(last, 2)));
    }),
    ("a limb that is not canonical", |_, _, result| {
        each_proof(result, |proof| {
            let text = proof[0].as_str().expect("hex");
            proof[0] = json!(format!("0x{}{}", "ff".repeat(8), &text[18..]));
        });
    }),
    ("a proof that is cut", |_, _, result| each_proof(result, |proof| drop(proof.pop()))),
    ("a proof that goes on", |_, _, result| {
        each_proof(result, |proof| proof.push(proof[0].clone()));
    }),
    ("absent instead of present", |_, _, result| each_proof(result, Vec::clear)),
    ("the proof of another leaf", |_, _, result| {
        if let Some(object) = result.as_object_mut()
            && let (Some(balance), Some(nonce)) =
                (object.get("balanceProof").cloned(), object.get("nonceProof").cloned())
        {
            object.insert("balanceProof".into(), nonce.clone());
            object.insert("codeHashProof".into(), balance);
            object.insert("codeLengthProof".into(), nonce);
        }
    }),
    ("values beside true proofs", |_, _, result| {
        if let Some(object) = result.as_object_mut() {
            for name in ["balance", "nonce", "codeHash", "codeLength"] {
                if object.contains_key(name) {
                    object.insert(name.into(), json!("0x1234"));
                }
            }
        }
    }),
    ("other code", |method, _, result| {
        if method == "eth_getCode" {
            *result = json!("0x6001600155");
        }
    }),
    ("no code", |method, _, result| {
        if method == "eth_getCode" {
            *result = json!("0x");
        }
    }),
    ("a foolish access list", |method, _, result| {
        if method == "eth_createAccessList" {
            let slots: Vec<_> = (0..2000).map(|slot| format!("{slot:#066x}")).collect();
            *result =
                json!({ "accessList": [{ "address": SYSTEM, "storageKeys": slots }], "gasUsed": "0x0" });
        }
    }),
    ("null", |_, _, result| *result = Value::Null),
    ("something else", |_, _, result| *result = json!({ "storageProof": "none", "accessList": 7 })),
];

fn each_proof(result: &mut Value, alter: impl Fn(&mut Vec<Value>)) {
    let Some(object) = result.as_object_mut() else { return };
    for name in ["balanceProof", "nonceProof", "codeHashProof", "codeLengthProof"] {
        if let Some(Value::Array(proof)) = object.get_mut(name) {
            alter(proof);
        }
    }
    for slot in object.get_mut("storageProof").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(Value::Array(proof)) = slot.get_mut("proof") {
            alter(proof);
        }
    }
}

/// Turns over a bit of a hexadecimal digit.
fn flip(text: &mut Value, digit: usize) {
    let mut digits: Vec<u8> = text.as_str().expect("hex").bytes().collect();
    digits[digit] = if digits[digit] == b'0' { b'1' } else { b'0' };
    *text = json!(String::from_utf8(digits).expect("ASCII"));
}

fn an_altered_answer_is_not_taken(full: &mut Full) {
    let addresses = addresses(full);
    let truths: Vec<(Value, Value)> = addresses
        .iter()
        .take(2)
        .flat_map(|address| {
            [json!("latest"), json!("0x2710")].into_iter().flat_map(|block| reads(address, &block))
        })
        .map(|request| (full.answer(&request), request))
        .collect();
    // State of another block, whose proofs are true under another root.
    let mut refused = BTreeMap::new();
    let stale: Lie = ("a stale root", |_, _, _| ());
    for (name, alter) in LIES.iter().chain([&stale]) {
        full.stale = *name == "a stale root";
        full.tamper = Box::new(*alter);
        for (truth, request) in &truths {
            let (answer, _) = ask(&full.light_at_tip(), full, request);
            if answer == *truth {
                continue;
            }
            let code = &answer["error"]["code"];
            // Calls before the checkpoint want a header, which is not there.
            assert!(*code == -32002 || *code == 4444, "{name}: {request}: {answer}, not {truth}");
            *refused.entry(*name).or_insert(0) += 1;
        }
    }
    full.stale = false;
    // These change nothing that counts.
    let harmless = ["values beside true proofs", "a foolish access list"];
    for (name, _) in LIES.iter().chain([&stale]) {
        let refused = refused.get(name).copied().unwrap_or(0);
        let usual = truths.iter().filter(|(_, request)| is_past_call(request)).count();
        assert_eq!(refused > usual, !harmless.contains(name), "{name}: {refused} refused, {usual} usually");
    }
}

/// A call on the state of a block before the checkpoint, whose header is not at hand.
fn is_past_call(request: &Value) -> bool {
    let calls = ["eth_call", "eth_estimateGas", "eth_createAccessList"];
    calls.iter().any(|method| request["method"] == *method) && request["params"][1] == "0x2710"
}

fn what_is_withheld_is_unavailable(full: &mut Full) {
    let light = full.light_at_tip();
    for request in reads(SYSTEM, &json!("latest")) {
        let mut question = light.question(request.to_string().as_bytes());
        let Asking::Fetch(_) = light.ask(&mut question, None, &|| false) else {
            panic!("{request} needs the state");
        };
        question.tell(None, light.store());
        let Asking::Reply(Reply::Answer(answer)) = light.ask(&mut question, None, &|| false) else {
            panic!("{request} has an answer");
        };
        assert!(
            answer.contains("-32002") && answer.contains("is unavailable: the main node does not answer"),
            "{answer}"
        );
    }
    // So is what is drowned.
    let balance = request("eth_getBalance", &json!([SYSTEM, "latest"]));
    let mut question = light.question(balance.to_string().as_bytes());
    light.ask(&mut question, None, &|| false);
    question.tell(Some(&vec![b' '; (8 << 20) + 1]), light.store());
    let Asking::Reply(Reply::Answer(answer)) = light.ask(&mut question, None, &|| false) else {
        panic!("it has an answer");
    };
    assert!(answer.contains("its answer has 8388609 bytes"), "{answer}");
    // A batch has answers for what is at hand.
    let batch = json!([
        request("eth_chainId", &json!([])),
        request("eth_getBalance", &json!([SYSTEM, "latest"])),
        json!({ "jsonrpc": "2.0", "method": "eth_chainId" }),
        7
    ]);
    let mut question = light.question(batch.to_string().as_bytes());
    light.ask(&mut question, None, &|| false);
    question.tell(Some(b"<html>"), light.store());
    let Asking::Reply(Reply::Answer(answer)) = light.ask(&mut question, None, &|| false) else {
        panic!("it has an answer");
    };
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    assert_eq!(answer[0]["result"], "0x30b");
    assert_eq!((&answer[1]["error"]["code"], &answer[2]["error"]["code"]), (&json!(-32002), &json!(-32600)));
    assert_eq!(answer.as_array().map(Vec::len), Some(3));
}

fn silence_ends_the_conversation(full: &mut Full) {
    let mut light = full.light(TIP - 90);
    without_the_first_witness(&mut light, full);
    assert!(matches!(light.step(), Next::Event(Event::Lost(Trouble::NoAnswer))));
    assert!(matches!(light.step(), Next::Wait), "nothing is asked again before some time has passed");
    assert_eq!(light.head().map(|head| head.number), Some(TIP - 90));
    follow(&mut light, full, |_| ());
    assert_eq!(light.head().map(|head| head.number), Some(TIP));
}

/// Follows until the first witness is asked for, and does not come.
fn without_the_first_witness(light: &mut Light, full: &Full) {
    light.poll();
    loop {
        match light.step() {
            Next::Ask { id, body } if body.contains("Witness") => return light.tell(id, None),
            Next::Ask { id, body } => light.tell(id, Some(&full.post(&body))),
            Next::Event(_) => {}
            Next::Wait => light.poll(),
        }
    }
}

/// Follows over a few blocks, some of them with transactions.
fn follows(full: &Full) -> (Light, Vec<Event>) {
    let mut light = full.light(TIP - 90);
    let events = follow(&mut light, full, |_| ());
    (light, events)
}

/// Blocks that are followed where each record has a request of its own.
const A_LITTLE: u64 = 2;

/// The block before one with a transaction or a few: record by record a full one would take long.
fn before_a_transaction(full: &Full) -> u64 {
    let transactions = |number: &u64| {
        let params = json!([format!("{number:#x}")]);
        let count = full.answer(&request("eth_getBlockTransactionCountByNumber", &params));
        matches!(count["result"].as_str(), Some("0x1" | "0x2" | "0x3"))
    };
    (CHECKPOINT..TIP).find(transactions).expect("such a block") - 1
}

/// Follows over that block and some behind it.
fn follows_a_little(full: &Full) -> (Light, Vec<Event>) {
    let before = before_a_transaction(full);
    let mut light = full.light(before);
    let mut events = Vec::new();
    light.poll();
    while light.head().is_none_or(|head| head.number < before + A_LITTLE) {
        match light.step() {
            Next::Ask { id, body } => light.tell(id, Some(&full.post(&body))),
            Next::Event(event) => {
                let ended = matches!(event, Event::Lost(_) | Event::Mismatch { .. });
                events.push(event);
                if ended {
                    break;
                }
            }
            Next::Wait => light.poll(),
        }
    }
    (light, events)
}

fn single_records_do(full: &mut Full) {
    full.tamper = Box::new(|method, _, result| {
        if method.ends_with("Witness") {
            *result = Value::Null;
        }
    });
    let (light, events) = follows_a_little(full);
    assert_eq!(
        light.head().map(|head| head.number),
        Some(before_a_transaction(full) + A_LITTLE),
        "{events:?}"
    );
}

fn a_false_witness_stops_nothing(full: &mut Full) {
    let lies: [fn(&mut String); 4] = [
        |text| text.truncate(text.len() / 2),
        |text| text.replace_range(text.len() - 20..text.len() - 19, "f"),
        |text| text.insert_str(2, "07"),
        |text| *text = "0x01".to_owned(),
    ];
    for lie in lies {
        full.tamper = Box::new(move |method, _, result| {
            if let (true, Value::String(text)) = (method.ends_with("Witness"), result) {
                lie(text);
            }
        });
        let (light, events) = follows_a_little(full);
        assert_eq!(
            light.head().map(|head| head.number),
            Some(before_a_transaction(full) + A_LITTLE),
            "{events:?}"
        );
    }
}

fn false_records_are_nothing(full: &mut Full) {
    let lies: [fn(&mut Value); 3] = [
        |records| flip(&mut records[0], 20),
        |records| records[0] = Value::Null,
        |records| records[0] = json!(format!("0x{}", "00".repeat(65))),
    ];
    for lie in lies {
        full.tamper = Box::new(move |method, _, result| {
            if method.ends_with("Witness") {
                *result = Value::Null;
            } else if method == "zkreplica_getRecords" {
                lie(result);
            }
        });
        full.sent.borrow_mut().clear();
        let (light, events) = follows_a_little(full);
        assert_eq!(light.head().map(|head| head.number), Some(before_a_transaction(full)));
        let asked = full.sent.borrow().get("zkreplica_getRecords").map(|(answers, _)| *answers);
        assert_eq!(asked, Some(1), "what is withheld is not asked for again and again");
        let lost = events.iter().any(|event| matches!(event, Event::Lost(Trouble::Unavailable(_))));
        assert!(lost, "{events:?}");
    }
}

fn another_checkpoint_is_refused(full: &mut Full) {
    let right = full.checkpoint(CHECKPOINT);
    let others = [
        Checkpoint { hash: B256::repeat_byte(1), ..right },
        Checkpoint { state_root: full.checkpoint(CHECKPOINT - 1).state_root, ..right },
        Checkpoint { number: CHECKPOINT - 1, ..right },
    ];
    for checkpoint in others {
        let mut light = Light::new(full.world.recording.spec.clone(), checkpoint, Config::default());
        let events = follow(&mut light, full, |_| ());
        let number = checkpoint.number;
        let refused =
            matches!(&events[0], Event::Lost(Trouble::OtherCheckpoint { number: found }) if *found == number);
        assert!(refused && light.head().is_none(), "{events:?}");
        let (answer, _) = ask(&light, full, &request("eth_getBalance", &json!([SYSTEM, "latest"])));
        assert_eq!(answer["error"]["message"], "not ready");
    }
}

fn a_lie_in_a_block_is_found(full: &mut Full) {
    // Every batch but the genesis one.
    full.tamper = Box::new(|method, _, result| {
        if method == "zkevm_getBatchByNumber" {
            for block in result["blocks"].as_array_mut().into_iter().flatten() {
                if block["number"] == json!(format!("{:#x}", TIP - 40)) {
                    block["stateRoot"] = json!(B256::repeat_byte(3));
                }
            }
        }
    });
    let (mut light, events) = follows(full);
    assert_eq!(light.head().map(|head| head.number), Some(TIP - 41));
    let Some(Event::Mismatch { mismatch, evidence: Some(evidence) }) =
        events.iter().find(|event| matches!(event, Event::Mismatch { .. }))
    else {
        panic!("{events:?}");
    };
    assert_eq!((mismatch.block, mismatch.claim), (TIP - 40, Claim::StateRoot));
    assert_eq!(evidence.check().expect("evidence"), Judgement::MainNodeIsWrong((**mismatch).clone()));
    assert_eq!(light.mismatch(), Some(&**mismatch));
    // It goes on serving the last verified block, and by itself once the main node is right.
    let (answer, _) = ask(&light, full, &request("eth_blockNumber", &json!([])));
    assert_eq!(answer["result"], format!("{:#x}", TIP - 41));
    full.tamper = Box::new(|_, _, _| ());
    follow(&mut light, full, |_| ());
    assert_eq!(light.head().map(|head| head.number), Some(TIP));
    assert_eq!(light.mismatch(), None);
}
