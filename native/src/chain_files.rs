//! The files that say which chain it is: specification, genesis, configuration.

use crate::cli::ChainFiles;
use alloy_primitives::{B256, Keccak256};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use zk_replica_core::chain::{ChainSpec, ChainSpecError, Genesis, GenesisError};

/// Why one of the files cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChainFileError {
    /// It cannot be read.
    #[error("cannot read {path}: {error}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        error: io::Error,
    },
    /// The chain specification.
    #[error("{path}: {error}", path = path.display())]
    Chain {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: ChainSpecError,
    },
    /// Genesis, or its configuration.
    #[error("{path}: {error}", path = path.display())]
    Genesis {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: GenesisError,
    },
}

/// Reads the chain specification, the accounts at genesis, and what is published about block 0.
pub(crate) fn read(files: &ChainFiles) -> Result<(ChainSpec, Genesis), ChainFileError> {
    let ChainFiles { genesis, chain, conf } = files;
    Ok((read_chain(chain)?, read_genesis(genesis, conf.as_deref())?))
}

/// Reads the chain specification.
pub(crate) fn read_chain(path: &Path) -> Result<ChainSpec, ChainFileError> {
    let json = read_file(path)?;
    ChainSpec::from_json(&json).map_err(|error| ChainFileError::Chain { path: path.to_owned(), error })
}

/// Reads the accounts at genesis, and what is published about block 0.
pub(crate) fn read_genesis(path: &Path, conf: Option<&Path>) -> Result<Genesis, ChainFileError> {
    let unusable = |path: &Path| {
        let path = path.to_owned();
        move |error| ChainFileError::Genesis { path, error }
    };
    let genesis = Genesis::from_json(&read_file(path)?).map_err(unusable(path))?;
    match conf {
        Some(conf) => genesis.with_conf(&read_file(conf)?).map_err(unusable(conf)),
        None => Ok(genesis),
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, ChainFileError> {
    fs::read(path).map_err(|error| ChainFileError::File { path: path.to_owned(), error })
}

/// Tells two genesis states apart, however their files are written. It is no state root: that is for the checker.
pub(crate) fn identify(genesis: &Genesis) -> B256 {
    let mut hasher = Keccak256::new();
    for (address, account) in &genesis.accounts {
        hasher.update(address);
        hasher.update(account.balance.to_be_bytes::<32>());
        hasher.update(account.nonce.to_be_bytes());
        hasher.update((account.code.len() as u64).to_be_bytes());
        hasher.update(&account.code);
        hasher.update((account.storage.len() as u64).to_be_bytes());
        for (slot, word) in &account.storage {
            hasher.update(slot.to_be_bytes::<32>());
            hasher.update(word.to_be_bytes::<32>());
        }
    }
    hasher.finalize()
}
