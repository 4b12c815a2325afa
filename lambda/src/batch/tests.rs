//! Batches processed without Lambda and without a network, and the spans that they emit.

use std::sync::Mutex;
use std::time::Duration;

use baton_telemetry::Propagator;
use lambda_runtime::Context as LambdaContext;
use opentelemetry::Value;
use opentelemetry::global::BoxedTracer;
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry::metrics::noop::NoopMeterProvider;
use opentelemetry::trace::noop::NoopTracer;
use opentelemetry::trace::{Link, SpanId, SpanKind, Status, TraceId, TracerProvider as _};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use serde_json::json;
use tower::layer::util::Identity;

use super::*;
use crate::config::TraceShape;
use crate::deadline::{Deadlines, StopReason};
use crate::handler::Handler;
use crate::{Failure, Message};

const STANDARD: &str = "arn:aws:sqs:eu-central-1:123456789012:orders";
const FIFO: &str = "arn:aws:sqs:eu-central-1:123456789012:orders.fifo";
const FUNCTION: &str = "arn:aws:lambda:eu-central-1:123456789012:function:orders";
const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn record(
    arn: &str,
    id: &str,
    body: &str,
    group: &str,
    traceparent: Option<&str>,
) -> serde_json::Value {
    let attributes = traceparent
        .map(|value| json!({"traceparent": {"stringValue": value, "dataType": "String"}}));
    json!({
        "messageId": id,
        "body": body,
        "attributes": {"ApproximateReceiveCount": "2", "SentTimestamp": "1700000000000", "MessageGroupId": group},
        "messageAttributes": attributes,
        "eventSource": "aws:sqs",
        "eventSourceARN": arn,
    })
}

fn plain(id: &str, body: &str) -> serde_json::Value {
    record(STANDARD, id, body, "g", None)
}

async fn handle(message: Message<String>) -> Result<(), Failure> {
    match message.body.as_str() {
        "fail" => Err(Failure::permanent("refused", "not wanted")),
        "panic" => panic!("on purpose"),
        _ => Ok(()),
    }
}

fn never_cancelled() -> Cancellation {
    Cancellation::new(&Deadlines::new(
        Duration::from_secs(900),
        &ConsumerConfig::default(),
    ))
}

/// Returns the ids of the failed records, and the spans in the order in which they ended.
async fn process<Args>(
    handler: impl Handler<(), Args>,
    records: &[serde_json::Value],
) -> (Vec<String>, Vec<SpanData>) {
    process_with(
        ConsumerConfig::default(),
        handler,
        records,
        &never_cancelled(),
    )
    .await
}

async fn process_with<Args>(
    config: ConsumerConfig,
    handler: impl Handler<(), Args>,
    records: &[serde_json::Value],
    cancellation: &Cancellation,
) -> (Vec<String>, Vec<SpanData>) {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(exporter.clone())
        .build();
    let tracer = BoxedTracer::new(Box::new(provider.tracer("test")));
    let failed = process_with_tracer(tracer, config, handler, records, cancellation).await;
    (failed, exporter.get_finished_spans().unwrap())
}

async fn process_with_tracer<Args>(
    tracer: BoxedTracer,
    config: ConsumerConfig,
    handler: impl Handler<(), Args>,
    records: &[serde_json::Value],
    cancellation: &Cancellation,
) -> Vec<String> {
    let processor = BatchProcessor {
        handler: Box::new(BoxedMessageHandler::new(handler, (), Identity::new())),
        spans: InvocationSpans {
            tracer,
            shape: config.trace_shape,
            max_receive_count: config.max_receive_count,
        },
        metrics: Metrics::new(&NoopMeterProvider::new().meter("test")),
        config,
        extractor: ContextExtractor::new(Propagator::default(), |_| true),
        link_only_logged: Once::new(),
        failure_policy: FailurePolicy::default(),
        log_fields: None,
        panic_hook: PanicHook::default(),
    };
    let payload = serde_json::to_vec(&json!({"Records": records})).unwrap();
    let mut context = LambdaContext::default();
    context.request_id = "invocation-1".to_owned();
    context.invoked_function_arn = format!("{FUNCTION}:live");
    Arc::make_mut(&mut context.env_config).version = "7".to_owned();
    let invocation = InvocationInfo {
        context: &context,
        is_cold_start: true,
    };
    let batch = SqsBatch::parse(payload, Arc::default()).unwrap();
    let processed = processor
        .process(batch, invocation, Context::new(), cancellation)
        .await;
    let id = |index: &usize| {
        let record = processed.batch.record(*index);
        record.message_id().unwrap().into_owned()
    };
    // The batch span ends here, as the invocation would end it.
    processed.failed.iter().map(id).collect()
}

