use super::Refusal;
use crate::{
    store::{Commit, Key, Memory},
    tree::{Node, hash_bytes, hash_value},
    types::BlockRecord,
};
use alloc::{collections::BTreeMap, string::ToString, vec::Vec};
use alloy_primitives::{B256, Bytes, U256};
use alloy_rlp::Decodable;
use serde::{Deserialize, Serialize};

/// Records of the state before, each under the hash that it has: the file has no names for them that could be wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Records(BTreeMap<Key, Bytes>);

/// As they stand in the file: in order of their hashes.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Lists {
    nodes: Vec<Bytes>,
    values: Vec<B256>,
    codes: Vec<Bytes>,
    blocks: Vec<Bytes>,
}

impl Records {
    /// What a check has read. Indexes and the head are not among it.
    pub(super) fn new(read: BTreeMap<Key, Bytes>) -> Self {
        Self(read)
    }

    /// How many bytes they have.
    pub(super) fn len(&self) -> usize {
        self.0.values().map(|record| record.len()).sum()
    }

    /// A store that has them and knows of nothing else.
    pub(super) fn to_store(&self) -> Memory {
        let mut commit = Commit::default();
        self.0.iter().for_each(|(key, record)| commit.put(*key, record.clone()));
        let store = Memory::partial();
        store.write(&commit);
        store
    }

    /// Verified blocks among them.
    pub(super) fn blocks(&self) -> impl Iterator<Item = BlockRecord> {
        let records = self.0.iter().filter(|(key, _)| matches!(key, Key::Block(_)));
        records.filter_map(|(_, record)| BlockRecord::decode(&mut record.as_ref()).ok())
    }

    pub(super) fn to_lists(&self) -> Lists {
        let of = |is: fn(&Key) -> bool| {
            self.0.iter().filter(move |(key, _)| is(key)).map(|(_, record)| record.clone())
        };
        Lists {
            nodes: of(|key| matches!(key, Key::Node(_))).collect(),
            values: of(|key| matches!(key, Key::Value(_)))
                .map(|value| B256::left_padding_from(&value[..value.len().min(32)]))
                .collect(),
            codes: of(|key| matches!(key, Key::Code(_))).collect(),
            blocks: of(|key| matches!(key, Key::Block(_))).collect(),
        }
    }
}

impl TryFrom<Lists> for Records {
    type Error = Refusal;

    /// Hashes each record; a record that was altered has another name then, and will be missed.
    fn try_from(Lists { nodes, values, codes, blocks }: Lists) -> Result<Self, Refusal> {
        let mut records = BTreeMap::new();
        for bytes in nodes {
            let node = Node::decode(&bytes)
                .map_err(|error| Refusal::Record { kind: "tree node", reason: error.to_string() })?;
            records.insert(Key::Node(node.digest().into()), bytes);
        }
        for value in values {
            let key = Key::Value(hash_value(U256::from_be_bytes(value.0)).into());
            records.insert(key, Bytes::copy_from_slice(value.as_slice()));
        }
        for code in codes {
            records.insert(Key::Code(hash_bytes(&code)), code);
        }
        for bytes in blocks {
            let refused = |reason| Refusal::Record { kind: "block record", reason };
            let mut rest = bytes.as_ref();
            let record = BlockRecord::decode(&mut rest).map_err(|error| refused(error.to_string()))?;
            if !rest.is_empty() {
                return Err(refused("bytes follow it".to_string()));
            }
            super::file::within("a block number", record.header.number)?;
            records.insert(Key::Block(record.header.number), bytes);
        }
        Ok(Self(records))
    }
}
