//! The metric `http.server.request.duration`, according to OpenTelemetry's HTTP conventions.

use std::time::Instant;

use http::StatusCode;
use opentelemetry::metrics::{Histogram, Meter};
use opentelemetry::{KeyValue, Value};
use opentelemetry_semantic_conventions::{attribute, metric};

use crate::server_span::dropped_error_type;

/// The bucket boundaries that the conventions recommend, in seconds.
const BOUNDARIES: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

/// Maximum number of attributes of a measurement: `error.type`, method, status, route and scheme.
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
        RequestTimer {
            histogram: self.0.clone(),
            started_at,
            method,
            scheme,
            route: route.map(str::to_owned),
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
    method: &'static str,
    scheme: &'static str,
    route: Option<String>,
    status: Option<StatusCode>,
}

impl RequestTimer {
    /// Records the duration of a request with a response.
    pub(crate) fn finish(mut self, status: StatusCode) {
        self.status = Some(status);
    }

    /// Returns the attributes sorted by name, because the meter sorts a copy of unsorted ones.
    fn take_attributes(&mut self) -> Vec<KeyValue> {
        let error_type = match self.status {
            Some(status) if status.is_server_error() => Some(status.as_str().to_owned().into()),
            Some(_) => None,
            None => Some(Value::from(dropped_error_type())),
        };
        let status = self.status.map(|status| i64::from(status.as_u16()).into());
        let route = self.route.take().map(Value::from);
        let mut attributes = Vec::with_capacity(MAX_ATTRIBUTES);
        let mut push = |key, value: Option<Value>| {
            attributes.extend(value.map(|value| KeyValue::new(key, value)));
        };
        push(attribute::ERROR_TYPE, error_type);
        push(attribute::HTTP_REQUEST_METHOD, Some(self.method.into()));
        push(attribute::HTTP_RESPONSE_STATUS_CODE, status);
        push(attribute::HTTP_ROUTE, route);
        push(attribute::URL_SCHEME, Some(self.scheme.into()));
        attributes
    }
}

impl Drop for RequestTimer {
    fn drop(&mut self) {
        let seconds = self.started_at.elapsed().as_secs_f64();
        let attributes = self.take_attributes();
        self.histogram.record(seconds, &attributes);
    }
}
