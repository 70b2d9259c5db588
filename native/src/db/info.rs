use super::{refuse, say};
use crate::store::{Extent, OpenError, SledStore, VERSION};
use alloy_primitives::B256;
use alloy_rlp::Decodable as _;
use clap::Args;
use serde::Serialize;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use zk_replica_core::store::{Key, Store as _, StoreError};
use zk_replica_core::types::Head;

/// Say what is in a database: chain, head, size, format.
#[derive(Args, Debug)]
pub(super) struct Info {
    /// Directory of the database
    #[arg(long, value_name = "DIR")]
    db: PathBuf,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// A last verified block.
#[derive(Debug, Serialize)]
pub(super) struct Tip {
    pub(super) number: u64,
    pub(super) hash: B256,
    pub(super) state_root: B256,
    batch: u64,
    fork_id: u64,
    timestamp: u64,
}

impl From<&Head> for Tip {
    fn from(head: &Head) -> Self {
        let &Head { number, hash, state_root, timestamp, batch, fork_id, .. } = head;
        Self { number, hash, state_root, batch, fork_id, timestamp }
    }
}

#[derive(Debug, Serialize)]
struct Description {
    format: u32,
    chain_id: u64,
    genesis: B256,
    head: Option<Tip>,
    runs: usize,
    records: u64,
    bytes: u64,
}

pub(super) fn run(options: &Info) -> ExitCode {
    match describe(&options.db) {
        Ok(description) if options.json => {
            say(&serde_json::to_string(&description).expect("plain data with names for keys"), 0)
        }
        Ok(description) => say(&in_words(&description), 0),
        Err(error) => refuse(&error, 2),
    }
}

fn describe(path: &Path) -> Result<Description, OpenError> {
    let (store, identity) = SledStore::open_existing(path)?;
    let head = head(&store)
        .map_err(|error| OpenError::Damaged { path: path.to_owned(), reason: error.to_string() })?;
    let Extent { runs, records } = store.extent();
    let bytes =
        size(path).map_err(|error| OpenError::Io { action: "measure", path: path.to_owned(), error })?;
    let head = head.as_ref().map(Tip::from);
    Ok(Description {
        format: VERSION,
        chain_id: identity.chain_id,
        genesis: identity.genesis,
        head,
        runs,
        records,
        bytes,
    })
}

/// The last verified block of a store.
pub(super) fn head(store: &SledStore) -> Result<Option<Head>, StoreError> {
    let Some(record) = store.get(&Key::Head)? else {
        return Ok(None);
    };
    let mut rest = record.as_ref();
    match Head::decode(&mut rest) {
        Ok(head) if rest.is_empty() => Ok(Some(head)),
        _ => Err(StoreError::Corrupt { key: Key::Head, reason: "not a head record" }),
    }
}

/// Bytes of all files below `path`.
fn size(path: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { size(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}

fn in_words(description: &Description) -> String {
    let Description { format, chain_id, genesis, head, runs, records, bytes } = description;
    let head = match head {
        Some(Tip { number, hash, state_root, batch, fork_id, .. }) => {
            format!("block {number} (batch {batch}, fork {fork_id}) state root {state_root} hash {hash}")
        }
        None => "none".to_owned(),
    };
    format!(
        "chain    {chain_id}, genesis {genesis}\nhead     {head}\nsize     {bytes} bytes, {records} records, {runs} runs\nformat   {format}"
    )
}
