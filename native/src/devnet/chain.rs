//! The sequencer: makes blocks and batches by the rules of the fork, and lets its own replica check them.

use super::account::Account;
use super::archive::Archive;
use super::contract;
use super::l1::L1;
use super::pool::{Pool, Refusal};
use super::told::Told;
use alloy_consensus::TxLegacy;
use alloy_consensus::transaction::RlpEcdsaEncodableTx as _;
use alloy_primitives::{Address, B256, Signature, TxKind, U256, hex, keccak256};
use serde_json::{Map, Value, json};
use std::time::{SystemTime, UNIX_EPOCH};
use zk_replica_core::chain::{ChainSpec, ForkId, Genesis};
use zk_replica_core::checker::{Checker, MakeError};
use zk_replica_core::executor::{PreparedBlock, State};
use zk_replica_core::replica::{Halt, Input, Replica, RollBackError, Step};
use zk_replica_core::store::StoreError;
use zk_replica_core::tree::Paths;
use zk_replica_core::types::{
    BatchEnd, BatchKind, BatchStart, Block, BlockInput, EncodedTransaction, Head, L1Info, Transaction,
};

/// What a transaction should pay per gas; it is charged no more, and has to offer it.
pub(crate) const GAS_PRICE: u128 = 1_000_000_000;

/// What each account has at genesis: 10,000 ether.
const FUNDS: U256 = U256::from_limbs([0x19e0_c9ba_b240_0000, 0x21e, 0, 0]);

/// Bytes of transactions in a batch, with room for how its data writes them, below the 120,000 that L1 takes.
const BATCH_BYTES: usize = 119_000;
/// A batch with so many bytes takes no more blocks.
const FULL: usize = 60_000;

/// What the chain is to be like. The same settings and the same requests give the same chain.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) chain_id: u64,
    pub(crate) fork: ForkId,
    pub(crate) seed: u64,
    pub(crate) accounts: u64,
    pub(crate) genesis_time: u64,
    /// Blocks in a batch.
    pub(crate) batch_blocks: u64,
    /// Seconds between timestamps; `None`: the timestamps are those of the machine's clock.
    pub(crate) step: Option<u64>,
}

/// The chain as it is: every block verified, every past state at hand.
#[derive(Debug)]
pub(crate) struct Chain {
    pub(crate) settings: Settings,
    pub(crate) store: Archive,
    pub(crate) pool: Pool,
    pub(crate) l1: L1,
    pub(crate) accounts: Vec<Account>,
    checker: Checker,
    replica: Replica,
    blocks: Vec<Told>,
    genesis: Told,
    roll_backs: u64,
    /// The next block is the first after a roll-back, and another one than was there.
    skew: u64,
}

