//! The rules that differ from Ethereum's, each shown by a transaction.

mod call;
mod forks;
mod trace;

use super::*;
use crate::{
    chain::{ChainSpec, ForkId},
    store::{Commit, Key, Memory},
    tree::{Smt, StateKey, hash_bytes},
    types::{BlockInput, EncodedTransaction, L1Info},
};
use alloc::{string::ToString, vec};
use alloy_consensus::{SignableTransaction, TxLegacy, transaction::RlpEcdsaEncodableTx};
use alloy_primitives::{Address, Bytes, Signature, TxKind, U256, address, hex, keccak256};
use k256::ecdsa::SigningKey;

const CHAIN: u64 = 779;
const CONTRACT: Address = address!("00000000000000000000000000000000000c0de0");
const OTHER: Address = address!("0000000000000000000000000000000000000777");
const COINBASE: Address = address!("00000000000000000000000000000000000000cb");
const WEALTH: U256 = U256::from_limbs([1 << 60, 0, 0, 0]);
const TIMESTAMP: u64 = 1_700_000_000;
const L1_HASH: B256 = B256::repeat_byte(0x11);
const EXIT_ROOT: B256 = B256::repeat_byte(0x22);

/// A state before the block, and the block on it.
struct World {
    diff: StateDiff,
    transactions: Vec<EncodedTransaction>,
    l1_info: L1Info,
    kind: BatchKind,
    fork: ForkId,
}

impl World {
    /// One rich sender, nobody else.
    fn new() -> Self {
        let mut diff = StateDiff::default();
        diff.leaves.insert(StateKey::Balance(sender()), WEALTH);
        Self {
            diff,
            transactions: Vec::new(),
            l1_info: L1Info::default(),
            kind: BatchKind::Regular,
            fork: ForkId::Elderberry2,
        }
    }

    fn on(self, fork: ForkId) -> Self {
        Self { fork, ..self }
    }

    /// A contract with `code`, and a transaction that calls it.
    fn calling(code: &[u8]) -> Self {
        Self::new().with_code(CONTRACT, code).send(call(CONTRACT))
    }

    fn with(mut self, key: StateKey, value: u64) -> Self {
        self.diff.leaves.insert(key, U256::from(value));
        self
    }

    fn with_code(mut self, address: Address, code: &[u8]) -> Self {
        self.diff.set_code(address, Bytes::copy_from_slice(code));
        self
    }

    fn send(mut self, transaction: TxLegacy) -> Self {
        self.transactions.push(sign(transaction));
        self
    }

    fn run(self) -> Result<Outcome, ExecuteError> {
        let store = Memory::new();
        let mut executor = Executor::new();
        let changes = self.diff.tree_changes(executor.paths());
        let update = Smt::new(&store).update(B256::ZERO, changes)?;
        let mut commit = Commit::default();
        update.write(&mut commit);
        self.diff.write_codes(&mut commit);
        store.apply(&commit)?;

        let parent = Parent { number: 41, state_root: update.root };
        let input = BlockInput {
            number: 42,
            timestamp: TIMESTAMP,
            coinbase: COINBASE,
            l1_info: self.l1_info,
            transactions: self.transactions,
        };
        let (rules, part) = (Rules::of(self.fork), BatchPart::WHOLE);
        let batch = BatchContext { rules, kind: self.kind, chain_id: CHAIN, part };
        let block = input.into();
        let execution = executor.execute(&block, &batch, parent, &store)?;
        trace::check(&execution, &block, &batch, parent, &store);
        Ok(Outcome { execution, parent, store, block, fork: self.fork, kind: self.kind })
    }

    fn invalid(self) -> Invalid {
        match self.run() {
            Err(ExecuteError::Invalid(invalid)) => invalid,
            other => panic!("{other:?}"),
        }
    }
}

