//! Judges a batch: from its pre-state to its expected roots.
//!
//! Both forms of the official vectors become a [`Batch`], and go through the same checker as a chain does.

use crate::case::{Failure, Outcome};
use alloy_primitives::{Address, B256, Bytes, U256};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use zk_replica_core::{
    chain::{ChainSpec, ForkId, ForkSchedule},
    checker::{Checker, Verdict},
    executor::Rules,
    source::witness::Witness,
    store::{Commit, Key, Memory, Store},
    tree::{StateKey, hash_bytes},
    types::{BatchClaims, BatchInput, BatchKind, BatchPart, L1Info},
};
use zk_replica_tests::answers::Tree;

/// How a case gives its pre-state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// As the node store of the state tree.
    ExecutorInput,
    /// As a list of accounts.
    Genesis,
}

/// Runs the case `json` by the rules of each of `forks`, of which there is at least one; gives one outcome for each.
pub(crate) fn judge(json: &str, form: Form, forks: &[u64]) -> Vec<Outcome> {
    let case = match form {
        Form::ExecutorInput => ExecutorInput::read(json),
        Form::Genesis => GenesisForm::read(json),
    };
    match case {
        Ok(case) => forks.iter().map(|fork| case.judge(*fork)).collect(),
        Err(failure) => forks.iter().map(|fork| Outcome::of(*fork, Err(failure.clone()))).collect(),
    }
}

/// Rules that some vectors were made by in place of those of their fork (`known.toml`).
const OTHER_RULES: [(&str, Alteration); 2] = [
    ("the rules of fork 7", |_| Rules::of(ForkId::Etrog).clone()),
    ("modexp", |rules| Rules { precompiles: Rules::of(ForkId::Etrog).precompiles, ..rules.clone() }),
];

type Alteration = fn(&Rules) -> Rules;

/// A state, and batches that follow each other on it.
struct Case {
    store: Memory,
    root: B256,
    chain_id: u64,
    /// Largest gas limit of a transaction, if it is not that of the fork.
    gas_limit: Option<u64>,
    batches: Vec<Batch>,
}

struct Batch {
    input: BatchInput,
    claims: BatchClaims,
    /// The reference estimates more counters than the prover has.
    out_of_counters: bool,
}

impl Case {
    fn judge(&self, fork: u64) -> Outcome {
        let rules = match ForkId::try_from(fork) {
            Ok(fork) => Rules::of(fork),
            Err(error) => return Outcome::of(fork, Err(failure(error))),
        };
        let result = self.run(rules);
        let passes_by = match &result {
            Ok(()) => Vec::new(),
            Err(_) => {
                let others = OTHER_RULES.iter().filter(|(_, alter)| self.run(&alter(rules)).is_ok());
                others.map(|(name, _)| *name).collect()
            }
        };
        Outcome { passes_by, ..Outcome::of(fork, result) }
    }

    fn run(&self, rules: &Rules) -> Result<(), Failure> {
        let forks = ForkSchedule::UNKNOWN;
        let spec = ChainSpec { chain_id: self.chain_id, name: String::new(), forks, london_genesis: false };
        let mut rules = rules.clone();
        rules.transaction_gas_limit = self.gas_limit.unwrap_or(rules.transaction_gas_limit);
        let mut checker = Checker::new(spec);
        let (store, mut root) = (self.store.clone(), self.root);
        let mut acc_input_hash = None;
        for (number, batch) in (1..).zip(&self.batches) {
            let mut input = batch.input.clone();
            input.previous_acc_input_hash = acc_input_hash.unwrap_or(input.previous_acc_input_hash);
            if batch.out_of_counters && batch.claims.state_root == root {
                input.kind = BatchKind::Invalid;
            }
            let verdict = checker.check_batch(number, &rules, &input, &batch.claims, root, &store);
            let verified = match verdict.map_err(failure)? {
                Verdict::Verified(verified) => verified,
                Verdict::Mismatch(mismatch) => return Err(mismatch.to_string().into()),
            };
            store.apply(&Commit::from(&verified)).map_err(failure)?;
            root = verified.execution().state_root;
            acc_input_hash = Some(verified.execution().acc_input_hash);
        }
        Ok(())
    }
}

