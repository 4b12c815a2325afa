//! What the export under way takes over from those that come meanwhile.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Who comes beside an export need not wait for it and then send a request by itself: the export
/// does it for all of them, once.
#[derive(Debug, Default)]
pub(super) struct Handover(Mutex<Stage>);

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nobody is going to collect for others: who comes does it itself, in its turn.
    #[default]
    Closed,
    /// The export under way is going to look whether anybody has come.
    Open,
    /// Somebody has, since the last collection began.
    Asked,
}

impl Handover {
    /// Whether the export under way is going to send what the caller has measured until now.
    pub(super) fn leave(&self) -> bool {
        let mut stage = self.stage();
        if *stage == Stage::Open {
            *stage = Stage::Asked;
        }
        *stage == Stage::Asked
    }

    /// For whoever holds the outbox, and is going to look.
    pub(super) fn open(&self) -> Opened<'_> {
        *self.stage() = Stage::Open;
        Opened(self)
    }

    /// A collection begins: it finds what those who have come so far have left.
    pub(super) fn begin_collection(&self) {
        let mut stage = self.stage();
        if *stage == Stage::Asked {
            *stage = Stage::Open;
        }
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// To be dropped before the outbox is let go of: the next one to hold it has another.
#[derive(Debug)]
pub(super) struct Opened<'a>(&'a Handover);

impl Opened<'_> {
    /// From now on who comes is on its own. Whether anybody has come before.
    pub(super) fn close(self) -> bool {
        std::mem::take(&mut *self.0.stage()) == Stage::Asked
    }
}

/// An export that is given up looks no more.
impl Drop for Opened<'_> {
    fn drop(&mut self) {
        *self.0.stage() = Stage::Closed;
    }
}
