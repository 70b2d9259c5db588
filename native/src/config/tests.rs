use super::*;
use crate::cli::{Cli, Run};
use clap::{Args as _, CommandFactory as _, FromArgMatches as _};
use std::io::Write as _;
use tempfile::NamedTempFile;

fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn run_schema() -> Command {
    Run::augment_args(Command::new("run"))
}

fn complete(
    arguments: &[&str],
    environment: &[(&str, &str)],
    file: Option<&NamedTempFile>,
) -> Result<Completed, ConfigError> {
    let mut all: Vec<OsString> =
        ["zk-replica", "run"].into_iter().chain(arguments.iter().copied()).map(OsString::from).collect();
    if let Some(file) = file {
        all.extend([OsString::from("--config"), file.path().into()]);
    }
    let environment = |name: &str| {
        let found = environment.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| OsString::from(value))
    };
    parse(&Cli::command(), all, environment)
}

fn run(completed: &Completed) -> Run {
    let (_, matches) = completed.matches.subcommand().unwrap();
    Run::from_arg_matches(matches).unwrap()
}

#[test]
fn flags_come_before_environment_before_file_before_defaults() {
    let file = file(
        "main-node = [\"http://file\", \"http://file2\"]\ngenesis = \"g\"\npoll-interval = \"1s\"\nbatches-ahead = 5\nsilence = \"9s\"\n",
    );
    let environment =
        [("ZK_REPLICA_POLL_INTERVAL", "2s"), ("ZK_REPLICA_SILENCE", "8s"), ("ZK_REPLICA_STREAM", "a:1, b:2")];
    let completed = complete(&["--poll-interval", "3s"], &environment, Some(&file)).unwrap();
    let options = run(&completed);
    assert_eq!(options.timing.poll_interval.as_secs(), 3);
    assert_eq!(options.timing.silence.as_secs(), 8);
    assert_eq!(options.timing.batches_ahead, 5);
    assert_eq!(options.timing.requests_in_flight, 4);
    assert_eq!(options.main_node.len(), 2);
    assert_eq!(options.stream, ["a:1", "b:2"]);

    let (schema, matches) = (run_schema(), completed.matches.subcommand().unwrap().1);
    let shown = completed.show(&schema, matches);
    for line in [
        "poll-interval = \"3s\"  # --poll-interval",
        "silence = \"8s\"  # ZK_REPLICA_SILENCE",
        "requests-in-flight = 4  # default",
        "# conf is not set",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line} is not in {shown}");
    }
    assert!(shown.contains(&format!("batches-ahead = 5  # {}", file.path().display())), "{shown}");
}

#[test]
fn an_error_names_file_and_key_and_what_is_expected() {
    let cases = [
        ("poll-intervall = \"1s\"", "unknown key poll-intervall; did you mean poll-interval?"),
        ("nonsense-altogether = 1", "unknown key nonsense-altogether"),
        ("poll-interval = \"soon\"", "poll-interval: invalid value 'soon'"),
        ("poll-interval = \"soon\"", "expected a number above 0 and a unit"),
        ("poll-interval = [1]", "poll-interval: expected a string or a number"),
        ("main-node = \"ftp://x\"", "main-node: invalid value 'ftp://x'"),
        ("main-node = [[\"x\"]]", "main-node: expected a string or an array of strings"),
        ("batches-ahead = -1", "batches-ahead: invalid value '-1'"),
        ("stream = [\"here\"]", "expected HOST:PORT"),
        ("a = ", "line 1"),
    ];
    for (text, words) in cases {
        let file = file(text);
        let name = file.path().display().to_string();
        let checked = check(&run_schema(), file.path()).unwrap_err().to_string();
        // What the command line has is not looked for in the file.
        let given = if text.starts_with("stream") { "--main-node=http://a" } else { "--stream=a:1" };
        let ran = complete(&[given], &[], Some(&file)).unwrap_err().to_string();
        for error in [checked, ran] {
            assert!(error.starts_with(&name) && error.contains(words), "{text}: {error}");
        }
    }
    let error = complete(&[], &[("ZK_REPLICA_STREAM", "here")], None).unwrap_err().to_string();
    assert!(error.starts_with("ZK_REPLICA_STREAM: ") && error.contains("expected HOST:PORT"), "{error}");
    assert!(
        check(&run_schema(), Path::new("/nowhere"))
            .unwrap_err()
            .to_string()
            .starts_with("cannot read /nowhere")
    );
}

#[test]
fn secrets_in_urls_are_masked() {
    for (url, masked) in [
        ("https://user:secret@node.example.org:8443/rpc", "https://***@node.example.org:8443/rpc"),
        ("https://node.example.org/v3/0123456789abcdef0123", "https://node.example.org/v3/***"),
        ("https://node.example.org/?key=secret", "https://node.example.org/?***"),
        ("http://127.0.0.1:8545", "http://127.0.0.1:8545"),
        ("db", "db"),
    ] {
        assert_eq!(mask(url), masked);
    }
}

#[test]
fn the_document_has_every_key_with_its_variable_and_default() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    let document = fs::read_to_string(path).unwrap();
    let mut rows: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in document.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<_> =
            line.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        assert!(rows.insert(cells[0], cells).is_none(), "{line} stands twice");
    }
    let schema = run_schema();
    for arg in keys(&schema) {
        let key = arg.get_long().unwrap();
        let row = rows.remove(key).unwrap_or_else(|| panic!("{key} is not in the document"));
        let defaults = arg.get_default_values();
        let default = match arg.get_action() {
            ArgAction::SetTrue => "false".to_owned(),
            _ => defaults.iter().map(|value| value.to_string_lossy()).collect::<Vec<_>>().join(","),
        };
        let default = if default.is_empty() { "none".to_owned() } else { default };
        let flag = format!("--{key}");
        assert_eq!(row[1..4], [variable(key).as_str(), &flag, &default], "{key}");
        assert!(row[4].len() > 10, "{key} has no meaning");
    }
    assert!(rows.is_empty(), "the document has keys that do not exist: {:?}", rows.keys());
}
