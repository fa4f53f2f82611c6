//! AdamW: how do gradients change weights? Each number by its own recent gradients, large
//! weights back towards zero.

use super::workers::Workers;

/// How fast running means forget.
const FORGET: (f32, f32) = (0.9, 0.999);
const EPSILON: f32 = 1e-8;
/// What one thread changes in one go.
const CHUNK: usize = 1 << 18;

/// A group of numbers that are trained, and what is known of their gradients.
#[derive(Clone, Debug, Default)]
pub struct Slot {
    /// The numbers.
    pub numbers: Vec<f32>,
    /// The running mean of their gradients.
    pub mean: Vec<f32>,
    /// The running mean of their gradients' squares.
    pub square: Vec<f32>,
    /// The learning rate is multiplied with this.
    pub rate: f32,
    /// How fast numbers go back towards zero, by learning rate.
    pub decay: f32,
}

impl Slot {
    /// Numbers of which nothing is known yet.
    pub fn new(numbers: Vec<f32>, rate: f32, decay: f32) -> Self {
        let nothing = vec![0.0; numbers.len()];
        Self { mean: nothing.clone(), square: nothing, numbers, rate, decay }
    }
}

/// One step, the `step`th from 1, along gradients that are multiplied with `factor` first. A slot
/// without gradients stays as it is.
pub fn step(slots: &mut [Slot], gradients: &[Vec<f32>], step: usize, rate: f32, factor: f32, workers: &Workers) {
    let correct = (1.0 - FORGET.0.powi(step as i32), 1.0 - FORGET.1.powi(step as i32));
    let mut work = Vec::new();
    for (slot, gradients) in slots.iter_mut().zip(gradients).filter(|(_, gradients)| !gradients.is_empty()) {
        let (rate, decay) = (rate * slot.rate, slot.decay);
        let means = slot.mean.chunks_mut(CHUNK).zip(slot.square.chunks_mut(CHUNK));
        let numbers = slot.numbers.chunks_mut(CHUNK).zip(gradients.chunks(CHUNK));
        for ((numbers, gradients), (mean, square)) in numbers.zip(means) {
            work.push(std::sync::Mutex::new(Some((numbers, gradients, mean, square, rate, decay))));
        }
    }
    workers.map(work.len(), |at| {
        let taken = work[at].lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        let Some((numbers, gradients, mean, square, rate, decay)) = taken else { return };
        let gradients = gradients.iter().map(|gradient| gradient * factor);
        for (((number, gradient), mean), square) in numbers.iter_mut().zip(gradients).zip(mean).zip(square) {
            *mean = FORGET.0 * *mean + (1.0 - FORGET.0) * gradient;
            *square = FORGET.1 * *square + (1.0 - FORGET.1) * gradient * gradient;
            let towards = (*mean / correct.0) / ((*square / correct.1).sqrt() + EPSILON);
            *number -= rate * (towards + decay * *number);
        }
    });
}

/// By what gradients have to be multiplied so that they are together no longer than `most`.
pub fn clip(gradients: &[Vec<f32>], most: f64, workers: &Workers) -> f32 {
    let squares = workers.map(gradients.len(), |at| {
        gradients[at].iter().map(|gradient| f64::from(*gradient) * f64::from(*gradient)).sum::<f64>()
    });
    let length = squares.iter().sum::<f64>().sqrt();
    if length > most { (most / length) as f32 } else { 1.0 }
}

/// The learning rate's share at a step: rises to 1, then falls to 0, both in a straight line.
pub fn schedule(step: usize, steps: usize, rise: f32) -> f32 {
    let risen = (steps as f32 * rise).max(1.0);
    let step = step as f32;
    if step < risen { step / risen } else { ((steps as f32 - step) / (steps as f32 - risen).max(1.0)).max(0.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_find_the_lowest_point() {
        let workers = Workers::new(2).unwrap();
        let mut slots = [Slot::new(vec![3.0, -2.0], 1.0, 0.0), Slot::new(vec![7.0], 1.0, 0.0)];
        for at in 1..2000 {
            let gradients = [slots[0].numbers.iter().map(|x| 2.0 * (x - 1.0)).collect(), Vec::new()];
            step(&mut slots, &gradients, at, 0.1 * schedule(at, 2000, 0.1), 1.0, &workers);
        }
        assert!(slots[0].numbers.iter().all(|x| (x - 1.0).abs() < 1e-3), "{:?}", slots[0].numbers);
        assert_eq!(slots[1].numbers, [7.0]);
    }

    #[test]
    fn long_gradients_are_cut() {
        let workers = Workers::new(1).unwrap();
        assert_eq!(clip(&[vec![3.0], vec![4.0]], 1.0, &workers), 0.2);
        assert_eq!(clip(&[vec![0.3], vec![0.4]], 1.0, &workers), 1.0);
    }
}
