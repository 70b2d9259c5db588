use alloy_primitives::Bytes;

/// A transaction as the main node sent it: nothing in it has been looked at yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedTransaction {
    /// Signed transaction in Ethereum's RLP (not the encoding of batch data).
    pub encoded: Bytes,
    /// Share of the signed gas price that is charged: `(n + 1) / 256` of it.
    pub effective_percentage: u8,
}
