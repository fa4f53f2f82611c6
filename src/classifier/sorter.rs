//! Which of a virtual model's categories does a prompt belong to? One decision over the
//! built-in ones and the operator's own.
//!
//! Each own category has odds against everything that is not it; the built-in categories, those
//! that are not switched on included, share what the own ones leave. So a prompt that is surely
//! about an operator's topic goes there, whatever task it sets, and the hidden categories keep
//! what is none of a scheme's from those that are.

use std::cell::RefCell;

use super::Classifier;
use super::calibration::softmax;
use super::fast::LABELS;
use super::features::Features;
use super::judgement::{Choice, Doubt, Judge, Judgement, Score, Scored};
use super::own::Own;
use super::remark::Remark;
use crate::domain::category::{BuiltIn, CategoryKind, CategoryScheme, Tier};
use crate::domain::conversation::Conversation;

/// An own category has no more than this probability, so that its odds stay a number.
const SUREST: f64 = 0.999;

/// Sorts prompts into the categories of one scheme.
#[derive(Clone, Debug)]
pub struct Sorter {
    classifier: Classifier,
    rules: Rules,
    own: Own,
}

/// Where a category is sure enough.
#[derive(Clone, Copy, Debug)]
struct Rule {
    threshold: f64,
    margin: f64,
}

/// How probabilities become a decision.
#[derive(Clone, Debug)]
struct Rules {
    /// For each category of the scheme.
    rules: Vec<Rule>,
    /// Which category of the scheme each built-in one is.
    shown: [Option<usize>; LABELS],
    /// Below this probability of the best built-in category, the strong classifier is asked;
    /// `None` where it could change nothing.
    ask_below: Option<f64>,
}

impl Sorter {
    pub(super) fn new(classifier: &Classifier, scheme: &CategoryScheme) -> Self {
        let manifest = classifier.manifest();
        let mut shown = [None; LABELS];
        for (at, category) in scheme.categories.iter().enumerate() {
            if let CategoryKind::BuiltIn(built_in) = category.kind {
                shown[built_in.index()].get_or_insert(at);
            }
        }
        let own = Own::learn(classifier, scheme, &shown);
        let rules = scheme.categories.iter().map(|category| {
            let (threshold, margin) = match category.kind {
                CategoryKind::BuiltIn(built_in) => {
                    let label = &manifest.labels[built_in.index()];
                    (label.threshold, label.margin)
                }
                CategoryKind::Own { .. } => Own::limits(),
            };
            Rule { threshold: category.threshold.unwrap_or(threshold), margin: category.margin.unwrap_or(margin) }
        });
        let asks = scheme.tier == Tier::Cascade && manifest.strong.is_some() && shown.iter().any(Option::is_some);
        let rules = Rules { rules: rules.collect(), shown, ask_below: asks.then_some(manifest.fast.ask_below) };
        Self { classifier: classifier.clone(), rules, own }
    }

    /// What the operator should know about the categories he wrote.
    pub fn remarks(&self) -> &[Remark] {
        &self.own.remarks
    }

    /// Judges a prompt within microseconds.
    pub fn fast(&self, conversation: &Conversation) -> Judgement {
        self.look(conversation, |features| {
            let built_in = softmax(&self.logits(features), self.classifier.manifest().fast.temperature);
            self.rules.judge(&built_in, &self.own.probabilities(self.classifier.topics(), features), Judge::Fast)
        })
    }

    /// Judges a prompt again, with the strong classifier too: milliseconds, for a worker thread.
    /// Where the strong classifier is not to be had, `fast` stands.
    pub fn strong(&self, conversation: &Conversation, fast: &Judgement) -> Judgement {
        let Some(entry) = &self.classifier.manifest().strong else { return fast.clone() };
        let Some(strong) = self.classifier.strong_logits(conversation) else { return fast.clone() };
        self.look(conversation, |features| {
            let mut logits = self.logits(features);
            for (logit, strong) in logits.iter_mut().zip(strong) {
                *logit += entry.share as f32 * (strong - *logit);
            }
            let built_in = softmax(&logits, entry.temperature);
            self.rules.judge(&built_in, &self.own.probabilities(self.classifier.topics(), features), Judge::Strong)
        })
    }

