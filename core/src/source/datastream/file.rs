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
            return Err(DecodeError::Truncated { offset, expected: HEADER_PAGE_LEN });
        };
        if offset < header.total_length {
            return Err(DecodeError::Truncated { offset, expected: header.total_length });
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
            return Err(DecodeError::PacketType { offset, found: *found });
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
            return Err(DecodeError::CrossesPage { offset, length: frame.length, left });
        }
        if length > header.total_length - offset {
            return Err(DecodeError::PassesEnd { offset, length, end: header.total_length });
        }
        if frame.number != self.next {
            return Err(DecodeError::EntryNumber { offset, expected: self.next, found: frame.number });
        }
        if self.next >= header.total_entries {
            return Err(DecodeError::EntryCount { expected: header.total_entries, found: self.next + 1 });
        }
        Ok(())
    }

    fn check_count(&self, header: &Header) -> Result<(), DecodeError> {
        if self.next != header.total_entries {
            return Err(DecodeError::EntryCount { expected: header.total_entries, found: self.next });
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
        Self { bytes: alloc::vec![0; HEADER_PAGE], sender, entries: 0 }
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
            return Err(EntryTooLong { length: data.len(), max: Self::MAX_DATA_LEN });
        }
        let offset = self.bytes.len() as u64;
        let page = next_page(offset);
        if (Entry::FRAME_LEN + data.len()) as u64 > page - offset {
            // The first zero is the mark of padding; the rest is what a fresh page holds.
            let gap = usize::try_from(page - offset).expect("less than a page");
            self.bytes.resize(self.bytes.len() + gap, 0);
        }
        let entry = Entry { number: self.entries, kind, data: Bytes::copy_from_slice(data) };
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
        return Err(DecodeError::PacketLength { offset, found: 29, min: 38, max: 38 });
    }
    if header.total_length < HEADER_PAGE_LEN {
        return Err(DecodeError::TotalLength { found: header.total_length });
    }
    let Some(page) = bytes.get(..HEADER_PAGE) else {
        return Ok(None);
    };
    let used = MAGIC.len() + length;
    if let Some(at) = page[used..].iter().position(|byte| *byte != 0) {
        return Err(DecodeError::HeaderPage { offset: (used + at) as u64 });
    }
    Ok(Some(header))
}

/// Where the next page begins, seen from `offset` in a data page (from its first byte: the page after this one).
fn next_page(offset: u64) -> u64 {
    let page = (offset - HEADER_PAGE_LEN) / PAGE_LEN;
    (page + 1).saturating_mul(PAGE_LEN).saturating_add(HEADER_PAGE_LEN)
}

