//! The trace context of the message, depending on `OTEL_PROPAGATORS` and on the context that it
//! came with.

use super::*;
use crate::exercise::build_propagator;

/// Sends a message with these attributes and this `AWSTraceHeader`. Returns the request and the
/// span.
async fn sent(
    propagator: Propagator,
    attributes: Value,
    header: Option<&str>,
) -> (Value, SpanData) {
    let endpoint = Endpoint::start(Behaviour::Accept).await;
    let batch = batch_with(attributes, json!({"AWSTraceHeader": header}));
    let (sent, span, _) = send_with(&endpoint, "dead", propagator, &batch).await;
    sent.unwrap();
    (endpoint.requests().remove(0), span)
}

fn header(request: &Value) -> Option<&str> {
    request["MessageSystemAttributes"]["AWSTraceHeader"]["StringValue"].as_str()
}

/// X-Ray's header for this span, as the propagator writes it.
fn expected_header(span: &SpanData) -> String {
    let trace = span.span_context.trace_id().to_string();
    let (epoch, unique) = trace.split_at(8);
    let id = span.span_context.span_id();
    format!("Root=1-{epoch}-{unique};Parent={id};Sampled=1")
}

#[tokio::test]
async fn xrays_header_is_a_system_attribute_and_takes_no_slot() {
    let full: serde_json::Map<_, _> = (0..10).map(|n| (format!("a{n}"), text("x"))).collect();
    for attributes in [Value::Null, full.into()] {
        let (request, span) = sent(build_propagator(true, true, true), attributes, None).await;
        assert_eq!(header(&request), Some(&*expected_header(&span)));
        assert!(request["MessageAttributes"]["X-Amzn-Trace-Id"].is_null());
        assert_eq!(span.span_kind, SpanKind::Producer);
        let dropped = attribute(&span, "baton.attributes.dropped").unwrap_or_default();
        assert!(!dropped.contains("X-Amzn"), "{dropped}");
    }
}

#[tokio::test]
async fn a_header_that_came_with_the_message_is_kept_with_any_propagators() {
    for xray in [false, true] {
        let (request, _) = sent(
            build_propagator(true, true, xray),
            Value::Null,
            Some(TRACE_HEADER),
        )
        .await;
        assert_eq!(header(&request), Some(TRACE_HEADER));
        // The header counts as the context of the message only if X-Ray is listed.
        assert_eq!(sent_text(&request, "traceparent").is_none(), xray);
    }
}

#[tokio::test]
async fn with_xray_listed_the_send_links_to_the_context_of_the_header() {
    let (_, span) = sent(
        build_propagator(true, true, true),
        Value::Null,
        Some(TRACE_HEADER),
    )
    .await;
    assert_eq!(span.span_kind, SpanKind::Client);
    let link = span.links[0].span_context.span_id().to_string();
    assert!(TRACE_HEADER.contains(&link), "{link}");
}

#[tokio::test]
async fn an_invalid_header_is_kept_and_the_context_of_the_send_is_added() {
    let (request, span) = sent(
        build_propagator(true, false, true),
        Value::Null,
        Some("Root=x"),
    )
    .await;
    assert_eq!(header(&request), Some("Root=x"));
    assert!(sent_text(&request, "traceparent").is_some());
    assert_eq!(span.span_kind, SpanKind::Producer);
    let (_, span) = sent(
        build_propagator(false, false, true),
        Value::Null,
        Some("Root=x"),
    )
    .await;
    assert_eq!(span.span_kind, SpanKind::Client);
}

#[tokio::test]
async fn a_message_with_a_traceparent_gets_no_header() {
    let attributes = json!({"traceparent": text(TRACEPARENT)});
    let (request, span) = sent(build_propagator(true, true, true), attributes, None).await;
    assert_eq!(header(&request), None);
    let link = span.links[0].span_context.span_id().to_string();
    assert!(TRACEPARENT.contains(&link), "{link}");
}

#[tokio::test]
async fn a_context_with_the_prefix_of_old_boto3sqs_counts_as_the_context_of_the_message() {
    for name in ["otel.traceparent", "Otel.TraceParent"] {
        let attributes = json!({name: text(TRACEPARENT), "tracestate": text("k=v")});
        let (request, span) = sent(Propagator::default(), attributes, None).await;
        assert_eq!(sent_text(&request, name), Some(TRACEPARENT));
        assert_eq!(sent_text(&request, "traceparent"), None);
        assert_eq!(span.span_kind, SpanKind::Client);
        let link = span.links[0].span_context.span_id().to_string();
        assert!(TRACEPARENT.contains(&link), "{link}");
    }
}

#[tokio::test]
async fn the_send_links_to_the_plain_context_or_else_to_the_prefixed_one() {
    let other = "00-4bf92f3577b34da6a3ce929d0e0e4736-00000000000000aa-01";
    for (plain, linked) in [(other, other), ("broken", TRACEPARENT)] {
        let attributes = json!({"otel.traceparent": text(TRACEPARENT), "traceparent": text(plain)});
        let (request, span) = sent(Propagator::default(), attributes, None).await;
        assert_eq!(sent_text(&request, "traceparent"), Some(plain));
        let link = span.links[0].span_context.span_id().to_string();
        assert!(linked.contains(&link), "{link}");
    }
}

#[tokio::test]
async fn a_send_whose_context_is_not_propagated_is_not_a_producer() {
    for baggage in [false, true] {
        let (request, span) =
            sent(build_propagator(false, baggage, false), Value::Null, None).await;
        assert_eq!(span.span_kind, SpanKind::Client);
        assert_eq!(sent_text(&request, "traceparent"), None);
        assert_eq!(header(&request), None);
    }
}
