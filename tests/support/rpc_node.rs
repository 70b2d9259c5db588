use crate::Script;
use alloy_primitives::{B256, Bytes, keccak256};
use serde_json::{Value, json};
use std::{
    collections::{HashMap, VecDeque},
    io::{self, BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};
use zk_replica_core::{
    chain::ForkId,
    executor::Rules,
    source::{
        batch_data::{self, BatchEntry, BatchTransaction, ChangeL2Block},
        datastream::{L2Block, Message, Transaction},
    },
    types::{BatchEnd, BatchKind, BatchStart, EncodedTransaction},
};

/// What is done to one request, or to all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RpcFault {
    /// The connection is closed without an answer.
    Close,
    /// Nothing is ever answered.
    Silent,
    /// The answer ends after so many bytes, and the connection with it.
    CutAfter(usize),
    /// The body ends after so many bytes, and the length says so: JSON that is cut short.
    Truncated(usize),
    /// A proxy's page.
    Html,
    /// An HTTP status.
    Status(u16),
    /// A JSON-RPC error.
    Error(i64),
    /// Bytes that are no HTTP.
    Garbage,
    /// Chain and batches are so many blocks behind.
    Behind(u64),
}

/// Changes an answer: name of the method, its parameters, its result.
pub type Tamper = Arc<dyn Fn(&str, &Value, &mut Value) + Send + Sync>;

/// A main node that serves a stream's chain over JSON-RPC as cdk-erigon does (`spec/sync.md` §3.3), on a port of this
/// machine. Dropping it ends it.
#[derive(Clone)]
pub struct RpcNode {
    address: SocketAddr,
    shared: Arc<Mutex<State>>,
    ends: Arc<Ends>,
}

#[derive(Default)]
struct State {
    chain: Vec<Batch>,
    /// Number of the last block that is shown.
    visible: u64,
    faults: VecDeque<RpcFault>,
    standing: Option<RpcFault>,
    missing: Vec<&'static str>,
    tamper: Option<Tamper>,
    requests: usize,
    connections: Vec<TcpStream>,
    stopped: bool,
}

#[derive(Clone, Debug)]
struct Batch {
    start: BatchStart,
    blocks: Vec<(L2Block, Vec<Transaction>)>,
    end: Option<BatchEnd>,
    /// Forks of the following batches are those of the last.
    data: HashMap<usize, Bytes>,
}

/// Ends the server with its last handle.
struct Ends(SocketAddr, Arc<Mutex<State>>);

impl Drop for Ends {
    fn drop(&mut self) {
        let mut state = lock(&self.1);
        state.stopped = true;
        state.connections.drain(..).for_each(|socket| drop(socket.shutdown(Shutdown::Both)));
        drop(state);
        // Wakes the thread that accepts.
        drop(TcpStream::connect(self.0));
    }
}

impl std::fmt::Debug for RpcNode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RpcNode({})", self.address)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl RpcNode {
    /// Serves the chain of a stream, up to and with a block.
    ///
    /// # Panics
    ///
    /// When no port can be had.
    pub fn serve(script: &Script, visible: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Mutex::new(State::default()));
        let ends = Arc::new(Ends(address, Arc::clone(&shared)));
        let node = Self { address, shared: Arc::clone(&shared), ends };
        node.replace(script, visible);
        thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                if lock(&shared).stopped {
                    break;
                }
                let shared = Arc::clone(&shared);
                thread::spawn(move || drop(connection(socket, &shared)));
            }
        });
        node
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.ends.0)
    }

    /// Shows the chain up to and with a block.
    pub fn show(&self, visible: u64) {
        lock(&self.shared).visible = visible;
    }

    /// Serves another chain from now on.
    pub fn replace(&self, script: &Script, visible: u64) {
        let chain = batches(script);
        let mut state = lock(&self.shared);
        (state.chain, state.visible) = (chain, visible);
    }

    /// What is done to the requests to come, one after the other.
    pub fn fail_next(&self, faults: &[RpcFault]) {
        lock(&self.shared).faults.extend(faults);
    }

    /// What is done to all requests, until this is called again.
    pub fn fail(&self, fault: Option<RpcFault>) {
        lock(&self.shared).standing = fault;
    }

    /// Requests that have a fault still before them.
    pub fn faults_left(&self) -> usize {
        lock(&self.shared).faults.len()
    }

    /// These methods do not exist.
    pub fn lack(&self, methods: &[&'static str]) {
        lock(&self.shared).missing = methods.to_vec();
    }

    /// Changes answers, until this is called again.
    pub fn tamper(&self, tamper: Option<Tamper>) {
        lock(&self.shared).tamper = tamper;
    }

    /// How many requests there have been.
    pub fn requests(&self) -> usize {
        lock(&self.shared).requests
    }
}

