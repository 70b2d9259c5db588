use alloy_primitives::{B256, U256};
use zk_replica_core::{
    store::Key,
    tree::{Node, hash_bytes, hash_value},
};

/// Why a record cannot be what was written. Only those that are called by their own hash can be told.
pub(super) fn foreign(key: &Key, record: &[u8]) -> Option<&'static str> {
    let (named, found): (B256, B256) = match key {
        Key::Node(digest) => match Node::decode(record) {
            Ok(node) => (*digest, node.digest().into()),
            Err(_) => return Some("not a tree node"),
        },
        Key::Value(digest) => match <[u8; 32]>::try_from(record) {
            Ok(value) => (*digest, hash_value(U256::from_be_bytes(value)).into()),
            Err(_) => return Some("not a word"),
        },
        Key::Code(digest) => (*digest, hash_bytes(record)),
        _ => return None,
    };
    (named != found).then_some("its hash is another one")
}
