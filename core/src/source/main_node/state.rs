//! Questions about the state: for a replica that does not hold it. Nothing that is answered here has to be believed: each
//! part of a state has its own hash for a name, and a header the block's.

use super::{
    error::AnswerError,
    json::{self, Object, Value},
};
use alloc::{boxed::Box, format, string::String, vec::Vec};
use alloy_consensus::{EMPTY_OMMER_ROOT_HASH, Header};
use alloy_primitives::{Address, B64, B256, Bloom, Bytes, U256};
use core::fmt::Write as _;

/// A question to whoever has the state. Several go in one body ([`StateRequest::encode`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateRequest {
    /// The whole header of a block.
    Header(u64),
    /// The part of the state before the first of these blocks that executing them needs.
    Witness {
        /// The first block.
        from: u64,
        /// The last block.
        to: u64,
    },
    /// Tree nodes, values and codes, by their hashes ([`crate::rpc`] answers as `zkreplica_getRecords`).
    Records(Vec<B256>),
    /// An account and some of its slots after a block, with proofs.
    Proof {
        /// Whose.
        address: Address,
        /// Which slots.
        slots: Vec<U256>,
        /// After which block.
        block: u64,
    },
    /// The code of an account after a block.
    Code {
        /// Whose.
        address: Address,
        /// After which block.
        block: u64,
    },
    /// What a call looks at.
    AccessList {
        /// The call, as JSON.
        call: String,
        /// After which block.
        block: u64,
    },
}

/// What was answered to a [`StateRequest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateAnswer {
    /// A header; `None` when the main node does not have the block (yet).
    Header(Option<Box<Header>>),
    /// Bytes of a witness.
    Witness(Bytes),
    /// One for each hash, in order; `None` for those that are not there.
    Records(Vec<Option<Bytes>>),
    /// The elements of each proof that was given (`spec/state-tree.md` §6.2), with the slot if it is one's.
    Proofs(Vec<(ProofOf, Vec<Bytes>)>),
    /// Code.
    Code(Bytes),
    /// Accounts and slots, each once for each time it was named.
    AccessList(Vec<(Address, Vec<U256>)>),
}

/// Which leaf of an account a proof is said to be of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProofOf {
    /// Balance in wei.
    Balance,
    /// Nonce.
    Nonce,
    /// Hash of the code.
    CodeHash,
    /// Bytes of code.
    CodeLength,
    /// A storage slot.
    Slot(U256),
}

/// Most accounts and slots of an access list that are looked at: it is only a hint.
const MAX_HINTS: usize = 1024;

