//! The spans that a function spills to stdout when the collector does not accept them, and
//! `baton replay`.

use std::collections::BTreeMap;
use std::process::{Output, Stdio};

use baton_test_support::{Span, TestCollector};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use super::binaries::Binaries;

/// Trace id and span id.
pub(crate) type SpanKey = (String, String);

/// Returns the keys of these spans, sorted and with duplicates.
pub(crate) fn span_keys(spans: &[Span]) -> Vec<SpanKey> {
    let mut span_keys: Vec<SpanKey> = spans
        .iter()
        .map(|span| (span.trace_id.clone(), span.span_id.clone()))
        .collect();
    span_keys.sort_unstable();
    span_keys
}

/// Returns the keys of the spilled spans, sorted and with duplicates. Parsed independently of
/// `baton replay`.
pub(crate) fn spilled_spans(stdout: &[String]) -> Vec<SpanKey> {
    let mut span_keys = Vec::new();
    let mut fragments: BTreeMap<String, BTreeMap<u64, String>> = BTreeMap::new();
    for line in with_key(stdout, "baton.spill") {
        match line["text"].as_str() {
            None => add_keys(&mut span_keys, &line["otlp"]),
            Some(text) => {
                let id = line["id"].as_str().unwrap().to_owned();
                let part = line["part"].as_u64().unwrap();
                fragments
                    .entry(id)
                    .or_default()
                    .insert(part, text.to_owned());
            }
        }
    }
    for pieces in fragments.into_values() {
        let document: String = pieces.into_values().collect();
        add_keys(&mut span_keys, &serde_json::from_str(&document).unwrap());
    }
    span_keys.sort_unstable();
    span_keys
}

/// Returns the number of lines with a fragment of a span that is too long for one line.
pub(crate) fn fragment_count(stdout: &[String]) -> usize {
    let lines = with_key(stdout, "baton.spill");
    lines.filter(|line| line["text"].is_string()).count()
}

fn add_keys(span_keys: &mut Vec<SpanKey>, document: &Value) {
    let list = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    for resource in list(document, "resourceSpans") {
        for scope in list(&resource, "scopeSpans") {
            for span in list(&scope, "spans") {
                let id = |key| span[key].as_str().unwrap().to_owned();
                span_keys.push((id("traceId"), id("spanId")));
            }
        }
    }
}

/// Returns the numbers of spans that were not exported, from each line with embedded metrics.
pub(crate) fn unexported_span_counts(stdout: &[String]) -> Vec<u64> {
    let not_exported = |line: Value| {
        let metrics = line["_aws"]["CloudWatchMetrics"][0]["Metrics"].clone();
        let names = metrics.as_array().unwrap().iter();
        let counts = names.map(|metric| line[metric["Name"].as_str().unwrap()].as_u64().unwrap());
        // Lines with only zeros are not written.
        assert!(counts.sum::<u64>() > 0, "{line}");
        line["SpansSpilled"].as_u64().unwrap() + line["SpansDropped"].as_u64().unwrap()
    };
    with_key(stdout, "_aws").map(not_exported).collect()
}

/// Span counts of a process after a flush.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct SpanCounts {
    pub(crate) finished: u64,
    pub(crate) exported: u64,
    pub(crate) spilled: u64,
    pub(crate) dropped: u64,
    pub(crate) pending: u64,
}

/// Returns the newest of the span counts that the process logs, at debug level, after each flush.
/// Fails if the counts of a line do not add up.
///
/// The newest line is not always the last one: two threads may write their lines in a different
/// order from that in which they counted. The counts never decrease.
pub(crate) fn last_span_counts(stdout: &[String]) -> Option<SpanCounts> {
    let flushed =
        with_key(stdout, "spans_finished").filter(|line| line["message"] == "telemetry flushed");
    let counts = |line: Value| {
        let count = |field: &str| {
            line[field]
                .as_u64()
                .unwrap_or_else(|| panic!("{field}: {line}"))
        };
        let counts = SpanCounts {
            finished: count("spans_finished"),
            exported: count("spans_exported"),
            spilled: count("spans_spilled"),
            dropped: count("spans_dropped"),
            pending: count("spans_pending"),
        };
        let sum = counts.exported + counts.spilled + counts.dropped + counts.pending;
        assert_eq!(counts.finished, sum, "{line}");
        counts
    };
    flushed
        .map(counts)
        .max_by_key(|counts| (counts.finished, counts.finished - counts.pending))
}

/// Returns the lines that are JSON objects with this member.
fn with_key<'a>(stdout: &'a [String], key: &'a str) -> impl Iterator<Item = Value> + 'a {
    // Most lines do not have the member, and some are too large to parse all of them.
    let candidates = stdout.iter().filter(move |line| line.contains(key));
    candidates.filter_map(move |line| {
        let line: Value = serde_json::from_str(line).ok()?;
        line.get(key).is_some().then_some(line)
    })
}

/// A log in a file, and the home directory of `baton replay`.
#[derive(Debug)]
pub(crate) struct SavedLog {
    folder: TempDir,
}

impl SavedLog {
    pub(crate) fn new(stdout: &[String]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("function.log"), stdout.join("\n")).unwrap();
        Self { folder }
    }

    /// Runs `baton replay`, asserts that it succeeds, and returns its output.
    pub(crate) async fn replay(&self, collector: &TestCollector) -> String {
        let output = self.try_replay(collector).await;
        let text = |pipe: &[u8]| String::from_utf8_lossy(pipe).into_owned();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        assert!(
            output.status.success(),
            "{}:\n{stdout}\n{stderr}",
            output.status
        );
        stdout + &stderr
    }

    /// Runs `baton replay`, which may fail.
    pub(crate) async fn try_replay(&self, collector: &TestCollector) -> Output {
        let replay = Command::new(&Binaries::get().baton)
            .args(["replay", "function.log"])
            .current_dir(self.folder.path())
            .env_clear()
            .env("HOME", self.folder.path())
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        replay.await.expect("baton can be started")
    }
}
