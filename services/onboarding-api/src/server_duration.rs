//! How long requests take: `http.server.request.duration`, by the HTTP conventions.

use std::time::Instant;

use http::StatusCode;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Histogram, Meter};
use opentelemetry_semantic_conventions::{attribute, metric};

use crate::unfinished;

/// The boundaries that the conventions advise, in seconds.
const BOUNDARIES: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

/// The most attributes that a measurement has: method, scheme, route, status and `error.type`.
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

    /// Attributes for a request with this method, scheme and route, if any. The host is not an
    /// attribute: clients choose it, and each value would create another time series.
    pub(crate) fn start(
        &self,
        began: Instant,
        method: &'static str,
        scheme: &'static str,
        route: Option<&str>,
    ) -> Running {
        let mut attributes = Vec::with_capacity(MAX_ATTRIBUTES);
        attributes.push(KeyValue::new(attribute::HTTP_REQUEST_METHOD, method));
        attributes.push(KeyValue::new(attribute::URL_SCHEME, scheme));
        if let Some(route) = route {
            attributes.push(KeyValue::new(attribute::HTTP_ROUTE, route.to_owned()));
        }
        Running {
            histogram: self.0.clone(),
            began,
            attributes,
            status: None,
        }
    }
}

/// A request on its way. Is measured when it is dropped: one that is dropped unanswered was
/// cancelled, or panicked.
#[derive(Debug)]
pub(crate) struct Running {
    histogram: Histogram<f64>,
    began: Instant,
    attributes: Vec<KeyValue>,
    status: Option<StatusCode>,
}

impl Running {
    pub(crate) fn finish(mut self, status: StatusCode) {
        self.status = Some(status);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut put = |key, value: opentelemetry::Value| {
            self.attributes.push(KeyValue::new(key, value));
        };
        match self.status {
            Some(status) => {
                let code = i64::from(status.as_u16());
                put(attribute::HTTP_RESPONSE_STATUS_CODE, code.into());
                if status.is_server_error() {
                    put(attribute::ERROR_TYPE, status.as_str().to_owned().into());
                }
            }
            None => put(attribute::ERROR_TYPE, unfinished::error_type().into()),
        }
        let seconds = self.began.elapsed().as_secs_f64();
        self.histogram.record(seconds, &self.attributes);
    }
}
