use super::*;
use crate::domain::alias::{LatencyOptions, MaxPrice, PriceOptions, ThroughputMetric, UsageOptions};
use crate::domain::failure::FailureKind;
use crate::domain::feature::{Feature, FeatureSet};
use crate::domain::ids::ModelIdx;
use crate::domain::money::{PicoUsd, Prices, Rates};
use crate::health::{HealthReading, SLOW_START, State};
use crate::routing::tests_support::{Case, fleet, measured, order, unmeasured};
use crate::stats::Usage;

const READY: HealthReading = HealthReading { state: State::Closed { since: None }, blocked_until: UnixMillis(0) };
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

/// A case under a scoring, each endpoint measured at these seconds to the first token and
/// per output token.
fn scored(scoring: Scoring, speeds: &[(f64, f64)]) -> (Case, Snapshot) {
    let mut case = fleet(&vec![None; speeds.len()]);
    case.alias.strategy = Strategy::Scored(scoring);
    for target in &mut case.alias.targets {
        target.rank = 0;
    }
    let mut snapshot = case.snapshot();
    for (state, (first, token)) in snapshot.endpoints.iter_mut().zip(speeds) {
        state.reading = measured(*first, *token);
    }
    (case, snapshot)
}

fn latency() -> Scoring {
    Scoring::LowestLatency(LatencyOptions::default())
}

#[test]
fn latency_weighs_the_first_token_and_the_expected_length() {
    let (case, mut snapshot) = scored(latency(), &[(0.2, 0.02), (1.0, 0.005)]);
    snapshot.alias.expected_output = 10.0;
    assert_eq!(order(&case.rank_with(&snapshot, 1)), [0, 1]);
    snapshot.alias.expected_output = 1000.0;
    assert_eq!(order(&case.rank_with(&snapshot, 1)), [1, 0]);
}

#[test]
fn latency_of_long_prompts_follows_the_slope() {
    let (mut case, mut snapshot) = scored(latency(), &[(0.2, 0.01), (0.4, 0.01)]);
    snapshot.endpoints[0].reading.slope = 1.0;
    assert_eq!(order(&case.rank_with(&snapshot, 1)), [0, 1]);
    case.facts.prompt_tokens = 8000;
    assert_eq!(order(&case.rank_with(&snapshot, 1)), [1, 0]);
}

#[test]
fn a_queue_is_charged_and_a_target_without_one_is_not() {
    let (case, mut snapshot) = scored(latency(), &[(0.2, 0.01), (0.5, 0.01)]);
    let fast = &mut snapshot.endpoints[0].reading;
    (fast.window, fast.in_flight, fast.holding_s) = (4.0, 8, 3.0);
    assert_eq!(order(&case.rank_with(&snapshot, 1)), [0, 1]);
    snapshot.endpoints[0].reading.queued = true;
    assert_eq!(order(&case.rank_with(&snapshot, 1)), [1, 0]);
}

#[test]
fn requests_that_wait_far_too_long_count_before_they_end() {
    let (case, mut snapshot) = scored(latency(), &[(0.2, 0.01), (0.8, 0.01)]);
    let wait = crate::stats::Wait { since: UnixMillis(Case::NOW.0 - 4000), predicted_s: 0.2 };
    snapshot.endpoints[0].reading.waits = [wait; 2];
    assert_eq!(order(&case.rank_with(&snapshot, 1)), [1, 0]);
}

#[test]
fn near_ties_go_to_the_less_busy_and_then_to_anybody() {
    let (case, mut snapshot) = scored(latency(), &[(0.2, 0.01), (0.2, 0.010_01)]);
    let firsts = (0..200).filter(|seed| order(&case.rank_with(&snapshot, *seed))[0] == 0).count();
    assert!((60..140).contains(&firsts), "{firsts}");
    snapshot.endpoints[0].reading.in_flight = 3;
    assert!((0..50).all(|seed| order(&case.rank_with(&snapshot, seed))[0] == 1));
}

