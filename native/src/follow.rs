//! `zk-replica run`: follows a main node, over its data stream or over JSON-RPC, for ever.
//!
//! Each connection goes the same way: the main node is asked for the last verified block. If it has another one there,
//! the last common block is looked for, and the chain rolled back to it once the block behind is verified. Then blocks
//! flow from the last verified block on, through the same stages as in a replay. However the connection ends, the next
//! one begins where the chain is then: there is no other state that could be out of step, and so nothing to repair.

use crate::backoff::Backoff;
use crate::board::Board;
use crate::chain_files;
use crate::cli;
use crate::config::Timing;
use crate::datastream::{Line, LineError};
use crate::discover;
use crate::disk::Disk;
use crate::error::HostError;
use crate::events::Events;
use crate::evidence::Folder;
use crate::l1::L1Watch;
use crate::main_node::Asker;
use crate::metrics::Metrics;
use crate::output::{Outcome, Summary};
use crate::pipeline::{self, Layout};
use crate::store::{Identity, SledStore};
use crate::upstream::{Source, Upstream, Upstreams, WRONG};
use crate::web3::{Service, Site};
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use zk_replica_core::chain::ChainSpec;
use zk_replica_core::checker::{Claim, Mismatch, Verdict};
use zk_replica_core::evidence::{Evidence, EvidenceError};
use zk_replica_core::replica::{Halt, Input, Replica, RollBackError, Step};
use zk_replica_core::source::datastream::{Anchor, Assembler, ForkPoint, ForkSearch, Item, Probe};
use zk_replica_core::store::{Journal, StoreError};
use zk_replica_core::types::{ConsolidatedBatch, Frontier, Head};

/// Follows until `stop`. `None`: not even genesis was verified. What a main node does or says is never an error, unless
/// nothing was verified yet.
pub(crate) fn run(options: &cli::Run, stop: &AtomicBool) -> Result<Option<Outcome>, HostError> {
    let timing = &options.timing;
    let asker = &Asker::new(timing).map_err(HostError::Runtime)?;
    let (spec, genesis) = discover::chain(options, asker, stop)?;
    let chain_id = spec.chain_id;
    let identity = Identity { chain_id, genesis: chain_files::identify(&genesis) };
    let base = SledStore::open(&options.db, &identity)?;
    let board = Board::new(Arc::new(Metrics::new()));
    let service = serve(options, &spec, &base, &board)?;
    let journal = Journal::new(base.clone());
    let replica = Replica::open(spec.clone(), genesis, &journal)?;
    if let Some(frontier) = replica.frontier() {
        board.finalized(frontier);
    }
    let upstreams = &Upstreams::new(options.upstreams(), replica.head());
    let events = Events::new(replica.head(), timing.report_interval, board.clone());
    let l1 = &L1Watch::default();
    let (teller, watched) = (events.teller(), AtomicBool::new(false));
    let mut follower = Follower {
        upstreams,
        asker,
        spec: &spec,
        timing,
        stop,
        events,
        board: &board,
        evidence: Folder::choose(options.evidence_dir.as_deref(), Some(&options.db)),
        replica,
        disk: Disk::new(&journal, base, timing.group()).telling(&board)?,
        journal: &journal,
        disputed: None,
        l1_disagrees: false,
        l1,
        on_l1: None,
    };
    let report = |address: &str, line: Option<&str>| teller.contradiction(address, line);
    let followed = thread::scope(|scope| {
        if options.main_node.len() + options.stream.len() > 1 {
            scope.spawn(|| upstreams.watch(asker, timing, &watched, &report));
        }
        if options.l1.l1.is_some() {
            scope.spawn(|| l1.run(&options.l1, chain_id, asker, &board, &watched));
        }
        // What runs beside it is waited for, even after a panic: it has to end then, too.
        let _over = Over(&watched);
        follower.follow()
    });
    let head = follower.replica.head().cloned();
    // What was verified before an error is kept, too.
    let finished = follower.disk.finish();
    if let Some(service) = service {
        service.stop();
    }
    followed?;
    finished?;
    Ok(head.map(|head| Outcome::Interrupted(Summary::new(chain_id, &head, true))))
}

