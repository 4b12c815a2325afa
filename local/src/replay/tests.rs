//! Tests that spilled spans are found in all supported forms of logs.

use std::io::{Cursor, Read};

use baton_telemetry::replay::{request_from_json, spill};
use baton_telemetry::spill::{MAX_LINE_BYTES, UNSPLIT_LINE_BYTES};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message as _;

use self::log_forms::{LOG_FORMS, LogForm};
use super::container_lines::join_container_lines;
use super::fragments::FragmentBuffer;
use super::scan::Scanner;
use super::spill_line::{SpillContent, SpillLine};
use super::unpack::{UnpackContext, UnreadablePart, unpack};

mod log_forms;

/// Slightly less than the maximum length of a line.
const LINE: usize = 261_000;

fn span(number: usize, text: String) -> Span {
    let value = Some(AnyValue {
        value: Some(any_value::Value::StringValue(text)),
    });
    Span {
        trace_id: vec![7; 16],
        span_id: (number as u64 + 1).to_be_bytes().to_vec(),
        name: format!("span {number}"),
        start_time_unix_nano: 1_790_000_000_000_000_000,
        attributes: vec![KeyValue {
            key: "text".to_owned(),
            value,
            ..KeyValue::default()
        }],
        ..Span::default()
    }
}

/// Returns the lines that are spilled for spans with these texts, each of at most `line_bytes`
/// bytes.
fn spill_lines(texts: &[String], line_bytes: usize) -> Vec<String> {
    let spans = texts.iter().enumerate();
    let scope_spans = ScopeSpans {
        spans: spans
            .map(|(number, text)| span(number, text.clone()))
            .collect(),
        ..ScopeSpans::default()
    };
    let resource_spans = vec![ResourceSpans {
        scope_spans: vec![scope_spans],
        ..ResourceSpans::default()
    }];
    let mut out = Vec::new();
    let request = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
    spill(&request, line_bytes, &mut out).unwrap();
    let lines = String::from_utf8(out).unwrap();
    lines.lines().map(str::to_owned).collect()
}

/// Reader that returns at most this many bytes per read, so that reads end at every possible
/// position.
struct SmallReads<R>(R, usize);

impl<R: Read> Read for SmallReads<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = buffer.len().min(self.1);
        self.0.read(&mut buffer[..length])
    }
}

/// Returns the spans in a log, in order, and the reported problems.
fn read_spans(log: impl Read + 'static) -> (Vec<Span>, Vec<String>) {
    let (mut spans, mut problems) = (Vec::new(), Vec::new());
    let mut fragments = FragmentBuffer::new();
    let context = UnpackContext::new();
    let mut scanner = Scanner::new(join_container_lines(unpack(Box::new(log), &context)));
    while let Some(found) = scanner.next().unwrap() {
        let request = match found.line {
            Ok(SpillLine {
                content: SpillContent::Request(request),
                ..
            }) => request,
            Ok(SpillLine {
                id,
                content: SpillContent::Fragment(fragment),
                ..
            }) => match fragments.add(&id, fragment) {
                Some(text) => request_from_json(text.as_bytes()).unwrap(),
                None => continue,
            },
            Err(problem) => {
                problems.push(format!("{}: {problem}", found.line_number));
                continue;
            }
        };
        let request = ExportTraceServiceRequest::decode(&*request).unwrap();
        let scopes = request
            .resource_spans
            .into_iter()
            .flat_map(|spans| spans.scope_spans);
        spans.extend(scopes.flat_map(|scope| scope.spans));
    }
    problems.extend(
        std::iter::from_fn(|| fragments.remove_oldest()).map(|missing| missing.to_string()),
    );
    let unreadable = context.take_unreadable().into_iter();
    problems
        .extend(unreadable.map(|UnreadablePart { position, text }| format!("{position}: {text}")));
    (spans, problems)
}

fn assert_spans_found(texts: &[String], line_bytes: usize, form: &LogForm, step: usize) {
    let lines = spill_lines(texts, line_bytes);
    assert!(lines.iter().all(|line| line.len() < line_bytes));
    let log = (form.wrap)(&lines);
    let (spans, problems) = read_spans(SmallReads(Cursor::new(log), step));
    let expected = texts
        .iter()
        .enumerate()
        .map(|(number, text)| span(number, text.clone()));
    assert!(problems.is_empty(), "{}: {problems:?}", form.name);
    assert_eq!(spans.len(), texts.len(), "{}", form.name);
    assert!(spans.into_iter().eq(expected), "{}", form.name);
}

#[test]
fn spans_are_found_in_every_form() {
    let long = "\u{1}\"\\é😀".repeat(60_000);
    let texts = ["short \"quoted\" {text}, and C:\\path\n", &long, "<&>"].map(str::to_owned);
    for form in LOG_FORMS {
        assert_spans_found(&texts, MAX_LINE_BYTES, form, 40_000);
    }
}

