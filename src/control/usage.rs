//! What was used: written down soon after it happened, and asked for by day and by whom.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::{Control, ControlError, Fleet};
use crate::domain::counts::Counts;
use crate::live::{UsageSums, UsedBy};
use crate::store::record::UsageKey;
use crate::store::{Day, Flush, UsageRow};

/// What happened is written down this long after it at the latest, but for the time that
/// the disk takes. A process that is killed loses no more than that. Each time takes about a
/// millisecond of a core, during which requests wait where there is only one: less often than one
/// request in a hundred notices.
const FLUSH_EVERY: Duration = Duration::from_millis(250);

/// Where all of it is lost with the process anyway. Whoever asks for it has it written first.
const FLUSH_MEMORY_EVERY: Duration = Duration::from_secs(1);

/// So many rows are told in one step.
const SHIP_AT_ONCE: usize = 1000;

/// By what usage is summed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum By {
    /// The day, in UTC.
    Day,
    /// The project.
    Project,
    /// The key.
    Key,
    /// The alias.
    Alias,
    /// The endpoint.
    Target,
    /// The model, wherever it is served.
    Model,
    /// The provider.
    Provider,
}

impl By {
    /// All, with their names.
    pub const ALL: [(&'static str, Self); 7] = [
        ("day", Self::Day),
        ("project", Self::Project),
        ("key", Self::Key),
        ("alias", Self::Alias),
        ("target", Self::Target),
        ("model", Self::Model),
        ("provider", Self::Provider),
    ];

    /// What it is of a row.
    fn of(self, row: &UsageRow) -> String {
        let (model, provider) = row.key.target.rsplit_once('@').unwrap_or((&row.key.target, ""));
        match self {
            Self::Day => row.day.to_string(),
            Self::Project => row.key.project.clone(),
            Self::Key => row.key.key.clone(),
            Self::Alias => row.key.alias.clone(),
            Self::Target => row.key.target.clone(),
            Self::Model => model.to_owned(),
            Self::Provider => provider.to_owned(),
        }
    }
}

/// Which usage is wanted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UsageQuestion {
    /// The first day.
    pub from: Day,
    /// The last day.
    pub to: Day,
    /// By what it is summed.
    pub by: Vec<By>,
    /// Only that of these.
    pub only: Vec<(By, String)>,
}

/// A sum, under a name for each thing that it was summed by.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UsageSum {
    /// In the order of the question.
    pub names: Vec<String>,
    /// How much.
    pub counts: Counts,
}

impl Control {
    /// How often what was used is to be written down.
    pub fn flush_every(&self) -> Duration {
        if self.store.outlives_the_process() || self.fleet.is_some() { FLUSH_EVERY } else { FLUSH_MEMORY_EVERY }
    }

    /// Writes down what was used since the last time.
    ///
    /// # Errors
    /// If it cannot be written; then it is still there to be written the next time.
    pub fn flush(&self) -> Result<(), ControlError> {
        // One at a time: the pages have to be written in the order in which they were taken.
        let mut flushing = self.flushing.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        flushing.settle(self)?;
        let page = self.live.ledger.take();
        if page.is_empty() && !flushing.open {
            return Ok(());
        }
        let open = !page.open.is_empty();
        let number = flushing.number + 1;
        let shared = self.fleet.is_some();
        let flush =
            Flush { number, shared, at: self.clock().now(), ended: named(&page.ended), open: named(&page.open) };
        if let Err(error) = self.store.flush(&flush) {
            flushing.failed = Some(page.ended);
            flushing.failing = Some(error.to_string());
            return Err(error.into());
        }
        *flushing = Flushing { number, open, failed: None, failing: None };
        Ok(())
    }

    /// Why usage could not be written down when it was tried last, if it could not.
    pub fn store_failing(&self) -> Option<String> {
        self.flushing.lock().unwrap_or_else(std::sync::PoisonError::into_inner).failing.clone()
    }

    /// Sums of usage that wait to be written down.
    pub fn unwritten(&self) -> usize {
        let failed = {
            let flushing = self.flushing.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            flushing.failed.as_ref().map_or(0, UsageSums::len)
        };
        failed + self.live.ledger.waiting()
    }

