//! Configuration of a consumer. Only this module reads the environment.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use crate::envelope::Envelope;

mod environment;
mod keyword;
mod runtime;

pub use environment::InvalidConfig;
pub(crate) use environment::{DEAD_LETTER_QUEUE, Environment};
pub(crate) use keyword::Keyword;
pub(crate) use runtime::{
    RuntimeVariableError, check_runtime_variables, is_snapstart, runtime_api_address,
};
#[cfg(feature = "panic-abort")]
pub(crate) use runtime::{SUSPECTS, read_suspects};

/// Number of messages handled at the same time. Enough for the default batch size of ten messages.
const DEFAULT_CONCURRENCY: NonZeroUsize = NonZeroUsize::new(10).unwrap();
/// Maximum delay that an unavailable collector causes in an invocation.
const DEFAULT_FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Effective configuration: all options that do not need a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConsumerConfig {
    pub(crate) concurrency: NonZeroUsize,
    pub(crate) envelope: Envelope,
    pub(crate) trace_shape: TraceShape,
    pub(crate) flush_point: FlushPoint,
    pub(crate) flush_timeout: Duration,
    /// `None` for the default of [`Deadlines`](crate::deadline::Deadlines).
    pub(crate) drain_before_deadline: Option<Duration>,
    /// `None` for the default of [`Deadlines`](crate::deadline::Deadlines).
    pub(crate) cancel_before_deadline: Option<Duration>,
    pub(crate) partial_response: PartialResponse,
    pub(crate) all_failed: AllFailed,
    /// `maxReceiveCount` of the queue's redrive policy.
    pub(crate) max_receive_count: Option<NonZeroU32>,
    pub(crate) cloudwatch_queue_latency: bool,
    pub(crate) graceful_shutdown: bool,
}

impl Default for ConsumerConfig {
    fn default() -> Self {
        Self {
            concurrency: DEFAULT_CONCURRENCY,
            envelope: Envelope::default(),
            trace_shape: TraceShape::default(),
            flush_point: FlushPoint::default(),
            flush_timeout: DEFAULT_FLUSH_TIMEOUT,
            drain_before_deadline: None,
            cancel_before_deadline: None,
            partial_response: PartialResponse::default(),
            all_failed: AllFailed::default(),
            max_receive_count: None,
            cloudwatch_queue_latency: false,
            graceful_shutdown: false,
        }
    }
}

/// Parent of message spans.
///
/// ```
/// use baton_lambda::{Consumer, TraceShape};
///
/// let builder = Consumer::builder().trace_shape(TraceShape::Batch);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TraceShape {
    /// The producer's span. The message span links to the batch span. A trace continues from the
    /// producer through the handler.
    #[default]
    Continue,
    /// The batch span. The message span links to the producer's span. Each invocation has one
    /// trace, as in the semantic conventions for Lambda.
    Batch,
}

impl Keyword for TraceShape {
    const ALL: &'static [Self] = &[Self::Continue, Self::Batch];

    fn keyword(self) -> &'static str {
        match self {
            Self::Continue => "continue",
            Self::Batch => "batch",
        }
    }
}

/// Time at which the spans of an invocation are exported.
///
/// ```
/// use baton_lambda::{Consumer, FlushPoint};
///
/// let builder = Consumer::builder().flush_point(FlushPoint::AfterResponse);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FlushPoint {
    /// Flushes before the response. The collector has the spans when Lambda gets the response.
    #[default]
    BeforeResponse,
    /// Flushes after the response and before the next invocation is polled. The event source
    /// mapping can delete the messages sooner. Lambda waits and bills until the flush is done. If
    /// the process dies before that, the spans are lost.
    AfterResponse,
}

impl Keyword for FlushPoint {
    const ALL: &'static [Self] = &[Self::BeforeResponse, Self::AfterResponse];

    fn keyword(self) -> &'static str {
        match self {
            Self::BeforeResponse => "before-response",
            Self::AfterResponse => "after-response",
        }
    }
}

/// Support of the event source mapping for partial batch responses: `ReportBatchItemFailures` in
/// its `FunctionResponseTypes`.
///
/// ```
/// use baton_lambda::{Consumer, PartialResponse};
///
/// let builder = Consumer::builder().partial_response(PartialResponse::Off);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PartialResponse {
    /// The setting is present. The response lists the failed messages, and the others are deleted.
    /// **If the setting is missing, AWS ignores the response and deletes the failed messages too.**
    #[default]
    On,
    /// The setting is missing. One failed message fails the invocation, and SQS redelivers all of
    /// its messages.
    Off,
}

impl Keyword for PartialResponse {
    const ALL: &'static [Self] = &[Self::On, Self::Off];

    fn keyword(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
        }
    }
}

/// Response to a batch of which every message failed.
///
/// ```
/// use baton_lambda::{Consumer, AllFailed};
///
/// let builder = Consumer::builder().all_failed(AllFailed::FailInvocation);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AllFailed {
    /// Lists all messages as failed.
    #[default]
    Report,
    /// Fails the invocation, which counts as an error of the function. SQS redelivers the messages
    /// in both cases, but AWS polls the queue less often while invocations fail.
    FailInvocation,
}

impl Keyword for AllFailed {
    const ALL: &'static [Self] = &[Self::Report, Self::FailInvocation];

    fn keyword(self) -> &'static str {
        match self {
            Self::Report => "report",
            Self::FailInvocation => "fail-invocation",
        }
    }
}

/// Options that the program sets. They take precedence over the environment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    pub(crate) concurrency: Option<NonZeroUsize>,
    pub(crate) envelope: Option<Envelope>,
    pub(crate) trace_shape: Option<TraceShape>,
    pub(crate) flush_point: Option<FlushPoint>,
    pub(crate) flush_timeout: Option<Duration>,
    pub(crate) drain_before_deadline: Option<Duration>,
    pub(crate) cancel_before_deadline: Option<Duration>,
    pub(crate) partial_response: Option<PartialResponse>,
    pub(crate) all_failed: Option<AllFailed>,
    pub(crate) max_receive_count: Option<NonZeroU32>,
    pub(crate) cloudwatch_queue_latency: Option<bool>,
    pub(crate) graceful_shutdown: Option<bool>,
}

impl Options {
    /// Returns `config` with the options that are set.
    pub(crate) fn apply_to(self, config: ConsumerConfig) -> ConsumerConfig {
        ConsumerConfig {
            concurrency: self.concurrency.unwrap_or(config.concurrency),
            envelope: self.envelope.unwrap_or(config.envelope),
            trace_shape: self.trace_shape.unwrap_or(config.trace_shape),
            flush_point: self.flush_point.unwrap_or(config.flush_point),
            flush_timeout: self.flush_timeout.unwrap_or(config.flush_timeout),
            drain_before_deadline: self.drain_before_deadline.or(config.drain_before_deadline),
            cancel_before_deadline: self
                .cancel_before_deadline
                .or(config.cancel_before_deadline),
            partial_response: self.partial_response.unwrap_or(config.partial_response),
            all_failed: self.all_failed.unwrap_or(config.all_failed),
            max_receive_count: self.max_receive_count.or(config.max_receive_count),
            cloudwatch_queue_latency: self
                .cloudwatch_queue_latency
                .unwrap_or(config.cloudwatch_queue_latency),
            graceful_shutdown: self.graceful_shutdown.unwrap_or(config.graceful_shutdown),
        }
    }
}