#[test]
fn a_log_may_be_read_byte_by_byte() {
    for form in LOG_FORMS {
        assert_spans_found(&["a \"quoted\" text".to_owned()], MAX_LINE_BYTES, form, 1);
    }
}

#[test]
fn unrelated_lines_are_ignored() {
    for text in [
        "",
        "START RequestId: 1\nINFO baton.spill is a word here\n",
        "{\"message\":\"baton.spill\"}\n{\"key\":\"baton.spill\",\"value\":1}\n",
        "{\"message\":\"the member \\\"baton.spill\\\" is ours\"}\n",
    ] {
        assert_eq!(read_spans(Cursor::new(text)), (vec![], vec![]), "{text}");
    }
}

#[test]
fn damaged_lines_are_reported_and_the_others_are_found() {
    let lines = spill_lines(&["one".to_owned()], MAX_LINE_BYTES);
    let line = &lines[0];
    let half = line.len() * 3 / 4;
    let other = line.replace("\"baton.spill\":1", "\"baton.spill\":2");
    let log = [
        &line[..half],
        line,
        &line[40..],
        line,
        &other,
        &line[..half],
    ]
    .join("\n");
    let (spans, problems) = read_spans(Cursor::new(log));
    assert_eq!(spans.len(), 2, "{problems:?}");
    let starts: Vec<_> = problems
        .iter()
        .filter_map(|problem| problem.split_once(": "))
        .collect();
    let numbers: Vec<_> = starts.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, ["1", "3", "5", "6"], "{problems:?}");
    assert!(starts[2].1.contains("version 2"), "{problems:?}");
}

#[test]
fn a_marker_in_an_unsupported_quoting_is_reported() {
    for text in [
        "{\\u0022baton.spill\\u0022:1}",
        "{&quot;baton.spill&quot;: 1}",
        "{'baton.spill': 1}",
        "%7B%22baton.spill%22%3A1%7D",
        "{\"baton.spill\"=>1}",
    ] {
        let (_, problems) = read_spans(Cursor::new(text));
        let expected = ["1: the quotation marks are escaped in an unsupported way"];
        assert_eq!(problems, expected, "{text}");
    }
}

#[test]
fn pieces_of_two_lines_are_never_joined() {
    let lines = spill_lines(&["a\"".repeat(4000), "b\"".repeat(4000)], MAX_LINE_BYTES);
    let (first, second) = lines[0].split_at(16 * 1024);
    // The rest of one line is missing, and an unrelated record with the same time follows.
    for between in [
        format!("{first}\nINFO a line of another"),
        format!("{first}\n{first}"),
    ] {
        let (spans, problems) = read_spans(Cursor::new(format!("{between}\n")));
        assert!(spans.is_empty() && !problems.is_empty(), "{problems:?}");
    }
    let (spans, problems) = read_spans(Cursor::new(format!("{first}\nINFO another\n{second}\n")));
    assert_eq!((spans.len(), problems), (2, vec![]));
}

#[test]
fn a_missing_piece_is_reported() {
    let log = log_forms::firelens(&spill_lines(&["x".repeat(40_000)], MAX_LINE_BYTES));
    let text = String::from_utf8(log).unwrap();
    for (number, line) in text
        .lines()
        .enumerate()
        .filter(|(_, line)| line.contains("\"id-1\""))
    {
        let others = text
            .lines()
            .enumerate()
            .filter(|(other, _)| *other != number);
        let log: Vec<&str> = others.map(|(_, line)| line).collect();
        let (spans, problems) = read_spans(Cursor::new(log.join("\n")));
        assert!(spans.is_empty(), "{line}");
        assert!(
            problems[0].contains("a log pipeline split the line, and piece"),
            "{problems:?}"
        );
    }
}

#[test]
fn a_piece_may_end_with_a_brace() {
    let lines = spill_lines(&["{{}".repeat(LINE / 3)], MAX_LINE_BYTES);
    let log = String::from_utf8(log_forms::firelens(&lines)).unwrap();
    assert!(log.contains("{\",\"partial_"), "no piece ends with a brace");
    let (spans, problems) = read_spans(Cursor::new(log));
    assert_eq!((spans.len(), problems), (1, vec![]));
}

#[test]
fn unpacking_stops_at_a_disproportionate_ratio() {
    let zeros = vec![b' '; 1 << 20];
    let bomb = log_forms::gzipped(&log_forms::gzipped(&zeros));
    let context = UnpackContext::with_limit(100_000);
    let mut text = Vec::new();
    unpack(Box::new(Cursor::new(bomb)), &context)
        .read_to_end(&mut text)
        .unwrap();
    let unreadable = context.take_unreadable();
    assert!(text.len() < 600_000, "{}", text.len());
    assert!(
        unreadable[0].text.contains("bytes unpack to more than"),
        "{unreadable:?}"
    );
}

