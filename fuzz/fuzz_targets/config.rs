//! No configuration file makes the parser panic.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let none = |_: &str| None;
    let no_files = |_: &std::path::Path| Err(std::io::ErrorKind::NotFound.into());
    let _ = pointsman::config::parse(text, &none, &no_files);
});
