//! A recorded data stream: every block of it is replayed, and writing gives it back byte for byte. Of the public one of
//! chain 779 it is known what is in it (`spec/sync.md` §2.11).

use super::{genesis, parse};
use crate::case::{Case, Failure, Outcome};
use alloy_primitives::{B256, b256, keccak256};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};
use zk_replica_core::{
    chain::{ChainSpec, ForkId, Genesis},
    checker::{Checker, Verdict},
    executor::Rules,
    source::{
        batch_data::{self, BatchEntry, BatchTransaction, ChangeL2Block},
        datastream::{Bookmark, Entry, EntryKind, FileDecoder, FileEncoder, Header, Item, Message, Sender},
    },
    store::{Commit, Store as _},
    types::{BatchClaims, BatchInput, BatchKind, BatchPart, BatchStart, Block, EncodedTransaction, Head},
};
use zk_replica_tests::{Recording, Script, items};

const FAMILY: &str = "recorded-chain";

/// What describes the chain, in files beside the stream; the last one may be missing.
const GENESIS: &str = "genesis-allocs.json";
const SPEC: &str = "chainspec.json";
const CONF: &str = "genesis-conf.json";

/// The header of the public recording: a stream with this one has to be that one.
const PUBLISHED: Header = Header {
    sender: Some(Sender { version: 2, system_id: 1 }),
    total_length: 5_421_190,
    total_entries: 34_723,
};

/// A check of the whole stream.
type Check = fn(&[u8]);

/// What is known of that one.
const PUBLISHED_CHECKS: &[(&str, Check)] = &[
    ("the file is the published one", check_file),
    ("the stream holds the published counts", check_counts),
    ("the messages say what is published", check_contents),
    ("every message writes back to its entry", check_messages),
    ("entries and messages write back to the same file", check_writing),
    ("framed entries have the published hash", check_framed),
    ("batches have the published data", check_batch_data),
];

/// The cases of a stream file.
pub(crate) fn stream(path: &Path, stream: Vec<u8>) -> Vec<Case> {
    let (entries, header) = match read(&stream) {
        Ok(read) => read,
        Err(failure) => return vec![Case::failed(FAMILY, "the stream can be read", failure)],
    };
    let forks = forks(&entries);
    let checks: &[(&str, Check)] = if header == PUBLISHED { PUBLISHED_CHECKS } else { &[] };
    let stream: Arc<[u8]> = stream.into();
    let replayed = (Arc::clone(&stream), path.to_owned(), forks.clone());
    let replay = move || {
        let (stream, path, forks) = replayed;
        let result = replay(&path, &stream).and_then(|head| check_head(header, &head));
        outcomes(&forks, &result)
    };
    let replay = Case::by_fork(FAMILY, "every block of the replay is true", forks, replay);
    let from_l1 = (header == PUBLISHED).then(|| {
        let (stream, path) = (Arc::clone(&stream), path.to_owned());
        Case::new(FAMILY, "every batch is true as L1 has it", move || check_from_l1(&path, &stream))
    });
    let checks = checks.iter().map(|(name, check)| {
        let stream = Arc::clone(&stream);
        Case::new(FAMILY, *name, move || check(&stream))
    });
    [replay].into_iter().chain(from_l1).chain(checks).collect()
}

fn outcomes(forks: &[u64], result: &Result<(), Failure>) -> Vec<Outcome> {
    let of = |fork| Outcome { fork, ..Outcome::without_fork(result.clone()) };
    if forks.is_empty() { vec![of(None)] } else { forks.iter().copied().map(Some).map(of).collect() }
}

/// The forks of the stream's batches; that of genesis has none.
fn forks(entries: &[Entry]) -> Vec<u64> {
    let forks = entries.iter().filter_map(|entry| match Message::decode(entry) {
        Ok(Message::BatchStart(start)) if start.fork_id != 0 => Some(start.fork_id),
        _ => None,
    });
    forks.collect::<BTreeSet<_>>().into_iter().collect()
}

fn replay(path: &Path, stream: &[u8]) -> Result<Head, Failure> {
    let recording = recording(path, stream)?;
    recording.replay().map_err(|error| Failure::from(error.to_string()))
}

