//! What transactions of past blocks offered to pay.

use super::{
    Error,
    json::Json,
    params::Params,
    view::{Found, View},
};
use crate::sorted;
use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use alloy_consensus::{TxLegacy, transaction::RlpEcdsaDecodableTx};
use alloy_primitives::{U64, U128};
use serde::Serialize;

/// Most percentiles in a request.
const MAX_PERCENTILES: usize = 100;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FeeHistory {
    oldest_block: U64,
    base_fee_per_gas: Vec<U64>,
    gas_used_ratio: Vec<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reward: Option<Vec<Vec<U128>>>,
}

impl View<'_> {
    pub(super) fn fee_history(&self, params: Params<'_>) -> Result<FeeHistory, Error> {
        let count = params.count(0)?.min(self.rpc.config.limits.fee_history);
        let newest = self.state_block(params.number_or_tag(1)?)?.number();
        let percentiles = params.get(2).map(percentiles).transpose().map_err(Error::invalid)?;
        let count = count.min(newest.saturating_add(1));
        let oldest = newest.saturating_add(1) - count;
        let mut history = FeeHistory {
            oldest_block: U64::from(oldest),
            base_fee_per_gas: Vec::new(),
            gas_used_ratio: Vec::new(),
            reward: percentiles.is_some().then(Vec::new),
        };
        for number in oldest..oldest + count {
            let found = self.block_by_number(number)?.ok_or_else(Error::internal)?;
            history.base_fee_per_gas.push(U64::ZERO);
            history.gas_used_ratio.push(ratio(found.record.header.gas_used, found.record.header.gas_limit));
            if let (Some(reward), Some(percentiles)) = (&mut history.reward, &percentiles) {
                reward.push(rewards(&found, percentiles)?);
            }
        }
        if count > 0 {
            history.base_fee_per_gas.push(U64::ZERO);
        }
        Ok(history)
    }
}

/// Ascending numbers between 0 and 100.
fn percentiles(value: &Json<'_>) -> Result<Vec<f64>, String> {
    let Json::Array(items) = value else {
        return Err("invalid argument 2: an array was expected".into());
    };
    if items.len() > MAX_PERCENTILES {
        return Err(format!("invalid reward percentile: over the query limit {MAX_PERCENTILES}"));
    }
    let mut percentiles: Vec<f64> = Vec::with_capacity(items.len());
    for item in items {
        let Json::Number(raw) = item else {
            return Err("invalid argument 2: a number was expected".into());
        };
        let percentile: f64 =
            serde_json::from_str(raw).map_err(|_| "invalid argument 2: not a number".to_string())?;
        let follows = percentiles.last().is_none_or(|previous| *previous <= percentile);
        if !(0.0..=100.0).contains(&percentile) || !follows {
            return Err(format!("invalid reward percentile: {raw}"));
        }
        percentiles.push(percentile);
    }
    Ok(percentiles)
}

/// For each percentile of the block's gas, the price of the transaction that used it, cheapest first. The price is the
/// signed one.
fn rewards(found: &Found, percentiles: &[f64]) -> Result<Vec<U128>, Error> {
    let mut prices = Vec::with_capacity(found.record.transactions.len());
    for (transaction, receipt) in found.record.transactions.iter().zip(&found.record.receipts) {
        let decoded = TxLegacy::rlp_decode_with_signature(&mut transaction.encoded.as_ref());
        let (fields, _) = decoded.map_err(|_| Error::internal())?;
        prices.push((fields.gas_price, receipt.gas_used));
    }
    let prices = sorted(prices);
    let total = found.record.header.gas_used;
    Ok(percentiles.iter().map(|percentile| U128::from(price_at(&prices, total, *percentile))).collect())
}

fn price_at(prices: &[(u128, u64)], total: u64, percentile: f64) -> u128 {
    let threshold = percentile / 100.0;
    let mut used = 0_u64;
    for (price, gas) in prices {
        used = used.saturating_add(*gas);
        if ratio(used, total) >= threshold {
            return *price;
        }
    }
    prices.last().map_or(0, |(price, _)| *price)
}

/// Zero of nothing is nothing.
#[allow(clippy::cast_precision_loss, reason = "a ratio for people")]
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_of_gas_and_not_of_transactions() {
        let prices = [(1, 10), (5, 80), (9, 10)];
        let at = |percentile| price_at(&prices, 100, percentile);
        assert_eq!([0.0, 10.0, 10.5, 90.0, 91.0, 100.0].map(at), [1, 1, 5, 5, 9, 9]);
        assert_eq!(price_at(&[], 0, 50.0), 0);
    }

    #[test]
    fn an_empty_block_uses_nothing() {
        assert_eq!(ratio(0, 0).to_string(), "0");
    }
}
