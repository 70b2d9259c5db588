//! Blocks, transactions, receipts and logs as callers see them (`spec/rpc.md` §4).

use super::{Error, view::Found};
use crate::{
    executor::{PreparedTransaction, Rules, effective_gas_price},
    types::{EncodedTransaction, Receipt, TransactionRecord},
};
use alloc::{
    borrow::Cow,
    boxed::Box,
    format,
    string::{String, ToString},
    vec::Vec,
};
use alloy_consensus::{Header, TxLegacy, transaction::RlpEcdsaDecodableTx};
use alloy_primitives::{
    Address, B64, B256, Bloom, Bytes, Log, Signature, TxKind, U64, U128, U256, keccak256, logs_bloom,
};
use alloy_rlp::Encodable;
use serde::{Serialize, Serializer};

/// An object whose members have whatever names they have.
pub(super) struct Members<K, V>(pub(super) Vec<(K, V)>);

impl<K, V> Default for Members<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Serialize, V: Serialize> Serialize for Members<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// A header.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct HeaderObject {
    number: U64,
    hash: B256,
    parent_hash: B256,
    nonce: B64,
    mix_hash: B256,
    sha3_uncles: B256,
    logs_bloom: Bloom,
    transactions_root: B256,
    state_root: B256,
    receipts_root: B256,
    miner: Address,
    difficulty: U256,
    extra_data: Bytes,
    gas_limit: U64,
    gas_used: U64,
    timestamp: U64,
    /// Wallets that see it send transactions which the sequencer refuses.
    #[serde(skip_serializing_if = "Option::is_none")]
    base_fee_per_gas: Option<U64>,
}

/// A block.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BlockObject {
    #[serde(flatten)]
    header: HeaderObject,
    total_difficulty: U256,
    size: U64,
    #[serde(skip_serializing_if = "Option::is_none")]
    global_exit_root: Option<B256>,
    #[serde(skip_serializing_if = "Option::is_none")]
    block_info_root: Option<B256>,
    transactions: Vec<TransactionItem>,
    uncles: [B256; 0],
}

/// A transaction in a block.
#[derive(Serialize)]
#[serde(untagged)]
enum TransactionItem {
    Hash(B256),
    Object(Box<TransactionObject>),
}

/// Which form of an object is wanted.
#[derive(Clone, Copy)]
pub(super) struct Form {
    /// Transactions as objects, not as hashes.
    pub(super) full: bool,
    /// What only this protocol has, as `zkevm-node` names it.
    pub(super) extra: bool,
    /// Transactions carry their receipt.
    pub(super) receipts: bool,
}

/// A transaction. What says where it stands is null until it is verified.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TransactionObject {
    block_hash: Option<B256>,
    block_number: Option<U64>,
    transaction_index: Option<U64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    block_timestamp: Option<U64>,
    from: Address,
    gas: U64,
    gas_price: U128,
    hash: B256,
    input: Bytes,
    nonce: U64,
    to: Option<Address>,
    value: U256,
    #[serde(rename = "type")]
    kind: U64,
    #[serde(skip_serializing_if = "Option::is_none")]
    chain_id: Option<U64>,
    v: U256,
    r: U256,
    s: U256,
    #[serde(skip_serializing_if = "Option::is_none")]
    l2_hash: Option<B256>,
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<Box<ReceiptObject>>,
}

/// A receipt.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReceiptObject {
    block_hash: B256,
    block_number: U64,
    transaction_hash: B256,
    transaction_index: U64,
    from: Address,
    to: Option<Address>,
    #[serde(rename = "type")]
    kind: U64,
    gas_used: U64,
    cumulative_gas_used: U64,
    contract_address: Option<Address>,
    logs: Vec<LogObject>,
    logs_bloom: Bloom,
    effective_gas_price: U128,
    status: U64,
    #[serde(rename = "transactionL2Hash", skip_serializing_if = "Option::is_none")]
    transaction_l2_hash: Option<B256>,
}