fn failure(error: impl std::fmt::Display) -> Failure {
    error.to_string().into()
}

/// A number as vectors write it: a JSON number, decimal digits, or hexadecimal ones behind 0x.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Word(U256);

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(u64),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Number(number) => Ok(Self(U256::from(number))),
            Written::Text(text) if text.is_empty() || text == "0x" => Ok(Self(U256::ZERO)),
            Written::Text(text) => text.parse().map(Self).map_err(serde::de::Error::custom),
        }
    }
}

impl Word {
    fn small(self) -> Result<u64, Failure> {
        u64::try_from(self.0).map_err(failure)
    }

    fn hash(self) -> B256 {
        self.0.into()
    }
}

/// The fields that describe a batch in both forms.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BatchFields {
    #[serde(rename = "batchL2Data")]
    data: Bytes,
    #[serde(alias = "globalExitRoot", alias = "l1InfoRoot")]
    l1_root: Word,
    #[serde(alias = "timestampLimit")]
    timestamp: Word,
    #[serde(rename = "forcedBlockHashL1", default)]
    forced_block_hash: Word,
    new_local_exit_root: Word,
    #[serde(default)]
    virtual_counters: BTreeMap<String, u64>,
    /// The source ran it with this many steps, and counters did not matter.
    steps_n: Option<u64>,
    #[serde(default)]
    skip_first_change_l2_block: bool,
    #[serde(default)]
    skip_write_block_info_root: bool,
}

impl BatchFields {
    fn batch(
        self,
        coinbase: Address,
        state_root: B256,
        acc_input_hash: Option<B256>,
        l1_info: Leaves,
    ) -> Result<Batch, Failure> {
        let forced_block_hash = self.forced_block_hash.hash();
        let kind = if forced_block_hash.is_zero() { BatchKind::Regular } else { BatchKind::Forced };
        let input = BatchInput {
            kind,
            data: self.data,
            coinbase,
            timestamp: self.timestamp.small()?,
            l1_root: self.l1_root.hash(),
            forced_block_hash,
            l1_info: l1_info.info,
            l1_info_proofs: l1_info.proofs,
            previous_acc_input_hash: B256::ZERO,
            part: BatchPart {
                continues_block: self.skip_first_change_l2_block,
                leaves_block_open: self.skip_write_block_info_root,
            },
        };
        let local_exit_root = self.new_local_exit_root.hash();
        let claims = BatchClaims { state_root, local_exit_root, acc_input_hash };
        let out_of_counters = self.steps_n.is_none() && exceeds_counters(&self.virtual_counters);
        Ok(Batch { input, claims, out_of_counters })
    }
}

/// The counters of the prover up to fork 9 (`spec/execution.md` §8). A replica does not count; that a batch ran out of
/// them is for the sequencer to say, and in a vector the reference's estimate says it.
fn exceeds_counters(counters: &BTreeMap<String, u64>) -> bool {
    const LIMITS: [(&str, u64); 8] = [
        ("steps", 7_968_988),
        ("arith", 249_037),
        ("binary", 498_074),
        ("memAlign", 249_037),
        ("keccaks", 2_258),
        ("padding", 142_307),
        ("poseidon", 265_639),
        ("sha256", 1_769),
    ];
    LIMITS.iter().any(|(name, limit)| counters.get(*name).is_some_and(|count| count > limit))
}

/// One line of `gst-*`, `inputs-*` and `prover`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExecutorInput {
    #[serde(flatten)]
    batch: BatchFields,
    old_state_root: B256,
    new_state_root: B256,
    old_acc_input_hash: B256,
    new_acc_input_hash: B256,
    #[serde(rename = "chainID")]
    chain_id: u64,
    sequencer_addr: Address,
    gas_limit: Option<Word>,
    #[serde(default)]
    l1_info_tree: BTreeMap<String, serde_json::Value>,
    db: BTreeMap<Word, Vec<String>>,
    contracts_bytecode: BTreeMap<String, String>,
}

