//! Metrics that the SDK collects from whole invocations.

use std::time::{Duration, SystemTime};

use tokio::time::sleep;

use self::recorded::{RecordedMetrics, Value, collect, meters};
use crate::config::{AllFailed, PartialResponse};
use crate::testing::{Batch, Record};
use crate::{Consumer, ConsumerBuilder, Failure, Handler, Message};

mod recorded;

const DURATION: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

/// Sleeps for the milliseconds in the body.
async fn handle(message: Message<String>) -> Result<(), Failure> {
    match message.body.as_str() {
        "retry" => Err(Failure::retry("busy", "not now")),
        "panic" => panic!("on purpose"),
        time => {
            sleep(Duration::from_millis(time.parse()?)).await;
            Ok(())
        }
    }
}

async fn run<S: Send + Sync + 'static, Args>(
    consumer: ConsumerBuilder<S>,
    handler: impl Handler<S, Args>,
    batch: Batch,
) -> RecordedMetrics {
    let (meters, reader) = meters();
    // Cloned, because dropping the provider discards its metrics.
    batch
        .run_with_meters(consumer, handler, meters.clone())
        .await;
    collect(&reader)
}

fn batch_of(bodies: &[&str]) -> Batch {
    let batch = Batch::standard("orders");
    bodies
        .iter()
        .fold(batch, |batch, body| batch.raw_message(*body))
}

const PROCESS: &str =
    "messaging.destination.name=orders,messaging.operation.name=process,messaging.system=aws_sqs";
const PUBSUB: &str = "faas.trigger=pubsub";

#[tokio::test(start_paused = true)]
async fn a_successful_batch_is_measured_per_record_and_per_invocation() {
    let consumer = Consumer::builder().concurrency(2.try_into().unwrap());
    let recorded = run(consumer, handle, batch_of(&["20", "300"])).await;
    let durations = recorded.histogram("messaging.process.duration", "s", PROCESS);
    assert_eq!((durations.count, durations.bounds), (2, DURATION.to_vec()));
    assert!((durations.sum - 0.32).abs() < 0.01, "{}", durations.sum);
    // Up to 25 ms, and up to 500 ms.
    assert_eq!((durations.counts[2], durations.counts[7]), (1, 1));
    let invocation = recorded.histogram("faas.invoke_duration", "s", PUBSUB);
    assert_eq!(
        (invocation.count, invocation.bounds),
        (1, DURATION.to_vec())
    );
    assert!((invocation.sum - 0.3).abs() < 0.01, "{}", invocation.sum);
    for (name, unit, attributes, value) in [
        (
            "messaging.client.consumed.messages",
            "{message}",
            PROCESS,
            2,
        ),
        ("faas.coldstarts", "{coldstart}", PUBSUB, 1),
        ("faas.invocations", "{invocation}", PUBSUB, 1),
    ] {
        assert_eq!(
            recorded.value(name, unit, attributes),
            Value::Sum(value),
            "{name}"
        );
    }
    let names = recorded.names();
    assert_eq!(names.len(), 8, "{names:?}");
}

#[tokio::test(start_paused = true)]
async fn failures_have_their_error_type() {
    let batch = batch_of(&["0", "retry", "panic", "no number"]);
    let recorded = run(Consumer::builder(), handle, batch).await;
    for error_type in ["busy", "panic"] {
        let attributes = format!("error.type={error_type},{PROCESS}");
        let durations = recorded.histogram("messaging.process.duration", "s", &attributes);
        assert_eq!(durations.count, 1, "{error_type}");
    }
    assert_eq!(
        recorded
            .histogram("messaging.process.duration", "s", PROCESS)
            .count,
        1
    );
    let consumed = recorded.value("messaging.client.consumed.messages", "{message}", PROCESS);
    assert_eq!(consumed, Value::Sum(4));
    // Failed messages do not fail the invocation.
    assert_eq!(
        recorded.value("faas.invocations", "{invocation}", PUBSUB),
        Value::Sum(1)
    );
    assert!(!recorded.names().contains(&"faas.errors"));
}

#[tokio::test(start_paused = true)]
async fn an_invocation_that_fails_is_an_error() {
    let consumer = Consumer::builder().all_failed(AllFailed::FailInvocation);
    let recorded = run(consumer, handle, batch_of(&["retry"])).await;
    assert_eq!(
        recorded.value("faas.errors", "{error}", PUBSUB),
        Value::Sum(1)
    );
    assert_eq!(
        recorded
            .histogram("faas.invoke_duration", "s", PUBSUB)
            .count,
        1
    );
    assert!(!recorded.names().contains(&"faas.invocations"));
}

