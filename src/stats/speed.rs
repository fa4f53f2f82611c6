//! How fast is a target now, and how sure is that?
//!
//! Two numbers describe the speed of a model: the time to its first token, which grows with
//! the prompt, and the time per token after it. Each is followed by a scalar Kalman filter
//! of its logarithm (a random walk seen through noise): in logarithms a factor of five up
//! or down is the same distance, and heavy tails become nearly symmetric. A whole answer
//! shows only the sum of both, which is an extended Kalman update of both at once, each in
//! proportion to its part of the sum.
//!
//! A sample far from the prediction is either luck or a change. One alone is clipped; a
//! second on the same side, or one after a long silence, is believed and the uncertainty is
//! raised so that the filter follows at once. So is a drift, in which no sample is far from
//! the prediction but most lie on the same side of it: a queue that builds up.

use super::share::Level;
use crate::domain::time::UnixMillis;

/// Growth of the variance per second without a sample: how fast targets change.
const DRIFT: f64 = 0.002;
/// The variance never grows beyond this: a factor of e either way.
const MAX_VARIANCE: f64 = 1.0;
/// Innovations beyond this many standard deviations are luck or change, not noise.
const GATE: f64 = 2.2;
/// How much a sample moves the estimate of the noise: much at first, little later. The mean
/// of a log-normal time is e^(m + noise/2), so that where tails are heavy a restless
/// estimate of the noise would make the ranking restless (with 0.04 throughout, heavy tails
/// cost 1.24 times the oracle's time).
const NOISE_STEP: (f64, f64) = (0.01, 0.08);
const NOISE_RANGE: (f64, f64) = (0.01, 2.0);
/// How much a sample moves the mean of the latest innovations.
const DRIFT_STEP: f64 = 0.15;
/// Innovations whose mean stands so many standard deviations on one side are a drift. By
/// chance it does so once in two hundred samples.
const DRIFTS: f64 = 0.8;
/// So many outliers in a row on one side are a change.
const CHANGE: i8 = 2;
/// The noise that is assumed before it was observed.
const FIRST_NOISE: f64 = 0.1;
/// Chance that a lone outlier is luck, against a change while nobody looked.
const LUCK: f64 = 0.02;
/// The time constant with which a change becomes likely while nobody looks, in seconds.
const UNSEEN: f64 = 60.0;
/// After a silence a lone outlier has to be this far out to be believed.
const LONE_GATE: f64 = 3.0;

/// A variance as it is `now`, that was `variance` at `at`.
pub(super) fn variance_at(variance: f64, at: UnixMillis, now: UnixMillis) -> f64 {
    (variance + DRIFT * now.since(at).as_secs_f64()).min(MAX_VARIANCE)
}

/// The level of one logarithm.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Tracker {
    /// The level.
    pub mean: f64,
    /// Its uncertainty at `at`, as a variance.
    pub variance: f64,
    /// The variance of samples around the level.
    pub noise: f64,
    /// When the last sample came.
    pub at: UnixMillis,
    /// Samples so far.
    pub samples: u32,
    /// So many samples in a row were outliers above (or, negative, below) the level.
    outliers: i8,
    /// The mean of the latest innovations.
    drift: f64,
    /// When a change was last believed.
    changed_at: UnixMillis,
}

impl Tracker {
    /// Nothing observed; `mean` only helps to share out the first sum.
    fn new(mean: f64) -> Self {
        let (variance, noise) = (MAX_VARIANCE, FIRST_NOISE);
        Self {
            mean,
            variance,
            noise,
            at: UnixMillis(0),
            samples: 0,
            outliers: 0,
            drift: 0.0,
            changed_at: UnixMillis(0),
        }
    }

    /// The uncertainty at `now`: it grows with age.
    pub fn variance_at(&self, now: UnixMillis) -> f64 {
        variance_at(self.variance, self.at, now)
    }