/// Sets a flag at its end, be that a panic: other threads wait for it.
struct Over<'a>(&'a AtomicBool);

impl Over<'_> {
    /// Leaves the flag as it is.
    fn not_yet(self) {
        mem::forget(self);
    }
}

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Serves Web3 if that is wanted.
fn serve(
    options: &cli::Run,
    spec: &ChainSpec,
    store: &SledStore,
    board: &Board,
) -> Result<Option<Service>, HostError> {
    let Some(address) = options.server.http else {
        return Ok(None);
    };
    let site = Site::read(options)?;
    let has_page = site.is_there();
    let service = Service::start(address, options, spec.clone(), store.clone(), board, site)?;
    let address = service.address();
    tracing::info!(event = "serving", %address, "serving Web3 at http://{address} and ws://{address}");
    if has_page {
        tracing::info!(event = "page", %address, "the page is at http://{address}/");
    }
    Ok(Some(service))
}

/// Why a connection came to its end.
#[derive(Debug)]
enum End {
    Line(LineError),
    Mismatch(Mismatch),
    /// What was verified is not what L1 has.
    L1(Mismatch),
    /// The main node does not have what is needed to go on.
    Waiting(String),
    Store(StoreError),
}

/// A part of what a source gives.
#[derive(Debug)]
pub(crate) enum Part<T> {
    Item(T),
    /// Everything that has come so far has been handed over.
    Tip,
}

/// How far the chain is, in an order that batch ends count in.
type Position = (u64, u64, bool);

struct Follower<'a> {
    upstreams: &'a Upstreams,
    asker: &'a Asker,
    spec: &'a ChainSpec,
    timing: &'a Timing,
    stop: &'a AtomicBool,
    replica: Replica,
    journal: &'a Journal<SledStore>,
    disk: Disk<'a>,
    board: &'a Board,
    events: Events,
    evidence: Folder,
    /// How far the chain was when the main node was found to be wrong, until it is right.
    disputed: Option<Position>,
    /// L1 was found to have another state, and has not agreed since.
    l1_disagrees: bool,
    l1: &'a L1Watch,
    /// What L1 says, until it can be compared and agrees.
    on_l1: Option<ConsolidatedBatch>,
}

impl<'a> Follower<'a> {
    fn follow(&mut self) -> Result<(), HostError> {
        let mut backoff = Backoff::new(self.timing.retry_first, self.timing.retry_longest);
        while !self.stop.load(Ordering::Relaxed) {
            let before = self.position();
            let upstream = self.upstreams.choose();
            let ended = self.connection(upstream);
            self.replica.abandon();
            self.disk.flush()?;
            let name = upstream.to_string();
            match ended {
                Ok(()) | Err(End::Line(LineError::Stopped)) => {
                    if !self.stop.load(Ordering::Relaxed) {
                        self.upstreams.failed(1.0);
                        self.events.lost(&name, "no block for long, and another main node has more", false);
                    }
                    continue;
                }
                Err(End::Line(reason)) => {
                    self.upstreams.failed(1.0);
                    self.events.lost(&name, &reason.to_string(), reason.is_contradiction());
                }
                Err(End::Waiting(reason)) => {
                    self.upstreams.failed(1.0);
                    self.events.waiting(&reason);
                }
                Err(End::Mismatch(mismatch)) => {
                    if self.replica.head().is_none() && is_genesis(mismatch.claim) {
                        return Err(HostError::Genesis { mismatch: Box::new(mismatch), upstream: name });
                    }
                    self.upstreams.failed(WRONG);
                    self.disputed = Some(self.position());
                    self.events.mismatch(&mismatch, self.replica.head());
                }
                Err(End::L1(mismatch)) => {
                    self.upstreams.failed(WRONG);
                    self.l1_disagrees = true;
                    self.events.mismatch(&mismatch, self.replica.head());
                }
                Err(End::Store(error)) => return Err(error.into()),
            }
            if self.position() > before {
                backoff.reset();
            }
            self.sleep(backoff.wait());
        }
        Ok(())
    }

