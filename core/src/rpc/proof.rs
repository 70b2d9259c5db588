//! `zkevm_getProof` (`spec/state-tree.md` §6.2): what the state tree has at some keys, shown to whoever knows its root.

use super::{
    Error,
    json::Json,
    params::{self, Params},
    view::View,
};
use crate::tree::StateKey;
use alloc::{format, string::String, vec::Vec};
use alloy_primitives::{Address, B256, Bytes, U256};
use serde::Serialize;

/// Slots that one request may ask for: each costs a path down the tree.
const MAX_SLOTS: usize = 1000;

/// An account with proofs against the state root in the block's header.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ProofObject {
    address: Address,
    balance: U256,
    code_hash: B256,
    code_length: U256,
    nonce: U256,
    balance_proof: Vec<Bytes>,
    nonce_proof: Vec<Bytes>,
    code_hash_proof: Vec<Bytes>,
    code_length_proof: Vec<Bytes>,
    storage_proof: Vec<SlotProof>,
}

#[derive(Serialize)]
struct SlotProof {
    key: B256,
    value: U256,
    proof: Vec<Bytes>,
}

impl View<'_> {
    pub(super) fn proof(&self, params: Params<'_>) -> Result<ProofObject, Error> {
        let address = params.address(0)?;
        let slots = match params.get(1) {
            None => Vec::new(),
            Some(list) => slots(list).map_err(|reason| Error::argument(1, reason))?,
        };
        let found = self.state_block(params.selector(2)?)?;
        let prove = |key| self.prove(&found, key);
        let (balance, balance_proof) = prove(StateKey::Balance(address))?;
        let (nonce, nonce_proof) = prove(StateKey::Nonce(address))?;
        let (code_hash, code_hash_proof) = prove(StateKey::CodeHash(address))?;
        let (code_length, code_length_proof) = prove(StateKey::CodeLength(address))?;
        let storage_proof = slots.into_iter().map(|slot| {
            let (value, proof) = prove(StateKey::Storage(address, slot))?;
            Ok(SlotProof { key: slot.into(), value, proof })
        });
        Ok(ProofObject {
            address,
            balance,
            code_hash: code_hash.into(),
            code_length,
            nonce,
            balance_proof,
            nonce_proof,
            code_hash_proof,
            code_length_proof,
            storage_proof: storage_proof.collect::<Result<_, Error>>()?,
        })
    }
}

fn slots(list: &Json<'_>) -> Result<Vec<U256>, String> {
    match list {
        Json::Array(items) if items.len() > MAX_SLOTS => Err(format!("more than {MAX_SLOTS} slots")),
        Json::Array(items) => {
            items.iter().map(|slot| params::string(slot).and_then(params::storage_key)).collect()
        }
        _ => Err("an array was expected".into()),
    }
}
