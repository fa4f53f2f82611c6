//! Weights to test with: small, of random numbers, but whole.

use std::sync::OnceLock;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use safetensors::tensor::{Dtype, TensorView};

use super::Classifier;
use super::bundle::{Bundle, digest};
use super::fast::LABELS;
use super::features::{SEGMENTS, Shape};
use super::manifest::{FastEntry, FileEntry, Label, Manifest, TopicEntry, VERSION};
use super::surface::SURFACE;
use super::wordpiece::WordPiece;
use crate::domain::category::BuiltIn;

/// A small shape.
pub(super) fn shape() -> Shape {
    Shape {
        first: 3,
        head: 8,
        middle: 6,
        tail: 8,
        system: 4,
        earlier: 3,
        answer: 3,
        shortest_run: 3,
        longest_run: 5,
        runs_per_piece: 10,
        buckets: 512,
        width: 16,
        hidden: 8,
    }
}

/// The shipped vocabulary.
pub(super) fn wordpiece() -> &'static WordPiece {
    static VOCABULARY: OnceLock<WordPiece> = OnceLock::new();
    VOCABULARY.get_or_init(|| WordPiece::new(include_str!("../../models/category/vocab.txt")).unwrap())
}

/// A tensor of a file.
pub(super) struct Named(pub(super) &'static str, pub(super) Dtype, pub(super) Vec<usize>, pub(super) Vec<u8>);

impl Named {
    fn floats(name: &'static str, shape: &[usize], mut number: impl FnMut() -> f32) -> Self {
        let count: usize = shape.iter().product();
        Self(name, Dtype::F32, shape.to_vec(), (0..count).flat_map(|_| number().to_le_bytes()).collect())
    }

    fn bytes(name: &'static str, shape: &[usize], rng: &mut StdRng) -> Self {
        let count: usize = shape.iter().product();
        Self(name, Dtype::I8, shape.to_vec(), (0..count).map(|_| rng.random::<u8>()).collect())
    }
}

/// A file of tensors.
pub(super) fn file(tensors: &[Named]) -> Bytes {
    let views = tensors
        .iter()
        .map(|Named(name, dtype, shape, bytes)| (*name, TensorView::new(*dtype, shape.clone(), bytes).unwrap()));
    safetensors::serialize(views, None).unwrap().into()
}

/// A set of random weights.
pub(super) fn bundle() -> Bundle {
    let mut rng = StdRng::seed_from_u64(6);
    let shape = shape();
    let (vocabulary, inputs, hidden) = (wordpiece().len(), SEGMENTS * shape.width + SURFACE, shape.hidden);
    let rows = vocabulary + shape.buckets as usize;
    let fast = file(&[
        Named::bytes("table", &[rows, shape.width], &mut rng),
        Named::floats("table_scale", &[rows], || 0.01),
        Named::floats("norm.weight", &[inputs], || 1.0),
        Named::floats("norm.bias", &[inputs], || 0.0),
        Named::floats("hidden.weight", &[hidden, inputs], || rng.random_range(-0.3..0.3)),
        Named::floats("hidden.bias", &[hidden], || 0.0),
        Named::floats("out.weight", &[LABELS, hidden], || 0.1),
        Named::floats("out.bias", &[LABELS], || 0.0),
    ]);
    let topic = file(&[
        Named::bytes("topic", &[vocabulary, 32], &mut rng),
        Named::floats("topic_scale", &[vocabulary], || 0.01),
    ]);
    let background = [
        "write a poem about the sea",
        "how tall is everest",
        "sum of 3 and 4",
        "sort a list in python",
        "hello there",
        "translate good morning into german",
        "the capital of peru",
        "ideas for a birthday",
        "fix the grammar of this line",
        "summarize the report in two lines",
    ];
    let background: String = background.iter().map(|text| format!("{{\"text\":\"{text}\"}}\n")).collect();
    let mut bundle = Bundle {
        manifest: Bytes::new(),
        vocabulary: Bytes::from_static(include_bytes!("../../models/category/vocab.txt")),
        fast,
        strong: Bytes::new(),
        topic,
        background: background.into(),
    };
    bundle.manifest = serde_json::to_vec(&manifest(&bundle)).unwrap().into();
    bundle
}

/// What a set of random weights says of itself.
pub(super) fn manifest(bundle: &Bundle) -> Manifest {
    let entry = |file: &str, bytes: &Bytes| FileEntry { file: file.to_owned(), sha256: digest(bytes) };
    Manifest {
        version: VERSION,
        vocabulary: entry("vocab.txt", &bundle.vocabulary),
        fast: FastEntry {
            weights: entry("fast.safetensors", &bundle.fast),
            shape: shape(),
            temperature: 1.0,
            ask_below: 0.8,
        },
        strong: None,
        topic: TopicEntry {
            weights: entry("topic.safetensors", &bundle.topic),
            background: entry("background.jsonl", &bundle.background),
        },
        labels: BuiltIn::ALL
            .iter()
            .map(|category| Label { name: category.as_str().to_owned(), threshold: 0.5, margin: 0.1 })
            .collect(),
    }
}

/// A classifier of random weights.
pub(super) fn classifier() -> Classifier {
    Classifier::load(&bundle()).unwrap()
}
