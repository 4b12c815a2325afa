use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use opentelemetry::global;
use opentelemetry::trace::{FutureExt as _, TraceContextExt as _, Tracer as _};

use super::*;
use crate::{Failure, FailureKind, Message, PartialResponse};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PRODUCER_SPAN: &str = "00f067aa0ba902b7";

fn traceparent() -> String {
    format!("00-{TRACE}-{PRODUCER_SPAN}-01")
}

async fn refuse_two(message: Message<u8>) -> Result<(), Failure> {
    match message.body {
        2 => Err(Failure::permanent("refused", "not wanted")),
        _ => Ok(()),
    }
}

/// Creates a span named after the body, and after a wait another span inside it.
async fn stores(message: Message<String>) -> Result<(), Failure> {
    let tracer = global::tracer("handler");
    let outer = tracer.start(format!("outer {}", message.body));
    let context = opentelemetry::Context::current_with_span(outer);
    async {
        tokio::task::yield_now().await;
        drop(global::tracer("handler").start("inner"));
    }
    .with_context(context)
    .await;
    Ok(())
}

#[tokio::test]
async fn failed_messages_and_their_spans_are_found_by_id() {
    let batch = Batch::standard("orders").message(1).message(2).message(3);
    let outcome = batch.run(refuse_two).await;
    assert_eq!(outcome.failed(), ["message-2"]);
    let response = outcome.response().unwrap();
    assert_eq!(response.batch_item_failures[0].item_identifier, "message-2");
    let refused = outcome.record_span("message-2").unwrap();
    assert_eq!(refused.attributes["error.type"], "refused");
    assert_eq!(refused.error.as_deref(), Some("not wanted"));
    let done = outcome.record_span("message-1").unwrap();
    assert!(done.attributes["error.type"].is_null() && done.error.is_none());
    assert!(outcome.record_span("message-4").is_none());
    let names: Vec<&str> = outcome
        .spans()
        .iter()
        .map(|span| span.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "process orders",
            "process orders",
            "process orders",
            "process_batch orders"
        ]
    );
    assert_eq!(outcome.spans()[3], *outcome.batch_span().unwrap());
}

#[tokio::test]
async fn a_record_continues_the_trace_of_its_producer() {
    let record = Record::raw("a").id("m").traceparent(traceparent());
    let outcome = Batch::standard("orders").record(record).run(stores).await;
    let (span, batch) = (
        outcome.record_span("m").unwrap(),
        outcome.batch_span().unwrap(),
    );
    assert_eq!(span.trace_id, TRACE);
    assert_eq!(span.parent_span_id.as_deref(), Some(PRODUCER_SPAN));
    assert_eq!(span.kind, SpanKind::Consumer);
    assert!(span.links_to(batch));
    assert_eq!(
        (batch.links.len(), batch.links[0].span_id.as_str()),
        (1, PRODUCER_SPAN)
    );
    assert_eq!(batch.links[0].attributes["messaging.message.id"], "m");
}

#[tokio::test]
async fn the_spans_of_a_handler_follow_their_record() {
    let batch = Batch::standard("orders").raw_message("a").raw_message("b");
    let outcome = batch.run(stores).await;
    let names: Vec<&str> = outcome
        .spans()
        .iter()
        .map(|span| span.name.as_str())
        .collect();
    let expected = [
        "process orders",
        "outer a",
        "inner",
        "process orders",
        "outer b",
        "inner",
        "process_batch orders",
    ];
    assert_eq!(names, expected);
    let outer = outcome.span("outer b").unwrap();
    assert!(outer.is_child_of(outcome.record_span("message-2").unwrap()));
    assert!(!outer.is_child_of(outcome.record_span("message-1").unwrap()));
    assert_eq!(outer.scope, "handler");
    let inner: Vec<&FinishedSpan> = outcome.children_of(outer).collect();
    assert_eq!((inner.len(), inner[0].name.as_str()), (1, "inner"));
}

#[tokio::test]
async fn concurrent_runs_are_separate_even_in_one_trace() {
    let run = |body: &'static str| {
        let record = Record::raw(body).traceparent(traceparent());
        Batch::standard("orders").record(record).run(stores)
    };
    let (left, right) = tokio::join!(run("left"), run("right"));
    for (outcome, own, other) in [
        (left, "outer left", "outer right"),
        (right, "outer right", "outer left"),
    ] {
        assert_eq!(outcome.spans().len(), 4);
        assert!(outcome.span(own).is_some() && outcome.span(other).is_none());
    }
}

