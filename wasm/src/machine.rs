//! What a script drives, in either mode.

use crate::{
    message::{Reply, Report, Status},
    web3::Web3,
};
use alloc::{string::String, vec::Vec};
use alloy_primitives::Address;
use zk_replica_core::evidence::EvidenceError;

/// What is compared with L1 is in a state that light mode does not hold.
#[derive(Debug, thiserror::Error)]
#[error("l1: light mode does not compare with L1")]
pub(crate) struct NoL1;

/// A replica without I/O and clock: told bytes and answers, it verifies, keeps and serves. Times are in milliseconds.
pub(crate) trait Machine {
    /// The file that the chain begins with, if it begins with one and has not begun.
    fn restore(&mut self, _file: &[u8]) {}

    /// A stream file's bytes come next.
    fn begin_stream(&mut self) {}

    fn push_stream(&mut self, _bytes: &[u8]) {}

    fn end_stream(&mut self) {}

    /// The stream does not come.
    fn stop_stream(&mut self, _reason: &str) {}

    /// Bytes that the stream announces.
    fn stream_length(&self) -> Option<u64> {
        None
    }

    /// A main node is there to be asked.
    fn connect(&mut self);

    /// What the main node answered, and under which HTTP status.
    fn tell(&mut self, id: u64, status: u16, body: &[u8]);

    /// The main node does not answer.
    fn fail(&mut self, id: u64, reason: &str);

    /// Time has passed at the tip.
    fn poll(&mut self);

    /// Verifies what there is, until `until` or until there is nothing more.
    fn work(&mut self, until: f64, now: &dyn Fn() -> f64) -> Report;

    /// Writes what was gathered.
    fn flush(&mut self, _now: f64) {}

    fn status(&self) -> Status<'_>;

    /// The main node's last block, as it says.
    fn set_highest(&mut self, highest: Option<u64>);

    /// The evidence of the last mismatch.
    fn evidence(&self) -> Result<Option<Vec<u8>>, EvidenceError>;

    /// What L1 says is proved is to be compared, as of the L1 block that `tag` names.
    fn watch_l1(&mut self, _manager: Address, _rollup_id: u32, _tag: String) -> Result<(), NoL1> {
        Err(NoL1)
    }

    /// Begins to ask L1: the body of a request.
    fn ask_l1(&mut self) -> Option<String> {
        None
    }

    /// What the L1 node answered, and under which HTTP status. The body of the next request; `None` when all was asked.
    fn tell_l1(&mut self, _status: u16, _body: &[u8]) -> Result<Option<String>, String> {
        Ok(None)
    }

    fn web3(&mut self) -> &mut Web3;

    /// Begins to answer a body of the API.
    fn request(&mut self, session: u32, body: &str, now: &dyn Fn() -> f64) -> Reply;

    /// What came for [`Reply::Fetch`]; `None` if nothing did.
    fn proved(&mut self, _id: u32, _answer: Option<&[u8]>, _now: &dyn Fn() -> f64) -> Option<Reply> {
        None
    }
}