    /// From connecting to the end of the connection; `Ok` when asked to stop.
    fn connection(&mut self, upstream: &'a Upstream) -> Result<(), End> {
        let mut source = Source::open(upstream, self.asker, self.spec, self.timing, self.stop)?;
        self.events.connected(&upstream.to_string(), &source.extent());
        if source.is_empty() {
            return Err(End::Waiting("the main node's stream is empty".to_owned()));
        }
        self.begin(&mut source)?;
        self.receive(source)
    }

    /// Lets blocks flow from the last verified one that the main node has in common. If that is an earlier one, the chain
    /// is rolled back to it as soon as the main node's next block is verified, and not before: it may be wrong.
    fn begin(&mut self, source: &mut Source<'_>) -> Result<(), End> {
        let Some(head) = self.replica.head() else {
            return Ok(source.start(None)?);
        };
        let head = head.number;
        let disagreement = self.compare_with_l1()?;
        match self.compare(source, head)? {
            Probe::Same => {}
            found => self.branch(source, ForkSearch::new(head, found))?,
        }
        let number = self.replica.head().map_or(0, |head| head.number);
        // Nothing is added to a chain that L1 contradicts. One that leaves it before may be L1's.
        if let Some(mismatch) = disagreement.filter(|mismatch| number >= mismatch.block) {
            return Err(End::L1(mismatch));
        }
        let anchor = self.anchor(number)?;
        let Some(start) = source.batch_start(anchor.batch)? else {
            return Err(End::Waiting(format!("the main node does not have batch {}", anchor.batch)));
        };
        if let Err(halt) = self.replica.enter(&start, self.journal) {
            self.keep_evidence(&halt, || Evidence::of_entering(&self.replica, &start, self.journal));
            return Err(halt.into());
        }
        Ok(source.start(Some(anchor))?)
    }

    fn branch(&mut self, source: &mut Source<'_>, mut search: ForkSearch) -> Result<(), End> {
        let head = self.replica.head().map_or(0, |head| head.number);
        while let Some(number) = search.probe() {
            let found = self.compare(source, number)?;
            search.tell(found);
        }
        match search.outcome() {
            Some(ForkPoint::At(to)) => {
                self.replica.branch(to, self.journal)?;
                Ok(())
            }
            Some(ForkPoint::EndsAt(end)) => {
                Err(End::Waiting(format!("the main node ends at block {end}, before verified block {head}")))
            }
            Some(ForkPoint::OtherChain) => {
                Err(End::Waiting("the main node serves another chain: its genesis is not ours".to_owned()))
            }
            Some(ForkPoint::Empty) | None => Err(End::Waiting("the main node has no block yet".to_owned())),
        }
    }

    fn compare(&self, source: &mut Source<'_>, number: u64) -> Result<Probe, End> {
        Ok(source.compare(&self.anchor(number)?)?)
    }

    /// A verified block, as the main node has to have it.
    fn anchor(&self, number: u64) -> Result<Anchor, End> {
        let record = self.replica.block(number, self.journal)?;
        let record = record.ok_or(LineError::Order("a block above the last verified one"))?;
        let (hash, state_root) = (record.header.hash_slow(), record.header.state_root);
        Ok(Anchor { number, hash, state_root, batch: record.batch })
    }

    /// Verifies what comes.
    fn receive(&mut self, source: Source<'_>) -> Result<(), End> {
        // The thread that reads waits for the main node; this tells it that nobody waits for it any more.
        let ended = self.upstreams.leave();
        let timing = self.timing;
        pipeline::run(
            Layout::of_this_machine(),
            |send| Ok(source.run(timing, ended, send)?),
            prepare,
            |part| {
                let over = Over(ended);
                let goes_on = self.take(part);
                if matches!(goes_on, Ok(true)) {
                    over.not_yet();
                }
                goes_on
            },
        )
    }

