//! An OTLP collector on a real socket: takes all three signals, or never answers, or wants a key.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use http::{HeaderMap, StatusCode};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::net::TcpListener;

/// What requests get.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Manner {
    Takes,
    /// Reads the request, and never answers.
    Hangs,
    /// 401, unless this is the header `authorization`.
    #[cfg_attr(
        not(feature = "secrets"),
        expect(dead_code, reason = "only the tests of secrets ask for a key")
    )]
    Wants(&'static str),
}

#[derive(Debug, Clone)]
pub(crate) struct Collector {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    manner: Manner,
    taken: Mutex<Vec<(String, Bytes)>>,
    keys: Mutex<Vec<String>>,
}

impl Collector {
    pub(crate) async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            manner,
            taken: Mutex::default(),
            keys: Mutex::default(),
        });
        let route = axum::routing::post(take);
        let router = Router::new()
            .route("/v1/{signal}", route)
            .with_state(shared.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, shared }
    }

    /// Every `authorization` that came, in turn.
    #[cfg_attr(
        not(feature = "secrets"),
        expect(dead_code, reason = "only the tests of secrets ask for a key")
    )]
    pub(crate) fn keys(&self) -> Vec<String> {
        self.shared.keys.lock().unwrap().clone()
    }

    pub(crate) fn spans(&self) -> Vec<Span> {
        let requests = self.taken("traces").into_iter();
        let requests = requests.map(|body| ExportTraceServiceRequest::decode(body).unwrap());
        let resources = requests.flat_map(|request| request.resource_spans);
        let scopes = resources.flat_map(|resource| resource.scope_spans);
        scopes.flat_map(|scope| scope.spans).collect()
    }

    /// How many measurements each series of this histogram has in all, by one of its attributes.
    pub(crate) fn counts(&self, name: &str, attribute: &str) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for body in self.taken("metrics") {
            let request = ExportMetricsServiceRequest::decode(body).unwrap();
            let resources = request.resource_metrics.into_iter();
            let scopes = resources.flat_map(|resource| resource.scope_metrics);
            let metrics = scopes.flat_map(|scope| scope.metrics);
            for metric in metrics.filter(|metric| metric.name == name) {
                let Some(Data::Histogram(histogram)) = metric.data else {
                    panic!("{name} is no histogram");
                };
                for point in histogram.data_points {
                    let mut found = point.attributes.iter();
                    let found = found.find(|found| found.key == attribute);
                    let value = found.and_then(|found| found.value.clone()?.value);
                    *counts.entry(shown(value)).or_default() += point.count;
                }
            }
        }
        counts
    }

    pub(crate) fn log_records(&self) -> Vec<LogRecord> {
        let requests = self.taken("logs").into_iter();
        let requests = requests.map(|body| ExportLogsServiceRequest::decode(body).unwrap());
        let resources = requests.flat_map(|request| request.resource_logs);
        let scopes = resources.flat_map(|resource| resource.scope_logs);
        scopes.flat_map(|scope| scope.log_records).collect()
    }

    fn taken(&self, signal: &str) -> Vec<Bytes> {
        let taken = self.shared.taken.lock().unwrap();
        let of_signal = taken.iter().filter(|(of, _)| of == signal);
        of_signal.map(|(_, body)| body.clone()).collect()
    }
}

/// The text of a log record.
pub(crate) fn body(record: &LogRecord) -> String {
    shown(record.body.clone().and_then(|body| body.value))
}

fn shown(value: Option<any_value::Value>) -> String {
    match value {
        Some(any_value::Value::StringValue(text)) => text,
        Some(any_value::Value::IntValue(number)) => number.to_string(),
        None => String::new(),
        other => format!("{other:?}"),
    }
}

async fn take(
    State(shared): State<Arc<Shared>>,
    Path(signal): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let key = headers.get("authorization");
    let key = key.map_or("", |key| key.to_str().unwrap());
    shared.keys.lock().unwrap().push(key.to_owned());
    match shared.manner {
        Manner::Hangs => std::future::pending().await,
        Manner::Wants(wanted) if key != wanted => StatusCode::UNAUTHORIZED,
        Manner::Takes | Manner::Wants(_) => {
            shared.taken.lock().unwrap().push((signal, body));
            StatusCode::OK
        }
    }
}
