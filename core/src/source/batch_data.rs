//! Batch data (batchL2Data): what the sequencer posts to L1, and what a batch commits to.
//!
//! ```text
//! from fork 7  ( 0x0b  delta timestamp (4)  L1 info index (4)  transaction* )*
//! before       transaction*                                     also in forced batches
//! transaction  RLP list  r (32)  s (32)  v (1)  percentage (1, from fork 5)
//! RLP list     nonce, gas price, gas limit, to, value, data [, chain id, "", ""]
//! ```
//!
//! Integers are big-endian. Any irregularity discards the whole batch (`spec/execution.md` §4.2), so decoding is as
//! strict as the prover's ROM and no stricter: what decodes encodes to the same bytes.

use crate::types::{BatchEncoding, EncodedTransaction, Transaction, TransactionError};
use alloc::vec::Vec;
use alloy_consensus::{SignableTransaction, TxLegacy, transaction::RlpEcdsaEncodableTx};
use alloy_primitives::{Address, Bytes, Signature, TxKind, U256, keccak256};
use alloy_rlp::Encodable;

/// First byte of an entry that opens an L2 block.
const CHANGE_L2_BLOCK: u8 = 0x0b;
/// First byte of a typed transaction, cdk-erigon's extension.
const TYPED_TRANSACTION: u8 = 0x0f;
/// RLP prefix of the empty string. Up to [`LONG_STRING`] the length is added to it.
const SHORT_STRING: u8 = 0x80;
/// RLP prefix of a string whose length follows, less the number of bytes it takes.
const LONG_STRING: u8 = 0xb7;
/// RLP prefix of the empty list. Up to [`LONG_LIST`] the length is added to it.
const SHORT_LIST: u8 = 0xc0;
/// RLP prefix of a list whose length follows, less the number of bytes it takes.
const LONG_LIST: u8 = 0xf7;
/// Longest payload of a short form.
const SHORT: usize = 55;

/// One entry of batch data.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "nearly every entry is a transaction")]
pub enum BatchEntry {
    /// Opens an L2 block.
    ChangeL2Block(ChangeL2Block),
    /// A transaction of the open block.
    Transaction(BatchTransaction),
    /// A typed transaction, its envelope as the sender signed it. Its sender is not looked for: the prover runs none.
    Typed {
        /// The envelope.
        envelope: Bytes,
        /// Share of the signed gas price that is charged: `(n + 1) / 256` of it.
        effective_percentage: u8,
    },
}

/// How an L2 block opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangeL2Block {
    /// Seconds since the block before.
    pub delta_timestamp: u32,
    /// Index of the L1 info leaf that the block brings in; 0 for none.
    pub l1_info_index: u32,
}

/// A transaction as batch data writes it. That anybody signed it is another question: [`BatchTransaction::recover`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchTransaction {
    /// The RLP list; its keccak hash is what was signed.
    list: Bytes,
    fields: Fields,
    signature: [u8; 64],
    /// 27 or 28 in a signature that can be right.
    v: u8,
    effective_percentage: u8,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Fields {
    nonce: u64,
    gas_price: U256,
    gas_limit: u64,
    to: TxKind,
    value: U256,
    data: Bytes,
    chain_id: Option<u64>,
}

/// What is wrong with batch data, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at byte {offset}: {reason}")]
pub struct BatchDataError {
    /// Bytes read before.
    pub offset: usize,
    /// What is wrong there.
    pub reason: Irregularity,
}

/// What can be wrong with batch data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Irregularity {
    /// The data ends within an entry.
    #[error("cut short")]
    CutShort,
    /// An RLP item is longer than the list it stands in, or the list longer than its items.
    #[error("the list's length is not that of its items")]
    ListLength,
    /// Something else stands where a list has to be.
    #[error("not a list")]
    NotAList,
    /// A list stands where a string has to be.
    #[error("not a string")]
    NotAString,
    /// A length or a byte is not written in the shortest form.
    #[error("not in the shortest form")]
    NotShortest,
    /// A length takes more bytes than allowed.
    #[error("the length has too many bytes")]
    LongLength,
    /// An integer begins with a zero byte.
    #[error("leading zero")]
    LeadingZero,
    /// An integer has more bytes than its field.
    #[error("too many bytes for the field")]
    TooLong,
    /// The receiver has neither 0 nor 20 bytes.
    #[error("not an address")]
    NotAnAddress,
    /// What follows the chain id is not two empty strings.
    #[error("the chain id is not followed by two empty strings")]
    NotEip155,
}

