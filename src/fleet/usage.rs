//! What have all replicas used together? Each writes its own sums, by day and by whom, under
//! its own name; whoever asks adds them up.
//!
//! A sum takes the place of the one before, so a batch that comes twice does no harm, and one
//! that got lost is made good by the next. Batches are numbered: a Redis that has not the one
//! before has lost something, and is told everything again.

use std::collections::HashMap;
use std::time::Duration;

use redis::cmd;

use super::journal::JournalError;
use super::keys::Keys;
use super::link::Link;
use super::script::Script;
use crate::domain::counts::Counts;
use crate::domain::money::PicoUsd;
use crate::store::record::UsageKey;
use crate::store::{Day, UsageRow};

static SHIP: Script = Script::new(include_str!("lua/usage_ship.lua"));

/// So many rows are read at once.
const BATCH: usize = 1000;

/// What is asked for once, and may be long, has this long.
const PATIENCE: Duration = Duration::from_secs(10);

/// The usage of a fleet. A clone is the same.
#[derive(Clone, Debug)]
pub struct SharedUsage {
    link: Link,
    keys: Keys,
}

/// By ledger, project, key, alias and target, as the name of a row.
type Name = (String, String, String, String, String);

/// [`Counts`], field by field.
type Sums = [u64; 8];

impl SharedUsage {
    /// The usage behind a link.
    pub fn new(link: &Link, keys: Keys) -> Self {
        Self { link: link.within(PATIENCE), keys }
    }

    /// Brings sums of one ledger, which are kept for some time after their day. Returns whether
    /// all batches before `number` are still there. Asked twice it does the same.
    ///
    /// # Errors
    /// If Redis does not answer; then it may be there all the same.
    pub async fn ship(
        &self,
        ledger: &str,
        number: u64,
        rows: &[UsageRow],
        keep: Duration,
    ) -> Result<bool, JournalError> {
        let mut days: Vec<Day> = rows.iter().map(|row| row.day).collect();
        days.sort_unstable();
        days.dedup();
        let mut names = vec![self.keys.usage_counted()];
        names.extend(days.iter().map(|day| self.keys.usage(day.number().into())));
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut call = SHIP.on(&names).arg(ledger).arg(number);
        for UsageRow { day, key, counts } in rows {
            let UsageKey { project, key, alias, target } = key;
            let place = days.binary_search(day).map_or(0, |i| i + 1);
            let expires = (u64::from(day.number()) + 1) * 86_400 + keep.as_secs();
            let (name, sums) = ((ledger, project, key, alias, target), sums(counts));
            call = call.arg(place).arg(expires).arg(json(&name)).arg(json(&sums));
        }
        Ok(self.link.eval(&call).await?)
    }

    /// The number of the last batch of a ledger that is there; 0 if there is none.
    ///
    /// # Errors
    /// If Redis does not answer.
    pub async fn counted(&self, ledger: &str) -> Result<u64, JournalError> {
        let number: Option<u64> = self.link.call(cmd("HGET").arg(self.keys.usage_counted()).arg(ledger)).await?;
        Ok(number.unwrap_or_default())
    }

    /// Looks at the sums of all replicas together, on some days, both included.
    ///
    /// # Errors
    /// If Redis does not answer, or has something else there.
    pub async fn of(&self, from: Day, to: Day) -> Result<Vec<UsageRow>, JournalError> {
        let mut all = Vec::new();
        for day in from.to(to) {
            // A row may come twice while it is read.
            let mut of_day: HashMap<String, String> = HashMap::new();
            let mut cursor = 0u64;
            loop {
                let mut ask = cmd("HSCAN");
                ask.arg(self.keys.usage(day.number().into())).arg(cursor).arg("COUNT").arg(BATCH);
                let (next, found): (u64, Vec<(String, String)>) = self.link.call(&ask).await?;
                of_day.extend(found);
                cursor = next;
                if cursor == 0 {
                    break;
                }
            }
            let mut sum: HashMap<UsageKey, Counts> = HashMap::new();
            for (name, sums) in of_day {
                let malformed = |_| JournalError::Malformed(format!("usage of {day}, {name}"));
                let (_, project, key, alias, target): Name = serde_json::from_str(&name).map_err(malformed)?;
                let sums: Sums = serde_json::from_str(&sums).map_err(malformed)?;
                sum.entry(UsageKey { project, key, alias, target }).or_default().add(&counts(sums));
            }
            all.extend(sum.into_iter().map(|(key, counts)| UsageRow { day, key, counts }));
        }
        Ok(all)
    }
}

fn json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn sums(counts: &Counts) -> Sums {
    let Counts { requests, attempts, failures, estimated, input, cached_input, output, cost } = *counts;
    [requests, attempts, failures, estimated, input, cached_input, output, cost.0]
}

fn counts(sums: Sums) -> Counts {
    let [requests, attempts, failures, estimated, input, cached_input, output, cost] = sums;
    Counts { requests, attempts, failures, estimated, input, cached_input, output, cost: PicoUsd(cost) }
}
