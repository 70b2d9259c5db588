use crate::chain_files::ChainFileError;
use crate::discover::DiscoverError;
use crate::http::StartError;
use crate::store::OpenError;
use crate::web3::SiteError;
use std::io;
use zk_replica_core::checker::Mismatch;
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
    /// Web3 cannot be served.
    #[error(transparent)]
    Server(#[from] StartError),
    /// The page, or what it is told.
    #[error(transparent)]
    Site(#[from] SiteError),
    /// What the main node says of the chain, or does not say.
    #[error(transparent)]
    Discover(#[from] DiscoverError),
    /// The genesis file is not that of the main node's chain.
    #[error(
        "the genesis file is not that of the chain at {upstream}: {mismatch}; \
         use the allocations (and the conf file) that its nodes were started with"
    )]
    Genesis {
        /// What the main node says of block 0, and what the file gives.
        mismatch: Box<Mismatch>,
        /// Who says it.
        upstream: String,
    },
    /// Threads for requests cannot be had.
    #[error("cannot start the client: {0}")]
    Runtime(io::Error),
    /// No handler for signals.
    #[error("cannot listen for signals: {0}")]
    Signals(io::Error),
}

impl HostError {
    /// 1: the machine failed. 2: something the caller named cannot be used.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Store(_) | Self::Signals(_) | Self::Runtime(_) => 1,
            Self::ChainFiles(_)
            | Self::Open(_)
            | Self::Server(_)
            | Self::Site(_)
            | Self::Discover(_)
            | Self::Genesis { .. } => 2,
        }
    }
}
