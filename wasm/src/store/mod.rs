//! Verified records as a log: in memory, and on the browser's disk when there is one.

mod check;
mod file;
mod index;
mod log;
mod pages;
#[cfg(test)]
mod tests;

pub(crate) use file::{File, FileError};
pub(crate) use log::{Identity, LogStore, OpenError};
