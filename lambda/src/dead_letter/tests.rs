//! Sends over a real socket: the requests and the spans.

use std::time::{Duration, Instant};

use aws_sdk_sqs::config::{Credentials, Region};
use baton_sqs::QueueSendError;
use baton_telemetry::Propagator;
use opentelemetry::trace::{
    SpanKind, Status, TraceContextExt as _, Tracer as _, TracerProvider as _,
};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracer, SdkTracerProvider, SpanData};
use serde_json::{Value, json};

use self::endpoint::{Behaviour, Endpoint, NEW_ID, REQUEST_ID};
use super::*;
use crate::event::SqsBatch;

mod consumer;
pub(crate) mod endpoint;
mod propagators;
mod redelivered_batch;

const MESSAGE_ID: &str = "5f1b2d3c-0000-4000-8000-000000000001";
const ARN: &str = "arn:aws:sqs:eu-central-1:123456789012:orders";
const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const TRACE_HEADER: &str =
    "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0";
const REASON: DeadLetterReason<'_> = DeadLetterReason {
    error_type: "refused",
    description: "not wanted",
};
/// Maximum duration of a send that times out, with a margin for a busy machine.
const MAX_DURATION: Duration = Duration::from_secs(4);

fn batch(attributes: Value) -> SqsBatch {
    let system = json!({"AWSTraceHeader": TRACE_HEADER, "MessageGroupId": "g-1"});
    batch_with(attributes, system)
}

fn batch_with(attributes: Value, system: Value) -> SqsBatch {
    let event = json!({"Records": [{
        "messageId": MESSAGE_ID,
        "body": "SECRET",
        "attributes": system,
        "messageAttributes": attributes,
        "eventSource": "aws:sqs",
        "eventSourceARN": ARN,
    }]});
    SqsBatch::parse(serde_json::to_vec(&event).unwrap(), Arc::default()).unwrap()
}

fn text(value: &str) -> Value {
    json!({"stringValue": value, "dataType": "String"})
}

/// Creates a queue of this name at the endpoint, with the timeouts of a queue that the environment
/// names.
pub(crate) async fn queue(endpoint: &Endpoint, name: &str) -> DeadLetterQueue {
    // In a function, `Telemetry::init` sets the propagator. All tests of the process set the same
    // one.
    global::set_text_map_propagator(Propagator::default());
    let loader = baton_sqs::config_loader()
        .region(Region::new("eu-central-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .endpoint_url(&endpoint.url);
    let client = client::load(loader).await.unwrap();
    DeadLetterQueue::new(client, format!("{}/000000000000/{name}", endpoint.url)).unwrap()
}

/// Sends a message with these attributes to the queue of this name. Returns the outcome, the span
/// of the send and the span of the record.
async fn send(
    endpoint: &Endpoint,
    name: &str,
    attributes: Value,
) -> (Result<(), DeadLetterError>, SpanData, SpanData) {
    send_with(endpoint, name, Propagator::default(), &batch(attributes)).await
}

/// Sends the batch's first message with these propagators.
async fn send_with(
    endpoint: &Endpoint,
    name: &str,
    propagator: Propagator,
    batch: &SqsBatch,
) -> (Result<(), DeadLetterError>, SpanData, SpanData) {
    let queue = queue(endpoint, name).await;
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(exporter.clone())
        .build();
    let tracer = provider.tracer("test");
    let record = Context::new().with_span(tracer.start("process orders"));
    let sent = send_in(&queue, &tracer, &propagator, batch, &record).await;
    record.span().end();
    let mut spans = exporter.get_finished_spans().unwrap().into_iter();
    (sent, spans.next().unwrap(), spans.next().unwrap())
}

/// Sends the batch's first message with this tracer and propagator, in a span under `parent`.
async fn send_in(
    queue: &DeadLetterQueue,
    tracer: &SdkTracer,
    propagator: &Propagator,
    batch: &SqsBatch,
    parent: &Context,
) -> Result<(), DeadLetterError> {
    let is_fifo = queue.client.url().is_fifo();
    let message = outgoing_message::build(&batch.record(0), is_fifo, &REASON)?;
    let prepared = queue.client.prepare(tracer, propagator, parent, &message);
    prepared.send().await?;
    Ok(())
}

/// Returns the error of a send that SQS did not confirm.
fn send_error(sent: Result<(), DeadLetterError>) -> QueueSendError {
    match sent {
        Err(DeadLetterError::Send(error)) => error,
        other => panic!("{other:?}"),
    }
}

fn attribute(span: &SpanData, key: &str) -> Option<String> {
    let mut attributes = span.attributes.iter();
    let found = attributes.find(|attribute| attribute.key.as_str() == key);
    found.map(|attribute| attribute.value.to_string())
}

/// Returns the text of a message attribute in a request.
fn sent_text<'a>(request: &'a Value, name: &str) -> Option<&'a str> {
    request["MessageAttributes"][name]["StringValue"].as_str()
}

