use super::DecodeError;
use alloc::vec::Vec;
use alloy_primitives::Bytes;
use core::fmt;

/// One numbered entry of a stream: a protobuf message that has not been looked at yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Position in the stream, from 0 and without gaps.
    pub number: u64,
    /// Which message `data` holds.
    pub kind: EntryKind,
    /// The message ([`super::Message`]), at most [`Entry::MAX_DATA_LEN`] bytes.
    pub data: Bytes,
}

impl Entry {
    /// Bytes in the frame before the data: packet type u8, packet length u32, entry type u32, entry number u64.
    pub const FRAME_LEN: usize = 17;
    /// Most bytes of data in an entry. In a file the frame has to fit in the same page, too.
    pub const MAX_DATA_LEN: usize = 1 << 20;
    /// Packet type of an entry in a file, or in the flow of entries on the wire.
    pub const PACKET_TYPE: u8 = 0x02;

    /// Writes the entry as a packet of type 0x02.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), EntryTooLong> {
        self.encode_as(Self::PACKET_TYPE, out)
    }

    /// Reads a packet of type 0x02 from the front of `bytes`; gives the entry and the packet's length, or `None` when
    /// `bytes` ends within the packet. `offset` is where `bytes` begins, for errors only.
    pub fn decode(bytes: &[u8], offset: u64) -> Result<Option<(Self, usize)>, DecodeError> {
        let Some(frame) = Frame::decode(bytes, offset)? else {
            return Ok(None);
        };
        if frame.packet_type != Self::PACKET_TYPE {
            return Err(DecodeError::PacketType { offset, found: frame.packet_type });
        }
        Ok(frame.entry(bytes))
    }

    /// Writes the entry as a packet of the given type.
    pub(super) fn encode_as(&self, packet_type: u8, out: &mut Vec<u8>) -> Result<(), EntryTooLong> {
        let too_long = || EntryTooLong { length: self.data.len(), max: Self::MAX_DATA_LEN };
        if self.data.len() > Self::MAX_DATA_LEN {
            return Err(too_long());
        }
        let length = u32::try_from(Self::FRAME_LEN + self.data.len()).map_err(|_| too_long())?;
        out.push(packet_type);
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&self.kind.0.to_be_bytes());
        out.extend_from_slice(&self.number.to_be_bytes());
        out.extend_from_slice(&self.data);
        Ok(())
    }
}

/// Type of an entry, as it stands in the frame (`EntryType` in `datastream.proto`). Any number may arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryKind(pub u32);

impl EntryKind {
    /// A batch begins.
    pub const BATCH_START: Self = Self(1);
    /// A block begins.
    pub const L2_BLOCK: Self = Self(2);
    /// A transaction of the block that is open.
    pub const TRANSACTION: Self = Self(3);
    /// The batch that is open ends.
    pub const BATCH_END: Self = Self(4);
    /// A global exit root that came without a block.
    pub const UPDATE_GER: Self = Self(5);
    /// The block that is open ends.
    pub const L2_BLOCK_END: Self = Self(6);
    /// The name of what follows, by which a client can ask for it.
    pub const BOOKMARK: Self = Self(176);
    /// Stands in an answer on the wire for "there is no such entry"; never part of a stream.
    pub const NOT_FOUND: Self = Self(u32::MAX);
}

impl fmt::Display for EntryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::BATCH_START => f.write_str("a batch start"),
            Self::L2_BLOCK => f.write_str("a block"),
            Self::TRANSACTION => f.write_str("a transaction"),
            Self::BATCH_END => f.write_str("a batch end"),
            Self::UPDATE_GER => f.write_str("a global exit root update"),
            Self::L2_BLOCK_END => f.write_str("a block end"),
            Self::BOOKMARK => f.write_str("a bookmark"),
            Self::NOT_FOUND => f.write_str("a not-found marker"),
            Self(other) => write!(f, "of type {other}"),
        }
    }
}

/// Data that does not fit in an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("entry data has {length} bytes, expected at most {max}")]
pub struct EntryTooLong {
    /// Bytes of data.
    pub length: usize,
    /// Most bytes of data that fit.
    pub max: usize,
}

/// The front of an entry packet. The length has been checked against the format's bounds, not against the place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) packet_type: u8,
    /// Bytes in the whole packet, this frame included.
    pub(super) length: u32,
    pub(super) kind: EntryKind,
    pub(super) number: u64,
}

impl Frame {
    const MIN_LEN: u32 = 17;
    const MAX_LEN: u32 = 17 + (1 << 20);

