//! The replica that does not hold the state, from a checkpoint on: the core's [`Light`], and the API on it.

use crate::{
    machine::Machine,
    message::{self, Ask, Next, Report},
    web3::Web3,
};
use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use alloy_primitives::{B256, map::HashSet};
use serde::de::IgnoredAny;
use zk_replica_core::{
    chain::{ChainSpec, ChainSpecError},
    checkpoint::{Checkpoint, NoCheckpoint},
    evidence::{Evidence, EvidenceError},
    light::{Config, Event, Light, Trouble},
    rpc,
};

/// Bytes of an answer, as many as the script reads.
const ANSWER: usize = 25 << 20;

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenLightError {
    #[error("chain: {0}")]
    Chain(#[from] ChainSpecError),
    #[error("checkpoint: {0}")]
    Checkpoint(#[from] NoCheckpoint),
}

pub(crate) struct LightCore {
    spec: ChainSpec,
    light: Light,
    web3: Web3,
    /// What the main node was asked in this conversation, and has not answered yet.
    asked: HashSet<u64>,
    /// There is no conversation.
    down: bool,
    /// Why the last answer did not come.
    silence: Option<String>,
    events: Vec<message::Event>,
    highest: Option<u64>,
    halted: Option<message::Mismatch>,
    evidence: Option<Evidence>,
}

impl LightCore {
    /// Begins behind a checkpoint, which is all that it takes on trust.
    pub(crate) fn open(chain: &[u8], checkpoint: &str, secret: B256) -> Result<Self, OpenLightError> {
        let spec = ChainSpec::from_json(chain)?;
        let checkpoint: Checkpoint = checkpoint.parse()?;
        let config = Config { answer: ANSWER, ..Config::default() };
        Ok(Self {
            light: Light::new(spec.clone(), checkpoint, config),
            web3: Web3::new(spec.clone(), secret),
            spec,
            asked: HashSet::default(),
            down: true,
            silence: None,
            events: Vec::new(),
            highest: None,
            halted: None,
            evidence: None,
        })
    }

    fn heard(&mut self, event: Event) {
        match event {
            Event::Opened(_) => self.events.push(message::Event::Opened),
            Event::Verified { block, told } => {
                self.highest = self.highest.max(Some(block.head().number));
                let block = message::Block::new(&block, told.claims(), told.input().timestamp);
                self.events.push(message::Event::Block(block));
            }
            Event::RolledBack { from, to } => self.events.push(message::Event::RolledBack { from, to }),
            Event::Tip => self.events.push(message::Event::Tip),
            Event::Mismatch { mismatch, evidence } => {
                self.hung_up();
                let mismatch = message::Mismatch::from(&*mismatch);
                self.halted = Some(mismatch.clone());
                self.evidence = evidence.map(|evidence| *evidence);
                self.events.push(message::Event::Mismatch { mismatch, evidence: self.evidence.is_some() });
            }
            Event::Lost(trouble) => {
                self.hung_up();
                let contradiction = is_contradiction(&trouble);
                let reason = match (trouble, self.silence.take()) {
                    (Trouble::NoAnswer, Some(reason)) => reason,
                    (trouble, _) => trouble.to_string(),
                };
                self.events.push(message::Event::Lost { reason, contradiction });
            }
        }
    }

    fn hung_up(&mut self) {
        self.asked.clear();
        self.down = true;
    }

    fn rpc_status(&self) -> rpc::Status {
        rpc::Status { highest_block: self.highest, ..self.light.status() }
    }
}

impl Machine for LightCore {
    fn connect(&mut self) {
        self.asked.clear();
        self.silence = None;
        self.down = false;
        self.light.poll();
    }

    fn tell(&mut self, id: u64, status: u16, body: &[u8]) {
        // What a server says with a status is of use if it is JSON.
        if !(200..300).contains(&status) && serde_json::from_slice::<IgnoredAny>(body).is_err() {
            return self.fail(id, &format!("the main node answers with status {status}"));
        }
        if self.asked.remove(&id) {
            self.light.tell(id, Some(body));
        }
    }

    fn fail(&mut self, id: u64, reason: &str) {
        if self.asked.remove(&id) {
            self.silence = Some(reason.to_string());
            self.light.tell(id, None);
        }
    }

    fn poll(&mut self) {
        self.light.poll();
    }

    fn work(&mut self, until: f64, now: &dyn Fn() -> f64) -> Report {
        let mut asks = Vec::new();
        let next = loop {
            match self.light.step() {
                zk_replica_core::light::Next::Ask { id, body } => {
                    self.asked.insert(id);
                    asks.push(Ask { id, body });
                    continue;
                }
                zk_replica_core::light::Next::Event(event) => self.heard(event),
                zk_replica_core::light::Next::Wait if self.down => break Next::Connect,
                zk_replica_core::light::Next::Wait if self.asked.is_empty() => break Next::Poll,
                zk_replica_core::light::Next::Wait => break Next::Answers,
            }
            if now() >= until {
                break Next::Work;
            }
        };
        if self.light.mismatch().is_none() && self.halted.take().is_some() {
            self.events.push(message::Event::Corrected);
        }
        self.web3.update(&self.rpc_status(), self.light.store());
        Report { next, asks, events: core::mem::take(&mut self.events) }
    }

    fn status(&self) -> message::Status<'_> {
        message::Status {
            chain_id: self.spec.chain_id,
            chain_name: &self.spec.name,
            verified: self.light.head(),
            halted: self.halted.as_ref(),
            evidence: self.evidence.is_some(),
            kept: false,
            stored: self.light.store().size() as u64,
            l1: None,
        }
    }

    fn set_highest(&mut self, highest: Option<u64>) {
        self.highest = highest;
    }

    fn evidence(&self) -> Result<Option<Vec<u8>>, EvidenceError> {
        self.evidence.as_ref().map(Evidence::encode).transpose()
    }

    fn web3(&mut self) -> &mut Web3 {
        &mut self.web3
    }

    fn request(&mut self, session: u32, body: &str, now: &dyn Fn() -> f64) -> message::Reply {
        let status = self.rpc_status();
        self.web3.question(session, body, &status, self.light.store(), now)
    }

    fn proved(&mut self, id: u32, answer: Option<&[u8]>, now: &dyn Fn() -> f64) -> Option<message::Reply> {
        let status = self.rpc_status();
        self.web3.proved(id, answer, &status, self.light.store(), now)
    }
}

/// What it says cannot be true, or is not what the checkpoint says.
fn is_contradiction(trouble: &Trouble) -> bool {
    match trouble {
        Trouble::Client(error) => error.is_contradiction(),
        Trouble::OtherCheckpoint { .. } | Trouble::Checkpoint { .. } | Trouble::OutOfOrder(_) => true,
        _ => false,
    }
}
