//! Files in, outcomes out. A few threads read and cut; all others parse and run. Between them a short queue keeps memory
//! bounded, however large a file is.

use crate::{
    case::{Case, Failure, Outcome, catch},
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
        for _ in 0..workers {
            spawn().spawn_scoped(scope, || worker.work())?;
        }
        for _ in 0..workers.min(READERS) {
            let reader = FileReader { files, next: &next, read: Arc::clone(&read), queue: sender.clone() };
            spawn().spawn_scoped(scope, move || reader.work())?;
        }
        // Workers end when the last reader has.
        drop(sender);
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
            self.file(&Place { order, file: file.clone(), line: None });
        }
    }

    fn file(&self, place: &Place) {
        let cases = match reader::open(&place.file, &self.read) {
            Ok(Content::Lines(lines)) => return self.lines(place, lines),
            Ok(Content::Document(bytes)) => safely(|| families::document(&place.file, &bytes)),
            Ok(Content::Stream(bytes)) => safely(|| families::stream(&place.file, bytes)),
            Err(error) => vec![unreadable(&error)],
        };
        for case in cases {
            self.send(place.clone(), Work::Case(case));
        }
    }

    fn lines(&self, place: &Place, lines: reader::Lines) {
        for (number, line) in lines {
            let place = Place { line: Some(number), ..place.clone() };
            match line {
                Ok(line) => self.send(place, Work::Line(line)),
                // What comes after a gap cannot be trusted to be lines.
                Err(error) => return self.send(place, Work::Case(unreadable(&error))),
            }
        }
    }

    fn send(&self, place: Place, work: Work) {
        self.queue.send(Job { place, work }).expect("the queue outlives those who fill it");
    }
}

fn unreadable(error: &io::Error) -> Case {
    Case::failed(families::UNKNOWN, "unreadable file", format!("cannot be read to its end: {error}"))
}

/// The cases of a document.
fn safely(cases: impl FnOnce() -> Vec<Case>) -> Vec<Case> {
    catch(cases).unwrap_or_else(|failure| vec![unmade(failure)])
}

/// A family that panics while it makes its cases has one, and that has failed.
fn unmade(failure: Failure) -> Case {
    Case::failed(families::UNKNOWN, "unreadable cases", failure)
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
                Work::Line(line) => catch(|| families::line(line)).unwrap_or_else(unmade),
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
