//! Requests a second and their slowest hundredth, at 64 connections, while blocks are being verified; beside a server that
//! only answers.
//!
//! Everything runs on this machine: a main node that makes a block with transactions every second, a replica that verifies
//! them, and the clients. The bare server is hyper as well, and gives an answer of the same length: what is slower than
//! it is the replica's work, and how much it is says the ratio.
#![allow(
    clippy::std_instead_of_alloc,
    reason = "a host has std, and one name for each item is easier to read"
)]
#![allow(clippy::print_stdout, reason = "a benchmark's result is what it prints")]

use core::convert::Infallible;
use core::time::Duration;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::env;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Instant;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Connections that ask at the same time, each one question after the other.
const CONNECTIONS: usize = 64;

/// How long each turn lasts, and how many there are: the two servers take turns, and the best of each counts.
const TURN: Duration = Duration::from_secs(2);
const TURNS: usize = 3;

#[tokio::main]
async fn main() {
    let demo = Demo::start();
    let mut asking = Asking::open(demo.rpc).await;
    let token = asking.wait_for_token().await;
    let before = asking.height().await;

    println!(
        "{CONNECTIONS} connections, best of {TURNS} turns of {} s, while a devnet's blocks are verified:",
        TURN.as_secs()
    );
    println!(
        "{:>44} {:>10} {:>9} {:>12} {:>9} {:>7}",
        "", "requests/s", "p99", "bare hyper/s", "p99", "ratio"
    );
    for (name, params) in methods(&token) {
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": name, "params": params }).to_string();
        let answer = asking.ask(&request).await;
        assert!(answer.get("result").is_some(), "{name}: {answer}");
        let bare = bare_server(answer.to_string().into()).await;
        let (mut ours, mut floor) = (Load::default(), Load::default());
        for _ in 0..TURNS {
            ours.better(load(demo.rpc, &request).await);
            floor.better(load(bare, &request).await);
        }
        println!(
            "{name:>44} {:>10.0} {:>6.1} ms {:>12.0} {:>6.1} ms {:>7.2}",
            ours.rate,
            ours.slowest_hundredth.as_secs_f64() * 1e3,
            floor.rate,
            floor.slowest_hundredth.as_secs_f64() * 1e3,
            ours.rate / floor.rate,
        );
    }
    let after = asking.height().await;
    println!("  blocks verified meanwhile: {}", after - before);
    assert!(after > before, "no block was verified while requests were answered");
}

/// `zk-replica demo`: a main node that makes blocks, and a replica that verifies them and serves Web3.
struct Demo {
    process: Child,
    /// Where the replica serves.
    rpc: SocketAddr,
}

