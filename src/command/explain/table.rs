//! How does a person read a decision? A few lines of what was asked, then a line for each
//! candidate in its order, and one for each that is left out.

use std::fmt::Write as _;

use crate::api::decision::{CandidateReport, CategoryReport, DecisionReport, RequestReport, USUAL};
use crate::command::words::plain;

/// The decision as lines of text, each with its end. Without colours, so that it looks the
/// same wherever it goes.
pub fn table(report: &DecisionReport) -> String {
    let mut text = String::new();
    // Writing to a String does not fail, here and below.
    let _ = writeln!(text, "alias      {} (revision {})", plain(&report.alias), report.revision);
    let strategy = plain(&report.strategy);
    if let Some(category) = &report.category {
        let _ = writeln!(text, "category   {}", self::category(category));
        let _ = writeln!(text, "strategy   {strategy} (sub-strategy of {})", plain(&category.name));
    } else {
        let _ = writeln!(text, "strategy   {strategy}");
    }
    let _ = writeln!(text, "expected   {}", expected(&report.request));
    if let Some(exploring) = &report.exploring {
        let (target, best) = (plain(&exploring.target), plain(&exploring.instead_of));
        let _ = writeln!(text, "exploring  {target} instead of {best}, to know it better");
    }
    if report.candidates.is_empty() {
        text.push_str("nobody can serve it now\n");
    }
    let names = report.candidates.iter().map(|candidate| &candidate.target);
    let names = names.chain(report.skipped.iter().map(|skipped| &skipped.target));
    let width = names.map(|name| plain(name).chars().count()).max().unwrap_or(0);
    let ranks = report.candidates.len().to_string().len().max(3);
    for (position, cells) in rows(&report.candidates).into_iter().enumerate() {
        let target = plain(&report.candidates[position].target);
        let line = format!("{:>ranks$}  {target:width$}  {}", position + 1, cells.join("  "));
        let _ = writeln!(text, "{}", line.trim_end());
    }
    for skipped in &report.skipped {
        let (target, reason) = (plain(&skipped.target), plain(&skipped.reason));
        let _ = writeln!(text, "{:>ranks$}  {target:width$}  excluded: {reason}", "-");
    }
    text
}

/// `translation (0.97)`; where it is not a plain match, with the reason, and with what was the
/// likeliest.
fn category(category: &CategoryReport) -> String {
    let mut text = plain(&category.name);
    match (&category.reason, category.confidence) {
        (None, Some(confidence)) => {
            let _ = write!(text, " ({confidence:.2})");
        }
        (None, None) => {}
        (Some(reason), _) => {
            let _ = write!(text, " ({}", plain(reason));
            if let Some(best) = category.scores.first() {
                let _ = write!(text, "; likeliest is {} {:.2}", plain(&best.name), best.confidence);
            }
            text.push(')');
        }
    }
    text
}

fn expected(request: &RequestReport) -> String {
    let mut text = format!("{} tokens in (estimated), {} out", request.prompt_tokens, request.expected_output);
    if let Some(most) = request.max_output_tokens {
        let _ = write!(text, " (at most {most})");
    }
    if request.stream {
        text.push_str(", streamed");
    }
    text
}

/// What a column says of a candidate, if it is known.
type Column = fn(&CandidateReport) -> Option<String>;

/// The columns behind the target.
const COLUMNS: [Column; 9] = [
    |of| Some(format!("TTFT {}", time(of.predicted_ttft_ms?))),
    |of| Some(format!("{} tok/s", digits(of.tokens_per_second?))),
    |of| Some(format!("total {}", time(of.predicted_total_ms?))),
    |of| Some(format!("in flight {}", of.in_flight?)),
    |of| of.failure_rate.filter(|rate| *rate >= 0.005).map(|rate| format!("failing {}", share(rate))),
    |of| Some(format!("used {}", share(of.usage_share?))),
    |of| of.expected_cost_usd.filter(|_| of.unit != "USD").map(dollars),
    |of| Some(format!("score {}", score(of.score?, &of.unit))),
    |of| Some(plain(&of.why)).filter(|why| !why.is_empty()),
];

