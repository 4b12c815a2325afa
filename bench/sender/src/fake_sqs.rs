//! A fake SQS that counts what it accepts, and can be told to fail. It also accepts telemetry.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use md5::{Digest as _, Md5};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// Path that returns the counts.
const COUNTS: &str = "/counts";

/// Prefix of the paths of an OTLP receiver.
const OTLP: &str = "/v1/";

/// Prefix of the paths that set the kind of the next responses.
const FAIL: &str = "/fail/";

#[derive(Debug)]
struct Counts {
    connections: AtomicU64,
    open_connections: AtomicU64,
    most_connections: AtomicU64,
    calls: AtomicU64,
    messages: AtomicU64,
    /// The kind of the responses, as a position in [`Failure::ALL`]; any other number for success.
    failure: AtomicU8,
}

/// A failure of SQS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    InternalError,
    Throttled,
    /// The connection is closed without a response.
    Closed,
}

impl Failure {
    const ALL: [(&'static str, Self); 3] = [
        ("500", Self::InternalError),
        ("throttle", Self::Throttled),
        ("close", Self::Closed),
    ];
}

/// The connection is to be closed.
#[derive(Debug, thiserror::Error)]
#[error("the connection is closed without a response")]
struct Close;

/// Serves until the process is killed.
pub(crate) async fn serve(port: u16, delay: Duration) -> io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("{}", listener.local_addr()?);
    let counts = Arc::new(Counts {
        connections: AtomicU64::new(0),
        open_connections: AtomicU64::new(0),
        most_connections: AtomicU64::new(0),
        calls: AtomicU64::new(0),
        messages: AtomicU64::new(0),
        failure: AtomicU8::new(u8::MAX),
    });
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        counts.connections.fetch_add(1, Ordering::Relaxed);
        let open = counts.open_connections.fetch_add(1, Ordering::Relaxed) + 1;
        counts.most_connections.fetch_max(open, Ordering::Relaxed);
        let counts = Arc::clone(&counts);
        tokio::spawn(async move {
            let service = service_fn(|request| respond(request, Arc::clone(&counts), delay));
            // The client closes the connection.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
            counts.open_connections.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

async fn respond(
    request: Request<Incoming>,
    counts: Arc<Counts>,
    delay: Duration,
) -> Result<Response<Full<Bytes>>, Close> {
    if let Some(name) = request.uri().path().strip_prefix(FAIL) {
        let position = Failure::ALL.iter().position(|(known, _)| *known == name);
        let position = position.and_then(|position| u8::try_from(position).ok());
        counts
            .failure
            .store(position.unwrap_or(u8::MAX), Ordering::Relaxed);
        return Ok(json_response(&json!({"fail": name})));
    }
    if request.uri().path().starts_with(OTLP) {
        // An empty response message of OTLP: everything was accepted.
        let mut response = Response::new(Full::new(Bytes::new()));
        let protobuf = HeaderValue::from_static("application/x-protobuf");
        response.headers_mut().insert(CONTENT_TYPE, protobuf);
        // The request is read, because the client would otherwise see a closed connection.
        let _ = request.into_body().collect().await;
        return Ok(response);
    }
    if request.uri().path() == COUNTS {
        return Ok(json_response(&json!({
            "most_connections": counts.most_connections.load(Ordering::Relaxed),
            "connections": counts.connections.load(Ordering::Relaxed),
            "calls": counts.calls.load(Ordering::Relaxed),
            "messages": counts.messages.load(Ordering::Relaxed),
        })));
    }
    let body = request.into_body().collect().await;
    let body = body.map(|body| body.to_bytes()).unwrap_or_default();
    let call: Value = serde_json::from_slice(&body).unwrap_or_default();
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    counts.calls.fetch_add(1, Ordering::Relaxed);
    let failure = usize::from(counts.failure.load(Ordering::Relaxed));
    match Failure::ALL.get(failure) {
        Some((_, Failure::InternalError)) => return Ok(error_response(500, "InternalError")),
        Some((_, Failure::Throttled)) => return Ok(error_response(400, "RequestThrottled")),
        Some((_, Failure::Closed)) => return Err(Close),
        None => {}
    }
    let response = match call["Entries"].as_array() {
        Some(entries) => {
            counts
                .messages
                .fetch_add(entries.len() as u64, Ordering::Relaxed);
            let successful: Vec<_> = entries.iter().map(accepted).collect();
            json!({"Successful": successful})
        }
        None => {
            counts.messages.fetch_add(1, Ordering::Relaxed);
            accepted(&call)
        }
    };
    Ok(json_response(&response))
}

fn accepted(message: &Value) -> Value {
    let body = message["MessageBody"].as_str().unwrap_or_default();
    let digest = Md5::digest(body.as_bytes());
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    json!({
        "Id": message["Id"],
        "MessageId": "5fea7756-0ea4-451a-a703-a558b933e274",
        "MD5OfMessageBody": digest,
    })
}

fn error_response(status: u16, code: &str) -> Response<Full<Bytes>> {
    let mut response = json_response(&json!({"__type": format!("com.amazonaws.sqs#{code}")}));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    response
}

fn json_response(body: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.to_string().into()));
    let json = HeaderValue::from_static("application/x-amz-json-1.0");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}
