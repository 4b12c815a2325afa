//! Command-line options, and their conversion to a [`StackConfig`].

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use self::env_file::EnvFile;
use super::duration;
use crate::environment::Freeze;
use crate::stack::{
    FUNCTION, Fault, Logging, PRODUCER, Ports, QueueConfig, QueueName, StackConfig, program_name,
};
use crate::{AllowedHosts, HostName};

mod combinations;
mod env_file;

pub(super) use self::combinations::{CheckedStackOptions, with_inline_default};

/// Maximum batch size of a standard queue on AWS.
const MAX_BATCH_SIZE: usize = 10_000;
/// Maximum batching window on AWS.
const MAX_BATCHING_WINDOW: Duration = Duration::from_secs(300);
/// Maximum timeout of a function on Lambda.
const MAX_FUNCTION_TIMEOUT: Duration = Duration::from_secs(15 * 60);
/// Maximum visibility timeout of SQS.
const MAX_VISIBILITY_TIMEOUT: Duration = Duration::from_secs(12 * 60 * 60);

/// Heading of the options for binaries.
pub(super) const BINARIES: &str = "Binaries (built with cargo unless given)";

/// Options for the binaries.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = BINARIES)]
pub(super) struct Binaries {
    /// Function: any binary that speaks the Lambda Runtime API
    #[arg(long, value_name = "PATH")]
    pub(super) function: Option<PathBuf>,
    /// Producer: a binary that reads the variables of onboarding-api, logs a line of JSON with the
    /// message "listening" and the field address, and responds to GET /readyz with 200 when it is
    /// ready
    #[arg(long, value_name = "PATH")]
    pub(super) producer: Option<PathBuf>,
    /// Do not start a producer. This is the default if --function is not onboarding-lambda, because
    /// another function would not understand the producer's messages
    #[arg(long, conflicts_with_all = ["producer", "producer_port"])]
    pub(super) no_producer: bool,
}

impl Binaries {
    /// Returns true if the function is the onboarding function: built here, or given under its file
    /// name.
    pub(super) fn is_onboarding(&self) -> bool {
        self.function
            .as_ref()
            .is_none_or(|path| program_name(path) == FUNCTION.name())
    }

    /// Returns true if a producer is started.
    pub(super) fn has_producer(&self) -> bool {
        self.producer.is_some() || (self.is_onboarding() && !self.no_producer)
    }

    /// Returns true if the onboarding API is started as the producer: built here, or given under
    /// its file name.
    pub(super) fn has_onboarding_api(&self) -> bool {
        let is_onboarding_api = |path: &PathBuf| program_name(path) == PRODUCER.name();
        self.has_producer() && self.producer.as_ref().is_none_or(is_onboarding_api)
    }
}

/// Options for the listeners.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Ports on 127.0.0.1 (default: a free port) and host names")]
pub(super) struct ListenOptions {
    /// Port of the SQS endpoint
    #[arg(
        long,
        value_name = "PORT",
        default_value_t = 0,
        hide_default_value = true
    )]
    pub(super) sqs_port: u16,
    /// Port of the producer's API
    #[arg(
        long,
        value_name = "PORT",
        default_value_t = 0,
        hide_default_value = true
    )]
    pub(super) producer_port: u16,
    /// Port of the OTLP receiver over HTTP
    #[arg(
        long,
        value_name = "PORT",
        default_value_t = 0,
        hide_default_value = true
    )]
    otlp_http_port: u16,
    /// Port of the OTLP receiver over gRPC
    #[arg(
        long,
        value_name = "PORT",
        default_value_t = 0,
        hide_default_value = true
    )]
    otlp_grpc_port: u16,
    /// Also serve the metrics of the queues, and nothing else, at this address, e.g. 0.0.0.0:9325
    /// for a Prometheus in another container; --allow-host must then contain the host name that it
    /// connects to. The SQS endpoint always serves the metrics at /metrics
    #[arg(long, value_name = "IP:PORT", value_parser = socket_address)]
    metrics_address: Option<SocketAddr>,
    /// Also accept requests for this host name at the SQS endpoint, the OTLP receiver and
    /// --metrics-address, e.g. host.docker.internal; may be repeated. All of them always accept
    /// localhost, *.localhost and loopback addresses, and the SQS endpoint also accepts SQS's names
    /// on AWS. Other names are rejected, as protection against DNS rebinding by web pages
    #[arg(long, value_name = "NAME")]
    allow_host: Vec<HostName>,
}

