//! The fast classifier: a table of rows and a small network that learn together.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Result;
use candle_core::{Device, Tensor};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

use super::backward::{back, dense, norm};
use super::base::Base;
use super::data::{Sample, Use};
use super::export::{Entry, file};
use super::optimiser::{Slot, clip, schedule, step};
use super::pca::Components;
use super::table::Rows;
use super::workers::Workers;
use crate::classifier::calibration::softmax;
use crate::classifier::encoder::kernels::{self, Normed};
use crate::classifier::encoder::{Dense, alter, read};
use crate::classifier::fast::{EPSILON, LABELS};
use crate::classifier::features::{Features, SEGMENTS, Shape};
use crate::classifier::surface::SURFACE;

/// How the fast classifier learns.
#[derive(Clone, Debug)]
pub struct Study {
    /// What it sees and how large it is.
    pub shape: Shape,
    /// How often each prompt is seen.
    pub epochs: usize,
    /// Prompts that are learned from at once.
    pub batch: usize,
    /// The learning rate of the table's rows, at its highest.
    pub rate_of_rows: f32,
    /// That of the network.
    pub rate: f32,
    /// The share of all steps in which the learning rates rise.
    pub rise: f32,
    /// How fast rows go back towards zero.
    pub decay_of_rows: f32,
    /// How fast matrices do.
    pub decay: f32,
    /// The share of the strong classifier's opinion in what is learned, where it has one.
    pub teacher: f32,
    /// What its logits are divided by before.
    pub teacher_temperature: f32,
    /// How likely all other labels are said to be.
    pub smoothing: f32,
    /// How likely each pooled number is left out.
    pub dropout: f32,
    /// How likely each number of the hidden layer is.
    pub dropout_hidden: f32,
    /// How likely each row of a segment is.
    pub dropout_rows: f32,
    /// Rare categories count more: by the power -`balance` of their share. 0 is all the same.
    pub balance: f32,
    /// The mean length of the rows of pieces at the beginning.
    pub length: f32,
}

impl Default for Study {
    fn default() -> Self {
        Self {
            shape: Shape {
                first: 6,
                head: 64,
                middle: 128,
                tail: 64,
                system: 48,
                earlier: 24,
                answer: 24,
                shortest_run: 3,
                longest_run: 5,
                runs_per_piece: 10,
                buckets: 65_536,
                width: 64,
                hidden: 128,
            },
            epochs: 12,
            batch: 64,
            rate_of_rows: 2e-3,
            rate: 1e-3,
            rise: 0.05,
            decay_of_rows: 0.0,
            decay: 0.01,
            teacher: 0.7,
            teacher_temperature: 1.0,
            smoothing: 0.05,
            dropout: 0.2,
            dropout_hidden: 0.3,
            dropout_rows: 0.1,
            balance: 0.0,
            length: 0.5,
        }
    }
}

/// What pieces mean, in as few numbers as a row has: principal components of the base's table.
///
/// # Errors
/// If the base has no table.
pub fn meanings(study: &Study, base: &Base) -> Result<Vec<f32>> {
    let (width, table) = base.pieces()?;
    let components = Components::find(table, width, study.shape.width);
    let mut rows: Vec<f32> = table.chunks_exact(width).flat_map(|row| components.of(row)).collect();
    let squares: f64 = rows.iter().map(|number| f64::from(*number) * f64::from(*number)).sum();
    let length = (squares / (table.len() / width) as f64).sqrt();
    rows.iter_mut().for_each(|number| *number *= study.length / length as f32);
    Ok(rows)
}

