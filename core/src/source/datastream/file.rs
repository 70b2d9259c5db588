use super::buffer::Buffer;
use super::entry::Frame;
use super::{DecodeError, Entry, EntryKind, EntryTooLong, Header, Message, Sender};
use alloc::vec::Vec;
use alloy_primitives::Bytes;

/// The first bytes of a stream file.
pub const MAGIC: &[u8; 16] = b"polygonDATSTREAM";

/// Bytes in the first page, which holds the magic bytes, the header and zeros.
pub const HEADER_PAGE_LEN: u64 = 4096;

/// Bytes in every other page. No entry crosses the end of a page.
pub const PAGE_LEN: u64 = 1 << 20;

/// Reads a stream file (`data-stream.bin`) piece by piece.
///
/// [`push`](Self::push) bytes in order, in pieces of any size, and after each piece take entries with
/// [`next`](Self::next) until there are no more. Between pieces the decoder then holds less than one entry, or header
/// page, of what has been pushed.
///
/// The header says where the stream ends. What is behind is left over from operations that were not committed: it is
/// ignored, whatever it is. The rules are those of `zkevm-data-streamer/datastreamer/streamfile.go`.
///
/// After an error the decoder stays where it is: asked again, it gives the same error.
#[derive(Clone, Debug, Default)]
pub struct FileDecoder {
    buffer: Buffer,
    header: Option<Header>,
    /// Number of the next entry.
    next: u64,
    /// Offset of the page to jump to, when the rest of this one is padding; else not above the current offset.
    jump: u64,
}

impl FileDecoder {
    /// A decoder at the start of a file.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes of the file.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.push(bytes);
    }

    /// What the file says of itself, once that has been read by [`next`](Self::next).
    pub fn header(&self) -> Option<&Header> {
        self.header.as_ref()
    }

    /// The next entry. `None` asks for more bytes; at the end of the stream it is all there ever is.
    #[expect(
        clippy::should_implement_trait,
        reason = "`None` means \"not yet\", which is not what an iterator means by it"
    )]
    pub fn next(&mut self) -> Result<Option<Entry>, DecodeError> {
        let Some(header) = self.read_header()? else {
            return Ok(None);
        };
        loop {
            self.follow_jump();
            let offset = self.buffer.offset();
            if offset == header.total_length {
                self.check_count(&header)?;
                // Whatever else has been pushed is no part of the stream: forget it.
                self.buffer = Buffer::at(offset);
                return Ok(None);
            }
            if offset < self.jump {
                return Ok(None);
            }
            match self.buffer.peek() {
                None => return Ok(None),
                Some([0x00]) => self.jump = page_after_padding(offset, &header)?,
                Some(_) => return self.read_entry(&header),
            }
        }
    }

    /// Ends the file. Says whether everything that the header announced has been read by [`next`](Self::next).
    pub fn finish(self) -> Result<Header, DecodeError> {
        let offset = self.buffer.offset();
        let Some(header) = self.header else {
            return Err(DecodeError::Truncated {
                offset,
                expected: HEADER_PAGE_LEN,
            });
        };
        if offset < header.total_length {
            return Err(DecodeError::Truncated {
                offset,
                expected: header.total_length,
            });
        }
        self.check_count(&header)?;
        Ok(header)
    }

    /// The header, read from its page when that has not been done yet.
    fn read_header(&mut self) -> Result<Option<Header>, DecodeError> {
        if self.header.is_none() {
            self.header = decode_header_page(self.buffer.unread())?;
            if self.header.is_some() {
                self.buffer.advance(HEADER_PAGE);
            }
        }
        Ok(self.header)
    }

    /// Skips as much as there is of the padding.
    fn follow_jump(&mut self) {
        let gap = self.jump.saturating_sub(self.buffer.offset());
        self.buffer.advance(usize::try_from(gap).unwrap_or(usize::MAX));
    }

    /// Reads the entry at the current offset, when all of it is there.
    fn read_entry(&mut self, header: &Header) -> Result<Option<Entry>, DecodeError> {
        let offset = self.buffer.offset();
        let bytes = self.buffer.unread();
        if let [found, ..] = bytes
            && *found != Entry::PACKET_TYPE
        {
            return Err(DecodeError::PacketType {
                offset,
                found: *found,
            });
        }
        let Some(frame) = Frame::decode(bytes, offset)? else {
            return Ok(None);
        };
        self.check_place(&frame, header)?;
        let Some((entry, length)) = frame.entry(bytes) else {
            return Ok(None);
        };
        self.buffer.advance(length);
        self.next += 1;
        Ok(Some(entry))
    }

    /// An entry lies within its page and within the stream, and has the number that is due.
    fn check_place(&self, frame: &Frame, header: &Header) -> Result<(), DecodeError> {
        let offset = self.buffer.offset();
        let length = u64::from(frame.length);
        let left = next_page(offset) - offset;
        if length > left {
            return Err(DecodeError::CrossesPage {
                offset,
                length: frame.length,
                left,
            });
        }
        if length > header.total_length - offset {
            return Err(DecodeError::PassesEnd {
                offset,
                length,
                end: header.total_length,
            });
        }
        if frame.number != self.next {
            return Err(DecodeError::EntryNumber {
                offset,
                expected: self.next,
                found: frame.number,
            });
        }
        if self.next >= header.total_entries {
            return Err(DecodeError::EntryCount {
                expected: header.total_entries,
                found: self.next + 1,
            });
        }
        Ok(())
    }

    fn check_count(&self, header: &Header) -> Result<(), DecodeError> {
        if self.next != header.total_entries {
            return Err(DecodeError::EntryCount {
                expected: header.total_entries,
                found: self.next,
            });
        }
        Ok(())
    }
}

