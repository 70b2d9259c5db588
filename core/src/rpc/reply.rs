use super::{
    Caller, Error, ErrorObject,
    envelope::{self, Request},
    json::{self, Json},
    objects, params,
};
use crate::{
    tree::global_exit_root,
    types::{EncodedTransaction, TransactionRecord},
};
use alloc::{string::String, vec::Vec};
use alloy_consensus::{TxLegacy, transaction::RlpEcdsaEncodableTx};
use alloy_primitives::{B256, Signature, TxKind, U256};
use serde::Serialize;

/// What is to be done for a request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Send this. It is empty when nobody waits for an answer.
    Answer(String),
    /// Ask the main node first.
    Forward(Forward),
}

/// Requests of which some are for the main node.
#[derive(Clone, Debug)]
pub struct Forward {
    entries: Vec<Entry>,
    batch: bool,
}

/// What came of a method.
pub(super) enum Outcome {
    /// The result, as JSON.
    Value(String),
    Relay(Relay),
}

impl Outcome {
    pub(super) fn of(value: &impl Serialize) -> Result<Self, Error> {
        serde_json::to_string(value).map(Self::Value).map_err(|_| Error::internal())
    }
}

/// What the main node's answer is good for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Relay {
    /// Its word is all there is.
    Word,
    /// The hash of a transaction that it was sent: no other is right.
    Sent { hash: B256 },
    /// A count that is never less than this one, which is known without it.
    Count { verified: U256 },
    /// A transaction that is not verified: what it signs must have this hash.
    Transaction { hash: B256 },
    /// The two roots that a global exit root is the hash of; null only if the verified state has it not either.
    ExitRoots { root: B256, known: bool },
    /// Rows of which each has a global exit root and the two roots that it is the hash of.
    ExitRootTable,
}

/// One request of a body.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    /// Answered.
    Answer(String),
    /// For the main node.
    Relay { id: String, request: String, relay: Relay, backing: Option<String> },
}

impl Entry {
    pub(super) fn relay(request: Request<'_>, relay: Relay) -> Self {
        let mut forwarded = String::from("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":");
        json::write_string(&request.method, &mut forwarded);
        forwarded.push_str(",\"params\":");
        Json::Array(request.params).write(&mut forwarded);
        forwarded.push('}');
        let backing = Relay::provenance(request.wish);
        Self::Relay { id: request.id, request: forwarded, relay, backing }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Answer(answer) => answer.len(),
            Self::Relay { .. } => 0,
        }
    }
}

impl Reply {
    pub(super) fn single(entries: Vec<Entry>) -> Self {
        Self::of(entries, false)
    }

    pub(super) fn batch(entries: Vec<Entry>) -> Self {
        Self::of(entries, true)
    }

    fn of(entries: Vec<Entry>, batch: bool) -> Self {
        let forward = Forward { entries, batch };
        let answered = forward.requests().next().is_none();
        if answered { Self::Answer(forward.finish([])) } else { Self::Forward(forward) }
    }
}

impl Forward {
    /// The requests for the main node, each a body of its own.
    pub fn requests(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().filter_map(|entry| match entry {
            Entry::Relay { request, .. } => Some(request.as_str()),
            Entry::Answer(_) => None,
        })
    }

    /// The answer to the whole body, given what the main node answered to each of [`Forward::requests`], in order; `None`
    /// for what did not arrive.
    ///
    /// Its errors are passed on as they are. Its results are, where that can be, checked.
    pub fn finish(self, answers: impl IntoIterator<Item = Option<Vec<u8>>>) -> String {
        self.finish_with(answers, |_, _| {})
    }

    /// [`Forward::finish`] for a reply of [`Rpc::serve`](super::Rpc::serve): transactions that were refused are forgotten.
    /// `caller` is the one who asked, with the time that it is now.
    pub fn finish_for(
        self,
        answers: impl IntoIterator<Item = Option<Vec<u8>>>,
        caller: &Caller<'_>,
    ) -> String {
        self.finish_with(answers, |relay, answer| {
            if let Relay::Sent { hash } = relay {
                caller.live.with(&mut |live| live.answered(hash, answer, caller.now));
            }
        })
    }

    fn finish_with(
        self,
        answers: impl IntoIterator<Item = Option<Vec<u8>>>,
        note: impl Fn(Relay, Option<&[u8]>),
    ) -> String {
        let mut answers = answers.into_iter();
        let finished = self.entries.into_iter().map(|entry| match entry {
            Entry::Answer(answer) => answer,
            Entry::Relay { id, relay, backing, .. } => {
                let answer = answers.next().flatten();
                note(relay, answer.as_deref());
                let result = relay.result(answer.as_deref());
                let backing = backing.filter(|_| result.is_ok());
                envelope::answer(&id, &result, backing.as_deref())
            }
        });
        let finished: Vec<String> = finished.collect();
        match self.batch && !finished.is_empty() {
            true => alloc::format!("[{}]", finished.join(",")),
            false => finished.concat(),
        }
    }
}

impl Relay {
    /// It sends a transaction.
    pub(super) fn is_transaction(self) -> bool {
        matches!(self, Self::Sent { .. })
    }

    fn result(self, answer: Option<&[u8]>) -> Result<String, Error> {
        let parsed = answer.and_then(|answer| json::parse(answer).ok());
        let Some(answer) = parsed else {
            return self.without_answer();
        };
        if let Some(error) = answer.get("error").filter(|error| **error != Json::Null) {
            return match (self, passed_on(error)) {
                // The verified count is right in any case.
                (Self::Count { .. }, _) | (_, None) => self.without_answer(),
                (_, Some(error)) => Err(error),
            };
        }
        match answer.get("result") {
            Some(result) => self.checked(result).map_or_else(|| self.with_false_answer(), Ok),
            None => self.without_answer(),
        }
    }

