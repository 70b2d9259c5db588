//! `witness`, and the parts of `state-tree.json` about witnesses and the prover's input: partial trees of others.
#![allow(clippy::panic, reason = "a test that cannot go on says so by a panic")]

use alloy_primitives::{Address, B256, Bytes, U256};
use serde::{Deserialize, de::IgnoredAny};
use std::{collections::BTreeMap, slice};
use zk_replica_core::{
    source::witness::{Extent, Witness, encode},
    store::{Commit, Key, Store, StoreError},
    tree::{Node, Smt, StateKey, hash_bytes},
};
use zk_replica_tests::{
    answers::{Account, Tree, read},
    vectors,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Case {
    name: String,
    #[serde(rename = "source")]
    _source: IgnoredAny,
    state_root: B256,
    operators: Operators,
    witness: Bytes,
    #[serde(rename = "note")]
    _note: Option<IgnoredAny>,
}

/// How many there are of each kind.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct Operators {
    branch: usize,
    hash: usize,
    code: usize,
    smt_leaf: usize,
}

/// The cases by name, decoded.
fn cases(test: &str) -> Option<BTreeMap<String, (Case, Witness)>> {
    let cases: Vec<Case> = read(&vectors(test)?.join("witness/witnesses.json"));
    assert_eq!(cases.len(), 7);
    let decode = |case: Case| {
        let witness = Witness::decode(&case.witness).unwrap_or_else(|error| panic!("{}: {error}", case.name));
        (case.name.clone(), (case, witness))
    };
    Some(cases.into_iter().map(decode).collect())
}

/// The code of a contract whose code hash the witness has, if it brought it along.
fn code_of(witness: &Witness, key: &StateKey) -> Option<Bytes> {
    let StateKey::CodeHash(_) = key else {
        return None;
    };
    let hash = Smt::new(witness.store()).get(witness.root(), &key.path()).ok()?;
    witness.store().get(&Key::Code(hash.into())).ok().flatten()
}

/// What a witness consists of, by a walk through its tree.
fn operators(witness: &Witness) -> Operators {
    let mut operators = Operators::default();
    let mut ahead = vec![witness.root()];
    while let Some(digest) = ahead.pop() {
        let record = witness.store().get(&Key::Node(digest));
        match record.map(|record| Node::decode(&record.expect("never absent")).expect("a node")) {
            Ok(Node::Branch { left, right }) => {
                operators.branch += 1;
                ahead.extend([left, right].into_iter().filter(|child| !child.is_zero()).map(B256::from));
            }
            Ok(Node::Leaf { .. }) => operators.smt_leaf += 1,
            Err(error) => {
                assert_eq!(error, StoreError::Missing(Key::Node(digest)));
                operators.hash += 1;
            }
        }
    }
    operators.code = witness.keys().iter().filter(|key| code_of(witness, key).is_some()).count();
    operators
}

#[test]
fn every_witness_has_the_published_root() {
    let Some(cases) = cases("every_witness_has_the_published_root") else {
        return;
    };
    for (name, (case, witness)) in &cases {
        assert_eq!(witness.root(), case.state_root, "{name}");
        assert_eq!(operators(witness), case.operators, "{name}");
        assert_eq!(witness.keys().len(), case.operators.smt_leaf, "{name}");
        assert_eq!(witness.encode().as_deref(), Ok(case.witness.as_ref()), "{name}");
    }
}

#[test]
fn every_leaf_of_a_witness_is_read_with_its_code() {
    let Some(cases) = cases("every_leaf_of_a_witness_is_read_with_its_code") else {
        return;
    };
    for (name, (_, witness)) in &cases {
        let tree = Smt::new(witness.store());
        for key in witness.keys() {
            let value = tree.get(witness.root(), &key.path()).expect("a leaf that was read");
            assert!(!value.is_zero(), "{name}: {key}");
            if let StateKey::CodeHash(address) = key
                && let Some(code) = code_of(witness, key)
            {
                assert_eq!(hash_bytes(&code), B256::from(value), "{name}: {key}");
                let length = tree.get(witness.root(), &StateKey::CodeLength(*address).path());
                let missing = matches!(length, Err(StoreError::Missing(_)));
                assert!(missing || length == Ok(U256::from(code.len())), "{name}: {key}: {length:?}");
            }
        }
    }
}

