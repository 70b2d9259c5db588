//! The data stream of a CDK main node: every batch, block and transaction in order, over TCP or as a file.
//!
//! Bytes pass through three steps, each of which can be used alone:
//!
//! 1. [`FileDecoder`] cuts a stream file into numbered [`Entry`]s;
//! 2. [`Message::decode`] reads the protobuf inside an entry;
//! 3. [`Assembler`] puts the messages together to batches and blocks.
//!
//! On the wire, [`Command`] is what a client sends and [`PacketDecoder`] takes the place of the file decoder. [`Client`]
//! is the client's side of a whole connection, and [`ForkSearch`] finds out how far two chains agree.
//!
//! Nothing here does I/O: the host hands in bytes as they arrive, in pieces of any size. Everything received is
//! untrusted: each step holds a bounded amount of it, and a violation of the format is a [`DecodeError`], never a
//! panic. Whether what was read is *right* is not asked here: that block numbers are contiguous, that batches agree
//! with their blocks and that roots are reproduced is for the checker to find out.
//!
//! The format is that of `zkevm-data-streamer` (framing, file, commands) and of `datastream.proto` in cdk-erigon
//! (`zk/datastream/proto`). Integers of the framing are big-endian.
//!
//! ```
//! use zk_replica_core::source::datastream::{Assembler, Bookmark, FileDecoder, FileEncoder, Item, Message};
//! use zk_replica_core::types::{BatchKind, BatchStart};
//!
//! let start = BatchStart { number: 7, kind: BatchKind::Regular, fork_id: 9, chain_id: 779 };
//! let mut file = FileEncoder::new();
//! file.push_message(&Message::Bookmark(Bookmark::Batch(7)))?;
//! file.push_message(&Message::BatchStart(start.clone()))?;
//!
//! let mut decoder = FileDecoder::new();
//! let mut assembler = Assembler::new();
//! let mut items = Vec::new();
//! for piece in file.finish().chunks(100) {
//!     decoder.push(piece);
//!     while let Some(entry) = decoder.next()? {
//!         items.extend(assembler.push(entry)?);
//!     }
//! }
//! assert_eq!(decoder.finish()?.total_entries, 2);
//! assembler.finish()?;
//! assert_eq!(items, [Item::BatchStart(start)]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod assembler;
mod buffer;
mod client;
mod entry;
mod error;
mod file;
mod fork_point;
mod header;
mod message;
mod protobuf;
mod server;
mod wire;

pub use assembler::{Assembler, Item, Limits};
pub use client::{Anchor, Client, ClientError, Event, RECENT_BYTES, RECENT_ENTRIES};
pub use entry::{Entry, EntryKind, EntryTooLong};
pub use error::DecodeError;
pub use file::{FileDecoder, FileEncoder, HEADER_PAGE_LEN, MAGIC, PAGE_LEN};
pub use fork_point::{ForkPoint, ForkSearch, Probe};
pub use header::{Header, Sender};
pub use message::{BlockEnd, Bookmark, L2Block, Message, Transaction};
pub use server::{Server, Stream};
pub use wire::{Command, CommandResult, Packet, PacketDecoder, ResultCode};
