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
//! - Sixteen runs of a level are **merged** into one of the next, so there are few.
//! - The **manifest** says which logs and runs count. It is replaced, together with the head record, by one atomic batch
//!   of sled, after all that it names is on the disk. What it does not name is debris of a crash and removed at opening.
//!
//! # Files
//!
//! | file | is |
//! |---|---|
//! | `format` | text: version, chain id, genesis. Written last at creation: without it there is no database |
//! | `lock` | locked while a process has the database open |
//! | `sled/` | sled's files |
//!
//! # Names in sled
//!
//! A letter, a number (8 bytes) and a part (4 bytes), both big-endian.
//!
//! | name | value |
//! |---|---|
//! | `m` | the manifest, JSON |
//! | `h` | the head record |
//! | `l` number, part | records of a small commit, sorted by key |
//! | `p` run, page | records sorted by key |
//! | `i` run, part | the run's fences (16 bytes each, big-endian), then its filter |
//! | `x` number, part | a record of more than 1 KiB, of which the page has number and length only |
//!
//! Values are kept near 4 KiB, at most 5 (the manifest grows to some 8): see [`record`].

mod error;
mod pages;
mod record;
mod run;
mod sled;
#[cfg(test)]
mod tests;

pub(crate) use self::sled::{Identity, SledStore};
pub(crate) use error::OpenError;

use pages::Pages;
use std::fmt;

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
