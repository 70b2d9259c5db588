use super::json;
use crate::store::{Key, StoreError};
use alloc::{boxed::Box, format, string::String, vec::Vec};
use alloy_primitives::{Bytes, hex};
use core::{
    fmt::{self, Write as _},
    ops::Deref,
};

/// Why a request has no result. It is one pointer: each `?` on the way of an answer moves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(Box<ErrorObject>);

/// A JSON-RPC error object. Clients search the texts, so they are those of the servers in use (`spec/rpc.md` §8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorObject {
    /// What kind of error.
    pub code: i64,
    /// For people, and for clients that look for words in it.
    pub message: String,
    /// More about it, as JSON.
    pub data: Option<String>,
}

impl From<ErrorObject> for Error {
    fn from(object: ErrorObject) -> Self {
        Self(Box::new(object))
    }
}

impl Deref for Error {
    type Target = ErrorObject;

    fn deref(&self) -> &ErrorObject {
        &self.0
    }
}

impl Error {
    pub(super) const PARSE: i64 = -32700;
    pub(super) const INVALID_REQUEST: i64 = -32600;
    pub(super) const METHOD_NOT_FOUND: i64 = -32601;
    pub(super) const INVALID_PARAMS: i64 = -32602;
    pub(super) const INTERNAL: i64 = -32603;
    pub(super) const SERVER: i64 = -32000;
    pub(super) const UNKNOWN_BLOCK: i64 = -39001;
    /// Not backed as far as the caller asked for (`docs/trust-model.md`).
    pub(super) const TRUST: i64 = -39002;
    pub(super) const PRUNED: i64 = 4444;
    /// "Resource unavailable" (EIP-1474).
    #[cfg(feature = "light")]
    pub(super) const UNAVAILABLE: i64 = -32002;
    pub(super) const LIMIT: i64 = -32005;
    pub(super) const REVERTED: i64 = 3;

    pub(super) fn new(code: i64, message: impl Into<String>) -> Self {
        ErrorObject { code, message: message.into(), data: None }.into()
    }

    pub(super) fn server(message: impl Into<String>) -> Self {
        Self::new(Self::SERVER, message)
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Self::INVALID_PARAMS, message)
    }

    pub(super) fn argument(position: usize, reason: impl fmt::Display) -> Self {
        Self::invalid(format!("invalid argument {position}: {reason}"))
    }

    pub(super) fn method_not_found(method: &str) -> Self {
        Self::new(Self::METHOD_NOT_FOUND, format!("the method {method} does not exist/is not available"))
    }

    /// Of the machine: its particulars are nobody else's business.
    pub(super) fn internal() -> Self {
        Self::new(Self::INTERNAL, "internal error")
    }

    /// The state is not here, and nobody gives it.
    #[cfg(feature = "light")]
    pub(super) fn unavailable(number: u64, reason: &str) -> Self {
        Self::new(Self::UNAVAILABLE, format!("state of block {number} is unavailable: {reason}"))
    }

    pub(super) fn not_ready() -> Self {
        Self::server("not ready")
    }

    pub(super) fn too_large() -> Self {
        Self::server("response too large")
    }

    /// A call undid itself; `output` says why (`spec/rpc.md` §5).
    pub(super) fn reverted(output: &Bytes) -> Self {
        let message = match revert_reason(output) {
            Some(reason) => format!("execution reverted: {reason}"),
            None => "execution reverted".into(),
        };
        let data = format!("\"{}\"", hex::encode_prefixed(output));
        ErrorObject { code: Self::REVERTED, message, data: Some(data) }.into()
    }

    /// As the member `error` of an answer holds it.
    pub(super) fn write(&self, out: &mut String) {
        let _ = write!(out, "{{\"code\":{},\"message\":", self.code);
        json::write_string(&self.message, out);
        if let Some(data) = &self.data {
            out.push_str(",\"data\":");
            out.push_str(data);
        }
        out.push('}');
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Missing(Key::Block(number)) => {
                Self::new(Self::PRUNED, format!("block {number} is not available"))
            }
            StoreError::Missing(_) => Self::server("state not available"),
            StoreError::Interrupted => Self::server("execution aborted (timeout)"),
            StoreError::Corrupt { .. } | StoreError::Host(_) => Self::internal(),
        }
    }
}

