use super::*;

fn parse(json: &str) -> Result<SqsBatch, InvalidEvent> {
    SqsBatch::parse(json.as_bytes().to_vec(), Arc::default())
}

fn record(fields: &str) -> String {
    format!(r#"{{"Records":[{{"eventSource":"aws:sqs"{fields}}}]}}"#)
}

#[test]
fn the_fields_of_a_record_are_read_from_the_payload() {
    let batch = parse(&record(
        r#","messageId":"id-1","body":"a\"b","attributes":{"ApproximateReceiveCount":"2","SentTimestamp":"5"},
        "messageAttributes":{"x":{"dataType":"Binary","binaryValue":"AA=="},"traceparent":{"stringValue":"tp","dataType":"String"}},
        "eventSourceARN":"arn:aws:sqs:eu-central-1:123456789012:orders","md5OfMessageAttributes":null"#,
    ))
    .unwrap();
    let record = batch.record(0);
    assert!(matches!(record.message_id(), Some(Cow::Borrowed("id-1"))));
    assert_eq!(record.body().as_deref(), Some("a\"b"));
    assert_eq!(record.receive_count(), Some(2));
    assert_eq!(record.sent_timestamp(), Some(5));
    let carrier = record.trace_carrier();
    assert!(matches!(
        carrier.traceparent,
        FieldValue::Text(Cow::Borrowed("tp"))
    ));
    assert_eq!(carrier.tracestate, FieldValue::Absent);
    assert!(!record.is_fifo());
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
        assert_eq!(record.sent_timestamp(), None);
        assert_eq!(record.trace_carrier().traceparent, FieldValue::Absent);
    }
}

#[test]
fn an_unreadable_attribute_does_not_affect_others() {
    let batch = parse(&record(
        r#","messageAttributes":{"baggage":{"stringValue":7},"other":[],"traceparent":{"stringValue":"tp"},"tracestate":{"binaryValue":"AA=="}}"#,
    ))
    .unwrap();
    let carrier = batch.record(0).trace_carrier();
    assert_eq!(carrier.traceparent, text("tp"));
    assert_eq!(
        (carrier.tracestate, carrier.baggage),
        (FieldValue::NotText, FieldValue::NotText)
    );
}

