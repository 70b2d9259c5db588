//! A stream file, piece by piece.

use alloc::string::{String, ToString};
use zk_replica_core::{
    source::datastream::{Assembler, FileDecoder, Item},
    types::BatchStart,
};

/// What is decoded, and how far it is known already.
pub(crate) struct Stream {
    decoder: FileDecoder,
    assembler: Assembler,
    ended: bool,
    /// The last batch before the verified head, while what comes lies before it.
    skipping: Option<Option<BatchStart>>,
}

/// What a look brought.
pub(crate) enum Piece {
    /// More bytes are needed.
    Hungry,
    /// It lies before what is verified.
    Skipped,
    /// The verified head comes next, in this batch.
    Enter(BatchStart, Item),
    Item(Item),
    End,
}

impl Stream {
    /// `verified`: there is a head, and the stream before it need not be looked at again.
    pub(crate) fn new(verified: bool) -> Self {
        Self {
            decoder: FileDecoder::new(),
            assembler: Assembler::new(),
            ended: false,
            skipping: verified.then_some(None),
        }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.decoder.push(bytes);
    }

    /// There are no more bytes.
    pub(crate) fn end(&mut self) {
        self.ended = true;
    }

    /// The next part, given the number of the head.
    pub(crate) fn next(&mut self, head: Option<u64>) -> Result<Piece, String> {
        let Some(entry) = self.decoder.next().map_err(|error| error.to_string())? else {
            return match self.ended {
                true => self.finish(),
                false => Ok(Piece::Hungry),
            };
        };
        let Some(item) = self.assembler.push(entry).map_err(|error| error.to_string())? else {
            return Ok(Piece::Skipped);
        };
        let (Some(batch), Some(head)) = (&mut self.skipping, head) else {
            return Ok(Piece::Item(item));
        };
        match &item {
            Item::BatchStart(start) => *batch = Some(start.clone()),
            Item::Block(block) if block.input.number == head => {
                let start = batch.take().ok_or("a block before any batch")?;
                self.skipping = None;
                return Ok(Piece::Enter(start, item));
            }
            Item::Block(_) | Item::UpdateGer(_) | Item::BatchEnd(_) => {}
        }
        Ok(Piece::Skipped)
    }

    fn finish(&mut self) -> Result<Piece, String> {
        core::mem::take(&mut self.decoder).finish().map_err(|error| error.to_string())?;
        core::mem::replace(&mut self.assembler, Assembler::new())
            .finish()
            .map_err(|error| error.to_string())?;
        Ok(Piece::End)
    }

    /// How much of it was announced, in bytes, once its first page has been read.
    pub(crate) fn length(&self) -> Option<u64> {
        self.decoder.header().map(|header| header.total_length)
    }
}
