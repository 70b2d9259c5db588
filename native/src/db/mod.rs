//! `zk-replica db`: what an operator can ask of a database, and do about one that is damaged.

mod check;
mod info;
mod rebuild;
mod snapshot;

use crate::complain;
use clap::{Args, Subcommand};
use std::error::Error;
use std::io::{self, Write as _};
use std::process::ExitCode;

/// Look at a database, check it, make it anew, take its state.
#[derive(Args, Debug)]
pub(crate) struct Db {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Check),
    Info(info::Info),
    Rebuild(rebuild::Rebuild),
    Snapshot(snapshot::Snapshot),
}

/// Runs the command.
pub(crate) fn run(options: &Db) -> ExitCode {
    match &options.command {
        Command::Check(check) => check::run(check),
        Command::Info(info) => info::run(info),
        Command::Rebuild(rebuild) => rebuild::run(rebuild),
        Command::Snapshot(snapshot) => snapshot::run(snapshot),
    }
}

/// A result on standard output.
fn say(text: &str, code: u8) -> ExitCode {
    match writeln!(io::stdout(), "{text}") {
        Ok(()) => ExitCode::from(code),
        Err(error) => refuse(&error, 1),
    }
}

fn refuse(error: &dyn Error, code: u8) -> ExitCode {
    complain(error);
    ExitCode::from(code)
}