#[tokio::test]
async fn a_message_is_sent_unchanged_with_the_reason() {
    let endpoint = Endpoint::start(Behaviour::Accept).await;
    let attributes = json!({
        "TraceParent": text(TRACEPARENT),
        "tracestate": text("k=v"),
        "price": {"stringValue": "1.5", "dataType": "Number.eur"},
        "thumb": {"binaryValue": "AAH/", "dataType": "Binary.png"},
        "list": {"stringListValues": ["x"], "dataType": "String"},
    });
    let (sent, ..) = send(&endpoint, "dead", attributes).await;
    sent.unwrap();

    let request = &endpoint.requests()[0];
    assert_eq!(request["MessageBody"], "SECRET");
    assert_eq!(sent_text(request, "TraceParent"), Some(TRACEPARENT));
    assert_eq!(sent_text(request, "tracestate"), Some("k=v"));
    let attributes = &request["MessageAttributes"];
    assert_eq!(
        attributes["price"],
        json!({"StringValue": "1.5", "DataType": "Number.eur"})
    );
    assert_eq!(
        attributes["thumb"],
        json!({"BinaryValue": "AAH/", "DataType": "Binary.png"})
    );
    assert_eq!(sent_text(request, "baton.error.type"), Some("refused"));
    assert_eq!(
        sent_text(request, "baton.error.message"),
        Some("not wanted")
    );
    assert_eq!(sent_text(request, "baton.source.queue_arn"), Some(ARN));
    assert_eq!(
        sent_text(request, "baton.source.message_id"),
        Some(MESSAGE_ID)
    );
    assert_eq!(attributes.as_object().unwrap().len(), 8);
    let header = &request["MessageSystemAttributes"]["AWSTraceHeader"];
    assert_eq!(header["StringValue"], TRACE_HEADER);
    assert_eq!(
        (
            &request["MessageGroupId"],
            &request["MessageDeduplicationId"]
        ),
        (&json!("g-1"), &Value::Null)
    );
}

#[tokio::test]
async fn the_send_of_a_message_with_a_context_links_to_that_context() {
    let endpoint = Endpoint::start(Behaviour::Accept).await;
    let attributes = json!({
        "traceparent": text(TRACEPARENT),
        "list": {"stringListValues": ["x"], "dataType": "String"},
    });
    let (sent, span, record) = send(&endpoint, "dead", attributes).await;
    sent.unwrap();
    assert_eq!(
        (span.name.as_ref(), span.span_kind.clone()),
        ("send dead", SpanKind::Client)
    );
    assert_eq!(span.parent_span_id, record.span_context.span_id());
    let link = &span.links[0].span_context;
    let creation = format!("00-{}-{}-01", link.trace_id(), link.span_id());
    assert_eq!(creation, TRACEPARENT);
    assert_eq!(
        attribute(&span, "baton.attributes.dropped").as_deref(),
        Some("[\"list\"]")
    );
    assert_eq!(span.status, Status::Unset);
}

