//! The recorded chain, from genesis to tip.

use zk_replica_tests::{Recording, vectors};

#[test]
fn the_recorded_chain_is_true() {
    let Some(vectors) = vectors("the_recorded_chain_is_true") else {
        return;
    };
    let head = Recording::load(&vectors).replay().expect("true");
    let totals = head.totals;
    assert_eq!(
        (totals.blocks, totals.transactions, totals.batches, totals.gas),
        (11_317, 465, 101, 499_261_024)
    );
    assert_eq!(
        head.state_root.to_string(),
        "0xb94132b126ad8ad6b126f64e3c78944f0a6b46a46f0fed4da437cd47108ee7ee"
    );
    assert_eq!(head.hash.to_string(), "0xefb07096d6e7c79ff2c0f78617d1ac97e96b6199fc63eb57deda71a6063136c5");
}
