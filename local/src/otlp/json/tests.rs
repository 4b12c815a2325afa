use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span};
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message as _;
use serde_json::json;

use super::*;

fn read<M: prost::Message + Default>(
    request: &Value,
    schema: &'static Schema,
) -> (M, SkippedRecords) {
    let (bytes, skipped) = to_protobuf(request.to_string().as_bytes(), schema).unwrap();
    (M::decode(&*bytes).unwrap(), skipped)
}

fn read_spans(spans: Value) -> (Vec<Span>, SkippedRecords) {
    let request = json!({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]});
    let (request, skipped) = read::<ExportTraceServiceRequest>(&request, &TRACES);
    let mut resources = request.resource_spans.into_iter();
    let mut scopes = resources.next().unwrap().scope_spans.into_iter();
    (scopes.next().unwrap().spans, skipped)
}

/// Reads an attribute with this JSON value.
fn attribute(value: Value) -> Option<AnyValue> {
    let (mut spans, skipped) = read_spans(json!([{"attributes": [{"key": "a", "value": value}]}]));
    assert_eq!(skipped, SkippedRecords::default(), "{value}");
    spans.remove(0).attributes.remove(0).value
}

#[test]
fn values_are_read_in_every_spelling_that_senders_use() {
    for (written, expected) in [
        (json!({"intValue": 7}), Any::IntValue(7)),
        (json!({"intValue": "-7"}), Any::IntValue(-7)),
        (json!({"int_value": 7.0}), Any::IntValue(7)),
        (json!({"doubleValue": "0.5"}), Any::DoubleValue(0.5)),
        (json!({"doubleValue": 1}), Any::DoubleValue(1.0)),
        (
            json!({"doubleValue": "-Infinity"}),
            Any::DoubleValue(f64::NEG_INFINITY),
        ),
        (json!({"boolValue": "true"}), Any::BoolValue(true)),
        (
            json!({"stringValue": "x", "intValue": null}),
            Any::StringValue("x".into()),
        ),
        (
            json!({"stringValue": "x", "later": {}}),
            Any::StringValue("x".into()),
        ),
        (
            json!({"bytesValue": "-_8"}),
            Any::BytesValue(vec![0xfb, 0xff]),
        ),
        (
            json!({"bytesValue": "+/8="}),
            Any::BytesValue(vec![0xfb, 0xff]),
        ),
        (
            json!({"arrayValue": {}}),
            Any::ArrayValue(ArrayValue::default()),
        ),
        (
            json!({"arrayValue": {"values": null}}),
            Any::ArrayValue(ArrayValue::default()),
        ),
        (
            json!({"kvlistValue": {}}),
            Any::KvlistValue(KeyValueList::default()),
        ),
    ] {
        assert_eq!(
            attribute(written.clone()).unwrap().value,
            Some(expected),
            "{written}"
        );
    }
    assert_eq!(attribute(json!({})), Some(AnyValue::default()));
    assert_eq!(attribute(Value::Null), None);
    let nan = attribute(json!({"doubleValue": "NaN"})).unwrap().value;
    assert!(matches!(nan, Some(Any::DoubleValue(number)) if number.is_nan()));
}

#[test]
fn a_span_is_read_in_snake_case_with_names_of_enums_and_upper_case_ids() {
    let (spans, skipped) = read_spans(json!([{
        "trace_id": "ABABABABABABABABABABABABABABABAB", "spanId": "0101010101010101",
        "kind": "SPAN_KIND_SERVER", "status": {"code": "STATUS_CODE_ERROR"},
        "start_time_unix_nano": 7, "endTimeUnixNano": "18446744073709551615", "links": null
    }]));
    let expected = Span {
        trace_id: vec![0xab; 16],
        span_id: vec![1; 8],
        kind: 2,
        status: Some(Status {
            code: 2,
            ..Status::default()
        }),
        start_time_unix_nano: 7,
        end_time_unix_nano: u64::MAX,
        ..Span::default()
    };
    assert_eq!(
        (spans, skipped),
        (vec![expected], SkippedRecords::default())
    );
}

