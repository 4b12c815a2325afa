use baton_telemetry::{AdditionalPropagators, BoxedPropagator, parse_trace_context};
use opentelemetry::KeyValue;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{SpanId, TraceContextExt as _, TraceFlags, TraceState};
use serde_json::{Value as Json, json};

use super::*;
use crate::event::SqsBatch;
use crate::exercise::build_propagator;

// Emitted spans, and the context that handlers propagate.
mod emitted;

/// Returns a `traceparent` with this span id.
fn traceparent(span: u8) -> String {
    format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{span:016x}-01")
}

const XRAY: &str = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0";

/// Extracts the context of a record with these message attributes, body, and X-Ray header.
fn extract(
    propagator: Propagator,
    attributes: Json,
    body: &str,
    header: Option<&str>,
) -> ProducerContext {
    let event = json!({"Records": [{
        "eventSource": "aws:sqs",
        "body": body,
        "attributes": {"AWSTraceHeader": header},
        "messageAttributes": attributes,
    }]});
    let batch = SqsBatch::parse(
        serde_json::to_vec(&event).unwrap(),
        std::sync::Arc::default(),
    )
    .unwrap();
    ContextExtractor::new(propagator, |_| true).extract(&batch.record(0))
}

fn extract_default(attributes: Json, body: &str) -> ProducerContext {
    extract(Propagator::default(), attributes, body, None)
}

fn sqs(name: &str, value: &str) -> Json {
    json!({name: {"stringValue": value, "dataType": "String"}})
}

fn sns(attributes: Json, message: &str) -> String {
    let notification =
        json!({"Type": "Notification", "Message": message, "MessageAttributes": attributes});
    // SNS writes several lines.
    format!(
        "\n {}",
        serde_json::to_string_pretty(&notification).unwrap()
    )
}

fn event(fields: Json, detail: Json) -> String {
    let mut event =
        json!({"detail-type": "Onboarded", "source": "com.example.crm", "detail": detail});
    let fields = fields.as_object().unwrap().clone();
    event.as_object_mut().unwrap().extend(fields);
    event.to_string()
}

/// Returns the carrier and the span id of the parent.
fn found(producer: &ProducerContext) -> Option<(CarrierKind, u64)> {
    let parent = producer.parent.as_ref()?;
    let span = u64::from_be_bytes(parent.span_id().to_bytes());
    Some((producer.carrier?, span))
}

fn tenant(producer: &ProducerContext) -> Option<String> {
    let context = producer.parent_context(&Context::new());
    context.baggage().get("tenant").map(ToString::to_string)
}

fn invalid(producer: &ProducerContext) -> String {
    producer
        .invalid
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default()
}

#[test]
fn carriers_are_read_in_order() {
    let in_sns = json!({"traceparent": {"Type": "String", "Value": traceparent(2)}});
    let both = event(
        json!({"traceparent": traceparent(3)}),
        json!({"traceparent": traceparent(4)}),
    );
    let in_detail = event(json!({}), json!({"TraceParent": traceparent(4)}));
    for (attributes, body, expected) in [
        (
            sqs("traceparent", &traceparent(1)),
            sns(in_sns.clone(), &both),
            Some((CarrierKind::MessageAttributes, 1)),
        ),
        (json!({}), sns(in_sns, &both), Some((CarrierKind::Sns, 2))),
        (
            json!(null),
            sns(json!({}), &both),
            Some((CarrierKind::EventBridge, 3)),
        ),
        (json!({}), both, Some((CarrierKind::EventBridge, 3))),
        (
            sqs("tenant", "blue"),
            sns(json!(null), &in_detail),
            Some((CarrierKind::EventBridge, 4)),
        ),
        (json!({}), in_detail, Some((CarrierKind::EventBridge, 4))),
        // Neither a notification nor an event, although the text contains their names.
        (
            json!({}),
            json!({"traceparent": traceparent(9), "detail-type": 7, "Notification": {}})
                .to_string(),
            None,
        ),
        (json!({}), "{\"Notification\" detail-type".to_owned(), None),
    ] {
        let producer = extract_default(attributes, &body);
        assert_eq!(found(&producer), expected, "{body}");
        assert_eq!(producer.invalid, None);
    }
}

