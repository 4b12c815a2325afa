use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use aws_sdk_sqs::Client;
use baton_producer::{
    GroupOrder, OutgoingMessage, QueueError, QueueSendError, QueueSender, QueueUrl, SendOutput,
    TraceInterceptor, WhenFull,
};
use baton_test_support::span_recorder::{SpanRecorder, attribute, traceparent};
use baton_test_support::{FakeSqs, SqsResponse};
use opentelemetry::trace::{SpanKind, Status};
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::support::{sender, sender_builder, span_recorder, sqs_client};

const THROTTLED: SqsResponse = SqsResponse::Error(400, "RequestThrottled", "RequestThrottled");
const INTERNAL_ERROR: SqsResponse = SqsResponse::Error(500, "InternalError", "InternalError");

fn numbered(count: usize) -> impl Iterator<Item = OutgoingMessage> {
    (0..count).map(|index| OutgoingMessage::new(format!("m{index}")))
}

fn bodies(messages: &[Value]) -> Vec<&str> {
    let bodies = messages.iter().map(|message| &message["MessageBody"]);
    bodies.map(|body| body.as_str().unwrap()).collect()
}

async fn started() -> (FakeSqs, SpanRecorder, QueueSender) {
    let (sqs, spans) = (FakeSqs::start().await.unwrap(), span_recorder());
    let sender = sender(sqs.address, &spans);
    (sqs, spans, sender)
}

/// Starts a send, and returns once its call has arrived.
async fn send_first(
    sqs: &FakeSqs,
    sender: &QueueSender,
) -> JoinHandle<Result<SendOutput, QueueSendError>> {
    let sender = sender.clone();
    let send = tokio::spawn(async move { sender.send(OutgoingMessage::new("first")).await });
    sqs.wait_for_call().await;
    send
}

#[tokio::test]
async fn a_list_is_split_into_batches_of_ten() {
    let (sqs, spans, sender) = started().await;
    let outcomes = sender.send_all(numbered(23)).await;
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    let calls = sqs.calls();
    let sizes: Vec<_> = calls.iter().map(|call| call.messages().len()).collect();
    assert_eq!(sizes, [10, 10, 3]);
    assert!(
        calls
            .iter()
            .all(|call| call.action == "AmazonSQS.SendMessageBatch")
    );
    let expected: Vec<_> = (0..23).map(|index| format!("m{index}")).collect();
    assert_eq!(bodies(&sqs.accepted()), expected);
    let sends = spans
        .all()
        .into_iter()
        .filter(|span| span.name == "send onboarding");
    let carried: Vec<_> = sends.map(|span| traceparent(&span)).collect();
    for message in sqs.accepted() {
        let context = &message["MessageAttributes"]["traceparent"]["StringValue"];
        assert!(
            carried.iter().any(|carried| context == carried),
            "{context}"
        );
    }
}

#[tokio::test]
async fn concurrent_sends_share_a_call_and_each_gets_its_own_result() {
    let (sqs, spans) = (FakeSqs::start().await.unwrap(), span_recorder());
    let sender = sender_builder(sqs.address, "onboarding", &spans)
        .max_batches_in_flight(NonZeroUsize::MIN)
        .build();
    sqs.respond_with([
        SqsResponse::Held,
        SqsResponse::FailedEntry(1, "InvalidParameterValue", true),
    ]);
    let first = send_first(&sqs, &sender).await;
    // These wait until the only call that may be in flight has ended.
    let full = |index: usize| {
        (0..10).fold(
            OutgoingMessage::new(format!("m{index}")),
            |message, number| {
                let value = baton_producer::AttributeValue::String("v".to_owned());
                message.with_attribute(format!("a{number}"), value)
            },
        )
    };
    let others: Vec<_> = (0..3)
        .map(|index| {
            let sender = sender.clone();
            tokio::spawn(async move { sender.send(full(index)).await })
        })
        .collect();
    for _ in 0..3 {
        tokio::task::yield_now().await;
    }
    sqs.release();
    first.await.unwrap().unwrap();
    let mut outcomes = Vec::new();
    for other in others {
        outcomes.push(other.await.unwrap());
    }
    assert_eq!(sqs.calls().len(), 2);
    assert!(outcomes[0].is_ok() && outcomes[2].is_ok(), "{outcomes:?}");
    let error = outcomes[1].clone().unwrap_err();
    assert!(
        matches!(
            &error,
            QueueSendError::Queue(QueueError::RejectedEntry {
                is_sender_fault: true,
                ..
            })
        ),
        "{error:?}"
    );
    assert!(!error.is_retryable() && !error.may_have_been_sent());
}

