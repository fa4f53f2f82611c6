//! What a client of the data plane can count on beside the answer itself.

use std::io::Write as _;
use std::time::Duration;

use pointsman::domain::provider::Protocol;
use serde_json::{Value, json};

use crate::support::chat::{Asked, ask};
use crate::support::config::ConfigText;
use crate::support::gateway::{Gateway, Signal};
use crate::support::sim::Sim;
use crate::support::{eventually, http};

#[tokio::test]
async fn a_client_that_leaves_closes_the_provider_at_once_and_is_counted() {
    for protocol in [Protocol::OpenAi, Protocol::Anthropic, Protocol::Gemini] {
        let sim = Sim::start("slow", protocol, json!({"token_ms": 20, "output_tokens": 100_000})).await;
        let config = ConfigText::new("").sim(&sim, "").key("it", "pm-it", None).alias("a", &["slow"], "");
        let gateway = Gateway::start(&config).await;
        let body = json!({"model": "a", "stream": true, "messages": [{"role": "user", "content": "hello"}]});
        let mut answer = http()
            .post(gateway.url("/v1/chat/completions"))
            .bearer_auth("pm-it")
            .body(body.to_string())
            .send()
            .await
            .unwrap();
        for _ in 0..5 {
            answer.chunk().await.unwrap().unwrap();
        }
        drop(answer);
        eventually("the provider's call is cancelled", async || {
            sim.stats().await["in_flight"] == 0 && gateway.target("slow/m@slow").await["failures"]["client_gone"] == 1
        })
        .await;
        let report = gateway.target("slow/m@slow").await;
        let output = report["output_tokens"].as_u64().unwrap();
        assert!((1..200).contains(&output), "{report}");
        assert!(report["input_tokens"].as_u64().unwrap() >= 1, "{report}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_before_the_first_token_closes_the_provider_too() {
    let sim = Sim::start("slow", Protocol::OpenAi, json!({"ttft_ms": 60_000})).await;
    let config = ConfigText::new("").sim(&sim, "").key("it", "pm-it", None).alias("a", &["slow"], "");
    let gateway = Gateway::start(&config).await;
    let body = json!({"model": "a", "messages": [{"role": "user", "content": "hello"}]});
    let request = http().post(gateway.url("/v1/chat/completions")).bearer_auth("pm-it").body(body.to_string()).send();
    assert!(tokio::time::timeout(Duration::from_millis(300), request).await.is_err());
    eventually("the provider's call is cancelled", async || {
        sim.stats().await["in_flight"] == 0 && gateway.target("slow/m@slow").await["in_flight"] == 0
    })
    .await;
}

#[tokio::test]
async fn a_slow_reader_holds_the_provider_back() {
    let sim = Sim::start("fast", Protocol::OpenAi, json!({"faults": [{"kind": "endless"}], "token_ms": 0})).await;
    let config = ConfigText::new("").sim(&sim, "").key("it", "pm-it", None).alias("a", &["fast"], "");
    let gateway = Gateway::start(&config).await;
    let body = json!({"model": "a", "stream": true, "messages": [{"role": "user", "content": "hello"}]});
    let mut answer = http()
        .post(gateway.url("/v1/chat/completions"))
        .bearer_auth("pm-it")
        .body(body.to_string())
        .send()
        .await
        .unwrap();
    answer.chunk().await.unwrap().unwrap();
    // Nothing is read for a while; an endless stream would fill any buffer.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let sent = sim.stats().await["tokens_sent"].as_u64().unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(sim.stats().await["tokens_sent"].as_u64().unwrap(), sent, "the provider was not held back");
    assert!(gateway.own_kib() < 64 * 1024, "{} KiB", gateway.own_kib());
}

#[tokio::test]
async fn a_process_that_serves_keeps_no_pages_that_only_starting_needed() {
    let gateway = Gateway::start(&ConfigText::new("").key("it", "pm-it", None)).await;
    let kib = |line| gateway.status_kib(line);
    eventually("it has given them back", async || kib("VmRSS:") * 3 < kib("VmHWM:") * 2).await;
    println!("{} KiB, {} KiB at most", kib("VmRSS:"), kib("VmHWM:"));
}

#[tokio::test]
async fn nothing_of_the_clients_own_reaches_a_provider() {
    let sim = Sim::start("p", Protocol::OpenAi, json!({})).await;
    let config =
        ConfigText::new("").sim(&sim, "headers = { x-team = \"a\" }").key("it", "pm-it", None).alias("a", &["p"], "");
    let gateway = Gateway::start(&config).await;
    let headers =
        [("x-pointsman-only", "p"), ("cookie", "a=b"), ("x-forwarded-for", "10.1.1.1"), ("x-api-key", "pm-it")];
    let got = ask(&gateway, &Asked { alias: "a", headers: &headers, ..Asked::default() }).await;
    assert_eq!(got.status, 200, "{got:?}");
    let requests = sim.requests().await;
    let text = requests.to_string().to_lowercase();
    for secret in ["pm-it", "x-pointsman", "cookie", "x-forwarded-for"] {
        assert!(!text.contains(secret), "{secret} reached the provider: {text}");
    }
    assert!(text.contains("x-team"), "{text}");
}

#[tokio::test]
async fn a_body_of_the_providers_own_protocol_passes_byte_for_byte() {
    let sim = Sim::start("p", Protocol::OpenAi, json!({"validate": false})).await;
    let config = ConfigText::new("").sim(&sim, "").key("it", "pm-it", None).alias("a", &["p"], "").toml(
        "[[aliases]]\nname = \"tuned\"\nstrategy = \"priority\"\ntargets = [{ model = \"p/m\", params = { temperature = 0.5, extra = { a = 1 } }, drop_params = [\"user\"] }]",
    );
    let gateway = Gateway::start(&config).await;
    let send = async |model: &str| {
        let body = format!(
            r#"{{ "temperature" : 1.50, "model": "{model}","unheard_of":[1, 2],  "messages":[{{"role":"user","content":"h\u00e9"}}], "user":"u" }}"#
        );
        let url = gateway.url("/v1/chat/completions");
        let answer = http().post(url).bearer_auth("pm-it").body(body.clone()).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        (body, sim.last_body().await)
    };
    let (sent, received) = send("a").await;
    assert_eq!(received, sent.replace("\"a\"", "\"m\""));
    let (_, received) = send("tuned").await;
    let received: Value = serde_json::from_str(&received).unwrap();
    assert_eq!(
        (&received["temperature"], &received["extra"]["a"], received.get("user")),
        (&json!(0.5), &json!(1), None)
    );
    assert_eq!(received["unheard_of"], json!([1, 2]));
}

#[tokio::test]
async fn other_openai_paths_pass_through_with_fallback() {
    let bad = Sim::start("bad", Protocol::OpenAi, json!({"faults": [{"kind": "status", "code": 503}]})).await;
    let claude = Sim::start("claude", Protocol::Anthropic, json!({})).await;
    let good = Sim::start("good", Protocol::OpenAi, json!({"validate": false})).await;
    let config = ConfigText::new("").sim(&bad, "").sim(&claude, "").sim(&good, "").key("it", "pm-it", None).alias(
        "a",
        &["bad", "claude", "good"],
        "",
    );
    let gateway = Gateway::start(&config).await;
    for (path, body) in [
        ("/v1/moderations", json!({"model": "a", "input": "x"})),
        ("/v1/images/generations", json!({"model": "a", "prompt": "x"})),
        ("/v1/audio/speech", json!({"model": "a", "input": "x", "voice": "alloy"})),
        ("/v1/rerank", json!({"model": "a", "query": "x", "documents": ["y"]})),
        ("/v1/completions", json!({"model": "a", "prompt": "x"})),
        ("/v1/embeddings", json!({"model": "a", "input": "x"})),
    ] {
        let answer = http().post(gateway.url(path)).bearer_auth("pm-it").body(body.to_string()).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}: {:?}", answer.text().await);
        assert_eq!(answer.headers()["x-pointsman-target"], "good/m@good", "{path}");
        assert!(!answer.bytes().await.unwrap().is_empty(), "{path}");
    }
}

#[tokio::test]
async fn limits_are_held_with_the_status_that_sdks_understand() {
    let sim = Sim::start("p", Protocol::OpenAi, json!({})).await;
    let config = ConfigText::new("limits = { max_body_bytes = \"1KiB\", body_timeout = \"300ms\" }")
        .sim(&sim, "")
        .key("it", "pm-it", None)
        .key("scoped", "pm-scoped", Some(&["a"]))
        .alias("a", &["p"], "")
        .alias("b", &["p"], "")
        .alias("prod-chat", &["p"], "");
    let gateway = Gateway::start(&config).await;
    let long = "x".repeat(2000);
    assert_eq!(ask(&gateway, &Asked { alias: "a", prompt: &long, ..Asked::default() }).await.status, 413);
    assert_eq!(ask(&gateway, &Asked { alias: "a", key: "pm-other", ..Asked::default() }).await.status, 401);
    assert_eq!(ask(&gateway, &Asked { alias: "b", key: "pm-scoped", ..Asked::default() }).await.status, 403);
    assert_eq!(ask(&gateway, &Asked { alias: "p/m", key: "pm-scoped", ..Asked::default() }).await.status, 403);
    assert_eq!(ask(&gateway, &Asked { alias: "p/m", ..Asked::default() }).await.status, 200);
    let unknown = ask(&gateway, &Asked { alias: "prod-chta", ..Asked::default() }).await;
    assert!(unknown.status == 404 && unknown.error.as_deref().unwrap().contains("`prod-chat`"), "{unknown:?}");
    let headers = [("x-pointsman-max-attempts", "many")];
    let bad = ask(&gateway, &Asked { alias: "a", headers: &headers, ..Asked::default() }).await;
    assert_eq!(bad.status, 400);

    // A body that never comes whole.
    let addr = gateway.url("").replace("http://", "");
    let slow = tokio::task::spawn_blocking(move || {
        let mut stream = std::net::TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer pm-it\r\ncontent-length: 100\r\n\r\n{";
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = [0; 64];
        let n = std::io::Read::read(&mut stream, &mut answer).unwrap();
        String::from_utf8_lossy(&answer[..n]).into_owned()
    });
    assert!(slow.await.unwrap().starts_with("HTTP/1.1 408"));
}

#[tokio::test]
async fn callers_narrow_one_request_by_headers() {
    let one = Sim::start("one", Protocol::OpenAi, json!({})).await;
    let two = Sim::start("two", Protocol::Anthropic, json!({})).await;
    let down = Sim::start("down", Protocol::OpenAi, json!({"faults": [{"kind": "status", "code": 503}]})).await;
    let config = ConfigText::new("").sim(&one, "").sim(&two, "").sim(&down, "").key("it", "pm-it", None).alias(
        "a",
        &["one", "two", "down"],
        "",
    );
    let gateway = Gateway::start(&config).await;
    let served_by = async |headers: &[(&str, &str)]| {
        let got = ask(&gateway, &Asked { alias: "a", headers, ..Asked::default() }).await;
        (got.status, got.header("x-pointsman-target").to_owned())
    };
    assert_eq!(served_by(&[("x-pointsman-order", "two")]).await, (200, "two/m@two".into()));
    assert_eq!(served_by(&[("x-pointsman-ignore", "one/m@one")]).await, (200, "two/m@two".into()));
    assert_eq!(served_by(&[("x-pointsman-order", "down")]).await, (200, "one/m@one".into()));
    let alone = [("x-pointsman-order", "down"), ("x-pointsman-max-attempts", "1")];
    assert_eq!(served_by(&alone).await.0, 502);
    assert_eq!(served_by(&[("x-pointsman-only", "nobody")]).await.0, 400);
}

#[tokio::test]
async fn a_history_of_another_provider_is_made_fit_for_openais_own_server() {
    let own = Sim::start("own", Protocol::OpenAi, json!({"validate": false})).await;
    let quirk = "output_limit_field = \"max_completion_tokens\"";
    let config = ConfigText::new("").sim(&own, quirk).key("it", "pm-it", None).alias("a", &["own"], "");
    let gateway = Gateway::start(&config).await;
    let history = json!({"messages": [
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": "hi", "reasoning_content": "hm"},
        {"role": "user", "content": "again"},
    ]});
    assert_eq!(ask(&gateway, &Asked { alias: "a", more: history, ..Asked::default() }).await.status, 200);
    let received = own.last_body().await;
    assert!(received.contains("again") && !received.contains("reasoning_content"), "{received}");
}

#[tokio::test]
async fn a_provider_at_its_limit_is_passed_over() {
    let small = Sim::start("small", Protocol::OpenAi, json!({"ttft_ms": 400})).await;
    let other = Sim::start("other", Protocol::OpenAi, json!({})).await;
    let config = ConfigText::new("")
        .sim(&small, "max_in_flight = 1")
        .sim(&other, "requests_per_minute = 1")
        .key("it", "pm-it", None)
        .alias("a", &["small", "other"], "");
    let gateway = Gateway::start(&config).await;
    let asked = || Asked { alias: "a", ..Asked::default() };
    let (first, second) = tokio::join!(async { ask(&gateway, &asked()).await }, async {
        tokio::time::sleep(Duration::from_millis(150)).await;
        let second = ask(&gateway, &asked()).await;
        let third = ask(&gateway, &asked()).await;
        (second, third)
    });
    assert_eq!(first.header("x-pointsman-target"), "small/m@small");
    assert_eq!(second.0.header("x-pointsman-target"), "other/m@other");
    assert_eq!(second.1.status, 429, "{:?}", second.1);
    assert!(!second.1.header("retry-after").is_empty());
}

#[tokio::test]
async fn a_reload_takes_effect_with_the_next_request_and_a_bad_file_changes_nothing() {
    let one = Sim::start("one", Protocol::OpenAi, json!({})).await;
    let two = Sim::start("two", Protocol::OpenAi, json!({})).await;
    let base = ConfigText::new("").sim(&one, "").sim(&two, "").key("it", "pm-it", None).env("POINTSMAN_LOG", "info");
    let gateway = Gateway::start(&base.clone().alias("a", &["one"], "")).await;
    let asked = || Asked { alias: "a", ..Asked::default() };
    let got = ask(&gateway, &asked()).await;
    assert_eq!((got.header("x-pointsman-target"), got.header("x-pointsman-revision")), ("one/m@one", "1"));

    std::fs::write(gateway.config_file(), base.clone().alias("a", &["two"], "").text()).unwrap();
    gateway.signal(Signal::Hangup);
    eventually("the new configuration serves", async || {
        ask(&gateway, &asked()).await.header("x-pointsman-revision") == "2"
    })
    .await;
    assert_eq!(ask(&gateway, &asked()).await.header("x-pointsman-target"), "two/m@two");

    std::fs::write(gateway.config_file(), base.alias("a", &["three"], "").text()).unwrap();
    gateway.signal(Signal::Hangup);
    eventually("the refusal is logged", async || gateway.log().contains("stays as it was")).await;
    let got = ask(&gateway, &asked()).await;
    assert_eq!((got.header("x-pointsman-target"), got.header("x-pointsman-revision")), ("two/m@two", "2"));
    assert!(gateway.log().contains("three/m"), "{}", gateway.log());
}

#[tokio::test]
async fn streams_under_way_finish_before_the_process_ends() {
    let sim = Sim::start("slow", Protocol::OpenAi, json!({"token_ms": 50, "output_tokens": 20})).await;
    let config = ConfigText::new("").sim(&sim, "").key("it", "pm-it", None).alias("a", &["slow"], "");
    let mut gateway = Gateway::start(&config).await;
    let url = gateway.url("/v1/chat/completions");
    let body = json!({"model": "a", "stream": true, "messages": [{"role": "user", "content": "hello"}]});
    let mut answer = http().post(&url).bearer_auth("pm-it").body(body.to_string()).send().await.unwrap();
    answer.chunk().await.unwrap().unwrap();
    gateway.signal(Signal::Terminate);
    let mut text = String::new();
    while let Some(chunk) = answer.chunk().await.unwrap() {
        text.push_str(&String::from_utf8_lossy(&chunk));
    }
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    assert_eq!(gateway.ended().await.code(), Some(0));
    assert!(http().post(&url).send().await.is_err(), "nothing listens any more");
}

#[tokio::test]
async fn tls_serves_both_http_versions_and_reads_a_new_certificate() {
    let sim = Sim::start("p", Protocol::OpenAi, json!({})).await;
    let dir = tempfile::tempdir().unwrap();
    let (cert_file, key_file) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    let write = || {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        std::fs::write(&cert_file, made.cert.pem()).unwrap();
        std::fs::write(&key_file, made.signing_key.serialize_pem()).unwrap();
        made.cert.pem()
    };
    let first = write();
    let server = format!("tls = {{ cert_file = {cert_file:?}, key_file = {key_file:?} }}");
    let config = ConfigText::new(&server).sim(&sim, "").key("it", "pm-it", None).alias("a", &["p"], "");
    let gateway = Gateway::start(&config).await;
    let port = gateway.url("").rsplit(':').next().unwrap().to_owned();
    let url = format!("https://localhost:{port}/v1/models");
    let client = |pem: &str, http1: bool| {
        http();
        let certificate = reqwest::Certificate::from_pem(pem.as_bytes()).unwrap();
        let builder = reqwest::Client::builder().tls_certs_only([certificate]);
        if http1 { builder.http1_only().build().unwrap() } else { builder.build().unwrap() }
    };
    for (http1, version) in [(true, reqwest::Version::HTTP_11), (false, reqwest::Version::HTTP_2)] {
        let answer = client(&first, http1).get(&url).bearer_auth("pm-it").send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.version()), (200, version));
    }
    // A moment, so that the files' times differ.
    tokio::time::sleep(Duration::from_millis(20)).await;
    let second = write();
    gateway.signal(Signal::Hangup);
    eventually("the new certificate is used", async || {
        client(&second, true).get(&url).bearer_auth("pm-it").send().await.is_ok_and(|answer| answer.status() == 200)
    })
    .await;
    assert!(client(&first, true).get(&url).send().await.is_err());
}

#[tokio::test]
async fn without_keys_a_run_has_one_of_its_own() {
    let sim = Sim::start("p", Protocol::OpenAi, json!({})).await;
    let gateway = Gateway::start(&ConfigText::new("").sim(&sim, "").alias("a", &["p"], "")).await;
    assert_eq!(ask(&gateway, &Asked { alias: "a", key: "pm-guess", ..Asked::default() }).await.status, 401);
    let open = Gateway::start(&ConfigText::new("open = true").sim(&sim, "").alias("a", &["p"], "")).await;
    assert_eq!(ask(&open, &Asked { alias: "a", key: "anything", ..Asked::default() }).await.status, 200);
}
