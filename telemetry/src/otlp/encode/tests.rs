//! The encoded spans are those that `opentelemetry-proto` encodes for the same spans.

use std::time::Duration;

use opentelemetry::trace::{TraceFlags, TraceId};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::trace::{SpanEvents, SpanLinks};
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message as _;

use super::*;

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,200}".prop_map(Value::from),
        vec(any::<bool>(), 0..3).prop_map(|values| Value::Array(values.into())),
        vec(any::<i64>(), 0..3).prop_map(|values| Value::Array(values.into())),
        vec(any::<f64>(), 0..3).prop_map(|values| Value::Array(values.into())),
        vec(".{0,9}", 0..3).prop_map(|values| {
            let values: Vec<opentelemetry::StringValue> =
                values.into_iter().map(Into::into).collect();
            Value::Array(values.into())
        }),
    ]
}

pub(crate) fn attribute() -> impl Strategy<Value = KeyValue> {
    ("[a-z.]{0,20}", value()).prop_map(|(key, value)| KeyValue::new(key, value))
}

pub(super) fn context() -> impl Strategy<Value = SpanContext> {
    let state = vec(("[a-z]{1,5}", "[a-z]{1,9}"), 0..3);
    (
        any::<u128>(),
        any::<u64>(),
        any::<u8>(),
        any::<bool>(),
        state,
    )
        .prop_map(|(trace, span, flags, remote, state)| {
            let state = TraceState::from_key_value(state).unwrap();
            let (trace, span) = (TraceId::from(trace), SpanId::from(span));
            SpanContext::new(trace, span, TraceFlags::new(flags), remote, state)
        })
}

pub(super) fn time() -> impl Strategy<Value = SystemTime> {
    (0..u64::MAX / 2).prop_map(|nanos| UNIX_EPOCH + Duration::from_nanos(nanos))
}

fn event() -> impl Strategy<Value = Event> {
    (".{0,9}", time(), vec(attribute(), 0..3), any::<u32>())
        .prop_map(|(name, time, attributes, dropped)| Event::new(name, time, attributes, dropped))
}

fn link() -> impl Strategy<Value = Link> {
    (context(), vec(attribute(), 0..3), any::<u32>())
        .prop_map(|(context, attributes, dropped)| Link::new(context, attributes, dropped))
}

fn kind() -> impl Strategy<Value = SpanKind> {
    prop_oneof![
        Just(SpanKind::Internal),
        Just(SpanKind::Server),
        Just(SpanKind::Client),
        Just(SpanKind::Producer),
        Just(SpanKind::Consumer),
    ]
}

fn status() -> impl Strategy<Value = Status> {
    prop_oneof![
        Just(Status::Unset),
        Just(Status::Ok),
        ".{0,9}".prop_map(Status::error)
    ]
}

pub(crate) fn test_scope(number: u8, attributes: Vec<KeyValue>) -> InstrumentationScope {
    InstrumentationScope::builder(format!("scope-{number}"))
        .with_version("1.2.3")
        .with_schema_url("https://opentelemetry.io/schemas/1.42.0")
        .with_attributes(attributes)
        .build()
}

prop_compose! {
    pub(crate) fn span_data()(
        span_context in context(),
        parent in any::<u64>(),
        parent_span_is_remote in any::<bool>(),
        span_kind in kind(),
        name in ".{0,30}",
        start_time in time(),
        end_time in time(),
        attributes in vec(attribute(), 0..5),
        dropped in any::<[u32; 3]>(),
        events in vec(event(), 0..3),
        links in vec(link(), 0..3),
        status in status(),
        scope in 0u8..2,
    ) -> SpanData {
        let mut span_events = SpanEvents::default();
        (span_events.events, span_events.dropped_count) = (events, dropped[1]);
        let mut span_links = SpanLinks::default();
        (span_links.links, span_links.dropped_count) = (links, dropped[2]);
        SpanData {
            span_context,
            parent_span_id: SpanId::from(parent),
            parent_span_is_remote,
            span_kind,
            name: name.into(),
            start_time,
            end_time,
            attributes,
            dropped_attributes_count: dropped[0],
            events: span_events,
            links: span_links,
            status,
            instrumentation_scope: test_scope(scope, vec![KeyValue::new("a", i64::from(scope))]),
        }
    }
}

/// Encodes a request with one `ScopeSpans` per scope, in order of first appearance.
pub(crate) fn encode_request(spans: &[SpanData], resource: &Resource) -> Vec<u8> {
    let mut scopes: Vec<(InstrumentationScope, Vec<u8>)> = Vec::new();
    for data in spans {
        let scope = &data.instrumentation_scope;
        let at = scopes
            .iter()
            .position(|(known, _)| known == scope)
            .unwrap_or_else(|| {
                let mut bytes = Vec::new();
                super::scope(&mut bytes, scope);
                scopes.push((scope.clone(), bytes));
                scopes.len() - 1
            });
        span(&mut scopes[at].1, data, LinkState::Include);
    }
    let mut scope_spans = Vec::new();
    for (_, bytes) in &scopes {
        let before = scope_spans.len();
        open_scope_spans(&mut scope_spans, bytes.len());
        scope_spans.extend(bytes);
        let length = scope_spans.len() - before;
        assert_eq!(length, scope_spans_length(bytes.len()));
    }
    let frame = super::resource(resource);
    let mut request = open_request(&frame, scope_spans.len());
    request.extend(scope_spans);
    request.extend(&frame.tail);
    request
}

proptest! {
    #[test]
    fn every_field_is_what_opentelemetry_proto_writes(
        spans in vec(span_data(), 1..6),
        attributes in vec(attribute(), 0..4),
    ) {
        let resource = Resource::builder_empty()
            .with_schema_url(attributes, "https://opentelemetry.io/schemas/1.42.0")
            .build();
        let actual = ExportTraceServiceRequest::decode(encode_request(&spans, &resource).as_slice())?;
        let with_schema = ResourceAttributesWithSchema::from(&resource);
        let expected = ExportTraceServiceRequest {
            resource_spans: group_spans_by_resource_and_scope(spans, &with_schema),
        };
        // Compared as bytes, because NaN is not equal to itself.
        prop_assert_eq!(actual.encode_to_vec(), expected.encode_to_vec());
    }
}

#[test]
fn a_link_without_its_trace_state_keeps_all_other_fields() {
    let state = TraceState::from_key_value([("vendor", "position")]).unwrap();
    let linked = SpanContext::new(7.into(), 8.into(), TraceFlags::SAMPLED, true, state);
    let mut data = proptest::strategy::ValueTree::current(
        &span_data()
            .new_tree(&mut proptest::test_runner::TestRunner::deterministic())
            .unwrap(),
    );
    data.links.links = vec![Link::new(linked, vec![KeyValue::new("k", "v")], 0)];
    let encode = |link_state| {
        let mut out = Vec::new();
        span(&mut out, &data, link_state);
        let scope = opentelemetry_proto::tonic::trace::v1::ScopeSpans::decode(out.as_slice());
        scope.unwrap().spans.remove(0)
    };
    let (complete, mut short) = (encode(LinkState::Include), encode(LinkState::Omit));
    assert_eq!(short.links[0].trace_state, "");
    short.links[0].trace_state = "vendor=position".to_owned();
    assert_eq!(complete, short);
}
