//! Witnesses over the recorded chain: with nothing but one, blocks are verified, and nothing else than them is.

use alloy_primitives::{B256, hex};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    ops::{Range, RangeInclusive},
};
use zk_replica_core::{
    checker::{Checker, Verdict},
    executor::PreparedBlock,
    replica::Replica,
    rpc::{Config, Limits, Reply, Rpc, Status},
    source::{
        datastream::Item,
        witness::{Extent, Witness, encode},
    },
    store::{Commit, Key, Memory, Recording as Reads, Store, StoreError},
    types::{BatchStart, Block, BlockRecord, Head, Totals},
};
use zk_replica_tests::{Archive, Recording, items, say, vectors};

const TIP: u64 = 11_317;

/// The recorded chain, by a node with all history, and by its main node.
struct World {
    store: Archive,
    rpc: Rpc,
    checker: Checker,
    replica: Replica,
    /// What the main node said of each block.
    told: BTreeMap<u64, (BatchStart, Block)>,
}

impl World {
    fn load(test: &str) -> Option<Self> {
        let recording = Recording::load(&vectors(test)?);
        let store = Archive::replay(&recording, TIP).expect("true");
        let rpc = Rpc::new(recording.spec.clone(), Config::default());
        let replica =
            Replica::open(recording.spec.clone(), recording.genesis.clone(), &store).expect("sound");
        let (mut told, mut start) = (BTreeMap::new(), None);
        for item in items(&recording.stream) {
            match item.expect("well-formed") {
                Item::BatchStart(opened) => start = Some(opened),
                Item::Block(block) => {
                    let start: &BatchStart = start.as_ref().expect("in a batch");
                    told.insert(block.input.number, (start.clone(), block));
                }
                Item::UpdateGer(_) | Item::BatchEnd(_) => {}
            }
        }
        Some(Self { store, rpc, checker: Checker::new(recording.spec), replica, told })
    }

    fn ask(&self, method: &str, params: &Value) -> Result<Vec<u8>, String> {
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
        let Reply::Answer(answer) = self.rpc.handle(request.as_bytes(), &Status::default(), &self.store)
        else {
            unreachable!("{method} is answered from the store");
        };
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        match answer["result"].as_str() {
            Some(result) => {
                assert!(result.starts_with("0x"), "{result}");
                Ok(hex::decode(result).expect("hexadecimal"))
            }
            None => Err(answer["error"]["message"].as_str().expect("an error").to_owned()),
        }
    }

    /// The witness of one block, decoded: it is of the state before that block.
    fn witness(&self, number: u64, mode: &str) -> (Vec<u8>, Witness) {
        let bytes = self.ask("zkevm_getWitness", &json!([format!("{number:#x}"), mode]));
        let bytes = bytes.unwrap_or_else(|error| panic!("block {number}: {error}"));
        let witness = Witness::decode(&bytes).expect("a witness");
        assert_eq!(witness.root(), self.head(number - 1).state_root, "before block {number}");
        (bytes, witness)
    }

    fn record(&self, number: u64) -> BlockRecord {
        self.replica.block(number, &self.store).expect("read").expect("there")
    }

    /// All that has to be known of the block before one that is to be checked.
    fn head(&self, number: u64) -> Head {
        let BlockRecord { header, batch, fork_id, .. } = self.record(number);
        Head {
            number,
            hash: header.hash_slow(),
            state_root: header.state_root,
            timestamp: header.timestamp,
            batch,
            fork_id,
            batch_closed: false,
            totals: Totals::default(),
        }
    }

    /// Verifies these blocks on a part of the state before the first of them.
    fn verify(&mut self, blocks: RangeInclusive<u64>, store: &Memory) -> Result<(), StoreError> {
        let mut parent = self.head(blocks.start() - 1);
        for number in blocks {
            let (start, block) = self.told[&number].clone();
            let prepared = PreparedBlock::from(block);
            match self.checker.check_block(&prepared, &start, &parent, store)? {
                Verdict::Verified(verified) => {
                    assert_eq!(verified.head().hash, self.head(number).hash, "block {number}");
                    store.apply(&Commit::from(&verified))?;
                    parent = verified.head().clone();
                }
                Verdict::Mismatch(mismatch) => panic!("block {number}: {mismatch}"),
            }
        }
        Ok(())
    }

    fn blocks_with_transactions(&self) -> impl Iterator<Item = u64> {
        self.told
            .iter()
            .filter(|(_, (_, block))| !block.input.transactions.is_empty())
            .map(|(number, _)| *number)
    }

    /// The blocks of a batch.
    fn batch(&self, batch: u64) -> Range<u64> {
        let of = |number: &u64| self.told[number].0.number == batch;
        let first = self.told.keys().copied().find(of).expect("a block");
        let last = self.told.keys().copied().rfind(of).expect("a block");
        first..last + 1
    }
}

