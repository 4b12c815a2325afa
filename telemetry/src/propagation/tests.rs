use std::collections::HashMap;

use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::TraceFlags;

use super::*;

mod baggage;
// Properties of all contexts and texts, tested with `proptest`.
mod properties;
// The cases of the specification's test suite.
mod w3c;
mod xray;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

/// Received headers, one entry per line. Names are case-insensitive.
struct HeaderLines<'a>(&'a [(&'a str, &'a str)]);

impl Extractor for HeaderLines<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.get_all(key)?.first().copied()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| *name).collect()
    }

    fn get_all(&self, key: &str) -> Option<Vec<&str>> {
        let lines = self.0.iter();
        let values: Vec<&str> = lines
            .filter(|(name, _)| name.eq_ignore_ascii_case(key))
            .map(|(_, value)| *value)
            .collect();
        Some(values).filter(|values| !values.is_empty())
    }
}

fn extract(headers: &[(&str, &str)]) -> Context {
    Propagator::default().extract_with_context(&Context::new(), &HeaderLines(headers))
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
fn malformed_traceparents_are_invalid() {
    use InvalidTraceparent as Invalid;
    for (header, reason) in [
        (String::new(), Invalid::Length),
        (format!("00-{TRACE}-{SPAN}"), Invalid::Length),
        (format!("00-{TRACE}-{SPAN}-01-"), Invalid::Length),
        (format!("00-{TRACE}-{SPAN}-01-what"), Invalid::Length),
        (format!(" 00-{TRACE}-{SPAN}-0"), Invalid::Version),
        (format!(" 00-{TRACE}-{SPAN} "), Invalid::Length),
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
fn the_known_fields_of_a_higher_version_are_read_and_written_as_version_00() {
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
fn disabled_formats_are_neither_read_nor_written() {
    let none = Propagator::NONE;
    let carrier: HashMap<String, String> = HashMap::from([
        (TRACEPARENT.to_owned(), format!("00-{TRACE}-{SPAN}-01")),
        (BAGGAGE.to_owned(), "a=1".to_owned()),
    ]);
    let context = none.extract_with_context(&Context::new(), &carrier);
    assert!(!context.span().span_context().is_valid() && context.baggage().is_empty());
}

#[test]
fn enabled_formats_are_displayed_in_the_order_of_priority() {
    for (trace_context, baggage, xray, shown) in [
        (true, true, true, "tracecontext,baggage,xray"),
        (true, true, false, "tracecontext,baggage"),
        (false, true, true, "baggage,xray"),
        (false, false, true, "xray"),
        (false, false, false, "none"),
    ] {
        let propagator = Propagator {
            trace_context,
            baggage,
            xray,
        };
        assert_eq!(propagator.to_string(), shown);
    }
}
