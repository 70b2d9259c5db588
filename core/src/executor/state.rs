use super::Interrupt;
use crate::{
    chain::ChainSpec,
    store::{Commit, Journal, Key, Store, StoreError, need},
    tree::{Path, Paths, Smt, StateKey, TreeUpdate, hash_bytes},
};
use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256, keccak256};
use revm::{
    Database,
    bytecode::Bytecode,
    database_interface::DBErrorMarker,
    state::{Account, AccountInfo, EvmState},
};

/// The world at one state root, and what a block has changed in it so far.
///
/// revm names code by its keccak hash, the tree by its Poseidon hash. Code from the tree keeps its Poseidon hash inside
/// revm, which takes any hash but that of empty code for a mere name; code that a transaction deploys is named by keccak
/// until the block ends. `State::poseidon_code_hash` translates.
#[derive(Debug)]
pub struct State<'s> {
    /// The state before the block, and in front of it the nodes of intermediate roots.
    store: Journal<&'s dyn Store>,
    root: B256,
    /// The last root that was asked for.
    intermediate_root: B256,
    paths: &'s mut Paths,
    words: BTreeMap<StateKey, Word>,
    /// Code by Poseidon hash.
    codes: BTreeMap<B256, Bytecode>,
    /// Poseidon hashes, by keccak hash, of code deployed in this block.
    deployed: BTreeMap<B256, B256>,
    /// Accounts of which a simulation replaced all storage.
    emptied: BTreeSet<Address>,
    interrupt: Interrupt<'s>,
    lacking: Option<Lack>,
}

/// A part of the state that was looked for, and that the store does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lack {
    /// A leaf, or the proof that there is none.
    Leaf(StateKey),
    /// The code of an account.
    Code(Address),
}

/// A leaf's value before the block, at the last intermediate root, and now.
#[derive(Clone, Copy, Debug)]
struct Word {
    before: U256,
    hashed: U256,
    now: U256,
}

/// What a block changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateDiff {
    /// The new value of each leaf that has one; zero deletes it.
    pub leaves: BTreeMap<StateKey, U256>,
    /// Code deployed, by its Poseidon hash.
    pub codes: BTreeMap<B256, Bytes>,
}

/// What a simulation sees of an account instead of what the chain has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountOverride {
    /// In wei.
    pub balance: Option<U256>,
    /// Nonce.
    pub nonce: Option<u64>,
    /// Code.
    pub code: Option<Bytes>,
    /// Slots that are not named read as zero.
    pub clears_storage: bool,
    /// Storage words by slot.
    pub storage: BTreeMap<U256, U256>,
}

impl StateDiff {
    /// The changes as the tree takes them.
    pub fn tree_changes(&self, paths: &mut Paths) -> Vec<(Path, U256)> {
        self.leaves.iter().map(|(key, value)| (paths.path(*key), *value)).collect()
    }

    /// What the leaves are called that an update of the tree by these changes has planted, each with its path.
    pub fn names(&self, update: &TreeUpdate, paths: &mut Paths) -> Vec<(Path, StateKey)> {
        if update.planted.is_empty() {
            return Vec::new();
        }
        let named = self.leaves.keys().map(|key| (paths.path(*key), *key));
        named.filter(|(path, _)| update.planted.binary_search(path).is_ok()).collect()
    }

    /// Adds the deployed code to a commit.
    pub(crate) fn write_codes(&self, commit: &mut Commit) {
        for (hash, code) in &self.codes {
            commit.put(Key::Code(*hash), code.clone());
        }
    }

    /// Gives an account code.
    pub(crate) fn set_code(&mut self, address: Address, code: Bytes) {
        let hash = hash_bytes(&code);
        self.leaves.insert(StateKey::CodeHash(address), hash.into());
        self.leaves.insert(StateKey::CodeLength(address), U256::from(code.len()));
        self.codes.insert(hash, code);
    }
}

impl<'s> State<'s> {
    /// The world at `root`.
    pub fn at(store: &'s dyn Store, root: B256, paths: &'s mut Paths) -> Self {
        Self {
            store: Journal::new(store),
            root,
            intermediate_root: root,
            paths,
            words: BTreeMap::new(),
            codes: BTreeMap::new(),
            deployed: BTreeMap::new(),
            emptied: BTreeSet::new(),
            interrupt: Interrupt::default(),
            lacking: None,
        }
    }

    /// What the first read that failed was looking for, when the store does not have it.
    pub(crate) fn lacking(&self) -> Option<Lack> {
        self.lacking
    }