#[test]
fn a_malformed_carrier_is_recorded_and_the_next_one_is_read() {
    let body = sns(
        json!({"traceparent": {"Type": "Binary", "Value": 7}}),
        &event(
            json!({"traceparent": "00"}),
            json!({"traceparent": traceparent(4)}),
        ),
    );
    let producer = extract_default(sqs("traceparent", "01-SECRET"), &body);
    assert_eq!(found(&producer), Some((CarrierKind::EventBridge, 4)));
    assert_eq!(
        invalid(&producer),
        "message attributes: traceparent has the wrong length; SNS notification: traceparent is not a string; \
         EventBridge event: traceparent has the wrong length"
    );
    let spellings = json!({"Traceparent": {"stringValue": traceparent(1)}, "TRACEPARENT": {"stringValue": traceparent(2)}});
    let producer = extract_default(spellings, "");
    assert_eq!(found(&producer), None);
    assert_eq!(
        invalid(&producer),
        "message attributes: traceparent appears in several spellings, none of them lowercase"
    );
}

/// Returns message attributes of type `String`.
fn strings(attributes: &[(&str, &str)]) -> Json {
    let value = |(name, text): &(&str, &str)| ((*name).to_owned(), json!({"stringValue": text}));
    Json::Object(attributes.iter().map(value).collect())
}

#[test]
fn prefixed_attributes_are_read_after_plain_ones() {
    let (first, second) = (&*traceparent(1), &*traceparent(2));
    let in_sns = sns(json!({"traceparent": {"Value": traceparent(3)}}), "");
    for (attributes, expected) in [
        (&[("otel.traceparent", first)][..], Some(1)),
        (&[("OTEL.TraceParent", first)], Some(1)),
        (
            &[("otel.traceparent", first), ("traceparent", second)],
            Some(2),
        ),
        (
            &[("otel.traceparent", first), ("Traceparent", second)],
            Some(2),
        ),
        (
            &[("Otel.traceparent", first), ("otel.traceparent", second)],
            Some(2),
        ),
        // Names in several spellings are ignored, and so are names with another prefix.
        (
            &[("Otel.traceparent", first), ("OTEL.traceparent", second)],
            None,
        ),
        (
            &[("otel-traceparent", first), ("x.otel.traceparent", first)],
            None,
        ),
        (&[("otel.", first), ("otél.traceparent", first)], None),
    ] {
        let producer = extract_default(strings(attributes), "");
        let span = found(&producer).map(|(_, span)| span);
        assert_eq!(span, expected, "{attributes:?}");
        // An envelope is read last.
        let producer = extract_default(strings(attributes), &in_sns);
        let span = found(&producer).map(|(_, span)| span);
        assert_eq!(span, expected.or(Some(3)), "{attributes:?}");
    }
}

#[test]
fn tracestate_and_baggage_are_read_with_the_prefix_too() {
    let producer = extract_default(
        strings(&[
            ("otel.traceparent", &traceparent(1)),
            ("otel.tracestate", "vendor=1"),
            ("otel.baggage", "tenant=blue"),
            // A tracestate without its traceparent is ignored.
            ("tracestate", "vendor=2"),
        ]),
        "",
    );
    assert_eq!(found(&producer), Some((CarrierKind::PrefixedAttributes, 1)));
    assert_eq!(tenant(&producer).as_deref(), Some("blue"));
    assert_eq!(
        invalid(&producer),
        "message attributes: tracestate without a traceparent"
    );
    assert_eq!(producer.parent.unwrap().trace_state().header(), "vendor=1");
}