/// The stream, with what stands beside it.
fn recording(path: &Path, stream: &[u8]) -> Result<Recording, Failure> {
    let json = |name: &str| {
        let file = beside(path, name);
        fs::read(&file).map_err(|error| Failure::from(format!("{}: {error}", file.display())))
    };
    let failed = |error: &dyn std::error::Error| Failure::from(error.to_string());
    let mut genesis = Genesis::from_json(&json(GENESIS)?).map_err(|error| failed(&error))?;
    if beside(path, CONF).exists() {
        genesis = genesis.with_conf(&json(CONF)?).map_err(|error| failed(&error))?;
    }
    let spec = ChainSpec::from_json(&json(SPEC)?).map_err(|error| failed(&error))?;
    Ok(Recording { stream: stream.to_vec(), genesis, spec })
}

/// The end of the public recording.
fn check_head(header: Header, head: &Head) -> Result<(), Failure> {
    let ends = (
        11_317,
        101,
        1_722_511_821,
        b256!("b94132b126ad8ad6b126f64e3c78944f0a6b46a46f0fed4da437cd47108ee7ee"),
        b256!("efb07096d6e7c79ff2c0f78617d1ac97e96b6199fc63eb57deda71a6063136c5"),
    );
    let found = (head.number, head.batch, head.timestamp, head.state_root, head.hash);
    if header == PUBLISHED && found != ends {
        return Err(format!("ends with {found:?} instead of {ends:?}").into());
    }
    Ok(())
}

fn beside(path: &Path, name: &str) -> PathBuf {
    path.with_file_name(name)
}