#[tokio::test]
async fn the_consumers_options_and_state_are_used() {
    async fn count(message: Message<u8>, seen: Arc<AtomicU32>) -> Result<(), Failure> {
        seen.fetch_add(u32::from(message.body), Ordering::Relaxed);
        Err(Failure::retry("busy", "later"))
    }
    let seen = Arc::new(AtomicU32::new(0));
    let consumer = Consumer::builder()
        .state(Arc::clone(&seen))
        .concurrency(NonZeroUsize::MIN)
        .partial_response(PartialResponse::Off);
    let batch = Batch::standard("orders").message(1).message(2);
    let outcome = batch.run_with(consumer, count).await;
    assert_eq!(seen.load(Ordering::Relaxed), 3);
    assert_eq!(outcome.response().unwrap_err(), "2 of 2 messages failed");
    assert_eq!(outcome.failed(), ["message-1", "message-2"]);
}

#[tokio::test]
async fn a_fifo_queue_keeps_the_order_in_each_group() {
    let batch = Batch::fifo("orders")
        .message(2)
        .message(1)
        .record(Record::json(3).group("other"));
    let outcome = batch.run(refuse_two).await;
    assert_eq!(outcome.failed(), ["message-1", "message-2"]);
    let blocked = outcome.record_span("message-2").unwrap();
    assert_eq!(blocked.name, "process orders.fifo");
    assert_eq!(blocked.attributes["error.type"], "message_group_blocked");
    assert_eq!(
        outcome.record_span("message-3").unwrap().attributes["baton.sqs.message_group_id"],
        "other"
    );
}

#[tokio::test]
async fn a_batch_can_come_from_several_queues() {
    let returns = Batch::standard("returns").message(1);
    let outcome = Batch::standard("orders")
        .message(1)
        .and(returns)
        .run(refuse_two)
        .await;
    assert_eq!(
        outcome.record_span("message-2").unwrap().name,
        "process returns"
    );
    assert_eq!(outcome.batch_span().unwrap().name, "process_batch");
}

#[tokio::test(start_paused = true)]
async fn with_a_paused_clock_a_deadline_costs_no_time() {
    async fn wait(_: Message<u8>) -> Result<(), Failure> {
        tokio::time::sleep(Duration::from_secs(60)).await;
        Ok(())
    }
    let batch = || Batch::standard("orders").message(1);
    let before = tokio::time::Instant::now();
    let outcome = batch().run(wait).await;
    assert!(outcome.failed().is_empty());
    assert_eq!(before.elapsed().as_secs(), 60);
    let outcome = batch().timeout(Duration::from_secs(30)).run(wait).await;
    assert_eq!(outcome.failed(), ["message-1"]);
    let cancelled = outcome.record_span("message-1").unwrap();
    assert_eq!(cancelled.attributes["error.type"], "deadline_exceeded");
}

#[tokio::test]
async fn a_body_that_cannot_be_serialized_fails_the_run() {
    let with_tuple_keys = std::collections::BTreeMap::from([((1, 2), 3)]);
    let batch = Batch::standard("orders")
        .message(1)
        .message(with_tuple_keys);
    assert!(batch.event().is_err());
    let outcome = batch.run(refuse_two).await;
    let error = outcome.response().unwrap_err();
    assert!(
        error.starts_with("the body of message-2 cannot be serialized as JSON"),
        "{error}"
    );
    assert!(outcome.spans().is_empty());
}

