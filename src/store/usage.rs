//! What was used, by day and by whom, and what was spent of budgets.
//!
//! A flush adds what was counted since the one before. What calls under way have used so
//! far is written beside it and replaced each time, so that a killed process loses no more
//! of them than of those that had ended; the next start counts it as used.

use std::collections::HashMap;
use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;
use redb::{ReadableTable, TableDefinition, WriteTransaction};

use super::record::{Spender, UsageKey};
use super::{Store, StoreError};
use crate::domain::counts::Counts;
use crate::domain::money::PicoUsd;
use crate::domain::spent::{Spent, Window};
use crate::domain::time::UnixMillis;

/// By day, project, key, alias and target.
type UsageAt<'a> = (u32, &'a str, &'a str, &'a str, &'a str);
/// By project, key, alias and target.
type OpenAt<'a> = (&'a str, &'a str, &'a str, &'a str);
/// [`Counts`], field by field.
type Numbers = [u64; 8];

const USAGE: TableDefinition<'_, UsageAt<'_>, Numbers> = TableDefinition::new("usage");
/// Of calls under way.
const OPEN: TableDefinition<'_, OpenAt<'_>, Numbers> = TableDefinition::new("open");
/// When they were written.
const OPEN_AT: TableDefinition<'_, (), u64> = TableDefinition::new("open_at");
/// By kind of spender and its one or two names: start and amount of the day, week and month.
const SPENT: TableDefinition<'_, (&str, &str, &str), [u64; 6]> = TableDefinition::new("spent");

/// Rows that have changed and that the other replicas have not been told of.
const UNSHIPPED: TableDefinition<'_, UsageAt<'_>, ()> = TableDefinition::new("unshipped");

/// Under which the number of the last batch is kept that they have been told.
const SHIPPED: &str = "shipped";

/// Under which the number of the last flush is kept.
const FLUSH: &str = "flush";

/// A day of the calendar, in UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Day(u32);

const DAY_MS: u64 = 86_400_000;

impl Day {
    /// The day of a moment.
    pub fn of(at: UnixMillis) -> Self {
        Self(u32::try_from(at.0 / DAY_MS).unwrap_or(u32::MAX))
    }

    /// Reads `2026-11-26`; `None` if it is nothing of that form or before the epoch.
    pub fn parse(text: &str) -> Option<Self> {
        let date: Date = text.parse().ok()?;
        let at = Offset::UTC.to_timestamp(date.at(0, 0, 0, 0)).ok()?;
        Some(Self::of(UnixMillis(u64::try_from(at.as_millisecond()).ok()?)))
    }

    /// Its number, counted from the Unix epoch.
    pub fn number(self) -> u32 {
        self.0
    }

    /// This day, those after it, and another.
    pub fn to(self, last: Self) -> impl DoubleEndedIterator<Item = Self> {
        (self.0..=last.0).map(Self)
    }

    /// So many days earlier.
    #[must_use]
    pub fn before(self, days: u32) -> Self {
        Self(self.0.saturating_sub(days))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = Timestamp::from_second(i64::from(self.0) * 86_400).unwrap_or(Timestamp::MAX);
        Offset::UTC.to_datetime(at).date().fmt(f)
    }
}

/// What was counted since the flush before.
#[derive(Debug, Default)]
pub struct Flush {
    /// One more than that of the flush before.
    pub number: u64,
    /// Other replicas are told.
    pub shared: bool,
    /// When.
    pub at: UnixMillis,
    /// By calls that ended.
    pub ended: HashMap<UsageKey, Counts>,
    /// By calls under way, so far.
    pub open: HashMap<UsageKey, Counts>,
}

/// A row of usage.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UsageRow {
    /// When.
    pub day: Day,
    /// By whom.
    pub key: UsageKey,
    /// How much.
    pub counts: Counts,
}

pub(super) fn make_tables(transaction: &WriteTransaction) -> Result<(), StoreError> {
    transaction.open_table(USAGE)?;
    transaction.open_table(OPEN)?;
    transaction.open_table(OPEN_AT)?;
    transaction.open_table(SPENT)?;
    transaction.open_table(UNSHIPPED)?;
    Ok(())
}

