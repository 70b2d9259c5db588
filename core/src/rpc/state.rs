//! Accounts after any block.

use super::{
    Error,
    json::Json,
    objects::Members,
    params::{self, Params, Selector, Tag},
    reply::{Outcome, Relay},
    view::View,
};
use crate::store::StoreError;
use alloc::{collections::BTreeSet, format, string::String, vec::Vec};
use alloy_primitives::{Address, B256, Bytes, U256};

/// Slots that one request may ask for: each costs a path down the tree.
const MAX_SLOTS: usize = 1024;

impl View<'_> {
    pub(super) fn balance(&self, params: Params<'_>) -> Result<U256, Error> {
        let address = params.address(0)?;
        let at = self.state_at(params.selector(1)?)?;
        self.with_state_at(at, |state| state.balance(address))
    }

    /// Transactions that wait with the main node count if `pending` is asked for.
    pub(super) fn transaction_count(&self, params: Params<'_>) -> Result<Outcome, Error> {
        let (address, selector) = (params.address(0)?, params.selector(1)?);
        let at = self.state_at(selector)?;
        let verified = self.with_state_at(at, |state| state.nonce(address))?;
        match selector {
            Selector::Tag(Tag::Pending) => {
                let next = match (self.remembering(), u64::try_from(verified)) {
                    (Some(caller), Ok(nonce)) => U256::from(caller.next_nonce(address, nonce)?),
                    _ => verified,
                };
                if next != verified {
                    self.set_from_pool();
                }
                Ok(Outcome::Relay(Relay::Count { verified: next }))
            }
            _ => Outcome::of(&verified),
        }
    }

    pub(super) fn code(&self, params: Params<'_>) -> Result<Bytes, Error> {
        let address = params.address(0)?;
        let at = self.state_at(params.selector(1)?)?;
        self.with_state_at(at, |state| state.code(address))
    }

    /// Many slots of many accounts.
    pub(super) fn storage_values(&self, params: Params<'_>) -> Result<Members<Address, Vec<B256>>, Error> {
        let wanted = params.required(0, slots_by_account)?;
        let at = self.state_at(params.selector(1)?)?;
        self.with_state_at(at, |state| {
            let values = wanted.into_iter().map(|(address, slots)| {
                let words = slots.into_iter().map(|slot| state.slot(address, slot).map(B256::from));
                Ok((address, words.collect::<Result<_, _>>()?))
            });
            values.collect::<Result<_, StoreError>>().map(Members)
        })
    }

    pub(super) fn storage_at(&self, params: Params<'_>) -> Result<B256, Error> {
        let (address, slot) = (params.address(0)?, params.slot(1)?);
        let at = self.state_at(params.selector(2)?)?;
        self.with_state_at(at, |state| state.slot(address, slot).map(B256::from))
    }
}

/// `{address: [slot, ..], ..}`
fn slots_by_account(value: &Json<'_>) -> Result<Vec<(Address, Vec<U256>)>, String> {
    let Json::Object(accounts) = value else {
        return Err("an object was expected".into());
    };
    let (mut wanted, mut known, mut count) = (Vec::new(), BTreeSet::new(), 0);
    for (address, slots) in accounts {
        let Json::Array(slots) = slots else {
            return Err("an array of slots was expected".into());
        };
        count += slots.len();
        if count > MAX_SLOTS {
            return Err(format!("more than {MAX_SLOTS} slots"));
        }
        let slots = slots.iter().map(|slot| params::string(slot).and_then(params::storage_key));
        let address =
            address.as_str().parse().map_err(|_| format!("{:?} is no address", address.as_str()))?;
        if !known.insert(address) {
            return Err(format!("{address} stands twice"));
        }
        wanted.push((address, slots.collect::<Result<_, _>>()?));
    }
    Ok(wanted)
}
