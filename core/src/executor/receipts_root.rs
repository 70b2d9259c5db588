use crate::types::Receipt;
use alloc::{borrow::Cow, vec::Vec};
use alloy_consensus::proofs::ordered_trie_root_with_encoder;
use alloy_primitives::{B256, Bloom, Log};
use alloy_rlp::{Encodable, RlpEncodable};

/// A receipt as the header's receipts root commits to it. The bloom is always zero, the header's own is not
/// (`spec/execution.md` §7.2).
#[derive(RlpEncodable)]
struct CommittedReceipt<'a> {
    success: bool,
    cumulative_gas_used: u64,
    bloom: Bloom,
    logs: &'a Vec<Cow<'a, Log>>,
}

/// Root of the receipts' trie, given each receipt's logs as the fork shows them.
pub(super) fn receipts_root(receipts: &[Receipt], logs: &[Vec<Cow<'_, Log>>]) -> B256 {
    let pairs: Vec<_> = receipts.iter().zip(logs).collect();
    ordered_trie_root_with_encoder(&pairs, |(receipt, logs), out| {
        CommittedReceipt {
            success: receipt.success,
            cumulative_gas_used: receipt.cumulative_gas_used,
            bloom: Bloom::ZERO,
            logs,
        }
        .encode(out);
    })
}
