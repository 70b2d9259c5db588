//! JSON-RPC 2.0 around methods: what a request is, and what an answer looks like (`spec/rpc.md` §1).

use super::{
    Error,
    json::{self, Json},
    provenance::{MEMBER, Wish},
};
use alloc::{string::String, vec::Vec};

/// The body of a request.
pub(super) enum Message<'a> {
    Single(Call<'a>),
    Batch(Vec<Call<'a>>),
}

/// One request, or what is wrong with it.
pub(super) enum Call<'a> {
    Request(Request<'a>),
    /// Nobody waits for an answer, and nothing is done.
    Notification,
    Invalid {
        id: String,
        error: Error,
    },
}

/// A request that wants an answer.
pub(super) struct Request<'a> {
    /// As it was written.
    pub(super) id: String,
    pub(super) method: String,
    pub(super) params: Vec<Json<'a>>,
    pub(super) wish: Wish,
}

/// Reads the body of a request.
pub(super) fn read(body: &[u8], most_in_batch: usize) -> Result<Message<'_>, Error> {
    match json::parse(body).map_err(|_| Error::new(Error::PARSE, "parse error"))? {
        Json::Array(items) if items.is_empty() => Err(Error::new(Error::INVALID_REQUEST, "empty batch")),
        Json::Array(items) if items.len() > most_in_batch => {
            Err(Error::new(Error::INVALID_REQUEST, "batch too large"))
        }
        Json::Array(items) => Ok(Message::Batch(items.into_iter().map(call).collect())),
        item => Ok(Message::Single(call(item))),
    }
}

const NULL: &str = "null";

fn call(item: Json<'_>) -> Call<'_> {
    let invalid =
        |id: String| Call::Invalid { id, error: Error::new(Error::INVALID_REQUEST, "invalid request") };
    let Json::Object(members) = item else {
        return invalid(NULL.into());
    };
    let (mut id, mut method, mut params, mut wish) = (None, None, Json::Null, Json::Null);
    for (name, value) in members {
        match name.as_str() {
            "id" => id = Some(value),
            "method" => method = Some(value),
            "params" => params = value,
            MEMBER => wish = value,
            _ => {}
        }
    }
    let id = match id {
        None => None,
        Some(id @ (Json::Null | Json::Number(_) | Json::String(_))) => {
            let mut text = String::new();
            id.write(&mut text);
            Some(text)
        }
        Some(_) => return invalid(NULL.into()),
    };
    let Some(Json::String(method)) = method else {
        return invalid(id.unwrap_or_else(|| NULL.into()));
    };
    let Some(id) = id else {
        return Call::Notification;
    };
    let params = match params {
        Json::Array(params) => params,
        Json::Null => Vec::new(),
        _ => return Call::Invalid { id, error: Error::invalid("non-array args") },
    };
    match Wish::read(&wish) {
        Ok(wish) => Call::Request(Request { id, method: method.as_str().into(), params, wish }),
        Err(error) => Call::Invalid { id, error },
    }
}

/// An answer to the request with this id, and what backs it if that was asked for.
pub(super) fn answer(id: &str, result: &Result<String, Error>, backing: Option<&str>) -> String {
    let mut out = String::from("{\"jsonrpc\":\"2.0\",\"id\":");
    out.push_str(id);
    match result {
        Ok(value) => {
            out.push_str(",\"result\":");
            out.push_str(value);
        }
        Err(error) => {
            out.push_str(",\"error\":");
            error.write(&mut out);
        }
    }
    if let Some(backing) = backing {
        out.push_str(",\"");
        out.push_str(MEMBER);
        out.push_str("\":");
        out.push_str(backing);
    }
    out.push('}');
    out
}

/// An answer to what was no request at all.
pub(super) fn refusal(error: Error) -> String {
    answer(NULL, &Err(error), None)
}
