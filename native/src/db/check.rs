use super::info::{Tip, head};
use super::{refuse, say};
use crate::store::{OpenError, SledStore};
use alloy_primitives::{B256, U256, keccak256};
use alloy_rlp::Decodable;
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use zk_replica_core::executor::PreparedBlock;
use zk_replica_core::store::{Key, Store, StoreError, log_sections};
use zk_replica_core::tree::{Node, Path as TreePath, StateKey, hash_bytes, hash_value};
use zk_replica_core::types::{
    Block, BlockClaims, BlockInput, BlockRecord, EncodedTransaction, Frontier, Head, Totals, TransactionPlace,
};

const AFTER_CHECK: &str = "\
Exit codes:
  0  sound
  2  cannot be looked at: no database, in use, another version, no permission
  3  damaged: each finding is a line; `zk-replica db rebuild` makes the database anew

Without --deep the upper part of the head's state tree is hashed again; with it all of the tree, every node, value and
code of every block's state, the indexes, and each transaction's signature.

Example:
  zk-replica db check --db ./db --deep";

/// Check that a database is what was written into it.
///
/// Every run, page and log is held against its checksum, every block against the hash of the block behind it, the totals
/// against the blocks, the state against the head's state root. Nothing is changed but the debris of a crash, which
/// opening always removes.
#[derive(Args, Debug)]
#[command(after_long_help = AFTER_CHECK)]
pub(super) struct Check {
    /// Directory of the database
    #[arg(long, value_name = "DIR")]
    db: PathBuf,

    /// Hash all of the state again, look up all indexes, recover all senders
    #[arg(long)]
    deep: bool,

    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

/// More findings than these are only counted.
const TOLD: usize = 20;

/// The levels of the state tree that are always hashed again: at most 2047 nodes.
const UPPER_LEVELS: usize = 10;

/// No path in the tree is longer.
const DEPTH: usize = 256;

#[derive(Debug, Default, Serialize)]
struct Report {
    sound: bool,
    deep: bool,
    chain_id: u64,
    head: Option<Tip>,
    runs: u64,
    records: u64,
    blocks: u64,
    tree_nodes: u64,
    findings: Vec<String>,
    /// Findings that are not told.
    more: u64,
}

pub(super) fn run(options: &Check) -> ExitCode {
    let report = match check(&options.db, options.deep) {
        Ok(report) => report,
        // It was found out what is wrong, though not more than that.
        Err(error @ OpenError::Damaged { .. }) => {
            Report { deep: options.deep, findings: vec![error.to_string()], ..Report::default() }
        }
        Err(error) => return refuse(&error, 2),
    };
    let code = if report.sound { 0 } else { 3 };
    if options.json {
        say(&serde_json::to_string(&report).expect("plain data with names for keys"), code)
    } else {
        say(&report.to_string(), code)
    }
}

fn check(path: &Path, deep: bool) -> Result<Report, OpenError> {
    let (store, identity) = SledStore::open_existing(path)?;
    // indicatif itself draws nothing where standard error is not a terminal.
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
    bar.set_style(
        ProgressStyle::with_template("{msg} {wide_bar} {pos}").expect("the template is well formed"),
    );
    let report = Report { deep, chain_id: identity.chain_id, ..Report::default() };
    let mut check = Checking { store: &store, bar, report };
    check.files();
    match head(&store) {
        Ok(Some(head)) => {
            check.report.head = Some(Tip::from(&head));
            check.frontier(&head);
            check.blocks(&head);
            check.tree(head.state_root);
        }
        Ok(None) => {}
        Err(error) => check.found(error.to_string()),
    }
    let Checking { bar, mut report, .. } = check;
    bar.finish_and_clear();
    report.sound = report.findings.is_empty();
    Ok(report)
}

struct Checking<'a> {
    store: &'a SledStore,
    bar: ProgressBar,
    report: Report,
}

