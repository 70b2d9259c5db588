use alloc::vec::Vec;
use alloy_consensus::{
    SignableTransaction, TxLegacy,
    transaction::{RlpEcdsaDecodableTx, RlpEcdsaEncodableTx},
};
use alloy_primitives::{Address, B256, Bytes, Signature, keccak256};
use k256::ecdsa;

/// A transaction as the main node sent it: nothing in it has been looked at yet.
#[derive(Clone, Debug, PartialEq, Eq)]
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
        let sender = recover_sender(&signature, inner.signature_hash())?;
        Ok(Transaction {
            inner,
            hash: keccak256(&self.encoded),
            sender,
            encoded: self.encoded.clone(),
            effective_percentage: self.effective_percentage,
        })
    }
}

impl Transaction {
    /// The fields that were signed. The chain id is `None` for a transaction older than EIP-155.
    pub fn fields(&self) -> &TxLegacy {
        &self.inner
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
///
/// `k256` 0.14 is used directly: the version inside alloy and revm takes more than twice as long.
fn recover_sender(signature: &Signature, hash: B256) -> Result<Address, TransactionError> {
    let (r, s) = (
        signature.r().to_be_bytes::<32>(),
        signature.s().to_be_bytes::<32>(),
    );
    let scalars = ecdsa::Signature::from_scalars(r, s).map_err(|_| TransactionError::SignatureRange)?;
    if scalars.normalize_s() != scalars {
        return Err(TransactionError::SignatureRange);
    }
    let parity = ecdsa::RecoveryId::new(signature.v(), false);
    let key = ecdsa::VerifyingKey::recover_from_prehash(hash.as_slice(), &scalars, parity)
        .map_err(|_| TransactionError::NoSender)?;
    let point = key.to_sec1_point(false);
    Ok(Address::from_slice(&keccak256(&point.as_bytes()[1..])[12..]))
}
