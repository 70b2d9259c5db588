use core::hash::BuildHasher as _;
use foldhash::quality::FixedState;
use hashbrown::HashTable;

/// Where each key's record begins, in eight bytes and a bit for each.
///
/// It does not have the keys: whoever asks looks at the records that are named and finds out which is meant.
#[derive(Clone)]
pub(super) struct Index {
    hasher: FixedState,
    table: HashTable<Slot>,
}

#[derive(Clone, Copy)]
struct Slot {
    hash: u32,
    /// Offset in the log, in units of [`UNIT`].
    place: u32,
}

/// Records begin at multiples of it, so that four bytes reach to 32 GiB.
pub(super) const UNIT: u64 = 8;

/// Behind what four bytes reach.
pub(super) const REACH: u64 = (1 << 32) * UNIT;

impl Index {
    /// Keys come from others: nobody may know which of them fall together.
    pub(super) fn new(seed: u64) -> Self {
        Self { hasher: FixedState::with_seed(seed), table: HashTable::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// The offset among those that may be the key's for which `is` says so.
    pub(super) fn find<E>(
        &self,
        key: &[u8],
        mut is: impl FnMut(u64) -> Result<bool, E>,
    ) -> Result<Option<u64>, E> {
        let hash = self.hash(key);
        let mut failed = None;
        let found = self.table.find(spread(hash), |slot| {
            slot.hash == hash
                && match is(offset(slot)) {
                    Ok(is) => is,
                    Err(error) => {
                        failed = Some(error);
                        true
                    }
                }
        });
        match failed {
            Some(error) => Err(error),
            None => Ok(found.map(offset)),
        }
    }

    /// Puts a key's record in place of the one at `before`, or beside all others. Only offsets below [`REACH`] are known.
    pub(super) fn put(&mut self, key: &[u8], before: Option<u64>, now: u64) {
        let hash = self.hash(key);
        let Ok(place) = u32::try_from(now / UNIT) else { return };
        let known = before.and_then(|before| {
            self.table.find_mut(spread(hash), |slot| slot.hash == hash && offset(slot) == before)
        });
        match known {
            Some(slot) => slot.place = place,
            None => {
                self.table.insert_unique(spread(hash), Slot { hash, place }, |slot| spread(slot.hash));
            }
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "half of a hash is one")]
    fn hash(&self, key: &[u8]) -> u32 {
        self.hasher.hash_one(key) as u32
    }
}

fn offset(slot: &Slot) -> u64 {
    u64::from(slot.place) * UNIT
}

/// The table takes its place from the lower bits and tells neighbours apart by the upper ones.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