impl Checking<'_> {
    fn found(&mut self, finding: String) {
        if self.report.findings.len() < TOLD {
            self.report.findings.push(finding);
        } else {
            self.report.more += 1;
        }
    }

    /// The record, decoded; what is wrong with it is told.
    fn read<T: Decodable>(&mut self, key: Key) -> Option<T> {
        let decoded = self.store.get(&key).and_then(|record| {
            let record = record.ok_or(StoreError::Missing(key))?;
            let mut rest = record.as_ref();
            match T::decode(&mut rest) {
                Ok(value) if rest.is_empty() => Ok(value),
                _ => Err(StoreError::Corrupt { key, reason: "it cannot be read" }),
            }
        });
        decoded.map_err(|error| self.found(error.to_string())).ok()
    }

    /// All that is written, page by page; in depth, each record that is named by its hash against its name.
    fn files(&mut self) {
        let store = self.store;
        let total = store.extent().records;
        self.begin("records", total);
        let (bar, deep) = (self.bar.clone(), self.report.deep);
        let (mut parts, mut false_names, mut records) = (Vec::new(), Vec::new(), 0);
        store.scan(
            |part| parts.push(part),
            |key, record| {
                records += 1;
                bar.inc(1);
                if let Some(finding) = deep.then(|| false_name(key, record)).flatten() {
                    false_names.push(finding);
                }
            },
        );
        self.report.records = records;
        self.report.runs = parts.len() as u64;
        for part in parts {
            if let Some(damage) = part.damage {
                self.found(format!("run {} of {} records: {damage}", part.run, part.records));
            }
        }
        false_names.into_iter().for_each(|finding| self.found(finding));
    }

    /// What is final is there.
    fn frontier(&mut self, head: &Head) {
        if let Ok(None) = self.store.get(&Key::Frontier) {
            return;
        }
        if let Some(Frontier { block, .. }) = self.read(Key::Frontier)
            && block > head.number
        {
            self.found(format!("block {block} is said to be final, the last one is {}", head.number));
        }
    }

    /// From the head to genesis, each block by the hash that the one behind it has for its parent.
    fn blocks(&mut self, head: &Head) {
        self.begin("blocks", head.number.saturating_add(1));
        let mut expected = Some(head.hash);
        let mut counted = Totals { batches: head.totals.batches, ..Totals::default() };
        let mut complete = true;
        for number in (0..=head.number).rev() {
            self.bar.inc(1);
            let Some(record) = self.read::<BlockRecord>(Key::Block(number)) else {
                (expected, complete) = (None, false);
                if self.report.more > 1000 {
                    self.found(format!("block {number} and those below were not looked at"));
                    return;
                }
                continue;
            };
            self.report.blocks += 1;
            self.block(number, expected, &record);
            if number > 0 {
                counted.blocks += 1;
                counted.transactions += record.transactions.len() as u64;
                counted.gas = counted.gas.saturating_add(record.header.gas_used);
            }
            expected = Some(record.header.parent_hash);
        }
        if complete && counted != head.totals {
            self.found(format!("the head counts {:?}, its blocks are {counted:?}", head.totals));
        }
    }

    fn block(&mut self, number: u64, expected: Option<B256>, record: &BlockRecord) {
        let hash = record.header.hash_slow();
        if record.header.number != number {
            self.found(format!("block {number} says that it is block {}", record.header.number));
        }
        if let Some(expected) = expected.filter(|expected| *expected != hash) {
            self.found(format!(
                "block {number} has hash {hash}, not {expected}, which the one behind it is linked to"
            ));
        }
        if record.receipts.len() != record.transactions.len() {
            let (receipts, transactions) = (record.receipts.len(), record.transactions.len());
            self.found(format!("block {number} has {receipts} receipts of {transactions} transactions"));
        }
        match self.store.get(&Key::BlockNumber(hash)) {
            Ok(Some(found)) if found.as_ref() == number.to_be_bytes() => {}
            Ok(found) => {
                let said = if found.is_some() { "another number" } else { "nothing" };
                self.found(format!("the index has {said} for the hash of block {number}"));
            }
            Err(error) => self.found(error.to_string()),
        }
        if self.report.deep {
            self.transactions(number, record);
            self.log_index(number, record);
        }
    }

    /// The transactions against the header, their senders against their signatures, the index against both.
    fn transactions(&mut self, number: u64, record: &BlockRecord) {
        let stored = &record.transactions;
        let prepared = prepared(record);
        if prepared.transactions_root() != record.header.transactions_root {
            self.found(format!("the transactions of block {number} are not those of its header"));
        }
        for ((index, prepared), stored) in (0..).zip(&prepared.input().transactions).zip(stored) {
            if !matches!(prepared, Ok(prepared) if prepared.transaction().sender() == stored.sender) {
                self.found(format!("transaction {index} of block {number} has another sender"));
            }
            let place = TransactionPlace { block: number, index };
            self.place(place, Key::TransactionPlace(keccak256(&stored.encoded)));
            if let Ok(prepared) = prepared {
                self.place(place, Key::L2TransactionPlace(prepared.l2_hash()));
            }
        }
    }

    /// Where a transaction stands against what an index says.
    fn place(&mut self, place: TransactionPlace, key: Key) {
        let found = self.read::<TransactionPlace>(key).filter(|found| *found != place);
        // The same transaction may have come again in a later block, where it failed.
        if let Some(found) = found.filter(|found| found.block <= place.block) {
            let TransactionPlace { block, index } = place;
            self.found(format!("{key}: {found:?}, but it is transaction {index} of block {block}"));
        }
    }

    /// The sections that end with this block, against their blocks and the sections below.
    fn log_index(&mut self, number: u64, record: &BlockRecord) {
        let made = match log_sections(record, self.store) {
            Ok(made) => made,
            Err(error) => return self.found(format!("the log index at block {number}: {error}")),
        };
        for (key, section) in made.records() {
            match self.store.get(key) {
                Ok(Some(found)) if found == *section => {}
                Ok(Some(_)) => self.found(format!("{key} is not what its blocks have")),
                Ok(None) => self.found(format!("{key} is missing")),
                Err(error) => self.found(error.to_string()),
            }
        }
    }

    /// The head's state from its root down, each node by the hash that the one above has for it.
    fn tree(&mut self, root: B256) {
        self.begin("tree nodes", 0);
        let deepest = if self.report.deep { DEPTH } else { UPPER_LEVELS };
        let mut ahead = vec![(root, 0, U256::ZERO)];
        while let Some((digest, depth, turns)) = ahead.pop() {
            if digest.is_zero() || depth > deepest {
                continue;
            }
            self.bar.inc(1);
            self.report.tree_nodes += 1;
            match self.node(digest) {
                Ok(Node::Branch { left, right }) => {
                    let mut turned = turns;
                    turned.set_bit(depth, true);
                    ahead.extend([(left.into(), depth + 1, turns), (right.into(), depth + 1, turned)]);
                }
                Ok(Node::Leaf { remaining, value_hash }) => {
                    let path = TreePath::behind((0..depth).map(|depth| turns.bit(depth)), &remaining);
                    for checked in [self.value(value_hash.into()), self.name(digest, path)] {
                        if let Err(finding) = checked {
                            self.found(finding);
                        }
                    }
                }
                Err(finding) => self.found(finding),
            }
        }
    }

    fn node(&self, digest: B256) -> Result<Node, String> {
        let key = Key::Node(digest);
        let record = self.store.get(&key).map_err(|error| error.to_string())?;
        let record = record.ok_or_else(|| format!("{key} of the head's state is missing"))?;
        let node = Node::decode(&record).map_err(|error| format!("{key}: {error}"))?;
        match B256::from(node.digest()) {
            found if found == digest => Ok(node),
            found => Err(format!("{key} has hash {found}")),
        }
    }

    fn value(&self, hash: B256) -> Result<(), String> {
        let key = Key::Value(hash);
        let record = self.store.get(&key).map_err(|error| error.to_string())?;
        let record = record.ok_or_else(|| format!("{key} of the head's state is missing"))?;
        false_name(key.encode().as_ref(), &record).map_or(Ok(()), Err)
    }

    /// A leaf has a name, which is checked where all records are.
    fn name(&self, digest: B256, path: Option<TreePath>) -> Result<(), String> {
        let path = path.ok_or_else(|| format!("{} has too long a path for its place", Key::Node(digest)))?;
        let key = Key::LeafName(path.into());
        match self.store.get(&key) {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(format!("{key} is missing")),
            Err(error) => Err(error.to_string()),
        }
    }

    fn begin(&self, what: &'static str, total: u64) {
        self.bar.reset();
        self.bar.set_length(total);
        self.bar.set_message(what);
    }
}

