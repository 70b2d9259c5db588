//! zk-replica on a machine of its own: files, threads, terminal. What is right and wrong is decided in the core.
#![allow(
    clippy::std_instead_of_core,
    clippy::std_instead_of_alloc,
    reason = "a host has std, and one name for each item is easier to read"
)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::panic,
        clippy::print_stdout,
        clippy::cast_possible_truncation,
        reason = "a test may stop where it stands"
    )
)]

mod backoff;
mod chain_files;
mod cli;
mod datastream;
mod db;
mod disk;
mod error;
mod events;
mod evidence;
mod follow;
mod output;
mod pipeline;
mod progress;
mod replay;
mod store;
mod stream_file;
mod writer;

use clap::Parser as _;
use cli::{Cli, Command};
use error::HostError;
use output::Outcome;
use replay::ReplayError;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Replay(options) => replay(&options),
        Command::Run(options) => follow(&options),
        Command::Db(options) => db::run(&options),
        Command::Evidence(options) => evidence::run(&options),
    }
}

fn replay(options: &cli::Replay) -> ExitCode {
    let result = stop_on_signals().map_err(ReplayError::from).and_then(|stop| replay::run(options, &stop));
    match result {
        Ok(outcome) => report(&outcome, options.json),
        Err(error) => {
            complain(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

fn follow(options: &cli::Run) -> ExitCode {
    let result = stop_on_signals().and_then(|stop| follow::run(options, &stop));
    match result {
        Ok(Some(outcome)) => report(&outcome, false),
        Ok(None) => ExitCode::from(130),
        Err(error) => {
            complain(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

/// The first signal sets the flag, the second ends the process at once: the database survives that, too.
fn stop_on_signals() -> Result<Arc<AtomicBool>, HostError> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        flag::register_conditional_shutdown(signal, 130, Arc::clone(&stop)).map_err(HostError::Signals)?;
        flag::register(signal, Arc::clone(&stop)).map_err(HostError::Signals)?;
    }
    Ok(stop)
}

/// A result goes to standard output, whatever it is: it is what was asked for.
fn report(outcome: &Outcome, json: bool) -> ExitCode {
    let line = if json { outcome.to_json() } else { outcome.to_string() };
    match writeln!(io::stdout(), "{line}") {
        Ok(()) => ExitCode::from(outcome.exit_code()),
        Err(error) => {
            complain(&error);
            ExitCode::from(1)
        }
    }
}

/// One line on standard error, causes included. If even that cannot be written, the exit code has to do.
fn complain(error: &dyn std::error::Error) {
    let mut line = format!("zk-replica: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(&format!(": {error}"));
        cause = error.source();
    }
    drop(writeln!(io::stderr(), "{line}"));
}
