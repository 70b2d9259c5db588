//! The conformance runner as its users meet it: files of a few lines, and what it says of them.

use flate2::write::GzEncoder;
use serde_json::{Value as Json, json};
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

/// A folder with vectors.
struct Folder(TempDir);

/// What a run gave.
#[derive(Debug)]
struct Run {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().expect("a temporary directory"))
    }

    /// A folder with a file of a true answer and a file of a lie.
    fn with_lie() -> Self {
        let folder = Self::new();
        folder.write("true.json", prices(&[(0, 500)]).as_bytes());
        folder.write("lie.json", prices(&[(1, 501)]).as_bytes());
        folder
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(&path, content).expect("written");
        path
    }

    /// Runs everything in the folder.
    fn run(&self, options: &[&str]) -> Run {
        let path = self.path().to_str().expect("plain");
        run(&[&[path], options].concat())
    }

    /// Runs with a list of known cases, which stands elsewhere.
    fn run_known(&self, list: &str, options: &[&str]) -> Run {
        let elsewhere = Self::new();
        let list = elsewhere.write("known.toml", list);
        self.run(&[&["--known", list.to_str().expect("plain")], options].concat())
    }
}

fn run(arguments: &[&str]) -> Run {
    let mut runner = Command::new(env!("CARGO_BIN_EXE_conformance"));
    let output = runner.args(arguments).output().expect("the runner");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    Run { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

impl Run {
    fn last_line(&self) -> &str {
        self.out.lines().last().unwrap_or_default()
    }

    fn says(&self, text: &str) -> bool {
        self.out.contains(text)
    }
}

/// What is paid for each unit of gas at a price of 1000 and half of it, as in `units/effective-gas-price.json`: an index
/// and an answer. The true one is 500.
fn prices(answers: &[(u64, u64)]) -> String {
    let case = |(index, answer): &(u64, u64)| {
        json!({
            "index": index,
            "gasPrice": "0x3e8",
            "effectivePercentage": "0x7f",
            "expectedOutput": format!("{answer:#x}"),
        })
    };
    let cases: Vec<_> = answers.iter().map(case).collect();
    serde_json::to_string_pretty(&json!({ "source": "here", "cases": cases })).expect("JSON")
}

/// Lines in the form of `state-transition`, with nothing in them that could be executed.
fn batches() -> String {
    let input = json!({ "path": "a.json", "forks": [8, 9], "db": {}, "oldStateRoot": "", "batchL2Data": "" });
    let genesis = json!({ "key": "b_0", "forkID": 7, "genesis": [], "expectedOldRoot": "" });
    format!("{input}\n\n{genesis}\n")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn zstd(bytes: &[u8], window_log: u32) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).expect("memory");
    encoder.window_log(window_log).expect("a window");
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

#[test]
fn true_answers_pass() {
    let folder = Folder::new();
    folder.write("a/b/c.json", prices(&[(0, 500), (1, 500)]));
    folder.write("README.md", "not a vector");
    folder.write("a/SHA256SUMS", "not a vector");
    let run = folder.run(&[]);
    assert_eq!((run.code, run.last_line()), (Some(0), "2 passed, 0 failed"), "{run:?}");
    assert!(run.says("units") && run.err.is_empty(), "{run:?}");
}

#[test]
fn a_lie_is_a_failure_by_its_name() {
    let run = Folder::with_lie().run(&[]);
    assert_eq!((run.code, run.last_line()), (Some(1), "1 passed, 1 failed"), "{run:?}");
    assert!(run.says("lie.json: gas price 1\n    panicked: assertion `left == right` failed"), "{run:?}");
    assert!(!run.says("gas price 0"), "{run:?}");
}

#[test]
fn every_form_is_read_whatever_its_name() {
    let folder = Folder::new();
    let (document, lines) = (prices(&[(3, 500)]), batches());
    folder.write("1.jsonl", &document);
    folder.write("2", gzip(document.replace('\n', "").as_bytes()));
    folder.write("3.json", &lines);
    folder.write("4.gz", zstd(lines.as_bytes(), 26));
    folder.write("5.zst", gzip(lines.trim_end().as_bytes()));
    let run = folder.run(&["--list"]);
    let at = |name: &str| folder.path().join(name).display().to_string();
    let mut expected = format!("{}: gas price 3\n{}: gas price 3\n", at("1.jsonl"), at("2"));
    for name in ["3.json", "4.gz", "5.zst"] {
        expected += &format!("{file}:1: a.json\n{file}:3: b_0\n", file = at(name));
    }
    assert_eq!((run.code, run.out), (Some(0), expected), "{}", run.err);
}

#[test]
fn each_fork_of_a_case_has_its_own_result() {
    let folder = Folder::new();
    folder.write("lines", batches());
    let run = folder.run(&[]);
    assert_eq!((run.code, run.last_line()), (Some(1), "0 passed, 3 failed"), "{run:?}");
    for failed in ["lines:1: a.json (fork 8)", "lines:1: a.json (fork 9)", "lines:3: b_0 (fork 7)"] {
        assert!(run.says(failed), "{failed}: {run:?}");
    }
}

#[test]
fn what_cannot_be_read_is_a_failure() {
    let packed = zstd(batches().repeat(1000).as_bytes(), 20);
    let zipped = gzip(prices(&[(0, 500)]).as_bytes());
    let wide = zstd(&vec![b' '; 1 << 20], 27);
    for (content, said) in [
        (&b"{\n"[..], "malformed JSON"),
        (b"[1", "malformed JSON"),
        (b"words", "malformed JSON"),
        (b"\xff\xfe{}", "malformed JSON"),
        (b"", "empty file"),
        (b" \n\n", "empty file"),
        (b"[]", "unknown file"),
        (b"[1, 2]", "unknown file"),
        (b"{\n\"a\": 1\n}", "unknown file"),
        (b"{\"source\": \"\", \"cases\": []}\n", "unknown file"),
        (b"{}\n{}\n", "case without name"),
        (b"{\n\"source\": \"\", \"cases\": [{\"index\": 4}]\n}\n", "unknown case 4"),
        (b"polygonDATSTREAM and no more", "the stream can be read"),
        (&packed[..packed.len() / 2], "unreadable file"),
        (&zipped[..zipped.len() - 1], "unreadable file"),
        (&wide, "unreadable file"),
    ] {
        let folder = Folder::new();
        folder.write("sound.json", prices(&[(0, 500)]));
        folder.write("broken", content);
        let run = folder.run(&[]);
        let first = run.out.lines().next().unwrap_or_default();
        assert!(first.ends_with(said) && first.contains("broken"), "{said}: {run:?}");
        assert!(run.code == Some(1) && run.last_line().starts_with("1 passed"), "{said}: {run:?}");
    }
}

#[test]
fn a_broken_line_is_one_failure_among_others() {
    let folder = Folder::new();
    folder.write("lines", format!("{}{{\"path\":\n{}", batches(), batches()));
    let run = folder.run(&[]);
    assert_eq!(run.last_line(), "0 passed, 7 failed", "{run:?}");
    assert!(run.says("lines:4: malformed JSON") && run.says("lines:7: b_0"), "{run:?}");
}

#[test]
fn a_field_that_nothing_looks_at_is_a_failure() {
    let folder = Folder::new();
    folder.write("a.json", prices(&[(0, 500)]).replace("\"index\"", "\"surprise\": 1, \"index\""));
    let run = folder.run(&[]);
    assert!(run.code == Some(1) && run.says("unknown field `surprise`"), "{run:?}");
}

#[test]
fn files_named_twice_are_run_once_and_named_files_are_vectors() {
    let folder = Folder::with_lie();
    let path = folder.path().join("true.json");
    let twice = folder.run(&[path.to_str().expect("plain")]);
    assert_eq!(twice.last_line(), "1 passed, 1 failed", "{twice:?}");
    let readme = folder.write("README.md", "not a vector");
    let run = run(&[readme.to_str().expect("plain")]);
    assert!(run.code == Some(1) && run.says("README.md: malformed JSON"), "{run:?}");
}

#[test]
fn a_filter_leaves_only_names_that_contain_it() {
    let folder = Folder::with_lie();
    let run = folder.run(&["--filter", "price 0"]);
    assert_eq!((run.code, run.last_line()), (Some(0), "1 passed, 0 failed"), "{run:?}");
    let listed = folder.run(&["--filter", "price 1", "--list"]);
    assert!(listed.out.lines().count() == 1 && listed.out.ends_with("lie.json: gas price 1\n"), "{listed:?}");
    for options in [&["--filter", "nothing"][..], &["--filter", "nothing", "--list"]] {
        let none = folder.run(options);
        assert!(none.code == Some(2) && none.err.contains("\"nothing\""), "{none:?}");
    }
}

#[test]
fn the_report_as_json_is_complete() {
    let (folder, elsewhere) = (Folder::with_lie(), Folder::new());
    folder.write("lines", batches());
    let path = elsewhere.path().join("report.json");
    let run = folder.run(&["--json", path.to_str().expect("plain")]);
    let report: Json = serde_json::from_slice(&fs::read(path).expect("a report")).expect("JSON");
    assert_eq!(run.code, Some(1));
    assert_eq!(report["totals"], json!({ "passed": 1, "failed": 4, "known": 0 }));
    assert_eq!(report["known"], json!([]));
    let row = |family: &str, fork: Json, passed: u64, failed: u64| json!({ "family": family, "fork": fork, "passed": passed, "failed": failed, "known": 0 });
    let table = [
        row("inputs", json!(8), 0, 1),
        row("inputs", json!(9), 0, 1),
        row("reference", json!(7), 0, 1),
        row("units", Json::Null, 1, 1),
    ];
    assert_eq!(report["table"], json!(table));
    let failures = report["failures"].as_array().expect("a list");
    let names: Vec<_> = failures.iter().map(|failure| json!([failure["name"], failure["line"]])).collect();
    assert_eq!(json!(names), json!([["gas price 1", null], ["a.json", 1], ["a.json", 1], ["b_0", 3]]));
    assert!(failures.iter().all(|failure| failure["text"].as_str().is_some_and(|text| !text.is_empty())));
}

fn entry(file: &str, name: &str) -> String {
    format!("[[known]]\nfile = '{file}'\nname = '{name}'\nreason = 'wrong'\nproof = ['one', 'two']\n")
}

#[test]
fn a_known_case_is_counted_apart() {
    let folder = Folder::with_lie();
    for name in ["gas price 1", "gas*", "*1"] {
        let run = folder.run_known(&entry("lie.json", name), &[]);
        let expected = (Some(0), "1 passed, 0 failed, 1 known");
        assert_eq!((run.code, run.last_line()), expected, "{run:?}");
        assert!(!run.says("FAILED"), "{run:?}");
    }
    let unlisted = folder.run_known("", &[]);
    assert_eq!((unlisted.code, unlisted.last_line()), (Some(1), "1 passed, 1 failed"));
}

#[test]
fn a_known_case_is_known_for_its_forks_only() {
    let folder = Folder::new();
    folder.write("set/lines", batches());
    let list = |forks: &str| format!("{}forks = {forks}\n", entry("set/lines", "a.json"));
    let run = folder.run_known(&list("[9]"), &[]);
    assert_eq!(run.last_line(), "0 passed, 2 failed, 1 known", "{run:?}");
    assert!(run.says("a.json (fork 8)") && !run.says("a.json (fork 9)"), "{run:?}");
    let other = folder.run_known(&list("[8, 9, 10]"), &[]);
    assert_eq!(other.last_line(), "0 passed, 2 failed, 2 known", "{other:?}");
    assert!(other.says("lines: a.json (fork 10)\n    known.toml has this entry"), "{other:?}");
}

#[test]
fn a_known_case_that_passes_is_a_failure() {
    let run = Folder::with_lie().run_known(&entry("true.json", "gas price 0"), &[]);
    assert_eq!((run.code, run.last_line()), (Some(1), "0 passed, 2 failed"), "{run:?}");
    assert!(run.says("gas price 0\n    no longer fails: remove it from known.toml"), "{run:?}");
}

#[test]
fn an_entry_that_fits_nothing_is_a_failure_if_its_file_was_run() {
    let folder = Folder::with_lie();
    let run = folder.run_known(&entry("true.json", "gas price 9"), &[]);
    assert_eq!(run.last_line(), "1 passed, 2 failed", "{run:?}");
    assert!(run.says("true.json: gas price 9\n    known.toml has this entry"), "{run:?}");
    let elsewhere = folder.run_known(&entry("other.json", "gas price 9"), &[]);
    assert_eq!(elsewhere.last_line(), "1 passed, 1 failed", "{elsewhere:?}");
    let filtered = folder.run_known(&entry("lie.json", "gas price 1"), &["--filter", "price 0"]);
    assert_eq!((filtered.code, filtered.last_line()), (Some(0), "1 passed, 0 failed"), "{filtered:?}");
}

#[test]
fn arguments_that_are_not_usable_are_said_to_be() {
    let folder = Folder::with_lie();
    fs::create_dir(folder.path().join("empty")).expect("a folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("plain").to_owned();
    let paths = ["true.json", "missing", "empty", "list", "missing/report.json"].map(path);
    let [sound, missing, empty, list, report] = paths.each_ref().map(String::as_str);
    fs::write(list, entry("a", "b").replace("reason", "because")).expect("written");
    for arguments in [
        &[][..],
        &[missing],
        &[sound, missing],
        &[empty],
        &["--wrong", sound],
        &[sound, "--known", missing],
        &[sound, "--known", list],
        &[sound, "--json", report],
        &[sound, "--json", "report.json", "--list"],
    ] {
        let run = run(arguments);
        assert!(run.code == Some(2) && run.out.is_empty() && !run.err.is_empty(), "{arguments:?}: {run:?}");
    }
}

#[test]
fn help_has_examples() {
    let run = run(&["--help"]);
    assert!(run.code == Some(0) && run.says("Examples:") && run.says("Exit codes:"), "{run:?}");
}
