//! All published vectors, through the runner.

use alloy_primitives::b256;
use serde_json::Value as Json;
use std::{collections::BTreeMap, fs, path::Path, process::Command};
use tempfile::TempDir;
use zk_replica_tests::{Recording, say, vectors};

/// How many results each family has at least, a case counted once for each of its forks: a set that has shrunk, or a
/// section that is passed over, does not go unnoticed.
const PUBLISHED: &[(&str, u64)] = &[
    ("genesis", 19),
    ("genesis-form", 1594),
    ("gst", 70_672),
    ("inputs", 1810),
    ("l1", 31),
    ("poseidon", 14),
    ("prover", 45),
    ("recorded-chain", 11),
    ("reference", 122),
    ("state-tree", 80),
    ("units", 296),
    ("witness", 25),
];

#[test]
fn every_published_vector_passes() {
    let Some(vectors) = vectors("every_published_vector_passes") else {
        return;
    };
    let folder = TempDir::new().expect("a temporary directory");
    let json = folder.path().join("report.json");
    let mut runner = Command::new(env!("CARGO_BIN_EXE_conformance"));
    let output = runner.arg(vectors).arg("--json").arg(&json).output().expect("the runner");
    say(&String::from_utf8_lossy(&output.stdout));
    say(&String::from_utf8_lossy(&output.stderr));
    let report: Json = serde_json::from_slice(&fs::read(json).expect("a report")).expect("JSON");
    let counts = by_family(&report);
    let missing: Vec<_> = PUBLISHED
        .iter()
        .filter(|(family, count)| counts.get(*family).is_none_or(|found| found < count))
        .collect();
    assert!(missing.is_empty(), "fewer than {missing:?} in {counts:?}");
    assert_eq!(output.status.code(), Some(0), "some vectors failed");
}

fn by_family(report: &Json) -> BTreeMap<&str, u64> {
    let mut counts = BTreeMap::new();
    for row in report["table"].as_array().expect("a table") {
        let count = |name: &str| row[name].as_u64().expect("a count");
        let family = row["family"].as_str().expect("a name");
        *counts.entry(family).or_default() += count("passed") + count("failed") + count("known");
    }
    counts
}

