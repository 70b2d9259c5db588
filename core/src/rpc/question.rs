//! Answers on a state that is not at hand: what is missing is asked of somebody, proved, and kept.

use super::{
    Caller, Error, Reply, Rpc, Status,
    envelope::{self, Call, Message},
    json::{self, Json},
    reply::Entry,
    view::View,
    wants::{StateAt, Wants},
};
use crate::{
    source::main_node::{ProofOf, StateAnswer, StateRequest},
    store::{Cache, Key},
    tree::{Proof, StateKey, hash_bytes},
};
use alloc::{
    collections::BTreeSet,
    format,
    string::{String, ToString},
    vec::Vec,
};
use alloy_primitives::{Address, U256};

/// How often somebody is asked for what one body needs. Each time brings at least what stopped it the last time; only a
/// call that meets many contracts which nobody foresees needs more than three.
const MAX_ROUNDS: u32 = 32;

/// Requests in one body: main nodes limit batches.
const MAX_REQUESTS: usize = 64;

/// Bytes of an answer. The proofs of all slots of a body have fewer.
const MAX_ANSWER: usize = 8 << 20;

/// Slots in one request.
const MAX_SLOTS: usize = 256;

/// The body of a request, on its way to an answer over [`Rpc::ask`].
///
/// Each time it gives [`Asking::Fetch`], the host posts that body to whoever has the state and [`tells`](Self::tell) what
/// came back. Whoever that is need not be trusted: a part of the state that does not prove itself is not taken, and what
/// is not to be had makes an error, never a zero.
#[derive(Debug)]
pub struct Question {
    slots: Vec<Slot>,
    batch: bool,
    /// What the last body asked for.
    asked: Vec<(StateAt, StateRequest)>,
    /// What is likely to be needed too.
    hints: Wants,
    /// Calls that were looked up.
    foreseen: BTreeSet<String>,
    rounds: u32,
    /// Why no more is to be had.
    trouble: Option<String>,
}

/// One request of the body.
#[derive(Debug)]
enum Slot {
    Open(String),
    /// Nothing for a notification.
    Done(Option<Entry>),
}

/// What is to be done for a [`Question`].
#[derive(Clone, Debug)]
pub enum Asking {
    /// Post this body, and tell the question what came back.
    Fetch(String),
    /// All is known.
    Reply(Reply),
}

impl Question {
    /// How many bodies were fetched so far.
    pub fn rounds(&self) -> u32 {
        self.rounds
    }

    /// What came back for the last body; `None` if nothing did. What it proves is put into `store`. More than 8 MiB are
    /// not looked at.
    pub fn tell(&mut self, answer: Option<&[u8]>, store: &Cache) {
        let asked = core::mem::take(&mut self.asked);
        let Some(answer) = answer else {
            self.trouble = Some("the main node does not answer".into());
            return;
        };
        if answer.len() > MAX_ANSWER {
            self.trouble = Some(format!("its answer has {} bytes", answer.len()));
            return;
        }
        let (places, requests): (Vec<StateAt>, Vec<StateRequest>) = asked.into_iter().unzip();
        let answers = match StateRequest::decode(&requests, answer) {
            Ok(answers) => answers,
            Err(error) => {
                self.trouble = Some(error.to_string());
                return;
            }
        };
        for ((at, request), answer) in places.into_iter().zip(requests).zip(answers) {
            // A hint may fail.
            let required = !matches!(request, StateRequest::AccessList { .. });
            let taken = answer
                .map_err(|error| error.to_string())
                .and_then(|answer| self.take(at, &request, answer, store));
            if let (Err(reason), true) = (taken, required) {
                self.trouble.get_or_insert(reason);
            }
        }
    }

    fn take(
        &mut self,
        at: StateAt,
        request: &StateRequest,
        answer: StateAnswer,
        store: &Cache,
    ) -> Result<(), String> {
        match (request, answer) {
            (StateRequest::Proof { address, .. }, StateAnswer::Proofs(proofs)) => {
                for (of, elements) in proofs {
                    let key = leaf(*address, of);
                    let reason =
                        |error| format!("its proof of the {key} after block {} is false: {error}", at.number);
                    let proof = Proof::decode(&elements).map_err(reason)?;
                    proof.verify(at.root, &key.path()).map_err(reason)?;
                    proof.records().for_each(|(key, record)| store.insert(key, record));
                }
                Ok(())
            }
            (StateRequest::Code { .. }, StateAnswer::Code(code)) => {
                // Whether it is the right one shows by its hash when it is looked for.
                if !code.is_empty() {
                    store.insert(Key::Code(hash_bytes(&code)), code);
                }
                Ok(())
            }
            (StateRequest::AccessList { .. }, StateAnswer::AccessList(list)) => {
                for (address, slots) in list {
                    self.hints.account(at, address).extend(slots);
                    self.hints.codes.insert((at, address));
                }
                Ok(())
            }
            // The answer's kind follows from the request.
            _ => Ok(()),
        }
    }

