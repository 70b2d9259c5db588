//! Known answers: the things they speak of.

use alloy_consensus::{TxLegacy, transaction::RlpEcdsaEncodableTx};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, hex};
use serde::Deserialize;
use std::collections::BTreeMap;
use zk_replica_core::{
    executor::PreparedBlock,
    store::{Memory, Store},
    tree::{BlockInfoKey, Digest, Path, Proof, Smt, StateKey, hash_bytes},
    types::{Block, BlockClaims, BlockInput, EncodedTransaction, L1Info},
};

/// A limb or another number of at most 64 bits.
///
/// # Panics
///
/// When it has more.
pub fn small(number: &U256) -> u64 {
    number.try_into().expect("64 bits")
}

/// The path that a key, written as a scalar, stands for.
///
/// # Panics
///
/// When a limb is not below the prime.
pub fn path(key: B256) -> Path {
    Digest::try_from(key).expect("limbs below the prime").into()
}

/// A path as the scalar that known answers write.
pub fn scalar(path: &Path) -> B256 {
    U256::from_limbs(path.limbs()).into()
}

/// A tree in memory, and its present root.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    store: Memory,
    root: B256,
}

impl Tree {
    /// The tree of these leaves.
    pub fn of(leaves: impl IntoIterator<Item = (Path, U256)>) -> Self {
        let mut tree = Self::default();
        tree.set(leaves);
        tree
    }

    /// Makes all changes in one update; gives the root after it.
    ///
    /// # Panics
    ///
    /// Never: the store has every node.
    pub fn set(&mut self, changes: impl IntoIterator<Item = (Path, U256)>) -> B256 {
        let update = Smt::new(&self.store).update(self.root, changes).expect("at hand");
        self.store.apply(&update.to_commit()).expect("memory does not fail");
        self.root = update.root;
        self.root
    }

    /// The present root.
    pub fn root(&self) -> B256 {
        self.root
    }

    /// The nodes and values.
    pub fn store(&self) -> &Memory {
        &self.store
    }

    /// The value at a path.
    ///
    /// # Panics
    ///
    /// Never: the store has every node.
    pub fn get(&self, path: &Path) -> U256 {
        Smt::new(&self.store).get(self.root, path).expect("at hand")
    }

    /// The proof of what is at a path.
    ///
    /// # Panics
    ///
    /// Never: the store has every node.
    pub fn prove(&self, path: &Path) -> Proof {
        Smt::new(&self.store).prove(self.root, path).expect("at hand")
    }
}

/// An account of a small state.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "an account's fields")]
pub struct Account {
    pub address: Address,
    pub balance: U256,
    pub nonce: U256,
    #[serde(alias = "bytecode", default)]
    pub code: Bytes,
    pub code_hash: Option<B256>,
    #[serde(default)]
    pub storage: BTreeMap<U256, U256>,
}

impl Account {
    /// The account's leaves.
    ///
    /// # Panics
    ///
    /// When the code does not have the hash that stands beside it.
    pub fn leaves(&self) -> Vec<(Path, U256)> {
        let address = self.address;
        let mut leaves =
            vec![(StateKey::Balance(address), self.balance), (StateKey::Nonce(address), self.nonce)];
        if !self.code.is_empty() {
            let hash = hash_bytes(&self.code);
            assert_eq!(self.code_hash.unwrap_or(hash), hash, "code of {address}");
            leaves.push((StateKey::CodeHash(address), hash.into()));
            leaves.push((StateKey::CodeLength(address), U256::from(self.code.len())));
        }
        let slots = self.storage.iter();
        leaves.extend(slots.map(|(slot, value)| (StateKey::Storage(address, *slot), *value)));
        leaves.iter().map(|(key, value)| (key.path(), *value)).collect()
    }
}

/// The root of the state with these accounts.
pub fn state_root(accounts: &[Account]) -> B256 {
    Tree::of(accounts.iter().flat_map(Account::leaves)).root()
}

/// What a block info tree says of the block.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the names of the leaves")]
pub struct BlockInfo {
    pub previous_state_root: B256,
    pub coinbase: Address,
    pub number: U256,
    pub gas_limit: U256,
    pub timestamp: U256,
    pub global_exit_root: B256,
    pub l1_block_hash: B256,
    pub gas_used: U256,
    pub transactions: Vec<TransactionInfo>,
}

/// What a block info tree says of a transaction.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the names of the leaves")]
pub struct TransactionInfo {
    pub l2_hash: B256,
    pub status: U256,
    pub cumulative_gas: U256,
    pub effective_percentage: U256,
    /// Data, then topics, of each log.
    pub logs: Vec<Vec<u8>>,
}

