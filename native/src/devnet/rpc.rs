//! JSON-RPC as a main node has it (`spec/sync.md` §3): what the core answers from the store, what only a sequencer knows,
//! and `devnet_*`.

use super::chain::GAS_PRICE;
use super::l1::Leaf;
use super::lies::{LIES, Lie, OverRpc};
use super::told::Told;
use super::{Node, Sequencer, Shared};
use crate::http::{Answer, Handler, Socket};
use alloy_consensus::transaction::RlpEcdsaDecodableTx as _;
use alloy_consensus::{SignableTransaction as _, TxLegacy};
use alloy_primitives::{Address, B256, Bytes, U64, U128, U256, hex, keccak256};
use hyper::StatusCode;
use serde_json::{Map, Value, json};
use std::mem::take;
use std::sync::Arc;
use zk_replica_core::chain::ChainSpec;
use zk_replica_core::rpc::{Config, Reply, Rpc, Status};
use zk_replica_core::types::{EncodedTransaction, Transaction};

/// Most requests in a batch.
const BATCH: usize = 100;
/// Most blocks that one `devnet_mine` makes.
const MINE: u64 = 10_000;

/// The devnet's JSON-RPC.
#[derive(Debug)]
pub(crate) struct Api {
    shared: Arc<Shared>,
    rpc: Rpc,
}

/// A JSON-RPC error.
struct Refusal {
    code: i32,
    message: String,
}

impl Refusal {
    fn server(error: impl ToString) -> Self {
        Self { code: -32000, message: error.to_string() }
    }

    fn argument(position: usize, reason: &str) -> Self {
        Self { code: -32602, message: format!("invalid argument {position}: {reason}") }
    }
}

type Outcome = Result<Value, Refusal>;

impl Handler for Api {
    async fn post(&self, body: hyper::body::Bytes) -> Answer {
        let (shared, rpc) = (Arc::clone(&self.shared), self.rpc.clone());
        let answer = tokio::task::spawn_blocking(move || Self { shared, rpc }.answer(&body));
        match answer.await {
            Ok(answer) => Answer::json(StatusCode::OK, answer),
            Err(_) => Answer::text(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", "internal error"),
        }
    }

    async fn get(&self, _path: &str) -> Option<Answer> {
        None
    }

    async fn converse(&self, mut socket: Socket) {
        while let Some(request) = socket.next().await {
            let (shared, rpc) = (Arc::clone(&self.shared), self.rpc.clone());
            let answer = tokio::task::spawn_blocking(move || Self { shared, rpc }.answer(request.as_bytes()));
            // A panic ends the conversation.
            let Ok(answer) = answer.await else { return };
            if !answer.is_empty() && !socket.outbox().send(answer) {
                return;
            }
        }
    }
}

impl Api {
    /// Of this chain.
    pub(crate) fn new(shared: Arc<Shared>, spec: ChainSpec) -> Self {
        let client_version = concat!("zk-replica-devnet/v", env!("CARGO_PKG_VERSION")).to_owned();
        Self { shared, rpc: Rpc::new(spec, Config { client_version, ..Config::default() }) }
    }

    /// Answers a request or a batch; empty when nobody waits for an answer.
    fn answer(&self, body: &[u8]) -> String {
        let mut node = self.shared.lock();
        let Node::Made(sequencer) = &mut *node else {
            return refusal(&Value::Null, &Refusal::server("a recorded stream has no JSON-RPC"));
        };
        let answer = match serde_json::from_slice(body) {
            Ok(Value::Array(calls)) if (1..=BATCH).contains(&calls.len()) => {
                let answers = calls.iter().map(|call| self.one(call, sequencer));
                let answers: Vec<_> = answers.filter(|answer| !answer.is_empty()).collect();
                if answers.is_empty() { String::new() } else { format!("[{}]", answers.join(",")) }
            }
            Ok(call @ Value::Object(_)) => self.one(&call, sequencer),
            // The core says what is wrong with it.
            _ => self.core_answer(body, sequencer),
        };
        drop(node);
        self.shared.announce();
        answer
    }

    fn one(&self, call: &Value, sequencer: &mut Sequencer) -> String {
        let none = Vec::new();
        let (method, params) = (call["method"].as_str(), call["params"].as_array().unwrap_or(&none));
        let own = match (call.get("id"), method) {
            (Some(_), Some(method)) => self.own(method, params, sequencer),
            _ => None,
        };
        match own {
            Some(Ok(result)) => json!({ "jsonrpc": "2.0", "id": call["id"], "result": result }).to_string(),
            Some(Err(error)) => refusal(&call["id"], &error),
            None => self.core_answer(call.to_string().as_bytes(), sequencer),
        }
    }

