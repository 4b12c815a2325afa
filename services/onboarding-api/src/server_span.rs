//! The SERVER span of a request, according to OpenTelemetry's HTTP conventions.

use std::borrow::Cow;
use std::collections::HashMap;

use axum::extract::Request;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use opentelemetry::global::BoxedTracer;
use opentelemetry::trace::{SpanBuilder, SpanKind, Status, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, KeyValue, global};
use opentelemetry_semantic_conventions::attribute;

use crate::forwarded::{Server, Target};

/// `http.request.method` of a method that the HTTP specifications do not define, and the method in
/// the span's name for it.
const OTHER_METHOD: &str = "_OTHER";
const OTHER_METHOD_NAME: &str = "HTTP";

/// `error.type` of a request that was dropped before its response: the client disconnected, or the
/// handler panicked.
const TYPE_CANCELLED: &str = "cancelled";
const TYPE_PANIC: &str = "panic";

/// Number of attributes of the span of a request without an error, with the status code that is
/// added at the end.
const ATTRIBUTES: usize = 7;

/// Replaces a path segment that looks like an e-mail address.
const REDACTED: &str = "REDACTED";

/// The span of a request in progress.
///
/// If it is dropped before [`finish`](Self::finish), the span ends as failed. A dropped future runs
/// no code after its `await`, and a span that is merely dropped would look like a success.
#[derive(Debug)]
pub(crate) struct ServerSpan(Context);

impl ServerSpan {
    /// Starts the span as a child of the caller's span, if the request names one.
    pub(crate) fn start(
        tracer: &BoxedTracer,
        request: &Request,
        route: Option<&str>,
        target: Target,
    ) -> Self {
        let caller = extract_context(request.headers());
        let span = tracer.build_with_context(span_builder(request, route, target), &caller);
        Self(caller.with_span(span))
    }

    /// Returns the context in which the request is handled: the span, and the caller's baggage.
    pub(crate) fn context(&self) -> &Context {
        &self.0
    }

    /// Returns the value of the header `server-timing`: the span's context as a metric named
    /// `traceparent`, or `None` if there is no trace.
    ///
    /// Browsers give scripts this header's metrics even for page loads, where they can read no
    /// other header, and monitoring scripts look for this name:
    /// <https://github.com/open-telemetry/opentelemetry-specification/issues/3811>. W3C's drafts
    /// had a header `traceresponse` and replaced it:
    /// <https://github.com/w3c/trace-context/pull/560>.
    pub(crate) fn server_timing(&self) -> Option<HeaderValue> {
        let span = self.0.span();
        let context = span.span_context();
        if !context.is_valid() {
            return None;
        }
        // Several times faster than the `Display` of the ids.
        let value = [
            "traceparent;desc=\"00-",
            const_hex::Buffer::<16>::new().format(&context.trace_id().to_bytes()),
            "-",
            const_hex::Buffer::<8>::new().format(&context.span_id().to_bytes()),
            "-",
            const_hex::Buffer::<1>::new().format(&[context.trace_flags().to_u8()]),
            "\"",
        ]
        .concat();
        HeaderValue::try_from(value).ok()
    }

    /// Ends the span. A 4xx is the client's error and leaves the span's status unset, as the
    /// conventions require.
    pub(crate) fn finish(self, status: StatusCode) {
        let span = self.0.span();
        span.set_attribute(KeyValue::new(
            attribute::HTTP_RESPONSE_STATUS_CODE,
            i64::from(status.as_u16()),
        ));
        if status.is_server_error() {
            span.set_attribute(KeyValue::new(
                attribute::ERROR_TYPE,
                status.as_str().to_owned(),
            ));
            span.set_status(Status::error(""));
        }
        span.end();
    }
}

impl Drop for ServerSpan {
    fn drop(&mut self) {
        let span = self.0.span();
        // A span that has ended does not record.
        if span.is_recording() {
            span.set_attribute(KeyValue::new(attribute::ERROR_TYPE, dropped_error_type()));
            span.set_status(Status::error(""));
            span.end();
        }
    }
}

/// Returns `error.type` of a request whose future is being dropped.
pub(crate) fn dropped_error_type() -> &'static str {
    if std::thread::panicking() {
        TYPE_PANIC
    } else {
        TYPE_CANCELLED
    }
}

/// Returns `http.request.method`. Any client can invent methods, and each would create another time
/// series, so only the methods that the specifications define are used.
pub(crate) fn method_attribute(method: &Method) -> &'static str {
    known_method(method).unwrap_or(OTHER_METHOD)
}

/// Reads the trace and baggage of the caller. The lines of a header are joined before a propagator
/// reads them, as HTTP specifies: a `tracestate` in two lines is complete, and a second
/// `traceparent` makes both invalid.
fn extract_context(headers: &HeaderMap) -> Context {
    global::get_text_map_propagator(|propagator| {
        let mut carrier = HashMap::new();
        for field in propagator.fields() {
            let lines: Vec<&str> = headers
                .get_all(field)
                .iter()
                .filter_map(|value| value.to_str().ok())
                .collect();
            if !lines.is_empty() {
                carrier.insert(field.to_owned(), lines.join(","));
            }
        }
        propagator.extract_with_context(&Context::new(), &carrier)
    })
}

