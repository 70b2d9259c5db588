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
use alloy_consensus::{
    SignableTransaction, TxLegacy,
    transaction::{RlpEcdsaDecodableTx, RlpEcdsaEncodableTx},
};
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
        let (inner, signature) = self.parts()?;
        Transaction::signed(inner, &signature, keccak256(&self.list), &self.to_encoded()?)
    }

    /// The transaction in Ethereum's RLP. Whether anybody signed it is not looked at.
    ///
    /// # Errors
    ///
    /// [`TransactionError`] when it cannot be written so.
    pub fn to_encoded(&self) -> Result<EncodedTransaction, TransactionError> {
        let (inner, signature) = self.parts()?;
        let mut encoded = Vec::with_capacity(self.list.len() + 72);
        inner.rlp_encode_signed(&signature, &mut encoded);
        let effective_percentage = self.effective_percentage;
        Ok(EncodedTransaction { encoded: encoded.into(), effective_percentage })
    }

    /// The rollup contract made it: its signature is a constant that no key can have made on purpose
    /// (`spec/sync.md` §3.5).
    pub fn is_injected(&self) -> bool {
        const R: U256 = U256::from_limbs([0x5_ca1a_b1e0, 0, 0, 0]);
        const S: U256 = U256::from_limbs([0x5ca1_ab1e, 0, 0, 0]);
        let (r, s) = self.signature.split_at(32);
        U256::from_be_slice(r) == R && U256::from_be_slice(s) == S
    }

    fn parts(&self) -> Result<(TxLegacy, Signature), TransactionError> {
        let Fields { nonce, gas_price, gas_limit, to, value, ref data, chain_id } = self.fields;
        let gas_price = u128::try_from(gas_price).map_err(|_| TransactionError::GasPrice)?;
        let inner = TxLegacy { chain_id, nonce, gas_price, gas_limit, to, value, input: data.clone() };
        let parity = match self.v {
            27 => false,
            28 => true,
            _ => return Err(TransactionError::SignatureRange),
        };
        Ok((inner, Signature::from_bytes_and_parity(&self.signature, parity)))
    }

    /// As the sequencer writes a transaction that it took, given in Ethereum's RLP. Its sender is not looked for.
    ///
    /// # Errors
    ///
    /// [`alloy_rlp::Error`] when it is not a signed legacy transaction.
    pub fn from_signed(encoded: &[u8], effective_percentage: u8) -> Result<Self, alloy_rlp::Error> {
        let (fields, signature) = TxLegacy::rlp_decode_with_signature(&mut &*encoded)?;
        Ok(Self::written(&fields, &signature, effective_percentage))
    }

    fn written(inner: &TxLegacy, signature: &Signature, effective_percentage: u8) -> Self {
        let mut list = Vec::new();
        inner.encode_for_signing(&mut list);
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
            effective_percentage,
        }
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
        Self::written(transaction.fields(), transaction.signature(), transaction.effective_percentage())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{chain::ForkId, executor::Rules};
    use alloc::vec;
    use alloy_primitives::hex;
    use proptest::prelude::*;

    fn encoding(fork: u64) -> &'static BatchEncoding {
        &Rules::of(ForkId::try_from(fork).unwrap()).encoding
    }

    /// The items of a list that is right, each in RLP: nonce, gas price, gas limit, receiver, value, data, chain id and
    /// two empty strings.
    fn items() -> Vec<Vec<u8>> {
        let receiver = [&[0x94][..], &[0x35; 20]].concat();
        let price = hex!("843b9aca00").to_vec();
        vec![
            vec![9],
            price,
            hex!("825208").to_vec(),
            receiver,
            vec![1],
            vec![0x80],
            vec![5],
            vec![0x80],
            vec![0x80],
        ]
    }

    const NONCE: usize = 0;
    const PRICE: usize = 1;
    const GAS: usize = 2;
    const RECEIVER: usize = 3;
    const VALUE: usize = 4;
    const DATA: usize = 5;
    const CHAIN_ID: usize = 6;

    /// [`items`] with another one in place of one.
    fn items_with(at: usize, item: &[u8]) -> Vec<Vec<u8>> {
        let mut items = items();
        items[at] = item.to_vec();
        items
    }

    /// The list of these items, its length in the shortest form.
    fn list(items: &[Vec<u8>]) -> Vec<u8> {
        let payload = items.concat();
        let mut list = Vec::new();
        alloy_rlp::Header { list: true, payload_length: payload.len() }.encode(&mut list);
        [list, payload].concat()
    }

    /// What follows a list: `r` is the x-coordinate of a point and `s` is 1, so that every hash has a signer.
    fn signature() -> Vec<u8> {
        let r = hex!("79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798");
        [&r[..], &[0; 31], &[1, 27]].concat()
    }

    /// The list with its signature, and with the percentage where the fork has one.
    fn signed(list: &[u8], fork: u64) -> Vec<u8> {
        let percentage: &[u8] = if encoding(fork).effective_percentage { &[0x80] } else { &[] };
        [list, &signature(), percentage].concat()
    }

    /// What comes of a transaction with this list. What decodes is written as it was.
    fn read(list: &[u8], fork: u64) -> Result<BatchTransaction, Irregularity> {
        let data = signed(list, fork);
        let entries = decode(&data, encoding(fork)).map_err(|error| error.reason)?;
        assert_eq!(encode(&entries, encoding(fork)), data);
        match entries.as_slice() {
            [BatchEntry::Transaction(transaction)] => Ok(transaction.clone()),
            other => panic!("{other:?} is not one transaction"),
        }
    }

    /// Why a list with another item is refused.
    fn refusal(at: usize, item: &[u8], fork: u64) -> Option<Irregularity> {
        read(&list(&items_with(at, item)), fork).err()
    }

    /// The first forks with another encoding than the one before, and the last fork.
    const FORKS: [u64; 7] = [1, 2, 3, 5, 7, 12, 13];

    #[test]
    fn an_entry_is_read_as_it_is_written() {
        for fork in FORKS {
            let expected = Fields {
                nonce: 9,
                gas_price: U256::from(1_000_000_000),
                gas_limit: 21_000,
                to: TxKind::Call(Address::repeat_byte(0x35)),
                value: U256::ONE,
                data: Bytes::new(),
                chain_id: Some(5),
            };
            let transaction = read(&list(&items()), fork).unwrap();
            assert_eq!(transaction.fields, expected);
            assert_eq!((&transaction.signature[..], transaction.v), (&signature()[..64], 27));
            assert_eq!(transaction.effective_percentage, if fork < 5 { 255 } else { 0x80 });
            let old = read(&list(&items()[..CHAIN_ID]), fork).unwrap();
            assert_eq!(old.fields, Fields { chain_id: None, ..expected });
            let creation = read(&list(&items_with(RECEIVER, &[0x80])), fork).unwrap();
            assert_eq!(creation.fields.to, TxKind::Create);
        }
    }

    #[test]
    fn bytes_and_lengths_are_in_the_shortest_form() {
        let long = [&[0xb8, 56][..], &[7; 56]].concat();
        for fork in FORKS {
            for at in [NONCE, PRICE, GAS, VALUE, DATA, CHAIN_ID] {
                assert_eq!(refusal(at, &[0x81, 0x2a], fork), Some(Irregularity::NotShortest), "{at}");
                assert_eq!(refusal(at, &[0x81, 0x80], fork), None, "{at}");
            }
            let short = [&[0xb8, 55][..], &[7; 55]].concat();
            assert_eq!(refusal(DATA, &short, fork), Some(Irregularity::NotShortest));
            assert_eq!(refusal(DATA, &long, fork), None);
            let payload = items().concat();
            let long_list = [&[0xf8, u8::try_from(payload.len()).unwrap()][..], &payload].concat();
            assert_eq!(read(&long_list, fork), Err(Irregularity::NotShortest));
        }
    }

    /// The list of [`items`] with 56 bytes of data, its length written in these bytes, the last of which is right.
    fn list_with_length(length: &[u8]) -> Vec<u8> {
        let payload = items_with(DATA, &[&[0xb8, 56][..], &[7; 56]].concat()).concat();
        assert_eq!(length.last().copied().map(usize::from), Some(payload.len()));
        [&[LONG_LIST + u8::try_from(length.len()).unwrap()], length, &payload].concat()
    }

    #[test]
    fn a_length_has_at_most_three_bytes_from_fork_2() {
        let data =
            |length: &[u8]| [&[LONG_STRING + u8::try_from(length.len()).unwrap()], length, &[7; 56]].concat();
        let last = u8::try_from(items().concat().len() + 57).unwrap();
        for (fork, four, three, one) in [
            (1, None, None, None),
            (2, Some(Irregularity::LongLength), None, None),
            (3, Some(Irregularity::LongLength), Some(Irregularity::LeadingZero), None),
            (13, Some(Irregularity::LongLength), Some(Irregularity::LeadingZero), None),
        ] {
            for (length, refused) in [(vec![0, 0, 0], four), (vec![0, 0], three), (vec![], one)] {
                assert_eq!(refusal(DATA, &data(&[&length[..], &[56]].concat()), fork), refused, "{fork}");
                let list = list_with_length(&[&length[..], &[last]].concat());
                assert_eq!(read(&list, fork).err(), refused, "{fork}, list");
            }
        }
        assert_eq!(refusal(DATA, &data(&[0, 0, 0, 0, 0, 0, 0, 56]), 1), None);
        assert_eq!(refusal(DATA, &[0xbf; 9], 1), Some(Irregularity::ListLength), "2^64 bytes, almost");
        assert_eq!(decode(&[0xff; 9], encoding(1)).unwrap_err().reason, Irregularity::CutShort);
    }

    #[test]
    fn an_integer_has_no_leading_zeros_from_fork_3() {
        for at in [NONCE, PRICE, GAS, VALUE, CHAIN_ID] {
            for item in [&[0x82, 0, 0x80][..], &[0x82, 0, 1], &[0x83, 0, 1, 1]] {
                assert_eq!(refusal(at, item, 2), None, "{at}");
                assert_eq!(refusal(at, item, 3), Some(Irregularity::LeadingZero), "{at}");
            }
        }
        let transaction = read(&list(&items_with(VALUE, &[0x82, 0, 0x80])), 1).unwrap();
        assert_eq!(transaction.fields.value, U256::from(0x80));
        // Bytes are no integer.
        assert_eq!(refusal(DATA, &[0x82, 0, 0x80], 3), None);
    }

    #[test]
    fn an_integer_fits_its_field() {
        for fork in FORKS {
            for (at, width) in [(NONCE, 8), (PRICE, 32), (GAS, 8), (VALUE, 32), (CHAIN_ID, 8)] {
                let item = |length: u8| [vec![0x80 + length], vec![0xff; usize::from(length)]].concat();
                assert_eq!(refusal(at, &item(width), fork), None, "{at}");
                assert_eq!(refusal(at, &item(width + 1), fork), Some(Irregularity::TooLong), "{at}");
                let long = [&[0xb8, 56][..], &[1; 56]].concat();
                assert_eq!(refusal(at, &long, fork), Some(Irregularity::TooLong), "{at}");
            }
        }
    }

    #[test]
    fn a_zero_byte_is_zero_and_signed_as_it_stands() {
        for fork in FORKS {
            for at in [NONCE, PRICE, GAS, VALUE, CHAIN_ID] {
                let (zero, empty) = (list(&items_with(at, &[0])), list(&items_with(at, &[0x80])));
                let [zero, empty] = [zero, empty].map(|list| read(&list, fork).unwrap());
                assert_eq!(zero.fields, empty.fields, "{at}");
                let [from_zero, from_empty] = [&zero, &empty].map(|entry| entry.recover().unwrap());
                assert_eq!(from_zero.fields(), from_empty.fields(), "{at}");
                // The Ethereum transaction is the same, and each hash has another signer.
                assert_eq!(from_zero.encoded(), from_empty.encoded(), "{at}");
                assert_ne!(from_zero.sender(), from_empty.sender(), "{at}");
                let (inner, signature) = (from_zero.fields().clone(), from_zero.signature());
                let encoded = EncodedTransaction {
                    encoded: from_zero.encoded().clone(),
                    effective_percentage: zero.effective_percentage,
                };
                let expected = Transaction::signed(inner, signature, keccak256(&zero.list), &encoded);
                assert_eq!(Ok(from_zero), expected, "{at}");
            }
        }
    }

    #[test]
    fn a_receiver_has_0_or_20_bytes() {
        for fork in FORKS {
            for item in
                [vec![0], vec![0x35], [vec![0x93], vec![1; 19]].concat(), [vec![0x95], vec![1; 21]].concat()]
            {
                assert_eq!(refusal(RECEIVER, &item, fork), Some(Irregularity::NotAnAddress), "{item:?}");
            }
        }
    }

    #[test]
    fn a_list_is_no_string_and_a_string_no_list() {
        for fork in FORKS {
            for at in NONCE..=CHAIN_ID {
                for item in [&[0xc0][..], &[0xc1, 0x80], &[0xf8, 0]] {
                    assert_eq!(refusal(at, item, fork), Some(Irregularity::NotAString), "{at}");
                }
            }
            for string in [&[0][..], &[0x7f], &[0x80], &[0xb7], &[0xbf]] {
                let error = decode(&signed(string, fork), encoding(fork)).unwrap_err();
                assert_eq!(error, BatchDataError { offset: 1, reason: Irregularity::NotAList }, "{string:?}");
            }
        }
    }

    #[test]
    fn a_list_has_6_or_9_items() {
        for fork in FORKS {
            for count in 0..9 {
                let expected = if count == 6 { None } else { Some(Irregularity::ListLength) };
                assert_eq!(read(&list(&items()[..count]), fork).err(), expected, "{count}");
            }
            for more in [&[0x80][..], &[0], &[0xc0]] {
                let items = [items(), vec![more.to_vec()]].concat();
                assert_eq!(read(&list(&items), fork), Err(Irregularity::ListLength));
            }
            for at in [CHAIN_ID + 1, CHAIN_ID + 2] {
                assert_eq!(refusal(at, &[0], fork), Some(Irregularity::NotEip155), "{at}");
                assert_eq!(refusal(at, &[1], fork), Some(Irregularity::NotEip155), "{at}");
            }
            // The last item reaches into the signature.
            assert_eq!(refusal(CHAIN_ID + 2, &[0x81], fork), Some(Irregularity::NotEip155));
            let mut items = items();
            items.truncate(CHAIN_ID);
            items[DATA] = vec![0x82, 1];
            assert_eq!(read(&list(&items), fork), Err(Irregularity::ListLength));
        }
    }

    #[test]
    fn percentages_are_there_from_fork_5() {
        let (before, since) = (signed(&list(&items()), 4), signed(&list(&items()), 5));
        assert_eq!(since, [&before[..], &[0x80]].concat());
        let cut = decode(&before, encoding(5)).unwrap_err();
        assert_eq!(cut, BatchDataError { offset: before.len(), reason: Irregularity::CutShort });
        let left = decode(&since, encoding(4)).unwrap_err();
        assert_eq!(left, BatchDataError { offset: since.len(), reason: Irregularity::NotAList });
    }

    #[test]
    fn blocks_are_opened_from_fork_7() {
        let data = hex!("0b01020304a0000001");
        let change = ChangeL2Block { delta_timestamp: 0x0102_0304, l1_info_index: 0xa000_0001 };
        assert_eq!(decode(&data, encoding(7)), Ok(vec![BatchEntry::ChangeL2Block(change)]));
        assert_eq!(encode(&[BatchEntry::ChangeL2Block(change)], encoding(7)), data);
        assert_eq!(decode(&data, encoding(6)).unwrap_err().reason, Irregularity::NotAList);
        for end in 1..data.len() {
            assert_eq!(
                decode(&data[..end], encoding(7)).unwrap_err().reason,
                Irregularity::CutShort,
                "{end}"
            );
        }
    }

    #[test]
    fn typed_transactions_are_known_from_fork_12() {
        let data = hex!("0f8302c001fe");
        let typed = BatchEntry::Typed { envelope: hex!("02c001").into(), effective_percentage: 0xfe };
        assert_eq!(decode(&data, encoding(12)), Ok(vec![typed.clone()]));
        assert_eq!(encode(&[typed], encoding(12)), data);
        assert_eq!(decode(&data, encoding(11)).unwrap_err().reason, Irregularity::NotAList);
        for end in 1..data.len() {
            assert_eq!(
                decode(&data[..end], encoding(12)).unwrap_err().reason,
                Irregularity::CutShort,
                "{end}"
            );
        }
        assert_eq!(decode(&hex!("0fc1c0ff"), encoding(12)).unwrap_err().reason, Irregularity::NotAString);
    }

    #[test]
    fn data_that_ends_within_an_entry_is_cut_short() {
        let long = items_with(DATA, &[&[0xb8, 56][..], &[7; 56]].concat());
        for fork in FORKS {
            let entries = [signed(&list(&items()), fork), signed(&list(&long), fork)];
            let data = entries.concat();
            for end in 0..=data.len() {
                let found = decode(&data[..end], encoding(fork)).map(|entries| entries.len());
                match end {
                    0 => assert_eq!(found, Ok(0)),
                    end if end == entries[0].len() => assert_eq!(found, Ok(1)),
                    end if end == data.len() => assert_eq!(found, Ok(2)),
                    end => assert_eq!(found.unwrap_err().reason, Irregularity::CutShort, "{end}"),
                }
            }
        }
    }

    #[test]
    fn what_nobody_can_have_signed_is_read_all_the_same() {
        let price = [vec![0x91], vec![1; 17]].concat();
        let dear = read(&list(&items_with(PRICE, &price)), 9).unwrap();
        assert_eq!(dear.recover(), Err(TransactionError::GasPrice));
        for v in [0, 1, 26, 29, 37, 255] {
            let mut data = signed(&list(&items()), 9);
            let at = data.len() - 2;
            data[at] = v;
            let entries = decode(&data, encoding(9)).unwrap();
            let [BatchEntry::Transaction(transaction)] = entries.as_slice() else {
                panic!("one transaction")
            };
            assert_eq!(transaction.recover(), Err(TransactionError::SignatureRange), "{v}");
            assert_eq!(encode(&entries, encoding(9)), data);
        }
    }

    fn numbers() -> impl Strategy<Value = U256> {
        (any::<[u64; 4]>(), 0..=256_usize)
            .prop_map(|(limbs, shift)| U256::from_limbs(limbs).checked_shr(shift).unwrap_or_default())
    }

    fn small_numbers() -> impl Strategy<Value = u64> {
        (any::<u64>(), 0..64_u32).prop_map(|(number, shift)| number >> shift)
    }

    fn bytes() -> impl Strategy<Value = Bytes> {
        let lengths = prop_oneof![0..3_usize, 50..60_usize, 250..260_usize, 65_530..65_540_usize];
        (lengths, any::<u8>()).prop_map(|(length, byte)| vec![byte; length].into())
    }

    fn receivers() -> impl Strategy<Value = TxKind> {
        any::<Option<[u8; 20]>>().prop_map(|to| to.map_or(TxKind::Create, |to| TxKind::Call(to.into())))
    }

    prop_compose! {
        fn any_fields()(
            nonce in small_numbers(),
            gas_price in numbers(),
            gas_limit in small_numbers(),
            to in receivers(),
            value in numbers(),
            data in bytes(),
            chain_id in prop::option::of(small_numbers()),
        ) -> Fields {
            Fields { nonce, gas_price, gas_limit, to, value, data, chain_id }
        }
    }

    /// The list of these fields in the shortest form.
    fn list_of(fields: &Fields) -> Bytes {
        let Fields { nonce, gas_price, gas_limit, to, value, data, chain_id } = fields;
        let mut items: Vec<&dyn Encodable> = vec![nonce, gas_price, gas_limit, to, value, data];
        let empty = Bytes::new();
        items.extend(chain_id.iter().flat_map(|id| [id as &dyn Encodable, &empty, &empty]));
        let encoded = items.iter().map(|item| {
            let mut bytes = Vec::new();
            item.encode(&mut bytes);
            bytes
        });
        list(&encoded.collect::<Vec<_>>()).into()
    }

    prop_compose! {
        fn any_transaction()(
            fields in any_fields(),
            signature in any::<[[u8; 32]; 2]>(),
            v in any::<u8>(),
            effective_percentage in any::<u8>(),
        ) -> BatchTransaction {
            let list = list_of(&fields);
            let mut scalars = [0; 64];
            scalars.copy_from_slice(signature.as_flattened());
            BatchTransaction { list, fields, signature: scalars, v, effective_percentage }
        }
    }

    fn any_entry() -> impl Strategy<Value = BatchEntry> {
        let change = any::<(u32, u32)>().prop_map(|(delta_timestamp, l1_info_index)| {
            BatchEntry::ChangeL2Block(ChangeL2Block { delta_timestamp, l1_info_index })
        });
        let typed = (bytes(), any::<u8>()).prop_map(|(envelope, effective_percentage)| BatchEntry::Typed {
            envelope,
            effective_percentage,
        });
        prop_oneof![change, typed, any_transaction().prop_map(BatchEntry::Transaction)]
    }

    /// The entry as far as the fork knows it.
    fn known(entry: BatchEntry, encoding: &BatchEncoding) -> Option<BatchEntry> {
        match entry {
            BatchEntry::ChangeL2Block(_) => Some(entry).filter(|_| encoding.l2_blocks),
            BatchEntry::Typed { .. } => Some(entry).filter(|_| encoding.typed_transactions),
            BatchEntry::Transaction(mut transaction) => {
                if !encoding.effective_percentage {
                    transaction.effective_percentage = u8::MAX;
                }
                Some(BatchEntry::Transaction(transaction))
            }
        }
    }

    /// Bytes that mean something to a decoder more often than others.
    fn telling_bytes() -> impl Strategy<Value = Vec<u8>> {
        let telling = [0, 1, 0x0b, 0x0f, 0x7f, 0x80, 0x81, 0x94, 0xa0, 0xb7, 0xb8, 0xba, 0xbf, 0xc0, 0xc9];
        let byte = prop_oneof![prop::sample::select(telling.to_vec()), 0xf7..=0xff_u8, any::<u8>()];
        prop::collection::vec(byte, 0..120)
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(fork in 1..14_u64, entries in prop::collection::vec(any_entry(), 0..6)) {
            let encoding = encoding(fork);
            let entries: Vec<_> = entries.into_iter().filter_map(|entry| known(entry, encoding)).collect();
            prop_assert_eq!(decode(&encode(&entries, encoding), encoding), Ok(entries));
        }

        #[test]
        fn what_decodes_encodes_to_the_same(
            fork in 1..14_u64,
            transaction in any_transaction(),
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let entries = [BatchEntry::Transaction(transaction)];
            let mut data = encode(&entries, encoding(fork));
            // Most bytes before the signature count, and the first ones most.
            let at = at.index(data.len().min(60));
            data[at] = byte;
            if let Ok(entries) = decode(&data, encoding(fork)) {
                prop_assert_eq!(encode(&entries, encoding(fork)), data);
            }
        }

        #[test]
        fn random_bytes_lead_to_no_panic(fork in 1..14_u64, data in telling_bytes()) {
            match decode(&data, encoding(fork)) {
                Ok(entries) => prop_assert_eq!(encode(&entries, encoding(fork)), data),
                Err(error) => prop_assert!(error.offset <= data.len()),
            }
        }

        #[test]
        fn a_transaction_survives_batch_data(
            fork in 5..14_u64,
            fields in any_fields(),
            gas_price in any::<u128>(),
            chain_id in prop::option::of(any::<u32>()),
            odd in any::<bool>(),
            effective_percentage in any::<u8>(),
        ) {
            let Fields { nonce, gas_limit, to, value, data: input, .. } = fields;
            let chain_id = chain_id.map(u64::from);
            let inner = TxLegacy { chain_id, nonce, gas_price, gas_limit, to, value, input };
            let signature = Signature::from_bytes_and_parity(&signature()[..64], odd);
            let mut encoded = Vec::new();
            inner.rlp_encode_signed(&signature, &mut encoded);
            let sent = EncodedTransaction { encoded: encoded.into(), effective_percentage }.recover().unwrap();
            let entry = BatchEntry::Transaction(BatchTransaction::from(&sent));
            let decoded = decode(&encode([&entry], encoding(fork)), encoding(fork)).unwrap();
            prop_assert_eq!(&decoded, &vec![entry]);
            let [BatchEntry::Transaction(transaction)] = decoded.as_slice() else { panic!("one transaction") };
            prop_assert_eq!(transaction.recover(), Ok(sent));
        }
    }
}
