//! `eth_call` and `eth_estimateGas` (`spec/rpc.md` §5).

use super::{
    Error,
    json::Json,
    params::{self, Params},
    view::{Found, StateError, View},
};
use crate::{
    executor::{AccessListResult, AccountOverride, Call, CallContext, CallError, CallOutcome, State},
    store::StoreError,
};
use alloc::{
    collections::{BTreeMap, BTreeSet},
    format,
    string::String,
    vec::Vec,
};
use alloy_primitives::{Address, B256, Bytes, TxKind, U64, U256};
use serde::Serialize;

/// What a call asks for, before the chain has a say.
pub(super) struct Wanted {
    pub(super) call: Call,
    pub(super) accounts: Vec<(Address, AccountOverride)>,
    pub(super) block: BlockOverride,
}

/// What a call sees of its block instead of what the chain has.
#[derive(Default)]
pub(super) struct BlockOverride {
    number: Option<u64>,
    timestamp: Option<u64>,
    gas_limit: Option<u64>,
    coinbase: Option<Address>,
}

/// What `eth_createAccessList` gives.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AccessListObject {
    access_list: Vec<AccessItem>,
    gas_used: U64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AccessItem {
    address: Address,
    storage_keys: Vec<B256>,
}

impl View<'_> {
    pub(super) fn call(&self, params: Params<'_>) -> Result<Bytes, Error> {
        let wanted = self.wanted(params)?;
        let found = self.state_block(params.selector(1)?)?;
        let context = self.context(&found, &wanted.block)?;
        let result = self.with_call_state(&found, params, &wanted, |state| {
            apply(&wanted.accounts, state)?;
            context.call(&wanted.call, state)
        })?;
        let output = match result.outcome {
            CallOutcome::Success(output) => output,
            outcome => return Err(failure(outcome)),
        };
        let limit = self.rpc.config.limits.return_data;
        if output.len() > limit {
            let length = output.len();
            return Err(Error::server(format!(
                "call returned result on length {length} exceeding --rpc.returndata.limit {limit}"
            )));
        }
        Ok(output)
    }

    pub(super) fn estimate_gas(&self, params: Params<'_>) -> Result<U64, Error> {
        let wanted = self.wanted(params)?;
        let found = self.state_block(params.selector(1)?)?;
        let context = self.context(&found, &wanted.block)?;
        let gas = self.with_call_state(&found, params, &wanted, |state| {
            apply(&wanted.accounts, state)?;
            context.estimate_gas(&wanted.call, state)
        })?;
        Ok(U64::from(gas))
    }

    /// What an access list would have to name for all that the call looks at to be warm.
    pub(super) fn create_access_list(&self, params: Params<'_>) -> Result<AccessListObject, Error> {
        let wanted = self.wanted(params)?;
        let found = self.state_block(params.selector(1)?)?;
        let context = self.context(&found, &wanted.block)?;
        let AccessListResult { access_list, result } =
            self.with_call_state(&found, params, &wanted, |state| {
                apply(&wanted.accounts, state)?;
                context.access_list(&wanted.call, state)
            })?;
        let error = match result.outcome {
            CallOutcome::Success(_) => None,
            outcome => Some(failure(outcome).message.clone()),
        };
        let items =
            access_list.into_iter().map(|(address, storage_keys)| AccessItem { address, storage_keys });
        Ok(AccessListObject { access_list: items.collect(), gas_used: U64::from(result.gas_used), error })
    }

    fn wanted(&self, params: Params<'_>) -> Result<Wanted, Error> {
        self.wanted_with(params, [(params.get(2), 2), (params.get(3), 3)])
    }

    /// With overrides of accounts and block, and the positions of the parameters where they stand.
    pub(super) fn wanted_with(
        &self,
        params: Params<'_>,
        [(accounts_json, accounts_at), (block_json, block_at)]: [(Option<&Json<'_>>, usize); 2],
    ) -> Result<Wanted, Error> {
        let object = params.required(0, |value| match value {
            Json::Object(_) => Ok(value),
            _ => Err("an object was expected".into()),
        })?;
        let spec = &self.rpc.spec;
        let call = call(object, spec.chain_id, self.rpc.config.limits.call_gas);
        let call = call.map_err(|refused| match refused {
            Refused::Argument(reason) => Error::argument(0, reason),
            Refused::Contradiction(reason) => Error::invalid(reason),
        })?;
        let accounts = accounts_json.map_or(Ok(Vec::new()), accounts);
        let block = block_json.map_or(Ok(BlockOverride::default()), block);
        Ok(Wanted {
            call,
            accounts: accounts.map_err(|reason| Error::argument(accounts_at, reason))?,
            block: block.map_err(|reason| Error::argument(block_at, reason))?,
        })
    }

    /// [`View::with_state`]; where the state is not at hand, a call wants more than the leaf where it stopped.
    pub(super) fn with_call_state<T, E>(
        &self,
        found: &Found,
        params: Params<'_>,
        wanted: &Wanted,
        look: impl FnOnce(&mut State<'_>) -> Result<T, E>,
    ) -> Result<T, Error>
    where
        Error: From<StateError<E>>,
    {
        let seen = self.with_state(found, look);
        if self.lacks() {
            let at = self.at(found)?;
            let mut call = String::new();
            params.required(0, Ok)?.write(&mut call);
            self.want(|wants| {
                let receiver = wanted.call.to.to().copied();
                let coinbase = found.record.header.beneficiary;
                for address in [Some(wanted.call.from), receiver, Some(coinbase)].into_iter().flatten() {
                    wants.account(at, address);
                }
                wants.codes.extend(receiver.map(|receiver| (at, receiver)));
                wants.calls.insert((at, call));
            });
        }
        seen
    }

    pub(super) fn context(
        &self,
        found: &Found,
        overrides: &BlockOverride,
    ) -> Result<CallContext<'static>, Error> {
        let (header, rules) = (&found.record.header, self.rules(found)?);
        Ok(CallContext {
            rules,
            chain_id: self.rpc.spec.chain_id,
            number: overrides.number.unwrap_or(header.number),
            timestamp: overrides.timestamp.unwrap_or(header.timestamp),
            coinbase: overrides.coinbase.unwrap_or(header.beneficiary),
            gas_limit: overrides.gas_limit.unwrap_or(rules.block_gas_limit),
        })
    }
}

impl From<StateError<CallError>> for Error {
    fn from(StateError { number, error }: StateError<CallError>) -> Self {
        match error {
            CallError::Store(error) => StateError { number, error }.into(),
            CallError::Fails(outcome) => failure(outcome),
            error @ (CallError::Refused(_) | CallError::Allowance(_)) => Self::server(format!("{error}")),
        }
    }
}

fn failure(outcome: CallOutcome) -> Error {
    match outcome {
        CallOutcome::Revert(output) => Error::reverted(&output),
        CallOutcome::OutOfGas => Error::server("out of gas"),
        CallOutcome::Halt(reason) => Error::server(reason),
        CallOutcome::Success(_) => Error::internal(),
    }
}

pub(super) fn apply(
    accounts: &[(Address, AccountOverride)],
    state: &mut State<'_>,
) -> Result<(), StoreError> {
    accounts.iter().try_for_each(|(address, account)| state.override_account(*address, account))
}

/// Why a call object is none.
enum Refused {
    /// A member is not of its type.
    Argument(String),
    /// Two members do not go together.
    Contradiction(String),
}

impl From<String> for Refused {
    fn from(reason: String) -> Self {
        Self::Argument(reason)
    }
}

fn call(object: &Json<'_>, chain_id: u64, gas_cap: u64) -> Result<Call, Refused> {
    let contradiction = |reason: &str| Err(Refused::Contradiction(reason.into()));
    let input = match (member(object, "data", params::data)?, member(object, "input", params::data)?) {
        (Some(data), Some(input)) if data != input => {
            return contradiction("both \"data\" and \"input\" are set and not equal");
        }
        (data, input) => input.or(data).unwrap_or_default(),
    };
    let gas_price = member(object, "gasPrice", params::quantity)?;
    let fee = member(object, "maxFeePerGas", params::quantity)?;
    let priority_fee = member(object, "maxPriorityFeePerGas", params::quantity)?;
    if gas_price.is_some() && (fee.is_some() || priority_fee.is_some()) {
        return contradiction("both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified");
    }
    if let (Some(fee), Some(priority_fee)) = (fee, priority_fee)
        && priority_fee > fee
    {
        return contradiction("maxPriorityFeePerGas is higher than maxFeePerGas");
    }
    if let Some(other) = member(object, "chainId", params::quantity)?
        && other != U256::from(chain_id)
    {
        return Err(Refused::Contradiction(format!(
            "chainId does not match node's (have={other}, want={chain_id})"
        )));
    }
    // There is no base fee: what is paid of a fee is the priority fee.
    let price = gas_price.or(priority_fee).unwrap_or_default();
    let Ok(gas_price) = u128::try_from(price) else {
        return contradiction("gas price has more than 128 bits");
    };
    // Only looked at: no nonce is wrong for a call.
    member(object, "nonce", params::quantity64)?;
    Ok(Call {
        from: member(object, "from", params::address)?.unwrap_or_default(),
        to: member(object, "to", params::address)?.map_or(TxKind::Create, TxKind::Call),
        gas_limit: member(object, "gas", params::quantity)?
            .map_or(gas_cap, |gas| gas.saturating_to::<u64>().min(gas_cap)),
        gas_price,
        value: member(object, "value", params::quantity)?.unwrap_or_default(),
        input,
        access_list: member(object, "accessList", access_list)?.unwrap_or_default(),
    })
}

pub(super) fn member<'a, T>(
    object: &'a Json<'a>,
    name: &str,
    decode: impl FnOnce(&'a Json<'a>) -> Result<T, String>,
) -> Result<Option<T>, String> {
    match object.get(name) {
        None | Some(Json::Null) => Ok(None),
        Some(value) => decode(value).map(Some).map_err(|reason| format!("{name}: {reason}")),
    }
}

