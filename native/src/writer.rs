//! The thread that makes commits durable while others verify.

use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread::{self, JoinHandle};
use zk_replica_core::store::{Commit, Store, StoreError};

/// Applies commits in the order in which they are handed over, and acknowledges each.
///
/// A commit may be reported to anybody only when it has been acknowledged. For a [`Journal`], each acknowledgement is one
/// call of [`Journal::settle`].
///
/// Dropping the writer waits until all that was handed over has been written, or has failed.
///
/// [`Journal`]: zk_replica_core::store::Journal
/// [`Journal::settle`]: zk_replica_core::store::Journal::settle
#[derive(Debug)]
pub(crate) struct Writer {
    /// `None` once no more will come.
    commits: Option<SyncSender<Commit>>,
    done: Receiver<Result<(), StoreError>>,
    thread: Option<JoinHandle<()>>,
    /// Commits handed over and not counted as durable yet.
    waiting: usize,
}

impl Writer {
    /// Starts the thread. At most `ahead` commits wait; handing over one more waits for the disk.
    pub(crate) fn start(store: impl Store + Send + 'static, ahead: usize) -> Self {
        let (commits, todo) = mpsc::sync_channel::<Commit>(ahead);
        // Not bounded: one small value for each commit, and those are bounded.
        let (report, done) = mpsc::channel();
        let thread = thread::spawn(move || {
            for commit in todo {
                let result = store.apply(&commit);
                let failed = result.is_err();
                // Nobody listens any more: the commits handed over are written nevertheless.
                drop(report.send(result));
                if failed {
                    break;
                }
            }
        });
        Self { commits: Some(commits), done, thread: Some(thread), waiting: 0 }
    }

    /// Hands over a commit. The error may be that of an earlier one.
    pub(crate) fn write(&mut self, commit: Commit) -> Result<(), StoreError> {
        let sent = self.commits.as_ref().is_some_and(|commits| commits.send(commit).is_ok());
        if !sent {
            return Err(self.failure());
        }
        self.waiting += 1;
        Ok(())
    }

    /// How many commits have become durable since the last call. Does not wait.
    pub(crate) fn acknowledged(&mut self) -> Result<usize, StoreError> {
        let count = self.done.try_iter().try_fold(0, |count, result| result.map(|()| count + 1))?;
        self.waiting -= count;
        Ok(count)
    }

    /// Waits until everything handed over so far is durable; how many commits have become so since they were last
    /// counted.
    pub(crate) fn wait(&mut self) -> Result<usize, StoreError> {
        let count = self.waiting;
        for _ in 0..count {
            self.done.recv().map_err(|_| panicked())??;
            self.waiting -= 1;
        }
        Ok(count)
    }

    /// Waits for everything handed over; how many commits have become durable since they were last counted.
    pub(crate) fn finish(mut self) -> Result<usize, StoreError> {
        self.commits = None;
        let count = self.done.iter().try_fold(0, |count, result| result.map(|()| count + 1))?;
        match self.thread.take().map(JoinHandle::join) {
            Some(Err(_)) => Err(panicked()),
            _ => Ok(count),
        }
    }

    /// Why the thread takes no more.
    fn failure(&mut self) -> StoreError {
        let failed = self.done.iter().find_map(Result::err);
        failed.unwrap_or_else(panicked)
    }
}

fn panicked() -> StoreError {
    StoreError::Host("the thread that writes has panicked".to_owned())
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.commits = None;
        if let Some(thread) = self.thread.take() {
            // A panic has been printed where it happened.
            drop(thread.join());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::Bytes;
    use std::sync::{Arc, Mutex};
    use zk_replica_core::store::Key;

    /// Notes what is applied; fails at one commit.
    #[derive(Clone, Default)]
    struct Noting {
        applied: Arc<Mutex<Vec<Bytes>>>,
        fails_at: Option<usize>,
    }

    impl Store for Noting {
        fn get(&self, key: &Key) -> Result<Option<Bytes>, StoreError> {
            Err(StoreError::Missing(*key))
        }

        fn apply(&self, commit: &Commit) -> Result<(), StoreError> {
            let mut applied = self.applied.lock().unwrap();
            if self.fails_at == Some(applied.len()) {
                return Err(StoreError::Host("disk full".to_owned()));
            }
            applied.push(commit.records()[0].1.clone());
            Ok(())
        }
    }

    fn commit(number: u8) -> Commit {
        Commit::for_test(vec![(Key::Head, vec![number].into())], Vec::new())
    }

    #[test]
    fn commits_are_applied_in_order_and_each_is_acknowledged() {
        let store = Noting::default();
        let mut writer = Writer::start(store.clone(), 2);
        let mut settled = 0;
        for number in 0..100 {
            writer.write(commit(number)).unwrap();
            settled += writer.acknowledged().unwrap();
            assert!(settled <= store.applied.lock().unwrap().len(), "acknowledged before it was applied");
        }
        settled += writer.finish().unwrap();
        assert_eq!(settled, 100);
        assert!(store.applied.lock().unwrap().iter().map(|head| head[0]).eq(0..100));
    }

    #[test]
    fn waiting_counts_what_has_not_been_counted() {
        let store = Noting::default();
        let mut writer = Writer::start(store.clone(), 2);
        let mut settled = 0;
        for number in 0..10 {
            writer.write(commit(number)).unwrap();
            if number % 3 == 0 {
                settled += writer.acknowledged().unwrap();
            }
        }
        settled += writer.wait().unwrap();
        assert_eq!((settled, store.applied.lock().unwrap().len()), (10, 10));
        assert_eq!(writer.wait(), Ok(0));

        let mut writer = Writer::start(Noting { fails_at: Some(0), ..Noting::default() }, 1);
        writer.write(commit(0)).unwrap();
        assert!(writer.wait().is_err());
    }

    #[test]
    fn the_error_reaches_the_caller_and_nothing_is_applied_after_it() {
        let store = Noting { fails_at: Some(3), ..Noting::default() };
        let mut writer = Writer::start(store.clone(), 1);
        let error = (0..100).find_map(|number| writer.write(commit(number)).err());
        assert_eq!(error, Some(StoreError::Host("disk full".to_owned())));
        drop(writer);
        assert_eq!(store.applied.lock().unwrap().len(), 3);

        let mut writer = Writer::start(Noting { fails_at: Some(0), ..Noting::default() }, 1);
        writer.write(commit(0)).unwrap();
        assert!(writer.finish().is_err());
    }

    #[test]
    fn dropping_it_writes_what_was_handed_over() {
        let store = Noting::default();
        let mut writer = Writer::start(store.clone(), 10);
        (0..10).for_each(|number| writer.write(commit(number)).unwrap());
        drop(writer);
        assert_eq!(store.applied.lock().unwrap().len(), 10);
    }
}
