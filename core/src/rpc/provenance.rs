//! Where an answer comes from, for callers who ask (`docs/trust-model.md`).
//!
//! A request may have the member `zkReplica: {provenance: true, minimum: "verified"}`. With `provenance` the answer has a
//! member of that name, which says how far it is backed, up to which block, and by what. With `minimum` an answer that is
//! not backed so far is not given: the error [`Error::TRUST`] stands in its place, and nothing was asked of the main node.

use super::{
    Error, ErrorObject, Frontier,
    envelope::Request,
    json::Json,
    params::{self, Params},
    reply::{Outcome, Relay},
    view::View,
};
use alloc::{format, string::String};
use alloy_primitives::{B256, U64};
use serde::Serialize;

/// The member of requests and answers.
pub(super) const MEMBER: &str = "zkReplica";

/// How far something is backed, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Trust {
    /// The sequencer or the main node says so.
    Sequenced,
    /// It follows from blocks that were executed here.
    Verified,
    /// And the last of these blocks is in a batch that L1 has.
    Virtual,
    /// And the state after that batch was proved on L1.
    Consolidated,
}

/// What stands behind an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Source {
    /// Blocks that were executed here, and the state they left.
    Execution,
    /// A proof under a state root that came of such blocks.
    Proof,
    /// The main node's word.
    MainNode,
    /// Transactions that were sent through this replica and are in no block yet.
    Pool,
    /// What an L1 node says of batches, held against what was executed here.
    L1,
    /// Nothing of the chain: what the operator set, or the request itself.
    Configuration,
}

/// What a caller wants to know of an answer, or asks of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) shown: bool,
    minimum: Option<Trust>,
}

/// The member of the answer.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Provenance {
    /// `None` for what says nothing about the chain.
    trust: Option<Trust>,
    /// The last block that the answer depends on.
    block: Option<U64>,
    /// State root after it.
    state_root: Option<B256>,
    source: Source,
}

/// The latest block that an answer depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rest {
    pub(super) number: u64,
    /// The state root after it, where that is known without its header.
    pub(super) root: Option<B256>,
}

impl Provenance {
    const CONFIGURATION: Self = Self::without_block(None, Source::Configuration);
    const MAIN_NODE: Self = Self::without_block(Some(Trust::Sequenced), Source::MainNode);
    const POOL: Self = Self::without_block(Some(Trust::Sequenced), Source::Pool);
    /// Of what comes: each block is told when it is verified, and no sooner.
    const NEWS: Self = Self::without_block(Some(Trust::Verified), Source::Execution);

    const fn without_block(trust: Option<Trust>, source: Source) -> Self {
        Self { trust, block: None, state_root: None, source }
    }

    pub(super) fn write(&self) -> Result<String, Error> {
        serde_json::to_string(self).map_err(|_| Error::internal())
    }
}

impl Wish {
    /// Reads the request's member.
    pub(super) fn read(value: &Json<'_>) -> Result<Self, Error> {
        let wrong = |reason: String| Error::invalid(format!("{MEMBER}: {reason}"));
        let members = match value {
            Json::Null => return Ok(Self::default()),
            Json::Object(members) => members,
            _ => return Err(wrong("an object was expected".into())),
        };
        let mut wish = Self::default();
        for (name, value) in members {
            match (name.as_str(), value) {
                (_, Json::Null) => {}
                ("provenance", value) => wish.shown = params::boolean(value).map_err(wrong)?,
                ("minimum", value) => {
                    wish.minimum = Some(params::string(value).and_then(trust).map_err(wrong)?);
                }
                // A wish that is not understood is not passed over: it may be for more certainty.
                (name, _) => return Err(wrong(format!("{name} is not known"))),
            }
        }
        Ok(wish)
    }

    /// Refuses what is not backed as far as is asked for.
    fn allows(self, provenance: &Provenance) -> Result<(), Error> {
        match (self.minimum, provenance.trust) {
            (Some(minimum), Some(trust)) if trust < minimum => Err(Error::trust(minimum, provenance)),
            _ => Ok(()),
        }
    }

    fn is_empty(self) -> bool {
        self == Self::default()
    }
}

fn trust(text: &str) -> Result<Trust, String> {
    match text {
        "sequenced" => Ok(Trust::Sequenced),
        "verified" => Ok(Trust::Verified),
        "virtual" => Ok(Trust::Virtual),
        "consolidated" => Ok(Trust::Consolidated),
        _ => Err("minimum: neither sequenced, verified, virtual nor consolidated".into()),
    }
}

