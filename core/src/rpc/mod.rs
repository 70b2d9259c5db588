//! The Web3 API: request bytes in, answer bytes out (`spec/rpc.md`). Servers and browsers are hosts of the same dispatcher.
//!
//! [`Rpc::handle`] answers from verified blocks alone. The few questions that only the main node can answer come back as
//! [`Reply::Forward`]: the host asks, and [`Forward::finish`] makes one answer of all.
//!
//! Nothing here depends on who asks: limits by connection, time and rate are the host's. What a request can cost is bounded
//! by [`Limits`].
//!
//! [`Rpc::serve`] is the same for a host that remembers: filters, subscriptions, and transactions that were sent through it
//! live in [`Live`] and [`Subscriptions`] ([`live`] has an example).
//!
//! A request may ask what backs its answer, and refuse less than it wants: a member `zkReplica` beside `params`
//! (`docs/trust-model.md`).
//!
//! # Example
//!
//! ```
//! use zk_replica_core::{
//!     chain::ChainSpec,
//!     rpc::{Config, Reply, Rpc, Status},
//!     store::Memory,
//! };
//!
//! let rpc = Rpc::new(ChainSpec::from_json(br#"{ "chainId": 779 }"#)?, Config::default());
//! let request = br#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#;
//! let Reply::Answer(answer) = rpc.handle(request, &Status::default(), &Memory::new()) else { unreachable!() };
//! assert_eq!(answer, r#"{"jsonrpc":"2.0","id":1,"result":"0x30b"}"#);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod blocks;
mod calls;
mod dispatch;
mod envelope;
mod error;
mod fees;
mod json;
pub mod live;
mod logs;
mod objects;
mod params;
mod proof;
mod provenance;
#[cfg(feature = "light")]
mod question;
mod records;
mod reply;
mod room;
mod send;
mod state;
#[cfg(test)]
mod tests;
#[cfg(feature = "trace")]
mod trace;
mod view;
mod wants;
mod witness;
mod zkevm;

pub use error::{Error, ErrorObject};
pub use live::{Caller, Lagged, Live, LiveLimits, Resend, Shared, Subscriptions};
#[cfg(feature = "light")]
pub use question::{Asking, Question};
pub use reply::{Forward, Reply};

use crate::{chain::ChainSpec, store::Store, types::Frontier};
use alloc::{string::String, vec::Vec};
use alloy_primitives::Address;
use envelope::{Call, Message};
use reply::{Entry, Outcome};
use view::View;

/// The API of one chain.
#[derive(Clone, Debug)]
pub struct Rpc {
    spec: ChainSpec,
    config: Config,
}

/// What the operator decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The answer to `web3_clientVersion`: name, version, target, compiler.
    pub client_version: String,
    /// Transactions are sent to the main node; nothing else is asked of it.
    pub strict: bool,
    /// The rollup contract on L1, if it is known.
    pub rollup: Option<Address>,
    /// The rollup manager on L1, if it is known.
    pub rollup_manager: Option<Address>,
    /// What a request may cost.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        let client_version = concat!("zk-replica/v", env!("CARGO_PKG_VERSION"));
        Self {
            client_version: client_version.into(),
            strict: false,
            rollup: None,
            rollup_manager: None,
            limits: Limits::default(),
        }
    }
}

/// What a request may cost (`spec/rpc.md` §9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request.
    pub request: usize,
    /// Requests in a batch.
    pub batch: usize,
    /// Bytes of an answer, of a whole batch too.
    pub response: usize,
    /// Blocks that `eth_getLogs` looks at.
    pub log_blocks: u64,
    /// Logs that `eth_getLogs` returns.
    pub log_results: usize,
    /// Gas of `eth_call`, and of each run of `eth_estimateGas`.
    pub call_gas: u64,
    /// Bytes that `eth_call` returns.
    pub return_data: usize,
    /// Blocks that `eth_feeHistory` looks at.
    pub fee_history: u64,
    /// Blocks that `zkevm_getNativeBlockHashesInRange` looks at.
    pub native_hashes: u64,
    /// Blocks that `zkevm_getBlockRangeWitness` and `zkevm_getBatchWitness` execute again.
    pub witness_blocks: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request: 5 << 20,
            batch: 100,
            response: 25 << 20,
            log_blocks: 10_000,
            log_results: 10_000,
            call_gas: 50_000_000,
            return_data: 2 << 20,
            fee_history: 1024,
            native_hashes: 60_000,
            witness_blocks: 1000,
        }
    }
}

