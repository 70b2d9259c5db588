//! From the arguments to the list of files.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
};

/// What folders hold beside vectors.
const NOT_VECTORS: [&str; 2] = ["README.md", "SHA256SUMS"];

/// Why there is nothing to run at a path.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FilesError {
    /// The path, or something below it, cannot be read.
    #[error("cannot read {path}: {error}", path = path.display())]
    Read {
        /// Where.
        path: PathBuf,
        /// What the operating system says.
        error: io::Error,
    },
    /// A folder without a single file.
    #[error("there are no vectors in {path}", path = .0.display())]
    Empty(PathBuf),
}

/// All files at these paths, as their paths were given; those of folders in order of their names. A file that is found
/// twice is in the list once.
pub(crate) fn find(paths: &[PathBuf]) -> Result<Vec<PathBuf>, FilesError> {
    let mut search = Search::default();
    for path in paths {
        if search.visit(path)? == 0 {
            return Err(FilesError::Empty(path.clone()));
        }
    }
    Ok(search.files)
}

#[derive(Default)]
struct Search {
    files: Vec<PathBuf>,
    /// Canonical: a link that leads back up ends here.
    seen: BTreeSet<PathBuf>,
}

impl Search {
    /// How many files and folders there are, also those that were seen before.
    fn visit(&mut self, path: &Path) -> Result<usize, FilesError> {
        let failed = |error| FilesError::Read { path: path.to_owned(), error };
        if !self.seen.insert(fs::canonicalize(path).map_err(failed)?) {
            return Ok(1);
        }
        if !path.is_dir() {
            self.files.push(path.to_owned());
            return Ok(1);
        }
        let entries = fs::read_dir(path).and_then(|entries| entries.collect::<io::Result<Vec<_>>>());
        let mut names: Vec<_> = entries.map_err(failed)?.iter().map(fs::DirEntry::file_name).collect();
        names.sort();
        let vectors = names.iter().filter(|name| NOT_VECTORS.iter().all(|other| *name != OsStr::new(other)));
        vectors.map(|name| self.visit(&path.join(name))).sum()
    }
}
