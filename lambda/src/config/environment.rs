//! Configuration from the environment: the variables `BATON_*`, and one that Lambda sets.

use std::num::NonZeroUsize;
use std::time::Duration;

use baton_telemetry::spill::{MAX_LINE_BYTES, MIN_LINE_BYTES};

use super::{ConsumerConfig, Keyword};

/// An environment variable with an invalid value, which prevents the function from starting.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable}: expected {expected}, found {found:?}")]
pub struct InvalidConfig {
    pub(super) variable: &'static str,
    pub(super) expected: &'static str,
    pub(super) found: String,
}

/// Variable with the URL of the dead-letter queue.
pub(crate) const DEAD_LETTER_QUEUE: &str = "BATON_DEAD_LETTER_QUEUE_URL";

/// Variables of `baton-telemetry`, which also reads [`SPILL`] and [`SPILL_LINE_BYTES`]. For an
/// invalid value, `baton-telemetry` uses the default. This crate checks the variables first, so
/// that an invalid value prevents the function from starting.
const BUFFER_BYTES: [&str; 3] = [
    "BATON_SPAN_BUFFER_BYTES",
    "BATON_LOG_BUFFER_BYTES",
    "BATON_METRIC_BUFFER_BYTES",
];
const SPILL: &str = "BATON_SPILL";
const SPILL_LINE_BYTES: &str = "BATON_SPILL_LINE_BYTES";

/// Maximum number of concurrent invocations in an execution environment. Set on Lambda Managed
/// Instances.
const MAX_CONCURRENCY: &str = "AWS_LAMBDA_MAX_CONCURRENCY";

pub(super) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Returns a variable of the process. A value that is not UTF-8 is invalid for all variables and
/// appears in the error with U+FFFD.
pub(super) fn process_variable(name: &str) -> Option<String> {
    Some(std::env::var_os(name)?.to_string_lossy().into_owned())
}

/// Prefix of the names of all variables of this library.
const PREFIX: &str = "BATON_";
/// Prefix of variables of the demonstration functions, such as the faults of the onboarding
/// function.
const DEMO_PREFIX: &str = "BATON_DEMO_";

/// Maximum number of edits between the name of an unknown variable and the one that the warning
/// suggests. The shortest name has five characters after the prefix, so a higher limit would match
/// unrelated variables.
const MAX_EDITS: usize = 3;

/// Configuration that the environment contains.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Environment {
    pub(crate) config: ConsumerConfig,
    pub(crate) dead_letter_queue: Option<String>,
    /// Maximum number of invocations that Lambda sends to this process at the same time.
    pub(crate) max_concurrency: NonZeroUsize,
    /// Unknown variables with the prefix of this library, possibly misspelled.
    pub(crate) unknown: Vec<UnknownVariable>,
}

/// An unknown variable with the prefix of this library.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UnknownVariable {
    pub(crate) name: String,
    /// The known variable with the most similar name, if one is similar.
    pub(crate) suggestion: Option<&'static str>,
}

impl Environment {
    /// Reads the variables `BATON_*`. The error contains all invalid variables.
    pub(crate) fn read() -> Result<Self, Vec<InvalidConfig>> {
        let names = std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned());
        Self::from_lookup(&process_variable, names)
    }

    fn from_lookup(
        lookup: Lookup<'_>,
        names: impl Iterator<Item = String>,
    ) -> Result<Self, Vec<InvalidConfig>> {
        let mut reader = VariableReader {
            lookup,
            known: Vec::new(),
            invalid: Vec::new(),
        };
        let config = read_config(&mut reader);
        let dead_letter_queue = reader.read(DEAD_LETTER_QUEUE, DEAD_LETTER_QUEUE_FORM, |text| {
            cfg!(feature = "dead-letter-queue").then(|| text.to_owned())
        });
        check_telemetry_variables(&mut reader);
        if !reader.invalid.is_empty() {
            return Err(reader.invalid);
        }
        Ok(Self {
            config,
            dead_letter_queue,
            max_concurrency: max_concurrency(lookup),
            unknown: reader.unknown_variables(names),
        })
    }
}

/// Checks the variables that `baton-telemetry` reads.
fn check_telemetry_variables(reader: &mut VariableReader<'_>) {
    for name in BUFFER_BYTES {
        reader.read(name, "a positive integer, in bytes", |text| {
            text.parse::<NonZeroUsize>().ok()
        });
    }
    reader.read(
        SPILL_LINE_BYTES,
        "an integer from 1024 to 262118, in bytes",
        |text| {
            let bytes = text.parse().ok();
            bytes.filter(|bytes| (MIN_LINE_BYTES..=MAX_LINE_BYTES).contains(bytes))
        },
    );
    reader.read(SPILL, "stdout or none", |text| {
        let is = |word| text.eq_ignore_ascii_case(word);
        (is("stdout") || is("none")).then_some(())
    });
}

