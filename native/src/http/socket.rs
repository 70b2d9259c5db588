//! A WebSocket connection: text in, text out, pings, and an end that says why.

use super::room::{Place, Room};
use super::server::{Handler, Limits};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use hyper_tungstenite::HyperWebsocketStream;
use hyper_tungstenite::tungstenite::protocol::{CloseFrame, frame::coding::CloseCode};
use hyper_tungstenite::tungstenite::{Bytes, Error, Message, Utf8Bytes};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{self, MissedTickBehavior};

/// Messages that have been read and wait for the session. While there are so many, no more are read.
const UNREAD: usize = 16;

/// How long the last frame, which says why, may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// One end of a conversation. Dropping it ends the connection.
#[derive(Debug)]
pub(crate) struct Socket {
    incoming: mpsc::Receiver<String>,
    outbox: Outbox,
}

impl Socket {
    /// The next message; `None` when the peer is gone.
    pub(crate) async fn next(&mut self) -> Option<String> {
        self.incoming.recv().await
    }

    /// Where answers and notifications go.
    pub(crate) fn outbox(&self) -> &Outbox {
        &self.outbox
    }
}

/// Messages on their way to the peer, in order, and no more than the limits allow, its own and those for all peers: one
/// that is too slow is disconnected, so that it knows that it has missed something.
#[derive(Clone, Debug)]
pub(crate) struct Outbox {
    queue: mpsc::Sender<Waiting>,
    state: Arc<State>,
}

/// A message, and its place in memory.
type Waiting = (Utf8Bytes, Place);

#[derive(Debug)]
struct State {
    bytes: AtomicUsize,
    most: usize,
    room: Room,
    /// Why the connection has to end.
    reason: OnceLock<&'static str>,
    overflowed: Notify,
    drained: Notify,
}

impl Outbox {
    fn new(limits: &Limits, room: &Room) -> (Self, mpsc::Receiver<Waiting>) {
        let (queue, receiver) = mpsc::channel(limits.queued_messages);
        let state = State {
            bytes: AtomicUsize::new(0),
            most: limits.queued_bytes,
            room: room.clone(),
            reason: OnceLock::new(),
            overflowed: Notify::new(),
            drained: Notify::new(),
        };
        (Self { queue, state: Arc::new(state) }, receiver)
    }

    /// Puts a message behind the others. `false`: the connection is at its end.
    pub(crate) fn send(&self, message: String) -> bool {
        let length = message.len();
        let before = self.state.bytes.fetch_add(length, Ordering::Relaxed);
        // The first message may be of any size: answers have a limit of their own.
        let has_room = before == 0 || before.saturating_add(length) <= self.state.most;
        let Some(place) = self.state.room.take(length, before == 0) else {
            self.end("busy");
            return false;
        };
        let sent = has_room && self.queue.try_send((message.into(), place)).is_ok();
        if !sent {
            self.overflow();
        }
        sent
    }

    /// Nothing waits.
    pub(crate) fn is_drained(&self) -> bool {
        self.state.bytes.load(Ordering::Relaxed) == 0
    }

    /// Waits until nothing waits: for whoever has much to send. One at a time.
    pub(crate) async fn drained(&self) {
        while !self.is_drained() {
            self.state.drained.notified().await;
        }
    }

    /// Ends the connection: the peer has missed something.
    pub(crate) fn overflow(&self) {
        self.end("too slow");
    }

    fn end(&self, reason: &'static str) {
        // The first one counts.
        let _ = self.state.reason.set(reason);
        self.state.overflowed.notify_one();
    }
}

