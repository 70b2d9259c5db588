//! What is said at the end: the table, the failures, the totals.

use crate::known::Status;
use serde::Serialize;
use std::{
    collections::BTreeMap,
    fmt,
    io::{self, Write},
    path::PathBuf,
};

/// Failures printed in full; all of them are in the JSON.
const SHOWN: usize = 20;

/// Lines of a failure that are printed, and characters of a line.
const LINES: usize = 8;
const WIDTH: usize = 400;

/// Where a case stands. The order is that of the files, and of the lines in them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Position in the list of files.
    pub(crate) order: usize,
    /// The file.
    pub(crate) file: PathBuf,
    /// The line, if it has cases in lines.
    pub(crate) line: Option<u64>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        self.line.map_or(Ok(()), |line| write!(f, ":{line}"))
    }
}

/// How many outcomes there were of each kind.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) known: u64,
}

/// An outcome that is named: a failure, or a known one.
#[derive(Clone, Debug)]
struct Named {
    place: Place,
    family: &'static str,
    name: String,
    fork: Option<u64>,
    text: String,
}

/// Everything that came out so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) totals: Counts,
    table: BTreeMap<(&'static str, Option<u64>), Counts>,
    failures: Vec<Named>,
    known: Vec<Named>,
}

impl Report {
    /// Counts an outcome.
    pub(crate) fn add(
        &mut self,
        place: &Place,
        family: &'static str,
        name: &str,
        fork: Option<u64>,
        status: Status,
    ) {
        let row = self.table.entry((family, fork)).or_default();
        let named = |text| Named { place: place.clone(), family, name: name.to_owned(), fork, text };
        for counts in [row, &mut self.totals] {
            match status {
                Status::Passed => counts.passed += 1,
                Status::Failed(_) => counts.failed += 1,
                Status::Known(_) => counts.known += 1,
            }
        }
        match status {
            Status::Passed => {}
            Status::Failed(failure) => self.failures.push(named(failure.to_string())),
            Status::Known(reason) => self.known.push(named(reason)),
        }
    }

    /// Counts an entry of the list of known cases that fits nothing in its file.
    pub(crate) fn add_unused(&mut self, file: PathBuf, name: &str, fork: Option<u64>) {
        let place = Place { order: usize::MAX, file, line: None };
        let why = "known.toml has this entry, but the file has no such case";
        self.add(&place, "known.toml", name, fork, Status::Failed(why.into()));
    }

    /// Whether there was nothing to count.
    pub(crate) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Puts what is named into the order of the files, whichever thread was first.
    pub(crate) fn sort(&mut self) {
        for list in [&mut self.failures, &mut self.known] {
            list.sort_by(|a, b| (&a.place, &a.name, a.fork).cmp(&(&b.place, &b.name, b.fork)));
        }
    }

    /// Prints the first failures, the table, and the totals.
    pub(crate) fn print(&self, out: &mut impl Write) -> io::Result<()> {
        for failure in self.failures.iter().take(SHOWN) {
            failure.print(out)?;
        }
        if let Some(more) = self.failures.len().checked_sub(SHOWN + 1) {
            writeln!(out, "... and {} more failures", more + 1)?;
        }
        if !self.failures.is_empty() {
            writeln!(out)?;
        }
        self.print_table(out)?;
        let Counts { passed, failed, known } = self.totals;
        write!(out, "\n{passed} passed, {failed} failed")?;
        if known > 0 {
            write!(out, ", {known} known")?;
        }
        writeln!(out)
    }

    fn print_table(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "{:<16}{:>6}{:>10}{:>10}{:>10}", "family", "fork", "passed", "failed", "known")?;
        for ((family, fork), Counts { passed, failed, known }) in &self.table {
            let fork = fork.map_or("-".to_owned(), |fork| fork.to_string());
            writeln!(out, "{family:<16}{fork:>6}{passed:>10}{failed:>10}{known:>10}")?;
        }
        Ok(())
    }

    /// The same, complete, as JSON.
    pub(crate) fn write_json(&self, mut out: impl Write) -> io::Result<()> {
        let table = self.table.iter();
        let json = Json {
            totals: self.totals,
            table: table
                .map(|((family, fork), counts)| Row { family, fork: *fork, counts: *counts })
                .collect(),
            failures: self.failures.iter().map(Named::json).collect(),
            known: self.known.iter().map(Named::json).collect(),
        };
        serde_json::to_writer_pretty(&mut out, &json)?;
        out.flush()
    }
}

impl Named {
    fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let fork = self.fork.map_or(String::new(), |fork| format!(" (fork {fork})"));
        writeln!(out, "FAILED {}: {}{fork}", self.place, self.name)?;
        for line in self.text.lines().take(LINES) {
            let cut: String = line.chars().take(WIDTH).collect();
            let dots = if cut.len() < line.len() { "..." } else { "" };
            writeln!(out, "    {cut}{dots}")?;
        }
        if self.text.lines().count() > LINES {
            writeln!(out, "    ...")?;
        }
        Ok(())
    }

    fn json(&self) -> JsonNamed<'_> {
        JsonNamed {
            file: self.place.file.to_string_lossy().into_owned(),
            line: self.place.line,
            family: self.family,
            name: &self.name,
            fork: self.fork,
            text: &self.text,
        }
    }
}

#[derive(Serialize)]
struct Json<'a> {
    totals: Counts,
    table: Vec<Row<'a>>,
    failures: Vec<JsonNamed<'a>>,
    known: Vec<JsonNamed<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
    family: &'a str,
    fork: Option<u64>,
    #[serde(flatten)]
    counts: Counts,
}

#[derive(Serialize)]
struct JsonNamed<'a> {
    file: String,
    line: Option<u64>,
    family: &'a str,
    name: &'a str,
    fork: Option<u64>,
    text: &'a str,
}
