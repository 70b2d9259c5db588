//! The command line.

use clap::Parser;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Exit codes:
  0  every case passed, or is listed as known
  1  at least one case failed, or the report could not be written
  2  unusable arguments: one line on standard error says which

Examples:
  Everything:
    conformance ../shared/vectors

  One set, and the report as JSON:
    conformance ../shared/vectors/state-transition/gst-fork8-9.jsonl.zst --json report.json

  The cases of one name, wherever they are:
    conformance ../shared/vectors --filter stRevertTest

  What there is, without running it:
    conformance ../shared/vectors/units --list";

/// Runs conformance vectors through the replica.
///
/// What a file holds is told by its content; its name does not matter. A file that nothing recognises is a failure, as is
/// a panic. Files README.md and SHA256SUMS inside folders are passed over.
#[derive(Debug, Parser)]
#[command(name = "conformance", max_term_width = 110)]
#[command(after_long_help = EXAMPLES, after_help = "--help shows exit codes and examples.")]
pub(crate) struct Cli {
    /// Files, and folders with everything in them
    ///
    /// JSON, JSON lines, or a recorded data stream; plain, gzip or zstd (windows up to 64 MB, `--long=26`).
    #[arg(value_name = "PATH", required = true)]
    pub(crate) paths: Vec<PathBuf>,

    /// Run only cases whose name contains this text
    #[arg(long, value_name = "TEXT")]
    pub(crate) filter: Option<String>,

    /// Write totals, table and all failures to this file, as JSON
    #[arg(long, value_name = "FILE", conflicts_with = "list")]
    pub(crate) json: Option<PathBuf>,

    /// Print the names of the cases, and run nothing
    #[arg(long)]
    pub(crate) list: bool,

    /// Vectors known to be wrong, in place of the built-in list (tests/conformance/known.toml, which tells the form)
    #[arg(long, value_name = "FILE")]
    pub(crate) known: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }
}