/// Writes a stream file.
///
/// Entries are numbered and placed as the streamer does it; [`finish`](Self::finish) gives a file that ends with the
/// last entry. (The streamer itself goes on with unused pages, which readers ignore.)
#[derive(Clone, Debug)]
pub struct FileEncoder {
    bytes: Vec<u8>,
    sender: Sender,
    entries: u64,
}

impl FileEncoder {
    /// Most bytes of data in one entry of a file: it has to fit in a page together with its frame.
    pub const MAX_DATA_LEN: usize = Entry::MAX_DATA_LEN - Entry::FRAME_LEN;

    /// An empty file that names its sender as cdk-erigon does.
    pub fn new() -> Self {
        Self::with_sender(Sender::CDK_ERIGON)
    }

    /// An empty file with the given sender in its header.
    pub fn with_sender(sender: Sender) -> Self {
        Self {
            bytes: alloc::vec![0; HEADER_PAGE],
            sender,
            entries: 0,
        }
    }

    /// What the file says of itself so far.
    pub fn header(&self) -> Header {
        Header {
            sender: Some(self.sender),
            total_length: self.bytes.len() as u64,
            total_entries: self.entries,
        }
    }

    /// Appends an entry and gives the number that it got.
    pub fn push(&mut self, kind: EntryKind, data: &[u8]) -> Result<u64, EntryTooLong> {
        if data.len() > Self::MAX_DATA_LEN {
            return Err(EntryTooLong {
                length: data.len(),
                max: Self::MAX_DATA_LEN,
            });
        }
        let offset = self.bytes.len() as u64;
        let page = next_page(offset);
        if (Entry::FRAME_LEN + data.len()) as u64 > page - offset {
            // The first zero is the mark of padding; the rest is what a fresh page holds.
            let gap = usize::try_from(page - offset).expect("less than a page");
            self.bytes.resize(self.bytes.len() + gap, 0);
        }
        let entry = Entry {
            number: self.entries,
            kind,
            data: Bytes::copy_from_slice(data),
        };
        entry.encode(&mut self.bytes)?;
        self.entries += 1;
        Ok(entry.number)
    }

    /// Appends a message as an entry and gives the number that it got.
    pub fn push_message(&mut self, message: &Message) -> Result<u64, EntryTooLong> {
        self.push(message.kind(), &message.encode())
    }

    /// The file.
    pub fn finish(self) -> Vec<u8> {
        let header = self.header().encode();
        let mut bytes = self.bytes;
        bytes[..MAGIC.len()].copy_from_slice(MAGIC);
        bytes[MAGIC.len()..][..header.len()].copy_from_slice(&header);
        bytes
    }
}

impl Default for FileEncoder {
    fn default() -> Self {
        Self::new()
    }
}

const HEADER_PAGE: usize = 4096;

/// Reads the first page: magic bytes, a header packet of 38 bytes, zeros. Looks no further than `bytes` go, so that a
/// file of another kind is found out by its first bytes.
fn decode_header_page(bytes: &[u8]) -> Result<Option<Header>, DecodeError> {
    let Some((magic, rest)) = bytes.split_first_chunk() else {
        return Ok(None);
    };
    if magic != MAGIC {
        return Err(DecodeError::Magic { found: *magic });
    }
    let offset = MAGIC.len() as u64;
    let Some((header, length)) = Header::decode(rest, offset)? else {
        return Ok(None);
    };
    if header.sender.is_none() {
        return Err(DecodeError::PacketLength {
            offset,
            found: 29,
            min: 38,
            max: 38,
        });
    }
    if header.total_length < HEADER_PAGE_LEN {
        return Err(DecodeError::TotalLength {
            found: header.total_length,
        });
    }
    let Some(page) = bytes.get(..HEADER_PAGE) else {
        return Ok(None);
    };
    let used = MAGIC.len() + length;
    if let Some(at) = page[used..].iter().position(|byte| *byte != 0) {
        return Err(DecodeError::HeaderPage {
            offset: (used + at) as u64,
        });
    }
    Ok(Some(header))
}

/// Where the next page begins, seen from `offset` in a data page (from its first byte: the page after this one).
fn next_page(offset: u64) -> u64 {
    let page = (offset - HEADER_PAGE_LEN) / PAGE_LEN;
    (page + 1)
        .saturating_mul(PAGE_LEN)
        .saturating_add(HEADER_PAGE_LEN)
}

/// Where to go on when the padding of a page begins at `offset`. It may reach the end of the stream, since the streamer
/// cuts a file in front of an entry, wherever that is; but no page is nothing but padding.
fn page_after_padding(offset: u64, header: &Header) -> Result<u64, DecodeError> {
    let page = next_page(offset);
    if page - offset == PAGE_LEN {
        return Err(DecodeError::EmptyPage { offset });
    }
    if page > header.total_length {
        return Err(DecodeError::PassesEnd {
            offset,
            length: page - offset,
            end: header.total_length,
        });
    }
    Ok(page)
}
