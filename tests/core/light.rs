//! A light replica over the recorded chain: fed by a full one that it does not trust, it verifies every block and answers
//! as the full one does; and whatever it is told that is not so, it takes none of it.

use alloy_primitives::{B256, U256, hex};
use serde_json::{Value, json};
use std::{cell::RefCell, collections::BTreeMap};
use zk_replica_core::{
    light::{Checkpoint, Config, Event, Light, Next, Trouble},
    rpc::{self, Asking, Reply, Rpc, Status},
    store::CacheLimits,
};
use zk_replica_tests::{Archive, Recording, say, vectors};

const TIP: u64 = 11_317;

/// A full replica, asked as over HTTP, with whatever is done to its answers.
struct Full {
    recording: Recording,
    store: Archive,
    rpc: Rpc,
    tamper: Tamper,
    /// How many answers there were to each method, and their bytes.
    sent: RefCell<BTreeMap<String, (u64, u64)>>,
}

/// Changes the result of a method.
type Tamper = Box<dyn Fn(&str, &Value, &mut Value)>;

impl Full {
    fn load(test: &str) -> Option<Self> {
        let recording = Recording::load(&vectors(test)?);
        let store = Archive::replay(&recording, TIP).expect("true");
        let rpc = Rpc::new(recording.spec.clone(), rpc::Config::default());
        Some(Self { recording, store, rpc, tamper: Box::new(|_, _, _| ()), sent: RefCell::default() })
    }

    fn post(&self, body: &str) -> Vec<u8> {
        let Reply::Answer(answer) = self.rpc.handle(body.as_bytes(), &Status::default(), &self.store) else {
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

    fn result(&self, method: &str, params: &Value) -> Value {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
        let answer: Value = serde_json::from_slice(&self.post(&body)).expect("JSON");
        answer["result"].clone()
    }

    fn checkpoint(&self, number: u64) -> Checkpoint {
        let block = self.result("eth_getBlockByNumber", &json!([format!("{number:#x}"), false]));
        let hash = |name: &str| block[name].as_str().expect("a hash").parse().expect("a hash");
        Checkpoint { number, hash: hash("hash"), state_root: hash("stateRoot") }
    }

    fn light(&self, number: u64) -> Light {
        Light::new(self.recording.spec.clone(), self.checkpoint(number), Config::default())
    }
}

/// Lets it follow until it has all, or has lost its main node twice in a row.
fn follow(light: &mut Light, full: &Full, mut each: impl FnMut(&Light)) -> Vec<Event> {
    let mut events = Vec::new();
    let mut lost = 0;
    light.poll();
    loop {
        match light.next() {
            Next::Ask { id, body } => light.tell(id, Some(&full.post(&body))),
            Next::Event(Event::Tip) => return events,
            Next::Event(Event::Verified(_)) => each(light),
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
