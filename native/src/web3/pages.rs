//! What operators look at: is it alive, is it ready, how far is it.

use super::upstreams::UpstreamStatus;
use crate::board::State;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use zk_replica_core::checker::Mismatch;
use zk_replica_core::types::Head;

/// Whether callers should be sent here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Readiness {
    /// Yes.
    Ready,
    /// What is served is true, and stays behind: the main node is wrong.
    Affected(String),
    /// There is nothing to serve, or it is old.
    NotReady(String),
}

impl Readiness {
    /// `stale_after`: so long after it was last at the tip, what is served is old.
    pub(super) fn of(state: &State, stale_after: Duration) -> Self {
        let Some(head) = &state.head else {
            return Self::NotReady("no block is verified yet".to_owned());
        };
        if let Some(mismatch) = &state.mismatch {
            return Self::Affected(format!("mismatch at {mismatch}"));
        }
        if let Some(reason) = &state.unsound {
            return Self::Affected(format!("the main node says what cannot be true: {reason}"));
        }
        if state.at_tip || state.left_tip.is_some_and(|left| left.elapsed() < stale_after) {
            return Self::Ready;
        }
        let trouble = state.trouble.as_deref().unwrap_or("catching up");
        let of = state.highest.map_or_else(String::new, |highest| format!(" of {highest}"));
        Self::NotReady(format!("stale: block {}{of}, {trouble}", head.number))
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Affected(_) => "affected",
            Self::NotReady(_) => "not_ready",
        }
    }

    /// Why not.
    pub(super) fn reason(&self) -> Option<&str> {
        match self {
            Self::Ready => None,
            Self::Affected(reason) | Self::NotReady(reason) => Some(reason),
        }
    }
}

/// The answer to `/health`.
#[derive(Debug, Serialize)]
pub(super) struct Health<'a> {
    status: &'static str,
    components: Components<'a>,
    head: Option<HeadStatus>,
}

#[derive(Debug, Serialize)]
struct Components<'a> {
    sync: Component<'a>,
    checker: Component<'a>,
    l1: Component<'a>,
}

#[derive(Debug, Serialize)]
struct Component<'a> {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

impl<'a> Health<'a> {
    pub(super) fn of(state: &'a State, readiness: &'a Readiness) -> Self {
        let component = |affected: bool| match affected {
            true => Component { status: readiness.name(), reason: readiness.reason() },
            false => Component { status: "ready", reason: None },
        };
        let components = Components {
            sync: component(matches!(readiness, Readiness::NotReady(_))),
            checker: component(matches!(readiness, Readiness::Affected(_))),
            l1: match &state.l1 {
                None => Component { status: "off", reason: None },
                Some(Ok(())) => Component { status: "ready", reason: None },
                Some(Err(reason)) => Component { status: "failing", reason: Some(reason) },
            },
        };
        Self { status: readiness.name(), components, head: state.head.as_ref().map(HeadStatus::of) }
    }
}

/// The answer to `/status`.
#[derive(Debug, Serialize)]
pub(super) struct NodeStatus {
    /// Of this program.
    pub(super) version: &'static str,
    /// Seconds since the start.
    pub(super) uptime: u64,
    pub(super) chain_id: u64,
    pub(super) status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    /// The block that is served as the latest.
    pub(super) height: Option<u64>,
    /// The last verified block: it may be on its way to the disk.
    pub(super) verified_height: Option<u64>,
    pub(super) main_node_height: Option<u64>,
    pub(super) lag_blocks: Option<u64>,
    /// Seconds since everything that the main node had sent was verified.
    pub(super) lag_seconds: Option<u64>,
    /// Seconds since the timestamp of the latest block.
    pub(super) tip_age: Option<u64>,
    pub(super) at_tip: bool,
    pub(super) connected: bool,
    pub(super) head: Option<HeadStatus>,
    pub(super) mismatch: Option<MismatchStatus>,
    pub(super) last_mismatch: Option<MismatchStatus>,
    /// What main nodes that do not serve say against what is verified, by their address.
    pub(super) contradictions: BTreeMap<String, String>,
    pub(super) upstreams: Vec<UpstreamStatus>,
}

#[derive(Debug, Serialize)]
pub(super) struct HeadStatus {
    number: u64,
    hash: String,
    state_root: String,
    timestamp: u64,
    batch: u64,
    fork_id: u64,
}

impl HeadStatus {
    fn of(head: &Head) -> Self {
        let &Head { number, hash, state_root, timestamp, batch, fork_id, .. } = head;
        Self { number, hash: hash.to_string(), state_root: state_root.to_string(), timestamp, batch, fork_id }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct MismatchStatus {
    block: u64,
    batch: u64,
    claim: String,
    expected: String,
    computed: String,
    /// When it was found, in seconds since 1970.
    found: u64,
}

impl MismatchStatus {
    fn of(mismatch: &Mismatch, found: SystemTime) -> Self {
        let Mismatch { batch, block, claim, expected, computed } = mismatch;
        Self {
            block: *block,
            batch: *batch,
            claim: claim.to_string(),
            expected: expected.to_string(),
            computed: computed.to_string(),
            found: since_1970(found),
        }
    }
}

impl NodeStatus {
    pub(super) fn of(
        state: &State,
        readiness: &Readiness,
        chain_id: u64,
        uptime: Duration,
        verified: Option<u64>,
        upstreams: Vec<UpstreamStatus>,
    ) -> Self {
        let head = state.head.as_ref();
        let height = head.map(|head| head.number);
        let last = state.last_mismatch.as_ref();
        let last = |_: &Mismatch| last.map(|(mismatch, found)| MismatchStatus::of(mismatch, *found));
        Self {
            version: env!("CARGO_PKG_VERSION"),
            uptime: uptime.as_secs(),
            chain_id,
            status: readiness.name(),
            reason: readiness.reason().map(str::to_owned),
            height,
            verified_height: verified.max(height),
            main_node_height: state.highest(),
            lag_blocks: state.lag(),
            lag_seconds: match state.at_tip {
                true => Some(0),
                false => state.left_tip.map(|left| left.elapsed().as_secs()),
            },
            tip_age: head.map(|head| since_1970(SystemTime::now()).saturating_sub(head.timestamp)),
            at_tip: state.at_tip,
            connected: state.connected,
            head: head.map(HeadStatus::of),
            mismatch: state.mismatch.as_ref().and_then(last),
            contradictions: state.contradictions.clone(),
            last_mismatch: state.last_mismatch.as_ref().and_then(|(mismatch, _)| last(mismatch)),
            upstreams,
        }
    }
}

fn since_1970(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn health_says_how_l1_does() {
        for (l1, shown) in [
            (None, json!({ "status": "off" })),
            (Some(Ok(())), json!({ "status": "ready" })),
            (Some(Err("no".to_owned())), json!({ "status": "failing", "reason": "no" })),
        ] {
            let state = State { l1, ..State::default() };
            let health = serde_json::to_value(Health::of(&state, &Readiness::Ready)).unwrap();
            assert_eq!(health["components"]["l1"], shown);
        }
    }
}
