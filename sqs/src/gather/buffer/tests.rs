use std::sync::Arc;

use opentelemetry::Context;
use tokio::sync::{Semaphore, oneshot};

use super::*;
use crate::added_attributes::AddedAttributes;
use crate::gather::config::GroupOrder;
use crate::gather::entry::{Delivery, Progress, Room, TracedMessage};
use crate::limits::MAX_MESSAGE_BYTES;
use crate::message::OutgoingMessage;

/// A buffer, and the callers that wait for its messages.
struct TestBuffer {
    buffer: Buffer,
    callers: Vec<oneshot::Receiver<Delivery>>,
    /// The bodies of all pushed messages.
    bodies: Vec<String>,
    now: Instant,
}

const LINGER: Duration = Duration::from_millis(5);

impl TestBuffer {
    fn new(waiting: WaitingMessages) -> Self {
        Self::with_config(waiting, &GatherConfig::default())
    }

    fn with_config(waiting: WaitingMessages, config: &GatherConfig) -> Self {
        Self {
            buffer: Buffer::new(waiting, config),
            callers: Vec::new(),
            bodies: Vec::new(),
            now: Instant::now(),
        }
    }

    fn entry(&mut self, message: OutgoingMessage) -> Entry {
        let (reply, caller) = oneshot::channel();
        self.callers.push(caller);
        let permit = || {
            let permits = Arc::new(Semaphore::new(1));
            permits.try_acquire_owned().unwrap()
        };
        Entry {
            size: message.size(),
            traced: Box::new(TracedMessage {
                message,
                added: AddedAttributes::default(),
                context: Context::new(),
            }),
            sequence: 0,
            due: self.now,
            deadline: self.now + Duration::from_secs(10),
            attempts: 0,
            had_no_response: false,
            is_alone: false,
            progress: Arc::new(Progress::default()),
            reply,
            room: Room {
                _message: permit(),
                _bytes: permit(),
            },
        }
    }

    fn push(&mut self, message: OutgoingMessage) {
        self.push_with(message, LingerPolicy::Always);
    }

    fn push_with(&mut self, message: OutgoingMessage, policy: LingerPolicy) {
        self.bodies.push(message.body.clone());
        let entry = self.entry(message);
        assert!(self.buffer.push(entry, policy, self.now).is_ok());
    }

    fn push_all(&mut self, bodies: &[&str]) {
        for body in bodies {
            self.push(OutgoingMessage::new(*body));
        }
    }

    /// Pushes messages of groups: `a1` is a message of the group `a`.
    fn push_groups(&mut self, bodies: &[&str]) {
        for body in bodies {
            self.push(OutgoingMessage::new(*body).with_group_id(&body[..1]));
        }
    }

    /// Removes the message with this body if it is not in flight. Its position is that of its push,
    /// and its group has the first character of the body as its name.
    fn remove(&mut self, body: &str) -> Option<String> {
        let sequence = self.bodies.iter().position(|pushed| pushed == body);
        let sequence = u64::try_from(sequence.unwrap()).unwrap();
        let removed = self.buffer.remove(&body[..1], sequence)?;
        Some(removed.traced.message.body.clone())
    }

    fn next(&mut self) -> Option<Vec<Entry>> {
        self.buffer.next_batch(self.now)
    }

    fn next_bodies(&mut self) -> Vec<String> {
        bodies(&self.next().unwrap_or_default())
    }

    /// Takes the batches that are due, and ends their calls.
    fn accept_next(&mut self) {
        while let Some(batch) = self.next() {
            self.accept(batch);
        }
    }

    /// Ends a call whose messages were accepted.
    fn accept(&mut self, batch: Vec<Entry>) {
        for entry in batch {
            self.buffer.settle(entry.group());
        }
        self.buffer.end_batch();
    }
}

fn bodies(batch: &[Entry]) -> Vec<String> {
    let bodies = batch.iter().map(|entry| entry.traced.message.body.clone());
    bodies.collect()
}

fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|index| format!("m{index}")).collect()
}

fn push_numbered(test: &mut TestBuffer, count: usize) {
    for body in numbered(count) {
        test.push(OutgoingMessage::new(body));
    }
}

#[test]
fn a_message_without_others_is_sent_at_once() {
    let mut test = TestBuffer::new(WaitingMessages::standard());
    test.push_with(OutgoingMessage::new("a"), LingerPolicy::IfLikely);
    assert_eq!(test.next_bodies(), ["a"]);
    assert_eq!(test.buffer.next_wakeup(), None);
}

