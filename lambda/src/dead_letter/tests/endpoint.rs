//! An SQS endpoint on a real socket that supports only `SendMessage`.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// The endpoint's reaction to a message.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Behaviour {
    Accept,
    /// Rejects messages that have this attribute with `InvalidParameterValue`.
    RefuseWith(&'static str),
    /// Rejects larger messages, like a queue with this `MaximumMessageSize`.
    Limit(usize),
    /// Rejects every message with `AccessDenied`.
    Deny,
    /// Rejects messages with this body with `AccessDenied`.
    DenyBody(&'static str),
    /// Accepts every message and does not state its id.
    AcceptWithoutId,
    /// Closes the first connection without a response.
    CloseFirst,
    /// Closes every connection without a response.
    Close,
    /// Never responds.
    Hang,
}

/// The id of every accepted message.
pub(crate) const NEW_ID: &str = "5f1b2d3c-0000-4000-8000-000000000099";
pub(crate) const REQUEST_ID: &str = "request-1";

#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    pub(crate) url: String,
    requests: Arc<Mutex<Vec<Value>>>,
}

impl Endpoint {
    /// Starts an endpoint that listens until the test's runtime ends.
    pub(crate) async fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            requests: Arc::default(),
        };
        let requests = Arc::clone(&endpoint.requests);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, behaviour, Arc::clone(&requests)));
            }
        });
        endpoint
    }

    /// Returns an endpoint whose URL nothing listens on.
    pub(super) fn unreachable(url: String) -> Self {
        Self {
            url,
            requests: Arc::default(),
        }
    }

    /// Returns the bodies of all messages that were sent here, rejected or not.
    pub(crate) fn bodies(&self) -> Vec<String> {
        let requests = self.requests();
        let bodies = requests
            .iter()
            .filter_map(|request| request["MessageBody"].as_str());
        bodies.map(str::to_owned).collect()
    }

    /// Returns the bodies of all requests, in their order.
    pub(crate) fn requests(&self) -> Vec<Value> {
        self.requests.lock().unwrap().clone()
    }
}

/// Responds to requests on a connection until the client closes it.
async fn serve(mut stream: TcpStream, behaviour: Behaviour, requests: Arc<Mutex<Vec<Value>>>) {
    while let Some(request) = read(&mut stream).await {
        let is_first = {
            let mut requests = requests.lock().unwrap();
            requests.push(request.clone());
            requests.len() == 1
        };
        let (status, body) = match behaviour {
            Behaviour::Hang => std::future::pending().await,
            Behaviour::CloseFirst if is_first => return,
            Behaviour::Close => return,
            Behaviour::AcceptWithoutId => (200, json!({})),
            Behaviour::Deny => (403, rejection("AccessDenied")),
            Behaviour::DenyBody(body) if request["MessageBody"] == body => {
                (403, rejection("AccessDenied"))
            }
            Behaviour::RefuseWith(name) if !request["MessageAttributes"][name].is_null() => {
                (400, rejection("InvalidParameterValue"))
            }
            Behaviour::Limit(limit) if message_size(&request) > limit => (400, too_large(limit)),
            _ => (200, json!({"MessageId": NEW_ID})),
        };
        let body = body.to_string();
        let response = format!(
            "HTTP/1.1 {status} Status\r\nContent-Type: application/x-amz-json-1.0\r\nx-amzn-RequestId: {REQUEST_ID}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(response.as_bytes()).await.unwrap();
    }
}

fn rejection(code: &str) -> Value {
    json!({"__type": format!("com.amazonaws.sqs#{code}"), "message": "rejected by the test"})
}

fn too_large(limit: usize) -> Value {
    let mut rejection = rejection("InvalidParameterValueException");
    rejection["message"] = format!(
        "One or more parameters are invalid. Reason: Message must be shorter than {limit} bytes."
    )
    .into();
    rejection
}

/// Returns the size that SQS counts: body, and name, type and value of each attribute.
pub(super) fn message_size(request: &Value) -> usize {
    let length = |value: &Value| value.as_str().map_or(0, str::len);
    let attributes = request["MessageAttributes"].as_object();
    let attributes = attributes.into_iter().flatten().map(|(name, attribute)| {
        name.len() + length(&attribute["DataType"]) + length(&attribute["StringValue"])
    });
    length(&request["MessageBody"]) + attributes.sum::<usize>()
}

/// Reads the body of the next request. Returns `None` if the connection was closed.
async fn read(stream: &mut TcpStream) -> Option<Value> {
    let mut received = Vec::new();
    loop {
        let head = received.windows(4).position(|end| end == b"\r\n\r\n");
        if let Some(head) = head {
            let length = content_length(std::str::from_utf8(&received[..head]).unwrap());
            let body = &received[head + 4..];
            if body.len() >= length {
                return Some(serde_json::from_slice(&body[..length]).unwrap());
            }
        }
        if stream.read_buf(&mut received).await.ok()? == 0 {
            return None;
        }
    }
}

fn content_length(head: &str) -> usize {
    let lower = head.to_ascii_lowercase();
    let length = lower
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"));
    length.unwrap().trim().parse().unwrap()
}
