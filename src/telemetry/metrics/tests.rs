use std::time::Duration;

use super::*;
use crate::domain::client_protocol::ClientProtocol;
use crate::domain::failure::FailureKind;
use crate::domain::ids::EndpointId;
use crate::domain::money::PicoUsd;
use crate::domain::outcome::RequestOutcome;
use crate::domain::purpose::Purpose;
use crate::domain::usage::TokenUsage;

fn ended(outcome: RequestOutcome) -> Ended {
    Ended {
        strategy: "priority",
        protocol: ClientProtocol::Messages,
        outcome,
        took: Duration::from_millis(2500),
        first_token: Some(Duration::from_millis(500)),
        streamed_tokens: (outcome == RequestOutcome::Ok).then_some(5),
    }
}

#[test]
fn a_request_is_counted_by_all_that_is_known_of_it() {
    let metrics = Arc::new(Metrics::default());
    let alias = metrics.alias("chat");
    alias.ended(&ended(RequestOutcome::Ok));
    alias.ended(&ended(RequestOutcome::Ok));
    alias.ended(&ended(RequestOutcome::BrokenStream));
    metrics.alias("").ended(&Ended { strategy: "", ..ended(RequestOutcome::Denied) });
    let text = metrics.render(Page::default());
    for line in [
        r#"pointsman_requests_total{alias="chat",strategy="priority",protocol="messages",outcome="ok"} 2"#,
        r#"pointsman_requests_total{alias="chat",strategy="priority",protocol="messages",outcome="broken_stream"} 1"#,
        r#"pointsman_requests_total{protocol="messages",outcome="denied"} 1"#,
        r#"gen_ai_server_request_duration_seconds_count{gen_ai_request_model="chat",gen_ai_operation_name="chat",strategy="priority",protocol="messages"} 2"#,
        r#"gen_ai_server_request_duration_seconds_count{gen_ai_request_model="chat",gen_ai_operation_name="chat",strategy="priority",protocol="messages",error_type="broken_stream"} 1"#,
        r#"gen_ai_server_time_to_first_token_seconds_bucket{gen_ai_request_model="chat",gen_ai_operation_name="chat",le="0.5"} 3"#,
        // Two seconds for the four tokens after the first.
        r#"gen_ai_server_time_per_output_token_seconds_sum{gen_ai_request_model="chat",gen_ai_operation_name="chat"} 1"#,
        "# TYPE pointsman_requests_total counter",
        "# TYPE gen_ai_server_request_duration_seconds histogram",
        "# HELP pointsman_requests_total Requests that have ended, as their callers saw it.",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}

#[test]
fn an_attempt_is_counted_with_its_tokens_and_its_cost() {
    let metrics = Arc::new(Metrics::default());
    let target = EndpointId::new("m@p");
    let usage = TokenUsage { input: 100, cached_input: 40, output: 7, ..TokenUsage::default() };
    let pair = metrics.alias("chat").pair(&target);
    pair.attempted(Purpose::Explore, None, &usage, PicoUsd(1_500_000_000_000));
    pair.attempted(Purpose::Usual, Some(FailureKind::Timeout), &TokenUsage::default(), PicoUsd(0));
    // Another handle of the same names goes on where the first is.
    metrics.alias("chat").pair(&target).attempted(Purpose::Explore, None, &usage, PicoUsd(250_000_000_000));
    let text = metrics.render(Page::default());
    for line in [
        r#"pointsman_attempts_total{alias="chat",target="m@p",purpose="explore",outcome="ok"} 2"#,
        r#"pointsman_attempts_total{alias="chat",target="m@p",purpose="usual",outcome="timeout"} 1"#,
        r#"pointsman_tokens_total{alias="chat",target="m@p",type="cached_input"} 80"#,
        r#"pointsman_cost_usd_total{alias="chat",target="m@p"} 1.75"#,
        "# TYPE pointsman_cost_usd_total counter",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    assert!(!text.contains("type=\"reasoning\""), "what never happened has no series");
}

#[test]
fn beyond_the_bound_new_names_are_counted_together() {
    let metrics = Arc::new(Metrics::default());
    for i in 0..MOST_NAMES + 50 {
        metrics.alias(&format!("a{i}")).ended(&ended(RequestOutcome::Ok));
    }
    metrics.alias("a0").ended(&ended(RequestOutcome::Ok));
    assert_eq!(metrics.series(), MOST_NAMES);
    let text = metrics.render(Page::default());
    let counted = |alias: &str| {
        let start = format!("pointsman_requests_total{{alias=\"{alias}\",");
        text.lines().find(|line| line.starts_with(&start)).and_then(|line| line.rsplit(' ').next()).map(str::to_owned)
    };
    assert_eq!(counted("a0").as_deref(), Some("2"), "whoever has series keeps them");
    assert_eq!(counted(OTHER).as_deref(), Some("50"));
    assert_eq!(counted(&format!("a{MOST_NAMES}")), None);
}

#[test]
fn values_are_escaped() {
    let metrics = Arc::new(Metrics::default());
    let alias = metrics.alias("a\"b\\c\nd");
    alias.pair(&EndpointId::new("m@p")).attempted(Purpose::Usual, None, &TokenUsage::default(), PicoUsd(1));
    let text = metrics.render(Page::default());
    let escaped: Vec<&str> = text.lines().filter(|line| line.contains(r#"alias="a\"b\\c\nd""#)).collect();
    assert_eq!(escaped.len(), 2, "{text}");
}
