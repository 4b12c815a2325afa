//! The whole pipeline on this machine: SQS endpoint, queues, OTLP receiver, function, event source
//! mapping and producer.
//!
//! [`Stack::start`] returns when every part is ready; [`Stack::stop`] leaves no process behind. The
//! user's AWS configuration is not read, and every listener is on loopback, except one that
//! [`StackConfig::metrics_address`] binds elsewhere.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use aws_sdk_sqs::Client;
use tokio::net::TcpListener;

use self::config::{ACCOUNT, REGION};
use self::mapping_task::MappingTask;
use self::producer::Producer;
use self::servers::{Servers, listen, loopback};
use self::variables::Addresses;
use crate::AllowedHosts;
use crate::environment::Lambda;
use crate::mapping::MappingSnapshot;
use crate::otlp::{self, ReceiverConfig, SpanStore};
use crate::sqs::{self, Listeners, SqsConfig};

mod binaries;
mod client;
mod config;
mod error;
mod function;
mod log;
mod mapping_task;
mod process;
mod producer;
mod queues;
mod servers;
mod variables;

pub use self::binaries::{Binary, BuildError, FUNCTION, PRODUCER, build};
pub(crate) use self::binaries::{check_checkout, program_name};
pub use self::client::HttpError;
pub(crate) use self::client::post;
pub use self::config::{
    Fault, FaultKind, InvalidFault, InvalidQueueName, Logging, Ports, QueueConfig, QueueName,
    StackConfig,
};
pub use self::error::{FunctionExit, StackError};
pub use self::function::FunctionWatcher;
pub(crate) use self::function::check as check_function;
pub use self::log::ProcessLog;
pub(crate) use self::producer::check as check_producer;
pub use self::queues::{QueueSetupError, QueueUrls};
pub(crate) use self::queues::{aws_http_client, describe_error, sqs_client};

/// URLs of the stack's parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// URL of the SQS endpoint.
    pub sqs: String,
    /// URL of the function's source queue.
    pub queue: String,
    /// URL of the dead-letter queue.
    pub dead_letter_queue: String,
    /// URL of the producer's API, if a producer runs.
    pub producer: Option<String>,
    /// URL of the OTLP receiver over HTTP, which also serves `GET /api/spans`.
    pub otlp_http: String,
    /// URL of the OTLP receiver over gRPC.
    pub otlp_grpc: String,
    /// URL of the metrics of the queues, in the OpenMetrics text format.
    pub metrics: String,
}

/// A running stack.
#[derive(Debug)]
pub struct Stack {
    endpoints: Endpoints,
    servers: Servers,
    sqs: Client,
    spans: SpanStore,
    lambda: Lambda,
    mapping: MappingTask,
    producer: Option<Producer>,
}

impl Stack {
    /// Starts all parts and returns when the function has polled for its first event and the
    /// producer reports that it is ready.
    ///
    /// If the returned future is dropped, the parts that were started are stopped.
    ///
    /// # Errors
    ///
    /// Fails if a port is in use, a binary cannot be started, AWS would not accept the
    /// configuration, the function does not initialise, or the producer does not become ready.
    pub async fn start(config: StackConfig) -> Result<Self, StackError> {
        let mut servers = Servers::new();
        let SqsUrls {
            actions: sqs_url,
            metrics,
        } = serve_sqs(
            &mut servers,
            config.ports.sqs,
            config.metrics_address,
            &config.allowed_hosts,
        )
        .await?;
        let spans = SpanStore::default();
        let receiver = ReceiverConfig {
            store: spans.clone(),
            allowed_hosts: config.allowed_hosts.clone(),
        };
        let (otlp_http, otlp_grpc) = serve_otlp(&mut servers, config.ports, receiver).await?;
        let sqs = queues::sqs_client(&sqs_url);
        let urls = queues::create_queues(&sqs, &config.queue).await?;
        let addresses = Addresses {
            sqs: &sqs_url,
            queue: &urls.queue,
            otlp_http: &otlp_http,
        };
        let lambda = function::create(&config, variables::function_variables(&addresses, &config))?;
        function::initialise(&lambda).await?;
        let mapping = MappingTask::start(&config, &urls.queue, sqs.clone(), lambda.clone()).await?;
        let producer = match &config.producer {
            Some(binary) => {
                let variables = variables::producer_variables(binary, &addresses, &config);
                Some(Producer::start(binary, &variables).await?)
            }
            None => None,
        };
        let producer_address = producer.as_ref().map(Producer::address);
        let endpoints = Endpoints {
            sqs: sqs_url,
            queue: urls.queue,
            dead_letter_queue: urls.dead_letter,
            producer: producer_address.map(|address| format!("http://{address}")),
            otlp_http,
            otlp_grpc,
            metrics,
        };
        Ok(Self {
            endpoints,
            servers,
            sqs,
            spans,
            lambda,
            mapping,
            producer,
        })
    }

