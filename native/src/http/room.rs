//! Memory for answers on their way: one budget for all connections, since each may take its time to read.

use hyper::body::Bytes;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The only answer on a connection is kept without room when it is no larger: there are only so many connections.
const SMALL: usize = 64 << 10;

/// What there is for all. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Room(Arc<Semaphore>);

/// What one answer takes of it, until this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    _permit: Option<OwnedSemaphorePermit>,
}

impl Room {
    pub(super) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS))))
    }

    /// Room for so many bytes; `None`: there is not so much now. `only`: nothing else waits on the connection.
    pub(super) fn take(&self, bytes: usize, only: bool) -> Option<Place> {
        if only && bytes <= SMALL {
            return Some(Place { _permit: None });
        }
        let permit = Arc::clone(&self.0).try_acquire_many_owned(u32::try_from(bytes).ok()?).ok()?;
        Some(Place { _permit: Some(permit) })
    }

    /// The same bytes, which give back their room when the last of them is gone.
    pub(super) fn keep(&self, bytes: Bytes) -> Option<Bytes> {
        let place = self.take(bytes.len(), true)?;
        Some(Bytes::from_owner(Kept { bytes, _place: place }))
    }
}

struct Kept {
    bytes: Bytes,
    _place: Place,
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_comes_back_with_the_last_of_the_bytes() {
        let room = Room::new(3 * SMALL);
        let large = Bytes::from(vec![7; 2 * SMALL]);
        let kept = room.keep(large.clone()).unwrap();
        let part = kept.slice(1..2);
        drop(kept);
        assert!(room.keep(large.clone()).is_none());
        // A connection's only answer has its place, as long as it is small.
        assert!(room.take(SMALL, true).is_some() && room.take(SMALL + 1, true).is_none());
        drop(part);
        assert_eq!(room.keep(large.clone()).unwrap(), large);
        let places: Vec<_> = (0..4).map_while(|_| room.take(SMALL, false)).collect();
        assert_eq!(places.len(), 3);
    }
}
