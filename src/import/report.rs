//! What became of each line of a configuration that was imported? Findings, for people and
//! for programs.

use std::fmt::{self, Write as _};

use serde::Serialize;
use serde_json::{Value as Json, json};

use crate::config::Place;

/// How well something could be said in our words.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It means the same, or it meant nothing.
    Exact,
    /// It means nearly the same; the finding says what differs.
    Approximated,
    /// It is not in the result; the finding says why, and what to do instead.
    NotPossible,
}

impl Verdict {
    /// All of them, the best first.
    pub const ALL: [Self; 3] = [Self::Exact, Self::Approximated, Self::NotPossible];
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exact => "exact",
            Self::Approximated => "approximated",
            Self::NotPossible => "not possible",
        })
    }
}

/// What became of one value, or of all that stands below it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// Where it stands; `None` for what the file does not say.
    pub place: Option<Place>,
    /// As in `model_list[0].litellm_params.model`.
    pub path: String,
    /// How well it could be said.
    pub verdict: Verdict,
    /// What it became, what differs, or why it is left out. Never a secret.
    pub message: String,
    /// What to do now, where there is something to do.
    pub instead: Option<String>,
}

impl Finding {
    /// The finding as a line that begins with the file's name, as compilers write them.
    pub fn in_file(&self, file: &str) -> String {
        let mut line = file.to_owned();
        if let Some(place) = self.place {
            let _ = write!(line, ":{}:{}", place.line, place.column);
        }
        let _ = write!(line, ": {}: {}: {}", self.verdict, self.path, self.message);
        if let Some(instead) = &self.instead {
            let _ = write!(line, "; to do: {instead}");
        }
        line
    }
}

/// All findings of one import.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// The name of the file that was imported.
    pub source: String,
    /// In the order of the text; what the text does not say comes last.
    pub findings: Vec<Finding>,
}

impl Report {
    /// How many findings have that verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.findings.iter().filter(|finding| finding.verdict == verdict).count()
    }

    /// `12 exact, 3 approximated, 1 not possible`.
    pub fn summary(&self) -> String {
        let counts = Verdict::ALL.map(|verdict| format!("{} {verdict}", self.count(verdict)));
        counts.join(", ")
    }

    /// A line for each finding, and the sum.
    pub fn text(&self) -> String {
        let mut text: String = self.findings.iter().map(|finding| finding.in_file(&self.source) + "\n").collect();
        let _ = writeln!(text, "{}: {}", self.source, self.summary());
        text
    }

    /// The same for programs.
    pub fn json(&self) -> Json {
        let findings = self.findings.iter().map(|finding| {
            json!({
                "line": finding.place.map(|place| place.line),
                "column": finding.place.map(|place| place.column),
                "path": finding.path,
                "verdict": finding.verdict,
                "message": finding.message,
                "instead": finding.instead,
            })
        });
        json!({
            "source": self.source,
            "exact": self.count(Verdict::Exact),
            "approximated": self.count(Verdict::Approximated),
            "not_possible": self.count(Verdict::NotPossible),
            "findings": findings.collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(verdict: Verdict, instead: Option<&str>) -> Finding {
        let place = Some(Place { line: 3, column: 5 });
        let (path, message) = ("a.b".into(), "is so".into());
        Finding { place, path, verdict, message, instead: instead.map(Into::into) }
    }

    #[test]
    fn a_report_is_a_line_for_each_finding_and_a_sum() {
        let findings = vec![
            finding(Verdict::Exact, None),
            finding(Verdict::NotPossible, Some("say it otherwise")),
            Finding { place: None, ..finding(Verdict::Approximated, None) },
        ];
        let report = Report { source: "c.yaml".into(), findings };
        assert_eq!(
            report.text(),
            "c.yaml:3:5: exact: a.b: is so\n\
             c.yaml:3:5: not possible: a.b: is so; to do: say it otherwise\n\
             c.yaml: approximated: a.b: is so\n\
             c.yaml: 1 exact, 1 approximated, 1 not possible\n"
        );
    }

    #[test]
    fn programs_get_the_same() {
        let report = Report { source: "c.yaml".into(), findings: vec![finding(Verdict::NotPossible, None)] };
        assert_eq!(
            report.json(),
            json!({
                "source": "c.yaml", "exact": 0, "approximated": 0, "not_possible": 1,
                "findings": [{"line": 3, "column": 5, "path": "a.b", "verdict": "not_possible",
                              "message": "is so", "instead": null}],
            })
        );
    }
}
