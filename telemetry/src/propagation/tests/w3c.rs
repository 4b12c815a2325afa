//! The cases of the W3C Trace Context test suite, levels 1 and 2, and additional ones for message
//! attributes, as tables.
//!
//! A row is a received request or message. Its headers are extracted, a span is started in the
//! resulting context, and the context of the span is injected. Only the result is checked, as in
//! the suite.

use opentelemetry::trace::{Tracer as _, TracerProvider as _};
use opentelemetry_sdk::trace::SdkTracerProvider;

use super::*;

const TRACE_ID: &str = "12345678901234567890123456789012";
const PARENT_ID: &str = "1234567890123456";
/// A valid `traceparent`.
const VALID: &str = "00-12345678901234567890123456789012-1234567890123456-00";

/// Returns the headers that a span started with `headers` as parent sends.
fn propagate(headers: &[(&str, &str)]) -> HashMap<String, String> {
    let parent = extract(headers);
    let tracer = SdkTracerProvider::builder().build().tracer("w3c");
    inject(&parent.with_span(tracer.start_with_context("span", &parent)))
}

/// Returns the flags of the continued trace, or `None` if a new one started.
fn continued_flags(headers: &[(&str, &str)]) -> Option<String> {
    let sent = propagate(headers);
    let mut fields = sent[TRACEPARENT].split('-');
    assert_eq!(fields.next(), Some("00"), "{headers:?}");
    if fields.next() != Some(TRACE_ID) {
        assert!(!sent.contains_key(TRACESTATE), "{headers:?}");
        return None;
    }
    assert_ne!(fields.next(), Some(PARENT_ID), "{headers:?}");
    fields.next().map(str::to_owned)
}

