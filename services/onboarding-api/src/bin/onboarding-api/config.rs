//! The configuration, read from the environment. All variables are checked before the errors are
//! reported.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use baton_producer::QueueUrl;

const QUEUE_URL: &str = "QUEUE_URL";
const LISTEN_ADDR: &str = "LISTEN_ADDR";
const SHUTDOWN_GRACE_PERIOD: &str = "SHUTDOWN_GRACE_PERIOD";
const SHUTDOWN_TIMEOUT: &str = "SHUTDOWN_TIMEOUT";
const AWS_REGION: &str = "AWS_REGION";

/// All addresses: a container has its own network namespace, and the load balancer connects from
/// outside. On a laptop, use `127.0.0.1:8080`.
const DEFAULT_LISTEN_ADDR: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 8080);

/// Two readiness checks of a load balancer that checks every two seconds. ECS kills a container 30 s
/// after SIGTERM, so this, the shutdown timeout and the last export must be shorter.
const DEFAULT_GRACE_PERIOD: Duration = Duration::from_secs(5);

/// The longest valid request: ten seconds for its body, and five to send it to the queue.
const DEFAULT_SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(15);

/// No orchestrator waits longer than this, so a larger number is a mistake: most likely it is in
/// milliseconds.
const MAX_SHUTDOWN_SECONDS: u64 = 3600;

/// The configuration of the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProcessConfig {
    pub(crate) queue_url: QueueUrl,
    pub(crate) listen_addr: SocketAddr,
    pub(crate) grace_period: Duration,
    pub(crate) shutdown_timeout: Duration,
}

/// A missing or invalid variable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} {reason}; expected {expected}")]
pub(crate) struct InvalidVariable {
    pub(crate) name: &'static str,
    reason: String,
    expected: &'static str,
}

/// Reads the process's environment. `region` is the one that the AWS SDK found, because the SDK has
/// more sources for it than a variable.
///
/// # Errors
///
/// Returns an error for each missing or invalid variable.
pub(crate) fn from_env(region: Option<&str>) -> Result<ProcessConfig, Vec<InvalidVariable>> {
    read(|name| std::env::var_os(name), region)
}

fn read(
    lookup: impl Fn(&str) -> Option<OsString>,
    region: Option<&str>,
) -> Result<ProcessConfig, Vec<InvalidVariable>> {
    let mut invalid = Vec::new();
    let queue_url = ok_or_push(read_queue_url(&lookup), &mut invalid);
    let listen_addr = ok_or_push(read_listen_addr(&lookup), &mut invalid);
    let grace_period = read_seconds(SHUTDOWN_GRACE_PERIOD, DEFAULT_GRACE_PERIOD, &lookup);
    let grace_period = ok_or_push(grace_period, &mut invalid);
    let shutdown_timeout = read_seconds(SHUTDOWN_TIMEOUT, DEFAULT_SHUTDOWN_TIMEOUT, &lookup);
    let shutdown_timeout = ok_or_push(shutdown_timeout, &mut invalid);
    if region.is_none_or(str::is_empty) {
        let variable = Variable {
            name: AWS_REGION,
            expected: "the region of the queue, such as eu-west-1",
        };
        invalid.push(variable.invalid("is not set"));
    }
    match (queue_url, listen_addr, grace_period, shutdown_timeout) {
        (Some(queue_url), Some(listen_addr), Some(grace_period), Some(shutdown_timeout))
            if invalid.is_empty() =>
        {
            Ok(ProcessConfig {
                queue_url,
                listen_addr,
                grace_period,
                shutdown_timeout,
            })
        }
        _ => Err(invalid),
    }
}

fn read_queue_url(lookup: impl Fn(&str) -> Option<OsString>) -> Result<QueueUrl, InvalidVariable> {
    let variable = Variable {
        name: QUEUE_URL,
        expected: "a queue URL such as https://sqs.eu-west-1.amazonaws.com/123456789012/onboarding",
    };
    let value = variable.read(lookup)?;
    let value = value.ok_or_else(|| variable.invalid("is not set"))?;
    QueueUrl::parse(&value).map_err(|error| variable.invalid(format!("is {value:?}: {error}")))
}

fn read_listen_addr(
    lookup: impl Fn(&str) -> Option<OsString>,
) -> Result<SocketAddr, InvalidVariable> {
    let variable = Variable {
        name: LISTEN_ADDR,
        expected: "an IP address and a port, such as 0.0.0.0:8080",
    };
    let Some(value) = variable.read(lookup)? else {
        return Ok(DEFAULT_LISTEN_ADDR);
    };
    value
        .parse()
        .map_err(|_| variable.invalid(format!("is {value:?}")))
}

