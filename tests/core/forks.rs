//! A chain that lives through the forks: from blocks of one transaction to L2 blocks, first as its main node streams it,
//! then as L1 has its batches.

use alloy_consensus::TxLegacy;
use alloy_primitives::{Address, B256, Bytes, TxKind, hex};
use std::collections::BTreeMap;
use zk_replica_core::{
    chain::{ChainSpec, ForkId, Genesis},
    checker::{Checker, Claim, Mismatch, Value, Verdict},
    executor::Rules,
    replica::{Halt, Input, Replica},
    source::{
        batch_data::{self, BatchEntry, BatchTransaction, ChangeL2Block},
        datastream::{BlockEnd, Bookmark, L2Block, Message, Transaction},
    },
    store::{Commit, Memory, Store},
    types::{
        BatchClaims, BatchEnd, BatchInput, BatchKind, BatchPart, BatchStart, EncodedTransaction, Head,
        L1Info, UpdateGer,
    },
};
use zk_replica_tests::{Archive, Script, answers::sign, items};

const CHAIN: u64 = 77;
const COINBASE: Address = Address::repeat_byte(0xcb);
const START: u64 = 1_700_000_000;
/// Keeps NUMBER, and the BLOCKHASH of the block before, in slots 0 and 1; logs three bytes.
const CODE: &[u8] = &hex!("43 6000 55 6001 43 03 40 6001 55 6003 6000 a0");
const CONTRACT: Address = Address::repeat_byte(0xc0);

/// Exit roots that batches bring in.
const EXIT_ROOTS: [B256; 3] = [B256::repeat_byte(0xa1), B256::repeat_byte(0xa2), B256::repeat_byte(0xa3)];
const L1_HASH: B256 = B256::repeat_byte(0x11);

/// A batch of the chain: its fork, the exit root it brings in, and how many transactions each of its blocks has.
struct Batch {
    fork: ForkId,
    exit_root: B256,
    blocks: &'static [usize],
}

const BATCHES: &[Batch] = &[
    Batch { fork: ForkId::Fork4, exit_root: EXIT_ROOTS[0], blocks: &[1, 1] },
    // An exit root, and no block.
    Batch { fork: ForkId::Fork4, exit_root: EXIT_ROOTS[1], blocks: &[] },
    Batch { fork: ForkId::Dragonfruit, exit_root: EXIT_ROOTS[1], blocks: &[1] },
    Batch { fork: ForkId::IncaBerry, exit_root: B256::ZERO, blocks: &[1] },
    Batch { fork: ForkId::Etrog, exit_root: EXIT_ROOTS[2], blocks: &[2, 0] },
    Batch { fork: ForkId::Elderberry, exit_root: B256::ZERO, blocks: &[1] },
    Batch { fork: ForkId::Elderberry2, exit_root: EXIT_ROOTS[0], blocks: &[0, 3] },
    Batch { fork: ForkId::Fork10, exit_root: B256::ZERO, blocks: &[1] },
    Batch { fork: ForkId::Fork11, exit_root: B256::ZERO, blocks: &[1] },
    Batch { fork: ForkId::Banana, exit_root: B256::ZERO, blocks: &[1] },
    Batch { fork: ForkId::Durian, exit_root: B256::ZERO, blocks: &[2] },
];

impl Batch {
    fn has_l2_blocks(&self) -> bool {
        self.fork >= ForkId::Etrog
    }

    /// The timestamp of every block in the batch.
    fn timestamp(number: u64) -> u64 {
        START + 10 * number
    }
}