impl BlockInfo {
    /// The root of the tree.
    pub fn root(&self) -> B256 {
        let mut leaves = vec![
            (BlockInfoKey::PreviousStateRoot, self.previous_state_root.into()),
            (BlockInfoKey::Coinbase, self.coinbase.into_word().into()),
            (BlockInfoKey::Number, self.number),
            (BlockInfoKey::GasLimit, self.gas_limit),
            (BlockInfoKey::Timestamp, self.timestamp),
            (BlockInfoKey::GlobalExitRoot, self.global_exit_root.into()),
            (BlockInfoKey::L1BlockHash, self.l1_block_hash.into()),
            (BlockInfoKey::GasUsed, self.gas_used),
        ];
        let mut log = 0;
        for (index, transaction) in (0..).zip(&self.transactions) {
            leaves.push((BlockInfoKey::TransactionHash(index), transaction.l2_hash.into()));
            leaves.push((BlockInfoKey::Status(index), transaction.status));
            leaves.push((BlockInfoKey::CumulativeGas(index), transaction.cumulative_gas));
            let percentage = BlockInfoKey::EffectivePercentage(index);
            leaves.push((percentage, transaction.effective_percentage));
            for bytes in &transaction.logs {
                let key = BlockInfoKey::Log { transaction: index, log };
                leaves.push((key, hash_bytes(bytes).into()));
                log += 1;
            }
        }
        Tree::of(leaves.iter().map(|(key, value)| (key.path(), *value))).root()
    }
}

/// A transaction's fields without a signature, but with the sender: what its L2 hash commits to.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "a transaction's fields")]
pub struct Fields {
    pub transaction: TxLegacy,
    pub sender: Address,
}

impl Fields {
    /// The L2 hash, judged in two steps, as the core hashes only what somebody has signed: for the signer of these
    /// fields under [`sign`] the core must agree with the preimage, whose hash under the given sender is returned.
    ///
    /// # Panics
    ///
    /// When the core does not agree.
    pub fn check_l2_hash(&self) -> B256 {
        let block = block(1, Address::ZERO, vec![sign(&self.transaction, 255)]);
        let prepared = block.input().transactions[0].as_ref().expect("signed");
        let signed = Self { sender: prepared.transaction().sender(), ..self.clone() };
        assert_eq!(prepared.l2_hash(), hash_bytes(&signed.preimage()));
        hash_bytes(&self.preimage())
    }

    /// What is hashed (`spec/state-tree.md` §4.2), written down once more: the core does it only for senders that
    /// have signed, and those of known answers have not.
    pub fn preimage(&self) -> Vec<u8> {
        let Self { transaction, sender } = self;
        let length = u32::try_from(transaction.input.len()).expect("short");
        let chain_id = transaction.chain_id.map(u64::to_be_bytes);
        let (create, to) = match &transaction.to {
            TxKind::Create => (1, [].as_slice()),
            TxKind::Call(to) => (0, to.as_slice()),
        };
        [
            [u8::from(chain_id.is_some())].as_slice(),
            &transaction.nonce.to_be_bytes(),
            &U256::from(transaction.gas_price).to_be_bytes::<32>(),
            &transaction.gas_limit.to_be_bytes(),
            &[create],
            to,
            &transaction.value.to_be_bytes::<32>(),
            &length.to_be_bytes()[1..],
            &transaction.input,
            chain_id.as_ref().map_or(&[], <[u8; 8]>::as_slice),
            sender.as_slice(),
        ]
        .concat()
    }
}

/// The transaction with a signature that is somebody's: `r` is the x-coordinate of a point, so every hash has a signer.
pub fn sign(transaction: &TxLegacy, effective_percentage: u8) -> EncodedTransaction {
    let x = hex!("79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798");
    let signature = Signature::new(U256::from_be_bytes(x), U256::ONE, false);
    let mut encoded = Vec::new();
    transaction.rlp_encode_signed(&signature, &mut encoded);
    EncodedTransaction { encoded: encoded.into(), effective_percentage }
}

/// A block that brings in nothing but transactions. Nothing true is claimed of it.
pub fn block(number: u64, coinbase: Address, transactions: Vec<EncodedTransaction>) -> PreparedBlock {
    let input = BlockInput { number, timestamp: 0, coinbase, l1_info: L1Info::default(), transactions };
    let claims = BlockClaims {
        batch: 0,
        delta_timestamp: None,
        gas_limit: None,
        hash: B256::ZERO,
        state_root: B256::ZERO,
        block_info_root: B256::ZERO,
        intermediate_state_roots: Vec::new(),
    };
    Block { input, claims }.into()
}