fn read_seconds(
    name: &'static str,
    default: Duration,
    lookup: impl Fn(&str) -> Option<OsString>,
) -> Result<Duration, InvalidVariable> {
    let variable = Variable {
        name,
        expected: "whole seconds from 0 to 3600",
    };
    let Some(value) = variable.read(lookup)? else {
        return Ok(default);
    };
    let seconds = value
        .parse()
        .ok()
        .filter(|seconds| *seconds <= MAX_SHUTDOWN_SECONDS);
    seconds
        .map(Duration::from_secs)
        .ok_or_else(|| variable.invalid(format!("is {value:?}")))
}

/// A variable and the expected form of its value.
struct Variable {
    name: &'static str,
    expected: &'static str,
}

impl Variable {
    /// Returns the value. An empty value counts as unset, as in many deployments.
    fn read(
        &self,
        lookup: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Option<String>, InvalidVariable> {
        let value = lookup(self.name).filter(|value| !value.is_empty());
        let text = value.map(OsString::into_string).transpose();
        text.map_err(|bytes| self.invalid(format!("is {bytes:?}, which is not UTF-8")))
    }

    fn invalid(&self, reason: impl Into<String>) -> InvalidVariable {
        InvalidVariable {
            name: self.name,
            reason: reason.into(),
            expected: self.expected,
        }
    }
}

/// Returns the value, or adds the error to `invalid`.
fn ok_or_push<T>(
    result: Result<T, InvalidVariable>,
    invalid: &mut Vec<InvalidVariable>,
) -> Option<T> {
    result.map_err(|error| invalid.push(error)).ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;

    const URL: &str = "http://127.0.0.1:9324/000000000000/onboarding";

    fn read_map(
        variables: &[(&str, &str)],
        region: Option<&str>,
    ) -> Result<ProcessConfig, Vec<InvalidVariable>> {
        let lookup = |name: &str| {
            variables
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| OsString::from(value))
        };
        read(lookup, region)
    }

    #[test]
    fn only_the_queue_url_and_the_region_are_required() {
        let config = read_map(&[(QUEUE_URL, URL), (LISTEN_ADDR, "")], Some("eu-west-1")).unwrap();
        assert_eq!(config.queue_url.as_str(), URL);
        assert_eq!(config.listen_addr.to_string(), "0.0.0.0:8080");
        assert_eq!(config.grace_period, Duration::from_secs(5));
        assert_eq!(config.shutdown_timeout, Duration::from_secs(15));
    }

    #[test]
    fn set_variables_override_the_defaults() {
        let variables = [
            (QUEUE_URL, URL),
            (LISTEN_ADDR, "[::1]:0"),
            (SHUTDOWN_TIMEOUT, "7"),
        ];
        let config = read_map(&variables, Some("eu-west-1")).unwrap();
        assert_eq!(config.listen_addr.to_string(), "[::1]:0");
        assert_eq!(config.shutdown_timeout, Duration::from_secs(7));
    }

    #[test]
    fn every_invalid_variable_is_reported_with_its_expected_form() {
        let variables = [
            (QUEUE_URL, "queue"),
            (LISTEN_ADDR, "localhost"),
            (SHUTDOWN_TIMEOUT, "20s"),
        ];
        let messages: Vec<String> = read_map(&variables, None)
            .unwrap_err()
            .iter()
            .map(ToString::to_string)
            .collect();
        for (message, parts) in messages.iter().zip([
            ["QUEUE_URL", "\"queue\"", "https://sqs."],
            ["LISTEN_ADDR", "\"localhost\"", "0.0.0.0:8080"],
            ["SHUTDOWN_TIMEOUT", "\"20s\"", "whole seconds"],
            ["AWS_REGION", "not set", "eu-west-1"],
        ]) {
            assert!(parts.iter().all(|part| message.contains(part)), "{message}");
        }
        assert_eq!(messages.len(), 4);
    }

    #[test]
    fn a_missing_queue_url_and_a_timeout_in_milliseconds_are_errors() {
        let invalid = read_map(&[(SHUTDOWN_TIMEOUT, "20000")], Some("eu-west-1")).unwrap_err();
        assert_eq!(
            invalid
                .iter()
                .map(|variable| variable.name)
                .collect::<Vec<_>>(),
            [QUEUE_URL, SHUTDOWN_TIMEOUT]
        );
    }

    #[test]
    fn a_value_that_is_not_utf_8_is_invalid_and_not_unset() {
        let not_utf_8 = |_: &str| Some(OsString::from_vec(vec![b'a', 0xff]));
        let invalid = read(not_utf_8, Some("eu-west-1")).unwrap_err();
        assert_eq!(invalid.len(), 4);
        let names = [
            QUEUE_URL,
            LISTEN_ADDR,
            SHUTDOWN_GRACE_PERIOD,
            SHUTDOWN_TIMEOUT,
        ];
        for (variable, name) in invalid.iter().zip(names) {
            assert_eq!(variable.name, name);
            assert!(variable.to_string().contains("not UTF-8"), "{variable}");
        }
    }
}
