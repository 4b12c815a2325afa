//! When an invocation has to come to its end, and how its records hear of it.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lambda_runtime::Context as LambdaContext;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::config::Config;

/// Left between the end of a flush and the invocation's deadline, for the response to be sent.
pub(crate) const RESPONSE_MARGIN: Duration = Duration::from_millis(100);
/// How long before the deadline nothing new is started, at least: a handler that waits for another
/// service needs about a second.
const MIN_DRAIN: Duration = Duration::from_millis(1500);
/// The same as a part of the whole time: the longer a function may run, the longer its messages
/// take.
const DRAIN_DIVISOR: u32 = 10;
/// The most that Lambda gives an invocation, and what it is taken to have when its deadline is
/// longer past than that: no process is woken up so late. Tools that stand in for Lambda hand out
/// such invocations (`cargo lambda watch` says 1970).
const MAX_INVOCATION_TIME: Duration = Duration::from_secs(15 * 60);
/// Neither mark takes more than this part of the time: where the timeout is short, messages must be
/// tried all the same.
const MAX_DIVISOR: u32 = 2;

/// Why an invocation ends before all of its messages are handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StopReason {
    /// Lambda ends the process at the invocation's deadline.
    Deadline,
    /// Lambda has announced that it ends the process.
    Shutdown,
}

impl StopReason {
    /// `error.type` of the messages that were not handled for it.
    pub(crate) fn error_type(self) -> &'static str {
        match self {
            Self::Deadline => "deadline_exceeded",
            Self::Shutdown => "shutdown",
        }
    }

    pub(crate) fn skipped_description(self) -> &'static str {
        match self {
            Self::Deadline => {
                "not started: the invocation's deadline was too near for another message"
            }
            Self::Shutdown => "not started: the function was being shut down",
        }
    }

    pub(crate) fn cancelled_description(self) -> &'static str {
        match self {
            Self::Deadline => {
                "cancelled: the handler was still running shortly before the invocation's deadline"
            }
            Self::Shutdown => {
                "cancelled: the handler was still running when the function was shut down"
            }
        }
    }
}

/// What an invocation's records look at: whether another may start, and whether those that run have
/// to stop.
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

    /// Nothing new starts. The first reason counts.
    pub(crate) fn drain(&self, reason: StopReason) {
        self.drain_reason.get_or_init(|| reason);
    }

    /// What runs is cancelled, and nothing new starts.
    pub(crate) fn cancel(&self, reason: StopReason) {
        self.drain(reason);
        self.cancelled.get_or_init(|| reason);
        self.cancel.notify_waiters();
    }

    /// Why nothing new may start, if so. Looks at the clock itself: a handler that blocks the
    /// thread keeps everybody else from it.
    pub(crate) fn check_drain(&self) -> Option<StopReason> {
        if self.drain_reason.get().is_none() && Instant::now() >= self.drain_at {
            self.drain(StopReason::Deadline);
        }
        self.drain_reason.get().copied()
    }

    /// Completes when running handlers have to stop.
    pub(crate) async fn cancelled(&self) -> StopReason {
        loop {
            // Taken before looking, so that a call of `cancel` in between is not missed.
            let cancel = self.cancel.notified();
            if let Some(reason) = self.cancelled.get() {
                return *reason;
            }
            cancel.await;
        }
    }
}

/// The moments of one invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Deadlines {
    /// Nothing new starts.
    pub(crate) drain: Instant,
    /// Running handlers are cancelled.
    pub(crate) cancel: Instant,
    /// Everything is flushed, and the response goes out.
    pub(crate) respond: Instant,
}

impl Deadlines {
    /// The deadlines of an invocation that arrives now.
    pub(crate) fn from_lambda(lambda: &LambdaContext, config: &Config) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let deadline = Duration::from_millis(lambda.deadline);
        Self::new(time_left(deadline, now.unwrap_or_default()), config)
    }

    /// The deadlines of an invocation that has `left` until its deadline.
    pub(crate) fn new(left: Duration, config: &Config) -> Self {
        let now = Instant::now();
        let most = left / MAX_DIVISOR;
        let cancel = config
            .cancel_before_deadline
            .unwrap_or(config.flush_timeout.saturating_add(RESPONSE_MARGIN))
            .max(RESPONSE_MARGIN)
            .min(most);
        let drain = config
            .drain_before_deadline
            .unwrap_or(MIN_DRAIN.max(left / DRAIN_DIVISOR))
            .clamp(cancel, most.max(cancel));
        Self {
            drain: now + (left - drain),
            cancel: now + (left - cancel),
            respond: now + left.saturating_sub(RESPONSE_MARGIN),
        }
    }

    /// The end of a flush that may take `budget` from now on.
    pub(crate) fn flush_deadline(&self, budget: Duration) -> Instant {
        bounded_deadline(budget, self.respond)
    }
}

