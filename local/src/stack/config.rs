//! What the caller decides about the stack.

use std::fmt;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::{AllowedHosts, sqs};

/// Default name of the function's source queue.
pub(super) const ONBOARDING_QUEUE: &str = "onboarding";
/// Suffix of the dead-letter queue's name.
pub(super) const DEAD_LETTER_SUFFIX: &str = "-dlq";
/// Name of the onboarding function, as in its ARN. Other functions have the name of their file.
pub(super) const ONBOARDING_FUNCTION: &str = "onboarding";
/// The region in every ARN.
pub(super) const REGION: &str = "us-east-1";
/// The account in every ARN: obviously nobody's.
pub(super) const ACCOUNT: &str = "000000000000";
/// Access key and secret, which nobody checks here.
pub(super) const CREDENTIALS: &str = "test";

/// The longest customer id, as the producer and the function have it.
const MAX_CUSTOMER_ID: usize = 64;

/// Configuration of the whole stack.
#[derive(Clone, Debug)]
pub struct Config {
    /// The function: any binary that speaks the Lambda Runtime API.
    pub function: PathBuf,
    /// The producer, if one is to run: a binary that reads the same variables as `onboarding-api`.
    pub producer: Option<PathBuf>,
    /// On which ports to listen.
    pub ports: Ports,
    /// The queue's settings.
    pub queue: QueueConfig,
    /// How many messages a batch may have.
    pub batch_size: NonZeroUsize,
    /// How long a batch may be gathered.
    pub batching_window: Duration,
    /// How many batches are handled at once, each in an environment of its own.
    pub concurrency: NonZeroUsize,
    /// How long an invocation may take.
    pub function_timeout: Duration,
    /// How long an environment may idle before it is killed without warning.
    pub idle_after: Duration,
    /// Whether environments are stopped between invocations, as Lambda does it.
    pub freeze: crate::environment::Freeze,
    /// Variables that the function gets on top of those of Lambda and of the stack; they win over
    /// the latter.
    pub variables: Vec<(String, String)>,
    /// The faults that the function is told to commit.
    pub faults: Vec<Fault>,
    /// What both binaries log.
    pub logging: Logging,
    /// Host names that the SQS endpoint and the OTLP receiver accept; others get 421.
    pub allowed_hosts: AllowedHosts,
}

/// What both binaries log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Logging {
    /// What they log anyway.
    #[default]
    Default,
    /// Beside it, after each flush, how many spans there were, from which one can compute what was
    /// lost.
    SpanCounts,
}

impl Logging {
    /// Returns the value of `RUST_LOG`. It is unset as on Lambda unless span counts are needed,
    /// because a program that reads it might lose its spans only after it is deployed.
    pub(super) fn filter(self) -> Option<&'static str> {
        match self {
            Self::Default => None,
            Self::SpanCounts => Some("info,baton_telemetry=debug"),
        }
    }
}

/// Ports on loopback; 0 takes a free one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ports {
    /// The SQS endpoint.
    pub sqs: u16,
    /// The producer's API.
    pub producer: u16,
    /// OTLP over HTTP.
    pub otlp_http: u16,
    /// OTLP over gRPC.
    pub otlp_grpc: u16,
}

/// Settings of the queue and its redrive to the dead-letter queue.
#[derive(Clone, Debug)]
pub struct QueueConfig {
    /// Name of the queue. Its dead-letter queue has the same name with the suffix `-dlq`.
    pub name: QueueName,
    /// How long a received message stays hidden.
    pub visibility_timeout: Duration,
    /// After how many deliveries a message that was not deleted goes to the dead-letter queue.
    pub max_receive_count: NonZeroU32,
}

/// A queue name that leaves room for the suffix of its dead-letter queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueName(String);

/// The text is not a valid name for the stack's queue.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected 1 to 76 characters of A-Z a-z 0-9 _ -, so that the dead-letter queue can add {DEAD_LETTER_SUFFIX:?}; FIFO queues are not supported"
)]
pub struct InvalidQueueName;

impl QueueName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the dead-letter queue.
    #[must_use]
    pub fn dead_letter(&self) -> String {
        format!("{}{DEAD_LETTER_SUFFIX}", self.0)
    }
}

impl Default for QueueName {
    fn default() -> Self {
        Self(ONBOARDING_QUEUE.to_owned())
    }
}

impl FromStr for QueueName {
    type Err = InvalidQueueName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = Self(text.to_owned());
        if text.is_empty() || sqs::check_queue_name(&name.dead_letter()).is_err() {
            return Err(InvalidQueueName);
        }
        Ok(name)
    }
}

/// One customer whose onboarding the function handles badly on purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What happens.
    pub kind: FaultKind,
    /// To whose message.
    pub customer_id: String,
}

/// What a function can be told to do wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The handler fails on the first delivery.
    FailOnce,
    /// The handler panics on the first delivery.
    Panic,
    /// The handler takes its time.
    Slow,
}

/// Why a text names no fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected KIND=CUSTOMER_ID with KIND one of fail-once, panic, slow and CUSTOMER_ID 1 to 64 of A-Z a-z 0-9 _ -"
)]
pub struct InvalidFault;

impl FaultKind {
    const ALL: [Self; 3] = [Self::FailOnce, Self::Panic, Self::Slow];

    /// The name that the function knows it by.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::FailOnce => "fail-once",
            Self::Panic => "panic",
            Self::Slow => "slow",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}={}", self.kind.name(), self.customer_id)
    }
}

impl FromStr for Fault {
    type Err = InvalidFault;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, customer_id) = text.split_once('=').ok_or(InvalidFault)?;
        let kind = FaultKind::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or(InvalidFault)?;
        if !is_customer_id(customer_id) {
            return Err(InvalidFault);
        }
        Ok(Self {
            kind,
            customer_id: customer_id.to_owned(),
        })
    }
}

/// Whether the producer would take it; a fault of anyone else would never be committed.
fn is_customer_id(text: &str) -> bool {
    (1..=MAX_CUSTOMER_ID).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_written_as_it_is_read() {
        for text in ["fail-once=demo-03", "panic=c_1", "slow=X"] {
            assert_eq!(text.parse::<Fault>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_queue_name_leaves_room_for_its_dead_letter_queue() {
        let longest = "q".repeat(76).parse::<QueueName>().unwrap();
        assert_eq!(longest.dead_letter().len(), 80);
        for text in ["", "orders.fifo", "a b", &"q".repeat(77)] {
            assert_eq!(text.parse::<QueueName>(), Err(InvalidQueueName), "{text}");
        }
    }

    #[test]
    fn what_names_no_fault_is_refused() {
        let longest = format!("panic={}", "c".repeat(64));
        assert!(longest.parse::<Fault>().is_ok());
        let too_long = format!("{longest}c");
        for text in [
            "",
            "panic",
            "panic=",
            "explode=demo-1",
            "panic=a,slow=b",
            "panic=a b",
            "panic=c=1",
            "panic=ü",
            &too_long,
        ] {
            assert_eq!(text.parse::<Fault>(), Err(InvalidFault), "{text:?}");
        }
    }
}
