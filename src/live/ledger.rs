//! Who has used what since it was last written down? Calls that ended, and those under way.
//!
//! In parts, each with a lock of its own that is held for a few instructions, so that calls
//! which end at the same moment rarely meet.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;
use slab::Slab;

use super::keys::Caller;
use crate::domain::alias::Alias;
use crate::domain::counts::Counts;
use crate::domain::ids::{AliasName, EndpointId, KeyName, ProjectName};
use crate::domain::money::{PicoUsd, Prices};
use crate::domain::usage::TokenUsage;

/// On whose account something is used.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct UsedBy {
    /// The project.
    pub project: ProjectName,
    /// The key; `None` in open mode.
    pub key: Option<KeyName>,
    /// The alias.
    pub alias: AliasName,
    /// The endpoint; `None` where nobody was reached.
    pub target: Option<EndpointId>,
}

impl UsedBy {
    /// By a caller, through an alias.
    pub fn new(caller: &Caller, alias: &Alias, target: Option<EndpointId>) -> Self {
        let (project, key) = (caller.project_name().clone(), caller.key_name().cloned());
        Self { project, key, alias: alias.name.clone(), target }
    }
}

/// A call under way.
#[derive(Debug)]
struct Call {
    by: UsedBy,
    prompt_tokens: u64,
    prices: Option<Arc<Prices>>,
    /// Pieces of content so far, of about one token each.
    pieces: AtomicU64,
}

impl Call {
    /// What it has used until now, as far as that can be known before its end.
    fn so_far(&self) -> Counts {
        let (input, output) = (self.prompt_tokens, self.pieces.load(Relaxed));
        let usage = TokenUsage { input, output, ..TokenUsage::default() };
        let cost = self.prices.as_ref().map_or(PicoUsd(0), |prices| prices.cost(&usage));
        Counts { attempts: 1, estimated: 1, input, output, cost, ..Counts::default() }
    }
}

/// Sums by whose account they are on. The names are the operator's, so the quickest hash does.
pub type UsageSums = HashMap<UsedBy, Counts, RandomState>;

#[derive(Debug, Default)]
struct Part {
    ended: UsageSums,
    open: Slab<Arc<Call>>,
}

impl Part {
    /// Adds to a sum; only the first time is the account written down.
    fn add(&mut self, by: &UsedBy, counts: &Counts) {
        match self.ended.get_mut(by) {
            Some(sum) => sum.add(counts),
            None => drop(self.ended.insert(by.clone(), *counts)),
        }
    }
}

/// So many parts.
const PARTS: usize = 16;

/// The ledger.
#[derive(Debug)]
pub struct Ledger {
    parts: Box<[Mutex<Part>]>,
    next: AtomicUsize,
}

impl Default for Ledger {
    fn default() -> Self {
        Self { parts: (0..PARTS).map(|_| Mutex::default()).collect(), next: AtomicUsize::new(0) }
    }
}

/// What the ledger held: what has ended since it was last asked, and what is under way.
#[derive(Debug, Default)]
pub struct Page {
    /// By calls that ended.
    pub ended: UsageSums,
    /// By calls under way, until now.
    pub open: UsageSums,
}

impl Page {
    /// Whether there is nothing on it.
    pub fn is_empty(&self) -> bool {
        self.ended.is_empty() && self.open.is_empty()
    }
}

/// A call under way, in the ledger until it is [`close`](Self::close)d.
#[derive(Debug)]
pub struct OpenCall {
    ledger: Arc<Ledger>,
    part: usize,
    at: usize,
    call: Arc<Call>,
}

/// A caller's request, counted when this is dropped: also if the caller has left.
#[derive(Debug)]
pub struct OpenRequest {
    ledger: Arc<Ledger>,
    by: UsedBy,
}

impl Ledger {
    /// A call begins.
    pub fn open(self: &Arc<Self>, by: UsedBy, prompt_tokens: u64, prices: Option<Arc<Prices>>) -> OpenCall {
        let part = self.next.fetch_add(1, Relaxed) % PARTS;
        let call = Arc::new(Call { by, prompt_tokens, prices, pieces: AtomicU64::new(0) });
        let at = self.part(part).open.insert(Arc::clone(&call));
        OpenCall { ledger: Arc::clone(self), part, at, call }
    }

