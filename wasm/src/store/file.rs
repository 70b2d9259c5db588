use alloc::{boxed::Box, string::String};

/// Bytes that outlive the page: a file of the origin's private file system, or what a script makes of IndexedDB.
pub(crate) trait File {
    /// How many there are.
    fn size(&self) -> Result<u64, FileError>;
    /// Fills `into` from `at` on; less is an error.
    fn read(&self, at: u64, into: &mut [u8]) -> Result<(), FileError>;
    /// Writes all of it, or fails.
    fn write(&self, at: u64, bytes: &[u8]) -> Result<(), FileError>;
    /// What was written is there after a crash.
    fn flush(&self) -> Result<(), FileError>;
    /// Cuts it to `size` bytes.
    fn truncate(&self, size: u64) -> Result<(), FileError>;
}

/// Why the disk does not do what it should.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FileError {
    /// There is no room left for this origin.
    #[error("no room is left: {0}")]
    Quota(String),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl File for Box<dyn File> {
    fn size(&self) -> Result<u64, FileError> {
        (**self).size()
    }

    fn read(&self, at: u64, into: &mut [u8]) -> Result<(), FileError> {
        (**self).read(at, into)
    }

    fn write(&self, at: u64, bytes: &[u8]) -> Result<(), FileError> {
        (**self).write(at, bytes)
    }

    fn flush(&self) -> Result<(), FileError> {
        (**self).flush()
    }

    fn truncate(&self, size: u64) -> Result<(), FileError> {
        (**self).truncate(size)
    }
}
