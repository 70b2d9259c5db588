//! Files in, outcomes out. A few threads read and cut; all others parse and run. Between them a short queue keeps memory
//! bounded, however large a file is.

use crate::{
    case::{Case, Outcome, catch},
    families,
    known::Known,
    progress::Progress,
    reader::{self, Content},
    report::{Place, Report},
};
use std::{
    fs, io,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc::{Receiver, RecvError, SyncSender, sync_channel},
    },
    thread,
};

/// Lines and cases that wait for a thread. The longest line has 1.5 MB.
const QUEUE: usize = 128;

/// Files open at a time. Each may need 64 MiB to be decompressed.
const READERS: usize = 4;

/// Stack of a thread. What the main thread usually has, twice: a case may be hostile, an overflow would end the run.
const STACK: usize = 16 << 20;

/// What is to be done with every case.
#[derive(Debug)]
pub(crate) enum Task {
    /// Run it.
    Run(Known),
    /// Only take down its name.
    List,
}

/// What came out of all files.
#[derive(Debug, Default)]
pub(crate) struct Run {
    /// Of the cases that were run.
    pub(crate) report: Report,
    /// The cases that were listed.
    pub(crate) names: Vec<(Place, String)>,
}

/// Puts all cases of these files whose name contains `filter` to the task.
pub(crate) fn run(files: &[PathBuf], filter: Option<&str>, task: &Task) -> io::Result<Run> {
    let read = Arc::new(AtomicU64::new(0));
    let total = files.iter().filter_map(|file| fs::metadata(file).ok()).map(|file| file.len()).sum();
    let progress = Progress::start(total, Arc::clone(&read));
    let workers = thread::available_parallelism()?.get();
    let (sender, receiver) = sync_channel(QUEUE);
    let receiver = Mutex::new(receiver);
    let (next, run) = (AtomicUsize::new(0), Mutex::new(Run::default()));
    let worker = Worker { filter, task, queue: &receiver, run: &run, progress: &progress };
    thread::scope(|scope| -> io::Result<()> {
        let spawn = || thread::Builder::new().stack_size(STACK);
        for _ in 0..workers.min(READERS) {
            let reader = FileReader { files, next: &next, read: Arc::clone(&read), queue: sender.clone() };
            spawn().spawn_scoped(scope, move || reader.work())?;
        }
        drop(sender);
        for _ in 0..workers {
            spawn().spawn_scoped(scope, || worker.work())?;
        }
        Ok(())
    })?;
    let mut run = run.into_inner().unwrap_or_else(PoisonError::into_inner);
    run.report.sort();
    run.names.sort();
    Ok(run)
}

/// What a worker is given.
struct Job {
    place: Place,
    work: Work,
}

enum Work {
    Line(Vec<u8>),
    Case(Case),
}

/// The other end has gone: all workers have ended, which they do not while there is a reader.
struct Gone;

struct FileReader<'a> {
    files: &'a [PathBuf],
    next: &'a AtomicUsize,
    read: Arc<AtomicU64>,
    queue: SyncSender<Job>,
}

impl FileReader<'_> {
    fn work(&self) {
        loop {
            let order = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(file) = self.files.get(order) else {
                return;
            };
            let place = Place { order, file: file.clone(), line: None };
            if let Err(Gone) = self.file(&place) {
                return;
            }
        }
    }

    fn file(&self, place: &Place) -> Result<(), Gone> {
        let content = match reader::open(&place.file, &self.read) {
            Ok(content) => content,
            Err(error) => return self.case(place, unreadable(&error)),
        };
        let document = |cases: Vec<Case>| cases.into_iter().try_for_each(|case| self.case(place, case));
        match content {
            Content::Lines(lines) => self.lines(place, lines),
            Content::Document(bytes) => document(safely(|| families::document(&place.file, &bytes))),
            Content::Stream(bytes) => document(safely(|| families::stream(&place.file, bytes))),
        }
    }

    fn lines(&self, place: &Place, lines: reader::Lines) -> Result<(), Gone> {
        for (number, line) in lines {
            let place = Place { line: Some(number), ..place.clone() };
            match line {
                Ok(line) => self.send(place, Work::Line(line))?,
                // What comes after a gap cannot be trusted to be lines.
                Err(error) => return self.case(&place, unreadable(&error)),
            }
        }
        Ok(())
    }

    fn case(&self, place: &Place, case: Case) -> Result<(), Gone> {
        self.send(place.clone(), Work::Case(case))
    }

    fn send(&self, place: Place, work: Work) -> Result<(), Gone> {
        self.queue.send(Job { place, work }).map_err(|_| Gone)
    }
}

fn unreadable(error: &io::Error) -> Case {
    Case::failed(families::UNKNOWN, "unreadable file", format!("cannot be read to its end: {error}"))
}

/// A family that panics while it makes its cases has one, and that has failed.
fn safely(cases: impl FnOnce() -> Vec<Case>) -> Vec<Case> {
    let failed = |failure| vec![Case::failed(families::UNKNOWN, "unreadable cases", failure)];
    catch(cases).unwrap_or_else(failed)
}

struct Worker<'a> {
    filter: Option<&'a str>,
    task: &'a Task,
    queue: &'a Mutex<Receiver<Job>>,
    run: &'a Mutex<Run>,
    progress: &'a Progress,
}

impl Worker<'_> {
    fn work(&self) {
        while let Ok(job) = self.next() {
            let Job { place, work } = job;
            let case = match work {
                Work::Line(line) => families::line(line),
                Work::Case(case) => case,
            };
            if self.filter.is_none_or(|text| case.name.contains(text)) {
                self.case(&place, case);
            }
        }
    }

    fn next(&self) -> Result<Job, RecvError> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).recv()
    }

    fn case(&self, place: &Place, case: Case) {
        let (family, name) = (case.family, case.name.clone());
        let statuses: Vec<_> = match self.task {
            Task::List => Vec::new(),
            Task::Run(known) => {
                let judge = |outcome: Outcome| (outcome.fork, known.judge(&place.file, &name, outcome));
                case.run().into_iter().map(judge).collect()
            }
        };
        let mut run = self.run.lock().unwrap_or_else(PoisonError::into_inner);
        for (fork, status) in statuses {
            run.report.add(place, family, &name, fork, status);
        }
        if let Task::List = self.task {
            run.names.push((place.clone(), name));
        }
        let totals = run.report.totals;
        drop(run);
        self.progress.update(totals.passed, totals.failed);
    }
}
