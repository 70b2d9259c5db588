//! `zk-replica run --http`: what callers get, whatever they send, while the chain grows, rolls back and is lied about.
//!
//! No test is about speed: what is awaited has a minute.

use flate2::read::GzDecoder;
use hyper_tungstenite::tungstenite::{self, Message as Frame, WebSocket, protocol::frame::coding::CloseCode};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::Command,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use zk_replica_core::source::datastream::Message;
use zk_replica_tests::{Made, MainNode, PATIENCE, Plan, Process, Recording, Script, transaction, vectors};

/// A replica that serves, and what it follows.
struct Node {
    process: Process,
    address: String,
    _folder: TempDir,
}

impl Node {
    /// Follows `main` on the made chain.
    fn start(main: &MainNode, options: &[&str]) -> Self {
        let folder = TempDir::new().expect("a temporary directory");
        let (genesis, chain) = (folder.path().join("genesis.json"), folder.path().join("chain.json"));
        fs::write(&genesis, "{}").expect("written");
        fs::write(&chain, Made::spec()).expect("written");
        let mut command = Command::new(env!("CARGO_BIN_EXE_zk-replica"));
        command.arg("run").arg("--genesis").arg(genesis).arg("--chain").arg(chain);
        Self::run(command, folder, main, options)
    }

    fn run(mut command: Command, folder: TempDir, main: &MainNode, options: &[&str]) -> Self {
        command.args(["--http", "127.0.0.1:0", "--stream", &main.address()]).args(options);
        command.arg("--db").arg(folder.path().join("db"));
        let process = Process::start(&mut command);
        let served = process.behind("serving Web3 at http://");
        let address = served.split(' ').next().expect("a word").to_owned();
        Self { process, address, _folder: folder }
    }

    fn await_that(&mut self, what: &str, mut is: impl FnMut(&mut Self) -> bool) {
        let started = Instant::now();
        while !is(self) {
            let lines = self.process.lines();
            assert!(started.elapsed() < PATIENCE, "{what} does not come; said: {lines:#?}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn await_block(&mut self, block: u64) {
        let result = json!(format!("{block:#x}"));
        self.await_that(&format!("block {block}"), |node| {
            node.call("eth_blockNumber", &json!([])).get("result") == Some(&result)
        });
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        stream
    }

    /// One request on a connection of its own.
    fn send(&self, head: &str, body: &[u8]) -> Answer {
        let mut stream = self.connect();
        let head = format!("{head}\r\nhost: replica\r\nconnection: close\r\n");
        let length =
            if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
        // A body that is refused early may not be taken whole.
        drop(stream.write_all(&[format!("{head}{length}\r\n").as_bytes(), body].concat()));
        Answer::read(&mut BufReader::new(stream)).expect("an answer")
    }

    fn post(&self, body: &str) -> Answer {
        self.send("POST / HTTP/1.1\r\ncontent-type: application/json", body.as_bytes())
    }

    fn get(&self, path: &str) -> Answer {
        self.send(&format!("GET {path} HTTP/1.1"), b"")
    }

    fn call(&self, method: &str, params: &Value) -> Value {
        let answer = self.post(&request(method, params));
        answer.json()
    }

    fn socket(&self) -> Socket {
        self.try_socket("").expect("it upgrades")
    }

    fn try_socket(&self, origin: &str) -> Option<Socket> {
        let mut request =
            tungstenite::client::IntoClientRequest::into_client_request(format!("ws://{}/", self.address))
                .expect("a request");
        if !origin.is_empty() {
            request.headers_mut().insert("origin", origin.parse().expect("a value"));
        }
        let (socket, _) = tungstenite::client(request, self.connect()).ok()?;
        Some(Socket(socket))
    }

    fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").text();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no {name} in {text}")).parse().expect("a number")
    }

    fn stop(self) -> Option<i32> {
        self.process.stop("TERM")
    }
}

fn request(method: &str, params: &Value) -> String {
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string()
}

/// An answer over HTTP.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Answer {
    fn read(stream: &mut impl BufRead) -> Option<Self> {
        let mut line = String::new();
        stream.read_line(&mut line).ok().filter(|length| *length > 0)?;
        let status = line.split(' ').nth(1)?.parse().ok()?;
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).ok()?;
            match line.trim_end().split_once(": ") {
                Some((name, value)) => headers.insert(name.to_owned(), value.to_owned()),
                None => break,
            };
        }
        let mut body = Vec::new();
        if let Some(length) = headers.get("content-length") {
            body.resize(length.parse().ok()?, 0);
            stream.read_exact(&mut body).ok()?;
        } else if headers.get("transfer-encoding").is_some_and(|encoding| encoding == "chunked") {
            loop {
                let mut size = String::new();
                stream.read_line(&mut size).ok()?;
                let size = usize::from_str_radix(size.trim_end(), 16).ok()?;
                let mut chunk = vec![0; size + 2];
                stream.read_exact(&mut chunk).ok()?;
                body.extend_from_slice(&chunk[..size]);
                if size == 0 {
                    break;
                }
            }
        }
        Some(Self { status, headers, body })
    }

    fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("UTF-8")
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{self:?} is not JSON"))
    }

    fn code(&self) -> i64 {
        self.json()["error"]["code"].as_i64().unwrap_or_else(|| panic!("{self:?} is no error"))
    }
}

