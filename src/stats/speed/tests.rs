use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;

fn at(ms: u64) -> UnixMillis {
    UnixMillis(1_000_000 + ms)
}

fn first(seconds: f64) -> Observation {
    Observation { seconds, prompt_kilotokens: Some(0.0), tokens: 0.0 }
}

/// A factor e^(sigma·z) with z standard normal (Box and Muller).
fn luck(sigma: f64, rng: &mut StdRng) -> f64 {
    let (u, v): (f64, f64) = (rng.random(), rng.random());
    (sigma * (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()).exp()
}

#[test]
fn the_first_sample_is_the_level() {
    for seconds in [0.01, 0.5, 20.0] {
        let mut speed = Speed::default();
        speed.observe(&first(seconds), at(0));
        assert!((speed.first.mean.exp() / seconds).ln().abs() < 0.15, "{seconds}: {}", speed.first.mean.exp());
    }
}

#[test]
fn it_settles_on_the_level_and_learns_the_noise() {
    let mut rng = StdRng::seed_from_u64(1);
    let mut speed = Speed::default();
    for i in 0..500 {
        speed.observe(&first(0.3 * luck(0.4, &mut rng)), at(i * 100));
    }
    assert!((speed.first.mean - 0.3f64.ln()).abs() < 0.15);
    assert!((0.08..0.24).contains(&speed.first.noise), "{}", speed.first.noise);
}

#[test]
fn one_outlier_is_luck_and_two_are_a_change() {
    let mut speed = Speed::default();
    for i in 0..50 {
        speed.observe(&first(0.3), at(i * 100));
    }
    speed.observe(&first(3.0), at(5000));
    assert!(speed.first.mean.exp() < 0.45, "{}", speed.first.mean.exp());
    speed.observe(&first(3.0), at(5100));
    assert!(speed.first.mean.exp() > 1.5, "{}", speed.first.mean.exp());
}

#[test]
fn after_a_silence_one_is_believed() {
    let mut speed = Speed::default();
    for i in 0..50 {
        speed.observe(&first(0.3), at(i * 100));
    }
    speed.observe(&first(3.0), at(65_000));
    assert!(speed.first.mean.exp() > 1.5, "{}", speed.first.mean.exp());
}

#[test]
fn uncertainty_grows_with_age_up_to_a_bound() {
    let mut speed = Speed::default();
    speed.observe(&first(0.3), at(0));
    let (soon, late) = (speed.first.variance_at(at(1000)), speed.first.variance_at(at(100_000)));
    assert!(late > soon + 0.19 && speed.first.variance_at(at(100_000_000)) == MAX_VARIANCE);
}

#[test]
fn the_slope_of_the_prompt_is_learned_from_a_mix() {
    let mut rng = StdRng::seed_from_u64(2);
    let mut speed = Speed::default();
    for i in 0..800 {
        let kilotokens = if i % 2 == 0 { 0.2 } else { 8.0 };
        let seconds = 0.2 * (1.0 + 0.5 * kilotokens) * luck(0.2, &mut rng);
        speed.observe(&Observation { seconds, prompt_kilotokens: Some(kilotokens), tokens: 0.0 }, at(i * 100));
    }
    let predicted = |k: f64| speed.first.mean.exp() * speed.growth(k);
    assert!((predicted(0.2) / 0.22).ln().abs() < 0.2, "{}", predicted(0.2));
    assert!((predicted(8.0) / 1.0).ln().abs() < 0.2, "{}", predicted(8.0));
}

#[test]
fn whole_answers_teach_both_parts() {
    let mut rng = StdRng::seed_from_u64(3);
    let mut speed = Speed::default();
    for i in 0..800 {
        let tokens: f64 = [10.0, 100.0, 1000.0][i as usize % 3];
        let seconds = (0.4 + tokens * 0.01) * luck(0.1, &mut rng);
        speed.observe(&Observation { seconds, prompt_kilotokens: Some(0.0), tokens }, at(i * 1000));
    }
    assert!((speed.token.mean.exp() / 0.01).ln().abs() < 0.25, "{}", speed.token.mean.exp());
    assert!((speed.first.mean.exp() / 0.4).ln().abs() < 0.35, "{}", speed.first.mean.exp());
}

/// As where a target with few slots gets more than it bears: no single wait is far from the
/// one before.
#[test]
fn a_queue_that_builds_up_is_followed_and_soon_forgotten() {
    let mut rng = StdRng::seed_from_u64(4);
    let mut speed = Speed::default();
    let mut see = |seconds: f64, now| {
        let seen = Observation { seconds, prompt_kilotokens: Some(0.0), tokens: 0.0 };
        speed.observe(&seen, at(now));
        speed.first.mean.exp()
    };
    for i in 0..60 {
        let waited = 0.008 * i.max(10) as f64 - 0.08;
        let level = see(0.05 * luck(0.1, &mut rng) + waited, i * 45);
        assert!(i < 30 || level > 0.6 * (0.05 + waited), "{i}: {level} of {}", 0.05 + waited);
    }
    for (i, below) in [(1, 0.45), (2, 0.2), (3, 0.1)] {
        let level = see(0.05, 2_700 + i * 3_000);
        assert!(level < below, "{i}: {level}");
    }
}

proptest! {
    #[test]
    fn it_stays_finite_whatever_comes(samples in proptest::collection::vec(
        (1e-6f64..1e6, proptest::option::of(0f64..2e3), 0f64..1e6, 0u64..1_000_000), 0..200)) {
        let mut speed = Speed::default();
        let mut now = 0;
        for (seconds, prompt_kilotokens, tokens, step) in samples {
            now += step;
            speed.observe(&Observation { seconds, prompt_kilotokens, tokens }, at(now));
            for tracker in [speed.first, speed.token] {
                prop_assert!(tracker.mean.is_finite() && tracker.mean.abs() < 40.0, "{tracker:?}");
                prop_assert!(tracker.variance.is_finite() && tracker.variance >= 0.0, "{tracker:?}");
                prop_assert!((0.01..=2.0).contains(&tracker.noise), "{tracker:?}");
            }
            prop_assert!((0.0..=5.0).contains(&speed.slope));
        }
    }
}
