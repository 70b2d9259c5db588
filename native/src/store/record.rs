//! The bytes of records inside sled's values: names, pages and long values cut into pieces.

use super::Damage;
use crc32fast::Hasher;

/// Values of sled are kept this small. A value or page of sled above 128 KB would become a file of its own, which sled
/// never syncs; with at most 17 entries in a page of sled, 5 KiB each stays far below that.
pub(super) const PIECE: usize = 4096;

/// A longer record is stored in pieces, beside the pages that only name it: merging runs then does not copy it.
pub(super) const LONG: usize = 1024;

/// The first byte of a name in sled.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(super) enum Kind {
    /// What a run needs in memory: fences and filter.
    Index = b'i',
    /// Small commits as they came.
    Log = b'l',
    /// The commit record: which runs and logs count, and the head.
    Manifest = b'm',
    /// Sorted records of a run.
    Page = b'p',
    /// A long record.
    Long = b'x',
}

/// A name in sled: kind, number of the run, log or long record, number of the part. Short enough (22 bytes) that sled
/// keeps it without an allocation.
pub(super) fn name(kind: Kind, id: u64, part: u32) -> [u8; 13] {
    let mut name = [0; 13];
    name[0] = kind as u8;
    name[1..9].copy_from_slice(&id.to_be_bytes());
    name[9..].copy_from_slice(&part.to_be_bytes());
    name
}

/// A record's value as a page holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// In the page.
    Short(&'a [u8]),
    /// In pieces under [`Kind::Long`].
    Long {
        /// Number in the pieces' names.
        id: u64,
        /// Length of all pieces together.
        len: u32,
        /// [`checksum`] of all pieces together.
        sum: u32,
    },
}

/// CRC-32 of the bytes under their name: a value that stands where another one belongs is damage, too.
pub(super) fn checksum(kind: Kind, id: u64, part: u32, bytes: &[u8]) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(&name(kind, id, part));
    hasher.update(bytes);
    hasher.finalize()
}

/// How many bytes [`seal`] appends.
const SEAL: usize = size_of::<u32>();

/// Appends the checksum to a value.
pub(super) fn seal(kind: Kind, id: u64, part: u32, bytes: &mut Vec<u8>) {
    let sum = checksum(kind, id, part, bytes);
    bytes.extend_from_slice(&sum.to_le_bytes());
}

/// How long the value is without its checksum, which must be right.
pub(super) fn unseal(kind: Kind, id: u64, part: u32, bytes: &[u8]) -> Result<usize, Damage> {
    match bytes.split_last_chunk::<SEAL>() {
        Some((content, sum)) if u32::from_le_bytes(*sum) == checksum(kind, id, part, content) => {
            Ok(content.len())
        }
        _ => Err(Damage("a page's checksum is wrong")),
    }
}

const IS_LONG: u8 = 0x80;

/// Appends one record: length of the key with the top bit for long values, length of the value (little-endian), key,
/// value or number and checksum of the long value.
pub(super) fn encode(out: &mut Vec<u8>, key: &[u8], value: Value<'_>) {
    let key_len = u8::try_from(key.len()).expect("keys have at most Key::MAX_LEN bytes");
    let (flag, len) = match value {
        Value::Short(bytes) => (0, u32::try_from(bytes.len()).expect("records are shorter than 4 GB")),
        Value::Long { len, .. } => (IS_LONG, len),
    };
    out.push(key_len | flag);
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(key);
    match value {
        Value::Short(bytes) => out.extend_from_slice(bytes),
        Value::Long { id, sum, .. } => {
            out.extend_from_slice(&id.to_le_bytes());
            out.extend_from_slice(&sum.to_le_bytes());
        }
    }
}

/// How many bytes [`encode`] appends at most.
pub(super) fn most(key: &[u8], record: &[u8]) -> usize {
    5 + key.len() + record.len().min(LONG)
}

/// Takes the first record off `bytes`; `None` at the end.
pub(super) fn decode<'a>(bytes: &mut &'a [u8]) -> Result<Option<(&'a [u8], Value<'a>)>, Damage> {
    const CUT: Damage = Damage("a record is cut short");
    let Some((&[first, a, b, c, d], rest)) = bytes.split_first_chunk::<5>() else {
        return if bytes.is_empty() { Ok(None) } else { Err(CUT) };
    };
    let len = u32::from_le_bytes([a, b, c, d]);
    let (key, rest) = rest.split_at_checked(usize::from(first & !IS_LONG)).ok_or(CUT)?;
    let (value, rest) = if first & IS_LONG == 0 {
        let (value, rest) = rest.split_at_checked(len as usize).ok_or(CUT)?;
        (Value::Short(value), rest)
    } else {
        let (id, rest) = rest.split_first_chunk().ok_or(CUT)?;
        let (sum, rest) = rest.split_first_chunk().ok_or(CUT)?;
        (Value::Long { id: u64::from_le_bytes(*id), len, sum: u32::from_le_bytes(*sum) }, rest)
    };
    *bytes = rest;
    Ok(Some((key, value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back() {
        let mut bytes = Vec::new();
        encode(&mut bytes, b"one", Value::Short(b"short"));
        encode(&mut bytes, b"", Value::Short(b""));
        encode(&mut bytes, b"two", Value::Long { id: 7, len: 9000, sum: 3 });

        let mut rest = bytes.as_slice();
        assert_eq!(decode(&mut rest), Ok(Some((&b"one"[..], Value::Short(b"short")))));
        assert_eq!(decode(&mut rest), Ok(Some((&b""[..], Value::Short(b"")))));
        assert_eq!(decode(&mut rest), Ok(Some((&b"two"[..], Value::Long { id: 7, len: 9000, sum: 3 }))));
        assert_eq!(decode(&mut rest), Ok(None));
    }

    #[test]
    fn a_sealed_value_is_itself_and_stands_where_it_belongs() {
        let mut bytes = b"content".to_vec();
        seal(Kind::Page, 3, 4, &mut bytes);
        assert_eq!(unseal(Kind::Page, 3, 4, &bytes), Ok(7));
        assert!(unseal(Kind::Page, 3, 5, &bytes).is_err());
        assert!(unseal(Kind::Page, 4, 4, &bytes).is_err());
        assert!((0..bytes.len()).all(|len| unseal(Kind::Page, 3, 4, &bytes[..len]).is_err()));
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            assert!(unseal(Kind::Page, 3, 4, &flipped).is_err(), "byte {at}");
        }
    }

    #[test]
    fn a_cut_record_is_damage() {
        let mut bytes = Vec::new();
        encode(&mut bytes, b"key", Value::Short(b"value"));
        for len in 1..bytes.len() {
            assert!(decode(&mut &bytes[..len]).is_err(), "{len} bytes");
        }
    }
}
