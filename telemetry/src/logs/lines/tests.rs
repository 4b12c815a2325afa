//! The exact text of lines in both formats.

use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt as _;
use proptest::prelude::*;
use tracing::{error, info};

use super::*;
use crate::logs::tests::{lines, span};
use crate::logs::{with_message_id, with_request_id};

fn one_line(format: LogFormat, log: impl FnOnce()) -> String {
    let mut lines = lines(format, log);
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines.remove(0)
}

/// Returns the line in this format, without its time.
fn line_without_time(format: LogFormat, log: impl FnOnce()) -> String {
    let line = one_line(format, log);
    let (_, rest) = line.split_once("Z").unwrap();
    rest.to_owned()
}

fn text(log: impl FnOnce()) -> String {
    line_without_time(LogFormat::Text, log)
}

fn json(log: impl FnOnce()) -> String {
    line_without_time(LogFormat::Json, log)
}

fn call_in_context<T>(context: &Context, log: impl FnOnce() -> T) -> T {
    let _active = context.clone().attach();
    log()
}

#[test]
fn a_line_has_its_ids_at_the_end_in_both_formats() {
    let context = Context::new().with_remote_span_context(span());
    let context = with_request_id(&context, "8476a536-e9f4-11e8-9739-2dfe598c3fcd".into());
    let context = with_message_id(&context, "059f36b4-87a3-44ab-83d2-661975830a7d".into());
    let log = || call_in_context(&context, || info!(target: "orders", count = 3, "placed"));
    assert_eq!(
        json(log),
        "\",\"level\":\"INFO\",\"target\":\"orders\",\"message\":\"placed\",\"count\":3,\
         \"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4736\",\"span_id\":\"00f067aa0ba902b7\",\
         \"requestId\":\"8476a536-e9f4-11e8-9739-2dfe598c3fcd\",\
         \"messageId\":\"059f36b4-87a3-44ab-83d2-661975830a7d\"}"
    );
    assert_eq!(
        text(log),
        " INFO orders: placed count=3 trace_id=4bf92f3577b34da6a3ce929d0e0e4736 \
         span_id=00f067aa0ba902b7 requestId=8476a536-e9f4-11e8-9739-2dfe598c3fcd \
         messageId=059f36b4-87a3-44ab-83d2-661975830a7d"
    );
}

#[test]
fn numbers_keep_their_values() {
    let log = || {
        info!(
            a = i64::MIN,
            b = u64::MAX,
            c = 0,
            d = 1e300,
            e = 3.0,
            f = u128::MAX,
            g = -5i128,
            h = true
        );
    };
    let line = json(log);
    let at = line.find("\"a\"").unwrap();
    assert_eq!(
        &line[at..],
        "\"a\":-9223372036854775808,\"b\":18446744073709551615,\"c\":0,\"d\":1e300,\"e\":3.0,\
         \"f\":\"340282366920938463463374607431768211455\",\"g\":-5,\"h\":true}"
    );
    let line = json(|| info!(nan = f64::NAN, endless = f64::NEG_INFINITY));
    assert!(
        line.ends_with("\"nan\":\"NaN\",\"endless\":\"-inf\"}"),
        "{line}"
    );
    let line = text(|| info!(nan = f64::NAN, share = 0.5, ok = false));
    assert!(line.ends_with(" nan=NaN share=0.5 ok=false"), "{line}");
}

#[test]
fn a_field_with_a_reserved_name_gets_a_prefix() {
    let log = || info!(level = 3, requestId = "mine", timestamp = 1, "text");
    let line: serde_json::Value = serde_json::from_str(&one_line(LogFormat::Json, log)).unwrap();
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["field.level"], 3);
    assert_eq!(line["field.requestId"], "mine");
    assert_eq!(line["field.timestamp"], 1);
    assert!(text(log).ends_with(": text field.level=3 field.requestId=mine field.timestamp=1"));
}

#[test]
fn ambiguous_text_is_in_quotes() {
    for (value, expected) in [
        ("", "\"\""),
        ("one", "one"),
        ("https://example.com/a?b", "https://example.com/a?b"),
        ("grün", "grün"),
        ("two words", "\"two words\""),
        ("a=b", "\"a=b\""),
        ("say \"so\"", "\"say \\\"so\\\"\""),
        ("C:\\x", "\"C:\\\\x\""),
        ("two\nlines", "\"two\\nlines\""),
    ] {
        let expected = format!(" value={expected}");
        let line = text(|| info!(value));
        assert!(line.ends_with(&expected), "{line}");
        let line = text(|| info!(value = %value));
        assert!(line.ends_with(&expected), "{line}");
    }
}

#[test]
fn line_breaks_and_control_characters_are_escaped_in_text_lines() {
    let message = "a\r\nb\u{1b}[31m\u{9b}\u{85}\u{2028}\u{0}\tc";
    let escaped = "a\\r\\nb\\u{1b}[31m\\u{9b}\\u{85}\\u{2028}\\u{0}\\tc";
    let line = text(|| error!(target: "evil\ntarget", { "field\nname" = "x" }, "{message}"));
    assert_eq!(
        line,
        format!(" ERROR evil\\ntarget: {escaped} field\\nname=x")
    );
}

#[test]
fn a_display_implementation_may_attach_another_context() {
    struct Busy;
    impl std::fmt::Display for Busy {
        fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            call_in_context(&Context::new(), || formatter.write_str("made"))
        }
    }
    let line = json(|| info!("{Busy}"));
    assert!(line.ends_with("\"message\":\"made\"}"), "{line}");
}

#[test]
fn an_error_is_written_with_its_causes() {
    let cause = std::io::Error::other("the cause");
    let error = crate::transport::TransportError::Request(
        crate::transport::client::RequestError::Connect(cause),
    );
    let line = json(|| info!(error = &error as &dyn std::error::Error));
    assert!(line.contains(": the cause\"}"), "{line}");
}

proptest! {
    #[test]
    fn json_lines_contain_the_logged_text(message in any::<String>(), value in any::<String>()) {
        let line = one_line(LogFormat::Json, || info!(value, made = %value, "{message}"));
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        prop_assert_eq!(&line["message"], &message);
        prop_assert_eq!(&line["value"], &value);
        prop_assert_eq!(&line["made"], &value);
    }

    #[test]
    fn doubles_are_written_without_loss(value in any::<f64>()) {
        let text = one_line(LogFormat::Json, || info!(value));
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(line["value"].is_number(), value.is_finite());
        // `serde_json` rounds when it parses, so the text of the number is compared.
        let (_, number) = text.split_once("\"value\":").unwrap();
        let number = number.trim_end_matches("}").trim_matches('"');
        prop_assert_eq!(number.parse::<f64>().unwrap().to_string(), value.to_string());
    }

    #[test]
    fn text_has_no_line_breaks(message in any::<String>(), value in any::<String>()) {
        let line = text(|| info!(value, made = ?value, "{message}"));
        prop_assert!(!line.contains(char::is_control));
    }
}
