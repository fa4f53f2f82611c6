//! No configuration of LiteLLM's makes the importer panic, and what it makes is one of ours.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let none = |_: &str| None;
    let no_files = |_: &std::path::Path| Err(std::io::ErrorKind::NotFound.into());
    if let Ok(import) = pointsman::import::from_litellm(text, "config.yaml", &none) {
        pointsman::config::parse(&import.toml, &none, &no_files).expect("a configuration");
    }
});
