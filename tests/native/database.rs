//! `zk-replica db` and `zk-replica evidence` as their users meet them.

use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};
use tempfile::TempDir;
use zk_replica_core::{chain::ChainSpec, checkpoint::Checkpoint, snapshot::restore};
use zk_replica_tests::{Made, Script};

struct Chain {
    folder: TempDir,
}

impl Chain {
    fn new() -> Self {
        let chain = Self { folder: TempDir::new().expect("a temporary directory") };
        chain.write("stream", &Made::chain().stream);
        chain.write("genesis.json", b"{}");
        chain.write("chain.json", Made::spec().as_bytes());
        chain
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, content: &[u8]) {
        fs::write(self.path(name), content).expect("written");
    }

    /// Runs the command in the chain's folder: exit code, standard output, standard error.
    fn run(&self, arguments: &str) -> (i32, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_zk-replica"));
        let Output { status, stdout, stderr } = command
            .current_dir(self.folder.path())
            .args(arguments.split(' '))
            .output()
            .expect("the program runs");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        (status.code().expect("it ends by itself"), text(stdout), text(stderr))
    }

    fn replay(&self, stream: &str, more: &str) -> (i32, String, String) {
        self.run(&format!("replay --stream {stream} --genesis genesis.json --chain chain.json{more}"))
    }
}

#[test]
fn a_database_is_described_and_found_sound() {
    let chain = Chain::new();
    assert_eq!(chain.replay("stream", " --db db").0, 0);
    let head = &Made::chain().head;
    for command in ["db check --db db", "db check --db db --deep"] {
        let (code, said, errors) = chain.run(command);
        assert_eq!((code, errors.as_str()), (0, ""), "{said}");
        assert!(said.starts_with("sound: ") && said.contains(&head.hash.to_string()), "{said}");
    }
    let (code, said, _) = chain.run("db check --db db --json");
    let report: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((code, &report["sound"], &report["blocks"]), (0, &true.into(), &901.into()));

    let (code, said, _) = chain.run("db info --db db --json");
    let info: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((code, &info["chain_id"], &info["head"]["number"]), (0, &Made::CHAIN_ID.into(), &900.into()));
    let (code, said, _) = chain.run("db info --db db");
    assert!(code == 0 && said.contains("block 900 "), "{said}");

    for command in ["db check --db nowhere", "db info --db nowhere"] {
        let (code, said, errors) = chain.run(command);
        assert_eq!((code, said.as_str()), (2, ""));
        assert!(errors.contains("there is no database in nowhere"), "{errors}");
        assert!(!chain.path("nowhere").exists());
    }
}

#[test]
fn a_state_is_written_for_others_to_begin_from() {
    let chain = Chain::new();
    assert_eq!(chain.replay("stream", " --db db").0, 0);
    let spec = ChainSpec::from_json(Made::spec().as_bytes()).expect("a specification");
    for (block, more) in [(900, ""), (500, " --block 500")] {
        let (code, said, errors) = chain.run(&format!("db snapshot --db db --out state{more}"));
        assert_eq!((code, errors.as_str()), (0, ""), "{said}");
        let checkpoint: Checkpoint = said.trim().parse().expect("a checkpoint");
        assert_eq!(checkpoint.number, block);
        let file = fs::read(chain.path("state")).expect("written");
        restore(&file, &spec, &checkpoint).expect("it is what it says");
        let (_, said, _) = chain.run(&format!("db snapshot --db db --out state --json{more}"));
        let named: Value = serde_json::from_str(&said).expect("JSON");
        assert_eq!((&named["number"], &named["hash"]), (&block.into(), &checkpoint.hash.to_string().into()));
    }
    let refused = [
        ("--db db --block 901 --out other", 2, "the database holds blocks up to 900, not block 901"),
        ("--db nowhere --out other", 2, "there is no database in nowhere"),
        ("--db db --out nowhere/other", 1, "cannot write nowhere/other: "),
    ];
    for (options, expected, reason) in refused {
        let (code, said, errors) = chain.run(&format!("db snapshot {options}"));
        assert_eq!((code, said.as_str()), (expected, ""), "{options}");
        assert!(errors.contains(reason) && !chain.path("other").exists(), "{errors}");
    }
}

