//! The fast classifier's table while it learns: only the rows that a batch names are changed.

use std::sync::{Mutex, PoisonError};

use super::workers::Workers;

/// How fast running means forget.
const FORGET: (f32, f32) = (0.9, 0.99);
const EPSILON: f32 = 1e-8;
/// Rows that one thread changes in one go.
const RANGE: usize = 2048;

/// Rows, and what is known of their gradients (Adam, each row with a count of its own).
#[derive(Clone, Debug)]
pub struct Rows {
    /// Numbers in a row.
    pub width: usize,
    /// The rows, one after the other.
    pub numbers: Vec<f32>,
    mean: Vec<f32>,
    square: Vec<f32>,
    steps: Vec<u32>,
}

impl Rows {
    /// Rows of which nothing is known yet.
    pub fn new(numbers: Vec<f32>, width: usize) -> Self {
        let nothing = vec![0.0; numbers.len()];
        Self { mean: nothing.clone(), square: nothing, steps: vec![0; numbers.len() / width], width, numbers }
    }

    /// Adds rows to `into`.
    pub fn add(&self, rows: &[u32], into: &mut [f32]) {
        for row in rows {
            let row = &self.numbers[*row as usize * self.width..][..self.width];
            into.iter_mut().zip(row).for_each(|(sum, number)| *sum += number);
        }
    }

    /// One step of every row that `uses` names: a row, and which of `gradients` (each as wide as a
    /// row) is its own. A row that is named again and again gets the sum.
    pub fn step(&mut self, mut uses: Vec<(u32, u32)>, gradients: &[f32], rate: f32, decay: f32, workers: &Workers) {
        uses.sort_unstable();
        let width = self.width;
        let ranges = self
            .numbers
            .chunks_mut(RANGE * width)
            .zip(self.mean.chunks_mut(RANGE * width))
            .zip(self.square.chunks_mut(RANGE * width))
            .zip(self.steps.chunks_mut(RANGE));
        let mut work = Vec::new();
        for (at, (((numbers, mean), square), steps)) in ranges.enumerate() {
            let from = uses.partition_point(|(row, _)| (*row as usize) < at * RANGE);
            let to = uses.partition_point(|(row, _)| (*row as usize) < (at + 1) * RANGE);
            if from < to {
                work.push(Mutex::new(Some((at * RANGE, &uses[from..to], numbers, mean, square, steps))));
            }
        }
        workers.map(work.len(), |at| {
            let taken = work[at].lock().unwrap_or_else(PoisonError::into_inner).take();
            let Some((first, uses, numbers, mean, square, steps)) = taken else { return };
            let mut sum = vec![0.0; width];
            for uses in uses.chunk_by(|one, other| one.0 == other.0) {
                let row = uses[0].0 as usize - first;
                sum.fill(0.0);
                for (_, gradient) in uses {
                    let gradient = &gradients[*gradient as usize * width..][..width];
                    sum.iter_mut().zip(gradient).for_each(|(sum, number)| *sum += number);
                }
                steps[row] += 1;
                let step = steps[row].min(10_000) as i32;
                let correct = (1.0 - FORGET.0.powi(step), 1.0 - FORGET.1.powi(step));
                let of = row * width..(row + 1) * width;
                let means = mean[of.clone()].iter_mut().zip(&mut square[of.clone()]);
                for ((number, gradient), (mean, square)) in numbers[of].iter_mut().zip(&sum).zip(means) {
                    *mean = FORGET.0 * *mean + (1.0 - FORGET.0) * gradient;
                    *square = FORGET.1 * *square + (1.0 - FORGET.1) * gradient * gradient;
                    let towards = (*mean / correct.0) / ((*square / correct.1).sqrt() + EPSILON);
                    *number -= rate * (towards + decay * *number);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_named_rows_change_and_by_the_sum_of_their_gradients() {
        let workers = Workers::new(2).unwrap();
        let mut rows = Rows::new(vec![1.0; 3 * 2], 2);
        // The sum for row 2 is (0, 4), of which Adam's first step keeps the sign.
        rows.step(vec![(2, 0), (0, 1), (2, 1)], &[1.0, 1.0, -1.0, 3.0], 0.1, 0.0, &workers);
        let expected = [1.1, 0.9, 1.0, 1.0, 1.0, 0.9];
        assert!(rows.numbers.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5), "{:?}", rows.numbers);
    }
}
