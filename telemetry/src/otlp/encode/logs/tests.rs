//! The encoded log records are those that `opentelemetry-proto` encodes for the same records.

use std::time::SystemTime;

use opentelemetry::InstrumentationScope;
use opentelemetry::logs::{AnyValue, LogRecord as _, Logger as _, LoggerProvider as _, Severity};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::logs::v1 as proto;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::logs::tonic::group_logs_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::{LogBatch, SdkLogRecord, SdkLoggerProvider};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use prost::Message as _;

use super::super::tests::{attribute, context, test_scope, time};
use super::*;
use crate::otlp::encode::{nanos, open_request, open_scope_spans};

/// An owned value.
#[derive(Debug, Clone)]
enum TestValue {
    Bool(bool),
    Signed(i64),
    Unsigned(u64),
    Double(f64),
    Text(String),
    Bytes(Vec<u8>),
    Debug(String),
}

/// A text that `Debug` writes unchanged.
struct DebugText<'a>(&'a str);

impl fmt::Debug for DebugText<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Written in parts, as format strings do.
        for character in self.0.chars() {
            write!(formatter, "{character}")?;
        }
        Ok(())
    }
}

impl TestValue {
    fn pass_to(&self, receive: impl FnOnce(LogValue<'_>)) {
        match self {
            Self::Bool(value) => receive(LogValue::Bool(*value)),
            Self::Signed(number) => receive(LogValue::Signed(*number)),
            Self::Unsigned(number) => receive(LogValue::Unsigned(*number)),
            Self::Double(number) => receive(LogValue::Double(*number)),
            Self::Text(text) => receive(LogValue::Text(text)),
            Self::Bytes(bytes) => receive(LogValue::Bytes(bytes)),
            Self::Debug(text) => receive(LogValue::Debug(&DebugText(text))),
        }
    }

    fn to_sdk(&self) -> AnyValue {
        match self {
            Self::Bool(value) => AnyValue::Boolean(*value),
            Self::Signed(number) => AnyValue::Int(*number),
            Self::Unsigned(number) => match i64::try_from(*number) {
                Ok(number) => AnyValue::Int(number),
                Err(_) => AnyValue::String(number.to_string().into()),
            },
            Self::Double(number) => AnyValue::Double(*number),
            Self::Text(text) | Self::Debug(text) => AnyValue::String(text.clone().into()),
            Self::Bytes(bytes) => AnyValue::Bytes(Box::new(bytes.clone())),
        }
    }
}

fn value() -> impl Strategy<Value = TestValue> {
    prop_oneof![
        any::<bool>().prop_map(TestValue::Bool),
        any::<i64>().prop_map(TestValue::Signed),
        any::<u64>().prop_map(TestValue::Unsigned),
        any::<f64>().prop_map(TestValue::Double),
        ".{0,200}".prop_map(TestValue::Text),
        ".{0,200}".prop_map(TestValue::Debug),
        vec(any::<u8>(), 0..200).prop_map(TestValue::Bytes),
    ]
}

fn level() -> impl Strategy<Value = (Level, Severity)> {
    prop_oneof![
        Just((Level::TRACE, Severity::Trace)),
        Just((Level::DEBUG, Severity::Debug)),
        Just((Level::INFO, Severity::Info)),
        Just((Level::WARN, Severity::Warn)),
        Just((Level::ERROR, Severity::Error)),
    ]
}

#[derive(Debug)]
struct TestRecord {
    time: SystemTime,
    level: (Level, Severity),
    event_name: Option<&'static str>,
    body: Option<TestValue>,
    attributes: Vec<(String, TestValue)>,
    span: Option<SpanContext>,
}

prop_compose! {
    fn test_record()(
        time in time(),
        level in level(),
        event_name in option::of(Just("order.placed")),
        body in option::of(value()),
        attributes in vec(("[a-z.]{0,20}", value()), 0..8),
        span in option::of(context()),
    ) -> TestRecord {
        TestRecord { time, level, event_name, body, attributes, span }
    }
}

impl TestRecord {
    fn write(&self, out: &mut Vec<u8>) {
        log_record(out, |record| {
            record.time(nanos(self.time));
            record.severity(&self.level.0);
            record.event_name(self.event_name.unwrap_or_default());
            if let Some(body) = &self.body {
                body.pass_to(|value| record.body(value));
            }
            for (key, value) in &self.attributes {
                value.pass_to(|value| record.attribute(key, value));
            }
            if let Some(span) = &self.span {
                record.span(span);
            }
        });
    }

