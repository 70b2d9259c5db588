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
        Self {
            entry,
            data,
            at: 0,
            seen: 0,
        }
    }

    /// The next field whose number is at most `last`, which is less than 64; fields above are unknown and skipped.
    pub(super) fn field(&mut self, last: u32) -> Result<Option<Field>, DecodeError> {
        while self.at < self.data.len() {
            let field = self.any_field()?;
            if field.number > last {
                continue;
            }
            if self.seen & (1 << field.number) != 0 {
                return Err(DecodeError::RepeatedField {
                    entry: self.entry,
                    field: field.number,
                });
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
            return Err(DecodeError::FieldNumber {
                entry: self.entry,
                found: tag >> 3,
            });
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
        let too_long = DecodeError::Varint {
            entry: self.entry,
            at: start,
        };
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
        DecodeError::FieldTruncated {
            entry: self.entry,
            at: self.at,
        }
    }

    fn wire_type(&self, field: u32, found: u8) -> DecodeError {
        DecodeError::WireType {
            entry: self.entry,
            field,
            found,
        }
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
            return Err(DecodeError::FieldValue {
                entry: self.entry,
                field: field.number,
                max,
                found,
            });
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
