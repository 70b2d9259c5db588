//! Evidence as JSON (`docs/evidence.md`).

use super::{Evidence, EvidenceError, Finding, MAX_LEN, Refusal, Subject, VERSION, records::Lists};
use crate::{
    chain::{ChainSpec, ForkId, ForkSchedule, Genesis},
    types::{BatchStart, Head, Totals},
};
use alloc::{
    string::{String, ToString},
    vec::Vec,
};
use alloy_primitives::B256;
use serde::{Deserialize, Serialize};

/// What stands first in the file.
const FORMAT: &str = "zk-replica evidence";

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct File {
    format: String,
    version: u32,
    chain: Chain,
    mismatch: Finding,
    input: Subject,
    parent: Option<Head>,
    batch_start: Option<BatchStart>,
    resuming: bool,
    position: Option<B256>,
    genesis: Option<Genesis>,
    records: Lists,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Chain {
    chain_id: u64,
    name: String,
    forks: Vec<Interval>,
    london_genesis: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Interval {
    fork_id: u64,
    from_batch_number: u64,
}

/// Which form the file has; read before the rest of it.
#[derive(Deserialize)]
struct Preface {
    format: String,
    version: u64,
}

impl Evidence {
    /// The file's content.
    ///
    /// # Errors
    ///
    /// [`EvidenceError::TooLarge`].
    pub fn encode(&self) -> Result<Vec<u8>, EvidenceError> {
        // Two digits for each byte, at least.
        if self.records.len() > MAX_LEN / 2 {
            return Err(EvidenceError::TooLarge);
        }
        let bytes = serde_json::to_vec_pretty(&self.file())?;
        if bytes.len() > MAX_LEN { Err(EvidenceError::TooLarge) } else { Ok(bytes) }
    }

    /// Reads a file's content.
    ///
    /// # Errors
    ///
    /// [`Refusal`] for everything that [`Evidence::encode`] does not write, to the byte.
    pub fn decode(bytes: &[u8]) -> Result<Self, Refusal> {
        if bytes.len() > MAX_LEN {
            return Err(Refusal::TooLarge(bytes.len()));
        }
        let preface: Preface = serde_json::from_slice(bytes)?;
        if preface.format != FORMAT {
            return Err(Refusal::NotCanonical);
        }
        if preface.version != u64::from(VERSION) {
            return Err(Refusal::Version { found: preface.version });
        }
        let evidence = Self::from_file(serde_json::from_slice(bytes)?)?;
        // Other white space, another order, a number written otherwise: nothing of it is ours.
        match evidence.encode() {
            Ok(again) if again == bytes => Ok(evidence),
            _ => Err(Refusal::NotCanonical),
        }
    }

    fn file(&self) -> File {
        let ChainSpec { chain_id, name, forks, london_genesis } = self.spec.clone();
        let intervals = forks.intervals().iter();
        let interval =
            |(first, fork): &(u64, ForkId)| Interval { fork_id: fork.number(), from_batch_number: *first };
        File {
            format: FORMAT.to_string(),
            version: VERSION,
            chain: Chain { chain_id, name, forks: intervals.map(interval).collect(), london_genesis },
            mismatch: self.mismatch.clone(),
            input: self.subject.clone(),
            parent: self.head.clone(),
            batch_start: self.batch.clone(),
            resuming: self.resuming,
            position: self.position,
            genesis: self.genesis.clone(),
            records: self.records.to_lists(),
        }
    }

    fn from_file(file: File) -> Result<Self, Refusal> {
        let Chain { chain_id, name, forks, london_genesis } = file.chain;
        let mut intervals = Vec::new();
        for Interval { fork_id, from_batch_number } in forks {
            let fork = ForkId::try_from(fork_id).map_err(|error| Refusal::Chain(error.to_string()))?;
            intervals.push((from_batch_number, fork));
        }
        let forks = ForkSchedule::new(intervals).map_err(|error| Refusal::Chain(error.to_string()))?;
        file.parent.as_ref().map_or(Ok(()), check_range)?;
        let resumption = (file.resuming, file.position);
        if file.input.resumption(file.parent.as_ref(), file.resuming, file.position) != resumption {
            return Err(Refusal::Unused);
        }
        Ok(Self {
            spec: ChainSpec { chain_id, name, forks, london_genesis },
            mismatch: file.mismatch,
            subject: file.input,
            head: file.parent,
            batch: file.batch_start,
            resuming: file.resuming,
            position: file.position,
            genesis: file.genesis,
            records: file.records.try_into()?,
        })
    }
}

/// The checker counts on from the parent, and relies on it that nothing of this is near the end of 64 bits.
fn check_range(head: &Head) -> Result<(), Refusal> {
    let Totals { blocks, transactions, batches, gas } = head.totals;
    within("the parent's number", head.number)?;
    within("the parent's batch", head.batch)?;
    within("the parent's timestamp", head.timestamp)?;
    within("the number of blocks", blocks)?;
    within("the number of transactions", transactions)?;
    within("the number of batches", batches)?;
    within("the gas in total", gas)
}

pub(super) fn within(what: &'static str, number: u64) -> Result<(), Refusal> {
    if number < 1 << 62 { Ok(()) } else { Err(Refusal::OutOfRange(what)) }
}
