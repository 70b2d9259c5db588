use super::{Records, Witness};
use crate::tree::{Digest, Node, NonCanonical, Paths, Position, StateKey, hash_bytes, hash_value};
use alloc::vec::Vec;
use alloy_primitives::{Address, B256, Bytes, U256};

/// The only version there is.
pub(super) const VERSION: u8 = 0x01;
/// A branch: which children there are, then the children.
pub(super) const BRANCH: u8 = 0x02;
/// A subtree of which only the digest is told.
pub(super) const HASH: u8 = 0x03;
/// The code of the contract whose code hash comes next.
pub(super) const CODE: u8 = 0x04;
/// A leaf, by its name.
pub(super) const LEAF: u8 = 0x07;

/// CBOR's major type of byte strings; the low five bits are the length, or say how many bytes it has.
pub(super) const STRING: u8 = 0x40;

/// Why bytes are not a witness. `at` counts bytes from the first, which is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WitnessError {
    /// Another version, or another format.
    #[error("the witness has version {0:#04x}, not 0x01")]
    Version(u8),
    /// The witness ends where something has to come.
    #[error("the witness ends at byte {at}, before {expected}")]
    Truncated {
        /// Length of the witness.
        at: usize,
        /// What has to come.
        expected: &'static str,
    },
    /// Not an operator, or one of Ethereum's hexary tree.
    #[error("byte {at} is {found:#04x}, which is no operator of a binary tree")]
    Operator {
        /// Where it stands.
        at: usize,
        /// What stands there.
        found: u8,
    },
    /// A branch has a left child (1), a right one (2), or both (3).
    #[error("byte {at}: a branch with children {found:#04x}, not 1, 2 or 3")]
    Children {
        /// Where it stands.
        at: usize,
        /// What stands there.
        found: u8,
    },
    /// There are five kinds of leaves.
    #[error("byte {at}: a leaf of kind {found:#04x}, not 0 to 4")]
    Kind {
        /// Where it stands.
        at: usize,
        /// What stands there.
        found: u8,
    },
    /// Not the head of a CBOR byte string with at most 32 bits of length.
    #[error("byte {at} is {found:#04x}, which begins no byte string")]
    NotString {
        /// Where it stands.
        at: usize,
        /// What stands there.
        found: u8,
    },
    /// A length that has a shorter encoding.
    #[error("byte {at}: the length {length} has a shorter encoding")]
    LongLength {
        /// Where the byte string begins.
        at: usize,
        /// What it says.
        length: usize,
    },
    /// An address has 20 bytes and a slot 32.
    #[error("byte {at}: {name} has {found} bytes, not {expected}")]
    Length {
        /// Where the byte string begins.
        at: usize,
        /// What it should be.
        name: &'static str,
        /// Its length.
        found: usize,
        /// The length of such a thing.
        expected: usize,
    },
    /// A value has at least one byte, the first of which is not zero, and at most 32.
    #[error("byte {at}: not a value of 1 to 32 bytes without leading zeros")]
    Value {
        /// Where the byte string begins.
        at: usize,
    },
    /// An account without code has no code hash either.
    #[error("byte {at}: the code is empty")]
    EmptyCode {
        /// Where the operator stands.
        at: usize,
    },
    /// Only a code hash follows on a code.
    #[error("byte {at}: no code hash follows on the code")]
    StrayCode {
        /// Where the operator stands.
        at: usize,
    },
    /// The code is not the one that the leaf means.
    #[error("byte {at}: the code has the hash {found}, and its leaf the value {expected}")]
    CodeHash {
        /// Where the operator of the code stands.
        at: usize,
        /// What the leaf says.
        expected: B256,
        /// What the code hashes to.
        found: B256,
    },
    /// A digest is not made of field elements.
    #[error("byte {at}: no subtree has such a digest")]
    Digest {
        /// Where the operator stands.
        at: usize,
        /// What is wrong with it.
        #[source]
        reason: NonCanonical,
    },
    /// An empty subtree is a child that is not there.
    #[error("byte {at}: the digest of an empty subtree")]
    EmptySubtree {
        /// Where the operator stands.
        at: usize,
    },
    /// A leaf's path leads elsewhere.
    #[error("byte {at}: the path of {key} does not lead here")]
    Misplaced {
        /// Where the operator stands.
        at: usize,
        /// The leaf.
        key: StateKey,
    },
    /// A leaf without a sibling would stand higher.
    #[error("byte {at}: a branch over nothing but a leaf")]
    LoneLeaf {
        /// Where the operator of the branch stands.
        at: usize,
    },
    /// The prover takes no node that is below 255 branches (zkevm-prover, `witness2db`).
    #[error("byte {at}: the node is below more than 255 branches")]
    TooDeep {
        /// Where the operator stands.
        at: usize,
    },
    /// Something follows on the tree.
    #[error("the tree ends before byte {at}")]
    Trailing {
        /// The first byte that should not be there.
        at: usize,
    },
}