#[tokio::test]
async fn temporary_failures_are_tried_again_until_sqs_accepts() {
    for failure in [
        THROTTLED,
        INTERNAL_ERROR,
        SqsResponse::Close,
        SqsResponse::LostResponse,
        SqsResponse::FailedEntry(0, "InternalError", false),
        SqsResponse::FailedEntry(0, "RequestThrottled", true),
        SqsResponse::UnmentionedEntry(0),
    ] {
        let (sqs, spans, sender) = started().await;
        sqs.respond_with([failure; 2]);
        let outcomes = sender.send_all(numbered(2)).await;
        assert!(
            outcomes.iter().all(Result::is_ok),
            "{failure:?}: {outcomes:?}"
        );
        assert_eq!(sqs.calls().len(), 3, "{failure:?}");
        let calls = sqs.calls();
        let contexts = calls
            .iter()
            .flat_map(|call| call.messages())
            .filter(|message| message["MessageBody"] == "m0");
        let mut contexts: Vec<_> = contexts
            .map(|message| message["MessageAttributes"]["traceparent"]["StringValue"].clone())
            .collect();
        contexts.dedup();
        assert_eq!(contexts.len(), 1, "every attempt carries the same context");
        for span in spans
            .all()
            .iter()
            .filter(|span| span.name == "send onboarding")
        {
            assert_eq!(span.status, Status::Unset);
        }
    }
}

#[tokio::test]
async fn a_failed_entry_is_sent_again_without_the_accepted_ones() {
    let (sqs, _spans, sender) = started().await;
    sqs.respond_with([SqsResponse::FailedEntry(1, "InternalError", false)]);
    let outcomes = sender.send_all(numbered(3)).await;
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    assert_eq!(bodies(&sqs.calls()[1].messages()), ["m1"]);
    assert_eq!(bodies(&sqs.accepted()), ["m0", "m2", "m1"]);
}

#[tokio::test]
async fn a_rejected_batch_is_sent_as_single_messages() {
    let (sqs, _spans, sender) = started().await;
    sqs.respond_with([SqsResponse::Error(
        400,
        "BatchRequestTooLong",
        "AWS.SimpleQueueService.BatchRequestTooLong",
    )]);
    let outcomes = sender.send_all(numbered(3)).await;
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    let sizes: Vec<_> = sqs
        .calls()
        .iter()
        .map(|call| call.messages().len())
        .collect();
    assert_eq!(sizes, [3, 1, 1, 1]);
}

#[tokio::test]
async fn a_call_that_is_denied_fails_all_its_messages_at_once() {
    let (sqs, _spans, sender) = started().await;
    sqs.respond_with([SqsResponse::Error(403, "AccessDenied", "AccessDenied")]);
    let outcomes = sender.send_all(numbered(2)).await;
    for outcome in outcomes {
        let error = outcome.unwrap_err();
        assert_eq!(
            (error.error_type(), error.is_retryable()),
            ("AccessDenied", false)
        );
    }
    assert_eq!(sqs.calls().len(), 1);
}

