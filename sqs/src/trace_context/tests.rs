use baton_telemetry::Propagator;
use opentelemetry::propagation::text_map_propagator::FieldIter;

use crate::limits::MAX_MESSAGE_BYTES;

use super::*;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const XRAY: &str = "Root=1-0af76519-16cd43dd8448eb211c80319c;Parent=b7ad6b7169203331;Sampled=1";
/// Optional attributes, the most important first.
const OPTIONAL: [&str; 4] = ["error.type", "error.message", "source.queue", "source.id"];

fn context_fields(fields: &[(&str, &str)]) -> ContextFields {
    let mut written = ContextFields::default();
    for (name, value) in fields {
        written.set(name, (*value).to_owned());
    }
    written
}

fn all_three() -> ContextFields {
    context_fields(&[(BAGGAGE, "k=v"), (TRACESTATE, "a=b"), (TRACEPARENT, PARENT)])
}

/// Writes [`all_three`], and X-Ray's header if it is listed, and ignores the context.
#[derive(Debug)]
struct FixedPropagator {
    reader: Propagator,
}

impl FixedPropagator {
    fn new(xray: bool) -> Self {
        let mut reader = Propagator::default();
        reader.xray = xray;
        Self { reader }
    }
}

impl TextMapPropagator for FixedPropagator {
    fn inject_context(&self, _: &Context, injector: &mut dyn Injector) {
        for (name, value) in [(TRACEPARENT, PARENT), (TRACESTATE, "a=b"), (BAGGAGE, "k=v")] {
            injector.set(name, value.to_owned());
        }
        if self.reader.xray {
            injector.set(XRAY_TRACE_ID_HEADER, XRAY.to_owned());
        }
    }

    fn extract_with_context(&self, context: &Context, extractor: &dyn Extractor) -> Context {
        self.reader.extract_with_context(context, extractor)
    }

    fn fields(&self) -> FieldIter<'_> {
        self.reader.fields()
    }
}

/// The source of the message's context, and what is added to the message.
fn detect_and_select(message: &OutgoingMessage, xray: bool) -> (ContextSource, AddedAttributes) {
    let propagator = FixedPropagator::new(xray);
    let source = ContextSource::detect(message, &propagator);
    let added = source.select_attributes(message, &propagator, &Context::new());
    (source, added)
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::String(value.to_owned())
}

fn message_with(attributes: usize) -> OutgoingMessage {
    (0..attributes).fold(OutgoingMessage::new("x"), |message, index| {
        message.with_attribute(format!("a{index}"), text("v"))
    })
}

fn with_optional(message: OutgoingMessage) -> OutgoingMessage {
    OPTIONAL.iter().fold(message, |message, name| {
        message.with_optional_attribute(*name, "v")
    })
}

fn names(attributes: &[Attribute]) -> Vec<&str> {
    attributes
        .iter()
        .map(|attribute| attribute.name.as_str())
        .collect()
}

#[test]
fn fields_take_the_free_slots_in_their_order() {
    let table: [(usize, &[&str], &[&str]); 5] = [
        (0, &[TRACEPARENT, TRACESTATE, BAGGAGE], &[]),
        (7, &[TRACEPARENT, TRACESTATE, BAGGAGE], &[]),
        (8, &[TRACEPARENT, TRACESTATE], &[BAGGAGE]),
        (9, &[TRACEPARENT], &[TRACESTATE, BAGGAGE]),
        (10, &[], &[TRACEPARENT, TRACESTATE, BAGGAGE]),
    ];
    for (attributes, sent, dropped) in table {
        let added = fill_free_space(&message_with(attributes), all_three());
        assert_eq!(
            names(&added.context),
            sent,
            "{attributes} attributes of the caller"
        );
        assert_eq!(
            added.dropped_context, dropped,
            "{attributes} attributes of the caller"
        );
    }
}

#[test]
fn an_empty_tracestate_is_neither_sent_nor_recorded_as_dropped() {
    let fields = [(TRACEPARENT, PARENT), (TRACESTATE, ""), (BAGGAGE, "k=v")];
    let added = fill_free_space(&message_with(8), context_fields(&fields));
    assert_eq!(names(&added.context), [TRACEPARENT, BAGGAGE]);
    assert_eq!(added.dropped_context, [""; 0]);
}

