//! A collector that takes spans by OTLP over HTTP, decodes them and keeps them.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use http::{HeaderMap, StatusCode};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::sync::watch;

/// What it has got.
#[derive(Debug, Default)]
struct Kept {
    spans: Vec<Span>,
    resource: HashMap<String, String>,
    headers: HeaderMap,
    refuse: bool,
}

/// What the handler needs: what is kept, and whether anything is answered.
type Taking = (Arc<Mutex<Kept>>, watch::Receiver<bool>);

/// A collector that listens until it is dropped.
pub struct Collector {
    kept: Arc<Mutex<Kept>>,
    answers: watch::Sender<bool>,
    pub url: String,
    _task: tokio::task::JoinHandle<()>,
}

async fn take(State((kept, mut answers)): State<Taking>, headers: HeaderMap, body: Bytes) -> StatusCode {
    answers.wait_for(|answers| *answers).await.expect("the collector is there");
    let mut kept = kept.lock().unwrap();
    if kept.refuse {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    let request = ExportTraceServiceRequest::decode(body).expect("an export request");
    kept.headers = headers;
    for of_resource in request.resource_spans {
        kept.resource = attributes(&of_resource.resource.unwrap_or_default().attributes);
        kept.spans.extend(of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans));
    }
    StatusCode::OK
}

impl Collector {
    pub async fn start() -> Self {
        let kept = Arc::<Mutex<Kept>>::default();
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (answers, answering) = watch::channel(true);
        let router = Router::new().route("/v1/traces", post(take)).with_state((Arc::clone(&kept), answering));
        #[expect(clippy::disallowed_methods, reason = "a server of a test")]
        let task = tokio::spawn(async move {
            axum::serve(listener, router).await.unwrap();
        });
        Self { kept, answers, url, _task: task }
    }

    /// All spans so far.
    pub fn spans(&self) -> Vec<Span> {
        self.kept.lock().unwrap().spans.clone()
    }

    /// What the exporter says of itself.
    pub fn resource(&self) -> HashMap<String, String> {
        self.kept.lock().unwrap().resource.clone()
    }

    /// A header of the latest export.
    pub fn header(&self, name: &str) -> Option<String> {
        self.kept.lock().unwrap().headers.get(name).map(|value| value.to_str().unwrap().to_owned())
    }

    /// Whether it answers from now on; until then it accepts, and says nothing.
    pub fn answer(&self, answers: bool) {
        self.answers.send_replace(answers);
    }

    /// Takes nothing from now on.
    pub fn refuse(&self) {
        self.kept.lock().unwrap().refuse = true;
    }
}

/// Attributes as text.
pub fn attributes(list: &[KeyValue]) -> HashMap<String, String> {
    list.iter().map(|attribute| (attribute.key.clone(), text(attribute.value.as_ref()))).collect()
}

fn text(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        Some(Value::BoolValue(flag)) => flag.to_string(),
        Some(Value::ArrayValue(array)) => {
            format!("[{}]", array.values.iter().map(|value| text(Some(value))).collect::<Vec<_>>().join(","))
        }
        other => format!("{other:?}"),
    }
}

/// An id as it is written.
pub fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}
