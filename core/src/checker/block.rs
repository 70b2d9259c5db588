use super::{At, Checker, Claim, DifferingTransaction, Mismatch, Verdict, VerifiedBlock};
use crate::{
    executor::{
        BatchContext, BlockModel, ExecuteError, Execution, Invalid, Parent, PreparedBlock, Skipped, State,
        exit_root_leaf,
    },
    store::{Store, StoreError},
    tree::{Path, Smt, StateKey, TreeUpdate},
    types::{
        BatchKind, BatchStart, Block, BlockClaims, BlockInput, BlockRecord, Head, L1Info, TransactionRecord,
    },
};
use alloc::{string::ToString, vec::Vec};
use alloy_consensus::{EMPTY_OMMER_ROOT_HASH, Header};
use alloy_primitives::B256;

/// Why a check ended early.
enum Stop {
    Mismatch(Mismatch),
    Store(StoreError),
}

impl From<Mismatch> for Stop {
    fn from(mismatch: Mismatch) -> Self {
        Self::Mismatch(mismatch)
    }
}

/// What came out of a block.
pub(super) struct Outcome {
    pub(super) header: Header,
    pub(super) execution: Execution,
    pub(super) update: TreeUpdate,
    names: Vec<(Path, StateKey)>,
}

/// Why [`Checker::make_block`] made none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MakeError {
    /// These transactions cannot run: leave them out and try again.
    #[error("{} transactions cannot run", .0.len())]
    Skipped(Vec<Skipped>),
    /// The block breaks this rule.
    #[error("{0}")]
    Rule(Mismatch),
    /// The state could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<Mismatch> for MakeError {
    fn from(broken: Mismatch) -> Self {
        Self::Rule(broken)
    }
}

