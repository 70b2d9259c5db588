//! Bytes of others become our types, and our requests become bytes.
//!
//! A source decodes strictly and within bounds; whether what it decoded is *true* is the checker's business.

pub mod batch_data;
pub mod datastream;
pub mod l1;
pub mod main_node;
pub mod sequence;
pub mod witness;
