//! The options of the server.

use super::{Endpoint, Limits, Origins};
use crate::config::parse_duration;
use clap::Args;
use hyper::header::HeaderValue;
use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

/// Whether and how Web3 is served.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Serving Web3")]
pub(crate) struct ServerOptions {
    /// Serve JSON-RPC over HTTP and WebSocket here; without it nothing is served
    ///
    /// POST and WebSocket go to `/`. `/livez`, `/readyz`, `/health`, `/status` and `/metrics` are for operators. Port 0
    /// takes any that is free; a line on standard error says which.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) http: Option<SocketAddr>,

    /// Serve the page that is in this directory at `/`; in a checkout, `make page` builds it into `www/dist`
    #[arg(long, value_name = "DIR")]
    pub(crate) page: Option<PathBuf>,

    /// The main node that the page verifies; may be given several times. Without it, it is this server
    ///
    /// The browser asks it itself: everybody who opens the page learns it, and it has to admit pages of this origin (CORS).
    /// The page gets --chain and --genesis, too; without these it asks its reader which chain to verify.
    #[arg(long = "page-main-node", value_name = "URL", value_parser = parse_public)]
    pub(crate) page_main_nodes: Vec<String>,

    /// The L1 node that the page compares with; may be given several times. Without it, it asks none
    ///
    /// As with --page-main-node, everybody who opens the page learns it: --l1 itself is not told. The page gets
    /// --rollup-manager, --rollup-id and --l1-block, too.
    #[arg(long = "page-l1", value_name = "URL", value_parser = parse_public, requires_all = ["rollup_manager", "rollup_id"])]
    pub(crate) page_l1: Vec<String>,

    /// A web page's origin that may ask, such as <https://app.example.org>; may be repeated. Without it all may
    #[arg(long = "http-origin", value_name = "ORIGIN", value_parser = parse_origin)]
    pub(crate) origins: Vec<HeaderValue>,

    /// Most bytes of a request
    #[arg(long = "http-max-body", value_name = "BYTES", default_value_t = 5 << 20)]
    pub(crate) max_body: usize,

    /// Most HTTP connections at a time
    #[arg(long = "http-max-connections", value_name = "COUNT", default_value_t = 1024)]
    pub(crate) max_connections: usize,

    /// Most WebSocket connections at a time
    #[arg(long = "ws-max-connections", value_name = "COUNT", default_value_t = 512)]
    pub(crate) max_sessions: usize,

    /// Most bytes of all answers together that wait for their callers to read them; more are refused as busy
    ///
    /// A connection's only answer is never refused when it has no more than 64 KiB.
    #[arg(long = "http-answer-memory", value_name = "BYTES", default_value_t = 512 << 20)]
    pub(crate) answer_memory: usize,

    /// Most requests per second from one address; more are refused with status 429
    #[arg(long = "http-rate", value_name = "COUNT")]
    pub(crate) rate: Option<NonZeroU32>,

    /// Time for a request's header, and for its body; also how long an unused connection is kept
    #[arg(long = "http-read-timeout", value_name = "TIME", default_value = "30s", value_parser = parse_duration)]
    pub(crate) read_timeout: Duration,

    /// Requests that are worked on at a time; by default twice the number of processors
    #[arg(long = "rpc-workers", value_name = "COUNT")]
    pub(crate) workers: Option<NonZeroUsize>,

    /// Requests that may wait for a worker; more are refused as busy, with status 503
    #[arg(long = "rpc-queue", value_name = "COUNT", default_value_t = 1024)]
    pub(crate) queue: usize,

    /// Time that a request may take; what takes longer is aborted
    #[arg(long = "rpc-timeout", value_name = "TIME", default_value = "5s", value_parser = parse_duration)]
    pub(crate) timeout: Duration,

    /// Most requests in a batch
    #[arg(long = "rpc-max-batch", value_name = "COUNT", default_value_t = 100)]
    pub(crate) max_batch: usize,

    /// Ask the main node for nothing: only transactions are sent to it
    ///
    /// Without it, gas prices, pending nonces and unknown transactions are asked of the main node, and are its word.
    #[arg(long)]
    pub(crate) strict: bool,

    /// Time that a main node may take to answer what is forwarded to it
    #[arg(long = "forward-timeout", value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    pub(crate) forward_timeout: Duration,

    /// Time away from the main node's tip after which `/readyz` says no
    #[arg(long = "stale-after", value_name = "TIME", default_value = "60s", value_parser = parse_duration)]
    pub(crate) stale_after: Duration,

    /// Time that requests may still take when asked to stop
    #[arg(long = "http-grace", value_name = "TIME", default_value = "5s", value_parser = parse_duration)]
    pub(crate) grace: Duration,
}

impl ServerOptions {
    /// What peers may do.
    pub(crate) fn limits(&self) -> Limits {
        let origins = match self.origins.is_empty() {
            true => Origins::Any,
            false => Origins::Only(self.origins.clone()),
        };
        Limits {
            body: self.max_body,
            connections: self.max_connections,
            sessions: self.max_sessions,
            read: self.read_timeout,
            answers: self.answer_memory,
            rate: self.rate,
            origins,
            grace: self.grace,
            ..Limits::default()
        }
    }
}

/// A URL that everybody may know.
fn parse_public(text: &str) -> Result<String, String> {
    text.parse::<Endpoint>().map_err(|error| error.to_string())?;
    match text.contains('@') {
        true => Err("browsers are told it: it may not have a name and a password".to_owned()),
        false => Ok(text.to_owned()),
    }
}

fn parse_origin(text: &str) -> Result<HeaderValue, String> {
    let bare = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    match bare.filter(|place| !place.is_empty() && !place.contains('/')) {
        Some(_) => HeaderValue::from_str(text).map_err(|error| error.to_string()),
        None => Err("expected http:// or https://, a host, and perhaps a port".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_browsers_are_told_is_public() {
        assert_eq!(parse_public("https://rpc.example.org/v1").unwrap(), "https://rpc.example.org/v1");
        for bad in ["rpc.example.org", "ws://rpc.example.org", "https://name:password@rpc.example.org"] {
            assert!(parse_public(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_origin_is_scheme_and_place() {
        for good in ["http://localhost:3000", "https://app.example.org"] {
            assert_eq!(parse_origin(good).unwrap(), good);
        }
        for bad in ["*", "app.example.org", "https://", "https://app.example.org/", "https://a\nb"] {
            assert!(parse_origin(bad).is_err(), "{bad}");
        }
    }
}
