use super::{
    Caller, Error, Rpc, Status,
    envelope::Request,
    live::{Shared, Subscriptions},
    objects::{self, TransactionObject},
    params::{Selector, Tag},
    provenance::Rest,
    reply::Outcome,
    room::Room,
    wants::{StateAt, Wants},
};
use crate::{
    executor::{Interrupt, Lack, Rules, State},
    store::{Key, Store, StoreError, need, need_block, read},
    tree::{Paths, Smt, StateKey},
    types::{BlockRecord, Head, TransactionPlace},
};
use alloc::{format, string::String, vec::Vec};
use alloy_consensus::Header;
use alloy_primitives::{B128, B256, Bloom, Bytes, U256};
use alloy_rlp::Decodable;
use core::cell::{Cell, RefCell};

/// The verified chain as one request sees it: its head is read once, for a whole batch.
pub(super) struct View<'a> {
    pub(super) rpc: &'a Rpc,
    pub(super) status: &'a Status,
    pub(super) store: &'a dyn Store,
    caller: Option<&'a Caller<'a>>,
    /// Ids that were given away.
    ids: Cell<u64>,
    /// Bytes that the answer to the present request may have.
    room: Cell<usize>,
    /// A block was read for it.
    read: Cell<bool>,
    /// The latest block that was looked at for it.
    rest: Cell<Option<Rest>>,
    /// Part of it was read from the state of a store that holds proofs.
    proved: Cell<bool>,
    /// Part of it is a transaction that waits.
    pool: Cell<bool>,
    /// The store holds no more of the state than was proved to it.
    light: bool,
    pub(super) head: Option<Head>,
    stop: &'a dyn Fn() -> bool,
    interrupt: Cell<Interrupt<'a>>,
    wants: RefCell<Wants>,
}

/// A verified block and its hash.
pub(super) struct Found {
    pub(super) hash: B256,
    pub(super) record: BlockRecord,
}

impl Found {
    pub(super) fn number(&self) -> u64 {
        self.record.header.number
    }
}

impl<'a> View<'a> {
    pub(super) fn new(
        rpc: &'a Rpc,
        status: &'a Status,
        store: &'a dyn Store,
        caller: Option<&'a Caller<'a>>,
        stop: &'a dyn Fn() -> bool,
    ) -> Result<Self, StoreError> {
        let head = read(store, Key::Head, "not a head record")?;
        let interrupt = Cell::new(Interrupt::new(stop));
        let (ids, room, read) = (Cell::new(0), Cell::new(0), Cell::new(false));
        let (proved, pool, light) = (Cell::new(false), Cell::new(false), false);
        Ok(Self {
            rpc,
            status,
            store,
            caller,
            ids,
            room,
            read,
            rest: Cell::new(None),
            proved,
            pool,
            light,
            head,
            stop,
            interrupt,
            wants: RefCell::default(),
        })
    }

    /// What comes of a request whose answer may have `room` bytes.
    pub(super) fn answer(&self, request: &Request<'_>, room: usize) -> Result<Outcome, Error> {
        self.room.set(room);
        self.read.set(false);
        self.rest.set(None);
        self.proved.set(false);
        self.pool.set(false);
        let outcome = self.dispatch(request)?;
        if matches!(outcome, Outcome::Value(_)) && self.read.get() && !self.is_whole()? {
            return Err(Error::server("the chain was rolled back meanwhile: ask again"));
        }
        Ok(outcome)
    }

