//! The block that a replica begins behind.

use crate::{
    store::{Commit, Key},
    types::{BlockRecord, Head, L1Info, Totals},
};
use alloc::vec::Vec;
use alloy_consensus::Header;
use alloy_primitives::{B256, Bytes};
use core::{fmt, str::FromStr};

/// A block that is taken to be part of the chain: all that a light replica has to be told.
///
/// As text it is `NUMBER:HASH:STATE_ROOT`.
///
/// ```
/// use zk_replica_core::checkpoint::Checkpoint;
///
/// let hash = format!("0x{}", "ab".repeat(32));
/// let checkpoint: Checkpoint = format!("7:{hash}:{hash}").parse()?;
/// assert_eq!(checkpoint.number, 7);
/// assert_eq!(checkpoint.to_string(), format!("7:{hash}:{hash}"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Block number.
    pub number: u64,
    /// Header hash.
    pub hash: B256,
    /// State root after the block.
    pub state_root: B256,
}

/// A text that is no [`Checkpoint`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a checkpoint is NUMBER:HASH:STATE_ROOT, the hashes as 0x and 64 hexadecimal digits")]
pub struct NoCheckpoint;

impl FromStr for Checkpoint {
    type Err = NoCheckpoint;

    fn from_str(text: &str) -> Result<Self, NoCheckpoint> {
        let parts: Vec<&str> = text.split(':').collect();
        let [number, hash, state_root] = parts.as_slice() else {
            return Err(NoCheckpoint);
        };
        let digest = |text: &str| match text.strip_prefix("0x") {
            Some(digits) if digits.len() == 64 => text.parse().map_err(|_| NoCheckpoint),
            _ => Err(NoCheckpoint),
        };
        Ok(Self {
            number: number.parse().map_err(|_| NoCheckpoint)?,
            hash: digest(hash)?,
            state_root: digest(state_root)?,
        })
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.number, self.hash, self.state_root)
    }
}

impl Checkpoint {
    /// This header is the checkpoint's: it has the same hash, and so everything in it is as true as the checkpoint.
    pub(crate) fn names(&self, header: &Header) -> bool {
        header.number == self.number
            && header.state_root == self.state_root
            && header.hash_slow() == self.hash
    }

    /// What is stored of the checkpoint: a head to go on from, and of its block the header alone.
    pub(crate) fn commit(header: Header, batch: u64, fork_id: u64, block_info_root: B256) -> Commit {
        let head = Head {
            number: header.number,
            hash: header.hash_slow(),
            state_root: header.state_root,
            timestamp: header.timestamp,
            batch,
            fork_id,
            batch_closed: false,
            totals: Totals { batches: batch, ..Totals::default() },
        };
        let record = BlockRecord {
            header,
            batch,
            fork_id,
            l1_info: L1Info::default(),
            block_info_root,
            transactions: Vec::new(),
            receipts: Vec::new(),
        };
        let mut commit = Commit::default();
        commit.put(Key::Block(head.number), alloy_rlp::encode(&record).into());
        commit.put(Key::BlockNumber(head.hash), Bytes::from(head.number.to_be_bytes()));
        commit.put(Key::Head, alloy_rlp::encode(&head).into());
        commit
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{format, string::ToString};

    #[test]
    fn only_a_checkpoint_is_one() {
        let digits = "0f".repeat(32);
        let text = format!("12:0x{digits}:0x{digits}");
        assert_eq!(text.parse::<Checkpoint>().map(|checkpoint| checkpoint.to_string()), Ok(text.clone()));
        for wrong in ["", "12", "12:0x00:0x00", &text[3..], &format!("{text}:1"), &text.replace("12:", "-1:")]
        {
            assert_eq!(wrong.parse::<Checkpoint>(), Err(NoCheckpoint), "{wrong}");
        }
    }
}
