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
    pub const CDK_ERIGON: Self = Self { version: 2, system_id: 1 };
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
            return Err(DecodeError::PacketType { offset, found: packet_type });
        }
        let Some(length) = reader.take().map(u32::from_be_bytes) else {
            return Ok(None);
        };
        let packet_len = match length {
            29 => Self::OLD_LEN,
            38 => Self::LEN,
            found => {
                return Err(DecodeError::PacketLength { offset, found, min: 29, max: 38 });
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

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::hex;
    use proptest::prelude::*;

    /// Of the public recording.
    const PACKET: [u8; 38] =
        hex!("01 00000026 02 0000000000000001 0000000000000001 000000000052b886 00000000000087a3");
    const OLD_PACKET: [u8; 29] = hex!("01 0000001d 0000000000000001 000000000052b886 00000000000087a3");

    const HEADER: Header =
        Header { sender: Some(Sender::CDK_ERIGON), total_length: 5_421_190, total_entries: 34_723 };
    const OLD_HEADER: Header = Header { sender: None, ..HEADER };

    #[test]
    fn header_of_the_recording_is_read_and_written() {
        assert_eq!(Header::decode(&PACKET, 0), Ok(Some((HEADER, 38))));
        assert_eq!(HEADER.encode(), PACKET);
    }

    #[test]
    fn old_form_has_no_sender() {
        assert_eq!(Header::decode(&OLD_PACKET, 0), Ok(Some((OLD_HEADER, 29))));
        assert_eq!(OLD_HEADER.encode(), OLD_PACKET);
    }

    #[test]
    fn packet_that_is_cut_asks_for_more() {
        for packet in [&PACKET[..], &OLD_PACKET] {
            for length in 0..packet.len() {
                assert_eq!(Header::decode(&packet[..length], 0), Ok(None), "{length} bytes");
            }
        }
    }

    #[test]
    fn only_the_two_lengths_are_accepted() {
        for found in [0, 28, 30, 37, 39, u32::MAX] {
            let mut packet = PACKET;
            packet[1..5].copy_from_slice(&found.to_be_bytes());
            let error = DecodeError::PacketLength { offset: 16, found, min: 29, max: 38 };
            assert_eq!(Header::decode(&packet[..5], 16), Err(error));
        }
    }

    #[test]
    fn only_a_sequencers_stream_is_accepted() {
        let mut packet = PACKET;
        packet[21] = 2;
        assert_eq!(Header::decode(&packet, 0), Err(DecodeError::StreamType { found: 2 }));
    }

    #[test]
    fn packet_of_another_type_is_refused() {
        let error = DecodeError::PacketType { offset: 5, found: 2 };
        assert_eq!(Header::decode(&[2], 5), Err(error));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            sender: Option<(u8, u64)>,
            total_length: u64,
            total_entries: u64,
        ) {
            let sender = sender.map(|(version, system_id)| Sender { version, system_id });
            let header = Header { sender, total_length, total_entries };
            let bytes = header.encode();
            prop_assert_eq!(Header::decode(&bytes, 0), Ok(Some((header, bytes.len()))));
        }

        #[test]
        fn any_bytes_are_survived(bytes: [u8; 40]) {
            let mut bytes = bytes;
            bytes[0] = 1;
            let _ = Header::decode(&bytes, 0);
        }
    }
}
