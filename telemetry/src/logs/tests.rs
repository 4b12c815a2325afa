use super::*;
use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, TraceFlags, TraceState};
use serde_json::Value;
use std::io;
use std::sync::{Arc, Mutex};
use tracing::Dispatch;
use tracing::subscriber::{DefaultGuard, NoSubscriber};
use tracing_subscriber::fmt::MakeWriter;

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Captured {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Keeps what this thread logs, as it would be on stdout, until it is dropped.
pub(crate) struct Capture {
    captured: Captured,
    _default: DefaultGuard,
    /// With one subscriber alone, an event that the thread of another test comes to first would be off for all threads.
    _second: Dispatch,
}

impl Capture {
    pub(crate) fn start() -> Self {
        let second = Dispatch::new(NoSubscriber::new());
        let captured = Captured::default();
        let layer = tracing_subscriber::fmt::layer()
            .event_format(Json)
            .with_writer(captured.clone());
        let subscriber = tracing_subscriber::registry().with(layer);
        Self {
            captured,
            _default: tracing::subscriber::set_default(subscriber),
            _second: second,
        }
    }

    pub(crate) fn lines(&self) -> Vec<Value> {
        let bytes = self.captured.0.lock().unwrap().clone();
        let lines = bytes.split_inclusive(|byte| *byte == b'\n');
        lines
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect()
    }
}

/// The lines that `log` logs.
pub(crate) fn captured(log: impl FnOnce()) -> Vec<Value> {
    let capture = Capture::start();
    log();
    capture.lines()
}

fn logged(log: impl FnOnce()) -> Value {
    let mut lines = captured(log);
    assert_eq!(lines.len(), 1);
    lines.remove(0)
}

#[test]
fn fields_keep_their_types_and_strange_text_stays_in_one_line() {
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
fn a_line_carries_the_ids_of_the_active_span() {
    let remote = SpanContext::new(
        0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736.into(),
        0x00f0_67aa_0ba9_02b7.into(),
        TraceFlags::SAMPLED,
        true,
        TraceState::NONE,
    );
    let guard = Context::new().with_remote_span_context(remote).attach();
    let line = logged(|| tracing::info!("inside"));
    drop(guard);
    assert_eq!(line["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(line["span_id"], "00f067aa0ba902b7");
}

#[test]
fn no_level_makes_other_crates_log_bodies() {
    for asked_for in [
        "trace",
        "lambda=trace,aws=trace",
        "info,lambda_runtime=trace,aws_smithy_runtime=trace",
        "lambda_runtime::layers=trace,aws_smithy_runtime::client=trace,debug",
    ] {
        let filter = without_bodies(asked_for.parse().unwrap());
        for target in ["lambda_runtime::layers", "aws_smithy_runtime::client"] {
            assert!(!filter.would_enable(target, &Level::TRACE), "{asked_for}");
            assert!(filter.would_enable(target, &Level::DEBUG), "{asked_for}");
        }
    }
}

#[test]
fn what_else_is_asked_for_stays() {
    for asked_for in ["info", "warn,hyper=trace", "lambda_runtime=error", "trace"] {
        let filter: Targets = asked_for.parse().unwrap();
        let kept = without_bodies(filter.clone());
        for (target, level) in [
            ("hyper", Level::TRACE),
            ("baton_lambda", Level::TRACE),
            ("baton_lambda", Level::INFO),
            ("lambda_runtime", Level::WARN),
        ] {
            let expected = filter.would_enable(target, &level);
            assert_eq!(
                kept.would_enable(target, &level),
                expected,
                "{asked_for}: {target}"
            );
        }
    }
}

#[test]
fn opentelemetrys_own_lines_are_warnings_unless_they_are_asked_for_by_name() {
    for (asked_for, api, sdk) in [
        ("info", LevelFilter::WARN, LevelFilter::WARN),
        ("trace", LevelFilter::WARN, LevelFilter::WARN),
        ("error", LevelFilter::ERROR, LevelFilter::ERROR),
        ("orders=debug", LevelFilter::OFF, LevelFilter::OFF),
        (
            "info,opentelemetry=debug",
            LevelFilter::DEBUG,
            LevelFilter::DEBUG,
        ),
        (
            "info,opentelemetry_sdk=debug",
            LevelFilter::WARN,
            LevelFilter::DEBUG,
        ),
        ("opentelemetry=off,info", LevelFilter::OFF, LevelFilter::OFF),
    ] {
        let filter = of_lines(asked_for.parse().unwrap());
        for (target, expected) in [("opentelemetry", api), ("opentelemetry_sdk", sdk)] {
            for level in [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG] {
                assert_eq!(
                    filter.would_enable(target, &level),
                    level <= expected,
                    "{asked_for}: {target} {level}"
                );
            }
        }
    }
}
