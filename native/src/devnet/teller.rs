//! What the devnet says to the outside: the chain as it is, or with lies in it, the same on the stream and in JSON-RPC as
//! far as JSON-RPC can say it.

use super::account::Account;
use super::archive::{Archive, Over};
use super::chain::Chain;
use super::lies::{Lie, Scene, shift_batch};
use super::told::Told;
use alloy_primitives::keccak256;
use std::fmt;
use zk_replica_core::checker::{Checker, Claim, MakeError, Verdict};
use zk_replica_core::executor::PreparedBlock;
use zk_replica_core::source::datastream::{EntryTooLong, Stream};
use zk_replica_core::store::{Commit, Key, Store, StoreError};
use zk_replica_core::types::{
    BlockRecord, EncodedTransaction, Head, Totals, TransactionPlace, TransactionRecord,
};

/// The first block that lies are told of. Genesis and the injected batch are fixed by the protocol.
const FIRST: u64 = 2;

/// The public face of the chain.
#[derive(Debug)]
pub(crate) struct Teller {
    pub(crate) stream: Stream,
    told: Vec<Told>,
    /// Where in the stream each block begins.
    positions: Vec<usize>,
    lies: Vec<Standing>,
    /// Records of what is told and not true, in front of the true ones.
    records: Archive,
    /// The chain that follows from a lie that changed the state.
    world: Option<World>,
    stranger: Account,
}

/// A lie that is to be told, or was.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    pub(crate) lie: &'static Lie,
    /// Told of no block before this one.
    from: u64,
    /// The block that it is told of.
    pub(crate) told_at: Option<u64>,
    /// The block that a replica has to name, and its batch.
    pub(crate) caught_at: Option<u64>,
}

/// A chain with a false state: its blocks are executed like others.
#[derive(Debug)]
struct World {
    checker: Checker,
    head: Head,
}

/// Why something could not be told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TellError {
    #[error(transparent)]
    TooLong(#[from] EntryTooLong),
    #[error("a lie has no consequence: {0}")]
    World(#[from] MakeError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lie: Lie { name, about, claim, .. }, told_at, caught_at, .. } = self;
        match (told_at, caught_at) {
            (Some(told), Some(caught)) => {
                write!(
                    f,
                    "lie {name} is told of block {told} ({about}); a replica has to name block {caught}, {claim}"
                )
            }
            _ => write!(f, "lie {name} waits for its block ({about})"),
        }
    }
}

impl Teller {
    /// Tells what the chain is so far.
    pub(crate) fn new(chain: &Chain) -> Result<Self, TellError> {
        let mut teller = Self {
            stream: Stream::default(),
            told: Vec::new(),
            positions: Vec::new(),
            lies: Vec::new(),
            records: Archive::default(),
            world: None,
            stranger: Account::of(chain.settings.seed, u64::MAX),
        };
        teller.retell(chain, 0)?;
        Ok(teller)
    }

    /// What is served: lies in front of the truth.
    pub(crate) fn store<'a>(&'a self, chain: &'a Chain) -> Over<'a> {
        Over { first: &self.records, second: &chain.store }
    }

    /// The blocks as they are told, from genesis on.
    pub(crate) fn told(&self) -> &[Told] {
        &self.told
    }

    /// The lies that are told, or wait for their block.
    pub(crate) fn lies(&self) -> &[Standing] {
        &self.lies
    }

    /// From now on this lie is told, of the first block from `from` on that has what it needs.
    pub(crate) fn lie(&mut self, lie: &'static Lie, from: u64, chain: &Chain) -> Result<(), TellError> {
        let from = from.max(FIRST);
        self.lies.push(Standing { lie, from, told_at: None, caught_at: None });
        self.retell(chain, from)
    }

    /// From now on the truth is told.
    pub(crate) fn be_honest(&mut self, chain: &Chain) -> Result<(), TellError> {
        let first = self.lies.iter().filter_map(|standing| standing.told_at).min();
        self.lies.clear();
        first.map_or(Ok(()), |first| self.retell(chain, first))
    }

    /// Tells the blocks from a number on again: the stream is cut there and written anew.
    pub(crate) fn retell(&mut self, chain: &Chain, from: u64) -> Result<(), TellError> {
        // What was made up is made up again, from where it began.
        let told_at = self.lies.iter().filter_map(|standing| standing.told_at).min();
        let from = usize::try_from(told_at.map_or(from, |lie| lie.min(from))).unwrap_or(usize::MAX);
        for standing in &mut self.lies {
            (standing.told_at, standing.caught_at) = (None, None);
        }
        self.records.clear();
        self.world = None;
        if let Some(position) = self.positions.get(from) {
            self.stream.truncate(*position);
        }
        self.told.truncate(from);
        self.positions.truncate(from);
        let begin = self.told.len();
        chain.blocks().skip(begin).try_for_each(|block| self.tell(block, chain).map(drop))
    }

