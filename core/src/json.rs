//! What objects and arrays consist of, each as its text: it is looked into when it is asked for, so that nothing is held twice.

use crate::sort::sorted;
use alloc::{string::String, vec::Vec};
use core::fmt;
use serde::de::{Deserializer as _, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Deserializer, Error, value::RawValue};

/// The members of an object, in order, `most` at most. A name may stand twice.
pub(crate) fn members(text: &str, most: usize) -> Result<Vec<(String, &RawValue)>, Error> {
    let mut json = Deserializer::from_str(text);
    let members = json.deserialize_map(Members(most))?;
    json.end()?;
    Ok(members)
}

/// The members of an object of which none stands twice.
pub(crate) fn unique_members(text: &str) -> Result<Vec<(String, &RawValue)>, Error> {
    let members = members(text, usize::MAX)?;
    let names = sorted(members.iter().map(|(name, _)| name.as_str()).collect());
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(Error::custom(format_args!("{:?} stands twice", pair[0]))),
        None => Ok(members),
    }
}

/// The items of an array, `most` at most.
pub(crate) fn items(text: &str, most: usize) -> Result<Vec<&RawValue>, Error> {
    let mut json = Deserializer::from_str(text);
    let items = json.deserialize_seq(Items(most))?;
    json.end()?;
    Ok(items)
}

struct Members(usize);

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            if members.len() == self.0 {
                return Err(A::Error::custom("too many members"));
            }
            members.push(member);
        }
        Ok(members)
    }
}

struct Items(usize);

impl<'de> Visitor<'de> for Items {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            if items.len() == self.0 {
                return Err(A::Error::custom("too many items"));
            }
            items.push(item);
        }
        Ok(items)
    }
}
