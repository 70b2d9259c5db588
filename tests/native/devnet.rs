//! `zk-replica devnet`, and replicas that follow it.
//!
//! No test is about speed: what is awaited has a minute.

use crate::harness::{BINARY, Devnet, PATIENCE, Process, number};
use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use zk_replica_tests::vectors;

#[test]
fn a_replica_follows_every_fork() {
    for fork in 7..=13_u64 {
        let devnet = Devnet::busy(&["--fork", &fork.to_string()]);
        let follower = devnet.follow();
        devnet.process.line("made block 40 ");
        devnet.await_same(&follower, 40);
        assert_eq!(follower.count("mismatch"), 0, "{:#?}", follower.lines());
        assert_eq!(number(&devnet.ask("zkevm_getForkId", json!([]))), fork);
        assert_eq!(follower.stop("TERM"), Some(130));
        assert_eq!(devnet.process.stop("TERM"), Some(130));
    }
}

#[test]
fn a_replica_follows_over_json_rpc_alone() {
    let devnet = Devnet::on_demand(&[]);
    devnet.mine(8);
    let mut command = Command::new(BINARY);
    command.args(["run", "--main-node", &format!("http://{}", devnet.http), "--genesis"]);
    command.arg(devnet.folder.path().join("genesis-allocs.json"));
    let follower = Process::start(command.arg("--db").arg(devnet.folder.path().join("db")));
    devnet.await_same(&follower, 8);
    devnet.mine(3);
    devnet.await_same(&follower, 11);
    devnet.ask("devnet_rollBack", json!([6]));
    devnet.mine(9);
    devnet.await_same(&follower, 15);
    devnet.ask("devnet_lie", json!(["timestamp", 16]));
    devnet.mine(1);
    follower.line("mismatch at block 16 ");
    devnet.ask("devnet_honest", json!([]));
    devnet.mine(1);
    devnet.await_same(&follower, 17);
    assert_eq!(follower.stop("TERM"), Some(130));
}

#[test]
fn the_same_seed_gives_the_same_chain() {
    let tip = |options: &[&str]| {
        let devnet = Devnet::busy(options);
        devnet.process.line("made block 40 ");
        devnet.block(40)
    };
    let first = tip(&["--seed", "5"]);
    assert_eq!(tip(&["--seed", "5"]), first);
    assert_ne!(tip(&["--seed", "6"]), first);
}

#[test]
fn traffic_has_everything_in_it() {
    let devnet = Devnet::busy(&[]);
    devnet.process.line("made block 40 ");
    let (mut failed, mut created, mut logs) = (0, 0, 0);
    for block in 2..=40_u64 {
        for receipt in
            devnet.ask("eth_getBlockReceipts", json!([format!("{block:#x}")])).as_array().expect("a list")
        {
            failed += u64::from(receipt["status"] == "0x0");
            created += u64::from(!receipt["contractAddress"].is_null());
            logs += receipt["logs"].as_array().expect("a list").len();
        }
    }
    assert!(failed > 5 && created > 5 && logs > 5, "{failed} failed, {created} created, {logs} logs");
    let table = devnet.ask("zkevm_getExitRootTable", json!([]));
    assert_eq!(table[0]["index"], 1);
    let batch = devnet.ask("zkevm_getBatchByNumber", json!(["0x2", true]));
    assert_eq!(batch["closed"], true);
    assert_eq!(batch["globalExitRoot"], table[0]["ger"]);
    assert_eq!(batch["mainnetExitRoot"], table[0]["mainnet_exit_root"]);
    assert_ne!(batch["localExitRoot"], json!(format!("0x{}", "0".repeat(64))));
    assert!(batch["batchL2Data"].as_str().expect("text").starts_with("0x0b"));
    assert_eq!(batch["blocks"].as_array().expect("a list").len(), 4);
    let data = devnet.ask("zkevm_getBatchDataByNumbers", json!([{ "numbers": [2] }]));
    assert_eq!(data["data"][0]["batchL2Data"], batch["batchL2Data"]);
}

#[test]
fn a_roll_back_is_followed() {
    let devnet = Devnet::on_demand(&[]);
    assert_eq!(devnet.mine(12), 12);
    let follower = devnet.follow();
    devnet.await_same(&follower, 12);
    for (to, again) in [(7, 12), (5, 14), (9, 10)] {
        let (from, before) = (number(&devnet.ask("eth_blockNumber", json!([]))), devnet.block(to + 1));
        devnet.ask("devnet_rollBack", json!([to]));
        devnet.mine(again - to);
        assert_ne!(devnet.block(to + 1), before);
        follower.line(&format!("rolled back from block {from} to block {to}"));
        devnet.await_same(&follower, again);
    }
    assert_eq!(follower.count("mismatch"), 0, "{:#?}", follower.lines());
    let refused = devnet.answer("devnet_rollBack", json!([99]));
    assert!(refused["error"]["message"].as_str().expect("text").contains("99"), "{refused}");
}

