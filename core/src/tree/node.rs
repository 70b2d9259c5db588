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
            Self::Leaf {
                remaining,
                value_hash,
            } => Digest::hash(&concat(*remaining, value_hash.limbs()), &[1, 0, 0, 0]),
        }
    }

    /// The node as bytes: 64 for a branch, left child first; 65 for a leaf, remaining path, value hash and `0x01`.
    /// Digests and remaining path are big-endian scalars (cdk-erigon, `smt/pkg/smt/proof.go`).
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Branch { left, right } => [B256::from(*left), B256::from(*right)].concat(),
            Self::Leaf {
                remaining,
                value_hash,
            } => {
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
            ([remaining, value_hash], [LEAF_MARK]) => Ok(Self::Leaf {
                remaining: digest(remaining)?.limbs(),
                value_hash: digest(value_hash)?,
            }),
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
