use crate::chain_files::ChainFileError;
use crate::store::OpenError;
use std::io;
use zk_replica_core::store::StoreError;

/// Why a command cannot go on, whichever it is: its files, its database, the machine.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HostError {
    /// The files that say which chain it is.
    #[error(transparent)]
    ChainFiles(#[from] ChainFileError),
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

impl HostError {
    /// 1: the machine failed. 2: something the caller named cannot be used.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Store(_) | Self::Signals(_) => 1,
            Self::ChainFiles(_) | Self::Open(_) => 2,
        }
    }
}
