//! What can be set about the consumer, and what the environment says about it: the only place where
//! this crate reads it.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use crate::envelope::Envelope;

mod environment;
mod runtime;

pub use environment::InvalidConfig;
pub(crate) use environment::{DEAD_LETTER_QUEUE, Environment};
pub(crate) use runtime::{RuntimeVariableError, check_runtime_variables};
#[cfg(feature = "panic-abort")]
pub(crate) use runtime::{SUSPECTS, read_suspects, runtime_api_address};

/// Handlers that run side by side on a standard queue: enough to overlap the waiting of a usual
/// batch of ten.
const DEFAULT_CONCURRENCY: NonZeroUsize = NonZeroUsize::new(10).unwrap();
/// What a broken collector may cost an invocation.
const DEFAULT_FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Everything that can be set, apart from what needs a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Config {
    pub(crate) concurrency: NonZeroUsize,
    pub(crate) envelope: Envelope,
    pub(crate) trace_shape: TraceShape,
    pub(crate) flush_point: FlushPoint,
    pub(crate) flush_timeout: Duration,
    /// `None`: what [`Deadlines`](crate::deadline::Deadlines) takes by default.
    pub(crate) drain_before_deadline: Option<Duration>,
    /// Likewise.
    pub(crate) cancel_before_deadline: Option<Duration>,
    pub(crate) partial_response: PartialResponse,
    pub(crate) all_failed: AllFailed,
    /// `maxReceiveCount` of the queue's redrive policy.
    pub(crate) max_receive_count: Option<NonZeroU32>,
    pub(crate) graceful_shutdown: bool,
}

impl Default for Config {
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
            graceful_shutdown: false,
        }
    }
}

/// Whose child a message's span is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TraceShape {
    /// The producer's, and linked to the batch span: one trace from the request to what the handler
    /// does.
    #[default]
    Continue,
    /// The batch span's, and linked to the producer's span: one trace for each invocation, as the
    /// semantic conventions for Lambda have it.
    Batch,
}

/// When an invocation's spans are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FlushPoint {
    /// Before the response: when Lambda has it, the collector has the spans.
    #[default]
    BeforeResponse,
    /// After the response and before the next invocation is asked for: the mapping can delete the
    /// messages sooner. Lambda waits, and bills, until the flush is done. If the process dies in
    /// between, the spans are lost.
    AfterResponse,
}

/// Whether the event source mapping has `ReportBatchItemFailures` among its
/// `FunctionResponseTypes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PartialResponse {
    /// It has: failed messages are named in the response, and the others are deleted. **If it has
    /// not, AWS ignores the response and deletes the failed messages too.**
    #[default]
    On,
    /// It has not: one failed message fails the invocation, and all of its messages are delivered
    /// again.
    Off,
}

/// What the response is when every message of a batch has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AllFailed {
    /// The same as when some have failed: each is named.
    #[default]
    Report,
    /// The invocation fails, and so counts among the function's errors. The messages are delivered
    /// again either way; what differs is that AWS polls the queue less while invocations fail.
    FailInvocation,
}

/// What the program sets; each wins over the environment.
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
    pub(crate) graceful_shutdown: Option<bool>,
}

impl Options {
    /// What is set here, and `config` for the rest.
    pub(crate) fn apply_to(self, config: Config) -> Config {
        Config {
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
            graceful_shutdown: self.graceful_shutdown.unwrap_or(config.graceful_shutdown),
        }
    }
}
