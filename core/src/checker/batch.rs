use super::{At, Checker, Claim, Mismatch, Verdict, VerifiedVirtualBatch};
use crate::{
    executor::{BatchError, BatchExecution, Rules},
    store::Store,
    tree::{AppendTree, L1InfoLeaf},
    types::{BatchClaims, BatchInput, L1Info},
};
use alloy_primitives::B256;

impl Checker {
    /// Executes batch `number` as L1 has it on the state before it, and compares what is said to come out.
    ///
    /// `rules` are those of the batch's fork, as they are or altered for a simulation.
    ///
    /// # Errors
    ///
    /// [`BatchError`] when something that the batch needs is not at hand; it says nothing about the claims.
    pub fn check_batch(
        &mut self,
        number: u64,
        rules: &Rules,
        batch: &BatchInput,
        claims: &BatchClaims,
        state_root: B256,
        store: &dyn Store,
    ) -> Result<Verdict<VerifiedVirtualBatch>, BatchError> {
        if let Err(mismatch) = check_l1_info(number, batch) {
            return Ok(Verdict::Mismatch(mismatch));
        }
        let execution = self.executor.execute_batch(batch, rules, self.spec.chain_id, state_root, store)?;
        Ok(match compare(number, claims, &execution) {
            Ok(()) => Verdict::Verified(VerifiedVirtualBatch { execution }),
            Err(mismatch) => Verdict::Mismatch(mismatch),
        })
    }
}

/// No batch can be proved whose leaves are not in the tree that it commits to.
fn check_l1_info(number: u64, batch: &BatchInput) -> Result<(), Mismatch> {
    let at = At { batch: number, block: 0 };
    for (index, siblings) in &batch.l1_info_proofs {
        let Some(leaf) = batch.l1_info.get(index) else {
            continue;
        };
        let root = AppendTree::root_of_proof(leaf_hash(leaf), *index, siblings);
        at.compare(Claim::L1InfoLeaf, batch.l1_root, root)?;
    }
    Ok(())
}

/// A leaf of zeros is a place without a leaf.
fn leaf_hash(leaf: &L1Info) -> B256 {
    let &L1Info { global_exit_root, block_hash: parent_hash, min_timestamp: timestamp, .. } = leaf;
    if global_exit_root.is_zero() && parent_hash.is_zero() && timestamp == 0 {
        return B256::ZERO;
    }
    L1InfoLeaf { global_exit_root, parent_hash, timestamp }.hash()
}

fn compare(number: u64, claims: &BatchClaims, execution: &BatchExecution) -> Result<(), Mismatch> {
    let at = At { batch: number, block: execution.last_block };
    at.compare(Claim::BatchStateRoot, claims.state_root, execution.state_root)?;
    at.compare(Claim::LocalExitRoot, claims.local_exit_root, execution.local_exit_root)?;
    match claims.acc_input_hash {
        Some(claimed) => at.compare(Claim::AccInputHash, claimed, execution.acc_input_hash),
        None => Ok(()),
    }
}
