//! `BATON_*`, and what Lambda sets.

use super::{AllFailed, Config, FlushPoint, PartialResponse, TraceShape};
use std::num::NonZeroUsize;
use std::time::Duration;

/// A variable that cannot be used; the function does not start with it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable}: expected {expected}, found {found:?}")]
pub struct InvalidConfig {
    variable: &'static str,
    expected: &'static str,
    found: String,
}

/// Where messages are moved that no further delivery would help. Read here, used by `dead_letter`.
pub(crate) const DEAD_LETTER_QUEUE: &str = "BATON_DEAD_LETTER_QUEUE_URL";

/// Read by `baton-telemetry`, which would go on with its default where it cannot be used; here such a function does not start.
const SPAN_BUFFER_BYTES: &str = "BATON_SPAN_BUFFER_BYTES";

/// How many invocations run side by side in an execution environment: set on Lambda Managed Instances.
const MAX_CONCURRENCY: &str = "AWS_LAMBDA_MAX_CONCURRENCY";

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

/// What the environment says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Environment {
    pub(crate) config: Config,
    pub(crate) dead_letter_queue: Option<String>,
    /// Whether Lambda runs several invocations side by side in this process.
    pub(crate) is_concurrent: bool,
}

impl Environment {
    /// Reads `BATON_*`; every variable that is wrong is in the error.
    pub(crate) fn read() -> Result<Self, Vec<InvalidConfig>> {
        // What is not UTF-8 is not what any variable takes: it is reported as such, with U+FFFD in it.
        Self::from_lookup(&|name| Some(std::env::var_os(name)?.to_string_lossy().into_owned()))
    }

    fn from_lookup(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, Vec<InvalidConfig>> {
        let mut reader = Reader {
            lookup,
            invalid: Vec::new(),
        };
        let config = config(&mut reader);
        let dead_letter_queue = reader.read(DEAD_LETTER_QUEUE, DEAD_LETTER_QUEUE_FORM, |text| {
            cfg!(feature = "dead-letter-queue").then(|| text.to_owned())
        });
        reader.read(
            SPAN_BUFFER_BYTES,
            "a whole number of bytes from 1",
            |text| text.parse::<NonZeroUsize>().ok(),
        );
        match reader.invalid.is_empty() {
            true => Ok(Self {
                config,
                dead_letter_queue,
                is_concurrent: is_concurrent(lookup),
            }),
            false => Err(reader.invalid),
        }
    }
}

/// As `lambda_runtime` reads it: what is no number is none.
fn is_concurrent(lookup: &dyn Fn(&str) -> Option<String>) -> bool {
    let limit = lookup(MAX_CONCURRENCY).and_then(|limit| limit.parse().ok());
    limit.is_some_and(|limit: u32| limit > 1)
}

fn config(reader: &mut Reader<'_>) -> Config {
    let default = Config::default();
    Config {
        concurrency: reader
            .read("BATON_CONCURRENCY", "a whole number from 1", |text| {
                text.parse().ok()
            })
            .unwrap_or(default.concurrency),
        envelope: reader
            .read("BATON_ENVELOPE", "none, sns or eventbridge", |text| {
                text.parse().ok()
            })
            .unwrap_or_default(),
        trace_shape: reader
            .choice("BATON_TRACE_SHAPE", "continue or batch", TRACE_SHAPES)
            .unwrap_or_default(),
        flush_point: reader
            .choice(
                "BATON_FLUSH_POINT",
                "before-response or after-response",
                FLUSH_POINTS,
            )
            .unwrap_or_default(),
        flush_timeout: reader
            .milliseconds("BATON_FLUSH_TIMEOUT")
            .unwrap_or(default.flush_timeout),
        drain_before_deadline: reader.milliseconds("BATON_DRAIN_BEFORE_DEADLINE"),
        cancel_before_deadline: reader.milliseconds("BATON_CANCEL_BEFORE_DEADLINE"),
        partial_response: reader
            .choice("BATON_PARTIAL_RESPONSE", "on or off", PARTIAL_RESPONSES)
            .unwrap_or_default(),
        all_failed: reader
            .choice("BATON_ALL_FAILED", "report or fail-invocation", ALL_FAILED)
            .unwrap_or_default(),
        max_receive_count: reader.read(
            "BATON_MAX_RECEIVE_COUNT",
            "a whole number from 1",
            |text| text.parse().ok(),
        ),
        graceful_shutdown: reader
            .choice("BATON_GRACEFUL_SHUTDOWN", SWITCH_FORM, SWITCH)
            .unwrap_or_default(),
    }
}

const TRACE_SHAPES: &[(&str, TraceShape)] = &[
    ("continue", TraceShape::Continue),
    ("batch", TraceShape::Batch),
];
const FLUSH_POINTS: &[(&str, FlushPoint)] = &[
    ("before-response", FlushPoint::BeforeResponse),
    ("after-response", FlushPoint::AfterResponse),
];
const PARTIAL_RESPONSES: &[(&str, PartialResponse)] =
    &[("on", PartialResponse::On), ("off", PartialResponse::Off)];
const ALL_FAILED: &[(&str, AllFailed)] = &[
    ("report", AllFailed::Report),
    ("fail-invocation", AllFailed::FailInvocation),
];
/// What needs a feature that is not compiled in must not be asked for: silence would be taken for consent.
const SWITCH: &[(&str, bool)] = match cfg!(feature = "graceful-shutdown") {
    true => &[("on", true), ("off", false)],
    false => &[("off", false)],
};
const SWITCH_FORM: &str = match cfg!(feature = "graceful-shutdown") {
    true => "on or off",
    false => "off, as baton-lambda is built without its feature graceful-shutdown",
};
const DEAD_LETTER_QUEUE_FORM: &str = match cfg!(feature = "dead-letter-queue") {
    true => "the URL of a queue",
    false => "nothing, as baton-lambda is built without its feature dead-letter-queue",
};

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

