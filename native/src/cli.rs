//! The command line.

use crate::config::Timing;
use crate::demo::Demo;
use crate::devnet::Devnet;
use crate::http::{Endpoint, ServerOptions};
use crate::l1::L1Options;
use crate::log::LogOptions;
use crate::upstream::Upstream;
use clap::{ArgGroup, Args, Parser, Subcommand};
use std::path::PathBuf;

/// A replica of a Polygon zkEVM / CDK rollup that believes nothing: it re-executes every block.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Replay(Replay),
    Run(Box<Run>),
    Db(crate::db::Db),
    Evidence(crate::evidence::Evidence),
    Config(Config),
    Devnet(Box<Devnet>),
    Demo(Demo),
}

const AFTER_REPLAY: &str = "\
Exit codes:
  0    verified: every block up to the end of the stream (or --to) agrees
  1    could not finish: the database cannot be read or written, the disk is full
  2    unusable input: one line on standard error says what is wrong and where
  3    disagreement: the first mismatch with block, claim, expected and computed value
  130  interrupted by ctrl-c or SIGTERM, after the present commit

Examples:
  Verify a recording, and keep nothing:
    zk-replica replay --stream data-stream.bin.gz --genesis genesis-allocs.json --chain chainspec.json

  Keep the verified state, so that the next run continues where this one ends or is killed:
    zk-replica replay --stream data-stream.bin --genesis genesis-allocs.json --chain chainspec.json --db ./db

  From a pipe, the first 1000 blocks, result as JSON:
    curl -s https://example.org/stream.zst | zk-replica replay --stream - --genesis genesis-allocs.json \\
        --chain chainspec.json --to 1000 --json";

/// Verify a recorded chain, from genesis or from where the database ends.
///
/// Reads the data stream that a main node recorded, re-executes each block, and compares every claim in it with what came
/// out: signatures, state roots, block hashes, block info roots, batch ends. The first disagreement ends the run.
#[derive(Args, Debug)]
#[command(after_long_help = AFTER_REPLAY, after_help = "--help shows exit codes and examples.")]
pub(crate) struct Replay {
    /// Data stream of the main node; `-` is standard input
    ///
    /// Plain, gzip or zstd (windows up to 64 MB, `--long=26`). The first bytes tell which, the name does not matter.
    #[arg(long, value_name = "FILE")]
    pub(crate) stream: PathBuf,

    #[command(flatten)]
    pub(crate) files: ChainFiles,

    /// Keep what is verified in this directory, and continue from it
    ///
    /// It is made if it does not exist. A run that is killed at any point loses nothing that it reported. Without it,
    /// everything is kept in memory and forgotten.
    #[arg(long, value_name = "DIR")]
    pub(crate) db: Option<PathBuf>,

    /// Stop after this block
    ///
    /// It may not come before the last block of the database.
    #[arg(long, value_name = "BLOCK")]
    pub(crate) to: Option<u64>,

    /// Write the evidence of a mismatch into this directory [default: `evidence` in the database, or the present one]
    #[arg(long, value_name = "DIR")]
    pub(crate) evidence_dir: Option<PathBuf>,

    /// Print the result as one JSON object instead of a line
    #[arg(long)]
    pub(crate) json: bool,
}

impl Replay {
    /// A replay of all of a stream.
    pub(crate) fn into_database(stream: PathBuf, files: ChainFiles, db: PathBuf, json: bool) -> Self {
        Self { stream, files, db: Some(db), to: None, evidence_dir: None, json }
    }
}

/// The files that say which chain it is.
#[derive(Args, Clone, Debug)]
pub(crate) struct ChainFiles {
    /// Accounts at genesis: balance, nonce, code and storage of each address (cdk-erigon's *-allocs.json)
    #[arg(long, value_name = "FILE")]
    pub(crate) genesis: PathBuf,

    /// Chain id and forks (cdk-erigon's *-chainspec.json)
    ///
    /// `forks` in it holds what the main node's `zkevm_getForks` returns. Without it the forks are those of a known
    /// chain, or else what the main node says of each batch, as long as they never go back.
    #[arg(long, value_name = "FILE")]
    pub(crate) chain: PathBuf,

    /// Genesis root, timestamp and gas limit (cdk-erigon's *-conf.json); checked against what is computed
    #[arg(long, value_name = "FILE")]
    pub(crate) conf: Option<PathBuf>,
}

const AFTER_RUN: &str = "\
Exit codes:
  1    could not go on: the database cannot be read or written, the disk is full
  2    unusable input: one line on standard error says what is wrong and where
  130  stopped by ctrl-c or SIGTERM, after the present commit; the next run continues

A main node that cannot be reached, closes, is silent or is wrong is no reason to end: it is tried again, after waits that
grow to a second and a half.

Standard output has a line for each block that comes at the tip, once it is verified and on the disk; catching up from far
behind is one line. Standard error has a line for each event: connected, lost, waiting, catching up, at the tip, rolled
back, mismatch, corrected; on a terminal also a status line.

