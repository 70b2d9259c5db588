//! `zk-replica run` beside main nodes that are asked over JSON-RPC alone.
//!
//! As with the data stream: however a chain was followed, a replay of the main node's last chain into the same database
//! must find it true, and end as a replay into nothing does.

use crate::follower::World;
use serde_json::{Value, json};
use std::{fs, sync::Arc};
use zk_replica_core::source::datastream::Message;
use zk_replica_tests::{Made, MainNode, Plan, Process, Recording, RpcFault, RpcNode, Script, vectors};

/// Short times: nothing is slow here but what fails.
const OPTIONS: [&str; 3] = ["--poll-interval=50ms", "--request-timeout=3s", "--compare-interval=100ms"];

fn follow(world: &World, node: &RpcNode) -> Process {
    world.follow(["--main-node", &node.url()], &OPTIONS)
}

/// A chain, and one that leaves it at block 61.
fn chains() -> (Script, Script) {
    let plan = Plan { blocks: 120, batch: 25, twist: None };
    (Made::by(plan).script(), Made::by(Plan { twist: Some(61), ..plan }).script())
}

/// The chain up to and with a block, its batch open unless the block is its last.
fn cut(script: &Script, block: u64) -> Script {
    let end = script.whole_block(block).end;
    let closes = matches!(script.messages.get(end), Some(Message::BatchEnd(_)));
    Script { messages: script.messages[..end + usize::from(closes)].to_vec() }
}

#[test]
fn it_follows_from_genesis_to_the_tip_and_each_block_after_it() {
    let (world, (script, _)) = (World::made(), chains());
    let node = RpcNode::serve(&script, 50);
    let follower = follow(&world, &node);
    follower.await_line("at the tip: block 50");
    for block in 51..=120 {
        node.show(block);
        follower.await_block(block);
    }
    assert_eq!(follower.count("lost"), 0, "{:#?}", follower.lines());
    assert_eq!(follower.stop("TERM"), Some(130));
    world.assert_holds(&script);

    // It goes on where it was.
    let follower = follow(&world, &node);
    follower.await_line("at the tip: block 120");
    assert_eq!(follower.stop("INT"), Some(130));
    world.assert_holds(&script);
}

#[test]
fn it_continues_within_a_batch() {
    let (world, (script, _)) = (World::made(), chains());
    let node = RpcNode::serve(&script, 60);
    let follower = follow(&world, &node);
    follower.await_block(60);
    assert_eq!(follower.stop("KILL"), None);
    node.show(90);
    let follower = follow(&world, &node);
    follower.await_block(90);
    assert_eq!(follower.stop("TERM"), Some(130));
    world.assert_holds(&cut(&script, 90));
}

#[test]
fn it_recovers_from_each_fault() {
    let (script, _) = chains();
    let faults = [
        vec![RpcFault::Close; 3],
        vec![RpcFault::Silent],
        vec![RpcFault::Html, RpcFault::Garbage],
        vec![RpcFault::Status(502), RpcFault::Status(429)],
        vec![RpcFault::Error(-32000), RpcFault::Error(-32005)],
        [0, 20, 90, 500].map(RpcFault::CutAfter).to_vec(),
        [0, 1, 40, 1000].map(RpcFault::Truncated).to_vec(),
    ];
    for faults in faults {
        let world = World::made();
        let node = RpcNode::serve(&script, 80);
        node.fail_next(&faults);
        let follower = follow(&world, &node);
        follower.await_block(80);
        assert_eq!(node.faults_left(), 0, "{faults:?}");
        // The same at the tip.
        node.fail_next(&faults);
        node.show(120);
        follower.await_block(120);
        assert_eq!(follower.count("mismatch"), 0, "{:#?}", follower.lines());
        assert_eq!(follower.stop("TERM"), Some(130), "{faults:?}");
        world.assert_holds(&script);
    }
}

#[test]
fn a_main_node_that_is_away_is_waited_for() {
    let (world, (script, _)) = (World::made(), chains());
    let node = RpcNode::serve(&script, 30);
    node.fail(Some(RpcFault::Close));
    let follower = follow(&world, &node);
    follower.await_that("attempts", || node.requests() > 8);
    follower.await_line("lost");
    node.fail(None);
    follower.await_block(30);
    node.fail(Some(RpcFault::Silent));
    let before = node.requests();
    follower.await_that("attempts", || node.requests() > before + 2);
    node.show(120);
    node.fail(None);
    follower.await_block(120);
    assert_eq!(follower.stop("TERM"), Some(130));
    world.assert_holds(&script);
}

