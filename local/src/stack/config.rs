//! Configuration of the stack.

use std::fmt;
use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::{AllowedHosts, sqs};

/// Default name of the source queue.
pub(super) const ONBOARDING_QUEUE: &str = "onboarding";
/// Suffix of the dead-letter queue's name.
pub(super) const DEAD_LETTER_SUFFIX: &str = "-dlq";
/// Name of the onboarding function in its ARN. Other functions are named after their file.
pub(super) const ONBOARDING_FUNCTION: &str = "onboarding";
/// Region in every ARN.
pub(super) const REGION: &str = "us-east-1";
/// Account number in every ARN, which no account on AWS has.
pub(super) const ACCOUNT: &str = "000000000000";
/// Access key and secret, which the SQS endpoint does not check.
pub(super) const CREDENTIALS: &str = "test";

/// Maximum length of a customer id, as in the producer and the function.
const MAX_CUSTOMER_ID: usize = 64;

/// Configuration of the whole stack.
///
/// ```
/// use std::num::{NonZeroU32, NonZeroUsize};
/// use std::time::Duration;
///
/// use baton_local::AllowedHosts;
/// use baton_local::environment::Freeze;
/// use baton_local::stack::{Logging, Ports, QueueConfig, StackConfig};
///
/// let config = StackConfig {
///     function: "target/debug/orders".into(),
///     producer: None,
///     ports: Ports::default(),
///     queue: QueueConfig {
///         name: "orders".parse()?,
///         visibility_timeout: Duration::from_secs(30),
///         max_receive_count: NonZeroU32::new(3).unwrap(),
///     },
///     batch_size: NonZeroUsize::new(10).unwrap(),
///     batching_window: Duration::ZERO,
///     concurrency: NonZeroUsize::MIN,
///     function_timeout: Duration::from_secs(5),
///     idle_after: Duration::from_secs(300),
///     freeze: Freeze::BetweenInvocations,
///     variables: vec![("TABLE_NAME".to_owned(), "orders".to_owned())],
///     faults: Vec::new(),
///     logging: Logging::Default,
///     allowed_hosts: AllowedHosts::default(),
///     metrics_address: None,
/// };
/// # drop(config);
/// # Ok::<(), baton_local::stack::InvalidQueueName>(())
/// ```
#[derive(Clone, Debug)]
pub struct StackConfig {
    /// Path of the function: any binary that speaks the Lambda Runtime API.
    pub function: PathBuf,
    /// Path of the producer, if one should run: a binary that reads the same variables as
    /// `onboarding-api`.
    pub producer: Option<PathBuf>,
    /// Ports to listen on.
    pub ports: Ports,
    /// Configuration of the queue.
    pub queue: QueueConfig,
    /// Maximum number of messages in a batch.
    pub batch_size: NonZeroUsize,
    /// Time for which a batch is gathered.
    pub batching_window: Duration,
    /// Maximum number of concurrent invocations, each in its own environment.
    pub concurrency: NonZeroUsize,
    /// Time limit of an invocation.
    pub function_timeout: Duration,
    /// Idle time after which an environment is killed without warning.
    pub idle_after: Duration,
    /// Freezing of environments between invocations.
    pub freeze: crate::environment::Freeze,
    /// Variables of the function, in addition to those of Lambda and of the stack. They override
    /// the stack's variables.
    pub variables: Vec<(String, String)>,
    /// Faults that the function is told to cause.
    pub faults: Vec<Fault>,
    /// Log level of the function and the producer.
    pub logging: Logging,
    /// Host names that the SQS endpoint, the OTLP receiver and the listener for metrics accept;
    /// requests for others get 421.
    pub allowed_hosts: AllowedHosts,
    /// Address of a listener that serves the metrics of the queues and nothing else, in addition to
    /// the SQS endpoint.
    pub metrics_address: Option<SocketAddr>,
}

/// Log level of the function and the producer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Logging {
    /// Default level.
    #[default]
    Default,
    /// Additionally the span counts after each flush, from which lost spans can be computed.
    SpanCounts,
}

impl Logging {
    /// Returns the value of `RUST_LOG`. The variable is unset, as on Lambda, unless span counts are
    /// needed: a program that depends on it would work here and lose its spans when it is deployed.
    pub(super) fn filter(self) -> Option<&'static str> {
        match self {
            Self::Default => None,
            Self::SpanCounts => Some("info,baton_telemetry=debug"),
        }
    }
}

/// Ports on loopback; 0 stands for a free port.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ports {
    /// Port of the SQS endpoint.
    pub sqs: u16,
    /// Port of the producer's API.
    pub producer: u16,
    /// Port of the OTLP receiver over HTTP.
    pub otlp_http: u16,
    /// Port of the OTLP receiver over gRPC.
    pub otlp_grpc: u16,
}

/// Configuration of the queue and its redrive policy.
#[derive(Clone, Debug)]
pub struct QueueConfig {
    /// Name of the queue. The name of its dead-letter queue is the same with the suffix `-dlq`.
    pub name: QueueName,
    /// Visibility timeout of the queue.
    pub visibility_timeout: Duration,
    /// Number of deliveries after which a message that was not deleted goes to the dead-letter
    /// queue.
    pub max_receive_count: NonZeroU32,
}

/// A queue name to which the suffix of the dead-letter queue can be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueName(String);

/// Error in parsing a [`QueueName`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected 1 to 76 characters of A-Z a-z 0-9 _ -, because the dead-letter queue adds {DEAD_LETTER_SUFFIX:?}; FIFO queues are not supported"
)]
pub struct InvalidQueueName;

impl QueueName {
    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the name of the dead-letter queue.
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

/// A fault that the function causes on purpose for one customer, or for all customers whose id has
/// a prefix.
///
/// ```
/// use baton_local::stack::{Fault, FaultKind, InvalidFault};
///
/// let fault: Fault = "fail-once=c-1".parse()?;
/// assert_eq!(fault.kind, FaultKind::FailOnce);
/// # Ok::<(), InvalidFault>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Kind of the fault.
    pub kind: FaultKind,
    /// Customer whose message is affected, or a prefix of customer ids followed by `*`.
    pub customer_id: String,
}

/// Kind of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The handler fails on the first delivery.
    FailOnce,
    /// The handler panics on the first delivery.
    Panic,
    /// The handler is slow.
    Slow,
}

/// Error in parsing a [`Fault`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected KIND=CUSTOMER_ID with KIND one of fail-once, panic, slow and CUSTOMER_ID 1 to 64 of A-Z a-z 0-9 _ -, or a prefix followed by *"
)]
pub struct InvalidFault;

impl FaultKind {
    const ALL: [Self; 3] = [Self::FailOnce, Self::Panic, Self::Slow];

    /// Returns the name by which the function knows the fault.
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
        if !is_customer_id(customer_id.strip_suffix('*').unwrap_or(customer_id)) {
            return Err(InvalidFault);
        }
        Ok(Self {
            kind,
            customer_id: customer_id.to_owned(),
        })
    }
}

/// Returns true if the producer accepts the customer id. A fault for any other id would have no
/// effect.
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
    fn a_fault_is_formatted_as_it_is_parsed() {
        for text in ["fail-once=demo-03", "panic=c_1", "slow=X", "slow=load-*"] {
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
    fn invalid_faults_are_rejected() {
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
            "panic=*",
            "panic=a*b",
            &too_long,
        ] {
            assert_eq!(text.parse::<Fault>(), Err(InvalidFault), "{text:?}");
        }
    }
}
