use alloy_consensus::{TxLegacy, transaction::RlpEcdsaEncodableTx};
use alloy_primitives::{Address, B256, Signature, TxKind, U256, hex};
use zk_replica_core::types::EncodedTransaction;

/// A transaction that somebody might have signed: hash, sender, and what is sent, in hex.
///
/// Nobody knows the key: some numbers are a signature, and with it a sender.
///
/// # Panics
///
/// Never: half of all numbers are the beginning of a signature.
pub fn transaction(chain_id: u64, nonce: u64) -> (B256, Address, String) {
    let fields = TxLegacy {
        chain_id: Some(chain_id),
        nonce,
        gas_price: 1,
        gas_limit: 21_000,
        to: TxKind::Call(Address::repeat_byte(7)),
        value: U256::from(1),
        input: Default::default(),
    };
    let signed = (1..100_u64).find_map(|r| {
        let mut encoded = Vec::new();
        let signature = Signature::new(U256::from(r), U256::from(1), false);
        fields.rlp_encode_signed(&signature, &mut encoded);
        let transaction = EncodedTransaction { encoded: encoded.clone().into(), effective_percentage: 255 };
        let recovered = transaction.recover().ok()?;
        Some((recovered.hash(), recovered.sender(), hex::encode_prefixed(encoded)))
    });
    signed.expect("one of them")
}
