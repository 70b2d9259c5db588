//! A devnet and replicas that follow it and serve, as child processes; and their JSON-RPC.
//!
//! No test is about speed: what is awaited has a minute.

use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    net::TcpStream,
    path::PathBuf,
    process::Command,
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;
pub(crate) use zk_replica_tests::{PATIENCE, Process};

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_zk-replica");

/// Waits until something is there, and gives it.
pub(crate) fn wait<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "{what} does not come");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A devnet and the folder with its files.
pub(crate) struct Devnet {
    pub(crate) process: Process,
    pub(crate) folder: TempDir,
    pub(crate) stream: String,
    pub(crate) http: String,
}

impl Devnet {
    pub(crate) fn start(options: &[&str]) -> Self {
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
    pub(crate) fn on_demand(options: &[&str]) -> Self {
        Self::start(&[&["--block-time", "0", "--batch-blocks", "4"], options].concat())
    }

    /// Forty blocks with traffic, made in a moment.
    pub(crate) fn busy(options: &[&str]) -> Self {
        let common = ["--block-time", "0.01", "--traffic", "300", "--batch-blocks", "4", "--blocks", "40"];
        Self::start(&[&common, options].concat())
    }

    /// The kinds of lies that there are.
    pub(crate) fn lies() -> Vec<String> {
        let output = Command::new(BINARY).args(["devnet", "--list-lies"]).output().expect("it runs");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        text.lines().map(|line| line.split(' ').next().expect("a word").to_owned()).collect()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.http)
    }

    /// `zk-replica run` of this chain, with a database of this name.
    pub(crate) fn command(&self, db: &str) -> Command {
        let file = |name: &str| self.folder.path().join(name);
        let mut command = Command::new(BINARY);
        command.arg("run").arg("--genesis").arg(file("genesis-allocs.json"));
        command.arg("--chain").arg(file("chainspec.json")).arg("--conf").arg(file("genesis-conf.json"));
        command.arg("--db").arg(file(db));
        command
    }

    pub(crate) fn follow(&self) -> Process {
        Process::start(self.command("db").args(["--stream", &self.stream]))
    }

    /// A replica that serves.
    pub(crate) fn replica(&self, db: &str, options: &[&str]) -> Replica {
        let mut command = self.command(db);
        let process = Process::start(command.args(["--http", "127.0.0.1:0"]).args(options));
        let served = process.behind("serving Web3 at http://");
        let http = served.split(' ').next().expect("a word").to_owned();
        Replica { process, http, db: self.folder.path().join(db) }
    }

    pub(crate) fn answer(&self, method: &str, params: Value) -> Value {
        call(&self.http, method, &params).expect("an answer")
    }

    pub(crate) fn ask(&self, method: &str, params: Value) -> Value {
        let answer = self.answer(method, params);
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    pub(crate) fn mine(&self, blocks: u64) -> u64 {
        number(&self.ask("devnet_mine", json!([blocks])))
    }

    /// Hash and state root of a block.
    pub(crate) fn block(&self, number: u64) -> (String, String) {
        let block = self.ask("eth_getBlockByNumber", json!([quantity(number), false]));
        let text = |name: &str| block[name].as_str().expect("text").to_owned();
        (text("hash"), text("stateRoot"))
    }

    /// The follower has told the block as the devnet has it.
    pub(crate) fn await_same(&self, follower: &Process, number: u64) {
        let (hash, root) = self.block(number);
        follower.line(&format!("block {number} state root {root} hash {hash}"));
    }
}

/// A replica that serves, and its database.
pub(crate) struct Replica {
    pub(crate) process: Process,
    pub(crate) http: String,
    pub(crate) db: PathBuf,
}

impl Replica {
    pub(crate) fn ask(&self, method: &str, params: Value) -> Value {
        let answer = call(&self.http, method, &params).expect("an answer");
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        get(&self.http, path).expect("an answer")
    }

    /// Waits until this is the latest block that it serves.
    pub(crate) fn await_head(&self, hash: &str) {
        let started = Instant::now();
        // Before its first block it answers with an error.
        let latest =
            || call(&self.http, "eth_getBlockByNumber", &json!(["latest", false])).unwrap_or_default();
        while latest()["result"]["hash"] != hash {
            assert!(started.elapsed() < PATIENCE, "{hash} does not come: {:#?}", self.process.lines());
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// What is answered to a JSON-RPC request; `None` when there is nobody.
pub(crate) fn call(address: &str, method: &str, params: &Value) -> Option<Value> {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
    serde_json::from_str(&exchange_json(address, &body)?).ok()
}

/// What is answered to any body; `None` when there is nobody.
pub(crate) fn exchange_json(address: &str, body: &str) -> Option<String> {
    let head = format!("POST / HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: {}", body.len());
    exchange(address, &head, body).map(|(_, body)| body)
}

/// Status and text of a page; `None` when there is nobody.
pub(crate) fn get(address: &str, path: &str) -> Option<(u16, String)> {
    exchange(address, &format!("GET {path} HTTP/1.1"), "")
}

fn exchange(address: &str, head: &str, body: &str) -> Option<(u16, String)> {
    let mut socket = TcpStream::connect(address).ok()?;
    socket.set_read_timeout(Some(PATIENCE)).ok()?;
    let request = format!("{head}\r\nhost: {address}\r\nconnection: close\r\n\r\n{body}");
    socket.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

pub(crate) fn quantity(number: u64) -> String {
    format!("{number:#x}")
}

pub(crate) fn number(value: &Value) -> u64 {
    let text = value.as_str().expect("a quantity");
    u64::from_str_radix(text.trim_start_matches("0x"), 16).expect("hex")
}
