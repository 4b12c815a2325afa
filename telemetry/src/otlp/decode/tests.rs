//! Decoded records are encoded to the bytes that they were decoded from.

use opentelemetry::logs::{AnyValue, Severity};
use opentelemetry_sdk::Resource;
use proptest::collection::vec;
use proptest::prelude::*;
use tracing::Level;

use super::*;
use crate::otlp::encode::tests::{encode_request, span_data};
use crate::otlp::encode::{self, LogValue, log_record};

proptest! {
    #[test]
    fn spans_are_unchanged_by_encoding_and_decoding(data in vec(span_data(), 0..4)) {
        let resource = Resource::builder_empty().build();
        let request = encode_request(&data, &resource);
        let decoded = spans(&request).unwrap();
        prop_assert_eq!(decoded.len(), data.len());
        prop_assert_eq!(encode_request(&decoded, &resource), request);
    }

    #[test]
    fn any_bytes_are_decoded_or_rejected(bytes in vec(any::<u8>(), 0..200)) {
        let _ = spans(&bytes);
        let _ = LogDecoder::new().records(&bytes);
    }
}

/// Returns an encoded request with one log record.
fn log_request() -> Vec<u8> {
    let context = SpanContext::new(
        TraceId::from(7),
        SpanId::from(8),
        TraceFlags::SAMPLED,
        false,
        TraceState::NONE,
    );
    let mut record = Vec::new();
    log_record(&mut record, |record| {
        record.time(1_000);
        record.severity(&Level::WARN);
        record.event_name("order.stored");
        record.body(LogValue::Text("stored"));
        record.attribute("id", LogValue::Signed(-7));
        record.attribute("raw", LogValue::Bytes(&[1, 2]));
        record.attribute("ratio", LogValue::Double(0.5));
        record.attribute("ok", LogValue::Bool(true));
        record.span(&context);
    });
    let mut scoped = Vec::new();
    encode::scope(
        &mut scoped,
        &InstrumentationScope::builder("orders").build(),
    );
    scoped.append(&mut record);
    let resource = encode::resource(&Resource::builder_empty().build());
    let length = encode::scope_spans_length(scoped.len());
    let mut request = encode::open_request(&resource, length);
    encode::open_scope_spans(&mut request, scoped.len());
    request.append(&mut scoped);
    request
}

#[test]
fn a_log_record_keeps_its_values() {
    let decoder = LogDecoder::new();
    let request = log_request();
    let records = decoder.records(&request).unwrap();
    let [(record, scope)] = records.as_slice() else {
        panic!("one record: {records:?}");
    };
    assert_eq!(scope.name(), "orders");
    assert_eq!(record.target().unwrap(), "orders");
    assert_eq!(record.timestamp(), Some(time(1_000)));
    assert_eq!(record.observed_timestamp(), Some(time(1_000)));
    assert_eq!(record.severity_number(), Some(Severity::Warn));
    assert_eq!(record.severity_text(), Some("WARN"));
    assert_eq!(record.event_name(), Some("order.stored"));
    assert_eq!(record.body(), Some(&AnyValue::from("stored")));
    let trace = record.trace_context().unwrap();
    assert_eq!((trace.trace_id, trace.span_id), (7.into(), 8.into()));
    assert_eq!(trace.trace_flags, Some(TraceFlags::SAMPLED));
    let attributes: Vec<_> = record
        .attributes_iter()
        .map(|(key, value)| (key.as_str(), value.clone()))
        .collect();
    assert_eq!(
        attributes,
        [
            ("id", AnyValue::Int(-7)),
            ("raw", AnyValue::Bytes(Box::new(vec![1, 2]))),
            ("ratio", AnyValue::Double(0.5)),
            ("ok", AnyValue::Boolean(true)),
        ]
    );
}

#[test]
fn the_name_of_an_event_is_allocated_once() {
    let decoder = LogDecoder::new();
    let request = log_request();
    let records = [(); 2].map(|()| decoder.records(&request).unwrap().remove(0).0);
    let [first, second] = records
        .each_ref()
        .map(|record| record.event_name().unwrap());
    assert!(std::ptr::eq(first, second));
}
