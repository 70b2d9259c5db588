//! The recorded stream file: what is in it (`spec/sync.md` §2.11), and that writing gives it back byte for byte.

use alloy_primitives::B256;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use zk_replica_core::{
    source::datastream::{Bookmark, Entry, EntryKind, FileDecoder, FileEncoder, Header, Message, Sender},
    types::{BatchKind, EncodedTransaction},
};
use zk_replica_tests::{Recording, Script, answers::not_run, vectors};

fn recording(test: &str) -> Option<Vec<u8>> {
    vectors(test).map(|vectors| Recording::load(&vectors).stream)
}

fn entries(stream: &[u8]) -> (Vec<Entry>, Header) {
    let mut decoder = FileDecoder::new();
    decoder.push(stream);
    let entries = std::iter::from_fn(|| decoder.next().expect("a stream file")).collect();
    (entries, decoder.finish().expect("complete"))
}

fn sha256(bytes: impl AsRef<[u8]>) -> String {
    B256::from_slice(&Sha256::digest(bytes)).to_string()
}

#[test]
fn the_file_is_the_published_one() {
    let Some(stream) = recording("the_file_is_the_published_one") else {
        return;
    };
    assert_eq!(sha256(&stream), "0xba7331e0f4ecced8c9335056f113e75cc3b161de3ef47adc84311b85f5e73513");
    let (entries, header) = entries(&stream);
    let published = Header {
        sender: Some(Sender { version: 2, system_id: 1 }),
        total_length: 5_421_190,
        total_entries: 34_723,
    };
    assert_eq!(header, published);
    assert_eq!(
        [stream.len(), entries.len()].map(|count| count as u64),
        [header.total_length, header.total_entries]
    );
}

#[test]
fn the_stream_holds_the_published_counts() {
    let Some(stream) = recording("the_stream_holds_the_published_counts") else {
        return;
    };
    let mut counts = BTreeMap::new();
    for entry in entries(&stream).0 {
        *counts.entry(entry.kind).or_insert(0) += 1;
    }
    let published = [
        (EntryKind::BATCH_START, 102),
        (EntryKind::L2_BLOCK, 11_318),
        (EntryKind::TRANSACTION, 465),
        (EntryKind::BATCH_END, 101),
        (EntryKind::L2_BLOCK_END, 11_317),
        (EntryKind::BOOKMARK, 11_420),
    ];
    assert_eq!(counts, published.into());
    not_run(&[("sync.md 2.11, batchL2Data of batch 76", "there is no encoder of batch data")]);
}

#[test]
fn the_messages_say_what_is_published() {
    let Some(stream) = recording("the_messages_say_what_is_published") else {
        return;
    };
    let (mut batches, mut blocks, mut bookmarks, mut chain_ids) = (0, 0, [0, 0], [0, 0]);
    let mut state_root = B256::ZERO;
    for message in Script::read(&stream).messages {
        match message {
            Message::Bookmark(Bookmark::Batch(number)) => {
                assert_eq!(number, bookmarks[0]);
                bookmarks[0] += 1;
            }
            Message::Bookmark(Bookmark::Block(number)) => {
                assert_eq!(number, bookmarks[1]);
                bookmarks[1] += 1;
            }
            Message::BatchStart(start) => {
                assert_eq!((start.number, start.chain_id), (batches, 779));
                assert_eq!(start.fork_id, if batches == 0 { 0 } else { 9 });
                assert_eq!(start.kind == BatchKind::Injected, batches == 1);
                batches += 1;
            }
            Message::L2Block(block) => {
                assert_eq!((block.number, block.batch_number), (blocks, batches - 1));
                assert_eq!((block.l1_info_tree_index, block.min_timestamp, block.gas_limit), (0, 0, 0));
                assert_eq!(block.global_exit_root.is_zero(), blocks != 1);
                state_root = block.state_root;
                blocks += 1;
            }
            Message::Transaction(transaction) => {
                assert!(transaction.is_valid && transaction.intermediate_state_root.is_zero());
                assert_eq!(transaction.effective_percentage, 255);
                let encoded = EncodedTransaction {
                    encoded: transaction.encoded,
                    effective_percentage: transaction.effective_percentage,
                };
                let signed = encoded.recover().expect("signed");
                chain_ids[usize::from(signed.fields().chain_id.is_some())] += 1;
            }
            Message::BatchEnd(end) => {
                assert_eq!((end.number, end.state_root), (batches - 1, state_root));
                assert_eq!(end.local_exit_root, B256::ZERO);
            }
            Message::BlockEnd(end) => assert_eq!(end.number, blocks - 1),
            Message::UpdateGer(update) => panic!("{update:?}"),
        }
    }
    assert_eq!((batches, blocks, bookmarks), (102, 11_318, [102, 11_318]));
    assert_eq!(chain_ids, [413, 52], "before and since EIP-155");
}

#[test]
fn every_message_writes_back_to_its_entry() {
    let Some(stream) = recording("every_message_writes_back_to_its_entry") else {
        return;
    };
    for entry in entries(&stream).0 {
        let message = Message::decode(&entry).expect("a message");
        assert_eq!(message.to_entry(entry.number), entry, "{message:?}");
    }
}

#[test]
fn entries_and_messages_write_back_to_the_same_file() {
    let Some(stream) = recording("entries_and_messages_write_back_to_the_same_file") else {
        return;
    };
    let mut file = FileEncoder::new();
    for entry in entries(&stream).0 {
        let number = file.push(entry.kind, &entry.data).expect("fits a page");
        assert_eq!(number, entry.number);
    }
    assert!(file.finish() == stream, "entries");
    assert!(Script::read(&stream).write() == stream, "messages");
}

#[test]
fn framed_entries_have_the_published_hash() {
    let Some(stream) = recording("framed_entries_have_the_published_hash") else {
        return;
    };
    let mut framed = Vec::new();
    for entry in entries(&stream).0 {
        let start = framed.len();
        entry.encode(&mut framed).expect("short");
        let read = Entry::decode(&framed[start..], 0).expect("an entry");
        assert_eq!(read, Some((entry, framed.len() - start)));
    }
    assert_eq!(sha256(framed), "0x04f115ac57574f6c051c68e3effcaf8a38533e16325eb417e765b691e3285af8");
}