#[cfg(feature = "trace")]
pub(super) fn present<'a>(object: &'a Json<'a>, name: &str) -> Option<&'a Json<'a>> {
    object.get(name).filter(|value| **value != Json::Null)
}

fn items<'a>(value: &'a Json<'a>) -> Result<&'a [Json<'a>], String> {
    match value {
        Json::Array(items) => Ok(items),
        _ => Err("an array was expected".into()),
    }
}

fn access_list(value: &Json<'_>) -> Result<Vec<(Address, Vec<B256>)>, String> {
    let entries = items(value)?.iter().map(|item| {
        let address = member(item, "address", params::address)?.ok_or("address is missing")?;
        let slots = member(item, "storageKeys", items)?.unwrap_or_default();
        Ok((address, slots.iter().map(params::hash).collect::<Result<_, _>>()?))
    });
    entries.collect()
}

fn accounts(value: &Json<'_>) -> Result<Vec<(Address, AccountOverride)>, String> {
    let Json::Object(members) = value else {
        return Err("an object was expected".into());
    };
    let (mut accounts, mut known) = (Vec::new(), BTreeSet::new());
    for (name, value) in members {
        let address = params::address(&Json::String(name.clone()))?;
        if !known.insert(address) {
            return Err(format!("account {address} stands twice"));
        }
        accounts.push((address, account(value)?));
    }
    Ok(accounts)
}

