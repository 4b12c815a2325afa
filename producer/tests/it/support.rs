//! Senders of a fake SQS.

use std::net::SocketAddr;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::retry::RetryConfig;
use aws_sdk_sqs::config::timeout::TimeoutConfig;
use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use baton_producer::{QueueSender, QueueSenderBuilder, QueueUrl};
use baton_telemetry::Propagator;
use baton_test_support::span_recorder::SpanRecorder;

pub(crate) mod metric_recorder;

/// Time limit of a send. No test waits for it, unless the test sets a shorter one.
#[cfg(feature = "gather")]
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(20);

/// Returns a recorder. Propagation is that of the services.
pub(crate) fn span_recorder() -> SpanRecorder {
    SpanRecorder::new(Propagator::default())
}

/// Returns a sender whose SQS has this address.
pub(crate) fn sender(address: SocketAddr, spans: &SpanRecorder) -> QueueSender {
    sender_builder(address, "onboarding", spans).build()
}

/// Returns an AWS SDK client of the SQS with this address.
pub(crate) fn sqs_client(address: SocketAddr) -> Client {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(1))
        .operation_attempt_timeout(Duration::from_millis(500))
        .build();
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("eu-west-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .endpoint_url(format!("http://{address}"))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .timeout_config(timeouts)
        .retry_config(RetryConfig::standard().with_initial_backoff(Duration::from_millis(10)))
        .build();
    Client::from_conf(config)
}

/// Returns a builder for a sender whose SQS has this address.
pub(crate) fn sender_builder(
    address: SocketAddr,
    queue: &str,
    spans: &SpanRecorder,
) -> QueueSenderBuilder {
    let queue = QueueUrl::parse(&format!("http://{address}/000000000000/{queue}")).unwrap();
    let builder = QueueSender::builder(sqs_client(address), queue).tracer(spans.tracer());
    #[cfg(feature = "gather")]
    let builder = builder.delivery_timeout(DELIVERY_TIMEOUT);
    builder
}
