//! A server for JSON-RPC: POST, GET and WebSocket on one port, with limits to all that a peer can do.

use super::rate::Rate;
use super::room::Room;
use super::socket::{self, Socket};
use super::stream::Patient;
use futures_util::FutureExt as _;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::server::conn::http1;
use hyper::{Method, Request, Response, StatusCode};
use hyper_tungstenite::tungstenite::protocol::WebSocketConfig;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time;
use tower::Layer as _;
use tower_http::compression::predicate::SizeAbove;
use tower_http::compression::{CompressionLayer, CompressionLevel};
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

/// Smaller answers are not worth the time to compress them.
const COMPRESS_ABOVE: u64 = 1024;

/// Bytes of a request's header.
const HEADER: usize = 32 << 10;

/// A browser asks again whether it may after so long.
const PREFLIGHT_AGE: Duration = Duration::from_secs(3600);

/// When no connection can be accepted, most likely for want of file descriptors, the next attempt is made after this.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// Who answers.
///
/// All of it runs on the server's few threads: whatever takes longer than a moment belongs on others. A panic is an
/// answer with an internal error, or the end of a WebSocket connection, and no more.
pub(crate) trait Handler: Send + Sync + 'static {
    /// Answers the body of a POST. Dropped when the caller does not wait any more.
    fn post(&self, body: Bytes) -> impl Future<Output = Answer> + Send;

    /// Answers a GET of this path; `None`: there is no such page.
    fn get(&self, path: &str) -> impl Future<Output = Option<Answer>> + Send;

    /// Holds a conversation. Dropped when the peer is gone.
    fn converse(&self, socket: Socket) -> impl Future<Output = ()> + Send;
}

/// What is sent back.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    status: StatusCode,
    content: &'static str,
    body: Bytes,
    file: Option<FileHeaders>,
}

/// What is known of a file that is always the same.
#[derive(Clone, Debug)]
struct FileHeaders {
    etag: HeaderValue,
    gzip: Option<Bytes>,
}

impl Answer {
    /// JSON.
    pub(crate) fn json(status: StatusCode, body: impl Into<Bytes>) -> Self {
        Self::text(status, "application/json", body)
    }

    /// Text of another kind.
    pub(crate) fn text(status: StatusCode, content: &'static str, body: impl Into<Bytes>) -> Self {
        Self { status, content, body: body.into(), file: None }
    }

    /// A file. Its tag is another one when its bytes are others; `gzip` is what is sent to whoever takes that.
    pub(crate) fn file(content: &'static str, body: Bytes, gzip: Option<Bytes>, etag: HeaderValue) -> Self {
        Self { file: Some(FileHeaders { etag, gzip }), ..Self::text(StatusCode::OK, content, body) }
    }

    /// A JSON-RPC error that belongs to no request.
    fn refusal(status: StatusCode, code: i32, message: &str) -> Self {
        Self::json(status, super::refusal(code, message))
    }

    /// The file as its reader takes it; nothing if it has it already.
    fn into_file_response(mut self, request: &HeaderMap) -> Response<Full<Bytes>> {
        let Some(FileHeaders { etag, gzip }) = self.file.take() else { return self.into_response() };
        let is_listed = |name, is: &dyn Fn(&str) -> bool| {
            let lists = request.get_all(name).iter().filter_map(|list| list.to_str().ok());
            lists.flat_map(|list| list.split(',')).any(|item| is(item.trim()))
        };
        if is_listed(header::IF_NONE_MATCH, &|tag| tag.as_bytes() == etag.as_bytes() || tag == "*") {
            (self.status, self.body) = (StatusCode::NOT_MODIFIED, Bytes::new());
        }
        // Whoever takes it with a weight of zero does not say so in any browser.
        let gzip = gzip.filter(|_| is_listed(header::ACCEPT_ENCODING, &|name| name == "gzip"));
        let encoded = gzip.filter(|_| self.status == StatusCode::OK).map(|gzip| self.body = gzip).is_some();
        let mut response = self.into_response();
        let headers = response.headers_mut();
        headers.insert(header::ETAG, etag);
        // It is kept, and asked for again: the answer is short when nothing has changed.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        if encoded {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    }

    fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(self.body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.content));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if self.content.starts_with("text/html") {
            // A page can say everything else in itself.
            let policy = HeaderValue::from_static("frame-ancestors 'none'");
            headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        }
        response
    }
}

fn too_many() -> Answer {
    Answer::refusal(StatusCode::TOO_MANY_REQUESTS, -32005, "too many requests")
}