struct Socket(WebSocket<TcpStream>);

impl Socket {
    fn send(&mut self, text: &str) {
        self.0.send(Frame::text(text)).expect("it takes it");
    }

    fn next(&mut self) -> Value {
        loop {
            match self.0.read().expect("a message") {
                Frame::Text(text) => return serde_json::from_str(&text).expect("JSON"),
                Frame::Ping(_) | Frame::Pong(_) => {}
                other => panic!("{other:?} is no text"),
            }
        }
    }

    fn call(&mut self, method: &str, params: &Value) -> Value {
        self.send(&request(method, params));
        self.next()
    }

    /// Why it ends.
    fn end(mut self) -> Option<CloseCode> {
        loop {
            match self.0.read() {
                Ok(Frame::Close(frame)) => return frame.map(|frame| frame.code),
                Ok(_) => {}
                Err(_) => return None,
            }
        }
    }
}

/// A chain, and one that leaves it at block 61.
fn chains() -> (Script, Script) {
    let plan = Plan { blocks: 120, batch: 25, twist: None };
    (Made::by(plan).script(), Made::by(Plan { twist: Some(61), ..plan }).script())
}

fn up_to(script: &Script, block: u64) -> usize {
    if block == 0 {
        return script.position(|message| matches!(message, Message::L2Block(_))) + 1;
    }
    script.whole_block(block).end
}

/// The chain up to this block.
fn serve(script: &Script, block: u64) -> MainNode {
    MainNode::serve(&script.messages[..up_to(script, block)])
}

#[test]
fn answers_say_what_backs_them_over_both_ways() {
    let (script, _) = chains();
    let main = serve(&script, 50);
    let mut node = Node::start(&main, &[]);
    node.await_block(50);
    let call = |method: &str, minimum: &str| {
        let wish = json!({ "provenance": true, "minimum": minimum });
        json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": [], "zkReplica": wish })
    };
    let verified = call("eth_blockNumber", "verified");
    let (refused, word) = (call("eth_blockNumber", "virtual"), call("eth_gasPrice", "verified"));
    let batch = json!([verified, refused, word]).to_string();
    let mut socket = node.socket();
    socket.send(&batch);
    for answers in [node.post(&batch).json(), socket.next()] {
        let backing = &answers[0]["zkReplica"];
        assert_eq!((&answers[0]["result"], &backing["block"]), (&json!("0x32"), &json!("0x32")), "{answers}");
        assert_eq!((&backing["trust"], &backing["source"]), (&json!("verified"), &json!("execution")));
        for refused in [1, 2] {
            assert_eq!(answers[refused]["error"]["code"], -39002, "{answers}");
        }
    }
    node.post(&refused.to_string());
    assert!(
        node.metric("zk_replica_rpc_requests_total{method=\"eth_blockNumber\",outcome=\"-39002\"}") >= 1.0
    );
}

#[test]
fn each_page_and_each_verb_has_its_answer() {
    let (script, _) = chains();
    let main = serve(&script, 50);
    let mut node = Node::start(&main, &[]);
    node.await_block(50);
    node.await_that("readiness", |node| node.get("/readyz").status == 200);
    assert_eq!((node.get("/livez").status, node.get("/livez").text().as_str()), (200, "alive\n"));
    let home = node.get("/");
    assert_eq!((home.status, home.headers["content-type"].as_str()), (200, "text/plain; charset=utf-8"));
    assert!(home.text().starts_with("zk-replica serves Web3 here") && home.text().contains("no page"));
    assert_eq!(node.get("/config.json").status, 404);
    assert_eq!(node.get("/nothing").status, 404);
    let health = node.get("/health");
    assert_eq!((health.status, &health.json()["status"]), (200, &json!("ready")));
    let status = node.get("/status").json();
    assert_eq!((&status["chain_id"], &status["height"]), (&json!(Made::CHAIN_ID), &json!(50)));
    assert_eq!((&status["lag_blocks"], &status["mismatch"]), (&json!(0), &Value::Null));
    assert_eq!(status["head"]["number"], 50);

    for verb in ["PUT", "DELETE", "PATCH", "TRACE"] {
        let refused = node.send(&format!("{verb} / HTTP/1.1"), b"");
        assert_eq!((refused.status, refused.headers["allow"].as_str()), (405, "GET, HEAD, OPTIONS, POST"));
    }
    assert_eq!(node.status_of("HEAD /livez"), Some(200));
    let chain_id = request("eth_chainId", &json!([]));
    for content in
        ["", "\r\ncontent-type: application/json-rpc", "\r\ncontent-type: Application/JSON; charset=utf-8"]
    {
        let answer = node.send(&format!("POST / HTTP/1.1{content}"), chain_id.as_bytes());
        assert_eq!((answer.status, &answer.json()["result"]), (200, &json!("0x1092")), "{content}");
        assert_eq!(answer.headers["content-type"], "application/json");
    }
    let form = node.send("POST / HTTP/1.1\r\ncontent-type: text/plain", chain_id.as_bytes());
    assert_eq!((form.status, form.code()), (415, -32600));
    assert_eq!(node.send("POST /other HTTP/1.1", chain_id.as_bytes()).status, 404);
    assert_eq!(node.stop(), Some(130));
}

