//! The configuration, from flags and variables. All values are checked before the errors are
//! reported.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::time::Duration;

use baton_producer::QueueUrl;
use clap::Parser;

/// All addresses: a container has its own network namespace, and the load balancer connects from
/// outside. On a laptop, use `127.0.0.1:8080`.
const DEFAULT_LISTEN_ADDR: &str = "0.0.0.0:8080";

/// Two readiness checks of a load balancer that checks every two seconds. ECS kills a container 30 s
/// after SIGTERM, so this, the shutdown timeout and the last export must be shorter.
const DEFAULT_GRACE_PERIOD: &str = "5";

/// The longest valid request: ten seconds for its body, and five to send it to the queue.
const DEFAULT_SHUTDOWN_TIMEOUT: &str = "15";

/// No orchestrator waits longer than this, so a larger number is a mistake: most likely it is in
/// milliseconds.
const MAX_SECONDS: u64 = 3600;

const QUEUE_URL: Setting = Setting {
    variable: "QUEUE_URL",
    flag: Some("--queue-url"),
    expected: "a queue URL such as https://sqs.eu-west-1.amazonaws.com/123456789012/onboarding",
};
const LISTEN_ADDR: Setting = Setting {
    variable: "LISTEN_ADDR",
    flag: Some("--listen-addr"),
    expected: "an IP address and a port, such as 0.0.0.0:8080",
};
const SHUTDOWN_GRACE_PERIOD: Setting = Setting {
    variable: "SHUTDOWN_GRACE_PERIOD",
    flag: Some("--shutdown-grace-period"),
    expected: "whole seconds from 0 to 3600",
};
const SHUTDOWN_TIMEOUT: Setting = Setting {
    variable: "SHUTDOWN_TIMEOUT",
    flag: Some("--shutdown-timeout"),
    expected: "whole seconds from 0 to 3600",
};
/// The AWS SDK reads the region, from more sources than a variable.
const AWS_REGION: Setting = Setting {
    variable: "AWS_REGION",
    flag: None,
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
    #[arg(long, env, hide_env_values = true, value_name = "ADDR", default_value = DEFAULT_LISTEN_ADDR)]
    listen_addr: OsString,
    /// Time after SIGTERM in which the service is not ready but still accepts requests
    #[arg(long, env, hide_env_values = true, value_name = "SECONDS", default_value = DEFAULT_GRACE_PERIOD)]
    shutdown_grace_period: OsString,
    /// Time for accepted requests to finish after the grace period
    #[arg(long, env, hide_env_values = true, value_name = "SECONDS", default_value = DEFAULT_SHUTDOWN_TIMEOUT)]
    shutdown_timeout: OsString,
}

/// The configuration of the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProcessConfig {
    pub(crate) queue_url: QueueUrl,
    pub(crate) listen_addr: SocketAddr,
    pub(crate) grace_period: Duration,
    pub(crate) shutdown_timeout: Duration,
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
    /// Parses the values. `region` is the one that the AWS SDK found.
    ///
    /// # Errors
    ///
    /// Returns an error for each missing or invalid value.
    pub(crate) fn parse_values(
        self,
        region: Option<&str>,
    ) -> Result<ProcessConfig, Vec<InvalidSetting>> {
        let mut invalid = Invalid::default();
        let queue_url = self.queue_url.unwrap_or_default();
        let queue_url = invalid.ok_or_push(parse_queue_url(queue_url));
        let listen_addr = invalid.ok_or_push(parse_listen_addr(self.listen_addr));
        let grace_period = invalid.ok_or_push(
            SHUTDOWN_GRACE_PERIOD.parse_seconds(self.shutdown_grace_period, DEFAULT_GRACE_PERIOD),
        );
        let shutdown_timeout = invalid.ok_or_push(
            SHUTDOWN_TIMEOUT.parse_seconds(self.shutdown_timeout, DEFAULT_SHUTDOWN_TIMEOUT),
        );
        if region.is_none_or(str::is_empty) {
            invalid.0.push(AWS_REGION.invalid("is not set"));
        }
        // A value is missing only if its error is in the list.
        let config = || {
            Some(ProcessConfig {
                queue_url: queue_url?,
                listen_addr: listen_addr?,
                grace_period: grace_period?,
                shutdown_timeout: shutdown_timeout?,
            })
        };
        match config() {
            Some(config) if invalid.0.is_empty() => Ok(config),
            _ => Err(invalid.0),
        }
    }
}

fn parse_queue_url(value: OsString) -> Result<QueueUrl, InvalidSetting> {
    let value = QUEUE_URL.text(value, "")?;
    if value.is_empty() {
        return Err(QUEUE_URL.invalid("is not set"));
    }
    QueueUrl::parse(&value).map_err(|error| QUEUE_URL.invalid(format!("is {value:?}: {error}")))
}

fn parse_listen_addr(value: OsString) -> Result<SocketAddr, InvalidSetting> {
    let value = LISTEN_ADDR.text(value, DEFAULT_LISTEN_ADDR)?;
    let address = value.parse();
    address.map_err(|_| LISTEN_ADDR.invalid(format!("is {value:?}")))
}

/// A setting and the expected form of its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Setting {
    variable: &'static str,
    flag: Option<&'static str>,
    expected: &'static str,
}

impl Setting {
    /// Returns the value as text, or `default` if it is empty: deployments often set variables to
    /// empty values.
    fn text(self, value: OsString, default: &str) -> Result<String, InvalidSetting> {
        if value.is_empty() {
            return Ok(default.to_owned());
        }
        let text = value.into_string();
        text.map_err(|bytes| self.invalid(format!("is {bytes:?}, which is not UTF-8")))
    }

    fn parse_seconds(self, value: OsString, default: &str) -> Result<Duration, InvalidSetting> {
        let value = self.text(value, default)?;
        let seconds = value.parse().ok();
        seconds
            .filter(|seconds| *seconds <= MAX_SECONDS)
            .map(Duration::from_secs)
            .ok_or_else(|| self.invalid(format!("is {value:?}")))
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
struct Invalid(Vec<InvalidSetting>);

impl Invalid {
    /// Returns the value, or keeps the error.
    fn ok_or_push<T>(&mut self, result: Result<T, InvalidSetting>) -> Option<T> {
        result.map_err(|error| self.0.push(error)).ok()
    }
}

#[cfg(test)]
mod tests;
