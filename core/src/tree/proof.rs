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
        let value = self.value.map(|value| Bytes::from(value.to_be_bytes_trimmed_vec()));
        nodes.chain(value).collect()
    }

    /// Its parts, each by its own hash, as stores hold them.
    #[cfg(feature = "light")]
    pub(crate) fn records(&self) -> impl Iterator<Item = (crate::store::Key, Bytes)> {
        use crate::store::Key;
        let nodes = self.nodes.iter().map(|node| (Key::Node(node.digest().into()), node.encode().into()));
        let value = self
            .value
            .map(|value| (Key::Value(hash_value(value).into()), Bytes::from(value.to_be_bytes::<32>())));
        nodes.chain(value)
    }

    /// Reads what [`Proof::encode`] makes, and nothing else.
    pub fn decode(elements: &[Bytes]) -> Result<Self, ProofError> {
        let mut nodes = Vec::new();
        for (position, element) in elements.iter().enumerate() {
            let node = Node::decode(element).map_err(|reason| ProofError::Node { position, reason })?;
            nodes.push(node);
            if let Node::Leaf { value_hash, .. } = node {
                let value = decode_value(&elements[position + 1..], position + 1, value_hash)?;
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
                Node::Leaf { remaining, value_hash } => {
                    let value = self.value.ok_or_else(|| truncated(value_hash))?;
                    check_digest(hash_value(value), value_hash, position + 1)?;
                    let leaf = at.join(&remaining).ok_or(ProofError::Misplaced { position })?;
                    return Ok(if leaf == *path { value } else { U256::ZERO });
                }
            }
        }
        match expected {
            Digest::ZERO => Ok(U256::ZERO),
            missing => Err(truncated(missing)),
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
fn decode_value(rest: &[Bytes], position: usize, hash: Digest) -> Result<U256, ProofError> {
    let [element, trailing @ ..] = rest else {
        return Err(truncated(hash));
    };
    if !trailing.is_empty() {
        return Err(ProofError::Trailing { position: position + 1 });
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
    Err(ProofError::Hash { position, expected: expected.into(), found: found.into() })
}

fn truncated(missing: Digest) -> ProofError {
    ProofError::Truncated { missing: missing.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloy_primitives::{b256, bytes};
    use proptest::prelude::*;

    // A state of three accounts, one of them a contract.
    const ROOT: B256 = b256!("d05c0bc2eb12111c6f85ca4bf72adb9cb8654ec2c74a7946a007e8ef1b9f78fb");

    fn code_hash_of_contract() -> (Path, Vec<Bytes>) {
        let elements = vec![
            bytes!(
                "c9586dbf4126395d54471a77bf55274d398eb37f256019a367548e70e598310cf1a803f8079877e8b331563650ac75ed274d1313c0c1a76c834fa69503bb0f11"
            ),
            bytes!(
                "6a24de1e7f3f1c92e66c31cd5e75f3f50e1761f4c0beceb266be30fd1bcacfc10000000000000000000000000000000000000000000000000000000000000000"
            ),
            bytes!(
                "2f094a1632e9db69983923699d95793dab592f34ccf1e9b95765be13ba7c576e430cffa40508b578ee293e0b5069a7fcb1432e1fb141656f2d0f619ad7719bb3"
            ),
            bytes!(
                "693fd135cf7a359d8937d177a73e620afd0fe222f526876e8df696eb2abe7f1d01c4fbfb0d76826f616236613fd8ff2fd20df493e1447601fb22d9fa2f6f5eb2"
            ),
            bytes!(
                "70f5353bb2bcaf0135160b6e3d6eacaa75e58b299e03e7f704d6bbba78e2e4ab91c428320e48c3b89a5cc38724ef044aa0e55397e10b52878667d7495b59241801"
            ),
            bytes!("c65376cd5a8a93ed1fec578a9925080afacdb60f33417178942761f01efe01c8"),
        ];
        (path(b256!("e1ea6a7765795e036a2c16dc7add5954ebcb16533c07cfee09ad7774f1c5c957")), elements)
    }

    fn nonce_where_another_leaf_stands() -> (Path, Vec<Bytes>) {
        let elements = vec![
            bytes!(
                "c9586dbf4126395d54471a77bf55274d398eb37f256019a367548e70e598310cf1a803f8079877e8b331563650ac75ed274d1313c0c1a76c834fa69503bb0f11"
            ),
            bytes!(
                "973bf75536aac193e3e0962c3ff265bbff5bb08068dbbeaad55ff9665a45345c9b7cd9c10b5610d420d652d60d71a917fd3fd219f2af085fe4e2ff1a24090c81"
            ),
            bytes!(
                "39cebb5cdcdccfe0757dddbc1b92d89052505573997d65e436a889cd197b461296793971e16b1e088a1936b05e2f94ee86892153a0a2c8ea01d11082086b0e2201"
            ),
            bytes!("05"),
        ];
        (path(b256!("15faa3cdb0ce576b3babb01d34e9aa227c116afa588543635fcbe76bde2354ca")), elements)
    }

    fn slot_where_nothing_stands() -> (Path, Vec<Bytes>) {
        let elements = vec![
            bytes!(
                "c9586dbf4126395d54471a77bf55274d398eb37f256019a367548e70e598310cf1a803f8079877e8b331563650ac75ed274d1313c0c1a76c834fa69503bb0f11"
            ),
            bytes!(
                "6a24de1e7f3f1c92e66c31cd5e75f3f50e1761f4c0beceb266be30fd1bcacfc10000000000000000000000000000000000000000000000000000000000000000"
            ),
        ];
        (path(b256!("b308f3c75bb65d5da8fe06b70c9414ee58b812731255ad5599628dd790ca8dcd")), elements)
    }

    fn path(key: B256) -> Path {
        Digest::try_from(key).expect("a key").into()
    }

    fn verify(elements: &[Bytes], root: B256, path: &Path) -> Result<U256, ProofError> {
        Proof::decode(elements)?.verify(root, path)
    }

    #[test]
    fn published_proofs_show_value_and_absence() {
        let code_hash = b256!("c65376cd5a8a93ed1fec578a9925080afacdb60f33417178942761f01efe01c8");
        let cases = [
            (code_hash_of_contract(), code_hash.into()),
            (nonce_where_another_leaf_stands(), U256::ZERO),
            (slot_where_nothing_stands(), U256::ZERO),
        ];
        for ((path, elements), value) in cases {
            assert_eq!(verify(&elements, ROOT, &path), Ok(value));
            assert_eq!(Proof::decode(&elements).map(|proof| proof.encode()), Ok(elements));
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        for (path, elements) in
            [code_hash_of_contract(), nonce_where_another_leaf_stands(), slot_where_nothing_stands()]
        {
            for (position, element) in elements.iter().enumerate() {
                for bit in 0..8 * element.len() {
                    let mut flipped = element.to_vec();
                    flipped[bit / 8] ^= 1 << (bit % 8);
                    let mut elements = elements.clone();
                    elements[position] = flipped.into();
                    let result = verify(&elements, ROOT, &path);
                    assert!(result.is_err(), "element {position}, bit {bit}: {result:?}");
                }
            }
        }
    }

    #[test]
    fn every_lost_or_added_element_is_noticed() {
        for (path, elements) in
            [code_hash_of_contract(), nonce_where_another_leaf_stands(), slot_where_nothing_stands()]
        {
            for position in 0..elements.len() {
                let mut fewer = elements.clone();
                let lost = fewer.remove(position);
                assert!(verify(&fewer, ROOT, &path).is_err(), "without element {position}");
                assert!(verify(&elements[..position], ROOT, &path).is_err(), "{position} elements");
                let more = [elements.as_slice(), &[lost]].concat();
                assert!(verify(&more, ROOT, &path).is_err(), "element {position} added at the end");
            }
        }
    }

    #[test]
    fn limb_beyond_the_field_is_refused() {
        // The remaining path's first element is the prime: it would hash like zero and belong to another key, so that
        // key 0, whose value is 1, would seem absent.
        let root = b256!("42bb2f66296df03552203ae337815976ca9c1bf52cc1bdd59399ede8fea8a822");
        let forged = [
            bytes!(
                "000000000000000000000000000000000000000000000000ffffffff00000001da62fdf84a21108e47969c1f5a6a25b12346a1b4c0f390e8d074b8cee5dcf41501"
            ),
            bytes!("01"),
        ];
        let scalar = B256::from_slice(&forged[0][..32]);
        let refused = ProofError::Node { position: 0, reason: NonCanonical(scalar).into() };
        assert_eq!(verify(&forged, root, &path(B256::ZERO)), Err(refused));

        let honest = [[&[0; 32], &forged[0][32..]].concat().into(), forged[1].clone()];
        assert_eq!(verify(&honest, root, &path(B256::ZERO)), Ok(U256::from(1)));
    }

    #[test]
    fn empty_proof_belongs_to_the_empty_tree() {
        let path = path(B256::ZERO);
        assert_eq!(verify(&[], B256::ZERO, &path), Ok(U256::ZERO));
        assert_eq!(verify(&[], ROOT, &path), Err(ProofError::Truncated { missing: ROOT }));
        assert_eq!(
            verify(&[], B256::repeat_byte(0xff), &path),
            Err(ProofError::Root(NonCanonical(B256::repeat_byte(0xff))))
        );
        let (_, elements) = code_hash_of_contract();
        assert_eq!(verify(&elements, B256::ZERO, &path), Err(ProofError::Trailing { position: 0 }));
    }

    #[test]
    fn value_is_trimmed_and_not_zero() {
        let (path, elements) = nonce_where_another_leaf_stands();
        let with = |values: &[Bytes]| verify(&[&elements[..3], values].concat(), ROOT, &path);
        let refused = Err(ProofError::Value { position: 3 });
        let right = elements[3].clone();
        assert_eq!(with(&[Bytes::new()]), refused);
        assert_eq!(with(&[bytes!("00")]), refused);
        assert_eq!(with(&[[&[0], right.as_ref()].concat().into()]), refused);
        assert_eq!(with(&[vec![1; 33].into()]), refused);
        assert_eq!(with(&[right.clone(), right.clone()]), Err(ProofError::Trailing { position: 4 }));
        assert!(matches!(with(&[]), Err(ProofError::Truncated { .. })));
        assert!(matches!(with(&[bytes!("7777")]), Err(ProofError::Hash { position: 3, .. })));
        assert_eq!(with(&[right]), Ok(U256::ZERO));
    }

    #[test]
    fn proof_does_not_serve_another_path() {
        let (other, _) = code_hash_of_contract();
        let (_, elements) = slot_where_nothing_stands();
        assert!(verify(&elements, ROOT, &other).is_err());
    }

    #[test]
    fn leaf_that_cannot_stand_there_is_refused() {
        let value_hash = hash_value(U256::from(1));
        let leaf = Node::Leaf { remaining: [1 << 63, 0, 0, 0], value_hash };
        let branch = Node::Branch { left: leaf.digest(), right: leaf.digest() };
        let proof = Proof::new(vec![branch, leaf], Some(U256::from(1)));
        let refused = Err(ProofError::Misplaced { position: 1 });
        assert_eq!(proof.verify(branch.digest().into(), &path(B256::ZERO)), refused);
    }

    #[test]
    fn branch_below_all_paths_is_refused() {
        let mut nodes = vec![Node::Branch { left: hash_value(U256::ZERO), right: Digest::ZERO }];
        for _ in 0..256 {
            let left = nodes[0].digest();
            nodes.insert(0, Node::Branch { left, right: Digest::ZERO });
        }
        let root = nodes[0].digest().into();
        assert_eq!(Proof::new(nodes, None).verify(root, &path(B256::ZERO)), Err(ProofError::TooDeep));
    }

    fn element() -> impl Strategy<Value = Bytes> {
        (prop_oneof![Just(64), Just(65), 0..70usize], any::<[u8; 32]>(), 0..3u8).prop_map(
            |(len, seed, last)| {
                let mut bytes: Vec<u8> = seed.iter().cycle().take(len).copied().collect();
                if let Some(mark) = bytes.get_mut(64) {
                    *mark = last;
                }
                bytes.into()
            },
        )
    }

    proptest! {
        #[test]
        fn decoded_proofs_encode(elements in prop::collection::vec(element(), 0..5)) {
            if let Ok(proof) = Proof::decode(&elements) {
                prop_assert!(proof.verify(ROOT, &path(B256::ZERO)).is_err());
                prop_assert_eq!(proof.encode(), elements);
            }
        }
    }
}
