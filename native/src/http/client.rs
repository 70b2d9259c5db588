//! Asks main nodes by HTTP POST.

use data_encoding::BASE64;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;
use tokio::time;

/// A connection that nobody uses is kept for so long.
const KEEP: Duration = Duration::from_secs(30);

/// Path segments of a URL that are longer are taken for keys.
const LONGEST_PLAIN_SEGMENT: usize = 15;

/// Where a main node answers: `http` or `https`, a host, perhaps a port, a path, a user's name and password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    uri: Uri,
    authorization: Option<HeaderValue>,
}

/// Why a text is no [`Endpoint`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EndpointError {
    /// Not a URL.
    #[error("not a URL")]
    Malformed,
    /// Another protocol.
    #[error("a URL of a main node begins with http:// or https://")]
    Scheme,
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let uri: Uri = text.parse().map_err(|_| EndpointError::Malformed)?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(EndpointError::Scheme);
        }
        let authority = uri.authority().ok_or(EndpointError::Malformed)?.as_str();
        let (credentials, place) = match authority.rsplit_once('@') {
            Some((credentials, place)) => (Some(unescape(credentials)?), place),
            None => (None, authority),
        };
        let authorization = credentials.map(|credentials| {
            let basic = format!("Basic {}", BASE64.encode(&credentials));
            let mut value = HeaderValue::try_from(basic).expect("base 64 is ASCII");
            value.set_sensitive(true);
            value
        });
        let mut parts = uri.clone().into_parts();
        parts.authority = Some(place.parse().map_err(|_| EndpointError::Malformed)?);
        let uri = Uri::from_parts(parts).map_err(|_| EndpointError::Malformed)?;
        if uri.host().is_none_or(str::is_empty) {
            return Err(EndpointError::Malformed);
        }
        Ok(Self { uri, authorization })
    }
}

/// Bytes for which a URL has `%` and two digits.
fn unescape(text: &str) -> Result<Vec<u8>, EndpointError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, behind) = rest.split_at_checked(2).ok_or(EndpointError::Malformed)?;
        let digits = data_encoding::HEXLOWER_PERMISSIVE.decode(digits);
        bytes.extend(digits.map_err(|_| EndpointError::Malformed)?);
        rest = behind;
    }
    Ok(bytes)
}

impl fmt::Display for Endpoint {
    /// For a log, a page or a label: without name and password, and [masked](mask).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(mask(&self.uri.to_string()).trim_end_matches('/'))
    }
}

/// A URL without what may be a secret in it: name and password, the query, long segments of the path.
pub(crate) fn mask(value: &str) -> String {
    let Some((scheme, rest)) = value.split_once("://") else {
        return value.to_owned();
    };
    let (rest, query) = rest.split_once('?').map_or((rest, ""), |(rest, _)| (rest, "?***"));
    let mut parts = rest.split('/');
    let authority = parts.next().unwrap_or_default();
    let authority =
        authority.rsplit_once('@').map_or(authority.to_owned(), |(_, host)| format!("***@{host}"));
    let segments = parts
        .map(|part| if part.len() > LONGEST_PLAIN_SEGMENT { "/***".to_owned() } else { format!("/{part}") });
    format!("{scheme}://{authority}{}{query}", segments.collect::<String>())
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({self})")
    }
}

/// What an answer may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClientLimits {
    /// Time to connect.
    pub(crate) connect: Duration,
    /// Time for all of it.
    pub(crate) total: Duration,
    /// Bytes of an answer.
    pub(crate) answer: usize,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self { connect: Duration::from_secs(3), total: Duration::from_secs(10), answer: 25 << 20 }
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// Nothing could be sent: there is no connection.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// It took too long. The request may have arrived.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// The connection broke. The request may have arrived.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// More than is wanted.
    #[error("the answer has more than {0} bytes")]
    TooLarge(usize),
    /// HTTP has its own way to say no. The body may say more.
    #[error("HTTP status {status}")]
    Status {
        /// What it is.
        status: StatusCode,
        /// What comes with it; JSON-RPC errors, with some servers.
        body: Bytes,
    },
}

/// Sends requests, over connections that are kept. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    inner: legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    limits: ClientLimits,
}

impl Client {
    /// Nothing is connected yet.
    pub(crate) fn new(limits: ClientLimits) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(limits.connect));
        let connector = HttpsConnectorBuilder::new()
            .with_webpki_roots()
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let inner = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(KEEP)
            .build(connector);
        Self { inner, limits }
    }

    /// Posts JSON, and gives the answer's body. Needs a tokio runtime.
    pub(crate) async fn post(&self, to: &Endpoint, body: impl Into<Bytes>) -> Result<Bytes, ClientError> {
        let total = self.limits.total;
        let answer = time::timeout(total, self.ask(to, body.into())).await;
        answer.unwrap_or(Err(ClientError::TimedOut(total)))
    }

    async fn ask(&self, to: &Endpoint, body: Bytes) -> Result<Bytes, ClientError> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = to.uri.clone();
        let headers = request.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(authorization) = &to.authorization {
            headers.insert(header::AUTHORIZATION, authorization.clone());
        }
        let response = self.inner.request(request).await.map_err(|error| {
            let reason = causes(&error);
            if error.is_connect() { ClientError::Connect(reason) } else { ClientError::Broken(reason) }
        })?;
        let (status, limit) = (response.status(), self.limits.answer);
        let body = Limited::new(response.into_body(), limit).collect().await;
        let body = body.map_err(|error| match error.is::<LengthLimitError>() {
            true => ClientError::TooLarge(limit),
            false => ClientError::Broken(causes(error.as_ref())),
        })?;
        let body = body.to_bytes();
        if status == StatusCode::OK { Ok(body) } else { Err(ClientError::Status { status, body }) }
    }
}

/// The last cause says most: what came before is "error trying to connect", and the like.
fn causes(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    last.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_sent_and_not_shown() {
        let endpoint: Endpoint =
            "https://al%20ice:se%3Acret@node.example.org:8443/rpc?key=1".parse().unwrap();
        assert_eq!(endpoint.to_string(), "https://node.example.org:8443/rpc?***");
        assert_eq!(endpoint.uri, "https://node.example.org:8443/rpc?key=1");
        let authorization = endpoint.authorization.unwrap();
        assert_eq!(authorization, format!("Basic {}", BASE64.encode(b"al ice:se:cret")));
        let plain: Endpoint = "http://127.0.0.1:8123".parse().unwrap();
        assert_eq!((plain.to_string().as_str(), plain.authorization), ("http://127.0.0.1:8123", None));
    }

    #[test]
    fn a_key_in_the_path_is_sent_and_not_shown() {
        let key = "0123456789abcdef0123456789abcdef";
        let endpoint: Endpoint = format!("https://node.example.org/v2/{key}").parse().unwrap();
        assert_eq!(endpoint.uri.path(), format!("/v2/{key}"));
        for shown in [endpoint.to_string(), format!("{endpoint:?}")] {
            assert!(shown.contains("https://node.example.org/v2/***") && !shown.contains(key), "{shown}");
        }
    }

    #[test]
    fn what_is_no_url_of_a_main_node_is_refused() {
        for (text, error) in [
            ("", EndpointError::Malformed),
            ("node.example.org", EndpointError::Scheme),
            ("ws://node.example.org", EndpointError::Scheme),
            ("http://", EndpointError::Malformed),
            ("http://a%2:b@node", EndpointError::Malformed),
            ("http://a@", EndpointError::Malformed),
            ("http:// node", EndpointError::Malformed),
        ] {
            assert_eq!(text.parse::<Endpoint>(), Err(error), "{text}");
        }
    }
}
