//! Towards a provider: TLS, HTTP/2, Azure's paths, forms. A recording server in place of a
//! simulated one, since what counts here is what arrives.

use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http_body_util::BodyExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use pointsman::domain::provider::Protocol;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::support::chat::{Asked, ask};
use crate::support::config::ConfigText;
use crate::support::gateway::Gateway;
use crate::support::http;

const ANSWER: &str = r#"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"recorded"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#;

/// A request as it arrived.
#[derive(Clone, Debug)]
struct Arrived {
    version: http::Version,
    path: String,
    headers: http::HeaderMap,
    body: Vec<u8>,
}

type Record = Arc<Mutex<Vec<Arrived>>>;

/// A server that answers everything with one chat; ends when it is dropped.
struct Recorder {
    port: u16,
    record: Record,
    _tasks: JoinSet<()>,
}

async fn arrive(State(record): State<Record>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes().to_vec();
    let path = head.uri.path_and_query().unwrap().to_string();
    record.lock().unwrap().push(Arrived { version: head.version, path, headers: head.headers, body });
    Response::builder().header("content-type", "application/json").body(Body::from(ANSWER)).unwrap()
}

impl Recorder {
    async fn start(tls: Option<rustls::ServerConfig>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let record = Record::default();
        let router = axum::Router::new().fallback(arrive).with_state(Arc::clone(&record));
        let acceptor = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let service = TowerToHyperService::new(router.clone());
                let acceptor = acceptor.clone();
                connections.spawn(async move {
                    let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                    // A client that does not trust the certificate ends the handshake.
                    let _ = match acceptor {
                        None => builder.serve_connection(TokioIo::new(stream), service).await,
                        Some(acceptor) => match acceptor.accept(stream).await {
                            Ok(stream) => builder.serve_connection(TokioIo::new(stream), service).await,
                            Err(_) => Ok(()),
                        },
                    };
                });
            }
        });
        Self { port, record, _tasks: tasks }
    }

    fn only(&self) -> Arrived {
        let record = self.record.lock().unwrap();
        assert_eq!(record.len(), 1, "{record:?}");
        record[0].clone()
    }
}

/// A certificate for `localhost`, and a server's configuration with it.
fn certificate(alpn: &[&str]) -> (String, rustls::ServerConfig) {
    http();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let chain = vec![CertificateDer::from_pem_slice(made.cert.pem().as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(made.signing_key.serialize_pem().as_bytes()).unwrap();
    let mut config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    (made.cert.pem(), config)
}

fn config(recorder: &Recorder, scheme: &str, more: &str) -> ConfigText {
    ConfigText::new("")
        .provider("p", Protocol::OpenAi, &format!("{scheme}://localhost:{}/v1", recorder.port), more)
        .model("p", "")
        .key("it", "pm-it", None)
        .alias("a", &["p"], "")
}

#[tokio::test]
async fn a_provider_behind_tls_is_reached_by_the_version_it_offers() {
    let dir = tempfile::tempdir().unwrap();
    for (alpn, version) in [(vec!["h2", "http/1.1"], http::Version::HTTP_2), (vec!["http/1.1"], http::Version::HTTP_11)]
    {
        let (pem, server) = certificate(&alpn);
        let trusted = dir.path().join("roots.pem");
        std::fs::write(&trusted, pem).unwrap();
        let recorder = Recorder::start(Some(server)).await;
        let config = config(&recorder, "https", "").env("SSL_CERT_FILE", trusted.to_str().unwrap());
        let gateway = Gateway::start(&config).await;
        let got = ask(&gateway, &Asked { alias: "a", ..Asked::default() }).await;
        assert_eq!((got.status, got.text.as_str()), (200, "recorded"), "{got:?}");
        assert_eq!(recorder.only().version, version);
    }
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_a_failed_connection() {
    let (_, server) = certificate(&["h2"]);
    let recorder = Recorder::start(Some(server)).await;
    let gateway = Gateway::start(&config(&recorder, "https", "")).await;
    let got = ask(&gateway, &Asked { alias: "a", ..Asked::default() }).await;
    assert_eq!(got.status, 502, "{got:?}");
    assert!(got.header("x-pointsman-attempts").starts_with("p/m@p connect "), "{got:?}");
    assert!(recorder.record.lock().unwrap().is_empty());
}

#[tokio::test]
async fn azure_gets_its_deployment_its_version_and_its_key() {
    let recorder = Recorder::start(None).await;
    let text = format!(
        "[[providers]]\nid = \"azure\"\nprotocol = \"openai\"\nbase_url = \"http://localhost:{}\"\n\
         api_key_env = \"AZURE_KEY\"\nazure_api_version = \"2024-10-21\"",
        recorder.port
    );
    let config = ConfigText::new("")
        .toml(&text)
        .model("azure", "")
        .key("it", "pm-it", None)
        .alias("a", &["azure"], "")
        .env("AZURE_KEY", "azure-secret-0123456789");
    let gateway = Gateway::start(&config).await;
    assert_eq!(ask(&gateway, &Asked { alias: "a", ..Asked::default() }).await.status, 200);
    let arrived = recorder.only();
    assert_eq!(arrived.path, "/openai/deployments/m/chat/completions?api-version=2024-10-21");
    assert_eq!(arrived.headers["api-key"], "azure-secret-0123456789");
    assert!(!arrived.headers.contains_key("authorization"));
}

#[tokio::test]
async fn a_form_passes_with_only_its_model_changed() {
    let recorder = Recorder::start(None).await;
    let gateway = Gateway::start(&config(&recorder, "http", "")).await;
    let form = |model: &str| {
        format!(
            "--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\
             Content-Type: audio/wav\r\n\r\nRIFF\u{1}\u{2}\r\n--XX\r\n\
             Content-Disposition: form-data; name=\"model\"\r\n\r\n{model}\r\n--XX--\r\n"
        )
    };
    let answer = http()
        .post(gateway.url("/v1/audio/transcriptions"))
        .bearer_auth("pm-it")
        .header("content-type", "multipart/form-data; boundary=XX")
        .body(form("a"))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.text().await.unwrap(), ANSWER);
    let arrived = recorder.only();
    assert_eq!(arrived.path, "/v1/audio/transcriptions");
    assert_eq!(String::from_utf8(arrived.body).unwrap(), form("m"));
    assert_eq!(arrived.headers["content-type"], "multipart/form-data; boundary=XX");
}
