//! JSON as requests hold it: strict, bounded in depth, and with the text of what has to be repeated verbatim.

use crate::sort::sorted;
use alloc::{borrow::Cow, string::String, vec::Vec};
use core::fmt::Write as _;

/// How deep arrays and objects may stand in each other.
pub(super) const MAX_DEPTH: usize = 64;

/// How many values there may be: each takes more room here than in the text.
const MAX_VALUES: usize = 1 << 18;

/// A value. What it borrows is the text of the request, so it is never larger than a multiple of that.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json<'a> {
    Null,
    Bool(bool),
    /// As it was written.
    Number(&'a str),
    String(Text<'a>),
    Array(Vec<Json<'a>>),
    /// No name stands twice.
    Object(Vec<(Text<'a>, Json<'a>)>),
}

/// A string.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Text<'a> {
    /// As it was written, with its quotation marks.
    raw: &'a str,
    /// What it says.
    text: Cow<'a, str>,
}

impl Text<'_> {
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }
}

/// The text is not JSON, or not of the kind that is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Reads exactly one value. Names that stand twice in an object are refused, and what is deeper or more than the limits.
pub(super) fn parse(bytes: &[u8]) -> Result<Json<'_>, Malformed> {
    let text = core::str::from_utf8(bytes).map_err(|_| Malformed)?;
    let mut parser = Parser { text, at: 0, values: 0 };
    let value = parser.value(0)?;
    parser.skip_space();
    if parser.at == text.len() { Ok(value) } else { Err(Malformed) }
}

impl<'a> Json<'a> {
    /// The member of an object with this name.
    pub(super) fn get(&self, name: &str) -> Option<&Json<'a>> {
        match self {
            Self::Object(members) => members.iter().find(|(key, _)| key.text == name).map(|(_, value)| value),
            _ => None,
        }
    }

    /// Writes the value with the numbers and strings that were read.
    pub(super) fn write(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(true) => out.push_str("true"),
            Self::Bool(false) => out.push_str("false"),
            Self::Number(raw) => out.push_str(raw),
            Self::String(text) => out.push_str(text.raw),
            Self::Array(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (index, (name, value)) in members.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    out.push_str(name.raw);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }
}

/// Writes a string with quotation marks.
pub(super) fn write_string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    /// How many were read.
    values: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn value(&mut self, depth: usize) -> Result<Json<'a>, Malformed> {
        self.skip_space();
        self.values += 1;
        if self.values > MAX_VALUES {
            return Err(Malformed);
        }
        match self.peek().ok_or(Malformed)? {
            b'{' => self.object(depth + 1),
            b'[' => self.array(depth + 1),
            b'"' => self.string().map(Json::String),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.word("true", Json::Bool(true)),
            b'f' => self.word("false", Json::Bool(false)),
            b'n' => self.word("null", Json::Null),
            _ => Err(Malformed),
        }
    }

    fn word(&mut self, word: &str, value: Json<'a>) -> Result<Json<'a>, Malformed> {
        let found = self.text.get(self.at..).is_some_and(|rest| rest.starts_with(word));
        self.at += word.len();
        if found { Ok(value) } else { Err(Malformed) }
    }

    fn array(&mut self, depth: usize) -> Result<Json<'a>, Malformed> {
        self.enter(depth)?;
        let mut items = Vec::new();
        if self.take(b']') {
            return Ok(Json::Array(items));
        }
        loop {
            items.push(self.value(depth)?);
            self.skip_space();
            if self.take(b']') {
                return Ok(Json::Array(items));
            }
            self.expect(b',')?;
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json<'a>, Malformed> {
        self.enter(depth)?;
        let mut members = Vec::new();
        if self.take(b'}') {
            return Ok(Json::Object(members));
        }
        loop {
            self.skip_space();
            let name = self.string()?;
            self.skip_space();
            self.expect(b':')?;
            members.push((name, self.value(depth)?));
            self.skip_space();
            if self.take(b'}') {
                return if has_duplicates(&members) { Err(Malformed) } else { Ok(Json::Object(members)) };
            }
            self.expect(b',')?;
        }
    }

    /// Past the opening bracket and the space behind it.
    fn enter(&mut self, depth: usize) -> Result<(), Malformed> {
        self.at += 1;
        self.skip_space();
        if depth > MAX_DEPTH { Err(Malformed) } else { Ok(()) }
    }

    fn expect(&mut self, byte: u8) -> Result<(), Malformed> {
        if self.take(byte) { Ok(()) } else { Err(Malformed) }
    }

    fn string(&mut self) -> Result<Text<'a>, Malformed> {
        let start = self.at;
        self.expect(b'"')?;
        let mut escaped = false;
        loop {
            match self.peek().ok_or(Malformed)? {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    self.at += 2;
                }
                0..b' ' => return Err(Malformed),
                _ => self.at += 1,
            }
        }
        self.at += 1;
        let raw = self.text.get(start..self.at).ok_or(Malformed)?;
        let text = match escaped {
            true => Cow::Owned(serde_json::from_str(raw).map_err(|_| Malformed)?),
            false => Cow::Borrowed(raw.get(1..raw.len() - 1).ok_or(Malformed)?),
        };
        Ok(Text { raw, text })
    }

    fn number(&mut self) -> Result<Json<'a>, Malformed> {
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _signed = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        self.text.get(start..self.at).map(Json::Number).ok_or(Malformed)
    }

    fn digits(&mut self) -> Result<(), Malformed> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { Err(Malformed) }
    }
}

