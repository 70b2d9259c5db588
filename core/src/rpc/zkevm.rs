//! Batches, forks, and blocks with all that is known of them (`spec/rpc.md` §3.3, `spec/sync.md` §3.3).

use super::{
    Error, Frontier,
    json::Json,
    objects::{BlockObject, Form, Members, ReceiptObject, TransactionObject},
    params::{self, Params, Selector, Tag},
    reply::{Outcome, Relay},
    room::Room,
    view::{Found, View},
    witness,
};
use crate::{
    chain::ForkId,
    executor::Rules,
    source::batch_data::{self, BatchEntry, BatchTransaction, ChangeL2Block},
    types::{BatchKind, TransactionRecord},
};
use alloc::{boxed::Box, format, vec, vec::Vec};
use alloy_primitives::{Address, B256, Bytes, U64};
use serde::Serialize;
use serde_json::value::RawValue;

/// Which batches run a fork.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ForkObject {
    fork_id: U64,
    from_batch_number: U64,
    to_batch_number: U64,
    version: &'static str,
    block_number: U64,
}

/// A batch, as far as our own blocks tell. What only L1 knows is zero or null.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BatchObject {
    number: U64,
    coinbase: Address,
    state_root: B256,
    timestamp: U64,
    /// Empty lists are `[]`; other servers have null there (`spec/rpc.md` §13.5).
    blocks: Vec<Box<RawValue>>,
    transactions: Vec<Box<RawValue>>,
    global_exit_root: B256,
    mainnet_exit_root: B256,
    rollup_exit_root: B256,
    local_exit_root: B256,
    send_sequences_tx_hash: Option<B256>,
    verify_batch_tx_hash: Option<B256>,
    acc_input_hash: B256,
    /// Of a forced batch: 0, for which of L1's forced batches it is, only L1 knows (those count from 1).
    #[serde(skip_serializing_if = "Option::is_none")]
    forced_batch_number: Option<U64>,
    closed: bool,
    batch_l2_data: Bytes,
}

/// The data of some batches.
#[derive(Serialize)]
pub(super) struct BatchDataList {
    data: Vec<BatchData>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BatchData {
    number: U64,
    empty: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    batch_l2_data: Option<Bytes>,
}

impl View<'_> {
    /// Finalized is safe.
    pub(super) fn safe(&self) -> Option<Frontier> {
        self.status.safe.max(self.status.finalized)
    }

    pub(super) fn frontier_batch(&self, frontier: Option<Frontier>) -> U64 {
        U64::from(frontier.map_or(0, |frontier| frontier.batch))
    }

    pub(super) fn consolidated_block(&self) -> U64 {
        U64::from(self.status.finalized.map_or(0, |frontier| frontier.block))
    }

    /// False for a block that is not there.
    pub(super) fn is_within(&self, params: Params<'_>, frontier: Option<Frontier>) -> Result<bool, Error> {
        let number = self.number(params.number_or_tag(0)?)?;
        let last =
            frontier.map(|frontier| frontier.block.min(self.head.as_ref().map_or(0, |head| head.number)));
        Ok(number.zip(last).is_some_and(|(number, last)| number <= last))
    }

    pub(super) fn batch_of_block(&self, params: Params<'_>) -> Result<Option<U64>, Error> {
        Ok(self.block(params.number_or_tag(0)?)?.map(|found| U64::from(found.record.batch)))
    }

    pub(super) fn full_block_by_number(&self, params: Params<'_>) -> Result<Option<BlockObject>, Error> {
        self.full_block(params.number_or_tag(0)?, params)
    }

    pub(super) fn full_block_by_hash(&self, params: Params<'_>) -> Result<Option<BlockObject>, Error> {
        self.full_block(Selector::Hash { hash: params.hash(0)?, require_canonical: false }, params)
    }

    fn full_block(&self, selector: Selector, params: Params<'_>) -> Result<Option<BlockObject>, Error> {
        let full = params.flag(1)?;
        let form = Form { full, extra: true, receipts: full };
        self.block(selector)?.map(|found| found.object(form)).transpose()
    }

