//! Transactions on their way to the main node (`spec/rpc.md` §7).

use super::{
    Error,
    params::{Params, Selector, Tag},
    reply::{Outcome, Relay},
    view::View,
};
use crate::{
    executor::Rules,
    types::{EncodedTransaction, Transaction, TransactionError},
};
use alloc::format;
use alloy_primitives::{Bytes, U256};

/// A longer one does not fit into a batch.
const MAX_TRANSACTION: usize = 120_000;

impl View<'_> {
    /// Refuses what cannot become valid; all else is for the main node to judge.
    pub(super) fn send_raw_transaction(&self, params: Params<'_>) -> Result<Outcome, Error> {
        let transaction = decode(params.data(0)?)?;
        match transaction.fields().chain_id {
            Some(chain_id) if chain_id != self.rpc.spec.chain_id => {
                let expected = self.rpc.spec.chain_id;
                return Err(Error::server(format!("invalid chain id, expected: {expected} got: {chain_id}")));
            }
            Some(_) => {}
            None => {
                let reason = "only replay-protected (EIP-155) transactions allowed over RPC";
                return Err(Error::server(reason));
            }
        }
        if let Ok(found) = self.state_block(Selector::Tag(Tag::Latest)) {
            check_gas(&transaction, self.rules(&found)?)?;
            let sender = transaction.sender();
            // A nonce that cannot be read is left to the main node.
            let nonce = self.with_state(&found, |state| state.nonce(sender)).unwrap_or_default();
            if U256::from(transaction.fields().nonce) < nonce {
                return Err(Error::server("nonce too low"));
            }
        }
        if let Some(caller) = self.remembering() {
            caller.sending(&transaction)?;
        }
        Ok(Outcome::Relay(Relay::Sent { hash: transaction.hash() }))
    }
}

fn decode(encoded: Bytes) -> Result<Transaction, Error> {
    if encoded.len() > MAX_TRANSACTION {
        return Err(Error::server("oversized data"));
    }
    if matches!(encoded.first(), Some(1..=0x7f)) {
        return Err(Error::server("only legacy transactions are supported"));
    }
    let transaction = EncodedTransaction { encoded, effective_percentage: u8::MAX };
    transaction.recover().map_err(|error| match error {
        TransactionError::SignatureRange | TransactionError::NoSender => Error::server("invalid sender"),
        TransactionError::Rlp(_) | TransactionError::NotCanonical | TransactionError::GasPrice => {
            Error::argument(0, error)
        }
    })
}

fn check_gas(transaction: &Transaction, rules: &Rules) -> Result<(), Error> {
    let fields = transaction.fields();
    let zeros = fields.input.iter().filter(|byte| **byte == 0).count() as u64;
    let others = fields.input.len() as u64 - zeros;
    let base = if fields.to.is_create() { 53_000 } else { 21_000 };
    if fields.gas_limit < base + 4 * zeros + 16 * others {
        return Err(Error::server("intrinsic gas too low"));
    }
    let most = rules.transaction_gas_limit.min(rules.block_gas_limit);
    if fields.gas_limit > most {
        return Err(Error::server(format!("exceeds block gas limit: gas limit too high. Max: {most}")));
    }
    Ok(())
}