#[test]
fn the_never_measured_gets_a_few_requests_and_no_more() {
    let (case, mut snapshot) = scored(latency(), &[(0.2, 0.01), (0.3, 0.01)]);
    snapshot.endpoints[1].reading = unmeasured();
    let plan = case.rank_with(&snapshot, 1);
    assert_eq!((order(&plan), plan.candidates[0].purpose), (vec![1, 0], Purpose::Cold));
    snapshot.endpoints[1].reading.in_flight = 2;
    assert_eq!(case.rank_with(&snapshot, 1).candidates[0].purpose, Purpose::Usual);
    assert_eq!(order(&case.rank_with(&snapshot, 1))[0], 0);
}

#[test]
fn where_nothing_is_measured_the_least_busy_comes_first() {
    let (case, mut snapshot) = scored(latency(), &[(0.2, 0.01); 3]);
    for (state, busy) in snapshot.endpoints.iter_mut().zip([3, 1, 2]) {
        state.reading = unmeasured();
        state.reading.in_flight = busy;
    }
    let plan = case.rank_with(&snapshot, 1);
    assert_eq!((plan.candidates[0].endpoint, plan.candidates[0].purpose), (EndpointIdx(1), Purpose::Usual));
}

#[test]
fn who_looks_worse_is_looked_at_again_when_it_is_due_and_can_be_paid() {
    let (mut case, mut snapshot) = scored(latency(), &[(0.2, 0.01), (0.6, 0.02)]);
    let slow = &mut snapshot.endpoints[1].reading;
    slow.sent_at = UnixMillis(Case::NOW.0 - 30_000);
    // It was faster once.
    slow.potential = 0.02f64.ln();
    (slow.first_at, slow.token_at) = (slow.sent_at, slow.sent_at);
    slow.token_s = 0.011;
    snapshot.alias.explore = 2.0;
    let plan = case.rank_with(&snapshot, 1);
    assert_eq!((order(&plan), plan.candidates[0].purpose), (vec![1, 0], Purpose::Explore));
    assert!(plan.excess > 0.0 && plan.promising);
    snapshot.alias.explore = 0.0;
    assert_eq!(order(&case.rank_with(&snapshot, 1)), [0, 1]);
    snapshot.alias.explore = 2.0;
    snapshot.endpoints[1].reading.sent_at = Case::NOW;
    assert_eq!(order(&case.rank_with(&snapshot, 1)), [0, 1]);
    snapshot.endpoints[1].reading.sent_at = UnixMillis(0);
    case.alias.adaptivity.explore = 0.0;
    assert_eq!(order(&case.rank_with(&snapshot, 1)), [0, 1]);
}

#[test]
fn throughput_takes_the_least_utilised_and_the_fastest_stream_if_asked() {
    let (mut case, mut snapshot) =
        scored(Scoring::HighestThroughput(ThroughputMetric::Requests), &[(0.2, 0.01), (0.2, 0.02)]);
    for (state, (size, busy)) in snapshot.endpoints.iter_mut().zip([(4.0, 3), (40.0, 5)]) {
        let reading = &mut state.reading;
        (reading.window, reading.in_flight, reading.queued, reading.holding_s) = (size, busy, true, 2.0);
        reading.peak = 0.0;
    }
    assert_eq!(order(&case.rank_with(&snapshot, 1)), [1, 0]);
    case.alias.strategy = Strategy::Scored(Scoring::HighestThroughput(ThroughputMetric::TokensPerSecond));
    assert_eq!(order(&case.rank_with(&snapshot, 1)), [0, 1]);
}

