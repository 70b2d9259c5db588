//! Fields of an answer: read one at a time from its text, each within bounds, each with its name in the error.

use super::error::{AnswerError, shorten};
use crate::json;
use alloc::{string::String, vec::Vec};
use alloy_primitives::{Address, B256, Bytes, FixedBytes, hex};
use serde_json::value::RawValue;

/// Most members of an object. The largest that is known, a transaction with its receipt, has fewer than 40.
const MAX_MEMBERS: usize = 128;

/// Most items of an array.
const MAX_ITEMS: usize = 1 << 17;

/// A JSON value that has not been looked into yet, and the name it goes by in errors.
#[derive(Clone, Copy, Debug)]
pub(in crate::source) struct Value<'a> {
    name: &'a str,
    raw: &'a str,
}

/// An object. A name that stands twice counts the first time.
#[derive(Debug)]
pub(in crate::source) struct Object<'a> {
    members: Vec<(String, &'a RawValue)>,
}

/// Reads a whole body.
pub(super) fn parse<'a>(body: &'a [u8], name: &'a str) -> Result<Value<'a>, AnswerError> {
    let not_json =
        || AnswerError::NotJson { start: shorten(&String::from_utf8_lossy(&body[..body.len().min(160)])) };
    let text = core::str::from_utf8(body).map_err(|_| not_json())?;
    let raw: &RawValue = serde_json::from_str(text).map_err(|_| not_json())?;
    Ok(Value { name, raw: raw.get() })
}

impl<'a> Value<'a> {
    pub(super) fn is_null(&self) -> bool {
        self.raw == "null"
    }

    pub(in crate::source) fn object(&self) -> Result<Object<'a>, AnswerError> {
        let members = json::members(self.raw, MAX_MEMBERS).map_err(|_| self.unlike("an object"))?;
        Ok(Object { members })
    }

    /// The items of an array, which may be null for an empty one.
    pub(super) fn items(&self) -> Result<Vec<Value<'a>>, AnswerError> {
        if self.is_null() {
            return Ok(Vec::new());
        }
        let items = json::items(self.raw, MAX_ITEMS).map_err(|_| self.unlike("an array"))?;
        Ok(items.into_iter().map(|item| Value { name: "", raw: item.get() }).collect())
    }

    /// A number below 2^64, in any of the forms that nodes use: a hexadecimal or decimal string, or a JSON number.
    pub(super) fn number(&self) -> Result<u64, AnswerError> {
        const EXPECTED: &str = "a number of at most 64 bits";
        let text = self.text().unwrap_or(self.raw);
        let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
            Some(digits) => (digits, 16),
            None => (text, 10),
        };
        // `from_str_radix` alone would take a sign.
        if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
            return Err(self.unlike(EXPECTED));
        }
        u64::from_str_radix(digits, radix).map_err(|_| self.unlike(EXPECTED))
    }

    pub(super) fn index(&self) -> Result<u32, AnswerError> {
        self.number()?.try_into().map_err(|_| self.unlike("a number of at most 32 bits"))
    }

    pub(super) fn flag(&self) -> Result<bool, AnswerError> {
        match self.raw {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(self.unlike("true or false")),
        }
    }

    pub(in crate::source) fn hash(&self) -> Result<B256, AnswerError> {
        self.fixed("0x and 64 hexadecimal digits")
    }

    pub(super) fn address(&self) -> Result<Address, AnswerError> {
        self.fixed("0x and 40 hexadecimal digits").map(Address)
    }

    /// Bytes. No digits at all are none.
    pub(super) fn bytes(&self) -> Result<Bytes, AnswerError> {
        let expected = "0x and hexadecimal digits, two for each byte";
        let text = self.text().ok_or_else(|| self.unlike(expected))?;
        let digits = match text {
            "" => "",
            text => text.strip_prefix("0x").ok_or_else(|| self.unlike(expected))?,
        };
        hex::decode(digits).map(Bytes::from).map_err(|_| self.unlike(expected))
    }

    /// A word of storage, which may lack leading zeros.
    pub(super) fn word(&self) -> Result<B256, AnswerError> {
        let expected = "0x and at most 64 hexadecimal digits";
        let digits = self.text().and_then(|text| text.strip_prefix("0x")).filter(|digits| digits.len() <= 64);
        let mut padded = alloc::format!("{:0>64}", digits.ok_or_else(|| self.unlike(expected))?);
        padded.insert_str(0, "0x");
        padded.parse().map_err(|_| self.unlike(expected))
    }

    fn fixed<const N: usize>(&self, expected: &'static str) -> Result<FixedBytes<N>, AnswerError> {
        let digits =
            self.text().and_then(|text| text.strip_prefix("0x")).filter(|digits| digits.len() == 2 * N);
        let mut bytes = FixedBytes::ZERO;
        match digits.map(|digits| hex::decode_to_slice(digits, bytes.as_mut_slice())) {
            Some(Ok(())) => Ok(bytes),
            _ => Err(self.unlike(expected)),
        }
    }

    /// A string without escapes: none of ours has any.
    fn text(&self) -> Option<&'a str> {
        self.raw.strip_prefix('"')?.strip_suffix('"').filter(|text| !text.contains('\\'))
    }

    /// Any string.
    pub(super) fn words(&self) -> Option<String> {
        serde_json::from_str(self.raw).ok()
    }

    pub(super) fn raw(&self) -> &'a str {
        self.raw
    }

    pub(super) fn unlike(&self, expected: &'static str) -> AnswerError {
        AnswerError::field(self.name, expected, self.raw)
    }
}

impl<'a> Object<'a> {
    /// A member; `None` when it is not there or null.
    pub(super) fn get(&self, name: &'static str) -> Option<Value<'a>> {
        let (_, raw) = self.members.iter().find(|(key, _)| key == name)?;
        Some(Value { name, raw: raw.get() }).filter(|value| !value.is_null())
    }

    /// A member, null or not; `None` when it is not there.
    pub(super) fn present(&self, name: &'static str) -> Option<Value<'a>> {
        let (_, raw) = self.members.iter().find(|(key, _)| key == name)?;
        Some(Value { name, raw: raw.get() })
    }

    /// A member that has to be there.
    pub(in crate::source) fn need(&self, name: &'static str) -> Result<Value<'a>, AnswerError> {
        self.get(name).ok_or_else(|| AnswerError::missing(name))
    }

    pub(in crate::source) fn number(&self, name: &'static str) -> Result<u64, AnswerError> {
        self.need(name)?.number()
    }

    pub(in crate::source) fn hash(&self, name: &'static str) -> Result<B256, AnswerError> {
        self.need(name)?.hash()
    }
}