#[test]
fn carrier_names_are_compared_without_case_and_the_exact_one_takes_precedence() {
    for (attributes, expected) in [
        (r#"{"TraceParent":{"StringValue":"a"}}"#, text("a")),
        (
            r#"{"Traceparent":{"stringValue":"a"},"traceparent":{"stringValue":"b"}}"#,
            text("b"),
        ),
        (
            r#"{"traceparent":{"stringValue":"b"},"Traceparent":{"stringValue":"a"},"TRACEPARENT":{"stringValue":"c"}}"#,
            text("b"),
        ),
        (
            r#"{"traceparent":{"stringValue":7},"Traceparent":{"stringValue":"a"}}"#,
            FieldValue::NotText,
        ),
        (
            r#"{"Traceparent":{"stringValue":"a"},"TRACEPARENT":{"stringValue":"a"}}"#,
            FieldValue::Ambiguous,
        ),
        (
            r#"{"Traceparent":null,"TRACEPARENT":{"stringValue":"a"}}"#,
            text("a"),
        ),
        (
            r#"{"traceparen\u0074":{"string\u0056alue":"\u0061"}}"#,
            text("a"),
        ),
        (
            r#"{"traceparent":{"stringValue":"a","StringValue":null,"dataType":"String"}}"#,
            text("a"),
        ),
        (
            r#"{"traceparent":{"stringValue":"\ud800"}}"#,
            FieldValue::NotText,
        ),
        (
            r#"{"traceparent":{"binaryValue":"AA==","dataType":"Binary"}}"#,
            FieldValue::NotText,
        ),
        (
            r#"{"traceparent":{"stringValue":"a"},"traceparent":{"stringValue":"b"}}"#,
            text("b"),
        ),
        (
            r#"{"traceparents":{"stringValue":"a"},"":{"stringValue":"a"}}"#,
            FieldValue::Absent,
        ),
        (r#"["traceparent"]"#, FieldValue::Absent),
    ] {
        let batch = parse(&record(&format!(r#","messageAttributes":{attributes}"#))).unwrap();
        let carrier = batch.record(0).trace_carrier();
        assert_eq!(carrier.traceparent, expected, "{attributes}");
    }
}

fn text(text: &str) -> FieldValue<'_> {
    FieldValue::Text(text.into())
}

#[test]
fn escapes_whitespace_and_order_do_not_matter_at_any_level() {
    let json = "\n{ \"x\" : [ { } , [ ] , -1.5e3 , true ] ,\r\n \"\\u0052ecords\" :\t[ { \"body\" : \"\\u00e9\\\"\" , \"deep\" : { \"}\" : \"]\" } \
        , \"event\\u0053ource\" : \"aws:\\u0073qs\" , \"messageI\\u0064\" : \"i\\/d\" } , {\"eventSource\":\"aws:sqs\"} ] , \"z\" : null } ";
    let batch = parse(json).unwrap();
    assert_eq!(batch.len(), 2);
    assert_eq!(batch.record(0).body().as_deref(), Some("\u{e9}\""));
    assert_eq!(batch.record(0).message_id().as_deref(), Some("i/d"));
    assert_eq!(batch.record(1).message_id(), None);
}

#[test]
fn record_fields_are_small() {
    // The fields of a batch of 10,000 records must be small compared with its payload.
    assert!(
        size_of::<SqsRecordFields>() <= 128,
        "{}",
        size_of::<SqsRecordFields>()
    );
}

#[test]
fn depth_and_size_do_no_harm() {
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let batch = parse(&record(&format!(
        r#","deep":{deep},"body":"{}""#,
        "x".repeat(1 << 20)
    )))
    .unwrap();
    assert_eq!(batch.record(0).body().map(|body| body.len()), Some(1 << 20));
    let one = r#"{"eventSource":"aws:sqs","messageId":"id","body":"{}"}"#;
    let many = vec![one; 100_000].join(",");
    assert_eq!(
        parse(&format!(r#"{{"Records":[{many}]}}"#)).unwrap().len(),
        100_000
    );
    assert_eq!(parse(r#"{"Records":[]}"#).unwrap().len(), 0);
}

#[test]
fn an_array_of_records_from_eventbridge_pipes_is_a_batch() {
    let one = r#"{"eventSource":"aws:sqs","messageId":"id-1","body":"a"}"#;
    let batch = parse(&format!(" [ {one} , {} ]\n", one.replace("id-1", "id-2"))).unwrap();
    let ids: Vec<_> = batch.records().map(|record| record.message_id()).collect();
    assert_eq!(ids, [Some("id-1".into()), Some("id-2".into())]);
    assert_eq!(parse("[]").unwrap().len(), 0);
}

#[test]
fn the_error_of_an_invalid_array_has_the_position() {
    let sqs = r#"{"eventSource":"aws:sqs"}"#;
    for (json, expected) in [
        (r#"["SECRET"]"#.to_owned(), "Records[0] is not an object"),
        (
            format!(r#"[{sqs},{{"eventSource":"aws:kinesis"}}]"#),
            "Records[1].eventSource is aws:kinesis, expected aws:sqs",
        ),
        (
            format!("[{sqs}"),
            "the event is not JSON: EOF while parsing a list at line 1 column 26",
        ),
        (
            format!("[{sqs}] 1"),
            "the event is not JSON: trailing characters at line 1 column 29",
        ),
    ] {
        assert_eq!(error(&json), expected, "{json}");
    }
}

fn error(json: &str) -> String {
    parse(json).unwrap_err().to_string()
}

#[test]
fn an_object_without_records_is_described() {
    for (json, event) in [
        ("{}", "an empty object"),
        (r#"{"SECRET":"SECRET"}"#, "an object with one other field"),
        (
            r#"{"key2":"value2","key3":"value3","key1":"value1"}"#,
            "the sample event of the Lambda console",
        ),
        (
            r#"{"version":"0","detail-type":"x","requestContext":{}}"#,
            "an EventBridge event",
        ),
    ] {
        let expected = format!(
            "Records is missing: the event is {event}, expected the event of an SQS event source mapping"
        );
        assert_eq!(error(json), expected, "{json}");
    }
}

#[test]
fn an_event_that_is_not_an_object_or_array_is_described() {
    let expected = "the event is null, expected the object with Records that an SQS event source mapping sends, \
                    or the array of records that EventBridge Pipes sends";
    assert_eq!(error("null"), expected);
}

#[test]
fn records_must_be_one_array() {
    let string = error(r#"{"Records":"SECRET"}"#);
    assert_eq!(
        string,
        "Records is a string, expected an array of SQS messages"
    );
    let null = error(r#"{"Records":null}"#);
    assert_eq!(null, "Records is null, expected an array of SQS messages");
    let twice = error(r#"{"Records":[],"Records":[]}"#);
    assert_eq!(twice, "duplicate field Records");
}

#[test]
fn a_record_of_another_source_is_an_error_without_values() {
    for (records, expected) in [
        (r#"[{"eventSource":"aws:s3"}]"#, "[0].eventSource is aws:s3"),
        (
            r#"[{"eventSource":"aws:SECRET"}]"#,
            "[0].eventSource is another value",
        ),
        (r#"[{"eventSource":7}]"#, "[0].eventSource is another value"),
        (
            r#"[{"EventSource":"aws:sns","Sns":{}}]"#,
            "[0].eventSource is missing and EventSource is aws:sns",
        ),
        (
            r#"[{"eventSource":"aws:sqs"},{"messageId":"x"}]"#,
            "[1].eventSource is missing",
        ),
    ] {
        let error = error(&format!(r#"{{"Records":{records}}}"#));
        assert_eq!(error, format!("Records{expected}, expected aws:sqs"));
    }
}

#[test]
fn an_invalid_field_of_a_record_is_named_without_its_value() {
    let not_an_object = error(r#"{"Records":[7]}"#);
    assert_eq!(not_an_object, "Records[0] is not an object");
    for (fields, expected) in [
        (r#","messageId":7"#, ".messageId is not a string"),
        (r#","body":{"a":"SECRET"}"#, ".body is not a string"),
        (
            r#","messageId":"a","message\u0049d":"b""#,
            " has a duplicate field messageId",
        ),
        (
            r#","attributes":{},"attributes":{}"#,
            " has a duplicate field attributes",
        ),
    ] {
        assert_eq!(error(&record(fields)), format!("Records[0]{expected}"));
    }
}

#[test]
fn the_error_of_invalid_json_has_the_position() {
    for (json, expected) in [
        ("", "EOF while parsing a value at line 1 column 0"),
        ("hello", "expected value at line 1 column 1"),
        (
            r#"{"Records":[{"messageId":"SECRET""#,
            "EOF while parsing an object at line 1 column 33",
        ),
        (
            r#"{"Records":[{"eventSource":"aws:sqs","body":"a"}]"#,
            "EOF while parsing an object at line 1 column 49",
        ),
        (
            r#"{"Records":[{"eventSource":"aws:sqs","body":"a"}]} {"#,
            "trailing characters at line 1 column 52",
        ),
        (
            r#"{"Records":[{"eventSource":"aws:sqs","body":"a\q"}]}"#,
            "invalid escape at line 1 column 48",
        ),
        (
            "{\"Records\":[{\"eventSource\":\"aws:sqs\",\"body\":\"a\nb\"}]}",
            "control character (\\u0000-\\u001F) found while parsing a string at line 1 column 46",
        ),
        (
            r#"{"Records":[{"eventSource":"aws:sqs","more":[1,]}]}"#,
            "expected value at line 1 column 48",
        ),
        (
            r#"{"Records":[{"eventSource":"aws:sqs","more":tru}]}"#,
            "expected ident at line 1 column 48",
        ),
    ] {
        assert_eq!(
            error(json),
            format!("the event is not JSON: {expected}"),
            "{json}"
        );
    }
}

#[test]
fn the_error_of_invalid_utf8_has_the_position() {
    let error = SqsBatch::parse(b"{\"Records\":\xff}".to_vec(), Arc::default()).unwrap_err();
    let expected = "the event is not UTF-8: invalid byte at 11";
    assert_eq!(error.to_string(), expected);
}

/// Property tests that compare the scanner with `serde_json`.
mod scanner_properties;
