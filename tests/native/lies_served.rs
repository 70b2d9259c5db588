//! Each lie of the devnet, told to a replica that follows the data stream and to one that has nothing but JSON-RPC, while
//! callers look: the replica stops where the lie is, says so wherever it can be seen, and serves none of it.

use crate::harness::{BINARY, Devnet, Replica, call, number, quantity, wait};
use hyper_tungstenite::tungstenite::{self, Message};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    net::TcpStream,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::{self, Sender},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// The last block of a devnet.
const LAST: u64 = 40;
/// Lies are told from this block on.
const FIRST: u64 = 9;
/// Replicas do not wait for long before they try again.
const OPTIONS: [&str; 2] = ["--retry-longest=200ms", "--poll-interval=50ms"];

#[test]
fn each_lie_is_caught_where_it_is_told_and_never_served() {
    let kinds = Devnet::lies();
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
    let devnet = Devnet::busy(&["--fork", fork, "--lie", &format!("{kind}@{FIRST}")]);
    let url = devnet.url();
    let sources = [("stream", ["--stream", devnet.stream.as_str()]), ("rpc", ["--main-node", &url])];
    let replicas = sources.map(|(db, source)| devnet.replica(db, &[source, OPTIONS].concat()));
    let callers = replicas.each_ref().map(|replica| Callers::look(&replica.http));

    devnet.process.line(&format!("made block {LAST} "));
    let lie = devnet.ask("devnet_lies", json!([]))[0].clone();
    assert_eq!(lie["kind"], kind);
    assert!(lie["toldAt"].as_u64().is_some_and(|told| told >= FIRST), "{kind}: {lie}");
    let [stream, rpc] = &replicas;
    finds_wrong(stream, &lie, &format!("{kind} on the stream"));
    let case = format!("{kind} over JSON-RPC");
    match (lie["overRpc"]["untold"].as_str(), lie["overRpc"]["unsound"].as_str()) {
        (Some(_), _) => drop(rpc.process.line(&format!("block {LAST} state root "))),
        (_, Some(words)) => loses(rpc, &lie, words, &case),
        _ => finds_wrong(rpc, &lie, &case),
    }

    devnet.ask("devnet_honest", json!([]));
    let (hash, _) = devnet.block(LAST);
    for (replica, callers) in replicas.iter().zip(callers) {
        replica.await_head(&hash);
        wait("readiness", || (replica.get("/readyz").0 == 200).then_some(()));
        assert_eq!(replica.ask("eth_syncing", json!([])), json!(false), "{kind}");
        callers.heard_the_truth(&devnet, kind);
        assert!(replica.process.count("mismatch at") <= 1, "{kind}: {:#?}", replica.process.lines());
    }
    for replica in replicas {
        assert_eq!(replica.process.stop("TERM"), Some(130), "{kind}");
    }
}

/// The replica names the block and the claim, everywhere, and has evidence.
fn finds_wrong(replica: &Replica, lie: &Value, case: &str) {
    let (block, claim) = (&lie["caughtAt"], lie["claim"].as_str().expect("text"));
    let line = replica.process.line("mismatch at block ");
    let said = line.split("mismatch at ").nth(1).expect("it has them");
    assert!(said.starts_with(&format!("block {block} (batch ")), "{case}: {line}");
    assert_eq!(said.split(": ").nth(1), Some(claim), "{case}: {line}");
    stands_still(replica, lie, &format!("mismatch at block {block} "), case);

    let status: Value = serde_json::from_str(&replica.get("/status").1).expect("JSON");
    assert_eq!((&status["status"], &status["mismatch"]["block"]), (&json!("affected"), block), "{case}");
    assert_eq!(status["mismatch"]["claim"], claim, "{case}");
    let metrics = replica.get("/metrics").1;
    assert!(metrics.lines().any(|line| line.ends_with("_mismatch 1")), "{case}: {metrics}");

    let evidence = replica.process.behind("evidence: ");
    let (file, _) = evidence.rsplit_once(" (").expect("its size");
    let check = Command::new(BINARY).args(["evidence", "check", file]).output().expect("it runs");
    let said = String::from_utf8(check.stdout).expect("UTF-8");
    assert_eq!(check.status.code(), Some(0), "{case}: {evidence}: {said}");
    assert!(said.starts_with(&format!("the main node is wrong: block {block} ")), "{case}: {said}");
    assert!(said.contains(&format!(": {claim}: expected ")), "{case}: {said}");
}

/// The replica finds that the main node contradicts itself.
fn loses(replica: &Replica, lie: &Value, words: &str, case: &str) {
    wait(case, || {
        replica.process.lines().into_iter().find(|line| line.contains("lost") && line.contains(words))
    });
    stands_still(replica, lie, words, case);
    assert_eq!(replica.process.count("mismatch"), 0, "{case}: {:#?}", replica.process.lines());
}

/// The last true block stays the latest, and callers can see that something is wrong.
fn stands_still(replica: &Replica, lie: &Value, words: &str, case: &str) {
    let told = lie["toldAt"].as_u64().expect("a number");
    // The end of a batch is wrong behind its last block, which is true.
    let behind = ["batch-state-root", "local-exit-root", "batch-end-number", "exit-root-update"];
    let last = if behind.iter().any(|kind| lie["kind"] == *kind) { told } else { told - 1 };
    assert_eq!(replica.ask("eth_blockNumber", json!([])), json!(quantity(last)), "{case}");
    let (status, reason) = replica.get("/readyz");
    assert!(status == 503 && reason.contains(words), "{case}: {status} {reason}");
    assert_ne!(replica.ask("eth_syncing", json!([])), json!(false), "{case}");
}