#[test]
fn stale_answers_are_no_roll_back() {
    let (world, (script, _)) = (World::made(), chains());
    let node = RpcNode::serve(&script, 60);
    let follower = follow(&world, &node);
    follower.await_block(60);
    // Every other answer comes from a node that is behind, also by batches.
    for block in 61..=110 {
        node.fail_next(&[RpcFault::Behind(3), RpcFault::Behind(40), RpcFault::Behind(0)]);
        node.show(block);
        follower.await_block(block);
    }
    assert_eq!(follower.count("rolled back"), 0, "{:#?}", follower.lines());
    assert_eq!(follower.count("mismatch"), 0, "{:#?}", follower.lines());
    assert_eq!(follower.stop("TERM"), Some(130));
    world.assert_holds(&cut(&script, 110));
}

#[test]
fn a_roll_back_of_the_main_node_is_followed() {
    let (script, other) = chains();
    for (from, to) in [(120, 120), (120, 70), (75, 75), (70, 64)] {
        let world = World::made();
        let node = RpcNode::serve(&script, from);
        let follower = follow(&world, &node);
        follower.await_block(from);
        node.replace(&other, to);
        follower.await_line(&format!("rolled back from block {from} to block 60"));
        follower.await_that("the other chain's tip", || {
            follower.count(&format!("block {to} state root ")) >= usize::from(to <= from)
        });
        node.show(120);
        follower
            .await_that("block 120", || follower.count("block 120 state root ") > usize::from(from == 120));
        assert_eq!(follower.count("mismatch"), 0, "{:#?}", follower.lines());
        assert_eq!(follower.stop("TERM"), Some(130));
        world.assert_holds(&other);
    }
}

#[test]
fn a_main_node_without_optional_methods_is_followed() {
    let (world, (script, _)) = (World::made(), chains());
    let node = RpcNode::serve(&script, 70);
    node.lack(&["zkevm_getForks", "zkevm_batchNumberByBlockNumber", "zkevm_getExitRootTable"]);
    let follower = follow(&world, &node);
    follower.await_block(70);
    assert_eq!(follower.stop("TERM"), Some(130));
    node.show(120);
    let follower = follow(&world, &node);
    follower.await_block(120);
    assert_eq!(follower.stop("TERM"), Some(130));
    world.assert_holds(&script);
}

#[test]
fn what_is_not_true_is_not_kept() {
    let lies = [
        ("stateRoot", "state root"),
        ("blockInfoRoot", "block info root"),
        ("hash", "hash"),
        ("gasLimit", "gas limit"),
        ("timestamp", "timestamp"),
    ];
    let (script, _) = chains();
    for (field, claim) in lies {
        let world = World::made();
        let node = RpcNode::serve(&script, 60);
        node.tamper(Some(Arc::new(move |method: &str, _: &Value, result: &mut Value| {
            // The second batch begins with block 26.
            if method == "zkevm_getBatchByNumber" && result["number"] == "0x2" {
                let value = match field {
                    "gasLimit" | "timestamp" => json!("0x65"),
                    _ => json!(format!("0x{}", "5".repeat(64))),
                };
                result["blocks"][14][field] = value;
            }
        })));
        let follower = follow(&world, &node);
        follower.await_line("mismatch at block 40");
        assert!(follower.count(claim) > 0, "{field}: {:#?}", follower.lines());
        node.tamper(None);
        follower.await_line("corrected");
        follower.await_block(60);
        assert_eq!(follower.stop("TERM"), Some(130));
        world.assert_holds(&cut(&script, 60));
    }
}

#[test]
fn another_chain_is_refused_again_and_again() {
    let (world, (script, _)) = (World::made(), chains());
    let node = RpcNode::serve(&script, 60);
    node.tamper(Some(Arc::new(|method: &str, _: &Value, result: &mut Value| {
        if method == "eth_chainId" {
            *result = json!("0x7");
        }
    })));
    let follower = follow(&world, &node);
    follower.await_line("the main node serves chain 7, not chain 4242");
    node.tamper(None);
    follower.await_block(60);
    assert_eq!(follower.stop("TERM"), Some(130));
}

