//! Configuration: flags before environment before file before defaults.
//!
//! There is one schema: the options of `zk-replica run`. A key of the file is an option's name without its dashes in
//! front, an environment variable is `ZK_REPLICA_` and the name in capitals. What comes from environment and file is added
//! to the command line as options, so that every value passes the same parser, wherever it stands.

#[cfg(test)]
mod tests;
mod timing;

pub(crate) use timing::{Timing, parse_duration};

use crate::http::mask;
use clap::error::{ContextKind, ContextValue};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// The option that names the file; it is not a key of the file.
const CONFIG: &str = "config";

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}: {error}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        error: io::Error,
    },
    /// The file is not TOML.
    #[error("{path}: {error}", path = path.display())]
    Toml {
        /// The file.
        path: PathBuf,
        /// What is wrong, and in which line.
        error: Box<toml::de::Error>,
    },
    /// The file has a key that means nothing.
    #[error("{path}: unknown key {key}{hint}", path = path.display(), hint = hint(similar.as_deref()))]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// What may have been meant.
        similar: Option<String>,
    },
    /// A key has a value of another type.
    #[error("{path}: {key}: expected {expected}", path = path.display())]
    Type {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// What it has to be.
        expected: &'static str,
    },
    /// A value cannot be used.
    #[error("{place}: {reason}")]
    Value {
        /// File and key, or environment variable.
        place: String,
        /// What is wrong.
        reason: String,
    },
    /// The command line itself is wrong.
    #[error(transparent)]
    CommandLine(#[from] clap::Error),
}

fn hint(similar: Option<&str>) -> String {
    similar.map(|similar| format!("; did you mean {similar}?")).unwrap_or_default()
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Origin {
    Environment(String),
    File(PathBuf),
}

/// A command line with all that was added to it.
#[derive(Debug)]
pub(crate) struct Completed {
    /// What it says.
    pub(crate) matches: ArgMatches,
    /// Keys that were added.
    origins: BTreeMap<String, Origin>,
}

/// Parses a command line, and fills it up from environment and file where the subcommand (below all others) takes a
/// `--config`.
pub(crate) fn parse(
    command: &Command,
    arguments: Vec<OsString>,
    environment: impl Fn(&str) -> Option<OsString>,
) -> Result<Completed, ConfigError> {
    let given = relaxed(command.clone()).try_get_matches_from(&arguments)?;
    let (schema, given) = innermost(command, &given);
    let mut origins = BTreeMap::new();
    let mut completed = arguments;
    if has_config(schema) {
        let path = given.get_one::<PathBuf>(CONFIG).cloned();
        let path = path.or_else(|| environment(&variable(CONFIG)).map(PathBuf::from));
        let file = path.as_deref().map(|path| read(schema, path)).transpose()?.unwrap_or_default();
        for arg in keys(schema) {
            let key = arg.get_long().unwrap_or_default();
            if given.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine) {
                continue;
            }
            let (values, origin) = match (environment(&variable(key)), file.get(key), &path) {
                (Some(value), ..) => (split(arg, value), Origin::Environment(variable(key))),
                (None, Some(values), Some(path)) => {
                    (values.iter().map(OsString::from).collect(), Origin::File(path.clone()))
                }
                _ => continue,
            };
            completed.extend(values.into_iter().filter_map(|value| option(arg, key, &value)));
            origins.insert(key.to_owned(), origin);
        }
    }
    let matches =
        command.clone().try_get_matches_from(completed).map_err(|error| explain(error, &origins))?;
    Ok(Completed { matches, origins })
}

/// Reads a file, and finds out whether each of its values can be used.
pub(crate) fn check(schema: &Command, path: &Path) -> Result<(), ConfigError> {
    let file = read(schema, path)?;
    let mut arguments = vec![OsString::from("check")];
    let mut origins = BTreeMap::new();
    for arg in keys(schema) {
        let key = arg.get_long().unwrap_or_default();
        for value in file.get(key).into_iter().flatten() {
            arguments.extend(option(arg, key, &OsString::from(value)));
            origins.insert(key.to_owned(), Origin::File(path.to_owned()));
        }
    }
    relaxed(schema.clone())
        .try_get_matches_from(arguments)
        .map(drop)
        .map_err(|error| explain(error, &origins))
}

impl Completed {
    /// The effective values as a file, with where each comes from.
    pub(crate) fn show(&self, schema: &Command, matches: &ArgMatches) -> String {
        let mut text = String::new();
        for arg in keys(schema) {
            let key = arg.get_long().unwrap_or_default();
            let id = arg.get_id().as_str();
            let values = matches.get_raw(id).into_iter().flatten();
            let values: Vec<_> = values.map(|value| quote(&mask(&value.to_string_lossy()))).collect();
            let value = match arg.get_action() {
                ArgAction::Append if values.is_empty() => None,
                ArgAction::Append => Some(format!("[{}]", values.join(", "))),
                ArgAction::SetTrue => Some(matches.get_flag(id).to_string()),
                _ => values.into_iter().next(),
            };
            let origin = match (self.origins.get(key), matches.value_source(id)) {
                (Some(Origin::Environment(name)), _) => name.clone(),
                (Some(Origin::File(path)), _) => path.display().to_string(),
                (None, Some(ValueSource::CommandLine)) => format!("--{key}"),
                (None, _) => "default".to_owned(),
            };
            text.push_str(&match value {
                Some(value) => format!("{key} = {value}  # {origin}\n"),
                None => format!("# {key} is not set\n"),
            });
        }
        text
    }
}

