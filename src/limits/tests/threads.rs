//! What holds when many ask at once.

use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use super::*;

/// Runs `work` in so many threads at once, each with its number.
fn at_once_in(threads: u64, work: impl Fn(u64) + Sync) {
    let start = Barrier::new(usize::try_from(threads).unwrap());
    thread::scope(|scope| {
        for number in 0..threads {
            let (start, work) = (&start, &work);
            scope.spawn(move || {
                start.wait();
                work(number);
            });
        }
    });
}

#[test]
fn a_limit_lets_in_exactly_what_it_allows() {
    let accounts = [key(limits(1000, 0, &[])), project(limits(0, 5000, &[]))];
    let (admitted, held) = (AtomicU64::new(0), std::sync::Mutex::new(Vec::new()));
    at_once_in(16, |_| {
        for _ in 0..500 {
            if let Ok(permit) = enter(&accounts, 10, NOON) {
                admitted.fetch_add(1, SeqCst);
                held.lock().unwrap().push(permit);
            }
        }
    });
    assert_eq!(admitted.load(SeqCst), 500);
    assert_eq!(tokens_left(&accounts[1], NOON), 0);
    assert_eq!(accounts[0].standing(NOON).requests.unwrap().remaining, 500, "refusals took nothing");
    assert_eq!((accounts[0].in_flight(), accounts[1].in_flight()), (500, 500));
}

#[test]
fn while_time_goes_on_no_more_than_the_refill_is_added() {
    const LIMIT: u64 = 600;
    let shop = [key(limits(600, 0, &[]))];
    let (clock, admitted) = (AtomicU64::new(NOON.0), AtomicU64::new(0));
    at_once_in(16, |_| {
        for _ in 0..2000 {
            // A second for a thousand requests: far more than ten.
            let now = UnixMillis(clock.fetch_add(1, SeqCst));
            if enter(&shop, 1, now).is_ok() {
                admitted.fetch_add(1, SeqCst);
            }
        }
    });
    let elapsed = Duration::from_millis(clock.load(SeqCst) - NOON.0);
    let most = LIMIT + LIMIT * elapsed.as_secs() / 60;
    let admitted = admitted.load(SeqCst);
    assert!((most - 1..=most).contains(&admitted), "{admitted} of {most}");
}

#[test]
fn no_more_are_under_way_than_may_be() {
    let shop = [key(at_once(7))];
    let (now, peak) = (AtomicU64::new(0), AtomicU64::new(0));
    at_once_in(16, |_| {
        for _ in 0..500 {
            if let Ok(_permit) = enter(&shop, 1, NOON) {
                peak.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
                thread::yield_now();
                now.fetch_sub(1, SeqCst);
            }
        }
    });
    assert!((1..=7).contains(&peak.load(SeqCst)));
    assert_eq!(shop[0].in_flight(), 0);
}

#[test]
fn permits_give_everything_back() {
    let accounts = [key(limits(0, 1_000_000, &[])), project(limits(0, 900_000, &[]))];
    let used = AtomicU64::new(0);
    at_once_in(16, |number| {
        for round in 0..500 {
            if let Ok(permit) = enter(&accounts, 1000 + number * 7 + round, NOON) {
                // More than was taken, now and then.
                let tokens = if round % 10 == 0 { 1200 + number } else { round % 3 };
                thread::scope(|scope| {
                    scope.spawn(|| permit.used(tokens / 2, NOON));
                    permit.used(tokens - tokens / 2, NOON);
                });
                used.fetch_add(tokens, SeqCst);
            }
        }
    });
    let used = u32::try_from(used.load(SeqCst)).unwrap();
    assert_eq!(tokens_left(&accounts[0], NOON), 1_000_000 - used);
    assert_eq!(tokens_left(&accounts[1], NOON), 900_000 - used);
    assert_eq!((accounts[0].in_flight(), accounts[1].in_flight()), (0, 0));
}

#[test]
fn reservations_never_exceed_a_budget() {
    let own: Vec<_> = (0..4).map(|_| key(limits(0, 0, &["$40/day"]))).collect();
    let shared = project(limits(0, 0, &["$100/day", "$90/month"]));
    let (set_aside, spent) = (AtomicU64::new(0), AtomicU64::new(0));
    at_once_in(200, |number| {
        // Half of them ask in the other order.
        let mut accounts = [Arc::clone(&own[(number % 4) as usize]), Arc::clone(&shared)];
        if number % 2 == 0 {
            accounts.reverse();
        }
        for round in 0..20 {
            let amount = PicoUsd(DOLLAR * (1 + (number + round) % 5) + number);
            let Ok(reservation) = reserve(&accounts, amount, NOON) else { continue };
            let out = set_aside.fetch_add(amount.0, SeqCst) + amount.0;
            assert!(out <= 90 * DOLLAR, "{out} set aside or spent");
            thread::yield_now();
            // What is counted here never falls before what it counts does.
            let actual = if round % 3 == 0 { PicoUsd(0) } else { PicoUsd(amount.0 / 3) };
            set_aside.fetch_sub(amount.0 - actual.0, SeqCst);
            spent.fetch_add(actual.0, SeqCst);
            if round % 3 == 0 { drop(reservation) } else { reservation.settle(actual, NOON) }
        }
    });
    let spent = spent.load(SeqCst);
    assert!(spent > 0 && spent <= 90 * DOLLAR);
    assert_eq!((shared.purse().reserved(), shared.purse().spent(NOON).day.spent.0), (usd(0), spent));
    let of_keys: u64 = own.iter().map(|key| key.purse().spent(NOON).day.spent.0).sum();
    assert_eq!(of_keys, spent);
    assert!(own.iter().all(|key| key.purse().spent(NOON).day.spent <= usd(40)));
}
