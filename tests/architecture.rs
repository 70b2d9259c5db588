//! Who may know whom: the table of dependencies between modules, held against the source.
//!
//! The scan reads text, not syntax: it leaves out comments and test modules (which rustfmt ends with a `}` in the first
//! column) and looks at every path that begins at the crate's root. The last test feeds it lines it must refuse.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// A module (or a part of one, which comes first), and the modules it may use beside itself.
const MAY_USE: &[(&str, &[&str])] = &[
    ("json", &[]),
    ("sort", &[]),
    ("types", &[]),
    ("chain", &["types"]),
    ("store", &["types"]),
    ("checkpoint", &["types", "store"]),
    ("tree", &["types", "store"]),
    ("source/witness", &["types", "chain", "store", "tree"]),
    ("source", &["types", "chain", "store"]),
    // Decoding batch data is a rule of execution: what does not decode discards its batch.
    ("executor", &["types", "chain", "source", "store", "tree"]),
    ("checker", &["types", "chain", "store", "tree", "executor"]),
    ("rpc", &["types", "chain", "source", "store", "tree", "executor"]),
    ("evidence", &["types", "chain", "store", "tree", "executor", "checker", "replica"]),
    (
        "light",
        &[
            "types",
            "chain",
            "checkpoint",
            "source",
            "store",
            "tree",
            "executor",
            "checker",
            "evidence",
            "replica",
            "rpc",
        ],
    ),
    ("snapshot", &["types", "chain", "checkpoint", "source", "store", "tree", "executor"]),
    ("replica", &["types", "chain", "source", "store", "tree", "executor", "checker"]),
];

/// What knows nothing of chains: everybody may use it.
const TOOLS: &[&str] = &["json", "sort"];

/// Words, and the only modules where they may stand.
const RESERVED: &[(&str, &[&str])] = &[
    ("revm", &["executor"]),
    ("zk_replica_poseidon", &["tree"]),
    // The core is pure: nothing of the machine it runs on.
    ("std", &[]),
    ("target_arch", &[]),
    ("target_os", &[]),
    ("target_family", &[]),
    ("target_env", &[]),
    ("zk_replica", &[]),
    ("zk_replica_wasm", &[]),
    ("zk_replica_tests", &[]),
];

/// These speak through `Executor`, `Smt` and `ChainSpec`: no hash function, fork or contract has a name there.
const NEUTRAL: &[&str] = &["checker", "replica", "store"];

/// What a neutral module may not contain, as parts of words.
const PARTICULARS: &[&str] =
    &["poseidon", "goldilocks", "forkid::", "address!", "system_contract", "exit_root_manager"];

/// Everything in `source`, the text of `file` (a path below `src`), that the table does not allow.
fn violations(file: &str, source: &str) -> Vec<String> {
    let module = file.trim_end_matches(".rs").trim_end_matches("/mod");
    let top = module.split('/').next().unwrap_or(module);
    let code = code(source);
    let mut found = Vec::new();
    if top != "lib" {
        let allowed = MAY_USE.iter().find(|(row, _)| module.starts_with(row));
        let Some((_, allowed)) = allowed else {
            return vec![format!("{file}: module {top} has no row in the table")];
        };
        for used in used_modules(module, &code) {
            if used != top && !TOOLS.contains(&used.as_str()) && !allowed.contains(&used.as_str()) {
                found.push(format!("{file}: {top} uses {used}"));
            }
        }
    }
    for (word, places) in RESERVED {
        if !places.contains(&top) && words(&code).any(|found| found == *word) {
            found.push(format!("{file}: {top} names {word}"));
        }
    }
    if NEUTRAL.contains(&top) {
        found.extend(particulars(&code).map(|line| format!("{file}: {top} knows too much: {line}")));
    }
    found
}

/// The text without comments and test modules.
fn code(source: &str) -> String {
    let mut kept = String::new();
    let mut lines = source.lines().peekable();
    while let Some(line) = lines.next() {
        let begins_tests = line == "#[cfg(test)]" && lines.peek().is_some_and(|next| next.ends_with('{'));
        if begins_tests {
            lines.by_ref().find(|line| *line == "}");
            continue;
        }
        kept.push_str(line.split("//").next().unwrap_or_default());
        kept.push('\n');
    }
    kept
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c| !is_word(c)).filter(|word| !word.is_empty())
}