#[test]
fn traceparent_headers_continue_the_trace_or_start_a_new_one() {
    const NEW: Option<&str> = None;
    let future = "-what-the-future-will-be-like";
    let header = |version: &str, trace_id: &str, parent_id: &str, flags: &str| {
        format!("{version}-{trace_id}-{parent_id}-{flags}")
    };
    let with_version = |version: &str| header(version, TRACE_ID, PARENT_ID, "01");
    let with_trace_id = |id: &str| header("00", id, PARENT_ID, "01");
    let with_parent_id = |id: &str| header("00", TRACE_ID, id, "01");
    let with_flags = |flags: &str| header("00", TRACE_ID, PARENT_ID, flags);
    let table = [
        ("traceparent_included", with_flags("01"), Some("01")),
        ("sampled_not_set", with_flags("00"), Some("00")),
        (
            "traceparent_duplicated, joined",
            format!("{VALID},{VALID}"),
            NEW,
        ),
        (
            "traceparent_duplicated, of a future version",
            format!("{},{}", with_version("cc"), with_version("cc")),
            NEW,
        ),
        ("version_0x00 + '.'", with_flags("01."), NEW),
        ("version_0x00 + more", with_flags("01") + future, NEW),
        ("version_0x00 + '-'", with_flags("01-"), NEW),
        ("version_0x01", with_version("01"), Some("01")),
        ("version_0xcc", with_version("cc"), Some("01")),
        (
            "version_0xcc + more",
            with_version("cc") + future,
            Some("01"),
        ),
        ("version_0xcc + '-'", with_version("cc") + "-", Some("01")),
        (
            "version_0xcc + '.'",
            with_version("cc") + ".what-the-future-will-be-like",
            NEW,
        ),
        (
            "version_0xcc too short",
            header("cc", TRACE_ID, PARENT_ID, "0"),
            NEW,
        ),
        ("version_0xff", with_version("ff"), NEW),
        ("version_0xff + more", with_version("ff") + future, NEW),
        ("version_illegal_characters, first", with_version(".0"), NEW),
        (
            "version_illegal_characters, second",
            with_version("0."),
            NEW,
        ),
        ("version_illegal_characters, case", with_version("CC"), NEW),
        ("version_too_long, 3", with_version("000"), NEW),
        ("version_too_long, 4", with_version("0000"), NEW),
        ("version_too_short", with_version("0"), NEW),
        ("trace_id_all_zero", with_trace_id(&"0".repeat(32)), NEW),
        (
            "trace_id_illegal_characters, first",
            with_trace_id(".2345678901234567890123456789012"),
            NEW,
        ),
        (
            "trace_id_illegal_characters, last",
            with_trace_id("1234567890123456789012345678901."),
            NEW,
        ),
        (
            "trace_id_illegal_characters, case",
            with_trace_id("ABCDEF78901234567890123456789012"),
            NEW,
        ),
        (
            "trace_id_too_long",
            with_trace_id("123456789012345678901234567890123"),
            NEW,
        ),
        (
            "trace_id_too_short",
            with_trace_id("1234567890123456789012345678901"),
            NEW,
        ),
        ("parent_id_all_zero", with_parent_id(&"0".repeat(16)), NEW),
        (
            "parent_id_illegal_characters, first",
            with_parent_id(".234567890123456"),
            NEW,
        ),
        (
            "parent_id_illegal_characters, last",
            with_parent_id("123456789012345."),
            NEW,
        ),
        (
            "parent_id_illegal_characters, case",
            with_parent_id("ABCDEF7890123456"),
            NEW,
        ),
        (
            "parent_id_too_long",
            with_parent_id("12345678901234567"),
            NEW,
        ),
        (
            "parent_id_too_short",
            with_parent_id("123456789012345"),
            NEW,
        ),
        (
            "trace_flags_illegal_characters, first",
            with_flags(".0"),
            NEW,
        ),
        (
            "trace_flags_illegal_characters, last",
            with_flags("0."),
            NEW,
        ),
        (
            "trace_flags_illegal_characters, case",
            with_flags("0A"),
            NEW,
        ),
        ("trace_flags_too_long", with_flags("001"), NEW),
        ("trace_flags_too_short", with_flags("1"), NEW),
        ("ows_handling, space", format!(" {VALID}"), Some("00")),
        ("ows_handling, tab", format!("\t{VALID}"), Some("00")),
        ("ows_handling, space after", format!("{VALID} "), Some("00")),
        ("ows_handling, tab after", format!("{VALID}\t"), Some("00")),
        ("ows_handling, both", format!("\t {VALID} \t"), Some("00")),
        ("ows_handling, other whitespace", format!("{VALID}\n"), NEW),
        ("ows_handling, nothing but", " \t".to_owned(), NEW),
        ("separators", VALID.replace('-', "_"), NEW),
        // Level 2.
        ("propagates_random_flag", with_flags("02"), Some("02")),
        (
            "propagates_random_flag, sampled",
            with_flags("03"),
            Some("03"),
        ),
        (
            "propagates_random_flag, of a future version",
            header("cc", TRACE_ID, PARENT_ID, "02"),
            Some("02"),
        ),
        ("other_flags_are_cleared", with_flags("fc"), Some("00")),
        (
            "other_flags_are_cleared beside known ones",
            with_flags("ff"),
            Some("03"),
        ),
    ];
    for (case, traceparent, expected) in &table {
        let flags = continued_flags(&[(TRACEPARENT, traceparent), (TRACESTATE, "foo=1")]);
        assert_eq!(flags.as_deref(), *expected, "{case}");
    }
}

#[test]
fn the_name_traceparent_is_case_insensitive() {
    let table: [(&str, &[&str], bool); 6] = [
        ("both_missing", &[], false),
        ("header_name, dash", &["trace-parent"], false),
        ("header_name, dot", &["trace.parent"], false),
        ("header_name_valid_casing, mixed", &["TrAcEpArEnT"], true),
        ("header_name_valid_casing, upper", &["TRACEPARENT"], true),
        (
            "traceparent_duplicated, in two lines",
            &["traceparent", "traceparent"],
            false,
        ),
    ];
    for (case, names, expected) in table {
        let headers: Vec<_> = names.iter().map(|name| (*name, VALID)).collect();
        assert_eq!(continued_flags(&headers).is_some(), expected, "{case}");
    }
}

#[test]
fn the_random_flag_is_propagated_only_for_its_trace() {
    let random = VALID.replace("-00", "-02");
    let parent = extract(&[(TRACEPARENT, &random)]);
    let other = parse_trace_context(&VALID.replace("-1234", "-4321"), None).unwrap();
    let sent = inject(&parent.with_remote_span_context(other));
    assert!(sent[TRACEPARENT].ends_with("-00"), "{sent:?}");
}