#[test]
fn requests_batches_and_garbage_are_answered() {
    let (script, _) = chains();
    let main = serve(&script, 50);
    let mut node = Node::start(&main, &["--rpc-max-batch", "3"]);
    node.await_block(50);
    let batch = node.post(
        r#"[{"id":1,"method":"eth_blockNumber"},{"method":"eth_blockNumber"},{"id":"x","method":"eth_none"}]"#,
    );
    assert_eq!(batch.json()[0]["result"], "0x32");
    assert_eq!((&batch.json()[1]["id"], &batch.json()[1]["error"]["code"]), (&json!("x"), &json!(-32601)));
    assert_eq!(batch.json().as_array().map(Vec::len), Some(2));
    let silent = node.post(r#"{"method":"eth_blockNumber"}"#);
    assert_eq!((silent.status, silent.text().as_str()), (200, ""));
    let deep = "[".repeat(100_000);
    for (garbage, code) in [
        ("", -32700),
        ("{", -32700),
        ("[]", -32600),
        ("null", -32600),
        (deep.as_str(), -32700),
        ("\u{0}", -32700),
        (r#"[{},{},{},{}]"#, -32600),
        (r#"{"id":1,"method":"eth_getBalance","params":[]}"#, -32602),
        (r#"{"id":1,"method":"eth_subscribe","params":["newHeads"]}"#, -32000),
    ] {
        let answer = node.post(garbage);
        assert_eq!((answer.status, answer.code()), (200, code), "{garbage:.40}");
    }
    let not_utf8 = node.send("POST / HTTP/1.1", &[0xff, 0xfe, b'{']);
    assert_eq!((not_utf8.status, not_utf8.code()), (200, -32700));
    let mut stream = node.connect();
    stream.write_all(b"\x16\x03\x01 nonsense\r\n\r\n").expect("it takes it");
    assert!(Answer::read(&mut BufReader::new(stream)).is_none_or(|answer| answer.status == 400));
    // Requests one behind the other on one connection, sent at once.
    let mut stream = node.connect();
    let one = request("eth_blockNumber", &json!([]));
    let one = format!("POST / HTTP/1.1\r\nhost: r\r\ncontent-length: {}\r\n\r\n{one}", one.len());
    stream.write_all(one.repeat(3).as_bytes()).expect("it takes it");
    let mut stream = BufReader::new(stream);
    for _ in 0..3 {
        assert_eq!(Answer::read(&mut stream).expect("an answer").json()["result"], "0x32");
    }
    assert_eq!(node.metric("zk_replica_panics_total"), 0.0);
}

#[test]
fn limits_hold() {
    let (script, _) = chains();
    let main = serve(&script, 50);
    let options = ["--http-max-body", "10000", "--ws-max-connections", "2", "--http-read-timeout", "300ms"];
    let mut node = Node::start(&main, &options);
    node.await_block(50);
    let large = node.post(&" ".repeat(10_001));
    assert_eq!((large.status, large.code()), (413, -32600));
    // The length is not said beforehand.
    let chunked = format!("3000\r\n{}\r\n0\r\n\r\n", " ".repeat(0x3000));
    let mut stream = node.connect();
    let head = "POST / HTTP/1.1\r\nhost: r\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n";
    drop(stream.write_all(format!("{head}{chunked}").as_bytes()));
    assert_eq!(Answer::read(&mut BufReader::new(stream)).expect("an answer").status, 413);
    // Who says nothing, or never ends, is disconnected.
    for beginning in
        ["", "POST / HTTP/1.1\r\nhost", "POST / HTTP/1.1\r\nhost: r\r\ncontent-length: 9\r\n\r\n{"]
    {
        let mut stream = node.connect();
        stream.write_all(beginning.as_bytes()).expect("it takes it");
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).expect("an end");
        assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 408"), "{beginning:?}");
    }
    // WebSocket: messages, and connections.
    let mut socket = node.socket();
    socket.send(&" ".repeat(10_001));
    assert_eq!(socket.end(), Some(CloseCode::Size));
    node.await_that("an end", |node| node.metric("zk_replica_websocket_connections") == 0.0);
    let sockets = [node.socket(), node.socket()];
    assert!(node.try_socket("").is_none());
    drop(sockets);
    node.await_that("room", |node| node.try_socket("").is_some());
    // HTTP: one too many is turned away, in words if there is time.
    let mut node = Node::start(&main, &["--http-max-connections", "4"]);
    let mut held = Vec::new();
    while let Some(status) = node.status_of("GET /livez").filter(|status| *status != 503) {
        assert_eq!(status, 200);
        assert!(held.len() < 100, "there is no limit");
        held.push(node.connect());
    }
    drop(held);
    node.await_that("room", |node| node.status_of("GET /livez") == Some(200));
}

#[test]
fn the_page_is_served_with_what_it_is_to_verify() {
    let main = serve(&chains().0, 3);
    let page = TempDir::new().expect("a temporary directory");
    fs::create_dir(page.path().join("fonts")).expect("made");
    let module = vec![7; 100_000];
    for (name, bytes) in [
        ("index.html", b"<!doctype html>".as_slice()),
        ("main.js", b"0"),
        ("zk-replica.wasm", &module),
        ("fonts/sans.woff2", b"1"),
    ] {
        fs::write(page.path().join(name), bytes).expect("written");
    }
    let folder = page.path().to_str().expect("UTF-8");
    let main_node = "https://rpc.example.org/v1";
    let mut node = Node::start(&main, &["--page", folder, "--page-main-node", main_node]);
    node.await_block(3);
    for (path, content, bytes) in [
        ("/", "text/html; charset=utf-8", b"<!doctype html>".as_slice()),
        ("/index.html", "text/html; charset=utf-8", b"<!doctype html>"),
        ("/main.js", "text/javascript; charset=utf-8", b"0"),
        ("/zk-replica.wasm", "application/wasm", &module),
        ("/fonts/sans.woff2", "font/woff2", b"1"),
        ("/chainspec.json", "application/json", Made::spec().as_bytes()),
        ("/genesis-allocs.json", "application/json", b"{}"),
    ] {
        let answer = node.get(path);
        assert_eq!((answer.status, answer.headers["content-type"].as_str()), (200, content), "{path}");
        assert_eq!(answer.body, bytes, "{path}");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff", "{path}");
    }
    assert_eq!(node.get("/").headers["content-security-policy"], "frame-ancestors 'none'");
    // It is packed once, and sent once to whoever keeps it.
    let asked = |header: &str| node.send(&format!("GET /zk-replica.wasm HTTP/1.1\r\n{header}"), b"");
    let packed = asked("accept-encoding: br, gzip");
    assert_eq!((packed.status, packed.headers["content-encoding"].as_str()), (200, "gzip"));
    let mut unpacked = Vec::new();
    GzDecoder::new(packed.body.as_slice()).read_to_end(&mut unpacked).expect("gzip");
    assert_eq!(unpacked, module);
    let tag = &packed.headers["etag"];
    let kept = asked(&format!("accept-encoding: gzip\r\nif-none-match: \"1\", {tag}"));
    assert_eq!((kept.status, kept.body.len()), (304, 0));
    assert_eq!(asked("if-none-match: \"1\"").body, module);
    assert_ne!(&node.get("/main.js").headers["etag"], tag);
    let config = node.get("/config.json").json();
    let expected =
        json!({ "mainNode": [main_node], "chain": "chainspec.json", "genesis": "genesis-allocs.json" });
    assert_eq!(config, expected);
    // Files of the directory, as they were: nothing else is looked for.
    fs::write(page.path().join("later.txt"), "2").expect("written");
    for path in
        ["/later.txt", "/fonts", "/fonts/", "/../index.html", "/fonts/../main.js", "//main.js", "/%2e%2e/x"]
    {
        assert_eq!(node.get(path).status, 404, "{path}");
    }
    // Without another one the tab asks this server. The L1 that it asks is not the one that is asked here.
    let (manager, l1) = (format!("0x{}", "1A".repeat(20)), "https://l1.example.org/");
    let options = ["--page", folder, "--page-l1", l1, "--rollup-manager", &manager, "--rollup-id", "7"];
    let own = Node::start(&main, &options);
    let config = own.get("/config.json").json();
    assert_eq!(config["mainNode"], json!(["./"]));
    let expected = json!(
        { "url": [l1], "rollupManager": manager.to_lowercase(), "rollupId": 7, "block": "finalized" }
    );
    assert_eq!(config["l1"], expected);
    assert_eq!(own.stop(), Some(130));
    // It is the same address as before for everybody else.
    assert_eq!(node.call("eth_blockNumber", &json!([]))["result"], "0x3");
    assert_eq!(node.get("/livez").status, 200);
    assert_eq!(node.stop(), Some(130));
}

#[test]
fn a_directory_without_the_page_is_an_error() {
    let main = serve(&chains().0, 3);
    let folder = TempDir::new().expect("a temporary directory");
    let said = |page: &Path, why: &str| {
        let (genesis, chain) = (folder.path().join("genesis.json"), folder.path().join("chain.json"));
        fs::write(&genesis, "{}").expect("written");
        fs::write(&chain, Made::spec()).expect("written");
        let mut command = Command::new(env!("CARGO_BIN_EXE_zk-replica"));
        command.arg("run").arg("--genesis").arg(genesis).arg("--chain").arg(chain);
        command.args(["--http", "127.0.0.1:0", "--stream", &main.address()]).arg("--page").arg(page);
        let output = command.arg("--db").arg(folder.path().join("db")).output().expect("it runs");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(why), "{error}");
    };
    said(folder.path(), "it has no index.html");
    said(&folder.path().join("nothing"), "cannot read");
}

impl Node {
    /// The status, if there is an answer at all.
    fn status_of(&self, request: &str) -> Option<u16> {
        let mut stream = self.connect();
        let request = format!("{request} HTTP/1.1\r\nhost: r\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).ok()?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).ok()?;
        line.split(' ').nth(1)?.parse().ok()
    }
}

#[test]
fn an_address_has_its_rate() {
    let (script, _) = chains();
    let main = serve(&script, 50);
    let page = TempDir::new().expect("a temporary directory");
    fs::write(page.path().join("index.html"), "<!doctype html>").expect("written");
    let folder = page.path().to_str().expect("UTF-8");
    let mut node = Node::start(&main, &["--http-rate", "5", "--page", folder]);
    // Pages for operators are not counted, those for everybody are: below.
    node.await_that("readiness", |node| node.get("/readyz").status == 200);
    let one = request("eth_chainId", &json!([]));
    let answers: Vec<Answer> = (0..20).map(|_| node.post(&one)).collect();
    let refused = answers.iter().find(|answer| answer.status == 429).expect("too many");
    assert_eq!(refused.code(), -32005);
    assert!(answers.iter().any(|answer| answer.status == 200));
    assert!((0..20).any(|_| node.get("/").status == 429));
    assert_eq!(node.get("/readyz").status, 200);
}

#[test]
fn web_pages_may_ask_as_configured() {
    let (script, _) = chains();
    let main = serve(&script, 50);
    let preflight = "OPTIONS / HTTP/1.1\r\norigin: https://a.example\r\naccess-control-request-method: POST\r\n\
                     access-control-request-headers: content-type";
    let all = Node::start(&main, &[]);
    let answer = all.send(preflight, b"");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["access-control-allow-origin"], "*");
    assert!(answer.headers["access-control-allow-methods"].contains("POST"));
    assert_eq!(answer.headers["access-control-allow-headers"], "content-type");
    assert!(all.try_socket("https://b.example").is_some());
    let one = Node::start(&main, &["--http-origin", "https://a.example"]);
    assert_eq!(one.send(preflight, b"").headers["access-control-allow-origin"], "https://a.example");
    let other = one.send(&preflight.replace("a.example", "b.example"), b"");
    assert_eq!(other.headers.get("access-control-allow-origin"), None);
    assert!(one.try_socket("https://b.example").is_none());
    assert!(one.try_socket("https://a.example").is_some());
    assert!(one.try_socket("").is_some());
}

#[test]
fn large_answers_are_compressed_when_asked() {
    let (script, _) = chains();
    let main = serve(&script, 50);
    let mut node = Node::start(&main, &[]);
    node.await_block(50);
    let body = request("eth_getBlockByNumber", &json!(["0x32", true]));
    let plain = node.post(&body);
    assert_eq!(plain.headers.get("content-encoding"), None);
    let packed = node
        .send("POST / HTTP/1.1\r\naccept-encoding: gzip\r\ncontent-type: application/json", body.as_bytes());
    assert_eq!(packed.headers["content-encoding"], "gzip");
    let mut text = String::new();
    GzDecoder::new(packed.body.as_slice()).read_to_string(&mut text).expect("gzip");
    assert_eq!(text, plain.text());
    let small = request("eth_chainId", &json!([]));
    let small = node.send("POST / HTTP/1.1\r\naccept-encoding: gzip", small.as_bytes());
    assert_eq!(small.headers.get("content-encoding"), None);
}

#[test]
fn before_the_first_block_it_is_not_ready() {
    let main = MainNode::serve(&[]);
    let node = Node::start(&main, &[]);
    let ready = node.get("/readyz");
    assert_eq!((ready.status, ready.text().as_str()), (503, "no block is verified yet\n"));
    let answer = node.post(&request("eth_blockNumber", &json!([])));
    assert_eq!((answer.status, &answer.json()["error"]["message"]), (503, &json!("not ready")));
    assert_eq!(node.call("eth_chainId", &json!([]))["result"], "0x1092");
    assert_eq!(node.get("/health").json()["status"], "not_ready");
    assert_eq!(node.stop(), Some(130));
}

#[test]
fn a_mismatch_is_told_and_the_last_true_block_served() {
    let (script, _) = chains();
    let main = serve(&script, 80);
    let mut lie = script.clone();
    lie.block(81).hash.0[0] ^= 1;
    let mut node = Node::start(&main, &[]);
    node.await_block(80);
    node.await_that("readiness", |node| node.get("/readyz").status == 200);
    assert_eq!(node.call("eth_syncing", &json!([]))["result"], false);
    let (from, to) = (up_to(&script, 80), up_to(&script, 81));
    main.append(&lie.messages[from..to]);
    node.await_that("an alarm", |node| node.get("/readyz").status == 503);
    assert!(node.get("/readyz").text().starts_with("mismatch at block 81"), "{}", node.get("/readyz").text());
    let status = node.get("/status").json();
    assert_eq!((&status["mismatch"]["block"], &status["status"]), (&json!(81), &json!("affected")));
    assert_eq!(status["mismatch"]["claim"], "block hash");
    assert_ne!(node.call("eth_syncing", &json!([]))["result"], false);
    assert_eq!(node.call("eth_blockNumber", &json!([]))["result"], "0x50");
    assert_eq!((node.metric("zk_replica_mismatch"), node.metric("zk_replica_mismatches_total")), (1.0, 1.0));
    assert_eq!(node.get("/health").status, 200);

    main.replace(&script.messages);
    node.await_block(120);
    node.await_that("readiness", |node| node.get("/readyz").status == 200);
    let status = node.get("/status").json();
    assert_eq!((&status["mismatch"], &status["last_mismatch"]["block"]), (&Value::Null, &json!(81)));
    assert_eq!(node.call("eth_syncing", &json!([]))["result"], false);
    assert_eq!(node.metric("zk_replica_mismatch"), 0.0);
}

#[test]
fn without_the_main_node_it_serves_and_says_that_it_is_stale() {
    let (script, _) = chains();
    let main = serve(&script, 50);
    let mut node = Node::start(&main, &["--stale-after", "200ms"]);
    node.await_block(50);
    node.await_that("readiness", |node| node.get("/readyz").status == 200);
    drop(main);
    node.await_that("staleness", |node| node.get("/readyz").status == 503);
    assert!(node.get("/readyz").text().starts_with("stale: block 50"), "{}", node.get("/readyz").text());
    assert_eq!(node.call("eth_blockNumber", &json!([]))["result"], "0x32");
    assert_eq!(node.get("/status").json()["connected"], false);
}

#[test]
fn subscribers_hear_of_each_block_and_of_a_roll_back() {
    let (script, branch) = chains();
    let main = serve(&script, 50);
    let mut node = Node::start(&main, &[]);
    node.await_block(50);
    let mut socket = node.socket();
    assert_eq!(socket.call("eth_blockNumber", &json!([]))["result"], "0x32");
    socket.send("[");
    assert_eq!(socket.next()["error"]["code"], -32700);
    socket.send(r#"[{"id":1,"method":"net_version"},{"id":2,"method":"eth_chainId"}]"#);
    assert_eq!(socket.next()[0]["result"], "4242");
    let id = socket.call("eth_subscribe", &json!(["newHeads"]))["result"].clone();
    assert!(id.is_string());
    let filter = socket.call("eth_newBlockFilter", &json!([]))["result"].clone();
    for block in 51..=70 {
        main.append(&script.messages[up_to(&script, block - 1)..up_to(&script, block)]);
        let told = socket.next();
        assert_eq!(told["method"], "eth_subscription", "{told}");
        assert_eq!(told["params"]["subscription"], id);
        assert_eq!(told["params"]["result"]["number"], format!("{block:#x}"));
    }
    assert_eq!(
        node.call("eth_getFilterChanges", &json!([filter]))["result"].as_array().map(Vec::len),
        Some(20)
    );
    let before = node.call("eth_getBlockByNumber", &json!(["0x46", false]))["result"]["hash"].clone();
    main.replace(&branch.messages[..up_to(&branch, 75)]);
    for block in 61..=75 {
        let told = socket.next();
        assert_eq!(told["params"]["result"]["number"], format!("{block:#x}"), "{told}");
        assert_ne!(told["params"]["result"]["hash"], before);
    }
    assert_eq!(node.metric("zk_replica_reorgs_total"), 1.0);
    assert_eq!(socket.call("eth_unsubscribe", &json!([id]))["result"], true);
    main.append(&branch.messages[up_to(&branch, 75)..up_to(&branch, 80)]);
    node.await_block(80);
    assert_eq!(socket.call("eth_blockNumber", &json!([]))["result"], "0x50");
    // The server's end is told to those that listen.
    assert_eq!(node.stop(), Some(130));
    assert_eq!(socket.end(), Some(CloseCode::Away));
}

/// What a main node's JSON-RPC does.
#[derive(Clone, Debug)]
enum Manner {
    /// It answers with this result.
    Result(Value),
    /// It answers with this error.
    Error(Value),
    /// It takes the request, and says nothing.
    Hang,
    /// It says something else.
    Raw(&'static str),
}

/// A main node's JSON-RPC.
struct Upstream {
    address: String,
    manner: Arc<Mutex<Manner>>,
    heard: Arc<Mutex<Vec<Value>>>,
}

impl Upstream {
    fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let (manner, heard) = (Arc::new(Mutex::new(manner)), Arc::new(Mutex::new(Vec::new())));
        let upstream = Self { address, manner: Arc::clone(&manner), heard: Arc::clone(&heard) };
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (manner, heard) = (Arc::clone(&manner), Arc::clone(&heard));
                thread::spawn(move || Self::answer(stream, &manner, &heard));
            }
        });
        upstream
    }

    fn answer(stream: TcpStream, manner: &Mutex<Manner>, heard: &Mutex<Vec<Value>>) {
        let mut reader = BufReader::new(stream.try_clone().expect("a copy"));
        loop {
            let mut length = 0;
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).is_ok_and(|length| length == 0) {
                    return;
                }
                let line = line.trim_end().to_ascii_lowercase();
                if let Some(value) = line.strip_prefix("content-length: ") {
                    length = value.parse().expect("a length");
                }
                if line.is_empty() {
                    break;
                }
            }
            let mut body = vec![0; length];
            if reader.read_exact(&mut body).is_err() {
                return;
            }
            let request: Value = serde_json::from_slice(&body).expect("JSON");
            let id = request["id"].clone();
            heard.lock().expect("not poisoned").push(request);
            let body = match manner.lock().expect("not poisoned").clone() {
                Manner::Result(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }).to_string(),
                Manner::Error(error) => json!({ "jsonrpc": "2.0", "id": id, "error": error }).to_string(),
                Manner::Hang => continue,
                Manner::Raw(text) => text.to_owned(),
            };
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            if (&stream).write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn behave(&self, manner: Manner) {
        *self.manner.lock().expect("not poisoned") = manner;
    }

    /// How often a method was asked for.
    fn count(&self, method: &str) -> usize {
        self.heard.lock().expect("not poisoned").iter().filter(|request| request["method"] == method).count()
    }
}

