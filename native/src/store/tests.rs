//! The store as its users meet it: beside a model, across openings, killed, locked, damaged.

use super::Pages;
use super::pages::PERMITS;
use super::record::{self, Kind, Value, name};
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
    fs::write(path.join("format"), format.replace("version 5", "version 4")).unwrap();
    let error = SledStore::open(path, &CHAIN).unwrap_err();
    assert!(error.to_string().contains("has format 4, this program reads format 5"), "{error}");
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
            Err(error) => assert!(error.to_string().contains("db rebuild"), "case {case}: {error}"),
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

/// A store that may write and sync so often.
fn open_with(permits: u64, path: &Path) -> Result<SledStore, OpenError> {
    PERMITS.set(permits);
    let store = SledStore::open_sized(path, &CHAIN, 500);
    PERMITS.set(u64::MAX);
    store
}

/// What is in `path` is the state after one of the `commits`, and not an earlier one than `reported`.
fn assert_committed(path: &Path, commits: &[Commit], reported: Option<u64>, case: &str) {
    let store = open(path);
    let head = head(&store);
    assert!(head >= reported, "{case}: {reported:?} was reported, {head:?} is there");
    let count = head.map_or(0, |head| head as usize + 1);
    commits[..count].iter().for_each(|commit| assert_holds(&store, commit));
    let mut damage = Vec::new();
    store.scan(|part| damage.extend(part.damage), |_, _| {});
    assert!(damage.is_empty(), "{case}: {damage:?}");
}

/// Lets the write after each `permits` fail, and looks at what is there: in the files as they are at that moment, as if
/// the process had been killed, and after the store was closed.
fn fail_each(start: &Path, from: u64, commits: &[Commit], every: impl Iterator<Item = u64>) {
    let directory = tempfile::tempdir().unwrap();
    for permits in every {
        let (path, image) = (directory.path().join("db"), directory.path().join("image"));
        copy(start, &path);
        let mut reported = from.checked_sub(1);
        let failed = match open_with(permits, &path) {
            Err(OpenError::Io { .. }) => {
                copy(&path, &image);
                true
            }
            Err(other) => panic!("{permits} writes: {other}"),
            Ok(store) => {
                let failed = (from..commits.len() as u64).any(|number| {
                    let result = store.apply(&commits[number as usize]);
                    if result.is_ok() {
                        reported = Some(number);
                    }
                    result.is_err()
                });
                if failed {
                    let error = store.apply(&commits[0]).unwrap_err();
                    assert!(error.to_string().contains("an earlier write failed"), "{error}");
                }
                copy(&path, &image);
                failed
            }
        };
        assert_committed(&image, commits, reported, &format!("killed after {permits} writes"));
        assert_committed(&path, commits, reported, &format!("closed after {permits} writes"));
        fs::remove_dir_all(&path).unwrap();
        fs::remove_dir_all(&image).unwrap();
        if !failed {
            return;
        }
    }
    panic!("the last write did not succeed");
}

#[test]
fn each_write_may_fail() {
    let empty = tempfile::tempdir().unwrap();
    // Logs in the batch and before it, runs, long records.
    let commits: Vec<_> =
        [3, 60, 480, 700, 20].iter().zip(0..).map(|(nodes, number)| commit(number, *nodes)).collect();
    fail_each(empty.path(), 0, &commits, 0..);
}

#[test]
fn each_write_of_a_merge_may_fail() {
    let directory = tempfile::tempdir().unwrap();
    // The sixteenth begins the merge, and the others end it.
    let commits: Vec<_> = (0..24).map(|number| commit(number, 501)).collect();
    let store = open(directory.path());
    commits[..15].iter().for_each(|commit| store.apply(commit).unwrap());
    assert_eq!(store.runs().len(), 15);
    drop(store);
    fail_each(directory.path(), 15, &commits, (0..4).chain((4..).step_by(29)));
    let store = open(directory.path());
    commits[15..].iter().for_each(|commit| store.apply(commit).unwrap());
    assert_eq!(store.runs()[0].level, 1);
}

