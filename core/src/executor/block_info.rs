//! The tree that a block makes of its own results (`spec/state-tree.md` §4).

use super::{Parent, rules::Rules, system::Opening, transact::Executed};
use crate::{
    store::{Memory, StoreError},
    tree::{BlockInfoKey, Paths, Smt, TreeUpdate, hash_bytes},
};
use alloc::vec::Vec;
use alloy_primitives::{Address, B256, Log, U256};

/// Builds the tree. Its root goes into the state; its nodes are not kept.
pub(super) fn build(
    rules: &Rules,
    opening: &Opening,
    parent: &Parent,
    executed: &[Executed<'_>],
    paths: &mut Paths,
) -> Result<TreeUpdate, StoreError> {
    let gas_used = executed.last().map_or(0, |last| last.receipt.cumulative_gas_used);
    let mut leaves = Leaves { paths, leaves: Vec::with_capacity(8 + 6 * executed.len()) };
    if !opening.open_already {
        leaves.add(BlockInfoKey::PreviousStateRoot, parent.state_root);
        leaves.add(BlockInfoKey::Coinbase, word_of(opening.coinbase));
        leaves.add(BlockInfoKey::Number, U256::from(opening.number));
        leaves.add(BlockInfoKey::GasLimit, U256::from(rules.block_gas_limit));
        leaves.add(BlockInfoKey::Timestamp, U256::from(opening.timestamp));
        leaves.add(BlockInfoKey::GlobalExitRoot, opening.global_exit_root);
        leaves.add(BlockInfoKey::L1BlockHash, opening.known_as);
    }
    leaves.add(BlockInfoKey::GasUsed, U256::from(gas_used));

    // Logs count through the whole block.
    let mut log = 0;
    for (transaction, Executed { transaction: prepared, receipt, status, .. }) in (0..).zip(executed) {
        let percentage = prepared.transaction().effective_percentage();
        leaves.add(BlockInfoKey::TransactionHash(transaction), prepared.l2_hash());
        leaves.add(BlockInfoKey::Status(transaction), U256::from(*status));
        leaves.add(BlockInfoKey::CumulativeGas(transaction), U256::from(receipt.cumulative_gas_used));
        leaves.add(BlockInfoKey::EffectivePercentage(transaction), U256::from(percentage));
        for entry in &receipt.logs {
            leaves.add(BlockInfoKey::Log { transaction, log }, hash_log(entry));
            log += 1;
        }
    }
    Smt::new(&Memory::new()).update(B256::ZERO, leaves.leaves)
}

struct Leaves<'a> {
    paths: &'a mut Paths,
    leaves: Vec<(crate::tree::Path, U256)>,
}

impl Leaves<'_> {
    /// A value of zero makes no leaf; the tree sees to that.
    fn add(&mut self, key: BlockInfoKey, value: impl Into<U256>) {
        self.leaves.push((self.paths.path(key), value.into()));
    }
}

/// Data first, then the topics; the address is not part of it.
fn hash_log(log: &Log) -> B256 {
    let mut bytes = log.data.data.to_vec();
    for topic in log.data.topics() {
        bytes.extend_from_slice(topic.as_slice());
    }
    hash_bytes(&bytes)
}

fn word_of(address: Address) -> U256 {
    U256::from_be_slice(address.as_slice())
}
