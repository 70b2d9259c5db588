//! Blocks, transactions and receipts by number and hash.

use super::{
    Error,
    objects::{BlockObject, Form, HeaderObject, ReceiptObject, TransactionObject},
    params::{Params, Selector, Tag},
    reply::{Outcome, Relay},
    view::{Found, View},
};
use alloc::{format, vec::Vec};
use alloy_primitives::{Address, B256, Bytes, U64};

fn by_hash(hash: B256) -> Selector {
    Selector::Hash { hash, require_canonical: false }
}

/// Transactions by themselves, with or without what only this protocol has.
fn single(extra: bool) -> Form {
    Form { full: true, extra, receipts: false }
}

impl View<'_> {
    pub(super) fn block_by_number_object(&self, params: Params<'_>) -> Result<Option<BlockObject>, Error> {
        self.block_object(params.number_or_tag(0)?, params)
    }

    pub(super) fn block_by_hash_object(&self, params: Params<'_>) -> Result<Option<BlockObject>, Error> {
        self.block_object(by_hash(params.hash(0)?), params)
    }

    fn block_object(&self, selector: Selector, params: Params<'_>) -> Result<Option<BlockObject>, Error> {
        let form = Form { full: params.flag(1)?, extra: params.flag(2)?, receipts: false };
        self.block(selector)?.map(|found| found.object(form)).transpose()
    }

    pub(super) fn header_by_number(&self, params: Params<'_>) -> Result<Option<HeaderObject>, Error> {
        self.header(params.number_or_tag(0)?)
    }

    pub(super) fn header_by_hash(&self, params: Params<'_>) -> Result<Option<HeaderObject>, Error> {
        self.header(by_hash(params.hash(0)?))
    }

    fn header(&self, selector: Selector) -> Result<Option<HeaderObject>, Error> {
        Ok(self.block(selector)?.map(|found| HeaderObject::of(&found.record.header, found.hash)))
    }

    pub(super) fn coinbase(&self) -> Result<Address, Error> {
        let found = self.state_block(Selector::Tag(Tag::Latest))?;
        Ok(found.record.header.beneficiary)
    }

    pub(super) fn count_by_number(&self, params: Params<'_>) -> Result<Option<U64>, Error> {
        self.count(params.number_or_tag(0)?)
    }

    pub(super) fn count_by_hash(&self, params: Params<'_>) -> Result<Option<U64>, Error> {
        self.count(by_hash(params.hash(0)?))
    }

    fn count(&self, selector: Selector) -> Result<Option<U64>, Error> {
        Ok(self.block(selector)?.map(|found| U64::from(found.record.transactions.len())))
    }

    pub(super) fn block_receipts(&self, params: Params<'_>) -> Result<Option<Vec<ReceiptObject>>, Error> {
        self.block(params.required_selector(0)?)?.map(|found| found.receipt_objects()).transpose()
    }

    /// One that is not verified is asked of the main node.
    pub(super) fn transaction_by_hash(&self, params: Params<'_>) -> Result<Outcome, Error> {
        let (hash, form) = (params.hash(0)?, single(params.flag(1)?));
        let found = match self.transaction(hash) {
            // What is in no block that is held here the main node may have.
            Err(error) if error.code == Error::PRUNED && !self.rpc.config.strict => None,
            found => found?,
        };
        match found {
            Some((found, index)) => Outcome::of(&found.transaction_object(index, form)?),
            None => match self.waiting(hash)? {
                Some(waiting) => {
                    self.set_from_pool();
                    Outcome::of(&waiting)
                }
                None => Ok(Outcome::Relay(Relay::Transaction { hash })),
            },
        }
    }

    pub(super) fn receipt(&self, params: Params<'_>, extra: bool) -> Result<Option<ReceiptObject>, Error> {
        let found = self.transaction(params.hash(0)?)?;
        found.map(|(found, index)| found.receipt_object(index, extra)).transpose()
    }

    pub(super) fn transaction_in_number(
        &self,
        params: Params<'_>,
    ) -> Result<Option<TransactionObject>, Error> {
        self.transaction_in(params.number_or_tag(0)?, params)
    }

    pub(super) fn transaction_in_hash(&self, params: Params<'_>) -> Result<Option<TransactionObject>, Error> {
        self.transaction_in(by_hash(params.hash(0)?), params)
    }

    fn transaction_in(
        &self,
        selector: Selector,
        params: Params<'_>,
    ) -> Result<Option<TransactionObject>, Error> {
        let form = single(params.flag(2)?);
        let found = self.position(selector, params)?;
        found.map(|(found, index)| found.transaction_object(index, form)).transpose()
    }

    /// The block, and the position in it that the second parameter names, if there is such a transaction.
    fn position(&self, selector: Selector, params: Params<'_>) -> Result<Option<(Found, usize)>, Error> {
        let index = params.index(1)?;
        let Some(found) = self.block(selector)? else {
            return Ok(None);
        };
        let index = usize::try_from(index).ok().filter(|index| *index < found.record.transactions.len());
        Ok(index.map(|index| (found, index)))
    }

    pub(super) fn raw_transaction(&self, params: Params<'_>) -> Result<Option<Bytes>, Error> {
        Ok(self.transaction(params.hash(0)?)?.and_then(raw))
    }

    pub(super) fn raw_in_number(&self, params: Params<'_>) -> Result<Option<Bytes>, Error> {
        Ok(self.position(params.number_or_tag(0)?, params)?.and_then(raw))
    }

    pub(super) fn raw_in_hash(&self, params: Params<'_>) -> Result<Option<Bytes>, Error> {
        Ok(self.position(by_hash(params.hash(0)?), params)?.and_then(raw))
    }

    /// The header whose keccak is the block's hash.
    pub(super) fn raw_header(&self, params: Params<'_>) -> Result<Bytes, Error> {
        Ok(alloy_rlp::encode(&self.existing_block(params)?.record.header).into())
    }

    /// Header, transactions, no uncles.
    pub(super) fn raw_block(&self, params: Params<'_>) -> Result<Bytes, Error> {
        Ok(self.existing_block(params)?.encoded())
    }

    /// The receipts as the header commits to them: whoever has all of a block can compute its receipts root.
    pub(super) fn raw_receipts(&self, params: Params<'_>) -> Result<Vec<Bytes>, Error> {
        let found = self.existing_block(params)?;
        let (record, rules) = (&found.record, self.rules(&found)?);
        let encoded = rules.encoded_receipts(&record.receipts, record.header.state_root);
        encoded.ok_or_else(|| Error::server("receipts of this fork hold state roots that are not kept"))
    }

    fn existing_block(&self, params: Params<'_>) -> Result<Found, Error> {
        let selector = params.required_selector(0)?;
        self.block(selector)?.ok_or_else(|| Error::server(format!("{} not found", name(selector))))
    }
}

fn raw((found, index): (Found, usize)) -> Option<Bytes> {
    found.record.transactions.get(index).map(|transaction| transaction.encoded.clone())
}

fn name(selector: Selector) -> alloc::string::String {
    match selector {
        Selector::Hash { hash, .. } => format!("block {hash}"),
        Selector::Number(number) => format!("block #{number}"),
        Selector::Tag(_) => "block".into(),
    }
}