#[test]
fn a_message_waits_for_the_linger_at_a_high_rate() {
    let mut test = TestBuffer::new(WaitingMessages::standard());
    for _ in 0..100 {
        test.push_with(OutgoingMessage::new("a"), LingerPolicy::IfLikely);
        test.accept_next();
        test.now += Duration::from_millis(1);
    }
    test.now += LINGER;
    test.accept_next();
    test.push_with(OutgoingMessage::new("b"), LingerPolicy::IfLikely);
    assert!(test.next().is_none());
    assert_eq!(test.buffer.next_wakeup(), Some(test.now + LINGER));
    test.now += LINGER;
    assert_eq!(test.next_bodies(), ["b"]);
}

#[test]
fn a_message_that_does_not_wait_takes_an_older_one_with_it() {
    let mut test = TestBuffer::new(WaitingMessages::standard());
    test.push_all(&["a"]);
    test.push_with(OutgoingMessage::new("b"), LingerPolicy::IfLikely);
    assert_eq!(test.next_bodies(), ["a", "b"]);
}

#[test]
fn ten_messages_are_a_full_batch() {
    let mut test = TestBuffer::new(WaitingMessages::standard());
    push_numbered(&mut test, 9);
    assert!(test.next().is_none());
    push_numbered(&mut test, 3);
    assert_eq!(test.next().unwrap().len(), 10);
    assert!(test.next().is_none(), "two wait for others");
    test.now += LINGER;
    assert_eq!(test.next_bodies(), ["m1", "m2"]);
}

#[test]
fn a_batch_never_exceeds_the_limit_of_its_total_size() {
    let mut test = TestBuffer::new(WaitingMessages::standard());
    let half = "x".repeat(MAX_MESSAGE_BYTES / 2);
    test.push_all(&[&half, &half, "a"]);
    let batch = test.next().unwrap();
    let bytes: usize = batch.iter().map(Entry::total_size).sum();
    assert_eq!((batch.len(), bytes), (2, MAX_MESSAGE_BYTES));
    test.push_all(&[&half, &half]);
    let batch = test.next().unwrap();
    assert_eq!(batch.len(), 2, "`a` and a message that leaves room for it");
    test.now += LINGER;
    assert_eq!(test.next().unwrap().len(), 1);
}

#[test]
fn a_message_of_the_largest_size_is_sent() {
    let mut test = TestBuffer::new(WaitingMessages::standard());
    test.push_all(&[&"x".repeat(MAX_MESSAGE_BYTES)]);
    assert_eq!(test.next().unwrap().len(), 1);
}

#[test]
fn the_number_of_batches_in_flight_is_limited() {
    let config = GatherConfig {
        max_batches_in_flight: NonZeroUsize::new(2).unwrap(),
        ..GatherConfig::default()
    };
    let mut test = TestBuffer::with_config(WaitingMessages::standard(), &config);
    push_numbered(&mut test, 40);
    let first = test.next().unwrap();
    assert!(test.next().is_some());
    assert!(test.next().is_none());
    assert_eq!(test.buffer.next_wakeup(), None);
    test.accept(first);
    assert_eq!(test.next().unwrap().len(), 10);
}

#[test]
fn a_message_without_a_caller_is_skipped() {
    let mut test = TestBuffer::new(WaitingMessages::standard());
    test.push_all(&["a", "b", "c"]);
    test.callers.remove(1);
    test.buffer.flush(test.now);
    assert_eq!(test.next_bodies(), ["a", "c"]);
    test.push_all(&["d"]);
    test.callers.clear();
    test.buffer.flush(test.now);
    assert!(test.next().is_none());
    assert!(!test.buffer.is_idle(), "the first batch is in flight");
    test.buffer.end_batch();
    assert!(test.buffer.is_idle());
}