#[test]
fn no_commit_waits_for_a_whole_merge() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    (0..16).for_each(|number| store.apply(&commit(number, 2000)).unwrap());
    let (mut commits, mut most) = (0, 0);
    while store.runs().iter().all(|run| run.level == 0) {
        let before = store.writes();
        let nodes = (0..8).map(|index| (Key::Node(digest(commits << 8 | index)), record(index, 64)));
        store.apply(&Commit::for_test(nodes.collect(), Vec::new())).unwrap();
        most = most.max(store.writes() - before);
        commits += 1;
    }
    assert!(commits > 300, "the merge took {commits} commits");
    assert!(most < 250, "a commit of eight records made {most} writes");
}

#[test]
fn runs_stay_few_however_often_the_process_ends() {
    let directory = tempfile::tempdir().unwrap();
    let (mut most, mut last) = (0, Commit::default());
    for number in 0..200 {
        // Each time it ends long before the merge of what is there.
        let store = open(directory.path());
        last = commit(number, 2000);
        store.apply(&last).unwrap();
        most = most.max(store.runs().len());
    }
    assert!((64..=80).contains(&most), "{most} runs");
    let store = open(directory.path());
    assert_holds(&store, &last);
    assert_holds(&store, &commit(0, 2000));
}

/// Splitmix64.
#[test]
fn what_sled_left_half_made_is_no_damage() {
    let directory = tempfile::tempdir().unwrap();
    let sled = directory.path().join("sled");
    let settings = b"segment_size: 524288\nuse_compression: false\nversion: 0.34\n";
    fs::create_dir(&sled).unwrap();
    for length in 0..=settings.len() {
        fs::write(sled.join("conf"), &settings[..length]).unwrap();
        drop(Pages::open(&sled).unwrap());
        fs::remove_dir_all(&sled).unwrap();
        fs::create_dir(&sled).unwrap();
    }

    let commits: Vec<_> = (0..3).map(|number| commit(number, 700)).collect();
    // It makes one when it opens what there is already.
    commits.iter().for_each(|commit| open(directory.path()).apply(commit).unwrap());
    let mut files = fs::read_dir(&sled).unwrap().map(|entry| entry.unwrap());
    let snapshot = files.find(|file| file.file_name().to_string_lossy().starts_with("snap.")).unwrap();
    let whole = fs::read(snapshot.path()).unwrap();
    for length in [0, 5, 13, whole.len() / 2, whole.len() - 1] {
        fs::write(sled.join("snap.7FFFFFFFFFFFFFFF.generating"), &whole[..length]).unwrap();
        assert_committed(directory.path(), &commits, Some(2), &format!("{length} bytes of a snapshot"));
    }
}

