//! What callers pass, as types (`spec/rpc.md` §1.1).

use super::{Error, json::Json};
use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use alloy_primitives::{Address, B256, Bytes, U256, hex};

/// Positional parameters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Params<'a>(&'a [Json<'a>]);

/// Which block is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Selector {
    Tag(Tag),
    Number(u64),
    Hash { hash: B256, require_canonical: bool },
}

/// A block by its place in the chain's life (`spec/rpc.md` §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    Earliest,
    Latest,
    Pending,
    Safe,
    Finalized,
}

impl<'a> Params<'a> {
    pub(super) fn new(items: &'a [Json<'a>]) -> Self {
        Self(items)
    }

    /// Refuses more parameters than the method knows.
    pub(super) fn at_most(self, most: usize) -> Result<Self, Error> {
        if self.0.len() > most {
            return Err(Error::invalid(format!("too many arguments, want at most {most}")));
        }
        Ok(self)
    }

    /// The parameter, unless it is missing or null.
    pub(super) fn get(self, position: usize) -> Option<&'a Json<'a>> {
        self.0.get(position).filter(|value| **value != Json::Null)
    }

    fn decode<T>(
        self,
        position: usize,
        decode: impl FnOnce(&'a Json<'a>) -> Result<T, String>,
    ) -> Result<Option<T>, Error> {
        self.get(position).map(decode).transpose().map_err(|reason| Error::argument(position, reason))
    }

    pub(super) fn required<T>(
        self,
        position: usize,
        decode: impl FnOnce(&'a Json<'a>) -> Result<T, String>,
    ) -> Result<T, Error> {
        self.decode(position, decode)?.ok_or_else(|| missing(position))
    }

    pub(super) fn address(self, position: usize) -> Result<Address, Error> {
        self.required(position, address)
    }

    pub(super) fn hash(self, position: usize) -> Result<B256, Error> {
        self.required(position, hash)
    }

    pub(super) fn data(self, position: usize) -> Result<Bytes, Error> {
        self.required(position, data)
    }

    pub(super) fn text(self, position: usize) -> Result<&'a str, Error> {
        self.required(position, string)
    }

    pub(super) fn index(self, position: usize) -> Result<u64, Error> {
        self.required(position, quantity64)
    }

    /// A number in any form in which blocks are counted.
    pub(super) fn count(self, position: usize) -> Result<u64, Error> {
        self.required(position, number)
    }

    pub(super) fn slot(self, position: usize) -> Result<U256, Error> {
        match self.get(position) {
            None => Err(missing(position)),
            Some(Json::String(text)) => storage_key(text.as_str()).map_err(Error::invalid),
            Some(_) => Err(Error::argument(position, NOT_A_STRING)),
        }
    }

    /// A flag that is false when nothing is said.
    pub(super) fn flag(self, position: usize) -> Result<bool, Error> {
        self.decode(position, boolean).map(|flag| flag.unwrap_or(false))
    }

    /// Any block selector; the latest block when nothing is said.
    pub(super) fn selector(self, position: usize) -> Result<Selector, Error> {
        self.decode(position, selector).map(|found| found.unwrap_or(Selector::Tag(Tag::Latest)))
    }

    /// A selector that must be there.
    pub(super) fn required_selector(self, position: usize) -> Result<Selector, Error> {
        match self.0.get(position) {
            None => Err(missing(position)),
            Some(_) => self.selector(position),
        }
    }

    /// A number or a tag, which must be there.
    pub(super) fn number_or_tag(self, position: usize) -> Result<Selector, Error> {
        match self.0.get(position) {
            None => Err(missing(position)),
            Some(Json::Null) => Ok(Selector::Tag(Tag::Latest)),
            Some(value) => number_or_tag(value).map_err(|reason| Error::argument(position, reason)),
        }
    }
}

fn missing(position: usize) -> Error {
    Error::invalid(format!("missing value for required argument {position}"))
}

const NOT_A_STRING: &str = "a string was expected";
const NO_PREFIX: &str = "hex string without 0x prefix";

pub(super) fn string<'a>(value: &'a Json<'a>) -> Result<&'a str, String> {
    match value {
        Json::String(text) => Ok(text.as_str()),
        _ => Err(NOT_A_STRING.into()),
    }
}

pub(super) fn boolean(value: &Json<'_>) -> Result<bool, String> {
    match value {
        Json::Bool(flag) => Ok(*flag),
        _ => Err("a boolean was expected".into()),
    }
}

