use alloc::{borrow::Cow, vec::Vec};
use alloy_consensus::proofs::ordered_trie_root_with_encoder;
use alloy_primitives::{B256, Bloom, Log};
use alloy_rlp::{Encodable, RlpDecodable, RlpEncodable};

/// What came out of one transaction.
#[derive(Clone, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub struct Receipt {
    /// The transaction succeeded.
    pub success: bool,
    /// Gas used by the transaction.
    pub gas_used: u64,
    /// Gas used by the block up to and with the transaction.
    pub cumulative_gas_used: u64,
    /// Logs as the EVM wrote them. Receipts of some forks show them altered ([`super::Rules`]).
    pub logs: Vec<Log>,
}

/// A receipt as the header's receipts root commits to it. The bloom is always zero, the header's own is not
/// (`spec/execution.md` §7.2).
#[derive(RlpEncodable)]
struct CommittedReceipt<'a> {
    success: bool,
    cumulative_gas_used: u64,
    bloom: Bloom,
    logs: &'a [Cow<'a, Log>],
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
