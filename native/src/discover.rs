//! What a main node says of its chain, when nobody else has said it.

use crate::chain_files::{self, ChainFileError};
use crate::cli;
use crate::http::Endpoint;
use crate::main_node::{AskError, Asker};
use crate::store::Identity;
use std::io::{self, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use zk_replica_core::chain::{ChainSpec, ChainSpecError, Genesis};
use zk_replica_core::source::main_node::{Answer, Request};

/// Why it is not known which chain to follow.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DiscoverError {
    /// The files.
    #[error(transparent)]
    Files(#[from] ChainFileError),
    /// A data stream alone does not tell.
    #[error("name the chain by --chain FILE, or a main node by --main-node URL that can be asked for it")]
    NoChain,
    /// The genesis file is needed.
    #[error(
        "chain {chain_id} has no genesis that is built in: name the file with the accounts at genesis by --genesis. \
         Whoever runs a node of the chain has it (cdk-erigon's dynamic-<chain>-allocs.json); for public chains it is in \
         cdk-erigon's repository. Block 0 of the main node has {anchor}: a file that gives another root is refused"
    )]
    NoGenesis {
        /// Which chain.
        chain_id: u64,
        /// What the main node says of block 0.
        anchor: String,
    },
    /// Asked to stop before anything was known.
    #[error("stopped before the main node had said which chain it serves")]
    Stopped,
}

/// Reads the files that are named, and asks the main nodes for what is not in them.
pub(crate) fn chain(
    options: &cli::Run,
    asker: &Asker,
    stop: &AtomicBool,
) -> Result<(ChainSpec, Genesis), DiscoverError> {
    if options.chain.is_none() && options.main_node.is_empty() {
        return Err(DiscoverError::NoChain);
    }
    let spec = match &options.chain {
        Some(path) => chain_files::read_chain(path)?,
        // What the database holds can be served while no main node is there. Each is asked for its chain id later, too.
        None => match Identity::read(&options.db).ok().and_then(|known| specification(known.chain_id).ok()) {
            Some(spec) => spec,
            None => ask(options, asker, stop)?,
        },
    };
    let Some(path) = &options.genesis else {
        return Err(DiscoverError::NoGenesis {
            chain_id: spec.chain_id,
            anchor: anchor(options, asker, stop),
        });
    };
    Ok((spec, chain_files::read_genesis(path, options.conf.as_deref())?))
}

/// The chain of this id: its forks are known, or asked for batch by batch.
fn specification(chain_id: u64) -> Result<ChainSpec, ChainSpecError> {
    ChainSpec::from_json(format!(r#"{{"chainId":{chain_id}}}"#).as_bytes())
}

/// Asks the main nodes in turn, until one has said which chain it serves.
fn ask(options: &cli::Run, asker: &Asker, stop: &AtomicBool) -> Result<ChainSpec, DiscoverError> {
    let mut told = None;
    loop {
        for endpoint in &options.main_node {
            let reason = match asker.ask(endpoint, Request::ChainId, stop) {
                Ok(Answer::Number(chain_id)) => match specification(chain_id) {
                    Ok(spec) => {
                        introduce(endpoint, &spec, asker, stop);
                        return Ok(spec);
                    }
                    Err(error) => error.to_string(),
                },
                Ok(_) => continue,
                Err(AskError::Stopped) => return Err(DiscoverError::Stopped),
                Err(error) => error.to_string(),
            };
            let line = format!("waiting: {endpoint} does not say which chain it serves: {reason}");
            if told.as_ref() != Some(&line) {
                say(&line);
                told = Some(line);
            }
        }
        let started = Instant::now();
        while started.elapsed() < options.timing.retry_longest {
            if stop.load(Ordering::Relaxed) {
                return Err(DiscoverError::Stopped);
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Says what the main node tells of itself. None of it is needed to go on.
fn introduce(endpoint: &Endpoint, spec: &ChainSpec, asker: &Asker, stop: &AtomicBool) {
    let ask = |request| asker.ask(endpoint, request, stop);
    let forks = match ask(Request::Forks) {
        Ok(Answer::Forks(forks)) if forks.is_known() => {
            let intervals = forks.intervals().iter();
            let forks: Vec<_> = intervals.map(|(batch, fork)| format!("{fork} from batch {batch}")).collect();
            format!("forks {}", forks.join(", "))
        }
        _ => "forks not told".to_owned(),
    };
    let address = |name: &str, request| match ask(request) {
        Ok(Answer::Address(address)) => format!("{name} {address}"),
        _ => format!("{name} not told"),
    };
    let rollup = address("rollup", Request::RollupAddress);
    let manager = address("rollup manager", Request::RollupManagerAddress);
    let stream = match ask(Request::LatestDataStreamBlock) {
        Ok(Answer::Number(block)) => {
            format!("it has a data stream up to block {block}, which --stream HOST:PORT would follow")
        }
        _ => "no data stream told".to_owned(),
    };
    say(&format!("{endpoint} serves chain {}: {forks}; {rollup}; {manager}; {stream}", spec.chain_id));
}

/// What the genesis file must give.
fn anchor(options: &cli::Run, asker: &Asker, stop: &AtomicBool) -> String {
    let found =
        options.main_node.iter().find_map(|endpoint| match asker.ask(endpoint, Request::Block(0), stop) {
            Ok(Answer::Block(Some(block))) => Some(format!("state root {}", block.state_root)),
            _ => None,
        });
    found.unwrap_or_else(|| "a state root that it does not tell".to_owned())
}

fn say(line: &str) {
    // Nobody may be reading: that is no reason to stop.
    drop(writeln!(io::stderr(), "{line}"));
}
