//! Batches through the core, with the spans that they leave: no Lambda, no network.

use super::*;
use crate::config::PartialResponse;
use baton_telemetry::Propagator;
use opentelemetry::trace::{Link, SpanId, SpanKind, Status, TraceId, TracerProvider as _};
use opentelemetry::{Key, Value};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, Span, SpanData, SpanProcessor};
use serde_json::json;
use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::time::Duration;

const STANDARD: &str = "arn:aws:sqs:eu-central-1:123456789012:orders";
const FIFO: &str = "arn:aws:sqs:eu-central-1:123456789012:orders.fifo";
const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[derive(Debug, Clone, Default)]
struct Ended(Arc<Mutex<Vec<SpanData>>>);

impl SpanProcessor for Ended {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        self.0.lock().unwrap().push(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

impl Ended {
    /// The one span with this value of `messaging.message.id`.
    fn record(&self, id: &str) -> SpanData {
        let ended = self.0.lock().unwrap();
        let mut found = ended
            .iter()
            .filter(|span| attribute(span, "messaging.message.id") == Some(id.to_owned().into()));
        let span = found.next().unwrap().clone();
        assert!(found.next().is_none());
        span
    }

    fn batch(&self) -> SpanData {
        let ended = self.0.lock().unwrap();
        let last = ended.last().unwrap();
        assert!(
            last.name.starts_with("process_batch"),
            "the batch span ends last"
        );
        last.clone()
    }
}

fn attribute(span: &SpanData, key: &'static str) -> Option<Value> {
    let key = Key::new(key);
    let found = span
        .attributes
        .iter()
        .find(|attribute| attribute.key == key);
    found.map(|attribute| attribute.value.clone())
}

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

/// Ids of the failed records and the spans that ended.
async fn process<H: Handler<(), Args>, Args>(
    handler: H,
    records: &[serde_json::Value],
) -> (Vec<String>, Ended) {
    let ended = Ended::default();
    let provider = SdkTracerProvider::builder()
        .with_span_processor(ended.clone())
        .build();
    let processor = Processor {
        handler,
        state: (),
        config: Config {
            concurrency: NonZeroUsize::new(4).unwrap(),
            flush_timeout: Duration::ZERO,
            partial_response: PartialResponse::On,
        },
        tracer: provider.tracer("test"),
        origins: Origins::new(Propagator::default(), |_| true),
        arguments: PhantomData,
    };
    let payload = serde_json::value::to_raw_value(&json!({"Records": records})).unwrap();
    let mut lambda = LambdaContext::default();
    lambda.request_id = "invocation-1".to_owned();
    lambda.invoked_function_arn =
        "arn:aws:lambda:eu-central-1:123456789012:function:orders:live".to_owned();
    let (batch, failed) = processor
        .process(Batch::parse(payload).unwrap(), &lambda, true)
        .await;
    let ids = failed
        .iter()
        .map(|index| batch.record(*index).message_id().unwrap().into_owned());
    (ids.collect(), ended)
}

#[tokio::test]
async fn a_record_continues_its_producers_trace_and_the_batch_links_to_it() {
    let records = [
        record(STANDARD, "traced", "ok", "g", Some(TRACEPARENT)),
        plain("untraced", "ok"),
    ];
    let (failed, ended) = process(handle, &records).await;
    assert!(failed.is_empty());
    let (traced, untraced, batch) = (
        ended.record("traced"),
        ended.record("untraced"),
        ended.batch(),
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
    // A record without a context starts a trace of its own: never the batch's by accident.
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
    let (_, ended) = process(handle, &[plain("a", "ok"), plain("b", "ok")]).await;
    let batch = ended.batch();
    for (key, expected) in [
        ("messaging.system", Value::from("aws_sqs")),
        ("messaging.operation.type", "process".into()),
        ("messaging.destination.name", "orders".into()),
        ("messaging.batch.message_count", 2.into()),
        ("faas.trigger", "pubsub".into()),
        ("faas.invocation_id", "invocation-1".into()),
        ("faas.coldstart", true.into()),
        ("cloud.account.id", "123456789012".into()),
    ] {
        assert_eq!(attribute(&batch, key), Some(expected), "{key}");
    }
}

#[tokio::test]
async fn a_bad_body_an_error_and_a_panic_fail_their_own_record_only() {
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
    let (failed, ended) = process(number, &records).await;
    assert_eq!(failed, ["bad", "error", "panic"]);
    let error_type =
        |id: &str| attribute(&ended.record(id), "error.type").map(|value| value.to_string());
    assert_eq!(error_type("bad").as_deref(), Some("invalid_body"));
    assert_eq!(error_type("error").as_deref(), Some("refused"));
    assert_eq!(error_type("panic").as_deref(), Some("panic"));
    assert_eq!((error_type("ok"), error_type("last")), (None, None));
    assert_eq!(
        ended.record("panic").status,
        Status::error("the handler panicked: on purpose")
    );
}

#[tokio::test]
async fn an_error_that_panics_when_it_is_shown_fails_its_own_record_only() {
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
    let (failed, ended) = process(fails, &[plain("a", "fail"), plain("b", "ok")]).await;
    assert_eq!(failed, ["a"]);
    assert_eq!(
        attribute(&ended.record("a"), "error.type"),
        Some("panic".into())
    );
}

#[tokio::test]
async fn a_fifo_group_stops_at_its_first_failure_and_other_groups_go_on() {
    let fifo = |id, body, group| record(FIFO, id, body, group, None);
    let records = [
        fifo("a1", "ok", "a"),
        fifo("b1", "ok", "b"),
        fifo("a2", "fail", "a"),
        fifo("a3", "ok", "a"),
        fifo("b2", "ok", "b"),
    ];
    let (failed, ended) = process(handle, &records).await;
    assert_eq!(failed, ["a2", "a3"]);
    assert_eq!(
        attribute(&ended.record("a3"), "error.type"),
        Some("message_group_blocked".into())
    );
    assert_eq!(
        attribute(&ended.record("b2"), "baton.sqs.message_group_id"),
        Some("b".into())
    );
}

#[tokio::test]
async fn groups_on_a_standard_queue_mean_nothing() {
    let (failed, _) = process(handle, &[plain("a", "fail"), plain("b", "ok")]).await;
    assert_eq!(failed, ["a"]);
}

#[tokio::test]
async fn a_malformed_context_is_noted_and_starts_a_new_trace() {
    let (_, ended) = process(
        handle,
        &[record(STANDARD, "a", "ok", "g", Some("00-short"))],
    )
    .await;
    let span = ended.record("a");
    assert_eq!(span.parent_span_id, SpanId::INVALID);
    assert_eq!(
        attribute(&span, "baton.context.invalid"),
        Some("message attributes: traceparent has the wrong length".into())
    );
    assert!(ended.batch().links.is_empty());
}

#[tokio::test]
async fn records_of_several_queues_have_no_common_destination() {
    let other = "arn:aws:sqs:eu-central-1:123456789012:returns";
    let records = [plain("a", "ok"), record(other, "b", "ok", "g", None)];
    let (_, ended) = process(handle, &records).await;
    assert_eq!(ended.batch().name, "process_batch");
    assert_eq!(
        attribute(&ended.batch(), "messaging.destination.name"),
        None
    );
    assert_eq!(ended.record("b").name, "process returns");
}

#[tokio::test]
async fn a_handler_runs_inside_its_records_span() {
    async fn check(message: Message<String>) -> Result<(), Failure> {
        let active = Context::map_current(|context| context.span().span_context().trace_id());
        // Also after it has waited, when other records have run meanwhile.
        tokio::task::yield_now().await;
        let later = Context::map_current(|context| context.span().span_context().trace_id());
        match active == later && active.to_string() == message.body {
            true => Ok(()),
            false => Err(Failure::permanent(
                "wrong_context",
                "another span is active",
            )),
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