impl StateRequest {
    /// One body for all of them, a batch.
    pub fn encode(requests: &[Self]) -> String {
        let mut body = String::from("[");
        for (id, request) in requests.iter().enumerate() {
            if id > 0 {
                body.push(',');
            }
            let (method, params) = request.call();
            let _ = write!(body, r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":[{params}]}}"#);
        }
        body.push(']');
        body
    }

    fn call(&self) -> (&'static str, String) {
        match self {
            Self::Header(number) => ("eth_getBlockByNumber", format!("\"{number:#x}\",false")),
            Self::Witness { from, to } if from == to => {
                ("zkevm_getWitness", format!("\"{from:#x}\",\"trimmed\""))
            }
            Self::Witness { from, to } => {
                ("zkevm_getBlockRangeWitness", format!("\"{from:#x}\",\"{to:#x}\",\"trimmed\""))
            }
            Self::Records(hashes) => ("zkreplica_getRecords", format!("[{}]", list(hashes))),
            Self::Proof { address, slots, block } => {
                let slots: Vec<B256> = slots.iter().map(|slot| B256::from(*slot)).collect();
                ("zkevm_getProof", format!("\"{address:#x}\",[{}],\"{block:#x}\"", list(&slots)))
            }
            Self::Code { address, block } => ("eth_getCode", format!("\"{address:#x}\",\"{block:#x}\"")),
            Self::AccessList { call, block } => ("eth_createAccessList", format!("{call},\"{block:#x}\"")),
        }
    }

    /// Reads the body that came back for the body of [`StateRequest::encode`]: for each request, in order, what was
    /// answered.
    ///
    /// # Errors
    ///
    /// [`AnswerError`] when the body as a whole is no answer.
    pub fn decode(
        requests: &[Self],
        body: &[u8],
    ) -> Result<Vec<Result<StateAnswer, AnswerError>>, AnswerError> {
        let whole = json::parse(body, "the answer")?;
        let Ok(items) = whole.items() else {
            // Who does not take batches answers with one error.
            let object = whole.object()?;
            return Err(match object.get("error") {
                Some(error) => super::request::refusal(error),
                None => whole.unlike("an array"),
            });
        };
        let mut answers: Vec<_> = requests.iter().map(|_| Err(AnswerError::missing("the answer"))).collect();
        for item in items {
            let object = item.object()?;
            let id = object.need("id")?.number()?;
            let position = usize::try_from(id).ok().filter(|position| *position < requests.len());
            let position = position.ok_or(AnswerError::Id)?;
            answers[position] = requests[position].read(&object);
        }
        Ok(answers)
    }

    fn read(&self, envelope: &Object<'_>) -> Result<StateAnswer, AnswerError> {
        if let Some(error) = envelope.get("error") {
            return Err(super::request::refusal(error));
        }
        let result = envelope.present("result").ok_or_else(|| AnswerError::missing("result"))?;
        Ok(match self {
            Self::Header(_) if result.is_null() => StateAnswer::Header(None),
            Self::Header(_) => StateAnswer::Header(Some(Box::new(header(&result.object()?)?))),
            Self::Witness { .. } => StateAnswer::Witness(result.bytes()?),
            Self::Records(hashes) => {
                let items = result.items()?;
                if items.len() != hashes.len() {
                    return Err(result.unlike("one record for each hash"));
                }
                let record = |item: Value<'_>| match item.is_null() {
                    true => Ok(None),
                    false => item.bytes().map(Some),
                };
                StateAnswer::Records(items.into_iter().map(record).collect::<Result<_, _>>()?)
            }
            Self::Proof { .. } => StateAnswer::Proofs(proofs(&result.object()?)?),
            Self::Code { .. } => StateAnswer::Code(result.bytes()?),
            Self::AccessList { .. } => StateAnswer::AccessList(access_list(&result.object()?)?),
        })
    }
}

fn list(hashes: &[B256]) -> String {
    let mut list = String::new();
    for (index, hash) in hashes.iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        let _ = write!(list, "{comma}\"{hash}\"");
    }
    list
}

/// The header that a block object stands for. What these chains have no use for is not looked at: with it the hash would
/// be another one.
fn header(object: &Object<'_>) -> Result<Header, AnswerError> {
    let bloom = object.need("logsBloom")?;
    let logs_bloom = bloom.bytes()?;
    let logs_bloom = Bloom::try_from(logs_bloom.as_ref()).map_err(|_| bloom.unlike("256 bytes"))?;
    let base_fee = object.get("baseFeePerGas").map(|fee| fee.number()).transpose()?;
    Ok(Header {
        parent_hash: object.hash("parentHash")?,
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        beneficiary: object.need("miner")?.address()?,
        state_root: object.hash("stateRoot")?,
        transactions_root: object.hash("transactionsRoot")?,
        receipts_root: object.hash("receiptsRoot")?,
        logs_bloom,
        difficulty: U256::ZERO,
        number: object.number("number")?,
        gas_limit: object.number("gasLimit")?,
        gas_used: object.number("gasUsed")?,
        timestamp: object.number("timestamp")?,
        extra_data: object.get("extraData").map(|data| data.bytes()).transpose()?.unwrap_or_default(),
        mix_hash: object.get("mixHash").map(|hash| hash.hash()).transpose()?.unwrap_or_default(),
        nonce: B64::ZERO,
        base_fee_per_gas: base_fee.filter(|fee| *fee > 0),
        ..Header::default()
    })
}

