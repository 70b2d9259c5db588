//! What it costs to have no state: witnesses, proved reads, and blocks that are verified on a witness beside the same blocks
//! verified on the whole state, in turns. Over the recorded chain, fed by a full replica in the same process; what a
//! network adds is a matter of the bytes and round trips that are counted here.
#![allow(
    clippy::std_instead_of_alloc,
    reason = "a host has std, and one name for each item is easier to read"
)]
#![allow(clippy::print_stdout, reason = "a benchmark's result is what it prints")]

use alloy_primitives::hex;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use zk_replica_bench::Best;
use zk_replica_core::chain::{ChainSpec, Genesis};
use zk_replica_core::checker::{Checker, Verdict};
use zk_replica_core::checkpoint::Checkpoint;
use zk_replica_core::executor::PreparedBlock;
use zk_replica_core::light::{Config, Event, Light, Next};
use zk_replica_core::replica::{Input, Replica};
use zk_replica_core::rpc::{self, Asking, Reply, Rpc, Status};
use zk_replica_core::source::datastream::Item;
use zk_replica_core::source::witness::Witness;
use zk_replica_core::store::Store;
use zk_replica_core::types::{BatchStart, Head};
use zk_replica_tests::{Archive, Recording, items};

/// How often each contender takes its turn. The best counts.
const TURNS: usize = 3;

/// Of the blocks without transactions, which are all alike, one of so many is looked at.
const STRIDE: u64 = 50;

/// Accounts whose balances are read, at most.
const ACCOUNTS: usize = 50;

/// More would mean that what a call needs is not foreseen.
const MAX_ROUND_TRIPS: u32 = 3;

fn main() {
    let Some(folder) = recording() else { return };
    let world = World::load(&folder);
    let witnesses = world.witnesses();
    print_verification(&world, &witnesses);
    print_reads(&world);
}

/// The folder of the recording; says so when there is none.
fn recording() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors/recorded-chain");
    let folder = env::var_os("RECORDING").map_or(beside, PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    println!("light: there is no recording at {}; RECORDING= names one", folder.display());
    None
}

/// A full replica of the recorded chain with all history, and the blocks that are looked at.
struct World {
    spec: ChainSpec,
    store: Archive,
    rpc: Rpc,
    head: Head,
    blocks: Vec<Told>,
    /// Senders and receivers of all transactions.
    accounts: BTreeSet<String>,
}

/// A block as the main node sent it, and what was verified before.
struct Told {
    block: PreparedBlock,
    start: BatchStart,
    parent: Head,
}

impl Told {
    fn is_empty(&self) -> bool {
        self.block.input().transactions.is_empty()
    }
}

/// What checking a block without the state takes.
struct Taken<'w> {
    told: &'w Told,
    witness: Vec<u8>,
    /// To make it.
    making: Best,
}

impl World {
    fn load(folder: &Path) -> Self {
        let read = |name: &str| fs::read(folder.join(name)).expect("a file of the recording");
        let mut stream = Vec::new();
        flate2::read::GzDecoder::new(read("data-stream.bin.gz").as_slice())
            .read_to_end(&mut stream)
            .expect("gzip");
        let genesis = Genesis::from_json(&read("genesis-allocs.json")).expect("genesis");
        let spec = ChainSpec::from_json(&read("chainspec.json")).expect("chain specification");
        let recording = Recording { stream, genesis, spec };
        let store = Archive::default();
        let mut replica =
            Replica::open(recording.spec.clone(), recording.genesis.clone(), &store).expect("empty");
        let (mut start, mut blocks, mut accounts) = (None, Vec::new(), BTreeSet::new());
        for item in items(&recording.stream) {
            let item = item.expect("a sound stream");
            if let Item::BatchStart(opened) = &item {
                start = Some(opened.clone());
            }
            if let (Item::Block(block), Some(parent), Some(start)) = (&item, replica.head(), &start) {
                let wanted =
                    !block.input.transactions.is_empty() || block.input.number.is_multiple_of(STRIDE);
                if wanted {
                    let (block, parent) = (PreparedBlock::from(block.clone()), parent.clone());
                    for prepared in block.input().transactions.iter().flatten() {
                        let transaction = prepared.transaction();
                        accounts.insert(format!("{:#x}", transaction.sender()));
                        accounts.extend(transaction.fields().to.to().map(|to| format!("{to:#x}")));
                    }
                    blocks.push(Told { block, start: start.clone(), parent });
                }
            }
            replica.advance(&Input::from(item), &store).expect("the recording is true");
        }
        let head = replica.head().expect("blocks").clone();
        let rpc = Rpc::new(recording.spec.clone(), rpc::Config::default());
        Self { spec: recording.spec, store, rpc, head, blocks, accounts }
    }

    fn post(&self, body: &str) -> String {
        match self.rpc.handle(body.as_bytes(), &Status::default(), &self.store) {
            Reply::Answer(answer) => answer,
            Reply::Forward(_) => unreachable!("answered from the store: {body}"),
        }
    }

    fn ask(&self, method: &str, params: &Value) -> Value {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
        serde_json::from_str(&self.post(&body)).expect("JSON")
    }

