//! A main node that lies in one thing is caught, by the name of that thing, at the block where it lies.
//!
//! Each row of the tables alters the recorded chain in one way, at the first place, one in the middle and the last, and
//! says which claim must be found wrong. The replay starts from the honest state just before the lie.

use alloy_primitives::{U256, hex};
use std::ops::Range;
use zk_replica_core::{
    checker::{
        Claim::{self, *},
        Mismatch,
    },
    evidence::{Evidence, EvidenceError, Judgement},
    replica::{Halt, Input},
    source::datastream::{BlockEnd, Bookmark, Item, Message, Transaction},
    types::{BatchKind, UpdateGer},
};
use zk_replica_tests::{Failure, Recording, Replay, Script, items, vectors};

/// One way to lie.
struct Lie {
    name: &'static str,
    /// The blocks (or batches) to lie about: the first, one in the middle, the last.
    places: [u64; 3],
    tell: fn(&mut Script, u64),
    caught: Caught,
}

/// How a lie comes out.
#[derive(Clone, Copy, Debug)]
enum Caught {
    /// By this claim, at the block lied about.
    Block(Claim),
    /// By these claims, at the first, middle and last place.
    Blocks([Claim; 3]),
    /// By this claim, one block later.
    NextBlock(Claim),
    /// By this claim, in the batch lied about.
    Batch(Claim),
    /// By this claim, one batch later.
    NextBatch(Claim),
    /// Before any claim is looked at: the stream is malformed, in these words.
    Malformed(&'static str),
}
use Caught::{Batch, Block, Blocks, Malformed, NextBatch, NextBlock};

/// Block 1 is the injected batch; the others are blocks without transactions of regular batches.
const BLOCKS: [u64; 3] = [1, 8_700, 11_317];
/// Blocks with transactions.
const FULL_BLOCKS: [u64; 3] = [1, 11_196, 11_315];
/// Blocks with several transactions.
const LONG_BLOCKS: [u64; 3] = [11_194, 11_196, 11_315];
/// Blocks behind which there is another one.
const INNER_BLOCKS: [u64; 3] = [2, 8_700, 11_316];
/// Batches that have an end.
const BATCHES: [u64; 3] = [1, 50, 100];

const LIES: &[Lie] = &[
    // What a block claims.
    Lie {
        name: "state root",
        places: BLOCKS,
        tell: |s, b| s.block(b).state_root.0[31] ^= 1,
        caught: Block(StateRoot),
    },
    Lie {
        name: "block hash",
        places: BLOCKS,
        tell: |s, b| s.block(b).hash.0[0] ^= 1,
        caught: Block(BlockHash),
    },
    Lie {
        name: "block info root",
        places: BLOCKS,
        tell: |s, b| s.block(b).block_info_root.0[9] ^= 8,
        caught: Block(BlockInfoRoot),
    },
    Lie {
        name: "batch of a block",
        places: BLOCKS,
        tell: |s, b| s.block(b).batch_number += 1,
        caught: Block(BatchNumber),
    },
    Lie {
        name: "gas limit",
        places: BLOCKS,
        tell: |s, b| s.block(b).gas_limit = 30_000_000,
        caught: Block(GasLimit),
    },
    Lie {
        name: "delta timestamp",
        places: BLOCKS,
        tell: |s, b| s.block(b).delta_timestamp ^= 1,
        caught: Block(Timestamp),
    },
    // What a block brings in.
    Lie {
        name: "timestamp",
        places: BLOCKS,
        tell: |s, b| s.block(b).timestamp += 1,
        caught: Block(Timestamp),
    },
    Lie {
        name: "timestamp and delta",
        places: BLOCKS,
        tell: |s, b| {
            s.block(b).timestamp += 1;
            s.block(b).delta_timestamp += 1;
        },
        caught: Block(StateRoot),
    },
    Lie {
        name: "timestamp before the parent's",
        places: [2, 8_700, 11_317],
        tell: |s, b| {
            let parent = s.block(b - 1).timestamp;
            s.block(b).timestamp = parent - 1;
        },
        caught: Block(Timestamp),
    },
    Lie {
        name: "coinbase",
        places: BLOCKS,
        tell: |s, b| s.block(b).coinbase.0[19] ^= 1,
        caught: Block(StateRoot),
    },
    Lie {
        name: "global exit root",
        places: BLOCKS,
        tell: |s, b| s.block(b).global_exit_root.0[31] ^= 1,
        caught: Blocks([StateRoot, GlobalExitRoot, GlobalExitRoot]),
    },
    Lie {
        name: "global exit root of block 1, again",
        places: [2, 8_700, 11_317],
        tell: |s, b| {
            s.block(b).global_exit_root = s.block(1).global_exit_root;
            s.block(b).l1_block_hash.0[31] ^= 1;
        },
        caught: Block(L1BlockHash),
    },
    Lie {
        name: "L1 block hash",
        places: BLOCKS,
        tell: |s, b| s.block(b).l1_block_hash.0[31] ^= 1,
        caught: Blocks([StateRoot, L1BlockHash, L1BlockHash]),
    },
    Lie {
        name: "L1 info tree index",
        places: BLOCKS,
        tell: |s, b| s.block(b).l1_info_tree_index = 1,
        caught: Block(L1InfoIndex),
    },
    Lie {
        name: "L1 info made up",
        places: BLOCKS,
        tell: |s, b| {
            let block = s.block(b);
            block.l1_info_tree_index = 3;
            block.global_exit_root.0[5] ^= 1;
            block.l1_block_hash.0[6] ^= 1;
        },
        caught: Blocks([L1InfoIndex, StateRoot, StateRoot]),
    },
    Lie {
        name: "minimum timestamp without L1 info",
        places: BLOCKS,
        tell: |s, b| s.block(b).min_timestamp = 5,
        caught: Block(MinTimestamp),
    },
    Lie {
        name: "L1 info from the future",
        places: [2, 8_700, 11_317],
        tell: |s, b| {
            let block = s.block(b);
            block.l1_info_tree_index = 3;
            block.global_exit_root.0[5] ^= 1;
            block.min_timestamp = block.timestamp + 1;
        },
        caught: Block(MinTimestamp),
    },
    // Which blocks there are.
    Lie {
        name: "block number",
        places: BLOCKS,
        tell: |s, b| renumber(s, b, b + 1),
        caught: NextBlock(BlockNumber),
    },
    Lie {
        name: "block dropped",
        places: INNER_BLOCKS,
        tell: |s, b| drop(remove_block(s, b)),
        caught: NextBlock(BlockNumber),
    },
    Lie {
        name: "only block of a batch dropped",
        places: [1; 3],
        tell: |s, b| drop(remove_block(s, b)),
        caught: Batch(BatchStateRoot),
    },
    Lie {
        name: "block doubled",
        places: BLOCKS,
        tell: |s, b| {
            let whole = s.whole_block(b);
            let copy = s.messages[whole.clone()].to_vec();
            insert(s, whole.end, copy);
        },
        caught: Block(BlockNumber),
    },
    Lie {
        name: "blocks swapped",
        places: INNER_BLOCKS,
        tell: |s, b| {
            let first = remove_block(s, b);
            let behind = s.whole_block(b + 1).end;
            insert(s, behind, first);
        },
        caught: NextBlock(BlockNumber),
    },
    // Transactions.
    Lie {
        name: "a transaction's byte",
        places: FULL_BLOCKS,
        tell: |s, b| flip(s.transaction(b, 0), |length| length - 70),
        caught: Blocks([StateRoot, Transaction, Transaction]),
    },
    Lie {
        name: "a transaction's signature",
        places: FULL_BLOCKS,
        tell: |s, b| flip(s.transaction(b, 0), |length| length - 40),
        caught: Blocks([StateRoot, Transaction, Transaction]),
    },
    Lie {
        name: "a transaction's signature, mirrored",
        places: LONG_BLOCKS,
        tell: |s, b| mirror_signature(s.transaction(b, 0)),
        caught: Block(Claim::Transaction),
    },
    Lie {
        name: "effective percentage",
        places: FULL_BLOCKS,
        tell: |s, b| s.transaction(b, 0).effective_percentage -= 1,
        caught: Block(StateRoot),
    },
    Lie {
        name: "transaction dropped",
        places: FULL_BLOCKS,
        tell: |s, b| {
            let last = s.transactions(b).end - 1;
            s.messages.remove(last);
        },
        caught: Block(StateRoot),
    },
    Lie {
        name: "transaction doubled",
        places: FULL_BLOCKS,
        tell: |s, b| {
            let first = s.transactions(b).start;
            let copy = s.messages[first].clone();
            s.messages.insert(first + 1, copy);
        },
        caught: Block(Claim::Transaction),
    },
    Lie {
        name: "transactions swapped",
        places: LONG_BLOCKS,
        tell: |s, b| {
            let first = s.transactions(b).start;
            s.messages.swap(first, first + 1);
        },
        // Of one sender, the nonces tell; of two, what comes out.
        caught: Blocks([Transaction, StateRoot, StateRoot]),
    },
    Lie {
        name: "transaction made up",
        places: BLOCKS,
        tell: |s, b| {
            let end = s.whole_block(b).end - 1;
            let made_up = Transaction {
                block_number: b,
                index: 0,
                is_valid: true,
                encoded: vec![0xc3, 1, 2, 3].into(),
                effective_percentage: 255,
                intermediate_state_root: Default::default(),
            };
            insert(s, end, vec![Message::Transaction(made_up)]);
        },
        caught: Block(Claim::Transaction),
    },
    Lie {
        name: "bytes behind a transaction",
        places: FULL_BLOCKS,
        tell: |s, b| {
            let transaction = s.transaction(b, 0);
            transaction.encoded = [&transaction.encoded[..], &[0]].concat().into();
        },
        caught: Block(Claim::Transaction),
    },
    Lie {
        name: "intermediate state root",
        places: FULL_BLOCKS,
        tell: |s, b| s.transaction(b, 0).intermediate_state_root.0[3] = 1,
        caught: Block(IntermediateStateRoot),
    },
    Lie {
        name: "invalid transaction",
        places: FULL_BLOCKS,
        tell: |s, b| s.transaction(b, 0).is_valid = false,
        caught: Malformed("marked invalid"),
    },
    Lie {
        name: "transaction's index",
        places: FULL_BLOCKS,
        tell: |s, b| s.transaction(b, 0).index = 77,
        caught: Malformed("index 77"),
    },
    Lie {
        name: "transaction's block",
        places: FULL_BLOCKS,
        tell: |s, b| s.transaction(b, 0).block_number += 1,
        caught: Malformed("block"),
    },
    // Batches.
    Lie {
        name: "batch state root",
        places: BATCHES,
        tell: |s, n| s.batch_end(n).state_root.0[31] ^= 1,
        caught: Batch(BatchStateRoot),
    },
    Lie {
        name: "local exit root",
        places: BATCHES,
        tell: |s, n| s.batch_end(n).local_exit_root.0[31] ^= 1,
        caught: Batch(LocalExitRoot),
    },
    Lie {
        name: "number of a batch's end",
        places: BATCHES,
        tell: |s, n| s.batch_end(n).number += 1,
        caught: Batch(BatchNumber),
    },
    Lie {
        name: "chain id",
        places: [0, 50, 101],
        tell: |s, n| s.batch_start(n).chain_id = 1101,
        caught: Batch(ChainId),
    },
    Lie {
        name: "fork id, older",
        places: [1, 50, 101],
        tell: |s, n| s.batch_start(n).fork_id = 8,
        caught: Batch(ForkId),
    },
    Lie {
        name: "fork id, newer",
        places: [1, 50, 101],
        tell: |s, n| s.batch_start(n).fork_id = 10,
        caught: Batch(ForkId),
    },
    Lie {
        name: "fork id of genesis",
        places: [0; 3],
        tell: |s, n| s.batch_start(n).fork_id = 9,
        caught: Batch(ForkId),
    },
    Lie {
        name: "batch type, regular",
        places: [1; 3],
        tell: |s, n| s.batch_start(n).kind = BatchKind::Regular,
        caught: Batch(GlobalExitRoot),
    },
    Lie {
        name: "batch type, forced",
        places: [2, 50, 101],
        tell: |s, n| s.batch_start(n).kind = BatchKind::Forced,
        caught: Batch(GlobalExitRoot),
    },
    Lie {
        name: "batch type, invalid",
        places: [1, 50, 101],
        tell: |s, n| s.batch_start(n).kind = BatchKind::Invalid,
        caught: Batch(Claim::BatchKind),
    },
    Lie {
        name: "batch number",
        places: BATCHES,
        tell: |s, n| {
            let bookmark = s.position(|message| *message == Message::Bookmark(Bookmark::Batch(n)));
            s.messages[bookmark] = Message::Bookmark(Bookmark::Batch(n + 1));
            s.batch_start(n).number += 1;
        },
        caught: NextBatch(BatchNumber),
    },
    Lie {
        name: "batch dropped",
        places: BATCHES,
        tell: |s, n| {
            let whole = whole_batch(s, n);
            s.messages.drain(whole);
        },
        caught: NextBatch(BatchNumber),
    },
    Lie {
        name: "batch doubled",
        places: BATCHES,
        tell: |s, n| {
            let whole = whole_batch(s, n);
            let copy = s.messages[whole.clone()].to_vec();
            insert(s, whole.end, copy);
        },
        caught: Batch(BatchNumber),
    },
    Lie {
        name: "exit root without a block",
        places: BATCHES,
        tell: |s, n| {
            let end = whole_batch(s, n).end - 1;
            let update = UpdateGer { batch_number: n, fork_id: 9, chain_id: 779, ..UpdateGer::default() };
            insert(s, end, vec![Message::UpdateGer(update)]);
        },
        caught: Batch(GlobalExitRoot),
    },
    // The order of the stream.
    Lie {
        name: "batch without an end",
        places: BATCHES,
        tell: |s, n| drop(s.messages.remove(whole_batch(s, n).end - 1)),
        caught: Malformed("expected"),
    },
    Lie {
        name: "block without an end",
        places: BLOCKS,
        tell: |s, b| drop(s.messages.remove(s.whole_block(b).end - 1)),
        caught: Malformed(""),
    },
    Lie {
        name: "block end of another block",
        places: BLOCKS,
        tell: |s, b| {
            let end = s.whole_block(b).end - 1;
            s.messages[end] = Message::BlockEnd(BlockEnd { number: b + 1 });
        },
        caught: Malformed("block"),
    },
    Lie {
        name: "bookmark of another block",
        places: BLOCKS,
        tell: |s, b| {
            let start = s.whole_block(b).start;
            s.messages[start] = Message::Bookmark(Bookmark::Block(b + 1));
        },
        caught: Malformed("bookmark"),
    },
    Lie {
        name: "bookmark dropped",
        places: BLOCKS,
        tell: |s, b| drop(s.messages.remove(s.whole_block(b).start)),
        caught: Malformed("expected"),
    },
];

fn renumber(script: &mut Script, block: u64, number: u64) {
    let whole = script.whole_block(block);
    for message in &mut script.messages[whole] {
        match message {
            Message::Bookmark(bookmark) => *bookmark = Bookmark::Block(number),
            Message::L2Block(block) => block.number = number,
            Message::Transaction(transaction) => transaction.block_number = number,
            Message::BlockEnd(end) => end.number = number,
            _ => {}
        }
    }
}

fn remove_block(script: &mut Script, block: u64) -> Vec<Message> {
    let whole = script.whole_block(block);
    script.messages.drain(whole).collect()
}

fn insert(script: &mut Script, at: usize, messages: Vec<Message>) {
    script.messages.splice(at..at, messages);
}

fn whole_batch(script: &Script, batch: u64) -> Range<usize> {
    let start = script.position(|message| *message == Message::Bookmark(Bookmark::Batch(batch)));
    let end = script.position(|message| matches!(message, Message::BatchEnd(end) if end.number == batch));
    start..end + 1
}

fn flip(transaction: &mut Transaction, position: fn(usize) -> usize) {
    let mut bytes = transaction.encoded.to_vec();
    let position = position(bytes.len());
    bytes[position] ^= 1;
    transaction.encoded = bytes.into();
}

/// The other signature of the same key over the same message: `s` becomes `n - s`, and the parity turns.
fn mirror_signature(transaction: &mut Transaction) {
    let mut bytes = transaction.encoded.to_vec();
    let length = bytes.len();
    assert_eq!([bytes[length - 33], bytes[length - 66]], [0xa0; 2], "r and s of 32 bytes");
    let order = U256::from_be_bytes(hex!("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"));
    let s = U256::from_be_slice(&bytes[length - 32..]);
    bytes[length - 32..].copy_from_slice(&(order - s).to_be_bytes::<32>());
    // The last byte of v: 27 and 28, or an odd and an even number.
    let v = bytes[length - 67];
    bytes[length - 67] = if v % 2 == 1 { v + 1 } else { v - 1 };
    transaction.encoded = bytes.into();
}

/// Honest replays, stopped in front of some batches, and where in the script that is.
struct Checkpoints {
    script: Script,
    stops: Vec<Stop>,
}

struct Stop {
    message: usize,
    items: usize,
    replay: Replay,
}

impl Checkpoints {
    fn take(recording: &Recording, batches: &[u64]) -> Self {
        let script = Script::read(&recording.stream);
        let mut replay = recording.begin();
        let mut stops = vec![Stop { message: 0, items: 0, replay: replay.clone() }];
        for (index, item) in items(&recording.stream).enumerate() {
            let item = item.expect("the recording is well-formed");
            if let Item::BatchStart(start) = &item
                && batches.contains(&start.number)
            {
                let message =
                    script.position(|message| *message == Message::Bookmark(Bookmark::Batch(start.number)));
                stops.push(Stop { message, items: index, replay: replay.clone() });
            }
            replay.advance(item).expect("the recording is true");
        }
        Self { script, stops }
    }