/// Reads batch data.
///
/// # Errors
///
/// The first irregularity.
pub fn decode(data: &[u8], encoding: &BatchEncoding) -> Result<Vec<BatchEntry>, BatchDataError> {
    let mut reader = Reader { data, position: 0, end: data.len(), encoding };
    let mut entries = Vec::new();
    while reader.position < data.len() {
        let entry = reader.entry();
        entries.push(entry.map_err(|reason| BatchDataError { offset: reader.position, reason })?);
    }
    Ok(entries)
}

/// Writes batch data: the inverse of [`decode`] with the same encoding.
pub fn encode<'e>(entries: impl IntoIterator<Item = &'e BatchEntry>, encoding: &BatchEncoding) -> Vec<u8> {
    let mut data = Vec::new();
    for entry in entries {
        match entry {
            BatchEntry::ChangeL2Block(ChangeL2Block { delta_timestamp, l1_info_index }) => {
                data.push(CHANGE_L2_BLOCK);
                data.extend_from_slice(&delta_timestamp.to_be_bytes());
                data.extend_from_slice(&l1_info_index.to_be_bytes());
            }
            BatchEntry::Transaction(transaction) => transaction.encode(encoding, &mut data),
            BatchEntry::Typed { envelope, effective_percentage } => {
                data.push(TYPED_TRANSACTION);
                envelope.encode(&mut data);
                data.push(*effective_percentage);
            }
        }
    }
    data
}

impl BatchTransaction {
    /// Recovers the sender.
    ///
    /// # Errors
    ///
    /// [`TransactionError`] when nobody signed it. Such a transaction is skipped; it does not spoil its batch.
    pub fn recover(&self) -> Result<Transaction, TransactionError> {
        let Fields { nonce, gas_price, gas_limit, to, value, ref data, chain_id } = self.fields;
        let gas_price = u128::try_from(gas_price).map_err(|_| TransactionError::GasPrice)?;
        let inner = TxLegacy { chain_id, nonce, gas_price, gas_limit, to, value, input: data.clone() };
        let parity = match self.v {
            27 => false,
            28 => true,
            _ => return Err(TransactionError::SignatureRange),
        };
        let signature = Signature::from_bytes_and_parity(&self.signature, parity);
        let mut encoded = Vec::with_capacity(self.list.len() + 72);
        inner.rlp_encode_signed(&signature, &mut encoded);
        let effective_percentage = self.effective_percentage;
        let encoded = EncodedTransaction { encoded: encoded.into(), effective_percentage };
        Transaction::signed(inner, &signature, keccak256(&self.list), &encoded)
    }

    fn encode(&self, encoding: &BatchEncoding, data: &mut Vec<u8>) {
        data.extend_from_slice(&self.list);
        data.extend_from_slice(&self.signature);
        data.push(self.v);
        if encoding.effective_percentage {
            data.push(self.effective_percentage);
        }
    }
}

impl From<&Transaction> for BatchTransaction {
    /// As the sequencer writes a transaction that it took.
    fn from(transaction: &Transaction) -> Self {
        let inner = transaction.fields();
        let mut list = Vec::new();
        inner.encode_for_signing(&mut list);
        let signature = transaction.signature();
        let mut scalars = [0; 64];
        scalars.copy_from_slice(&signature.as_bytes()[..64]);
        Self {
            list: list.into(),
            fields: Fields {
                nonce: inner.nonce,
                gas_price: U256::from(inner.gas_price),
                gas_limit: inner.gas_limit,
                to: inner.to,
                value: inner.value,
                data: inner.input.clone(),
                chain_id: inner.chain_id,
            },
            signature: scalars,
            v: 27 + u8::from(signature.v()),
            effective_percentage: transaction.effective_percentage(),
        }
    }
}

struct Reader<'d> {
    data: &'d [u8],
    position: usize,
    /// Where the list that is being read ends.
    end: usize,
    encoding: &'d BatchEncoding,
}

impl<'d> Reader<'d> {
    fn entry(&mut self) -> Result<BatchEntry, Irregularity> {
        self.end = self.data.len();
        let first = self.data.get(self.position).copied();
        match first {
            Some(CHANGE_L2_BLOCK) if self.encoding.l2_blocks => {
                self.position += 1;
                let (delta_timestamp, l1_info_index) = (self.word()?, self.word()?);
                Ok(BatchEntry::ChangeL2Block(ChangeL2Block { delta_timestamp, l1_info_index }))
            }
            Some(TYPED_TRANSACTION) if self.encoding.typed_transactions => {
                self.position += 1;
                let envelope = Bytes::copy_from_slice(self.string()?);
                Ok(BatchEntry::Typed { envelope, effective_percentage: self.take(1)?[0] })
            }
            _ => self.transaction().map(BatchEntry::Transaction),
        }
    }