fn batches(script: &Script) -> Vec<Batch> {
    let mut batches: Vec<Batch> = Vec::new();
    for message in &script.messages {
        if let Message::BatchStart(start) = message {
            batches.push(Batch { start: start.clone(), blocks: vec![], end: None, data: HashMap::new() });
            continue;
        }
        let Some(batch) = batches.last_mut() else {
            continue;
        };
        match message {
            Message::L2Block(block) => batch.blocks.push((block.clone(), vec![])),
            Message::Transaction(transaction) => {
                let block = batch.blocks.last_mut().expect("a transaction stands in a block");
                block.1.push(transaction.clone());
            }
            Message::BatchEnd(end) => batch.end = Some(end.clone()),
            _ => {}
        }
    }
    batches
}

fn connection(socket: TcpStream, shared: &Mutex<State>) -> io::Result<()> {
    lock(shared).connections.push(socket.try_clone()?);
    socket.set_nodelay(true)?;
    let mut reader = BufReader::new(socket.try_clone()?);
    let mut socket = socket;
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let (fault, answer) = {
            let mut state = lock(shared);
            state.requests += 1;
            let fault = state.faults.pop_front().or(state.standing);
            let behind = if let Some(RpcFault::Behind(blocks)) = fault { blocks } else { 0 };
            (fault, state.answer(&serde_json::from_slice(&body)?, behind).to_string())
        };
        let respond = |status: u16, kind: &str, body: &str| {
            format!(
                "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            )
        };
        let id = serde_json::from_slice::<Value>(&body)?["id"].clone();
        let text = match fault {
            None | Some(RpcFault::Behind(_)) => respond(200, "application/json", &answer),
            Some(RpcFault::Close) => return socket.shutdown(Shutdown::Both),
            Some(RpcFault::Silent) => {
                // Until the other side has had enough.
                socket.set_read_timeout(Some(Duration::from_secs(60)))?;
                return reader.read_exact(&mut [0]);
            }
            Some(RpcFault::CutAfter(bytes)) => {
                let text = respond(200, "application/json", &answer);
                socket.write_all(&text.as_bytes()[..bytes.min(text.len() - 1)])?;
                return socket.shutdown(Shutdown::Both);
            }
            Some(RpcFault::Truncated(bytes)) => {
                respond(200, "application/json", &answer[..bytes.min(answer.len() - 1)])
            }
            Some(RpcFault::Html) => respond(200, "text/html", "<html><body>Bad gateway</body></html>"),
            Some(RpcFault::Status(status)) => respond(status, "text/plain", "try later"),
            Some(RpcFault::Error(code)) => {
                let error = json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": "busy"}});
                respond(200, "application/json", &error.to_string())
            }
            Some(RpcFault::Garbage) => "\u{1}\u{2}garbage\r\n\r\n".to_owned(),
        };
        socket.write_all(text.as_bytes())?;
    }
}

impl State {
    fn answer(&mut self, request: &Value, behind: u64) -> Value {
        let method = request["method"].as_str().unwrap_or_default().to_owned();
        let params = request["params"].clone();
        let visible = self.visible.saturating_sub(behind);
        let result = if self.missing.contains(&method.as_str()) {
            None
        } else {
            self.result(&method, &params, visible)
        };
        match result {
            Some(mut result) => {
                if let Some(tamper) = &self.tamper {
                    tamper(&method, &params, &mut result);
                }
                json!({"jsonrpc": "2.0", "id": request["id"], "result": result})
            }
            None => {
                let message = format!("the method {method} does not exist/is not available");
                json!({"jsonrpc": "2.0", "id": request["id"], "error": {"code": -32601, "message": message}})
            }
        }
    }

