use super::{ReceiptOutcome, Rules};
use crate::types::Receipt;
use alloc::{borrow::Cow, vec::Vec};
use alloy_consensus::proofs::ordered_trie_root_with_encoder;
use alloy_primitives::{B256, Bloom, Bytes, Log};
use alloy_rlp::{BufMut, Encodable, RlpEncodable};

/// A receipt as the header's receipts root commits to it. The bloom is always zero, the header's own is not
/// (`spec/execution.md` §7.2).
#[derive(RlpEncodable)]
struct CommittedReceipt<'a, O: Encodable> {
    outcome: O,
    gas_used: u64,
    bloom: Bloom,
    logs: &'a Vec<Cow<'a, Log>>,
}

impl Rules {
    /// The receipts of a block, each in the bytes that its header commits to: without blooms. `state_root` is that after
    /// the block. `None` in forks whose receipts hold a state root that no block keeps.
    pub fn encoded_receipts(&self, receipts: &[Receipt], state_root: B256) -> Option<Vec<Bytes>> {
        let roots = match self.receipt_outcome {
            ReceiptOutcome::Status => Vec::new(),
            ReceiptOutcome::BlockStateRoot => Vec::from([state_root]),
            ReceiptOutcome::TransactionStateRoot => return None,
        };
        let encoded = receipts.iter().enumerate().map(|(index, receipt)| {
            let mut out = Vec::new();
            encode(self, receipt, &self.receipt_logs(&receipt.logs), roots.get(index), &mut out);
            out.into()
        });
        Some(encoded.collect())
    }
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
        encode(rules, &receipts[*index], &logs[*index], state_roots.get(*index), out);
    })
}

fn encode(
    rules: &Rules,
    receipt: &Receipt,
    logs: &Vec<Cow<'_, Log>>,
    state_root: Option<&B256>,
    out: &mut dyn BufMut,
) {
    let &Receipt { success, gas_used, cumulative_gas_used, .. } = receipt;
    let bloom = Bloom::ZERO;
    match rules.receipt_outcome {
        ReceiptOutcome::Status => {
            CommittedReceipt { outcome: success, gas_used: cumulative_gas_used, bloom, logs }.encode(out);
        }
        ReceiptOutcome::TransactionStateRoot | ReceiptOutcome::BlockStateRoot => {
            let outcome = state_root.copied().unwrap_or_default();
            CommittedReceipt { outcome, gas_used, bloom, logs }.encode(out);
        }
    }
}
