//! Accounts after any block.

use super::{
    Error,
    params::{Params, Selector, Tag},
    reply::{Outcome, Relay},
    view::View,
};
use crate::store::Store;
use alloy_primitives::{B256, Bytes, U256};

impl<S: Store> View<'_, S> {
    pub(super) fn balance(&self, params: Params<'_>) -> Result<U256, Error> {
        let address = params.address(0)?;
        let found = self.state_block(params.selector(1)?)?;
        self.with_state(&found, |state| state.balance(address))
    }

    /// Transactions that wait with the main node count if `pending` is asked for.
    pub(super) fn transaction_count(&self, params: Params<'_>) -> Result<Outcome, Error> {
        let (address, selector) = (params.address(0)?, params.selector(1)?);
        let found = self.state_block(selector)?;
        let verified = self.with_state(&found, |state| state.nonce(address))?;
        match selector {
            Selector::Tag(Tag::Pending) => {
                let next = match (self.remembering(), u64::try_from(verified)) {
                    (Some(caller), Ok(nonce)) => U256::from(caller.next_nonce(address, nonce)?),
                    _ => verified,
                };
                Ok(Outcome::Relay(Relay::Count { verified: next }))
            }
            _ => Outcome::of(&verified),
        }
    }

    pub(super) fn code(&self, params: Params<'_>) -> Result<Bytes, Error> {
        let address = params.address(0)?;
        let found = self.state_block(params.selector(1)?)?;
        self.with_state(&found, |state| state.code(address))
    }

    pub(super) fn storage_at(&self, params: Params<'_>) -> Result<B256, Error> {
        let (address, slot) = (params.address(0)?, params.slot(1)?);
        let found = self.state_block(params.selector(2)?)?;
        self.with_state(&found, |state| state.slot(address, slot).map(B256::from))
    }
}
