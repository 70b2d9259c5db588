use super::info::head;
use super::{refuse, say};
use crate::store::{OpenError, SledStore};
use clap::Args;
use serde_json::json;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use zk_replica_core::snapshot::{TakeError, take};
use zk_replica_core::store::StoreError;

const AFTER_SNAPSHOT: &str = "\
The file is the whole state, packed by nothing: serve it with compression, or pack it with gzip. The line that is printed,
NUMBER:HASH:STATE_ROOT, is the checkpoint that has to be trusted; the file and whoever serves it need not be.

Exit codes:
  0  written
  1  the file cannot be written
  2  no such database, it is in use, or it has no such block

Example:
  zk-replica db snapshot --db ./db --block 4000 --out snapshot-4000";

/// Bytes of a state at most, as many as the npm package reads: it takes some ten times as much memory to begin with it.
const LIMIT: usize = 64 << 20;

/// Write the state after a block into a file, from which the npm package begins in full mode.
#[derive(Args, Debug)]
#[command(after_long_help = AFTER_SNAPSHOT)]
pub(super) struct Snapshot {
    /// Directory of the database
    #[arg(long, value_name = "DIR")]
    db: PathBuf,

    /// Number of the block [default: the last verified one]
    #[arg(long, value_name = "NUMBER")]
    block: Option<u64>,

    /// File to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,

    /// Print one JSON object, the checkpoint
    #[arg(long)]
    json: bool,
}

/// Why there is no file.
#[derive(Debug, thiserror::Error)]
enum SnapshotError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("{0}")]
    Store(#[from] StoreError),
    #[error("the database holds no block yet")]
    Empty,
    #[error("the database holds blocks up to {last}, not block {block}")]
    Above { block: u64, last: u64 },
    #[error("{0}")]
    Take(#[from] TakeError),
    #[error("cannot write {path}: {error}", path = path.display())]
    Write { path: PathBuf, error: io::Error },
}

pub(super) fn run(options: &Snapshot) -> ExitCode {
    match write(options) {
        Ok(line) => say(&line, 0),
        Err(error @ SnapshotError::Write { .. }) => refuse(&error, 1),
        Err(error) => refuse(&error, 2),
    }
}

fn write(options: &Snapshot) -> Result<String, SnapshotError> {
    let (store, identity) = SledStore::open_existing(&options.db)?;
    let last = head(&store)?.ok_or(SnapshotError::Empty)?.number;
    let block = options.block.unwrap_or(last);
    if block > last {
        return Err(SnapshotError::Above { block, last });
    }
    let (checkpoint, file) = take(&store, identity.chain_id, block, LIMIT)?;
    create(&options.out, &file).map_err(|error| SnapshotError::Write { path: options.out.clone(), error })?;
    if options.json {
        let (hash, state_root) = (checkpoint.hash, checkpoint.state_root);
        return Ok(json!({ "number": block, "hash": hash, "stateRoot": state_root }).to_string());
    }
    Ok(checkpoint.to_string())
}

/// The file is there in full or not at all.
fn create(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let mut file = File::create(&part)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(part, path)
}