    /// The chain is still that of the head, or goes on behind it: what was read of it is all of one chain. The head's
    /// hash stands for all blocks before it.
    fn is_whole(&self) -> Result<bool, StoreError> {
        let Some(head) = &self.head else { return Ok(true) };
        let now: Option<Head> = read(self.store, Key::Head, "not a head record")?;
        if now.is_some_and(|now| now.hash == head.hash) {
            return Ok(true);
        }
        match self.stored_header(head.number) {
            Ok(header) => Ok(header.hash_slow() == head.hash),
            // It was rolled back, and released.
            Err(StoreError::Missing(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The answer depends on this block.
    pub(super) fn rest_on(&self, number: u64, root: Option<B256>) {
        if self.rest.get().is_none_or(|rest| (rest.number, rest.root.is_some()) < (number, root.is_some())) {
            self.rest.set(Some(Rest { number, root }));
        }
    }

    /// The latest block that was looked at for the present request.
    pub(super) fn rests_on(&self) -> Option<Rest> {
        self.rest.get()
    }

    /// The answer was read from proofs.
    pub(super) fn is_proved(&self) -> bool {
        self.proved.get()
    }

    /// The answer is a transaction that waits.
    pub(super) fn is_from_pool(&self) -> bool {
        self.pool.get()
    }

    pub(super) fn set_from_pool(&self) {
        self.pool.set(true);
    }

    /// What there is room for in the answer.
    pub(super) fn room(&self) -> Room {
        Room::new(self.room.get())
    }

    /// On a store that holds no more of the state than was proved to it.
    #[cfg(feature = "light")]
    pub(super) fn on_proofs(self) -> Self {
        Self { light: true, ..self }
    }

    /// What was looked for in vain since the last call.
    #[cfg(feature = "light")]
    pub(super) fn take_wants(&self) -> Wants {
        self.wants.take()
    }

    /// Something was looked for in vain.
    pub(super) fn lacks(&self) -> bool {
        cfg!(feature = "light") && !self.wants.borrow().is_empty()
    }

    pub(super) fn want(&self, add: impl FnOnce(&mut Wants)) {
        if cfg!(feature = "light") {
            add(&mut self.wants.borrow_mut());
        }
    }

    /// Where things are remembered, if they are.
    pub(super) fn remembering(&self) -> Option<&'a Caller<'a>> {
        self.caller
    }

    /// The transaction, if it was sent from here and waits.
    pub(super) fn waiting(&self, hash: B256) -> Result<Option<TransactionObject>, Error> {
        self.caller.map_or(Ok(None), |caller| caller.waiting(hash))
    }

    /// Where things are remembered.
    pub(super) fn caller(&self) -> Result<&'a Caller<'a>, Error> {
        self.caller.ok_or_else(|| Error::server("this host remembers nothing"))
    }

    /// The connection, if something can be pushed there.
    pub(super) fn pushes(&self) -> Result<(&'a Caller<'a>, &'a dyn Shared<Subscriptions>), Error> {
        let caller = self.caller.and_then(|caller| caller.subscriptions.map(|found| (caller, found)));
        caller.ok_or_else(|| Error::server("notifications not supported"))
    }

    /// An id that nobody can guess.
    pub(super) fn fresh_id(&self) -> Result<B128, Error> {
        let count = self.ids.replace(self.ids.get() + 1);
        self.caller().map(|caller| caller.id(count))
    }

    /// For what reads past this.
    pub(super) fn interrupt(&self) -> Interrupt<'_> {
        Interrupt::new(self.stop)
    }

    /// A record is about to be read: methods that look at many blocks can be stopped here.
    fn proceed(&self) -> Result<(), StoreError> {
        self.read.set(true);
        let mut interrupt = self.interrupt.get();
        let proceeds = interrupt.spend(Interrupt::READ);
        self.interrupt.set(interrupt);
        proceeds
    }

    /// A record by its own hash, if it is at hand.
    pub(super) fn get(&self, key: &Key) -> Result<Option<Bytes>, StoreError> {
        self.proceed()?;
        match self.store.get(key) {
            Err(StoreError::Missing(_)) => Ok(None),
            found => found,
        }
    }

    pub(super) fn head(&self) -> Result<&Head, Error> {
        self.head.as_ref().ok_or_else(Error::not_ready)
    }

    /// The number that a tag stands for.
    fn tagged(&self, tag: Tag) -> Result<u64, Error> {
        let frontier = match tag {
            Tag::Earliest => return Ok(0),
            Tag::Latest | Tag::Pending => {
                let number = self.head()?.number;
                self.rest_on(number, None);
                return Ok(number);
            }
            // Finalized is safe, and what is not verified yet is neither.
            Tag::Safe => self.status.safe.max(self.status.finalized),
            Tag::Finalized => self.status.finalized,
        };
        let frontier = frontier.ok_or_else(|| Error::new(Error::UNKNOWN_BLOCK, "unknown block"))?;
        Ok(frontier.block.min(self.head()?.number))
    }

    /// The number that a number or a tag stands for, be there such a block or not.
    pub(super) fn number(&self, selector: Selector) -> Result<Option<u64>, Error> {
        match selector {
            Selector::Tag(tag) => self.tagged(tag).map(Some),
            Selector::Number(number) => Ok(Some(number)),
            Selector::Hash { hash, .. } => Ok(self.block_by_hash(hash)?.map(|found| found.number())),
        }
    }

    /// The block, or `None` if there is none.
    pub(super) fn block(&self, selector: Selector) -> Result<Option<Found>, Error> {
        let found = self.known(selector)?;
        found.map(|found| self.with_body(found.number()).map(|()| found)).transpose().map_err(Error::from)
    }

    /// The block, of which no more than the header may be known.
    fn known(&self, selector: Selector) -> Result<Option<Found>, Error> {
        let number = match selector {
            Selector::Tag(tag) => self.tagged(tag)?,
            Selector::Number(number) => number,
            Selector::Hash { hash, .. } => return self.known_by_hash(hash),
        };
        self.known_by_number(number)
    }

    /// More than the header of a block has to be known.
    pub(super) fn with_body(&self, number: u64) -> Result<(), StoreError> {
        match number < self.status.first_block {
            true => Err(StoreError::Missing(Key::Block(number))),
            false => Ok(()),
        }
    }

    /// The block whose state is asked for: its header is enough. That there is none is an error here.
    pub(super) fn state_block(&self, selector: Selector) -> Result<Found, Error> {
        self.known(selector)?.ok_or_else(|| match selector {
            Selector::Hash { hash, require_canonical: true } if self.knows_number_of(hash) => {
                Error::new(Error::INTERNAL, format!("hash {hash} is not currently canonical"))
            }
            Selector::Hash { hash, .. } => Error::server(format!("block {hash} not found")),
            Selector::Number(number) => Error::server(format!("block with number {number} not found")),
            Selector::Tag(_) => Error::not_ready(),
        })
    }

    pub(super) fn block_by_number(&self, number: u64) -> Result<Option<Found>, Error> {
        self.block(Selector::Number(number))
    }

    pub(super) fn block_by_hash(&self, hash: B256) -> Result<Option<Found>, Error> {
        self.block(Selector::Hash { hash, require_canonical: false })
    }

    fn known_by_number(&self, number: u64) -> Result<Option<Found>, Error> {
        let head = self.head()?.number;
        if number > head {
            self.rest_on(head, None);
            return Ok(None);
        }
        match self.stored(number) {
            Err(StoreError::Missing(Key::Block(_))) if number < self.status.first_block => {
                // Its header could be proved by the hashes of all blocks down from the checkpoint alone.
                let checkpoint = self.status.first_block - 1;
                let reason = format!(
                    "block {number} is not available: it is before the checkpoint, block {checkpoint}"
                );
                Err(Error::new(Error::PRUNED, reason))
            }
            found => Ok(Some(found?)),
        }
    }

    /// The block with this number, which is not above the head.
    pub(super) fn stored(&self, number: u64) -> Result<Found, StoreError> {
        self.proceed()?;
        let record = need_block(self.store, number)?;
        self.rest_on(number, None);
        Ok(Found { hash: record.header.hash_slow(), record })
    }

    fn known_by_hash(&self, hash: B256) -> Result<Option<Found>, Error> {
        let Some(number) = self.number_of(hash)? else {
            return self.absent(|| format!("block {hash}"));
        };
        // The record of a block that was taken back may still be there.
        Ok(self.known_by_number(number)?.filter(|found| found.hash == hash))
    }

    /// What no index knows is nowhere in the chain, or, where earlier blocks are not held, not known.
    fn absent<T>(&self, what: impl FnOnce() -> String) -> Result<Option<T>, Error> {
        if self.status.first_block == 0 {
            return Ok(None);
        }
        let reason = format!(
            "{} is not available: the latest blocks do not have it, and earlier ones are not held",
            what()
        );
        Err(Error::new(Error::PRUNED, reason))
    }

    fn number_of(&self, hash: B256) -> Result<Option<u64>, StoreError> {
        let key = Key::BlockNumber(hash);
        let Some(record) = self.store.get(&key)? else {
            return Ok(None);
        };
        let number = <[u8; 8]>::try_from(record.as_ref());
        let number = number.map_err(|_| StoreError::Corrupt { key, reason: "a block number has 8 bytes" })?;
        Ok(Some(u64::from_be_bytes(number)))
    }

    fn knows_number_of(&self, hash: B256) -> bool {
        matches!(self.number_of(hash), Ok(Some(_)))
    }

    /// The block with this transaction, and the transaction's position there. One that waits is in no block.
    pub(super) fn transaction(&self, hash: B256) -> Result<Option<(Found, usize)>, Error> {
        let key = Key::TransactionPlace(hash);
        let place: Option<TransactionPlace> = read(self.store, key, "not the place of a transaction")?;
        let Some(TransactionPlace { block, index }) = place else {
            return match self.absent(|| format!("transaction {hash}")) {
                Err(_) if self.waiting(hash)?.is_some() => {
                    self.set_from_pool();
                    Ok(None)
                }
                absent => absent,
            };
        };
        let index = usize::try_from(index).map_err(|_| Error::internal())?;
        let found = self.block_by_number(block)?;
        let stands = |found: &Found| {
            let transaction = found.record.transactions.get(index);
            transaction.is_some_and(|transaction| alloy_primitives::keccak256(&transaction.encoded) == hash)
        };
        Ok(found.filter(stands).map(|found| (found, index)))
    }

    /// The block with the transaction that has this hash in the block info tree, and the transaction's position there.
    pub(super) fn l2_transaction(&self, hash: B256) -> Result<Option<(Found, usize)>, Error> {
        let key = Key::L2TransactionPlace(hash);
        let place: Option<TransactionPlace> = read(self.store, key, "not the place of a transaction")?;
        let Some(TransactionPlace { block, index }) = place else {
            return self.absent(|| format!("transaction {hash}"));
        };
        let index = usize::try_from(index).map_err(|_| Error::internal())?;
        let Some(found) = self.block_by_number(block)? else {
            return Ok(None);
        };
        // The block may be another one since it was written.
        let stands = match found.record.transactions.get(index) {
            Some(record) => objects::l2_hash(record)? == hash,
            None => false,
        };
        Ok(stands.then_some((found, index)))
    }

    /// The bloom filter of a block.
    pub(super) fn bloom(&self, number: u64) -> Result<Bloom, Error> {
        self.proceed()?;
        self.with_body(number)?;
        Ok(self.stored_header(number)?.logs_bloom)
    }

    /// The header of a block, without decoding what comes behind it.
    pub(super) fn stored_header(&self, number: u64) -> Result<Header, StoreError> {
        let key = Key::Block(number);
        let record = need(self.store, key)?;
        let mut rest = record.as_ref();
        alloy_rlp::Header::decode(&mut rest)
            .and_then(|_| Header::decode(&mut rest))
            .map_err(|_| StoreError::Corrupt { key, reason: "not a block record" })
    }

    /// Which state is asked for. Of blocks that are not kept any more the chain itself remembers it.
    pub(super) fn state_at(&self, selector: Selector) -> Result<StateAt, Error> {
        let number = match selector {
            Selector::Hash { .. } => return self.at(&self.state_block(selector)?),
            Selector::Number(number) => number,
            Selector::Tag(tag) => self.tagged(tag)?,
        };
        let head = self.head()?;
        if number < head.number
            && let Err(StoreError::Missing(_)) = self.stored(number)
        {
            let latest = StateAt { number: head.number, root: head.state_root };
            let root = self.with_state_at(latest, |state| state.past_root(number))?;
            // That it is the root after that block is what the latest state says, and no less true than that.
            self.rest.set(None);
            return match root {
                B256::ZERO => Err(Error::new(
                    Error::PRUNED,
                    format!("state of block {number} is not available: the chain does not remember its root"),
                )),
                root => Ok(StateAt { number, root }),
            };
        }
        self.at(&self.state_block(selector)?)
    }

    /// The state after a block. An exit root that came behind the last one is part of the latest state.
    pub(super) fn at(&self, found: &Found) -> Result<StateAt, Error> {
        let (head, number) = (self.head()?, found.number());
        let root = if number == head.number { head.state_root } else { found.record.header.state_root };
        Ok(StateAt { number, root })
    }

    /// Looks at the state after a block.
    pub(super) fn with_state<T, E>(
        &self,
        found: &Found,
        look: impl FnOnce(&mut State<'_>) -> Result<T, E>,
    ) -> Result<T, Error>
    where
        Error: From<StateError<E>>,
    {
        self.with_state_at(self.at(found)?, look)
    }

    pub(super) fn with_state_at<T, E>(
        &self,
        at: StateAt,
        look: impl FnOnce(&mut State<'_>) -> Result<T, E>,
    ) -> Result<T, Error>
    where
        Error: From<StateError<E>>,
    {
        let mut paths = Paths::new();
        let mut state = self.open_state(at, &mut paths);
        let seen = look(&mut state);
        if let (Err(_), Some(lack)) = (&seen, state.lacking()) {
            self.want(|wants| wants.lack(at, lack));
        }
        seen.map_err(|error| StateError { number: at.number, error }.into())
    }

    fn open_state<'s>(&'s self, at: StateAt, paths: &'s mut Paths) -> State<'s> {
        self.rest_on(at.number, Some(at.root));
        self.proved.set(self.light);
        State::at(self.store, at.root, paths).until(Interrupt::new(self.stop))
    }

    /// The value at `key` in the tree whose root the block's header has, and the proof of it.
    pub(super) fn prove(&self, found: &Found, key: StateKey) -> Result<(U256, Vec<Bytes>), Error> {
        self.proceed()?;
        self.proved.set(self.light);
        let (number, root, path) = (found.number(), found.record.header.state_root, key.path());
        self.rest_on(number, Some(root));
        let proof = Smt::new(self.store).prove(root, &path).map_err(|error| {
            if let StoreError::Missing(_) = error {
                self.want(|wants| wants.lack(StateAt { number, root }, Lack::Leaf(key)));
            }
            StateError { number, error }
        })?;
        let value = proof.verify(root, &path).map_err(|_| Error::internal())?;
        Ok((value, proof.encode()))
    }

    /// The rules of a block. Genesis names no fork: calls on it run by those of the first batch.
    pub(super) fn rules(&self, found: &Found) -> Result<&'static Rules, Error> {
        if found.record.fork_id != 0 {
            return Rules::of_number(found.record.fork_id).map_err(|_| Error::internal());
        }
        match (self.rpc.spec.forks.fork_of(1), self.block_by_number(1)?) {
            (Some(fork), _) => Ok(Rules::of(fork)),
            (None, Some(next)) => Rules::of_number(next.record.fork_id).map_err(|_| Error::internal()),
            (None, None) => Err(Error::not_ready()),
        }
    }
}

/// Why the state after a block could not be looked at.
pub(super) struct StateError<E> {
    pub(super) number: u64,
    pub(super) error: E,
}

impl From<StateError<StoreError>> for Error {
    fn from(StateError { number, error }: StateError<StoreError>) -> Self {
        match error {
            // The block is here, its state is not.
            StoreError::Missing(_) => unavailable(number),
            error => error.into(),
        }
    }
}

fn unavailable(number: u64) -> Error {
    Error::new(Error::PRUNED, format!("state of block {number} is not available"))
}
