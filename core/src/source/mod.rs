//! Bytes of others become our types.

pub mod datastream;