#[test]
fn no_altered_witness_has_the_published_root() {
    let Some(cases) = cases("no_altered_witness_has_the_published_root") else {
        return;
    };
    for (name, (case, _)) in &cases {
        let length = case.witness.len();
        for at in (0..length).step_by(1 + length / 150) {
            let mut altered = case.witness.to_vec();
            altered[at] ^= 1 << (at % 8);
            let root = Witness::decode(&altered).map(|witness| witness.root());
            assert_ne!(root, Ok(case.state_root), "{name}: byte {at}");
            let cut = Witness::decode(&case.witness[..at]);
            assert!(at == 1 || cut.is_err(), "{name}: {at} bytes");
        }
    }
}

#[test]
fn partial_and_full_witness_agree() {
    let Some(cases) = cases("partial_and_full_witness_agree") else {
        return;
    };
    let [(_, partial), (_, full)] = ["stateless-partial", "stateless-full-tree"].map(|name| &cases[name]);
    let root = full.root();
    assert_eq!(partial.root(), root);
    let (part, whole) = (Smt::new(partial.store()), Smt::new(full.store()));
    let mut missing = 0;
    for key in full.keys() {
        match part.get(root, &key.path()) {
            Err(StoreError::Missing(Key::Node(_))) => missing += 1,
            value => assert_eq!(value, whole.get(root, &key.path()), "{key}"),
        }
        let code = code_of(full, key).filter(|_| partial.keys().contains(key));
        assert_eq!(code_of(partial, key), code, "{key}");
    }
    assert_eq!(missing, full.keys().len() - partial.keys().len());
    // The first block of the same chain, without code.
    assert_eq!(cases["blueberry-block-1"].1.root(), root);
    assert_eq!(cases["blueberry-block-1"].1.keys(), full.keys());
}

/// The full witness of a tree is what one gets by trimming it to all its keys, and trimming to what the partial one
/// has makes nothing that it has not.
#[test]
fn a_full_witness_can_be_trimmed() {
    let Some(cases) = cases("a_full_witness_can_be_trimmed") else {
        return;
    };
    let (case, full) = &cases["stateless-full-tree"];
    let encode = |extent| encode(full.store(), full.root(), full.keys(), extent);
    assert_eq!(encode(Extent::Full).as_deref(), Ok(case.witness.as_ref()));
    assert_eq!(encode(Extent::Trimmed(full.keys())).as_deref(), Ok(case.witness.as_ref()));
    for key in full.keys() {
        let trimmed = encode(Extent::Trimmed(slice::from_ref(key))).expect("all is named");
        assert!(trimmed.len() < case.witness.len(), "{key}");
        let trimmed = Witness::decode(&trimmed).expect("a witness");
        assert_eq!(trimmed.root(), full.root(), "{key}");
        let change = [(key.path(), U256::ZERO)];
        let update = Smt::new(full.store()).update(full.root(), change).expect("at hand");
        assert_eq!(Smt::new(trimmed.store()).update(full.root(), change), Ok(update), "{key}");
    }
}

/// What either of two witnesses has.
struct Both<'w>(&'w Witness, &'w Witness);

impl Store for Both<'_> {
    fn get(&self, key: &Key) -> Result<Option<Bytes>, StoreError> {
        match self.0.store().get(key) {
            Err(StoreError::Missing(_)) => self.1.store().get(key),
            record => record,
        }
    }

    fn apply(&self, _: &Commit) -> Result<(), StoreError> {
        Err(StoreError::Host("not to be written to".into()))
    }
}

#[test]
fn witnesses_merge_as_published() {
    let Some(cases) = cases("witnesses_merge_as_published") else {
        return;
    };
    let [first, second] = ["merge-witness1", "merge-witness2"].map(|name| &cases[name].1);
    let (expected, result) = &cases["merge-resultWitness"];
    assert_eq!([first.root(), second.root()], [result.root(); 2]);
    let names = [first.keys(), second.keys()].concat();
    let merged = encode(&Both(first, second), result.root(), &names, Extent::AtHand);
    assert_eq!(merged.as_deref(), Ok(expected.witness.as_ref()));
}

/// The section of `state-tree.json` with a state of three accounts.
#[derive(Deserialize)]
struct Published {
    small_state_proofs_and_witness: SmallState,
    prover_db_form: ProverForm,
}

