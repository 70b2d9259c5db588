//! What the follower has come to, told to whoever serves.

use crate::metrics::{Metrics, gauged};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::watch;
use zk_replica_core::checker::{Mismatch, VerifiedBlock};
use zk_replica_core::types::{Frontier, Head};

/// Where the follower writes, and others read. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Board {
    state: Arc<watch::Sender<State>>,
    metrics: Arc<Metrics>,
}

/// How things stand.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    /// The last verified block on the disk.
    pub(crate) head: Option<Head>,
    /// The main node's last block, as far as it is known.
    pub(crate) highest: Option<u64>,
    /// Everything that the main node has sent is verified and on the disk.
    pub(crate) at_tip: bool,
    /// When that was last so, if it is not.
    pub(crate) left_tip: Option<Instant>,
    /// How far L1 has proved the chain, where that was compared.
    pub(crate) finalized: Option<Frontier>,
    /// Whether L1 answers, or why not; `None` when it is not asked.
    pub(crate) l1: Option<Result<(), String>>,
    /// There is a connection to follow the main node.
    pub(crate) connected: bool,
    /// Why there is none, or why nothing comes.
    pub(crate) trouble: Option<String>,
    /// What the main node says that cannot be true, whatever its chain is; until the tip is reached.
    pub(crate) unsound: Option<String>,
    /// What main nodes that do not serve say against what is verified, by their address.
    pub(crate) contradictions: BTreeMap<String, String>,
    /// What the main node is wrong about now.
    pub(crate) mismatch: Option<Mismatch>,
    /// What it was last wrong about, and when that was found.
    pub(crate) last_mismatch: Option<(Mismatch, SystemTime)>,
}

impl State {
    /// The main node's last block: at least our own.
    pub(crate) fn highest(&self) -> Option<u64> {
        self.highest.max(self.head.as_ref().map(|head| head.number))
    }

    /// How many blocks the main node is ahead.
    pub(crate) fn lag(&self) -> Option<u64> {
        Some(self.highest()? - self.head.as_ref()?.number)
    }

    fn leave_tip(&mut self) {
        if self.at_tip {
            self.at_tip = false;
            self.left_tip = Some(Instant::now());
        }
    }
}

