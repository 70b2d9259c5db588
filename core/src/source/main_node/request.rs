use super::{
    batch::{Batch, BlockHead},
    error::{AnswerError, shorten},
    json,
};
use crate::{
    chain::{ForkId, ForkSchedule},
    types::L1Info,
};
use alloc::{boxed::Box, format, string::String, vec::Vec};
use alloy_primitives::{Address, B256};

/// A question to a main node, over JSON-RPC (`spec/sync.md` §3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Chain id.
    ChainId,
    /// Number of the last block.
    BlockNumber,
    /// Number of the last batch, open or not.
    BatchNumber,
    /// Number of the last batch that was sequenced on L1.
    VirtualBatchNumber,
    /// Number of the last batch that was proved on L1.
    VerifiedBatchNumber,
    /// Which batches run which fork.
    Forks,
    /// The fork of one batch, where [`Forks`](Self::Forks) is missing.
    ForkOfBatch(u64),
    /// A batch with its blocks and data.
    Batch(u64),
    /// The header of a block.
    Block(u64),
    /// The batch that a block is in.
    BatchOfBlock(u64),
    /// Leaves of the L1 info tree: a range of indexes, both ends included, where the main node takes one, or all.
    ExitRootTable(Option<(u32, u32)>),
    /// A word of storage after the last block.
    Storage {
        /// Whose.
        address: Address,
        /// Where.
        slot: B256,
    },
    /// Address of the rollup contract on L1.
    RollupAddress,
    /// Address of the rollup manager on L1.
    RollupManagerAddress,
    /// The last block in the main node's data stream: it has one.
    LatestDataStreamBlock,
}

/// What a main node answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A number.
    Number(u64),
    /// Which batches run which fork.
    Forks(ForkSchedule),
    /// A batch; `None` when the main node does not have it (yet).
    Batch(Option<Box<Batch>>),
    /// A block; `None` when the main node does not have it (yet).
    Block(Option<Box<BlockHead>>),
    /// Leaves of the L1 info tree; possibly not all that were asked for.
    ExitRoots(Vec<L1Info>),
    /// A word.
    Word(B256),
    /// An address.
    Address(Address),
}

impl Request {
    /// Name of the method.
    pub fn method(&self) -> &'static str {
        match self {
            Self::ChainId => "eth_chainId",
            Self::BlockNumber => "eth_blockNumber",
            Self::BatchNumber => "zkevm_batchNumber",
            Self::VirtualBatchNumber => "zkevm_virtualBatchNumber",
            Self::VerifiedBatchNumber => "zkevm_verifiedBatchNumber",
            Self::Forks => "zkevm_getForks",
            Self::ForkOfBatch(_) => "zkevm_getForkIdByBatchNumber",
            Self::Batch(_) => "zkevm_getBatchByNumber",
            Self::Block(_) => "eth_getBlockByNumber",
            Self::BatchOfBlock(_) => "zkevm_batchNumberByBlockNumber",
            Self::ExitRootTable(_) => "zkevm_getExitRootTable",
            Self::Storage { .. } => "eth_getStorageAt",
            Self::RollupAddress => "zkevm_getRollupAddress",
            Self::RollupManagerAddress => "zkevm_getRollupManagerAddress",
            Self::LatestDataStreamBlock => "zkevm_getLatestDataStreamBlock",
        }
    }

    /// The body to post.
    pub fn encode(&self, id: u64) -> String {
        let params = match self {
            Self::ForkOfBatch(number) | Self::BatchOfBlock(number) => format!("\"{number:#x}\""),
            Self::Batch(number) => format!("\"{number:#x}\",true"),
            Self::Block(number) => format!("\"{number:#x}\",false"),
            Self::ExitRootTable(Some((from, to))) => format!("{{\"from\":{from},\"to\":{to}}}"),
            Self::Storage { address, slot } => format!("\"{address:#x}\",\"{slot:#x}\",\"latest\""),
            _ => String::new(),
        };
        let method = self.method();
        format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":[{params}]}}"#)
    }

    /// Reads the body that came back.
    ///
    /// # Errors
    ///
    /// [`AnswerError`] when it is not an answer to this request, or says that there is none.
    pub fn decode(&self, id: u64, body: &[u8]) -> Result<Answer, AnswerError> {
        let envelope = envelope(body)?;
        if envelope.need("id")?.number() != Ok(id) {
            return Err(AnswerError::Id);
        }
        let result = envelope.present("result").ok_or_else(|| AnswerError::missing("result"))?;
        Ok(match self {
            Self::ChainId
            | Self::BlockNumber
            | Self::BatchNumber
            | Self::VirtualBatchNumber
            | Self::VerifiedBatchNumber
            | Self::ForkOfBatch(_)
            | Self::BatchOfBlock(_)
            | Self::LatestDataStreamBlock => Answer::Number(result.number()?),
            Self::Forks => Answer::Forks(forks(result)?),
            Self::Batch(_) | Self::Block(_) if result.is_null() => match self {
                Self::Batch(_) => Answer::Batch(None),
                _ => Answer::Block(None),
            },
            Self::Batch(number) => {
                let batch = Batch::decode(&result.object()?)?;
                expect_number(batch.number, *number)?;
                Answer::Batch(Some(Box::new(batch)))
            }
            Self::Block(number) => {
                let block = BlockHead::decode(&result.object()?)?;
                expect_number(block.number, *number)?;
                Answer::Block(Some(Box::new(block)))
            }
            Self::ExitRootTable(_) => Answer::ExitRoots(leaves(result)?),
            Self::Storage { .. } => Answer::Word(result.word()?),
            Self::RollupAddress | Self::RollupManagerAddress => Answer::Address(result.address()?),
        })
    }
}

