//! What transactions of past blocks offered to pay.

use super::{
    Error,
    json::Json,
    params::Params,
    view::{Found, View},
};
use crate::sort::sorted;
use alloc::{format, string::String, vec::Vec};
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
        let percentile = decimal(raw).ok_or_else(|| format!("invalid reward percentile: {raw}"))?;
        let follows = percentiles.last().is_none_or(|previous| *previous <= percentile);
        if !(0.0..=100.0).contains(&percentile) || !follows {
            return Err(format!("invalid reward percentile: {raw}"));
        }
        percentiles.push(percentile);
    }
    Ok(percentiles)
}

/// A number that is not negative and has at most 19 digits: exact up to 15 of them, nearly so beyond. The parser for all
/// floats has tables of some kilobytes, and this is the only one that comes in.
fn decimal(raw: &str) -> Option<f64> {
    let (mantissa, exponent) = raw.split_once(['e', 'E']).unwrap_or((raw, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits: u64 = [whole, fraction].concat().parse().ok()?;
    let scale = exponent.parse::<i32>().ok()?.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    let power = |count| (0..count).fold(1.0, |power, _| power * 10.0);
    #[allow(clippy::cast_precision_loss, reason = "a percentage")]
    match scale {
        0..=7 => Some(digits as f64 * power(scale)),
        -40..0 => Some(digits as f64 / power(-scale)),
        _ => None,
    }
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
    use alloc::string::ToString as _;

    #[test]
    fn a_percentile_is_of_gas_and_not_of_transactions() {
        let prices = [(1, 10), (5, 80), (9, 10)];
        let at = |percentile| price_at(&prices, 100, percentile);
        assert_eq!([0.0, 10.0, 10.5, 90.0, 91.0, 100.0].map(at), [1, 1, 5, 5, 9, 9]);
        assert_eq!(price_at(&[], 0, 50.0), 0);
    }

    #[test]
    fn percentiles_are_read_as_floats_are() {
        for raw in ["0", "0.0", "1", "10", "12.5", "33.3", "99.99", "100", "1e1", "2.5E+1", "5e-7", "0.1e-2"]
        {
            assert_eq!(decimal(raw), raw.parse().ok(), "{raw}");
        }
        let third = decimal("33.333333333333336").expect("a number");
        assert!((third - 100.0 / 3.0).abs() < 1e-13);
        for raw in
            ["-1", "1e8", "1e-41", "1e99999999999", "100000000000000000000", "0.00000000000000000001e-40"]
        {
            assert_eq!(decimal(raw), None, "{raw}");
        }
    }

    #[test]
    fn an_empty_block_uses_nothing() {
        assert_eq!(ratio(0, 0).to_string(), "0");
    }
}
