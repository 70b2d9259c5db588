//! Re-executes and verifies the blocks of a Polygon zkEVM / CDK rollup.
//!
//! A rollup's sequencer, the *main node*, says what every block did. This crate believes none of it:
//!
//! 1. [`source`] turns the main node's bytes into [`types::Block`]s, each split into what execution needs
//!    ([`types::BlockInput`]) and what the main node says came out ([`types::BlockClaims`]).
//! 2. [`executor`] runs the input on the state after the parent block: the EVM with the rollup's rules. It never sees a
//!    claim. What comes out is a list of changed state keys, receipts, and the root of the block info tree.
//! 3. [`tree`] puts the changes into a sparse Merkle tree over Poseidon and gives its new root.
//! 4. [`checker`] compares every claim with what came out. The first that is not true becomes a [`checker::Mismatch`];
//!    what stands all comparisons becomes a [`checker::VerifiedBlock`], which nobody else can make.
//! 5. [`store`] takes what was verified, and nothing else, as one atomic [`store::Commit`].
//!
//! [`evidence`] makes of a mismatch a file with which anyone can repeat the check.
//!
//! [`snapshot`] makes of a state a file to begin from.
//!
//! [`light::Light`] does the same without the state: it holds one root, and what it needs beside comes with proofs.
//!
//! [`replica::Replica`] does this for one item of the stream after the other. [`chain`] says which chain it is. [`rpc`]
//! answers Ethereum's questions from what was verified.
//!
//! There is no I/O here, no clock, no randomness, no thread and no log: the host reads files and sockets, hands in bytes,
//! and brings a [`store::Store`]. The crate is `no_std`, and built for `wasm32v1-none` it imports nothing.
//!
//! "Could not find out" and "is wrong" are different things throughout: a record that is not at hand is a
//! [`store::StoreError`], never a zero and never a mismatch.
//!
//! # Example
//!
//! A chain whose genesis holds one account, and a main node that lies about its root:
//!
//! ```
//! use zk_replica_core::{
//!     chain::{ChainSpec, Genesis},
//!     checker::Claim,
//!     replica::{Halt, Input, Replica},
//!     source::datastream::{Assembler, Bookmark, FileDecoder, FileEncoder, L2Block, Message},
//!     store::Memory,
//!     types::{BatchKind, BatchStart},
//! };
//!
//! let spec = ChainSpec::from_json(br#"{ "chainId": 7 }"#)?;
//! let genesis = Genesis::from_json(
//!     br#"{ "0x00000000000000000000000000000000000000aa": { "balance": "1" } }"#,
//! )?;
//!
//! let mut stream = FileEncoder::new();
//! let start = BatchStart { number: 0, kind: BatchKind::Regular, fork_id: 0, chain_id: 7 };
//! stream.push_message(&Message::Bookmark(Bookmark::Batch(0)))?;
//! stream.push_message(&Message::BatchStart(start))?;
//! stream.push_message(&Message::Bookmark(Bookmark::Block(0)))?;
//! stream.push_message(&Message::L2Block(L2Block::default()))?;
//!
//! let store = Memory::new();
//! let mut replica = Replica::open(spec, genesis, &store)?;
//! let (mut decoder, mut assembler) = (FileDecoder::new(), Assembler::new());
//! decoder.push(&stream.finish());
//! let mut outcome = Ok(());
//! while let Some(entry) = decoder.next()? {
//!     if let Some(item) = assembler.push(entry)? {
//!         outcome = replica.advance(&Input::from(item), &store).map(|_| ());
//!     }
//! }
//! let Err(Halt::Mismatch(mismatch)) = outcome else { panic!("a zero root cannot be true") };
//! assert_eq!((mismatch.block, mismatch.claim), (0, Claim::StateRoot));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![no_std]

extern crate alloc;

pub mod chain;
pub mod checker;
pub mod checkpoint;
pub mod evidence;
pub mod executor;
mod json;
#[cfg(feature = "light")]
pub mod light;
pub mod replica;
pub mod rpc;
pub mod snapshot;
mod sort;
pub mod source;
pub mod store;
pub mod tree;
pub mod types;
