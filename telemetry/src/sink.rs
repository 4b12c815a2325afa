//! A collector for tests: a real socket that answers as it is told and keeps the spans it accepted.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::logs::v1::ResourceLogs;
use opentelemetry_proto::tonic::metrics::v1::{Metric, ResourceMetrics};
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use prost::Message as _;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::otlp::Signal;

/// What the sink does with a request that it has read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// With this status; 200 means that what is in it is kept.
    Status(u16),
    /// As a status, and the connection is closed without a word behind the answer, as a proxy does
    /// with an idle one.
    ThenClose(u16),
    /// With success, but for so many of the spans, or data points.
    Reject(i64),
    /// A response with these bytes, head and body. The content of the request is not kept.
    Raw(&'static str),
    /// Never.
    Hang,
}

#[derive(Debug, Default)]
struct Shared {
    script: VecDeque<Answer>,
    metrics_script: VecDeque<Answer>,
    accepted: Vec<ResourceSpans>,
    accepted_metrics: Vec<ResourceMetrics>,
    accepted_logs: Vec<ResourceLogs>,
    requests: Vec<Vec<(String, String)>>,
    connections: usize,
}

pub(crate) struct Sink {
    pub(crate) address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    server: JoinHandle<()>,
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Sink {
    /// Answers the first requests by the script, and all later ones with 200.
    pub(crate) async fn start(script: &[Answer]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Mutex::new(Shared {
            script: script.iter().copied().collect(),
            ..Shared::default()
        }));
        let server = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self {
            address,
            shared,
            server,
        }
    }

    /// Answers the first requests with metrics by this script, instead of the one for all.
    pub(crate) fn script_metrics(&self, script: &[Answer]) {
        let mut shared = self.shared.lock().unwrap();
        shared.metrics_script.extend(script);
    }

    pub(crate) fn accepted_metrics(&self) -> Vec<ResourceMetrics> {
        self.shared.lock().unwrap().accepted_metrics.clone()
    }

    /// The accepted metrics of all scopes.
    pub(crate) fn metrics(&self) -> Vec<Metric> {
        let accepted = self.accepted_metrics();
        let scopes = accepted.iter().flat_map(|resource| &resource.scope_metrics);
        scopes.flat_map(|scope| scope.metrics.clone()).collect()
    }

    pub(crate) fn metrics_requests(&self) -> usize {
        let requests = self.requests();
        requests
            .iter()
            .filter(|headers| signal_of(headers) == Signal::Metrics)
            .count()
    }

    pub(crate) fn span_names(&self) -> Vec<String> {
        let shared = self.shared.lock().unwrap();
        let scopes = shared
            .accepted
            .iter()
            .flat_map(|resource| &resource.scope_spans);
        scopes
            .flat_map(|scope| &scope.spans)
            .map(|span| span.name.clone())
            .collect()
    }

    pub(crate) fn accepted(&self) -> Vec<ResourceSpans> {
        self.shared.lock().unwrap().accepted.clone()
    }

    pub(crate) fn accepted_logs(&self) -> Vec<ResourceLogs> {
        self.shared.lock().unwrap().accepted_logs.clone()
    }

    /// The headers of each request.
    pub(crate) fn requests(&self) -> Vec<Vec<(String, String)>> {
        self.shared.lock().unwrap().requests.clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.shared.lock().unwrap().connections
    }
}

async fn accept(listener: TcpListener, shared: Arc<Mutex<Shared>>) {
    while let Ok((stream, _)) = listener.accept().await {
        shared.lock().unwrap().connections += 1;
        tokio::spawn(serve(stream, Arc::clone(&shared)));
    }
}

async fn serve(stream: TcpStream, shared: Arc<Mutex<Shared>>) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (headers, body) = read_request(&mut stream).await?;
        let signal = signal_of(&headers);
        let answer = {
            let mut shared = shared.lock().unwrap();
            shared.requests.push(headers);
            let is_metrics = signal == Signal::Metrics;
            let scripted = is_metrics.then(|| shared.metrics_script.pop_front());
            let scripted = scripted.flatten().or_else(|| shared.script.pop_front());
            scripted.unwrap_or(Answer::Status(200))
        };
        if let Answer::Raw(answer) = answer {
            stream.write_all(answer.as_bytes()).await?;
            continue;
        }
        let status = match answer {
            Answer::Status(status) | Answer::ThenClose(status) => status,
            Answer::Reject(_) => 200,
            Answer::Raw(_) | Answer::Hang => std::future::pending().await,
        };
        if status == 200 {
            shared.lock().unwrap().accept(signal, &body);
        }
        let body = response(answer, signal);
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(&[head.as_bytes(), &body].concat()).await?;
        if matches!(answer, Answer::ThenClose(_)) {
            return Ok(());
        }
    }
}

impl Shared {
    fn accept(&mut self, signal: Signal, body: &[u8]) {
        match signal {
            Signal::Traces => {
                let request = ExportTraceServiceRequest::decode(body).unwrap();
                self.accepted.extend(request.resource_spans);
            }
            Signal::Metrics => {
                let request = ExportMetricsServiceRequest::decode(body).unwrap();
                self.accepted_metrics.extend(request.resource_metrics);
            }
            Signal::Logs => {
                let request = ExportLogsServiceRequest::decode(body).unwrap();
                self.accepted_logs.extend(request.resource_logs);
            }
        }
    }
}

/// The signal that a request's path names; the one of any other path is traces.
fn signal_of(headers: &[(String, String)]) -> Signal {
    let line = headers.iter().find(|(name, _)| name == ":request");
    let names = |signal: &Signal| line.is_some_and(|(_, line)| line.contains(signal.path()));
    let signals = [Signal::Metrics, Signal::Logs];
    signals.into_iter().find(names).unwrap_or(Signal::Traces)
}

/// The partial success of spans and that of log records have the same fields.
fn response(answer: Answer, signal: Signal) -> Vec<u8> {
    let error_message = "over quota".to_owned();
    let rejected = match answer {
        Answer::Reject(rejected) => rejected,
        _ => return Vec::new(),
    };
    if signal == Signal::Metrics {
        let partial_success = Some(ExportMetricsPartialSuccess {
            rejected_data_points: rejected,
            error_message,
        });
        return ExportMetricsServiceResponse { partial_success }.encode_to_vec();
    }
    let partial_success = Some(ExportTracePartialSuccess {
        rejected_spans: rejected,
        error_message,
    });
    ExportTraceServiceResponse { partial_success }.encode_to_vec()
}

async fn read_request(
    stream: &mut BufReader<TcpStream>,
) -> io::Result<(Vec<(String, String)>, Vec<u8>)> {
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.push((name.to_lowercase(), value.to_owned())),
            None if line.trim_end().is_empty() => break,
            None => headers.push((":request".to_owned(), line.trim_end().to_owned())),
        }
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length: usize = length.map_or(0, |(_, value)| value.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok((headers, body))
}