    fn transaction(&mut self) -> Result<BatchTransaction, Irregularity> {
        let start = self.position;
        let length = self.list_length()?;
        self.end = self.position.checked_add(length).ok_or(Irregularity::CutShort)?;
        if self.end > self.data.len() {
            return Err(Irregularity::CutShort);
        }
        let fields = self.fields()?;
        if self.position != self.end {
            return Err(Irregularity::ListLength);
        }
        let list = Bytes::copy_from_slice(&self.data[start..self.end]);
        self.end = self.data.len();
        let mut signature = [0; 64];
        signature.copy_from_slice(self.take(64)?);
        let v = self.take(1)?[0];
        let effective_percentage =
            if self.encoding.effective_percentage { self.take(1)?[0] } else { u8::MAX };
        Ok(BatchTransaction { list, fields, signature, v, effective_percentage })
    }

    fn fields(&mut self) -> Result<Fields, Irregularity> {
        let mut fields = Fields {
            nonce: self.integer(8)?.to(),
            gas_price: self.integer(32)?,
            gas_limit: self.integer(8)?.to(),
            to: self.receiver()?,
            value: self.integer(32)?,
            data: Bytes::copy_from_slice(self.string()?),
            chain_id: None,
        };
        if self.position != self.end {
            fields.chain_id = Some(self.integer(8)?.to());
            if self.take(2)? != [SHORT_STRING, SHORT_STRING] {
                return Err(Irregularity::NotEip155);
            }
        }
        Ok(fields)
    }

    fn receiver(&mut self) -> Result<TxKind, Irregularity> {
        let string = self.string()?;
        match string.len() {
            0 => Ok(TxKind::Create),
            20 => Ok(TxKind::Call(Address::from_slice(string))),
            _ => Err(Irregularity::NotAnAddress),
        }
    }

    /// An integer of at most `width` bytes. A single zero byte passes for zero (`spec/execution.md` §4.2).
    fn integer(&mut self, width: usize) -> Result<U256, Irregularity> {
        let prefix = self.take(1)?[0];
        if prefix < SHORT_STRING {
            return Ok(U256::from(prefix));
        }
        let length = usize::from(prefix - SHORT_STRING);
        if length > width {
            return Err(if prefix < SHORT_LIST { Irregularity::TooLong } else { Irregularity::NotAString });
        }
        let bytes = self.take(length)?;
        if length == 1 && bytes[0] < SHORT_STRING {
            return Err(Irregularity::NotShortest);
        }
        self.check_leading_zeros(bytes)?;
        Ok(U256::from_be_slice(bytes))
    }

    fn string(&mut self) -> Result<&'d [u8], Irregularity> {
        let prefix = self.take(1)?[0];
        if prefix < SHORT_STRING {
            return Ok(&self.data[self.position - 1..self.position]);
        }
        if prefix >= SHORT_LIST {
            return Err(Irregularity::NotAString);
        }
        if prefix > LONG_STRING {
            let length = self.long_length(usize::from(prefix - LONG_STRING))?;
            return self.take(length);
        }
        let bytes = self.take(usize::from(prefix - SHORT_STRING))?;
        if bytes.len() == 1 && bytes[0] < SHORT_STRING {
            return Err(Irregularity::NotShortest);
        }
        Ok(bytes)
    }

    fn list_length(&mut self) -> Result<usize, Irregularity> {
        let prefix = self.take(1)?[0];
        match prefix {
            ..SHORT_LIST => Err(Irregularity::NotAList),
            SHORT_LIST..=LONG_LIST => Ok(usize::from(prefix - SHORT_LIST)),
            _ => self.long_length(usize::from(prefix - LONG_LIST)),
        }
    }

    fn long_length(&mut self, bytes: usize) -> Result<usize, Irregularity> {
        if bytes > self.encoding.length_bytes {
            return Err(Irregularity::LongLength);
        }
        let length = self.take(bytes)?;
        self.check_leading_zeros(length)?;
        let length = U256::from_be_slice(length).saturating_to();
        if length <= SHORT { Err(Irregularity::NotShortest) } else { Ok(length) }
    }

    fn check_leading_zeros(&self, bytes: &[u8]) -> Result<(), Irregularity> {
        let allowed = self.encoding.leading_zeros || bytes.first() != Some(&0);
        if allowed { Ok(()) } else { Err(Irregularity::LeadingZero) }
    }

    fn word(&mut self) -> Result<u32, Irregularity> {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(self.take(4)?);
        Ok(u32::from_be_bytes(bytes))
    }

    fn take(&mut self, length: usize) -> Result<&'d [u8], Irregularity> {
        let beyond =
            if self.end < self.data.len() { Irregularity::ListLength } else { Irregularity::CutShort };
        let end = self.position.checked_add(length).filter(|end| *end <= self.end).ok_or(beyond)?;
        let bytes = &self.data[self.position..end];
        self.position = end;
        Ok(bytes)
    }
}
