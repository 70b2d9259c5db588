//! Runs conformance vectors through the replica: files with known results, published by others.
//!
//! [`files`] finds them, [`reader`] cuts them into pieces, [`families`] recognises what a piece is about and makes a
//! [`case`] of it, [`runner`] runs the cases on all cores, [`known`] sets apart what is wrong in the vectors themselves, and
//! [`report`] says what came out. Whoever adds a family adds a module to [`families`], and changes nothing else.
#![allow(clippy::panic, reason = "a case that cannot go on says so by a panic")]

mod case;
mod cli;
mod families;
mod files;
mod known;
mod progress;
mod reader;
mod report;
mod runner;

use clap::Parser as _;
use cli::Cli;
use known::Known;
use report::Report;
use runner::{Run, Task};
use std::{
    error::Error,
    fs::File,
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Why nothing was run, or nothing could be said of it.
#[derive(Debug, thiserror::Error)]
enum Failed {
    /// The arguments are not usable.
    #[error(transparent)]
    Arguments(Box<dyn Error>),
    /// No case has such a name.
    #[error("there is no case whose name contains {0:?}")]
    Filter(String),
    /// The machine failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

fn main() -> ExitCode {
    let result = conformance(&Cli::parse());
    if let Err(error) = &result {
        drop(writeln!(io::stderr(), "conformance: {error}"));
    }
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) | Err(Failed::Io(_)) => ExitCode::from(1),
        Err(Failed::Arguments(_) | Failed::Filter(_)) => ExitCode::from(2),
    }
}

/// Whether nothing failed.
fn conformance(cli: &Cli) -> Result<bool, Failed> {
    let unusable = |error: Box<dyn Error>| Failed::Arguments(error);
    let files = files::find(&cli.paths).map_err(|error| unusable(error.into()))?;
    let known = Known::read(cli.known.as_deref()).map_err(|error| unusable(error.into()))?;
    let json = cli.json.as_deref().map(create).transpose()?;
    let task = if cli.list { Task::List } else { Task::Run(known) };
    case::keep_panics();
    let Run { mut report, names } = runner::run(&files, cli.filter.as_deref(), &task)?;
    let nothing = names.is_empty() && report.is_empty();
    if let Some(filter) = cli.filter.as_ref().filter(|_| nothing) {
        return Err(Failed::Filter(filter.clone()));
    }
    let mut out = BufWriter::new(io::stdout().lock());
    let Task::Run(known) = task else {
        for (place, name) in names {
            writeln!(out, "{place}: {name}")?;
        }
        return out.flush().map(|()| true).map_err(Failed::Io);
    };
    // A filter leaves out cases that entries are about.
    if cli.filter.is_none() {
        add_unused(&mut report, &known, &files);
    }
    report.print(&mut out)?;
    out.flush()?;
    if let Some(json) = json {
        report.write_json(json)?;
    }
    Ok(report.totals.failed == 0)
}

/// Before the run, which may take minutes.
fn create(path: &Path) -> Result<BufWriter<File>, Failed> {
    let failed = |error| Failed::Arguments(format!("cannot write {}: {error}", path.display()).into());
    File::create(path).map(BufWriter::new).map_err(failed)
}

fn add_unused(report: &mut Report, known: &Known, files: &[PathBuf]) {
    for (file, name, fork) in known.unused(files) {
        report.add_unused(file, &name, fork);
    }
    report.sort();
}