#[test]
fn a_malformed_prefixed_attribute_is_recorded_with_its_prefix() {
    let attributes = strings(&[
        ("traceparent", "01-SECRET"),
        ("otel.traceparent", "00-SECRET"),
        ("otel.baggage", "a SECRET=1"),
    ]);
    let producer = extract_default(attributes, "");
    assert_eq!(found(&producer), None);
    assert_eq!(
        invalid(&producer),
        "message attributes: traceparent has the wrong length; \
         message attributes: otel.traceparent has the wrong length; \
         message attributes: otel.baggage has no valid members"
    );
    let binary = json!({"otel.traceparent": {"binaryValue": "AA=="}});
    assert_eq!(
        invalid(&extract_default(binary, "")),
        "message attributes: otel.traceparent is not a string"
    );
}

#[test]
fn a_binary_attribute_of_sns_is_not_a_string() {
    // The base64 of `tenant=blue` parses as a baggage member: a key and an empty value.
    let baggage = "dGVuYW50PWJsdWU=";
    let (name, value) = (("Type", "Binary"), ("Value", baggage));
    for [first, second] in [[name, value], [value, name]] {
        let attribute = format!(
            r#"{{"{}":"{}","{}":"{}"}}"#,
            first.0, first.1, second.0, second.1
        );
        let attribute: Json = serde_json::from_str(&attribute).unwrap();
        let attributes =
            json!({"traceparent": attribute, "tracestate": attribute, "baggage": attribute});
        let producer = extract_default(json!({}), &sns(attributes, ""));
        assert_eq!(found(&producer), None);
        assert_eq!(producer.parent_context(&Context::new()).baggage().len(), 0);
        assert_eq!(
            invalid(&producer),
            "SNS notification: traceparent is not a string; SNS notification: tracestate is not a string; \
             SNS notification: baggage is not a string"
        );
    }
}

#[test]
fn an_event_with_a_binary_traceparent_from_sns_starts_a_trace() {
    let event = include_bytes!("tests/sns-binary-traceparent.json");
    let batch = SqsBatch::parse(event.to_vec(), std::sync::Arc::default()).unwrap();
    let extractor = ContextExtractor::new(Propagator::default(), |_| true);
    let producer = extractor.extract(&batch.record(0));
    assert_eq!(found(&producer), None);
    assert_eq!(
        invalid(&producer),
        "SNS notification: traceparent is not a string"
    );
}

#[test]
fn a_tracestate_is_kept_or_recorded_as_invalid() {
    let with_state = |state: Json| {
        let attributes = json!({"traceparent": {"stringValue": traceparent(1)}, "tracestate": {"stringValue": state}});
        let producer = extract_default(attributes, "");
        assert_eq!(found(&producer), Some((CarrierKind::MessageAttributes, 1)));
        let state = producer.parent.as_ref().unwrap().trace_state().header();
        (state, invalid(&producer))
    };
    assert_eq!(
        with_state(json!("a=1,b=2")),
        ("a=1,b=2".into(), String::new())
    );
    assert_eq!(with_state(json!(" , ")), (String::new(), String::new()));
    let note = "message attributes: tracestate has a member that is not allowed";
    assert_eq!(with_state(json!("A=1")), (String::new(), note.into()));
    let note =
        "message attributes: tracestate has a key that the OpenTelemetry SDK does not support";
    assert_eq!(
        with_state(json!("foo@@bar=1,x=2")),
        ("x=2".into(), note.into())
    );
    let note = "message attributes: tracestate is not a string";
    assert_eq!(with_state(json!(7)), (String::new(), note.into()));
}

