//! How does a prediction become a probability? By a logistic curve, fitted to predictions of
//! which one knows what they should have been.

/// A curve.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Rise {
    slope: f64,
    offset: f64,
}

impl Default for Rise {
    /// Where there is nothing to fit: what schemes of ten examples a category came to on average.
    fn default() -> Self {
        Self { slope: SLOPE, offset: OFFSET }
    }
}

/// The usual slope, and the offset at a prediction of 0.
const SLOPE: f64 = 27.0;
const OFFSET: f64 = -4.5;
/// No curve is steeper: a few examples without a single error do not make certainty.
const STEEPEST: f64 = 60.0;
/// What keeps the slope from growing without end where nothing overlaps.
const PENALTY: f64 = 1e-3;

/// A prediction, and whether the prompt belongs to the category.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    pub(super) predicted: f64,
    pub(super) belongs: bool,
    pub(super) weight: f64,
}

impl Rise {
    /// The probability that goes with a prediction.
    pub(super) fn probability(self, predicted: f64) -> f64 {
        1.0 / (1.0 + (-(self.slope * predicted + self.offset)).exp())
    }

    /// The curve under which what is known is likeliest; the usual one where that has no answer.
    pub(super) fn fit(points: &[Point]) -> Self {
        let mut rise = Self::default();
        if points.is_empty() {
            return rise;
        }
        for _ in 0..30 {
            // Newton's step on the log-likelihood.
            let (mut by_slope, mut by_offset) = (PENALTY * rise.slope, 0.0);
            let (mut aa, mut ab, mut bb) = (PENALTY, 0.0, 1e-9);
            for Point { predicted, belongs, weight } in points {
                let probability = rise.probability(*predicted);
                let excess = weight * (probability - f64::from(u8::from(*belongs)));
                by_slope += excess * predicted;
                by_offset += excess;
                let bend = weight * probability * (1.0 - probability);
                aa += bend * predicted * predicted;
                ab += bend * predicted;
                bb += bend;
            }
            let determinant = aa * bb - ab * ab;
            let step = [(bb * by_slope - ab * by_offset) / determinant, (aa * by_offset - ab * by_slope) / determinant];
            if !step.iter().all(|number| number.is_finite()) {
                return Self::default();
            }
            // Long steps could jump over the answer.
            let shorter = (10.0 / step[0].abs().max(step[1].abs()).max(1e-9)).min(1.0);
            rise = Self { slope: rise.slope - shorter * step[0], offset: rise.offset - shorter * step[1] };
        }
        if !(rise.slope > 1.0 && rise.offset.is_finite()) {
            return Self::default();
        }
        let gentler = (STEEPEST / rise.slope).min(1.0);
        Self { slope: rise.slope * gentler, offset: rise.offset * gentler }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(predicted: f64, belongs: bool) -> Point {
        Point { predicted, belongs, weight: 1.0 }
    }

    #[test]
    fn a_curve_rises_where_kinds_part() {
        let points: Vec<Point> = (0..100).map(|at| point(f64::from(at) / 100.0, (at * 7) % 100 < at)).collect();
        let rise = Rise::fit(&points);
        assert!(rise.probability(0.2) < 0.35 && rise.probability(0.8) > 0.65, "{rise:?}");
        assert!((rise.probability(0.5) - 0.5).abs() < 0.1, "{rise:?}");
    }

    #[test]
    fn what_never_overlaps_is_still_not_certain() {
        let points: Vec<Point> = (0..20).map(|at| point(f64::from(at / 10), at >= 10)).collect();
        assert!(Rise::fit(&points).slope <= STEEPEST);
        let upside_down: Vec<Point> = (0..20).map(|at| point(f64::from(at / 10), at < 10)).collect();
        assert_eq!(Rise::fit(&upside_down), Rise::default());
        assert_eq!(Rise::fit(&[point(f64::NAN, true)]), Rise::default());
    }
}
