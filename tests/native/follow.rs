//! `zk-replica run` beside a main node that behaves, and one that does not.
//!
//! No test is about speed: what is awaited has three minutes. However a chain was followed, a replay of the main node's last
//! stream into the same database must find it true, and end as a replay into nothing does.

use crate::follower::World;
use std::thread;
use std::time::Duration;
use zk_replica_core::source::datastream::{Bookmark, Message};
use zk_replica_tests::{Fault, Made, MainNode, Plan, Process, Recording, Script, vectors};

fn follow(world: &World, node: &MainNode) -> Process {
    world.follow(["--stream", &node.address()], &[])
}

/// A chain, and one that leaves it at block 61.
fn chains() -> (Script, Script) {
    let plan = Plan { blocks: 120, batch: 25, twist: None };
    (Made::by(plan).script(), Made::by(Plan { twist: Some(61), ..plan }).script())
}

/// Messages up to and with a block.
fn up_to(script: &Script, block: u64) -> usize {
    if block == 0 {
        return script.position(|message| matches!(message, Message::L2Block(_))) + 1;
    }
    script.whole_block(block).end
}

/// The messages between two blocks, with the second one.
fn between(script: &Script, from: u64, to: u64) -> &[Message] {
    &script.messages[up_to(script, from)..up_to(script, to)]
}

fn cut(script: &Script, block: u64) -> Script {
    Script { messages: script.messages[..up_to(script, block)].to_vec() }
}

#[test]
fn it_follows_from_genesis_to_the_tip_and_each_block_after_it() {
    let (world, (script, _)) = (World::made(), chains());
    let node = MainNode::serve(between(&script, 0, 0));
    node.append(&script.messages[..up_to(&script, 50)]);
    let follower = follow(&world, &node);
    follower.await_line("at the tip: block 50");
    for block in 51..=120 {
        node.append(between(&script, block - 1, block));
        follower.await_block(block);
    }
    assert_eq!(follower.count("lost"), 0, "{:#?}", follower.lines());
    assert_eq!(follower.stop("TERM"), Some(130));
    world.assert_holds(&script);

    // It goes on where it was, also with headers of the old length.
    node.use_old_header();
    let follower = follow(&world, &node);
    follower.await_line("at the tip: block 120");
    assert_eq!(follower.stop("INT"), Some(130));
    world.assert_holds(&script);
}

#[test]
fn each_block_behind_the_tip_has_a_line() {
    let (world, (script, _)) = (World::made(), chains());
    let node = MainNode::serve(&script.messages[..up_to(&script, 20)]);
    let follower = follow(&world, &node);
    follower.await_line("at the tip: block 20");
    // Many at once, and some while there is no connection.
    node.append(between(&script, 20, 90));
    follower.await_block(90);
    node.fail_next(&[Fault::Close]);
    node.hang_up();
    node.append(between(&script, 90, 120));
    follower.await_block(120);
    let lines = follower.lines();
    let told =
        lines.iter().filter_map(|line| line.strip_prefix("block ")?.split(' ').next()?.parse::<u64>().ok());
    assert!(told.eq(20..=120_u64), "{lines:#?}");
    assert_eq!(follower.stop("TERM"), Some(130));
}

#[test]
fn an_empty_stream_is_waited_for() {
    let (world, (script, _)) = (World::made(), chains());
    let node = MainNode::serve(&[]);
    let follower = follow(&world, &node);
    follower.await_line("waiting: the main node's stream is empty");
    node.append(&script.messages);
    follower.await_block(120);
    assert_eq!(follower.stop("TERM"), Some(130));
    world.assert_holds(&script);
}

#[test]
fn it_recovers_from_each_fault_of_a_connection() {
    let (script, _) = chains();
    let bytes = script.write().len() - 4096;
    let faults = [
        vec![Fault::Close; 3],
        vec![Fault::Silent],
        vec![Fault::Duplicates],
        vec![Fault::Omit(40)],
        [0, 5, 40, 70, 100, bytes / 3, bytes / 2, bytes - 1].map(Fault::DropAfter).to_vec(),
        vec![Fault::SilentAfter(60), Fault::SilentAfter(bytes / 2)],
    ];
    for faults in faults {
        let world = World::made();
        let node = MainNode::serve(&script.messages);
        node.fail_next(&faults);
        let follower = follow(&world, &node);
        follower.await_block(120);
        assert_eq!(node.faults_left(), 0, "{faults:?}");
        assert_eq!(follower.stop("TERM"), Some(130), "{faults:?}");
        world.assert_holds(&script);
    }
}

#[test]
fn at_the_tip_it_recovers_from_each_fault() {
    let (world, (script, _)) = (World::made(), chains());
    let node = MainNode::serve(&script.messages[..up_to(&script, 20)]);
    let follower = follow(&world, &node);
    follower.await_block(20);
    let mut block = 20;
    for fault in [Fault::Duplicates, Fault::Close, Fault::Silent, Fault::DropAfter(300)] {
        node.fail_next(&[fault]);
        node.hang_up();
        // Blocks come while it is away, and after.
        for _ in 0..3 {
            block += 1;
            node.append(between(&script, block - 1, block));
        }
        follower.await_block(block);
        block += 1;
        node.append(between(&script, block - 1, block));
        follower.await_block(block);
    }
    assert_eq!(follower.stop("TERM"), Some(130));
    world.assert_holds(&cut(&script, block));
}

