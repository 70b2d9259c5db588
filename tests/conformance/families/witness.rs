//! `witness`, and the witnesses of the small state in `state-tree.json`: partial trees of others.

use super::{name_of, one, parse};
use crate::case::Case;
use alloy_primitives::{Address, B256, Bytes, U256};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;
use std::{collections::BTreeMap, slice};
use zk_replica_core::{
    source::witness::{Extent, Witness, encode},
    store::{Commit, Key, Store, StoreError},
    tree::{Node, Smt, StateKey, hash_bytes},
};
use zk_replica_tests::answers::{Account, Tree};

const FAMILY: &str = "witness";

/// A witness with its published root.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Published {
    #[serde(rename = "name")]
    _name: IgnoredAny,
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

type Check = fn(Published);

type CheckTogether = fn(&[Published]);

/// What is checked of every witness by itself.
const CHECKS: &[(&str, Check)] = &[
    ("root", check_root),
    ("leaves and codes", check_leaves),
    ("nothing altered has the root", check_alterations),
];

/// What is checked of several together: their names, and the check, to which they come in this order.
const TOGETHER: &[(&str, &[&str], CheckTogether)] = &[
    ("the full tree can be trimmed", &["stateless-full-tree"], check_trimming),
    ("partial and full tree agree", &["stateless-partial", "stateless-full-tree"], check_partial),
    // The first block of the same chain, without code.
    ("two full trees are the same", &["stateless-full-tree", "blueberry-block-1"], check_same),
    ("two merge into the third", &["merge-witness1", "merge-witness2", "merge-resultWitness"], check_merge),
];

/// The cases of a list of witnesses.
pub(super) fn cases(list: &[&RawValue]) -> Vec<Case> {
    let (mut cases, mut named) = (Vec::new(), BTreeMap::new());
    for json in list {
        match name_of(json) {
            Ok(name) => {
                cases.extend(
                    CHECKS.iter().map(|(what, check)| one(FAMILY, format!("{name}, {what}"), json, *check)),
                );
                named.insert(name, (*json).to_owned());
            }
            Err(failed) => cases.push(failed),
        }
    }
    cases.extend(TOGETHER.iter().filter_map(|(what, names, check)| together(&named, what, names, *check)));
    cases
}

/// The case that witnesses with these names belong together, if they are there.
fn together(
    named: &BTreeMap<String, Box<RawValue>>,
    what: &str,
    names: &[&str],
    check: CheckTogether,
) -> Option<Case> {
    let witnesses: Option<Vec<_>> = names.iter().map(|name| named.get(*name).cloned()).collect();
    let witnesses = witnesses?;
    Some(Case::new(FAMILY, what, move || {
        let parsed: Vec<Published> = witnesses.iter().map(|json| parse(json.get())).collect();
        check(&parsed);
    }))
}