/// `k01=v,k02=v,…`
fn members(range: std::ops::RangeInclusive<usize>) -> String {
    let list: Vec<String> = range.map(|number| format!("k{number:02}=v")).collect();
    list.join(",")
}

#[test]
fn tracestate_headers_are_propagated_or_discarded_while_the_trace_is_continued() {
    const DISCARDED: &str = "";
    let every_key = "abcdefghijklmnopqrstuvwxyz0123456789_-*/=1";
    let every_tenant_key = "a0_-*/@z0_-*/=1";
    let every_value: String = (' '..='~').filter(|c| !",=".contains(*c)).collect();
    let every_value = format!("foo={every_value}");
    let all = members(1..=32);
    let (long_key, long_value) = (
        format!("{}=1", "z".repeat(256)),
        format!("foo={}", "v".repeat(256)),
    );
    let (longer_key, longer_value) = (
        format!("{}=1", "z".repeat(257)),
        format!("foo={}", "v".repeat(257)),
    );
    let (first, second, third) = (members(1..=10), members(11..=20), members(21..=33));
    let table: &[(&str, &[&str], &str)] = &[
        ("included", &["foo=1,bar=2"], "foo=1,bar=2"),
        ("empty_header", &[""], DISCARDED),
        ("empty_header after another", &["foo=1", ""], "foo=1"),
        ("empty_header before another", &["", "foo=1"], "foo=1"),
        ("empty members", &[",foo=1, ,\t,bar=2,"], "foo=1,bar=2"),
        ("nothing but empty members", &[" ,,\t"], DISCARDED),
        (
            "multiple_headers_different_keys",
            &["foo=1,bar=2", "rojo=1,congo=2", "baz=3"],
            "foo=1,bar=2,rojo=1,congo=2,baz=3",
        ),
        ("duplicated_keys", &["foo=1,foo=1"], "foo=1"),
        (
            "duplicated_keys, values",
            &["foo=1,bar=3,foo=2"],
            "foo=1,bar=3",
        ),
        ("duplicated_keys, lines", &["foo=1", "foo=2"], "foo=1"),
        ("all_allowed_characters, key", &[every_key], every_key),
        (
            "all_allowed_characters, tenant",
            &[every_tenant_key],
            every_tenant_key,
        ),
        (
            "all_allowed_characters, value",
            &[&every_value],
            &every_value,
        ),
        (
            "ows_handling",
            &["foo=1 \t , \t bar=2, \t baz=3"],
            "foo=1,bar=2,baz=3",
        ),
        ("ows_handling, around", &["\t foo=1 \t"], "foo=1"),
        ("leading spaces are the value's", &["foo=  1"], "foo=  1"),
        ("key_illegal_characters, space", &["foo =1"], DISCARDED),
        ("key_illegal_characters, case", &["FOO=1"], DISCARDED),
        ("key_illegal_characters, dot", &["foo.bar=1"], DISCARDED),
        (
            "key_illegal_characters, beside others",
            &["bar=1,FOO=1"],
            DISCARDED,
        ),
        (
            "key_illegal_characters, dot beside others",
            &["bar=1,foo.bar=1"],
            DISCARDED,
        ),
        ("no key", &["=1"], DISCARDED),
        ("a digit first", &["1foo=1"], "1foo=1"),
        ("another character first", &["_foo=1"], DISCARDED),
        (
            "key_illegal_vendor_format, foo@",
            &["foo@=1,bar=2"],
            "foo@=1,bar=2",
        ),
        (
            "key_illegal_vendor_format, @foo",
            &["@foo=1,bar=2"],
            DISCARDED,
        ),
        // Level 2 allows these keys, but the SDK's type does not. The other members must be
        // propagated.
        (
            "key_illegal_vendor_format, foo@@bar",
            &["foo@@bar=1,bar=2"],
            "bar=2",
        ),
        (
            "key_illegal_vendor_format, two tenants",
            &["foo@bar@baz=1,bar=2"],
            "bar=2",
        ),
        (
            "key_length_limit, long system",
            &["foo=1,t@vvvvvvvvvvvvvvv=1"],
            "foo=1",
        ),
        ("member_count_limit, 32", &[&all], &all),
        (
            "member_count_limit, 33 in lines",
            &[&first, &second, &third],
            DISCARDED,
        ),
        ("key_length_limit, 256", &[&long_key], &long_key),
        ("key_length_limit, 257", &["foo=1", &longer_key], DISCARDED),
        ("value of 256", &[&long_value], &long_value),
        ("value of 257", &[&longer_value], DISCARDED),
        ("value_illegal_characters", &["foo=bar=baz"], DISCARDED),
        ("value_illegal_characters, tab", &["foo=a\tb"], DISCARDED),
        (
            "value_illegal_characters, not ASCII",
            &["foo=\u{e9}"],
            DISCARDED,
        ),
        ("no value", &["foo=,bar=3"], DISCARDED),
        ("no '='", &["foo,bar=3"], DISCARDED),
    ];
    for (case, lines, expected) in table {
        let mut headers = vec![(TRACEPARENT, VALID)];
        headers.extend(lines.iter().map(|line| (TRACESTATE, *line)));
        assert!(continued_flags(&headers).is_some(), "{case}");
        let sent = propagate(&headers).remove(TRACESTATE);
        assert_eq!(sent.unwrap_or_default(), *expected, "{case}");
    }
}