#[test]
fn baggage_comes_from_the_first_carrier_that_has_it() {
    let in_sns = json!({
        "traceparent": {"Type": "String", "Value": traceparent(2)},
        "baggage": {"Type": "String", "Value": "tenant=green"},
    });
    let producer = extract_default(sqs("baggage", "tenant=blue"), &sns(in_sns.clone(), ""));
    assert_eq!(
        (found(&producer), tenant(&producer)),
        (Some((CarrierKind::Sns, 2)), Some("blue".into()))
    );
    let producer = extract_default(sqs("baggage", "tenant"), &sns(in_sns.clone(), ""));
    assert_eq!(tenant(&producer).as_deref(), Some("green"));
    assert_eq!(
        invalid(&producer),
        "message attributes: baggage has no valid members"
    );
    // If the parent is known, the body is not read for baggage alone.
    let producer = extract_default(sqs("traceparent", &traceparent(1)), &sns(in_sns, ""));
    assert_eq!(
        (found(&producer), tenant(&producer)),
        (Some((CarrierKind::MessageAttributes, 1)), None)
    );
}

#[test]
fn invalid_baggage_members_are_recorded() {
    let many: Vec<String> = (0..70).map(|number| format!("k{number}=v")).collect();
    let long = "v".repeat(9000);
    for (header, found, notes) in [
        ("tenant=blue", Some("blue"), &[][..]),
        (" , ", None, &[]),
        ("a b=1", None, &["baggage has no valid members"]),
        (
            "tenant=blue,b SECRET=2",
            Some("blue"),
            &["baggage has a member that is not allowed"],
        ),
        (
            &format!("tenant={long}"),
            None,
            &[
                "baggage is longer than 8192 bytes",
                "baggage has no valid members",
            ],
        ),
        (
            &format!("tenant=blue,{}", many.join(",")),
            Some("blue"),
            &["baggage has more than 64 members"],
        ),
    ] {
        let producer = extract_default(sqs("baggage", header), "");
        let notes: Vec<String> = notes
            .iter()
            .map(|note| format!("message attributes: {note}"))
            .collect();
        assert_eq!(tenant(&producer).as_deref(), found, "{header}");
        assert_eq!(invalid(&producer), notes.join("; "), "{header}");
    }
}

#[test]
fn baggage_without_valid_members_does_not_hide_other_baggage() {
    let in_sns = json!({"baggage": {"Type": "String", "Value": "tenant=green"}});
    for listed in [
        build_propagator(true, true, false),
        build_propagator(false, true, false),
    ] {
        let body = sns(in_sns.clone(), "");
        let producer = extract(listed, sqs("baggage", "a b=1"), &body, None);
        assert_eq!(tenant(&producer).as_deref(), Some("green"));
        assert_eq!(
            invalid(&producer),
            "message attributes: baggage has no valid members"
        );
    }
}

#[test]
fn a_tracestate_without_a_traceparent_is_recorded() {
    let alone = "message attributes: tracestate without a traceparent";
    for (state, note) in [("vendor=SECRET", alone), ("SECRET", alone), (" , ", "")] {
        let body = sns(json!({"traceparent": {"Value": traceparent(2)}}), "");
        let producer = extract_default(sqs("tracestate", state), &body);
        let found_there = (found(&producer), invalid(&producer));
        assert_eq!(found_there, (Some((CarrierKind::Sns, 2)), note.to_owned()));
        let state = producer.parent.unwrap().trace_state().header();
        assert!(state.is_empty(), "of another carrier: {state}");
    }
    // A tracestate with an invalid traceparent is ignored.
    let attributes =
        json!({"traceparent": {"stringValue": "00"}, "tracestate": {"stringValue": "a=1"}});
    assert_eq!(
        invalid(&extract_default(attributes, "")),
        "message attributes: traceparent has the wrong length"
    );
}

#[test]
fn invalid_fields_are_limited_and_contain_no_values() {
    let long = format!("SECRET SECRET=1,b={}", "SECRET".repeat(2000));
    let fields = json!({"traceparent": "SECRET", "tracestate": 7, "baggage": long});
    let values = |value: &str| {
        let entry = |(name, text): (&String, &Json)| (name.clone(), json!({value: text}));
        Json::Object(fields.as_object().unwrap().iter().map(entry).collect())
    };
    let body = sns(values("Value"), &event(fields.clone(), fields.clone()));
    let producer = extract(
        Propagator::default(),
        values("stringValue"),
        &body,
        Some("SECRET"),
    );
    let invalid = invalid(&producer);
    assert!(
        invalid.ends_with("; and 9 more") && invalid.len() < 700 && !invalid.contains("SECRET"),
        "{invalid}"
    );
}

