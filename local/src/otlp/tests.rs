use std::io::Write;
use std::num::NonZeroUsize;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use http::StatusCode;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::{Value, json};
use tonic::codec::CompressionEncoding;

use self::support::{
    GrpcReceiver, HttpReceiver, log_request, metric_request, plain_span, record, request,
    rich_span, sum,
};
use super::SpanStore;

/// Test data and receivers, which the tests of single modules use too.
pub(super) mod support;

const TRACE_HEX: &str = "abababababababababababababababab";
const PROTOBUF: &str = "application/x-protobuf";

#[tokio::test]
async fn a_span_sent_as_protobuf_is_read_back_as_documented() {
    let receiver = HttpReceiver::start().await;
    let response = receiver
        .post(
            "/v1/traces",
            &[("content-type", PROTOBUF)],
            request(vec![rich_span()]).encode_to_vec(),
        )
        .await;
    assert_eq!(
        (response.status, response.content_type.as_str()),
        (StatusCode::OK, PROTOBUF)
    );
    assert_eq!(
        ExportTraceServiceResponse::decode(response.body).unwrap(),
        ExportTraceServiceResponse::default()
    );

    let page = receiver
        .get(&format!("/api/spans?trace_id={TRACE_HEX}"))
        .await;
    let expected = json!({
        "received": 1, "rejected": 0, "dropped": 0, "metrics": 0, "logs": 0,
        "spans": [{
            "trace_id": TRACE_HEX, "span_id": "0101010101010101", "parent_span_id": "0202020202020202", "parent_is_remote": true,
            "trace_state": "a=b", "name": "process onboarding", "kind": "CONSUMER", "start_unix_nano": 1, "end_unix_nano": 5,
            "attributes": {"count": 3, "latency": 0.5, "name": "x"},
            "links": [{"trace_id": TRACE_HEX, "span_id": "0303030303030303", "attributes": {"name": "x"}}],
            "events": [{"name": "exception", "time_unix_nano": 4, "attributes": {}}],
            "status": {"code": "ERROR", "message": "refused"}, "scope": "test", "resource": {"name": "x"},
        }],
    });
    assert_eq!(page, expected);
}

