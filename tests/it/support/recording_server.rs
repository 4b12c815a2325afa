//! A server that records its requests and gives all of them the same response, in place of a
//! service that a function calls.

use std::sync::{Arc, Mutex};

use ::http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// A recorded request.
#[derive(Debug, Clone)]
pub(crate) struct ReceivedRequest {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl ReceivedRequest {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// A server on a free loopback port. Dropping it stops the server.
#[derive(Debug)]
pub(crate) struct RecordingServer {
    pub(crate) url: String,
    received: Arc<Mutex<Vec<ReceivedRequest>>>,
    task: JoinHandle<()>,
}

impl RecordingServer {
    pub(crate) async fn start(status: StatusCode, body: Value) -> Self {
        Self::start_with(status, body, None).await
    }

    /// Starts a server that never responds to requests whose body contains `text`.
    pub(crate) async fn start_hanging_on(text: &'static str) -> Self {
        Self::start_with(StatusCode::OK, Value::Null, Some(text)).await
    }

    async fn start_with(status: StatusCode, body: Value, hangs_on: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let received = Arc::default();
        let kept = Arc::clone(&received);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let kept = Arc::clone(&kept);
                connections.spawn(serve(stream, kept, status, body.clone(), hangs_on));
            }
        });
        Self {
            url,
            received,
            task,
        }
    }

    /// Returns the requests so far. After an invocation these include all of its requests.
    pub(crate) fn received(&self) -> Vec<ReceivedRequest> {
        self.received.lock().unwrap().clone()
    }
}

impl Drop for RecordingServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    stream: TcpStream,
    received: Arc<Mutex<Vec<ReceivedRequest>>>,
    status: StatusCode,
    response_body: Value,
    hangs_on: Option<&str>,
) {
    let service = service_fn(|request: Request<Incoming>| async {
        let (parts, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let hangs = hangs_on.is_some_and(|text| String::from_utf8_lossy(&body).contains(text));
        received.lock().unwrap().push(ReceivedRequest {
            path: parts.uri.path().to_owned(),
            headers: parts.headers,
            body,
        });
        if hangs {
            std::future::pending::<()>().await;
        }
        let mut response = Response::new(Full::new(Bytes::from(response_body.to_string())));
        *response.status_mut() = status;
        Ok::<_, hyper::Error>(response)
    });
    // A function that exits breaks its connections.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}
