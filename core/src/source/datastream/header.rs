use super::DecodeError;
use alloc::vec::Vec;

/// What a stream says of itself: the packet in the header page of a file, and the answer to the command `Header`.
///
/// Layout (big-endian): packet type 0x01, packet length u32, `version` u8, `system_id` u64, stream type u64 (always 1,
/// sequencer), `total_length` u64, `total_entries` u64; 38 bytes in all. Up to v0.1.17 of zkevm-data-streamer the packet
/// had 29 bytes, without `version` and `system_id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Which sender this is: a pair without reliable meaning, absent in the old form.
    pub sender: Option<Sender>,
    /// Bytes of the stream file, from its very start to the end of the last entry.
    pub total_length: u64,
    /// Entries in the stream; they are numbered from 0.
    pub total_entries: u64,
}

/// Version and system id in a [`Header`]. Neither says anything reliable about the stream: cdk-erigon writes a number
/// out of its configuration and 1 for every chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sender {
    /// Nominally 1 for little-endian structs, 2 for protobuf, 3 for protobuf with block ends.
    pub version: u8,
    /// Nominally the chain id.
    pub system_id: u64,
}

impl Sender {
    /// What cdk-erigon writes by default.
    pub const CDK_ERIGON: Self = Self {
        version: 2,
        system_id: 1,
    };
}

impl Header {
    /// Packet type of a header.
    pub const PACKET_TYPE: u8 = 0x01;
    /// Bytes in the packet.
    pub const LEN: usize = 38;
    /// Bytes in the packet of old streamers.
    pub const OLD_LEN: usize = 29;
    const STREAM_TYPE: u64 = 1;

    /// The packet: of the old form when there is no `sender`.
    pub fn encode(&self) -> Vec<u8> {
        let length: u32 = if self.sender.is_some() { 38 } else { 29 };
        let mut out = Vec::with_capacity(Self::LEN);
        out.push(Self::PACKET_TYPE);
        out.extend_from_slice(&length.to_be_bytes());
        if let Some(sender) = self.sender {
            out.push(sender.version);
            out.extend_from_slice(&sender.system_id.to_be_bytes());
        }
        out.extend_from_slice(&Self::STREAM_TYPE.to_be_bytes());
        out.extend_from_slice(&self.total_length.to_be_bytes());
        out.extend_from_slice(&self.total_entries.to_be_bytes());
        out
    }

    /// Reads a header packet of either form from the front of `bytes`; gives the header and the packet's length, or
    /// `None` when `bytes` ends within the packet. `offset` is where `bytes` begins, for errors only.
    pub fn decode(bytes: &[u8], offset: u64) -> Result<Option<(Self, usize)>, DecodeError> {
        let mut reader = Reader(bytes);
        let Some([packet_type]) = reader.take() else {
            return Ok(None);
        };
        if packet_type != Self::PACKET_TYPE {
            return Err(DecodeError::PacketType {
                offset,
                found: packet_type,
            });
        }
        let Some(length) = reader.take().map(u32::from_be_bytes) else {
            return Ok(None);
        };
        let packet_len = match length {
            29 => Self::OLD_LEN,
            38 => Self::LEN,
            found => {
                return Err(DecodeError::PacketLength {
                    offset,
                    found,
                    min: 29,
                    max: 38,
                });
            }
        };
        let Some((stream_type, header)) = reader.body(packet_len) else {
            return Ok(None);
        };
        if stream_type != Self::STREAM_TYPE {
            return Err(DecodeError::StreamType { found: stream_type });
        }
        Ok(Some((header, packet_len)))
    }
}

/// Takes fields of fixed length from the front of the bytes.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }

    /// What follows the length: the stream type and the rest.
    fn body(&mut self, packet_len: usize) -> Option<(u64, Header)> {
        let sender = if packet_len == Header::LEN {
            let [version] = self.take()?;
            let system_id = u64::from_be_bytes(self.take()?);
            Some(Sender { version, system_id })
        } else {
            None
        };
        let stream_type = u64::from_be_bytes(self.take()?);
        let header = Header {
            sender,
            total_length: u64::from_be_bytes(self.take()?),
            total_entries: u64::from_be_bytes(self.take()?),
        };
        Some((stream_type, header))
    }
}
