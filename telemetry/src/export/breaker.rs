//! A circuit breaker: stops asking a collector that has failed again and again, so that it costs
//! nothing until it works.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tracing::{info, warn};

/// So many failures in a row that cost next to nothing, as a refused connection does, and the
/// collector is left alone.
const QUICK_FAILURES: u32 = 5;
/// A failure or an answer that took [`SLOW`] weighs as much as so many quick ones: the second in a
/// row is the last that anyone waits for.
const SLOW_WEIGHT: u32 = 3;
/// From then on a request counts as slow, whatever comes of it. A collector at the other end of a
/// continent answers in a third of it.
const SLOW: Duration = Duration::from_millis(500);
/// A large request may take longer: as long as a link of 8 Mbit/s needs for it.
const SLOW_BYTES_PER_SECOND: u64 = 1024 * 1024;
/// A request that had less time than this says nothing about the collector when it ends without an
/// answer.
const FAIR_TIME: Duration = Duration::from_millis(100);
/// The collector is left alone for twice as long after each probe that fails, up to this.
const MAX_PAUSE: Duration = Duration::from_secs(120);
/// Hint in the warning if the failure that opened the breaker was a refusal.
const HINT: &str =
    "if every request is refused, the endpoint's path or port may not be that of an OTLP receiver";

/// What is known about one signal's endpoint. Signals do not share it, although one collector may
/// take them all: it can be short of quota for one, or not know another, and is well for the rest.
///
/// Its clock is the wall's: the monotonic one may stand still while Lambda has the process frozen,
/// and a pause would never end.
#[derive(Debug)]
pub(crate) struct Breaker {
    first_pause: Duration,
    peer: String,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    Closed {
        /// The weight of the failures in a row.
        weight: u32,
        /// When the last of them ended: what began before was the same failure, seen by another
        /// request.
        last: Option<SystemTime>,
    },
    Open {
        since: SystemTime,
        pause: Duration,
        /// A request is on its way to find out.
        is_probed: bool,
    },
}

const CLOSED: State = State::Closed {
    weight: 0,
    last: None,
};

/// The right to send one request. What becomes of it is to be [told](Self::settle); a request that
/// is given up says nothing.
#[derive(Debug)]
pub(crate) struct Permit<'a> {
    breaker: &'a Breaker,
    began: SystemTime,
    is_probe: bool,
    is_settled: bool,
}

/// What a request told about the collector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Health {
    /// The collector accepted the request.
    Accepted,
    /// The request failed without a refusal of its content: no answer, a temporary error, or an
    /// endpoint that is not an OTLP receiver.
    Failed,
    /// The collector refused the request, as with status 400. This counts as a failure, because an
    /// endpoint that refuses every request would otherwise be contacted with every flush. Only
    /// consecutive failures open the breaker, so that one refused payload does not block a
    /// collector that accepts the others.
    Refused,
    /// It asks to be left alone for so long.
    Away(Duration),
}

/// From when on a request of so many bytes counts as slow.
pub(crate) fn slow(bytes: usize) -> Duration {
    SLOW + Duration::from_millis(bytes as u64 * 1000 / SLOW_BYTES_PER_SECOND)
}

/// What a request cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) time: Duration,
    /// How long it could have taken at most.
    pub(crate) limit: Duration,
    pub(crate) bytes: usize,
}

impl Cost {
    /// A request that used all of its time up is slow, however little that was.
    fn is_slow(self) -> bool {
        self.time >= slow(self.bytes).min(self.limit)
    }

    /// The request had no time to speak of, and used it up.
    fn is_unfair(self) -> bool {
        self.limit < FAIR_TIME && self.time >= self.limit
    }
}

/// A clock that was set back ends the pause: better a probe too early than none for hours.
fn is_over(since: SystemTime, pause: Duration, now: SystemTime) -> bool {
    now.duration_since(since)
        .map_or(true, |elapsed| elapsed >= pause)
}

impl Breaker {
    /// `peer` is for the log; `first_pause` is how long the collector is left alone at first.
    pub(crate) fn new(peer: String, first_pause: Duration) -> Self {
        Self {
            first_pause,
            peer,
            state: Mutex::new(CLOSED),
        }
    }

