//! Lies that the devnet can tell: the main node that our replicas must not believe.

use super::account::Account;
use super::archive::{Archive, Over};
use super::told::Told;
use alloy_consensus::TxLegacy;
use alloy_consensus::transaction::{RlpEcdsaDecodableTx as _, RlpEcdsaEncodableTx as _};
use alloy_primitives::{Address, B256, Signature, TxKind, U256, uint};
use zk_replica_core::chain::ForkId;
use zk_replica_core::checker::Claim;
use zk_replica_core::store::{Key, Store as _};
use zk_replica_core::tree::{Smt, StateKey};
use zk_replica_core::types::{BatchKind, L1Info, Receipt, TransactionRecord, UpdateGer};

/// A kind of lie.
#[derive(Debug)]
pub(crate) struct Lie {
    /// Its name on the command line.
    pub(crate) name: &'static str,
    /// What is not true.
    pub(crate) about: &'static str,
    /// What a replica has to find wrong.
    pub(crate) claim: Claim,
    /// Where a replica has to find it.
    pub(crate) caught: Caught,
    /// What becomes of it in JSON-RPC.
    pub(crate) rpc: OverRpc,
    /// Tells it; `None` when the block has nothing that it could be told of.
    tell: fn(&mut Told, &Scene<'_>) -> Option<()>,
}

/// The block that a replica names, seen from the block that the lie is told at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caught {
    /// The block before, behind which the batch begins.
    Before,
    /// The block itself.
    At,
    /// The number after it.
    After,
}

/// How a lie is told to a replica that has nothing but JSON-RPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OverRpc {
    /// As on the stream: the replica finds the same claim wrong at the same block.
    Same,
    /// Not at all, for this reason: JSON-RPC stays with the truth.
    Untold(&'static str),
    /// As a contradiction in what the main node answers, so that no block is left whose claims could be checked. The
    /// replica loses the main node, and says these words.
    Unsound(&'static str),
}

/// What a liar knows.
#[derive(Debug)]
pub(crate) struct Scene<'a> {
    /// What was told before, from genesis on.
    pub(crate) told: &'a [Told],
    /// What is true.
    pub(crate) store: &'a Archive,
    /// What is served in front of it.
    pub(crate) records: &'a Archive,
    /// Has funds.
    pub(crate) accomplice: &'a Account,
    /// Has nothing.
    pub(crate) stranger: &'a Account,
}

impl Lie {
    const fn untold(mut self, why: &'static str) -> Self {
        self.rpc = OverRpc::Untold(why);
        self
    }

    const fn unsound(mut self, words: &'static str) -> Self {
        self.rpc = OverRpc::Unsound(words);
        self
    }

    /// The lie of this name.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        LIES.iter().find(|lie| lie.name == name)
    }

    /// Alters what is told of a block; `false` when there is nothing in it to lie about.
    pub(crate) fn tell(&self, told: &mut Told, scene: &Scene<'_>) -> bool {
        (self.tell)(told, scene).is_some()
    }

    /// The number of the block that a replica names, when the lie is told at this one.
    pub(crate) fn caught_at(&self, told_at: u64) -> u64 {
        match self.caught {
            Caught::Before => told_at.saturating_sub(1),
            Caught::At => told_at,
            Caught::After => told_at.saturating_add(1),
        }
    }
}

impl Scene<'_> {
    fn parent(&self) -> Option<&Told> {
        self.told.last()
    }

    /// The block is the first with its leaf.
    fn is_new_leaf(&self, told: &Told) -> bool {
        let index = told.record.l1_info.index;
        index != 0 && self.told.iter().all(|earlier| earlier.record.l1_info.index != index)
    }
}

