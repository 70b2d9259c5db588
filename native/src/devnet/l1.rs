//! An L1 that is made up: leaves of the L1 info tree, each the same for the same seed, and the batches that are proved.

use alloy_primitives::{B256, keccak256};
use zk_replica_core::tree::{AppendTree, L1InfoLeaf, global_exit_root};
use zk_replica_core::types::{BatchEnd, L1Info};

/// A leaf of the L1 info tree, with what it is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leaf {
    pub(crate) info: L1Info,
    pub(crate) mainnet_exit_root: B256,
    pub(crate) rollup_exit_root: B256,
    /// Root of the L1 info tree with this leaf as its last.
    pub(crate) info_root: B256,
    /// L1 block that made the leaf.
    pub(crate) block_number: u64,
}

impl Leaf {
    /// A leaf that is in no tree.
    pub(crate) fn made_up(info: L1Info) -> Self {
        let nothing = B256::ZERO;
        Self {
            info,
            mainnet_exit_root: nothing,
            rollup_exit_root: nothing,
            info_root: nothing,
            block_number: 0,
        }
    }
}

/// The L1 info tree and the proved batches so far. Neither is ever taken back: L1 does not follow the rollup's roll-backs.
#[derive(Clone, Debug)]
pub(crate) struct L1 {
    seed: u64,
    genesis_time: u64,
    tree: AppendTree,
    leaves: Vec<Leaf>,
    /// The end of batch 0, which L1 has from the beginning.
    genesis: BatchEnd,
    /// Those that are proved behind it, one after the other.
    proved: Vec<BatchEnd>,
}

impl L1 {
    /// With the leaf of index 0, which the chain's first batch brings in, and none that a block can refer to; and with the
    /// end of batch 0, which L1 has from the beginning.
    pub(crate) fn new(seed: u64, genesis_time: u64, genesis: BatchEnd) -> Self {
        let (tree, leaves, proved) = (AppendTree::new(), Vec::new(), Vec::new());
        let mut l1 = Self { seed, genesis_time, tree, leaves, genesis, proved };
        l1.grow();
        l1
    }

    /// The leaf with this index; leaves up to it are made.
    pub(crate) fn leaf(&mut self, index: u32) -> Leaf {
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        while self.leaves.len() <= index {
            self.grow();
        }
        self.leaves[index]
    }

    /// Leaves that blocks can refer to, from index 1 on.
    pub(crate) fn leaves(&self) -> &[Leaf] {
        self.leaves.get(1..).unwrap_or_default()
    }

    /// A batch is proved, if the one `before` it is the last that was: no proof begins elsewhere.
    pub(crate) fn prove(&mut self, before: &BatchEnd, end: BatchEnd) {
        if before == self.proved() {
            self.proved.push(end);
        }
    }

    /// The end of the last batch that is proved.
    pub(crate) fn proved(&self) -> &BatchEnd {
        self.proved.last().unwrap_or(&self.genesis)
    }

    /// The end of a batch that is proved.
    pub(crate) fn proof_of(&self, batch: u64) -> Option<&BatchEnd> {
        match batch.checked_sub(1) {
            None => Some(&self.genesis),
            Some(behind) => self.proved.get(usize::try_from(behind).ok()?),
        }
    }

    fn grow(&mut self) {
        let index = u32::try_from(self.leaves.len()).expect("less than 2^32 leaves fit into memory");
        let made_up = |what: &str| {
            keccak256([what.as_bytes(), &self.seed.to_be_bytes(), &index.to_be_bytes()].concat())
        };
        let (mainnet_exit_root, rollup_exit_root) =
            (made_up("mainnet exit root"), made_up("rollup exit root"));
        let ger = global_exit_root(mainnet_exit_root, rollup_exit_root);
        let parent_hash = made_up("hash of an L1 block");
        let timestamp = self.genesis_time;
        let leaf = L1InfoLeaf { global_exit_root: ger, parent_hash, timestamp };
        self.tree.append(leaf.hash()).expect("less than 2^32 leaves fit into memory");
        let info = L1Info { index, global_exit_root: ger, block_hash: parent_hash, min_timestamp: timestamp };
        let (info_root, block_number) = (self.tree.root(), 1_000 + u64::from(index));
        self.leaves.push(Leaf { info, mainnet_exit_root, rollup_exit_root, info_root, block_number });
    }
}
