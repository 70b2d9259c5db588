//! `eth_getLogs` (`spec/rpc.md` §6).

use super::{
    Error,
    json::Json,
    objects::LogObject,
    params::{self, Params, Selector, Tag},
    view::{Found, View},
};
use crate::store::Store;
use alloc::{format, string::String, vec::Vec};
use alloy_primitives::{Address, B256, Bloom, BloomInput};

/// Topics of a log.
const MAX_TOPICS: usize = 4;

/// Alternatives for an address or for one topic: each costs a look at every block.
const MAX_ALTERNATIVES: usize = 1000;

/// Which logs are wanted.
struct Filter {
    /// Any, if none is named. Sorted.
    addresses: Vec<Address>,
    /// For each position the topics that may stand there, sorted; any, if none is named.
    topics: Vec<Vec<B256>>,
    /// What the bloom of a block with a match holds: of each group one at least.
    blooms: Vec<Vec<Bloom>>,
}

impl<S: Store> View<'_, S> {
    pub(super) fn logs(&self, params: Params<'_>) -> Result<Vec<LogObject>, Error> {
        let object = params.required(0, |value| match value {
            Json::Object(_) => Ok(value),
            _ => Err("an object was expected".into()),
        })?;
        let filter = Filter::read(object)?;
        let mut logs = Vec::new();
        if let Some(hash) = present(object, "blockHash") {
            if present(object, "fromBlock").or(present(object, "toBlock")).is_some() {
                let reason = "cannot specify both BlockHash and FromBlock/ToBlock, choose one or the other";
                return Err(Error::argument(0, reason));
            }
            let hash = params::hash(hash).map_err(|reason| Error::argument(0, reason))?;
            let found = self.block_by_hash(hash)?.ok_or_else(|| Error::server("unknown block"))?;
            filter.select(&found, &mut logs)?;
            let number = found.number();
            return self.within_limit(&logs, number, number).map(|()| logs);
        }
        let (from, to) = self.range(object)?;
        for number in from..=to {
            if !filter.may_match(&self.bloom(number)?) {
                continue;
            }
            let found = self.block_by_number(number)?.ok_or_else(Error::internal)?;
            filter.select(&found, &mut logs)?;
            self.within_limit(&logs, from, number)?;
        }
        Ok(logs)
    }

    /// The blocks to look at, the last of them verified.
    fn range(&self, object: &Json<'_>) -> Result<(u64, u64), Error> {
        let head = self.head()?.number;
        let end = |name| -> Result<u64, Error> {
            let selector =
                present(object, name).map_or(Ok(Selector::Tag(Tag::Latest)), params::number_or_tag);
            let selector = selector.map_err(|reason| Error::argument(0, reason))?;
            self.number(selector).map(|number| number.unwrap_or(head))
        };
        let (from, to) = (end("fromBlock")?, end("toBlock")?);
        if from > to {
            return Err(Error::invalid("invalid block range params"));
        }
        if from > head {
            return Err(Error::invalid("block range extends beyond current head block"));
        }
        let to = to.min(head);
        let limit = self.rpc.config.limits.log_blocks;
        if to - from >= limit {
            return Err(Error::invalid(format!("logs are limited to a {limit} block range")));
        }
        Ok((from, to))
    }

    /// Indexers read the range out of this sentence, and ask for that first.
    fn within_limit(&self, logs: &[LogObject], from: u64, at: u64) -> Result<(), Error> {
        let limit = self.rpc.config.limits.log_results;
        if logs.len() <= limit {
            return Ok(());
        }
        let to = at.saturating_sub(1).max(from);
        Err(Error::invalid(format!(
            "query returned more than {limit} results. Try with this block range [{from:#x}, {to:#x}]."
        )))
    }
}

fn present<'a>(object: &'a Json<'a>, name: &str) -> Option<&'a Json<'a>> {
    object.get(name).filter(|value| **value != Json::Null)
}

impl Filter {
    fn read(object: &Json<'_>) -> Result<Self, Error> {
        let argument = |reason: String| Error::argument(0, reason);
        let addresses = params::one_or_many(object.get("address"), params::address).map_err(argument)?;
        let positions = match present(object, "topics") {
            None => &[],
            Some(Json::Array(positions)) => positions.as_slice(),
            Some(_) => return Err(Error::argument(0, "topics: an array was expected")),
        };
        if positions.len() > MAX_TOPICS {
            return Err(Error::invalid("more than four topics in filter"));
        }
        let topics = positions.iter().map(|position| alternatives(position)).collect::<Result<_, _>>();
        let filter = Self::new(addresses, topics.map_err(argument)?);
        if filter.blooms.iter().any(|group| group.len() > MAX_ALTERNATIVES) {
            return Err(Error::invalid("exceed max addresses or topics per search position"));
        }
        Ok(filter)
    }

    fn new(mut addresses: Vec<Address>, mut topics: Vec<Vec<B256>>) -> Self {
        addresses.sort_unstable();
        topics.iter_mut().for_each(|topics| topics.sort_unstable());
        let of_addresses = addresses.iter().map(|address| bloom(address.as_slice())).collect();
        let of_topics =
            topics.iter().map(|topics| topics.iter().map(|topic| bloom(topic.as_slice())).collect());
        let blooms = of_topics.chain([of_addresses]).filter(|group: &Vec<_>| !group.is_empty()).collect();
        Self { addresses, topics, blooms }
    }

    /// The header's bloom does not rule a match out.
    fn may_match(&self, bloom: &Bloom) -> bool {
        self.blooms.iter().all(|group| group.iter().any(|one| bloom.contains(one)))
    }

    /// Appends the block's logs that match.
    fn select(&self, found: &Found, logs: &mut Vec<LogObject>) -> Result<(), Error> {
        let mut position = 0;
        for index in 0..found.record.receipts.len() {
            let of_transaction = found.logs_after(index, position)?;
            position += of_transaction.len();
            logs.extend(of_transaction.into_iter().filter(|log| self.matches(log.address(), log.topics())));
        }
        Ok(())
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
        assert!(filter(&[&[A]]).may_match(&bloom));
        assert!(filter(&[&[], &[B, A]]).may_match(&bloom));
        assert!(!filter(&[&[B]]).may_match(&bloom));
        assert!(filter(&[]).may_match(&Bloom::ZERO));
    }
}
