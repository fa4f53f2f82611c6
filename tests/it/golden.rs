//! Does the same request become the same provider body, whichever dialect it comes in? And
//! the same answer the same reply, whichever protocol it comes from?
//!
//! A case is a folder of `tests/golden/`:
//!
//! | files | what they are |
//! |---|---|
//! | `{chat,messages,responses}.json` | one request, in each client dialect that can say it |
//! | `expected/{openai,anthropic,gemini}.json` | what every one of them becomes for a provider |
//! | `answer/{openai,anthropic,gemini}.json` | one answer, in each provider protocol |
//! | `answer/expected/{chat,messages,responses}.json` | what every one of them becomes for a client |
//!
//! Where one source says a little more or less than the others, its result stands in
//! `expected/<to>.from-<source>.json`. What a protocol cannot say is
//! `{"unsupported": "<feature>"}`.
//!
//! `UPDATE_GOLDEN=1 cargo test --test it golden` writes what comes out; read the difference
//! before you commit it, since these files are a contract.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use pointsman::domain::provider::{OpenAiQuirks, OutputLimitField};
use pointsman::wire::chat::{ChatRequest, ChatResponse};
use pointsman::wire::error::{BadRequest, Malformed, Unsupported};
use pointsman::wire::meta::{EncodeFor, ReplyMeta};
use pointsman::wire::{anthropic, gemini, openai, responses};
use serde_json::{Value, json};

use crate::support::python;

type DecodeRequest = fn(&[u8]) -> Result<ChatRequest, BadRequest>;
type EncodeRequest = fn(&ChatRequest, &EncodeFor<'_>) -> Result<Vec<u8>, Unsupported>;
type DecodeAnswer = fn(&[u8]) -> Result<ChatResponse, Malformed>;
type EncodeAnswer = fn(&ChatResponse, &ReplyMeta, &Path) -> Vec<u8>;

/// The dialects of clients: how a request is read and an answer is written.
const CLIENTS: [(&str, DecodeRequest, EncodeAnswer); 3] = [
    ("chat", openai::decode_request, |answer, meta, _| openai::encode_response(answer, meta)),
    ("messages", anthropic::decode_request, |answer, meta, _| anthropic::encode_response(answer, meta)),
    ("responses", responses::decode_request, |answer, meta, case| {
        // This reply repeats parts of the request.
        let request = fs::read(case.join("responses.json")).unwrap_or_else(|_| b"{}".to_vec());
        responses::encode_response(answer, meta, &responses::echo(&request))
    }),
];

/// The protocols of providers: how a request is written and an answer is read, and a model
/// whose name tells the encoders what it takes.
const PROVIDERS: [(&str, EncodeRequest, DecodeAnswer, &str); 3] = [
    ("openai", openai::encode_request, openai::decode_response, "gpt-5.5"),
    ("anthropic", anthropic::encode_request, anthropic::decode_response, "claude-sonnet-4-6"),
    ("gemini", gemini::encode_request, gemini::decode_response, "gemini-3-pro-preview"),
];

fn encode_for(model: &str) -> EncodeFor<'_> {
    let quirks =
        OpenAiQuirks { responses_api: false, stream_usage: true, output_limit: OutputLimitField::MaxCompletionTokens };
    EncodeFor { model, max_output_tokens: Some(16_384), quirks, drop_unsupported: false }
}

fn cases() -> Vec<PathBuf> {
    let mut cases: Vec<PathBuf> = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    cases
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join("golden")
}

/// What each source of a case becomes for one receiver, by the source's name.
type Outcomes = BTreeMap<&'static str, Value>;

fn requests(case: &Path, encode: EncodeRequest, model: &str) -> Outcomes {
    let mut outcomes = Outcomes::new();
    for (dialect, decode, _) in CLIENTS {
        let Ok(body) = fs::read(case.join(format!("{dialect}.json"))) else { continue };
        let request = decode(&body).unwrap_or_else(|error| panic!("{}, {dialect}: {error}", case.display()));
        let value = match encode(&request, &encode_for(model)) {
            Ok(body) => serde_json::from_slice(&body).expect("a provider body is JSON"),
            Err(unsupported) => json!({"unsupported": unsupported.feature.as_str()}),
        };
        outcomes.insert(dialect, value);
    }
    assert!(!outcomes.is_empty(), "{} has no request", case.display());
    outcomes
}

fn answers(case: &Path, encode: EncodeAnswer) -> Outcomes {
    let meta = ReplyMeta { id: "0".repeat(32), created: 1_760_000_000, model: "prod-chat".into(), stream_usage: false };
    let mut outcomes = Outcomes::new();
    for (protocol, _, decode, _) in PROVIDERS {
        let Ok(body) = fs::read(case.join("answer").join(format!("{protocol}.json"))) else { continue };
        let answer = decode(&body).unwrap_or_else(|error| panic!("{}, {protocol}: {error}", case.display()));
        let reply = encode(&answer, &meta, case);
        outcomes.insert(protocol, serde_json::from_slice(&reply).expect("a reply is JSON"));
    }
    outcomes
}

/// Compares outcomes with their files, or writes these; what differs is told in `wrong`.
fn hold(folder: &Path, to: &str, outcomes: &Outcomes, wrong: &mut String) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        update(folder, to, outcomes);
    }
    for (from, got) in outcomes {
        let own = folder.join(format!("{to}.from-{from}.json"));
        let file = if own.exists() { own } else { folder.join(format!("{to}.json")) };
        let text = fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let expected: Value =
            serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        if *got != expected {
            *wrong += &format!("{} from {from}\n  expected {expected}\n  got      {got}\n", file.display());
        }
    }
}

/// Writes one file for all sources, and one more for each that differs from the first.
fn update(folder: &Path, to: &str, outcomes: &Outcomes) {
    let Some(common) = outcomes.values().next() else { return };
    let write = |name: String, value: &Value| {
        let text = serde_json::to_string_pretty(value).unwrap() + "\n";
        fs::write(folder.join(name), text).unwrap();
    };
    fs::create_dir_all(folder).unwrap();
    write(format!("{to}.json"), common);
    for (from, value) in outcomes {
        let name = format!("{to}.from-{from}.json");
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
    let (mut wrong, mut held) = (String::new(), 0);
    for case in cases() {
        for (protocol, encode, _, model) in PROVIDERS {
            let outcomes = requests(&case, encode, model);
            hold(&case.join("expected"), protocol, &outcomes, &mut wrong);
            held += outcomes.len();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(held >= 165, "cases have gone missing: {held} are left");
}

#[test]
fn one_answer_becomes_one_reply_from_every_protocol() {
    let (mut wrong, mut held) = (String::new(), 0);
    for case in cases() {
        for (dialect, _, encode) in CLIENTS {
            let outcomes = answers(&case, encode);
            hold(&case.join("answer").join("expected"), dialect, &outcomes, &mut wrong);
            held += outcomes.len();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(held >= 51, "cases have gone missing: {held} are left");
}

#[tokio::test]
async fn every_body_is_what_the_sdks_own_types_allow() {
    let seen = python::run("golden.py", &[&folder().display().to_string()], &[]).await;
    assert!(seen.len() >= 170, "bodies have gone missing: {seen:#?}");
}
