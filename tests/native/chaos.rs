//! A replica that is killed at random, behind a network that fails at random, beside a devnet that rolls back at random:
//! in the end it is equal to one that had none of it, and never served a block that the devnet did not make.
//!
//! Each test prints its seed; `SEED=` in the environment repeats the choices (not the scheduling of processes).

use crate::harness::{BINARY, Devnet, Replica, call, number, quantity, wait};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    process::Command,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, SystemTime},
};
use zk_replica_tests::say;

/// The devnet's last block.
const LAST: u64 = 160;
/// Disturbances.
const ROUNDS: usize = 60;

/// Nothing is waited for long: on one machine only faults are slow.
const OPTIONS: [&str; 6] = [
    "--silence=200ms",
    "--quiet=200ms",
    "--request-timeout=400ms",
    "--poll-interval=40ms",
    "--retry-longest=200ms",
    "--commit-age=50ms",
];

#[test]
fn over_the_stream_it_ends_as_if_undisturbed() {
    end_as_if_undisturbed(
        "over_the_stream_it_ends_as_if_undisturbed",
        |devnet| &devnet.stream,
        |proxy| ["--stream".to_owned(), proxy.to_owned()],
    );
}

#[test]
fn over_json_rpc_alone_it_ends_as_if_undisturbed() {
    end_as_if_undisturbed(
        "over_json_rpc_alone_it_ends_as_if_undisturbed",
        |devnet| &devnet.http,
        |proxy| ["--main-node".to_owned(), format!("http://{proxy}")],
    );
}

