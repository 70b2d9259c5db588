//! `zk-replica replay` as its users meet it: arguments, files and signals in; lines and exit codes out.
//!
//! Each test runs on a small chain that is made here, and on the recorded one where it is at hand.

use flate2::write::GzEncoder;
use serde_json::{Value, json};
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::Instant,
};
use tempfile::TempDir;
use zk_replica_core::source::datastream::FileEncoder;
use zk_replica_tests::{Made, Recording, Script, vectors};

/// A chain, and what is known to be true of it.
struct Chain {
    folder: TempDir,
    stream: Vec<u8>,
    files: Vec<(&'static str, PathBuf)>,
    chain_id: u64,
    /// Number of the last block.
    tip: u64,
    /// The last line of a run that verifies all of it.
    line: String,
    /// Transactions, batches, gas.
    totals: [u64; 3],
}

impl Chain {
    /// The made chain, and the recorded one if it is at hand.
    fn all(test: &str) -> Vec<Self> {
        let recorded = vectors(test).map(|vectors| Self::recorded(&vectors));
        [Self::made()].into_iter().chain(recorded).collect()
    }

    fn made() -> Self {
        let Made { stream, head } = Made::chain();
        let mut chain = Self {
            folder: TempDir::new().expect("a temporary directory"),
            stream: stream.clone(),
            files: Vec::new(),
            chain_id: Made::CHAIN_ID,
            tip: head.number,
            line: format!(
                "verified {tip} blocks, 0 transactions, {batches} batches; tip {tip} state root {root} hash {hash}",
                tip = head.number,
                batches = head.totals.batches,
                root = head.state_root,
                hash = head.hash,
            ),
            totals: [0, head.totals.batches, 0],
        };
        chain.files = vec![
            ("--stream", chain.file("stream", stream)),
            ("--genesis", chain.file("genesis.json", b"{}")),
            ("--chain", chain.file("chain.json", Made::spec().as_bytes())),
        ];
        chain
    }

    fn recorded(vectors: &Path) -> Self {
        let inputs = vectors.join("recorded-chain");
        let mut chain = Self {
            folder: TempDir::new().expect("a temporary directory"),
            stream: Recording::load(vectors).stream,
            files: Vec::new(),
            chain_id: 779,
            tip: 11_317,
            line: "verified 11317 blocks, 465 transactions, 101 batches; tip 11317 \
                   state root 0xb94132b126ad8ad6b126f64e3c78944f0a6b46a46f0fed4da437cd47108ee7ee \
                   hash 0xefb07096d6e7c79ff2c0f78617d1ac97e96b6199fc63eb57deda71a6063136c5"
                .to_owned(),
            totals: [465, 101, 499_261_024],
        };
        chain.files = vec![
            ("--stream", chain.file("stream", &chain.stream)),
            ("--genesis", inputs.join("genesis-allocs.json")),
            ("--chain", inputs.join("chainspec.json")),
            ("--conf", inputs.join("genesis-conf.json")),
        ];
        chain
    }

    /// Writes a file of the test.
    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).expect("written");
        path
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The command for this chain.
    fn replay(&self) -> Command {
        self.replay_with(&[])
    }

    /// The command with other files for some arguments.
    fn replay_with(&self, instead: &[(&str, &Path)]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_zk-replica"));
        // Evidence goes into the present directory where there is no database.
        command.arg("replay").stdin(Stdio::null()).current_dir(self.folder.path());
        for (argument, path) in &self.files {
            let other = instead.iter().find(|(other, _)| other == argument);
            command.arg(argument).arg(other.map_or(path.as_path(), |(_, path)| path));
        }
        command
    }

    /// The command with a database in the test's folder.
    fn replay_into(&self, db: &str) -> Command {
        let mut command = self.replay();
        command.arg("--db").arg(self.path(db));
        command
    }

    /// The last block in a database, found without any change to it.
    fn stored(&self, db: &str) -> u64 {
        if !self.path(db).join("format").exists() {
            return 0;
        }
        let run = finish(self.replay_into(db).args(["--to", "0"]));
        if run.code == Some(0) {
            return 0;
        }
        number_after(&run.errors, "is already at block ")
    }

    /// The stream with one lie: the state root after `block`.
    fn with_wrong_state_root(&self, block: u64) -> Vec<u8> {
        let mut script = Script::read(&self.stream);
        script.block(block).state_root.0[31] ^= 1;
        script.write()
    }

