//! The configuration, from flags and variables. All values are checked before the errors are
//! reported.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use baton_producer::QueueUrl;
use clap::{Parser, Subcommand};
use onboarding_api::Limits;

use crate::health::Endpoint;

/// All addresses: a container has its own network namespace, and the load balancer connects from
/// outside. On a laptop, use `127.0.0.1:8080`.
const DEFAULT_LISTEN_ADDR: &str = "0.0.0.0:8080";

/// The longest valid request: ten seconds for its body, and five to send it to the queue.
const DEFAULT_REQUEST_TIMEOUT: &str = "15";

/// Long enough for a short outage of SQS. With the ten seconds for a body, it is the time limit of
/// a request.
const DEFAULT_DELIVERY_TIMEOUT: &str = "5";

/// A request that waits for SQS needs about 20 KB. One process handles about 20,000 requests a
/// second, so these are the requests of a fifth of a second.
const DEFAULT_MAX_CONCURRENT_REQUESTS: &str = "4096";

/// The clients of one container (a load balancer or a few services) keep far fewer connections
/// open.
const DEFAULT_MAX_CONNECTIONS: &str = "8192";

/// Two readiness checks of a load balancer that checks every two seconds. ECS kills a container
/// after 30 s, so this, the shutdown timeout and the last export must together be shorter.
const DEFAULT_GRACE_PERIOD: &str = "5";

/// The time limit of a request.
const DEFAULT_SHUTDOWN_TIMEOUT: &str = "15";

/// Profiles reveal the names of functions and threads, so they are not served by default.
const PROFILING_OFF: &str = "off";

/// No orchestrator waits longer than this, so a larger number is a mistake: most likely it is in
/// milliseconds.
const MAX_SECONDS: u32 = 3600;

/// More than the file descriptors and the memory of a container allow.
const MAX_COUNT: u32 = 1_000_000;

const QUEUE_URL: Setting = Setting {
    variable: "QUEUE_URL",
    flag: Some("--queue-url"),
    default: "",
    expected: "a queue URL such as https://sqs.eu-west-1.amazonaws.com/123456789012/onboarding",
};
const LISTEN_ADDR: Setting = Setting {
    variable: "LISTEN_ADDR",
    flag: Some("--listen-addr"),
    default: DEFAULT_LISTEN_ADDR,
    expected: "an IP address and a port, such as 0.0.0.0:8080",
};
const REQUEST_TIMEOUT: Setting = Setting {
    variable: "REQUEST_TIMEOUT",
    flag: Some("--request-timeout"),
    default: DEFAULT_REQUEST_TIMEOUT,
    expected: "whole seconds from 1 to 3600",
};
const DELIVERY_TIMEOUT: Setting = Setting {
    variable: "DELIVERY_TIMEOUT",
    flag: Some("--delivery-timeout"),
    default: DEFAULT_DELIVERY_TIMEOUT,
    expected: "whole seconds from 1 to 3600, less than REQUEST_TIMEOUT",
};
const MAX_CONCURRENT_REQUESTS: Setting = Setting {
    variable: "MAX_CONCURRENT_REQUESTS",
    flag: Some("--max-concurrent-requests"),
    default: DEFAULT_MAX_CONCURRENT_REQUESTS,
    expected: "a number from 1 to 1000000",
};
const MAX_CONNECTIONS: Setting = Setting {
    variable: "MAX_CONNECTIONS",
    flag: Some("--max-connections"),
    default: DEFAULT_MAX_CONNECTIONS,
    expected: "a number from 2 to 1000000, larger than MAX_CONCURRENT_REQUESTS",
};
const SHUTDOWN_GRACE_PERIOD: Setting = Setting {
    variable: "SHUTDOWN_GRACE_PERIOD",
    flag: Some("--shutdown-grace-period"),
    default: DEFAULT_GRACE_PERIOD,
    expected: "whole seconds from 0 to 3600",
};
const SHUTDOWN_TIMEOUT: Setting = Setting {
    variable: "SHUTDOWN_TIMEOUT",
    flag: Some("--shutdown-timeout"),
    default: DEFAULT_SHUTDOWN_TIMEOUT,
    expected: "whole seconds from 0 to 3600",
};
const PROFILING_ADDR: Setting = Setting {
    variable: "PROFILING_ADDR",
    flag: Some("--profiling-addr"),
    default: PROFILING_OFF,
    expected: if cfg!(feature = "profiling") {
        "off, a port on loopback such as 6060, or an IP address and a port such as 127.0.0.1:6060"
    } else {
        "off, because onboarding-api is built without the feature profiling"
    },
};
/// The AWS SDK reads the region, from more sources than a variable.
const AWS_REGION: Setting = Setting {
    variable: "AWS_REGION",
    flag: None,
    default: "",
    expected: "the region of the queue, such as eu-west-1",
};

