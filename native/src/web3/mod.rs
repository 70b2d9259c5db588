//! Web3 for callers: what the core answers from the database, behind the server's connections.
//!
//! Only what is on the disk is served. The follower tells the [`Board`] how far that is; nothing else is shared with it.

mod memory;
mod pages;
mod site;
mod upstreams;
mod workers;

use crate::board::{Board, State};
use crate::cli::Run;
use crate::http::{Answer, Handler, Server, Socket, StartError, refusal};
use crate::metrics::gauged;
use crate::store::SledStore;
use alloy_primitives::B256;
use futures_util::StreamExt as _;
use futures_util::future;
use futures_util::stream::{self, FuturesUnordered};
use hyper::StatusCode;
use hyper::body::Bytes;
use memory::{Memory, Session};
use pages::{Health, NodeStatus, Readiness};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
pub(crate) use site::{Site, SiteError};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, watch};
use tokio::{task, time};
use upstreams::Upstreams;
use workers::{Undone, Workers};
use zk_replica_core::chain::ChainSpec;
use zk_replica_core::rpc::{self, Forward, Lagged, Reply, Rpc};

/// Messages of one WebSocket connection that are worked on at a time.
const AT_ONCE: usize = 8;

/// Questions of one batch that are asked of main nodes at a time.
const ASKED_AT_ONCE: usize = 8;

/// Messages with witness calls that are worked on at a time: such a call executes blocks again.
const WITNESSES: usize = 2;

/// Methods that have metrics of their own; more do not exist.
const METHODS: usize = 256;

/// Bytes of a method's name in metrics; those that exist are shorter.
const METHOD_NAME: usize = 64;

/// Codes of errors that are made here.
const CODES: [i64; 11] = [-32700, -32600, -32601, -32602, -32603, -32000, -32005, -39001, -39002, 4444, 3];

/// Time between two looks at the chain, if nothing is heard of it.
const LOOK: Duration = Duration::from_secs(1);

/// How often the main node is asked how far it is.
const HEIGHT: Duration = Duration::from_secs(5);

/// How often it is looked whether something has expired, or is to be sent again.
const TICK: Duration = Duration::from_secs(1);

/// How often the database's files are measured.
const MEASURE: Duration = Duration::from_secs(30);

/// Web3, served. Ends with [`Service::stop`].
#[derive(Debug)]
pub(crate) struct Service {
    server: Server,
}

impl Service {
    /// Serves the chain in `store` at `address`.
    pub(crate) fn start(
        address: SocketAddr,
        options: &Run,
        spec: ChainSpec,
        store: SledStore,
        board: &Board,
        site: Site,
    ) -> Result<Self, StartError> {
        let metrics = Arc::clone(board.metrics());
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        let Run { server: options, main_node: main_nodes, db: files, l1, .. } = options;
        let threads = options.workers.map_or(2 * cores, NonZero::get);
        let mut config = rpc::Config {
            client_version: format!("zk-replica/v{}/{}", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH),
            strict: options.strict,
            rollup: l1.rollup,
            rollup_manager: l1.rollup_manager,
            ..rpc::Config::default()
        };
        config.limits.request = options.max_body;
        config.limits.batch = options.max_batch;
        let memory = Memory::new().map_err(StartError::Randomness)?;
        let node = Arc::new(Node {
            chain_id: spec.chain_id,
            rpc: Rpc::new(spec, config),
            store,
            files: files.to_owned(),
            state: board.subscribe(),
            board: board.clone(),
            workers: Workers::new(threads, options.queue, options.timeout, Arc::clone(&metrics)),
            witnesses: Arc::new(Semaphore::new(WITNESSES)),
            upstreams: Upstreams::new(main_nodes, options.forward_timeout, Arc::clone(&metrics)),
            memory,
            methods: Methods::default(),
            started: Instant::now(),
            stale_after: options.stale_after,
            site,
        });
        let traffic = metrics.traffic.clone();
        let web3 = Arc::new(Web3 { node: Arc::clone(&node) });
        let server = Server::start(address, options.limits(), traffic, web3)?;
        server.handle().spawn(Arc::clone(&node).keep_up());
        server.handle().spawn(Arc::clone(&node).tidy());
        if !options.strict {
            server.handle().spawn(Arc::clone(&node).ask_height());
        }
        server.handle().spawn(node.measure());
        Ok(Self { server })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Lets requests finish, and ends.
    pub(crate) fn stop(self) {
        self.server.stop();
    }
}

/// Answers callers.
#[derive(Debug)]
struct Web3 {
    node: Arc<Node>,
}

#[derive(Debug)]
struct Node {
    chain_id: u64,
    rpc: Rpc,
    store: SledStore,
    files: PathBuf,
    state: watch::Receiver<State>,
    board: Board,
    workers: Workers,
    witnesses: Arc<Semaphore>,
    upstreams: Upstreams,
    memory: Memory,
    methods: Methods,
    started: Instant,
    stale_after: Duration,
    site: Site,
}

/// Methods that exist, as far as they have been used.
#[derive(Debug, Default)]
struct Methods(Mutex<BTreeSet<String>>);

impl Methods {
    /// The name, if there is such a method: callers may send any. A method that has once answered exists; what was not
    /// answered (a notification) may have any name.
    fn label(&self, name: Cow<'_, str>, answer: &str) -> String {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.contains(name.as_ref()) {
            return name.into_owned();
        }
        let answered = error_code(answer).is_none_or(|code| code == 3 || code == 4444) && !answer.is_empty();
        if !answered || name.len() > METHOD_NAME || known.len() >= METHODS {
            return "other".to_owned();
        }
        known.insert(name.as_ref().to_owned());
        name.into_owned()
    }
}