#[test]
fn a_wrong_genesis_file_ends_it() {
    let (world, (script, _)) = (World::made(), chains());
    let node = RpcNode::serve(&script, 60);
    let genesis = world.folder.path().join("genesis.json");
    fs::write(&genesis, r#"{"0x00000000000000000000000000000000000000aa": {"balance": "1"}}"#)
        .expect("written");
    let follower = follow(&world, &node);
    follower.await_line("the genesis file is not that of the chain at");
    assert_eq!(follower.wait(), Some(2));
}

#[test]
fn the_chain_is_asked_for_and_the_genesis_file_is_not() {
    let (mut world, (script, _)) = (World::made(), chains());
    let node = RpcNode::serve(&script, 60);
    world.files.retain(|(option, _)| *option == "--genesis");
    let follower = follow(&world, &node);
    follower.await_line("serves chain 4242: forks 9 from batch 1");
    follower.await_block(60);
    assert_eq!(follower.stop("TERM"), Some(130));

    // What is in the database is served while no main node says anything.
    node.fail(Some(RpcFault::Close));
    let mut options = OPTIONS.to_vec();
    options.push("--http=127.0.0.1:0");
    let follower = world.follow(["--main-node", &node.url()], &options);
    follower.await_line("serving Web3 at http://127.0.0.1:");
    follower.await_line("lost");
    node.fail(None);
    node.show(80);
    follower.await_block(80);
    assert_eq!(follower.stop("TERM"), Some(130));

    world.files.clear();
    let follower = follow(&world, &node);
    follower.await_line("name the file with the accounts at genesis by --genesis");
    assert_eq!(follower.wait(), Some(2));
}

#[test]
fn when_one_main_node_fails_another_serves() {
    let (world, (script, _)) = (World::made(), chains());
    let (first, second) = (RpcNode::serve(&script, 50), RpcNode::serve(&script, 50));
    let second_url = second.url();
    let mut options = vec!["--main-node", &second_url];
    options.extend(OPTIONS);
    let follower = world.follow(["--main-node", &first.url()], &options);
    follower.await_block(50);
    first.fail(Some(RpcFault::Status(500)));
    second.show(80);
    follower.await_block(80);
    second.fail(Some(RpcFault::Close));
    first.fail(None);
    first.show(120);
    follower.await_block(120);
    assert_eq!(follower.stop("TERM"), Some(130));
    world.assert_holds(&script);
}

#[test]
fn a_main_node_that_stands_still_is_left_for_one_that_goes_on() {
    let (world, (script, _)) = (World::made(), chains());
    let (stream, node) = (MainNode::serve(&cut(&script, 40).messages), RpcNode::serve(&script, 120));
    let url = node.url();
    let mut options = vec!["--main-node", &url, "--stall-timeout=300ms"];
    options.extend(OPTIONS);
    let follower = world.follow(["--stream", &stream.address()], &options);
    follower.await_block(40);
    follower.await_block(120);
    assert_eq!(follower.stop("TERM"), Some(130));
    world.assert_holds(&script);
}

#[test]
fn main_nodes_that_are_away_are_told_once_each() {
    let (world, (script, _)) = (World::made(), chains());
    let (first, second) = (RpcNode::serve(&script, 50), RpcNode::serve(&script, 50));
    let second_url = second.url();
    let mut options = vec!["--main-node", &second_url, "--retry-longest=100ms"];
    options.extend(OPTIONS);
    let follower = world.follow(["--main-node", &first.url()], &options);
    follower.await_block(50);
    for node in [&first, &second] {
        node.fail(Some(RpcFault::Status(500)));
    }
    let asked = || first.requests().min(second.requests());
    let before = asked();
    follower.await_that("attempts", || asked() > before + 20);
    let told = follower.count("lost");
    assert!((1..=2).contains(&told), "{:#?}", follower.lines());
    for node in [&first, &second] {
        node.fail(None);
        node.show(60);
    }
    follower.await_block(60);
    assert_eq!(follower.stop("TERM"), Some(130));
}

#[test]
fn contradictions_between_main_nodes_are_told() {
    let (world, (script, other)) = (World::made(), chains());
    let (first, second) = (RpcNode::serve(&script, 120), RpcNode::serve(&other, 120));
    let url = second.url();
    let mut options = vec!["--main-node", &url];
    options.extend(OPTIONS);
    let follower = world.follow(["--main-node", &first.url()], &options);
    follower.await_block(120);
    follower.await_line("contradiction: block 120 is 0x");
    assert_eq!(follower.count("rolled back"), 0, "{:#?}", follower.lines());
    assert_eq!(follower.stop("TERM"), Some(130));
    world.assert_holds(&script);
}

#[test]
fn the_recorded_chain_is_followed() {
    let Some(vectors) = vectors("the_recorded_chain_is_followed") else {
        return;
    };
    let script = Script::read(&Recording::load(&vectors).stream);
    let world = World::recorded(&vectors);
    let node = RpcNode::serve(&script, 11_317);
    let follower = world.follow(["--main-node", &node.url()], &["--request-timeout=30s"]);
    follower.await_line("at the tip: block 11317");
    assert_eq!(follower.count("lost"), 0, "{:#?}", follower.lines());
    assert_eq!(follower.stop("TERM"), Some(130));
    world.assert_holds(&script);
}
