//! The bar on the terminal while cases run.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// Share of the files that was read, and cases so far, on standard error; nothing if that is not a terminal.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    read: Arc<AtomicU64>,
}

impl Progress {
    /// `read` counts up to `total` bytes of all files.
    pub(crate) fn start(total: u64, read: Arc<AtomicU64>) -> Self {
        // indicatif itself draws nothing where standard error is not a terminal.
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(10));
        let template = "{wide_bar} {percent:>3}%  {msg}";
        bar.set_style(ProgressStyle::with_template(template).expect("the template is well formed"));
        Self { bar, read }
    }

    /// To be called now and then, with the counts so far.
    pub(crate) fn update(&self, passed: u64, failed: u64) {
        if !self.bar.is_hidden() {
            self.bar.set_message(format!("{passed} passed, {failed} failed"));
            self.bar.set_position(self.read.load(Ordering::Relaxed));
        }
    }
}

impl Drop for Progress {
    /// Takes the bar off the terminal: what is said next stands alone.
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
