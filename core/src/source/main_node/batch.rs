use super::{
    client::ClientError,
    error::AnswerError,
    json::{Object, Value},
};
use crate::{
    chain::ForkId,
    source::batch_data::{self, BatchEntry},
    types::{
        BatchEncoding, BatchEnd, BatchKind, BatchStart, Block, BlockClaims, BlockInput, EncodedTransaction,
        L1Info, UpdateGer,
    },
};
use alloc::{collections::BTreeMap, format, vec::Vec};
use alloy_primitives::{Address, B256, Bytes, keccak256, map::HashMap};

/// Bytes in front of batch data on nodes that recovered it from L1: coinbase, L1 info root, limit timestamp
/// (`spec/sync.md` §3.6).
const RECOVERY_PREFIX: usize = 60;
/// First byte of batch data that names its blocks.
const CHANGE_L2_BLOCK: u8 = 0x0b;

/// A batch as a main node serves it: all of it is claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Batch number.
    pub number: u64,
    /// The sequencer.
    pub coinbase: Address,
    /// State root after the last block.
    pub state_root: B256,
    /// Timestamp of the last block.
    pub timestamp: u64,
    /// Global exit root; zero when it is the one of the batch before.
    pub global_exit_root: B256,
    /// Root of the bridge's exit tree after the batch.
    pub local_exit_root: B256,
    /// A user forced it on L1.
    pub forced: bool,
    /// Nothing will be added; `None` when the main node does not say.
    pub closed: Option<bool>,
    /// batchL2Data.
    pub data: Bytes,
    /// Its blocks so far.
    pub blocks: Vec<BlockHead>,
}

/// A block without its transactions' bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockHead {
    /// Block number.
    pub number: u64,
    /// Header hash.
    pub hash: B256,
    /// Header hash of the block before.
    pub parent_hash: B256,
    /// State root after the block.
    pub state_root: B256,
    /// Receiver of the fees.
    pub coinbase: Address,
    /// Seconds since the Unix epoch.
    pub timestamp: u64,
    /// Gas limit in the header.
    pub gas_limit: u64,
    /// Hashes of its transactions.
    pub transactions: Vec<B256>,
    /// Root of the block info tree. Only a batch's blocks have it.
    pub block_info_root: Option<B256>,
    /// Global exit root that the block brings in; zero for none. Only a batch's blocks have it.
    pub global_exit_root: B256,
}

/// What the data of a batch says of its blocks.
#[derive(Clone, Debug)]
pub(super) struct Contents {
    pub(super) kind: BatchKind,
    bodies: Vec<Body>,
}

#[derive(Clone, Debug, Default)]
struct Body {
    /// Seconds since the block before; `None` when the data does not say.
    delta: Option<u32>,
    /// Index of the L1 info leaf.
    l1_info_index: u32,
    transactions: Vec<EncodedTransaction>,
}

/// What else has to be known of a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context<'a> {
    pub(super) chain_id: u64,
    pub(super) fork: ForkId,
    pub(super) encoding: &'a BatchEncoding,
    /// Leaves of the L1 info tree that are known.
    pub(super) l1_info: &'a HashMap<u32, L1Info>,
    /// L1 block hashes under which the chain knows global exit roots.
    pub(super) l1_block_hashes: &'a BTreeMap<B256, B256>,
}

/// Why the blocks of a batch could not be put together.
#[derive(Debug)]
pub(super) enum Lack {
    /// A leaf of the L1 info tree.
    L1Info(u32),
    /// The L1 block hash that came with a global exit root.
    L1BlockHash(B256),
    /// Whether the block before is still the same: the next one stands on another.
    Parent,
    /// They never can.
    Error(ClientError),
}

impl From<ClientError> for Lack {
    fn from(error: ClientError) -> Self {
        Self::Error(error)
    }
}

impl Batch {
    pub(super) fn decode(object: &Object<'_>) -> Result<Self, AnswerError> {
        let block = |(index, item): (usize, Value<'_>)| {
            let name = format!("blocks[{index}]");
            let object = item.object().map_err(|error| error.within(&name))?;
            BlockHead::decode(&object).map_err(|error| error.within(&name))
        };
        let blocks = object.get("blocks").map_or(Ok(Vec::new()), |blocks| blocks.items())?;
        let or_zero = |name| object.get(name).map_or(Ok(B256::ZERO), |root| root.hash());
        Ok(Self {
            number: object.number("number")?,
            coinbase: object.need("coinbase")?.address()?,
            state_root: object.hash("stateRoot")?,
            timestamp: object.number("timestamp")?,
            global_exit_root: or_zero("globalExitRoot")?,
            local_exit_root: or_zero("localExitRoot")?,
            forced: object.get("forcedBatchNumber").is_some(),
            closed: object.get("closed").map(|closed| closed.flag()).transpose()?,
            data: object.get("batchL2Data").map_or(Ok(Bytes::new()), |data| data.bytes())?,
            blocks: blocks.into_iter().enumerate().map(block).collect::<Result<_, _>>()?,
        })
    }

