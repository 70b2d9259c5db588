//! The L1 transactions in which a sequencer says what its batches are: call data of the rollup contract
//! (`spec/sync.md` §4.3).
//!
//! [`SequenceCall::decode`] reads what the contract would read, by the function that is called: which fork a batch runs
//! under is another question. Nobody has to be believed: the contract has put a hash of all of it (`accInputHash`,
//! §4.5) into its storage, and the call data may come from anywhere. What the batches' data means is not decided here.
//!
//! ```
//! # use alloy_primitives::{Address, B256, hex};
//! use zk_replica_core::source::sequence::SequenceCall;
//!
//! let mut call = hex!("9f26f840").to_vec();
//! // Where the list is, and how long it is; where its element is; where the element's bytes are, and the rest of it.
//! for word in [32, 1, 32, 128, 0, 7, 0, 2] {
//!     call.extend(B256::with_last_byte(word));
//! }
//! call.extend([0xab, 0xcd]);
//! let SequenceCall::Forced { batches } = SequenceCall::decode(&call.into())? else { panic!("another function") };
//! assert_eq!(batches[0].forced_timestamp, 7);
//! # Ok::<(), zk_replica_core::source::sequence::SequenceError>(())
//! ```
// Decoded by hand: alloy-sol-types would bring a parser of Solidity and nine more crates to read nine functions.

use alloc::vec::Vec;
use alloy_primitives::{Address, B256, Bytes, FixedBytes, U256, keccak256};

/// A call of one of the functions that sequence batches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SequenceCall {
    /// `sequenceBatches` before fork 7 (Etrog): `0x5e9145c9`.
    PreEtrog {
        /// The batches in order.
        batches: Vec<PreEtrogBatch>,
        /// Receiver of the fees of all of them.
        coinbase: Address,
    },
    /// `sequenceForceBatches` before fork 7: `0xd8d1091b`. The caller receives the fees.
    PreEtrogForced {
        /// The batches in order.
        batches: Vec<PreEtrogForcedBatch>,
    },
    /// `sequenceBatches` (`0xecef3f99`, `0xdef57e54`, `0xb910e0f9`) and `sequenceBatchesValidium` (`0x2d72c248`,
    /// `0xdb5b0ed7`, `0x165e8a8d`) from fork 7 on.
    Etrog {
        /// The batches in order.
        batches: Vec<Batch>,
        /// What else bounds them.
        bounds: Bounds,
        /// Receiver of the fees of all of them.
        coinbase: Address,
        /// Of a validium: signatures of the committee that keeps the data, then its addresses.
        data_availability: Option<Bytes>,
    },
    /// `sequenceForceBatches` from fork 7 on: `0x9f26f840`. The caller receives the fees.
    Forced {
        /// The batches in order.
        batches: Vec<Batch>,
    },
}

/// A batch before fork 7 (Etrog).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreEtrogBatch {
    /// Encoded transactions.
    pub transactions: Bytes,
    /// Global exit root that it brings in, or zero.
    pub global_exit_root: B256,
    /// Timestamp of its blocks.
    pub timestamp: u64,
    /// Of a forced batch: the earliest timestamp it may have. Else zero.
    pub min_forced_timestamp: u64,
}

/// A batch that its owner forces before fork 7 (Etrog).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreEtrogForcedBatch {
    /// Encoded transactions.
    pub transactions: Bytes,
    /// Global exit root that it brings in.
    pub global_exit_root: B256,
    /// The earliest timestamp it may have.
    pub min_forced_timestamp: u64,
}

/// A batch from fork 7 (Etrog) on. What is forced is zero in a batch that is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Its blocks and transactions.
    pub data: BatchData,
    /// Global exit root that a forced batch brings in.
    pub forced_global_exit_root: B256,
    /// Timestamp of a forced batch.
    pub forced_timestamp: u64,
    /// L1 block hash that belongs to the global exit root.
    pub forced_block_hash: B256,
}

/// Blocks and transactions of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BatchData {
    /// Encoded.
    Encoded(Bytes),
    /// The encoding's keccak hash; the data is with the committee of a validium.
    Hash(B256),
}

impl BatchData {
    /// Keccak hash of the encoding. Whatever has this hash is the data.
    pub fn hash(&self) -> B256 {
        match self {
            Self::Encoded(data) => keccak256(data),
            Self::Hash(hash) => *hash,
        }
    }
}

