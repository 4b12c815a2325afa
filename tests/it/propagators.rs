//! `OTEL_PROPAGATORS` and `OTEL_TRACES_SAMPLER`: the parent of a record's span, and the decision to
//! sample it.

use baton_test_support::{CollectorResponse, FakeLambda, Record, Span, TestCollector, event};
use serde_json::{Value, json};

use crate::support::functions::{SCRIPTED, TIMEOUT, start_with};

const PROPAGATORS: &str = "OTEL_PROPAGATORS";
const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const SAMPLER_ARG: &str = "OTEL_TRACES_SAMPLER_ARG";

/// First part of every X-Ray trace id: the time.
const SECONDS: &str = "69200000";

fn xray_rest(number: u64) -> String {
    format!("{number:024x}")
}

fn xray_span(number: u64) -> String {
    format!("c0ffee00{number:08x}")
}

/// A record with an X-Ray header that ends with this sampling decision.
fn xray_record(number: u64, decision: &str) -> Record {
    let (rest, parent) = (xray_rest(number), xray_span(number));
    let header = format!("Root=1-{SECONDS}-{rest};Parent={parent}{decision}");
    Record::new(number).attribute("AWSTraceHeader", header)
}

/// Starts a function with these variables.
async fn start(variables: &[(&str, &str)], collector: &TestCollector) -> FakeLambda {
    start_with(SCRIPTED, collector, |function| {
        let set = variables.iter();
        set.fold(function, |function, (name, value)| {
            function.variable(name, value)
        })
    })
    .await
}

/// Returns the spans of a batch that succeeds, from a function with these variables.
async fn spans(variables: &[(&str, &str)], records: &[Record]) -> Vec<Span> {
    let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
    let lambda = start(variables, &collector).await;
    let invocation = lambda.invoke(event(records), TIMEOUT).await.unwrap();
    assert_eq!(invocation.response, Ok(json!({"batchItemFailures": []})));
    collector.spans().unwrap()
}

/// Returns the span of a record, or `None` if it was not exported.
fn record_span(spans: &[Span], number: u64) -> Option<&Span> {
    let id = Record::new(number).message_id.into();
    let mut spans = spans.iter();
    spans.find(|span| span.attributes.get("messaging.message.id") == Some(&id))
}

fn batch(spans: &[Span]) -> Option<&Span> {
    let mut spans = spans.iter();
    spans.find(|span| span.name.starts_with("process_batch"))
}

#[track_caller]
fn assert_child_of_xray(spans: &[Span], number: u64) {
    let span = record_span(spans, number).expect("a span of the record");
    assert_eq!(span.trace_id, format!("{SECONDS}{}", xray_rest(number)));
    assert_eq!(span.parent_span_id, Some(xray_span(number)));
}

#[tokio::test]
async fn with_xray_listed_record_spans_are_children_of_the_xray_span() {
    let both = xray_record(3, ";Sampled=1").traced(3);
    let records = [
        xray_record(0, ";Sampled=1"),
        xray_record(1, ";Sampled=0"),
        xray_record(2, ""),
        both,
    ];
    let spans = spans(&[(PROPAGATORS, "xray")], &records).await;
    // X-Ray's decision not to sample is ignored, and no other context is read.
    for number in 0..4 {
        assert_child_of_xray(&spans, number);
    }
    assert_eq!(batch(&spans).unwrap().links.len(), 4);
}

#[tokio::test]
async fn with_xray_listed_last_the_producers_context_takes_precedence() {
    let records = [xray_record(0, ";Sampled=1").traced(0), xray_record(1, "")];
    let listed = "tracecontext,baggage,xray";
    let spans = spans(&[(PROPAGATORS, listed)], &records).await;
    let span = record_span(&spans, 0).unwrap();
    assert_eq!(span.trace_id, Record::trace_id(0));
    assert_eq!(span.parent_span_id, Some(Record::span_id(0)));
    assert_child_of_xray(&spans, 1);
}

/// Returns the log lines about messages with only an X-Ray context, from a function with these
/// variables that gets each record in a separate invocation.
async fn reports(variables: &[(&str, &str)], records: &[Record]) -> Vec<Value> {
    let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
    let lambda = start(variables, &collector).await;
    for record in records {
        let event = event(std::slice::from_ref(record));
        lambda.invoke(event, TIMEOUT).await.unwrap();
    }
    let ended = lambda.terminate(TIMEOUT).await;
    let lines = ended.stdout.iter();
    let lines = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
    let is_report = |line: &Value| line["message"].as_str().unwrap().contains("new trace");
    lines.filter(is_report).collect()
}

