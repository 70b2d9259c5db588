//! The data stream over TCP.

use super::Shared;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time;
use zk_replica_core::source::datastream::{Packet, Server};

/// Connections at once; one more is accepted and closed, as by the original.
const CONNECTIONS: usize = 100;
/// Time in which a peer takes nothing of what is sent.
const WRITE: Duration = Duration::from_secs(20);
/// Bytes sent at once, about.
const CHUNK: usize = 64 << 10;

/// Accepts connections for as long as it is polled.
pub(crate) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok((socket, _)) = listener.accept().await else {
            // Most likely there are no file descriptors.
            time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            continue;
        };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            // The peer is gone or out of order: either way the connection ends.
            drop(converse(socket, &shared).await);
            drop(place);
        });
    }
}

async fn converse(mut socket: TcpStream, shared: &Shared) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let (mut server, mut changes) = (Server::new(), shared.changes());
    loop {
        changes.mark_unchanged();
        let packets = server.serve(shared.lock().stream()).map_err(io::Error::other)?;
        send(&mut socket, &packets).await?;
        let mut bytes = [0; 1024];
        tokio::select! {
            read = socket.read(&mut bytes) => match read? {
                0 => return Ok(()),
                length => server.push(&bytes[..length]),
            },
            changed = changes.changed() => changed.map_err(io::Error::other)?,
        }
    }
}

async fn send(socket: &mut TcpStream, packets: &[Packet]) -> io::Result<()> {
    let mut bytes = Vec::new();
    for (index, packet) in packets.iter().enumerate() {
        bytes.extend_from_slice(&packet.encode().map_err(io::Error::other)?);
        if bytes.len() >= CHUNK || index + 1 == packets.len() {
            time::timeout(WRITE, socket.write_all(&bytes)).await??;
            bytes.clear();
        }
    }
    Ok(())
}