/// What a sequence says of itself beside its batches; it differs between versions of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bounds {
    /// Nothing: the L1 block's timestamp is the latest that a block may have (fork 7).
    Etrog,
    /// Forks 8 to 11.
    Elderberry {
        /// The latest timestamp that a block may have.
        max_timestamp: u64,
        /// Number of the batch before the first one.
        previous_batch: u64,
    },
    /// From fork 12 on.
    Banana {
        /// How many leaves the L1 info tree has of which the batches may import.
        l1_info_leaves: u32,
        /// The latest timestamp that a block may have.
        max_timestamp: u64,
        /// What the contract has to find as the hash of it all.
        final_acc_input_hash: B256,
    },
}

/// Why call data is not that of a sequence. `at` counts bytes from the first of the selector, which is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SequenceError {
    /// Another function.
    #[error("{0} is no function that sequences batches")]
    Selector(FixedBytes<4>),
    /// Something has to be where nothing is any more.
    #[error("the call data has {length} bytes and ends within what begins at byte {at}")]
    Truncated {
        /// Where it begins.
        at: usize,
        /// How much call data there is.
        length: usize,
    },
    /// An offset or a length is larger than the call data.
    #[error("byte {at}: {found} leads beyond the call data")]
    Beyond {
        /// Where the word stands.
        at: usize,
        /// What stands there.
        found: U256,
    },
    /// A number does not fit into its type, which a contract refuses.
    #[error("byte {at}: {found} has more than {bits} bits")]
    TooLarge {
        /// Where the word stands.
        at: usize,
        /// What stands there.
        found: U256,
        /// How many bits there may be.
        bits: usize,
    },
    /// A contract takes at least one batch and at most 1000.
    #[error("a sequence of {0} batches, not 1 to 1000")]
    Count(U256),
    /// A batch has more data than the contract takes.
    #[error("byte {at}: a batch of {found} bytes, at most {most}")]
    TooLong {
        /// Where the batch stands.
        at: usize,
        /// How long its data is.
        found: usize,
        /// How long it may be.
        most: usize,
    },
    /// Byte strings use the same bytes, so that together they are longer than the call data. No encoder does this, and
    /// it would make little data a lot.
    #[error("the batches have more bytes than the call data")]
    Overlapping,
}

impl SequenceCall {
    /// The most batches that one call may have (zkevm-contracts, `_MAX_VERIFY_BATCHES`).
    pub const MAX_BATCHES: usize = 1000;
    /// The most bytes of a batch (`spec/sync.md` §3.5). It is the contract's limit; execution knows none.
    pub const MAX_BATCH_BYTES: usize = 120_000;
    /// The most bytes of a forced batch.
    pub const MAX_FORCED_BATCH_BYTES: usize = 5_000;

    /// Reads call data as the contract would: offsets lead where they lead, integers must fit, and what nothing leads
    /// to is ignored. The batches' bytes are not copied.
    ///
    /// # Errors
    ///
    /// [`SequenceError`] for another function, and for arguments that its contract would refuse to read.
    pub fn decode(call_data: &Bytes) -> Result<Self, SequenceError> {
        let length = call_data.len();
        let selector = call_data.first_chunk::<4>().ok_or(SequenceError::Truncated { at: 0, length })?;
        let mut abi = Abi { call_data, unused: length };
        match *selector {
            [0x5e, 0x91, 0x45, 0xc9] => Ok(Self::PreEtrog {
                batches: abi.list(argument(0), Abi::pointed, Abi::pre_etrog)?,
                coinbase: abi.address(argument(1))?,
            }),
            [0xd8, 0xd1, 0x09, 0x1b] => {
                let batches = abi.list(argument(0), Abi::pointed, Abi::pre_etrog_forced)?;
                Ok(Self::PreEtrogForced { batches })
            }
            [0x9f, 0x26, 0xf8, 0x40] => {
                Ok(Self::Forced { batches: abi.list(argument(0), Abi::pointed, Abi::encoded_batch)? })
            }
            [0xec, 0xef, 0x3f, 0x99] => abi.rollup(Abi::etrog),
            [0xde, 0xf5, 0x7e, 0x54] => abi.rollup(Abi::elderberry),
            [0xb9, 0x10, 0xe0, 0xf9] => abi.rollup(Abi::banana),
            [0x2d, 0x72, 0xc2, 0x48] => abi.validium(Abi::etrog),
            [0xdb, 0x5b, 0x0e, 0xd7] => abi.validium(Abi::elderberry),
            [0x16, 0x5e, 0x8a, 0x8d] => abi.validium(Abi::banana),
            other => Err(SequenceError::Selector(other.into())),
        }
    }