    fn witnesses(&self) -> Vec<Taken<'_>> {
        self.blocks.iter().map(|told| self.witness(told)).collect()
    }

    fn witness<'w>(&self, told: &'w Told) -> Taken<'w> {
        let number = format!("{:#x}", told.block.input().number);
        let (mut making, mut witness) = (Best::default(), Vec::new());
        for _ in 0..TURNS {
            let answer = making.time(|| self.ask("zkevm_getWitness", &json!([number, "trimmed"])));
            witness = hex::decode(answer["result"].as_str().expect("a witness")).expect("hexadecimal");
        }
        Taken { told, witness, making }
    }

    /// A replica that knows the last block, and nothing of its state.
    fn light(&self) -> Light {
        let Head { number, hash, state_root, .. } = self.head;
        let mut light =
            Light::new(self.spec.clone(), Checkpoint { number, hash, state_root }, Config::default());
        light.poll();
        loop {
            match light.step() {
                Next::Ask { id, body } => light.tell(id, Some(self.post(&body).as_bytes())),
                Next::Event(Event::Tip) => return light,
                Next::Event(_) => {}
                Next::Wait => light.poll(),
            }
        }
    }

    /// A read by a replica that has nothing yet: the answer, round trips, and bytes that came.
    fn read(&self, method: &str, params: &Value) -> (Value, u32, usize) {
        let light = self.light();
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
        let (mut question, mut bytes) = (light.question(body.as_bytes()), 0);
        loop {
            match light.ask(&mut question, None, &|| false) {
                Asking::Fetch(body) => {
                    let answer = self.post(&body);
                    bytes += answer.len();
                    question.tell(Some(answer.as_bytes()), light.store());
                }
                Asking::Reply(Reply::Answer(answer)) => {
                    return (serde_json::from_str(&answer).expect("JSON"), question.rounds(), bytes);
                }
                Asking::Reply(Reply::Forward(_)) => unreachable!("nothing is forwarded: {method}"),
            }
        }
    }
}

fn check(checker: &mut Checker, told: &Told, store: &dyn Store) {
    let verdict = checker.check_block(&told.block, &told.start, &told.parent, store);
    assert!(matches!(verdict, Ok(Verdict::Verified(_))), "the recording is true");
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len() as f64;
    values.sum::<f64>() / count
}

fn print_verification(world: &World, witnesses: &[Taken<'_>]) {
    let mut checker = Checker::new(world.spec.clone());
    println!(
        "Blocks on their witnesses, beside the same blocks on the whole state; best of {TURNS} turns each, mean of all:"
    );
    println!(
        "{:<28} {:>6} {:>10} {:>10} {:>10} {:>10} {:>10} {:>7}",
        "", "blocks", "bytes", "longest", "make µs", "light µs", "full µs", "ratio"
    );
    for (name, empty) in [("with transactions", false), ("without", true)] {
        let of: Vec<_> = witnesses.iter().filter(|taken| taken.told.is_empty() == empty).collect();
        let times: Vec<(Best, Best)> = of
            .iter()
            .map(|Taken { told, witness, .. }| {
                let (mut light, mut full) = (Best::default(), Best::default());
                for _ in 0..TURNS {
                    light.time(|| {
                        let decoded = Witness::decode(witness).expect("a witness");
                        assert_eq!(decoded.root(), told.parent.state_root);
                        check(&mut checker, told, decoded.store());
                    });
                    full.time(|| check(&mut checker, told, &world.store));
                }
                (light, full)
            })
            .collect();
        let light = mean(times.iter().map(|(light, _)| light.0 * 1e6));
        let full = mean(times.iter().map(|(_, full)| full.0 * 1e6));
        println!(
            "{name:<28} {:>6} {:>10.0} {:>10} {:>10.0} {light:>10.0} {full:>10.0} {:>7.2}",
            of.len(),
            mean(of.iter().map(|taken| taken.witness.len() as f64)),
            of.iter().map(|taken| taken.witness.len()).max().unwrap_or_default(),
            mean(of.iter().map(|taken| taken.making.0 * 1e6)),
            light / full,
        );
    }
}

fn print_reads(world: &World) {
    println!();
    println!("Reads of the last state by a replica that has nothing of it yet, each answer compared:");
    println!(
        "{:<28} {:>6} {:>12} {:>10} {:>12} {:>6}",
        "", "reads", "round trips", "at most", "bytes", "most"
    );
    let accounts: Vec<&String> = world.accounts.iter().take(ACCOUNTS).collect();
    let balances = accounts.iter().map(|account| ("eth_getBalance", json!([account, "latest"])));
    print_read("balance", world, balances.collect(), 1);
    // A contract that answers with a word to balanceOf is as good as an ERC-20 token for this.
    let holder = world.accounts.first().expect("some account");
    let call = |token: &String| {
        let data = format!("0x70a08231{:0>64}", &holder[2..]);
        json!([{ "to": token, "data": data }, "latest"])
    };
    let tokens = world.accounts.iter().map(call).filter(|params| {
        let answer = world.ask("eth_call", params);
        answer["result"].as_str().is_some_and(|word| word.len() == 66)
    });
    let calls: Vec<_> = tokens.take(ACCOUNTS).map(|params| ("eth_call", params)).collect();
    print_read("ERC-20 balance", world, calls, MAX_ROUND_TRIPS);
}

fn print_read(name: &str, world: &World, requests: Vec<(&str, Value)>, most: u32) {
    if requests.is_empty() {
        println!("{name:<28}   none in the recording");
        return;
    }
    let mut read = Vec::new();
    for (method, params) in requests {
        let (answer, rounds, bytes) = world.read(method, &params);
        assert_eq!(answer, world.ask(method, &params), "{method} {params}");
        assert!(rounds <= most, "{method} {params}: {rounds} round trips");
        read.push((rounds, bytes));
    }
    println!(
        "{name:<28} {:>6} {:>12.2} {:>10} {:>12.0} {:>6}",
        read.len(),
        mean(read.iter().map(|(rounds, _)| f64::from(*rounds))),
        read.iter().map(|(rounds, _)| *rounds).max().unwrap_or_default(),
        mean(read.iter().map(|(_, bytes)| *bytes as f64)),
        read.iter().map(|(_, bytes)| *bytes).max().unwrap_or_default(),
    );
}
