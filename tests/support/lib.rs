//! What the tests have in common: the recorded chain, and a replay of it in memory.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
};
use zk_replica_core::{
    chain::{ChainSpec, Genesis},
    checker::Mismatch,
    replica::{Halt, Input, Replica, Step},
    source::datastream::{Assembler, DecodeError, FileDecoder, Item},
    store::{Memory, StoreError},
    types::Head,
};

/// The folder of conformance data beside the checkout, where there is one.
pub fn vectors() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors");
    folder.is_dir().then_some(folder)
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

    /// Replays in memory, from genesis to the end.
    ///
    /// # Errors
    ///
    /// [`Failure`] at the first thing that is not right.
    pub fn replay(&self) -> Result<Head, Failure> {
        let store = Memory::new();
        let mut replica = Replica::open(self.spec.clone(), self.genesis.clone(), &store)?;
        let mut decoder = FileDecoder::new();
        let mut assembler = Assembler::new();
        decoder.push(&self.stream);
        let mut permutations = 0;
        while let Some(entry) = decoder.next()? {
            if let Some(item) = assembler.push(entry)? {
                let input = match item {
                    Item::BatchStart(start) => Input::BatchStart(start),
                    Item::Block(block) => Input::Block(block.into()),
                    Item::BatchEnd(end) => Input::BatchEnd(end),
                    other => todo!("{other:?}"),
                };
                if let Step::Verified(block) = replica.advance(&input, &store)? {
                    permutations += block.permutations();
                }
            }
        }
        decoder.finish()?;
        assembler.finish()?;
        eprintln!("{permutations} permutations, {} records", store.len());
        replica.head().cloned().ok_or(Failure::Halt(Halt::OutOfOrder("no blocks")))
    }
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
