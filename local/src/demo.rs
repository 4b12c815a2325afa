//! The demonstration: real requests through the whole pipeline, what became of each, and whether
//! that is exactly what must become of it.
//!
//! `scenario` says what is sent and what must come of it; `run` sends it, waits, and gathers what
//! can be seen from outside; `message_trace` and `tree` find each message's way in the spans that
//! arrived; `checks` compares; `report` prints.

use std::fmt;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use self::checks::CheckResult;
use self::message_trace::MessageTrace;
use self::scenario::{Onboarding, OnboardingKind};
use self::text::StyledLine;
use crate::AllowedHosts;
use crate::environment::Freeze;
use crate::otlp::{Metric, Span};
use crate::stack::{
    Config, FunctionWatcher, HttpError, Logging, Ports, QueueConfig, QueueName, Stack, StackError,
};

mod checks;
mod dead_letters;
mod keys;
mod message_trace;
mod report;
mod requests;
mod run;
mod scenario;
mod span_counts;
mod text;
mod tree;

pub use self::text::Width;

/// Messages in a batch: so few that a dozen makes several batches, in two environments at once.
const BATCH_SIZE: NonZeroUsize = NonZeroUsize::new(5).expect("not zero");
/// How long a batch is gathered: longer than the requests need to arrive, so that batches fill.
const BATCHING_WINDOW: Duration = Duration::from_millis(300);
/// Environments at once.
const CONCURRENCY: NonZeroUsize = NonZeroUsize::new(2).expect("not zero");
/// Deliveries before a message is given up; a usual number.
const MAX_RECEIVE_COUNT: NonZeroU32 = NonZeroU32::new(3).expect("not zero");
/// How long a failed message stays hidden. The poison is hidden three times, so this decides how
/// long the demo takes; a busy machine still starts an environment and handles a batch within it.
const VISIBILITY_TIMEOUT: Duration = Duration::from_secs(3);
/// As long as AWS allows beside that visibility timeout.
const FUNCTION_TIMEOUT: Duration = VISIBILITY_TIMEOUT;
/// Longer than the demo takes: environments are killed when it says so.
const IDLE_AFTER: Duration = Duration::from_secs(600);

/// A started stack and the messages that will be sent through it.
#[derive(Debug)]
pub struct Demo {
    stack: Stack,
    watch: FunctionWatcher,
    onboardings: Vec<Onboarding>,
}

/// What the demo is at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DemoProgress {
    /// Something begins that takes a while.
    Started(String),
    /// Something was done.
    Done(String),
    /// Something did not happen in time; the report will tell what.
    TimedOut(String),
}

/// Why the demo could not be played to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DemoError {
    /// A part of the stack ended.
    #[error("the stack broke down")]
    Stack(#[from] StackError),
    /// The stack was started without a producer.
    #[error(
        "cannot play the demo: the stack was started without the producer that takes its requests"
    )]
    NoProducer,
    /// The producer did not answer.
    #[error("the onboarding of {customer_id} was not answered")]
    Request {
        /// Whose.
        customer_id: String,
        /// Why.
        source: HttpError,
    },
    /// The producer answered, but not as it must.
    #[error(
        "the onboarding of {customer_id} was answered {answer}, expected 202 with message_id and trace_id"
    )]
    Refused {
        /// Whose.
        customer_id: String,
        /// Status and body.
        answer: String,
    },
    /// The function failed a message that it has no reason to fail.
    #[error("the function failed {customer_id}, an ordinary onboarding, with {error_type:?}")]
    OrdinaryFailed {
        /// Whose.
        customer_id: String,
        /// The `error.type` of the span that says so.
        error_type: String,
    },
    /// The dead-letter queue could not be read.
    #[error("cannot read the dead-letter queue: {reason}")]
    DeadLetters {
        /// What the SDK said.
        reason: String,
    },
}

/// What the demo found.
#[derive(Clone, Debug)]
pub struct DemoReport {
    traces: Vec<(MessageTrace, OnboardingKind)>,
    batches: Vec<Arc<Span>>,
    metrics: Vec<Metric>,
    result: CheckResult,
}

impl DemoReport {
    /// Whether everything is exactly as it must be.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.result.passed()
    }

    /// Lays it out: with escape codes when printed, or without them in the alternate form (`{:#}`).
    #[must_use]
    pub fn display(&self, width: Width) -> impl fmt::Display {
        let mut lines = report::traces(&self.traces, width);
        lines.extend(report::batches(&self.batches, &self.traces, width));
        lines.extend(report::metrics(&self.metrics, width));
        lines.extend(report::summary(&self.result, width));
        StyledLines(lines)
    }
}

struct StyledLines(Vec<StyledLine>);

impl fmt::Display for StyledLines {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.0 {
            line.fmt(formatter)?;
            formatter.write_str("\n")?;
        }
        Ok(())
    }
}

impl Demo {
    /// Starts the stack with these binaries; the function is told which messages to mishandle.
    ///
    /// # Errors
    /// When the stack does not start.
    pub async fn start(function: PathBuf, producer: PathBuf) -> Result<Self, StackError> {
        let onboardings = scenario::onboardings();
        let config = Config {
            function,
            producer: Some(producer),
            ports: Ports::default(),
            queue: QueueConfig {
                name: QueueName::default(),
                visibility_timeout: VISIBILITY_TIMEOUT,
                max_receive_count: MAX_RECEIVE_COUNT,
            },
            batch_size: BATCH_SIZE,
            batching_window: BATCHING_WINDOW,
            concurrency: CONCURRENCY,
            function_timeout: FUNCTION_TIMEOUT,
            idle_after: IDLE_AFTER,
            freeze: Freeze::BetweenInvocations,
            faults: scenario::faults(&onboardings),
            variables: Vec::new(),
            logging: Logging::SpanCounts,
            allowed_hosts: AllowedHosts::default(),
        };
        let stack = Stack::start(config).await?;
        let watch = stack.watch_function();
        Ok(Self {
            stack,
            watch,
            onboardings,
        })
    }

    /// Stops what is still running. No process is left when it returns.
    pub async fn stop(self) {
        self.stack.stop().await;
    }
}

#[cfg(test)]
mod samples;
