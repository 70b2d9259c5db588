//! The content of a file: decompressed, and cut into lines where it has lines. Which it is, the first bytes tell.

use flate2::bufread::MultiGzDecoder;
use std::{
    fs::File,
    io::{self, BufRead, BufReader, Cursor, Read},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// Largest zstd window: 64 MiB, what `zstd --long=26` makes.
const ZSTD_WINDOW_LOG: u32 = 26;

/// Longest line, and longest file that is not read line by line. Real ones have 1.5 MB and 5.5 MB.
const LONGEST: u64 = 256 << 20;

/// How a recorded data stream begins.
const STREAM_MAGIC: &[u8] = b"polygonDATSTREAM";

/// Bytes read at once.
const CHUNK: usize = 256 << 10;

/// What a file turned out to be.
pub(crate) enum Content {
    /// JSON lines.
    Lines(Lines),
    /// One JSON document.
    Document(Vec<u8>),
    /// A recorded data stream.
    Stream(Vec<u8>),
}

/// The lines of a file, without those that are blank. Only one is in memory at a time.
pub(crate) struct Lines {
    /// Lines read ahead to find out what the file is, last one first.
    ahead: Vec<Vec<u8>>,
    reader: Reader,
    number: u64,
}

type Reader = Box<dyn BufRead>;

/// Opens a file; `read` counts its bytes as they are read, before decompression.
pub(crate) fn open(path: &Path, read: &Arc<AtomicU64>) -> io::Result<Content> {
    let mut reader = decompress(Counting { file: File::open(path)?, count: Arc::clone(read) })?;
    let first = line(&mut reader)?;
    if first.starts_with(STREAM_MAGIC) {
        return rest(first, reader).map(Content::Stream);
    }
    let mut ahead = vec![first];
    while ahead.len() == 1 || ahead.last().is_some_and(|line| is_blank(line)) {
        let next = line(&mut reader)?;
        if next.is_empty() {
            return Ok(Content::Document(ahead.concat()));
        }
        ahead.push(next);
    }
    if is_object_per_line(&ahead) {
        ahead.reverse();
        return Ok(Content::Lines(Lines { ahead, reader, number: 0 }));
    }
    rest(ahead.concat(), reader).map(Content::Document)
}

/// A document that spans lines has an opening bracket alone in the first, or goes on indented in the second.
fn is_object_per_line(ahead: &[Vec<u8>]) -> bool {
    let [first, .., second] = ahead else {
        return false;
    };
    let first = first.trim_ascii();
    let whole = first.len() > 1 && first.ends_with(b"}");
    first.starts_with(b"{") && (whole || second.starts_with(b"{"))
}

fn is_blank(line: &[u8]) -> bool {
    line.trim_ascii().is_empty()
}

fn decompress(mut file: impl Read + 'static) -> io::Result<Reader> {
    let mut magic = Vec::with_capacity(4);
    file.by_ref().take(4).read_to_end(&mut magic)?;
    let form = <[u8; 4]>::try_from(magic.as_slice()).unwrap_or_default();
    let whole = BufReader::with_capacity(CHUNK, Cursor::new(magic).chain(file));
    Ok(match form {
        [0x1f, 0x8b, ..] => Box::new(BufReader::with_capacity(CHUNK, MultiGzDecoder::new(whole))),
        [0x28, 0xb5, 0x2f, 0xfd] => {
            let mut decoder = zstd::Decoder::with_buffer(whole)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            Box::new(BufReader::with_capacity(CHUNK, decoder))
        }
        _ => Box::new(whole),
    })
}

/// The next line with its end; empty at the end of the file.
fn line(reader: &mut Reader) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    reader.take(LONGEST + 1).read_until(b'\n', &mut line)?;
    within(line)
}

fn rest(mut bytes: Vec<u8>, reader: Reader) -> io::Result<Vec<u8>> {
    reader.take(LONGEST + 1).read_to_end(&mut bytes)?;
    within(bytes)
}

fn within(bytes: Vec<u8>) -> io::Result<Vec<u8>> {
    if bytes.len() as u64 > LONGEST {
        return Err(io::Error::other(format!("more than {LONGEST} bytes in one piece")));
    }
    Ok(bytes)
}

impl Iterator for Lines {
    /// A line's number, beginning with 1, and the line.
    type Item = (u64, io::Result<Vec<u8>>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let line = self.ahead.pop().map_or_else(|| line(&mut self.reader), Ok);
            self.number += 1;
            match line {
                Ok(line) if line.is_empty() => return None,
                Ok(line) if is_blank(&line) => {}
                line => return Some((self.number, line)),
            }
        }
    }
}

struct Counting {
    file: File,
    count: Arc<AtomicU64>,
}

impl Read for Counting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.file.read(buffer)?;
        self.count.fetch_add(len as u64, Ordering::Relaxed);
        Ok(len)
    }
}
