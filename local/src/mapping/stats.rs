//! Counters of an event source mapping.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Handle of a mapping's counters. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct MappingStats {
    counters: Arc<MappingCounters>,
}

/// Counters of a mapping at one moment. Records are counted per delivery, so a message that is
/// retried counts again.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct MappingSnapshot {
    /// Records received from the queue.
    pub received: u64,
    /// Invocations of the function.
    pub invocations: u64,
    /// Invocations that failed, or whose response AWS does not accept.
    pub failed_invocations: u64,
    /// Failed invocations that did not reach a handler: throttled, or no environment could be
    /// started.
    pub unavailable: u64,
    /// Records whose processing succeeded.
    pub succeeded: u64,
    /// Records whose processing failed; they stay in the queue.
    pub failed: u64,
    /// Records deleted from the queue.
    pub deleted: u64,
    /// Records that succeeded but could not be deleted; they will be delivered again.
    pub delete_failed: u64,
    /// Receives that failed after the SDK's own retries.
    pub receive_errors: u64,
}

#[derive(Debug, Default)]
struct MappingCounters {
    received: AtomicU64,
    invocations: AtomicU64,
    failed_invocations: AtomicU64,
    unavailable: AtomicU64,
    succeeded: AtomicU64,
    failed: AtomicU64,
    deleted: AtomicU64,
    delete_failed: AtomicU64,
    receive_errors: AtomicU64,
}

impl MappingStats {
    /// Returns the current counters. They are read one after the other, so they may differ by
    /// events that happen in between.
    pub fn snapshot(&self) -> MappingSnapshot {
        let MappingCounters {
            received,
            invocations,
            failed_invocations,
            unavailable,
            succeeded,
            failed,
            deleted,
            delete_failed,
            receive_errors,
        } = &*self.counters;
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        MappingSnapshot {
            received: get(received),
            invocations: get(invocations),
            failed_invocations: get(failed_invocations),
            unavailable: get(unavailable),
            succeeded: get(succeeded),
            failed: get(failed),
            deleted: get(deleted),
            delete_failed: get(delete_failed),
            receive_errors: get(receive_errors),
        }
    }

    pub(super) fn record_received(&self, records: usize) {
        add(&self.counters.received, records);
    }

    pub(super) fn record_receive_error(&self) {
        add(&self.counters.receive_errors, 1);
    }

    pub(super) fn record_invocation(&self) {
        add(&self.counters.invocations, 1);
    }

    pub(super) fn record_failed_invocation(&self) {
        add(&self.counters.failed_invocations, 1);
    }

    pub(super) fn record_unavailable(&self) {
        add(&self.counters.unavailable, 1);
    }

    pub(super) fn record_outcome(&self, succeeded: usize, failed: usize) {
        add(&self.counters.succeeded, succeeded);
        add(&self.counters.failed, failed);
    }

    pub(super) fn record_deleted(&self, deleted: usize, failed: usize) {
        add(&self.counters.deleted, deleted);
        add(&self.counters.delete_failed, failed);
    }
}

fn add(counter: &AtomicU64, amount: usize) {
    counter.fetch_add(amount as u64, Ordering::Relaxed);
}