/// Why a block could not be made. None of this is the caller's fault.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChainError {
    #[error("cannot make a block: {0}")]
    Make(#[from] MakeError),
    #[error("made a block that is not true: {0}")]
    Halt(#[from] Halt),
    #[error(transparent)]
    RollBack(#[from] RollBackError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Settings {
    /// Allocations at genesis, as cdk-erigon's `*-allocs.json`.
    pub(crate) fn allocations(&self, accounts: &[Account]) -> String {
        let mut file = Map::new();
        for account in accounts {
            let entry = json!({ "balance": FUNDS.to_string(), "nonce": "0" });
            file.insert(account.address.to_string(), entry);
        }
        let code = hex::encode_prefixed(contract::exit_root_manager());
        let entry =
            json!({ "contractName": "exit root manager", "balance": "0", "nonce": "1", "code": code });
        file.insert(ChainSpec::EXIT_ROOT_MANAGER.to_string(), entry);
        Value::Object(file).to_string()
    }

    /// The chain specification, as cdk-erigon's `*-chainspec.json`, with the forks.
    pub(crate) fn specification(&self) -> String {
        let forks = json!([{ "forkId": format!("{:#x}", self.fork.number()), "fromBatchNumber": "0x1" }]);
        json!({ "ChainName": "zk-replica-devnet", "chainId": self.chain_id, "forks": forks }).to_string()
    }

    /// The same as a replica reads it.
    pub(crate) fn spec(&self) -> ChainSpec {
        ChainSpec::from_json(self.specification().as_bytes()).expect("what is written is read")
    }
}

impl Chain {
    /// A chain with its genesis block.
    pub(crate) fn new(settings: Settings) -> Result<Self, ChainError> {
        let accounts: Vec<_> =
            (0..settings.accounts).map(|index| Account::of(settings.seed, index)).collect();
        let genesis = Genesis::from_json(settings.allocations(&accounts).as_bytes());
        let genesis = genesis.expect("what is written is read");
        let spec = settings.spec();
        let store = Archive::default();
        let mut checker = Checker::new(spec.clone());
        let mut replica = Replica::open(spec, genesis.clone(), &store)?;
        let start =
            BatchStart { number: 0, kind: BatchKind::Regular, fork_id: 0, chain_id: settings.chain_id };
        replica.advance(&Input::BatchStart(start.clone()), &store)?;
        let block = checker.make_genesis(&genesis, settings.genesis_time)?;
        let mut told = advance(&mut replica, &store, block, start, true)?;
        let end = BatchEnd { number: 0, local_exit_root: B256::ZERO, state_root: told.state_root() };
        replica.advance(&Input::BatchEnd(end.clone()), &store)?;
        let l1 = L1::new(settings.seed, settings.genesis_time, end.clone());
        told.end = Some(end);
        Ok(Self {
            settings,
            store,
            pool: Pool::default(),
            l1,
            accounts,
            checker,
            replica,
            blocks: Vec::new(),
            genesis: told,
            roll_backs: 0,
            skew: 0,
        })
    }

    /// The published fields of block 0, as cdk-erigon's `*-conf.json`.
    pub(crate) fn configuration(&self) -> String {
        let header = &self.genesis.record.header;
        json!({ "root": header.state_root, "timestamp": header.timestamp, "gasLimit": 0, "difficulty": 0 })
            .to_string()
    }

    /// The blocks from genesis on.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = &Told> {
        [&self.genesis].into_iter().chain(&self.blocks)
    }

    /// The last block.
    pub(crate) fn last(&self) -> &Told {
        self.blocks.last().unwrap_or(&self.genesis)
    }

    /// Takes a transaction.
    pub(crate) fn submit(&mut self, encoded: EncodedTransaction) -> Result<B256, SubmitError> {
        let transaction = encoded.recover().map_err(|_| SubmitError::Unsigned)?;
        let sender = transaction.sender();
        let (nonce, balance) = (self.nonce(sender)?, self.state(|state| state.balance(sender))?);
        Ok(self.pool.add(transaction, nonce, balance, GAS_PRICE)?)
    }

    /// An account's nonce after the last block.
    pub(crate) fn nonce(&self, address: Address) -> Result<u64, StoreError> {
        Ok(self.state(|state| state.nonce(address))?.saturating_to())
    }

    /// The nonce that the account's next transaction has to have.
    pub(crate) fn pending_nonce(&self, address: Address) -> Result<u64, StoreError> {
        Ok(self.pool.pending_nonce(address, self.nonce(address)?))
    }

    fn state<T>(&self, look: impl FnOnce(&mut State<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        look(&mut State::at(&self.store, self.last().state_root(), &mut Paths::new()))
    }

    /// Makes the next block.
    pub(crate) fn mine(&mut self) -> Result<&Told, ChainError> {
        let head = self.replica.head().cloned().expect("genesis is verified");
        let parent = self.last();
        let opens = parent.end.is_some();
        let start = if opens { self.next_batch(parent.record.batch + 1) } else { parent.start.clone() };
        if opens {
            self.replica.advance(&Input::BatchStart(start.clone()), &self.store)?;
        }
        let injected = start.kind == BatchKind::Injected;
        let (blocks_before, bytes_before) = if opens { (0, 0) } else { self.open_batch() };
        let mut transactions = match injected {
            true => Vec::from([injected_transaction()]),
            false => self.candidates(BATCH_BYTES.saturating_sub(bytes_before))?,
        };
        let (timestamp, l1_info) = (self.timestamp(&head), self.l1_info(&start, opens));
        let block = loop {
            let input = BlockInput {
                number: head.number + 1,
                timestamp,
                coinbase: self.coinbase(),
                l1_info,
                transactions: transactions.iter().map(encoded).collect(),
            };
            match self.checker.make_block(input, &start, &head, &self.store) {
                Ok(block) => break block,
                Err(MakeError::Skipped(skipped)) => {
                    // Those behind the first may run without it.
                    if let Some(first) = skipped.first().and_then(|first| transactions.get(first.index)) {
                        self.pool.remove(first.hash());
                    }
                    for skipped in skipped.iter().rev() {
                        transactions.remove(skipped.index);
                    }
                }
                Err(error) => return Err(error.into()),
            }
        };
        let mut told = advance(&mut self.replica, &self.store, block, start, opens)?;
        for transaction in &transactions {
            self.pool.settle(transaction.sender(), transaction.fields().nonce + 1);
        }
        let bytes = bytes_before + bytes(&told);
        if injected || blocks_before + 1 >= self.settings.batch_blocks || bytes > FULL {
            let mut paths = Paths::new();
            let local_exit_root = State::at(&self.store, told.state_root(), &mut paths).local_exit_root()?;
            let end = BatchEnd { number: told.record.batch, local_exit_root, state_root: told.state_root() };
            self.replica.advance(&Input::BatchEnd(end.clone()), &self.store)?;
            told.end = Some(end);
            // Proofs take their time: it is the batch before this one that is proved now.
            let mut ends =
                self.blocks.iter().rev().chain([&self.genesis]).filter_map(|told| told.end.as_ref());
            if let (Some(end), Some(before)) = (ends.next(), ends.next()) {
                self.l1.prove(before, end.clone());
            }
        }
        self.skew = 0;
        self.blocks.push(told);
        Ok(self.last())
    }

    /// Makes an earlier block the last one. The transactions behind it wait again, and the next block is another one than
    /// was there.
    pub(crate) fn roll_back(&mut self, to: u64) -> Result<(), ChainError> {
        self.replica.roll_back(to, &self.store)?;
        let kept = usize::try_from(to).unwrap_or(usize::MAX).min(self.blocks.len());
        for told in self.blocks.split_off(kept) {
            let waiting = told.input().transactions.into_iter().filter_map(|one| one.recover().ok());
            let waiting = waiting.filter(|one| one.fields().chain_id.is_some());
            waiting.for_each(|transaction| self.pool.put(transaction));
        }
        let last = self.last().clone();
        self.replica.enter(&last.start, &self.store)?;
        self.replica.advance(&Input::Block(Box::new(last.block().into())), &self.store)?;
        if let Some(end) = last.end {
            self.replica.advance(&Input::BatchEnd(end), &self.store)?;
        }
        self.roll_backs += 1;
        self.skew = self.roll_backs;
        Ok(())
    }

    /// The sequencer, who has the fees.
    pub(crate) fn coinbase(&self) -> Address {
        Address::from_slice(
            &keccak256(
                [b"zk-replica devnet sequencer".as_slice(), &self.settings.seed.to_be_bytes()].concat(),
            )[12..],
        )
    }

    fn next_batch(&self, number: u64) -> BatchStart {
        let kind = if number == 1 { BatchKind::Injected } else { BatchKind::Regular };
        BatchStart { number, kind, fork_id: self.settings.fork.number(), chain_id: self.settings.chain_id }
    }

    /// Blocks and bytes in the batch of the last block.
    fn open_batch(&self) -> (u64, usize) {
        let batch = self.last().record.batch;
        let blocks = self.blocks.iter().rev().take_while(|told| told.record.batch == batch);
        blocks.fold((0, 0), |(blocks, sum), told| (blocks + 1, sum + bytes(told)))
    }

    fn timestamp(&self, head: &Head) -> u64 {
        let next = match self.settings.step {
            Some(step) => head.timestamp + step,
            None => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                now.as_secs().max(head.timestamp)
            }
        };
        next + self.skew
    }

    /// Every third batch brings a leaf in; the one after it refers to the same leaf again.
    fn l1_info(&mut self, start: &BatchStart, opens: bool) -> L1Info {
        if start.kind == BatchKind::Injected {
            return L1Info { min_timestamp: 0, ..self.l1.leaf(0).info };
        }
        let index = self.blocks.iter().rev().map(|told| told.record.l1_info.index).find(|index| *index != 0);
        match (opens, start.number % 3, index) {
            (true, 2, index) => self.l1.leaf(index.unwrap_or(0) + 1).info,
            (true, 0, Some(index)) => self.l1.leaf(index).info,
            _ => L1Info::default(),
        }
    }

    /// Waiting transactions, each with the share of its price that it is to pay.
    fn candidates(&self, room: usize) -> Result<Vec<Transaction>, ChainError> {
        let mut failed = None;
        let selected = self.pool.select(
            |sender| {
                self.nonce(sender).unwrap_or_else(|error| {
                    failed = Some(error);
                    u64::MAX
                })
            },
            room,
        );
        if let Some(error) = failed {
            return Err(error.into());
        }
        let priced = selected.iter().filter_map(|transaction| {
            let effective_percentage = percentage(transaction.fields().gas_price);
            let encoded = transaction.encoded().clone();
            EncodedTransaction { encoded, effective_percentage }.recover().ok()
        });
        Ok(priced.collect())
    }
}

/// Why a transaction is not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SubmitError {
    #[error("INVALID: invalid sender")]
    Unsigned,
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("internal error")]
    Store(#[from] StoreError),
}