/// Holds the conversation until one side ends it.
pub(super) async fn converse<H: Handler>(
    stream: HyperWebsocketStream,
    handler: &H,
    (limits, room): (&Limits, &Room),
    admits: impl Fn() -> bool,
    mut stop: watch::Receiver<bool>,
) {
    let (mut sink, stream) = stream.split();
    let (forward, incoming) = mpsc::channel(UNREAD);
    let (outbox, queue) = Outbox::new(limits, room);
    let state = Arc::clone(&outbox.state);
    let refused = outbox.clone();
    let session = AssertUnwindSafe(handler.converse(Socket { incoming, outbox })).catch_unwind();
    let reason = tokio::select! {
        reason = read(stream, forward, limits, refused, admits) => reason,
        reason = write(&mut sink, queue, &state, limits) => reason,
        ended = session => match ended {
            Ok(()) => Some((CloseCode::Normal, "")),
            Err(_) => Some((CloseCode::Error, "internal error")),
        },
        () = state.overflowed.notified() => {
            Some((CloseCode::Again, state.reason.get().copied().unwrap_or("too slow")))
        }
        _ = stop.wait_for(|stop| *stop) => Some((CloseCode::Away, "the server stops")),
    };
    if let Some((code, reason)) = reason {
        let frame = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
        // The peer may be gone, or read nothing: then there is nobody to tell.
        let _ = time::timeout(FAREWELL, sink.send(Message::Close(Some(frame)))).await;
    }
}

/// Why a connection ends; `None`: there is nobody to be told.
type Reason = Option<(CloseCode, &'static str)>;

async fn read(
    mut stream: SplitStream<HyperWebsocketStream>,
    forward: mpsc::Sender<String>,
    limits: &Limits,
    outbox: Outbox,
    admits: impl Fn() -> bool,
) -> Reason {
    loop {
        let Ok(place) = forward.reserve().await else {
            return Some((CloseCode::Normal, ""));
        };
        // Each ping is answered by a peer that lives.
        let message = match time::timeout(limits.ping * 3, stream.next()).await {
            Err(_) => return Some((CloseCode::Away, "no sign of life")),
            Ok(None) => return None,
            Ok(Some(Err(error))) => return complaint(&error),
            Ok(Some(Ok(message))) => message,
        };
        match message {
            Message::Text(_) if !admits() => {
                outbox.send(super::refusal(-32005, "too many requests"));
            }
            Message::Text(text) => place.send(text.as_str().to_owned()),
            Message::Binary(_) => return Some((CloseCode::Unsupported, "text is expected")),
            // tungstenite answers a close frame itself.
            Message::Close(_) => return None,
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
        }
    }
}

fn complaint(error: &Error) -> Reason {
    match error {
        Error::Capacity(_) => Some((CloseCode::Size, "message too large")),
        Error::Utf8(_) => Some((CloseCode::Invalid, "text is UTF-8")),
        Error::Protocol(_) => Some((CloseCode::Protocol, "not the WebSocket protocol")),
        _ => None,
    }
}

async fn write(
    sink: &mut SplitSink<HyperWebsocketStream, Message>,
    mut queue: mpsc::Receiver<Waiting>,
    state: &State,
    limits: &Limits,
) -> Reason {
    let mut pings = time::interval(limits.ping);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pings.reset();
    loop {
        let (message, length, _place) = tokio::select! {
            message = queue.recv() => match message {
                Some((text, place)) => {
                    let length = text.len();
                    (Message::Text(text), length, Some(place))
                }
                None => return Some((CloseCode::Normal, "")),
            },
            _ = pings.tick() => (Message::Ping(Bytes::new()), 0, None),
        };
        let sent = time::timeout(limits.write, sink.send(message)).await;
        if length > 0 && state.bytes.fetch_sub(length, Ordering::Relaxed) == length {
            state.drained.notify_one();
        }
        match sent {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return None,
            Err(_) => return Some((CloseCode::Again, "too slow")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_share_the_memory_for_what_waits() {
        let (limits, room) = (Limits::default(), Room::new(300_000));
        let text = || "x".repeat(200_000);
        let (first, waiting) = Outbox::new(&limits, &room);
        assert!(first.send(text()));
        let (second, _kept) = Outbox::new(&limits, &room);
        assert!(!second.send(text()));
        assert_eq!(second.state.reason.get(), Some(&"busy"));
        // Its peer is gone.
        drop((first, waiting));
        let (third, _kept) = Outbox::new(&limits, &room);
        assert!(third.send(text()) && !third.send(text()));
    }
}
