use aws_sdk_sqs::Client;
use baton_producer::TraceInterceptor;
use baton_test_support::SqsResponse;

use super::{Traced, entry};
use crate::support::metric_recorder::{MetricRecorder, durations, sent};

const QUEUE: &str = "messaging.destination.name=orders,";
const DENIED: SqsResponse = SqsResponse::Error(403, "AccessDenied", "AccessDenied");

/// Starts a client whose interceptor has a meter.
async fn start() -> (Traced, MetricRecorder) {
    let metrics = MetricRecorder::new();
    let meter = metrics.meter();
    let traced = Traced::start_with(|it| it.with_meter(&meter)).await;
    (traced, metrics)
}

/// Returns the first attributes of a series of failures.
fn failed(error_type: &str) -> String {
    format!("error.type={error_type},{QUEUE}")
}

#[tokio::test]
async fn each_message_counts_once_and_each_call_is_measured_once() {
    let (traced, metrics) = start().await;
    traced.message().send().await.unwrap();
    let batch = [entry("a"), entry("b"), entry("c")];
    traced.batch(batch).send().await.unwrap();
    let expected = (sent(&[(QUEUE, 4)]), durations(&[(QUEUE, 2)]));
    assert_eq!(metrics.recorded(), expected);
}

#[tokio::test]
async fn a_message_that_sqs_did_not_accept_has_its_own_error_type() {
    let (traced, metrics) = start().await;
    let failed_entry = SqsResponse::FailedEntry(1, "InternalError", false);
    let unmentioned = SqsResponse::UnmentionedEntry(0);
    traced.sqs.respond_with([failed_entry, unmentioned]);
    for _ in 0..2 {
        let batch = [entry("a"), entry("b"), entry("c")];
        traced.batch(batch).send().await.unwrap();
    }
    let (internal, invalid) = (failed("InternalError"), failed("invalid_response"));
    let expected = (
        sent(&[(QUEUE, 4), (&internal, 1), (&invalid, 1)]),
        durations(&[(&internal, 1), (&invalid, 1)]),
    );
    assert_eq!(metrics.recorded(), expected);
}

#[tokio::test]
async fn a_rejected_call_counts_all_its_messages_as_failed() {
    let (traced, metrics) = start().await;
    traced.sqs.respond_with([DENIED, DENIED]);
    traced.message().send().await.unwrap_err();
    let batch = [entry("a"), entry("b")];
    traced.batch(batch).send().await.unwrap_err();
    let denied = failed("AccessDenied");
    let expected = (sent(&[(&denied, 3)]), durations(&[(&denied, 2)]));
    assert_eq!(metrics.recorded(), expected);
}

#[tokio::test]
async fn a_dropped_call_counts_its_messages_as_cancelled() {
    let (traced, metrics) = start().await;
    traced.sqs.respond_with([SqsResponse::Held]);
    let sending = traced.batch([entry("a"), entry("b")]).send();
    tokio::select! {
        _ = sending => panic!("it is held"),
        () = traced.sqs.wait_for_call() => {}
    }
    let cancelled = failed("cancelled");
    let expected = (sent(&[(&cancelled, 2)]), durations(&[(&cancelled, 1)]));
    assert_eq!(metrics.recorded(), expected);
}

#[tokio::test]
async fn a_queue_whose_url_does_not_parse_has_no_name() {
    let (traced, metrics) = start().await;
    let sent_message = traced.client.send_message().queue_url("orders");
    sent_message.message_body("body").send().await.unwrap();
    let expected = (sent(&[("", 1)]), durations(&[("", 1)]));
    assert_eq!(metrics.recorded(), expected);
}

#[tokio::test]
async fn a_second_interceptor_of_the_same_call_counts_nothing() {
    let (traced, metrics) = start().await;
    let second = TraceInterceptor::new().with_meter(&metrics.meter());
    let config = traced.client.config().to_builder().interceptor(second);
    let client = Client::from_conf(config.build());
    let message = client.send_message().queue_url(traced.queue_url());
    message.message_body("body").send().await.unwrap();
    let expected = (sent(&[(QUEUE, 1)]), durations(&[(QUEUE, 1)]));
    assert_eq!(metrics.recorded(), expected);
}