/// One replay serves every fact.
#[test]
fn blocks_are_verified_on_their_witnesses_alone() {
    let Some(mut world) = World::load("blocks_are_verified_on_their_witnesses_alone") else {
        return;
    };
    for (fact, check) in FACTS {
        check(&mut world);
        say(&format!("ok: {fact}"));
    }
}

type Fact = (&'static str, fn(&mut World));

const FACTS: &[Fact] = &[
    ("a block is verified on its witness", a_block_is_verified_on_its_witness),
    ("an altered witness is refused", an_altered_witness_is_refused),
    ("what is left out is missing", what_is_left_out_is_missing),
    ("a full witness has all of a trimmed one", a_full_witness_has_all_of_a_trimmed_one),
    ("ranges and batches are verified on one witness", ranges_and_batches_are_verified_on_one_witness),
    ("what there is no witness of is said", what_there_is_no_witness_of_is_said),
];

fn a_block_is_verified_on_its_witness(world: &mut World) {
    let every = (1..=TIP).step_by(500).chain([1, 2, TIP]);
    let (mut count, mut longest) = (0, 0);
    for number in world.blocks_with_transactions().chain(every).collect::<Vec<_>>() {
        let (bytes, witness) = world.witness(number, "trimmed");
        // It is what the state is encoded as in the form of the reference: nothing is written twice or otherwise.
        assert_eq!(witness.encode().as_deref(), Ok(bytes.as_slice()), "block {number}");
        let verified = world.verify(number..=number, witness.store());
        assert_eq!(verified, Ok(()), "block {number}");
        (count, longest) = (count + 1, longest.max(bytes.len()));
    }
    say(&format!("{count} blocks; the longest witness has {longest} bytes"));
    assert!(count > 70);
}

/// Blocks that run contracts, and one without transactions.
fn chosen(world: &World) -> Vec<u64> {
    world.blocks_with_transactions().step_by(8).chain([5000]).collect()
}

fn an_altered_witness_is_refused(world: &mut World) {
    for number in chosen(world) {
        let (bytes, witness) = world.witness(number, "trimmed");
        for at in (0..bytes.len()).step_by(bytes.len() / 128 + 1) {
            let mut altered = bytes.clone();
            altered[at] ^= 1 << (at % 8);
            let found = Witness::decode(&altered).map(|altered| altered.root());
            assert_ne!(found, Ok(witness.root()), "block {number}, byte {at}");
            let cut = Witness::decode(&bytes[..at]).map(|cut| cut.root());
            assert_ne!(cut, Ok(witness.root()), "block {number}, {at} bytes");
        }
    }
}

/// A part of the state without one more record.
struct Without<'a> {
    store: &'a Memory,
    key: Key,
}

impl Store for Without<'_> {
    fn get(&self, key: &Key) -> Result<Option<alloy_primitives::Bytes>, StoreError> {
        if *key == self.key { Err(StoreError::Missing(*key)) } else { self.store.get(key) }
    }

    fn apply(&self, commit: &Commit) -> Result<(), StoreError> {
        self.store.apply(commit)
    }
}

fn what_is_left_out_is_missing(world: &mut World) {
    let (mut needed, mut spare) = (0, 0);
    for number in chosen(world) {
        let (_, witness) = world.witness(number, "trimmed");
        let root = witness.root();
        let reads = Reads::new(witness.store());
        encode(&reads, root, witness.keys(), Extent::AtHand).expect("encoded");
        let records: Vec<Key> = reads.into_records().into_keys().collect();
        let step = records.len() / 64 + 1;
        for key in records.into_iter().step_by(step) {
            let without = Without { store: witness.store(), key };
            let shorter = encode(&without, root, witness.keys(), Extent::AtHand).expect("encoded");
            let shorter = Witness::decode(&shorter).expect("a witness");
            assert_eq!(shorter.root(), root, "pruned, not changed");
            // Another block than the true one fails within.
            match world.verify(number..=number, shorter.store()) {
                Ok(()) => spare += 1,
                Err(StoreError::Missing(_)) => needed += 1,
                Err(error) => panic!("block {number} without {key}: {error}"),
            }
        }
    }
    say(&format!("{needed} records are needed, {spare} are there for others"));
    assert!(needed > spare / 2);
}

fn records(store: &impl Store, witness: &Witness) -> BTreeMap<Key, alloy_primitives::Bytes> {
    let reads = Reads::new(store);
    encode(&reads, witness.root(), witness.keys(), Extent::AtHand).expect("encoded");
    reads.into_records()
}

