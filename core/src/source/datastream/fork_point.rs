/// Looks for the last block that this replica and the main node have in common.
///
/// The host asks the main node for block [`probe`](Self::probe) and [`tells`](Self::tell) what it found, until there is
/// an [`outcome`](Self::outcome). Steps back double until a common block is found, then the distance is halved: some
/// `2 log2(depth)` questions, whatever is answered.
///
/// What the main node does not have is not known to be different: it may have cut its stream and be about to write the
/// same blocks again. Then nothing is to be rolled back (`spec/sync.md` §5.5).
///
/// ```
/// use zk_replica_core::source::datastream::{ForkPoint, ForkSearch, Probe};
///
/// // Verified up to block 20; the main node has the same blocks up to 13, and others behind.
/// let mut search = ForkSearch::new(20, Probe::Different);
/// while let Some(number) = search.probe() {
///     search.tell(if number <= 13 { Probe::Same } else { Probe::Different });
/// }
/// assert_eq!(search.outcome(), Some(ForkPoint::At(13)));
/// ```
#[derive(Clone, Debug)]
pub struct ForkSearch {
    /// The highest block that is known to be common.
    same: Option<u64>,
    /// A block above it that is not, and what it was found to be.
    apart: (u64, Probe),
    /// How far the next step goes back.
    step: u64,
    /// The lowest block that can be compared: genesis, unless this replica keeps less.
    base: u64,
    /// What was found there: without it in common nothing else can be.
    at_base: Option<Probe>,
}

/// What the main node has at a block's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// The same block.
    Same,
    /// Another block.
    Different,
    /// Nothing.
    Missing,
}

/// What the search found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForkPoint {
    /// The block behind this one is another one.
    At(u64),
    /// The main node's stream ends with this block, or nobody knows how it goes on.
    EndsAt(u64),
    /// Not even the lowest block is the same: this is another chain.
    OtherChain,
    /// The main node has nothing, not even the lowest block.
    Empty,
}

impl ForkSearch {
    /// `found` is what the main node has at the last verified block. If that is the same, there is nothing to look for.
    pub fn new(head: u64, found: Probe) -> Self {
        Self::above(0, head, found)
    }

    /// [`ForkSearch::new`] for a replica whose lowest block is `base`.
    pub fn above(base: u64, head: u64, found: Probe) -> Self {
        if found == Probe::Same {
            let apart = (head.saturating_add(1), Probe::Missing);
            return Self { same: Some(head), apart, step: 1, base, at_base: Some(Probe::Same) };
        }
        let at_base = (head <= base).then_some(found);
        Self { same: None, apart: (head, found), step: 1, base, at_base }
    }

    /// The block to ask for; `None` when the search is over.
    pub fn probe(&self) -> Option<u64> {
        match (self.at_base, self.same) {
            (None, _) => Some(self.base),
            (Some(Probe::Same), Some(same)) if same + 1 == self.apart.0 => None,
            // The base alone does not end the steps back: the fork is most likely near the head.
            (Some(Probe::Same), Some(same)) if same > self.base => Some(same + (self.apart.0 - same) / 2),
            (Some(Probe::Same), _) => Some(self.apart.0.saturating_sub(self.step).max(self.base + 1)),
            (Some(_), _) => None,
        }
    }

    /// What the main node has at the block that [`probe`](Self::probe) named.
    pub fn tell(&mut self, found: Probe) {
        let Some(number) = self.probe() else {
            return;
        };
        if self.at_base.is_none() {
            self.at_base = Some(found);
            self.same = (found == Probe::Same).then_some(self.base);
        } else if found == Probe::Same {
            self.same = Some(number);
        } else {
            self.apart = (number, found);
            self.step = self.step.saturating_mul(2);
        }
    }

    /// The result, when the search is over.
    pub fn outcome(&self) -> Option<ForkPoint> {
        if self.probe().is_some() {
            return None;
        }
        Some(match (self.at_base, self.same, self.apart.1) {
            (Some(Probe::Same), Some(same), Probe::Missing) => ForkPoint::EndsAt(same),
            (Some(Probe::Same), Some(same), _) => ForkPoint::At(same),
            (Some(Probe::Missing), ..) => ForkPoint::Empty,
            _ => ForkPoint::OtherChain,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Runs a search; gives the outcome and the number of questions.
    fn search(head: u64, answer: impl Fn(u64) -> Probe) -> (Option<ForkPoint>, usize) {
        search_above(0, head, answer)
    }

    fn search_above(base: u64, head: u64, answer: impl Fn(u64) -> Probe) -> (Option<ForkPoint>, usize) {
        let mut search = ForkSearch::above(base, head, answer(head));
        let mut questions = 0;
        while let Some(number) = search.probe() {
            assert!(number < head && number >= base && questions < 200, "asks for {number}");
            search.tell(answer(number));
            questions += 1;
        }
        (search.outcome(), questions)
    }

    #[test]
    fn a_common_head_needs_no_search() {
        assert_eq!(search(7, |_| Probe::Same), (Some(ForkPoint::EndsAt(7)), 0));
    }

    #[test]
    fn another_genesis_is_another_chain() {
        for head in [0, 1, 1000] {
            assert_eq!(search(head, |_| Probe::Different).0, Some(ForkPoint::OtherChain));
            assert_eq!(search(head, |_| Probe::Missing).0, Some(ForkPoint::Empty));
        }
    }

    proptest! {
        #[test]
        fn the_fork_point_is_found(head in 1u64.., fork in any::<proptest::sample::Index>(), cut: bool) {
            let fork = fork.index(usize::try_from(head).unwrap_or(usize::MAX)) as u64;
            let apart = if cut { Probe::Missing } else { Probe::Different };
            let (outcome, questions) =
                search(head, |number| if number <= fork { Probe::Same } else { apart });
            let expected = if cut { ForkPoint::EndsAt(fork) } else { ForkPoint::At(fork) };
            prop_assert_eq!(outcome, Some(expected));
            let depth = 64 - (head - fork).leading_zeros() as usize;
            prop_assert!(questions <= 2 * depth + 2, "{} questions for depth {}", questions, head - fork);
        }

        #[test]
        fn nothing_below_the_base_is_asked_for(base in 0..1000u64, height in 1..1000u64, fork in 0..2000u64) {
            let (head, fork) = (base + height, fork % (base + height));
            let answer = |number| if number <= fork { Probe::Same } else { Probe::Different };
            let expected = if fork < base { ForkPoint::OtherChain } else { ForkPoint::At(fork) };
            prop_assert_eq!(search_above(base, head, answer).0, Some(expected));
        }

        #[test]
        fn it_ends_whatever_is_answered(head: u64, answers: [u8; 16]) {
            let answer = |number: u64| match answers[number.count_ones() as usize % 16] % 3 {
                _ if number == head => Probe::Different,
                0 => Probe::Same,
                1 => Probe::Different,
                _ => Probe::Missing,
            };
            prop_assert!(search(head, answer).0.is_some());
        }
    }
}