/// The onboarding API: sends each accepted onboarding to an SQS queue.
///
/// The AWS SDK reads AWS_REGION, AWS_ENDPOINT_URL_SQS and credentials, and the telemetry reads the
/// OTEL_* variables. An empty variable counts as unset.
// The values are read as text and parsed later, because clap reports only the first invalid one.
#[derive(Debug, Parser)]
#[command(name = "onboarding-api", version)]
pub(crate) struct Arguments {
    /// URL of the queue that onboardings are sent to (required)
    #[arg(long, env, hide_env_values = true, value_name = "URL")]
    queue_url: Option<OsString>,
    /// Socket address to listen on
    #[arg(long, env, hide_env_values = true, value_name = "ADDR", default_value = LISTEN_ADDR.default)]
    listen_addr: OsString,
    /// Time limit of a request
    #[arg(long, env, hide_env_values = true, value_name = "SECONDS", default_value = REQUEST_TIMEOUT.default)]
    request_timeout: OsString,
    /// Time for SQS to confirm the message of a request, with all attempts
    #[arg(long, env, hide_env_values = true, value_name = "SECONDS", default_value = DELIVERY_TIMEOUT.default)]
    delivery_timeout: OsString,
    /// Maximum number of requests in progress; further ones get 503
    #[arg(long, env, hide_env_values = true, value_name = "NUMBER", default_value = MAX_CONCURRENT_REQUESTS.default)]
    max_concurrent_requests: OsString,
    /// Maximum number of open connections, beyond which the oldest idle ones are closed
    #[arg(long, env, hide_env_values = true, value_name = "NUMBER", default_value = MAX_CONNECTIONS.default)]
    max_connections: OsString,
    /// Time after SIGTERM in which the service is not ready but still accepts requests
    #[arg(long, env, hide_env_values = true, value_name = "SECONDS", default_value = SHUTDOWN_GRACE_PERIOD.default)]
    shutdown_grace_period: OsString,
    /// Time for accepted requests to finish after the grace period
    #[arg(long, env, hide_env_values = true, value_name = "SECONDS", default_value = SHUTDOWN_TIMEOUT.default)]
    shutdown_timeout: OsString,
    /// Port on loopback, or socket address, that serves CPU profiles (needs the feature profiling)
    #[arg(long, env, hide_env_values = true, value_name = "ADDR", default_value = PROFILING_ADDR.default)]
    profiling_addr: OsString,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// Commands that the process runs instead of the service.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Check the health of the service, for containers without a shell; exits with 0 if it responds
    /// with 200, and with 1 if not
    Health {
        /// URL to request [default: /healthz of the service on LISTEN_ADDR]
        #[arg(value_name = "URL")]
        endpoint: Option<Endpoint>,
    },
}

/// The configuration of the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProcessConfig {
    pub(crate) queue_url: QueueUrl,
    pub(crate) listen_addr: SocketAddr,
    pub(crate) delivery_timeout: Duration,
    pub(crate) limits: Limits,
    pub(crate) grace_period: Duration,
    pub(crate) shutdown_timeout: Duration,
    /// Address of CPU profiles. Without the feature `profiling` it is always `None`.
    pub(crate) profiling_addr: Option<SocketAddr>,
}