    /// Answered from the store; what the core would ask a main node is asked here.
    fn core_answer(&self, body: &[u8], sequencer: &mut Sequencer) -> String {
        let reply = self.rpc.handle(body, &Status::default(), &sequencer.teller.store(&sequencer.chain));
        match reply {
            Reply::Answer(answer) => answer,
            Reply::Forward(forward) => {
                let answers: Vec<_> =
                    forward.requests().map(|request| main_node(request, sequencer)).collect();
                forward.finish(answers)
            }
        }
    }

    /// The core's result of a method.
    fn result(&self, method: &str, params: &[Value], sequencer: &mut Sequencer) -> Outcome {
        let call = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let answer: Value = serde_json::from_str(&self.core_answer(call.to_string().as_bytes(), sequencer))
            .map_err(|_| Refusal::server("internal error"))?;
        match &answer["error"] {
            Value::Null => Ok(answer["result"].clone()),
            error => {
                let code = error["code"].as_i64().and_then(|code| i32::try_from(code).ok()).unwrap_or(-32603);
                Err(Refusal { code, message: error["message"].as_str().unwrap_or_default().to_owned() })
            }
        }
    }

    /// Methods that a replica does not have, or not with all that a main node knows.
    fn own(&self, method: &str, params: &[Value], sequencer: &mut Sequencer) -> Option<Outcome> {
        Some(match method {
            "zkevm_getBatchByNumber" => self.batch(params, sequencer),
            "zkevm_getBatchDataByNumbers" => batch_data(params, sequencer),
            "zkevm_getExitRootTable" => Ok(leaves(sequencer).iter().map(table_row).collect()),
            "zkevm_getExitRootsByGER" => exit_roots(params, sequencer),
            "zkevm_getLatestGlobalExitRoot" => {
                let roots =
                    sequencer.teller.told().iter().rev().map(|told| told.record.l1_info.global_exit_root);
                Ok(json!(roots.into_iter().find(|root| !root.is_zero()).unwrap_or_default()))
            }
            "txpool_status" => Ok(
                json!({ "pending": U64::from(sequencer.chain.pool.len()), "baseFee": "0x0", "queued": "0x0" }),
            ),
            "txpool_content" => Ok(pool_content(sequencer)),
            "devnet_mine" => {
                let blocks = params.first().map_or(Some(1), number);
                match blocks.filter(|blocks| *blocks <= MINE) {
                    None => Err(Refusal::argument(0, "at most 10000 blocks")),
                    Some(blocks) => (0..blocks)
                        .try_for_each(|_| sequencer.mine())
                        .map(|()| json!(U64::from(sequencer.chain.last().number())))
                        .map_err(Refusal::server),
                }
            }
            "devnet_rollBack" => match params.first().and_then(number) {
                None => Err(Refusal::argument(0, "a block number was expected")),
                Some(block) => sequencer.roll_back(block).map(|()| Value::Null).map_err(Refusal::server),
            },
            "devnet_lie" => {
                let lie = params.first().and_then(Value::as_str).and_then(Lie::named);
                let from = params.get(1).map_or(Some(sequencer.chain.last().number() + 1), number);
                match (lie, from) {
                    (Some(lie), Some(from)) => {
                        sequencer.lie(lie, from).map(|()| lies(sequencer)).map_err(Refusal::server)
                    }
                    (None, _) => Err(Refusal::argument(0, "no such lie: devnet_listLies names them")),
                    (_, None) => Err(Refusal::argument(1, "a block number was expected")),
                }
            }
            "devnet_honest" => sequencer.be_honest().map(|()| Value::Null).map_err(Refusal::server),
            "devnet_lies" => Ok(lies(sequencer)),
            "devnet_listLies" => Ok(LIES
                .iter()
                .map(|lie| {
                    let (claim, rpc) = (lie.claim.name(), over_rpc(lie));
                    json!({ "kind": lie.name, "about": lie.about, "claim": claim, "overRpc": rpc })
                })
                .collect()),
            "devnet_accounts" => Ok(sequencer
                .chain
                .accounts
                .iter()
                .map(|account| json!({ "address": account.address, "privateKey": account.secret() }))
                .collect()),
            _ => return None,
        })
    }

