use std::collections::BTreeSet;

use baton_test_support::SqsResponse;
use baton_test_support::span_recorder::{attribute, list, traceparent};
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::{FutureExt as _, SpanKind, Status, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::SpanData;

use super::{
    CALLERS, CALLERS_SPAN, Traced, attribute_names, entry, entry_with, links, sent_attribute,
};

const MAX_BYTES: usize = 1024 * 1024;
const TRACEPARENT_BYTES: usize = 11 + 6 + 55;

impl Traced {
    /// Returns the `create` span whose context the entry with this id carries.
    fn create_span(&self, id: &str) -> SpanData {
        let entries = self.sent_entries();
        let entry = entries.iter().find(|entry| entry["Id"] == id).unwrap();
        let carried = sent_attribute(entry, "traceparent").unwrap();
        let mut spans = self.spans.all().into_iter();
        let span = spans.find(|span| traceparent(span) == carried).unwrap();
        assert_eq!(span.name, "create orders");
        span
    }

    fn count_create_spans(&self) -> usize {
        let spans = self.spans.all();
        spans
            .iter()
            .filter(|span| span.name == "create orders")
            .count()
    }
}

#[tokio::test]
async fn each_message_carries_the_context_of_its_own_create_span() {
    let traced = Traced::start().await;
    let caller = Context::current_with_span(traced.spans.tracer().start("caller"));
    let sent = traced.batch([entry("a"), entry("b"), entry("c")]).send();
    sent.with_context(caller.clone()).await.unwrap();
    let send = traced.spans.find("send orders");
    let parent = caller.span().span_context().span_id();
    let mut created = Vec::new();
    for id in ["a", "b", "c"] {
        let create = traced.create_span(id);
        assert_eq!(
            (create.span_kind.clone(), create.parent_span_id),
            (SpanKind::Producer, parent)
        );
        for (key, value) in [
            ("messaging.system", "aws_sqs"),
            ("messaging.operation.name", "create"),
            ("messaging.operation.type", "create"),
            ("messaging.destination.name", "orders"),
            ("messaging.message.id", &format!("message-{id}")),
            ("messaging.batch.message_count", ""),
            ("error.type", ""),
        ] {
            assert_eq!(attribute(&create, key), value, "{key}");
        }
        created.push(create.span_context.span_id().to_string());
    }
    assert_eq!(created.iter().collect::<BTreeSet<_>>().len(), 3);
    assert_eq!(links(&send), created);
    assert_eq!(
        (send.span_kind.clone(), send.parent_span_id),
        (SpanKind::Client, parent)
    );
    assert_eq!(attribute(&send, "messaging.batch.message_count"), "3");
    assert_eq!(attribute(&send, "messaging.operation.type"), "send");
    assert_eq!(attribute(&send, "aws.request_id"), "c-request-1");
    assert_eq!(attribute(&send, "messaging.message.id"), "");
    assert_eq!(send.status, Status::Unset);
}

#[tokio::test]
async fn without_create_spans_all_messages_carry_the_context_of_the_call() {
    let traced = Traced::start_with(|it| it.without_create_spans()).await;
    traced.batch([entry("a"), entry("b")]).send().await.unwrap();
    let send = traced.spans.find("send orders");
    assert_eq!(traced.spans.all().len(), 1);
    assert_eq!(
        (send.span_kind.clone(), links(&send)),
        (SpanKind::Producer, Vec::new())
    );
    for entry in traced.sent_entries() {
        assert_eq!(
            sent_attribute(&entry, "traceparent"),
            Some(traceparent(&send))
        );
    }
}

#[tokio::test]
async fn a_message_with_a_context_of_the_caller_has_no_create_span() {
    let traced = Traced::start().await;
    let with_context = entry_with("b", "body", &[("traceparent", CALLERS)]);
    let baggage = Context::current_with_baggage([KeyValue::new("tenant", "blue")]);
    let sent = traced.batch([entry("a"), with_context]).send();
    sent.with_context(baggage).await.unwrap();
    assert_eq!(traced.count_create_spans(), 1);
    let create = traced.create_span("a");
    let entries = traced.sent_entries();
    assert_eq!(
        sent_attribute(&entries[1], "traceparent").as_deref(),
        Some(CALLERS)
    );
    assert_eq!(
        sent_attribute(&entries[1], "baggage").as_deref(),
        Some("tenant=blue")
    );
    let expected = [
        create.span_context.span_id().to_string(),
        CALLERS_SPAN.to_owned(),
    ];
    assert_eq!(links(&traced.spans.find("send orders")), expected);
}

#[tokio::test]
async fn without_create_spans_a_context_of_the_caller_is_linked() {
    for (ids, kind) in [
        (&["own", "a"][..], SpanKind::Producer),
        (&["own"], SpanKind::Client),
    ] {
        let traced = Traced::start_with(|it| it.without_create_spans()).await;
        let entries = ids.iter().map(|id| match *id {
            "own" => entry_with("own", "body", &[("traceparent", CALLERS)]),
            id => entry(id),
        });
        traced.batch(entries).send().await.unwrap();
        let send = traced.spans.find("send orders");
        assert_eq!(
            (send.span_kind.clone(), links(&send)),
            (kind, vec![CALLERS_SPAN.to_owned()])
        );
        let own = &traced.sent_entries()[0];
        assert_eq!(sent_attribute(own, "traceparent").as_deref(), Some(CALLERS));
    }
}

#[tokio::test]
async fn a_message_without_a_free_attribute_is_sent_without_context() {
    let traced = Traced::start().await;
    let names: Vec<String> = (0..10).map(|index| format!("a{index}")).collect();
    let full: Vec<(&str, &str)> = names.iter().map(|name| (&**name, "v")).collect();
    let baggage = Context::current_with_baggage([KeyValue::new("tenant", "blue")]);
    let entries = [
        entry_with("8", "body", &full[..8]),
        entry_with("9", "body", &full[..9]),
        entry_with("10", "body", &full),
    ];
    traced
        .batch(entries)
        .send()
        .with_context(baggage)
        .await
        .unwrap();
    let sent = traced.sent_entries();
    assert_eq!(attribute_names(&sent[0])[8..], ["baggage", "traceparent"]);
    assert_eq!(attribute_names(&sent[1])[9..], ["traceparent"]);
    assert_eq!(attribute_names(&sent[2]).len(), 10);
    assert_eq!(sent_attribute(&sent[2], "traceparent"), None);
    assert_eq!(traced.count_create_spans(), 2);
    assert_eq!(
        attribute(&traced.create_span("8"), "baton.context.dropped"),
        ""
    );
    assert_eq!(
        list(&traced.create_span("9"), "baton.context.dropped"),
        ["baggage"]
    );
    let send = traced.spans.find("send orders");
    assert_eq!(
        list(&send, "baton.context.dropped"),
        ["baggage", "traceparent"]
    );
    assert_eq!(links(&send).len(), 2);
}

#[tokio::test]
async fn the_context_of_all_messages_together_stays_within_the_limit() {
    // Each of the ten bodies is far below the limit; together they leave room for three and a half
    // contexts.
    let free = 3 * TRACEPARENT_BYTES + TRACEPARENT_BYTES / 2;
    let traced = Traced::start().await;
    let bytes = (MAX_BYTES - free) / 10;
    let rest = MAX_BYTES - free - 9 * bytes;
    let bodies = (0..10).map(|index| "x".repeat(if index == 0 { rest } else { bytes }));
    let ids = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
    let entries = ids.into_iter().zip(bodies);
    let entries = entries.map(|(id, body)| entry_with(id, &body, &[]));
    traced.batch(entries).send().await.unwrap();
    let sent = traced.sent_entries();
    let with_context = sent.iter();
    let with_context = with_context.filter(|entry| sent_attribute(entry, "traceparent").is_some());
    assert_eq!(with_context.count(), 3);
    assert_eq!(traced.count_create_spans(), 3);
    let send = traced.spans.find("send orders");
    assert_eq!(list(&send, "baton.context.dropped"), ["traceparent"]);
    assert_eq!(links(&send).len(), 3);
}

#[tokio::test]
async fn the_maximum_message_size_applies_to_each_message_of_a_batch() {
    let traced = Traced::start_with(|it| it.with_maximum_message_size(1024)).await;
    let entries = [1024 - TRACEPARENT_BYTES, 1025 - TRACEPARENT_BYTES];
    let entries = entries.map(|bytes| entry_with(&bytes.to_string(), &"x".repeat(bytes), &[]));
    traced.batch(entries).send().await.unwrap();
    let sent = traced.sent_entries();
    assert_eq!(attribute_names(&sent[0]), ["traceparent"]);
    assert!(attribute_names(&sent[1]).is_empty());
}

#[tokio::test]
async fn baggage_of_one_message_does_not_take_the_traceparent_of_another() {
    let baggage = "v".repeat(100);
    let field = "baggage".len() + "String".len() + "k=".len() + baggage.len();
    let traced = Traced::start().await;
    let body = "x".repeat((MAX_BYTES - 2 * TRACEPARENT_BYTES - field) / 2);
    let context = Context::current_with_baggage([KeyValue::new("k", baggage)]);
    let entries = ["a", "b"].map(|id| entry_with(id, &body, &[]));
    traced
        .batch(entries)
        .send()
        .with_context(context)
        .await
        .unwrap();
    let sent = traced.sent_entries();
    assert_eq!(attribute_names(&sent[0]), ["baggage", "traceparent"]);
    assert_eq!(attribute_names(&sent[1]), ["traceparent"]);
    assert_eq!(
        list(&traced.create_span("b"), "baton.context.dropped"),
        ["baggage"]
    );
}

#[tokio::test]
async fn a_failed_message_fails_its_create_span_and_the_call() {
    let traced = Traced::start().await;
    let response = SqsResponse::FailedEntry(1, "InternalError", false);
    traced.sqs.respond_with([response]);
    let entries = [entry("a"), entry("b"), entry("c")];
    let sent = traced.batch(entries).send().await.unwrap();
    assert_eq!((sent.successful().len(), sent.failed().len()), (2, 1));
    let failed = traced.create_span("b");
    assert_eq!(attribute(&failed, "error.type"), "InternalError");
    assert_eq!(attribute(&failed, "messaging.message.id"), "");
    assert!(matches!(failed.status, Status::Error { .. }));
    let accepted = traced.create_span("c");
    assert_eq!(attribute(&accepted, "error.type"), "");
    assert_eq!(attribute(&accepted, "messaging.message.id"), "message-c");
    let send = traced.spans.find("send orders");
    assert_eq!(attribute(&send, "error.type"), "InternalError");
    let description = "SQS did not accept 1 of 3 messages";
    assert_eq!(send.status, Status::error(description));
}

#[tokio::test]
async fn a_message_without_a_result_counts_as_failed() {
    let traced = Traced::start().await;
    traced.sqs.respond_with([SqsResponse::UnmentionedEntry(0)]);
    traced.batch([entry("a"), entry("b")]).send().await.unwrap();
    let create = traced.create_span("a");
    assert_eq!(attribute(&create, "error.type"), "invalid_response");
    assert_eq!(attribute(&traced.create_span("b"), "error.type"), "");
}
