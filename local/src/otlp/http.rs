//! OTLP over HTTP, and the JSON API for stored spans and metrics.

use std::future::Future;
use std::io;
use std::sync::Arc;

use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use serde::{Deserialize, Serialize, Serializer};
use tokio::net::TcpListener;

use self::body::Format;
use self::error::RequestError;
use super::config::ReceiverConfig;
use super::metric::StoredMetric;
use super::signal::ExportRequest;
use super::span::StoredSpan;
use super::store::{SpanStore, Totals};
use crate::allowed_hosts::{HostCheckError, HostCheckLayer};

mod body;
mod error;

pub(super) use self::body::MAX_BODY_SIZE;

/// Serves OTLP over HTTP, `GET /api/spans` and `GET /api/metrics` until `shutdown` completes, then
/// waits for open requests.
///
/// # Errors
///
/// Returns an error if the listener fails.
pub async fn serve_http(
    listener: TcpListener,
    config: impl Into<ReceiverConfig>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let ReceiverConfig {
        store,
        allowed_hosts,
    } = config.into();
    let router = Router::new()
        .route("/v1/traces", post(export::<ExportTraceServiceRequest>))
        .route("/v1/metrics", post(export::<ExportMetricsServiceRequest>))
        .route("/v1/logs", post(export::<ExportLogsServiceRequest>))
        .route("/api/spans", get(spans))
        .route("/api/metrics", get(metrics))
        .layer(DefaultBodyLimit::max(MAX_BODY_SIZE))
        .with_state(store)
        .layer(HostCheckLayer::new(allowed_hosts, host_error_response));
    axum::serve(listener, router)
        .with_graceful_shutdown(shutdown)
        .await
}

async fn export<R: ExportRequest>(
    State(store): State<SpanStore>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let format = match Format::from_headers(&headers) {
        Ok(format) => format,
        Err(error) => return error_response(&error, Format::Protobuf),
    };
    let request = body::decompress(&headers, body).and_then(|body| format.decode::<R>(&body));
    match request {
        Ok((request, skipped)) => {
            let response = request.accept(&store, skipped);
            (
                [(CONTENT_TYPE, format.content_type())],
                format.encode(&response),
            )
                .into_response()
        }
        Err(error) => error_response(&error, format),
    }
}

fn host_error_response(error: &HostCheckError, headers: &HeaderMap) -> Response {
    let format = Format::from_headers(headers).unwrap_or(Format::Json);
    error_response(&RequestError::Host(error.clone()), format)
}

fn error_response(error: &RequestError, format: Format) -> Response {
    (
        error.status_code(),
        [(CONTENT_TYPE, format.content_type())],
        format.encode(&error.rpc_status()),
    )
        .into_response()
}

#[derive(Deserialize)]
struct SpansQuery {
    trace_id: Option<String>,
}

#[derive(Serialize)]
struct SpansResponse {
    #[serde(flatten)]
    totals: Totals,
    #[serde(serialize_with = "serialize_spans")]
    spans: Vec<Arc<StoredSpan>>,
}

async fn spans(State(store): State<SpanStore>, Query(query): Query<SpansQuery>) -> Response {
    let spans = query.trace_id.map_or_else(
        || store.spans(),
        |trace_id| store.trace(&trace_id.to_ascii_lowercase()),
    );
    Json(SpansResponse {
        totals: store.totals(),
        spans,
    })
    .into_response()
}

#[derive(Serialize)]
struct MetricsResponse {
    metrics: Vec<StoredMetric>,
}

async fn metrics(State(store): State<SpanStore>) -> Response {
    Json(MetricsResponse {
        metrics: store.metrics(),
    })
    .into_response()
}

/// Serialises each span, because serde does not serialise an `Arc` by default.
fn serialize_spans<S: Serializer>(
    spans: &[Arc<StoredSpan>],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(spans.iter().map(AsRef::as_ref))
}