fn span_builder(request: &Request, route: Option<&str>, target: Target) -> SpanBuilder {
    let method = known_method(request.method()).unwrap_or(OTHER_METHOD_NAME);
    let name = route.map_or_else(|| method.to_owned(), |route| format!("{method} {route}"));
    let mut attributes = Vec::with_capacity(ATTRIBUTES);
    attributes.extend([
        KeyValue::new(
            attribute::HTTP_REQUEST_METHOD,
            method_attribute(request.method()),
        ),
        KeyValue::new(
            attribute::URL_PATH,
            redacted_path(request.uri().path()).into_owned(),
        ),
        KeyValue::new(attribute::URL_SCHEME, target.scheme.as_str()),
    ]);
    if let Some(route) = route {
        attributes.push(KeyValue::new(attribute::HTTP_ROUTE, route.to_owned()));
    }
    if let Some(Server { address, port }) = target.server {
        attributes.push(KeyValue::new(attribute::SERVER_ADDRESS, address));
        attributes.push(KeyValue::new(attribute::SERVER_PORT, i64::from(port)));
    }
    SpanBuilder::from_name(name)
        .with_kind(SpanKind::Server)
        .with_attributes(attributes)
}

/// Returns a method that the HTTP specifications define.
fn known_method(method: &Method) -> Option<&'static str> {
    const KNOWN: [&str; 9] = [
        "GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "CONNECT",
    ];
    KNOWN.into_iter().find(|known| *known == method.as_str())
}

/// Returns the path with every segment that looks like an e-mail address replaced. Clients put
/// personal data into paths, although no route of this service has a place for it.
fn redacted_path(path: &str) -> Cow<'_, str> {
    let is_address =
        |segment: &str| segment.contains('@') || segment.to_ascii_lowercase().contains("%40");
    if !is_address(path) {
        return Cow::Borrowed(path);
    }
    let segments: Vec<&str> = path
        .split('/')
        .map(|segment| {
            if is_address(segment) {
                REDACTED
            } else {
                segment
            }
        })
        .collect();
    Cow::Owned(segments.join("/"))
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use axum::body::Body;
    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};

    use super::*;

    fn request(method: &str, uri: &str) -> Request {
        let request = Request::builder().method(method).uri(uri);
        request.body(Body::empty()).unwrap()
    }

    fn span_name(request: &Request, route: Option<&str>) -> String {
        let target = Target::from_request(request);
        span_builder(request, route, target).name.into_owned()
    }

    /// Returns the span of a request that ends with `end`.
    fn recorded(end: fn(ServerSpan)) -> SpanData {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder()
            .with_simple_exporter(exporter.clone())
            .build();
        let request = request("GET", "/");
        let target = Target::from_request(&request);
        let tracer = BoxedTracer::new(Box::new(provider.tracer("test")));
        let span = ServerSpan::start(&tracer, &request, None, target);
        drop(catch_unwind(AssertUnwindSafe(|| end(span))));
        exporter.get_finished_spans().unwrap().remove(0)
    }

    fn error_type(span: &SpanData) -> Option<String> {
        let mut attributes = span.attributes.iter();
        let found = attributes.find(|attribute| attribute.key.as_str() == attribute::ERROR_TYPE);
        found.map(|attribute| attribute.value.to_string())
    }

    #[test]
    fn a_dropped_request_is_cancelled_unless_it_panicked() {
        for (end, expected) in [
            (drop as fn(ServerSpan), "cancelled"),
            (|_span| panic!("as the test requires"), "panic"),
        ] {
            let span = recorded(end);
            assert_eq!(error_type(&span).as_deref(), Some(expected));
            assert_eq!(span.status, Status::error(""));
        }
    }

    #[test]
    fn a_finished_span_does_not_change_when_it_is_dropped() {
        let span = recorded(|span| span.finish(StatusCode::OK));
        assert_eq!((error_type(&span), span.status), (None, Status::Unset));
    }

    #[test]
    fn addresses_in_a_path_are_redacted() {
        assert_eq!(redacted_path("/onboarding"), "/onboarding");
        assert_eq!(redacted_path("/a/ada@example.com/b"), "/a/REDACTED/b");
        assert_eq!(redacted_path("/a/ada%40example.com"), "/a/REDACTED");
    }

    #[test]
    fn only_specified_methods_name_a_span() {
        assert_eq!(span_name(&request("BREW", "/pot"), None), "HTTP");
        let specified = request("POST", "/onboarding");
        let name = span_name(&specified, Some("/onboarding"));
        assert_eq!(name, "POST /onboarding");
        assert_eq!(span_name(&specified, None), "POST");
    }
}
