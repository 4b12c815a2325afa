use baton_producer::{AttributeValue, OutgoingMessage, QueueSendError};
use baton_test_support::span_recorder::{SpanRecorder, attribute, list, traceparent};
use baton_test_support::{FakeSqs, SqsCall, SqsResponse};
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::FutureExt as _;
use opentelemetry::{Context, KeyValue};

use crate::support::{sender, span_recorder};

/// `MaximumMessageSize` of a queue created by Terraform with its default.
const MAXIMUM_MESSAGE_SIZE: usize = 262_144;
/// Size of a `traceparent` attribute: name, type `String` and value.
const TRACEPARENT_BYTES: usize = 11 + 6 + 55;

async fn limited_queue() -> (FakeSqs, SpanRecorder) {
    let sqs = FakeSqs::start().await.unwrap();
    sqs.set_maximum_message_size(MAXIMUM_MESSAGE_SIZE);
    (sqs, span_recorder())
}

fn message_with_body(bytes: usize) -> OutgoingMessage {
    OutgoingMessage::new("x".repeat(bytes))
}

fn attribute_names(call: &SqsCall) -> Vec<String> {
    let message = call.message();
    let attributes = message["MessageAttributes"].as_object();
    let names = attributes.into_iter().flatten().map(|(name, _)| name);
    names.cloned().collect()
}

/// Returns the current context with one baggage entry.
fn context_with_baggage() -> Context {
    Context::current_with_baggage([KeyValue::new("tenant", "blue")])
}

#[tokio::test]
async fn a_body_that_fits_the_queue_is_sent_without_the_context_that_does_not() {
    let (sqs, spans) = limited_queue().await;
    let message =
        message_with_body(262_100).with_attribute("t", AttributeValue::String("v".to_owned()));
    sender(sqs.address, &spans).send(message).await.unwrap();
    let calls = sqs.calls();
    assert_eq!(calls.len(), 2, "one rejected call and one accepted");
    assert_eq!(attribute_names(&calls[1]), ["t"]);
    assert_eq!(
        calls[1].message()["MessageBody"].as_str().unwrap().len(),
        262_100
    );
    let span = spans.find("send onboarding");
    assert_eq!(list(&span, "baton.context.dropped"), ["traceparent"]);
    assert_eq!(attribute(&span, "error.type"), "");
}

#[tokio::test]
async fn the_traceparent_is_kept_if_removing_the_baggage_is_enough() {
    let (sqs, spans) = limited_queue().await;
    let message = message_with_body(MAXIMUM_MESSAGE_SIZE - TRACEPARENT_BYTES);
    let sender = sender(sqs.address, &spans);
    let sent = sender
        .send(message)
        .with_context(context_with_baggage())
        .await;
    sent.unwrap();
    let calls = sqs.calls();
    assert_eq!(attribute_names(&calls[0]), ["baggage", "traceparent"]);
    assert_eq!(attribute_names(&calls[1]), ["traceparent"]);
    let span = spans.find("send onboarding");
    let sent = &calls[1].message()["MessageAttributes"]["traceparent"]["StringValue"];
    assert_eq!(sent.as_str(), Some(&*traceparent(&span)));
    assert_eq!(list(&span, "baton.context.dropped"), ["baggage"]);
}

#[tokio::test]
async fn the_limit_is_remembered_by_the_sender() {
    let (sqs, spans) = limited_queue().await;
    let sender = sender(sqs.address, &spans);
    for _ in 0..3 {
        sender
            .send(message_with_body(MAXIMUM_MESSAGE_SIZE))
            .await
            .unwrap();
    }
    assert_eq!(sqs.calls().len(), 4, "the first message is rejected once");
    let sends = spans.all().into_iter();
    for span in sends.filter(|span| span.name == "send onboarding") {
        assert_eq!(list(&span, "baton.context.dropped"), ["traceparent"]);
    }
}

#[tokio::test]
async fn a_message_that_is_too_large_by_itself_is_an_error_with_both_sizes() {
    let (sqs, spans) = limited_queue().await;
    let message = message_with_body(MAXIMUM_MESSAGE_SIZE + 1);
    let error = sender(sqs.address, &spans).send(message).await.unwrap_err();
    assert_eq!(sqs.calls().len(), 1);
    assert_eq!(
        error.to_string(),
        "the message has 262145 bytes, more than the 262144 that the queue accepts"
    );
    assert!(
        matches!(
            error,
            QueueSendError::TooLarge {
                size: 262_145,
                limit: MAXIMUM_MESSAGE_SIZE,
                ..
            }
        ),
        "{error:?}"
    );
    let span = spans.find("send onboarding");
    assert_eq!(attribute(&span, "error.type"), "InvalidParameterValue");
}

#[tokio::test]
async fn a_rejection_without_a_limit_removes_the_fields_one_by_one() {
    let (sqs, spans) = (FakeSqs::start().await.unwrap(), span_recorder());
    sqs.respond_with([SqsResponse::InvalidValue; 2]);
    let sender = sender(sqs.address, &spans);
    let sent = sender
        .send(message_with_body(1))
        .with_context(context_with_baggage())
        .await;
    sent.unwrap();
    let calls = sqs.calls();
    let names: Vec<_> = calls.iter().map(attribute_names).collect();
    assert_eq!(
        names[..2],
        [&["baggage", "traceparent"][..], &["traceparent"]]
    );
    assert!(names[2].is_empty(), "{names:?}");
    assert_eq!(
        list(&spans.find("send onboarding"), "baton.context.dropped"),
        ["baggage", "traceparent"]
    );
}
