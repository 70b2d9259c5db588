use super::*;
use crate::{
    store::{Store, StoreError},
    tree::{NonCanonical, Smt, hash_bytes, hash_value},
};
use alloc::{collections::BTreeSet, string::ToString, vec};
use alloy_primitives::{Address, b256, hex};
use proptest::prelude::*;

/// Four limbs, the last of which is the prime.
const BEYOND: B256 = b256!("ffffffff00000001000000000000000000000000000000000000000000000001");
const CODE: [u8; 3] = [0x60, 0x00, 0x00];

fn address(number: u8) -> Address {
    Address::repeat_byte(number)
}

/// The names and values of a small state: five accounts, one of them a contract.
fn leaves() -> Vec<(StateKey, U256)> {
    use StateKey::*;
    let mut leaves: Vec<_> = (1..6).map(|n| (Balance(address(n)), U256::from(n))).collect();
    leaves.push((Nonce(address(1)), U256::MAX));
    leaves.push((CodeHash(address(5)), hash_bytes(&CODE).into()));
    leaves.push((CodeLength(address(5)), U256::from(CODE.len())));
    leaves.extend((0..8).map(|slot| (Storage(address(5), U256::from(slot)), U256::from(slot + 0xff))));
    leaves
}

fn names(leaves: &[(StateKey, U256)]) -> Vec<StateKey> {
    leaves.iter().map(|(key, _)| *key).collect()
}

/// A store with all of the tree of these leaves and the code, and the root.
fn state(leaves: &[(StateKey, U256)]) -> (Memory, B256) {
    let store = Memory::new();
    let leaves = leaves.iter().map(|(key, value)| (key.path(), *value));
    let update = Smt::new(&store).update(B256::ZERO, leaves).unwrap();
    let mut records = Records::default();
    update.created.iter().for_each(|(digest, node)| records.node(Digest::try_from(*digest).unwrap(), node));
    update.values.iter().for_each(|(hash, value)| records.value(Digest::try_from(*hash).unwrap(), *value));
    records.code(hash_bytes(&CODE), CODE.into());
    store.write(&records.0);
    (store, update.root)
}

fn full() -> (Vec<u8>, B256) {
    let leaves = leaves();
    let (store, root) = state(&leaves);
    (encode(&store, root, &names(&leaves), Extent::Full).unwrap(), root)
}

fn trimmed(touched: &[StateKey]) -> (Vec<u8>, B256) {
    let leaves = leaves();
    let (store, root) = state(&leaves);
    (encode(&store, root, &names(&leaves), Extent::Trimmed(touched)).unwrap(), root)
}

/// A leaf as bytes.
fn leaf(kind: u8, number: u8, value: &[u8]) -> Vec<u8> {
    let value_head = 0x40 + u8::try_from(value.len()).unwrap();
    [&[0x07, kind, 0x54], address(number).as_slice(), &[value_head], value].concat()
}

/// A witness, its version byte first.
fn witness(parts: &[&[u8]]) -> Vec<u8> {
    [&[0x01], parts.concat().as_slice()].concat()
}

fn refusal(parts: &[&[u8]]) -> WitnessError {
    Witness::decode(&witness(parts)).unwrap_err()
}

#[test]
fn a_full_witness_has_the_whole_state() {
    let (bytes, root) = full();
    let witness = Witness::decode(&bytes).unwrap();
    assert_eq!(witness.root(), root);
    let tree = Smt::new(witness.store());
    for (key, value) in leaves() {
        assert_eq!(tree.get(root, &key.path()), Ok(value), "{key}");
    }
    let code = witness.store().get(&Key::Code(hash_bytes(&CODE))).unwrap();
    assert_eq!(code, Some(CODE.into()));
    let keys: BTreeSet<_> = witness.keys().iter().copied().collect();
    assert_eq!(keys, names(&leaves()).into_iter().collect());
    assert_eq!(witness.encode(), Ok(bytes));
}

#[test]
fn a_trimmed_witness_has_what_touching_its_keys_needs() {
    let leaves = leaves();
    let (store, root) = state(&leaves);
    let absent = StateKey::Nonce(address(9));
    for touched in names(&leaves).into_iter().chain([absent]) {
        let (bytes, _) = trimmed(&[touched]);
        let witness = Witness::decode(&bytes).unwrap();
        assert_eq!((witness.root(), witness.encode()), (root, Ok(bytes)));
        let (part, whole, path) = (Smt::new(witness.store()), Smt::new(&store), touched.path());
        assert_eq!(part.get(root, &path), whole.get(root, &path));
        for value in [0, 7] {
            let change = [(path, U256::from(value))];
            assert_eq!(part.update(root, change), whole.update(root, change), "{touched} becomes {value}");
        }
    }
}

