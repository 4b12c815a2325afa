//! What can be seen from outside: counters since the start, and the environments that exist now.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

/// Counters since the start, and the environments that exist now.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Snapshot {
    /// Environments whose process was started.
    pub started: u64,
    /// Environments killed after idling for longer than the function's `idle_after`.
    pub reaped: u64,
    /// Environments killed on request, including those killed by the shutdown.
    pub killed: u64,
    /// Environments killed because an invocation overran its timeout.
    pub timed_out: u64,
    /// Environments whose process ended by itself after it had initialised.
    pub exited: u64,
    /// Environments that never asked for their first event.
    pub init_failed: u64,
    /// Events accepted from callers, including those that were refused or failed.
    pub invocations: u64,
    /// Invocations that ended with a response.
    pub succeeded: u64,
    /// Invocations that ended with any error but throttling.
    pub failed: u64,
    /// Invocations refused because all environments were busy.
    pub throttled: u64,
    /// The environments that exist now, oldest first.
    pub environments: Vec<EnvironmentSnapshot>,
}

/// One environment at one moment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EnvironmentSnapshot {
    /// Its number.
    pub id: EnvironmentId,
    /// What it is doing.
    pub phase: Phase,
    /// Its process, once started.
    pub pid: Option<u32>,
    /// How many events it was handed.
    pub invocations: u64,
}

/// Number of an environment, counted from 1 in the order in which they were started.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct EnvironmentId(pub(super) u64);

impl fmt::Display for EnvironmentId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// What an environment is doing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Phase {
    /// The process has not asked for its first event yet.
    Starting,
    /// It waits for an event, frozen unless the function says otherwise.
    Idle,
    /// It has an event that is not answered.
    Running,
    /// It has answered and still runs, because it has not asked for the next event.
    Finishing,
    /// It is being killed.
    Terminating,
}

/// The counters behind [`Snapshot`].
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

/// A count that only grows. Nothing is ordered by it, so relaxed access is enough.
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