/// The block as it is executed: with hashes and senders.
fn prepared(record: &BlockRecord) -> PreparedBlock {
    let encoded = record.transactions.iter().map(|transaction| EncodedTransaction {
        encoded: transaction.encoded.clone(),
        effective_percentage: transaction.effective_percentage,
    });
    PreparedBlock::from(Block {
        input: BlockInput {
            number: record.header.number,
            timestamp: record.header.timestamp,
            coinbase: record.header.beneficiary,
            l1_info: record.l1_info,
            transactions: encoded.collect(),
        },
        claims: BlockClaims {
            batch: record.batch,
            delta_timestamp: None,
            gas_limit: None,
            hash: B256::ZERO,
            state_root: record.header.state_root,
            block_info_root: record.block_info_root,
            intermediate_state_roots: Vec::new(),
        },
    })
}

/// What is wrong with a record that is named by its hash.
fn false_name(key: &[u8], record: &[u8]) -> Option<String> {
    let Some(key) = Key::decode(key) else {
        return Some(format!(
            "a record has the name {}, which nothing has",
            alloy_primitives::hex::encode(key)
        ));
    };
    let (expected, found) = match key {
        Key::Node(digest) => match Node::decode(record) {
            Ok(node) => (digest, node.digest().into()),
            Err(error) => return Some(format!("{key}: {error}")),
        },
        Key::Value(digest) => match <[u8; 32]>::try_from(record) {
            Ok(value) => (digest, hash_value(U256::from_be_bytes(value)).into()),
            Err(_) => return Some(format!("{key} has {} bytes, not 32", record.len())),
        },
        Key::Code(digest) => (digest, hash_bytes(record)),
        Key::LeafName(path) => match StateKey::decode(record) {
            Some(name) if B256::from(name.path()) == path => return None,
            Some(name) => return Some(format!("{key}: {name} is elsewhere")),
            None => return Some(format!("{key} is not a name")),
        },
        Key::Block(_)
        | Key::BlockNumber(_)
        | Key::TransactionPlace(_)
        | Key::L2TransactionPlace(_)
        | Key::LogSection { .. }
        | Key::Head
        | Key::Frontier => return None,
    };
    (found != expected).then(|| format!("{key} has hash {found}"))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { deep, records, runs, blocks, tree_nodes, more, .. } = self;
        for finding in &self.findings {
            writeln!(f, "damage: {finding}")?;
        }
        if *more > 0 {
            writeln!(f, "damage: {more} more")?;
        }
        f.write_str(if self.sound { "sound" } else { "damaged" })?;
        write!(f, ": {records} records in {runs} runs, {blocks} blocks, {tree_nodes} tree nodes")?;
        if let Some(head) = &self.head {
            write!(f, "; {head}")?;
        }
        f.write_str(if *deep { "; in depth" } else { "" })
    }
}