/// Returns the only span with this value of `messaging.message.id`.
fn record_span(spans: &[SpanData], id: &str) -> SpanData {
    let mut found = spans
        .iter()
        .filter(|span| attribute(span, "messaging.message.id") == Some(id.to_owned().into()));
    let span = found.next().unwrap().clone();
    assert!(found.next().is_none());
    span
}

/// Returns the batch span, which ends last.
fn batch_span(spans: &[SpanData]) -> SpanData {
    let last = spans.last().unwrap();
    assert!(last.name.starts_with("process_batch"), "{}", last.name);
    last.clone()
}

fn attribute(span: &SpanData, key: &str) -> Option<Value> {
    let mut attributes = span.attributes.iter();
    let found = attributes.find(|attribute| attribute.key.as_str() == key);
    found.map(|attribute| attribute.value.clone())
}

#[tokio::test]
async fn a_record_continues_its_producers_trace_and_the_batch_links_to_it() {
    let records = [
        record(STANDARD, "traced", "ok", "g", Some(TRACEPARENT)),
        plain("untraced", "ok"),
    ];
    let (failed, spans) = process(handle, &records).await;
    assert!(failed.is_empty());
    let (traced, untraced, batch) = (
        record_span(&spans, "traced"),
        record_span(&spans, "untraced"),
        batch_span(&spans),
    );
    let producer_trace = TraceId::from(0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
    let producer_span = SpanId::from(0x00f0_67aa_0ba9_02b7);
    assert_eq!(traced.span_context.trace_id(), producer_trace);
    assert_eq!(
        (traced.parent_span_id, traced.parent_span_is_remote),
        (producer_span, true)
    );
    assert_eq!(
        (traced.name.as_ref(), &traced.span_kind),
        ("process orders", &SpanKind::Consumer)
    );
    assert_eq!(traced.status, Status::Unset);
    assert_eq!(
        attribute(&traced, "baton.sqs.receive_count"),
        Some(2.into())
    );
    let of_batch = |link: &Link| link.span_context == batch.span_context;
    assert!(traced.links.iter().all(of_batch) && untraced.links.iter().all(of_batch));
    // A record without a context starts a new trace, and does not join the trace of the batch.
    assert_eq!(untraced.parent_span_id, SpanId::INVALID);
    assert_ne!(
        untraced.span_context.trace_id(),
        batch.span_context.trace_id()
    );
    assert_eq!(
        (batch.name.as_ref(), batch.links.len()),
        ("process_batch orders", 1)
    );
    assert_eq!(batch.links[0].span_context.span_id(), producer_span);
    assert_eq!(
        batch.links[0].attributes[0].value,
        "traced".to_owned().into()
    );
    assert_eq!(batch.parent_span_id, SpanId::INVALID);
}

#[tokio::test]
async fn the_batch_span_describes_the_invocation() {
    let (_, spans) = process(handle, &[plain("a", "ok"), plain("b", "ok")]).await;
    let batch = batch_span(&spans);
    for (key, expected) in [
        ("messaging.system", Value::from("aws_sqs")),
        ("messaging.operation.type", "process".into()),
        ("messaging.destination.name", "orders".into()),
        ("messaging.batch.message_count", 2.into()),
        ("faas.trigger", "pubsub".into()),
        ("faas.invocation_id", "invocation-1".into()),
        ("faas.coldstart", true.into()),
        ("cloud.account.id", "123456789012".into()),
        ("aws.lambda.invoked_arn", format!("{FUNCTION}:live").into()),
        ("cloud.resource_id", format!("{FUNCTION}:7").into()),
    ] {
        assert_eq!(attribute(&batch, key), Some(expected), "{key}");
    }
}

#[tokio::test]
async fn an_invalid_body_an_error_and_a_panic_fail_only_their_record() {
    async fn number(message: Message<u8>) -> Result<(), Failure> {
        match message.body {
            1 => Err(Failure::permanent("refused", "not wanted")),
            2 => panic!("on purpose"),
            _ => Ok(()),
        }
    }
    let records = [
        plain("ok", "0"),
        plain("bad", "{"),
        plain("error", "1"),
        plain("panic", "2"),
        plain("last", "3"),
    ];
    let (failed, spans) = process(number, &records).await;
    assert_eq!(failed, ["bad", "error", "panic"]);
    let error_type =
        |id: &str| attribute(&record_span(&spans, id), "error.type").map(|value| value.to_string());
    assert_eq!(error_type("bad").as_deref(), Some("invalid_body"));
    assert_eq!(error_type("error").as_deref(), Some("refused"));
    assert_eq!(error_type("panic").as_deref(), Some("panic"));
    assert_eq!((error_type("ok"), error_type("last")), (None, None));
    assert_eq!(
        record_span(&spans, "panic").status,
        Status::error("the handler panicked: on purpose")
    );
}

#[tokio::test]
async fn an_error_that_panics_when_it_is_formatted_fails_only_its_record() {
    #[derive(Debug)]
    struct Unshowable;

    impl std::fmt::Display for Unshowable {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("not to be shown")
        }
    }

    impl std::error::Error for Unshowable {}

    async fn fails(message: Message<String>) -> Result<(), Unshowable> {
        match message.body.as_str() {
            "fail" => Err(Unshowable),
            _ => Ok(()),
        }
    }
    let (failed, spans) = process(fails, &[plain("a", "fail"), plain("b", "ok")]).await;
    assert_eq!(failed, ["a"]);
    assert_eq!(
        attribute(&record_span(&spans, "a"), "error.type"),
        Some("panic".into())
    );
}

