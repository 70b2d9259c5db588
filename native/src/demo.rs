//! `zk-replica demo`: a devnet with traffic and a replica that follows it, in one process.

use crate::cli::{Cli, Command};
use crate::devnet::{self, DevnetError};
use crate::error::HostError;
use crate::follow;
use clap::{Args, Parser as _};
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

/// See it work: a main node that makes blocks, an L1 on which they are proved, and a replica that verifies them and serves Web3.
///
/// All run in this process, on this machine, until ctrl-c. Nothing is left behind.
#[derive(Args, Clone, Debug)]
pub(crate) struct Demo {
    /// Where the replica serves Web3 [default: 127.0.0.1:8545, or another port when that is taken]
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) http: Option<SocketAddr>,

    /// Serve the page that is in this directory at `/`, to verify the chain in a browser, too; `make page` builds it
    #[arg(long, value_name = "DIR")]
    pub(crate) page: Option<PathBuf>,

    /// Seconds between blocks
    #[arg(long, value_name = "SECONDS", default_value = "1")]
    pub(crate) block_time: String,

    /// Transactions that are sent each second
    #[arg(long, value_name = "COUNT", default_value = "5")]
    pub(crate) traffic: String,
}

/// Why there is no demonstration, or none any more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DemoError {
    #[error("cannot use the temporary directory: {0}")]
    Folder(#[from] io::Error),
    #[error(transparent)]
    Options(#[from] clap::Error),
    #[error(transparent)]
    Devnet(#[from] DevnetError),
    #[error(transparent)]
    Host(#[from] HostError),
}

impl DemoError {
    /// The process's exit code.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Folder(_) => 1,
            Self::Options(_) => 2,
            Self::Devnet(error) => error.exit_code(),
            Self::Host(error) => error.exit_code(),
        }
    }
}

/// Runs both until `stop` is set.
///
/// # Errors
///
/// [`DemoError`].
pub(crate) fn run(options: &Demo, stop: &Arc<AtomicBool>) -> Result<(), DemoError> {
    let folder = Folder::new()?;
    let shown = folder.0.display();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let line = format!(
        "devnet --stream 127.0.0.1:0 --http 127.0.0.1:0 --l1 127.0.0.1:0 --clock real --genesis-time {now} --block-time {} --traffic {} --quiet",
        options.block_time, options.traffic
    );
    let Command::Devnet(made) = parse(&line, &[("--genesis-out", folder.0.join("chain"))])? else {
        unreachable!("it was asked for")
    };
    let main_node = devnet::Running::start(&made)?;
    main_node.introduce(&made);
    let mut line = format!(
        "run --stream {} --main-node http://{} --page-main-node http://{} --http {}",
        main_node.stream(),
        main_node.http(),
        main_node.http(),
        options.http.unwrap_or_else(free_address)
    );
    if let Some(l1) = main_node.l1() {
        let (manager, id) = (devnet::MANAGER, devnet::ROLLUP);
        line += &format!(
            " --l1 http://{l1} --page-l1 http://{l1} --rollup-manager {manager} --rollup-id {id} --l1-interval 2s"
        );
    }
    let file = |name: &str| folder.0.join("chain").join(name);
    let mut files = vec![
        ("--genesis", file(devnet::ALLOCATIONS)),
        ("--chain", file(devnet::SPECIFICATION)),
        ("--conf", file(devnet::CONFIGURATION)),
        ("--db", folder.0.join("db")),
    ];
    files.extend(options.page.clone().map(|page| ("--page", page)));
    let Command::Run(followed) = parse(&line, &files)? else { unreachable!("it was asked for") };
    devnet::say(&format!("a replica follows it; its database is in {shown} until ctrl-c"));
    thread::scope(|scope| {
        let made = scope.spawn(|| {
            let ended = main_node.work(&made, stop);
            stop.store(true, Ordering::Relaxed);
            ended
        });
        crate::log::start(&followed.log);
        let ended = follow::run(&followed, stop);
        stop.store(true, Ordering::Relaxed);
        let made = made.join().unwrap_or(Ok(()));
        ended?;
        Ok(made?)
    })
}

fn parse(line: &str, files: &[(&str, PathBuf)]) -> Result<Command, clap::Error> {
    let mut arguments: Vec<_> = ["zk-replica"].into_iter().chain(line.split(' ')).map(Into::into).collect();
    for (name, path) in files {
        arguments.extend([name.into(), path.clone().into_os_string()]);
    }
    Cli::try_parse_from(arguments).map(|cli| cli.command)
}

/// The port that wallets try first, if it is free.
fn free_address() -> SocketAddr {
    let usual = SocketAddr::from(([127, 0, 0, 1], 8545));
    match TcpListener::bind(usual) {
        Ok(_) => usual,
        Err(_) => SocketAddr::from(([127, 0, 0, 1], 0)),
    }
}

/// A temporary directory, removed with all that is in it.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    fn new() -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("zk-replica-demo-{}", process::id()));
        fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}
