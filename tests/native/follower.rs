//! `zk-replica run` as a child process, and the folder it works in.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;
use zk_replica_tests::{Made, Process, Script};

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
        command.arg(name).args(source);
        for (argument, path) in &self.files {
            command.arg(argument).arg(path);
        }
        command
    }

    /// Runs a follower of a data stream or a main node, with options.
    pub(crate) fn follow(&self, source: [&str; 2], options: &[&str]) -> Process {
        let mut command = self.command("run", source);
        command.args(options).arg("--db").arg(self.folder.path().join("db"));
        Process::start(&mut command)
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
