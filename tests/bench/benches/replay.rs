//! The whole recorded chain: time and memory of the library and of the `zk-replica` program, beside the Poseidon
//! permutations that any replay has to make.
//!
//! `RECORDING` names the recording's folder if it is not beside the checkout, `ZK_REPLICA` the program if it is not in
//! the target directory. Every run is a process of its own, so that its peak memory is its own.
#![allow(
    clippy::std_instead_of_alloc,
    reason = "a host has std, and one name for each item is easier to read"
)]
#![allow(clippy::print_stdout, reason = "a benchmark's result is what it prints")]

use alloy_primitives::U256;
use core::time::Duration;
use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::SystemTime;
use zk_replica_bench::{Best, Permutation};
use zk_replica_core::chain::{ChainSpec, Genesis};
use zk_replica_core::checker::VerifiedBlock;
use zk_replica_core::replica::{Input, Step};
use zk_replica_core::source::datastream::Item;
use zk_replica_core::store::{Commit, Key};
use zk_replica_core::tree::{BlockInfoKey, Preimage, StateKey};
use zk_replica_core::types::EncodedTransaction;
use zk_replica_tests::{Recording, items};

/// How often each way to replay takes its turn. The best counts.
const TURNS: usize = 4;

/// The argument that makes this program one run of the library.
const LIBRARY: &str = "--library";

fn main() {
    let Some(folder) = recording() else { return };
    if env::args().any(|argument| argument == LIBRARY) {
        let head = load(&folder).replay().expect("the recording is true");
        println!("{}", head.number);
        return;
    }
    let recording = load(&folder);
    let work = Work::count(&recording);
    work.print();

    let mut permutation = Permutation::default();
    let mut senders = Best::default();
    let mut runs = Run::all();
    for _ in 0..TURNS {
        for run in &mut runs {
            (0..50).for_each(|_| permutation.turn());
            senders.time(|| work.recover_all());
            run.turn(&folder);
        }
    }
    println!("one permutation: {:.0} ns", permutation.seconds() * 1e9);
    let floor = work.permutations() as f64 * permutation.seconds();
    print_runs(&runs, &work, floor);
    print_shares(&runs, floor, senders.0);
}

/// The folder of the recording; says so when there is none.
fn recording() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors/recorded-chain");
    let folder = env::var_os("RECORDING").map_or(beside, PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    println!("replay: there is no recording at {}; RECORDING= names one", folder.display());
    None
}

fn load(folder: &Path) -> Recording {
    let read = |name: &str| fs::read(folder.join(name)).expect("a file of the recording");
    let mut stream = Vec::new();
    flate2::read::GzDecoder::new(read("data-stream.bin.gz").as_slice())
        .read_to_end(&mut stream)
        .expect("gzip");
    let genesis = Genesis::from_json(&read("genesis-allocs.json"));
    Recording {
        stream,
        genesis: genesis.expect("genesis"),
        spec: ChainSpec::from_json(&read("chainspec.json")).expect("chain specification"),
    }
}

/// What any replay of the chain has to do, as far as it can be counted from outside.
#[derive(Default)]
struct Work {
    blocks: u64,
    transactions: Vec<EncodedTransaction>,
    /// Values, leaves and branches of the state tree and of the block info trees.
    nodes: u64,
    /// Once for each distinct key that was written, and for each distinct slot and log number.
    keys: u64,
    /// Code that was deployed, and hashes of transactions and logs.
    bytes: u64,
    empty: Empty,
}

/// Blocks without transactions, and the permutations of their two trees.
#[derive(Default)]
struct Empty {
    blocks: u64,
    state: u64,
    info: u64,
}

impl Work {
    fn count(recording: &Recording) -> Self {
        let mut work = Self::default();
        let mut keys = Keys::default();
        let mut replay = recording.begin();
        for item in items(&recording.stream) {
            let item = item.expect("a sound stream");
            if let Item::Block(block) = &item {
                work.transactions.extend_from_slice(&block.input.transactions);
            }
            let step = replay.replica.advance(&Input::from(item), &replay.store);
            if let Step::Verified(block) = step.expect("the recording is true") {
                work.add(&block, &mut keys);
            }
        }
        work.keys = keys.permutations();
        work.bytes += work.transactions.iter().map(l2_hash_permutations).sum::<u64>();
        work
    }

