//! Options of `zk-replica devnet`.

use super::lies::Lie;
use clap::{Args, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;
use zk_replica_core::chain::ForkId;

const AFTER: &str = "\
Examples:
  A chain with a block every second and some traffic, and the files that a replica needs:
    zk-replica devnet --traffic --genesis-out ./chain

  A block for each transaction, for the tests of a contract:
    zk-replica devnet --block-time 0

  A main node that says a wrong state root of block 7:
    zk-replica devnet --lie state-root@7

  A recorded stream, served as its main node did:
    zk-replica devnet --serve data-stream.bin.gz";

/// A main node in memory, for tests: makes blocks, serves the data stream and JSON-RPC, and lies when told to.
///
/// The same options and the same requests give the same chain. Everything is forgotten at the end. Beside the methods of a
/// main node there are devnet_mine(n), devnet_rollBack(block), devnet_lie(kind, block), devnet_lies, devnet_honest and
/// devnet_accounts.
#[derive(Args, Clone, Debug)]
#[command(after_long_help = AFTER, after_help = "--help shows examples.")]
pub(crate) struct Devnet {
    /// Where the data stream is served (TCP); port 0 is any that is free
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:6900")]
    pub(crate) stream: SocketAddr,

    /// Where JSON-RPC is served (HTTP and WebSocket); port 0 is any that is free
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8123")]
    pub(crate) http: SocketAddr,

    /// Serve the JSON-RPC of an L1 node here, on which each batch is proved when the next has ended
    ///
    /// It has what a replica reads of the rollup manager's contract, and nothing else; a line says its address and the
    /// rollup's number. It tells the truth, whatever lies the main node tells, and does not follow roll-backs.
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "serve")]
    pub(crate) l1: Option<SocketAddr>,

    /// Protocol version, 7 to 13
    #[arg(long, value_name = "ID", default_value = "12", value_parser = parse_fork)]
    pub(crate) fork: ForkId,

    /// Chain id
    #[arg(long, value_name = "ID", default_value_t = 31_337)]
    pub(crate) chain_id: u64,

    /// What accounts, leaves of L1 and traffic are made from
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub(crate) seed: u64,

    /// How many accounts are funded
    #[arg(long, value_name = "COUNT", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub(crate) accounts: u64,

    /// Seconds between blocks; 0 makes a block for each transaction, and when devnet_mine asks for it
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = parse_seconds)]
    pub(crate) block_time: f64,

    /// Blocks in a batch
    #[arg(long, value_name = "COUNT", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) batch_blocks: u64,

    /// Make no more blocks by itself after this one
    #[arg(long, value_name = "BLOCK", default_value_t = u64::MAX, hide_default_value = true)]
    pub(crate) blocks: u64,

    /// What timestamps are: a count of block times from genesis, or the machine's time
    #[arg(long, value_name = "CLOCK", value_enum, default_value_t = Clock::Virtual)]
    pub(crate) clock: Clock,

    /// Timestamp of genesis, in seconds since the Unix epoch
    #[arg(long, value_name = "SECONDS", default_value_t = 1_700_000_000, value_parser = clap::value_parser!(u64).range(1..1 << 31))]
    pub(crate) genesis_time: u64,

    /// Write genesis-allocs.json, chainspec.json and genesis-conf.json, which a replica needs, to this directory
    #[arg(long, value_name = "DIR")]
    pub(crate) genesis_out: Option<PathBuf>,

    /// Send transactions: transfers, a token, contract creations, calls, some that fail
    #[arg(long, value_name = "PER SECOND", num_args = 0..=1, default_missing_value = "5", value_parser = parse_seconds)]
    pub(crate) traffic: Option<f64>,

    /// Tell this lie, of the first block from BLOCK on that has what it needs; may stand several times
    #[arg(long, value_name = "KIND[@BLOCK]", value_parser = parse_lie)]
    pub(crate) lie: Vec<PlannedLie>,

    /// Name the kinds of lies, and what a replica has to find wrong, and end
    #[arg(long)]
    pub(crate) list_lies: bool,

    /// Serve this recorded data stream (plain, gzip or zstd) instead of making blocks; without JSON-RPC
    #[arg(long, value_name = "FILE")]
    pub(crate) serve: Option<PathBuf>,

    /// Print no line for each block
    #[arg(long)]
    pub(crate) quiet: bool,
}

/// Where timestamps come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Clock {
    /// Each block is one block time, at least a second, after the one before.
    Virtual,
    /// The machine's.
    Real,
}

/// A lie that is to be told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlannedLie {
    pub(crate) lie: &'static Lie,
    /// Of no block before this one.
    pub(crate) from: u64,
}

fn parse_fork(text: &str) -> Result<ForkId, String> {
    let fork = text.parse().ok().and_then(|number: u64| ForkId::try_from(number).ok());
    fork.filter(|fork| *fork >= ForkId::Etrog).ok_or_else(|| "expected a fork from 7 to 13".to_owned())
}

fn parse_seconds(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| (0.0..=1e6).contains(number));
    number.ok_or_else(|| "expected a number from 0 to 1000000".to_owned())
}

fn parse_lie(text: &str) -> Result<PlannedLie, String> {
    let (name, from) = text.split_once('@').unwrap_or((text, "0"));
    let lie = Lie::named(name).ok_or("no such kind: --list-lies names them")?;
    let from = from.parse().map_err(|_| "expected a block number behind @")?;
    Ok(PlannedLie { lie, from })
}