#[test]
fn ignored_members_of_a_tracestate_are_reported() {
    use InvalidTracestate::{DuplicateKey, Member, TooMany, UnsupportedKey};
    let (all, too_many) = (members(1..=32), members(1..=33));
    let table: &[(&str, &[InvalidTracestate])] = &[
        ("foo=1, bar=2", &[]),
        (&all, &[]),
        ("", &[]),
        (" ,,\t", &[]),
        ("FOO=1,bar=2", &[Member]),
        ("foo", &[Member]),
        (&too_many, &[TooMany]),
        ("foo=1,bar=3,foo=2,foo=4", &[DuplicateKey]),
        ("foo@@bar=1,x=2", &[UnsupportedKey]),
        ("foo@@bar=1", &[UnsupportedKey]),
        ("foo@@bar=1,x=2,x=3", &[DuplicateKey, UnsupportedKey]),
    ];
    for (header, expected) in table {
        let mut reasons = Vec::new();
        let parsed =
            parse_trace_context_with(VALID, Some(header), |reason| reasons.push(reason)).unwrap();
        assert_eq!(reasons, *expected, "{header}");
        assert_eq!(Ok(parsed), parse_trace_context(VALID, Some(header)));
    }
    let invalid = parse_trace_context_with("00", Some("FOO"), |reason| panic!("{reason}"));
    assert_eq!(invalid, Err(InvalidTraceparent::Length));
}

#[test]
fn the_name_tracestate_is_case_insensitive() {
    let table = [
        ("header_name, dash", "trace-state", None),
        ("header_name, dot", "trace.state", None),
        (
            "header_name_valid_casing, mixed",
            "TrAcEsTaTe",
            Some("foo=1"),
        ),
        (
            "header_name_valid_casing, upper",
            "TRACESTATE",
            Some("foo=1"),
        ),
    ];
    for (case, name, expected) in table {
        let sent = propagate(&[(TRACEPARENT, VALID), (name, "foo=1")]);
        assert_eq!(sent.get(TRACESTATE).map(String::as_str), expected, "{case}");
    }
}

#[test]
fn a_tracestate_without_traceparent_is_discarded() {
    assert!(!propagate(&[(TRACESTATE, "foo=1")]).contains_key(TRACESTATE));
}

#[test]
fn spans_with_one_parent_share_its_trace_id_but_not_their_span_ids() {
    let parent = extract(&[(TRACEPARENT, VALID)]);
    let tracer = SdkTracerProvider::builder().build().tracer("w3c");
    let sent: std::collections::HashSet<String> = (0..3)
        .map(|_| parent.with_span(tracer.start_with_context("span", &parent)))
        .map(|context| inject(&context)[TRACEPARENT].clone())
        .collect();
    assert_eq!(sent.len(), 3);
    assert!(sent.iter().all(|header| header[3..35] == *TRACE_ID));
}