fn end_as_if_undisturbed(test: &str, target: fn(&Devnet) -> &String, source: fn(&str) -> [String; 2]) {
    let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    let seed = std::env::var("SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(u64::from(clock.subsec_nanos()));
    say(&format!("{test}: SEED={seed}"));
    let mut random = Random(seed);

    let (last, fork) = (LAST.to_string(), (7 + random.below(7)).to_string());
    let common = ["--block-time", "0.05", "--traffic", "100", "--batch-blocks", "5", "--seed", "3"];
    let devnet = Devnet::start(&[&common[..], &["--blocks", &last, "--fork", &fork]].concat());
    let proxy = Proxy::start(target(&devnet), random.next());
    let source = source(&proxy.address);
    let options: Vec<&str> = source.iter().map(String::as_str).chain(OPTIONS).collect();

    let mut replica = devnet.replica("disturbed", &options);
    let watcher = Watcher::look(random.next());
    watcher.turn_to(&replica.http);
    let mut roll_backs = 0;
    for _ in 0..ROUNDS {
        // No sleep decides whether the test passes, only what it gets to see.
        thread::sleep(Duration::from_millis(random.below(250)));
        match random.below(8) {
            0 | 1 => {
                replica.process.kill();
                replica = devnet.replica("disturbed", &options);
                watcher.turn_to(&replica.http);
            }
            2 => proxy.cut(),
            3 | 4 => proxy.fail(true),
            5 => proxy.fail(false),
            _ => {
                let head = number(&devnet.ask("eth_blockNumber", json!([])));
                let to = head.saturating_sub(1 + random.below(12)).max(1);
                devnet.ask("devnet_rollBack", json!([to]));
                roll_backs += 1;
            }
        }
    }
    say(&format!("{test}: fork {fork}, {roll_backs} roll-backs, {} faults", proxy.faults()));

    proxy.fail(false);
    proxy.cut();
    wait("the last block", || (devnet.ask("eth_blockNumber", json!([])) == quantity(LAST)).then_some(()));
    let (hash, _) = devnet.block(LAST);
    replica.await_head(&hash);
    let undisturbed = devnet.replica("undisturbed", &["--stream", &devnet.stream]);
    undisturbed.await_head(&hash);
    assert_same_answers(&replica, &undisturbed, &devnet);

    let served = watcher.stop();
    let made = hashes(&devnet);
    assert!(served.len() > 20, "the watcher saw {} blocks", served.len());
    for (number, hash) in served {
        assert!(made.contains(&hash), "block {number} {hash} was served, and never made");
    }
    let Replica { process, db, .. } = replica;
    assert_eq!(process.stop("TERM"), Some(130));
    let check =
        Command::new(BINARY).args(["db", "check", "--deep", "--db"]).arg(db).output().expect("it runs");
    assert_eq!(check.status.code(), Some(0), "{check:?}");
}

/// Both replicas, and the devnet, answer alike for each block.
fn assert_same_answers(replica: &Replica, other: &Replica, devnet: &Devnet) {
    let same = |method, params: Value| {
        let answer = replica.ask(method, params.clone());
        assert_eq!(answer, other.ask(method, params.clone()), "{method} {params}");
        assert_eq!(answer, devnet.ask(method, params.clone()), "{method} {params}");
        answer
    };
    for block in 0..=LAST {
        let block = same("eth_getBlockByNumber", json!([quantity(block), true]));
        assert!(block["hash"].is_string(), "{block}");
        same("eth_getBlockReceipts", json!([block["number"]]));
        same("zkevm_batchNumberByBlockNumber", json!([block["number"]]));
    }
    let logs = same("eth_getLogs", json!([{ "fromBlock": "0x0", "toBlock": quantity(LAST) }]));
    assert!(logs.as_array().is_some_and(|logs| logs.len() > 20), "{logs}");
    for account in devnet.ask("devnet_accounts", json!([])).as_array().expect("a list") {
        for height in [0, 1, LAST / 3, LAST / 2, LAST - 1, LAST] {
            same("eth_getBalance", json!([account["address"], quantity(height)]));
            same("eth_getTransactionCount", json!([account["address"], quantity(height)]));
        }
    }
}

/// Of all blocks that the devnet ever made, as it printed them, and of genesis.
fn hashes(devnet: &Devnet) -> BTreeSet<String> {
    let lines = devnet.process.lines();
    let made = lines.iter().filter(|line| line.starts_with("made block "));
    let hash = |line: &String| line.split_once(" hash ").expect("it has one").1.to_owned();
    made.map(hash).chain([devnet.block(0).0]).collect()
}

/// Asks the replica for blocks all the time, whoever it is just now.
struct Watcher {
    address: Arc<Mutex<String>>,
    stop: Arc<AtomicBool>,
    thread: thread::JoinHandle<BTreeSet<(u64, String)>>,
}

impl Watcher {
    fn look(seed: u64) -> Self {
        let (address, stop) = (Arc::new(Mutex::new(String::new())), Arc::new(AtomicBool::new(false)));
        let (at, done) = (Arc::clone(&address), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            let (mut seen, mut random) = (BTreeSet::new(), Random(seed));
            while !done.load(Ordering::Relaxed) {
                let address = lock(&at).clone();
                for which in ["latest".to_owned(), quantity(random.below(LAST))] {
                    let answer = call(&address, "eth_getBlockByNumber", &json!([which, false]));
                    let block = answer.map_or(Value::Null, |mut answer| answer["result"].take());
                    if let Some(hash) = block["hash"].as_str() {
                        seen.insert((number(&block["number"]), hash.to_owned()));
                    }
                }
                thread::sleep(Duration::from_millis(3));
            }
            seen
        });
        Self { address, stop, thread }
    }

    fn turn_to(&self, address: &str) {
        *lock(&self.address) = address.to_owned();
    }

    /// What was served, by number and hash.
    fn stop(self) -> BTreeSet<(u64, String)> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("it looks to the end")
    }
}

/// A network that fails when told to.
struct Proxy {
    address: String,
    state: Arc<State>,
}

struct State {
    target: String,
    random: Mutex<Random>,
    failing: AtomicBool,
    faults: AtomicU64,
    /// Connections of an earlier one are over.
    generation: AtomicU64,
}

/// What becomes of a connection. Bytes are counted from the target to the replica.
#[derive(Clone, Copy, Debug)]
enum Fault {
    None,
    /// Closed after so many bytes, within a frame as a rule.
    Cut(u64),
    /// Open, but nothing comes any more after so many bytes, and nothing is taken.
    HalfOpen(u64),
    /// Each piece comes so many milliseconds late.
    Slow(u64),
    /// One bit of this byte is another.
    Flip(u64),
}

