//! x
use zk_replica_tests::{Recording, vectors};

#[test]
fn recorded_chain() {
    let Some(vectors) = vectors() else { return };
    let recording = Recording::load(&vectors);
    let start = std::time::Instant::now();
    match recording.replay() {
        Ok(head) => eprintln!("{head:?}"),
        Err(e) => panic!("{e}"),
    }
    eprintln!("{:?}", start.elapsed());
}