#[test]
fn a_damaged_database_is_found_out_and_made_anew() {
    let chain = Chain::new();
    assert_eq!(chain.replay("stream", " --db db").0, 0);
    let file = chain.path("db/sled/db");
    let mut bytes = fs::read(&file).expect("readable");
    let len = bytes.len();
    bytes[len / 8..].fill(0xa5);
    fs::write(&file, bytes).expect("written");

    let (code, said, _) = chain.run("db check --db db");
    assert!(code == 3 && said.contains("zk-replica db rebuild"), "{code}: {said}");
    let (code, _, errors) = chain.replay("stream", " --db db");
    assert!(code == 2 && errors.contains("zk-replica db rebuild"), "{code}: {errors}");

    // A stream that lies does not replace anything.
    let mut script = Script::read(&Made::chain().stream);
    script.block(700).state_root.0[0] ^= 1;
    chain.write("lie", &script.write());
    let rebuild = "--genesis genesis.json --chain chain.json";
    let (code, said, _) = chain.run(&format!("db rebuild --db db --stream lie {rebuild}"));
    assert!(code == 3 && said.starts_with("mismatch at block 700"), "{code}: {said}");
    assert_eq!(chain.run("db check --db db").0, 3);

    // The next one goes on where that one ended.
    let (code, said, errors) = chain.run(&format!("db rebuild --db db --stream stream {rebuild}"));
    assert_eq!((code, errors.as_str()), (0, ""), "{said}");
    assert!(said.starts_with("verified 900 blocks"), "{said}");
    assert_eq!(chain.run("db check --db db --deep").0, 0);
    assert!(chain.path("db.damaged").exists() && !chain.path("db.rebuild").exists());
    let (code, _, errors) = chain.run(&format!("db rebuild --db db --stream stream {rebuild}"));
    assert!(code == 2 && errors.contains("db.damaged is in the way"), "{errors}");
}

/// The one file in a folder.
fn only(folder: &Path) -> PathBuf {
    let mut files: Vec<_> =
        fs::read_dir(folder).expect("there").map(|file| file.expect("readable").path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files.remove(0)
}

#[test]
fn a_mismatch_leaves_evidence_once_and_it_is_checked() {
    let chain = Chain::new();
    let mut script = Script::read(&Made::chain().stream);
    script.block(500).state_root.0[0] ^= 1;
    chain.write("lie", &script.write());

    for (options, folder) in [(" --db db", "db/evidence"), (" --evidence-dir deep/er", "deep/er")] {
        let (code, said, errors) = chain.replay("lie", options);
        assert_eq!(code, 3, "{said}");
        let file = only(&chain.path(folder));
        assert!(errors.starts_with("evidence: ") && errors.contains(" bytes)"), "{errors}");
        // Found again: nothing is written, nothing told.
        let (code, _, errors) = chain.replay("lie", options);
        assert_eq!((code, errors.as_str()), (3, ""));
        assert_eq!(only(&chain.path(folder)), file);

        let file = file.display().to_string();
        let (code, said, errors) = chain.run(&format!("evidence check {file}"));
        assert_eq!((code, errors.as_str()), (0, ""));
        assert!(said.starts_with("the main node is wrong: block 500 (batch 5): state root: "), "{said}");
        assert!(said.contains("\ncomputed: block hash 0x") && said.contains(" bytes of evidence"), "{said}");
        assert!(said.contains("taken for granted: the chain has block 499 with hash 0x"), "{said}");
    }

    let bytes = fs::read(only(&chain.path("db/evidence"))).expect("readable");
    let text = String::from_utf8(bytes.clone()).expect("UTF-8");
    let mut truth = Script::read(&Made::chain().stream);
    let (lie, truth) = (script.block(500).state_root.to_string(), truth.block(500).state_root.to_string());
    let claim = format!("\"stateRoot\": \"{lie}\"");
    assert!(text.contains(&claim), "{text}");
    chain.write("true.json", text.replace(&claim, &format!("\"stateRoot\": \"{truth}\"")).as_bytes());
    let (code, said, _) = chain.run("evidence check true.json");
    assert!(code == 4 && said.starts_with("the evidence does not show a mismatch"), "{code}: {said}");

    chain.write("cut.json", &bytes[..bytes.len() / 2]);
    chain.write("longer.json", &[&bytes[..], b"\n"].concat());
    for (file, words) in
        [("cut.json", "not an evidence file"), ("longer.json", "altered"), ("none.json", "cannot read")]
    {
        let (code, said, errors) = chain.run(&format!("evidence check {file}"));
        assert_eq!((code, said.as_str()), (2, ""));
        assert!(errors.contains(words), "{errors}");
    }
}
