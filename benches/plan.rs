//! What does a decision cost? `rank` over 2, 8 and 64 targets that are all well, with the
//! allocations it makes. `cargo bench --bench plan`.

use std::fmt::Write as _;

use divan::{AllocProfiler, Bencher};
use pointsman::config;
use pointsman::domain::catalog::Catalog;
use pointsman::domain::feature::FeatureSet;
use pointsman::domain::ids::EndpointIdx;
use pointsman::domain::time::UnixMillis;
use pointsman::health::Standing;
use pointsman::routing::facts::Fit;
use pointsman::routing::{EndpointState, Narrowing, Query, RequestFacts, rank};
use rand::SeedableRng;
use rand::rngs::StdRng;

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

const TARGETS: [usize; 3] = [2, 8, 64];

fn main() {
    divan::main();
}

#[divan::bench(args = TARGETS)]
fn priority(bencher: Bencher<'_, '_>, targets: usize) {
    decide(bencher, "priority", targets);
}

#[divan::bench(args = TARGETS)]
fn random_shuffle(bencher: Bencher<'_, '_>, targets: usize) {
    decide(bencher, "random-shuffle", targets);
}

fn decide(bencher: Bencher<'_, '_>, strategy: &str, targets: usize) {
    let catalog = catalog(strategy, targets);
    let alias = catalog.alias(catalog.alias_by_name["bench"]);
    let able = Some(FeatureSet::EMPTY);
    let facts = RequestFacts {
        fit: Fit { openai: able, openai_responses: able, anthropic: able, gemini: able },
        prompt_tokens: 1000,
        ..RequestFacts::default()
    };
    let narrowing = Narrowing::default();
    let query = Query { catalog: &catalog, alias, facts: &facts, narrowing: &narrowing, now: UnixMillis(1_000_000) };
    let observed = |_: EndpointIdx| EndpointState { standing: Standing::Ready { share: 1.0 }, full: false };
    let mut rng = StdRng::seed_from_u64(1);
    bencher.bench_local(|| {
        let plan = rank(&query, &observed, &mut rng);
        assert_eq!(plan.candidates.len(), targets);
        plan
    });
}

/// An alias over so many models, each at a provider of its own.
fn catalog(strategy: &str, targets: usize) -> Catalog {
    let mut text = String::new();
    let mut list = String::new();
    for at in 0..targets {
        // Writing to a String does not fail.
        let _ = write!(
            text,
            "[[providers]]\nid = \"p{at}\"\nprotocol = \"openai\"\nbase_url = \"http://127.0.0.1:9/v1\"\nauth = \"none\"\n\
             [[models]]\nid = \"p{at}/m\"\n[[models.endpoints]]\nprovider = \"p{at}\"\nupstream_model = \"m\"\n"
        );
        let _ = write!(list, "{{ model = \"p{at}/m\", weight = {} }}, ", at + 1);
    }
    let _ = write!(text, "[[aliases]]\nname = \"bench\"\nstrategy = \"{strategy}\"\ntargets = [{list}]\n");
    let files = |_: &std::path::Path| Err(std::io::ErrorKind::NotFound.into());
    match config::parse(&text, &|_| None, &files) {
        Ok(config) => config.catalog,
        Err(problems) => panic!("{problems}"),
    }
}