    fn choice<T: Copy>(
        &mut self,
        variable: &'static str,
        expected: &'static str,
        choices: &[(&str, T)],
    ) -> Option<T> {
        self.read(variable, expected, |text| {
            let chosen = choices.iter().find(|(name, _)| *name == text);
            chosen.map(|(_, value)| *value)
        })
    }

    fn milliseconds(&mut self, variable: &'static str) -> Option<Duration> {
        self.read(variable, "a whole number of milliseconds", |text| {
            text.parse().ok().map(Duration::from_millis)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::Envelope;
    use std::cell::RefCell;
    use std::collections::BTreeSet;

    fn environment(variables: &[(&str, &str)]) -> Result<Environment, Vec<String>> {
        let lookup = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let invalid = |invalid: Vec<InvalidConfig>| {
            invalid.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        Environment::from_lookup(&lookup).map_err(invalid)
    }

    #[test]
    fn variables_override_the_defaults() {
        let default = environment(&[("BATON_CONCURRENCY", "")]).unwrap();
        assert_eq!(default.config, Config::default());
        let set = environment(&[
            ("BATON_CONCURRENCY", "3"),
            ("BATON_ENVELOPE", "sns"),
            ("BATON_TRACE_SHAPE", "batch"),
            ("BATON_FLUSH_POINT", "after-response"),
            ("BATON_FLUSH_TIMEOUT", "250"),
            ("BATON_DRAIN_BEFORE_DEADLINE", "4000"),
            ("BATON_CANCEL_BEFORE_DEADLINE", "2000"),
            ("BATON_PARTIAL_RESPONSE", "off"),
            ("BATON_ALL_FAILED", "fail-invocation"),
            ("BATON_MAX_RECEIVE_COUNT", "5"),
            ("BATON_GRACEFUL_SHUTDOWN", "off"),
        ]);
        let expected = Config {
            concurrency: 3.try_into().unwrap(),
            envelope: Envelope::Sns,
            trace_shape: TraceShape::Batch,
            flush_point: FlushPoint::AfterResponse,
            flush_timeout: Duration::from_millis(250),
            drain_before_deadline: Some(Duration::from_secs(4)),
            cancel_before_deadline: Some(Duration::from_secs(2)),
            partial_response: PartialResponse::Off,
            all_failed: AllFailed::FailInvocation,
            max_receive_count: Some(5.try_into().unwrap()),
            graceful_shutdown: false,
        };
        assert_eq!(set.unwrap().config, expected);
    }

    #[test]
    fn every_variable_is_in_the_documentation_and_no_other() {
        let asked = RefCell::new(BTreeSet::new());
        let lookup = |name: &str| {
            asked.borrow_mut().insert(name.to_owned());
            None
        };
        Environment::from_lookup(&lookup).unwrap();
        let mut asked = asked.into_inner();
        asked.retain(|name| name.starts_with("BATON_"));
        let rows = include_str!("../lib.rs").lines();
        let rows = rows.filter_map(|line| line.strip_prefix("//! | `BATON_")?.split_once('`'));
        let documented: BTreeSet<_> = rows.map(|(name, _)| format!("BATON_{name}")).collect();
        assert_eq!(asked, documented);
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let invalid = environment(&[
            ("BATON_CONCURRENCY", "0"),
            ("BATON_FLUSH_TIMEOUT", "1s"),
            ("BATON_TRACE_SHAPE", "Batch"),
            ("BATON_PARTIAL_RESPONSE", "yes"),
            (SPAN_BUFFER_BYTES, "32 MiB"),
        ]);
        assert_eq!(
            invalid.unwrap_err(),
            [
                "BATON_CONCURRENCY: expected a whole number from 1, found \"0\"",
                "BATON_TRACE_SHAPE: expected continue or batch, found \"Batch\"",
                "BATON_FLUSH_TIMEOUT: expected a whole number of milliseconds, found \"1s\"",
                "BATON_PARTIAL_RESPONSE: expected on or off, found \"yes\"",
                "BATON_SPAN_BUFFER_BYTES: expected a whole number of bytes from 1, found \"32 MiB\"",
            ]
        );
    }

    #[test]
    #[cfg(not(feature = "dead-letter-queue"))]
    fn a_queue_that_nothing_would_be_sent_to_is_refused() {
        let invalid = environment(&[(DEAD_LETTER_QUEUE, "https://sqs.example.com/1/dlq")]);
        let invalid = invalid.unwrap_err();
        assert!(
            invalid[0].contains("built without its feature dead-letter-queue"),
            "{invalid:?}"
        );
    }
}