/// A log.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LogObject {
    address: Address,
    topics: Vec<B256>,
    data: Bytes,
    block_number: U64,
    block_hash: B256,
    block_timestamp: U64,
    transaction_hash: B256,
    transaction_index: U64,
    log_index: U64,
    removed: bool,
}

/// A transaction as its bytes say it.
struct Decoded<'a> {
    fields: TxLegacy,
    signature: Signature,
    record: &'a TransactionRecord,
}

impl HeaderObject {
    pub(super) fn of(header: &Header, hash: B256) -> Self {
        Self {
            number: U64::from(header.number),
            hash,
            parent_hash: header.parent_hash,
            nonce: header.nonce,
            mix_hash: header.mix_hash,
            sha3_uncles: header.ommers_hash,
            logs_bloom: header.logs_bloom,
            transactions_root: header.transactions_root,
            state_root: header.state_root,
            receipts_root: header.receipts_root,
            miner: header.beneficiary,
            difficulty: header.difficulty,
            extra_data: header.extra_data.clone(),
            gas_limit: U64::from(header.gas_limit),
            gas_used: U64::from(header.gas_used),
            timestamp: U64::from(header.timestamp),
            base_fee_per_gas: header.base_fee_per_gas.map(U64::from),
        }
    }
}

impl Found {
    /// The block in this form.
    pub(super) fn object(&self, form: Form) -> Result<BlockObject, Error> {
        let (header, record) = (&self.record.header, &self.record);
        let transactions: Result<_, Error> = match form.full {
            true => {
                let objects = self.transaction_objects(form);
                objects.map(|object| object.map(|object| TransactionItem::Object(Box::new(object)))).collect()
            }
            false => Ok(self.transaction_hashes().map(TransactionItem::Hash).collect()),
        };
        Ok(BlockObject {
            header: HeaderObject::of(header, self.hash),
            total_difficulty: U256::ZERO,
            size: U64::from(self.size()),
            global_exit_root: form.extra.then_some(record.l1_info.global_exit_root),
            block_info_root: form.extra.then_some(record.block_info_root),
            transactions: transactions?,
            uncles: [],
        })
    }

    /// Headers of the lists in the RLP of header, transactions and no uncles: of the whole, and of the transactions.
    fn lists(&self) -> (alloy_rlp::Header, alloy_rlp::Header) {
        let payload_length = self.record.transactions.iter().map(|one| one.encoded.len()).sum();
        let transactions = alloy_rlp::Header { list: true, payload_length };
        let payload_length = self.record.header.length() + transactions.length_with_payload() + 1;
        (alloy_rlp::Header { list: true, payload_length }, transactions)
    }

    fn size(&self) -> usize {
        self.lists().0.length_with_payload()
    }

    /// The RLP of header, transactions and no uncles.
    pub(super) fn encoded(&self) -> Bytes {
        let (whole, transactions) = self.lists();
        let mut out = Vec::with_capacity(whole.length_with_payload());
        whole.encode(&mut out);
        self.record.header.encode(&mut out);
        transactions.encode(&mut out);
        for transaction in &self.record.transactions {
            out.extend_from_slice(&transaction.encoded);
        }
        out.push(alloy_rlp::EMPTY_LIST_CODE);
        out.into()
    }

    pub(super) fn transaction_hashes(&self) -> impl Iterator<Item = B256> {
        self.record.transactions.iter().map(|transaction| keccak256(&transaction.encoded))
    }

    /// The transaction at this position, which there must be.
    pub(super) fn transaction_object(&self, index: usize, form: Form) -> Result<TransactionObject, Error> {
        let logs_before = if form.receipts { self.logs_before(index)? } else { 0 };
        self.transaction_after(index, logs_before, form)
    }

    /// Every transaction, in order.
    pub(super) fn transaction_objects(
        &self,
        form: Form,
    ) -> impl Iterator<Item = Result<TransactionObject, Error>> {
        let mut logs = 0;
        (0..self.record.transactions.len()).map(move |index| {
            let object = self.transaction_after(index, logs, form)?;
            logs += object.receipt.as_ref().map_or(0, |receipt| receipt.logs.len());
            Ok(object)
        })
    }