    /// The stream up to a block, its batch left open.
    fn up_to(&self, block: u64) -> Vec<u8> {
        let mut script = Script::read(&self.stream);
        let end = script.whole_block(block).end;
        script.messages.truncate(end);
        script.write()
    }
}

/// What a run left.
#[derive(Debug)]
struct Run {
    /// `None`: killed.
    code: Option<i32>,
    /// Standard output without the last line feed.
    said: String,
    errors: String,
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        let said = text(output.stdout);
        Self {
            code: output.status.code(),
            said: said.strip_suffix('\n').unwrap_or(&said).to_owned(),
            errors: text(output.stderr),
        }
    }
}

impl Run {
    fn assert_is(&self, code: i32, said: &str) {
        // A mismatch leaves evidence, which is told once.
        let told = self.errors.starts_with("evidence: ") && self.errors.lines().count() == 1;
        let errors = if code == 3 && told { "" } else { self.errors.as_str() };
        assert_eq!((self.code, self.said.as_str(), errors), (Some(code), said, ""));
    }

    /// Exit code 2, nothing on standard output, one line on standard error that has all the words.
    fn assert_unusable(&self, words: &[&str]) {
        assert_eq!((self.code, self.said.as_str()), (Some(2), ""), "{self:?}");
        let line = self.errors.strip_suffix('\n').unwrap_or_default();
        assert!(line.starts_with("zk-replica: ") && !line.contains('\n'), "{self:?}");
        for word in words {
            assert!(line.contains(word), "{word:?} is not in {line:?}");
        }
    }
}

fn finish(command: &mut Command) -> Run {
    command.output().expect("the program runs").into()
}

fn spawn(command: &mut Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program runs")
}

/// Starts a run that has read all of `begin` but what a pipe holds, and waits for more.
fn spawn_fed(command: &mut Command, begin: &[u8]) -> Child {
    let mut child = spawn(command.stdin(Stdio::piped()));
    child.stdin.as_mut().expect("piped").write_all(begin).expect("read");
    child
}

/// Ends the input of such a run with `rest`. It may have stopped reading.
fn feed(mut child: Child, rest: &[u8]) -> Run {
    drop(child.stdin.take().expect("piped").write_all(rest));
    child.wait_with_output().expect("it ends").into()
}

fn number_after(text: &str, words: &str) -> u64 {
    let rest = text.split_once(words).unwrap_or_else(|| unreachable!("no {words:?} in {text:?}")).1;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    digits.parse().expect("a number")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("to memory");
    encoder.finish().expect("to memory")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).expect("to memory")
}

const STDIN: (&str, &str) = ("--stream", "-");

fn from_stdin(chain: &Chain) -> Command {
    chain.replay_with(&[(STDIN.0, Path::new(STDIN.1))])
}

#[test]
fn a_true_chain_is_verified_however_it_is_packed() {
    for chain in Chain::all("a_true_chain_is_verified_however_it_is_packed") {
        finish(&mut chain.replay()).assert_is(0, &chain.line);
        for (name, content) in [("stream.gz", gzip(&chain.stream)), ("stream.zst", zstd(&chain.stream))] {
            let path = chain.file(name, &content);
            finish(&mut chain.replay_with(&[("--stream", &path)])).assert_is(0, &chain.line);
            let mut piped = from_stdin(&chain);
            feed(spawn_fed(&mut piped, &[]), &content).assert_is(0, &chain.line);
        }
        feed(spawn_fed(&mut from_stdin(&chain), &[]), &chain.stream).assert_is(0, &chain.line);
    }
}

#[test]
fn the_summary_is_one_json_object() {
    for chain in Chain::all("the_summary_is_one_json_object") {
        let [transactions, batches, gas] = chain.totals;
        let words: Vec<_> = chain.line.split(' ').collect();
        let expected = json!({
            "result": "verified",
            "chain_id": chain.chain_id,
            "blocks": chain.tip,
            "transactions": transactions,
            "batches": batches,
            "gas": gas,
            "tip": { "number": chain.tip, "state_root": words[words.len() - 3], "hash": words[words.len() - 1] },
            "durable": false,
        });
        let run = finish(chain.replay().arg("--json"));
        assert_eq!(run.code, Some(0));
        assert_eq!(serde_json::from_str::<Value>(&run.said).expect("JSON"), expected);
        assert!(!run.said.contains('\n'));
    }
}

