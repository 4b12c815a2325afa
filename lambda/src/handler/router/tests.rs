//! Routes of messages, in whole invocations.

use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::testing::{Batch, Outcome, Record};
use crate::{Consumer, Envelope};

async fn on_number(message: Message<u32>) -> Result<(), Failure> {
    Err(Failure::permanent("number", message.body.to_string()))
}

async fn on_text(message: Message<String>, prefix: Arc<String>) -> Result<(), Failure> {
    Err(Failure::retry("text", format!("{prefix}{}", message.body)))
}

async fn on_object(_: Message<serde_json::Value>) -> Result<(), Failure> {
    Err(Failure::retry("object", "handled"))
}

async fn run(router: Router<Arc<String>>, record: Record) -> Outcome {
    let consumer = Consumer::builder().state(Arc::new("text ".to_owned()));
    let batch = Batch::standard("orders").record(record);
    batch.run_with(consumer, router).await
}

/// Returns the `error.type` and the error of the only record, and its type.
fn result(outcome: &Outcome) -> (&str, &str, Option<&str>) {
    let span = outcome.record_span("message-1").unwrap();
    let error_type = span.attributes["error.type"].as_str().unwrap();
    let message_type = span.attributes["baton.message.type"].as_str();
    (error_type, span.error.as_deref().unwrap(), message_type)
}

fn by_attribute() -> Router<Arc<String>> {
    Router::by_attribute("type")
        .route("number", on_number)
        .route("text", on_text)
}

#[tokio::test]
async fn a_message_is_routed_by_an_attribute_and_decoded_for_its_handler() {
    let outcome = run(by_attribute(), Record::raw("7").attribute("type", "number")).await;
    assert_eq!(result(&outcome), ("number", "7", Some("number")));
    let outcome = run(by_attribute(), Record::raw("7").attribute("type", "text")).await;
    assert_eq!(result(&outcome), ("text", "text 7", Some("text")));
    let outcome = run(by_attribute(), Record::raw("x").attribute("type", "number")).await;
    assert_eq!(result(&outcome).0, "invalid_body");
}

#[tokio::test]
async fn a_message_without_a_route_fails_permanently_with_the_reason() {
    let record = Record::raw("7").attribute("type", "date");
    let outcome = run(by_attribute(), record.clone()).await;
    let text = "no route for message type \"date\" in message attribute \"type\"";
    assert_eq!(
        result(&outcome),
        ("unknown_message_type", text, Some("date"))
    );
    let outcome = run(by_attribute(), Record::raw("7")).await;
    let text = "the message has no type in message attribute \"type\"";
    assert_eq!(result(&outcome), ("missing_message_type", text, None));
    for record in [record, Record::raw("7")] {
        let outcome = run(by_attribute().otherwise(on_text), record).await;
        assert_eq!(result(&outcome).0, "text");
    }
}

#[tokio::test]
async fn a_message_is_routed_by_a_field_of_its_body() {
    let router = || Router::by_field("kind").route("a", on_object);
    let body = json!({"x": {"kind": "b"}, "kind": "a", "y": [1, {"kind": "c"}]});
    let outcome = run(router(), Record::json(&body)).await;
    assert_eq!(result(&outcome), ("object", "handled", Some("a")));
    let last = Record::raw(r#"{"kind": "b", "kind": "a"}"#);
    assert_eq!(result(&run(router(), last).await).0, "object");
    let escaped = Record::raw(r#"{"k\u0069nd": "\u0061"}"#);
    assert_eq!(result(&run(router(), escaped).await).0, "object");
    for missing in [json!({"x": 1}), json!({"kind": null})] {
        let outcome = run(router(), Record::json(missing)).await;
        let text = "the message has no type in field \"kind\" of the body";
        assert_eq!(result(&outcome), ("missing_message_type", text, None));
    }
    for invalid in [
        "",
        "[]",
        "7",
        r#"{"kind": 7}"#,
        r#"{"kind": "a"} x"#,
        r#"{"kind": "a""#,
    ] {
        let outcome = run(router(), Record::raw(invalid)).await;
        assert_eq!(result(&outcome).0, "invalid_body", "{invalid}");
        let router = router().otherwise(on_text);
        let outcome = run(router, Record::raw(invalid)).await;
        assert_eq!(result(&outcome).0, "text", "{invalid}");
    }
}

#[tokio::test]
async fn a_function_finds_the_type_of_an_eventbridge_event() {
    let router = Router::by_key(|message| Some(message.event_bridge()?.detail_type));
    let router = router.route("Order Placed", on_number);
    let body = json!({"source": "shop", "detail-type": "Order Placed", "detail": 7});
    let consumer = Consumer::builder().envelope(Envelope::EventBridge);
    let batch = Batch::standard("orders").message(body);
    let outcome = batch.run_with(consumer, router).await;
    assert_eq!(result(&outcome), ("number", "7", Some("Order Placed")));
}

#[tokio::test]
async fn a_long_type_is_cut_in_spans_and_errors() {
    let long = "é".repeat(MAX_TYPE_BYTES);
    let outcome = run(by_attribute(), Record::raw("7").attribute("type", &long)).await;
    let (error_type, text, message_type) = result(&outcome);
    assert_eq!(error_type, "unknown_message_type");
    assert_eq!(message_type, Some(&*"é".repeat(MAX_TYPE_BYTES / 2)));
    assert!(text.len() < 2 * MAX_TYPE_BYTES, "{text}");
}

#[test]
#[should_panic(expected = "message type \"text\" already has a route")]
fn a_type_has_only_one_route() {
    let _ = by_attribute().route("text", on_number);
}

#[tokio::test]
async fn the_error_of_a_field_that_is_not_a_string_names_the_field() {
    let router = Router::by_field("kind").route("a", on_object);
    let outcome = run(router, Record::raw(r#"{"kind": 7}"#)).await;
    let text = "the body is not an object with a string in field kind, which selects the handler: \
                error at line 1 column 10";
    assert_eq!(result(&outcome), ("invalid_body", text, None));
}
