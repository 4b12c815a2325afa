//! An invocation, from its start until the runtime polls for the next event.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::time::Instant;
use uuid::Uuid;

use crate::environment::InvokeError;
use crate::environment::pool::{Invocation, ResponseSender};
use crate::environment::runtime_api::{CallStatus, InvocationEvent, NextReply};

/// An invocation whose runtime has not polled for the next event yet.
pub(super) struct ActiveInvocation {
    pub(super) request_id: String,
    started: Instant,
    /// The event, until a pending `/next` has received it.
    undelivered: Option<InvocationEvent>,
    /// Channel to the caller; `None` once the response was sent.
    reply: Option<ResponseSender>,
}

impl ActiveInvocation {
    pub(super) fn new(invocation: Invocation, function_arn: String, deadline: SystemTime) -> Self {
        let Invocation { payload, reply } = invocation;
        let request_id = Uuid::new_v4().to_string();
        let event = InvocationEvent {
            request_id: request_id.clone(),
            deadline,
            function_arn,
            trace_id: trace_id(),
            payload,
        };
        Self {
            request_id,
            started: Instant::now(),
            undelivered: Some(event),
            reply: Some(reply),
        }
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Sends the event to a pending `/next`. If the runtime has closed that connection, the event
    /// is kept for the next poll.
    pub(super) fn deliver(&mut self, next: NextReply) {
        if let Some(event) = self.undelivered.take() {
            self.undelivered = next.send(event).err();
        }
    }

    /// Handles a `/next`. Returns it if the invocation has ended: it then waits for the next event.
    pub(super) fn handle_next(&mut self, next: NextReply) -> Option<NextReply> {
        if self.reply.is_none() {
            return Some(next);
        }
        // If the event was delivered already, the runtime has skipped its response. Dropping the
        // request rejects it, and the deadline ends the invocation.
        self.deliver(next);
        None
    }

    /// Checks whether a response to the event with this id is acceptable now.
    pub(super) fn check_request_id(&self, request_id: &str) -> CallStatus {
        match (&self.reply, &self.undelivered) {
            (Some(_), None) if request_id == self.request_id => CallStatus::Accepted,
            (None, _) if request_id == self.request_id => CallStatus::InvalidStateTransition,
            _ => CallStatus::UnknownRequest,
        }
    }

    pub(super) fn respond(&mut self, result: Result<Bytes, InvokeError>) {
        if let Some(respond) = self.reply.take() {
            // An error means that the caller has gone away. The invocation counts all the same.
            let _ = respond.send(result);
        }
    }

    /// Returns the channel for an error that ends the invocation; `None` if the response was sent
    /// already.
    pub(super) fn into_reply(self) -> Option<ResponseSender> {
        self.reply
    }
}

/// Builds a trace header like that of a function without active tracing, which is not sampled.
fn trace_id() -> String {
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let (root, parent) = (
        Uuid::new_v4().simple().to_string(),
        Uuid::new_v4().simple().to_string(),
    );
    format!(
        "Root=1-{seconds:08x}-{};Parent={};Sampled=0",
        &root[..24],
        &parent[..16]
    )
}
