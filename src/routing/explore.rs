//! Who is tried although another looks best?
//!
//! A target that is never asked is never known. Those that were never measured get a few
//! requests at once. Those that look worse are looked at again now and then, out of a
//! budget that is counted in cost: trying a target that costs four times as much as the
//! best takes three of its costs. Whoever could be better than the best is due soon; whoever
//! could not is due rarely, and only from a full budget.

use std::time::Duration;

use rand::{Rng, RngExt};

use super::facts::Snapshot;
use super::rank::{Entries, Entry, Plan, Query, Why, demand};
use super::score;
use crate::domain::alias::Scoring;
use crate::health::Standing;
use crate::stats::{COLD_AT_ONCE, Purpose};

/// Who could be better is due after this long, growing with each look that changed nothing.
const SOON_S: f64 = 2.0;
const SOON_GROWTH: f64 = 1.6;
const SOON_CAP_S: f64 = 12.0;
/// Who could not be is due after this long, and longer the worse it looks.
const LATER_S: f64 = 12.0;
const LATER_CAP_S: f64 = 60.0;
/// A look never costs more than this: a slow attempt is given up.
const MOST_EXCESS: f64 = 5.9;
/// Nobody is believed to become faster than by this factor.
const MOST_BETTER: f64 = 0.15;
/// What another replica did is known after about this long, in seconds.
const UNHEARD_S: f64 = 1.0;
/// How much better it could have to be.
const BETTER: f64 = 0.98;

/// Moves one candidate to the front, if it is its turn.
pub(super) fn bring_forward(
    query: &Query<'_>,
    snapshot: &Snapshot,
    scoring: Option<&Scoring>,
    entries: &mut Entries<'_>,
    plan: &mut Plan,
    rng: &mut impl Rng,
) {
    if entries.len() < 2 || !query.narrowing.order.is_empty() {
        return;
    }
    if let Some(probe) = probe(query, scoring, entries) {
        return to_front(entries, probe, Why::Probe, Purpose::Usual);
    }
    if query.alias.adaptivity.explore <= 0.0 {
        return;
    }
    if scoring.is_some_and(score::measures)
        && let Some(cold) = cold(entries, rng)
    {
        let purpose = if entries.iter().all(Entry::is_cold) { Purpose::Usual } else { Purpose::Cold };
        return to_front(entries, cold, Why::Cold, purpose);
    }
    let again = look_again(query, snapshot, scoring, entries, plan, rng);
    if let Some((at, excess)) = again {
        plan.excess = excess;
        to_front(entries, at, Why::Explore, Purpose::Explore);
    }
}

impl Entry<'_> {
    fn is_cold(&self) -> bool {
        self.state.reading.is_cold()
    }

    /// Whether it may come before this one in order to learn: never a last resort, and never
    /// one of a lower rank, which the person wants only if all above it fail.
    fn may_precede(&self, first: &Self) -> bool {
        !self.key.last_resort && self.key.rank <= first.key.rank
    }
}

fn to_front(entries: &mut Entries<'_>, at: usize, why: Why, purpose: Purpose) {
    (entries[at].candidate.why, entries[at].candidate.purpose) = (why, purpose);
    entries[..=at].rotate_right(1);
}

/// One that has been out and whose time is over. By its score alone it would never be asked
/// again, so one request finds out; where the order is fixed its place will come.
fn probe(query: &Query<'_>, scoring: Option<&Scoring>, entries: &Entries<'_>) -> Option<usize> {
    scoring?;
    let due = |entry: &Entry<'_>| {
        entry.state.reading.health.standing(query.now) == Standing::Probe && entry.may_precede(&entries[0])
    };
    entries.iter().position(due)
}

/// One that was never measured and has nothing under way that will tell; if nothing at all
/// was measured, the one with the least under way.
fn cold(entries: &Entries<'_>, rng: &mut impl Rng) -> Option<usize> {
    let all = entries.iter().filter(|entry| entry.may_precede(&entries[0])).all(Entry::is_cold);
    let mut chosen: Option<(usize, u32)> = None;
    let mut equals = 1u32;
    for (at, entry) in entries.iter().enumerate() {
        let busy = entry.state.reading.in_flight;
        let out = matches!(entry.candidate.why, Why::Failing { .. } | Why::SlowStart { .. });
        if !entry.is_cold() || !entry.may_precede(&entries[0]) || out || (!all && busy >= COLD_AT_ONCE) {
            continue;
        }
        match chosen {
            Some((_, least)) if busy > least => {}
            Some((_, least)) if busy == least => {
                equals += 1;
                if rng.random_range(0..equals) == 0 {
                    chosen = Some((at, busy));
                }
            }
            _ => (chosen, equals) = (Some((at, busy)), 1),
        }
    }
    chosen.map(|(at, _)| at)
}

