use alloc::vec::Vec;

/// Bytes that have arrived and have not been read.
#[derive(Clone, Debug, Default)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    /// How many of `bytes` have been read.
    start: usize,
    /// How many bytes have been read since the beginning of the stream.
    offset: u64,
}

impl Buffer {
    /// An empty buffer at a position in the stream.
    pub(super) fn at(offset: u64) -> Self {
        Self { offset, ..Self::default() }
    }

    /// Adds bytes at the end. What has been read is dropped here, so that reading itself moves nothing.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.start);
        self.start = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// What is left to read.
    pub(super) fn unread(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// The first `N` unread bytes, or `None` when there are fewer.
    pub(super) fn peek<const N: usize>(&self) -> Option<&[u8; N]> {
        self.unread().first_chunk()
    }

    /// Position of the first unread byte in the stream.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Marks bytes as read: `count` of them, or all there are.
    pub(super) fn advance(&mut self, count: usize) {
        let count = count.min(self.unread().len());
        self.start += count;
        self.offset += count as u64;
    }
}