    /// A caller's request begins, of which it is not known yet who serves it.
    pub fn request(self: &Arc<Self>, by: UsedBy) -> OpenRequest {
        OpenRequest { ledger: Arc::clone(self), by }
    }

    /// Takes what has ended since, and looks at what is under way.
    pub fn take(&self) -> Page {
        let mut page = Page::default();
        for part in 0..PARTS {
            let (ended, open) = {
                let mut part = self.part(part);
                let open: Vec<Arc<Call>> = part.open.iter().map(|(_, call)| Arc::clone(call)).collect();
                (std::mem::take(&mut part.ended), open)
            };
            for (by, counts) in ended {
                page.ended.entry(by).or_default().add(&counts);
            }
            for call in open {
                page.open.entry(call.by.clone()).or_default().add(&call.so_far());
            }
        }
        page
    }

    /// How many sums of calls that have ended it holds.
    pub fn waiting(&self) -> usize {
        (0..PARTS).map(|part| self.part(part).ended.len()).sum()
    }

    /// Puts back what was taken and could not be written down.
    pub fn put_back(&self, ended: UsageSums) {
        let mut part = self.part(0);
        for (by, counts) in ended {
            part.ended.entry(by).or_default().add(&counts);
        }
    }

    fn part(&self, part: usize) -> MutexGuard<'_, Part> {
        // A panic elsewhere leaves plain numbers behind, which are as good as before.
        self.parts[part].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OpenRequest {
    /// Somebody serves it, or nobody does.
    pub fn over(mut self, target: Option<EndpointId>) {
        self.by.target = target;
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        let part = self.ledger.next.fetch_add(1, Relaxed) % PARTS;
        self.ledger.part(part).add(&self.by, &Counts { requests: 1, ..Counts::default() });
    }
}

impl OpenCall {
    /// So many pieces of content have come.
    pub fn progress(&self, pieces: u64) {
        self.call.pieces.store(pieces, Relaxed);
    }

    /// It ended, and this is what it has used.
    pub fn close(self, counts: &Counts) {
        let mut part = self.ledger.part(self.part);
        part.open.try_remove(self.at);
        part.add(&self.call.by, counts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::money::Rates;

    fn by(key: &str) -> UsedBy {
        UsedBy {
            project: ProjectName::new("p"),
            key: Some(KeyName::new(key)),
            alias: AliasName::new("a"),
            target: Some(EndpointId::new("m@p")),
        }
    }

    #[test]
    fn what_ended_is_taken_once_and_what_is_under_way_is_looked_at() {
        let ledger = Arc::new(Ledger::default());
        let rates = Rates { input: PicoUsd(2), output: PicoUsd(3), cached_input: PicoUsd(1), cache_write: PicoUsd(2) };
        let prices = Arc::new(Prices { base: rates, tiers: vec![] });
        let calls: Vec<OpenCall> = (0..40).map(|_| ledger.open(by("k"), 10, Some(Arc::clone(&prices)))).collect();
        calls[0].progress(5);
        let page = ledger.take();
        assert!(page.ended.is_empty());
        let open = page.open[&by("k")];
        assert_eq!((open.attempts, open.input, open.output, open.cost), (40, 400, 5, PicoUsd(40 * 20 + 15)));
        for call in calls {
            call.close(&Counts { attempts: 1, output: 7, ..Counts::default() });
        }
        ledger.request(UsedBy { target: None, ..by("l") }).over(by("l").target);
        drop(ledger.request(by("l")));
        let page = ledger.take();
        assert_eq!((page.ended[&by("k")].output, page.ended[&by("l")].requests, page.open.len()), (280, 2, 0));
        ledger.put_back(page.ended);
        assert_eq!(ledger.take().ended[&by("k")].attempts, 40);
        assert!(ledger.take().is_empty());
    }
}