impl Proxy {
    fn start(target: &str, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound").to_string();
        let state = Arc::new(State {
            target: target.to_owned(),
            random: Mutex::new(Random(seed)),
            failing: AtomicBool::new(false),
            faults: AtomicU64::new(0),
            generation: AtomicU64::new(0),
        });
        let shared = Arc::clone(&state);
        // It ends with the test's process.
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                if let Ok(far) = TcpStream::connect(&shared.target) {
                    connect(&near, &far, &shared);
                }
            }
        });
        Self { address, state }
    }

    /// From now on connections fail, or no longer do.
    fn fail(&self, failing: bool) {
        self.state.failing.store(failing, Ordering::Relaxed);
    }

    /// Ends all connections.
    fn cut(&self) {
        self.state.generation.fetch_add(1, Ordering::Relaxed);
    }

    fn faults(&self) -> u64 {
        self.state.faults.load(Ordering::Relaxed)
    }
}

impl State {
    fn choose(&self) -> Fault {
        if !self.failing.load(Ordering::Relaxed) {
            return Fault::None;
        }
        let mut random = lock(&self.random);
        let magnitude = random.below(18);
        let byte = random.below(1 << magnitude);
        let fault = match random.below(6) {
            0 => Fault::None,
            1 => Fault::Cut(byte),
            2 => Fault::HalfOpen(byte),
            3 => Fault::Slow(1 + random.below(100)),
            _ => Fault::Flip(byte),
        };
        self.faults.fetch_add(u64::from(!matches!(fault, Fault::None)), Ordering::Relaxed);
        fault
    }
}

/// Lets bytes through both ways, as far as the fault lets them.
fn connect(near: &TcpStream, far: &TcpStream, state: &Arc<State>) {
    let (fault, halted) = (state.choose(), Arc::new(AtomicBool::new(false)));
    for (from, to, fault) in [(near, far, None), (far, near, Some(fault))] {
        let (from, to) = (from.try_clone().expect("a handle"), to.try_clone().expect("a handle"));
        let (state, halted) = (Arc::clone(state), Arc::clone(&halted));
        thread::spawn(move || {
            pump(&from, &to, fault, &state, &halted);
            // Either may be gone already.
            drop(from.shutdown(Shutdown::Both));
            drop(to.shutdown(Shutdown::Both));
        });
    }
}

/// `fault`: none on the way to the target.
fn pump(mut from: &TcpStream, mut to: &TcpStream, fault: Option<Fault>, state: &State, halted: &AtomicBool) {
    let generation = state.generation.load(Ordering::Relaxed);
    from.set_read_timeout(Some(Duration::from_millis(20))).expect("a time-out");
    let (mut passed, mut bytes) = (0_u64, [0; 4096]);
    while generation == state.generation.load(Ordering::Relaxed) {
        let length = match from.read(&mut bytes) {
            Ok(0) => return,
            Ok(length) => length,
            Err(error) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()) => continue,
            Err(_) => return,
        };
        let piece = &mut bytes[..length];
        let byte = match fault {
            Some(Fault::Cut(byte) | Fault::HalfOpen(byte) | Fault::Flip(byte)) => byte.checked_sub(passed),
            _ => None,
        };
        let at = byte.and_then(|at| usize::try_from(at).ok()).filter(|at| *at < length);
        match (fault, at) {
            (Some(Fault::Cut(_)), Some(at)) => {
                drop(to.write_all(&piece[..at]));
                return;
            }
            (Some(Fault::HalfOpen(_)), Some(at)) => {
                drop(to.write_all(&piece[..at]));
                halted.store(true, Ordering::Relaxed);
            }
            (Some(Fault::Flip(byte)), Some(at)) => piece[at] ^= 1 << (byte % 8),
            (Some(Fault::Slow(late)), _) => thread::sleep(Duration::from_millis(late)),
            _ => {}
        }
        passed += length as u64;
        if !halted.load(Ordering::Relaxed) && to.write_all(piece).is_err() {
            return;
        }
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Less than this.
    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
