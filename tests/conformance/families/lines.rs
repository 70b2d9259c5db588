//! `state-transition`: batches with expected roots, one to a line. Here they are recognised and named;
//! [`state_transition`] judges them.

use super::{Fields, UNKNOWN, state_transition, state_transition::Form};
use crate::case::Case;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::Value as Json;
use std::borrow::Cow;

/// What makes a piece of JSON the one or the other form.
const EXECUTOR_INPUT: [&str; 3] = ["db", "oldStateRoot", "batchL2Data"];
const GENESIS: [&str; 2] = ["genesis", "expectedOldRoot"];

/// What has to be known of a case before it is judged.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head<'a> {
    #[serde(borrow)]
    path: Option<Cow<'a, str>>,
    #[serde(borrow)]
    key: Option<Cow<'a, str>>,
    index: Option<u64>,
    forks: Option<Vec<u64>>,
    #[serde(rename = "forkID")]
    fork_id: Option<Json>,
    db: Option<IgnoredAny>,
    old_state_root: Option<IgnoredAny>,
    #[serde(rename = "batchL2Data")]
    batch_l2_data: Option<IgnoredAny>,
    genesis: Option<IgnoredAny>,
    expected_old_root: Option<IgnoredAny>,
}

/// Whether an object with these fields is a case.
pub(super) fn are_recognised(fields: &Fields<'_>) -> bool {
    let has = |names: &[&str]| names.iter().all(|name| fields.contains_key(*name));
    has(&EXECUTOR_INPUT) || has(&GENESIS)
}

/// The case that a line holds.
pub(super) fn case(json: String) -> Case {
    let head: Head<'_> = match serde_json::from_str(&json) {
        Ok(head) => head,
        Err(error) => return super::malformed(&error),
    };
    let Some(form) = head.form() else {
        let why = "neither executor-input form (db, oldStateRoot, batchL2Data) nor genesis form (genesis, expectedOldRoot)";
        return Case::failed(UNKNOWN, head.name(), why);
    };
    let (family, name, forks) = (head.family(form), head.name(), head.forks());
    if forks.is_empty() {
        return Case::failed(family, name, "there is no fork id in forks or forkID");
    }
    let judged = forks.clone();
    Case::by_fork(family, name, forks, move || state_transition::judge(&json, form, &judged))
}

impl Head<'_> {
    fn form(&self) -> Option<Form> {
        if self.db.and(self.old_state_root).and(self.batch_l2_data).is_some() {
            Some(Form::ExecutorInput)
        } else if self.genesis.and(self.expected_old_root).is_some() {
            Some(Form::Genesis)
        } else {
            None
        }
    }

    /// The sets as their README names them, told apart by where a case comes from.
    fn family(&self, form: Form) -> &'static str {
        let path = self.path.as_deref().unwrap_or_default();
        match form {
            Form::ExecutorInput if path.contains("GeneralStateTests") => "gst",
            Form::ExecutorInput if path.starts_with("testvectors/") || path.contains('@') => "prover",
            Form::ExecutorInput => "inputs",
            Form::Genesis if path.is_empty() => "reference",
            Form::Genesis => "genesis-form",
        }
    }

    fn name(&self) -> String {
        let name = self.path.as_ref().or(self.key.as_ref()).map_or("case without name", |name| name);
        self.index.map_or(name.to_owned(), |index| format!("{name}#{index}"))
    }

    /// All forks for which the case was published, each once.
    fn forks(&self) -> Vec<u64> {
        let own = || {
            let fork = self.fork_id.as_ref()?;
            fork.as_u64().or_else(|| fork.as_str()?.parse().ok())
        };
        let mut forks = self.forks.clone().unwrap_or_else(|| own().into_iter().collect());
        forks.sort_unstable();
        forks.dedup();
        forks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(json: &str) -> (&'static str, String, Vec<u64>) {
        let case = case(json.to_owned());
        (case.family, case.name, case.forks)
    }

    #[test]
    fn cases_are_recognised_by_their_fields() {
        let input =
            r#"{"path":"a/GeneralStateTests/b","forks":[9,8,8],"db":{},"oldStateRoot":"","batchL2Data":""}"#;
        assert_eq!(made(input), ("gst", "a/GeneralStateTests/b".to_owned(), vec![8, 9]));
        let genesis = r#"{"key":"a_1","forkID":7,"genesis":[],"expectedOldRoot":"","index":2}"#;
        assert_eq!(made(genesis), ("reference", "a_1#2".to_owned(), vec![7]));
        for (broken, name) in [
            ("{", "malformed JSON"),
            (r#"{"path":"a","forks":[8]}"#, "a"),
            (r#"{"path":"a","forks":["8"],"genesis":[],"expectedOldRoot":""}"#, "malformed JSON"),
        ] {
            assert_eq!(made(broken), (UNKNOWN, name.to_owned(), vec![]), "{broken}");
        }
        let without_fork = case(r#"{"key":"a","forks":[],"genesis":[],"expectedOldRoot":""}"#.to_owned());
        assert!(without_fork.run()[0].result.is_err());
    }
}
