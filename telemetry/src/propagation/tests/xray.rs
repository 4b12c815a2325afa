//! Reading and writing of X-Ray's header, its sampling decision, and the priority of `traceparent`.

use InvalidXrayHeader as Invalid;

use super::*;

const ROOT: &str = "Root=1-5759e988-bd862e3fe1be46a994272793";
const PARENT: &str = "Parent=53995c3f42cd8ad8";
const TRACE_ID: &str = "5759e988bd862e3fe1be46a994272793";
const SPAN_ID: &str = "53995c3f42cd8ad8";

const XRAY: Propagator = Propagator {
    xray: true,
    ..Propagator::NONE
};

fn all() -> Propagator {
    Propagator {
        xray: true,
        ..Propagator::default()
    }
}

fn parent_by(propagator: Propagator, headers: &[(&str, &str)]) -> SpanContext {
    let context = propagator.extract_with_context(&Context::new(), &HeaderLines(headers));
    context.span().span_context().clone()
}

#[test]
fn headers_of_aws_are_parsed() {
    for (header, decision) in [
        (format!("{ROOT};{PARENT};Sampled=1"), Some(true)),
        (
            format!("{ROOT};{PARENT};Sampled=0;Lineage=1:890bcd31:0"),
            Some(false),
        ),
        (
            format!("{ROOT};{PARENT};Sampled=1;Lineage=a87bd80c:1|68fd508a:5|c512fbe3:2"),
            Some(true),
        ),
        (format!("{ROOT};{PARENT};Sampled=?"), None),
        (format!("{ROOT};{PARENT}"), None),
        (format!("Sampled=1;{PARENT};{ROOT}"), Some(true)),
        (
            format!("Self=1-67891233-12456789abcdef012345678;{ROOT};CalledFrom=app;{PARENT}"),
            None,
        ),
        (format!(" {ROOT} ; {PARENT};\tSampled = 1 ;"), Some(true)),
        (format!("{ROOT};;nonsense;{PARENT}"), None),
    ] {
        let read = parse_xray_header(&header).unwrap();
        let span = &read.span_context;
        assert_eq!(span.trace_id().to_string(), TRACE_ID, "{header}");
        assert_eq!(span.span_id().to_string(), SPAN_ID, "{header}");
        assert_eq!(read.decision, decision, "{header}");
        assert_eq!(span.is_sampled(), decision == Some(true), "{header}");
        assert!(span.is_remote(), "{header}");
    }
}

#[test]
fn the_error_names_the_invalid_field() {
    let root = |id: &str| format!("Root={id};{PARENT};Sampled=1");
    let parent = |id: &str| format!("{ROOT};Parent={id};Sampled=1");
    let sampled = |word: &str| format!("{ROOT};{PARENT};Sampled={word}");
    let table = [
        (String::new(), Invalid::NoRoot),
        (PARENT.to_owned(), Invalid::NoRoot),
        (format!("root=1-2-3;{PARENT}"), Invalid::NoRoot),
        (root(""), Invalid::Root),
        (root(TRACE_ID), Invalid::Root),
        (root("2-5759e988-bd862e3fe1be46a994272793"), Invalid::Root),
        (root("1-5759e988bd862e3fe1be46a994272793"), Invalid::Root),
        (root("1-759e988-bd862e3fe1be46a994272793"), Invalid::Root),
        (root("1-5759e9880-bd862e3fe1be46a99427279"), Invalid::Root),
        (root("1-5759e988-bd862e3fe1be46a9942727930"), Invalid::Root),
        (root("1-5759E988-bd862e3fe1be46a994272793"), Invalid::Root),
        (root("1-5759e988-bd862e3fe1be46a99427279g"), Invalid::Root),
        (root("1-00000000-000000000000000000000000"), Invalid::Root),
        (ROOT.to_owned(), Invalid::NoParent),
        (format!("{ROOT};Sampled=1"), Invalid::NoParent),
        (parent(""), Invalid::Parent),
        (parent("53995c3f42cd8ad"), Invalid::Parent),
        (parent("53995c3f42cd8ad80"), Invalid::Parent),
        (parent("53995C3F42CD8AD8"), Invalid::Parent),
        (parent("0000000000000000"), Invalid::Parent),
        (sampled(""), Invalid::Sampled),
        (sampled("2"), Invalid::Sampled),
        (sampled("true"), Invalid::Sampled),
        (format!("{ROOT};{ROOT};{PARENT}"), Invalid::DuplicateField),
        (sampled("1;Sampled=0"), Invalid::DuplicateField),
        // Two header lines, joined as in HTTP.
        (
            format!("{ROOT};{PARENT};Sampled=1,{ROOT};{PARENT};Sampled=1"),
            Invalid::DuplicateField,
        ),
    ];
    for (header, reason) in table {
        assert_eq!(parse_xray_header(&header), Err(reason), "{header}");
    }
}

