//! What forks changed: for every row of the table of rules, a fact by which the fork can be told.

use super::*;
use crate::{source::batch_data, tree::BlockInfoKey, types::TransactionError};
use alloy_consensus::{TxEip1559, proofs::ordered_trie_root_with_encoder};

/// Runs what `world` gives on every fork, and looks at it.
fn each_fork(world: impl Fn() -> World, look: impl Fn(u64, Outcome)) {
    for fork in ForkId::ALL {
        look(fork.number(), world().on(fork).run().unwrap());
    }
}

/// What the contract `code` stores, plus one so that zero shows, on every fork.
fn each_stored(code: &[u8], look: impl Fn(u64, U256)) {
    let code = storing(&[code, &hex!("6001 01")].concat());
    each_fork(|| World::calling(&code), |fork, outcome| look(fork, outcome.stored() - U256::ONE));
}

/// CALL of `address` with `input` and no value, into memory from 0; leaves whether it succeeded.
fn calling(address: u16, input: &[u8]) -> Vec<u8> {
    let mut code = Vec::new();
    for (at, byte) in (0u16..).zip(input) {
        code.extend_from_slice(&[0x60, *byte, 0x61]);
        code.extend_from_slice(&at.to_be_bytes());
        code.push(0x53);
    }
    code.extend_from_slice(&hex!("6020 6000 61"));
    code.extend_from_slice(&u16::try_from(input.len()).unwrap().to_be_bytes());
    code.extend_from_slice(&hex!("6000 6000 61"));
    code.extend_from_slice(&address.to_be_bytes());
    code.extend_from_slice(&hex!("5a f1"));
    code
}

#[test]
fn push0_is_an_instruction_from_fork_5() {
    each_fork(|| World::calling(&[0x5f]), |fork, outcome| assert_eq!(outcome.success(), fork >= 5, "{fork}"));
}

#[test]
fn basefee_is_no_instruction() {
    each_fork(|| World::calling(&[0x48]), |fork, outcome| assert!(!outcome.success(), "{fork}"));
}

#[test]
fn the_gas_limit_of_a_block_grew_twice() {
    each_stored(&[0x45], |fork, limit| {
        let expected: u64 = match fork {
            ..7 => 30_000_000,
            7 => return,
            8.. => 1 << 50,
        };
        assert_eq!(limit, U256::from(expected), "{fork}");
    });
    let etrog = World::calling(&storing(&[0x45])).on(ForkId::Etrog).run().unwrap();
    assert_eq!(etrog.stored(), U256::from(u64::MAX));
    assert_eq!(Rules::of(ForkId::IncaBerry).header_gas_limit, 30_000_000);
    assert_eq!(Rules::of(ForkId::Etrog).header_gas_limit, 1 << 50);
}

#[test]
fn difficulty_is_zero_and_number_that_of_the_block() {
    each_stored(&[0x44], |fork, difficulty| assert_eq!(difficulty, U256::ZERO, "{fork}"));
    each_stored(&[0x43], |fork, number| assert_eq!(number, U256::from(42), "{fork}"));
}

#[test]
fn blockhash_of_a_block_to_come_is_zero_in_fork_1_only() {
    let slot = State::state_root_slot(50);
    let world = || World::calling(&storing(&hex!("6032 40 6001 01"))).with(slot, 99);
    each_fork(world, |fork, outcome| {
        assert_eq!(outcome.stored(), U256::from(if fork == 1 { 1 } else { 100 }), "{fork}");
    });
}

#[test]
fn init_code_reads_itself_as_call_data_until_fork_4() {
    let created = |slot: u8| StateKey::Storage(sender().create(0), U256::from(slot));
    // CALLDATALOAD 1 to slot 1, CALLDATACOPY of 4 bytes from 2 and MLOAD to slot 2, CALLDATASIZE to slot 3.
    let code = hex!("6001 35 6001 55 6004 6002 6000 37 6000 51 6002 55 36 6003 55");
    let create = || World::new().send(TxLegacy { to: TxKind::Create, input: code.into(), ..call(OTHER) });
    each_fork(create, |fork, outcome| {
        assert!(outcome.success());
        let mut word = [0; 32];
        word[..code.len() - 1].copy_from_slice(&code[1..]);
        let expected = (fork <= 4).then_some(U256::from_be_bytes(word));
        assert_eq!(outcome.changed(created(1)), expected, "{fork}");
        let mut word = [0; 32];
        word[..4].copy_from_slice(&code[2..6]);
        let expected = (fork <= 4).then_some(U256::from_be_bytes(word));
        assert_eq!(outcome.changed(created(2)), expected, "{fork}");
        assert_eq!(outcome.changed(created(3)), None, "{fork}");
    });
}

