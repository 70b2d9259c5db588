//! An L1 node, as far as a replica asks one: its last block, and the rollup manager's storage as of a block.

use super::{Node, Sequencer, Shared};
use crate::http::{Answer, Handler, Socket};
use alloy_primitives::{Address, B256, U64, U256, keccak256};
use hyper::StatusCode;
use serde_json::{Value, json};
use std::sync::Arc;
use zk_replica_core::source::l1::RollupStorage;
use zk_replica_core::types::BatchEnd;

/// The rollup manager's contract.
pub(crate) const MANAGER: Address = Address::repeat_byte(0x11);
/// The rollup's number there.
pub(crate) const ROLLUP: u32 = 1;

/// Seconds between two blocks of L1, and the number of the first.
const BLOCK_TIME: u64 = 12;
const FIRST_BLOCK: u64 = 1_000;

/// L1's JSON-RPC.
#[derive(Debug)]
pub(crate) struct L1Api {
    shared: Arc<Shared>,
}

type Outcome = Result<Value, (i32, &'static str)>;

impl Handler for L1Api {
    async fn post(&self, body: hyper::body::Bytes) -> Answer {
        let shared = Arc::clone(&self.shared);
        match tokio::task::spawn_blocking(move || answer(&shared, &body)).await {
            Ok(answer) => Answer::json(StatusCode::OK, answer),
            Err(_) => Answer::text(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", "internal error"),
        }
    }

    async fn get(&self, _path: &str) -> Option<Answer> {
        None
    }

    /// There is nothing to subscribe to.
    async fn converse(&self, _socket: Socket) {}
}

impl L1Api {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

fn answer(shared: &Shared, body: &[u8]) -> String {
    let call: Value = serde_json::from_slice(body).unwrap_or_default();
    let outcome = match &*shared.lock() {
        Node::Made(sequencer) => result(&call, sequencer),
        Node::Recorded(_) => Err((-32000, "nothing is known of the L1 of a recorded stream")),
    };
    let id = &call["id"];
    match outcome {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err((code, message)) => {
            json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } })
        }
    }
    .to_string()
}

fn result(call: &Value, sequencer: &Sequencer) -> Outcome {
    let params = &call["params"];
    match call["method"].as_str() {
        Some("eth_getBlockByNumber") => {
            let end = sequencer.chain.l1.proved();
            let (settings, time) =
                (&sequencer.chain.settings, sequencer.chain.last().record.header.timestamp);
            let number = FIRST_BLOCK + time.saturating_sub(settings.genesis_time) / BLOCK_TIME;
            Ok(json!({ "number": U64::from(number), "hash": hash(number, end) }))
        }
        Some("eth_getStorageAt") => {
            let word = |value: &Value| serde_json::from_value::<B256>(value.clone()).ok();
            let at = word(&params[2]["blockHash"]).and_then(|hash| as_of(hash, sequencer));
            let end = at.ok_or((-32000, "header not found"))?;
            let slot = word(&params[1]).ok_or((-32602, "a slot was expected"))?;
            let ours = serde_json::from_value::<Address>(params[0].clone()).is_ok_and(|it| it == MANAGER);
            Ok(json!(B256::from(if ours { storage(slot.into(), end, sequencer) } else { U256::ZERO })))
        }
        _ => {
            Err((-32601, "this is an L1 node of a devnet: it has eth_getBlockByNumber and eth_getStorageAt"))
        }
    }
}

/// A block's hash says which batch was the last that was proved then, so that what is asked about one block fits together.
fn hash(number: u64, BatchEnd { number: batch, .. }: &BatchEnd) -> B256 {
    let mut hash = keccak256(["zk-replica devnet L1".as_bytes(), &number.to_be_bytes()].concat());
    hash[24..].copy_from_slice(&batch.to_be_bytes());
    hash
}

fn as_of(hash: B256, sequencer: &Sequencer) -> Option<&BatchEnd> {
    let batch = U256::from_be_bytes(hash.0).as_limbs()[0];
    sequencer.chain.l1.proof_of(batch)
}

/// The manager's storage when this batch was the last that was proved.
fn storage(slot: U256, end: &BatchEnd, sequencer: &Sequencer) -> U256 {
    let rollup = RollupStorage::new(MANAGER, ROLLUP);
    let last = sequencer.chain.last().record.batch;
    match slot {
        slot if slot == rollup.identity() => U256::from(sequencer.chain.settings.chain_id) << 160,
        slot if slot == rollup.progress() => U256::from(end.number) << 64 | U256::from(last),
        slot if slot == rollup.local_exit_root() => end.local_exit_root.into(),
        slot if slot == rollup.state_root(end.number) => end.state_root.into(),
        _ => U256::ZERO,
    }
}