#[tokio::test]
async fn an_error_after_a_lost_response_says_that_the_message_may_have_been_sent() {
    let (sqs, spans, sender) = started().await;
    let denied = SqsResponse::Error(403, "AccessDenied", "AccessDenied");
    sqs.respond_with([SqsResponse::LostResponse, denied]);
    let error = sender.send(OutgoingMessage::new("m")).await.unwrap_err();
    assert!(
        matches!(error, QueueSendError::ResponseLost { .. }),
        "{error:?}"
    );
    assert!(error.may_have_been_sent() && !error.is_retryable());
    assert_eq!(
        attribute(&spans.find("send onboarding"), "error.type"),
        "AccessDenied"
    );
}

#[tokio::test]
async fn a_wrong_digest_of_the_body_is_an_error() {
    let (sqs, _spans, sender) = started().await;
    sqs.respond_with([SqsResponse::WrongDigest]);
    let error = sender.send(OutgoingMessage::new("m")).await.unwrap_err();
    assert!(
        matches!(error, QueueSendError::DigestMismatch { .. }),
        "{error:?}"
    );
    assert_eq!(sqs.calls().len(), 1);
}

#[tokio::test]
async fn a_full_buffer_fails_at_once_or_after_a_wait() {
    for (when_full, shortest) in [
        (WhenFull::Fail, Duration::ZERO),
        (
            WhenFull::Wait(Duration::from_millis(50)),
            Duration::from_millis(50),
        ),
    ] {
        let (sqs, spans) = (FakeSqs::start().await.unwrap(), span_recorder());
        sqs.respond_with([SqsResponse::Held]);
        let sender = sender_builder(sqs.address, "onboarding", &spans)
            .buffer(1, 0)
            .when_full(when_full)
            .build();
        let first = send_first(&sqs, &sender).await;
        let began = Instant::now();
        let error = sender
            .send(OutgoingMessage::new("second"))
            .await
            .unwrap_err();
        assert!(began.elapsed() >= shortest);
        assert!(
            matches!(error, QueueSendError::BufferFull { messages: 1, .. }),
            "{error:?}"
        );
        assert!(error.is_retryable() && !error.may_have_been_sent());
        sqs.release();
        first.await.unwrap().unwrap();
        // The room is free again.
        sender.send(OutgoingMessage::new("third")).await.unwrap();
    }
}

#[tokio::test]
async fn a_send_waits_for_room() {
    let (sqs, spans) = (FakeSqs::start().await.unwrap(), span_recorder());
    let sender = sender_builder(sqs.address, "onboarding", &spans)
        .buffer(2, 0)
        .build();
    let outcomes = sender.send_all(numbered(20)).await;
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    assert!(sqs.calls().iter().all(|call| call.messages().len() <= 2));
}

#[tokio::test]
async fn the_message_of_a_dropped_send_is_skipped() {
    let (sqs, spans) = (FakeSqs::start().await.unwrap(), span_recorder());
    let sender = sender_builder(sqs.address, "onboarding", &spans)
        .max_batches_in_flight(NonZeroUsize::MIN)
        .build();
    sqs.respond_with([SqsResponse::Held]);
    let first = send_first(&sqs, &sender).await;
    let dropped = tokio::time::timeout(
        Duration::from_millis(10),
        sender.send(OutgoingMessage::new("dropped")),
    );
    assert!(dropped.await.is_err());
    sqs.release();
    first.await.unwrap().unwrap();
    sender.send(OutgoingMessage::new("last")).await.unwrap();
    assert_eq!(bodies(&sqs.accepted()), ["first", "last"]);
}

#[tokio::test]
async fn a_closed_sender_sends_its_buffer_once_and_returns_the_rest() {
    let (sqs, spans) = (FakeSqs::start().await.unwrap(), span_recorder());
    let sender = sender_builder(sqs.address, "onboarding", &spans)
        .linger(Duration::from_secs(5))
        .build();
    sqs.respond_with([INTERNAL_ERROR, SqsResponse::Accept]);
    let list = tokio::spawn({
        let sender = sender.clone();
        async move { sender.send_all(numbered(12)).await }
    });
    sqs.wait_for_call().await;
    let unsent = sender
        .close(tokio::time::Instant::now() + Duration::from_secs(5))
        .await;
    let outcomes = list.await.unwrap();
    let failed = outcomes.iter().filter(|outcome| outcome.is_err()).count();
    // The failed call is not repeated if it ended after the sender was closed.
    assert_eq!(unsent.len(), failed);
    assert_eq!(sqs.accepted().len() + unsent.len(), 12);
    let error = sender.send(OutgoingMessage::new("late")).await.unwrap_err();
    assert!(matches!(error, QueueSendError::Closed), "{error:?}");
}

