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
mod board;
mod chain_files;
mod cli;
mod config;
mod datastream;
mod db;
mod demo;
mod devnet;
mod discover;
mod disk;
mod error;
mod events;
mod evidence;
mod follow;
mod http;
mod l1;
mod log;
mod main_node;
mod metrics;
mod output;
mod pipeline;
mod progress;
mod replay;
mod store;
mod stream_file;
mod upstream;
mod web3;
mod writer;

use clap::{Args as _, CommandFactory as _, FromArgMatches as _};
use cli::{Cli, Command, Config, ConfigAction};
use config::ConfigError;
use demo::DemoError;
use devnet::DevnetError;
use error::HostError;
use output::Outcome;
use replay::ReplayError;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::env;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

fn main() -> ExitCode {
    let command = Cli::command();
    let completed = match config::parse(&command, env::args_os().collect(), |name| env::var_os(name)) {
        Ok(completed) => completed,
        // It prints itself, help included.
        Err(ConfigError::CommandLine(error)) => error.exit(),
        Err(error) => return unusable(&error),
    };
    match Cli::from_arg_matches(&completed.matches).map(|cli| cli.command) {
        Ok(Command::Replay(options)) => replay(&options),
        Ok(Command::Run(options)) => follow(&options),
        Ok(Command::Db(options)) => db::run(&options),
        Ok(Command::Evidence(options)) => evidence::run(&options),
        Ok(Command::Devnet(options)) => devnet(&options),
        Ok(Command::Demo(options)) => demo(&options),
        Ok(Command::Config(Config { action: ConfigAction::Check { file } })) => check(&file),
        Ok(Command::Config(Config { action: ConfigAction::Show(_) })) => {
            let (schema, matches) = config::innermost(&command, &completed.matches);
            write_out(completed.show(schema, matches).trim_end(), 0)
        }
        Err(error) => error.exit(),
    }
}

fn check(file: &Path) -> ExitCode {
    match config::check(&cli::Run::augment_args(clap::Command::new("run")), file) {
        Ok(()) => write_out(&format!("{} is sound", file.display()), 0),
        Err(error) => unusable(&error),
    }
}

fn unusable(error: &ConfigError) -> ExitCode {
    complain(error);
    ExitCode::from(2)
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
    log::start(&options.log);
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

fn devnet(options: &devnet::Devnet) -> ExitCode {
    let result = stop_on_signals().map_err(DevnetError::from).and_then(|stop| devnet::run(options, &stop));
    match result {
        Ok(()) if options.list_lies => ExitCode::SUCCESS,
        Ok(()) => ExitCode::from(130),
        Err(error) => {
            complain(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

fn demo(options: &demo::Demo) -> ExitCode {
    let result = stop_on_signals().map_err(DemoError::from).and_then(|stop| demo::run(options, &stop));
    match result {
        Ok(()) => ExitCode::from(130),
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
    write_out(&line, outcome.exit_code())
}

fn write_out(text: &str, code: u8) -> ExitCode {
    match writeln!(io::stdout(), "{text}") {
        Ok(()) => ExitCode::from(code),
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