    /// `None`: there is no such method.
    fn result(&mut self, method: &str, params: &Value, visible: u64) -> Option<Value> {
        let chain_id = self.chain[0].start.chain_id;
        let latest = self.chain.iter().filter(|batch| batch.is_visible(visible)).count() as u64 - 1;
        Some(match method {
            "eth_chainId" => quantity(chain_id),
            "eth_blockNumber" => quantity(visible),
            "zkevm_batchNumber" => quantity(latest),
            "zkevm_getForks" => {
                let mut forks: Vec<Value> = Vec::new();
                for batch in &self.chain[1..] {
                    let fork = quantity(batch.start.fork_id);
                    if forks.last().is_none_or(|last| last["forkId"] != fork) {
                        let from = quantity(batch.start.number);
                        forks.push(json!({"forkId": fork, "fromBatchNumber": from, "toBatchNumber":
                            "0xffffffffffffffff", "version": "", "blockNumber": "0x0"}));
                    }
                }
                forks.into()
            }
            "zkevm_getForkIdByBatchNumber" => {
                let batch = usize::try_from(number(&params[0])).ok()?;
                quantity(self.chain.get(batch)?.start.fork_id)
            }
            "zkevm_getBatchByNumber" if number(&params[0]) > latest => Value::Null,
            "zkevm_getBatchByNumber" => {
                let batch = usize::try_from(number(&params[0])).ok()?;
                let parent = self.parent(batch);
                self.chain[batch].object(visible, parent)
            }
            "eth_getBlockByNumber" => {
                let wanted = number(&params[0]);
                let blocks = self.chain.iter().flat_map(|batch| &batch.blocks);
                let mut parent = B256::ZERO;
                let mut found = Value::Null;
                for (block, transactions) in blocks.take_while(|(block, _)| block.number <= visible) {
                    if block.number == wanted {
                        found = head(block, transactions, parent, false);
                    }
                    parent = block.hash;
                }
                found
            }
            "zkevm_batchNumberByBlockNumber" => {
                let wanted = number(&params[0]);
                let has = |batch: &&Batch| batch.blocks.iter().any(|(block, _)| block.number == wanted);
                quantity(self.chain.iter().find(has)?.start.number)
            }
            "eth_getStorageAt" => {
                let blocks = self.chain.iter().flat_map(|batch| &batch.blocks);
                let slot = |root: B256| keccak256([root, B256::ZERO].concat()).to_string();
                let known = blocks.into_iter().find(|(block, _)| params[1] == slot(block.global_exit_root));
                json!(known.map_or(B256::ZERO, |(block, _)| block.l1_block_hash))
            }
            "zkevm_getExitRootTable" => {
                let blocks = self.chain.iter().flat_map(|batch| &batch.blocks);
                let leaves = blocks.filter(|(block, _)| block.l1_info_tree_index != 0);
                leaves
                    .map(|(block, _)| {
                        json!({"index": block.l1_info_tree_index, "ger": block.global_exit_root,
                            "parent_hash": block.l1_block_hash, "min_timestamp": block.min_timestamp})
                    })
                    .collect()
            }
            _ => return None,
        })
    }

    fn parent(&self, batch: usize) -> B256 {
        let before = self.chain[..batch].iter().rev().find_map(|batch| batch.blocks.last());
        before.map_or(B256::ZERO, |(block, _)| block.hash)
    }
}

impl Batch {
    /// It has a visible block, or all before it are visible and it has none.
    fn is_visible(&self, visible: u64) -> bool {
        self.blocks.first().is_none_or(|(block, _)| block.number <= visible)
    }

