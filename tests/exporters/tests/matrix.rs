//! Exporters and clients that a program provides, with collectors that work and that fail. The
//! processes and sockets are real, and the environment is frozen between invocations.
//!
//! The table in `docs/your-own-opentelemetry.md` has a row for each test.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "every function of this file is part of a test"
)]

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use baton_test_support::{
    CollectorResponse, FakeLambda, Function, LambdaError, Record, Signal, TestCollector, event,
};
use serde_json::Value;

use self::grpc::GrpcCollector;

#[path = "matrix/grpc.rs"]
mod grpc;

const FUNCTION: &str = env!("CARGO_BIN_EXE_exporting-function");
/// Time limit of an invocation: many times the time that a busy machine needs.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Time limit of a flush.
const BUDGET: Duration = Duration::from_secs(1);
/// Additional time that a busy machine may need.
const SLACK: Duration = Duration::from_millis(500);
const INVOCATIONS: u64 = 4;
const RECORDS: u64 = 3;
/// The spans of a batch, of each record and of each handler.
const SPANS: usize = (INVOCATIONS * (1 + 2 * RECORDS)) as usize;

/// Response of the collector to each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Works,
    Hangs,
    Refuses,
    Unavailable,
}

const COLUMNS: [Column; 4] = [
    Column::Works,
    Column::Hangs,
    Column::Refuses,
    Column::Unavailable,
];

/// A collector over HTTP or gRPC.
enum Collector {
    Http(TestCollector),
    Grpc(GrpcCollector),
}

impl Collector {
    async fn start(set_up: &str, column: Column) -> Self {
        if set_up.ends_with("tonic") {
            return Self::Grpc(GrpcCollector::start(column).await);
        }
        let response = match column {
            Column::Works | Column::Refuses => CollectorResponse::Ok,
            Column::Hangs => CollectorResponse::Hang,
            Column::Unavailable => CollectorResponse::Status(503),
        };
        let collector = TestCollector::start(response).await.unwrap();
        if column == Column::Refuses {
            collector.stop_listening().await;
        }
        Self::Http(collector)
    }

    fn endpoint(&self) -> String {
        match self {
            Self::Http(collector) => collector.endpoint(),
            Self::Grpc(collector) => collector.endpoint(),
        }
    }

    /// Returns the ids of the spans that the collector has accepted.
    fn span_ids(&self, column: Column) -> Vec<String> {
        match self {
            // The ids of requests that were received and not acknowledged do not count.
            Self::Http(_) if column != Column::Works => Vec::new(),
            Self::Http(collector) => {
                let spans = collector.spans().unwrap().into_iter();
                spans.map(|span| span.span_id).collect()
            }
            Self::Grpc(collector) => collector.span_ids(),
        }
    }
}

/// Result of one function.
#[derive(Debug)]
struct Outcome {
    received: Vec<String>,
    spilled: Vec<String>,
    /// The longest time from the event to the response.
    slowest: Duration,
    median: Duration,
    threads: usize,
    stdout: Vec<String>,
}

impl Outcome {
    /// Asserts that each span was received or spilled, and that none was received twice.
    fn assert_complete(&self, cell: &str) {
        let received: BTreeSet<&String> = self.received.iter().collect();
        assert_eq!(received.len(), self.received.len(), "{cell}: duplicates");
        let all: BTreeSet<&String> = self.received.iter().chain(&self.spilled).collect();
        assert_eq!(all.len(), SPANS, "{cell}");
        assert_eq!(self.received.len() + self.spilled.len(), SPANS, "{cell}");
        let counts = flush_counts(&self.stdout);
        let spilled = self.spilled.len() as u64;
        assert_eq!(
            counts,
            (SPANS as u64, SPANS as u64 - spilled, spilled),
            "{cell}"
        );
    }

    fn log(&self, message: &str) -> Vec<Value> {
        let lines = json_lines(&self.stdout);
        let starts = |line: &Value| {
            let found = line["message"].as_str();
            found.is_some_and(|found| found.starts_with(message))
        };
        lines.into_iter().filter(starts).collect()
    }
}

