//! Transactions that wait for a block.

use alloy_primitives::{Address, B256, U256};
use std::collections::{BTreeMap, HashMap};
use zk_replica_core::types::Transaction;

/// Most transactions that wait.
const LIMIT: usize = 10_000;
/// Longest transaction: two of them always fit into a batch.
const LONGEST: usize = 59_000;
/// Most gas of a transaction.
const MOST_GAS: u64 = 30_000_000;

/// Waiting transactions by sender and nonce, each with the order of its arrival.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pool {
    senders: BTreeMap<Address, BTreeMap<u64, Waiting>>,
    places: HashMap<B256, (Address, u64)>,
    arrivals: u64,
}

#[derive(Clone, Debug)]
struct Waiting {
    arrival: u64,
    transaction: Transaction,
}

/// Why a transaction is not taken. The words are cdk-erigon's (`spec/rpc.md` §8), and clients look for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("ALREADY_EXISTS: already known")]
    Known,
    #[error("INTERNAL_ERROR: nonce too low")]
    NonceTooLow,
    #[error("INTERNAL_ERROR: insufficient funds")]
    Funds,
    #[error("FEE_TOO_LOW: underpriced")]
    Underpriced,
    #[error("INTERNAL_ERROR: could not replace existing tx")]
    NotReplaced,
    #[error("INVALID: oversized data")]
    Oversized,
    #[error("INTERNAL_ERROR: gas limit too high. Max: 30000000")]
    GasLimit,
    #[error("INTERNAL_ERROR: queued sub-pool is full")]
    Full,
}

impl Pool {
    /// Takes a transaction whose sender has this nonce and balance.
    ///
    /// # Errors
    ///
    /// [`Refusal`].
    pub(crate) fn add(
        &mut self,
        transaction: Transaction,
        nonce: u64,
        balance: U256,
        least_price: u128,
    ) -> Result<B256, Refusal> {
        let (fields, hash) = (transaction.fields(), transaction.hash());
        let cost = U256::from(fields.gas_limit).saturating_mul(U256::from(fields.gas_price));
        if self.places.contains_key(&hash) {
            return Err(Refusal::Known);
        }
        if transaction.encoded().len() > LONGEST {
            return Err(Refusal::Oversized);
        }
        if fields.gas_limit > MOST_GAS {
            return Err(Refusal::GasLimit);
        }
        if fields.gas_price < least_price {
            return Err(Refusal::Underpriced);
        }
        if fields.nonce < nonce {
            return Err(Refusal::NonceTooLow);
        }
        if cost.saturating_add(fields.value) > balance {
            return Err(Refusal::Funds);
        }
        if self.places.len() >= LIMIT {
            return Err(Refusal::Full);
        }
        let waiting = self.senders.get(&transaction.sender()).and_then(|waiting| waiting.get(&fields.nonce));
        if let Some(waiting) = waiting {
            // A replacement pays a tenth more.
            let least = waiting.transaction.fields().gas_price.saturating_mul(11) / 10;
            if fields.gas_price < least {
                return Err(Refusal::NotReplaced);
            }
        }
        self.put(transaction);
        Ok(hash)
    }

    /// Takes back a transaction that was in a block once, unasked.
    pub(crate) fn put(&mut self, transaction: Transaction) {
        let (sender, nonce, hash) = (transaction.sender(), transaction.fields().nonce, transaction.hash());
        self.arrivals += 1;
        let waiting = Waiting { arrival: self.arrivals, transaction };
        if let Some(replaced) = self.senders.entry(sender).or_default().insert(nonce, waiting) {
            self.places.remove(&replaced.transaction.hash());
        }
        self.places.insert(hash, (sender, nonce));
    }

    /// The transactions for the next block: each sender's in order of nonce without a gap, all in order of arrival as
    /// far as that allows, and no more bytes than there is room for.
    pub(crate) fn select(&self, mut nonce: impl FnMut(Address) -> u64, mut room: usize) -> Vec<Transaction> {
        let mut next: BTreeMap<Address, u64> =
            self.senders.keys().map(|sender| (*sender, nonce(*sender))).collect();
        let mut selected = Vec::new();
        loop {
            let heads = next.iter().filter_map(|(sender, nonce)| self.senders.get(sender)?.get(nonce));
            let Some(first) = heads.min_by_key(|waiting| waiting.arrival) else {
                return selected;
            };
            let length = first.transaction.encoded().len();
            if length > room {
                return selected;
            }
            room -= length;
            *next.entry(first.transaction.sender()).or_default() += 1;
            selected.push(first.transaction.clone());
        }
    }

