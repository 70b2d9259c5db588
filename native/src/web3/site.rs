//! The page at `/`: the files of a directory, as they were when the server began, and which chain they are to verify.

use crate::cli::Run;
use crate::http::Answer;
use crate::l1::L1Options;
use alloy_primitives::keccak256;
use flate2::Compression;
use flate2::read::GzEncoder;
use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::header::HeaderValue;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// Bytes of all files together, and how many there may be: a page, not somebody's disk.
const MOST_BYTES: u64 = 64 << 20;
const MOST_FILES: usize = 1000;

/// What the page is told, and where the files are that it names.
const CONFIG: &str = "/config.json";
const CHAIN: &str = "/chainspec.json";
const GENESIS: &str = "/genesis-allocs.json";

/// This server, as the page sees it: it has all that a replica asks of a main node.
const OWN: &str = "./";

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SiteError {
    /// It cannot be read.
    #[error("cannot read {path}: {error}", path = path.display())]
    File {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system says.
        error: io::Error,
    },
    /// There is something else.
    #[error("{path} is not the page: {reason}", path = path.display())]
    Unlike {
        /// The directory.
        path: PathBuf,
        /// What is wrong.
        reason: &'static str,
    },
}

/// Files by their paths.
#[derive(Debug, Default)]
pub(crate) struct Site(BTreeMap<String, File>);

#[derive(Debug)]
struct File {
    content: &'static str,
    bytes: Bytes,
    /// If that is less.
    gzip: Option<Bytes>,
    etag: HeaderValue,
}

impl Site {
    /// The page that `options` name; without one there are no files.
    pub(crate) fn read(options: &Run) -> Result<Self, SiteError> {
        let mut site = Self::default();
        let Some(folder) = &options.server.page else { return Ok(site) };
        let mut room = MOST_BYTES;
        site.add(folder, folder, &mut room)?;
        if !site.0.contains_key("/index.html") {
            return Err(SiteError::Unlike { path: folder.clone(), reason: "it has no index.html" });
        }
        // Without them the page asks its reader.
        if let (Some(chain), Some(genesis)) = (&options.chain, &options.genesis) {
            for (name, path) in [(CHAIN, chain), (GENESIS, genesis)] {
                site.put(name.to_owned(), read(path)?);
            }
            let own = [OWN.to_owned()];
            let main_nodes = match &*options.server.page_main_nodes {
                [] => &own,
                named => named,
            };
            let mut config =
                serde_json::json!({ "mainNode": main_nodes, "chain": &CHAIN[1..], "genesis": &GENESIS[1..] });
            let L1Options { rollup_manager: manager, rollup_id: id, l1_block: block, .. } = &options.l1;
            if let (urls @ [_, ..], Some(manager), Some(id)) = (&*options.server.page_l1, manager, id) {
                config["l1"] = serde_json::json!(
                    { "url": urls, "rollupManager": manager, "rollupId": id, "block": block }
                );
            }
            site.put(CONFIG.to_owned(), config.to_string().into_bytes());
        }
        Ok(site)
    }

    fn add(&mut self, folder: &Path, root: &Path, room: &mut u64) -> Result<(), SiteError> {
        let failed = |error| SiteError::File { path: folder.to_owned(), error };
        for entry in fs::read_dir(folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let about = fs::metadata(&path).map_err(|error| SiteError::File { path: path.clone(), error })?;
            if about.is_dir() {
                self.add(&path, root, room)?;
                continue;
            }
            *room = room
                .checked_sub(about.len())
                .filter(|_| self.0.len() < MOST_FILES)
                .ok_or_else(|| SiteError::Unlike { path: root.to_owned(), reason: "it is too large" })?;
            let name = path.strip_prefix(root).unwrap_or(&path);
            let parts: Vec<_> = name.iter().map(|part| part.to_string_lossy()).collect();
            self.put(format!("/{}", parts.join("/")), read(&path)?);
        }
        Ok(())
    }

    fn put(&mut self, name: String, bytes: Vec<u8>) {
        let mut gzip = Vec::new();
        // Once, here: nothing of it is left to do when it is asked for.
        let packed = GzEncoder::new(&*bytes, Compression::default()).read_to_end(&mut gzip);
        let gzip = (packed.is_ok() && gzip.len() < bytes.len()).then(|| gzip.into());
        let tag = format!("W/\"{:x}\"", keccak256(&bytes));
        let etag = HeaderValue::try_from(tag).expect("hexadecimal digits can stand in a header");
        let content = content(&name);
        self.0.insert(name, File { content, bytes: bytes.into(), gzip, etag });
    }

    /// There is a page.
    pub(crate) fn is_there(&self) -> bool {
        !self.0.is_empty()
    }

    /// What stands at a path. At `/` there is always something to say.
    pub(super) fn answer(&self, path: &str) -> Option<Answer> {
        let name = if path == "/" { "/index.html" } else { path };
        match self.0.get(name) {
            Some(File { content, bytes, gzip, etag }) => {
                Some(Answer::file(content, bytes.clone(), gzip.clone(), etag.clone()))
            }
            None if path == "/" => Some(Answer::text(StatusCode::OK, "text/plain; charset=utf-8", NO_PAGE)),
            None => None,
        }
    }
}

/// What `/` says where there is no page.
const NO_PAGE: &str = "\
zk-replica serves Web3 here: POST JSON-RPC to this address, or open a WebSocket.
/livez, /readyz, /health, /status and /metrics are for operators.

There is no page here. In a checkout, `make page` builds it, and --page www/dist serves it.
";

fn read(path: &Path) -> Result<Vec<u8>, SiteError> {
    fs::read(path).map_err(|error| SiteError::File { path: path.to_owned(), error })
}

/// What kind of file it is, by its name.
fn content(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "css" => "text/css; charset=utf-8",
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "json" => "application/json",
        "svg" => "image/svg+xml",
        "txt" => "text/plain; charset=utf-8",
        "wasm" => "application/wasm",
        "webmanifest" => "application/manifest+json",
        "woff2" => "font/woff2",
        _ => "application/octet-stream",
    }
}
