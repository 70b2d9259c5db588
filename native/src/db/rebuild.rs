use super::refuse;
use crate::cli::{self, ChainFiles};
use crate::output::Outcome;
use crate::replay::{self, ReplayError};
use crate::store::{self, OpenError};
use crate::{report, stop_on_signals};
use clap::Args;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const AFTER_REBUILD: &str = "\
The new database grows in DIR.rebuild; when the whole stream is verified it takes the place of DIR, which stays as
DIR.damaged. A rebuild that was interrupted goes on where it was.

Exit codes are those of `zk-replica replay`; after 0, and only then, DIR is the new database.

Example:
  zk-replica db rebuild --db ./db --stream data-stream.bin.gz --genesis genesis-allocs.json --chain chainspec.json";

/// Make a damaged database anew from a recorded stream, and put it in its place.
#[derive(Args, Debug)]
#[command(after_long_help = AFTER_REBUILD)]
pub(super) struct Rebuild {
    /// Directory of the damaged database
    #[arg(long, value_name = "DIR")]
    db: PathBuf,

    /// Data stream of the main node; `-` is standard input
    #[arg(long, value_name = "FILE")]
    stream: PathBuf,

    #[command(flatten)]
    files: ChainFiles,

    /// Print the result as one JSON object instead of a line
    #[arg(long)]
    json: bool,
}

/// Why there is no new database.
#[derive(Debug, thiserror::Error)]
enum RebuildError {
    #[error(transparent)]
    Replay(#[from] ReplayError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("{path} is in the way: move it, it is what an earlier rebuild replaced", path = .0.display())]
    InTheWay(PathBuf),
    #[error("cannot move {from} to {to}: {error}", from = from.display(), to = to.display())]
    Move { from: PathBuf, to: PathBuf, error: io::Error },
}

impl RebuildError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Replay(error) => error.exit_code(),
            Self::Open(_) | Self::InTheWay(_) => 2,
            Self::Move { .. } => 1,
        }
    }
}

pub(super) fn run(options: &Rebuild) -> ExitCode {
    match rebuild(options) {
        Ok(outcome) => report(&outcome, options.json),
        Err(error) => refuse(&error, error.exit_code()),
    }
}

fn rebuild(options: &Rebuild) -> Result<Outcome, RebuildError> {
    let Rebuild { db, stream, files, json } = options;
    let (fresh, aside) = (beside(db, ".rebuild"), beside(db, ".damaged"));
    if aside.exists() && db.exists() {
        return Err(RebuildError::InTheWay(aside));
    }
    // Nobody may write into the old one meanwhile: it would be lost.
    let old = if db.exists() { Some(store::lock(db)?) } else { None };
    let replay = cli::Replay::into_database(stream.clone(), files.clone(), fresh.clone(), *json);
    let stop = stop_on_signals().map_err(ReplayError::from)?;
    let outcome = replay::run(&replay, &stop)?;
    if matches!(outcome, Outcome::Verified(_)) {
        // Between the two there is no DIR, never half of one; the next rebuild would find both and go on.
        if old.is_some() {
            rename(db, &aside)?;
        }
        rename(&fresh, db)?;
    }
    Ok(outcome)
}

fn rename(from: &Path, to: &Path) -> Result<(), RebuildError> {
    fs::rename(from, to).map_err(|error| RebuildError::Move {
        from: from.to_owned(),
        to: to.to_owned(),
        error,
    })
}

/// A directory beside another one.
fn beside(path: &Path, end: &str) -> PathBuf {
    // `components` drops a slash at the end, behind which the ending would name something inside.
    let mut name = OsString::from(path.components().as_path());
    name.push(end);
    PathBuf::from(name)
}