#[test]
fn a_context_of_the_caller_is_kept_and_only_baggage_is_added() {
    let message = OutgoingMessage::new("x").with_attribute("TraceParent", text(PARENT));
    let (source, added) = detect_and_select(&message, true);
    assert!(matches!(source, ContextSource::Message(Some(_))));
    assert_eq!(names(&added.context), [BAGGAGE]);
    assert_eq!(added.dropped_context, [""; 0]);
    assert_eq!(added.trace_header, None);
}

#[test]
fn nothing_is_added_to_a_received_message_that_carries_a_context() {
    for name in ["TraceParent", "otel.traceparent"] {
        let message = OutgoingMessage::from_received("x").with_attribute(name, text(PARENT));
        let (source, added) = detect_and_select(&message, true);
        assert!(matches!(source, ContextSource::Message(Some(_))), "{name}");
        assert_eq!(added, AddedAttributes::default(), "{name}");
    }
}

#[test]
fn a_prefixed_context_counts_in_received_messages_only() {
    let message = OutgoingMessage::new("x").with_attribute("otel.traceparent", text(PARENT));
    assert_eq!(detect_and_select(&message, false).0, ContextSource::Send);
}

#[test]
fn baggage_or_tracestate_alone_is_not_a_trace_context_and_is_not_overwritten() {
    let message = OutgoingMessage::new("x")
        .with_attribute(BAGGAGE, text("mine=1"))
        .with_attribute(TRACESTATE, text("mine=1"));
    let (source, added) = detect_and_select(&message, false);
    assert_eq!(source, ContextSource::Send);
    assert_eq!(names(&added.context), [TRACEPARENT]);
}

#[test]
fn fields_that_would_exceed_the_size_limit_are_dropped() {
    // `traceparent` + `String` + 55 are 72 bytes; one byte more is free.
    let message = OutgoingMessage::new("x".repeat(MAX_MESSAGE_BYTES - 73));
    let added = fill_free_space(&message, all_three());
    assert_eq!(names(&added.context), [TRACEPARENT]);
    assert_eq!(added.dropped_context, [TRACESTATE, BAGGAGE]);
}

#[test]
fn a_tracestate_is_not_sent_without_its_traceparent() {
    // Sixty bytes are enough for `tracestate` (19) and `baggage` (16), and not for `traceparent`
    // (72).
    let message = OutgoingMessage::new("x".repeat(MAX_MESSAGE_BYTES - 60));
    let added = fill_free_space(&message, all_three());
    assert_eq!(names(&added.context), [BAGGAGE]);
    assert_eq!(added.dropped_context, [TRACEPARENT, TRACESTATE]);
}

#[test]
fn a_message_without_room_for_a_traceparent_has_no_context() {
    let full = message_with(10);
    let large = OutgoingMessage::new("x".repeat(MAX_MESSAGE_BYTES - TRACEPARENT_BYTES + 1));
    for message in [full, large] {
        assert_eq!(detect_and_select(&message, false).0, ContextSource::Missing);
        // X-Ray's header takes no slot.
        assert_eq!(detect_and_select(&message, true).0, ContextSource::Send);
    }
}

#[test]
fn fields_that_sqs_would_reject_are_dropped() {
    let fields = [
        (TRACEPARENT, PARENT),
        ("x custom", "v"),
        ("x-trace", "a\u{1}"),
    ];
    let added = fill_free_space(&message_with(0), context_fields(&fields));
    assert_eq!(names(&added.context), [TRACEPARENT]);
    assert_eq!(added.dropped_context, ["x custom", "x-trace"]);
}

#[test]
fn xrays_header_takes_no_slot_in_any_case_of_its_name() {
    for name in [XRAY_TRACE_ID_HEADER, "x-amzn-trace-id"] {
        let added = fill_free_space(&message_with(10), context_fields(&[(name, XRAY)]));
        assert_eq!(added.trace_header.as_deref(), Some(XRAY));
        assert!(added.context.is_empty() && added.dropped_context.is_empty());
    }
    assert_eq!(
        fill_free_space(&message_with(0), all_three()).trace_header,
        None
    );
}