impl Demo {
    fn start() -> Self {
        let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/release/zk-replica");
        let program = env::var_os("ZK_REPLICA").map_or(built, PathBuf::from);
        let mut process = Command::new(&program)
            .args(["demo", "--http", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| unreachable!("{}: {error}", program.display()));
        let mut lines = BufReader::new(process.stderr.take().expect("piped")).lines().map_while(Result::ok);
        let rpc = lines.find_map(|line| {
            let (_, address) = line.split_once("serving Web3 at http://")?;
            address.split_whitespace().next()?.parse().ok()
        });
        // Whoever does not read makes the other wait.
        thread::spawn(move || lines.for_each(drop));
        Self { process, rpc: rpc.expect("the replica says where it serves") }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // By SIGTERM it removes its files.
        let id = self.process.id().to_string();
        drop(Command::new("kill").arg(id).status());
        drop(self.process.wait());
    }
}

/// What wallets and explorers ask most.
fn methods(token: &Token) -> [(&'static str, Value); 4] {
    let mut balance_of = String::from("0x70a08231000000000000000000000000");
    balance_of.push_str(token.holder.trim_start_matches("0x"));
    [
        ("eth_blockNumber", json!([])),
        ("eth_getBalance", json!([token.holder, "latest"])),
        ("eth_call", json!([{ "to": token.address, "data": balance_of }, "latest"])),
        ("eth_getLogs", json!([{ "fromBlock": "0x0", "toBlock": token.block, "address": token.address }])),
    ]
}

/// A contract that has emitted a log, and somebody who has a part of it.
struct Token {
    address: String,
    holder: String,
    block: String,
}

/// A connection for single questions.
struct Asking {
    sender: SendRequest<Full<Bytes>>,
    server: SocketAddr,
}

impl Asking {
    async fn open(server: SocketAddr) -> Self {
        Self { sender: connect(server).await, server }
    }

    async fn ask(&mut self, request: &str) -> Value {
        serde_json::from_slice(&ask(&mut self.sender, self.server, request).await).expect("an answer is JSON")
    }

    async fn height(&mut self) -> u64 {
        let answer = self.ask(r#"{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber"}"#).await;
        let number = answer["result"].as_str().and_then(|text| text.strip_prefix("0x"));
        number.and_then(|digits| u64::from_str_radix(digits, 16).ok()).expect("a block number")
    }

    /// Waits until a token of the devnet's traffic has moved.
    async fn wait_for_token(&mut self) -> Token {
        /// keccak256("Transfer(address,address,uint256)")
        const TRANSFER: &str = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef";
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_getLogs",
            "params": [{ "fromBlock": "0x0", "topics": [TRANSFER] }] });
        for _ in 0..600 {
            let answer = self.ask(&request.to_string()).await;
            let logs = answer["result"].as_array().map_or(&[][..], Vec::as_slice);
            if let Some(log) = logs.get(20) {
                let text = |value: &Value| value.as_str().expect("text").to_owned();
                let holder = text(&log["topics"][2]);
                return Token {
                    address: text(&log["address"]),
                    holder: format!("0x{}", &holder[26..]),
                    block: text(&log["blockNumber"]),
                };
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        unreachable!("the devnet's traffic has a token")
    }
}

#[derive(Default)]
struct Load {
    /// Requests a second.
    rate: f64,
    slowest_hundredth: Duration,
}

impl Load {
    fn better(&mut self, other: Self) {
        if other.rate > self.rate {
            *self = other;
        }
    }
}

/// Asks the same on all connections for a turn.
async fn load(server: SocketAddr, request: &str) -> Load {
    let mut clients = JoinSet::new();
    let start = Instant::now();
    for _ in 0..CONNECTIONS {
        let request = request.to_owned();
        clients.spawn(async move {
            let mut sender = connect(server).await;
            let mut times = Vec::new();
            while start.elapsed() < TURN {
                let asked = Instant::now();
                ask(&mut sender, server, &request).await;
                times.push(asked.elapsed());
            }
            times
        });
    }
    let mut times = clients.join_all().await.concat();
    let seconds = start.elapsed().as_secs_f64();
    times.sort_unstable();
    Load {
        rate: times.len() as f64 / seconds,
        slowest_hundredth: times.get(times.len() * 99 / 100).copied().unwrap_or_default(),
    }
}

async fn connect(server: SocketAddr) -> SendRequest<Full<Bytes>> {
    let socket = TcpStream::connect(server).await.expect("the server listens");
    socket.set_nodelay(true).expect("a socket");
    let (sender, connection) = handshake(TokioIo::new(socket)).await.expect("HTTP");
    tokio::spawn(connection);
    sender
}

async fn ask(sender: &mut SendRequest<Full<Bytes>>, server: SocketAddr, body: &str) -> Bytes {
    let request = Request::post("/")
        .header(HOST, server.to_string())
        .header(CONTENT_TYPE, "application/json")
        .body(Full::from(body.to_owned()))
        .expect("a request");
    let response = sender.send_request(request).await.expect("an answer");
    let (status, body) =
        (response.status(), response.into_body().collect().await.expect("a body").to_bytes());
    // Before its first block it says that it is not ready.
    let answered = status.is_success() || body.windows(9).any(|words| words == b"not ready");
    assert!(answered, "{status}: {}", String::from_utf8_lossy(&body));
    body
}

/// Reads each request, and gives the same answer.
async fn bare_server(answer: Bytes) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let answer = answer.clone();
            socket.set_nodelay(true).expect("a socket");
            let service = service_fn(move |request: Request<Incoming>| {
                let answer = answer.clone();
                async move {
                    drop(request.into_body().collect().await);
                    Ok::<_, Infallible>(
                        Response::builder()
                            .header(CONTENT_TYPE, "application/json")
                            .body(Full::new(answer))
                            .expect("a response"),
                    )
                }
            });
            tokio::spawn(
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service),
            );
        }
    });
    address
}
