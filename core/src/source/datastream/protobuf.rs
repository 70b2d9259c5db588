//! The part of protobuf that the stream's messages use, read strictly.
//!
//! Written here because the libraries read too kindly: `prost` and its like keep the last of repeated fields, cut large
//! numbers to 32 bits and know nothing of bytes of fixed length, so each message would have to be checked a second time
//! on its raw bytes. What is left to a library is little more than the varint. (Format:
//! <https://protobuf.dev/programming-guides/encoding/>.)
//!
//! Stricter than the format asks: a varint has no more bytes than its value needs (every known writer keeps to that),
//! and a field that may occur once occurs once.

use super::DecodeError;
use alloc::vec::Vec;
use alloy_primitives::{Address, B256};
use core::ops::Range;

/// Walks over the fields of one message.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    /// Number of the entry that is read, for errors.
    entry: u64,
    data: &'a [u8],
    at: usize,
    /// The known fields that have occurred: bit n for field n.
    seen: u64,
}

impl<'a> Reader<'a> {
    pub(super) fn new(entry: u64, data: &'a [u8]) -> Self {
        Self { entry, data, at: 0, seen: 0 }
    }

    /// The next field whose number is at most `last`, which is less than 64; fields above are unknown and skipped.
    pub(super) fn field(&mut self, last: u32) -> Result<Option<Field>, DecodeError> {
        while self.at < self.data.len() {
            let field = self.any_field()?;
            if field.number > last {
                continue;
            }
            if self.seen & (1 << field.number) != 0 {
                return Err(DecodeError::RepeatedField { entry: self.entry, field: field.number });
            }
            self.seen |= 1 << field.number;
            return Ok(Some(field));
        }
        Ok(None)
    }

    fn any_field(&mut self) -> Result<Field, DecodeError> {
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).unwrap_or(u32::MAX);
        if number == 0 || number > MAX_FIELD_NUMBER {
            return Err(DecodeError::FieldNumber { entry: self.entry, found: tag >> 3 });
        }
        let wire_type = low_byte(tag) & 7;
        let value = match wire_type {
            0 => Value::Varint(self.varint()?),
            1 => self.fixed(wire_type, 8)?,
            2 => {
                let length = self.varint()?;
                Value::Bytes(self.bytes(length)?)
            }
            5 => self.fixed(wire_type, 4)?,
            // 3 and 4 are the groups of proto2; 6 and 7 do not exist.
            other => return Err(self.wire_type(number, other)),
        };
        Ok(Field { number, value })
    }

    fn varint(&mut self) -> Result<u64, DecodeError> {
        let start = self.at;
        let too_long = DecodeError::Varint { entry: self.entry, at: start };
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let Some(byte) = self.data.get(self.at) else {
                return Err(self.truncated());
            };
            self.at += 1;
            let bits = u64::from(byte & 0x7f);
            value |= bits << shift;
            if byte & 0x80 == 0 {
                // A last byte of zero adds nothing, and of the tenth byte only one bit fits.
                let fits = (bits << shift) >> shift == bits;
                let minimal = bits != 0 || shift == 0;
                return if fits && minimal { Ok(value) } else { Err(too_long) };
            }
        }
        Err(too_long)
    }

    fn fixed(&mut self, wire_type: u8, length: u64) -> Result<Value, DecodeError> {
        self.bytes(length)?;
        Ok(Value::Fixed { wire_type })
    }

    fn bytes(&mut self, length: u64) -> Result<Range<usize>, DecodeError> {
        let left = self.data.len() - self.at;
        let Some(length) = usize::try_from(length).ok().filter(|length| *length <= left) else {
            return Err(self.truncated());
        };
        let start = self.at;
        self.at += length;
        Ok(start..self.at)
    }

    fn truncated(&self) -> DecodeError {
        DecodeError::FieldTruncated { entry: self.entry, at: self.at }
    }

    fn wire_type(&self, field: u32, found: u8) -> DecodeError {
        DecodeError::WireType { entry: self.entry, field, found }
    }

    // What follows reads a field's value as the type that its message gives it.

    pub(super) fn u64(&self, field: &Field) -> Result<u64, DecodeError> {
        match field.value {
            Value::Varint(value) => Ok(value),
            _ => Err(self.wire_type(field.number, field.value.wire_type())),
        }
    }

    pub(super) fn u32(&self, field: &Field) -> Result<u32, DecodeError> {
        let value = self.at_most(field, u64::from(u32::MAX))?;
        Ok(u32::try_from(value).expect("just bounded"))
    }

    pub(super) fn u8(&self, field: &Field) -> Result<u8, DecodeError> {
        let value = self.at_most(field, u64::from(u8::MAX))?;
        Ok(u8::try_from(value).expect("just bounded"))
    }

    pub(super) fn bool(&self, field: &Field) -> Result<bool, DecodeError> {
        Ok(self.at_most(field, 1)? == 1)
    }

    fn at_most(&self, field: &Field, max: u64) -> Result<u64, DecodeError> {
        let found = self.u64(field)?;
        if found > max {
            return Err(DecodeError::FieldValue { entry: self.entry, field: field.number, max, found });
        }
        Ok(found)
    }

    /// Where in the message the field's bytes are.
    pub(super) fn range(&self, field: &Field) -> Result<Range<usize>, DecodeError> {
        match &field.value {
            Value::Bytes(range) => Ok(range.clone()),
            other => Err(self.wire_type(field.number, other.wire_type())),
        }
    }

    pub(super) fn b256(&self, field: &Field) -> Result<B256, DecodeError> {
        self.array(field).map(B256::new)
    }

    pub(super) fn address(&self, field: &Field) -> Result<Address, DecodeError> {
        self.array(field).map(Address::new)
    }

    fn array<const N: usize>(&self, field: &Field) -> Result<[u8; N], DecodeError> {
        let bytes = &self.data[self.range(field)?];
        bytes.try_into().map_err(|_| DecodeError::FieldLength {
            entry: self.entry,
            field: field.number,
            expected: N,
            found: bytes.len(),
        })
    }
}

