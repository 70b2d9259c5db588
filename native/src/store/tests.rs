//! The store as its users meet it: beside a model, across openings, killed, locked, damaged.

use super::{Identity, OpenError, SledStore};
use alloy_primitives::{B256, Bytes, keccak256};
use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use zk_replica_core::store::{Commit, Key, Memory, Store};

const CHAIN: Identity = Identity { chain_id: 779, genesis: B256::repeat_byte(7) };

fn open(path: &Path) -> SledStore {
    SledStore::open_sized(path, &CHAIN, 500).unwrap()
}

fn digest(seed: u64) -> B256 {
    keccak256(seed.to_be_bytes())
}

/// A record whose content follows from its seed.
fn record(seed: u64, len: usize) -> Bytes {
    digest(!seed).into_iter().cycle().take(len).collect()
}

/// What block `number` may write: nodes, values, sometimes code, the block, the head.
fn commit(number: u64, nodes: u64) -> Commit {
    let mut put: Vec<_> = (0..nodes)
        .map(|index| {
            let seed = number << 20 | index;
            match index % 6 {
                5 => (Key::Value(digest(seed)), record(seed, 32)),
                _ => (Key::Node(digest(seed)), record(seed, 64)),
            }
        })
        .collect();
    if number.is_multiple_of(5) {
        put.push((Key::Code(digest(number)), record(number, (number as usize * 997) % 60_000)));
    }
    put.push((Key::Block(number), record(number, 300 + (number as usize * 331) % 3000)));
    put.push((Key::BlockNumber(digest(number)), Bytes::copy_from_slice(&number.to_be_bytes())));
    put.push((Key::TransactionPlace(digest(number)), record(number, 4)));
    put.push((Key::Head, Bytes::copy_from_slice(&number.to_be_bytes())));
    Commit::for_test(put, Vec::new())
}

fn assert_holds(store: &impl Store, commit: &Commit) {
    for (key, record) in commit.records().iter().filter(|(key, _)| *key != Key::Head) {
        assert_eq!(store.get(key).unwrap().as_ref(), Some(record), "{key}");
    }
}

fn head(store: &impl Store) -> Option<u64> {
    let head = store.get(&Key::Head).unwrap()?;
    Some(u64::from_be_bytes(head.as_ref().try_into().unwrap()))
}

/// Every store must do this.
fn suite(store: &impl Store) {
    let node = Key::Node(digest(1));
    assert_eq!(store.get(&node), Ok(None));
    assert_eq!(store.get(&Key::Head), Ok(None));

    store.apply(&Commit::default()).unwrap();
    for number in 1..=40 {
        store.apply(&commit(number, 60)).unwrap();
        assert_eq!(head(store), Some(number));
    }
    (1..=40).for_each(|number| assert_holds(store, &commit(number, 60)));
    assert_eq!(store.get(&node), Ok(None));

    let twice = vec![(node, record(1, 64)), (node, record(1, 64)), (Key::Block(7), record(2, 0))];
    store.apply(&Commit::for_test(twice, Vec::new())).unwrap();
    assert_eq!(store.get(&node), Ok(Some(record(1, 64))));
    assert_eq!(
        store.get(&Key::Block(7)),
        Ok(Some(Bytes::new())),
        "the later record replaces the earlier one"
    );
    assert_eq!(head(store), Some(40), "a commit without a head leaves it");

    let long = vec![(Key::Block(8), record(8, 200_000)), (Key::Block(8), record(9, 200_001))];
    store.apply(&Commit::for_test(long, Vec::new())).unwrap();
    assert_eq!(store.get(&Key::Block(8)), Ok(Some(record(9, 200_001))));
}

#[test]
fn memory_is_a_store() {
    suite(&Memory::new());
}

#[test]
fn sled_is_a_store() {
    suite(&open(tempfile::tempdir().unwrap().path()));
}

#[test]
fn an_archive_releases_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let node = Key::Node(digest(1));
    store.apply(&Commit::for_test(vec![(node, record(1, 64))], Vec::new())).unwrap();
    store.apply(&Commit::for_test(Vec::new(), vec![node])).unwrap();
    assert_eq!(store.get(&node), Ok(Some(record(1, 64))));
}