/// One that is due to be looked at again, with what that is expected to lose.
fn look_again(
    query: &Query<'_>,
    snapshot: &Snapshot,
    scoring: Option<&Scoring>,
    entries: &Entries<'_>,
    plan: &mut Plan,
    rng: &mut impl Rng,
) -> Option<(usize, f64)> {
    let measured = scoring.is_some_and(score::measures);
    let best = entries[0].forecast.cost_s;
    let demand = demand(query, snapshot);
    let mut chosen: Option<Turn> = None;
    for (at, entry) in entries.iter().enumerate().skip(1) {
        let reading = &entry.state.reading;
        let wanted = entry.may_precede(&entries[0])
            && match entry.candidate.why {
                Why::Slow { .. } | Why::Failing { .. } => true,
                Why::SlowStart { .. } => false,
                _ => measured && !entry.is_cold(),
            };
        if !wanted {
            continue;
        }
        let excess = (entry.forecast.cost_s / best - 1.0).clamp(0.0, MOST_EXCESS);
        // What it costs if it is as good as it may well be.
        let speed = &entry.forecast.speed;
        let usual = (-speed.raised).exp();
        let unsure = (-reading.variance(demand.now).sqrt()).exp();
        let at_best = if reading.potential.is_nan() { 1.0 } else { (reading.potential - reading.first_mean).exp() };
        let token = demand.output * speed.token_s * usual.sqrt();
        // Whoever is slow to begin is mostly slow to go on, and recovers in both.
        let better = unsure.min(at_best).max(MOST_BETTER);
        let could = (speed.first_s * usual + token) * better;
        // Failures before the first content are over when they are over; broken streams are a
        // habit, and cost whoever is sent to find out.
        let could = could + score::of_broken_streams(could, reading);
        let promising = could < best * BETTER || !measured;
        plan.promising |= promising;
        let interval = if promising {
            (SOON_S * SOON_GROWTH.powi(reading.explored.min(8) as i32)).min(SOON_CAP_S)
        } else {
            (LATER_S * (1.0 + excess)).min(LATER_CAP_S)
        };
        let due = query.now.since(reading.sent_at) >= Duration::from_secs_f64(interval);
        let turn = Turn { at, excess, needed: if promising { excess } else { MOST_EXCESS }, promising, could };
        if due && chosen.is_none_or(|other| turn.is_before(&other)) {
            chosen = Some(turn);
        }
    }
    // Whoever comes first is saved up for: spending on a cheaper look at someone who hardly
    // can be better would put off for ever the dear look at the one who has recovered.
    let chosen = chosen.filter(|turn| may_look(snapshot.alias.explore, turn.needed, entries, rng))?;
    Some((chosen.at, chosen.excess))
}

/// Whether it is to be paid for, and our turn.
///
/// Where other replicas ask the same targets, what one of them sees all will know. They find
/// it due at the same moment, and nobody knows that another has looked before that was told: if
/// each looks with this chance, about one of them all does. And what each has saved up is a
/// part of what all have: a look is taken with the chance that there is enough, and the rest
/// is owed.
fn may_look(saved: f64, needed: f64, entries: &Entries<'_>, rng: &mut impl Rng) -> bool {
    let others: u64 = entries.iter().map(|entry| entry.state.reading.others_requests).sum();
    if others == 0 {
        return saved >= needed;
    }
    // Their requests of a minute, as those of the time in which nothing is known of them.
    let unheard = others as f64 / 60.0 * UNHEARD_S;
    let enough = if needed > 0.0 { saved / needed } else { saved + 1.0 };
    rng.random::<f64>() * (1.0 + unheard) < enough.min(1.0)
}

/// One that is due.
#[derive(Clone, Copy)]
struct Turn {
    at: usize,
    excess: f64,
    needed: f64,
    promising: bool,
    could: f64,
}

impl Turn {
    /// Those that could be better first, and of them the one that could be best.
    fn is_before(&self, other: &Self) -> bool {
        if self.promising != other.promising { self.promising } else { self.could < other.could }
    }
}
