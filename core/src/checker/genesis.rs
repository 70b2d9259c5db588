use super::{At, Checker, Claim, Mismatch, Verdict, VerifiedBlock};
use crate::{
    chain::{Genesis, GenesisAccount},
    executor::{PreparedBlock, StateDiff},
    store::{Memory, StoreError},
    tree::{Path, Smt, StateKey, TreeUpdate},
    types::{BatchStart, Block, BlockClaims, BlockInput, BlockRecord, Head, L1Info, Totals},
};
use alloc::vec::Vec;
use alloy_consensus::{EMPTY_OMMER_ROOT_HASH, EMPTY_ROOT_HASH, Header};
use alloy_primitives::{Address, B256, U256};

/// Base fee of a genesis block that has one.
const LONDON_BASE_FEE: u64 = 1_000_000_000;

impl Checker {
    /// Builds block 0 from the allocations and compares what the main node says of it.
    ///
    /// # Errors
    ///
    /// [`StoreError`] only if the tree cannot be built in memory.
    pub fn check_genesis(
        &mut self,
        genesis: &Genesis,
        block: &PreparedBlock,
        start: &BatchStart,
    ) -> Result<Verdict<VerifiedBlock>, StoreError> {
        let diff = allocations(genesis);
        let update = Smt::new(&Memory::new()).update(B256::ZERO, diff.tree_changes(self.executor.paths()))?;
        let header = self.genesis_header(genesis, block, update.root);
        let hash = header.hash_slow();
        Ok(match self.compare_genesis(genesis, block, start, &header, hash) {
            Err(mismatch) => Verdict::Mismatch(mismatch),
            Ok(()) => {
                let names = diff.names(&update, self.executor.paths());
                Verdict::Verified(verified(block, header, hash, diff, update, names))
            }
        })
    }

    /// Makes block 0 as a main node does: what the allocations give, claimed.
    ///
    /// # Errors
    ///
    /// [`StoreError`] only if the tree cannot be built in memory.
    pub fn make_genesis(&mut self, genesis: &Genesis, timestamp: u64) -> Result<Block, StoreError> {
        let input = BlockInput {
            number: 0,
            timestamp,
            coinbase: Address::ZERO,
            l1_info: L1Info::default(),
            transactions: Vec::new(),
        };
        let claims = BlockClaims {
            batch: 0,
            delta_timestamp: None,
            gas_limit: None,
            hash: B256::ZERO,
            state_root: B256::ZERO,
            block_info_root: B256::ZERO,
            intermediate_state_roots: Vec::new(),
        };
        let changes = allocations(genesis).tree_changes(self.executor.paths());
        let state_root = Smt::new(&Memory::new()).update(B256::ZERO, changes)?.root;
        let mut block = Block { input, claims };
        let header = self.genesis_header(genesis, &PreparedBlock::from(block.clone()), state_root);
        block.claims = BlockClaims { state_root, hash: header.hash_slow(), ..block.claims };
        Ok(block)
    }

    fn genesis_header(&self, genesis: &Genesis, block: &PreparedBlock, state_root: B256) -> Header {
        let conf = genesis.conf.as_ref();
        Header {
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            state_root,
            transactions_root: EMPTY_ROOT_HASH,
            receipts_root: EMPTY_ROOT_HASH,
            difficulty: conf.map_or(U256::ZERO, |conf| U256::from(conf.difficulty)),
            // It stands in nothing but the hash, which is compared.
            gas_limit: conf.map_or(block.claims().gas_limit.unwrap_or(0), |conf| conf.gas_limit),
            timestamp: conf.map_or(block.input().timestamp, |conf| conf.timestamp),
            base_fee_per_gas: self.spec.london_genesis.then_some(LONDON_BASE_FEE),
            ..Header::default()
        }
    }

    fn compare_genesis(
        &self,
        genesis: &Genesis,
        block: &PreparedBlock,
        start: &BatchStart,
        header: &Header,
        hash: B256,
    ) -> Result<(), Mismatch> {
        let (input, claims) = (block.input(), block.claims());
        let at = At { batch: start.number, block: input.number };
        at.compare(Claim::BatchNumber, start.number, 0)?;
        self.check_batch_identity(start, input.number)?;
        at.compare(Claim::BlockNumber, input.number, 0)?;
        at.compare(Claim::BatchNumber, claims.batch, 0)?;
        if !input.transactions.is_empty() {
            return Err(at.mismatch(Claim::Transaction, "it was executed", "genesis executes none"));
        }
        if let Some(conf) = &genesis.conf {
            at.compare(Claim::GenesisRoot, conf.root, header.state_root)?;
        }
        at.compare(Claim::Timestamp, input.timestamp, header.timestamp)?;
        at.compare(Claim::Coinbase, input.coinbase.into_word(), Address::ZERO.into_word())?;
        at.compare(Claim::L1InfoIndex, u64::from(input.l1_info.index), 0)?;
        at.compare(Claim::GlobalExitRoot, input.l1_info.global_exit_root, B256::ZERO)?;
        at.compare(Claim::L1BlockHash, input.l1_info.block_hash, B256::ZERO)?;
        at.compare(Claim::MinTimestamp, input.l1_info.min_timestamp, 0)?;
        at.compare(Claim::GasLimit, claims.gas_limit.unwrap_or(header.gas_limit), header.gas_limit)?;
        at.compare(Claim::StateRoot, claims.state_root, header.state_root)?;
        at.compare(Claim::BlockInfoRoot, claims.block_info_root, B256::ZERO)?;
        at.compare(Claim::BlockHash, claims.hash, hash)
    }
}

/// Every leaf of the genesis state.
fn allocations(genesis: &Genesis) -> StateDiff {
    let mut diff = StateDiff::default();
    for (address, GenesisAccount { balance, nonce, code, storage }) in &genesis.accounts {
        diff.leaves.insert(StateKey::Balance(*address), *balance);
        diff.leaves.insert(StateKey::Nonce(*address), U256::from(*nonce));
        if !code.is_empty() {
            diff.set_code(*address, code.clone());
        }
        let slots = storage.iter().map(|(slot, value)| (StateKey::Storage(*address, *slot), *value));
        diff.leaves.extend(slots);
    }
    diff
}

fn verified(
    block: &PreparedBlock,
    header: Header,
    hash: B256,
    diff: StateDiff,
    update: TreeUpdate,
    names: Vec<(Path, StateKey)>,
) -> VerifiedBlock {
    let head = Head {
        number: 0,
        hash,
        state_root: header.state_root,
        timestamp: header.timestamp,
        batch: 0,
        fork_id: 0,
        batch_closed: false,
        totals: Totals::default(),
    };
    let record = BlockRecord {
        header,
        batch: 0,
        fork_id: 0,
        l1_info: block.input().l1_info,
        block_info_root: B256::ZERO,
        transactions: Vec::new(),
        receipts: Vec::new(),
    };
    VerifiedBlock {
        head,
        record,
        permutations: update.permutations,
        diff,
        update,
        names,
        l2_hashes: Default::default(),
    }
}
