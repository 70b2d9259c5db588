//! HTTP and WebSocket: the server that answers JSON-RPC, and the client that asks main nodes.
//!
//! [`server`] knows connections and their limits, and nothing of any method: whoever has a [`Handler`] can be served.

mod client;
mod options;
mod rate;
mod room;
mod server;
mod socket;
mod stream;
#[cfg(test)]
mod tests;

pub(crate) use client::{Client, ClientError, ClientLimits, Endpoint, mask};
pub(crate) use options::ServerOptions;
pub(crate) use server::{Answer, Handler, Limits, Origins, Server, StartError, Traffic};
pub(crate) use socket::Socket;

/// The text of a JSON-RPC error that belongs to no request. `message` needs no escapes.
pub(crate) fn refusal(code: i32, message: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":null,"error":{{"code":{code},"message":"{message}"}}}}"#)
}
