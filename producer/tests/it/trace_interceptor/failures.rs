use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::interceptors::BeforeSerializationInterceptorContextMut;
use aws_sdk_sqs::config::timeout::TimeoutConfig;
use aws_sdk_sqs::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_sqs::error::BoxError;
use baton_test_support::SqsResponse;
use baton_test_support::span_recorder::{attribute, traceparent};
use opentelemetry::Context;
use opentelemetry::trace::{Status, TracerProvider as _};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, Span, SpanData, SpanProcessor};
use tokio::net::TcpListener;

use crate::support::span_recorder;

use super::{Traced, entry, sent_attribute, traced_client};

/// An interceptor of the program that fails before the request is built.
#[derive(Debug)]
struct Failing;

impl Intercept for Failing {
    fn name(&self) -> &'static str {
        "Failing"
    }

    fn modify_before_serialization(
        &self,
        _: &mut BeforeSerializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        Err("an error of the program".into())
    }
}

/// A span processor that fails when a span ends.
#[derive(Debug)]
struct PanickingProcessor;

impl SpanProcessor for PanickingProcessor {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, _: SpanData) {
        panic!("an error of the processor");
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

const UNAVAILABLE: SqsResponse =
    SqsResponse::Error(503, "ServiceUnavailable", "ServiceUnavailable");

#[tokio::test]
async fn a_retry_of_the_sdk_sends_the_same_context() {
    let traced = Traced::start().await;
    traced.sqs.respond_with([UNAVAILABLE]);
    traced.message().send().await.unwrap();
    let span = traced.spans.find("send orders");
    let calls = traced.sqs.calls();
    let carried = calls
        .iter()
        .map(|call| sent_attribute(&call.body, "traceparent"));
    let expected = Some(traceparent(&span));
    assert_eq!(carried.collect::<Vec<_>>(), [expected.clone(), expected]);
    assert_eq!(attribute(&span, "error.type"), "");
}

#[tokio::test]
async fn a_rejected_call_fails_its_span() {
    let traced = Traced::start().await;
    let denied = SqsResponse::Error(403, "AccessDenied", "AccessDenied");
    traced.sqs.respond_with([denied]);
    traced.message().send().await.unwrap_err();
    let span = traced.spans.find("send orders");
    assert_eq!(attribute(&span, "error.type"), "AccessDenied");
    assert_eq!(attribute(&span, "aws.request_id"), "c-request-1");
    assert_eq!(
        span.status,
        Status::error("the call to SQS failed: AccessDenied")
    );
}

#[tokio::test]
async fn a_rejected_batch_fails_all_its_spans() {
    let traced = Traced::start().await;
    let denied = SqsResponse::Error(403, "AccessDenied", "AccessDenied");
    traced.sqs.respond_with([denied]);
    traced
        .batch([entry("a"), entry("b")])
        .send()
        .await
        .unwrap_err();
    let spans = traced.spans.all();
    let types: Vec<String> = spans
        .iter()
        .map(|span| attribute(span, "error.type"))
        .collect();
    assert_eq!(types, ["AccessDenied"; 3]);
}

#[tokio::test]
async fn a_refused_connection_fails_the_span_as_connect() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let spans = span_recorder();
    let client = traced_client(address, &spans, |interceptor| interceptor);
    let queue = format!("http://{address}/000000000000/orders");
    let sent = client.send_message().queue_url(queue).message_body("body");
    sent.send().await.unwrap_err();
    let span = spans.find("send orders");
    assert_eq!(attribute(&span, "error.type"), "connect");
}

#[tokio::test]
async fn an_endpoint_that_does_not_parse_fails_the_span() {
    let traced = Traced::start().await;
    let config = traced.client.config().to_builder();
    let config = config.endpoint_url("not a URL").build();
    let client = Client::from_conf(config);
    let sent = client.send_message().queue_url(traced.queue_url());
    sent.message_body("body").send().await.unwrap_err();
    let span = traced.spans.find("send orders");
    assert_eq!(attribute(&span, "error.type"), "_OTHER");
}

#[tokio::test]
async fn a_request_that_is_not_built_fails_the_span_as_unbuildable() {
    let traced = Traced::start().await;
    let sent = traced.message().customize().interceptor(Failing).send();
    sent.await.unwrap_err();
    let span = traced.spans.find("send orders");
    assert_eq!(attribute(&span, "error.type"), "unbuildable");
}

#[tokio::test]
async fn a_panic_of_a_span_processor_does_not_fail_the_call() {
    let provider = SdkTracerProvider::builder().with_span_processor(PanickingProcessor);
    let tracer = provider.build().tracer("test");
    let traced = Traced::start_with(|interceptor| interceptor.with_tracer(tracer)).await;
    traced.message().send().await.unwrap();
    assert!(traced.sqs.attribute("traceparent").is_some());
}

#[tokio::test]
async fn a_dropped_call_ends_its_spans_as_cancelled() {
    let traced = Traced::start().await;
    traced.sqs.respond_with([SqsResponse::Held]);
    let sending = traced.batch([entry("a"), entry("b")]).send();
    tokio::select! {
        _ = sending => panic!("it is held"),
        () = traced.sqs.wait_for_call() => {}
    }
    let spans = traced.spans.all();
    let names: Vec<&str> = spans.iter().map(|span| &*span.name).collect();
    assert_eq!(names, ["create orders", "create orders", "send orders"]);
    for span in &spans {
        assert_eq!(attribute(span, "error.type"), "cancelled");
        assert_eq!(
            span.status,
            Status::error("the call ended before SQS responded")
        );
    }
}

#[tokio::test]
async fn the_timeouts_of_the_client_end_the_span_as_timeout() {
    let timeout = Duration::from_millis(100);
    for timeouts in [
        TimeoutConfig::builder().operation_timeout(timeout),
        TimeoutConfig::builder().operation_attempt_timeout(timeout),
    ] {
        let traced = Traced::start().await;
        traced.sqs.respond_with([SqsResponse::Hang; 3]);
        let config = aws_sdk_sqs::Config::builder().timeout_config(timeouts.build());
        let sent = traced.message().customize().config_override(config).send();
        sent.await.unwrap_err();
        let span = traced.spans.find("send orders");
        assert_eq!(attribute(&span, "error.type"), "timeout");
    }
}