/// Returns the maximum number of concurrent invocations. A value that is not a number counts as
/// unset, as in `lambda_runtime`.
fn max_concurrency(lookup: Lookup<'_>) -> NonZeroUsize {
    let limit = lookup(MAX_CONCURRENCY).and_then(|limit| limit.parse().ok());
    limit.unwrap_or(NonZeroUsize::MIN)
}

fn read_config(reader: &mut VariableReader<'_>) -> ConsumerConfig {
    let default = ConsumerConfig::default();
    ConsumerConfig {
        concurrency: reader
            .read("BATON_CONCURRENCY", "a positive integer", |text| {
                text.parse().ok()
            })
            .unwrap_or(default.concurrency),
        envelope: reader
            .read_choice("BATON_ENVELOPE", "none, sns or eventbridge")
            .unwrap_or_default(),
        trace_shape: reader
            .read_choice("BATON_TRACE_SHAPE", "continue or batch")
            .unwrap_or_default(),
        flush_point: reader
            .read_choice("BATON_FLUSH_POINT", "before-response or after-response")
            .unwrap_or_default(),
        flush_timeout: reader
            .read_milliseconds("BATON_FLUSH_TIMEOUT")
            .unwrap_or(default.flush_timeout),
        drain_before_deadline: reader.read_milliseconds("BATON_DRAIN_BEFORE_DEADLINE"),
        cancel_before_deadline: reader.read_milliseconds("BATON_CANCEL_BEFORE_DEADLINE"),
        partial_response: reader
            .read_choice("BATON_PARTIAL_RESPONSE", "on or off")
            .unwrap_or_default(),
        all_failed: reader
            .read_choice("BATON_ALL_FAILED", "report or fail-invocation")
            .unwrap_or_default(),
        max_receive_count: reader.read("BATON_MAX_RECEIVE_COUNT", "a positive integer", |text| {
            text.parse().ok()
        }),
        cloudwatch_queue_latency: reader
            .read_choice("BATON_CLOUDWATCH_QUEUE_LATENCY", "on or off")
            .unwrap_or_default(),
        graceful_shutdown: reader
            .read(
                "BATON_GRACEFUL_SHUTDOWN",
                GRACEFUL_SHUTDOWN_FORM,
                parse_graceful_shutdown,
            )
            .unwrap_or_default(),
    }
}

/// Parses `BATON_GRACEFUL_SHUTDOWN`. Without the feature, `on` is an error, because ignoring it
/// would hide that the shutdown is not graceful.
fn parse_graceful_shutdown(text: &str) -> Option<bool> {
    let is_supported = |on: &bool| !on || cfg!(feature = "graceful-shutdown");
    bool::from_keyword(text).filter(is_supported)
}

const GRACEFUL_SHUTDOWN_FORM: &str = if cfg!(feature = "graceful-shutdown") {
    "on or off"
} else {
    "off, because baton-lambda is built without the feature graceful-shutdown"
};
const DEAD_LETTER_QUEUE_FORM: &str = if cfg!(feature = "dead-letter-queue") {
    "the URL of a queue"
} else {
    "it to be unset, because baton-lambda is built without the feature dead-letter-queue"
};

/// Reads variables, and collects the errors.
struct VariableReader<'a> {
    lookup: Lookup<'a>,
    /// Names of the variables that have been read.
    known: Vec<&'static str>,
    invalid: Vec<InvalidConfig>,
}

impl VariableReader<'_> {
    /// Reads a variable and trims its value. An empty value counts as unset.
    fn read<T>(
        &mut self,
        variable: &'static str,
        expected: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        self.known.push(variable);
        let found = (self.lookup)(variable)?.trim().to_owned();
        if found.is_empty() {
            return None;
        }
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

    /// Returns the variables that have the prefix of this library and have not been read.
    fn unknown_variables(&self, names: impl Iterator<Item = String>) -> Vec<UnknownVariable> {
        names
            .filter(|name| name.starts_with(PREFIX) && !name.starts_with(DEMO_PREFIX))
            .filter(|name| !self.known.contains(&name.as_str()))
            .map(|name| UnknownVariable {
                suggestion: self.find_suggestion(&name),
                name,
            })
            .collect()
    }

    fn find_suggestion(&self, name: &str) -> Option<&'static str> {
        let distances = self
            .known
            .iter()
            .map(|known| (strsim::levenshtein(known, name), *known));
        let (distance, known) = distances.min()?;
        (distance <= MAX_EDITS).then_some(known)
    }

    fn read_choice<T: Keyword>(
        &mut self,
        variable: &'static str,
        expected: &'static str,
    ) -> Option<T> {
        self.read(variable, expected, T::from_keyword)
    }

    fn read_milliseconds(&mut self, variable: &'static str) -> Option<Duration> {
        self.read(
            variable,
            "a non-negative integer, in milliseconds",
            |text| text.parse().ok().map(Duration::from_millis),
        )
    }
}

#[cfg(test)]
mod tests;
