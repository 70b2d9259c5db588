//! Where requests are worked on: a bounded number at a time, and a bounded number that waits.

use crate::metrics::Metrics;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::{task, time};

/// Threads for work that blocks.
#[derive(Clone, Debug)]
pub(super) struct Workers {
    running: Arc<Semaphore>,
    admitted: Arc<Semaphore>,
    limit: Duration,
    metrics: Arc<Metrics>,
}

/// Why there is no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Undone {
    /// Too many wait, or the wait was too long.
    Busy,
    /// It panicked.
    Panicked,
}

/// Asked by the work whether it is to go on.
#[derive(Debug)]
pub(super) struct Deadline {
    at: Instant,
    /// Nobody waits any more.
    abandoned: Arc<AtomicBool>,
}

impl Deadline {
    /// It is over.
    pub(super) fn is_over(&self) -> bool {
        self.abandoned.load(Ordering::Relaxed) || Instant::now() >= self.at
    }
}

/// Tells the work when whoever waits for it goes away.
struct Waiting(Arc<AtomicBool>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Workers {
    /// `threads` at a time, and `queue` that wait; each may take as long as `limit`, and wait as long.
    pub(super) fn new(threads: usize, queue: usize, limit: Duration, metrics: Arc<Metrics>) -> Self {
        let running = Arc::new(Semaphore::new(threads));
        let admitted = Arc::new(Semaphore::new(threads.saturating_add(queue)));
        Self { running, admitted, limit, metrics }
    }

    /// Does it, on a thread of its own, when there is one.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Deadline) -> T + Send + 'static,
    ) -> Result<T, Undone> {
        let busy = |_| {
            self.metrics.busy.inc();
            Undone::Busy
        };
        let admitted = Arc::clone(&self.admitted).try_acquire_owned().map_err(busy)?;
        let running = {
            let _waiting = Raised::new(&self.metrics.waiting);
            let turn = time::timeout(self.limit, Arc::clone(&self.running).acquire_owned()).await;
            let Ok(Ok(running)) = turn else {
                self.metrics.busy.inc();
                return Err(Undone::Busy);
            };
            running
        };
        let abandoned = Arc::new(AtomicBool::new(false));
        let _waiting = Waiting(Arc::clone(&abandoned));
        let deadline = Deadline { at: Instant::now() + self.limit, abandoned };
        let raised = Raised::new(&self.metrics.running);
        let done = task::spawn_blocking(move || {
            // The places are free when the work ends, not when nobody waits for it any more.
            let _held = (admitted, running, raised);
            work(&deadline)
        });
        done.await.map_err(|_| Undone::Panicked)
    }
}

/// A gauge that is one higher for a while.
struct Raised(prometheus_client::metrics::gauge::Gauge);

impl Raised {
    fn new(gauge: &prometheus_client::metrics::gauge::Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Raised {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use tokio::runtime::Builder;

    #[test]
    fn what_does_not_fit_is_refused_and_the_rest_is_done() {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
        let metrics = Arc::new(Metrics::new());
        let workers = Workers::new(1, 1, Duration::from_secs(60), Arc::clone(&metrics));
        runtime.block_on(async {
            let (go, wait) = mpsc::channel::<()>();
            let first = tokio::spawn({
                let workers = workers.clone();
                async move { workers.run(move |_| wait.recv().is_ok()).await }
            });
            while metrics.running.get() == 0 {
                task::yield_now().await;
            }
            let second = tokio::spawn({
                let workers = workers.clone();
                async move { workers.run(|_| 2).await }
            });
            while metrics.waiting.get() == 0 {
                task::yield_now().await;
            }
            assert_eq!(workers.run(|_| 3).await, Err(Undone::Busy));
            go.send(()).unwrap();
            assert_eq!(first.await.unwrap(), Ok(true));
            assert_eq!(second.await.unwrap(), Ok(2));
            assert_eq!(workers.run(|_| panic!("as asked")).await, Err::<(), _>(Undone::Panicked));
            assert_eq!(workers.run(|_| 4).await, Ok(4));
        });
    }

    #[test]
    fn work_ends_when_nobody_waits_and_when_time_is_up() {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
        let metrics = Arc::new(Metrics::new());
        let until_over = |deadline: &Deadline| {
            while !deadline.is_over() {
                std::thread::yield_now();
            }
        };
        runtime.block_on(async {
            let patient = Workers::new(1, 0, Duration::from_secs(60), Arc::clone(&metrics));
            let abandoned = tokio::spawn({
                let workers = patient.clone();
                async move { workers.run(until_over).await }
            });
            while metrics.running.get() == 0 {
                task::yield_now().await;
            }
            abandoned.abort();
            while metrics.running.get() == 1 {
                task::yield_now().await;
            }
            let hasty = Workers::new(1, 0, Duration::from_millis(10), metrics);
            assert_eq!(hasty.run(until_over).await, Ok(()));
        });
    }
}
