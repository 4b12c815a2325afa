//! Messages of one queue, in three orders.
//!
//! No operation visits all messages. Receiving takes from the front of `ready`, the timer looks at
//! the front of `hidden`, expiry looks at the front of `by_age`, and every change takes logarithmic
//! time.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::sqs::clock::Timestamp;
use crate::sqs::message::MessageContent;

/// State of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MessageState {
    Ready,
    Delayed,
    InFlight,
}

/// A message in this queue. It does not implement `Debug`, because it contains the body.
pub(super) struct QueuedMessage {
    pub(super) content: Arc<MessageContent>,
    pub(super) state: MessageState,
    /// Time at which it became or becomes ready.
    pub(super) visible_at: Timestamp,
    /// Number of receives in this queue and in its source queue, which consumers see.
    pub(super) receive_count: u32,
    /// Number of receives in this queue, to which the redrive policy applies.
    pub(super) receive_count_in_queue: u32,
    pub(super) first_received_at: Option<Timestamp>,
    pub(super) last_received_at: Option<Timestamp>,
    /// ARN of the source queue of a dead letter.
    pub(super) source_arn: Option<String>,
}

#[derive(Default)]
pub(super) struct MessageStore {
    messages: HashMap<u64, QueuedMessage>,
    next_number: u64,
    /// Ready messages, in the order in which they became ready.
    ready: BTreeSet<(Timestamp, u64)>,
    /// Delayed messages and messages in flight, in the order in which they become ready.
    hidden: BTreeSet<(Timestamp, u64)>,
    /// All messages, oldest first. This is not the order of arrival, because a dead letter keeps
    /// its age.
    by_age: BTreeSet<(Timestamp, u64)>,
    delayed: usize,
    bytes: usize,
}

impl MessageStore {
    pub(super) fn insert(&mut self, message: QueuedMessage) {
        let number = self.next_number;
        self.next_number += 1;
        self.bytes += message.content.bytes();
        self.by_age.insert((message.content.sent_at, number));
        self.index(number, message.state, message.visible_at);
        self.messages.insert(number, message);
    }

    pub(super) fn get(&self, number: u64) -> Option<&QueuedMessage> {
        self.messages.get(&number)
    }

    pub(super) fn remove(&mut self, number: u64) -> Option<QueuedMessage> {
        let message = self.messages.remove(&number)?;
        self.unindex(number, message.state, message.visible_at);
        self.by_age.remove(&(message.content.sent_at, number));
        self.bytes -= message.content.bytes();
        Some(message)
    }

    /// Changes a message and updates the orders.
    pub(super) fn update(
        &mut self,
        number: u64,
        change: impl FnOnce(&mut QueuedMessage),
    ) -> Option<&QueuedMessage> {
        let message = self.messages.get_mut(&number)?;
        let before = (message.state, message.visible_at);
        change(message);
        let after = (message.state, message.visible_at);
        if before != after {
            self.unindex(number, before.0, before.1);
            self.index(number, after.0, after.1);
        }
        self.messages.get(&number)
    }

    /// Makes messages ready that are due at `now`, and returns their number.
    pub(super) fn advance(&mut self, now: Timestamp) -> usize {
        let mut moved = 0;
        while let Some(&(visible_at, number)) = self.hidden.first() {
            if visible_at > now {
                break;
            }
            self.update(number, |message| message.state = MessageState::Ready);
            moved += 1;
        }
        moved
    }

    /// Deletes all messages that were sent at `horizon` or before, in any state.
    pub(super) fn expire(&mut self, horizon: Timestamp) {
        while let Some(&(sent_at, number)) = self.by_age.first() {
            if sent_at > horizon {
                break;
            }
            self.remove(number);
        }
    }

    /// Returns the number of the message that has been ready longest.
    pub(super) fn first_ready(&self) -> Option<u64> {
        self.ready.first().map(|&(_, number)| number)
    }

    /// Returns the time at which the next hidden message becomes ready.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.hidden.first().map(|&(visible_at, _)| visible_at)
    }

    /// Returns the time at which the oldest message was sent.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        self.by_age.first().map(|&(sent_at, _)| sent_at)
    }

    pub(super) fn ready(&self) -> usize {
        self.ready.len()
    }

    pub(super) fn delayed(&self) -> usize {
        self.delayed
    }

    pub(super) fn in_flight(&self) -> usize {
        self.hidden.len() - self.delayed
    }

    /// Returns the size of the messages in bytes, without bookkeeping.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Deletes all messages. Their numbers are not reused, so that old receipts stay invalid.
    pub(super) fn clear(&mut self) {
        *self = Self {
            next_number: self.next_number,
            ..Self::default()
        };
    }

    fn index(&mut self, number: u64, state: MessageState, visible_at: Timestamp) {
        self.delayed += usize::from(state == MessageState::Delayed);
        let order = if state == MessageState::Ready {
            &mut self.ready
        } else {
            &mut self.hidden
        };
        order.insert((visible_at, number));
    }

    fn unindex(&mut self, number: u64, state: MessageState, visible_at: Timestamp) {
        self.delayed -= usize::from(state == MessageState::Delayed);
        let order = if state == MessageState::Ready {
            &mut self.ready
        } else {
            &mut self.hidden
        };
        order.remove(&(visible_at, number));
    }
}
