//! The bar on the terminal while a replay runs.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::{Duration, Instant};

/// Time between two drawings. Less would cost time that verifying could use.
const INTERVAL: Duration = Duration::from_millis(100);

/// Blocks, transactions, blocks per second and time left, on standard error; nothing if that is not a terminal.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    /// Position and block count with which this run began: what was verified by an earlier run says nothing about speed.
    started: Instant,
    drawn: Instant,
    first: Option<u64>,
}

impl Progress {
    /// `total` is the position at the end, in the unit of [`Progress::update`].
    pub(crate) fn start(total: u64) -> Self {
        // indicatif itself draws nothing where standard error is not a terminal.
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(10));
        let template = "{wide_bar} {percent:>3}%  {msg}, {eta} left";
        bar.set_style(ProgressStyle::with_template(template).expect("the template is well formed"));
        let now = Instant::now();
        Self { bar, started: now, drawn: now, first: None }
    }

    /// To be called after each block, with the position in the stream and the totals since genesis. Most calls look at
    /// the clock and do nothing more.
    pub(crate) fn update(&mut self, position: u64, blocks: u64, transactions: u64) {
        let now = Instant::now();
        let first = match self.first {
            Some(first) => first,
            None => {
                self.bar.reset_eta();
                self.started = now;
                *self.first.insert(blocks)
            }
        };
        if self.bar.is_hidden() || now - self.drawn < INTERVAL {
            return;
        }
        self.drawn = now;
        let seconds = (now - self.started).as_secs_f64().max(0.001);
        let speed = blocks.saturating_sub(first) as f64 / seconds;
        self.bar.set_message(message(blocks, transactions, speed));
        self.bar.set_position(position);
    }
}

impl Drop for Progress {
    /// Takes the bar off the terminal: what is said next stands alone.
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn message(blocks: u64, transactions: u64, speed: f64) -> String {
    format!("{blocks} blocks, {transactions} transactions, {speed:.0} blocks/s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_names_what_is_counted() {
        assert_eq!(message(11_317, 465, 3210.7), "11317 blocks, 465 transactions, 3211 blocks/s");
    }
}
