//! A fake SQS endpoint for the tests of senders. It responds to each call as the test specifies,
//! and records every call.

use std::collections::VecDeque;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response, StatusCode};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::server::{CloseConnection, HttpResult, Server};

const TARGET: &str = "x-amz-target";
const REQUEST_ID_HEADER: HeaderName = HeaderName::from_static("x-amzn-requestid");
const QUERY_ERROR: HeaderName = HeaderName::from_static("x-amzn-query-error");

/// A fake SQS endpoint on a free loopback port. It speaks the AWS JSON protocol, and stops when the
/// last clone is dropped.
#[derive(Debug, Clone)]
pub struct FakeSqs {
    /// The address that it listens on.
    pub address: SocketAddr,
    shared: Arc<Shared>,
    _server: Arc<Server>,
}

/// The response to one call.
#[derive(Debug, Clone, Copy)]
pub enum SqsResponse {
    /// An error: HTTP status, code of the JSON protocol, code of the query protocol.
    Error(u16, &'static str, &'static str),
    /// No response. The call stays open.
    Hang,
    /// Success, once the test calls [`FakeSqs::release`].
    Held,
    /// Success without a message id.
    NoMessageId,
    /// An invalid-value error that does not state a size limit.
    InvalidValue,
}

/// One call that arrived.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SqsCall {
    /// The value of `X-Amz-Target`, such as `AmazonSQS.SendMessage`.
    pub action: String,
    /// The parameters.
    pub body: Value,
}

#[derive(Debug, Default)]
struct Shared {
    calls: Mutex<Vec<SqsCall>>,
    responses: Mutex<VecDeque<SqsResponse>>,
    /// `MaximumMessageSize` of the queue; 0 for none.
    maximum_message_size: AtomicUsize,
    /// Delay before an oversized message is rejected.
    rejection_delay: Mutex<Duration>,
    arrived: Notify,
    released: Notify,
}

impl FakeSqs {
    /// Identifier of every message that is accepted.
    pub const MESSAGE_ID: &str = "5fea7756-0ea4-451a-a703-a558b933e274";

    /// Request id of every response.
    pub const REQUEST_ID: &str = "c-request-1";

    /// Starts a fake that accepts every message.
    ///
    /// # Errors
    ///
    /// Returns an error if no port can be bound.
    pub async fn start() -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let served = shared.clone();
        let server = Server::start_http(move |request| handle(served.clone(), request)).await?;
        Ok(Self {
            address: server.address,
            shared,
            _server: Arc::new(server),
        })
    }

    /// Responds to the next calls with `responses`, in order, and to later calls with success.
    pub fn respond_with(&self, responses: impl IntoIterator<Item = SqsResponse>) {
        lock(&self.shared.responses).extend(responses);
    }

    /// Rejects larger messages from now on, as a queue with this `MaximumMessageSize` does.
    pub fn set_maximum_message_size(&self, bytes: usize) {
        self.shared
            .maximum_message_size
            .store(bytes, Ordering::Relaxed);
    }

    /// Delays each rejection of an oversized message by `delay`.
    pub fn delay_rejections(&self, delay: Duration) {
        *lock(&self.shared.rejection_delay) = delay;
    }

    /// Waits for a call. Returns immediately if one has arrived since the last wait.
    pub async fn wait_for_call(&self) {
        self.shared.arrived.notified().await;
    }

    /// Responds to a call that is [held](SqsResponse::Held).
    pub fn release(&self) {
        self.shared.released.notify_one();
    }

    /// Returns all calls so far.
    #[must_use]
    pub fn calls(&self) -> Vec<SqsCall> {
        lock(&self.shared.calls).clone()
    }

    /// Returns the parameters of the only call, which sent a message.
    ///
    /// # Panics
    ///
    /// Panics if there was another call, or none.
    #[must_use]
    pub fn message(&self) -> Value {
        let calls = self.calls();
        assert_eq!(calls.len(), 1, "{calls:?}");
        assert_eq!(calls[0].action, "AmazonSQS.SendMessage");
        calls[0].body.clone()
    }

    /// Returns the value of a string attribute of the only message.
    ///
    /// # Panics
    ///
    /// Panics if there was another call, or none, or if the attribute has another type.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<String> {
        let value = &self.message()["MessageAttributes"][name];
        if value.is_object() {
            assert_eq!(value["DataType"], "String", "{name}");
        }
        value["StringValue"].as_str().map(str::to_owned)
    }
}

async fn handle(shared: Arc<Shared>, request: Request<Incoming>) -> HttpResult {
    let action = header(request.headers(), TARGET);
    // The client disconnected before the end of its request.
    let body = request
        .into_body()
        .collect()
        .await
        .map_err(|_| CloseConnection)?;
    // A body that is not JSON is recorded as null, which no assertion of a test expects.
    let body = serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
    let size = message_size(&body);
    lock(&shared.calls).push(SqsCall { action, body });
    shared.arrived.notify_one();
    let limit = shared.maximum_message_size.load(Ordering::Relaxed);
    if limit != 0 && size > limit {
        let delay = *lock(&shared.rejection_delay);
        tokio::time::sleep(delay).await;
        return Ok(invalid_value(&format!(
            "Message must be shorter than {limit} bytes."
        )));
    }
    let scripted = lock(&shared.responses).pop_front();
    Ok(match scripted {
        None => success(&json!({"MessageId": FakeSqs::MESSAGE_ID, "Attributes": {}})),
        Some(SqsResponse::NoMessageId) => success(&json!({})),
        Some(SqsResponse::Held) => {
            shared.released.notified().await;
            success(&json!({"MessageId": FakeSqs::MESSAGE_ID}))
        }
        Some(SqsResponse::Hang) => pending().await,
        Some(SqsResponse::Error(status, code, query_code)) => {
            error(status, code, query_code, "rejected by the fake")
        }
        Some(SqsResponse::InvalidValue) => invalid_value("The value is invalid."),
    })
}

fn header(headers: &HeaderMap, name: &str) -> String {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_owned()
}

/// Returns the size that SQS counts: body, and name, type and value of each attribute.
fn message_size(message: &Value) -> usize {
    let body = message["MessageBody"].as_str().map_or(0, str::len);
    let attributes = message["MessageAttributes"].as_object();
    let attributes = attributes.into_iter().flatten().map(|(name, value)| {
        let text = |key: &str| value[key].as_str().map_or(0, str::len);
        name.len() + text("DataType") + text("StringValue")
    });
    body + attributes.sum::<usize>()
}

fn success(body: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.to_string().into()));
    let headers = response.headers_mut();
    let request_id = HeaderValue::from_static(FakeSqs::REQUEST_ID);
    headers.insert(REQUEST_ID_HEADER, request_id);
    let json = HeaderValue::from_static("application/x-amz-json-1.0");
    headers.insert(CONTENT_TYPE, json);
    response
}

fn invalid_value(reason: &str) -> Response<Full<Bytes>> {
    error(
        400,
        "InvalidParameterValueException",
        "InvalidParameterValue",
        &format!("One or more parameters are invalid. Reason: {reason}"),
    )
}

fn error(status: u16, code: &str, query_code: &str, message: &str) -> Response<Full<Bytes>> {
    let body = json!({"__type": format!("com.amazonaws.sqs#{code}"), "message": message});
    let mut response = success(&body);
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    *response.status_mut() = status;
    if let Ok(query_error) = HeaderValue::try_from(format!("{query_code};Sender")) {
        response.headers_mut().insert(QUERY_ERROR, query_error);
    }
    response
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