#[derive(Deserialize)]
struct SmallState {
    accounts: Vec<Account>,
    root: B256,
    witness_full: Bytes,
    witness_trimmed: Bytes,
    witness_trimmed_retained: [String; 2],
}

#[derive(Deserialize)]
struct ProverForm {
    root: B256,
    entries_for_root_only: BTreeMap<B256, Vec<String>>,
    value_entry: BTreeMap<B256, Vec<String>>,
}

fn account_keys(address: Address) -> [StateKey; 4] {
    use StateKey::*;
    [Balance(address), Nonce(address), CodeHash(address), CodeLength(address)]
}

fn names(accounts: &[Account]) -> Vec<StateKey> {
    let of = |account: &Account| {
        let slots: Vec<_> =
            account.storage.keys().map(|slot| StateKey::Storage(account.address, *slot)).collect();
        account_keys(account.address).into_iter().chain(slots)
    };
    accounts.iter().flat_map(of).collect()
}

/// A tree, and the codes of its contracts.
struct Coded<'t> {
    tree: &'t Tree,
    codes: BTreeMap<Key, Bytes>,
}

impl Store for Coded<'_> {
    fn get(&self, key: &Key) -> Result<Option<Bytes>, StoreError> {
        match self.codes.get(key) {
            Some(code) => Ok(Some(code.clone())),
            None => self.tree.store().get(key),
        }
    }

    fn apply(&self, _: &Commit) -> Result<(), StoreError> {
        Err(StoreError::Host("not to be written to".into()))
    }
}

#[test]
fn small_state_has_the_published_witnesses() {
    let Some(vectors) = vectors("small_state_has_the_published_witnesses") else {
        return;
    };
    let Published { small_state_proofs_and_witness: state, .. } = read(&vectors.join("state-tree.json"));
    let tree = Tree::of(state.accounts.iter().flat_map(Account::leaves));
    let code = |account: &Account| (Key::Code(hash_bytes(&account.code)), account.code.clone());
    let store = Coded { tree: &tree, codes: state.accounts.iter().map(code).collect() };
    let names = names(&state.accounts);
    let full = encode(&store, state.root, &names, Extent::Full);
    assert_eq!(full.as_deref(), Ok(state.witness_full.as_ref()));

    let retained = ["balance, nonce, code, length keys of account 1", "storage slot 1 of account 2"];
    assert_eq!(state.witness_trimmed_retained, retained);
    let [first, second] = [0, 1].map(|account| state.accounts[account].address);
    let mut touched = account_keys(first).to_vec();
    touched.push(StateKey::Storage(second, U256::ONE));
    let trimmed = encode(&store, state.root, &names, Extent::Trimmed(&touched));
    assert_eq!(trimmed.as_deref(), Ok(state.witness_trimmed.as_ref()));

    for bytes in [state.witness_full, state.witness_trimmed] {
        let witness = Witness::decode(&bytes).expect("a witness");
        assert_eq!(witness.root(), state.root);
        assert_eq!(witness.encode().as_deref(), Ok(bytes.as_ref()));
    }
}

#[test]
fn records_of_a_prover_are_what_they_claim() {
    let Some(vectors) = vectors("records_of_a_prover_are_what_they_claim") else {
        return;
    };
    let Published { small_state_proofs_and_witness: state, prover_db_form: form } =
        read(&vectors.join("state-tree.json"));
    let limb = |digits: &String| u64::from_str_radix(digits, 16).expect("hex");
    let records = form.entries_for_root_only.iter().chain(&form.value_entry);
    let records = records.map(|(digest, limbs)| (*digest, limbs.iter().map(limb).collect::<Vec<_>>()));
    let witness = Witness::from_entries(form.root, records, []).expect("honest");
    assert_eq!((witness.root(), witness.store().len()), (state.root, 2));
    let tree = Tree::of(state.accounts.iter().flat_map(Account::leaves));
    let root = Key::Node(form.root);
    assert_eq!(witness.store().get(&root), tree.store().get(&root));
    for key in names(&state.accounts) {
        let value = Smt::new(witness.store()).get(form.root, &key.path());
        assert!(matches!(value, Err(StoreError::Missing(Key::Node(_)))), "{key}");
    }
}