#[derive(Debug)]
struct Outcome {
    execution: Execution,
    parent: Parent,
    store: Memory,
    block: PreparedInput,
    fork: ForkId,
    kind: BatchKind,
}

impl Outcome {
    /// The transactions once more.
    fn traced(&self, tracer: &Tracer) -> Result<Vec<Traced>, TraceError> {
        let (rules, part) = (Rules::of(self.fork), BatchPart::WHOLE);
        let batch = BatchContext { rules, kind: self.kind, chain_id: CHAIN, part };
        trace::traces(&self.block, &batch, self.parent, &self.store, tracer)
    }

    /// The leaf's value if the block changed it.
    fn changed(&self, key: StateKey) -> Option<U256> {
        self.execution.diff.leaves.get(&key).copied()
    }

    /// What the contract stored in slot 0.
    fn stored(&self) -> U256 {
        self.changed(StateKey::Storage(CONTRACT, U256::ZERO)).expect("something else than before")
    }

    /// The state root when these are the block's changes.
    fn root_after(&self, changes: &StateDiff) -> B256 {
        let changes = changes.tree_changes(&mut Paths::default());
        Smt::new(&self.store).update(self.parent.state_root, changes).unwrap().root
    }

    fn gas(&self) -> u64 {
        self.execution.gas_used
    }

    fn success(&self) -> bool {
        self.execution.receipts.iter().all(|receipt| receipt.success)
    }
}

fn key() -> SigningKey {
    SigningKey::from_slice(&[7; 32]).unwrap()
}

fn sender() -> Address {
    let point = key().verifying_key().to_sec1_point(false);
    Address::from_slice(&keccak256(&point.as_bytes()[1..])[12..])
}

fn call(to: Address) -> TxLegacy {
    TxLegacy {
        chain_id: Some(CHAIN),
        nonce: 0,
        gas_price: 0,
        gas_limit: 1_000_000,
        to: TxKind::Call(to),
        value: U256::ZERO,
        input: Bytes::new(),
    }
}

fn sign(transaction: TxLegacy) -> EncodedTransaction {
    let (signature, parity) = key().sign_prehash_recoverable(transaction.signature_hash().as_slice());
    let (r, s) = signature.split_bytes();
    let signature = Signature::new(U256::from_be_slice(&r), U256::from_be_slice(&s), parity.is_y_odd());
    let mut encoded = Vec::new();
    transaction.rlp_encode_signed(&signature, &mut encoded);
    EncodedTransaction { encoded: encoded.into(), effective_percentage: 255 }
}

/// Code that stores what `code` leaves on the stack.
fn storing(code: &[u8]) -> Vec<u8> {
    [code, &hex!("600055")].concat()
}

/// Code that pushes an address and goes on with `code`.
fn pushing(address: Address, code: &[u8]) -> Vec<u8> {
    [&[0x73][..], address.as_slice(), code].concat()
}

#[test]
fn a_byte_5b_inside_push_data_is_a_jump_destination() {
    // 0: PUSH1 4, JUMP; 3: PUSH2 5b60, of which 4: JUMPDEST, PUSH1 2a, PUSH1 0, SSTORE.
    let outcome = World::calling(&hex!("6004 56 61 5b60 2a 6000 55")).run().unwrap();
    assert_eq!(outcome.stored(), U256::from(0x2a));
}

#[test]
fn a_jump_into_push_data_does_not_read_beyond_the_code() {
    // The jump lands in front of a PUSH32 that is the last byte of the code: its data is zeros, and then comes a STOP.
    for push in 0x5f..=0x7f {
        let outcome = World::calling(&[0x60, 4, 0x56, 0x61, 0x5b, push]).run().unwrap();
        assert!(outcome.success());
    }
}

#[test]
fn a_jump_into_push_data_leaves_the_code_what_it_was() {
    // As above, with CODESIZE behind the destination.
    let code = storing(&hex!("6004 56 61 5b38"));
    assert_eq!(World::calling(&code).run().unwrap().stored(), U256::from(code.len()));
}