impl From<Stop> for MakeError {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Mismatch(broken) => broken.into(),
            Stop::Store(error) => error.into(),
        }
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Checker {
    /// Executes a block on the state after `parent` and compares every claim with what came out.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the state is not at hand; it says nothing about the block.
    pub fn check_block(
        &mut self,
        block: &PreparedBlock,
        start: &BatchStart,
        parent: &Head,
        store: &dyn Store,
    ) -> Result<Verdict<VerifiedBlock>, StoreError> {
        match self.verify(block, start, parent, store) {
            Ok(verified) => Ok(Verdict::Verified(verified)),
            Err(Stop::Mismatch(mismatch)) => Ok(Verdict::Mismatch(mismatch)),
            Err(Stop::Store(error)) => Err(error),
        }
    }

    fn verify(
        &mut self,
        block: &PreparedBlock,
        start: &BatchStart,
        parent: &Head,
        store: &dyn Store,
    ) -> Result<VerifiedBlock, Stop> {
        let at = At { batch: start.number, block: block.input().number };
        let batch = self.batch_context(start, at)?;
        check_surroundings(at, block, &batch, start, parent)?;
        self.check_l1_info(at, block, &batch, parent, store)?;

        let outcome = self.run(block, &batch, at, parent, store)?;
        let hash = outcome.header.hash_slow();
        match check_outcome(at, block.claims(), &outcome, hash) {
            Ok(()) => Ok(verified(block, start, parent, hash, outcome)),
            Err(mismatch) => Err(self.with_details(mismatch, block, &batch, &outcome, parent, store)?.into()),
        }
    }

    /// Executes a block and puts what changed into the tree.
    fn run(
        &mut self,
        block: &PreparedBlock,
        batch: &BatchContext<'_>,
        at: At,
        parent: &Head,
        store: &dyn Store,
    ) -> Result<Outcome, Stop> {
        let execution = match self.executor.execute(block.input(), batch, Parent::from(parent), store) {
            Ok(execution) => execution,
            Err(ExecuteError::Store(error)) => return Err(error.into()),
            Err(ExecuteError::Invalid(invalid)) => return Err(broken_rule(at, &invalid).into()),
        };
        let changes = execution.diff.tree_changes(self.executor.paths());
        let update = Smt::new(store).update(parent.state_root, changes)?;
        let header = header(block, batch, parent, &execution, update.root);
        let names = execution.diff.names(&update, self.executor.paths());
        Ok(Outcome { header, execution, update, names })
    }

    /// Makes a block as a sequencer does: executes `input` on the state after `parent`, and claims what came out.
    ///
    /// The claims are those of whoever makes the block. A replica of the same chain, the maker's own included, believes
    /// them no more than others, and checks them.
    ///
    /// # Errors
    ///
    /// [`MakeError`] when no such block can be made.
    pub fn make_block(
        &mut self,
        input: BlockInput,
        start: &BatchStart,
        parent: &Head,
        store: &dyn Store,
    ) -> Result<Block, MakeError> {
        let previous = if parent.number == 0 { 0 } else { parent.timestamp };
        let claims = BlockClaims {
            batch: start.number,
            // The protocol's field has 32 bits, also where it holds the whole timestamp.
            delta_timestamp: u32::try_from(input.timestamp.saturating_sub(previous) & u64::from(u32::MAX))
                .ok(),
            gas_limit: None,
            hash: B256::ZERO,
            state_root: B256::ZERO,
            block_info_root: B256::ZERO,
            intermediate_state_roots: Vec::new(),
        };
        let draft = PreparedBlock::from(Block { input: input.clone(), claims: claims.clone() });
        let at = At { batch: start.number, block: input.number };
        let batch = self.batch_context(start, at)?;
        check_surroundings(at, &draft, &batch, start, parent)?;
        self.check_l1_info(at, &draft, &batch, parent, store)?;
        let Outcome { header, execution, update, .. } = self.run(&draft, &batch, at, parent, store)?;
        if !execution.skipped.is_empty() {
            return Err(MakeError::Skipped(execution.skipped));
        }
        let claims = BlockClaims {
            hash: header.hash_slow(),
            state_root: update.root,
            block_info_root: execution.block_info_root,
            intermediate_state_roots: execution.intermediate_state_roots,
            ..claims
        };
        Ok(Block { input, claims })
    }

    /// A block that refers to no L1 info leaf brings none in, but some streams repeat an exit root that the chain knows
    /// already (zkevm-node's; `spec/state-tree.md` §4.1). Anything else in these fields is made up.
    fn check_l1_info(
        &mut self,
        at: At,
        block: &PreparedBlock,
        batch: &BatchContext<'_>,
        parent: &Head,
        store: &dyn Store,
    ) -> Result<(), Stop> {
        let L1Info { index, global_exit_root, block_hash, min_timestamp } = block.input().l1_info;
        if batch.kind == BatchKind::Invalid {
            return Err(at.mismatch(Claim::BatchKind, "invalid", "it has a block").into());
        }
        if batch.rules.block_model == BlockModel::Transaction {
            at.compare(Claim::L1InfoIndex, u64::from(index), 0)?;
            at.compare(Claim::L1BlockHash, block_hash, B256::ZERO)?;
            at.compare(Claim::MinTimestamp, min_timestamp, 0)?;
            return Ok(());
        }
        if batch.kind != BatchKind::Regular {
            at.compare(Claim::L1InfoIndex, u64::from(index), 0)?;
            at.compare(Claim::MinTimestamp, min_timestamp, 0)?;
            if global_exit_root.is_zero() {
                return Err(at
                    .mismatch(Claim::GlobalExitRoot, global_exit_root, "a forced block has one")
                    .into());
            }
            if block_hash.is_zero() {
                return Err(at.mismatch(Claim::L1BlockHash, block_hash, "a forced block has one").into());
            }
            return Ok(());
        }
        if index != 0 {
            return Ok(());
        }
        if global_exit_root.is_zero() {
            at.compare(Claim::L1BlockHash, block_hash, B256::ZERO)?;
            at.compare(Claim::MinTimestamp, min_timestamp, 0)?;
            return Ok(());
        }
        let mut state = State::at(store, parent.state_root, self.executor.paths());
        let known = state.known_exit_root(global_exit_root)?;
        let key = exit_root_leaf(global_exit_root);
        if known.is_zero() {
            let unknown = at.mismatch(Claim::GlobalExitRoot, global_exit_root, "not known to the chain");
            // Zero: it is not told.
            let expected = (!block_hash.is_zero()).then_some(block_hash);
            return Err(unknown.at_key(key, expected, known).into());
        }
        if !block_hash.is_zero() {
            at.compare(Claim::L1BlockHash, block_hash, known)
                .map_err(|mismatch| mismatch.at_key(key, block_hash, known))?;
        }
        if min_timestamp > block.input().timestamp {
            return Err(at.mismatch(Claim::MinTimestamp, min_timestamp, block.input().timestamp).into());
        }
        Ok(())
    }
}

/// What can be said of a block before it runs.
fn check_surroundings(
    at: At,
    block: &PreparedBlock,
    batch: &BatchContext<'_>,
    start: &BatchStart,
    parent: &Head,
) -> Result<(), Mismatch> {
    let (input, claims) = (block.input(), block.claims());
    at.compare(Claim::BlockNumber, input.number, parent.number + 1)?;
    at.compare(Claim::BatchNumber, claims.batch, start.number)?;
    let later_block_of_batch = parent.batch == start.number;
    let transactions = input.transactions.len();
    match batch.rules.block_model {
        BlockModel::L2Block if later_block_of_batch && batch.kind != BatchKind::Regular => {
            return Err(at.mismatch(Claim::BatchKind, "a forced batch", "it has more than one block"));
        }
        BlockModel::Transaction if transactions != 1 => {
            let said = alloc::format!("{transactions} transactions");
            return Err(at.mismatch(Claim::Transaction, said, "a block of this fork is one transaction"));
        }
        BlockModel::L2Block | BlockModel::Transaction => {}
    }
    let percentages = block.encoded().iter().map(|transaction| transaction.effective_percentage);
    if !batch.rules.encoding.effective_percentage
        && let Some((index, percentage)) = percentages.enumerate().find(|(_, found)| *found != u8::MAX)
    {
        let said = alloc::format!("effective percentage {percentage}");
        let transaction = DifferingTransaction::of(block, index, index, "effective percentage");
        let wrong = at.mismatch(Claim::Transaction, said, "this fork charges all of the price");
        return Err(wrong.in_transaction(transaction));
    }
    // Genesis does not write the timestamp into the state, so the first block counts from zero.
    let previous = if parent.number == 0 { 0 } else { parent.timestamp };
    let Some(delta) = input.timestamp.checked_sub(previous) else {
        return Err(at.mismatch(Claim::Timestamp, input.timestamp, "before its parent's"));
    };
    if let Some(claimed) = claims.delta_timestamp {
        at.compare(Claim::Timestamp, u64::from(claimed), delta & u64::from(u32::MAX))?;
    }
    if let Some(gas_limit) = claims.gas_limit {
        at.compare(Claim::GasLimit, gas_limit, batch.rules.header_gas_limit)?;
    }
    Ok(())
}