#[test]
fn a_removed_message_is_not_sent_wherever_it_waits() {
    for waiting in [
        WaitingMessages::standard(),
        WaitingMessages::fifo(GroupOrder::Strict),
    ] {
        let mut test = TestBuffer::new(waiting);
        test.push_groups(&["x1"]);
        assert_eq!(test.remove("x1").as_deref(), Some("x1"));
        assert_eq!(test.buffer.next_wakeup(), None);
        test.push_groups(&["a1", "b1", "c1"]);
        assert_eq!(test.remove("b1").as_deref(), Some("b1"));
        test.buffer.flush(test.now);
        let mut batch = test.next().unwrap();
        assert_eq!(bodies(&batch), ["a1", "c1"]);
        assert_eq!(test.remove("a1"), None, "it is in flight");
        test.buffer.delay(batch.remove(0), test.now + LINGER);
        assert_eq!(test.remove("a1").as_deref(), Some("a1"));
        assert_eq!(test.buffer.next_wakeup(), None);
        test.accept(batch);
        assert!(test.buffer.is_idle());
    }
}

#[test]
fn a_delayed_message_is_sent_at_its_time_before_later_ones() {
    let mut test = TestBuffer::new(WaitingMessages::standard());
    test.push_all(&["a", "b"]);
    test.buffer.flush(test.now);
    let until = test.now + Duration::from_millis(50);
    for entry in test.next().unwrap() {
        test.buffer.delay(entry, until);
    }
    test.buffer.end_batch();
    assert!(test.next().is_none());
    assert_eq!(test.buffer.next_wakeup(), Some(until));
    test.now = until;
    test.push_all(&["c"]);
    assert_eq!(test.next_bodies(), ["a", "b", "c"]);
}

#[test]
fn a_message_that_must_be_alone_is_sent_alone() {
    let mut test = TestBuffer::new(WaitingMessages::standard());
    test.push_all(&["a", "b"]);
    test.buffer.flush(test.now);
    for mut entry in test.next().unwrap().into_iter().rev() {
        entry.is_alone = true;
        test.buffer.readmit(entry, test.now);
    }
    test.buffer.end_batch();
    test.push_all(&["c"]);
    assert_eq!(test.next_bodies(), ["a"]);
    assert_eq!(test.next_bodies(), ["b"]);
    test.now += LINGER;
    assert_eq!(test.next_bodies(), ["c"]);
}

#[test]
fn a_closed_buffer_accepts_nothing_and_sends_everything() {
    let mut test = TestBuffer::new(WaitingMessages::standard());
    test.push_all(&["a"]);
    test.buffer.flush(test.now);
    for entry in test.next().unwrap() {
        test.buffer.delay(entry, test.now + Duration::from_secs(9));
    }
    test.buffer.end_batch();
    test.push_all(&["b"]);
    test.buffer.close(test.now);
    let late = test.entry(OutgoingMessage::new("late"));
    assert!(
        test.buffer
            .push(late, LingerPolicy::IfLikely, test.now)
            .is_err()
    );
    let batch = test.next().unwrap();
    assert_eq!(bodies(&batch), ["a", "b"]);
    assert!(!test.buffer.is_idle());
    test.accept(batch);
    assert!(test.buffer.is_idle());
}

#[test]
fn a_drained_buffer_returns_everything_that_is_not_in_flight() {
    for waiting in [
        WaitingMessages::standard(),
        WaitingMessages::fifo(GroupOrder::Strict),
    ] {
        let mut test = TestBuffer::new(waiting);
        test.push_groups(&["a1", "b1"]);
        test.buffer.flush(test.now);
        let mut batch = test.next().unwrap();
        let later = test.now + Duration::from_secs(1);
        test.buffer.delay(batch.remove(1), later);
        test.push_groups(&["a2", "c1"]);
        assert_eq!(bodies(&test.buffer.drain()), ["b1", "a2", "c1"]);
        assert!(!test.buffer.is_idle());
        test.accept(batch);
        assert!(test.buffer.is_idle());
    }
}

#[test]
fn one_message_of_a_group_is_in_flight() {
    let mut test = TestBuffer::new(WaitingMessages::fifo(GroupOrder::Strict));
    test.push_groups(&["a1", "a2", "b1", "a3", "c1"]);
    test.buffer.flush(test.now);
    let first = test.next().unwrap();
    assert_eq!(bodies(&first), ["a1", "b1", "c1"]);
    assert!(test.next().is_none());
    assert_eq!(test.buffer.next_wakeup(), None, "nothing may be sent yet");
    test.accept(first);
    assert_eq!(test.next_bodies(), ["a2"]);
}