    fn add(&mut self, block: &VerifiedBlock, keys: &mut Keys) {
        self.nodes += block.permutations();
        keys.add(block);
        for code in block.diff().codes.values() {
            self.bytes += linear_permutations(code.len());
        }
        for log in block.record().receipts.iter().flat_map(|receipt| &receipt.logs) {
            self.bytes += linear_permutations(log.data.data.len() + 32 * log.data.topics().len());
        }
        if block.head().number == 0 {
            return;
        }
        self.blocks += 1;
        if block.record().transactions.is_empty() {
            let state = state_permutations(block);
            self.empty.blocks += 1;
            self.empty.state += state;
            self.empty.info += block.permutations() - state;
        }
    }

    fn permutations(&self) -> u64 {
        self.nodes + self.keys + self.bytes
    }

    fn recover_all(&self) {
        for transaction in &self.transactions {
            transaction.recover().expect("the recording is true");
        }
    }

    fn print(&self) {
        println!("{} blocks, {} transactions. Permutations:", self.blocks, self.transactions.len());
        println!("  {:>10}  values, leaves and branches of all trees", self.nodes);
        println!("  {:>10}  keys that are written, each derived once", self.keys);
        println!("  {:>10}  deployed code, transactions' hashes, logs", self.bytes);
        println!("  {:>10}  together", self.permutations());
        println!("  not counted: keys that are only read, keys derived again, code that a revert took back");
        let Empty { blocks, state, info } = self.empty;
        let mean = |sum: u64| sum as f64 / blocks as f64;
        let (state, info) = (mean(state), mean(info));
        println!(
            "  {blocks} empty blocks: state {state:.1} + block info {info:.1}; expected 67 + 19: ratio {:.2}",
            (state + info) / (67.0 + 19.0),
        );
    }
}

/// Permutations of [`VerifiedBlock::permutations`] that were spent on the state: one for each value and each node.
fn state_permutations(block: &VerifiedBlock) -> u64 {
    let values = block.diff().leaves.values().filter(|value| !value.is_zero()).count();
    let nodes = Commit::from(block).records().iter().filter(|(key, _)| matches!(key, Key::Node(_))).count();
    (values + nodes) as u64
}

/// A hash over bytes: `spec/state-tree.md` §3.2.
fn linear_permutations(len: usize) -> u64 {
    (len / 56 + 1) as u64
}

/// The hash of a transaction in the block info tree: `spec/state-tree.md` §4.2.
fn l2_hash_permutations(transaction: &EncodedTransaction) -> u64 {
    let transaction = transaction.recover().expect("the recording is true");
    let fields = transaction.fields();
    let to = fields.to.to().map_or(0, |_| 20);
    let chain_id = fields.chain_id.map_or(0, |_| 8);
    linear_permutations(105 + to + chain_id + fields.input.len())
}

/// Distinct keys, and distinct words that enter a key as a hash of their own.
#[derive(Default)]
struct Keys {
    keys: BTreeSet<Preimage>,
    words: BTreeSet<U256>,
}

impl Keys {
    fn add(&mut self, block: &VerifiedBlock) {
        for key in block.diff().leaves.keys() {
            self.keys.insert((*key).into());
            if let StateKey::Storage(_, slot) = key {
                self.words.insert(*slot);
            }
        }
        let mut logs = 0;
        for (transaction, receipt) in (0..).zip(&block.record().receipts) {
            let fixed = [
                BlockInfoKey::TransactionHash(transaction),
                BlockInfoKey::Status(transaction),
                BlockInfoKey::CumulativeGas(transaction),
                BlockInfoKey::EffectivePercentage(transaction),
            ];
            self.keys.extend(fixed.map(Preimage::from));
            for log in (logs..).take(receipt.logs.len()) {
                self.keys.insert(BlockInfoKey::Log { transaction, log }.into());
                self.words.insert(U256::from(log));
                logs = log + 1;
            }
        }
    }

    fn permutations(&self) -> u64 {
        (self.keys.len() + self.words.len()) as u64 + 8 // the block info tree's keys of a block
    }
}

/// A way to replay the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Library,
    Memory,
    Database,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Library => "library in memory, one thread",
            Self::Memory => "zk-replica in memory",
            Self::Database => "zk-replica with --db",
        }
    }
}