    /// The right to send a request now, or `None` while the collector is left alone. After the
    /// pause one request is let through.
    pub(crate) fn ask(&self, now: SystemTime) -> Option<Permit<'_>> {
        let is_probe = match &mut *self.state() {
            State::Closed { .. } => false,
            State::Open {
                is_probed: true, ..
            } => return None,
            State::Open {
                since,
                pause,
                is_probed,
            } => {
                if !is_over(*since, *pause, now) {
                    return None;
                }
                *is_probed = true;
                true
            }
        };
        Some(Permit {
            breaker: self,
            began: now,
            is_probe,
            is_settled: false,
        })
    }

    #[cfg(test)]
    fn is_closed(&self) -> bool {
        matches!(*self.state(), State::Closed { .. })
    }

    /// Whether a request would be let through now.
    pub(crate) fn admits(&self, now: SystemTime) -> bool {
        match &*self.state() {
            State::Closed { .. } => true,
            State::Open {
                since,
                pause,
                is_probed,
            } => !is_probed && is_over(*since, *pause, now),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn succeed(&self) {
        // Without the lock from then on, for stdout may be slow.
        let before = std::mem::replace(&mut *self.state(), CLOSED);
        if matches!(before, State::Open { .. }) {
            info!(collector = self.peer, "the collector works again");
        }
    }

    fn fail(&self, permit: &Permit<'_>, health: Health, weight: u32, now: SystemTime) {
        let pause = match &mut *self.state() {
            // A clock that was set back must not make every failure one of before.
            State::Closed {
                last: Some(last), ..
            } if permit.began < *last && *last <= now => return,
            State::Closed {
                weight: so_far,
                last,
            } => {
                *so_far += weight;
                *last = Some(now);
                if *so_far < QUICK_FAILURES {
                    return;
                }
                self.first_pause
            }
            State::Open { pause, .. } if permit.is_probe => {
                // What a collector has asked for may be shorter.
                (*pause).max(self.first_pause) * 2
            }
            // A request from before has failed as well.
            State::Open { .. } => return,
        };
        self.open(pause, health, now);
    }

    /// The collector asks to be left alone for so long.
    fn step_back(&self, permit: &Permit<'_>, pause: Duration, now: SystemTime) {
        let is_known = match &*self.state() {
            State::Closed { .. } => false,
            // What a request from before was told does not shorten what has been learned since.
            State::Open {
                since,
                pause: known,
                ..
            } => !permit.is_probe && *since + *known >= now + pause,
        };
        if !is_known {
            self.open(pause, Health::Away(pause), now);
        }
    }

    fn open(&self, pause: Duration, health: Health, now: SystemTime) {
        let pause = pause.min(MAX_PAUSE);
        *self.state() = State::Open {
            since: now,
            pause,
            is_probed: false,
        };
        // Not under the lock: stdout may be slow.
        warn!(
            collector = self.peer,
            pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX),
            hint = (health == Health::Refused).then_some(HINT),
            "the collector does not work: it is left alone for a while"
        );
    }
}

impl Permit<'_> {
    /// Whether this is the one request that finds out whether the collector works again.
    pub(crate) fn is_probe(&self) -> bool {
        self.is_probe
    }

    /// Tells what became of the request.
    pub(crate) fn settle(mut self, health: Health, cost: Cost, now: SystemTime) {
        let breaker = self.breaker;
        let weight = if cost.is_slow() { SLOW_WEIGHT } else { 1 };
        match health {
            Health::Accepted if weight == 1 => breaker.succeed(),
            Health::Failed | Health::Refused if cost.is_unfair() => return,
            // To be asked again at once is no wish to be left alone.
            Health::Accepted | Health::Failed | Health::Refused | Health::Away(Duration::ZERO) => {
                breaker.fail(&self, health, weight, now);
            }
            Health::Away(time) => breaker.step_back(&self, time, now),
        }
        self.is_settled = true;
    }
}

impl Drop for Permit<'_> {
    /// Another request may find out then.
    fn drop(&mut self) {
        if self.is_probe
            && !self.is_settled
            && let State::Open { is_probed, .. } = &mut *self.breaker.state()
        {
            *is_probed = false;
        }
    }
}

#[cfg(test)]
mod tests;