/// What peers may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Bytes of a body, and of a WebSocket message.
    pub(crate) body: usize,
    /// Open HTTP connections.
    pub(crate) connections: usize,
    /// Open WebSocket connections.
    pub(crate) sessions: usize,
    /// Time for a request's header (from the end of the request before it), and for its body.
    pub(crate) read: Duration,
    /// Time in which a peer takes nothing of what is sent.
    pub(crate) write: Duration,
    /// Time between two pings of a WebSocket connection.
    pub(crate) ping: Duration,
    /// Messages that wait for one WebSocket peer.
    pub(crate) queued_messages: usize,
    /// Bytes that wait for one WebSocket peer.
    pub(crate) queued_bytes: usize,
    /// Bytes that wait for all peers together, answers over HTTP among them.
    pub(crate) answers: usize,
    /// Requests per second from one address.
    pub(crate) rate: Option<NonZeroU32>,
    /// Web pages that may ask.
    pub(crate) origins: Origins,
    /// How long requests may take when the server stops.
    pub(crate) grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 5 << 20,
            connections: 1024,
            sessions: 512,
            read: Duration::from_secs(30),
            write: Duration::from_secs(60),
            ping: Duration::from_secs(30),
            queued_messages: 4096,
            queued_bytes: 64 << 20,
            answers: 512 << 20,
            rate: None,
            origins: Origins::Any,
            grace: Duration::from_secs(5),
        }
    }
}

/// Web pages, by their origin: scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origins {
    /// All.
    Any,
    /// These.
    Only(Vec<HeaderValue>),
}

impl Origins {
    fn layer(&self) -> CorsLayer {
        let origins: AllowOrigin = match self {
            Self::Any => Any.into(),
            Self::Only(origins) => AllowOrigin::list(origins.iter().cloned()),
        };
        CorsLayer::new()
            .allow_origin(origins)
            .allow_methods([Method::POST, Method::GET, Method::OPTIONS])
            .allow_headers([header::CONTENT_TYPE])
            .max_age(PREFLIGHT_AGE)
    }

    /// Browsers let every page open a WebSocket, so it is for the server to look. Others send no origin.
    fn admit(&self, headers: &HeaderMap) -> bool {
        match (self, headers.get(header::ORIGIN)) {
            (Self::Only(origins), Some(origin)) => origins.contains(origin),
            _ => true,
        }
    }
}

/// What the server has to do, for whoever wants to know.
#[derive(Clone, Debug, Default)]
pub(crate) struct Traffic {
    /// Open HTTP connections.
    pub(crate) connections: Gauge,
    /// Open WebSocket connections.
    pub(crate) sessions: Gauge,
    /// Connections that were one too many.
    pub(crate) turned_away: Counter,
    /// Requests that were too large, too slow or too many, or for whose answers there was no memory.
    pub(crate) refused: Counter,
    /// Panics of the handler.
    pub(crate) panics: Counter,
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// The port is taken, or the address is not ours.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the operating system says.
        error: io::Error,
    },
    /// No random numbers.
    #[error("cannot get random numbers: {0}")]
    Randomness(io::Error),
    /// No threads.
    #[error("cannot start the server's threads: {0}")]
    Threads(io::Error),
}

/// A running server, on threads of its own. Dropping it ends it at once, [`Server::stop`] in good order.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    runtime: Runtime,
    stop: watch::Sender<bool>,
    accepting: JoinHandle<()>,
    grace: Duration,
}

