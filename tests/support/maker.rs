use crate::Script;
use std::sync::OnceLock;
use zk_replica_core::{
    chain::{ChainSpec, Genesis},
    checker::{self, Claim, Mismatch},
    replica::{Halt, Input, Replica},
    source::datastream::{Assembler, BlockEnd, Bookmark, Entry, FileEncoder, L2Block, Message},
    store::Memory,
    types::{BatchEnd, BatchKind, BatchStart, Head},
};

/// A chain of empty blocks over an empty genesis (`{}`), its last batch open.
#[derive(Clone, Debug)]
pub struct Made {
    /// The stream file.
    pub stream: Vec<u8>,
    /// What a replay ends with.
    pub head: Head,
}

/// What a made chain looks like.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Number of the last block.
    pub blocks: u64,
    /// Blocks in a batch.
    pub batch: u64,
    /// The first block that is another one than in a chain without this: chains with a common beginning.
    pub twist: Option<u64>,
}

impl Made {
    /// The chain's id.
    pub const CHAIN_ID: u64 = 4242;

    /// A chain of 900 blocks, made once.
    pub fn chain() -> &'static Self {
        static MADE: OnceLock<Made> = OnceLock::new();
        MADE.get_or_init(|| Self::by(Plan { blocks: 900, batch: 100, twist: None }))
    }

    /// Makes a chain: what a block has to claim, the checker itself says.
    ///
    /// # Panics
    ///
    /// When the checker and this disagree about anything but roots and hashes.
    pub fn by(plan: Plan) -> Self {
        Maker::new(plan).make()
    }

    /// The chain's specification.
    pub fn spec() -> String {
        format!(r#"{{"chainId":{}}}"#, Self::CHAIN_ID)
    }

    /// The stream as messages.
    pub fn script(&self) -> Script {
        Script::read(&self.stream)
    }
}

struct Maker {
    plan: Plan,
    replica: Replica,
    store: Memory,
    assembler: Assembler,
    file: FileEncoder,
}

impl Maker {
    fn new(plan: Plan) -> Self {
        let spec = ChainSpec::from_json(Made::spec().as_bytes()).expect("a specification");
        let genesis = Genesis::from_json(b"{}").expect("a genesis");
        let store = Memory::new();
        Self {
            plan,
            replica: Replica::open(spec, genesis, &store).expect("an empty store"),
            store,
            assembler: Assembler::new(),
            file: FileEncoder::new(),
        }
    }

    fn make(mut self) -> Made {
        self.open_batch(0);
        self.block(0);
        for number in 1..=self.plan.blocks {
            if (number - 1).is_multiple_of(self.plan.batch) {
                self.close_batch();
                self.open_batch(number.div_ceil(self.plan.batch));
            }
            self.block(number);
        }
        Made { stream: self.file.finish(), head: self.replica.head().expect("made").clone() }
    }

    fn open_batch(&mut self, number: u64) {
        self.say(Message::Bookmark(Bookmark::Batch(number)));
        self.say(Message::BatchStart(BatchStart {
            number,
            kind: BatchKind::Regular,
            fork_id: if number == 0 { 0 } else { 9 },
            chain_id: Made::CHAIN_ID,
        }));
    }

    fn close_batch(&mut self) {
        let head = self.replica.head().expect("made");
        self.say(Message::BatchEnd(BatchEnd {
            number: head.batch,
            local_exit_root: Default::default(),
            state_root: head.state_root,
        }));
    }

    fn block(&mut self, number: u64) {
        const START: u64 = 1_700_000_000;
        self.say(Message::Bookmark(Bookmark::Block(number)));
        let twisted = self.plan.twist.map_or(0, |twist| (number + 1).saturating_sub(twist));
        let delta = if twisted > 0 { 4 } else { 3 };
        let timestamp = START + 3 * number + twisted;
        let mut block = L2Block {
            number,
            batch_number: number.div_ceil(self.plan.batch),
            timestamp,
            delta_timestamp: match number {
                0 => 0,
                1 => u32::try_from(timestamp).expect("before 2106"),
                _ => delta,
            },
            ..L2Block::default()
        };
        let before = self.assembler.clone();
        while let Err(mismatch) = self.check(&Message::L2Block(block.clone())).and_then(|()| match number {
            0 => Ok(()),
            number => self.check(&Message::BlockEnd(BlockEnd { number })),
        }) {
            let checker::Value::Hash(computed) = mismatch.computed else {
                unreachable!("only hashes are unknown: {mismatch}")
            };
            match mismatch.claim {
                Claim::StateRoot => block.state_root = computed,
                Claim::BlockInfoRoot => block.block_info_root = computed,
                Claim::BlockHash => block.hash = computed,
                _ => unreachable!("only roots and the hash are unknown: {mismatch}"),
            }
            self.assembler = before.clone();
        }
        self.write(&Message::L2Block(block));
        if number > 0 {
            self.write(&Message::BlockEnd(BlockEnd { number }));
        }
    }

    fn say(&mut self, message: Message) {
        self.check(&message).expect("true");
        self.write(&message);
    }

    fn write(&mut self, message: &Message) {
        self.file.push_message(message).expect("short");
    }

    fn check(&mut self, message: &Message) -> Result<(), Mismatch> {
        let entry = Entry { number: 0, kind: message.kind(), data: message.encode().into() };
        let Some(item) = self.assembler.push(entry).expect("in order") else {
            return Ok(());
        };
        match self.replica.advance(&Input::from(item), &self.store) {
            Ok(_) => Ok(()),
            Err(Halt::Mismatch(mismatch)) => Err(mismatch),
            Err(other) => unreachable!("{other}"),
        }
    }
}
