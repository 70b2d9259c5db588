//! What a transaction pays (`spec/execution.md` §4.4).

use alloy_primitives::U256;

/// The price charged per gas: `(percentage + 1) / 256` of the signed one, rounded down.
///
/// It is what GASPRICE returns and what the sequencer receives; hashes commit to the signed price.
pub fn effective_gas_price(signed: u128, percentage: u8) -> u128 {
    let share = U256::from(percentage) + U256::ONE;
    let price: U256 = (U256::from(signed) * share) >> 8;
    price.saturating_to()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_percentage_is_the_signed_price() {
        for price in [0, 1, 1_000_000_000, u128::MAX] {
            assert_eq!(effective_gas_price(price, 255), price);
        }
    }

    #[test]
    fn a_share_is_rounded_down() {
        assert_eq!(effective_gas_price(1_000, 0), 3);
        assert_eq!(effective_gas_price(1_000, 127), 500);
        assert_eq!(effective_gas_price(255, 0), 0);
        assert_eq!(effective_gas_price(u128::MAX, 127), u128::MAX / 2);
    }
}
