use super::*;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::TraceFlags;
use std::collections::HashMap;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

fn extract(headers: &[(&str, &str)]) -> Context {
    let carrier: HashMap<String, String> = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Propagator::default().extract_with_context(&Context::new(), &carrier)
}

fn inject(context: &Context) -> HashMap<String, String> {
    let mut carrier = HashMap::new();
    Propagator::default().inject_context(context, &mut carrier);
    carrier
}

#[test]
fn a_valid_traceparent_is_continued() {
    let context = extract(&[(TRACEPARENT, &format!("00-{TRACE}-{SPAN}-01"))]);
    let span_context = context.span().span_context().clone();
    assert_eq!(span_context.trace_id().to_string(), TRACE);
    assert_eq!(span_context.span_id().to_string(), SPAN);
    assert!(span_context.is_sampled() && span_context.is_remote());
}

#[test]
fn malformed_traceparents_do_not_count() {
    use InvalidTraceparent as Invalid;
    for (header, reason) in [
        (String::new(), Invalid::Length),
        (format!("00-{TRACE}-{SPAN}"), Invalid::Length),
        (format!("00-{TRACE}-{SPAN}-01-"), Invalid::Length),
        (format!("00-{TRACE}-{SPAN}-01-what"), Invalid::Length),
        (format!(" 00-{TRACE}-{SPAN}-01"), Invalid::Version),
        (format!("ff-{TRACE}-{SPAN}-01"), Invalid::Version),
        (format!("FE-{TRACE}-{SPAN}-01"), Invalid::Version),
        (format!("+0-{TRACE}-{SPAN}-01"), Invalid::Version),
        (
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            Invalid::TraceId,
        ),
        (format!("00-{}-{SPAN}-01", "0".repeat(32)), Invalid::TraceId),
        (format!("00-{}-{SPAN}-011", &TRACE[1..]), Invalid::Separator),
        (
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            Invalid::ParentId,
        ),
        (
            format!("00-{TRACE}-{}-01", "x".repeat(16)),
            Invalid::ParentId,
        ),
        (format!("00-{TRACE}-{SPAN}-0X"), Invalid::Flags),
        (format!("00-{TRACE}-{SPAN}-+1"), Invalid::Flags),
        (format!("00_{TRACE}-{SPAN}-01"), Invalid::Separator),
        (format!("cc-{TRACE}-{SPAN}-01.what"), Invalid::Flags),
    ] {
        assert_eq!(parse_trace_context(&header, None), Err(reason), "{header}");
    }
}

#[test]
fn a_higher_version_is_read_by_its_first_fields_and_written_as_version_00() {
    for header in [
        format!("cc-{TRACE}-{SPAN}-01"),
        format!("cc-{TRACE}-{SPAN}-01-what-the-future-brings"),
    ] {
        let written = inject(&extract(&[(TRACEPARENT, &header)]));
        assert_eq!(written[TRACEPARENT], format!("00-{TRACE}-{SPAN}-01"));
    }
}

#[test]
fn the_random_flag_is_kept_and_unknown_flags_are_cleared() {
    let context = parse_trace_context(&format!("00-{TRACE}-{SPAN}-ff"), None).unwrap();
    assert_eq!(context.trace_flags(), TraceFlags::new(0x03));
    let context = extract(&[(TRACEPARENT, &format!("00-{TRACE}-{SPAN}-02"))]);
    assert_eq!(
        inject(&context)[TRACEPARENT],
        format!("00-{TRACE}-{SPAN}-02")
    );
}

#[test]
fn a_tracestate_travels_in_order_and_a_broken_one_leaves_the_trace_alone() {
    let parent = format!("00-{TRACE}-{SPAN}-01");
    let carried = |state: &str| {
        let written = inject(&extract(&[(TRACEPARENT, &parent), (TRACESTATE, state)]));
        assert_eq!(written[TRACEPARENT], parent);
        written.get(TRACESTATE).cloned()
    };
    assert_eq!(carried("b=2, a=1 ,,c=3\t"), Some("b=2,a=1,c=3".to_owned()));
    assert_eq!(carried("1a-b*c/d@e=x y"), Some("1a-b*c/d@e=x y".to_owned()));
    for broken in ["novalue", "a=b=c", "A=1", "a=", "a=\u{e9}", "a=1,b"] {
        assert_eq!(carried(broken), None, "{broken}");
    }
    let members = |count: usize| {
        let list: Vec<String> = (0..count).map(|n| format!("k{n}=v")).collect();
        list.join(",")
    };
    assert_eq!(carried(&members(32)), Some(members(32)));
    assert_eq!(carried(&members(33)), None);
}

#[test]
fn a_tracestate_without_traceparent_is_discarded() {
    let context = extract(&[(TRACESTATE, "a=1")]);
    assert!(!context.span().span_context().is_valid());
    assert!(inject(&context).is_empty());
}

#[test]
fn baggage_values_keep_their_equals_signs_and_broken_utf8_becomes_the_replacement_character() {
    let context = extract(&[(BAGGAGE, "a=b=c, tenant = blue%20sky;p=1,bad=%ff,=x,nothing")]);
    let value = |key: &str| context.baggage().get(key).map(ToString::to_string);
    assert_eq!(value("a").as_deref(), Some("b=c"));
    assert_eq!(value("tenant").as_deref(), Some("blue sky"));
    assert_eq!(value("bad").as_deref(), Some("\u{fffd}"));
    assert_eq!(context.baggage().len(), 3);
    let again = extract(&[(BAGGAGE, &inject(&context)[BAGGAGE])]);
    assert_eq!(again.baggage().len(), 3);
    assert_eq!(
        again
            .baggage()
            .get("tenant")
            .map(ToString::to_string)
            .as_deref(),
        Some("blue sky")
    );
}

#[test]
fn baggage_over_the_limits_is_dropped_whole() {
    let members: Vec<String> = (0..65).map(|n| format!("k{n}=v")).collect();
    assert!(
        extract(&[(BAGGAGE, &members.join(","))])
            .baggage()
            .is_empty()
    );
    assert_eq!(
        extract(&[(BAGGAGE, &members[..64].join(","))])
            .baggage()
            .len(),
        64
    );
    assert!(
        extract(&[(BAGGAGE, &format!("k={}", "v".repeat(8191)))])
            .baggage()
            .is_empty()
    );
}

#[test]
fn what_is_not_in_the_list_of_propagators_is_neither_read_nor_written() {
    let none = Propagator {
        trace_context: false,
        baggage: false,
    };
    let carrier: HashMap<String, String> = HashMap::from([
        (TRACEPARENT.to_owned(), format!("00-{TRACE}-{SPAN}-01")),
        (BAGGAGE.to_owned(), "a=1".to_owned()),
    ]);
    let context = none.extract_with_context(&Context::new(), &carrier);
    assert!(!context.span().span_context().is_valid() && context.baggage().is_empty());
}
