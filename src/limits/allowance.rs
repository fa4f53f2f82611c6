//! How much of the budgets that all replicas share may this one spend?
//!
//! Redis knows what each replica has spent of the running periods, and what it holds beside
//! that: money it may set aside and spend without asking. All are told as they are, never as
//! what was added, so that nothing is counted twice however often it is said, and a Redis that
//! has lost it is told again. What all have spent and hold together never exceeds a budget, but
//! for calls that cost more than was set aside for them.
//!
//! While Redis is away the replica goes on [`Apart`], with what it holds and its part of what
//! was free when it heard of the others last.

use std::time::Duration;

use super::refusal::Wait;
use super::share::Peers;
use crate::domain::budget::Budgets;
use crate::domain::money::PicoUsd;
use crate::domain::period::Period;
use crate::domain::spent::{Spent, Window};
use crate::domain::time::UnixMillis;

/// What is held and was not needed for so long goes back; and what was spent is told after
/// this time.
const TOLD_AFTER: Duration = Duration::from_secs(1);

/// What is held is told again after this time, before others take it for that of a dead one.
const RENEWED_AFTER: Duration = Duration::from_secs(3);

/// So long a refusal is believed; then others may have given something back.
const BELIEVED_FOR: Duration = Duration::from_millis(250);

/// Money is asked for so long ahead, if it is spent as fast as before.
const AHEAD_MS: u64 = 1000;

/// What one replica tells of an account's budgets, and what it asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SpendAsk {
    /// What it has spent of the running periods.
    pub spent: Spent,
    /// The budgets.
    pub budgets: Budgets,
    /// What it holds beside that.
    pub held: PicoUsd,
    /// Less than this beside what it holds is of no use now.
    pub need: PicoUsd,
    /// So much is waited for.
    pub wanted: PicoUsd,
    /// So much more would be used soon.
    pub ahead: PicoUsd,
    /// Nothing is wanted, and a replica that is apart stays so.
    pub only_tells: bool,
    /// What of `spent` it had held before.
    drawn: PicoUsd,
    /// What was set aside since the question before.
    used: u64,
}

/// What came of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SpendGrant {
    /// What it holds now.
    pub held: PicoUsd,
    /// What the others have spent of each period, as [`Period::ALL`] has them.
    pub others: [PicoUsd; 3],
    /// What the others hold.
    pub others_held: PicoUsd,
}

/// What this replica may spend.
#[derive(Debug, Default)]
pub(super) struct Allowance {
    /// What the others have spent. Never less in a period than was heard once.
    others: Spent,
    others_held: PicoUsd,
    /// What was granted, and what of it was spent since and not told.
    granted: PicoUsd,
    drawn: PicoUsd,
    /// Set aside since the last time that was asked.
    used: u64,
    used_at: UnixMillis,
    asked_at: UnixMillis,
    refused_until: UnixMillis,
    /// Whether it has ever heard of the others.
    heard: bool,
    apart: Option<Apart>,
}

/// What it goes on with while Redis is away.
#[derive(Debug)]
struct Apart {
    /// What this replica had spent when it was left alone.
    before: Spent,
    /// What it may spend in each period since then.
    share: [PicoUsd; 3],
    /// And in the next one of its kind.
    next_share: [PicoUsd; 3],
}

impl Allowance {
    /// Whether `amount` may be set aside beside what is.
    pub(super) fn allows(&self, period: Period, amount: PicoUsd, reserved: PicoUsd, spent: &Spent) -> Result<(), Wait> {
        let wanted = plus(reserved, amount);
        match &self.apart {
            None if plus(self.drawn, wanted) <= self.granted => Ok(()),
            None => Err(Wait::Ask),
            Some(apart) if plus(apart.spent(period, spent), wanted) <= apart.share(period, spent) => Ok(()),
            Some(_) => Err(Wait::Others),
        }
    }

    /// So much was set aside.
    pub(super) fn reserved(&mut self, amount: PicoUsd, now: UnixMillis) {
        self.used = self.used.saturating_add(amount.0);
        self.used_at = now;
    }

