//! What the scenarios stand on.

use std::net::SocketAddr;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::interceptors::BeforeSerializationInterceptorContextRef;
use aws_sdk_sqs::config::retry::RetryConfig;
use aws_sdk_sqs::config::timeout::TimeoutConfig;
use aws_sdk_sqs::config::{BehaviorVersion, ConfigBag, Credentials, Intercept, Region};
use aws_sdk_sqs::error::BoxError;
use baton_producer::{QueueUrl, Sender};
use baton_test_support::FakeSqs;
use onboarding_api::{self, Drain};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use self::client::Answer;
use self::metrics::Metrics;
use self::spans::Spans;

pub(crate) mod client;
pub(crate) mod collector;
pub(crate) mod metrics;
pub(crate) mod process;
pub(crate) mod spans;

/// More than any accepted request of these scenarios needs.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

fn sender_through(client: Client, address: SocketAddr, spans: &Spans) -> Sender {
    let queue = QueueUrl::parse(&format!("http://{address}/000000000000/onboarding")).unwrap();
    Sender::new(client, queue, spans.tracer())
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

/// A client that fails before a call is on its way.
pub(crate) fn client_that_builds_nothing(address: SocketAddr) -> Client {
    let config = sqs_client(address).config().to_builder();
    Client::from_conf(config.interceptor(BuildsNothing).build())
}

#[derive(Debug)]
struct BuildsNothing;

impl Intercept for BuildsNothing {
    fn name(&self) -> &'static str {
        "BuildsNothing"
    }

    fn read_before_execution(
        &self,
        _context: &BeforeSerializationInterceptorContextRef<'_>,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        Err("as the test wants it".into())
    }
}

/// The API, serving in this process, with a fake SQS behind it.
pub(crate) struct Api {
    pub(crate) address: SocketAddr,
    pub(crate) sqs: FakeSqs,
    pub(crate) spans: Spans,
    pub(crate) metrics: Metrics,
    stop: oneshot::Sender<()>,
    server: JoinHandle<Drain>,
}

impl Api {
    pub(crate) async fn start() -> Self {
        Self::with_shutdown_timeout(SHUTDOWN_TIMEOUT).await
    }

    pub(crate) async fn with_shutdown_timeout(shutdown_timeout: Duration) -> Self {
        Self::serve(sqs_client, shutdown_timeout).await
    }

    /// Speaks to SQS through the client that `client` makes for its address.
    pub(crate) async fn with_client(client: fn(SocketAddr) -> Client) -> Self {
        Self::serve(client, SHUTDOWN_TIMEOUT).await
    }

    async fn serve(client: fn(SocketAddr) -> Client, shutdown_timeout: Duration) -> Self {
        let sqs = FakeSqs::start().await.unwrap();
        let spans = Spans::collect();
        let metrics = Metrics::collect();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let config = onboarding_api::Config {
            sender: sender_through(client(sqs.address), sqs.address, &spans),
            tracer: spans.tracer(),
            meter: metrics.meter(),
            shutdown_timeout,
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(async move {
            onboarding_api::run(listener, config, async { drop(stopped.await) }).await
        });
        Self {
            address,
            sqs,
            spans,
            metrics,
            stop,
            server,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        client::request(self.address, "GET", path, &[], "").await
    }

    pub(crate) async fn post_json(&self, path: &str, body: &str) -> Answer {
        client::request(self.address, "POST", path, &[client::JSON], body).await
    }

    /// A request that nothing is wrong with, with `headers` beside its own.
    pub(crate) async fn onboard(&self, headers: &[(&str, &str)]) -> Answer {
        let headers: Vec<_> = [client::JSON].iter().chain(headers).copied().collect();
        client::request(self.address, "POST", "/onboarding", &headers, VALID).await
    }

    /// Tells the server to stop, and returns what it says once it has.
    pub(crate) async fn stop(self) -> Drain {
        drop(self.stop);
        self.server.await.unwrap()
    }

    /// Likewise, and gives what was recorded until then.
    pub(crate) async fn stop_and_look(self) -> (Drain, Spans, Metrics) {
        drop(self.stop);
        (self.server.await.unwrap(), self.spans, self.metrics)
    }

    /// Tells the server to stop, without waiting.
    pub(crate) fn begin_stop(self) -> JoinHandle<Drain> {
        drop(self.stop);
        self.server
    }
}

/// An onboarding that nothing is wrong with.
pub(crate) const VALID: &str = r#"{"customer_id":"c-1","email":"ada@example.com","plan":"team"}"#;
