//! `zkevm_get*Witness` (`spec/rpc.md` §3.3): the part of the state before some blocks that executing them needs. Who knows
//! the state root before them can check them with nothing else.

use super::{
    Error,
    params::{self, Params},
    view::{Found, StateError, View},
};
use crate::{
    executor::{BatchContext, ExecuteError, Interrupt, Parent, PreparedInput, touch_block},
    source::witness::{EncodeError, Extent, encode_within},
    store::{Commit, Key, Store, StoreError},
    tree::StateKey,
    types::{BatchKind, BatchPart, BlockInput, BlockRecord, EncodedTransaction},
};
use alloc::{collections::BTreeSet, format, vec::Vec};
use alloy_primitives::{B256, Bytes};
use core::{cell::Cell, ops::RangeInclusive};

/// How much of the state is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Full,
    Trimmed,
}

impl View<'_> {
    pub(super) fn block_witness(&self, params: Params<'_>) -> Result<Bytes, Error> {
        let (found, mode) = (self.state_block(params.required_selector(0)?)?, mode(params, 1)?);
        params.flag(2)?;
        self.witness(found.number()..=found.number(), mode)
    }

    pub(super) fn range_witness(&self, params: Params<'_>) -> Result<Bytes, Error> {
        let block = |position| self.state_block(params.required_selector(position)?);
        let (first, last, mode) = (block(0)?.number(), block(1)?.number(), mode(params, 2)?);
        params.flag(3)?;
        if first > last {
            return Err(Error::server(format!(
                "start block number must be less than or equal to end block number, start={first} end={last}"
            )));
        }
        self.witness(first..=last, mode)
    }

    /// Of the blocks that the batch has by now.
    pub(super) fn batch_witness(&self, params: Params<'_>) -> Result<Bytes, Error> {
        let (batch, mode) = (params.count(0)?, mode(params, 1)?);
        let first = self.first_block_from(batch)?;
        let behind = match batch.checked_add(1).map(|next| self.first_block_from(next)).transpose()?.flatten()
        {
            Some(behind) => behind,
            None => self.head()?.number + 1,
        };
        match first.filter(|first| *first < behind) {
            Some(first) => self.witness(first..=behind - 1, mode),
            None => Err(Error::server(format!("no blocks found for batch {batch}"))),
        }
    }

    /// Of the state before the first of these blocks.
    fn witness(&self, blocks: RangeInclusive<u64>, mode: Mode) -> Result<Bytes, Error> {
        let limits = &self.rpc.config.limits;
        if blocks.end() - blocks.start() >= limits.witness_blocks {
            let limit = limits.witness_blocks;
            return Err(Error::invalid(format!("witnesses are limited to a {limit} block range")));
        }
        let Some(before) = blocks.start().checked_sub(1) else {
            // Before genesis there is nothing.
            return self.encode(0, B256::ZERO, Extent::Full);
        };
        let before = self.stored(before)?;
        let (number, root) = (before.number(), before.record.header.state_root);
        match mode {
            Mode::Full => self.encode(number, root, Extent::Full),
            Mode::Trimmed => {
                let touched: Vec<StateKey> = self.touched(before, blocks)?.into_iter().collect();
                self.encode(number, root, Extent::Trimmed(&touched))
            }
        }
    }

    /// Every leaf that is touched by one of these blocks, the first of which comes behind `before`.
    fn touched(&self, mut before: Found, blocks: RangeInclusive<u64>) -> Result<BTreeSet<StateKey>, Error> {
        let mut touched = BTreeSet::new();
        for number in blocks {
            let found = self.stored(number)?;
            let batch = BatchContext {
                rules: self.rules(&found)?,
                kind: kind(&found.record),
                chain_id: self.rpc.spec.chain_id,
                part: BatchPart::WHOLE,
            };
            let block = input(&found.record);
            let parent = Parent { number: before.number(), state_root: before.record.header.state_root };
            let (keys, root) =
                self.with_state(&before, |state| touch_block(&block, &batch, parent, state))?;
            if root != found.record.header.state_root {
                // Before fork 7 an exit root may come in between two blocks; the state after it is not kept.
                return Err(unavailable(number));
            }
            touched.extend(keys);
            before = found;
        }
        Ok(touched)
    }

    fn encode(&self, number: u64, root: B256, extent: Extent<'_>) -> Result<Bytes, Error> {
        // In the answer it is hexadecimal, in quotes behind a prefix.
        let limit = (self.rpc.config.limits.response / 2).saturating_sub(2);
        let store = Interruptible { store: self.store, interrupt: Cell::new(self.interrupt()) };
        match encode_within(limit, &store, root, &[], extent) {
            Ok(witness) => Ok(witness.into()),
            Err(EncodeError::Store(error)) => Err(StateError { number, error }.into()),
            Err(EncodeError::TooLarge { .. } | EncodeError::TooLong(_)) => Err(Error::too_large()),
            // Of a store that began in the midst of the chain.
            Err(EncodeError::Unnamed(_)) => Err(unavailable(number + 1)),
            Err(EncodeError::TooDeep(_)) => Err(Error::internal()),
        }
    }
}

fn unavailable(number: u64) -> Error {
    Error::new(Error::PRUNED, format!("state before block {number} is not available"))
}

/// What is touched, if nothing is said.
fn mode(params: Params<'_>, position: usize) -> Result<Mode, Error> {
    let Some(value) = params.get(position) else {
        return Ok(Mode::Trimmed);
    };
    let mode = match params::string(value) {
        Ok("full") => Ok(Mode::Full),
        Ok("trimmed" | "") => Ok(Mode::Trimmed),
        Ok(_) => return Err(Error::server("invalid mode, must be full or trimmed")),
        Err(reason) => Err(reason),
    };
    mode.map_err(|reason| Error::argument(position, reason))
}

impl From<StateError<ExecuteError>> for Error {
    fn from(StateError { number, error }: StateError<ExecuteError>) -> Self {
        match error {
            ExecuteError::Store(error) => StateError { number, error }.into(),
            ExecuteError::Invalid(_) => Self::internal(),
        }
    }
}

/// A store that is read from as long as the host wants.
struct Interruptible<'a> {
    store: &'a dyn Store,
    interrupt: Cell<Interrupt<'a>>,
}

impl Store for Interruptible<'_> {
    fn get(&self, key: &Key) -> Result<Option<Bytes>, StoreError> {
        let mut interrupt = self.interrupt.get();
        let proceeds = interrupt.spend(Interrupt::READ);
        self.interrupt.set(interrupt);
        proceeds?;
        self.store.get(key)
    }

    fn apply(&self, commit: &Commit) -> Result<(), StoreError> {
        self.store.apply(commit)
    }
}

/// The block as it was executed.
pub(super) fn input(record: &BlockRecord) -> PreparedInput {
    let transactions = record.transactions.iter().map(|transaction| EncodedTransaction {
        encoded: transaction.encoded.clone(),
        effective_percentage: transaction.effective_percentage,
    });
    BlockInput {
        number: record.header.number,
        timestamp: record.header.timestamp,
        coinbase: record.header.beneficiary,
        l1_info: record.l1_info,
        transactions: transactions.collect(),
    }
    .into()
}

/// How the block's batch came to be, as far as it matters to the state: only a forced block brings L1 information in
/// without naming a leaf. (A regular one that repeats some names what the chain knows already, which changes nothing.)
pub(super) fn kind(record: &BlockRecord) -> BatchKind {
    let info = &record.l1_info;
    let forced = info.index == 0 && !info.global_exit_root.is_zero() && !info.block_hash.is_zero();
    if forced { BatchKind::Forced } else { BatchKind::Regular }
}