    /// The innovation to believe, of `v` with standard deviation `s`: itself, or clipped.
    /// Where it is a change the variance is raised.
    fn judge(&mut self, v: f64, s: f64, now: UnixMillis) -> f64 {
        if v.abs() <= GATE * s {
            self.outliers = 0;
            return v;
        }
        let side = if v > 0.0 { 1 } else { -1 };
        let in_a_row = if self.outliers.signum() == side { self.outliers } else { 0 };
        self.outliers = in_a_row.saturating_add(side);
        let unseen = 1.0 - (-now.since(self.at).as_secs_f64() / UNSEEN).exp();
        let after_silence = v.abs() > LONE_GATE * s && unseen / (unseen + LUCK) > 0.9;
        if self.outliers.abs() >= CHANGE || after_silence {
            self.variance = self.variance.max(v * v);
            self.changed_at = self.changed_at.max(now);
            v
        } else {
            v.clamp(-GATE * s, GATE * s)
        }
    }

    /// Samples that lie on one side of the prediction, one after the other, are no noise: the
    /// level drifts (a queue builds up, say), and has to be followed faster.
    fn learn_scatter(&mut self, v: f64, predicted: f64) {
        let deviation = predicted.sqrt();
        self.drift += DRIFT_STEP * (v.clamp(-GATE * deviation, GATE * deviation) - self.drift);
        if self.drift.abs() > DRIFTS * deviation {
            self.variance = self.variance.max(self.drift * self.drift);
            self.drift = 0.0;
        }
        let innovation = (v * v).min(6.0 * predicted) - predicted;
        let step = (1.0 / f64::from(self.samples + 1)).clamp(NOISE_STEP.0, NOISE_STEP.1);
        self.noise = (self.noise + step * innovation).clamp(NOISE_RANGE.0, NOISE_RANGE.1);
    }

    /// Takes over what another replica knows: it has seen more, or later.
    pub(super) fn adopt(&mut self, level: &Level, at: UnixMillis) {
        self.mean = level.mean;
        self.variance = level.variance.clamp(1e-4, MAX_VARIANCE);
        self.noise = level.noise.clamp(NOISE_RANGE.0, NOISE_RANGE.1);
        self.samples = self.samples.max(level.samples);
        (self.at, self.outliers, self.drift) = (at, 0, 0.0);
    }

    fn seen(&mut self, now: UnixMillis) {
        self.at = self.at.max(now);
        self.samples = self.samples.saturating_add(1);
    }
}

/// The speed of a target.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Speed {
    /// Logarithm of the seconds to the first token of an empty prompt.
    pub first: Tracker,
    /// Logarithm of the seconds per output token.
    pub token: Tracker,
    /// Growth of the time to the first token per thousand prompt tokens, as a share of that
    /// of an empty prompt.
    pub slope: f64,
    slope_variance: f64,
}

/// What was observed of one answer.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Observation {
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Prompt tokens in thousands, where the time to the first token is part of it.
    pub prompt_kilotokens: Option<f64>,
    /// Output tokens whose generation is part of it; 0 where none is.
    pub tokens: f64,
}

impl Default for Speed {
    fn default() -> Self {
        // Half a second and fifty tokens a second: ordinary for hosted models.
        let first = Tracker::new(0.5f64.ln());
        let token = Tracker::new(0.02f64.ln());
        Self { first, token, slope: 0.1, slope_variance: 0.01 }
    }
}

impl Speed {
    /// The factor by which a prompt of this size lengthens the time to the first token.
    pub fn growth(&self, prompt_kilotokens: f64) -> f64 {
        1.0 + self.slope * prompt_kilotokens
    }

    /// Follows an observation that another replica made at `at`, unless a change has been
    /// believed since: what was so before it is no news. Returns how far it was from the
    /// prediction, as a logarithm.
    pub fn hear(&mut self, seen: &Observation, at: UnixMillis) -> f64 {
        let about_first = seen.prompt_kilotokens.is_some();
        let changed_at = if about_first { self.first.changed_at } else { self.token.changed_at };
        if at < changed_at { 0.0 } else { self.observe(seen, at) }
    }