#[test]
fn an_event_has_all_fields_that_a_handler_can_read() {
    let record = Record::json(json!({"id": "1"}))
        .receive_count(3)
        .sent_at(UNIX_EPOCH + Duration::from_millis(5))
        .attribute("tenant", "blue")
        .aws_trace_header("Root=1-67891233-abcdef012345678912345678");
    let event = Batch::fifo("orders").record(record).event().unwrap();
    let event: aws_lambda_events::event::sqs::SqsEvent = serde_json::from_value(event).unwrap();
    let record = &event.records[0];
    assert_eq!(record.body.as_deref(), Some(r#"{"id":"1"}"#));
    assert_eq!(
        record.event_source_arn.as_deref(),
        Some("arn:aws:sqs:eu-central-1:000000000000:orders.fifo")
    );
    for (name, value) in [
        ("ApproximateReceiveCount", "3"),
        ("SentTimestamp", "5"),
        ("MessageGroupId", "group-1"),
        ("AWSTraceHeader", "Root=1-67891233-abcdef012345678912345678"),
    ] {
        assert_eq!(record.attributes[name], value);
    }
    let tenant = &record.message_attributes["tenant"];
    assert_eq!(tenant.string_value.as_deref(), Some("blue"));
}

#[cfg(feature = "tracing")]
#[tokio::test]
async fn spans_of_the_tracing_macros_are_captured() {
    async fn traced(_: Message<u8>) -> Result<(), Failure> {
        // The target is a program's, because spans of this crate are not captured.
        let span = tracing::info_span!(target: "orders", "store", attempt = 1);
        span.in_scope(|| drop(global::tracer("handler").start("inside")));
        Ok(())
    }
    let outcome = Batch::standard("orders").message(1).run(traced).await;
    let store = outcome.span("store").unwrap();
    assert!(store.is_child_of(outcome.record_span("message-1").unwrap()));
    assert_eq!(store.attributes, json!({"attempt": 1}));
    assert!(outcome.span("inside").unwrap().is_child_of(store));
}

/// Records a metric, logs a line and sets a log field, then fails.
async fn busy(message: Message<String>) -> Result<(), Failure> {
    message.log_field("order_id", message.body.clone());
    tracing::info!(step = 1, "order received");
    let meter = global::meter("handler");
    let counter = meter.u64_counter("orders.received").with_unit("{order}");
    counter
        .build()
        .add(2, &[opentelemetry::KeyValue::new("tenant", "blue")]);
    tokio::task::yield_now().await;
    match message.body.as_str() {
        "fail" => Err(Failure::permanent("refused", "not wanted")),
        _ => Err(Failure::retry("busy", "not now")),
    }
}

#[tokio::test]
async fn failures_have_their_kind() {
    let batch = Batch::fifo("orders")
        .record(Record::raw("fail").group("a"))
        .record(Record::raw("a").group("a"))
        .record(Record::raw("b").group("b"));
    let outcome = batch.run(busy).await;
    let failure = outcome.failure("message-1").unwrap();
    assert_eq!(failure.kind, FailureKind::Permanent);
    assert_eq!(failure.error_type, "refused");
    assert_eq!(failure.description, "not wanted");
    let blocked = outcome.failure("message-2").unwrap();
    assert_eq!(blocked.error_type, "message_group_blocked");
    assert_eq!(blocked.kind, FailureKind::Retryable);
    assert_eq!(outcome.failure("message-4"), None);
}

#[tokio::test]
async fn log_lines_are_captured_with_the_fields_of_their_message() {
    let one = NonZeroUsize::MIN;
    let consumer = Consumer::builder().concurrency(one).log_fields(|message| {
        let tenant = message.attribute("tenant");
        tenant.map(|tenant| opentelemetry::KeyValue::new("tenant", tenant.into_owned()))
    });
    let batch = Batch::standard("orders")
        .record(Record::raw("first").attribute("tenant", "blue"))
        .record(Record::raw("second"));
    // A second run at the same time, to which none of the lines belong.
    let other = Batch::standard("orders").raw_message("other");
    let (outcome, other) = tokio::join!(batch.run_with(consumer, busy), other.run(busy));
    let lines = |outcome: &Outcome, message: &str| {
        let lines = outcome.log().iter();
        let with_text = lines.filter(|line| line["message"] == message);
        with_text.cloned().collect::<Vec<_>>()
    };
    let received = lines(&outcome, "order received");
    assert_eq!(received.len(), 2, "{received:#?}");
    assert_eq!(received[0]["step"], 1);
    assert_eq!(received[0]["order_id"], "first");
    assert_eq!(received[0]["messageId"], "message-1");
    assert_eq!(received[0]["tenant"], "blue");
    assert!(received[1]["tenant"].is_null());
    let failed = lines(&outcome, "message failed");
    assert_eq!(failed[0]["order_id"], "first");
    assert_eq!(failed[0]["tenant"], "blue");
    assert_eq!(failed[1]["order_id"], "second");
    assert_eq!(lines(&other, "message failed")[0]["order_id"], "other");
}

#[tokio::test]
async fn the_line_about_an_invalid_body_has_the_fields_of_the_builder() {
    async fn handle(_: Message<u8>) -> Result<(), Failure> {
        Ok(())
    }
    let consumer = Consumer::builder().log_fields(|message| {
        [opentelemetry::KeyValue::new(
            "id",
            message.id().into_owned(),
        )]
    });
    let batch = Batch::standard("orders").message("x");
    let outcome = batch.run_with(consumer, handle).await;
    let failed = outcome
        .log()
        .iter()
        .find(|line| line["message"] == "message failed");
    assert_eq!(failed.unwrap()["id"], "message-1");
}

#[tokio::test]
async fn log_fields_that_panic_do_not_fail_the_message() {
    async fn handle(_: Message<u8>) -> Result<(), Failure> {
        Ok(())
    }
    let consumer = Consumer::builder().log_fields(|_| -> Vec<opentelemetry::KeyValue> {
        panic!("on purpose");
    });
    let outcome = Batch::standard("orders")
        .message(1)
        .run_with(consumer, handle)
        .await;
    assert!(outcome.failed().is_empty());
    let text = "log fields not added: the function given to log_fields panicked";
    let warning = outcome.log().iter().find(|line| line["message"] == text);
    assert_eq!(warning.unwrap()["error.message"], "on purpose");
}

#[tokio::test]
async fn measurements_of_the_runtime_and_of_handlers_are_captured() {
    let batch = Batch::standard("orders").raw_message("a").raw_message("b");
    let other = Batch::standard("orders").raw_message("other");
    let (outcome, _) = tokio::join!(batch.run(busy), other.run(busy));
    let received: Vec<_> = outcome.measurements("orders.received").collect();
    assert_eq!(received.len(), 2);
    assert_eq!(
        (received[0].value, received[0].unit.as_str()),
        (2.0, "{order}")
    );
    assert_eq!(received[0].attributes["tenant"], "blue");
    let durations: Vec<_> = outcome.measurements("messaging.process.duration").collect();
    assert_eq!(durations.len(), 2);
    assert_eq!(durations[0].attributes["error.type"], "busy");
    let consumed: Vec<_> = outcome
        .measurements("messaging.client.consumed.messages")
        .collect();
    assert_eq!((consumed.len(), consumed[0].value), (1, 2.0));
}

#[cfg(feature = "dead-letter-queue")]
#[tokio::test(start_paused = true)]
async fn messages_to_the_dead_letter_queue_are_captured() {
    let batch = Batch::fifo("orders")
        .dead_letter_queue("orders-dead.fifo")
        .record(Record::raw("fail").group("a").attribute("tenant", "blue"))
        .record(Record::raw("b").group("b"));
    let outcome = batch.clone().run(busy).await;
    assert_eq!(outcome.failed(), ["message-2"]);
    let dead_letters = outcome.dead_letters();
    assert_eq!(dead_letters.len(), 1);
    assert_eq!(
        (
            dead_letters[0].body.as_str(),
            dead_letters[0].group.as_deref()
        ),
        ("fail", Some("a"))
    );
    assert_eq!(dead_letters[0].attributes["tenant"], "blue");
    assert_eq!(dead_letters[0].attributes["baton.error.type"], "refused");
    assert_eq!(outcome.failure("message-1").unwrap().error_type, "refused");
    let span = outcome.record_span("message-1").unwrap();
    assert_eq!(
        span.attributes["baton.sqs.dead_letter_queue"],
        "orders-dead.fifo"
    );
    assert!(
        outcome
            .span("send orders-dead.fifo")
            .unwrap()
            .is_child_of(span)
    );
    let invalid = batch.dead_letter_queue("no name").run(busy).await;
    assert_eq!(invalid.failed(), ["message-1", "message-2"]);
    let error = invalid.response().unwrap_err();
    assert!(error.starts_with("not a queue URL"), "{error}");
}
