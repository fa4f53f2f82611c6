use super::*;

#[test]
fn quantiles_of_the_normal_distribution_are_near() {
    for (q, z) in [(0.5, 0.0), (0.9, 1.2816), (0.99, 2.3263), (0.1, -1.2816)] {
        assert!((normal_quantile(q) - z).abs() < 1e-3, "{q}");
    }
}

#[test]
fn failures_cost_time_and_broken_streams_cost_more() {
    let reading = |failing, breaking| Reading { failing, breaking, failing_at: UnixMillis(5), ..Reading::default() };
    let cost = |reading: &Reading| with_failures(1.0, reading, UnixMillis(5));
    assert_eq!(cost(&reading(0.0, 0.0)), 1.0);
    assert_eq!(cost(&reading(0.5, 0.0)), 1.0 + 0.75 + 1.0);
    let fast = with_failures(0.1, &reading(0.5, 0.0), UnixMillis(5));
    assert!((fast - (0.1 + 0.075 + 0.2)).abs() < 1e-12);
    assert_eq!(cost(&reading(0.0, 0.1)), 3.0);
}
