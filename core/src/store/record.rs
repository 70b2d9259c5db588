use alloy_primitives::B256;
use core::fmt;

/// The name of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// A tree node, by its digest. The record is the node's encoding ([`crate::tree::Node`]).
    Node(B256),
    /// A leaf's value, by the value's hash. The record is 32 bytes, big-endian.
    Value(B256),
    /// A contract's code, by its code hash (linear Poseidon). The record is the code.
    Code(B256),
    /// A verified block, by number. The record is a [`crate::types::BlockRecord`] in RLP.
    Block(u64),
    /// The number of a verified block, by its hash. The record is 8 bytes, big-endian.
    BlockNumber(B256),
    /// Where a verified transaction stands, by its hash. The record is a [`crate::types::TransactionPlace`] in RLP.
    TransactionPlace(B256),
    /// Where a verified transaction stands, by the hash that it has in the block info tree. The record is a
    /// [`crate::types::TransactionPlace`] in RLP.
    L2TransactionPlace(B256),
    /// What the logs of 16^level blocks have, the first of them 16^level times `section`. The record is a checksum and a
    /// list of fingerprints.
    LogSection {
        /// 1 and more.
        level: u8,
        /// Counted from 0.
        section: u64,
    },
    /// What the leaf at this path of the state tree is called. The record is [`crate::tree::StateKey::encode`]. It is
    /// written with the leaf, and nothing but a witness needs it.
    LeafName(B256),
    /// The last verified block. The record is a [`crate::types::Head`] in RLP.
    Head,
    /// How far L1 is known to agree. The record is a [`crate::types::Frontier`] in RLP; none before anything was compared.
    Frontier,
}

impl Key {
    /// Longest encoding of a key.
    pub const MAX_LEN: usize = 33;

    /// The key as bytes: a tag, then the digest, or the number in big-endian order. Distinct keys have distinct bytes.
    pub fn encode(&self) -> KeyBytes {
        let section: [u8; 9];
        let (tag, body): (u8, &[u8]) = match self {
            Self::Node(digest) => (b'n', digest.as_slice()),
            Self::Value(digest) => (b'v', digest.as_slice()),
            Self::Code(digest) => (b'c', digest.as_slice()),
            Self::Block(number) => (b'b', &number.to_be_bytes()),
            Self::BlockNumber(hash) => (b'i', hash.as_slice()),
            Self::TransactionPlace(hash) => (b't', hash.as_slice()),
            Self::L2TransactionPlace(hash) => (b'p', hash.as_slice()),
            Self::LogSection { level, section: number } => {
                let [a, b, c, d, e, f, g, h] = number.to_be_bytes();
                section = [*level, a, b, c, d, e, f, g, h];
                (b'l', &section)
            }
            Self::LeafName(path) => (b'k', path.as_slice()),
            Self::Head => (b'h', &[]),
            Self::Frontier => (b'f', &[]),
        };
        let mut bytes = [0; Self::MAX_LEN];
        bytes[0] = tag;
        bytes[1..=body.len()].copy_from_slice(body);
        KeyBytes { bytes, len: 1 + body.len() }
    }
}

impl Key {
    /// The key that [`Key::encode`] makes these bytes of, if there is one.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (tag, body) = bytes.split_first()?;
        let digest = || B256::try_from(body).ok();
        match tag {
            b'n' => digest().map(Self::Node),
            b'v' => digest().map(Self::Value),
            b'c' => digest().map(Self::Code),
            b'b' => body.try_into().ok().map(u64::from_be_bytes).map(Self::Block),
            b'i' => digest().map(Self::BlockNumber),
            b't' => digest().map(Self::TransactionPlace),
            b'p' => digest().map(Self::L2TransactionPlace),
            b'l' => {
                let (level, section) = body.split_first()?;
                let section = section.try_into().ok().map(u64::from_be_bytes)?;
                Some(Self::LogSection { level: *level, section })
            }
            b'k' => digest().map(Self::LeafName),
            b'h' => body.is_empty().then_some(Self::Head),
            b'f' => body.is_empty().then_some(Self::Frontier),
            _ => None,
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(digest) => write!(f, "tree node {digest}"),
            Self::Value(digest) => write!(f, "leaf value {digest}"),
            Self::Code(digest) => write!(f, "contract code {digest}"),
            Self::Block(number) => write!(f, "block {number}"),
            Self::BlockNumber(hash) => write!(f, "number of block {hash}"),
            Self::TransactionPlace(hash) => write!(f, "place of transaction {hash}"),
            Self::L2TransactionPlace(hash) => write!(f, "place of transaction with L2 hash {hash}"),
            Self::LogSection { level, section } => {
                write!(f, "section {section} of level {level} of the log index")
            }
            Self::LeafName(path) => write!(f, "name of the leaf at path {path}"),
            Self::Head => f.write_str("head record"),
            Self::Frontier => f.write_str("record of what L1 has fixed"),
        }
    }
}

/// An encoded [`Key`].
#[derive(Clone, Copy, Debug)]
pub struct KeyBytes {
    bytes: [u8; Key::MAX_LEN],
    len: usize,
}

impl AsRef<[u8]> for KeyBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_was_written() {
        let digest = B256::repeat_byte(7);
        let keys = [
            Key::Node(digest),
            Key::Value(digest),
            Key::Code(digest),
            Key::Block(7),
            Key::BlockNumber(digest),
            Key::TransactionPlace(digest),
            Key::L2TransactionPlace(digest),
            Key::LogSection { level: 2, section: 7 },
            Key::LeafName(digest),
            Key::Head,
            Key::Frontier,
        ];
        for key in keys {
            let bytes = key.encode();
            assert_eq!(Key::decode(bytes.as_ref()), Some(key));
            assert_eq!(Key::decode(&[bytes.as_ref(), &[0]].concat()), None);
        }
    }
}