#[tokio::test]
async fn a_message_without_a_context_carries_that_of_the_send() {
    let endpoint = Endpoint::start(Behaviour::Accept).await;
    let (sent, span, record) = send(&endpoint, "dead", Value::Null).await;
    sent.unwrap();

    let context = &span.span_context;
    let expected = format!("00-{}-{}-01", context.trace_id(), context.span_id());
    let request = &endpoint.requests()[0];
    assert_eq!(sent_text(request, "traceparent"), Some(&*expected));
    assert_eq!(context.trace_id(), record.span_context.trace_id());
    assert_eq!(
        (span.span_kind.clone(), span.links.len()),
        (SpanKind::Producer, 0)
    );
    for (key, value) in [
        ("messaging.system", "aws_sqs"),
        ("messaging.operation.name", "send"),
        ("messaging.operation.type", "send"),
        ("messaging.destination.name", "dead"),
        ("messaging.message.id", NEW_ID),
        ("aws.request_id", REQUEST_ID),
        ("server.address", "127.0.0.1"),
    ] {
        assert_eq!(attribute(&span, key).as_deref(), Some(value), "{key}");
    }
    assert!(
        attribute(&span, "aws.sqs.queue.url")
            .unwrap()
            .ends_with("/000000000000/dead")
    );
    assert_eq!(attribute(&span, "baton.attributes.dropped"), None);
}

#[tokio::test]
async fn a_message_without_a_free_slot_is_sent_without_added_attributes() {
    let endpoint = Endpoint::start(Behaviour::Accept).await;
    let attributes: serde_json::Map<_, _> = (0..10)
        .map(|index| (format!("a{index}"), text("x")))
        .collect();
    let (sent, span, _) = send(&endpoint, "dead", attributes.into()).await;
    sent.unwrap();
    assert_eq!(
        endpoint.requests()[0]["MessageAttributes"]
            .as_object()
            .unwrap()
            .len(),
        10
    );
    assert_eq!(span.span_kind, SpanKind::Client);
    let dropped = attribute(&span, "baton.attributes.dropped").unwrap();
    assert!(dropped.contains("baton.error.type"), "{dropped}");
    assert_eq!(
        attribute(&span, "baton.context.dropped").as_deref(),
        Some("[\"traceparent\"]")
    );
}

#[tokio::test]
async fn an_invalid_context_is_neither_replaced_nor_linked_to() {
    let endpoint = Endpoint::start(Behaviour::Accept).await;
    let (sent, span, _) = send(&endpoint, "dead", json!({"traceparent": text("00-broken")})).await;
    sent.unwrap();
    assert_eq!(
        sent_text(&endpoint.requests()[0], "traceparent"),
        Some("00-broken")
    );
    assert_eq!(
        (span.span_kind.clone(), span.links.len()),
        (SpanKind::Client, 0)
    );
}

#[tokio::test]
async fn a_fifo_queue_gets_the_group_and_a_deduplication_id() {
    let endpoint = Endpoint::start(Behaviour::Accept).await;
    let (sent, ..) = send(&endpoint, "dead.fifo", Value::Null).await;
    sent.unwrap();
    let request = &endpoint.requests()[0];
    assert_eq!(request["MessageGroupId"], "g-1");
    assert_eq!(request["MessageDeduplicationId"], MESSAGE_ID);
}

