use super::{super::state::State, recorder::Budget};
use crate::store::StoreError;
use alloc::collections::{BTreeMap, BTreeSet};
use alloy_primitives::{Address, B256, Bytes, U256};
use revm::state::{Account, EvmState};
use serde::Serialize;

/// What of the accounts is recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PrestateConfig {
    /// Only accounts that changed, before and after.
    pub diff_mode: bool,
    /// Without code.
    pub disable_code: bool,
    /// Without storage.
    pub disable_storage: bool,
}

/// Accounts before a transaction, or before and after.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum PrestateTrace {
    /// All that were looked at.
    Accounts(BTreeMap<Address, AccountTrace>),
    /// Those that changed: what they were, and what is different.
    Diff {
        /// Before. Of the storage, the words that changed and were not zero.
        pre: BTreeMap<Address, AccountTrace>,
        /// What is different after. A word that is in `pre` and not here is zero.
        post: BTreeMap<Address, AccountTrace>,
    },
}

/// An account, or what is different about it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AccountTrace {
    /// In wei.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub balance: Option<U256>,
    /// Nonce; not said when it is zero.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nonce: Option<u64>,
    /// Code; not said when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Bytes>,
    /// Words by slot.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub storage: BTreeMap<B256, B256>,
}

/// About what an account takes beside code and storage, and a word of storage.
const ACCOUNT: usize = 200;
const SLOT: usize = 140;

/// The accounts that a transaction loaded, in the state before it.
pub(super) fn of(
    config: PrestateConfig,
    accounts: &EvmState,
    created: &BTreeSet<Address>,
    state: &mut State<'_>,
    budget: &mut Budget,
) -> Result<PrestateTrace, StoreError> {
    let (mut pre, mut post) = (BTreeMap::new(), BTreeMap::new());
    for (address, account) in accounts {
        if !budget.take(ACCOUNT) {
            break;
        }
        let mut before = before(config, *address, account, state, budget)?;
        let is_new = created.contains(address) && before.is_empty();
        if !config.diff_mode {
            if !is_new {
                pre.insert(*address, before);
            }
            continue;
        }
        let after = changes(config, account, &mut before, state, *address)?;
        if let Some(after) = after {
            post.insert(*address, after);
            if !is_new {
                pre.insert(*address, before);
            }
        }
    }
    Ok(if config.diff_mode { PrestateTrace::Diff { pre, post } } else { PrestateTrace::Accounts(pre) })
}

fn before(
    config: PrestateConfig,
    address: Address,
    account: &Account,
    state: &mut State<'_>,
    budget: &mut Budget,
) -> Result<AccountTrace, StoreError> {
    let nonce: u64 = state.nonce(address)?.saturating_to();
    let mut trace = AccountTrace {
        balance: Some(state.balance(address)?),
        nonce: (nonce != 0).then_some(nonce),
        ..AccountTrace::default()
    };
    if !config.disable_code {
        trace.code = Some(state.code(address)?).filter(|code| !code.is_empty());
        budget.take(trace.code.as_ref().map_or(0, |code| 2 * code.len()));
    }
    if !config.disable_storage && budget.take(SLOT * account.storage.len()) {
        let words =
            account.storage.iter().map(|(slot, word)| (B256::from(*slot), word.original_value().into()));
        trace.storage = words.collect();
    }
    Ok(trace)
}

/// What is different about an account, if anything; `before` keeps of its storage what is.
fn changes(
    config: PrestateConfig,
    account: &Account,
    before: &mut AccountTrace,
    state: &mut State<'_>,
    address: Address,
) -> Result<Option<AccountTrace>, StoreError> {
    let info = &account.info;
    let mut after = AccountTrace {
        balance: Some(info.balance).filter(|balance| Some(*balance) != before.balance),
        nonce: Some(info.nonce).filter(|nonce| *nonce != before.nonce.unwrap_or(0)),
        ..AccountTrace::default()
    };
    let code = info.code.as_ref().filter(|code| !code.is_empty()).map(|code| code.original_bytes());
    let mut changed = after.balance.is_some() || after.nonce.is_some();
    if let Some(code) = code
        && code != state.code(address)?
    {
        changed = true;
        after.code = Some(code).filter(|_| !config.disable_code);
    }
    if !config.disable_storage {
        before.storage.clear();
        for (slot, word) in account.changed_storage_slots() {
            changed = true;
            for (trace, value) in [(&mut *before, word.original_value()), (&mut after, word.present_value())]
            {
                if !value.is_zero() {
                    trace.storage.insert(B256::from(*slot), value.into());
                }
            }
        }
    }
    Ok(changed.then_some(after))
}

impl AccountTrace {
    fn is_empty(&self) -> bool {
        self.balance.unwrap_or_default().is_zero() && self.nonce.is_none() && self.code.is_none()
    }
}