impl Store {
    /// Adds what was counted.
    ///
    /// # Errors
    /// If it cannot be written. A disk that failed at the very end may have kept it all the
    /// same: [`last_flush`](Self::last_flush) knows.
    pub fn flush(&self, flush: &Flush) -> Result<(), StoreError> {
        let transaction = self.write()?;
        Self::set_number(&transaction, FLUSH, flush.number)?;
        add(&transaction, flush.at, &flush.ended, flush.shared)?;
        {
            let mut open = transaction.open_table(OPEN)?;
            open.retain(|_, _| false)?;
            for (key, counts) in &flush.open {
                open.insert(open_at(key), numbers(counts))?;
            }
            transaction.open_table(OPEN_AT)?.insert((), flush.at.0)?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// The number of the last flush that was written; 0 if there was none.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn last_flush(&self) -> Result<u64, StoreError> {
        self.number(FLUSH)
    }

    /// Counts what calls had used that were under way when a process ended without a word.
    /// Returns how many there were of them. `shared` as in [`Flush`].
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn settle_open(&self, shared: bool) -> Result<u64, StoreError> {
        let transaction = self.write()?;
        let mut left = HashMap::new();
        let at;
        {
            let mut open = transaction.open_table(OPEN)?;
            for entry in open.iter()? {
                let (key, counts) = entry?;
                let (project, key, alias, target) = key.value();
                let key =
                    UsageKey { project: project.into(), key: key.into(), alias: alias.into(), target: target.into() };
                left.insert(key, counts_of(counts.value()));
            }
            open.retain(|_, _| false)?;
            at = transaction.open_table(OPEN_AT)?.get(())?.map_or(0, |at| at.value());
        }
        let calls = left.values().map(|counts| counts.attempts).sum();
        add(&transaction, UnixMillis(at), &left, shared)?;
        transaction.commit()?;
        Ok(calls)
    }

    /// Looks at the usage of some days, both included.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn usage(&self, from: Day, to: Day, mut look: impl FnMut(UsageRow)) -> Result<(), StoreError> {
        let table = self.read()?.open_table(USAGE)?;
        let first: UsageAt<'_> = (from.0, "", "", "", "");
        let end: UsageAt<'_> = (to.0.saturating_add(1), "", "", "", "");
        for entry in table.range(first..end)? {
            let (at, counts) = entry?;
            look(usage_row(at.value(), counts.value()));
        }
        Ok(())
    }

    /// At most so many rows that have changed and that the other replicas have not been told
    /// of, and the number of the last batch that they have been told.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn unshipped(&self, most: usize) -> Result<(u64, Vec<UsageRow>), StoreError> {
        let transaction = self.read()?;
        let usage = transaction.open_table(USAGE)?;
        let mut rows = Vec::new();
        for entry in transaction.open_table(UNSHIPPED)?.iter()?.take(most) {
            let (at, _) = entry?;
            if let Some(counts) = usage.get(at.value())? {
                rows.push(usage_row(at.value(), counts.value()));
            }
        }
        Ok((self.number(SHIPPED)?, rows))
    }

    /// The other replicas have been told of these rows, in a batch of this number. What has
    /// changed since will be told again; and everything will, if they have `lost` something.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn shipped(&self, number: u64, rows: &[UsageRow], lost: bool) -> Result<(), StoreError> {
        let transaction = self.write()?;
        Self::set_number(&transaction, SHIPPED, number)?;
        {
            let usage = transaction.open_table(USAGE)?;
            let mut unshipped = transaction.open_table(UNSHIPPED)?;
            if lost {
                for entry in usage.iter()? {
                    unshipped.insert(entry?.0.value(), ())?;
                }
            }
            for row in rows {
                let at = usage_at(row.day.0, &row.key);
                if usage.get(at)?.is_none_or(|now| counts_of(now.value()) == row.counts) {
                    unshipped.remove(at)?;
                }
            }
        }
        transaction.commit()?;
        Ok(())
    }

    /// Forgets the usage of days before one.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn forget_usage_before(&self, day: Day) -> Result<(), StoreError> {
        let transaction = self.write()?;
        let end: UsageAt<'_> = (day.0, "", "", "", "");
        transaction.open_table(USAGE)?.retain_in(..end, |_, _| false)?;
        transaction.open_table(UNSHIPPED)?.retain_in(..end, |_, ()| false)?;
        transaction.commit()?;
        Ok(())
    }

    /// What all keys have spent of the running day, week and month, by name.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn spent_by_keys(&self) -> Result<HashMap<String, Spent>, StoreError> {
        let table = self.read()?.open_table(SPENT)?;
        let mut all = HashMap::new();
        for entry in table.range(("key", "", "")..("key\0", "", ""))? {
            let (at, value) = entry?;
            all.insert(at.value().1.to_owned(), spent_of(value.value()));
        }
        Ok(all)
    }

    /// What somebody has spent of the running day, week and month.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn spent_by(&self, spender: &Spender) -> Result<Spent, StoreError> {
        let table = self.read()?.open_table(SPENT)?;
        let found = table.get(spender.names())?;
        Ok(found.map(|value| spent_of(value.value())).unwrap_or_default())
    }
}