#[test]
fn what_a_witness_does_not_have_is_missing() {
    let leaves = leaves();
    let (bytes, root) = trimmed(&[StateKey::Balance(address(1))]);
    assert!(bytes.len() < full().0.len() / 2);
    let witness = Witness::decode(&bytes).unwrap();
    let results = leaves.iter().map(|(key, value)| (Smt::new(witness.store()).get(root, &key.path()), value));
    let missing = results.filter(|(result, value)| match result {
        Ok(found) => found != *value,
        Err(error) => matches!(error, StoreError::Missing(Key::Node(_))),
    });
    assert_eq!(missing.count(), leaves.len() - witness.keys().len());
}

#[test]
fn nothing_touched_is_the_root_alone() {
    let (bytes, root) = trimmed(&[]);
    assert_eq!(bytes, witness(&[&[0x03], root.as_slice()]));
    assert_eq!(Witness::decode(&bytes).unwrap().root(), root);
}

#[test]
fn the_empty_tree_is_the_version_byte() {
    assert_eq!(encode(&Memory::new(), B256::ZERO, &[], Extent::Full), Ok(vec![0x01]));
    let witness = Witness::decode(&[0x01]).unwrap();
    assert_eq!((witness.root(), witness.keys()), (B256::ZERO, [].as_slice()));
}

#[test]
fn a_leaf_without_a_name_cannot_be_shown() {
    let leaves = leaves();
    let (store, root) = state(&leaves);
    let (name, rest) = (leaves[0].0, names(&leaves[1..]));
    let unnamed = Err(EncodeError::Unnamed(name.path()));
    assert_eq!(encode(&store, root, &rest, Extent::Full), unnamed);
    assert!(encode(&store, root, &rest, Extent::Trimmed(&[name])).is_ok(), "a touched key is a name");
}

#[test]
fn a_witness_of_what_is_missing_cannot_be_made() {
    let leaves = leaves();
    let (_, root) = state(&leaves);
    let names = names(&leaves);
    let missing = Err(EncodeError::Store(StoreError::Missing(Key::Node(root))));
    for store in [Memory::new(), Memory::partial()] {
        assert_eq!(encode(&store, root, &names, Extent::Full), missing);
        assert_eq!(encode(&store, root, &names, Extent::Trimmed(&names)), missing);
        let pruned = encode(&store, root, &names, Extent::AtHand);
        assert_eq!(pruned, Ok(witness(&[&[0x03], root.as_slice()])));
    }
    let corrupt = encode(&Memory::new(), BEYOND, &[], Extent::AtHand);
    assert!(matches!(corrupt, Err(EncodeError::Store(StoreError::Corrupt { .. }))));
}

#[test]
fn a_code_that_is_not_at_hand_is_left_out() {
    let (bytes, root) = full();
    let code = [&[0x04, 0x43], CODE.as_slice()].concat();
    let at = bytes.windows(code.len()).position(|window| window == code).unwrap();
    let bytes = [&bytes[..at], &bytes[at + code.len()..]].concat();
    let witness = Witness::decode(&bytes).unwrap();
    assert_eq!((witness.root(), witness.encode()), (root, Ok(bytes)));
    let missing = Err(EncodeError::Store(StoreError::Missing(Key::Code(hash_bytes(&CODE)))));
    assert_eq!(encode(witness.store(), root, witness.keys(), Extent::Full), missing);
}