Examples:
  Follow a main node, from genesis or from where the database ends:
    zk-replica run --stream sequencer.example.org:6900 --genesis genesis-allocs.json --chain chainspec.json --db ./db

  The same, and serve Web3 from what is verified:
    zk-replica run --stream sequencer.example.org:6900 --genesis genesis-allocs.json --chain chainspec.json --db ./db \\
        --main-node https://rpc.example.org --http 127.0.0.1:8545

  Over JSON-RPC alone, from two main nodes; the chain's id and forks are asked for:
    zk-replica run --main-node https://rpc.example.org --main-node https://rpc2.example.org \\
        --genesis genesis-allocs.json

  With a file:
    zk-replica config check replica.toml && zk-replica run --config replica.toml

  Catch up with a recording first, which is faster, then follow:
    zk-replica replay --stream data-stream.bin.gz --genesis genesis-allocs.json --chain chainspec.json --db ./db
    zk-replica run --stream 127.0.0.1:6900 --genesis genesis-allocs.json --chain chainspec.json --db ./db";

/// Follow a main node, and verify each block as it comes.
///
/// The main node is asked over JSON-RPC (--main-node), its data stream is followed (--stream), or both. Where several are
/// named, the one that does best serves; the others are compared with what is verified, and contradictions are told.
///
/// Continues after the last verified block of the database. When the main node rolls back, the last common block is found
/// and the database goes back to it. When the main node is wrong, that is said, the last verified block is kept, and
/// following goes on by itself once the main node is right.
///
/// Every option can also stand in the environment (ZK_REPLICA_ and its name in capitals) or in the file that --config
/// names; see docs/configuration.md.
#[derive(Args, Debug)]
#[command(after_long_help = AFTER_RUN, after_help = "--help shows exit codes and examples.")]
#[command(group(ArgGroup::new("l1_nodes").args(["l1", "page_l1"]).multiple(true)))]
#[command(group(ArgGroup::new("upstreams").args(["stream", "main_node"]).multiple(true).required(true)))]
pub(crate) struct Run {
    /// Read options from this file (TOML)
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// A main node's JSON-RPC; may be given several times
    #[arg(long, value_name = "URL")]
    pub(crate) main_node: Vec<Endpoint>,

    /// A main node's data stream (TCP); may be given several times
    #[arg(long, value_name = "HOST:PORT", value_parser = parse_address)]
    pub(crate) stream: Vec<String>,

    /// Accounts at genesis: balance, nonce, code and storage of each address (cdk-erigon's *-allocs.json)
    #[arg(long, value_name = "FILE")]
    pub(crate) genesis: Option<PathBuf>,

    /// Chain id and forks (cdk-erigon's *-chainspec.json)
    ///
    /// `forks` in it holds what the main node's `zkevm_getForks` returns. Without it the forks are those of a known
    /// chain, or else what the main node says of each batch, as long as they never go back. Without the file the
    /// database says which chain it is, or, when there is none yet, the main node's JSON-RPC.
    #[arg(long, value_name = "FILE")]
    pub(crate) chain: Option<PathBuf>,

    /// Genesis root, timestamp and gas limit (cdk-erigon's *-conf.json); checked against what is computed
    #[arg(long, value_name = "FILE")]
    pub(crate) conf: Option<PathBuf>,

    /// Keep what is verified in this directory, and continue from it
    ///
    /// It is made if it does not exist. A run that is killed at any point loses nothing that it reported.
    #[arg(long, value_name = "DIR", default_value = "db")]
    pub(crate) db: PathBuf,

    /// Write the evidence of a mismatch into this directory [default: `evidence` in the database]
    #[arg(long, value_name = "DIR")]
    pub(crate) evidence_dir: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) l1: L1Options,

    #[command(flatten)]
    pub(crate) server: ServerOptions,

    #[command(flatten)]
    pub(crate) log: LogOptions,

    #[command(flatten)]
    pub(crate) timing: Timing,
}

impl Run {
    /// The main nodes, data streams first: they tell of a block sooner.
    pub(crate) fn upstreams(&self) -> Vec<Upstream> {
        let streams = self.stream.iter().cloned().map(Upstream::Stream);
        streams.chain(self.main_node.iter().cloned().map(Upstream::Rpc)).collect()
    }
}

/// Look at the configuration of `zk-replica run`, without running it.
#[derive(Args, Debug)]
pub(crate) struct Config {
    #[command(subcommand)]
    pub(crate) action: ConfigAction,
}

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigAction {
    /// Find out whether each key of a file is known and has a value that can be used
    Check {
        /// The file (TOML)
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Print the effective values, each with where it comes from
    ///
    /// Takes the options of `run`, and reads environment and file as `run` does. Secrets in URLs are masked.
    Show(Box<Run>),
}

/// A host's name or address and a port. Whether they exist is found out by connecting, again and again.
fn parse_address(text: &str) -> Result<String, String> {
    let (host, port) = text.rsplit_once(':').ok_or("expected HOST:PORT")?;
    if host.is_empty() || port.parse::<u16>().is_err() {
        return Err("expected HOST:PORT with a port from 1 to 65535".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn an_address_has_host_and_port() {
        for good in ["localhost:6900", "127.0.0.1:1", "[::1]:6900"] {
            assert_eq!(parse_address(good).as_deref(), Ok(good));
        }
        for bad in ["localhost", ":6900", "localhost:", "localhost:http", "localhost:65536"] {
            assert!(parse_address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_three_files_are_required() {
        let complete = ["zk-replica", "replay", "--stream", "-", "--genesis", "g", "--chain", "c"];
        assert!(Cli::try_parse_from(complete).is_ok());
        for left_out in [2, 4, 6] {
            let mut arguments = complete.to_vec();
            arguments.drain(left_out..left_out + 2);
            let error = Cli::try_parse_from(arguments).unwrap_err();
            assert_eq!(error.exit_code(), 2);
        }
    }
}
