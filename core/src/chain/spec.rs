use super::{DisorderedForks, ForkId, ForkSchedule, UnsupportedFork, presets};
use crate::json::{items, unique_members};
use alloc::{string::String, vec::Vec};
use alloy_primitives::{Address, address};
use serde_json::value::RawValue;

/// What distinguishes a chain from all others, genesis aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainSpec {
    /// Chain id, as CHAINID returns it.
    pub chain_id: u64,
    /// Name for people; may be empty.
    pub name: String,
    /// Which fork every batch runs.
    pub forks: ForkSchedule,
    /// Genesis carries London's base fee field (one public chain, hermez-etrog, has it).
    pub london_genesis: bool,
}

/// Why a chain specification cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ChainSpecError {
    /// Not the JSON of a chain specification.
    #[error("not a chain specification: {0}")]
    Json(#[from] serde_json::Error),
    /// It says nothing of the chain id.
    #[error("not a chain specification: chainId is missing")]
    NoChainId,
    /// A field that cannot be read.
    #[error("not a chain specification: {field}: expected {expected}")]
    Field {
        /// Its name.
        field: String,
        /// What it should be.
        expected: &'static str,
    },
    /// The schedule names a fork that cannot be executed.
    #[error(transparent)]
    Fork(#[from] UnsupportedFork),
    /// The schedule goes back.
    #[error(transparent)]
    Schedule(#[from] DisorderedForks),
}

/// Forks that a file may name: there are fewer.
const MAX_INTERVALS: usize = 64;

impl ChainSpec {
    /// The system contract: storage only, written by the protocol at every block (`spec/state-tree.md` §3.4).
    pub const SYSTEM_CONTRACT: Address = address!("000000000000000000000000000000005ca1ab1e");
    /// The global exit root manager of L2 (`spec/state-tree.md` §3.4).
    pub const EXIT_ROOT_MANAGER: Address = address!("a40d5f56745a118d0906a34e69aec8c0db1cb8fa");

    /// Reads the JSON form that cdk-erigon uses (`params/chainspecs/*.json` there).
    ///
    /// cdk-erigon learns the forks from L1. Here the file may name them: `forks` holds what the main node's
    /// `zkevm_getForks` returns. Without it the schedule is the preset of a known chain, or unknown.
    ///
    /// # Errors
    ///
    /// [`ChainSpecError`] when it is not JSON, names no chain id, or its forks cannot be.
    pub fn from_json(json: &[u8]) -> Result<Self, ChainSpecError> {
        let text: &RawValue = serde_json::from_slice(json)?;
        let (mut chain_id, mut name, mut london_genesis, mut intervals) =
            (None, String::new(), false, Vec::new());
        // Fields that do not concern a replica are passed over.
        for (field, value) in unique_members(text.get())? {
            let value = value.get();
            let wrong = |expected| ChainSpecError::Field { field: field.clone(), expected };
            match field.as_str() {
                "chainId" => {
                    chain_id = Some(value.parse().map_err(|_| wrong("a number of at most 64 bits"))?)
                }
                "ChainName" => name = serde_json::from_str(value).map_err(|_| wrong("a string"))?,
                "londonBlock" if value != "null" => {
                    let is_number = value.starts_with(|first: char| first == '-' || first.is_ascii_digit());
                    if !is_number {
                        return Err(wrong("a number"));
                    }
                    // Whatever is in front of the exponent: it may have more digits than any integer here.
                    let digits = value.split(['e', 'E']).next().unwrap_or_default();
                    london_genesis = digits.chars().all(|digit| matches!(digit, '-' | '.' | '0'));
                }
                "forks" => {
                    for interval in items(value, MAX_INTERVALS).map_err(|_| wrong("a list of forks"))? {
                        intervals.push(fork_interval(interval.get())?);
                    }
                }
                _ => {}
            }
        }
        let chain_id = chain_id.ok_or(ChainSpecError::NoChainId)?;
        let forks =
            if intervals.is_empty() { presets::forks(chain_id) } else { ForkSchedule::new(intervals)? };
        Ok(Self { chain_id, name, forks, london_genesis })
    }
}

/// One entry of what `zkevm_getForks` returns: the fork, and its first batch. The last one is that before the next.
fn fork_interval(text: &str) -> Result<(u64, ForkId), ChainSpecError> {
    let (mut fork, mut first) = (None, None);
    for (field, value) in unique_members(text)? {
        let number = match field.as_str() {
            "forkId" => &mut fork,
            "fromBatchNumber" => &mut first,
            _ => continue,
        };
        // Nodes write 0x and digits.
        let digits = value.get().trim_matches('"');
        let (digits, radix) = digits.strip_prefix("0x").map_or((digits, 10), |digits| (digits, 16));
        // `from_str_radix` alone would take a sign.
        let is_number = digits.chars().all(|digit| digit.is_digit(radix));
        let parsed = u64::from_str_radix(digits, radix).ok().filter(|_| is_number);
        let expected = "a number of at most 64 bits";
        *number = Some(parsed.ok_or_else(|| ChainSpecError::Field { field: field.clone(), expected })?);
    }
    match (first, fork) {
        (Some(first), Some(fork)) => Ok((first, ForkId::try_from(fork)?)),
        _ => Err(ChainSpecError::Field {
            field: "forks".into(),
            expected: "in each of them a forkId and a fromBatchNumber",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{format, string::ToString};

    #[test]
    fn a_specification_is_read_in_full() {
        let json = br#"{"ChainName": "a \"chain\"", "chainId": 7, "londonBlock": 0, "ethash": {"forks": 1}, "forks": [
            {"forkId": "0x9", "fromBatchNumber": "0x1", "toBatchNumber": "0x5", "version": ""},
            {"forkId": "12", "fromBatchNumber": 6}]}"#;
        let spec = ChainSpec::from_json(json).expect("valid");
        assert_eq!((spec.chain_id, spec.name.as_str(), spec.london_genesis), (7, "a \"chain\"", true));
        let fork = |number| ForkId::try_from(number).expect("a fork");
        assert_eq!(spec.forks.intervals(), [(1, fork(9)), (6, fork(12))]);
    }

    #[test]
    fn london_begins_at_genesis_or_it_does_not() {
        for (london, at_genesis) in
            [("0", true), ("0.0", true), ("0e5", true), ("null", false), ("10", false)]
        {
            let json = format!(r#"{{"chainId": 1, "londonBlock": {london}}}"#);
            assert_eq!(
                ChainSpec::from_json(json.as_bytes()).expect("valid").london_genesis,
                at_genesis,
                "{london}"
            );
        }
        let never = br#"{"chainId": 1, "londonBlock": 9999999999999999999999999999999999999999999999999}"#;
        assert!(!ChainSpec::from_json(never).expect("valid").london_genesis);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (json, words) in [
            ("{}", "chainId is missing"),
            (r#"{"chainId": "1"}"#, "chainId: expected a number of at most 64 bits"),
            (r#"{"chainId": -1}"#, "chainId: expected a number of at most 64 bits"),
            (r#"{"chainId": 1, "chainId": 2}"#, "\"chainId\" stands twice"),
            (r#"{"chainId": 1, "ChainName": 2}"#, "ChainName: expected a string"),
            (r#"{"chainId": 1, "londonBlock": "0"}"#, "londonBlock: expected a number"),
            (r#"{"chainId": 1, "forks": {}}"#, "forks: expected a list of forks"),
            (
                r#"{"chainId": 1, "forks": [{"forkId": "0x9"}]}"#,
                "in each of them a forkId and a fromBatchNumber",
            ),
            (
                r#"{"chainId": 1, "forks": [{"forkId": "0x9", "fromBatchNumber": "-1"}]}"#,
                "fromBatchNumber: expected a number of at most 64 bits",
            ),
            (
                r#"{"chainId": 1, "forks": [{"forkId": "0x63", "fromBatchNumber": "0x1"}]}"#,
                "fork 99 is not supported",
            ),
            (
                r#"{"chainId": 1, "forks": [{"forkId": "+9", "fromBatchNumber": "0x1"}]}"#,
                "forkId: expected a number of at most 64 bits",
            ),
            ("[]", "not a chain specification: "),
            ("{\"chainId\": 1", "not a chain specification: "),
        ] {
            let refused = ChainSpec::from_json(json.as_bytes()).expect_err(json).to_string();
            assert!(refused.contains(words), "{json}: {refused}");
        }
    }
}