#[test]
fn only_listed_propagators_are_used() {
    let in_sns = json!({
        "traceparent": {"Type": "String", "Value": traceparent(2)},
        "baggage": {"Type": "String", "Value": "tenant=green"},
    });
    let body = sns(in_sns, "");
    let extract_with = |propagator| extract(propagator, sqs("traceparent", "broken"), &body, None);
    let none = extract_with(build_propagator(false, false, false));
    assert_eq!(
        (found(&none), tenant(&none), none.invalid),
        (None, None, None)
    );
    let baggage = extract_with(build_propagator(false, true, false));
    assert_eq!(
        (found(&baggage), tenant(&baggage).as_deref()),
        (None, Some("green"))
    );
    let trace = extract_with(build_propagator(true, false, false));
    assert_eq!(
        (found(&trace), tenant(&trace)),
        (Some((CarrierKind::Sns, 2)), None)
    );
}

#[test]
fn an_x_ray_header_is_the_parent_only_if_listed_and_without_another_context() {
    let parent = 0x5399_5c3f_42cd_8ad8;
    let extract_xray = |xray, attributes| {
        extract(
            build_propagator(true, true, xray),
            attributes,
            "{}",
            Some(XRAY),
        )
    };
    let link = extract_xray(false, json!({}));
    assert_eq!(found(&link), None);
    let span = link.xray.unwrap();
    assert_eq!(u64::from_be_bytes(span.span_id().to_bytes()), parent);
    let beside = extract_xray(true, sqs("traceparent", &traceparent(1)));
    assert_eq!(found(&beside), Some((CarrierKind::MessageAttributes, 1)));
    assert!(beside.xray.is_some() && beside.parent.unwrap().is_sampled());
    let last = extract_xray(true, sqs("traceparent", "broken"));
    assert_eq!(found(&last), Some((CarrierKind::AwsTraceHeader, parent)));
    assert_eq!(
        (last.xray.as_ref(), invalid(&last).is_empty()),
        (None, false)
    );
    // `Sampled=0` is X-Ray's decision, so the sampler decides.
    assert_eq!(last.parent.unwrap().trace_flags(), TraceFlags::SAMPLED);
}

#[test]
fn only_a_sampled_header_without_another_context_is_link_only() {
    let header = |rest| format!("Root=1-5759e988-bd862e3fe1be46a994272793{rest}");
    let sampled = &*header(";Parent=53995c3f42cd8ad8;Sampled=1");
    for (attributes, header, expected) in [
        (json!({}), sampled, true),
        (sqs("tenant", "blue"), sampled, true),
        (sqs("traceparent", &traceparent(1)), sampled, false),
        (sqs("otel.traceparent", &traceparent(1)), sampled, false),
        // The record has another context, which `baton.context.invalid` reports.
        (sqs("traceparent", "broken"), sampled, false),
        (
            json!({}),
            &header(";Parent=53995c3f42cd8ad8;Sampled=0"),
            false,
        ),
        (json!({}), &header(";Parent=53995c3f42cd8ad8"), false),
        (json!({}), &header(";Sampled=1"), false),
    ] {
        let producer = extract(Propagator::default(), attributes, "{}", Some(header));
        assert_eq!(producer.is_link_only(), expected, "{header}");
    }
    let listed = extract(
        build_propagator(true, true, true),
        json!({}),
        "{}",
        Some(sampled),
    );
    assert!(!listed.is_link_only());
}