const fn lie(
    name: &'static str,
    about: &'static str,
    claim: Claim,
    tell: fn(&mut Told, &Scene<'_>) -> Option<()>,
) -> Lie {
    Lie { name, about, claim, caught: Caught::At, rpc: OverRpc::Same, tell }
}

const fn at_batch(
    name: &'static str,
    about: &'static str,
    claim: Claim,
    tell: fn(&mut Told, &Scene<'_>) -> Option<()>,
) -> Lie {
    Lie { name, about, claim, caught: Caught::Before, rpc: OverRpc::Same, tell }
}

/// All of them. Each is told of the first block, from the one that was asked for on, that has what it needs.
pub(crate) const LIES: &[Lie] = &[
    // What came out of a block.
    lie("state-root", "the state root is another one", Claim::StateRoot, |told, scene| {
        let (truth, mut root) = (told.state_root(), told.state_root());
        root.0[31] ^= 1;
        // Whoever asks for state at the made-up root is answered from the true one.
        scene.records.put(Key::Node(root), scene.store.get(&Key::Node(truth)).ok()??);
        set_state_root(told, root);
        Some(())
    }),
    lie(
        "minted-balance",
        "an account is richer, and everything after it follows",
        Claim::StateRoot,
        |told, scene| {
            let richer = [(StateKey::Balance(scene.stranger.address).path(), U256::from(u64::MAX))];
            let over = Over { first: scene.records, second: scene.store };
            let update = Smt::new(&over).update(told.state_root(), richer).ok()?;
            for (digest, node) in &update.created {
                scene.records.put(Key::Node(*digest), node.encode().into());
            }
            for (hash, value) in &update.values {
                scene.records.put(Key::Value(*hash), value.to_be_bytes::<32>().into());
            }
            set_state_root(told, update.root);
            Some(())
        },
    ),
    lie(
        "block-info-root",
        "the root of the block info tree is another one",
        Claim::BlockInfoRoot,
        |told, _| flip(&mut told.record.block_info_root),
    ),
    lie(
        "intermediate-root",
        "a state root within the block is told, and wrong",
        Claim::IntermediateStateRoot,
        |told, _| {
            told.record.transactions.first()?;
            told.intermediate_state_roots = Vec::from([B256::repeat_byte(1)]);
            Some(())
        },
    )
    .untold("no method has these roots"),
    lie("parent-hash", "the block follows another one", Claim::BlockHash, |told, _| {
        flip(&mut told.record.header.parent_hash)
    }),
    lie("extra-data", "the header has more in it", Claim::BlockHash, |told, _| {
        told.record.header.extra_data = b"truth".as_slice().into();
        Some(())
    }),
    lie("transactions-root", "the header commits to other transactions", Claim::BlockHash, |told, _| {
        flip(&mut told.record.header.transactions_root)
    }),
    lie("receipts-root", "the header commits to other receipts", Claim::BlockHash, |told, _| {
        flip(&mut told.record.header.receipts_root)
    }),
    lie("receipt-status", "a failed transaction has succeeded", Claim::BlockHash, |told, _| {
        told.record.receipts.iter_mut().find(|receipt| !receipt.success)?.success = true;
        flip(&mut told.record.header.receipts_root)
    }),
    lie("dropped-log", "a log is left out", Claim::BlockHash, |told, _| {
        told.record.receipts.iter_mut().find(|receipt| !receipt.logs.is_empty())?.logs.pop()?;
        flip(&mut told.record.header.receipts_root)
    }),
    lie("logs-bloom", "the bloom filter has every bit", Claim::BlockHash, |told, _| {
        told.record.header.logs_bloom.fill(0xff);
        Some(())
    }),
    lie("gas-used", "the block used more gas", Claim::BlockHash, |told, _| {
        told.record.header.gas_used += 1;
        Some(())
    }),
    lie("gas-limit", "the block has less room", Claim::GasLimit, |told, _| {
        told.gas_limit = told.record.header.gas_limit / 2;
        told.record.header.gas_limit = told.gas_limit;
        Some(())
    }),
    // When and by whom it was made.
    lie("timestamp", "the block is a second later", Claim::StateRoot, |told, _| {
        told.record.header.timestamp += 1;
        told.delta += 1;
        Some(())
    }),
    lie("timestamp-back", "the block is older than its parent", Claim::Timestamp, |told, scene| {
        told.record.header.timestamp = scene.parent()?.record.header.timestamp.checked_sub(1)?;
        told.delta = 0;
        Some(())
    }),
    lie("delta-timestamp", "the timestamps do not add up", Claim::Timestamp, |told, _| {
        told.delta += 1;
        Some(())
    }),
    lie("coinbase", "another sequencer has the fees", Claim::StateRoot, |told, _| {
        told.record.header.beneficiary.0[19] ^= 1;
        Some(())
    })
    .unsound("the batch's coinbase"),
    // Transactions.
    lie("dropped-transaction", "the last transaction is left out", Claim::StateRoot, |told, _| {
        told.record.transactions.pop()?;
        told.record.receipts.pop();
        told.commit_to_transactions();
        Some(())
    }),
    lie("doubled-transaction", "a transaction runs twice", Claim::Transaction, |told, _| {
        let (transaction, receipt) =
            (told.record.transactions.first()?.clone(), told.record.receipts.first()?.clone());
        told.record.transactions.insert(1, transaction);
        told.record.receipts.insert(1, receipt);
        told.commit_to_transactions();
        Some(())
    }),
    lie("reordered-transactions", "two transactions change places", Claim::StateRoot, |told, _| {
        let pairs = told.record.transactions.windows(2);
        let at = pairs.into_iter().position(|pair| pair[0].sender != pair[1].sender)?;
        told.record.transactions.swap(at, at + 1);
        told.record.receipts.swap(at, at + 1);
        told.commit_to_transactions();
        Some(())
    }),
    lie(
        "changed-value",
        "a transaction sends more, under the old signature",
        Claim::Transaction,
        |told, _| rewrite(told, |fields, _| fields.value += U256::ONE),
    ),
    lie(
        "changed-recipient",
        "a transaction goes elsewhere, under the old signature",
        Claim::Transaction,
        |told, _| rewrite(told, |fields, _| fields.to = TxKind::Call(Address::repeat_byte(0x66))),
    ),
    lie(
        "mirrored-signature",
        "a signature has its other form, which Ethereum refuses",
        Claim::Transaction,
        |told, _| {
            rewrite(told, |_, signature| {
                *signature = Signature::new(signature.r(), CURVE_ORDER - signature.s(), !signature.v());
            })
        },
    ),
    lie(
        "forged-transaction",
        "a transaction of somebody who has nothing",
        Claim::Transaction,
        |told, scene| add(told, scene.stranger, 0),
    ),
    lie(
        "unrunnable-transaction",
        "a transaction whose nonce is not the sender's next",
        Claim::Transaction,
        |told, scene| add(told, scene.accomplice, 1_000_000),
    ),
    lie(
        "effective-percentage",
        "a transaction pays another share of its price",
        Claim::StateRoot,
        |told, _| {
            told.record.transactions.first_mut()?.effective_percentage ^= 0x80;
            Some(())
        },
    ),
    // L1 information.
    lie("l1-index", "a new leaf is brought in under no index", Claim::GlobalExitRoot, |told, scene| {
        scene.is_new_leaf(told).then(|| told.record.l1_info.index = 0)
    }),
    lie("l1-leaf", "a leaf is made up for a block that has none", Claim::StateRoot, |told, _| {
        let info = &mut told.record.l1_info;
        (info.index == 0).then(|| {
            let (global_exit_root, block_hash) = (B256::repeat_byte(0x67), B256::repeat_byte(0x68));
            *info = L1Info { index: 1_000_000, global_exit_root, block_hash, min_timestamp: 1 };
        })
    }),
    lie("global-exit-root", "a leaf has another exit root", Claim::StateRoot, |told, scene| {
        scene.is_new_leaf(told).then(|| flip(&mut told.record.l1_info.global_exit_root))?
    }),
    lie("l1-block-hash", "a leaf has another L1 block hash", Claim::StateRoot, |told, scene| {
        scene.is_new_leaf(told).then(|| flip(&mut told.record.l1_info.block_hash))?
    }),
    lie("min-timestamp", "a leaf is used before it may be", Claim::MinTimestamp, |told, scene| {
        let timestamp = told.record.header.timestamp;
        scene.is_new_leaf(told).then(|| told.record.l1_info.min_timestamp = timestamp + 1)
    }),
    lie(
        "exit-root-without-leaf",
        "an exit root that the chain does not know, without a leaf",
        Claim::GlobalExitRoot,
        |told, _| {
            (told.record.l1_info.index == 0).then(|| flip(&mut told.record.l1_info.global_exit_root))?
        },
    ),
    lie("l1-hash-without-leaf", "an L1 block hash without a leaf", Claim::L1BlockHash, |told, _| {
        (told.record.l1_info.index == 0).then(|| flip(&mut told.record.l1_info.block_hash))?
    })
    .untold("blocks have no L1 block hash there, only leaves have"),
    // Which blocks and batches there are.
    Lie {
        name: "block-gap",
        about: "a block number is passed over",
        claim: Claim::BlockNumber,
        caught: Caught::After,
        rpc: OverRpc::Same,
        tell: |told, _| {
            told.record.header.number += 1;
            Some(())
        },
    },
    lie("block-batch", "the block says that it is in the next batch", Claim::BatchNumber, |told, _| {
        told.record.batch += 1;
        Some(())
    })
    .untold("a block is in the batch that has it"),
    at_batch("batch-gap", "a batch number is passed over", Claim::BatchNumber, |told, _| {
        told.opens.then(|| shift_batch(told, 1))
    })
    .unsound("has no batch"),
    at_batch("fork-id", "the batch runs another fork", Claim::ForkId, |told, _| {
        let other = if told.start.fork_id == ForkId::Durian.number() { -1 } else { 1 };
        let fork = told.start.fork_id.checked_add_signed(other)?;
        told.opens.then(|| told.start.fork_id = fork)
    })
    .untold("batches do not name their fork there"),
    at_batch("chain-id", "the batch is of another chain", Claim::ChainId, |told, _| {
        told.opens.then(|| told.start.chain_id += 1)
    })
    .untold("batches do not name their chain there"),
    lie("batch-type", "the batch is called invalid, and has a block", Claim::BatchKind, |told, _| {
        told.opens.then(|| told.start.kind = BatchKind::Invalid)
    })
    .untold("batches do not name their type there: their data shows it"),
    lie(
        "exit-root-update",
        "an exit root comes without a block, as before fork 7",
        Claim::GlobalExitRoot,
        |told, _| {
            told.end.as_ref()?;
            told.update = Some(UpdateGer {
                batch_number: told.start.number,
                timestamp: told.record.header.timestamp,
                global_exit_root: B256::repeat_byte(0x69),
                coinbase: told.record.header.beneficiary,
                fork_id: told.start.fork_id,
                chain_id: told.start.chain_id,
                state_root: told.state_root(),
            });
            Some(())
        },
    )
    .untold("an exit root stands with its block"),
    lie("batch-state-root", "the batch ends with another state root", Claim::BatchStateRoot, |told, _| {
        flip(&mut told.end.as_mut()?.state_root)
    }),
    lie("local-exit-root", "the batch ends with another local exit root", Claim::LocalExitRoot, |told, _| {
        flip(&mut told.end.as_mut()?.local_exit_root)
    }),
    lie("batch-end-number", "the end is that of the next batch", Claim::BatchNumber, |told, _| {
        told.end.as_mut()?.number += 1;
        Some(())
    })
    .untold("a batch has one number"),
];

/// Order of secp256k1's group.
const CURVE_ORDER: U256 = uint!(0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141_U256);

fn flip(hash: &mut B256) -> Option<()> {
    hash.0[31] ^= 1;
    Some(())
}

fn set_state_root(told: &mut Told, root: B256) {
    told.record.header.state_root = root;
    if let Some(end) = &mut told.end {
        end.state_root = root;
    }
}

/// Numbers the batch as one further on.
pub(crate) fn shift_batch(told: &mut Told, by: u64) {
    told.start.number += by;
    told.record.batch += by;
    if let Some(end) = &mut told.end {
        end.number += by;
    }
}

/// Alters the first transaction, and leaves its bytes sound. Whoever is found to have signed it has nothing, so it cannot
/// pay for itself.
fn rewrite(told: &mut Told, alter: fn(&mut TxLegacy, &mut Signature)) -> Option<()> {
    let transaction = told.record.transactions.first_mut()?;
    let decoded = TxLegacy::rlp_decode_with_signature(&mut transaction.encoded.as_ref());
    let (mut fields, mut signature) = decoded.ok()?;
    alter(&mut fields, &mut signature);
    let mut encoded = Vec::new();
    fields.rlp_encode_signed(&signature, &mut encoded);
    transaction.encoded = encoded.into();
    told.commit_to_transactions();
    Some(())
}

/// Adds a transaction at the end, as if it had run.
fn add(told: &mut Told, sender: &Account, nonce: u64) -> Option<()> {
    let fields = TxLegacy {
        chain_id: Some(told.start.chain_id),
        nonce,
        gas_price: super::chain::GAS_PRICE,
        gas_limit: 21_000,
        to: TxKind::Call(Address::repeat_byte(0x66)),
        value: U256::ONE,
        ..TxLegacy::default()
    };
    let encoded = sender.sign(&fields);
    told.record.header.gas_used += 21_000;
    let cumulative_gas_used = told.record.header.gas_used;
    told.record.transactions.push(TransactionRecord {
        encoded,
        sender: sender.address,
        effective_percentage: u8::MAX,
    });
    told.record.receipts.push(Receipt {
        success: true,
        gas_used: 21_000,
        cumulative_gas_used,
        logs: Vec::new(),
    });
    told.commit_to_transactions();
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_lie_has_a_name_of_its_own() {
        let names: BTreeSet<_> = LIES.iter().map(|lie| lie.name).collect();
        assert_eq!(names.len(), LIES.len());
        assert!(LIES.len() >= 20);
        for lie in LIES {
            assert_eq!(Lie::named(lie.name).map(|found| found.name), Some(lie.name));
        }
    }
}
