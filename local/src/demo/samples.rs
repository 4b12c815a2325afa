//! Spans like those of the function and the producer, for tests.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::keys::{BATCH_SPAN, PROCESS_SPAN, SEND_SPAN, SERVER_SPAN};
use crate::otlp::{SpanKind, SpanLink, SpanStatus, SpanStatusCode, StoredSpan};

const MILLISECOND: u64 = 1_000_000;

/// Returns a span of `trace` with this id and parent; the ids are short.
pub(super) fn span(
    trace: &str,
    id: &str,
    parent: Option<&str>,
    kind: SpanKind,
    name: &str,
) -> StoredSpan {
    StoredSpan {
        trace_id: trace.to_owned(),
        span_id: id.to_owned(),
        parent_span_id: parent.map(str::to_owned),
        parent_is_remote: Some(false),
        trace_state: String::new(),
        name: name.to_owned(),
        kind,
        start_unix_nano: 0,
        end_unix_nano: 2 * MILLISECOND,
        attributes: Map::new(),
        links: Vec::new(),
        events: Vec::new(),
        status: SpanStatus {
            code: SpanStatusCode::Unset,
            message: String::new(),
        },
        scope: String::new(),
        resource: Arc::default(),
    }
}

/// Adds attributes to a span.
pub(super) fn with_attributes(mut span: StoredSpan, attributes: Value) -> StoredSpan {
    if let Value::Object(attributes) = attributes {
        span.attributes.extend(attributes);
    }
    span
}

/// Sets the times of a span.
pub(super) fn with_times(mut span: StoredSpan, start_ms: u64, end_ms: u64) -> StoredSpan {
    (span.start_unix_nano, span.end_unix_nano) = (start_ms * MILLISECOND, end_ms * MILLISECOND);
    span
}

/// Returns the producer's spans for the message `message`, whose trace is `trace`.
pub(super) fn producer_spans(trace: &str, message: &str) -> Vec<StoredSpan> {
    let server = with_attributes(
        span(
            trace,
            &format!("{trace}-server"),
            None,
            SpanKind::Server,
            SERVER_SPAN,
        ),
        json!({"http.response.status_code": 202}),
    );
    let send = span(
        trace,
        &format!("{trace}-send"),
        Some(&format!("{trace}-server")),
        SpanKind::Producer,
        SEND_SPAN,
    );
    vec![
        with_times(server, 0, 4),
        with_attributes(
            with_times(send, 1, 3),
            json!({"messaging.message.id": message}),
        ),
    ]
}

/// Returns the function's spans for a delivery of `message` in the batch `batch`.
pub(super) fn delivery_spans(
    trace: &str,
    message: &str,
    batch: &str,
    count: u64,
    problem: Option<&str>,
) -> Vec<StoredSpan> {
    let id = format!("{trace}-process-{count}");
    let attributes = json!({"messaging.message.id": message, "baton.sqs.receive_count": count, "baton.sqs.queue_latency": 0.012});
    let mut process = with_attributes(
        span(
            trace,
            &id,
            Some(&format!("{trace}-send")),
            SpanKind::Consumer,
            PROCESS_SPAN,
        ),
        attributes,
    );
    process.links.push(SpanLink {
        trace_id: batch.to_owned(),
        span_id: format!("{batch}-batch"),
        attributes: Map::new(),
    });
    let process = with_times(process, count * 1_000, count * 1_000 + 1);
    match problem {
        Some(problem) => vec![with_attributes(process, json!({"error.type": problem}))],
        None => vec![
            process,
            with_times(
                span(
                    trace,
                    &format!("{id}-store"),
                    Some(&id),
                    SpanKind::Client,
                    "put onboardings",
                ),
                count * 1_000,
                count * 1_000 + 1,
            ),
        ],
    }
}

/// Returns the span of a batch of these messages, each given as trace and message id.
pub(super) fn batch_span(batch: &str, messages: &[(&str, &str)]) -> StoredSpan {
    let mut span = with_attributes(
        span(
            batch,
            &format!("{batch}-batch"),
            None,
            SpanKind::Consumer,
            BATCH_SPAN,
        ),
        json!({"messaging.batch.message_count": messages.len(), "faas.coldstart": true}),
    );
    span.links = messages
        .iter()
        .map(|(trace, message)| {
            let attributes =
                Map::from_iter([("messaging.message.id".to_owned(), Value::from(*message))]);
            SpanLink {
                trace_id: (*trace).to_owned(),
                span_id: format!("{trace}-send"),
                attributes,
            }
        })
        .collect();
    span
}
