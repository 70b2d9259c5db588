use alloc::vec::Vec;
use alloy_primitives::Log;
use alloy_rlp::{RlpDecodable, RlpEncodable};

/// What came out of one transaction.
#[derive(Clone, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub struct Receipt {
    /// The transaction succeeded.
    pub success: bool,
    /// Gas used by the transaction.
    pub gas_used: u64,
    /// Gas used by the block up to and with the transaction.
    pub cumulative_gas_used: u64,
    /// Logs as the EVM wrote them. The receipts of some forks show them altered ([`crate::executor::Rules`]).
    pub logs: Vec<Log>,
}
