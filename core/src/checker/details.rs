use super::{Checker, Claim, Mismatch, block::Outcome};
use crate::{
    executor::{BatchContext, BlockModel, PreparedBlock, closing_leaf},
    store::{Store, StoreError},
    tree::{Smt, StateKey},
    types::Head,
};
use alloc::{boxed::Box, string::String, vec::Vec};
use alloy_primitives::{B256, keccak256};
use serde::{Deserialize, Serialize};

/// What is known of a [`Mismatch`] beside the claim itself, as far as the main node's claims allow to know it.
///
/// A root differs as a whole: it names neither a transaction nor a key. What names them is said with each field.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Details {
    /// The first transaction that did something else here than the main node says: one that cannot run or has a wrong
    /// effective percentage; in forks whose sources tell the state root after each transaction, the first whose root
    /// differs; and the only one of a block that is one transaction by the fork's rules (it, or what the block writes
    /// beside it).
    pub transaction: Option<DifferingTransaction>,
    /// The first part of the state that is another one here: a root or hash that is claimed and is itself the value at a
    /// key, and what the protocol writes behind the last transaction, when all transactions' roots agree.
    pub state_key: Option<DifferingKey>,
    /// What came out of the block; `None` when the claim is not about that.
    pub computed: Option<Computed>,
}

/// The first transaction whose result differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DifferingTransaction {
    /// Position in the block, from 0.
    pub index: u64,
    /// Keccak hash of the signed transaction.
    pub hash: B256,
    /// What differs.
    pub value: String,
    /// The first transaction that no agreed root covers: `index`, unless the source left roots out. The difference is in
    /// one of the transactions from this to `index` (from the first one on: or in what the block writes before it).
    pub since: u64,
}

/// The first part of the state that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DifferingKey {
    /// Its name.
    pub key: StateKey,
    /// What the main node has there; `None` when its claims do not say.
    pub expected: Option<B256>,
    /// What is there.
    pub computed: B256,
}

/// What came out of a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Computed {
    /// State root after the block.
    pub state_root: B256,
    /// Root of the block info tree; zero in forks without one.
    pub block_info_root: B256,
    /// Header hash.
    pub block_hash: B256,
    /// Root of the receipts, as the header has it.
    pub receipts_root: B256,
    /// Gas used by all transactions.
    pub gas_used: u64,
    /// Those that ran, in order.
    pub transactions: Vec<ComputedTransaction>,
    /// Every leaf of the state tree that changed, with its new value; zero for none.
    pub changes: Vec<Change>,
}

/// What came out of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ComputedTransaction {
    /// It did not revert or halt.
    pub success: bool,
    /// Gas used by it alone.
    pub gas_used: u64,
    /// How many logs it wrote.
    pub logs: u64,
    /// Keccak hash of the RLP list of these logs.
    pub logs_hash: B256,
    /// State root after it, in forks whose sources tell it.
    pub state_root: Option<B256>,
}

/// A leaf of the state tree that changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Change {
    /// Its name.
    pub key: StateKey,
    /// Its new value.
    pub value: B256,
}

impl Mismatch {
    /// The same, of this transaction.
    pub(super) fn in_transaction(mut self, transaction: Option<DifferingTransaction>) -> Self {
        self.details.transaction = transaction;
        self
    }

    /// The same, which is about the value at this key.
    pub(super) fn at_key(mut self, key: StateKey, expected: impl Into<Option<B256>>, computed: B256) -> Self {
        self.details.state_key = Some(DifferingKey { key, expected: expected.into(), computed });
        self
    }
}

impl DifferingTransaction {
    /// The transaction at `index`, if there is one.
    pub(super) fn of(block: &PreparedBlock, index: usize, since: usize, value: &str) -> Option<Self> {
        let encoded = block.encoded().get(index)?;
        Some(Self {
            index: index as u64,
            hash: keccak256(&encoded.encoded),
            value: value.into(),
            since: since as u64,
        })
    }
}

impl Checker {
    /// Adds to a mismatch what can be known of it from what came out of the block.
    pub(super) fn with_details(
        &mut self,
        mut mismatch: Mismatch,
        block: &PreparedBlock,
        batch: &BatchContext<'_>,
        outcome: &Outcome,
        parent: &Head,
        store: &dyn Store,
    ) -> Result<Mismatch, StoreError> {
        let transaction = differing_transaction(mismatch.claim, block, batch, outcome);
        let state_key = self.differing_key(mismatch.claim, block, batch, outcome, parent, store)?;
        mismatch.details = Box::new(Details { transaction, state_key, computed: Some(computed(outcome)) });
        Ok(mismatch)
    }

