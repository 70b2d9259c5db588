use super::REMEDY;
use alloy_primitives::B256;
use std::io;
use std::path::PathBuf;

/// Why a database could not be opened. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// There is no database.
    #[error("there is no database in {0}: name the directory that --db named when it was made")]
    None(PathBuf),
    /// The path names something else than a directory.
    #[error("{0} is not a directory: name a directory for the database, it is made if it does not exist")]
    NotADirectory(PathBuf),
    /// The operating system refused.
    #[error("cannot {action} {path}: {error}", path = path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What the operating system says.
        error: io::Error,
    },
    /// Another process has it open.
    #[error("the database {0} is in use by another process: wait for it to end, or name another directory")]
    Locked(PathBuf),
    /// The directory holds files of something else.
    #[error("{path} is not a database of zk-replica (it holds {found:?}): name an empty or a new directory", path = path.display())]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// One of the files in it.
        found: String,
    },
    /// The database was made by another version of this program.
    #[error(
        "the database {path} has format {found}, this program reads format {expected}: \
         use the program that made it, or make it anew with `zk-replica db rebuild`",
        path = path.display()
    )]
    Version {
        /// The directory.
        path: PathBuf,
        /// As the database says.
        found: String,
        /// What this program reads.
        expected: u32,
    },
    /// The database holds another chain.
    #[error("the database {path} holds chain {found}, not chain {expected}: name another directory", path = path.display())]
    Chain {
        /// The directory.
        path: PathBuf,
        /// As the database says.
        found: u64,
        /// The chain to be replayed.
        expected: u64,
    },
    /// The database holds a chain of this id that began otherwise.
    #[error(
        "the database {path} holds chain {chain} with genesis {found}, not {expected}: name another directory",
        path = path.display()
    )]
    Genesis {
        /// The directory.
        path: PathBuf,
        /// Chain id of both.
        chain: u64,
        /// As the database says.
        found: B256,
        /// The genesis to be replayed.
        expected: B256,
    },
    /// The files are not what was once written.
    #[error(
        "the database {path} is damaged ({reason}): everything in it can be computed again, {REMEDY}",
        path = path.display()
    )]
    Damaged {
        /// The directory.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}
