//! Evidence of mismatches as files: written where a mismatch is found, checked by `zk-replica evidence check`.

use crate::complain;
use clap::{Args, Subcommand};
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use zk_replica_core::evidence::{self, Anchor, EvidenceError, Judgement, Refusal};

const AFTER_CHECK: &str = "\
Exit codes:
  0  the main node is wrong: the check finds the mismatch that the file says
  2  refused: forged, altered, cut short, or the state before is not whole
  4  the evidence does not show a mismatch: what the main node says is true

Example:
  zk-replica evidence check evidence-block-8700-2c26b46b68ffc68f.json";

/// Check evidence that a replica wrote of a mismatch.
#[derive(Args, Debug)]
pub(crate) struct Evidence {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(Check),
}

/// Re-execute what is in an evidence file, and say who is right.
///
/// Needs no network and no database. Nothing in the file is believed but what its last lines name: that the parent block
/// is part of the chain. Every record of the state is found by its own hash, from the parent's state root on.
#[derive(Args, Debug)]
#[command(after_long_help = AFTER_CHECK)]
struct Check {
    /// The file that the replica wrote
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Why a file says nothing.
#[derive(Debug, thiserror::Error)]
enum CheckError {
    #[error("cannot read {path}: {error}", path = path.display())]
    File { path: PathBuf, error: io::Error },
    #[error("{path} is refused: {error}", path = path.display())]
    Refused { path: PathBuf, error: Refusal },
}

/// Runs the command.
pub(crate) fn run(Evidence { command: Command::Check(Check { file }) }: &Evidence) -> ExitCode {
    match check(file) {
        Ok((text, code)) => match writeln!(io::stdout(), "{text}") {
            Ok(()) => ExitCode::from(code),
            Err(error) => {
                complain(&error);
                ExitCode::from(1)
            }
        },
        Err(error) => {
            complain(&error);
            ExitCode::from(2)
        }
    }
}

fn check(path: &Path) -> Result<(String, u8), CheckError> {
    let bytes = read(path).map_err(|error| CheckError::File { path: path.to_owned(), error })?;
    let refused = |error| CheckError::Refused { path: path.to_owned(), error };
    let evidence = evidence::Evidence::decode(&bytes).map_err(refused)?;
    let (mut text, code) = match evidence.check().map_err(refused)? {
        Judgement::MainNodeIsWrong(mismatch) => (format!("the main node is wrong: {mismatch}"), 0),
        Judgement::NoMismatch => {
            (format!("the evidence does not show a mismatch at block {}", evidence.block()), 4)
        }
    };
    text.push_str(&format!("\nchain {}; {} bytes of evidence", evidence.chain_id(), bytes.len()));
    for anchor in evidence.anchors() {
        text.push_str(&format!("\ntaken for granted: {}", in_words(&anchor)));
    }
    Ok((text, code))
}

/// Not more of it than evidence can have.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(evidence::MAX_LEN as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn in_words(anchor: &Anchor) -> String {
    match anchor {
        Anchor::Parent { number, hash, state_root, timestamp, batch, fork_id, batch_closed } => {
            let end = if *batch_closed { "complete" } else { "open" };
            format!(
                "the chain has block {number} with hash {hash} and timestamp {timestamp}, and then state root \
                 {state_root} before what was checked; its last batch is {batch} with fork {fork_id}, and {end}"
            )
        }
        Anchor::Repeated { batch, state_root } => {
            format!("the chain has state root {state_root} behind the last block of batch {batch}")
        }
        Anchor::Known { number, hash, batch, fork_id, block_info_root } => format!(
            "block {number} with hash {hash}, in batch {batch} with fork {fork_id}, and with block info root \
             {block_info_root}, was verified before the main node said otherwise"
        ),
        Anchor::Genesis { accounts } => {
            format!("the chain begins with the {accounts} accounts in the file")
        }
    }
}

/// Where evidence is written.
#[derive(Clone, Debug)]
pub(crate) struct Folder(PathBuf);

/// Why there is no evidence. That is never a reason to stop.
#[derive(Debug, thiserror::Error)]
enum KeepError {
    /// There is none to be had.
    #[error("no evidence is written: {0}")]
    Evidence(#[from] EvidenceError),
    /// The check made again finds nothing wrong.
    #[error("no evidence is written: the mismatch does not come again")]
    Gone,
    /// It cannot be written.
    #[error("no evidence is written: cannot write {path}: {error}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        error: io::Error,
    },
}

impl Folder {
    /// The folder that was named; or `evidence` in the database's; or, without one, the present folder.
    pub(crate) fn choose(named: Option<&Path>, db: Option<&Path>) -> Self {
        Self(match (named, db) {
            (Some(named), _) => named.to_owned(),
            (None, Some(db)) => db.join("evidence"),
            (None, None) => PathBuf::from("."),
        })
    }

    /// Writes what was found, unless it has been written before: the file and its bytes. The file is there in full, or
    /// not at all.
    fn keep(
        &self,
        found: Result<Option<evidence::Evidence>, EvidenceError>,
    ) -> Result<Option<(PathBuf, usize)>, KeepError> {
        let evidence = found?.ok_or(KeepError::Gone)?;
        let id = evidence.id()?.to_string();
        let name = format!("evidence-block-{}-{}.json", evidence.block(), &id[2..18]);
        let path = self.0.join(&name);
        if path.exists() {
            return Ok(None);
        }
        let bytes = evidence.encode()?;
        let write = || {
            fs::create_dir_all(&self.0)?;
            let draft = self.0.join(format!("{name}.new"));
            let mut file = File::create(&draft)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            fs::rename(&draft, &path)
        };
        match write() {
            Ok(()) => Ok(Some((path, bytes.len()))),
            Err(error) => Err(KeepError::File { path, error }),
        }
    }

    /// Writes what was found, and gives a line to be told; `None` when the same was written before.
    pub(crate) fn keep_and_tell(
        &self,
        found: Result<Option<evidence::Evidence>, EvidenceError>,
    ) -> Option<String> {
        match self.keep(found) {
            Ok(Some((path, bytes))) => Some(format!("evidence: {} ({bytes} bytes)", path.display())),
            Ok(None) => None,
            Err(error) => Some(format!("evidence: {error}")),
        }
    }
}