/// Callers who ask and listen for as long as the replica runs, and remember what they heard.
struct Callers {
    stop: Arc<AtomicBool>,
    asking: JoinHandle<BTreeSet<Heard>>,
    listening: JoinHandle<Vec<Value>>,
    /// When listening began, no head was left to hear of.
    late: bool,
}

/// Method, parameters, result.
type Heard = (&'static str, String, String);

impl Callers {
    fn look(address: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (address, done) = (address.to_owned(), Arc::clone(&stop));
        let asking = thread::spawn({
            let (address, done) = (address.clone(), Arc::clone(&done));
            move || {
                let mut heard = BTreeSet::new();
                while !done.load(Ordering::Relaxed) {
                    ask(&address, &mut heard);
                    thread::sleep(Duration::from_millis(10));
                }
                heard
            }
        });
        let (begin, begun) = mpsc::channel();
        let listener = address.clone();
        let listening = thread::spawn(move || listen(&listener, &begin, &done));
        begun.recv().expect("it subscribes");
        let late = call(&address, "eth_blockNumber", &json!([]))
            .is_none_or(|answer| answer["result"] == json!(quantity(LAST)));
        Self { stop, asking, listening, late }
    }

    /// The devnet, which is honest again, says the same of all that was heard.
    fn heard_the_truth(self, devnet: &Devnet, kind: &str) {
        self.stop.store(true, Ordering::Relaxed);
        let heard = self.asking.join().expect("it asks to the end");
        assert!(heard.len() > 10, "{kind}: {heard:?}");
        for (method, params, result) in heard {
            let truth = devnet.ask(method, serde_json::from_str(&params).expect("JSON"));
            assert_eq!(result, truth.to_string(), "{kind}: {method} {params}");
        }
        let heads = self.listening.join().expect("it listens to the end");
        let last = heads.last().map(|head| number(&head["number"]));
        assert!(last == Some(LAST) || (self.late && last.is_none()), "{kind}: {last:?}");
        for head in heads {
            let truth = devnet.ask("eth_getBlockByNumber", json!([head["number"], false]));
            for (field, value) in head.as_object().expect("a header") {
                assert_eq!(value, &truth[field], "{kind}: {field} of head {head}");
            }
        }
    }
}

/// One look at what is served as the latest block.
fn ask(address: &str, heard: &mut BTreeSet<Heard>) {
    let ask = |method, params: &Value| Some(call(address, method, params)?.get("result")?.clone());
    let Some(block) = ask("eth_getBlockByNumber", &json!(["latest", true])).filter(|block| !block.is_null())
    else {
        return;
    };
    let at = block["number"].clone();
    let told = ask("eth_blockNumber", &json!([]));
    let latest = json!([at, true]).to_string();
    heard.insert(("eth_getBlockByNumber", latest, block.to_string()));
    let mut remember = |method, params: Value| {
        if let Some(result) = ask(method, &params) {
            heard.insert((method, params.to_string(), result.to_string()));
        }
    };
    // What is told as the last block must be one that there is.
    if let Some(told) = told {
        remember("eth_getBlockByNumber", json!([told, false]));
    }
    remember("eth_getBlockReceipts", json!([at]));
    remember("eth_getLogs", json!([{ "fromBlock": "0x0", "toBlock": at }]));
    remember("eth_getBalance", json!([block["miner"], at]));
    for transaction in block["transactions"].as_array().into_iter().flatten() {
        remember("eth_getBalance", json!([transaction["from"], at]));
        remember("eth_getTransactionReceipt", json!([transaction["hash"]]));
    }
}

/// New heads, as they are told, until the last block has come.
fn listen(address: &str, begin: &Sender<()>, done: &AtomicBool) -> Vec<Value> {
    let stream = TcpStream::connect(address).expect("it listens");
    let (mut socket, _) = tungstenite::client(format!("ws://{address}/"), stream).expect("it upgrades");
    let subscribe = json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"] });
    socket.send(Message::text(subscribe.to_string())).expect("it takes it");
    socket.get_ref().set_read_timeout(Some(Duration::from_millis(50))).expect("a time-out");
    let mut heads: Vec<Value> = Vec::new();
    let mut silent = 0;
    loop {
        let last = heads.last().map(|head| number(&head["number"]));
        match socket.read() {
            Ok(Message::Text(text)) => {
                let mut message: Value = serde_json::from_str(&text).expect("JSON");
                if message["method"] == "eth_subscription" {
                    heads.push(message["params"]["result"].take());
                } else {
                    begin.send(()).expect("it is waited for");
                }
            }
            Ok(_) => {}
            Err(tungstenite::Error::Io(_)) if done.load(Ordering::Relaxed) => {
                silent += 1;
                if last == Some(LAST) || silent > 400 {
                    return heads;
                }
            }
            Err(tungstenite::Error::Io(_)) => {}
            Err(error) => panic!("the subscription ends: {error}"),
        }
    }
}
