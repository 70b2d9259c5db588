//! What the tests have in common: the recorded chain, ways to alter it, a made chain, a main node that can be told to
//! misbehave, a replay in memory, and known answers.
#![allow(clippy::panic, reason = "a test that cannot go on says so by a panic")]

pub mod answers;
mod archive;
mod main_node;
mod maker;
mod process;
mod rpc_node;
mod script;
mod transaction;

pub use archive::Archive;
pub use main_node::{Fault, MainNode};
pub use maker::{Made, Plan};
pub use process::{PATIENCE, Process};
pub use rpc_node::{RpcFault, RpcNode, Tamper};
pub use script::Script;
pub use transaction::transaction;

use std::{
    fs,
    io::{Read, Write},
    path::{Path, PathBuf},
};
use zk_replica_core::{
    chain::{ChainSpec, Genesis},
    checker::Mismatch,
    replica::{Halt, Input, Replica},
    source::datastream::{Assembler, DecodeError, FileDecoder, Item},
    store::{Memory, StoreError},
    types::Head,
};

/// The folder of conformance data beside the checkout. Where there is none, says which test is skipped for it; in CI
/// the data is there, and its absence is a failure.
///
/// # Panics
///
/// In CI, when the data is missing.
pub fn vectors(test: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors");
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(std::env::var_os("CI").is_none(), "{test}: {} is missing", folder.display());
    say(&format!("SKIPPED {test}: {} is not there", folder.display()));
    None
}

/// Names what a test does not establish. Written past the test harness, which would keep it to itself on success.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// A recorded chain: everything a replay needs.
#[derive(Clone, Debug)]
pub struct Recording {
    /// The stream file.
    pub stream: Vec<u8>,
    /// The state it begins with.
    pub genesis: Genesis,
    /// Which chain it is.
    pub spec: ChainSpec,
}

impl Recording {
    /// The recorded chain 779.
    ///
    /// # Panics
    ///
    /// When the files are damaged.
    pub fn load(vectors: &Path) -> Self {
        let folder = vectors.join("recorded-chain");
        let read = |name: &str| fs::read(folder.join(name)).expect("readable");
        let mut stream = Vec::new();
        flate2::read::GzDecoder::new(read("data-stream.bin.gz").as_slice())
            .read_to_end(&mut stream)
            .expect("gzip");
        let genesis = Genesis::from_json(&read("genesis-allocs.json"))
            .and_then(|genesis| genesis.with_conf(&read("genesis-conf.json")))
            .expect("genesis");
        let spec = ChainSpec::from_json(&read("chainspec.json")).expect("chain specification");
        Self { stream, genesis, spec }
    }

    /// A replay that has not begun.
    ///
    /// # Panics
    ///
    /// Never: an empty store has no head that could be damaged.
    pub fn begin(&self) -> Replay {
        let store = Memory::new();
        let replica = Replica::open(self.spec.clone(), self.genesis.clone(), &store).expect("empty");
        Replay { store, replica }
    }

    /// Replays from genesis to the end.
    ///
    /// # Errors
    ///
    /// [`Failure`] at the first thing that is not right.
    pub fn replay(&self) -> Result<Head, Failure> {
        let mut replay = self.begin();
        for item in items(&self.stream) {
            replay.advance(item?)?;
        }
        replay.replica.head().cloned().ok_or(Failure::Empty)
    }
}

/// A replay in memory, at some point of the chain.
#[derive(Clone, Debug)]
pub struct Replay {
    /// The present state.
    pub store: Memory,
    /// The chain so far.
    pub replica: Replica,
}

impl Replay {
    /// Checks the next item.
    ///
    /// # Errors
    ///
    /// [`Halt`] when it is not true.
    pub fn advance(&mut self, item: Item) -> Result<(), Halt> {
        self.replica.advance(&Input::from(item), &self.store).map(|_| ())
    }
}

/// The batches and blocks of a stream file, up to and with the first error.
pub fn items(stream: &[u8]) -> impl Iterator<Item = Result<Item, DecodeError>> {
    let mut decoder = Some(FileDecoder::new());
    let mut assembler = Assembler::new();
    decoder.iter_mut().for_each(|decoder| decoder.push(stream));
    let mut next = move || -> Result<Option<Item>, DecodeError> {
        while let Some(entry) = decoder.as_mut().map_or(Ok(None), FileDecoder::next)? {
            if let Some(item) = assembler.push(entry)? {
                return Ok(Some(item));
            }
        }
        decoder.take().map_or(Ok(()), |decoder| decoder.finish().map(|_| ()))?;
        std::mem::take(&mut assembler).finish()?;
        Ok(None)
    };
    let mut failed = false;
    std::iter::from_fn(move || {
        let item = if failed { None } else { next().transpose() };
        failed = matches!(item, Some(Err(_)));
        item
    })
}

/// Why a replay ended.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The stream is malformed.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The replica stopped.
    #[error(transparent)]
    Halt(#[from] Halt),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There was nothing to replay.
    #[error("no blocks")]
    Empty,
}

impl Failure {
    /// The disagreement, if it is one.
    pub fn mismatch(&self) -> Option<&Mismatch> {
        match self {
            Self::Halt(Halt::Mismatch(mismatch)) => Some(mismatch),
            _ => None,
        }
    }
}
