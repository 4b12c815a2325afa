use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use baton_telemetry::TRACEPARENT;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry::{Context, KeyValue, global};
use serde_json::json;

use super::{XRAY, event, sns, traceparent};
use crate::testing::{Batch, FinishedSpan, Outcome, Record};
use crate::{Consumer, Failure, Message};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
/// Attribute that the handler sets: the tenant in the baggage.
const TENANT: &str = "test.tenant";

async fn observe(_: Message<String>) -> Result<(), Failure> {
    let context = Context::current();
    if let Some(tenant) = context.baggage().get("tenant") {
        let tenant = KeyValue::new(TENANT, tenant.clone());
        context.span().set_attribute(tenant);
    }
    Ok(())
}

/// Headers that a handler sends.
type Sent = Arc<Mutex<Vec<String>>>;

async fn send_on(_: Message<String>, sent: Sent) -> Result<(), Failure> {
    let mut carrier = HashMap::new();
    let context = Context::current();
    global::get_text_map_propagator(|propagator| propagator.inject_context(&context, &mut carrier));
    let header = carrier.remove(TRACEPARENT);
    sent.lock().unwrap().extend(header);
    Ok(())
}

async fn run(record: Record) -> Outcome {
    Batch::standard("orders").record(record).run(observe).await
}

fn is_continued(span: &FinishedSpan, parent: u8) -> bool {
    span.trace_id == TRACE && span.parent_span_id == Some(format!("{parent:016x}"))
}

#[tokio::test]
async fn contexts_in_envelopes_are_the_parents_of_emitted_spans() {
    let in_sns = json!({
        "traceparent": {"Type": "String", "Value": traceparent(2)},
        "baggage": {"Type": "String", "Value": "tenant=green"},
    });
    let fields = json!({"traceparent": traceparent(3), "baggage": "tenant=green"});
    let in_detail = json!({"traceparent": traceparent(4), "baggage": "tenant=green"});
    for (body, parent) in [
        (sns(in_sns, "text"), 2),
        (event(fields, json!({})), 3),
        (event(json!({}), in_detail.clone()), 4),
        (sns(json!({}), &event(json!({}), in_detail)), 4),
    ] {
        let outcome = run(Record::raw(body.as_str())).await;
        let span = outcome.record_span("message-1").unwrap();
        assert!(is_continued(span, parent), "{body}: {span:#?}");
        assert_eq!(span.attributes[TENANT], "green", "{body}");
        assert!(outcome.batch_span().unwrap().links[0].span_id == format!("{parent:016x}"));
    }
}

#[tokio::test]
async fn invalid_fields_are_on_the_emitted_span() {
    let record = Record::raw("")
        .attribute("tracestate", "a=1")
        .attribute("baggage", "a b=1");
    let outcome = run(record).await;
    assert_eq!(
        outcome.record_span("message-1").unwrap().attributes["baton.context.invalid"],
        "message attributes: tracestate without a traceparent; \
         message attributes: baggage has no valid members"
    );
}

#[tokio::test]
async fn handlers_propagate_the_random_flag_and_the_sampling_decision() {
    for flags in ["00", "01", "02", "03"] {
        let sent = Sent::default();
        let record = Record::raw("").traceparent(format!("00-{TRACE}-00f067aa0ba902b7-{flags}"));
        let consumer = Consumer::builder().state(Arc::clone(&sent));
        let batch = Batch::standard("orders").record(record);
        let outcome = batch.run_with(consumer, send_on).await;
        assert!(outcome.failed().is_empty());
        let sent = sent.lock().unwrap();
        let [header] = &sent[..] else {
            panic!("one header: {sent:?}");
        };
        let is_same = header.starts_with(&format!("00-{TRACE}-")) && header.ends_with(flags);
        assert!(is_same, "{header} of {flags}");
    }
}

#[tokio::test]
async fn the_batch_links_to_each_producer_once_and_otherwise_to_the_x_ray_span() {
    let batch = Batch::standard("orders")
        .record(
            Record::raw("")
                .traceparent(traceparent(1))
                .aws_trace_header(XRAY),
        )
        .record(Record::raw("").aws_trace_header(XRAY))
        .record(Record::raw(""));
    let outcome = batch.run(observe).await;
    let links = outcome.batch_span().unwrap().links.iter();
    let links: Vec<_> = links
        .map(|link| {
            (
                link.span_id.as_str(),
                &link.attributes["messaging.message.id"],
            )
        })
        .collect();
    let expected = [
        ("0000000000000001", &json!("message-1")),
        ("53995c3f42cd8ad8", &json!("message-2")),
    ];
    assert_eq!(links, expected);
    // Each of the two records links to the X-Ray span too.
    for id in ["message-1", "message-2"] {
        let links = &outcome.record_span(id).unwrap().links;
        assert!(links.iter().any(|link| link.span_id == "53995c3f42cd8ad8"));
    }
}