/// A file, where in it an answer stands, and the case that has to fail when the answer is another one.
const ANSWERS: &[(&str, &str, &str)] = &[
    (
        "genesis/hermez.alloc.json",
        "/0x2a3DD3EB832aF982ec71669E178424b10Dca2EDe/balance",
        "the accounts have the",
    ),
    ("genesis/index.json", "/1/stateRoot", "hermez-cardona"),
    ("l1/fflonk-fork3.json", "/input/newAccInputHash", "final proof, batch 4"),
    ("l1/fflonk-fork3.json", "/input/singleBatchData/1/newStateRoot", "final proof, batch 2"),
    ("l1/fflonk-fork3.json", "/input/singleBatchData/2/batchHashData", "final proof, batches in a row"),
    ("l1/fflonk-fork3.json", "/proof/polynomials/W1/1", "final proof, form"),
    ("l1/fflonk-fork3.json", "/public/0", "final proof, public input"),
    ("l1/fflonk-fork5-proof-only.json", "/proof/polynomials/C2/0", "final proof, form"),
    (
        "l1/sequence-batches-calldata.json",
        "/1/decoded/expectedFinalAccInputHash",
        "Test_DecodeL1MultiBatchDataBanana, arguments",
    ),
    ("l1/sequence-batches-calldata.json", "/6/decoded/l2Coinbase", "syncer_case_1, arguments"),
    ("poseidon.json", "/known_answers/3/digest_hex", "known_answers 3"),
    ("poseidon.json", "/round_constants/5/0", "the permutation is the one that the constants define"),
    ("poseidon.json", "/optimised/folded_partial_lane0/7", "the permutation is the one of the schedules"),
    (
        "recorded-chain/genesis-allocs.json",
        "/0x27DAeD0badd500740762d1792F3277a7F3DAdd79/balance",
        "the accounts have the",
    ),
    ("recorded-chain/genesis-conf.json", "/root", "the accounts have the root of block 0"),
    ("state-tree.json", "/block_info_keys/fork7_header_root/root", "block_info_keys"),
    ("state-tree.json", "/block_info_keys/log_keys/2/key", "block_info_keys"),
    ("state-tree.json", "/bytecode_hashes/8/hash", "bytecode_hashes 8"),
    ("state-tree.json", "/etrog_transitions/0/block_info_roots/1", "etrog_transitions 0"),
    ("state-tree.json", "/etrog_transitions/0/new_root", "etrog_transitions 0"),
    ("state-tree.json", "/etrog_transitions/1/block_info_roots/0", "etrog_transitions 1"),
    ("state-tree.json", "/etrog_transitions/1/new_root", "etrog_transitions 1"),
    ("state-tree.json", "/keccak_trees/exit_roots_after_each/2", "keccak_trees, exit tree"),
    ("state-tree.json", "/keccak_trees/l1_info/1/root", "keccak_trees, L1 info trees"),
    ("state-tree.json", "/keccak_trees/zero_hashes/4", "keccak_trees, empty trees"),
    ("state-tree.json", "/l2_tx_hashes/2/l2_tx_hash", "l2_tx_hashes 2"),
    ("state-tree.json", "/must_reject_proof/root", "must_reject_proof"),
    ("state-tree.json", "/path_and_remaining_key/remaining/1/2", "path_and_remaining_key"),
    (
        "state-tree.json",
        "/prover_db_form/entries_for_root_only/0xd05c0bc2eb12111c6f85ca4bf72adb9cb8654ec2c74a7946a007e8ef1b9f78fb/0",
        "prover_db_form",
    ),
    ("state-tree.json", "/prover_db_form/root", "prover_db_form"),
    ("state-tree.json", "/recorded_chain/blocks/2/block_info_root", "recorded_chain, block info tree"),
    ("state-tree.json", "/recorded_chain/genesis/root", "recorded_chain, leaves"),
    ("state-tree.json", "/small_genesis/root", "small_genesis"),
    (
        "state-tree.json",
        "/small_state_proofs_and_witness/proofs/4/key",
        "small_state_proofs_and_witness, proof 4",
    ),
    ("state-tree.json", "/small_state_proofs_and_witness/root", "small_state_proofs_and_witness, root"),
    (
        "state-tree.json",
        "/small_state_proofs_and_witness/witness_full",
        "small_state_proofs_and_witness, witness_full",
    ),
    (
        "state-tree.json",
        "/small_state_proofs_and_witness/witness_trimmed",
        "small_state_proofs_and_witness, witness_trimmed",
    ),
    ("state-tree.json", "/state_keys/7/key", "state_keys 7"),
    ("state-tree.json", "/tree_operations/3/operations/1/root_after", "tree_operations 3"),
    ("state-tree.json", "/tree_roots/5/root", "tree_roots 5"),
    ("state-tree.json", "/value_hashes/1/value_hash", "value_hashes 1"),
    ("units/batch-encoding.json", "/cases/1/txs/4/customRawTx", "batch data 1"),
    ("units/batch-encoding.json", "/cases/3/fullCallData", "batch data 4"),
    ("units/batch-encoding.json", "/cases/6/txs/1/from", "batch data 8"),
    ("units/block-info-tree.json", "/cases/1/finalBlockInfoRoot", "block info tree"),
    ("units/effective-gas-price.json", "/cases/9/expectedOutput", "gas price"),
    ("units/ethereum-tx-hash.json", "/cases/7/hash", "transaction hash 10"),
    ("units/global-index.json", "/cases/3/expectedGlobalIndex", "global index"),
    ("units/l1-info-tree-proofs.json", "/cases/0/root", "L1 info proof"),
    ("units/l1-info-tree-roots.json", "/cases/2/newRoot", "L1 info root"),
    ("units/l1-info-tree.json", "/cases/1/expectedRoot", "L1 info tree"),
    ("units/l2-tx-hash.json", "/cases/3/l2TxHash", "L2 hash 4"),
    ("units/merkle-tree/smt-full-genesis.json", "/cases/0/expectedRoot", "accounts"),
    ("units/merkle-tree/smt-hash-bytecode.json", "/cases/4/expectedHash", "bytecode hash"),
    ("units/merkle-tree/smt-key-eth-nonce.json", "/cases/2/expectedKey", "key"),
    ("units/merkle-tree/smt-raw.json", "/cases/11/expectedRoot", "leaves"),
    ("units/mt-bridge/claim-vectors.json", "/cases/2/root", "exit proof"),
    ("units/mt-bridge/leaf-vectors.json", "/cases/1/leafValue", "exit leaf"),
    ("units/mt-bridge/root-vectors.json", "/cases/1/newRoot", "exit root"),
    ("witness/witnesses.json", "/2/stateRoot", "merge-witness1, root"),
    ("witness/witnesses.json", "/2/stateRoot", "two merge into the third"),
    ("witness/witnesses.json", "/6/witness", "blueberry-block-2, root"),
];

