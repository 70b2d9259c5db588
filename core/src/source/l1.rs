//! What the rollup's contracts on L1 have in their storage (`spec/sync.md` §4.7).
//!
//! [`L1Query`] asks an L1 node for the last batch that was proved: it does no I/O, the host sends each
//! [`request`](L1Query::request) and hands the answer to [`tell`](L1Query::tell). All answers are about one L1 block, by its
//! hash. The L1 node is believed: it is the operator's own choice. What it says is held against our state by
//! [`Checker::check_consolidated`](crate::checker::Checker::check_consolidated).
//!
//! Read are the slots of `PolygonRollupManager`, so that rollups from fork 7 (Etrog) on can be followed.

use super::main_node::{AnswerError, Value, envelope};
use crate::types::ConsolidatedBatch;
use alloc::{format, string::String};
use alloy_primitives::{Address, B256, U256, keccak256};

/// Where a rollup stands in the storage of its manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RollupStorage {
    /// Address of the `PolygonRollupManager` (its proxy).
    pub manager: Address,
    /// The first slot of the rollup's data.
    first: U256,
}

impl RollupStorage {
    /// The slot of the manager's map from rollup id to rollup data.
    const ROLLUPS: u64 = 129;
    /// Places of members behind the first slot.
    const STATE_ROOTS: u64 = 2;
    const LOCAL_EXIT_ROOT: u64 = 5;
    const PROGRESS: u64 = 6;

    /// The rollup with this id under this manager. Ids begin with 1.
    pub fn new(manager: Address, rollup_id: u32) -> Self {
        Self { manager, first: entry(U256::from(Self::ROLLUPS), U256::from(rollup_id)) }
    }

    /// The rollup contract's address (low 20 bytes) and the chain id (8 bytes above).
    pub fn identity(&self) -> U256 {
        self.first
    }

    /// The local exit root after the last batch that was proved.
    pub fn local_exit_root(&self) -> U256 {
        self.first.wrapping_add(U256::from(Self::LOCAL_EXIT_ROOT))
    }

    /// Numbers of the last batch that was sequenced (low 8 bytes) and proved (8 bytes above).
    pub fn progress(&self) -> U256 {
        self.first.wrapping_add(U256::from(Self::PROGRESS))
    }

    /// The state root after a batch; zero in batches that were proved together with later ones.
    pub fn state_root(&self, batch: u64) -> U256 {
        entry(self.first.wrapping_add(U256::from(Self::STATE_ROOTS)), U256::from(batch))
    }
}

/// The slot of a map's entry, as Solidity lays it out.
fn entry(map: U256, key: U256) -> U256 {
    keccak256([key.to_be_bytes::<32>(), map.to_be_bytes::<32>()].as_flattened()).into()
}

/// What L1 knows of a rollup, as of one L1 block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct L1View {
    /// Number of the L1 block.
    pub l1_block: u64,
    /// The last batch that was sequenced.
    pub last_sequenced: u64,
    /// The last batch that was proved.
    pub consolidated: ConsolidatedBatch,
}

/// Why an answer of the L1 node cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum L1Error {
    /// Not an answer to what was asked.
    #[error("the L1 node's answer about {what} cannot be read: {reason}")]
    Answer {
        /// What was asked for.
        what: &'static str,
        /// What is wrong with the answer.
        reason: AnswerError,
    },
    /// More than an answer can have.
    #[error("the L1 node's answer about {what} is too long")]
    TooLong {
        /// What was asked for.
        what: &'static str,
    },
    /// The L1 node refuses.
    #[error("the L1 node refuses {what}: {message} ({code})")]
    Refused {
        /// What was asked for.
        what: &'static str,
        /// Its code.
        code: i64,
        /// Its words.
        message: String,
    },
    /// The rollup there has another chain id.
    #[error(
        "the rollup manager's entry is of chain {found}, ours is {expected}: wrong address, rollup id or L1"
    )]
    OtherChain {
        /// Our chain id.
        expected: u64,
        /// The one in the contract.
        found: u64,
    },
    /// The state root of the last batch that was proved is not there.
    #[error("the rollup manager has no state root of batch {batch}, which it says is proved")]
    NoStateRoot {
        /// Batch number.
        batch: u64,
    },
}

