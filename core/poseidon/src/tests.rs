//! The permutation against known answers, and each backend against the definition.

extern crate alloc;

use super::constants::{CIRCULANT, CORNER, HALF_FULL_ROUNDS, PARTIAL_ROUNDS, ROUND_CONSTANTS, WIDTH};
use super::{hash, hash_bytes, narrow, permute, wide};
use crate::goldilocks::{ORDER, canonical};
use proptest::prelude::*;

/// The permutation as it is defined, nothing rearranged.
fn plain(state: &[u64; WIDTH]) -> [u64; WIDTH] {
    let mut s = *state;
    for (round, constants) in ROUND_CONSTANTS.iter().enumerate() {
        for (lane, constant) in s.iter_mut().zip(constants) {
            *lane = remainder(u128::from(*lane) + u128::from(*constant));
        }
        let partial = (HALF_FULL_ROUNDS..HALF_FULL_ROUNDS + PARTIAL_ROUNDS).contains(&round);
        for lane in &mut s[..if partial { 1 } else { WIDTH }] {
            *lane = (0..6).fold(*lane, |power, _| remainder(u128::from(power) * u128::from(*lane)));
        }
        s = core::array::from_fn(|i| {
            remainder((0..WIDTH).map(|j| u128::from(entry(i, j)) * u128::from(s[j])).sum())
        });
    }
    s
}

/// Entry of the matrix.
pub(crate) fn entry(i: usize, j: usize) -> u64 {
    CIRCULANT[(j + WIDTH - i) % WIDTH] + if i == 0 && j == 0 { CORNER } else { 0 }
}

fn remainder(x: u128) -> u64 {
    u64::try_from(x % u128::from(ORDER)).expect("below the order")
}

/// Any lanes, often ones where a carry or a borrow is near.
fn lanes() -> impl Strategy<Value = [u64; WIDTH]> {
    let edges = [0, 1, 0xffff_ffff, 1 << 32, ORDER - 1, ORDER, u64::MAX];
    proptest::array::uniform12(prop_oneof![any::<u64>(), proptest::sample::select(edges.to_vec())])
}

#[test]
fn known_answers_hold() {
    for (before, after) in KNOWN_ANSWERS {
        assert_eq!(plain(&before), after);
        assert_eq!(wide::permute(&before).map(canonical), after);
        assert_eq!(narrow::permute(&before).map(canonical), after);
        assert_eq!(permute(&before), after);

        let [rate @ .., i, j, k, l] = before;
        assert_eq!(hash(&rate, &[i, j, k, l]), after[..4]);
    }
}

