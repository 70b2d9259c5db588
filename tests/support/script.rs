use std::ops::Range;
use zk_replica_core::{
    source::datastream::{Bookmark, FileDecoder, FileEncoder, L2Block, Message, Transaction},
    types::{BatchEnd, BatchStart},
};

/// A stream as a list of messages, to be altered and written again.
#[derive(Clone, Debug)]
pub struct Script {
    /// What the stream says, in order.
    pub messages: Vec<Message>,
}

impl Script {
    /// Reads a stream file.
    ///
    /// # Panics
    ///
    /// When the file is not one.
    pub fn read(stream: &[u8]) -> Self {
        let mut decoder = FileDecoder::new();
        decoder.push(stream);
        let mut messages = Vec::new();
        while let Some(entry) = decoder.next().expect("a stream file") {
            messages.push(Message::decode(&entry).expect("a message"));
        }
        Self { messages }
    }

    /// Writes the stream file, with numbers, pages and header as they have to be.
    ///
    /// # Panics
    ///
    /// When a message is too long for a page.
    pub fn write(&self) -> Vec<u8> {
        let mut file = FileEncoder::new();
        for message in &self.messages {
            file.push_message(message).expect("fits a page");
        }
        file.finish()
    }

    /// Where the first message that `is` accepts stands.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn position(&self, is: impl Fn(&Message) -> bool) -> usize {
        self.messages.iter().position(is).expect("such a message")
    }

    /// A block's first message.
    pub fn block(&mut self, number: u64) -> &mut L2Block {
        let blocks = self.messages.iter_mut().filter_map(|message| match message {
            Message::L2Block(block) => Some(block),
            _ => None,
        });
        blocks.into_iter().find(|block| block.number == number).expect("such a block")
    }

    /// All messages of a block, from bookmark to end.
    pub fn whole_block(&self, number: u64) -> Range<usize> {
        let start = self.position(|message| *message == Message::Bookmark(Bookmark::Block(number)));
        let length = self.messages[start..]
            .iter()
            .position(|message| matches!(message, Message::BlockEnd(_)))
            .expect("an end");
        start..start + length + 1
    }

    /// Where the transactions of a block stand.
    pub fn transactions(&self, block: u64) -> Range<usize> {
        let whole = self.whole_block(block);
        whole.start + 2..whole.end - 1
    }

    /// A transaction of a block.
    pub fn transaction(&mut self, block: u64, index: usize) -> &mut Transaction {
        let position = self.transactions(block).start + index;
        match &mut self.messages[position] {
            Message::Transaction(transaction) => transaction,
            other => panic!("{other:?} is no transaction"),
        }
    }

    /// How a batch begins.
    pub fn batch_start(&mut self, number: u64) -> &mut BatchStart {
        let starts = self.messages.iter_mut().filter_map(|message| match message {
            Message::BatchStart(start) => Some(start),
            _ => None,
        });
        starts.into_iter().find(|start| start.number == number).expect("such a batch")
    }

    /// How a batch ends.
    pub fn batch_end(&mut self, number: u64) -> &mut BatchEnd {
        let ends = self.messages.iter_mut().filter_map(|message| match message {
            Message::BatchEnd(end) => Some(end),
            _ => None,
        });
        ends.into_iter().find(|end| end.number == number).expect("such a batch")
    }
}
