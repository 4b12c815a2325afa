//! The middleware that identifies, traces, measures and limits each request.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::HeaderName;
use opentelemetry::global::BoxedTracer;
use opentelemetry::metrics::Meter;
use opentelemetry::trace::FutureExt as _;

use crate::forwarded::Target;
use crate::request_id::{RequestId, X_REQUEST_ID};
use crate::request_limits::RequestDeadline;
use crate::server_duration::ServerDuration;
use crate::server_span::{ServerSpan, method_attribute};

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// The tracer, the instrument and the time limit of the middleware.
#[derive(Debug, Clone)]
pub(crate) struct RequestTelemetry {
    tracer: Arc<BoxedTracer>,
    duration: ServerDuration,
    timeout: Duration,
}

impl RequestTelemetry {
    pub(crate) fn new(tracer: BoxedTracer, meter: &Meter, timeout: Duration) -> Self {
        Self {
            tracer: Arc::new(tracer),
            duration: ServerDuration::new(meter),
            timeout,
        }
    }
}

/// Handles a request within the time limit and inside its SERVER span, and measures its duration.
/// This is one middleware, because each adds a boxed future to every request.
pub(crate) async fn record(
    State(telemetry): State<RequestTelemetry>,
    mut request: Request,
    next: Next,
) -> Response {
    let started_at = Instant::now();
    let deadline = RequestDeadline::start(telemetry.timeout);
    request.extensions_mut().insert(deadline);
    let request_id = RequestId::from_headers(request.headers());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map(MatchedPath::as_str);
    let target = Target::from_request(&request);
    let (method, scheme) = (method_attribute(request.method()), target.scheme.as_str());
    // If the client disconnects, this future is dropped at the `await`, and the two guards record
    // the request as cancelled.
    let span = ServerSpan::start(&telemetry.tracer, &request, route, target);
    let timer = telemetry.duration.start(started_at, method, scheme, route);
    let response = deadline.timeout_response(request_id.scope(next.run(request)));
    let mut response = response.with_context(span.context().clone()).await;
    let headers = response.headers_mut();
    headers.insert(X_REQUEST_ID, request_id.into_header());
    if let Some(server_timing) = span.server_timing() {
        headers.insert(SERVER_TIMING, server_timing);
    }
    timer.finish(response.status());
    span.finish(response.status());
    response
}