#[test]
fn nesting_has_a_limit() {
    let mut log = b"text".to_vec();
    for _ in 0..5 {
        log = log_forms::gzipped(&log);
    }
    let (_, problems) = read_spans(Cursor::new(log));
    assert!(
        problems[0].ends_with("gzip is nested more than 4 levels deep and is not unpacked"),
        "{problems:?}"
    );
}

#[test]
fn a_journal_without_long_messages_is_reported() {
    for record in [
        r#"{"_STREAM_ID":"1","_LINE_BREAK":"line-max","MESSAGE":null}"#,
        r#"{"MESSAGE":null,"_STREAM_ID":"1"}"#,
        r#"{"__CURSOR":"s=1","MESSAGE" : null}"#,
        r#"{"CONTAINER_PARTIAL_ID":"1","CONTAINER_PARTIAL_ORDINAL":"1","CONTAINER_PARTIAL_LAST":"true","MESSAGE":null}"#,
    ] {
        let (_, problems) = read_spans(Cursor::new(record));
        assert_eq!(problems.len(), 1, "{record}: {problems:?}");
        assert!(problems[0].contains("journalctl --all"), "{problems:?}");
    }
    let (_, problems) = read_spans(Cursor::new(r#"{"MESSAGE":null,"level":"info"}"#));
    assert!(problems.is_empty(), "{problems:?}");
}

#[test]
fn an_omitted_last_piece_of_the_journal_does_not_affect_the_next_line() {
    let line = &spill_lines(&["x".to_owned()], MAX_LINE_BYTES)[0];
    let records = [
        serde_json::json!({ "_STREAM_ID": "1", "_LINE_BREAK": "line-max", "MESSAGE": "INFO a" }),
        serde_json::json!({ "_STREAM_ID": "1", "MESSAGE": null }),
        serde_json::json!({ "_STREAM_ID": "1", "MESSAGE": line.as_bytes() }),
    ];
    let (spans, problems) = read_spans(Cursor::new(records.map(|one| one.to_string()).join("\n")));
    assert_eq!((spans.len(), problems.len()), (1, 1), "{problems:?}");
    assert!(problems[0].starts_with("2: "), "{problems:?}");
}

#[test]
fn a_missing_fragment_is_reported() {
    let mut lines = spill_lines(&["x".repeat(3 * LINE), "short".to_owned()], MAX_LINE_BYTES);
    let fragments = lines.len() - 1;
    lines.remove(1);
    let (spans, problems) = read_spans(Cursor::new(lines.join("\n")));
    assert_eq!(spans.len(), 1);
    let expected = format!("fragment 2 of {fragments} is missing");
    assert!(problems[0].ends_with(&expected), "{problems:?}");
}

fn any_text() -> impl Strategy<Value = String> {
    let length = prop_oneof![
        0..200_usize,
        LINE - 500..LINE + 1500,
        LINE / 2 - 500..LINE / 2 + 500
    ];
    let piece = prop_oneof![Just("x"), Just("\""), Just("\\é"), Just("\n"), Just("{}")];
    (length, piece).prop_map(|(length, piece)| piece.repeat(length / piece.len()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn spans_of_any_size_are_found_in_any_form(
        texts in vec(any_text(), 0..4),
        line_bytes in prop_oneof![1024..9000_usize, Just(UNSPLIT_LINE_BYTES), Just(MAX_LINE_BYTES)],
        form in 0..LOG_FORMS.len(),
        step in 1000..70_000_usize,
    ) {
        assert_spans_found(&texts, line_bytes, &LOG_FORMS[form], step);
    }
}

proptest! {
    #[test]
    fn no_input_causes_a_panic(
        pieces in vec(prop_oneof![
            vec(any::<u8>(), 0..9),
            Just(b"\"baton.spill\":1".to_vec()),
            Just(b"{\\\"baton.spill\\\":1,\\\"id\\\":\\\"a\\\"".to_vec()),
            Just(b"{\"\"baton.spill\"\":1,".to_vec()),
            Just(b"\"part\":1,\"parts\":2,\"text\":\"\\u00".to_vec()),
            Just(b"{\"id\":\"a-0\",\"spans\":1,\"otlp\":{\"resourceSpans\":[]},".to_vec()),
            Just(b"}\n".to_vec()),
            Just(b"{\"log\":\"x\",\"partial_id\":\"a\",\"partial_ordinal\":\"1\",\"partial_last\":\"".to_vec()),
            Just(b"{\"kinesis\":{\"data\":\"H4sIAAAAAAAAA".to_vec()),
            Just(b"\x1f\x8b\x08\0".to_vec()),
            Just(b"- message: \"".to_vec()),
        ], 0..20),
        step in 1..9_usize,
    ) {
        read_spans(SmallReads(Cursor::new(pieces.concat()), step));
    }
}
