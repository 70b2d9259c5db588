//! A mismatch as a file that stands for itself: anyone can repeat the check, without the chain and without a network.
//!
//! [`Evidence`] has what the main node sent (the input and its claims), where in the chain it came (the parent, the batch),
//! and every record of the state before it that checking reads. [`Evidence::check`] checks again, on these records alone,
//! and believes nothing else of the file: records are found by their own hashes, and whatever does not come out again
//! exactly as it stands in the file is a [`Refusal`].
//!
//! What no file can show is that the parent is part of the chain. [`Evidence::anchors`] names what has to be known from
//! elsewhere: the parent's hash and state root, or genesis.
//!
//! The form is described in `docs/evidence.md`.

mod file;
mod records;

use crate::{
    chain::{ChainSpec, Genesis},
    checker::Mismatch,
    executor::PreparedBlock,
    replica::{Halt, Input, Replica, Situation},
    store::{Commit, Key, Recording, Store, StoreError},
    types::{BatchEnd, BatchStart, Block, Head, UpdateGer},
};
use alloc::{
    boxed::Box,
    string::{String, ToString},
    vec::Vec,
};
use alloy_primitives::{B256, Bytes, keccak256};
use records::Records;
use serde::{Deserialize, Serialize};

/// Version of the form. A file of another version is refused.
pub const VERSION: u32 = 1;

/// Longest file that is written or read, in bytes.
pub const MAX_LEN: usize = 64 << 20;

/// A mismatch with all that is needed to find it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    spec: ChainSpec,
    mismatch: Finding,
    subject: Subject,
    head: Option<Head>,
    batch: Option<BatchStart>,
    resuming: bool,
    position: Option<B256>,
    genesis: Option<Genesis>,
    records: Records,
}

/// What was checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Subject {
    /// The beginning of a batch.
    BatchStart(BatchStart),
    /// The beginning of a batch in the midst of which the source goes on, behind a verified block.
    BatchOfBlock(BatchStart),
    Block(Box<Block>),
    UpdateGer(UpdateGer),
    BatchEnd(BatchEnd),
}

/// A [`Mismatch`] in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Finding {
    batch: u64,
    block: u64,
    claim: String,
    expected: String,
    computed: String,
}

impl From<&Mismatch> for Finding {
    fn from(Mismatch { batch, block, claim, expected, computed }: &Mismatch) -> Self {
        Self {
            batch: *batch,
            block: *block,
            claim: claim.to_string(),
            expected: expected.to_string(),
            computed: computed.to_string(),
        }
    }
}

/// What a check of evidence comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// The main node is wrong, in this.
    MainNodeIsWrong(Mismatch),
    /// What the main node says is true: there is no mismatch.
    NoMismatch,
}

/// Something that the evidence takes for granted, and that has to be known from elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// The state before: this block, with this hash and this state root behind it, is part of the chain.
    Parent {
        /// Its number.
        number: u64,
        /// Its header hash.
        hash: B256,
        /// The state root before the input: the block's own unless exit roots came in behind it.
        state_root: B256,
        /// Its timestamp, in seconds since the Unix epoch.
        timestamp: u64,
        /// The last batch that was verified, or the part of one.
        batch: u64,
        /// Fork id of that batch.
        fork_id: u64,
        /// The end of that batch was verified.
        batch_closed: bool,
    },
    /// The main node repeats a batch whose blocks were verified earlier.
    Repeated {
        /// Its number.
        batch: u64,
        /// The state root behind its last block.
        state_root: B256,
    },
    /// This block was verified earlier, and the main node now says something else of it.
    Known {
        /// Its number.
        number: u64,
        /// Its header hash.
        hash: B256,
        /// The batch that it is part of.
        batch: u64,
        /// Fork id of that batch.
        fork_id: u64,
        /// Root of the block info tree.
        block_info_root: B256,
    },
    /// The chain begins with the accounts in the file.
    Genesis {
        /// How many there are.
        accounts: usize,
    },
}