    /// Returns the URLs of the stack's parts.
    #[must_use]
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// Returns the variables that a shell needs to use the stack, with their values.
    #[must_use]
    pub fn shell_variables(&self) -> Vec<(String, String)> {
        let Endpoints {
            sqs,
            queue,
            otlp_http,
            ..
        } = &self.endpoints;
        variables::shell_variables(&Addresses {
            sqs,
            queue,
            otlp_http,
        })
    }

    /// Returns the producer's address, if a producer runs.
    #[must_use]
    pub fn producer_address(&self) -> Option<std::net::SocketAddr> {
        self.producer.as_ref().map(Producer::address)
    }

    /// Returns a client of the SQS endpoint.
    #[must_use]
    pub fn sqs(&self) -> &Client {
        &self.sqs
    }

    /// Returns the spans that the OTLP receiver has received.
    #[must_use]
    pub fn spans(&self) -> &SpanStore {
        &self.spans
    }

    /// Returns the function's execution environments.
    #[must_use]
    pub fn lambda(&self) -> &Lambda {
        &self.lambda
    }

    /// Returns a watcher that reports environments that end early from now on.
    #[must_use]
    pub fn watch_function(&self) -> FunctionWatcher {
        FunctionWatcher::new(self.lambda.clone())
    }

    /// Returns the counters of the event source mapping.
    #[must_use]
    pub fn mapping_stats(&self) -> MappingSnapshot {
        self.mapping.stats()
    }

    /// Returns the log of the producer, if a producer runs.
    #[must_use]
    pub fn producer_log(&self) -> Option<&ProcessLog> {
        self.producer.as_ref().map(Producer::log)
    }

    /// Waits until a part of the stack fails.
    pub async fn wait_for_failure(&mut self) -> StackError {
        tokio::select! {
            error = producer_exit(self.producer.as_ref()) => error,
            ended = self.servers.wait_for_exit() => StackError::Server { name: ended.name, reason: ended.reason },
            () = self.mapping.wait() => StackError::Server { name: "the event source mapping", reason: "it stopped unexpectedly".to_owned() },
        }
    }

    /// Stops the producer once it has finished the accepted requests, and waits for its exit.
    pub async fn stop_producer(&self) {
        if let Some(producer) = &self.producer {
            producer.stop().await;
        }
    }

    /// Stops the event source mapping once its pending invocations have finished.
    pub async fn stop_mapping(&mut self) {
        self.mapping.stop().await;
    }

    /// Stops all parts in the order in which messages pass through them. No process is left when it
    /// returns.
    pub async fn stop(mut self) {
        self.stop_producer().await;
        self.stop_mapping().await;
        self.lambda.shutdown().await;
        self.servers.stop().await;
    }
}

async fn producer_exit(producer: Option<&Producer>) -> StackError {
    match producer {
        Some(producer) => producer.wait_for_exit().await,
        None => std::future::pending().await,
    }
}

