//! Beginning in the midst of the recorded chain, with the state as a file from somebody who need not be trusted.

use alloy_primitives::{Address, B256};
use alloy_rlp::{Encodable as _, Header};
use zk_replica_core::{
    chain::{ChainSpec, ForkId, ForkSchedule, Genesis},
    checkpoint::Checkpoint,
    replica::{Input, Replica},
    snapshot::{SnapshotError, TakeError, restore, take},
    source::{
        datastream::Item,
        witness::{EncodeError, Extent, encode},
    },
    store::{Key, Memory, Store, StoreError},
    tree::StateKey,
};
use zk_replica_tests::{Archive, Recording, items, say, vectors};

const TIP: u64 = 11_317;

struct World {
    recording: Recording,
    archive: Archive,
}

impl World {
    fn load(test: &str) -> Option<Self> {
        let recording = Recording::load(&vectors(test)?);
        let archive = Archive::replay(&recording, TIP).expect("true");
        Some(Self { recording, archive })
    }

    fn take(&self, block: u64) -> (Checkpoint, Vec<u8>) {
        take(&self.archive, self.recording.spec.chain_id, block, usize::MAX).expect("the archive has it")
    }

    fn restore(&self, file: &[u8], checkpoint: &Checkpoint) -> Result<Memory, SnapshotError> {
        let store = Memory::new();
        store.apply(&restore(file, &self.recording.spec, checkpoint)?).expect("memory");
        Ok(store)
    }
}

#[test]
fn from_any_block_on_the_chain_ends_as_from_genesis() {
    let Some(world) = World::load("from_any_block_on_the_chain_ends_as_from_genesis") else { return };
    let items: Vec<Item> = items(&world.recording.stream).collect::<Result<_, _>>().expect("sound");
    let genesis = world.recording.genesis.clone();
    let whole = Replica::open(world.recording.spec.clone(), genesis, &world.archive).expect("memory");
    let whole = whole.head().expect("the tip");
    for block in [0, 1, 4_000, 11_000, TIP - 1] {
        let (checkpoint, file) = world.take(block);
        let store = world.restore(&file, &checkpoint).expect("true");
        let spec = world.recording.spec.clone();
        let mut replica = Replica::open(spec, Genesis::default(), &store).expect("memory");
        assert_eq!(replica.head().map(|head| (head.number, head.hash)), Some((block, checkpoint.hash)));

        let is_block = |item: &Item| matches!(item, Item::Block(other) if other.input.number == block);
        let position = items.iter().position(is_block).expect("in the stream");
        let start = items[..position].iter().rev().find_map(|item| match item {
            Item::BatchStart(start) => Some(start.clone()),
            _ => None,
        });
        replica.enter(&start.expect("a batch"), &store).expect("true");
        for item in &items[position..] {
            replica.advance(&Input::from(item.clone()), &store).expect("true");
        }
        let head = replica.head().expect("it has one");
        assert_eq!((head.number, head.hash, head.state_root), (TIP, whole.hash, whole.state_root));
        assert_eq!(
            (head.batch, head.fork_id, head.batch_closed),
            (whole.batch, whole.fork_id, whole.batch_closed)
        );
        say(&format!("from block {block} on, a snapshot of {} bytes: block {TIP} agrees", file.len()));
    }
}

#[test]
fn a_snapshot_of_a_snapshot_is_the_same() {
    let Some(world) = World::load("a_snapshot_of_a_snapshot_is_the_same") else { return };
    let (checkpoint, file) = world.take(9_000);
    let store = world.restore(&file, &checkpoint).expect("true");
    let again = take(&store, world.recording.spec.chain_id, 9_000, usize::MAX).expect("it has all of it");
    assert_eq!(again, (checkpoint, file.clone()));
    let chain_id = world.recording.spec.chain_id;
    let limit = file.len() / 2;
    let refused = take(&store, chain_id, 9_000, limit);
    assert_eq!(refused, Err(TakeError::State(EncodeError::TooLarge { limit })));
    let missing = StoreError::Missing(Key::Block(8_999));
    assert_eq!(take(&store, chain_id, 8_999, usize::MAX), Err(TakeError::Store(missing)));
}

