//! What arrives at a collector is what `opentelemetry-proto` would have sent for the same log
//! records.

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

use super::super::tests::{attribute, context, scope_of, time};
use super::*;
use crate::otlp::encode::{nanos, open_request, open_scope_spans, resource, scope};

/// A value that owns what it is made of.
#[derive(Debug, Clone)]
enum Owned {
    Bool(bool),
    Signed(i64),
    Unsigned(u64),
    Double(f64),
    Text(String),
    Bytes(Vec<u8>),
    Made(String),
}

/// Text that is made by `Debug`.
struct AsIs<'a>(&'a str);

impl fmt::Debug for AsIs<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // In pieces, as a format string has it.
        for character in self.0.chars() {
            write!(formatter, "{character}")?;
        }
        Ok(())
    }
}

impl Owned {
    fn with(&self, take: impl FnOnce(LogValue<'_>)) {
        match self {
            Self::Bool(value) => take(LogValue::Bool(*value)),
            Self::Signed(number) => take(LogValue::Signed(*number)),
            Self::Unsigned(number) => take(LogValue::Unsigned(*number)),
            Self::Double(number) => take(LogValue::Double(*number)),
            Self::Text(text) => take(LogValue::Text(text)),
            Self::Bytes(bytes) => take(LogValue::Bytes(bytes)),
            Self::Made(text) => take(LogValue::Debug(&AsIs(text))),
        }
    }

    fn theirs(&self) -> AnyValue {
        match self {
            Self::Bool(value) => AnyValue::Boolean(*value),
            Self::Signed(number) => AnyValue::Int(*number),
            Self::Unsigned(number) => match i64::try_from(*number) {
                Ok(number) => AnyValue::Int(number),
                Err(_) => AnyValue::String(number.to_string().into()),
            },
            Self::Double(number) => AnyValue::Double(*number),
            Self::Text(text) | Self::Made(text) => AnyValue::String(text.clone().into()),
            Self::Bytes(bytes) => AnyValue::Bytes(Box::new(bytes.clone())),
        }
    }
}

fn value() -> impl Strategy<Value = Owned> {
    prop_oneof![
        any::<bool>().prop_map(Owned::Bool),
        any::<i64>().prop_map(Owned::Signed),
        any::<u64>().prop_map(Owned::Unsigned),
        any::<f64>().prop_map(Owned::Double),
        ".{0,200}".prop_map(Owned::Text),
        ".{0,200}".prop_map(Owned::Made),
        vec(any::<u8>(), 0..200).prop_map(Owned::Bytes),
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
struct Logged {
    time: SystemTime,
    level: (Level, Severity),
    event_name: Option<&'static str>,
    body: Option<Owned>,
    attributes: Vec<(String, Owned)>,
    span: Option<SpanContext>,
}

prop_compose! {
    fn logged()(
        time in time(),
        level in level(),
        event_name in option::of(Just("order.placed")),
        body in option::of(value()),
        attributes in vec(("[a-z.]{0,20}", value()), 0..8),
        span in option::of(context()),
    ) -> Logged {
        Logged { time, level, event_name, body, attributes, span }
    }
}

impl Logged {
    fn write(&self, out: &mut Vec<u8>) {
        log_record(out, |record| {
            record.time(nanos(self.time));
            record.severity(&self.level.0);
            record.event_name(self.event_name.unwrap_or_default());
            if let Some(body) = &self.body {
                body.with(|value| record.body(value));
            }
            for (key, value) in &self.attributes {
                value.with(|value| record.attribute(key, value));
            }
            if let Some(span) = &self.span {
                record.span(span);
            }
        });
    }

    fn theirs(&self) -> SdkLogRecord {
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
            record.set_body(body.theirs());
        }
        for (key, value) in &self.attributes {
            record.add_attribute(key.clone(), value.theirs());
        }
        if let Some(span) = &self.span {
            let (trace, span_id) = (span.trace_id(), span.span_id());
            record.set_trace_context(trace, span_id, Some(span.trace_flags()));
        }
        record
    }
}

fn encoded(records: &[Logged], of: &InstrumentationScope, by: &Resource) -> Vec<u8> {
    let mut bytes = Vec::new();
    scope(&mut bytes, of);
    records.iter().for_each(|record| record.write(&mut bytes));
    let mut inside = Vec::new();
    open_scope_spans(&mut inside, bytes.len());
    inside.extend(bytes);
    let frame = resource(by);
    let mut request = open_request(&frame, inside.len());
    request.extend(inside);
    request.extend(&frame.tail);
    request
}

proptest! {
    #[test]
    fn every_field_is_what_opentelemetry_proto_writes(
        records in vec(logged(), 1..6),
        of_scope in vec(attribute(), 0..3),
        of_resource in vec(attribute(), 0..4),
    ) {
        let scope = scope_of(1, of_scope);
        let resource = Resource::builder_empty()
            .with_schema_url(of_resource, "https://opentelemetry.io/schemas/1.42.0")
            .build();
        let ours = encoded(&records, &scope, &resource);
        let ours = ExportLogsServiceRequest::decode(ours.as_slice())?;
        let records: Vec<SdkLogRecord> = records.iter().map(Logged::theirs).collect();
        let batch: Vec<_> = records.iter().map(|record| (record, &scope)).collect();
        let with_schema = ResourceAttributesWithSchema::from(&resource);
        let theirs = ExportLogsServiceRequest {
            resource_logs: group_logs_by_resource_and_scope(&LogBatch::new(&batch), &with_schema),
        };
        // NaN is not equal to itself, but its bytes are.
        prop_assert_eq!(ours.encode_to_vec(), theirs.encode_to_vec());
    }
}

fn decoded(write: impl FnOnce(&mut LogRecord<'_>)) -> proto::LogRecord {
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
fn a_long_text_is_cut_between_two_characters_however_it_comes() {
    // Three bytes each, of which a whole number does not make the limit.
    let long = "€".repeat(MAX_TEXT / 2);
    let expected = "€".repeat(MAX_TEXT / 3);
    let record = decoded(|record| {
        record.body(LogValue::Text(&long));
        record.attribute("made", LogValue::Debug(&AsIs(&long)));
        record.attribute("bytes", LogValue::Bytes(long.as_bytes()));
    });
    assert!(text(record.body) == expected);
    let mut attributes = record.attributes.into_iter();
    assert!(text(attributes.next().unwrap().value) == expected);
    let bytes = attributes.next().unwrap().value.unwrap();
    assert!(bytes.encoded_len() < MAX_TEXT + wire::MAX_HEADER);
}
