//! Three stages, each on threads of its own, with the order of items kept.

use std::num::NonZero;
use std::sync::{Condvar, Mutex, PoisonError, mpsc};
use std::thread;
use zk_replica_core::source::datastream::Entry;

/// Blocks that may wait before and behind each thread that prepares them.
const BLOCKS_AHEAD: usize = 16;

/// Memory that they may need together: a block may have megabytes.
const BYTES_AHEAD: usize = 32 << 20;

/// What an entry needs in memory, beyond twice its data (once as sent, once decoded): a transaction in all its forms.
const ENTRY_OVERHEAD: usize = 512;

/// How a run of the pipeline is laid out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    /// Threads that prepare items.
    pub(crate) workers: usize,
    /// Items that may wait before each worker, and behind it.
    pub(crate) ahead: usize,
    /// What all items that wait may weigh together. A heavier one goes alone.
    pub(crate) weight_ahead: usize,
}

impl Layout {
    /// For blocks of the stream, on the cores there are.
    pub(crate) fn of_this_machine() -> Self {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        Self {
            // Verifying and writing have a core each.
            workers: cores.saturating_sub(2).clamp(1, 16),
            ahead: BLOCKS_AHEAD,
            weight_ahead: BYTES_AHEAD,
        }
    }
}

/// What an entry adds to the weight of its block: bytes of memory.
pub(crate) fn weight(entry: &Entry) -> usize {
    2 * entry.data.len() + ENTRY_OVERHEAD
}

/// Runs `produce` on one thread, `prepare` on several, and `consume` on the caller's, in the order of production.
///
/// `produce` hands items, each with its weight, to its argument, which returns `false` when no more are wanted. `consume` returns `false` to end
/// early. What `produce` returns counts only after all items before it have been consumed, so that of two errors the
/// earlier in the input is the one reported.
pub(crate) fn run<T: Send, U: Send, E: Send>(
    layout: Layout,
    produce: impl FnOnce(&mut dyn FnMut(T, usize) -> bool) -> Result<(), E> + Send,
    prepare: impl Fn(T) -> U + Sync,
    mut consume: impl FnMut(U) -> Result<bool, E>,
) -> Result<(), E> {
    let budget = &Budget::new(layout.weight_ahead);
    thread::scope(|scope| {
        let closing = Closing(budget);
        let mut inputs = Vec::new();
        let mut outputs = Vec::new();
        for _ in 0..layout.workers.max(1) {
            let (input, todo) = mpsc::sync_channel(layout.ahead);
            let (done, output) = mpsc::sync_channel(layout.ahead);
            let prepare = &prepare;
            scope.spawn(move || {
                todo.into_iter().try_for_each(|(item, weight)| done.send((prepare(item), weight)))
            });
            inputs.push(input);
            outputs.push(output);
        }
        // Item n goes through worker n modulo their number: that alone keeps the order.
        let producing = scope.spawn(move || {
            let mut next = inputs.iter().cycle();
            produce(&mut |item, weight| {
                budget.take(weight) && next.next().is_some_and(|input| input.send((item, weight)).is_ok())
            })
        });
        for output in outputs.iter().cycle() {
            let Ok((item, weight)) = output.recv() else { break };
            if !consume(item)? {
                return Ok(());
            }
            budget.give_back(weight);
        }
        // The first closed output is the end, or a panic: joining passes it on.
        drop((outputs, closing));
        producing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// What the items under way weigh.
struct Budget {
    limit: usize,
    /// `None` when no more are wanted.
    taken: Mutex<Option<usize>>,
    changed: Condvar,
}

impl Budget {
    fn new(limit: usize) -> Self {
        Self { limit, taken: Mutex::new(Some(0)), changed: Condvar::new() }
    }

    /// Waits until there is room; `false` when no more are wanted.
    fn take(&self, weight: usize) -> bool {
        let full = |taken: &mut Option<usize>| {
            taken.is_some_and(|taken| taken > 0 && taken.saturating_add(weight) > self.limit)
        };
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = self.changed.wait_while(taken, full).unwrap_or_else(PoisonError::into_inner);
        taken.as_mut().map(|taken| *taken = taken.saturating_add(weight)).is_some()
    }

    fn give_back(&self, weight: usize) {
        self.change(|taken| taken.map(|taken| taken.saturating_sub(weight)));
    }

    fn change(&self, change: impl FnOnce(Option<usize>) -> Option<usize>) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        *taken = change(*taken);
        self.changed.notify_one();
    }
}

/// Closes the budget however the consumer ends: a producer that waits for room must not wait for ever.
struct Closing<'a>(&'a Budget);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.change(|_| None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicIsize, Ordering::Relaxed};

    const LAYOUT: Layout = Layout { workers: 3, ahead: 2, weight_ahead: 4 };

    fn numbers(
        count: u32,
        end: Result<(), &'static str>,
    ) -> impl FnOnce(&mut dyn FnMut(u32, usize) -> bool) -> Result<(), &'static str> {
        move |send| {
            // Some weigh nothing, some more than all may together.
            if (0..count).all(|number| send(number, number as usize % 7)) { end } else { Ok(()) }
        }
    }

    #[test]
    fn order_is_kept() {
        let mut seen = Vec::new();
        let doubled = |item| item * 2;
        run(LAYOUT, numbers(1000, Ok(())), doubled, |item| {
            seen.push(item);
            Ok(true)
        })
        .unwrap();
        assert!(seen.into_iter().eq((0..1000).map(doubled)));
    }

    #[test]
    fn items_under_way_weigh_no_more_than_allowed() {
        let (under_way, most) = (AtomicIsize::new(0), AtomicIsize::new(0));
        let layout = Layout { workers: 4, ahead: 100, weight_ahead: 10 };
        let produce = |send: &mut dyn FnMut(usize, usize) -> bool| {
            for weight in (1..=5).cycle().take(1000) {
                send(weight, weight);
                let weight = weight.cast_signed();
                most.fetch_max(under_way.fetch_add(weight, Relaxed) + weight, Relaxed);
            }
            Ok::<(), ()>(())
        };
        let consume = |weight: usize| {
            under_way.fetch_sub(weight.cast_signed(), Relaxed);
            Ok(true)
        };
        run(layout, produce, |weight| weight, consume).unwrap();
        // The consumer notes an item before its weight is given back: what is noted is never more than what is taken.
        assert!(most.into_inner() <= 10);
    }

    #[test]
    fn an_error_of_the_producer_comes_after_the_items_before_it() {
        let mut seen = 0;
        let result = run(
            LAYOUT,
            numbers(7, Err("cut")),
            |item| item,
            |_| {
                seen += 1;
                Ok(true)
            },
        );
        assert_eq!((result, seen), (Err("cut"), 7));
    }

    #[test]
    fn the_consumer_can_end_it() {
        for stop in [0, 1, 500] {
            let endless = numbers(u32::MAX, Err("never"));
            assert_eq!(run(LAYOUT, endless, |item| item, |item| Ok(item < stop)), Ok(()));
            let endless = numbers(u32::MAX, Err("never"));
            let halt =
                run(LAYOUT, endless, |item| item, |item| if item < stop { Ok(true) } else { Err("halt") });
            assert_eq!(halt, Err("halt"));
        }
    }

    #[test]
    #[should_panic(expected = "a scoped thread panicked")]
    fn a_panic_is_not_taken_for_the_end() {
        let prepare = |item| assert_ne!(item, 5);
        let _ = run(LAYOUT, numbers(100, Ok(())), prepare, |()| Ok(true));
    }
}