/// What the host knows beside the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The main node's last block; `None` when it is not known.
    pub highest_block: Option<u64>,
    /// The chain is not extended any more: the main node is wrong.
    pub halted: bool,
    /// The first block that is known as a whole: of those before it no more than the header is. 0 for all.
    pub first_block: u64,
    /// How far batches are known to be sequenced on L1; `None` when nothing was checked there.
    pub safe: Option<Frontier>,
    /// How far batches are known to be proved on L1; `None` when nothing was checked there.
    pub finalized: Option<Frontier>,
}

impl Rpc {
    /// The API of the chain that `spec` describes.
    pub fn new(spec: ChainSpec, config: Config) -> Self {
        Self { spec, config }
    }

    /// Answers the body of a request, a single one or a batch. All of a batch sees the same head.
    ///
    /// Nothing is kept and nothing is written, so it may be asked again. What needs to be remembered (filters, subscriptions,
    /// the transactions that wait) does not exist here: see [`Rpc::serve`].
    pub fn handle(&self, request: &[u8], status: &Status, store: &dyn Store) -> Reply {
        self.respond(request, status, store, None, &|| false)
    }

    /// [`Rpc::handle`] with a bound on time, which only the host can measure.
    ///
    /// `stop` is asked about every few dozen blocks or thousand jumps of a contract. Once it is true, what is being
    /// worked on is answered with the error -32000 "execution aborted (timeout)"; it should stay true for the rest of
    /// a batch.
    pub fn handle_until(
        &self,
        request: &[u8],
        status: &Status,
        store: &dyn Store,
        stop: &dyn Fn() -> bool,
    ) -> Reply {
        self.respond(request, status, store, None, stop)
    }

    /// [`Rpc::handle_until`] for a host that remembers. Its [`Forward`] is finished by [`Forward::finish_for`].
    pub fn serve(
        &self,
        request: &[u8],
        status: &Status,
        store: &dyn Store,
        caller: &Caller<'_>,
        stop: &dyn Fn() -> bool,
    ) -> Reply {
        self.respond(request, status, store, Some(caller), stop)
    }

    fn respond(
        &self,
        request: &[u8],
        status: &Status,
        store: &dyn Store,
        caller: Option<&Caller<'_>>,
        stop: &dyn Fn() -> bool,
    ) -> Reply {
        let limits = &self.config.limits;
        if request.len() > limits.request {
            let error = Error::new(Error::INVALID_REQUEST, "request too large");
            return Reply::Answer(envelope::refusal(error));
        }
        let message = match envelope::read(request, limits.batch) {
            Ok(message) => message,
            Err(error) => return Reply::Answer(envelope::refusal(error)),
        };
        let view = match View::new(self, status, store, caller, stop) {
            Ok(view) => view,
            Err(error) => return Reply::Answer(envelope::refusal(error.into())),
        };
        match message {
            Message::Single(call) => {
                let entries = entry(&view, call, limits.response).into_iter().collect();
                Reply::single(entries)
            }
            Message::Batch(calls) => {
                let (mut entries, mut room) = (Vec::new(), limits.response);
                for call in calls {
                    if let Some(entry) = entry(&view, call, room) {
                        room = room.saturating_sub(entry.len());
                        entries.push(entry);
                    }
                }
                Reply::batch(entries)
            }
        }
    }
}

/// What comes of one request; nothing of a notification.
fn entry(view: &View<'_>, call: Call<'_>, room: usize) -> Option<Entry> {
    let request = match call {
        Call::Notification => return None,
        Call::Invalid { id, error } => return Some(Entry::Answer(envelope::answer(&id, &Err(error), None))),
        Call::Request(request) => request,
    };
    let (outcome, backing) = view.answer_backed(&request, room);
    let result = match outcome {
        Ok(Outcome::Relay(relay)) if view.rpc.config.strict && !relay.is_transaction() => {
            relay.without_answer()
        }
        Ok(Outcome::Relay(relay)) => return Some(Entry::relay(request, relay)),
        Ok(Outcome::Value(value)) if value.len() > room => Err(Error::too_large()),
        Ok(Outcome::Value(value)) => Ok(value),
        Err(error) => Err(error),
    };
    // An error is what comes out only if a call reverts.
    let backing =
        backing.filter(|_| result.as_ref().map_or_else(|error| error.code == Error::REVERTED, |_| true));
    Some(Entry::Answer(envelope::answer(&request.id, &result, backing.as_deref())))
}