fn random(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = (*seed ^ (*seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Damages a file somewhere: flips a byte, cuts, fills with zeros, or repeats another part of it.
fn damage(path: &Path, seed: &mut u64) -> String {
    let mut bytes = fs::read(path).unwrap();
    let mut below = |limit: usize| (random(seed) % limit.max(1) as u64) as usize;
    let (kind, at) = (below(4), below(bytes.len()));
    let longest = 1 << below(18);
    let len = below(longest).min(bytes.len() - at);
    match kind {
        0 => bytes[at] ^= 1 << below(8),
        1 => bytes.truncate(at),
        2 => bytes[at..at + len].fill(0),
        _ => {
            let from = below(bytes.len() - len);
            bytes.copy_within(from..from + len, at);
        }
    }
    fs::write(path, bytes).unwrap();
    format!("{} damaged by way {kind} at {at}, {len} bytes", path.display())
}

#[test]
fn damage_anywhere_is_an_error_or_does_no_harm() {
    let directory = tempfile::tempdir().unwrap();
    let sound = directory.path().join("sound");
    let store = open(&sound);
    let commits: Vec<_> = (0..6).map(|number| commit(number, [700, 40][number as usize % 2])).collect();
    commits.iter().for_each(|commit| store.apply(commit).unwrap());
    drop(store);
    let files: Vec<_> = fs::read_dir(sound.join("sled")).unwrap().map(|entry| entry.unwrap()).collect();
    let files: Vec<_> =
        files.iter().filter(|entry| entry.file_type().unwrap().is_file()).map(|e| e.file_name()).collect();
    let (mut refused, mut seed) = (0, 20_250_101);
    println!("seed {seed}");
    for round in 0..80 {
        let path = directory.path().join(round.to_string());
        copy(&sound, &path);
        let which = random(&mut seed) as usize % (files.len() + 2);
        let name = files.get(which).cloned().unwrap_or_else(|| "db".into());
        let case = damage(&path.join("sled").join(name), &mut seed);
        match SledStore::open_sized(&path, &CHAIN, 500) {
            Err(error @ (OpenError::Damaged { .. } | OpenError::Io { .. })) => {
                assert!(error.to_string().contains(&*path.to_string_lossy()), "{case}: {error}");
                refused += 1;
            }
            Err(error) => panic!("{case}: {error}"),
            Ok(store) => {
                assert_eq!(head(&store), Some(5), "{case}: what was committed is gone");
                for (key, record) in commits.iter().flat_map(|commit| commit.records()) {
                    match store.get(key) {
                        _ if *key == Key::Head => {}
                        Ok(found) => assert_eq!(found.as_ref(), Some(record), "{case}: {key}"),
                        Err(_) => break,
                    }
                }
            }
        }
        fs::remove_dir_all(&path).unwrap();
    }
    assert!(refused > 0, "no damage was found out");
}

/// Somebody who writes into sled's files as sled does, and so gets past sled's checksums.
fn forge(path: &Path, alter: impl FnOnce(&Pages)) {
    let pages = Pages::open(&path.join("sled")).unwrap();
    alter(&pages);
    pages.sync().unwrap();
}

#[test]
fn a_page_that_is_altered_exchanged_or_lost_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let store = open(&path);
    (0..3).for_each(|number| store.apply(&commit(number, 700)).unwrap());
    let run = store.runs()[1].clone();
    drop(store);
    let pristine = directory.path().join("pristine");
    copy(&path, &pristine);

    type Forgery = (&'static str, fn(&Pages, u64));
    let get = |pages: &Pages, id, part| pages.part(Kind::Page, id, part).unwrap();
    let forgeries: [Forgery; 4] = [
        ("checksum is wrong", |pages, id| {
            let mut page = pages.part(Kind::Page, id, 1).unwrap().to_vec();
            page[100] ^= 1;
            pages.put(Kind::Page, id, 1, &page).unwrap();
        }),
        ("checksum is wrong", |pages, id| {
            let (one, two) = (pages.part(Kind::Page, id, 1).unwrap(), pages.part(Kind::Page, id, 2).unwrap());
            pages.put(Kind::Page, id, 1, &two).unwrap();
            pages.put(Kind::Page, id, 2, &one).unwrap();
        }),
        ("a page is missing", |pages, id| pages.remove([name(Kind::Page, id, 1)].into_iter()).unwrap()),
        // With a checksum that is right: two records in the wrong order.
        ("a page begins with another record", |pages, id| {
            let mut page = Vec::new();
            record::encode(&mut page, b"zz", Value::Short(b"value"));
            record::seal(Kind::Page, id, 1, &mut page);
            pages.put(Kind::Page, id, 1, &page).unwrap();
        }),
    ];
    for (words, forgery) in forgeries {
        fs::remove_dir_all(&path).unwrap();
        copy(&pristine, &path);
        forge(&path, |pages| {
            assert!(!get(pages, run.id, 1).is_empty());
            forgery(pages, run.id);
        });
        let mut damage = Vec::new();
        open(&path).scan(|part| damage.extend(part.damage.map(|damage| (part.run, damage))), |_, _| {});
        assert_eq!(damage.len(), 1, "{words}: {damage:?}");
        assert_eq!(damage[0].0, run.id);
        assert!(damage[0].1.contains(words), "{words}: {damage:?}");
    }
    // A whole run, and the commit record.
    for kind in [Kind::Index, Kind::Manifest] {
        fs::remove_dir_all(&path).unwrap();
        copy(&pristine, &path);
        forge(&path, |pages| {
            let id = if matches!(kind, Kind::Index) { run.id } else { 0 };
            let mut bytes = pages.part(kind, id, 0).unwrap().to_vec();
            bytes[9] ^= 1;
            pages.put(kind, id, 0, &bytes).unwrap();
        });
        let error = SledStore::open_sized(&path, &CHAIN, 500).unwrap_err();
        assert!(
            matches!(&error, OpenError::Damaged { reason, .. } if reason.contains("checksum")),
            "{error}"
        );
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
