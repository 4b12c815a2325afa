//! A message in the buffer, and its result for the caller.

use std::sync::{Arc, Mutex, PoisonError};

use opentelemetry::Context;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::Instant;

use crate::added_attributes::AddedAttributes;
use crate::error::{QueueError, QueueSendError};
use crate::message::OutgoingMessage;
use crate::send_output::SendOutput;

/// A message that waits to be sent, or whose call is in progress.
#[derive(Debug)]
pub(super) struct Entry {
    /// Boxed, because an entry moves several times.
    pub(super) traced: Box<TracedMessage>,
    /// Size of the message without the added attributes.
    pub(super) size: usize,
    /// Position in the order of arrival.
    pub(super) sequence: u64,
    /// Time at which the entry is sent even if its batch is not full.
    pub(super) due: Instant,
    pub(super) deadline: Instant,
    /// Number of calls that have ended with an error that may be temporary.
    pub(super) attempts: u32,
    /// `true` if a call before the present one got no response.
    pub(super) had_no_response: bool,
    /// Set after SQS has rejected a whole batch: one of its messages is at fault, and it must not
    /// fail the others again.
    pub(super) is_alone: bool,
    pub(super) progress: Arc<Progress>,
    pub(super) reply: oneshot::Sender<Delivery>,
    /// Room in the buffer, which is free again when the entry is dropped.
    pub(super) room: Room,
}

/// A message with the trace context and the other attributes that its send adds to it.
#[derive(Debug)]
pub(crate) struct TracedMessage {
    pub(crate) message: OutgoingMessage,
    pub(crate) added: AddedAttributes,
    /// The context of the send, with its span.
    pub(crate) context: Context,
}

/// Permits of the buffer's capacity.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) _message: OwnedSemaphorePermit,
    pub(super) _bytes: OwnedSemaphorePermit,
}

/// The result of a message: its confirmation, or the error of its send.
pub(super) type EntryOutcome = Result<Confirmation, QueueSendError>;

/// The result of a send, for the caller.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) outcome: Result<Confirmation, QueueSendError>,
    /// The attributes that were sent, and the names of the dropped ones.
    pub(crate) added: AddedAttributes,
}

/// The confirmation of a message by SQS.
#[derive(Debug)]
pub(crate) struct Confirmation {
    pub(crate) output: SendOutput,
    pub(crate) request_id: Option<String>,
}

/// The attempts so far. The caller reads them if the deadline expires first.
#[derive(Debug, Default)]
pub(super) struct Progress(Mutex<Attempts>);

#[derive(Debug, Clone, Default)]
pub(super) struct Attempts {
    /// `true` while a call is in progress, and after one that got no response.
    pub(super) may_have_been_sent: bool,
    pub(super) last_error: Option<QueueError>,
}

impl Attempts {
    /// Returns the error of a send whose runtime has stopped.
    pub(super) fn no_runtime(&self) -> QueueSendError {
        if self.may_have_been_sent {
            let source = Box::new(QueueSendError::NoRuntime);
            QueueSendError::ResponseLost { source }
        } else {
            QueueSendError::NoRuntime
        }
    }
}

impl Entry {
    /// Size of the message with the added attributes, as SQS counts it.
    pub(super) fn total_size(&self) -> usize {
        self.size + self.traced.added.size()
    }

    /// Returns `true` if the caller no longer waits for the result.
    pub(super) fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    /// Returns the group that orders this message. Only FIFO queues keep an order.
    pub(super) fn group(&self) -> &str {
        self.traced.message.group_id().unwrap_or_default()
    }

    /// Sends the result to the caller, if it still waits.
    pub(super) fn finish(self, outcome: Result<Confirmation, QueueSendError>) {
        let delivery = Delivery {
            outcome,
            added: self.traced.added,
        };
        // The room is freed first, because the caller may send again at once.
        drop(self.room);
        let _ = self.reply.send(delivery);
    }
}

impl Progress {
    /// Records the start of a call. Returns `true` if an earlier one got no response.
    pub(super) fn start_call(&self) -> bool {
        std::mem::replace(&mut self.lock().may_have_been_sent, true)
    }

    /// Records the end of a call that failed.
    pub(super) fn end_call(&self, may_have_been_sent: bool, error: Option<QueueError>) {
        let mut attempts = self.lock();
        attempts.may_have_been_sent = may_have_been_sent;
        attempts.last_error = error.or_else(|| attempts.last_error.take());
    }

    pub(super) fn attempts(&self) -> Attempts {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Attempts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