#[test]
fn ten_groups_are_a_full_batch_and_ten_messages_of_a_group_are_not() {
    let mut test = TestBuffer::new(WaitingMessages::fifo(GroupOrder::Strict));
    test.push_groups(&["a1"; 20]);
    assert!(test.next().is_none());
    test.push_groups(&["b1", "c1", "d1", "e1", "f1", "g1", "h1", "i1", "j1", "k1"]);
    assert_eq!(test.next().unwrap().len(), 10);
}

#[test]
fn a_group_waits_for_its_message_that_is_sent_again() {
    let mut test = TestBuffer::new(WaitingMessages::fifo(GroupOrder::Strict));
    test.push_groups(&["a1", "a2", "b1"]);
    test.buffer.flush(test.now);
    let mut batch = test.next().unwrap();
    let until = test.now + Duration::from_millis(50);
    test.buffer.delay(batch.remove(0), until);
    test.accept(batch);
    test.push_groups(&["b2"]);
    test.now += LINGER;
    assert_eq!(test.next_bodies(), ["b2"]);
    test.now = until;
    assert_eq!(test.next_bodies(), ["a1"]);
    assert!(test.next().is_none());
}

#[test]
fn a_group_keeps_its_order_without_a_removed_message() {
    let mut test = TestBuffer::new(WaitingMessages::fifo(GroupOrder::Batched));
    test.push_groups(&["a1", "a2", "a3", "a4", "b1"]);
    assert_eq!(test.remove("a1").as_deref(), Some("a1"));
    assert_eq!(test.remove("a3").as_deref(), Some("a3"));
    test.buffer.flush(test.now);
    let batch = test.next().unwrap();
    assert_eq!(bodies(&batch), ["a2", "a4", "b1"]);
    test.push_groups(&["a5", "a6"]);
    assert_eq!(test.remove("a5").as_deref(), Some("a5"));
    test.buffer.flush(test.now);
    assert!(test.next().is_none(), "the group is busy");
    test.accept(batch);
    assert_eq!(test.next_bodies(), ["a6"]);
}

#[test]
fn a_removed_message_does_not_fill_a_batch() {
    let mut test = TestBuffer::new(WaitingMessages::fifo(GroupOrder::Batched));
    test.push_groups(&["a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8", "b1"]);
    for body in ["b1", "a1", "a4"] {
        assert_eq!(test.remove(body).as_deref(), Some(body));
    }
    test.push_groups(&["c1", "c2", "c3"]);
    assert!(test.next().is_none(), "nine wait");
    test.push_groups(&["b2"]);
    assert_eq!(test.next().unwrap().len(), 10);
}

#[test]
fn removing_a_message_that_waits_for_its_retry_unblocks_its_group() {
    let mut test = TestBuffer::new(WaitingMessages::fifo(GroupOrder::Strict));
    test.push_groups(&["a1", "a2"]);
    test.buffer.flush(test.now);
    let entry = test.next().unwrap().remove(0);
    test.buffer.delay(entry, test.now + Duration::from_secs(1));
    test.buffer.end_batch();
    assert!(test.next().is_none());
    assert_eq!(test.remove("a1").as_deref(), Some("a1"));
    assert_eq!(test.next_bodies(), ["a2"]);
}

#[test]
fn a_batched_group_sends_ten_and_waits_for_all_of_them() {
    let mut test = TestBuffer::new(WaitingMessages::fifo(GroupOrder::Batched));
    for index in 0..12 {
        test.push(OutgoingMessage::new(format!("a{index}")).with_group_id("a"));
    }
    let mut batch = test.next().unwrap();
    assert_eq!(
        bodies(&batch),
        (0..10).map(|index| format!("a{index}")).collect::<Vec<_>>()
    );
    test.now += LINGER;
    assert!(test.next().is_none());
    for _ in 0..2 {
        test.buffer.delay(batch.remove(3), test.now);
    }
    test.accept(batch);
    assert_eq!(test.next_bodies(), ["a3", "a4", "a10", "a11"]);
}

#[test]
fn a_group_without_callers_is_removed() {
    let mut test = TestBuffer::new(WaitingMessages::fifo(GroupOrder::Strict));
    test.push_groups(&["a1", "a2"]);
    test.callers.clear();
    test.buffer.flush(test.now);
    assert!(test.next().is_none());
    assert!(test.buffer.is_idle());
    test.push_groups(&["a3"]);
    test.buffer.flush(test.now);
    assert_eq!(test.next_bodies(), ["a3"]);
}
