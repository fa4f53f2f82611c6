//! What does one replica believe of an endpoint?
//!
//! Told seldom, and kept where a new replica finds it: whoever starts, or was cut off, takes
//! it over and is warm at once. Whoever hears pulses all the time learns nothing from it.

use std::time::Duration;

use super::codec::{Reader, Writer};
use super::frame::Record;

/// What is believed of the level of one logarithm.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Level {
    /// Its mean.
    pub mean: f64,
    /// Its uncertainty, as a variance, when it was last observed.
    pub variance: f64,
    /// The variance of samples around it.
    pub noise: f64,
    /// How long ago it was last observed.
    pub ago: Duration,
    /// Samples so far, those heard of included.
    pub samples: u32,
}

/// A share, and when it was last moved.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Share {
    /// In [0, 1].
    pub share: f64,
    /// How long ago.
    pub ago: Duration,
}

/// What is believed of one endpoint.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Knowledge {
    /// Attempts whose speed was observed, those heard of included.
    pub samples: u32,
    /// Logarithm of the seconds to the first token of an empty prompt.
    pub first: Level,
    /// Logarithm of the seconds per output token.
    pub token: Level,
    /// Growth of the time to the first token per thousand prompt tokens.
    pub slope: f64,
    /// Its uncertainty, as a variance.
    pub slope_variance: f64,
    /// Attempts that fail before their first content.
    pub failing: Share,
    /// Streams that break.
    pub breaking: Share,
    /// Logarithm of the seconds to the first token that it reaches at best; NaN is unknown.
    pub potential: f64,
    /// Tokens per piece of a stream; 0 is unknown.
    pub piece_tokens: f64,
    /// Share of prompt tokens that come from its cache.
    pub cached: f64,
    /// How long ago an attempt last went out.
    pub sent_ago: Duration,
    /// Explorations in a row that changed nothing.
    pub explored: u32,
}

impl Record for Knowledge {
    fn write(&self, to: &mut Writer) {
        to.number(self.samples.into());
        for level in [&self.first, &self.token] {
            to.level(level.mean);
            to.variance(level.variance);
            to.variance(level.noise);
            to.age(level.ago);
            to.number(level.samples.into());
        }
        // At most 5, and a part in a thousand of it is enough.
        to.share(self.slope / 5.0);
        to.variance(self.slope_variance);
        for share in [&self.failing, &self.breaking] {
            to.share(share.share);
            to.age(share.ago);
        }
        to.level(self.potential);
        // In [0.2, 100] where it is known, as a logarithm; unknown is NaN.
        to.level(if self.piece_tokens > 0.0 { self.piece_tokens.ln() } else { f64::NAN });
        to.share(self.cached);
        to.age(self.sent_ago);
        to.number(self.explored.into());
    }

    fn read(from: &mut Reader<'_>) -> Option<Self> {
        let level = |from: &mut Reader<'_>| {
            Some(Level {
                mean: from.level().filter(|level| !level.is_nan())?,
                variance: from.variance()?,
                noise: from.variance()?,
                ago: from.age()?,
                samples: from.small()?,
            })
        };
        let share = |from: &mut Reader<'_>| Some(Share { share: from.share()?, ago: from.age()? });
        Some(Self {
            samples: from.small()?,
            first: level(from)?,
            token: level(from)?,
            slope: from.share()? * 5.0,
            slope_variance: from.variance()?,
            failing: share(from)?,
            breaking: share(from)?,
            potential: from.level()?,
            piece_tokens: match from.level()? {
                unknown if unknown.is_nan() => 0.0,
                known => known.exp().clamp(0.2, 100.0),
            },
            cached: from.share()?,
            sent_ago: from.age()?,
            explored: from.small()?,
        })
    }
}
