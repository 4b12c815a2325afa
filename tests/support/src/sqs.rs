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
/// Id of the first entry of a batch of `baton-sqs`.
const FIRST_ENTRY: &str = "0";
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
    /// An error of a single entry of a batch: its position, its code, and whether the sender is at
    /// fault. The other entries are accepted.
    FailedEntry(usize, &'static str, bool),
    /// Success, without any mention of the entry at this position of a batch.
    UnmentionedEntry(usize),
    /// Success with the digest of another body.
    WrongDigest,
    /// Success.
    Accept,
    /// The connection is closed without a response.
    Close,
    /// The messages are accepted, and the connection is closed without a response.
    LostResponse,
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

impl SqsCall {
    /// Returns the messages of the call: the entries of a batch, or the only message.
    #[must_use]
    pub fn messages(&self) -> Vec<Value> {
        match self.body["Entries"].as_array() {
            Some(entries) => entries.clone(),
            None => vec![self.body.clone()],
        }
    }

    fn is_batch(&self) -> bool {
        self.body["Entries"].is_array()
    }

    /// Returns the only message of the call.
    ///
    /// # Panics
    ///
    /// Panics if the call has several messages.
    #[must_use]
    pub fn message(&self) -> Value {
        let mut messages = self.messages();
        assert_eq!(messages.len(), 1, "{messages:?}");
        messages.remove(0)
    }
}

#[derive(Debug, Default)]
struct Shared {
    calls: Mutex<Vec<SqsCall>>,
    accepted: Mutex<Vec<Value>>,
    responses: Mutex<VecDeque<SqsResponse>>,
    /// The response to calls for which `responses` has none.
    other_response: Mutex<Option<SqsResponse>>,
    /// Delay before each response.
    delay: Mutex<Duration>,
    /// `MaximumMessageSize` of the queue; 0 for none.
    maximum_message_size: AtomicUsize,
    /// Delay before an oversized message is rejected.
    rejection_delay: Mutex<Duration>,
    arrived: Notify,
    released: Notify,
}

impl FakeSqs {
    /// Identifier of every accepted message, except for the entries of a batch with an id other
    /// than `0`: these have the identifier `message-` followed by that id.
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

    /// Responds in this way to later calls, instead of with success. With `None`, accepts them
    /// again.
    pub fn respond_always(&self, response: Option<SqsResponse>) {
        *lock(&self.shared.other_response) = response;
    }

    /// Delays each response by `delay`.
    pub fn delay_responses(&self, delay: Duration) {
        *lock(&self.shared.delay) = delay;
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

    /// Returns all messages that were accepted so far, in this order. A message that was sent again
    /// after a lost response is there twice.
    #[must_use]
    pub fn accepted(&self) -> Vec<Value> {
        lock(&self.shared.accepted).clone()
    }

    /// Returns the only message of the only call.
    ///
    /// # Panics
    ///
    /// Panics if there was another call, or none.
    #[must_use]
    pub fn message(&self) -> Value {
        let calls = self.calls();
        assert_eq!(calls.len(), 1, "{calls:?}");
        calls[0].message()
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
    let call = SqsCall { action, body };
    lock(&shared.calls).push(call.clone());
    shared.arrived.notify_one();
    let limit = shared.maximum_message_size.load(Ordering::Relaxed);
    let is_oversized = |message: &Value| limit != 0 && message_size(message) > limit;
    if call.messages().iter().any(is_oversized) {
        let delay = *lock(&shared.rejection_delay);
        tokio::time::sleep(delay).await;
        let reason = format!("Message must be shorter than {limit} bytes.");
        return Ok(if call.is_batch() {
            batch_response(&shared, &call, |message| {
                let failure = Failure::invalid_value(&reason);
                if is_oversized(message) {
                    Some(failure)
                } else {
                    None
                }
            })
        } else {
            invalid_value(&reason)
        });
    }
    let delay = *lock(&shared.delay);
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    let scripted = lock(&shared.responses).pop_front();
    let scripted = scripted.or(*lock(&shared.other_response));
    Ok(match scripted {
        None | Some(SqsResponse::Accept) => accept(&shared, &call),
        Some(SqsResponse::LostResponse) => {
            accept(&shared, &call);
            return Err(CloseConnection);
        }
        Some(SqsResponse::NoMessageId) if call.is_batch() => success(&json!({
            "Successful": call.messages().iter().map(|entry| json!({"Id": entry["Id"]})).collect::<Vec<_>>(),
            "Failed": [],
        })),
        Some(SqsResponse::NoMessageId) => success(&json!({})),
        Some(SqsResponse::Held) => {
            shared.released.notified().await;
            accept(&shared, &call)
        }
        Some(SqsResponse::Hang) => pending().await,
        Some(SqsResponse::Close) => return Err(CloseConnection),
        Some(SqsResponse::Error(status, code, query_code)) => {
            error(status, code, query_code, "rejected by the fake")
        }
        Some(SqsResponse::InvalidValue) if call.is_batch() => {
            let failure = Failure::invalid_value("The value is invalid.");
            batch_response(&shared, &call, |_| Some(failure.clone()))
        }
        Some(SqsResponse::InvalidValue) => invalid_value("The value is invalid."),
        Some(SqsResponse::FailedEntry(position, code, is_sender_fault)) => {
            let id = call.body["Entries"][position]["Id"].clone();
            batch_response(&shared, &call, |message| {
                let failure = Failure {
                    code: code.to_owned(),
                    message: "rejected by the fake".to_owned(),
                    is_sender_fault,
                };
                (message["Id"] == id).then_some(failure)
            })
        }
        Some(SqsResponse::UnmentionedEntry(position)) => {
            let mut others = call.clone();
            if let Some(entries) = others.body["Entries"].as_array_mut() {
                entries.remove(position);
            }
            accept(&shared, &others)
        }
        Some(SqsResponse::WrongDigest) => success(&json!({
            "Successful": call.messages().iter().map(|entry| json!({
                "Id": entry["Id"],
                "MessageId": FakeSqs::MESSAGE_ID,
                "MD5OfMessageBody": "00000000000000000000000000000000",
            })).collect::<Vec<_>>(),
        })),
    })
}

/// A failed entry of a batch.
#[derive(Debug, Clone)]
struct Failure {
    code: String,
    message: String,
    is_sender_fault: bool,
}

impl Failure {
    fn invalid_value(reason: &str) -> Self {
        Self {
            code: "InvalidParameterValue".to_owned(),
            message: format!("One or more parameters cannot be validated. Reason: {reason}"),
            is_sender_fault: true,
        }
    }
}

/// Accepts all messages of a call.
fn accept(shared: &Shared, call: &SqsCall) -> Response<Full<Bytes>> {
    if call.is_batch() {
        batch_response(shared, call, |_| None)
    } else {
        lock(&shared.accepted).push(call.body.clone());
        success(&json!({"MessageId": FakeSqs::MESSAGE_ID, "Attributes": {}}))
    }
}

/// Responds to a batch. `fail` returns the failure of an entry, or `None` to accept it.
fn batch_response(
    shared: &Shared,
    call: &SqsCall,
    fail: impl Fn(&Value) -> Option<Failure>,
) -> Response<Full<Bytes>> {
    let (mut successful, mut failed) = (Vec::new(), Vec::new());
    for entry in call.messages() {
        match fail(&entry) {
            None => {
                let id = entry["Id"].as_str().unwrap_or_default();
                let message_id = match id {
                    FIRST_ENTRY => FakeSqs::MESSAGE_ID.to_owned(),
                    _ => format!("message-{id}"),
                };
                successful.push(json!({"Id": id, "MessageId": message_id}));
                lock(&shared.accepted).push(entry);
            }
            Some(failure) => failed.push(json!({
                "Id": entry["Id"],
                "Code": failure.code,
                "Message": failure.message,
                "SenderFault": failure.is_sender_fault,
            })),
        }
    }
    success(&json!({"Successful": successful, "Failed": failed}))
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
