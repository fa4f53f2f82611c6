//! Does the same request become the same provider body, whichever dialect it comes in?
//!
//! `tests/golden/<case>/{chat,messages,responses}.json` say one thing in each client dialect
//! that can say it; `expected/{openai,anthropic,gemini}.json` is what every one of them
//! becomes for a provider. Where a dialect says a little more or less than the others, its
//! result stands in `expected/<protocol>.from-<dialect>.json`. What a protocol cannot say is
//! `{"unsupported": "<feature>"}`.
//!
//! `UPDATE_GOLDEN=1 cargo test --test it golden` writes what comes out; read the difference
//! before you commit it, since these files are a contract.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use pointsman::domain::provider::{OpenAiQuirks, OutputLimitField, Protocol};
use pointsman::wire::chat::ChatRequest;
use pointsman::wire::error::BadRequest;
use pointsman::wire::meta::EncodeFor;
use pointsman::wire::{anthropic, gemini, openai, responses};
use serde_json::{Value, json};

use crate::support::python;

type Decode = fn(&[u8]) -> Result<ChatRequest, BadRequest>;

/// A client's dialect: its name in file names, and its reader.
const DIALECTS: [(&str, Decode); 3] = [
    ("chat", openai::request::decode_request),
    ("messages", anthropic::request::decode_request),
    ("responses", responses::request::decode_request),
];

fn encode(request: &ChatRequest, protocol: Protocol) -> Value {
    let to = EncodeFor {
        model: "upstream-model",
        max_output_tokens: Some(4096),
        quirks: OpenAiQuirks {
            responses_api: false,
            stream_usage: true,
            output_limit: OutputLimitField::MaxCompletionTokens,
        },
        drop_unsupported: false,
    };
    let body = match protocol {
        Protocol::OpenAi => openai::request::encode_request(request, &to),
        Protocol::Anthropic => anthropic::request::encode_request(request, &to),
        Protocol::Gemini => gemini::request::encode_request(request, &to),
    };
    match body {
        Ok(body) => serde_json::from_slice(&body).expect("a provider body is JSON"),
        Err(unsupported) => json!({"unsupported": unsupported.feature.as_str()}),
    }
}

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join("golden");
    let mut cases: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.retain(|path| path.is_dir());
    cases.sort();
    cases
}

/// What each dialect of a case becomes for a protocol, by dialect.
fn outcomes(case: &Path, protocol: Protocol) -> BTreeMap<&'static str, Value> {
    let mut outcomes = BTreeMap::new();
    for (dialect, decode) in DIALECTS {
        let Ok(body) = fs::read(case.join(format!("{dialect}.json"))) else { continue };
        let request = decode(&body).unwrap_or_else(|error| panic!("{}, {dialect}: {error}", case.display()));
        outcomes.insert(dialect, encode(&request, protocol));
    }
    assert!(!outcomes.is_empty(), "{} has no request", case.display());
    outcomes
}

/// The expected body: the dialect's own if there is one, else that of all.
fn expected(folder: &Path, protocol: Protocol, dialect: &str) -> Value {
    let protocol = protocol.as_str();
    let own = folder.join(format!("{protocol}.from-{dialect}.json"));
    let file = if own.exists() { own } else { folder.join(format!("{protocol}.json")) };
    let text = fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// Writes one file for all dialects, and one more for each that differs from the first.
fn update(folder: &Path, protocol: Protocol, outcomes: &BTreeMap<&str, Value>) {
    let write = |name: String, value: &Value| {
        let text = serde_json::to_string_pretty(value).unwrap() + "\n";
        fs::write(folder.join(name), text).unwrap();
    };
    fs::create_dir_all(folder).unwrap();
    let protocol = protocol.as_str();
    let common = outcomes.values().next().unwrap();
    write(format!("{protocol}.json"), common);
    for (dialect, value) in outcomes {
        let name = format!("{protocol}.from-{dialect}.json");
        if value == common {
            // It may never have been there.
            let _ = fs::remove_file(folder.join(name));
        } else {
            write(name, value);
        }
    }
}

#[test]
fn one_request_becomes_one_body_from_every_dialect() {
    let updating = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut wrong = String::new();
    let mut checked = 0;
    for case in cases() {
        let folder = case.join("expected");
        for (_, protocol) in Protocol::ALL {
            let outcomes = outcomes(&case, protocol);
            if updating {
                update(&folder, protocol, &outcomes);
            }
            for (dialect, got) in outcomes {
                checked += 1;
                let expected = expected(&folder, protocol, dialect);
                if got != expected {
                    let (name, protocol) = (case.file_name().unwrap().display(), protocol.as_str());
                    wrong += &format!("{name}: {dialect} for {protocol}\n  expected {expected}\n  got      {got}\n");
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(checked > 150, "cases have gone missing: {checked} checked");
}

#[tokio::test]
async fn every_body_is_what_the_sdks_own_types_allow() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join("golden");
    let seen = python::run("golden.py", &[&folder.display().to_string()], &[]).await;
    assert!(seen.len() > 100, "bodies have gone missing: {seen:#?}");
}
