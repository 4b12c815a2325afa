//! A collector over gRPC.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

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
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use crate::Column;

/// Accepts spans, metrics and log records, or fails as its column specifies. Keeps the ids of the
/// spans that it has accepted.
pub(crate) struct GrpcCollector {
    address: SocketAddr,
    sink: Sink,
}

#[derive(Clone)]
struct Sink {
    column: Column,
    span_ids: Arc<Mutex<Vec<String>>>,
}

impl GrpcCollector {
    pub(crate) async fn start(column: Column) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let sink = Sink {
            column,
            span_ids: Arc::default(),
        };
        if column != Column::Refuses {
            let server = Server::builder()
                .add_service(TraceServiceServer::new(sink.clone()))
                .add_service(MetricsServiceServer::new(sink.clone()))
                .add_service(LogsServiceServer::new(sink.clone()));
            tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
        }
        Self { address, sink }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn span_ids(&self) -> Vec<String> {
        self.sink.span_ids.lock().unwrap().clone()
    }
}

impl Sink {
    async fn respond<T: Default>(&self) -> Result<Response<T>, Status> {
        match self.column {
            Column::Works | Column::Refuses => Ok(Response::new(T::default())),
            Column::Hangs => std::future::pending().await,
            Column::Unavailable => Err(Status::unavailable("busy")),
        }
    }
}

#[tonic::async_trait]
impl TraceService for Sink {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let response = self.respond().await?;
        let resources = request.into_inner().resource_spans.into_iter();
        let scopes = resources.flat_map(|resource| resource.scope_spans);
        let spans = scopes.flat_map(|scope| scope.spans);
        let hex = |id: Vec<u8>| id.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut span_ids = self.span_ids.lock().unwrap();
        span_ids.extend(spans.map(|span| -> String { hex(span.span_id) }));
        Ok(response)
    }
}

#[tonic::async_trait]
impl MetricsService for Sink {
    async fn export(
        &self,
        _: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        self.respond().await
    }
}

#[tonic::async_trait]
impl LogsService for Sink {
    async fn export(
        &self,
        _: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        self.respond().await
    }
}