#[tokio::test(start_paused = true)]
async fn an_invocation_that_reaches_its_deadline_is_a_timeout() {
    let recorded = run(Consumer::builder(), handle, batch_of(&["1", "10000000"])).await;
    assert_eq!(
        recorded.value("faas.timeouts", "{timeout}", PUBSUB),
        Value::Sum(1)
    );
    let attributes = format!("error.type=deadline_exceeded,{PROCESS}");
    let cut = recorded.histogram("messaging.process.duration", "s", &attributes);
    assert_eq!(cut.count, 1);
    // A cancelled message does not fail the invocation.
    assert_eq!(
        recorded.value("faas.invocations", "{invocation}", PUBSUB),
        Value::Sum(1)
    );
}

#[tokio::test(start_paused = true)]
async fn the_time_in_the_queue_is_measured_from_the_sent_timestamp() {
    let sent = SystemTime::now() - Duration::from_secs(20);
    let batch = Batch::standard("orders").record(Record::raw("0").sent_at(sent));
    let recorded = run(Consumer::builder(), handle, batch).await;
    let queue = "messaging.destination.name=orders";
    let latency = recorded.histogram("baton.sqs.queue_latency", "s", queue);
    assert_eq!((latency.count, latency.bounds.len()), (1, 14));
    assert!((20.0..30.0).contains(&latency.sum), "{}", latency.sum);
    // Up to half a minute.
    assert_eq!((latency.bounds[8], latency.counts[8]), (30.0, 1));
}

