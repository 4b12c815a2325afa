use super::*;

fn parse(json: &str) -> Result<Batch, InvalidEvent> {
    Batch::parse(serde_json::from_str(json).unwrap())
}

fn record(fields: &str) -> String {
    format!(r#"{{"Records":[{{"eventSource":"aws:sqs"{fields}}}]}}"#)
}

#[test]
fn a_record_is_read_where_it_stands() {
    let batch = parse(&record(
        r#","messageId":"id-1","body":"a\"b","attributes":{"ApproximateReceiveCount":"2","SentTimestamp":"5"},
        "messageAttributes":{"x":{"dataType":"Binary","binaryValue":"AA=="},"traceparent":{"stringValue":"tp","dataType":"String"}},
        "eventSourceARN":"arn:aws:sqs:eu-central-1:123456789012:orders","md5OfMessageAttributes":null"#,
    ))
    .unwrap();
    let record = batch.record(0);
    assert!(matches!(record.message_id(), Some(Cow::Borrowed("id-1"))));
    assert_eq!(record.body().as_deref(), Some("a\"b"));
    assert_eq!(record.system_attributes().receive_count(), Some(2));
    assert_eq!(record.system_attributes().sent_timestamp(), Some(5));
    assert!(matches!(
        record.trace_carrier().traceparent,
        Some(Cow::Borrowed("tp"))
    ));
    assert_eq!(record.trace_carrier().tracestate, None);
    assert!(
        record
            .queue_arn()
            .is_some_and(|arn| arn.ends_with(":orders"))
    );
}

#[test]
fn nulls_and_missing_fields_count_as_absent() {
    for fields in [
        "",
        r#","messageId":null,"body":null,"attributes":null,"messageAttributes":null"#,
        r#","messageId":"","attributes":{"SentTimestamp":"soon"},"messageAttributes":{"traceparent":null}"#,
        r#","attributes":[],"messageAttributes":[]"#,
    ] {
        let batch = parse(&record(fields)).unwrap();
        let record = batch.record(0);
        assert_eq!(record.message_id(), None, "{fields}");
        assert_eq!(record.body(), None);
        assert_eq!(record.system_attributes().sent_timestamp(), None);
        assert_eq!(record.trace_carrier().traceparent, None);
    }
}

#[test]
fn an_attribute_that_cannot_be_read_does_not_hide_its_neighbours() {
    let batch = parse(&record(
        r#","messageAttributes":{"baggage":{"stringValue":7},"other":[],"traceparent":{"stringValue":"tp"},"tracestate":{"binaryValue":"AA=="}}"#,
    ))
    .unwrap();
    let carrier = batch.record(0).trace_carrier();
    assert_eq!(carrier.traceparent.as_deref(), Some("tp"));
    assert_eq!(
        (carrier.tracestate.as_deref(), carrier.baggage.as_deref()),
        (Some(""), Some(""))
    );
}

#[test]
fn what_is_no_sqs_event_is_refused_by_name_and_without_its_values() {
    for (json, expected) in [
        (
            "{}",
            "the event is not what an SQS event source mapping sends: unexpected data at line 1 column 2",
        ),
        (
            r#"{"Records":"SECRET"}"#,
            "the event is not what an SQS event source mapping sends: unexpected data at line 1 column 19",
        ),
        (
            r#"{"Records":[{"eventSource":"aws:sns"}]}"#,
            "Records[0].eventSource is not aws:sqs",
        ),
        (
            r#"{"Records":[{"messageId":"x"}]}"#,
            "Records[0].eventSource is not aws:sqs",
        ),
        (
            &record(r#","messageId":7"#),
            "Records[0].messageId is not a string",
        ),
        (
            &record(r#","body":{"a":"SECRET"}"#),
            "Records[0].body is not a string",
        ),
    ] {
        let error = parse(json).unwrap_err().to_string();
        assert_eq!(error, expected, "{json}");
    }
}