#[test]
fn each_lie_is_refused_by_name() {
    let Some(world) = World::load("each_lie_is_refused_by_name") else { return };
    let (checkpoint, file) = world.take(9_000);
    let (other, other_file) = world.take(8_999);
    let refusal = |file: &[u8], checkpoint: &Checkpoint| world.restore(file, checkpoint).expect_err("a lie");

    // Another block, or another hash or root for it.
    let block =
        |found, expected| SnapshotError::Block { found: Box::new(found), expected: Box::new(expected) };
    assert_eq!(refusal(&other_file, &checkpoint), block(other, checkpoint));
    let wrong = Checkpoint { hash: B256::repeat_byte(1), ..checkpoint };
    assert_eq!(refusal(&file, &wrong), block(checkpoint, wrong));
    let wrong = Checkpoint { state_root: B256::repeat_byte(1), ..checkpoint };
    assert_eq!(refusal(&file, &wrong), block(checkpoint, wrong));

    // Another chain, and a fork that the chain does not have there.
    let spec = |spec: ChainSpec| restore(&file, &spec, &checkpoint).expect_err("a lie");
    let chain = ChainSpec { chain_id: 7, ..world.recording.spec.clone() };
    let expected = 7;
    assert_eq!(spec(chain), SnapshotError::Chain { found: world.recording.spec.chain_id, expected });
    let forks = ForkSchedule::new([(1, ForkId::Etrog)]).expect("in order");
    let refused = spec(ChainSpec { forks, ..world.recording.spec.clone() });
    assert!(matches!(refused, SnapshotError::Fork { expected: 7, .. }), "{refused}");

    // Another block's state, a state with one part left out, and one with code that is nobody's.
    let mine = encode(&world.archive, checkpoint.state_root, &[], Extent::Full).expect("an archive");
    let header = file.len() - mine.len();
    assert_eq!(file[header..], mine);
    let with = |witness: &[u8]| refusal(&exchanged(&file, mine.len(), witness), &checkpoint);
    let theirs = encode(&world.archive, other.state_root, &[], Extent::Full).expect("an archive");
    let (found, expected) = (other.state_root, checkpoint.state_root);
    assert_eq!(with(&theirs), SnapshotError::StateRoot { found, expected });
    let partial = Extent::Trimmed(&[StateKey::Balance(Address::ZERO)]);
    let partial = encode(&world.archive, checkpoint.state_root, &[], partial).expect("an archive");
    assert_eq!(with(&partial), SnapshotError::Incomplete);
    // A code left out: the operator, the length in two bytes, the code.
    let code = mine
        .windows(7)
        .position(|it| it[..2] == [0x04, 0x59] && it[4..] == [0x60, 0x80, 0x60])
        .expect("a contract");
    let length = usize::from(u16::from_be_bytes([mine[code + 2], mine[code + 3]]));
    let without = [&mine[..code], &mine[code + 4 + length..]].concat();
    assert_eq!(with(&without), SnapshotError::Incomplete);
    let (branch, code) = ([0x02, 0x03], [0x04, 0x41, 0xfe]);
    assert_eq!(mine[1..3], branch, "the root is a branch");
    let more = [&mine[..1], &code, &mine[1..]].concat();
    assert!(matches!(with(&more), SnapshotError::Witness(_)), "{}", with(&more));

    // Cut off, longer, empty, of another kind.
    assert_eq!(refusal(&[], &checkpoint), SnapshotError::Magic);
    assert_eq!(refusal(&mine, &checkpoint), SnapshotError::Magic);
    for length in [8, 9, 20, header, file.len() - 1] {
        let refused = refusal(&file[..length], &checkpoint);
        assert!(matches!(refused, SnapshotError::Damaged(_)), "{length} bytes: {refused}");
    }
    let longer = [&file[..], &[0]].concat();
    assert_eq!(refusal(&longer, &checkpoint), SnapshotError::Damaged("1 bytes behind its end".to_owned()));
    let version = file.iter().skip(8).position(|byte| *byte == 1).expect("a version") + 8;
    let mut newer = file.clone();
    newer[version] = 2;
    assert_eq!(refusal(&newer, &checkpoint), SnapshotError::Version(2));

    // One bit anywhere: what no hash covers is the number of the batch and its fork.
    let uncovered = file[..header].len() - 8..header;
    for position in (0..header).chain((header..file.len()).step_by(file.len() / 200)) {
        let mut altered = file.clone();
        altered[position] ^= 0x10;
        let restored = world.restore(&altered, &checkpoint);
        assert!(restored.is_err() || uncovered.contains(&position), "bit 4 of byte {position}");
    }
}

/// The file with another witness, which is its last part.
fn exchanged(file: &[u8], length: usize, witness: &[u8]) -> Vec<u8> {
    let (magic, mut list) = file.split_at(8);
    let whole = Header::decode(&mut list).expect("a list");
    let before = &list[..whole.payload_length - witness_length(length)];
    let payload_length = before.len() + witness_length(witness.len());
    let mut out = magic.to_vec();
    Header { list: true, payload_length }.encode(&mut out);
    out.extend(before);
    witness.encode(&mut out);
    out
}

/// Bytes that so many take in RLP.
fn witness_length(length: usize) -> usize {
    length + Header { list: false, payload_length: length }.length()
}