#[test]
fn only_a_positive_sampling_decision_is_adopted() {
    for (word, samples_root, sampled) in [
        (";Sampled=1", false, true),
        (";Sampled=0", true, true),
        (";Sampled=0", false, false),
        (";Sampled=?", true, true),
        ("", true, true),
        ("", false, false),
    ] {
        let read = parse_xray_header(&format!("{ROOT};{PARENT}{word}")).unwrap();
        let parent = read.into_parent(|trace_id| {
            assert_eq!(trace_id.to_string(), TRACE_ID);
            samples_root
        });
        assert_eq!(parent.is_sampled(), sampled, "{word:?} {samples_root}");
        assert_eq!(parent.span_id().to_string(), SPAN_ID);
        assert!(parent.is_remote());
    }
}

#[test]
fn the_sampler_is_not_called_if_xray_samples() {
    let read = parse_xray_header(&format!("{ROOT};{PARENT};Sampled=1")).unwrap();
    assert!(read.into_parent(|_| panic!("called")).is_sampled());
}

#[test]
fn the_propagator_continues_only_traces_that_xray_samples() {
    for (word, continued) in [(";Sampled=1", true), (";Sampled=0", false), ("", false)] {
        let header = format!("{ROOT};{PARENT}{word}");
        let parent = parent_by(XRAY, &[(XRAY_TRACE_ID_HEADER, &header)]);
        assert_eq!(parent.is_valid(), continued, "{word:?}");
        assert_eq!(parent.is_sampled(), continued, "{word:?}");
    }
}

#[test]
fn a_valid_traceparent_overrides_xray() {
    let traceparent = format!("00-{TRACE}-{SPAN}-00");
    let xray = format!("{ROOT};{PARENT};Sampled=1");
    let broken_xray = format!("{ROOT};{PARENT};Sampled=2");
    let parent = |traceparent: &str, xray: &str| {
        let headers = [(TRACEPARENT, traceparent), (XRAY_TRACE_ID_HEADER, xray)];
        let parent = parent_by(all(), &headers);
        (parent.trace_id().to_string(), parent.is_sampled())
    };
    assert_eq!(parent(&traceparent, &xray), (TRACE.to_owned(), false));
    assert_eq!(
        parent(&traceparent, &broken_xray),
        (TRACE.to_owned(), false)
    );
    assert_eq!(parent("broken", &xray), (TRACE_ID.to_owned(), true));
}

#[test]
fn xray_is_read_and_written_only_if_enabled() {
    let header = format!("{ROOT};{PARENT};Sampled=1");
    let headers = [(XRAY_TRACE_ID_HEADER, header.as_str())];
    assert!(!parent_by(Propagator::default(), &headers).is_valid());
    let context = Context::new().with_remote_span_context(parent_by(XRAY, &headers));
    assert!(!inject(&context).contains_key("x-amzn-trace-id"));
    let mut carrier = HashMap::new();
    XRAY.inject_context(&context, &mut carrier);
    assert_eq!(
        carrier,
        HashMap::from([("x-amzn-trace-id".to_owned(), header)])
    );
}

#[test]
fn the_fields_are_those_of_the_enabled_formats() {
    let w3c = [TRACEPARENT, TRACESTATE];
    for (trace_context, baggage, xray) in (0..8).map(|n| (n & 1 > 0, n & 2 > 0, n & 4 > 0)) {
        let propagator = Propagator {
            trace_context,
            baggage,
            xray,
        };
        let mut expected: Vec<&str> = Vec::new();
        expected.extend(w3c.into_iter().filter(|_| trace_context));
        expected.extend(baggage.then_some(BAGGAGE));
        expected.extend(xray.then_some(XRAY_TRACE_ID_HEADER));
        let fields: Vec<&str> = propagator.fields().collect();
        assert_eq!(fields, expected, "{propagator}");
    }
}

#[test]
fn an_unsampled_span_is_written_as_unsampled_and_no_span_is_not_written() {
    let unsampled = parse_trace_context(&format!("00-{TRACE}-{SPAN}-02"), None).unwrap();
    let mut carrier = HashMap::new();
    all().inject_context(&Context::new(), &mut carrier);
    assert!(carrier.is_empty());
    all().inject_context(
        &Context::new().with_remote_span_context(unsampled),
        &mut carrier,
    );
    assert_eq!(
        carrier["x-amzn-trace-id"],
        "Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=00f067aa0ba902b7;Sampled=0"
    );
}