/// One way to replay the chain, and how it went.
struct Run {
    way: Way,
    program: PathBuf,
    best: Best,
    /// Highest of all turns, in KiB.
    peak: u64,
}

impl Run {
    /// All ways for which there is a program.
    fn all() -> Vec<Self> {
        let run = |way, program| Self { way, program, best: Best::default(), peak: 0 };
        let mut runs = vec![run(Way::Library, env::current_exe().expect("this program"))];
        if let Some(program) = zk_replica() {
            runs.extend([Way::Memory, Way::Database].map(|way| run(way, program.clone())));
        }
        runs
    }

    /// One replay, from the start of a process to its end.
    fn turn(&mut self, folder: &Path) {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut command = Command::new(&self.program);
        if self.way == Way::Library {
            command.arg(LIBRARY).env("RECORDING", folder);
        } else {
            command.arg("replay");
            command.arg("--stream").arg(folder.join("data-stream.bin.gz"));
            command.arg("--genesis").arg(folder.join("genesis-allocs.json"));
            command.arg("--chain").arg(folder.join("chainspec.json"));
        }
        if self.way == Way::Database {
            command.arg("--db").arg(directory.path());
        }
        command.stdout(Stdio::null());
        let peak = self.best.time(|| watch(command.spawn().expect("the program starts")));
        self.peak = self.peak.max(peak);
    }
}

/// The program, if it can be found; says which it is, or that there is none.
fn zk_replica() -> Option<PathBuf> {
    let beside = env::current_exe().ok()?.parent()?.parent()?.join("zk-replica");
    let program = env::var_os("ZK_REPLICA").map_or(beside, PathBuf::from);
    let name = program.display();
    let Ok(built) = fs::metadata(&program).and_then(|file| file.modified()) else {
        println!(
            "there is no program {name}: `cargo build --release -p zk-replica` makes it, ZK_REPLICA= names one"
        );
        return None;
    };
    let age = SystemTime::now().duration_since(built).unwrap_or_default();
    println!("program: {name}, built {} minutes ago", age.as_secs() / 60);
    Some(program)
}

/// Waits for the end of a replay. Returns the most memory it had, in KiB, as far as the kernel tells (Linux does), to
/// the last two milliseconds.
fn watch(mut child: Child) -> u64 {
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    loop {
        peak = peak.max(high_water(&status).unwrap_or(0));
        if let Some(status) = child.try_wait().expect("a child") {
            assert!(status.success(), "the replay ended with {status}");
            return peak;
        }
        thread::sleep(Duration::from_millis(2));
    }
}

fn high_water(status: &str) -> Option<u64> {
    let status = fs::read_to_string(status).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

fn print_runs(runs: &[Run], work: &Work, floor: f64) {
    println!();
    println!("Replays, process start to end, best of {TURNS} turns:");
    println!("{:<30}  blocks/s  seconds    floor  ratio  peak MB", "");
    for Run { way, best, peak, .. } in runs {
        println!(
            "{:<30}  {:>8.0}  {:>7.3}  {floor:>7.3}  {:>5.2}  {:>7.1}",
            way.name(),
            work.blocks as f64 / best.0,
            best.0,
            best.0 / floor,
            *peak as f64 / 1024.0,
        );
    }
}

/// Where the time of one thread goes, and what the database adds to that of the program.
fn print_shares(runs: &[Run], floor: f64, senders: f64) {
    let seconds = |way| runs.iter().find(|run| run.way == way).map(|run| run.best.0);
    let share = |name: &str, part: f64, whole: f64| {
        println!("  {name:<45} {part:>7.3} s  {:>5.1} %", 100.0 * part / whole);
    };
    if let Some(library) = seconds(Way::Library) {
        println!();
        println!("Shares of the library's time:");
        share("Poseidon: counted permutations x their time", floor, library);
        share("ecrecover: all senders", senders, library);
        share("EVM and the rest", library - floor - senders, library);
    }
    if let (Some(memory), Some(database)) = (seconds(Way::Memory), seconds(Way::Database)) {
        println!("Share of the time of zk-replica with --db:");
        share("storage: what it takes longer than in memory", database - memory, database);
    }
}