impl Trust {
    const fn name(self) -> &'static str {
        match self {
            Self::Sequenced => "sequenced",
            Self::Verified => "verified",
            Self::Virtual => "virtual",
            Self::Consolidated => "consolidated",
        }
    }
}

impl Error {
    /// The answer is not backed as far as the caller wants; `data` says how far it is.
    fn trust(minimum: Trust, provenance: &Provenance) -> Self {
        let trust = provenance.trust.map_or("", Trust::name);
        let behind =
            provenance.block.map_or(String::new(), |block| format!(" (block {})", block.to::<u64>()));
        ErrorObject {
            code: Self::TRUST,
            message: format!("the answer is {trust}{behind}, not {}", minimum.name()),
            data: provenance.write().ok(),
        }
        .into()
    }
}

impl View<'_> {
    /// What comes of a request, and the member that its answer has.
    pub(super) fn answer_backed(
        &self,
        request: &Request<'_>,
        room: usize,
    ) -> (Result<Outcome, Error>, Option<String>) {
        let wish = request.wish;
        if wish.is_empty() {
            return (self.answer(request, room), None);
        }
        // What is done by asking is not done first and refused then.
        if let Err(refused) = self.backs_action(request).map_or(Ok(()), |known| wish.allows(&known)) {
            return (Err(refused), None);
        }
        let outcome = self.answer(request, room);
        let provenance = match &outcome {
            Ok(outcome) => self.provenance(request, outcome),
            // That a call reverts is what comes out of it.
            Err(error) if error.code == Error::REVERTED => {
                self.provenance(request, &Outcome::Value(String::new()))
            }
            Err(_) => return (outcome, None),
        };
        let backed = provenance.and_then(|provenance| {
            wish.allows(&provenance)?;
            provenance.write()
        });
        match backed {
            Ok(member) => (outcome, wish.shown.then_some(member)),
            Err(refused) => (Err(refused), None),
        }
    }

    /// What backs a method that changes something, which is known before.
    fn backs_action(&self, request: &Request<'_>) -> Option<Provenance> {
        match request.method.as_str() {
            "eth_sendRawTransaction" => Some(Provenance::MAIN_NODE),
            "eth_newPendingTransactionFilter" => Some(Provenance::POOL),
            "eth_newFilter" | "eth_newBlockFilter" => Some(Provenance::NEWS),
            "eth_subscribe" => match request.params.first().and_then(|kind| params::string(kind).ok()) {
                Some("newPendingTransactions") => Some(Provenance::POOL),
                Some("syncing") => Some(Provenance::MAIN_NODE),
                _ => Some(Provenance::NEWS),
            },
            // What a filter has told it does not tell again.
            "eth_getFilterChanges" => match self.is_pool_filter(Params::new(&request.params)) {
                Ok(true) => Some(Provenance::POOL),
                Ok(false) => Some(Provenance::NEWS),
                Err(_) => None,
            },
            _ => None,
        }
    }

    fn provenance(&self, request: &Request<'_>, outcome: &Outcome) -> Result<Provenance, Error> {
        let value = match outcome {
            // Strict: nobody is asked, and what is said is what is known here.
            Outcome::Relay(relay) if self.rpc.config.strict && !relay.is_transaction() => "null",
            Outcome::Relay(_) => return Ok(Provenance::MAIN_NODE),
            Outcome::Value(value) => value,
        };
        let method = request.method.as_str();
        if says_nothing_of_the_chain(method) {
            return Ok(Provenance::CONFIGURATION);
        }
        if self.is_from_pool() || method.starts_with("txpool_") {
            return Ok(Provenance::POOL);
        }
        if let Some(known) = self.backs_action(request) {
            return Ok(known);
        }
        match method {
            "eth_syncing" => return Ok(Provenance::MAIN_NODE),
            "zkevm_virtualBatchNumber" | "zkevm_isBlockVirtualized" => {
                return Ok(self.at_frontier(self.safe()));
            }
            "zkevm_verifiedBatchNumber" | "zkevm_consolidatedBlockNumber" | "zkevm_isBlockConsolidated" => {
                return Ok(self.at_frontier(self.status.finalized));
            }
            _ => {}
        }
        let source = match method {
            // Blocks bear the schedule out as far as they go.
            "zkevm_getForks" | "zkevm_getForkById" | "zkevm_getForkIdByBatchNumber" => Source::Configuration,
            _ if self.is_proved() => Source::Proof,
            _ => Source::Execution,
        };
        match self.rests_on() {
            // Of something that is not there all blocks say so.
            Some(rest) if rests_on_its_block(method) && value != "null" => self.at_block(rest, source),
            _ => self.at_head(source),
        }
    }

    /// How far L1 is; where nothing was asked of it, nothing backs what is said.
    fn at_frontier(&self, frontier: Option<Frontier>) -> Provenance {
        let least = Provenance::without_block(Some(Trust::Sequenced), Source::L1);
        frontier.map_or(least, |frontier| Provenance {
            trust: Some(self.trust_of(frontier.block)),
            block: Some(U64::from(frontier.block)),
            ..least
        })
    }

    fn trust_of(&self, block: u64) -> Trust {
        let within = |frontier: Option<Frontier>| frontier.is_some_and(|end| block <= end.block);
        if within(self.status.finalized) {
            Trust::Consolidated
        } else if within(self.status.safe) {
            Trust::Virtual
        } else {
            Trust::Verified
        }
    }

    fn at_head(&self, source: Source) -> Result<Provenance, Error> {
        let head = self.head()?;
        self.at_block(Rest { number: head.number, root: Some(head.state_root) }, source)
    }

    fn at_block(&self, rest: Rest, source: Source) -> Result<Provenance, Error> {
        let head = self.head()?;
        let root = match rest.root {
            Some(root) => root,
            None if rest.number == head.number => head.state_root,
            None => self.stored_header(rest.number)?.state_root,
        };
        let block = Some(U64::from(rest.number));
        Ok(Provenance { trust: Some(self.trust_of(rest.number)), block, state_root: Some(root), source })
    }
}

