use super::{ReceiptOutcome, Rules};
use crate::types::Receipt;
use alloc::{borrow::Cow, vec::Vec};
use alloy_consensus::proofs::ordered_trie_root_with_encoder;
use alloy_primitives::{B256, Bloom, Log};
use alloy_rlp::{Encodable, RlpEncodable};

/// A receipt as the header's receipts root commits to it. The bloom is always zero, the header's own is not
/// (`spec/execution.md` §7.2).
#[derive(RlpEncodable)]
struct CommittedReceipt<'a, O: Encodable> {
    outcome: O,
    gas_used: u64,
    bloom: Bloom,
    logs: &'a Vec<Cow<'a, Log>>,
}

/// Root of the receipts' trie, given each receipt's logs as the fork shows them, and the state root behind each
/// transaction where the fork's receipts hold one.
pub(super) fn receipts_root(
    rules: &Rules,
    receipts: &[Receipt],
    logs: &[Vec<Cow<'_, Log>>],
    state_roots: &[B256],
) -> B256 {
    let indices: Vec<_> = (0..receipts.len()).collect();
    ordered_trie_root_with_encoder(&indices, |index, out| {
        let (receipt, logs) = (&receipts[*index], &logs[*index]);
        let &Receipt { success, gas_used, cumulative_gas_used, .. } = receipt;
        let bloom = Bloom::ZERO;
        match rules.receipt_outcome {
            ReceiptOutcome::Status => {
                CommittedReceipt { outcome: success, gas_used: cumulative_gas_used, bloom, logs }.encode(out);
            }
            ReceiptOutcome::TransactionStateRoot | ReceiptOutcome::BlockStateRoot => {
                let outcome = state_roots.get(*index).copied().unwrap_or_default();
                CommittedReceipt { outcome, gas_used, bloom, logs }.encode(out);
            }
        }
    })
}
