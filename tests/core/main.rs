//! The core on whole chains, recorded and made, with lies and without.
//!
//! One program: what is generic over a store is compiled for its tests once, not once for each file.
#![allow(clippy::panic, reason = "a test that cannot go on says so by a panic")]

mod evidence;
mod forks;
mod l1;
mod lies;
mod light;
mod logs;
mod replay;
mod rollback;
mod rpc;
mod snapshot;
mod trace;
mod witness;
