//! Vectors of fewer numbers that keep the most of what tells rows apart: principal components.

/// The mean of rows, and the directions in which they differ most, the first most of all.
#[derive(Clone, Debug)]
pub struct Components {
    mean: Vec<f32>,
    /// One direction after the other, each as long as a row.
    directions: Vec<f32>,
}

impl Components {
    /// Finds the first `count` directions of rows of `width` numbers.
    pub fn find(rows: &[f32], width: usize, count: usize) -> Self {
        let number = rows.len() / width;
        let mut mean = vec![0.0; width];
        for row in rows.chunks_exact(width) {
            mean.iter_mut().zip(row).for_each(|(mean, number)| *mean += number);
        }
        mean.iter_mut().for_each(|mean| *mean /= number.max(1) as f32);
        let mut covariance = vec![0f32; width * width];
        let mut centred = vec![0.0; width];
        for row in rows.chunks_exact(width) {
            for ((centred, number), mean) in centred.iter_mut().zip(row).zip(&mean) {
                *centred = number - mean;
            }
            for (one, sums) in centred.iter().zip(covariance.chunks_exact_mut(width)) {
                sums.iter_mut().zip(&centred).for_each(|(sum, other)| *sum += one * other);
            }
        }
        let mut matrix: Vec<f64> = covariance.iter().map(|sum| f64::from(*sum) / number.max(1) as f64).collect();
        let vectors = eigenvectors(&mut matrix, width);
        let mut order: Vec<usize> = (0..width).collect();
        order.sort_by(|a, b| matrix[b * width + b].total_cmp(&matrix[a * width + a]));
        let directions = order.iter().take(count).flat_map(|at| {
            let vector = &vectors[at * width..(at + 1) * width];
            // The sign is anyone's choice: the largest number is positive.
            let most =
                vector.iter().fold(0.0, |most: f64, number| if number.abs() > most.abs() { *number } else { most });
            vector.iter().map(move |number| (number * most.signum()) as f32)
        });
        Self { directions: directions.collect(), mean }
    }

    /// How far a row goes in each direction.
    pub fn of(&self, row: &[f32]) -> Vec<f32> {
        let along = |direction: &[f32]| {
            row.iter()
                .zip(&self.mean)
                .zip(direction)
                .map(|((number, mean), direction)| (number - mean) * direction)
                .sum()
        };
        self.directions.chunks_exact(row.len()).map(along).collect()
    }
}

/// The eigenvectors of a symmetric matrix, as rows; the eigenvalues are left on its diagonal.
/// Jacobi: turns the plane of each pair of axes until nothing but the diagonal is left.
fn eigenvectors(matrix: &mut [f64], width: usize) -> Vec<f64> {
    let mut vectors = vec![0.0; width * width];
    (0..width).for_each(|at| vectors[at * width + at] = 1.0);
    let trace: f64 = (0..width).map(|at| matrix[at * width + at].abs()).sum();
    for _ in 0..12 {
        let mut rest = 0.0;
        for p in 0..width {
            for q in p + 1..width {
                let between = matrix[p * width + q];
                rest += between.abs();
                if between.abs() <= 1e-12 * trace {
                    continue;
                }
                let theta = (matrix[q * width + q] - matrix[p * width + p]) / (2.0 * between);
                let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
                let t = if theta == 0.0 { 1.0 } else { t };
                let c = 1.0 / (t * t + 1.0).sqrt();
                let s = t * c;
                rotate_rows(matrix, width, p, q, c, s);
                for row in matrix.chunks_exact_mut(width) {
                    let (a, b) = (row[p], row[q]);
                    row[p] = c * a - s * b;
                    row[q] = s * a + c * b;
                }
                rotate_rows(&mut vectors, width, p, q, c, s);
            }
        }
        if rest <= 1e-9 * trace {
            break;
        }
    }
    vectors
}

fn rotate_rows(matrix: &mut [f64], width: usize, p: usize, q: usize, c: f64, s: f64) {
    let (before, after) = matrix.split_at_mut(q * width);
    let (one, other) = (&mut before[p * width..(p + 1) * width], &mut after[..width]);
    for (a, b) in one.iter_mut().zip(other) {
        (*a, *b) = (c * *a - s * *b, s * *a + c * *b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_side_of_a_cloud_comes_first() {
        // Long along (3, 4) / 5, short across it, around (10, 20).
        let rows: Vec<f32> = [(5.0, 1.0), (-5.0, 1.0), (5.0, -1.0), (-5.0, -1.0)]
            .iter()
            .flat_map(|(along, across)| [10.0 + along * 0.6 - across * 0.8, 20.0 + along * 0.8 + across * 0.6])
            .collect();
        let components = Components::find(&rows, 2, 2);
        let of = components.of(&[10.0 + 0.6, 20.0 + 0.8]);
        assert!((of[0] - 1.0).abs() < 1e-5 && of[1].abs() < 1e-5, "{of:?}");
    }
}
