//! Test data, and running receivers.

use bytes::Bytes;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{
    Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, metric,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, span};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tonic::transport::{Channel, Endpoint};

use super::super::{SpanStore, serve_grpc, serve_http};

/// Trace id of all spans.
const TRACE: [u8; 16] = [0xab; 16];

pub(super) fn request(spans: Vec<Span>) -> ExportTraceServiceRequest {
    let scope = InstrumentationScope {
        name: "test".to_owned(),
        ..InstrumentationScope::default()
    };
    let scope_spans = ScopeSpans {
        scope: Some(scope),
        spans,
        ..ScopeSpans::default()
    };
    let resource = Resource {
        attributes: vec![named()],
        ..Resource::default()
    };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource),
            scope_spans: vec![scope_spans],
            ..ResourceSpans::default()
        }],
    }
}

/// A sum with this number of data points.
pub(in super::super) fn sum(name: &str, points: usize) -> Metric {
    let sum = Sum {
        data_points: vec![NumberDataPoint::default(); points],
        ..Sum::default()
    };
    Metric {
        name: name.to_owned(),
        unit: "1".to_owned(),
        data: Some(metric::Data::Sum(sum)),
        ..Metric::default()
    }
}

pub(in super::super) fn metric_request(
    service: &str,
    metrics: Vec<Metric>,
) -> Vec<ResourceMetrics> {
    let resource = Resource {
        attributes: vec![attribute(
            "service.name",
            Any::StringValue(service.to_owned()),
        )],
        ..Resource::default()
    };
    vec![ResourceMetrics {
        resource: Some(resource),
        scope_metrics: vec![ScopeMetrics {
            metrics,
            ..ScopeMetrics::default()
        }],
        ..ResourceMetrics::default()
    }]
}

/// A log record whose trace id has this length.
pub(super) fn record(length: usize) -> LogRecord {
    LogRecord {
        trace_id: vec![1; length],
        ..LogRecord::default()
    }
}

pub(super) fn log_request(log_records: Vec<LogRecord>) -> Vec<ResourceLogs> {
    vec![ResourceLogs {
        scope_logs: vec![ScopeLogs {
            log_records,
            ..ScopeLogs::default()
        }],
        ..ResourceLogs::default()
    }]
}

pub(super) fn plain_span(id: u8) -> Span {
    Span {
        trace_id: TRACE.to_vec(),
        span_id: vec![id; 8],
        name: "plain".to_owned(),
        ..Span::default()
    }
}

pub(super) fn rich_span() -> Span {
    Span {
        parent_span_id: vec![2; 8],
        flags: 0x301,
        trace_state: "a=b".to_owned(),
        name: "process onboarding".to_owned(),
        kind: span::SpanKind::Consumer.into(),
        start_time_unix_nano: 1,
        end_time_unix_nano: 5,
        attributes: vec![
            attribute("count", Any::IntValue(3)),
            attribute("latency", Any::DoubleValue(0.5)),
            named(),
        ],
        links: vec![span::Link {
            trace_id: TRACE.to_vec(),
            span_id: vec![3; 8],
            attributes: vec![named()],
            ..span::Link::default()
        }],
        events: vec![span::Event {
            name: "exception".to_owned(),
            time_unix_nano: 4,
            ..span::Event::default()
        }],
        status: Some(opentelemetry_proto::tonic::trace::v1::Status {
            code: 2,
            message: "refused".to_owned(),
        }),
        ..plain_span(1)
    }
}

fn named() -> KeyValue {
    attribute("name", Any::StringValue("x".to_owned()))
}

fn attribute(key: &str, value: Any) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

pub(super) struct HttpReceiver {
    pub(super) address: std::net::SocketAddr,
    pub(super) store: SpanStore,
}

pub(super) struct TestResponse {
    pub(super) status: StatusCode,
    pub(super) content_type: String,
    pub(super) body: Bytes,
}

impl HttpReceiver {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let store = SpanStore::default();
        tokio::spawn(serve_http(listener, store.clone(), std::future::pending()));
        Self { address, store }
    }

    pub(super) async fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> TestResponse {
        let request = headers
            .iter()
            .fold(Request::post(path), |request, (name, value)| {
                request.header(*name, *value)
            });
        self.send(request.body(Full::from(body)).unwrap()).await
    }

    pub(super) async fn get(&self, path: &str) -> Value {
        let response = self
            .send(Request::get(path).body(Full::default()).unwrap())
            .await;
        serde_json::from_slice(&response.body).unwrap()
    }

    async fn send(&self, mut request: Request<Full<Bytes>>) -> TestResponse {
        let host = self.address.to_string().parse().unwrap();
        request.headers_mut().entry("host").or_insert(host);
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        let response = sender.send_request(request).await.unwrap();
        let content_type = response
            .headers()
            .get("content-type")
            .map(|value| value.to_str().unwrap().to_owned())
            .unwrap_or_default();
        TestResponse {
            status: response.status(),
            content_type,
            body: response.into_body().collect().await.unwrap().to_bytes(),
        }
    }
}

pub(super) struct GrpcReceiver {
    pub(super) url: String,
    pub(super) store: SpanStore,
}

impl GrpcReceiver {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let store = SpanStore::default();
        tokio::spawn(serve_grpc(listener, store.clone(), std::future::pending()));
        Self { url, store }
    }

    /// A client whose requests carry this authority.
    pub(super) async fn client(&self, origin: &'static str) -> TraceServiceClient<Channel> {
        let endpoint = Endpoint::try_from(self.url.clone()).unwrap();
        let endpoint = endpoint.origin(Uri::from_static(origin));
        TraceServiceClient::new(endpoint.connect().await.unwrap())
    }
}
