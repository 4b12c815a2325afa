//! The size limit that a queue has stated.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::added_attributes::AddedAttributes;
use crate::rejection::Rejection;

/// Time for which a stated limit is used without asking SQS again.
///
/// A queue's `MaximumMessageSize` can be raised at any time. After this time, an oversized message
/// is tried in full again. The cost is one rejected call a minute, and a raised limit is noticed
/// within a minute, which is also how long `SetQueueAttributes` may take to take effect.
const VALIDITY: Duration = Duration::from_secs(60);

/// The `MaximumMessageSize` that a queue stated when it rejected a message. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct StatedSizeLimit(Arc<Mutex<Option<LimitEntry>>>);

#[derive(Debug, Clone, Copy)]
struct LimitEntry {
    bytes: usize,
    at: Instant,
}

impl StatedSizeLimit {
    /// Returns the limit in bytes, if the queue stated one within the last minute.
    fn get(&self, now: Instant) -> Option<usize> {
        let stated = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let valid = stated.filter(|stated| now.saturating_duration_since(stated.at) < VALIDITY);
        Some(valid?.bytes)
    }

    /// Drops attributes of a message whose other content has `size` bytes, so that it stays within
    /// the limit.
    ///
    /// A message that exceeds the limit even without attributes keeps all of them: the limit may
    /// have been raised.
    pub(crate) fn shrink(&self, added: &mut AddedAttributes, size: usize, now: Instant) {
        if let Some(room) = self.get(now).and_then(|most| most.checked_sub(size)) {
            added.shrink_to(room);
        }
    }

    /// Stores the limit that a rejection states.
    pub(crate) fn learn(&self, rejection: Rejection, at: Instant) {
        if let Some(bytes) = rejection.limit {
            self.set(bytes, at);
        }
    }

    fn set(&self, bytes: usize, at: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(LimitEntry { bytes, at });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_shared_by_clones_and_expires() {
        let (limit, began) = (StatedSizeLimit::default(), Instant::now());
        assert_eq!(limit.get(began), None);
        limit.clone().set(1_024, began);
        let last = began + VALIDITY - Duration::from_millis(1);
        assert_eq!(limit.get(last), Some(1_024));
        assert_eq!(limit.get(began + VALIDITY), None);
    }

    #[test]
    fn the_limit_stated_last_counts() {
        let (limit, began) = (StatedSizeLimit::default(), Instant::now());
        limit.set(262_144, began);
        limit.set(1_024, began);
        assert_eq!(limit.get(began), Some(1_024));
    }
}
