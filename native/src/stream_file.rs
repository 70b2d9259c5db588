//! The recorded data stream as bytes: from a file or standard input, plain or compressed.

use flate2::bufread::MultiGzDecoder;
use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes handed out at once.
const CHUNK: usize = 256 << 10;

/// Largest zstd window: 64 MB, what `zstd --long=26` makes. A frame that asks for more is refused: the header of a
/// hostile file must not decide how much memory is used.
const ZSTD_WINDOW_LOG: u32 = 26;

/// The bytes of a recording, decompressed, in chunks. Memory does not grow with the file.
///
/// How it is compressed is told by the first bytes, not by the name.
pub(crate) struct StreamFile {
    reader: Box<dyn Read + Send>,
    chunk: Vec<u8>,
    compression: Compression,
    path: PathBuf,
    /// Bytes of the file, before decompression.
    read: Arc<AtomicU64>,
}

/// How the file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    /// Not at all.
    Plain,
    /// gzip, one member or several.
    Gzip,
    /// zstd, one frame or several.
    Zstd,
}

/// Why there are no more bytes, although the file has not ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StreamFileError {
    /// It could not be opened.
    #[error("cannot open the stream {path}: {error}", path = name(path))]
    Open {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        error: io::Error,
    },
    /// It could not be read or decompressed.
    #[error("cannot read the stream {path} ({compression}) near byte {at} of the file: {error}", path = name(path))]
    Read {
        /// The file.
        path: PathBuf,
        /// How it is compressed.
        compression: Compression,
        /// Bytes of the file read before.
        at: u64,
        /// What the operating system or the decoder says.
        error: io::Error,
    },
}

impl StreamFile {
    /// Opens the file; `-` is standard input.
    pub(crate) fn open(path: &Path) -> Result<Self, StreamFileError> {
        let opened = || -> io::Result<Box<dyn Read + Send>> {
            if path == Path::new("-") {
                return Ok(Box::new(io::stdin()));
            }
            let file = File::open(path)?;
            if file.metadata()?.is_dir() {
                return Err(io::Error::from(io::ErrorKind::IsADirectory));
            }
            Ok(Box::new(file))
        };
        let file = opened().map_err(|error| StreamFileError::Open { path: path.to_owned(), error })?;
        Self::decompress(file, path.to_owned())
    }

    fn decompress(file: Box<dyn Read + Send>, path: PathBuf) -> Result<Self, StreamFileError> {
        let read = Arc::new(AtomicU64::new(0));
        let mut file = Counting { inner: file, count: Arc::clone(&read) };
        let mut magic = Vec::with_capacity(4);
        let begun = file.by_ref().take(4).read_to_end(&mut magic);
        let compression = match magic.as_slice() {
            [0x1f, 0x8b, ..] => Compression::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd] => Compression::Zstd,
            _ => Compression::Plain,
        };
        let whole = Cursor::new(magic).chain(file);
        let opened = begun.and_then(|_| -> io::Result<Box<dyn Read + Send>> {
            Ok(match compression {
                Compression::Plain => Box::new(whole),
                Compression::Gzip => Box::new(MultiGzDecoder::new(BufReader::with_capacity(64 << 10, whole))),
                Compression::Zstd => {
                    let mut decoder = zstd::Decoder::new(whole)?;
                    decoder.window_log_max(ZSTD_WINDOW_LOG)?;
                    Box::new(decoder)
                }
            })
        });
        let reader = opened.map_err(|error| {
            let (path, at) = (path.clone(), read.load(Ordering::Relaxed));
            StreamFileError::Read { path, compression, at, error }
        })?;
        let chunk = vec![0; CHUNK];
        Ok(Self { reader, chunk, compression, path, read })
    }

    /// The next bytes, at most 256 KiB; `None` at the end.
    pub(crate) fn next_chunk(&mut self) -> Result<Option<&[u8]>, StreamFileError> {
        loop {
            match self.reader.read(&mut self.chunk) {
                Ok(0) => return Ok(None),
                Ok(len) => return Ok(Some(&self.chunk[..len])),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    return Err(StreamFileError::Read {
                        path: self.path.clone(),
                        compression: self.compression,
                        at: self.read.load(Ordering::Relaxed),
                        error,
                    });
                }
            }
        }
    }
}

