//! Which method is which function.

use super::{
    Error,
    envelope::Request,
    live::Kind,
    params::Params,
    reply::{Outcome, Relay},
    view::View,
};
use alloc::string::ToString;
use alloy_primitives::{U64, keccak256};
use serde::Serialize;

/// Blocks that we may be behind the main node without being said to synchronise.
const SYNCED_WITHIN: u64 = 10;

impl View<'_> {
    pub(super) fn dispatch(&self, request: &Request<'_>) -> Result<Outcome, Error> {
        let (method, params) = (request.method.as_str(), Params::new(&request.params));
        if let Some(outcome) = self.without_parameters(method) {
            return params.at_most(0).and(outcome);
        }
        match method.split_once('_') {
            Some(("eth", _)) => self.eth(method, params),
            Some(("zkevm", _)) => self.zkevm(method, params),
            Some(("debug", _)) => self.debug(method, params),
            _ if method == "zkreplica_getRecords" => answer(self.records(params.at_most(1)?)?),
            Some(("txpool", _)) => self.txpool(method, params),
            _ if method == "web3_sha3" => params.at_most(1)?.data(0).and_then(|data| answer(keccak256(data))),
            _ => Err(Error::method_not_found(method)),
        }
    }

    /// Methods that take none.
    fn without_parameters(&self, method: &str) -> Option<Result<Outcome, Error>> {
        let number = |number: u64| answer(U64::from(number));
        let head = self.head();
        Some(match method {
            "eth_chainId" => number(self.rpc.spec.chain_id),
            "eth_blockNumber" | "zkevm_getLatestDataStreamBlock" => head.and_then(|head| number(head.number)),
            "eth_syncing" => self.syncing().and_then(answer),
            "eth_protocolVersion" | "eth_hashrate" | "net_peerCount" => number(0),
            "eth_mining" => answer(false),
            "eth_accounts" | "eth_requestAccounts" | "eth_getCompilers" => answer([(); 0]),
            "eth_coinbase" => self.coinbase().and_then(answer),
            "eth_gasPrice" | "eth_maxPriorityFeePerGas" => Ok(Outcome::Relay(Relay::Word)),

            "net_version" => answer(self.rpc.spec.chain_id.to_string()),
            "net_listening" => answer(true),
            "web3_clientVersion" => answer(&self.rpc.config.client_version),
            "rpc_modules" => answer(self.modules()),

            "zkevm_batchNumber" => head.and_then(|head| number(head.batch)),
            "zkevm_virtualBatchNumber" => answer(self.frontier_batch(self.safe())),
            "zkevm_verifiedBatchNumber" => answer(self.frontier_batch(self.status.finalized)),
            "zkevm_consolidatedBlockNumber" => answer(self.consolidated_block()),
            "zkevm_getForkId" => head.and_then(|head| number(head.fork_id)),
            "zkevm_getForks" => self.forks().and_then(answer),
            "zkevm_getLatestGlobalExitRoot" => self.latest_exit_root().and_then(answer),
            "zkevm_getVersionHistory" => self.version_history().and_then(answer),
            "zkevm_getRollupAddress" => self.configured(method, self.rpc.config.rollup).and_then(answer),
            "zkevm_getRollupManagerAddress" => {
                self.configured(method, self.rpc.config.rollup_manager).and_then(answer)
            }
            _ => return None,
        })
    }

    fn eth(&self, method: &str, params: Params<'_>) -> Result<Outcome, Error> {
        let most = |most| params.at_most(most);
        match method {
            "eth_getBalance" => answer(self.balance(most(2)?)?),
            "eth_getTransactionCount" => self.transaction_count(most(2)?),
            "eth_getCode" => answer(self.code(most(2)?)?),
            "eth_getStorageAt" => answer(self.storage_at(most(3)?)?),
            "eth_call" => answer(self.call(most(4)?)?),
            "eth_estimateGas" => answer(self.estimate_gas(most(4)?)?),

            "eth_createAccessList" => answer(self.create_access_list(most(4)?)?),
            "eth_getStorageValues" => answer(self.storage_values(most(2)?)?),
            "eth_getHeaderByNumber" => answer(self.header_by_number(most(1)?)?),
            "eth_getHeaderByHash" => answer(self.header_by_hash(most(1)?)?),
            "eth_getBlockByNumber" => answer(self.block_by_number_object(most(3)?)?),
            "eth_getBlockByHash" => answer(self.block_by_hash_object(most(3)?)?),
            "eth_getBlockTransactionCountByNumber" => answer(self.count_by_number(most(1)?)?),
            "eth_getBlockTransactionCountByHash" => answer(self.count_by_hash(most(1)?)?),
            "eth_getBlockReceipts" => answer(self.block_receipts(most(1)?)?),
            "eth_getTransactionByHash" => self.transaction_by_hash(most(2)?),
            "eth_getTransactionByBlockHashAndIndex" => answer(self.transaction_in_hash(most(3)?)?),
            "eth_getTransactionByBlockNumberAndIndex" => answer(self.transaction_in_number(most(3)?)?),
            "eth_getRawTransactionByHash" => answer(self.raw_transaction(most(1)?)?),
            "eth_getRawTransactionByBlockHashAndIndex" => answer(self.raw_in_hash(most(2)?)?),
            "eth_getRawTransactionByBlockNumberAndIndex" => answer(self.raw_in_number(most(2)?)?),
            "eth_getTransactionReceipt" => answer(self.receipt(most(1)?, false)?),
            "eth_getUncleByBlockHashAndIndex" | "eth_getUncleByBlockNumberAndIndex" => {
                most(2).and_then(|_| answer(()))
            }
            "eth_getUncleCountByBlockHash" => answer(self.count_by_hash(most(1)?)?.map(|_| U64::ZERO)),
            "eth_getUncleCountByBlockNumber" => answer(self.count_by_number(most(1)?)?.map(|_| U64::ZERO)),
            "eth_getLogs" => answer(self.logs(most(1)?)?),
            "eth_feeHistory" => answer(self.fee_history(most(3)?)?),

            "eth_sendRawTransaction" => self.send_raw_transaction(most(1)?),
            "eth_newFilter" => self.new_log_filter(most(1)?),
            "eth_newBlockFilter" => most(0).and_then(|_| self.new_filter(Kind::Blocks)),
            "eth_newPendingTransactionFilter" => most(1).and_then(|_| self.new_filter(Kind::Sent)),
            "eth_getFilterChanges" => self.filter_changes(most(1)?),
            "eth_getFilterLogs" => self.filter_logs(most(1)?),
            "eth_uninstallFilter" => self.uninstall_filter(most(1)?),
            "eth_subscribe" => self.subscribe(most(2)?),
            "eth_unsubscribe" => self.unsubscribe(most(1)?),
            _ => Err(Error::method_not_found(method)),
        }
    }

    fn zkevm(&self, method: &str, params: Params<'_>) -> Result<Outcome, Error> {
        let most = |most| params.at_most(most);
        match method {
            "zkevm_isBlockVirtualized" => answer(self.is_within(most(1)?, self.safe())?),
            "zkevm_isBlockConsolidated" => answer(self.is_within(most(1)?, self.status.finalized)?),
            "zkevm_batchNumberByBlockNumber" => answer(self.batch_of_block(most(1)?)?),
            "zkevm_getBatchByNumber" => answer(self.batch_by_number(most(2)?)?),
            "zkevm_getBatchDataByNumbers" => answer(self.batch_data(most(1)?)?),
            "zkevm_getTransactionByL2Hash" => answer(self.transaction_by_l2_hash(most(2)?)?),
            "zkevm_getTransactionReceiptByL2Hash" => answer(self.receipt_by_l2_hash(most(1)?)?),
            "zkevm_getProof" => answer(self.proof(most(3)?)?),
            "zkevm_getWitness" => answer(self.block_witness(most(3)?)?),
            "zkevm_getBlockRangeWitness" => answer(self.range_witness(most(4)?)?),
            "zkevm_getBatchWitness" => answer(self.batch_witness(most(2)?)?),
            "zkevm_getExitRootsByGER" => self.exit_roots(most(1)?),
            "zkevm_getExitRootTable" => most(1).map(|_| Outcome::Relay(Relay::ExitRootTable)),
            "zkevm_getFullBlockByNumber" => answer(self.full_block_by_number(most(2)?)?),
            "zkevm_getFullBlockByHash" => answer(self.full_block_by_hash(most(2)?)?),
            "zkevm_getNativeBlockHashesInRange" => answer(self.native_hashes(most(1)?)?),
            "zkevm_getForkIdByBatchNumber" => answer(self.fork_of_batch(most(1)?)?),
            "zkevm_getForkById" => answer(self.fork_by_id(most(1)?)?),
            "zkevm_estimateCounters"
            | "zkevm_estimateFee"
            | "zkevm_estimateGasPrice"
            | "zkevm_getBatchCountersByNumber" => Ok(Outcome::Relay(Relay::Word)),
            _ => Err(Error::method_not_found(method)),
        }
    }

    fn debug(&self, method: &str, params: Params<'_>) -> Result<Outcome, Error> {
        match method {
            "debug_getRawHeader" => answer(self.raw_header(params.at_most(1)?)?),
            "debug_getRawReceipts" => answer(self.raw_receipts(params.at_most(1)?)?),
            #[cfg(feature = "trace")]
            "debug_traceTransaction" => answer(self.trace_transaction(params.at_most(2)?)?),
            #[cfg(feature = "trace")]
            "debug_traceBlockByNumber" => answer(self.trace_block_by_number(params.at_most(2)?)?),
            #[cfg(feature = "trace")]
            "debug_traceBlockByHash" => answer(self.trace_block_by_hash(params.at_most(2)?)?),
            #[cfg(feature = "trace")]
            "debug_traceBatchByNumber" => answer(self.trace_batch(params.at_most(2)?)?),
            #[cfg(feature = "trace")]
            "debug_traceCall" => answer(self.trace_call(params.at_most(3)?)?),
            "debug_getRawBlock" => answer(self.raw_block(params.at_most(1)?)?),
            "debug_getRawTransaction" => {
                answer(self.raw_transaction(params.at_most(1)?)?.unwrap_or_default())
            }
            _ => Err(Error::method_not_found(method)),
        }
    }

    /// Transactions that were sent from here.
    fn txpool(&self, method: &str, params: Params<'_>) -> Result<Outcome, Error> {
        let most = |most| params.at_most(most);
        match method {
            "txpool_content" => most(0).and_then(|_| self.txpool_content()),
            "txpool_contentFrom" => self.txpool_content_from(most(1)?),
            "txpool_inspect" => most(0).and_then(|_| self.txpool_inspect()),
            "txpool_status" => most(0).and_then(|_| self.txpool_status()),
            _ => Err(Error::method_not_found(method)),
        }
    }

    /// False, or how far we are.
    pub(super) fn syncing(&self) -> Result<Syncing, Error> {
        let current = self.head()?.number;
        let highest = self.status.highest_block.unwrap_or(current).max(current);
        if !self.status.halted && highest - current <= SYNCED_WITHIN {
            return Ok(Syncing::Done(false));
        }
        Ok(Syncing::At { current_block: U64::from(current), highest_block: U64::from(highest) })
    }

    /// Each has methods that work here: transactions wait only where they are remembered.
    fn modules(&self) -> Modules {
        const ONE: &str = "1.0";
        let txpool = self.remembering().map(|_| ONE);
        Modules { debug: ONE, eth: ONE, net: ONE, rpc: ONE, txpool, web3: ONE, zkevm: ONE, zkreplica: ONE }
    }
}

fn answer(value: impl Serialize) -> Result<Outcome, Error> {
    Outcome::of(&value)
}

/// What `rpc_modules` gives: the versions of the namespaces.
#[derive(Serialize)]
struct Modules {
    debug: &'static str,
    eth: &'static str,
    net: &'static str,
    rpc: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    txpool: Option<&'static str>,
    web3: &'static str,
    zkevm: &'static str,
    zkreplica: &'static str,
}

#[derive(Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
pub(super) enum Syncing {
    Done(bool),
    At { current_block: U64, highest_block: U64 },
}

impl Syncing {
    /// The head is that of the main node, or nearly.
    pub(super) fn is_done(&self) -> bool {
        matches!(self, Self::Done(_))
    }
}