    /// The state roots of a range of blocks: that is what the protocol calls native hashes.
    pub(super) fn native_hashes(&self, params: Params<'_>) -> Result<Vec<B256>, Error> {
        let end = |name: &'static str| {
            params.required(0, |value| match value.get(name) {
                Some(number) => params::number_or_tag(number),
                None => Err(alloc::format!("{name} is missing")),
            })
        };
        let from = self.number(end("fromBlock")?)?.unwrap_or(0);
        let to = self.number(end("toBlock")?)?.unwrap_or(0);
        if from > to {
            return Err(Error::invalid("invalid block range params"));
        }
        let limit = self.rpc.config.limits.native_hashes;
        if to - from >= limit {
            let reason = alloc::format!("native block hashes are limited to a {limit} block range");
            return Err(Error::invalid(reason));
        }
        let mut roots = Vec::new();
        for number in from..=to {
            let found = self.state_block(Selector::Number(number))?;
            roots.push(found.record.header.state_root);
        }
        Ok(roots)
    }

    pub(super) fn fork_of_batch(&self, params: Params<'_>) -> Result<U64, Error> {
        let batch = params.count(0)?;
        let fork = match self.rpc.spec.forks.fork_of(batch) {
            Some(fork) => fork.number(),
            None => self.batch_block(batch)?.map_or(0, |found| found.record.fork_id),
        };
        Ok(U64::from(fork))
    }

    pub(super) fn fork_by_id(&self, params: Params<'_>) -> Result<Option<ForkObject>, Error> {
        let id = U64::from(params.count(0)?);
        Ok(self.forks()?.into_iter().find(|fork| fork.fork_id == id))
    }

    /// The schedule of the chain, or when nobody gave one, the fork that runs now.
    pub(super) fn forks(&self) -> Result<Vec<ForkObject>, Error> {
        let intervals = self.rpc.spec.forks.intervals();
        let ends = intervals.iter().skip(1).map(|(next, _)| next.saturating_sub(1)).chain([u64::MAX]);
        intervals.iter().zip(ends).map(|((first, fork), last)| self.fork(*first, last, *fork)).collect()
    }

    fn fork(&self, first: u64, last: u64, fork: ForkId) -> Result<ForkObject, Error> {
        let number = self.first_block_from(first)?;
        Ok(ForkObject {
            fork_id: U64::from(fork.number()),
            from_batch_number: U64::from(first),
            to_batch_number: U64::from(last),
            version: "",
            block_number: U64::from(number.unwrap_or(0)),
        })
    }

    pub(super) fn batch_by_number(&self, params: Params<'_>) -> Result<Option<BatchObject>, Error> {
        let (selector, full) = (params.number_or_tag(0)?, params.flag(1)?);
        let number = self.batch_number(selector)?;
        if number > self.head()?.batch { Ok(None) } else { self.batch(number, full).map(Some) }
    }

    /// The number that a number or a tag of a batch stands for.
    fn batch_number(&self, selector: Selector) -> Result<u64, Error> {
        let head = self.head()?;
        let unknown = || Error::new(Error::UNKNOWN_BLOCK, "unknown block");
        Ok(match selector {
            Selector::Tag(Tag::Latest) if head.batch_closed => head.batch,
            Selector::Tag(Tag::Latest) => head.batch.saturating_sub(1),
            Selector::Tag(Tag::Pending) => head.batch,
            Selector::Tag(Tag::Safe) => self.safe().ok_or_else(unknown)?.batch,
            Selector::Tag(Tag::Finalized) => self.status.finalized.ok_or_else(unknown)?.batch,
            Selector::Tag(Tag::Earliest) => 0,
            Selector::Number(number) => number,
            Selector::Hash { .. } => return Err(unknown()),
        })
    }

    fn batch(&self, number: u64, full: bool) -> Result<BatchObject, Error> {
        let (mut blocks, mut transactions) = (Vec::new(), Vec::new());
        let (mut global_exit_root, mut last) = (B256::ZERO, None);
        let (mut data, mut room) = (Vec::new(), self.room());
        let mut next = self.first_block_from(number)?;
        // A batch without blocks leaves the state of the one before it.
        let before = next.unwrap_or(self.head()?.number + 1).saturating_sub(1);
        while let Some(found) = next.map_or(Ok(None), |next| self.block_by_number(next))? {
            if found.record.batch != number {
                break;
            }
            add(&found, full, &mut room, &mut blocks, &mut transactions)?;
            self.add_data(&found, &mut room, &mut data)?;
            let root = found.record.l1_info.global_exit_root;
            global_exit_root = if root.is_zero() { global_exit_root } else { root };
            next = Some(found.number() + 1);
            last = Some(found);
        }
        let last = match last {
            Some(last) => last,
            None => self.state_block(Selector::Number(before))?,
        };
        let (head, header) = (self.head()?, &last.record.header);
        let local_exit_root = self.with_state(&last, |state| state.local_exit_root());
        Ok(BatchObject {
            number: U64::from(number),
            coinbase: header.beneficiary,
            state_root: header.state_root,
            timestamp: U64::from(header.timestamp),
            blocks,
            transactions,
            global_exit_root,
            mainnet_exit_root: B256::ZERO,
            rollup_exit_root: B256::ZERO,
            local_exit_root: local_exit_root?,
            send_sequences_tx_hash: None,
            verify_batch_tx_hash: None,
            acc_input_hash: B256::ZERO,
            forced_batch_number: if last.record.batch == number && self.is_forced(&last)? {
                Some(U64::ZERO)
            } else {
                None
            },
            closed: number < head.batch || head.batch_closed,
            batch_l2_data: data.into(),
        })
    }

    /// The data of batches as a sequencer would post it, rebuilt from our own blocks.
    pub(super) fn batch_data(&self, params: Params<'_>) -> Result<BatchDataList, Error> {
        let numbers = params.required(0, |value| match value.get("numbers") {
            Some(numbers @ Json::Array(_)) => params::one_or_many(Some(numbers), params::number_or_tag),
            _ => Err("numbers: an array was expected".into()),
        })?;
        let limit = self.rpc.config.limits.batch;
        if numbers.len() > limit {
            return Err(Error::invalid(format!("batches are limited to {limit}")));
        }
        let mut room = self.room();
        let mut list = Vec::with_capacity(numbers.len());
        for selector in numbers {
            let number = self.batch_number(selector)?;
            let data = self.data_of_batch(number, &mut room)?;
            let empty = data.is_empty();
            let batch_l2_data = (!empty).then(|| data.into());
            list.push(BatchData { number: U64::from(number), empty, batch_l2_data });
        }
        Ok(BatchDataList { data: list })
    }

    fn data_of_batch(&self, number: u64, room: &mut Room) -> Result<Vec<u8>, Error> {
        let mut data = Vec::new();
        let mut next = self.first_block_from(number)?;
        while let Some(found) = next.map_or(Ok(None), |next| self.block_by_number(next))? {
            if found.record.batch != number {
                break;
            }
            self.add_data(&found, room, &mut data)?;
            next = Some(found.number() + 1);
        }
        Ok(data)
    }

    /// The block is that of a forced batch: all there is of it, and it brings L1 information in without naming a leaf.
    ///
    /// The injected batch is as well, but other servers write it as a regular one (`spec/sync.md` §3.2). In a stream that
    /// repeats exit roots, a regular batch of a single block looks the same.
    fn is_forced(&self, found: &Found) -> Result<bool, Error> {
        let (number, record) = (found.number(), &found.record);
        let injected = |record: &TransactionRecord| {
            BatchTransaction::from_signed(&record.encoded, record.effective_percentage)
                .is_ok_and(|transaction| transaction.is_injected())
        };
        if witness::kind(record) != BatchKind::Forced || record.transactions.iter().any(injected) {
            return Ok(false);
        }
        for beside in [number.checked_sub(1), number.checked_add(1)].into_iter().flatten() {
            if self.block_by_number(beside)?.is_some_and(|beside| beside.record.batch == record.batch) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Appends one block to the data of its batch. Genesis has none. What a forced batch has on L1 is transactions alone.
    fn add_data(&self, found: &Found, room: &mut Room, data: &mut Vec<u8>) -> Result<(), Error> {
        let (number, record) = (found.number(), &found.record);
        let Some(before) = number.checked_sub(1) else {
            return Ok(());
        };
        let encoding = &Rules::of_number(record.fork_id).map_err(|_| Error::internal())?.encoding;
        let mut entries = Vec::with_capacity(1 + record.transactions.len());
        if encoding.l2_blocks && !self.is_forced(found)? {
            // Block 1 has its whole timestamp there, as in the stream (`spec/sync.md` §2.8).
            let parent = if before == 0 { 0 } else { self.stored(before)?.record.header.timestamp };
            let delta = record.header.timestamp.saturating_sub(parent);
            let delta_timestamp = u32::try_from(delta).map_err(|_| Error::internal())?;
            let l1_info_index = record.l1_info.index;
            entries.push(BatchEntry::ChangeL2Block(ChangeL2Block { delta_timestamp, l1_info_index }));
        }
        for transaction in &record.transactions {
            let written =
                BatchTransaction::from_signed(&transaction.encoded, transaction.effective_percentage);
            entries.push(BatchEntry::Transaction(written.map_err(|_| Error::internal())?));
        }
        let encoded = batch_data::encode(&entries, encoding);
        if !room.take(2 * encoded.len()) {
            return Err(Error::too_large());
        }
        data.extend_from_slice(&encoded);
        Ok(())
    }

    pub(super) fn transaction_by_l2_hash(
        &self,
        params: Params<'_>,
    ) -> Result<Option<TransactionObject>, Error> {
        let form = Form { full: true, extra: true, receipts: params.flag(1)? };
        let found = self.l2_transaction(params.hash(0)?)?;
        found.map(|(found, index)| found.transaction_object(index, form)).transpose()
    }

    pub(super) fn receipt_by_l2_hash(&self, params: Params<'_>) -> Result<Option<ReceiptObject>, Error> {
        let found = self.l2_transaction(params.hash(0)?)?;
        found.map(|(found, index)| found.receipt_object(index, true)).transpose()
    }

    /// The last exit root that a block brought in; zero if none ever did.
    pub(super) fn latest_exit_root(&self) -> Result<B256, Error> {
        let head = self.head()?.number;
        let limit = self.rpc.config.limits.log_blocks;
        for number in (0..=head).rev() {
            if head - number >= limit {
                return Err(Error::server(format!("the last {limit} blocks brought no exit root in")));
            }
            let root = self.stored(number)?.record.l1_info.global_exit_root;
            if !root.is_zero() {
                return Ok(root);
            }
        }
        Ok(B256::ZERO)
    }

    /// The main node knows of what a global exit root consists; we know what it must hash to.
    pub(super) fn exit_roots(&self, params: Params<'_>) -> Result<Outcome, Error> {
        let root = params.hash(0)?;
        let latest = self.state_block(Selector::Tag(Tag::Latest))?;
        let known = self.with_state(&latest, |state| state.known_exit_root(root))?;
        Ok(Outcome::Relay(Relay::ExitRoots { root, known: !known.is_zero() }))
    }

    /// Which versions ran from which time on, in seconds since the Unix epoch: ours does from genesis.
    pub(super) fn version_history(&self) -> Result<Members<&'static str, u64>, Error> {
        let genesis = self.state_block(Selector::Tag(Tag::Earliest))?;
        Ok(Members(vec![(env!("CARGO_PKG_VERSION"), genesis.record.header.timestamp)]))
    }

    /// An address that nobody told us is not served.
    pub(super) fn configured(&self, method: &str, address: Option<Address>) -> Result<Address, Error> {
        address.ok_or_else(|| Error::method_not_found(method))
    }

    /// The first block of a batch, or of the first batch behind it that has any.
    pub(super) fn first_block_from(&self, batch: u64) -> Result<Option<u64>, Error> {
        let (mut low, mut high) = (0, self.head()?.number + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            let found = self.block_by_number(middle)?.ok_or_else(Error::internal)?;
            if found.record.batch < batch {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok((low <= self.head()?.number).then_some(low))
    }

    /// A block of this batch, if it has any.
    fn batch_block(&self, batch: u64) -> Result<Option<Found>, Error> {
        let first = self.first_block_from(batch)?;
        let found = first.map_or(Ok(None), |first| self.block_by_number(first))?;
        Ok(found.filter(|found| found.record.batch == batch))
    }
}

fn add(
    found: &Found,
    full: bool,
    room: &mut Room,
    blocks: &mut Vec<Box<RawValue>>,
    transactions: &mut Vec<Box<RawValue>>,
) -> Result<(), Error> {
    if full {
        blocks.push(room.write(&found.object(Form { full: false, extra: true, receipts: false })?)?);
        for object in found.transaction_objects(Form { full: true, extra: true, receipts: true }) {
            transactions.push(room.write(&object?)?);
        }
    } else {
        blocks.push(room.write(&found.hash)?);
        for hash in found.transaction_hashes() {
            transactions.push(room.write(&hash)?);
        }
    }
    Ok(())
}
