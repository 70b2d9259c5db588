use super::digest::{Digest, NonCanonical};
use alloc::vec::Vec;
use alloy_primitives::{B256, U256};

/// A node of the tree. Nothing is stored for an empty subtree, whose digest is [`Digest::ZERO`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    /// A place where paths part. One child may be empty, not both.
    Branch {
        /// Where the next path bit is 0.
        left: Digest,
        /// Where the next path bit is 1.
        right: Digest,
    },
    /// The only leaf below this place.
    Leaf {
        /// The leaf's path without the turns that led here, element by element; each below the field's prime.
        remaining: [u64; 4],
        /// Hash of the value ([`super::hash_value`]).
        value_hash: Digest,
    },
}

impl Node {
    /// The name of the node: `H(left || right, 0)` or `H(remaining || value hash, [1, 0, 0, 0])` (zkevm-commonjs,
    /// `src/smt.js`). One permutation.
    pub fn digest(&self) -> Digest {
        match self {
            Self::Branch { left, right } => Digest::hash(&concat(left.limbs(), right.limbs()), &[0; 4]),
            Self::Leaf { remaining, value_hash } => {
                Digest::hash(&concat(*remaining, value_hash.limbs()), &[1, 0, 0, 0])
            }
        }
    }

    /// The node as bytes: 64 for a branch, left child first; 65 for a leaf, remaining path, value hash and `0x01`.
    /// Digests and remaining path are big-endian scalars (cdk-erigon, `smt/pkg/smt/proof.go`).
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Branch { left, right } => [B256::from(*left), B256::from(*right)].concat(),
            Self::Leaf { remaining, value_hash } => {
                let mut bytes = [U256::from_limbs(*remaining).into(), B256::from(*value_hash)].concat();
                bytes.push(LEAF_MARK);
                bytes
            }
        }
    }

    /// The node that [`Node::encode`] makes these bytes of. Every other input is refused.
    pub fn decode(bytes: &[u8]) -> Result<Self, NodeError> {
        match bytes.as_chunks::<32>() {
            ([left, right], []) => match (digest(left)?, digest(right)?) {
                (Digest::ZERO, Digest::ZERO) => Err(NodeError::EmptyBranch),
                (left, right) => Ok(Self::Branch { left, right }),
            },
            ([remaining, value_hash], [LEAF_MARK]) => {
                Ok(Self::Leaf { remaining: digest(remaining)?.limbs(), value_hash: digest(value_hash)? })
            }
            ([_, _], [mark]) => Err(NodeError::Mark(*mark)),
            _ => Err(NodeError::Length(bytes.len())),
        }
    }
}

/// Why bytes are not a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NodeError {
    /// Neither a branch nor a leaf is so long.
    #[error("a node has 64 or 65 bytes, not {0}")]
    Length(usize),
    /// A leaf ends with `0x01`.
    #[error("a leaf ends with 0x01, not {0:#04x}")]
    Mark(u8),
    /// A child, a value hash or a remaining path is not made of field elements.
    #[error(transparent)]
    NonCanonical(#[from] NonCanonical),
    /// An empty subtree has no node.
    #[error("a branch has two empty children")]
    EmptyBranch,
}

/// The last byte of a leaf.
const LEAF_MARK: u8 = 1;

fn digest(scalar: &[u8; 32]) -> Result<Digest, NonCanonical> {
    B256::from(scalar).try_into()
}

fn concat([a, b, c, d]: [u64; 4], [e, f, g, h]: [u64; 4]) -> [u64; 8] {
    [a, b, c, d, e, f, g, h]
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::b256;
    use proptest::prelude::*;

    const BEYOND: B256 = b256!("000000000000000000000000000000000000000000000000ffffffff00000001");

    fn digests() -> impl Strategy<Value = Digest> {
        any::<[u8; 32]>()
            .prop_filter_map("a limb is too large", |bytes| Digest::try_from(B256::from(bytes)).ok())
    }

    fn nodes() -> impl Strategy<Value = Node> {
        (any::<bool>(), digests(), digests()).prop_map(|(leaf, a, b)| match leaf {
            true => Node::Leaf { remaining: a.limbs(), value_hash: b },
            false => Node::Branch { left: a, right: b },
        })
    }

    #[test]
    fn leaf_at_the_root_has_the_published_digest() {
        let leaf = Node::Leaf { remaining: [0; 4], value_hash: crate::tree::hash_value(U256::from(1)) };
        let root = b256!("42bb2f66296df03552203ae337815976ca9c1bf52cc1bdd59399ede8fea8a822");
        assert_eq!(B256::from(leaf.digest()), root);
    }

    #[test]
    fn only_nodes_decode() {
        let one = B256::with_last_byte(1);
        let leaf = |mark| [one.as_slice(), one.as_slice(), &[mark]].concat();
        assert!(Node::decode(&leaf(1)).is_ok());
        assert_eq!(Node::decode(&leaf(0)), Err(NodeError::Mark(0)));
        assert_eq!(Node::decode(&leaf(1)[..63]), Err(NodeError::Length(63)));
        assert_eq!(Node::decode(&[leaf(1), leaf(1)].concat()), Err(NodeError::Length(130)));
        assert_eq!(Node::decode(&[]), Err(NodeError::Length(0)));
        assert_eq!(Node::decode(&[0; 64]), Err(NodeError::EmptyBranch));
    }

    #[test]
    fn no_limb_may_be_the_prime() {
        let one = B256::with_last_byte(1);
        for marks in [&[][..], &[LEAF_MARK]] {
            for pair in [[BEYOND, one], [one, BEYOND]] {
                let bytes = [pair.concat().as_slice(), marks].concat();
                assert_eq!(Node::decode(&bytes), Err(NonCanonical(BEYOND).into()));
            }
        }
    }

    proptest! {
        #[test]
        fn encoded_nodes_decode(node in nodes()) {
            prop_assert_eq!(Node::decode(&node.encode()), Ok(node));
        }

        #[test]
        fn decoded_bytes_encode(bytes in prop::collection::vec(any::<u8>(), 60..70), mark in 0..3u8) {
            let mut bytes = bytes;
            if let Some(last) = bytes.get_mut(64) {
                *last = mark;
            }
            if let Ok(node) = Node::decode(&bytes) {
                prop_assert_eq!(node.encode(), bytes);
            }
        }
    }
}
