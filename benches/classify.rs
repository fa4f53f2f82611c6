//! What does it cost to know a prompt's category? `cargo bench --bench classify`.
//!
//! The fast classifier and its parts by the length of a prompt, tokenizing included; the strong
//! one, where the weights have one; learning an operator's categories.

use std::hint::black_box;
use std::time::Duration;

use divan::{AllocProfiler, Bencher};
use pointsman::classifier::features::Features;
use pointsman::classifier::{Classifier, Sorter};
use pointsman::domain::category::{BuiltIn, CategoryKind, CategoryScheme, CategorySpec, Tier};
use pointsman::domain::conversation::Conversation;
use pointsman::domain::ids::CategoryName;

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// Lengths in words, of which most are one token.
const LENGTHS: [usize; 5] = [5, 25, 100, 1000, 25_000];

/// Words as they come in prompts; nearly all are one piece.
const WORDS: &str = "please write a short and friendly answer to the customer who asked why his order \
    has not arrived yet and offer a discount on the next one if that helps; in German (two paragraphs), \
    then explain how the function below works: let total = items.iter().map(|item| item.price).sum(); \
    What is the capital of Australia? Überprüfe bitte, ob die Rechnung stimmt. 日本語に翻訳してください。";

fn prompt(words: usize) -> Conversation {
    let text: Vec<&str> = WORDS.split(' ').cycle().take(words).collect();
    Conversation::prompt(&text.join(" "))
}

fn classifier() -> &'static Classifier {
    match Classifier::shipped() {
        Ok(classifier) => classifier,
        Err(error) => panic!("{error}"),
    }
}

fn built_in() -> Vec<CategorySpec> {
    let spec = |category: BuiltIn| CategorySpec {
        name: CategoryName::new(category.as_str()),
        kind: CategoryKind::BuiltIn(category),
        threshold: None,
        margin: None,
    };
    BuiltIn::ALL.into_iter().map(spec).collect()
}

/// So many own categories of ten examples each.
fn own(categories: usize) -> Vec<CategorySpec> {
    let words: Vec<&str> = WORDS.split(' ').collect();
    let example = |category: usize, at: usize| {
        let from = (category * 7 + at * 3) % words.len();
        words.iter().cycle().skip(from).take(12).copied().collect::<Vec<_>>().join(" ")
    };
    let spec = |category: usize| CategorySpec {
        name: CategoryName::new(format!("own-{category}")),
        kind: CategoryKind::Own {
            description: Some(example(category, 11)),
            examples: (0..10).map(|at| example(category, at)).collect(),
        },
        threshold: None,
        margin: None,
    };
    (0..categories).map(spec).collect()
}

fn sorter(categories: Vec<CategorySpec>) -> Sorter {
    let scheme = CategoryScheme { categories, tier: Tier::Cascade, budget: Duration::ZERO };
    classifier().sorter(&scheme)
}

#[divan::bench(args = LENGTHS)]
fn fast(bencher: Bencher, words: usize) {
    let (sorter, prompt) = (sorter(built_in()), prompt(words));
    bencher.bench_local(|| sorter.fast(black_box(&prompt)));
}

#[divan::bench(args = LENGTHS)]
fn fast_with_20_own(bencher: Bencher, words: usize) {
    let (sorter, prompt) = (sorter(own(20)), prompt(words));
    bencher.bench_local(|| sorter.fast(black_box(&prompt)));
}

#[divan::bench(args = LENGTHS)]
fn features_only(bencher: Bencher, words: usize) {
    let (classifier, prompt) = (classifier(), prompt(words));
    let mut features = Features::default();
    bencher.bench_local(|| classifier.features(black_box(&prompt), &mut features));
}

#[divan::bench(args = LENGTHS)]
fn table_and_network(bencher: Bencher, words: usize) {
    let (classifier, prompt) = (classifier(), prompt(words));
    let mut features = Features::default();
    classifier.features(&prompt, &mut features);
    bencher.bench_local(|| classifier.fast_logits(black_box(&features)));
}

/// The strong classifier; nothing is measured where the weights have none.
#[divan::bench(args = LENGTHS)]
fn strong(bencher: Bencher, words: usize) {
    let (classifier, prompt) = (classifier(), prompt(words));
    bencher.bench_local(|| classifier.strong_logits(black_box(&prompt)));
}

/// What a change of the configuration waits for.
#[divan::bench(args = [1, 5, 20])]
fn learn_own_of_10_examples(bencher: Bencher, categories: usize) {
    let specs = own(categories);
    bencher.bench_local(|| sorter(black_box(specs.clone())));
}