#[tokio::test(start_paused = true)]
async fn the_deliveries_of_each_message_are_measured() {
    let batch = delivered(&[("0", 1), ("0", 1), ("0", 4), ("0", 7)]);
    let recorded = run(Consumer::builder(), handle, batch).await;
    let queue = "messaging.destination.name=orders";
    let counts = recorded.histogram("baton.sqs.receive_count", "{delivery}", queue);
    assert_eq!((counts.count, counts.sum), (4, 13.0));
    let bounds = [1.0, 2.0, 3.0, 4.0, 5.0, 10.0, 20.0, 50.0, 100.0];
    assert_eq!(counts.bounds, bounds);
    assert_eq!(counts.counts, [2, 0, 0, 1, 0, 1, 0, 0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn each_flush_is_measured_with_its_outcome() {
    let recorded = run(Consumer::builder(), handle, batch_of(&["0"])).await;
    let complete = "baton.telemetry.outcome=complete";
    let flush = recorded.histogram("baton.telemetry.flush.duration", "s", complete);
    assert_eq!((flush.count, flush.bounds.len()), (1, 12));
    let consumer = Consumer::builder().flush_timeout(Duration::ZERO);
    let recorded = run(consumer, handle, batch_of(&["0"])).await;
    assert_eq!(
        recorded.series("baton.telemetry.flush.duration"),
        ["baton.telemetry.outcome=timeout"]
    );
}

/// Records with these bodies and numbers of deliveries.
fn delivered(records: &[(&str, u32)]) -> Batch {
    let batch = Batch::standard("orders");
    records.iter().fold(batch, |batch, (body, count)| {
        batch.record(Record::raw(*body).receive_count(*count))
    })
}

const REDRIVEN: &str = "baton.sqs.moved_by=redrive_policy,messaging.destination.name=orders";

fn third_failure_is_the_last() -> ConsumerBuilder<(), tower::layer::util::Identity> {
    Consumer::builder().max_receive_count(3.try_into().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_message_that_fails_for_the_last_time_is_a_dead_letter() {
    let batch = delivered(&[("retry", 2), ("retry", 3), ("0", 3), ("panic", 4)]);
    let recorded = run(third_failure_is_the_last(), handle, batch).await;
    assert_eq!(
        recorded.value("baton.sqs.dead_letters", "{message}", REDRIVEN),
        Value::Sum(2)
    );
    assert_eq!(recorded.series("baton.sqs.dead_letters"), [REDRIVEN]);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_was_not_handled_is_a_dead_letter_as_well() {
    let blocked = Record::raw("0").receive_count(3).group("a");
    let batch = Batch::fifo("orders")
        .record(Record::raw("retry").group("a"))
        .record(blocked);
    let recorded = run(third_failure_is_the_last(), handle, batch).await;
    let queue = REDRIVEN.replace("orders", "orders.fifo");
    assert_eq!(
        recorded.value("baton.sqs.dead_letters", "{message}", &queue),
        Value::Sum(1)
    );
}

#[tokio::test(start_paused = true)]
async fn a_failed_invocation_makes_dead_letters_of_handled_messages() {
    let consumer = third_failure_is_the_last().partial_response(PartialResponse::Off);
    let recorded = run(consumer, handle, delivered(&[("retry", 1), ("0", 3)])).await;
    assert_eq!(
        recorded.value("baton.sqs.dead_letters", "{message}", REDRIVEN),
        Value::Sum(1)
    );
}

#[tokio::test(start_paused = true)]
async fn dead_letters_are_not_guessed_without_the_maximum_of_the_redrive_policy() {
    let recorded = run(Consumer::builder(), handle, delivered(&[("retry", 900)])).await;
    assert!(!recorded.names().contains(&"baton.sqs.dead_letters"));
}

#[tokio::test(start_paused = true)]
async fn messages_of_several_queues_are_counted_by_queue() {
    let returns = Batch::standard("returns").raw_message("0").raw_message("0");
    let recorded = run(Consumer::builder(), handle, batch_of(&["0"]).and(returns)).await;
    for (queue, count) in [("orders", 1), ("returns", 2)] {
        let attributes = PROCESS.replace("orders", queue);
        let consumed = recorded.value(
            "messaging.client.consumed.messages",
            "{message}",
            &attributes,
        );
        assert_eq!(consumed, Value::Sum(count));
        let durations = recorded.histogram("messaging.process.duration", "s", &attributes);
        assert_eq!(durations.count, count);
    }
}

#[tokio::test(start_paused = true)]
async fn the_number_of_queues_is_limited() {
    let batch = (0..100).fold(Batch::standard("first"), |batch, number| {
        batch.and(Batch::standard(&format!("queue-{number}")).raw_message("0"))
    });
    let recorded = run(Consumer::builder(), handle, batch).await;
    let consumed = recorded.series("messaging.client.consumed.messages");
    assert_eq!(consumed.len(), super::MAX_QUEUES + 1);
    let unknown = "messaging.operation.name=process,messaging.system=aws_sqs";
    let left = recorded.value("messaging.client.consumed.messages", "{message}", unknown);
    assert_eq!(left, Value::Sum(100 - super::MAX_QUEUES as u64));
}

/// The table in the crate documentation. Requires the feature, because the table includes sends to
/// the dead-letter queue.
#[cfg(feature = "dead-letter-queue")]
mod documented;

/// Sends to the dead-letter queue, over a socket.
#[cfg(feature = "dead-letter-queue")]
mod sends {
    use super::*;
    use crate::dead_letter::tests::endpoint::{Behaviour, Endpoint};
    use crate::dead_letter::tests::queue;

    const SEND: &str =
        "messaging.destination.name=dead,messaging.operation.name=send,messaging.system=aws_sqs";

    async fn refuse(_: Message<String>) -> Result<(), Failure> {
        Err(Failure::permanent("refused", "not wanted"))
    }

    async fn send(behaviour: Behaviour) -> RecordedMetrics {
        let endpoint = Endpoint::start(behaviour).await;
        let consumer = Consumer::builder().dead_letter_queue(queue(&endpoint, "dead").await);
        run(consumer, refuse, batch_of(&["a", "b"])).await
    }

    #[tokio::test]
    async fn moved_messages_are_counted_as_sent() {
        let recorded = send(Behaviour::Accept).await;
        let sent = recorded.value("messaging.client.sent.messages", "{message}", SEND);
        assert_eq!(sent, Value::Sum(2));
        let with_type = SEND.replace("send,", "send,messaging.operation.type=send,");
        let duration = recorded.histogram("messaging.client.operation.duration", "s", &with_type);
        assert_eq!((duration.count, duration.bounds), (2, DURATION.to_vec()));
        let moved = "baton.sqs.moved_by=function,messaging.destination.name=orders";
        assert_eq!(
            recorded.value("baton.sqs.dead_letters", "{message}", moved),
            Value::Sum(2)
        );
    }

    #[tokio::test]
    async fn a_rejected_send_has_its_error_type() {
        let recorded = send(Behaviour::Deny).await;
        let sent = recorded.series("messaging.client.sent.messages");
        assert_eq!(sent.len(), 1);
        assert!(sent[0].contains("error.type="), "{sent:?}");
        assert!(!recorded.names().contains(&"baton.sqs.dead_letters"));
    }

    #[tokio::test]
    async fn a_send_that_is_cut_off_by_the_deadline_was_cancelled_as_on_its_span() {
        let endpoint = Endpoint::start(Behaviour::Hang).await;
        let consumer = Consumer::builder().dead_letter_queue(queue(&endpoint, "dead").await);
        let batch = batch_of(&["a"]).timeout(Duration::from_secs(1));
        let recorded = run(consumer, refuse, batch).await;
        let sent = recorded.series("messaging.client.sent.messages");
        assert_eq!(sent.len(), 1);
        assert!(sent[0].contains("error.type=cancelled"), "{sent:?}");
    }
}