    /// The core's batch, with what only L1 knows and with its data, and ended as it is told.
    fn batch(&self, params: &[Value], sequencer: &mut Sequencer) -> Outcome {
        let mut batch = self.result("zkevm_getBatchByNumber", params, sequencer)?;
        let Some(members) = batch.as_object_mut() else {
            return Ok(batch);
        };
        let batch_number = number(&members["number"]).unwrap_or_default();
        let Some(last) = blocks(batch_number, sequencer).last() else {
            return Ok(Value::Null);
        };
        if let Some(end) = &last.end {
            members.insert("stateRoot".to_owned(), json!(end.state_root));
            members.insert("localExitRoot".to_owned(), json!(end.local_exit_root));
        }
        if batch_number > 0 {
            members.insert("coinbase".to_owned(), json!(sequencer.chain.coinbase()));
        }
        if let Some(list) = members["blocks"].as_array_mut() {
            *list =
                take(list).into_iter().filter_map(|block| as_told(block, batch_number, sequencer)).collect();
        }
        let leaf = serde_json::from_value(members["globalExitRoot"].clone())
            .ok()
            .and_then(|root| find_leaf(sequencer, root));
        if let Some(leaf) = leaf {
            members.insert("mainnetExitRoot".to_owned(), json!(leaf.mainnet_exit_root));
            members.insert("rollupExitRoot".to_owned(), json!(leaf.rollup_exit_root));
        }
        members.insert("batchL2Data".to_owned(), json!(data(batch_number, sequencer)));
        Ok(batch)
    }
}

/// A block of a batch with the transactions that are told of it; `None` when it is not told: a lie passed it over.
fn as_told(mut block: Value, batch: u64, sequencer: &Sequencer) -> Option<Value> {
    let hash = if block.is_object() { &block["hash"] } else { &block };
    let told = blocks(batch, sequencer).find(|told| *hash == json!(told.hash()))?;
    if block.is_object() {
        let transactions = told.record.transactions.iter();
        block["transactions"] = transactions.map(|one| json!(keccak256(&one.encoded))).collect();
    }
    Some(block)
}

/// What the core asks of a main node.
fn main_node(request: &str, sequencer: &mut Sequencer) -> Option<Vec<u8>> {
    let call: Value = serde_json::from_str(request).ok()?;
    let first = &call["params"][0];
    let outcome = match call["method"].as_str()? {
        "eth_gasPrice" => Ok(json!(U128::from(GAS_PRICE))),
        "eth_maxPriorityFeePerGas" => Ok(json!("0x0")),
        "eth_sendRawTransaction" => {
            let encoded: Bytes = serde_json::from_value(first.clone()).ok()?;
            sequencer
                .submit(EncodedTransaction { encoded, effective_percentage: u8::MAX })
                .map_err(Refusal::server)
        }
        "eth_getTransactionCount" => {
            let address: Address = serde_json::from_value(first.clone()).ok()?;
            sequencer
                .chain
                .pending_nonce(address)
                .map(|nonce| json!(U64::from(nonce)))
                .map_err(Refusal::server)
        }
        "eth_getTransactionByHash" => {
            let hash: B256 = serde_json::from_value(first.clone()).ok()?;
            Ok(sequencer.chain.pool.get(hash).map_or(Value::Null, pending))
        }
        method => {
            let message = format!("the method {method} does not exist/is not available");
            Err(Refusal { code: -32601, message })
        }
    };
    Some(match outcome {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": 1, "result": result }).to_string().into_bytes(),
        Err(error) => refusal(&json!(1), &error).into_bytes(),
    })
}

fn refusal(id: &Value, Refusal { code, message }: &Refusal) -> String {
    json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } }).to_string()
}

/// A number as JSON or as a quantity.
fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => u64::from_str_radix(text.strip_prefix("0x")?, 16).ok(),
        _ => None,
    }
}

fn lies(sequencer: &Sequencer) -> Value {
    let lies = sequencer.teller.lies().iter().map(|standing| {
        json!({
            "kind": standing.lie.name,
            "claim": standing.lie.claim.name(),
            "toldAt": standing.told_at,
            "caughtAt": standing.caught_at,
            "overRpc": over_rpc(standing.lie),
        })
    });
    lies.collect()
}

/// How the lie is told in JSON-RPC: `told`, or why it is not, or what a replica says of the contradiction.
fn over_rpc(lie: &Lie) -> Value {
    match lie.rpc {
        OverRpc::Same => json!("told"),
        OverRpc::Untold(why) => json!({ "untold": why }),
        OverRpc::Unsound(words) => json!({ "unsound": words }),
    }
}

/// The leaves of the L1 info tree, as they are told of blocks.
fn leaves(sequencer: &Sequencer) -> Vec<Leaf> {
    let mut leaves = sequencer.chain.l1.leaves().to_vec();
    // The first block with a leaf brings it in, and may lie about it.
    for told in sequencer.teller.told().iter().rev() {
        let info = told.record.l1_info;
        match leaves.iter_mut().find(|leaf| leaf.info.index == info.index) {
            Some(leaf) => leaf.info = info,
            None if info.index != 0 => leaves.push(Leaf::made_up(info)),
            None => {}
        }
    }
    leaves
}

fn find_leaf(sequencer: &Sequencer, global_exit_root: B256) -> Option<&Leaf> {
    sequencer.chain.l1.leaves().iter().find(|leaf| leaf.info.global_exit_root == global_exit_root)
}

