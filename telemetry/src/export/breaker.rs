//! Circuit breaker: a collector that keeps failing is not contacted for a while, so that it does
//! not slow down every flush.

use std::mem;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tracing::{info, warn};

/// Weight of consecutive failures at which the breaker opens. A quick failure, such as a refused
/// connection, costs next to nothing and weighs 1.
const OPENING_WEIGHT: u32 = 5;
/// Weight of a slow request. The second one in a row opens the breaker, so that at most two flushes
/// wait for a collector that hangs.
const SLOW_WEIGHT: u32 = 3;
/// Duration from which a request counts as slow, even if it succeeds: three times the response time
/// of a collector on the far side of a continent.
const SLOW: Duration = Duration::from_millis(500);
/// Rate at which large requests are given additional time: that of an 8 Mbit/s link.
const SLOW_BYTES_PER_SECOND: u64 = 1024 * 1024;
/// Time limit below which a timeout says nothing about the collector.
const MIN_CONCLUSIVE_TIME: Duration = Duration::from_millis(100);
/// Maximum length of the pause, which doubles with each failed probe.
const MAX_PAUSE: Duration = Duration::from_secs(120);
/// Hint in the warning if the failure that opened the breaker was a rejection.
const HINT: &str =
    "if every request is rejected, the endpoint's path or port may not be that of an OTLP receiver";

/// The circuit breaker of one signal's endpoint. Signals do not share it even if they go to the
/// same collector, which may lack the quota for one signal or not support another.
///
/// It uses the wall clock. The monotonic clock may stand still while Lambda has frozen the process,
/// and the pause would never end.
#[derive(Debug)]
pub(crate) struct Breaker {
    first_pause: Duration,
    endpoint: String,
    state: Mutex<BreakerState>,
    openings: AtomicU64,
}

/// State of a breaker, for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct BreakerStatus {
    pub(crate) is_open: bool,
    /// Number of times that the breaker has opened. A failed probe does not open it again.
    pub(crate) openings: u64,
}

#[derive(Debug)]
enum BreakerState {
    Closed {
        /// Weight of the consecutive failures.
        weight: u32,
        /// End of the last failure. A request that began before it and failed as well has seen the
        /// same failure, and does not count again.
        last: Option<SystemTime>,
    },
    Open {
        since: SystemTime,
        pause: Duration,
        /// A probe is in flight.
        is_probing: bool,
    },
}

const CLOSED: BreakerState = BreakerState::Closed {
    weight: 0,
    last: None,
};

/// Permission to send one request, whose outcome is to be [reported](Self::report). A permit that
/// is dropped without a report, because the request was cancelled, does not count.
#[derive(Debug)]
pub(crate) struct BreakerPermit<'a> {
    breaker: &'a Breaker,
    began: SystemTime,
    is_probe: bool,
    is_reported: bool,
}

/// The collector's health, as one request has shown it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Health {
    /// The collector accepted the request.
    Accepted,
    /// The request failed for a reason other than its content: no response, a temporary error, or
    /// an endpoint that is not an OTLP receiver.
    Failed,
    /// The collector rejected the request's content, as with status 400. This counts as a failure,
    /// because an endpoint that rejects every request would otherwise be contacted by every flush.
    /// Only consecutive failures open the breaker, so that one rejected request does not block a
    /// collector that accepts the others.
    Rejected,
    /// The collector asked for a pause of this length.
    RetryAfter(Duration),
}

/// Returns the duration from which a request with this many bytes counts as slow.
pub(crate) fn slow_after(bytes: usize) -> Duration {
    SLOW + Duration::from_millis(bytes as u64 * 1000 / SLOW_BYTES_PER_SECOND)
}

/// Time and size of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) time: Duration,
    /// Time between the start of the request and its deadline.
    pub(crate) limit: Duration,
    pub(crate) bytes: usize,
}

impl Cost {
    /// Returns true if the request was slow. One that used up its time is slow, even if it had
    /// little.
    fn is_slow(self) -> bool {
        self.time >= slow_after(self.bytes).min(self.limit)
    }

    /// Returns true if the request timed out, but had too little time to show anything about the
    /// collector.
    fn is_inconclusive(self) -> bool {
        self.limit < MIN_CONCLUSIVE_TIME && self.time >= self.limit
    }
}

/// Returns true if the pause is over. A clock that was set back ends it, because a probe that is
/// too early is better than none for hours.
fn is_over(since: SystemTime, pause: Duration, now: SystemTime) -> bool {
    now.duration_since(since)
        .map_or(true, |elapsed| elapsed >= pause)
}

impl Breaker {
    /// `endpoint` is the collector's name in the log, `first_pause` the length of the first pause.
    pub(crate) fn new(endpoint: String, first_pause: Duration) -> Self {
        Self {
            first_pause,
            endpoint,
            state: Mutex::new(CLOSED),
            openings: AtomicU64::new(0),
        }
    }

