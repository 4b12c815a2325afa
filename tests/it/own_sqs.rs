use std::path::Path;

use aws_sdk_sqs::types::Message;
use serde_json::json;

use crate::support::binaries::example;
use crate::support::functions::SCRIPTED;
use crate::support::spans::{PROCESS, Span};
use crate::support::stack::Stack;

/// URL of the stack's dead-letter queue for its function. The port of the stack is not known yet,
/// and the stack ignores it.
const DEAD_LETTER_QUEUE: &str = "http://127.0.0.1/000000000000/onboarding-dlq";

#[tokio::test]
async fn a_permanent_failure_is_sent_to_the_local_dead_letter_queue_with_its_reason_and_its_trace()
{
    let variable = format!("BATON_DEAD_LETTER_QUEUE_URL={DEAD_LETTER_QUEUE}");
    let stack = Stack::up_with_function(Path::new(SCRIPTED), &["--env", &variable]).await;
    let body = json!({"refuse": "no such article"}).to_string();
    let id = stack.queue().send(&body).await;
    let dead = stack.dead_letter_queue().consume().await;
    assert_eq!(dead.body(), Some(&*body));
    assert_eq!(text(&dead, "baton.error.type"), "told_to_refuse");
    assert_eq!(text(&dead, "baton.error.message"), "no such article");
    assert_eq!(text(&dead, "baton.source.message_id"), id);
    let delivery = delivery(&stack).await;
    let sent = stack.spans().wait_for("send onboarding-dlq", 1).await;
    assert_eq!(sent[0].trace_id, delivery.trace_id);
    assert_eq!(text(&dead, "traceparent"), traceparent(&sent[0]));
    // It is not retried, while the redrive policy alone would allow three deliveries.
    stack.queue().wait_until_empty().await;
    assert_eq!(stack.spans().wait_for(PROCESS, 1).await.len(), 1);
    stack.stop().await;
}

#[tokio::test]
async fn a_dead_letter_that_is_too_large_is_sent_without_the_reason() {
    let variable = format!("BATON_DEAD_LETTER_QUEUE_URL={DEAD_LETTER_QUEUE}");
    let stack = Stack::up_with_function(Path::new(SCRIPTED), &["--env", &variable]).await;
    let body = json!({"refuse": "x".repeat(1_000)}).to_string();
    let dead_letters = stack.dead_letter_queue();
    dead_letters.set_maximum_message_size(1_024).await;
    stack.queue().send(&body).await;
    let dead = dead_letters.consume().await;
    assert_eq!(dead.body(), Some(&*body));
    assert!(dead.message_attributes().is_none(), "{dead:?}");
    let sent = stack
        .spans()
        .wait_for("send onboarding-dlq", 1)
        .await
        .remove(0);
    for (key, name) in [
        ("baton.attributes.dropped", "baton.error.type"),
        ("baton.context.dropped", "traceparent"),
    ] {
        let names = sent.attributes[key].to_string();
        assert!(names.contains(name), "{names}");
    }
    stack.stop().await;
}

#[tokio::test]
async fn an_sdk_in_the_function_reaches_the_local_queues_without_configuration() {
    let variable = format!("FOLLOW_UP_QUEUE_URL={DEAD_LETTER_QUEUE}");
    let stack = Stack::up_with_function(example("aws_sdk"), &["--env", &variable]).await;
    stack.queue().send(r#"{"id": "o-1"}"#).await;
    let reply = stack.dead_letter_queue().consume().await;
    assert_eq!(reply.body(), Some(r#"{"accepted":"o-1"}"#));
    let sent = stack.spans().wait_for("send onboarding-dlq", 1).await;
    assert_eq!(text(&reply, "traceparent"), traceparent(&sent[0]));
    assert_eq!(sent[0].trace_id, delivery(&stack).await.trace_id);
    stack.queue().wait_until_empty().await;
    stack.stop().await;
}

#[tokio::test]
async fn the_ready_line_has_the_variables_that_a_shell_needs() {
    let stack = Stack::up(&[]).await;
    let variables = &stack.endpoints.variables;
    assert_eq!(variables["AWS_ENDPOINT_URL_SQS"], stack.endpoints.sqs);
    assert_eq!(variables["QUEUE_URL"], stack.endpoints.queue_url);
    // Botocore, and thus the AWS CLI, knows only the second name.
    for name in ["AWS_REGION", "AWS_DEFAULT_REGION"] {
        assert_eq!(variables[name], "us-east-1", "{name}");
    }
    stack.stop().await;
}

async fn delivery(stack: &Stack) -> Span {
    stack.spans().wait_for(PROCESS, 1).await.remove(0)
}

fn text<'a>(message: &'a Message, attribute: &str) -> &'a str {
    let attributes = message.message_attributes().unwrap();
    attributes[attribute].string_value().unwrap()
}

fn traceparent(span: &Span) -> String {
    format!("00-{}-{}-01", span.trace_id, span.span_id)
}