    /// Tells the next block, and gives the lie that it is the first to have.
    pub(crate) fn tell(&mut self, block: &Told, chain: &Chain) -> Result<Option<Standing>, TellError> {
        let mut told = block.clone();
        if let Some(parent) = self.told.last() {
            self.follow(&mut told, parent.clone(), chain)?;
        }
        let scene = Scene {
            told: &self.told,
            store: &chain.store,
            records: &self.records,
            accomplice: &chain.accounts[0],
            stranger: &self.stranger,
        };
        let (number, mut lie) = (told.number(), None);
        for standing in self.lies.iter_mut().filter(|standing| standing.told_at.is_none()) {
            let mut altered = told.clone();
            if number >= standing.from && standing.lie.tell(&mut altered, &scene) {
                standing.told_at = Some(number);
                standing.caught_at = Some(standing.lie.caught_at(number));
                told = altered;
                if standing.lie.claim == Claim::StateRoot {
                    // Those of the truth would give it away; none need be told.
                    told.intermediate_state_roots.clear();
                }
                if standing.lie.name == "minted-balance" {
                    self.world =
                        Some(World { checker: Checker::new(chain.settings.spec()), head: head(&told) });
                }
                lie = Some(standing.clone());
                break;
            }
        }
        // Behind a lie the last block is always served from here.
        if told != *block || self.lies.iter().any(|standing| standing.told_at.is_some()) {
            self.keep(&told, block);
        }
        self.positions.push(self.stream.len());
        self.stream.append(&told.messages())?;
        self.told.push(told);
        Ok(lie)
    }

    /// What is told of the block before has its consequences.
    fn follow(&mut self, told: &mut Told, parent: Told, chain: &Chain) -> Result<(), TellError> {
        if let Some(world) = &mut self.world {
            let over = Over { first: &self.records, second: &chain.store };
            return world.extend(told, over);
        }
        let header = &mut told.record.header;
        header.parent_hash = parent.hash();
        header.number = parent.number() + 1;
        if header.number == 1 {
            return Ok(());
        }
        let delta = header.timestamp.saturating_sub(parent.record.header.timestamp);
        told.delta = u32::try_from(delta).unwrap_or(u32::MAX);
        let due = parent.start.number + u64::from(told.opens);
        shift_batch(told, due.saturating_sub(told.start.number));
        Ok(())
    }

    /// JSON-RPC has to find what the stream says. Of a transaction that nobody can have signed it knows no sender, and
    /// finds the true one.
    fn keep(&self, told: &Told, truth: &Told) {
        let (number, hash) = (told.number(), told.hash());
        // JSON-RPC cannot tell of a block that says it is in another batch than the one it is in.
        let mut record = BlockRecord { batch: told.start.number, ..told.record.clone() };
        for (transaction, true_one) in record.transactions.iter_mut().zip(&truth.record.transactions) {
            let TransactionRecord { encoded, effective_percentage, .. } = transaction.clone();
            if (EncodedTransaction { encoded, effective_percentage }).recover().is_err() {
                *transaction = true_one.clone();
            }
        }
        self.records.put(Key::Block(number), alloy_rlp::encode(&record).into());
        self.records.put(Key::BlockNumber(hash), number.to_be_bytes().into());
        for (index, transaction) in (0..).zip(&told.record.transactions) {
            let place = TransactionPlace { block: number, index };
            let hash = keccak256(&transaction.encoded);
            self.records.put(Key::TransactionPlace(hash), alloy_rlp::encode(place).into());
        }
        self.records.put(Key::Head, alloy_rlp::encode(head(told)).into());
    }
}

impl World {
    /// Executes the block on the false state, and tells what came out.
    fn extend(&mut self, told: &mut Told, store: Over<'_>) -> Result<(), TellError> {
        let input = told.input();
        let block = self.checker.make_block(input, &told.start, &self.head, &store)?;
        told.intermediate_state_roots = block.claims.intermediate_state_roots.clone();
        let block = PreparedBlock::from(block);
        match self.checker.check_block(&block, &told.start, &self.head, &store)? {
            Verdict::Mismatch(mismatch) => Err(MakeError::Rule(mismatch).into()),
            Verdict::Verified(verified) => {
                store.apply(&Commit::from(&verified))?;
                told.record = verified.record().clone();
                self.head = verified.head().clone();
                if let Some(end) = &mut told.end {
                    end.state_root = self.head.state_root;
                    self.head.batch_closed = true;
                }
                Ok(())
            }
        }
    }
}

/// The block as the last of the chain.
fn head(told: &Told) -> Head {
    let header = &told.record.header;
    Head {
        number: header.number,
        hash: told.hash(),
        state_root: header.state_root,
        timestamp: header.timestamp,
        batch: told.start.number,
        fork_id: told.record.fork_id,
        batch_closed: told.end.is_some(),
        totals: Totals::default(),
    }
}