    /// So much was spent.
    pub(super) fn spent(&mut self, amount: PicoUsd) {
        self.drawn = plus(self.drawn, amount);
    }

    /// What the others hold, as long as it was the reason for a refusal.
    pub(super) fn set_aside_by_others(&self, now: UnixMillis) -> PicoUsd {
        if now < self.refused_until { self.others_held } else { PicoUsd(0) }
    }

    /// What all have spent, of which this replica has spent so much.
    pub(super) fn with_others(&self, own: &Spent) -> Spent {
        let sum = |own: Window, others: Window| {
            let others = if others.start == own.start { others.spent } else { PicoUsd(0) };
            Window { start: own.start, spent: plus(own.spent, others) }
        };
        let Spent { day, week, month } = self.others;
        Spent { day: sum(own.day, day), week: sum(own.week, week), month: sum(own.month, month) }
    }

    /// Forgets what was spent in periods that are over.
    pub(super) fn begin_periods(&mut self, now: UnixMillis) {
        self.others = self.others.at(now);
    }

    /// Whether the others have to hear of something though no attempt waits for it.
    pub(super) fn is_due(&self, reserved: PicoUsd, now: UnixMillis) -> bool {
        let held = minus(self.granted, self.drawn);
        let asked = now.since(self.asked_at);
        self.apart.is_some()
            || self.drawn > PicoUsd(0) && asked >= TOLD_AFTER
            || held > PicoUsd(0) && asked >= RENEWED_AFTER
            || held > reserved && now.since(self.used_at) >= TOLD_AFTER
    }

    /// Whether it holds nothing, and the others know all.
    pub(super) fn is_idle(&self) -> bool {
        self.granted == PicoUsd(0) && self.drawn == PicoUsd(0) && self.apart.is_none()
    }

    /// What is told, and asked for an attempt that needs `need` while `wanted` are waited for in
    /// all.
    pub(super) fn ask(
        &mut self,
        budgets: Budgets,
        spent: Spent,
        reserved: PicoUsd,
        [need, wanted]: [PicoUsd; 2],
        now: UnixMillis,
    ) -> SpendAsk {
        let least = plus(self.drawn, reserved);
        if self.apart.is_some() || now.since(self.used_at) >= TOLD_AFTER {
            self.granted = least;
        }
        let held = minus(self.granted.max(least), self.drawn);
        let spare = minus(held, reserved);
        let over = u64::try_from(now.since(self.asked_at).as_millis()).unwrap_or(u64::MAX).max(1);
        let wanted = wanted.max(need);
        let used = std::mem::take(&mut self.used);
        let ahead = if wanted == PicoUsd(0) { 0 } else { used.saturating_mul(AHEAD_MS) / over };
        self.asked_at = now;
        SpendAsk {
            spent,
            budgets,
            held,
            need: minus(need, spare),
            wanted: minus(wanted, spare),
            ahead: PicoUsd(ahead),
            only_tells: false,
            drawn: self.drawn,
            used,
        }
    }

    /// Nothing came of it.
    pub(super) fn unanswered(&mut self, ask: &SpendAsk) {
        self.used = self.used.saturating_add(ask.used);
    }

    /// What came of it.
    pub(super) fn granted(&mut self, ask: &SpendAsk, grant: &SpendGrant, now: UnixMillis) {
        for (period, spent) in Period::ALL.into_iter().zip(grant.others) {
            let heard = Window { start: ask.spent.window(period).start, spent };
            let known = window(&mut self.others, period);
            *known = (*known).max_by_start(heard);
        }
        self.heard = true;
        self.others_held = grant.others_held;
        self.drawn = minus(self.drawn, ask.drawn);
        if ask.only_tells && self.apart.is_some() {
            return;
        }
        self.apart = None;
        // A Redis that has lost what others spent would give too much.
        let free = ask.budgets.iter().map(|budget| {
            let all = [ask.spent.get(budget.period), self.others.get(budget.period), grant.others_held];
            all.into_iter().fold(budget.amount, minus)
        });
        let free = free.min().unwrap_or(PicoUsd(u64::MAX));
        self.granted = grant.held.min(free.max(ask.held));
        let refused = self.granted < plus(ask.held, ask.need);
        self.refused_until = if refused { now + BELIEVED_FOR } else { UnixMillis(0) };
    }