/// Why evidence cannot be had of a mismatch.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// It would be longer than [`MAX_LEN`].
    #[error("evidence would have more than {MAX_LEN} bytes")]
    TooLarge,
    /// A record could not be read again.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It has no form as JSON: a defect.
    #[error("evidence cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// Why a file is no evidence of anything.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Nobody writes so much.
    #[error("the file has {0} bytes, more than {MAX_LEN}")]
    TooLarge(usize),
    /// Not the JSON of evidence, or cut short.
    #[error("not an evidence file: {0}")]
    Json(#[from] serde_json::Error),
    /// Written by another version of this program.
    #[error("the file has version {found}, this program reads version {VERSION}")]
    Version {
        /// As the file says.
        found: u64,
    },
    /// It can be read, but nobody would write it so.
    #[error("the file is not in the form in which evidence is written: it was altered")]
    NotCanonical,
    /// A number that no chain reaches.
    #[error("{0} is larger than any chain can make it")]
    OutOfRange(&'static str),
    /// The chain specification cannot be.
    #[error("the chain's forks cannot be: {0}")]
    Chain(String),
    /// A record is not what it should be.
    #[error("a {kind} is not one: {reason}")]
    Record {
        /// Tree node, value, or block.
        kind: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// What the check reads is not in the file, or not under the hash by which it is asked for.
    #[error("the state before is not whole: {0}")]
    Incomplete(StoreError),
    /// The check finds something else.
    #[error("the file says {said}, the check finds {found}")]
    OtherMismatch {
        /// What the file says.
        said: String,
        /// What was found.
        found: String,
    },
    /// The file has records that the check never reads.
    #[error("the file has records that the check does not read")]
    Surplus,
    /// The file says that the main node repeats what is known, or from which state on, where the check does not look.
    #[error(
        "the file says what the check does not look at: that known blocks come again, or from which state on"
    )]
    Unused,
    /// Such an input cannot come at this point.
    #[error("the input cannot come here: {0}")]
    OutOfOrder(&'static str),
}

impl Evidence {
    /// Evidence of what is wrong with `input`, which `replica` has just refused or would refuse.
    ///
    /// The check is made once more, on a recording; nothing is written. `None`: nothing is wrong.
    ///
    /// # Errors
    ///
    /// [`EvidenceError`] when the store fails or there is too much of it.
    pub fn of_input(
        replica: &Replica,
        input: &Input,
        store: &dyn Store,
    ) -> Result<Option<Self>, EvidenceError> {
        let subject = match input {
            Input::BatchStart(start) => Subject::BatchStart(start.clone()),
            Input::Block(block) => Subject::Block(Box::new(block.to_block())),
            Input::UpdateGer(update) => Subject::UpdateGer(update.clone()),
            Input::BatchEnd(end) => Subject::BatchEnd(end.clone()),
        };
        Self::collect(replica.situation(), subject, store)
    }

    /// Evidence of what is wrong with the beginning of the batch of the last verified block ([`Replica::enter`]).
    ///
    /// # Errors
    ///
    /// [`EvidenceError`] when the store fails or there is too much of it.
    pub fn of_entering(
        replica: &Replica,
        start: &BatchStart,
        store: &dyn Store,
    ) -> Result<Option<Self>, EvidenceError> {
        Self::collect(replica.situation(), Subject::BatchOfBlock(start.clone()), store)
    }

    fn collect(
        situation: Situation,
        subject: Subject,
        store: &dyn Store,
    ) -> Result<Option<Self>, EvidenceError> {
        let recording = Recording::new(ReadOnly(store));
        let mismatch = match subject.check(situation.clone(), &recording) {
            Err(Halt::Mismatch(mismatch)) => mismatch,
            Err(Halt::Store(error)) => return Err(error.into()),
            Err(Halt::OutOfOrder(_)) | Ok(()) => return Ok(None),
        };
        Ok(Some(Self::new(situation, subject, &mismatch, Records::new(recording.into_records()))))
    }

    fn new(situation: Situation, subject: Subject, mismatch: &Mismatch, records: Records) -> Self {
        let Situation { spec, genesis, head, batch, resuming, position } = situation;
        let (resuming, position) = subject.resumption(head.as_ref(), resuming, position);
        Self { spec, mismatch: mismatch.into(), subject, head, batch, resuming, position, genesis, records }
    }

    /// Checks again, with nothing but what is in the file.
    ///
    /// # Errors
    ///
    /// [`Refusal`] when that is not possible, or does not come out as the file says.
    pub fn check(&self) -> Result<Judgement, Refusal> {
        let recording = Recording::new(self.records.to_store());
        let mismatch = match self.subject.check(self.situation(), &recording) {
            Ok(()) => return Ok(Judgement::NoMismatch),
            Err(Halt::Mismatch(mismatch)) => mismatch,
            Err(Halt::Store(error)) => return Err(Refusal::Incomplete(error)),
            Err(Halt::OutOfOrder(reason)) => return Err(Refusal::OutOfOrder(reason)),
        };
        let found = Finding::from(&mismatch);
        if found != self.mismatch {
            return Err(Refusal::OtherMismatch { said: self.mismatch.to_string(), found: found.to_string() });
        }
        if Records::new(recording.into_records()) != self.records {
            return Err(Refusal::Surplus);
        }
        Ok(Judgement::MainNodeIsWrong(mismatch))
    }

    fn situation(&self) -> Situation {
        Situation {
            spec: self.spec.clone(),
            genesis: self.genesis.clone(),
            head: self.head.clone(),
            batch: self.batch.clone(),
            resuming: self.resuming,
            position: self.position,
        }
    }

    /// What has to be known from elsewhere for the evidence to say something about the chain.
    pub fn anchors(&self) -> Vec<Anchor> {
        let before = match (&self.head, &self.genesis, &self.subject) {
            // What comes again is compared with the record of the block, or with the specification of the chain.
            (Some(_), _, Subject::BatchOfBlock(_)) => None,
            (Some(_), _, subject) if self.resuming => {
                self.position.map(|state_root| Anchor::Repeated { batch: subject.batch(), state_root })
            }
            (Some(head), _, _) => Some(Anchor::Parent {
                number: head.number,
                hash: head.hash,
                state_root: head.state_root,
                timestamp: head.timestamp,
                batch: head.batch,
                fork_id: head.fork_id,
                batch_closed: head.batch_closed,
            }),
            (None, Some(genesis), _) => Some(Anchor::Genesis { accounts: genesis.accounts.len() }),
            (None, None, _) => None,
        };
        let known = self.records.blocks().map(|record| Anchor::Known {
            number: record.header.number,
            hash: record.header.hash_slow(),
            batch: record.batch,
            fork_id: record.fork_id,
            block_info_root: record.block_info_root,
        });
        before.into_iter().chain(known).collect()
    }

    /// Id of the chain that it is about.
    pub fn chain_id(&self) -> u64 {
        self.spec.chain_id
    }

    /// The block that the mismatch is about, or the last one before it.
    pub fn block(&self) -> u64 {
        self.mismatch.block
    }

    /// A name for the disagreement: the same whenever the same input is found wrong in the same thing.
    ///
    /// # Errors
    ///
    /// [`EvidenceError::Json`].
    pub fn id(&self) -> Result<B256, EvidenceError> {
        Ok(keccak256(serde_json::to_vec(&(&self.subject, &self.mismatch))?))
    }
}

impl Subject {
    fn check(&self, situation: Situation, store: &dyn Store) -> Result<(), Halt> {
        let mut replica = Replica::from(situation);
        let input = match self {
            Self::BatchOfBlock(start) => return replica.enter(start, store),
            Self::BatchStart(start) => Input::BatchStart(start.clone()),
            Self::Block(block) => Input::Block(Box::new(PreparedBlock::from((**block).clone()))),
            Self::UpdateGer(update) => Input::UpdateGer(update.clone()),
            Self::BatchEnd(end) => Input::BatchEnd(end.clone()),
        };
        replica.advance(&input, store).map(|_| ())
    }

    /// Whether the main node repeats what is known, and the state root behind what it repeated last: each only where the
    /// check looks at it. What stands in a file and is not looked at could say anything.
    fn resumption(
        &self,
        head: Option<&Head>,
        resuming: bool,
        position: Option<B256>,
    ) -> (bool, Option<B256>) {
        let Some(head) = head.filter(|_| resuming) else {
            return (false, None);
        };
        match self {
            Self::BatchStart(_) => (true, None),
            Self::Block(block) => (block.input.number <= head.number, None),
            Self::BatchEnd(_) => (position.is_some(), position),
            Self::BatchOfBlock(_) | Self::UpdateGer(_) => (false, None),
        }
    }

    /// The batch that it is part of.
    fn batch(&self) -> u64 {
        match self {
            Self::BatchStart(start) | Self::BatchOfBlock(start) => start.number,
            Self::Block(block) => block.claims.batch,
            Self::UpdateGer(update) => update.batch_number,
            Self::BatchEnd(end) => end.number,
        }
    }
}

impl core::fmt::Display for Finding {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { batch, block, claim, expected, computed } = self;
        write!(f, "block {block} (batch {batch}): {claim}: expected {expected}, computed {computed}")
    }
}

/// A store that keeps nothing of what is written to it.
struct ReadOnly<'s>(&'s dyn Store);

impl Store for ReadOnly<'_> {
    fn get(&self, key: &Key) -> Result<Option<Bytes>, StoreError> {
        self.0.get(key)
    }

    fn apply(&self, _: &Commit) -> Result<(), StoreError> {
        Ok(())
    }
}