#[test]
fn a_jump_to_any_other_byte_fails() {
    for target in [3, 5, 0xff] {
        let outcome = World::calling(&[0x60, target, 0x56, 0x61, 0x5b, 0x00]).run().unwrap();
        assert!(!outcome.success());
        assert_eq!(outcome.gas(), 1_000_000);
    }
}

#[test]
fn jumps_work_in_init_code_too() {
    let transaction =
        TxLegacy { to: TxKind::Create, input: hex!("6004 56 61 5b60 2a 6000 55").into(), ..call(OTHER) };
    let outcome = World::new().send(transaction).run().unwrap();
    assert_eq!(outcome.changed(StateKey::Storage(sender().create(0), U256::ZERO)), Some(U256::from(0x2a)));
}

#[test]
fn extcodehash_is_the_hash_in_the_tree_and_zero_without_code() {
    let code = storing(&hex!("30 3f"));
    assert_eq!(World::calling(&code).run().unwrap().stored(), U256::from_be_bytes(hash_bytes(&code).0));
    for nobody in [OTHER, sender()] {
        // One more than the hash, so that it shows.
        let code = storing(&pushing(nobody, &hex!("3f 6001 01")));
        assert_eq!(World::calling(&code).run().unwrap().stored(), U256::ONE);
    }
}

#[test]
fn extcodehash_of_code_from_the_same_transaction_is_its_poseidon_hash() {
    // Creates a contract whose code is the single byte 00: PUSH1 1, PUSH1 0, RETURN in memory, CREATE, EXTCODEHASH.
    let code = storing(&hex!("64 60016000f3 6000 52 6005 601b 6000 f0 3f"));
    assert_eq!(World::calling(&code).run().unwrap().stored(), U256::from_be_bytes(hash_bytes(&[0]).0));
}

#[test]
fn blockhash_is_a_state_root_of_any_past_block() {
    let outcome = World::calling(&storing(&hex!("6029 40"))).run().unwrap();
    assert_eq!(outcome.stored(), U256::from_be_bytes(outcome.parent.state_root.0));
    // Old ones come from the system contract's storage; the present one, later ones and huge ones are zero.
    let preimage = [U256::from(3).to_be_bytes::<32>(), U256::ONE.to_be_bytes::<32>()].concat();
    let slot = StateKey::Storage(ChainSpec::SYSTEM_CONTRACT, keccak256(preimage).into());
    let outcome = World::calling(&storing(&hex!("6003 40"))).with(slot, 99).run().unwrap();
    assert_eq!(outcome.stored(), U256::from(99));
    for number in [&hex!("602a")[..], &hex!("60ff"), &hex!("68 010000000000000029")] {
        let code = storing(&[number, &hex!("40 6001 01")].concat());
        assert_eq!(World::calling(&code).run().unwrap().stored(), U256::ONE);
    }
}

#[test]
fn sendall_moves_the_balance_and_destroys_nothing() {
    let world = World::calling(&pushing(OTHER, &[0xff]));
    let outcome =
        world.with(StateKey::Balance(CONTRACT), 7).with(StateKey::Nonce(CONTRACT), 1).run().unwrap();
    assert_eq!(outcome.changed(StateKey::Balance(CONTRACT)), Some(U256::ZERO));
    assert_eq!(outcome.changed(StateKey::Balance(OTHER)), Some(U256::from(7)));
    assert_eq!(outcome.changed(StateKey::Nonce(CONTRACT)), None);
    assert_eq!(outcome.changed(StateKey::CodeHash(CONTRACT)), None);
    // Cold, and empty until now.
    assert_eq!(outcome.gas(), 21_000 + 3 + 5_000 + 2_600 + 25_000);
}