#[test]
fn every_lie_is_refused_for_what_it_is() {
    use WitnessError::*;
    let digest = B256::from(hash_value(U256::ONE));
    let (one, hash) = (leaf(0, 1, &[1]), [&[0x03], digest.as_slice()].concat());
    let truncated = |at, expected| Truncated { at, expected };
    assert_eq!(Witness::decode(&[]).unwrap_err(), truncated(0, "the version"));
    assert_eq!(Witness::decode(&[2]).unwrap_err(), Version(2));
    assert_eq!(Witness::decode(&[2, 3]).unwrap_err(), Version(2));
    for found in [0x00, 0x01, 0x05, 0x06, 0x08, 0xbb, 0xff] {
        assert_eq!(refusal(&[&[found]]), Operator { at: 1, found });
    }
    for found in [0, 4, 0x18, 0x80] {
        assert_eq!(refusal(&[&[2, found]]), Children { at: 2, found });
    }
    for found in [5, 0x18, 0x80] {
        assert_eq!(refusal(&[&[7, found]]), Kind { at: 2, found });
    }
    for found in [0x00, 0x3f, 0x5b, 0x5f, 0x60, 0xff] {
        assert_eq!(refusal(&[&[7, 0, found]]), NotString { at: 3, found });
    }
    for (head, length) in [(&[0x58, 20][..], 20), (&[0x59, 0, 255], 255), (&[0x5a, 0, 0, 255, 255], 65535)] {
        let long = [&[7, 0], head, &[1; 70000]].concat();
        assert_eq!(refusal(&[&long]), LongLength { at: 3, length });
    }
    let length = |at, name, found, expected| Length { at, name, found, expected };
    assert_eq!(refusal(&[&[7, 0, 0x53], &[1; 40]]), length(3, "an address", 19, 20));
    let slot = [&[7, 3, 0x54][..], &[1; 20], &[0x57], &[1; 40]].concat();
    assert_eq!(refusal(&[&slot]), length(24, "a slot", 23, 32));
    assert_eq!(refusal(&[&leaf(0, 1, &[])]), Value { at: 24 });
    assert_eq!(refusal(&[&leaf(0, 1, &[0, 1])]), Value { at: 24 });
    let long = [&[7, 0, 0x54][..], &[1; 20], &[0x58, 33], &[1; 33]].concat();
    assert_eq!(refusal(&[&long]), Value { at: 24 });
    assert_eq!(refusal(&[&[3], BEYOND.as_slice()]), Digest { at: 1, reason: NonCanonical(BEYOND) });
    assert_eq!(refusal(&[&[3], &[0; 32]]), EmptySubtree { at: 1 });
    assert_eq!(refusal(&[&[2, 3], &hash, &[3], &[0; 32]]), EmptySubtree { at: 36 });
    assert_eq!(refusal(&[&one, &one]), Trailing { at: 26 });
    assert_eq!(refusal(&[&hash[..32]]), truncated(33, "a digest"));
    assert_eq!(refusal(&[&[2, 3], &hash]), truncated(36, "a node"));
    assert_eq!(refusal(&[&[2]]), truncated(2, "a branch's children"));
}

#[test]
fn a_length_is_not_believed() {
    let claims: [&[u8]; 4] = [&[0x57], &[0x58, 0xff], &[0x59, 0xff, 0xff], &[0x5a, 0xff, 0xff, 0xff, 0xff]];
    for claim in claims {
        let at = 2 + claim.len();
        assert_eq!(refusal(&[&[4], claim]), WitnessError::Truncated { at, expected: "a code" });
    }
}

#[test]
fn a_leaf_stands_on_its_path_and_nowhere_else() {
    let key = StateKey::Balance(address(1));
    let (one, digest) = (leaf(0, 1, &[1]), B256::from(hash_value(U256::ONE)));
    let hash = [&[0x03], digest.as_slice()].concat();
    assert!(Witness::decode(&witness(&[&one])).is_ok());
    let right = key.path().bit(0);
    let place =
        |turn| if turn { [&[2, 3], &hash[..], &one].concat() } else { [&[2, 3], &one[..], &hash].concat() };
    assert!(Witness::decode(&witness(&[&place(right)])).is_ok());
    let at = if right { 3 } else { 36 };
    assert_eq!(refusal(&[&place(!right)]), WitnessError::Misplaced { at, key });
    let lone = [&[2, if right { 2 } else { 1 }], &one[..]].concat();
    assert_eq!(refusal(&[&lone]), WitnessError::LoneLeaf { at: 1 });
    assert!(Witness::decode(&witness(&[&[2, 1], &hash])).is_ok(), "what is pruned may be a branch");
}

#[test]
fn a_code_stands_before_its_hash_and_nowhere_else() {
    use WitnessError::*;
    let hash = hash_bytes(&CODE);
    let code = [&[0x04, 0x43], CODE.as_slice()].concat();
    let [right, wrong_kind] =
        [2, 1].map(|kind| [&[7, kind, 0x54], address(5).as_slice(), &[0x58, 32], hash.as_slice()].concat());
    assert!(Witness::decode(&witness(&[&code, &right])).is_ok());
    assert_eq!(refusal(&[&code, &wrong_kind]), StrayCode { at: 1 });
    assert_eq!(refusal(&[&code, &code, &right]), StrayCode { at: 1 });
    assert_eq!(refusal(&[&code, &[3], hash.as_slice()]), StrayCode { at: 1 });
    assert_eq!(refusal(&[&code]), Truncated { at: 6, expected: "the code's leaf" });
    assert_eq!(refusal(&[&[4, 0x40], &right]), EmptyCode { at: 1 });
    let found = hash_bytes(&[1]);
    assert_eq!(refusal(&[&[4, 0x41, 1], &right]), CodeHash { at: 1, expected: hash, found });
}