impl ExecutorInput {
    fn read(json: &str) -> Result<Case, Failure> {
        let case: Self = serde_json::from_str(json).map_err(failure)?;
        let witness = case.witness()?;
        let l1_info = Leaves::of(&case.l1_info_tree)?;
        let claimed = Some(case.new_acc_input_hash);
        let mut batch = case.batch.batch(case.sequencer_addr, case.new_state_root, claimed, l1_info)?;
        batch.input.previous_acc_input_hash = case.old_acc_input_hash;
        Ok(Case {
            store: witness.store().clone(),
            root: case.old_state_root,
            chain_id: case.chain_id,
            gas_limit: case.gas_limit.map(Word::small).transpose()?,
            batches: vec![batch],
        })
    }

    /// `db` and `contractsBytecode`, each record held against the digest it stands under.
    fn witness(&self) -> Result<Witness, Failure> {
        let mut nodes = Vec::new();
        for (digest, limbs) in &self.db {
            let limbs: Result<Vec<u64>, _> = limbs.iter().map(|limb| u64::from_str_radix(limb, 16)).collect();
            nodes.push((digest.hash(), limbs.map_err(failure)?));
        }
        let mut codes = Vec::new();
        // Beside code by hash, later files give the hash of an account's code by address.
        for (hash, code) in self.contracts_bytecode.iter().filter(|(key, _)| key.len() > ADDRESS_DIGITS) {
            codes.push((hash.parse().map_err(failure)?, code.parse().map_err(failure)?));
        }
        Witness::from_entries(self.old_state_root, nodes, codes).map_err(failure)
    }
}

/// Length of an address in hexadecimal, behind 0x.
const ADDRESS_DIGITS: usize = 42;

/// Leaves of the L1 info tree, and the siblings of those that have to be proved.
#[derive(Default)]
struct Leaves {
    info: BTreeMap<u32, L1Info>,
    proofs: BTreeMap<u32, [B256; 32]>,
}

impl Leaves {
    /// Those of an `l1InfoTree`, which may say that they are not to be proved.
    fn of(tree: &BTreeMap<String, serde_json::Value>) -> Result<Self, Failure> {
        const UNPROVED: &str = "skipVerifyL1InfoRoot";
        let proved = tree.get(UNPROVED) != Some(&serde_json::Value::Bool(true));
        let mut leaves = Self::default();
        for (index, leaf) in tree.iter().filter(|(key, _)| *key != UNPROVED) {
            let index = index.parse().map_err(failure)?;
            let leaf: L1InfoLeaf = serde_json::from_value(leaf.clone()).map_err(failure)?;
            leaves.info.insert(index, leaf.info(index)?);
            if proved {
                leaves.proofs.insert(index, leaf.smt_proof.ok_or("a leaf without a proof")?);
            }
        }
        Ok(leaves)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct L1InfoLeaf {
    global_exit_root: Word,
    block_hash: Word,
    timestamp: Word,
    smt_proof: Option<[B256; 32]>,
}

impl L1InfoLeaf {
    fn info(&self, index: u32) -> Result<L1Info, Failure> {
        let min_timestamp = self.timestamp.small()?;
        let (global_exit_root, block_hash) = (self.global_exit_root.hash(), self.block_hash.hash());
        Ok(L1Info { index, global_exit_root, block_hash, min_timestamp })
    }
}

/// One line of `genesis-*` and `reference`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GenesisForm {
    genesis: Vec<GenesisAccount>,
    expected_old_root: B256,
    #[serde(rename = "chainID")]
    chain_id: u64,
    sequencer_address: Address,
    #[serde(default)]
    old_acc_input_hash: Word,
    #[serde(flatten)]
    single: Option<GenesisBatch>,
    batches: Option<Vec<GenesisBatch>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GenesisBatch {
    #[serde(flatten)]
    batch: BatchFields,
    expected_new_root: B256,
    expected_new_acc_input_hash: Option<B256>,
    #[serde(default)]
    l1_info_tree: BTreeMap<String, serde_json::Value>,
    txs: Vec<Entry>,
}

/// One entry of the batch, as the source describes it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    index_l1_info_tree: Option<Word>,
    l1_info: Option<L1InfoLeaf>,
    custom_raw_tx: Option<Bytes>,
    /// The source ran it with the last three bytes cut off.
    #[serde(default)]
    encode_invalid_data: bool,
}

#[derive(Deserialize)]
struct GenesisAccount {
    address: Address,
    balance: Word,
    nonce: Word,
    #[serde(default)]
    bytecode: Bytes,
    #[serde(default)]
    storage: BTreeMap<Word, Word>,
}

impl GenesisForm {
    fn read(json: &str) -> Result<Case, Failure> {
        let case: Self = serde_json::from_str(json).map_err(failure)?;
        let (store, root) = case.state()?;
        if root != case.expected_old_root {
            return Err(format!("state before: expected {}, computed {root}", case.expected_old_root).into());
        }
        let batches = match (case.single, case.batches) {
            (None, Some(batches)) => batches,
            (Some(batch), None) => vec![batch],
            _ => return Err("neither one batch nor a list of them".into()),
        };
        let mut run = Vec::new();
        for batch in batches {
            run.push(batch.batch(case.sequencer_address)?);
        }
        if let Some(first) = run.first_mut() {
            first.input.previous_acc_input_hash = case.old_acc_input_hash.hash();
        }
        Ok(Case { store, root, chain_id: case.chain_id, gas_limit: None, batches: run })
    }

