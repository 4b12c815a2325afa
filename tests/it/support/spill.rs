//! What a function leaves on stdout when the collector does not take its telemetry, and what `baton
//! replay` makes of it.

use std::collections::BTreeMap;
use std::process::{Output, Stdio};

use baton_test_support::{Span, TestCollector};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use super::binaries::Binaries;

/// A span, as far as it matters whether it is there.
pub(crate) type Id = (String, String);

/// The ids of these spans, in their order and as often as they are there.
pub(crate) fn ids(spans: &[Span]) -> Vec<Id> {
    let mut ids: Vec<Id> = spans
        .iter()
        .map(|span| (span.trace_id.clone(), span.span_id.clone()))
        .collect();
    ids.sort_unstable();
    ids
}

/// The ids of the spans in the lines that are there for `baton replay`, as often as they are there.
/// Read by hand, and not as it does.
pub(crate) fn spilled(stdout: &[String]) -> Vec<Id> {
    let mut ids = Vec::new();
    let mut fragments: BTreeMap<String, BTreeMap<u64, String>> = BTreeMap::new();
    for line in with_key(stdout, "baton.spill") {
        match line["text"].as_str() {
            None => add_ids(&mut ids, &line["otlp"]),
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
        add_ids(&mut ids, &serde_json::from_str(&document).unwrap());
    }
    ids.sort_unstable();
    ids
}

/// How many fragments of spans there are that are too long for one line.
pub(crate) fn fragments(stdout: &[String]) -> usize {
    let lines = with_key(stdout, "baton.spill");
    lines.filter(|line| line["text"].is_string()).count()
}

fn add_ids(ids: &mut Vec<Id>, document: &Value) {
    let of = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    for resource in of(document, "resourceSpans") {
        for scope in of(&resource, "scopeSpans") {
            for span in of(&scope, "spans") {
                let id = |key| span[key].as_str().unwrap().to_owned();
                ids.push((id("traceId"), id("spanId")));
            }
        }
    }
}

/// How many spans the embedded metrics on stdout say were not exported, line by line.
pub(crate) fn told_to_cloudwatch(stdout: &[String]) -> Vec<u64> {
    let not_exported = |line: Value| {
        let metrics = line["_aws"]["CloudWatchMetrics"][0]["Metrics"].clone();
        let names = metrics.as_array().unwrap().iter();
        let counts = names.map(|metric| line[metric["Name"].as_str().unwrap()].as_u64().unwrap());
        // Every line tells of something.
        assert!(counts.sum::<u64>() > 0, "{line}");
        line["SpansSpilled"].as_u64().unwrap() + line["SpansDropped"].as_u64().unwrap()
    };
    with_key(stdout, "_aws").map(not_exported).collect()
}

/// Where the spans of a process stand, after each flush.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Account {
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
pub(crate) fn last_account(stdout: &[String]) -> Option<Account> {
    let flushed =
        with_key(stdout, "spans_finished").filter(|line| line["message"] == "telemetry flushed");
    let account = |line: Value| {
        let of = |field: &str| {
            line[field]
                .as_u64()
                .unwrap_or_else(|| panic!("{field}: {line}"))
        };
        let account = Account {
            finished: of("spans_finished"),
            exported: of("spans_exported"),
            spilled: of("spans_spilled"),
            dropped: of("spans_dropped"),
            pending: of("spans_pending"),
        };
        let sum = account.exported + account.spilled + account.dropped + account.pending;
        assert_eq!(account.finished, sum, "{line}");
        account
    };
    flushed
        .map(account)
        .max_by_key(|account| (account.finished, account.finished - account.pending))
}

/// The lines that are JSON objects with this member.
fn with_key<'a>(stdout: &'a [String], key: &'a str) -> impl Iterator<Item = Value> + 'a {
    // Nearly all lines have it not, and some are large.
    let candidates = stdout.iter().filter(move |line| line.contains(key));
    candidates.filter_map(move |line| {
        let line: Value = serde_json::from_str(line).ok()?;
        line.get(key).is_some().then_some(line)
    })
}

/// A log in a file, as somebody has saved it, and a home for whoever replays it.
#[derive(Debug)]
pub(crate) struct SavedLog {
    folder: TempDir,
}

impl SavedLog {
    pub(crate) fn of(stdout: &[String]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("function.log"), stdout.join("\n")).unwrap();
        Self { folder }
    }

    /// `baton replay` of it; what it said.
    pub(crate) async fn replay(&self, collector: &TestCollector) -> String {
        let output = self.try_replay(collector).await;
        let said = |pipe: &[u8]| String::from_utf8_lossy(pipe).into_owned();
        let (stdout, stderr) = (said(&output.stdout), said(&output.stderr));
        assert!(
            output.status.success(),
            "{}:\n{stdout}\n{stderr}",
            output.status
        );
        stdout + &stderr
    }

    /// As it may fail.
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