    /// Hands over what the fast classifier sees of a conversation, unless it is nothing.
    fn look(&self, conversation: &Conversation, judge: impl FnOnce(&Features) -> Judgement) -> Judgement {
        thread_local! {
            static FEATURES: RefCell<Features> = RefCell::default();
        }
        FEATURES.with_borrow_mut(|features| {
            self.classifier.features(conversation, features);
            if features.is_empty() { Judgement::empty() } else { judge(features) }
        })
    }

    /// The fast classifier's logits. Where candle cannot compute them, nothing is known, and all
    /// are equal.
    fn logits(&self, features: &Features) -> [f32; LABELS] {
        self.classifier.fast_logits(features).unwrap_or_default()
    }
}

impl Judgement {
    /// There is no text.
    fn empty() -> Self {
        Self {
            choice: Choice::Default(Doubt::Empty),
            confidence: 0.0,
            scores: Vec::new(),
            by: Judge::Fast,
            in_doubt: false,
        }
    }
}

impl Rules {
    /// Decides by the probabilities of the built-in categories, in their order, and those of the
    /// operator's own, each against all else, by their positions in the scheme.
    fn judge(&self, built_in: &[f64; LABELS], own: &[(usize, f64)], by: Judge) -> Judgement {
        let odds = |probability: f64| {
            let probability = probability.clamp(0.0, SUREST);
            probability / (1.0 - probability)
        };
        let all: f64 = 1.0 + own.iter().map(|(_, probability)| odds(*probability)).sum::<f64>();
        let mut scores = vec![0.0; self.rules.len()];
        let mut hidden = Vec::new();
        own.iter().for_each(|(at, probability)| scores[*at] = odds(*probability) / all);
        for (built_in, probability) in BuiltIn::ALL.into_iter().zip(built_in) {
            match self.shown[built_in.index()] {
                Some(at) => scores[at] = probability / all,
                None => hidden.push(Score { of: Scored::Hidden(built_in), probability: probability / all }),
            }
        }
        let shown = scores.iter().enumerate();
        let mut scores: Vec<Score> =
            shown.map(|(at, probability)| Score { of: Scored::Category(at), probability: *probability }).collect();
        scores.append(&mut hidden);
        let is_own = |score: &Score| own.iter().any(|(at, _)| score.of == Scored::Category(*at));
        // At equal scores an own category goes before a built-in one, and that before a hidden one.
        scores.sort_by(|a, b| b.probability.total_cmp(&a.probability).then(is_own(b).cmp(&is_own(a))));
        let (choice, confidence) = self.choose(&scores, is_own);
        let surest = built_in.iter().copied().fold(0.0, f64::max);
        let unclear = matches!(choice, Choice::Default(Doubt::Unsure | Doubt::Close));
        let chose_own = scores.first().is_some_and(is_own) && !unclear;
        let in_doubt = by == Judge::Fast && self.ask_below.is_some_and(|below| unclear || surest < below) && !chose_own;
        Judgement { choice, confidence, scores, by, in_doubt }
    }