#[test]
fn no_node_is_below_256_branches() {
    let hash = [&[0x03], B256::from(hash_value(U256::ONE)).as_slice()].concat();
    let chain = |depth| witness(&[&[2, 1].repeat(depth), &hash]);
    let deepest = chain(255);
    let read = Witness::decode(&deepest).unwrap();
    assert_eq!(read.encode(), Ok(deepest));
    for depth in [256, 257, 100_000] {
        assert_eq!(Witness::decode(&chain(depth)).unwrap_err(), WitnessError::TooDeep { at: 513 });
    }
}

/// The records of the small state as a prover's input has them.
fn entries() -> (B256, Vec<(B256, Vec<u64>)>) {
    let store = Memory::new();
    let leaves = leaves().into_iter().map(|(key, value)| (key.path(), value));
    let update = Smt::new(&store).update(B256::ZERO, leaves).unwrap();
    let nodes = update.created.iter().map(|(digest, node)| {
        let (first, second, mark) = match *node {
            Node::Branch { left, right } => (left.limbs(), right.limbs(), 0),
            Node::Leaf { remaining, value_hash } => (remaining, value_hash.limbs(), 1),
        };
        (*digest, [first, second, [mark, 0, 0, 0]].concat())
    });
    let values = update.values.iter().enumerate().map(|(number, (hash, value))| {
        let limbs = value.as_limbs().iter().flat_map(|limb| [limb & 0xffff_ffff, limb >> 32]);
        // Every other value with its capacity.
        (*hash, limbs.chain([0; 4]).take(8 + number % 2 * 4).collect())
    });
    (update.root, nodes.chain(values).collect())
}

#[test]
fn entries_are_the_tree_that_they_claim_to_be() {
    let (root, entries) = entries();
    let read = Witness::from_entries(root, entries, [(hash_bytes(&CODE), CODE.into())]).unwrap();
    let tree = Smt::new(read.store());
    for (key, value) in leaves() {
        assert_eq!(tree.get(root, &key.path()), Ok(value), "{key}");
    }
    let (bytes, _) = full();
    assert_eq!(encode(read.store(), root, &names(&leaves()), Extent::Full), Ok(bytes));
    assert!(matches!(read.encode(), Err(EncodeError::Unnamed(_))));
}

#[test]
fn an_entry_that_lies_is_refused_for_what_it_is() {
    use EntryError::*;
    let entry = B256::with_last_byte(9);
    let refusal = |limbs: &[u64]| Witness::from_entries(B256::ZERO, [(entry, limbs)], []).unwrap_err();
    for found in [0, 4, 7, 9, 11, 13, 16] {
        assert_eq!(refusal(&vec![1; found]), Count { entry, found });
    }
    let prime = 0xffff_ffff_0000_0001;
    for (marks, position) in [(0, 0), (0, 7), (1, 0), (1, 3), (1, 4)] {
        let mut limbs = [1, 1, 1, 1, 1, 1, 1, 1, marks, 0, 0, 0];
        limbs[position] = prime;
        assert_eq!(refusal(&limbs), Limb { entry, position, found: prime });
    }
    let value = [1, 1, 1, 1 << 32, 1, 1, 1, 1];
    assert_eq!(refusal(&value), Limb { entry, position: 3, found: 1 << 32 });
    for found in [[0, 0, 0, 1], [2, 0, 0, 0], [1, 1, 0, 0]] {
        assert_eq!(refusal(&[[1; 4], [1; 4], found].concat()), Capacity { entry, found });
    }
    assert_eq!(refusal(&[0; 8]), Zero { entry });
    assert_eq!(refusal(&[0; 12]), Zero { entry });
    let found = hash_value(U256::ONE).into();
    assert_eq!(refusal(&[1, 0, 0, 0, 0, 0, 0, 0]), Digest { claimed: entry, found });
    let code = Witness::from_entries::<&[u64]>(B256::ZERO, [], [(entry, CODE.into())]);
    assert_eq!(code.unwrap_err(), Code { claimed: entry, found: hash_bytes(&CODE) });
    let root = Witness::from_entries::<&[u64]>(BEYOND, [], []);
    assert_eq!(root.unwrap_err(), Root(NonCanonical(BEYOND)));
}

