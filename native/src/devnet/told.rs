//! A block as the main node tells it.

use alloy_consensus::proofs::ordered_trie_root_with_encoder;
use alloy_primitives::B256;
use zk_replica_core::source::datastream::{BlockEnd, Bookmark, L2Block, Message, Transaction};
use zk_replica_core::types::{
    BatchEnd, BatchStart, Block, BlockClaims, BlockInput, BlockRecord, EncodedTransaction, UpdateGer,
};

/// A block with all that is said of it and of the batch around it: what the data stream and JSON-RPC are made of, so that
/// both say the same, be it true or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    /// Beginning of the block's batch.
    pub(crate) start: BatchStart,
    /// The block is the first of its batch.
    pub(crate) opens: bool,
    pub(crate) record: BlockRecord,
    /// Seconds since the block before; block 1 has its timestamp here.
    pub(crate) delta: u32,
    /// As the stream has it; zero is not said.
    pub(crate) gas_limit: u64,
    /// State root after each transaction, in forks that tell it.
    pub(crate) intermediate_state_roots: Vec<B256>,
    /// An exit root without a block, which no batch of these forks has.
    pub(crate) update: Option<UpdateGer>,
    /// End of the batch, behind its last block.
    pub(crate) end: Option<BatchEnd>,
}

impl Told {
    /// Header hash.
    pub(crate) fn hash(&self) -> B256 {
        self.record.header.hash_slow()
    }

    pub(crate) fn number(&self) -> u64 {
        self.record.header.number
    }

    pub(crate) fn state_root(&self) -> B256 {
        self.record.header.state_root
    }

    /// Makes the header commit to the transactions that there are.
    pub(crate) fn commit_to_transactions(&mut self) {
        self.record.header.transactions_root =
            ordered_trie_root_with_encoder(&self.record.transactions, |item, out| {
                out.extend_from_slice(&item.encoded);
            });
    }

    /// The block as a replica takes it.
    pub(crate) fn block(&self) -> Block {
        let claims = BlockClaims {
            batch: self.record.batch,
            delta_timestamp: Some(self.delta),
            gas_limit: None,
            hash: self.hash(),
            state_root: self.state_root(),
            block_info_root: self.record.block_info_root,
            intermediate_state_roots: self.intermediate_state_roots.clone(),
        };
        Block { input: self.input(), claims }
    }

    /// What execution needs of it.
    pub(crate) fn input(&self) -> BlockInput {
        let header = &self.record.header;
        let transactions = self.record.transactions.iter().map(|transaction| EncodedTransaction {
            encoded: transaction.encoded.clone(),
            effective_percentage: transaction.effective_percentage,
        });
        BlockInput {
            number: header.number,
            timestamp: header.timestamp,
            coinbase: header.beneficiary,
            l1_info: self.record.l1_info,
            transactions: transactions.collect(),
        }
    }

    /// The block in the stream, with the beginning and the end of its batch where they belong to it.
    pub(crate) fn messages(&self) -> Vec<Message> {
        let (number, mut messages) = (self.number(), Vec::new());
        if self.opens {
            messages.push(Message::Bookmark(Bookmark::Batch(self.start.number)));
            messages.push(Message::BatchStart(self.start.clone()));
        }
        messages.push(Message::Bookmark(Bookmark::Block(number)));
        messages.push(Message::L2Block(self.l2_block()));
        for (index, transaction) in self.record.transactions.iter().enumerate() {
            messages.push(Message::Transaction(Transaction {
                block_number: number,
                index: 0,
                is_valid: true,
                encoded: transaction.encoded.clone(),
                effective_percentage: transaction.effective_percentage,
                intermediate_state_root: self
                    .intermediate_state_roots
                    .get(index)
                    .copied()
                    .unwrap_or_default(),
            }));
        }
        messages.push(Message::BlockEnd(BlockEnd { number }));
        messages.extend(self.update.clone().map(Message::UpdateGer));
        messages.extend(self.end.clone().map(Message::BatchEnd));
        messages
    }

    fn l2_block(&self) -> L2Block {
        let (header, l1_info) = (&self.record.header, &self.record.l1_info);
        L2Block {
            number: header.number,
            batch_number: self.record.batch,
            timestamp: header.timestamp,
            delta_timestamp: self.delta,
            min_timestamp: l1_info.min_timestamp,
            l1_block_hash: l1_info.block_hash,
            l1_info_tree_index: l1_info.index,
            hash: self.hash(),
            state_root: header.state_root,
            global_exit_root: l1_info.global_exit_root,
            coinbase: header.beneficiary,
            gas_limit: self.gas_limit,
            block_info_root: self.record.block_info_root,
        }
    }
}
