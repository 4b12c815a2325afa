//! What the environment says about the consumer: the only place where this crate reads it.

use std::num::NonZeroUsize;
use std::time::Duration;

/// Handlers that run side by side on a standard queue: enough to overlap the waiting of a usual batch of ten.
const DEFAULT_CONCURRENCY: NonZeroUsize = NonZeroUsize::new(10).unwrap();
/// What a broken collector may cost an invocation.
const DEFAULT_FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Everything that can be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Config {
    pub(crate) concurrency: NonZeroUsize,
    pub(crate) flush_timeout: Duration,
    pub(crate) partial_response: PartialResponse,
}

/// Whether the event source mapping has `ReportBatchItemFailures` among its `FunctionResponseTypes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PartialResponse {
    /// It has: failed messages are named in the response, and the others are deleted. **If it has not, AWS ignores the response and
    /// deletes the failed messages too.**
    #[default]
    On,
    /// It has not: one failed message fails the invocation, and all of its messages are delivered again.
    Off,
}

/// A variable or option that cannot be used; the function does not start with it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable}: expected {expected}, found {found:?}")]
pub struct InvalidConfig {
    variable: &'static str,
    expected: &'static str,
    found: String,
}

/// Variables that Lambda sets for every function, and without which the Runtime API cannot be spoken.
const RUNTIME_VARIABLES: [&str; 4] = [
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
];

/// The first of Lambda's own variables that is missing: the program was not started by Lambda or by something that stands in for it.
pub(crate) fn missing_runtime_variable() -> Option<&'static str> {
    RUNTIME_VARIABLES
        .into_iter()
        .find(|name| std::env::var_os(name).is_none())
}

impl Config {
    /// Reads `BATON_*`; every variable that is wrong is in the error.
    pub(crate) fn from_env() -> Result<Self, Vec<InvalidConfig>> {
        // What is not UTF-8 is not what any variable takes: it is reported as such, with U+FFFD in it.
        Self::from_lookup(&|name| Some(std::env::var_os(name)?.to_string_lossy().into_owned()))
    }

    /// The defaults, as they are read from an environment without any of the variables.
    pub(crate) fn of_no_environment() -> Result<Self, Vec<InvalidConfig>> {
        Self::from_lookup(&|_| None)
    }

    fn from_lookup(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, Vec<InvalidConfig>> {
        let mut reader = Reader {
            lookup,
            invalid: Vec::new(),
        };
        let config = Self {
            concurrency: reader
                .read("BATON_CONCURRENCY", "a whole number from 1", |text| {
                    text.parse().ok()
                })
                .unwrap_or(DEFAULT_CONCURRENCY),
            flush_timeout: reader
                .read(
                    "BATON_FLUSH_TIMEOUT",
                    "a whole number of milliseconds",
                    |text| text.parse().ok().map(Duration::from_millis),
                )
                .unwrap_or(DEFAULT_FLUSH_TIMEOUT),
            partial_response: reader
                .read("BATON_PARTIAL_RESPONSE", "on or off", |text| match text {
                    "on" => Some(PartialResponse::On),
                    "off" => Some(PartialResponse::Off),
                    _ => None,
                })
                .unwrap_or_default(),
        };
        match reader.invalid.is_empty() {
            true => Ok(config),
            false => Err(reader.invalid),
        }
    }
}

struct Reader<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    invalid: Vec<InvalidConfig>,
}

impl Reader<'_> {
    /// An empty variable counts as unset.
    fn read<T>(
        &mut self,
        variable: &'static str,
        expected: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let found = (self.lookup)(variable).filter(|text| !text.is_empty())?;
        let value = parse(&found);
        if value.is_none() {
            self.invalid.push(InvalidConfig {
                variable,
                expected,
                found,
            });
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(variables: &[(&str, &str)]) -> Result<Config, Vec<String>> {
        let lookup = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let invalid = |invalid: Vec<InvalidConfig>| {
            invalid.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        Config::from_lookup(&lookup).map_err(invalid)
    }

    #[test]
    fn variables_override_the_defaults() {
        let default = config(&[("BATON_CONCURRENCY", "")]).unwrap();
        assert_eq!(default.concurrency, DEFAULT_CONCURRENCY);
        assert_eq!(default.partial_response, PartialResponse::On);
        let set = config(&[
            ("BATON_CONCURRENCY", "3"),
            ("BATON_FLUSH_TIMEOUT", "250"),
            ("BATON_PARTIAL_RESPONSE", "off"),
        ]);
        let set = set.unwrap();
        assert_eq!(
            (set.concurrency.get(), set.flush_timeout),
            (3, Duration::from_millis(250))
        );
        assert_eq!(set.partial_response, PartialResponse::Off);
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let invalid = config(&[
            ("BATON_CONCURRENCY", "0"),
            ("BATON_PARTIAL_RESPONSE", "yes"),
        ]);
        assert_eq!(
            invalid.unwrap_err(),
            [
                "BATON_CONCURRENCY: expected a whole number from 1, found \"0\"",
                "BATON_PARTIAL_RESPONSE: expected on or off, found \"yes\"",
            ]
        );
    }
}
