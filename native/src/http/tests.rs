//! The server and the client, with each other.

use super::*;
use hyper::StatusCode;
use hyper::body::Bytes;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// Gives back what it gets, and misbehaves when asked to.
struct Echo;

impl Handler for Echo {
    async fn post(&self, body: Bytes) -> Answer {
        match body.as_ref() {
            b"panic" => panic!("as asked"),
            b"hang" => std::future::pending().await,
            b"busy" => Answer::json(StatusCode::SERVICE_UNAVAILABLE, "busy"),
            _ => Answer::json(StatusCode::OK, body),
        }
    }

    async fn get(&self, path: &str) -> Option<Answer> {
        (path == "/livez").then(|| Answer::text(StatusCode::OK, "text/plain", "alive"))
    }

    async fn converse(&self, mut socket: Socket) {
        while let Some(text) = socket.next().await {
            assert_ne!(text, "panic");
            socket.outbox().send(text);
        }
    }
}

fn serve(limits: Limits) -> (Server, Endpoint) {
    let address: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let server = Server::start(address, limits, Traffic::default(), Arc::new(Echo)).unwrap();
    let endpoint = format!("http://{}", server.address()).parse().unwrap();
    (server, endpoint)
}

/// A client on a runtime of its own.
struct Caller(Client, Runtime);

impl Caller {
    fn post(&self, to: &Endpoint, body: impl Into<Bytes>) -> Result<Bytes, ClientError> {
        self.1.block_on(self.0.post(to, body))
    }
}

fn client(answer: usize) -> Caller {
    let total = Duration::from_millis(300);
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    Caller(Client::new(ClientLimits { total, answer, ..ClientLimits::default() }), runtime)
}

#[test]
fn what_is_posted_is_answered() {
    let (server, endpoint) = serve(Limits::default());
    let client = client(1000);
    for _ in 0..3 {
        assert_eq!(client.post(&endpoint, "hello").unwrap(), "hello");
    }
    let answer = client.post(&endpoint, "panic").unwrap();
    assert_eq!(answer, r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32603,"message":"internal error"}}"#);
    assert_eq!(client.post(&endpoint, "hello").unwrap(), "hello");
    server.stop();
}

#[test]
fn each_failure_has_a_name() {
    let (server, endpoint) = serve(Limits { body: 2000, ..Limits::default() });
    let client = client(1000);
    let error = |body: String| client.post(&endpoint, body).unwrap_err();
    assert!(matches!(error("hang".into()), ClientError::TimedOut(_)));
    assert!(matches!(error("x".repeat(1001)), ClientError::TooLarge(1000)));
    let ClientError::Status { status, body } = error("x".repeat(2001)) else { panic!("refused") };
    assert_eq!((status, body.starts_with(b"{")), (StatusCode::PAYLOAD_TOO_LARGE, true));
    let ClientError::Status { status, body } = error("busy".into()) else { panic!("refused") };
    assert_eq!((status, body.as_ref()), (StatusCode::SERVICE_UNAVAILABLE, b"busy".as_slice()));
    // A request that hangs does not keep the server from stopping.
    server.stop();
    let unsent = client.post(&endpoint, "hello").unwrap_err();
    assert!(matches!(unsent, ClientError::Connect(_)), "{unsent}");
}

/// A large request, of which the answer's first line was read, and no more.
fn unread(server: &Server) -> (String, BufReader<TcpStream>) {
    const LENGTH: usize = 24 << 20;
    let mut stream = TcpStream::connect(server.address()).unwrap();
    let head = format!("POST / HTTP/1.1\r\nhost: here\r\ncontent-length: {LENGTH}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&vec![b'x'; LENGTH]).unwrap();
    let (mut stream, mut line) = (BufReader::new(stream), String::new());
    stream.read_line(&mut line).unwrap();
    (line, stream)
}

#[test]
fn answers_that_nobody_reads_share_one_memory() {
    // More than the system takes for a connection, and less than two of them.
    let (server, endpoint) = serve(Limits { body: 32 << 20, answers: 32 << 20, ..Limits::default() });
    let (status, first) = unread(&server);
    assert_eq!(status, "HTTP/1.1 200 OK\r\n");
    assert_eq!(unread(&server).0, "HTTP/1.1 503 Service Unavailable\r\n");
    // Small ones are for everybody.
    assert_eq!(client(1000).post(&endpoint, "hello").unwrap(), "hello");
    drop(first);
    while unread(&server).0 != "HTTP/1.1 200 OK\r\n" {}
    server.stop();
}

#[test]
fn two_servers_do_not_share_a_port() {
    let (server, _) = serve(Limits::default());
    let second =
        Server::start(server.address(), Limits::default(), Traffic::default(), Arc::new(Echo)).unwrap_err();
    assert!(second.to_string().starts_with(&format!("cannot listen on {}: ", server.address())));
}