    fn differing_key(
        &mut self,
        claim: Claim,
        block: &PreparedBlock,
        batch: &BatchContext<'_>,
        Outcome { execution, .. }: &Outcome,
        parent: &Head,
        store: &dyn Store,
    ) -> Result<Option<DifferingKey>, StoreError> {
        let (claims, root) = (block.claims(), execution.block_info_root);
        let has_info_tree = batch.rules.block_model == BlockModel::L2Block;
        let key = closing_leaf(batch.rules.block_model, block.input().number);
        let value = execution.diff.leaves.get(&key).copied().map_or(root, B256::from);
        let differs = |expected| Some(DifferingKey { key, expected, computed: value });
        match claim {
            // The state root agrees, and with it all of the state: what the block says beside it is not in there.
            Claim::BlockInfoRoot if has_info_tree => Ok(differs(Some(claims.block_info_root))),
            // No block has the root zero: to leave it out of the tree would need parts that the block did not read.
            Claim::StateRoot if has_info_tree && ![root, B256::ZERO].contains(&claims.block_info_root) => {
                let mut diff = execution.diff.clone();
                diff.leaves.insert(key, claims.block_info_root.into());
                let changes = diff.tree_changes(self.executor.paths());
                let with_theirs = Smt::new(store).update(parent.state_root, changes)?.root;
                // All else is as here; or else the transactions' roots say whether something before it differs.
                let explains = with_theirs == claims.state_root;
                let expected = explains.then_some(claims.block_info_root);
                Ok(if explains || all_roots_agree(block) { differs(expected) } else { None })
            }
            Claim::StateRoot if all_roots_agree(block) => Ok(differs(None)),
            _ => Ok(None),
        }
    }
}

/// The state root after each transaction is told. (That they are true has been checked when this is asked.)
fn all_roots_agree(block: &PreparedBlock) -> bool {
    let roots = &block.claims().intermediate_state_roots;
    let transactions = block.encoded().len();
    transactions > 0 && roots.len() == transactions && roots.last().is_some_and(|root| !root.is_zero())
}

fn differing_transaction(
    claim: Claim,
    block: &PreparedBlock,
    batch: &BatchContext<'_>,
    Outcome { execution, .. }: &Outcome,
) -> Option<DifferingTransaction> {
    let find = |index, since, value| DifferingTransaction::of(block, index, since, value);
    match claim {
        Claim::Transaction => {
            let index = execution.skipped.first()?.index;
            find(index, index, "whether it runs")
        }
        Claim::IntermediateStateRoot => {
            let claimed = block.claims().intermediate_state_roots.iter();
            let mut since = 0;
            for (index, (claimed, computed)) in claimed.zip(&execution.intermediate_state_roots).enumerate() {
                match claimed {
                    root if root.is_zero() => {}
                    root if root == computed => since = index + 1,
                    _ => return find(index, since, claim.name()),
                }
            }
            None
        }
        Claim::StateRoot if batch.rules.block_model == BlockModel::Transaction && !all_roots_agree(block) => {
            find(0, 0, claim.name())
        }
        _ => None,
    }
}

fn computed(Outcome { header, execution, update, .. }: &Outcome) -> Computed {
    let roots = &execution.intermediate_state_roots;
    let transactions = execution.receipts.iter().enumerate().map(|(index, receipt)| ComputedTransaction {
        success: receipt.success,
        gas_used: receipt.gas_used,
        logs: receipt.logs.len() as u64,
        logs_hash: keccak256(alloy_rlp::encode(&receipt.logs)),
        state_root: roots.get(index).copied(),
    });
    let leaves = execution.diff.leaves.iter();
    Computed {
        state_root: update.root,
        block_info_root: execution.block_info_root,
        block_hash: header.hash_slow(),
        receipts_root: execution.receipts_root,
        gas_used: execution.gas_used,
        transactions: transactions.collect(),
        changes: leaves.map(|(key, value)| Change { key: *key, value: (*value).into() }).collect(),
    }
}
