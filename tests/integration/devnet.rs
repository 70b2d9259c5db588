//! `zk-replica devnet`, and replicas that follow it.
//!
//! No test is about speed: what is awaited has a minute.
#![allow(
    clippy::std_instead_of_core,
    clippy::std_instead_of_alloc,
    reason = "a test on a host has std, and one name for each item is easier to read"
)]

use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use zk_replica_tests::vectors;

const PATIENCE: Duration = Duration::from_secs(60);
const BINARY: &str = env!("CARGO_BIN_EXE_zk-replica");

/// A process, and the lines that it wrote so far.
struct Process {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Process {
    fn start(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it runs");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sources: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().expect("piped")), Box::new(child.stderr.take().expect("piped"))];
        for source in sources {
            let lines = Arc::clone(&lines);
            thread::spawn(move || {
                for line in BufReader::new(source).lines().map_while(Result::ok) {
                    lines.lock().expect("not poisoned").push(line);
                }
            });
        }
        Self { child, lines }
    }

    fn lines(&self) -> Vec<String> {
        self.lines.lock().expect("not poisoned").clone()
    }

    fn count(&self, words: &str) -> usize {
        self.lines().iter().filter(|line| line.contains(words)).count()
    }

    /// Waits for a line, and gives it.
    fn line(&self, words: &str) -> String {
        let started = Instant::now();
        loop {
            if let Some(line) = self.lines().iter().rev().find(|line| line.contains(words)) {
                return line.clone();
            }
            assert!(started.elapsed() < PATIENCE, "{words:?} does not come; said: {:#?}", self.lines());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// What stands behind these words in a line.
    fn behind(&self, words: &str) -> String {
        self.line(words).split_once(words).expect("it has them").1.trim().to_owned()
    }

    fn stop(mut self) -> Option<i32> {
        let kill = format!("kill -TERM {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().expect("a shell").success());
        self.child.wait().expect("it was started").code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A devnet and the folder with its files.
struct Devnet {
    process: Process,
    folder: TempDir,
    stream: String,
    http: String,
}

impl Devnet {
    fn start(options: &[&str]) -> Self {
        let folder = TempDir::new().expect("a temporary directory");
        let mut command = Command::new(BINARY);
        command.args(["devnet", "--stream", "127.0.0.1:0", "--http", "127.0.0.1:0", "--genesis-out"]);
        command.arg(folder.path()).args(options);
        let process = Process::start(&mut command);
        process.line("zk-replica run");
        let (stream, http) = (process.behind("data stream "), process.behind("JSON-RPC http://"));
        Self { process, folder, stream, http }
    }

    /// Blocks that are made on demand.
    fn on_demand(options: &[&str]) -> Self {
        Self::start(&[&["--block-time", "0", "--batch-blocks", "4"], options].concat())
    }

    /// Forty blocks with traffic, made in a moment.
    fn busy(options: &[&str]) -> Self {
        let common = ["--block-time", "0.01", "--traffic", "300", "--batch-blocks", "4", "--blocks", "40"];
        Self::start(&[&common, options].concat())
    }

    fn follow(&self) -> Process {
        let file = |name: &str| self.folder.path().join(name);
        let mut command = Command::new(BINARY);
        command.args(["run", "--stream", &self.stream, "--genesis"]).arg(file("genesis-allocs.json"));
        command.arg("--chain").arg(file("chainspec.json")).arg("--conf").arg(file("genesis-conf.json"));
        Process::start(command.arg("--db").arg(file("db")))
    }

    fn answer(&self, method: &str, params: Value) -> Value {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
        let mut socket = TcpStream::connect(&self.http).expect("it listens");
        let head = format!(
            "POST / HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            self.http,
            body.len()
        );
        socket.write_all((head + &body).as_bytes()).expect("sent");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).expect("received");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
        serde_json::from_str(body).expect("JSON")
    }

    fn ask(&self, method: &str, params: Value) -> Value {
        let answer = self.answer(method, params);
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    fn mine(&self, blocks: u64) -> u64 {
        number(&self.ask("devnet_mine", json!([blocks])))
    }

    /// Hash and state root of a block.
    fn block(&self, number: u64) -> (String, String) {
        let block = self.ask("eth_getBlockByNumber", json!([format!("{number:#x}"), false]));
        let text = |name: &str| block[name].as_str().expect("text").to_owned();
        (text("hash"), text("stateRoot"))
    }

    /// The follower has told the block as the devnet has it.
    fn await_same(&self, follower: &Process, number: u64) {
        let (hash, root) = self.block(number);
        follower.line(&format!("block {number} state root {root} hash {hash}"));
    }
}

fn number(value: &Value) -> u64 {
    let text = value.as_str().expect("a quantity");
    u64::from_str_radix(text.trim_start_matches("0x"), 16).expect("hex")
}

#[test]
fn a_replica_follows_every_fork() {
    for fork in 7..=13_u64 {
        let devnet = Devnet::busy(&["--fork", &fork.to_string()]);
        let follower = devnet.follow();
        devnet.process.line("made block 40 ");
        devnet.await_same(&follower, 40);
        assert_eq!(follower.count("mismatch"), 0, "{:#?}", follower.lines());
        assert_eq!(number(&devnet.ask("zkevm_getForkId", json!([]))), fork);
        assert_eq!(follower.stop(), Some(130));
        assert_eq!(devnet.process.stop(), Some(130));
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
    assert_eq!(follower.stop(), Some(130));
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

/// Kinds of lies, as the command names them.
fn kinds() -> Vec<String> {
    let output = Command::new(BINARY).args(["devnet", "--list-lies"]).output().expect("it runs");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.lines().map(|line| line.split(' ').next().expect("a word").to_owned()).collect()
}

#[test]
fn each_lie_is_caught_where_it_is_told_and_never_believed() {
    let kinds = kinds();
    assert!(kinds.len() >= 20);
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(kind) = kinds.get(next.fetch_add(1, Ordering::Relaxed)) {
                    // Forks whose stream and receipts differ.
                    let fork = ["7", "8", "12", "13"][kind.len() % 4];
                    catch(kind, fork);
                }
            });
        }
    });
}

fn catch(kind: &str, fork: &str) {
    let devnet = Devnet::busy(&["--fork", fork, "--lie", &format!("{kind}@9")]);
    let follower = devnet.follow();
    devnet.process.line("made block 40 ");
    let lie = devnet.ask("devnet_lies", json!([]))[0].clone();
    assert_eq!(lie["kind"], kind);
    let told = lie["toldAt"].as_u64().unwrap_or(0);
    let (caught, claim) = (&lie["caughtAt"], lie["claim"].as_str().expect("text"));
    assert!(told >= 9, "{kind}: {lie}");
    let mismatch = follower.line("mismatch at block ");
    let said = mismatch.split("mismatch at block ").nth(1).expect("it has them");
    let (place, said) = said.split_once(" (batch ").expect("a batch");
    assert_eq!(place, caught.to_string(), "{kind}: {mismatch}");
    assert_eq!(said.split(": ").nth(1), Some(claim), "{kind}: {mismatch}");
    // A header that is not true is told by JSON-RPC too.
    let in_header = claim == "block hash" || ["state-root", "minted-balance", "coinbase"].contains(&kind);
    let lied = in_header.then(|| devnet.block(told));
    assert_eq!(follower.count("block 40 state root"), 0, "{kind}");

    devnet.ask("devnet_honest", json!([]));
    assert!(lied.is_none_or(|lied| lied != devnet.block(told)), "{kind}");
    devnet.await_same(&follower, 40);
    assert_eq!(follower.count("mismatch at"), 1, "{kind}: {:#?}", follower.lines());
    assert_eq!(follower.stop(), Some(130), "{kind}");
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
    assert_eq!(follower.stop(), Some(130));
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
    assert_eq!(demo.count("mismatch"), 0, "{:#?}", demo.lines());
    assert_eq!(demo.stop(), Some(130));
    let left: Vec<PathBuf> =
        fs::read_dir(folder.path()).expect("a folder").flatten().map(|entry| entry.path()).collect();
    assert!(left.is_empty(), "{left:?}");
}