/// The modules at the crate's root that the code of `module` names, by `crate::` or by climbing up with `super::`.
fn used_modules(module: &str, code: &str) -> BTreeSet<String> {
    let dense: String = code.split_whitespace().collect::<Vec<_>>().join(" ");
    let dense = dense.replace(":: ", "::").replace(" ::", "::").replace("{ ", "{");
    let climb = "super::".repeat(module.split('/').count());
    let mut used = BTreeSet::new();
    for root in ["crate::", climb.as_str(), "crate as "] {
        for (at, _) in dense.match_indices(root) {
            if dense[..at].ends_with(is_word) {
                continue;
            }
            let rest = &dense[at + root.len()..];
            match rest.strip_prefix('{') {
                Some(group) => used.extend(members(group)),
                None => used.extend(words(rest).next().map(String::from)),
            }
        }
    }
    used
}

/// The first word of each member of a braced group, of which `group` begins behind the opening brace.
fn members(group: &str) -> Vec<String> {
    let (mut depth, mut members, mut first) = (0, Vec::new(), true);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => first = true,
            c if is_word(c) && first => {
                members.extend(words(&group[at..]).next().map(String::from));
                first = false;
            }
            _ => {}
        }
    }
    members
}

/// Lines that name a hash function, a fork (by name or by a number other than 0, which is none) or a contract.
fn particulars(code: &str) -> impl Iterator<Item = &str> {
    code.lines().filter(|line| {
        let lower = line.to_lowercase();
        let number = |word: &str| word.starts_with(|c: char| c.is_ascii_digit()) && word != "0";
        let long_hex =
            |word: &str| word.len() >= 40 && word.chars().all(|c| c == 'x' || c.is_ascii_hexdigit());
        PARTICULARS.iter().any(|part| lower.contains(part))
            || (lower.contains("fork") && words(&lower).any(number))
            || words(&lower).any(long_hex)
    })
}

/// Every source file below `folder`, as a path from there, with its text. A `tests.rs` is a test module.
fn sources(folder: &Path) -> Vec<(String, String)> {
    let (mut folders, mut files) = (vec![PathBuf::new()], Vec::new());
    while let Some(at) = folders.pop() {
        for entry in fs::read_dir(folder.join(&at)).expect("a folder") {
            let entry = entry.expect("readable");
            let path = at.join(entry.file_name());
            if entry.file_type().expect("known").is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") && !path.ends_with("tests.rs") {
                let text = fs::read_to_string(entry.path()).expect("text");
                files.push((path.to_str().expect("a plain name").replace('\\', "/"), text));
            }
        }
    }
    files.sort();
    files
}

fn package(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

#[test]
fn modules_know_only_what_the_table_allows() {
    let files = sources(&package("core/src"));
    assert!(files.len() > 40, "only {} files found", files.len());
    let found: Vec<String> = files.iter().flat_map(|(file, text)| violations(file, text)).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// What a manifest says its package is built from, as far as it is ours, or revm. Tests may use more.
fn ingredients(manifest: &str) -> BTreeSet<&str> {
    let mut section = "";
    let mut found = BTreeSet::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line;
        }
        let name = line.trim_matches('[').split(['.', ' ', '=', ']']).find(|word| is_ours(word));
        if section.contains("dependencies") && !section.contains("dev-dependencies") {
            found.extend(name);
        }
    }
    found
}

fn is_ours(name: &str) -> bool {
    name.starts_with("zk-replica") || name == "revm"
}

#[test]
fn hosts_know_the_core_only() {
    let manifest = |name: &str| fs::read_to_string(package(name).join("Cargo.toml")).expect("a manifest");
    assert_eq!(ingredients(&manifest("native")), ["zk-replica-core"].into());
    assert_eq!(ingredients(&manifest("wasm")), ["zk-replica-core"].into());
    assert_eq!(ingredients(&manifest("core")), ["revm", "zk-replica-poseidon"].into());
    assert!(ingredients(&manifest("core/poseidon")).is_empty());
    for host in ["native", "wasm"] {
        for (file, text) in sources(&package(&format!("{host}/src"))) {
            let code = code(&text);
            let ours = words(&code).filter(|word| word.starts_with("zk_replica") || *word == "revm");
            let others: BTreeSet<_> = ours.filter(|word| *word != "zk_replica_core").collect();
            assert!(others.is_empty(), "{host}/src/{file} names {others:?}");
        }
    }
}