    fn choose(&self, scores: &[Score], is_own: impl Fn(&Score) -> bool) -> (Choice, f64) {
        let best = scores.iter().find_map(|score| match score.of {
            Scored::Category(at) => Some((at, score)),
            Scored::Hidden(_) => None,
        });
        let elsewhere = match scores.first() {
            Some(Score { of: Scored::Hidden(hidden), .. }) => Some(Choice::Default(Doubt::Elsewhere(*hidden))),
            _ => None,
        };
        let Some((at, best)) = best else {
            return (elsewhere.unwrap_or(Choice::Default(Doubt::Unsure)), 0.0);
        };
        let own = is_own(best);
        let rule = self.rules[at];
        // A prompt about an operator's topic is also of some task: that speaks against it only
        // below the topic's threshold.
        let rivals = scores.iter().filter(|score| score.of != best.of);
        let next =
            rivals.filter(|score| !own || matches!(score.of, Scored::Category(_))).map(|score| score.probability);
        let next = next.fold(0.0, f64::max);
        let choice = match elsewhere {
            Some(elsewhere) if !own || best.probability < rule.threshold => elsewhere,
            _ if best.probability < rule.threshold => Choice::Default(Doubt::Unsure),
            _ if best.probability - next < rule.margin => Choice::Default(Doubt::Close),
            _ => Choice::Category(at),
        };
        (choice, best.probability)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::classifier::tests_support::classifier;
    use crate::domain::category::CategorySpec;
    use crate::domain::conversation::Passage;
    use crate::domain::ids::CategoryName;

    /// A scheme of writing, coding and one own category, in this order.
    fn rules(threshold: f64, margin: f64) -> Rules {
        let mut shown = [None; LABELS];
        shown[BuiltIn::Writing.index()] = Some(0);
        shown[BuiltIn::Coding.index()] = Some(1);
        Rules { rules: vec![Rule { threshold, margin }; 3], shown, ask_below: Some(0.8) }
    }

    fn built_in(coding: f64, writing: f64, math: f64) -> [f64; LABELS] {
        let mut shares = [(1.0 - coding - writing - math) / 10.0; LABELS];
        shares[BuiltIn::Coding.index()] = coding;
        shares[BuiltIn::Writing.index()] = writing;
        shares[BuiltIn::Math.index()] = math;
        shares
    }

    fn judge(built_in: [f64; LABELS], own: f64) -> Judgement {
        rules(0.5, 0.1).judge(&built_in, &[(2, own)], Judge::Fast)
    }

    #[test]
    fn the_surest_category_is_chosen() {
        let judged = judge(built_in(0.9, 0.05, 0.0), 0.01);
        assert_eq!(judged.choice, Choice::Category(1));
        assert!((judged.confidence - 0.891).abs() < 1e-9 && !judged.in_doubt);
        assert_eq!(judged.scores[0].of, Scored::Category(1));
    }

    #[test]
    fn what_is_not_switched_on_means_default() {
        let judged = judge(built_in(0.3, 0.05, 0.6), 0.01);
        assert_eq!(judged.choice, Choice::Default(Doubt::Elsewhere(BuiltIn::Math)));
        assert!(judged.in_doubt);
        assert!(!judge(built_in(0.0, 0.05, 0.95), 0.01).in_doubt);
    }

    #[test]
    fn doubt_means_default() {
        assert_eq!(judge(built_in(0.4, 0.3, 0.1), 0.01).choice, Choice::Default(Doubt::Unsure));
        assert_eq!(judge(built_in(0.51, 0.48, 0.0), 0.0).choice, Choice::Default(Doubt::Close));
        let strict = rules(0.95, 0.0);
        assert_eq!(strict.judge(&built_in(0.9, 0.0, 0.0), &[], Judge::Fast).choice, Choice::Default(Doubt::Unsure));
    }

    #[test]
    fn an_own_category_goes_first_at_equal_scores() {
        let judged = rules(0.4, 0.0).judge(&built_in(1.0, 0.0, 0.0), &[(2, 0.5)], Judge::Fast);
        assert!((judged.scores[0].probability - judged.scores[1].probability).abs() < 1e-12);
        assert_eq!(judged.choice, Choice::Category(2));
    }

    #[test]
    fn a_hidden_task_does_not_keep_a_prompt_from_its_topic() {
        assert_eq!(judge(built_in(0.0, 0.0, 1.0), 0.6).choice, Choice::Category(2));
        assert_eq!(judge(built_in(0.0, 0.0, 1.0), 0.4).choice, Choice::Default(Doubt::Elsewhere(BuiltIn::Math)));
    }

    #[test]
    fn the_strong_classifier_is_asked_only_where_it_could_matter() {
        let mut rules = rules(0.5, 0.1);
        assert!(rules.judge(&built_in(0.7, 0.1, 0.1), &[], Judge::Fast).in_doubt);
        assert!(!rules.judge(&built_in(0.7, 0.1, 0.1), &[], Judge::Strong).in_doubt);
        assert!(!rules.judge(&built_in(0.4, 0.1, 0.1), &[(2, 0.95)], Judge::Fast).in_doubt);
        rules.ask_below = None;
        assert!(!rules.judge(&built_in(0.4, 0.1, 0.1), &[], Judge::Fast).in_doubt);
    }

    fn sorter() -> &'static Sorter {
        static SORTER: std::sync::OnceLock<Sorter> = std::sync::OnceLock::new();
        SORTER.get_or_init(|| {
            let spec =
                |name: &str, kind| CategorySpec { name: CategoryName::new(name), kind, threshold: None, margin: None };
            let own =
                CategoryKind::Own { description: Some("trains".to_owned()), examples: vec!["a late train".to_owned()] };
            let categories = vec![spec("trains", own), spec("coding", CategoryKind::BuiltIn(BuiltIn::Coding))];
            classifier().sorter(&CategoryScheme { categories, tier: Tier::Cascade, budget: Duration::ZERO })
        })
    }

