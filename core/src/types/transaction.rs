use alloc::vec::Vec;
use alloy_consensus::{
    SignableTransaction, TxLegacy,
    transaction::{RlpEcdsaDecodableTx, RlpEcdsaEncodableTx},
};
use alloy_primitives::{Address, B256, Bytes, Signature, keccak256};
use k256::ecdsa;
use serde::{Deserialize, Serialize};

/// A transaction as the main node sent it: nothing in it has been looked at yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EncodedTransaction {
    /// Signed transaction in Ethereum's RLP (not the encoding of batch data).
    pub encoded: Bytes,
    /// Share of the signed gas price that is charged: `(n + 1) / 256` of it.
    pub effective_percentage: u8,
}

/// A legacy transaction with the sender that its signature proves. Made by [`EncodedTransaction::recover`] alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    inner: TxLegacy,
    signature: Signature,
    hash: B256,
    sender: Address,
    encoded: Bytes,
    effective_percentage: u8,
}

/// Why bytes are not a transaction that anyone can have signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransactionError {
    /// Not the RLP of a signed legacy transaction.
    #[error("not a signed legacy transaction: {0}")]
    Rlp(alloy_rlp::Error),
    /// The same transaction has another, canonical encoding, or bytes follow it.
    #[error("not in canonical encoding")]
    NotCanonical,
    /// `r` or `s` is zero or not below the curve order, or `s` is in the upper half (EIP-2).
    #[error("signature out of range")]
    SignatureRange,
    /// No public key gives this signature.
    #[error("signature recovers to no sender")]
    NoSender,
    /// More than anyone can have (`spec/execution.md` §9.1).
    #[error("gas price has more than 128 bits")]
    GasPrice,
}

impl EncodedTransaction {
    /// Decodes strictly and recovers the sender.
    ///
    /// The checks are those that need no state: `spec/execution.md` §4.3, rule 1.
    ///
    /// # Errors
    ///
    /// [`TransactionError`] when the bytes are not exactly one canonical signed legacy transaction, or nobody signed it.
    pub fn recover(&self) -> Result<Transaction, TransactionError> {
        let mut rest = self.encoded.as_ref();
        let (inner, signature) =
            TxLegacy::rlp_decode_with_signature(&mut rest).map_err(TransactionError::Rlp)?;
        let mut canonical = Vec::with_capacity(self.encoded.len());
        inner.rlp_encode_signed(&signature, &mut canonical);
        if canonical != self.encoded.as_ref() {
            return Err(TransactionError::NotCanonical);
        }
        let signing_hash = inner.signature_hash();
        Transaction::signed(inner, &signature, signing_hash, self)
    }
}

impl Transaction {
    /// Recovers who signed `signing_hash`, the hash of `inner` as it was sent.
    pub(crate) fn signed(
        inner: TxLegacy,
        signature: &Signature,
        signing_hash: B256,
        EncodedTransaction { encoded, effective_percentage }: &EncodedTransaction,
    ) -> Result<Self, TransactionError> {
        let sender = recover_sender(signature, signing_hash)?;
        let (hash, encoded) = (keccak256(encoded), encoded.clone());
        Ok(Self {
            inner,
            signature: *signature,
            hash,
            sender,
            encoded,
            effective_percentage: *effective_percentage,
        })
    }

    /// The fields that were signed. The chain id is `None` for a transaction older than EIP-155.
    pub fn fields(&self) -> &TxLegacy {
        &self.inner
    }

    /// The signature, with the parity that EIP-155 folds into `v`.
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Ethereum's transaction hash: keccak of the signed encoding.
    pub fn hash(&self) -> B256 {
        self.hash
    }

    /// Who signed.
    pub fn sender(&self) -> Address {
        self.sender
    }

    /// Signed transaction in Ethereum's RLP.
    pub fn encoded(&self) -> &Bytes {
        &self.encoded
    }

    /// Share of the signed gas price that is charged: `(n + 1) / 256` of it.
    pub fn effective_percentage(&self) -> u8 {
        self.effective_percentage
    }
}

/// The address whose key made `signature` over `hash`.
fn recover_sender(signature: &Signature, hash: B256) -> Result<Address, TransactionError> {
    let (r, s) = (signature.r().to_be_bytes::<32>(), signature.s().to_be_bytes::<32>());
    let scalars = ecdsa::Signature::from_scalars(r, s).map_err(|_| TransactionError::SignatureRange)?;
    if scalars.normalize_s() != scalars {
        return Err(TransactionError::SignatureRange);
    }
    signer(&scalars, signature.v(), hash).ok_or(TransactionError::NoSender)
}

/// The address whose key made a signature with a low `s`; `odd` is the parity of the point that `r` stands for.
///
/// `k256` 0.14 is used directly: the version inside alloy and revm takes more than twice as long.
pub(crate) fn signer(signature: &ecdsa::Signature, odd: bool, hash: B256) -> Option<Address> {
    let parity = ecdsa::RecoveryId::new(odd, false);
    let key = ecdsa::VerifyingKey::recover_from_prehash(hash.as_slice(), signature, parity).ok()?;
    let point = key.to_sec1_point(false);
    Some(Address::from_slice(&keccak256(&point.as_bytes()[1..])[12..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{address, hex};
    use proptest::prelude::*;

    /// The example of EIP-155.
    const EIP_155: [u8; 110] = hex!(
        "f86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a76400008025a028ef61340bd939bc2195"
        "fe537567866003e1a15d3c71ff63e1590620aa636276a067cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83"
    );

    fn transaction(encoded: &[u8]) -> EncodedTransaction {
        EncodedTransaction { encoded: Bytes::copy_from_slice(encoded), effective_percentage: 255 }
    }

    #[test]
    fn the_sender_is_recovered() {
        let recovered = transaction(&EIP_155).recover().unwrap();
        assert_eq!(recovered.sender(), address!("9d8a62f656a8d1615c1294fd71e9cfb3e4855a4f"));
        assert_eq!(recovered.fields().chain_id, Some(1));
        assert_eq!(recovered.fields().nonce, 9);
        assert_eq!(recovered.hash(), keccak256(EIP_155));
    }

    #[test]
    fn other_encodings_of_the_same_transaction_are_refused() {
        let longer = [&EIP_155[..], &[0]].concat();
        assert_eq!(transaction(&longer).recover(), Err(TransactionError::NotCanonical));
        // The nonce as a byte string of one byte.
        let mut padded = EIP_155.to_vec();
        padded[1] += 1;
        padded.insert(2, 0x81);
        assert!(matches!(transaction(&padded).recover(), Err(TransactionError::Rlp(_))));
    }

    proptest! {
        #[test]
        fn bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = transaction(&bytes).recover();
        }

        #[test]
        fn an_altered_transaction_is_never_the_same_of_the_same_sender(at in 0..EIP_155.len(), flip in 1u8..) {
            let mut altered = EIP_155;
            altered[at] ^= flip;
            if let Ok(recovered) = transaction(&altered).recover() {
                prop_assert_ne!(recovered.sender(), address!("9d8a62f656a8d1615c1294fd71e9cfb3e4855a4f"));
            }
        }
    }
}
