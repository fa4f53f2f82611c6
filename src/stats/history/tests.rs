use proptest::prelude::*;

use super::*;

fn at(seconds: u64) -> UnixMillis {
    UnixMillis((1_000_000 + seconds) * 1000)
}

fn stream(first_ms: u64, total_ms: u64, output: u64) -> Sample {
    let (first, total) = (Duration::from_millis(first_ms), Duration::from_millis(total_ms));
    Sample {
        stream: true,
        first_token: Some(first),
        total,
        generation: Some(total.saturating_sub(first)),
        usage: TokenUsage { input: 10, output, ..TokenUsage::default() },
        cost: PicoUsd(7),
        ..Sample::default()
    }
}

#[test]
fn quantiles_are_within_one_part_in_a_hundred() {
    let mut history = History::default();
    for ms in 1..=1000 {
        history.record(&stream(ms, ms + 990, 100), at(ms / 10));
    }
    let q = |what, q| history.quantile(what, q, Duration::from_secs(900), at(100)).unwrap().as_secs_f64();
    assert!((q(Distribution::FirstToken, 0.5) / 0.5 - 1.0).abs() < 0.011);
    assert!((q(Distribution::FirstToken, 0.99) / 0.99 - 1.0).abs() < 0.011);
    assert!((q(Distribution::PerToken, 0.5) / 0.01 - 1.0).abs() < 0.011);
    assert_eq!(history.quantile(Distribution::AnswerTotal, 0.5, Duration::from_secs(900), at(100)), None);
}

#[test]
fn the_window_slides_and_the_start_stays() {
    let mut history = History::default();
    history.record(&stream(1, 2, 1), at(0));
    history.record(&stream(1, 2, 1), at(120));
    let sums = |window, now| history.sums(Duration::from_secs(window), at(now)).successes;
    assert_eq!([sums(900, 121), sums(30, 121), sums(30, 200)], [2, 1, 0]);
    assert_eq!(history.since_start().successes, 2);
}

#[test]
fn the_last_minute_is_a_minute() {
    let mut history = History::default();
    for second in 0..600 {
        history.record(&stream(1, 2, 1), at(second));
        let seen = history.sums(Duration::from_secs(60), at(second)).successes;
        assert!(seen >= second.min(55) && seen <= 65, "{seen} after {second} s at one a second");
    }
}

#[test]
fn failures_count_and_make_nobody_look_fast() {
    let mut history = History::default();
    let failed =
        Sample { failure: Some(FailureKind::RateLimited), total: Duration::from_millis(1), ..Sample::default() };
    history.record(&failed, at(0));
    let broken = Sample { failure: Some(FailureKind::BrokenStream), ..stream(5, 6, 3) };
    history.record(&broken, at(0));
    let all = Duration::from_secs(900);
    assert_eq!(history.sums(all, at(1)).failures[FailureKind::RateLimited as usize], 1);
    assert_eq!(history.quantile(Distribution::AnswerTotal, 0.5, all, at(1)), None);
    assert_eq!(history.quantile(Distribution::StreamTotal, 0.5, all, at(1)), None);
    assert!(history.quantile(Distribution::FirstToken, 0.5, all, at(1)).is_some());
}

proptest! {
    #[test]
    fn merged_slices_equal_one_and_memory_is_bounded(
        samples in proptest::collection::vec((1u64..400_000_000, 0u64..400_000_000, 0u64..5000, 0u64..300, any::<bool>()), 1..200),
    ) {
        let (mut all, mut one, mut other) = (History::default(), Slice::empty(at(0)), Slice::empty(at(0)));
        let mut whole = Open::new(at(0));
        let mut now = 0;
        for (first, more, output, step, left) in samples {
            now += step;
            let sample = stream(first, first + more, output);
            all.record(&sample, at(now));
            prop_assert!(all.memory_bytes() <= History::MOST_BYTES);
            prop_assert!(all.fine.len() <= FINE_SLICES && all.coarse.len() <= COARSE_SLICES + 1);
            whole.record(&sample);
            let mut part = Open::new(at(0));
            part.record(&sample);
            let part = part.close(at(0));
            if left { one.merge(&part) } else { other.merge(&part) }
        }
        let mut reversed = other.clone();
        reversed.merge(&one);
        one.merge(&other);
        prop_assert_eq!(&one, &reversed);
        prop_assert_eq!(one, whole.close(at(0)));
    }
}