#[test]
fn storage_is_not_cleared_on_deployment() {
    let created = sender().create(0);
    // SLOAD 0 to slot 1.
    let create = TxLegacy { to: TxKind::Create, input: hex!("6000 54 6001 55").into(), ..call(OTHER) };
    let world = || World::new().with(StateKey::Storage(created, U256::ZERO), 5).send(create.clone());
    each_fork(world, |fork, outcome| {
        let now = outcome.changed(StateKey::Storage(created, U256::ONE));
        assert_eq!(now, Some(U256::from(5)), "{fork}");
        assert_eq!(outcome.changed(StateKey::Storage(created, U256::ZERO)), None, "{fork}");
    });
}

#[test]
fn precompiles_came_with_forks_7_and_13() {
    for (address, runs) in [
        (1, (1..=13).collect::<Vec<_>>()),
        (2, (7..=13).collect()),
        (3, vec![]),
        (4, (1..=13).collect()),
        (5, vec![7, 13]),
        (6, (7..=13).collect()),
        (7, (7..=13).collect()),
        (8, (7..=13).collect()),
        (9, vec![]),
    ] {
        each_stored(&calling(address, &[]), |fork, success| {
            assert_eq!(success == U256::ONE, runs.contains(&fork), "{address} in {fork}");
        });
    }
    // Its address is only an empty account before.
    let verify = || World::new().send(call(Address::left_padding_from(&[1, 0])));
    each_fork(verify, |fork, outcome| {
        assert_eq!(outcome.gas(), if fork == 13 { 24_450 } else { 21_000 }, "{fork}");
    });
}

#[test]
fn a_signature_on_secp256r1_is_read_from_160_bytes_whatever_is_sent() {
    // The first known answer of EIP-7212.
    let signed = hex!(
        "4cee90eb86eaa050036147a12d49004b6b9c72bd725d39d4785011fe190f0b4da73bd4903f0ce3b639bbbf6e8e80d16931ff4bcf5993d584
         68e8fb19086e8cac36dbcd03009df8c59286b162af3bd7fcc0450c9aa81be5d10d312af6c66b1d604aebd3099c618202fcfe16ae7770b0c4
         9ab5eadf74b754204a3bb6060e44eff37618b065f9832de4ca6ca971a7a1adc826d0f7c00181a5fb2ddf79ae00b4e10e"
    );
    let valid = |input: &[u8]| {
        // What was returned lies in memory, where the first byte of the input was.
        let code = [&calling(0x100, input)[..], &hex!("50 3d")].concat();
        let code = storing(&[&code[..], &hex!("6001 01")].concat());
        let transaction = TxLegacy { gas_limit: 3_000_000, ..call(CONTRACT) };
        let world = World::new().with_code(CONTRACT, &code).send(transaction);
        world.on(ForkId::Durian).run().unwrap().stored() == U256::from(33)
    };
    assert!(valid(&signed));
    assert!(valid(&[&signed[..], &[7]].concat()));
    assert!(!valid(&signed[..159]));
    assert!(!valid(&[]));
}

#[test]
fn a_signature_at_infinity_has_a_signer_until_fork_5() {
    // R = 2 G and s = 1 / 2, so s R - 1 G is the point at infinity for the hash 1.
    let input = hex!(
        "0000000000000000000000000000000000000000000000000000000000000001
         000000000000000000000000000000000000000000000000000000000000001b
         c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5
         7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a1"
    );
    let code = [&calling(1, &input)[..], &hex!("50 6000 51")].concat();
    let code = storing(&code);
    let transaction = TxLegacy { gas_limit: 3_000_000, ..call(CONTRACT) };
    let world = || World::new().with_code(CONTRACT, &code).send(transaction.clone());
    let signer = U256::from_be_slice(&hex!("3f17f1962b36e491b30a40b2405849e597ba5fb5"));
    each_fork(world, |fork, outcome| {
        // Without a signer nothing is written over the hash, whose first word is 1.
        let expected = if fork <= 5 { signer } else { U256::ONE };
        assert_eq!(outcome.stored(), expected, "{fork}");
    });
}