/// Asks for an [`L1View`], one question after the other.
#[derive(Clone, Debug)]
pub struct L1Query {
    storage: RollupStorage,
    chain_id: u64,
    /// The L1 block tag that is asked for: `finalized`, or on test chains `latest`.
    tag: String,
    known: Known,
}

/// What has been told so far.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    block: Option<L1Block>,
    identity: bool,
    local_exit_root: Option<B256>,
    progress: Option<Progress>,
    state_root: Option<B256>,
}

#[derive(Clone, Copy, Debug)]
struct L1Block {
    number: u64,
    hash: B256,
}

#[derive(Clone, Copy, Debug)]
struct Progress {
    sequenced: u64,
    proved: u64,
}

/// Answers are a word or a part of a block header: longer ones need not be parsed.
const LONGEST_ANSWER: usize = 1 << 20;

impl L1Query {
    /// A query about the rollup of chain `chain_id`, as of the L1 block that `tag` names: `finalized` unless that L1 has
    /// no finality.
    pub fn new(storage: RollupStorage, chain_id: u64, tag: impl Into<String>) -> Self {
        Self { storage, chain_id, tag: tag.into(), known: Known::default() }
    }

    /// The JSON-RPC request that is to be sent now; `None` when all is known.
    pub fn request(&self) -> Option<String> {
        let Some(L1Block { hash, .. }) = self.known.block else {
            let tag = serde_json::Value::from(self.tag.as_str());
            return Some(call("eth_getBlockByNumber", &format!("{tag},false")));
        };
        let (_, slot) = self.slot()?;
        let (manager, slot) = (self.storage.manager, B256::from(slot));
        let at = format!(r#"{{"blockHash":"{hash}","requireCanonical":true}}"#);
        Some(call("eth_getStorageAt", &format!(r#""{manager:#x}","{slot}",{at}"#)))
    }

    /// Takes the answer to the last request.
    ///
    /// # Errors
    ///
    /// [`L1Error`] when it cannot be used. Begin again with a new query.
    pub fn tell(&mut self, answer: &[u8]) -> Result<(), L1Error> {
        if self.known.block.is_none() {
            let what = "its last block";
            let block = result(answer, what)?
                .object()
                .and_then(|block| Ok(L1Block { number: block.number("number")?, hash: block.hash("hash")? }));
            self.known.block = Some(block.map_err(|reason| unread(what, reason))?);
            return Ok(());
        }
        let Some((what, _)) = self.slot() else {
            return Ok(());
        };
        let word = result(answer, what)?.hash().map_err(|reason| unread(what, reason))?;
        self.learn(word)
    }

    /// What L1 knows, once all was asked.
    pub fn view(&self) -> Option<L1View> {
        let Known { block, local_exit_root, progress, state_root, .. } = self.known;
        let progress = progress?;
        Some(L1View {
            l1_block: block?.number,
            last_sequenced: progress.sequenced,
            consolidated: ConsolidatedBatch {
                number: progress.proved,
                state_root: state_root?,
                local_exit_root: local_exit_root?,
            },
        })
    }

    /// The slot whose word comes next.
    fn slot(&self) -> Option<(&'static str, U256)> {
        let Self { storage, known, .. } = self;
        Some(match known {
            Known { identity: false, .. } => ("the rollup's identity", storage.identity()),
            Known { progress: None, .. } => ("the rollup's progress", storage.progress()),
            Known { local_exit_root: None, .. } => ("the local exit root", storage.local_exit_root()),
            Known { state_root: None, progress: Some(progress), .. } => {
                ("a proved state root", storage.state_root(progress.proved))
            }
            Known { state_root: Some(_), .. } => return None,
        })
    }

    fn learn(&mut self, word: B256) -> Result<(), L1Error> {
        let known = &mut self.known;
        // 8 bytes each, low first.
        let part = |index: usize| U256::from_be_bytes(word.0).as_limbs()[index];
        if !known.identity {
            // Behind the 20 bytes of the address: the upper half of limb 2 and the lower half of limb 3.
            let found = (part(2) >> 32) | (part(3) << 32);
            if found != self.chain_id {
                return Err(L1Error::OtherChain { expected: self.chain_id, found });
            }
            known.identity = true;
        } else if known.progress.is_none() {
            known.progress = Some(Progress { sequenced: part(0), proved: part(1) });
        } else if known.local_exit_root.is_none() {
            known.local_exit_root = Some(word);
        } else if let Some(Progress { proved, .. }) = known.progress {
            if word.is_zero() {
                return Err(L1Error::NoStateRoot { batch: proved });
            }
            known.state_root = Some(word);
        }
        Ok(())
    }
}

fn call(method: &str, params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":[{params}]}}"#)
}

/// The result of an answer about `what`.
fn result<'a>(answer: &'a [u8], what: &'static str) -> Result<Value<'a>, L1Error> {
    if answer.len() > LONGEST_ANSWER {
        return Err(L1Error::TooLong { what });
    }
    envelope(answer).and_then(|members| members.need("result")).map_err(|reason| unread(what, reason))
}

fn unread(what: &'static str, reason: AnswerError) -> L1Error {
    match reason {
        AnswerError::Refused { code, message } => L1Error::Refused { what, code, message },
        reason => L1Error::Answer { what, reason },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloy_primitives::b256;
    use serde_json::json;

    const MANAGER: Address = Address::repeat_byte(0x11);
    const ROOT: B256 = B256::repeat_byte(7);
    const EXITS: B256 = B256::repeat_byte(8);

    #[test]
    fn slots_are_where_the_contract_has_them() {
        let storage = RollupStorage::new(MANAGER, 1);
        let slots = [storage.identity(), storage.state_root(1)].map(B256::from);
        assert_eq!(
            slots,
            [
                b256!("872978266e5c84cf01226e34dea843fee7795bbe067d4f8fa97cd8a4a4f92ae6"),
                b256!("d192c647dbe91da4dd3cd58276f68a37dc7c2cee58bda2933621eb6d9e8511d0"),
            ]
        );
        assert_eq!(storage.progress() - storage.local_exit_root(), U256::from(1));
    }

    fn query() -> L1Query {
        L1Query::new(RollupStorage::new(MANAGER, 1), 779, "finalized")
    }

    fn answer(word: B256) -> String {
        json!({ "jsonrpc": "2.0", "id": 1, "result": word }).to_string()
    }

    fn identity(chain_id: u64) -> B256 {
        B256::from(U256::from(chain_id) << 160 | U256::from_be_slice(Address::repeat_byte(0xee).as_slice()))
    }

    fn block() -> String {
        json!({ "id": 1, "result": { "number": "0x5b8d80", "hash": B256::repeat_byte(1), "miner": MANAGER } })
            .to_string()
    }

    #[test]
    fn it_asks_for_one_block_by_its_hash_and_reads_the_proved_batch() {
        let mut query = query();
        assert!(query.request().unwrap().contains(r#""params":["finalized",false]"#));
        let progress = B256::from(U256::from(40) << 64 | U256::from(57));
        for word in [block(), answer(identity(779)), answer(progress), answer(EXITS), answer(ROOT)] {
            assert_eq!(query.view(), None);
            query.tell(word.as_bytes()).unwrap();
            if let Some(request) = query.request() {
                assert!(request.contains(&B256::repeat_byte(1).to_string()), "{request}");
            }
        }
        assert_eq!(query.request(), None);
        let consolidated = ConsolidatedBatch { number: 40, state_root: ROOT, local_exit_root: EXITS };
        assert_eq!(query.view(), Some(L1View { l1_block: 6_000_000, last_sequenced: 57, consolidated }));
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        let told = |answers: &[&str]| {
            let mut query = query();
            answers.iter().try_for_each(|answer| query.tell(answer.as_bytes())).unwrap_err().to_string()
        };
        let (block, first) = (block(), answer(identity(779)));
        assert!(told(&["<html>"]).contains("about its last block cannot be read"));
        assert!(told(&[r#"{"result":null}"#]).contains("its last block cannot be read: result is missing"));
        let refusal = r#"{"error":{"code":-32000,"message":"header not found"}}"#;
        assert!(
            told(&[&block, refusal]).contains("refuses the rollup's identity: header not found (-32000)")
        );
        assert!(told(&[&block, r#"{"result":"0x12"}"#]).contains("the rollup's identity cannot be read"));
        assert!(told(&[&block, &answer(identity(1101))]).contains("of chain 1101, ours is 779"));
        let zero = answer(B256::ZERO);
        assert!(told(&[&block, &first, &zero, &zero, &zero]).contains("no state root of batch 0"));
        let long = " ".repeat(LONGEST_ANSWER + 1);
        assert!(told(&[&long]).contains("too long"));
    }
}
