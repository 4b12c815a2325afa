//! The collector. The tests are the exporter.

use std::io::Write as _;
use std::time::Duration;

use baton_test_support::{
    AttributeValue, Behaviour, CollectorResponse, PointValue, Signal, TestCollector,
};
use flate2::Compression;
use flate2::write::GzEncoder;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value};
use opentelemetry_proto::tonic::logs::v1 as logs;
use opentelemetry_proto::tonic::metrics::v1 as metrics;
use prost::Message as _;
use tokio::net::TcpStream;

use crate::support::http::{self, HttpResponse};

const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
const GZIP: (&str, &str) = ("content-encoding", "gzip");

async fn post(collector: &TestCollector, path: &str, body: &[u8]) -> HttpResponse {
    let url = format!("{}/v1/{path}", collector.endpoint());
    http::post(&url, &[PROTOBUF], body).await
}

fn one_metric() -> Vec<u8> {
    let point = metrics::HistogramDataPoint {
        count: 3,
        sum: Some(1.5),
        ..Default::default()
    };
    let histogram = metrics::Histogram {
        data_points: vec![point],
        aggregation_temporality: 1,
    };
    let metric = metrics::Metric {
        name: "waited".to_owned(),
        data: Some(metrics::metric::Data::Histogram(histogram)),
        ..Default::default()
    };
    let scope = metrics::ScopeMetrics {
        scope: Some(Default::default()),
        metrics: vec![metric],
        ..Default::default()
    };
    let resource = metrics::ResourceMetrics {
        resource: Some(Default::default()),
        scope_metrics: vec![scope],
        ..Default::default()
    };
    let resource_metrics = vec![resource];
    ExportMetricsServiceRequest { resource_metrics }.encode_to_vec()
}

fn one_log() -> Vec<u8> {
    let text = any_value::Value::StringValue("hello".to_owned());
    let record = logs::LogRecord {
        body: Some(AnyValue { value: Some(text) }),
        span_id: vec![0xab; 8],
        ..Default::default()
    };
    let scope = logs::ScopeLogs {
        scope: Some(Default::default()),
        log_records: vec![record],
        ..Default::default()
    };
    let resource = logs::ResourceLogs {
        resource: Some(Default::default()),
        scope_logs: vec![scope],
        ..Default::default()
    };
    let resource_logs = vec![resource];
    ExportLogsServiceRequest { resource_logs }.encode_to_vec()
}

#[tokio::test]
async fn a_collector_separates_the_signals() {
    let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
    assert_eq!(post(&collector, "metrics", &one_metric()).await.status, 200);
    assert_eq!(post(&collector, "logs", &one_log()).await.status, 200);
    assert_eq!(post(&collector, "elsewhere", b"").await.status, 404);
    let counts = Signal::ALL.map(|signal| collector.exports(signal).len());
    assert_eq!(counts, [0, 1, 1]);
    let metrics = collector.metrics().unwrap();
    let value = &metrics[0].points[0].value;
    assert_eq!(metrics[0].name, "waited");
    assert!(matches!(value, PointValue::Histogram { count: 3, .. }));
    let logs = collector.log_records().unwrap();
    assert_eq!(logs[0].body, Some(AttributeValue::from("hello")));
    assert_eq!(logs[0].span_id.as_deref(), Some("abababababababab"));
    assert_eq!(logs[0].trace_id, None);
}

#[tokio::test]
async fn a_collector_accepts_gzip_and_no_other_encoding() {
    let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&one_metric()).unwrap();
    let gzip = gzip.finish().unwrap();
    let url = format!("{}/v1/metrics", collector.endpoint());
    let response = http::post(&url, &[PROTOBUF, GZIP], &gzip).await;
    assert_eq!(response.status, 200);
    let export = &collector.exports(Signal::Metrics)[0];
    assert_eq!(
        (&export.body[..], export.wire_bytes),
        (&one_metric()[..], gzip.len())
    );
    let response = http::post(&url, &[PROTOBUF, GZIP], b"not gzip").await;
    assert_eq!(response.status, 400);
    let other = http::post(&url, &[PROTOBUF, ("content-encoding", "br")], b"").await;
    assert_eq!(other.status, 415);
    assert_eq!(collector.exports(Signal::Metrics).len(), 1);
}

#[tokio::test]
async fn a_flaky_collector_fails_every_third_request_of_each_signal() {
    let flaky = Behaviour::every(3, CollectorResponse::Status(503));
    let collector = TestCollector::start(flaky).await.unwrap();
    let mut statuses = Vec::new();
    for _ in 0..6 {
        statuses.push(post(&collector, "logs", &one_log()).await.status.as_u16());
        // Requests of another signal are counted separately.
        post(&collector, "metrics", &one_metric()).await;
    }
    assert_eq!(statuses, [200, 200, 503, 200, 200, 503]);
    assert_eq!(collector.log_records().unwrap().len(), 4);
}

#[tokio::test]
async fn one_signal_can_have_a_behaviour_of_its_own() {
    let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
    collector.set_behaviour_for(Signal::Logs, CollectorResponse::RetryAfter(7));
    let response = post(&collector, "logs", &one_log()).await;
    assert_eq!(
        (response.status.as_u16(), response.header("retry-after")),
        (503, "7")
    );
    assert_eq!(post(&collector, "metrics", &one_metric()).await.status, 200);
    assert!(collector.log_records().unwrap().is_empty());
}

#[tokio::test]
async fn a_collector_refuses_connections_until_it_listens_on_the_same_port_again() {
    let collector = TestCollector::bind(CollectorResponse::Ok).unwrap();
    let address = collector.endpoint().replace("http://", "");
    for _ in 0..3 {
        let refused = TcpStream::connect(&address).await.unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
        collector.listen().await.unwrap();
        assert_eq!(post(&collector, "logs", &one_log()).await.status, 200);
        collector.stop_listening().await;
    }
    assert_eq!(collector.log_records().unwrap().len(), 3);
}

#[tokio::test]
async fn a_collector_that_stops_listening_closes_pending_connections() {
    let collector = TestCollector::start(CollectorResponse::Hang).await.unwrap();
    let stream = TcpStream::connect(collector.endpoint().replace("http://", ""));
    let stream = stream.await.unwrap();
    stream.writable().await.unwrap();
    stream
        .try_write(b"POST /v1/logs HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n")
        .unwrap();
    crate::support::eventually("the request", async || {
        collector.exports(Signal::Logs).pop()
    })
    .await;
    collector.stop_listening().await;
    let closed = tokio::time::timeout(Duration::from_secs(5), stream.readable()).await;
    closed.expect("the connection is closed").unwrap();
    let end = stream.try_read(&mut [0; 1]);
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
}