impl Server {
    /// Serves at this address; port 0 is any that is free.
    pub(crate) fn start<H: Handler>(
        address: SocketAddr,
        limits: Limits,
        traffic: Traffic,
        handler: Arc<H>,
    ) -> Result<Self, StartError> {
        let mut builder = Builder::new_multi_thread();
        let runtime = builder
            .worker_threads(2)
            .thread_name("http")
            .enable_io()
            .enable_time()
            .build()
            .map_err(StartError::Threads)?;
        let cannot = |error| StartError::Listen { address, error };
        let listener = runtime.block_on(TcpListener::bind(address)).map_err(cannot)?;
        let address = listener.local_addr().map_err(cannot)?;
        let (stop, stopped) = watch::channel(false);
        let grace = limits.grace;
        let shared = Arc::new(Shared {
            connections: Arc::new(Semaphore::new(limits.connections)),
            sessions: Arc::new(Semaphore::new(limits.sessions)),
            rate: limits.rate.map(Rate::new),
            room: Room::new(limits.answers),
            stopped: stopped.clone(),
            limits,
            traffic,
            handler,
        });
        let accepting = runtime.spawn(accept(listener, shared, stopped));
        Ok(Self { address, runtime, stop, accepting, grace })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// To run what belongs to the server.
    pub(crate) fn handle(&self) -> &Handle {
        self.runtime.handle()
    }

    /// Accepts nothing more, lets requests finish within the grace period, and ends.
    pub(crate) fn stop(self) {
        self.stop.send_replace(true);
        let Self { runtime, accepting, grace, .. } = self;
        // What has not finished by then is dropped with the runtime.
        let _ = runtime.block_on(async { time::timeout(grace, accepting).await });
        runtime.shutdown_timeout(Duration::from_millis(100));
    }
}

struct Shared<H> {
    connections: Arc<Semaphore>,
    sessions: Arc<Semaphore>,
    rate: Option<Rate>,
    room: Room,
    stopped: watch::Receiver<bool>,
    limits: Limits,
    traffic: Traffic,
    handler: Arc<H>,
}

/// Something that there may only be so many of.
struct Counted {
    _permit: OwnedSemaphorePermit,
    gauge: Gauge,
}

impl Counted {
    fn take(semaphore: &Arc<Semaphore>, gauge: &Gauge) -> Option<Self> {
        let permit = Arc::clone(semaphore).try_acquire_owned().ok()?;
        gauge.inc();
        Some(Self { _permit: permit, gauge: gauge.clone() })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}

/// Accepts connections until the server stops, and then waits for their end.
async fn accept<H: Handler>(
    listener: TcpListener,
    shared: Arc<Shared<H>>,
    mut stopped: watch::Receiver<bool>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.wait_for(|stopped| *stopped) => break,
        };
        let Ok((stream, peer)) = accepted else {
            time::sleep(ACCEPT_AGAIN).await;
            continue;
        };
        let Some(counted) = Counted::take(&shared.connections, &shared.traffic.connections) else {
            shared.traffic.turned_away.inc();
            turn_away(&stream);
            continue;
        };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            connection(stream, peer.ip(), shared).await;
            drop(counted);
        });
    }
    drop(listener);
    // Each connection sees that the server stops, and lets go.
    for (semaphore, all) in
        [(&shared.connections, shared.limits.connections), (&shared.sessions, shared.limits.sessions)]
    {
        let _ = semaphore.acquire_many(u32::try_from(all).unwrap_or(u32::MAX)).await;
    }
}

/// Says so, if that can be done without waiting.
fn turn_away(stream: &TcpStream) {
    let body = super::refusal(-32005, "too many connections");
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    let _ = stream.try_write(answer.as_bytes());
}

/// Serves one request after the other, until the peer has no more, or the server stops.
async fn connection<H: Handler>(stream: TcpStream, peer: IpAddr, shared: Arc<Shared<H>>) {
    let (limits, mut stopped) = (&shared.limits, shared.stopped.clone());
    let service = tower::service_fn(|request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(shared.serve(request, peer).await) }
    });
    let compression = CompressionLayer::new()
        .quality(CompressionLevel::Fastest)
        .compress_when(SizeAbove::new(COMPRESS_ABOVE));
    let service = limits.origins.layer().layer(compression.layer(service));
    // Only a delay is lost if this fails.
    let _ = stream.set_nodelay(true);
    let stream = TokioIo::new(Patient::new(stream, limits.write));
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.read)
            .max_header_size(HEADER)
            .serve_connection(stream, TowerToHyperService::new(service))
            .with_upgrades()
    );
    // An error is the peer's, or the end of its patience: the next one is served all the same.
    let ended = tokio::select! {
        _ = &mut connection => true,
        _ = stopped.wait_for(|stopped| *stopped) => false,
    };
    if !ended {
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    }
}

impl<H: Handler> Shared<H> {
    async fn serve(self: Arc<Self>, request: Request<Incoming>, peer: IpAddr) -> Response<Full<Bytes>> {
        if hyper_tungstenite::is_upgrade_request(&request) {
            return self.upgrade(request, peer);
        }
        let answer = match request.method() {
            &Method::POST => self.post(request, peer).await,
            &Method::GET | &Method::HEAD => {
                let answer = self.get(request.uri().path()).await;
                // The pages for operators are short, and have to be there under load.
                if answer.file.is_some() {
                    return match self.admits(peer) {
                        true => answer.into_file_response(request.headers()),
                        false => too_many().into_response(),
                    };
                }
                answer
            }
            _ => {
                let text = "POST a JSON-RPC request\n";
                let mut response =
                    Answer::text(StatusCode::METHOD_NOT_ALLOWED, "text/plain", text).into_response();
                let allowed = HeaderValue::from_static("GET, HEAD, OPTIONS, POST");
                response.headers_mut().insert(header::ALLOW, allowed);
                return response;
            }
        };
        self.keep(answer).into_response()
    }

