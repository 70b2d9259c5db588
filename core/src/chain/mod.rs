//! Which chain: its ids, its protocol versions, its genesis.

mod fork;
mod genesis;
mod presets;
mod spec;

pub use fork::{DisorderedForks, ForkId, ForkSchedule, UnsupportedFork};
pub use genesis::{Genesis, GenesisAccount, GenesisConf, GenesisError};
pub use spec::{ChainSpec, ChainSpecError};