    /// How many batches there are: their numbers end with the one in the event of the call.
    pub fn batch_count(&self) -> usize {
        match self {
            Self::PreEtrog { batches, .. } => batches.len(),
            Self::PreEtrogForced { batches } => batches.len(),
            Self::Etrog { batches, .. } | Self::Forced { batches } => batches.len(),
        }
    }
}

/// Bytes of a word, of which everything in call data consists behind the selector.
const WORD: usize = 32;

/// Where the arguments begin.
const ARGUMENTS: usize = 4;

/// Where the word of an argument stands.
const fn argument(number: usize) -> usize {
    ARGUMENTS + number * WORD
}

/// Call data in the encoding of Solidity's contracts (its documentation, "Contract ABI Specification").
struct Abi<'c> {
    call_data: &'c Bytes,
    /// How many bytes byte strings may still have.
    unused: usize,
}

impl Abi<'_> {
    fn rollup(&mut self, bounds: impl Fn(&Self) -> Result<(Bounds, usize), SequenceError>) -> Decoded {
        let batches = self.list(argument(0), Self::pointed, Self::encoded_batch)?;
        let (bounds, coinbase) = bounds(self)?;
        let coinbase = self.address(coinbase)?;
        Ok(SequenceCall::Etrog { batches, bounds, coinbase, data_availability: None })
    }

    fn validium(&mut self, bounds: impl Fn(&Self) -> Result<(Bounds, usize), SequenceError>) -> Decoded {
        let batches = self.list(argument(0), Self::in_place, Self::hashed_batch)?;
        let (bounds, at) = bounds(self)?;
        let coinbase = self.address(at)?;
        let data_availability = Some(self.bytes(ARGUMENTS, at + WORD)?);
        Ok(SequenceCall::Etrog { batches, bounds, coinbase, data_availability })
    }

    /// The bounds, and where the next argument stands.
    fn etrog(&self) -> Result<(Bounds, usize), SequenceError> {
        Ok((Bounds::Etrog, argument(1)))
    }

    fn elderberry(&self) -> Result<(Bounds, usize), SequenceError> {
        let bounds = Bounds::Elderberry {
            max_timestamp: self.number(argument(1))?,
            previous_batch: self.number(argument(2))?,
        };
        Ok((bounds, argument(3)))
    }

    fn banana(&self) -> Result<(Bounds, usize), SequenceError> {
        let bounds = Bounds::Banana {
            l1_info_leaves: self.number(argument(1))?,
            max_timestamp: self.number(argument(2))?,
            final_acc_input_hash: self.word(argument(3))?,
        };
        Ok((bounds, argument(4)))
    }

    fn pre_etrog(&mut self, at: usize) -> Result<PreEtrogBatch, SequenceError> {
        let min_forced_timestamp = self.number(at + 3 * WORD)?;
        Ok(PreEtrogBatch {
            transactions: self.data(at, min_forced_timestamp != 0)?,
            global_exit_root: self.word(at + WORD)?,
            timestamp: self.number(at + 2 * WORD)?,
            min_forced_timestamp,
        })
    }

    fn pre_etrog_forced(&mut self, at: usize) -> Result<PreEtrogForcedBatch, SequenceError> {
        Ok(PreEtrogForcedBatch {
            transactions: self.data(at, true)?,
            global_exit_root: self.word(at + WORD)?,
            min_forced_timestamp: self.number(at + 2 * WORD)?,
        })
    }

    fn encoded_batch(&mut self, at: usize) -> Result<Batch, SequenceError> {
        let mut batch = self.batch(at, BatchData::Encoded(Bytes::new()))?;
        batch.data = BatchData::Encoded(self.data(at, batch.forced_timestamp != 0)?);
        Ok(batch)
    }

    /// The data of the batch at `at`.
    fn data(&mut self, at: usize, is_forced: bool) -> Result<Bytes, SequenceError> {
        let most =
            if is_forced { SequenceCall::MAX_FORCED_BATCH_BYTES } else { SequenceCall::MAX_BATCH_BYTES };
        let data = self.bytes(at, at)?;
        match data.len() {
            found if found > most => Err(SequenceError::TooLong { at, found, most }),
            _ => Ok(data),
        }
    }

    fn hashed_batch(&mut self, at: usize) -> Result<Batch, SequenceError> {
        let data = BatchData::Hash(self.word(at)?);
        self.batch(at, data)
    }

    fn batch(&self, at: usize, data: BatchData) -> Result<Batch, SequenceError> {
        Ok(Batch {
            data,
            forced_global_exit_root: self.word(at + WORD)?,
            forced_timestamp: self.number(at + 2 * WORD)?,
            forced_block_hash: self.word(at + 3 * WORD)?,
        })
    }

    /// The list of batches that the word at `at` leads to, each at the place that `place` finds and as `read` reads it.
    fn list<T>(
        &mut self,
        at: usize,
        place: impl Fn(&Self, usize, usize) -> Result<usize, SequenceError>,
        read: impl Fn(&mut Self, usize) -> Result<T, SequenceError>,
    ) -> Result<Vec<T>, SequenceError> {
        let list = self.follow(ARGUMENTS, at)?;
        let count = U256::from_be_bytes(self.word(list)?.0);
        match usize::try_from(count) {
            Ok(count @ 1..=SequenceCall::MAX_BATCHES) => (0..count)
                .map(|index| {
                    let at = place(self, list + WORD, index)?;
                    read(self, at)
                })
                .collect(),
            _ => Err(SequenceError::Count(count)),
        }
    }

    /// Where the element of a list is whose elements begin at `first`, if they vary in length.
    fn pointed(&self, first: usize, index: usize) -> Result<usize, SequenceError> {
        self.follow(first, first + index * WORD)
    }

    /// The same if each has four words.
    fn in_place(&self, first: usize, index: usize) -> Result<usize, SequenceError> {
        Ok(first + index * 4 * WORD)
    }

    /// Where the offset in the word at `at` leads, from `base`.
    fn follow(&self, base: usize, at: usize) -> Result<usize, SequenceError> {
        // Nothing is at the end of memory.
        Ok(base.saturating_add(self.size(at)?))
    }

    /// The byte string to which the word at `at` leads from `base`.
    fn bytes(&mut self, base: usize, at: usize) -> Result<Bytes, SequenceError> {
        let at = self.follow(base, at)?;
        let length = self.size(at)?;
        let from = at + WORD;
        let to = from.saturating_add(length);
        if to > self.call_data.len() {
            return Err(SequenceError::Truncated { at: from, length: self.call_data.len() });
        }
        self.unused = self.unused.checked_sub(length).ok_or(SequenceError::Overlapping)?;
        Ok(self.call_data.slice(from..to))
    }

    /// An offset or a length, which is not larger than the call data.
    fn size(&self, at: usize) -> Result<usize, SequenceError> {
        let found = U256::from_be_bytes(self.word(at)?.0);
        let size = usize::try_from(found).ok().filter(|size| *size <= self.call_data.len());
        size.ok_or(SequenceError::Beyond { at, found })
    }

    /// An unsigned integer in a word of its own.
    fn number<N: TryFrom<U256>>(&self, at: usize) -> Result<N, SequenceError> {
        let found = U256::from_be_bytes(self.word(at)?.0);
        N::try_from(found).map_err(|_| SequenceError::TooLarge { at, found, bits: 8 * size_of::<N>() })
    }

    fn address(&self, at: usize) -> Result<Address, SequenceError> {
        let word = self.word(at)?;
        if word[..12] != [0; 12] {
            return Err(SequenceError::TooLarge { at, found: word.into(), bits: 160 });
        }
        Ok(Address::from_word(word))
    }

    fn word(&self, at: usize) -> Result<B256, SequenceError> {
        let word = self.call_data.get(at..).and_then(<[u8]>::first_chunk::<WORD>);
        word.map(B256::from).ok_or(SequenceError::Truncated { at, length: self.call_data.len() })
    }
}

