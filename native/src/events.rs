//! What a follower says while it runs: a line for each event, each block at the tip, and a status line on a terminal.

use crate::board::Board;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write as _};
use std::time::{Duration, Instant};
use tracing::{error, info, warn};
use zk_replica_core::checker::Mismatch;
use zk_replica_core::types::{Frontier, Head};

/// Time between two drawings of the status line.
const DRAW: Duration = Duration::from_millis(100);

/// Blocks that came since the last tip are told one by one if they are no more than this.
const ONE_BY_ONE: usize = 1000;

/// Events are logged, blocks at the tip go to standard output, and all of it to the board. Nothing is said twice before the
/// tip is reached again: a main node that stays away, or stays wrong, is one line, and two that do are two.
#[derive(Debug)]
pub(crate) struct Events {
    board: Board,
    status: ProgressBar,
    /// The last trouble that was told of each main node (or of what was verified), until it is over.
    troubles: BTreeMap<String, String>,
    /// Main nodes of which it was told that there is a connection, until the trouble is over.
    connected: BTreeSet<String>,
    /// The last block told as the tip; `None` while catching up.
    tip: Option<u64>,
    /// Blocks that were verified since, as long as they are few; `None` before the first tip and far from it.
    fresh: Option<Vec<Head>>,
    /// When the speed was last told, and the block then.
    since: (Instant, u64),
    drawn: Instant,
    /// Time between two lines where there is no terminal.
    report: Duration,
}

impl Events {
    /// Nothing has happened yet.
    pub(crate) fn new(verified: Option<&Head>, report: Duration, board: Board) -> Self {
        // indicatif itself draws nothing where standard error is not a terminal.
        let status = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
        status
            .set_style(ProgressStyle::with_template("{spinner} {msg}").expect("the template is well formed"));
        let now = Instant::now();
        let number = verified.map_or(0, |head| head.number);
        let since = (now, number);
        let (troubles, connected) = (BTreeMap::new(), BTreeSet::new());
        Self { board, status, troubles, connected, tip: None, fresh: None, since, drawn: now, report }
    }

    /// Says things from other threads.
    pub(crate) fn teller(&self) -> Teller {
        Teller(self.status.clone(), self.board.clone())
    }

    /// The main node has said what it has.
    pub(crate) fn connected(&mut self, address: &str, extent: &str) {
        self.board.connected();
        if self.connected.insert(address.to_owned()) {
            self.say(|| info!(event = "connected", address, extent, "connected to {address}: {extent}"));
        }
    }

    /// The connection is gone, or was never made. `unsound`: because what the main node says cannot be true.
    pub(crate) fn lost(&mut self, address: &str, reason: &str, unsound: bool) {
        self.board.lost(reason, unsound);
        self.tip = None;
        self.trouble(address, format!("lost {address}: {reason}"), |line| match unsound {
            true => error!(event = "lost", address, "{line}"),
            false => warn!(event = "lost", address, "{line}"),
        });
    }

    /// There is nothing to be had from the main node at present.
    pub(crate) fn waiting(&mut self, reason: &str) {
        self.board.waiting(reason);
        self.tip = None;
        self.trouble("waiting", format!("waiting: {reason}"), |line| warn!(event = "waiting", "{line}"));
    }

    /// The main node is wrong. Nothing of what it says is kept.
    pub(crate) fn mismatch(&mut self, mismatch: &Mismatch, head: Option<&Head>) {
        let kept = match head {
            Some(head) => format!("block {} stays the last verified block", head.number),
            None => "nothing is verified".to_owned(),
        };
        self.board.mismatch(mismatch);
        self.tip = None;
        let Mismatch { block, batch, claim, .. } = mismatch;
        self.trouble(
            "mismatch",
            format!("mismatch at {mismatch}; {kept}, trying again until the main node is right"),
            |line| error!(event = "mismatch", block, batch, %claim, "{line}"),
        );
    }

    /// L1 has proved the chain so far.
    pub(crate) fn finalized(&self, Frontier { block, batch }: Frontier) {
        self.say(|| {
            info!(event = "finalized", block, batch, "final: block {block}, batch {batch} is proved on L1")
        });
    }

    /// What became of a mismatch's evidence.
    pub(crate) fn evidence(&self, line: &str) {
        self.say(|| info!(event = "evidence", "{line}"));
    }