    /// Bytes it takes, about.
    pub(super) fn weight(&self) -> usize {
        let transactions: usize = self.blocks.iter().map(|block| block.transactions.len()).sum();
        self.data.len() + 320 * self.blocks.len() + 32 * transactions
    }

    /// Reads the batch's data.
    pub(super) fn contents(&self, cx: &Context<'_>) -> Result<Contents, ClientError> {
        let mut data = self.data.as_ref();
        if cx.encoding.l2_blocks
            && data.first().is_some_and(|first| *first != CHANGE_L2_BLOCK)
            && data.get(RECOVERY_PREFIX) == Some(&CHANGE_L2_BLOCK)
        {
            data = &data[RECOVERY_PREFIX..];
        }
        let entries = batch_data::decode(data, cx.encoding)
            .map_err(|error| ClientError::Data { batch: self.number, error })?;
        let names_blocks = matches!(entries.first(), Some(BatchEntry::ChangeL2Block(_)));
        let injected = matches!(
            entries.as_slice(),
            [BatchEntry::Transaction(one)] | [BatchEntry::ChangeL2Block(_), BatchEntry::Transaction(one)]
                if one.is_injected()
        );
        let kind = match cx.encoding.l2_blocks {
            true if injected => BatchKind::Injected,
            true if self.forced || !(names_blocks || entries.is_empty()) => BatchKind::Forced,
            // What is not valid has data and no blocks.
            true if !entries.is_empty() && self.blocks.is_empty() => BatchKind::Invalid,
            _ => BatchKind::Regular,
        };
        let mut bodies: Vec<Body> = Vec::new();
        for entry in &entries {
            let transaction = match entry {
                BatchEntry::ChangeL2Block(change) => {
                    let delta = (kind == BatchKind::Regular).then_some(change.delta_timestamp);
                    let l1_info_index = change.l1_info_index;
                    bodies.push(Body { delta, l1_info_index, transactions: Vec::new() });
                    continue;
                }
                BatchEntry::Transaction(transaction) => transaction.to_encoded().map_err(|_| {
                    self.unlike("batchL2Data", "transactions with signatures", "one that has none")
                })?,
                BatchEntry::Typed { envelope, effective_percentage } => EncodedTransaction {
                    encoded: envelope.clone(),
                    effective_percentage: *effective_percentage,
                },
            };
            match bodies.last_mut().filter(|_| cx.encoding.l2_blocks) {
                Some(body) => body.transactions.push(transaction),
                None => bodies.push(Body { transactions: alloc::vec![transaction], ..Body::default() }),
            }
        }
        if bodies.is_empty()
            && matches!(kind, BatchKind::Forced | BatchKind::Injected)
            && !self.blocks.is_empty()
        {
            bodies.push(Body::default());
        }
        Ok(Contents { kind, bodies })
    }

    /// How the batch begins.
    pub(super) fn start(&self, kind: BatchKind, cx: &Context<'_>) -> BatchStart {
        BatchStart { number: self.number, kind, fork_id: cx.fork.number(), chain_id: cx.chain_id }
    }

    /// How the batch ends.
    pub(super) fn end(&self) -> BatchEnd {
        let Self { number, local_exit_root, state_root, .. } = *self;
        BatchEnd { number, local_exit_root, state_root }
    }

    /// The exit root that a batch without blocks brings in.
    pub(super) fn update(&self, cx: &Context<'_>) -> Option<UpdateGer> {
        let brings_one = self.blocks.is_empty() && !cx.encoding.l2_blocks && !self.global_exit_root.is_zero();
        brings_one.then(|| UpdateGer {
            batch_number: self.number,
            timestamp: self.timestamp,
            global_exit_root: self.global_exit_root,
            coinbase: self.coinbase,
            fork_id: cx.fork.number(),
            chain_id: cx.chain_id,
            state_root: self.state_root,
        })
    }

    /// How many blocks are whole: a batch that is being filled may be read between a block and its data.
    pub(super) fn whole(&self, contents: &Contents, closed: bool) -> Result<usize, ClientError> {
        let (said, named) = (contents.bodies.len(), self.blocks.len());
        if closed && contents.kind != BatchKind::Invalid {
            if said != named {
                let found = format!("{said} blocks in its data");
                return Err(self.unlike("blocks", "as many as its data has", &found));
            }
            return Ok(named);
        }
        let count = said.min(named);
        let is_whole =
            |index: usize| contents.bodies[index].transactions.len() == self.blocks[index].transactions.len();
        Ok(if count > 0 && !is_whole(count - 1) { count - 1 } else { count })
    }

