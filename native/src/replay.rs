//! `zk-replica replay`: the one place where decoder, checker and store meet.

use crate::cli::Replay;
use crate::output::Outcome;
use crate::store::OpenError;
use crate::stream_file::StreamFileError;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use zk_replica_core::store::StoreError;

/// Why a run could not find out. A disagreement is not among these: it is an [`Outcome`].
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReplayError {
    /// The stream's file.
    #[error(transparent)]
    Stream(#[from] StreamFileError),
    /// Another input file.
    #[error("cannot read {path}: {error}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        error: io::Error,
    },
    /// The database cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The database failed later.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No handler for signals.
    #[error("cannot listen for signals: {0}")]
    Signals(io::Error),
}

impl ReplayError {
    /// 2: something the caller named cannot be used. 1: everything else.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Stream(_) | Self::File { .. } | Self::Open(_) => 2,
            Self::Store(_) | Self::Signals(_) => 1,
        }
    }
}