/// The cells of each candidate, as wide as their columns. A column of which nothing is
/// known is left out; a single unknown is blank.
fn rows(candidates: &[CandidateReport]) -> Vec<Vec<String>> {
    let mut rows = vec![Vec::new(); candidates.len()];
    for column in COLUMNS {
        let cells: Vec<String> = candidates.iter().map(|of| column(of).unwrap_or_default()).collect();
        let width = cells.iter().map(|cell| cell.chars().count()).max().unwrap_or(0);
        if width > 0 {
            rows.iter_mut().zip(cells).for_each(|(row, cell)| row.push(format!("{cell:width$}")));
        }
    }
    for (position, (row, of)) in rows.iter_mut().zip(candidates).enumerate() {
        let purpose = plain(&of.purpose);
        match (position, purpose.as_str()) {
            (0, USUAL | "") => row.push("chosen".to_owned()),
            (0, other) => row.push(format!("chosen ({other})")),
            (_, USUAL | "") => {}
            (_, other) => row.push(format!("({other})")),
        }
    }
    rows
}

fn score(value: f64, unit: &str) -> String {
    match unit {
        "s" => format!("{} s", digits(value)),
        "USD" => dollars(value),
        "share" => share(value),
        _ => digits(value),
    }
}

fn time(ms: f64) -> String {
    if ms < 999.5 { format!("{ms:.0} ms") } else { format!("{} s", digits(ms / 1000.0)) }
}

fn share(share: f64) -> String {
    format!("{} %", digits(share * 100.0))
}

fn dollars(usd: f64) -> String {
    format!("${}", digits(usd))
}