pub(super) fn decode(bytes: &[u8]) -> Result<Witness, WitnessError> {
    let mut decoder = Decoder {
        reader: Reader { bytes, at: 0 },
        paths: Paths::new(),
        records: Records::default(),
        keys: Vec::new(),
        whole: true,
    };
    match decoder.reader.byte("the version")? {
        VERSION => {}
        other => return Err(WitnessError::Version(other)),
    }
    let root = match decoder.reader.rest() {
        [] => Digest::ZERO,
        _ => decoder.subtree(Position::ROOT)?.digest(),
    };
    match decoder.reader.rest() {
        [] => {
            let Decoder { records, keys, whole, .. } = decoder;
            Ok(Witness { root: root.into(), store: records.into_store(), keys, whole })
        }
        _ => Err(WitnessError::Trailing { at: decoder.reader.at }),
    }
}

/// A subtree that was read.
enum Subtree {
    Pruned(Digest),
    Leaf(Digest),
    Branch(Digest),
}

impl Subtree {
    fn digest(&self) -> Digest {
        match *self {
            Self::Pruned(digest) | Self::Leaf(digest) | Self::Branch(digest) => digest,
        }
    }
}

/// A code that was read before its leaf, and where.
struct Code<'b> {
    at: usize,
    bytes: &'b [u8],
}

struct Decoder<'b> {
    reader: Reader<'b>,
    paths: Paths,
    records: Records,
    keys: Vec<StateKey>,
    /// Nothing was left out so far.
    whole: bool,
}

impl<'b> Decoder<'b> {
    /// The subtree at `place`. At most 256 deep.
    fn subtree(&mut self, place: Position) -> Result<Subtree, WitnessError> {
        let at = self.reader.at;
        if place.is_bottom() {
            return Err(WitnessError::TooDeep { at });
        }
        match self.reader.byte("a node")? {
            BRANCH => self.branch(at, place),
            HASH => self.pruned(at),
            CODE => {
                let code = self.code(at)?;
                let leaf = self.reader.at;
                match self.reader.byte("the code's leaf")? {
                    LEAF => self.leaf(leaf, place, Some(code)),
                    _ => Err(WitnessError::StrayCode { at }),
                }
            }
            LEAF => self.leaf(at, place, None),
            found => Err(WitnessError::Operator { at, found }),
        }
    }

    fn branch(&mut self, at: usize, place: Position) -> Result<Subtree, WitnessError> {
        let (left, right) = match self.reader.byte("a branch's children")? {
            1 => (Some(self.subtree(place.child(false))?), None),
            2 => (None, Some(self.subtree(place.child(true))?)),
            3 => (Some(self.subtree(place.child(false))?), Some(self.subtree(place.child(true))?)),
            found => return Err(WitnessError::Children { at: at + 1, found }),
        };
        if let (Some(Subtree::Leaf(_)), None) | (None, Some(Subtree::Leaf(_))) = (&left, &right) {
            return Err(WitnessError::LoneLeaf { at });
        }
        let [left, right] = [left, right].map(|child| child.map_or(Digest::ZERO, |child| child.digest()));
        Ok(Subtree::Branch(self.keep(&Node::Branch { left, right })))
    }

    fn pruned(&mut self, at: usize) -> Result<Subtree, WitnessError> {
        self.whole = false;
        let digest = B256::from_slice(self.reader.take(32, "a digest")?);
        match Digest::try_from(digest) {
            Ok(Digest::ZERO) => Err(WitnessError::EmptySubtree { at }),
            Ok(digest) => Ok(Subtree::Pruned(digest)),
            Err(reason) => Err(WitnessError::Digest { at, reason }),
        }
    }

