//! The admin API, asked by its own description.

use std::collections::HashMap;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use jsonschema::Validator;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::{Map, Value, json};

use super::Effort;
use super::generate::{described, spoil, spoil_bytes};
use super::question::{Answer, Line};
use crate::support::admin::Admin;
use crate::support::config::ConfigText;
use crate::support::gateway::{ADMIN_TOKEN, Gateway};
use crate::support::sim::Sim;
use crate::support::traffic::sim;

/// So often all is put back, so that questions find something.
const PUT_BACK: usize = 40;

/// What the gateway has at the start.
async fn world() -> (Gateway, Vec<Sim>) {
    let mut sims = Vec::new();
    for name in ["one", "two"] {
        sims.push(sim(name, json!({})).await);
    }
    let mut config = ConfigText::new("").key("it", "pm-it", None).env("POINTSMAN_LOG", "error");
    for sim in &sims {
        config = config.sim(sim, "");
    }
    let config = config
        .alias("a", &["one", "two"], "")
        .alias("b", &["two"], "strategy = \"lowest-latency\"")
        .toml("[[projects]]\nname = \"p\"\nrequests_per_minute = 600");
    (Gateway::start(&config).await, sims)
}

/// One operation of the document.
struct Operation {
    method: String,
    path: String,
    described: Value,
}

/// The document, and what can be said with it.
struct Api {
    document: Value,
    operations: Vec<Operation>,
    /// What stands in each list of an export.
    kept: Value,
    /// By the place of a schema in the document.
    schemas: HashMap<String, Validator>,
}

impl Api {
    fn new(document: Value, kept: Value) -> Self {
        let paths = document["paths"].as_object().expect("paths");
        let of_path = |(path, item): (&String, &Value)| {
            let methods = item.as_object().into_iter().flatten();
            let operation = |(method, described): (&String, &Value)| Operation {
                method: method.to_uppercase(),
                path: path.clone(),
                described: described.clone(),
            };
            methods.map(operation).collect::<Vec<_>>()
        };
        // A stream of events has no end.
        let operations = paths.iter().filter(|(path, _)| *path != "/admin/v1/events").flat_map(of_path).collect();
        Self { operations, kept, document, schemas: HashMap::new() }
    }

    /// What there is in this list, or in all: documents, and their names.
    fn examples(&self, path: &str) -> Vec<Value> {
        let lists = self.kept.as_object().into_iter().flatten();
        let named = |list: &str| path.starts_with(&format!("/admin/v1/{list}"));
        let of_path: Vec<&Value> = lists.clone().filter(|(list, _)| named(list)).map(|(_, all)| all).collect();
        let all = if of_path.is_empty() { lists.map(|(_, all)| all).collect() } else { of_path };
        let documents: Vec<Value> = all.into_iter().filter_map(Value::as_array).flatten().cloned().collect();
        let name = |one: &Value| ["name", "id"].iter().find_map(|field| one.get(field).cloned());
        let names: Vec<Value> = documents.iter().filter_map(name).collect();
        [documents, names].concat()
    }

    /// One question, whole and as it may be sent, and what it says in words.
    fn question(&self, rng: &mut StdRng) -> (&Operation, Request<Full<Bytes>>, String) {
        let operation = self.operations.choose(rng).expect("there are some");
        let examples = self.examples(&operation.path);
        let (mut path, mut query) = (operation.path.clone(), Vec::new());
        let mut request = Request::builder().header("authorization", format!("Bearer {ADMIN_TOKEN}"));
        for parameter in operation.described["parameters"].as_array().into_iter().flatten() {
            let (name, required) = (parameter["name"].as_str().unwrap_or_default(), parameter["required"] == true);
            let mut value = described(&parameter["schema"], &self.document, &examples, rng);
            if rng.random_range(0..6) == 0 {
                spoil(&mut value, rng);
            }
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            match parameter["in"].as_str() {
                Some("path") => path = path.replace(&format!("{{{name}}}"), &encoded(&text)),
                Some("query") if required || rng.random_range(0..3) == 0 => {
                    query.push(format!("{name}={}", encoded(&text)));
                }
                Some("header") if rng.random_range(0..4) == 0 => {
                    let revision = format!("\"{}\"", rng.random_range(0..400));
                    let tag = ["*", "W/\"1\"", &revision, "\"", "\u{e9}", "1,2"].choose(rng).map(|tag| tag.as_bytes());
                    request = request.header(name, tag.unwrap_or_default());
                }
                _ => {}
            }
        }
        if !query.is_empty() {
            path = format!("{path}?{}", query.join("&"));
        }
        let content = &operation.described["requestBody"]["content"];
        let mut body = Vec::new();
        if let Some((kind, said)) = content.as_object().and_then(|content| content.iter().next()) {
            let mut value = described(&said["schema"], &self.document, &examples, rng);
            for _ in 0..rng.random_range(0..3) {
                spoil(&mut value, rng);
            }
            body = value.to_string().into_bytes();
            if rng.random_range(0..10) == 0 {
                spoil_bytes(&mut body, rng);
            }
            if rng.random_range(0..30) > 0 {
                request = request.header("content-type", kind.as_str());
            }
        }
        let told = format!("{} {path} {}", operation.method, String::from_utf8_lossy(&body));
        let request = request.method(operation.method.as_str()).uri(&path).body(Full::new(body.into()));
        (operation, request.unwrap_or_else(|error| panic!("{error}: {told}")), told)
    }

