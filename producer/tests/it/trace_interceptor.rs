//! Calls of an AWS SDK client with [`TraceInterceptor`].

use std::net::SocketAddr;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::operation::send_message::builders::SendMessageFluentBuilder;
use aws_sdk_sqs::operation::send_message_batch::builders::SendMessageBatchFluentBuilder;
use aws_sdk_sqs::types::{MessageAttributeValue, SendMessageBatchRequestEntry};
use baton_producer::TraceInterceptor;
use baton_test_support::FakeSqs;
use baton_test_support::span_recorder::SpanRecorder;
use serde_json::Value;

use crate::support::{span_recorder, sqs_client};

// `SendMessage`.
mod single;

// `SendMessageBatch`.
mod batch;

// The metrics of calls.
mod metrics;

// Calls without a confirmed result: retries, rejections, outages, timeouts and dropped futures.
mod failures;

// Propagators other than the usual one, and operations that send nothing.
mod propagators;

const CALLERS: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const CALLERS_SPAN: &str = "b7ad6b7169203331";

/// A client with the interceptor, its SQS, and its spans.
struct Traced {
    sqs: FakeSqs,
    spans: SpanRecorder,
    client: Client,
}

impl Traced {
    async fn start() -> Self {
        Self::start_with(|interceptor| interceptor).await
    }

    async fn start_with(configure: impl FnOnce(TraceInterceptor) -> TraceInterceptor) -> Self {
        let sqs = FakeSqs::start().await.unwrap();
        let spans = span_recorder();
        let client = traced_client(sqs.address, &spans, configure);
        Self { sqs, spans, client }
    }

    fn queue_url(&self) -> String {
        format!("http://{}/000000000000/orders", self.sqs.address)
    }

    fn message(&self) -> SendMessageFluentBuilder {
        let message = self.client.send_message().queue_url(self.queue_url());
        message.message_body("body")
    }

    fn batch(
        &self,
        entries: impl IntoIterator<Item = SendMessageBatchRequestEntry>,
    ) -> SendMessageBatchFluentBuilder {
        let batch = self.client.send_message_batch().queue_url(self.queue_url());
        batch.set_entries(Some(entries.into_iter().collect()))
    }

    /// Returns the entries of the only call.
    fn sent_entries(&self) -> Vec<Value> {
        let calls = self.sqs.calls();
        assert_eq!(calls.len(), 1, "{calls:?}");
        assert_eq!(calls[0].action, "AmazonSQS.SendMessageBatch");
        calls[0].body["Entries"].as_array().unwrap().clone()
    }
}

fn traced_client(
    address: SocketAddr,
    spans: &SpanRecorder,
    configure: impl FnOnce(TraceInterceptor) -> TraceInterceptor,
) -> Client {
    let interceptor = configure(TraceInterceptor::new().with_tracer(spans.tracer()));
    let config = sqs_client(address).config().to_builder();
    Client::from_conf(config.interceptor(interceptor).build())
}

fn text(value: &str) -> MessageAttributeValue {
    let text = MessageAttributeValue::builder().data_type("String");
    text.string_value(value).build().unwrap()
}

/// Returns an entry with this id as its body.
fn entry(id: &str) -> SendMessageBatchRequestEntry {
    entry_with(id, id, &[])
}

fn entry_with(id: &str, body: &str, attributes: &[(&str, &str)]) -> SendMessageBatchRequestEntry {
    let entry = SendMessageBatchRequestEntry::builder().id(id);
    let entry = entry.message_body(body);
    let attributes = attributes.iter();
    let entry = attributes.fold(entry, |entry, (name, value)| {
        entry.message_attributes(*name, text(value))
    });
    entry.build().unwrap()
}

/// Returns a text attribute of a sent message.
fn sent_attribute(message: &Value, name: &str) -> Option<String> {
    let value = &message["MessageAttributes"][name]["StringValue"];
    value.as_str().map(str::to_owned)
}

fn attribute_names(message: &Value) -> Vec<&str> {
    let attributes = message["MessageAttributes"].as_object();
    attributes
        .into_iter()
        .flatten()
        .map(|(name, _)| &**name)
        .collect()
}

/// Returns the span ids of a span's links.
fn links(span: &opentelemetry_sdk::trace::SpanData) -> Vec<String> {
    let links = span.links.iter();
    links
        .map(|link| link.span_context.span_id().to_string())
        .collect()
}
