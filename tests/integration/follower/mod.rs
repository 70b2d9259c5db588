//! `zk-replica run` as a child process, and the folder it works in.
#![allow(dead_code, reason = "not every test needs all of it")]

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use zk_replica_tests::{Made, Script};

const PATIENCE: Duration = Duration::from_secs(180);

/// A folder with the files that describe a chain, and a database.
pub(crate) struct World {
    pub(crate) folder: TempDir,
    pub(crate) files: Vec<(&'static str, PathBuf)>,
}

impl World {
    pub(crate) fn made() -> Self {
        let folder = TempDir::new().expect("a temporary directory");
        let (genesis, chain) = (folder.path().join("genesis.json"), folder.path().join("chain.json"));
        fs::write(&genesis, "{}").expect("written");
        fs::write(&chain, Made::spec()).expect("written");
        Self { folder, files: vec![("--genesis", genesis), ("--chain", chain)] }
    }

    pub(crate) fn recorded(vectors: &Path) -> Self {
        let inputs = vectors.join("recorded-chain");
        let files = vec![
            ("--genesis", inputs.join("genesis-allocs.json")),
            ("--chain", inputs.join("chainspec.json")),
            ("--conf", inputs.join("genesis-conf.json")),
        ];
        Self { folder: TempDir::new().expect("a temporary directory"), files }
    }

    pub(crate) fn command(&self, name: &str, source: [&str; 2]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_zk-replica"));
        command.arg(name).stdin(Stdio::null()).args(source);
        for (argument, path) in &self.files {
            command.arg(argument).arg(path);
        }
        command
    }

    /// Runs a follower of a data stream or a main node, with options.
    pub(crate) fn follow(&self, source: [&str; 2], options: &[&str]) -> Follower {
        let mut command = self.command("run", source);
        command.args(options).arg("--db").arg(self.folder.path().join("db"));
        Follower::start(command)
    }

    /// The database holds what a replay of this stream gives, and nothing else.
    pub(crate) fn assert_holds(&self, script: &Script) {
        let stream = self.folder.path().join("stream");
        fs::write(&stream, script.write()).expect("written");
        let stream = stream.to_str().expect("UTF-8");
        let replay = |db: bool| {
            let mut command = self.command("replay", ["--stream", stream]);
            if db {
                command.arg("--db").arg(self.folder.path().join("db"));
            }
            let output = command.output().expect("it runs");
            (output.status.code(), String::from_utf8(output.stdout).expect("UTF-8"))
        };
        let fresh = replay(false);
        assert_eq!(fresh.0, Some(0), "{fresh:?}");
        assert_eq!(replay(true), fresh);
    }
}

/// A running `zk-replica run`.
pub(crate) struct Follower {
    pub(crate) child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Follower {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sources: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().expect("piped")), Box::new(child.stderr.take().expect("piped"))];
        for source in sources {
            let lines = Arc::clone(&lines);
            thread::spawn(move || {
                for line in BufReader::new(source).lines().map_while(Result::ok) {
                    lines.lock().expect("not poisoned").push(line);
                }
            });
        }
        Self { child, lines }
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().expect("not poisoned").clone()
    }

    pub(crate) fn count(&self, words: &str) -> usize {
        self.lines().iter().filter(|line| line.contains(words)).count()
    }

    /// Waits for a line.
    pub(crate) fn await_line(&self, words: &str) {
        self.await_that(words, || self.count(words) > 0);
    }

    /// Waits until a block is told as verified and durable.
    pub(crate) fn await_block(&self, number: u64) {
        self.await_line(&format!("block {number} state root "));
    }

    pub(crate) fn await_that(&self, what: &str, mut is: impl FnMut() -> bool) {
        let started = Instant::now();
        while !is() {
            assert!(started.elapsed() < PATIENCE, "{what:?} does not come; said: {:#?}", self.lines());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until it ends by itself, and gives its exit code.
    pub(crate) fn wait(mut self) -> Option<i32> {
        self.child.wait().expect("it was started").code()
    }

    /// Ends it by a signal, and gives its exit code.
    pub(crate) fn stop(mut self, signal: &str) -> Option<i32> {
        let kill = format!("kill -{signal} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().expect("a shell").success());
        self.child.wait().expect("it was started").code()
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