    #[test]
    fn without_a_strong_classifier_the_fast_judgement_stands() {
        let prompt = Conversation::prompt("is the train late");
        let fast = sorter().fast(&prompt);
        assert!(!fast.in_doubt);
        assert_eq!(sorter().strong(&prompt, &fast), fast);
    }

    #[test]
    fn the_same_prompt_is_judged_the_same_after_any_other() {
        let prompt = Conversation::prompt("explain this traceback");
        let first = sorter().fast(&prompt);
        let mut long = Conversation::prompt(&"日本語 and {code}; ".repeat(10_000));
        long.system = Passage::new(&"x".repeat(100_000));
        sorter().fast(&long);
        assert_eq!(sorter().fast(&prompt), first);
    }

    proptest! {
        /// Any bytes, at any length, in any place of a conversation: a judgement.
        #[test]
        fn nothing_is_too_odd(bytes in prop::collection::vec(any::<u8>(), 0..300), times in 1usize..60, place in 0usize..4) {
            let text = String::from_utf8_lossy(&bytes).repeat(times);
            let mut conversation = Conversation::prompt(if place == 0 { &text } else { "hi" });
            match place {
                1 => conversation.system = Passage::new(&text),
                2 => conversation.earlier = Passage::new(&text),
                3 => conversation.answer = Passage::new(&text),
                _ => {}
            }
            let judged = sorter().fast(&conversation);
            let sum: f64 = judged.scores.iter().map(|score| score.probability).sum();
            let is_empty = judged.choice == Choice::Default(Doubt::Empty);
            prop_assert!(is_empty || (sum - 1.0).abs() < 1e-6, "{judged:?}");
            prop_assert!((0.0..=1.0).contains(&judged.confidence));
        }

        /// Whatever the numbers, the scores add up to one, best first, and the choice is the best.
        #[test]
        fn scores_add_up(weights in prop::array::uniform13(0.0f64..1.0), own in 0.0f64..=1.0) {
            let sum: f64 = weights.iter().sum::<f64>().max(1e-9);
            let judged = judge(weights.map(|weight| weight / sum), own);
            prop_assert!((judged.scores.iter().map(|score| score.probability).sum::<f64>() - 1.0).abs() < 1e-6);
            prop_assert!(judged.scores.is_sorted_by(|a, b| a.probability >= b.probability));
            prop_assert_eq!(judged.scores.len(), 3 + LABELS - 2);
            if let Choice::Category(at) = judged.choice {
                let best = judged.scores.iter().find(|score| matches!(score.of, Scored::Category(_)));
                prop_assert_eq!(best.map(|score| score.of), Some(Scored::Category(at)));
            }
        }
    }
}
