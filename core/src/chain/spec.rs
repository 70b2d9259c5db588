use super::{DisorderedForks, ForkId, ForkSchedule, UnsupportedFork, presets};
use alloc::{string::String, vec::Vec};
use alloy_primitives::{Address, U64, address};
use serde::Deserialize;

/// What distinguishes a chain from all others, genesis aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainSpec {
    /// Chain id, as CHAINID returns it.
    pub chain_id: u64,
    /// Name for people; may be empty.
    pub name: String,
    /// Which fork every batch runs.
    pub forks: ForkSchedule,
    /// Genesis carries London's base fee field (one public chain, hermez-etrog, has it).
    pub london_genesis: bool,
}

/// Why a chain specification cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ChainSpecError {
    /// Not the JSON of a chain specification.
    #[error("not a chain specification: {0}")]
    Json(#[from] serde_json::Error),
    /// The schedule names a fork that cannot be executed.
    #[error(transparent)]
    Fork(#[from] UnsupportedFork),
    /// The schedule goes back.
    #[error(transparent)]
    Schedule(#[from] DisorderedForks),
}

/// cdk-erigon's form; fields that do not concern a replica are passed over.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SpecFile {
    chain_id: u64,
    #[serde(rename = "ChainName", default)]
    name: String,
    #[serde(default)]
    london_block: Option<f64>,
    #[serde(default)]
    forks: Vec<ForkInterval>,
}

/// One entry of what `zkevm_getForks` returns; the last batch of a fork is the one before the next.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ForkInterval {
    fork_id: U64,
    from_batch_number: U64,
}

impl ChainSpec {
    /// The system contract: storage only, written by the protocol at every block (`spec/state-tree.md` §3.4).
    pub const SYSTEM_CONTRACT: Address = address!("000000000000000000000000000000005ca1ab1e");
    /// The global exit root manager of L2 (`spec/state-tree.md` §3.4).
    pub const EXIT_ROOT_MANAGER: Address = address!("a40d5f56745a118d0906a34e69aec8c0db1cb8fa");

    /// Reads the JSON form that cdk-erigon uses (`params/chainspecs/*.json` there).
    ///
    /// cdk-erigon learns the forks from L1. Here the file may name them: `forks` holds what the main node's
    /// `zkevm_getForks` returns. Without it the schedule is the preset of a known chain, or unknown.
    ///
    /// # Errors
    ///
    /// [`ChainSpecError`] when it is not JSON, names no chain id, or its forks cannot be.
    pub fn from_json(json: &[u8]) -> Result<Self, ChainSpecError> {
        let file: SpecFile = serde_json::from_slice(json)?;
        let forks = if file.forks.is_empty() {
            presets::forks(file.chain_id)
        } else {
            let mut intervals = Vec::new();
            for ForkInterval { fork_id, from_batch_number } in file.forks {
                intervals.push((from_batch_number.to(), ForkId::try_from(fork_id.to::<u64>())?));
            }
            ForkSchedule::new(intervals)?
        };
        Ok(Self {
            chain_id: file.chain_id,
            name: file.name,
            forks,
            london_genesis: file.london_block == Some(0.0),
        })
    }
}
