use baton_producer::{OutgoingMessage, QueueSender};
use baton_test_support::{FakeSqs, SqsResponse};

use crate::support::metric_recorder::{Counts, MetricRecorder, durations, sent};
use crate::support::{sender, span_recorder};

/// A sender with a meter, its SQS, and the recorded metrics.
struct MeteredSender {
    sqs: FakeSqs,
    sender: QueueSender,
    metrics: MetricRecorder,
}

impl MeteredSender {
    async fn start() -> Self {
        let metrics = MetricRecorder::new();
        let sqs = FakeSqs::start().await.unwrap();
        let sender = sender(sqs.address, &span_recorder()).with_meter(&metrics.meter());
        Self {
            sqs,
            sender,
            metrics,
        }
    }
}

/// Returns the counts of sends, each of which counts once in both metrics.
fn expected(error: &str, count: u64) -> (Counts, Counts) {
    let first = format!("{error}messaging.destination.name=onboarding,");
    let series = [(&*first, count)];
    (sent(&series), durations(&series))
}

#[tokio::test]
async fn sends_are_counted_and_measured() {
    let metered = MeteredSender::start().await;
    for _ in 0..2 {
        metered
            .sender
            .send(OutgoingMessage::new("body"))
            .await
            .unwrap();
    }
    assert_eq!(metered.metrics.recorded(), expected("", 2));
}

#[tokio::test]
async fn a_failed_send_has_its_error_type_and_an_invalid_message_is_not_counted() {
    let metered = MeteredSender::start().await;
    let denied = SqsResponse::Error(403, "AccessDenied", "AccessDenied");
    metered.sqs.respond_with([denied]);
    metered
        .sender
        .send(OutgoingMessage::new("body"))
        .await
        .unwrap_err();
    metered
        .sender
        .send(OutgoingMessage::new(""))
        .await
        .unwrap_err();
    let expected = expected("error.type=AccessDenied,", 1);
    assert_eq!(metered.metrics.recorded(), expected);
}

#[tokio::test]
async fn a_dropped_send_is_counted_as_cancelled() {
    let metered = MeteredSender::start().await;
    metered.sqs.respond_with([SqsResponse::Held]);
    let sending = metered.sender.send(OutgoingMessage::new("body"));
    tokio::select! {
        _ = sending => panic!("it is held"),
        () = metered.sqs.wait_for_call() => {}
    }
    let expected = expected("error.type=cancelled,", 1);
    assert_eq!(metered.metrics.recorded(), expected);
}