#[test]
fn sendall_with_nothing_to_move_or_to_itself_costs_its_base() {
    let outcome = World::calling(&pushing(OTHER, &[0xff])).run().unwrap();
    assert_eq!(outcome.gas(), 21_000 + 3 + 5_000);
    let outcome = World::calling(&hex!("30 ff")).with(StateKey::Balance(CONTRACT), 7).run().unwrap();
    assert_eq!((outcome.gas(), outcome.changed(StateKey::Balance(CONTRACT))), (21_000 + 2 + 5_000, None));
}

#[test]
fn sendall_fails_in_a_static_call() {
    // STATICCALL to the other, whose code is SENDALL to itself; 1 is added to its result.
    let call = pushing(OTHER, &hex!("5a fa 6001 01 6000 55"));
    let call = [&hex!("6000 6000 6000 6000")[..], &call].concat();
    // The failed call takes 63 of 64 parts of the gas; the rest has to do for the SSTORE.
    let transaction = TxLegacy { gas_limit: 3_000_000, ..self::call(CONTRACT) };
    let world = World::new().with_code(CONTRACT, &call).with_code(OTHER, &hex!("30 ff"));
    let outcome = world.send(transaction).run().unwrap();
    assert_eq!(outcome.stored(), U256::ONE);
}

#[test]
fn block_opcodes_say_what_the_rollup_says() {
    for (opcode, value) in [
        (0x41, U256::from_be_slice(COINBASE.as_slice())),
        (0x42, U256::from(TIMESTAMP)),
        (0x43, U256::from(42)),
        (0x45, U256::from(1u64 << 50)),
        (0x46, U256::from(CHAIN)),
    ] {
        assert_eq!(World::calling(&storing(&[opcode])).run().unwrap().stored(), value, "{opcode:#x}");
    }
    // DIFFICULTY is 0.
    assert_eq!(World::calling(&storing(&hex!("44 6001 01"))).run().unwrap().stored(), U256::ONE);
}

#[test]
fn push0_is_valid_and_later_opcodes_are_not() {
    let outcome = World::calling(&storing(&hex!("5f 6001 01"))).run().unwrap();
    assert_eq!(outcome.stored(), U256::ONE);
    assert_eq!(outcome.gas(), 21_000 + 2 + 3 + 3 + 3 + 22_100);
    for opcode in [0x48, 0x49, 0x4a, 0x5c, 0x5d, 0x5e, 0xfb] {
        let outcome = World::calling(&[0x5f, 0x5f, 0x5f, opcode]).run().unwrap();
        assert!(!outcome.success(), "{opcode:#x}");
        assert_eq!(outcome.gas(), 1_000_000);
    }
}

#[test]
fn an_unsupported_precompile_reverts_and_returns_its_gas() {
    for precompile in [3, 5, 9] {
        // CALL with value 1 and all gas; 1 is added to its result.
        let code = [&hex!("6000 6000 6000 6000 6001 60")[..], &[precompile], &hex!("5a f1 6001 01 6000 55")]
            .concat();
        let outcome = World::calling(&code).with(StateKey::Balance(CONTRACT), 5).run().unwrap();
        assert_eq!(outcome.stored(), U256::ONE, "the call fails");
        assert_eq!(outcome.changed(StateKey::Balance(CONTRACT)), None, "the value stays");
        assert!(outcome.gas() < 90_000, "{}", outcome.gas());
    }
}

#[test]
fn a_transaction_to_an_unsupported_precompile_fails_and_pays_its_intrinsic_gas() {
    let outcome = World::new()
        .send(TxLegacy { value: U256::ONE, gas_price: 3, ..call(Address::with_last_byte(9)) })
        .run()
        .unwrap();
    assert!(!outcome.success());
    assert_eq!(outcome.gas(), 21_000);
    assert_eq!(outcome.changed(StateKey::Balance(sender())), Some(WEALTH - U256::from(63_000)));
    assert_eq!(outcome.changed(StateKey::Balance(COINBASE)), Some(U256::from(63_000)));
    assert_eq!(outcome.changed(StateKey::Nonce(sender())), Some(U256::ONE));
}

