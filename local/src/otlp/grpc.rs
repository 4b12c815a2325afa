//! OTLP over gRPC.

use std::future::Future;

use http::HeaderMap;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{
    LogsService, LogsServiceServer,
};
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::codec::CompressionEncoding::Gzip;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use super::config::ReceiverConfig;
use super::json::SkippedRecords;
use super::signal::ExportRequest;
use super::store::SpanStore;
use crate::allowed_hosts::{HostCheckError, HostCheckLayer};

/// Largest message that is decoded. It is a collector's default, so that a request that is too
/// large in production is too large here.
const MAX_MESSAGE_SIZE: usize = 4 * 1024 * 1024;

/// Serves the three OTLP services over gRPC until `shutdown` completes, then waits for open
/// requests.
///
/// # Errors
///
/// Returns an error if the listener fails.
pub async fn serve_grpc(
    listener: TcpListener,
    config: impl Into<ReceiverConfig>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    let ReceiverConfig {
        store,
        allowed_hosts,
    } = config.into();
    let receiver = OtlpReceiver { store };
    let traces = TraceServiceServer::new(receiver.clone())
        .accept_compressed(Gzip)
        .max_decoding_message_size(MAX_MESSAGE_SIZE);
    let metrics = MetricsServiceServer::new(receiver.clone())
        .accept_compressed(Gzip)
        .max_decoding_message_size(MAX_MESSAGE_SIZE);
    let logs = LogsServiceServer::new(receiver)
        .accept_compressed(Gzip)
        .max_decoding_message_size(MAX_MESSAGE_SIZE);
    Server::builder()
        .layer(HostCheckLayer::new(allowed_hosts, host_error_response))
        .add_service(traces)
        .add_service(metrics)
        .add_service(logs)
        .serve_with_incoming_shutdown(TcpIncoming::from(listener), shutdown)
        .await
}

/// Builds an error response with an HTTP status and, for gRPC clients, a gRPC status and message.
fn host_error_response(error: &HostCheckError, _headers: &HeaderMap) -> http::Response<Body> {
    let mut response = Status::permission_denied(error.to_string()).into_http();
    *response.status_mut() = error.status();
    response
}

#[derive(Clone)]
struct OtlpReceiver {
    store: SpanStore,
}

#[tonic::async_trait]
impl TraceService for OtlpReceiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        Ok(Response::new(
            request
                .into_inner()
                .accept(&self.store, SkippedRecords::default()),
        ))
    }
}

#[tonic::async_trait]
impl MetricsService for OtlpReceiver {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        Ok(Response::new(
            request
                .into_inner()
                .accept(&self.store, SkippedRecords::default()),
        ))
    }
}

#[tonic::async_trait]
impl LogsService for OtlpReceiver {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        Ok(Response::new(
            request
                .into_inner()
                .accept(&self.store, SkippedRecords::default()),
        ))
    }
}