/// Options for the queue, the event source mapping and the function.
#[derive(Clone, Debug, Args)]
#[command(
    next_help_heading = "Queue, event source mapping and function (TIME: 500ms, 3s, 2m, or seconds)"
)]
pub(super) struct StackOptions {
    /// Name of the queue; its dead-letter queue is NAME-dlq
    #[arg(long, value_name = "NAME", default_value = "onboarding")]
    queue: QueueName,
    /// Maximum number of messages in a batch; more than 10 require a batching window
    #[arg(long, value_name = "N", default_value = "10", value_parser = batch_size)]
    batch_size: NonZeroUsize,
    /// Maximum time for which a batch is gathered
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = batching_window)]
    batching_window: Duration,
    /// Maximum number of concurrent invocations, each in its own environment
    #[arg(long, value_name = "N", default_value = "2", value_parser = concurrency)]
    concurrency: NonZeroUsize,
    /// Time limit of an invocation
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = function_timeout)]
    function_timeout: Duration,
    /// Time for which a received message stays hidden; at least the function's timeout
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = visibility_timeout)]
    visibility_timeout: Duration,
    /// Number of deliveries after which a message goes to the dead-letter queue
    #[arg(long, value_name = "N", default_value = "3", value_parser = receive_count)]
    max_receive_count: NonZeroU32,
    /// Idle time after which an environment is killed
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = duration::parse)]
    idle_after: Duration,
    /// Let environments run between invocations, unlike Lambda
    #[arg(long)]
    no_freeze: bool,
    /// Variable for the function, in addition to those that Lambda sets; may be repeated. It
    /// overrides the stack's own variable of the same name. If an OTLP endpoint is given, the stack
    /// does not set OTEL_EXPORTER_OTLP_PROTOCOL. SDKs in the function use the stack's SQS endpoint,
    /// which reads only the path of a queue URL. The URL of the dead-letter queue therefore needs
    /// no port: http://127.0.0.1/000000000000/onboarding-dlq, or …/NAME-dlq with --queue NAME
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    env: Vec<(String, String)>,
    /// File of variables for the function, one NAME=VALUE per line. Lines may begin with export, #
    /// begins a comment, and values with spaces or line breaks need single or double quotes.
    /// Variables are not expanded: $HOME stays as it is. May be repeated; --env takes precedence
    #[arg(long, value_name = "FILE", value_parser = env_file::read)]
    env_file: Vec<EnvFile>,
    /// Make the onboarding function fail: comma-separated KIND=CUSTOMER_ID, with KIND fail-once,
    /// panic or slow. PREFIX* instead of an id means all ids with that prefix
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub(super) faults: Vec<Fault>,
}

/// Paths of the binaries to run.
#[derive(Clone, Debug)]
pub(super) struct Paths {
    pub(super) function: PathBuf,
    pub(super) producer: Option<PathBuf>,
}

impl ListenOptions {
    pub(super) fn allowed_hosts(&self) -> AllowedHosts {
        AllowedHosts::new(self.allow_host.clone())
    }

    fn ports(&self) -> Ports {
        Ports {
            sqs: self.sqs_port,
            producer: self.producer_port,
            otlp_http: self.otlp_http_port,
            otlp_grpc: self.otlp_grpc_port,
        }
    }
}

impl StackOptions {
    pub(super) fn config(self, paths: Paths, listeners: &ListenOptions) -> StackConfig {
        StackConfig {
            function: paths.function,
            producer: paths.producer,
            ports: listeners.ports(),
            queue: QueueConfig {
                name: self.queue,
                visibility_timeout: self.visibility_timeout,
                max_receive_count: self.max_receive_count,
            },
            batch_size: self.batch_size,
            batching_window: self.batching_window,
            concurrency: self.concurrency,
            function_timeout: self.function_timeout,
            idle_after: self.idle_after,
            freeze: if self.no_freeze {
                Freeze::Never
            } else {
                Freeze::BetweenInvocations
            },
            variables: variables(self.env_file, self.env),
            faults: self.faults,
            logging: Logging::Default,
            allowed_hosts: listeners.allowed_hosts(),
            metrics_address: listeners.metrics_address,
        }
    }
}

/// Returns all variables for the function. Of several with the same name, the last one wins.
fn variables(files: Vec<EnvFile>, given: Vec<(String, String)>) -> Vec<(String, String)> {
    let file_variables = files.into_iter().flat_map(|file| file.variables);
    file_variables.chain(given).collect()
}

/// Parses a batch size: 1 to 10,000.
fn batch_size(text: &str) -> Result<NonZeroUsize, String> {
    let size = text
        .parse()
        .ok()
        .filter(|size: &NonZeroUsize| size.get() <= MAX_BATCH_SIZE);
    size.ok_or_else(|| format!("expected a number from 1 to {MAX_BATCH_SIZE}"))
}

fn socket_address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse()
        .map_err(|_| "expected an IP address and a port, such as 127.0.0.1:9325")
}

fn concurrency(text: &str) -> Result<NonZeroUsize, &'static str> {
    text.parse().map_err(|_| "expected a positive integer")
}

fn batching_window(text: &str) -> Result<Duration, String> {
    let window = duration::parse(text).map_err(|error| error.to_string())?;
    if window > MAX_BATCHING_WINDOW {
        return Err("expected 300s or less".to_owned());
    }
    Ok(window)
}

fn function_timeout(text: &str) -> Result<Duration, String> {
    let timeout = duration::parse(text).map_err(|error| error.to_string())?;
    if timeout.is_zero() || timeout > MAX_FUNCTION_TIMEOUT {
        return Err("expected more than 0s, and 15m or less".to_owned());
    }
    Ok(timeout)
}

fn visibility_timeout(text: &str) -> Result<Duration, String> {
    let timeout = duration::parse(text).map_err(|error| error.to_string())?;
    if timeout.subsec_nanos() > 0 || timeout > MAX_VISIBILITY_TIMEOUT {
        return Err("expected whole seconds, and 720m (12 hours) or less".to_owned());
    }
    Ok(timeout)
}

/// Parses a receive count: 1 to 1,000, as SQS allows.
fn receive_count(text: &str) -> Result<NonZeroU32, String> {
    let count = text
        .parse()
        .ok()
        .filter(|count: &NonZeroU32| count.get() <= 1_000);
    count.ok_or_else(|| "expected a number from 1 to 1000".to_owned())
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}
