//! Is the OpenAPI document true? A tool that knows nothing but the document asks everything
//! that it allows, and much that it does not, and holds each answer to it.

use std::time::Duration;

use serde_json::{Value, json};

use super::World;
use crate::support::admin::{Admin, If};
use crate::support::gateway::ADMIN_TOKEN;
use crate::support::python;

async fn world() -> World {
    World::new(&["one", "two"], |config| {
        let plain = "[[models]]\nid = \"plain\"\nendpoints = [{ provider = \"one\", upstream_model = \"m\" }]";
        config
            .toml(plain)
            .alias("a", &["one", "two"], "")
            .toml("[[projects]]\nname = \"p\"")
            .env("POINTSMAN_LOG", "error")
    })
    .await
}

/// The methods and paths of the document, with their descriptions.
fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().expect("paths").iter();
    let of_path = |(path, item): (&String, &Value)| {
        let methods = item.as_object().into_iter().flatten();
        methods.map(|(method, one)| (method.to_uppercase(), path.clone(), one.clone())).collect::<Vec<_>>()
    };
    paths.flat_map(of_path).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_as_the_document_says() {
    let world = world().await;
    let admin = world.admin.clone();
    let document: Value = admin.get("/admin/openapi.json").await.good();
    let kept: Value = admin.get("/admin/v1/export?format=json").await.good();
    // What the questions take away is put back, so that the next ones find something.
    let mut keeping = tokio::task::JoinSet::new();
    keeping.spawn(async move {
        loop {
            admin.post("/admin/v1/apply", &kept).await;
            admin.post("/admin/v1/keys", &json!({"name": "it"})).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    let url = world.gateway.admin_url("/admin/openapi.json");
    let checks = [
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_schema_conformance",
        "response_headers_conformance",
        "negative_data_rejection",
        "unsupported_method",
        "ignored_auth",
    ];
    let header = format!("Authorization: Bearer {ADMIN_TOKEN}");
    let said = python::python(
        "openapi",
        &[
            "-m",
            "schemathesis.cli",
            "--config-file",
            "schemathesis.toml",
            "run",
            &url,
            "--header",
            &header,
            "--checks",
            &checks.join(","),
            "--max-examples",
            "8",
            "--seed",
            "1",
            "--generation-database",
            "none",
            // A stream of events has no end.
            "--exclude-path",
            "/admin/v1/events",
            "--continue-on-failure",
            "--suppress-health-check",
            "all",
            "--warnings",
            "off",
            "--no-color",
        ],
        &[],
    )
    .await;
    let all = operations(&document).len() - 1;
    assert!(said.contains(&format!("Tested: {all}")), "{said}");
    let generated = said.lines().find_map(|line| line.trim().split_once(" generated")).expect("a number");
    assert!(generated.0.parse::<u32>().expect("a number") > 1000, "{said}");
    assert_eq!(world.ask("a", "pm-it").await.status, 401, "the key is another by now, so they were no dry runs");
    assert!(!world.gateway.log().contains("panicked"), "{}", world.gateway.log());
    assert!(!world.gateway.log().contains("broke off"), "{}", world.gateway.log());
}

#[tokio::test]
async fn whoever_shows_no_token_is_told_so_by_every_route_as_the_document_says() {
    let world = world().await;
    let nobody: Admin = world.admin.without_token();
    let document: Value = nobody.get("/admin/openapi.json").await.good();
    assert_eq!(document["security"], json!([{"token": []}]));
    let all = operations(&document);
    assert!(all.len() > 50, "{}", all.len());
    for (method, path, described) in all {
        let says = &described["responses"]["4XX"]["content"]["application/json"]["schema"]["$ref"];
        assert_eq!(says, "#/components/schemas/ErrorReport", "{method} {path}");
        assert!(described.get("security").is_none(), "{method} {path} is as all others");
        let method = reqwest::Method::from_bytes(method.as_bytes()).expect("a method");
        // Whatever else is wrong with the question.
        for body in [None, Some(&json!("nonsense"))] {
            let told = nobody.send(method.clone(), &path, body, If::Unsaid).await;
            assert_eq!(told.refusal(), (401, "no_token".into()), "{method} {path}");
            assert_eq!(told.headers["content-type"], "application/json", "{method} {path}");
        }
    }
    let told = nobody.get("/admin/v1/nowhere").await;
    assert_eq!(told.refusal(), (404, "no_such_path".into()));
    let told = world.admin.post("/admin/v1/me", &json!({})).await;
    assert_eq!(told.refusal(), (405, "method_not_allowed".into()));
}
