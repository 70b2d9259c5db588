//! Which chain: its ids, its protocol versions, its genesis.

mod fork;
mod genesis;
mod spec;

pub use fork::{ForkId, UnsupportedFork};
pub use genesis::{Genesis, GenesisAccount, GenesisConf, GenesisError};
pub use spec::{ChainSpec, ChainSpecError};
