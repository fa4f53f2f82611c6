//! The strong classifier: an encoder that learns the built-in categories.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

use super::backward::{Learned, Lesson, learn};
use super::checkpoint;
use super::optimiser::{Slot, clip, schedule, step};
use super::workers::Workers;
use crate::classifier::encoder::{Dense, Encoder, Layer, assemble, read};

/// How the strong classifier learns.
#[derive(Clone, Debug)]
pub struct Study {
    /// The layers of the base that are kept, in order. Those in between are left out: what
    /// remains learns to do without them.
    pub layers: Vec<usize>,
    /// Heads of each.
    pub heads: usize,
    /// The most pieces of a conversation.
    pub pieces: usize,
    /// How often each prompt is seen.
    pub epochs: usize,
    /// Prompts that are learned from at once.
    pub batch: usize,
    /// The learning rate of the head, at its highest.
    pub rate: f32,
    /// Each layer learns this much slower than the one after it.
    pub rate_by_layer: f32,
    /// The head learns this much faster than the last layer.
    pub rate_of_head: f32,
    /// The share of all steps in which the learning rate rises.
    pub rise: f32,
    /// How fast matrices go back towards zero.
    pub decay: f32,
    /// The longest that gradients may be.
    pub longest: f64,
    /// How likely all other labels are said to be.
    pub smoothing: f32,
    /// How likely each pooled number is left out.
    pub dropout: f32,
    /// How likely each piece is made unknown.
    pub blank: f32,
    /// Rare categories count more: by the power -`balance` of their share. 0 is all the same.
    pub balance: f32,
    /// Layers, from the first, that stay as they are.
    pub frozen: usize,
}

impl Default for Study {
    fn default() -> Self {
        Self {
            layers: vec![0, 2, 3, 5],
            heads: 12,
            pieces: 96,
            epochs: 3,
            batch: 32,
            rate: 2e-4,
            rate_by_layer: 0.9,
            rate_of_head: 5.0,
            rise: 0.06,
            decay: 0.01,
            longest: 1.0,
            smoothing: 0.05,
            dropout: 0.1,
            blank: 0.03,
            balance: 0.0,
            frozen: 0,
        }
    }
}

/// Into how many parts a batch is cut, whatever the number of threads.
const PARTS: usize = 4;

/// What surrounds a run.
pub struct Surroundings<'a> {
    /// Who does the work.
    pub workers: &'a Workers,
    /// The time since the run began.
    pub elapsed: &'a dyn Fn() -> Duration,
    /// Where to keep what is known in between, and how often.
    pub checkpoint: Option<(PathBuf, Duration)>,
    /// When the run has to be over. It learns from fewer prompts then.
    pub limit: Option<Duration>,
    /// Hears how it goes.
    pub report: &'a dyn Fn(&str),
}

impl Study {
    /// What tells this run from others, in its checkpoint.
    fn name(&self, lessons: &[Lesson], seed: u64) -> String {
        format!("{self:?} {seed} {}", lessons.len())
    }

    /// The numbers of all parts of an encoder, each with its learning rate and decay.
    ///
    /// # Errors
    /// If they do not lie side by side.
    fn slots(&self, encoder: &Encoder) -> Result<Vec<Slot>> {
        let mut slots = Vec::new();
        for (part, numbers) in encoder.shape.parts().iter().zip(numbers(encoder)?) {
            let below = encoder.shape.layers - part.layer;
            let rate = if below == 0 { self.rate_of_head } else { self.rate_by_layer.powi(below as i32 - 1) };
            slots.push(Slot::new(numbers, rate, if part.is_matrix() { self.decay } else { 0.0 }));
        }
        Ok(slots)
    }

    /// Teaches an encoder.
    ///
    /// # Errors
    /// If candle cannot compute something, or a checkpoint cannot be written or read.
    pub fn run(&self, encoder: &mut Encoder, lessons: &[Lesson], seed: u64, around: &Surroundings<'_>) -> Result<()> {
        let mut slots = self.slots(encoder)?;
        let steps = self.epochs * lessons.len().div_ceil(self.batch);
        let name = self.name(lessons, seed);
        let mut done = 0;
        if let Some((path, _)) = &around.checkpoint
            && let Some(step) = checkpoint::read(path, &name, &mut slots)?
        {
            (around.report)(&format!("goes on after step {step} of {steps}"));
            done = step;
            load(encoder, &slots)?;
        }
        let (began, first) = ((around.elapsed)(), done);
        let (mut kept, mut said, mut loss) = (began, began, 0.0);
        for at in done..steps {
            let now = (around.elapsed)();
            if let Some((path, every)) = &around.checkpoint
                && now - kept >= *every
            {
                checkpoint::write(path, &name, at, &slots)?;
                kept = now;
            }
            if around.limit.is_some_and(|limit| now >= limit) {
                (around.report)(&format!("time is over after step {at} of {steps}"));
                break;
            }
            // Whoever has to be over early slows down in time.
            let late = around.limit.map_or(0.0, |limit| now.as_secs_f64() / limit.as_secs_f64().max(1.0));
            let pace = schedule((at + 1).max((late * steps as f64) as usize), steps, self.rise);
            let batch = self.batch_of(lessons, seed, at);
            let (rows, mut gradients) = self.learn(encoder, &batch, seed, at, around.workers)?;
            let factor = clip(&gradients, self.longest, around.workers);
            step(&mut slots, &gradients, at + 1, self.rate * pace, factor, around.workers);
            gradients.clear();
            load(encoder, &slots)?;
            loss = if at == first { rows } else { 0.98 * loss + 0.02 * rows };
            if now - said >= Duration::from_secs(10) {
                said = now;
                let each = (now - began) / (at - first).max(1) as u32;
                let left = each * (steps - at) as u32;
                (around.report)(&format!("step {at}/{steps}, loss {loss:.4}, {} s left", left.as_secs()));
            }
        }
        if let Some((path, _)) = &around.checkpoint
            && path.exists()
        {
            std::fs::remove_file(path)?;
        }
        Ok(())
    }