impl Handler for Web3 {
    async fn post(&self, body: Bytes) -> Answer {
        let (status, text) = self.node.answer(body, self.node.memory.seed(), None).await;
        Answer::json(status, text)
    }

    async fn get(&self, path: &str) -> Option<Answer> {
        self.node.page(path)
    }

    async fn converse(&self, mut socket: Socket) {
        let (node, mut changed) = (&self.node, self.node.memory.changes());
        let (session, outbox) = (Session::default(), socket.outbox().clone());
        let mut working = FuturesUnordered::new();
        // More is to be told once the peer has taken what there is.
        let mut untold = false;
        loop {
            tokio::select! {
                message = socket.next(), if working.len() < AT_ONCE => match message {
                    Some(message) => {
                        let (session, seed) = (session.clone(), node.memory.seed());
                        working.push(async move {
                            (seed, node.answer(Bytes::from(message), seed, Some(session)).await)
                        });
                    }
                    None => return,
                },
                Some((seed, (_, text))) = working.next() => {
                    if !text.is_empty() && !outbox.send(text) {
                        return future::pending().await;
                    }
                    session.replied(seed);
                    untold = true;
                }
                _ = changed.changed() => untold = true,
                () = outbox.drained(), if untold => match node.memory.tell(&session) {
                    Ok(texts) => {
                        untold = !texts.is_empty();
                        for text in texts {
                            outbox.send(text);
                        }
                    }
                    Err(Lagged) => {
                        outbox.overflow();
                        return future::pending().await;
                    }
                },
            }
        }
    }
}

impl Node {
    /// Answers a request or a batch: with a status for HTTP, and what is said.
    async fn answer(
        self: &Arc<Self>,
        body: Bytes,
        seed: B256,
        session: Option<Session>,
    ) -> (StatusCode, String) {
        let begun = Instant::now();
        let method = method(&body);
        let (status, text) = self.work(body, seed, session).await;
        self.count(method, &text, begun.elapsed());
        (status, text)
    }

