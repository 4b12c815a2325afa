//! One invocation, from the moment an environment takes it until its runtime asks for the next
//! event.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::time::Instant;
use uuid::Uuid;

use crate::environment::{
    InvokeError,
    pool::{Invocation, ResponseSender},
    runtime_api::{CallStatus, InvocationEvent, NextReply},
};

/// An invocation that was begun and whose runtime has not asked for the next event.
pub(super) struct ActiveInvocation {
    pub(super) request_id: String,
    started: Instant,
    /// The event, as long as no open `/next` could take it.
    undelivered: Option<InvocationEvent>,
    /// Where the response goes; `None` once it has gone there.
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

    /// Answers an open `/next` with the event. A runtime that has hung up meanwhile will ask again.
    pub(super) fn deliver(&mut self, next: NextReply) {
        if let Some(event) = self.undelivered.take() {
            self.undelivered = next.send(event).err();
        }
    }

    /// Takes a `/next`, and gives it back when it ends the invocation.
    pub(super) fn handle_next(&mut self, next: NextReply) -> Option<NextReply> {
        if self.reply.is_none() {
            return Some(next);
        }
        // With nothing left to hand out, the runtime has skipped its answer: dropping the call
        // refuses it, and the deadline decides.
        self.deliver(next);
        None
    }

    /// What to make of an answer to the event with this id.
    pub(super) fn check_request_id(&self, request_id: &str) -> CallStatus {
        match (&self.reply, &self.undelivered) {
            (Some(_), None) if request_id == self.request_id => CallStatus::Accepted,
            (None, _) if request_id == self.request_id => CallStatus::InvalidStateTransition,
            _ => CallStatus::UnknownRequest,
        }
    }

    pub(super) fn respond(&mut self, result: Result<Bytes, InvokeError>) {
        if let Some(respond) = self.reply.take() {
            // An error says that the caller has gone away; the function has done its work all the
            // same.
            let _ = respond.send(result);
        }
    }

    /// Where an error goes that ends the invocation; `None` when the response has gone out already.
    pub(super) fn into_reply(self) -> Option<ResponseSender> {
        self.reply
    }
}

/// A trace header as Lambda makes one for a function without active tracing: nothing of it is
/// sampled.
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