    /// The main node is right where it was wrong, and L1 agrees where it did not.
    pub(crate) fn corrected(&mut self, block: u64) {
        self.board.corrected();
        self.over();
        self.say(|| {
            info!(
                event = "corrected",
                block, "corrected: nothing is in dispute any more, block {block} is verified"
            );
        });
    }

    /// Blocks are no part of the chain any more.
    pub(crate) fn rolled_back(&mut self, from: u64, to: u64) {
        self.tip = None;
        self.over();
        if let Some(fresh) = &mut self.fresh {
            fresh.retain(|head| head.number <= to);
        }
        self.since.1 = self.since.1.min(to);
        self.board.rolled_back(from, to);
        self.say(|| {
            warn!(
                event = "rolled back",
                from, to, "rolled back from block {from} to block {to}: the main node's chain is another one"
            );
        });
    }

    /// A block was verified. It may not be on the disk yet.
    pub(crate) fn verified(&mut self, head: &Head) {
        let few = self.fresh.as_ref().is_some_and(|fresh| fresh.len() < ONE_BY_ONE);
        match &mut self.fresh {
            Some(fresh) if few => fresh.push(head.clone()),
            fresh => *fresh = None,
        }
    }

    /// Everything that the main node has sent is verified and on the disk.
    pub(crate) fn at_tip(&mut self, head: &Head) {
        self.board.at_tip(head);
        self.over();
        if self.tip.is_none() {
            let block = head.number;
            self.say(|| info!(event = "at the tip", block, "at the tip: block {block}"));
        }
        let is_news = self.tip.replace(head.number) != Some(head.number);
        let mut fresh = self.fresh.replace(Vec::new()).unwrap_or_default();
        if fresh.is_empty() && is_news {
            fresh.push(head.clone());
        }
        if !fresh.is_empty() {
            let line = |Head { number, state_root, hash, .. }: &Head| {
                format!("block {number} state root {state_root} hash {hash}\n")
            };
            let lines: String = fresh.iter().map(line).collect();
            // Nobody may be reading: that is no reason to stop.
            self.status.suspend(|| drop(io::stdout().write_all(lines.as_bytes())));
        }
        self.draw(head);
    }

    /// Says whether the last verified block's number is about to be told, so that it must be on the disk before.
    pub(crate) fn is_due(&self) -> bool {
        self.tip.is_none() && self.status.is_hidden() && self.since.0.elapsed() >= self.report
    }

    /// Tells how far it is, when it is time.
    pub(crate) fn progress(&mut self, head: &Head) {
        if self.is_due() {
            let speed = self.speed(head);
            self.since = (Instant::now(), head.number);
            let block = head.number;
            self.say(|| {
                info!(event = "catching up", block, "catching up: block {block}, {speed:.0} blocks/s")
            });
        }
        if self.drawn.elapsed() >= DRAW {
            self.draw(head);
        }
    }

    fn speed(&self, head: &Head) -> f64 {
        head.number.saturating_sub(self.since.1) as f64 / self.since.0.elapsed().as_secs_f64().max(0.001)
    }

    fn draw(&mut self, head: &Head) {
        self.drawn = Instant::now();
        if self.status.is_hidden() {
            return;
        }
        let state = match self.tip {
            Some(_) => "at the tip".to_owned(),
            None => format!("{:.0} blocks/s", self.speed(head)),
        };
        self.status.set_message(format!("block {}, batch {}, {state}", head.number, head.batch));
        self.status.tick();
    }

    fn trouble(&mut self, of: &str, line: String, say: impl FnOnce(&str)) {
        if self.troubles.get(of) != Some(&line) {
            self.say(|| say(&line));
            self.troubles.insert(of.to_owned(), line);
        }
    }

    /// What troubled is told again when it comes again.
    fn over(&mut self) {
        for address in std::mem::take(&mut self.troubles).into_keys() {
            self.connected.remove(&address);
        }
    }

    fn say(&self, say: impl FnOnce()) {
        self.status.suspend(say);
    }
}

/// Says lines beside the status line.
#[derive(Clone, Debug)]
pub(crate) struct Teller(ProgressBar, Board);

impl Teller {
    /// A main node says something else than what is verified; `None`: no longer.
    pub(crate) fn contradiction(&self, address: &str, line: Option<&str>) {
        if self.1.contradiction(address, line)
            && let Some(line) = line
        {
            self.0.suspend(|| warn!(event = "contradiction", address, "{line}"));
        }
    }
}

impl Drop for Events {
    /// Takes the status line off the terminal.
    fn drop(&mut self) {
        self.status.finish_and_clear();
    }
}