    /// Replays an altered script from the last stop before its first difference. Every mismatch must leave evidence that
    /// shows it.
    fn replay(&self, altered: &Script) -> Result<(), Failure> {
        let pairs = self.script.messages.iter().zip(&altered.messages);
        let difference = pairs.take_while(|(honest, altered)| honest == altered).count();
        assert!(
            difference < altered.messages.len() || difference < self.script.messages.len(),
            "nothing was altered"
        );
        let stop =
            self.stops.iter().rev().find(|stop| stop.message <= difference).expect("the first stop is at 0");
        let mut replay = stop.replay.clone();
        for item in items(&altered.write()).skip(stop.items) {
            let input = Input::from(item?);
            if let Err(halt) = replay.replica.advance(&input, &replay.store) {
                if let Halt::Mismatch(mismatch) = &halt {
                    assert_evidence(mismatch, Evidence::of_input(&replay.replica, &input, &replay.store));
                }
                return Err(halt.into());
            }
        }
        Ok(())
    }
}

fn assert_evidence(mismatch: &Mismatch, evidence: Result<Option<Evidence>, EvidenceError>) {
    let evidence = evidence.expect("collected").unwrap_or_else(|| panic!("{mismatch}: no evidence"));
    let bytes = evidence.encode().expect("not too large");
    let read = Evidence::decode(&bytes).unwrap_or_else(|error| panic!("{mismatch}: {error}"));
    assert_eq!(read, evidence, "{mismatch}");
    let judgement = read.check().unwrap_or_else(|error| panic!("{mismatch}: {error}"));
    assert_eq!(judgement, Judgement::MainNodeIsWrong(mismatch.clone()));
}

#[test]
fn every_lie_is_caught_by_name() {
    let Some(vectors) = vectors("every_lie_is_caught_by_name") else {
        return;
    };
    let recording = Recording::load(&vectors);
    let checkpoints = Checkpoints::take(&recording, &[50, 66, 67, 100, 101]);
    let mut wrong = Vec::new();
    for lie in LIES {
        for (index, place) in lie.places.into_iter().enumerate() {
            let mut altered = checkpoints.script.clone();
            (lie.tell)(&mut altered, place);
            let outcome = checkpoints.replay(&altered);
            if !lie.caught.matches(&outcome, index, place) {
                wrong.push(format!(
                    "{} at {place}: expected {:?}, got {}",
                    lie.name,
                    lie.caught,
                    show(&outcome)
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{} lies are not caught by name:\n{}", wrong.len(), wrong.join("\n"));
}

impl Caught {
    fn matches(self, outcome: &Result<(), Failure>, index: usize, place: u64) -> bool {
        let mismatch = outcome.as_ref().err().and_then(Failure::mismatch);
        let block =
            |claim, number| mismatch.is_some_and(|found| (found.claim, found.block) == (claim, number));
        let batch =
            |claim, number| mismatch.is_some_and(|found| (found.claim, found.batch) == (claim, number));
        match self {
            Block(claim) => block(claim, place),
            Blocks(claims) => block(claims[index], place),
            NextBlock(claim) => block(claim, place + 1),
            Batch(claim) => batch(claim, place),
            NextBatch(claim) => batch(claim, place + 1),
            Malformed(words) => match outcome {
                Err(Failure::Decode(error)) => error.to_string().contains(words),
                _ => false,
            },
        }
    }
}

fn show(outcome: &Result<(), Failure>) -> String {
    match outcome {
        Ok(()) => "nothing".into(),
        Err(failure) => failure.to_string(),
    }
}

/// A recording that begins otherwise, and the claim that must be found wrong at block 0.
type GenesisLie = (&'static str, fn(&mut Recording), Claim);

const GENESIS_LIES: &[GenesisLie] = &[
    ("balance", |r| first_account(r).balance += U256::ONE, GenesisRoot),
    ("nonce", |r| first_account(r).nonce += 1, GenesisRoot),
    ("code", |r| first_account(r).code = vec![0x60, 0].into(), GenesisRoot),
    ("storage", |r| first_account(r).storage.extend([(U256::from(99), U256::ONE)]), GenesisRoot),
    ("account missing", |r| drop(r.genesis.accounts.pop_first()), GenesisRoot),
    (
        "balance, and nobody published the root",
        |r| {
            first_account(r).balance += U256::ONE;
            r.genesis.conf = None;
        },
        StateRoot,
    ),
    ("published root", |r| conf(r).root.0[0] ^= 1, GenesisRoot),
    ("published timestamp", |r| conf(r).timestamp += 1, Timestamp),
    ("published gas limit", |r| conf(r).gas_limit = 1, BlockHash),
    ("chain", |r| r.spec.chain_id = 1101, ChainId),
    ("base fee", |r| r.spec.london_genesis = true, BlockHash),
    ("state root", |r| alter(r, |s| s.block(0).state_root.0[0] ^= 1), StateRoot),
    ("block hash", |r| alter(r, |s| s.block(0).hash.0[0] ^= 1), BlockHash),
    ("block info root", |r| alter(r, |s| s.block(0).block_info_root.0[0] ^= 1), BlockInfoRoot),
    ("coinbase", |r| alter(r, |s| s.block(0).coinbase.0[0] ^= 1), Coinbase),
    ("timestamp", |r| alter(r, |s| s.block(0).timestamp += 1), Timestamp),
    ("global exit root", |r| alter(r, |s| s.block(0).global_exit_root.0[0] ^= 1), GlobalExitRoot),
];

fn first_account(recording: &mut Recording) -> &mut zk_replica_core::chain::GenesisAccount {
    recording.genesis.accounts.first_entry().expect("accounts").into_mut()
}

fn conf(recording: &mut Recording) -> &mut zk_replica_core::chain::GenesisConf {
    recording.genesis.conf.as_mut().expect("published")
}

fn alter(recording: &mut Recording, tell: impl FnOnce(&mut Script)) {
    let mut script = Script::read(&recording.stream);
    tell(&mut script);
    recording.stream = script.write();
}

#[test]
fn every_lie_about_genesis_is_caught_by_name() {
    let Some(vectors) = vectors("every_lie_about_genesis_is_caught_by_name") else {
        return;
    };
    let recording = Recording::load(&vectors);
    for (name, tell, claim) in GENESIS_LIES {
        let mut altered = recording.clone();
        tell(&mut altered);
        let failure = altered.replay().expect_err(name);
        let mut replay = altered.begin();
        for item in items(&altered.stream) {
            let input = Input::from(item.expect("well-formed"));
            if let Err(Halt::Mismatch(mismatch)) = replay.replica.advance(&input, &replay.store) {
                assert_evidence(&mismatch, Evidence::of_input(&replay.replica, &input, &replay.store));
                break;
            }
        }
        let mismatch = failure.mismatch().unwrap_or_else(|| panic!("{name}: {failure}"));
        assert_eq!((mismatch.claim, mismatch.block), (*claim, 0), "{name}: {failure}");
    }
}

/// Damage to the bytes of the file, and the words in which it must be refused.
type Damage = (&'static str, fn(&mut Vec<u8>), &'static str);

/// Where the file's parts stand: the header packet, its fields, and the first entry.
const HEADER: usize = 16;
const TOTAL_LENGTH: Range<usize> = HEADER + 22..HEADER + 30;
const TOTAL_ENTRIES: Range<usize> = HEADER + 30..HEADER + 38;
const FIRST_ENTRY: usize = 4096;

const DAMAGES: &[Damage] = &[
    ("empty", |file| file.clear(), "ends at offset 0"),
    ("cut in the header", |file| file.truncate(100), "ends at offset"),
    ("cut in the middle", |file| file.truncate(file.len() / 2), "ends at offset"),
    ("last byte cut", |file| file.truncate(file.len() - 1), "ends at offset"),
    ("magic", |file| file[0] ^= 1, "magic"),
    ("header's type", |file| file[HEADER] = 2, "type 0x02"),
    ("header's length", |file| file[HEADER + 4] = 39, "length 39"),
    ("stream type", |file| file[HEADER + 21] = 2, "stream type is 2"),
    ("header page", |file| file[200] = 1, "non-zero byte at offset 200"),
    ("total length too large", |file| add(file, TOTAL_LENGTH, 1), "offset"),
    ("total length too small", |file| add(file, TOTAL_LENGTH, -1), "announced end"),
    ("total entries too many", |file| add(file, TOTAL_ENTRIES, 1), "announces 34724 entries"),
    ("total entries too few", |file| add(file, TOTAL_ENTRIES, -1), "announces 34722 entries"),
    ("packet type", |file| file[FIRST_ENTRY] = 7, "type 0x07"),
    ("entry too short for its frame", |file| file[FIRST_ENTRY + 4] = 16, "length 16"),
    ("overlong entry", |file| file[FIRST_ENTRY + 1] = 0x7f, "length"),
    ("entry longer by one byte", |file| file[FIRST_ENTRY + 4] += 1, "entry"),
    ("entry type", |file| file[FIRST_ENTRY + 8] = 99, "unknown type 99"),
    ("entry number", |file| file[FIRST_ENTRY + 16] = 5, "number 5, expected 0"),
    ("garbage in an entry", |file| file[FIRST_ENTRY + 17..FIRST_ENTRY + 19].fill(0xff), "entry 0"),
    (
        "garbage in the middle",
        |file| {
            let at = file.len() / 2;
            file[at..at + 4096].fill(0xa5);
        },
        "",
    ),
    (
        "all garbage",
        |file| {
            let mut x = 1u32;
            file.fill_with(|| {
                x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                x.to_be_bytes()[0]
            })
        },
        "magic",
    ),
];

fn add(file: &mut [u8], field: Range<usize>, difference: i64) {
    let field = &mut file[field];
    let value = u64::from_be_bytes(field.try_into().expect("eight bytes"));
    field.copy_from_slice(&value.wrapping_add_signed(difference).to_be_bytes());
}

#[test]
fn every_damage_to_the_file_is_refused_in_words() {
    let Some(vectors) = vectors("every_damage_to_the_file_is_refused_in_words") else {
        return;
    };
    let recording = Recording::load(&vectors);
    for (name, damage, words) in DAMAGES {
        let mut file = recording.stream.clone();
        damage(&mut file);
        let error = items(&file).find_map(Result::err).unwrap_or_else(|| panic!("{name} passes"));
        assert!(error.to_string().contains(words), "{name}: {error}");
    }
}
