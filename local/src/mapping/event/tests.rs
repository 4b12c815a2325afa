//! Events as AWS writes them.

use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::MessageSystemAttributeName;
use serde_json::{Value, json};

use super::*;

const ARN: &str = "arn:aws:sqs:eu-central-1:123456789012:onboarding";

fn message() -> aws_sdk_sqs::types::builders::MessageBuilder {
    Message::builder()
        .message_id("059f36b4-87a3-44ab-83d2-661975830a7d")
        .receipt_handle("a-handle")
        .body("{\"plan\":\"pro\"}\n")
        .md5_of_body("098f6bcd4621d373cade4e832627b4f6")
}

fn attribute(data_type: &str) -> aws_sdk_sqs::types::builders::MessageAttributeValueBuilder {
    MessageAttributeValue::builder().data_type(data_type)
}

fn only_record(message: &Message) -> Value {
    let record = EventRecord::from_message(message, &EventSourceArn::parse(ARN).unwrap()).unwrap();
    let event: Value = serde_json::from_slice(&build_event(&[record])).unwrap();
    event["Records"][0].clone()
}

#[test]
fn a_bare_message_becomes_a_record_with_empty_maps() {
    let expected = json!({
        "messageId": "059f36b4-87a3-44ab-83d2-661975830a7d",
        "receiptHandle": "a-handle",
        "body": "{\"plan\":\"pro\"}\n",
        "attributes": {},
        "messageAttributes": {},
        "md5OfBody": "098f6bcd4621d373cade4e832627b4f6",
        "eventSource": "aws:sqs",
        "eventSourceARN": ARN,
        "awsRegion": "eu-central-1",
    });
    assert_eq!(only_record(&message().build()), expected);
}

#[test]
fn system_attributes_are_strings_under_their_own_names() {
    let trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0";
    let dead_letters_of = "arn:aws:sqs:eu-central-1:123456789012:other";
    let message = message()
        .attributes(MessageSystemAttributeName::ApproximateReceiveCount, "2")
        .attributes(MessageSystemAttributeName::SentTimestamp, "1545082649183")
        .attributes(MessageSystemAttributeName::AwsTraceHeader, trace)
        .attributes(
            MessageSystemAttributeName::DeadLetterQueueSourceArn,
            dead_letters_of,
        )
        .build();

    let expected = json!({
        "ApproximateReceiveCount": "2",
        "SentTimestamp": "1545082649183",
        "AWSTraceHeader": trace,
        "DeadLetterQueueSourceArn": dead_letters_of,
    });
    assert_eq!(only_record(&message)["attributes"], expected);
}

#[test]
fn message_attributes_always_have_lists_and_values_by_their_type() {
    let message = message()
        .message_attributes(
            "traceparent",
            attribute("String").string_value("00-x").build().unwrap(),
        )
        .message_attributes(
            "count",
            attribute("Number.int").string_value("3").build().unwrap(),
        )
        .message_attributes(
            "raw",
            attribute("Binary")
                .binary_value(Blob::new([0, 255]))
                .build()
                .unwrap(),
        )
        .md5_of_message_attributes("1d74")
        .build();

    let record = only_record(&message);

    let expected = json!({
        "traceparent": { "stringValue": "00-x", "stringListValues": [], "binaryListValues": [], "dataType": "String" },
        "count": { "stringValue": "3", "stringListValues": [], "binaryListValues": [], "dataType": "Number.int" },
        "raw": { "binaryValue": "AP8=", "stringListValues": [], "binaryListValues": [], "dataType": "Binary" },
    });
    assert_eq!(record["messageAttributes"], expected);
    assert_eq!(record["md5OfMessageAttributes"], "1d74");
}

#[test]
fn the_sizes_of_records_add_up_to_that_of_the_event() {
    let source = EventSourceArn::parse(ARN).unwrap();
    let records: Vec<_> = (0..3)
        .map(|_| EventRecord::from_message(&message().build(), &source).unwrap())
        .collect();

    let event = build_event(&records);

    let sizes: usize = records.iter().map(EventRecord::event_bytes).sum();
    assert_eq!(event.len(), ENVELOPE_BYTES + sizes - SEPARATOR.len());
    assert_eq!(
        serde_json::from_slice::<Value>(&event).unwrap()["Records"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
}

#[test]
fn only_the_arn_of_a_queue_is_accepted() {
    assert_eq!(
        EventSourceArn::parse("arn:aws-cn:sqs:cn-north-1:123456789012:q")
            .unwrap()
            .region,
        "cn-north-1"
    );
    for arn in [
        "",
        "onboarding",
        "arn:aws:sns:eu-central-1:123456789012:topic",
        "arn:aws:sqs:eu-central-1:123456789012",
    ] {
        assert_eq!(EventSourceArn::parse(arn), None, "{arn}");
    }
}