#[test]
fn an_entry_that_was_never_sent_is_missed() {
    let (world, (script, _)) = (World::made(), chains());
    let start = up_to(&script, 20);
    let node = MainNode::serve(&script.messages[..start]);
    // The last entry of block 21: nothing comes after it that would show the gap.
    node.fail_next(&[Fault::Omit(up_to(&script, 21) as u64 - 1)]);
    let follower = follow(&world, &node);
    follower.await_block(20);
    node.append(between(&script, 20, 21));
    follower.await_block(21);
    assert_eq!(follower.stop("TERM"), Some(130));
    world.assert_holds(&cut(&script, 21));
}

#[test]
fn a_main_node_that_is_away_is_waited_for() {
    let (world, (script, _)) = (World::made(), chains());
    let node = MainNode::serve(&script.messages[..up_to(&script, 30)]);
    node.fail(Some(Fault::Close));
    let follower = follow(&world, &node);
    follower.await_that("attempts", || node.accepted() > 4);
    follower.await_line("lost");
    node.fail(None);
    follower.await_block(30);
    node.fail(Some(Fault::Silent));
    node.hang_up();
    let before = node.accepted();
    follower.await_that("attempts", || node.accepted() > before + 1);
    node.append(&script.messages[up_to(&script, 30)..]);
    node.fail(None);
    follower.await_block(120);
    assert_eq!(follower.stop("TERM"), Some(130));
    world.assert_holds(&script);
}

#[test]
fn a_roll_back_of_the_main_node_is_followed() {
    let (script, other) = chains();
    for (fork, live) in [(60, true), (60, false)] {
        let world = World::made();
        let node = MainNode::serve(&script.messages);
        let follower = follow(&world, &node);
        follower.await_block(120);
        if live {
            // Nobody is told, and the numbers of the entries are used again.
            node.rewrite(up_to(&script, fork), between(&other, fork, 70));
        } else {
            node.replace(&other.messages[..up_to(&other, 70)]);
        }
        follower.await_line(&format!("rolled back from block 120 to block {fork}"));
        follower.await_that("block 70", || follower.count("block 70 state root ") > 0);
        node.append(between(&other, 70, 120));
        follower.await_that("block 120", || follower.count("block 120 state root ") == 2);
        assert_eq!(follower.count("mismatch"), 0, "{:#?}", follower.lines());
        assert_eq!(follower.stop("TERM"), Some(130));
        world.assert_holds(&other);
    }
}

#[test]
fn a_stream_that_was_cut_is_waited_for_and_rolls_nothing_back() {
    let (world, (script, _)) = (World::made(), chains());
    let node = MainNode::serve(&script.messages);
    let follower = follow(&world, &node);
    follower.await_block(120);
    node.truncate(up_to(&script, 80));
    follower.await_line("waiting: the main node ends at block 80, before verified block 120");
    // The same blocks are written again.
    node.append(&script.messages[up_to(&script, 80)..]);
    follower.await_that("the tip again", || follower.count("at the tip: block 120") == 2);
    assert_eq!(follower.count("rolled back"), 0, "{:#?}", follower.lines());
    assert_eq!(follower.stop("TERM"), Some(130));
    world.assert_holds(&script);
}

#[test]
fn the_same_blocks_in_other_batches_are_followed() {
    let world = World::made();
    let plan = Plan { blocks: 60, batch: 25, twist: None };
    let (script, other) = (Made::by(plan).script(), Made::by(Plan { batch: 10, ..plan }).script());
    let node = MainNode::serve(&script.messages);
    let follower = follow(&world, &node);
    follower.await_block(60);
    node.replace(&other.messages);
    follower.await_line("rolled back from block 60 to block 10");
    follower.await_that("block 60", || follower.count("block 60 state root ") == 2);
    assert_eq!(follower.stop("TERM"), Some(130));
    world.assert_holds(&other);
}

#[test]
fn a_lie_is_told_once_and_corrected_by_itself() {
    let (world, (script, _)) = (World::made(), chains());
    let mut lie = script.clone();
    lie.block(91).state_root.0[31] ^= 1;
    let node = MainNode::serve(&script.messages[..up_to(&script, 90)]);
    let follower = follow(&world, &node);
    follower.await_block(90);
    node.append(between(&lie, 90, 95));
    follower.await_line("mismatch at block 91 (batch 4): state root: expected ");
    follower.await_line("block 90 stays the last verified block");
    let before = node.accepted();
    follower.await_that("attempts", || node.accepted() > before + 2);
    assert_eq!(follower.count("mismatch"), 1, "{:#?}", follower.lines());
    node.rewrite(up_to(&script, 90), between(&script, 90, 120));
    follower.await_line("corrected: ");
    follower.await_block(120);
    assert_eq!(follower.stop("TERM"), Some(130));
    world.assert_holds(&script);
}

