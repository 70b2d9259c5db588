//! Records on disk: [`SledStore`], an archive over sled.
//!
//! # Why not one value of sled for each record
//!
//! A block writes some sixty records under random keys. sled 0.34 needs 12 to 18 us for one such insert, whatever the
//! cache, the mode and the batches (and gigabytes of memory for large ones): storing would cost more than verifying. It
//! is fast with few, larger values whose names ascend. So records are packed, as a log-structured merge tree does it:
//!
//! - A small commit is appended to a **log**, and kept in memory.
//! - When enough has gathered, or a commit is large, all of it becomes a **run**: records sorted by key, in pages of
//!   4 KiB, under ascending names. A run never changes. In memory it has a fence (the first key's beginning) for each
//!   page and a filter: about two bytes for each record. A lookup reads one page of one run, as a rule.
//! - Sixteen runs of a level are **merged** into one of the next, so there are few: a piece with each commit, so that none
//!   waits for a whole merge. The last piece writes what is held in memory.
//! - The **manifest** is the commit record: it has the head record, and says which logs and runs count. It is replaced by
//!   one atomic batch of sled, after all that it names is on the disk. What it does not name is debris of a crash and
//!   removed at opening.
//!
//! Everything has a checksum (CRC-32 of name and bytes): sled's own say nothing about a page that stands in another's
//! place, and a record that was read wrong would look like a main node that is wrong. Opening checks the commit record,
//! the logs and what runs hold in memory; reading a page checks the page; [`SledStore::scan`] checks all of it.
//!
//! # Files
//!
//! | file | is |
//! |---|---|
//! | `format` | text: version, chain id, genesis. Written last at creation: without it there is no database |
//! | `committed` | how many commits there are at least, checksum: sled forgets the end of a damaged file silently |
//! | `lock` | locked while a process has the database open |
//! | `sled/` | sled's files |
//!
//! # Names in sled
//!
//! A letter, a number (8 bytes) and a part (4 bytes), both big-endian. What is cut into parts has its checksum where its
//! length is: in the manifest, or in the page that names it.
//!
//! | name | value |
//! |---|---|
//! | `m` | the manifest, JSON, checksum |
//! | `l` number, part | records of a small commit, sorted by key |
//! | `p` run, page | records sorted by key, checksum |
//! | `i` run, part | the run's fences (16 bytes each, big-endian), then its filter |
//! | `x` number, part | a record of more than 1 KiB, of which the page has number, length and checksum only |
//!
//! Values are kept near 4 KiB, at most 5 (the manifest grows to some 8): see [`record`].

mod error;
mod pages;
mod record;
mod run;
mod sled;
#[cfg(test)]
mod tests;

pub(crate) use self::sled::{Extent, Identity, SledStore, VERSION, lock};
pub(crate) use error::OpenError;

use pages::Pages;
use std::fmt;

/// What to do about a damaged database.
const REMEDY: &str = "`zk-replica db rebuild --db DIR --stream FILE ...` does it";

/// Something that was once written cannot have been this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Damage(&'static str);

/// Why the files did not do what they should.
#[derive(Debug)]
enum Failure {
    /// The operating system refused.
    Io(String),
    /// sled found its files damaged, or stopped because of them.
    Sled(String),
    /// What sled returned is not what was written.
    Damage(&'static str),
}

impl From<Damage> for Failure {
    fn from(Damage(reason): Damage) -> Self {
        Self::Damage(reason)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(reason) | Self::Sled(reason) => f.write_str(reason),
            Self::Damage(reason) => f.write_str(reason),
        }
    }
}
