//! Following one main node over JSON-RPC: the requests and the clock around the core's [`Client`].
//!
//! Requests go out from a runtime of their own, several at once; whoever waits for their answers does so in short steps, so
//! that a signal ends it soon, whatever the network or the resolver of names does.

use crate::config::Timing;
use crate::datastream::LineError;
use crate::follow::Part;
use crate::http::{self, ClientLimits, Endpoint};
use hyper::body::Bytes;
use std::io;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};
use zk_replica_core::chain::{ChainSpec, ForkId};
use zk_replica_core::executor::Rules;
use zk_replica_core::source::datastream::{Anchor, Item, Probe};
use zk_replica_core::source::main_node::{Answer, AnswerError, Client, ClientError, Config, Event, Request};
use zk_replica_core::types::{BatchEncoding, BatchStart};

/// The longest wait between two looks at the stop flag.
const TICK: Duration = Duration::from_millis(50);

/// What a block needs in memory, beyond its transactions.
const BLOCK_OVERHEAD: usize = 1024;

/// Sends requests without waiting for them.
#[derive(Debug)]
pub(crate) struct Asker {
    client: http::Client,
    /// Always there, except while it is dropped.
    runtime: Option<Runtime>,
}

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    /// HTTP failed.
    #[error(transparent)]
    Http(#[from] http::ClientError),
    /// The answer is none.
    #[error(transparent)]
    Answer(#[from] AnswerError),
    /// Asked to stop.
    #[error("stopped")]
    Stopped,
}

type Told = (u64, Result<Answer, AskError>);

impl Asker {
    /// Starts one thread, which tends the connections.
    pub(crate) fn new(timing: &Timing) -> io::Result<Self> {
        let limits = ClientLimits {
            connect: timing.connect_timeout,
            total: timing.request_timeout,
            answer: timing.answer_bytes,
        };
        let mut builder = Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).thread_name("main node").enable_all().build()?;
        Ok(Self { client: http::Client::new(limits), runtime: Some(runtime) })
    }

    /// Sends a request; its answer goes to `to`.
    fn send(&self, endpoint: &Endpoint, id: u64, request: Request, to: &Sender<Told>) {
        let Some(runtime) = &self.runtime else {
            return;
        };
        let (client, endpoint, to) = (self.client.clone(), endpoint.clone(), to.clone());
        runtime.spawn(async move {
            let answer = match client.post(&endpoint, request.encode(id)).await {
                Ok(body) => request.decode(id, &body).map_err(AskError::from),
                // Some servers say no twice: by a status, and by a JSON-RPC error in the body.
                Err(http::ClientError::Status { status, body }) => match request.decode(id, &body) {
                    Err(refused @ AnswerError::Refused { .. }) => Err(refused.into()),
                    _ => Err(http::ClientError::Status { status, body }.into()),
                },
                Err(error) => Err(error.into()),
            };
            // Nobody may be waiting any more.
            drop(to.send((id, answer)));
        });
    }

    /// Posts JSON, and waits for the answer's body.
    pub(crate) fn post(
        &self,
        endpoint: &Endpoint,
        body: String,
        stop: &AtomicBool,
    ) -> Result<Bytes, AskError> {
        let Some(runtime) = &self.runtime else {
            return Err(AskError::Stopped);
        };
        let (sender, receiver) = channel();
        let (client, endpoint) = (self.client.clone(), endpoint.clone());
        runtime.spawn(async move { drop(sender.send(client.post(&endpoint, body).await)) });
        Ok(wait(&receiver, stop)??)
    }

    /// Sends one request and waits for the answer.
    pub(crate) fn ask(
        &self,
        endpoint: &Endpoint,
        request: Request,
        stop: &AtomicBool,
    ) -> Result<Answer, AskError> {
        let (sender, receiver) = channel();
        self.send(endpoint, 1, request, &sender);
        let (_, answer) = wait(&receiver, stop)?;
        answer
    }
}

fn wait<T>(receiver: &Receiver<T>, stop: &AtomicBool) -> Result<T, AskError> {
    loop {
        match receiver.recv_timeout(TICK) {
            Ok(answer) => return Ok(answer),
            Err(RecvTimeoutError::Timeout) if !stop.load(Ordering::Relaxed) => {}
            Err(_) => return Err(AskError::Stopped),
        }
    }
}

impl Drop for Asker {
    /// A name that is being looked up is not waited for.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A main node that has said who it is.
#[derive(Debug)]
pub(crate) struct MainNode<'a> {
    asker: &'a Asker,
    endpoint: &'a Endpoint,
    timing: &'a Timing,
    client: Client,
    sender: Sender<Told>,
    receiver: Receiver<Told>,
    latest: u64,
    stop: &'a AtomicBool,
}

