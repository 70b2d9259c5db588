//! What the script is told, as JSON.

#![cfg_attr(not(feature = "full"), allow(dead_code, reason = "light mode has less to tell"))]

use alloc::{
    string::{String, ToString},
    vec::Vec,
};
use alloy_primitives::B256;
use serde::Serialize;
use zk_replica_core::{
    checker::{self, VerifiedBlock},
    source::l1::L1View,
    types::{self, BlockClaims, Frontier},
};

/// What came of some work.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    /// What goes on when the time comes.
    pub(crate) next: Next,
    /// What to ask the main node.
    pub(crate) asks: Vec<Ask>,
    pub(crate) events: Vec<Event>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Next {
    /// There is more to do.
    Work,
    /// Bytes of the stream are needed.
    Stream,
    /// Answers are under way.
    Answers,
    /// The main node has nothing new: ask again after a while.
    Poll,
    /// There is no source.
    Connect,
}

#[derive(Serialize)]
pub(crate) struct Ask {
    pub(crate) id: u64,
    pub(crate) body: String,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "camelCase")]
#[expect(clippy::large_enum_variant, reason = "most events are blocks")]
pub(crate) enum Event {
    /// The checkpoint's block is known.
    Opened,
    Block(Block),
    Mismatch {
        mismatch: Mismatch,
        evidence: bool,
    },
    /// The main node was wrong, and is right again.
    Corrected,
    RolledBack {
        from: u64,
        to: u64,
    },
    /// The connection, or the stream, is at an end.
    Lost {
        reason: String,
        contradiction: bool,
    },
    /// The stream was verified to its end.
    StreamEnd,
    /// Everything that the main node has is verified.
    Tip,
    /// The disk does not work: records are in memory from now on.
    Storage {
        quota: bool,
        message: String,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Block {
    number: u64,
    hash: B256,
    state_root: B256,
    parent_hash: B256,
    timestamp: u64,
    batch: u64,
    fork_id: u64,
    transactions: usize,
    gas_used: u64,
    claimed: Values,
    computed: Values,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Values {
    hash: B256,
    state_root: B256,
    block_info_root: B256,
    timestamp: u64,
    batch: u64,
}

impl Block {
    pub(crate) fn new(block: &VerifiedBlock, claims: &BlockClaims, timestamp: u64) -> Self {
        let (head, record) = (block.head(), block.record());
        let header = &record.header;
        Self {
            number: head.number,
            hash: head.hash,
            state_root: head.state_root,
            parent_hash: header.parent_hash,
            timestamp: header.timestamp,
            batch: record.batch,
            fork_id: record.fork_id,
            transactions: record.transactions.len(),
            gas_used: header.gas_used,
            claimed: Values {
                hash: claims.hash,
                state_root: claims.state_root,
                block_info_root: claims.block_info_root,
                timestamp,
                batch: claims.batch,
            },
            computed: Values {
                hash: head.hash,
                state_root: head.state_root,
                block_info_root: record.block_info_root,
                timestamp: header.timestamp,
                batch: record.batch,
            },
        }
    }
}

#[derive(Clone, Serialize)]
pub(crate) struct Mismatch {
    batch: u64,
    block: u64,
    claim: String,
    /// Whose claim it is.
    by: &'static str,
    expected: String,
    computed: String,
}

impl From<&checker::Mismatch> for Mismatch {
    fn from(mismatch: &checker::Mismatch) -> Self {
        Self {
            batch: mismatch.batch,
            block: mismatch.block,
            claim: mismatch.claim.to_string(),
            by: if mismatch.claim.is_made_by_l1() { "l1" } else { "mainNode" },
            expected: mismatch.expected.to_string(),
            computed: mismatch.computed.to_string(),
        }
    }
}

/// How far the engine is.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Status<'a> {
    pub(crate) chain_id: u64,
    pub(crate) chain_name: &'a str,
    pub(crate) verified: Option<&'a types::Head>,
    pub(crate) halted: Option<&'a Mismatch>,
    pub(crate) evidence: bool,
    pub(crate) kept: bool,
    pub(crate) stored: u64,
    /// Where L1 is asked.
    pub(crate) l1: Option<L1>,
}

/// What is known of L1.
#[derive(Serialize)]
pub(crate) struct L1 {
    /// What it said last.
    proved: Option<Proved>,
    /// How far it agrees.
    finalized: Option<Fixed>,
}

/// The last batch that is proved, as of an L1 block.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Proved {
    l1_block: u64,
    batch: u64,
}

/// The last block that is never rolled back, and its batch.
#[derive(Serialize)]
struct Fixed {
    block: u64,
    batch: u64,
}

impl L1 {
    pub(crate) fn new(heard: Option<&L1View>, frontier: Option<Frontier>) -> Self {
        Self {
            proved: heard.map(|view| Proved { l1_block: view.l1_block, batch: view.consolidated.number }),
            finalized: frontier.map(|Frontier { block, batch }| Fixed { block, batch }),
        }
    }
}

/// What is to be done for a request.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Reply {
    Answer(String),
    /// The main node is asked, and [`crate::Engine::finish`] told.
    Forward {
        id: u32,
        requests: Vec<String>,
    },
    /// Whoever has the state is asked, and [`crate::Engine::proved`] told.
    #[cfg(feature = "light")]
    Fetch {
        id: u32,
        body: String,
    },
}