    /// The requests for what is wanted, as many as go into one body.
    fn requests(&mut self, wants: Wants) -> Vec<(StateAt, StateRequest)> {
        let mut requests = Vec::new();
        for (at, call) in wants.calls {
            if self.foreseen.insert(call.clone()) {
                requests.push((at, StateRequest::AccessList { call, block: at.number }));
            }
        }
        for ((at, address), slots) in wants.accounts {
            let slots: Vec<U256> = slots.into_iter().collect();
            let mut parts: Vec<&[U256]> = slots.chunks(MAX_SLOTS).collect();
            if parts.is_empty() {
                parts.push(&[]);
            }
            requests.extend(
                parts.into_iter().map(|slots| {
                    (at, StateRequest::Proof { address, slots: slots.to_vec(), block: at.number })
                }),
            );
        }
        let codes = wants.codes.into_iter();
        requests.extend(codes.map(|(at, address)| (at, StateRequest::Code { address, block: at.number })));
        requests.truncate(MAX_REQUESTS);
        requests
    }
}

fn leaf(address: Address, of: ProofOf) -> StateKey {
    match of {
        ProofOf::Balance => StateKey::Balance(address),
        ProofOf::Nonce => StateKey::Nonce(address),
        ProofOf::CodeHash => StateKey::CodeHash(address),
        ProofOf::CodeLength => StateKey::CodeLength(address),
        ProofOf::Slot(slot) => StateKey::Storage(address, slot),
    }
}

impl Rpc {
    /// Begins to answer the body of a request on a store that does not hold the state.
    pub fn question(&self, request: &[u8]) -> Question {
        let (slots, batch) = self.split(request).unwrap_or_else(|error| {
            (alloc::vec![Slot::Done(Some(Entry::Answer(envelope::refusal(error))))], false)
        });
        Question {
            slots,
            batch,
            asked: Vec::new(),
            hints: Wants::default(),
            foreseen: BTreeSet::new(),
            rounds: 0,
            trouble: None,
        }
    }

    fn split(&self, request: &[u8]) -> Result<(Vec<Slot>, bool), Error> {
        let limits = &self.config.limits;
        if request.len() > limits.request {
            return Err(Error::new(Error::INVALID_REQUEST, "request too large"));
        }
        let whole = |item: &Json<'_>| {
            let mut text = String::new();
            item.write(&mut text);
            Slot::Open(text)
        };
        // What is no body at all is refused there.
        let batch = matches!(envelope::read(request, limits.batch)?, Message::Batch(_));
        match json::parse(request).map_err(|_| Error::new(Error::PARSE, "parse error"))? {
            Json::Array(items) => Ok((items.iter().map(whole).collect(), batch)),
            item => Ok((alloc::vec![whole(&item)], batch)),
        }
    }

    /// Answers a question from what `store` has, as [`Rpc::serve`] does, or says what to fetch for it.
    pub fn ask(
        &self,
        question: &mut Question,
        status: &Status,
        store: &Cache,
        caller: Option<&Caller<'_>>,
        stop: &dyn Fn() -> bool,
    ) -> Asking {
        store.settle();
        loop {
            let mut wants = Wants::default();
            let mut room = self.config.limits.response;
            for slot in &mut question.slots {
                if let Slot::Open(call) = slot {
                    let view = match View::new(self, status, store, caller, stop) {
                        Ok(view) => view,
                        Err(error) => return Asking::Reply(Reply::Answer(envelope::refusal(error.into()))),
                    };
                    let (entry, lacks) = attempt(&view, call, room, question.trouble.as_deref());
                    wants.add(lacks);
                    if let Some(entry) = entry {
                        *slot = Slot::Done(entry);
                    }
                }
                if let Slot::Done(Some(entry)) = slot {
                    room = room.saturating_sub(entry.len());
                }
            }
            if wants.is_empty() {
                return Asking::Reply(question.reply());
            }
            if question.rounds == MAX_ROUNDS {
                question.trouble = Some(format!("it was asked {MAX_ROUNDS} times"));
                continue;
            }
            question.rounds += 1;
            wants.add(core::mem::take(&mut question.hints));
            question.asked = question.requests(wants);
            let requests: Vec<StateRequest> =
                question.asked.iter().map(|(_, request)| request.clone()).collect();
            return Asking::Fetch(StateRequest::encode(&requests));
        }
    }
}

impl Question {
    fn reply(&mut self) -> Reply {
        let entries = self.slots.drain(..).filter_map(|slot| match slot {
            Slot::Done(entry) => entry,
            Slot::Open(_) => None,
        });
        let entries = entries.collect();
        if self.batch { Reply::batch(entries) } else { Reply::single(entries) }
    }
}

/// Answers one request, or says what is missing. With trouble there is an answer in any case.
fn attempt(
    view: &View<'_>,
    call: &str,
    room: usize,
    trouble: Option<&str>,
) -> (Option<Option<Entry>>, Wants) {
    let call = match envelope::read(call.as_bytes(), 1) {
        Ok(Message::Single(call)) => call,
        Ok(Message::Batch(_)) => Call::Invalid { id: "null".into(), error: Error::internal() },
        Err(error) => Call::Invalid { id: "null".into(), error },
    };
    let id = match &call {
        Call::Request(request) => request.id.clone(),
        _ => String::new(),
    };
    let entry = super::entry(view, call, room);
    let wants = view.take_wants();
    match (wants.first(), trouble) {
        (None, _) => (Some(entry), wants),
        (Some(_), None) => (None, wants),
        (Some(at), Some(reason)) => {
            let error = Error::unavailable(at.number, reason);
            (Some(Some(Entry::Answer(envelope::answer(&id, &Err(error))))), Wants::default())
        }
    }
}
