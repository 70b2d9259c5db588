//! A case, and what comes out of it. Families make cases; the runner runs them and never looks inside.

use std::{
    any::Any,
    cell::RefCell,
    fmt,
    panic::{self, AssertUnwindSafe},
};

/// One thing that vectors say, to be judged once.
pub(crate) struct Case {
    /// Which part of the replica it is about; a row of the table.
    pub(crate) family: &'static str,
    /// What it is called. Two cases of one file may share a name if their lines or forks differ.
    pub(crate) name: String,
    /// The forks it speaks of. None at all: its one outcome is the same for every fork.
    pub(crate) forks: Vec<u64>,
    run: Box<dyn FnOnce() -> Vec<Outcome> + Send>,
}

/// What came out of a case for a fork.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// The fork whose rules were followed, if that made a difference.
    pub(crate) fork: Option<u64>,
    /// Whether everything was as the vectors say.
    pub(crate) result: Result<(), Failure>,
    /// Other rules by which a case that failed comes out as the vectors say.
    pub(crate) passes_by: Vec<&'static str>,
}

/// What differs, in a few lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure(String);

impl Case {
    /// A case that holds for every fork. It passes if `check` returns, and fails if that panics.
    pub(crate) fn new(
        family: &'static str,
        name: impl Into<String>,
        check: impl FnOnce() + Send + 'static,
    ) -> Self {
        let run = Box::new(|| {
            check();
            vec![Outcome::without_fork(Ok(()))]
        });
        Self { family, name: name.into(), forks: Vec::new(), run }
    }

    /// A case that is judged for each of these forks: `judge` gives one outcome for each, in any order.
    pub(crate) fn by_fork(
        family: &'static str,
        name: impl Into<String>,
        forks: Vec<u64>,
        judge: impl FnOnce() -> Vec<Outcome> + Send + 'static,
    ) -> Self {
        Self { family, name: name.into(), forks, run: Box::new(judge) }
    }

    /// A case that has failed before it could be run.
    pub(crate) fn failed(family: &'static str, name: impl Into<String>, why: impl Into<Failure>) -> Self {
        let outcome = Outcome::without_fork(Err(why.into()));
        Self { family, name: name.into(), forks: Vec::new(), run: Box::new(|| vec![outcome]) }
    }

    /// Runs it. A panic is a failure for every fork, and so is a fork without outcome.
    pub(crate) fn run(self) -> Vec<Outcome> {
        let expected = in_order(if self.forks.is_empty() {
            vec![None]
        } else {
            self.forks.iter().copied().map(Some).collect()
        });
        match catch(self.run) {
            Ok(mut outcomes) => {
                let judged = in_order(outcomes.iter().map(|outcome| outcome.fork).collect());
                if judged != expected {
                    let why = format!("judged for forks {judged:?} instead of {expected:?}");
                    outcomes.push(Outcome::without_fork(Err(why.into())));
                }
                outcomes
            }
            Err(failure) => {
                let failed = |fork| Outcome { fork, ..Outcome::without_fork(Err(failure.clone())) };
                expected.into_iter().map(failed).collect()
            }
        }
    }
}

fn in_order(mut forks: Vec<Option<u64>>) -> Vec<Option<u64>> {
    forks.sort_unstable();
    forks
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Case");
        debug.field("family", &self.family).field("name", &self.name).field("forks", &self.forks);
        debug.finish_non_exhaustive()
    }
}

impl Outcome {
    /// The outcome for one fork.
    pub(crate) fn of(fork: u64, result: Result<(), Failure>) -> Self {
        Self { fork: Some(fork), ..Self::without_fork(result) }
    }

    /// The outcome that is the same for every fork.
    pub(crate) fn without_fork(result: Result<(), Failure>) -> Self {
        Self { fork: None, result, passes_by: Vec::new() }
    }
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Failure {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

thread_local! {
    /// What the last panic of this thread said.
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// From now on a panic is not printed, but kept for [`catch`].
pub(crate) fn keep_panics() {
    panic::set_hook(Box::new(|info| {
        let at = info.location().map_or(String::new(), |at| format!("\n  at {at}"));
        PANIC.set(Some(format!("{}{at}", message(info.payload()))));
    }));
}

/// Runs `work`; a panic becomes a failure that says what the panic said, and where.
pub(crate) fn catch<T>(work: impl FnOnce() -> T) -> Result<T, Failure> {
    panic::catch_unwind(AssertUnwindSafe(work)).map_err(|payload| {
        let said = PANIC.take().unwrap_or_else(|| message(payload.as_ref()).to_owned());
        format!("panicked: {said}").into()
    })
}

fn message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("without a message")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(case: Case) -> Vec<(Option<u64>, bool)> {
        case.run().into_iter().map(|outcome| (outcome.fork, outcome.result.is_ok())).collect()
    }

    #[test]
    fn a_panic_fails_every_fork() {
        assert_eq!(results(Case::new("units", "sound", || ())), [(None, true)]);
        assert_eq!(results(Case::new("units", "broken", || panic!("no"))), [(None, false)]);
        let broken = Case::by_fork("gst", "broken", vec![8, 9], || panic!("no"));
        assert_eq!(results(broken), [(Some(8), false), (Some(9), false)]);
    }

    #[test]
    fn a_fork_without_outcome_fails() {
        let judge = || vec![Outcome::of(8, Ok(()))];
        assert_eq!(results(Case::by_fork("gst", "both", vec![8], judge)), [(Some(8), true)]);
        let half = Case::by_fork("gst", "half", vec![8, 9], judge);
        assert_eq!(results(half), [(Some(8), true), (None, false)]);
    }
}
