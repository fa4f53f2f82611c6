//! No bytes make the classifier panic, and what it sees of them stays within its bounds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pointsman::classifier::Classifier;
use pointsman::classifier::features::Features;
use pointsman::classifier::labelled;
use pointsman::domain::conversation::Passage;

fuzz_target!(|body: &[u8]| {
    let Ok(classifier) = Classifier::shipped() else { panic!("the shipped weights are not whole") };
    let text = String::from_utf8_lossy(body);
    let mut conversation = labelled::conversation(&text);
    let mut features = Features::default();
    // Once as it is, once as a long prompt in its own context.
    for _ in 0..2 {
        classifier.features(&conversation, &mut features);
        let shape = &classifier.manifest().fast.shape;
        let most = (shape.head + shape.tail) * (2 + shape.runs_per_piece)
            + 2 * (shape.middle + shape.system + shape.earlier + shape.answer + shape.first)
            + 16;
        assert!(features.segments.iter().map(Vec::len).sum::<usize>() <= most);
        assert!(features.surface.iter().all(|number| (0.0..=1.5).contains(number)));
        let logits = classifier.fast_logits(&features).unwrap_or([f32::NAN; 13]);
        assert!(logits.iter().all(|logit| logit.is_finite()), "{logits:?}");
        conversation.system = Passage::new(&text);
        conversation.prompt = Passage::new(&text.repeat(9000 / text.len().max(1)));
    }
});
