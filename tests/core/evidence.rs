//! Evidence is believed in nothing: what is forged, altered or cut is refused, and what is true is said to be true.

use serde_json::{Value, json};
use std::collections::BTreeSet;
use zk_replica_core::{
    chain::{ChainSpec, Genesis},
    evidence::{Anchor, Evidence, Judgement, Refusal},
    replica::{Halt, Input, Replica},
    store::{Journal, Memory, Store},
    types::BatchStart,
};
use zk_replica_tests::{Made, Plan, Recording, Script, items, vectors};

/// Replays until the first mismatch, and gives its evidence and the replica in front of it.
fn evidence_of(mut replica: Replica, store: &impl Store, stream: &[u8]) -> Evidence {
    for item in items(stream) {
        let input = Input::from(item.expect("well-formed"));
        match replica.advance(&input, store) {
            Ok(_) => {}
            Err(Halt::Mismatch(_)) => {
                let evidence = Evidence::of_input(&replica, &input, store);
                return evidence.expect("collected").expect("it is wrong");
            }
            Err(other) => unreachable!("{other}"),
        }
    }
    unreachable!("nothing was wrong")
}

fn made() -> (Replica, Memory, Script) {
    let chain = Made::by(Plan { blocks: 12, batch: 5, twist: None });
    let spec = ChainSpec::from_json(Made::spec().as_bytes()).expect("a specification");
    let genesis = Genesis::from_json(b"{}").expect("a genesis");
    let store = Memory::new();
    let replica = Replica::open(spec, genesis, &store).expect("an empty store");
    (replica, store, chain.script())
}

/// Evidence of a wrong state root of block 8.
fn of_a_lie() -> Vec<u8> {
    let (replica, store, mut script) = made();
    script.block(8).state_root.0[31] ^= 1;
    evidence_of(replica, &store, &script.write()).encode().expect("small")
}

fn judge(bytes: &[u8]) -> Result<Judgement, Refusal> {
    Evidence::decode(bytes)?.check()
}

/// The file with one thing changed, written as it has to be.
fn altered(bytes: &[u8], alter: impl FnOnce(&mut Value)) -> Vec<u8> {
    // Objects would be sorted: only values inside of the text are exchanged.
    let before: Value = serde_json::from_slice(bytes).expect("JSON");
    let mut after = before.clone();
    alter(&mut after);
    let mut text = String::from_utf8(bytes.to_vec()).expect("UTF-8");
    for (old, new) in differences(&before, &after) {
        assert!(text.contains(&old), "{old}");
        text = text.replacen(&old, &new, 1);
    }
    text.into_bytes()
}

/// Leaves that differ, as they stand in the text.
fn differences(before: &Value, after: &Value) -> Vec<(String, String)> {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => before
            .iter()
            .flat_map(|(key, old)| {
                let new = &after[key];
                match old {
                    Value::Object(_) | Value::Array(_) => differences(old, new),
                    _ if old == new => Vec::new(),
                    _ => vec![(format!("\"{key}\": {old}"), format!("\"{key}\": {new}"))],
                }
            })
            .collect(),
        (Value::Array(before), Value::Array(after)) => {
            assert_eq!(before.len(), after.len());
            let pairs = before.iter().zip(after).filter(|(old, new)| old != new);
            pairs.map(|(old, new)| (old.to_string(), new.to_string())).collect()
        }
        _ => unreachable!("only objects and arrays are compared"),
    }
}

#[test]
fn a_lie_is_shown_and_what_it_rests_on_is_named() {
    let bytes = of_a_lie();
    let evidence = Evidence::decode(&bytes).expect("evidence");
    let Ok(Judgement::MainNodeIsWrong(mismatch)) = evidence.check() else { unreachable!("it is a lie") };
    assert_eq!((mismatch.block, mismatch.claim.name()), (8, "state root"));
    let (_, _, mut script) = made();
    let parent = script.block(7).clone();
    assert_eq!(
        evidence.anchors(),
        [Anchor::Parent {
            number: 7,
            hash: parent.hash,
            state_root: parent.state_root,
            timestamp: parent.timestamp,
            batch: 2,
            fork_id: script.batch_start(2).fork_id,
            batch_closed: false,
        }]
    );
}

