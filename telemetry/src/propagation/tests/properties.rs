//! Properties of all contexts and texts.

use opentelemetry::baggage::KeyValueMetadata;
use opentelemetry::trace::{SpanId, TraceFlags, TraceId};
use proptest::prelude::*;

use super::*;

const HEADERS: [&str; 5] = [
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "cc-00000000000000000000000000000000-0000000000000000-03-x",
    "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1",
    "Root=1-00000000-000000000000000000000000;Parent=0000000000000000;Sampled=?",
    "foo=1,bar@baz=2 ,\t,c=%ff;p=1",
];
const FRAGMENTS: [&str; 15] = [
    "00",
    "cc",
    "-",
    ";",
    ",",
    "=",
    " ",
    "\t",
    "%",
    "Root=1",
    "Parent=",
    "Sampled=1",
    "0000000000000000",
    "ffffffff",
    "\u{20ac}",
];

/// Any context that headers can represent completely.
fn any_context() -> impl Strategy<Value = SpanContext> {
    let member = ("[a-z0-9][a-z0-9_*/-]{0,20}", " {0,2}[!-+\\--<>-~]{1,30}");
    let members = prop::collection::hash_map(member.0, member.1, 0..=32);
    (1u128.., 1u64.., 0..4u8, members).prop_map(|(trace_id, span_id, flags, members)| {
        SpanContext::new(
            TraceId::from_bytes(trace_id.to_be_bytes()),
            SpanId::from_bytes(span_id.to_be_bytes()),
            TraceFlags::new(flags),
            true,
            TraceState::from_key_value(members).unwrap(),
        )
    })
}

/// Text similar to a header: any text, a header with one changed character, or fragments of headers
/// in any order.
fn any_header() -> impl Strategy<Value = String> {
    let changed = (
        prop::sample::select(&HEADERS[..]),
        any::<prop::sample::Index>(),
        any::<char>(),
    )
        .prop_map(|(header, index, replacement)| {
            let mut characters: Vec<char> = header.chars().collect();
            let index = index.index(characters.len());
            characters[index] = replacement;
            characters.into_iter().collect()
        });
    let shuffled = prop::collection::vec(prop::sample::select(&FRAGMENTS[..]), 0..30)
        .prop_map(|fragments| fragments.concat());
    prop_oneof![any::<String>(), changed, shuffled]
}

fn transport(propagator: Propagator, context: &Context) -> Context {
    let mut carrier = HashMap::new();
    propagator.inject_context(context, &mut carrier);
    propagator.extract_with_context(&Context::new(), &carrier)
}

proptest! {
    #[test]
    fn every_valid_context_is_propagated_completely(span in any_context()) {
        let context = Context::new().with_remote_span_context(span.clone());
        for xray in [false, true] {
            let propagator = Propagator { xray, ..Propagator::default() };
            let carried = transport(propagator, &context);
            let carried = carried.span().span_context().clone();
            prop_assert_eq!(&carried, &span);
        }
    }

    #[test]
    fn the_xray_header_identifies_every_valid_context(span in any_context()) {
        let read = parse_xray_header(&crate::propagation::xray::format(&span)).unwrap();
        prop_assert_eq!(read.decision, Some(span.is_sampled()));
        let (read, span) = (read.span_context, span);
        prop_assert_eq!((read.trace_id(), read.span_id()), (span.trace_id(), span.span_id()));
    }

    #[test]
    fn baggage_within_the_limits_is_propagated_completely(
        entries in prop::collection::hash_map("[a-zA-Z0-9!#$_.~-]{1,10}", "\\PC{0,20}", 0..20)
    ) {
        let members: Vec<_> = entries
            .iter()
            .map(|(key, value)| KeyValueMetadata::new(key.clone(), value.clone(), "p=1;q"))
            .collect();
        let carried = transport(Propagator::default(), &Context::new().with_baggage(members));
        prop_assert_eq!(carried.baggage().len(), entries.len());
        for (key, (value, metadata)) in carried.baggage() {
            prop_assert_eq!(value.as_str(), &entries[key.as_str()]);
            prop_assert_eq!(metadata.as_str(), "p=1;q");
        }
    }

    #[test]
    fn parsers_never_panic_or_return_an_id_of_zeros(header in any_header(), other in any_header()) {
        if let Ok(span) = parse_trace_context(&header, Some(&other)) {
            prop_assert!(span.is_valid());
        }
        if let Ok(read) = parse_xray_header(&header) {
            prop_assert!(read.span_context.is_valid());
        }
        // Everything that was read can be written within the limits.
        let context = with_baggage(&Context::new(), &header);
        let mut written = HashMap::new();
        Propagator::default().inject_context(&context, &mut written);
        for header in written.values() {
            prop_assert!(header.len() <= 8192 && header.split(',').count() <= 64);
            prop_assert!(header.bytes().all(|byte| byte.is_ascii_graphic()), "{}", header);
        }
    }

    #[test]
    fn a_parsed_tracestate_is_valid(header in any_header()) {
        let mut reasons = Vec::new();
        let parsed = tracestate::parse(&header, |reason| reasons.push(reason));
        let written = parsed.as_ref().map(TraceState::header);
        if let Some(written) = &written {
            let again = tracestate::parse(written, |reason| panic!("{reason}"));
            prop_assert_eq!(again.map(|again| again.header()), Some(written.clone()));
        }
        // Members that are not reported as ignored are kept.
        if reasons.is_empty() {
            let members = header.split(',').map(|member| member.trim_matches(OWS));
            let members: Vec<&str> = members.filter(|member| !member.is_empty()).collect();
            prop_assert_eq!(written.unwrap_or_default(), members.join(","));
        }
    }

    #[test]
    fn check_baggage_agrees_with_with_baggage(header in any_header()) {
        let mut reasons = Vec::new();
        let counts = check_baggage(&header, |reason| reasons.push(reason));
        let read = with_baggage(&Context::new(), &header);
        prop_assert_eq!(counts, !read.baggage().is_empty());
        if reasons.is_empty() {
            let members = header.split(',').map(|member| member.trim_matches(OWS));
            for member in members.filter(|member| !member.is_empty()) {
                let (key, _) = member.split_once('=').unwrap();
                prop_assert!(read.baggage().get(key.trim_matches(OWS)).is_some(), "{}", key);
            }
        }
    }
}