/// A file, a line in it, and the end of what the scan must say.
const FORBIDDEN: &[(&str, &str, &str)] = &[
    ("types/block.rs", "use crate::store::Key;", "types uses store"),
    ("chain/spec.rs", "use crate::tree;", "chain uses tree"),
    ("store/mod.rs", "use crate::{\n    chain::ChainSpec,\n};", "store uses chain"),
    ("tree/smt.rs", "use crate::{store::{Key, Store}, chain::Genesis};", "tree uses chain"),
    ("tree/smt.rs", "fn f(_: super::super::executor::State) {}", "tree uses executor"),
    ("tree/mod.rs", "use super::checker::Claim;", "tree uses checker"),
    ("source/datastream/wire.rs", "use crate::tree::Node;", "source uses tree"),
    ("source/witness.rs", "use crate::executor::State;", "source uses executor"),
    ("executor/fee.rs", "pub use crate :: checker :: Claim;", "executor uses checker"),
    ("checker/mod.rs", "use crate::replica::Replica;", "checker uses replica"),
    ("replica.rs", "use crate::{checker::Checker, rpc::Rpc};", "replica uses rpc"),
    ("tree/node.rs", "use crate as all;", "tree uses all"),
    ("consensus/mod.rs", "use core::fmt;", "has no row in the table"),
    ("checker/block.rs", "use revm::Context;", "checker names revm"),
    ("lib.rs", "extern crate std;", "lib names std"),
    ("tree/proof.rs", "let x = std::mem::take(y);", "tree names std"),
    ("tree/node.rs", "#[cfg(target_arch = \"x86_64\")]", "tree names target_arch"),
    ("store/memory.rs", "if cfg!(target_os = \"linux\") {}", "store names target_os"),
    ("checker/block.rs", "use crate::tree::poseidon;", "poseidon;"),
    ("store/record.rs", "/* */ PoseidonDigest(B256),", "PoseidonDigest(B256),"),
    ("replica.rs", "if head.fork_id >= 7 {", "head.fork_id >= 7 {"),
    ("checker/mod.rs", "ForkId::Elderberry2 => {}", "ForkId::Elderberry2 => {}"),
    ("checker/mod.rs", "let a = ChainSpec::SYSTEM_CONTRACT;", "SYSTEM_CONTRACT;"),
    ("store/mod.rs", "hex(\"a40d5f56745a118d0906a34e69aec8c0db1cb8fa\")", "b8fa\")"),
];

const ALLOWED: &[(&str, &str)] = &[
    ("types/receipt.rs", "/// See [`crate::executor::Rules`]."),
    ("tree/proof/path.rs", "use crate::tree::Digest;"),
    ("tree/proof/path.rs", "use super::super::digest::Digest;"),
    ("source/witness.rs", "use crate::tree::Node;"),
    ("executor/state.rs", "use revm::Database;"),
    ("checker/mod.rs", "let fork = if number == 0 { 0 } else { spec.fork.number() };"),
    ("tree/mod.rs", "#[cfg(test)]\nmod tests {\n    use crate::checker::Claim;\n}"),
];

#[test]
fn every_forbidden_line_is_found() {
    for (file, line, said) in FORBIDDEN {
        let found = violations(file, line);
        assert!(found.len() == 1 && found[0].ends_with(said), "{file}: {line}: {found:?}");
        let behind_tests = format!("#[cfg(test)]\nmod tests {{\n    // nothing\n}}\n{line}");
        assert_eq!(violations(file, &behind_tests), found, "{file}: {line}");
    }
    for (file, line) in ALLOWED {
        let found = violations(file, line);
        assert!(found.is_empty(), "{file}: {line}: {found:?}");
    }
}

#[test]
fn every_forbidden_dependency_is_found() {
    for line in [
        "[dependencies]\nzk-replica-wasm.workspace = true",
        "[dependencies]\nzk-replica-wasm = { path = \"../wasm\" }",
        "[dependencies.zk-replica-wasm]\npath = \"../wasm\"",
        "[target.'cfg(unix)'.dependencies]\nzk-replica-wasm.workspace = true",
        "[dev-dependencies]\ntempfile = \"3\"\n[build-dependencies]\nzk-replica-wasm.workspace = true",
    ] {
        let manifest = format!("[package]\nname = \"zk-replica\"\n\n{line}\n");
        assert_eq!(ingredients(&manifest), ["zk-replica-wasm"].into(), "{line}");
    }
    let allowed =
        "[package]\nname = \"zk-replica\"\n[dev-dependencies]\nzk-replica-tests = { path = \"../tests\" }";
    assert!(ingredients(allowed).is_empty());
}