#[tokio::test]
async fn a_call_in_flight_at_the_deadline_of_close_may_have_been_sent() {
    let (sqs, _spans, sender) = started().await;
    sqs.respond_with([SqsResponse::Hang]);
    let send = tokio::spawn({
        let sender = sender.clone();
        async move { sender.send(OutgoingMessage::new("hangs")).await }
    });
    sqs.wait_for_call().await;
    let unsent = sender
        .close(tokio::time::Instant::now() + Duration::from_millis(20))
        .await;
    assert_eq!(unsent.len(), 1);
    assert!(unsent[0].error.may_have_been_sent(), "{unsent:?}");
    let error = send.await.unwrap().unwrap_err();
    assert!(error.may_have_been_sent(), "{error:?}");
}

#[tokio::test]
async fn the_call_has_a_client_span_with_links_to_its_messages() {
    let (_sqs, spans, sender) = started().await;
    sender.send_all(numbered(3)).await;
    let call = spans.find("SQS.SendMessageBatch");
    assert_eq!(call.span_kind, SpanKind::Client);
    assert_eq!(call.links.len(), 3);
    assert_eq!(attribute(&call, "messaging.batch.message_count"), "3");
    assert_eq!(attribute(&call, "rpc.system"), "aws-api");
    assert_eq!(attribute(&call, "aws.request_id"), FakeSqs::REQUEST_ID);
    let all = spans.all();
    let sends: Vec<_> = all
        .iter()
        .filter(|span| span.name == "send onboarding")
        .collect();
    for send in &sends {
        assert_eq!(send.span_kind, SpanKind::Producer);
        assert!(
            call.links
                .iter()
                .any(|link| link.span_context == send.span_context)
        );
    }
    assert_eq!(sends.len(), 3);
}

#[tokio::test]
async fn the_span_of_the_call_can_be_switched_off() {
    let (sqs, spans) = (FakeSqs::start().await.unwrap(), span_recorder());
    let sender = sender_builder(sqs.address, "onboarding", &spans)
        .without_call_spans()
        .build();
    sender.send(OutgoingMessage::new("m")).await.unwrap();
    assert_eq!(spans.all().len(), 1);
}

#[tokio::test]
async fn the_trace_header_of_x_ray_is_added_on_request() {
    let (sqs, spans) = (FakeSqs::start().await.unwrap(), span_recorder());
    let sender = sender_builder(sqs.address, "onboarding", &spans)
        .trace_header()
        .build();
    sender.send(OutgoingMessage::new("m")).await.unwrap();
    let context = spans.find("send onboarding").span_context;
    let trace = context.trace_id().to_string();
    let expected = format!(
        "Root=1-{}-{};Parent={};Sampled=1",
        &trace[..8],
        &trace[8..],
        context.span_id()
    );
    let message = sqs.message();
    assert_eq!(
        message["MessageSystemAttributes"]["AWSTraceHeader"]["StringValue"],
        expected
    );
}

/// Messages `a0`, `b0`, `c0`, `a1`, …: `rounds` of each of three groups.
fn grouped(rounds: usize) -> Vec<OutgoingMessage> {
    let numbers = (0..rounds).flat_map(|round| ["a", "b", "c"].map(|group| (group, round)));
    numbers
        .map(|(group, round)| OutgoingMessage::new(format!("{group}{round}")).with_group_id(group))
        .collect()
}