    /// Sums what was used, by all replicas together.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn usage(self: &Arc<Self>, question: UsageQuestion) -> Result<Vec<UsageSum>, ControlError> {
        let this = Arc::clone(self);
        let Some(fleet) = &self.fleet else {
            let rows = move || {
                // Whoever asks wants to see the request that has just ended.
                this.flush()?;
                let mut sums = Sums::new(&question);
                this.store.usage(question.from, question.to, |row| sums.add(&row))?;
                Ok(sums.finish())
            };
            return tokio::task::spawn_blocking(rows).await.map_err(|_| ControlError::Ending)?;
        };
        tokio::task::spawn_blocking(move || this.flush()).await.map_err(|_| ControlError::Ending)??;
        self.ship_usage(fleet).await?;
        let mut sums = Sums::new(&question);
        fleet.usage.of(question.from, question.to).await?.iter().for_each(|row| sums.add(row));
        Ok(sums.finish())
    }

    /// Tells the other replicas what was used here since the last time.
    ///
    /// # Errors
    /// If Redis is away; then they are told the next time.
    pub async fn ship_usage(self: &Arc<Self>, fleet: &Fleet) -> Result<(), ControlError> {
        // One at a time, so that no sum comes after a later one.
        let _one = fleet.shipping.lock().await;
        loop {
            let (last, rows) = self.blocking(|this| this.store.unshipped(SHIP_AT_ONCE)).await??;
            // What was told may be lost while there is nothing new to tell.
            if rows.is_empty() && fleet.usage.counted(&fleet.ledger).await? == last {
                return Ok(());
            }
            let number = last + 1;
            let whole = fleet.usage.ship(&fleet.ledger, number, &rows, self.keep_usage).await?;
            if !whole {
                tracing::warn!("Redis has lost usage of this replica; it is told again");
            }
            self.blocking(move |this| this.store.shipped(number, &rows, !whole)).await??;
        }
    }

    async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        act: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Result<T, ControlError> {
        let this = Arc::clone(self);
        tokio::task::spawn_blocking(move || act(&this)).await.map_err(|_| ControlError::Ending)
    }
}

/// Sums while they are made.
struct Sums<'q> {
    question: &'q UsageQuestion,
    sums: BTreeMap<Vec<String>, Counts>,
}

impl<'q> Sums<'q> {
    fn new(question: &'q UsageQuestion) -> Self {
        Self { question, sums: BTreeMap::new() }
    }

    fn add(&mut self, row: &UsageRow) {
        if self.question.only.iter().all(|(by, name)| by.of(row) == *name) {
            let names = self.question.by.iter().map(|by| by.of(row)).collect();
            self.sums.entry(names).or_default().add(&row.counts);
        }
    }

    fn finish(self) -> Vec<UsageSum> {
        self.sums.into_iter().map(|(names, counts)| UsageSum { names, counts }).collect()
    }
}

/// What is known of the pages that were written.
#[derive(Debug)]
pub(super) struct Flushing {
    /// The number of the last.
    number: u64,
    /// Whether there were calls under way on it.
    open: bool,
    /// What had ended on the next one, which could not be written, or so the disk says.
    failed: Option<UsageSums>,
    /// Why.
    failing: Option<String>,
}

impl Flushing {
    /// After the last page of those who were here before.
    pub(super) fn after(number: u64) -> Self {
        Self { number, open: false, failed: None, failing: None }
    }

    /// Finds out what became of a page that could not be written: a disk that fails at the
    /// very end may have kept it, and nothing is to be counted twice.
    fn settle(&mut self, control: &Control) -> Result<(), ControlError> {
        let Some(ended) = self.failed.take() else { return Ok(()) };
        match control.store.last_flush() {
            Ok(last) if last == self.number => control.live.ledger.put_back(ended),
            Ok(last) => self.number = last,
            Err(error) => {
                self.failed = Some(ended);
                return Err(error.into());
            }
        }
        Ok(())
    }
}

fn named(page: &UsageSums) -> HashMap<UsageKey, Counts> {
    let key = |by: &UsedBy| UsageKey {
        project: by.project.to_string(),
        key: by.key.as_ref().map(ToString::to_string).unwrap_or_default(),
        alias: by.alias.to_string(),
        target: by.target.as_ref().map(ToString::to_string).unwrap_or_default(),
    };
    page.iter().map(|(by, counts)| (key(by), *counts)).collect()
}
