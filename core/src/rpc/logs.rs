//! `eth_getLogs` (`spec/rpc.md` §6).

use super::{
    Error,
    json::Json,
    objects::LogObject,
    params::{self, Params, Selector, Tag},
    room::Room,
    view::{Found, View},
};
use crate::{
    sort::sorted,
    store::log_index::{self, Fingerprint},
};
use alloc::{boxed::Box, format, string::String, vec::Vec};
use alloy_primitives::{Address, B256, Bloom, BloomInput};
use serde_json::value::RawValue;

/// Topics of a log.
const MAX_TOPICS: usize = 4;

/// Alternatives for an address or for one topic: each costs a look at every block.
const MAX_ALTERNATIVES: usize = 1000;

/// Which logs are wanted.
#[derive(Debug)]
struct Filter {
    /// Any, if none is named. Sorted.
    addresses: Vec<Address>,
    /// For each position the topics that may stand there, sorted; any, if none is named.
    topics: Vec<Vec<B256>>,
}

/// What tells of blocks without reading them whether a [`Filter`] may match there. It takes ten times the filter's room,
/// and lives no longer than a search.
#[derive(Debug)]
struct Search {
    /// What the bloom of a block with a match holds: of each group one at least.
    blooms: Vec<Vec<Bloom>>,
    /// What the index has of a section with a match: of each group one at least.
    fingerprints: Vec<Vec<Fingerprint>>,
}

/// Logs as they are found.
#[derive(Debug)]
struct Gathered {
    logs: Vec<Box<RawValue>>,
    most: usize,
    room: Room,
}

/// What `eth_getLogs` or a filter asks for.
#[derive(Debug)]
pub(super) struct Query {
    filter: Filter,
    blocks: Blocks,
}

/// Which blocks are looked at.
#[derive(Debug)]
enum Blocks {
    Hash(B256),
    /// What is not named is the latest block.
    Range {
        from: Option<Selector>,
        to: Option<Selector>,
    },
}

impl Query {
    fn read(params: Params<'_>) -> Result<Self, Error> {
        let object = object(params, 0)?;
        let filter = Filter::read(object, 0)?;
        let ends = ["fromBlock", "toBlock"].map(|name| present(object, name));
        let Some(hash) = present(object, "blockHash") else {
            let end = |end: Option<&Json<'_>>| end.map(params::number_or_tag).transpose();
            let [from, to] = ends.map(|found| end(found).map_err(|reason| Error::argument(0, reason)));
            return Ok(Self { filter, blocks: Blocks::Range { from: from?, to: to? } });
        };
        if ends.iter().any(Option::is_some) {
            let reason = "cannot specify both BlockHash and FromBlock/ToBlock, choose one or the other";
            return Err(Error::argument(0, reason));
        }
        let hash = params::hash(hash).map_err(|reason| Error::argument(0, reason))?;
        Ok(Self { filter, blocks: Blocks::Hash(hash) })
    }

    /// What `eth_newFilter` is given: a range.
    pub(super) fn of_filter(params: Params<'_>) -> Result<Self, Error> {
        let query = Self::read(params)?;
        match query.blocks {
            Blocks::Hash(_) => Err(Error::argument(0, "a filter cannot have a block hash")),
            Blocks::Range { .. } => Ok(query),
        }
    }

    /// What `eth_subscribe` is given behind the name, if anything.
    pub(super) fn of_subscription(params: Params<'_>) -> Result<Self, Error> {
        let filter = match params.get(1) {
            None => Filter::new(Vec::new(), Vec::new()),
            Some(_) => Filter::read(object(params, 1)?, 1)?,
        };
        Ok(Self { filter, blocks: Blocks::Range { from: None, to: None } })
    }

    /// About how many bytes it takes here.
    pub(super) fn bytes(&self) -> usize {
        let Filter { addresses, topics } = &self.filter;
        size_of::<Self>()
            + size_of_val(addresses.as_slice())
            + topics.iter().map(|topics| size_of_val(topics) + size_of_val(topics.as_slice())).sum::<usize>()
    }

    /// Of one block's logs those that are asked for.
    pub(super) fn select<'a>(
        &self,
        logs: &'a [LogObject],
    ) -> impl DoubleEndedIterator<Item = &'a LogObject> + use<'a, '_> {
        let bound = |end: &Option<Selector>| match end {
            Some(Selector::Number(number)) => Some(*number),
            _ => None,
        };
        let (first, last) = match &self.blocks {
            Blocks::Range { from, to } => (bound(from), bound(to)),
            Blocks::Hash(_) => (None, None),
        };
        let within =
            move |number| first.is_none_or(|first| number >= first) && last.is_none_or(|last| number <= last);
        logs.iter()
            .filter(move |log| within(log.block_number()) && self.filter.matches(log.address(), log.topics()))
    }
}

