//! Each lie of the devnet, told to a light replica: it stops where the lie is, says what it is, answers from the last true
//! block alone, and goes on when the devnet is honest.

use crate::harness::{Devnet, exchange_json};
use serde_json::{Value, json};
use std::{
    fs, thread,
    time::{Duration, Instant},
};
use zk_replica_core::{
    chain::ChainSpec,
    checkpoint::Checkpoint,
    evidence::Judgement,
    light::{Config, Event, Light, Next, Trouble},
    rpc::{Asking, Reply},
};
use zk_replica_tests::PATIENCE;

const LAST: u64 = 40;
const FIRST: u64 = 9;

/// A light replica of a devnet's chain, and the devnet's address.
struct World {
    light: Light,
    devnet: Devnet,
}

impl World {
    /// Begins with block 1, which is before every lie.
    fn new(devnet: Devnet) -> Self {
        let spec = fs::read(devnet.folder.path().join("chainspec.json")).expect("readable");
        let spec = ChainSpec::from_json(&spec).expect("a specification");
        let block = devnet.ask("eth_getBlockByNumber", json!(["0x1", false]));
        let hash = |name: &str| block[name].as_str().expect("a hash").parse().expect("a hash");
        let checkpoint = Checkpoint { number: 1, hash: hash("hash"), state_root: hash("stateRoot") };
        Self { light: Light::new(spec, checkpoint, Config::default()), devnet }
    }

    fn post(&self, body: &str) -> Option<Vec<u8>> {
        exchange_json(&self.devnet.http, body).map(String::into_bytes)
    }

    /// Follows until something has happened that is asked for.
    fn follow_until(&mut self, what: &str, mut is: impl FnMut(&Event, &Light) -> bool) -> Event {
        let begun = Instant::now();
        let mut last = None;
        loop {
            match self.light.step() {
                Next::Ask { id, body } => {
                    let answer = self.post(&body);
                    self.light.tell(id, answer.as_deref());
                }
                Next::Event(event) if is(&event, &self.light) => return event,
                Next::Event(event) => last = Some(event),
                Next::Wait => {
                    assert!(begun.elapsed() < PATIENCE, "{what} does not come, after {last:?}");
                    thread::sleep(Duration::from_millis(2));
                    self.light.poll();
                }
            }
        }
    }

    fn ask(&self, method: &str, params: &Value) -> Value {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
        let mut question = self.light.question(body.as_bytes());
        loop {
            match self.light.ask(&mut question, None, &|| false) {
                Asking::Fetch(body) => question.tell(self.post(&body).as_deref(), self.light.store()),
                Asking::Reply(Reply::Answer(answer)) => return serde_json::from_str(&answer).expect("JSON"),
                Asking::Reply(Reply::Forward(_)) => unreachable!("{method} is not forwarded"),
            }
        }
    }

    /// Everything that is read of the state and the blocks now, with the block it is read at.
    fn reads(&self) -> Vec<(&'static str, Value, Value)> {
        let head = self.light.head().expect("a head").number;
        let at = format!("{head:#x}");
        let block = self.ask("eth_getBlockByNumber", &json!([at, true]));
        let mut addresses = vec![block["result"]["miner"].clone()];
        for transaction in block["result"]["transactions"].as_array().into_iter().flatten().take(2) {
            addresses.extend([transaction["from"].clone(), transaction["to"].clone()]);
        }
        let mut reads = vec![
            ("eth_getBlockByNumber", json!([at, true])),
            ("eth_getBlockReceipts", json!([at])),
            ("eth_getLogs", json!([{ "fromBlock": "0x2", "toBlock": at }])),
        ];
        let hash = &block["result"]["hash"];
        reads.push(("eth_getBlockByHash", json!([hash, false])));
        for transaction in block["result"]["transactions"].as_array().into_iter().flatten().take(1) {
            reads.push(("eth_getTransactionReceipt", json!([transaction["hash"]])));
            reads.push(("eth_getTransactionByHash", json!([transaction["hash"]])));
        }
        for address in addresses.into_iter().filter(|address| !address.is_null()) {
            let balance_of = json!({ "to": address, "data": format!("0x70a08231{}", "11".repeat(32)) });
            reads.extend([
                ("eth_getBalance", json!([address, at])),
                ("eth_getTransactionCount", json!([address, at])),
                ("eth_getCode", json!([address, at])),
                ("eth_getStorageAt", json!([address, "0x0", at])),
                ("eth_call", json!([balance_of, at])),
                ("eth_estimateGas", json!([balance_of, at])),
                ("eth_createAccessList", json!([balance_of, at])),
                ("eth_getStorageValues", json!([{ address.as_str().expect("hex"): ["0x0", "0x1"] }, at])),
                ("zkevm_getProof", json!([address, ["0x0"], at])),
                // What the chain remembers of earlier blocks.
                ("eth_getBalance", json!([address, "0x1"])),
            ]);
        }
        let asked = reads.into_iter().map(|(method, params)| {
            let answer = self.ask(method, &params);
            (method, params, answer)
        });
        asked.collect()
    }
}

