//! The messages of one queue and the three orders they are kept in.
//!
//! Nothing here walks over all messages: receiving takes from the front of `ready`, waking looks at
//! the front of `hidden`, expiry at the front of `by_age`, and every change costs a logarithm.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::sqs::clock::Timestamp;
use crate::sqs::message::MessageContent;

/// Why a message is not ready, or that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MessageState {
    Ready,
    Delayed,
    InFlight,
}

/// A message in this queue. No `Debug`, as it holds the body.
pub(super) struct QueuedMessage {
    pub(super) content: Arc<MessageContent>,
    pub(super) state: MessageState,
    /// When it became or becomes ready.
    pub(super) visible_at: Timestamp,
    /// How often it was received, in this queue and in the one it was redriven from: what consumers
    /// are told.
    pub(super) receive_count: u32,
    /// How often it was received in this queue: what the redrive policy goes by.
    pub(super) receive_count_in_queue: u32,
    pub(super) first_received_at: Option<Timestamp>,
    pub(super) last_received_at: Option<Timestamp>,
    /// ARN of the queue that it was redriven from.
    pub(super) source_arn: Option<String>,
}

#[derive(Default)]
pub(super) struct MessageStore {
    messages: HashMap<u64, QueuedMessage>,
    next_number: u64,
    /// In the order in which they became ready.
    ready: BTreeSet<(Timestamp, u64)>,
    /// Delayed and in flight, in the order in which they become ready.
    hidden: BTreeSet<(Timestamp, u64)>,
    /// All, oldest first. Not the order of arrival: what is redriven keeps its age.
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

    /// Changes a message and puts it where it then belongs.
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

    /// Makes ready what is due at `now`, and returns how many that were.
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

    /// Drops everything sent at or before `horizon`, whatever its state.
    pub(super) fn expire(&mut self, horizon: Timestamp) {
        while let Some(&(sent_at, number)) = self.by_age.first() {
            if sent_at > horizon {
                break;
            }
            self.remove(number);
        }
    }

    /// Number of the message that has been ready longest.
    pub(super) fn first_ready(&self) -> Option<u64> {
        self.ready.first().map(|&(_, number)| number)
    }

    /// When the next hidden message becomes ready.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.hidden.first().map(|&(visible_at, _)| visible_at)
    }

    /// When the oldest message was sent.
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

    /// Bytes of the messages, without bookkeeping.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Forgets all messages; their numbers are not used again, so that old receipts stay stale.
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
