//! Whatever other replicas say of targets: a decision can be made afterwards, from numbers that
//! are numbers, and what is told onwards can be read.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use pointsman::domain::feature::FeatureSet;
use pointsman::domain::ids::EndpointIdx;
use pointsman::domain::time::UnixMillis;
use pointsman::routing::facts::Fit;
use pointsman::routing::{Narrowing, Query, RequestFacts, rank};
use pointsman::stats::share::Frame;
use rand::SeedableRng;
use rand::rngs::StdRng;

#[path = "../seeds/targets.rs"]
mod targets;

fuzz_target!(|bytes: &[u8]| {
    let (live, sharing) = targets::replica("here");
    let view = live.view();
    let able = Some(FeatureSet::EMPTY);
    let fit = Fit { openai: able, openai_responses: able, anthropic: able, gemini: able };
    let facts = RequestFacts { fit, prompt_tokens: 1000, stream: true, ..RequestFacts::default() };
    let narrowing = Narrowing::default();
    let mut rng = StdRng::seed_from_u64(1);
    let mut now = UnixMillis(targets::NOW.0 + 2000);
    for (after, aged, message) in targets::messages(bytes) {
        now = now + Duration::from_millis(after.into());
        let _ = sharing.hear(&view, message, Duration::from_millis(aged.into()), now, 0.5);
        for name in targets::STRATEGIES {
            let alias = view.catalog.alias_by_name[name];
            let snapshot = view.snapshot(alias, &facts, &view.operator(), now);
            let query = Query {
                catalog: &view.catalog,
                alias: view.catalog.alias(alias),
                facts: &facts,
                narrowing: &narrowing,
                now,
            };
            let plan = rank(&query, &snapshot, &mut rng);
            assert_eq!(plan.candidates.len() + plan.skipped.len(), targets::TARGETS, "each is somewhere");
            assert!(plan.excess.is_finite(), "{plan:?}");
            for candidate in &plan.candidates {
                assert!(candidate.score.is_none_or(|score| !score.is_nan()), "{plan:?}");
                assert!(!candidate.predicted_s.0.is_nan() && !candidate.predicted_s.1.is_nan(), "{plan:?}");
                assert!(candidate.give_up_s.is_none_or(|seconds| seconds > 0.0), "{plan:?}");
                assert!(candidate.hedge_s.is_none_or(|seconds| seconds >= 0.0), "{plan:?}");
            }
        }
        sharing.collect_slices(&view, now);
        for frame in [sharing.pulses(&view, now), sharing.knowledge(&view, now), sharing.events(&view, now)].concat() {
            assert!(Frame::read(&frame).is_ok(), "what is told onwards is read");
        }
        for endpoint in 0..targets::TARGETS {
            let _ = view.endpoint(EndpointIdx(endpoint as u32)).standing(now);
        }
    }
});
