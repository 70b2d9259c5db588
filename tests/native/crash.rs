//! A replica that is killed at any moment, again and again, ends as one that never was.

use serde_json::Value;
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, SystemTime},
};
use tempfile::TempDir;
use zk_replica_tests::{Made, MainNode, Plan, Script, say};

/// At least so many processes are killed.
const KILLS: u32 = 50;

/// Splitmix64.
fn random(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = (*seed ^ (*seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn command(folder: &Path, arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zk-replica"));
    command.current_dir(folder).stdin(Stdio::null()).args(arguments.split(' '));
    command
}

/// What `db check --deep` says of a database; `None` when it was killed before there was one.
fn checked(folder: &Path, case: &str) -> Option<Value> {
    if !folder.join("db/format").exists() {
        return None;
    }
    let output = command(folder, "db check --db db --deep --json").output().expect("the program runs");
    let said = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(output.status.code(), Some(0), "{case}: {said} {}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_str(&said).expect("JSON"))
}

#[test]
fn killed_at_any_moment_it_ends_as_if_undisturbed() {
    let folder = TempDir::new().expect("a temporary directory");
    let folder = folder.path();
    let made = Made::by(Plan { blocks: 2_500, batch: 40, twist: None });
    let mut script = Script::read(&made.stream);
    for (name, content) in
        [("stream", &made.stream[..]), ("genesis.json", b"{}"), ("chain.json", Made::spec().as_bytes())]
    {
        fs::write(folder.join(name), content).expect("written");
    }
    let files = "--genesis genesis.json --chain chain.json --db db";

    let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    let mut seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(clock.as_secs());
    say(&format!("killed_at_any_moment: SEED={seed}"));
    // The chain grows by so many blocks each round, so that each process has something to write.
    const GROWTH: u64 = 40;
    let mut served = script.whole_block(GROWTH).end;
    let main_node = MainNode::serve(&script.messages[..served]);
    let (mut kills, mut reported, mut rounds) = (0, 0, 0_u64);
    while kills < KILLS {
        rounds += 1;
        let to = (GROWTH * rounds).min(made.head.number);
        let end = script.whole_block(to).end;
        main_node.append(&script.messages[served..end]);
        served = end;
        let arguments = match rounds % 3 {
            0 => format!("run --stream {} {files}", main_node.address()),
            _ => format!("replay --stream stream --to {to} {files}"),
        };
        let mut child = command(folder, &arguments);
        let mut child = child.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program runs");
        // No sleep decides whether the test passes, only what it gets to see.
        thread::sleep(Duration::from_millis(random(&mut seed) % 90));
        let case = format!("kill {kills}, round {rounds}");
        child.kill().expect("killed");
        if child.wait().expect("it ends").code().is_none() {
            kills += 1;
        }
        let Some(report) = checked(folder, &case) else { continue };
        let Some(number) = report["head"]["number"].as_u64() else { continue };
        assert!(number >= reported, "{case}: block {reported} was on the disk, {number} is there");
        assert_eq!(
            report["head"]["hash"],
            script.block(number).hash.to_string(),
            "{case}: block {number} is another one"
        );
        reported = number;
        assert!(rounds < 400, "{kills} of {rounds} were killed");
    }

    let output = command(folder, &format!("replay --stream stream {files}")).output().expect("it runs");
    let said = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(
        said.trim_end().ends_with(&format!("state root {} hash {}", made.head.state_root, made.head.hash))
    );
    let undisturbed = TempDir::new().expect("a temporary directory");
    let stream = folder.join("stream").display().to_string();
    let root = folder.display();
    let once =
        format!("replay --stream {stream} --genesis {root}/genesis.json --chain {root}/chain.json --db db");
    assert!(command(undisturbed.path(), &once).output().expect("it runs").status.success());
    let (disturbed, undisturbed) = (checked(folder, "at last"), checked(undisturbed.path(), "undisturbed"));
    let same = |report: &Option<Value>| {
        let report = report.as_ref().expect("a database");
        (report["head"].clone(), report["blocks"].clone(), report["tree_nodes"].clone())
    };
    assert_eq!(same(&disturbed), same(&undisturbed));
}
