//! No form makes the reader panic, and the span it finds is the model's name.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pointsman::proxy::multipart::peek;

fuzz_target!(|body: &[u8]| {
    if let Ok(peek) = peek(body, "x") {
        assert_eq!(&body[peek.model_span], peek.model.as_bytes());
    }
});