    /// From now on nobody can be asked. The others are taken to have used as much as this
    /// replica since they were heard of, and to want as much; of those that were never heard of
    /// each is left its part of the whole.
    pub(super) fn part(&mut self, budgets: Budgets, spent: Spent, reserved: PicoUsd, waiting: PicoUsd, peers: Peers) {
        if self.apart.is_some() {
            return;
        }
        let count = u64::from(peers.count.max(1));
        let held = minus(self.granted, self.drawn).max(reserved);
        let used = PicoUsd(waiting.0.saturating_add(self.used).saturating_mul(count - 1));
        let part = |amount: PicoUsd| PicoUsd(amount.0 / count);
        let whole = |period: Period| budgets.get(period).unwrap_or(PicoUsd(u64::MAX));
        let share = |period: Period| {
            let taken = [spent.get(period), self.others.get(period), self.others_held, held, used];
            let share = plus(held, part(taken.into_iter().fold(whole(period), minus)));
            let unheard = minus(part(whole(period)), spent.get(period));
            if self.heard { share } else { share.min(unheard) }
        };
        self.apart = Some(Apart {
            before: spent,
            share: Period::ALL.map(share),
            next_share: Period::ALL.map(|period| part(whole(period))),
        });
    }
}

impl Apart {
    /// What was spent of a period since.
    fn spent(&self, period: Period, spent: &Spent) -> PicoUsd {
        let (before, now) = (self.before.window(period), spent.window(period));
        if before.start == now.start { minus(now.spent, before.spent) } else { now.spent }
    }

    fn share(&self, period: Period, spent: &Spent) -> PicoUsd {
        let is_same = self.before.window(period).start == spent.window(period).start;
        if is_same { self.share[period as usize] } else { self.next_share[period as usize] }
    }
}

impl Window {
    /// The later of both; of the same period that in which more was spent.
    fn max_by_start(self, other: Self) -> Self {
        if (other.start, other.spent) > (self.start, self.spent) { other } else { self }
    }
}

fn window(spent: &mut Spent, period: Period) -> &mut Window {
    match period {
        Period::Day => &mut spent.day,
        Period::Week => &mut spent.week,
        Period::Month => &mut spent.month,
    }
}

fn plus(one: PicoUsd, other: PicoUsd) -> PicoUsd {
    PicoUsd(one.0.saturating_add(other.0))
}