    /// Verifies one part; `false` when asked to stop.
    fn take(&mut self, part: Part<Input>) -> Result<bool, End> {
        match part {
            Part::Item(input) => {
                if self.l1.has_news() {
                    self.agree_with_l1()?;
                }
                let branching = self.replica.branching();
                let begun = Instant::now();
                let step = match self.replica.advance(&input, self.journal) {
                    Ok(step) => step,
                    Err(halt) => {
                        self.keep_evidence(&halt, || Evidence::of_input(&self.replica, &input, self.journal));
                        return Err(halt.into());
                    }
                };
                if let Step::Verified(block) = &step {
                    self.board.verified(block, begun.elapsed());
                }
                if let (Some((from, to)), None) = (branching, self.replica.branching()) {
                    self.disk.flush()?;
                    self.disputed = None;
                    self.events.rolled_back(from, to);
                }
                self.upstreams.took(&step);
                if let Step::Verified(block) = &step {
                    self.events.verified(block.head());
                }
                self.disk.keep_up()?;
                if self.events.is_due() {
                    self.disk.flush()?;
                }
                if matches!(step, Step::Closed) {
                    self.agree_with_l1()?;
                }
                if !matches!(step, Step::Opened | Step::Known) {
                    self.settle_dispute();
                }
                if let Some(head) = self.replica.head() {
                    self.events.progress(head);
                }
            }
            Part::Tip => {
                self.agree_with_l1()?;
                self.disk.flush()?;
                let undecided = self.replica.resuming() || self.replica.branching().is_some();
                if let (Some(head), false) = (self.replica.head(), undecided) {
                    self.events.at_tip(head);
                }
            }
        }
        Ok(!self.stop.load(Ordering::Relaxed))
    }

    /// While L1 has another state nothing is added.
    fn agree_with_l1(&mut self) -> Result<(), End> {
        self.compare_with_l1()?.map_or(Ok(()), |mismatch| Err(End::L1(mismatch)))
    }

    /// Holds the verified chain against what L1 says is proved, once it is there. Gives what differs.
    fn compare_with_l1(&mut self) -> Result<Option<Mismatch>, End> {
        if let Some(view) = self.l1.take() {
            self.on_l1 = Some(view.consolidated);
        }
        let Some(posted) = &self.on_l1 else {
            return Ok(None);
        };
        match self.replica.consolidate(posted, self.journal)? {
            None => Ok(None),
            Some(Verdict::Mismatch(mismatch)) => Ok(Some(mismatch)),
            Some(Verdict::Verified(block)) => {
                let frontier = Frontier { block, batch: posted.number };
                self.on_l1 = None;
                // What is told is on the disk.
                self.disk.flush()?;
                self.board.finalized(frontier);
                self.events.finalized(frontier);
                if mem::take(&mut self.l1_disagrees) {
                    self.tell_corrected();
                }
                Ok(None)
            }
        }
    }

    /// Writes what shows that the main node is wrong, if it is. Why that cannot be done is told, and no reason to stop.
    fn keep_evidence(&self, halt: &Halt, collect: impl FnOnce() -> Result<Option<Evidence>, EvidenceError>) {
        if let Halt::Mismatch(_) = halt
            && let Some(line) = self.evidence.keep_and_tell(collect())
        {
            self.events.evidence(&line);
        }
    }

    fn settle_dispute(&mut self) {
        if self.disputed.is_some_and(|disputed| self.position() > disputed) {
            self.disputed = None;
            self.tell_corrected();
        }
    }

    /// Nothing is in dispute any more, unless something else still is.
    fn tell_corrected(&mut self) {
        if self.disputed.is_none() && !self.l1_disagrees {
            self.events.corrected(self.position().0);
        }
    }

    fn position(&self) -> Position {
        self.replica.head().map_or((0, 0, false), |head: &Head| (head.number, head.batch, head.batch_closed))
    }

    fn sleep(&self, wait: Duration) {
        const TICK: Duration = Duration::from_millis(20);
        let started = Instant::now();
        while started.elapsed() < wait && !self.stop.load(Ordering::Relaxed) {
            thread::sleep(TICK.min(wait.saturating_sub(started.elapsed())));
        }
    }
}

