//! Cases that cannot pass because the vector itself is wrong: the list, and what it makes of outcomes.

use crate::case::{Failure, Outcome};
use serde::Deserialize;
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

const BUILT_IN: &str = include_str!("known.toml");

/// How many other sources have to agree with us before a vector counts as wrong.
const PROOFS: usize = 2;

/// Why the list is not usable.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KnownError {
    /// It cannot be read.
    #[error("cannot read {path}: {error}", path = path.display())]
    Read {
        /// The list.
        path: PathBuf,
        /// What the operating system says.
        error: io::Error,
    },
    /// It is not of the form that `known.toml` explains.
    #[error("{path}: {error}", path = path.display(), error = error.to_string().trim_end())]
    Form {
        /// The list.
        path: PathBuf,
        /// What is wrong with it.
        error: toml::de::Error,
    },
    /// An entry does not give two sources.
    #[error("{path}: {name} needs {PROOFS} proofs, has {found}", path = path.display())]
    Unproven {
        /// The list.
        path: PathBuf,
        /// The entry's name.
        name: String,
        /// Proofs that say something.
        found: usize,
    },
}

/// The list of vectors known to be wrong.
#[derive(Debug)]
pub(crate) struct Known(Vec<Watched>);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    known: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// Empty: any file.
    #[serde(default)]
    file: PathBuf,
    name: String,
    /// Empty: for the outcome without fork.
    #[serde(default)]
    forks: Vec<u64>,
    reason: String,
    proof: Vec<String>,
    /// The rules that the vector follows instead.
    passes_by: Option<String>,
}

/// An entry for one fork, and whether it fitted a case.
#[derive(Debug)]
struct Watched {
    file: PathBuf,
    name: String,
    fork: Option<u64>,
    reason: String,
    passes_by: Option<String>,
    used: AtomicBool,
}

/// What an outcome counts as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// Everything is as the vectors say.
    Passed,
    /// Something is not.
    Failed(Failure),
    /// Something is not, and the vectors are known to be wrong, for this reason.
    Known(String),
}

impl Known {
    /// Reads a list; without a path, the built-in one.
    pub(crate) fn read(path: Option<&Path>) -> Result<Self, KnownError> {
        let Some(path) = path else {
            return Self::parse(Path::new("known.toml"), BUILT_IN);
        };
        let text = fs::read_to_string(path);
        Self::parse(path, &text.map_err(|error| KnownError::Read { path: path.to_owned(), error })?)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, KnownError> {
        let file: File =
            toml::from_str(text).map_err(|error| KnownError::Form { path: path.to_owned(), error })?;
        for Entry { name, proof, .. } in &file.known {
            let found = proof.iter().filter(|source| !source.trim().is_empty()).count();
            if found < PROOFS {
                return Err(KnownError::Unproven { path: path.to_owned(), name: name.clone(), found });
            }
        }
        Ok(Self(file.known.into_iter().flat_map(Entry::watch).collect()))
    }

    /// What the outcome of a case of this file and name counts as.
    pub(crate) fn judge(&self, file: &Path, name: &str, outcome: Outcome) -> Status {
        let mut found = None;
        for entry in &self.0 {
            if entry.fork == outcome.fork && file.ends_with(&entry.file) && fits(&entry.name, name) {
                entry.used.store(true, Ordering::Relaxed);
                found.get_or_insert(entry);
            }
        }
        match (outcome.result, found) {
            (Ok(()), None) => Status::Passed,
            (Err(failure), None) => Status::Failed(failure),
            (result, Some(Watched { passes_by: Some(rules), reason, .. })) => match result {
                // The pattern names a family of cases; on some the rules make no difference.
                Ok(()) => Status::Passed,
                Err(_) if outcome.passes_by.contains(&rules.as_str()) => Status::Known(reason.clone()),
                Err(failure) => Status::Failed(failure),
            },
            (Ok(()), Some(_)) => Status::Failed("no longer fails: remove it from known.toml".into()),
            (Err(_), Some(entry)) => Status::Known(entry.reason.clone()),
        }
    }

    /// The entries that fitted nothing although their file was run: file, name, and what is wrong.
    pub(crate) fn unused(&self, files: &[PathBuf]) -> Vec<(PathBuf, String, Option<u64>)> {
        let named = self.0.iter().filter(|entry| !entry.file.as_os_str().is_empty());
        let unused = named.filter(|entry| !entry.used.load(Ordering::Relaxed));
        let file = |entry: &Watched| files.iter().find(|file| file.ends_with(&entry.file)).cloned();
        unused.filter_map(|entry| Some((file(entry)?, entry.name.clone(), entry.fork))).collect()
    }
}

impl Entry {
    fn watch(self) -> Vec<Watched> {
        let watched = |fork| Watched {
            file: self.file.clone(),
            name: self.name.clone(),
            fork,
            reason: self.reason.clone(),
            passes_by: self.passes_by.clone(),
            used: AtomicBool::new(false),
        };
        if self.forks.is_empty() {
            return vec![watched(None)];
        }
        self.forks.iter().copied().map(Some).map(watched).collect()
    }
}

/// Whether a name is of the form of a pattern, in which `*` stands for any text.
fn fits(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    name.strip_prefix(start).is_some_and(|name| {
        let ends = name.char_indices().map(|(at, _)| at).chain([name.len()]);
        ends.into_iter().any(|at| fits(rest, &name[at..]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_list_is_sound() {
        assert!(Known::read(None).is_ok());
    }

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, name) in
            [("a", "a"), ("*", ""), ("a*", "a"), ("a*c", "abc"), ("*b*", "äb"), ("**", "x")]
        {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("a", "ab"), ("a*", "b"), ("a*c", "acb"), ("", "a"), ("*ab*b", "ab")] {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn a_case_that_follows_other_rules_has_to_pass_by_them() {
        let list = "[[known]]\nname = 'b*'\nforks = [8]\nreason = 'c'\nproof = ['d', 'e']\npasses_by = 'f'\n";
        let known = Known::parse(Path::new("list"), list).unwrap();
        let judge = |name: &str, outcome| known.judge(Path::new("any"), name, outcome);
        let failed = |passes_by| Outcome { passes_by, ..Outcome::of(8, Err("no".into())) };
        assert_eq!(judge("b1", failed(vec!["e", "f"])), Status::Known("c".to_owned()));
        assert_eq!(judge("b1", failed(vec!["e"])), Status::Failed("no".into()));
        assert_eq!(judge("a1", failed(vec!["f"])), Status::Failed("no".into()));
        assert_eq!(judge("b1", Outcome::of(8, Ok(()))), Status::Passed);
    }

    #[test]
    fn lists_of_another_form_are_refused() {
        let sound = "[[known]]\nfile = 'a'\nname = 'b'\nreason = 'c'\nproof = ['d', 'e']\n";
        let parse = |text: &str| Known::parse(Path::new("list"), text);
        assert_eq!(parse(sound).unwrap().0.len(), 1);
        assert_eq!(parse(&format!("{sound}forks = [8, 9]")).unwrap().0.len(), 2);
        for broken in [
            format!("{sound}fork = 8"),
            sound.replace("name = 'b'\n", ""),
            sound.replace("file", "files"),
            sound.replace("'d', ", ""),
            sound.replace("'d'", "' '"),
            sound.replace("[[known]]", "[[bad]]"),
        ] {
            assert!(parse(&broken).is_err(), "{broken}");
        }
    }
}