#[test]
fn usage_takes_the_least_used_against_its_weight_or_its_limits() {
    let (mut case, mut snapshot) = scored(Scoring::LowestUsage(UsageOptions::default()), &[(0.2, 0.01); 2]);
    for (state, tokens) in snapshot.endpoints.iter_mut().zip([300, 200]) {
        state.reading.usage = Usage { requests: 1, tokens, cost: 0 };
    }
    assert_eq!(order(&case.rank_with(&snapshot, 1)), [1, 0]);
    case.alias.targets[0].weight = 2.0;
    assert_eq!(order(&case.rank_with(&snapshot, 1)), [0, 1]);
    // One limit alone is of another unit than the other's tokens.
    snapshot.endpoints[0].reading.limit_used = 0.9;
    assert_eq!(order(&case.rank_with(&snapshot, 1)), [0, 1]);
    snapshot.endpoints[1].reading.limit_used = 0.1;
    assert_eq!(order(&case.rank_with(&snapshot, 1)), [1, 0]);
}

fn priced(case: &mut Case, usd: &[Option<f64>]) {
    for (endpoint, usd) in case.catalog.endpoints.iter_mut().zip(usd) {
        endpoint.prices = usd.and_then(PicoUsd::per_token_from_usd_per_mtok).map(|price| {
            let base = Rates { input: price, output: price, cached_input: price, cache_write: price };
            Prices { base, tiers: Vec::new() }
        });
    }
}

#[test]
fn an_unknown_price_comes_last_and_zero_is_a_price() {
    let scoring = |strict| Scoring::LowestPrice(PriceOptions { strict, max_latency: None });
    let (mut case, snapshot) = scored(scoring(false), &[(0.2, 0.01); 4]);
    case.facts.prompt_tokens = 1000;
    priced(&mut case, &[None, Some(2.0), Some(0.0), Some(1.0)]);
    assert_eq!(order(&case.rank_with(&snapshot, 1)), [2, 3, 1, 0]);
    case.alias.strategy = Strategy::Scored(scoring(true));
    let plan = case.rank_with(&snapshot, 1);
    assert_eq!((order(&plan), &plan.skipped[0].reason), (vec![2, 3, 1], &SkipReason::NoPrice));
}

#[test]
fn the_cheap_that_are_too_slow_come_after_those_that_are_not() {
    let max_latency = Some(std::time::Duration::from_secs(2));
    let scoring = Scoring::LowestPrice(PriceOptions { strict: false, max_latency });
    let (mut case, mut snapshot) = scored(scoring, &[(5.0, 0.001), (0.2, 0.001)]);
    snapshot.alias.expected_output = 100.0;
    case.facts.prompt_tokens = 1000;
    priced(&mut case, &[Some(1.0), Some(9.0)]);
    assert_eq!(order(&case.rank_with(&snapshot, 1)), [1, 0]);
}

#[test]
fn what_costs_more_than_the_alias_accepts_is_left_out() {
    let mut case = fleet(&[None; 3]);
    priced(&mut case, &[Some(2.0), Some(1.0), None]);
    case.alias.max_price = Some(MaxPrice { input: PicoUsd::per_token_from_usd_per_mtok(1.5), output: None });
    let plan = case.rank(&[], 1);
    let reasons: Vec<_> = plan.skipped.iter().map(|skipped| skipped.reason.clone()).collect();
    assert_eq!((order(&plan), reasons), (vec![1], vec![SkipReason::TooDear, SkipReason::NoPrice]));
}

#[test]
fn who_fails_far_more_than_its_peers_stands_behind_and_nobody_is_left_out() {
    let case = fleet(&[None; 3]);
    let mut snapshot = case.snapshot();
    snapshot.endpoints[0].reading.failing = 0.45;
    snapshot.endpoints[0].reading.failing_at = Case::NOW;
    snapshot.endpoints[0].reading.sent_at = Case::NOW;
    assert_eq!(order(&case.rank_with(&snapshot, 1)), [1, 2, 0]);
    for state in &mut snapshot.endpoints {
        state.reading.failing = 0.45;
        state.reading.failing_at = Case::NOW;
    }
    assert_eq!(order(&case.rank_with(&snapshot, 1)), [0, 1, 2]);
}