#[test]
fn a_lie_is_told_of_a_block_that_was_sent() {
    let devnet = Devnet::on_demand(&[]);
    devnet.mine(6);
    let follower = devnet.follow();
    devnet.await_same(&follower, 6);
    let truth = devnet.block(4);
    devnet.ask("devnet_lie", json!(["state-root", 4]));
    assert_ne!(devnet.block(4), truth);
    // Every later block follows from it, and so does its hash.
    let child = devnet.ask("eth_getBlockByNumber", json!(["0x5", false]));
    assert_eq!(child["parentHash"], json!(devnet.block(4).0));
    devnet.mine(1);
    follower.line("mismatch at block 4 ");
    devnet.ask("devnet_honest", json!([]));
    assert_eq!(devnet.block(4), truth);
    devnet.mine(1);
    devnet.await_same(&follower, 8);
    assert_eq!(follower.count("rolled back"), 0, "{:#?}", follower.lines());
}

#[test]
fn what_cannot_be_sent_is_refused_in_the_words_of_a_main_node() {
    let devnet = Devnet::on_demand(&[]);
    devnet.mine(1);
    for (raw, words) in [("0x", "invalid argument 0"), ("0x02c0", "only legacy transactions are supported")] {
        let refused = devnet.answer("eth_sendRawTransaction", json!([raw]));
        assert!(refused["error"]["message"].as_str().expect("text").contains(words), "{refused}");
    }
    assert_eq!(devnet.ask("eth_gasPrice", json!([])), "0x3b9aca00");
    let account = devnet.ask("devnet_accounts", json!([]))[0]["address"].clone();
    assert_eq!(devnet.ask("eth_getTransactionCount", json!([account, "pending"])), "0x0");
    assert_eq!(devnet.ask("txpool_status", json!([]))["pending"], "0x0");
}

#[test]
fn what_its_l1_has_is_final_and_no_roll_back_changes_it() {
    let devnet = Devnet::on_demand(&["--l1", "127.0.0.1:0"]);
    devnet.mine(10);
    let told = devnet.process.behind("L1 http://");
    let [address, manager, id] = [0, 3, 6].map(|word| told.split(' ').nth(word));
    let mut command = Command::new(BINARY);
    command.args(["run", "--main-node", &format!("http://{}", devnet.http), "--retry-longest=100ms"]);
    command.args(["--l1", &format!("http://{}", address.expect("an address")), "--l1-interval=50ms"]);
    command.args(["--rollup-manager", manager.expect("an address"), "--rollup-id", id.expect("a number")]);
    command.arg("--genesis").arg(devnet.folder.path().join("genesis-allocs.json"));
    let follower = Process::start(command.arg("--db").arg(devnet.folder.path().join("db")));
    // Batch 3 has ended with block 9: it is proved when the next one has.
    follower.line("final: block 5, batch 2 is proved on L1");
    devnet.mine(4);
    follower.line("final: block 9, batch 3 is proved on L1");
    devnet.ask("devnet_rollBack", json!([7]));
    devnet.mine(30);
    follower.line("cannot roll back to block 7: block 9 is final");
    for words in ["rolled back", "mismatch", "final: block 13"] {
        assert_eq!(follower.count(words), 0, "{words}: {:#?}", follower.lines());
    }
    assert_eq!(follower.stop("TERM"), Some(130));
}

#[test]
fn a_recorded_stream_is_served() {
    let Some(vectors) = vectors("a_recorded_stream_is_served") else {
        return;
    };
    let inputs = vectors.join("recorded-chain");
    let folder = TempDir::new().expect("a temporary directory");
    let mut command = Command::new(BINARY);
    command.args(["devnet", "--stream", "127.0.0.1:0", "--http", "127.0.0.1:0", "--serve"]);
    let devnet = Process::start(command.arg(inputs.join("data-stream.bin.gz")));
    let mut command = Command::new(BINARY);
    command.args(["run", "--stream", &devnet.behind("data stream "), "--db"]).arg(folder.path().join("db"));
    let follower = Process::start(with_files(&mut command, &inputs));
    follower.line("block 11317 state root 0xb941");
    assert_eq!(follower.stop("TERM"), Some(130));
}

fn with_files<'a>(command: &'a mut Command, inputs: &Path) -> &'a mut Command {
    for (option, file) in
        [("--genesis", "genesis-allocs.json"), ("--chain", "chainspec.json"), ("--conf", "genesis-conf.json")]
    {
        command.arg(option).arg(inputs.join(file));
    }
    command
}

#[test]
fn the_demonstration_verifies_blocks_and_leaves_nothing_behind() {
    let folder = TempDir::new().expect("a temporary directory");
    let mut command = Command::new(BINARY);
    command.args(["demo", "--http", "127.0.0.1:0", "--block-time", "0.05", "--traffic", "40"]);
    let demo = Process::start(command.env("TMPDIR", folder.path()));
    demo.line("serving Web3 at http://127.0.0.1:");
    // On a busy machine two blocks may become one step of the tip.
    let started = Instant::now();
    while demo.count(" state root ") < 3 {
        assert!(started.elapsed() < PATIENCE, "{:#?}", demo.lines());
        thread::sleep(Duration::from_millis(5));
    }
    demo.line("is proved on L1");
    assert_eq!(demo.count("mismatch"), 0, "{:#?}", demo.lines());
    assert_eq!(demo.stop("TERM"), Some(130));
    let left: Vec<PathBuf> =
        fs::read_dir(folder.path()).expect("a folder").flatten().map(|entry| entry.path()).collect();
    assert!(left.is_empty(), "{left:?}");
}