    async fn work(
        self: &Arc<Self>,
        body: Bytes,
        seed: B256,
        session: Option<Session>,
    ) -> (StatusCode, String) {
        let witness = match asks_for_witness(&body) {
            false => None,
            true => match Arc::clone(&self.witnesses).try_acquire_owned() {
                Ok(turn) => Some(turn),
                Err(_) => return (StatusCode::SERVICE_UNAVAILABLE, refusal(-32000, "busy")),
            },
        };
        let node = Arc::clone(self);
        let done = self.workers.run(move |deadline| {
            // Until the work ends, whoever waits for it.
            let _turn = witness;
            let status = node.rpc_status();
            let caller = node.memory.caller(seed, session.as_ref());
            node.rpc.serve(&body, &status, &node.store, &caller, &|| deadline.is_over())
        });
        let reply = match done.await {
            Ok(reply) => reply,
            Err(Undone::Busy) => return (StatusCode::SERVICE_UNAVAILABLE, refusal(-32005, "busy")),
            Err(Undone::Panicked) => {
                self.board.metrics().traffic.panics.inc();
                return (StatusCode::OK, refusal(-32603, "internal error"));
            }
        };
        let text = match reply {
            Reply::Answer(text) => text,
            Reply::Forward(forward) => {
                // A transaction that is about to be sent is news.
                self.memory.announce();
                self.forward(forward, seed).await
            }
        };
        let is_early = self.state.borrow().head.is_none() && text.contains(r#""message":"not ready""#);
        (if is_early { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }, text)
    }

    /// Asks main nodes what only they can answer.
    async fn forward(&self, forward: Forward, seed: B256) -> String {
        let questions: Vec<String> = forward.requests().map(str::to_owned).collect();
        let mut asked = Vec::new();
        for question in &questions {
            asked.push(self.upstreams.ask(question));
        }
        let answers: Vec<Option<Vec<u8>>> = stream::iter(asked).buffered(ASKED_AT_ONCE).collect().await;
        forward.finish_for(answers, &self.memory.caller(seed, None))
    }

    /// What the core has to be told.
    fn rpc_status(&self) -> rpc::Status {
        let state = self.state.borrow();
        rpc::Status {
            first_block: 0,
            highest_block: state.highest(),
            // An answer that everything is well would be a guess, too, when there is no tip to compare with.
            halted: Readiness::of(&state, self.stale_after) != Readiness::Ready,
            safe: None,
            finalized: state.finalized,
        }
    }

    fn count(&self, method: Method<'_>, text: &str, time: Duration) {
        let outcome = outcome(text);
        let method = match method {
            Method::Batch => "batch".to_owned(),
            Method::None => "none".to_owned(),
            Method::Single(name) => self.methods.label(name, text),
        };
        let metrics = self.board.metrics();
        metrics.request_time.get_or_create(&[("method", method.clone())]).observe(time.as_secs_f64());
        metrics.requests.get_or_create(&[("method", method), ("outcome", outcome)]).inc();
    }

    fn page(&self, path: &str) -> Option<Answer> {
        let plain = |status, text: String| Answer::text(status, "text/plain; charset=utf-8", text + "\n");
        let state = self.state.borrow().clone();
        let readiness = Readiness::of(&state, self.stale_after);
        let ready_or_not = match readiness {
            Readiness::Ready => StatusCode::OK,
            Readiness::Affected(_) | Readiness::NotReady(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Some(match path {
            "/livez" => plain(StatusCode::OK, "alive".to_owned()),
            "/readyz" => plain(ready_or_not, readiness.reason().unwrap_or("ready").to_owned()),
            "/health" => {
                // What is served stays true while the main node is wrong.
                let status = match readiness {
                    Readiness::NotReady(_) => StatusCode::SERVICE_UNAVAILABLE,
                    Readiness::Ready | Readiness::Affected(_) => StatusCode::OK,
                };
                json(status, &Health::of(&state, &readiness))
            }
            "/status" => {
                let verified = u64::try_from(self.board.metrics().verified_block.get()).ok();
                let upstreams = self.upstreams.status();
                let uptime = self.started.elapsed();
                let status = NodeStatus::of(&state, &readiness, self.chain_id, uptime, verified, upstreams);
                json(StatusCode::OK, &status)
            }
            "/metrics" => match self.board.metrics().encode() {
                Ok(text) => {
                    let content = "application/openmetrics-text; version=1.0.0; charset=utf-8";
                    Answer::text(StatusCode::OK, content, text)
                }
                Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, "internal error".to_owned()),
            },
            _ => return self.site.answer(path),
        })
    }

    /// Looks at each change of the chain, for filters and subscriptions.
    async fn keep_up(self: Arc<Self>) {
        let mut state = self.state.clone();
        loop {
            let node = Arc::clone(&self);
            // After a panic the next look is another chance.
            drop(task::spawn_blocking(move || node.update()).await);
            // The clock changes what is so, too: that the tip is stale; and what could not be read may be there now.
            if let Ok(Err(_)) = time::timeout(LOOK, state.changed()).await {
                return;
            }
        }
    }

    fn update(&self) {
        let status = self.rpc_status();
        loop {
            match self.memory.with_live(|live| self.rpc.update(live, &status, &self.store)) {
                Ok(true) => {}
                Ok(false) => break,
                // As while another thread rolls back.
                Err(error) => {
                    tracing::debug!(event = "update", "the chain's end cannot be read now: {error}");
                    break;
                }
            }
        }
        self.memory.announce();
    }

    /// Forgets what has expired, and sends transactions again whose fate is unknown.
    async fn tidy(self: Arc<Self>) {
        let metrics = self.board.metrics();
        loop {
            let (resends, filters, waiting) = self.memory.tidy(!self.upstreams.is_empty());
            metrics.filters.set(gauged(filters as u64));
            metrics.pending.set(gauged(waiting as u64));
            for resend in resends {
                let answer = self.upstreams.ask(&resend.request).await;
                self.memory.answered(&resend, answer.as_deref());
            }
            time::sleep(TICK).await;
        }
    }

    /// Asks the main node now and then how far it is.
    async fn ask_height(self: Arc<Self>) {
        while !self.upstreams.is_empty() {
            if let Some(height) = self.upstreams.height().await {
                self.board.highest(height);
            }
            time::sleep(HEIGHT).await;
        }
    }

    async fn measure(self: Arc<Self>) {
        loop {
            let files = self.files.clone();
            let bytes = task::spawn_blocking(move || size(&files)).await.unwrap_or_default();
            self.board.metrics().database.set(gauged(bytes));
            time::sleep(MEASURE).await;
        }
    }
}

fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    match serde_json::to_string(value) {
        Ok(text) => Answer::json(status, text),
        Err(_) => Answer::text(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", "internal error\n"),
    }
}

/// What a body asks for.
#[derive(Debug)]
enum Method<'a> {
    Single(Cow<'a, str>),
    Batch,
    None,
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    method: Cow<'a, str>,
}

/// Some method of the body makes a witness.
fn asks_for_witness(body: &Bytes) -> bool {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Entry<'a> {
        #[serde(borrow)]
        Named(Named<'a>),
        Other(IgnoredAny),
    }
    // A name may be written with escapes.
    let may = body.windows(7).any(|part| part == b"Witness") || body.contains(&b'\\');
    let names = |named: &Named<'_>| named.method.ends_with("Witness");
    may && match serde_json::from_slice::<Vec<Entry<'_>>>(body) {
        Ok(entries) => entries.iter().any(|entry| match entry {
            Entry::Named(named) => names(named),
            Entry::Other(_) => false,
        }),
        Err(_) => serde_json::from_slice::<Named<'_>>(body).is_ok_and(|named| names(&named)),
    }
}

fn method(body: &Bytes) -> Method<'static> {
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
    if first == Some(&b'[') {
        return Method::Batch;
    }
    match serde_json::from_slice::<Named<'_>>(body) {
        Ok(named) => Method::Single(Cow::Owned(named.method.into_owned())),
        Err(_) => Method::None,
    }
}