    /// Lets the host end what reads or runs on this state: it fails with [`StoreError::Interrupted`].
    #[must_use]
    pub fn until(mut self, interrupt: Interrupt<'s>) -> Self {
        self.interrupt = interrupt;
        self
    }

    pub(super) fn interrupt(&mut self) -> &mut Interrupt<'s> {
        &mut self.interrupt
    }

    /// Balance of an account, in wei.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the state is not at hand, here and in what follows.
    pub fn balance(&mut self, address: Address) -> Result<U256, StoreError> {
        self.read(StateKey::Balance(address))
    }

    /// Nonce of an account.
    pub fn nonce(&mut self, address: Address) -> Result<U256, StoreError> {
        self.read(StateKey::Nonce(address))
    }

    /// Code of an account; empty for one without.
    pub fn code(&mut self, address: Address) -> Result<Bytes, StoreError> {
        match B256::from(self.read(StateKey::CodeHash(address))?) {
            B256::ZERO => Ok(Bytes::new()),
            hash => Ok(self.code_by_hash(hash)?.original_bytes()),
        }
    }

    /// The state root after an earlier block, as the state itself remembers it; zero if it does not.
    pub fn past_root(&mut self, number: u64) -> Result<B256, StoreError> {
        self.read(Self::state_root_slot(number)).map(B256::from)
    }

    /// A word of an account's storage.
    pub fn slot(&mut self, address: Address, slot: U256) -> Result<U256, StoreError> {
        self.read(StateKey::Storage(address, slot))
    }

    /// The account has code.
    pub(super) fn has_code(&mut self, address: Address) -> Result<bool, StoreError> {
        Ok(!self.read(StateKey::CodeHash(address))?.is_zero())
    }

    /// Lets a simulation see other values than the chain's.
    pub fn override_account(
        &mut self,
        address: Address,
        account: &AccountOverride,
    ) -> Result<(), StoreError> {
        if let Some(balance) = account.balance {
            self.write(StateKey::Balance(address), balance)?;
        }
        if let Some(nonce) = account.nonce {
            self.write(StateKey::Nonce(address), U256::from(nonce))?;
        }
        if let Some(code) = &account.code {
            let hash = if code.is_empty() { B256::ZERO } else { hash_bytes(code) };
            self.codes.insert(hash, Bytecode::new_legacy(code.clone()));
            self.write(StateKey::CodeHash(address), hash.into())?;
            self.write(StateKey::CodeLength(address), U256::from(code.len()))?;
        }
        if account.clears_storage {
            self.emptied.insert(address);
        }
        for (slot, value) in &account.storage {
            self.write(StateKey::Storage(address, *slot), *value)?;
        }
        Ok(())
    }

    /// The value of a leaf now.
    pub(super) fn read(&mut self, key: StateKey) -> Result<U256, StoreError> {
        Ok(self.word(key)?.now)
    }

    /// Changes a leaf.
    pub(super) fn write(&mut self, key: StateKey, value: U256) -> Result<(), StoreError> {
        self.word(key)?.now = value;
        Ok(())
    }

    fn word(&mut self, key: StateKey) -> Result<&mut Word, StoreError> {
        use alloc::collections::btree_map::Entry;
        match self.words.entry(key) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                self.interrupt.spend(Interrupt::READ)?;
                let emptied = matches!(key, StateKey::Storage(address, _) if self.emptied.contains(&address));
                let value = match emptied {
                    true => U256::ZERO,
                    false => {
                        Smt::new(&self.store).get(self.root, &self.paths.path(key)).inspect_err(|error| {
                            if let StoreError::Missing(_) = error {
                                self.lacking.get_or_insert(Lack::Leaf(key));
                            }
                        })?
                    }
                };
                Ok(entry.insert(Word { before: value, hashed: value, now: value }))
            }
        }
    }

    pub(super) fn paths(&mut self) -> &mut Paths {
        self.paths
    }

    /// The root of the state as it is now.
    pub(super) fn intermediate_root(&mut self) -> Result<B256, StoreError> {
        let mut changes = Vec::new();
        for (key, word) in self.words.iter_mut().filter(|(_, word)| word.now != word.hashed) {
            word.hashed = word.now;
            changes.push((self.paths.path(*key), word.now));
        }
        let update = Smt::new(&self.store).update(self.intermediate_root, changes)?;
        let mut commit = Commit::default();
        update.write(&mut commit);
        self.store.apply(&commit)?;
        self.intermediate_root = update.root;
        Ok(update.root)
    }

    /// Every leaf that was read or written.
    pub(super) fn touched(&self) -> impl Iterator<Item = StateKey> {
        self.words.keys().copied()
    }

    /// Everything that is not what it was before the block.
    pub(super) fn into_diff(self) -> StateDiff {
        let mut diff = StateDiff::default();
        for (key, word) in self.words.into_iter().filter(|(_, word)| word.now != word.before) {
            diff.leaves.insert(key, word.now);
            let hash = B256::from(word.now);
            if let (StateKey::CodeHash(_), Some(code)) = (key, self.codes.get(&hash)) {
                diff.codes.insert(hash, code.original_bytes());
            }
        }
        diff
    }

    /// The hash by which the tree knows `code`, which revm knows by `hash`; zero for no code.
    pub(super) fn poseidon_code_hash(&mut self, hash: B256, code: &Bytecode) -> B256 {
        if code.is_empty() {
            return B256::ZERO;
        }
        if self.codes.contains_key(&hash) {
            return hash;
        }
        *self.deployed.entry(hash).or_insert_with(|| hash_bytes(code.original_byte_slice()))
    }

    /// Takes over what a transaction changed.
    ///
    /// revm's own commit would delete accounts that look empty (EIP-161), among them the system contract, which has
    /// storage and nothing else.
    pub(super) fn apply(&mut self, changes: EvmState) -> Result<(), StoreError> {
        for (address, account) in changes {
            if account.is_touched() {
                self.apply_account(address, account)?;
            }
        }
        Ok(())
    }

    fn apply_account(&mut self, address: Address, account: Account) -> Result<(), StoreError> {
        self.write(StateKey::Balance(address), account.info.balance)?;
        self.write(StateKey::Nonce(address), U256::from(account.info.nonce))?;
        // Code that was loaded goes by its Poseidon hash; other code is new.
        if let Some(code) = &account.info.code
            && !code.is_empty()
            && !self.codes.contains_key(&account.info.code_hash)
        {
            let hash = self.poseidon_code_hash(account.info.code_hash, code);
            self.codes.insert(hash, code.clone());
            self.write(StateKey::CodeHash(address), hash.into())?;
            self.write(StateKey::CodeLength(address), U256::from(code.len()))?;
        }
        for (slot, value) in account.changed_storage_slots() {
            self.write(StateKey::Storage(address, *slot), value.present_value())?;
        }
        Ok(())
    }

    /// The entry of the system contract's map of state roots for block `number`.
    pub(super) fn state_root_slot(number: u64) -> StateKey {
        let preimage = [U256::from(number).to_be_bytes::<32>(), U256::ONE.to_be_bytes::<32>()].concat();
        StateKey::Storage(ChainSpec::SYSTEM_CONTRACT, keccak256(preimage).into())
    }
}

