use crate::{
    tree::hash_bytes,
    types::{Block, BlockClaims, BlockInput, EncodedTransaction, L1Info, Transaction, TransactionError},
};
use alloc::vec::Vec;
use alloy_consensus::proofs::ordered_trie_root_with_encoder;
use alloy_primitives::{Address, B256, TxKind, U256};

/// A block with all that can be worked out without the state: senders and hashes.
///
/// Preparing is most of the work of a block with many transactions, needs nothing of the block before, and so can run
/// on every core ahead of execution.
#[derive(Debug)]
pub struct PreparedBlock {
    input: PreparedInput,
    claims: BlockClaims,
    transactions_root: B256,
    /// As they came. The bytes are shared with what was prepared of them.
    encoded: Vec<EncodedTransaction>,
}

/// The part of a block that execution reads, prepared.
#[derive(Debug)]
pub struct PreparedInput {
    /// Block number.
    pub number: u64,
    /// Seconds since the Unix epoch.
    pub timestamp: u64,
    /// Receiver of the fees: the sequencer.
    pub coinbase: Address,
    /// L1 information that the block brings in.
    pub l1_info: L1Info,
    /// Each transaction, or why it is none. What came of a transaction that nobody signed is kept, and refused in its
    /// turn.
    pub transactions: Vec<Result<PreparedTransaction, TransactionError>>,
}

/// A transaction, its sender, and its hash in the block info tree.
#[derive(Debug)]
pub struct PreparedTransaction {
    transaction: Transaction,
    l2_hash: B256,
}

impl From<Block> for PreparedBlock {
    fn from(Block { input, claims }: Block) -> Self {
        let transactions_root = ordered_trie_root_with_encoder(&input.transactions, |item, out| {
            out.extend_from_slice(&item.encoded)
        });
        let encoded = input.transactions.clone();
        Self { input: input.into(), claims, transactions_root, encoded }
    }
}

impl From<BlockInput> for PreparedInput {
    fn from(BlockInput { number, timestamp, coinbase, l1_info, transactions }: BlockInput) -> Self {
        let transactions =
            transactions.iter().map(|encoded| encoded.recover().map(PreparedTransaction::from));
        Self { number, timestamp, coinbase, l1_info, transactions: transactions.collect() }
    }
}

impl PreparedBlock {
    /// What execution needs.
    pub fn input(&self) -> &PreparedInput {
        &self.input
    }

    /// What the main node says came out.
    pub fn claims(&self) -> &BlockClaims {
        &self.claims
    }

    /// The block as the main node sent it.
    pub fn to_block(&self) -> Block {
        let PreparedInput { number, timestamp, coinbase, l1_info, .. } = self.input;
        let transactions = self.encoded.clone();
        let input = BlockInput { number, timestamp, coinbase, l1_info, transactions };
        Block { input, claims: self.claims.clone() }
    }

    /// The transactions as the main node sent them.
    pub fn encoded(&self) -> &[EncodedTransaction] {
        &self.encoded
    }

    /// Root of the transactions' trie, as the header commits to it.
    pub fn transactions_root(&self) -> B256 {
        self.transactions_root
    }
}

impl From<Transaction> for PreparedTransaction {
    fn from(transaction: Transaction) -> Self {
        let l2_hash = l2_hash(&transaction);
        Self { transaction, l2_hash }
    }
}

impl PreparedTransaction {
    /// The transaction and its sender.
    pub fn transaction(&self) -> &Transaction {
        &self.transaction
    }

    /// Linear Poseidon over the fields and the sender (`spec/state-tree.md` §4.2). Not Ethereum's hash.
    pub fn l2_hash(&self) -> B256 {
        self.l2_hash
    }
}

/// Every field big-endian at fixed width; the data behind its length in three bytes.
fn l2_hash(transaction: &Transaction) -> B256 {
    let fields = transaction.fields();
    let mut bytes = Vec::with_capacity(138 + fields.input.len());
    bytes.push(u8::from(fields.chain_id.is_some()));
    bytes.extend_from_slice(&fields.nonce.to_be_bytes());
    bytes.extend_from_slice(&U256::from(fields.gas_price).to_be_bytes::<32>());
    bytes.extend_from_slice(&fields.gas_limit.to_be_bytes());
    match fields.to {
        TxKind::Create => bytes.push(1),
        TxKind::Call(to) => {
            bytes.push(0);
            bytes.extend_from_slice(to.as_slice());
        }
    }
    bytes.extend_from_slice(&fields.value.to_be_bytes::<32>());
    // Data of 2^24 bytes and more does not fit into a batch; the hash would commit to its length mod 2^24.
    bytes.extend_from_slice(&fields.input.len().to_be_bytes()[size_of::<usize>() - 3..]);
    bytes.extend_from_slice(&fields.input);
    if let Some(chain_id) = fields.chain_id {
        bytes.extend_from_slice(&chain_id.to_be_bytes());
    }
    bytes.extend_from_slice(transaction.sender().as_slice());
    hash_bytes(&bytes)
}