fn table_row(leaf: &Leaf) -> Value {
    json!({
        "index": leaf.info.index,
        "ger": leaf.info.global_exit_root,
        "info_root": leaf.info_root,
        "mainnet_exit_root": leaf.mainnet_exit_root,
        "rollup_exit_root": leaf.rollup_exit_root,
        "parent_hash": leaf.info.block_hash,
        "min_timestamp": leaf.info.min_timestamp,
        "block_number": leaf.block_number,
    })
}

fn exit_roots(params: &[Value], sequencer: &Sequencer) -> Outcome {
    let root = params.first().and_then(|root| serde_json::from_value(root.clone()).ok());
    let root: B256 = root.ok_or_else(|| Refusal::argument(0, "a hash was expected"))?;
    Ok(find_leaf(sequencer, root).map_or(Value::Null, |leaf| {
        json!({
            "blockNumber": U64::from(leaf.block_number),
            "timestamp": U64::from(leaf.info.min_timestamp),
            "mainnetExitRoot": leaf.mainnet_exit_root,
            "rollupExitRoot": leaf.rollup_exit_root,
        })
    }))
}

/// The data of batches by number.
fn batch_data(params: &[Value], sequencer: &Sequencer) -> Outcome {
    let numbers = params.first().and_then(|first| first["numbers"].as_array());
    let numbers = numbers.ok_or_else(|| Refusal::argument(0, "{\"numbers\": [...]} was expected"))?;
    let last = sequencer.teller.told().last().map_or(0, |told| told.start.number);
    let items = numbers.iter().take(BATCH).filter_map(|item| {
        let number = if item == "latest" { last } else { number(item)? };
        let data = data(number, sequencer);
        let mut item = json!({ "number": U64::from(number), "empty": data.is_empty() });
        if !data.is_empty() {
            item["batchL2Data"] = json!(data);
        }
        Some(item)
    });
    Ok(json!({ "data": items.collect::<Vec<_>>() }))
}

/// batchL2Data of the blocks as they are told. The injected batch has an entry for its block too, as cdk-erigon writes it.
fn data(batch: u64, sequencer: &Sequencer) -> Bytes {
    let mut data = Vec::new();
    for told in blocks(batch, sequencer).filter(|told| told.number() > 0) {
        block_data(told, &mut data);
    }
    data.into()
}

/// The blocks that are told of a batch.
fn blocks(batch: u64, sequencer: &Sequencer) -> impl Iterator<Item = &Told> {
    sequencer.teller.told().iter().filter(move |told| told.start.number == batch)
}

fn block_data(told: &Told, data: &mut Vec<u8>) {
    data.push(0x0b);
    data.extend_from_slice(&told.delta.to_be_bytes());
    data.extend_from_slice(&told.record.l1_info.index.to_be_bytes());
    for transaction in &told.record.transactions {
        let decoded = TxLegacy::rlp_decode_with_signature(&mut transaction.encoded.as_ref());
        // Nothing else is made or told here.
        let Ok((fields, signature)) = decoded else { continue };
        fields.encode_for_signing(data);
        data.extend_from_slice(&signature.r().to_be_bytes::<32>());
        data.extend_from_slice(&signature.s().to_be_bytes::<32>());
        data.extend_from_slice(&[27 + u8::from(signature.v()), transaction.effective_percentage]);
    }
}

/// A waiting transaction as an object.
fn pending(transaction: &Transaction) -> Value {
    let (fields, signature) = (transaction.fields(), transaction.signature());
    let parity = U256::from(signature.v());
    let v =
        fields.chain_id.map_or(U256::from(27), |id| U256::from(id) * U256::from(2) + U256::from(35)) + parity;
    json!({
        "blockHash": null,
        "blockNumber": null,
        "transactionIndex": null,
        "from": transaction.sender(),
        "gas": U64::from(fields.gas_limit),
        "gasPrice": U128::from(fields.gas_price),
        "hash": transaction.hash(),
        "input": hex::encode_prefixed(&fields.input),
        "nonce": U64::from(fields.nonce),
        "to": fields.to.to(),
        "value": fields.value,
        "type": "0x0",
        "chainId": fields.chain_id.map(U64::from),
        "v": v,
        "r": signature.r(),
        "s": signature.s(),
    })
}

fn pool_content(sequencer: &Sequencer) -> Value {
    let mut waiting: Map<String, Value> = Map::new();
    for transaction in sequencer.chain.pool.all() {
        let sender = waiting.entry(transaction.sender().to_string()).or_insert_with(|| json!({}));
        sender[transaction.fields().nonce.to_string()] = pending(transaction);
    }
    json!({ "pending": waiting, "baseFee": {}, "queued": {} })
}
