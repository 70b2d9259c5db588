//! `poseidon.json`: the permutation's published parameters and answers.

use crate::case::Case;
use alloy_primitives::{B256, U256};
use serde::{Deserialize, de::IgnoredAny};
use std::sync::Arc;
use zk_replica_core::tree::poseidon;
use zk_replica_tests::answers::small;

const FAMILY: &str = "poseidon";

type Check = fn(&Published);

/// The cases of the file: each known answer, and what its parameters say together.
pub(super) fn cases(json: &str) -> Vec<Case> {
    let published: Arc<Published> = match serde_json::from_str(json) {
        Ok(published) => Arc::new(published),
        Err(error) => return vec![Case::failed(FAMILY, "unknown form", error.to_string())],
    };
    let answers = published.known_answers.iter().enumerate().map(|(index, answer)| {
        let answer = answer.clone();
        Case::new(FAMILY, format!("known_answers {index}"), move || check_answer(&answer))
    });
    let checks: [(&str, Check); 4] = [
        ("the permutation is the one that the constants define", check_definition),
        ("the permutation is the one of the schedules", check_schedules),
        ("lanes are taken modulo the prime", check_prime),
        ("the parameters agree with each other", check_parameters),
    ];
    let checks = checks.map(|(name, check)| {
        let published = Arc::clone(&published);
        Case::new(FAMILY, name, move || check(&published))
    });
    answers.chain(checks).collect()
}