/// One field of a message.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) number: u32,
    value: Value,
}

#[derive(Debug)]
enum Value {
    Varint(u64),
    /// Where in the message the bytes are.
    Bytes(Range<usize>),
    /// 4 or 8 bytes: no known field has any.
    Fixed {
        wire_type: u8,
    },
}

impl Value {
    fn wire_type(&self) -> u8 {
        match self {
            Self::Varint(_) => 0,
            Self::Bytes(_) => 2,
            Self::Fixed { wire_type } => *wire_type,
        }
    }
}

const MAX_FIELD_NUMBER: u32 = (1 << 29) - 1;

/// Writes the fields of one message, in the order of the calls.
#[derive(Debug, Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    /// A number; as proto3 has it, zero is written as nothing.
    pub(super) fn number(mut self, field: u32, value: u64) -> Self {
        if value != 0 {
            self.varint(u64::from(field) << 3);
            self.varint(value);
        }
        self
    }

    /// Bytes, written even when they are none: cdk-erigon's writer sets every hash and address, also the zero ones.
    pub(super) fn bytes(mut self, field: u32, value: &[u8]) -> Self {
        self.varint(u64::from(field) << 3 | 2);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.0
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(low_byte(value) | 0x80);
            value >>= 7;
        }
        self.0.push(low_byte(value));
    }
}