    /// Reads the frame, or `None` when `bytes` ends within it. A bad length is reported as soon as it is known.
    pub(super) fn decode(bytes: &[u8], offset: u64) -> Result<Option<Self>, DecodeError> {
        let Some(([packet_type], rest)) = bytes.split_first_chunk() else {
            return Ok(None);
        };
        let Some((length, rest)) = rest.split_first_chunk() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*length);
        if !(Self::MIN_LEN..=Self::MAX_LEN).contains(&length) {
            return Err(DecodeError::PacketLength {
                offset,
                found: length,
                min: Self::MIN_LEN,
                max: Self::MAX_LEN,
            });
        }
        let Some((kind, rest)) = rest.split_first_chunk() else {
            return Ok(None);
        };
        let Some((number, _)) = rest.split_first_chunk() else {
            return Ok(None);
        };
        Ok(Some(Self {
            packet_type: *packet_type,
            length,
            kind: EntryKind(u32::from_be_bytes(*kind)),
            number: u64::from_be_bytes(*number),
        }))
    }

    /// The entry that this frame begins, and its length as a packet; `None` when `bytes`, which begin with the frame,
    /// end within it.
    pub(super) fn entry(&self, bytes: &[u8]) -> Option<(Entry, usize)> {
        let length = usize::try_from(self.length).ok()?;
        let data = bytes.get(Entry::FRAME_LEN..length)?;
        let entry = Entry { number: self.number, kind: self.kind, data: Bytes::copy_from_slice(data) };
        Some((entry, length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloy_primitives::hex;
    use proptest::prelude::*;

    /// Bookmark of batch 0 as entry 0.
    const FIRST: [u8; 19] = hex!("02 00000013 000000b0 0000000000000000 0801");

    fn first() -> Entry {
        Entry { number: 0, kind: EntryKind::BOOKMARK, data: Bytes::from_static(&[0x08, 0x01]) }
    }

    #[test]
    fn packet_of_the_recording_is_read_and_written() -> Result<(), EntryTooLong> {
        assert_eq!(Entry::decode(&FIRST, 0), Ok(Some((first(), 19))));
        let mut out = vec![];
        first().encode(&mut out)?;
        assert_eq!(out, FIRST);
        Ok(())
    }

    #[test]
    fn packet_that_is_cut_asks_for_more() {
        for length in 0..FIRST.len() {
            assert_eq!(Entry::decode(&FIRST[..length], 0), Ok(None), "{length} bytes");
        }
    }

    #[test]
    fn bytes_behind_the_packet_are_left() {
        let bytes = [&FIRST[..], &[0xaa; 40]].concat();
        assert_eq!(Entry::decode(&bytes, 0), Ok(Some((first(), 19))));
    }

    #[test]
    fn length_out_of_bounds_is_refused_once_it_is_known() {
        for found in [0, 1, 16, 17 + (1 << 20) + 1, u32::MAX] {
            let bytes = [&[0x02], &found.to_be_bytes()[..]].concat();
            let error = DecodeError::PacketLength { offset: 7, found, min: 17, max: 1_048_593 };
            assert_eq!(Entry::decode(&bytes, 7), Err(error));
        }
    }

    #[test]
    fn longest_and_shortest_data_are_read() -> Result<(), EntryTooLong> {
        for length in [0, Entry::MAX_DATA_LEN] {
            let entry = Entry { data: vec![5; length].into(), ..first() };
            let mut bytes = vec![];
            entry.encode(&mut bytes)?;
            assert_eq!(Entry::decode(&bytes, 0), Ok(Some((entry, 17 + length))));
        }
        Ok(())
    }

    #[test]
    fn data_that_is_too_long_is_not_written() {
        let entry = Entry { data: vec![5; Entry::MAX_DATA_LEN + 1].into(), ..first() };
        let mut out = vec![];
        let error = EntryTooLong { length: 1_048_577, max: 1_048_576 };
        assert_eq!(entry.encode(&mut out), Err(error));
        assert!(out.is_empty());
    }

    #[test]
    fn packet_of_another_type_is_refused() {
        let mut bytes = FIRST;
        bytes[0] = 0xfe;
        let error = DecodeError::PacketType { offset: 3, found: 0xfe };
        assert_eq!(Entry::decode(&bytes, 3), Err(error));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(number: u64, kind: u32, data: Vec<u8>) {
            let entry = Entry { number, kind: EntryKind(kind), data: data.into() };
            let mut bytes = vec![];
            prop_assert_eq!(entry.encode(&mut bytes), Ok(()));
            let length = bytes.len();
            prop_assert_eq!(Entry::decode(&bytes, 0), Ok(Some((entry, length))));
        }

        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            let _ = Entry::decode(&bytes, 0);
        }
    }
}