/// What is learned of prompts that may be learned from: their labels, and where there is one, a
/// teacher's opinion of them.
pub fn lessons(
    study: &Study,
    samples: &[Sample],
    seen: &[Features],
    teacher: &HashMap<u64, [f32; LABELS]>,
) -> Vec<Lesson> {
    let learned: Vec<usize> = (0..samples.len()).filter(|at| samples[*at].used == Use::Training).collect();
    let mut counts = [0usize; LABELS];
    learned.iter().for_each(|at| counts[samples[*at].label.index()] += 1);
    let lesson = |at: &usize| {
        let (sample, features) = (&samples[*at], &seen[*at]);
        let label = sample.label.index();
        let mut target = [study.smoothing / LABELS as f32; LABELS];
        target[label] += 1.0 - study.smoothing;
        if let Some(logits) = teacher.get(&sample.hash) {
            let opinion = softmax(logits, f64::from(study.teacher_temperature));
            for (target, opinion) in target.iter_mut().zip(opinion) {
                *target = (1.0 - study.teacher) * *target + study.teacher * opinion as f32;
            }
        }
        let share = counts[label] as f32 * LABELS as f32 / learned.len() as f32;
        let weight = share.powf(-study.balance);
        Lesson { segments: features.segments.clone(), surface: features.surface, target, weight }
    };
    learned.iter().map(lesson).collect()
}

/// A prompt, and how likely each label should be.
#[derive(Clone, Debug)]
pub struct Lesson {
    /// The rows of each segment.
    pub segments: [Vec<u32>; SEGMENTS],
    /// The surface of the prompt.
    pub surface: [f32; SURFACE],
    /// What it should be, adding up to 1.
    pub target: [f32; LABELS],
    /// How much it counts.
    pub weight: f32,
}

/// The classifier while it learns.
#[derive(Clone, Debug)]
pub struct Model {
    rows: Rows,
    scale: Vec<f32>,
    shift: Vec<f32>,
    hidden: Dense,
    out: Dense,
}

/// Into how many parts a batch is cut, whatever the number of threads.
const PARTS: usize = 4;

/// What a part of a batch teaches.
struct Learned {
    loss: f64,
    /// Of scale, shift, and both matrices with their biases.
    gradients: Vec<Vec<f32>>,
    /// Of each segment's sum of rows, lesson by lesson.
    sums: Vec<f32>,
    /// Which row was in which of these sums.
    uses: Vec<(u32, u32)>,
}

impl Model {
    /// A classifier that knows what pieces mean (a row of `shape.width` numbers each), and nothing
    /// else.
    ///
    /// # Errors
    /// If candle cannot hold it.
    pub fn new(shape: &Shape, mut pieces: Vec<f32>, seed: u64) -> Result<Self> {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut random =
            |count: usize, spread: f32| -> Vec<f32> { (0..count).map(|_| rng.random_range(-spread..spread)).collect() };
        pieces.extend(random(shape.buckets as usize * shape.width, 0.02));
        let inputs = SEGMENTS * shape.width + SURFACE;
        let mut dense = |inputs: usize, outputs: usize| -> Result<Dense> {
            let spread = (3.0 / inputs as f32).sqrt();
            let weight = Tensor::from_vec(random(inputs * outputs, spread), (inputs, outputs), &Device::Cpu)?;
            Ok(Dense { weight, bias: vec![0.0; outputs] })
        };
        Ok(Self {
            rows: Rows::new(pieces, shape.width),
            scale: vec![1.0; inputs],
            shift: vec![0.0; inputs],
            hidden: dense(inputs, shape.hidden)?,
            out: dense(shape.hidden, LABELS)?,
        })
    }

    fn numbers(&self) -> Result<Vec<Vec<f32>>> {
        Ok(vec![
            self.scale.clone(),
            self.shift.clone(),
            read(&self.hidden.weight, <[f32]>::to_vec)?,
            self.hidden.bias.clone(),
            read(&self.out.weight, <[f32]>::to_vec)?,
            self.out.bias.clone(),
        ])
    }

    fn load(&mut self, slots: &[Slot]) -> Result<()> {
        let dense = |at: usize, dense: &Dense| -> Result<Dense> {
            let weight = Tensor::from_vec(slots[at].numbers.clone(), dense.weight.shape(), &Device::Cpu)?;
            Ok(Dense { weight, bias: slots[at + 1].numbers.clone() })
        };
        self.scale.clone_from(&slots[0].numbers);
        self.shift.clone_from(&slots[1].numbers);
        self.hidden = dense(2, &self.hidden)?;
        self.out = dense(4, &self.out)?;
        Ok(())
    }

