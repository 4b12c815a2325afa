use baton_producer::{AttributeValue, InvalidMessage, OutgoingMessage, QueueSendError};
use baton_test_support::FakeSqs;
use baton_test_support::span_recorder::{SpanRecorder, attribute, list, traceparent};
use opentelemetry::trace::{SpanKind, Status};

use crate::support::{sender, span_recorder};

const CALLERS: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn text(value: &str) -> AttributeValue {
    AttributeValue::String(value.to_owned())
}

async fn send(message: OutgoingMessage) -> (FakeSqs, SpanRecorder) {
    let (sqs, spans) = (FakeSqs::start().await.unwrap(), span_recorder());
    let sent = sender(sqs.address, &spans).send(message).await.unwrap();
    assert_eq!(sent.message_id, FakeSqs::MESSAGE_ID);
    (sqs, spans)
}

#[tokio::test]
async fn the_message_carries_the_context_of_its_own_send_span() {
    let (sqs, spans) =
        send(OutgoingMessage::new("body").with_attribute("tenant", text("blue"))).await;
    let span = spans.find("send onboarding");
    assert_eq!(sqs.attribute("traceparent"), Some(traceparent(&span)));
    assert_eq!(sqs.attribute("tenant").as_deref(), Some("blue"));
    assert_eq!(sqs.message()["MessageBody"], "body");
}

#[tokio::test]
async fn an_empty_tracestate_is_not_sent() {
    let (sqs, _spans) = send(OutgoingMessage::new("body")).await;
    let attributes = sqs.message()["MessageAttributes"]
        .as_object()
        .unwrap()
        .clone();
    assert_eq!(attributes.keys().collect::<Vec<_>>(), ["traceparent"]);
}

#[tokio::test]
async fn the_send_span_follows_the_messaging_conventions() {
    let (sqs, spans) = send(OutgoingMessage::new("body")).await;
    let span = spans.find("send onboarding");
    assert_eq!(
        (span.span_kind.clone(), span.status.clone()),
        (SpanKind::Producer, Status::Unset)
    );
    for (key, value) in [
        ("messaging.system", "aws_sqs"),
        ("messaging.operation.name", "send"),
        ("messaging.operation.type", "send"),
        ("messaging.destination.name", "onboarding"),
        ("messaging.message.id", FakeSqs::MESSAGE_ID),
        (
            "aws.sqs.queue.url",
            &format!("http://{}/000000000000/onboarding", sqs.address),
        ),
        ("aws.request_id", FakeSqs::REQUEST_ID),
        ("server.address", "127.0.0.1"),
        ("server.port", &sqs.address.port().to_string()),
        ("error.type", ""),
        ("baton.context.dropped", ""),
    ] {
        assert_eq!(attribute(&span, key), value, "{key}");
    }
}

#[tokio::test]
async fn a_context_that_does_not_fit_is_recorded_on_the_span() {
    let full = (0..10).fold(OutgoingMessage::new("body"), |message, index| {
        message.with_attribute(format!("a{index}"), text("v"))
    });
    let (sqs, spans) = send(full).await;
    assert_eq!(
        sqs.message()["MessageAttributes"]
            .as_object()
            .unwrap()
            .len(),
        10
    );
    assert_eq!(sqs.attribute("traceparent"), None);
    assert_eq!(
        list(&spans.find("send onboarding"), "baton.context.dropped"),
        ["traceparent"]
    );
}

#[tokio::test]
async fn a_context_in_the_callers_attributes_is_kept_and_linked() {
    let (sqs, spans) =
        send(OutgoingMessage::new("body").with_attribute("traceparent", text(CALLERS))).await;
    let span = spans.find("send onboarding");
    assert_eq!(sqs.attribute("traceparent").as_deref(), Some(CALLERS));
    assert_eq!(span.span_kind, SpanKind::Client);
    assert_eq!(span.links.len(), 1);
    assert_eq!(
        span.links[0].span_context.span_id().to_string(),
        "b7ad6b7169203331"
    );
    assert_ne!(
        span.span_context.trace_id().to_string(),
        "0af7651916cd43dd8448eb211c80319c"
    );
}

#[tokio::test]
async fn number_and_binary_attributes_keep_their_type() {
    let message = OutgoingMessage::new("body")
        .with_attribute("attempt", AttributeValue::Number("3".to_owned()))
        .with_attribute("digest", AttributeValue::Binary(vec![1, 2, 3]));
    let (sqs, _spans) = send(message).await;
    let attributes = &sqs.message()["MessageAttributes"];
    assert_eq!(
        attributes["attempt"],
        serde_json::json!({"DataType": "Number", "StringValue": "3"})
    );
    assert_eq!(
        attributes["digest"],
        serde_json::json!({"DataType": "Binary", "BinaryValue": "AQID"})
    );
}

#[tokio::test]
async fn a_message_that_breaks_a_rule_is_not_sent() {
    let (sqs, spans) = (FakeSqs::start().await.unwrap(), span_recorder());
    let error = sender(sqs.address, &spans)
        .send(OutgoingMessage::new(""))
        .await
        .unwrap_err();
    assert!(
        matches!(error, QueueSendError::Invalid(InvalidMessage::EmptyBody)),
        "{error:?}"
    );
    assert!(sqs.calls().is_empty());
    let span = spans.find("send onboarding");
    assert_eq!(attribute(&span, "error.type"), "invalid_message");
    assert!(
        matches!(span.status, Status::Error { .. }),
        "{:?}",
        span.status
    );
}
