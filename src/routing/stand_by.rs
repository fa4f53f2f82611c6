//! When is a candidate that says nothing left for the next, and when is that one asked as
//! well? Only where another stands by, and within the alias's budgets.

use super::facts::Snapshot;
use super::rank::{Entries, Entry, Query};

/// Never given up earlier than this, in seconds.
const EARLIEST: f64 = 0.5;
/// Nor before so many times the prediction.
const TIMES: f64 = 6.0;
/// Nor while it is within so many standard deviations.
const DEVIATIONS: f64 = 3.5;
/// One request in twenty is later than this many.
const P95: f64 = 1.65;
/// Who is asked as well may be slower by this factor.
const AS_FAST: f64 = 1.5;

/// When to leave each candidate for the next, and when to ask a second one as well.
pub(super) fn give_times(query: &Query<'_>, snapshot: &Snapshot, entries: &mut Entries<'_>) {
    let adaptivity = &query.alias.adaptivity;
    if !(adaptivity.give_up_early && snapshot.alias.give_up || adaptivity.hedge > 0.0 && snapshot.alias.hedge) {
        return;
    }
    let last = entries.len() - 1;
    for at in 0..last {
        let Entry { forecast, state, .. } = &entries[at];
        if state.reading.is_cold() {
            continue;
        }
        // What was predicted before others had to wait, else a hang is waited for longer.
        let usual = forecast.speed.first_s / forecast.speed.raised.exp();
        let deviation = forecast.speed.deviation;
        let expected = if query.facts.stream {
            usual
        } else {
            // A long answer is no reason to leave; only one longer than any would be.
            let longest = query.facts.max_output_tokens.unwrap_or(4096) as f64;
            usual + longest.max(snapshot.alias.expected_output) * forecast.speed.token_s
        };
        // The next one is who will be asked.
        let rival = &entries[at + 1];
        let rival_is_as_fast = !rival.state.reading.is_cold() && rival.forecast.speed.first_s <= AS_FAST * usual;
        let candidate = &mut entries[at].candidate;
        if adaptivity.give_up_early && snapshot.alias.give_up {
            let after = (TIMES * expected).max(expected * (DEVIATIONS * deviation).exp()).max(EARLIEST);
            candidate.give_up_s = Some(after);
        }
        if adaptivity.hedge > 0.0 && snapshot.alias.hedge && query.facts.stream && rival_is_as_fast {
            candidate.hedge_s = Some(usual * (P95 * deviation).exp());
        }
    }
}