/// How an answer is counted. A main node's error may have any code.
fn outcome(answer: &str) -> String {
    match error_code(answer) {
        None => "ok".to_owned(),
        Some(code) if CODES.contains(&code) => code.to_string(),
        Some(_) => "error".to_owned(),
    }
}

/// The code, if this is the core's answer with an error. In a JSON text only a member can look so.
fn error_code(text: &str) -> Option<i64> {
    if text.starts_with('[') {
        return None;
    }
    let (_, behind) = text.split_once(r#""error":{"code":"#)?;
    behind.split(',').next()?.parse().ok()
}

/// Bytes of all files in a folder.
fn size(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => size(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_methods_that_have_answered_are_labels() {
        let methods = Methods::default();
        let label = |name: &str, answer: &str| methods.label(name.into(), answer);
        let (answer, unknown) = (r#"{"result":1}"#, r#"{"error":{"code":-32601,"message":"no"}}"#);
        assert_eq!(label("eth_chainId", answer), "eth_chainId");
        assert_eq!(label("eth_chainId", ""), "eth_chainId");
        // Nothing is said to a notification, whatever it asks for.
        assert_eq!(label("invented", ""), "other");
        assert_eq!(label("invented", unknown), "other");
        assert_eq!(label(&"x".repeat(METHOD_NAME + 1), answer), "other");
        assert_eq!(methods.0.lock().unwrap().len(), 1);
    }

    #[test]
    fn outcomes_are_few_whatever_a_main_node_says() {
        let error =
            |code: i64| format!(r#"{{"jsonrpc":"2.0","id":1,"error":{{"code":{code},"message":"no"}}}}"#);
        assert_eq!(outcome(r#"{"jsonrpc":"2.0","id":1,"result":1}"#), "ok");
        assert_eq!(outcome(&error(-32601)), "-32601");
        assert_eq!(outcome(&error(-7)), "error");
    }

    #[test]
    fn witness_calls_are_told_from_others() {
        let asks = |body: &'static str| asks_for_witness(&Bytes::from_static(body.as_bytes()));
        for body in [
            r#"{"method":"zkevm_getWitness","params":["0x1"]}"#,
            r#"{"method":"zkevm_get\u0042atchWitnes\u0073","params":[1]}"#,
            r#"[1,{"method":"eth_chainId"},{"method":"zkevm_getBlockRangeWitness"}]"#,
        ] {
            assert!(asks(body), "{body}");
        }
        for body in [
            "",
            "Witness",
            r#"{"method":"eth_chainId"}"#,
            r#"{"method":"eth_call","params":["zkevm_getWitness"]}"#,
            r#"[{"method":"web3_sha3","params":["Witness\\"]}]"#,
        ] {
            assert!(!asks(body), "{body}");
        }
    }
}