#[tokio::test]
async fn after_a_rejection_the_trace_context_is_sent_without_the_reason() {
    let endpoint = Endpoint::start(Behaviour::RefuseWith("baton.error.type")).await;
    let (sent, span, _) = send(&endpoint, "dead", json!({"tenant": text("blue")})).await;
    sent.unwrap();
    let requests = endpoint.requests();
    let names = |request: &Value| {
        let attributes = request["MessageAttributes"].as_object().unwrap();
        attributes.keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!(requests.len(), 2);
    assert_eq!(names(&requests[1]), ["tenant", "traceparent"]);
    assert_eq!(span.span_kind, SpanKind::Producer);
    let dropped = attribute(&span, "baton.attributes.dropped").unwrap();
    assert!(
        dropped.contains("baton.error.type") && !dropped.contains("traceparent"),
        "{dropped}"
    );
    assert_eq!(attribute(&span, "baton.context.dropped"), None);
}

#[tokio::test]
async fn after_two_rejections_the_message_is_sent_without_added_attributes() {
    let endpoint = Endpoint::start(Behaviour::RefuseWith("traceparent")).await;
    let (sent, span, _) = send(&endpoint, "dead", json!({"tenant": text("blue")})).await;
    sent.unwrap();
    let requests = endpoint.requests();
    assert_eq!(requests.len(), 3);
    assert_eq!(
        requests[2]["MessageAttributes"],
        json!({"tenant": {"StringValue": "blue", "DataType": "String"}})
    );
    let dropped = attribute(&span, "baton.attributes.dropped").unwrap();
    assert!(dropped.contains("baton.error.type"), "{dropped}");
    assert_eq!(
        attribute(&span, "baton.context.dropped").as_deref(),
        Some("[\"traceparent\"]")
    );
}

#[tokio::test]
async fn if_the_queue_states_its_limit_the_attributes_that_fit_are_sent_in_one_more_call() {
    let all = Endpoint::start(Behaviour::Accept).await;
    send(&all, "dead", Value::Null).await.0.unwrap();
    let limit = endpoint::message_size(&all.requests()[0]) - 1;

    let endpoint = Endpoint::start(Behaviour::Limit(limit)).await;
    let (sent, span, _) = send(&endpoint, "dead", Value::Null).await;
    sent.unwrap();
    let requests = endpoint.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(sent_text(&requests[1], "baton.error.type"), Some("refused"));
    assert_eq!(sent_text(&requests[1], "baton.source.message_id"), None);
    assert_eq!(
        attribute(&span, "baton.attributes.dropped").as_deref(),
        Some("[\"baton.source.message_id\"]")
    );
}

#[tokio::test]
async fn a_message_larger_than_the_queue_accepts_is_an_error_with_both_sizes() {
    let endpoint = Endpoint::start(Behaviour::Limit("SECRET".len() - 1)).await;
    let (sent, ..) = send(&endpoint, "dead", Value::Null).await;
    let error = send_error(sent);
    assert_eq!(endpoint.requests().len(), 1);
    assert_eq!(error.error_type(), "InvalidParameterValueException");
    assert_eq!(
        error.to_string(),
        "the message has 6 bytes, more than the 5 that the queue accepts"
    );
}

#[tokio::test]
async fn a_rejected_message_is_an_error_with_the_code_and_without_the_body() {
    let endpoint = Endpoint::start(Behaviour::Deny).await;
    let (sent, span, _) = send(&endpoint, "dead", Value::Null).await;
    let error = send_error(sent);
    assert_eq!(
        (endpoint.requests().len(), error.error_type()),
        (1, "AccessDenied")
    );
    assert_eq!(
        attribute(&span, "error.type").as_deref(),
        Some("AccessDenied")
    );
    assert_eq!(
        attribute(&span, "aws.request_id").as_deref(),
        Some(REQUEST_ID)
    );
    assert_eq!(span.status, Status::error(error.to_string()));
    assert_eq!(
        error.to_string(),
        "SQS rejected the call: AccessDenied (HTTP 403, request request-1)"
    );
    assert!(!format!("{error:?} {span:?}").contains("SECRET"));
}

#[tokio::test]
async fn the_added_attributes_get_the_free_slots_in_their_order() {
    const ADDED: [&str; 5] = [
        "traceparent",
        "baton.error.type",
        "baton.error.message",
        "baton.source.queue_arn",
        "baton.source.message_id",
    ];
    let endpoint = Endpoint::start(Behaviour::Accept).await;
    for slots in 0..=ADDED.len() {
        let attributes: serde_json::Map<_, _> = (slots..10)
            .map(|index| (format!("a{index}"), text("x")))
            .collect();
        let (sent, span, _) = send(&endpoint, "dead", attributes.into()).await;
        sent.unwrap();
        let request = endpoint.requests().pop().unwrap();
        let sent: Vec<bool> = ADDED
            .map(|name| sent_text(&request, name).is_some())
            .to_vec();
        let expected: Vec<bool> = (0..ADDED.len()).map(|index| index < slots).collect();
        assert_eq!(sent, expected, "{slots} free slots");
        let dropped = ["baton.context.dropped", "baton.attributes.dropped"]
            .map(|key| attribute(&span, key).unwrap_or_default())
            .concat();
        for (name, is_sent) in ADDED.iter().zip(sent) {
            assert_eq!(dropped.contains(name), !is_sent, "{name}: {dropped}");
        }
    }
}

#[tokio::test]
async fn a_message_over_a_limit_of_sqs_is_not_sent() {
    let endpoint = Endpoint::start(Behaviour::Accept).await;
    let attributes: serde_json::Map<_, _> = (0..11)
        .map(|index| (format!("a{index}"), text("x")))
        .collect();
    let (sent, span, _) = send(&endpoint, "dead", attributes.into()).await;
    assert_eq!(send_error(sent).error_type(), "invalid_message");
    assert!(endpoint.requests().is_empty());
    assert_eq!(
        attribute(&span, "error.type").as_deref(),
        Some("invalid_message")
    );
}

#[tokio::test]
async fn an_endpoint_that_refuses_connections_is_reported_as_such() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let (sent, span, _) = send(&Endpoint::unreachable(url), "dead", Value::Null).await;
    assert_eq!(send_error(sent).error_type(), "connect");
    assert_eq!(attribute(&span, "error.type").as_deref(), Some("connect"));
}