/// An SQS endpoint without the rest of the stack.
///
/// ```
/// use baton_local::AllowedHosts;
/// use baton_local::stack::{SqsEndpoint, StackError};
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), StackError> {
/// let endpoint = SqsEndpoint::start(0, &AllowedHosts::default()).await?;
/// assert!(endpoint.url().starts_with("http://127.0.0.1:"));
/// endpoint.stop().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct SqsEndpoint {
    urls: SqsUrls,
    servers: Servers,
}

impl SqsEndpoint {
    /// Starts the endpoint on `port`, or on a free port if that is 0. It has no queues yet.
    /// Requests for hosts that are not allowed get 421.
    ///
    /// # Errors
    ///
    /// Fails if the port is in use.
    pub async fn start(port: u16, allowed_hosts: &AllowedHosts) -> Result<Self, StackError> {
        let mut servers = Servers::new();
        let urls = serve_sqs(&mut servers, port, None, allowed_hosts).await?;
        Ok(Self { urls, servers })
    }

    /// Returns the URL of the endpoint.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.urls.actions
    }

    /// Returns the URL of the metrics of the queues.
    #[must_use]
    pub fn metrics_url(&self) -> &str {
        &self.urls.metrics
    }

    /// Returns the variables that a shell needs to use the endpoint, with their values.
    #[must_use]
    pub fn shell_variables(&self) -> Vec<(String, String)> {
        variables::sqs_variables(&self.urls.actions)
    }

    /// Waits until the endpoint fails.
    pub async fn wait_for_failure(&mut self) -> StackError {
        let ended = self.servers.wait_for_exit().await;
        StackError::Server {
            name: ended.name,
            reason: ended.reason,
        }
    }

    /// Stops the endpoint.
    pub async fn stop(mut self) {
        self.servers.stop().await;
    }
}

/// URLs of the SQS endpoint.
#[derive(Debug)]
struct SqsUrls {
    actions: String,
    metrics: String,
}

async fn serve_sqs(
    servers: &mut Servers,
    port: u16,
    metrics_address: Option<SocketAddr>,
    allowed_hosts: &AllowedHosts,
) -> Result<SqsUrls, StackError> {
    let (sqs, actions) = bind("the SQS endpoint", loopback(port)).await?;
    let (metrics, metrics_url) = match metrics_address {
        Some(address) => {
            let (listener, url) = bind("the metrics of the queues", address).await?;
            (Some(listener), url)
        }
        None => (None, actions.clone()),
    };
    let config = SqsConfig {
        region: REGION.to_owned(),
        account_id: ACCOUNT.to_owned(),
        allowed_hosts: allowed_hosts.clone(),
        ..SqsConfig::default()
    };
    servers.spawn(
        "the SQS endpoint",
        sqs::serve(
            Listeners { sqs, metrics },
            config,
            servers.shutdown_signal(),
        ),
    );
    Ok(SqsUrls {
        actions,
        metrics: format!("{metrics_url}/metrics"),
    })
}

async fn serve_otlp(
    servers: &mut Servers,
    ports: Ports,
    receiver: ReceiverConfig,
) -> Result<(String, String), StackError> {
    let (http, http_url) = bind("OTLP over HTTP", loopback(ports.otlp_http)).await?;
    let (grpc, grpc_url) = bind("OTLP over gRPC", loopback(ports.otlp_grpc)).await?;
    servers.spawn(
        "the OTLP receiver (HTTP)",
        otlp::serve_http(http, receiver.clone(), servers.shutdown_signal()),
    );
    servers.spawn(
        "the OTLP receiver (gRPC)",
        otlp::serve_grpc(grpc, receiver, servers.shutdown_signal()),
    );
    Ok((http_url, grpc_url))
}

async fn bind(
    service: &'static str,
    address: SocketAddr,
) -> Result<(TcpListener, String), StackError> {
    let (listener, mut address) = listen(service, address).await?;
    // Clients on this machine cannot rely on an unspecified address, and the host check rejects it.
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    Ok((listener, format!("http://{address}")))
}
