//! Requests for an export that arrive while one is running.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Lets the running export serve the flushes that arrive meanwhile.
///
/// Metrics belong to the process and not to an invocation. A flush that arrives during an export
/// therefore need not wait for it and then send another request: the running export collects once
/// more for all of them.
#[derive(Debug, Default)]
pub(super) struct SharedExport(Mutex<Stage>);

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// No running export will check for requests: each flush exports in its turn.
    #[default]
    Closed,
    /// The running export will check for requests before it ends.
    Open,
    /// A flush has requested another collection since the last one began.
    Requested,
}

impl SharedExport {
    /// Requests another collection from the running export. Returns `false` if no export is running
    /// that will check for it.
    pub(super) fn join(&self) -> bool {
        let mut stage = self.stage();
        if *stage == Stage::Open {
            *stage = Stage::Requested;
        }
        // A request that another flush has made serves this one as well, because the collection for
        // that request has not begun.
        *stage == Stage::Requested
    }

    /// Accepts requests until the returned value is closed or dropped. Call it while holding the
    /// lock that serialises exports.
    pub(super) fn open(&self) -> OpenExport<'_> {
        *self.stage() = Stage::Open;
        OpenExport(self)
    }

    /// Marks the requests so far as served: the collection that begins now includes what their
    /// callers have measured.
    pub(super) fn begin_collection(&self) {
        let mut stage = self.stage();
        if *stage == Stage::Requested {
            *stage = Stage::Open;
        }
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running export that accepts requests. It must be dropped before the lock that serialises
/// exports, because the next holder of that lock opens its own.
#[derive(Debug)]
pub(super) struct OpenExport<'a>(&'a SharedExport);

impl OpenExport<'_> {
    /// Stops accepting requests. Returns `true` if there is a request that has not been served.
    pub(super) fn close(self) -> bool {
        // One step reads the stage and closes it, so that no request can arrive in between and be
        // lost. Dropping `self` then stores `Closed` again.
        std::mem::take(&mut *self.0.stage()) == Stage::Requested
    }
}

impl Drop for OpenExport<'_> {
    /// A cancelled export serves no more requests.
    fn drop(&mut self) {
        *self.0.stage() = Stage::Closed;
    }
}
