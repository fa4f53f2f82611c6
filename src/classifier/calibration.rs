//! How honest are probabilities, and how good are decisions? Temperature scaling, and the figures
//! that training, evaluation and tests share.

/// The bins of the expected calibration error. They are of equal width: where a model is never
/// unsure, a bin of few prompts weighs little.
pub const BINS: usize = 15;

/// Probabilities from logits.
pub fn softmax<const N: usize>(logits: &[f32; N], temperature: f64) -> [f64; N] {
    let scaled = logits.map(|logit| f64::from(logit) / temperature);
    let most = scaled.into_iter().fold(f64::NEG_INFINITY, f64::max);
    let mut shares = scaled.map(|logit| (logit - most).exp());
    let sum: f64 = shares.iter().sum();
    if !sum.is_finite() {
        return [1.0 / N as f64; N];
    }
    shares.iter_mut().for_each(|share| *share /= sum);
    shares
}

/// The temperature under which labels are likeliest, within 0.05 and 20; 1 where there are none.
pub fn temperature<const N: usize>(logits: &[[f32; N]], labels: &[usize]) -> f64 {
    if logits.is_empty() {
        return 1.0;
    }
    let loss = |log: f64| -> f64 {
        let rows = logits.iter().zip(labels);
        rows.map(|(logits, label)| -softmax(logits, log.exp())[*label].max(1e-12).ln()).sum()
    };
    // The loss has one minimum in the inverse of the temperature: a golden section finds it.
    let ratio = (5f64.sqrt() - 1.0) / 2.0;
    let (mut low, mut high) = (0.05f64.ln(), 20f64.ln());
    for _ in 0..60 {
        let (left, right) = (high - ratio * (high - low), low + ratio * (high - low));
        if loss(left) < loss(right) {
            high = right;
        } else {
            low = left;
        }
    }
    f64::midpoint(low, high).exp()
}

/// A decision that can be compared with the truth.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Decision {
    /// What it is.
    pub truth: usize,
    /// What it was taken for.
    pub guess: usize,
    /// The probability that was given to the guess.
    pub confidence: f64,
}

impl Decision {
    fn right(&self) -> bool {
        self.truth == self.guess
    }
}

/// The share of decisions that are right; 0 where there are none.
pub fn accuracy(decisions: &[Decision]) -> f64 {
    share(decisions.iter().filter(|decision| decision.right()).count(), decisions.len())
}

fn share(count: usize, of: usize) -> f64 {
    count as f64 / of.max(1) as f64
}

/// By how much confidence and accuracy differ, on average over [`BINS`] bins of equal width.
pub fn calibration_error(decisions: &[Decision]) -> f64 {
    let mut bins = [(0.0, 0.0); BINS];
    for decision in decisions {
        let bin = ((decision.confidence * BINS as f64) as usize).min(BINS - 1);
        bins[bin].0 += decision.confidence;
        bins[bin].1 += f64::from(u8::from(decision.right()));
    }
    let gaps: f64 = bins.iter().map(|(confidence, right)| (confidence - right).abs()).sum();
    gaps / decisions.len().max(1) as f64
}

/// How often each truth (rows) was taken for each guess (columns).
pub fn confusion(decisions: &[Decision], classes: usize) -> Vec<Vec<usize>> {
    let mut counts = vec![vec![0; classes]; classes];
    for decision in decisions {
        counts[decision.truth][decision.guess] += 1;
    }
    counts
}

/// How a class fares.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ClassScore {
    /// How many prompts belong to it.
    pub support: usize,
    /// Of what was taken for it, the share that belongs to it.
    pub precision: f64,
    /// Of what belongs to it, the share that was taken for it.
    pub recall: f64,
    /// The harmonic mean of both.
    pub f1: f64,
}

/// How each class fares.
pub fn by_class(confusion: &[Vec<usize>]) -> Vec<ClassScore> {
    let score = |class: usize| {
        let hits = confusion[class][class];
        let support: usize = confusion[class].iter().sum();
        let taken: usize = confusion.iter().map(|row| row[class]).sum();
        let (precision, recall) = (share(hits, taken), share(hits, support));
        ClassScore { support, precision, recall, f1: share(2 * hits, support + taken) }
    };
    (0..confusion.len()).map(score).collect()
}