#[test]
fn transactions_are_forwarded_and_answers_looked_at() {
    let (script, _) = chains();
    let main = serve(&script, 50);
    let upstream = Upstream::start(Manner::Hang);
    let mut node = Node::start(&main, &["--main-node", &upstream.url(), "--forward-timeout", "300ms"]);
    node.await_block(50);
    let send = |node: &Node, raw: &str| node.call("eth_sendRawTransaction", &json!([raw]));
    let failed = "failed to relay tx to the sequencer node";

    let (hash, sender, raw) = transaction(Made::CHAIN_ID, 0);
    upstream.behave(Manner::Result(json!(hash)));
    assert_eq!(send(&node, &raw)["result"], json!(hash));
    // Pending from now on.
    upstream.behave(Manner::Hang);
    assert_eq!(node.call("eth_getTransactionCount", &json!([sender, "pending"]))["result"], "0x1");
    assert_eq!(node.call("eth_getTransactionCount", &json!([sender, "latest"]))["result"], "0x0");
    assert_eq!(node.call("eth_getTransactionByHash", &json!([hash]))["result"]["blockHash"], Value::Null);
    assert_eq!(node.call("eth_getTransactionByHash", &json!([hash]))["result"]["hash"], json!(hash));

    // Nobody knows what has become of these.
    for (nonce, manner) in [
        (1, Manner::Hang),
        (2, Manner::Raw("<html>no</html>")),
        (3, Manner::Raw(r#"{"jsonrpc":"2.0","id":1}"#)),
        // Another transaction's hash.
        (4, Manner::Result(json!(hash))),
    ] {
        let (_, _, raw) = transaction(Made::CHAIN_ID, nonce);
        upstream.behave(manner);
        let answer = send(&node, &raw);
        assert_eq!((&answer["error"]["code"], &answer["error"]["message"]), (&json!(-32000), &json!(failed)));
    }
    let refusal = json!({ "code": -32000, "message": "nonce too high", "data": "0x01" });
    upstream.behave(Manner::Error(refusal.clone()));
    let (refused, _, raw) = transaction(Made::CHAIN_ID, 9);
    assert_eq!(send(&node, &raw)["error"], refusal);
    assert_eq!(node.call("eth_getTransactionByHash", &json!([refused]))["error"], refusal);
    // What cannot be right is not sent at all.
    let sent = upstream.count("eth_sendRawTransaction");
    let (_, _, elsewhere) = transaction(1, 0);
    assert_eq!(send(&node, &elsewhere)["error"]["message"], "invalid chain id, expected: 4242 got: 1");
    assert_eq!(upstream.count("eth_sendRawTransaction"), sent);
    let text = node.get("/metrics").text();
    for outcome in ["ok", "error", "no answer"] {
        let sample =
            format!(r#"zk_replica_forwarded_total{{method="eth_sendRawTransaction",outcome="{outcome}"}}"#);
        assert!(text.contains(&sample), "{sample}: {text}");
    }
}

#[test]
fn the_gas_price_is_asked_seldom_and_remembered() {
    let (script, _) = chains();
    let main = serve(&script, 50);
    let (down, upstream) = (Upstream::start(Manner::Hang), Upstream::start(Manner::Result(json!("0x7"))));
    // The first hangs: the second is asked, and from then on asked first.
    let options = ["--main-node", &down.url(), "--main-node", &upstream.url(), "--forward-timeout", "300ms"];
    let mut node = Node::start(&main, &options);
    node.await_block(50);
    for _ in 0..10 {
        assert_eq!(node.call("eth_gasPrice", &json!([]))["result"], "0x7");
    }
    assert!(upstream.count("eth_gasPrice") <= 2, "{}", upstream.count("eth_gasPrice"));
    upstream.behave(Manner::Raw("no"));
    let asked = upstream.count("eth_gasPrice");
    node.await_that("another question", |node| {
        assert_eq!(node.call("eth_gasPrice", &json!([]))["result"], "0x7");
        upstream.count("eth_gasPrice") > asked
    });
    let height = r#"zk_replica_forwarded_total{method="eth_blockNumber""#;
    let asks_height = |node: &Node| node.get("/metrics").text().contains(height);
    assert!(asks_height(&node));
    let mut strict = Node::start(&main, &["--main-node", &upstream.url(), "--strict"]);
    strict.await_block(50);
    assert!(!asks_height(&strict));
    let asked = upstream.count("eth_gasPrice");
    assert_eq!(strict.call("eth_gasPrice", &json!([]))["error"]["code"], -32000);
    assert_eq!(upstream.count("eth_gasPrice"), asked);
}

#[test]
fn an_unknown_fate_is_settled_by_sending_again() {
    let (script, _) = chains();
    let main = serve(&script, 50);
    let upstream = Upstream::start(Manner::Raw("down"));
    let mut node = Node::start(&main, &["--main-node", &upstream.url()]);
    node.await_block(50);
    let (hash, _, raw) = transaction(Made::CHAIN_ID, 0);
    assert_eq!(node.call("eth_sendRawTransaction", &json!([raw]))["error"]["code"], -32000);
    upstream.behave(Manner::Result(json!(hash)));
    let sent = upstream.count("eth_sendRawTransaction");
    node.await_that("another attempt", |_| upstream.count("eth_sendRawTransaction") > sent);
    let heard = upstream.heard.lock().expect("not poisoned").clone();
    let again = heard.iter().rfind(|request| request["method"] == "eth_sendRawTransaction");
    assert_eq!(again.expect("sent")["params"], json!([raw]));
}

#[test]
fn logs_are_one_json_object_each_when_asked() {
    let (script, _) = chains();
    let main = serve(&script, 50);
    let mut node = Node::start(&main, &["--log-format", "json", "--log-level", "debug"]);
    node.await_block(50);
    node.await_that("the tip", |node| node.process.count("at the tip") > 0);
    let lines = node.process.lines();
    let logged: Vec<&String> = lines.iter().filter(|line| !line.starts_with("block ")).collect();
    for line in &logged {
        let line: Value = serde_json::from_str(line).expect("JSON");
        assert!(
            line["timestamp"].is_string() && line["level"].is_string() && line["message"].is_string(),
            "{line}"
        );
    }
    let tip = logged.iter().find(|line| line.contains("at the tip")).expect("said");
    let tip: Value = serde_json::from_str(tip).expect("JSON");
    assert_eq!((&tip["event"], &tip["block"]), (&json!("at the tip"), &json!(50)));
}

#[test]
fn the_recorded_chain_is_served_while_it_is_verified() {
    let Some(vectors) = vectors("the_recorded_chain_is_served_while_it_is_verified") else {
        return;
    };
    let script = Script::read(&Recording::load(&vectors).stream);
    let main = MainNode::serve(&script.messages);
    let inputs = vectors.join("recorded-chain");
    let mut command = Command::new(env!("CARGO_BIN_EXE_zk-replica"));
    command.arg("run");
    for (option, file) in
        [("--genesis", "genesis-allocs.json"), ("--chain", "chainspec.json"), ("--conf", "genesis-conf.json")]
    {
        command.arg(option).arg(inputs.join(file));
    }
    let mut node = Node::run(command, TempDir::new().expect("a temporary directory"), &main, &[]);
    let mut last = 0;
    while last < 11_317 {
        let answer = node.call("eth_getBlockByNumber", &json!(["latest", true]));
        let Some(number) = answer["result"]["number"].as_str() else {
            assert_eq!(answer["error"]["message"], "not ready", "{answer}");
            continue;
        };
        let number = u64::from_str_radix(&number[2..], 16).expect("a number");
        assert!(number >= last);
        last = number;
        let state_root = &answer["result"]["stateRoot"];
        let mut script = script.clone();
        assert_eq!(*state_root, json!(script.block(number).state_root), "{number}");
    }
    node.await_that("readiness", |node| node.get("/readyz").status == 200);
    let hash = "0x665b0524c9f185680ff4669a93adda8a962eb04c6bae55f5c4c54fd8820b5c75";
    assert_eq!(node.call("eth_getBlockByNumber", &json!(["0x3e8", false]))["result"]["hash"], hash);
    // Genesis is one of them.
    assert_eq!(node.metric("zk_replica_blocks_verified_total"), 11_318.0);
    assert_eq!(node.metric("zk_replica_head_block"), 11_317.0);
    assert_eq!(node.metric("zk_replica_at_tip"), 1.0);
    let text = node.get("/metrics").text();
    assert!(
        text.contains(r#"zk_replica_rpc_requests_total{method="eth_getBlockByNumber",outcome="ok"}"#),
        "{text}"
    );
    assert!(text.ends_with("# EOF\n"));
    assert_eq!(node.stop(), Some(130));
}
