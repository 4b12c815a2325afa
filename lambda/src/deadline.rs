//! Deadlines of an invocation, and the cancellation of its records.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lambda_runtime::Context as LambdaContext;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::config::ConsumerConfig;

/// Time between the end of a flush and the invocation's deadline, in which the response is sent.
pub(crate) const RESPONSE_MARGIN: Duration = Duration::from_millis(100);
/// Minimum time before the deadline at which the batch is drained. A handler that waits for another
/// service needs about a second.
const MIN_DRAIN: Duration = Duration::from_millis(1500);
/// The drain time of a long invocation is the invocation's time divided by this. The longer a
/// function may run, the longer its messages usually take.
const DRAIN_DIVISOR: u32 = 10;
/// Maximum duration of an invocation on Lambda. Also used as the remaining time if the deadline
/// passed longer ago than this: Lambda does not resume a process so late, but tools that emulate
/// Lambda send such deadlines (`cargo lambda watch` sends one in 1970).
const MAX_INVOCATION_TIME: Duration = Duration::from_secs(15 * 60);
/// Drain and cancellation times are limited to the invocation's time divided by this, because
/// messages must be handled even if the function's timeout is short.
const LIMIT_DIVISOR: u32 = 2;

/// Reason why messages of a batch are not handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StopReason {
    /// The invocation's deadline is near.
    Deadline,
    /// Lambda has announced the shutdown of the process.
    Shutdown,
}

impl StopReason {
    /// Returns the `error.type` of messages that were not handled.
    pub(crate) fn error_type(self) -> &'static str {
        match self {
            Self::Deadline => "deadline_exceeded",
            Self::Shutdown => "shutdown",
        }
    }

    /// Returns the span status of messages whose handler was not started.
    pub(crate) fn skipped_description(self) -> &'static str {
        match self {
            Self::Deadline => "not started: the invocation's deadline was near",
            Self::Shutdown => "not started: the function was shutting down",
        }
    }

    /// Returns the span status of messages whose handler was cancelled.
    pub(crate) fn cancelled_description(self) -> &'static str {
        match self {
            Self::Deadline => "cancelled: the invocation's deadline was near",
            Self::Shutdown => "cancelled: the function was shutting down",
        }
    }
}

/// Drain and cancellation of a batch. Shared by the handlers and the task that watches the
/// deadlines.
#[derive(Debug)]
pub(crate) struct Cancellation {
    drain_at: Instant,
    drain_reason: OnceLock<StopReason>,
    cancelled: OnceLock<StopReason>,
    cancel: Notify,
}

impl Cancellation {
    pub(crate) fn new(deadlines: &Deadlines) -> Self {
        Self {
            drain_at: deadlines.drain,
            drain_reason: OnceLock::new(),
            cancelled: OnceLock::new(),
            cancel: Notify::new(),
        }
    }

    /// Stops new records from starting. Later calls do not change the reason.
    pub(crate) fn drain(&self, reason: StopReason) {
        self.drain_reason.get_or_init(|| reason);
    }

    /// Cancels running handlers, and stops new records from starting.
    pub(crate) fn cancel(&self, reason: StopReason) {
        self.drain(reason);
        self.cancelled.get_or_init(|| reason);
        self.cancel.notify_waiters();
    }

    /// Returns the reason why no record may start, or `None`. Reads the clock itself, because a
    /// handler that blocks the thread also blocks the task that watches the deadlines.
    pub(crate) fn check_drain(&self) -> Option<StopReason> {
        if self.drain_reason.get().is_none() && Instant::now() >= self.drain_at {
            self.drain(StopReason::Deadline);
        }
        self.drain_reason.get().copied()
    }

    /// Completes when running handlers are cancelled.
    pub(crate) async fn cancelled(&self) -> StopReason {
        loop {
            // Created before the check, so that a call of `cancel` in between is not missed.
            let cancel = self.cancel.notified();
            if let Some(reason) = self.cancelled.get() {
                return *reason;
            }
            cancel.await;
        }
    }
}

/// Times at which a batch is drained and cancelled, and by which its flush must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Deadlines {
    /// Time from which no record starts.
    pub(crate) drain: Instant,
    /// Time at which running handlers are cancelled.
    pub(crate) cancel: Instant,
    /// Time by which the flush must end, so that the response can be sent.
    pub(crate) respond: Instant,
}

impl Deadlines {
    /// Returns the deadlines of an invocation that has just been received.
    pub(crate) fn from_lambda(lambda: &LambdaContext, config: &ConsumerConfig) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let deadline = Duration::from_millis(lambda.deadline);
        Self::new(time_left(deadline, now.unwrap_or_default()), config)
    }

    /// Returns the deadlines of an invocation that has the time `left`.
    pub(crate) fn new(left: Duration, config: &ConsumerConfig) -> Self {
        let now = Instant::now();
        let limit = left / LIMIT_DIVISOR;
        let cancel = config
            .cancel_before_deadline
            .unwrap_or(config.flush_timeout.saturating_add(RESPONSE_MARGIN))
            .max(RESPONSE_MARGIN)
            .min(limit);
        let drain = config
            .drain_before_deadline
            .unwrap_or(MIN_DRAIN.max(left / DRAIN_DIVISOR))
            .clamp(cancel, limit.max(cancel));
        Self {
            drain: now + (left - drain),
            cancel: now + (left - cancel),
            respond: now + left.saturating_sub(RESPONSE_MARGIN),
        }
    }

    /// Returns the deadline of a flush that starts now and may take `budget`.
    pub(crate) fn flush_deadline(&self, budget: Duration) -> Instant {
        bounded_deadline(budget, self.respond)
    }
}

