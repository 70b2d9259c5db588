//! What L1 has fixed: a thread asks an L1 node now and then which batch was last proved, and the follower compares.

use crate::board::Board;
use crate::config::parse_duration;
use crate::http::{self, Endpoint};
use crate::main_node::{AskError, Asker};
use alloy_primitives::Address;
use clap::Args;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tracing::{info, warn};
use zk_replica_core::source::l1::{L1Error, L1Query, L1View, RollupStorage};

/// The longest wait between two looks at the stop flag.
const TICK: Duration = Duration::from_millis(50);

/// Comparing with L1.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "L1")]
pub(crate) struct L1Options {
    /// JSON-RPC of an L1 node; what it says is proved there is compared, and final
    #[arg(long, value_name = "URL", requires_all = ["rollup_manager", "rollup_id"])]
    pub(crate) l1: Option<Endpoint>,

    /// Address of the rollup manager's contract on L1
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) rollup_manager: Option<Address>,

    /// Address of the rollup's own contract on L1; zkevm_getRollupAddress tells it
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) rollup: Option<Address>,

    /// The rollup's number at its manager; the first is 1
    #[arg(long, value_name = "NUMBER", requires = "l1_nodes", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rollup_id: Option<u32>,

    /// The L1 block that is asked for: finalized, safe or latest
    #[arg(long, value_name = "TAG", default_value = "finalized", value_parser = ["finalized", "safe", "latest"])]
    pub(crate) l1_block: String,

    /// How often L1 is asked
    #[arg(long, value_name = "TIME", default_value = "12s", value_parser = parse_duration)]
    pub(crate) l1_interval: Duration,
}

/// The last that L1 was heard to say, until the follower takes it.
#[derive(Debug, Default)]
pub(crate) struct L1Watch {
    heard: Mutex<Option<L1View>>,
}

/// Why L1 has no answer.
#[derive(Debug, thiserror::Error)]
enum L1AskError {
    #[error(transparent)]
    Http(#[from] http::ClientError),
    #[error(transparent)]
    Answer(#[from] L1Error),
}

impl L1Watch {
    /// What was heard since the last call.
    pub(crate) fn take(&self) -> Option<L1View> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Something was heard since the last [`L1Watch::take`].
    pub(crate) fn has_news(&self) -> bool {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Asks, until `stop`. An L1 node that fails is asked again; trouble is told once.
    pub(crate) fn run(
        &self,
        options: &L1Options,
        chain_id: u64,
        asker: &Asker,
        board: &Board,
        stop: &AtomicBool,
    ) {
        let L1Options { l1: Some(endpoint), rollup_manager: Some(manager), rollup_id: Some(id), .. } =
            options
        else {
            return;
        };
        let storage = RollupStorage::new(*manager, *id);
        let (mut last, mut trouble) = (None, None);
        board.l1(Err("no answer yet".to_owned()));
        while !stop.load(Ordering::Relaxed) {
            let asked = Instant::now();
            let query = L1Query::new(storage, chain_id, options.l1_block.as_str());
            match ask(query, endpoint, asker, stop) {
                Ok(None) => return,
                Ok(Some(view)) => {
                    board.l1(Ok(()));
                    if trouble.take().is_some() || last.is_none() {
                        info!(event = "l1 answers", l1_block = view.l1_block, "L1 {endpoint} answers");
                    }
                    if last.replace(view.consolidated) != Some(view.consolidated) {
                        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Some(view);
                    }
                }
                Err(error) => {
                    let error = error.to_string();
                    board.l1(Err(error.clone()));
                    if trouble.as_ref() != Some(&error) {
                        warn!(event = "l1 fails", "L1 {endpoint}: {error}");
                    }
                    trouble = Some(error);
                }
            }
            while asked.elapsed() < options.l1_interval && !stop.load(Ordering::Relaxed) {
                thread::sleep(TICK);
            }
        }
    }
}

/// All that is asked for once; `None` when stopped.
fn ask(
    mut query: L1Query,
    endpoint: &Endpoint,
    asker: &Asker,
    stop: &AtomicBool,
) -> Result<Option<L1View>, L1AskError> {
    while let Some(request) = query.request() {
        match asker.post(endpoint, request, stop) {
            Ok(answer) => query.tell(&answer)?,
            // Some servers say no twice: by a status, and by a JSON-RPC error in the body.
            Err(AskError::Http(http::ClientError::Status { status, body })) => {
                if let Err(refused @ L1Error::Refused { .. }) = query.tell(&body) {
                    return Err(refused.into());
                }
                return Err(http::ClientError::Status { status, body }.into());
            }
            Err(AskError::Http(error)) => return Err(error.into()),
            Err(AskError::Stopped | AskError::Answer(_)) => return Ok(None),
        }
    }
    Ok(query.view())
}
