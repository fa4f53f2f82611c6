//! Which node has which slots? As `CLUSTER SLOTS` says.

use redis::Value;

use super::super::socket::Place;
use crate::config::redis::HostPort;

/// Ranges of slots and whose they are, in order.
#[derive(Clone, Debug)]
pub(in crate::fleet::link) struct Table<N>(Vec<Range<N>>);

/// Slots from the first to the last, both included.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Range<N> {
    first: u16,
    last: u16,
    owner: N,
}

impl<N> Default for Table<N> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<N> Table<N> {
    /// Whose a slot is.
    pub(in crate::fleet::link) fn owner(&self, slot: u16) -> Option<&N> {
        let at = self.0.partition_point(|range| range.last < slot);
        self.0.get(at).filter(|range| range.first <= slot).map(|range| &range.owner)
    }

    /// Everybody who has a range.
    pub(in crate::fleet::link) fn owners(&self) -> impl Iterator<Item = &N> {
        self.0.iter().map(|range| &range.owner)
    }

    /// The same table with other names for its owners.
    pub(in crate::fleet::link) fn map<M>(&self, mut name: impl FnMut(&N) -> M) -> Table<M> {
        let ranges = self.0.iter();
        Table(ranges.map(|range| Range { first: range.first, last: range.last, owner: name(&range.owner) }).collect())
    }
}

impl Table<Place> {
    /// Reads the answer of a node that is at `from`. `None` if it is none.
    pub(in crate::fleet::link) fn read(answer: Value, from: &HostPort) -> Option<Self> {
        let entries: Vec<Vec<Value>> = redis::from_redis_value(answer).ok()?;
        let mut ranges = entries.into_iter().map(|entry| range(entry, from)).collect::<Option<Vec<_>>>()?;
        ranges.sort_by_key(|range| range.first);
        Some(Self(ranges))
    }
}

/// First slot, last slot, the master, its replicas.
fn range(entry: Vec<Value>, from: &HostPort) -> Option<Range<Place>> {
    let mut entry = entry.into_iter();
    let first = redis::from_redis_value(entry.next()?).ok()?;
    let last = redis::from_redis_value(entry.next()?).ok()?;
    let mut master = redis::from_redis_value::<Vec<Value>>(entry.next()?).ok()?.into_iter();
    // It is left out where nodes do not know their own address.
    let host: Option<String> = redis::from_redis_value(master.next()?).ok()?;
    let host = host.filter(|host| !matches!(host.as_str(), "" | "?")).unwrap_or_else(|| from.host.clone());
    let port = redis::from_redis_value(master.next()?).ok()?;
    Some(Range { first, last, owner: Place::Tcp(HostPort { host, port }) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_has_the_owner_that_the_answer_says() {
        let node = |host: Option<&str>, port| {
            let host = host.map_or(Value::Nil, |host| Value::BulkString(host.into()));
            Value::Array(vec![host, Value::Int(port), Value::BulkString(b"id".into())])
        };
        let range = |first, last, node| Value::Array(vec![Value::Int(first), Value::Int(last), node]);
        let answer = Value::Array(vec![
            range(10_001, 16_383, node(Some("b"), 2)),
            range(0, 10_000, node(Some("a"), 1)),
            range(10_000, 10_000, node(None, 3)),
        ]);
        let here = HostPort { host: "here".to_owned(), port: 9 };
        let table = Table::read(answer, &here).unwrap().map(ToString::to_string);
        let owner = |slot| table.owner(slot).map(String::as_str);
        assert_eq!((owner(0), owner(9_999)), (Some("a:1"), Some("a:1")));
        assert_eq!((owner(10_001), owner(16_383)), (Some("b:2"), Some("b:2")));
        assert_eq!(table.owners().count(), 3);
        assert!(Table::read(Value::Array(vec![Value::Int(1)]), &here).is_none());
        assert_eq!(Table::<u8>::default().owner(5), None);
    }
}
