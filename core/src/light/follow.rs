//! The conversation with the main node: what is asked next, and what its answers lead to.

use super::{Asked, Checkpoint, Event, Light, Next, Trouble};
use crate::{
    chain::{ChainSpec, Genesis},
    checker::Mismatch,
    evidence::Evidence,
    executor::{BLOCK_INFO_ROOT_SLOT, Rules},
    replica::{Halt, Input, Replica, RollBackError, Step},
    source::{
        datastream::{Anchor, ForkPoint, ForkSearch, Probe},
        main_node::{Answer, Client, Config, Event as Told, ProofOf, Request, StateAnswer, StateRequest},
        witness::Witness,
    },
    store::{Key, Store, StoreError},
    tree::{Digest, Node, Proof, StateKey, hash_bytes, hash_value},
    types::BatchStart,
};
use alloc::{boxed::Box, format, string::ToString, vec::Vec};
use alloy_consensus::Header;
use alloy_primitives::{B256, Bytes, U256};
use core::mem;

/// Inputs that wait to be checked.
const MAX_INPUTS: usize = 128;

/// How often single records are asked for, for one input: its leaves times the depth of the tree, if there is no witness.
const MAX_ATTEMPTS: u32 = 4096;

/// Where the conversation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// There is none.
    Down,
    /// What the checkpoint's block is, and who the main node is.
    Opening,
    /// Who the main node is.
    Greeting,
    /// Whether it has our last block.
    Comparing,
    /// How the batch began that we are in.
    Entering,
    /// Blocks come.
    Flowing,
}

/// What is known of the checkpoint's block so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Opening {
    header: Option<Header>,
    block_info_root: Option<B256>,
    batch: Option<u64>,
}

impl Light {
    /// Time has passed: begins a conversation, or asks what there is that is new.
    pub fn poll(&mut self) {
        match (self.stage, &mut self.client) {
            (Stage::Down, _) => self.begin(),
            (_, Some(client)) => client.poll(),
            _ => {}
        }
    }

