//! Configuration of an event source mapping, and AWS's rules for it.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::event::EventSourceArn;

/// Maximum batch size of a standard queue.
const MAX_BATCH_SIZE: usize = 10_000;
/// Maximum number of messages in one receive, and hence the maximum batch size without a batching
/// window and on FIFO queues.
pub(super) const MAX_RECEIVE: usize = 10;
/// Minimum window that AWS requires for larger batches.
const MIN_LARGE_BATCH_WINDOW: Duration = Duration::from_secs(1);
/// Maximum window.
const MAX_WINDOW: Duration = Duration::from_secs(300);

/// Configuration of an event source mapping, as in `CreateEventSourceMapping`.
///
/// ```
/// use std::num::NonZeroUsize;
/// use std::time::Duration;
///
/// use baton_local::mapping::{FunctionResponseType, MappingConfig};
///
/// let config = MappingConfig {
///     queue_url: "http://127.0.0.1:9324/000000000000/orders".to_owned(),
///     batch_size: NonZeroUsize::new(10).unwrap(),
///     batching_window: Duration::ZERO,
///     response_type: FunctionResponseType::ReportBatchItemFailures,
///     max_concurrency: NonZeroUsize::new(2).unwrap(),
/// };
/// # drop(config);
/// ```
#[derive(Clone, Debug)]
pub struct MappingConfig {
    /// URL of the queue to poll.
    pub queue_url: String,
    /// Maximum number of records in an invocation: 1 to 10,000, or to 10 on a FIFO queue.
    pub batch_size: NonZeroUsize,
    /// Maximum time for which records are gathered, counted from the first one. At least a second
    /// for batches above 10; zero for FIFO queues.
    pub batching_window: Duration,
    /// Handling of the function's responses.
    pub response_type: FunctionResponseType,
    /// Maximum number of concurrent invocations.
    pub max_concurrency: NonZeroUsize,
}

/// Handling of the function's responses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FunctionResponseType {
    /// `ReportBatchItemFailures`: the response names the records that failed, and the others are
    /// deleted.
    ReportBatchItemFailures,
    /// Without `ReportBatchItemFailures`: any response means that the whole batch succeeded,
    /// **regardless of its content**.
    Ignored,
}

/// Error in creating a mapping.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MappingError {
    /// The batch size is out of range.
    #[error("batch size {batch_size} is larger than the {limit} that a {} queue allows", if *fifo { "FIFO" } else { "standard" })]
    BatchSize {
        /// The configured value.
        batch_size: usize,
        /// The maximum.
        limit: usize,
        /// True for a FIFO queue.
        fifo: bool,
    },
    /// A large batch requires a batching window.
    #[error(
        "batch size {batch_size} is larger than 10 and requires a batching window of at least 1 s, not {window:?}"
    )]
    WindowTooShort {
        /// The configured value.
        batch_size: usize,
        /// The configured value.
        window: Duration,
    },
    /// The window is longer than AWS allows.
    #[error("batching window {window:?} is longer than {limit:?}")]
    WindowTooLong {
        /// The configured value.
        window: Duration,
        /// The maximum.
        limit: Duration,
    },
    /// A FIFO queue cannot have a batching window.
    #[error("batching window {window:?} is not supported on a FIFO queue")]
    WindowOnFifo {
        /// The configured value.
        window: Duration,
    },
    /// Messages would become visible again while the function still handles them.
    #[error("queue visibility timeout of {} s is less than the function timeout of {} s", visibility.as_secs_f64(), function.as_secs_f64())]
    VisibilityTooShort {
        /// The queue's visibility timeout.
        visibility: Duration,
        /// The function's timeout.
        function: Duration,
    },
    /// The attributes of the queue cannot be read.
    #[error("cannot read the attributes of queue {queue_url}")]
    Queue {
        /// URL of the queue.
        queue_url: String,
        /// Error of the SDK.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An attribute that every queue has is missing or has an unexpected value.
    #[error("queue {queue_url} has the attribute {name} = {value:?}, expected {expected}")]
    Attribute {
        /// URL of the queue.
        queue_url: String,
        /// Name of the attribute.
        name: &'static str,
        /// The returned value; empty if the attribute is missing.
        value: String,
        /// Description of the expected value.
        expected: &'static str,
    },
}