#[test]
fn a_span_with_an_unpaired_surrogate_is_kept() {
    let spans = r#"[{"name": "abc\ud83d"}, {"name": "b"}]"#;
    let request = format!(r#"{{"resourceSpans": [{{"scopeSpans": [{{"spans": {spans}}}]}}]}}"#);
    let (bytes, skipped) = to_protobuf(request.as_bytes(), &TRACES).unwrap();
    let request = ExportTraceServiceRequest::decode(&*bytes).unwrap();
    let spans = &request.resource_spans[0].scope_spans[0].spans;
    let names = spans.iter().map(|span| &*span.name).collect::<Vec<_>>();
    assert_eq!(names, ["abc\u{fffd}", "b"]);
    assert_eq!(skipped, SkippedRecords::default());
}

#[test]
fn an_unreadable_value_skips_only_its_span() {
    for (broken, reason) in [
        (json!({"name": 5}), ".name: expected a string"),
        (
            json!({"traceId": "xy"}),
            ".traceId: expected hexadecimal digits",
        ),
        (
            json!({"attributes": [{"value": "NaN"}]}),
            ".attributes[0].value: expected an object",
        ),
        (
            json!({"startTimeUnixNano": -1}),
            ".startTimeUnixNano: expected an integer within the range of the field",
        ),
        (Value::Null, ": expected an object"),
    ] {
        let (spans, skipped) = read_spans(json!([{"name": "a"}, broken, {"name": "b"}]));
        let names = spans.iter().map(|span| &*span.name).collect::<Vec<_>>();
        assert_eq!(names, ["a", "b"], "{reason}");
        let expected = format!("resourceSpans[0].scopeSpans[0].spans[1]{reason}");
        assert_eq!((skipped.count, skipped.reason), (1, Some(expected)));
    }
}

#[test]
fn an_unreadable_resource_skips_no_span_and_an_unreadable_group_skips_its_own() {
    let request = json!({"resourceSpans": [
        {"resource": {"attributes": 5}, "scopeSpans": [{"spans": [{"name": "kept"}]}]},
        {"schemaUrl": 5, "scopeSpans": [{"spans": [{"name": 7}, {"name": "lost"}]}]},
    ]});
    let (request, skipped) = read::<ExportTraceServiceRequest>(&request, &TRACES);
    assert_eq!(request.resource_spans.len(), 1);
    assert_eq!(
        request.resource_spans[0].scope_spans[0].spans[0].name,
        "kept"
    );
    assert_eq!(skipped.count, 2);
}

#[test]
fn an_unreadable_point_or_log_record_is_skipped_alone() {
    let request = json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": [
        {"name": "m", "gauge": {"dataPoints": [{"asDouble": "NaN"}, {"asDouble": "x"}, {"asInt": "3"}]}},
        {"name": 5, "sum": {"dataPoints": [{}, {}]}},
        {"name": "h", "histogram": {"dataPoints": [{"count": "2", "bucketCounts": ["1", 1], "explicitBounds": ["Infinity"]}]}},
        {"name": "e", "exponentialHistogram": {"dataPoints": [{"scale": -1, "positive": {"offset": "-3", "bucketCounts": [1]}}]}},
    ]}]}]});
    let (request, skipped) = read::<ExportMetricsServiceRequest>(&request, &METRICS);
    let metrics = &request.resource_metrics[0].scope_metrics[0].metrics;
    assert_eq!((metrics.len(), skipped.count), (3, 3));
    let Some(Data::Gauge(gauge)) = &metrics[0].data else {
        panic!("{metrics:?}");
    };
    assert_eq!(gauge.data_points.len(), 2);
    let Some(Data::ExponentialHistogram(histogram)) = &metrics[2].data else {
        panic!("{metrics:?}");
    };
    let point = &histogram.data_points[0];
    assert_eq!(
        (point.scale, point.positive.as_ref().unwrap().offset),
        (-1, -3)
    );

    let request = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [
        {"severityNumber": "SEVERITY_NUMBER_WARN", "body": {"stringValue": "x"}}, {"body": 5}
    ]}]}]});
    let (request, skipped) = read::<ExportLogsServiceRequest>(&request, &LOGS);
    let records = &request.resource_logs[0].scope_logs[0].log_records;
    assert_eq!(
        (records.len(), records[0].severity_number, skipped.count),
        (1, 13, 1)
    );
}