    fn state(&self) -> Result<(Memory, B256), Failure> {
        let (mut leaves, mut codes) = (BTreeMap::new(), Vec::new());
        for GenesisAccount { address, balance, nonce, bytecode, storage } in &self.genesis {
            leaves.insert(StateKey::Balance(*address), balance.0);
            leaves.insert(StateKey::Nonce(*address), nonce.0);
            if !bytecode.is_empty() {
                let hash = hash_bytes(bytecode);
                leaves.insert(StateKey::CodeHash(*address), hash.into());
                leaves.insert(StateKey::CodeLength(*address), U256::from(bytecode.len()));
                codes.push((Key::Code(hash), bytecode.clone()));
            }
            let slots = storage.iter().map(|(slot, value)| (StateKey::Storage(*address, slot.0), value.0));
            leaves.extend(slots);
        }
        let tree = Tree::of(leaves.iter().map(|(key, value)| (key.path(), *value)));
        tree.store().apply(&Commit::for_test(codes, Vec::new())).map_err(failure)?;
        Ok((tree.store().clone(), tree.root()))
    }
}

impl GenesisBatch {
    fn batch(mut self, coinbase: Address) -> Result<Batch, Failure> {
        let mut l1_info = Leaves::of(&self.l1_info_tree)?;
        for entry in &self.txs {
            let index = entry.index_l1_info_tree.unwrap_or_default().small()?;
            if let (Ok(index @ 1..), Some(leaf)) = (u32::try_from(index), &entry.l1_info) {
                l1_info.info.insert(index, leaf.info(index)?);
            }
        }
        if self.txs.iter().any(|entry| entry.encode_invalid_data) {
            self.batch.data = self.txs.iter().flat_map(Entry::encoded).copied().collect();
        }
        let claimed = self.expected_new_acc_input_hash;
        self.batch.batch(coinbase, self.expected_new_root, claimed, l1_info)
    }
}

impl Entry {
    fn encoded(&self) -> &[u8] {
        let encoded = self.custom_raw_tx.as_ref().map_or(&[][..], AsRef::as_ref);
        let cut = if self.encode_invalid_data { 3 } else { 0 };
        &encoded[..encoded.len().saturating_sub(cut)]
    }
}