/// After `budget`, and not after `latest`.
pub(crate) fn bounded_deadline(budget: Duration, latest: Instant) -> Instant {
    let end = Instant::now().checked_add(budget);
    end.map_or(latest, |end| end.min(latest))
}

/// Both since 1970.
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

    /// How long before the deadline each mark is.
    async fn before_deadline(left: Duration, config: &Config) -> (Duration, Duration, Duration) {
        let deadline = Instant::now() + left;
        let deadlines = Deadlines::new(left, config);
        (
            deadline - deadlines.drain,
            deadline - deadlines.cancel,
            deadline - deadlines.respond,
        )
    }

    #[tokio::test(start_paused = true)]
    async fn the_marks_leave_time_for_the_flush_and_the_response() {
        let config = Config::default();
        let seconds = Duration::from_secs_f64;
        for (left, expected) in [
            (LONG, (seconds(3.0), seconds(1.1), RESPONSE_MARGIN)),
            (seconds(6.0), (seconds(1.5), seconds(1.1), RESPONSE_MARGIN)),
            // A short timeout leaves half of its time to the handlers.
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
    async fn marks_that_are_set_are_kept_within_half_of_the_time() {
        let mut config = Config {
            drain_before_deadline: Some(Duration::from_secs(10)),
            cancel_before_deadline: Some(Duration::from_secs(5)),
            ..Config::default()
        };
        let deadlines = before_deadline(LONG, &config).await;
        assert_eq!((deadlines.0.as_secs(), deadlines.1.as_secs()), (10, 5));
        config.drain_before_deadline = Some(Duration::ZERO);
        config.cancel_before_deadline = Some(Duration::from_secs(60));
        let deadlines = before_deadline(LONG, &config).await;
        assert_eq!((deadlines.0.as_secs(), deadlines.1.as_secs()), (15, 15));
    }

    #[tokio::test(start_paused = true)]
    async fn a_flush_ends_with_its_budget_or_in_time_for_the_response() {
        let budget = Duration::from_secs(1);
        let config = Config::default();
        let left = |left| Deadlines::new(left, &config).flush_deadline(budget) - Instant::now();
        assert_eq!(left(LONG), budget);
        assert_eq!(left(Duration::from_millis(600)), Duration::from_millis(500));
        assert_eq!(left(Duration::from_millis(50)), Duration::ZERO);
    }

    #[test]
    fn a_deadline_that_is_past_leaves_no_time_unless_it_means_nothing() {
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
    async fn options_without_measure_mean_all_the_time_there_is() {
        let config = Config {
            flush_timeout: Duration::MAX,
            drain_before_deadline: Some(Duration::MAX),
            ..Config::default()
        };
        let half = LONG / 2;
        let deadlines = before_deadline(LONG, &config).await;
        assert_eq!(deadlines, (half, half, RESPONSE_MARGIN));
        let end = Deadlines::new(LONG, &config).flush_deadline(config.flush_timeout);
        assert_eq!(end - Instant::now(), LONG - RESPONSE_MARGIN);
    }

    #[tokio::test(start_paused = true)]
    async fn the_clock_is_looked_at_although_nobody_has_watched_it() {
        let deadlines = Deadlines::new(LONG, &Config::default());
        let cancellation = Cancellation::new(&deadlines);
        tokio::time::advance(deadlines.drain - Instant::now()).await;
        assert_eq!(cancellation.check_drain(), Some(StopReason::Deadline));
    }

    #[tokio::test]
    async fn a_cancellation_reaches_those_who_wait_and_those_who_come_later() {
        let cancellation = Cancellation::new(&Deadlines::new(LONG, &Config::default()));
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
