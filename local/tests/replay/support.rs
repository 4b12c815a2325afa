//! Spilled spans, the spans that a collector accepted, and the command.

use std::path::Path;
use std::process::{Output, Stdio};

use baton_telemetry::spill::MAX_LINE_BYTES;
use baton_test_support::{Signal, TestCollector};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};

/// Returns the accepted spans, sorted by name. They have neither a resource nor a scope, which
/// [`TestCollector::spans`] requires.
pub(crate) fn accepted_spans(collector: &TestCollector) -> Vec<Span> {
    let requests = collector.messages(Signal::Traces).unwrap();
    let mut spans: Vec<Span> = requests.into_iter().flat_map(spans_in).collect();
    spans.sort_by(|one, other| one.name.cmp(&other.name));
    spans
}

pub(crate) fn spans_in(request: ExportTraceServiceRequest) -> Vec<Span> {
    let resources = request.resource_spans.into_iter();
    let scopes = resources.flat_map(|resource| resource.scope_spans);
    scopes.flat_map(|scope| scope.spans).collect()
}

/// Returns a span with a text of this length.
pub(crate) fn span(name: &str, length: usize) -> Span {
    let text = any_value::Value::StringValue("x".repeat(length));
    Span {
        trace_id: vec![0xab; 16],
        span_id: vec![0xcd; 8],
        name: name.to_owned(),
        start_time_unix_nano: 1_790_000_000_123_456_789,
        end_time_unix_nano: 1_790_000_001_123_456_789,
        attributes: vec![KeyValue {
            key: "text".to_owned(),
            value: Some(AnyValue { value: Some(text) }),
            ..KeyValue::default()
        }],
        ..Span::default()
    }
}

/// Returns the lines that a process spills for these spans.
pub(crate) fn spill_lines(spans: &[Span]) -> Vec<String> {
    let scope_spans = vec![ScopeSpans {
        spans: spans.to_vec(),
        ..ScopeSpans::default()
    }];
    let resource_spans = vec![ResourceSpans {
        scope_spans,
        ..ResourceSpans::default()
    }];
    let request = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
    let mut out = Vec::new();
    baton_telemetry::replay::spill(&request, MAX_LINE_BYTES, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// The command, in a directory with a log and the ledger.
pub(crate) struct ReplayCommand {
    pub(crate) folder: TempDir,
}

/// Exit code and output of the command.
pub(crate) struct CommandOutput {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl CommandOutput {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("{} {}", self.out, self.err))
    }
}

impl ReplayCommand {
    pub(crate) fn new(log: impl AsRef<[u8]>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("log"), log).unwrap();
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// Replays the log.
    pub(crate) async fn replay(
        &self,
        collector: &TestCollector,
        arguments: &[&str],
    ) -> CommandOutput {
        let given = ["log", "--endpoint", &collector.endpoint()];
        let arguments = [&given[..], arguments].concat();
        self.run(&arguments, &[], b"").await
    }

    /// Runs the command with only the given environment variables.
    pub(crate) async fn run(
        &self,
        arguments: &[&str],
        environment: &[(&str, &str)],
        input: &[u8],
    ) -> CommandOutput {
        let mut child = self.start(arguments, environment);
        let mut stdin = child.stdin.take().unwrap();
        let (written, output) = tokio::join!(
            async move { stdin.write_all(input).await },
            child.wait_with_output()
        );
        written.unwrap();
        let Output {
            status,
            stdout,
            stderr,
        } = output.unwrap();
        CommandOutput {
            code: status.code(),
            out: String::from_utf8(stdout).unwrap(),
            err: String::from_utf8(stderr).unwrap(),
        }
    }

    /// Starts the command with only the given environment variables.
    pub(crate) fn start(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Child {
        Command::new(Path::new(env!("CARGO_BIN_EXE_baton")))
            .arg("replay")
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("HOME", self.folder.path())
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }
}
