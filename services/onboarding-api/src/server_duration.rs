//! The metric `http.server.request.duration`, according to OpenTelemetry's HTTP conventions.

use std::time::Instant;

use http::StatusCode;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Histogram, Meter};
use opentelemetry_semantic_conventions::{attribute, metric};

use crate::server_span::dropped_error_type;

/// The bucket boundaries that the conventions recommend, in seconds.
const BOUNDARIES: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

/// Maximum number of attributes of a measurement: method, scheme, route, status and `error.type`.
const MAX_ATTRIBUTES: usize = 5;

/// The instrument.
#[derive(Debug, Clone)]
pub(crate) struct ServerDuration(Histogram<f64>);

impl ServerDuration {
    pub(crate) fn new(meter: &Meter) -> Self {
        let histogram = meter
            .f64_histogram(metric::HTTP_SERVER_REQUEST_DURATION)
            .with_description("Duration of HTTP server requests.")
            .with_unit("s")
            .with_boundaries(BOUNDARIES.to_vec());
        Self(histogram.build())
    }

    /// Starts the measurement of a request. The host is not among its attributes: clients choose
    /// it, and each value would create another time series.
    pub(crate) fn start(
        &self,
        started_at: Instant,
        method: &'static str,
        scheme: &'static str,
        route: Option<&str>,
    ) -> RequestTimer {
        let mut attributes = Vec::with_capacity(MAX_ATTRIBUTES);
        attributes.push(KeyValue::new(attribute::HTTP_REQUEST_METHOD, method));
        attributes.push(KeyValue::new(attribute::URL_SCHEME, scheme));
        if let Some(route) = route {
            attributes.push(KeyValue::new(attribute::HTTP_ROUTE, route.to_owned()));
        }
        RequestTimer {
            histogram: self.0.clone(),
            started_at,
            attributes,
            status: None,
        }
    }
}

/// The measurement of a request in progress. It is recorded on drop, so that a request that is
/// cancelled or panics is measured too.
#[derive(Debug)]
pub(crate) struct RequestTimer {
    histogram: Histogram<f64>,
    started_at: Instant,
    attributes: Vec<KeyValue>,
    status: Option<StatusCode>,
}

impl RequestTimer {
    /// Records the duration of a request with a response.
    pub(crate) fn finish(mut self, status: StatusCode) {
        self.status = Some(status);
    }
}

impl Drop for RequestTimer {
    fn drop(&mut self) {
        let mut push = |key, value: opentelemetry::Value| {
            self.attributes.push(KeyValue::new(key, value));
        };
        match self.status {
            Some(status) => {
                let code = i64::from(status.as_u16());
                push(attribute::HTTP_RESPONSE_STATUS_CODE, code.into());
                if status.is_server_error() {
                    push(attribute::ERROR_TYPE, status.as_str().to_owned().into());
                }
            }
            None => push(attribute::ERROR_TYPE, dropped_error_type().into()),
        }
        let seconds = self.started_at.elapsed().as_secs_f64();
        self.histogram.record(seconds, &self.attributes);
    }
}
