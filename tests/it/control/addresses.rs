//! Can somebody make the gateway call what only it can reach? Not by a provider's address,
//! unless that says so, and not by a redirect.

use pointsman::api::provider::ConnectionTest;
use pointsman::domain::provider::Protocol;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::World;
use crate::support::admin::If;
use crate::support::config::ConfigText;
use crate::support::gateway::Gateway;

fn provider(base_url: &str) -> Value {
    json!({"id": "p", "protocol": "openai", "base_url": base_url, "auth": "none"})
}

#[tokio::test]
async fn a_provider_by_the_api_is_not_inside_unless_it_says_so() {
    let world = World::new(&["one"], |config| config).await;
    let admin = &world.admin;
    for host in [
        "127.0.0.1",
        "127.0.0.1.",
        "127.1",
        "0x7f000001",
        "2130706433",
        "0177.0.0.1",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:a00:1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "10.0.0.1",
        "172.16.5.5",
        "192.168.0.1",
        "100.64.0.1",
        "169.254.169.254",
        "224.0.0.1",
        "255.255.255.255",
        "localhost",
        "LOCALHOST.",
        "api.localhost",
        "gpu-box",
        "gpu-box.local",
        "metadata.google.internal",
    ] {
        let told = admin.put("providers", "p", &provider(&format!("http://{host}:8000/v1")), If::Unsaid).await;
        assert_eq!(told.status, 422, "{host}: {told:?}");
        assert!(told.error().problems[0].path.starts_with("providers.p."), "{host}: {told:?}");
    }
    for (url, why) in [
        ("ftp://example.com/", "no web address"),
        ("file:///etc/passwd", "no web address"),
        ("http://user:secret@example.com/v1", "credentials"),
        ("http://example.com/v1?key=secret", "a query"),
        ("nonsense", "no address"),
    ] {
        let told = admin.put("providers", "p", &provider(url), If::Unsaid).await;
        assert_eq!(told.status, 422, "{why}: {told:?}");
        assert!(!told.body.contains("secret"), "{told:?}");
    }
    let audit = admin.get("/admin/v1/audit?limit=1000").await.body;
    assert!(audit.contains("provider.put") && !audit.contains("secret"), "{audit}");
    assert_eq!(admin.revision().await, 1);
    assert_eq!(admin.put("providers", "p", &provider("https://example.com/v1"), If::Unsaid).await.status, 200);
    // Nor afterwards.
    let moved = json!({"base_url": "http://169.254.169.254/latest"});
    assert_eq!(admin.patch("providers", "p", &moved, If::Unsaid).await.status, 422);
    let mut said = provider(&world.sims[0].base_url());
    said["private_addresses"] = json!(true);
    assert_eq!(admin.put("providers", "p", &said, If::Any).await.status, 200);
    let tested: ConnectionTest = admin.post("/admin/v1/providers/p/test", &json!({})).await.good();
    assert!(tested.ok, "{tested:?}");
    // And it can be taken back.
    assert_eq!(admin.patch("providers", "p", &json!({"private_addresses": null}), If::Unsaid).await.status, 422);
}

#[tokio::test]
async fn an_editor_gets_at_no_address_by_a_model_or_an_alias() {
    let world = World::new(&["one"], |config| config).await;
    let editor = world.admin.new_token("e", pointsman::api::token::Role::Editor).await;
    let editor = world.admin.with(&editor.secret);
    for upstream in ["../../admin", "m?x=1", "m#x", "http://127.0.0.1/"] {
        let model = json!({"endpoints": [{"provider": "one", "upstream_model": upstream}]});
        let told = editor.put("models", "x/m", &model, If::Unsaid).await;
        if told.status == 200 {
            // In OpenAI's protocol it is no part of the address.
            let got = world.ask("x/m", "pm-it").await;
            assert!(matches!(got.status, 200 | 400 | 404), "{got:?}");
            assert_eq!(world.sims[0].requests().await[0]["uri"], "/v1/chat/completions");
            assert_eq!(editor.delete("models", "x/m").await.status, 200);
        }
    }
}

/// A server that sends everybody elsewhere.
async fn redirecting(to: String) -> (String, tokio::task::JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base_url = format!("http://{}/v1", listener.local_addr().expect("an address"));
    let mut serving = tokio::task::JoinSet::new();
    serving.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            // All that is asked for here fits into one packet.
            let _ = stream.read(&mut request).await;
            let answer = format!(
                "HTTP/1.1 307 Temporary Redirect\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            );
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (base_url, serving)
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let inside = crate::support::traffic::sim("inside", json!({})).await;
    let (base_url, _serving) = redirecting(format!("{}/chat/completions", inside.base_url())).await;
    let config = ConfigText::new("")
        .key("it", "pm-it", None)
        .provider("away", Protocol::OpenAi, &base_url, "")
        .model("away", "")
        .alias("a", &["away"], "max_attempts = 1");
    let world = World::of(Gateway::start(&config).await, vec![inside]);
    let got = world.ask("a", "pm-it").await;
    assert_eq!(got.status, 502, "{got:?}");
    let tested: ConnectionTest = world.admin.post("/admin/v1/providers/away/test", &json!({})).await.good();
    assert_eq!((tested.ok, tested.status), (false, Some(307)), "{tested:?}");
    assert_eq!(world.sims[0].stats().await["connections"], 1, "nobody called it but this question");
}