/// What Solidity puts into the output of a revert: the text of `Error(string)`, or the meaning of `Panic(uint256)`.
pub(super) fn revert_reason(output: &[u8]) -> Option<String> {
    let (selector, arguments) = output.split_first_chunk::<4>()?;
    match selector {
        [0x08, 0xc3, 0x79, 0xa0] => error_text(arguments),
        [0x4e, 0x48, 0x7b, 0x71] => Some(panic_text(arguments.first_chunk::<32>()?)),
        _ => None,
    }
}

/// The text at the offset that the first word gives, behind its length.
fn error_text(arguments: &[u8]) -> Option<String> {
    let offset = small(arguments.first_chunk::<32>()?)?;
    let (length, text) = arguments.get(offset..)?.split_first_chunk::<32>()?;
    let text: Vec<u8> = text.get(..small(length)?)?.to_vec();
    String::from_utf8(text).ok()
}

fn small(word: &[u8; 32]) -> Option<usize> {
    let (zeros, last) = word.split_last_chunk::<4>()?;
    if zeros.iter().any(|byte| *byte != 0) {
        return None;
    }
    usize::try_from(u32::from_be_bytes(*last)).ok()
}

fn panic_text(word: &[u8; 32]) -> String {
    let known = match small(word) {
        Some(0x00) => "generic panic",
        Some(0x01) => "assert(false)",
        Some(0x11) => "arithmetic underflow or overflow",
        Some(0x12) => "division or modulo by zero",
        Some(0x21) => "enum overflow",
        Some(0x22) => "invalid encoded storage byte array accessed",
        Some(0x31) => "out-of-bounds array access; popping on an empty array",
        Some(0x32) => "out-of-bounds access of an array or bytesN",
        Some(0x41) => "out of memory",
        Some(0x51) => "uninitialized function",
        _ => {
            let code = alloy_primitives::U256::from_be_bytes(*word);
            return format!("unknown panic code: {code:#x}");
        }
    };
    known.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(hex: &str) -> String {
        Error::reverted(&hex::decode(hex).unwrap().into()).message.clone()
    }

    fn word(number: u8) -> String {
        format!("{number:064x}")
    }

    #[test]
    fn a_revert_says_why() {
        let text = format!("08c379a0{}{}{:0<64}", word(0x20), word(10), hex::encode("user error"));
        assert_eq!(reason(&text), "execution reverted: user error");
        let panic = |code| format!("4e487b71{}", word(code));
        assert_eq!(reason(&panic(1)), "execution reverted: assert(false)");
        assert_eq!(reason(&panic(0x11)), "execution reverted: arithmetic underflow or overflow");
        assert_eq!(reason(&panic(0x99)), "execution reverted: unknown panic code: 0x99");
        assert_eq!(reason(""), "execution reverted");
        assert_eq!(reason("77726f6e672d63616c6c6461746173697a65"), "execution reverted");
    }

    #[test]
    fn a_revert_that_lies_about_lengths_has_no_reason() {
        let huge = format!("08c379a0{}{}", word(0x20), "ff".repeat(32));
        assert_eq!(reason(&huge), "execution reverted");
        let beyond = format!("08c379a0{}{}", word(0x20), word(200));
        assert_eq!(reason(&beyond), "execution reverted");
        assert_eq!(reason("08c379a0"), "execution reverted");
    }

    #[test]
    fn the_output_stands_beside_the_text() {
        assert_eq!(Error::reverted(&Bytes::new()).data.as_deref(), Some("\"0x\""));
        let mut text = String::new();
        Error::reverted(&Bytes::from_static(&[0xab])).write(&mut text);
        assert_eq!(text, r#"{"code":3,"message":"execution reverted","data":"0xab"}"#);
    }
}