/// Returns the time after `budget`, or `latest` if that is earlier.
pub(crate) fn bounded_deadline(budget: Duration, latest: Instant) -> Instant {
    let end = Instant::now().checked_add(budget);
    end.map_or(latest, |end| end.min(latest))
}

/// Returns the time until the deadline. Both arguments are durations since 1970.
fn time_left(deadline: Duration, now: Duration) -> Duration {
    match now.saturating_sub(deadline) {
        past if past > MAX_INVOCATION_TIME => MAX_INVOCATION_TIME,
        _ => deadline.saturating_sub(now).min(MAX_INVOCATION_TIME),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    /// Returns the time between each of the deadlines and the invocation's deadline.
    async fn before_deadline(
        left: Duration,
        config: &ConsumerConfig,
    ) -> (Duration, Duration, Duration) {
        let deadline = Instant::now() + left;
        let deadlines = Deadlines::new(left, config);
        (
            deadline - deadlines.drain,
            deadline - deadlines.cancel,
            deadline - deadlines.respond,
        )
    }

    #[tokio::test(start_paused = true)]
    async fn the_deadlines_leave_time_for_the_flush_and_the_response() {
        let config = ConsumerConfig::default();
        let seconds = Duration::from_secs_f64;
        for (left, expected) in [
            (LONG, (seconds(3.0), seconds(1.1), RESPONSE_MARGIN)),
            (seconds(6.0), (seconds(1.5), seconds(1.1), RESPONSE_MARGIN)),
            // With a short timeout, handlers get half of the time.
            (seconds(1.0), (seconds(0.5), seconds(0.5), RESPONSE_MARGIN)),
            (
                seconds(0.05),
                (seconds(0.025), seconds(0.025), seconds(0.05)),
            ),
        ] {
            assert_eq!(before_deadline(left, &config).await, expected, "{left:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn configured_deadlines_are_limited_to_half_of_the_time() {
        let mut config = ConsumerConfig {
            drain_before_deadline: Some(Duration::from_secs(10)),
            cancel_before_deadline: Some(Duration::from_secs(5)),
            ..ConsumerConfig::default()
        };
        let deadlines = before_deadline(LONG, &config).await;
        assert_eq!((deadlines.0.as_secs(), deadlines.1.as_secs()), (10, 5));
        config.drain_before_deadline = Some(Duration::ZERO);
        config.cancel_before_deadline = Some(Duration::from_secs(60));
        let deadlines = before_deadline(LONG, &config).await;
        assert_eq!((deadlines.0.as_secs(), deadlines.1.as_secs()), (15, 15));
    }

    #[tokio::test(start_paused = true)]
    async fn a_flush_ends_after_its_budget_or_in_time_for_the_response() {
        let budget = Duration::from_secs(1);
        let config = ConsumerConfig::default();
        let left = |left| Deadlines::new(left, &config).flush_deadline(budget) - Instant::now();
        assert_eq!(left(LONG), budget);
        assert_eq!(left(Duration::from_millis(600)), Duration::from_millis(500));
        assert_eq!(left(Duration::from_millis(50)), Duration::ZERO);
    }

    #[test]
    fn a_deadline_in_the_past_leaves_no_time_unless_it_is_implausible() {
        let now = Duration::from_millis(1_700_000_000_000);
        let second = Duration::from_secs(1);
        for (deadline, expected) in [
            (now + second, second),
            (now, Duration::ZERO),
            (now - second, Duration::ZERO),
            (now - MAX_INVOCATION_TIME, Duration::ZERO),
            (now - MAX_INVOCATION_TIME - second, MAX_INVOCATION_TIME),
            (Duration::ZERO, MAX_INVOCATION_TIME),
            (Duration::from_millis(u64::MAX), MAX_INVOCATION_TIME),
        ] {
            assert_eq!(time_left(deadline, now), expected, "{deadline:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn excessive_options_are_limited_to_the_available_time() {
        let config = ConsumerConfig {
            flush_timeout: Duration::MAX,
            drain_before_deadline: Some(Duration::MAX),
            ..ConsumerConfig::default()
        };
        let half = LONG / 2;
        let deadlines = before_deadline(LONG, &config).await;
        assert_eq!(deadlines, (half, half, RESPONSE_MARGIN));
        let end = Deadlines::new(LONG, &config).flush_deadline(config.flush_timeout);
        assert_eq!(end - Instant::now(), LONG - RESPONSE_MARGIN);
    }

    #[tokio::test(start_paused = true)]
    async fn the_drain_is_noticed_without_a_task_that_watches_the_clock() {
        let deadlines = Deadlines::new(LONG, &ConsumerConfig::default());
        let cancellation = Cancellation::new(&deadlines);
        tokio::time::advance(deadlines.drain - Instant::now()).await;
        assert_eq!(cancellation.check_drain(), Some(StopReason::Deadline));
    }

    #[tokio::test]
    async fn a_cancellation_reaches_current_and_later_waiters() {
        let cancellation = Cancellation::new(&Deadlines::new(LONG, &ConsumerConfig::default()));
        assert_eq!(cancellation.check_drain(), None);
        let (reason, ()) = tokio::join!(cancellation.cancelled(), async {
            cancellation.drain(StopReason::Shutdown);
            cancellation.cancel(StopReason::Deadline);
        });
        assert_eq!(reason, StopReason::Deadline);
        assert_eq!(cancellation.cancelled().await, StopReason::Deadline);
        assert_eq!(cancellation.check_drain(), Some(StopReason::Shutdown));
    }
}
