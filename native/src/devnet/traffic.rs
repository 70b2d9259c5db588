//! Transactions as users send them, the same for the same seed.

use super::account::Account;
use super::chain::{Chain, GAS_PRICE, SubmitError};
use super::contract;
use alloy_consensus::TxLegacy;
use alloy_primitives::{Address, Bytes, TxKind, U256, keccak256};
use zk_replica_core::chain::ChainSpec;
use zk_replica_core::store::StoreError;
use zk_replica_core::types::EncodedTransaction;

/// One token has 10^18 parts.
const TOKEN: U256 = U256::from_limbs([1_000_000_000_000_000_000, 0, 0, 0]);

/// Sends transfers, token transfers and approvals, contract creations, calls, and some transactions that fail.
#[derive(Clone, Debug)]
pub(crate) struct Traffic {
    accounts: Vec<Account>,
    sent: u64,
    token: Option<Address>,
}

impl Traffic {
    /// Of these accounts, of which there must be one.
    pub(crate) fn new(accounts: &[Account]) -> Self {
        Self { accounts: accounts.to_vec(), sent: 0, token: None }
    }

    /// Sends the next transaction. That the pool refuses it is no error: it has a limit.
    pub(crate) fn send(&mut self, chain: &mut Chain) -> Result<(), StoreError> {
        let number = self.sent;
        self.sent += 1;
        let sender = self.account(if self.token.is_none() { 0 } else { number }).clone();
        let nonce = chain.pending_nonce(sender.address)?;
        let (sender, nonce, (to, value, gas_limit, input)) = match self.token {
            None => {
                self.token = Some(sender.address.create(nonce));
                (sender, nonce, (TxKind::Create, U256::ZERO, 1_500_000, contract::token_creation()))
            }
            // The creator gives tokens away.
            Some(token) if number % 10 == 2 => {
                let owner = self.account(0).clone();
                let amount = TOKEN * U256::from(number % 90 + 10);
                let to = self.account(number / 10).address;
                let input = contract::address_and_amount("transfer(address,uint256)", to, amount);
                let nonce = chain.pending_nonce(owner.address)?;
                (owner, nonce, (TxKind::Call(token), U256::ZERO, 100_000, input))
            }
            Some(token) => (sender, nonce, self.action(number, token)),
        };
        let gas_price = GAS_PRICE * u128::from(1 + number % 3);
        let chain_id = Some(chain.settings.chain_id);
        let encoded = sender.sign(&TxLegacy { chain_id, nonce, gas_price, gas_limit, to, value, input });
        match chain.submit(EncodedTransaction { encoded, effective_percentage: u8::MAX }) {
            Err(SubmitError::Store(error)) => Err(error),
            Ok(_) | Err(SubmitError::Refused(_) | SubmitError::Unsigned) => Ok(()),
        }
    }

    fn account(&self, number: u64) -> &Account {
        let count = self.accounts.len() as u64;
        &self.accounts[usize::try_from(number % count).unwrap_or_default()]
    }

    /// What an account does: receiver, value, gas limit, data.
    fn action(&self, number: u64, token: Address) -> (TxKind, U256, u64, Bytes) {
        let other = self.account(number / 10 + 3).address;
        let give = |amount| contract::address_and_amount("transfer(address,uint256)", other, amount);
        let wei = U256::from(number + 1);
        match number % 10 {
            3 => (TxKind::Call(token), U256::ZERO, 100_000, give(wei)),
            4 => (TxKind::Create, U256::ZERO, 200_000, contract::note_creation()),
            5 => {
                let root = keccak256(number.to_be_bytes());
                let input = contract::call("updateExitRoot(bytes32)", &[root]);
                (TxKind::Call(ChainSpec::EXIT_ROOT_MANAGER), U256::ZERO, 60_000, input)
            }
            6 => {
                let input = contract::address_and_amount("approve(address,uint256)", other, wei);
                (TxKind::Call(token), U256::ZERO, 100_000, input)
            }
            // Nobody has so much: it reverts, with a reason.
            7 => (TxKind::Call(token), U256::ZERO, 100_000, give(U256::MAX)),
            // Somebody new.
            8 => {
                let to = Address::from_slice(&keccak256(number.to_be_bytes())[12..]);
                (TxKind::Call(to), wei, 21_000, Bytes::new())
            }
            // Not enough gas to change the token's storage.
            9 => (TxKind::Call(token), U256::ZERO, 23_000, give(wei)),
            _ => (TxKind::Call(other), wei, 21_000, Bytes::new()),
        }
    }
}
