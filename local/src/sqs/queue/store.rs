//! The messages of one queue and the three orders they are kept in.
//!
//! Nothing here walks over all messages: receiving takes from the front of `ready`, waking looks at
//! the front of `hidden`, expiry at the front of `by_age`, and every change costs a logarithm.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::sqs::clock::Timestamp;
use crate::sqs::message::Content;

/// Why a message is not ready, or that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Ready,
    Delayed,
    InFlight,
}

/// A message in this queue. No `Debug`, as it holds the body.
pub(super) struct Entry {
    pub(super) content: Arc<Content>,
    pub(super) state: State,
    /// When it became or becomes ready.
    pub(super) visible_at: Timestamp,
    /// How often it was received, in this queue and in the one it was redriven from: what consumers
    /// are told.
    pub(super) receives: u32,
    /// How often it was received in this queue: what the redrive policy goes by.
    pub(super) receives_here: u32,
    pub(super) first_received_at: Option<Timestamp>,
    pub(super) last_received_at: Option<Timestamp>,
    /// ARN of the queue that it was redriven from.
    pub(super) redriven_from: Option<String>,
}

#[derive(Default)]
pub(super) struct Store {
    entries: HashMap<u64, Entry>,
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

impl Store {
    pub(super) fn insert(&mut self, entry: Entry) {
        let number = self.next_number;
        self.next_number += 1;
        self.bytes += entry.content.bytes();
        self.by_age.insert((entry.content.sent_at, number));
        self.index(number, entry.state, entry.visible_at);
        self.entries.insert(number, entry);
    }

    pub(super) fn get(&self, number: u64) -> Option<&Entry> {
        self.entries.get(&number)
    }

    pub(super) fn remove(&mut self, number: u64) -> Option<Entry> {
        let entry = self.entries.remove(&number)?;
        self.unindex(number, entry.state, entry.visible_at);
        self.by_age.remove(&(entry.content.sent_at, number));
        self.bytes -= entry.content.bytes();
        Some(entry)
    }

    /// Changes a message and puts it where it then belongs.
    pub(super) fn update(
        &mut self,
        number: u64,
        change: impl FnOnce(&mut Entry),
    ) -> Option<&Entry> {
        let entry = self.entries.get_mut(&number)?;
        let before = (entry.state, entry.visible_at);
        change(entry);
        let after = (entry.state, entry.visible_at);
        if before != after {
            self.unindex(number, before.0, before.1);
            self.index(number, after.0, after.1);
        }
        self.entries.get(&number)
    }

    /// Makes ready what is due at `now`, and returns how many that were.
    pub(super) fn advance(&mut self, now: Timestamp) -> usize {
        let mut moved = 0;
        while let Some(&(visible_at, number)) = self.hidden.first() {
            if visible_at > now {
                break;
            }
            self.update(number, |entry| entry.state = State::Ready);
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

    fn index(&mut self, number: u64, state: State, visible_at: Timestamp) {
        self.delayed += usize::from(state == State::Delayed);
        let order = if state == State::Ready {
            &mut self.ready
        } else {
            &mut self.hidden
        };
        order.insert((visible_at, number));
    }

    fn unindex(&mut self, number: u64, state: State, visible_at: Timestamp) {
        self.delayed -= usize::from(state == State::Delayed);
        let order = if state == State::Ready {
            &mut self.ready
        } else {
            &mut self.hidden
        };
        order.remove(&(visible_at, number));
    }
}