fn spec() -> ChainSpec {
    let forks: Vec<_> = (1..)
        .zip(BATCHES)
        .map(|(number, batch)| {
            format!(r#"{{"forkId":"{:#x}","fromBatchNumber":"{number:#x}"}}"#, batch.fork.number())
        })
        .collect();
    // The second batch runs the fork of the first, which begins only once.
    let forks: Vec<_> =
        forks.iter().enumerate().filter(|(index, _)| *index != 1).map(|(_, fork)| fork.as_str()).collect();
    let json = format!(r#"{{"chainId":{CHAIN},"forks":[{}]}}"#, forks.join(","));
    ChainSpec::from_json(json.as_bytes()).expect("a specification")
}

fn genesis() -> Genesis {
    let json = format!(r#"{{"{CONTRACT}":{{"balance":"0","nonce":"1","code":"0x{}"}}}}"#, hex::encode(CODE));
    Genesis::from_json(json.as_bytes()).expect("allocations")
}

/// A transaction to the contract. Each has a sender of its own, who has nothing and needs nothing.
fn transaction(number: u64) -> EncodedTransaction {
    let transaction = TxLegacy {
        chain_id: Some(CHAIN),
        gas_limit: 200_000 + number,
        to: TxKind::Call(CONTRACT),
        input: Bytes::new(),
        ..TxLegacy::default()
    };
    sign(&transaction, 255)
}

/// The stream of the chain, with every claim that has to be computed left zero.
fn draft() -> Script {
    let mut messages = vec![
        Message::Bookmark(Bookmark::Batch(0)),
        start(0, 0),
        Message::Bookmark(Bookmark::Block(0)),
        Message::L2Block(L2Block { timestamp: START, ..L2Block::default() }),
        end(0),
    ];
    let (mut block, mut sent, mut last) = (0, 0, 0);
    for (number, batch) in (1..).zip(BATCHES) {
        messages.extend([Message::Bookmark(Bookmark::Batch(number)), start(number, batch.fork.number())]);
        for (index, transactions) in batch.blocks.iter().enumerate() {
            block += 1;
            let timestamp = Batch::timestamp(number);
            let imports = batch.has_l2_blocks() && index == 0 && !batch.exit_root.is_zero();
            messages.push(Message::Bookmark(Bookmark::Block(block)));
            messages.push(Message::L2Block(L2Block {
                number: block,
                batch_number: number,
                timestamp,
                delta_timestamp: u32::try_from(timestamp - last).expect("before 2106"),
                l1_info_tree_index: u32::from(imports) * 5,
                l1_block_hash: if imports { L1_HASH } else { B256::ZERO },
                min_timestamp: if imports { timestamp } else { 0 },
                global_exit_root: if imports || !batch.has_l2_blocks() {
                    batch.exit_root
                } else {
                    B256::ZERO
                },
                coinbase: COINBASE,
                ..L2Block::default()
            }));
            last = timestamp;
            for _ in 0..*transactions {
                let EncodedTransaction { encoded, effective_percentage } = transaction(sent);
                sent += 1;
                messages.push(Message::Transaction(Transaction {
                    block_number: block,
                    index: 0,
                    is_valid: true,
                    encoded,
                    effective_percentage,
                    intermediate_state_root: B256::ZERO,
                }));
            }
            messages.push(Message::BlockEnd(BlockEnd { number: block }));
        }
        if batch.blocks.is_empty() {
            messages.push(Message::UpdateGer(UpdateGer {
                batch_number: number,
                timestamp: Batch::timestamp(number),
                global_exit_root: batch.exit_root,
                coinbase: COINBASE,
                fork_id: batch.fork.number(),
                chain_id: CHAIN,
                state_root: B256::ZERO,
            }));
        }
        messages.push(end(number));
    }
    Script { messages }
}

fn start(number: u64, fork_id: u64) -> Message {
    Message::BatchStart(BatchStart { number, kind: BatchKind::Regular, fork_id, chain_id: CHAIN })
}

fn end(number: u64) -> Message {
    Message::BatchEnd(BatchEnd { number, local_exit_root: B256::ZERO, state_root: B256::ZERO })
}

fn replay(script: &Script, spec: ChainSpec) -> Result<Head, Halt> {
    let store = Memory::new();
    let mut replica = Replica::open(spec, genesis(), &store).expect("empty");
    for item in items(&script.write()) {
        replica.advance(&Input::from(item.expect("well-formed")), &store)?;
    }
    Ok(replica.head().cloned().expect("blocks"))
}

fn mismatch(script: &Script) -> Mismatch {
    match replay(script, spec()) {
        Err(Halt::Mismatch(mismatch)) => mismatch,
        other => panic!("{other:?}"),
    }
}

/// The stream with what the replica computes put in place of the zeros.
fn chain() -> Script {
    let mut script = draft();
    loop {
        let Mismatch { batch, block, claim, computed, .. } = match replay(&script, spec()) {
            Ok(_) => return script,
            Err(Halt::Mismatch(mismatch)) => mismatch,
            Err(other) => panic!("{other}"),
        };
        let Value::Hash(computed) = computed else { panic!("{claim}: {computed}") };
        let place = match claim {
            Claim::StateRoot if script.block(block).state_root.is_zero() => {
                &mut script.block(block).state_root
            }
            Claim::StateRoot => &mut update(&mut script, batch).state_root,
            Claim::BlockInfoRoot => &mut script.block(block).block_info_root,
            Claim::BlockHash => &mut script.block(block).hash,
            Claim::BatchStateRoot => &mut script.batch_end(batch).state_root,
            other => panic!("{other}: {computed}"),
        };
        assert!(place.is_zero(), "{claim} of block {block}");
        *place = computed;
    }
}

fn update(script: &mut Script, batch: u64) -> &mut UpdateGer {
    let mut updates = script.messages.iter_mut().filter_map(|message| match message {
        Message::UpdateGer(update) => Some(update),
        _ => None,
    });
    updates.find(|update| update.batch_number == batch).expect("such an update")
}

#[test]
fn a_chain_is_followed_through_all_forks() {
    let mut script = chain();
    let head = replay(&script, spec()).expect("true");
    let transactions: usize = BATCHES.iter().flat_map(|batch| batch.blocks).sum();
    assert_eq!((head.number, head.fork_id), (13, 13));
    assert_eq!((head.totals.transactions, head.totals.batches), (transactions as u64, 12));
    // Without a schedule the main node's word is taken for the forks, as long as they do not go back.
    let spec = ChainSpec::from_json(format!(r#"{{"chainId":{CHAIN}}}"#).as_bytes()).expect("a specification");
    assert_eq!(replay(&script, spec.clone()), Ok(head));
    script.batch_start(6).fork_id = 6;
    let Err(Halt::Mismatch(mismatch)) = replay(&script, spec.clone()) else { panic!("forks went back") };
    assert_eq!((mismatch.claim, mismatch.batch), (Claim::ForkId, 6));
    script.batch_start(6).fork_id = 14;
    let Err(Halt::Mismatch(mismatch)) = replay(&script, spec) else { panic!("no such fork") };
    assert_eq!((mismatch.claim, mismatch.batch), (Claim::ForkId, 6));
}

/// The stored head may stand behind its last block: in a batch that has ended, or that has brought in an exit root and no
/// block.
#[test]
fn wherever_it_ended_it_begins_again_with_genesis() {
    let script = chain();
    let items: Vec<_> = items(&script.write()).collect::<Result<_, _>>().expect("well-formed");
    let expected = replay(&script, spec());
    for ended in 1..items.len() {
        let store = Archive::default();
        for count in [ended, items.len()] {
            let mut replica = Replica::open(spec(), genesis(), &store).expect("sound");
            for item in &items[..count] {
                if let Err(halt) = replica.advance(&Input::from(item.clone()), &store) {
                    panic!("after {ended} items: {halt}");
                }
            }
            assert!(count == ended || replica.head() == expected.as_ref().ok(), "after {ended} items");
        }
    }
}

/// The state that genesis leaves.
fn genesis_state(script: &Script) -> (Memory, B256) {
    let store = Memory::new();
    let mut replica = Replica::open(spec(), genesis(), &store).expect("empty");
    for item in items(&script.write()).take(2) {
        replica.advance(&Input::from(item.expect("well-formed")), &store).expect("true");
    }
    (store, replica.head().expect("genesis").state_root)
}

/// A batch as it would be posted to L1.
fn posted(number: u64, batch: &Batch, first_transaction: u64, stored_timestamp: u64) -> BatchInput {
    let (timestamp, mut sent) = (Batch::timestamp(number), first_transaction);
    let mut entries = Vec::new();
    for (index, transactions) in batch.blocks.iter().enumerate() {
        if batch.has_l2_blocks() {
            let since = if index == 0 { timestamp - stored_timestamp } else { 0 };
            entries.push(BatchEntry::ChangeL2Block(ChangeL2Block {
                delta_timestamp: u32::try_from(since).expect("before 2106"),
                l1_info_index: if index == 0 && !batch.exit_root.is_zero() { 5 } else { 0 },
            }));
        }
        for _ in 0..*transactions {
            let recovered = transaction(sent).recover().expect("signed");
            entries.push(BatchEntry::Transaction(BatchTransaction::from(&recovered)));
            sent += 1;
        }
    }
    let leaf =
        L1Info { index: 5, global_exit_root: batch.exit_root, block_hash: L1_HASH, min_timestamp: timestamp };
    BatchInput {
        kind: BatchKind::Regular,
        data: batch_data::encode(&entries, &Rules::of(batch.fork).encoding).into(),
        coinbase: COINBASE,
        timestamp,
        l1_root: if batch.has_l2_blocks() { B256::ZERO } else { batch.exit_root },
        forced_block_hash: B256::ZERO,
        l1_info: BTreeMap::from([(5, leaf)]),
        l1_info_proofs: BTreeMap::new(),
        previous_acc_input_hash: B256::ZERO,
        part: BatchPart::WHOLE,
    }
}

#[test]
fn the_batches_on_l1_give_the_same_states() {
    let mut script = chain();
    let (store, mut root) = genesis_state(&script);
    let mut checker = Checker::new(spec());
    let (mut sent, mut stored_timestamp, mut acc_input_hash) = (0, 0, B256::ZERO);
    for (number, batch) in (1..).zip(BATCHES) {
        let mut input = posted(number, batch, sent, stored_timestamp);
        input.previous_acc_input_hash = acc_input_hash;
        let state_root = script.batch_end(number).state_root;
        let mut claims = BatchClaims { state_root, local_exit_root: B256::ZERO, acc_input_hash: None };
        let rules = Rules::of(batch.fork);
        let verified = match checker.check_batch(number, rules, &input, &claims, root, &store) {
            Ok(Verdict::Verified(verified)) => verified,
            other => panic!("batch {number}: {other:?}"),
        };
        let execution = verified.execution();
        assert_eq!(execution.blocks.len(), batch.blocks.len(), "batch {number}");
        assert_eq!(execution.discarded, None, "batch {number}");

        // What is said of the batch is compared, each claim by name.
        let mut lie =
            |claims: &BatchClaims| match checker.check_batch(number, rules, &input, claims, root, &store) {
                Ok(Verdict::Mismatch(mismatch)) => mismatch.claim,
                other => panic!("batch {number}: {other:?}"),
            };
        claims.acc_input_hash = Some(B256::repeat_byte(1));
        assert_eq!(lie(&claims), Claim::AccInputHash);
        claims.local_exit_root.0[0] ^= 1;
        assert_eq!(lie(&claims), Claim::LocalExitRoot);
        claims.state_root.0[0] ^= 1;
        assert_eq!(lie(&claims), Claim::BatchStateRoot);

        acc_input_hash = execution.acc_input_hash;
        root = execution.state_root;
        store.apply(&Commit::from(&verified)).expect("memory does not fail");
        sent += batch.blocks.iter().sum::<usize>() as u64;
        if batch.has_l2_blocks() {
            stored_timestamp = Batch::timestamp(number);
        }
    }
    assert_eq!(root, script.block(13).state_root);
}

/// A lie about the chain of many forks: what it is told of, and the claim that must be found wrong.
type Lie = (&'static str, fn(&mut Script), Claim);

const LIES: &[Lie] = &[
    ("exit root of a block of fork 4", |s| s.block(1).global_exit_root.0[0] ^= 1, Claim::StateRoot),
    ("exit root without a block", |s| update(s, 2).global_exit_root.0[0] ^= 1, Claim::StateRoot),
    ("its timestamp", |s| update(s, 2).timestamp += 1, Claim::StateRoot),
    ("its state root", |s| update(s, 2).state_root.0[0] ^= 1, Claim::StateRoot),
    ("its batch", |s| update(s, 2).batch_number += 1, Claim::BatchNumber),
    ("its fork", |s| update(s, 2).fork_id += 1, Claim::ForkId),
    ("its chain", |s| update(s, 2).chain_id += 1, Claim::ChainId),
    ("an exit root without a block in fork 7", |s| move_update(s, 5), Claim::GlobalExitRoot),
    (
        "an exit root of a batch twice, with another timestamp",
        |s| s.block(2).timestamp += 1,
        Claim::Timestamp,
    ),
    ("index of an L1 info leaf in fork 4", |s| s.block(1).l1_info_tree_index = 1, Claim::L1InfoIndex),
    ("L1 block hash in fork 4", |s| s.block(1).l1_block_hash = L1_HASH, Claim::L1BlockHash),
    ("minimum timestamp in fork 4", |s| s.block(1).min_timestamp = 1, Claim::MinTimestamp),
    ("two transactions in a block of fork 4", |s| double(s, 1), Claim::Transaction),
    ("no transaction in a block of fork 6", |s| empty(s, 4), Claim::Transaction),
    ("state root in a block of fork 4", |s| tell_root(s, 1), Claim::IntermediateStateRoot),
    ("state root in a block of fork 7", |s| tell_root(s, 5), Claim::IntermediateStateRoot),
    ("state root in a block of fork 8", |s| tell_root(s, 7), Claim::IntermediateStateRoot),
    ("block info root in fork 6", |s| s.block(4).block_info_root.0[0] ^= 1, Claim::BlockInfoRoot),
    ("block hash in fork 4", |s| s.block(1).hash.0[0] ^= 1, Claim::BlockHash),
    ("block hash in fork 7", |s| s.block(5).hash.0[0] ^= 1, Claim::BlockHash),
    ("block hash in fork 12", |s| s.block(12).hash.0[0] ^= 1, Claim::BlockHash),
    ("the fork before", |s| s.batch_start(8).fork_id = 9, Claim::ForkId),
    ("the fork after", |s| s.batch_start(8).fork_id = 11, Claim::ForkId),
    ("no such fork", |s| s.batch_start(11).fork_id = 14, Claim::ForkId),
    ("percentage in fork 4", |s| s.transaction(1, 0).effective_percentage = 127, Claim::Transaction),
];

/// Puts the exit root without a block into another batch.
fn move_update(script: &mut Script, batch: u64) {
    let message =
        Message::UpdateGer(UpdateGer { batch_number: batch, fork_id: 7, ..update(script, 2).clone() });
    let end = script.position(|message| matches!(message, Message::BatchEnd(end) if end.number == batch));
    script.messages.insert(end, message);
}

fn double(script: &mut Script, block: u64) {
    let first = script.transactions(block).start;
    let again = script.messages[first].clone();
    script.messages.insert(first, again);
}

fn empty(script: &mut Script, block: u64) {
    let transactions = script.transactions(block);
    script.messages.drain(transactions);
}

fn tell_root(script: &mut Script, block: u64) {
    script.transaction(block, 0).intermediate_state_root = B256::repeat_byte(1);
}

#[test]
fn lies_about_a_chain_of_many_forks_are_caught_by_name() {
    let chain = chain();
    for (name, tell, claim) in LIES {
        let mut script = chain.clone();
        tell(&mut script);
        assert_eq!(mismatch(&script).claim, *claim, "{name}");
    }
}