#[test]
fn modexp_takes_numbers_of_1024_bytes() {
    let sized = |base: u16, exponent: u16, modulus: u16| {
        [base, exponent, modulus].map(|length| U256::from(length).to_be_bytes::<32>()).concat()
    };
    let run = |input: &[u8]| {
        let code = storing(&[&calling(5, input)[..], &hex!("3d 6101 00 02 01 6001 01")].concat());
        let transaction = TxLegacy { gas_limit: 20_000_000, ..call(CONTRACT) };
        let world = World::new().with_code(CONTRACT, &code).send(transaction);
        let stored = world.on(ForkId::Durian).run().unwrap().stored() - U256::ONE;
        // Whether it succeeded, and how much came back.
        (stored & U256::ONE == U256::ONE, U256::to::<u64>(&(stored >> 8)))
    };
    assert_eq!(run(&sized(1024, 33, 1024)), (true, 1024));
    assert_eq!(run(&sized(1, 1024, 1)), (true, 1));
    for longer in [sized(1025, 1, 1), sized(1, 1025, 1), sized(1, 1, 1025), sized(0, 0, 1025)] {
        assert_eq!(run(&longer), (false, 0));
    }
    // Without a modulus there is nothing to say; without a base the result is zero, however long the exponent.
    assert_eq!(run(&sized(1025, 33, 0)), (true, 0));
    assert_eq!(run(&sized(1, 1025, 0)), (true, 0));
    assert_eq!(run(&sized(0, 1025, 32)), (true, 32));
}

#[test]
fn a_precompile_that_does_not_run_leaves_return_data_until_fork_4() {
    // Identity gives 32 bytes back, then 3 is called, then RETURNDATASIZE.
    let code = [calling(4, &[1; 32]), calling(3, &[]), hex!("3d").to_vec()].concat();
    each_stored(&code, |fork, size| assert_eq!(size, U256::from(if fork <= 4 { 32 } else { 0 }), "{fork}"));
}

#[test]
fn the_address_of_a_failed_creation_is_cold_until_fork_9() {
    // CREATE of code that reverts, then BALANCE of the address it would have had.
    let created = CONTRACT.create(0);
    let code = pushing(created, &hex!("31"));
    let code = [&hex!("64 60006000fd 6000 52 6005 601b 6000 f0")[..], &code].concat();
    let gas = |fork| World::calling(&code).on(fork).run().unwrap().gas();
    for fork in ForkId::ALL {
        let warm = if fork.number() <= 9 { 0 } else { 2_500 };
        // Fork 4 has no other gas rule here than fork 13.
        assert_eq!(gas(fork), gas(ForkId::Fork4) - warm, "{fork}");
    }
    // An address that was warm before stays warm in every fork.
    let before = pushing(created, &hex!("31 50"));
    let code = [&before[..], &code].concat();
    let gas = |fork| World::calling(&code).on(fork).run().unwrap().gas();
    assert!(ForkId::ALL.into_iter().all(|fork| gas(fork) == gas(ForkId::Durian)));
}

#[test]
fn a_collision_cools_the_address_too() {
    let created = CONTRACT.create(0);
    let code = [&hex!("6000 6000 6000 f0 50")[..], &pushing(created, &hex!("31"))].concat();
    let gas = |fork| {
        let world = World::calling(&code).with(StateKey::Nonce(created), 1);
        world.on(fork).run().unwrap().gas()
    };
    assert_eq!(gas(ForkId::Elderberry2), gas(ForkId::Fork10) + 2_500);
}

#[test]
fn refunds_are_those_of_berlin_in_every_fork() {
    let slot = StateKey::Storage(CONTRACT, U256::ZERO);
    let world = || World::calling(&hex!("6000 6000 55")).with(slot, 1);
    each_fork(world, |fork, outcome| assert_eq!(outcome.gas(), 26_006 - 13_003, "{fork}"));
}

#[test]
fn code_that_begins_with_ef_is_refused_in_every_fork() {
    let create = || {
        World::new().send(TxLegacy {
            to: TxKind::Create,
            input: hex!("60ef 6000 53 6001 6000 f3").into(),
            ..call(OTHER)
        })
    };
    each_fork(create, |fork, outcome| assert!(!outcome.success(), "{fork}"));
}

#[test]
fn sendall_destroys_nothing_in_any_fork() {
    let world = || World::calling(&pushing(OTHER, &[0xff])).with(StateKey::Balance(CONTRACT), 7);
    each_fork(world, |fork, outcome| {
        assert_eq!(outcome.changed(StateKey::Balance(OTHER)), Some(U256::from(7)), "{fork}");
        assert_eq!(outcome.changed(StateKey::CodeHash(CONTRACT)), None, "{fork}");
    });
}