/// The mean F1 of the classes that occur, in truth or as a guess.
pub fn macro_f1(confusion: &[Vec<usize>]) -> f64 {
    let scores = by_class(confusion);
    let occur = |class: &usize| {
        confusion[*class].iter().sum::<usize>() + confusion.iter().map(|row| row[*class]).sum::<usize>() > 0
    };
    let occurring: Vec<usize> = (0..confusion.len()).filter(occur).collect();
    occurring.iter().map(|class| scores[*class].f1).sum::<f64>() / occurring.len().max(1) as f64
}

/// A point of the curve of accuracy by coverage.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Coverage {
    /// The share of prompts that are decided, the surest first.
    pub coverage: f64,
    /// How many of those are right.
    pub accuracy: f64,
    /// The confidence of the least sure of them.
    pub threshold: f64,
}

/// How accuracy rises as fewer prompts are decided: a point for each tenth of the prompts.
pub fn coverage_curve(decisions: &[Decision]) -> Vec<Coverage> {
    let mut sorted: Vec<Decision> = decisions.to_vec();
    sorted.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
    let point = |tenth: usize| {
        let count = (sorted.len() * tenth).div_ceil(10);
        let decided = &sorted[..count];
        decided.last().map(|last| Coverage {
            coverage: share(count, sorted.len()),
            accuracy: accuracy(decided),
            threshold: last.confidence,
        })
    };
    (1..=10).filter_map(point).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decision(truth: usize, guess: usize, confidence: f64) -> Decision {
        Decision { truth, guess, confidence }
    }

    #[test]
    fn probabilities_add_up_whatever_the_logits() {
        for logits in [[0.0, 1.0, -1.0], [f32::MAX, f32::MIN, 0.0], [1e6, 1e6, 1e6], [f32::NAN, 0.0, 0.0]] {
            let shares = softmax(&logits, 0.7);
            assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{logits:?}: {shares:?}");
        }
        assert!(softmax(&[2.0, 0.0], 1.0)[0] > softmax(&[2.0, 0.0], 2.0)[0]);
    }

    #[test]
    fn temperature_makes_overconfidence_honest() {
        // Logits of 4 say 98 %, and three of four are right: 75 % is a logit of ln 3.
        let logits = [[4.0, 0.0]; 8];
        let labels = [0, 0, 0, 1, 0, 0, 0, 1];
        assert!((temperature(&logits, &labels) - 4.0 / 3f64.ln()).abs() < 1e-3);
        assert!((temperature::<2>(&[], &[]) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn figures_of_a_small_table_are_those_of_a_pencil() {
        let decisions = [decision(0, 0, 0.9), decision(0, 1, 0.6), decision(1, 1, 0.8), decision(1, 1, 0.7)];
        assert!((accuracy(&decisions) - 0.75).abs() < 1e-12);
        let counts = confusion(&decisions, 3);
        assert_eq!(counts, [[1, 1, 0], [0, 2, 0], [0, 0, 0]]);
        // F1: 2·1/(2+1) and 2·2/(2+3); the third class never occurs.
        assert!((macro_f1(&counts) - (2.0 / 3.0 + 0.8) / 2.0).abs() < 1e-12);
        // Every one is alone in its bin.
        assert!((calibration_error(&decisions) - (0.1 + 0.6 + 0.2 + 0.3) / 4.0).abs() < 1e-12);
        let curve = coverage_curve(&decisions);
        assert_eq!(curve.len(), 10);
        assert!((curve[7].accuracy - 0.75).abs() < 1e-12 && (curve[6].accuracy - 1.0).abs() < 1e-12);
    }

    #[test]
    fn nothing_has_figures_too() {
        assert_eq!((accuracy(&[]), calibration_error(&[]), macro_f1(&confusion(&[], 2))), (0.0, 0.0, 0.0));
        assert!(coverage_curve(&[]).is_empty());
    }
}
