use super::*;
use crate::domain::failure::FailureKind;
use crate::domain::feature::{Feature, FeatureSet};
use crate::domain::ids::ModelIdx;
use crate::health::{HealthReading, SLOW_START, State};
use crate::routing::tests_support::{Case, fleet, order};

mod scored;

const READY: HealthReading =
    HealthReading { state: State::Closed { since: None }, blocked_until: UnixMillis(0), probe_from: UnixMillis(0) };
const CAUSE: FailureKind = FailureKind::Connect;

fn in_state(state: State) -> HealthReading {
    HealthReading { state, ..READY }
}

fn open_for(ms: u64) -> HealthReading {
    in_state(State::Open { until: UnixMillis(Case::NOW.0 + ms), round: 0, cause: CAUSE })
}

fn blocked_for(ms: u64) -> HealthReading {
    HealthReading { blocked_until: UnixMillis(Case::NOW.0 + ms), ..READY }
}

/// Out until just now: a probe is due.
fn due() -> HealthReading {
    open_for(0)
}

fn probing() -> HealthReading {
    in_state(State::HalfOpen { round: 0, cause: CAUSE })
}

/// Returned so long ago that this is its share.
fn returning(share: f64) -> HealthReading {
    in_state(State::Closed { since: Some(Case::NOW - SLOW_START.mul_f64(share)) })
}

/// How often each endpoint comes first in 10,000 draws.
fn firsts(case: &Case, standings: &[HealthReading]) -> Vec<f64> {
    let mut counts = vec![0.0; case.catalog.endpoints.len()];
    for seed in 0..10_000 {
        if let Some(first) = order(&case.rank(standings, seed)).first() {
            counts[*first] += 1.0 / 10_000.0;
        }
    }
    counts
}

fn near(got: &[f64], expected: &[f64]) -> bool {
    got.iter().zip(expected).all(|(g, e)| (g - e).abs() < 0.02)
}

#[test]
fn priority_follows_the_ranks_always() {
    let case = fleet(&[None; 4]);
    for seed in 0..50 {
        assert_eq!(order(&case.rank(&[], seed)), [0, 1, 2, 3]);
    }
}

#[test]
fn equal_ranks_share_by_weight() {
    let mut case = fleet(&[None; 3]);
    for (target, (rank, weight)) in case.alias.targets.iter_mut().zip([(1, 3.0), (1, 1.0), (2, 100.0)]) {
        (target.rank, target.weight) = (rank, weight);
    }
    assert!(near(&firsts(&case, &[]), &[0.75, 0.25, 0.0]));
}

#[test]
fn shuffle_picks_first_by_weight_and_the_rest_without_replacement() {
    let mut case = fleet(&[None; 3]);
    case.alias.strategy = Strategy::RandomShuffle { sticky_by: None };
    for (target, weight) in case.alias.targets.iter_mut().zip([50.0, 30.0, 20.0]) {
        target.weight = weight;
    }
    assert!(near(&firsts(&case, &[]), &[0.5, 0.3, 0.2]));
    // Of the draws that begin with 0, the second is 1 in 30/(30+20) of them.
    let plans: Vec<_> = (0..10_000).map(|seed| order(&case.rank(&[], seed))).collect();
    let begun = plans.iter().filter(|order| order[0] == 0).count() as f64;
    let then = plans.iter().filter(|order| order[..2] == [0, 1]).count() as f64;
    assert!((then / begun - 0.6).abs() < 0.03);
    assert!(plans.iter().all(|order| order.len() == 3));
}

#[test]
fn the_shares_of_those_out_go_to_the_others_in_proportion() {
    let mut case = fleet(&[None; 3]);
    case.alias.strategy = Strategy::RandomShuffle { sticky_by: None };
    for (target, weight) in case.alias.targets.iter_mut().zip([50.0, 30.0, 20.0]) {
        target.weight = weight;
    }
    assert!(near(&firsts(&case, &[open_for(500)]), &[0.0, 0.6, 0.4]));
}

#[test]
fn weight_zero_is_never_chosen_not_even_as_fallback() {
    let mut case = fleet(&[None; 2]);
    case.alias.strategy = Strategy::RandomShuffle { sticky_by: None };
    case.alias.targets[0].weight = 0.0;
    let plan = case.rank(&[READY, open_for(10)], 1);
    assert!(plan.candidates.is_empty());
    assert_eq!(plan.skipped[0].reason, SkipReason::Drained);
    assert_eq!(plan.soonest.unwrap().candidate.endpoint, EndpointIdx(1));
}

#[test]
fn a_last_resort_comes_last_whatever_its_weight() {
    let mut case = fleet(&[None; 3]);
    case.alias.targets[0].last_resort = true;
    case.alias.targets[0].weight = 0.0;
    assert_eq!(order(&case.rank(&[], 1)), [1, 2, 0]);
    assert_eq!(order(&case.rank(&[READY, open_for(1), open_for(1)], 1)), [0]);
}