/// The parameter, which is an object.
fn object<'a>(params: Params<'a>, position: usize) -> Result<&'a Json<'a>, Error> {
    params.required(position, |value| match value {
        Json::Object(_) => Ok(value),
        _ => Err("an object was expected".into()),
    })
}

impl View<'_> {
    pub(super) fn logs(&self, params: Params<'_>) -> Result<Vec<Box<RawValue>>, Error> {
        self.find_logs(&Query::read(params)?)
    }

    pub(super) fn find_logs(&self, query: &Query) -> Result<Vec<Box<RawValue>>, Error> {
        let mut gathered =
            Gathered { logs: Vec::new(), most: self.rpc.config.limits.log_results, room: self.room() };
        gathered.room.brackets();
        let (from, to) = match &query.blocks {
            Blocks::Hash(hash) => {
                let found = self.block_by_hash(*hash)?.ok_or_else(|| Error::server("unknown block"))?;
                gathered.select(&query.filter, &found, found.number())?;
                return Ok(gathered.logs);
            }
            Blocks::Range { from, to } => self.range(*from, *to)?,
        };
        // Of blocks that the index passes over, too, it is said that they have no match.
        self.rest_on(to, None);
        let search = query.filter.search();
        let mut next = from;
        while next <= to {
            let number = next;
            if let Some(behind) = self.without_match(number, number == from, &search)? {
                next = behind;
                continue;
            }
            next += 1;
            if !search.may_match(&self.bloom(number)?) {
                continue;
            }
            let found = self.block_by_number(number)?.ok_or_else(Error::internal)?;
            gathered.select(&query.filter, &found, from)?;
        }
        Ok(gathered.logs)
    }

    /// The block behind the largest section from this block on in which the index knows no match. At the beginning of a
    /// range the section may begin before it.
    fn without_match(&self, number: u64, begins: bool, search: &Search) -> Result<Option<u64>, Error> {
        let head = self.head()?.number;
        for level in (1..=log_index::LEVELS).rev() {
            let (blocks, within) = (log_index::blocks(level), number % log_index::blocks(level));
            let last = number - within + (blocks - 1);
            if last > head || (within > 0 && !begins) {
                continue;
            }
            let section = log_index::section(level, number, self.store)?;
            if section.is_some_and(|section| !section.may_match(&search.fingerprints)) {
                return Ok(Some(last + 1));
            }
        }
        Ok(None)
    }

    /// The blocks to look at, the last of them verified.
    fn range(&self, from: Option<Selector>, to: Option<Selector>) -> Result<(u64, u64), Error> {
        let head = self.head()?.number;
        let end = |selector: Option<Selector>| -> Result<u64, Error> {
            let selector = selector.unwrap_or(Selector::Tag(Tag::Latest));
            self.number(selector).map(|number| number.unwrap_or(head))
        };
        let (from, to, open) = (end(from)?, end(to)?, to.is_none());
        if from > head && (open || from <= to) {
            return Err(Error::invalid("block range extends beyond current head block"));
        }
        if from > to {
            return Err(Error::invalid("invalid block range params"));
        }
        let to = to.min(head);
        let limit = self.rpc.config.limits.log_blocks;
        if to - from >= limit {
            return Err(Error::invalid(format!("logs are limited to a {limit} block range")));
        }
        Ok((from, to))
    }
}

impl Gathered {
    /// Takes in the block's logs that match. `from` is the first block that is looked at.
    fn select(&mut self, filter: &Filter, found: &Found, from: u64) -> Result<(), Error> {
        let mut position = 0;
        for index in 0..found.record.receipts.len() {
            let of_transaction = found.logs_after(index, position)?;
            position += of_transaction.len();
            for log in of_transaction.iter().filter(|log| filter.matches(log.address(), log.topics())) {
                let full = self.logs.len() >= self.most;
                match if full { None } else { self.room.try_write(log)? } {
                    Some(log) => self.logs.push(log),
                    // No range is smaller than a block.
                    None if !full && found.number() == from => return Err(Error::too_large()),
                    None => return Err(self.too_many(from, found.number())),
                }
            }
        }
        Ok(())
    }

    /// Indexers read the range out of this sentence, and ask for that first.
    fn too_many(&self, from: u64, at: u64) -> Error {
        let (number, to) = (self.logs.len(), at.saturating_sub(1).max(from));
        Error::invalid(format!(
            "query returned more than {number} results. Try with this block range [{from:#x}, {to:#x}]."
        ))
    }
}

fn present<'a>(object: &'a Json<'a>, name: &str) -> Option<&'a Json<'a>> {
    object.get(name).filter(|value| **value != Json::Null)
}

