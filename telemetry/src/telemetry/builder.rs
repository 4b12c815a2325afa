//! What can be said before telemetry starts.

use super::{Service, Telemetry};
use crate::export::headers::OpenHeaderSource;

/// What [`Telemetry`] starts with, beside the environment.
#[derive(Debug, Clone, Copy)]
#[must_use]
pub struct Builder {
    service: Service,
    open_header_source: Option<OpenHeaderSource>,
}

impl Builder {
    pub(super) fn new(service: Service) -> Self {
        Self {
            service,
            open_header_source: None,
        }
    }

    /// How `OTEL_EXPORTER_OTLP_HEADERS_SECRET` is read. Without this, the variable is one line in
    /// the log.
    ///
    /// `baton_secrets::open` reads from AWS Secrets Manager and the SSM Parameter Store.
    pub fn header_source(mut self, open: OpenHeaderSource) -> Self {
        self.open_header_source = Some(open);
        self
    }

    /// Sets telemetry up, as [`Telemetry::init`] tells. Waits for the first fetch of headers, two
    /// seconds at most.
    pub async fn init(self) -> Telemetry {
        Telemetry::set_up(self.service, self.open_header_source).await
    }
}
