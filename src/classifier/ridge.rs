//! Ridge regression, and what each of its samples would get without itself, in closed form.

/// The sum of products. In lanes, so that it becomes vector instructions.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut lanes = [0.0; 8];
    let (a_chunks, b_chunks) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    for (a, b) in a_chunks.0.iter().zip(b_chunks.0) {
        for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += a * b;
        }
    }
    let rest: f64 = a_chunks.1.iter().zip(b_chunks.1).map(|(a, b)| a * b).sum();
    lanes.iter().sum::<f64>() + rest
}

/// The sum of weighted outer products of samples: what ridge regression needs to know of them.
#[derive(Clone, Debug)]
pub(super) struct Gram {
    /// The lower triangle, row by row, each row as wide as a sample.
    rows: Vec<f64>,
    width: usize,
}

impl Gram {
    /// Of no samples.
    pub(super) fn new(width: usize) -> Self {
        Self { rows: vec![0.0; width * width], width }
    }

    /// Takes in a sample.
    pub(super) fn add(&mut self, sample: &[f64], weight: f64) {
        for (at, row) in self.rows.chunks_exact_mut(self.width).enumerate() {
            let factor = weight * sample[at];
            for (sum, number) in row[..=at].iter_mut().zip(sample) {
                *sum += factor * number;
            }
        }
    }

    /// The regression that punishes the squares of its coefficients so much, which is more than 0.
    pub(super) fn ridge(mut self, penalty: f64) -> Ridge {
        let width = self.width;
        for at in 0..width {
            self.rows[at * width + at] += penalty;
        }
        // Cholesky's factor, in place.
        for row in 0..width {
            for column in 0..=row {
                let (before, this) = self.rows.split_at_mut(row * width);
                if column < row {
                    let other = &before[column * width..column * width + column + 1];
                    let rest = this[column] - dot(&this[..column], &other[..column]);
                    this[column] = rest / other[column];
                } else {
                    let rest = this[row] - dot(&this[..row], &this[..row]);
                    // Positive but for rounding, as the penalty is.
                    this[row] = rest.max(penalty * 1e-6).sqrt();
                }
            }
        }
        Ridge { factor: self.rows, width }
    }
}

/// A factored regression.
#[derive(Clone, Debug)]
pub(super) struct Ridge {
    factor: Vec<f64>,
    width: usize,
}

impl Ridge {
    fn row(&self, at: usize) -> &[f64] {
        &self.factor[at * self.width..at * self.width + at + 1]
    }

    /// Solves the lower triangle, in place.
    fn forward(&self, right: &mut [f64]) {
        for at in 0..self.width {
            let row = self.row(at);
            right[at] = (right[at] - dot(&row[..at], &right[..at])) / row[at];
        }
    }

    /// The coefficients, where `right` is the weighted sum of samples by their targets.
    pub(super) fn solve(&self, right: &mut [f64]) {
        self.forward(right);
        for at in (0..self.width).rev() {
            let row = self.row(at);
            let value = right[at] / row[at];
            right[at] = value;
            for (number, factor) in right[..at].iter_mut().zip(row) {
                *number -= value * factor;
            }
        }
    }

    /// How much a sample of this weight decides what is predicted for itself, within [0, 1).
    pub(super) fn leverage(&self, sample: &[f64], weight: f64) -> f64 {
        let mut solved = sample.to_vec();
        self.forward(&mut solved);
        (weight * dot(&solved, &solved)).min(1.0 - 1e-9)
    }
}

/// What a sample would get if it had not been learned from.
pub(super) fn without_itself(predicted: f64, target: f64, leverage: f64) -> f64 {
    (predicted - leverage * target) / (1.0 - leverage)
}

/// What is predicted for a sample.
pub(super) fn predict(coefficients: &[f64], sample: &[f64]) -> f64 {
    dot(coefficients, sample)
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    const WIDTH: usize = 21;

    fn fitted(samples: &[(Vec<f64>, f64, f64)]) -> (Ridge, Vec<f64>) {
        let mut gram = Gram::new(WIDTH);
        let mut coefficients = vec![0.0; WIDTH];
        for (sample, target, weight) in samples {
            gram.add(sample, *weight);
            coefficients.iter_mut().zip(sample).for_each(|(sum, number)| *sum += weight * target * number);
        }
        let ridge = gram.ridge(0.5);
        ridge.solve(&mut coefficients);
        (ridge, coefficients)
    }

    /// The closed form says what leaving a sample out and learning anew says.
    #[test]
    fn leaving_out_is_learning_anew() {
        let mut rng = StdRng::seed_from_u64(6);
        let samples: Vec<(Vec<f64>, f64, f64)> = (0..40)
            .map(|at| {
                let sample = (0..WIDTH).map(|_| rng.random_range(-1.0..1.0)).collect();
                (sample, f64::from(u8::from(at % 3 == 0)), rng.random_range(0.5..2.0))
            })
            .collect();
        let (ridge, coefficients) = fitted(&samples);
        for at in [0, 7, 39] {
            let (sample, target, weight) = &samples[at];
            let fast = without_itself(predict(&coefficients, sample), *target, ridge.leverage(sample, *weight));
            let others: Vec<_> =
                samples.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, s)| s.clone()).collect();
            let slow = predict(&fitted(&others).1, sample);
            assert!((fast - slow).abs() < 1e-9, "{fast} {slow}");
        }
    }
}