/// A file, where in it bytes stand, and the case that has to fail when the last of them is not there.
const BYTES: &[(&str, &str, &str)] = &[
    ("l1/batch-l2-data-fork12.json", "/0/batchL2Data", "fork12_Only_Type2_Txs, batch data"),
    ("l1/batch-l2-data-fork12.json", "/1/batchL2Data", "fork12_965Transactions, batch data"),
    (
        "l1/sequence-batches-calldata.json",
        "/3/offChainData/0x82bf94a92db64c7577bee972b708e40197417a4cbff9cd222ea4a5e0dc059f3e",
        "Test_DecodeL1BatchValidiumData, data of the batches",
    ),
    ("units/batch-encoding.json", "/cases/0/batchL2Data", "batch data 0"),
    ("witness/witnesses.json", "/5/witness", "blueberry-block-1, root"),
];

#[test]
fn every_other_answer_is_a_failure() {
    every_alteration_fails("every_other_answer_is_a_failure", ANSWERS, |answer| {
        let (start, last) = answer.split_at(answer.len() - 1);
        format!("{start}{}", if last == "0" { "1" } else { "0" })
    });
}

#[test]
fn whatever_is_a_byte_shorter_is_a_failure() {
    every_alteration_fails("whatever_is_a_byte_shorter_is_a_failure", BYTES, |bytes| {
        bytes[..bytes.len() - 2].to_owned()
    });
}

/// Where what stands at each of these places is replaced, the case that is named with it fails.
fn every_alteration_fails(test: &str, places: &[(&str, &str, &str)], replace: impl Fn(&str) -> String) {
    let Some(vectors) = vectors(test) else {
        return;
    };
    for (file, pointer, name) in places {
        let folder = TempDir::new().expect("a temporary directory");
        let path = folder.path().join(file);
        beside(&vectors.join(file), &path);
        let text = fs::read_to_string(vectors.join(file)).expect("text");
        fs::write(&path, altered(&text, pointer, &replace)).expect("written");
        let runner = Command::new(env!("CARGO_BIN_EXE_conformance")).arg(&path).output().expect("the runner");
        let out = String::from_utf8_lossy(&runner.stdout);
        let failed = format!("FAILED {}: {name}", path.display());
        assert!(runner.status.code() == Some(1) && out.contains(&failed), "{file} {pointer}: {out}");
    }
}

#[test]
fn a_stream_with_another_bit_is_a_failure() {
    let Some(vectors) = vectors("a_stream_with_another_bit_is_a_failure") else {
        return;
    };
    let folder = TempDir::new().expect("a temporary directory");
    let path = folder.path().join("stream");
    beside(&vectors.join("recorded-chain/data-stream.bin.gz"), &path);
    let mut stream = Recording::load(&vectors).stream;
    // The last byte of the last state root.
    let root = b256!("b94132b126ad8ad6b126f64e3c78944f0a6b46a46f0fed4da437cd47108ee7ee");
    let at = stream.windows(32).rposition(|bytes| bytes == root.as_slice()).expect("the last root");
    stream[at + 31] ^= 1;
    fs::write(&path, stream).expect("written");
    let runner = Command::new(env!("CARGO_BIN_EXE_conformance")).arg(&path).output().expect("the runner");
    let out = String::from_utf8_lossy(&runner.stdout);
    for failed in [
        "every block of the replay is true (fork 9)",
        "every batch is true as L1 has it",
        "the file is the published one",
    ] {
        assert!(out.contains(&format!("FAILED {}: {failed}", path.display())), "{failed}: {out}");
    }
    assert!(runner.status.code() == Some(1) && out.contains("block 11317"), "{out}");
}

/// Copies the small JSON files that stand beside a file.
fn beside(from: &Path, to: &Path) {
    let folder = to.parent().expect("a folder");
    fs::create_dir_all(folder).expect("a folder");
    for entry in fs::read_dir(from.parent().expect("a folder")).expect("readable") {
        let path = entry.expect("readable").path();
        if path.extension().is_some_and(|end| end == "json") {
            fs::copy(&path, folder.join(path.file_name().expect("a name"))).expect("copied");
        }
    }
}

/// The same text, but for what stands there, and wherever else it stands.
fn altered(text: &str, pointer: &str, replace: impl Fn(&str) -> String) -> String {
    let json: Json = serde_json::from_str(text).expect("JSON");
    let found = json.pointer(pointer).and_then(Json::as_str).expect("a text");
    text.replace(&format!("\"{found}\""), &format!("\"{}\"", replace(found)))
}