    /// One of the [`whole`](Self::whole) blocks.
    pub(super) fn block(&self, index: usize, contents: &Contents, cx: &Context<'_>) -> Result<Block, Lack> {
        let (head, body) = (&self.blocks[index], &contents.bodies[index]);
        if cx.encoding.l2_blocks && contents.kind == BatchKind::Regular && head.coinbase != self.coinbase {
            let found = format!("{}", head.coinbase);
            return Err(self
                .unlike(&format!("blocks[{index}].miner"), "the batch's coinbase", &found)
                .into());
        }
        let hashes = body.transactions.iter().map(|transaction| keccak256(&transaction.encoded));
        if !hashes.eq(head.transactions.iter().copied()) {
            let field = format!("blocks[{index}].transactions");
            return Err(self.unlike(&field, "the hashes of those in its data", "others").into());
        }
        let l1_info = self.l1_info(index, contents, cx)?;
        let block_info_root = match (head.block_info_root, cx.encoding.l2_blocks) {
            (Some(root), _) => root,
            (None, false) => B256::ZERO,
            (None, true) => {
                let field = format!("blocks[{index}].blockInfoRoot");
                return Err(self.unlike(&field, "a hash", "nothing").into());
            }
        };
        let transactions = body.transactions.clone();
        Ok(head.block(self.number, body.delta, l1_info, block_info_root, transactions))
    }

    fn l1_info(&self, index: usize, contents: &Contents, cx: &Context<'_>) -> Result<L1Info, Lack> {
        let said = self.blocks[index].global_exit_root;
        if !cx.encoding.l2_blocks {
            // The batch brings it in once.
            let global_exit_root = if index == 0 { self.global_exit_root } else { B256::ZERO };
            return Ok(L1Info { global_exit_root, ..L1Info::default() });
        }
        if contents.kind != BatchKind::Regular {
            let global_exit_root = if said.is_zero() { self.global_exit_root } else { said };
            let block_hash = cx.l1_block_hashes.get(&global_exit_root);
            let block_hash = *block_hash.ok_or(Lack::L1BlockHash(global_exit_root))?;
            return Ok(L1Info { global_exit_root, block_hash, ..L1Info::default() });
        }
        let leaf = match contents.bodies[index].l1_info_index {
            // Without a leaf none is brought in: that it is known already is for the checker to see.
            0 => return Ok(L1Info { global_exit_root: said, ..L1Info::default() }),
            leaf => *cx.l1_info.get(&leaf).ok_or(Lack::L1Info(leaf))?,
        };
        if !said.is_zero() && said != leaf.global_exit_root {
            let field = format!("blocks[{index}].globalExitRoot");
            return Err(self.unlike(&field, "that of the leaf in its data", &format!("{said}")).into());
        }
        Ok(leaf)
    }

    fn unlike(&self, field: &str, expected: &'static str, found: &str) -> ClientError {
        ClientError::Contradiction { batch: self.number, error: AnswerError::field(field, expected, found) }
    }
}

impl BlockHead {
    pub(super) fn decode(object: &Object<'_>) -> Result<Self, AnswerError> {
        let optional = |name| object.get(name).map(|hash| hash.hash()).transpose();
        let hash = |(index, item): (usize, Value<'_>)| {
            let read = || match item.object() {
                Ok(transaction) => transaction.hash("hash"),
                Err(_) => item.hash(),
            };
            read().map_err(|error| error.within(&format!("transactions[{index}]")))
        };
        let transactions = object.get("transactions").map_or(Ok(Vec::new()), |items| items.items())?;
        Ok(Self {
            number: object.number("number")?,
            hash: object.hash("hash")?,
            parent_hash: object.hash("parentHash")?,
            state_root: object.hash("stateRoot")?,
            coinbase: object.need("miner")?.address()?,
            timestamp: object.number("timestamp")?,
            gas_limit: object.number("gasLimit")?,
            transactions: transactions.into_iter().enumerate().map(hash).collect::<Result<_, _>>()?,
            block_info_root: optional("blockInfoRoot")?,
            global_exit_root: optional("globalExitRoot")?.unwrap_or_default(),
        })
    }

    /// Block 0, which is part of batch 0 and executes nothing.
    pub(super) fn genesis(&self) -> Block {
        let block_info_root = self.block_info_root.unwrap_or_default();
        self.block(0, None, L1Info::default(), block_info_root, Vec::new())
    }

    fn block(
        &self,
        batch: u64,
        delta_timestamp: Option<u32>,
        l1_info: L1Info,
        block_info_root: B256,
        transactions: Vec<EncodedTransaction>,
    ) -> Block {
        let Self { number, hash, state_root, coinbase, timestamp, gas_limit, .. } = *self;
        Block {
            claims: BlockClaims {
                batch,
                delta_timestamp,
                gas_limit: Some(gas_limit),
                hash,
                state_root,
                block_info_root,
                intermediate_state_roots: alloc::vec![B256::ZERO; transactions.len()],
            },
            input: BlockInput { number, timestamp, coinbase, l1_info, transactions },
        }
    }
}
