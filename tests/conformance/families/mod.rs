//! What vectors are about. Each family has a module that makes cases of what is recognised here.
//!
//! A new family adds its module and a line to [`of_object`] or [`of_list`] for a document of its own form. A new section of
//! `state-tree.json` is a line in [`state_tree`], a new kind of case in a list a line of the table in [`units`].

mod batch_data;
mod genesis;
mod keccak;
mod l1;
mod lines;
mod poseidon;
mod recorded_chain;
mod state_transition;
mod state_tree;
mod units;
mod witness;

use crate::case::Case;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use std::{collections::BTreeMap, path::Path, str};

pub(crate) use recorded_chain::stream;

/// The family of what nothing recognises, and of what is no JSON.
pub(crate) const UNKNOWN: &str = "unknown";

/// A JSON object whose fields have not been looked into.
type Fields<'a> = BTreeMap<String, &'a RawValue>;

/// The case in a line of a file.
pub(crate) fn line(line: Vec<u8>) -> Case {
    match String::from_utf8(line) {
        Ok(json) => lines::case(json),
        Err(error) => malformed(&error),
    }
}

/// The cases in a document. Files beside it are looked at where it says too little by itself.
pub(crate) fn document(path: &Path, bytes: &[u8]) -> Vec<Case> {
    if bytes.trim_ascii().is_empty() {
        return vec![Case::failed(UNKNOWN, "empty file", "there is nothing in the file")];
    }
    let json = match str::from_utf8(bytes) {
        Ok(json) => json,
        Err(error) => return vec![malformed(&error)],
    };
    if json.trim_start().starts_with('[') {
        return serde_json::from_str(json)
            .map_or_else(|error| vec![malformed(&error)], |list| of_list(path, list));
    }
    let object = serde_json::from_str(json);
    object.map_or_else(|error| vec![malformed(&error)], |fields| of_object(path, json, &fields))
}

fn of_object(path: &Path, json: &str, fields: &Fields<'_>) -> Vec<Case> {
    let has = |names: &[&str]| names.iter().all(|name| fields.contains_key(*name));
    if lines::are_recognised(fields) {
        vec![lines::case(json.to_owned())]
    } else if has(&["round_constants", "known_answers"]) {
        poseidon::cases(json)
    } else if has(&["source", "cases"]) {
        units::cases(fields)
    } else if fields.keys().any(|name| state_tree::is_section(name)) {
        state_tree::cases(path, fields)
    } else if has(&["root", "timestamp", "gasLimit"]) {
        recorded_chain::conf(path, json)
    } else if has(&["chainId", "ChainName"]) {
        recorded_chain::chain_spec(json)
    } else if has(&["proof", "public"]) {
        l1::proof(json)
    } else if genesis::are_accounts(fields) {
        genesis::allocations(path, json)
    } else {
        vec![unknown("unknown file", fields.keys())]
    }
}

fn of_list(path: &Path, list: Vec<&RawValue>) -> Vec<Case> {
    let Some(first) = list.first().and_then(|first| serde_json::from_str::<Fields<'_>>(first.get()).ok())
    else {
        return vec![Case::failed(UNKNOWN, "unknown file", "a list, but not of objects")];
    };
    let has = |names: &[&str]| names.iter().all(|name| first.contains_key(*name));
    if lines::are_recognised(&first) {
        list.into_iter().map(|case| lines::case(case.get().to_owned())).collect()
    } else if has(&["alloc", "stateRoot"]) {
        genesis::index(path, &list)
    } else if has(&["witness", "stateRoot"]) {
        witness::cases(&list)
    } else if has(&["calldata", "decoded"]) {
        l1::calls(&list)
    } else if has(&["batchL2Data", "forkID"]) {
        l1::batches(&list)
    } else {
        vec![unknown("unknown file", first.keys())]
    }
}

fn malformed(error: &dyn std::error::Error) -> Case {
    Case::failed(UNKNOWN, "malformed JSON", error.to_string())
}

fn unknown<'a>(name: impl Into<String>, fields: impl Iterator<Item = &'a String>) -> Case {
    let fields = fields.take(12).map(String::as_str).collect::<Vec<_>>().join(", ");
    Case::failed(UNKNOWN, name, format!("no family knows this form: {fields}"))
}

/// One case for each element of a list, which is checked as a `T`; an empty list is a failure.
fn each<T: DeserializeOwned + 'static>(
    family: &'static str,
    name: &str,
    list: &RawValue,
    check: impl Fn(T) + Clone + Send + 'static,
) -> Vec<Case> {
    let elements: Vec<&RawValue> = match serde_json::from_str(list.get()) {
        Ok(elements) => elements,
        Err(error) => return vec![Case::failed(family, name, error.to_string())],
    };
    if elements.is_empty() {
        return vec![Case::failed(family, name, "the list is empty")];
    }
    let case = |(index, element): (usize, &&RawValue)| {
        one(family, format!("{name} {index}"), element, check.clone())
    };
    elements.iter().enumerate().map(case).collect()
}

/// The name of an element of a list whose elements have names; a failed case for one that has none.
fn name_of(json: &RawValue) -> Result<String, Case> {
    #[derive(Deserialize)]
    struct Named {
        name: String,
    }
    serde_json::from_str(json.get()).map(|Named { name }| name).map_err(|error| malformed(&error))
}

/// The case that a piece of JSON is a `T` that holds.
fn one<T: DeserializeOwned + 'static>(
    family: &'static str,
    name: impl Into<String>,
    json: &RawValue,
    check: impl FnOnce(T) + Send + 'static,
) -> Case {
    let json = json.to_owned();
    Case::new(family, name, move || check(parse(json.get())))
}

/// Panics where the JSON is of another form: a case that cannot be read has failed.
fn parse<T: DeserializeOwned>(json: &str) -> T {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("of another form: {error}"))
}
