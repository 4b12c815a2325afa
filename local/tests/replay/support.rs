//! A scripted collector, spilled spans, and the command.

use std::collections::VecDeque;
use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::Redirect;
use axum::routing::post;
use baton_telemetry::spill::MAX_LINE_BYTES;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

/// How a request is answered.
#[derive(Clone, Copy)]
pub(crate) enum Answer {
    Status(u16),
    /// With success, but for so many of the spans.
    Reject(i64),
    /// With 400 where this span is in the request.
    RefuseWith(&'static str),
    /// With 400 where the request has more than this many bytes, or none.
    RefuseBeyond(usize),
    /// With status 200 and the body of a web page.
    WebPage,
}

#[derive(Clone, Default)]
pub(crate) struct Collector {
    pub(crate) endpoint: String,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    script: VecDeque<Answer>,
    always: Option<Answer>,
    accepted: Vec<Span>,
    lengths: Vec<usize>,
    headers: Vec<HeaderMap>,
}

impl Collector {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let collector = Self {
            endpoint,
            shared: Arc::default(),
        };
        let app = Router::new()
            .route("/v1/traces", post(receive))
            .route("/moved/v1/traces", post(moved))
            .fallback(elsewhere)
            .layer(DefaultBodyLimit::max(4 * 1024 * 1024))
            .with_state(collector.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        collector
    }

    /// Answers the next requests so.
    pub(crate) fn script(&self, answers: &[Answer]) {
        self.shared.lock().unwrap().script.extend(answers);
    }

    /// Answers all requests so.
    pub(crate) fn always(&self, answer: Answer) {
        self.shared.lock().unwrap().always = Some(answer);
    }

    /// The accepted spans, by their names.
    pub(crate) fn spans(&self) -> Vec<Span> {
        let mut spans = self.shared.lock().unwrap().accepted.clone();
        spans.sort_by(|one, other| one.name.cmp(&other.name));
        spans
    }

    pub(crate) fn requests(&self) -> Vec<usize> {
        self.shared.lock().unwrap().lengths.clone()
    }

    pub(crate) fn headers(&self) -> Vec<HeaderMap> {
        self.shared.lock().unwrap().headers.clone()
    }
}

/// Counts what comes by another path.
async fn elsewhere(State(collector): State<Collector>, body: Bytes) -> StatusCode {
    let mut shared = collector.shared.lock().unwrap();
    shared.lengths.push(body.len());
    StatusCode::NOT_FOUND
}

async fn moved(State(collector): State<Collector>, body: Bytes) -> Redirect {
    let mut shared = collector.shared.lock().unwrap();
    shared.lengths.push(body.len());
    Redirect::temporary("https://collector.example/v1/traces?key=SECRET")
}

async fn receive(
    State(collector): State<Collector>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, [(HeaderName, &'static str); 1], Vec<u8>) {
    let mut shared = collector.shared.lock().unwrap();
    let length = body.len();
    shared.lengths.push(length);
    shared.headers.push(headers);
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    let scopes = request
        .resource_spans
        .into_iter()
        .flat_map(|spans| spans.scope_spans);
    let spans: Vec<Span> = scopes.flat_map(|scope| scope.spans).collect();
    let answer = shared.script.pop_front().or(shared.always);
    let mut rejected_spans = None;
    let status = match answer.unwrap_or(Answer::Status(200)) {
        Answer::Status(status) => status,
        Answer::RefuseWith(name) if spans.iter().any(|span| span.name == name) => 400,
        Answer::RefuseBeyond(most) if length == 0 || length > most => 400,
        Answer::RefuseWith(_) | Answer::RefuseBeyond(_) => 200,
        Answer::Reject(spans) => {
            rejected_spans = Some(spans);
            200
        }
        Answer::WebPage => {
            let content_type = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];
            return (StatusCode::OK, content_type, b"<!doctype html>".to_vec());
        }
    };
    if status == 200 {
        shared.accepted.extend(spans);
    }
    let partial_success = rejected_spans.map(|rejected_spans| ExportTracePartialSuccess {
        rejected_spans,
        error_message: "over quota".to_owned(),
    });
    let response = ExportTraceServiceResponse { partial_success };
    (
        StatusCode::from_u16(status).unwrap(),
        [(header::CONTENT_TYPE, "application/x-protobuf")],
        response.encode_to_vec(),
    )
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
    pub(crate) async fn replay(&self, collector: &Collector, arguments: &[&str]) -> CommandOutput {
        let given = ["log", "--endpoint", &collector.endpoint];
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