    fn object(&mut self, visible: u64, parent: B256) -> Value {
        let shown = self.blocks.iter().take_while(|(block, _)| block.number <= visible).count();
        let all = shown == self.blocks.len();
        let data = self.data.get(&shown).cloned().unwrap_or_else(|| self.encode(shown));
        self.data.insert(shown, data.clone());
        let mut parent = parent;
        let mut blocks = Vec::new();
        for (block, transactions) in &self.blocks[..shown] {
            blocks.push(head(block, transactions, parent, true));
            parent = block.hash;
        }
        let end = self.end.clone().filter(|_| all);
        let last = self.blocks[..shown].last().map(|(block, _)| block.clone()).unwrap_or_default();
        json!({
            "number": quantity(self.start.number),
            "coinbase": last.coinbase,
            "stateRoot": end.as_ref().map_or(last.state_root, |end| end.state_root),
            "timestamp": quantity(last.timestamp),
            "blocks": if blocks.is_empty() { Value::Null } else { blocks.into() },
            "transactions": [],
            "globalExitRoot": B256::ZERO,
            "mainnetExitRoot": B256::ZERO,
            "rollupExitRoot": B256::ZERO,
            "localExitRoot": end.as_ref().map(|end| end.local_exit_root).unwrap_or_default(),
            "sendSequencesTxHash": null,
            "verifyBatchTxHash": null,
            "accInputHash": B256::ZERO,
            "closed": end.is_some(),
            "batchL2Data": data,
        })
    }

    fn encode(&self, shown: usize) -> Bytes {
        let Ok(fork) = ForkId::try_from(self.start.fork_id) else {
            return Bytes::new();
        };
        let encoding = &Rules::of(fork).encoding;
        let mut entries = Vec::new();
        for (block, transactions) in &self.blocks[..shown] {
            if encoding.l2_blocks {
                let forced = self.start.kind != BatchKind::Regular;
                entries.push(BatchEntry::ChangeL2Block(ChangeL2Block {
                    delta_timestamp: if forced { 0 } else { block.delta_timestamp },
                    l1_info_index: block.l1_info_tree_index,
                }));
            }
            entries.extend(
                transactions
                    .iter()
                    .map(|transaction| BatchEntry::Transaction(BatchTransaction::from(&signed(transaction)))),
            );
        }
        batch_data::encode(&entries, encoding).into()
    }
}

fn signed(transaction: &Transaction) -> zk_replica_core::types::Transaction {
    let encoded = EncodedTransaction {
        encoded: transaction.encoded.clone(),
        effective_percentage: transaction.effective_percentage,
    };
    encoded.recover().expect("signed")
}

fn head(block: &L2Block, transactions: &[Transaction], parent: B256, extra: bool) -> Value {
    let gas_limit = match (block.number, block.gas_limit) {
        (0, _) => 0,
        (_, 0) => 1 << 50,
        (_, limit) => limit,
    };
    let mut head = json!({
        "number": quantity(block.number),
        "hash": block.hash,
        "parentHash": parent,
        "stateRoot": block.state_root,
        "miner": block.coinbase,
        "timestamp": quantity(block.timestamp),
        "gasLimit": quantity(gas_limit),
        "transactions": transactions.iter().map(|one| keccak256(&one.encoded)).collect::<Vec<_>>(),
    });
    if extra {
        head["blockInfoRoot"] = json!(block.block_info_root);
        head["globalExitRoot"] = json!(block.global_exit_root);
    }
    head
}

fn quantity(number: u64) -> Value {
    format!("{number:#x}").into()
}

fn number(value: &Value) -> u64 {
    let text = value.as_str().unwrap_or_default().trim_start_matches("0x");
    u64::from_str_radix(text, 16).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_served_with_its_data() {
        let script = crate::Made::chain().script();
        let mut state = State { chain: batches(&script), visible: 150, ..State::default() };
        let request = json!({"id": 1, "method": "zkevm_getBatchByNumber", "params": ["0x2", true]});
        let batch = &state.answer(&request, 0)["result"];
        assert_eq!(batch["blocks"].as_array().map(Vec::len), Some(50));
        assert_eq!(batch["closed"], false);
        let data = alloy_primitives::hex::decode(batch["batchL2Data"].as_str().unwrap_or_default())
            .expect("hexadecimal");
        assert_eq!(data.len(), 50 * 9);
    }
}
