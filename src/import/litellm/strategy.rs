//! Which of our strategies is nearest to one of LiteLLM's?

use super::findings::Findings;
use crate::import::yaml::Node;

/// How LiteLLM chooses within a group, in our words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Strategy {
    /// By chance, in proportion to weights.
    Shuffle,
    /// By what is observed.
    Scored {
        /// The name of our strategy.
        name: &'static str,
        /// What `lowest-usage` counts.
        unit: Option<&'static str>,
    },
}

/// Their names, ours, and what differs.
const STRATEGIES: &[(&str, Strategy, &str)] = &[
    (
        "latency-based-routing",
        Strategy::Scored { name: "lowest-latency", unit: None },
        "lowest-latency predicts the time of each request and reckons with failures, \
         instead of averaging the latest answers",
    ),
    (
        "usage-based-routing",
        Strategy::Scored { name: "lowest-usage", unit: Some("tokens") },
        "lowest-usage counts a window of sixty seconds that slides, instead of the minute of the clock",
    ),
    (
        "usage-based-routing-v2",
        Strategy::Scored { name: "lowest-usage", unit: Some("tokens") },
        "lowest-usage counts a window of sixty seconds that slides, instead of the minute of the clock",
    ),
    (
        "cost-based-routing",
        Strategy::Scored { name: "lowest-price", unit: None },
        "lowest-price reckons what each request will cost, instead of adding the prices of a token in and out",
    ),
    (
        "least-busy",
        // Who has the fewest requests under way for what it bears is the least busy one; where
        // all bear the same, the order is the same.
        Strategy::Scored { name: "highest-throughput", unit: None },
        "highest-throughput divides the requests under way by what a target bears, and is the same where all bear \
         the same",
    ),
];

impl Strategy {
    /// The strategy that is named, judged.
    pub(super) fn read(node: &Node, findings: &Findings) -> Self {
        let name = node.name().unwrap_or_default();
        if name == "simple-shuffle" {
            findings.exact(node, "strategy random-shuffle");
            return Self::Shuffle;
        }
        match STRATEGIES.iter().find(|(theirs, ..)| *theirs == name) {
            Some((_, strategy, differs)) => {
                findings.approximated(node, *differs);
                *strategy
            }
            None => {
                findings.not_possible(
                    node,
                    "nothing is like this strategy; random-shuffle stands in the result",
                    "choose one of docs/routing.md",
                );
                Self::Shuffle
            }
        }
    }

    /// Whether weights have a say.
    pub(super) fn draws(&self) -> bool {
        *self == Self::Shuffle
    }

    /// Its name where all targets are equals.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Shuffle => "random-shuffle",
            Self::Scored { name, .. } => name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::yaml::parse;

    #[test]
    fn every_strategy_of_theirs_becomes_one_of_ours() {
        for (theirs, ours, verdict) in [
            ("simple-shuffle", "random-shuffle", "exact"),
            ("least-busy", "highest-throughput", "approximated"),
            ("usage-based-routing", "lowest-usage", "approximated"),
            ("usage-based-routing-v2", "lowest-usage", "approximated"),
            ("latency-based-routing", "lowest-latency", "approximated"),
            ("cost-based-routing", "lowest-price", "approximated"),
            ("lar1", "random-shuffle", "not possible"),
        ] {
            let root = parse(&format!("s: {theirs}\n")).unwrap();
            let findings = Findings::default();
            assert_eq!(Strategy::read(root.get("s").unwrap(), &findings).name(), ours);
            assert_eq!(findings.finish(&root)[0].verdict.to_string(), verdict, "{theirs}");
        }
    }
}
