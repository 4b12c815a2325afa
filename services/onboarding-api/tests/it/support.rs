//! The API in this process, with a fake SQS and recorders.

use std::net::SocketAddr;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::interceptors::BeforeSerializationInterceptorContextRef;
use aws_sdk_sqs::config::retry::RetryConfig;
use aws_sdk_sqs::config::timeout::TimeoutConfig;
use aws_sdk_sqs::config::{BehaviorVersion, ConfigBag, Credentials, Intercept, Region};
use aws_sdk_sqs::error::BoxError;
use baton_producer::{QueueSender, QueueUrl};
use baton_telemetry::Propagator;
use baton_test_support::span_recorder::SpanRecorder;
use baton_test_support::{FakeSqs, SqsResponse};
use onboarding_api::{self, DrainOutcome, Limits};
use opentelemetry::global::BoxedTracer;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use self::client::TestResponse;
use self::metric_recorder::MetricRecorder;

pub(crate) mod client;
pub(crate) mod collector;
pub(crate) mod metric_recorder;
pub(crate) mod process;

/// Settings of a [`TestApi`].
#[derive(Debug, Clone)]
pub(crate) struct TestConfig {
    /// Creates the SQS client for an address.
    pub(crate) client: fn(SocketAddr) -> Client,
    pub(crate) limits: Limits,
    pub(crate) grace_period: Duration,
    pub(crate) shutdown_timeout: Duration,
}

impl Default for TestConfig {
    fn default() -> Self {
        Self {
            client: sqs_client,
            limits: Limits {
                max_connections: 1000,
                max_concurrent_requests: 100,
                request_timeout: Duration::from_secs(15),
            },
            grace_period: Duration::ZERO,
            // Longer than any accepted request of these tests takes.
            shutdown_timeout: Duration::from_secs(5),
        }
    }
}

/// Time limit of a send. It is long enough for a few attempts.
#[cfg(feature = "gather")]
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(1);

fn sender_through(client: Client, address: SocketAddr, spans: &SpanRecorder) -> QueueSender {
    let queue = QueueUrl::parse(&format!("http://{address}/000000000000/onboarding")).unwrap();
    let builder = QueueSender::builder(client, queue).tracer(spans.tracer());
    #[cfg(feature = "gather")]
    let builder = builder.delivery_timeout(DELIVERY_TIMEOUT);
    builder.build()
}

fn sqs_client(address: SocketAddr) -> Client {
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

/// Returns a client that fails before it sends a call.
pub(crate) fn client_that_fails_to_build(address: SocketAddr) -> Client {
    let config = sqs_client(address).config().to_builder();
    Client::from_conf(config.interceptor(FailBeforeSend).build())
}

#[derive(Debug)]
struct FailBeforeSend;

impl Intercept for FailBeforeSend {
    fn name(&self) -> &'static str {
        "FailBeforeSend"
    }

    fn read_before_execution(
        &self,
        _context: &BeforeSerializationInterceptorContextRef<'_>,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        Err("as the test requires".into())
    }
}

/// The API in this process, with a fake SQS.
pub(crate) struct TestApi {
    pub(crate) address: SocketAddr,
    pub(crate) sqs: FakeSqs,
    pub(crate) spans: SpanRecorder,
    pub(crate) metrics: MetricRecorder,
    shutdown: oneshot::Sender<()>,
    server: JoinHandle<DrainOutcome>,
}

impl TestApi {
    pub(crate) async fn start() -> Self {
        Self::with_config(TestConfig::default()).await
    }

    pub(crate) async fn with_shutdown_timeout(shutdown_timeout: Duration) -> Self {
        let config = TestConfig {
            shutdown_timeout,
            ..TestConfig::default()
        };
        Self::with_config(config).await
    }

    pub(crate) async fn with_limits(limits: Limits) -> Self {
        let config = TestConfig {
            limits,
            ..TestConfig::default()
        };
        Self::with_config(config).await
    }

    pub(crate) async fn with_config(config: TestConfig) -> Self {
        let sqs = FakeSqs::start().await.unwrap();
        let spans = SpanRecorder::new(Propagator::default());
        let metrics = MetricRecorder::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let grace_period = config.grace_period;
        let config = onboarding_api::ServeConfig {
            sender: sender_through((config.client)(sqs.address), sqs.address, &spans),
            tracer: BoxedTracer::new(Box::new(spans.tracer())),
            meter: metrics.meter(),
            limits: config.limits,
            shutdown_timeout: config.shutdown_timeout,
        };
        // Dropping the sender starts the shutdown.
        let (shutdown, shutdown_started) = oneshot::channel::<()>();
        let server = tokio::spawn(async move {
            let shutdown = async {
                drop(shutdown_started.await);
                grace_period
            };
            onboarding_api::run(listener, config, shutdown).await
        });
        Self {
            address,
            sqs,
            spans,
            metrics,
            shutdown,
            server,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> TestResponse {
        client::request(self.address, "GET", path, &[], "").await
    }

    pub(crate) async fn post_json(&self, path: &str, body: &str) -> TestResponse {
        client::request(self.address, "POST", path, &[client::JSON], body).await
    }

    /// Sends a valid onboarding, and disconnects while its message is being sent to SQS.
    pub(crate) async fn onboard_and_disconnect(&self) {
        self.sqs.respond_with([SqsResponse::Held]);
        let request = client::onboarding_request(VALID, VALID.len());
        let connection = client::connect_and_send(self.address, &request).await;
        self.sqs.wait_for_call().await;
        drop(connection);
    }

    /// Sends a valid onboarding with additional headers.
    pub(crate) async fn onboard(&self, headers: &[(&str, &str)]) -> TestResponse {
        let headers: Vec<_> = [client::JSON].iter().chain(headers).copied().collect();
        client::request(self.address, "POST", "/onboarding", &headers, VALID).await
    }

    /// Shuts the server down.
    pub(crate) async fn shut_down(self) -> DrainOutcome {
        drop(self.shutdown);
        self.server.await.unwrap()
    }

    /// Shuts the server down. Also returns the recorded spans and metrics.
    pub(crate) async fn shut_down_with_telemetry(
        self,
    ) -> (DrainOutcome, SpanRecorder, MetricRecorder) {
        drop(self.shutdown);
        (self.server.await.unwrap(), self.spans, self.metrics)
    }

    /// Starts the shutdown without waiting for its end.
    pub(crate) fn start_shutdown(self) -> JoinHandle<DrainOutcome> {
        drop(self.shutdown);
        self.server
    }
}

/// A valid onboarding.
pub(crate) const VALID: &str = r#"{"customer_id":"c-1","email":"ada@example.com","plan":"team"}"#;
