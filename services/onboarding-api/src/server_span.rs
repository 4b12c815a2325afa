//! The SERVER span of each request, by the HTTP conventions, as a continuation of the caller's
//! trace.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, Method, StatusCode};
use opentelemetry::trace::{
    FutureExt as _, SpanBuilder, SpanKind, SpanRef, Status, TraceContextExt as _, Tracer as _,
};
use opentelemetry::{Context, KeyValue, global};
use opentelemetry_semantic_conventions::attribute;

use crate::forwarded::{Server, Target};
use crate::routes::{HEALTHZ, READYZ, Shared};
use crate::unfinished::Unfinished;

/// `http.request.method` of a method that is not in the HTTP specifications, and the span's name
/// then.
const OTHER_METHOD: &str = "_OTHER";
const OTHER_METHOD_NAME: &str = "HTTP";

/// Stands for a segment of a path that looks like an e-mail address.
const REDACTED: &str = "REDACTED";

/// Runs a request inside its span, and measures it. Health checks, several a minute from every load
/// balancer, are left out of both.
pub(crate) async fn cover(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map(MatchedPath::as_str);
    if matches!(route, Some(HEALTHZ | READYZ)) {
        return next.run(request).await;
    }
    let began = Instant::now();
    let caller = caller_context(request.headers());
    let target = Target::of(&request);
    let scheme = target.scheme.as_str();
    let span = shared
        .tracer
        .build_with_context(describe(&request, route, target), &caller);
    let context = caller.with_span(span);
    // A client that goes away has this future dropped at the `await`.
    let _unfinished = Unfinished(context.clone());
    let method = known_method(request.method()).unwrap_or(OTHER_METHOD);
    let running = shared.duration.start(began, method, scheme, route);
    let response = next.run(request).with_context(context.clone()).await;
    running.finish(response.status());
    finish(&context.span(), response.status());
    response
}

/// The trace and baggage that the request came with. A propagator gets each header joined to one
/// value, as HTTP defines it, so that a `tracestate` in two lines is read whole and a second
/// `traceparent` makes both invalid.
fn caller_context(headers: &HeaderMap) -> Context {
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

fn describe(request: &Request, route: Option<&str>, target: Target) -> SpanBuilder {
    let known = known_method(request.method());
    let method = known.unwrap_or(OTHER_METHOD_NAME);
    let name = route.map_or_else(|| method.to_owned(), |route| format!("{method} {route}"));
    let mut attributes = vec![
        KeyValue::new(
            attribute::HTTP_REQUEST_METHOD,
            known.unwrap_or(OTHER_METHOD),
        ),
        KeyValue::new(
            attribute::URL_PATH,
            shown_path(request.uri().path()).into_owned(),
        ),
        KeyValue::new(attribute::URL_SCHEME, target.scheme.as_str()),
    ];
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

/// Ends the span. A 4xx is the client's fault and leaves the status unset, as the conventions
/// demand.
fn finish(span: &SpanRef<'_>, status: StatusCode) {
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

/// Methods that the specifications name. Anyone can invent more, and each would be a new name of a
/// span.
fn known_method(method: &Method) -> Option<&'static str> {
    const KNOWN: [&str; 9] = [
        "GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "CONNECT",
    ];
    KNOWN.into_iter().find(|known| *known == method.as_str())
}

/// A path that shows no e-mail address, should a client put one there.
fn shown_path(path: &str) -> Cow<'_, str> {
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
    use super::*;

    fn name(request: &Request, route: Option<&str>) -> String {
        describe(request, route, Target::of(request))
            .name
            .into_owned()
    }

    #[test]
    fn a_path_shows_no_address() {
        assert_eq!(shown_path("/onboarding"), "/onboarding");
        assert_eq!(shown_path("/a/ada@example.com/b"), "/a/REDACTED/b");
        assert_eq!(shown_path("/a/ada%40example.com"), "/a/REDACTED");
    }

    #[test]
    fn only_specified_methods_name_a_span() {
        let custom = Request::builder()
            .method("BREW")
            .uri("/pot")
            .body(axum::body::Body::empty())
            .unwrap();
        assert_eq!(name(&custom, None), "HTTP");
        let usual = Request::builder()
            .method("POST")
            .uri("/onboarding")
            .body(axum::body::Body::empty())
            .unwrap();
        assert_eq!(name(&usual, Some("/onboarding")), "POST /onboarding");
        assert_eq!(name(&usual, None), "POST");
    }
}
