//! Options of telemetry that the environment does not have.

use super::Telemetry;
use crate::export::headers::OpenHeaderSource;
use crate::resource::ServiceInfo;

/// Builder for [`Telemetry`].
///
/// ```no_run
/// use baton_telemetry::{HeaderSource, ServiceInfo, Telemetry};
///
/// # async fn run(open: baton_telemetry::OpenHeaderSource) {
/// let service = ServiceInfo { name: "orders", version: None };
/// let telemetry = Telemetry::builder(service).header_source(open).init().await;
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
#[must_use]
pub struct TelemetryBuilder {
    service: ServiceInfo,
    open_header_source: Option<OpenHeaderSource>,
}

impl TelemetryBuilder {
    pub(super) fn new(service: ServiceInfo) -> Self {
        Self {
            service,
            open_header_source: None,
        }
    }

    /// Sets the function that opens the source of headers that `OTEL_EXPORTER_OTLP_HEADERS_SECRET`
    /// refers to. Without it, the variable is ignored with a warning.
    ///
    /// `baton_secrets::open` reads from AWS Secrets Manager and the SSM Parameter Store.
    pub fn header_source(mut self, open: OpenHeaderSource) -> Self {
        self.open_header_source = Some(open);
        self
    }

    /// Initialises telemetry as [`Telemetry::init`] does. Waits up to two seconds for the first
    /// fetch of headers.
    pub async fn init(self) -> Telemetry {
        Telemetry::set_up(self.service, self.open_header_source).await
    }
}