#[test]
fn the_effective_price_is_charged_in_every_fork() {
    let world = || {
        let mut world = World::new().send(TxLegacy { gas_price: 1_000, ..call(OTHER) });
        world.transactions[0].effective_percentage = 127;
        world
    };
    each_fork(world, |fork, outcome| {
        let fee = outcome.changed(StateKey::Balance(COINBASE));
        assert_eq!(fee, Some(U256::from(21_000 * 500)), "{fork}");
    });
    // Before fork 5 batch data has no percentage: all of the price is charged.
    for fork in ForkId::ALL {
        assert_eq!(Rules::of(fork).encoding.effective_percentage, fork.number() >= 5);
    }
}

#[test]
fn typed_transactions_do_not_run() {
    let transaction =
        TxEip1559 { chain_id: CHAIN, gas_limit: 21_000, to: TxKind::Call(OTHER), ..TxEip1559::default() };
    let mut encoded = vec![2];
    transaction.into_signed(Signature::test_signature()).rlp_encode(&mut encoded);
    let mut world = World::new();
    world.transactions.push(EncodedTransaction { encoded: encoded.into(), effective_percentage: 255 });
    let skipped = world.run().unwrap().execution.skipped;
    assert!(matches!(&skipped[..], [Skipped { reason: Unrunnable::Unsigned(TransactionError::Rlp(_)), .. }]));
    // cdk-erigon writes them into batch data from fork 12 on; the batch is discarded there.
    for fork in ForkId::ALL {
        let decoded = batch_data::decode(&hex!("0b 00000001 00000000 0f 81ff ff"), &Rules::of(fork).encoding);
        assert_eq!(decoded.is_ok(), fork.number() >= 12, "{fork}");
    }
}

#[test]
fn a_leaf_of_zeros_spoils_the_batch_from_fork_9() {
    for fork in ForkId::ALL.into_iter().filter(|fork| fork.number() >= 7) {
        let mut world = World::new().on(fork);
        world.l1_info = L1Info { index: 5, ..L1Info::default() };
        assert_eq!(world.run().is_err(), fork.number() >= 9, "{fork}");
    }
}

#[test]
fn a_transaction_is_a_block_until_fork_6() {
    let number = StateKey::Storage(ChainSpec::SYSTEM_CONTRACT, U256::ZERO);
    let timestamp = StateKey::Storage(ChainSpec::SYSTEM_CONTRACT, U256::from(2));
    let info = StateKey::Storage(ChainSpec::SYSTEM_CONTRACT, U256::from(3));
    let preimage = [EXIT_ROOT, B256::ZERO].concat();
    let exit_root = StateKey::Storage(ChainSpec::EXIT_ROOT_MANAGER, keccak256(preimage).into());
    let (this, last) = (State::state_root_slot(42), State::state_root_slot(41));
    let world = || {
        let mut world = World::new().send(call(OTHER));
        world.l1_info =
            L1Info { index: 1, global_exit_root: EXIT_ROOT, block_hash: L1_HASH, min_timestamp: 0 };
        world
    };
    each_fork(world, |fork, outcome| {
        assert_eq!(outcome.changed(number), Some(U256::from(42)), "{fork}");
        if fork <= 6 {
            let root = outcome.execution.intermediate_state_roots[0];
            assert_eq!(outcome.changed(this), Some(root.into()), "{fork}");
            assert_ne!(root, outcome.parent.state_root);
            assert_eq!(outcome.changed(exit_root), Some(U256::from(TIMESTAMP)), "{fork}");
            assert_eq!([timestamp, info, last].map(|key| outcome.changed(key)), [None; 3], "{fork}");
            assert_eq!(outcome.execution.block_info_root, B256::ZERO, "{fork}");
        } else {
            let parent = outcome.parent.state_root.into();
            assert_eq!(outcome.changed(last), Some(parent), "{fork}");
            assert_eq!(outcome.changed(exit_root), Some(L1_HASH.into()), "{fork}");
            assert_eq!(outcome.changed(timestamp), Some(U256::from(TIMESTAMP)), "{fork}");
            assert_eq!(outcome.changed(info), Some(outcome.execution.block_info_root.into()), "{fork}");
            assert_eq!(outcome.changed(this), None, "{fork}");
        }
    });
}