/// Adds to the rows of the day, and to what was spent by everybody who had a part in it.
fn add(
    transaction: &WriteTransaction,
    at: UnixMillis,
    ended: &HashMap<UsageKey, Counts>,
    shared: bool,
) -> Result<(), StoreError> {
    let day = Day::of(at).0;
    let mut spending: HashMap<Spender, u64> = HashMap::new();
    let mut usage = transaction.open_table(USAGE)?;
    let mut unshipped = transaction.open_table(UNSHIPPED)?;
    for (key, counts) in ended {
        let row = usage_at(day, key);
        let mut sum = usage.get(row)?.map(|numbers| counts_of(numbers.value())).unwrap_or_default();
        sum.add(counts);
        usage.insert(row, numbers(&sum))?;
        if shared {
            unshipped.insert(row, ())?;
        }
        if counts.cost.0 > 0 {
            for spender in spenders(key) {
                let amount = spending.entry(spender).or_default();
                *amount = amount.saturating_add(counts.cost.0);
            }
        }
    }
    let mut table = transaction.open_table(SPENT)?;
    for (spender, amount) in spending {
        let names = spender.names();
        let mut spent = table.get(names)?.map(|value| spent_of(value.value())).unwrap_or_default();
        spent.add(PicoUsd(amount), at);
        table.insert(names, spent_numbers(&spent))?;
    }
    Ok(())
}

/// Everybody whose money this is.
fn spenders(key: &UsageKey) -> Vec<Spender> {
    let (model, provider) = key.target.rsplit_once('@').unwrap_or((&key.target, ""));
    let all = [
        Spender::Key(key.key.clone()),
        Spender::Project(key.project.clone()),
        Spender::Alias(key.alias.clone()),
        Spender::Target(key.alias.clone(), model.to_owned()),
        Spender::Provider(provider.to_owned()),
    ];
    all.into_iter().filter(|spender| !spender.names().1.is_empty()).collect()
}

impl Spender {
    /// Its kind and its names.
    fn names(&self) -> (&str, &str, &str) {
        match self {
            Self::Key(name) => ("key", name, ""),
            Self::Project(name) => ("project", name, ""),
            Self::Alias(name) => ("alias", name, ""),
            Self::Target(alias, model) => ("target", alias, model),
            Self::Provider(name) => ("provider", name, ""),
        }
    }
}

fn usage_at(day: u32, key: &UsageKey) -> UsageAt<'_> {
    (day, &key.project, &key.key, &key.alias, &key.target)
}

fn usage_row((day, project, key, alias, target): UsageAt<'_>, numbers: Numbers) -> UsageRow {
    let key = UsageKey { project: project.into(), key: key.into(), alias: alias.into(), target: target.into() };
    UsageRow { day: Day(day), key, counts: counts_of(numbers) }
}

fn open_at(key: &UsageKey) -> OpenAt<'_> {
    (&key.project, &key.key, &key.alias, &key.target)
}

fn numbers(counts: &Counts) -> Numbers {
    let Counts { requests, attempts, failures, estimated, input, cached_input, output, cost } = *counts;
    [requests, attempts, failures, estimated, input, cached_input, output, cost.0]
}

fn counts_of(numbers: Numbers) -> Counts {
    let [requests, attempts, failures, estimated, input, cached_input, output, cost] = numbers;
    Counts { requests, attempts, failures, estimated, input, cached_input, output, cost: PicoUsd(cost) }
}

fn spent_numbers(spent: &Spent) -> [u64; 6] {
    let Spent { day, week, month } = spent;
    [day.start.0, day.spent.0, week.start.0, week.spent.0, month.start.0, month.spent.0]
}

fn spent_of(numbers: [u64; 6]) -> Spent {
    let window = |i: usize| Window { start: UnixMillis(numbers[i]), spent: PicoUsd(numbers[i + 1]) };
    Spent { day: window(0), week: window(2), month: window(4) }
}