/// Returns the bodies in each group of a FIFO queue. Of messages with the same deduplication id,
/// only the first is delivered.
fn delivered(accepted: &[Value]) -> BTreeMap<String, Vec<String>> {
    let mut ids = Vec::new();
    let mut groups = BTreeMap::<_, Vec<_>>::new();
    for message in accepted {
        let text = |key: &str| message[key].as_str().unwrap().to_owned();
        let id = text("MessageDeduplicationId");
        if !ids.contains(&id) {
            ids.push(id);
            groups
                .entry(text("MessageGroupId"))
                .or_default()
                .push(text("MessageBody"));
        }
    }
    groups
}

/// Returns responses of which three in ten are failures of different kinds.
fn failing_responses(seed: u64, count: usize) -> Vec<SqsResponse> {
    let mut random = fastrand::Rng::with_seed(seed);
    let failures = [
        THROTTLED,
        INTERNAL_ERROR,
        SqsResponse::Close,
        SqsResponse::LostResponse,
        SqsResponse::FailedEntry(0, "InternalError", false),
        SqsResponse::UnmentionedEntry(0),
    ];
    (0..count)
        .map(|_| {
            if random.u8(0..10) < 3 {
                failures[random.usize(0..failures.len())]
            } else {
                SqsResponse::Accept
            }
        })
        .collect()
}

#[tokio::test]
async fn a_fifo_queue_keeps_the_order_of_its_groups_while_calls_fail() {
    for seed in 0..4 {
        let (sqs, spans) = (FakeSqs::start().await.unwrap(), span_recorder());
        let sender = sender_builder(sqs.address, "onboarding.fifo", &spans)
            .delivery_timeout(Duration::from_secs(30))
            .build();
        sqs.respond_with(failing_responses(seed, 60));
        let outcomes = sender.send_all(grouped(20)).await;
        assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
        let groups = delivered(&sqs.accepted());
        for group in ["a", "b", "c"] {
            let expected: Vec<_> = (0..20).map(|round| format!("{group}{round}")).collect();
            assert_eq!(groups[group], expected, "seed {seed}");
        }
    }
}

#[tokio::test]
async fn a_batched_group_needs_a_call_for_ten_messages() {
    let (sqs, spans) = (FakeSqs::start().await.unwrap(), span_recorder());
    let sender = sender_builder(sqs.address, "onboarding.fifo", &spans)
        .group_order(GroupOrder::Batched)
        .build();
    let messages =
        (0..30).map(|index| OutgoingMessage::new(format!("m{index}")).with_group_id("g"));
    let outcomes = sender.send_all(messages).await;
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    assert_eq!(sqs.calls().len(), 3);
    let expected: Vec<_> = (0..30).map(|index| format!("m{index}")).collect();
    assert_eq!(bodies(&sqs.accepted()), expected);
}

#[tokio::test]
async fn a_message_without_a_group_or_with_a_delay_is_not_sent_to_a_fifo_queue() {
    let (sqs, spans) = (FakeSqs::start().await.unwrap(), span_recorder());
    let sender = sender_builder(sqs.address, "onboarding.fifo", &spans).build();
    let delayed = OutgoingMessage::new("m")
        .with_group_id("g")
        .with_delay(Duration::from_secs(1));
    for (message, parameter) in [
        (OutgoingMessage::new("m"), "MessageGroupId"),
        (delayed, "DelaySeconds"),
    ] {
        let error = sender.send(message).await.unwrap_err();
        let QueueSendError::Invalid(invalid) = &error else {
            panic!("{error:?}");
        };
        assert!(invalid.to_string().contains(parameter), "{invalid}");
    }
    assert!(sqs.calls().is_empty());
}

#[tokio::test]
async fn a_delay_and_a_group_are_sent_to_a_standard_queue() {
    let (sqs, _spans, sender) = started().await;
    let message = OutgoingMessage::new("m")
        .with_group_id("tenant-1")
        .with_delay(Duration::from_millis(1_500));
    sender.send(message).await.unwrap();
    let message = sqs.message();
    assert_eq!(message["DelaySeconds"], 2);
    assert_eq!(message["MessageGroupId"], "tenant-1");
    assert!(message["MessageDeduplicationId"].is_null());
}