    fn to_sdk(&self) -> SdkLogRecord {
        let provider = SdkLoggerProvider::builder().build();
        let mut record = provider.logger("").create_log_record();
        record.set_timestamp(self.time);
        record.set_observed_timestamp(self.time);
        record.set_severity_number(self.level.1);
        record.set_severity_text(self.level.0.as_str());
        if let Some(name) = self.event_name {
            record.set_event_name(name);
        }
        if let Some(body) = &self.body {
            record.set_body(body.to_sdk());
        }
        for (key, value) in &self.attributes {
            record.add_attribute(key.clone(), value.to_sdk());
        }
        if let Some(span) = &self.span {
            let (trace, span_id) = (span.trace_id(), span.span_id());
            record.set_trace_context(trace, span_id, Some(span.trace_flags()));
        }
        record
    }
}

fn encode_request(
    records: &[TestRecord],
    scope: &InstrumentationScope,
    resource: &Resource,
) -> Vec<u8> {
    let mut bytes = Vec::new();
    super::super::scope(&mut bytes, scope);
    records.iter().for_each(|record| record.write(&mut bytes));
    let mut scopes = Vec::new();
    open_scope_spans(&mut scopes, bytes.len());
    scopes.extend(bytes);
    let frame = super::super::resource(resource);
    let mut request = open_request(&frame, scopes.len());
    request.extend(scopes);
    request.extend(&frame.tail);
    request
}

proptest! {
    #[test]
    fn every_field_is_what_opentelemetry_proto_writes(
        records in vec(test_record(), 1..6),
        scope_attributes in vec(attribute(), 0..3),
        resource_attributes in vec(attribute(), 0..4),
    ) {
        let scope = test_scope(1, scope_attributes);
        let resource = Resource::builder_empty()
            .with_schema_url(resource_attributes, "https://opentelemetry.io/schemas/1.42.0")
            .build();
        let actual = encode_request(&records, &scope, &resource);
        let actual = ExportLogsServiceRequest::decode(actual.as_slice())?;
        let records: Vec<SdkLogRecord> = records.iter().map(TestRecord::to_sdk).collect();
        let batch: Vec<_> = records.iter().map(|record| (record, &scope)).collect();
        let with_schema = ResourceAttributesWithSchema::from(&resource);
        let expected = ExportLogsServiceRequest {
            resource_logs: group_logs_by_resource_and_scope(&LogBatch::new(&batch), &with_schema),
        };
        // Compared as bytes, because NaN is not equal to itself.
        prop_assert_eq!(actual.encode_to_vec(), expected.encode_to_vec());
    }
}

fn decoded(write: impl FnOnce(&mut LogRecordEncoder<'_>)) -> proto::LogRecord {
    let mut out = Vec::new();
    log_record(&mut out, write);
    let mut scope = proto::ScopeLogs::decode(out.as_slice()).unwrap();
    scope.log_records.remove(0)
}

fn text(value: Option<opentelemetry_proto::tonic::common::v1::AnyValue>) -> String {
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    match value.unwrap().value.unwrap() {
        Value::StringValue(text) => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn dropped_attributes_are_counted_in_the_record() {
    let record = decoded(|record| record.dropped_attributes(7));
    assert_eq!(record.dropped_attributes_count, 7);
}

#[test]
fn a_long_text_of_every_kind_is_truncated_between_two_characters() {
    // A character has three bytes, and the limit is not a multiple of three.
    let long = "€".repeat(MAX_TEXT / 2);
    let expected = "€".repeat(MAX_TEXT / 3);
    let record = decoded(|record| {
        record.body(LogValue::Text(&long));
        record.attribute("debug", LogValue::Debug(&DebugText(&long)));
        record.attribute("bytes", LogValue::Bytes(long.as_bytes()));
    });
    assert!(text(record.body) == expected);
    let mut attributes = record.attributes.into_iter();
    assert!(text(attributes.next().unwrap().value) == expected);
    let bytes = attributes.next().unwrap().value.unwrap();
    assert!(bytes.encoded_len() < MAX_TEXT + wire::MAX_HEADER);
}
