//! `zkreplica_getRecords`: parts of the state tree and codes, by their hashes. Whoever knows a state root can follow them
//! down from it and needs to trust nobody; so one replica without the state can sit behind any replica that has it.

use super::{
    Error,
    json::Json,
    params::{self, Params},
    view::View,
};
use crate::store::Key;
use alloc::{format, string::String, vec::Vec};
use alloy_primitives::{B256, Bytes};

/// Hashes in one request.
const MAX_RECORDS: usize = 1024;

impl View<'_> {
    /// For each hash the tree node (as [`crate::tree::Node::encode`] has it), the value (32 bytes) or the code that has
    /// it; `None` if there is none.
    pub(super) fn records(&self, params: Params<'_>) -> Result<Vec<Option<Bytes>>, Error> {
        let hashes = params.required(0, hashes)?;
        let mut room = self.rpc.config.limits.response / 2;
        let mut records = Vec::new();
        for hash in hashes {
            let record = self.record(hash)?;
            let length = record.as_ref().map_or(0, |record| record.len());
            room = room.checked_sub(length).ok_or_else(|| Error::server("response too large"))?;
            records.push(record);
        }
        Ok(records)
    }

    fn record(&self, hash: B256) -> Result<Option<Bytes>, Error> {
        for key in [Key::Node(hash), Key::Value(hash), Key::Code(hash)] {
            if let Some(record) = self.get(&key)? {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }
}

fn hashes(list: &Json<'_>) -> Result<Vec<B256>, String> {
    match list {
        Json::Array(items) if items.len() > MAX_RECORDS => Err(format!("more than {MAX_RECORDS} hashes")),
        Json::Array(items) => items.iter().map(params::hash).collect(),
        _ => Err("an array was expected".into()),
    }
}