#[test]
fn a_brown_out_of_the_first_rank_is_found_by_its_latency() {
    let case = fleet(&[None; 2]);
    let mut snapshot = case.snapshot();
    for (state, first) in snapshot.endpoints.iter_mut().zip([20.0, 0.4]) {
        state.reading = measured(first, 0.001);
    }
    // Slow by nature is no brown-out: the person wanted it first.
    assert_eq!(order(&case.rank_with(&snapshot, 1)), [0, 1]);
    snapshot.endpoints[0].reading.potential = 0.3f64.ln();
    let plan = case.rank_with(&snapshot, 1);
    assert_eq!(order(&plan), [1, 0]);
    assert!(matches!(plan.candidates[1].why, Why::Slow { .. }));
}

#[test]
fn a_conversation_stays_at_home_if_home_is_nearly_as_good() {
    let (mut case, mut snapshot) = scored(latency(), &[(0.3, 0.01), (0.35, 0.01)]);
    case.facts.prompt_tokens = 8000;
    snapshot.alias.expected_output = 10.0;
    for state in &mut snapshot.endpoints {
        state.reading.slope = 0.2;
    }
    assert_eq!(order(&case.rank_with(&snapshot, 1)), [0, 1]);
    snapshot.home = Some(EndpointIdx(1));
    assert_eq!(order(&case.rank_with(&snapshot, 1)), [1, 0]);
    snapshot.endpoints[1].reading.first_s = 3.5;
    assert_eq!(order(&case.rank_with(&snapshot, 1)), [0, 1]);
}

#[test]
fn sticky_shares_are_exact_and_a_change_moves_only_who_must_move() {
    let mut case = fleet(&[None; 3]);
    case.alias.strategy = Strategy::RandomShuffle { sticky_by: Some(Identity::User) };
    let mut arms = |weights: [f64; 3]| -> Vec<usize> {
        for (target, weight) in case.alias.targets.iter_mut().zip(weights) {
            target.weight = weight;
        }
        let arm = |user: u64| {
            case.facts.identity = Some(user.wrapping_mul(0x2545_f491_4f6c_dd1d));
            let first = |seed| order(&case.rank(&[], seed))[0];
            assert_eq!(first(1), first(2));
            first(1)
        };
        (0..5000).map(arm).collect()
    };
    let (before, after) = (arms([50.0, 30.0, 20.0]), arms([50.0, 60.0, 20.0]));
    let share = |arms: &[usize], arm| arms.iter().filter(|a| **a == arm).count() as f64 / 5000.0;
    assert!((share(&before, 0) - 0.5).abs() < 0.03 && (share(&after, 1) - 60.0 / 130.0).abs() < 0.03);
    for (was, is) in before.iter().zip(&after) {
        assert!(was == is || *is == 1, "only towards the arm that grew");
    }
}

#[test]
fn where_another_stands_by_a_late_attempt_is_left_or_doubled() {
    let (mut case, mut snapshot) = scored(latency(), &[(0.2, 0.01), (0.21, 0.01)]);
    case.facts.stream = true;
    snapshot.alias.hedge = true;
    let plan = case.rank_with(&snapshot, 1);
    let after = plan.candidates[0].give_up_s.unwrap();
    assert!((1.0..3.0).contains(&after), "{after}");
    assert_eq!((plan.candidates[0].hedge_s, plan.candidates[1].give_up_s), (None, None));
    case.alias.adaptivity.hedge = 0.04;
    assert!(case.rank_with(&snapshot, 1).candidates[0].hedge_s.unwrap() < 0.5);
    snapshot.endpoints[1].reading.first_s = 0.9;
    assert_eq!(case.rank_with(&snapshot, 1).candidates[0].hedge_s, None);
    case.alias.adaptivity.give_up_early = false;
    assert_eq!(case.rank_with(&snapshot, 1).candidates[0].give_up_s, None);
}