#[test]
fn it_stops_after_the_block_asked_for_and_continues() {
    for chain in Chain::all("it_stops_after_the_block_asked_for_and_continues") {
        let half = chain.tip / 2;
        let to = half.to_string();
        let run = finish(chain.replay().args(["--to", &to]));
        let mut script = Script::read(&chain.stream);
        let block = script.block(half).clone();
        assert_eq!(run.code, Some(0));
        assert!(run.said.starts_with(&format!("verified {half} blocks, ")), "{run:?}");
        let tip = format!("; tip {half} state root {} hash {}", block.state_root, block.hash);
        assert!(run.said.ends_with(&tip), "{run:?}");

        // With a database: the same twice, then the rest, then what is already known.
        for _ in 0..2 {
            finish(chain.replay_into("db").args(["--to", &to])).assert_is(0, &run.said);
        }
        assert_eq!(chain.stored("db"), half);
        for _ in 0..2 {
            finish(&mut chain.replay_into("db")).assert_is(0, &chain.line);
        }
        finish(chain.replay_into("db").args(["--to", &to])).assert_unusable(&[
            &chain.path("db").display().to_string(),
            &format!("is already at block {}", chain.tip),
        ]);
    }
}

#[test]
fn a_stream_that_ends_before_the_database_is_unusable() {
    for chain in Chain::all("a_stream_that_ends_before_the_database_is_unusable") {
        let (short, head) = (chain.tip / 3, chain.tip / 2);
        finish(chain.replay_into("db").args(["--to", &head.to_string()]));
        let stream = chain.file("short", &chain.up_to(short));
        let mut command = chain.replay_with(&[("--stream", &stream)]);
        finish(command.arg("--db").arg(chain.path("db"))).assert_unusable(&[
            &stream.display().to_string(),
            &format!("ends at block {short}, before verified block {head}"),
        ]);
        assert_eq!(chain.stored("db"), head);
    }
}

#[test]
fn a_lie_is_named_and_what_came_before_it_is_kept() {
    for chain in Chain::all("a_lie_is_named_and_what_came_before_it_is_kept") {
        let block = chain.tip * 2 / 3;
        let truth = Script::read(&chain.stream).block(block).clone();
        let lie = chain.file("lie", &chain.with_wrong_state_root(block));
        let (batch, computed) = (truth.batch_number, truth.state_root);
        let mut expected = computed;
        expected.0[31] ^= 1;

        let line = format!(
            "mismatch at block {block} (batch {batch}): state root: expected {expected}, computed {computed}"
        );
        finish(&mut chain.replay_with(&[("--stream", &lie)])).assert_is(3, &line);

        let mut command = chain.replay_with(&[("--stream", &lie)]);
        let run = finish(command.arg("--json").arg("--db").arg(chain.path("db")));
        let object = json!({
            "result": "mismatch",
            "block": block,
            "batch": batch,
            "claim": "state root",
            "expected": expected.to_string(),
            "computed": computed.to_string(),
        });
        assert_eq!(run.code, Some(3), "{run:?}");
        assert_eq!(serde_json::from_str::<Value>(&run.said).expect("JSON"), object);

        assert_eq!(chain.stored("db"), block - 1, "the last true block is kept");
        finish(&mut chain.replay_into("db")).assert_is(0, &chain.line);
        // What is known now is compared all the same.
        let known = chain.up_to(chain.tip);
        for (claim, tell) in LIES_ABOUT_THE_KNOWN {
            let mut script = Script::read(&known);
            tell(&mut script, block, batch);
            let lie = chain.file("lie", &script.write());
            let mut command = chain.replay_with(&[("--stream", &lie)]);
            let run = finish(command.arg("--db").arg(chain.path("db")));
            assert_eq!(run.code, Some(3), "{claim}: {run:?}");
            assert!(run.said.starts_with("mismatch at block "), "{claim}: {run:?}");
            assert!(run.said.contains(&format!("(batch {batch}): {claim}: ")), "{claim}: {run:?}");
        }
    }
}