/// Commits of all sizes, so that logs become runs and runs are merged, with openings in between.
#[test]
fn it_agrees_with_a_model_across_merges_and_openings() {
    let directory = tempfile::tempdir().unwrap();
    let mut model = HashMap::new();
    let mut store = open(directory.path());
    for number in 0..90_u64 {
        let nodes = [3, 60, 200, 700][(number % 9 / 6 + number % 2 * 2) as usize];
        let mut commit = commit(number, nodes);
        // Blocks are written again, as after a rollback, and must be found as last written.
        let again = vec![(Key::Block(number / 2), record(number + 1000, 40 + 20 * number as usize))];
        commit.append(Commit::for_test(again, Vec::new()));
        store.apply(&commit).unwrap();
        model.extend(commit.records().iter().cloned());
        if number % 30 == 29 {
            drop(store);
            store = open(directory.path());
        }
    }
    for (key, record) in &model {
        assert_eq!(store.get(key).unwrap().as_ref(), Some(record), "{key}");
    }
    for seed in 0..2000 {
        assert_eq!(store.get(&Key::Node(digest(1 << 60 | seed))), Ok(None));
    }
    let runs = store.runs();
    assert!(runs.iter().any(|run| run.level > 0), "nothing was merged: {runs:?}");
    assert!(runs.len() < 32, "{runs:?}");
    let blobs = fs::read_dir(directory.path().join("sled/blobs")).unwrap().count();
    assert_eq!(blobs, 0, "sled does not sync the files it makes for long values");
}

#[test]
fn readers_see_whole_commits_while_one_writes() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let writer = store.clone();
    std::thread::scope(|scope| {
        let writing =
            scope.spawn(move || (1..=60).for_each(|number| writer.apply(&commit(number, 400)).unwrap()));
        while !writing.is_finished() {
            let Some(number) = head(&store) else { continue };
            assert_holds(&store, &commit(number / 2 + 1, 300));
            assert_holds(&store, &commit(number, 300));
        }
    });
}

const CRASH: &str = "ZK_REPLICA_TEST_COMMIT_UNTIL_KILLED";

/// Not a test by itself: the process that [`a_killed_process_loses_nothing_reported`] kills.
#[test]
fn commits_until_killed() {
    let Some(path) = std::env::var_os(CRASH) else {
        return;
    };
    let store = open(Path::new(&path));
    for number in head(&store).map_or(0, |head| head + 1).. {
        store.apply(&commit(number, nodes_of(number))).unwrap();
        println!("\ncommitted {number}");
    }
}

/// Mostly single blocks, sometimes a group of many, so that logs, runs and merges are all interrupted.
fn nodes_of(number: u64) -> u64 {
    if number % 4 == 3 { 900 } else { 60 }
}

#[test]
fn a_killed_process_loses_nothing_reported() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let mut checked = 0;
    for round in 0..24_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::tests::commits_until_killed", "--nocapture"])
            .env(CRASH, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let reading = std::thread::spawn(move || {
            let mut last = None;
            while let Some(Ok(line)) = lines.next() {
                last = line.strip_prefix("committed ").and_then(|number| number.parse::<u64>().ok()).or(last);
            }
            last
        });
        // No sleep decides whether the test passes, only what it gets to see.
        std::thread::sleep(Duration::from_millis(15 + (round * 7919) % 400));
        child.kill().unwrap();
        child.wait().unwrap();
        let reported = reading.join().unwrap();

        let store = open(&path);
        let head = head(&store);
        assert!(head >= reported, "round {round}: {reported:?} was reported, {head:?} is there");
        for number in checked..head.map_or(0, |head| head + 1) {
            assert_holds(&store, &commit(number, nodes_of(number)));
        }
        checked = head.unwrap_or(0).saturating_sub(20);
    }
    let store = open(&path);
    let head = head(&store).expect("24 rounds commit something");
    (0..=head).for_each(|number| assert_holds(&store, &commit(number, nodes_of(number))));
}

/// A commit of the generation-th chain: its head may be lower than the one before, as after a roll-back.
fn branch(generation: u64, number: u64) -> Commit {
    let head = generation << 32 | number;
    let mut put: Vec<_> =
        (0..40).map(|index| (Key::Node(digest(head << 8 | index)), record(head, 64))).collect();
    put.push((Key::Block(number), record(head, 300)));
    put.push((Key::Head, Bytes::copy_from_slice(&head.to_be_bytes())));
    Commit::for_test(put, Vec::new())
}

const ROLL_BACK: &str = "ZK_REPLICA_TEST_ROLL_BACK_UNTIL_KILLED";

/// Not a test by itself: the process that [`a_killed_roll_back_is_whole_or_not_at_all`] kills.
#[test]
fn rolls_back_until_killed() {
    let Some(path) = std::env::var_os(ROLL_BACK) else {
        return;
    };
    let store = open(Path::new(&path));
    for generation in head(&store).map_or(0, |head| (head >> 32) + 1).. {
        for number in 100 - generation % 7..100 {
            store.apply(&branch(generation, number)).unwrap();
            println!("\ncommitted {}", generation << 32 | number);
        }
    }
}

