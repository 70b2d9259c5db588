//! A main node's JSON-RPC: requests, strictly read answers, and a client that follows with nothing else.
//!
//! A [`Request`] writes the body to post and reads the body that comes back. What nodes serve differs: numbers are
//! hexadecimal strings, decimal strings or JSON numbers, lists that are empty may be null, methods may be missing. All
//! forms that are known are taken; anything else is an [`AnswerError`] that names the field.
//!
//! [`Client`] asks for batches and gives out the same [`Item`](super::datastream::Item)s that the data stream's assembler
//! gives: a batch's data says which transactions each block has, its blocks' headers what is said to have come out, and
//! the exit root table which L1 information was brought in (`spec/sync.md` §3.2). As there, whether it is right is for
//! the checker to find out.
//!
//! ```
//! use zk_replica_core::source::main_node::{Answer, Request};
//!
//! let request = Request::BatchNumber;
//! assert_eq!(request.encode(1), r#"{"jsonrpc":"2.0","id":1,"method":"zkevm_batchNumber","params":[]}"#);
//! let answer = request.decode(1, br#"{"jsonrpc":"2.0","id":1,"result":"0x65"}"#);
//! assert_eq!(answer, Ok(Answer::Number(101)));
//! ```

mod batch;
mod client;
mod error;
mod json;
mod request;
mod state;
#[cfg(test)]
mod tests;

pub use batch::{Batch, BlockHead};
pub use client::{Client, ClientError, Config, Event};
pub use error::AnswerError;
pub(super) use json::Value;
pub(super) use request::envelope;
pub use request::{Answer, Request};
pub use state::{ProofOf, StateAnswer, StateRequest};
