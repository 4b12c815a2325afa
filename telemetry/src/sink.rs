//! A collector for tests: a real socket that answers as it is told and keeps the spans it accepted.

use crate::signal::Signal;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::logs::v1::ResourceLogs;
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use prost::Message as _;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What the sink does with a request that it has read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// With this status; 200 means that the spans are kept.
    Status(u16),
    /// As a status, and the connection is closed without a word behind the answer, as a proxy does with an idle one.
    ThenClose(u16),
    /// With success, but for so many of the spans.
    Reject(i64),
    /// Never.
    Hang,
}

#[derive(Debug, Default)]
struct Shared {
    script: VecDeque<Answer>,
    accepted: Vec<ResourceSpans>,
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

impl Shared {
    /// Keeps what is in a request, by the signal that its path names.
    fn accept(&mut self, headers: &[(String, String)], body: &[u8]) {
        let (_, request) = headers.iter().find(|(name, _)| name == ":request").unwrap();
        if request.contains(Signal::Logs.path()) {
            let request = ExportLogsServiceRequest::decode(body).unwrap();
            self.accepted_logs.extend(request.resource_logs);
        } else {
            let request = ExportTraceServiceRequest::decode(body).unwrap();
            self.accepted.extend(request.resource_spans);
        }
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
        let answer = {
            let mut shared = shared.lock().unwrap();
            shared.requests.push(headers.clone());
            shared.script.pop_front().unwrap_or(Answer::Status(200))
        };
        let status = match answer {
            Answer::Status(status) | Answer::ThenClose(status) => status,
            Answer::Reject(_) => 200,
            Answer::Hang => std::future::pending().await,
        };
        if status == 200 {
            shared.lock().unwrap().accept(&headers, &body);
        }
        let body = response(answer);
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

fn response(answer: Answer) -> Vec<u8> {
    let partial_success = match answer {
        Answer::Reject(rejected_spans) => Some(ExportTracePartialSuccess {
            rejected_spans,
            error_message: "over quota".to_owned(),
        }),
        _ => None,
    };
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