/// A missing or invalid value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{setting} {reason}; expected {}", setting.expected)]
pub(crate) struct InvalidSetting {
    setting: Setting,
    reason: String,
}

impl InvalidSetting {
    pub(crate) fn variable(&self) -> &'static str {
        self.setting.variable
    }
}

impl Arguments {
    /// Returns the endpoint to check, if the command is a health check.
    ///
    /// # Errors
    ///
    /// Returns an error if the endpoint is that of the service and its address is invalid.
    pub(crate) fn health_check(&self) -> Option<Result<Endpoint, InvalidSetting>> {
        let Command::Health { endpoint } = self.command.as_ref()?;
        let service = || parse_listen_addr(self.listen_addr.clone()).map(Endpoint::healthz);
        Some(endpoint.clone().map_or_else(service, Ok))
    }

    /// Parses the values. `region` is the one that the AWS SDK found.
    ///
    /// # Errors
    ///
    /// Returns an error for each missing or invalid value.
    pub(crate) fn parse_values(
        self,
        region: Option<&str>,
    ) -> Result<ProcessConfig, Vec<InvalidSetting>> {
        let mut invalid = InvalidSettings::default();
        let queue_url = invalid.ok_or_push(parse_queue_url(self.queue_url.unwrap_or_default()));
        let listen_addr = invalid.ok_or_push(parse_listen_addr(self.listen_addr));
        let request_timeout = REQUEST_TIMEOUT.parse_number(self.request_timeout, 1..=MAX_SECONDS);
        let request_timeout = invalid.ok_or_push(request_timeout);
        let delivery_timeout = parse_delivery_timeout(self.delivery_timeout, request_timeout);
        let delivery_timeout = invalid.ok_or_push(delivery_timeout);
        let max_concurrent_requests =
            MAX_CONCURRENT_REQUESTS.parse_number(self.max_concurrent_requests, 1..=MAX_COUNT);
        let max_concurrent_requests = invalid.ok_or_push(max_concurrent_requests);
        let max_connections = self.max_connections;
        let max_connections = parse_max_connections(max_connections, max_concurrent_requests);
        let max_connections = invalid.ok_or_push(max_connections);
        let grace_period =
            SHUTDOWN_GRACE_PERIOD.parse_number(self.shutdown_grace_period, 0..=MAX_SECONDS);
        let grace_period = invalid.ok_or_push(grace_period);
        let shutdown_timeout =
            SHUTDOWN_TIMEOUT.parse_number(self.shutdown_timeout, 0..=MAX_SECONDS);
        let shutdown_timeout = invalid.ok_or_push(shutdown_timeout);
        let profiling_addr = invalid.ok_or_push(parse_profiling_addr(self.profiling_addr));
        if region.is_none_or(str::is_empty) {
            invalid.0.push(AWS_REGION.invalid("is not set"));
        }
        // A value is missing only if its error is in the list.
        let config = || {
            Some(ProcessConfig {
                queue_url: queue_url?,
                listen_addr: listen_addr?,
                delivery_timeout: seconds(delivery_timeout?),
                limits: Limits {
                    max_connections: max_connections? as usize,
                    max_concurrent_requests: max_concurrent_requests? as usize,
                    request_timeout: seconds(request_timeout?),
                },
                grace_period: seconds(grace_period?),
                shutdown_timeout: seconds(shutdown_timeout?),
                profiling_addr: profiling_addr?,
            })
        };
        match config() {
            Some(config) if invalid.0.is_empty() => Ok(config),
            _ => Err(invalid.0),
        }
    }
}

fn seconds(number: u32) -> Duration {
    Duration::from_secs(number.into())
}