fn expect_number(found: u64, asked: u64) -> Result<(), AnswerError> {
    match found == asked {
        true => Ok(()),
        false => Err(AnswerError::field("number", "the number that was asked for", &format!("{found}"))),
    }
}

/// The members of an answer that is no error.
pub(in crate::source) fn envelope(body: &[u8]) -> Result<json::Object<'_>, AnswerError> {
    let envelope = json::parse(body, "the answer")?.object()?;
    envelope.get("error").map_or(Ok(()), |error| Err(refusal(error)))?;
    Ok(envelope)
}

pub(super) fn refusal(error: json::Value<'_>) -> AnswerError {
    let Ok(object) = error.object() else {
        // Some proxies answer with a string.
        return AnswerError::Refused { code: 0, message: shorten(error.raw()) };
    };
    let code = object.get("code").and_then(|code| code.raw().parse().ok()).unwrap_or_default();
    let message = object.get("message").and_then(|message| message.words()).unwrap_or_default();
    AnswerError::Refused { code, message: shorten(&message) }
}

fn forks(result: json::Value<'_>) -> Result<ForkSchedule, AnswerError> {
    let mut intervals = Vec::new();
    for (index, item) in result.items()?.into_iter().enumerate() {
        let interval = || -> Result<_, AnswerError> {
            let object = item.object()?;
            let id = object.need("forkId")?;
            let fork =
                ForkId::try_from(id.number()?).map_err(|_| id.unlike("a fork that can be executed"))?;
            Ok((object.number("fromBatchNumber")?, fork))
        };
        intervals.push(interval().map_err(|error| error.within(&format!("result[{index}]")))?);
    }
    ForkSchedule::new(intervals)
        .map_err(|error| AnswerError::field("result", "forks in ascending order", &format!("{error}")))
}

fn leaves(result: json::Value<'_>) -> Result<Vec<L1Info>, AnswerError> {
    let leaf = |item: json::Value<'_>| -> Result<L1Info, AnswerError> {
        let object = item.object()?;
        Ok(L1Info {
            index: object.need("index")?.index()?,
            global_exit_root: object.hash("ger")?,
            block_hash: object.hash("parent_hash")?,
            min_timestamp: object.number("min_timestamp")?,
        })
    };
    let items = result.items()?.into_iter().enumerate();
    items.map(|(index, item)| leaf(item).map_err(|error| error.within(&format!("result[{index}]")))).collect()
}