    fn code(&mut self, at: usize) -> Result<Code<'b>, WitnessError> {
        match self.reader.string("a code")? {
            [] => Err(WitnessError::EmptyCode { at }),
            bytes => Ok(Code { at, bytes }),
        }
    }

    fn leaf(&mut self, at: usize, place: Position, code: Option<Code<'b>>) -> Result<Subtree, WitnessError> {
        let key = self.key()?;
        let value = self.value()?;
        let path = self.paths.path(key);
        let remaining = path.remaining(place.depth());
        if place.join(&remaining) != Some(path) {
            return Err(WitnessError::Misplaced { at, key });
        }
        match code {
            Some(code) => self.keep_code(&code, key, value)?,
            None if matches!(key, StateKey::CodeHash(_)) => self.whole = false,
            None => {}
        }
        let value_hash = hash_value(value);
        self.records.value(value_hash, value);
        self.keys.push(key);
        Ok(Subtree::Leaf(self.keep(&Node::Leaf { remaining, value_hash })))
    }

    fn key(&mut self) -> Result<StateKey, WitnessError> {
        let at = self.reader.at;
        let kind = self.reader.byte("a leaf's kind")?;
        if kind > 4 {
            return Err(WitnessError::Kind { at, found: kind });
        }
        let address = Address::from(self.reader.array::<20>("an address")?);
        Ok(match kind {
            0 => StateKey::Balance(address),
            1 => StateKey::Nonce(address),
            2 => StateKey::CodeHash(address),
            3 => StateKey::Storage(address, U256::from_be_bytes(self.reader.array::<32>("a slot")?)),
            _ => StateKey::CodeLength(address),
        })
    }

    fn value(&mut self) -> Result<U256, WitnessError> {
        let at = self.reader.at;
        match self.reader.string("a value")? {
            value @ [1..=255, ..] if value.len() <= 32 => Ok(U256::from_be_slice(value)),
            _ => Err(WitnessError::Value { at }),
        }
    }

    fn keep_code(&mut self, code: &Code<'_>, key: StateKey, value: U256) -> Result<(), WitnessError> {
        let at = code.at;
        let StateKey::CodeHash(_) = key else {
            return Err(WitnessError::StrayCode { at });
        };
        let (expected, found) = (B256::from(value), hash_bytes(code.bytes));
        if found != expected {
            return Err(WitnessError::CodeHash { at, expected, found });
        }
        self.records.code(found, Bytes::copy_from_slice(code.bytes));
        Ok(())
    }

    fn keep(&mut self, node: &Node) -> Digest {
        let digest = node.digest();
        self.records.node(digest, node);
        digest
    }
}

/// The bytes, and how many have been read.
struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Reader<'b> {
    fn rest(&self) -> &'b [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn take(&mut self, length: usize, expected: &'static str) -> Result<&'b [u8], WitnessError> {
        let truncated = WitnessError::Truncated { at: self.bytes.len(), expected };
        let taken = self.rest().get(..length).ok_or(truncated)?;
        self.at += length;
        Ok(taken)
    }

    fn byte(&mut self, expected: &'static str) -> Result<u8, WitnessError> {
        self.take(1, expected).map(|byte| byte[0])
    }

    /// A CBOR byte string of definite length (RFC 8949, 3.1), in the shortest form.
    fn string(&mut self, name: &'static str) -> Result<&'b [u8], WitnessError> {
        let at = self.at;
        let head = self.byte(name)?;
        let (width, least) = match head.wrapping_sub(STRING) {
            length @ 0..24 => return self.take(length.into(), name),
            24 => (1, 24),
            25 => (2, 1 << 8),
            26 => (4, 1 << 16),
            _ => return Err(WitnessError::NotString { at, found: head }),
        };
        let length = self.take(width, name)?;
        let length = length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        if length < least {
            return Err(WitnessError::LongLength { at, length });
        }
        self.take(length, name)
    }

    fn array<const N: usize>(&mut self, name: &'static str) -> Result<[u8; N], WitnessError> {
        let at = self.at;
        let bytes = self.string(name)?;
        bytes.try_into().map_err(|_| WitnessError::Length { at, name, found: bytes.len(), expected: N })
    }
}
