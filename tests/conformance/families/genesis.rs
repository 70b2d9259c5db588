//! `genesis`: accounts of public chains, the roots of their states, and the hashes of their first blocks.

use super::{Fields, one, parse};
use crate::case::Case;
use alloy_primitives::{Address, B256, U256};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Value as Json, value::RawValue};
use std::{
    fs,
    path::{Path, PathBuf},
};
use zk_replica_core::{
    chain::{ChainSpec, Genesis},
    checker::{Checker, Claim, Verdict},
    executor::PreparedBlock,
    types::{BatchKind, BatchStart, Block, BlockClaims, BlockInput, L1Info},
};

const FAMILY: &str = "genesis";

/// Whether these are accounts by their addresses.
pub(super) fn are_accounts(fields: &Fields<'_>) -> bool {
    !fields.is_empty() && fields.keys().all(|name| name.starts_with("0x") && name.parse::<Address>().is_ok())
}

/// The case of one file of accounts: its root stands in `index.json` beside it; that of a recorded chain, in the fields
/// of its block 0.
pub(super) fn allocations(path: &Path, json: &str) -> Vec<Case> {
    let (path, json) = (path.to_owned(), json.to_owned());
    let check = move || {
        let genesis = Genesis::from_json(json.as_bytes()).expect("accounts");
        let beside = |name: &str| fs::read_to_string(path.with_file_name(name)).ok();
        let name = path.file_name().and_then(|name| name.to_str()).expect("a plain name");
        let index: Vec<IndexCase> = beside("index.json").map_or(Vec::new(), |index| parse(&index));
        if let Some(case) = index.iter().find(|case| case.alloc == name) {
            return case.check(&genesis, &path);
        }
        let conf: Json = beside("genesis-conf.json").map_or(Json::Null, |conf| parse(&conf));
        let root =
            conf["root"].as_str().expect("a root for it, in index.json or genesis-conf.json beside it");
        check_root(name, &genesis, root.parse().expect("a root"));
    };
    vec![Case::new(FAMILY, "the accounts have the published root", check)]
}

/// The cases of the index: each file is there and has that root.
pub(super) fn index(path: &Path, list: &[&RawValue]) -> Vec<Case> {
    let case = |entry: &&RawValue| {
        let name = parse::<Json>(entry.get())["name"].as_str().unwrap_or("without name").to_owned();
        let path = path.to_owned();
        one(FAMILY, name, entry, move |case: IndexCase| {
            let accounts = fs::read(path.with_file_name(&case.alloc)).expect("the accounts beside the index");
            case.check(&Genesis::from_json(&accounts).expect("accounts"), &path);
        })
    };
    list.iter().map(case).collect()
}

/// The state of these accounts has this root, and no other.
pub(super) fn check_root(name: &str, genesis: &Genesis, root: B256) {
    check(name, genesis, &any_chain(), root, None);
}

fn any_chain() -> ChainSpec {
    ChainSpec::from_json(b"{\"chainId\": 1}").expect("a chain")
}

/// What the index says of a chain.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct IndexCase {
    name: String,
    alloc: String,
    accounts: usize,
    leaves: usize,
    state_root: B256,
    chain_id: Option<u64>,
    chainspec: Option<Json>,
    genesis_block_hash: Option<B256>,
}

impl IndexCase {
    /// The index has hashes, `state-tree.json` in the folder above the timestamps that go into them. Without a timestamp
    /// a hash cannot be judged.
    fn check(&self, genesis: &Genesis, path: &Path) {
        assert_eq!(genesis.accounts.len(), self.accounts, "accounts");
        assert_eq!(leaves(genesis), self.leaves, "leaves");
        let json = self.chainspec.clone().unwrap_or(serde_json::json!({ "chainId": 1 }));
        let spec = ChainSpec::from_json(json.to_string().as_bytes()).expect("a chain");
        assert_eq!(spec.chain_id, self.chain_id.unwrap_or(1), "chain id");
        let published = fs::read_to_string(path.with_file_name("..").join("state-tree.json")).ok();
        let roots: Vec<PublishedRoot> =
            published.map_or(Vec::new(), |json| parse::<PublishedRoots>(&json).published_genesis_roots);
        let timestamp =
            roots.iter().find(|case| case.root == self.state_root).and_then(|case| case.timestamp);
        let block = self.genesis_block_hash.zip(timestamp);
        check(&self.name, genesis, &spec, self.state_root, block);
    }
}

#[derive(Deserialize)]
struct PublishedRoots {
    published_genesis_roots: Vec<PublishedRoot>,
}