fn proofs(object: &Object<'_>) -> Result<Vec<(ProofOf, Vec<Bytes>)>, AnswerError> {
    let elements = |value: Value<'_>| -> Result<Vec<Bytes>, AnswerError> {
        value.items()?.into_iter().map(|element| element.bytes()).collect()
    };
    let mut proofs = Vec::new();
    let named = [
        (ProofOf::Balance, "balanceProof"),
        (ProofOf::Nonce, "nonceProof"),
        (ProofOf::CodeHash, "codeHashProof"),
        (ProofOf::CodeLength, "codeLengthProof"),
    ];
    for (of, name) in named {
        if let Some(list) = object.get(name) {
            proofs.push((of, elements(list).map_err(|error| error.within(name))?));
        }
    }
    for (index, item) in
        object.get("storageProof").map_or(Ok(Vec::new()), |items| items.items())?.into_iter().enumerate()
    {
        let read = || -> Result<_, AnswerError> {
            let slot = item.object()?;
            let key = U256::from_be_bytes(slot.need("key")?.word()?.0);
            let list = slot.get("proof").map_or(Ok(Vec::new()), elements)?;
            Ok((ProofOf::Slot(key), list))
        };
        proofs.push(read().map_err(|error| error.within(&format!("storageProof[{index}]")))?);
    }
    Ok(proofs)
}

fn access_list(object: &Object<'_>) -> Result<Vec<(Address, Vec<U256>)>, AnswerError> {
    let (mut list, mut room) = (Vec::new(), MAX_HINTS);
    for item in object.get("accessList").map_or(Ok(Vec::new()), |items| items.items())? {
        let item = item.object()?;
        let mut slots = Vec::new();
        for slot in item.get("storageKeys").map_or(Ok(Vec::new()), |slots| slots.items())? {
            slots.push(U256::from_be_bytes(slot.word()?.0));
        }
        let Some(left) = room.checked_sub(1 + slots.len()) else { break };
        room = left;
        list.push((item.need("address")?.address()?, slots));
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn a_body_has_all_questions_and_its_answers_come_in_any_order() {
        let address = Address::repeat_byte(0xaa);
        let requests = [
            StateRequest::Code { address, block: 7 },
            StateRequest::Proof { address, slots: vec![U256::from(3)], block: 7 },
        ];
        let body = StateRequest::encode(&requests);
        assert!(
            body.starts_with(r#"[{"jsonrpc":"2.0","id":0,"method":"eth_getCode","params":["0xaaaa"#),
            "{body}"
        );
        let slot = format!("[\"{}\"],\"0x7\"]", B256::with_last_byte(3));
        assert!(body.contains(&slot), "{body}");
        let answer =
            br#"[{"id":1,"result":{"balanceProof":["0x01"],"storageProof":[{"key":"0x3","proof":null}]}},
            {"id":0,"result":"0x6001"}]"#;
        let answers = StateRequest::decode(&requests, answer).unwrap();
        assert_eq!(answers[0], Ok(StateAnswer::Code(Bytes::from_static(&[0x60, 1]))));
        let expected =
            vec![(ProofOf::Balance, vec![Bytes::from_static(&[1])]), (ProofOf::Slot(U256::from(3)), vec![])];
        assert_eq!(answers[1], Ok(StateAnswer::Proofs(expected)));
    }

    #[test]
    fn what_is_no_answer_is_named() {
        let requests = [StateRequest::Records(vec![B256::ZERO]), StateRequest::Header(1)];
        let decode = |body: &str| StateRequest::decode(&requests, body.as_bytes());
        assert!(matches!(decode("<html>"), Err(AnswerError::NotJson { .. })));
        assert!(matches!(
            decode(r#"{"id":null,"error":{"code":-32600,"message":"no batches"}}"#),
            Err(AnswerError::Refused { code: -32600, .. })
        ));
        assert_eq!(decode(r#"[{"id":7,"result":null}]"#), Err(AnswerError::Id));
        let answers = decode(r#"[{"id":0,"result":[]},{"id":1,"result":null}]"#).unwrap();
        assert!(matches!(answers[0], Err(AnswerError::Field { .. })));
        assert_eq!(answers[1], Ok(StateAnswer::Header(None)));
        assert!(matches!(&decode("[]").unwrap()[0], Err(AnswerError::Missing { .. })));
    }
}
