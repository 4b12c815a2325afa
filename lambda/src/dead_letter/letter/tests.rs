//! Slots and sizes: what goes along and what has to stay.

use serde_json::{Value as Json, json};

use super::*;
use crate::event::Batch;

const MESSAGE_ID: &str = "5f1b2d3c-0000-4000-8000-000000000001";
const ARN: &str = "arn:aws:sqs:eu-central-1:123456789012:orders";
const REASON: Reason<'_> = Reason {
    error_type: "refused",
    description: "not wanted",
};

fn batch(body: &str, attributes: Json, system: Json) -> Batch {
    let event = json!({"Records": [{
        "messageId": MESSAGE_ID,
        "body": body,
        "attributes": system,
        "messageAttributes": attributes,
        "eventSource": "aws:sqs",
        "eventSourceARN": ARN,
    }]});
    Batch::parse(serde_json::to_vec(&event).unwrap()).unwrap()
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

/// Names of what is added and of what is left out.
fn names(batch: &Batch, carrier: Carrier) -> (Vec<String>, Vec<String>) {
    let record = batch.record(0);
    let letter = Letter::of(&record, false).unwrap();
    let additions = letter.additions(carrier, &record, &REASON);
    let added = additions.context.into_iter().chain(additions.metadata);
    let names = added.map(|attribute| attribute.name);
    (names.collect(), additions.left_out)
}

fn carrier() -> Carrier {
    use opentelemetry::propagation::Injector as _;
    let mut carrier = Carrier::default();
    carrier.set(TRACEPARENT, "0".repeat(55));
    carrier.set(TRACESTATE, "k=v".to_owned());
    carrier.set("baggage", String::new());
    carrier
}

#[test]
fn with_free_slots_all_is_added_but_what_is_empty() {
    let (added, left_out) = names(&batch("b", strings(4), Json::Null), carrier());
    assert_eq!(
        added,
        [
            TRACEPARENT,
            TRACESTATE,
            ERROR_TYPE,
            ERROR_MESSAGE,
            SOURCE_QUEUE_ARN,
            SOURCE_MESSAGE_ID
        ]
    );
    assert!(left_out.is_empty());
}

#[test]
fn when_slots_run_short_the_trace_context_stays_the_longest() {
    let expected = [
        TRACEPARENT,
        TRACESTATE,
        ERROR_TYPE,
        ERROR_MESSAGE,
        SOURCE_QUEUE_ARN,
        SOURCE_MESSAGE_ID,
    ];
    for slots in 0..=6 {
        let (added, left_out) = names(&batch("b", strings(10 - slots), Json::Null), carrier());
        assert_eq!(added, expected[..slots]);
        assert_eq!(left_out, expected[slots..]);
    }
}

#[test]
fn when_bytes_run_short_only_what_fits_is_added_and_no_tracestate_alone() {
    // Room for the error's type, and not for the traceparent before it.
    let room = ERROR_TYPE.len() + "String".len() + REASON.error_type.len();
    let (added, left_out) = names(
        &batch(&"b".repeat(MAX_BYTES - room), Json::Null, Json::Null),
        carrier(),
    );
    assert_eq!(added, [ERROR_TYPE]);
    assert_eq!(left_out[..2], [TRACEPARENT, TRACESTATE]);
    let full = batch(&"b".repeat(MAX_BYTES), Json::Null, Json::Null);
    assert!(names(&full, carrier()).0.is_empty());
}

#[test]
fn a_reason_from_an_earlier_stay_is_replaced() {
    let mut attributes = strings(6);
    for name in OURS {
        attributes[name] = json!({"stringValue": "earlier", "dataType": "String"});
    }
    let (added, left_out) = names(&batch("b", attributes, Json::Null), Carrier::default());
    assert_eq!(added, OURS);
    assert!(left_out.is_empty());
}

#[test]
fn a_reason_is_cut_at_a_whole_character_and_has_only_what_sqs_takes() {
    assert_eq!(
        sendable("a\u{0}b\u{FFFE}\r\u{1F600}"),
        "a\u{FFFD}b\u{FFFD}\r\u{1F600}"
    );
    let cut = sendable(&"€".repeat(MAX_TEXT_BYTES));
    assert_eq!(cut.len(), 1_023);
    assert!(cut.chars().all(|character| character == '€'));
}

#[test]
fn a_fifo_queue_is_told_the_group_and_the_message_id() {
    for (system, group) in [
        (json!({"MessageGroupId": "g-1"}), "g-1"),
        (json!({"MessageGroupId": null}), MESSAGE_ID),
        (Json::Null, MESSAGE_ID),
    ] {
        let batch = batch("b", Json::Null, system);
        let letter = Letter::of(&batch.record(0), true).unwrap();
        assert_eq!(letter.group_id().as_deref(), Some(group));
        assert_eq!(letter.deduplication_id().as_deref(), Some(MESSAGE_ID));
    }
}

#[test]
fn a_standard_queue_gets_the_group_that_the_message_has() {
    for (system, group) in [
        (json!({"MessageGroupId": "tenant-1"}), Some("tenant-1")),
        (json!({"MessageGroupId": ""}), None),
        (Json::Null, None),
    ] {
        let batch = batch("b", Json::Null, system);
        let letter = Letter::of(&batch.record(0), false).unwrap();
        assert_eq!(letter.group_id().as_deref(), group);
        assert_eq!(letter.deduplication_id(), None);
    }
}

#[test]
fn what_sqs_cannot_have_delivered_is_not_sent() {
    for (batch, reason) in [
        (batch("", Json::Null, Json::Null), "body"),
        (batch("b", strings(11), Json::Null), "more attributes"),
        (
            batch(&"b".repeat(MAX_BYTES + 1), Json::Null, Json::Null),
            "larger",
        ),
    ] {
        let error = Letter::of(&batch.record(0), false)
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains(reason), "{error}");
    }
}