#[tokio::test]
async fn another_trace_is_not_in_the_response() {
    let receiver = HttpReceiver::start().await;
    receiver
        .store
        .add_spans(request(vec![plain_span(1)]).resource_spans, 0);
    assert_eq!(
        receiver
            .get("/api/spans?trace_id=00000000000000000000000000000001")
            .await["spans"],
        json!([])
    );
    assert_eq!(
        receiver.get("/api/spans").await["spans"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn gzip_and_json_are_read() {
    let receiver = HttpReceiver::start().await;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder
        .write_all(&request(vec![plain_span(1)]).encode_to_vec())
        .unwrap();
    let headers = [("content-type", PROTOBUF), ("content-encoding", "gzip")];
    assert_eq!(
        receiver
            .post("/v1/traces", &headers, encoder.finish().unwrap())
            .await
            .status,
        StatusCode::OK
    );

    let body = json!({"resourceSpans": [{"scopeSpans": [{"spans": [
        {"traceId": TRACE_HEX, "spanId": "0000000000000007", "name": "json", "kind": 2, "startTimeUnixNano": "1", "endTimeUnixNano": "2"}
    ]}]}]});
    let response = receiver
        .post(
            "/v1/traces",
            &[("content-type", "application/json; charset=utf-8")],
            body.to_string().into_bytes(),
        )
        .await;
    assert_eq!(
        (response.status, response.content_type.as_str()),
        (StatusCode::OK, "application/json")
    );
    let names = receiver
        .store
        .spans()
        .iter()
        .map(|span| span.name.clone())
        .collect::<Vec<_>>();
    assert_eq!(names, ["plain", "json"]);
}

#[tokio::test]
async fn a_request_that_is_not_otlp_is_rejected_with_a_status() {
    let receiver = HttpReceiver::start().await;
    let garbage = receiver
        .post("/v1/traces", &[("content-type", PROTOBUF)], vec![0xff; 8])
        .await;
    assert_eq!(
        (garbage.status, garbage.content_type.as_str()),
        (StatusCode::BAD_REQUEST, PROTOBUF)
    );
    assert!(
        garbage.body.starts_with(&[0x08, 3, 0x12]),
        "google.rpc.Status with code 3 and a message: {:?}",
        garbage.body
    );

    let bad_json = receiver
        .post(
            "/v1/logs",
            &[("content-type", "application/json")],
            b"[1".to_vec(),
        )
        .await;
    assert_eq!(bad_json.status, StatusCode::BAD_REQUEST);
    let status: Value = serde_json::from_slice(&bad_json.body).unwrap();
    assert_eq!(status["code"], 3);
    assert!(
        status["message"]
            .as_str()
            .unwrap()
            .starts_with("the body is not an OTLP request")
    );

    let broken_gzip = [("content-type", PROTOBUF), ("content-encoding", "gzip")];
    assert_eq!(
        receiver
            .post("/v1/traces", &broken_gzip, b"plain".to_vec())
            .await
            .status,
        StatusCode::BAD_REQUEST
    );
    let zstd = [("content-type", PROTOBUF), ("content-encoding", "zstd")];
    assert_eq!(
        receiver.post("/v1/traces", &zstd, Vec::new()).await.status,
        StatusCode::UNSUPPORTED_MEDIA_TYPE
    );
    assert_eq!(
        receiver
            .post("/v1/traces", &[("content-type", "text/plain")], Vec::new())
            .await
            .status,
        StatusCode::UNSUPPORTED_MEDIA_TYPE
    );
    assert_eq!(
        receiver.post("/v1/traces", &[], Vec::new()).await.status,
        StatusCode::UNSUPPORTED_MEDIA_TYPE
    );
}

#[tokio::test]
async fn a_body_is_bounded_before_and_after_decompression() {
    let receiver = HttpReceiver::start().await;
    let huge = vec![0; super::http::MAX_BODY_SIZE + 1];
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&huge).unwrap();
    let bomb = encoder.finish().unwrap();
    assert_eq!(
        receiver
            .post("/v1/traces", &[("content-type", PROTOBUF)], huge)
            .await
            .status,
        StatusCode::PAYLOAD_TOO_LARGE
    );
    let headers = [("content-type", PROTOBUF), ("content-encoding", "gzip")];
    assert_eq!(
        receiver.post("/v1/traces", &headers, bomb).await.status,
        StatusCode::PAYLOAD_TOO_LARGE
    );
}

#[tokio::test]
async fn spans_without_ids_are_rejected_and_counted() {
    let receiver = HttpReceiver::start().await;
    let nameless = Span {
        trace_id: vec![0; 16],
        ..plain_span(1)
    };
    let short = Span {
        span_id: vec![1; 4],
        ..plain_span(1)
    };
    let response = receiver
        .post(
            "/v1/traces",
            &[("content-type", PROTOBUF)],
            request(vec![nameless, short, plain_span(2)]).encode_to_vec(),
        )
        .await;
    let partial = ExportTraceServiceResponse::decode(response.body)
        .unwrap()
        .partial_success
        .unwrap();
    assert_eq!(
        (
            partial.rejected_spans,
            receiver.store.totals().received,
            receiver.store.totals().rejected
        ),
        (2, 1, 2)
    );
}

#[tokio::test]
async fn a_page_that_rebinds_its_name_neither_reads_nor_sends_over_http() {
    let receiver = HttpReceiver::start().await;
    let evil = ("host", "evil.example");
    for (path, content_type) in [
        ("/api/spans", ""),
        ("/api/metrics", ""),
        ("/v1/traces", PROTOBUF),
        ("/v1/logs", "application/json"),
        ("/nothing", ""),
    ] {
        let headers = [evil, ("content-type", content_type)];
        let response = receiver.post(path, &headers, Vec::new()).await;
        assert_eq!(response.status, StatusCode::MISDIRECTED_REQUEST, "{path}");
        let body = String::from_utf8_lossy(&response.body).into_owned();
        assert!(body.contains("is not allowed"), "{body}");
    }
    let headers = [
        ("content-type", PROTOBUF),
        ("origin", "http://evil.example"),
    ];
    let body = request(vec![plain_span(1)]).encode_to_vec();
    let response = receiver.post("/v1/traces", &headers, body).await;
    assert_eq!(response.status, StatusCode::FORBIDDEN);
    assert_eq!(receiver.store.totals().received, 0);
}

#[tokio::test]
async fn another_authority_is_rejected_over_grpc() {
    let receiver = GrpcReceiver::start().await;
    let mut evil = receiver.client("http://evil.example").await;
    let status = evil.export(request(vec![plain_span(1)])).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::PermissionDenied, "{status:?}");
    assert!(status.message().contains("evil.example"), "{status:?}");
    let mut own = receiver.client("http://localhost").await;
    own.export(request(vec![plain_span(1)])).await.unwrap();
    assert_eq!(receiver.store.totals().received, 1);
}

#[tokio::test]
async fn metrics_and_logs_are_accepted_over_http() {
    let receiver = HttpReceiver::start().await;
    let headers = [("content-type", PROTOBUF)];
    let body = metrics(vec![sum("calls", 2), sum("", 1)]).encode_to_vec();
    let response = receiver.post("/v1/metrics", &headers, body).await;
    let response = ExportMetricsServiceResponse::decode(response.body).unwrap();
    assert_eq!(response.partial_success.unwrap().rejected_data_points, 1);

    let body = logs(vec![record(16), record(15)]).encode_to_vec();
    let response = receiver.post("/v1/logs", &headers, body).await;
    let response = ExportLogsServiceResponse::decode(response.body).unwrap();
    assert_eq!(response.partial_success.unwrap().rejected_log_records, 1);

    let totals = receiver.store.totals();
    assert_eq!((totals.metrics, totals.logs), (2, 1));
    let expected = json!({"metrics": [
        {"service": "test", "name": "calls", "unit": "1", "kind": "SUM", "points": 2}
    ]});
    assert_eq!(receiver.get("/api/metrics").await, expected);
}

#[tokio::test]
async fn the_response_to_an_accepted_request_has_no_partial_success() {
    let receiver = HttpReceiver::start().await;
    let headers = [("content-type", "application/json")];
    for (path, body) in [
        (
            "/v1/metrics",
            json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": [
                {"name": "m", "sum": {"aggregationTemporality": 1, "dataPoints": [{"timeUnixNano": "1", "asInt": "3"}]}}
            ]}]}]}),
        ),
        (
            "/v1/logs",
            json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [
                {"timeUnixNano": "1", "traceId": TRACE_HEX, "body": {"stringValue": "stored"}}
            ]}]}]}),
        ),
    ] {
        let response = receiver
            .post(path, &headers, body.to_string().into_bytes())
            .await;
        assert_eq!(response.status, StatusCode::OK, "{path}");
        let response = serde_json::from_slice::<Value>(&response.body).unwrap();
        assert!(
            response.get("partialSuccess").is_none_or(Value::is_null),
            "{response}"
        );
    }
    let totals = receiver.store.totals();
    assert_eq!((totals.metrics, totals.logs), (1, 1));
}

