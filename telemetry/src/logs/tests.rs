use std::io;

use opentelemetry::Context;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{SpanContext, TraceContextExt as _, TraceFlags, TraceState};
use serde_json::Value;
use tracing::Dispatch;
use tracing::subscriber::{DefaultGuard, NoSubscriber};

use super::*;
use crate::config::LogFormat;

mod ids;
mod message_fields;
mod records;
mod span_fields;

/// Captures the log lines of this thread until it is dropped.
pub(crate) struct Capture {
    output: Output,
    _default: DefaultGuard,
    /// A second subscriber. With only one, an event first reached by another test's thread would be
    /// disabled for all threads.
    _second: Dispatch,
}

impl Capture {
    pub(crate) fn start() -> Self {
        Self::with_format(LogFormat::Json, None)
    }

    /// Also adds log records to the buffer.
    pub(crate) fn with_records(buffer: Buffer) -> Self {
        Self::with_format(LogFormat::Json, Some(buffer))
    }

    fn with_format(format: LogFormat, records: Option<Buffer>) -> Self {
        let second = Dispatch::new(NoSubscriber::new());
        let output = Output::captured();
        let events = LogLayer::new(format, output.clone(), records);
        let subscriber = tracing_subscriber::registry().with(events);
        Self {
            output,
            _default: tracing::subscriber::set_default(subscriber),
            _second: second,
        }
    }

    pub(crate) fn lines(&self) -> Vec<Value> {
        let lines = self.output.lines();
        lines
            .iter()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

/// Returns the lines that `log` logs, parsed from JSON.
pub(crate) fn captured(log: impl FnOnce()) -> Vec<Value> {
    let capture = Capture::start();
    log();
    capture.lines()
}

/// Returns the lines that `log` logs, in this format.
pub(super) fn lines(format: LogFormat, log: impl FnOnce()) -> Vec<String> {
    let capture = Capture::with_format(format, None);
    log();
    capture.output.lines()
}

/// Returns the context of a span in another process.
pub(super) fn span() -> SpanContext {
    SpanContext::new(
        0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736.into(),
        0x00f0_67aa_0ba9_02b7.into(),
        TraceFlags::SAMPLED,
        true,
        TraceState::NONE,
    )
}

fn logged(log: impl FnOnce()) -> Value {
    let mut lines = captured(log);
    assert_eq!(lines.len(), 1);
    lines.remove(0)
}

#[test]
fn fields_keep_their_types_and_line_breaks_are_escaped() {
    let error = io::Error::other(io::Error::other("the cause"));
    let line = logged(|| {
        tracing::warn!(
            count = 3,
            share = 0.5,
            ok = true,
            error = &error as &dyn std::error::Error,
            "two\nlines \"quoted\""
        );
    });
    assert_eq!(line["level"], "WARN");
    assert_eq!(line["message"], "two\nlines \"quoted\"");
    assert_eq!(
        (&line["count"], &line["share"], &line["ok"]),
        (&3.into(), &0.5.into(), &true.into())
    );
    assert_eq!(line["error"], "the cause");
    assert!(line["timestamp"].as_str().unwrap().ends_with('Z'));
    assert!(line.get("trace_id").is_none());
}

#[test]
fn a_line_has_the_ids_of_the_active_span() {
    let guard = Context::new().with_remote_span_context(span()).attach();
    let line = logged(|| tracing::info!("inside"));
    drop(guard);
    assert_eq!(line["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(line["span_id"], "00f067aa0ba902b7");
}