#[test]
fn inputs_are_reduced_implicitly() {
    assert_eq!(hash(&[ORDER + 5; 8], &[ORDER; 4]), hash(&[5; 8], &[0; 4]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn backends_equal_the_definition(state in lanes()) {
        let expected = plain(&state);
        prop_assert_eq!(wide::permute(&state).map(canonical), expected);
        prop_assert_eq!(narrow::permute(&state).map(canonical), expected);
        prop_assert_eq!(permute(&state), expected);
    }
}

#[test]
fn bytes_hash_like_zkevm_commonjs() {
    for (length, expected) in BYTES_0_1_2 {
        let bytes: alloc::vec::Vec<u8> = (0..length).collect();
        assert_eq!(hash_bytes(&bytes), expected, "{length} bytes");
    }
    assert_eq!(hash_bytes(&[0xff; 168]), BYTES_FF_168);
}

/// Twelve lanes before and after the permutation, of an implementation checked against `zkevm-commonjs`
/// (`test/poseidon.test.js`).
#[rustfmt::skip]
const KNOWN_ANSWERS: [([u64; WIDTH], [u64; WIDTH]); 10] = [
    (
        [
            0x65ed0de47db4304d, 0x864fa3f3eab06e9b, 0xd82fb0f1423674a6, 0x90624fe36b82e6c9,
            0xfb759e0fed1d9d16, 0x8350a73f7aac319f, 0xce1fd3d9849acfb5, 0x93550840067f0cfc,
            0xc40d31b5397a7623, 0xd1711cbd2106119e, 0xf675299b0c83e786, 0x85f184e0b464c554,
        ],
        [
            0x0dfcc552c719a6f1, 0x47d0b5c495643e67, 0x7fff082833806b95, 0xdd4d4bcbfbbb9059,
            0x30f036eed860e292, 0xce5c7542ab9951a8, 0xede49a614cedf4c5, 0x1530059b39614da7,
            0xe3638e5ee1ae8945, 0x6c23d5b1580811f0, 0xcf9ef0e4645f98a2, 0x1d732364f86a0610,
        ],
    ),
    (
        [
            0xaba4c70ee306f0c4, 0xb7a1774f1a42721e, 0x6dedc86a9f4fb02b, 0x2475263c78549014,
            0xe261e34a7b6bc3c6, 0xd98145593a9afa39, 0x1f3c42b2e2cbbb93, 0xb3618e1ca06d7a69,
            0xac9f21df74f09af5, 0xb6eafff5782afe6b, 0xf5a9ca5fedf165da, 0xfa97002cfcbad167,
        ],
        [
            0x1984fa025bd2e0d0, 0xcabfae4047d40a1c, 0x34ab7c5a097d582c, 0x7d4e31d9a9b348b0,
            0x945b7c2d1da35efe, 0x1f9d669458cf9045, 0xe8153b8a4120bddd, 0xb84c00873cdc8823,
            0xa5c32432ccc590d8, 0x18ad72ca0e3cbeac, 0xa2ac7d4cabca1db4, 0x9d84d1ccd6f8c8fe,
        ],
    ),
    (
        [
            0x4041f5ee8bae8e66, 0x66eebc578f4ecb4f, 0xff8b2a6aab74fe57, 0x8c53765f4ec0a954,
            0xa598d0dbccbfd2ec, 0xb2c55523807c7e30, 0xce0d8d877a98b9ac, 0x66e61127e26b524a,
            0x33d918086edd77d8, 0xd4f398ee4b5c1a95, 0x025ff87c44df8a13, 0x265c28ea0879d955,
        ],
        [
            0xb48803b1aea063dc, 0x0b9db0dda2ddb191, 0xbb7ad80020045fff, 0x5bfbb57cd5c93315,
            0x89991446265701bc, 0xebb32d6ba486078d, 0xcf5a68dcfd2c94a2, 0x82e27d34bc325c9c,
            0x429aaeef4fdecb8a, 0x2c903d96db34015c, 0xc3165070a1f52b1b, 0x1aa28d7300134003,
        ],
    ),
    (
        [
            0xe1cd7be8a7d83351, 0xf5ee8c7298e6e5b7, 0xcdb54088754e64f4, 0xed4d19b885dc0a68,
            0x5c24c1ae7d510557, 0x33288e16ebe80fa9, 0xb1515fff42969a50, 0x7776c6557c4e4248,
            0xc446ab8c82e26123, 0x7f45b096d3801b73, 0x6f29a9f1ced66b44, 0xa9f5307c8ece78b0,
        ],
        [
            0x55f4ce63f5d8702c, 0x12d58c1fd756b889, 0x6507c6cc925f0b00, 0x61cc11a4c2eb2818,
            0xfd5221a892b27788, 0x0471226d39dff79d, 0xb4cc76141730f543, 0x964fae955aaa8f9c,
            0x7c80afcc1b298712, 0xf2622906920fc0a7, 0x4a46669fdcb2d147, 0x237d4e2bfebd293b,
        ],
    ),
    (
        [
            0xffffffff00000000, 0xffffffff00000000, 0xffffffff00000000, 0xffffffff00000000,
            0xffffffff00000000, 0xffffffff00000000, 0xffffffff00000000, 0xffffffff00000000,
            0x0000000000000001, 0x0000000000000000, 0x0000000000000000, 0x0000000000000000,
        ],
        [
            0x10eef23a4621dbaf, 0x6e988d1866a615e3, 0xe5fdda2855883fe4, 0x132756a3be55c0b1,
            0x51f70c9f6b501788, 0x84db11837e25a977, 0x150e0821eab43ce2, 0x53e42ae3762d63cd,
            0xf88655c3a8a6c1c2, 0x2c2256665e55134d, 0x63e9709dcaea9f5e, 0x3697566b7c8c8887,
        ],
    ),
    (
        [
            0x0000000000000000, 0x0000000000000000, 0x0000000000000000, 0x0000000000000000,
            0x0000000000000000, 0x0000000000000000, 0x0000000000000000, 0x0000000000000000,
            0x0000000000000000, 0x0000000000000000, 0x0000000000000000, 0x0000000000000000,
        ],
        [
            0x3c18a9786cb0b359, 0xc4055e3364a246c3, 0x7953db0ab48808f4, 0xc71603f33a1144ca,
            0xd7709673896996dc, 0x46a84e87642f44ed, 0xd032648251ee0b3c, 0x1c687363b207df62,
            0xdf8565563e8045fe, 0x40f5b37ff4254dae, 0xd070f637b431067c, 0x1792b1c4342109d7,
        ],
    ),
    (
        [
            0x0000000000000000, 0x0000000000000001, 0x0000000000000002, 0x0000000000000003,
            0x0000000000000004, 0x0000000000000005, 0x0000000000000006, 0x0000000000000007,
            0x0000000000000008, 0x0000000000000009, 0x000000000000000a, 0x000000000000000b,
        ],
        [
            0xd64e1e3efc5b8e9e, 0x53666633020aaa47, 0xd40285597c6a8825, 0x613a4f81e81231d2,
            0x414754bfebd051f0, 0xcb1f8980294a023f, 0x6eb2a9e4d54a9d0f, 0x1902bc3af467e056,
            0xf045d5eafdc6021f, 0xe4150f77caaa3be5, 0xc9bfd01d39b50cce, 0x5c0a27fcb0e1459b,
        ],
    ),
    (
        [
            0xffffffff00000000, 0xffffffff00000000, 0xffffffff00000000, 0xffffffff00000000,
            0xffffffff00000000, 0xffffffff00000000, 0xffffffff00000000, 0xffffffff00000000,
            0xffffffff00000000, 0xffffffff00000000, 0xffffffff00000000, 0xffffffff00000000,
        ],
        [
            0xbe0085cfc57a8357, 0xd95af71847d05c09, 0xcf55a13d33c1c953, 0x95803a74f4530e82,
            0xfcd99eb30a135df1, 0xe095905e913a3029, 0xde0392461b42919b, 0x7d3260e24e81d031,
            0x10d3d0465d9deaa0, 0xa87571083dfc2a47, 0xe18263681e9958f8, 0xe28e96f1ae5e60d3,
        ],
    ),
    (
        [
            0x0000000000000001, 0x0000000000000000, 0x0000000000000000, 0x0000000000000000,
            0x0000000000000000, 0x0000000000000000, 0x0000000000000000, 0x0000000000000000,
            0x0000000000000000, 0x0000000000000000, 0x0000000000000000, 0x0000000000000000,
        ],
        [
            0xd074b8cee5dcf415, 0x2346a1b4c0f390e8, 0x47969c1f5a6a25b1, 0xda62fdf84a21108e,
            0x0878b5fc5565d27d, 0xde3137fe51cf4a27, 0x7b642ae281d07998, 0x59a5ffbba7dba3a1,
            0x11c99faa16e27f7f, 0xff256e90474ec491, 0x7e1f6f6e8e6f6d16, 0x90038bb751b1df42,
        ],
    ),
    (
        [
            0x0000000000000000, 0x0000000000000000, 0x0000000000000000, 0x0000000000000000,
            0x0000000000000000, 0x0000000000000000, 0x0000000000000000, 0x0000000000000000,
            0x0000000000000001, 0x0000000000000000, 0x0000000000000000, 0x0000000000000000,
        ],
        [
            0x7554d7ffa54114fd, 0xa440cca74f8b9a89, 0xb947b1ce626a929f, 0xd678e10b815246da,
            0xbc9fd3b9cef3f3f4, 0xb50ba36597a0e342, 0xde059b36dc517de7, 0xe1abf8dfcef442e3,
            0xa7c5930903bf73ce, 0x867a177c391f950c, 0xa88f47ca6c345603, 0x3f18d9ef1a678098,
        ],
    ),
];

/// Digests, limb 0 first, of the bytes 0, 1, 2, ... of some lengths around multiples of 56, by `zkevm-commonjs`.
#[rustfmt::skip]
const BYTES_0_1_2: [(u8, [u64; 4]); 8] = [
    (0, [0x8b814fa186835c79, 0xd2e2a7050d6c1653, 0x1c05d92b56c801c2, 0x3baed9289a384f6c]),
    (1, [0xd21f142dfe1851bb, 0xff84ae9b5186da6d, 0x7389a7faa92f2777, 0xce9ee230357c9f1c]),
    (54, [0x1c516b221bc38f66, 0x441f0156d8833243, 0xc49fae82a05ade5a, 0x7223f2abaf18a2fc]),
    (55, [0x6dd6ca5db6dc2e86, 0x5030ca8152c599f1, 0x09a2a153793109ed, 0xc7446f9c6551d0f2]),
    (56, [0x6b4194e5a501d4a2, 0xef398ef525cbaff9, 0x0baed452995e66c1, 0xa739f46c55052def]),
    (57, [0xae9946e1bf3e0692, 0x8e28339e906e1c4a, 0xc6a3e2747f12133a, 0x07d63f0d71abcb97]),
    (111, [0xc3005fc81b32c526, 0xff9b65b6fe7e2eda, 0x3d516c0596bd2425, 0xfe46f516cbbe615b]),
    (112, [0xb0a07fae1bc56bcf, 0x08bc459abe9197a6, 0x55b6cf97c8323457, 0x168225eb9da4f3d6]),
];

/// Of 168 bytes 0xff.
#[rustfmt::skip]
const BYTES_FF_168: [u64; 4] =
    [0x3a671a9305a26c6f, 0xb674ce5276b1e10d, 0x43302d6efd6917be, 0x910ad96d38e0da11];