#[test]
fn each_lie_is_caught_without_the_state() {
    let listed = Devnet::lies();
    assert!(listed.len() >= 20);
    for (index, kind) in listed.iter().enumerate() {
        let fork = ["7", "9", "12", "13"][index % 4];
        let devnet = Devnet::busy(&["--fork", fork, "--lie", &format!("{kind}@{FIRST}")]);
        devnet.process.line(&format!("made block {LAST} "));
        catch(kind, World::new(devnet));
    }
}

fn catch(kind: &str, mut world: World) {
    let lie = world.devnet.ask("devnet_lies", json!([]))[0].clone();
    assert_eq!(lie["kind"], kind);
    let (untold, unsound) = (lie["overRpc"]["untold"].is_string(), lie["overRpc"]["unsound"].as_str());
    let told = lie["toldAt"].as_u64().expect("a number");
    if untold {
        world.follow_until(kind, |event, _| matches!(event, Event::Tip));
    } else {
        let event = world.follow_until(kind, |event, _| {
            matches!(event, Event::Mismatch { .. } | Event::Lost(Trouble::Client(_)))
        });
        match (event, unsound) {
            (Event::Mismatch { mismatch, evidence }, None) => {
                assert_eq!(json!(mismatch.block), lie["caughtAt"], "{kind}: {mismatch}");
                assert_eq!(json!(mismatch.claim.to_string()), lie["claim"], "{kind}: {mismatch}");
                let judged = evidence.expect("evidence").check();
                assert_eq!(judged.expect("evidence"), Judgement::MainNodeIsWrong(*mismatch), "{kind}");
                assert!(world.light.mismatch().is_some());
            }
            // What it says contradicts itself: for a replica that catches up, more does.
            (Event::Lost(trouble), words) => {
                assert!(words.is_none_or(|words| trouble.to_string().contains(words)), "{kind}: {trouble}");
                assert!(
                    matches!(&trouble, Trouble::Client(error) if error.is_contradiction()),
                    "{kind}: {trouble}"
                );
            }
            (event, _) => panic!("{kind}: {event:?}"),
        }
        let head = world.light.head().expect("a head").number;
        assert!(head <= told, "{kind}: block {head} was taken");
    }
    let during = world.reads();
    world.devnet.ask("devnet_honest", json!([]));
    let complete = |light: &Light| light.head().is_some_and(|head| head.number == LAST);
    if !complete(&world.light) {
        world.follow_until(kind, |event, light| matches!(event, Event::Tip) && complete(light));
    }
    assert!(world.light.mismatch().is_none(), "{kind}");
    let withheld = |answer: &Value| answer["error"]["code"] == -32002;
    // What a liar withholds is not to be had; and that is what is said.
    let during = during.into_iter().filter(|(_, _, answer)| !withheld(answer));
    for (method, params, answer) in during.chain(world.reads()) {
        assert!(!withheld(&answer), "{kind}: {method} {params}: {answer}");
        let truth = world.devnet.answer(method, params.clone());
        assert_eq!(answer["result"], truth["result"], "{kind}: {method} {params}: {answer}, not {truth}");
        assert_eq!(answer["error"]["code"], truth["error"]["code"], "{kind}: {method} {params}");
    }
    let (hash, _) = world.devnet.block(LAST);
    assert_eq!(world.light.head().expect("a head").hash.to_string(), hash, "{kind}");
}

#[test]
fn a_roll_back_is_followed_without_the_state() {
    let devnet = Devnet::on_demand(&["--traffic", "300"]);
    devnet.ask("devnet_mine", json!([30]));
    let mut world = World::new(devnet);
    let tip = |event: &Event, _: &Light| matches!(event, Event::Tip);
    world.follow_until("the tip", tip);
    assert_eq!(world.light.head().map(|head| head.number), Some(30));
    world.devnet.ask("devnet_rollBack", json!([17]));
    world.devnet.ask("devnet_mine", json!([20]));
    let event = world.follow_until("a roll-back", |event, _| matches!(event, Event::RolledBack { .. }));
    assert!(matches!(event, Event::RolledBack { from: 30, to: 17 }), "{event:?}");
    world.follow_until("the tip", tip);
    let (hash, _) = world.devnet.block(37);
    assert_eq!(world.light.head().map(|head| head.hash.to_string()), Some(hash));
}