#[test]
fn an_invalid_x_ray_header_is_recorded_unless_it_names_no_span() {
    for (header, note) in [
        (
            "Root=1-5759e988-bd862e3fe1be46a994272793;Lineage=1:890bcd31:0",
            "",
        ),
        (
            "Root=SECRET",
            "AWSTraceHeader: the X-Ray header has an invalid Root",
        ),
        ("", "AWSTraceHeader: the X-Ray header has no Root"),
    ] {
        let producer = extract(
            build_propagator(true, true, true),
            json!({}),
            "{}",
            Some(header),
        );
        assert_eq!(
            (producer.parent.as_ref(), producer.xray.as_ref()),
            (None, None)
        );
        assert_eq!(invalid(&producer), note);
    }
}

#[test]
fn a_record_without_context_starts_in_an_empty_one() {
    let outer = Context::new()
        .with_remote_span_context(parse_trace_context(&traceparent(7), None).unwrap());
    let _active = outer.attach();
    let context = extract_default(json!({}), "{}").parent_context(&Context::new());
    assert!(!context.span().span_context().is_valid());
    assert!(context.baggage().is_empty());
}

/// A format that is one field with a trace id, and sets baggage.
#[derive(Debug)]
struct TraceIdField;

impl TextMapPropagator for TraceIdField {
    fn inject_context(&self, _: &Context, _: &mut dyn Injector) {}

    fn extract_with_context(&self, context: &Context, extractor: &dyn Extractor) -> Context {
        let Some(Ok(trace_id)) = extractor.get("trace").map(TraceId::from_hex) else {
            return context.clone();
        };
        let (span_id, flags) = (SpanId::from(1), TraceFlags::SAMPLED);
        let span = SpanContext::new(trace_id, span_id, flags, true, TraceState::NONE);
        let context = context.with_remote_span_context(span);
        context.with_baggage([KeyValue::new("tenant", "a")])
    }

    fn fields(&self) -> FieldIter<'_> {
        FieldIter::new(&[])
    }
}

/// A propagator that always panics, which must not fail the batch.
#[derive(Debug)]
struct Panics;

impl TextMapPropagator for Panics {
    fn inject_context(&self, _: &Context, _: &mut dyn Injector) {}

    fn extract_with_context(&self, _: &Context, _: &dyn Extractor) -> Context {
        panic!("extract")
    }

    fn fields(&self) -> FieldIter<'_> {
        FieldIter::new(&[])
    }
}

#[test]
fn a_provided_propagator_is_used_where_the_others_find_nothing() {
    let propagators = AdditionalPropagators::new(vec![
        BoxedPropagator::new(Panics),
        BoxedPropagator::new(TraceIdField),
    ]);
    let additional = AdditionalExtractor::new(propagators);
    let extract = |attributes: Json| {
        let event = json!({"Records": [{
            "eventSource": "aws:sqs", "body": "", "messageAttributes": attributes,
        }]});
        let batch = SqsBatch::parse(
            serde_json::to_vec(&event).unwrap(),
            std::sync::Arc::default(),
        )
        .unwrap();
        let mut extractor = ContextExtractor::new(Propagator::default(), |_| true);
        extractor.additional = Some(additional.clone());
        extractor.extract(&batch.record(0))
    };
    let own = "00000000000000000000000000000003";
    let found = extract(sqs("Trace", own));
    assert_eq!(found.carrier, Some(CarrierKind::MessageAttributes));
    let context = found.parent_context(&Context::new());
    assert_eq!(context.span().span_context().trace_id(), TraceId::from(3));
    assert_eq!(context.baggage().get("tenant").unwrap().as_str(), "a");

    let mut both = sqs("trace", own);
    let w3c = sqs(
        TRACEPARENT,
        "00-00000000000000000000000000000001-0000000000000002-01",
    );
    both.as_object_mut()
        .unwrap()
        .extend(w3c.as_object().unwrap().clone());
    assert_eq!(extract(both).parent.unwrap().trace_id(), TraceId::from(1));
    assert!(extract(sqs("trace", "x")).parent.is_none());
}
