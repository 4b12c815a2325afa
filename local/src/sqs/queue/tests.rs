//! Tests of one queue at given times.

use super::*;
use crate::sqs::digest;
use crate::sqs::message::MessageAttributes;
use crate::sqs::settings::QueueAttributes;

mod model;

const START: u64 = 1_800_000_000_000;
const VISIBILITY: Duration = Duration::from_secs(30);

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(START).saturating_add(Duration::from_secs(seconds))
}

fn queue() -> StandardQueue {
    StandardQueue::new(
        "arn:aws:sqs:us-east-1:000000000000:q".to_owned(),
        QueueSettings::default(),
        at(0),
    )
}

fn content(body: &str, sent_at: Timestamp) -> MessageContent {
    MessageContent {
        id: format!("id of {body}"),
        body: body.to_owned(),
        body_md5: digest::hash_body(body),
        attributes: MessageAttributes::new(),
        trace_header: None,
        group_id: None,
        sent_at,
    }
}

fn send(queue: &mut StandardQueue, body: &str, delay: u64, now: u64) {
    queue.send(content(body, at(now)), Duration::from_secs(delay), at(now));
}

fn receive(queue: &mut StandardQueue, max_messages: usize, now: u64) -> Vec<ReceivedMessage> {
    queue
        .receive(max_messages, VISIBILITY, None, at(now))
        .unwrap()
        .messages
}

fn bodies(messages: &[ReceivedMessage]) -> Vec<&str> {
    messages
        .iter()
        .map(|message| message.content.body.as_str())
        .collect()
}

fn count(queue: &mut StandardQueue, name: &str, now: u64) -> String {
    queue.attributes(at(now)).remove(name).unwrap()
}

fn counts(queue: &mut StandardQueue, now: u64) -> [String; 3] {
    ["", "NotVisible", "Delayed"]
        .map(|suffix| count(queue, &format!("ApproximateNumberOfMessages{suffix}"), now))
}

#[test]
fn a_received_message_is_hidden_until_its_timeout() {
    let mut queue = queue();
    send(&mut queue, "a", 0, 0);
    assert_eq!(bodies(&receive(&mut queue, 10, 1)), ["a"]);
    assert!(receive(&mut queue, 10, 30).is_empty());
    let again = receive(&mut queue, 10, 31);
    assert_eq!((bodies(&again), again[0].receive_count), (vec!["a"], 2));
    assert_eq!(again[0].first_received_at, at(1));
}

#[test]
fn a_delayed_message_is_received_after_its_delay() {
    let mut queue = queue();
    send(&mut queue, "late", 5, 0);
    send(&mut queue, "now", 0, 0);
    assert_eq!(counts(&mut queue, 0), ["1", "0", "1"]);
    assert_eq!(bodies(&receive(&mut queue, 10, 4)), ["now"]);
    assert_eq!(counts(&mut queue, 4), ["0", "1", "1"]);
    assert_eq!(bodies(&receive(&mut queue, 10, 5)), ["late"]);
    assert_eq!(counts(&mut queue, 5), ["0", "2", "0"]);
}

#[test]
fn messages_are_received_in_order_up_to_the_limit() {
    let mut queue = queue();
    for body in ["a", "b", "c"] {
        send(&mut queue, body, 0, 0);
    }
    assert_eq!(bodies(&receive(&mut queue, 2, 0)), ["a", "b"]);
    assert_eq!(bodies(&receive(&mut queue, 2, 0)), ["c"]);
}

#[test]
fn a_deleted_message_is_not_received_again() {
    let mut queue = queue();
    send(&mut queue, "a", 0, 0);
    let receipt = receive(&mut queue, 1, 0)[0].receipt;
    queue.delete(receipt, at(1));
    queue.delete(receipt, at(1));
    assert!(receive(&mut queue, 1, 100).is_empty());
    assert_eq!(queue.bytes(), 0);
}

#[test]
fn a_receipt_is_valid_until_the_next_receive() {
    let mut queue = queue();
    send(&mut queue, "a", 0, 0);
    let first = receive(&mut queue, 1, 0)[0].receipt;
    assert_eq!(
        queue.change_visibility("handle", first, VISIBILITY, at(40)),
        Ok(())
    );
    assert!(receive(&mut queue, 1, 69).is_empty());
    let second = receive(&mut queue, 1, 70)[0].receipt;
    queue.delete(first, at(71));
    assert!(
        queue
            .change_visibility("handle", first, VISIBILITY, at(71))
            .is_err()
    );
    assert_eq!(counts(&mut queue, 71), ["0", "1", "0"]);
    queue.delete(second, at(71));
    assert_eq!(counts(&mut queue, 71), ["0", "0", "0"]);
}

#[test]
fn a_visibility_timeout_of_zero_makes_the_message_ready() {
    let mut queue = queue();
    send(&mut queue, "a", 0, 0);
    let receipt = receive(&mut queue, 1, 0)[0].receipt;
    queue
        .change_visibility("handle", receipt, Duration::ZERO, at(1))
        .unwrap();
    assert_eq!(bodies(&receive(&mut queue, 1, 1)), ["a"]);
}

#[test]
fn a_message_is_hidden_for_at_most_twelve_hours_since_it_was_received() {
    let mut queue = queue();
    send(&mut queue, "a", 0, 0);
    let receipt = receive(&mut queue, 1, 0)[0].receipt;
    let almost = Duration::from_secs(43_190);
    assert_eq!(
        queue.change_visibility("handle", receipt, almost, at(10)),
        Ok(())
    );
    let error = queue
        .change_visibility("handle", receipt, almost, at(11))
        .unwrap_err();
    assert_eq!(error.codes().code, "InvalidParameterValue");
}