    /// Drops a transaction.
    pub(crate) fn remove(&mut self, hash: B256) {
        if let Some((sender, nonce)) = self.places.remove(&hash)
            && let Some(waiting) = self.senders.get_mut(&sender)
        {
            waiting.remove(&nonce);
            if waiting.is_empty() {
                self.senders.remove(&sender);
            }
        }
    }

    /// Drops what the sender's nonce has passed.
    pub(crate) fn settle(&mut self, sender: Address, nonce: u64) {
        let Some(waiting) = self.senders.get(&sender) else {
            return;
        };
        let passed: Vec<_> = waiting.range(..nonce).map(|(_, waiting)| waiting.transaction.hash()).collect();
        passed.into_iter().for_each(|hash| self.remove(hash));
    }

    /// The nonce behind those of the sender's transactions that follow each other from `nonce` on.
    pub(crate) fn pending_nonce(&self, sender: Address, nonce: u64) -> u64 {
        let waiting = self.senders.get(&sender);
        (nonce..).find(|nonce| !waiting.is_some_and(|waiting| waiting.contains_key(nonce))).unwrap_or(nonce)
    }

    /// A waiting transaction.
    pub(crate) fn get(&self, hash: B256) -> Option<&Transaction> {
        let (sender, nonce) = self.places.get(&hash)?;
        Some(&self.senders.get(sender)?.get(nonce)?.transaction)
    }

    /// All waiting transactions, by sender and nonce.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Transaction> {
        self.senders.values().flat_map(BTreeMap::values).map(|waiting| &waiting.transaction)
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devnet::account::Account;
    use alloy_consensus::TxLegacy;
    use alloy_primitives::TxKind;
    use zk_replica_core::types::EncodedTransaction;

    fn transaction(index: u64, nonce: u64, gas_price: u128) -> Transaction {
        let to = TxKind::Call(Address::ZERO);
        let fields =
            TxLegacy { chain_id: Some(1), nonce, gas_price, gas_limit: 21_000, to, ..TxLegacy::default() };
        let encoded = Account::of(0, index).sign(&fields);
        EncodedTransaction { encoded, effective_percentage: 255 }.recover().unwrap()
    }

    fn add(pool: &mut Pool, transaction: Transaction) -> Result<B256, Refusal> {
        pool.add(transaction, 1, U256::from(1_000_000), 10)
    }

    #[test]
    fn nonces_come_before_arrival() {
        let mut pool = Pool::default();
        let order = [(0, 2), (1, 1), (0, 1), (1, 3), (2, 1)];
        for (account, nonce) in order {
            add(&mut pool, transaction(account, nonce, 10)).unwrap();
        }
        let selected = pool.select(|_| 1, usize::MAX);
        let found: Vec<_> = selected.iter().map(|found| (found.sender(), found.fields().nonce)).collect();
        let of = |index, nonce| (Account::of(0, index).address, nonce);
        assert_eq!(found, [of(1, 1), of(0, 1), of(0, 2), of(2, 1)]);
        assert_eq!(pool.pending_nonce(Account::of(0, 0).address, 1), 3);
        assert_eq!(pool.pending_nonce(Account::of(0, 1).address, 1), 2);
        let room = selected[0].encoded().len() + 1;
        assert_eq!(pool.select(|_| 1, room).len(), 1);
        pool.settle(Account::of(0, 0).address, 3);
        assert_eq!(pool.len(), 3);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let mut pool = Pool::default();
        add(&mut pool, transaction(0, 1, 20)).unwrap();
        let refused = |pool: &mut Pool, nonce, price| add(pool, transaction(0, nonce, price)).unwrap_err();
        assert_eq!(refused(&mut pool, 1, 20), Refusal::Known);
        assert_eq!(refused(&mut pool, 0, 20), Refusal::NonceTooLow);
        assert_eq!(refused(&mut pool, 1, 21), Refusal::NotReplaced);
        assert_eq!(refused(&mut pool, 2, 9), Refusal::Underpriced);
        assert_eq!(refused(&mut pool, 2, 48), Refusal::Funds);
        add(&mut pool, transaction(0, 1, 22)).unwrap();
        assert_eq!(pool.len(), 1);
    }
}