#[tokio::test]
async fn a_panic_with_any_payload_fails_only_its_record() {
    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("dropped")
        }
    }

    async fn panics(message: Message<String>) -> Result<(), Failure> {
        match message.body.as_str() {
            "text" => panic!("because of {}", message.id()),
            "number" => std::panic::panic_any(7),
            "bomb" => std::panic::panic_any(Bomb),
            "long" => panic!("{}", "é".repeat(1 << 20)),
            _ => Ok(()),
        }
    }
    let records = ["text", "number", "bomb", "long", "ok"].map(|body| plain(body, body));
    let (failed, spans) = process(panics, &records).await;
    assert_eq!(failed, ["text", "number", "bomb", "long"]);
    for (id, expected) in [
        ("text", "the handler panicked: because of text"),
        (
            "number",
            "the handler panicked: the payload is not a string",
        ),
        ("bomb", "the handler panicked: the payload is not a string"),
    ] {
        assert_eq!(record_span(&spans, id).status, Status::error(expected));
    }
    let Status::Error { description } = record_span(&spans, "long").status else {
        panic!("a failure");
    };
    assert!(description.len() < 4100 && description.ends_with("éé…"));
}

#[tokio::test]
async fn a_malformed_context_is_recorded_and_starts_a_new_trace() {
    let (_, spans) = process(
        handle,
        &[record(STANDARD, "a", "ok", "g", Some("00-short"))],
    )
    .await;
    let span = record_span(&spans, "a");
    assert_eq!(span.parent_span_id, SpanId::INVALID);
    assert_eq!(
        attribute(&span, "baton.context.invalid"),
        Some("message attributes: traceparent has the wrong length".into())
    );
    assert!(batch_span(&spans).links.is_empty());
}

#[tokio::test]
async fn records_of_several_queues_have_no_common_destination() {
    let other = "arn:aws:sqs:eu-central-1:123456789012:returns";
    let records = [plain("a", "ok"), record(other, "b", "ok", "g", None)];
    let (_, spans) = process(handle, &records).await;
    assert_eq!(record_span(&spans, "b").name, "process returns");
    let mut stray = plain("b", "ok");
    stray["eventSourceARN"].take();
    let (_, with_a_stray) = process(handle, &[plain("a", "ok"), stray]).await;
    assert_eq!(record_span(&with_a_stray, "b").name, "process");
    for spans in [spans, with_a_stray] {
        has_no_destination(&spans);
    }
}