#[test]
fn a_lie_about_a_verified_block_rolls_nothing_back() {
    let (world, (script, _)) = (World::made(), chains());
    let mut lie = cut(&script, 100);
    lie.block(100).state_root.0[31] ^= 1;
    let node = MainNode::serve(&script.messages);
    let follower = follow(&world, &node);
    follower.await_block(120);
    node.replace(&lie.messages);
    follower.await_line("mismatch at block 100 (batch 4): state root: expected ");
    follower.await_line("block 120 stays the last verified block");
    node.replace(&script.messages);
    follower.await_that("the tip again", || follower.count("at the tip: block 120") == 2);
    assert_eq!(follower.count("rolled back"), 0, "{:#?}", follower.lines());
    assert_eq!(follower.stop("TERM"), Some(130));
    world.assert_holds(&script);
}

#[test]
fn another_chain_is_never_followed() {
    let (world, (script, _)) = (World::made(), chains());
    let node = MainNode::serve(&script.messages);
    let follower = follow(&world, &node);
    follower.await_block(120);
    let mut other = script.clone();
    other.block(0).hash.0[0] ^= 1;
    other.block(120).hash.0[0] ^= 1;
    node.replace(&other.messages);
    follower.await_line("waiting: the main node serves another chain");
    node.replace(&script.messages);
    follower.await_that("the tip again", || follower.count("at the tip: block 120") == 2);
    assert_eq!(follower.stop("TERM"), Some(130));
    world.assert_holds(&script);
}

#[test]
fn killed_at_any_point_it_continues() {
    let (world, script) = (World::made(), Made::chain().script());
    let node = MainNode::serve(&script.messages[..up_to(&script, 600)]);
    let mut block = 600;
    for round in 0_u64..12 {
        let follower = follow(&world, &node);
        if round % 2 == 1 {
            block += 20;
            node.append(between(&script, block - 20, block));
        }
        // No sleep decides whether the test passes, only what it gets to see.
        thread::sleep(Duration::from_millis(5 + round * 7919 % 230));
        follower.kill();
    }
    let follower = follow(&world, &node);
    node.append(&script.messages[up_to(&script, block)..]);
    follower.await_block(900);
    assert_eq!(follower.stop("TERM"), Some(130));
    world.assert_holds(&script);
}

#[test]
fn killed_while_it_rolls_back_it_continues() {
    let (world, (script, other)) = (World::made(), chains());
    let node = MainNode::serve(&script.messages);
    for round in 0_u64..12 {
        let messages = if round % 2 == 0 { &script.messages } else { &other.messages };
        node.replace(messages);
        let follower = follow(&world, &node);
        // No sleep decides whether the test passes, only what it gets to see.
        thread::sleep(Duration::from_millis(10 + round * 7919 % 190));
        follower.kill();
    }
    node.replace(&script.messages);
    let follower = follow(&world, &node);
    follower.await_line("at the tip: block 120");
    assert_eq!(follower.stop("TERM"), Some(130));
    world.assert_holds(&script);
}

#[test]
fn an_address_that_is_none_is_unusable() {
    let world = World::made();
    let db = world.folder.path().join("db");
    for address in ["here", "localhost:", "localhost:http"] {
        let output =
            world.command("run", ["--stream", address]).arg("--db").arg(&db).output().expect("it runs");
        assert_eq!(output.status.code(), Some(2), "{output:?}");
    }
}

#[test]
fn it_stops_before_genesis_when_asked() {
    let world = World::made();
    let node = MainNode::serve(&[]);
    let follower = follow(&world, &node);
    follower.await_line("waiting: ");
    assert_eq!(follower.stop("INT"), Some(130));
}

#[test]
fn the_recorded_chain_is_followed_through_faults() {
    let Some(vectors) = vectors("the_recorded_chain_is_followed_through_faults") else {
        return;
    };
    let world = World::recorded(&vectors);
    let script = Script::read(&Recording::load(&vectors).stream);
    let block =
        |number: u64| script.position(|message| *message == Message::Bookmark(Bookmark::Block(number)));
    let node = MainNode::serve(&script.messages[..block(6000)]);
    node.fail_next(&[
        Fault::DropAfter(400_000),
        Fault::SilentAfter(900_000),
        Fault::Omit(9000),
        Fault::Duplicates,
    ]);
    let follower = follow(&world, &node);
    follower.await_block(5999);
    node.append(&script.messages[block(6000)..block(11_000)]);
    follower.await_block(10_999);

    // The stream is cut, a lie is told about a verified block, and then the truth.
    let mut lie = script.clone();
    lie.block(8700).hash.0[0] ^= 1;
    node.rewrite(block(8700), &lie.messages[block(8700)..block(8701)]);
    follower.await_line("mismatch at block 8700 (batch 50): block hash: ");
    follower.await_line("block 10999 stays the last verified block");
    node.replace(&script.messages);
    follower.await_block(11_317);
    assert_eq!(follower.stop("TERM"), Some(130));
    world.assert_holds(&script);
}
