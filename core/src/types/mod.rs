//! Plain data: what the main node sends, split by how far it is to be trusted.
//!
//! A [`Block`] is [`BlockInput`] (what execution needs) plus [`BlockClaims`] (what the main node says came out). The
//! executor is only ever given the input; the checker compares the claims.

mod batch;
mod block;
mod l1;
mod receipt;
mod transaction;

pub use batch::{
    BatchClaims, BatchEncoding, BatchEnd, BatchInput, BatchKind, BatchPart, BatchStart, UpdateGer,
};
pub use block::{
    Block, BlockClaims, BlockInput, BlockRecord, Head, L1Info, Totals, TransactionPlace, TransactionRecord,
};
pub use l1::{ConsolidatedBatch, Frontier};
pub use receipt::Receipt;
pub(crate) use transaction::signer;
pub use transaction::{EncodedTransaction, Transaction, TransactionError};