/// At most `bits` bits, in minimal hex.
fn digits(text: &str, bits: usize) -> Result<&str, String> {
    let digits = text.strip_prefix("0x").ok_or(NO_PREFIX)?;
    if digits.is_empty() {
        return Err("hex string \"0x\"".into());
    }
    if digits.len() > 1 && digits.starts_with('0') {
        return Err("hex number with leading zero digits".into());
    }
    if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err("invalid hex string".into());
    }
    if digits.len() > bits / 4 {
        return Err(format!("hex number > {bits} bits"));
    }
    Ok(digits)
}

pub(super) fn quantity(value: &Json<'_>) -> Result<U256, String> {
    U256::from_str_radix(digits(string(value)?, 256)?, 16).map_err(|error| error.to_string())
}

pub(super) fn quantity64(value: &Json<'_>) -> Result<u64, String> {
    u64::from_str_radix(digits(string(value)?, 64)?, 16).map_err(|error| error.to_string())
}

/// A quantity, or a decimal number in a string or bare.
pub(super) fn number(value: &Json<'_>) -> Result<u64, String> {
    let text = match value {
        Json::Number(raw) => raw,
        Json::String(text) => text.as_str(),
        _ => return Err("a number was expected".into()),
    };
    let decimal = !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
    if decimal {
        return text.parse().map_err(|_| "number > 64 bits".into());
    }
    match value {
        Json::Number(_) => Err("not a natural number".into()),
        _ => quantity64(value),
    }
}

pub(super) fn data(value: &Json<'_>) -> Result<Bytes, String> {
    let digits = string(value)?.strip_prefix("0x").ok_or(NO_PREFIX)?;
    if digits.len() % 2 == 1 {
        return Err("hex string of odd length".into());
    }
    hex::decode(digits).map(Bytes::from).map_err(|_| "invalid hex string".into())
}

fn fixed<const N: usize>(value: &Json<'_>, kind: &str) -> Result<[u8; N], String> {
    let digits = string(value)?.strip_prefix("0x").ok_or(NO_PREFIX)?;
    if digits.len() != 2 * N {
        return Err(format!("hex string has length {}, want {} for {kind}", digits.len(), 2 * N));
    }
    hex::decode_to_array(digits).map_err(|_| "invalid hex string".into())
}

pub(super) fn address(value: &Json<'_>) -> Result<Address, String> {
    fixed(value, "common.Address").map(Address::from)
}

pub(super) fn hash(value: &Json<'_>) -> Result<B256, String> {
    fixed(value, "common.Hash").map(B256::from)
}

/// At most 32 bytes, with or without an even number of digits, filled up on the left.
pub(super) fn storage_key(text: &str) -> Result<U256, String> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(format!("invalid hex in storage key: {text:?}"));
    }
    if digits.len() > 64 {
        return Err(format!("storage key too long (want at most 32 bytes): {text:?}"));
    }
    if digits.is_empty() {
        return Ok(U256::ZERO);
    }
    U256::from_str_radix(digits, 16).map_err(|error| error.to_string())
}

/// A block by number or tag.
pub(super) fn number_or_tag(value: &Json<'_>) -> Result<Selector, String> {
    if let Json::String(text) = value {
        let tag = match text.as_str() {
            "earliest" => Some(Tag::Earliest),
            "latest" | "latestExecuted" | "null" => Some(Tag::Latest),
            "pending" => Some(Tag::Pending),
            "safe" => Some(Tag::Safe),
            "finalized" => Some(Tag::Finalized),
            _ => None,
        };
        if let Some(tag) = tag {
            return Ok(Selector::Tag(tag));
        }
    }
    number(value).map(Selector::Number)
}

/// A block by number, tag, hash, or EIP-1898's object.
pub(super) fn selector(value: &Json<'_>) -> Result<Selector, String> {
    match value {
        Json::String(text) if text.as_str().len() == 66 => {
            hash(value).map(|hash| Selector::Hash { hash, require_canonical: false })
        }
        Json::Object(_) => eip_1898(value),
        _ => number_or_tag(value),
    }
}

