//! Accounts that the devnet funds, and whose keys it tells.

use alloy_consensus::transaction::RlpEcdsaEncodableTx as _;
use alloy_consensus::{SignableTransaction as _, TxLegacy};
use alloy_primitives::{Address, B256, Bytes, Signature, U256, keccak256};
use k256::ecdsa::SigningKey;

/// A key, and the address that it controls.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    key: SigningKey,
    pub(crate) address: Address,
}

impl Account {
    /// The account with this index, of those that a seed gives.
    pub(crate) fn of(seed: u64, index: u64) -> Self {
        let mut secret = keccak256(
            [b"zk-replica devnet account".as_slice(), &seed.to_be_bytes(), &index.to_be_bytes()].concat(),
        );
        // All but one in 2^127 hashes are a secret key at once.
        let key = loop {
            match SigningKey::from_slice(secret.as_slice()) {
                Ok(key) => break key,
                Err(_) => secret = keccak256(secret),
            }
        };
        let point = key.verifying_key().to_sec1_point(false);
        let address = Address::from_slice(&keccak256(&point.as_bytes()[1..])[12..]);
        Self { key, address }
    }

    /// The private key, for people to copy.
    pub(crate) fn secret(&self) -> B256 {
        B256::from_slice(&self.key.to_bytes())
    }

    /// The signed transaction in Ethereum's RLP. The same transaction always has the same signature (RFC 6979).
    pub(crate) fn sign(&self, transaction: &TxLegacy) -> Bytes {
        let hash = transaction.signature_hash();
        let (signature, parity) = self.key.sign_prehash_recoverable(hash.as_slice());
        let (r, s) = signature.split_bytes();
        let (r, s) = (U256::from_be_slice(&r), U256::from_be_slice(&s));
        let mut encoded = Vec::new();
        transaction.rlp_encode_signed(&Signature::new(r, s, parity.is_y_odd()), &mut encoded);
        encoded.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::TxKind;
    use zk_replica_core::types::EncodedTransaction;

    #[test]
    fn what_an_account_signs_is_its_own() {
        for index in 0..20 {
            let account = Account::of(7, index);
            let to = TxKind::Call(Address::ZERO);
            let transaction =
                TxLegacy { chain_id: Some(9), nonce: index, gas_limit: 21_000, to, ..TxLegacy::default() };
            let encoded = account.sign(&transaction);
            assert_eq!(encoded, account.sign(&transaction));
            let recovered = EncodedTransaction { encoded, effective_percentage: 255 }.recover().unwrap();
            assert_eq!(recovered.sender(), account.address);
            assert_eq!(recovered.fields(), &transaction);
        }
        assert_ne!(Account::of(7, 0).address, Account::of(8, 0).address);
    }
}