#[tokio::test]
async fn all_signals_are_accepted_over_grpc() {
    let receiver = GrpcReceiver::start().await;
    let mut traces = TraceServiceClient::connect(receiver.url.clone())
        .await
        .unwrap()
        .send_compressed(CompressionEncoding::Gzip);
    traces.export(request(vec![rich_span()])).await.unwrap();
    MetricsServiceClient::connect(receiver.url.clone())
        .await
        .unwrap()
        .export(metrics(vec![sum("calls", 2)]))
        .await
        .unwrap();
    LogsServiceClient::connect(receiver.url.clone())
        .await
        .unwrap()
        .export(logs(vec![record(16), record(0), record(0)]))
        .await
        .unwrap();
    let totals = receiver.store.totals();
    assert_eq!((totals.received, totals.metrics, totals.logs), (1, 2, 3));
    assert_eq!(receiver.store.metrics()[0].name, "calls");
    assert_eq!(
        receiver.store.trace(TRACE_HEX)[0].parent_is_remote,
        Some(true)
    );
}

#[tokio::test]
async fn the_oldest_spans_are_removed_and_counted() {
    let store = SpanStore::new(NonZeroUsize::new(2).unwrap());
    store.add_spans(
        request(vec![plain_span(1), plain_span(2), plain_span(3)]).resource_spans,
        0,
    );
    let kept = store
        .spans()
        .iter()
        .map(|span| span.span_id.clone())
        .collect::<Vec<_>>();
    assert_eq!(kept, ["0202020202020202", "0303030303030303"]);
    assert_eq!((store.totals().received, store.totals().dropped), (3, 1));
}

