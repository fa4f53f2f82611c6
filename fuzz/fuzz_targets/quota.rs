//! Whatever Redis answers to a question for a share of a limit: no number overflows, and who was
//! let in leaves again.
#![no_main]

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use pointsman::domain::limits::CallerLimits;
use pointsman::domain::money::PicoUsd;
use pointsman::domain::spent::Spent;
use pointsman::domain::time::UnixMillis;
use pointsman::limits::{
    Account, EntryGrant, Kind, Owner, Peers, Permit, PlacesGrant, RateGrant, Reservation, SpendGrant, Waiting,
    WaitingSpend, enter, reserve,
};

/// Numbers as they come, small ones and the largest.
struct Numbers<'a>(&'a [u8]);

impl Numbers<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// Of one byte, of two, of eight, or near the largest.
    fn next(&mut self) -> Option<u64> {
        let size = self.byte()?;
        let mut number = 0u64;
        for _ in 0..[1, 2, 8, 1][usize::from(size % 4)] {
            number = number << 8 | u64::from(self.byte()?);
        }
        Some(if size % 4 == 3 { u64::MAX - number } else { number })
    }

    fn rate(&mut self) -> Option<RateGrant> {
        let (granted, owed_us, made, seq) = (self.next()?, self.next()?, self.next()?, self.next()?);
        Some(RateGrant { granted, owed_us, made, seq, taken_us: self.next()?.cast_signed() })
    }

    fn small(&mut self) -> Option<u32> {
        self.next().map(|number| u32::try_from(number).unwrap_or(u32::MAX))
    }
}

/// The life of one account, until the bytes end.
fn live(numbers: &mut Numbers<'_>, permits: &mut Vec<Permit>, reserved: &mut Vec<Reservation>) -> Option<()> {
    let mut limits = CallerLimits {
        requests_per_minute: NonZeroU32::new(numbers.small()?),
        tokens_per_minute: NonZeroU32::new(numbers.small()?),
        max_in_flight: Some(numbers.small()?).filter(|max| *max != 7),
        ..CallerLimits::NONE
    };
    if let Ok(budget) = format!("${}/day", numbers.next()? % 18_446_744).parse() {
        limits.budgets.insert(budget).ok()?;
    }
    let accounts = [Arc::new(Account::new(Owner::new(Kind::Key, "k"), limits, Spent::default()))];
    let account = &accounts[0];
    account.join();
    let mut now = UnixMillis(1_795_504_456_000);
    let peers = Peers { count: 3, rank: 1 };
    let waiting = Waiting { tokens: Some(numbers.next()?), all_requests: 2, all_tokens: numbers.next()? };
    let waiting_spend = WaitingSpend { amount: PicoUsd(numbers.next()?), all: PicoUsd(numbers.next()?) };
    loop {
        match numbers.byte()? % 12 {
            0 => permits.extend(enter(&accounts, numbers.next()?, now)),
            1 => drop(permits.pop()),
            2 => {
                let ask = account.ask_to_enter(waiting, peers, now);
                let places = PlacesGrant { held: numbers.small()?, others: numbers.small()? };
                let grant = EntryGrant { requests: numbers.rate()?, tokens: numbers.rate()?, places };
                account.may_enter(&ask, &grant, now);
            }
            3 => account.entry_unanswered(&account.ask_to_enter(waiting, peers, now), numbers.byte()? % 2 == 0, now),
            4 => account.enter_apart(waiting, peers, now),
            5 => {
                let others = [numbers.next()?, numbers.next()?, numbers.next()?].map(PicoUsd);
                let (held, others_held) = (PicoUsd(numbers.next()?), PicoUsd(numbers.next()?));
                if let Some(ask) = account.ask_to_spend(waiting_spend, now) {
                    account.may_spend(&ask, &SpendGrant { held, others, others_held }, now);
                }
            }
            6 => {
                if let Some(ask) = account.ask_to_spend(waiting_spend, now) {
                    account.spend_unanswered(&ask, now);
                }
            }
            7 => account.spend_apart(waiting_spend.amount, peers, now),
            8 => reserved.extend(reserve(&accounts, PicoUsd(numbers.next()?), now)),
            9 => {
                let actual = PicoUsd(numbers.next()?);
                reserved.pop().into_iter().for_each(|one| one.settle(actual, now));
            }
            10 => {
                let tokens = numbers.next()?;
                permits.iter().for_each(|permit| permit.used(tokens, now));
            }
            _ => now = now + Duration::from_millis(numbers.next()?.min(1 << 32)),
        }
        assert_eq!(account.in_flight() as usize, permits.len());
        let _ = (account.standing(now), account.is_idle(now), account.has_spent(now));
        let _ = (account.has_to_tell_of_entries(now), account.has_to_tell_of_spending(now));
        let _ = (account.has_to_ask_to_enter(1, now), account.has_to_ask_to_spend(PicoUsd(1), now));
    }
}

fuzz_target!(|bytes: &[u8]| {
    let (mut permits, mut reserved) = (Vec::new(), Vec::new());
    live(&mut Numbers(bytes), &mut permits, &mut reserved);
});