/// The claim that a lie is about, and the lie, given a block and its batch.
type LieAboutTheKnown = (&'static str, fn(&mut Script, u64, u64));

const LIES_ABOUT_THE_KNOWN: &[LieAboutTheKnown] = &[
    ("block hash", |script, block, _| script.block(block).hash.0[0] ^= 1),
    ("state root", |script, block, _| script.block(block).state_root.0[0] ^= 1),
    ("block info root", |script, block, _| script.block(block).block_info_root.0[0] ^= 1),
    ("batch state root", |script, _, batch| script.batch_end(batch).state_root.0[0] ^= 1),
    ("local exit root", |script, _, batch| script.batch_end(batch).local_exit_root.0[0] ^= 1),
];

#[test]
fn another_chain_id_is_a_lie_about_the_chain() {
    for chain in Chain::all("another_chain_id_is_a_lie_about_the_chain") {
        let other = chain.file("other.json", br#"{"chainId":1101}"#);
        let line =
            format!("mismatch at block 0 (batch 0): chain id: expected {}, computed 1101", chain.chain_id);
        finish(&mut chain.replay_with(&[("--chain", &other)])).assert_is(3, &line);
    }
}

#[test]
fn unusable_input_is_one_line_that_names_it() {
    for chain in Chain::all("unusable_input_is_one_line_that_names_it") {
        let stream = &chain.stream;
        let half = &stream[..stream.len() / 2];
        let packed = gzip(stream);
        let squeezed = zstd(stream);
        // The checksum behind the content.
        let mut bent = packed.clone();
        bent[packed.len() - 8] ^= 1;
        let empty = FileEncoder::new().finish();
        let overlong = [&stream[..100], &[1], &stream[101..]].concat();
        let unsound = "is not a sound data stream: ";
        let unreadable = "cannot read the stream ";
        let cases: &[(&str, &str, &[u8], &str)] = &[
            ("--stream", "letter", b"Dear Sir or Madam, this is a letter.", unsound),
            ("--stream", "nothing", b"", unsound),
            ("--stream", "short", half, unsound),
            ("--stream", "header", &stream[..4096], unsound),
            ("--stream", "one-byte-less", &stream[..stream.len() - 1], unsound),
            ("--stream", "one-bit", &overlong, unsound),
            ("--stream", "empty", &empty, "ends before genesis"),
            ("--stream", "half.gz", &gzip(half), unsound),
            ("--stream", "short.gz", &packed[..packed.len() / 2], unreadable),
            ("--stream", "short.zst", &squeezed[..squeezed.len() / 2], unreadable),
            ("--stream", "bent.gz", &bent, unreadable),
            ("--genesis", "list.json", b"[]", "not genesis allocations"),
            ("--genesis", "letter.json", b"Dear Sir", "not genesis allocations"),
            ("--genesis", "address.json", br#"{"0x12":{}}"#, "not genesis allocations"),
            ("--chain", "open.json", b"{", "not a chain specification"),
            ("--chain", "no-id.json", br#"{"ChainName":"x"}"#, "not a chain specification"),
            ("--chain", "binary.json", &[0xff, 0], "not a chain specification"),
        ];
        for (argument, name, content, words) in cases {
            let path = chain.file(name, content);
            let run = finish(&mut chain.replay_with(&[(argument, &path)]));
            run.assert_unusable(&[&path.display().to_string(), words]);
        }

        let conf = chain.file("conf.json", b"{}");
        let mut command = chain.replay_with(&[("--conf", &conf)]);
        if chain.files.iter().all(|(argument, _)| *argument != "--conf") {
            command.arg("--conf").arg(&conf);
        }
        let name = conf.display().to_string();
        finish(&mut command).assert_unusable(&[&name, "not a genesis configuration"]);

        for argument in ["--stream", "--genesis", "--chain"] {
            for path in [&chain.path("missing"), chain.folder.path()] {
                let name = path.display().to_string();
                finish(&mut chain.replay_with(&[(argument, path)])).assert_unusable(&[&name]);
            }
        }
        feed(spawn_fed(&mut from_stdin(&chain), &[]), half).assert_unusable(&["-", unsound]);
    }
}

#[test]
fn a_database_of_something_else_is_refused() {
    for chain in Chain::all("a_database_of_something_else_is_refused") {
        finish(chain.replay_into("db").args(["--to", "10"]));
        let db = chain.path("db");
        let name = db.display().to_string();

        let other = chain.file("other.json", br#"{"chainId":1101}"#);
        finish(chain.replay_with(&[("--chain", &other)]).arg("--db").arg(&db))
            .assert_unusable(&[&name, &format!("holds chain {}, not chain 1101", chain.chain_id)]);

        let other = chain.file("rich.json", format!(r#"{{"{:040x}":{{"balance":"1"}}}}"#, 7).as_bytes());
        finish(chain.replay_with(&[("--genesis", &other)]).arg("--db").arg(&db))
            .assert_unusable(&[&name, "with genesis"]);

        let file = chain.file("file", b"");
        finish(chain.replay().arg("--db").arg(&file))
            .assert_unusable(&[&file.display().to_string(), "is not a directory"]);
        // The test's folder holds the stream.
        finish(chain.replay().arg("--db").arg(chain.folder.path())).assert_unusable(&[
            &chain.folder.path().display().to_string(),
            "is not a database of zk-replica",
        ]);
        assert_eq!(chain.stored("db"), 10, "none of this has changed it");
    }
}

#[test]
fn a_second_process_is_told_that_the_database_is_in_use() {
    for chain in Chain::all("a_second_process_is_told_that_the_database_is_in_use") {
        let db = chain.path("db");
        let (begin, rest) = chain.stream.split_at(chain.stream.len() / 2);
        // It has read more than a pipe holds, so it has opened the database before; and it waits for more.
        let first = spawn_fed(from_stdin(&chain).arg("--db").arg(&db), begin);
        finish(&mut chain.replay_into("db"))
            .assert_unusable(&[&db.display().to_string(), "is in use by another process"]);
        feed(first, rest).assert_is(0, &chain.line);
        finish(&mut chain.replay_into("db")).assert_is(0, &chain.line);
    }
}

#[test]
fn an_interrupted_run_says_so_and_resumes() {
    for chain in Chain::all("an_interrupted_run_says_so_and_resumes") {
        let (begin, rest) = chain.stream.split_at(chain.stream.len() / 2);
        for (signal, resumes) in [("INT", true), ("TERM", true), ("INT", false)] {
            let mut command = from_stdin(&chain);
            if resumes {
                command.arg("--db").arg(chain.path("db"));
            }
            // It has read more than a pipe holds, so it listens to signals already; and it cannot end before `rest`.
            let child = spawn_fed(&mut command, begin);
            let kill = format!("kill -{signal} {}", child.id());
            assert!(Command::new("sh").args(["-c", &kill]).status().expect("a shell").success());
            let run = feed(child, rest);
            assert_eq!(run.code, Some(130), "{run:?}");
            assert!(run.said.starts_with("interrupted; verified "), "{run:?}");
            if resumes {
                let next = number_after(&run.said, "this database resumes at block ");
                assert_eq!(chain.stored("db") + 1, next, "{run:?}");
            } else {
                assert!(run.said.contains("the next run starts again from genesis"), "{run:?}");
            }
        }
        finish(&mut chain.replay_into("db")).assert_is(0, &chain.line);
    }
}

/// Killed while it runs, twenty times, at points spread over a whole run: nothing that was reported is lost, and it ends
/// as an unbroken run does.
#[test]
fn killed_at_any_point_it_continues() {
    const KILLS: u32 = 20;
    for chain in Chain::all("killed_at_any_point_it_continues") {
        let started = Instant::now();
        finish(&mut chain.replay_into("unbroken")).assert_is(0, &chain.line);
        let whole = started.elapsed();

        let mut random = Random(0x5eed);
        let (mut kills, mut reported) = (0, 0);
        while kills < KILLS {
            let mut child = spawn(&mut chain.replay_into("db"));
            // Twice a twentieth on average, since some of each run goes by until it is where the last one was.
            thread::sleep(whole.mul_f64(random.next() / 5.0));
            child.kill().expect("it was started");
            let run = Run::from(child.wait_with_output().expect("it ends"));
            if run.code.is_some() {
                // It was faster. The kills to come are to hit work, so there must be some again.
                run.assert_is(0, &chain.line);
                fs::remove_dir_all(chain.path("db")).expect("removed");
                reported = 0;
                continue;
            }
            kills += 1;
            let stored = chain.stored("db");
            assert!(
                stored >= reported,
                "kill {kills}: block {reported} had been reported, {stored} is there"
            );
            reported = stored;
        }
        finish(&mut chain.replay_into("db")).assert_is(0, &chain.line);
        finish(&mut chain.replay_into("db")).assert_is(0, &chain.line);
    }
}

/// Numbers from 0 to 1 that look random and are the same in every run (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits >> 40) as f64 / (1_u64 << 24) as f64
    }
}