    /// What can be said without the main node.
    pub(super) fn without_answer(self) -> Result<String, Error> {
        match self {
            Self::Word | Self::ExitRoots { .. } | Self::ExitRootTable => {
                Err(Error::server("the main node did not answer"))
            }
            Self::Sent { .. } => Err(Error::server("failed to relay tx to the sequencer node")),
            Self::Count { verified } => Ok(alloc::format!("\"{verified:#x}\"")),
            Self::Transaction { .. } => Ok("null".into()),
        }
    }

    /// What can be said when the main node said what cannot be true.
    fn with_false_answer(self) -> Result<String, Error> {
        match self {
            Self::ExitRoots { .. } | Self::ExitRootTable => {
                Err(Error::server("the main node's answer is false"))
            }
            Self::Word | Self::Sent { .. } | Self::Count { .. } | Self::Transaction { .. } => {
                self.without_answer()
            }
        }
    }

    /// The result, if it can be true.
    fn checked(self, result: &Json<'_>) -> Option<String> {
        match self {
            Self::Word => Some(written(result)),
            Self::ExitRoots { known, .. } if *result == Json::Null => (!known).then(|| "null".into()),
            Self::ExitRoots { root, .. } => {
                let combined = combined(result, ["mainnetExitRoot", "rollupExitRoot"])?;
                (combined == root).then(|| written(result))
            }
            Self::ExitRootTable => {
                let Json::Array(rows) = result else {
                    return (*result == Json::Null).then(|| "null".into());
                };
                let holds = |row: &Json<'_>| {
                    let combined = combined(row, ["mainnet_exit_root", "rollup_exit_root"]);
                    combined.is_some() && combined == row.get("ger").and_then(|root| params::hash(root).ok())
                };
                rows.iter().all(holds).then(|| written(result))
            }
            Self::Sent { hash } => (params::hash(result) == Ok(hash)).then(|| alloc::format!("\"{hash}\"")),
            Self::Count { verified } => {
                let count = params::quantity(result).ok()?.max(verified);
                Some(alloc::format!("\"{count:#x}\""))
            }
            Self::Transaction { hash } => {
                let record = transaction(result, hash)?;
                serde_json::to_string(&objects::pending_object(&record).ok()?).ok()
            }
        }
    }
}

fn written(value: &Json<'_>) -> String {
    let mut text = String::new();
    value.write(&mut text);
    text
}

/// The global exit root of the mainnet's and the rollups' roots, which are the members with these names.
fn combined(object: &Json<'_>, [mainnet, rollups]: [&str; 2]) -> Option<B256> {
    let root = |name| params::hash(object.get(name)?).ok();
    Some(global_exit_root(root(mainnet)?, root(rollups)?))
}

/// What became of a transaction that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// The main node has it.
    Accepted,
    /// The main node does not want it.
    Refused,
    /// It may have arrived or not.
    Unknown,
}

impl Sent {
    /// Reads the main node's answer to the transaction with this hash.
    pub(super) fn read(hash: B256, answer: Option<&[u8]>) -> Self {
        let Some(answer) = answer.and_then(|answer| json::parse(answer).ok()) else {
            return Self::Unknown;
        };
        match answer.get("error").filter(|error| **error != Json::Null).map(passed_on) {
            Some(Some(error)) => {
                let known = ["already known", "ALREADY_EXISTS"];
                let known = known.iter().any(|text| error.message.contains(text));
                if known { Self::Accepted } else { Self::Refused }
            }
            Some(None) => Self::Unknown,
            None => match answer.get("result").map(params::hash) {
                Some(Ok(found)) if found == hash => Self::Accepted,
                _ => Self::Unknown,
            },
        }
    }
}

/// An error of the main node, with its code, text and data.
fn passed_on(error: &Json<'_>) -> Option<Error> {
    let (Json::Number(code), message) = (error.get("code")?, params::string(error.get("message")?).ok()?)
    else {
        return None;
    };
    let data = error.get("data").map(written);
    Some(ErrorObject { code: code.parse().ok()?, message: message.into(), data }.into())
}

/// The signed transaction that a transaction object stands for, if it has this hash and somebody signed it.
fn transaction(object: &Json<'_>, hash: B256) -> Option<TransactionRecord> {
    let quantity = |name| params::quantity(object.get(name)?).ok();
    let to = match object.get("to") {
        None | Some(Json::Null) => TxKind::Create,
        Some(to) => TxKind::Call(params::address(to).ok()?),
    };
    let v: u64 = quantity("v")?.try_into().ok()?;
    let (chain_id, parity) = match v {
        27 | 28 => (None, v == 28),
        v => (Some(v.checked_sub(35)? / 2), v % 2 == 0),
    };
    let fields = TxLegacy {
        chain_id,
        nonce: quantity("nonce")?.try_into().ok()?,
        gas_price: quantity("gasPrice")?.try_into().ok()?,
        gas_limit: quantity("gas")?.try_into().ok()?,
        to,
        value: quantity("value")?,
        input: params::data(object.get("input")?).ok()?,
    };
    let signature = Signature::new(quantity("r")?, quantity("s")?, parity);
    let mut encoded = Vec::new();
    fields.rlp_encode_signed(&signature, &mut encoded);
    let effective_percentage = u8::MAX;
    let recovered = EncodedTransaction { encoded: encoded.into(), effective_percentage }.recover().ok()?;
    (recovered.hash() == hash).then(|| TransactionRecord {
        encoded: recovered.encoded().clone(),
        sender: recovered.sender(),
        effective_percentage,
    })
}
