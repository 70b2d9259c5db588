use super::ForkId;
use alloc::string::String;
use alloy_primitives::{Address, address};
use serde::Deserialize;

/// What distinguishes a chain from all others, genesis aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainSpec {
    /// Chain id, as CHAINID returns it.
    pub chain_id: u64,
    /// Name for people; may be empty.
    pub name: String,
    /// The fork that every batch of the chain runs.
    pub fork: ForkId,
    /// Genesis carries London's base fee field (one public chain, hermez-etrog, has it).
    pub london_genesis: bool,
}

/// Why a chain specification cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("not a chain specification: {0}")]
pub struct ChainSpecError(#[from] serde_json::Error);

/// cdk-erigon's form; fields that do not concern a replica are passed over.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SpecFile {
    chain_id: u64,
    #[serde(rename = "ChainName", default)]
    name: String,
    #[serde(default)]
    london_block: Option<f64>,
}

impl ChainSpec {
    /// The system contract: storage only, written by the protocol at every block (`spec/state-tree.md` §3.4).
    pub const SYSTEM_CONTRACT: Address = address!("000000000000000000000000000000005ca1ab1e");
    /// The global exit root manager of L2 (`spec/state-tree.md` §3.4).
    pub const EXIT_ROOT_MANAGER: Address = address!("a40d5f56745a118d0906a34e69aec8c0db1cb8fa");

    /// Reads the JSON form that cdk-erigon uses (`params/chainspecs/*.json` there).
    ///
    /// # Errors
    ///
    /// [`ChainSpecError`] when it is not JSON or names no chain id.
    pub fn from_json(json: &[u8]) -> Result<Self, ChainSpecError> {
        let file: SpecFile = serde_json::from_slice(json)?;
        Ok(Self {
            chain_id: file.chain_id,
            name: file.name,
            fork: ForkId::Elderberry2,
            london_genesis: file.london_block == Some(0.0),
        })
    }
}