#[tokio::test]
async fn an_interceptor_of_the_client_does_not_record_a_send_again() {
    let (sqs, spans) = (FakeSqs::start().await.unwrap(), span_recorder());
    let interceptor = TraceInterceptor::new().with_tracer(spans.tracer());
    let config = sqs_client(sqs.address).config().to_builder();
    let client = Client::from_conf(config.interceptor(interceptor).build());
    let queue = format!("http://{}/000000000000/onboarding", sqs.address);
    let sender = QueueSender::new(client, QueueUrl::parse(&queue).unwrap(), spans.tracer());
    sender.send(OutgoingMessage::new("m")).await.unwrap();
    let names: Vec<_> = spans.all().into_iter().map(|span| span.name).collect();
    assert_eq!(names, ["SQS.SendMessageBatch", "send onboarding"]);
}

#[tokio::test]
async fn settings_without_a_limit_are_accepted() {
    let (sqs, spans) = (FakeSqs::start().await.unwrap(), span_recorder());
    sqs.respond_with([SqsResponse::Held]);
    let sender = sender_builder(sqs.address, "onboarding", &spans)
        .linger(Duration::ZERO)
        .delivery_timeout(Duration::MAX)
        .call_timeout(Duration::MAX)
        .buffer(1, usize::MAX)
        .when_full(WhenFull::Wait(Duration::MAX))
        .build();
    let first = send_first(&sqs, &sender).await;
    sqs.release();
    sender.send(OutgoingMessage::new("second")).await.unwrap();
    first.await.unwrap().unwrap();
}

#[tokio::test]
async fn both_attempts_share_one_delivery_timeout() {
    const MAXIMUM_MESSAGE_SIZE: usize = 262_144;
    let (sqs, spans) = (FakeSqs::start().await.unwrap(), span_recorder());
    sqs.set_maximum_message_size(MAXIMUM_MESSAGE_SIZE);
    sqs.delay_rejections(Duration::from_millis(1_500));
    sqs.respond_with([SqsResponse::Hang; 3]);
    let started_at = Instant::now();
    let sender = sender_builder(sqs.address, "onboarding", &spans)
        .delivery_timeout(Duration::from_secs(2))
        .build();
    let sent = sender
        .send(OutgoingMessage::new("x".repeat(MAXIMUM_MESSAGE_SIZE)))
        .await;
    let error = sent.unwrap_err();
    assert_eq!(error.error_type(), "timeout");
    assert!(error.may_have_been_sent(), "{error:?}");
    assert!(
        started_at.elapsed() < Duration::from_millis(3_400),
        "{:?}",
        started_at.elapsed()
    );
    assert_eq!(sqs.calls().len(), 2);
}

#[tokio::test]
async fn a_dropped_send_does_not_delay_close() {
    let (sqs, spans) = (FakeSqs::start().await.unwrap(), span_recorder());
    let sender = sender_builder(sqs.address, "onboarding", &spans)
        .max_batches_in_flight(NonZeroUsize::MIN)
        .build();
    sqs.respond_with([SqsResponse::Held]);
    let first = send_first(&sqs, &sender).await;
    let dropped = sender.send(OutgoingMessage::new("dropped"));
    assert!(
        tokio::time::timeout(Duration::from_millis(10), dropped)
            .await
            .is_err()
    );
    let began = Instant::now();
    let close = tokio::spawn({
        let sender = sender.clone();
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        async move { sender.close(deadline).await.len() }
    });
    // `close` waits for the call before it is released.
    tokio::task::yield_now().await;
    sqs.release();
    assert_eq!(close.await.unwrap(), 0);
    first.await.unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(5));
}

/// Polls a future outside a tokio runtime.
fn poll_without_runtime<F: Future>(future: F) -> Option<F::Output> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}