fn a_full_witness_has_all_of_a_trimmed_one(world: &mut World) {
    let busy = world.blocks_with_transactions().last().expect("some");
    for number in [1, busy] {
        let (long, full) = world.witness(number, "full");
        let (short, trimmed) = world.witness(number, "trimmed");
        let (all, some) = (records(full.store(), &full), records(trimmed.store(), &trimmed));
        assert!(short.len() < long.len() && some.len() < all.len());
        assert!(some.iter().all(|(key, record)| all.get(key) == Some(record)), "block {number}");
        assert_eq!(world.verify(number..=number, full.store()), Ok(()));
        say(&format!("block {number}: {} bytes in full, {} trimmed", long.len(), short.len()));
    }
}

fn ranges_and_batches_are_verified_on_one_witness(world: &mut World) {
    let busy = world.blocks_with_transactions().nth(20).expect("some");
    for blocks in [1..=40, busy - 20..=busy + 60, TIP - 30..=TIP] {
        let bytes =
            world.ask("zkevm_getBlockRangeWitness", &json!([blocks.start(), blocks.end(), "trimmed"]));
        let witness = Witness::decode(&bytes.expect("answered")).expect("a witness");
        assert_eq!(world.verify(blocks.clone(), witness.store()), Ok(()), "blocks {blocks:?}");
    }
    let of_busy = world.told[&busy].0.number;
    for batch in [1, of_busy, world.told[&TIP].0.number] {
        let blocks = world.batch(batch);
        let bytes = world.ask("zkevm_getBatchWitness", &json!([batch])).expect("answered");
        let range = world.ask("zkevm_getBlockRangeWitness", &json!([blocks.start, blocks.end - 1]));
        assert_eq!(range, Ok(bytes.clone()), "batch {batch}");
        // Main nodes want a JSON number; other callers write numbers as everywhere. All of it is 0x and hexadecimal.
        let by_quantity = world.ask("zkevm_getBatchWitness", &json!([format!("{batch:#x}"), "trimmed"]));
        assert_eq!(by_quantity, Ok(bytes.clone()), "batch {batch}");
        let witness = Witness::decode(&bytes).expect("a witness");
        assert_eq!(world.verify(blocks.start..=blocks.end - 1, witness.store()), Ok(()), "batch {batch}");
    }
}

fn what_there_is_no_witness_of_is_said(world: &mut World) {
    let by_hash = world.ask("zkevm_getWitness", &json!([world.head(1000).hash]));
    assert_eq!(by_hash, Ok(world.witness(1000, "trimmed").0));
    for params in [json!(["0x0"]), json!(["earliest", "full"])] {
        assert_eq!(world.ask("zkevm_getWitness", &params), Ok(vec![1]), "before genesis there is nothing");
    }
    let beyond = format!("block with number {} not found", TIP + 1);
    for (method, params, message) in [
        ("zkevm_getWitness", json!([TIP + 1]), beyond.as_str()),
        ("zkevm_getWitness", json!([1, "most"]), "invalid mode, must be full or trimmed"),
        ("zkevm_getWitness", json!([]), "missing value for required argument 0"),
        ("zkevm_getWitness", json!([B256::ZERO]), &format!("block {} not found", B256::ZERO)),
        (
            "zkevm_getBlockRangeWitness",
            json!([7, 6]),
            "start block number must be less than or equal to end block number, start=7 end=6",
        ),
        ("zkevm_getBlockRangeWitness", json!([1, TIP]), "witnesses are limited to a 1000 block range"),
        ("zkevm_getBatchWitness", json!([100_000]), "no blocks found for batch 100000"),
        ("zkevm_getBatchWitness", json!([u64::MAX]), "no blocks found for batch 18446744073709551615"),
    ] {
        assert_eq!(world.ask(method, &params), Err(message.to_owned()), "{method} {params}");
    }
    let whole = world.rpc.clone();
    let limits = Limits { response: 20_000, ..Limits::default() };
    world.rpc = Rpc::new(world.checker.spec().clone(), Config { limits, ..Config::default() });
    let full = world.ask("zkevm_getWitness", &json!([TIP, "full"]));
    assert_eq!(full, Err("response too large".to_owned()));
    world.rpc = whole;
    // A database that was made before leaves had names.
    let names = Reads::new(&world.store);
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": "zkevm_getWitness", "params": [1000] });
    world.rpc.handle(request.to_string().as_bytes(), &Status::default(), &names);
    let mut records = names.into_records();
    records.retain(|key, _| !matches!(key, Key::LeafName(_)));
    let nameless = Memory::new();
    nameless.apply(&Commit::for_test(records.into_iter().collect(), Vec::new())).expect("written");
    let Reply::Answer(answer) =
        world.rpc.handle(request.to_string().as_bytes(), &Status::default(), &nameless)
    else {
        unreachable!("it is answered from the store");
    };
    assert!(answer.contains("state before block 1000 is not available"), "{answer}");
}