#[tokio::test]
async fn the_first_message_with_only_an_xray_header_is_logged_with_both_remedies() {
    let records = [
        xray_record(0, ";Sampled=1").traced(0),
        xray_record(1, ";Sampled=0"),
        xray_record(2, ";Sampled=1"),
        xray_record(3, ";Sampled=1"),
    ];
    let reports_of = async |variables: &[_]| reports(variables, &records).await;
    let lines = reports_of(&[]).await;
    let [line] = &lines[..] else {
        panic!("one line: {lines:#?}");
    };
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["message_id"], json!(Record::new(2).message_id));
    assert!(line["trace_id"].is_string(), "{line}");
    let message = line["message"].as_str().unwrap();
    for remedy in [
        "set OTEL_PROPAGATORS=tracecontext,baggage,xray",
        "make the producer send traceparent as a message attribute",
    ] {
        assert!(message.contains(remedy), "{message}");
    }
    // No line if the header's trace is continued, or kept separate on purpose.
    for variable in [
        (PROPAGATORS, "tracecontext,xray"),
        (PROPAGATORS, "baggage"),
        (PROPAGATORS, "none"),
        ("BATON_TRACE_SHAPE", "batch"),
    ] {
        let lines = reports_of(&[variable]).await;
        assert!(lines.is_empty(), "{variable:?}: {lines:#?}");
    }
}

#[tokio::test]
async fn without_a_sampling_decision_of_xray_the_root_sampler_decides() {
    let records = [
        xray_record(0, ";Sampled=1"),
        xray_record(1, ";Sampled=?"),
        xray_record(2, ";Sampled=0"),
        xray_record(3, ""),
    ];
    for (ratio, expected) in [("0", 1), ("1", 4)] {
        let variables = [
            (PROPAGATORS, "xray"),
            (SAMPLER, "parentbased_traceidratio"),
            (SAMPLER_ARG, ratio),
        ];
        let spans = spans(&variables, &records).await;
        for number in 0..expected {
            assert_child_of_xray(&spans, number);
        }
        // The batch span starts a trace, so the root sampler decides about it too.
        let is_batch_sampled = ratio == "1";
        assert_eq!(batch(&spans).is_some(), is_batch_sampled, "ratio {ratio}");
        let count = expected + u64::from(is_batch_sampled);
        assert_eq!(spans.len() as u64, count, "ratio {ratio}: {spans:#?}");
    }
}

#[tokio::test]
async fn an_unsampled_producer_stays_unsampled_and_xray_suppresses_no_span() {
    let (trace_id, parent) = (Record::trace_id(0), Record::span_id(0));
    let unsampled = format!("00-{trace_id}-{parent}-00");
    let records = [
        // X-Ray's decision to sample is ignored as well.
        xray_record(0, ";Sampled=1").message_attribute("traceparent", unsampled),
        xray_record(1, ";Sampled=0").traced(1),
        xray_record(2, ";Sampled=0"),
    ];
    for (sampler, is_exported) in [
        (None, false),
        (Some("parentbased_always_on"), false),
        // This sampler ignores the parent.
        (Some("always_on"), true),
    ] {
        let variables: Vec<_> = sampler.map(|name| (SAMPLER, name)).into_iter().collect();
        let spans = spans(&variables, &records).await;
        assert_eq!(record_span(&spans, 0).is_some(), is_exported, "{sampler:?}");
        let continued = record_span(&spans, 1).unwrap();
        assert_eq!(continued.trace_id, Record::trace_id(1));
        let root = record_span(&spans, 2).unwrap();
        assert_eq!(root.parent_span_id, None);
        // Links to the batch span and to the X-Ray span.
        assert_eq!(root.links.len(), 2, "{root:#?}");
        assert_eq!(root.links[1].span_id, xray_span(2));
        let links = &batch(&spans).unwrap().links;
        let linked: Vec<&str> = links.iter().map(|link| &*link.span_id).collect();
        assert_eq!(linked, [parent.clone(), Record::span_id(1), xray_span(2)]);
    }
}

#[tokio::test]
async fn without_propagators_no_trace_is_continued_and_the_xray_span_is_linked() {
    let records = [xray_record(0, ";Sampled=1").traced(0)];
    let spans = spans(&[(PROPAGATORS, "none")], &records).await;
    let span = record_span(&spans, 0).unwrap();
    assert_eq!(span.parent_span_id, None);
    assert_ne!(span.trace_id, Record::trace_id(0));
    assert_eq!(span.links[1].span_id, xray_span(0));
}

#[tokio::test]
async fn a_disabled_sdk_handles_messages_without_a_span() {
    let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
    let lambda = start(&[("OTEL_SDK_DISABLED", "true")], &collector).await;
    let records = [Record::new(0).traced(0), Record::new(1)];
    let invocation = lambda.invoke(event(&records), TIMEOUT).await.unwrap();
    assert_eq!(invocation.response, Ok(json!({"batchItemFailures": []})));
    assert_eq!(collector.request_count(), 0);
}
