use super::{At, Checker, Claim, Mismatch, Verdict, VerifiedVirtualBatch};
use crate::{
    executor::{BatchError, BatchExecution, Rules},
    store::Store,
    types::{BatchClaims, BatchInput},
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
    pub fn check_batch<S: Store>(
        &mut self,
        number: u64,
        rules: &Rules,
        batch: &BatchInput,
        claims: &BatchClaims,
        state_root: B256,
        store: &S,
    ) -> Result<Verdict<VerifiedVirtualBatch>, BatchError> {
        let execution = self.executor.execute_batch(batch, rules, self.spec.chain_id, state_root, store)?;
        Ok(match compare(number, claims, &execution) {
            Ok(()) => Verdict::Verified(VerifiedVirtualBatch { execution }),
            Err(mismatch) => Verdict::Mismatch(mismatch),
        })
    }
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