fn account(value: &Json<'_>) -> Result<AccountOverride, String> {
    if value.get("movePrecompileToAddress").is_some() {
        return Err("movePrecompileToAddress is not supported".into());
    }
    let state = member(value, "state", slots)?;
    let changed = member(value, "stateDiff", slots)?;
    if state.is_some() && changed.is_some() {
        return Err("both state and stateDiff specified".into());
    }
    Ok(AccountOverride {
        balance: member(value, "balance", params::quantity)?,
        nonce: member(value, "nonce", params::quantity64)?,
        code: member(value, "code", params::data)?,
        clears_storage: state.is_some(),
        storage: state.or(changed).unwrap_or_default(),
    })
}

fn slots(value: &Json<'_>) -> Result<BTreeMap<U256, U256>, String> {
    let Json::Object(members) = value else {
        return Err("an object was expected".into());
    };
    let slot = |(name, value): &(_, Json<'_>)| {
        let name: &super::json::Text<'_> = name;
        Ok((params::storage_key(name.as_str())?, params::hash(value)?.into()))
    };
    members.iter().map(slot).collect()
}

fn block(value: &Json<'_>) -> Result<BlockOverride, String> {
    Ok(BlockOverride {
        number: member(value, "number", params::quantity64)?,
        timestamp: member(value, "time", params::quantity64)?,
        gas_limit: member(value, "gasLimit", params::quantity64)?,
        coinbase: match member(value, "feeRecipient", params::address)? {
            None => member(value, "coinbase", params::address)?,
            receiver => receiver,
        },
    })
}
