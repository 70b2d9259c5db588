use super::{At, Checker, Claim, Verdict};
use crate::{
    executor::State,
    store::{Store, StoreError, need_block},
    types::{BlockRecord, ConsolidatedBatch, Head},
};

impl Checker {
    /// Compares what was proved on L1 with our own state after that batch (`spec/sync.md` §4.9). The verdict has the last
    /// block up to the end of the batch; nothing can change it any more.
    ///
    /// `None` when it cannot be compared: our chain has not come to the end of the batch, or the block behind the batch was
    /// made under the rules of a fork before 7, where an exit root may change the state between two blocks.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when a block or its state is not at hand.
    pub fn check_consolidated(
        &mut self,
        posted: &ConsolidatedBatch,
        head: &Head,
        store: &dyn Store,
    ) -> Result<Option<Verdict<u64>>, StoreError> {
        let ended = posted.number < head.batch || (posted.number == head.batch && head.batch_closed);
        if !ended {
            return Ok(None);
        }
        let last = last_block_up_to(posted.number, head, store)?;
        let at = At { batch: posted.number, block: last.header.number };
        let root = last.header.state_root;
        let mut compared = at.compare(Claim::ConsolidatedStateRoot, posted.state_root, root);
        if compared.is_err() && last.block_info_root.is_zero() && posted.number > 0 {
            return Ok(None);
        }
        if compared.is_ok() {
            let local_exit_root = State::at(store, root, self.executor.paths()).local_exit_root()?;
            compared = at.compare(Claim::ConsolidatedExitRoot, posted.local_exit_root, local_exit_root);
        }
        Ok(Some(match compared {
            Ok(()) => Verdict::Verified(at.block),
            Err(mismatch) => Verdict::Mismatch(mismatch),
        }))
    }
}

/// The last block whose batch is this one or before: block numbers and batch numbers grow together.
fn last_block_up_to(batch: u64, head: &Head, store: &dyn Store) -> Result<BlockRecord, StoreError> {
    let (mut low, mut high) = (0, head.number);
    while low < high {
        let middle = high - (high - low) / 2;
        if need_block(store, middle)?.batch <= batch {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    need_block(store, low)
}