impl fmt::Debug for StreamFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("StreamFile");
        debug.field("path", &self.path).field("compression", &self.compression);
        debug.field("read", &self.read).finish_non_exhaustive()
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "not compressed",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        })
    }
}

fn name(path: &Path) -> String {
    match path.to_str() {
        Some("-") => "on standard input".to_owned(),
        _ => path.display().to_string(),
    }
}

struct Counting {
    inner: Box<dyn Read + Send>,
    count: Arc<AtomicU64>,
}

impl Read for Counting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.inner.read(buffer)?;
        self.count.fetch_add(len as u64, Ordering::Relaxed);
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::write::GzEncoder;
    use std::io::Write;

    fn content() -> Vec<u8> {
        (0..1_000_000_u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 27) as u8).collect()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn read(bytes: Vec<u8>) -> Result<(Vec<u8>, Compression), StreamFileError> {
        let size = bytes.len() as u64;
        let mut file = StreamFile::decompress(Box::new(Cursor::new(bytes)), "test".into())?;
        let mut all = Vec::new();
        while let Some(chunk) = file.next_chunk()? {
            assert!(!chunk.is_empty() && chunk.len() <= CHUNK);
            all.extend_from_slice(chunk);
        }
        assert_eq!(file.read.load(Ordering::Relaxed), size);
        Ok((all, file.compression))
    }

    #[test]
    fn the_first_bytes_tell_the_compression() {
        let plain = content();
        assert_eq!(read(plain.clone()).unwrap(), (plain.clone(), Compression::Plain));
        assert_eq!(read(gzip(&plain)).unwrap(), (plain.clone(), Compression::Gzip));
        assert_eq!(
            read(zstd::encode_all(&plain[..], 1).unwrap()).unwrap(),
            (plain.clone(), Compression::Zstd)
        );
        for len in 0..6 {
            assert_eq!(read(plain[..len].to_vec()).unwrap(), (plain[..len].to_vec(), Compression::Plain));
        }
    }

    #[test]
    fn members_and_frames_may_follow_each_other() {
        let plain = content();
        let (front, back) = plain.split_at(1234);
        let members = [gzip(front), gzip(back)].concat();
        assert_eq!(read(members).unwrap().0, plain);
        let frames = [zstd::encode_all(front, 1).unwrap(), zstd::encode_all(back, 1).unwrap()].concat();
        assert_eq!(read(frames).unwrap().0, plain);
    }

    #[test]
    fn cut_or_damaged_compression_is_an_error() {
        let plain = content();
        for sound in [gzip(&plain), zstd::encode_all(&plain[..], 1).unwrap()] {
            for len in [4, 5, 20, sound.len() / 2, sound.len() - 1] {
                assert!(matches!(read(sound[..len].to_vec()), Err(StreamFileError::Read { .. })), "{len}");
            }
        }
        let mut damaged = gzip(&plain);
        let end = damaged.len() - 6;
        damaged[end] ^= 1;
        let error = read(damaged).unwrap_err().to_string();
        assert!(error.starts_with("cannot read the stream test (gzip) near byte "), "{error}");
    }

    #[test]
    fn a_zstd_window_beyond_the_limit_is_refused() {
        let compress = |log| {
            let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
            encoder.window_log(log).unwrap();
            encoder.write_all(&content()).unwrap();
            encoder.finish().unwrap()
        };
        assert_eq!(read(compress(26)).unwrap().0, content());
        assert!(read(compress(27)).is_err());
    }

    #[test]
    fn a_missing_file_and_a_directory_are_named() {
        let directory = tempfile::tempdir().unwrap();
        for path in [directory.path().join("none"), directory.path().to_owned()] {
            let error = StreamFile::open(&path).unwrap_err();
            assert!(
                error.to_string().starts_with(&format!("cannot open the stream {}", path.display())),
                "{error}"
            );
        }
    }
}
