use super::{EncodedTransaction, Receipt};
use alloc::vec::Vec;
use alloy_consensus::Header;
use alloy_primitives::{Address, B256, Bytes};
use alloy_rlp::{RlpDecodable, RlpEncodable};
use serde::{Deserialize, Serialize};

/// One L2 block as the main node sent it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Block {
    /// What execution needs.
    pub input: BlockInput,
    /// What the main node says came out.
    pub claims: BlockClaims,
}

/// The part of a block that execution reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BlockInput {
    /// Block number.
    pub number: u64,
    /// Seconds since the Unix epoch.
    pub timestamp: u64,
    /// Receiver of the fees: the sequencer.
    pub coinbase: Address,
    /// L1 information that the block brings in.
    pub l1_info: L1Info,
    /// Transactions in order of execution.
    pub transactions: Vec<EncodedTransaction>,
}

/// The leaf of the L1 info tree that a block refers to. All zero for most blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, RlpEncodable, RlpDecodable, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct L1Info {
    /// Index of the leaf; 0 refers to none.
    pub index: u32,
    /// Global exit root of the leaf.
    pub global_exit_root: B256,
    /// Hash of the parent of the L1 block that made the leaf.
    pub block_hash: B256,
    /// Earliest timestamp at which a block may use the leaf; 0 when not given.
    pub min_timestamp: u64,
}

/// The part of a block that execution must reproduce, or that must agree with the block's surroundings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BlockClaims {
    /// Batch the block is said to be part of.
    pub batch: u64,
    /// Seconds since the previous block; `None` when the source does not say.
    pub delta_timestamp: Option<u32>,
    /// Gas limit in the header; `None` when the source does not say.
    pub gas_limit: Option<u64>,
    /// Header hash.
    pub hash: B256,
    /// State root after the block.
    pub state_root: B256,
    /// Root of the block info tree.
    pub block_info_root: B256,
    /// State root after each transaction; zero where the source does not say.
    pub intermediate_state_roots: Vec<B256>,
}

/// The last verified block: all that is needed to check the next one.
#[derive(Clone, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Head {
    /// Block number.
    pub number: u64,
    /// Header hash.
    pub hash: B256,
    /// State root after the block.
    pub state_root: B256,
    /// Seconds since the Unix epoch.
    pub timestamp: u64,
    /// Batch the block belongs to.
    pub batch: u64,
    /// Fork id of that batch.
    pub fork_id: u64,
    /// The end of that batch has been checked.
    pub batch_closed: bool,
    /// How much has been verified, genesis included in none but the batches.
    pub totals: Totals,
}

/// How much has been verified since genesis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, RlpEncodable, RlpDecodable, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Totals {
    /// Blocks executed (genesis is not executed).
    pub blocks: u64,
    /// Transactions executed.
    pub transactions: u64,
    /// Batches whose end was checked, the genesis batch among them.
    pub batches: u64,
    /// Gas used.
    pub gas: u64,
}

impl Totals {
    /// What is left when blocks with so many transactions and so much gas are taken away. (Batches are not theirs alone.)
    pub(crate) fn without(self, blocks: u64, transactions: u64, gas: u64) -> Self {
        Self {
            blocks: self.blocks.saturating_sub(blocks),
            transactions: self.transactions.saturating_sub(transactions),
            gas: self.gas.saturating_sub(gas),
            ..self
        }
    }
}

/// A verified block, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub struct BlockRecord {
    /// The header; its keccak hash is the block's.
    pub header: Header,
    /// Batch the block belongs to.
    pub batch: u64,
    /// Fork id of that batch.
    pub fork_id: u64,
    /// L1 information that the main node sent with the block.
    pub l1_info: L1Info,
    /// Root of the block info tree.
    pub block_info_root: B256,
    /// Transactions in order of execution.
    pub transactions: Vec<TransactionRecord>,
    /// One for each transaction.
    pub receipts: Vec<Receipt>,
}

/// A transaction of a verified block.
#[derive(Clone, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub struct TransactionRecord {
    /// Signed transaction in Ethereum's RLP.
    pub encoded: Bytes,
    /// Who signed.
    pub sender: Address,
    /// Share of the signed gas price that was charged: `(n + 1) / 256` of it.
    pub effective_percentage: u8,
}

/// Where a transaction of a verified block stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub struct TransactionPlace {
    /// Number of the block.
    pub block: u64,
    /// Position among the block's transactions, from 0.
    pub index: u32,
}
