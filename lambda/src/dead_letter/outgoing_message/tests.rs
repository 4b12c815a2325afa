use baton_sqs::{Attribute, InvalidMessage, MAX_MESSAGE_BYTES};
use serde_json::{Value as Json, json};

use super::*;
use crate::event::SqsBatch;

const MESSAGE_ID: &str = "5f1b2d3c-0000-4000-8000-000000000001";
const ARN: &str = "arn:aws:sqs:eu-central-1:123456789012:orders";
const REASON: DeadLetterReason<'_> = DeadLetterReason {
    error_type: "refused",
    description: "not wanted",
};

fn batch(body: &str, attributes: Json, system: Json) -> SqsBatch {
    let event = json!({"Records": [{
        "messageId": MESSAGE_ID,
        "body": body,
        "attributes": system,
        "messageAttributes": attributes,
        "eventSource": "aws:sqs",
        "eventSourceARN": ARN,
    }]});
    SqsBatch::parse(
        serde_json::to_vec(&event).unwrap(),
        std::sync::Arc::default(),
    )
    .unwrap()
}

fn strings(count: usize) -> Json {
    let attribute = |index| {
        (
            format!("a{index}"),
            json!({"stringValue": "x", "dataType": "String"}),
        )
    };
    (0..count)
        .map(attribute)
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn build_for_standard_queue(batch: &SqsBatch) -> Result<OutgoingMessage, DeadLetterError> {
    build(&batch.record(0), false, &REASON)
}

/// Names of the optional attributes, in the order in which they get the free slots.
fn optional_names(message: &OutgoingMessage) -> Vec<&str> {
    let attributes = message.optional_attributes().iter();
    attributes.map(Attribute::name).collect()
}

#[test]
fn an_earlier_reason_is_replaced() {
    let mut attributes = strings(6);
    for name in FAILURE_ATTRIBUTES {
        attributes[name] = json!({"stringValue": "earlier", "dataType": "String"});
    }
    let message = build_for_standard_queue(&batch("b", attributes, Json::Null)).unwrap();
    assert_eq!(optional_names(&message), FAILURE_ATTRIBUTES);
    assert_eq!(message.attributes().len(), 6);
}

#[test]
fn a_reason_is_cut_at_a_whole_character_and_has_only_accepted_characters() {
    assert_eq!(
        sanitize("a\u{0}b\u{FFFE}\r\u{1F600}"),
        "a\u{FFFD}b\u{FFFD}\r\u{1F600}"
    );
    let cut = sanitize(&"€".repeat(MAX_TEXT_BYTES));
    assert_eq!(cut.len(), 1_023);
    assert!(cut.chars().all(|character| character == '€'));
}

#[test]
fn a_fifo_queue_gets_the_group_and_the_message_id() {
    for (system, group) in [
        (json!({"MessageGroupId": "g-1"}), "g-1"),
        (json!({"MessageGroupId": null}), MESSAGE_ID),
        (Json::Null, MESSAGE_ID),
    ] {
        let batch = batch("b", Json::Null, system);
        let message = build(&batch.record(0), true, &REASON).unwrap();
        assert_eq!(message.group_id(), Some(group));
        assert_eq!(message.deduplication_id(), Some(MESSAGE_ID));
    }
}

#[test]
fn a_standard_queue_gets_the_group_that_the_message_has() {
    for (system, group) in [
        (json!({"MessageGroupId": "tenant-1"}), Some("tenant-1")),
        (json!({"MessageGroupId": ""}), None),
        (Json::Null, None),
    ] {
        let message = build_for_standard_queue(&batch("b", Json::Null, system)).unwrap();
        assert_eq!(message.group_id(), group);
        assert_eq!(message.deduplication_id(), None);
    }
}

#[test]
fn a_record_without_a_body_is_not_sent() {
    let error = build_for_standard_queue(&batch("", Json::Null, Json::Null)).unwrap_err();
    assert!(error.to_string().contains("body"), "{error}");
}

#[test]
fn a_record_over_a_limit_of_sqs_is_not_sent() {
    let full = batch(&"b".repeat(MAX_MESSAGE_BYTES), Json::Null, Json::Null);
    assert_eq!(build_for_standard_queue(&full).unwrap().check(), Ok(()));
    let size = MAX_MESSAGE_BYTES + 1;
    for (batch, expected) in [
        (
            batch("b", strings(11), Json::Null),
            InvalidMessage::TooManyAttributes { count: 11 },
        ),
        (
            batch(&"b".repeat(size), Json::Null, Json::Null),
            InvalidMessage::TooLarge { size },
        ),
    ] {
        let message = build_for_standard_queue(&batch).unwrap();
        assert_eq!(message.check(), Err(expected));
    }
}