#[tokio::test]
async fn a_connection_that_breaks_each_time_is_an_io_error() {
    let endpoint = Endpoint::start(Behaviour::Close).await;
    let (sent, span, _) = send(&endpoint, "dead", Value::Null).await;
    assert_eq!(send_error(sent).error_type(), "io");
    assert_eq!(attribute(&span, "error.type").as_deref(), Some("io"));
}

#[tokio::test]
async fn a_response_without_a_message_id_is_not_a_confirmation() {
    let endpoint = Endpoint::start(Behaviour::AcceptWithoutId).await;
    let (sent, span, _) = send(&endpoint, "dead", Value::Null).await;
    assert_eq!(send_error(sent).error_type(), "invalid_response");
    assert_eq!(
        attribute(&span, "error.type").as_deref(),
        Some("invalid_response")
    );
}

#[tokio::test]
async fn a_call_on_a_broken_connection_is_retried() {
    let endpoint = Endpoint::start(Behaviour::CloseFirst).await;
    let (sent, ..) = send(&endpoint, "dead", Value::Null).await;
    sent.unwrap();
    assert_eq!(endpoint.requests().len(), 2);
}

#[tokio::test]
async fn a_send_to_an_endpoint_that_never_responds_times_out() {
    let endpoint = Endpoint::start(Behaviour::Hang).await;
    let began = Instant::now();
    let (sent, span, _) = send(&endpoint, "dead", Value::Null).await;
    assert!(began.elapsed() < MAX_DURATION, "{:?}", began.elapsed());
    let error = send_error(sent);
    assert_eq!(error.error_type(), "timeout");
    assert_eq!(attribute(&span, "error.type").as_deref(), Some("timeout"));
    assert!(!format!("{error:?}").contains("SECRET"));
}

#[tokio::test]
async fn a_dropped_send_is_recorded_as_cancelled() {
    let endpoint = Endpoint::start(Behaviour::Hang).await;
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(exporter.clone())
        .build();
    let queue = queue(&endpoint, "dead").await;
    let batch = batch(Value::Null);
    let (tracer, parent) = (provider.tracer("test"), Context::new());
    let propagator = Propagator::default();
    let mut sending = Box::pin(send_in(&queue, &tracer, &propagator, &batch, &parent));
    tokio::select! {
        _ = &mut sending => panic!("the endpoint never responds"),
        () = request_arrived(&endpoint) => {}
    }
    drop(sending);
    let span = exporter.get_finished_spans().unwrap().remove(0);
    assert_eq!(attribute(&span, "error.type").as_deref(), Some("cancelled"));
}

/// Returns once a request has arrived.
async fn request_arrived(endpoint: &Endpoint) {
    while endpoint.requests().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_queue_without_a_region_is_an_error() {
    let loader = baton_sqs::config_loader().region(NoRegion);
    let error = client::load(loader).await.unwrap_err();
    assert_eq!(error, InvalidDeadLetterQueue::NoRegion);
}

#[derive(Debug)]
struct NoRegion;

impl aws_config::meta::region::ProvideRegion for NoRegion {
    fn region(&self) -> aws_config::meta::region::future::ProvideRegion<'_> {
        aws_config::meta::region::future::ProvideRegion::ready(None)
    }
}
