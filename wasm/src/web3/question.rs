//! Answers where the state is not at hand.

use super::{FORWARDED, PATIENCE, Web3, milliseconds};
use crate::message;
use alloy_primitives::B256;
use zk_replica_core::{
    rpc::{Asking, Caller, Question, Status},
    store::Cache,
};

/// A body that is on its way to an answer.
pub(super) struct Asked {
    question: Question,
    session: u32,
    seed: B256,
}

impl Web3 {
    /// Works on a body, where the state is not at hand.
    pub(crate) fn question(
        &mut self,
        session: u32,
        body: &str,
        status: &Status,
        store: &Cache,
        now: &dyn Fn() -> f64,
    ) -> message::Reply {
        let asked = Asked { question: self.rpc.question(body.as_bytes()), session, seed: self.seed() };
        self.ask(asked, status, store, now)
    }

    /// Goes on with a body, now that something came for it; `None` when there is no such body.
    pub(crate) fn proved(
        &mut self,
        id: u32,
        answer: Option<&[u8]>,
        status: &Status,
        store: &Cache,
        now: &dyn Fn() -> f64,
    ) -> Option<message::Reply> {
        let mut asked = self.asking.remove(&id)?;
        asked.question.tell(answer, store);
        Some(self.ask(asked, status, store, now))
    }

    fn ask(
        &mut self,
        mut asked: Asked,
        status: &Status,
        store: &Cache,
        now: &dyn Fn() -> f64,
    ) -> message::Reply {
        let (session, seed, begun) = (asked.session, asked.seed, now());
        let stop = || now() - begun > PATIENCE;
        let reply = loop {
            let subscriptions = self.sessions.get(&session).map(|session| &session.subscriptions);
            let caller = Caller {
                now: milliseconds(begun),
                seed,
                live: &self.live,
                subscriptions: subscriptions.map(|one| one as _),
            };
            match self.rpc.ask(&mut asked.question, status, store, Some(&caller), &stop) {
                Asking::Fetch(body) if self.asking.len() < FORWARDED => {
                    let id = self.id();
                    self.asking.insert(id, asked);
                    return message::Reply::Fetch { id, body };
                }
                // Too many wait already.
                Asking::Fetch(_) => asked.question.tell(None, store),
                Asking::Reply(reply) => break reply,
            }
        };
        self.reply(reply, session, seed, now)
    }
}