impl DBErrorMarker for StoreError {}

impl Database for State<'_> {
    type Error = StoreError;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, StoreError> {
        let balance = self.read(StateKey::Balance(address))?;
        let nonce = self.read(StateKey::Nonce(address))?;
        let code_hash = self.read(StateKey::CodeHash(address))?;
        let nonce = u64::try_from(nonce).map_err(|_| StoreError::Corrupt {
            key: Key::Node(self.root),
            reason: "an account's nonce has more than 64 bits",
        })?;
        let info = AccountInfo { balance, nonce, ..AccountInfo::default() };
        Ok(Some(match B256::from(code_hash) {
            B256::ZERO => info,
            code_hash => AccountInfo { code_hash, code: None, ..info },
        }))
    }

    fn code_by_hash(&mut self, hash: B256) -> Result<Bytecode, StoreError> {
        if hash == KECCAK256_EMPTY {
            return Ok(Bytecode::default());
        }
        if let Some(code) = self.codes.get(&hash) {
            return Ok(code.clone());
        }
        let code = need(&self.store, Key::Code(hash)).inspect_err(|error| {
            if let StoreError::Missing(_) = error {
                let whose = self.words.iter().find_map(|(key, word)| match key {
                    StateKey::CodeHash(address) if B256::from(word.now) == hash => Some(*address),
                    _ => None,
                });
                self.lacking = self.lacking.or(whose.map(Lack::Code));
            }
        })?;
        // Never by its first bytes: code that begins like an EIP-7702 delegation is only odd code here.
        let code = Bytecode::new_legacy(code);
        self.codes.insert(hash, code.clone());
        Ok(code)
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, StoreError> {
        self.read(StateKey::Storage(address, slot))
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, StoreError> {
        self.past_root(number)
    }
}