#[test]
fn a_killed_roll_back_is_whole_or_not_at_all() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    for round in 0..12_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::tests::rolls_back_until_killed", "--nocapture"])
            .env(ROLL_BACK, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let reading = std::thread::spawn(move || {
            let numbers = lines.map_while(Result::ok);
            numbers.filter_map(|line| line.strip_prefix("committed ")?.parse::<u64>().ok()).last()
        });
        // No sleep decides whether the test passes, only what it gets to see.
        std::thread::sleep(Duration::from_millis(15 + (round * 7919) % 300));
        child.kill().unwrap();
        child.wait().unwrap();
        let reported = reading.join().unwrap();

        let store = open(&path);
        let head = head(&store);
        assert!(head >= reported, "round {round}: {reported:?} was reported, {head:?} is there");
        if let Some(head) = head {
            assert_holds(&store, &branch(head >> 32, head & 0xffff_ffff));
        }
    }
}

const LOCKED: &str = "ZK_REPLICA_TEST_OPEN";

/// Not a test by itself: the other process of [`two_processes_cannot_share_it`].
#[test]
fn opens_in_another_process() {
    let Some(path) = std::env::var_os(LOCKED) else {
        return;
    };
    println!("\n{}", SledStore::open(Path::new(&path), &CHAIN).unwrap_err());
}

#[test]
fn two_processes_cannot_share_it() {
    let directory = tempfile::tempdir().unwrap();
    let _store = open(directory.path());
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "store::tests::opens_in_another_process", "--nocapture"])
        .env(LOCKED, directory.path())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("is in use by another process: wait for it to end"), "{said}");
}

#[test]
fn closing_releases_the_lock() {
    let directory = tempfile::tempdir().unwrap();
    for _ in 0..3 {
        drop(open(directory.path()));
    }
}

#[test]
fn another_chain_genesis_or_version_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    let path = directory.path();
    let other = Identity { chain_id: 1101, ..CHAIN };
    assert!(matches!(
        SledStore::open(path, &other),
        Err(OpenError::Chain { found: 779, expected: 1101, .. })
    ));
    let other = Identity { genesis: B256::ZERO, ..CHAIN };
    assert!(matches!(SledStore::open(path, &other), Err(OpenError::Genesis { chain: 779, .. })));

    let format = fs::read_to_string(path.join("format")).unwrap();
    fs::write(path.join("format"), format.replace("version 3", "version 2")).unwrap();
    let error = SledStore::open(path, &CHAIN).unwrap_err();
    assert!(error.to_string().contains("has format 2, this program reads format 3"), "{error}");
}

#[test]
fn somebody_elses_directory_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("letters.txt"), "dear").unwrap();
    let error = SledStore::open(directory.path(), &CHAIN).unwrap_err();
    assert!(matches!(&error, OpenError::Foreign { found, .. } if found == "letters.txt"), "{error}");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);

    let error = SledStore::open(&directory.path().join("letters.txt"), &CHAIN).unwrap_err();
    assert!(matches!(error, OpenError::NotADirectory(_)), "{error}");
    let error = SledStore::open(&directory.path().join("letters.txt/db"), &CHAIN).unwrap_err();
    assert!(matches!(error, OpenError::Io { .. }), "{error}");
}

/// Damage is an error that says what to do, or nothing that was lost is missed: never a panic, never a wrong record.
#[test]
fn damaged_files_are_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let sound = directory.path().join("sound");
    let store = open(&sound);
    (0..4).for_each(|number| store.apply(&commit(number, 1500)).unwrap());
    drop(store);

    let len = fs::metadata(sound.join("sled/db")).unwrap().len() as usize;
    for (case, (file, at, garbage)) in [
        ("format", 0, &b"\xff\xff\xff\xff"[..]),
        ("sled/conf", 0, b"garbage"),
        ("sled/db", 0, b"garbage garbage garbage garbage garbage"),
        ("sled/db", len / 3, &[0xa5; 200_000]),
        ("sled/db", len / 2, b"x"),
        ("sled/db", len - 40_000, &[0; 40_000]),
        ("sled/db", 1000, &[]),
        ("sled/db", 0, &[]),
    ]
    .into_iter()
    .enumerate()
    {
        let path = directory.path().join(case.to_string());
        copy(&sound, &path);
        let mut bytes = fs::read(path.join(file)).unwrap();
        match garbage.len() {
            0 => bytes.truncate(at),
            len => bytes[at..at + len].copy_from_slice(garbage),
        }
        fs::write(path.join(file), bytes).unwrap();

        match SledStore::open(&path, &CHAIN) {
            Err(error) => assert!(error.to_string().contains("move it away"), "case {case}: {error}"),
            // Damage that opening does not meet: each record is right, or an error.
            Ok(store) => {
                for number in 0..head(&store).map_or(0, |head| head + 1) {
                    for (key, record) in
                        commit(number, 1500).records().iter().filter(|(key, _)| *key != Key::Head)
                    {
                        match store.get(key) {
                            Ok(found) => assert_eq!(found.as_ref(), Some(record), "case {case}: {key}"),
                            Err(_) => break,
                        }
                    }
                }
            }
        }
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}