/// Reads from a data stream.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    line: Line<'a>,
    assembler: Assembler,
    address: &'a str,
    timing: &'a Timing,
    ended: &'a AtomicBool,
    /// From this entry on, what comes is new: the stream went so far when the main node was last asked, or less.
    live: u64,
    /// When the last entry came, or the main node was last asked how many it has.
    heard: Instant,
    /// The number of entries that the main node had when it was last asked, if they had not all come.
    owed: Option<u64>,
    /// [`Part::Tip`] is due: something has been handed over since the last one, or it was quiet for long.
    untold: bool,
    weight: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(
        line: Line<'a>,
        assembler: Assembler,
        address: &'a str,
        timing: &'a Timing,
        ended: &'a AtomicBool,
    ) -> Self {
        Self {
            live: line.header().total_entries,
            line,
            assembler,
            address,
            timing,
            ended,
            heard: Instant::now(),
            owed: None,
            untold: true,
            weight: 0,
        }
    }

    /// Hands over the parts of the stream, until no more are wanted.
    pub(crate) fn run(mut self, send: &mut dyn FnMut(Part<Item>, usize) -> bool) -> Result<(), LineError> {
        while !self.ended.load(Ordering::Relaxed) {
            while let Some(entry) = self.line.entry()? {
                self.heard = Instant::now();
                self.weight += pipeline::weight(&entry);
                let item = self.assembler.push(entry).map_err(LineError::Unsound)?;
                if let Some(item) = item {
                    self.untold = true;
                    if !send(Part::Item(item), mem::take(&mut self.weight)) {
                        return Ok(());
                    }
                }
            }
            let is_live = self.line.next_entry().is_some_and(|next| next >= self.live);
            if self.line.drained() {
                if is_live && mem::take(&mut self.untold) && !send(Part::Tip, 0) {
                    return Ok(());
                }
                self.look_aside()?;
            }
            self.line.wait()?;
        }
        Ok(())
    }

    /// Finds out whether the main node has said all that it should.
    fn look_aside(&mut self) -> Result<(), LineError> {
        let quiet = self.heard.elapsed();
        let Some(next) = self.line.next_entry() else {
            // The first entry is an answer. Silence has an end of its own: this is for a byte now and then.
            let patience = self.timing.request_timeout;
            return if quiet < patience { Ok(()) } else { Err(LineError::Late(patience)) };
        };
        if quiet < self.timing.quiet {
            return Ok(());
        }
        self.heard = Instant::now();
        if let Some(total) = self.owed.take().filter(|owed| next < *owed) {
            return Err(LineError::HeldBack { total, next });
        }
        // If it cannot be asked, the connection that there is will show what is wrong.
        let Ok(aside) = self.line.aside(self.address) else {
            return Ok(());
        };
        let total = aside.header().total_entries;
        if total < next {
            return Err(LineError::Cut { total, next });
        }
        self.owed = (total > next).then_some(total);
        // Whoever verifies may have heard from L1 meanwhile.
        self.untold = true;
        // A stream that was cut and written again since the connection was made may have become shorter.
        self.live = self.live.min(total);
        Ok(())
    }
}

/// What of block 0 the genesis file alone decides.
fn is_genesis(claim: Claim) -> bool {
    matches!(claim, Claim::StateRoot | Claim::GenesisRoot)
}

/// Works out what needs no state.
fn prepare(part: Part<Item>) -> Part<Input> {
    match part {
        Part::Item(item) => Part::Item(item.into()),
        Part::Tip => Part::Tip,
    }
}

impl From<LineError> for End {
    fn from(error: LineError) -> Self {
        Self::Line(error)
    }
}

impl From<StoreError> for End {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Halt> for End {
    fn from(halt: Halt) -> Self {
        match halt {
            Halt::Mismatch(mismatch) => Self::Mismatch(mismatch),
            Halt::Store(error) => Self::Store(error),
            Halt::OutOfOrder(reason) => Self::Line(LineError::Order(reason)),
        }
    }
}

impl From<RollBackError> for End {
    fn from(error: RollBackError) -> Self {
        match error {
            RollBackError::Store(error) => Self::Store(error),
            refused => Self::Waiting(refused.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{self, AssertUnwindSafe};

    #[test]
    fn whoever_waits_hears_of_a_panic() {
        let over = AtomicBool::new(false);
        let end = |panics: bool| {
            panic::catch_unwind(AssertUnwindSafe(|| {
                let guard = Over(&over);
                assert!(!panics, "as asked");
                guard.not_yet();
            }))
        };
        assert!(end(false).is_ok() && !over.load(Ordering::Relaxed));
        assert!(end(true).is_err() && over.load(Ordering::Relaxed));
    }
}