impl Published {
    fn decode(&self) -> Witness {
        let witness = Witness::decode(&self.witness).expect("a witness");
        assert_eq!(witness.root(), self.state_root);
        witness
    }
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

fn check_root(case: Published) {
    let witness = case.decode();
    assert_eq!(operators(&witness), case.operators);
    assert_eq!(witness.keys().len(), case.operators.smt_leaf);
    assert_eq!(witness.encode().as_deref(), Ok(case.witness.as_ref()), "written again");
}

/// Every leaf is read under its name, and every code is the one of its contract.
fn check_leaves(case: Published) {
    let witness = case.decode();
    let tree = Smt::new(witness.store());
    for key in witness.keys() {
        let value = tree.get(witness.root(), &key.path()).expect("a leaf that was read");
        assert!(!value.is_zero(), "{key}");
        if let StateKey::CodeHash(address) = key
            && let Some(code) = code_of(&witness, key)
        {
            assert_eq!(hash_bytes(&code), B256::from(value), "{key}");
            let length = tree.get(witness.root(), &StateKey::CodeLength(*address).path());
            let missing = matches!(length, Err(StoreError::Missing(_)));
            assert!(missing || length == Ok(U256::from(code.len())), "{key}: {length:?}");
        }
    }
}

fn check_alterations(case: Published) {
    let length = case.witness.len();
    for at in (0..length).step_by(1 + length / 150) {
        let mut altered = case.witness.to_vec();
        altered[at] ^= 1 << (at % 8);
        let root = Witness::decode(&altered).map(|witness| witness.root());
        assert_ne!(root, Ok(case.state_root), "byte {at}");
        // The version alone is the witness of an empty request.
        let cut = Witness::decode(&case.witness[..at]);
        assert!(at == 1 || cut.is_err(), "{at} bytes");
    }
}

/// What the partial tree has is what the full one has; the rest is missing, not zero.
fn check_partial(cases: &[Published]) {
    let [partial, full] = cases else { panic!("not two") };
    let (partial, full) = (partial.decode(), full.decode());
    let root = full.root();
    assert_eq!(partial.root(), root);
    let (part, whole) = (Smt::new(partial.store()), Smt::new(full.store()));
    let mut missing = 0;
    for key in full.keys() {
        match part.get(root, &key.path()) {
            Err(StoreError::Missing(Key::Node(_))) => missing += 1,
            value => assert_eq!(value, whole.get(root, &key.path()), "{key}"),
        }
        let code = code_of(&full, key).filter(|_| partial.keys().contains(key));
        assert_eq!(code_of(&partial, key), code, "{key}");
    }
    assert_eq!(missing, full.keys().len() - partial.keys().len());
}

fn check_same(cases: &[Published]) {
    let [first, second] = cases else { panic!("not two") };
    let (first, second) = (first.decode(), second.decode());
    assert_eq!((first.root(), first.keys()), (second.root(), second.keys()));
}

/// The full witness of a tree is what one gets by trimming it to all its keys. Trimmed to one key, it is enough to
/// remove that key.
fn check_trimming(cases: &[Published]) {
    let [case] = cases else { panic!("not one") };
    let full = case.decode();
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

fn check_merge(cases: &[Published]) {
    let [first, second, expected] = cases else { panic!("not three") };
    let (first, second, result) = (first.decode(), second.decode(), expected.decode());
    assert_eq!([first.root(), second.root()], [result.root(); 2]);
    let names = [first.keys(), second.keys()].concat();
    let merged = encode(&Both(&first, &second), result.root(), &names, Extent::AtHand);
    assert_eq!(merged.as_deref(), Ok(expected.witness.as_ref()));
}

/// What the section of `state-tree.json` with a state of three accounts says of witnesses.
#[derive(Deserialize)]
struct SmallState {
    accounts: Vec<Account>,
    root: B256,
    witness_full: Bytes,
    witness_trimmed: Bytes,
    witness_trimmed_retained: [String; 2],
}

/// The witnesses of that state, as a section of the tree's file.
pub(super) fn small_state(family: &'static str, name: &str, json: &RawValue) -> [Case; 2] {
    [
        one(family, format!("{name}, witness_full"), json, |state: SmallState| {
            state.check(&state.witness_full, Extent::Full);
        }),
        one(family, format!("{name}, witness_trimmed"), json, |state: SmallState| {
            let retained = ["balance, nonce, code, length keys of account 1", "storage slot 1 of account 2"];
            assert_eq!(state.witness_trimmed_retained, retained);
            let [first, second] = [0, 1].map(|account| state.accounts[account].address);
            let touched = [&account_keys(first)[..], &[StateKey::Storage(second, U256::ONE)]].concat();
            state.check(&state.witness_trimmed, Extent::Trimmed(&touched));
        }),
    ]
}

fn account_keys(address: Address) -> [StateKey; 4] {
    use StateKey::*;
    [Balance(address), Nonce(address), CodeHash(address), CodeLength(address)]
}

impl SmallState {
    /// The state makes the witness, and the witness reads back.
    fn check(&self, expected: &Bytes, extent: Extent<'_>) {
        let tree = Tree::of(self.accounts.iter().flat_map(Account::leaves));
        let code = |account: &Account| (Key::Code(hash_bytes(&account.code)), account.code.clone());
        let store = Coded { tree: &tree, codes: self.accounts.iter().map(code).collect() };
        let made = encode(&store, self.root, &self.names(), extent);
        assert_eq!(made.as_deref(), Ok(expected.as_ref()));
        let witness = Witness::decode(expected).expect("a witness");
        assert_eq!(witness.root(), self.root);
        assert_eq!(witness.encode().as_deref(), Ok(expected.as_ref()));
    }

    fn names(&self) -> Vec<StateKey> {
        let of = |account: &Account| {
            let address = account.address;
            let slots: Vec<_> =
                account.storage.keys().map(|slot| StateKey::Storage(address, *slot)).collect();
            account_keys(address).into_iter().chain(slots)
        };
        self.accounts.iter().flat_map(of).collect()
    }
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