fn minus(one: PicoUsd, other: PicoUsd) -> PicoUsd {
    PicoUsd(one.0.saturating_sub(other.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);
    /// Wednesday, 2026-12-30, at noon.
    const NOON: UnixMillis = UnixMillis(1_798_632_000_000);
    const FOUR: Peers = Peers { count: 4, rank: 0 };
    const NONE: PicoUsd = PicoUsd(0);

    fn budgets(texts: &[&str]) -> Budgets {
        let mut budgets = Budgets::default();
        texts.iter().for_each(|text| budgets.insert(text.parse().unwrap()).unwrap());
        budgets
    }

    /// Budgets of a few pico-dollars.
    fn small() -> Budgets {
        budgets(&["$0.0000000001/day", "$0.0000000003/month"])
    }

    fn spent(amount: u64, now: UnixMillis) -> Spent {
        let mut spent = Spent::default();
        spent.add(PicoUsd(amount), now);
        spent
    }

    /// Asks for `need` with nothing set aside, and is told what it holds and others have.
    fn told(allowance: &mut Allowance, own: u64, need: u64, held: u64, others: u64, others_held: u64) -> SpendAsk {
        let ask = allowance.ask(small(), spent(own, NOON), NONE, [PicoUsd(need), NONE], NOON);
        let grant = SpendGrant { held: PicoUsd(held), others: [PicoUsd(others); 3], others_held: PicoUsd(others_held) };
        allowance.granted(&ask, &grant, NOON);
        ask
    }

    fn room(allowance: &Allowance, reserved: u64, own: Spent) -> u64 {
        let allows = |amount: &u64| {
            let day = allowance.allows(Period::Day, PicoUsd(*amount), PicoUsd(reserved), &own);
            day.is_ok() && allowance.allows(Period::Month, PicoUsd(*amount), PicoUsd(reserved), &own).is_ok()
        };
        (0..1000).take_while(allows).last().unwrap_or(0)
    }

    #[test]
    fn only_what_is_held_may_be_set_aside() {
        let mut allowance = Allowance::default();
        assert_eq!(allowance.allows(Period::Day, PicoUsd(1), NONE, &spent(0, NOON)), Err(Wait::Ask));
        let ask = told(&mut allowance, 0, 5, 20, 10, 0);
        assert_eq!((ask.held, ask.need, ask.wanted), (NONE, PicoUsd(5), PicoUsd(5)));
        assert_eq!(room(&allowance, 12, spent(0, NOON)), 8);
        allowance.reserved(PicoUsd(12), NOON);
        allowance.spent(PicoUsd(9));
        assert_eq!(room(&allowance, 0, spent(9, NOON)), 11);
        // It tells what it spent, and what it still holds.
        let ask = allowance.ask(small(), spent(9, NOON), NONE, [PicoUsd(15), NONE], NOON);
        assert_eq!((ask.held, ask.need), (PicoUsd(11), PicoUsd(4)));
        assert_eq!(allowance.with_others(&spent(9, NOON)).month.spent, PicoUsd(19));
    }

    #[test]
    fn others_never_have_spent_less_than_before() {
        let mut allowance = Allowance::default();
        told(&mut allowance, 0, 5, 5, 70, 20);
        // Redis has lost what they spent, and gives more than there is.
        told(&mut allowance, 0, 50, 50, 0, 0);
        assert_eq!(room(&allowance, 0, spent(0, NOON)), 30);
        assert_eq!(allowance.with_others(&spent(1, NOON)).day.spent, PicoUsd(71));
        allowance.begin_periods(NOON + DAY);
        let tomorrow = allowance.with_others(&spent(1, NOON + DAY));
        assert_eq!((tomorrow.day.spent, tomorrow.month.spent), (PicoUsd(1), PicoUsd(71)));
    }

    #[test]
    fn apart_it_has_what_it_holds_and_its_part_of_the_rest() {
        let mut allowance = Allowance::default();
        told(&mut allowance, 10, 5, 8, 20, 6);
        // Of the day's hundred 56 are free; the others want 4 each as well.
        allowance.part(small(), spent(10, NOON), NONE, PicoUsd(4), FOUR);
        assert_eq!(room(&allowance, 0, spent(10, NOON)), 8 + (56 - 12) / 4);
        allowance.spent(PicoUsd(15));
        assert_eq!(room(&allowance, 1, spent(25, NOON)), 3);
        assert_eq!(allowance.allows(Period::Day, PicoUsd(5), NONE, &spent(25, NOON)), Err(Wait::Others));
        // The next day it has a part of the whole of it.
        let mut later = spent(25, NOON);
        later.add(PicoUsd(1), NOON + DAY);
        assert_eq!(room(&allowance, 0, later), 24);
        // And when the others are there again it has told all.
        let ask = told(&mut allowance, 25, 0, 0, 60, 0);
        assert_eq!(ask.spent.day.spent, PicoUsd(25));
        assert!(allowance.is_idle());
    }

    #[test]
    fn one_that_never_heard_of_the_others_has_its_part_of_the_whole() {
        let mut allowance = Allowance::default();
        allowance.part(small(), spent(10, NOON), NONE, PicoUsd(1), FOUR);
        assert_eq!(room(&allowance, 0, spent(10, NOON)), 15);
    }
}