/// A root of `state-tree.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PublishedRoot {
    network: String,
    allocs: String,
    root: B256,
    timestamp: Option<u64>,
    block_hash: Option<B256>,
    base_fee_in_header: Option<U256>,
    #[serde(rename = "note")]
    _note: Option<IgnoredAny>,
}

/// The cases of the published roots whose accounts are among the vectors in the folder of `path`. Of those of other
/// chains nothing can be judged.
pub(super) fn published_roots(path: &Path, name: &str, list: &RawValue) -> Vec<Case> {
    let cases: Vec<PublishedRoot> = match serde_json::from_str(list.get()) {
        Ok(cases) => cases,
        Err(error) => return vec![Case::failed(FAMILY, name, error.to_string())],
    };
    let judged = cases.into_iter().filter_map(|case| {
        let accounts = case.accounts(path).filter(|file| file.exists())?;
        Some(Case::new(FAMILY, format!("{name}, {}", case.network), move || case.check(&accounts)))
    });
    judged.collect()
}

impl PublishedRoot {
    /// Where the accounts are, if they are part of the vectors.
    fn accounts(&self, path: &Path) -> Option<PathBuf> {
        let name = self.allocs.rsplit('/').next()?.strip_suffix(".json")?;
        Some(path.with_file_name(match name {
            "dynamic-integration-allocs" => "recorded-chain/genesis-allocs.json".into(),
            name => format!("genesis/{name}.alloc.json"),
        }))
    }

    fn check(&self, accounts: &Path) {
        let genesis = Genesis::from_json(&fs::read(accounts).expect("readable")).expect("accounts");
        let mut spec = any_chain();
        spec.london_genesis = self.base_fee_in_header.is_some();
        let block = self.block_hash.zip(self.timestamp);
        assert_eq!(block.is_some(), self.block_hash.is_some(), "a hash, and no timestamp");
        check(&self.network, &genesis, &spec, self.root, block);
    }
}

/// Block 0 as a main node would send it.
fn genesis_block(root: B256, hash: B256, timestamp: u64) -> PreparedBlock {
    let input = BlockInput {
        number: 0,
        timestamp,
        coinbase: Address::ZERO,
        l1_info: L1Info::default(),
        transactions: Vec::new(),
    };
    let claims = BlockClaims {
        batch: 0,
        delta_timestamp: None,
        gas_limit: None,
        hash,
        state_root: root,
        block_info_root: B256::ZERO,
        intermediate_state_roots: Vec::new(),
    };
    Block { input, claims }.into()
}

/// What the checker finds wrong with block 0, if anything.
fn genesis_mismatch(genesis: &Genesis, spec: &ChainSpec, block: &PreparedBlock) -> Option<Claim> {
    let start = BatchStart { number: 0, kind: BatchKind::Regular, fork_id: 0, chain_id: spec.chain_id };
    let verdict = Checker::new(spec.clone()).check_genesis(genesis, block, &start);
    match verdict.expect("in memory") {
        Verdict::Verified(verified) => {
            assert_eq!(verified.head().hash, block.claims().hash);
            assert_eq!(verified.head().state_root, block.claims().state_root);
            None
        }
        Verdict::Mismatch(mismatch) => Some(mismatch.claim),
    }
}

/// Whoever publishes a hash also publishes the timestamp in it; a root can be judged without either.
fn check(name: &str, genesis: &Genesis, spec: &ChainSpec, root: B256, block: Option<(B256, u64)>) {
    let (hash, timestamp) = block.unwrap_or_default();
    let wrong = block.is_none().then_some(Claim::BlockHash);
    let verdict =
        |root, hash, timestamp| genesis_mismatch(genesis, spec, &genesis_block(root, hash, timestamp));
    assert_eq!(verdict(root, hash, timestamp), wrong, "{name}");
    assert_eq!(verdict(!root, hash, timestamp), Some(Claim::StateRoot), "{name}");
    assert_eq!(verdict(root, !hash, timestamp), Some(Claim::BlockHash), "{name}");
    assert_eq!(verdict(root, hash, timestamp + 1), Some(Claim::BlockHash), "{name}");
}

/// How many leaves the state has.
fn leaves(genesis: &Genesis) -> usize {
    let accounts = genesis.accounts.values();
    let count = accounts.map(|account| {
        let fields = [!account.balance.is_zero(), account.nonce != 0];
        let slots = account.storage.values().filter(|value| !value.is_zero());
        let fields = fields.into_iter().filter(|there| *there).count();
        fields + slots.count() + if account.code.is_empty() { 0 } else { 2 }
    });
    count.sum()
}
