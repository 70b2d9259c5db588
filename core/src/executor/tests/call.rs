//! Calls that nothing keeps.

use super::*;
use crate::store::StoreError;

/// A state with these accounts' code, and what a test does with it.
fn with_state<T>(accounts: &[(Address, &[u8])], run: impl FnOnce(&mut State<'_>) -> T) -> T {
    let (store, root) = state_of(accounts);
    run(&mut State::at(&store, root, &mut Paths::new()))
}

fn state_of(accounts: &[(Address, &[u8])]) -> (Memory, B256) {
    let store = Memory::new();
    let mut diff = StateDiff::default();
    diff.leaves.insert(StateKey::Balance(sender()), WEALTH);
    for (address, code) in accounts {
        diff.set_code(*address, Bytes::copy_from_slice(code));
    }
    let update = Smt::new(&store).update(B256::ZERO, diff.tree_changes(&mut Paths::new())).unwrap();
    let mut commit = Commit::default();
    update.write(&mut commit);
    diff.write_codes(&mut commit);
    store.apply(&commit).unwrap();
    (store, update.root)
}

fn context(fork: ForkId) -> CallContext<'static> {
    let rules = Rules::of(fork);
    let (number, timestamp, gas_limit) = (42, TIMESTAMP, rules.block_gas_limit);
    CallContext { rules, chain_id: CHAIN, number, timestamp, coinbase: COINBASE, gas_limit }
}

fn to(address: Address) -> Call {
    Call {
        from: Address::ZERO,
        to: TxKind::Call(address),
        gas_limit: 40_000_000,
        gas_price: 0,
        value: U256::ZERO,
        input: Bytes::new(),
        access_list: Vec::new(),
    }
}

#[test]
fn a_call_runs_by_the_rules_of_its_fork() {
    // PUSH0 came with fork 5.
    with_state(&[(CONTRACT, &[0x5f])], |state| {
        let mut outcome = |fork| context(fork).call(&to(CONTRACT), state).unwrap().outcome;
        assert_eq!(outcome(ForkId::Fork4), CallOutcome::Halt("invalid opcode: not defined"));
        assert_eq!(outcome(ForkId::Dragonfruit), CallOutcome::Success(Bytes::new()));
    });
}

#[test]
fn contracts_may_send_more_gas_than_a_transaction_has() {
    with_state(&[(CONTRACT, &[0x00]), (OTHER, &[0x00])], |state| {
        let call = Call { from: OTHER, ..to(CONTRACT) };
        let result = context(ForkId::Elderberry2).call(&call, state).unwrap();
        assert_eq!((result.outcome, result.gas_used), (CallOutcome::Success(Bytes::new()), 21_000));
    });
}

#[test]
fn nothing_of_a_call_stays() {
    // Stores 1 in slot 0, and logs.
    with_state(&[(CONTRACT, &hex!("60016000555f5fa0"))], |state| {
        let call = Call { from: sender(), value: U256::ONE, ..to(CONTRACT) };
        let first = context(ForkId::Elderberry2).call(&call, state).unwrap();
        assert_eq!(first.logs.len(), 1);
        assert_eq!(context(ForkId::Elderberry2).call(&call, state).unwrap(), first);
        assert_eq!(state.slot(CONTRACT, U256::ZERO).unwrap(), U256::ZERO);
        assert_eq!(state.balance(sender()).unwrap(), WEALTH);
    });
}

#[test]
fn warm_addresses_are_cheaper() {
    // BALANCE of another account.
    let code = [&[0x73][..], OTHER.as_slice(), &[0x31]].concat();
    with_state(&[(CONTRACT, &code)], |state| {
        let cold = context(ForkId::Elderberry2).call(&to(CONTRACT), state).unwrap().gas_used;
        let call = Call { access_list: vec![(OTHER, Vec::new())], ..to(CONTRACT) };
        let warm = context(ForkId::Elderberry2).call(&call, state).unwrap().gas_used;
        assert_eq!(cold - warm, 2600 - 100 - 2400);
    });
}

#[test]
fn a_state_that_is_not_at_hand_is_an_error() {
    let (store, mut paths) = (Memory::new(), Paths::new());
    let root = hash_bytes(&[1]);
    let mut state = State::at(&store, root, &mut paths);
    let missing = Err(CallError::Store(StoreError::Missing(Key::Node(root))));
    assert_eq!(context(ForkId::Elderberry2).call(&to(CONTRACT), &mut state), missing);
    let missing = Err(CallError::Store(StoreError::Missing(Key::Node(root))));
    assert_eq!(context(ForkId::Elderberry2).estimate_gas(&to(CONTRACT), &mut state), missing);
}

#[test]
fn the_host_ends_what_never_ends() {
    // One jumps to itself, the other calls itself.
    let jumps: &[u8] = &[0x5b, 0x60, 0x00, 0x56];
    let calls: &[u8] = &[0x5b, 0x5f, 0x5f, 0x5f, 0x5f, 0x5f, 0x30, 0x5a, 0xf1, 0x50, 0x5f, 0x56];
    let (store, root) = state_of(&[(CONTRACT, jumps), (OTHER, calls)]);
    for address in [CONTRACT, OTHER] {
        let asked = core::cell::Cell::new(0);
        let stop = || {
            asked.set(asked.get() + 1);
            asked.get() > 2
        };
        let mut paths = Paths::new();
        let mut state = State::at(&store, root, &mut paths).until(Interrupt::new(&stop));
        let context = context(ForkId::Elderberry2);
        let endless = Call { gas_limit: u64::MAX, ..to(address) };
        let interrupted = Err(CallError::Store(StoreError::Interrupted));
        assert_eq!(context.call(&endless, &mut state), interrupted);
        assert_eq!(asked.get(), 3);
        assert_eq!(
            context.estimate_gas(&endless, &mut state),
            Err(CallError::Store(StoreError::Interrupted))
        );
        assert_eq!(asked.get(), 4);
    }
}
