//! Counters of a function, and its environments at one moment.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counters since the start, and the environments that exist now.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Snapshot {
    /// Environments whose process was started.
    pub started: u64,
    /// Environments killed because they were idle for longer than the function's `idle_after`.
    pub reaped: u64,
    /// Environments killed on request, including those killed by the shutdown.
    pub killed: u64,
    /// Environments killed because an invocation timed out.
    pub timed_out: u64,
    /// Environments whose process exited after it had initialised.
    pub exited: u64,
    /// Environments that never polled for an event.
    pub init_failed: u64,
    /// Events from callers, including those that were throttled or failed.
    pub invocations: u64,
    /// Invocations with a response.
    pub succeeded: u64,
    /// Invocations that failed with an error other than throttling.
    pub failed: u64,
    /// Invocations throttled because all environments were busy.
    pub throttled: u64,
    /// The environments that exist now, oldest first.
    pub environments: Vec<EnvironmentSnapshot>,
}

/// State of an environment at one moment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EnvironmentSnapshot {
    /// Number of the environment.
    pub id: EnvironmentId,
    /// Phase of its life.
    pub phase: Phase,
    /// Process id, once the process was started.
    pub pid: Option<u32>,
    /// Number of events that it has received.
    pub invocations: u64,
}

/// Number of an environment. Environments are numbered from 1 in the order of their start.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct EnvironmentId(pub(super) u64);

impl fmt::Display for EnvironmentId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Phase of an environment's life.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Phase {
    /// The process has not polled for its first event yet.
    Starting,
    /// The environment waits for an event, frozen unless freezing is disabled.
    Idle,
    /// The environment works on an event.
    Running,
    /// The environment has responded but has not polled for the next event yet.
    Finishing,
    /// The environment is being killed.
    Terminating,
}

/// Counters behind [`Snapshot`].
#[derive(Debug, Default)]
pub(super) struct LambdaCounters {
    pub(super) started: Counter,
    pub(super) reaped: Counter,
    pub(super) killed: Counter,
    pub(super) timed_out: Counter,
    pub(super) exited: Counter,
    pub(super) init_failed: Counter,
    pub(super) invocations: Counter,
    pub(super) succeeded: Counter,
    pub(super) failed: Counter,
    pub(super) throttled: Counter,
}

impl LambdaCounters {
    pub(super) fn snapshot(&self, environments: Vec<EnvironmentSnapshot>) -> Snapshot {
        Snapshot {
            started: self.started.get(),
            reaped: self.reaped.get(),
            killed: self.killed.get(),
            timed_out: self.timed_out.get(),
            exited: self.exited.get(),
            init_failed: self.init_failed.get(),
            invocations: self.invocations.get(),
            succeeded: self.succeeded.get(),
            failed: self.failed.get(),
            throttled: self.throttled.get(),
            environments,
        }
    }
}

/// A counter that only increases. No other memory access depends on it, so relaxed ordering is
/// enough.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn increment(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