/// The options that are keys.
pub(crate) fn keys(schema: &Command) -> impl Iterator<Item = &Arg> {
    schema
        .get_arguments()
        .filter(|arg| arg.get_long().is_some_and(|long| !["help", "version", CONFIG].contains(&long)))
}

/// The environment variable of a key.
pub(crate) fn variable(key: &str) -> String {
    format!("ZK_REPLICA_{}", key.replace('-', "_").to_uppercase())
}

fn has_config(schema: &Command) -> bool {
    schema.get_arguments().any(|arg| arg.get_long() == Some(CONFIG))
}

/// Nothing is required yet: it may stand elsewhere.
fn relaxed(command: Command) -> Command {
    let command = command.mut_args(|arg| if arg.is_positional() { arg } else { arg.required(false) });
    let groups: Vec<_> = command.get_groups().map(|group| group.get_id().clone()).collect();
    let command =
        groups.iter().fold(command, |command, id| command.mut_group(id, |group| group.required(false)));
    command.mut_subcommands(relaxed)
}

/// The subcommand below all others.
pub(crate) fn innermost<'a>(command: &'a Command, matches: &'a ArgMatches) -> (&'a Command, &'a ArgMatches) {
    match matches.subcommand().and_then(|(name, inner)| Some((command.find_subcommand(name)?, inner))) {
        Some((command, matches)) => innermost(command, matches),
        None => (command, matches),
    }
}

/// The values of each key of a file, as texts.
fn read(schema: &Command, path: &Path) -> Result<BTreeMap<String, Vec<String>>, ConfigError> {
    let text =
        fs::read_to_string(path).map_err(|error| ConfigError::File { path: path.to_owned(), error })?;
    let table: Table = toml::from_str(&text)
        .map_err(|error| ConfigError::Toml { path: path.to_owned(), error: Box::new(error) })?;
    let mut values = BTreeMap::new();
    for (key, value) in table {
        let Some(arg) = keys(schema).find(|arg| arg.get_long() == Some(&key)) else {
            let names = keys(schema).filter_map(Arg::get_long);
            let similar = names.min_by_key(|name| distance(name, &key)).map(str::to_owned);
            let similar = similar.filter(|name| distance(name, &key) <= 3);
            return Err(ConfigError::UnknownKey { path: path.to_owned(), key, similar });
        };
        let texts = match (arg.get_action(), value) {
            (ArgAction::Append, Value::Array(items)) => items.iter().map(plain).collect(),
            (ArgAction::SetTrue, Value::Boolean(value)) => Some(vec![value.to_string()]),
            (ArgAction::SetTrue, _) => None,
            (_, value) => plain(&value).map(|text| vec![text]),
        };
        let expected = match arg.get_action() {
            ArgAction::Append => "a string or an array of strings",
            ArgAction::SetTrue => "true or false",
            _ => "a string or a number",
        };
        let texts =
            texts.ok_or_else(|| ConfigError::Type { path: path.to_owned(), key: key.clone(), expected })?;
        values.insert(key, texts);
    }
    Ok(values)
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Boolean(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// A list in the environment has commas between its items.
fn split(arg: &Arg, value: OsString) -> Vec<OsString> {
    match (arg.get_action(), value.to_str()) {
        (ArgAction::Append, Some(text)) => {
            text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(OsString::from).collect()
        }
        _ => vec![value],
    }
}

fn option(arg: &Arg, key: &str, value: &OsString) -> Option<OsString> {
    let mut option = OsString::from(format!("--{key}"));
    if matches!(arg.get_action(), ArgAction::SetTrue) {
        return (value != "false").then_some(option);
    }
    option.push("=");
    option.push(value);
    Some(option)
}

/// Says which file or variable an error is about.
fn explain(error: clap::Error, origins: &BTreeMap<String, Origin>) -> ConfigError {
    let Some(ContextValue::String(arg)) = error.get(ContextKind::InvalidArg) else {
        return error.into();
    };
    let key = arg.trim_start_matches('-').split([' ', '=']).next().unwrap_or_default();
    let place = match origins.get(key) {
        Some(Origin::Environment(name)) => name.clone(),
        Some(Origin::File(path)) => format!("{}: {key}", path.display()),
        None => return error.into(),
    };
    // The first line says it; what follows is about the command line.
    let text = error.to_string();
    let reason = text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
    ConfigError::Value { place, reason }
}

fn quote(value: &str) -> String {
    match value.parse::<u64>() {
        Ok(number) => number.to_string(),
        // What JSON escapes, TOML escapes alike.
        Err(_) => serde_json::Value::from(value).to_string(),
    }
}

/// How many letters differ, about.
fn distance(left: &str, right: &str) -> usize {
    let (left, right): (Vec<_>, Vec<_>) = (left.chars().collect(), right.chars().collect());
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (at, c) in left.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for (index, other) in right.iter().enumerate() {
            let above = row[index + 1];
            row[index + 1] = (diagonal + usize::from(c != other)).min(above + 1).min(row[index] + 1);
            diagonal = above;
        }
    }
    row[right.len()]
}
