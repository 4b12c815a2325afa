use super::*;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const XRAY: &str = "Root=1-0af76519-16cd43dd8448eb211c80319c;Parent=b7ad6b7169203331;Sampled=1";

fn carrier(fields: &[(&str, &str)]) -> Carrier {
    let mut carrier = Carrier::default();
    for (name, value) in fields {
        carrier.set(name, (*value).to_owned());
    }
    carrier
}

fn all_three() -> Carrier {
    carrier(&[(BAGGAGE, "k=v"), (TRACESTATE, "a=b"), (TRACEPARENT, PARENT)])
}

fn message_with(attributes: usize) -> Message {
    (0..attributes).fold(Message::new("x"), |message, index| {
        message.with_attribute(format!("a{index}"), AttributeValue::String("v".to_owned()))
    })
}

fn names(attributes: &[TextAttribute]) -> Vec<&str> {
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
    for (attributes, added, dropped) in table {
        let placement = place(&message_with(attributes), false, all_three());
        assert_eq!(
            names(&placement.context),
            added,
            "{attributes} attributes of the caller"
        );
        assert_eq!(
            placement.left_out, dropped,
            "{attributes} attributes of the caller"
        );
    }
}

#[test]
fn an_empty_tracestate_is_neither_sent_nor_counted_as_dropped() {
    let placement = place(
        &message_with(8),
        false,
        carrier(&[(TRACEPARENT, PARENT), (TRACESTATE, ""), (BAGGAGE, "k=v")]),
    );
    assert_eq!(names(&placement.context), [TRACEPARENT, BAGGAGE]);
    assert_eq!(placement.left_out, [""; 0]);
}

#[test]
fn a_context_of_the_caller_is_kept_and_ours_stays_out() {
    let message =
        Message::new("x").with_attribute("TraceParent", AttributeValue::String(PARENT.to_owned()));
    let fields = [TRACEPARENT, TRACESTATE, BAGGAGE].map(str::to_owned);
    assert!(has_trace_context(&message, &fields));

    let placement = place(&message, true, all_three());
    assert_eq!(names(&placement.context), [BAGGAGE]);
    assert_eq!(placement.left_out, [""; 0]);
}

#[test]
fn baggage_or_tracestate_alone_is_no_trace_context_but_is_not_overwritten() {
    let message = Message::new("x")
        .with_attribute(BAGGAGE, AttributeValue::String("mine=1".to_owned()))
        .with_attribute(TRACESTATE, AttributeValue::String("mine=1".to_owned()));
    let fields = [TRACEPARENT, TRACESTATE, BAGGAGE].map(str::to_owned);
    assert!(!has_trace_context(&message, &fields));
    assert_eq!(
        names(&place(&message, false, all_three()).context),
        [TRACEPARENT]
    );
}

#[test]
fn fields_that_would_pass_the_size_limit_are_dropped() {
    // `traceparent` + `String` + 55 are 72 bytes; one byte more is free.
    let message = Message::new("x".repeat(MAX_MESSAGE_BYTES - 73));
    let placement = place(&message, false, all_three());
    assert_eq!(names(&placement.context), [TRACEPARENT]);
    assert_eq!(placement.left_out, [TRACESTATE, BAGGAGE]);
}

#[test]
fn a_tracestate_goes_nowhere_without_its_traceparent() {
    // Sixty bytes take `tracestate` (19) and `baggage` (16), and not `traceparent` (72).
    let message = Message::new("x".repeat(MAX_MESSAGE_BYTES - 60));
    let placement = place(&message, false, all_three());
    assert_eq!(names(&placement.context), [BAGGAGE]);
    assert_eq!(placement.left_out, [TRACEPARENT, TRACESTATE]);
}

#[test]
fn fields_that_sqs_would_refuse_are_dropped() {
    let placement = place(
        &message_with(0),
        false,
        carrier(&[
            (TRACEPARENT, PARENT),
            ("x custom", "v"),
            ("x-trace", "a\u{1}"),
        ]),
    );
    assert_eq!(names(&placement.context), [TRACEPARENT]);
    assert_eq!(placement.left_out, ["x custom", "x-trace"]);
}

#[test]
fn xrays_header_takes_no_slot_whatever_case_its_name_has() {
    for name in [XRAY_TRACE_ID_HEADER, "x-amzn-trace-id"] {
        let placement = place(&message_with(10), false, carrier(&[(name, XRAY)]));
        assert_eq!(placement.trace_header.as_deref(), Some(XRAY));
        assert!(placement.context.is_empty() && placement.left_out.is_empty());
    }
    assert_eq!(
        place(&message_with(0), false, all_three()).trace_header,
        None
    );
}

#[test]
fn xrays_header_stays_out_beside_a_context_of_the_caller() {
    let message =
        Message::new("x").with_attribute(TRACEPARENT, AttributeValue::String(PARENT.to_owned()));
    let placement = place(&message, true, carrier(&[(XRAY_TRACE_ID_HEADER, XRAY)]));
    assert_eq!(placement, AddedAttributes::default());
}

#[test]
fn an_attribute_with_the_name_of_xrays_header_is_no_trace_context() {
    let message = Message::new("x").with_attribute(
        XRAY_TRACE_ID_HEADER,
        AttributeValue::String(XRAY.to_owned()),
    );
    let fields = [TRACEPARENT, TRACESTATE, BAGGAGE, XRAY_TRACE_ID_HEADER].map(str::to_owned);
    assert!(!has_trace_context(&message, &fields));
    // Nor does it keep ours from where X-Ray's header belongs.
    let placement = place(&message, false, carrier(&[(XRAY_TRACE_ID_HEADER, XRAY)]));
    assert_eq!(placement.trace_header.as_deref(), Some(XRAY));
}

#[test]
fn the_exact_name_wins_over_one_in_another_case() {
    let attributes = [("TRACEPARENT", "loud"), (TRACEPARENT, "exact")];
    let attributes = attributes.map(|(name, value)| Attribute {
        name: name.to_owned(),
        value: AttributeValue::String(value.to_owned()),
    });
    assert_eq!(CallerContext(&attributes).get(TRACEPARENT), Some("exact"));
    assert_eq!(
        CallerContext(&attributes[..1]).get(TRACEPARENT),
        Some("loud")
    );
    assert_eq!(
        CallerContext(&attributes).keys(),
        ["TRACEPARENT", TRACEPARENT]
    );
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