#[tokio::test]
async fn waiting_ends_with_the_request_that_fulfils_it() {
    let store = SpanStore::default();
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.wait_until(|spans| spans.len() == 2).await }
    });
    store.add_spans(request(vec![plain_span(1)]).resource_spans, 0);
    store.add_spans(request(vec![plain_span(2)]).resource_spans, 0);
    tokio::time::timeout(Duration::from_secs(5), waiting)
        .await
        .unwrap()
        .unwrap();
}

fn metrics(
    metrics: Vec<opentelemetry_proto::tonic::metrics::v1::Metric>,
) -> ExportMetricsServiceRequest {
    ExportMetricsServiceRequest {
        resource_metrics: metric_request("test", metrics),
    }
}

fn logs(records: Vec<opentelemetry_proto::tonic::logs::v1::LogRecord>) -> ExportLogsServiceRequest {
    ExportLogsServiceRequest {
        resource_logs: log_request(records),
    }
}

#[tokio::test]
async fn json_of_other_sdks_is_read_and_unreadable_records_are_counted() {
    let receiver = HttpReceiver::start().await;
    let headers = [("content-type", "application/json")];
    let span = |value: Value| {
        json!({"traceId": TRACE_HEX, "spanId": "0000000000000007",
            "attributes": [{"key": "a", "value": value}]})
    };
    let spans = json!([
        span(json!({"arrayValue": {}})),
        span(json!({"doubleValue": "NaN"})),
        span(Value::Null),
        span(json!("NaN")),
    ]);
    let body = json!({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]});
    let response = receiver.post("/v1/traces", &headers, body.to_string().into_bytes());
    let response: Value = serde_json::from_slice(&response.await.body).unwrap();
    let partial = &response["partialSuccess"];
    assert_eq!(partial["rejectedSpans"], 1, "{response}");
    let reason = partial["errorMessage"].as_str().unwrap();
    assert!(
        reason.contains("spans[3].attributes[0].value: expected an object"),
        "{reason}"
    );
    let totals = receiver.store.totals();
    assert_eq!((totals.received, totals.rejected), (3, 1));

    let points = json!([{"asDouble": "NaN"}, {"asDouble": {}}, {"asDouble": "1"}]);
    let body = json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": [
        {"name": "m", "gauge": {"dataPoints": points}}
    ]}]}]});
    let response = receiver.post("/v1/metrics", &headers, body.to_string().into_bytes());
    let response: Value = serde_json::from_slice(&response.await.body).unwrap();
    assert_eq!(
        response["partialSuccess"]["rejectedDataPoints"], 1,
        "{response}"
    );
    assert_eq!(receiver.store.totals().metrics, 2);
}
