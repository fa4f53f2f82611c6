//! One run of training: from arguments to files.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};

use super::backward::Lesson;
use super::base::Base;
use super::data::{self, Sample, Use};
use super::export::{Whole, bytes};
use super::report::Report;
use super::strong::{Study, Surroundings, logits, numbers};
use super::workers::Workers;
use super::{fast, finish};
use super::{teacher, topic};
use crate::classifier::encoder::input;
use crate::classifier::fast::{Fast, LABELS};
use crate::classifier::features::{Features, Featuriser};
use crate::classifier::wordpiece::WordPiece;
use crate::clock::Clock;

/// What to train.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum What {
    /// The fast classifier. It learns from the strong one, if that was trained before.
    Fast,
    /// The strong classifier.
    Strong,
    /// The strong classifier, then the fast one.
    All,
}

/// Makes the classifier's weights.
#[derive(Clone, Debug, Parser)]
pub struct Arguments {
    /// What to train.
    #[arg(value_enum, default_value = "all")]
    pub what: What,
    /// The labelled prompts: `train.jsonl.gz`, `validation.jsonl.gz` and `own/*.jsonl`.
    #[arg(long)]
    pub data: PathBuf,
    /// More labelled prompts, `own/*.jsonl`.
    #[arg(long, default_value = "models/category/data")]
    pub more: PathBuf,
    /// The encoder to begin with: a safetensors file, or a Python package with one.
    #[arg(long)]
    pub base: PathBuf,
    /// Where the weights go; `vocab.txt` is there already.
    #[arg(long, default_value = "models/category")]
    pub out: PathBuf,
    /// Where checkpoints, the teacher's logits and reports go.
    #[arg(long, default_value = "target/training")]
    pub work: PathBuf,
    /// The same seed gives the same weights.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// The strong classifier stops learning after so long.
    #[arg(long)]
    pub limit_minutes: Option<u64>,
    /// Also learn from prompts whose licence nobody states.
    #[arg(long)]
    pub unclear_licences: bool,
    /// Threads; 0 is one for each processor. The weights do not depend on it.
    #[arg(long, default_value_t = 0)]
    pub threads: usize,
    /// Learn from only so many prompts.
    #[arg(long)]
    pub sample: Option<usize>,
    /// The layers of the base that the strong classifier keeps, such as 0,2,3,5.
    #[arg(long, value_delimiter = ',')]
    pub layers: Option<Vec<usize>>,
    /// The most pieces that the strong classifier reads.
    #[arg(long)]
    pub pieces: Option<usize>,
    /// How often the strong classifier sees each prompt.
    #[arg(long)]
    pub epochs: Option<usize>,
    /// The strong classifier's learning rate.
    #[arg(long)]
    pub rate: Option<f32>,
}

/// How many layers the base has.
const BASE_LAYERS: usize = 6;

/// How often a run keeps what it knows.
const KEEP: Duration = Duration::from_secs(300);

impl Arguments {
    /// Trains, and writes what came of it.
    ///
    /// # Errors
    /// If a file cannot be read or written, or is not what it should be.
    pub fn run(&self) -> Result<()> {
        fs::create_dir_all(&self.work).with_context(|| format!("{}", self.work.display()))?;
        let mut samples = data::read(&self.data, Some(&self.more), self.unclear_licences)?;
        if let Some(most) = self.sample {
            samples.truncate(most);
        }
        let count = |used| samples.iter().filter(|sample| sample.used == used).count();
        println!(
            "{} prompts to learn from, {} to tune by, {} held out, {} of unseen sources",
            count(Use::Training),
            count(Use::Tuning) + count(Use::Written),
            count(Use::HeldOut),
            count(Use::Unseen)
        );
        let vocabulary = self.out.join("vocab.txt");
        let vocabulary = fs::read_to_string(&vocabulary).with_context(|| format!("{}", vocabulary.display()))?;
        let words = WordPiece::new(&vocabulary).map_err(anyhow::Error::msg)?;
        let workers = Workers::new(self.threads)?;
        let base = Base::read(&self.base)?;
        self.topic(&samples, &words, &base, &workers)?;
        if self.what != What::Fast {
            self.strong(&samples, &words, &base, &workers)?;
        }
        if self.what != What::Strong {
            self.fast(&samples, &words, &base, &workers)?;
        }
        Ok(())
    }

    fn topic(&self, samples: &[Sample], words: &WordPiece, base: &Base, workers: &Workers) -> Result<()> {
        let vectors = topic::vectors(base, BASE_LAYERS, self.study().heads, words, workers)?;
        fs::write(self.out.join("topic.safetensors"), vectors)?;
        fs::write(self.out.join("background.jsonl"), topic::background(samples))?;
        Ok(())
    }