#[test]
fn without_a_tokio_runtime_a_send_fails_and_close_returns() {
    let spans = span_recorder();
    let address = ([127, 0, 0, 1], 9).into();
    let sender = sender_builder(address, "onboarding", &spans).build();
    let sent = poll_without_runtime(sender.send(OutgoingMessage::new("m")));
    assert!(
        matches!(sent, Some(Err(QueueSendError::NoRuntime))),
        "{sent:?}"
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let deadline = runtime.block_on(async { tokio::time::Instant::now() });
    let unsent = poll_without_runtime(sender.close(deadline));
    assert!(unsent.is_some_and(|unsent| unsent.is_empty()));
}

/// Runs a future on a runtime of its own, which ends with it.
fn on_another_runtime<F: Future + Send + 'static>(future: F) -> std::thread::JoinHandle<F::Output>
where
    F::Output: Send,
{
    std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(future)
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_does_not_wait_for_a_runtime_that_has_stopped() {
    let (sqs, spans) = (FakeSqs::start().await.unwrap(), span_recorder());
    let sender = sender_builder(sqs.address, "onboarding", &spans)
        .max_batches_in_flight(NonZeroUsize::MIN)
        .build();
    sqs.respond_with([SqsResponse::Hang]);
    let first = on_another_runtime({
        let sender = sender.clone();
        async move {
            let send = sender.send(OutgoingMessage::new("first"));
            tokio::time::timeout(Duration::from_millis(300), send).await
        }
    });
    sqs.wait_for_call().await;
    // The only call that may be in flight belongs to the other runtime.
    let began = Instant::now();
    sender.send(OutgoingMessage::new("second")).await.unwrap();
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    assert!(first.join().unwrap().is_err());
}

#[tokio::test]
async fn a_closed_fifo_sender_returns_the_rest_of_a_group_after_a_failure() {
    let (sqs, spans) = (FakeSqs::start().await.unwrap(), span_recorder());
    let sender = sender_builder(sqs.address, "onboarding.fifo", &spans)
        .linger(Duration::from_secs(10))
        .build();
    sqs.respond_with([SqsResponse::Accept, INTERNAL_ERROR]);
    let list = tokio::spawn({
        let sender = sender.clone();
        let messages =
            (0..4).map(|index| OutgoingMessage::new(format!("m{index}")).with_group_id("g"));
        async move { sender.send_all(messages.collect::<Vec<_>>()).await }
    });
    sqs.wait_for_call().await;
    let unsent = sender
        .close(tokio::time::Instant::now() + Duration::from_secs(10))
        .await;
    list.await.unwrap();
    let unsent: Vec<_> = unsent.iter().map(|unsent| unsent.message.body()).collect();
    assert_eq!(unsent, ["m1", "m2", "m3"]);
    assert_eq!(bodies(&sqs.accepted()), ["m0"]);
}

#[tokio::test]
async fn a_message_is_tried_until_shortly_before_its_deadline() {
    let (sqs, spans) = (FakeSqs::start().await.unwrap(), span_recorder());
    let sender = sender_builder(sqs.address, "onboarding", &spans)
        .delivery_timeout(Duration::from_secs(1))
        .build();
    sqs.respond_always(Some(INTERNAL_ERROR));
    let began = Instant::now();
    let error = sender.send(OutgoingMessage::new("m")).await.unwrap_err();
    assert!(
        matches!(error, QueueSendError::DeadlineExceeded { .. }),
        "{error:?}"
    );
    assert!(
        began.elapsed() >= Duration::from_millis(900),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn the_send_of_a_list_ends_with_its_own_result() {
    let (sqs, spans, sender) = started().await;
    sqs.respond_with([SqsResponse::FailedEntry(0, "InternalError", false); 3]);
    sender.send_all(numbered(2)).await;
    let durations = spans
        .all()
        .into_iter()
        .filter(|span| span.name == "send onboarding");
    let mut durations: Vec<_> = durations
        .map(|span| span.end_time.duration_since(span.start_time).unwrap())
        .collect();
    durations.sort_unstable();
    // The second message was accepted by the first call, and the other one by the fourth.
    assert!(
        durations[1] > durations[0] + Duration::from_millis(100),
        "{durations:?}"
    );
}