    /// What is known of the slope, and how sure that is.
    pub fn slope_level(&self) -> (f64, f64) {
        (self.slope, self.slope_variance)
    }

    /// Takes over a slope that is known elsewhere.
    pub fn adopt_slope(&mut self, slope: f64, variance: f64) {
        (self.slope, self.slope_variance) = (slope, variance.clamp(1e-6, 1.0));
    }

    /// Follows an observation; what it shows of neither part is ignored. Returns how far it
    /// was from the prediction, as a logarithm.
    pub fn observe(&mut self, seen: &Observation, now: UnixMillis) -> f64 {
        let kilotokens = seen.prompt_kilotokens.unwrap_or(0.0);
        let growth = self.growth(kilotokens);
        let first = if seen.prompt_kilotokens.is_some() { self.first.mean.exp() * growth } else { 0.0 };
        let tokens = seen.tokens * self.token.mean.exp();
        let predicted = first + tokens;
        if !(predicted > 0.0 && seen.seconds > 0.0) {
            return 0.0;
        }
        let v = (seen.seconds / predicted).ln();
        // How the logarithm of the sum moves with each part.
        let (of_first, of_token) = (first / predicted, tokens / predicted);
        let of_slope = of_first * kilotokens / growth;
        self.first_look(of_first, of_token, v);

        let (first_variance, token_variance) = (self.first.variance_at(now), self.token.variance_at(now));
        let spread = of_first.powi(2) * first_variance
            + of_token.powi(2) * token_variance
            + of_slope.powi(2) * self.slope_variance;
        let noise = of_first.powi(2) * self.first.noise + of_token.powi(2) * self.token.noise;
        let deviation = (spread + noise).sqrt();
        let main = if of_first >= of_token { &mut self.first } else { &mut self.token };
        let before = main.variance_at(now);
        main.variance = before;
        let judged = main.judge(v, deviation, now);
        let raised = main.variance - before;
        let share = of_first.max(of_token).powi(2);
        let total = spread + noise + share * raised;

        let follow = |tracker: &mut Tracker, variance: f64, part: f64| {
            if part == 0.0 {
                return;
            }
            let gain = variance * part / total;
            tracker.mean += gain * judged;
            tracker.variance = variance * (1.0 - gain * part);
            // Where it is a small part of the sum, the noise is that of the other.
            if part > 0.5 {
                tracker.learn_scatter(v, spread + noise);
            }
            if part > 0.1 {
                tracker.seen(now);
            }
        };
        let raise_first = if of_first >= of_token { raised } else { 0.0 };
        follow(&mut self.first, first_variance + raise_first, of_first);
        follow(&mut self.token, token_variance + raised - raise_first, of_token);
        let gain = self.slope_variance * of_slope / total;
        // A change of level says nothing of the slope.
        if raised == 0.0 {
            self.slope = (self.slope + gain * judged).clamp(0.0, 5.0);
            self.slope_variance = (self.slope_variance * (1.0 - gain * of_slope) + 1e-7).min(1.0);
        }
        v
    }

    /// The very first sample of a part is its level, not an innovation to be clipped.
    fn first_look(&mut self, of_first: f64, of_token: f64, v: f64) {
        let step = v.clamp(-8.0, 8.0);
        if of_first > 0.5 && self.first.samples == 0 {
            self.first.variance = self.first.variance.max(step * step * 4.0);
            self.first.outliers = if v > 0.0 { CHANGE } else { -CHANGE };
        }
        if of_token > 0.5 && self.token.samples == 0 {
            self.token.variance = self.token.variance.max(step * step * 4.0);
            self.token.outliers = if v > 0.0 { CHANGE } else { -CHANGE };
        }
    }
}

#[cfg(test)]
mod tests;
