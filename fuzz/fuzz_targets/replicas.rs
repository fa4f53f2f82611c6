//! No bytes that another replica left in Redis make us panic: messages about targets, alone and
//! packed, and steps of the journal.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pointsman::fleet::telemetry::unpacked;
use pointsman::stats::share::{Content, Frame};
use pointsman::store::{Position, Step};

fn read(bytes: &[u8]) {
    if let Ok(frame) = Frame::read(bytes) {
        match frame.content {
            Content::Pulses(records) => records.for_each(drop),
            Content::Events(records) => records.for_each(drop),
            Content::Slices(records) => records.for_each(drop),
            Content::Knowledge(records) => records.for_each(drop),
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    read(bytes);
    unpacked(bytes).iter().for_each(|message| read(message));
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let step = Step::of_text(&Position::default(), text.to_owned());
    if let Ok(entry) = step.entry() {
        // What was read is written as rows, and again as the step that it was.
        let _ = entry.row_edits();
        let again = Step::new(&Position::default(), &entry);
        assert_eq!(again.entry().map(|entry| entry.row_edits()).ok(), Some(entry.row_edits()));
    }
});