impl Filter {
    fn read(object: &Json<'_>, position: usize) -> Result<Self, Error> {
        let argument = |reason: String| Error::argument(position, reason);
        let addresses = params::one_or_many(object.get("address"), params::address).map_err(argument)?;
        let positions = match present(object, "topics") {
            None => &[],
            Some(Json::Array(positions)) => positions.as_slice(),
            Some(_) => return Err(Error::argument(position, "topics: an array was expected")),
        };
        if positions.len() > MAX_TOPICS {
            return Err(Error::invalid("more than four topics in filter"));
        }
        let topics = positions.iter().map(|position| alternatives(position)).collect::<Result<_, _>>();
        let filter = Self::new(addresses, topics.map_err(argument)?);
        let most = filter.topics.iter().map(Vec::len).fold(filter.addresses.len(), usize::max);
        if most > MAX_ALTERNATIVES {
            return Err(Error::invalid("exceed max addresses or topics per search position"));
        }
        Ok(filter)
    }

    fn new(addresses: Vec<Address>, topics: Vec<Vec<B256>>) -> Self {
        Self { addresses: sorted(addresses), topics: topics.into_iter().map(sorted).collect() }
    }

    fn search(&self) -> Search {
        let Self { addresses, topics } = self;
        let of_addresses = addresses.iter().map(|address| bloom(address.as_slice())).collect();
        let of_topics =
            topics.iter().map(|topics| topics.iter().map(|topic| bloom(topic.as_slice())).collect());
        let blooms = of_topics.chain([of_addresses]).filter(|group: &Vec<_>| !group.is_empty()).collect();
        let of_topic = |(position, topics): (usize, &Vec<B256>)| {
            topics.iter().map(|topic| Fingerprint::of_topic(position, topic)).collect()
        };
        let of_topics = topics.iter().enumerate().map(of_topic);
        let of_addresses = addresses.iter().map(Fingerprint::of_address).collect();
        let fingerprints = of_topics.chain([of_addresses]).filter(|group: &Vec<_>| !group.is_empty());
        Search { fingerprints: fingerprints.collect(), blooms }
    }

    fn matches(&self, address: &Address, topics: &[B256]) -> bool {
        let wanted = self.topics.iter().zip(topics);
        (self.addresses.is_empty() || self.addresses.binary_search(address).is_ok())
            && topics.len() >= self.topics.len()
            && wanted
                .into_iter()
                .all(|(wanted, topic)| wanted.is_empty() || wanted.binary_search(topic).is_ok())
    }
}

impl Search {
    /// The header's bloom does not rule a match out.
    fn may_match(&self, bloom: &Bloom) -> bool {
        self.blooms.iter().all(|group| group.iter().any(|one| bloom.contains(one)))
    }
}

fn bloom(bytes: &[u8]) -> Bloom {
    let mut bloom = Bloom::ZERO;
    bloom.accrue(BloomInput::Raw(bytes));
    bloom
}

/// Null and an empty list stand for anything; so does a list with a null in it.
fn alternatives(position: &Json<'_>) -> Result<Vec<B256>, String> {
    if let Json::Array(items) = position
        && items.contains(&Json::Null)
    {
        return Ok(Vec::new());
    }
    params::one_or_many(Some(position), params::hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: B256 = B256::repeat_byte(1);
    const B: B256 = B256::repeat_byte(2);

    fn filter(topics: &[&[B256]]) -> Filter {
        Filter::new(Vec::new(), topics.iter().map(|topics| topics.to_vec()).collect())
    }

    #[test]
    fn topics_match_by_position() {
        let matches = |topics: &[&[B256]], log: &[B256]| filter(topics).matches(&Address::ZERO, log);
        assert!(matches(&[], &[]));
        assert!(matches(&[], &[A]));
        assert!(matches(&[&[A]], &[A, B]));
        assert!(!matches(&[&[A]], &[B, A]));
        assert!(matches(&[&[], &[A, B]], &[B, A]));
        // A log with fewer topics than the filter has positions never matches.
        assert!(!matches(&[&[]], &[]));
        assert!(!matches(&[&[A], &[]], &[A]));
    }

    #[test]
    fn addresses_are_alternatives() {
        let filter = Filter::new([Address::ZERO].into(), Vec::new());
        assert!(filter.matches(&Address::ZERO, &[]));
        assert!(!filter.matches(&Address::with_last_byte(1), &[]));
    }

    #[test]
    fn the_bloom_never_hides_a_match() {
        let mut bloom = Bloom::ZERO;
        bloom.accrue(BloomInput::Raw(A.as_slice()));
        assert!(filter(&[&[A]]).search().may_match(&bloom));
        assert!(filter(&[&[], &[B, A]]).search().may_match(&bloom));
        assert!(!filter(&[&[B]]).search().may_match(&bloom));
        assert!(filter(&[]).search().may_match(&Bloom::ZERO));
    }
}