#[test]
fn identity_runs() {
    // MSTORE8 at 31, CALL to 4 with 32 bytes in and out, MLOAD.
    let code = storing(&hex!("602a 601f 53 6020 6020 6020 6000 6000 6004 5a f1 50 6020 51"));
    assert_eq!(World::calling(&code).run().unwrap().stored(), U256::from(0x2a));
}

#[test]
fn clearing_a_slot_refunds_as_in_berlin() {
    let slot = StateKey::Storage(CONTRACT, U256::ZERO);
    let outcome = World::calling(&hex!("6000 6000 55")).with(slot, 1).run().unwrap();
    // 5,000 for the cold slot; the refund of 15,000 is capped at half of what was used.
    let used = 21_000 + 6 + 5_000;
    assert_eq!(outcome.gas(), used - used / 2);
}

#[test]
fn code_that_begins_with_ef_cannot_be_deployed() {
    // MSTORE8 ef at 0, RETURN 1 byte.
    let create =
        |input: &[u8]| TxLegacy { to: TxKind::Create, input: Bytes::copy_from_slice(input), ..call(OTHER) };
    let outcome = World::new().send(create(&hex!("60ef 6000 53 6001 6000 f3"))).run().unwrap();
    assert!(!outcome.success());
    let outcome = World::new().send(create(&hex!("60ee 6000 53 6001 6000 f3"))).run().unwrap();
    let created = sender().create(0);
    assert_eq!(outcome.changed(StateKey::CodeHash(created)), Some(hash_bytes(&[0xee]).into()));
    assert_eq!(outcome.changed(StateKey::CodeLength(created)), Some(U256::ONE));
    assert_eq!(outcome.changed(StateKey::Nonce(created)), Some(U256::ONE));
    assert_eq!(outcome.execution.diff.codes[&hash_bytes(&[0xee])].as_ref(), [0xee]);
}

#[test]
fn code_that_looks_like_a_delegation_is_only_odd_code() {
    let code = [&hex!("ef0100")[..], OTHER.as_slice()].concat();
    let outcome = World::calling(&code).with_code(OTHER, &storing(&hex!("6001"))).run().unwrap();
    assert!(!outcome.success());
}