/// All of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Published {
    #[serde(rename = "about")]
    _about: IgnoredAny,
    #[serde(rename = "state_layout")]
    _state_layout: IgnoredAny,
    #[serde(rename = "mds_rule")]
    _mds_rule: IgnoredAny,
    field_prime: U256,
    width: usize,
    rate: usize,
    capacity: usize,
    full_rounds: usize,
    full_rounds_each_side: usize,
    partial_rounds: usize,
    sbox_exponent: u64,
    mds_circulant_first_row: Lanes,
    mds_diagonal: Lanes,
    mds: [Lanes; 12],
    round_constants: Vec<Lanes>,
    optimised: Optimised,
    known_answers: Vec<KnownAnswer>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Optimised {
    #[serde(rename = "about")]
    _about: IgnoredAny,
    #[serde(rename = "sparse_rule")]
    _sparse_rule: IgnoredAny,
    folded_initial: Lanes,
    folded_first_full: [Lanes; 3],
    folded_before_partial: Lanes,
    folded_partial_lane0: [U256; 22],
    folded_last_full: [Lanes; 3],
    pre_sparse_matrix: [Lanes; 12],
    sparse_rounds: [Sparse; 22],
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sparse {
    row: Lanes,
    column: [U256; 11],
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct KnownAnswer {
    rate: [U256; 8],
    capacity: [U256; 4],
    state_after: Lanes,
    digest_hex: B256,
}

type Lanes = [U256; 12];

impl Published {
    /// The known inputs, and some more.
    fn states(&self) -> Vec<Lanes> {
        let known = self.known_answers.iter().map(KnownAnswer::state);
        let largest = [self.field_prime - U256::ONE; 12];
        let few = self.round_constants.iter().copied();
        known.chain(few).chain([largest]).collect()
    }

    fn add(&self, state: &mut Lanes, constants: &Lanes) {
        for (lane, constant) in state.iter_mut().zip(constants) {
            *lane = lane.add_mod(*constant, self.field_prime);
        }
    }

    fn power(&self, lane: U256) -> U256 {
        lane.pow_mod(U256::from(self.sbox_exponent), self.field_prime)
    }

    fn raise(&self, state: &mut Lanes) {
        *state = state.map(|lane| self.power(lane));
    }

    fn dot(&self, a: &[U256], b: &[U256]) -> U256 {
        let products = a.iter().zip(b).map(|(a, b)| a.mul_mod(*b, self.field_prime));
        products.fold(U256::ZERO, |sum, product| sum.add_mod(product, self.field_prime))
    }

    fn multiply(&self, matrix: &[Lanes; 12], state: &mut Lanes) {
        *state = matrix.map(|row| self.dot(&row, state));
    }

    /// The permutation as it is defined, by these parameters.
    fn by_definition(&self, mut state: Lanes) -> Lanes {
        for (round, constants) in self.round_constants.iter().enumerate() {
            let first_partial = self.full_rounds_each_side;
            let partial = (first_partial..first_partial + self.partial_rounds).contains(&round);
            self.add(&mut state, constants);
            if partial {
                state[0] = self.power(state[0]);
            } else {
                self.raise(&mut state);
            }
            self.multiply(&self.mds, &mut state);
        }
        state
    }

    /// The permutation by the schedule with folded constants; `sparse` says with which matrices.
    fn by_schedule(&self, mut state: Lanes, sparse: bool) -> Lanes {
        let schedule = &self.optimised;
        self.add(&mut state, &schedule.folded_initial);
        for constants in &schedule.folded_first_full {
            self.raise(&mut state);
            self.add(&mut state, constants);
            self.multiply(&self.mds, &mut state);
        }
        self.raise(&mut state);
        self.add(&mut state, &schedule.folded_before_partial);
        let matrix = if sparse { &schedule.pre_sparse_matrix } else { &self.mds };
        self.multiply(matrix, &mut state);
        for (constant, round) in schedule.folded_partial_lane0.iter().zip(&schedule.sparse_rounds) {
            state[0] = self.power(state[0]).add_mod(*constant, self.field_prime);
            if !sparse {
                self.multiply(&self.mds, &mut state);
                continue;
            }
            let first = self.dot(&round.row, &state);
            for (lane, factor) in (1..).zip(&round.column) {
                state[lane] =
                    state[lane].add_mod(factor.mul_mod(state[0], self.field_prime), self.field_prime);
            }
            state[0] = first;
        }
        for constants in &schedule.folded_last_full {
            self.raise(&mut state);
            self.add(&mut state, constants);
            self.multiply(&self.mds, &mut state);
        }
        self.raise(&mut state);
        self.multiply(&self.mds, &mut state);
        state
    }
}

impl KnownAnswer {
    fn state(&self) -> Lanes {
        let lanes = [self.rate.as_slice(), &self.capacity].concat();
        lanes.try_into().expect("twelve")
    }
}

fn permute(state: &Lanes) -> Lanes {
    poseidon::permute(&state.map(|lane| small(&lane))).map(U256::from)
}

fn check_answer(answer: &KnownAnswer) {
    assert_eq!(permute(&answer.state()), answer.state_after);
    let [rate, capacity] =
        [answer.rate.as_slice(), &answer.capacity].map(|lanes| lanes.iter().map(small).collect::<Vec<_>>());
    let digest = poseidon::hash(&rate.try_into().expect("eight"), &capacity.try_into().expect("four"));
    assert_eq!(digest.map(U256::from), answer.state_after[..4]);
    assert_eq!(B256::from(U256::from_limbs(digest)), answer.digest_hex);
}

fn check_definition(published: &Published) {
    for state in published.states() {
        assert_eq!(permute(&state), published.by_definition(state), "{state:?}");
    }
}

fn check_schedules(published: &Published) {
    for state in published.states() {
        for sparse in [false, true] {
            let scheduled = published.by_schedule(state, sparse);
            assert_eq!(permute(&state), scheduled, "sparse: {sparse}, {state:?}");
        }
    }
}

fn check_prime(published: &Published) {
    for lane in 0..12 {
        let mut state = [U256::from(lane); 12];
        let canonical = permute(&state);
        state[lane] += published.field_prime;
        assert_eq!(permute(&state), canonical, "lane {lane}");
    }
}

fn check_parameters(published: &Published) {
    assert_eq!([published.width, published.rate + published.capacity], [published.mds.len(); 2]);
    assert_eq!(published.full_rounds, 2 * published.full_rounds_each_side);
    assert_eq!(published.round_constants.len(), published.full_rounds + published.partial_rounds);
    for (i, row) in published.mds.iter().enumerate() {
        for (j, entry) in row.iter().enumerate() {
            let circulant = published.mds_circulant_first_row[(12 + j - i) % 12];
            let diagonal = if i == j { published.mds_diagonal[i] } else { U256::ZERO };
            assert_eq!(*entry, circulant + diagonal, "{i}, {j}");
        }
    }
}
