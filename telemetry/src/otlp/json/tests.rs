//! JSON that `opentelemetry-proto` reads is equal to what prost reads from the original bytes.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList, any_value,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use prost::Message as _;
use serde::de::DeserializeOwned;

use super::*;
use crate::otlp::encode::tests::{attribute, encode_request, span_data};

mod logs;
mod metrics;

fn to_json(signal: Signal, bytes: &[u8]) -> Vec<u8> {
    let mut out = b"before".to_vec();
    request(&mut out, signal, bytes).unwrap();
    assert!(!out.contains(&b'\n'));
    out.split_off("before".len())
}

/// Converts a message to JSON and checks that it is read as the same message.
fn round_trip<M: prost::Message + Default + DeserializeOwned + PartialEq + std::fmt::Debug>(
    signal: Signal,
    message: &M,
) -> Result<(), TestCaseError> {
    let json = to_json(signal, &message.encode_to_vec());
    let read: M = serde_json::from_slice(&json)
        .map_err(|error| TestCaseError::fail(format!("{error}: {}", json.escape_ascii())))?;
    prop_assert_eq!(&read, message);
    #[cfg(feature = "replay")]
    prop_assert_eq!(&M::decode(from_json(signal, &json).as_slice())?, message);
    Ok(())
}

#[cfg(feature = "replay")]
fn from_json(signal: Signal, json: &[u8]) -> Vec<u8> {
    let read = super::read(signal, json);
    read.unwrap_or_else(|error| panic!("{error}: {}", json.escape_ascii()))
}

/// Any finite number. Others are strings, which `opentelemetry-proto` does not read in every field.
fn finite() -> impl Strategy<Value = f64> {
    use proptest::num::f64::{NEGATIVE, NORMAL, POSITIVE, SUBNORMAL, ZERO};
    POSITIVE | NEGATIVE | NORMAL | SUBNORMAL | ZERO
}

fn any_value() -> impl Strategy<Value = AnyValue> {
    let leaf = prop_oneof![
        Just(None),
        ".{0,20}".prop_map(|text| Some(any_value::Value::StringValue(text))),
        any::<bool>().prop_map(|value| Some(any_value::Value::BoolValue(value))),
        any::<i64>().prop_map(|value| Some(any_value::Value::IntValue(value))),
        finite().prop_map(|value| Some(any_value::Value::DoubleValue(value))),
        vec(any::<u8>(), 0..9).prop_map(|value| Some(any_value::Value::BytesValue(value))),
    ];
    let leaf = leaf.prop_map(|value| AnyValue { value });
    leaf.prop_recursive(4, 20, 4, |inner| {
        let key_value = (".{0,9}", option::of(inner.clone())).prop_map(pair);
        prop_oneof![
            vec(inner, 0..4).prop_map(|values| any_value::Value::ArrayValue(ArrayValue { values })),
            vec(key_value, 0..4)
                .prop_map(|values| any_value::Value::KvlistValue(KeyValueList { values })),
        ]
        .prop_map(|value| AnyValue { value: Some(value) })
    })
}

fn pair((key, value): (String, Option<AnyValue>)) -> KeyValue {
    KeyValue {
        key,
        value,
        ..KeyValue::default()
    }
}

fn key_values() -> impl Strategy<Value = Vec<KeyValue>> {
    vec((".{0,9}", option::of(any_value())).prop_map(pair), 0..3)
}

prop_compose! {
    fn resource()(attributes in key_values(), dropped_attributes_count in any::<u32>()) -> Resource {
        Resource { attributes, dropped_attributes_count, entity_refs: Vec::new() }
    }
}

prop_compose! {
    fn scope()(
        name in ".{0,9}",
        version in ".{0,9}",
        attributes in key_values(),
        dropped_attributes_count in any::<u32>(),
    ) -> InstrumentationScope {
        InstrumentationScope { name, version, attributes, dropped_attributes_count }
    }
}

/// Replaces numbers that JSON cannot represent with zeros.
fn replace_non_finite(request: &mut ExportTraceServiceRequest) {
    fn replace_in_value(value: &mut AnyValue) {
        match &mut value.value {
            Some(any_value::Value::DoubleValue(double)) if !double.is_finite() => *double = 0.0,
            Some(any_value::Value::ArrayValue(array)) => {
                array.values.iter_mut().for_each(replace_in_value)
            }
            _ => {}
        }
    }
    fn replace_in_all(attributes: &mut [KeyValue]) {
        attributes
            .iter_mut()
            .flat_map(|attribute| &mut attribute.value)
            .for_each(replace_in_value);
    }
    for resource in &mut request.resource_spans {
        resource
            .resource
            .iter_mut()
            .for_each(|resource| replace_in_all(&mut resource.attributes));
        let scopes = resource.scope_spans.iter_mut();
        for span in scopes.flat_map(|scope| &mut scope.spans) {
            replace_in_all(&mut span.attributes);
            span.events
                .iter_mut()
                .for_each(|event| replace_in_all(&mut event.attributes));
            span.links
                .iter_mut()
                .for_each(|link| replace_in_all(&mut link.attributes));
        }
    }
}

