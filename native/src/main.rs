//! zk-replica on a machine of its own.

mod store;

fn main() {}