fn eip_1898(value: &Json<'_>) -> Result<Selector, String> {
    let member = |name| value.get(name).filter(|value| **value != Json::Null);
    match (member("blockNumber"), member("blockHash")) {
        (Some(_), Some(_)) => {
            Err("cannot specify both BlockHash and BlockNumber, choose one or the other".into())
        }
        (None, None) => Err("one of blockNumber and blockHash is needed".into()),
        (Some(number), None) => number_or_tag(number),
        (None, Some(found)) => {
            let require_canonical = member("requireCanonical").map_or(Ok(false), boolean)?;
            Ok(Selector::Hash { hash: hash(found)?, require_canonical })
        }
    }
}

/// One value, a list of them, or none.
pub(super) fn one_or_many<T>(
    value: Option<&Json<'_>>,
    decode: impl Fn(&Json<'_>) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    match value {
        None | Some(Json::Null) => Ok(Vec::new()),
        Some(Json::Array(items)) => items.iter().map(decode).collect(),
        Some(value) => Ok(alloc::vec![decode(value)?]),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::json, *};

    fn with<T>(text: &str, decode: impl FnOnce(&Json<'_>) -> Result<T, String>) -> Result<T, String> {
        decode(&json::parse(text.as_bytes()).unwrap())
    }

    #[test]
    fn quantities_are_minimal_hex() {
        assert_eq!(with(r#""0x0""#, quantity64), Ok(0));
        assert_eq!(with(r#""0xfF""#, quantity64), Ok(255));
        assert_eq!(with(r#""0xffffffffffffffff""#, quantity64), Ok(u64::MAX));
        for (text, reason) in [
            (r#""0x""#, "hex string \"0x\""),
            (r#""12""#, "hex string without 0x prefix"),
            (r#""0x01""#, "hex number with leading zero digits"),
            (r#""0x00""#, "hex number with leading zero digits"),
            (r#""0xg""#, "invalid hex string"),
            (r#""0x+1""#, "invalid hex string"),
            (r#""0x10000000000000000""#, "hex number > 64 bits"),
            ("1", NOT_A_STRING),
        ] {
            assert_eq!(with(text, quantity64), Err(reason.into()), "{text}");
        }
        assert_eq!(with(&format!("\"0x{}\"", "f".repeat(64)), quantity), Ok(U256::MAX));
        assert!(with(&format!("\"0x1{}\"", "0".repeat(64)), quantity).is_err());
    }

    #[test]
    fn blocks_are_selected_in_many_ways() {
        let hash = B256::repeat_byte(0xab);
        for (text, expected) in [
            ("7".into(), Selector::Number(7)),
            (r#""7""#.into(), Selector::Number(7)),
            (r#""0x7""#.into(), Selector::Number(7)),
            (r#"{"blockNumber":"0x7"}"#.into(), Selector::Number(7)),
            (r#""safe""#.into(), Selector::Tag(Tag::Safe)),
            (r#"{"blockNumber":"pending"}"#.into(), Selector::Tag(Tag::Pending)),
            (r#""latestExecuted""#.into(), Selector::Tag(Tag::Latest)),
            (format!("\"{hash}\""), Selector::Hash { hash, require_canonical: false }),
            (
                format!(r#"{{"blockHash":"{hash}","requireCanonical":true}}"#),
                Selector::Hash { hash, require_canonical: true },
            ),
        ] {
            assert_eq!(with(&text, selector), Ok(expected), "{text}");
        }
        for text in [
            "{}",
            "true",
            "-1",
            "1.0",
            "1e1",
            r#""newest""#,
            r#""0x07""#,
            r#""18446744073709551616""#,
            r#"{"blockHash":"0x12"}"#,
        ] {
            assert!(with(text, selector).is_err(), "{text}");
        }
        let both = format!(r#"{{"blockHash":"{hash}","blockNumber":"0x7"}}"#);
        assert!(with(&both, selector).is_err());
    }

    #[test]
    fn storage_keys_may_be_short_and_odd() {
        assert_eq!(storage_key("0x0"), Ok(U256::ZERO));
        assert_eq!(storage_key("0x123"), Ok(U256::from(0x123)));
        assert_eq!(storage_key(&format!("0x{}", "0".repeat(64))), Ok(U256::ZERO));
        let long = format!("0x{}", "0".repeat(66));
        let refused = format!("storage key too long (want at most 32 bytes): {long:?}");
        assert_eq!(storage_key(&long), Err(refused));
        assert_eq!(storage_key("0xasdf"), Err("invalid hex in storage key: \"0xasdf\"".into()));
    }
}