impl fmt::Display for Tip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, hash, state_root, .. } = self;
        write!(f, "tip {number} state root {state_root} hash {hash}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Identity;
    use alloy_primitives::Bytes;
    use zk_replica_core::chain::{ChainSpec, Genesis};
    use zk_replica_core::replica::{Input, Replica};
    use zk_replica_core::store::Commit;
    use zk_replica_tests::{Made, Plan, items};

    /// A database of a made chain.
    fn database() -> (tempfile::TempDir, SledStore) {
        let spec = ChainSpec::from_json(Made::spec().as_bytes()).unwrap();
        let genesis = Genesis::from_json(b"{}").unwrap();
        let made = Made::by(Plan { blocks: 20, batch: 6, twist: None });
        filled(&spec, &genesis, &made.stream, 20)
    }

    /// A database of a chain up to a block.
    fn filled(
        spec: &ChainSpec,
        genesis: &Genesis,
        stream: &[u8],
        last: u64,
    ) -> (tempfile::TempDir, SledStore) {
        let directory = tempfile::tempdir().unwrap();
        let identity = Identity { chain_id: spec.chain_id, genesis: B256::ZERO };
        let store = SledStore::open(&directory.path().join("db"), &identity).unwrap();
        let mut replica = Replica::open(spec.clone(), genesis.clone(), &store).unwrap();
        for item in items(stream) {
            replica.advance(&Input::from(item.unwrap()), &store).unwrap();
            if replica.head().is_some_and(|head| head.number == last) {
                break;
            }
        }
        (directory, store)
    }

    /// What a check finds when these records replace those that are true.
    fn found(lie: impl FnOnce(&SledStore) -> Vec<(Key, Bytes)>) -> Report {
        found_in(database(), lie)
    }

    fn found_in(
        (directory, store): (tempfile::TempDir, SledStore),
        lie: impl FnOnce(&SledStore) -> Vec<(Key, Bytes)>,
    ) -> Report {
        store.apply(&Commit::for_test(lie(&store), Vec::new())).unwrap();
        drop(store);
        check(&directory.path().join("db"), true).unwrap()
    }

    fn assert_found(report: &Report, words: &str) {
        assert!(!report.sound);
        assert!(report.findings.iter().any(|finding| finding.contains(words)), "{words}: {report}");
    }

    fn get(store: &SledStore, key: Key) -> Bytes {
        store.get(&key).unwrap().unwrap()
    }

    fn flipped(store: &SledStore, key: Key, at: usize) -> (Key, Bytes) {
        let mut bytes = get(store, key).to_vec();
        bytes[at] ^= 1;
        (key, bytes.into())
    }

    fn root(store: &SledStore) -> Key {
        Key::Node(head(store).unwrap().unwrap().state_root)
    }

    /// The children of a branch.
    fn children(store: &SledStore, key: Key) -> [Key; 2] {
        let bytes = get(store, key);
        [Key::Node(B256::from_slice(&bytes[..32])), Key::Node(B256::from_slice(&bytes[32..64]))]
    }

    #[test]
    fn a_sound_database_is_sound() {
        let report = found(|_| Vec::new());
        assert!(report.sound, "{report}");
        assert_eq!((report.blocks, report.head.as_ref().map(|tip| tip.number)), (21, Some(20)));
        assert!(report.tree_nodes > 20, "{report}");
    }

    #[test]
    fn an_altered_record_is_named() {
        assert_found(&found(|store| vec![flipped(store, root(store), 40)]), "has hash");
        // Behind the header's parent hash and ommers hash, in the state root.
        let report = found(|store| vec![flipped(store, Key::Block(7), 100)]);
        assert_found(&report, "block 7 has hash");
        assert_found(
            &found(|store| vec![(Key::Block(7), get(store, Key::Block(8)))]),
            "block 7 says that it is block 8",
        );
        assert_found(
            &found(|_| vec![(Key::Block(7), Bytes::new())]),
            "block 7 is damaged: it cannot be read",
        );
        assert_found(&found(|store| vec![flipped(store, Key::Head, 3)]), "head record is damaged");
    }

    #[test]
    fn what_is_final_is_part_of_the_chain() {
        let frontier = |block| (Key::Frontier, alloy_rlp::encode(Frontier { block, batch: 1 }).into());
        assert!(found(|_| vec![frontier(20)]).sound);
        assert_found(&found(|_| vec![frontier(21)]), "block 21 is said to be final");
        let report = found(|_| vec![(Key::Frontier, Bytes::from_static(&[7]))]);
        assert_found(&report, "record of what L1 has fixed is damaged");
    }

    #[test]
    fn exchanged_records_are_named() {
        let report = found(|store| {
            let [left, right] = children(store, root(store));
            vec![(left, get(store, right)), (right, get(store, left))]
        });
        assert_found(&report, "tree node");
        let report = found(|store| {
            vec![(Key::Block(4), get(store, Key::Block(5))), (Key::Block(5), get(store, Key::Block(4)))]
        });
        assert_found(&report, "block 5 says that it is block 4");
    }

    #[test]
    fn totals_and_indexes_are_compared() {
        let report = found(|store| {
            let mut head = head(store).unwrap().unwrap();
            head.totals.transactions += 1;
            vec![(Key::Head, alloy_rlp::encode(head).into())]
        });
        assert_found(&report, "the head counts");
        let report = found(|store| {
            let hash = head(store).unwrap().unwrap().hash;
            vec![(Key::BlockNumber(hash), Bytes::from_static(&[0; 8]))]
        });
        assert_found(&report, "the index has another number for the hash of block 20");
    }

    #[test]
    fn transactions_are_where_both_indexes_have_them() {
        let Some(vectors) = zk_replica_tests::vectors("transactions_are_where_both_indexes_have_them") else {
            return;
        };
        let recording = zk_replica_tests::Recording::load(&vectors);
        for l2 in [false, true] {
            let report =
                found_in(filled(&recording.spec, &recording.genesis, &recording.stream, 20), |store| {
                    let mut blocks = (1..=20).map(|number| get(store, Key::Block(number)));
                    let hashes = blocks.find_map(|record| {
                        let prepared = prepared(&BlockRecord::decode(&mut record.as_ref()).unwrap());
                        let first = prepared.input().transactions.first()?.as_ref().ok()?;
                        Some((keccak256(first.transaction().encoded()), first.l2_hash()))
                    });
                    let (hash, l2_hash) = hashes.unwrap();
                    let key = if l2 { Key::L2TransactionPlace(l2_hash) } else { Key::TransactionPlace(hash) };
                    vec![(key, alloy_rlp::encode(TransactionPlace { block: 0, index: 0 }).into())]
                });
            assert_found(&report, if l2 { "with L2 hash" } else { "place of transaction" });
        }
    }

    #[test]
    fn the_log_index_is_compared_with_the_blocks() {
        let section = Key::LogSection { level: 1, section: 0 };
        // Well-formed, with something in it that no block of a chain without logs has.
        let report = found(|_| {
            let content = [0, 0xaa, 0xbb, 0xcc, 0xdd];
            let check = keccak256([section.encode().as_ref(), &content].concat());
            vec![(section, [&check[..4], &content].concat().into())]
        });
        assert_found(&report, "of the log index is not what its blocks have");
        let report = found(|store| vec![flipped(store, section, 4)]);
        assert_found(&report, "of the log index is not what its blocks have");
    }

    #[test]
    fn leaves_have_their_names() {
        let name = StateKey::Storage(ChainSpec::SYSTEM_CONTRACT, U256::ZERO);
        let key = Key::LeafName(name.path().into());
        let other = StateKey::Nonce(alloy_primitives::Address::repeat_byte(0x11));
        let report = found(|store| {
            assert_eq!(get(store, key).as_ref(), name.encode());
            vec![(key, other.encode().into())]
        });
        assert_found(&report, "nonce of 0x1111111111111111111111111111111111111111 is elsewhere");
        let report = found(|_| vec![(key, Bytes::from_static(&[9]))]);
        assert_found(&report, "is not a name");
    }
}