#[test]
fn a_body_that_is_not_a_request_is_rejected_as_a_whole() {
    for (body, reason) in [
        ("[1", "EOF while parsing"),
        ("[]", "expected an object"),
        (
            r#"{"resourceSpans": 5}"#,
            "resourceSpans: expected an array",
        ),
    ] {
        let error = to_protobuf(body.as_bytes(), &TRACES).unwrap_err();
        assert!(error.starts_with(reason), "{error}");
    }
}

fn any_value() -> impl Strategy<Value = AnyValue> {
    let leaf = prop_oneof![
        Just(None),
        ".*".prop_map(|text| Some(Any::StringValue(text))),
        any::<bool>().prop_map(|flag| Some(Any::BoolValue(flag))),
        any::<i64>().prop_map(|number| Some(Any::IntValue(number))),
        // Values that serde_json writes as numbers; another test covers NaN and the infinities.
        proptest::num::f64::NORMAL.prop_map(|number| Some(Any::DoubleValue(number))),
        vec(any::<u8>(), 0..9).prop_map(|bytes| Some(Any::BytesValue(bytes))),
    ];
    leaf.prop_map(|value| AnyValue { value })
        .prop_recursive(3, 12, 3, |inner| {
            vec(inner, 0..3).prop_map(|values| AnyValue {
                value: Some(Any::ArrayValue(ArrayValue { values })),
            })
        })
}

fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    let pair = (".*", any_value()).prop_map(|(key, value)| KeyValue {
        key,
        value: Some(value),
        ..KeyValue::default()
    });
    vec(pair, 0..4)
}

prop_compose! {
    fn any_span()(
        trace_id in vec(any::<u8>(), 16),
        span_id in vec(any::<u8>(), 8),
        name in ".*",
        kind in 0..6_i32,
        times in any::<(u64, u64)>(),
        attributes in attributes(),
        link in attributes(),
        event in attributes(),
        flags in any::<u32>(),
        code in 0..3_i32,
    ) -> Span {
        Span {
            links: vec![span::Link { trace_id: trace_id.clone(), span_id: span_id.clone(), attributes: link, flags, ..span::Link::default() }],
            events: vec![span::Event { time_unix_nano: times.0, name: name.clone(), attributes: event, ..span::Event::default() }],
            status: Some(Status { message: name.clone(), code }),
            start_time_unix_nano: times.0,
            end_time_unix_nano: times.1,
            trace_id, span_id, name, kind, attributes, flags,
            ..Span::default()
        }
    }
}

/// Writes a request in another spelling: snake_case, numbers for text, and `null` for absent
/// values.
fn respell(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.into_iter().map(|(name, value)| {
                let numeric = name.ends_with("Nano") || name == "intValue";
                let number = value
                    .as_str()
                    .filter(|_| numeric)
                    .and_then(|text| text.parse::<serde_json::Number>().ok());
                (
                    snake_case(&name),
                    number.map_or_else(|| respell(value), Value::Number),
                )
            });
            let mut fields = fields.collect::<serde_json::Map<_, _>>();
            fields.insert("unknown".to_owned(), json!([{}]));
            fields.insert("trace_state".to_owned(), Value::Null);
            Value::Object(fields)
        }
        Value::Array(elements) => elements.into_iter().map(respell).collect(),
        other => other,
    }
}

fn snake_case(name: &str) -> String {
    let letters = name.chars().map(|letter| {
        if letter.is_ascii_uppercase() {
            format!("_{}", letter.to_ascii_lowercase())
        } else {
            letter.to_string()
        }
    });
    letters.collect()
}

proptest! {
    #[test]
    fn json_of_the_generated_messages_is_read_without_loss(spans in vec(any_span(), 0..4)) {
        let request = ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                scope_spans: vec![ScopeSpans { spans, ..ScopeSpans::default() }],
                ..ResourceSpans::default()
            }],
        };
        let written = serde_json::to_value(&request).unwrap();
        for written in [respell(written.clone()), written] {
            let (back, skipped) = read::<ExportTraceServiceRequest>(&written, &TRACES);
            prop_assert_eq!(skipped, SkippedRecords::default());
            prop_assert_eq!(&back, &request);
        }
    }
}
