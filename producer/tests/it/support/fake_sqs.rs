//! An SQS that answers as it is told, over real HTTP, and remembers what it was asked.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;

pub(crate) const MESSAGE_ID: &str = "5fea7756-0ea4-451a-a703-a558b933e274";
pub(crate) const REQUEST_ID: &str = "c-request-1";

/// How the fake answers one call.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reply {
    /// An error of SQS: status, code of the JSON protocol, code of the query protocol.
    Error(u16, &'static str, &'static str),
    /// Accepts the call and never answers.
    Silence,
    /// Answers once the test calls [`FakeSqs::release`].
    Held,
    /// Success without a message id.
    Anonymous,
    /// A refusal that does not state a size limit.
    InvalidValue,
}

#[derive(Debug, Clone)]
pub(crate) struct FakeSqs {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    calls: Mutex<Vec<Call>>,
    replies: Mutex<VecDeque<Reply>>,
    /// `MaximumMessageSize` of the queue.
    maximum_message_size: AtomicUsize,
    /// Delay before an oversized message is refused.
    refusal_delay: Mutex<Duration>,
    arrived: Notify,
    released: Notify,
}

/// One call, as it came.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) action: String,
    pub(crate) body: Value,
}

impl FakeSqs {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let router = Router::new().fallback(answer).with_state(shared.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, shared }
    }

    /// The next calls are answered so, and those after them with success.
    pub(crate) fn reply_with(&self, replies: impl IntoIterator<Item = Reply>) {
        self.shared.replies.lock().unwrap().extend(replies);
    }

    /// Refuses larger messages from now on, as a queue with this `MaximumMessageSize` does.
    pub(crate) fn set_maximum_message_size(&self, bytes: usize) {
        self.shared
            .maximum_message_size
            .store(bytes, Ordering::Relaxed);
    }

    /// Delays each refusal of an oversized message by this long.
    pub(crate) fn delay_refusals(&self, delay: Duration) {
        *self.shared.refusal_delay.lock().unwrap() = delay;
    }

    /// Returns once a call has arrived that no one has waited for.
    pub(crate) async fn call_arrived(&self) {
        self.shared.arrived.notified().await;
    }

    /// Answers a held call.
    pub(crate) fn release(&self) {
        self.shared.released.notify_one();
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.shared.calls.lock().unwrap().clone()
    }

    /// The one message that was sent.
    pub(crate) fn message(&self) -> Value {
        let calls = self.calls();
        assert_eq!(calls.len(), 1, "{calls:?}");
        assert_eq!(calls[0].action, "AmazonSQS.SendMessage");
        calls[0].body.clone()
    }

    /// The value of an attribute of the one message that was sent.
    pub(crate) fn attribute(&self, name: &str) -> Option<String> {
        let value = &self.message()["MessageAttributes"][name];
        if value.is_object() {
            assert_eq!(value["DataType"], "String", "{name}");
        }
        value["StringValue"].as_str().map(str::to_owned)
    }
}

async fn answer(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: String) -> Response {
    let action = headers["x-amz-target"].to_str().unwrap().to_owned();
    let body = serde_json::from_str(&body).unwrap();
    let size = message_size(&body);
    shared.calls.lock().unwrap().push(Call { action, body });
    shared.arrived.notify_one();
    let limit = shared.maximum_message_size.load(Ordering::Relaxed);
    if limit != 0 && size > limit {
        let delay = *shared.refusal_delay.lock().unwrap();
        tokio::time::sleep(delay).await;
        return invalid_value(&format!("Message must be shorter than {limit} bytes."));
    }
    let reply = shared.replies.lock().unwrap().pop_front();
    match reply {
        None => success(json!({"MessageId": MESSAGE_ID, "Attributes": {}})),
        Some(Reply::Anonymous) => success(json!({})),
        Some(Reply::Held) => {
            shared.released.notified().await;
            success(json!({"MessageId": MESSAGE_ID}))
        }
        Some(Reply::Silence) => std::future::pending().await,
        Some(Reply::Error(status, code, query_code)) => {
            error(status, code, query_code, "refused by the fake")
        }
        Some(Reply::InvalidValue) => invalid_value("The value is invalid."),
    }
}

fn success(body: Value) -> Response {
    (
        [
            ("x-amzn-requestid", REQUEST_ID),
            ("content-type", "application/x-amz-json-1.0"),
        ],
        body.to_string(),
    )
        .into_response()
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

fn invalid_value(reason: &str) -> Response {
    error(
        400,
        "InvalidParameterValueException",
        "InvalidParameterValue",
        &format!("One or more parameters are invalid. Reason: {reason}"),
    )
}

fn error(status: u16, code: &str, query_code: &str, message: &str) -> Response {
    let body =
        json!({"__type": format!("com.amazonaws.sqs#{code}"), "message": message}).to_string();
    let query_error = format!("{query_code};Sender");
    let headers = [
        ("x-amzn-requestid", REQUEST_ID),
        ("x-amzn-query-error", &query_error),
        ("content-type", "application/x-amz-json-1.0"),
    ];
    (StatusCode::from_u16(status).unwrap(), headers, body).into_response()
}
