//! A chain that lives through the forks: from blocks of one transaction to L2 blocks, first as its main node streams it,
//! then as L1 has its batches.

use alloy_consensus::TxLegacy;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, hex, keccak256};
use std::collections::BTreeMap;
use zk_replica_core::{
    chain::{ChainSpec, ForkId, Genesis},
    checker::{Checker, Claim, Details, Mismatch, Value, Verdict},
    evidence::{Evidence, Judgement, Refusal},
    executor::Rules,
    replica::{Halt, Input, Replica},
    source::{
        batch_data::{self, BatchEntry, BatchTransaction, ChangeL2Block},
        datastream::{BlockEnd, Bookmark, L2Block, Message, Transaction},
    },
    store::{Commit, Memory, Store},
    tree::{Smt, StateKey},
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

/// Evidence of the first lie in a script, as a file that was read again.
fn evidence(script: &Script) -> (String, Details) {
    let store = Memory::new();
    let mut replica = Replica::open(spec(), genesis(), &store).expect("empty");
    for item in items(&script.write()) {
        let input = Input::from(item.expect("well-formed"));
        if replica.advance(&input, &store).is_err() {
            let evidence = Evidence::of_input(&replica, &input, &store).expect("collected").expect("wrong");
            let text = String::from_utf8(evidence.encode().expect("small")).expect("UTF-8");
            let read = Evidence::decode(text.as_bytes()).expect("evidence");
            let Ok(Judgement::MainNodeIsWrong(mismatch)) = read.check() else { panic!("{text}") };
            return (text, *mismatch.details);
        }
    }
    panic!("nothing was wrong")
}

/// One lie, the transaction that is named for it (index, since, what) and the state key (with what the main node has there).
type Named = (
    &'static str,
    Box<dyn Fn(&mut Script)>,
    Option<(u64, u64, &'static str)>,
    Option<(StateKey, Option<B256>)>,
);

/// What differs is named where the claims allow to know it, and nowhere else; and a file that names something else is
/// refused.
#[test]
fn what_differs_is_named_as_far_as_the_claims_go() {
    const LIE: B256 = B256::repeat_byte(0x77);
    let mut truth = chain();
    // The fifth block has two transactions, in the one fork of L2 blocks that tells the root after each.
    let mut script = truth.clone();
    script.transaction(5, 0).intermediate_state_root = LIE;
    let roots = evidence(&script).1.computed.expect("it ran").transactions;
    let roots: Vec<B256> = roots.iter().map(|transaction| transaction.state_root.expect("told")).collect();
    assert_eq!(roots.len(), 2);
    script = truth.clone();
    script.transaction(1, 0).intermediate_state_root = LIE;
    let first = evidence(&script).1.computed.expect("it ran").transactions[0].state_root.expect("told");

    let info_root = StateKey::Storage(ChainSpec::SYSTEM_CONTRACT, U256::from(3));
    let entry = keccak256([U256::from(1).to_be_bytes::<32>(), U256::from(1).to_be_bytes::<32>()].concat());
    let entry = StateKey::Storage(ChainSpec::SYSTEM_CONTRACT, entry.into());
    let exit_root = StateKey::Storage(ChainSpec::EXIT_ROOT_MANAGER, U256::from(1));
    let entry_of = |root: B256| {
        StateKey::Storage(ChainSpec::EXIT_ROOT_MANAGER, keccak256([root, B256::ZERO].concat()).into())
    };
    let (known, unknown) = (entry_of(EXIT_ROOTS[2]), entry_of(LIE));
    let store = Archive::default();
    let mut replica = Replica::open(spec(), genesis(), &store).expect("empty");
    for item in items(&truth.write()) {
        replica.advance(&Input::from(item.expect("well-formed")), &store).expect("true");
    }
    let with_lie = |root| {
        let update = Smt::new(&store).update(root, [(info_root.path(), LIE.into())]);
        update.expect("the state").root
    };
    let (fifth, eighth) = (with_lie(truth.block(5).state_root), with_lie(truth.block(8).state_root));

    let root = "intermediate state root";
    let cases: Vec<Named> = vec![
        (
            "the root after the first transaction",
            Box::new(|script| script.transaction(5, 0).intermediate_state_root = LIE),
            Some((0, 0, root)),
            None,
        ),
        (
            "the root after the second alone",
            Box::new(|script| script.transaction(5, 1).intermediate_state_root = LIE),
            Some((1, 0, root)),
            None,
        ),
        (
            "the root after the second, when the first is true",
            Box::new({
                let roots = roots.clone();
                move |script| {
                    script.transaction(5, 0).intermediate_state_root = roots[0];
                    script.transaction(5, 1).intermediate_state_root = LIE;
                }
            }),
            Some((1, 1, root)),
            None,
        ),
        (
            "the block's root, when those of all transactions are true",
            Box::new(move |script| {
                script.transaction(5, 0).intermediate_state_root = roots[0];
                script.transaction(5, 1).intermediate_state_root = roots[1];
                script.block(5).state_root = LIE;
            }),
            None,
            Some((info_root, None)),
        ),
        ("the block's root alone", Box::new(|script| script.block(5).state_root = LIE), None, None),
        (
            "another block info root, in the state too",
            Box::new(move |script| {
                script.block(5).block_info_root = LIE;
                script.block(5).state_root = fifth;
            }),
            None,
            Some((info_root, Some(LIE))),
        ),
        (
            "the same in a later fork",
            Box::new(move |script| {
                script.block(8).block_info_root = LIE;
                script.block(8).state_root = eighth;
            }),
            None,
            Some((info_root, Some(LIE))),
        ),
        (
            "another block info root, and the state is another one anyway",
            Box::new(|script| {
                script.block(8).block_info_root = LIE;
                script.block(8).state_root = LIE;
            }),
            None,
            None,
        ),
        (
            "another block info root beside the true state",
            Box::new(|script| script.block(8).block_info_root = LIE),
            None,
            Some((info_root, Some(LIE))),
        ),
        ("the hash", Box::new(|script| script.block(8).hash = LIE), None, None),
        (
            "the root of a block that is one transaction",
            Box::new(|script| script.block(1).state_root = LIE),
            Some((0, 0, "state root")),
            None,
        ),
        (
            "the same, when the root after the transaction is true",
            Box::new(move |script| {
                script.transaction(1, 0).intermediate_state_root = first;
                script.block(1).state_root = LIE;
            }),
            None,
            Some((entry, None)),
        ),
        (
            "a share of the price, before there were any",
            Box::new(|script| script.transaction(1, 0).effective_percentage = 7),
            Some((0, 0, "effective percentage")),
            None,
        ),
        (
            "a transaction that cannot run",
            Box::new(|script| {
                let transaction = TxLegacy {
                    chain_id: Some(CHAIN),
                    nonce: 9,
                    gas_limit: 100_000,
                    to: TxKind::Call(CONTRACT),
                    ..TxLegacy::default()
                };
                script.transaction(5, 1).encoded = sign(&transaction, 255).encoded;
            }),
            Some((1, 1, "whether it runs")),
            None,
        ),
        (
            "the exit root at a batch's end",
            Box::new(|script| script.batch_end(5).local_exit_root = LIE),
            None,
            Some((exit_root, Some(LIE))),
        ),
        (
            "another L1 block for a known exit root",
            Box::new(|script| {
                script.block(6).global_exit_root = EXIT_ROOTS[2];
                script.block(6).l1_block_hash = LIE;
            }),
            None,
            Some((known, Some(LIE))),
        ),
        (
            "an exit root that nobody knows, with an L1 block",
            Box::new(|script| {
                script.block(6).global_exit_root = LIE;
                script.block(6).l1_block_hash = LIE;
            }),
            None,
            Some((unknown, Some(LIE))),
        ),
        (
            "an exit root that nobody knows, and nothing said of it",
            Box::new(|script| {
                script.block(6).global_exit_root = LIE;
                script.block(6).l1_block_hash = B256::ZERO;
            }),
            None,
            Some((unknown, None)),
        ),
        (
            "no block info root, and another state",
            Box::new(|script| {
                script.block(8).block_info_root = B256::ZERO;
                script.block(8).state_root = LIE;
            }),
            None,
            None,
        ),
    ];
    for (name, tell, transaction, key) in cases {
        let mut script = truth.clone();
        tell(&mut script);
        let (text, details) = evidence(&script);
        let named =
            details.transaction.as_ref().map(|found| (found.index, found.since, found.value.as_str()));
        assert_eq!(named, transaction, "{name}");
        let named = details.state_key.as_ref().map(|found| (found.key, found.expected));
        assert_eq!(named, key, "{name}");
        // Each of it forged.
        let forged = |from: &str, to: &str| {
            let (before, behind) = text.split_once("\"details\"").expect("there");
            assert!(behind.contains(from), "{name}: {from}");
            Evidence::decode(format!("{before}\"details\"{}", behind.replacen(from, to, 1)).as_bytes())
                .and_then(|evidence| evidence.check())
        };
        let refused = |judged, what| matches!(judged, Err(Refusal::OtherDetails(found)) if found == what);
        if let Some(found) = details.transaction {
            let what = "first differing transaction";
            for (from, to) in [("\"index\": ", "\"index\": 1"), ("\"since\": ", "\"since\": 1")] {
                assert!(refused(forged(from, to), what), "{name}: {from}");
            }
            assert!(refused(forged(&found.hash.to_string(), &LIE.to_string()), what), "{name}: hash");
            assert!(refused(forged(&found.value, "logs"), what), "{name}: value");
        } else {
            let made_up = format!(
                "\"transaction\": {{\n        \"index\": 0,\n        \"hash\": \"{LIE}\",\n        \"value\": \
                 \"status\",\n        \"since\": 0\n      }}"
            );
            let judged = forged("\"transaction\": null", &made_up);
            assert!(refused(judged, "first differing transaction"), "{name}: a transaction");
        }
        if let Some(found) = details.state_key {
            let what = "first differing state key";
            let account = found.key.address().to_string().to_lowercase();
            let other = Address::repeat_byte(1).to_string();
            assert!(refused(forged(&account, &other), what), "{name}: account");
            let (from, to) = (found.computed.to_string(), B256::repeat_byte(0x78).to_string());
            assert!(refused(forged(&from, &to), what), "{name}: value");
            // A key is left out, a value made up.
            if found.expected.is_none() {
                let judged = forged("\"expected\": null", &format!("\"expected\": \"{LIE}\""));
                assert!(refused(judged, what), "{name}: expected");
            }
        }
        for part in ["\"gasUsed\": ", "\"logs\": "] {
            if let Some(computed) = &details.computed
                && (part.contains("gas") || !computed.transactions.is_empty())
            {
                let judged = forged(part, &format!("{part}1"));
                assert!(refused(judged, "computed values"), "{name}: {part}");
            }
        }
    }
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