    /// What to do next. Checks what has come, which is where the time goes.
    pub fn step(&mut self) -> Next {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Next::Event(event);
            }
            if let Some((id, body)) = self.outbox.pop_front() {
                return Next::Ask { id, body };
            }
            let room = self.inputs.len() < MAX_INPUTS;
            if let Some(client) = &mut self.client {
                if let Some((theirs, request)) = client.next_request() {
                    let id = self.register(Asked::Client(theirs, request));
                    return Next::Ask { id, body: request.encode(id) };
                }
                // Nothing can be said to the main node before the checkpoint's block is known. The more blocks wait, the
                // more one witness is good for.
                if room
                    && self.stage != Stage::Opening
                    && let Some(event) = client.next_event()
                {
                    self.heard(event).unwrap_or_else(|trouble| self.lose(trouble));
                    continue;
                }
            }
            if self.work() {
                continue;
            }
            if !self.inputs.is_empty() {
                return Next::Wait;
            }
            if let Some(trouble) = self.ending.take() {
                self.end(trouble);
            } else if mem::take(&mut self.at_tip) {
                self.events.push_back(Event::Tip);
            } else {
                return Next::Wait;
            }
        }
    }

    /// The answer to [`Next::Ask`] with this id; `None` if there is none.
    pub fn tell(&mut self, id: u64, answer: Option<&[u8]>) {
        let Some(asked) = self.asked.remove(&id) else {
            // Of a conversation that is over.
            return;
        };
        // What comes next cannot be checked without it.
        let needed = matches!(asked, Asked::State(_));
        let told = match answer {
            None => Err(Trouble::NoAnswer),
            Some(body) if body.len() > self.config.answer => Err(Trouble::TooLong(body.len())),
            Some(body) => self.told(id, asked, body),
        };
        told.unwrap_or_else(|trouble| if needed { self.end(trouble) } else { self.lose(trouble) });
    }

    fn told(&mut self, id: u64, asked: Asked, body: &[u8]) -> Result<(), Trouble> {
        match asked {
            Asked::Client(theirs, request) => match &mut self.client {
                Some(client) => Ok(client.tell(theirs, request.decode(id, body))?),
                None => Ok(()),
            },
            Asked::Batch(request) => {
                if let Answer::Number(batch) = request.decode(id, body)? {
                    self.opening.batch = Some(batch);
                }
                self.opened()
            }
            Asked::State(requests) => {
                let answers = StateRequest::decode(&requests, body)?;
                let opening = self.stage == Stage::Opening;
                for (request, answer) in requests.iter().zip(answers) {
                    match answer {
                        Ok(answer) if opening => self.open_with(request, answer)?,
                        Ok(answer) => self.keep(request, answer),
                        Err(error) if opening => return Err(error.into()),
                        // Something else is tried.
                        Err(_) => {}
                    }
                }
                if opening { self.opened() } else { Ok(()) }
            }
        }
    }

    /// An id for a question.
    fn register(&mut self, asked: Asked) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.asked.insert(id, asked);
        id
    }

    fn ask_state(&mut self, requests: Vec<StateRequest>) {
        let body = StateRequest::encode(&requests);
        let id = self.register(Asked::State(requests));
        self.outbox.push_back((id, body));
    }

    /// The conversation is over; what has come is checked first.
    fn lose(&mut self, trouble: Trouble) {
        if let (Stage::Flowing, Some(mut client)) = (self.stage, self.client.take()) {
            while let Some(Told::Item(item)) = client.next_event() {
                self.inputs.push_back(item.into());
            }
        }
        if self.inputs.is_empty() {
            return self.end(trouble);
        }
        self.ending.get_or_insert(trouble);
    }

    fn end(&mut self, trouble: Trouble) {
        self.hang_up();
        self.events.push_back(Event::Lost(trouble));
    }

    /// Forgets the conversation, and nothing that was verified.
    fn hang_up(&mut self) {
        (self.stage, self.client, self.search, self.branch) = (Stage::Down, None, None, None);
        self.asked.clear();
        self.outbox.clear();
        self.inputs.clear();
        (self.at_tip, self.ending) = (false, None);
        (self.attempts, self.missing) = (0, None);
        if let Some(replica) = &mut self.replica {
            replica.abandon();
        }
    }

    fn begin(&mut self) {
        self.greet();
        if self.replica.is_some() {
            return;
        }
        // At once: the fewer round trips, the sooner there is something to answer from.
        self.stage = Stage::Opening;
        self.opening = Opening::default();
        let block = self.checkpoint.number;
        let address = ChainSpec::SYSTEM_CONTRACT;
        let slots = [BLOCK_INFO_ROOT_SLOT].to_vec();
        self.ask_state([StateRequest::Header(block), StateRequest::Proof { address, slots, block }].to_vec());
        let request = Request::BatchOfBlock(block);
        let id = self.register(Asked::Batch(request));
        self.outbox.push_back((id, request.encode(id)));
    }

    /// Takes what was said of the checkpoint's block, if it proves itself.
    fn open_with(&mut self, request: &StateRequest, answer: StateAnswer) -> Result<(), Trouble> {
        let number = self.checkpoint.number;
        let useless = |reason: &dyn ToString| Trouble::Checkpoint { number, reason: reason.to_string() };
        match (request, answer) {
            (_, StateAnswer::Header(None)) => {
                return Err(Trouble::Behind(format!("the main node does not have block {number}")));
            }
            (_, StateAnswer::Header(Some(header))) => {
                if !self.checkpoint.names(&header) {
                    return Err(Trouble::OtherCheckpoint { number });
                }
                self.opening.header = Some(*header);
            }
            (StateRequest::Proof { address, .. }, StateAnswer::Proofs(proofs)) => {
                for (of, elements) in proofs {
                    let ProofOf::Slot(slot) = of else { continue };
                    let proof = Proof::decode(&elements).map_err(|error| useless(&error))?;
                    let path = StateKey::Storage(*address, slot).path();
                    let value =
                        proof.verify(self.checkpoint.state_root, &path).map_err(|error| useless(&error))?;
                    proof.records().for_each(|(key, record)| self.store.insert(key, record));
                    if slot == BLOCK_INFO_ROOT_SLOT {
                        self.opening.block_info_root = Some(value.into());
                    }
                }
                if self.opening.block_info_root.is_none() {
                    return Err(useless(&"the proof is missing"));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Goes on when all is known of the checkpoint's block.
    fn opened(&mut self) -> Result<(), Trouble> {
        if let Opening { header: Some(_), block_info_root: Some(_), batch: Some(_) } = self.opening {
            self.stage = Stage::Greeting;
        }
        Ok(())
    }

    fn greet(&mut self) {
        self.stage = Stage::Greeting;
        self.client = Some(Client::new(Config {
            chain_id: self.spec.chain_id,
            forks: self.spec.forks.clone(),
            encoding: |fork| &Rules::of(fork).encoding,
            in_flight: self.config.in_flight,
            ahead: 1,
        }));
    }

    /// What the main node's client says.
    fn heard(&mut self, event: Told) -> Result<(), Trouble> {
        match event {
            Told::Ready { .. } => match self.head().map(|head| head.number) {
                Some(number) => {
                    self.stage = Stage::Comparing;
                    self.compare(number)
                }
                None => {
                    let batch = self.opening.batch.unwrap_or_default();
                    self.enter(batch);
                    Ok(())
                }
            },
            Told::Compared(probe) => self.compared(probe),
            Told::Entered(Some(start)) => self.entered(&start),
            Told::Entered(None) => {
                Err(Trouble::Behind("the main node does not have the batch that comes next".into()))
            }
            Told::Item(item) => {
                self.inputs.push_back(item.into());
                Ok(())
            }
            Told::Tip => {
                self.at_tip = true;
                Ok(())
            }
        }
    }

    fn anchor(&self, number: u64) -> Result<Anchor, Trouble> {
        let record = match &self.replica {
            Some(replica) => replica.block(number, &self.store).map_err(Trouble::Unavailable)?,
            None => None,
        };
        let record = record.ok_or(Trouble::OutOfOrder("a block above the last verified one"))?;
        let (hash, state_root) = (record.header.hash_slow(), record.header.state_root);
        Ok(Anchor { number, hash, state_root, batch: record.batch })
    }

    fn compare(&mut self, number: u64) -> Result<(), Trouble> {
        let anchor = self.anchor(number)?;
        if let Some(client) = &mut self.client {
            client.compare(anchor);
        }
        Ok(())
    }

    /// Looks for the last common block.
    fn compared(&mut self, probe: Probe) -> Result<(), Trouble> {
        let head = self.head().map_or(0, |head| head.number);
        let first = self.store.first_block().unwrap_or(head);
        let search = match self.search.take() {
            Some(mut search) => {
                search.tell(probe);
                search
            }
            None => ForkSearch::above(first, head, probe),
        };
        if let Some(number) = search.probe() {
            self.search = Some(search);
            return self.compare(number);
        }
        match search.outcome() {
            Some(ForkPoint::EndsAt(to)) if to == head => {}
            Some(ForkPoint::At(to)) => self.branch = Some(to),
            Some(ForkPoint::EndsAt(end)) => {
                return Err(Trouble::Behind(format!(
                    "the main node ends at block {end}, before verified block {head}"
                )));
            }
            Some(ForkPoint::OtherChain) => return Err(Trouble::Parted(first)),
            Some(ForkPoint::Empty) | None => {
                return Err(Trouble::Behind(format!("the main node does not have block {first}")));
            }
        }
        self.leave()
    }

    /// Goes back to the last common block, if that is not the head, and asks how its batch began.
    fn leave(&mut self) -> Result<(), Trouble> {
        let Some(replica) = &mut self.replica else {
            return Ok(());
        };
        if let Some(to) = self.branch {
            match replica.branch(to, &self.store) {
                Ok(()) => self.branch = None,
                Err(RollBackError::Store(error)) => return self.fetch(error),
                Err(RollBackError::Above { .. } | RollBackError::Final { .. }) => {
                    return Err(Trouble::OutOfOrder("the last common block is final"));
                }
            }
        }
        let head = replica.head().map_or(0, |head| head.number);
        let batch = self.anchor(head)?.batch;
        self.enter(batch);
        Ok(())
    }

    fn enter(&mut self, batch: u64) {
        self.stage = Stage::Entering;
        if let Some(client) = &mut self.client {
            client.enter(batch);
        }
    }

    fn entered(&mut self, start: &BatchStart) -> Result<(), Trouble> {
        if self.replica.is_none() {
            let Opening { header: Some(header), block_info_root: Some(root), .. } = self.opening.clone()
            else {
                return Err(Trouble::OutOfOrder("a batch before the checkpoint's block"));
            };
            let failed = Trouble::Unavailable;
            self.store
                .apply(&Checkpoint::commit(header, start.number, start.fork_id, root))
                .map_err(failed)?;
            let replica =
                Replica::open(self.spec.clone(), Genesis::default(), &self.store).map_err(failed)?;
            if let Some(head) = replica.head() {
                self.events.push_back(Event::Opened(head.clone()));
            }
            self.replica = Some(replica);
        }
        let Some(replica) = &mut self.replica else {
            return Ok(());
        };
        match replica.enter(start, &self.store) {
            Ok(()) => {}
            Err(Halt::Mismatch(mismatch)) => {
                let evidence = Evidence::of_entering(replica, start, &self.store);
                self.disagree(mismatch, evidence.ok().flatten());
                return Ok(());
            }
            Err(Halt::Store(error)) => return Err(Trouble::Unavailable(error)),
            Err(Halt::OutOfOrder(reason)) => return Err(Trouble::OutOfOrder(reason)),
        }
        let number = replica.head().map_or(0, |head| head.number);
        let anchor = self.anchor(number)?;
        if let Some(client) = &mut self.client {
            client.start(Some(anchor));
            // The batch is here already: without a question nothing would be looked at before the next poll.
            client.poll();
        }
        self.stage = Stage::Flowing;
        Ok(())
    }

    /// Checks the next input; `false` when there is none, or something is missing for it.
    fn work(&mut self) -> bool {
        let waiting = self.asked.values().any(|asked| matches!(asked, Asked::State(_)));
        if waiting {
            return false;
        }
        if self.branch.is_some() {
            self.leave().unwrap_or_else(|trouble| self.end(trouble));
            return true;
        }
        let (Some(replica), Some(input)) = (&mut self.replica, self.inputs.front()) else {
            return false;
        };
        let branching = replica.branching();
        match replica.advance(input, &self.store) {
            Ok(step) => {
                if let (Some((from, to)), None) = (branching, replica.branching()) {
                    self.events.push_back(Event::RolledBack { from, to });
                }
                let input = self.inputs.pop_front();
                (self.attempts, self.missing) = (0, None);
                if let (Step::Verified(block), Some(Input::Block(told))) = (step, input) {
                    self.mismatch = None;
                    self.events.push_back(Event::Verified { block, told });
                }
                self.store.settle();
            }
            Err(Halt::Mismatch(mismatch)) => {
                // All that was read is still there.
                let evidence = Evidence::of_input(replica, input, &self.store);
                self.disagree(mismatch, evidence.ok().flatten());
            }
            Err(Halt::Store(error)) => self.fetch(error).unwrap_or_else(|trouble| self.end(trouble)),
            Err(Halt::OutOfOrder(reason)) => self.end(Trouble::OutOfOrder(reason)),
        }
        true
    }

    fn disagree(&mut self, mismatch: Mismatch, evidence: Option<Evidence>) {
        self.hang_up();
        let mismatch = Box::new(mismatch);
        self.mismatch = Some(mismatch.clone());
        self.events.push_back(Event::Mismatch { mismatch, evidence: evidence.map(Box::new) });
    }

    /// Asks for what is missing: first a witness for all blocks that wait, then one for the first of them, then record by
    /// record.
    fn fetch(&mut self, error: StoreError) -> Result<(), Trouble> {
        let StoreError::Missing(key) = error else {
            return Err(Trouble::Unavailable(error));
        };
        self.attempts += 1;
        if let (1 | 2, Some(Input::Block(block))) = (self.attempts, self.inputs.front()) {
            let from = block.input().number;
            let blocks = self.inputs.iter().filter_map(|input| match input {
                Input::Block(block) => Some(block.input().number),
                _ => None,
            });
            let last =
                blocks.max().unwrap_or(from).min(from.saturating_add(self.config.witness_blocks.max(1) - 1));
            let to = if self.attempts == 1 { last } else { from };
            self.ask_state([StateRequest::Witness { from, to }].to_vec());
            return Ok(());
        }
        let (Key::Node(hash) | Key::Value(hash) | Key::Code(hash)) = key else {
            return Err(Trouble::Unavailable(error));
        };
        // What did not come when it was asked for is withheld.
        if self.attempts > MAX_ATTEMPTS || self.missing.replace(hash) == Some(hash) {
            return Err(Trouble::Unavailable(error));
        }
        self.ask_state([StateRequest::Records([hash].to_vec())].to_vec());
        Ok(())
    }

    /// Takes what was handed over, as far as it proves itself. Whether it was enough shows when it is tried again.
    fn keep(&self, request: &StateRequest, answer: StateAnswer) {
        match (request, answer) {
            (_, StateAnswer::Witness(bytes)) => {
                let root = self.head().map(|head| head.state_root);
                if let Ok(witness) = Witness::decode(&bytes)
                    && Some(witness.root()) == root
                {
                    witness.into_records().for_each(|(key, record)| self.store.insert(key, record));
                }
            }
            (StateRequest::Records(hashes), StateAnswer::Records(records)) => {
                for (hash, record) in hashes.iter().zip(records) {
                    if let Some((key, record)) = record.and_then(|record| named(*hash, record)) {
                        self.store.insert(key, record);
                    }
                }
            }
            _ => {}
        }
    }
}

/// What kind of record has this hash, if it has it at all.
fn named(hash: B256, record: Bytes) -> Option<(Key, Bytes)> {
    let is = |digest: Digest| B256::from(digest) == hash;
    if Node::decode(&record).is_ok_and(|node| is(node.digest())) {
        return Some((Key::Node(hash), record));
    }
    if record.len() == 32 && is(hash_value(U256::from_be_slice(&record))) {
        return Some((Key::Value(hash), record));
    }
    (hash_bytes(&record) == hash).then_some((Key::Code(hash), record))
}