#[test]
fn endpoints_of_a_target_stay_together_ordered_ones_first() {
    let mut case = fleet(&[None; 4]);
    case.alias.targets.truncate(2);
    case.alias.targets[0].endpoints = vec![EndpointIdx(2), EndpointIdx(0), EndpointIdx(3)];
    case.alias.targets[0].ordered = 1;
    let mut seconds = [0, 0];
    for seed in 0..200 {
        let order = order(&case.rank(&[], seed));
        assert_eq!((order[0], order[3]), (2, 1));
        seconds[usize::from(order[1] == 3)] += 1;
    }
    assert!(seconds[0] > 50 && seconds[1] > 50, "the rest are equals: {seconds:?}");
}

#[test]
fn a_returning_target_takes_its_share_and_stays_as_fallback() {
    let case = fleet(&[None; 2]);
    let states = [returning(0.3)];
    assert!(near(&firsts(&case, &states), &[0.3, 0.7]));
    assert!((0..100).all(|seed| case.rank(&states, seed).candidates.len() == 2));
}

#[test]
fn a_due_probe_keeps_its_place_and_says_so() {
    let case = fleet(&[None; 2]);
    let plan = case.rank(&[due()], 1);
    assert_eq!((order(&plan), plan.candidates[0].why), (vec![0, 1], Why::Probe));
    assert_eq!(order(&case.rank(&[probing()], 1)), [1]);
}

#[test]
fn all_out_for_a_while_names_the_one_that_is_back_first() {
    let case = fleet(&[None; 3]);
    let soonest = case.rank(&[open_for(900), blocked_for(300), open_for(400)], 1).soonest.unwrap();
    assert_eq!(
        (soonest.candidate.endpoint, soonest.at),
        (EndpointIdx(1), Case::NOW + std::time::Duration::from_millis(300))
    );
    // A breaker is a guess: no use in waiting for its end.
    let soonest = case.rank(&[open_for(200), blocked_for(300), open_for(400)], 1).soonest.unwrap();
    assert_eq!((soonest.candidate.endpoint, soonest.at), (EndpointIdx(0), Case::NOW));
}

#[test]
fn what_lacks_a_feature_is_left_out_for_good() {
    let mut case = fleet(&[Some(100), Some(10_000), None]);
    let images = FeatureSet::of(&[Feature::Images]);
    case.catalog.models[1].lacks = images;
    case.facts.needs = images;
    case.facts.prompt_tokens = 600;
    case.facts.max_output_tokens = Some(50);
    let plan = case.rank(&[], 1);
    assert_eq!(order(&plan), [2]);
    let reasons: Vec<_> = plan.skipped.into_iter().map(|skipped| skipped.reason).collect();
    assert_eq!(reasons, [SkipReason::ContextWindow { needed: 450, window: 100 }, SkipReason::ModelLacks(images)]);
}

#[test]
fn an_answer_as_long_as_numbers_go_fits_no_window() {
    let mut case = fleet(&[Some(100), None]);
    case.facts.prompt_tokens = 600;
    case.facts.max_output_tokens = Some(u64::MAX);
    let plan = case.rank(&[], 1);
    assert_eq!(order(&plan), [1]);
    assert_eq!(plan.skipped[0].reason, SkipReason::ContextWindow { needed: u64::MAX, window: 100 });
}

#[test]
fn what_a_protocol_cannot_say_is_left_out_unless_the_alias_drops_it() {
    let mut case = fleet(&[None]);
    case.facts.fit.openai = Some(FeatureSet::of(&[Feature::JsonObject]));
    assert!(case.rank(&[], 1).candidates.is_empty());
    case.alias.drop_unsupported = true;
    assert_eq!(order(&case.rank(&[], 1)), [0]);
    case.facts.fit.openai = None;
    assert_eq!(case.rank(&[], 1).skipped[0].reason, SkipReason::NoSuchOperation);
}

#[test]
fn callers_narrow_and_order_by_provider_or_endpoint() {
    let mut case = fleet(&[None; 4]);
    case.narrowing.ignore = vec!["p0".into()];
    case.narrowing.order = vec!["m3@p3".into(), "p2".into()];
    assert_eq!(order(&case.rank(&[], 1)), [3, 2, 1]);
    case.narrowing.only = vec!["p0".into(), "p1".into()];
    assert_eq!(order(&case.rank(&[], 1)), [1]);
}

#[test]
fn a_full_provider_is_passed_over_and_not_forced() {
    let case = fleet(&[None; 2]);
    let mut snapshot = case.snapshot();
    snapshot.endpoints[0].full = true;
    assert_eq!(order(&case.rank_with(&snapshot, 1)), [1]);
    snapshot.endpoints[1].full = true;
    assert_eq!(case.rank_with(&snapshot, 1).soonest, None);
}

#[test]
fn the_same_seed_gives_the_same_plan() {
    let mut case = fleet(&[None; 8]);
    case.alias.strategy = Strategy::RandomShuffle { sticky_by: None };
    assert_eq!(case.rank(&[], 7), case.rank(&[], 7));
    assert_ne!(case.rank(&[], 7), case.rank(&[], 8));
    assert_eq!(case.catalog.endpoints[0].model, ModelIdx(0));
}