#[test]
fn every_altered_entry_is_refused() {
    let (root, entries) = entries();
    for (at, (_, limbs)) in entries.iter().enumerate() {
        for limb in 0..limbs.len() {
            let mut altered = entries.clone();
            altered[at].1[limb] ^= 1;
            assert!(Witness::from_entries(root, altered, []).is_err(), "limb {limb} of entry {at}");
        }
    }
}

#[test]
fn errors_say_where() {
    let error = refusal(&[&[2, 0]]).to_string();
    assert_eq!(error, "byte 2: a branch with children 0x00, not 1, 2 or 3");
    let (bytes, _) = full();
    let error = Witness::decode(&bytes[..bytes.len() - 1]).unwrap_err().to_string();
    assert_eq!(error, alloc::format!("the witness ends at byte {}, before a value", bytes.len() - 1));
    assert_eq!(hex::encode(&bytes[..1]), "01");
}

/// What was read is written as it was.
fn check_round_trip(bytes: &[u8]) {
    if let Ok(witness) = Witness::decode(bytes) {
        assert_eq!(witness.encode().as_deref(), Ok(bytes));
    }
}

proptest! {
    #[test]
    fn random_bytes_lead_to_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        check_round_trip(&bytes);
        check_round_trip(&witness(&[&bytes]));
    }

    #[test]
    fn random_operators_lead_to_no_panic(parts in prop::collection::vec(0..7usize, 0..40)) {
        let hash = [&[0x03], B256::from(hash_value(U256::ONE)).as_slice()].concat();
        let code = [&[0x04, 0x43], CODE.as_slice()].concat();
        let operators = [&[2, 1][..], &[2, 2], &[2, 3], &hash, &code, &leaf(0, 1, &[1]), &leaf(1, 2, &[2])];
        let bytes = witness(&parts.iter().map(|part| operators[*part]).collect::<Vec<_>>());
        if let Ok(witness) = Witness::decode(&bytes) {
            prop_assert_eq!(witness.encode(), Ok(bytes));
        }
    }

    #[test]
    fn an_altered_witness_has_another_root(at in any::<prop::sample::Index>(), bit in 0..8u32, whole in any::<bool>()) {
        let (bytes, root) = if whole { full() } else { trimmed(&names(&leaves()[..3])) };
        let mut altered = bytes.clone();
        altered[at.index(bytes.len())] ^= 1 << bit;
        if let Ok(witness) = Witness::decode(&altered) {
            prop_assert_ne!(witness.root(), root);
        }
    }

    #[test]
    fn a_witness_with_a_piece_gone_or_twice_has_another_root(
        from in any::<prop::sample::Index>(),
        length in 1..80usize,
        twice in any::<bool>(),
    ) {
        let (bytes, root) = full();
        let from = from.index(bytes.len());
        let piece = &bytes[from..bytes.len().min(from + length)];
        let rest = &bytes[if twice { from } else { from + piece.len() }..];
        let altered = [&bytes[..from], if twice { piece } else { &[] }, rest].concat();
        if let Ok(witness) = Witness::decode(&altered) {
            let without_code = witness.store().get(&Key::Code(hash_bytes(&CODE))).is_err();
            prop_assert!(witness.root() != root || without_code);
        }
    }

    #[test]
    fn every_state_goes_through_a_witness(
        leaves in prop::collection::btree_map((0..4u8, 1..20u8), any::<[u8; 32]>(), 0..30),
        touched in prop::collection::vec((0..4u8, 1..20u8), 0..6),
    ) {
        let key = |(kind, number): (u8, u8)| match kind {
            0 => StateKey::Balance(address(number)),
            1 => StateKey::Nonce(address(number)),
            2 => StateKey::CodeLength(address(number)),
            _ => StateKey::Storage(address(1), U256::from(number)),
        };
        let leaves: Vec<_> = leaves
            .into_iter()
            .map(|(name, value)| (key(name), U256::from_be_bytes(value).saturating_add(U256::ONE)))
            .collect();
        let touched: Vec<_> = touched.into_iter().map(key).collect();
        let (store, root) = state(&leaves);
        for extent in [Extent::Full, Extent::Trimmed(&touched), Extent::AtHand] {
            let bytes = encode(&store, root, &names(&leaves), extent).unwrap();
            let witness = Witness::decode(&bytes).unwrap();
            prop_assert_eq!(witness.root(), root);
            prop_assert_eq!(witness.encode(), Ok(bytes));
            let changes = touched.iter().map(|key| (key.path(), U256::ZERO));
            let expected = Smt::new(&store).update(root, changes.clone()).unwrap();
            prop_assert_eq!(Smt::new(witness.store()).update(root, changes).unwrap().root, expected.root);
        }
    }
}