    /// Whether an answer is one of those that the document has for this question.
    fn check(&mut self, path: &str, method: &str, described: &Value, answer: &Answer) -> Result<(), String> {
        let status = answer.status.as_u16().to_string();
        let any = format!("{}XX", &status[..1]);
        let said = [&status, &any].into_iter().find_map(|status| Some((status, described["responses"].get(status)?)));
        let (said_status, said) = said.ok_or("no such status is described")?;
        let Some(content) = said["content"].as_object() else {
            return if answer.body.is_empty() { Ok(()) } else { Err("no body is described".to_owned()) };
        };
        let kind = answer.header("content-type").split(';').next().unwrap_or_default();
        let schema = content.get(kind).ok_or_else(|| format!("content of type {kind:?} is not described"))?;
        if kind != "application/json" {
            return Ok(());
        }
        let body: Value = serde_json::from_slice(&answer.body).map_err(|error| error.to_string())?;
        let components = &self.document["components"];
        let validator = self.schemas.entry(format!("{method} {path} {said_status}")).or_insert_with(|| {
            let mut whole = schema["schema"].as_object().cloned().unwrap_or_default();
            whole.insert("components".to_owned(), components.clone());
            jsonschema::validator_for(&Value::Object(whole)).unwrap_or_else(|error| panic!("{method} {path}: {error}"))
        });
        let errors: Vec<String> =
            validator.iter_errors(&body).map(|error| format!("{}: {error}", error.instance_path())).collect();
        if errors.is_empty() { Ok(()) } else { Err(errors.join("; ")) }
    }
}

/// As a part of a path or of a query.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let encoded = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    // A segment of dots only would be another path.
    if text.chars().all(|one| one == '.') { text.replace('.', "%2E") } else { text.bytes().map(encoded).collect() }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_question_to_the_admin_api_has_an_answer_that_is_described() {
    let (gateway, _sims) = world().await;
    let admin = Admin::of(&gateway);
    let mut api =
        Api::new(admin.get("/admin/openapi.json").await.good(), admin.get("/admin/v1/export?format=json").await.good());
    let effort = Effort::of(500);
    let mut line = Line::to(&gateway.admin_url(""));
    let mut statuses: HashMap<u16, usize> = HashMap::new();
    let mut closed = 0;
    for case in 0..effort.cases {
        if case % PUT_BACK == 0 {
            let put_back = admin.post("/admin/v1/apply", &api.kept).await;
            assert_eq!(put_back.status, 200, "what was exported can be applied, case {case}: {}", put_back.body);
        }
        let (operation, request, told) = api.question(&mut effort.rng(case));
        let told = format!("FUZZ_SEED={} case {case}: {told:.2000}", effort.seed);
        let (method, path, described) = (operation.method.clone(), operation.path.clone(), operation.described.clone());
        let answer = line.ask(request).await.unwrap_or_else(|error| panic!("{error}\n{told}\n{}", gateway.log()));
        let checked = api.check(&path, &method, &described, &answer);
        assert!(checked.is_ok(), "{}\n{told}\n{}", checked.unwrap_err(), answer.shown());
        *statuses.entry(answer.status.as_u16()).or_default() += 1;
        closed += usize::from(answer.header("connection") == "close");
    }
    println!("answers by status: {statuses:?}");
    assert!(line.made <= 1 + closed, "the connection was closed {} times without a word", line.made - 1 - closed);
    let good: usize = statuses.iter().filter(|(status, _)| **status < 300).map(|(_, count)| count).sum();
    assert!(good * 5 > effort.cases, "some of it makes sense: {statuses:?}");
    assert!(statuses.contains_key(&400) && statuses.contains_key(&404), "and some does not: {statuses:?}");
    assert!(!gateway.log().contains("panicked"), "{}", gateway.log());
}

/// The measure measures: what is not as a schema says is found.
#[test]
fn an_answer_that_is_not_as_described_is_found() {
    let document = json!({
        "paths": {"/a": {"get": {"responses": {"200": {"content": {"application/json": {
            "schema": {"$ref": "#/components/schemas/A"}}}}}}}},
        "components": {"schemas": {"A": {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}}},
    });
    let described = document["paths"]["/a"]["get"].clone();
    let mut api = Api::new(document, json!({}));
    let answer = |status: u16, body: &str| Answer {
        status: http::StatusCode::from_u16(status).expect("a status"),
        headers: [(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"))]
            .into_iter()
            .collect(),
        body: body.to_owned().into(),
    };
    assert_eq!(api.check("/a", "GET", &described, &answer(200, "{\"n\":1}")), Ok(()));
    for (status, body) in [(200, "{\"n\":\"1\"}"), (200, "{}"), (200, "nothing"), (500, "{\"n\":1}"), (404, "{}")] {
        assert!(api.check("/a", "GET", &described, &answer(status, body)).is_err(), "{status} {body}");
    }
    let mut rng = StdRng::seed_from_u64(1);
    let made = super::generate::described(&json!({"$ref": "#/components/schemas/A"}), &api.document, &[], &mut rng);
    assert!(made.as_object().is_some_and(|fields: &Map<String, Value>| fields["n"].is_i64()), "{made}");
}