    fn transaction_after(
        &self,
        index: usize,
        logs_before: usize,
        form: Form,
    ) -> Result<TransactionObject, Error> {
        let record = self.record.transactions.get(index).ok_or_else(Error::internal)?;
        let mut object = Decoded::of(record)?.object(form.extra)?;
        object.block_hash = Some(self.hash);
        object.block_number = Some(U64::from(self.number()));
        object.block_timestamp = Some(U64::from(self.record.header.timestamp));
        object.transaction_index = Some(U64::from(index));
        if form.receipts {
            object.receipt = Some(Box::new(self.receipt_after(index, logs_before, object.l2_hash)?));
        }
        Ok(object)
    }

    /// Every receipt, in order.
    pub(super) fn receipt_objects(&self) -> Result<Vec<ReceiptObject>, Error> {
        let mut logs = 0;
        let receipts = (0..self.record.receipts.len()).map(|index| {
            let receipt = self.receipt_after(index, logs, None)?;
            logs += receipt.logs.len();
            Ok(receipt)
        });
        receipts.collect()
    }

    /// The receipt at this position, which there must be.
    pub(super) fn receipt_object(&self, index: usize, extra: bool) -> Result<ReceiptObject, Error> {
        let (record, _) = self.executed(index)?;
        let l2_hash = if extra { Some(l2_hash(record)?) } else { None };
        self.receipt_after(index, self.logs_before(index)?, l2_hash)
    }

    /// How many logs the block has before those of the transaction at this position. For all of a block they are counted
    /// as they come.
    fn logs_before(&self, index: usize) -> Result<usize, Error> {
        let (rules, receipts) = (self.rules()?, self.record.receipts.iter().take(index));
        Ok(receipts.map(|receipt| rules.receipt_logs(&receipt.logs).len()).sum())
    }

    fn receipt_after(
        &self,
        index: usize,
        logs_before: usize,
        transaction_l2_hash: Option<B256>,
    ) -> Result<ReceiptObject, Error> {
        let (record, receipt) = self.executed(index)?;
        let Decoded { fields, .. } = Decoded::of(record)?;
        let (to, contract_address) = match fields.to {
            TxKind::Call(to) => (Some(to), None),
            TxKind::Create => (None, Some(record.sender.create(fields.nonce))),
        };
        let price = effective_gas_price(fields.gas_price, record.effective_percentage);
        let served = self.rules()?.receipt_logs(&receipt.logs);
        Ok(ReceiptObject {
            block_hash: self.hash,
            block_number: U64::from(self.number()),
            transaction_hash: keccak256(&record.encoded),
            transaction_index: U64::from(index),
            from: record.sender,
            to,
            kind: U64::ZERO,
            gas_used: U64::from(receipt.gas_used),
            cumulative_gas_used: U64::from(receipt.cumulative_gas_used),
            contract_address,
            logs: self.logs_after(index, logs_before)?,
            logs_bloom: logs_bloom(served.iter().map(Cow::as_ref)),
            effective_gas_price: U128::from(price),
            status: U64::from(receipt.success),
            transaction_l2_hash,
        })
    }

    /// The logs of one transaction as its receipt holds them, numbered through the block.
    pub(super) fn logs_after(&self, index: usize, logs_before: usize) -> Result<Vec<LogObject>, Error> {
        let (record, receipt) = self.executed(index)?;
        let transaction_hash = keccak256(&record.encoded);
        let logs = self.rules()?.receipt_logs(&receipt.logs).into_iter().zip(logs_before..);
        let object = |(log, position): (Cow<'_, Log>, usize)| LogObject {
            address: log.address,
            topics: log.topics().to_vec(),
            data: log.data.data.clone(),
            block_number: U64::from(self.number()),
            block_hash: self.hash,
            block_timestamp: U64::from(self.record.header.timestamp),
            transaction_hash,
            transaction_index: U64::from(index),
            log_index: U64::from(position),
            removed: false,
        };
        Ok(logs.map(object).collect())
    }

