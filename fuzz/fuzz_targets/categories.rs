//! No categories of an operator's own make their reader or the classifier panic: whatever belongs
//! to them, every prompt has a confidence, and a choice among what there is.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pointsman::classifier::{Choice, Classifier};
use pointsman::config::categories_of_json;
use pointsman::domain::category::{CategoryScheme, Tier};
use pointsman::domain::conversation::Conversation;
use serde_json::{Map, Value};

fuzz_target!(|text: &str| {
    let Ok(list) = serde_json::from_str::<Vec<Map<String, Value>>>(text) else { return };
    let Ok(categories) = categories_of_json(&list) else { return };
    let Ok(classifier) = Classifier::shipped() else { panic!("the shipped weights are not whole") };
    let count = categories.len();
    let sorter = classifier.sorter(&CategoryScheme { categories, tier: Tier::Fast, budget: std::time::Duration::ZERO });
    for prompt in ["Write a poem about the sea.", text] {
        let judgement = sorter.fast(&Conversation::prompt(prompt));
        assert!((0.0..=1.0).contains(&judgement.confidence), "{judgement:?}");
        assert!(!matches!(judgement.choice, Choice::Category(at) if at >= count), "{judgement:?}");
    }
});
