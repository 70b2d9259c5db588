//! Three stages, each on threads of its own, with the order of items kept.

use std::sync::mpsc;
use std::thread;

/// How a run of the pipeline is laid out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    /// Threads that prepare items.
    pub(crate) workers: usize,
    /// Items that may wait before each worker, and behind it.
    pub(crate) ahead: usize,
}

/// Runs `produce` on one thread, `prepare` on several, and `consume` on the caller's, in the order of production.
///
/// `produce` hands items to its argument, which returns `false` when no more are wanted. `consume` returns `false` to end
/// early. What `produce` returns counts only after all items before it have been consumed, so that of two errors the
/// earlier in the input is the one reported.
pub(crate) fn run<T: Send, U: Send, E: Send>(
    layout: Layout,
    produce: impl FnOnce(&mut dyn FnMut(T) -> bool) -> Result<(), E> + Send,
    prepare: impl Fn(T) -> U + Sync,
    mut consume: impl FnMut(U) -> Result<bool, E>,
) -> Result<(), E> {
    thread::scope(|scope| {
        let mut inputs = Vec::new();
        let mut outputs = Vec::new();
        for _ in 0..layout.workers.max(1) {
            let (input, todo) = mpsc::sync_channel(layout.ahead);
            let (done, output) = mpsc::sync_channel(layout.ahead);
            let prepare = &prepare;
            scope.spawn(move || todo.into_iter().try_for_each(|item| done.send(prepare(item))));
            inputs.push(input);
            outputs.push(output);
        }
        // Item n goes through worker n modulo their number: that alone keeps the order.
        let producing = scope.spawn(move || {
            let mut next = inputs.iter().cycle();
            produce(&mut |item| next.next().is_some_and(|input| input.send(item).is_ok()))
        });
        for output in outputs.iter().cycle() {
            let Ok(item) = output.recv() else { break };
            if !consume(item)? {
                return Ok(());
            }
        }
        // The first closed output is the end, or a panic: joining passes it on.
        drop(outputs);
        producing
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYOUT: Layout = Layout { workers: 3, ahead: 2 };

    fn numbers(
        count: u32,
        end: Result<(), &'static str>,
    ) -> impl FnOnce(&mut dyn FnMut(u32) -> bool) -> Result<(), &'static str> {
        move |send| {
            if (0..count).all(send) { end } else { Ok(()) }
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
            let halt = run(
                LAYOUT,
                endless,
                |item| item,
                |item| if item < stop { Ok(true) } else { Err("halt") },
            );
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