/// Two significant digits, and never fewer than the whole number has.
fn digits(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    // The exponent after rounding to two digits; what is no number has none.
    let exponent = format!("{value:.1e}").split_once('e').and_then(|(_, exponent)| exponent.parse().ok()).unwrap_or(1);
    // Far below a billionth nothing is to be seen.
    let decimals = usize::try_from(1i32.saturating_sub(exponent)).unwrap_or(0).min(10);
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::api::decision::{CategoryScore, ExploringReport, SkippedReport};

    fn candidate(target: &str) -> CandidateReport {
        CandidateReport { target: target.into(), purpose: USUAL.into(), ..CandidateReport::default() }
    }

    fn decision(candidates: Vec<CandidateReport>) -> DecisionReport {
        DecisionReport {
            revision: 3,
            alias: "prod-chat".into(),
            strategy: "lowest-latency".into(),
            request: RequestReport { prompt_tokens: 412, expected_output: 300, max_output_tokens: None, stream: false },
            candidates,
            ..DecisionReport::default()
        }
    }

    #[test]
    fn candidates_stand_in_columns_and_the_excluded_below() {
        let flash = CandidateReport {
            predicted_ttft_ms: Some(212.4),
            tokens_per_second: Some(31.0),
            in_flight: Some(2),
            score: Some(0.2101),
            unit: "s".into(),
            ..candidate("google/gemini-3-flash@google")
        };
        let gpt = CandidateReport {
            predicted_ttft_ms: Some(1480.0),
            in_flight: Some(12),
            failure_rate: Some(0.12),
            score: Some(1.49),
            unit: "s".into(),
            ..candidate("openai/gpt-5.5@openai")
        };
        let skipped = SkippedReport {
            target: "anthropic/claude-opus-4.8@anthropic".into(),
            class: "cooling_down".into(),
            reason: "cooling down 12.0 s (server_error)".into(),
        };
        let report = DecisionReport { skipped: vec![skipped], ..decision(vec![flash, gpt]) };
        assert_eq!(
            table(&report),
            "\
alias      prod-chat (revision 3)
strategy   lowest-latency
expected   412 tokens in (estimated), 300 out
  1  google/gemini-3-flash@google         TTFT 212 ms  31 tok/s  in flight 2                 score 0.21 s  chosen
  2  openai/gpt-5.5@openai                TTFT 1.5 s             in flight 12  failing 12 %  score 1.5 s
  -  anthropic/claude-opus-4.8@anthropic  excluded: cooling down 12.0 s (server_error)
"
        );
    }

    #[test]
    fn the_category_stands_above_its_strategy() {
        let lines = |category: CategoryReport| {
            let text = table(&DecisionReport { category: Some(category), ..decision(vec![]) });
            text.lines().skip(1).take(2).map(str::to_owned).collect::<Vec<_>>()
        };
        let sure = CategoryReport { name: "translation".into(), confidence: Some(0.971), ..CategoryReport::default() };
        assert_eq!(
            lines(sure),
            ["category   translation (0.97)", "strategy   lowest-latency (sub-strategy of translation)"]
        );
        let scores = vec![CategoryScore { name: "math".into(), confidence: 0.912, of_alias: false }];
        let unsure = CategoryReport {
            name: "default".into(),
            reason: Some("elsewhere".into()),
            scores,
            ..CategoryReport::default()
        };
        assert_eq!(lines(unsure)[0], "category   default (elsewhere; likeliest is math 0.91)");
        let broken =
            CategoryReport { name: "default".into(), reason: Some("broken".into()), ..CategoryReport::default() };
        assert_eq!(lines(broken)[0], "category   default (broken)");
    }

    #[test]
    fn a_table_without_candidates_says_so() {
        let skipped = SkippedReport { target: "m@a".into(), class: "disabled".into(), reason: "switched off".into() };
        let text = table(&DecisionReport { skipped: vec![skipped], ..decision(vec![]) });
        assert!(text.ends_with("nobody can serve it now\n  -  m@a  excluded: switched off\n"), "{text}");
    }

    #[test]
    fn a_candidate_with_a_purpose_of_its_own_says_which() {
        let explored = CandidateReport { purpose: "explore".into(), why: "due".into(), ..candidate("m@a") };
        let last = CandidateReport { purpose: "last_resort".into(), ..candidate("m@b") };
        let exploring =
            ExploringReport { target: "m@a".into(), instead_of: "m@b".into(), ..ExploringReport::default() };
        let text = table(&DecisionReport { exploring: Some(exploring), ..decision(vec![explored, last]) });
        let end = "exploring  m@a instead of m@b, to know it better\n  \
                   1  m@a  due  chosen (explore)\n  2  m@b       (last_resort)\n";
        assert!(text.ends_with(end), "{text}");
    }

    #[test]
    fn what_the_score_says_is_not_said_twice() {
        let dear = CandidateReport {
            score: Some(0.000_41),
            unit: "USD".into(),
            expected_cost_usd: Some(0.000_41),
            ..candidate("m@a")
        };
        let text = table(&decision(vec![dear]));
        assert!(text.ends_with("m@a  score $0.00041  chosen\n"), "{text}");
    }

    #[test]
    fn the_request_is_told_in_a_line() {
        let request = RequestReport { prompt_tokens: 1, expected_output: 5, max_output_tokens: Some(10), stream: true };
        assert_eq!(expected(&request), "1 tokens in (estimated), 5 out (at most 10), streamed");
    }

    #[test]
    fn numbers_have_two_digits_that_mean_something() {
        for (value, text) in [
            (0.0, "0"),
            (0.2101, "0.21"),
            (0.04, "0.040"),
            (0.000_414, "0.00041"),
            (1.49, "1.5"),
            (9.96, "10"),
            (12.3, "12"),
            (31_400.0, "31400"),
            (1e-30, "0.0000000000"),
        ] {
            assert_eq!(digits(value), text);
        }
        assert_eq!((time(999.4), time(999.6), time(61_000.0)), ("999 ms".into(), "1.0 s".into(), "61 s".into()));
    }

    proptest! {
        #[test]
        fn any_report_is_one_line_for_each(
            candidates in prop::collection::vec((".{0,20}", ".{0,20}", any::<Option<f64>>(), any::<Option<u32>>()), 0..12),
            reasons in prop::collection::vec((".{0,20}", ".{0,40}"), 0..4),
        ) {
            let lines = 3 + candidates.len().max(1) + reasons.len();
            let candidates = candidates.into_iter().map(|(target, why, number, in_flight)| CandidateReport {
                target, why, score: number, predicted_ttft_ms: number, in_flight, ..CandidateReport::default()
            });
            let skipped = reasons.into_iter().map(|(target, reason)| SkippedReport { target, class: String::new(), reason });
            let report = DecisionReport { skipped: skipped.collect(), ..decision(candidates.collect()) };
            let text = table(&report);
            prop_assert_eq!(text.lines().count(), lines);
            prop_assert!(text.chars().all(|c| c == '\n' || !c.is_control()));
        }
    }
}