/// Attributes of the queue that the mapping needs.
#[derive(Clone, Debug)]
pub(super) struct SourceQueue {
    pub(super) arn: EventSourceArn,
    pub(super) visibility_timeout: Duration,
}

impl MappingConfig {
    /// Checks the configuration according to AWS's rules.
    pub(super) fn check(
        &self,
        queue: &SourceQueue,
        function_timeout: Duration,
    ) -> Result<(), MappingError> {
        let fifo = queue.arn.text.ends_with(".fifo");
        let (batch_size, window) = (self.batch_size.get(), self.batching_window);
        let limit = if fifo { MAX_RECEIVE } else { MAX_BATCH_SIZE };
        if batch_size > limit {
            return Err(MappingError::BatchSize {
                batch_size,
                limit,
                fifo,
            });
        }
        if fifo && !window.is_zero() {
            return Err(MappingError::WindowOnFifo { window });
        }
        if window > MAX_WINDOW {
            return Err(MappingError::WindowTooLong {
                window,
                limit: MAX_WINDOW,
            });
        }
        if batch_size > MAX_RECEIVE && window < MIN_LARGE_BATCH_WINDOW {
            return Err(MappingError::WindowTooShort { batch_size, window });
        }
        if queue.visibility_timeout < function_timeout {
            return Err(MappingError::VisibilityTooShort {
                visibility: queue.visibility_timeout,
                function: function_timeout,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FUNCTION: Duration = Duration::from_secs(5);

    fn check(
        queue: &str,
        batch_size: usize,
        window: u64,
        visibility: u64,
    ) -> Result<(), MappingError> {
        let mapping = MappingConfig {
            queue_url: String::new(),
            batch_size: NonZeroUsize::new(batch_size).unwrap(),
            batching_window: Duration::from_secs(window),
            response_type: FunctionResponseType::ReportBatchItemFailures,
            max_concurrency: NonZeroUsize::MIN,
        };
        let arn = EventSourceArn::parse(&format!("arn:aws:sqs:eu-central-1:000000000000:{queue}"))
            .unwrap();
        mapping.check(
            &SourceQueue {
                arn,
                visibility_timeout: Duration::from_secs(visibility),
            },
            FUNCTION,
        )
    }

    #[test]
    fn valid_configurations_are_accepted() {
        for (queue, batch_size, window, visibility) in [
            ("q", 1, 0, 30),
            ("q", 10, 0, 5),
            ("q", 10_000, 1, 30),
            ("q", 11, 300, 30),
            ("q.fifo", 10, 0, 30),
        ] {
            let checked = check(queue, batch_size, window, visibility);
            assert!(
                checked.is_ok(),
                "{queue} {batch_size} {window} {visibility}: {checked:?}"
            );
        }
    }

    #[test]
    fn invalid_configurations_are_rejected() {
        assert!(matches!(
            check("q", 10_001, 1, 30),
            Err(MappingError::BatchSize { limit: 10_000, .. })
        ));
        assert!(matches!(
            check("q.fifo", 11, 0, 30),
            Err(MappingError::BatchSize { limit: 10, .. })
        ));
        assert!(matches!(
            check("q", 11, 0, 30),
            Err(MappingError::WindowTooShort { .. })
        ));
        assert!(matches!(
            check("q", 10, 301, 30),
            Err(MappingError::WindowTooLong { .. })
        ));
        assert!(matches!(
            check("q.fifo", 10, 1, 30),
            Err(MappingError::WindowOnFifo { .. })
        ));
        assert!(matches!(
            check("q", 10, 0, 4),
            Err(MappingError::VisibilityTooShort { .. })
        ));
    }
}