/// The specification of a chain, by itself.
pub(super) fn chain_spec(json: &str) -> Vec<Case> {
    let json = json.to_owned();
    let check = move || drop(ChainSpec::from_json(json.as_bytes()).expect("a chain specification"));
    vec![Case::new(FAMILY, "the chain specification can be read", check)]
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Conf {
    root: B256,
    #[serde(rename = "timestamp")]
    _timestamp: u64,
    gas_limit: u64,
    difficulty: u64,
}

/// The published fields of block 0: the accounts beside them have that root.
pub(super) fn conf(path: &Path, json: &str) -> Vec<Case> {
    let (path, json) = (path.to_owned(), json.to_owned());
    let check = move || {
        let Conf { root, gas_limit, difficulty, .. } = parse(&json);
        assert_eq!((gas_limit, difficulty), (0, 0), "gas limit and difficulty of block 0");
        let accounts = fs::read(beside(&path, GENESIS)).expect("accounts beside it");
        let genesis = Genesis::from_json(&accounts).expect("accounts");
        genesis::check_root(CONF, &genesis, root);
        genesis.with_conf(json.as_bytes()).expect("fields of block 0");
    };
    vec![Case::new(FAMILY, "the accounts have the root of block 0", check)]
}

fn read(stream: &[u8]) -> Result<(Vec<Entry>, Header), Failure> {
    let failed = |error: &dyn std::error::Error| Failure::from(error.to_string());
    let mut decoder = FileDecoder::new();
    decoder.push(stream);
    let mut entries = Vec::new();
    while let Some(entry) = decoder.next().map_err(|error| failed(&error))? {
        entries.push(entry);
    }
    Ok((entries, decoder.finish().map_err(|error| failed(&error))?))
}

fn entries(stream: &[u8]) -> Vec<Entry> {
    read(stream).expect("was read before").0
}

fn sha256(bytes: impl AsRef<[u8]>) -> String {
    B256::from_slice(&Sha256::digest(bytes)).to_string()
}

fn check_file(stream: &[u8]) {
    assert_eq!(sha256(stream), "0xba7331e0f4ecced8c9335056f113e75cc3b161de3ef47adc84311b85f5e73513");
    let found = [stream.len(), entries(stream).len()].map(|count| count as u64);
    assert_eq!(found, [PUBLISHED.total_length, PUBLISHED.total_entries]);
}

fn check_counts(stream: &[u8]) {
    let mut counts = BTreeMap::new();
    for entry in entries(stream) {
        *counts.entry(entry.kind).or_insert(0) += 1;
    }
    let published = [
        (EntryKind::BATCH_START, 102),
        (EntryKind::L2_BLOCK, 11_318),
        (EntryKind::TRANSACTION, 465),
        (EntryKind::BATCH_END, 101),
        (EntryKind::L2_BLOCK_END, 11_317),
        (EntryKind::BOOKMARK, 11_420),
    ];
    assert_eq!(counts, published.into());
}

fn check_contents(stream: &[u8]) {
    let (mut batches, mut blocks, mut bookmarks, mut chain_ids) = (0, 0, [0, 0], [0, 0]);
    let mut state_root = B256::ZERO;
    for message in Script::read(stream).messages {
        match message {
            Message::Bookmark(Bookmark::Batch(number)) => {
                assert_eq!(number, bookmarks[0]);
                bookmarks[0] += 1;
            }
            Message::Bookmark(Bookmark::Block(number)) => {
                assert_eq!(number, bookmarks[1]);
                bookmarks[1] += 1;
            }
            Message::BatchStart(start) => {
                assert_eq!((start.number, start.chain_id), (batches, 779));
                assert_eq!(start.fork_id, if batches == 0 { 0 } else { 9 });
                assert_eq!(start.kind == BatchKind::Injected, batches == 1);
                batches += 1;
            }
            Message::L2Block(block) => {
                assert_eq!((block.number, block.batch_number), (blocks, batches - 1));
                assert_eq!((block.l1_info_tree_index, block.min_timestamp, block.gas_limit), (0, 0, 0));
                assert_eq!(block.global_exit_root.is_zero(), blocks != 1);
                state_root = block.state_root;
                blocks += 1;
            }
            Message::Transaction(transaction) => {
                assert!(transaction.is_valid && transaction.intermediate_state_root.is_zero());
                assert_eq!(transaction.effective_percentage, 255);
                let encoded = EncodedTransaction {
                    encoded: transaction.encoded,
                    effective_percentage: transaction.effective_percentage,
                };
                let signed = encoded.recover().expect("signed");
                chain_ids[usize::from(signed.fields().chain_id.is_some())] += 1;
            }
            Message::BatchEnd(end) => {
                assert_eq!((end.number, end.state_root), (batches - 1, state_root));
                assert_eq!(end.local_exit_root, B256::ZERO);
            }
            Message::BlockEnd(end) => assert_eq!(end.number, blocks - 1),
            Message::UpdateGer(update) => panic!("{update:?}"),
        }
    }
    assert_eq!((batches, blocks, bookmarks), (102, 11_318, [102, 11_318]));
    assert_eq!(chain_ids, [413, 52], "before and since EIP-155");
}

fn check_messages(stream: &[u8]) {
    for entry in entries(stream) {
        let message = Message::decode(&entry).expect("a message");
        assert_eq!(message.to_entry(entry.number), entry, "{message:?}");
    }
}

fn check_writing(stream: &[u8]) {
    let mut file = FileEncoder::new();
    for entry in entries(stream) {
        let number = file.push(entry.kind, &entry.data).expect("fits a page");
        assert_eq!(number, entry.number);
    }
    assert!(file.finish() == stream, "entries");
    assert!(Script::read(stream).write() == stream, "messages");
}

fn check_framed(stream: &[u8]) {
    let mut framed = Vec::new();
    for entry in entries(stream) {
        let start = framed.len();
        entry.encode(&mut framed).expect("short");
        let read = Entry::decode(&framed[start..], 0).expect("an entry");
        assert_eq!(read, Some((entry, framed.len() - start)));
    }
    assert_eq!(sha256(framed), "0x04f115ac57574f6c051c68e3effcaf8a38533e16325eb417e765b691e3285af8");
}

/// A batch of the stream as its sequencer posts it.
struct Posted {
    start: BatchStart,
    blocks: Vec<Block>,
    rules: &'static Rules,
}

/// The batches since genesis.
fn posted(stream: &[u8]) -> Vec<Posted> {
    let mut batches: Vec<Posted> = Vec::new();
    for item in items(stream) {
        match item.expect("was read before") {
            Item::BatchStart(start) if start.number > 0 => {
                let rules = Rules::of(ForkId::try_from(start.fork_id).expect("a fork"));
                batches.push(Posted { start, blocks: Vec::new(), rules });
            }
            Item::Block(block) if block.claims.batch > 0 => {
                batches.last_mut().expect("an open batch").blocks.push(block);
            }
            _ => {}
        }
    }
    batches
}

impl Posted {
    /// The entries of the batch's data. A batch that comes from L1 opens its block without one.
    fn entries(&self) -> Vec<BatchEntry> {
        let of = |block: &Block| {
            let delta_timestamp = block.claims.delta_timestamp.expect("the stream says it");
            let l1_info_index = block.input.l1_info.index;
            let opening = (self.start.kind == BatchKind::Regular)
                .then_some(BatchEntry::ChangeL2Block(ChangeL2Block { delta_timestamp, l1_info_index }));
            let transactions = block.input.transactions.iter().map(|transaction| {
                let recovered = transaction.recover().expect("signed");
                BatchEntry::Transaction(BatchTransaction::from(&recovered))
            });
            opening.into_iter().chain(transactions).collect::<Vec<_>>()
        };
        self.blocks.iter().flat_map(of).collect()
    }

    fn data(&self) -> Vec<u8> {
        batch_data::encode(&self.entries(), &self.rules.encoding)
    }

    /// The batch as L1 has it, as far as it is known: the limit of timestamps and the L1 info root are not.
    fn input(&self, previous_acc_input_hash: B256) -> BatchInput {
        let first = &self.blocks[0].input;
        let last = &self.blocks[self.blocks.len() - 1].input;
        BatchInput {
            kind: self.start.kind,
            data: self.data().into(),
            coinbase: first.coinbase,
            timestamp: last.timestamp,
            l1_root: first.l1_info.global_exit_root,
            forced_block_hash: first.l1_info.block_hash,
            l1_info: BTreeMap::new(),
            l1_info_proofs: BTreeMap::new(),
            previous_acc_input_hash,
            part: BatchPart::WHOLE,
        }
    }

    /// Of the first batch everything is known, so also what L1 keeps of it (`spec/sync.md` §4.5).
    fn claims(&self) -> BatchClaims {
        let first = b256!("0cfa276f66c34b56d7dbf80cf5d6178cc0b0c18d57ef86013b3da2cdbb9d82e5");
        BatchClaims {
            state_root: self.blocks[self.blocks.len() - 1].claims.state_root,
            local_exit_root: B256::ZERO,
            acc_input_hash: (self.start.number == 1).then_some(first),
        }
    }
}

fn check_batch_data(stream: &[u8]) {
    let mut longest = (0, 0);
    for batch in posted(stream) {
        let (entries, data) = (batch.entries(), batch.data());
        assert_eq!(batch_data::decode(&data, &batch.rules.encoding), Ok(entries), "{:?}", batch.start);
        longest = longest.max((data.len(), batch.start.number));
        if batch.start.number == 1 {
            let hash = keccak256(&data).to_string();
            assert!(hash.starts_with("0x16169d98") && hash.ends_with("e6df9b"), "{hash}");
            assert_eq!(data.len(), 328);
        }
    }
    assert_eq!(longest, (116_921, 76));
}

/// From their data, batches lead from one state root to the next, through blocks with the info trees of the stream.
fn check_from_l1(path: &Path, stream: &[u8]) {
    let recording = recording(path, stream).unwrap_or_else(|failure| panic!("{failure}"));
    let mut replay = recording.begin();
    for item in items(stream).map(|item| item.expect("was read before")) {
        if matches!(&item, Item::BatchStart(start) if start.number > 0) {
            break;
        }
        replay.advance(item).expect("genesis");
    }
    let mut root = replay.replica.head().expect("genesis").state_root;
    let (mut checker, mut acc_input_hash) = (Checker::new(recording.spec), B256::ZERO);
    for batch in posted(stream) {
        let (number, input) = (batch.start.number, batch.input(acc_input_hash));
        let verdict = checker.check_batch(number, batch.rules, &input, &batch.claims(), root, &replay.store);
        let verified = match verdict.expect("everything is at hand") {
            Verdict::Verified(verified) => verified,
            Verdict::Mismatch(mismatch) => panic!("{mismatch}"),
        };
        let execution = verified.execution();
        let found = execution.blocks.iter().map(|block| block.block_info_root);
        let claimed = batch.blocks.iter().map(|block| block.claims.block_info_root);
        assert!(found.eq(claimed), "blocks of batch {number}, discarded: {:?}", execution.discarded);
        (root, acc_input_hash) = (execution.state_root, execution.acc_input_hash);
        replay.store.apply(&Commit::from(&verified)).expect("memory does not fail");
    }
}