fn json_lines(stdout: &[String]) -> Vec<Value> {
    let lines = stdout.iter();
    lines
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

/// Returns the numbers of finished, exported and spilled spans that the last flush logged.
fn flush_counts(stdout: &[String]) -> (u64, u64, u64) {
    let flushed = json_lines(stdout);
    let flushed = flushed
        .iter()
        .rfind(|line| line["message"] == "telemetry flushed");
    let line = flushed.expect("a flush in the log");
    let count = |field: &str| line[field].as_u64().unwrap();
    assert_eq!(
        (count("spans_dropped"), count("spans_pending")),
        (0, 0),
        "{line}"
    );
    (
        count("spans_finished"),
        count("spans_exported"),
        count("spans_spilled"),
    )
}

fn spilled_ids(stdout: &[String]) -> Vec<String> {
    let list = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    let mut ids = Vec::new();
    for line in json_lines(stdout) {
        for resource in list(&line["otlp"], "resourceSpans") {
            for scope in list(&resource, "scopeSpans") {
                let spans = list(&scope, "spans");
                let span_ids = spans.iter().map(|span| span["spanId"].as_str().unwrap());
                ids.extend(span_ids.map(str::to_owned));
            }
        }
    }
    ids
}

fn function(set_up: &str, endpoint: &str) -> Function {
    Function::new(FUNCTION)
        .variable("SET_UP", set_up)
        .variable("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        .variable("OTEL_METRICS_EXPORTER", "none")
        .variable("RUST_LOG", "info,baton_telemetry=debug")
        .freeze()
}

/// Invokes a function that is frozen between invocations.
async fn run(set_up: &str, column: Column) -> Outcome {
    let collector = Collector::start(set_up, column).await;
    let function = function(set_up, &collector.endpoint());
    run_with(&function, set_up, column, &collector).await
}

async fn run_with(
    function: &Function,
    set_up: &str,
    column: Column,
    collector: &Collector,
) -> Outcome {
    let lambda = FakeLambda::start(function).await.unwrap();
    let mut times = Vec::new();
    for invocation in 0..INVOCATIONS {
        let numbers = invocation * RECORDS..(invocation + 1) * RECORDS;
        let records: Vec<Record> = numbers
            .map(|number| Record::new(number).traced(number))
            .collect();
        let done = lambda.invoke(event(&records), TIMEOUT).await.unwrap();
        assert_eq!(
            done.response.as_ref().unwrap()["batchItemFailures"],
            Value::Array(vec![])
        );
        times.push(done.response_time());
    }
    let threads = fs::read_dir(format!("/proc/{}/task", lambda.process_id()));
    let threads = threads.unwrap().count();
    // Read while the process is frozen: nothing may arrive later.
    let (received, stdout) = (collector.span_ids(column), lambda.stdout());
    times.sort_unstable();
    let outcome = Outcome {
        spilled: spilled_ids(&stdout),
        received,
        slowest: times[times.len() - 1],
        median: times[times.len() / 2],
        threads,
        stdout,
    };
    println!(
        "{set_up:<24} {column:?}: {} received, {} spilled, median {:?}, slowest {:?}, {} threads",
        outcome.received.len(),
        outcome.spilled.len(),
        outcome.median,
        outcome.slowest,
        outcome.threads,
    );
    outcome
}

/// Checks a row whose flush awaits the exporter: no span is lost, a flush ends within its time
/// limit, and there is one thread.
async fn check_row(set_up: &str) {
    for column in COLUMNS {
        let outcome = run(set_up, column).await;
        let cell = format!("{set_up} {column:?}");
        outcome.assert_complete(&cell);
        let received = if column == Column::Works { SPANS } else { 0 };
        assert_eq!(outcome.received.len(), received, "{cell}");
        assert!(outcome.slowest < BUDGET + SLACK, "{cell}: {outcome:?}");
        assert_eq!(outcome.threads, 1, "{cell}");
    }
}

#[tokio::test]
async fn batons_exporter() {
    check_row("environment").await;
}

#[tokio::test]
async fn span_exporter_with_hyper() {
    check_row("hyper").await;
}

#[tokio::test]
async fn span_exporter_with_reqwest() {
    check_row("reqwest").await;
}

#[tokio::test]
async fn span_exporter_with_tonic() {
    check_row("tonic").await;
}

/// The function does not start, and its error names the remedy.
async fn assert_invalid(set_up: &str) {
    let collector = Collector::start(set_up, Column::Works).await;
    let function = function(set_up, &collector.endpoint());
    let lambda = FakeLambda::start(&function).await.unwrap();
    match lambda.wait_until_ready().await {
        Err(LambdaError::Exited { stderr, .. }) => {
            assert!(stderr.contains("blocking HTTP client"), "{stderr}");
            assert!(stderr.contains("with_http_client"), "{stderr}");
            println!("{set_up:<24} invalid: {stderr}");
        }
        other => panic!("{set_up}: {other:?}"),
    }
}

#[tokio::test]
async fn span_exporter_with_a_blocking_client_is_invalid_at_start() {
    assert_invalid("reqwest-blocking").await;
}

#[tokio::test]
async fn metric_exporter_with_a_blocking_client_is_invalid_at_start() {
    assert_invalid("metrics-reqwest-blocking").await;
}

/// A blocking client that the check does not find. In a debug build, reqwest panics; in a release
/// build, it blocks the thread. Both are logged with the remedy, and no span is lost.
#[tokio::test]
async fn a_blocking_client_that_hides_is_logged_and_its_spans_are_spilled() {
    let outcome = run("hidden-reqwest-blocking", Column::Hangs).await;
    outcome.assert_complete("hidden");
    let message = if cfg!(debug_assertions) {
        "the exporter panicked"
    } else {
        "the exporter blocks the thread"
    };
    let logged = outcome.log(message);
    assert_eq!(logged.len(), 1, "{:?}", outcome.stdout);
    assert_eq!(logged[0]["level"], "ERROR");
    assert!(
        logged[0]["remedy"]
            .as_str()
            .unwrap()
            .contains("with_http_client")
    );
}

/// Checks providers that the program has set up. Spans arrive if the collector works, and a flush
/// ends within its time limit. Spans that are not exported are lost.
async fn check_providers(set_up: &str) {
    for column in COLUMNS {
        let outcome = run(set_up, column).await;
        let cell = format!("{set_up} {column:?}");
        let received = if column == Column::Works { SPANS } else { 0 };
        assert_eq!(outcome.received.len(), received, "{cell}");
        assert_eq!(outcome.spilled.len(), 0, "{cell}");
        assert!(outcome.slowest < BUDGET + SLACK, "{cell}: {outcome:?}");
        if column != Column::Works {
            assert!(!outcome.log("spans not exported").is_empty(), "{cell}");
        }
    }
}

#[tokio::test]
async fn providers_with_the_batch_processor_and_a_blocking_client() {
    check_providers("batch-blocking").await;
}

#[tokio::test]
async fn providers_with_the_batch_processor_and_tonic() {
    check_providers("batch-tonic").await;
}

#[tokio::test]
async fn providers_with_the_tokio_processor_and_hyper() {
    check_providers("tokio-hyper").await;
}

#[tokio::test]
async fn providers_with_the_tokio_processor_and_tonic() {
    check_providers("tokio-tonic").await;
}

/// The thread of the batch processor has no reactor, so hyper panics on it.
#[tokio::test]
async fn providers_with_the_batch_processor_and_hyper_lose_every_span() {
    let outcome = run("batch-hyper", Column::Works).await;
    assert_eq!(outcome.received.len(), 0);
    assert!(!outcome.log("spans not exported").is_empty());
}

/// Control: shows that the tests detect lost spans.
#[tokio::test]
async fn a_function_that_does_not_flush_exports_nothing() {
    let outcome = run("unflushed", Column::Works).await;
    assert_eq!((outcome.received.len(), outcome.spilled.len()), (0, 0));
}

#[tokio::test]
async fn all_signals_are_exported_by_the_programs_exporters() {
    for client in ["hyper", "reqwest"] {
        let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
        let function = function(client, &collector.endpoint());
        let collector = Collector::Http(collector);
        run_with(&function, client, Column::Works, &collector).await;
        let Collector::Http(collector) = collector else {
            unreachable!()
        };
        let names: BTreeSet<String> = collector
            .metrics()
            .unwrap()
            .into_iter()
            .map(|metric| metric.name)
            .collect();
        assert!(names.contains("messaging.process.duration"), "{names:?}");
        assert!(names.contains("baton.telemetry.spans"), "{names:?}");
        let records = collector.log_records().unwrap();
        let stored = records.iter().filter(|record| {
            record.resource.attributes.contains_key("service.name")
                && format!("{:?}", record.body).contains("stored")
        });
        assert_eq!(stored.count() as u64, INVOCATIONS * RECORDS, "{records:?}");
        // There is at most one request for each signal and invocation.
        for signal in [Signal::Traces, Signal::Metrics, Signal::Logs] {
            assert!(
                collector.exports(signal).len() as u64 <= INVOCATIONS,
                "{signal:?}"
            );
        }
    }
}

/// Spans and log records of the exporter's own client are not exported. Otherwise each export would
/// create new ones.
#[tokio::test]
async fn the_client_of_the_exporter_creates_no_telemetry() {
    for client in ["reqwest", "tonic"] {
        let collector = Collector::start(client, Column::Works).await;
        let function = function(client, &collector.endpoint()).variable("RUST_LOG", "trace");
        let outcome = run_with(&function, client, Column::Works, &collector).await;
        assert_eq!(outcome.received.len(), SPANS, "{client}");
    }
}
