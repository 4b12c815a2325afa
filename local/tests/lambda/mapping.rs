//! The event source mapping: batches, responses, redelivery, backoff, shutdown.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use aws_sdk_sqs::types::{
    MessageAttributeValue, MessageSystemAttributeNameForSends, MessageSystemAttributeValue,
};
use baton_local::environment::{Lambda, Phase};
use baton_local::mapping::{EventSourceMapping, FunctionResponseType, MappingError};

use crate::queue::{RunningMapping, TestQueue, batches, records};
use crate::support::{eventually, start, wait_until_working};

/// Starts a function whose timeout fits the shortest visibility timeout other than zero.
async fn quick_function(environments: usize) -> Lambda {
    start(|function| {
        function.timeout = Duration::from_secs(1);
        function.max_concurrency = NonZeroUsize::new(environments).unwrap();
    })
    .await
}

#[tokio::test]
async fn every_message_is_delivered_and_deleted() {
    let (queue, lambda) = (TestQueue::create(30).await, quick_function(1).await);
    queue.send(&["ok"; 25]).await;
    let running = RunningMapping::start(&queue, &lambda, queue.mapping(10)).await;

    eventually("all are deleted", || running.stats.snapshot().deleted == 25).await;

    let stats = running.stats.snapshot();
    assert_eq!(
        (
            stats.received,
            stats.succeeded,
            stats.failed,
            stats.invocations
        ),
        (25, 25, 0, 3)
    );
    assert_eq!(batches(&lambda), [10, 10, 5]);
    assert_eq!(queue.messages().await, 0);
}

