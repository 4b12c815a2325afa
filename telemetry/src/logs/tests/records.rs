//! Log records, compared with those of `opentelemetry-appender-tracing`, and records of the public
//! layer.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry::InstrumentationScope;
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_proto::tonic::common::v1::any_value;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ScopeLogs};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{LogProcessor, SdkLogRecord, SdkLoggerProvider};
use prost::Message as _;
use tracing::{Subscriber, debug, error, info, trace, warn};

use super::*;
use crate::buffer::{Bounds, Selection};

fn buffer() -> Buffer {
    Buffer::new(Bounds {
        records: 1000,
        bytes: 1 << 20,
    })
}

/// Returns the content of the buffer in the order in which it would be sent.
fn buffered_scopes(buffer: &Buffer) -> Vec<ScopeLogs> {
    let taken = buffer.take(Selection::All);
    let chunks = taken.next_request(usize::MAX);
    chunks
        .iter()
        .map(|chunk| ScopeLogs::decode(&*chunk.bytes).unwrap())
        .collect()
}

fn log_in(subscriber: impl Subscriber + Send + Sync, log: impl FnOnce()) {
    // With only one subscriber, an event first reached by another test's thread would be disabled
    // for all threads.
    let _second = Dispatch::new(NoSubscriber::new());
    tracing::subscriber::with_default(subscriber, log);
}

/// Stores the records of `opentelemetry-appender-tracing`.
#[derive(Debug, Clone, Default)]
struct AppenderRecords(Arc<Mutex<Vec<LogRecord>>>);

impl LogProcessor for AppenderRecords {
    fn emit(&self, record: &mut SdkLogRecord, _: &InstrumentationScope) {
        self.0.lock().unwrap().push((&*record).into());
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Logs events with fields of all types except errors, of which `opentelemetry-appender-tracing`
/// keeps only the outermost text.
fn log_all_types_of_field() {
    trace!(target: "everything", "no fields");
    debug!(target: "everything", only = "fields");
    info!(target: "everything", a = 1, b = -1i64, c = u64::MAX, d = i128::MIN, e = 7u128, "numbers");
    warn!(target: "everything", a = 1.5, b = f64::INFINITY, c = true, "others {}", 1);
    error!(target: "everything", a = "text", b = ?Some("text"), c = %"text", d = &b"\x00\xff"[..], "texts");
    let long = "€".repeat(100);
    info!(target: "everything", long, empty = "", none = None::<u8>, "{long}");
}

#[test]
fn records_are_those_of_opentelemetry_appender_tracing() {
    let theirs = AppenderRecords::default();
    let provider = SdkLoggerProvider::builder();
    let provider = provider.with_log_processor(theirs.clone()).build();
    let ours = buffer();
    let _active = Context::new().with_remote_span_context(span()).attach();
    let events = LogLayer::new(LogFormat::Json, Output::captured(), Some(ours.clone()));
    let bridge = OpenTelemetryTracingBridge::new(&provider);
    let both = tracing_subscriber::registry().with(events).with(bridge);
    log_in(both, log_all_types_of_field);
    let mut scopes = buffered_scopes(&ours);
    assert_eq!(scopes.len(), 1);
    assert_eq!(scopes[0].scope.take().unwrap().name, "everything");
    let theirs = theirs.0.lock().unwrap().clone();
    assert_eq!(theirs.len(), 6);
    assert_eq!(scopes[0].log_records.len(), theirs.len());
    for (ours, mut theirs) in scopes.remove(0).log_records.into_iter().zip(theirs) {
        // The other crate does not set the time, and names an event without a name after its source
        // location.
        theirs.time_unix_nano = ours.time_unix_nano;
        theirs.observed_time_unix_nano = ours.observed_time_unix_nano;
        assert!(theirs.event_name.starts_with("event "));
        theirs.event_name.clear();
        assert_eq!(ours, theirs);
    }
}

/// Uses a program's own subscriber, of which only the layer is this crate's.
#[test]
fn the_public_layer_creates_records_once_telemetry_is_initialised() {
    let subscriber = tracing_subscriber::registry().with(log_layer().without_stdout());
    let exported = buffer();
    log_in(subscriber, || {
        info!(target: "orders", "before");
        layer::set_export_buffer(exported.clone());
        info!(target: "orders", "after");
        error!(target: "hyper::client", "of an export");
    });
    let mut scopes = buffered_scopes(&exported);
    let record = scopes.remove(0).log_records.remove(0);
    let body = record.body.unwrap().value.unwrap();
    assert_eq!(body, any_value::Value::StringValue("after".into()));
    assert_eq!(exported.counts().finished, 1);
}
