//! `zk-replica run` beside an L1 node: what was proved there is final, and what differs from it stops the chain.

use crate::follower::World;
use alloy_primitives::{Address, B256, U256};
use serde_json::{Value, json};
use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};
use zk_replica_core::{
    source::{datastream::Message, l1::RollupStorage},
    types::BatchEnd,
};
use zk_replica_tests::{Made, Plan, RpcNode, Script};

const MANAGER: Address = Address::repeat_byte(0x11);

/// Trying again does not take long.
const QUICK: &str = "--retry-longest=100ms";

/// What the rollup manager says is proved.
#[derive(Clone)]
struct Proved {
    chain_id: u64,
    end: BatchEnd,
}

/// An L1 node that knows one contract.
struct L1 {
    url: String,
    proved: Arc<Mutex<Proved>>,
}

impl L1 {
    fn serve(end: BatchEnd) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let proved = Arc::new(Mutex::new(Proved { chain_id: Made::CHAIN_ID, end }));
        let state = Arc::clone(&proved);
        thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                let state = Arc::clone(&state);
                thread::spawn(move || answer_all(socket, &state));
            }
        });
        Self { url, proved }
    }

    fn proves(&self, end: BatchEnd) {
        self.proved.lock().expect("no panic").end = end;
    }
}

fn answer_all(socket: TcpStream, proved: &Mutex<Proved>) -> Option<()> {
    let mut writer = socket.try_clone().ok()?;
    let mut reader = BufReader::new(socket);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let request: Value = serde_json::from_slice(&body).ok()?;
        let proved = proved.lock().expect("no panic").clone();
        let answer = json!({ "jsonrpc": "2.0", "id": request["id"], "result": result(&request, &proved) });
        let answer = answer.to_string();
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length:";
        write!(writer, "{head} {}\r\n\r\n{answer}", answer.len()).ok()?;
    }
}

fn result(request: &Value, Proved { chain_id, end }: &Proved) -> Value {
    let params = &request["params"];
    if request["method"] == "eth_getBlockByNumber" {
        assert_eq!(params[0], "finalized");
        return json!({ "number": "0x10", "hash": B256::repeat_byte(9) });
    }
    let storage = RollupStorage::new(MANAGER, 1);
    let slot: B256 = serde_json::from_value(params[1].clone()).expect("a slot");
    let word = match U256::from_be_bytes(slot.0) {
        slot if slot == storage.identity() => U256::from(*chain_id) << 160,
        slot if slot == storage.progress() => U256::from(end.number) << 64 | U256::from(end.number + 1),
        slot if slot == storage.local_exit_root() => end.local_exit_root.into(),
        slot if slot == storage.state_root(end.number) => end.state_root.into(),
        _ => U256::ZERO,
    };
    json!(B256::from(word))
}

fn batch_end(script: &Script, number: u64) -> BatchEnd {
    let found = script.messages.iter().find_map(|message| match message {
        Message::BatchEnd(end) if end.number == number => Some(end.clone()),
        _ => None,
    });
    found.expect("the batch ends")
}

#[test]
fn what_was_proved_is_final_and_what_differs_stops_the_chain() {
    let script = Made::chain().script();
    let node = RpcNode::serve(&script, 250);
    let l1 = L1::serve(batch_end(&script, 1));
    let manager = MANAGER.to_string();
    let options =
        ["--l1", &l1.url, "--rollup-manager", &manager, "--rollup-id", "1", "--l1-interval", "50ms", QUICK];
    let world = World::made();
    let follower = world.follow(["--main-node", &node.url()], &options);
    follower.await_line("final: block 100, batch 1 is proved on L1");
    follower.await_block(250);

    let lie = BatchEnd { state_root: B256::repeat_byte(1), ..batch_end(&script, 2) };
    l1.proves(lie);
    // It is looked at when the chain goes on, which it then does not.
    thread::sleep(std::time::Duration::from_millis(500));
    node.show(350);
    follower.await_line("state root proved on L1: expected 0x0101010101");
    follower.await_line("block 250 stays the last verified block");
    // However often it is tried again, nothing is added, and nothing is right again.
    let before = node.requests();
    follower.await_that("attempts", || node.requests() > before + 50);
    assert_eq!(follower.count("stays the last verified block"), 1, "{:#?}", follower.lines());
    for words in ["final: block 200", "corrected", "rolled back"] {
        assert_eq!(follower.count(words), 0, "{words}: {:#?}", follower.lines());
    }

    l1.proves(batch_end(&script, 2));
    follower.await_line("final: block 200, batch 2 is proved on L1");
    follower.await_line("corrected");
    follower.await_block(350);
    assert_eq!(follower.stop("TERM"), Some(130));
}

/// Another one from block 50 on.
fn other_chain() -> Script {
    Made::by(Plan { blocks: 300, batch: 100, twist: Some(50) }).script()
}

#[test]
fn what_is_final_stays_so_when_it_begins_again_without_l1() {
    let (script, other) = (Made::chain().script(), other_chain());
    let node = RpcNode::serve(&script, 250);
    let l1 = L1::serve(batch_end(&script, 1));
    let manager = MANAGER.to_string();
    let world = World::made();
    let options = ["--l1", l1.url.as_str(), "--rollup-manager", &manager, "--rollup-id", "1"];
    let follower = world.follow(["--main-node", &node.url()], &options);
    follower.await_line("final: block 100, batch 1 is proved on L1");
    follower.kill();

    node.replace(&other, 250);
    let follower = world.follow(["--main-node", &node.url()], &[]);
    follower.await_line("cannot roll back to block 49: block 100 is final");
    assert_eq!(follower.count("rolled back"), 0, "{:#?}", follower.lines());
    node.replace(&script, 300);
    follower.await_block(300);
    assert_eq!(follower.stop("TERM"), Some(130));
}

/// L1 has the other branch: the chain gets there with the main node.
#[test]
fn a_chain_that_l1_contradicts_is_left_for_the_one_that_l1_has() {
    let (script, other) = (Made::chain().script(), other_chain());
    let node = RpcNode::serve(&script, 250);
    let l1 = L1::serve(batch_end(&other, 1));
    let manager = MANAGER.to_string();
    let world = World::made();
    let options =
        ["--l1", &l1.url, "--rollup-manager", &manager, "--rollup-id", "1", "--l1-interval", "50ms", QUICK];
    let follower = world.follow(["--main-node", &node.url()], &options);
    follower.await_line("state root proved on L1");
    node.replace(&other, 250);
    follower.await_line("rolled back");
    follower.await_line("final: block 100, batch 1 is proved on L1");
    follower.await_line("corrected");
    follower.await_block(250);
    assert_eq!(follower.stop("TERM"), Some(130));
}

#[test]
fn a_manager_of_another_chain_is_told() {
    let script = Made::chain().script();
    let node = RpcNode::serve(&script, 150);
    let l1 = L1::serve(batch_end(&script, 1));
    l1.proved.lock().expect("no panic").chain_id = 1101;
    let manager = MANAGER.to_string();
    let world = World::made();
    let options = ["--l1", l1.url.as_str(), "--rollup-manager", &manager, "--rollup-id", "1"];
    let follower = world.follow(["--main-node", &node.url()], &options);
    follower.await_line("the rollup manager's entry is of chain 1101, ours is 4242");
    follower.await_block(150);
    assert_eq!(follower.count("final:"), 0);
    assert_eq!(follower.stop("TERM"), Some(130));
}