    /// The answer, if there is memory for it until it is sent.
    fn keep(&self, answer: Answer) -> Answer {
        match self.room.keep(answer.body) {
            Some(body) => Answer { body, ..answer },
            None => {
                self.traffic.refused.inc();
                Answer::refusal(StatusCode::SERVICE_UNAVAILABLE, -32005, "busy")
            }
        }
    }

    async fn get(&self, path: &str) -> Answer {
        match AssertUnwindSafe(self.handler.get(path)).catch_unwind().await {
            Ok(Some(answer)) => answer,
            Ok(None) if path == "/" => Answer::text(StatusCode::OK, "text/plain", ""),
            Ok(None) => Answer::text(StatusCode::NOT_FOUND, "text/plain", "not found\n"),
            Err(_) => {
                self.traffic.panics.inc();
                Answer::text(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", "internal error\n")
            }
        }
    }

    async fn post(&self, request: Request<Incoming>, peer: IpAddr) -> Answer {
        let body = match self.body(request, peer).await {
            Ok(body) => body,
            Err(refusal) => {
                self.traffic.refused.inc();
                return refusal;
            }
        };
        let answered = AssertUnwindSafe(self.handler.post(body)).catch_unwind().await;
        answered.unwrap_or_else(|_| {
            self.traffic.panics.inc();
            Answer::refusal(StatusCode::OK, -32603, "internal error")
        })
    }

    /// The body of a request that may be answered.
    async fn body(&self, request: Request<Incoming>, peer: IpAddr) -> Result<Bytes, Answer> {
        if !self.admits(peer) {
            return Err(too_many());
        }
        if request.uri().path() != "/" {
            return Err(Answer::refusal(StatusCode::NOT_FOUND, -32600, "requests go to /"));
        }
        if !is_json(request.headers()) {
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Err(Answer::refusal(status, -32600, "the content type is application/json"));
        }
        let too_large = || Answer::refusal(StatusCode::PAYLOAD_TOO_LARGE, -32600, "request too large");
        let limit = self.limits.body;
        if request.body().size_hint().lower() > limit as u64 {
            return Err(too_large());
        }
        let body = Limited::new(request.into_body(), limit).collect();
        match time::timeout(self.limits.read, body).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
            Ok(Err(_)) => Err(Answer::refusal(StatusCode::BAD_REQUEST, -32700, "parse error")),
            Err(_) => Err(Answer::refusal(StatusCode::REQUEST_TIMEOUT, -32600, "the request took too long")),
        }
    }

    fn admits(&self, peer: IpAddr) -> bool {
        self.rate.as_ref().is_none_or(|rate| rate.admits(peer, Instant::now()))
    }

    fn upgrade(self: Arc<Self>, mut request: Request<Incoming>, peer: IpAddr) -> Response<Full<Bytes>> {
        let refuse = |status, message| Answer::refusal(status, -32600, message).into_response();
        if !self.limits.origins.admit(request.headers()) {
            return refuse(StatusCode::FORBIDDEN, "not from this origin");
        }
        let Some(counted) = Counted::take(&self.sessions, &self.traffic.sessions) else {
            self.traffic.turned_away.inc();
            return Answer::refusal(StatusCode::SERVICE_UNAVAILABLE, -32005, "too many connections")
                .into_response();
        };
        let limit = Some(self.limits.body);
        let config = WebSocketConfig::default()
            .max_message_size(limit)
            .max_frame_size(limit)
            .read_buffer_size(8 << 10)
            .write_buffer_size(8 << 10);
        let Ok((response, websocket)) = hyper_tungstenite::upgrade(&mut request, Some(config)) else {
            return refuse(StatusCode::BAD_REQUEST, "not a WebSocket handshake of version 13");
        };
        tokio::spawn(async move {
            let counted = counted;
            let opened = time::timeout(self.limits.read, websocket).await;
            if let Ok(Ok(stream)) = opened {
                let admits = || self.admits(peer);
                let stopped = self.stopped.clone();
                let peers = (&self.limits, &self.room);
                socket::converse(stream, &*self.handler, peers, admits, stopped).await;
            }
            drop(counted);
        });
        response
    }
}

/// JSON by one of its names, or not said to be anything.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(content) = headers.get(header::CONTENT_TYPE) else {
        return true;
    };
    let content = content.to_str().unwrap_or_default();
    let name = content.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    matches!(name.as_str(), "" | "application/json" | "application/json-rpc" | "application/jsonrequest")
}