impl Relay {
    /// The member of an answer that the main node gave.
    pub(super) fn provenance(wish: Wish) -> Option<String> {
        wish.shown.then(|| Provenance::MAIN_NODE.write().ok()).flatten()
    }
}

/// The answer is the same on any chain, or with any blocks.
fn says_nothing_of_the_chain(method: &str) -> bool {
    matches!(
        method,
        "eth_chainId"
            | "eth_protocolVersion"
            | "eth_hashrate"
            | "eth_mining"
            | "eth_accounts"
            | "eth_requestAccounts"
            | "eth_getCompilers"
            | "eth_uninstallFilter"
            | "eth_unsubscribe"
            | "net_version"
            | "net_listening"
            | "net_peerCount"
            | "web3_clientVersion"
            | "web3_sha3"
            | "rpc_modules"
            | "zkevm_getVersionHistory"
            | "zkevm_getRollupAddress"
            | "zkevm_getRollupManagerAddress"
    )
}

/// The answer depends on the blocks that are looked at for it and on those before them. Of all other methods it may depend
/// on the last block.
fn rests_on_its_block(method: &str) -> bool {
    matches!(
        method,
        "eth_getBalance"
            | "eth_getTransactionCount"
            | "eth_getCode"
            | "eth_getStorageAt"
            | "eth_getStorageValues"
            | "eth_call"
            | "eth_estimateGas"
            | "eth_createAccessList"
            | "eth_getHeaderByNumber"
            | "eth_getHeaderByHash"
            | "eth_getBlockByNumber"
            | "eth_getBlockByHash"
            | "eth_getBlockTransactionCountByNumber"
            | "eth_getBlockTransactionCountByHash"
            | "eth_getBlockReceipts"
            | "eth_getTransactionByHash"
            | "eth_getTransactionByBlockHashAndIndex"
            | "eth_getTransactionByBlockNumberAndIndex"
            | "eth_getRawTransactionByHash"
            | "eth_getRawTransactionByBlockHashAndIndex"
            | "eth_getRawTransactionByBlockNumberAndIndex"
            | "eth_getTransactionReceipt"
            | "eth_getLogs"
            | "eth_feeHistory"
            | "zkevm_getTransactionByL2Hash"
            | "zkevm_getTransactionReceiptByL2Hash"
            | "zkevm_getProof"
            | "zkevm_getWitness"
            | "zkevm_getBlockRangeWitness"
            | "zkevm_getFullBlockByNumber"
            | "zkevm_getFullBlockByHash"
            | "debug_getRawHeader"
            | "debug_getRawBlock"
            | "debug_getRawReceipts"
            | "debug_getRawTransaction"
            | "debug_traceTransaction"
            | "debug_traceBlockByNumber"
            | "debug_traceBlockByHash"
            | "debug_traceCall"
    )
}
