//! Which method is which function.

use super::{
    Error,
    envelope::Request,
    params::Params,
    reply::{Outcome, Relay},
    view::View,
};
use crate::store::Store;
use alloc::{collections::BTreeMap, string::ToString};
use alloy_primitives::{B256, U64, keccak256};
use serde::Serialize;

/// Blocks that we may be behind the main node without being said to synchronise.
const SYNCED_WITHIN: u64 = 10;

impl<S: Store> View<'_, S> {
    pub(super) fn dispatch(&self, request: &Request<'_>) -> Result<Outcome, Error> {
        let params = Params::new(&request.params);
        match request.method.split_once('_') {
            Some(("eth", _)) => self.eth(&request.method, params),
            Some(("zkevm", _)) => self.zkevm(&request.method, params),
            Some(("debug", _)) => self.debug(&request.method, params),
            _ => self.other(&request.method, params),
        }
    }

    fn eth(&self, method: &str, params: Params<'_>) -> Result<Outcome, Error> {
        let most = |most| params.at_most(most);
        match method {
            "eth_chainId" => most(0).and_then(|_| answer(U64::from(self.rpc.spec.chain_id))),
            "eth_blockNumber" => answer(U64::from(self.head_after(most(0)?)?)),
            "eth_syncing" => answer(self.syncing(most(0)?)?),
            "eth_protocolVersion" | "eth_hashrate" => most(0).and_then(|_| answer(U64::ZERO)),
            "eth_mining" => most(0).and_then(|_| answer(false)),
            "eth_accounts" | "eth_requestAccounts" | "eth_getCompilers" => {
                most(0).and_then(|_| answer([(); 0]))
            }
            "eth_coinbase" => answer(self.coinbase(most(0)?)?),

            "eth_getBalance" => answer(self.balance(most(2)?)?),
            "eth_getTransactionCount" => self.transaction_count(most(2)?),
            "eth_getCode" => answer(self.code(most(2)?)?),
            "eth_getStorageAt" => answer(self.storage_at(most(3)?)?),
            "eth_call" => answer(self.call(most(4)?)?),
            "eth_estimateGas" => answer(self.estimate_gas(most(4)?)?),

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

            "eth_gasPrice" | "eth_maxPriorityFeePerGas" => most(0).map(|_| Outcome::Relay(Relay::Word)),
            "eth_sendRawTransaction" => self.send_raw_transaction(most(1)?),
            "eth_subscribe" | "eth_unsubscribe" => Err(Error::server("notifications not supported")),
            _ => Err(Error::method_not_found(method)),
        }
    }

    fn zkevm(&self, method: &str, params: Params<'_>) -> Result<Outcome, Error> {
        let most = |most| params.at_most(most);
        match method {
            "zkevm_batchNumber" => most(0).and_then(|_| answer(U64::from(self.head()?.batch))),
            "zkevm_virtualBatchNumber" => most(0).and_then(|_| answer(self.frontier_batch(self.safe()))),
            "zkevm_verifiedBatchNumber" => {
                most(0).and_then(|_| answer(self.frontier_batch(self.status.finalized)))
            }
            "zkevm_consolidatedBlockNumber" => most(0).and_then(|_| answer(self.consolidated_block())),
            "zkevm_isBlockVirtualized" => answer(self.is_within(most(1)?, self.safe())?),
            "zkevm_isBlockConsolidated" => answer(self.is_within(most(1)?, self.status.finalized)?),
            "zkevm_batchNumberByBlockNumber" => answer(self.batch_of_block(most(1)?)?),
            "zkevm_getBatchByNumber" => answer(self.batch_by_number(most(2)?)?),
            "zkevm_getFullBlockByNumber" => answer(self.full_block_by_number(most(2)?)?),
            "zkevm_getFullBlockByHash" => answer(self.full_block_by_hash(most(2)?)?),
            "zkevm_getNativeBlockHashesInRange" => answer(self.native_hashes(most(1)?)?),
            "zkevm_getForkId" => most(0).and_then(|_| answer(U64::from(self.head()?.fork_id))),
            "zkevm_getForkIdByBatchNumber" => answer(self.fork_of_batch(most(1)?)?),
            "zkevm_getForkById" => answer(self.fork_by_id(most(1)?)?),
            "zkevm_getForks" => most(0).and_then(|_| answer(self.forks()?)),
            "zkevm_getLatestDataStreamBlock" => answer(U64::from(self.head_after(most(0)?)?)),
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
            "debug_getRawBlock" => answer(self.raw_block(params.at_most(1)?)?),
            "debug_getRawTransaction" => {
                answer(self.raw_transaction(params.at_most(1)?)?.unwrap_or_default())
            }
            _ => Err(Error::method_not_found(method)),
        }
    }

    fn other(&self, method: &str, params: Params<'_>) -> Result<Outcome, Error> {
        let none = || params.at_most(0);
        match method {
            "net_version" => none().and_then(|_| answer(self.rpc.spec.chain_id.to_string())),
            "net_listening" => none().and_then(|_| answer(true)),
            "net_peerCount" => none().and_then(|_| answer(U64::ZERO)),
            "web3_clientVersion" => none().and_then(|_| answer(&self.rpc.config.client_version)),
            "web3_sha3" => answer(self.sha3(params.at_most(1)?)?),
            "rpc_modules" => none().and_then(|_| answer(modules())),
            _ => Err(Error::method_not_found(method)),
        }
    }

    fn head_after(&self, _: Params<'_>) -> Result<u64, Error> {
        self.head().map(|head| head.number)
    }

    fn sha3(&self, params: Params<'_>) -> Result<B256, Error> {
        params.data(0).map(keccak256)
    }

    /// False, or how far we are.
    fn syncing(&self, _: Params<'_>) -> Result<Syncing, Error> {
        let current = self.head()?.number;
        let highest = self.status.highest_block.unwrap_or(current).max(current);
        if !self.status.halted && highest - current <= SYNCED_WITHIN {
            return Ok(Syncing::Done(false));
        }
        Ok(Syncing::At { current_block: U64::from(current), highest_block: U64::from(highest) })
    }
}

fn answer(value: impl Serialize) -> Result<Outcome, Error> {
    Outcome::of(&value)
}

#[derive(Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
enum Syncing {
    Done(bool),
    At { current_block: U64, highest_block: U64 },
}

fn modules() -> BTreeMap<&'static str, &'static str> {
    ["debug", "eth", "net", "rpc", "web3", "zkevm"].map(|name| (name, "1.0")).into()
}