#[test]
fn a_transaction_that_the_protocol_skips_cannot_stand_in_a_block() {
    type Alteration = (&'static str, fn(&mut TxLegacy));
    let invalid: [Alteration; 6] = [
        ("nonce", |transaction| transaction.nonce = 1),
        ("gas", |transaction| transaction.gas_limit = 20_999),
        ("gas", |transaction| transaction.gas_limit = 30_000_001),
        ("chain", |transaction| transaction.chain_id = Some(CHAIN + 1)),
        ("fund", |transaction| transaction.value = WEALTH + U256::ONE),
        ("overflow", |transaction| transaction.gas_price = u128::MAX),
    ];
    for (word, alter) in invalid {
        let mut transaction = call(OTHER);
        alter(&mut transaction);
        let invalid =
            World::new().send(call(OTHER)).send(TxLegacy { nonce: transaction.nonce + 1, ..transaction });
        let outcome = invalid.run().unwrap();
        match &outcome.execution.skipped[..] {
            [Skipped { index: 1, reason }] => assert!(reason.to_string().contains(word), "{word}: {reason}"),
            other => panic!("{word}: {other:?}"),
        }
        assert_eq!(outcome.execution.receipts.len(), 1);
    }
    let outcome = World::new().with_code(sender(), &[0]).send(call(OTHER)).run().unwrap();
    assert_eq!(outcome.execution.skipped.len(), 1);
}

#[test]
fn a_transaction_without_a_chain_id_runs() {
    let outcome =
        World::new().send(TxLegacy { chain_id: None, value: U256::ONE, ..call(OTHER) }).run().unwrap();
    assert_eq!(outcome.changed(StateKey::Balance(OTHER)), Some(U256::ONE));
}

#[test]
fn the_effective_percentage_scales_price_and_fee() {
    let mut world = World::new().with_code(CONTRACT, &storing(&hex!("3a")));
    let mut transaction = sign(TxLegacy { gas_price: 1_000, ..call(CONTRACT) });
    transaction.effective_percentage = 127;
    world.transactions = vec![transaction];
    let outcome = world.run().unwrap();
    assert_eq!(outcome.stored(), U256::from(500), "GASPRICE");
    assert_eq!(outcome.changed(StateKey::Balance(COINBASE)), Some(U256::from(500 * outcome.gas())));
}

#[test]
fn a_block_opens_by_writing_to_the_system_contract() {
    let outcome = World::new().run().unwrap();
    let slot = |slot: u64| StateKey::Storage(ChainSpec::SYSTEM_CONTRACT, U256::from(slot));
    assert_eq!(outcome.changed(slot(0)), Some(U256::from(42)));
    assert_eq!(outcome.changed(slot(2)), Some(U256::from(TIMESTAMP)));
    assert_eq!(outcome.changed(slot(3)), Some(outcome.execution.block_info_root.into()));
    assert_eq!(outcome.execution.diff.leaves.len(), 4, "and the state root of the block before");
    // A later timestamp in the state stays.
    let outcome = World::new().with(slot(2), TIMESTAMP + 5).run().unwrap();
    assert_eq!(outcome.changed(slot(2)), None);
}

#[test]
fn an_exit_root_is_written_once() {
    let preimage = [EXIT_ROOT, B256::ZERO].concat();
    let entry = StateKey::Storage(ChainSpec::EXIT_ROOT_MANAGER, keccak256(preimage).into());
    let info = L1Info { index: 5, global_exit_root: EXIT_ROOT, block_hash: L1_HASH, min_timestamp: 1 };
    let importing = |l1_info, kind| World { l1_info, kind, ..World::new() };

    let outcome = importing(info, BatchKind::Regular).run().unwrap();
    assert_eq!(outcome.changed(entry), Some(L1_HASH.into()));
    let again = importing(info, BatchKind::Regular).with(entry, 1).run().unwrap();
    assert_eq!(again.changed(entry), None);
    // The block info tree carries exit root and L1 hash all the same.
    let without = World::new().with(entry, 1).run().unwrap();
    assert_ne!(again.execution.block_info_root, without.execution.block_info_root);

    let unnamed = L1Info { index: 0, ..info };
    assert_eq!(importing(unnamed, BatchKind::Regular).run().unwrap().changed(entry), None);
    assert_eq!(importing(unnamed, BatchKind::Injected).run().unwrap().changed(entry), Some(L1_HASH.into()));

    let early = L1Info { min_timestamp: TIMESTAMP + 1, ..info };
    assert!(matches!(importing(early, BatchKind::Regular).invalid(), Invalid::BeforeL1Info { .. }));
    let zero = L1Info { index: 5, ..L1Info::default() };
    assert_eq!(importing(zero, BatchKind::Regular).invalid(), Invalid::ZeroL1Info { index: 5 });
    assert_eq!(importing(info, BatchKind::Invalid).invalid(), Invalid::BlockInInvalidBatch);
}

#[test]
fn missing_state_is_not_a_verdict() {
    let world = World::calling(&[0]);
    let code = Key::Code(hash_bytes(&[0]));
    let mut unknown = World::new().send(call(CONTRACT));
    // The tree names code that the store does not have.
    unknown.diff.leaves.extend(world.diff.leaves);
    match unknown.run() {
        Err(ExecuteError::Store(StoreError::Missing(key))) => assert_eq!(key, code),
        other => panic!("{other:?}"),
    }
}