    /// Returns a permit to send a request now, or `None` while the breaker is open. After the pause
    /// one request is permitted as a probe.
    pub(crate) fn acquire(&self, now: SystemTime) -> Option<BreakerPermit<'_>> {
        let is_probe = match &mut *self.state() {
            BreakerState::Closed { .. } => false,
            BreakerState::Open {
                is_probing: true, ..
            } => return None,
            BreakerState::Open {
                since,
                pause,
                is_probing,
            } => {
                if !is_over(*since, *pause, now) {
                    return None;
                }
                *is_probing = true;
                true
            }
        };
        Some(BreakerPermit {
            breaker: self,
            began: now,
            is_probe,
            is_reported: false,
        })
    }

    pub(crate) fn status(&self) -> BreakerStatus {
        BreakerStatus {
            is_open: matches!(*self.state(), BreakerState::Open { .. }),
            openings: self.openings.load(Relaxed),
        }
    }

    /// Returns true if [`acquire`](Self::acquire) would return a permit now.
    pub(crate) fn would_permit(&self, now: SystemTime) -> bool {
        match &*self.state() {
            BreakerState::Closed { .. } => true,
            BreakerState::Open {
                since,
                pause,
                is_probing,
            } => !is_probing && is_over(*since, *pause, now),
        }
    }

    fn state(&self) -> MutexGuard<'_, BreakerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn succeed(&self) {
        // The lock is released before the log line, because stdout may be slow.
        let before = mem::replace(&mut *self.state(), CLOSED);
        if matches!(before, BreakerState::Open { .. }) {
            info!(
                endpoint = self.endpoint,
                "circuit breaker closed: collector accepts requests again"
            );
        }
    }

    fn fail(&self, permit: &BreakerPermit<'_>, health: Health, weight: u32, now: SystemTime) {
        // The guard is dropped at the end of this statement, before `open` locks again.
        let pause = match &mut *self.state() {
            // With a clock that was set back, `last` may be in the future. It must not make all
            // failures look like the last one.
            BreakerState::Closed {
                last: Some(last), ..
            } if permit.began < *last && *last <= now => return,
            BreakerState::Closed {
                weight: so_far,
                last,
            } => {
                *so_far += weight;
                *last = Some(now);
                if *so_far < OPENING_WEIGHT {
                    return;
                }
                self.first_pause
            }
            BreakerState::Open { pause, .. } if permit.is_probe => {
                // A pause that the collector asked for may be shorter than the first one.
                (*pause).max(self.first_pause) * 2
            }
            // The request was sent before the breaker opened.
            BreakerState::Open { .. } => return,
        };
        self.open(pause, health, now);
    }

    /// Opens the breaker for a pause that the collector asked for.
    fn open_for(&self, permit: &BreakerPermit<'_>, pause: Duration, now: SystemTime) {
        let is_known = match &*self.state() {
            BreakerState::Closed { .. } => false,
            // The response to an older request must not shorten the current pause.
            BreakerState::Open {
                since,
                pause: known,
                ..
            // The sums cannot overflow: `known` is at most `MAX_PAUSE`, and the transport limits
            // `pause` to a day.
            } => !permit.is_probe && *since + *known >= now + pause,
        };
        if !is_known {
            self.open(pause, Health::RetryAfter(pause), now);
        }
    }

    fn open(&self, pause: Duration, health: Health, now: SystemTime) {
        let pause = pause.min(MAX_PAUSE);
        let open = BreakerState::Open {
            since: now,
            pause,
            is_probing: false,
        };
        if let BreakerState::Closed { .. } = mem::replace(&mut *self.state(), open) {
            self.openings.fetch_add(1, Relaxed);
        }
        // Logged without the lock, because stdout may be slow.
        warn!(
            endpoint = self.endpoint,
            pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX),
            hint = (health == Health::Rejected).then_some(HINT),
            "circuit breaker open: collector not contacted during the pause"
        );
    }
}

impl BreakerPermit<'_> {
    /// Returns true for the one request that checks whether the collector works again.
    pub(crate) fn is_probe(&self) -> bool {
        self.is_probe
    }

    /// Reports the outcome of the request.
    pub(crate) fn report(mut self, health: Health, cost: Cost, now: SystemTime) {
        let breaker = self.breaker;
        let weight = if cost.is_slow() { SLOW_WEIGHT } else { 1 };
        match health {
            // Not only a probe closes the breaker. A request that was sent before the breaker
            // opened, and is accepted now, also shows that the collector works.
            Health::Accepted if weight == 1 => breaker.succeed(),
            // The permit is dropped without being marked as reported. If it was a probe, the next
            // request becomes the probe.
            Health::Failed | Health::Rejected if cost.is_inconclusive() => return,
            // `Retry-After: 0` does not ask for a pause.
            Health::Accepted
            | Health::Failed
            | Health::Rejected
            | Health::RetryAfter(Duration::ZERO) => {
                breaker.fail(&self, health, weight, now);
            }
            Health::RetryAfter(time) => breaker.open_for(&self, time, now),
        }
        self.is_reported = true;
    }
}

impl Drop for BreakerPermit<'_> {
    /// Lets another request be the probe if this one was cancelled.
    fn drop(&mut self) {
        if self.is_probe
            && !self.is_reported
            && let BreakerState::Open { is_probing, .. } = &mut *self.breaker.state()
        {
            *is_probing = false;
        }
    }
}

#[cfg(test)]
mod tests;