#[test]
fn an_attribute_with_the_name_of_xrays_header_is_not_a_trace_context() {
    let message = OutgoingMessage::new("x").with_attribute(XRAY_TRACE_ID_HEADER, text(XRAY));
    let (source, added) = detect_and_select(&message, true);
    assert_eq!(source, ContextSource::Send);
    // The system attribute is set all the same.
    assert_eq!(added.trace_header.as_deref(), Some(XRAY));
}

#[test]
fn with_free_slots_all_attributes_are_added_except_empty_ones() {
    let message = with_optional(message_with(3)).with_optional_attribute("empty", "");
    let added = fill_free_space(&message, all_three());
    assert_eq!(names(&added.context), [TRACEPARENT, TRACESTATE, BAGGAGE]);
    assert_eq!(names(&added.optional), OPTIONAL);
    assert!(added.dropped_context.is_empty() && added.dropped_optional.is_empty());
}

#[test]
fn optional_attributes_get_only_the_slots_that_the_context_leaves() {
    let fields = || context_fields(&[(TRACEPARENT, PARENT), (TRACESTATE, "a=b")]);
    let context = [TRACEPARENT, TRACESTATE];
    for slots in 0..=6 {
        let added = fill_free_space(&with_optional(message_with(10 - slots)), fields());
        let in_context = slots.min(context.len());
        let optional = slots - in_context;
        assert_eq!(names(&added.context), context[..in_context]);
        assert_eq!(added.dropped_context, context[in_context..]);
        assert_eq!(names(&added.optional), OPTIONAL[..optional]);
        assert_eq!(added.dropped_optional, OPTIONAL[optional..]);
    }
}

#[test]
fn a_small_optional_attribute_is_sent_where_the_context_has_no_room() {
    // Room for one optional attribute, and not for the traceparent before it.
    let room = OPTIONAL[0].len() + "Stringv".len();
    let message = OutgoingMessage::new("x".repeat(MAX_MESSAGE_BYTES - room));
    let fields = context_fields(&[(TRACEPARENT, PARENT), (TRACESTATE, "k=v")]);
    let added = fill_free_space(&with_optional(message), fields);
    assert_eq!(names(&added.optional), [OPTIONAL[0]]);
    assert_eq!(added.dropped_context, [TRACEPARENT, TRACESTATE]);
    assert_eq!(added.dropped_optional, OPTIONAL[1..]);
}

#[test]
fn nothing_is_added_to_a_full_message() {
    let full = with_optional(OutgoingMessage::new("x".repeat(MAX_MESSAGE_BYTES)));
    let added = fill_free_space(&full, all_three());
    assert!(added.context.is_empty() && added.optional.is_empty());
}

#[test]
fn omitted_attributes_are_recorded_before_dropped_ones() {
    let message = with_optional(message_with(10)).with_omitted_attributes(["list".to_owned()]);
    let added = fill_free_space(&message, ContextFields::default());
    assert_eq!(added.dropped_optional[..2], ["list", OPTIONAL[0]]);
}

#[test]
fn the_exact_name_has_precedence_over_one_in_another_case() {
    let message = |names: &[(&str, &str)]| {
        names
            .iter()
            .fold(OutgoingMessage::new("x"), |message, (name, value)| {
                message.with_attribute(*name, text(value))
            })
    };
    let both = message(&[("TRACEPARENT", "loud"), (TRACEPARENT, "exact")]);
    let carrier = AttributeCarrier::new(&both, "");
    assert_eq!(carrier.get(TRACEPARENT), Some("exact"));
    assert_eq!(carrier.keys(), ["TRACEPARENT", TRACEPARENT]);
    let loud = message(&[("TRACEPARENT", "loud")]);
    let carrier = AttributeCarrier::new(&loud, "");
    assert_eq!(carrier.get(TRACEPARENT), Some("loud"));
}

#[test]
fn the_names_of_the_fields_are_those_of_the_propagator() {
    assert_eq!(
        PRECEDENCE,
        [
            baton_telemetry::TRACEPARENT,
            baton_telemetry::TRACESTATE,
            baton_telemetry::BAGGAGE
        ]
    );
    assert_eq!(XRAY_TRACE_ID_HEADER, baton_telemetry::XRAY_TRACE_ID_HEADER);
}