type Decoded = Result<SequenceCall, SequenceError>;

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use proptest::prelude::*;

    const FUNCTIONS: [u32; 9] = [
        0x5e91_45c9,
        0xd8d1_091b,
        0x9f26_f840,
        0xecef_3f99,
        0xdef5_7e54,
        0xb910_e0f9,
        0x2d72_c248,
        0xdb5b_0ed7,
        0x165e_8a8d,
    ];

    /// A word.
    fn w(number: usize) -> [u8; WORD] {
        U256::from(number).to_be_bytes()
    }

    /// A byte string with its length and padding.
    fn string(bytes: &[u8]) -> Vec<u8> {
        let padding = bytes.len().next_multiple_of(WORD) - bytes.len();
        [&w(bytes.len()), bytes, &vec![0; padding]].concat()
    }

    /// A sequence of batches with these bytes, as an encoder makes it. Numbers are told by `number`, starting with 1.
    #[derive(Clone, Debug)]
    struct Sequence {
        function: u32,
        batches: Vec<Vec<u8>>,
        message: Vec<u8>,
    }

    impl Sequence {
        fn is_validium(&self) -> bool {
            [0x2d72_c248, 0xdb5b_0ed7, 0x165e_8a8d].contains(&self.function)
        }

        /// How many words there are between the batches and the message.
        fn words(&self) -> usize {
            match self.function {
                0xd8d1_091b | 0x9f26_f840 => 0,
                0x5e91_45c9 | 0xecef_3f99 | 0x2d72_c248 => 1,
                0xdef5_7e54 | 0xdb5b_0ed7 => 3,
                _ => 4,
            }
        }

        /// How many words of a batch follow on its data.
        fn batch_words(&self) -> usize {
            if self.function == 0xd8d1_091b { 2 } else { 3 }
        }

        fn encode(&self) -> Bytes {
            let head = 1 + self.words() + usize::from(self.is_validium());
            let rest = |batch: usize| (1..=self.batch_words()).flat_map(move |field| w(100 * batch + field));
            let mut list = w(self.batches.len()).to_vec();
            if self.is_validium() {
                for (number, batch) in self.batches.iter().enumerate() {
                    list.extend(keccak256(batch));
                    list.extend(rest(number));
                }
            } else {
                let batches = self.batches.iter().enumerate().map(|(number, batch)| {
                    let words = w(WORD * (1 + self.batch_words())).into_iter().chain(rest(number));
                    words.chain(string(batch)).collect::<Vec<u8>>()
                });
                let batches: Vec<_> = batches.collect();
                let mut offset = batches.len() * WORD;
                for batch in &batches {
                    list.extend(w(offset));
                    offset += batch.len();
                }
                list.extend(batches.concat());
            }
            let mut call_data = self.function.to_be_bytes().to_vec();
            call_data.extend(w(head * WORD));
            (1..=self.words()).for_each(|number| call_data.extend(w(number)));
            if self.is_validium() {
                call_data.extend(w(head * WORD + list.len()));
                list.extend(string(&self.message));
            }
            call_data.extend(list);
            call_data.into()
        }

        /// What has been encoded.
        fn expected(&self) -> SequenceCall {
            let word = |number: usize| B256::from(w(number));
            let coinbase = Address::from_word(word(self.words()));
            let numbered = || self.batches.iter().zip((0..).step_by(100));
            let data = |batch: &Vec<u8>| match self.is_validium() {
                true => BatchData::Hash(keccak256(batch)),
                false => BatchData::Encoded(batch.clone().into()),
            };
            let batches = numbered().map(|(batch, number)| Batch {
                data: data(batch),
                forced_global_exit_root: word(number + 1),
                forced_timestamp: number as u64 + 2,
                forced_block_hash: word(number + 3),
            });
            let bounds = match self.words() {
                3 => Bounds::Elderberry { max_timestamp: 1, previous_batch: 2 },
                4 => Bounds::Banana { l1_info_leaves: 1, max_timestamp: 2, final_acc_input_hash: word(3) },
                _ => Bounds::Etrog,
            };
            match self.function {
                0x5e91_45c9 => {
                    let batches = numbered().map(|(batch, number)| PreEtrogBatch {
                        transactions: batch.clone().into(),
                        global_exit_root: word(number + 1),
                        timestamp: number as u64 + 2,
                        min_forced_timestamp: number as u64 + 3,
                    });
                    SequenceCall::PreEtrog { batches: batches.collect(), coinbase }
                }
                0xd8d1_091b => {
                    let batches = numbered().map(|(batch, number)| PreEtrogForcedBatch {
                        transactions: batch.clone().into(),
                        global_exit_root: word(number + 1),
                        min_forced_timestamp: number as u64 + 2,
                    });
                    SequenceCall::PreEtrogForced { batches: batches.collect() }
                }
                0x9f26_f840 => SequenceCall::Forced { batches: batches.collect() },
                _ => SequenceCall::Etrog {
                    batches: batches.collect(),
                    bounds,
                    coinbase,
                    data_availability: self.is_validium().then(|| self.message.clone().into()),
                },
            }
        }
    }

    fn sequences() -> impl Strategy<Value = Sequence> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..70);
        (prop::sample::select(&FUNCTIONS[..]), prop::collection::vec(bytes(), 1..5), bytes())
            .prop_map(|(function, batches, message)| Sequence { function, batches, message })
    }

    fn simple(function: u32) -> Sequence {
        Sequence { function, batches: vec![vec![1, 2, 3], vec![4]], message: vec![5; 33] }
    }

    /// The call data of [`simple`] with another word at `at`.
    fn altered(function: u32, at: usize, word: U256) -> Result<SequenceCall, SequenceError> {
        let mut call_data = simple(function).encode().to_vec();
        call_data[at..at + WORD].copy_from_slice(&word.to_be_bytes::<WORD>());
        SequenceCall::decode(&call_data.into())
    }

    #[test]
    fn other_functions_are_refused() {
        // forceBatch(bytes,uint256)
        let call_data = Bytes::from_static(&[0xea, 0xeb, 0x07, 0x7b, 0, 0]);
        let selector = FixedBytes([0xea, 0xeb, 0x07, 0x7b]);
        assert_eq!(SequenceCall::decode(&call_data), Err(SequenceError::Selector(selector)));
        let short = Bytes::from_static(&[0x9f, 0x26, 0xf8]);
        assert_eq!(SequenceCall::decode(&short), Err(SequenceError::Truncated { at: 0, length: 3 }));
    }

    #[test]
    fn a_sequence_has_1_to_1000_batches() {
        for function in FUNCTIONS {
            let list = argument(1 + simple(function).words() + usize::from(simple(function).is_validium()));
            for found in [U256::ZERO, U256::from(1001), U256::MAX] {
                assert_eq!(altered(function, list, found), Err(SequenceError::Count(found)));
            }
            let most = Sequence { batches: vec![vec![1]; 1000], ..simple(function) };
            assert_eq!(SequenceCall::decode(&most.encode()).map(|call| call.batch_count()), Ok(1000));
        }
    }

    #[test]
    fn numbers_fit_their_types() {
        let too_large = |at, found, bits| Err(SequenceError::TooLarge { at, found, bits });
        let (leaves, timestamp, coinbase) = (argument(1), argument(2), argument(4));
        for function in [0xb910_e0f9, 0x165e_8a8d] {
            for (at, bits) in [(leaves, 32), (timestamp, 64), (coinbase, 160)] {
                let found = U256::ONE << bits;
                assert_eq!(altered(function, at, found), too_large(at, found, bits));
                assert!(altered(function, at, found - U256::ONE).is_ok());
            }
        }
    }

    #[test]
    fn offsets_lead_where_they_lead() {
        let sequence = simple(0x9f26_f840);
        let call_data = sequence.encode().to_vec();
        // The offsets of the two batches change places, and so do the batches; what follows at the end is ignored.
        let (first, second) = (argument(2), argument(3));
        let mut swapped = [&call_data[..], &[9; 40]].concat();
        swapped[first..second].copy_from_slice(&call_data[second..second + WORD]);
        swapped[second..second + WORD].copy_from_slice(&call_data[first..second]);
        let (SequenceCall::Forced { mut batches }, Ok(found)) =
            (sequence.expected(), SequenceCall::decode(&swapped.into()))
        else {
            unreachable!("another function");
        };
        batches.reverse();
        assert_eq!(found, SequenceCall::Forced { batches });
    }

    #[test]
    fn nothing_leads_beyond_the_end() {
        for function in FUNCTIONS {
            for found in [U256::from(10_000), U256::from(u64::MAX), U256::MAX, U256::MAX - U256::from(31)] {
                let at = argument(0);
                assert_eq!(altered(function, at, found), Err(SequenceError::Beyond { at, found }));
            }
        }
    }

    #[test]
    fn bytes_are_used_once() {
        let mut call_data = 0x9f26_f840_u32.to_be_bytes().to_vec();
        call_data.extend(w(WORD));
        call_data.extend(w(1000));
        // Every batch is the same one, which begins behind the offsets.
        call_data.extend(w(1000 * WORD).repeat(1000));
        [4 * WORD, 0, 0, 0].iter().for_each(|word| call_data.extend(w(*word)));
        call_data.extend(string(&[1; 33]));
        assert_eq!(SequenceCall::decode(&call_data.into()), Err(SequenceError::Overlapping));
    }

    #[test]
    fn a_hash_stands_for_its_data() {
        let data = BatchData::Encoded(Bytes::from_static(b"data"));
        assert_eq!(data.hash(), keccak256(b"data"));
        assert_eq!(BatchData::Hash(data.hash()).hash(), data.hash());
    }

    #[test]
    fn a_batch_is_as_long_as_the_contract_takes() {
        let call = |function, length| {
            let batches = vec![vec![7; length]];
            SequenceCall::decode(&Sequence { function, batches, message: Vec::new() }.encode())
        };
        // The encoder makes forced batches.
        for function in [0x5e91_45c9, 0xd8d1_091b, 0x9f26_f840, 0xecef_3f99] {
            assert!(call(function, 5_000).is_ok(), "{function:#x}");
            let refused = call(function, 5_001);
            assert!(
                matches!(refused, Err(SequenceError::TooLong { found: 5_001, most: 5_000, .. })),
                "{refused:?}"
            );
        }
        let free = |length| {
            let batches = vec![vec![7; length]];
            let mut call = Sequence { function: 0xecef_3f99, batches, message: Vec::new() }.encode().to_vec();
            // Two arguments, the count, the batch's offset, and of the batch the data's offset and the exit root.
            let timestamp = ARGUMENTS + 6 * WORD;
            call[timestamp..timestamp + WORD].fill(0);
            SequenceCall::decode(&call.into())
        };
        assert!(free(120_000).is_ok());
        assert!(matches!(free(120_001), Err(SequenceError::TooLong { found: 120_001, most: 120_000, .. })));
        // A validium's data is elsewhere.
        assert!(call(0x2d72_c248, 200_000).is_ok());
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(sequence in sequences()) {
            let call = SequenceCall::decode(&sequence.encode());
            prop_assert_eq!(call.as_ref(), Ok(&sequence.expected()));
            prop_assert_eq!(call.map(|call| call.batch_count()), Ok(sequence.batches.len()));
        }

        #[test]
        fn what_is_cut_off_is_missed(sequence in sequences(), end in any::<prop::sample::Index>()) {
            let call_data = sequence.encode();
            // Padding at the end is nobody's.
            let padding = call_data.len() - call_data.iter().rposition(|byte| *byte != 0).unwrap_or(0);
            let end = end.index(call_data.len() - padding.min(WORD));
            prop_assert!(SequenceCall::decode(&call_data.slice(..end)).is_err());
        }

        #[test]
        fn random_words_lead_to_no_panic(
            function in prop::sample::select(&FUNCTIONS[..]),
            words in prop::collection::vec(prop_oneof![0..12_usize, Just(usize::MAX)], 0..30),
            odd in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let words = words.into_iter().flat_map(|word| w(word.saturating_mul(WORD)));
            let call_data: Vec<u8> = function.to_be_bytes().into_iter().chain(words).chain(odd).collect();
            let length = call_data.len();
            if let Ok(SequenceCall::Forced { batches }) = SequenceCall::decode(&call_data.into()) {
                let data = batches.iter().map(|batch| match &batch.data {
                    BatchData::Encoded(data) => data.len(),
                    BatchData::Hash(_) => 0,
                });
                prop_assert!(data.sum::<usize>() <= length);
            }
        }
    }
}