proptest! {
    #[test]
    fn every_field_of_a_span_is_written(
        spans in vec(span_data(), 0..6),
        attributes in vec(attribute(), 0..4),
    ) {
        let resource = opentelemetry_sdk::Resource::builder_empty()
            .with_schema_url(attributes, "https://opentelemetry.io/schemas/1.42.0")
            .build();
        let bytes = encode_request(&spans, &resource);
        let mut request = ExportTraceServiceRequest::decode(bytes.as_slice())?;
        replace_non_finite(&mut request);
        round_trip(Signal::Traces, &request)?;
    }

    #[cfg(feature = "replay")]
    #[test]
    fn json_is_read_back_with_all_numbers(spans in vec(span_data(), 1..6)) {
        let resource = opentelemetry_sdk::Resource::builder_empty().build();
        let bytes = encode_request(&spans, &resource);
        let read = from_json(Signal::Traces, &to_json(Signal::Traces, &bytes));
        let [original, read] = [&bytes, &read].map(|bytes| ExportTraceServiceRequest::decode(bytes.as_slice()));
        // Compared as bytes, because NaN is not equal to itself.
        prop_assert_eq!(original?.encode_to_vec(), read?.encode_to_vec());
    }

    #[cfg(feature = "replay")]
    #[test]
    fn reading_never_panics(text in r#"([{}\[\]:,"]|null|1|"(resourceSpans|spans|attributes|traceId|key|value)":){0,40}"#) {
        let _ = super::read(Signal::Traces, text.as_bytes());
    }

    #[test]
    fn writing_arbitrary_bytes_never_panics(bytes in vec(any::<u8>(), 0..200)) {
        for signal in [Signal::Traces, Signal::Metrics, Signal::Logs] {
            let mut out = b"before".to_vec();
            match request(&mut out, signal, &bytes) {
                Ok(()) => drop(serde_json::from_slice::<serde_json::Value>(&out[6..])?),
                Err(_) => prop_assert_eq!(&*out, b"before"),
            }
        }
    }

    #[test]
    fn writing_a_damaged_request_never_panics(
        spans in vec(span_data(), 1..3),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let resource = opentelemetry_sdk::Resource::builder_empty().build();
        let mut bytes = encode_request(&spans, &resource);
        for (at, byte) in damage {
            *at.get_mut(&mut bytes) = byte;
        }
        let mut out = Vec::new();
        if request(&mut out, Signal::Traces, &bytes).is_ok() {
            serde_json::from_slice::<serde_json::Value>(&out)?;
        }
    }
}

fn value_to_json(value: any_value::Value) -> String {
    let value = AnyValue { value: Some(value) };
    let body = KeyValue {
        key: "k".to_owned(),
        value: Some(value),
        ..KeyValue::default()
    };
    let mut out = Vec::new();
    // The attributes of a resource are its only field with values.
    let resource = Resource {
        attributes: vec![body],
        ..Resource::default()
    };
    let mut bytes = vec![10, resource.encoded_len() as u8];
    bytes.extend(resource.encode_to_vec());
    members(&mut out, &RESOURCE_SPANS, &bytes).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn numbers_that_json_cannot_represent_are_strings() {
    for (number, text) in [
        (f64::NAN, r#""NaN""#),
        (f64::INFINITY, r#""Infinity""#),
        (f64::NEG_INFINITY, r#""-Infinity""#),
        (1e300, "1e300"),
        (-0.5, "-0.5"),
    ] {
        let expected = format!(
            r#""resource":{{"attributes":[{{"key":"k","value":{{"doubleValue":{text}}}}}]}}"#
        );
        assert_eq!(
            value_to_json(any_value::Value::DoubleValue(number)),
            expected
        );
    }
}

#[test]
fn characters_that_end_a_line_or_a_string_are_escaped() {
    let text = "\0\u{1f}\u{7f}\"\\\n\r\t\u{8}\u{c}/é\u{2028}😀";
    let mut out = Vec::new();
    string(&mut out, text);
    let json = str::from_utf8(&out).unwrap();
    let expected = r#""\u0000\u001f\"\\\n\r\t\b\f/é😀""#;
    assert_eq!(json.replace(['\u{7f}', '\u{2028}'], ""), expected);
    let length: usize = text.chars().map(escaped_length).sum();
    assert_eq!(length + 2, out.len());
}

#[test]
fn messages_nested_too_deeply_are_an_error() {
    let mut bytes = Vec::new();
    // Nested arrays: each value is in an array, and each array is in a value.
    for _ in 0..MAX_DEPTH {
        for field in [1 << 3 | 2, 5 << 3 | 2] {
            let mut outer = vec![field];
            prost::encoding::encode_varint(bytes.len() as u64, &mut outer);
            outer.append(&mut bytes);
            bytes = outer;
        }
    }
    let mut out = Vec::new();
    let outcome = object(&mut out, &messages::ANY_VALUE, &bytes);
    assert_eq!(outcome, Err(InvalidProtobuf::TooDeep));
    assert!(out.is_empty());
}