#[test]
fn a_true_block_is_said_to_be_true() {
    let (_, _, mut script) = made();
    let truth = script.block(8).state_root;
    let bytes = altered(&of_a_lie(), |file| file["input"]["block"]["claims"]["stateRoot"] = json!(truth));
    assert!(matches!(judge(&bytes), Ok(Judgement::NoMismatch)));
}

#[test]
fn every_cut_and_every_addition_is_refused() {
    let bytes = of_a_lie();
    for len in (0..bytes.len()).step_by(7).chain(bytes.len() - 3..bytes.len()) {
        assert!(judge(&bytes[..len]).is_err(), "{len} bytes");
    }
    for more in [&b"\n"[..], b" ", b"{}", b"\0", b"garbage"] {
        assert!(judge(&[&bytes, more].concat()).is_err(), "{more:?}");
    }
}

/// No altered byte gives another story: it is refused, or the mismatch is still the true one, or there is none.
#[test]
fn no_altered_byte_makes_a_lie_of_the_truth() {
    let (_, _, mut script) = made();
    let truth = script.block(8).clone();
    let bytes = of_a_lie();
    let records = bytes.windows(9).position(|window| window == b"\"records\"").expect("there");
    let mut outcomes = BTreeSet::new();
    for at in 0..bytes.len() {
        for flip in [1, 4] {
            let mut altered = bytes.clone();
            altered[at] ^= flip;
            match judge(&altered) {
                Err(_) => {
                    outcomes.insert("refused");
                }
                Ok(judgement) => {
                    assert!(at < records, "the state before was altered at {at}, and it passes");
                    if let Judgement::MainNodeIsWrong(mismatch) = judgement {
                        // What is not compared with anything may be anything: the totals, a name.
                        assert_eq!(mismatch.computed.to_string(), truth.state_root.to_string(), "at {at}");
                        outcomes.insert("still wrong");
                    }
                }
            }
        }
    }
    assert!(outcomes.contains("refused"));
}

#[test]
fn records_missing_or_to_spare_are_refused() {
    let text = String::from_utf8(of_a_lie()).expect("UTF-8");
    let from = text.find("\"nodes\": [").expect("there");
    let mut nodes = text[from..].lines().skip(1);
    let node = nodes.next().expect("a node");
    assert!(node.trim().ends_with("\","), "{node}");
    let without = text.replacen(&format!("{node}\n"), "", 1);
    assert!(matches!(judge(without.as_bytes()), Err(Refusal::Incomplete(_))));
    let twice = text.replacen(node, &format!("{node}\n{node}"), 1);
    assert!(matches!(judge(twice.as_bytes()), Err(Refusal::NotCanonical)));
    let code = text.replacen("\"codes\": []", "\"codes\": [\n      \"0x6000\"\n    ]", 1);
    assert!(matches!(judge(code.as_bytes()), Err(Refusal::Surplus)));
}

