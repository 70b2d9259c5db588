use super::{
    Node, NodeError, NonCanonical,
    digest::{Digest, Path, Position, hash_value},
};
use alloc::vec::Vec;
use alloy_primitives::{B256, Bytes, U256};

/// The nodes on one path, from the root on, and the value of the leaf at their end if there is one.
///
/// It shows the value at the path, or that there is none: because a branch has no child there, because a leaf with
/// another path stands there, or because the tree is empty. Nothing in it is believed before [`Proof::verify`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proof {
    nodes: Vec<Node>,
    value: Option<U256>,
}

impl Proof {
    /// Branches, then a leaf exactly if there is a value.
    pub(super) fn new(nodes: Vec<Node>, value: Option<U256>) -> Self {
        Self { nodes, value }
    }

    /// The form of `zkevm_getProof` (cdk-erigon, `smt/pkg/smt/proof.go`): the nodes as [`Node::encode`] has them, and
    /// after a leaf its value, big-endian without leading zeros, also when the leaf has another path.
    pub fn encode(&self) -> Vec<Bytes> {
        let nodes = self.nodes.iter().map(|node| Bytes::from(node.encode()));
        let value = self
            .value
            .map(|value| Bytes::from(value.to_be_bytes_trimmed_vec()));
        nodes.chain(value).collect()
    }

    /// Reads what [`Proof::encode`] makes, and nothing else.
    pub fn decode(elements: &[Bytes]) -> Result<Self, ProofError> {
        let mut nodes = Vec::new();
        for (position, element) in elements.iter().enumerate() {
            let node = Node::decode(element).map_err(|reason| ProofError::Node { position, reason })?;
            nodes.push(node);
            if let Node::Leaf { .. } = node {
                let value = decode_value(&elements[position + 1..], position + 1)?;
                return Ok(Self::new(nodes, Some(value)));
            }
        }
        Ok(Self::new(nodes, None))
    }

    /// The value at `path` in the tree with this root; zero if the proof shows that there is none.
    pub fn verify(&self, root: B256, path: &Path) -> Result<U256, ProofError> {
        let (mut expected, mut at) = (Digest::try_from(root).map_err(ProofError::Root)?, Position::ROOT);
        for (position, node) in self.nodes.iter().enumerate() {
            if expected.is_zero() {
                return Err(ProofError::Trailing { position });
            }
            check_digest(node.digest(), expected, position)?;
            match *node {
                Node::Branch { .. } if at.is_bottom() => return Err(ProofError::TooDeep),
                Node::Branch { left, right } => {
                    let turn = path.bit(at.depth());
                    expected = if turn { right } else { left };
                    at = at.child(turn);
                }
                Node::Leaf {
                    remaining,
                    value_hash,
                } => {
                    let value = self.value.unwrap_or_default();
                    check_digest(hash_value(value), value_hash, position + 1)?;
                    let leaf = at.join(&remaining).ok_or(ProofError::Misplaced { position })?;
                    return Ok(if leaf == *path { value } else { U256::ZERO });
                }
            }
        }
        if expected.is_zero() {
            Ok(U256::ZERO)
        } else {
            Err(ProofError::Truncated {
                missing: expected.into(),
            })
        }
    }
}

/// Why a proof proves nothing. Positions count its elements from the root, which is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// No tree has such a root.
    #[error("the root cannot be one")]
    Root(#[source] NonCanonical),
    /// An element is not a node.
    #[error("element {position} is not a tree node")]
    Node {
        /// Which element.
        position: usize,
        /// What is wrong with it.
        #[source]
        reason: NodeError,
    },
    /// An element after a leaf is not a leaf's value.
    #[error("element {position} is not a value of 1 to 32 bytes without leading zeros")]
    Value {
        /// Which element.
        position: usize,
    },
    /// An element is not what the one before it (or the root) refers to.
    #[error("element {position} has the hash {found}, not {expected}")]
    Hash {
        /// Which element.
        position: usize,
        /// What the element before it refers to.
        expected: B256,
        /// What the element hashes to.
        found: B256,
    },
    /// A leaf's remaining path does not fit where it stands.
    #[error("the leaf at element {position} cannot stand so deep")]
    Misplaced {
        /// Which element.
        position: usize,
    },
    /// There are more branches than a path has turns.
    #[error("there are more than 256 branches")]
    TooDeep,
    /// The proof goes on where the path has ended.
    #[error("element {position} comes after the end of the path")]
    Trailing {
        /// The first element that should not be there.
        position: usize,
    },
    /// The proof ends before the path does.
    #[error("the proof ends before node or value {missing}")]
    Truncated {
        /// What should come next.
        missing: B256,
    },
}

/// The value after a leaf, which is the last element.
fn decode_value(rest: &[Bytes], position: usize) -> Result<U256, ProofError> {
    let [element, trailing @ ..] = rest else {
        return Err(ProofError::Value { position });
    };
    if !trailing.is_empty() {
        return Err(ProofError::Trailing {
            position: position + 1,
        });
    }
    match element.first() {
        Some(1..) if element.len() <= 32 => Ok(U256::from_be_slice(element)),
        _ => Err(ProofError::Value { position }),
    }
}

fn check_digest(found: Digest, expected: Digest, position: usize) -> Result<(), ProofError> {
    if found == expected {
        return Ok(());
    }
    Err(ProofError::Hash {
        position,
        expected: expected.into(),
        found: found.into(),
    })
}
