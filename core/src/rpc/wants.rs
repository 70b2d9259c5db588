//! What answers need of the state and the store does not have.

#![cfg_attr(not(feature = "light"), allow(dead_code, reason = "nobody asks for it"))]

use crate::{executor::Lack, tree::StateKey};
use alloc::{
    collections::{BTreeMap, BTreeSet},
    string::String,
};
use alloy_primitives::{Address, B256, U256};

/// The state after a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct StateAt {
    pub(super) number: u64,
    pub(super) root: B256,
}

/// What was looked for in vain.
#[derive(Debug, Default)]
pub(super) struct Wants {
    /// Slots by account. The account itself is wanted with them, and may be all that is.
    pub(super) accounts: BTreeMap<(StateAt, Address), BTreeSet<U256>>,
    pub(super) codes: BTreeSet<(StateAt, Address)>,
    /// Calls, as JSON: more than what they were looking for is likely to be wanted by them.
    pub(super) calls: BTreeSet<(StateAt, String)>,
}

impl Wants {
    pub(super) fn is_empty(&self) -> bool {
        self.accounts.is_empty() && self.codes.is_empty()
    }

    pub(super) fn account(&mut self, at: StateAt, address: Address) -> &mut BTreeSet<U256> {
        self.accounts.entry((at, address)).or_default()
    }

    pub(super) fn lack(&mut self, at: StateAt, lack: Lack) {
        match lack {
            Lack::Leaf(key) => {
                let slots = self.account(at, key.address());
                if let StateKey::Storage(_, slot) = key {
                    slots.insert(slot);
                }
            }
            Lack::Code(address) => {
                self.codes.insert((at, address));
            }
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        for ((at, address), slots) in other.accounts {
            self.account(at, address).extend(slots);
        }
        self.codes.extend(other.codes);
        self.calls.extend(other.calls);
    }

    /// A state of which something is wanted.
    pub(super) fn first(&self) -> Option<StateAt> {
        let account = self.accounts.keys().next().map(|(at, _)| *at);
        account.or(self.codes.first().map(|(at, _)| *at))
    }
}