/// The replica checks the block and stores it.
fn advance(
    replica: &mut Replica,
    store: &Archive,
    block: Block,
    start: BatchStart,
    opens: bool,
) -> Result<Told, ChainError> {
    let claims = block.claims.clone();
    match replica.advance(&Input::Block(Box::new(PreparedBlock::from(block))), store)? {
        Step::Verified(verified) => Ok(Told {
            start,
            opens,
            record: verified.record().clone(),
            delta: claims.delta_timestamp.unwrap_or_default(),
            gas_limit: 0,
            intermediate_state_roots: claims.intermediate_state_roots,
            update: None,
            end: None,
        }),
        _ => Err(Halt::OutOfOrder("a block that is known").into()),
    }
}

fn encoded(transaction: &Transaction) -> EncodedTransaction {
    let effective_percentage = transaction.effective_percentage();
    EncodedTransaction { encoded: transaction.encoded().clone(), effective_percentage }
}

/// Bytes that the block takes in its batch's data, about.
fn bytes(told: &Told) -> usize {
    9 + told.record.transactions.iter().map(|transaction| transaction.encoded.len() + 1).sum::<usize>()
}

/// The least share of the price, in parts of 256, that gives what a transaction should pay.
fn percentage(gas_price: u128) -> u8 {
    let share = (GAS_PRICE * 256).div_ceil(gas_price.max(1)).saturating_sub(1);
    u8::try_from(share).unwrap_or(u8::MAX)
}

