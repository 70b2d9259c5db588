//! What a run says at its end: one line, or one JSON object.

use alloy_primitives::B256;
use serde::Serialize;
use std::fmt;
use zk_replica_core::types::{Head, Totals};

/// How a run ended, as far as it concerns the chain. Errors are something else: they leave the question open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "result", rename_all = "lowercase")]
pub(crate) enum Outcome {
    /// All blocks up to the tip agree.
    Verified(Summary),
    /// Asked to stop. All blocks up to the tip agree; a later run continues after it if there is a database.
    Interrupted(Summary),
    /// The first disagreement.
    Mismatch(Disagreement),
}

/// What has been verified, counted from genesis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Summary {
    chain_id: u64,
    blocks: u64,
    transactions: u64,
    batches: u64,
    gas: u64,
    tip: Tip,
    /// A later run can continue from here.
    durable: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Tip {
    number: u64,
    state_root: String,
    hash: String,
}

/// Where the main node and this replica differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Disagreement {
    /// Block in question, or the last one of the batch in question.
    pub(crate) block: u64,
    /// Batch the block belongs to.
    pub(crate) batch: u64,
    /// Which claim.
    pub(crate) claim: String,
    /// What the main node says.
    pub(crate) expected: String,
    /// What came out here.
    pub(crate) computed: String,
}

impl Summary {
    /// `durable`: everything up to `head` is in a database.
    pub(crate) fn new(chain_id: u64, head: &Head, durable: bool) -> Self {
        let Totals { blocks, transactions, batches, gas } = head.totals;
        let hex = |hash: B256| hash.to_string();
        Self {
            chain_id,
            blocks,
            transactions,
            batches,
            gas,
            tip: Tip { number: head.number, state_root: hex(head.state_root), hash: hex(head.hash) },
            durable,
        }
    }
}

impl Outcome {
    /// The process's exit code.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Verified(_) => 0,
            Self::Mismatch(_) => 3,
            // What shells report for a program ended by ctrl-c.
            Self::Interrupted(_) => 130,
        }
    }

    /// One JSON object on one line.
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("an outcome has only numbers and strings")
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Verified(summary) => write!(f, "verified {summary}"),
            Self::Interrupted(summary) => {
                write!(f, "interrupted; verified {summary}; ")?;
                if summary.durable {
                    write!(f, "the next run with this database resumes at block {}", summary.tip.number + 1)
                } else {
                    f.write_str(
                        "the next run starts again from genesis (--db DIR would keep what was verified)",
                    )
                }
            }
            Self::Mismatch(disagreement) => disagreement.fmt(f),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { blocks, transactions, batches, tip, .. } = self;
        let Tip { number, state_root, hash } = tip;
        write!(f, "{blocks} blocks, {transactions} transactions, {batches} batches; ")?;
        write!(f, "tip {number} state root {state_root} hash {hash}")
    }
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { block, batch, claim, expected, computed } = self;
        write!(
            f,
            "mismatch at block {block} (batch {batch}): {claim}: expected {expected}, computed {computed}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(durable: bool) -> Summary {
        let head = Head {
            number: 11_317,
            hash: B256::repeat_byte(2),
            state_root: B256::repeat_byte(1),
            timestamp: 0,
            batch: 101,
            fork_id: 9,
            batch_closed: true,
            totals: Totals { blocks: 11_317, transactions: 465, batches: 101, gas: 7 },
        };
        Summary::new(779, &head, durable)
    }

    #[test]
    fn a_verified_chain_is_one_line() {
        let (ones, twos) = ("01".repeat(32), "02".repeat(32));
        assert_eq!(
            Outcome::Verified(summary(true)).to_string(),
            format!(
                "verified 11317 blocks, 465 transactions, 101 batches; tip 11317 state root 0x{ones} hash 0x{twos}"
            )
        );
        assert_eq!(
            Outcome::Verified(summary(false)).to_json(),
            format!(
                r#"{{"result":"verified","chain_id":779,"blocks":11317,"transactions":465,"batches":101,"gas":7,"tip":{{"number":11317,"state_root":"0x{ones}","hash":"0x{twos}"}},"durable":false}}"#
            )
        );
    }

    #[test]
    fn an_interrupted_run_says_where_it_resumes() {
        let durable = Outcome::Interrupted(summary(true));
        assert!(durable.to_string().ends_with("resumes at block 11318"));
        assert!(Outcome::Interrupted(summary(false)).to_string().contains("from genesis"));
        assert_eq!(durable.exit_code(), 130);
    }

    #[test]
    fn a_mismatch_names_block_claim_and_both_values() {
        let mismatch = Outcome::Mismatch(Disagreement {
            block: 7,
            batch: 2,
            claim: "state root".to_owned(),
            expected: "0x01".to_owned(),
            computed: "0x02".to_owned(),
        });
        let line = "mismatch at block 7 (batch 2): state root: expected 0x01, computed 0x02";
        assert_eq!(mismatch.to_string(), line);
        let json = r#"{"result":"mismatch","block":7,"batch":2,"claim":"state root","expected":"0x01","computed":"0x02"}"#;
        assert_eq!(mismatch.to_json(), json);
        assert_eq!(mismatch.exit_code(), 3);
    }
}