fn has_no_destination(spans: &[SpanData]) {
    assert_eq!(batch_span(spans).name, "process_batch");
    assert_eq!(
        attribute(&batch_span(spans), "messaging.destination.name"),
        None
    );
}

#[tokio::test]
async fn a_handler_runs_inside_its_records_span() {
    async fn check(message: Message<String>) -> Result<(), Failure> {
        let active = Context::map_current(|context| context.span().span_context().trace_id());
        // Also after a wait in which other records have run.
        tokio::task::yield_now().await;
        let later = Context::map_current(|context| context.span().span_context().trace_id());
        if active == later && active.to_string() == message.body {
            Ok(())
        } else {
            Err(Failure::permanent(
                "wrong_context",
                "another span is active",
            ))
        }
    }
    let traced = |number: u32| {
        let trace = format!("{number:032x}");
        let traceparent = format!("00-{trace}-00f067aa0ba902b7-01");
        record(
            STANDARD,
            &format!("m{number}"),
            &trace,
            "g",
            Some(&traceparent),
        )
    };
    let (failed, _) = process(check, &[traced(1), traced(2), traced(3)]).await;
    assert!(failed.is_empty(), "{failed:?}");
}

#[tokio::test]
async fn with_the_trace_shape_batch_records_are_children_of_the_batch_span() {
    let config = ConsumerConfig {
        trace_shape: TraceShape::Batch,
        ..ConsumerConfig::default()
    };
    let records = [
        record(STANDARD, "traced", "ok", "g", Some(TRACEPARENT)),
        plain("untraced", "ok"),
    ];
    let (_, spans) = process_with(config, handle, &records, &never_cancelled()).await;
    let (traced, batch) = (record_span(&spans, "traced"), batch_span(&spans));
    for span in [&traced, &record_span(&spans, "untraced")] {
        assert_eq!(span.span_context.trace_id(), batch.span_context.trace_id());
        assert_eq!(span.parent_span_id, batch.span_context.span_id());
        assert!(!span.parent_span_is_remote);
    }
    assert_eq!(traced.links.len(), 1);
    let producer_span = SpanId::from(0x00f0_67aa_0ba9_02b7);
    assert_eq!(traced.links[0].span_context.span_id(), producer_span);
    assert!(record_span(&spans, "untraced").links.is_empty());
    assert_eq!(batch.links[0].span_context.span_id(), producer_span);
}

#[tokio::test]
async fn a_disabled_sdk_propagates_the_producers_context_in_each_trace_shape() {
    for trace_shape in [TraceShape::Continue, TraceShape::Batch] {
        let config = ConsumerConfig {
            trace_shape,
            ..ConsumerConfig::default()
        };
        let contexts = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&contexts);
        let handler = move |_: Message<String>| {
            let context = Context::current().span().span_context().clone();
            seen.lock().unwrap().push(context);
            async { Ok::<_, Failure>(()) }
        };
        let records = [
            record(STANDARD, "traced", "ok", "g", Some(TRACEPARENT)),
            plain("untraced", "ok"),
        ];
        let noop = BoxedTracer::new(Box::new(NoopTracer::new()));
        let cancellation = never_cancelled();
        let failed = process_with_tracer(noop, config, handler, &records, &cancellation).await;
        assert!(failed.is_empty(), "{failed:?}");
        let contexts = contexts.lock().unwrap();
        let spans = contexts.iter().map(|context| context.span_id());
        let producer_span = SpanId::from(0x00f0_67aa_0ba9_02b7);
        let spans: Vec<SpanId> = spans.collect();
        assert_eq!(spans, [producer_span, SpanId::INVALID], "{trace_shape:?}");
        assert!(contexts[0].is_sampled());
    }
}

#[tokio::test]
async fn a_message_that_one_more_failure_moves_has_the_attribute() {
    for (max, expected) in [(2, Some(true.into())), (3, None)] {
        let config = ConsumerConfig {
            max_receive_count: Some(max.try_into().unwrap()),
            ..ConsumerConfig::default()
        };
        let (_, spans) =
            process_with(config, handle, &[plain("a", "ok")], &never_cancelled()).await;
        let key = "baton.sqs.next_failure_dead_letters";
        assert_eq!(attribute(&record_span(&spans, "a"), key), expected);
    }
}

/// FIFO message groups.
mod groups;
mod whole;

/// Batches that are drained or cancelled.
mod cancelled;