    /// The file that the classifier reads.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn file(&self) -> Result<Vec<u8>> {
        let turned =
            |dense: &Dense| -> Result<Vec<f32>> { Ok(dense.weight.t()?.contiguous()?.flatten_all()?.to_vec1()?) };
        let (inputs, hidden) = (self.scale.len(), self.hidden.bias.len());
        let mut entries = Vec::from(Entry::rows("table", self.rows.width, &self.rows.numbers));
        entries.push(Entry::floats("norm.weight", &[inputs], &self.scale));
        entries.push(Entry::floats("norm.bias", &[inputs], &self.shift));
        entries.push(Entry::floats("hidden.weight", &[hidden, inputs], &turned(&self.hidden)?));
        entries.push(Entry::floats("hidden.bias", &[hidden], &self.hidden.bias));
        entries.push(Entry::floats("out.weight", &[LABELS, hidden], &turned(&self.out)?));
        entries.push(Entry::floats("out.bias", &[LABELS], &self.out.bias));
        file(&entries)
    }

    fn learn(&self, study: &Study, lessons: &[&Lesson], rng: &mut StdRng) -> candle_core::Result<Learned> {
        let width = self.rows.width;
        let (sums, inputs) = (SEGMENTS * width, self.scale.len());
        let mut input = vec![0.0; lessons.len() * inputs];
        let (mut uses, mut factors) = (Vec::new(), Vec::new());
        let mut room = Vec::new();
        for (lesson, input) in lessons.iter().zip(input.chunks_exact_mut(inputs)) {
            for (rows, sum) in lesson.segments.iter().zip(input.chunks_exact_mut(width)) {
                room.clear();
                room.extend(rows.iter().copied().filter(|_| rng.random::<f32>() >= study.dropout_rows));
                let factor = 1.0 / (room.len().max(1) as f32).sqrt();
                self.rows.add(&room, sum);
                sum.iter_mut().for_each(|number| *number *= factor);
                uses.extend(room.iter().map(|row| (*row, factors.len() as u32)));
                factors.push(factor);
            }
            input[sums..].copy_from_slice(&lesson.surface);
        }
        let input = Tensor::from_vec(input, (lessons.len(), inputs), &Device::Cpu)?;
        let mut normed = Normed::default();
        alter(&input, |rows| {
            kernels::layer_norm(rows, &self.scale, &self.shift, EPSILON as f32, Some(&mut normed));
        })?;
        let keep_input = keep(lessons.len() * inputs, study.dropout, rng);
        let keep_hidden = keep(lessons.len() * self.hidden.bias.len(), study.dropout_hidden, rng);
        times(&input, &keep_input)?;
        let hidden = self.hidden.forward(&input)?;
        let active = hidden.copy()?;
        alter(&active, kernels::gelu)?;
        times(&active, &keep_hidden)?;
        let logits = self.out.forward(&active)?;
        let mut loss = 0.0;
        // From here on it is the gradient.
        alter(&logits, |logits| {
            for (row, lesson) in logits.chunks_exact_mut(LABELS).zip(lessons) {
                kernels::softmax(row, LABELS, 1.0);
                for (share, target) in row.iter_mut().zip(&lesson.target) {
                    loss -= f64::from(target * lesson.weight) * f64::from(share.max(1e-9)).ln();
                    *share = (*share - target) * lesson.weight;
                }
            }
        })?;
        let out = dense(&self.out, &active, &logits)?;
        let of_hidden = back(&self.out, &logits)?;
        times(&of_hidden, &keep_hidden)?;
        read(&hidden, |hidden| alter(&of_hidden, |gradient| kernels::gelu_backward(hidden, gradient)))??;
        let hidden = dense(&self.hidden, &input, &of_hidden)?;
        let of_input = back(&self.hidden, &of_hidden)?;
        times(&of_input, &keep_input)?;
        let norms = norm(&self.scale, &normed, &of_input)?;
        let of_sums = read(&of_input, |rows| {
            let sums = rows.chunks_exact(inputs).flat_map(|row| row[..sums].chunks_exact(width));
            sums.zip(&factors).flat_map(|(sum, factor)| sum.iter().map(move |number| number * factor)).collect()
        })?;
        Ok(Learned { loss, gradients: [norms, hidden, out].into_iter().flatten().collect(), sums: of_sums, uses })
    }

    /// Learns.
    ///
    /// # Errors
    /// If candle cannot compute something.
    pub fn run(
        &mut self,
        study: &Study,
        lessons: &[Lesson],
        seed: u64,
        workers: &Workers,
        elapsed: &dyn Fn() -> Duration,
        report: &dyn Fn(&str),
    ) -> Result<()> {
        let decays = [0.0, 0.0, study.decay, 0.0, study.decay, 0.0];
        let mut slots: Vec<Slot> =
            self.numbers()?.into_iter().zip(decays).map(|(numbers, decay)| Slot::new(numbers, 1.0, decay)).collect();
        let per_epoch = lessons.len().div_ceil(study.batch);
        let steps = study.epochs * per_epoch;
        let mut order: Vec<usize> = (0..lessons.len()).collect();
        let mut rng = StdRng::seed_from_u64(seed);
        let mut at = 0;
        for epoch in 0..study.epochs {
            order.shuffle(&mut rng);
            let mut loss = 0.0;
            for batch in order.chunks(study.batch) {
                at += 1;
                let share = schedule(at, steps, study.rise);
                let weight: f32 = batch.iter().map(|at| lessons[*at].weight).sum();
                loss += self.step(study, lessons, batch, (seed, at), share, &mut slots, workers)? / f64::from(weight);
            }
            let mean = loss / per_epoch as f64;
            report(&format!("epoch {} of {}, loss {mean:.4}, {} s", epoch + 1, study.epochs, elapsed().as_secs()));
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "the state of a run, split so that parts can be borrowed")]
    fn step(
        &mut self,
        study: &Study,
        lessons: &[Lesson],
        batch: &[usize],
        (seed, at): (u64, usize),
        share: f32,
        slots: &mut [Slot],
        workers: &Workers,
    ) -> Result<f64> {
        let parts: Vec<&[usize]> = batch.chunks(study.batch.div_ceil(PARTS)).collect();
        let learned = workers.map(parts.len(), |part| {
            let mut rng = StdRng::seed_from_u64(seed ^ ((at * PARTS + part) as u64) << 8 ^ 0xfa57);
            let lessons: Vec<&Lesson> = parts[part].iter().map(|at| &lessons[*at]).collect();
            self.learn(study, &lessons, &mut rng)
        });
        let weight: f32 = batch.iter().map(|at| lessons[*at].weight).sum();
        let (mut sums, mut uses, mut loss) = (Vec::new(), Vec::new(), 0.0);
        let mut gradients: Vec<Vec<f32>> = slots.iter().map(|slot| vec![0.0; slot.numbers.len()]).collect();
        for learned in learned {
            let learned = learned?;
            loss += learned.loss;
            let first = (sums.len() / self.rows.width) as u32;
            uses.extend(learned.uses.iter().map(|(row, sum)| (*row, sum + first)));
            sums.extend(learned.sums.iter().map(|number| number / weight));
            for (sum, gradients) in gradients.iter_mut().zip(&learned.gradients) {
                sum.iter_mut().zip(gradients).for_each(|(sum, gradient)| *sum += gradient / weight);
            }
        }
        let factor = clip(&gradients, 5.0, workers);
        step(slots, &gradients, at, study.rate * share, factor, workers);
        self.rows.step(uses, &sums, study.rate_of_rows * share, study.decay_of_rows, workers);
        self.load(slots)?;
        Ok(loss)
    }
}

/// What numbers are multiplied with, so that some are left out and the sum stays about the same.
fn keep(count: usize, dropout: f32, rng: &mut StdRng) -> Vec<f32> {
    let factor = 1.0 / (1.0 - dropout);
    (0..count).map(|_| if rng.random::<f32>() < dropout { 0.0 } else { factor }).collect()
}

fn times(rows: &Tensor, factors: &[f32]) -> candle_core::Result<()> {
    alter(rows, |rows| rows.iter_mut().zip(factors).for_each(|(number, factor)| *number *= factor))
}