fn low_byte(value: u64) -> u8 {
    value.to_le_bytes()[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::hex;
    use proptest::prelude::*;

    const ENTRY: u64 = 9;

    /// The fields up to 3, as numbers.
    fn numbers(data: &[u8]) -> Result<Vec<(u32, u64)>, DecodeError> {
        let mut reader = Reader::new(ENTRY, data);
        let mut fields = Vec::new();
        while let Some(field) = reader.field(3)? {
            fields.push((field.number, reader.u64(&field)?));
        }
        Ok(fields)
    }

    fn first(data: &[u8]) -> Result<Option<Field>, DecodeError> {
        Reader::new(ENTRY, data).field(3)
    }

    #[test]
    fn varints_of_every_length_are_read() {
        for (bytes, value) in [
            (&hex!("08 00")[..], 0),
            (&hex!("08 7f"), 127),
            (&hex!("08 8001"), 128),
            (&hex!("08 e807"), 1000),
            (&hex!("08 ffffffff0f"), u64::from(u32::MAX)),
            (&hex!("08 ffffffffffffffff7f"), u64::MAX >> 1),
            (&hex!("08 ffffffffffffffffff01"), u64::MAX),
        ] {
            assert_eq!(numbers(bytes), Ok(Vec::from([(1, value)])));
        }
    }

    #[test]
    fn varint_longer_than_its_value_is_refused() {
        for bytes in [
            &hex!("08 8000")[..],
            &hex!("08 818000"),
            &hex!("08 ffffffffffffffffff00"),
            &hex!("08 80808080808080808000"),
        ] {
            let error = DecodeError::Varint { entry: ENTRY, at: 1 };
            assert_eq!(numbers(bytes), Err(error));
        }
        let error = DecodeError::Varint { entry: ENTRY, at: 0 };
        assert_eq!(numbers(&hex!("8800 01")), Err(error));
    }

    #[test]
    fn varint_of_more_than_64_bits_is_refused() {
        for bytes in [
            &hex!("08 ffffffffffffffffff02")[..],
            &hex!("08 ffffffffffffffffff7f"),
            &hex!("08 ffffffffffffffffffff01"),
            &hex!("08 80808080808080808080808080"),
        ] {
            let error = DecodeError::Varint { entry: ENTRY, at: 1 };
            assert_eq!(numbers(bytes), Err(error));
        }
    }

    #[test]
    fn field_that_is_cut_is_refused() {
        for (bytes, at) in [
            (&hex!("88")[..], 1),
            (&hex!("08"), 1),
            (&hex!("08 80"), 2),
            (&hex!("0a 02 01"), 2),
            (&hex!("0a ffffffffffffffffff01 01"), 11),
            (&hex!("22 02 01"), 2),
            (&hex!("21 01020304050607"), 1),
            (&hex!("25 010203"), 1),
        ] {
            let error = DecodeError::FieldTruncated { entry: ENTRY, at };
            assert_eq!(numbers(bytes), Err(error), "{bytes:02x?}");
        }
    }

    #[test]
    fn unknown_fields_are_skipped() {
        // Fields 4 (each wire type of proto3, twice the same), 16 and the largest there is; then field 1.
        let data = hex!(
            "20 07 21 0102030405060708 22 03 aabbcc 25 01020304 25 01020304 8001 05 f8ffffff0f 01 08 2a"
        );
        assert_eq!(numbers(&data), Ok(Vec::from([(1, 42)])));
    }

    #[test]
    fn fields_may_stand_in_any_order() {
        let data = hex!("18 01 08 02 10 00");
        assert_eq!(numbers(&data), Ok(Vec::from([(3, 1), (1, 2), (2, 0)])));
    }

    #[test]
    fn repeated_field_is_refused() {
        let error = DecodeError::RepeatedField { entry: ENTRY, field: 2 };
        assert_eq!(numbers(&hex!("08 01 10 02 10 02")), Err(error));
    }

    #[test]
    fn field_number_out_of_range_is_refused() {
        for (bytes, found) in [
            (&hex!("00 01")[..], 0),
            (&hex!("8080808010 01"), 1 << 29),
            (&hex!("f8ffffffffffffffff01 01"), u64::MAX >> 3),
        ] {
            let error = DecodeError::FieldNumber { entry: ENTRY, found };
            assert_eq!(numbers(bytes), Err(error));
        }
    }

    #[test]
    fn groups_and_invented_wire_types_are_refused() {
        for found in [3, 4, 6, 7] {
            // As a known field and as an unknown one.
            for field in [1, 4] {
                let error = DecodeError::WireType { entry: ENTRY, field, found };
                let tag = u8::try_from(field << 3).unwrap_or_default() | found;
                assert_eq!(numbers(&[tag, 0]), Err(error));
            }
        }
    }

    #[test]
    fn known_field_of_another_wire_type_is_refused() -> Result<(), DecodeError> {
        for (bytes, found) in
            [(&hex!("09 0102030405060708")[..], 1), (&hex!("0a 01 01"), 2), (&hex!("0d 01020304"), 5)]
        {
            let error = DecodeError::WireType { entry: ENTRY, field: 1, found };
            assert_eq!(numbers(bytes), Err(error));
        }
        let field = first(&hex!("08 01"))?.expect("there is one");
        let error = DecodeError::WireType { entry: ENTRY, field: 1, found: 0 };
        assert_eq!(Reader::new(ENTRY, &[]).range(&field), Err(error));
        Ok(())
    }

    #[test]
    fn numbers_keep_to_the_width_of_their_field() -> Result<(), DecodeError> {
        let reader = Reader::new(ENTRY, &[]);
        let field = |value| Field { number: 3, value: Value::Varint(value) };
        let error = |max, found| DecodeError::FieldValue { entry: ENTRY, field: 3, max, found };
        assert_eq!(reader.u32(&field(0xffff_ffff))?, u32::MAX);
        assert_eq!(reader.u32(&field(1 << 32)), Err(error(u64::from(u32::MAX), 1 << 32)));
        assert_eq!(reader.u8(&field(255))?, 255);
        assert_eq!(reader.u8(&field(256)), Err(error(255, 256)));
        assert!(reader.bool(&field(1))?);
        assert!(!reader.bool(&field(0))?);
        assert_eq!(reader.bool(&field(2)), Err(error(1, 2)));
        Ok(())
    }

    #[test]
    fn hashes_have_32_bytes_and_addresses_20() {
        for found in [0usize, 19, 20, 21, 31, 32, 33] {
            let data = Writer::default().bytes(1, &[7; 64][..found]).finish();
            let mut reader = Reader::new(ENTRY, &data);
            let field = reader.field(3).ok().flatten().expect("there is one");
            let error = |expected| DecodeError::FieldLength { entry: ENTRY, field: 1, expected, found };
            match found {
                32 => assert_eq!(reader.b256(&field), Ok(B256::repeat_byte(7))),
                _ => assert_eq!(reader.b256(&field), Err(error(32))),
            }
            match found {
                20 => assert_eq!(reader.address(&field), Ok(Address::repeat_byte(7))),
                _ => assert_eq!(reader.address(&field), Err(error(20))),
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(one: u64, three: u64) {
            let data = Writer::default().number(1, one).number(3, three).finish();
            let fields = [(1, one), (3, three)].into_iter().filter(|(_, value)| *value != 0);
            prop_assert_eq!(numbers(&data), Ok(fields.collect::<Vec<_>>()));
        }

        #[test]
        fn any_bytes_are_survived(data: Vec<u8>) {
            let mut reader = Reader::new(ENTRY, &data);
            while let Ok(Some(field)) = reader.field(63) {
                let _ = (reader.u8(&field), reader.range(&field), reader.b256(&field));
            }
        }
    }
}
