//! How often is each of several equals drawn? By weights, or else by limits, as LiteLLM does.

use super::strategy::Strategy;

/// One that may be drawn.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Share {
    /// The position of the deployment.
    pub(super) member: usize,
    /// `None` where all have the same.
    pub(super) weight: Option<f64>,
}

/// The largest weight that is accepted.
pub(super) const LARGEST: f64 = 1e6;
/// The largest where weights have to be made smaller, so that the others stay readable.
const SCALED: f64 = 1000.0;

/// The members as equals with weights, and behind them those that have none where others do:
/// these are only drawn when nobody else is left.
pub(super) fn shares(
    members: Vec<usize>,
    strategy: &Strategy,
    given: impl Fn(usize) -> [Option<f64>; 3],
) -> Vec<Vec<Share>> {
    let equals = |members: Vec<usize>| members.into_iter().map(|member| Share { member, weight: None }).collect();
    if !strategy.draws() {
        return vec![equals(members)];
    }
    for measure in 0..3 {
        let weight = |member: usize| given(member)[measure].unwrap_or(0.0);
        if members.iter().any(|member| weight(*member) > 0.0) {
            let (drawn, rest): (Vec<usize>, Vec<usize>) = members.iter().partition(|member| weight(**member) > 0.0);
            let weights = readable(&drawn.iter().map(|member| weight(*member)).collect::<Vec<_>>());
            let drawn = drawn.into_iter().zip(weights).map(|(member, weight)| Share { member, weight }).collect();
            return if rest.is_empty() { vec![drawn] } else { vec![drawn, equals(rest)] };
        }
    }
    vec![equals(members)]
}

/// The same proportions in numbers that are accepted and as small as they can be.
fn readable(weights: &[f64]) -> Vec<Option<f64>> {
    let first = weights.first().copied().unwrap_or(1.0);
    if weights.iter().all(|weight| *weight == first) {
        return vec![None; weights.len()];
    }
    let largest = weights.iter().copied().fold(0.0, f64::max);
    // Below 2⁵³ whole numbers are exact, and so is the cast.
    let whole = weights.iter().all(|weight| weight.fract() == 0.0 && *weight < 9e15);
    let divisor =
        if whole { weights.iter().fold(0, |divisor, weight| gcd(divisor, *weight as u64)) as f64 } else { 1.0 };
    if largest / divisor <= LARGEST {
        return weights.iter().map(|weight| Some(weight / divisor)).collect();
    }
    let scaled = |weight: f64| (weight / largest * SCALED * 1000.0).round().max(1.0) / 1000.0;
    weights.iter().map(|weight| Some(scaled(*weight))).collect()
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(given: &[[Option<f64>; 3]]) -> Vec<Vec<(usize, Option<f64>)>> {
        let tiers = shares((0..given.len()).collect(), &Strategy::Shuffle, |member| given[member]);
        tiers.iter().map(|tier| tier.iter().map(|share| (share.member, share.weight)).collect()).collect()
    }

    #[test]
    fn weights_come_before_requests_and_these_before_tokens() {
        let all = [Some(1.0), Some(6.0), Some(3.0)];
        assert_eq!(drawn(&[all, [Some(9.0), Some(6.0), None]]), [[(0, Some(1.0)), (1, Some(9.0))]]);
        assert_eq!(drawn(&[[None, Some(6.0), None], [None, Some(1440.0), None]]), [[(0, Some(1.0)), (1, Some(240.0))]]);
        assert_eq!(drawn(&[[None, None, Some(2e6)], [None, None, Some(1e6)]]), [[(0, Some(2.0)), (1, Some(1.0))]]);
    }

    #[test]
    fn equals_need_no_weights() {
        assert_eq!(drawn(&[[Some(2.0), None, None]; 2]), [[(0, None), (1, None)]]);
        assert_eq!(drawn(&[[None; 3]; 2]), [[(0, None), (1, None)]]);
    }

    #[test]
    fn who_has_no_weight_where_others_do_stands_behind_them() {
        assert_eq!(
            drawn(&[[Some(1.0), None, None], [None; 3], [Some(3.0), None, None], [Some(0.0), None, None]]),
            [vec![(0, Some(1.0)), (2, Some(3.0))], vec![(1, None), (3, None)]]
        );
    }

    #[test]
    fn large_weights_are_made_smaller() {
        assert_eq!(readable(&[1e9, 5e8 + 1.0, 1.0]), [Some(1000.0), Some(500.0), Some(0.001)]);
        assert_eq!(readable(&[0.5, 1.5]), [Some(0.5), Some(1.5)]);
    }

    #[test]
    fn strategies_that_score_have_no_weights() {
        let scored = Strategy::Scored { name: "lowest-price", unit: None };
        assert_eq!(shares(vec![0, 1], &scored, |_| [Some(9.0); 3]).len(), 1);
    }
}