/// The transaction of the chain's first batch, which nobody can have signed: its signature is a constant of the protocol.
/// On a real chain it sets up the bridge; here it gives the first local exit root.
fn injected_transaction() -> Transaction {
    let fields = TxLegacy {
        chain_id: None,
        nonce: 0,
        gas_price: 0,
        gas_limit: 100_000,
        to: TxKind::Call(ChainSpec::EXIT_ROOT_MANAGER),
        value: U256::ZERO,
        input: contract::call("updateExitRoot(bytes32)", &[keccak256("zk-replica devnet")]),
    };
    let signature = Signature::new(U256::from(0x5_ca1a_b1e0_u64), U256::from(0x5ca1_ab1e_u64), false);
    let mut encoded = Vec::new();
    fields.rlp_encode_signed(&signature, &mut encoded);
    let transaction = EncodedTransaction { encoded: encoded.into(), effective_percentage: u8::MAX }.recover();
    transaction.expect("this signature recovers to somebody for every message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_price_that_is_charged_is_the_least_that_suffices() {
        for (offered, charged) in
            [(GAS_PRICE, 255), (2 * GAS_PRICE, 127), (3 * GAS_PRICE, 85), (1000 * GAS_PRICE, 0)]
        {
            assert_eq!(percentage(offered), charged);
        }
        assert_eq!(FUNDS, U256::from(10_000) * U256::from(10_u64.pow(18)));
    }
}
