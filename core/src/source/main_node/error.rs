use alloc::{string::String, string::ToString};

/// Most characters of another's text in an error.
const MAX_TEXT: usize = 120;

/// Why an answer cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// Not JSON at all: a proxy's page, or a body that was cut short.
    #[error("the answer is not JSON: it begins with {start:?}")]
    NotJson {
        /// How it begins.
        start: String,
    },
    /// The answer belongs to another request.
    #[error("the answer is to another request")]
    Id,
    /// The main node refused the request.
    #[error("the main node answers with error {code}: {message}")]
    Refused {
        /// JSON-RPC error code.
        code: i64,
        /// What it says, shortened.
        message: String,
    },
    /// A field is not there.
    #[error("{field} is missing")]
    Missing {
        /// Path of the field, from the result on.
        field: String,
    },
    /// A field is not what it has to be.
    #[error("{field}: expected {expected}, found {found}")]
    Field {
        /// Path of the field, from the result on.
        field: String,
        /// What it has to be.
        expected: &'static str,
        /// What it is, shortened.
        found: String,
    },
}

impl AnswerError {
    pub(super) fn missing(field: &str) -> Self {
        Self::Missing { field: field.to_string() }
    }

    pub(super) fn field(field: &str, expected: &'static str, found: &str) -> Self {
        Self::Field { field: field.to_string(), expected, found: shorten(found) }
    }

    /// The same error of a field within another one.
    pub(super) fn within(self, outer: &str) -> Self {
        let join = |field: String| match field.as_str() {
            "" => outer.to_string(),
            inner if inner.starts_with('[') => alloc::format!("{outer}{inner}"),
            inner => alloc::format!("{outer}.{inner}"),
        };
        match self {
            Self::Missing { field } => Self::Missing { field: join(field) },
            Self::Field { field, expected, found } => Self::Field { field: join(field), expected, found },
            other => other,
        }
    }

    /// The main node does not have the method, or does not take these parameters.
    pub fn is_unsupported(&self) -> bool {
        match self {
            Self::Refused { code: -32601 | -32602, .. } => true,
            // Proxies and old nodes say it in words.
            Self::Refused { message, .. } => {
                let message = message.to_ascii_lowercase();
                ["not available", "not found", "not supported", "unsupported", "too many arguments"]
                    .iter()
                    .any(|words| message.contains(words) && !message.contains("block"))
            }
            _ => false,
        }
    }
}

/// The beginning of a text, for an error.
pub(super) fn shorten(text: &str) -> String {
    match text.char_indices().nth(MAX_TEXT) {
        Some((end, _)) => alloc::format!("{}…", &text[..end]),
        None => text.to_string(),
    }
}