#[test]
fn the_root_in_the_map_is_that_before_the_entry() {
    // The same changes without the entry, put into the tree at once.
    let world = World::new().send(call(OTHER)).on(ForkId::Fork4);
    let (store, mut executor) = (Memory::new(), Executor::new());
    let before = world.diff.tree_changes(executor.paths());
    let outcome = world.run().unwrap();
    let mut commit = Commit::default();
    Smt::new(&store).update(B256::ZERO, before).unwrap().write(&mut commit);
    store.apply(&commit).unwrap();
    let mut changes = outcome.execution.diff.clone();
    changes.leaves.remove(&State::state_root_slot(42)).unwrap();
    let changes = changes.tree_changes(executor.paths());
    let root = Smt::new(&store).update(outcome.parent.state_root, changes).unwrap().root;
    assert_eq!(outcome.execution.intermediate_state_roots, [root]);
}

/// The block info tree of a block with one transaction to an unsupported precompile, of which only `status` is left open.
fn info_root(outcome: &Outcome, gas_limit: u64, status: u64, hash: B256) -> B256 {
    let leaves: [(BlockInfoKey, U256); 9] = [
        (BlockInfoKey::PreviousStateRoot, outcome.parent.state_root.into()),
        (BlockInfoKey::Coinbase, U256::from_be_slice(COINBASE.as_slice())),
        (BlockInfoKey::Number, U256::from(42)),
        (BlockInfoKey::GasLimit, U256::from(gas_limit)),
        (BlockInfoKey::Timestamp, U256::from(TIMESTAMP)),
        (BlockInfoKey::GasUsed, U256::from(21_000)),
        (BlockInfoKey::TransactionHash(0), hash.into()),
        (BlockInfoKey::Status(0), U256::from(status)),
        (BlockInfoKey::CumulativeGas(0), U256::from(21_000)),
    ];
    let percentage = (BlockInfoKey::EffectivePercentage(0).path(), U256::from(255));
    let leaves = leaves.iter().map(|(key, value)| (key.path(), *value)).chain([percentage]);
    Smt::new(&Memory::new()).update(B256::ZERO, leaves).unwrap().root
}

#[test]
fn fork_7_calls_a_transaction_to_an_unsupported_precompile_a_success_in_the_block_info_tree() {
    for (fork, gas_limit, status) in
        [(ForkId::Etrog, u64::MAX, 1), (ForkId::Elderberry, 1 << 50, 0), (ForkId::Durian, 1 << 50, 0)]
    {
        let world = World::new().send(call(Address::with_last_byte(9))).on(fork);
        let transaction = world.transactions[0].recover().unwrap();
        let hash = PreparedTransaction::from(transaction).l2_hash();
        let outcome = world.run().unwrap();
        assert!(!outcome.success());
        assert_eq!(outcome.execution.block_info_root, info_root(&outcome, gas_limit, status, hash), "{fork}");
    }
}

#[test]
fn receipts_hold_a_state_root_until_fork_7_and_logs_in_three_forms() {
    // LOG0 without data, LOG1 with topic 7 and the bytes 00 0a.
    let code = hex!("6000 6000 a0 600a 6001 53 6007 6002 6000 a1");
    each_fork(
        || World::calling(&code),
        |fork, outcome| {
            let topic = B256::with_last_byte(7);
            let log = |data: &[u8], topics: &[B256]| {
                let data = Bytes::copy_from_slice(data);
                alloy_primitives::Log::new_unchecked(CONTRACT, topics.to_vec(), data)
            };
            let padded = [&[0, 0x0a][..], &[0; 30]].concat();
            let logs = match fork {
                ..8 => vec![log(&padded, &[topic])],
                8..12 => vec![log(&[], &[]), log(&[0xa0, 0], &[topic])],
                12.. => vec![log(&[], &[]), log(&[0, 0x0a], &[topic])],
            };
            let mut after = outcome.execution.diff.clone();
            if fork == 7 {
                after.leaves.remove(&StateKey::Storage(ChainSpec::SYSTEM_CONTRACT, U256::from(3)));
            }
            let first: Vec<u8> = if fork <= 7 {
                alloy_rlp::encode(outcome.root_after(&after))
            } else {
                alloy_rlp::encode(true)
            };
            let payload = [
                first,
                alloy_rlp::encode(outcome.gas()),
                alloy_rlp::encode(Bloom::ZERO),
                alloy_rlp::encode(&logs),
            ]
            .concat();
            let root = ordered_trie_root_with_encoder(&[payload], |payload, out| {
                alloy_rlp::Header { list: true, payload_length: payload.len() }.encode(out);
                out.extend_from_slice(payload);
            });
            assert_eq!(outcome.execution.receipts_root, root, "{fork}");
            assert_eq!(outcome.execution.logs_bloom, logs_bloom(logs.iter()), "{fork}");
            // What the EVM wrote stays as it was.
            assert_eq!(outcome.execution.receipts[0].logs.len(), 2, "{fork}");
        },
    );
}