fn parse_queue_url(value: OsString) -> Result<QueueUrl, InvalidSetting> {
    let value = QUEUE_URL.text(value)?;
    if value.is_empty() {
        return Err(QUEUE_URL.invalid("is not set"));
    }
    QueueUrl::parse(&value).map_err(|error| QUEUE_URL.invalid(format!("is {value:?}: {error}")))
}

fn parse_listen_addr(value: OsString) -> Result<SocketAddr, InvalidSetting> {
    let value = LISTEN_ADDR.text(value)?;
    let address = value.parse();
    address.map_err(|_| LISTEN_ADDR.invalid(format!("is {value:?}")))
}

/// Parses the address of CPU profiles. A port alone means loopback.
fn parse_profiling_addr(value: OsString) -> Result<Option<SocketAddr>, InvalidSetting> {
    let value = PROFILING_ADDR.text(value)?;
    if value == PROFILING_OFF {
        return Ok(None);
    }
    let port = value
        .parse()
        .map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    match port.or_else(|_| value.parse()) {
        Ok(address) if cfg!(feature = "profiling") => Ok(Some(address)),
        _ => Err(PROFILING_ADDR.invalid(format!("is {value:?}"))),
    }
}

/// Parses the delivery timeout. A request that timed out first would not report the error of SQS.
fn parse_delivery_timeout(
    value: OsString,
    request_timeout: Option<u32>,
) -> Result<u32, InvalidSetting> {
    let timeout = DELIVERY_TIMEOUT.parse_number(value, 1..=MAX_SECONDS)?;
    match request_timeout {
        Some(request_timeout) if timeout >= request_timeout => Err(DELIVERY_TIMEOUT.invalid(
            format!("is {timeout}, and REQUEST_TIMEOUT is {request_timeout}"),
        )),
        _ => Ok(timeout),
    }
}

/// Parses the maximum number of connections. If each of them could have a request in progress,
/// there would be none to close when a health check connects.
fn parse_max_connections(
    value: OsString,
    max_concurrent_requests: Option<u32>,
) -> Result<u32, InvalidSetting> {
    let maximum = MAX_CONNECTIONS.parse_number(value, 2..=MAX_COUNT)?;
    match max_concurrent_requests {
        Some(requests) if requests >= maximum => Err(MAX_CONNECTIONS.invalid(format!(
            "is {maximum}, and MAX_CONCURRENT_REQUESTS is {requests}"
        ))),
        _ => Ok(maximum),
    }
}

/// A setting and the expected form of its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Setting {
    variable: &'static str,
    flag: Option<&'static str>,
    /// Empty if there is none.
    default: &'static str,
    expected: &'static str,
}

impl Setting {
    /// Returns the value as text, or the default if it is empty: deployments often set variables to
    /// empty values.
    fn text(self, value: OsString) -> Result<String, InvalidSetting> {
        if value.is_empty() {
            return Ok(self.default.to_owned());
        }
        let text = value.into_string();
        text.map_err(|bytes| self.invalid(format!("is {bytes:?}, which is not UTF-8")))
    }

    fn parse_number(
        self,
        value: OsString,
        range: RangeInclusive<u32>,
    ) -> Result<u32, InvalidSetting> {
        let value = self.text(value)?;
        let number = value.parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| self.invalid(format!("is {value:?}")))
    }

    fn invalid(self, reason: impl Into<String>) -> InvalidSetting {
        InvalidSetting {
            setting: self,
            reason: reason.into(),
        }
    }
}

impl std::fmt::Display for Setting {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.variable)?;
        match self.flag {
            Some(flag) => write!(formatter, " ({flag})"),
            None => Ok(()),
        }
    }
}

/// The errors that were found so far.
#[derive(Debug, Default)]
struct InvalidSettings(Vec<InvalidSetting>);

impl InvalidSettings {
    /// Returns the value, or keeps the error.
    fn ok_or_push<T>(&mut self, result: Result<T, InvalidSetting>) -> Option<T> {
        result.map_err(|error| self.0.push(error)).ok()
    }
}

#[cfg(test)]
mod tests;
