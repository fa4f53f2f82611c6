//! What do requests that still wait for their first content say? That it takes at least as
//! long as they have waited.
//!
//! Completions tell the past: a target that went silent a second ago has no slow samples
//! yet, only old requests. One that waits far longer than predicted may be bad luck, so it
//! is the second one that counts; a lone one counts for less.
//!
//! Where tails are heavy even two are luck: the slow ones of many requests are those that
//! still wait. So a request counts for less once one that was sent after it is answered. A
//! target that has gone silent answers nobody; one that answers those who came later may
//! be well, unless some of its requests wait so long that no luck explains it.

use crate::domain::time::UnixMillis;

/// One that a later one has overtaken has to be this many standard deviations further out.
const OVERTAKEN: f64 = 1.9;
/// As many are watched; of more than that the oldest.
const WATCHED: usize = 16;
/// What a lone waiting request counts less, in units of log time.
const LONE: f64 = 0.7;
/// Evidence below this many standard deviations is ordinary luck.
const SURPRISE: f64 = 1.6;

/// A request that waits.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Wait {
    /// Since when.
    pub since: UnixMillis,
    /// How long it was predicted to take, in seconds; 0 is an empty place.
    pub predicted_s: f64,
}

impl Wait {
    /// How far beyond its prediction it is, as a logarithm.
    fn excess(&self, now: UnixMillis) -> f64 {
        let age = now.since(self.since).as_secs_f64();
        if self.predicted_s > 0.0 && age > self.predicted_s { (age / self.predicted_s).ln() } else { 0.0 }
    }
}

/// Requests that wait.
#[derive(Clone, Debug, Default)]
pub struct Waiting {
    places: [Wait; WATCHED],
    /// When the latest of the answered requests was sent.
    answered: UnixMillis,
}

impl Waiting {
    /// A request begins to wait; the place it got, if there was one.
    pub fn begin(&mut self, since: UnixMillis, predicted_s: f64) -> Option<usize> {
        let place = self.places.iter().position(|place| place.predicted_s == 0.0)?;
        self.places[place] = Wait { since, predicted_s: predicted_s.max(1e-3) };
        Some(place)
    }

    /// A request that was sent then has been answered.
    pub fn answered(&mut self, sent: UnixMillis) {
        self.answered = self.answered.max(sent);
    }

    /// It waits no longer.
    pub fn end(&mut self, place: usize) {
        self.places[place] = Wait::default();
    }

    /// The two that will soon be furthest beyond their prediction, which is longer for those
    /// that were overtaken. `deviation` is the standard deviation of a sample's logarithm.
    pub fn longest(&self, deviation: f64, now: UnixMillis) -> [Wait; 2] {
        let allowance = (OVERTAKEN * deviation).exp();
        let mut longest = [Wait::default(); 2];
        let mut excess = [-1.0; 2];
        for place in self.places.iter().filter(|place| place.predicted_s > 0.0) {
            let allowed = if place.since < self.answered { allowance } else { 1.0 };
            let place = &Wait { predicted_s: place.predicted_s * allowed, ..*place };
            let age = now.since(place.since).as_secs_f64() + place.predicted_s;
            let ratio = age / place.predicted_s;
            if ratio > excess[0] {
                (longest, excess) = ([*place, longest[0]], [ratio, excess[0]]);
            } else if ratio > excess[1] {
                (longest[1], excess[1]) = (*place, ratio);
            }
        }
        longest
    }
}

/// By how much, as a logarithm, the predicted time has to be raised. `deviation` is the
/// standard deviation of a sample's logarithm.
pub fn raise(longest: &[Wait; 2], deviation: f64, now: UnixMillis) -> f64 {
    let first = longest[0].excess(now);
    if first == 0.0 {
        return 0.0;
    }
    let evidence = first.min(longest[1].excess(now)).max(first - LONE);
    if evidence > SURPRISE * deviation { evidence } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> UnixMillis {
        UnixMillis(1_000_000 + ms)
    }

    #[test]
    fn the_second_oldest_counts_and_a_lone_one_counts_for_less() {
        let mut waiting = Waiting::default();
        waiting.begin(at(0), 0.1).unwrap();
        let lone = raise(&waiting.longest(0.3, at(1000)), 0.3, at(1000));
        assert!((lone - (10f64.ln() - LONE)).abs() < 1e-9);
        let second = waiting.begin(at(200), 0.1).unwrap();
        let both = raise(&waiting.longest(0.3, at(1000)), 0.3, at(1000));
        assert!((both - 8f64.ln()).abs() < 1e-9);
        waiting.end(second);
        assert_eq!(raise(&waiting.longest(0.3, at(120)), 0.3, at(120)), 0.0);
    }

    #[test]
    fn ordinary_luck_is_no_evidence() {
        let mut waiting = Waiting::default();
        waiting.begin(at(0), 0.1);
        waiting.begin(at(0), 0.1);
        assert_eq!(raise(&waiting.longest(0.3, at(200)), 0.5, at(200)), 0.0);
        assert!(raise(&waiting.longest(0.3, at(300)), 0.5, at(300)) > 0.0);
    }

    #[test]
    fn whom_a_later_one_has_overtaken_had_bad_luck_unless_it_waits_very_long() {
        let mut waiting = Waiting::default();
        waiting.begin(at(0), 0.1);
        waiting.begin(at(0), 0.1);
        let raised = |waiting: &Waiting, ms| raise(&waiting.longest(0.5, at(ms)), 0.5, at(ms));
        assert!(raised(&waiting, 500) > 0.0);
        waiting.answered(at(10));
        assert_eq!(raised(&waiting, 500), 0.0);
        assert!(raised(&waiting, 2000) > 0.0);
        // Those that were sent after it are not overtaken.
        waiting.begin(at(1000), 0.1);
        waiting.begin(at(1000), 0.1);
        assert_eq!(waiting.longest(0.5, at(1500)).map(|wait| wait.since), [at(0); 2]);
        assert!((raised(&waiting, 1500) - (1500.0f64 / 100.0).ln() + OVERTAKEN * 0.5).abs() < 1e-9);
    }

    #[test]
    fn more_than_it_can_watch_changes_nothing() {
        let mut waiting = Waiting::default();
        for _ in 0..WATCHED {
            assert!(waiting.begin(at(0), 1.0).is_some());
        }
        assert_eq!(waiting.begin(at(0), 1.0), None);
    }
}
