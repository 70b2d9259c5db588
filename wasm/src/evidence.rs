//! The check of evidence files.

use crate::message::Mismatch;
use alloc::{
    string::{String, ToString},
    vec::Vec,
};
use alloy_primitives::B256;
use serde::Serialize;
use zk_replica_core::evidence::{self, Evidence};

/// What the check of evidence comes to.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Judgement {
    pub(crate) verdict: &'static str,
    pub(crate) mismatch: Option<Mismatch>,
    pub(crate) reason: Option<String>,
    pub(crate) chain_id: Option<u64>,
    pub(crate) anchors: Vec<Anchor>,
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(crate) enum Anchor {
    Parent {
        number: u64,
        hash: B256,
        state_root: B256,
        timestamp: u64,
        batch: u64,
        fork_id: u64,
        batch_closed: bool,
    },
    Repeated {
        batch: u64,
        state_root: B256,
    },
    Known {
        number: u64,
        hash: B256,
        batch: u64,
        fork_id: u64,
        block_info_root: B256,
    },
    Genesis {
        accounts: usize,
    },
}

impl From<evidence::Anchor> for Anchor {
    fn from(anchor: evidence::Anchor) -> Self {
        match anchor {
            evidence::Anchor::Parent {
                number,
                hash,
                state_root,
                timestamp,
                batch,
                fork_id,
                batch_closed,
            } => Self::Parent { number, hash, state_root, timestamp, batch, fork_id, batch_closed },
            evidence::Anchor::Repeated { batch, state_root } => Self::Repeated { batch, state_root },
            evidence::Anchor::Known { number, hash, batch, fork_id, block_info_root } => {
                Self::Known { number, hash, batch, fork_id, block_info_root }
            }
            evidence::Anchor::Genesis { accounts } => Self::Genesis { accounts },
        }
    }
}

/// Repeats the check of an evidence file.
pub(crate) fn judge(file: &[u8]) -> Judgement {
    let refused = |reason: String| Judgement {
        verdict: "refused",
        mismatch: None,
        reason: Some(reason),
        chain_id: None,
        anchors: Vec::new(),
    };
    let evidence = match Evidence::decode(file) {
        Ok(evidence) => evidence,
        Err(refusal) => return refused(refusal.to_string()),
    };
    let (verdict, mismatch) = match evidence.check() {
        Ok(evidence::Judgement::MainNodeIsWrong(mismatch)) => ("wrong", Some(Mismatch::from(&mismatch))),
        Ok(evidence::Judgement::NoMismatch) => ("true", None),
        Err(refusal) => return refused(refusal.to_string()),
    };
    let anchors = evidence.anchors().into_iter().map(Anchor::from).collect();
    Judgement { verdict, mismatch, reason: None, chain_id: Some(evidence.chain_id()), anchors }
}