    /// Appends all logs of the block.
    pub(super) fn all_logs(&self, logs: &mut Vec<LogObject>) -> Result<(), Error> {
        let before = logs.len();
        for index in 0..self.record.receipts.len() {
            let of_transaction = self.logs_after(index, logs.len() - before)?;
            logs.extend(of_transaction);
        }
        Ok(())
    }

    /// Hash, sender and nonce of each transaction.
    pub(super) fn senders(&self) -> Result<Vec<(B256, Address, u64)>, Error> {
        let transactions = self.record.transactions.iter().map(|record| {
            let nonce = Decoded::of(record)?.fields.nonce;
            Ok((keccak256(&record.encoded), record.sender, nonce))
        });
        transactions.collect()
    }

    fn executed(&self, index: usize) -> Result<(&TransactionRecord, &Receipt), Error> {
        let (transactions, receipts) = (&self.record.transactions, &self.record.receipts);
        transactions.get(index).zip(receipts.get(index)).ok_or_else(Error::internal)
    }

    /// The rules of a block that has transactions.
    fn rules(&self) -> Result<&'static Rules, Error> {
        Rules::of_number(self.record.fork_id).map_err(|_| Error::internal())
    }
}

impl LogObject {
    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    pub(super) fn block_number(&self) -> u64 {
        self.block_number.to()
    }

    pub(super) fn topics(&self) -> &[B256] {
        &self.topics
    }

    /// The same log, whose block is no part of the chain any more.
    pub(super) fn removed(&self) -> Self {
        Self { removed: true, ..self.clone() }
    }

    /// Roughly how many bytes it takes here.
    pub(super) fn bytes(&self) -> usize {
        256 + 32 * self.topics.len() + self.data.len()
    }
}

impl<'a> Decoded<'a> {
    fn of(record: &'a TransactionRecord) -> Result<Self, Error> {
        let decoded = TxLegacy::rlp_decode_with_signature(&mut record.encoded.as_ref());
        let (fields, signature) = decoded.map_err(|_| Error::internal())?;
        Ok(Self { fields, signature, record })
    }

    fn object(&self, extra: bool) -> Result<TransactionObject, Error> {
        let Self { fields, signature, record } = self;
        let parity = U256::from(signature.v());
        let v = match fields.chain_id {
            Some(chain_id) => U256::from(chain_id) * U256::from(2) + U256::from(35) + parity,
            None => U256::from(27) + parity,
        };
        Ok(TransactionObject {
            block_hash: None,
            block_number: None,
            transaction_index: None,
            block_timestamp: None,
            from: record.sender,
            gas: U64::from(fields.gas_limit),
            gas_price: U128::from(fields.gas_price),
            hash: keccak256(&record.encoded),
            input: fields.input.clone(),
            nonce: U64::from(fields.nonce),
            to: fields.to.to().copied(),
            value: fields.value,
            kind: U64::ZERO,
            chain_id: fields.chain_id.map(U64::from),
            v,
            r: signature.r(),
            s: signature.s(),
            l2_hash: if extra { Some(l2_hash(record)?) } else { None },
            receipt: None,
        })
    }
}

/// A transaction that no block has yet.
pub(super) fn pending_object(record: &TransactionRecord) -> Result<TransactionObject, Error> {
    Decoded::of(record)?.object(false)
}

/// A transaction that no block has yet, in one line as geth writes it.
pub(super) fn pending_summary(record: &TransactionRecord) -> Result<String, Error> {
    let fields = Decoded::of(record)?.fields;
    let to = match fields.to {
        TxKind::Call(to) => to.to_string(),
        TxKind::Create => "contract creation".into(),
    };
    Ok(format!("{to}: {} wei + {} gas × {} wei", fields.value, fields.gas_limit, fields.gas_price))
}

/// The protocol's own hash of a transaction, which commits to the sender.
pub(super) fn l2_hash(record: &TransactionRecord) -> Result<B256, Error> {
    let encoded = record.encoded.clone();
    let effective_percentage = record.effective_percentage;
    let recovered = EncodedTransaction { encoded, effective_percentage }.recover();
    let transaction = recovered.map_err(|_| Error::internal())?;
    Ok(PreparedTransaction::from(transaction).l2_hash())
}
