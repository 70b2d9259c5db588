//! What a script drives, in either mode.

use crate::{
    message::{Reply, Report, Status},
    web3::Web3,
};
use alloc::vec::Vec;
use zk_replica_core::evidence::EvidenceError;

/// A replica without I/O and clock: told bytes and answers, it verifies, keeps and serves. Times are in milliseconds.
pub(crate) trait Machine {
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

    fn web3(&mut self) -> &mut Web3;

    /// Begins to answer a body of the API.
    fn request(&mut self, session: u32, body: &str, now: &dyn Fn() -> f64) -> Reply;

    /// What came for [`Reply::Fetch`]; `None` if nothing did.
    fn proved(&mut self, _id: u32, _answer: Option<&[u8]>, _now: &dyn Fn() -> f64) -> Option<Reply> {
        None
    }
}