impl Board {
    /// Nothing is known.
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        Self { state: Arc::new(watch::Sender::new(State::default())), metrics }
    }

    /// Where all is counted.
    pub(crate) fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// To see each change.
    pub(crate) fn subscribe(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// A block was verified in so much time. It may not be on the disk yet.
    pub(crate) fn verified(&self, block: &VerifiedBlock, time: Duration) {
        let metrics = &self.metrics;
        metrics.blocks.inc();
        metrics.transactions.inc_by(block.record().transactions.len() as u64);
        metrics.gas.inc_by(block.record().header.gas_used);
        metrics.verify_time.observe(time.as_secs_f64());
        metrics.verified_block.set(gauged(block.head().number));
    }

    /// The chain on the disk ends here.
    pub(crate) fn stored(&self, head: Head) {
        if self.state.borrow().head.as_ref() == Some(&head) {
            return;
        }
        self.metrics.head_block.set(gauged(head.number));
        self.metrics.head_timestamp.set(gauged(head.timestamp));
        self.change(|state| state.head = Some(head));
    }

    /// The main node says that this is its last block.
    pub(crate) fn highest(&self, block: u64) {
        if self.state.borrow().highest != Some(block) {
            self.change(|state| state.highest = Some(block));
        }
    }

    /// L1 has proved the chain so far, and agrees.
    pub(crate) fn finalized(&self, frontier: Frontier) {
        self.metrics.finalized_block.set(gauged(frontier.block));
        self.change(|state| state.finalized = Some(frontier));
    }

    /// L1 is asked, and answers or does not.
    pub(crate) fn l1(&self, answers: Result<(), String>) {
        if self.state.borrow().l1.as_ref() != Some(&answers) {
            self.change(|state| state.l1 = Some(answers));
        }
    }

    /// There is a connection.
    pub(crate) fn connected(&self) {
        self.metrics.connects.inc();
        self.change(|state| {
            state.connected = true;
            state.trouble = None;
        });
    }

    /// The connection is gone, or was never made. `unsound`: because what the main node says cannot be true.
    pub(crate) fn lost(&self, reason: &str, unsound: bool) {
        self.metrics.disconnects.inc();
        self.change(|state| {
            state.connected = false;
            state.trouble = Some(reason.to_owned());
            if unsound {
                state.unsound = Some(reason.to_owned());
            }
            state.leave_tip();
        });
    }

    /// The main node has nothing with which to go on, and the connection is at its end.
    pub(crate) fn waiting(&self, reason: &str) {
        self.change(|state| {
            state.connected = false;
            state.trouble = Some(reason.to_owned());
            state.leave_tip();
        });
    }

    /// The main node is wrong, and the connection at its end.
    pub(crate) fn mismatch(&self, mismatch: &Mismatch) {
        // It is found again with each attempt.
        let is_news = self.state.borrow().mismatch.as_ref() != Some(mismatch);
        if is_news {
            self.metrics.mismatches.inc();
        }
        self.change(|state| {
            state.connected = false;
            if is_news {
                state.mismatch = Some(mismatch.clone());
                state.last_mismatch = Some((mismatch.clone(), SystemTime::now()));
            }
            state.leave_tip();
        });
    }

    /// The main node is right where it was wrong.
    pub(crate) fn corrected(&self) {
        if self.state.borrow().mismatch.is_some() {
            self.change(|state| state.mismatch = None);
        }
    }

    /// Blocks are no part of the chain any more.
    pub(crate) fn rolled_back(&self, from: u64, to: u64) {
        self.metrics.reorgs.inc();
        self.metrics.reorg_depth.observe(from.saturating_sub(to) as f64);
        self.change(|state| {
            state.mismatch = None;
            state.unsound = None;
            // What was higher may be gone, too.
            state.highest = None;
        });
    }

    /// Everything that the main node has sent is verified and on the disk.
    pub(crate) fn at_tip(&self, head: &Head) {
        let (at_tip, highest) = {
            let state = self.state.borrow();
            (state.at_tip && state.trouble.is_none() && state.unsound.is_none(), state.highest)
        };
        if !at_tip || highest < Some(head.number) {
            self.change(|state| {
                state.at_tip = true;
                state.left_tip = None;
                state.trouble = None;
                state.unsound = None;
                state.highest = Some(head.number).max(state.highest);
            });
        }
    }

    /// A main node that does not serve says something else than what is verified; `None`: no longer. Gives whether that
    /// is news.
    pub(crate) fn contradiction(&self, address: &str, line: Option<&str>) -> bool {
        if self.state.borrow().contradictions.get(address).map(String::as_str) == line {
            return false;
        }
        self.change(|state| match line {
            Some(line) => drop(state.contradictions.insert(address.to_owned(), line.to_owned())),
            None => drop(state.contradictions.remove(address)),
        });
        true
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let metrics = &self.metrics;
        self.state.send_modify(|state| {
            change(state);
            metrics.at_tip.set(state.at_tip.into());
            metrics.connected.set(state.connected.into());
            metrics.mismatch.set(state.mismatch.is_some().into());
            metrics.highest_block.set(gauged(state.highest().unwrap_or_default()));
            metrics.lag.set(gauged(state.lag().unwrap_or_default()));
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zk_replica_core::checker::Claim;

    #[test]
    fn a_connection_is_over_whatever_ended_it() {
        let board = Board::new(Arc::new(Metrics::new()));
        let (expected, computed) = (1.into(), 2.into());
        let mismatch = Mismatch { batch: 1, block: 2, claim: Claim::BatchNumber, expected, computed };
        let ends: [&dyn Fn(); 4] = [
            &|| board.lost("closed", false),
            &|| board.waiting("empty"),
            &|| board.mismatch(&mismatch),
            &|| board.mismatch(&mismatch),
        ];
        for end in ends {
            board.connected();
            assert!(board.subscribe().borrow().connected);
            end();
            assert!(!board.subscribe().borrow().connected);
            assert_eq!(board.metrics().connected.get(), 0);
        }
        // The same one twice.
        assert_eq!(board.metrics().mismatches.get(), 1);
    }
}
