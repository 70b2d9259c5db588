//! Sorting where the size of the code counts more than the time.

use alloc::{collections::BinaryHeap, vec::Vec};

/// In ascending order. The code of a heap is a tenth of that of `sort`, of which a browser downloads a copy for each type.
pub(crate) fn sorted<T: Ord>(values: Vec<T>) -> Vec<T> {
    BinaryHeap::from(values).into_sorted_vec()
}