#[test]
fn a_receive_with_a_visibility_timeout_of_zero_returns_each_message_once() {
    let mut queue = queue();
    send(&mut queue, "a", 0, 0);
    let outcome = queue.receive(10, Duration::ZERO, None, at(0)).unwrap();
    assert_eq!(outcome.messages.len(), 1);
    assert_eq!(receive(&mut queue, 10, 0)[0].receive_count, 2);
}

#[test]
fn the_receive_after_the_last_allowed_one_moves_the_message() {
    let mut queue = queue();
    send(&mut queue, "poison", 0, 0);
    for now in [0, 30] {
        assert_eq!(
            queue
                .receive(10, VISIBILITY, Some(2), at(now))
                .unwrap()
                .messages
                .len(),
            1
        );
    }
    send(&mut queue, "fine", 0, 40);
    let outcome = queue.receive(10, VISIBILITY, Some(2), at(60)).unwrap();
    assert_eq!(
        (bodies(&outcome.messages), outcome.dead_letters.len()),
        (vec!["fine"], 1)
    );
    assert_eq!(counts(&mut queue, 60), ["0", "1", "0"]);
}

#[test]
fn a_dead_letter_keeps_its_id_its_age_and_its_count() {
    let (mut source, mut target) = (queue(), queue());
    send(&mut source, "poison", 0, 3);
    receive(&mut source, 1, 4);
    let mut outcome = source.receive(1, VISIBILITY, Some(1), at(50)).unwrap();
    target.redrive(outcome.dead_letters.remove(0), "arn of source", at(50));
    let received = receive(&mut target, 1, 50).remove(0);
    assert_eq!(
        (received.content.id.as_str(), received.content.sent_at),
        ("id of poison", at(3))
    );
    assert_eq!(
        (received.receive_count, received.first_received_at),
        (2, at(4))
    );
    assert_eq!(received.source_arn.as_deref(), Some("arn of source"));
}

#[test]
fn messages_expire_after_the_retention_period_even_in_flight() {
    let mut queue = queue();
    let minute = QueueAttributes::from([("MessageRetentionPeriod".to_owned(), "60".to_owned())]);
    queue.change_settings(
        QueueSettings::default().with_attributes(&minute).unwrap(),
        at(0),
    );
    send(&mut queue, "old", 0, 0);
    send(&mut queue, "young", 0, 30);
    assert_eq!(bodies(&receive(&mut queue, 1, 59)), ["old"]);
    assert_eq!(counts(&mut queue, 60), ["1", "0", "0"]);
    assert_eq!(counts(&mut queue, 90), ["0", "0", "0"]);
}

#[test]
fn a_purge_deletes_all_messages_once_per_interval() {
    let mut queue = queue();
    for (body, delay) in [("ready", 0), ("delayed", 9)] {
        send(&mut queue, body, delay, 0);
    }
    let interval = Duration::from_secs(60);
    let receipt = receive(&mut queue, 1, 0)[0].receipt;
    assert_eq!(queue.purge("q", interval, at(1)), Ok(()));
    assert_eq!(counts(&mut queue, 1), ["0", "0", "0"]);
    assert_eq!(
        queue.purge("q", interval, at(60)),
        Err(SqsError::PurgeQueueInProgress("q".to_owned()))
    );
    assert_eq!(queue.purge("q", interval, at(61)), Ok(()));
    send(&mut queue, "new", 0, 61);
    queue.delete(receipt, at(61));
    assert_eq!(counts(&mut queue, 61), ["1", "0", "0"]);
}

#[test]
fn a_receive_is_rejected_at_the_limit_of_messages_in_flight() {
    let mut queue = queue();
    for _ in 0..=MAX_IN_FLIGHT {
        send(&mut queue, "m", 0, 0);
    }
    assert_eq!(receive(&mut queue, MAX_IN_FLIGHT, 0).len(), MAX_IN_FLIGHT);
    let refused = queue.receive(1, VISIBILITY, None, at(1)).map(drop);
    assert_eq!(
        refused.map_err(|error| error.codes().code),
        Err("OverLimit")
    );
    assert!(queue.receive(1, VISIBILITY, None, at(30)).is_ok());
}

#[test]
fn the_timer_is_set_for_the_earliest_event() {
    let mut queue = queue();
    assert_eq!(queue.process_due(at(0)), None);
    send(&mut queue, "delayed", 5, 0);
    assert_eq!(queue.process_due(at(0)), Some(at(5)));
    let retention = QueueSettings::default().retention;
    assert_eq!(
        queue.process_due(at(5)),
        Some(at(0).saturating_add(retention))
    );
    receive(&mut queue, 1, 6);
    assert_eq!(queue.process_due(at(6)), Some(at(36)));
}

#[test]
fn the_depth_counts_each_state_and_the_age_of_the_oldest_message() {
    let mut queue = queue();
    assert_eq!(queue.depth(at(0)).oldest_age, Duration::ZERO);
    send(&mut queue, "received", 0, 0);
    receive(&mut queue, 1, 5);
    send(&mut queue, "ready", 0, 10);
    send(&mut queue, "delayed", 60, 10);
    let depth = |visible, not_visible, delayed, seconds| QueueDepth {
        visible,
        not_visible,
        delayed,
        oldest_age: Duration::from_secs(seconds),
    };
    assert_eq!(queue.depth(at(20)), depth(1, 1, 1, 20));
    // The visibility timeout and the delay have passed.
    assert_eq!(queue.depth(at(100)), depth(3, 0, 0, 100));
}