#[test]
fn what_was_computed_cannot_be_made_up() {
    let bytes = of_a_lie();
    for field in ["expected", "computed", "claim"] {
        let forged = altered(&bytes, |file| file["mismatch"][field] = json!("0x00"));
        assert!(matches!(judge(&forged), Err(Refusal::OtherMismatch { .. })), "{field}");
    }
    let forged =
        altered(&bytes, |file| file["parent"]["stateRoot"] = json!(format!("0x{}", "11".repeat(32))));
    assert!(matches!(judge(&forged), Err(Refusal::Incomplete(_))));
    // What the check does not look at cannot stand there: it would be told as what the evidence rests on.
    let root = json!(format!("0x{}", "11".repeat(32)));
    let forged = altered(&bytes, |file| file["position"] = root.clone());
    assert!(matches!(judge(&forged), Err(Refusal::Unused)));
    let forged = altered(&bytes, |file| file["resuming"] = json!(true));
    assert!(matches!(judge(&forged), Err(Refusal::Unused)));
    let forged = altered(&bytes, |file| {
        file["resuming"] = json!(true);
        file["position"] = root;
    });
    assert!(matches!(judge(&forged), Err(Refusal::Unused)));
    let forged = altered(&bytes, |file| file["version"] = json!(2));
    assert!(matches!(judge(&forged), Err(Refusal::Version { found: 2 })));
    let forged = altered(&bytes, |file| file["format"] = json!("letters"));
    assert!(judge(&forged).is_err());
    for field in ["number", "timestamp"] {
        let forged = altered(&bytes, |file| file["parent"][field] = json!(u64::MAX));
        assert!(matches!(judge(&forged), Err(Refusal::OutOfRange(_))), "{field}");
    }
}

/// What is no block's: batches, and blocks that come again.
#[test]
fn mismatches_behind_a_resumption_are_shown_too() {
    let (mut replica, _, mut script) = made();
    // Releases nothing as long as it is not sealed: an archive.
    let store = Journal::new(Memory::new());
    for item in items(&script.write()) {
        replica.advance(&Input::from(item.expect("well-formed")), &store).expect("true");
    }
    let spec = || ChainSpec::from_json(Made::spec().as_bytes()).expect("a specification");
    let genesis = || Genesis::from_json(b"{}").expect("a genesis");
    let resumed = || Replica::open(spec(), genesis(), &store).expect("sound");
    let show = |evidence: Evidence, claim: &str, known: bool| -> Vec<Anchor> {
        let bytes = evidence.encode().expect("small");
        let judged = judge(&bytes);
        let Ok(Judgement::MainNodeIsWrong(mismatch)) = judged else { unreachable!("{claim}: {judged:?}") };
        assert_eq!(mismatch.claim.name(), claim);
        let anchors = evidence.anchors();
        assert_eq!(anchors.iter().any(|anchor| matches!(anchor, Anchor::Known { .. })), known, "{anchors:?}");
        assert!(anchors.iter().all(|anchor| !matches!(anchor, Anchor::Parent { .. })), "{anchors:?}");
        anchors
    };

    script.block(6).hash.0[3] ^= 1;
    show(evidence_of(resumed(), &store, &script.write()), "block hash", true);
    script.block(6).hash.0[3] ^= 1;
    script.batch_end(1).state_root.0[3] ^= 1;
    let anchors = show(evidence_of(resumed(), &store, &script.write()), "batch state root", false);
    script.batch_end(1).state_root.0[3] ^= 1;
    let state_root = script.batch_end(1).state_root;
    assert_eq!(anchors, [Anchor::Repeated { batch: 1, state_root }]);

    let start: BatchStart = script.batch_start(3).clone();
    let wrong = BatchStart { fork_id: start.fork_id + 1, ..start };
    let mut replica = resumed();
    assert!(matches!(replica.enter(&wrong, &store), Err(Halt::Mismatch(_))));
    let evidence = Evidence::of_entering(&replica, &wrong, &store);
    show(evidence.expect("collected").expect("it is wrong"), "fork id", true);
}

#[test]
fn evidence_of_a_full_block_is_small() {
    let Some(vectors) = vectors("evidence_of_a_full_block_is_small") else {
        return;
    };
    let recording = Recording::load(&vectors);
    let mut script = Script::read(&recording.stream);
    script.block(11_315).state_root.0[0] ^= 1;
    let replay = recording.begin();
    let evidence = evidence_of(replay.replica, &replay.store, &script.write());
    let bytes = evidence.encode().expect("small");
    assert!(bytes.len() < 4 << 20, "{} bytes", bytes.len());
    assert!(matches!(judge(&bytes), Ok(Judgement::MainNodeIsWrong(_))));
}