fn has_duplicates(members: &[(Text<'_>, Json<'_>)]) -> bool {
    let names = sorted(members.iter().map(|(name, _)| name.as_str()).collect());
    names.windows(2).any(|pair| pair[0] == pair[1])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn again(text: &str) -> Result<String, Malformed> {
        let mut out = String::new();
        parse(text.as_bytes())?.write(&mut out);
        Ok(out)
    }

    #[test]
    fn what_was_read_is_written_verbatim() {
        for text in [
            "null",
            "true",
            "-0.10e+5",
            "123456789012345678901234567890",
            r#""\u0061\n😀""#,
            r#"[1,[],{"a":{}}]"#,
            r#"{"a":[false],"b":"\"]"}"#,
        ] {
            assert_eq!(again(text).as_deref(), Ok(text));
        }
        assert_eq!(again(" [ 1 , { \"a\" : 2 } ]\n").as_deref(), Ok("[1,{\"a\":2}]"));
    }

    #[test]
    fn strings_say_what_their_escapes_mean() {
        let Ok(Json::String(text)) = parse(br#""\u0065th\ud83d\ude00""#) else { panic!("a string") };
        assert_eq!(text.as_str(), "eth😀");
    }

    #[test]
    fn what_is_not_json_is_refused() {
        for text in [
            "",
            " ",
            "nul",
            "01",
            "1.",
            ".5",
            "+1",
            "1e",
            "-",
            "[1,]",
            "[1 2]",
            "{a:1}",
            "{\"a\"}",
            "{\"a\":1,}",
            "\"",
            "\"\\\"",
            "\"\\x\"",
            "\"\n\"",
            "\"\\ud800\"",
            "[",
            "{",
            "1 2",
            "[]]",
            "\u{feff}1",
            "'a'",
        ] {
            assert_eq!(parse(text.as_bytes()), Err(Malformed), "{text:?}");
        }
        assert_eq!(parse(&[b'"', 0xff, b'"']), Err(Malformed));
        // The same name, written differently.
        assert_eq!(parse(br#"{"a":1,"\u0061":2}"#), Err(Malformed));
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| alloc::format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(nested(MAX_DEPTH).as_bytes()).is_ok());
        assert_eq!(parse(nested(MAX_DEPTH + 1).as_bytes()), Err(Malformed));
        assert_eq!(parse("[".repeat(1 << 20).as_bytes()), Err(Malformed));
        assert_eq!(parse("{\"a\":".repeat(1 << 20).as_bytes()), Err(Malformed));
    }

    #[test]
    fn the_number_of_values_is_bounded() {
        let list = |count: usize| alloc::format!("[{}0]", "0,".repeat(count - 1));
        assert!(parse(list(MAX_VALUES - 1).as_bytes()).is_ok());
        assert_eq!(parse(list(MAX_VALUES).as_bytes()), Err(Malformed));
    }

    #[test]
    fn written_strings_are_json() {
        let mut out = String::new();
        write_string("a\"\\\n\u{1}é", &mut out);
        assert_eq!(serde_json::from_str::<String>(&out).unwrap(), "a\"\\\n\u{1}é");
    }

    proptest! {
        #[test]
        fn it_takes_what_serde_takes(text in r#"[\[\]{}:,"\\0-9a-e.+\- \n]{0,24}"#) {
            // serde's objects may repeat names.
            if parse(text.as_bytes()).is_ok() {
                prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok());
            } else if !text.contains('{') {
                prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(&text).is_err());
            }
        }

        #[test]
        fn bytes_never_panic(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
