//! Re-executes and verifies the blocks of a Polygon zkEVM / CDK rollup. No I/O, no clock, no threads.
#![no_std]

extern crate alloc;

pub mod chain;
pub mod checker;
pub mod executor;
pub mod replica;
pub mod source;
pub mod store;
pub mod tree;
pub mod types;