#[tokio::test]
async fn a_message_that_arrives_later_wakes_the_long_poll() {
    let (queue, lambda) = (TestQueue::create(30).await, quick_function(1).await);
    let running = RunningMapping::start(&queue, &lambda, queue.mapping(10)).await;
    queue.send(&["ok"]).await;

    let started = Instant::now();
    eventually("it is deleted", || running.stats.snapshot().deleted == 1).await;
    assert!(
        started.elapsed() < Duration::from_secs(10),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn a_failed_record_comes_back_after_its_visibility_timeout_and_not_before() {
    let (queue, lambda) = (TestQueue::create(2).await, quick_function(1).await);
    queue.send(&["ok", "fail-once", "ok"]).await;
    let running = RunningMapping::start(&queue, &lambda, queue.mapping(10)).await;

    eventually("the others are deleted", || {
        running.stats.snapshot().deleted == 2
    })
    .await;
    let settled = Instant::now();
    assert_eq!(queue.messages().await, 1);
    eventually("it is delivered again and deleted", || {
        running.stats.snapshot().deleted == 3
    })
    .await;

    assert!(
        settled.elapsed() > Duration::from_secs(1),
        "{:?}",
        settled.elapsed()
    );
    assert_eq!(batches(&lambda), [3, 1]);
    assert_eq!(
        records(&lambda)[3]["attributes"]["ApproximateReceiveCount"],
        "2"
    );
    let stats = running.stats.snapshot();
    assert_eq!(
        (
            stats.received,
            stats.succeeded,
            stats.failed,
            stats.failed_invocations
        ),
        (4, 3, 1, 0)
    );
}

#[tokio::test]
async fn a_response_with_an_unknown_id_deletes_nothing() {
    let (queue, lambda) = (TestQueue::create(30).await, quick_function(1).await);
    queue.send(&["ok", "misname"]).await;
    let running = RunningMapping::start(&queue, &lambda, queue.mapping(10)).await;

    eventually("both have failed", || running.stats.snapshot().failed == 2).await;
    let stats = running.stats.clone();
    running.stop().await;
    assert_eq!(
        (
            stats.snapshot().deleted,
            stats.snapshot().failed_invocations
        ),
        (0, 1)
    );
    assert_eq!(queue.messages().await, 2);
}

#[tokio::test]
async fn without_report_batch_item_failures_any_response_is_success() {
    let (queue, lambda) = (TestQueue::create(30).await, quick_function(1).await);
    queue.send(&["ok", "fail", "misname"]).await;
    let mut mapping = queue.mapping(10);
    mapping.response_type = FunctionResponseType::Ignored;
    let running = RunningMapping::start(&queue, &lambda, mapping).await;

    eventually("all are deleted", || running.stats.snapshot().deleted == 3).await;
    assert_eq!(queue.messages().await, 0);
}

#[tokio::test]
async fn a_large_batch_is_gathered_for_as_long_as_its_window() {
    let (queue, lambda) = (TestQueue::create(30).await, quick_function(1).await);
    queue.send(&["ok"; 25]).await;
    let mut mapping = queue.mapping(30);
    mapping.batching_window = Duration::from_millis(1_300);
    let started = Instant::now();
    let running = RunningMapping::start(&queue, &lambda, mapping).await;

    eventually("all are deleted", || running.stats.snapshot().deleted == 25).await;
    assert!(
        started.elapsed() >= Duration::from_millis(1_300),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(batches(&lambda), [25]);
}

#[tokio::test]
async fn a_full_batch_does_not_wait_for_its_window() {
    let (queue, lambda) = (TestQueue::create(600).await, quick_function(1).await);
    queue.send(&["ok"; 45]).await;
    let mut mapping = queue.mapping(20);
    mapping.batching_window = Duration::from_secs(300);
    let running = RunningMapping::start(&queue, &lambda, mapping).await;

    eventually("two full batches are deleted", || {
        running.stats.snapshot().deleted == 40
    })
    .await;
    // The rest of the records is delivered, not left in flight.
    let stats = running.stats.clone();
    eventually("the rest is gathered", || stats.snapshot().received == 45).await;
    running.stop().await;
    assert_eq!(
        (batches(&lambda), queue.messages().await),
        (vec![20, 20, 5], 0)
    );
}

#[tokio::test]
async fn a_batch_does_not_exceed_the_size_of_an_invocation() {
    let (queue, lambda) = (TestQueue::create(30).await, quick_function(1).await);
    let large = "x".repeat(1024 * 1024);
    for _ in 0..8 {
        queue.send(&[&large]).await;
    }
    let running = RunningMapping::start(&queue, &lambda, queue.mapping(10)).await;

    eventually("all are deleted", || running.stats.snapshot().deleted == 8).await;
    let sizes = batches(&lambda);
    assert!(
        sizes.iter().sum::<usize>() == 8 && sizes.iter().all(|size| *size <= 5),
        "{sizes:?}"
    );
}

#[tokio::test]
async fn attributes_reach_the_function() {
    let (queue, lambda) = (TestQueue::create(30).await, quick_function(1).await);
    let trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let value = |value: &str| {
        MessageAttributeValue::builder()
            .data_type("String")
            .string_value(value)
            .build()
            .unwrap()
    };
    let header = MessageSystemAttributeValue::builder()
        .data_type("String")
        .string_value(trace)
        .build()
        .unwrap();
    let request = queue
        .client
        .send_message()
        .queue_url(&queue.url)
        .message_body("ok");
    let request = request.message_attributes("traceparent", value(traceparent));
    let request = request
        .message_system_attributes(MessageSystemAttributeNameForSends::AwsTraceHeader, header);
    request.send().await.unwrap();

    let running = RunningMapping::start(&queue, &lambda, queue.mapping(10)).await;
    eventually("it is deleted", || running.stats.snapshot().deleted == 1).await;

    let record = &records(&lambda)[0];
    assert_eq!(
        record["messageAttributes"]["traceparent"]["stringValue"],
        traceparent
    );
    assert_eq!(record["attributes"]["AWSTraceHeader"], trace);
    assert_eq!(
        record["awsRegion"].as_str(),
        record["eventSourceARN"].as_str().unwrap().split(':').nth(3)
    );
}

#[tokio::test]
async fn concurrent_invocations_are_limited() {
    let (queue, lambda) = (TestQueue::create(30).await, quick_function(10).await);
    queue.send(&["sleep 300"; 6]).await;
    let mut mapping = queue.mapping(1);
    mapping.max_concurrency = NonZeroUsize::new(2).unwrap();
    let running = RunningMapping::start(&queue, &lambda, mapping).await;

    let mut most = 0;
    eventually("all are deleted", || {
        let environments = lambda.snapshot().environments;
        most = most.max(
            environments
                .iter()
                .filter(|environment| environment.phase == Phase::Running)
                .count(),
        );
        running.stats.snapshot().deleted == 6
    })
    .await;
    assert_eq!((most, lambda.snapshot().throttled), (2, 0));
}

#[tokio::test]
async fn throttled_batches_are_delivered_again() {
    let (queue, lambda) = (TestQueue::create(1).await, quick_function(1).await);
    queue.send(&["sleep 100"; 6]).await;
    let mut mapping = queue.mapping(1);
    mapping.max_concurrency = NonZeroUsize::new(3).unwrap();
    let running = RunningMapping::start(&queue, &lambda, mapping).await;

    eventually("all are deleted", || running.stats.snapshot().deleted == 6).await;
    let stats = running.stats.snapshot();
    assert!(stats.unavailable > 0 && stats.succeeded == 6, "{stats:?}");
    assert_eq!(queue.messages().await, 0);
}

#[tokio::test]
async fn invocations_of_a_function_that_cannot_start_are_spaced_out() {
    let lambda = start(|function| {
        function.timeout = Duration::from_secs(1);
        function.env.insert("INIT".into(), "exit".into());
    })
    .await;
    let queue = TestQueue::create(1).await;
    queue.send(&["ok"; 100]).await;
    let started = Instant::now();
    let running = RunningMapping::start(&queue, &lambda, queue.mapping(1)).await;
    eventually("it was tried three times", || {
        running.stats.snapshot().unavailable >= 3
    })
    .await;

    // The pauses are 0.2 and 0.4 seconds.
    assert!(
        started.elapsed() >= Duration::from_millis(600),
        "{:?}",
        started.elapsed()
    );
    let deleted = running.stats.snapshot().deleted;
    assert_eq!((deleted, queue.messages().await), (0, 100));
}

#[tokio::test]
async fn a_batch_whose_process_ends_is_delivered_again() {
    let (queue, lambda) = (TestQueue::create(1).await, quick_function(1).await);
    queue.send(&["exit-once", "ok"]).await;
    let running = RunningMapping::start(&queue, &lambda, queue.mapping(10)).await;

    eventually("both are deleted", || running.stats.snapshot().deleted == 2).await;
    assert_eq!(
        (lambda.snapshot().exited, lambda.snapshot().started),
        (1, 2)
    );
}

#[tokio::test]
async fn stopping_lets_an_invocation_finish() {
    let (queue, lambda) = (TestQueue::create(30).await, quick_function(1).await);
    queue.send(&["sleep 600"]).await;
    let running = RunningMapping::start(&queue, &lambda, queue.mapping(10)).await;
    wait_until_working(&lambda).await;

    let stats = running.stats.clone();
    running.stop().await;

    assert_eq!((stats.snapshot().deleted, queue.messages().await), (1, 0));
}

#[tokio::test]
async fn an_invalid_mapping_is_rejected() {
    let queue = TestQueue::create(30).await;
    let slow = start(|function| function.timeout = Duration::from_secs(31)).await;
    let refused = EventSourceMapping::create(queue.mapping(10), queue.client.clone(), slow.clone())
        .await
        .unwrap_err();
    assert_eq!(
        refused.to_string(),
        "queue visibility timeout of 30 s is less than the function timeout of 31 s"
    );

    let mut elsewhere = queue.mapping(10);
    elsewhere.queue_url = format!("{}-missing", queue.url);
    let missing = EventSourceMapping::create(elsewhere, queue.client.clone(), slow)
        .await
        .unwrap_err();
    assert!(matches!(missing, MappingError::Queue { .. }), "{missing}");
}