/// Every claim about what came out.
fn check_outcome(
    at: At,
    claims: &BlockClaims,
    Outcome { execution, update, .. }: &Outcome,
    hash: B256,
) -> Result<(), Mismatch> {
    if let Some(skipped) = execution.skipped.first() {
        return Err(at.mismatch(Claim::Transaction, "it was executed", skipped.to_string()));
    }
    check_intermediate_roots(at, claims, execution)?;
    at.compare(Claim::StateRoot, claims.state_root, update.root)?;
    at.compare(Claim::BlockInfoRoot, claims.block_info_root, execution.block_info_root)?;
    at.compare(Claim::BlockHash, claims.hash, hash)
}

/// A source need not tell the state roots within a block, but must not tell wrong ones.
fn check_intermediate_roots(at: At, claims: &BlockClaims, execution: &Execution) -> Result<(), Mismatch> {
    for (index, claimed) in
        claims.intermediate_state_roots.iter().enumerate().filter(|(_, root)| !root.is_zero())
    {
        match execution.intermediate_state_roots.get(index) {
            Some(computed) => at.compare(Claim::IntermediateStateRoot, *claimed, *computed)?,
            None => return Err(at.mismatch(Claim::IntermediateStateRoot, *claimed, "this fork has none")),
        }
    }
    Ok(())
}

fn broken_rule(at: At, invalid: &Invalid) -> Mismatch {
    match invalid {
        Invalid::ZeroL1Info { index } => {
            at.mismatch(Claim::L1InfoIndex, u64::from(*index), "a leaf of zeros makes the batch invalid")
        }
        Invalid::BeforeL1Info { timestamp, min_timestamp } => {
            at.mismatch(Claim::MinTimestamp, *min_timestamp, *timestamp)
        }
        Invalid::BlockInInvalidBatch => at.mismatch(Claim::BatchKind, "invalid", "it has a block"),
    }
}

/// The header of `spec/execution.md` §7.1.
fn header(
    block: &PreparedBlock,
    batch: &BatchContext<'_>,
    parent: &Head,
    execution: &Execution,
    state_root: B256,
) -> Header {
    let input = block.input();
    Header {
        parent_hash: parent.hash,
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        beneficiary: input.coinbase,
        state_root,
        transactions_root: block.transactions_root(),
        receipts_root: execution.receipts_root,
        logs_bloom: execution.logs_bloom,
        number: input.number,
        gas_limit: batch.rules.header_gas_limit,
        gas_used: execution.gas_used,
        timestamp: input.timestamp,
        ..Header::default()
    }
}

fn verified(
    block: &PreparedBlock,
    start: &BatchStart,
    parent: &Head,
    hash: B256,
    outcome: Outcome,
) -> VerifiedBlock {
    let Outcome { header, execution, update, names } = outcome;
    let mut totals = parent.totals;
    totals.blocks += 1;
    totals.transactions += execution.receipts.len() as u64;
    totals.gas += execution.gas_used;
    let head = Head {
        number: header.number,
        hash,
        state_root: update.root,
        timestamp: header.timestamp,
        batch: start.number,
        fork_id: start.fork_id,
        batch_closed: false,
        totals,
    };
    let transactions = block.input().transactions.iter().flatten().map(|prepared| {
        let transaction = prepared.transaction();
        TransactionRecord {
            encoded: transaction.encoded().clone(),
            sender: transaction.sender(),
            effective_percentage: transaction.effective_percentage(),
        }
    });
    let l2_hashes = block.input().transactions.iter().flatten().map(|prepared| prepared.l2_hash()).collect();
    let record = BlockRecord {
        header,
        batch: start.number,
        fork_id: start.fork_id,
        l1_info: block.input().l1_info,
        block_info_root: execution.block_info_root,
        transactions: transactions.collect(),
        receipts: execution.receipts,
    };
    VerifiedBlock {
        head,
        record,
        permutations: update.permutations + execution.permutations,
        l2_hashes,
        diff: execution.diff,
        update,
        names,
    }
}