    /// The lessons of a step: each epoch has an order of its own.
    fn batch_of<'a>(&self, lessons: &'a [Lesson], seed: u64, at: usize) -> Vec<&'a Lesson> {
        let per_epoch = lessons.len().div_ceil(self.batch);
        let mut order: Vec<usize> = (0..lessons.len()).collect();
        order.shuffle(&mut StdRng::seed_from_u64(seed ^ (1 + at as u64 / per_epoch as u64) << 32));
        let batch = order.iter().skip(at % per_epoch * self.batch).take(self.batch);
        batch.map(|at| &lessons[*at]).collect()
    }

    /// The mean loss and gradients of a batch.
    fn learn(
        &self,
        encoder: &Encoder,
        batch: &[&Lesson],
        seed: u64,
        at: usize,
        workers: &Workers,
    ) -> Result<(f64, Vec<Vec<f32>>)> {
        // Long ones first, dealt like cards, so that all parts take about as long.
        let mut sorted = batch.to_vec();
        sorted.sort_by_key(|lesson| std::cmp::Reverse(lesson.pieces.len()));
        let parts: Vec<Vec<&Lesson>> =
            (0..PARTS).map(|part| sorted.iter().skip(part).step_by(PARTS).copied().collect()).collect();
        let learned = workers.map(PARTS, |part| {
            let mut rng = StdRng::seed_from_u64(seed ^ ((at * PARTS + part) as u64) << 8 ^ 0xd0d0);
            let blanked: Vec<Lesson> = parts[part].iter().map(|lesson| self.blanked(lesson, &mut rng)).collect();
            let blanked: Vec<&Lesson> = blanked.iter().collect();
            let numbers = blanked.len() * 2 * encoder.shape.width;
            let keep = 1.0 - self.dropout;
            let keep: Vec<f32> =
                (0..numbers).map(|_| if rng.random::<f32>() < keep { 1.0 / keep } else { 0.0 }).collect();
            if blanked.is_empty() {
                return Ok(Learned { loss: 0.0, gradients: vec![Vec::new(); encoder.shape.parts().len()] });
            }
            learn(encoder, &blanked, Some(&keep), self.frozen)
        });
        let learned: Vec<Learned> = learned.into_iter().collect::<candle_core::Result<_>>()?;
        let weight: f32 = batch.iter().map(|lesson| lesson.weight).sum();
        let gradients = workers.map(learned[0].gradients.len(), |part| {
            let mut sum = learned[0].gradients[part].clone();
            for other in &learned[1..] {
                sum.iter_mut().zip(&other.gradients[part]).for_each(|(sum, gradient)| *sum += gradient);
            }
            sum.iter_mut().for_each(|sum| *sum /= weight);
            sum
        });
        Ok((learned.iter().map(|learned| learned.loss).sum::<f64>() / f64::from(weight), gradients))
    }

    /// A lesson some of whose pieces cannot be read. The first and the last are no words.
    fn blanked(&self, lesson: &Lesson, rng: &mut StdRng) -> Lesson {
        let mut lesson = lesson.clone();
        let last = lesson.pieces.len().saturating_sub(1);
        for piece in lesson.pieces.iter_mut().take(last).skip(1) {
            if rng.random::<f32>() < self.blank {
                *piece = UNKNOWN;
            }
        }
        lesson
    }
}

/// `[UNK]` in the vocabulary of the base.
const UNKNOWN: u32 = 100;

/// The numbers of all parts of an encoder, in their order.
///
/// # Errors
/// If they do not lie side by side.
pub fn numbers(encoder: &Encoder) -> candle_core::Result<Vec<Vec<f32>>> {
    let mut all = Vec::new();
    let dense = |dense: &Dense, all: &mut Vec<Vec<f32>>| -> candle_core::Result<()> {
        all.push(read(&dense.weight, <[f32]>::to_vec)?);
        all.push(dense.bias.clone());
        Ok(())
    };
    for Layer { qkv, gathered, attended, up, down, fed } in &encoder.layers {
        dense(qkv, &mut all)?;
        dense(gathered, &mut all)?;
        all.extend([attended.scale.clone(), attended.shift.clone()]);
        dense(up, &mut all)?;
        dense(down, &mut all)?;
        all.extend([fed.scale.clone(), fed.shift.clone()]);
    }
    dense(&encoder.head, &mut all)?;
    Ok(all)
}

fn load(encoder: &mut Encoder, slots: &[Slot]) -> candle_core::Result<()> {
    let parts = slots.iter().map(|slot| slot.numbers.clone());
    (encoder.layers, encoder.head) = assemble(&encoder.shape, parts)?;
    Ok(())
}

/// The logits of texts.
///
/// # Errors
/// If candle cannot compute them.
pub fn logits(encoder: &Encoder, texts: &[&[u32]], workers: &Workers) -> candle_core::Result<Vec<Vec<f32>>> {
    workers.map(texts.len(), |at| encoder.logits(texts[at])).into_iter().collect()
}
