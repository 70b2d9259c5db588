use alloc::{boxed::Box, vec, vec::Vec};

/// Bytes of a page: what is read from the disk at once.
pub(super) const PAGE: usize = 64 << 10;

/// Pages that are kept of what is on the disk: 16 MB.
const KEPT: usize = 256;

/// Bytes that are asked of the memory at once. Whenever that grows, the script's view of it is made anew, which is slow.
const GROWTH: usize = 1 << 20;

/// Bytes in order, in pieces: growing moves nothing.
#[derive(Clone, Default)]
pub(super) struct Pages {
    pages: Vec<Vec<u8>>,
}

impl Pages {
    pub(super) fn len(&self) -> usize {
        let last = self.pages.last().map_or(0, Vec::len);
        (self.pages.len().saturating_sub(1)) * GROWTH + last
    }

    pub(super) fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let page = match self.pages.last_mut() {
                Some(page) if page.len() < GROWTH => page,
                _ => {
                    self.pages.push(Vec::with_capacity(GROWTH));
                    continue;
                }
            };
            let (now, rest) = bytes.split_at(bytes.len().min(GROWTH - page.len()));
            page.extend_from_slice(now);
            bytes = rest;
        }
    }

    /// Fills `into` from `at` on; false when there is not as much.
    pub(super) fn read(&self, at: usize, mut into: &mut [u8]) -> bool {
        let mut at = at;
        while !into.is_empty() {
            let found =
                self.pages.get(at / GROWTH).and_then(|page| page.get(at % GROWTH..)).unwrap_or_default();
            let count = found.len().min(into.len());
            if count == 0 {
                return false;
            }
            let (now, rest) = into.split_at_mut(count);
            now.copy_from_slice(&found[..count]);
            into = rest;
            at += count;
        }
        true
    }

    /// Overwrites bytes that are there.
    pub(super) fn patch(&mut self, at: usize, bytes: &[u8]) {
        for (position, byte) in (at..).zip(bytes) {
            if let Some(place) =
                self.pages.get_mut(position / GROWTH).and_then(|page| page.get_mut(position % GROWTH))
            {
                *place = *byte;
            }
        }
    }

    pub(super) fn slices(&self) -> impl Iterator<Item = &[u8]> {
        self.pages.iter().map(Vec::as_slice)
    }
}

/// Whole pages of the disk that were read lately.
pub(super) struct Cache {
    slots: Vec<Option<(u64, Box<[u8]>)>>,
}

impl Default for Cache {
    fn default() -> Self {
        Self { slots: vec![None; KEPT] }
    }
}

impl Cache {
    /// The page, which `load` brings if it is not here.
    pub(super) fn page<E>(
        &mut self,
        number: u64,
        load: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<&[u8], E> {
        let slot = usize::try_from(number % KEPT as u64).unwrap_or_default();
        let slot = &mut self.slots[slot];
        match slot {
            Some((known, _)) if *known == number => {}
            _ => {
                let mut page = match slot.take() {
                    Some((_, page)) => page,
                    None => vec![0; PAGE].into_boxed_slice(),
                };
                load(&mut page)?;
                *slot = Some((number, page));
            }
        }
        Ok(slot.as_ref().map(|(_, page)| &**page).unwrap_or_default())
    }

    /// The page has other bytes now.
    pub(super) fn forget(&mut self, number: u64) {
        for slot in &mut self.slots {
            if slot.as_ref().is_some_and(|(known, _)| *known >= number) {
                *slot = None;
            }
        }
    }
}