/// Where to go on when the padding of a page begins at `offset`. It may reach the end of the stream, since the streamer
/// cuts a file in front of an entry, wherever that is; but no page is nothing but padding.
fn page_after_padding(offset: u64, header: &Header) -> Result<u64, DecodeError> {
    let page = next_page(offset);
    if page - offset == PAGE_LEN {
        return Err(DecodeError::EmptyPage { offset });
    }
    if page > header.total_length {
        return Err(DecodeError::PassesEnd { offset, length: page - offset, end: header.total_length });
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec;
    use alloy_primitives::hex;
    use proptest::prelude::*;

    const PAGE: usize = 1 << 20;

    fn read(pieces: &[&[u8]]) -> Result<(Vec<Entry>, Header), DecodeError> {
        let mut decoder = FileDecoder::new();
        let mut entries = vec![];
        for piece in pieces {
            decoder.push(piece);
            while let Some(entry) = decoder.next()? {
                entries.push(entry);
            }
        }
        Ok((entries, decoder.finish()?))
    }

    /// A file with one entry of each length.
    fn file(lengths: &[usize]) -> Vec<u8> {
        let mut file = FileEncoder::new();
        for (index, length) in lengths.iter().enumerate() {
            let kind = EntryKind(u32::try_from(index).unwrap_or_default());
            assert_eq!(file.push(kind, &vec![0xab; *length]), Ok(index as u64));
        }
        file.finish()
    }

    /// Lengths of data, by which the entries fill one page to `left` bytes before its end and begin the next.
    fn two_pages(left: usize) -> [usize; 3] {
        [100, PAGE - left - 117 - 17, 50]
    }

    fn set_total_length(file: &mut [u8], length: u64) {
        file[16 + 22..16 + 30].copy_from_slice(&length.to_be_bytes());
    }

    fn set_total_entries(file: &mut [u8], entries: u64) {
        file[16 + 30..16 + 38].copy_from_slice(&entries.to_be_bytes());
    }

    #[test]
    fn small_file_has_the_bytes_of_the_specification() -> Result<(), EntryTooLong> {
        let mut encoder = FileEncoder::new();
        encoder.push(EntryKind::BOOKMARK, &[0x08, 0x01])?;
        encoder.push(EntryKind(6), &[])?;
        let file = encoder.finish();
        let header =
            hex!("01 00000026 02 0000000000000001 0000000000000001 0000000000001024 0000000000000002");
        let entries =
            hex!("02 00000013 000000b0 0000000000000000 0801" "02 00000011 00000006 0000000000000001");
        assert_eq!(file[..16], *b"polygonDATSTREAM");
        assert_eq!(file[16..54], header);
        assert!(file[54..4096].iter().all(|byte| *byte == 0));
        assert_eq!(file[4096..], entries);
        Ok(())
    }

    #[test]
    fn file_without_entries_is_its_header_page() {
        let file = file(&[]);
        assert_eq!(file.len(), 4096);
        let header = Header { sender: Some(Sender::CDK_ERIGON), total_length: 4096, total_entries: 0 };
        assert_eq!(read(&[&file]), Ok((vec![], header)));
    }

    #[test]
    fn entry_that_does_not_fit_begins_the_next_page() -> Result<(), DecodeError> {
        for left in [1, 16, 17, 66] {
            let file = file(&two_pages(left));
            assert_eq!(file.len(), 4096 + PAGE + 67);
            assert_eq!(file[4096 + PAGE - left], 0x00);
            assert_eq!(file[4096 + PAGE], 0x02);
            let (entries, header) = read(&[&file])?;
            assert_eq!(entries.len(), 3);
            assert_eq!(entries[2].number, 2);
            assert_eq!(header.total_length, file.len() as u64);
        }
        Ok(())
    }

    #[test]
    fn full_page_has_no_padding() -> Result<(), DecodeError> {
        // Full with the second entry; full with the third.
        let lengths = [&two_pages(0)[..], &two_pages(67), &[FileEncoder::MAX_DATA_LEN; 2]];
        for (lengths, length) in lengths.into_iter().zip([PAGE + 67, PAGE, 2 * PAGE]) {
            let file = file(lengths);
            assert_eq!(file.len(), 4096 + length);
            assert_eq!(read(&[&file])?.0.len(), lengths.len());
        }
        Ok(())
    }

    #[test]
    fn padding_may_hold_anything_behind_its_mark() {
        let mut file = file(&two_pages(40));
        let whole = read(&[&file]);
        assert!(whole.is_ok());
        file[4096 + PAGE - 39..4096 + PAGE].fill(0x02);
        assert_eq!(read(&[&file]), whole);
    }

    #[test]
    fn bytes_behind_the_end_are_ignored() {
        let file = file(&[3, 4, 5]);
        let whole = read(&[&file]);
        assert!(whole.is_ok());
        for garbage in [&[0x00; 5000][..], &[0x02; 5000], &[0xff; 1]] {
            let longer = [&file, garbage].concat();
            assert_eq!(read(&[&longer]), whole);
            let pieces: Vec<_> = longer.chunks(7).collect();
            assert_eq!(read(&pieces), whole);
        }
    }

    #[test]
    fn pieces_of_any_size_give_the_same_entries() {
        let small = file(&[0, 1, 300]);
        let whole = read(&[&small]);
        assert!(whole.is_ok());
        for size in 1..=small.len() {
            let pieces: Vec<_> = small.chunks(size).collect();
            assert_eq!(read(&pieces), whole, "pieces of {size}");
        }
        let large = file(&two_pages(20));
        let pieces: Vec<_> = large.chunks(1).collect();
        assert_eq!(read(&pieces), read(&[&large]));
    }

    #[test]
    fn decoder_holds_less_than_an_entry() -> Result<(), DecodeError> {
        let file = [file(&[1000; 3000]), vec![0xee; PAGE]].concat();
        let mut decoder = FileDecoder::new();
        for piece in file.chunks(1500) {
            decoder.push(piece);
            while decoder.next()?.is_some() {}
            assert!(decoder.buffer.unread().len() < HEADER_PAGE);
        }
        decoder.finish().map(drop)
    }

    #[test]
    fn file_that_is_cut_is_truncated() {
        let file = file(&[0, 20, 3]);
        let ends = [4096, 4113, 4150];
        for length in 0..file.len() {
            let error = if length < 4096 {
                DecodeError::Truncated { offset: 0, expected: 4096 }
            } else {
                DecodeError::Truncated {
                    offset: ends.into_iter().rfind(|end| *end <= length).unwrap_or_default() as u64,
                    expected: 4170,
                }
            };
            assert_eq!(read(&[&file[..length]]), Err(error), "{length} bytes");
        }
    }

    #[test]
    fn file_that_is_cut_in_the_padding_is_truncated() {
        let file = file(&two_pages(40));
        for length in [4096 + PAGE - 40, 4096 + PAGE - 39, 4096 + PAGE] {
            let error = DecodeError::Truncated { offset: length as u64, expected: file.len() as u64 };
            assert_eq!(read(&[&file[..length]]), Err(error));
        }
    }

    #[test]
    fn end_before_everything_was_taken_is_truncated() {
        let mut decoder = FileDecoder::new();
        decoder.push(&file(&[3]));
        let error = DecodeError::Truncated { offset: 0, expected: 4096 };
        assert_eq!(decoder.finish(), Err(error));
    }

    #[test]
    fn other_magic_is_refused() {
        let mut file = file(&[3]);
        file[15] = b'N';
        let error = DecodeError::Magic { found: *b"polygonDATSTREAN" };
        // At once, not when the page is complete.
        assert_eq!(read(&[&file[..16]]), Err(error));
    }

    #[test]
    fn header_page_holds_nothing_but_the_header() {
        for offset in [54, 4095] {
            let mut file = file(&[3]);
            file[offset] = 1;
            let error = DecodeError::HeaderPage { offset: offset as u64 };
            assert_eq!(read(&[&file]), Err(error));
        }
    }

    #[test]
    fn old_header_is_refused_in_a_file() {
        let mut file = file(&[3]);
        file[20] = 29;
        let error = DecodeError::PacketLength { offset: 16, found: 29, min: 38, max: 38 };
        // Where the old form has the stream type, this one has other bytes: put a 1 there.
        file[21..29].copy_from_slice(&1u64.to_be_bytes());
        assert_eq!(read(&[&file]), Err(error));
    }

    #[test]
    fn total_length_below_the_header_page_is_refused() {
        let mut file = file(&[]);
        set_total_length(&mut file, 4095);
        assert_eq!(read(&[&file]), Err(DecodeError::TotalLength { found: 4095 }));
    }

    #[test]
    fn total_length_within_an_entry_is_refused() {
        let mut file = file(&[3, 4]);
        for end in [4096 + 21, 4096 + 40] {
            set_total_length(&mut file, end);
            let error = DecodeError::PassesEnd { offset: 4096 + 20, length: 21, end };
            assert_eq!(read(&[&file]), Err(error));
        }
    }

    #[test]
    fn total_length_within_the_padding_is_refused() {
        let mut file = file(&two_pages(40));
        let end = (4096 + PAGE - 1) as u64;
        set_total_length(&mut file, end);
        let error = DecodeError::PassesEnd { offset: (4096 + PAGE - 40) as u64, length: 40, end };
        assert_eq!(read(&[&file]), Err(error));
    }

    #[test]
    fn file_may_be_cut_before_or_behind_the_padding() {
        // That is where the streamer truncates when the entry to go first is the first of its page.
        let mut file = file(&two_pages(40));
        set_total_entries(&mut file, 2);
        for end in [4096 + PAGE - 40, 4096 + PAGE] {
            set_total_length(&mut file, end as u64);
            assert_eq!(read(&[&file]).map(|(entries, _)| entries.len()), Ok(2));
        }
    }

    #[test]
    fn total_entries_must_be_right() {
        for (expected, found) in [(0, 1), (2, 3), (4, 3), (u64::MAX, 3)] {
            let mut file = file(&[3, 4, 5]);
            set_total_entries(&mut file, expected);
            assert_eq!(read(&[&file]), Err(DecodeError::EntryCount { expected, found }));
        }
    }

    #[test]
    fn entry_across_the_page_is_refused() {
        let mut file = file(&two_pages(40));
        file.truncate(4096 + PAGE - 40);
        let entry = Entry { number: 2, kind: EntryKind(2), data: vec![0; 24].into() };
        assert_eq!(entry.encode(&mut file), Ok(()));
        let length = file.len() as u64;
        set_total_length(&mut file, length);
        let error = DecodeError::CrossesPage { offset: (4096 + PAGE - 40) as u64, length: 41, left: 40 };
        // The frame is enough to tell.
        assert_eq!(read(&[&file[..4096 + PAGE - 23]]), Err(error));
    }

    #[test]
    fn page_of_padding_is_refused() {
        for start in [4096, 4096 + PAGE] {
            let mut file = file(&two_pages(0));
            file[start] = 0;
            file.resize(4096 + 2 * PAGE, 0);
            set_total_length(&mut file, (4096 + 2 * PAGE) as u64);
            let error = DecodeError::EmptyPage { offset: start as u64 };
            assert_eq!(read(&[&file]), Err(error));
        }
    }

    #[test]
    fn entry_numbers_are_contiguous_from_zero() {
        for (at, expected, found) in [(4096, 0, 1), (4113, 1, 0), (4113, 1, 2), (4113, 1, u64::MAX)] {
            let mut file = file(&[0, 0]);
            file[at + 9..at + 17].copy_from_slice(&found.to_be_bytes());
            let error = DecodeError::EntryNumber { offset: at as u64, expected, found };
            assert_eq!(read(&[&file]), Err(error));
        }
    }

    #[test]
    fn only_entries_and_padding_are_in_a_file() {
        for found in [0x01, 0x03, 0xfe, 0xff] {
            let mut file = file(&[0, 0]);
            file[4113] = found;
            let error = DecodeError::PacketType { offset: 4113, found };
            assert_eq!(read(&[&file[..4114]]), Err(error));
        }
    }

    #[test]
    fn entry_length_is_bounded() {
        for found in [0, 16, (1 << 20) + 18, u32::MAX] {
            let mut file = file(&[0]);
            file[4097..4101].copy_from_slice(&found.to_be_bytes());
            let error = DecodeError::PacketLength { offset: 4096, found, min: 17, max: 1_048_593 };
            assert_eq!(read(&[&file]), Err(error));
        }
    }

    #[test]
    fn error_is_repeated() {
        let mut decoder = FileDecoder::new();
        decoder.push(&[0x55; 16]);
        let error = decoder.next();
        assert!(error.is_err());
        decoder.push(&file(&[3]));
        assert_eq!(decoder.next(), error);
    }

    #[test]
    fn data_larger_than_a_page_is_not_written() {
        let mut file = FileEncoder::new();
        let error = EntryTooLong { length: FileEncoder::MAX_DATA_LEN + 1, max: FileEncoder::MAX_DATA_LEN };
        assert_eq!(file.push(EntryKind(1), &vec![0; PAGE - 16]), Err(error));
        assert_eq!(file.header().total_entries, 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_is_written_is_read(
            entries in proptest::collection::vec((any::<u32>(), 0usize..400_000), 0..12),
            size in 1usize..3_000_000,
        ) {
            let mut encoder = FileEncoder::new();
            for (kind, length) in &entries {
                prop_assert!(encoder.push(EntryKind(*kind), &vec![7; *length]).is_ok());
            }
            let header = encoder.header();
            let file = encoder.finish();
            let pieces: Vec<_> = file.chunks(size).collect();
            let (found, summary) = read(&pieces).map_err(|error| TestCaseError::fail(error.to_string()))?;
            prop_assert_eq!(summary, header);
            let found = found.into_iter().map(|entry| (entry.kind.0, entry.data.len()));
            prop_assert_eq!(found.collect::<Vec<_>>(), entries);
        }

        #[test]
        fn altered_files_are_survived(
            alterations in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
            size in 1usize..5000,
        ) {
            let mut file = file(&[2, 0, 40, 300]);
            for (index, byte) in alterations {
                // The zeros of the header page are not worth many tries.
                let at = index.index(file.len() - 4000);
                let at = if at < 96 { at } else { at + 4000 };
                file[at] = byte;
            }
            let pieces: Vec<_> = file.chunks(size).collect();
            prop_assert_eq!(read(&pieces), read(&[&file]));
        }

        #[test]
        fn any_bytes_are_survived(page: Vec<u8>) {
            let mut file = file(&[]);
            set_total_length(&mut file, u64::MAX);
            set_total_entries(&mut file, u64::MAX);
            file.push(2);
            file.extend(page);
            prop_assert!(read(&[&file]).is_err());
        }
    }
}