impl<'a> MainNode<'a> {
    /// Waits until the main node has said that it serves this chain.
    pub(crate) fn open(
        asker: &'a Asker,
        endpoint: &'a Endpoint,
        spec: &ChainSpec,
        timing: &'a Timing,
        stop: &'a AtomicBool,
    ) -> Result<Self, LineError> {
        let client = Client::new(Config {
            chain_id: spec.chain_id,
            forks: spec.forks.clone(),
            encoding,
            in_flight: timing.requests_in_flight,
            ahead: timing.batches_ahead,
        });
        let (sender, receiver) = channel();
        let mut node = Self { asker, endpoint, timing, client, sender, receiver, latest: 0, stop };
        match node.event()? {
            Event::Ready { latest } => {
                node.latest = latest;
                Ok(node)
            }
            other => Err(unasked(&other)),
        }
    }

    /// Number of the last batch, when it was asked.
    pub(crate) fn latest(&self) -> u64 {
        self.latest
    }

    /// Whether the main node has this block.
    pub(crate) fn compare(&mut self, anchor: Anchor) -> Result<Probe, LineError> {
        self.client.compare(anchor);
        match self.event()? {
            Event::Compared(probe) => Ok(probe),
            other => Err(unasked(&other)),
        }
    }

    /// How a batch begins; `None` when the main node does not have it.
    pub(crate) fn batch_start(&mut self, number: u64) -> Result<Option<BatchStart>, LineError> {
        self.client.enter(number);
        match self.event()? {
            Event::Entered(start) => Ok(start),
            other => Err(unasked(&other)),
        }
    }

    /// Lets batches flow, from genesis or from a verified block on.
    pub(crate) fn start(&mut self, from: Option<Anchor>) {
        self.client.start(from);
    }

    /// Hands over what flows, until no more is wanted.
    pub(crate) fn run(
        mut self,
        send: &mut dyn FnMut(Part<Item>, usize) -> bool,
        ended: &AtomicBool,
    ) -> Result<(), LineError> {
        let (mut asked, mut at_tip) = (Instant::now(), false);
        while !ended.load(Ordering::Relaxed) {
            while let Some(event) = self.client.next_event() {
                at_tip = matches!(event, Event::Tip);
                let goes_on = match event {
                    Event::Item(item) => {
                        let weight = weight(&item);
                        send(Part::Item(item), weight)
                    }
                    Event::Tip => send(Part::Tip, 0),
                    other => return Err(unasked(&other)),
                };
                if !goes_on {
                    return Ok(());
                }
            }
            if self.client.is_idle() && asked.elapsed() >= self.timing.poll_interval {
                asked = Instant::now();
                self.client.poll();
                // Whoever verifies may have heard from L1 meanwhile.
                if at_tip && !send(Part::Tip, 0) {
                    return Ok(());
                }
            }
            let rest = self.timing.poll_interval.saturating_sub(asked.elapsed());
            self.exchange(if self.client.is_idle() { rest.min(TICK) } else { TICK })?;
        }
        Ok(())
    }

    fn event(&mut self) -> Result<Event, LineError> {
        loop {
            if let Some(event) = self.client.next_event() {
                return Ok(event);
            }
            self.exchange(TICK)?;
        }
    }

    /// Asks what there is to ask, and waits a moment for answers.
    fn exchange(&mut self, wait: Duration) -> Result<(), LineError> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(LineError::Stopped);
        }
        while let Some((id, request)) = self.client.next_request() {
            self.asker.send(self.endpoint, id, request, &self.sender);
        }
        let mut wait = wait;
        while let Ok((id, answer)) = self.receiver.recv_timeout(mem::take(&mut wait)) {
            match answer {
                Ok(answer) => self.client.tell(id, Ok(answer))?,
                Err(AskError::Answer(error)) => self.client.tell(id, Err(error))?,
                Err(AskError::Http(error)) => return Err(LineError::Http(error)),
                Err(AskError::Stopped) => return Err(LineError::Stopped),
            }
        }
        Ok(())
    }
}

/// How a fork writes batch data.
fn encoding(fork: ForkId) -> &'static BatchEncoding {
    &Rules::of(fork).encoding
}

/// Bytes of memory, about.
fn weight(item: &Item) -> usize {
    match item {
        Item::Block(block) => {
            let bytes: usize = block.input.transactions.iter().map(|one| 2 * one.encoded.len() + 512).sum();
            BLOCK_OVERHEAD + bytes
        }
        _ => BLOCK_OVERHEAD,
    }
}

fn unasked(event: &Event) -> LineError {
    LineError::Order(match event {
        Event::Ready { .. } => "a greeting that nobody asked for",
        Event::Compared(_) | Event::Entered(_) => "an answer that nobody asked for",
        Event::Item(_) | Event::Tip => "a batch that nobody asked for",
    })
}

impl From<ClientError> for LineError {
    fn from(error: ClientError) -> Self {
        Self::MainNode(error)
    }
}