    fn fast(&self, samples: &[Sample], words: &WordPiece, base: &Base, workers: &Workers) -> Result<()> {
        let study = fast::Study::default();
        let clock = Clock::new();
        let began = clock.now();
        let teacher = teacher::read(&self.work.join("strong.logits"))?;
        println!("fast: {} prompts have a teacher", samples.iter().filter(|s| teacher.contains_key(&s.hash)).count());
        let looker = Featuriser::new(study.shape.clone());
        let seen: Vec<Features> = workers.map(samples.len(), |at| {
            let mut features = Features::default();
            looker.look(words, &samples[at].conversation, &mut features);
            features
        });
        let lessons = fast::lessons(&study, samples, &seen, &teacher);
        let pieces = fast::meanings(&study, base)?;
        let mut model = fast::Model::new(&study.shape, pieces, self.seed)?;
        let report = |line: &str| println!("fast: {line}");
        model.run(&study, &lessons, self.seed, workers, &|| clock.now().since(began), &report)?;
        println!("fast: trained in {} s", clock.now().since(began).as_secs());
        let file = bytes::Bytes::from(model.file()?);
        let shipped = Fast::read(&file, &study.shape, words.len()).map_err(anyhow::Error::msg)?;
        let judged: candle_core::Result<Vec<[f32; LABELS]>> =
            workers.map(samples.len(), |at| shipped.logits(&seen[at])).into_iter().collect();
        let judged = judged?;
        fs::write(self.out.join("fast.safetensors"), &file)?;
        let rows: Vec<Vec<f32>> = judged.iter().map(|logits| logits.to_vec()).collect();
        let report = Report::new(samples, &rows);
        println!("{report}");
        fs::write(self.work.join("fast.txt"), report.to_string())?;
        let strong: Option<Vec<[f32; LABELS]>> =
            samples.iter().map(|sample| teacher.get(&sample.hash).copied()).collect();
        let strong_study = self.study();
        finish::write(
            &self.out,
            &finish::Results {
                samples,
                shape: &study.shape,
                fast: &judged,
                strong: strong.as_deref(),
                size: (strong_study.layers.len(), strong_study.heads, strong_study.pieces),
                command: format!(
                    "cargo run --release --features training --bin train -- all --data DIR --base FILE --seed {}{}",
                    self.seed,
                    if self.unclear_licences { " --unclear-licences" } else { "" }
                ),
            },
        )
    }

    fn study(&self) -> Study {
        let usual = Study::default();
        Study {
            layers: self.layers.clone().unwrap_or(usual.layers),
            pieces: self.pieces.unwrap_or(usual.pieces),
            epochs: self.epochs.unwrap_or(usual.epochs),
            rate: self.rate.unwrap_or(usual.rate),
            ..usual
        }
    }

    fn strong(&self, samples: &[Sample], words: &WordPiece, base: &Base, workers: &Workers) -> Result<()> {
        let study = self.study();
        let clock = Clock::new();
        let began = clock.now();
        let texts: Vec<Vec<u32>> =
            samples.iter().map(|sample| input::pieces(words, &sample.conversation, study.pieces)).collect();
        let lessons = lessons(&study, samples, &texts);
        let pieces: usize = lessons.iter().map(|lesson| lesson.pieces.len()).sum();
        println!("strong: {} prompts of {} pieces on average", lessons.len(), pieces / lessons.len().max(1));
        let mut encoder = base.encoder(&study.layers, study.heads, study.pieces, self.seed)?;
        let around = Surroundings {
            workers,
            elapsed: &|| clock.now().since(began),
            checkpoint: Some((self.work.join("strong.checkpoint"), KEEP)),
            limit: self.limit_minutes.map(|minutes| Duration::from_secs(60 * minutes)),
            report: &|line| println!("strong: {line}"),
        };
        study.run(&mut encoder, &lessons, self.seed, &around)?;
        println!("strong: trained in {} s", clock.now().since(began).as_secs());
        let whole = Whole {
            shape: encoder.shape,
            pieces: base.pieces()?.1,
            positions: &encoder.positions,
            scale: &encoder.embedded.scale,
            shift: &encoder.embedded.shift,
        };
        let file = bytes(&whole, &numbers(&encoder)?)?;
        // What is judged, and what the fast classifier learns from, is what is shipped.
        let file = bytes::Bytes::from(file);
        let shape = encoder.shape;
        let shipped =
            crate::classifier::encoder::Encoder::read(&file, shape.layers, shape.heads, shape.pieces, words.len())
                .map_err(anyhow::Error::msg)?;
        let texts: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
        let judged = logits(&shipped, &texts, workers)?;
        fs::write(self.out.join("strong.safetensors"), &file)?;
        teacher::write(&self.work.join("strong.logits"), samples, &judged)?;
        let report = Report::new(samples, &judged);
        println!("{report}");
        fs::write(self.work.join("strong.txt"), report.to_string())?;
        Ok(())
    }
}

/// What the strong classifier learns from, in an order that no file decides.
fn lessons(study: &Study, samples: &[Sample], texts: &[Vec<u32>]) -> Vec<Lesson> {
    let learned: Vec<usize> = (0..samples.len()).filter(|at| samples[*at].used == Use::Training).collect();
    let mut counts = [0usize; LABELS];
    learned.iter().for_each(|at| counts[samples[*at].label.index()] += 1);
    let lesson = |at: &usize| {
        let label = samples[*at].label.index();
        let mut target = vec![study.smoothing / LABELS as f32; LABELS];
        target[label] += 1.0 - study.smoothing;
        let share = counts[label] as f32 * LABELS as f32 / learned.len() as f32;
        Lesson { pieces: texts[*at].clone(), target, weight: share.powf(-study.balance) }
    };
    learned.iter().map(lesson).collect()
}
