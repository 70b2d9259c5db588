//! `zk-replica` as a program: what its users meet, and what a bad main node, network or disk does to it.
#![allow(clippy::panic, reason = "a test that cannot go on says so by a panic")]
#![allow(
    clippy::std_instead_of_core,
    clippy::std_instead_of_alloc,
    reason = "a test on a host has std, and one name for each item is easier to read"
)]

mod chaos;
mod command;
mod crash;
mod database;
mod devnet;
mod finality;
mod follow;
mod follow_rpc;
mod follower;
mod harness;
mod lies_served;
mod light;
mod server;
