//! What does it cost to keep to limits? `cargo bench --bench limits`.
//!
//! Letting a request in and out again with a key and a project, by what is limited; being
//! refused; setting money aside; what is left, for headers. By one thread and by two that
//! share both accounts.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use divan::{AllocProfiler, Bencher};
use pointsman::domain::limits::CallerLimits;
use pointsman::domain::money::PicoUsd;
use pointsman::domain::spent::Spent;
use pointsman::domain::time::UnixMillis;
use pointsman::limits::{Account, Kind, Owner, Permit, enter, reserve};

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

/// The time of the first request.
const START: UnixMillis = UnixMillis(1_798_632_000_000);
const TOKENS: u64 = 1000;
const COST: PicoUsd = PicoUsd(1_000_000_000);

fn main() {
    divan::main();
}

/// Limits that are far from reached.
fn wide(requests: bool, tokens: bool, budgets: bool) -> CallerLimits {
    let most = |limited: bool| NonZeroU32::new(u32::MAX).filter(|_| limited);
    let mut limits = CallerLimits {
        requests_per_minute: most(requests),
        tokens_per_minute: most(tokens),
        max_in_flight: Some(u32::MAX),
        ..CallerLimits::NONE
    };
    for text in ["$1000000/day", "$5000000/month"] {
        match text.parse() {
            Ok(budget) if budgets => drop(limits.budgets.insert(budget)),
            Ok(_) => {}
            Err(error) => panic!("{error}"),
        }
    }
    limits
}

fn both(limits: CallerLimits) -> [Arc<Account>; 2] {
    [Kind::Key, Kind::Project].map(|kind| Arc::new(Account::new(Owner::new(kind, "bench"), limits, Spent::default())))
}

/// A request a millisecond.
#[derive(Default)]
struct Time(AtomicU64);

impl Time {
    fn pass(&self) -> UnixMillis {
        UnixMillis(START.0 + self.0.fetch_add(1, Relaxed))
    }
}

fn let_in(accounts: &[Arc<Account>], now: UnixMillis) -> Permit {
    match enter(accounts, TOKENS, now) {
        Ok(permit) => permit,
        Err(refusal) => panic!("{refusal}"),
    }
}

/// A request from its entry to its end.
mod in_and_out {
    use super::*;

    fn under(bencher: Bencher<'_, '_>, limits: CallerLimits) {
        let (accounts, time) = (both(limits), Time::default());
        bencher.bench(|| {
            let now = time.pass();
            let_in(&accounts, now).used(TOKENS / 2, now);
        });
    }

    #[divan::bench(threads = [1, 2])]
    fn unlimited(bencher: Bencher<'_, '_>) {
        under(bencher, CallerLimits::NONE);
    }

    #[divan::bench(threads = [1, 2])]
    fn requests(bencher: Bencher<'_, '_>) {
        under(bencher, wide(true, false, false));
    }

    #[divan::bench(threads = [1, 2])]
    fn requests_and_tokens(bencher: Bencher<'_, '_>) {
        under(bencher, wide(true, true, false));
    }

    #[divan::bench(threads = [1, 2])]
    fn all(bencher: Bencher<'_, '_>) {
        under(bencher, wide(true, true, true));
    }
}

/// Only the entry, all limited, and nothing given back.
#[divan::bench(sample_size = 1000)]
fn entry(bencher: Bencher<'_, '_>) {
    let (accounts, time) = (both(wide(true, true, true)), Time::default());
    bencher.bench(|| let_in(&accounts, time.pass()));
}

/// One that is let in by the key and refused by the project.
#[divan::bench]
fn refused(bencher: Bencher<'_, '_>) {
    let limits = CallerLimits { requests_per_minute: Some(NonZeroU32::MIN), ..CallerLimits::NONE };
    let [key, _] = both(wide(true, true, true));
    let [_, project] = both(limits);
    let accounts = [key, project];
    drop(let_in(&accounts, START));
    bencher.bench(|| enter(&accounts, TOKENS, START).is_err());
}

/// Money set aside with both and spent.
#[divan::bench(threads = [1, 2])]
fn reserve_and_settle(bencher: Bencher<'_, '_>) {
    let (accounts, time) = (both(wide(true, true, true)), Time::default());
    bencher.bench(|| {
        let now = time.pass();
        match reserve(&accounts, COST, now) {
            Ok(reservation) => reservation.settle(COST, now),
            Err(refusal) => panic!("{refusal}"),
        }
    });
}

/// What an answer's headers tell.
#[divan::bench]
fn standing(bencher: Bencher<'_, '_>) {
    let (accounts, time) = (both(wide(true, true, true)), Time::default());
    let permit = let_in(&accounts, START);
    bencher.bench(|| permit.standing(time.pass()));
}
