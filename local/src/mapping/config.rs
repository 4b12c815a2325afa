//! The settings of a mapping, and what AWS says about them when one is created.

use std::{num::NonZeroUsize, time::Duration};

use super::event::EventSourceArn;

/// The largest batch of a standard queue.
const MAX_BATCH_SIZE: usize = 10_000;
/// The largest batch that one receive can fill, hence the largest without a batching window and on
/// FIFO queues.
pub(super) const MAX_RECEIVE: usize = 10;
/// The smallest window that AWS takes for larger batches.
const MIN_WINDOW_OF_LARGE_BATCHES: Duration = Duration::from_secs(1);
/// The longest window.
const MAX_WINDOW: Duration = Duration::from_secs(300);

/// A mapping as `CreateEventSourceMapping` would be given it.
#[derive(Clone, Debug)]
pub struct MappingConfig {
    /// URL of the queue to poll.
    pub queue_url: String,
    /// How many records an invocation may get: 1 to 10,000, or to 10 on a FIFO queue.
    pub batch_size: NonZeroUsize,
    /// How long records are gathered, counted from the first one. At least a second for batches
    /// above 10; none for FIFO queues.
    pub batching_window: Duration,
    /// What is made of the function's responses.
    pub response_type: FunctionResponseType,
    /// How many invocations may run at once.
    pub max_concurrency: NonZeroUsize,
}

/// What is made of the function's responses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FunctionResponseType {
    /// `ReportBatchItemFailures`: a response names the records that failed, and the others are
    /// deleted.
    ReportBatchItemFailures,
    /// Without it any response means that the whole batch succeeded, **whatever the response
    /// says**.
    Ignored,
}

/// Why a mapping cannot be created.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MappingError {
    /// The batch size is out of range.
    #[error("batch size {batch_size} is larger than the {limit} that a {} queue allows", if *fifo { "fifo" } else { "standard" })]
    BatchSize {
        /// As given.
        batch_size: usize,
        /// The largest one.
        limit: usize,
        /// Whether the queue is a FIFO queue.
        fifo: bool,
    },
    /// A large batch needs time to be gathered.
    #[error(
        "batch size {batch_size} is larger than 10 and needs a batching window of at least 1 s, not {window:?}"
    )]
    WindowTooShort {
        /// As given.
        batch_size: usize,
        /// As given.
        window: Duration,
    },
    /// The window is longer than AWS allows.
    #[error("batching window {window:?} is longer than {limit:?}")]
    WindowTooLong {
        /// As given.
        window: Duration,
        /// The longest one.
        limit: Duration,
    },
    /// FIFO queues have no window.
    #[error("batching window {window:?} is given for a fifo queue, which has none")]
    WindowOnFifo {
        /// As given.
        window: Duration,
    },
    /// Messages would come back while the function still works on them.
    #[error("queue visibility timeout of {} s is less than the function timeout of {} s", visibility.as_secs_f64(), function.as_secs_f64())]
    VisibilityTooShort {
        /// The queue's visibility timeout.
        visibility: Duration,
        /// The function's timeout.
        function: Duration,
    },
    /// The queue's attributes cannot be read.
    #[error("cannot read the attributes of queue {queue_url}")]
    Queue {
        /// The queue.
        queue_url: String,
        /// What the SDK said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The endpoint did not return what every queue has.
    #[error("queue {queue_url} has the attribute {name} = {value:?}, expected {expected}")]
    Attribute {
        /// The queue.
        queue_url: String,
        /// The attribute.
        name: &'static str,
        /// What was returned; empty when it is missing.
        value: String,
        /// What it must look like.
        expected: &'static str,
    },
}

/// What the mapping reads from its queue before it polls.
#[derive(Clone, Debug)]
pub(super) struct SourceQueue {
    pub(super) arn: EventSourceArn,
    pub(super) visibility_timeout: Duration,
}

impl MappingConfig {
    /// Refuses what AWS refuses.
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
        if batch_size > MAX_RECEIVE && window < MIN_WINDOW_OF_LARGE_BATCHES {
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
    fn what_aws_accepts_is_accepted() {
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
    fn what_aws_refuses_is_refused() {
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
